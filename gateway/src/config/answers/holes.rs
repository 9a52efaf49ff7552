//! What may stand between braces in an answer.

use std::sync::Arc;

use http::HeaderName;

use crate::config::model::AnswerValue;
use crate::config::reason::Reason;
use crate::config::suggest;

/// Names of which every answer has the value.
const NAMES: [(&str, AnswerValue); 7] = [
    ("host", AnswerValue::Host),
    ("hostname", AnswerValue::Hostname),
    ("path", AnswerValue::Path),
    ("query", AnswerValue::Query),
    ("method", AnswerValue::Method),
    ("client", AnswerValue::Client),
    ("request_id", AnswerValue::RequestId),
];

/// Names of which an answer to a failure has the value.
const OF_FAILURE: [(&str, AnswerValue); 2] = [
    ("status", AnswerValue::Status),
    ("reason", AnswerValue::Reason),
];

/// Values of a request by a name that the configuration chooses.
const PREFIXES: [&str; 3] = ["header.NAME", "query.NAME", "cookie.NAME"];

/// The names that stand for something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holes<'a> {
    /// The parameters of the route's path.
    pub(super) params: &'a [Arc<str>],
    /// The answer is one to a failure.
    pub(super) of_failure: bool,
}

impl Holes<'_> {
    /// What a name stands for; the parameters of the path come first.
    pub(super) fn value(self, name: &str) -> Option<AnswerValue> {
        if let Some(param) = self.params.iter().find(|param| ***param == *name) {
            return Some(AnswerValue::Param(param.clone()));
        }
        let mut fixed = self.fixed();
        if let Some((_, value)) = fixed.find(|(fixed, _)| *fixed == name) {
            return Some(value);
        }
        match name.split_once('.')? {
            (_, "") => None,
            ("header", name) => HeaderName::try_from(name).ok().map(AnswerValue::Header),
            ("query", name) => Some(AnswerValue::QueryOf(name.into())),
            ("cookie", name) => Some(AnswerValue::Cookie(name.into())),
            _ => None,
        }
    }

    /// As [`Self::value`], where braces have no other meaning.
    ///
    /// # Errors
    /// The names that stand for something.
    pub(super) fn wanted(self, name: &str) -> Result<AnswerValue, Reason> {
        self.value(name).ok_or_else(|| {
            let params = self.params.iter().map(|param| &**param);
            let fixed = self.fixed().map(|(name, _)| name);
            let names: Vec<_> = params.chain(fixed).chain(PREFIXES).collect();
            let remedy = suggest::remedy(name, names, "there are");
            let reason = Reason::repeating("has `{{}}`, which stands for nothing here", [&name]);
            reason.and(remedy)
        })
    }

    fn fixed(self) -> impl Iterator<Item = (&'static str, AnswerValue)> {
        let of_failure = if self.of_failure {
            &OF_FAILURE[..]
        } else {
            &[]
        };
        NAMES.into_iter().chain(of_failure.iter().cloned())
    }
}
