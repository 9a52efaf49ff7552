//! Lets a request pass by API key or JSON Web Token, and tells later plugins and the upstream who asked.
//!
//! A scheme either finds no credential, refuses one, or admits the caller; the first that admits decides. Keys and
//! the state of every HMAC are prepared in `configure`, and tokens seen before are not verified again (`cache`).

mod api_key;
mod cache;
mod claims;
mod field;
mod jwt;
mod keys;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use gateway_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api_key::{ApiKeyConfig, ApiKeys};
use crate::jwt::{Jwt, JwtConfig};
use crate::outcome::{Identity, Outcome};

/// The plugin's `config` table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The schemes that are tried, in this order: `api_key`, `jwt`.
    schemes: Vec<SchemeName>,
    /// Keys that clients send in a field of their own.
    api_key: Option<ApiKeyConfig>,
    /// Signed tokens (RFC 7519).
    jwt: Option<JwtConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SchemeName {
    ApiKey,
    Jwt,
}

/// The plugin under one configuration.
#[derive(Debug)]
pub struct Auth {
    /// In the order in which they are tried.
    schemes: Vec<Tried>,
}

#[derive(Debug)]
struct Tried {
    scheme: Scheme,
    /// The request fields that are removed when this scheme admits: those that only this plugin may fill, and the
    /// credentials that no scheme checked.
    removed: BTreeSet<String>,
    /// Whether the credential goes upstream.
    shown: bool,
}

#[derive(Debug)]
enum Scheme {
    ApiKey(ApiKeys),
    Jwt(Box<Jwt>),
}

export!(Auth);

impl Plugin for Auth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let mut faults = Vec::new();
        let mut api_key = config.api_key.map(|section| section.check(&mut faults));
        let mut jwt = config.jwt.map(|section| section.check(&mut faults));
        if config.schemes.is_empty() {
            faults.push(ConfigError::new(
                "schemes",
                "is empty; name `api_key`, `jwt` or both",
            ));
        }
        let mut schemes = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, name) in config.schemes.into_iter().enumerate() {
            let key = format!("schemes[{index}]");
            if !seen.insert(name) {
                faults.push(ConfigError::new(key, "names a scheme a second time"));
                continue;
            }
            let (scheme, section) = match name {
                SchemeName::ApiKey => (api_key.take().map(Scheme::ApiKey), "api_key"),
                SchemeName::Jwt => (jwt.take().map(|jwt| Scheme::Jwt(Box::new(jwt))), "jwt"),
            };
            match scheme {
                Some(scheme) => schemes.push(scheme),
                None => faults.push(ConfigError::new(
                    key,
                    format!("is `{section}`, but there is no table `{section}`"),
                )),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            schemes: tried(schemes),
        })
    }

    fn wants(&self) -> Wants {
        let mut wants = Wants::from(Phases::REQUEST);
        for tried in &self.schemes {
            let header = tried.scheme.header();
            wants = wants.reads_field(header);
            if tried.shown {
                wants = wants.writes_field(header);
            }
            // What a scheme tells the upstream is among them: no client may write it.
            let removed = tried.removed.iter();
            wants = removed.fold(wants, Wants::writes_field);
        }
        wants
    }

    fn on_request(&self, request: &mut Request) -> Result {
        let mut refusal = Refusal::default();
        for tried in &self.schemes {
            let outcome = match &tried.scheme {
                Scheme::ApiKey(keys) => keys.ask(request),
                Scheme::Jwt(jwt) => jwt.ask(request),
            };
            match outcome {
                Outcome::Admitted {
                    identity,
                    credential,
                } => {
                    tried.admit(request, &identity, &credential)?;
                    return Ok(Flow::Next);
                }
                Outcome::Absent => {}
                Outcome::Insufficient => refusal.insufficient = true,
                Outcome::Invalid(why) => {
                    refusal.detail = Some(why);
                    refusal.invalid_token |= matches!(tried.scheme, Scheme::Jwt(_));
                }
            }
        }
        Ok(self.refuse(&refusal).into())
    }
}

/// What the schemes said together, when none admitted.
#[derive(Default)]
struct Refusal {
    insufficient: bool,
    invalid_token: bool,
    detail: Option<&'static str>,
}

impl Scheme {
    const fn name(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "api_key",
            Self::Jwt(_) => "jwt",
        }
    }

    /// The request field of the credential.
    fn header(&self) -> &str {
        match self {
            Self::ApiKey(keys) => keys.header(),
            Self::Jwt(jwt) => jwt.header(),
        }
    }

    /// The request fields that never pass as the client sent them.
    fn reserved(&self) -> Vec<String> {
        match self {
            Self::ApiKey(keys) => keys.hidden().map(str::to_owned).into_iter().collect(),
            Self::Jwt(jwt) => jwt.header_targets().map(str::to_owned).collect(),
        }
    }

    fn challenge(&self, refusal: &Refusal) -> String {
        match self {
            Self::ApiKey(keys) => format!("ApiKey header=\"{}\"", keys.header()),
            Self::Jwt(_) if refusal.insufficient => {
                "Bearer error=\"insufficient_scope\"".to_owned()
            }
            Self::Jwt(_) if refusal.invalid_token => "Bearer error=\"invalid_token\"".to_owned(),
            Self::Jwt(_) => "Bearer".to_owned(),
        }
    }
}

/// With each scheme, what its admission does to the request.
fn tried(schemes: Vec<Scheme>) -> Vec<Tried> {
    let reserved: BTreeSet<String> = schemes.iter().flat_map(Scheme::reserved).collect();
    let headers: BTreeSet<String> = schemes.iter().map(|s| s.header().to_owned()).collect();
    let tried = schemes.into_iter().map(|scheme| {
        let shown = !reserved.contains(scheme.header());
        let mut removed: BTreeSet<String> = reserved.union(&headers).cloned().collect();
        if shown {
            removed.remove(scheme.header());
        }
        Tried {
            scheme,
            removed,
            shown,
        }
    });
    tried.collect()
}

impl Tried {
    fn admit(&self, request: &mut Request, identity: &Identity, credential: &[u8]) -> Result<()> {
        let removed = self.removed.iter().map(|name| Edit::remove_header(name));
        // Replaces every field of the name: a second one was not checked and must not pass for the first.
        let shown = (self.shown).then(|| Edit::set_header(self.scheme.header(), credential));
        let told = identity.headers.iter();
        let told = told.map(|(name, value)| Edit::set_header(name, value.as_bytes()));
        let scheme = Edit::set_attribute("auth.scheme", self.scheme.name());
        let subject = identity.subject.iter();
        let subject = subject.map(|subject| Edit::set_attribute("auth.subject", subject));
        let facts = identity.attributes.iter();
        let facts = facts.map(|(name, value)| Edit::set_attribute(name, value));
        let mut edits: Vec<_> = removed.chain(shown).chain(told).collect();
        edits.push(scheme);
        edits.extend(subject.chain(facts));
        request.edit(&edits)?;
        Ok(())
    }
}

impl Auth {
    fn refuse(&self, refusal: &Refusal) -> Answer {
        let status = if refusal.insufficient { 403 } else { 401 };
        let mut answer = Answer::new(status);
        for Tried { scheme, .. } in &self.schemes {
            // RFC 6750, section 3.1: what a 403 asks for is more scope, which only a token can carry.
            if !refusal.insufficient || matches!(scheme, Scheme::Jwt(_)) {
                answer = answer.header("www-authenticate", scheme.challenge(refusal));
            }
        }
        if refusal.insufficient {
            answer.problem(
                "Forbidden",
                "The token lacks a claim that is required here.",
            )
        } else {
            let absent = "The request carries no credentials.";
            answer.problem("Unauthorized", refusal.detail.unwrap_or(absent))
        }
    }
}
