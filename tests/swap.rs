//! Hot swaps under load: nothing lost, one version per exchange, none of the old one after the acknowledgement.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::{Gateway, Origin, get, wasm};

fn config(origin: &Origin, plugin: &str) -> String {
    format!(
        r#"
[server]
workers = 2
access_log = {{ format = "off" }}
[admin]
address = "127.0.0.1:0"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
protocols = ["h1", "h2"]
[plugins.version]
path = "{{dir}}/version.wasm"
{plugin}
[upstreams.origin]
endpoints = ["{}"]
[[routes]]
name = "all"
match = {{ path = "/**" }}
plugins = ["version"]
upstream = "origin"
"#,
        origin.address
    )
}

/// Moves a component into the plugin's place, whole.
fn install(gateway: &Path, name: &str) {
    let new = gateway.join("new.wasm");
    std::fs::copy(wasm(name), &new).unwrap();
    std::fs::rename(new, gateway.join("version.wasm")).unwrap();
}

fn start(origin: &Origin) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path(), "guest_version_a");
    let text = config(origin, "").replace("{dir}", directory.path().to_str().unwrap());
    let file = directory.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    Gateway::start_file(&file, &[], directory)
}

/// What the swapper and the load know of each other.
#[derive(Default)]
struct Swaps {
    /// Swaps that have begun.
    begun: AtomicU64,
    /// Swaps that were acknowledged.
    done: AtomicU64,
    stop: std::sync::atomic::AtomicBool,
}

/// The version in force after so many swaps.
fn version(swaps: u64) -> &'static str {
    if swaps.is_multiple_of(2) {
        "1.0.0"
    } else {
        "2.0.0"
    }
}

/// Requests over one connection until told to stop; each must come back whole, from one version, and from the new
/// one if it began after the acknowledgement. Returns how many there were, or what was lost.
async fn load(
    address: SocketAddr,
    h2: bool,
    swaps: Arc<Swaps>,
    ids: Arc<AtomicU64>,
    drop_one: bool,
) -> Result<u64, String> {
    let stream = tokio::net::TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let mut client = if h2 {
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Client::H2(sender)
    } else {
        let (sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Client::H1(sender)
    };
    let mut answered = 0;
    while !swaps.stop.load(Ordering::Relaxed) {
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let done = swaps.done.load(Ordering::SeqCst);
        let path = format!("/swap/{id}");
        let uri = if h2 {
            format!("http://{address}{path}")
        } else {
            path.clone()
        };
        let request = http::Request::get(uri)
            .header("host", address.to_string())
            .body(Empty::<Bytes>::new());
        let response = client
            .send(request.map_err(|error| error.to_string())?)
            .await;
        let response = response.map_err(|error| format!("request {id} was lost: {error}"))?;
        let begun = swaps.begun.load(Ordering::SeqCst);
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| format!("the body of {id} broke: {error}"))?
            .to_bytes();
        if drop_one && answered == 10 {
            return Err("dropped on purpose".into());
        }
        check(&path, &head, &body)?;
        let seen = head.headers["x-request-version"]
            .to_str()
            .unwrap_or_default();
        if begun == done && seen != version(done) {
            return Err(format!(
                "request {id} got {seen} after {} was acknowledged",
                version(done)
            ));
        }
        answered += 1;
    }
    Ok(answered)
}

fn check(path: &str, head: &http::response::Parts, body: &[u8]) -> Result<(), String> {
    if head.status != 200 {
        return Err(format!(
            "{path}: status {}: {}",
            head.status,
            String::from_utf8_lossy(body)
        ));
    }
    let expected = format!("{{\"path\":\"{path}\",\"body\":0}}");
    if body != expected.as_bytes() {
        return Err(format!(
            "{path}: {} is another request's answer",
            String::from_utf8_lossy(body)
        ));
    }
    let versions = (
        head.headers.get("x-request-version"),
        head.headers.get("x-response-version"),
    );
    if versions.0.is_none() || versions.0 != versions.1 {
        return Err(format!("{path}: an exchange saw the versions {versions:?}"));
    }
    Ok(())
}

enum Client {
    H1(hyper::client::conn::http1::SendRequest<Empty<Bytes>>),
    H2(hyper::client::conn::http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn send(
        &mut self,
        request: http::Request<Empty<Bytes>>,
    ) -> hyper::Result<http::Response<hyper::body::Incoming>> {
        match self {
            Self::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// Swaps so often, at least one a second, and returns resident memory after each, when the old version has ended.
fn swap(gateway: &Gateway, swaps: &Swaps, count: u64) -> Vec<u64> {
    let mut resident = Vec::new();
    let began = Instant::now();
    for number in 1..=count {
        swaps.begun.fetch_add(1, Ordering::SeqCst);
        install(
            gateway.directory.path(),
            if number % 2 == 0 {
                "guest_version_a"
            } else {
                "guest_version_b"
            },
        );
        let answer = gateway.post("/plugins/version/reload");
        assert_eq!(
            answer.status,
            200,
            "swap {number}: {}\n{}",
            answer.text(),
            gateway.text()
        );
        swaps.done.fetch_add(1, Ordering::SeqCst);
        // Time for requests of this version, which the load needs to tell one from the other.
        std::thread::sleep(Duration::from_millis(250));
        resident.push(gateway.resident());
    }
    let pace = began.elapsed() / u32::try_from(count).unwrap();
    assert!(
        pace < Duration::from_secs(1),
        "a swap every {pace:?} is less than one a second"
    );
    resident
}

/// Runs the load beside `during`; answers what each connection of the load came to.
fn under_load<T>(
    gateway: &Gateway,
    drop_one: bool,
    during: impl FnOnce(&Swaps) -> T,
) -> (T, Vec<Result<u64, String>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (swaps, ids) = (Arc::new(Swaps::default()), Arc::new(AtomicU64::new(0)));
    let address = gateway.listener("public");
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            runtime.spawn(load(
                address,
                number % 2 == 1,
                swaps.clone(),
                ids.clone(),
                drop_one && number == 0,
            ))
        })
        .collect();
    let result = during(&swaps);
    swaps.stop.store(true, Ordering::Relaxed);
    let outcomes = runtime.block_on(async {
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    });
    (result, outcomes)
}

#[test]
fn a_hundred_swaps_under_load_lose_nothing_and_keep_no_memory() {
    let origin = Origin::start();
    let gateway = start(&origin);
    let (resident, outcomes) = under_load(&gateway, false, |swaps| swap(&gateway, swaps, 100));
    for outcome in &outcomes {
        assert!(
            outcome.as_ref().is_ok_and(|answered| *answered > 100),
            "{outcomes:?}\n{}",
            gateway.text()
        );
    }
    // What a swap compiles and reads comes and goes: the least of three is what stays.
    let least = |after: &[u64]| *after.iter().min().unwrap();
    let (early, late) = (least(&resident[4..7]), least(&resident[97..]));
    assert!(
        late * 100 <= early * 110,
        "{early} bytes after 5 swaps, {late} after 100"
    );
}

#[test]
fn the_checker_sees_one_request_that_is_dropped_on_purpose() {
    let origin = Origin::start();
    let gateway = start(&origin);
    let ((), outcomes) = under_load(&gateway, true, |_| {
        std::thread::sleep(Duration::from_millis(500))
    });
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        1,
        "{outcomes:?}"
    );
}

#[test]
fn a_broken_candidate_is_refused_and_the_old_version_serves_on() {
    let origin = Origin::start();
    let gateway = start(&origin);
    let good = std::fs::read(wasm("guest_version_b")).unwrap();
    let empty_component = [0x00, b'a', b's', b'm', 0x0d, 0, 1, 0];
    let empty_module = [0x00, b'a', b's', b'm', 1, 0, 0, 0];
    let mut candidates: Vec<(String, Vec<u8>)> = vec![
        ("nothing".into(), Vec::new()),
        ("text".into(), b"not a component".to_vec()),
        ("a core module".into(), empty_module.to_vec()),
        ("another world".into(), empty_component.to_vec()),
        (
            "a missing grant".into(),
            std::fs::read(wasm("guest_probe")).unwrap(),
        ),
    ];
    for cut in 1..=15 {
        candidates.push((
            format!("cut off at {cut}/16"),
            good[..good.len() * cut / 16].to_vec(),
        ));
    }
    for (what, bytes) in candidates {
        let new = gateway.directory.path().join("new.wasm");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, gateway.directory.path().join("version.wasm")).unwrap();
        let answer = gateway.post("/plugins/version/reload");
        assert_eq!(answer.status, 409, "{what}: {}", answer.text());
        let reason = answer.json()["errors"][0].as_str().unwrap().to_owned();
        assert!(reason.contains("version"), "{what}: {reason}");
        let served = get(gateway.listener("public"), "/x", &[]);
        assert_eq!(served.header("x-response-version"), Some("1.0.0"), "{what}");
    }
    assert!(
        gateway.metric("gateway_plugin_swaps_total{plugin=\"version\",outcome=\"refused\"}")
            >= 20.0
    );
}

#[test]
fn a_configuration_that_a_plugin_refuses_or_traps_on_changes_nothing() {
    let origin = Origin::start();
    let gateway = start(&origin);
    for (plugin, reason) in [
        ("config = { trap = true }", "told to trap in configure"),
        ("config = { nope = 1 }", "nope"),
        ("config = { trap = 7 }", "trap"),
    ] {
        gateway.configure(&config(&origin, plugin));
        let answer = gateway.post("/reload");
        assert_eq!(answer.status, 409, "{plugin}: {}", answer.text());
        assert!(
            answer.text().contains(reason),
            "{plugin}: {}",
            answer.text()
        );
        assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 200);
    }
}

#[test]
fn a_new_file_is_served_without_being_asked_and_a_half_written_one_is_not() {
    use std::io::Write;
    let origin = Origin::start();
    let gateway = start(&origin);
    let good = std::fs::read(wasm("guest_version_b")).unwrap();
    let path = gateway.directory.path().join("version.wasm");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&good[..good.len() / 2]).unwrap();
    file.flush().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(
        gateway.find(|line| line.contains("refused")).is_none(),
        "{}",
        gateway.text()
    );
    file.write_all(&good[good.len() / 2..]).unwrap();
    drop(file);
    gateway.wait_for("plugin reloaded");
    assert_eq!(
        get(gateway.listener("public"), "/x", &[]).header("x-response-version"),
        Some("2.0.0")
    );
}

#[test]
fn sighup_reloads_and_sigterm_drains() {
    let origin = Origin::start();
    let gateway = start(&origin);
    gateway.signal("HUP");
    gateway.wait_for("configuration reloaded");
    gateway.signal("TERM");
    gateway.wait_for("drained");
    assert!(gateway.ended().success());
}
