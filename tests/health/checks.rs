//! What is asked, what follows from the answers, and when nobody is asked any more.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::endpoint::{Endpoint, Mood, WELL};
use super::{obstacle, until};
use crate::harness::{Configuration, Gateway, get};

/// Everything to the upstream `shop` with these endpoints.
pub(super) fn config(endpoints: &[SocketAddr], health: &str) -> Configuration {
    let addresses: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    Configuration::new()
        .with(&format!(
            "[upstreams.shop]\nendpoints = {addresses:?}\n{health}"
        ))
        .route("all", "/**", "upstream = 'shop'")
}

/// Checks every 50 ms; what takes an endpoint out is two of them, and three bring it back.
fn often(more: &str) -> String {
    format!(
        "health = {{ interval = \"50ms\", timeout = \"2s\", healthy_after = 3, unhealthy_after = 2, {more} }}"
    )
}

/// Checks so far with this outcome.
fn checks(gateway: &Gateway, endpoint: &Endpoint, outcome: &str) -> f64 {
    let address = endpoint.address;
    gateway.metric(&format!(
        "gateway_endpoint_checks_total{{upstream=\"shop\",endpoint=\"{address}\",outcome=\"{outcome}\"}}"
    ))
}

fn is_unhealthy(gateway: &Gateway, endpoint: &Endpoint) -> bool {
    obstacle(gateway, endpoint.address, "unhealthy")
}

#[test]
fn an_endpoint_that_goes_bad_gets_no_requests_until_it_is_well_again_and_nobody_notices() {
    let (well, ill) = (Endpoint::start("well"), Endpoint::start("ill"));
    let health = "health = { path = \"/healthz\", interval = \"50ms\", timeout = \"150ms\", unhealthy_after = 2 }";
    let gateway = Gateway::start(&config(&[well.address, ill.address], health));
    let public = gateway.listener("public");
    let passes = || checks(&gateway, &ill, "passed");
    for (mood, why) in [
        (Mood::Gone, "Connection refused"),
        (Mood::Answers(500), "it answered 500"),
        (Mood::Answers(204), "it answered 204"),
        (Mood::Hangs, "no answer within 150ms"),
        (Mood::Garbage, "invalid HTTP"),
        (Mood::Closes, "connection closed"),
    ] {
        ill.is(mood);
        until(&gateway, why, || is_unhealthy(&gateway, &ill));
        let line = gateway.wait_for_all(&["the endpoint is unhealthy", why]);
        assert!(line.contains(&ill.address.to_string()), "{line}");
        let before = ill.requests();
        for _ in 0..6 {
            assert_eq!(get(public, "/x", &[]).text(), "well", "{mood:?}");
        }
        assert_eq!(ill.requests(), before, "{mood:?}");
        ill.is(WELL);
        let passed = passes();
        until(&gateway, "well again", || !is_unhealthy(&gateway, &ill));
        assert!(passes() >= passed + 1.0, "{mood:?}");
        for _ in 0..6 {
            assert_eq!(get(public, "/x", &[]).status, 200, "{mood:?}");
        }
        assert_eq!(ill.requests(), before + 3, "{mood:?}");
    }
    assert!(!is_unhealthy(&gateway, &well));
    assert!(checks(&gateway, &well, "passed") > 0.0);
    assert_eq!(checks(&gateway, &well, "failed"), 0.0);
    // A check is no request.
    let sum = "gateway_upstream_requests_total{upstream=\"shop\"}";
    assert_eq!(gateway.metric(sum), 72.0);
    let open = gateway.metric("gateway_upstream_connections{upstream=\"shop\"}");
    assert!(open <= 2.0, "{open}");
}

#[test]
fn a_check_arrives_as_it_is_configured_and_by_itself_on_its_connection() {
    let (endpoint, other) = (Endpoint::start("one"), Endpoint::start("other"));
    let lines = "path = \"/healthz?deep=1\", method = \"HEAD\", host = \"shop.internal\", headers = { x-probe = \"me\", user-agent = \"probe\" }, expect = [\"2xx\", 404]";
    let gateway = Gateway::start(&config(&[endpoint.address], &often(lines)));
    until(&gateway, "a check", || !endpoint.checks().is_empty());
    let head = &endpoint.checks()[0];
    assert!(
        head.starts_with("HEAD /healthz?deep=1 HTTP/1.1\r\n"),
        "{head}"
    );
    for field in [
        "host: shop.internal",
        "x-probe: me",
        "user-agent: probe",
        "connection: close",
    ] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{head}");
    }
    endpoint.is(Mood::Answers(404));
    let so_far = checks(&gateway, &endpoint, "passed");
    until(&gateway, "404 is well", || {
        checks(&gateway, &endpoint, "passed") > so_far + 2.0
    });
    endpoint.is(Mood::Answers(403));
    until(&gateway, "403 is not", || is_unhealthy(&gateway, &endpoint));

    // At another port, whose address is the host then.
    let lines = format!("path = \"/healthz\", port = {}", other.address.port());
    gateway.configure(&config(&[endpoint.address], &often(&lines)));
    until(&gateway, "well there", || {
        !is_unhealthy(&gateway, &endpoint)
    });
    let head = &other.checks()[0];
    assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
    let host = format!("\r\nhost: {}\r\n", other.address);
    assert!(head.contains(&host), "{head}");
    assert!(
        head.contains("\r\nuser-agent: gateway-health-check/"),
        "{head}"
    );
}

#[test]
fn an_endpoint_is_healthy_until_a_check_says_otherwise_and_the_first_check_of_all_decides() {
    let (new, port) = (Endpoint::start("new"), Endpoint::start("checked"));
    port.is(Mood::Hangs);
    let health = |interval, timeout| {
        format!(
            "health = {{ path = \"/healthz\", port = {}, interval = \"{interval}\", timeout = \"{timeout}\", unhealthy_after = 1000 }}",
            port.address.port()
        )
    };
    let gateway = Gateway::start(&config(&[new.address], &health("50ms", "1h")));
    until(&gateway, "a check under way", || !port.checks().is_empty());
    assert_eq!(get(gateway.listener("public"), "/x", &[]).text(), "new");
    port.is(Mood::Gone);
    until(&gateway, "one failure", || is_unhealthy(&gateway, &new));
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 503);
    assert_eq!(new.requests(), 1, "nobody takes requests");
    port.is(WELL);
    until(&gateway, "well", || !is_unhealthy(&gateway, &new));
    port.is(Mood::Gone);
    let so_far = checks(&gateway, &new, "failed");
    until(&gateway, "failures", || {
        checks(&gateway, &new, "failed") > so_far + 5.0
    });
    assert!(
        !is_unhealthy(&gateway, &new),
        "one has passed: a row decides"
    );
}

#[test]
fn what_is_known_outlives_a_reload_and_checks_end_with_what_they_are_for() {
    let (ill, well) = (Endpoint::start("ill"), Endpoint::start("well"));
    let both = config(&[ill.address, well.address], &often("path = \"/healthz\""));
    let gateway = Gateway::start(&both);
    ill.is(Mood::Gone);
    until(&gateway, "it is out", || is_unhealthy(&gateway, &ill));
    gateway.configure(
        &both
            .clone()
            .route("more", "/more", "respond = { status = 204 }"),
    );
    gateway.wait_for("config_version=2");
    assert!(is_unhealthy(&gateway, &ill), "no check is needed for that");
    let public = gateway.listener("public");
    assert_eq!(get(public, "/x", &[]).text(), "well");
    let said = gateway.text().matches("the endpoint is unhealthy").count();
    assert_eq!(said, 1, "{}", gateway.text());

    // Without `health` it is taken for healthy, and nobody is asked.
    gateway.configure(&config(&[ill.address, well.address], ""));
    until(&gateway, "nobody asks", || !is_unhealthy(&gateway, &ill));
    let asked = well.checks().len();
    // One check takes as long as many in the place of those.
    let timed = Endpoint::start("timed");
    gateway.configure(&config(&[timed.address], &often("path = \"/healthz\"")));
    until(&gateway, "ten checks of another", || {
        timed.checks().len() > 10
    });
    // The one that was under way.
    assert!(
        well.checks().len() <= asked + 1,
        "an endpoint that is gone is asked"
    );

    // The upstream is gone as a whole.
    let other = config(&[ill.address], "").with(&format!(
        "[upstreams.other]\nendpoints = [\"{}\"]\n{}",
        well.address,
        often("path = \"/healthz\"")
    ));
    gateway.configure(&other);
    gateway.wait_for("config_version=5");
    let (asked, of_other) = (timed.checks().len(), well.checks().len());
    until(&gateway, "ten more", || well.checks().len() > of_other + 10);
    assert!(timed.checks().len() <= asked + 1);
}

#[test]
fn a_check_by_tcp_asks_for_a_connection_and_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let well = Endpoint::start("well");
    let gateway = Gateway::start(&config(&[address, well.address], &often("kind = \"tcp\"")));
    let (mut stream, _) = listener.accept().unwrap();
    let mut read = Vec::new();
    let ended = std::io::Read::read_to_end(&mut stream, &mut read);
    assert_eq!((ended.ok(), read.len()), (Some(0), 0));
    assert!(!obstacle(&gateway, address, "unhealthy"));
    drop(listener);
    until(&gateway, "it is out", || {
        obstacle(&gateway, address, "unhealthy")
    });
    assert_eq!(get(gateway.listener("public"), "/x", &[]).text(), "well");
}

#[test]
fn the_example_of_health_takes_out_what_is_ill_by_check_or_by_its_answers() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let gateway = Gateway::example(
        "health",
        &[("SHOP_1", one.address), ("SHOP_2", two.address)],
    );
    let public = gateway.listener("public");
    let names = || -> std::collections::BTreeSet<String> {
        (0..4).map(|_| get(public, "/shop/x", &[]).text()).collect()
    };
    assert_eq!(names().len(), 2);
    // By its answers: five in a row, of ten requests.
    until(&gateway, "both were checked", || {
        !one.checks().is_empty() && !two.checks().is_empty()
    });
    one.is(Mood::Answers(503));
    until(&gateway, "it is out", || {
        get(public, "/shop/x", &[]);
        gateway.text().contains("the endpoint is ejected")
            || gateway.text().contains("the endpoint is unhealthy")
    });
    assert_eq!(names(), ["two".to_owned()].into());
}

#[test]
fn a_check_takes_no_more_of_an_endpoint_than_it_needs() {
    let flood = |head: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let (flood, mut request) = (head.repeat(1000), [0; 1024]);
                    if !stream.read(&mut request).is_ok_and(|length| length > 0) {
                        return;
                    }
                    while stream.write_all(&flood).is_ok() {}
                });
            }
        });
        address
    };
    let health = "health = { path = \"/healthz\", interval = \"50ms\", timeout = \"1h\" }";
    for (head, why) in [
        (
            &b"HTTP/1.1 103 Early Hints\r\n\r\n"[..],
            "more than 8 informational answers",
        ),
        (b"HTTP/1.1 200 OK\r\nx: y\r\n", "check failed"),
    ] {
        let gateway = Gateway::start(&config(&[flood(head)], health));
        gateway.wait_for_all(&["the endpoint is unhealthy", why]);
    }
    // One that sends a body without end behind its head is well.
    let address = flood(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n");
    let gateway = Gateway::start(&config(&[address], health));
    until(&gateway, "a check that passed", || {
        let line = format!(
            "gateway_endpoint_checks_total{{upstream=\"shop\",endpoint=\"{address}\",outcome=\"passed\"}}"
        );
        gateway.metric(&line) > 1.0
    });
    assert!(!obstacle(&gateway, address, "unhealthy"));
}
