//! The phases in which plugins are called.

use std::fmt;
use std::ops::BitOr;

/// The phase an exchange is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `on-request`.
    Request,
    /// `on-response`.
    Response,
    /// The stream of a request.
    RequestChunk,
    /// The stream of a response.
    ResponseChunk,
    /// `on-complete`.
    Complete,
}

impl Phase {
    /// Every phase, in the order of [`Phase::index`].
    pub const ALL: [Self; 5] = [
        Self::Request,
        Self::Response,
        Self::RequestChunk,
        Self::ResponseChunk,
        Self::Complete,
    ];

    /// Its place in [`Phase::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::RequestChunk => "request_chunk",
            Self::ResponseChunk => "response_chunk",
            Self::Complete => "complete",
        }
    }
}

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the upstream.
    Request,
    /// Back to the client.
    Response,
}

impl Direction {
    /// The phase in which its chunks pass.
    pub fn phase(self) -> Phase {
        match self {
            Self::Request => Phase::RequestChunk,
            Self::Response => Phase::ResponseChunk,
        }
    }
}

/// The calls that one configuration wants; what is not wanted is never called.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u8);

impl Phases {
    /// `on-request`.
    pub const REQUEST: Self = Self(1);
    /// The request body is held before `on-request`.
    pub const REQUEST_BODY: Self = Self(1 << 1);
    /// `on-response`.
    pub const RESPONSE: Self = Self(1 << 2);
    /// The response body is held before `on-response`.
    pub const RESPONSE_BODY: Self = Self(1 << 3);
    /// Every chunk of the request body.
    pub const REQUEST_STREAM: Self = Self(1 << 4);
    /// Every chunk of the response body.
    pub const RESPONSE_STREAM: Self = Self(1 << 5);
    /// `on-complete`.
    pub const COMPLETE: Self = Self(1 << 6);

    /// `on-request` is wanted.
    pub fn request(self) -> bool {
        self.has(Self::REQUEST)
    }

    /// The request body is to be held before `on-request`.
    pub fn request_body(self) -> bool {
        self.has(Self::REQUEST_BODY)
    }

    /// `on-response` is wanted.
    pub fn response(self) -> bool {
        self.has(Self::RESPONSE)
    }

    /// The response body is to be held before `on-response`.
    pub fn response_body(self) -> bool {
        self.has(Self::RESPONSE_BODY)
    }

    /// Every chunk of the request body is to pass through.
    pub fn request_stream(self) -> bool {
        self.has(Self::REQUEST_STREAM)
    }

    /// Every chunk of the response body is to pass through.
    pub fn response_stream(self) -> bool {
        self.has(Self::RESPONSE_STREAM)
    }

    /// `on-complete` is wanted.
    pub fn complete(self) -> bool {
        self.has(Self::COMPLETE)
    }

    /// The request's body is to be seen, held or in chunks.
    pub fn reads_request(self) -> bool {
        self.has(Self::REQUEST_BODY | Self::REQUEST_STREAM)
    }

    /// The response's body is to be seen, held or in chunks.
    pub fn reads_response(self) -> bool {
        self.has(Self::RESPONSE_BODY | Self::RESPONSE_STREAM)
    }

    /// A body is to be seen, of either direction.
    pub fn reads_bodies(self) -> bool {
        self.reads_request() || self.reads_response()
    }

    fn has(self, some: Self) -> bool {
        self.0 & some.0 != 0
    }

    /// Whether an exchange keeps one instance from its first phase to its last.
    pub fn streams(self) -> bool {
        self.has(Self::REQUEST_STREAM | Self::RESPONSE_STREAM)
    }
}

impl BitOr for Phases {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.request(), "request"),
            (self.request_body(), "request-body"),
            (self.response(), "response"),
            (self.response_body(), "response-body"),
            (self.request_stream(), "request-stream"),
            (self.response_stream(), "response-stream"),
            (self.complete(), "complete"),
        ];
        f.debug_set()
            .entries(names.iter().filter(|(on, _)| *on).map(|(_, name)| name))
            .finish()
    }
}
