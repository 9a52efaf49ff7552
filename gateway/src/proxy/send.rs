//! What goes to the client: a head, and the body at the client's pace.

use std::sync::Arc;

use http::response::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as _;

use super::answer::Source;
use super::body::Body;
use super::chain::Responded;
use super::grpc;
use super::passage::Passage;
use super::stream::Edits;
use super::tail::Tail;
use crate::message::body::Progress;
use crate::message::headers;

/// Sends the head; the body follows at the client's pace, and with its end the exchange is over.
pub(super) fn send(
    mut passage: Passage,
    mut responded: Responded,
    progress: &Arc<Progress>,
) -> Response<Body> {
    let length = match is_alone(&passage) {
        true => responded.leave_out(&passage),
        false => responded.length(&passage),
    };
    let mut head = head(&mut passage, &length);
    if let Some(kind) = grpc::refused(&passage) {
        grpc::translate(&mut head, responded.body.held(), kind);
        passage.record.grpc(&head.headers);
        responded.body = Source::Empty;
        responded.pipeline = None;
    }
    let Responded { body, pipeline, .. } = responded;
    let tail = Tail::new(passage, progress.clone());
    let body = match pipeline {
        Some(pipeline) => Body::edited(Edits::new(*pipeline, body, tail)),
        None => Body::plain(body, tail),
    };
    Response::from_parts(head, body)
}

/// What Content-Length says of a body.
pub(super) enum Length {
    /// What the upstream announced.
    Kept,
    /// Nothing, unless the connection to the client knows better.
    Open,
    /// This many bytes.
    Of(usize),
}

impl Responded {
    /// What Content-Length says of the body.
    fn length(&self, passage: &Passage) -> Length {
        match (&self.pipeline, &self.body) {
            // What it announces to a HEAD is not to come, and the client, who may have asked for another, waits.
            (None, Source::Upstream(_)) if passage.request.method == Method::HEAD => Length::Of(0),
            (None, Source::Upstream(_)) => Length::Kept,
            _ => Length::Open,
        }
    }

    /// Leaves the body out; what Content-Length says then. To a HEAD, the length of a body made here; one from an
    /// upstream came without its bytes. A 204 has none (RFC 9110, section 8.6), and that of a 205 is 0 (15.3.6).
    #[cold]
    fn leave_out(&mut self, passage: &Passage) -> Length {
        let is_head = passage.client.method == Method::HEAD && passage.record.upstream.is_none();
        let length = match (&self.pipeline, &self.body) {
            _ if status(passage) == Some(StatusCode::NO_CONTENT) => Length::Open,
            _ if status(passage) == Some(StatusCode::RESET_CONTENT) => Length::Of(0),
            _ if self.would_be_edited => Length::Open,
            (None, Source::Full(bytes)) if is_head => Length::Of(bytes.len()),
            (None, Source::Upstream(_)) => Length::Kept,
            _ => Length::Open,
        };
        self.pipeline = None;
        if !self.body.is_end_stream() {
            self.body = Source::Empty;
        }
        length
    }
}

/// Whether a head goes out without a body, whatever there is of one (RFC 9110, sections 9.3.2, 15.3.5, 15.3.6 and
/// 15.4.5).
pub(super) fn is_alone(passage: &Passage) -> bool {
    let is_bodiless = |status: StatusCode| {
        status.is_informational()
            || matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            )
    };
    passage.client.method == Method::HEAD || status(passage).is_some_and(is_bodiless)
}

/// Whether its status says that there is no content, and not only that none is sent (RFC 9110, sections 15.3.5 and 15.3.6).
pub(super) fn has_no_content(passage: &Passage) -> bool {
    let has_none = |status| matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    status(passage).is_some_and(has_none)
}

fn status(passage: &Passage) -> Option<StatusCode> {
    passage.response.head.as_ref().map(|head| head.status)
}

/// What goes to the client; the exchange keeps the status, and the fields only where a later phase reads them.
pub(super) fn head(passage: &mut Passage, length: &Length) -> Parts {
    let mut parts = Response::new(()).into_parts().0;
    let exchange = &mut *passage.exchange;
    let Some(head) = exchange.response.head.as_mut() else {
        return parts;
    };
    match length {
        Length::Kept => {}
        Length::Open => {
            head.headers.remove(header::CONTENT_LENGTH);
        }
        Length::Of(length) => {
            let length = HeaderValue::from(*length);
            head.headers.insert(header::CONTENT_LENGTH, length);
        }
    }
    let id = exchange.client.id.clone();
    head.headers.insert(headers::X_REQUEST_ID, id);
    exchange.record.status = Some(head.status);
    parts.status = head.status;
    let route = &exchange.route;
    let read_later = !route.on_complete.is_empty() || !route.response_stream.is_empty();
    parts.headers = if read_later {
        head.headers.clone()
    } else {
        std::mem::take(&mut head.headers)
    };
    parts
}
