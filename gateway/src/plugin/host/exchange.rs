//! `exchange`: the request and response in hand. Reads see what the grants cover; an edit outside its phase, of a
//! reserved field, or beyond the grants is denied and the request goes on without it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::exchange::Parts;
use crate::message::head::ResponseEdit;
use crate::message::path;
use crate::message::phase::Phase;
use crate::message::query;
use crate::plugin::failure::Stop;
use crate::plugin::host::bindings::gateway::plugin::exchange::{HeaderError, Host};
use crate::plugin::host::fields::{FieldEdit, Message, edit_response};
use crate::plugin::host::guest::Guest;

/// Attributes of one exchange, and bytes of a name or value.
const ATTRIBUTES: usize = 256;
const ATTRIBUTE: usize = 64 << 10;

type Edit = wasmtime::Result<Result<(), HeaderError>>;
type Fields = Vec<(String, Vec<u8>)>;

impl Host for Guest {
    fn id(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| text(&exchange.client.id))
    }

    fn route(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| exchange.route.name.to_string())
    }

    fn client_address(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| exchange.client.address.to_string())
    }

    fn scheme(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| {
            if exchange.client.secure {
                "https"
            } else {
                "http"
            }
            .to_owned()
        })
    }

    fn authority(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| text(&exchange.client.authority))
    }

    fn method(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| exchange.request.method.as_str().to_owned())
    }

    fn path(&mut self) -> wasmtime::Result<String> {
        self.read(|exchange| exchange.request.path.as_str().to_owned())
    }

    fn path_param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.read(|exchange| exchange.param(&name).map(str::to_owned))
    }

    fn query_param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.read(|exchange| {
            exchange
                .request
                .path
                .query()
                .and_then(|text| query::first(text, &name))
                .map(Cow::into_owned)
        })
    }

    fn client_certificate_subject(&mut self) -> wasmtime::Result<Option<String>> {
        // No listener of this version asks for a client certificate.
        self.read(|_| None)
    }

    fn request_header(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.budget.host_call()?;
        if !self.shared.plugin.grants.read_request_headers.covers(&name) {
            return Ok(None);
        }
        Ok(self
            .exchange
            .get()
            .and_then(|exchange| first(&exchange.request.headers, &name)))
    }

    fn request_headers(&mut self) -> wasmtime::Result<Fields> {
        self.budget.host_call()?;
        let covers = &self.shared.plugin.grants.read_request_headers;
        let exchange = self.exchange.get();
        Ok(exchange
            .map(|exchange| all(&exchange.request.headers, |name| covers.covers(name)))
            .unwrap_or_default())
    }

    fn set_request_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.edit_one(Message::Request, &name, || FieldEdit::set(&value))
    }

    fn append_request_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.edit_one(Message::Request, &name, || FieldEdit::append(&value))
    }

    fn remove_request_header(&mut self, name: String) -> Edit {
        self.edit_one(Message::Request, &name, || Ok(FieldEdit::Remove))
    }

    fn set_method(&mut self, method: String) -> Edit {
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

    fn set_path(&mut self, path: String) -> Edit {
        self.budget.host_call()?;
        let Some(exchange) = self.in_phase(Phase::Request) else {
            return Ok(Err(HeaderError::Denied));
        };
        Ok(path::set_by_plugin(path)
            .map(|path| exchange.request.path = path)
            .map_err(|_| HeaderError::InvalidName))
    }

    fn set_upstream(&mut self, name: String) -> Edit {
        self.budget.host_call()?;
        if !self
            .shared
            .plugin
            .grants
            .upstreams
            .iter()
            .any(|granted| **granted == *name)
        {
            let name = self.shown(&name);
            self.deny(
                "upstream",
                format_args!("it sends the request to the upstream {name}"),
                format_args!("upstreams = [{name}]"),
            );
            return Ok(Err(HeaderError::Denied));
        }
        let Some(exchange) = self.in_phase(Phase::Request) else {
            return Ok(Err(HeaderError::Denied));
        };
        let Some(upstream) = exchange.view.upstream_named(&name) else {
            return Ok(Err(HeaderError::Denied));
        };
        exchange.request.upstream = Some(upstream);
        Ok(Ok(()))
    }

    fn request_body(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        self.budget.host_call()?;
        if !self.phases.request_body() {
            return Ok(None);
        }
        let body = self
            .exchange
            .get()
            .and_then(|exchange| exchange.request.body.as_ref());
        Ok(body.map(|body| body.to_vec()))
    }

    fn set_request_body(&mut self, body: Vec<u8>) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.check_body(&body)?;
        if self.phases.request_body()
            && let Some(exchange) = self.in_phase(Phase::Request)
        {
            exchange.request.body = Some(Bytes::from(body));
        }
        Ok(())
    }

    fn status(&mut self) -> wasmtime::Result<Option<u16>> {
        self.read(|exchange| {
            exchange
                .response
                .head
                .as_ref()
                .map(|head| head.status.as_u16())
        })
    }

    fn set_status(&mut self, status: u16) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if let Some(status) = answer_status(status)
            && let Some(exchange) = self.exchange.get_mut()
        {
            edit_response(exchange, ResponseEdit::Status(status)).ok();
        }
        Ok(())
    }

    fn response_header(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.budget.host_call()?;
        if !self
            .shared
            .plugin
            .grants
            .read_response_headers
            .covers(&name)
        {
            return Ok(None);
        }
        let head = self
            .exchange
            .get()
            .and_then(|exchange| exchange.response.head.as_ref());
        Ok(head.and_then(|head| first(&head.headers, &name)))
    }

    fn response_headers(&mut self) -> wasmtime::Result<Fields> {
        self.budget.host_call()?;
        let covers = &self.shared.plugin.grants.read_response_headers;
        let head = self
            .exchange
            .get()
            .and_then(|exchange| exchange.response.head.as_ref());
        Ok(head
            .map(|head| all(&head.headers, |name| covers.covers(name)))
            .unwrap_or_default())
    }

    fn set_response_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.edit_one(Message::Response, &name, || FieldEdit::set(&value))
    }

    fn append_response_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.edit_one(Message::Response, &name, || FieldEdit::append(&value))
    }

    fn remove_response_header(&mut self, name: String) -> Edit {
        self.edit_one(Message::Response, &name, || Ok(FieldEdit::Remove))
    }

    fn response_body(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        self.budget.host_call()?;
        if !self.phases.response_body() {
            return Ok(None);
        }
        let body = self
            .exchange
            .get()
            .and_then(|exchange| exchange.response.body.as_ref());
        Ok(body.map(|body| body.to_vec()))
    }

    fn set_response_body(&mut self, body: Vec<u8>) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.check_body(&body)?;
        if let Some(exchange) = self.in_phase(Phase::Response) {
            exchange.response.body = Some(Bytes::from(body));
        }
        Ok(())
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.read(|exchange| exchange.attribute(&name).map(str::to_owned))
    }

    fn set_attribute(&mut self, name: String, value: String) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.leave_attribute(name.into(), value.into());
        Ok(())
    }
}

impl Guest {
    /// A body that takes the place of another is bounded as one that is held.
    fn check_body(&self, body: &[u8]) -> wasmtime::Result<()> {
        let limit = self.shared.plugin.body_limit;
        if body.len() > limit {
            return Err(Stop::Body(body.len(), limit).into());
        }
        Ok(())
    }

    fn read<R: Default>(&mut self, read: impl FnOnce(&Parts) -> R) -> wasmtime::Result<R> {
        self.budget.host_call()?;
        Ok(self.exchange.get().map(read).unwrap_or_default())
    }

    pub(super) fn in_phase(&mut self, phase: Phase) -> Option<&mut Parts> {
        self.exchange
            .get_mut()
            .filter(|exchange| exchange.phase == phase)
    }

    /// A call of one edit.
    fn edit_one(
        &mut self,
        message: Message,
        name: &str,
        edit: impl FnOnce() -> Result<FieldEdit, HeaderError>,
    ) -> Edit {
        self.budget.host_call()?;
        Ok(self.edit_field(message, name.as_bytes(), edit))
    }

    /// Leaves a fact, unless there are too many or it is too long.
    pub(super) fn leave_attribute(&mut self, name: Box<str>, value: Box<str>) {
        let Some(exchange) = self.exchange.get_mut() else {
            return;
        };
        let full = exchange.attributes.len() >= ATTRIBUTES && exchange.attribute(&name).is_none();
        if !full
            && name.len() <= ATTRIBUTE
            && value.len() <= ATTRIBUTE
            && exchange.phase != Phase::Complete
        {
            exchange.set_attribute(name, value);
        }
    }
}

/// A status that a plugin may give a response.
pub(in crate::plugin) fn answer_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..=599).contains(&status.as_u16()))
}

fn first(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    headers.get(name).map(|value| value.as_bytes().to_vec())
}

fn all(headers: &HeaderMap, covers: impl Fn(&str) -> bool) -> Fields {
    headers
        .iter()
        .filter(|(name, _)| covers(name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
