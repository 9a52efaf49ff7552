//! Bodies that pass through plugins chunk by chunk, at the pace of whoever reads them.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::body::{Body, Edited};
use super::exchange::Exchange;
use crate::config::OnError;
use crate::message::body::{BodyFault, ClientBody, Outgoing, Progress};
use crate::plugin::Held;
use crate::upstream::ResponseBody;

/// Chunks that wait between the plugins and the socket.
const WAITING: usize = 1;

/// The instances that see the chunks, in the order in which they do, with what happens when one fails.
fn editors(exchange: &mut Exchange, places: &[usize]) -> Vec<(Held, OnError)> {
    let view = exchange.view.clone();
    let route = exchange.route.clone();
    let editor = |place: &usize| {
        let link = route.chain[*place];
        let pool = &view.pools[link.plugin];
        (
            pool.hold((*place, link.filter), exchange),
            pool.linked().config.on_error,
        )
    };
    places.iter().map(editor).collect()
}

/// The request body through the request-stream plugins.
pub(super) fn request(exchange: &mut Exchange, mut body: ClientBody) -> Outgoing {
    exchange.headers.remove(http::header::CONTENT_LENGTH);
    let route = exchange.route.clone();
    let editors = editors(exchange, &route.request_stream);
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_local(async move {
        loop {
            let (chunk, last) = match body.frame().await {
                None => (Bytes::new(), true),
                Some(Err(fault)) => {
                    let _closed = sender.send(Err(fault)).await;
                    return;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => (data, false),
                    Err(_trailers) => continue,
                },
            };
            let mut edited = Ok(chunk);
            for (held, on_error) in &editors {
                let Ok(chunk) = edited else { break };
                edited = held
                    .request_chunk(chunk.clone(), last)
                    .await
                    .or_else(|_reported| skip(*on_error, chunk));
            }
            let empty = matches!(&edited, Ok(chunk) if chunk.is_empty());
            let failed = edited.is_err();
            if (!empty && sender.send(edited).await.is_err()) || failed || last {
                return;
            }
        }
    });
    Outgoing::Edited(receiver)
}

/// A failed chunk call: the chunk as it was where the plugin may be skipped.
fn skip(on_error: OnError, chunk: Bytes) -> Result<Bytes, BodyFault> {
    match on_error {
        OnError::Open => Ok(chunk),
        OnError::Closed => Err(BodyFault::Plugin),
    }
}

/// The response body through the response-stream plugins; the exchange travels with it.
pub(super) fn response(
    exchange: Box<Exchange>,
    body: ResponseBody,
    progress: Rc<Progress>,
    deadline: Option<Instant>,
) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_local(async move {
        let pump = pump(exchange, body, &progress, &sender);
        match deadline {
            None => pump.await,
            Some(deadline) => {
                if tokio::time::timeout_at(deadline.into(), pump)
                    .await
                    .is_err()
                {
                    let _closed = sender.send(Edited::Fault(BodyFault::Timeout)).await;
                }
            }
        }
    });
    Body::edited(receiver)
}

async fn pump(
    mut exchange: Box<Exchange>,
    mut body: ResponseBody,
    progress: &Progress,
    sender: &mpsc::Sender<Edited>,
) {
    let route = exchange.route.clone();
    let editors = editors(&mut exchange, &route.response_stream);
    loop {
        let (mut chunk, trailers, last) = match body.frame().await {
            None => (Bytes::new(), None::<HeaderMap>, true),
            Some(Err(fault)) => {
                exchange.record.error = Some("response_broken");
                let _closed = sender.send(Edited::Fault(fault)).await;
                return;
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => (data, None, false),
                Err(frame) => (Bytes::new(), frame.into_trailers().ok(), false),
            },
        };
        if trailers.is_none() {
            for (held, on_error) in &editors {
                let (back, result) = held
                    .response_chunk(Some(exchange), chunk.clone(), last)
                    .await;
                // The plugin host gives back what it was given.
                let Some(back) = back else { return };
                exchange = back;
                match result.or_else(|_reported| skip(*on_error, chunk)) {
                    Ok(edited) => chunk = edited,
                    Err(fault) => {
                        exchange.record.error = Some("plugin");
                        let _closed = sender.send(Edited::Fault(fault)).await;
                        return;
                    }
                }
            }
        }
        let frame = match trailers {
            Some(trailers) => Some(Frame::trailers(trailers)),
            None => (!chunk.is_empty()).then(|| Frame::data(chunk)),
        };
        if let Some(frame) = frame {
            exchange.record.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
            if sender.send(Edited::Frame(frame)).await.is_err() {
                return;
            }
        }
        if last {
            exchange.record.bytes_in = progress.received.get();
            let _closed = sender.send(Edited::End(exchange)).await;
            return;
        }
    }
}
