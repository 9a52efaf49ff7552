//! `exchange`: the request and response in hand. Reads see what the grants cover; an edit outside its phase, of a
//! reserved field, or beyond the grants is denied and the request goes on without it.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::config::HeaderPatterns;
use crate::exchange::{Full, Parts};
use crate::message::head::ResponseEdit;
use crate::message::path;
use crate::message::peer::Address;
use crate::message::phase::{Direction, Phase};
use crate::message::query;
use crate::plugin::failure::Stop;
use crate::plugin::host::bindings::gateway::plugin::exchange::HeaderError;
use crate::plugin::host::fields::{FieldEdit, edit_response};
use crate::plugin::host::guest::Guest;

/// Bytes of the name or value of an attribute.
const ATTRIBUTE: usize = 64 << 10;

pub(super) type Edit = wasmtime::Result<Result<(), HeaderError>>;

/// What a guest asks, and what it is answered, as it lies in the exchange. How arguments come out of a guest's memory and
/// answers go into it is the business of [`component`](super::component).
impl Guest {
    pub(super) fn id(&mut self) -> wasmtime::Result<Cow<'_, str>> {
        let exchange = self.seen()?;
        Ok(exchange.map_or(Cow::Borrowed(""), |exchange| text(&exchange.client.id)))
    }

    pub(super) fn route_asked(&mut self) -> wasmtime::Result<&str> {
        let exchange = self.seen()?;
        Ok(exchange.map_or("", |exchange| &exchange.route.name))
    }

    pub(super) fn client_address(&mut self) -> wasmtime::Result<Option<Address>> {
        Ok(self.seen()?.map(|exchange| exchange.client.address))
    }

    pub(super) fn scheme(&mut self) -> wasmtime::Result<&'static str> {
        Ok(match self.seen()? {
            Some(exchange) if exchange.client.secure => "https",
            Some(_) => "http",
            None => "",
        })
    }

    pub(super) fn authority(&mut self) -> wasmtime::Result<Cow<'_, str>> {
        let exchange = self.seen()?;
        Ok(exchange.map_or(Cow::Borrowed(""), |exchange| {
            text(&exchange.client.authority)
        }))
    }

    pub(super) fn method(&mut self) -> wasmtime::Result<&str> {
        let exchange = self.seen()?;
        Ok(exchange.map_or("", |exchange| exchange.request.method.as_str()))
    }

    pub(super) fn path(&mut self) -> wasmtime::Result<&str> {
        let exchange = self.seen()?;
        Ok(exchange.map_or("", |exchange| exchange.request.path.as_str()))
    }

    pub(super) fn path_param(&mut self, name: &str) -> wasmtime::Result<Option<&str>> {
        Ok(self.seen()?.and_then(|exchange| exchange.param(name)))
    }

    pub(super) fn query_param(&mut self, name: &str) -> wasmtime::Result<Option<Cow<'_, str>>> {
        let query = self
            .seen()?
            .and_then(|exchange| exchange.request.path.query());
        Ok(query.and_then(|query| query::first(query, name)))
    }

    /// No listener of this version asks for a client certificate.
    pub(super) fn client_certificate_subject(&mut self) -> wasmtime::Result<Option<&str>> {
        self.seen().map(|_| None)
    }

    pub(super) fn remaining_ms(&mut self) -> wasmtime::Result<Option<u32>> {
        let deadline = self.seen()?.and_then(Parts::deadline);
        Ok(deadline.map(milliseconds_until))
    }

    pub(super) fn call_remaining_ms(&mut self) -> wasmtime::Result<u32> {
        self.budget.host_call()?;
        Ok(milliseconds_until(self.call_deadline()))
    }

    /// The first field of that name, where the grants cover it.
    pub(super) fn header(
        &mut self,
        message: Direction,
        name: &str,
    ) -> wasmtime::Result<Option<&[u8]>> {
        self.budget.host_call()?;
        if !self.reads(message).covers_any_case(name) {
            self.deny_read(message, name);
            return Ok(None);
        }
        let value = self.fields_of(message).and_then(|fields| fields.get(name));
        Ok(value.map(HeaderValue::as_bytes))
    }

    /// Every field that the grants cover.
    pub(super) fn headers(&mut self, message: Direction) -> wasmtime::Result<Vec<(&str, &[u8])>> {
        self.budget.host_call()?;
        let reads = self.reads(message);
        let fields = self.fields_of(message).into_iter().flatten();
        let covered = fields.filter(|(name, _)| reads.covers(name.as_str()));
        Ok(covered
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect())
    }

    pub(super) fn set_header(&mut self, message: Direction, name: &str, value: &[u8]) -> Edit {
        self.edit_one(message, name, || FieldEdit::set(value))
    }

    pub(super) fn append_header(&mut self, message: Direction, name: &str, value: &[u8]) -> Edit {
        self.edit_one(message, name, || FieldEdit::append(value))
    }

    pub(super) fn remove_header(&mut self, message: Direction, name: &str) -> Edit {
        self.edit_one(message, name, || Ok(FieldEdit::Remove))
    }

    pub(super) fn set_method(&mut self, method: &str) -> Edit {
        self.budget.host_call()?;
        let Some(exchange) = self.in_phase(Phase::Request) else {
            return Ok(Err(HeaderError::Denied));
        };
        let Ok(method) = Method::from_bytes(method.as_bytes()) else {
            return Ok(Err(HeaderError::InvalidName));
        };
        if method == Method::CONNECT {
            return Ok(Err(HeaderError::Denied));
        }
        exchange.request.method = method;
        Ok(Ok(()))
    }

    pub(super) fn set_path(&mut self, path: &str) -> Edit {
        self.budget.host_call()?;
        let Some(exchange) = self.in_phase(Phase::Request) else {
            return Ok(Err(HeaderError::Denied));
        };
        let rules = exchange.route.config.overrides.paths;
        match path::set_by_plugin(path.to_owned(), rules) {
            Ok(path) => {
                exchange.request.path = path;
                Ok(Ok(()))
            }
            Err(unfit) => {
                self.forbid(
                    "path",
                    format_args!("it sets a path that may not leave: {unfit}"),
                );
                Ok(Err(HeaderError::InvalidName))
            }
        }
    }

    pub(super) fn set_upstream(&mut self, name: &str) -> Edit {
        self.budget.host_call()?;
        if !self
            .shared
            .plugin
            .grants
            .upstreams
            .iter()
            .any(|granted| **granted == *name)
        {
            let name = self.shown(name);
            self.deny(
                "upstream",
                format_args!("it sends the request to the upstream {name}"),
                "upstreams",
                Some(&name),
            );
            return Ok(Err(HeaderError::Denied));
        }
        let Some(exchange) = self.in_phase(Phase::Request) else {
            return Ok(Err(HeaderError::Denied));
        };
        let Some(upstream) = exchange.view.upstream_named(name) else {
            return Ok(Err(HeaderError::Denied));
        };
        exchange.request.upstream = Some(upstream);
        Ok(Ok(()))
    }

    /// The body of the request, where it is held.
    pub(super) fn request_body(&mut self) -> wasmtime::Result<Option<&Bytes>> {
        self.budget.host_call()?;
        let exchange = self.exchange.get().filter(|_| self.phases.request_body());
        Ok(exchange.and_then(|exchange| exchange.request.body.as_ref()))
    }

    pub(super) fn set_request_body(&mut self, body: Bytes) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.check_body(Direction::Request, &body)?;
        if self.phases.request_body()
            && let Some(exchange) = self.in_phase(Phase::Request)
        {
            exchange.request.body = Some(body);
        }
        Ok(())
    }

    pub(super) fn status(&mut self) -> wasmtime::Result<Option<u16>> {
        let head = self
            .seen()?
            .and_then(|exchange| exchange.response.head.as_ref());
        Ok(head.map(|head| head.status.as_u16()))
    }

    pub(super) fn set_status(&mut self, status: u16) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if let Some(status) = answer_status(status)
            && let Some(exchange) = self.exchange.get_mut()
        {
            edit_response(exchange, ResponseEdit::Status(status)).ok();
        }
        Ok(())
    }

    /// The body of the response, where it is held.
    pub(super) fn response_body(&mut self) -> wasmtime::Result<Option<&Bytes>> {
        self.budget.host_call()?;
        let exchange = self.exchange.get().filter(|_| self.phases.response_body());
        Ok(exchange.and_then(|exchange| exchange.response.body.as_ref()))
    }

    pub(super) fn set_response_body(&mut self, body: Bytes) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.check_body(Direction::Response, &body)?;
        if let Some(exchange) = self.in_phase(Phase::Response) {
            exchange.response.body = Some(body);
        }
        Ok(())
    }

    pub(super) fn attribute(&mut self, name: &str) -> wasmtime::Result<Option<&str>> {
        Ok(self
            .seen()?
            .and_then(|exchange| exchange.attributes.get(name)))
    }

    pub(super) fn set_attribute(&mut self, name: &str, value: &str) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.leave_attribute(name, value);
        Ok(())
    }
}

impl Guest {
    /// A body that takes the place of another is bounded as one that is held, or by what is held.
    fn check_body(&self, direction: Direction, body: &[u8]) -> wasmtime::Result<()> {
        let limit = self.budget.largest_body(self.shared.plugin.body_limit);
        if body.len() > limit {
            return Err(Stop::Body(direction, body.len(), limit).into());
        }
        Ok(())
    }

    /// The exchange in hand, if there is one, for a call that reads.
    fn seen(&mut self) -> wasmtime::Result<Option<&Parts>> {
        self.budget.host_call()?;
        Ok(self.exchange.get())
    }

    fn reads(&self, message: Direction) -> &HeaderPatterns {
        let grants = &self.shared.plugin.grants;
        match message {
            Direction::Request => &grants.read_request_headers,
            Direction::Response => &grants.read_response_headers,
        }
    }

    fn fields_of(&self, message: Direction) -> Option<&HeaderMap> {
        let exchange = self.exchange.get()?;
        match message {
            Direction::Request => Some(&exchange.request.headers),
            Direction::Response => exchange.response.head.as_ref().map(|head| &head.headers),
        }
    }

    /// The exchange for an edit, where the phase in hand allows it.
    pub(super) fn in_phase(&mut self, phase: Phase) -> Option<&mut Parts> {
        let exchange = self.exchange.get_mut();
        let exchange = exchange.filter(|exchange| exchange.phase == phase)?;
        exchange.touch();
        Some(exchange)
    }

    /// A call of one edit.
    fn edit_one(
        &mut self,
        message: Direction,
        name: &str,
        edit: impl FnOnce() -> Result<FieldEdit, HeaderError>,
    ) -> Edit {
        self.budget.host_call()?;
        Ok(self.edit_field(message, name.as_bytes(), edit))
    }

    /// Leaves a fact, unless there are too many or it is too long.
    pub(super) fn leave_attribute(&mut self, name: &str, value: &str) {
        let exchange = self.exchange.get_mut();
        let Some(exchange) = exchange.filter(|exchange| exchange.phase != Phase::Complete) else {
            return;
        };
        exchange.touch();
        let fits = name.len() <= ATTRIBUTE && value.len() <= ATTRIBUTE;
        if !fits || exchange.attributes.set(name, value) == Err(Full) {
            let name = self.shown(name);
            let what = format_args!(
                "it leaves the attribute {name}, which is too long, or of which there are too many"
            );
            self.forbid("attribute", what);
        }
    }
}

/// A status that a plugin may give a response.
pub(in crate::plugin) fn answer_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..=599).contains(&status.as_u16()))
}

fn milliseconds_until(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now());
    u32::try_from(left.as_millis()).unwrap_or(u32::MAX)
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
