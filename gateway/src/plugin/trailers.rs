//! Trailers on their way through a plugin: which it sees, and which it may replace.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::limits::FIELDS;
use crate::config::{Grants, HeaderPatterns};
use crate::message::phase::Direction;
use crate::message::{fields, headers};

/// Those that the plugin may read.
pub(super) fn seen(
    trailers: &HeaderMap,
    direction: Direction,
    grants: &Grants,
) -> Vec<wit::Header> {
    let (reads, _) = of(direction, grants);
    trailers
        .iter()
        .filter(|(name, _)| reads.covers(name.as_str()))
        .map(|(name, value)| wit::Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        })
        .collect()
}

/// The trailers with what the plugin made of those that it saw and may write. What may not trail is left out, and so
/// is what is not well formed.
pub(super) fn replaced(
    mut trailers: HeaderMap,
    made: Vec<wit::Header>,
    direction: Direction,
    grants: &Grants,
) -> HeaderMap {
    let (reads, writes) = of(direction, grants);
    headers::remove_where(&mut trailers, |name| {
        reads.covers(name.as_str()) && writes.covers(name.as_str())
    });
    for wit::Header { name, value } in made {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) else {
            continue;
        };
        let fits = writes.covers(name.as_str()) && fields::may_trail(name.as_str());
        if fits && trailers.len() < FIELDS && trailers.try_append(name, value).is_err() {
            break;
        }
    }
    trailers
}

/// The fields of this direction that the plugin may read, and those that it may write.
fn of(direction: Direction, grants: &Grants) -> (&HeaderPatterns, &HeaderPatterns) {
    match direction {
        Direction::Request => (&grants.read_request_headers, &grants.write_request_headers),
        Direction::Response => (
            &grants.read_response_headers,
            &grants.write_response_headers,
        ),
    }
}
