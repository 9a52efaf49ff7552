//! Limits how often a client may ask, by address, header, attribute or route.
//!
//! The counting is one atomic step per limit in the gateway, shared by all workers and kept across hot swaps. This
//! crate decides what is counted together (`key`), and tells the client where it stands (`headers`).

mod config;
mod headers;
mod key;
mod limit;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use gateway_plugin_sdk::prelude::*;

pub use config::Config;
use config::{OnStoreError, Settings};
use limit::{Limit, Standing};

/// The plugin under one configuration.
#[derive(Debug)]
pub struct RateLimit {
    settings: Settings,
}

export!(RateLimit);

/// How the limits as a whole answered.
enum Verdict {
    Allowed(Option<Standing>),
    Refused(Standing),
    /// The store failed, or a request without a key is to be refused.
    Closed(u16, &'static str, &'static str),
}

impl Plugin for RateLimit {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        config.check().map(|settings| Self { settings })
    }

    fn wants(&self) -> Wants {
        let limits = self.settings.limits.iter();
        let read = limits.flat_map(|limit| limit.key.fields());
        let wants = read.fold(Wants::from(Phases::REQUEST), Wants::reads_field);
        let written = self.settings.fields.names();
        written.fold(wants, Wants::writes_response_field)
    }

    fn on_request(&self, request: &mut Request) -> Result {
        match self.ask(request) {
            Verdict::Allowed(standing) => {
                if let Some(standing) = standing {
                    self.tell(standing, |fields| request.edit(fields))?;
                }
                Ok(Flow::Next)
            }
            Verdict::Refused(standing) => Ok(self.refuse(standing).into()),
            Verdict::Closed(status, title, detail) => {
                Ok(Answer::new(status).problem(title, detail).into())
            }
        }
    }
}

impl RateLimit {
    /// Asks every limit in turn and stops at the first that refuses: what the ones before it took stays taken.
    fn ask(&self, request: &Request) -> Verdict {
        let mut tightest: Option<Standing> = None;
        let mut key = String::new();
        for (index, limit) in self.settings.limits.iter().enumerate() {
            key.clear();
            match limit
                .key
                .write(request, self.settings.on_missing_key, &mut key)
            {
                key::Written::Whole => {}
                key::Written::Skip => continue,
                key::Written::Refuse => {
                    return Verdict::Closed(
                        400,
                        "Bad Request",
                        "The request lacks what it is counted by.",
                    );
                }
            }
            match limiter::acquire(&key, limit.quota, limit.cost) {
                Ok(decision) => {
                    let standing = Standing {
                        limit: index,
                        decision,
                    };
                    if !decision.allowed {
                        return Verdict::Refused(standing);
                    }
                    tightest = Some(match tightest {
                        Some(other) if !self.tighter(standing, other) => other,
                        _ => standing,
                    });
                }
                Err(error) => {
                    log::warn!(limit = limit.name, error = error; "the limit could not be asked");
                    if self.settings.on_store_error == OnStoreError::Closed {
                        return Verdict::Closed(
                            503,
                            "Service Unavailable",
                            "The limits cannot be checked right now.",
                        );
                    }
                }
            }
        }
        Verdict::Allowed(tightest)
    }

    /// Whether less of `one` is left than of `other`, each as a share of its own quota.
    fn tighter(&self, one: Standing, other: Standing) -> bool {
        let capacity = |standing: Standing| u64::from(self.limit(standing).capacity());
        let left = |standing: Standing| u64::from(standing.decision.remaining);
        left(one) * capacity(other) < left(other) * capacity(one)
    }

    fn refuse(&self, standing: Standing) -> Answer {
        let mut answer = Answer::new(self.settings.status);
        self.tell::<Infallible>(standing, |fields| {
            for field in fields {
                let (name, value) = (field.name().to_owned(), field.value().to_vec());
                answer.headers.push((name, value));
            }
            Ok(())
        })
        .unwrap_or_else(|never| match never {});
        answer
            .header(
                "retry-after",
                headers::Number::of(standing.seconds().max(1)),
            )
            .problem(
                "Too Many Requests",
                "The limit for these requests is used up; see `retry-after`.",
            )
    }

    fn tell<E>(
        &self,
        standing: Standing,
        set: impl FnOnce(&[Edit<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.settings
            .fields
            .tell(self.limit(standing), standing, set)
    }

    fn limit(&self, standing: Standing) -> &Limit {
        &self.settings.limits[standing.limit]
    }
}
