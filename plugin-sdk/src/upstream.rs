//! Sub-requests, only to upstreams that the configuration names and grants. No URL reaches the network.

use std::marker::PhantomData;

use crate::host;

pub use crate::types::subrequest::{Error, Request, Response};

impl Request {
    /// Sends it and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send(self) -> Result<Response, Error> {
        host::send(self)
    }
}

/// Sends them all at once; answers in the order of the requests.
#[must_use]
pub fn send_all(requests: Vec<Request>) -> Vec<Result<Response, Error>> {
    host::send_all(requests)
}

/// Sends them all at once, 64 at most; their answers as they come, whichever is first, each with the place of its request
/// in the list.
///
/// What has no answer yet is given up when [`Answers`] is dropped, when the phase ends, and when another list is sent this
/// way.
///
/// ```
/// use gateway_plugin_sdk::upstream::{self, Request};
///
/// # fn first_success() -> Option<upstream::Response> {
/// let requests = vec![Request::get("one", "/"), Request::get("other", "/")];
/// let mut answers = upstream::as_they_come(requests).filter_map(|(_, answer)| answer.ok());
/// answers.find(upstream::Response::is_success)
/// # }
/// # assert!(first_success().is_none());
/// ```
pub fn as_they_come(requests: Vec<Request>) -> Answers {
    let is_over = requests.is_empty();
    if !is_over {
        host::start_all(requests);
    }
    Answers {
        is_over,
        _exchange: PhantomData,
    }
}

/// Answers to sub-requests as they come.
#[derive(Debug)]
#[must_use = "what is dropped is given up"]
pub struct Answers {
    is_over: bool,
    // Not Send, not Sync: the requests belong to the exchange in hand.
    _exchange: PhantomData<*const ()>,
}

impl Iterator for Answers {
    type Item = (usize, Result<Response, Error>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let answer = host::next_answer();
        self.is_over = answer.is_none();
        answer
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.is_over {
            host::start_all(Vec::new());
        }
    }
}
