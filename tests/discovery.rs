//! Endpoints by name: they follow what the DNS says, and nothing that it does not say takes them away.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::harness::dns::{NXDOMAIN, NameServer, SERVFAIL, Says, addresses_for};
use crate::harness::{Answer, Configuration, Gateway, Origin, get, program};

/// An upstream at the name `products.internal`, whose every address has this port.
fn config(dns: SocketAddr, port: u16, more: &str) -> Configuration {
    Configuration::new()
        .access_log()
        .server(&format!("resolver = ['{dns}']"))
        .with(&format!(
            "[upstreams.it]\nendpoints = [{{ dns = 'products.internal:{port}'{more} }}]"
        ))
        .route("all", "/**", "upstream = 'it'")
}

/// Two origins at one port of two addresses, that say which they are.
fn origins() -> (u16, [Origin; 2]) {
    let first = Origin::saying("first", ([127, 0, 0, 1], 0).into());
    let port = first.address.port();
    let second = Origin::saying("second", ([127, 0, 0, 2], port).into());
    (port, [first, second])
}

fn ask(gateway: &Gateway) -> Answer {
    get(gateway.listener("public"), "/", &[])
}

fn count(gateway: &Gateway, port: u16, outcome: &str) -> f64 {
    gateway.metric(&format!(
        "gateway_upstream_resolutions_total{{upstream=\"it\",name=\"products.internal:{port}\",outcome=\"{outcome}\"}}"
    ))
}

#[test]
fn requests_follow_the_addresses_of_a_name_and_none_is_lost() {
    let (port, [first, second]) = origins();
    let _third = Origin::saying("third", ([127, 0, 0, 3], port).into());
    let dns = NameServer::of(&["127.0.0.1"]);
    let gateway = Gateway::start(&config(dns.address, port, ""));
    assert_eq!(ask(&gateway).text(), "first");
    let host = format!("host: products.internal:{port}\r\n");
    assert!(first.seen()[0].contains(&host), "{:?}", first.seen());
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(SeqCst) {
                assert_eq!(ask(&gateway).status, 200);
            }
        });
        for (addresses, shown) in [
            (&["127.0.0.2"][..], "[127.0.0.2]"),
            (&["127.0.0.2", "127.0.0.1"], "[127.0.0.1, 127.0.0.2]"),
            (&["127.0.0.3"], "[127.0.0.3]"),
        ] {
            dns.have(addresses);
            gateway.wait_for_all(&["other addresses", &format!("addresses={shown}")]);
        }
        over.store(true, SeqCst);
    });
    assert!(!second.seen().is_empty());
    assert_eq!(ask(&gateway).text(), "third");
}

#[test]
fn a_name_that_does_not_resolve_stops_no_start_and_is_reached_once_it_does() {
    let (port, _origins) = origins();
    let dns = NameServer::start(NXDOMAIN);
    let gateway = Gateway::start(&config(dns.address, port, ""));
    assert_eq!(ask(&gateway).status, 503);
    gateway.wait_for_all(&["no_endpoint", "`products.internal` has not resolved yet"]);
    gateway.wait_for_all(&["cannot resolve", "NXDOMAIN", "it has no endpoint yet"]);
    assert!(count(&gateway, port, "no_such_name") >= 1.0);
    dns.have(&["127.0.0.2"]);
    gateway.wait_for("other addresses");
    assert_eq!(ask(&gateway).text(), "second");
}

#[test]
fn what_is_no_answer_keeps_the_last_good_one_over_reloads_too() {
    let (port, _origins) = origins();
    let dns = NameServer::of(&["127.0.0.1"]);
    let gateway = Gateway::start(&config(dns.address, port, ", refresh = '1s'"));
    for (says, told, outcome) in [
        (NXDOMAIN, "NXDOMAIN", "no_such_name"),
        (SERVFAIL, "Server Failure", "failed"),
        (addresses_for(&[], 1), "no addresses", "no_addresses"),
        (Says::Nothing, "no name server answered in time", "timeout"),
    ] {
        dns.say(says);
        gateway.wait_for_all(&["cannot resolve", told, "what is known of it stays"]);
        assert_eq!(ask(&gateway).text(), "first");
        assert!(count(&gateway, port, outcome) >= 1.0);
    }
    gateway.configure(&config(dns.address, port, ", refresh = '1s'").route(
        "more",
        "/more",
        "upstream = 'it'",
    ));
    gateway.wait_for("configuration reloaded");
    assert_eq!(ask(&gateway).text(), "first");
    dns.have(&["127.0.0.2"]);
    gateway.wait_for_all(&["other addresses", "127.0.0.2"]);
    assert_eq!(ask(&gateway).text(), "second");
}

#[test]
fn a_ttl_of_zero_is_asked_for_once_a_second_and_refresh_says_how_often_else() {
    let (port, _origins) = origins();
    let second = Duration::from_millis(990);
    for (ttl, more, least) in [(0, "", second), (0, ", refresh = '2s'", 2 * second)] {
        let dns = NameServer::start(addresses_for(&["127.0.0.1"], ttl));
        let gateway = Gateway::start(&config(dns.address, port, more));
        let asked = dns.asked(3);
        assert!(asked[1] - asked[0] >= least && asked[2] - asked[1] >= least);
        assert_eq!(ask(&gateway).text(), "first");
    }
}

#[test]
fn addresses_of_both_families_are_endpoints_and_each_is_one() {
    let (port, _origins) = origins();
    let third = Origin::saying("third", SocketAddr::new("::1".parse().unwrap(), port));
    let dns = NameServer::of(&["127.0.0.1", "::1", "127.0.0.1"]);
    let gateway = Gateway::start(&config(dns.address, port, ""));
    let said: Vec<_> = (0..4).map(|_| ask(&gateway).text()).collect();
    assert_eq!(
        said.iter().filter(|it| *it == "third").count(),
        2,
        "{said:?}"
    );
    assert_eq!(third.seen().len(), 2);
}

#[test]
fn idle_connections_to_an_address_that_is_gone_are_closed() {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dns = NameServer::of(&["127.0.0.1"]);
    let gateway = Gateway::start(&config(dns.address, port, ""));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let (mut kept, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            assert!(kept.read(&mut head).unwrap() > 0);
            kept.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            dns.have(&["127.0.0.2"]);
            let patience = Some(Duration::from_secs(30));
            kept.set_read_timeout(patience).unwrap();
            assert_eq!(
                kept.read(&mut head).unwrap(),
                0,
                "it stays open for 60 s else"
            );
        });
        assert_eq!(ask(&gateway).status, 200);
    });
}

#[test]
fn the_example_sends_to_the_addresses_of_names_and_to_those_beside_them() {
    let (port, [_first, second]) = origins();
    let dns = NameServer::of(&["127.0.0.2"]);
    let gateway = Gateway::example_with(
        "discovery",
        &[
            ("DNS", &dns.address.to_string()),
            ("PRODUCTS_PORT", &port.to_string()),
            ("ORDERS", &second.address.to_string()),
        ],
    );
    for path in ["/products/1", "/orders/1"] {
        let answer = get(gateway.listener("public"), path, &[]);
        assert_eq!(answer.text(), "second");
    }
    assert!(second.seen()[0].contains(&format!("host: products.internal:{port}\r\n")));
    assert!(second.seen()[1].contains(&format!("host: {}\r\n", second.address)));
}

/// A real name server: Debian's dnsmasq, ended when dropped.
struct Dnsmasq {
    child: Child,
    address: SocketAddr,
    hosts: tempfile::NamedTempFile,
}

impl Dnsmasq {
    fn start(hosts: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), hosts).unwrap();
        // Another may take the port before dnsmasq does, which ends then.
        let mut started = (0..10).filter_map(|_| Self::spawned(file.path()));
        let (child, address) = started.next().expect("dnsmasq starts and answers");
        Self {
            child,
            address,
            hosts: file,
        }
    }

    /// Once it answers; nothing where it ended before.
    fn spawned(hosts: &Path) -> Option<(Child, SocketAddr)> {
        // It listens by TCP as well.
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        UdpSocket::bind(address).ok()?;
        drop(tcp);
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let child = Command::new(program("dnsmasq"))
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file=",
            ])
            .args([
                "--no-resolv",
                "--no-hosts",
                "--local-ttl=1",
                "--local=/internal/",
            ])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces"])
            .arg(format!("--port={}", address.port()))
            .arg(format!("--addn-hosts={}", hosts.display()))
            .arg(format!("--user={}", String::from_utf8_lossy(&user).trim()))
            .arg("--log-facility=-")
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("dnsmasq, of Debian's dnsmasq-base (`make packages`)");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(address).unwrap();
        let second = Some(Duration::from_secs(1));
        client.set_read_timeout(second).unwrap();
        // A query for the A records of `a.internal`.
        let query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\x08internal\0\0\x01\0\x01";
        while child.try_wait().unwrap().is_none() {
            // Refused until it listens.
            let _refused = client.send(query);
            if client.recv(&mut [0; 512]).is_ok() {
                return Some((child, address));
            }
        }
        None
    }

    fn have(&self, hosts: &str) {
        std::fs::write(self.hosts.path(), hosts).unwrap();
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-HUP", &id]).status();
        assert!(told.unwrap().success());
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn the_records_of_a_real_name_server_come_and_go() {
    let (port, _origins) = origins();
    let dns = Dnsmasq::start("127.0.0.1 products.internal\n");
    let gateway = Gateway::start(&config(dns.address, port, ""));
    gateway.wait_for_all(&["other addresses", "[127.0.0.1]"]);
    assert_eq!(ask(&gateway).text(), "first");
    dns.have("127.0.0.2 products.internal\n");
    gateway.wait_for_all(&["other addresses", "[127.0.0.2]"]);
    assert_eq!(ask(&gateway).text(), "second");
    dns.have("");
    gateway.wait_for_all(&["cannot resolve", "what is known of it stays"]);
    assert_eq!(ask(&gateway).text(), "second");
    dns.have("127.0.0.2 products.internal\n::1 products.internal\n");
    gateway.wait_for_all(&["other addresses", "[127.0.0.2, ::1]"]);
}
