//! Who may open one more connection to an upstream, and who waits for it.

use std::sync::Arc;
use std::time::Instant;

use super::Client;
use super::places::Offer;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::Refused;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::times::Times;

/// The right to one more connection, or one that came to rest.
pub(in crate::upstream) struct Admitted {
    pub(in crate::upstream) offer: Offer,
    /// Whether it was waited for.
    pub(in crate::upstream) waited: bool,
}

/// A place for one more connection. Where the pool is full, an idle connection makes way, or the request waits its turn.
pub(in crate::upstream) async fn place(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Endpoint,
    times: Times<'_>,
) -> Result<Admitted, SendError> {
    let places = &upstream.state.places;
    if let Some(free) = places.take() {
        let offer = Offer::Place(free);
        return Ok(Admitted {
            offer,
            waited: false,
        });
    }
    let way = client.way(upstream, endpoint);
    let patience = times.connect(&upstream.config);
    let most = upstream.config.max_pending;
    let (until, late) = match (Instant::now() + patience, times.end()) {
        (patience, Some(end)) if end.at < patience => (end.at, Some(end.kind)),
        (patience, _) => (patience, None),
    };
    let refused = match places.wait(way, most, until).await {
        Ok(offer) => {
            return Ok(Admitted {
                offer,
                waited: true,
            });
        }
        Err(refused) => refused,
    };
    let full = format!(
        "all {} connections that `pool.max_connections` allows are taken",
        upstream.config.pool.max_connections
    );
    let (kind, why) = match refused {
        Refused::QueueFull => (
            ErrorKind::Saturated,
            format!("{full}, and as many requests wait as `breaker.max_pending` allows, {most}"),
        ),
        Refused::QueueTimeout => match late {
            Some(ErrorKind::Deadline) => (ErrorKind::Deadline, full),
            Some(kind) => (
                kind,
                format!("{full}, and none came free within `retry.per_try`"),
            ),
            None => (
                ErrorKind::Saturated,
                format!("{full}, and none came free within the {patience:?} of `timeouts.connect`"),
            ),
        },
    };
    if kind == ErrorKind::Saturated {
        upstream.metrics.refused(refused);
    }
    Err(SendError::new(kind, why).blameless())
}
