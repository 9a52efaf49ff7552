//! Inside the sandbox: each function is one call of the gateway.

use std::time::{Duration, SystemTime};

use super::bindings::gateway::plugin::{
    edits, exchange, limiter, secrets, state, telemetry, types, upstream,
};
use crate::types::edit::{Edit, EditError, HeaderError};
use crate::types::level::Level;
use crate::types::quota::{Algorithm, Decision, Quota};
use crate::types::state::Error as StateError;
use crate::types::subrequest;
use crate::types::wants::Wants;

pub(crate) use exchange::{
    attribute, authority, call_remaining_ms, client_address, client_certificate_subject, id,
    method, path, path_param, query_param, remaining_ms, request_body, request_header,
    request_headers, response_body, response_header, response_headers, route, scheme,
    set_attribute, set_request_body, set_response_body, set_status, status,
};
pub(crate) use secrets::get as secret;
pub(crate) use telemetry::{count, observe};

pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// The edits of the exchange, with the SDK's error.
macro_rules! edits {
    ($($name:ident($($argument:ident: $type:ty),+);)+) => {
        $(pub(crate) fn $name($($argument: $type),+) -> Result<(), HeaderError> {
            exchange::$name($($argument),+).map_err(why)
        })+
    };
}

edits! {
    set_request_header(name: &str, value: &[u8]);
    append_request_header(name: &str, value: &[u8]);
    remove_request_header(name: &str);
    set_method(method: &str);
    set_path(path_and_query: &str);
    set_upstream(name: &str);
    set_response_header(name: &str, value: &[u8]);
    append_response_header(name: &str, value: &[u8]);
    remove_response_header(name: &str);
}

fn why(error: exchange::HeaderError) -> HeaderError {
    match error {
        exchange::HeaderError::InvalidName => HeaderError::InvalidName,
        exchange::HeaderError::InvalidValue => HeaderError::InvalidValue,
        exchange::HeaderError::Denied => HeaderError::Denied,
    }
}

pub(crate) fn edit(edits: &[Edit<'_>]) -> Result<(), EditError> {
    let length = edits.iter().map(|edit| edit.name.len() + edit.value.len());
    let mut text = Vec::with_capacity(length.sum());
    let mut numbers = Vec::with_capacity(3 * edits.len());
    for edit in edits {
        text.extend_from_slice(edit.name.as_bytes());
        text.extend_from_slice(edit.value);
        // The address space of a guest has 32 bits.
        let lengths = [edit.name.len() as u32, edit.value.len() as u32];
        numbers.push(edit.kind as u32);
        numbers.extend_from_slice(&lengths);
    }
    edits::apply(&numbers, &text).map_err(|error| EditError {
        at: error.at as usize,
        why: why(error.why),
    })
}

/// Pairs as the records of the WIT; both have one layout in memory, so nothing is copied.
pub(crate) fn fields(headers: Vec<(String, Vec<u8>)>) -> Vec<types::Header> {
    headers
        .into_iter()
        .map(|(name, value)| types::Header { name, value })
        .collect()
}

pub(crate) fn wants(wants: Wants) -> types::Wants {
    let (kinds, needs) = (wants.types, wants.needs);
    types::Wants {
        phases: types::Phases::from_bits_retain(wants.phases.bits()),
        response_types: types::ResponseTypes {
            touched: kinds.touched,
            passed: kinds.passed,
            other: match kinds.refuses_others {
                true => types::Other::Refuse,
                false => types::Other::Pass,
            },
        },
        needs: types::Needs {
            upstreams: needs.upstreams,
            secrets: needs.secrets,
            state: needs.state,
            request_headers_read: needs.request_fields_read,
            request_headers_written: needs.request_fields_written,
            response_headers_read: needs.response_fields_read,
            response_headers_written: needs.response_fields_written,
        },
    }
}

pub(crate) fn send(
    request: subrequest::Request,
) -> Result<subrequest::Response, subrequest::Error> {
    let timeout_ms = request.timeout_ms();
    let headers = fields(request.headers);
    let headers: Vec<_> = headers.iter().collect();
    let sent = upstream::send(upstream::Request {
        upstream: &request.upstream,
        method: &request.method,
        path: &request.path,
        host: request.host.as_deref(),
        headers: &headers,
        body: &request.body,
        timeout_ms,
    });
    answer(sent)
}

pub(crate) fn send_all(
    requests: Vec<subrequest::Request>,
) -> Vec<Result<subrequest::Response, subrequest::Error>> {
    let answers = with_all(requests, upstream::send_all);
    answers.into_iter().map(answer).collect()
}

pub(crate) fn start_all(requests: Vec<subrequest::Request>) {
    with_all(requests, upstream::start_all);
}

pub(crate) fn next_answer() -> Option<(usize, Result<subrequest::Response, subrequest::Error>)> {
    let (place, sent) = upstream::next_answer()?;
    // The address space of a guest has 32 bits.
    Some((place as usize, answer(sent)))
}

/// Requests as the records of the WIT.
fn with_all<T>(
    mut requests: Vec<subrequest::Request>,
    act: impl FnOnce(&[upstream::Request<'_>]) -> T,
) -> T {
    let headers: Vec<_> = requests
        .iter_mut()
        .map(|request| fields(std::mem::take(&mut request.headers)))
        .collect();
    let headers: Vec<Vec<_>> = headers
        .iter()
        .map(|fields| fields.iter().collect())
        .collect();
    let requests: Vec<_> = requests
        .iter()
        .zip(&headers)
        .map(|(request, headers)| upstream::Request {
            upstream: &request.upstream,
            method: &request.method,
            path: &request.path,
            host: request.host.as_deref(),
            headers,
            body: &request.body,
            timeout_ms: request.timeout_ms(),
        })
        .collect();
    act(&requests)
}

fn answer(
    sent: Result<types::Response, upstream::Error>,
) -> Result<subrequest::Response, subrequest::Error> {
    use subrequest::{Error, Response};

    sent.map(|response| Response {
        status: response.status,
        headers: response
            .headers
            .into_iter()
            .map(|field| (field.name, field.value))
            .collect(),
        body: response.body,
    })
    .map_err(|error| match error {
        upstream::Error::Denied => Error::Denied,
        upstream::Error::UnknownUpstream => Error::UnknownUpstream,
        upstream::Error::Timeout => Error::Timeout,
        upstream::Error::Connect(why) => Error::Connect(why),
        upstream::Error::BodyTooLarge => Error::BodyTooLarge,
        upstream::Error::Protocol(why) => Error::Protocol(why),
        upstream::Error::LoopDetected => Error::LoopDetected,
    })
}

fn state_error(error: state::Error) -> StateError {
    match error {
        state::Error::Unavailable(why) => StateError::Unavailable(why),
        state::Error::TooLarge => StateError::TooLarge,
        state::Error::Conflict => StateError::Conflict,
    }
}

pub(crate) fn state_get(key: &str) -> Result<Option<Vec<u8>>, StateError> {
    state::get(key).map_err(state_error)
}

pub(crate) fn state_set(key: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<(), StateError> {
    state::set(key, value, ttl_ms).map_err(state_error)
}

pub(crate) fn state_delete(key: &str) -> Result<(), StateError> {
    state::delete(key).map_err(state_error)
}

pub(crate) fn state_increment(key: &str, by: i64, ttl_ms: Option<u32>) -> Result<i64, StateError> {
    state::increment(key, by, ttl_ms).map_err(state_error)
}

pub(crate) fn state_compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl_ms: Option<u32>,
) -> Result<(), StateError> {
    state::compare_and_swap(key, expected, value, ttl_ms).map_err(state_error)
}

pub(crate) fn acquire(key: &str, quota: Quota, cost: u32) -> Result<Decision, StateError> {
    let quota = limiter::Quota {
        algorithm: match quota.algorithm {
            Algorithm::TokenBucket => limiter::Algorithm::TokenBucket,
            Algorithm::SlidingWindow => limiter::Algorithm::SlidingWindow,
            Algorithm::FixedWindow => limiter::Algorithm::FixedWindow,
        },
        limit: quota.limit,
        window_ms: quota.window_ms,
        burst: quota.burst,
    };
    let decision = limiter::acquire(key, quota, cost).map_err(state_error)?;
    Ok(Decision {
        allowed: decision.allowed,
        remaining: decision.remaining,
        reset: Duration::from_millis(u64::from(decision.reset_ms)),
    })
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Trace => telemetry::Level::Trace,
        Level::Debug => telemetry::Level::Debug,
        Level::Info => telemetry::Level::Info,
        Level::Warn => telemetry::Level::Warn,
        Level::Error => telemetry::Level::Error,
    };
    telemetry::log(level, message, fields);
}
