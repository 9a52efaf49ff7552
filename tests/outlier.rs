//! Endpoints that fail their requests get none for a while.

use std::io::Write;
use std::net::SocketAddr;

use crate::harness::http::connect;
use crate::harness::{Configuration, Gateway, get};
use crate::health::endpoint::{Endpoint, Mood, WELL};
use crate::health::{obstacle, until};

/// Everything to one upstream with these endpoints.
fn config(endpoints: &[&Endpoint], lines: &str) -> Configuration {
    let addresses: Vec<_> = endpoints.iter().map(|it| it.address.to_string()).collect();
    Configuration::new()
        .with(&format!(
            "[upstreams.shop]\nendpoints = {addresses:?}\ntimeouts = {{ first_byte = \"200ms\" }}\n{lines}"
        ))
        .route("all", "/**", "upstream = 'shop'")
}

fn is_ejected(gateway: &Gateway, endpoint: &Endpoint) -> bool {
    obstacle(gateway, endpoint.address, "ejected")
}

fn ejections(gateway: &Gateway, endpoint: &Endpoint) -> f64 {
    let address = endpoint.address;
    gateway.metric(&format!(
        "gateway_endpoint_ejections_total{{upstream=\"shop\",endpoint=\"{address}\"}}"
    ))
}

/// Whether a request is answered well and whole.
fn is_served(public: SocketAddr) -> bool {
    let answer = get(public, "/x", &[]);
    let length = answer.header("content-length").map(str::to_owned);
    answer.status == 200 && length == Some(answer.body.len().to_string())
}

#[test]
fn an_endpoint_that_fails_so_many_requests_in_a_row_however_gets_no_more_until_its_time_is_over() {
    for mood in [
        Mood::Answers(500),
        Mood::Answers(503),
        Mood::Hangs,
        Mood::Garbage,
        Mood::BreaksOff,
        Mood::Closes,
        Mood::Gone,
    ] {
        let (well, ill) = (Endpoint::start("well"), Endpoint::start("ill"));
        let outlier = |ejection| {
            config(
                &[&ill, &well],
                &format!("outlier = {{ consecutive_failures = 3, ejection = \"{ejection}\" }}"),
            )
        };
        let gateway = Gateway::start(&outlier("1h"));
        let public = gateway.listener("public");
        assert!((0..10).all(|_| is_served(public)), "{mood:?}");
        ill.is(mood);
        // Every second one is lost, until the third.
        let lost = (0..30).filter(|_| !is_served(public)).count();
        assert_eq!(lost, 3, "{mood:?}: {}", gateway.text());
        assert!(is_ejected(&gateway, &ill) && !is_ejected(&gateway, &well));
        assert_eq!(ejections(&gateway, &ill), 1.0, "{mood:?}");
        let line = gateway.wait_for("the endpoint is ejected");
        assert!(line.contains("3 failures in a row"), "{line}");
        assert!(line.contains(&ill.address.to_string()), "{line}");

        ill.is(WELL);
        let before = ill.requests();
        // What is set anew holds for those that are ejected already.
        gateway.configure(&outlier("1ms"));
        until(&gateway, "its time is over", || !is_ejected(&gateway, &ill));
        assert!((0..10).all(|_| is_served(public)), "{mood:?}");
        assert_eq!(ill.requests(), before + 5, "{mood:?}");
        assert_eq!(gateway.text().matches("is ejected no more").count(), 1);
    }
}

#[test]
fn failures_that_are_not_in_a_row_eject_nobody_and_neither_do_those_of_clients() {
    let ill = Endpoint::start("ill");
    let well = Endpoint::start("well");
    let lines = "outlier = { consecutive_failures = 2, ejection = \"1h\", max_ejected = 1.0 }";
    let gateway = Gateway::start(&config(&[&ill, &well], lines));
    let public = gateway.listener("public");
    for _ in 0..10 {
        for mood in [Mood::Answers(500), Mood::Answers(404)] {
            ill.is(mood);
            get(public, "/x", &[]);
            get(public, "/x", &[]);
        }
    }
    ill.is(Mood::Hangs);
    well.is(Mood::Hangs);
    for _ in 0..6 {
        let mut client = connect(public);
        let begun = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nsome";
        client.write_all(begun).unwrap();
    }
    until(&gateway, "six that left", || {
        let left = ["body_broken", "client_closed"];
        let left = left.map(|kind| format!("gateway_errors_total{{kind=\"{kind}\"}}"));
        left.iter().map(|line| gateway.metric(line)).sum::<f64>() >= 6.0
    });
    assert_eq!(ejections(&gateway, &ill) + ejections(&gateway, &well), 0.0);
}

#[test]
fn no_more_are_ejected_than_may_be_and_never_the_last_that_takes_requests() {
    let endpoints = ["a", "b", "c"].map(Endpoint::start);
    let all: Vec<_> = endpoints.iter().collect();
    let rules = |endpoints: &[&Endpoint], max| {
        let lines = format!(
            "outlier = {{ consecutive_failures = 1, ejection = \"1h\", max_ejected = {max} }}"
        );
        config(endpoints, &lines)
    };
    let gateway = Gateway::start(&rules(&all, "0.5"));
    let public = gateway.listener("public");
    let ejected = || {
        endpoints
            .iter()
            .filter(|it| is_ejected(&gateway, it))
            .count()
    };
    let fail = || (0..12).for_each(|_| assert_eq!(get(public, "/x", &[]).status, 500));
    endpoints.iter().for_each(|it| it.is(Mood::Answers(500)));
    fail();
    assert_eq!(ejected(), 1);
    gateway.configure(&rules(&all, "1.0"));
    gateway.wait_for("config_version=2");
    fail();
    assert_eq!(ejected(), 2, "the last stays");
    gateway.configure(&rules(&all, "0.4"));
    until(&gateway, "one has to return", || ejected() == 1);
    gateway.configure(&rules(&all, "0.0"));
    until(&gateway, "none may be ejected", || ejected() == 0);
    fail();
    assert_eq!(ejected(), 0);
    gateway.configure(&rules(&all[..1], "1.0"));
    gateway.wait_for("config_version=5");
    fail();
    assert_eq!(ejected(), 0, "an only one stays");
}

#[test]
fn an_ejection_outlives_a_reload_that_does_not_touch_it_and_ends_with_its_configuration() {
    let (well, ill) = (Endpoint::start("well"), Endpoint::start("ill"));
    let outlier = "outlier = { consecutive_failures = 1, ejection = \"1h\" }";
    let rules = config(&[&ill, &well], outlier);
    let gateway = Gateway::start(&rules);
    let public = gateway.listener("public");
    ill.is(Mood::Answers(500));
    until(&gateway, "a failure", || !is_served(public));
    assert!(is_ejected(&gateway, &ill));
    let before = ill.requests();
    gateway.configure(&rules.route("more", "/more", "respond = { status = 204 }"));
    gateway.wait_for("config_version=2");
    assert!((0..10).all(|_| is_served(public)));
    assert!(is_ejected(&gateway, &ill));
    assert_eq!(ill.requests(), before);
    assert_eq!(ejections(&gateway, &ill), 1.0);
    gateway.configure(&config(&[&ill, &well], ""));
    until(&gateway, "no outlier", || !is_ejected(&gateway, &ill));
    let lost = (0..10).filter(|_| !is_served(public)).count();
    assert_eq!(lost, 5, "nobody counts any more");
}

#[test]
fn the_ejected_return_where_no_other_endpoint_is_healthy() {
    let (one, other) = (Endpoint::start("one"), Endpoint::start("other"));
    let lines = "outlier = { consecutive_failures = 1, ejection = \"1h\" }\n\
                 health = { path = \"/healthz\", interval = \"50ms\", unhealthy_after = 1 }";
    let gateway = Gateway::start(&config(&[&one, &other], lines));
    let public = gateway.listener("public");
    one.is(Mood::Pretends);
    until(&gateway, "a failure", || !is_served(public));
    assert!(is_ejected(&gateway, &one) && is_served(public));
    other.is(Mood::Gone);
    until(&gateway, "it is back", || !is_ejected(&gateway, &one));
    assert_eq!(get(public, "/x", &[]).status, 500);
    assert!(!is_ejected(&gateway, &one), "none but it takes requests");
    gateway.wait_for("no other endpoint takes requests");
}

#[test]
fn the_series_of_an_endpoint_go_with_it_and_the_sums_of_its_upstream_stay() {
    let (one, other) = (Endpoint::start("one"), Endpoint::start("other"));
    let gateway = Gateway::start(&config(&[&one, &other], ""));
    let public = gateway.listener("public");
    (0..6).for_each(|_| assert!(is_served(public)));
    let series = |name: &str, endpoint: &Endpoint, more: &str| {
        let address = endpoint.address;
        gateway.metric(&format!(
            "gateway_endpoint_{name}{{upstream=\"shop\",endpoint=\"{address}\"{more}}}"
        ))
    };
    for endpoint in [&one, &other] {
        assert_eq!(series("requests_total", endpoint, ",status=\"2xx\""), 3.0);
        assert_eq!(series("latency_seconds_count", endpoint, ""), 3.0);
        assert_eq!(series("in_flight", endpoint, ""), 0.0);
    }
    gateway.configure(&config(&[&other], ""));
    let name = one.address.to_string();
    until(&gateway, "its series are gone", || {
        !get(gateway.admin(), "/metrics", &[]).text().contains(&name)
    });
    let sum = "gateway_upstream_requests_total{upstream=\"shop\"}";
    assert_eq!(gateway.metric(sum), 6.0);
    assert_eq!(series("requests_total", &other, ",status=\"2xx\""), 3.0);
    // One that comes again begins anew.
    gateway.configure(&config(&[&one, &other], ""));
    gateway.wait_for("config_version=3");
    assert!(is_served(public) && is_served(public));
    assert_eq!(gateway.metric(sum), 8.0);
}
