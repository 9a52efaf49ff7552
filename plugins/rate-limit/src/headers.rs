//! How a client learns where it stands: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers,
//! and the older `X-RateLimit-*`. All fields are one call of the gateway; what does not change is built once.

use gateway_plugin_sdk::Edit;

use crate::limit::{Limit, Standing};

const IETF: [&str; 2] = ["ratelimit-policy", "ratelimit"];
const X: [&str; 3] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// The fields that the configuration wants.
#[derive(Debug)]
pub(crate) struct Fields {
    /// The value of `RateLimit-Policy`, if the fields of the IETF are wanted.
    policy: Option<String>,
    /// Whether `X-RateLimit-*` is wanted.
    x: bool,
}

impl Fields {
    pub(crate) fn new(limits: &[Limit], ietf: bool, x: bool) -> Self {
        Self {
            policy: ietf.then(|| policies(limits)),
            x,
        }
    }

    /// The names of all of them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let ietf = self.policy.is_some().then_some(IETF).into_iter().flatten();
        let x = self.x.then_some(X).into_iter().flatten();
        ietf.chain(x)
    }

    /// Hands every field to `set`, all at once.
    pub(crate) fn tell<E>(
        &self,
        limit: &Limit,
        standing: Standing,
        set: impl FnOnce(&[Edit<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let remaining = Number::of(u64::from(standing.decision.remaining));
        let seconds = Number::of(standing.seconds());
        let capacity = Number::of(u64::from(limit.capacity()));
        let state = match self.policy {
            Some(_) => state(&limit.name, remaining, seconds),
            None => Vec::new(),
        };
        let policy = self.policy.as_deref().unwrap_or_default();
        let fields = [
            Edit::set_response_header(IETF[0], policy.as_bytes()),
            Edit::set_response_header(IETF[1], &state),
            Edit::set_response_header(X[0], capacity.as_ref()),
            Edit::set_response_header(X[1], remaining.as_ref()),
            Edit::set_response_header(X[2], seconds.as_ref()),
        ];
        let (ietf, x) = fields.split_at(IETF.len());
        match (self.policy.is_some(), self.x) {
            (true, true) => set(&fields),
            (true, false) => set(ietf),
            (false, true) => set(x),
            (false, false) => Ok(()),
        }
    }
}

/// The value of `RateLimit`.
fn state(name: &str, remaining: Number, seconds: Number) -> Vec<u8> {
    let mut state = Vec::with_capacity(name.len() + 48);
    quoted(name, &mut state);
    state.extend_from_slice(b";r=");
    state.extend_from_slice(remaining.as_ref());
    state.extend_from_slice(b";t=");
    state.extend_from_slice(seconds.as_ref());
    state
}

/// Every limit as an item of a structured field (RFC 9651): its name, quota, and window in whole seconds.
fn policies(limits: &[Limit]) -> String {
    let policies: Vec<String> = limits
        .iter()
        .map(|limit| {
            let window = limit.quota.window_ms.div_ceil(1000);
            format!("\"{}\";q={};w={window}", limit.name, limit.quota.limit)
        })
        .collect();
    policies.join(", ")
}

/// A name is checked to need no escape when it is configured.
fn quoted(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

/// A number in decimal, without an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    digits: [u8; 20],
    start: usize,
}

impl Number {
    pub(crate) fn of(mut number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        for place in (0..digits.len()).rev() {
            digits[place] = b"0123456789"[(number % 10) as usize];
            start = place;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }
}

impl AsRef<[u8]> for Number {
    fn as_ref(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_decimal() {
        for number in [0, 7, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(Number::of(number).as_ref(), number.to_string().as_bytes());
        }
    }
}
