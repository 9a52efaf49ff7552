//! Outside the sandbox: the exchange and the gateway that a test set up for this thread. Outside a phase everything
//! reads as empty and every edit is denied, as the WIT has it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::SystemTime;

use crate::limiter::{Decision, Quota};
use crate::test::{Facts, LogLine, ResponseEdit, Scene, World, first, series, set};
use crate::{
    Answer, Edit, EditError, EditKind, HeaderError, Level, Phases, Query, fields, state, upstream,
};

/// The longest field value that the gateway takes from a plugin, in bytes.
const LONGEST_VALUE: usize = 64 * 1024;

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Runs `phase` in a scene, and leaves it whatever happens.
pub(crate) fn enter<T>(scene: Scene, phase: impl FnOnce() -> T) -> T {
    struct Leave(Option<Scene>);
    impl Drop for Leave {
        fn drop(&mut self) {
            SCENE.set(self.0.take());
        }
    }
    let _leave = Leave(SCENE.replace(Some(scene)));
    phase()
}

fn world<T>(act: impl FnOnce(&World) -> T) -> Option<T> {
    let world = SCENE.with_borrow(|scene| scene.as_ref().map(|scene| Rc::clone(&scene.world)))?;
    Some(act(&world))
}

fn exchange<T: Default>(act: impl FnOnce(&mut Facts) -> T) -> T {
    let exchange =
        SCENE.with_borrow(|scene| scene.as_ref().and_then(|scene| scene.exchange.clone()));
    exchange.map_or_else(T::default, |facts| act(&mut facts.borrow_mut()))
}

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
    let graphic = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !path_and_query.starts_with('/')
        || !path_and_query.bytes().all(graphic)
        || is_treacherous(path_and_query)
    {
        return Err(HeaderError::InvalidName);
    }
    edit_request(|facts| path_and_query.clone_into(&mut facts.path))
}

/// Whether a path has dot segments, also encoded ones or with parameters, or hides a separator or a NUL: what the
/// gateway refuses from a client it refuses from a plugin too.
fn is_treacherous(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let path = path.to_ascii_lowercase();
    ["%2f", "%5c", "%00", "\\"]
        .iter()
        .any(|hidden| path.contains(hidden))
        || has_dot_segment(&path)
}

/// Whether a segment is `.` or `..`, however it is written, also behind a separator that only some see as one.
fn has_dot_segment(path_and_query: &str) -> bool {
    // The gateway sends no fragment, and looks at the path before it.
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    })
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

pub(crate) fn send(request: upstream::Request) -> Result<upstream::Response, upstream::Error> {
    let here = exchange(|facts| facts.upstreams.get(&request.upstream).cloned());
    let upstream =
        here.or_else(|| world(|world| world.upstreams.get(&request.upstream).cloned()).flatten());
    let upstream = upstream.ok_or(upstream::Error::UnknownUpstream)?;
    if !request.path.starts_with('/') || has_dot_segment(&request.path) {
        let rule = "the path of a sub-request begins with `/` and has no segment `.` or `..`";
        return Err(upstream::Error::Protocol(rule.to_owned()));
    }
    upstream(&request).map(|answer: Answer| answer.into())
}

pub(crate) fn send_all(
    requests: Vec<upstream::Request>,
) -> Vec<Result<upstream::Response, upstream::Error>> {
    requests.into_iter().map(send).collect()
}

pub(crate) fn secret(name: &str) -> Option<String> {
    exchange(|facts| facts.secrets.get(name).cloned())
        .or_else(|| world(|world| world.secrets.get(name).cloned()).flatten())
}

pub(crate) fn now() -> SystemTime {
    world(|world| world.now.get()).unwrap_or_else(SystemTime::now)
}

fn store<T>(act: impl FnOnce(&World, u64) -> Result<T, state::Error>) -> Result<T, state::Error> {
    let unavailable = |why: &str| Err(state::Error::Unavailable(why.to_owned()));
    world(|world| {
        if world.store_is_lost.get() {
            unavailable("the test lost it")
        } else {
            act(world, world.milliseconds())
        }
    })
    .unwrap_or_else(|| unavailable("no test harness on this thread"))
}

pub(crate) fn state_get(key: &str) -> Result<Option<Vec<u8>>, state::Error> {
    store(|world, now| world.store.borrow().get(now, key))
}

pub(crate) fn state_set(key: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<(), state::Error> {
    store(|world, now| world.store.borrow_mut().set(now, key, value, ttl_ms))
}

pub(crate) fn state_delete(key: &str) -> Result<(), state::Error> {
    store(|world, _| world.store.borrow_mut().delete(key))
}

pub(crate) fn state_increment(
    key: &str,
    by: i64,
    ttl_ms: Option<u32>,
) -> Result<i64, state::Error> {
    store(|world, now| world.store.borrow_mut().increment(now, key, by, ttl_ms))
}

pub(crate) fn state_compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl_ms: Option<u32>,
) -> Result<(), state::Error> {
    store(|world, now| {
        world
            .store
            .borrow_mut()
            .compare_and_swap(now, key, expected, value, ttl_ms)
    })
}

pub(crate) fn acquire(key: &str, quota: Quota, cost: u32) -> Result<Decision, state::Error> {
    store(|world, now| world.store.borrow_mut().acquire(now, key, quota, cost))
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    world(|world| {
        world.logs.borrow_mut().push(LogLine {
            level,
            message: message.to_owned(),
            fields,
        })
    });
}

/// The longest name of a metric or label, and the longest value of a label, in bytes.
const LONGEST_LABEL: usize = 128;

/// Whether the gateway would publish a metric. That it drops one for its name would only be found in operation.
fn published(name: &str, labels: &[(&str, &str)]) -> bool {
    let sound = |name: &str| {
        name.len() <= LONGEST_LABEL
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    for name in std::iter::once(name).chain(labels.iter().map(|(name, _)| *name)) {
        assert!(
            sound(name),
            "`{name}` names no metric or label: the gateway drops it; letters, digits and `_` make a name"
        );
    }
    assert!(
        labels.len() <= 8,
        "the metric `{name}` has more than 8 labels: the gateway drops it"
    );
    labels.iter().all(|(_, value)| value.len() <= LONGEST_LABEL)
}

pub(crate) fn count(name: &str, labels: &[(&str, &str)], by: u64) {
    if !published(name, labels) {
        return;
    }
    world(|world| {
        *world
            .counters
            .borrow_mut()
            .entry(series(name, labels))
            .or_default() += by
    });
}

pub(crate) fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    if !published(name, labels) || !value.is_finite() {
        return;
    }
    world(|world| {
        world
            .observations
            .borrow_mut()
            .entry(series(name, labels))
            .or_default()
            .push(value)
    });
}
