//! What the gateway answers itself: `respond`, `errors`, `fallback`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

use super::upstream::UpstreamId;
use crate::config::Template;
use crate::message::error::{ErrorKind, Side};

/// `respond`, of a route or of its fallback.
#[derive(Debug, Clone)]
pub struct Respond {
    /// The status (200).
    pub status: StatusCode,
    /// The header fields. One says what the body is, where there is a body.
    pub headers: Vec<(HeaderName, FieldText)>,
    /// The body.
    pub body: AnswerBody,
}

/// The value of a header field.
#[derive(Debug, Clone)]
pub enum FieldText {
    /// The same for every request.
    Fixed(HeaderValue),
    /// With values of the request.
    Filled(Template<AnswerValue>),
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub struct AnswerBody {
    /// Its text. Braces around names that stand for nothing are text, as in JSON.
    pub text: Template<AnswerValue>,
    /// What becomes of the values in it.
    pub escapes: Escapes,
}

/// What keeps a value inside of the place that the text has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// As in a string of JSON (RFC 8259, section 7).
    Json,
    /// As in the text or an attribute of HTML and XML.
    Markup,
    /// A plain text has no places.
    Nothing,
}

impl Escapes {
    /// What a media type asks for. Of types that are not known, as JSON, whose strings scripts have, too.
    pub fn of(media_type: &str) -> Self {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let is_markup = ["html", "xml"].iter().any(|kind| essence.ends_with(kind));
        match essence.as_str() {
            _ if is_markup => Self::Markup,
            "text/plain" | "text/csv" | "text/markdown" => Self::Nothing,
            _ => Self::Json,
        }
    }
}

/// What stands in a hole of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerValue {
    /// `{name}`: a parameter of the path.
    Param(Arc<str>),
    /// `{host}`, with its port.
    Host,
    /// `{hostname}`, without it.
    Hostname,
    /// `{path}` that the client asked for.
    Path,
    /// `{query}`, without its question mark.
    Query,
    /// `{method}`
    Method,
    /// `{client}`: its address.
    Client,
    /// `{request_id}`
    RequestId,
    /// `{header.NAME}`: the first field of the request as it is after the plugins.
    Header(HeaderName),
    /// `{query.NAME}`: the first of that name, decoded.
    QueryOf(Box<str>),
    /// `{cookie.NAME}`
    Cookie(Box<str>),
    /// `{status}` of a failure.
    Status,
    /// `{reason}`: what a client is told of a failure.
    Reason,
}

/// `errors`: what stands for the problem documents of the gateway.
#[derive(Debug, Clone, Default)]
pub struct Errors(Vec<(Failed, Arc<ErrorPage>)>);

/// Which failures a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failed {
    /// `502`
    Status(u16),
    /// `5xx`, as 5.
    Class(u16),
}

/// What stands for the gateway's own words.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// In the place of the failure's own status.
    pub status: Option<StatusCode>,
    /// Fields beside those that the failure has, or in their place.
    pub headers: Vec<(HeaderName, FieldText)>,
    /// In the place of the problem document.
    pub body: Option<AnswerBody>,
}

impl Failed {
    /// Whether a status is meant.
    pub fn is(self, status: StatusCode) -> bool {
        match self {
            Self::Status(code) => code == status.as_u16(),
            Self::Class(class) => class == status.as_u16() / 100,
        }
    }
}

impl Errors {
    /// These pages: a status goes before its class.
    pub fn new(mut pages: Vec<(Failed, Arc<ErrorPage>)>) -> Self {
        pages.sort_by_key(|(failed, _)| *failed);
        Self(pages)
    }

    /// These, and behind all of them those of something wider.
    pub fn before(mut self, wider: &Self) -> Self {
        self.0.extend_from_slice(&wider.0);
        self
    }

    /// The page of a status.
    pub fn page(&self, status: StatusCode) -> Option<&ErrorPage> {
        let mut pages = self.0.iter();
        let found = pages.find(|(failed, _)| failed.is(status));
        found.map(|(_, page)| &**page)
    }
}

/// `routes.fallback`.
#[derive(Debug, Clone)]
pub struct Fallback {
    /// When it answers.
    pub on: Vec<FallbackOn>,
    /// What answers.
    pub to: FallbackTo,
}

/// What answers where the upstream does not.
#[derive(Debug, Clone)]
pub enum FallbackTo {
    /// Another upstream.
    Upstream(UpstreamId),
    /// The gateway.
    Respond(Respond),
}

/// An outcome that a fallback is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackOn {
    /// `connect`: no connection.
    Connect,
    /// `reset`: it broke before the answer, or what came was no answer.
    Reset,
    /// `timeout`: no connection or no answer in time.
    Timeout,
    /// `breaker`: the upstream has as many requests as it may.
    Breaker,
    /// This status, of the upstream's answer or of the gateway's own in its place.
    Status(Failed),
}

impl Fallback {
    /// Whether it is this upstream that answers.
    pub fn leads_to(&self, upstream: UpstreamId) -> bool {
        matches!(self.to, FallbackTo::Upstream(other) if other == upstream)
    }

    /// Whether it answers in the place of an upstream's answer.
    pub fn follows_status(&self, status: StatusCode) -> bool {
        let follows =
            |on: &FallbackOn| matches!(on, FallbackOn::Status(failed) if failed.is(status));
        self.on.iter().any(follows)
    }

    /// Whether it answers after a failure of the upstream, or of the way to it, for which the gateway has this status.
    pub fn follows_failure(&self, kind: ErrorKind, status: StatusCode) -> bool {
        let is_of_upstream = kind.side() == Side::Upstream || kind == ErrorKind::Deadline;
        let follows = |on: &FallbackOn| match on {
            FallbackOn::Connect => matches!(
                kind,
                ErrorKind::Connect | ErrorKind::ConnectTimeout | ErrorKind::Tls
            ),
            FallbackOn::Reset => kind == ErrorKind::BadGateway,
            FallbackOn::Timeout => matches!(
                kind,
                ErrorKind::ConnectTimeout | ErrorKind::UpstreamTimeout | ErrorKind::Deadline
            ),
            FallbackOn::Breaker => kind == ErrorKind::Saturated,
            FallbackOn::Status(failed) => failed.is(status),
        };
        is_of_upstream && self.on.iter().any(follows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16) -> Arc<ErrorPage> {
        Arc::new(ErrorPage {
            status: StatusCode::from_u16(status).ok(),
            headers: Vec::new(),
            body: None,
        })
    }

    #[test]
    fn a_status_goes_before_its_class_and_what_is_nearer_before_what_is_wider() {
        let near = Errors::new(vec![
            (Failed::Class(5), page(201)),
            (Failed::Status(502), page(202)),
        ]);
        let wide = Errors::new(vec![
            (Failed::Status(503), page(203)),
            (Failed::Class(4), page(204)),
        ]);
        let errors = near.before(&wide);
        for (status, found) in [
            (502, Some(202)),
            (503, Some(201)),
            (404, Some(204)),
            (302, None),
        ] {
            let page = errors.page(StatusCode::from_u16(status).unwrap());
            let page = page.map(|page| page.status.unwrap().as_u16());
            assert_eq!(page, found, "{status}");
        }
    }

    #[test]
    fn values_are_escaped_as_their_place_wants_it() {
        for (media_type, escapes) in [
            ("application/json", Escapes::Json),
            ("application/problem+json; charset=utf-8", Escapes::Json),
            ("text/javascript", Escapes::Json),
            ("Text/HTML; charset=utf-8", Escapes::Markup),
            ("image/svg+xml", Escapes::Markup),
            ("application/xhtml+xml", Escapes::Markup),
            ("text/plain;charset=utf-8", Escapes::Nothing),
        ] {
            assert_eq!(Escapes::of(media_type), escapes, "{media_type}");
        }
    }

    #[test]
    fn a_fallback_follows_what_it_is_for() {
        let fallback = |on: FallbackOn| Fallback {
            on: vec![on],
            to: FallbackTo::Upstream(UpstreamId(0)),
        };
        let follows = |on, kind, status| {
            fallback(on).follows_failure(kind, StatusCode::from_u16(status).unwrap())
        };
        let status = FallbackOn::Status(Failed::Class(5));
        assert!(follows(FallbackOn::Connect, ErrorKind::ConnectTimeout, 504));
        assert!(follows(FallbackOn::Connect, ErrorKind::Tls, 502));
        assert!(!follows(FallbackOn::Connect, ErrorKind::BadGateway, 502));
        assert!(follows(FallbackOn::Timeout, ErrorKind::Deadline, 504));
        assert!(follows(FallbackOn::Breaker, ErrorKind::Saturated, 503));
        assert!(follows(status, ErrorKind::BadGateway, 502));
        // What is not the upstream's doing is none of its business.
        assert!(!follows(status, ErrorKind::Plugin, 500));
        assert!(fallback(status).follows_status(StatusCode::BAD_GATEWAY));
        assert!(!fallback(status).follows_status(StatusCode::NOT_FOUND));
    }
}
