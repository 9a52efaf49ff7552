//! The functions beyond the exchange: sub-requests, secrets, the clock, state and the limiter.

use std::time::SystemTime;

use super::scene::{exchange, world};
use super::world::World;
use crate::path::{has_parameter, may_be_asked};
use crate::types::answer::Answer;
use crate::types::quota::{Decision, Quota};
use crate::types::{state, subrequest};

pub(crate) fn send(
    request: subrequest::Request,
) -> Result<subrequest::Response, subrequest::Error> {
    let here = exchange(|facts| facts.upstreams.get(&request.upstream).cloned());
    let upstream =
        here.or_else(|| world(|world| world.upstreams.get(&request.upstream).cloned()).flatten());
    let upstream = upstream.ok_or(subrequest::Error::UnknownUpstream)?;
    // As on a route that keeps no parameters.
    if !may_be_asked(&request.path) || has_parameter(&request.path) {
        let rule = "no sub-request goes there: the path is none, has a parameter, or a part of it is `.`, `..` or empty";
        return Err(subrequest::Error::Protocol(rule.to_owned()));
    }
    upstream(&request).map(|answer: Answer| answer.into())
}

pub(crate) fn send_all(
    requests: Vec<subrequest::Request>,
) -> Vec<Result<subrequest::Response, subrequest::Error>> {
    requests.into_iter().map(send).collect()
}

/// Each is answered at once, and the answers wait in their order.
pub(crate) fn start_all(requests: Vec<subrequest::Request>) {
    let answers = send_all(requests).into_iter().enumerate().collect();
    exchange(|facts| facts.answers = answers);
}

pub(crate) fn next_answer() -> Option<(usize, Result<subrequest::Response, subrequest::Error>)> {
    exchange(|facts| facts.answers.pop_front())
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
