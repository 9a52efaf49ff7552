//! Ten thousand routes: a reload takes no second, and clients do not feel it. `make soak`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway};

const ROUTES: usize = 10_000;

/// A route for each of so many services; `version` is what they answer.
fn services(version: u32) -> Configuration {
    let mut routes = String::new();
    for service in 0..ROUTES {
        writeln!(
            routes,
            "[[routes]]\nname = 'r{service}'\nmatch = {{ path = '/service-{service}/items/{{id}}' }}\nrespond = {{ body = '{version}' }}"
        )
        .unwrap();
    }
    Configuration::new().with(&routes)
}

/// How long each request took on one connection, a few hundred a second, while `meanwhile` runs.
fn measured(address: SocketAddr, meanwhile: impl FnOnce()) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut took = Vec::new();
            let mut service = 0;
            while !stop.load(Ordering::Relaxed) {
                service = (service + 7_919) % ROUTES;
                let request = format!("GET /service-{service}/items/1 HTTP/1.1\r\nhost: a\r\n\r\n");
                let begin = Instant::now();
                stream.write_all(request.as_bytes()).unwrap();
                assert_eq!(read_answer(&mut stream).status, 200);
                took.push(begin.elapsed());
                // A client with pauses, so that it does not take a core for itself.
                thread::sleep(Duration::from_millis(2));
            }
            took
        });
        meanwhile();
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap()
    })
}

fn percentile(mut took: Vec<Duration>, of_hundred: usize) -> Duration {
    took.sort_unstable();
    took[took.len() * of_hundred / 100]
}

#[test]
#[ignore = "soak: half a minute"]
fn a_reload_of_ten_thousand_routes_takes_no_second_and_clients_do_not_feel_it() {
    let gateway = Gateway::start(&services(0));
    let address = gateway.listener("public");
    let quiet = measured(address, || thread::sleep(Duration::from_secs(8)));
    let mut slowest = Duration::ZERO;
    let loaded = measured(address, || {
        for version in 1..=12 {
            gateway.configure(&services(version));
            let begin = Instant::now();
            assert_eq!(gateway.post("/reload").status, 200);
            slowest = slowest.max(begin.elapsed());
        }
    });
    let (before, during) = (percentile(quiet, 99), percentile(loaded, 99));
    eprintln!("slowest reload {slowest:?}; p99 before {before:?}, during {during:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(during <= 2 * before, "{during:?}, {before:?} before");
}
