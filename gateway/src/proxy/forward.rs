//! The request on its way to an upstream, and the head of the answer on its way back: what changes before the attempts,
//! the attempts, and what is asked for again after them.

use http::uri::PathAndQuery;

use super::answer::Answer;
use super::attempt::{Hop, Try, Undelivered, Way, host};
use super::decode;
use super::mirror;
use super::passage::Passage;
use super::retry;
use crate::config::UpstreamId;
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::body::{Outgoing, Progress};
use crate::route::rewrite;

/// Sends the request, as one for an upgrade where the client asks for one, and waits for the head of the answer.
pub(super) async fn send(
    passage: &mut Passage,
    upstream: UpstreamId,
    body: Outgoing,
    hop: Hop<'_>,
    progress: &Progress,
) -> Result<Answer, Box<Undelivered>> {
    let hop = hop.beside_plugins(passage);
    let bodies = passage.route.response_bodies(passage.decisions);
    let view = passage.view.clone();
    rewrite_path(&mut passage.exchange)?;
    let edited = &mut passage.exchange.request.edited;
    if !edited.is_empty() {
        progress.forget(std::mem::take(edited));
    }
    if bodies.read {
        decode::ask(
            &mut passage.exchange,
            !matches!(body, Outgoing::Empty),
            bodies,
        );
    }
    // A tunnel has no copy.
    let has_mirrors = !passage.route.mirrors.is_empty() && !hop.is_upgrade();
    let body = match has_mirrors {
        true => {
            let exchange = &mut *passage.exchange;
            mirror::copied(exchange, &view, host(exchange), body)
        }
        false => body,
    };
    let way = Way {
        upstream: view.upstream(upstream),
        client: &view.client,
        hop,
        progress,
    };
    let answer = match passage.exchange.route.config.retry.clone() {
        None => way.attempt(&mut passage.exchange, Try::once(body)).await?,
        Some(retry) => Box::pin(retry::send(&retry, way, &mut passage.exchange, body)).await?,
    };
    if !bodies.read {
        return Ok(answer);
    }
    whole(way, passage, answer).await
}

/// Sends the request, as it was sent before, to another upstream.
pub(super) async fn again(
    passage: &mut Passage,
    upstream: UpstreamId,
    body: Outgoing,
    hop: Hop<'_>,
    progress: &Progress,
) -> Result<Answer, Box<Undelivered>> {
    let hop = hop.beside_plugins(passage);
    let bodies = passage.route.response_bodies(passage.decisions);
    let view = passage.view.clone();
    let way = Way {
        upstream: view.upstream(upstream),
        client: &view.client,
        hop,
        progress,
    };
    let answer = way.attempt(&mut passage.exchange, Try::once(body)).await?;
    if !bodies.read {
        return Ok(answer);
    }
    whole(way, passage, answer).await
}

/// The answer; where it is a part of what plugins read as a whole, the whole, which is asked for again.
async fn whole(
    way: Way<'_>,
    passage: &mut Passage,
    answer: Answer,
) -> Result<Answer, Box<Undelivered>> {
    let decisions = passage.decisions;
    let exchange = &mut *passage.exchange;
    if !decode::must_ask_again(exchange, &answer.head, decisions) {
        return Ok(answer);
    }
    decode::forget_range(exchange);
    // Its connection and its pass are the next one's.
    drop(answer);
    Box::pin(way.attempt(exchange, Try::once(Outgoing::Empty))).await
}

/// The last edit of the head: the path of the route.
fn rewrite_path(exchange: &mut Parts) -> Result<(), Box<Error>> {
    if let Some(path) = leaving_path(exchange)? {
        exchange.request.path = path;
    }
    Ok(())
}

/// The path that goes out, by the rewrite of the route; none where it stays.
pub(super) fn leaving_path(exchange: &Parts) -> Result<Option<PathAndQuery>, Box<Error>> {
    let route = &exchange.route.config;
    let rules = route.overrides.paths;
    let left = rewrite::path(&route.rewrite.path, &exchange.request.path, rules);
    left.map_err(|astray| Error::BadRewrite(astray.to_string()).into())
}
