//! A listener behind a proxy of TCP, which says for whom it connects.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use rustls::version::TLS13;

use crate::harness::frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE, frame, get_fields, head};
use crate::harness::gateway::PATIENCE;
use crate::harness::http::{connect, read_answer};
use crate::harness::peer::Peer;
use crate::harness::recorder::Recorder;
use crate::harness::tls::{self, Certificate, Tls};
use crate::harness::{Answer, Configuration, Gateway};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const V1: &str = "PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n";
const BY_PROTOCOL: &str = "proxy_protocol = true\ntrusted_proxies = ['127.0.0.0/8', 'unix:']";

fn config(lines: &str) -> Configuration {
    Configuration::new().access_log().public(lines).route(
        "all",
        "/**",
        "respond = { body = 'you are {client}' }",
    )
}

/// Version 2: for 198.51.100.9, with something that nobody knows behind it.
fn v2() -> Vec<u8> {
    let addresses = [198, 51, 100, 9, 127, 0, 0, 1, 0x13, 0x88, 0, 80];
    let behind = [0xee, 0, 2, 1, 2];
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11";
    [&head[..], &addresses, &behind].concat()
}

fn ask(address: SocketAddr, header: &[u8], fields: &str) -> Answer {
    let mut client = connect(address);
    let get = GET.replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    client
        .write_all(&[header, get.as_bytes()].concat())
        .unwrap();
    read_answer(&mut client)
}

/// What comes before the connection closes.
fn rest_of(mut client: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // It may be reset, since the gateway does not read what comes behind.
    let _ended = client.read_to_end(&mut rest);
    rest
}

#[test]
fn who_the_header_names_is_the_client_everywhere() {
    let upstream = Recorder::start();
    let config = config(BY_PROTOCOL)
        .upstream("origin", upstream.address)
        .route("up", "/up", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let v6 = b"PROXY TCP6 2001:db8::7 ::1 5000 80\r\n";
    for (header, client) in [
        (V1.as_bytes(), "203.0.113.7"),
        (&v2(), "198.51.100.9"),
        (&v6[..], "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1"),
    ] {
        // Nobody is believed who says it in a field.
        let claim = "x-forwarded-for: 10.9.9.9\r\nforwarded: for=10.9.9.9\r\n";
        let answer = ask(public, header, claim);
        assert_eq!(answer.text(), format!("you are {client}"));
        gateway.wait_for(&format!("\"client\":\"{client}\""));
    }
    let mut client = connect(public);
    let get = GET.replace("GET /", "GET /up");
    client.write_all(format!("{V1}{get}").as_bytes()).unwrap();
    let request = upstream.wait("the request", |wires| {
        let text = wires.first()?.text();
        text.contains("\r\n\r\n").then_some(text)
    });
    assert!(
        request.contains("x-forwarded-for: 203.0.113.7\r\n"),
        "{request}"
    );
}

#[test]
fn a_header_may_come_in_any_pieces_before_http_1_http_2_and_tls() {
    let directory = tempfile::tempdir().unwrap();
    Certificate::new(&["a"]).write(directory.path(), "a");
    let certificates = "tls = { certificates = [{ cert = 'a.pem', key = 'a.key' }] }";
    let socket = format!("[[listeners]]\nname = 'local'\naddress = 'unix:a.sock'\n{BY_PROTOCOL}");
    let config = config(BY_PROTOCOL)
        .listener("secure", &format!("{BY_PROTOCOL}\n{certificates}"))
        .with(&socket);
    let gateway = Gateway::start_in(directory, &config, &[]);
    let mut local = UnixStream::connect(gateway.directory.path().join("a.sock")).unwrap();
    local.set_read_timeout(Some(PATIENCE)).unwrap();
    local.write_all(format!("{V1}{GET}").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut local).text(), "you are 203.0.113.7");

    let tls = Tls::trusting(
        [tls::read(gateway.directory.path(), "a")],
        &TLS13,
        &["http/1.1"],
    );
    for header in [V1.as_bytes(), &v2()] {
        let client = format!(
            "\"client\":\"{}\"",
            if header[0] == b'P' {
                "203.0.113.7"
            } else {
                "198.51.100.9"
            }
        );
        let mut plain = connect(gateway.listener("public"));
        for piece in [header, GET.as_bytes()].concat().chunks(7) {
            plain.write_all(piece).unwrap();
        }
        assert_eq!(read_answer(&mut plain).status, 200);
        gateway.wait_for_all(&[&client, "HTTP/1.1"]);

        let mut secure = connect(gateway.listener("secure"));
        secure.write_all(header).unwrap();
        let mut secure = tls.over(secure, "a");
        secure.write_all(GET.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut secure).status, 200);
        gateway.wait_for_all(&[&client, "https"]);

        let fields = head(&get_fields("/"));
        let get = frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields);
        let mut h2 = connect(gateway.listener("public"));
        let all = [header, PREFACE, &frame(4, 0, 0, &[]), &get].concat();
        h2.write_all(&all).unwrap();
        gateway.wait_for_all(&[&client, "HTTP/2"]);
    }
}

#[test]
fn a_connection_without_a_header_is_closed_and_told() {
    let limits = "limits = { header_timeout = '1s' }";
    let stranger = "proxy_protocol = true\ntrusted_proxies = ['192.0.2.0/24']";
    let gateway =
        Gateway::start(&config(&format!("{BY_PROTOCOL}\n{limits}")).listener("strict", stranger));
    let public = gateway.listener("public");
    for bytes in [
        GET.as_bytes(),
        b"PROXY TCP4 1.2.3.4\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PROXY TCP4 a b 1 2\r\n",
    ] {
        let mut client = connect(public);
        client.write_all(bytes).unwrap();
        assert_eq!(rest_of(client), b"");
    }
    gateway.wait_for_all(&[
        "connection closed: not of a proxy",
        "send-proxy-v2",
        "public",
    ]);
    // One that says nothing has the time of a head.
    assert_eq!(rest_of(connect(public)), b"");
    let mut client = connect(gateway.listener("strict"));
    client.write_all(format!("{V1}{GET}").as_bytes()).unwrap();
    assert_eq!(rest_of(client), b"");
    gateway.wait_for_all(&[
        "connection closed: not of a proxy",
        "trusted_proxies",
        "strict",
    ]);
    assert_eq!(ask(public, V1.as_bytes(), "").status, 200);
}

#[test]
fn fields_are_believed_of_proxies_that_the_header_names_where_that_is_asked_for() {
    let lines = format!("{BY_PROTOCOL}\nclient_from = 'x-forwarded-for'");
    let gateway = Gateway::start(&config(&lines));
    let public = gateway.listener("public");
    let claim = "x-forwarded-for: 192.0.2.1\r\n";
    let proxy = b"PROXY TCP4 127.0.0.9 127.0.0.1 5000 80\r\n";
    assert_eq!(ask(public, proxy, claim).text(), "you are 192.0.2.1");
    let stranger = ask(public, V1.as_bytes(), claim).text();
    assert_eq!(stranger, "you are 203.0.113.7");
}

#[test]
fn a_reload_asks_new_connections_for_it_and_lets_others_go_on() {
    let gateway = Gateway::start(&config(""));
    let public = gateway.listener("public");
    let mut open = connect(public);
    let get = GET.replace("close", "keep-alive");
    let mut asked = || {
        open.write_all(get.as_bytes()).unwrap();
        read_answer(&mut open).text()
    };
    assert_eq!(asked(), "you are 127.0.0.1");
    gateway.configure(&config(BY_PROTOCOL));
    gateway.wait_for("configuration reloaded");
    assert_eq!(ask(public, V1.as_bytes(), "").text(), "you are 203.0.113.7");
    assert_eq!(asked(), "you are 127.0.0.1");
}

fn haproxy(directory: &Path, servers: &[(&str, SocketAddr)]) -> (Peer, Vec<SocketAddr>) {
    let mut text = String::from(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n",
    );
    let mut addresses = Vec::new();
    for (how, gateway) in servers {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        text += &format!("listen {how}\n bind {address}\n server a {gateway} {how}\n");
        addresses.push(address);
    }
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let peer = Peer::haproxy(&file, &addresses);
    (peer, addresses)
}

#[test]
fn haproxy_says_who_connects_in_both_versions() {
    let gateway = Gateway::start(&config(BY_PROTOCOL));
    let public = gateway.listener("public");
    let servers = [("send-proxy", public), ("send-proxy-v2", public)];
    let directory = tempfile::tempdir().unwrap();
    let (_haproxy, addresses) = haproxy(directory.path(), &servers);
    for (at, address) in addresses.into_iter().enumerate() {
        let own = format!("127.0.0.{}:0", at + 2)
            .parse::<SocketAddr>()
            .unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&own.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client = TcpStream::from(socket);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(GET.as_bytes()).unwrap();
        let expected = format!("you are {}", own.ip());
        assert_eq!(read_answer(&mut client).text(), expected);
    }
}

#[test]
fn the_example_of_the_docs_answers_curl_as_they_say() {
    let gateway = Gateway::example("proxy-protocol", &[]);
    let url = format!("http://{}/whoami", gateway.listener("public"));
    let said = |arguments: &[&str]| {
        let output = Command::new("curl").args(arguments).arg(&url).output();
        let output = output.unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, text) = said(&["-s", "--haproxy-protocol"]);
    assert_eq!((code, &*text), (Some(0), "you are 127.0.0.1\n"));
    let (code, _) = said(&["-s"]);
    assert!(matches!(code, Some(52 | 56)), "{code:?}");
}
