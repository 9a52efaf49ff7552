//! Ten thousand routes: a reload takes no second, clients do not feel it, and those that only many comparisons tell apart
//! are checked soon. `make soak`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway};

const ROUTES: usize = 10_000;

/// How many requests of each kind are measured: a thousand of them are beyond the 99th percentile.
const REQUESTS: usize = 100_000;

/// Those who send them, each on a connection of its own, with a pause after each: together they take no core.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(1);

/// Requests of one kind follow each other for so long, so that what else the machine does meanwhile meets all kinds.
const SLICE: Duration = Duration::from_millis(500);

/// What goes on while requests are measured.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    /// Nothing.
    Quiet,
    /// One reload after the other.
    Reloads,
    /// Another process, as nice as what reloads, takes all it can of a core: what any work beside costs on this machine.
    Neighbour,
}

const KINDS: [Meanwhile; 3] = [Meanwhile::Quiet, Meanwhile::Reloads, Meanwhile::Neighbour];

/// A process that takes all it can of a core until it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "10", "sh", "-c", "while :; do :; done"]);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A route for each of so many services.
fn services() -> Configuration {
    let mut routes = String::new();
    for service in 0..ROUTES {
        writeln!(
            routes,
            "[[routes]]\nname = 'r{service}'\nmatch = {{ path = '/service-{service}/items/{{id}}' }}\nrespond = {{ body = 'a' }}"
        )
        .unwrap();
    }
    Configuration::new().workers(2).with(&routes)
}

/// Has this thread run as soon as it wakes, where the system allows it: a client stands for one on another machine, which
/// shares no processor with what reloads.
fn go_first() {
    let own = std::fs::read_link("/proc/thread-self").unwrap();
    let id = own.file_name().unwrap();
    let mut chrt = Command::new("chrt");
    let is_first = chrt.args(["--fifo", "--pid", "1"]).arg(id).status();
    if !is_first.is_ok_and(|status| status.success()) {
        eprintln!("clients wait for a processor as everybody does");
    }
}

/// How long requests took, by what went on when they began, until `is_over`.
fn client(
    address: SocketAddr,
    first: usize,
    meanwhile: &AtomicUsize,
    is_over: &AtomicBool,
) -> [Vec<Duration>; KINDS.len()] {
    go_first();
    let mut took = [const { Vec::new() }; KINDS.len()];
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut service = first;
    while !is_over.load(Ordering::Relaxed) {
        service = (service + 7_919) % ROUTES;
        let request = format!("GET /service-{service}/items/1 HTTP/1.1\r\nhost: a\r\n\r\n");
        let kind = meanwhile.load(Ordering::Relaxed);
        let begin = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream).status, 200);
        let mut rest = begin.elapsed();
        took[kind].push(rest);
        // While it waited, it would have sent more, which would have waited too.
        while let Some(waited) = rest.checked_sub(PAUSE) {
            took[kind].push(waited);
            rest = waited;
        }
        thread::sleep(PAUSE);
    }
    took
}

/// How long requests of each kind took, and the slowest reload.
fn measured(gateway: &Gateway) -> ([Vec<Duration>; KINDS.len()], Duration) {
    let address = gateway.listener("public");
    let (meanwhile, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut slowest = Duration::ZERO;
    let mut reload = || {
        let begin = Instant::now();
        assert_eq!(gateway.post("/reload").status, 200);
        slowest = slowest.max(begin.elapsed());
    };
    let took = thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|number| {
            let (meanwhile, is_over) = (&meanwhile, &is_over);
            scope.spawn(move || client(address, number * 1_237, meanwhile, is_over))
        });
        let clients: Vec<_> = clients.collect();
        // A client sends fewer than one each pause.
        let slices = REQUESTS as u128 * PAUSE.as_nanos() / (CLIENTS as u128 * SLICE.as_nanos());
        for _ in 0..slices * 5 / 4 {
            for (number, kind) in KINDS.into_iter().enumerate() {
                let busy = matches!(kind, Meanwhile::Neighbour).then(Busy::start);
                meanwhile.store(number, Ordering::Relaxed);
                let begin = Instant::now();
                // The last of them ends within the slice: it is as long as it takes.
                while begin.elapsed() < SLICE {
                    match kind {
                        Meanwhile::Reloads => reload(),
                        _ => thread::sleep(SLICE),
                    }
                }
                drop(busy);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let mut all = [const { Vec::new() }; KINDS.len()];
        for client in clients {
            for (all, took) in all.iter_mut().zip(client.join().unwrap()) {
                all.extend(took);
            }
        }
        all
    });
    (took, slowest)
}

fn percentile(took: &mut [Duration], of_thousand: usize) -> Duration {
    took.sort_unstable();
    took[took.len() * of_thousand / 1000]
}

#[test]
#[ignore = "soak: two minutes"]
fn a_reload_of_ten_thousand_routes_takes_no_second_and_clients_do_not_feel_it() {
    let gateway = Gateway::start(&services());
    let (mut took, slowest) = measured(&gateway);
    eprintln!("slowest reload {slowest:?}");
    for (kind, took) in KINDS.into_iter().zip(&mut took) {
        let [middle, late, latest] = [500, 990, 999].map(|at| percentile(took, at));
        let count = took.len();
        eprintln!("{kind:?}: {count} requests, p50 {middle:?}, p99 {late:?}, p99.9 {latest:?}");
        assert!(count >= REQUESTS, "{kind:?}: {count}");
    }
    let [quiet, during, _] = took.map(|mut took| percentile(&mut took, 990));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(during <= 2 * quiet, "{during:?}, {quiet:?} quiet");
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
