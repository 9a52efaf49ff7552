//! Connections of HTTP/2 that requests share, and when one ends.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;

use super::wire::{run, sent, server};
use super::*;
use crate::message::body::Outgoing;

async fn ask(client: &Arc<Client>, upstream: &Upstream) {
    let (path, headers) = (PathAndQuery::from_static("/"), HeaderMap::new());
    let message = Message::new(&Method::POST, &path, &headers);
    let body = Outgoing::full(Bytes::from_static(b"body"));
    let (head, body) = sent(client, upstream, message, body).await.unwrap();
    assert_eq!(head.status, StatusCode::OK);
    body.collect().await.unwrap();
}

#[test]
fn a_connection_that_carries_nothing_is_closed_once_it_idled_long_enough() {
    run(async {
        let (address, connections) = server().await;
        let mut config = configured("h2", &[&address.to_string()]);
        config.protocol = Protocol::H2;
        config.pool.idle_timeout = Duration::from_millis(30);
        let metrics = Metrics::new(1);
        let upstream = registered(&Registry::default(), &config, &metrics);
        let client = Arc::new(Client::default());
        let open = |many: usize| {
            let line = format!("gateway_upstream_connections{{upstream=\"h2\"}} {many}");
            metrics.text().contains(&line)
        };
        ask(&client, &upstream).await;
        client.sweep();
        tokio::task::yield_now().await;
        assert!(open(1), "it has not idled yet: {}", metrics.text());
        tokio::time::sleep(Duration::from_millis(60)).await;
        client.sweep();
        while !open(0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ask(&client, &upstream).await;
        assert_eq!(connections.get(), 2);
    });
}

#[test]
fn one_that_carries_nothing_makes_way_for_another_worker() {
    run(async {
        let (address, connections) = server().await;
        let mut config = configured("h2", &[&address.to_string()]);
        config.protocol = Protocol::H2;
        config.pool.max_connections = 1;
        let upstream = registered(&Registry::default(), &config, &Metrics::new(1));
        let (one, other) = (Arc::new(Client::default()), Arc::new(Client::default()));
        for client in [&one, &other, &one] {
            ask(client, &upstream).await;
        }
        assert_eq!(connections.get(), 3);
    });
}
