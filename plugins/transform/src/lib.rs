//! Edits requests and responses: headers, query, path, method, status, JSON bodies.
//!
//! Everything is parsed and checked in `configure`; a constant header edit is one call of the host per request and
//! nothing else. Operations run in one order: remove, rename, set, add.

mod body;
mod config;
mod document;
mod headers;
mod names;
mod path;
mod query;
#[cfg(test)]
mod tests;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::template::{Source, Unfilled};

use crate::body::BodyEdits;
use crate::document::Fault;
use crate::headers::{HeaderEdits, Message};
use crate::path::PathEdit;
use crate::query::QueryEdits;

use crate::config::Other;

pub use crate::config::Config;

/// The plugin under one configuration.
#[derive(Debug)]
pub struct Transform {
    request: RequestEdits,
    response: ResponseEdits,
    /// The response edits need nothing of the response, so they are made in `on_request` and wait for it: one call
    /// of the plugin less per exchange.
    early: bool,
}

#[derive(Debug)]
struct RequestEdits {
    headers: HeaderEdits,
    query: QueryEdits,
    path: Option<PathEdit>,
    method: Option<String>,
    body: BodyEdits,
}

#[derive(Debug)]
struct ResponseEdits {
    headers: HeaderEdits,
    status: Option<u16>,
    body: BodyEdits,
}

export!(Transform);

impl Plugin for Transform {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let mut faults = Vec::new();
        let (request, response) = (config.request, config.response);
        let request = RequestEdits {
            path: PathEdit::check(&request.path, &mut faults),
            method: names::method(request.method.as_deref(), &mut faults),
            query: QueryEdits::check(request.query(), &mut faults),
            body: BodyEdits::of_request(&request.json, &mut faults),
            headers: HeaderEdits::check(Message::Request, request.headers(), &mut faults),
        };
        let response = ResponseEdits {
            status: names::status(response.status, &mut faults),
            body: BodyEdits::of_response(&response.json, &mut faults),
            headers: HeaderEdits::check(Message::Response, response.headers(), &mut faults),
        };
        let early = response.body.is_empty() && response.headers.are_constant();
        if faults.is_empty() {
            Ok(Self {
                request,
                response,
                early,
            })
        } else {
            Err(faults)
        }
    }

    fn wants(&self) -> Wants {
        let mut wants = Wants::from(self.phases());
        if !self.response.body.is_empty() {
            wants = wants.response_types(self.response.body.response_types());
        }
        if !self.request.body.is_empty() {
            wants = wants.reads_field("content-type");
        }
        let path = self.request.path.iter().flat_map(PathEdit::holes);
        let holes = path
            .chain(self.request.query.holes())
            .chain(self.request.body.holes())
            .chain(self.response.body.holes());
        wants = holes
            .filter_map(Source::field)
            .fold(wants, Wants::reads_field);
        self.response
            .headers
            .needs(self.request.headers.needs(wants))
    }

    fn on_request(&self, request: &mut Request) -> Result {
        // The body first: a request that is refused for it is not edited by halves.
        if let Some(refusal) = self.request.edit_body(request)? {
            return Ok(refusal.into());
        }
        if let Some(refusal) = self.request.edit_head(request)? {
            return Ok(refusal.into());
        }
        self.edit_constant(request)?;
        Ok(Flow::Next)
    }

    fn on_response(&self, request: &Request, response: &mut Response) -> Result {
        self.response.edit_body(request, response)?;
        self.response.headers.apply_to_response(request, response)?;
        if let Some(status) = self.response.status {
            response.set_status(status);
        }
        Ok(Flow::Next)
    }
}

impl Transform {
    fn phases(&self) -> Phases {
        let mut phases = Phases::NONE;
        if !self.request.is_empty() || (self.early && !self.response.is_empty()) {
            phases |= Phases::REQUEST;
        }
        if !self.request.body.is_empty() {
            phases |= Phases::REQUEST_BODY;
        }
        if !self.early {
            phases |= Phases::RESPONSE;
        }
        if !self.response.body.is_empty() {
            phases |= Phases::RESPONSE_BODY;
        }
        phases
    }

    /// What needs nothing of the exchange, of both messages, in one call of the gateway.
    fn edit_constant(&self, request: &mut Request) -> Result<()> {
        let response = self.early.then_some(&self.response);
        let later = response
            .into_iter()
            .flat_map(|edits| edits.headers.constant());
        let edits: Vec<_> = self.request.headers.constant().chain(later).collect();
        if !edits.is_empty() {
            request
                .edit(&edits)
                .map_err(|error| headers::stopped(&edits, error))?;
        }
        if let Some(status) = response.and_then(|edits| edits.status) {
            request.response().set_status(status);
        }
        Ok(())
    }
}

impl RequestEdits {
    fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.query.is_empty()
            && self.path.is_none()
            && self.method.is_none()
            && self.body.is_empty()
    }

    fn edit_body(&self, request: &mut Request) -> Result<Option<Answer>> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let Some(body) = request.body().filter(|body| !body.is_empty()) else {
            return Ok(None);
        };
        if !body::is_json(request.header("content-type")) {
            return Ok(match self.body.other {
                Other::Pass => None,
                Other::Refuse => {
                    let detail = "The body is not JSON (content-type: application/json).";
                    Some(Answer::new(415).problem("Unsupported Media Type", detail))
                }
            });
        }
        match self.body.edit(&body, |source| source.read(request)) {
            Ok(body) => request.set_body(body),
            Err(fault @ Fault::Grown) => {
                let detail = format!("The body cannot be edited: {fault}.");
                return Ok(Some(Answer::new(413).problem("Content Too Large", &detail)));
            }
            Err(Fault::NotJson(why)) => {
                let detail = format!("The body says that it is JSON, and is not: {why}.");
                return Ok(Some(Answer::new(400).problem("Bad Request", &detail)));
            }
        }
        Ok(None)
    }

    /// What a client sent must not lead the request out of the path that the configuration means: a dot segment, or
    /// a separator that hides behind an escape, is the client's mistake and not a failure of this plugin.
    fn edit_path(&self, request: &mut Request) -> Result<Option<Answer>> {
        if self.path.is_none() && self.query.is_empty() {
            return Ok(None);
        }
        let before = request.path_and_query();
        // `OPTIONS *` asks for no path.
        if before == "*" {
            return Ok(None);
        }
        let (path, query) = match before.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (before.as_str(), None),
        };
        let after = match &self.path {
            Some(edit) => edit.apply(path, request),
            None => Ok(path.to_owned()),
        };
        let mut after = match after {
            Ok(after) => after,
            Err(Unfilled::Astray(path)) => return Ok(Some(astray(&path))),
            Err(unfilled) => return Err(unfilled.into()),
        };
        self.query.apply(query, &mut after, request);
        if after != before {
            match request.set_path(&after) {
                Ok(()) => {}
                Err(HeaderError::InvalidName) => return Ok(Some(astray(&after))),
                Err(error) => return Err(format!("the path {after}: {error}").into()),
            }
        }
        Ok(None)
    }

    /// Path and query first, then the fields that need something of the exchange, then the method; a template sees the
    /// edits before it.
    fn edit_head(&self, request: &mut Request) -> Result<Option<Answer>> {
        if let Some(refusal) = self.edit_path(request)? {
            return Ok(Some(refusal));
        }
        match self.headers.apply_to_request(request) {
            Ok(()) => {}
            Err(headers::Failure::BadValue(name)) => {
                let detail =
                    format!("A value of the request has bytes that may not stand in `{name}`.");
                return Ok(Some(Answer::new(400).problem("Bad Request", &detail)));
            }
            Err(headers::Failure::Refused(why)) => return Err(why.into()),
        }
        if let Some(method) = &self.method {
            request.set_method(method)?;
        }
        Ok(None)
    }
}

/// The answer to a request whose values make a path that goes to no upstream.
fn astray(path: &str) -> Answer {
    log::warn!(path = path; "refused: the gateway sends no such path upstream");
    Answer::new(400).problem(
        "Bad Request",
        "A value of the request has a dot segment or a separator where a path has none.",
    )
}

impl ResponseEdits {
    fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.status.is_none() && self.body.is_empty()
    }

    /// The gateway hands over the bodies that are meant, and no other.
    fn edit_body(&self, request: &Request, response: &mut Response) -> Result<()> {
        if self.body.is_empty() {
            return Ok(());
        }
        let Some(body) = response.body().filter(|body| !body.is_empty()) else {
            return Ok(());
        };
        match self.body.edit(&body, |source| source.read(request)) {
            Ok(body) => response.set_body(body),
            Err(fault @ Fault::Grown) => {
                return Err(format!("the response cannot be edited: {fault}").into());
            }
            Err(Fault::NotJson(why)) => {
                return Err(format!("the response says that it is JSON, and is not: {why}").into());
            }
        }
        Ok(())
    }
}
