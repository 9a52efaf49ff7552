//! One request and its response in memory, and how edits change them.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::types::answer::Answer;
use crate::types::phases::Phases;
use crate::types::subrequest;

pub(crate) type UpstreamFn = dyn Fn(&subrequest::Request) -> Result<Answer, subrequest::Error>;
type Fields = Vec<(String, Vec<u8>)>;

/// What the gateway knows of an exchange.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) route: String,
    pub(crate) client_address: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    pub(crate) certificate_subject: Option<String>,
    /// Milliseconds until the exchange must be over.
    pub(crate) remaining_ms: Option<u32>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) path_params: BTreeMap<String, String>,
    pub(crate) request_headers: Fields,
    pub(crate) request_body: Option<Vec<u8>>,
    pub(crate) chosen_upstream: Option<String>,
    pub(crate) response: Option<Answer>,
    /// Edits that wait for the response.
    pub(crate) waiting: Vec<ResponseEdit>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) upstreams: BTreeMap<String, Rc<UpstreamFn>>,
    /// Answers to sub-requests that the plugin takes as they come.
    pub(crate) answers: VecDeque<(usize, Result<subrequest::Response, subrequest::Error>)>,
    /// What the plugin asked for, so that a body it did not ask for stays out of reach.
    pub(crate) phases: Phases,
    /// Whether the request has gone upstream and can no longer be edited.
    pub(crate) sent: bool,
    /// Whether the phase at hand may edit at all.
    pub(crate) frozen: bool,
    /// Whether the exchange is over: no more attributes either.
    pub(crate) over: bool,
}

/// One edit of a response.
#[derive(Clone, Debug)]
pub(crate) enum ResponseEdit {
    Status(u16),
    Set(String, Vec<u8>),
    Append(String, Vec<u8>),
    Remove(String),
}

impl ResponseEdit {
    pub(crate) fn apply(self, answer: &mut Answer) {
        match self {
            Self::Status(status) => answer.status = status,
            Self::Set(name, value) => set(&mut answer.headers, &name, value),
            Self::Append(name, value) => answer.headers.push((name, value)),
            Self::Remove(name) => answer.headers.retain(|(n, _)| *n != name),
        }
    }
}

impl Facts {
    /// Applies an edit of the response, or keeps it until there is one.
    pub(crate) fn edit_response(&mut self, edit: ResponseEdit) {
        match &mut self.response {
            Some(response) => edit.apply(response),
            None => self.waiting.push(edit),
        }
    }

    /// A response came, from wherever.
    pub(crate) fn respond(&mut self, mut answer: Answer) {
        for edit in self.waiting.drain(..) {
            edit.apply(&mut answer);
        }
        self.response = Some(answer);
    }

    /// The response as it is, or as the waiting edits alone would make it.
    pub(crate) fn seen(&self) -> Answer {
        self.response.clone().unwrap_or_else(|| {
            let mut answer = Answer::new(0);
            for edit in &self.waiting {
                edit.clone().apply(&mut answer);
            }
            answer
        })
    }
}

pub(crate) fn set(headers: &mut Fields, name: &str, value: Vec<u8>) {
    match headers.iter().position(|(n, _)| n == name) {
        Some(at) => {
            headers[at].1 = value;
            let mut index = 0;
            headers.retain(|(n, _)| {
                index += 1;
                index - 1 <= at || n != name
            });
        }
        None => headers.push((name.to_owned(), value)),
    }
}

pub(crate) fn first(headers: &[(String, Vec<u8>)], name: &str) -> Option<Vec<u8>> {
    headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.clone())
}
