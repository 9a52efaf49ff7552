//! Why an exchange failed, and the one place where that becomes a response.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::message::body::BodyFault;
use crate::message::coding::{self, CodingFault, UnknownCoding};
use crate::message::error::{ErrorKind, Side};
use crate::message::head::ResponseHead;
use crate::message::names;
use crate::plugin::Failure;
use crate::upstream::Held;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks a rule of HTTP, or one of the gateway's guards.
    #[error("{1}")]
    Refused(StatusCode, &'static str),
    /// The head of the request is longer than its endpoint takes.
    #[error("{0}")]
    HeadTooLong(String),
    /// No route.
    #[error("no route matches this request")]
    NoRoute,
    /// Every plugin of a route without upstream let the request pass.
    #[error("no plugin of this route answered")]
    NoAnswer,
    /// The route's `rewrite` or `redirect` made what may not leave; the text says which, what and why not.
    #[error("{0}")]
    BadRewrite(String),
    /// The request body is larger than it may be.
    #[error("the request body is larger than this gateway accepts")]
    BodyTooLarge,
    /// The client was too slow with its body.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The client's body broke off or was not well formed.
    #[error("the request body is broken")]
    BodyBroken,
    /// The client's body is not what its Content-Encoding says, or decodes to more than it may.
    #[error("the request body cannot be decoded: {0}")]
    BodyCoding(CodingFault),
    /// The client's body has a content coding that the gateway does not know (RFC 9110, section 15.5.16).
    #[error("the request body cannot be read: {0}")]
    UnknownCoding(UnknownCoding),
    /// No connection to the upstream.
    #[error("upstream `{0}`: cannot connect: {1}")]
    Connect(String, String),
    /// No connection to the upstream in time.
    #[error("upstream `{0}`: cannot connect: {1}")]
    ConnectTimeout(String, String),
    /// No TLS with the upstream.
    #[error("upstream `{0}`: no TLS: {1}")]
    Tls(String, String),
    /// No endpoint of the upstream takes requests.
    #[error("upstream `{0}`: {1}")]
    NoEndpoint(String, String),
    /// All connections that the upstream's pool allows are taken.
    #[error("upstream `{0}`: {1}")]
    Saturated(String, String),
    /// The upstream's breaker is open: too many requests to it failed. For so long it stays so; not at all where it is half
    /// open, and a request is under way to see.
    #[error("upstream `{0}`: {held}", held = Held::Open(*.1))]
    BreakerOpen(String, std::time::Duration),
    /// The upstream's answer was not HTTP, or it closed the connection before it answered.
    #[error("upstream `{0}`: {1}")]
    BadGateway(String, String),
    /// The body of the upstream's answer broke before a plugin held it whole.
    #[error("{}", .0.words_of_response())]
    ResponseBroken(BodyFault),
    /// The upstream took too long.
    #[error("upstream `{0}`: {1}")]
    UpstreamTimeout(String, String),
    /// The whole exchange took too long.
    #[error("the exchange took longer than {0:?}")]
    Deadline(std::time::Duration),
    /// A response body that a plugin wanted to hold is larger than its `body_limit`.
    #[error("the response is larger than plugin `{0}` may hold")]
    ResponseTooLarge(String),
    /// A plugin failed, and its `on_error` is `closed`.
    #[error("plugin `{0}` failed: {1}")]
    Plugin(String, Failure),
    /// All plugins together have as much memory as they may, and no room came free in time for a call of this one.
    #[error("no memory for plugin `{0}`")]
    NoRoom(String),
    /// A plugin failed on a chunk of a body.
    #[error("a plugin failed on a body")]
    PluginBody,
    /// The request came from gateway to gateway 8 times already, and was to go to one more.
    #[error("the request passed from gateway to gateway 8 times already: it goes in a circle")]
    Loop,
}

impl Error {
    /// The status for the client.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused(status, _) => *status,
            Self::HeadTooLong(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NoRoute | Self::NoAnswer => StatusCode::NOT_FOUND,
            Self::BodyTooLarge | Self::BodyCoding(CodingFault::TooLarge | CodingFault::Ratio) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownCoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyBroken | Self::BodyCoding(CodingFault::Broken(..)) => StatusCode::BAD_REQUEST,
            Self::Connect(..)
            | Self::Tls(..)
            | Self::BadGateway(..)
            | Self::ResponseBroken(_)
            | Self::ResponseTooLarge(_) => StatusCode::BAD_GATEWAY,
            Self::NoEndpoint(..)
            | Self::Saturated(..)
            | Self::BreakerOpen(..)
            | Self::NoRoom(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectTimeout(..) | Self::UpstreamTimeout(..) | Self::Deadline(_) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::BadRewrite(_) | Self::Plugin(..) | Self::PluginBody => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Loop => StatusCode::LOOP_DETECTED,
        }
    }

    /// In the one vocabulary of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(..) | Self::UnknownCoding(_) => ErrorKind::Refused,
            Self::HeadTooLong(_) => ErrorKind::HeadTooLong,
            Self::NoRoute => ErrorKind::NoRoute,
            Self::NoAnswer => ErrorKind::NoAnswer,
            Self::BadRewrite(_) => ErrorKind::BadRewrite,
            Self::BodyTooLarge => ErrorKind::BodyTooLarge,
            Self::BodyTimeout => ErrorKind::BodyTimeout,
            Self::BodyBroken => ErrorKind::BodyBroken,
            Self::BodyCoding(fault) => BodyFault::Coding(*fault).of_request(),
            Self::Connect(..) => ErrorKind::Connect,
            Self::ConnectTimeout(..) => ErrorKind::ConnectTimeout,
            Self::Tls(..) => ErrorKind::Tls,
            Self::NoEndpoint(..) => ErrorKind::NoEndpoint,
            Self::Saturated(..) => ErrorKind::Saturated,
            Self::BreakerOpen(..) => ErrorKind::BreakerOpen,
            Self::BadGateway(..) => ErrorKind::BadGateway,
            Self::ResponseBroken(_) => ErrorKind::ResponseBroken,
            Self::UpstreamTimeout(..) => ErrorKind::UpstreamTimeout,
            Self::Deadline(_) => ErrorKind::Deadline,
            Self::ResponseTooLarge(_) => ErrorKind::ResponseTooLarge,
            Self::NoRoom(_) => ErrorKind::NoRoom,
            Self::Plugin(..) | Self::PluginBody => ErrorKind::Plugin,
            Self::Loop => ErrorKind::Loop,
        }
    }

    /// Whose fault it is.
    pub fn side(&self) -> Side {
        self.kind().side()
    }

    /// Whether the connection must not carry another request: the body was not read to its end, or the
    /// framing cannot be trusted.
    pub fn closes(&self) -> bool {
        match self {
            // A sound request on the wrong connection (RFC 9110, 15.5.20).
            Self::Refused(status, _) => *status != StatusCode::MISDIRECTED_REQUEST,
            Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::BodyCoding(_)
            | Self::UnknownCoding(_)
            | Self::PluginBody => true,
            _ => false,
        }
    }

    /// A body of a request that broke, as a failure.
    pub fn of_request(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::BodyTooLarge,
            BodyFault::Timeout => Self::BodyTimeout,
            BodyFault::Broken => Self::BodyBroken,
            BodyFault::Coding(fault) => Self::BodyCoding(fault),
            BodyFault::Name => Self::Refused(StatusCode::BAD_REQUEST, names::REFUSED),
            BodyFault::Plugin => Self::PluginBody,
        }
    }

    /// What the client is told: its own mistakes in words, ours without inner names.
    pub fn detail(&self) -> String {
        match self.side() {
            Side::Client => self.to_string(),
            Side::Upstream => "the service behind this gateway did not answer as it should".into(),
            Side::Plugin => "a policy of this gateway failed".into(),
            Side::Gateway => match self {
                Self::NoRoute | Self::NoAnswer => "nothing is served here".into(),
                Self::BadRewrite(_) => "this gateway has no sound path for the request".into(),
                Self::NoRoom(_) => "this gateway has too much to do".into(),
                Self::Loop => "the request goes in a circle behind this gateway".into(),
                _ => "the request took too long".into(),
            },
        }
    }

    /// The response with a status, which may be another than that of the failure: a problem document (RFC 9457).
    pub fn response(&self, status: StatusCode, id: Option<&HeaderValue>) -> (ResponseHead, Bytes) {
        let mut problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        if let Some(id) = id.and_then(|id| id.to_str().ok()) {
            problem["request_id"] = id.into();
        }
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if matches!(self, Self::UnknownCoding(_)) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::KNOWN));
        }
        match self {
            Self::Saturated(..) | Self::NoRoom(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::BreakerOpen(_, left) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
            }
            _ => {}
        }
        if self.closes() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (
            ResponseHead { status, headers },
            Bytes::from(problem.to_string()),
        )
    }
}
