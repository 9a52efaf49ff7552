//! A connection is opened for a line, by a task of its worker: who asked for it may leave, and the next finds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::connection::Shared;
use super::line::{Line, Opening};
use super::stream::Stream;
use crate::config::{Protocol, RouteTimeouts};
use crate::message::error::ErrorKind;
use crate::upstream::connect::connect;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::pool::{Client, Connection, Open};
use crate::upstream::times::Times;

/// Opens a connection at a place, within a limit, whoever still waits. `first` gets the first stream of it.
pub(super) fn begin(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    (open, limit): (Open, Duration),
    opening: Opening,
    first: oneshot::Sender<Stream>,
) {
    let (client, endpoint) = (client.clone(), endpoint.clone());
    let Some(upstream) = upstream.this.upgrade() else {
        return opening.failed(&SendError::protocol("the upstream is gone"), limit, false);
    };
    tokio::task::spawn_local(async move {
        let line = opening.line();
        let opened = opened(&client, &upstream, &endpoint, (open, limit), line);
        match opened.await {
            // Who left gives it back.
            Ok(Some(stream)) => drop(first.send(stream)),
            Ok(None) => {}
            Err(error) => opening.failed(&error, limit, false),
        }
    });
}

/// The first stream of a connection that is kept from now on; none where the endpoint chose HTTP/1.1.
async fn opened(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    (open, limit): (Open, Duration),
    line: &Line,
) -> Result<Option<Stream>, SendError> {
    let until = Instant::now() + limit;
    let own = RouteTimeouts {
        connect: Some(limit),
        ..RouteTimeouts::default()
    };
    let times = Times {
        own: Some(&own),
        ..Times::new(Instant::now())
    };
    let io = connect(upstream, endpoint, times).await?;
    let way = client.way(upstream, endpoint);
    if upstream.config.protocol == Protocol::Auto && io.agreed() != Some(b"h2") {
        line.chose_h1(endpoint, way.tls);
        // It was opened to find out, and is as good as one that another request left.
        Connection::over(io, client, upstream, endpoint, open).give_back();
        return Ok(None);
    }
    upstream.state.places.know(client);
    let target = &endpoint.target;
    let shared = timeout_at(
        until.into(),
        Shared::open(io, upstream, endpoint, way, open),
    );
    let shared = shared.await.unwrap_or_else(|_| {
        let why = format!("{target}: no stream of HTTP/2 within {limit:?}");
        Err(SendError::new(ErrorKind::ConnectTimeout, why))
    })?;
    let first = line.add(shared).ok_or_else(|| {
        let why = format!("{target}: the connection ended before it was used");
        SendError::protocol(why)
    });
    first.map(Some)
}
