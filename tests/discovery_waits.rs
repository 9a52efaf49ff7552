//! A name server that says nothing: what operators see while it is waited for.

use crate::harness::dns::{NameServer, Says};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::health::until;

#[test]
fn a_name_that_the_dns_has_not_answered_is_told_in_the_log_in_the_status_and_for_each_503() {
    let origin = Origin::saying("here", ([127, 0, 0, 1], 0).into());
    let port = origin.address.port();
    let dns = NameServer::start(Says::Nothing);
    let config = Configuration::new()
        .access_log()
        .server(&format!("resolver = ['{}']", dns.address))
        .with(&format!(
            "[upstreams.it]\nendpoints = [{{ dns = 'products.internal:{port}' }}]"
        ))
        .route("all", "/**", "upstream = 'it'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let shown = || get(gateway.admin(), "/upstreams/it", &[]).json()["names"][0].clone();
    // As long as the first look-up lasts, and once servers are given up.
    let is_told = |text: &str| {
        text.contains("the DNS has not answered yet")
            || text.contains("no name server answered in time")
    };
    let name = shown();
    assert_eq!(name["addresses"], 0);
    assert!(is_told(&name["error"].to_string()), "{name}");
    assert_eq!(get(public, "/", &[]).status, 503);
    let line = gateway.wait_for_all(&["no_endpoint", "`products.internal` has not resolved yet: "]);
    assert!(is_told(&line), "{line}");
    let asked = format!("asked=\"{}\"", dns.address);
    gateway.wait_for_all(&["WARN", "waiting for the DNS", "products.internal", &asked]);
    gateway.wait_for_all(&["cannot resolve", "no name server answered in time"]);
    let text = gateway.text();
    assert!(
        text.find("waiting for the DNS") < text.find("cannot resolve"),
        "{text}"
    );

    // It was asked for already: nobody waits for it again, and nothing is said of that.
    gateway.signal("HUP");
    gateway.wait_for("configuration reloaded");

    dns.have(&["127.0.0.1"]);
    gateway.wait_for("other addresses");
    assert_eq!(get(public, "/", &[]).text(), "here");
    until(&gateway, "no error", || shown()["error"].is_null());
    let said = gateway.text().matches("waiting for the DNS").count();
    assert_eq!(said, 1, "{}", gateway.text());
}
