//! What the admin listener tells of a running gateway.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::gateway::Gateway;
use super::outcome::Outcome;
use crate::admin::{Control, Missing, Tokens, Turn};
use crate::config::Fault;
use crate::message::text::hex;
use crate::proxy::explain::{Asked, explain};
use crate::route::Listed;
use crate::telemetry::trace;

/// What the log is to let through, where that is told as JSON.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct AskedLog {
    filter: String,
}

impl Control for Gateway {
    fn tokens(&self) -> Tokens {
        let snapshot = self.published.snapshot();
        let admin = snapshot.config.admin.as_ref();
        Tokens {
            all: admin.and_then(|admin| admin.token.clone()),
            read: admin.and_then(|admin| admin.read_token.clone()),
        }
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }

    fn plugins(&self) -> Value {
        let snapshot = self.published.snapshot();
        let one = |linked: &std::sync::Arc<crate::plugin::Linked>| {
            let used: Vec<_> = snapshot
                .router
                .routes()
                .iter()
                .filter(|route| {
                    route
                        .config
                        .steps()
                        .any(|plugin| plugin.plugin == linked.name)
                })
                .map(|route| route.name.to_string())
                .collect();
            json!({
                "name": &*linked.name,
                "plugin": linked.metadata.name,
                "version": linked.metadata.version,
                "description": linked.metadata.description,
                "path": linked.config.path,
                "sha256": hex(&linked.sha256),
                "configurations": linked.filters(),
                "instances": linked.instances(),
                "memory": linked.memory(),
                "throttled": linked.throttled(),
                "routes": used,
                "last_swap": self.swaps.last(&linked.name),
                "config_schema": linked.metadata.config_schema,
            })
        };
        json!({ "version": snapshot.version, "plugins": snapshot.plugins.iter().map(one).collect::<Vec<_>>() })
    }

    fn config(&self) -> Value {
        let snapshot = self.published.snapshot();
        let config = &snapshot.config;
        let refused = self.refused.lock();
        let refused = refused.as_ref().filter(|refused| !refused.why.is_empty());
        let refused = refused.map(|refused| {
            json!({
                "at": humantime::format_rfc3339_millis(refused.at).to_string(),
                "faults": refused.why.iter().map(Fault::json).collect::<Vec<_>>(),
            })
        });
        json!({
            "version": snapshot.version,
            "configuration": config.masked,
            "origins": config.origins.of(&config.masked),
            "refused": refused,
        })
    }

    fn routes(&self) -> Value {
        let snapshot = self.published.snapshot();
        let config = &snapshot.config;
        let routes = snapshot.router.routes().iter();
        let routes: Vec<_> = routes
            .map(|route| Listed::new(config, &route.config))
            .collect();
        json!({
            "version": snapshot.version,
            "routes": routes,
        })
    }

    fn explain(&self, asked: &[u8]) -> Result<Value, String> {
        let snapshot = self.published.snapshot();
        let asked = Asked::from_json(&snapshot.config, asked)?;
        let explanation = explain(&snapshot.config, &snapshot.router, asked);
        serde_json::to_value(&explanation).map_err(|error| error.to_string())
    }

    fn upstreams(&self) -> Value {
        self.show_upstreams()
    }

    fn upstream(&self, name: &str) -> Option<Value> {
        self.show_upstream(name)
    }

    fn turn(&self, upstream: &str, endpoint: &str, turn: Turn) -> Result<Value, Missing> {
        self.turn_endpoint(upstream, endpoint, turn)
    }

    fn log(&self) -> Value {
        trace::in_force()
    }

    fn set_log(&self, asked: &[u8]) -> Result<Value, String> {
        const FILTER: &str = "warn,gateway::upstream=debug";
        let expected =
            || format!("expected a filter such as {FILTER}, or {{\"filter\": \"{FILTER}\"}}");
        let text = str::from_utf8(asked).map_err(|error| format!("{}: {error}", expected()))?;
        if text.trim().is_empty() {
            let found = match text {
                "" => "nothing",
                _ => "nothing but white space",
            };
            return Err(format!("the body has {found} in it; {}", expected()));
        }
        let filter = match text.trim_start().chars().next() {
            Some('{') => {
                let asked: Result<AskedLog, _> = serde_json::from_str(text);
                asked
                    .map_err(|error| format!("{}: {error}", expected()))?
                    .filter
            }
            // Other JSON, which no filter begins as.
            Some('[' | '"') => return Err(expected()),
            _ => text.to_owned(),
        };
        trace::ask(&filter)?;
        Ok(self.log())
    }

    async fn reload(&self) -> Result<Value, Value> {
        answer(self.reload_all().await)
    }

    async fn reload_plugin(&self, name: &str) -> Option<Result<Value, Value>> {
        self.reload_one(name).await.map(answer)
    }
}

fn answer(result: Outcome) -> Result<Value, Value> {
    match result {
        Ok(done) => Ok(json!({
            "outcome": "done",
            "version": done.version,
            "milliseconds": done.milliseconds,
            "plugins": done.plugins,
            "warnings": done.warnings,
        })),
        Err(reasons) => {
            let errors: Vec<_> = reasons
                .iter()
                .map(|reason| reason.fault.to_string())
                .collect();
            Err(json!({ "outcome": "refused", "errors": errors }))
        }
    }
}
