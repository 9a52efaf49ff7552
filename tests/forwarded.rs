//! Who asks, by the field that the listener believes (RFC 7239, and X-Forwarded-*), and what upstreams are told of it.

use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin};

/// A gateway behind trusted proxies, of which this host is one.
fn gateway(origin: &Origin, public: &str) -> Gateway {
    let trusted = "trusted_proxies = ['127.0.0.0/8', '10.0.0.0/8', 'fd00::/8']";
    let config = Configuration::new()
        .access_log()
        .public(trusted)
        .public(public)
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'");
    Gateway::start(&config)
}

/// What the log says of a request with these fields: client and scheme; and what the upstream saw, in lower case.
fn ask(gateway: &Gateway, origin: &Origin, fields: &[(&str, &str)]) -> (String, String, String) {
    let path = format!("/{}", origin.seen().len());
    let answer = send(gateway.listener("public"), "GET", &path, fields, b"");
    assert_eq!(answer.status, 200, "{fields:?}: {}", answer.text());
    let line = gateway.wait_for(&format!("\"path\":\"{path}\""));
    let line = &line[line.find('{').unwrap()..];
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let said = |key: &str| line[key].as_str().unwrap().to_owned();
    let seen = origin.seen().pop().unwrap().to_ascii_lowercase();
    (said("client"), said("scheme"), seen)
}

/// The lines of a name in what an upstream saw.
fn lines<'a>(seen: &'a str, name: &str) -> Vec<&'a str> {
    let of = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    seen.lines().filter_map(of).collect()
}

const FORWARDED: &str = "client_from = 'forwarded'";

#[test]
fn forwarded_is_believed_as_far_as_trusted_proxies_wrote_it() {
    let origin = Origin::start();
    let gateway = gateway(&origin, FORWARDED);
    for (field, client, scheme) in [
        ("for=1.2.3.4", "1.2.3.4", "http"),
        ("For=1.2.3.4;Proto=HTTPS;by=10.0.0.1", "1.2.3.4", "https"),
        ("for=\"1.2.3.4:567\";proto=\"https\"", "1.2.3.4", "https"),
        ("for=\"[2001:DB8::1]:4711\"", "2001:db8::1", "http"),
        ("for=\"[2001:db8::1]\"", "2001:db8::1", "http"),
        // The client writes what is left of the last address that is no proxy's.
        (
            "for=6.6.6.6, for=1.2.3.4;proto=https, for=10.0.0.2;proto=http",
            "1.2.3.4",
            "https",
        ),
        (
            "for=6.6.6.6;proto=https,for=1.2.3.4;proto=http",
            "1.2.3.4",
            "http",
        ),
        // What is no address ends the walk.
        ("for=1.2.3.4, for=unknown;proto=https", "127.0.0.1", "https"),
        ("for=1.2.3.4, for=_hidden, for=10.0.0.2", "10.0.0.2", "http"),
        ("for=1.2.3.4, proto=https", "127.0.0.1", "https"),
        ("for=1.2.3.4;for=5.6.7.8", "127.0.0.1", "http"),
        ("for=1.2.3.4;x=\"", "127.0.0.1", "http"),
        ("1.2.3.4", "127.0.0.1", "http"),
        ("for=[2001:db8::1]", "127.0.0.1", "http"),
        ("for=2001:db8::1", "127.0.0.1", "http"),
        ("for=\"2001:db8::1\"", "127.0.0.1", "http"),
        ("for=9.9.9.9:80", "127.0.0.1", "http"),
        ("for=9.9.9.9 ; proto=https", "127.0.0.1", "http"),
        // Quoted text has no separators in it, and a quote that a client left open hides nothing.
        (
            "for=6.6.6.6;x=\"a, for=7.7.7.7\", for=1.2.3.4",
            "1.2.3.4",
            "http",
        ),
        ("for=\"6.6.6.6, for=1.2.3.4", "1.2.3.4", "http"),
        ("for=\"1.2.3\\.4\"", "1.2.3.4", "http"),
        // Empty members are none.
        ("for=1.2.3.4, ,", "1.2.3.4", "http"),
    ] {
        let (said, by, seen) = ask(&gateway, &origin, &[("Forwarded", field)]);
        assert_eq!((said.as_str(), by.as_str()), (client, scheme), "{field}");
        let list = match client {
            "127.0.0.1" => client.to_owned(),
            client => format!("{client}, 127.0.0.1"),
        };
        assert_eq!(lines(&seen, "x-forwarded-for"), [list], "{field}");
        assert_eq!(lines(&seen, "x-forwarded-proto"), [scheme], "{field}");
        for written in ["6.6.6.6", "7.7.7.7", "hidden"] {
            assert!(!seen.contains(written), "{field}: {seen}");
        }
    }
    let (client, ..) = ask(
        &gateway,
        &origin,
        &[("forwarded", "for=1.2.3.4"), ("forwarded", "for=10.0.0.3")],
    );
    assert_eq!(client, "1.2.3.4");
}

#[test]
fn forwarded_is_continued_for_the_upstream() {
    let origin = Origin::start();
    let gateway = gateway(&origin, FORWARDED);
    let public = gateway.listener("public");
    let own = format!("for=127.0.0.1;host=\"{public}\";proto=http");
    let (.., seen) = ask(&gateway, &origin, &[]);
    assert_eq!(lines(&seen, "forwarded"), [own.as_str()]);
    let fields = [
        (
            "forwarded",
            "for=6.6.6.6, for=1.2.3.4;host=a.test;proto=https",
        ),
        ("forwarded", "for=10.0.0.2"),
    ];
    let (.., seen) = ask(&gateway, &origin, &fields);
    let list = format!("for=1.2.3.4;host=a.test;proto=https, for=10.0.0.2, {own}");
    assert_eq!(lines(&seen, "forwarded"), [list.as_str()]);
    assert_eq!(lines(&seen, "x-forwarded-host"), ["a.test"]);
    // What the peer wrote of a client without an address.
    let fields = "for=6.6.6.6, for=unknown;host=a.test;proto=https";
    let (.., seen) = ask(&gateway, &origin, &[("forwarded", fields)]);
    let list = format!("for=unknown;host=a.test;proto=https, {own}");
    assert_eq!(lines(&seen, "forwarded"), [list.as_str()]);
}

/// Proxies add to one of the two: the other is what a client wrote.
#[test]
fn the_field_that_was_not_chosen_is_removed() {
    let origin = Origin::start();
    let strange = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-port", "6666"),
        ("x-real-ip", "6.6.6.6"),
        ("x_forwarded_for", "6.6.6.6"),
        ("forwarded", "for=1.2.3.4"),
    ];
    let kept = "unusual_names = 'keep'";
    let by_forwarded = gateway(&origin, &format!("{FORWARDED}\n{kept}"));
    let (client, scheme, seen) = ask(&by_forwarded, &origin, &strange);
    assert_eq!((client.as_str(), scheme.as_str()), ("1.2.3.4", "http"));
    for gone in ["6.6.6.6", "evil.test", "6666"] {
        assert!(!seen.contains(gone), "{seen}");
    }
    assert_eq!(lines(&seen, "x-real-ip"), ["1.2.3.4"]);
    for chosen in [kept, "client_from = 'x-forwarded-for'"] {
        let by_default = gateway(&origin, chosen);
        let fields = [
            ("forwarded", "for=6.6.6.6;proto=https"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-port", "443"),
        ];
        let (client, scheme, seen) = ask(&by_default, &origin, &fields);
        assert_eq!((client.as_str(), scheme.as_str()), ("1.2.3.4", "http"));
        assert!(!seen.contains("6.6.6.6"), "{seen}");
        assert!(lines(&seen, "forwarded").is_empty(), "{seen}");
        assert_eq!(lines(&seen, "x-real-ip"), ["1.2.3.4"]);
        assert_eq!(lines(&seen, "x-forwarded-port"), ["443"]);
    }
}

#[test]
fn a_list_of_schemes_is_read_where_the_client_stands_in_that_of_addresses() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    for (addresses, schemes, scheme) in [
        ("1.2.3.4", &["https"][..], "https"),
        ("1.2.3.4", &["HTTPS"], "https"),
        ("1.2.3.4", &["http"], "http"),
        ("1.2.3.4", &["https,http"], "http"),
        ("1.2.3.4", &["http, https"], "https"),
        ("1.2.3.4", &["http", "https"], "https"),
        ("1.2.3.4, 10.0.0.2", &["https,http"], "https"),
        ("6.6.6.6, 1.2.3.4, 10.0.0.2", &["http, https,http"], "https"),
        // Who writes one scheme, not a list, has looked at its own client or at the first.
        ("1.2.3.4, 10.0.0.2, 10.0.0.3", &["https"], "https"),
        ("1.2.3.4, 10.0.0.2, 10.0.0.3", &["https,http"], "https"),
        ("", &["https,http"], "http"),
        ("", &["https"], "https"),
        ("1.2.3.4", &["ftp"], "http"),
        ("1.2.3.4", &[], "http"),
    ] {
        let addresses = [("x-forwarded-for", addresses)];
        let addresses = addresses.iter().filter(|(_, list)| !list.is_empty());
        let schemes = schemes.iter().map(|list| ("x-forwarded-proto", *list));
        let fields: Vec<_> = addresses.copied().chain(schemes).collect();
        let (_, by, seen) = ask(&gateway, &origin, &fields);
        assert_eq!(by, scheme, "{fields:?}");
        let told = lines(&seen, "x-forwarded-proto");
        assert_eq!(told.len(), 1, "{fields:?}: {told:?}");
        assert_eq!(told, [scheme], "{fields:?}");
    }
}

/// RFC 9110, section 5.6.1.2.
#[test]
fn an_empty_member_of_the_addresses_is_none() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    for lists in [&["1.2.3.4,"][..], &["1.2.3.4", ","], &[", 1.2.3.4,,", ""]] {
        let fields: Vec<_> = lists
            .iter()
            .map(|list| ("x-forwarded-for", *list))
            .collect();
        let (client, _, seen) = ask(&gateway, &origin, &fields);
        assert_eq!(client, "1.2.3.4", "{lists:?}");
        assert_eq!(lines(&seen, "x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    }
}

/// What is no host is not told; then the upstream gets the one that the gateway was asked for.
#[test]
fn a_host_that_a_proxy_tells_has_one_spelling() {
    let origin = Origin::start();
    let by_forwarded = gateway(&origin, FORWARDED);
    let by_default = gateway(&origin, "");
    for (said, scheme, told) in [
        ("Z.example.:80", "http", "z.example"),
        ("z.example:443", "https", "z.example"),
        ("z.example:80", "https", "z.example:80"),
        ("[0::1]:8080", "http", "[::1]:8080"),
        ("", "http", ""),
        ("evil.example/x", "http", ""),
    ] {
        let field = format!("for=1.2.3.4;host=\"{said}\";proto={scheme}");
        let forwarded = [("forwarded", field.as_str())];
        let others = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-host", said),
        ];
        for (gateway, fields) in [(&by_forwarded, &forwarded[..]), (&by_default, &others)] {
            let (.., seen) = ask(gateway, &origin, fields);
            let own = gateway.listener("public").to_string();
            let told = if told.is_empty() { &own } else { told };
            assert_eq!(lines(&seen, "x-forwarded-host"), [told], "{fields:?}");
        }
    }
    // Where proxies write a list, it is that at the place of the client.
    let fields = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil.test, A.test"),
    ];
    let (.., seen) = ask(&by_default, &origin, &fields);
    assert_eq!(lines(&seen, "x-forwarded-host"), ["a.test"]);
}

#[test]
fn a_stranger_is_not_believed_whatever_the_listener_reads() {
    let origin = Origin::start();
    let config = Configuration::new()
        .access_log()
        .public(FORWARDED)
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let fields = [
        ("forwarded", "for=6.6.6.6;proto=https"),
        ("x-forwarded-for", "6.6.6.6"),
    ];
    let (client, scheme, seen) = ask(&gateway, &origin, &fields);
    assert_eq!((client.as_str(), scheme.as_str()), ("127.0.0.1", "http"));
    assert!(!seen.contains("6.6.6.6"), "{seen}");
    let public = gateway.listener("public");
    let own = format!("for=127.0.0.1;host=\"{public}\";proto=http");
    assert_eq!(lines(&seen, "forwarded"), [own.as_str()]);
}
