//! Requests that come back to the gateway: the mark that tells how deep they stand, and who is believed with it.

use std::net::{SocketAddr, TcpListener};

use crate::harness::{Configuration, Gateway, Origin, get};

const KEY: &str = "0123456789abcdef";

/// An origin that answers with the mark that it got, empty for none.
fn echo() -> Origin {
    Origin::answering(|head, _| {
        let mark = mark(head).unwrap_or_default();
        let length = mark.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{mark}").into_bytes()
    })
}

/// The mark in a head.
fn mark(head: &str) -> Option<&str> {
    let line = head
        .lines()
        .find(|line| line.starts_with("x-gateway-depth"))?;
    Some(line.split_once(": ")?.1)
}

/// A gateway before `peer`, which is one of the fleet, and `plain`, which is none.
fn fleet(peer: &Origin, plain: &Origin, key: &str) -> Configuration {
    let key = match key {
        "" => String::new(),
        key => format!("fleet_key = \"{key}\""),
    };
    Configuration::new()
        .server(&key)
        .upstream_with("peer", peer.address, "gateway = true")
        .upstream("plain", plain.address)
        .route("peer", "/peer", "upstream = 'peer'")
        .route("plain", "/plain", "upstream = 'plain'")
}

/// The mark that `/peer` gets for a request with this one.
fn after(public: SocketAddr, mark: &str) -> String {
    get(public, "/peer", &[("x-gateway-depth", mark)]).text()
}

#[test]
fn gateways_of_one_key_count_on_and_believe_nobody_else() {
    let (peer, plain) = (echo(), echo());
    let one = Gateway::start(&fleet(&peer, &plain, KEY));
    let same = Gateway::start(&fleet(&peer, &plain, KEY));
    let other = Gateway::start(&fleet(&peer, &plain, "another key of 16 bytes"));
    let none = Gateway::start(&fleet(&peer, &plain, ""));
    let [one, same, other, none] =
        [&one, &same, &other, &none].map(|gateway| gateway.listener("public"));
    let first = get(one, "/peer", &[]).text();
    let (depth, mac) = first.split_once('.').expect("a mark and its proof");
    assert_eq!(depth, "1");
    assert!(mac.len() >= 32, "{mac}");
    let second = after(same, &first);
    assert!(second.starts_with("2."), "{second}");
    for stranger in [other, none] {
        let begun = after(stranger, &second);
        assert!(begun.starts_with("1.") && begun != first, "{begun}");
    }
    let forged = [
        "8".to_owned(),
        "9".to_owned(),
        String::new(),
        format!("8.{mac}"),
        format!("2.{mac}"),
        format!("1.{}", &mac[1..]),
        format!("1.{mac}0"),
        format!("+1.{mac}"),
        format!("01.{mac}"),
        format!("0.{mac}"),
        format!("1.{}", mac.replace(|digit: char| digit != 'f', "f")),
        format!("8.{}", "\u{e9}".repeat(32)),
    ];
    for mark in forged {
        assert_eq!(after(one, &mark), first, "{mark} is believed");
    }
}

#[test]
fn no_other_upstream_gets_the_mark() {
    let (peer, plain) = (echo(), echo());
    let gateway = Gateway::start(&fleet(&peer, &plain, KEY));
    let public = gateway.listener("public");
    let first = get(public, "/peer", &[]).text();
    for mark in ["8", "1.0", &first] {
        let answer = get(public, "/plain", &[("x-gateway-depth", mark)]);
        assert_eq!((answer.status, &*answer.text()), (200, ""), "{mark}");
    }
}

#[test]
fn the_eighth_gateway_is_the_last_and_508_comes_after_it() {
    let (peer, plain) = (echo(), echo());
    let gateway = Gateway::start(&fleet(&peer, &plain, KEY));
    let public = gateway.listener("public");
    let mut mark = get(public, "/peer", &[]).text();
    for depth in 2..=8 {
        mark = after(public, &mark);
        assert!(mark.starts_with(&format!("{depth}.")), "{mark}");
    }
    let deep = get(public, "/peer", &[("x-gateway-depth", &mark)]);
    assert_eq!(deep.status, 508, "{}", deep.text());
    assert_eq!(peer.seen().len(), 8);
    // What is no gateway leads nowhere further.
    let plain = get(public, "/plain", &[("x-gateway-depth", &mark)]);
    assert_eq!(plain.status, 200);
}

#[test]
fn a_reload_keeps_the_random_key() {
    let (peer, plain) = (echo(), echo());
    let config = fleet(&peer, &plain, "");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let first = get(public, "/peer", &[]).text();
    gateway.configure(&config.route("more", "/more", "respond = { status = 200 }"));
    assert_eq!(gateway.post("/reload").status, 200);
    assert!(after(public, &first).starts_with("2."));
}

/// A gateway whose upstream `itself` is its own listener `open`, by these addresses of both.
fn looping(listen: &str, reach: &str) -> Gateway {
    let config = |port: u16| {
        let endpoint = format!("{reach}:{port}");
        Configuration::new()
            .with(&format!(
                "[[listeners]]\nname = \"open\"\naddress = \"{listen}:0\"\n[upstreams.itself]\nendpoints = [\"{endpoint}\"]"
            ))
            .route("loop", "/**", "upstream = 'itself'")
    };
    let gateway = Gateway::start(&config(1));
    let port = gateway.listener("open").port();
    gateway.configure(&config(port));
    let answer = gateway.post("/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.listener("open").port(), port, "the listener stayed");
    gateway
}

#[test]
fn a_request_that_is_forwarded_to_the_gateway_itself_ends_after_eight_hops() {
    for (listen, reach) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.9"),
        ("[::]", "127.0.0.1"),
        ("[::]", "[::1]"),
    ] {
        let has_it = TcpListener::bind(format!("{listen}:0")).is_ok();
        if !has_it && listen == "[::]" {
            // A machine without IPv6.
            continue;
        }
        let gateway = looping(listen, reach);
        let answer = get(gateway.listener("public"), "/", &[]);
        let told = gateway.text();
        assert_eq!(answer.status, 508, "{listen} by {reach}: {told}");
        let counted = r#"gateway_requests_total{route="loop",status="508"}"#;
        assert_eq!(gateway.metric(counted), 9.0, "{listen} by {reach}");
        assert_eq!(gateway.metric(r#"gateway_errors_total{kind="loop"}"#), 1.0);
    }
}

/// The guest that sends a sub-request to the upstream `origin`, and fails where that fails. Where it is skipped, the
/// request goes to `bypassed`.
fn waiting(sub: SocketAddr, bypassed: &Origin) -> Configuration {
    let plugin = r#"
grants = { upstreams = ["origin"], secrets = ["mine"], state = true }
config = { act = "wait" }
on_error = "open"
"#;
    Configuration::new()
        .secret("mine", "my s3cret")
        .plugin("hostile", "guest_hostile", plugin)
        .upstream("origin", sub)
        .upstream("bypassed", bypassed.address)
        .chain("guarded", "/wait", &["hostile"], "upstream = 'bypassed'")
}

#[test]
fn a_client_opens_no_plugin_by_a_mark_of_its_own() {
    let (sub, bypassed) = (Origin::start(), Origin::start());
    let gateway = Gateway::start(&waiting(sub.address, &bypassed));
    for mark in ["7", "8", "9", "255"] {
        let answer = get(
            gateway.listener("public"),
            "/wait",
            &[("x-gateway-depth", mark)],
        );
        assert_eq!((answer.status, &*answer.text()), (200, "200"), "{mark}");
    }
    assert!(bypassed.seen().is_empty(), "{:?}", bypassed.seen());
}

#[test]
fn a_loop_never_opens_a_plugin() {
    let bypassed = Origin::start();
    let gateway = Gateway::start(&waiting(bypassed.address, &bypassed));
    let public = gateway.listener("public");
    gateway.configure(&waiting(public, &bypassed));
    assert_eq!(gateway.post("/reload").status, 200);
    // The deepest is closed: 500, which the one before it gets as an answer.
    let answer = get(public, "/wait", &[]);
    assert_eq!((answer.status, &*answer.text()), (200, "200"));
    assert!(bypassed.seen().is_empty(), "{:?}", bypassed.seen());
    let failed = r#"gateway_plugin_failures_total{plugin="hostile",route="guarded",kind="loop"}"#;
    assert_eq!(gateway.metric(failed), 1.0);
    let status = r#"gateway_requests_total{route="guarded",status="500"}"#;
    assert_eq!(gateway.metric(status), 1.0);
}

/// The loop is on the way of the sub-request, behind the gateway that it goes to.
#[test]
fn a_loop_behind_a_sub_request_never_opens_a_plugin() {
    let bypassed = Origin::start();
    let gateway = Gateway::start(&waiting(bypassed.address, &bypassed));
    let public = gateway.listener("public");
    let config = waiting(public, &bypassed)
        .upstream("itself", public)
        .with("[[routes]]\nname = \"loop\"\nmatch = { path = \"/wait\", headers = { user-agent = { present = false } } }\nupstream = \"itself\"");
    gateway.configure(&config);
    assert_eq!(gateway.post("/reload").status, 200);
    let answer = get(public, "/wait", &[("user-agent", "client")]);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(bypassed.seen().is_empty(), "{:?}", bypassed.seen());
}
