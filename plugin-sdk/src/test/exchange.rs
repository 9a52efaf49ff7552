//! One request and its response in memory: set up as a builder, read after a phase ran.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use crate::host::memory::facts::{Facts, first};
use crate::{Answer, upstream};

/// One request and its response, in memory.
pub struct Exchange {
    pub(super) facts: Rc<RefCell<Facts>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.facts.borrow();
        f.debug_struct("Exchange")
            .field("method", &facts.method)
            .field("path", &facts.path)
            .field("response", &facts.response)
            .finish_non_exhaustive()
    }
}

/// Setting it up.
impl Exchange {
    /// A request from 192.0.2.1 to `https://gateway.test`, on the route `test`.
    #[must_use]
    pub fn new(method: &str, path_and_query: &str) -> Self {
        let facts = Facts {
            id: "test".to_owned(),
            route: "test".to_owned(),
            client_address: "192.0.2.1".to_owned(),
            scheme: "https".to_owned(),
            authority: "gateway.test".to_owned(),
            method: method.to_owned(),
            path: path_and_query.to_owned(),
            ..Facts::default()
        };
        Self {
            facts: Rc::new(RefCell::new(facts)),
        }
    }

    /// A `GET` of this path.
    #[must_use]
    pub fn get(path_and_query: &str) -> Self {
        Self::new("GET", path_and_query)
    }

    /// A `POST` to this path.
    #[must_use]
    pub fn post(path_and_query: &str) -> Self {
        Self::new("POST", path_and_query)
    }

    /// Adds a request field.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.with(|facts| {
            facts
                .request_headers
                .push((name.to_ascii_lowercase(), value.as_ref().to_vec()))
        })
    }

    /// The request body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|facts| facts.request_body = Some(body.into()))
    }

    /// A request body of JSON, with its content type.
    ///
    /// # Panics
    /// If the value has no form in JSON.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("the value has a form in JSON");
        self.header("content-type", "application/json").body(body)
    }

    /// The value of `{name}` in the route's pattern.
    #[must_use]
    pub fn path_param(self, name: &str, value: &str) -> Self {
        self.with(|facts| facts.path_params.insert(name.to_owned(), value.to_owned()))
    }

    /// The id of the request.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        self.with(|facts| id.clone_into(&mut facts.id))
    }

    /// The name of the matched route.
    #[must_use]
    pub fn route(self, route: &str) -> Self {
        self.with(|facts| route.clone_into(&mut facts.route))
    }

    /// The client's IP address.
    #[must_use]
    pub fn client_address(self, address: &str) -> Self {
        self.with(|facts| address.clone_into(&mut facts.client_address))
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(self, scheme: &str) -> Self {
        self.with(|facts| scheme.clone_into(&mut facts.scheme))
    }

    /// Host and port that the client asked for.
    #[must_use]
    pub fn authority(self, authority: &str) -> Self {
        self.with(|facts| authority.clone_into(&mut facts.authority))
    }

    /// The subject of the client's TLS certificate.
    #[must_use]
    pub fn client_certificate_subject(self, subject: &str) -> Self {
        self.with(|facts| facts.certificate_subject = Some(subject.to_owned()))
    }

    /// How long until the exchange must be over, in milliseconds; no limit unless given.
    #[must_use]
    pub fn remaining_ms(self, ms: u32) -> Self {
        self.with(|facts| facts.remaining_ms = Some(ms))
    }

    /// A fact that an earlier plugin found.
    #[must_use]
    pub fn attribute(self, name: &str, value: &str) -> Self {
        self.with(|facts| facts.attributes.insert(name.to_owned(), value.to_owned()))
    }

    /// A secret that is granted.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.with(|facts| facts.secrets.insert(name.to_owned(), value.to_owned()))
    }

    /// An upstream for sub-requests, and how it answers.
    #[must_use]
    pub fn upstream(
        self,
        name: &str,
        answers: impl Fn(&upstream::Request) -> Result<Answer, upstream::Error> + 'static,
    ) -> Self {
        self.with(|facts| facts.upstreams.insert(name.to_owned(), Rc::new(answers)))
    }

    /// The response that came from upstream; edits that waited for it are applied.
    #[must_use]
    pub fn response(self, answer: Answer) -> Self {
        self.with(|facts| facts.respond(answer))
    }

    fn with<T>(self, set: impl FnOnce(&mut Facts) -> T) -> Self {
        set(&mut self.facts.borrow_mut());
        self
    }
}

/// Between the phases, and after them.
impl Exchange {
    /// The response came from upstream, after `on_request` ran; edits that waited for it are applied.
    pub fn respond(&mut self, answer: Answer) {
        self.facts.borrow_mut().respond(answer);
    }

    /// The method that goes upstream.
    #[must_use]
    pub fn method(&self) -> String {
        self.facts.borrow().method.clone()
    }

    /// Path and query that go upstream.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        self.facts.borrow().path.clone()
    }

    /// The upstream that the plugin chose.
    #[must_use]
    pub fn chosen_upstream(&self) -> Option<String> {
        self.facts.borrow().chosen_upstream.clone()
    }

    /// The first request field of that name, as text.
    #[must_use]
    pub fn request_header(&self, name: &str) -> Option<String> {
        first(&self.facts.borrow().request_headers, name).map(text)
    }

    /// Every request field, in order.
    #[must_use]
    pub fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.facts.borrow().request_headers.clone()
    }

    /// The request body.
    #[must_use]
    pub fn request_body(&self) -> Option<Vec<u8>> {
        self.facts.borrow().request_body.clone()
    }

    /// The status of the response: of the one that came, or the one that a waiting edit asks for.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        Some(self.facts.borrow().seen().status).filter(|status| *status != 0)
    }

    /// The first response field of that name, as text; before there is a response, as the waiting edits make it.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<String> {
        first(&self.facts.borrow().seen().headers, name).map(text)
    }

    /// Every response field; before there is a response, as the waiting edits make them.
    #[must_use]
    pub fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.facts.borrow().seen().headers
    }

    /// The response body.
    #[must_use]
    pub fn response_body(&self) -> Option<Vec<u8>> {
        self.facts
            .borrow()
            .response
            .as_ref()
            .map(|response| response.body.clone())
    }

    /// An attribute, as a plugin left it.
    #[must_use]
    pub fn attribute_value(&self, name: &str) -> Option<String> {
        self.facts.borrow().attributes.get(name).cloned()
    }
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
