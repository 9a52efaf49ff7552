//! What the gateway answers itself: `respond`, `errors`, `fallback`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

use super::outcomes::{Failed, Outcomes};
use super::upstream::UpstreamId;
use crate::config::Template;

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
    pub on: Outcomes,
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

impl Fallback {
    /// Whether it is this upstream that answers.
    pub fn leads_to(&self, upstream: UpstreamId) -> bool {
        matches!(self.to, FallbackTo::Upstream(other) if other == upstream)
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
}
