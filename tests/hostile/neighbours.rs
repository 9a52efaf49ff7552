//! What slow calls of plugins leave to the other work of their worker.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{acting, around, assert_host_is_sound, config};
use crate::harness::http::{read_answer, send};
use crate::harness::{Configuration, Gateway, Origin, get};

/// Between two requests of one thread of clients that are many: a thousand of theirs take a second. Where requests are
/// answered at once, and only what follows them is slow, clients without pauses would be a load of their own.
const PACE: Duration = Duration::from_millis(8);

/// Requests that are open all the time: each is made anew once it has its answer, until this is dropped.
struct Open {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Open {
    fn start(public: SocketAddr, path: &str, count: usize) -> Self {
        Self::paced(public, path, count, Duration::ZERO)
    }

    /// With so long a pause between two requests of one thread; it returns once all were made.
    fn paced(public: SocketAddr, path: &str, count: usize, pace: Duration) -> Self {
        const THREADS: usize = 8;
        let made = Arc::new(Barrier::new(THREADS + 1));
        let over = Arc::new(AtomicBool::new(false));
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let threads = (0..THREADS).map(|_| {
            let (over, made, request) = (over.clone(), made.clone(), request.clone());
            std::thread::spawn(move || {
                let connect = |_| TcpStream::connect(public).unwrap();
                let mut clients: Vec<_> = (0..count / THREADS).map(connect).collect();
                for client in &mut clients {
                    client.write_all(request.as_bytes()).unwrap();
                    std::thread::sleep(pace);
                }
                made.wait();
                while !over.load(Ordering::Relaxed) {
                    for client in &mut clients {
                        read_answer(client);
                        // It closes after an answer that is an error.
                        if client.write_all(request.as_bytes()).is_err() {
                            *client = connect(0);
                            client.write_all(request.as_bytes()).unwrap();
                        }
                        std::thread::sleep(pace);
                    }
                }
            })
        });
        let threads = threads.collect();
        made.wait();
        Self { over, threads }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// What each of these calls uses before it is stopped.
const BUDGET: Duration = Duration::from_millis(10);
/// What may be used at once, after a time without slow calls, and what ends beside.
const BURST: Duration = Duration::from_millis(100);

/// A gateway with so many plugins that act so, `loop-0` and so on, each on a route of its name.
fn looping(origin: &Origin, act: &str, count: usize) -> Gateway {
    let mut config = Configuration::new().upstream("origin", origin.address);
    for number in 0..count {
        let name = format!("loop-{number}");
        let plugin = "grants = { upstreams = ['origin'], secrets = ['mine'], state = true }";
        let plugin = format!("{plugin}\nconfig = {{ act = '{act}' }}\ntimeout = '1s'");
        let path = format!("/{name}");
        config = config.plugin(&name, "guest_hostile", &plugin).chain(
            &name,
            &path,
            &[&name],
            "upstream = 'origin'",
        );
    }
    Gateway::start(&config.secret("mine", "my s3cret"))
}

/// The processor time of all calls that were stopped so far.
fn used(gateway: &Gateway, count: usize) -> Duration {
    let stopped = |number: usize| {
        let name = format!("loop-{number}");
        let labels = format!("plugin=\"{name}\",route=\"{name}\",kind=\"cpu\"");
        gateway.metric(&format!("gateway_plugin_failures_total{{{labels}}}"))
    };
    BUDGET.mul_f64((0..count).map(stopped).sum())
}

/// Asserts that so many plugins whose calls all loop take one part in so many of the worker, and no more.
fn assert_share(gateway: &Gateway, count: usize, parts: u32) {
    let public = gateway.listener("public");
    let path = |number| format!("/loop-{number}");
    let _open: Vec<_> = (0..count)
        .map(|number| Open::start(public, &path(number), 32))
        .collect();
    while used(gateway, count) < BUDGET {}
    let (began, before) = (Instant::now(), used(gateway, count));
    // However slow the machine is, there is something to compare.
    while began.elapsed() < Duration::from_secs(1) || used(gateway, count) < before + BURST {
        let patient = began.elapsed() < Duration::from_secs(20);
        assert!(patient, "{}", gateway.text());
        std::thread::sleep(BUDGET);
    }
    // In this order: what is used between the two is no part of the first.
    let used = used(gateway, count) - before;
    let took = began.elapsed();
    let share = took / parts;
    assert!(
        used < share + BURST,
        "{count} plugins used {used:?} of {took:?}"
    );
    assert_host_is_sound(gateway);
}

#[test]
fn slow_calls_of_one_plugin_take_a_quarter_of_a_worker_and_the_operator_is_told() {
    let origin = Origin::start();
    for act in ["loop", "loop-in-complete"] {
        let gateway = looping(&origin, act, 1);
        assert_share(&gateway, 1, 4);
        let said = "slow calls of the plugin wait";
        let line = gateway.wait_for(said);
        assert!(line.contains("plugin=\"loop-0\""), "{line}");
        let text = gateway.text();
        assert_eq!(text.lines().filter(|line| line.contains(said)).count(), 1);
        assert!(gateway.metric("gateway_plugin_throttled_total{plugin=\"loop-0\"}") > 0.0);
        let plugins = get(gateway.admin(), "/plugins", &[]).json();
        let throttled = &plugins["plugins"][0]["throttled"];
        assert!(throttled["calls"].as_u64().unwrap() > 0, "{throttled}");
        assert!(throttled["waiting"].is_u64(), "{throttled}");
    }
}

#[test]
fn a_slow_call_that_is_alone_on_an_idle_worker_does_not_wait_for_its_share() {
    let origin = Origin::start();
    let plugin = "cpu = \"200ms\"\ntimeout = \"20s\"";
    let gateway = Gateway::start(&config(&origin, "loop", plugin));
    let throttled = || gateway.metric("gateway_plugin_throttled_total{plugin=\"hostile\"}");
    let waited = || {
        let before = throttled();
        for _ in 0..5 {
            assert_eq!(get(gateway.listener("public"), "/hostile", &[]).status, 500);
        }
        throttled() - before
    };
    // What it had before anything was known of the worker may have been more than its share; and a machine that takes the
    // processor away for a while leaves no worker idle.
    let waited: Vec<_> = (0..10).map(|_| waited()).collect();
    assert!(
        waited.iter().any(|waited| *waited <= 1.0),
        "{waited:?} of 5"
    );
}

/// Of those that come at once each would have its first tick, were none asked for its share before one is known to wait.
#[test]
fn a_burst_of_slow_calls_begins_no_more_than_a_share_has_room_for() {
    const CALLS: usize = 200;
    let origin = Origin::start();
    let table = acting("loop", "timeout = '60s'");
    let config = around(&origin, origin.address).plugin("hostile", "guest_hostile", &table);
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let connect = |_| TcpStream::connect(public).unwrap();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let instances = "gateway_plugin_instances{plugin=\"hostile\"}";
    // Nothing is known of the plugin at first; then it is known to be slow, and the worker to be idle.
    for burst in ["first", "second"] {
        let mut clients: Vec<_> = (0..=CALLS).map(connect).collect();
        let mut neighbour = clients.pop().unwrap();
        for client in &mut clients {
            client.write_all(request("/hostile").as_bytes()).unwrap();
        }
        neighbour
            .write_all(request("/neighbour").as_bytes())
            .unwrap();
        assert_eq!(read_answer(&mut neighbour).status, 200);
        let begun = gateway.metric(instances);
        let most = CALLS as f64 / 2.0;
        assert!(begun < most, "{burst}: {begun} of {CALLS} had begun");
        drop(clients);
        while gateway.metric(instances) > 1.0 {}
        assert_eq!(get(public, "/hostile", &[]).status, 500);
    }
}

/// They are work that is wanted: a share is for those that run away.
#[test]
fn slow_calls_that_end_by_themselves_have_what_nobody_else_wants() {
    let item = r#"{"a":1,"cost":2,"t":"xxxxxxxxxxxxxxxxxxxx"}"#;
    let items = vec![item; 1_300].join(",");
    let body = format!(r#"{{"items":[{items}]}}"#);
    let rule = "config = { request = { json = { remove = ['items.cost'], rename = { 'items.a' = 'items.b' } } } }";
    let config = Configuration::new()
        .plugin(
            "transform",
            "transform",
            &format!("{rule}\ntimeout = '60s'"),
        )
        .chain("all", "/**", &["transform"], "respond = {}");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let json = [("content-type", "application/json")];
    let post = || send(public, "POST", "/", &json, body.as_bytes()).status;
    let all = || {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| [(); 30].map(|()| post())))
                .collect();
            for client in clients {
                assert_eq!(client.join().unwrap(), [200; 30], "{}", gateway.text());
            }
        });
        gateway.metric("gateway_plugin_throttled_total{plugin=\"transform\"}")
    };
    // Nothing is known of the worker at first.
    let (before, after) = (all(), all());
    assert!(after - before <= 60.0, "{} of 180 waited", after - before);
}

#[test]
fn slow_calls_of_all_plugins_take_half_of_a_worker() {
    let origin = Origin::start();
    assert_share(&looping(&origin, "loop", 4), 4, 2);
}

#[test]
fn a_quick_call_does_not_wait_behind_slow_ones_of_its_own_plugin() {
    let origin = Origin::start();
    // A quarter of a slow machine is little: eight of them take long.
    let plugin = "cpu = \"300ms\"\ntimeout = \"300s\"";
    let gateway = Gateway::start(&config(&origin, "loop-asked", plugin));
    let public = gateway.listener("public");
    let mut slow: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(public).unwrap())
        .collect();
    for client in &mut slow {
        let request = b"GET /hostile?loop HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(request).unwrap();
    }
    while gateway.metric("gateway_plugin_waiting{plugin=\"hostile\"}") < 7.0 {}
    for _ in 0..20 {
        let answer = get(public, "/hostile", &[]);
        assert_eq!((answer.status, &*answer.text()), (200, "asked"));
    }
    let failed = gateway.find(|line| line.contains("plugin failed"));
    assert_eq!(failed, None, "the slow calls were over first");
    // None of them is cut off before its budget is used up, or its time.
    for client in &mut slow {
        assert_eq!(read_answer(client).status, 500);
    }
    assert!(!gateway.text().contains("kind=\"timeout\""));
}

#[test]
fn complete_phases_of_one_plugin_do_not_wait_for_those_of_another() {
    let origin = Origin::start();
    let probe = "config = { phases = ['complete'] }\ngrants = { upstreams = ['origin'], secrets = ['mine'], state = true }";
    let config = config(&origin, "sleep-in-complete", "timeout = \"60s\"")
        .plugin("other", "guest_probe", probe)
        .chain("other", "/other", &["other"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for _ in 0..100 {
        assert_eq!(get(public, "/hostile", &[]).status, 200);
    }
    assert_eq!(get(public, "/other", &[]).status, 200);
    let called = "gateway_plugin_phase_duration_seconds_count{plugin=\"other\",phase=\"complete\"}";
    while gateway.metric(called) < 1.0 {}
    let failed = gateway.find(|line| line.contains("plugin failed"));
    assert_eq!(failed, None, "it had to wait for the others");
}

/// The median and the 99th percentile of what a neighbour's requests take, one after the other, each on a connection
/// of its own.
fn neighbour(public: SocketAddr) -> (Duration, Duration) {
    let mut took: Vec<Duration> = (0..1_000)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(get(public, "/neighbour", &[]).status, 200);
            began.elapsed()
        })
        .collect();
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Wants a core for the worker: the clients of a thousand requests take another.
#[test]
#[ignore = "soak: half a minute"]
fn a_neighbour_of_a_thousand_slow_requests_is_served_as_before() {
    let origin =
        Origin::forgetting(|_, _| b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec());
    for act in ["loop", "loop-in-complete", "sleep", "sleep-in-complete"] {
        let table = acting(act, "");
        let config = around(&origin, origin.address).plugin("hostile", "guest_hostile", &table);
        let gateway = Gateway::start(&config);
        let public = gateway.listener("public");
        let quiet = neighbour(public);
        let open = Open::paced(public, "/hostile", 1_000, PACE);
        let loaded = neighbour(public);
        drop(open);
        eprintln!("{act}: median and p99 {quiet:?} quiet, {loaded:?} beside 1,000 of them");
        assert!(loaded.0 <= quiet.0 * 2, "{act}: {quiet:?}, {loaded:?}");
        let slack = Duration::from_millis(20);
        assert!(loaded.1 <= quiet.1 + slack, "{act}: {quiet:?}, {loaded:?}");
    }
}
