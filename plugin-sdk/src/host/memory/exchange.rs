//! The functions of the exchange in hand: its request, its response, and the edits of both.

use super::facts::{Facts, ResponseEdit, first, set};
use super::scene::exchange;
use crate::path::may_be_set;
use crate::types::edit::{Edit, EditError, EditKind, HeaderError};
use crate::{Phases, Query, fields};

/// The longest field value that the gateway takes from a plugin, in bytes.
const LONGEST_VALUE: usize = 64 * 1024;

fn checked(name: &str, value: &[u8]) -> Result<String, HeaderError> {
    if fields::is_reserved(name) {
        Err(HeaderError::Denied)
    } else if !fields::is_token(name) {
        Err(HeaderError::InvalidName)
    } else if value.len() > LONGEST_VALUE || fields::forbidden_byte(value).is_some() {
        Err(HeaderError::InvalidValue)
    } else {
        Ok(name.to_ascii_lowercase())
    }
}

/// An edit of the request, while it can be edited.
fn edit_request(edit: impl FnOnce(&mut Facts)) -> Result<(), HeaderError> {
    exchange(|facts| (!facts.frozen && !facts.sent).then(|| edit(facts))).ok_or(HeaderError::Denied)
}

fn edit_response(edit: ResponseEdit) -> Result<(), HeaderError> {
    exchange(|facts| (!facts.frozen).then(|| facts.edit_response(edit))).ok_or(HeaderError::Denied)
}

pub(crate) fn id() -> String {
    exchange(|facts| facts.id.clone())
}

pub(crate) fn route() -> String {
    exchange(|facts| facts.route.clone())
}

pub(crate) fn client_address() -> String {
    exchange(|facts| facts.client_address.clone())
}

pub(crate) fn scheme() -> String {
    exchange(|facts| facts.scheme.clone())
}

pub(crate) fn authority() -> String {
    exchange(|facts| facts.authority.clone())
}

pub(crate) fn method() -> String {
    exchange(|facts| facts.method.clone())
}

pub(crate) fn path() -> String {
    exchange(|facts| facts.path.clone())
}

pub(crate) fn path_param(name: &str) -> Option<String> {
    exchange(|facts| facts.path_params.get(name).cloned())
}

pub(crate) fn query_param(name: &str) -> Option<String> {
    Query::of(path())
        .find(|(n, _)| n == name)
        .map(|(_, value)| value)
}

pub(crate) fn client_certificate_subject() -> Option<String> {
    exchange(|facts| facts.certificate_subject.clone())
}

pub(crate) fn remaining_ms() -> Option<u32> {
    exchange(|facts| facts.remaining_ms)
}

pub(crate) fn call_remaining_ms() -> u32 {
    /// The plugin's `timeout` unless it is configured.
    const TIMEOUT: u32 = 2_000;
    exchange(|facts| facts.remaining_ms.unwrap_or(TIMEOUT).min(TIMEOUT))
}

pub(crate) fn request_header(name: &str) -> Option<Vec<u8>> {
    exchange(|facts| first(&facts.request_headers, name))
}

pub(crate) fn request_headers() -> Vec<(String, Vec<u8>)> {
    exchange(|facts| facts.request_headers.clone())
}

pub(crate) fn set_request_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
    let name = checked(name, value)?;
    edit_request(|facts| set(&mut facts.request_headers, &name, value.to_vec()))
}

pub(crate) fn append_request_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
    let name = checked(name, value)?;
    edit_request(|facts| facts.request_headers.push((name, value.to_vec())))
}

pub(crate) fn remove_request_header(name: &str) -> Result<(), HeaderError> {
    let name = checked(name, &[])?;
    edit_request(|facts| facts.request_headers.retain(|(n, _)| *n != name))
}

/// Makes edits in order up to the first that is not made.
pub(crate) fn edit(edits: &[Edit<'_>]) -> Result<(), EditError> {
    let mut all = edits.iter().enumerate();
    all.try_for_each(|(at, edit)| edit_one(edit).map_err(|why| EditError { at, why }))
}

fn edit_one(edit: &Edit<'_>) -> Result<(), HeaderError> {
    let (name, value) = (edit.name, edit.value);
    match edit.kind {
        EditKind::SetRequestHeader => set_request_header(name, value),
        EditKind::AppendRequestHeader => append_request_header(name, value),
        EditKind::RemoveRequestHeader => remove_request_header(name),
        EditKind::SetResponseHeader => set_response_header(name, value),
        EditKind::AppendResponseHeader => append_response_header(name, value),
        EditKind::RemoveResponseHeader => remove_response_header(name),
        EditKind::SetAttribute => {
            let value = std::str::from_utf8(value).map_err(|_| HeaderError::InvalidValue)?;
            set_attribute(name, value);
            Ok(())
        }
    }
}

pub(crate) fn set_method(method: &str) -> Result<(), HeaderError> {
    if !fields::is_token(method) {
        return Err(HeaderError::InvalidName);
    }
    if method == "CONNECT" {
        return Err(HeaderError::Denied);
    }
    edit_request(|facts| method.clone_into(&mut facts.method))
}

pub(crate) fn set_path(path_and_query: &str) -> Result<(), HeaderError> {
    if !may_be_set(path_and_query) {
        return Err(HeaderError::InvalidName);
    }
    edit_request(|facts| path_and_query.clone_into(&mut facts.path))
}

pub(crate) fn set_upstream(name: &str) -> Result<(), HeaderError> {
    edit_request(|facts| facts.chosen_upstream = Some(name.to_owned()))
}

pub(crate) fn request_body() -> Option<Vec<u8>> {
    exchange(|facts| {
        facts
            .request_body
            .clone()
            .filter(|_| facts.phases.contains(Phases::REQUEST_BODY))
    })
}

pub(crate) fn set_request_body(body: &[u8]) {
    exchange(|facts| {
        if facts.phases.contains(Phases::REQUEST_BODY) && !facts.sent && !facts.frozen {
            facts.request_body = Some(body.to_vec());
        }
    });
}

pub(crate) fn status() -> Option<u16> {
    exchange(|facts| facts.response.as_ref().map(|response| response.status))
}

pub(crate) fn set_status(status: u16) {
    if (200..=599).contains(&status) {
        // The WIT gives this edit no way to say that it was denied.
        edit_response(ResponseEdit::Status(status)).unwrap_or_default();
    }
}

pub(crate) fn response_header(name: &str) -> Option<Vec<u8>> {
    exchange(|facts| {
        facts
            .response
            .as_ref()
            .and_then(|response| first(&response.headers, name))
    })
}

pub(crate) fn response_headers() -> Vec<(String, Vec<u8>)> {
    exchange(|facts| {
        facts
            .response
            .as_ref()
            .map(|response| response.headers.clone())
            .unwrap_or_default()
    })
}

pub(crate) fn set_response_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
    edit_response(ResponseEdit::Set(checked(name, value)?, value.to_vec()))
}

pub(crate) fn append_response_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
    edit_response(ResponseEdit::Append(checked(name, value)?, value.to_vec()))
}

pub(crate) fn remove_response_header(name: &str) -> Result<(), HeaderError> {
    edit_response(ResponseEdit::Remove(checked(name, &[])?))
}

pub(crate) fn response_body() -> Option<Vec<u8>> {
    exchange(|facts| {
        let body = facts
            .response
            .as_ref()
            .map(|response| response.body.clone());
        body.filter(|_| facts.phases.contains(Phases::RESPONSE_BODY))
    })
}

pub(crate) fn set_response_body(body: &[u8]) {
    exchange(|facts| {
        if facts.sent
            && !facts.frozen
            && let Some(response) = &mut facts.response
        {
            response.body = body.to_vec();
        }
    });
}

pub(crate) fn attribute(name: &str) -> Option<String> {
    exchange(|facts| facts.attributes.get(name).cloned())
}

pub(crate) fn set_attribute(name: &str, value: &str) {
    exchange(|facts| {
        if !facts.over {
            facts.attributes.insert(name.to_owned(), value.to_owned());
        }
    });
}
