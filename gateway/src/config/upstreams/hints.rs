//! Settings of an upstream that do nothing, or hurt, beside others.

use super::super::item::Item;
use super::super::model::{Protocol, Server, Upstream};

/// Warns of those of one upstream.
pub(super) fn report(item: &Item<'_>, upstream: &Upstream, server: &Server) {
    outlier(item, upstream);
    pool(item, upstream, server);
}

/// `outlier` that never ejects.
fn outlier(item: &Item<'_>, upstream: &Upstream) {
    let (Some(given), Some(outlier)) = (item.field("outlier"), upstream.outlier) else {
        return;
    };
    if upstream.names.is_empty() && upstream.endpoints.len() == 1 {
        given.warn(
            "never acts: the last endpoint that takes requests is not ejected, and there is one; add another endpoint, write \
             `breaker` instead, or remove this",
        );
    } else if outlier.max_ejected == 0 {
        given.warn(
            "never acts: `max_ejected` is 0; give it a share of the endpoints, or remove this",
        );
    }
}

/// Fewer connections of HTTP/2 than workers that each open one.
fn pool(item: &Item<'_>, upstream: &Upstream, server: &Server) {
    let (most, workers) = (upstream.pool.max_connections, server.workers);
    let given = item
        .field("pool")
        .and_then(|pool| pool.field("max_connections"));
    if let Some(given) = given
        && upstream.protocol != Protocol::H1
        && most < workers
    {
        given.warn(format!(
            "is less than the {workers} workers, and each needs a connection of HTTP/2 of its own: they take turns, which \
             holds requests up and costs a connection each time; write {workers} for each endpoint at least"
        ));
    }
}
