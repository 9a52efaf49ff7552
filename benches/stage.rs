//! A gateway without sockets: one plugin, one route, and an exchange that is lent to the plugin again and again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::message::phase::Phase;
use gateway::plugin::{Engine, Flow, Pool};
use gateway::proxy::exchange::{Exchange, Record};
use gateway::snapshot::{Builder, Replace, View};
use gateway::telemetry::metrics::Metrics;
use gateway::{config, state};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tokio::runtime::Runtime;

pub(crate) struct Stage {
    runtime: Runtime,
    pool: Arc<Pool>,
    exchange: Option<Box<Exchange>>,
    /// The request's credentials, one after the other.
    credentials: Vec<HeaderValue>,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// `plugin` is what stands below `[plugins.measured]`, `credentials` what `x-credential` is in turn.
    pub(crate) fn new(engine: &Arc<Engine>, plugin: &str, credentials: Vec<HeaderValue>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
        let plugin = plugin.replace("{plugins}", built.to_str().unwrap());
        let text = format!(
            r#"
[server]
workers = 1
access_log = {{ format = "off" }}
[[listeners]]
name = "public"
address = "127.0.0.1:8080"
[plugins.measured]
{plugin}
[[routes]]
name = "all"
match = {{ path = "/**" }}
plugins = ["measured"]
respond = {{ status = 204 }}
"#
        );
        let file = directory.path().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let config = Arc::new(config::load(&file).unwrap());
        let metrics = Metrics::new(1);
        let state = state::Memory::new(config.state.max_entries);
        let snapshot = Builder::new(engine.clone(), metrics, state, 1)
            .build(config, None, Replace::Changed)
            .unwrap();
        let view = Arc::new(View::new(snapshot, 0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            pool: view.pools[0].clone(),
            exchange: Some(Box::new(exchange(view))),
            credentials,
            _directory: directory,
        }
    }

    /// Calls `on-request` so often. What a call leaves behind is cleared, but for request fields: a second edit of
    /// one costs what the first did, and restoring them all would be measured too.
    pub(crate) fn call(&mut self, times: u64) -> Duration {
        let mut exchange = self.exchange.take().unwrap();
        let pool = &self.pool;
        let mut credentials = self.credentials.iter().cycle();
        let (exchange, spent) = self.runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..times {
                let credential = credentials.next().unwrap().clone();
                exchange.headers.insert(&CREDENTIAL, credential);
                exchange.response_edits.clear();
                exchange.held.clear();
                let (back, flow) = pool.on_request((0, 0), exchange).await;
                assert!(matches!(flow, Ok(Flow::Next)), "{flow:?}");
                exchange = back;
            }
            (exchange, started.elapsed())
        });
        self.exchange = Some(exchange);
        spent
    }
}

static CREDENTIAL: HeaderName = HeaderName::from_static("x-credential");

fn exchange(view: Arc<View>) -> Exchange {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "shop.example"),
        ("user-agent", "wrk/4.2"),
        ("accept", "*/*"),
        ("x-credential", "abcdefghij"),
        ("authorization", "Bearer abcdefghij"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut record = Record::new();
    record.recorded = true;
    Exchange {
        route: view.snapshot.router.routes()[0].clone(),
        view,
        id: HeaderValue::from_static("0123456789abcdef0123456789abcdef"),
        client: [127, 0, 0, 1].into(),
        peer: ([127, 0, 0, 1], 50_000).into(),
        secure: false,
        version: Version::HTTP_11,
        authority: HeaderValue::from_static("shop.example"),
        client_method: Method::GET,
        client_path: "/products/1".parse().unwrap(),
        params: Vec::new(),
        depth: 0,
        method: Method::GET,
        path: "/products/1".parse().unwrap(),
        headers,
        request_body: None,
        upstream: None,
        response: None,
        response_body: None,
        response_edits: Vec::new(),
        attributes: vec![("auth.subject".into(), "alice".into())],
        phase: Phase::Request,
        held: Vec::new(),
        record,
        span: tracing::Span::none(),
    }
}
