//! Nothing of one exchange in another: what an upstream sends unasked, and what it takes for a request, is nobody's
//! answer.

mod begun;
mod bodies;
mod careless;

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use careless::Careless;

use crate::harness::client::{Client, run, whole};
use crate::harness::{Configuration, Gateway};
use crate::upstreams::{OK, begin, served};

/// Clients beside the one that attacks, half of them over HTTP/2, and the requests of each.
const VICTIMS: usize = 16;
const REQUESTS: usize = 100;

/// A request that is to be executed behind the gateway's back.
const HIDDEN: &str = "GET /t/s?id=SMUGGLED HTTP/1.1\r\nhost: a\r\n\r\n";

fn start(upstream: &Careless) -> Gateway {
    let config = Configuration::new()
        .upstream("origin", upstream.address)
        .route("all", "/t/**", "upstream = 'origin'");
    Gateway::start(&config)
}

async fn connect(address: SocketAddr, h2: bool) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    Client::new(stream, h2, "http").await
}

/// An answer that belongs to another request.
struct Wrong {
    asked: String,
    at: Instant,
    got: String,
}

/// How many answers were wrong, and the first of them.
fn told<'a>(wrong: impl Iterator<Item = &'a Wrong> + Clone) -> String {
    let first = wrong.clone().take(5);
    let first: Vec<_> = first
        .map(|wrong| format!("{} got {:?}", wrong.asked, wrong.got))
        .collect();
    let all = VICTIMS * REQUESTS;
    format!("{} of {all} are wrong: {first:?}", wrong.count())
}

/// Has every victim send its requests, one after the other, each with an id of its own, which the upstream answers with.
async fn victims(address: SocketAddr) -> Vec<Wrong> {
    let victims = (0..VICTIMS).map(|victim| {
        tokio::spawn(async move {
            let mut client = connect(address, victim % 2 == 0).await;
            let mut wrong = Vec::new();
            for request in 0..REQUESTS {
                let asked = format!("victim-{victim}-{request}");
                let at = Instant::now();
                let answer = client.get("a", &format!("/t/v?id={asked}"), &[]).await;
                let got = String::from_utf8_lossy(answer.body()).into_owned();
                if got != asked {
                    wrong.push(Wrong { asked, at, got });
                }
            }
            wrong
        })
    });
    let mut wrong = Vec::new();
    for victim in victims.collect::<Vec<_>>() {
        wrong.extend(victim.await.unwrap());
    }
    wrong
}

/// Hides requests in bodies until the victims are through.
async fn attack(address: SocketAddr, h2: bool) {
    let mut client = connect(address, h2).await;
    for method in [Method::GET, Method::DELETE, Method::OPTIONS]
        .iter()
        .cycle()
    {
        let body = whole(Bytes::from_static(HIDDEN.as_bytes()));
        let request = Request::builder().method(method).uri("/t/a?id=attacker");
        let answer = client.send("a", request.body(body).unwrap()).await;
        let answer = answer.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes(), "attacker", "{method}");
    }
}

#[test]
fn a_request_hidden_in_a_body_is_not_executed_and_nobody_gets_its_answer() {
    let upstream = Careless::start();
    let gateway = start(&upstream);
    let public = gateway.listener("public");
    let wrong = run(async {
        let attackers = [false, true].map(|h2| tokio::spawn(attack(public, h2)));
        let wrong = victims(public).await;
        for attacker in attackers {
            assert!(!attacker.is_finished(), "an attack failed");
            attacker.abort();
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", told(wrong.iter()));
    let lines = upstream.lines();
    let smuggled = |line: &&String| line.contains("SMUGGLED");
    assert_eq!(lines.iter().filter(smuggled).count(), 0);
    assert!(lines.iter().any(|line| line.contains("id=attacker")));
}

/// Surplus may also come when the next request is on its way already. No look can tell that; so only those answers
/// count that were in the gateway's kernel before the client asked.
#[test]
fn what_the_kernel_holds_before_a_request_comes_is_not_its_answer() {
    let upstream = Careless::with_surplus();
    let gateway = start(&upstream);
    let wrong = run(victims(gateway.listener("public")));
    let held = wrong
        .iter()
        .filter(|wrong| upstream.wrote_before(&wrong.got, wrong.at));
    assert!(held.clone().count() == 0, "{}", told(held));
    let surplus = gateway.metric("gateway_upstream_surplus_total{upstream=\"origin\"}");
    assert!(surplus >= 1.0, "{}", gateway.text());
}

#[test]
fn an_endpoint_that_sent_surplus_serves_on_without_keep_alive() {
    let (upstream, gateway, public) = begin();
    served(&upstream, public, 0);
    upstream.send(0, &[OK, OK].concat());
    for at in [1, 2, 3] {
        served(&upstream, public, at);
        upstream.ended(at - 1);
    }
    upstream.wait("the ends of all that followed", |wires| {
        let told = |at: usize| wires[at].text().contains("\r\nconnection: close\r\n");
        (2..=3).all(told).then_some(())
    });
    let metric = "gateway_upstream_surplus_total{upstream=\"origin\"}";
    assert_eq!(gateway.metric(metric), 1.0, "{}", gateway.text());
    let endpoint = format!("endpoint={}", upstream.address);
    let line = gateway.wait_for_all(&["more than the answer", "upstream=origin", &endpoint]);
    let text = gateway.text();
    assert_eq!(text.matches("more than the answer").count(), 1, "{line}");
}

#[test]
fn an_idle_connection_that_closes_with_408_is_no_surplus() {
    let (upstream, gateway, public) = begin();
    served(&upstream, public, 0);
    upstream.send(
        0,
        b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    );
    served(&upstream, public, 1);
    upstream.ended(0);
    upstream.wait("a request that keeps its connection", |wires| {
        (!wires[1].text().contains("connection: close")).then_some(())
    });
    let metric = "gateway_upstream_surplus_total{upstream=\"origin\"}";
    assert_eq!(gateway.metric(metric), 0.0);
}
