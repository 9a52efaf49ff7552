//! A gateway without sockets: one plugin, one route, and an exchange that is lent to the plugin again and again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::exchange::{
    Attributes, Client, Exchange, FilterId, Link, Parts, Place, PluginId, Record, Request,
    Response, Undo,
};
use gateway::message::phase::Phase;
use gateway::plugin::{Engine, Flow, HeldInstances};
use gateway::snapshot::{Builder, Replace, WorkerSnapshot};
use gateway::telemetry::metrics::Metrics;
use gateway::{config, state, upstream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tokio::runtime::Runtime;

pub(crate) struct Stage {
    runtime: Runtime,
    snapshot: WorkerSnapshot,
    exchange: Exchange,
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
        let most = state::Amount {
            entries: config.state.max_entries,
            bytes: config.state.max_bytes,
        };
        let state = state::Memory::new(most, config.plugins.keys());
        let snapshot = Builder::new(engine.clone(), metrics, state, 1)
            .build(config, None, Replace::Changed)
            .unwrap();
        let snapshot = WorkerSnapshot::new(snapshot, 0, Arc::new(upstream::Client::default()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            exchange: exchange(&snapshot),
            snapshot,
            credentials,
            _directory: directory,
        }
    }

    /// Calls `on-request` so often. What a call leaves behind is cleared, but for request fields: a second edit of
    /// one costs what the first did, and restoring them all would be measured too.
    pub(crate) fn call(&mut self, times: u64) -> Duration {
        let (exchange, pool) = (&mut self.exchange, self.snapshot.pool(PluginId(0)));
        let filter = FilterId(0);
        let link = Link {
            place: Place(0),
            plugin: PluginId(0),
            filter,
            phases: pool.linked().phases(filter),
        };
        let mut credentials = self.credentials.iter().cycle();
        self.runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..times {
                let credential = credentials.next().unwrap().clone();
                exchange.request.headers.insert(&CREDENTIAL, credential);
                exchange.response.edits.clear();
                let mut held = HeldInstances::default();
                let flow = pool.on_request(link, &mut held, exchange).await;
                assert!(matches!(flow, Ok(Flow::Next)), "{flow:?}");
            }
            started.elapsed()
        })
    }
}

static CREDENTIAL: HeaderName = HeaderName::from_static("x-credential");

fn exchange(snapshot: &WorkerSnapshot) -> Exchange {
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
    let mut attributes = Attributes::default();
    attributes.set("auth.subject", "alice").unwrap();
    Exchange::new(Box::new(Parts {
        route: snapshot.snapshot.router.routes()[0].clone(),
        view: snapshot.view.clone(),
        client: Client {
            id: HeaderValue::from_static("0123456789abcdef0123456789abcdef"),
            address: std::net::IpAddr::from([127, 0, 0, 1]).into(),
            secure: false,
            version: Version::HTTP_11,
            authority: HeaderValue::from_static("shop.example"),
            method: Method::GET,
            path: "/products/1".parse().unwrap(),
            params: Vec::new(),
            depth: 0,
        },
        request: Request {
            method: Method::GET,
            path: "/products/1".parse().unwrap(),
            headers,
            body: None,
            upstream: None,
            edited: Vec::new(),
        },
        response: Response::default(),
        attributes,
        written: 0,
        phase: Phase::Request,
        undo: Undo::default(),
        record: Record::new(),
        span: tracing::Span::none(),
    }))
}
