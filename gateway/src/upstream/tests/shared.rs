//! Connections of HTTP/2 that requests share, and when one ends.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;

use super::wire::{run, sent, server};
use super::*;
use crate::message::body::Outgoing;

const IDLE: Duration = Duration::from_millis(30);

/// An upstream whose connections may idle for so long, and how many were made to it.
async fn idling(idle_timeout: Duration) -> (Arc<Upstream>, Arc<Metrics>, Rc<Cell<usize>>) {
    let (address, connections) = server().await;
    let mut config = configured("h2", &[&address.to_string()]);
    config.protocol = Protocol::H2;
    config.pool.idle_timeout = idle_timeout;
    let metrics = Metrics::new(1);
    let upstream = registered(&Registry::default(), &config, &metrics);
    (upstream, metrics, connections)
}

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
    for (idle_timeout, lives) in [(Duration::from_mins(10), true), (IDLE, false)] {
        run(async move {
            let (upstream, metrics, connections) = idling(idle_timeout).await;
            let client = Arc::new(Client::default());
            let open = |many: usize| {
                let line = format!("gateway_upstream_connections{{upstream=\"h2\"}} {many}");
                metrics.text().contains(&line)
            };
            ask(&client, &upstream).await;
            tokio::time::sleep(2 * IDLE).await;
            client.sweep();
            while !lives && !open(0) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(open(usize::from(lives)), "{}", metrics.text());
            ask(&client, &upstream).await;
            assert_eq!(connections.get(), if lives { 1 } else { 2 });
        });
    }
}

#[test]
fn one_that_idled_too_long_is_used_no_more_before_it_is_closed() {
    run(async {
        let (upstream, _metrics, connections) = idling(IDLE).await;
        let client = Arc::new(Client::default());
        for asked in 1..=3 {
            ask(&client, &upstream).await;
            assert_eq!(connections.get(), asked);
            tokio::time::sleep(2 * IDLE).await;
        }
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
