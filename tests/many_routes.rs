//! Ten thousand routes: a reload takes no second, clients do not feel it, and those that only many comparisons tell apart
//! are checked soon. `make soak`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
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

/// Whatever of a route is left to compare where host and path are the same.
#[test]
#[ignore = "soak: ten seconds"]
fn a_check_of_routes_that_are_alike_ends_soon() {
    let network = |at: usize| format!("10.{}.{}.0/24", at / 250, at % 250);
    let networks = |of: usize| {
        let all = (0..1_000).map(|at| format!("'{}.{}.{}.0/24'", 11 + of, at / 250, at % 250));
        all.collect::<Vec<_>>().join(", ")
    };
    let alike: [(usize, &dyn Fn(usize) -> String); 4] = [
        (ROUTES, &|at| format!("path.regex = '(a|b)x{at}'")),
        (ROUTES, &|at| {
            format!("path = '/a', headers.x-a.regex = '^[ab]{at}$'")
        }),
        (ROUTES, &|at| {
            format!("path = '/a', client = '{}'", network(at))
        }),
        (100, &|at| {
            format!("path = '/a', client = [{}]", networks(at))
        }),
    ];
    for (count, matcher) in alike {
        let mut text = "[[listeners]]\nname = 'a'\naddress = '127.0.0.1:0'\n".to_owned();
        for at in 0..count {
            let matcher = matcher(at);
            writeln!(
                text,
                "[[routes]]\nname = 'r{at}'\nmatch = {{ {matcher} }}\nrespond = {{ body = '' }}"
            )
            .unwrap();
        }
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_gateway"));
        check.arg("check").arg("--config").arg(file.path());
        let begin = Instant::now();
        assert!(check.output().unwrap().status.success(), "{}", matcher(0));
        let took = begin.elapsed();
        eprintln!("{count} of {:.60}: {took:?}", matcher(0));
        assert!(
            took < Duration::from_secs(2),
            "{took:?}: {:.60}",
            matcher(0)
        );
    }
}
