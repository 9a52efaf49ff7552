//! What a route and its upstream do with endpoints that fail, and how requests are spread over them.

use std::fmt::{self, Display, Formatter};

use http::Method;
use serde::Serialize;

use crate::config::{
    self, Balance, ClientKey, Config, Fallback, FallbackTo, HashOn, Retry, Upstream,
};

/// A line for each of what there is.
#[derive(Debug, Default, Serialize)]
pub struct Behaves {
    /// How requests are spread, over more endpoints than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// What is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// When nothing is sent for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// What answers where the upstream does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

/// What becomes of a request of this method.
pub(super) fn of(
    config: &Config,
    route: &config::Route,
    upstream: &Upstream,
    method: &Method,
) -> Behaves {
    Behaves {
        balance: balance(upstream),
        retry: route.retry.as_deref().map(|it| retry(it, method)),
        breaker: breaker(upstream),
        fallback: route.fallback.as_deref().map(|it| fallback(config, it)),
    }
}

fn balance(upstream: &Upstream) -> Option<String> {
    let count = upstream.places().len();
    if count < 2 && upstream.names.is_empty() {
        return None;
    }
    let way = match &upstream.balance {
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::Random => "random".to_owned(),
        Balance::LeastRequest => "least_request".to_owned(),
        Balance::Hash(on) => format!("hash on {}", key(on)),
    };
    let sticky = upstream.sticky.as_ref();
    let sticky = sticky.map(|it| format!(", sticky by the cookie `{}`", it.cookie));
    Some(way + &sticky.unwrap_or_default())
}

fn key(on: &HashOn) -> String {
    match on {
        HashOn::Client(ClientKey::Cookie(name)) => format!("cookie:{name}"),
        HashOn::Client(ClientKey::Header(name)) => format!("header:{name}"),
        HashOn::Client(ClientKey::Query(name)) => format!("query:{name}"),
        HashOn::Client(ClientKey::ClientAddress) => "client_address".to_owned(),
        HashOn::Attribute(name) => format!("attribute:{name}"),
    }
}

fn retry(retry: &Retry, method: &Method) -> String {
    let (attempts, on) = (retry.attempts, retry.on.told());
    let seen = match retry.methods.contains(method) {
        true => "also where an endpoint may have seen it, if it has no body or a plugin holds that",
        false => "only where nothing of it was sent",
    };
    let budget = match retry.budget {
        Some(share) => format!("budget {share}"),
        None => "no budget".to_owned(),
    };
    format!("up to {attempts} attempts, after {on}; a {method} {seen}; {budget}")
}

fn breaker(upstream: &Upstream) -> Option<String> {
    let breaker = upstream.breaker?;
    let trip = breaker.trip.map(|trip| {
        let slow = trip.slow.map(|slow| format!(" or take over {slow:?}"));
        format!(
            "opens for {:?} where {} of {} requests or more in {:?} fail{}",
            trip.open_for,
            trip.failure_ratio,
            trip.min_requests,
            trip.window,
            slow.unwrap_or_default()
        )
    });
    let most = breaker.max_requests;
    let most = most.map(|most| format!("at most {most} requests under way"));
    let parts: Vec<_> = trip.into_iter().chain(most).collect();
    Some(parts.join("; ")).filter(|told| !told.is_empty())
}

fn fallback(config: &Config, fallback: &Fallback) -> String {
    let on = fallback.on.told();
    match &fallback.to {
        FallbackTo::Upstream(id) => {
            let name = config.upstreams.get_index(id.0).map(|(name, _)| &**name);
            format!("upstream {}, after {on}", name.unwrap_or_default())
        }
        FallbackTo::Respond(answer) => format!("answer {}, after {on}", answer.status.as_u16()),
    }
}

impl Display for Behaves {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines = [
            ("balance", &self.balance),
            ("retry", &self.retry),
            ("breaker", &self.breaker),
            ("fallback", &self.fallback),
        ];
        for (name, told) in lines {
            if let Some(told) = told {
                writeln!(f, "{name} {told}")?;
            }
        }
        Ok(())
    }
}
