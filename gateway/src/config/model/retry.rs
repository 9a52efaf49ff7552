//! `routes.retry`.

use std::time::Duration;

use http::Method;

use super::outcomes::Outcomes;

/// `routes.retry`: what is sent again, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How often a request may be sent at most, the first time included.
    pub attempts: u32,
    /// After which outcomes.
    pub on: Outcomes,
    /// Which methods may be sent again where an endpoint may have seen the request.
    pub methods: Vec<Method>,
    /// The longest pause before the second attempt; it doubles with each attempt, up to ten times this.
    pub backoff: Duration,
    /// The part of the upstream's requests that may be sent again; none: any number.
    pub budget: Option<f64>,
    /// How long one attempt may take, up to the head of the answer.
    pub per_try: Option<Duration>,
}
