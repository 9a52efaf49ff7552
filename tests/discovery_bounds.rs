//! What the DNS says bounds neither memory nor log, undoes no drain, and is seen.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use crate::harness::dns::{NXDOMAIN, NameServer, Says, addresses_for};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::health::until;

/// The upstream `shop` at the name `shop.internal`, whose every address has this port.
fn config(dns: SocketAddr, port: u16, more: &str) -> Configuration {
    Configuration::new()
        .server(&format!("resolver = ['{dns}']"))
        .with(&format!(
            "[upstreams.shop]\nendpoints = [{{ dns = 'shop.internal:{port}', refresh = '1s' }}{more}"
        ))
        .route("all", "/**", "upstream = 'shop'")
}

fn shop(gateway: &Gateway) -> Value {
    get(gateway.admin(), "/upstreams/shop", &[]).json()
}

fn addresses(upstream: &Value) -> Vec<&str> {
    let endpoints = upstream["endpoints"].as_array().unwrap().iter();
    endpoints
        .map(|it| it["address"].as_str().unwrap())
        .collect()
}

/// A port that two addresses have.
fn origins() -> (u16, [Origin; 2]) {
    let first = Origin::saying("shop", ([127, 0, 0, 1], 0).into());
    let port = first.address.port();
    let second = Origin::saying("shop", ([127, 0, 0, 2], port).into());
    (port, [first, second])
}

#[test]
fn a_name_of_very_many_addresses_gives_so_many_endpoints_a_warning_and_short_lines() {
    let all = (0..1100).map(|at: u16| {
        let [high, low] = at.to_be_bytes();
        IpAddr::from([127, 1, high, low])
    });
    let dns = NameServer::start(Says::Addresses(all.collect(), 1));
    let gateway = Gateway::start(&config(dns.address, 80, "]"));
    gateway.wait_for_all(&["WARN", "too many A records", "left_out=76"]);
    let line = gateway.wait_for_all(&["other addresses", "127.1.0.0, ", "and 1008 more]"]);
    assert!(line.len() < 1000, "{line}");
    let shown = shop(&gateway);
    assert_eq!(addresses(&shown).len(), 1024);
    assert_eq!(shown["names"][0]["addresses"], 1024);
}

#[test]
fn names_are_shown_with_their_addresses_and_errors_and_the_log_says_who_was_asked() {
    let (port, _origins) = origins();
    let dns = NameServer::of(&["127.0.0.1"]);
    let gateway = Gateway::start(&config(dns.address, port, ", '127.0.0.2:1']"));
    let shown = shop(&gateway);
    let name = format!("shop.internal:{port}");
    let ok = serde_json::json!([{ "name": name, "addresses": 1, "error": null }]);
    assert_eq!(shown["names"], ok, "{shown}");
    let names: Vec<_> = shown["endpoints"].as_array().unwrap().iter().collect();
    assert_eq!(names[0]["name"], Value::Null, "{shown}");
    assert_eq!(names[1]["name"], "shop.internal", "{shown}");
    dns.say(NXDOMAIN);
    let asked = format!("asked=\"{}\"", dns.address);
    gateway.wait_for_all(&["cannot resolve", &asked]);
    let error = shop(&gateway)["names"][0]["error"].to_string();
    assert!(error.contains("NXDOMAIN"), "{error}");
}

#[test]
fn a_drain_of_an_address_holds_over_answers_without_it_and_until_it_is_restored() {
    let (port, [_first, second]) = origins();
    let dns = NameServer::of(&["127.0.0.1", "127.0.0.2"]);
    let gateway = Gateway::start(&config(dns.address, port, "]"));
    let at = second.address;
    let turn = |turn: &str| {
        let answer = gateway.post(&format!("/upstreams/shop/{at}/{turn}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let is_there = |wanted: bool| {
        until(&gateway, "its addresses", || {
            addresses(&shop(&gateway)).contains(&&*at.to_string()) == wanted
        });
    };
    let drained = || {
        let shown = shop(&gateway);
        let mut endpoints = shown["endpoints"].as_array().unwrap().iter();
        let it = endpoints
            .find(|it| it["address"] == at.to_string())
            .unwrap();
        it["takes_requests"] == false
    };
    is_there(true);
    assert_eq!(turn("drain")["left"], 1);
    let since = shop(&gateway)["endpoints"][1]["standing"][0]["since"].clone();
    dns.have(&["127.0.0.1"]);
    is_there(false);
    let elsewhere = serde_json::json!([{ "address": at.to_string(), "since": since }]);
    assert_eq!(shop(&gateway)["drained_elsewhere"], elsewhere);
    dns.have(&["127.0.0.1", "127.0.0.2"]);
    is_there(true);
    assert!(drained(), "{}", shop(&gateway));
    assert_eq!(shop(&gateway)["drained_elsewhere"], serde_json::json!([]));
    // Restored while no name has it.
    dns.have(&["127.0.0.1"]);
    is_there(false);
    assert_eq!(turn("restore")["changed"], true);
    dns.have(&["127.0.0.1", "127.0.0.2"]);
    is_there(true);
    assert!(!drained(), "{}", shop(&gateway));
    // A configuration without the name ends it.
    turn("drain");
    let other = Configuration::new()
        .with("[upstreams.shop]\nendpoints = ['127.0.0.1:1']")
        .route("all", "/**", "upstream = 'shop'");
    for config in [&other, &config(dns.address, port, "]")] {
        gateway.configure(config);
        assert_eq!(gateway.post("/reload").status, 200);
    }
    is_there(true);
    assert!(!drained(), "{}", shop(&gateway));
}

/// While a reload waits for another name, the DNS leaves an address out for one answer.
#[test]
fn an_endpoint_that_comes_and_goes_during_a_reload_is_checked_afterwards() {
    let (port, _origins) = origins();
    let both = || addresses_for(&["127.0.0.1", "127.0.0.2"], 1);
    let dns = NameServer::start(both());
    let health = "]\nhealth = { path = '/', interval = '50ms' }";
    let gateway = Gateway::start(&config(dns.address, port, health));
    let checks = || {
        gateway.metric(&format!(
            "gateway_endpoint_checks_total{{upstream=\"shop\",endpoint=\"127.0.0.2:{port}\",outcome=\"passed\"}}"
        ))
    };
    until(&gateway, "checks", || checks() > 2.0);
    for round in 0..3 {
        let one = addresses_for(&["127.0.0.1"], 1);
        dns.say(Says::InTurn(vec![both(), both(), both(), one, both()]));
        let waits = format!(", {{ dns = 'silent{round}.internal:1' }}{health}");
        gateway.configure(&config(dns.address, port, &waits));
        // By the watcher: a second reload would mend what the first one did.
        gateway.wait_for_all(&[
            "configuration reloaded",
            &format!("config_version={} ", round + 2),
        ]);
        let began = dns.asked(0).len();
        dns.asked(began + 3);
        let before = checks();
        until(&gateway, "more checks", || checks() > before + 2.0);
    }
}
