//! One request and its response: what every phase reads and edits.
//!
//! An [`Exchange`] is a handle of pointer size. Its owner is the proxy, or the response body while it streams; a plugin
//! call is lent the handle and gives it back whatever happens there. When the owner drops it, the exchange is over:
//! it is counted and logged (`end`), so an exchange that a client breaks off is not forgotten.

mod attributes;
mod decisions;
mod end;
mod link;
mod record;
mod route;
mod view;
mod when;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::config::UpstreamId;
use crate::message::head::{ResponseEdit, ResponseHead};
use crate::message::peer::Address;
use crate::message::phase::{Phase, Phases};

pub use attributes::{Attributes, Full};
pub use decisions::Decisions;
pub use link::{FilterId, Link, Place, PluginId};
pub use record::Record;
pub use route::{Arm, Arms, Mirror, ResponseBodies, Route};
pub use view::View;

/// A handle on an exchange: the owner's, or, while it is lent, the borrower's.
#[derive(Default)]
pub struct Exchange(Option<Box<Parts>>);

/// What an exchange is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration it sees from its first phase to its last.
    pub view: Arc<View>,
    /// The matched route.
    pub route: Arc<Route>,
    /// Who asked, and what for.
    pub client: Client,
    /// What goes upstream.
    pub request: Request,
    /// What goes to the client.
    pub response: Response,
    /// Facts that plugins left.
    pub attributes: Attributes,
    /// Bytes of fields that plugins wrote, whatever became of them.
    pub written: usize,
    /// What the exchange allows right now.
    pub phase: Phase,
    /// How the phase in hand is taken back, should it fail.
    pub undo: Undo,
    /// What the access log and the metrics want to know.
    pub record: Record,
    /// Where the spans of its phases belong.
    pub span: tracing::Span,
}

/// How a phase is taken back.
#[derive(Debug, Default)]
pub struct Undo {
    /// How many edits waited for the response when it began.
    waiting: usize,
    before: Before,
}

#[derive(Debug, Default)]
enum Before {
    /// Nothing goes on after a failure: what the phase did to it does not matter.
    #[default]
    NotNeeded,
    /// Kept with the first edit.
    Untouched,
    Kept(Box<(Request, Response, Attributes)>),
}

/// Who asked, and what for.
#[derive(Debug)]
pub struct Client {
    /// `x-request-id`.
    pub id: HeaderValue,
    /// The client's address, after trusted proxies were looked through.
    pub address: Address,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// The protocol of the client.
    pub version: Version,
    /// Host and port the client asked for.
    pub authority: HeaderValue,
    /// The method the client used.
    pub method: Method,
    /// Path and query the client asked for, normalised.
    pub path: PathAndQuery,
    /// The values of the route's path parameters, percent-decoded as far as nothing is lost, in the order of the
    /// pattern.
    pub params: Vec<(Arc<str>, String)>,
    /// How deep in sub-requests of gateways this request stands (hardening: at most 8).
    pub depth: u8,
}

/// What goes upstream.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: PathAndQuery,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, where a phase asked to hold it.
    pub body: Option<Bytes>,
    /// The upstream a plugin chose.
    pub upstream: Option<UpstreamId>,
    /// The fields that plugins edited: none of these names may come after the body as a client wrote it.
    pub edited: Vec<HeaderName>,
}

/// What goes to the client.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The head, once there is one.
    pub head: Option<ResponseHead>,
    /// The body, where a phase asked to hold it.
    pub body: Option<Bytes>,
    /// Edits made before there was a head.
    pub edits: Vec<ResponseEdit>,
}

impl Exchange {
    /// The owner's handle.
    #[inline]
    pub fn new(parts: Box<Parts>) -> Self {
        Self(Some(parts))
    }

    /// Takes the exchange out of this handle, which is empty until it is [restored](Self::restore).
    pub fn lend(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Puts back what was lent.
    pub fn restore(&mut self, lent: Self) {
        self.0 = lent.0;
    }

    /// The exchange, if this handle has it.
    pub fn get(&self) -> Option<&Parts> {
        self.0.as_deref()
    }

    /// Bytes of the bodies that are held, and seen by who asked for these phases.
    pub fn held(&self, phases: Phases) -> usize {
        let Some(exchange) = self.get() else {
            return 0;
        };
        let bodies = [
            (phases.request_body(), &exchange.request.body),
            (phases.response_body(), &exchange.response.body),
        ];
        let seen = bodies.into_iter().filter(|(sees, _)| *sees);
        seen.filter_map(|(_, body)| Some(body.as_ref()?.len()))
            .sum()
    }

    /// The exchange, if this handle has it.
    pub fn get_mut(&mut self) -> Option<&mut Parts> {
        self.0.as_deref_mut()
    }
}

impl Deref for Exchange {
    type Target = Parts;

    /// # Panics
    /// While the exchange is lent: its owner waits for the call that has it.
    fn deref(&self) -> &Parts {
        self.0
            .as_deref()
            .expect("the owner of a lent exchange waits")
    }
}

impl DerefMut for Exchange {
    fn deref_mut(&mut self) -> &mut Parts {
        self.0
            .as_deref_mut()
            .expect("the owner of a lent exchange waits")
    }
}

impl Parts {
    /// When the exchange as a whole must be over, by the route's `timeout`.
    pub fn deadline(&self) -> Option<Instant> {
        let timeout = self.route.config.timeout?;
        Some(self.record.started + timeout)
    }

    /// The value of a path parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.client.params.iter();
        let found = params.find(|(param, _)| &**param == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A phase begins; `goes_on` where the exchange goes on without the plugin if it fails.
    pub fn begin(&mut self, phase: Phase, goes_on: bool) {
        self.phase = phase;
        self.undo.waiting = self.response.edits.len();
        self.undo.before = match goes_on {
            true => Before::Untouched,
            false => Before::NotNeeded,
        };
    }

    /// An edit is about to be made.
    pub fn touch(&mut self) {
        if matches!(self.undo.before, Before::Untouched) {
            let before = (
                self.request.clone(),
                self.response.clone(),
                self.attributes.clone(),
            );
            self.undo.before = Before::Kept(Box::new(before));
        }
    }

    /// The phase failed: none of its edits stays that anybody could still see.
    pub fn take_back(&mut self) {
        match std::mem::take(&mut self.undo.before) {
            Before::Kept(before) => {
                (self.request, self.response, self.attributes) = *before;
            }
            Before::Untouched | Before::NotNeeded => {
                self.response.edits.truncate(self.undo.waiting);
            }
        }
    }

    /// Whether the upstream agreed to another protocol.
    pub fn is_switched(&self) -> bool {
        let head = self.response.head.as_ref();
        head.is_some_and(|head| head.status == StatusCode::SWITCHING_PROTOCOLS)
    }
}

impl Response {
    /// Takes the head of an answer and applies the edits that waited for it.
    pub fn answer(&mut self, head: ResponseHead) {
        let head = self.head.insert(head);
        // There are none where no plugin runs.
        if !self.edits.is_empty() {
            self.edits.drain(..).for_each(|edit| head.apply(edit));
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Exchange");
        if let Some(parts) = self.get() {
            shown
                .field("id", &parts.client.id)
                .field("route", &parts.route.name)
                .field("method", &parts.request.method)
                .field("path", &parts.request.path);
        }
        shown.finish_non_exhaustive()
    }
}
