//! Tokens: JSON Web Tokens in the compact form (RFC 7515, RFC 7519), verified as RFC 8725 asks.
//!
//! Nothing in a token chooses how it is verified: no key, no address of a key and no extension is taken from it, and
//! its claims are read only after the signature held.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::{ConfigDuration, ConfigError, Request, clock, json};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::cache::Cache;
use crate::claims::{ClaimRules, OneOrMany, Required, Verified};
use crate::field::field_name;
use crate::keys::{Key, KeyConfig};
use crate::outcome::Outcome;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;
/// The longest name of a key, in bytes.
const LONGEST_KID: usize = 256;

/// The table `jwt`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwtConfig {
    /// The request field that holds the token, with or without `Bearer`; `authorization`, the default, needs it.
    #[serde(default = "authorization")]
    header: String,
    /// The keys that sign tokens.
    keys: Vec<KeyConfig>,
    /// What `iss` must be; anything by default.
    issuer: Option<String>,
    /// What `aud` must contain one of; anything by default.
    audience: Option<OneOrMany<String>>,
    /// How far clocks may differ for `exp` and `nbf`; `"0s"` by default.
    leeway: Option<ConfigDuration>,
    /// Whether a token without `exp` is refused; yes by default.
    #[serde(default = "yes")]
    require_exp: bool,
    /// Claims that a token must have, each with one of the values; without one the answer is 403.
    #[serde(default)]
    required_claims: BTreeMap<String, OneOrMany<Required>>,
    /// Request fields for the upstream, each with the name of its claim.
    #[serde(default)]
    claims_to_headers: BTreeMap<String, String>,
    /// Claims for later plugins: the attributes `auth.claims.NAME`.
    #[serde(default)]
    claims_to_attributes: Vec<String>,
}

fn authorization() -> String {
    "authorization".to_owned()
}

const fn yes() -> bool {
    true
}

/// The rules for tokens.
#[derive(Debug)]
pub(crate) struct Jwt {
    header: String,
    keys: Vec<Key>,
    rules: ClaimRules,
    cache: RefCell<Cache>,
}

impl JwtConfig {
    /// Checks the table; every fault goes to `faults`.
    pub(crate) fn check(self, faults: &mut Vec<ConfigError>) -> Jwt {
        let header = field_name(&self.header, "jwt.header", faults);
        if self.keys.is_empty() {
            faults.push(ConfigError::new(
                "jwt.keys",
                "is empty; give at least one key",
            ));
        }
        let mut keys = Vec::with_capacity(self.keys.len());
        for (index, key) in self.keys.into_iter().enumerate() {
            keys.extend(key.check(&format!("jwt.keys[{index}]"), faults));
        }
        let audience = self.audience.map(OneOrMany::into_vec);
        if audience.as_ref().is_some_and(Vec::is_empty) {
            faults.push(ConfigError::new(
                "jwt.audience",
                "is an empty list, which no token satisfies; leave it out or name an audience",
            ));
        }
        let mut required = Vec::with_capacity(self.required_claims.len());
        for (name, values) in self.required_claims {
            let values = values.into_vec();
            if values.is_empty() {
                faults.push(ConfigError::new(
                    format!("jwt.required_claims.{name}"),
                    "is an empty list, which no token satisfies; give at least one value",
                ));
            }
            required.push((name, values));
        }
        let mut to_headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, claim) in self.claims_to_headers {
            let key = format!("jwt.claims_to_headers.{name}");
            let name = field_name(&name, &key, faults);
            if to_headers.insert(name, claim).is_some() {
                faults.push(ConfigError::new(key, "is the same field a second time"));
            }
        }
        Jwt {
            header,
            keys,
            rules: ClaimRules {
                issuer: self.issuer,
                audience,
                leeway: self.leeway.map_or(0.0, |leeway| leeway.0.as_secs_f64()),
                require_exp: self.require_exp,
                required,
                to_headers: to_headers.into_iter().collect(),
                to_attributes: self
                    .claims_to_attributes
                    .into_iter()
                    .map(|claim| (format!("auth.claims.{claim}"), claim))
                    .collect(),
            },
            cache: RefCell::default(),
        }
    }
}

impl Jwt {
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The request fields that claims fill.
    pub(crate) fn header_targets(&self) -> impl Iterator<Item = &str> {
        self.rules.to_headers.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn ask(&self, request: &Request) -> Outcome {
        let Some(value) = request.header(&self.header) else {
            return Outcome::Absent;
        };
        let Some(token) = token(&value, self.header == "authorization") else {
            return Outcome::Absent;
        };
        match self.verify(token) {
            Ok(verified) if verified.sufficient => Outcome::Admitted {
                identity: Rc::clone(&verified.identity),
                credential: value,
            },
            Ok(_) => Outcome::Insufficient,
            Err(why) => Outcome::Invalid(why),
        }
    }

    fn verify(&self, token: &[u8]) -> Result<Rc<Verified>, &'static str> {
        const MALFORMED: &str = "The token is no JSON Web Token in the compact form.";
        if token.len() > LONGEST {
            return Err("The token is longer than 8 KiB.");
        }
        let token = std::str::from_utf8(token).map_err(|_| MALFORMED)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        // The time of day is asked for anew: a token in the cache may have expired since.
        let since = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = since.as_secs_f64();
        // Looked up by itself: the cache must not stay borrowed while a token is verified.
        let known = self.cache.borrow_mut().get(token);
        if let Some(verified) = known {
            verified.check_time(now, self.rules.leeway)?;
            return Ok(verified);
        }
        let (head, payload) = signed.split_once('.').ok_or(MALFORMED)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| MALFORMED);
        let head: Head = json::read(&decode(head)?).map_err(|_| MALFORMED)?;
        head.check()?;
        let signature_bytes = decode(signature)?;
        if !self
            .candidates(&head)
            .any(|key| key.verify(signed.as_bytes(), &signature_bytes))
        {
            return Err("The token is not signed by a known key with that key's algorithm.");
        }
        let verified = Rc::new(self.rules.read(&decode(payload)?)?);
        verified.check_time(now, self.rules.leeway)?;
        self.cache.borrow_mut().insert(token, &verified);
        Ok(verified)
    }

    /// The keys that may have signed this token: those of its `kid`, or those without a name.
    fn candidates<'a>(&'a self, head: &'a Head) -> impl Iterator<Item = &'a Key> {
        let kid = head.kid.as_deref();
        let named = kid.is_some() && self.keys.iter().any(|key| key.kid() == kid);
        // A `kid` that no key has is still only ever a name: one that looks like a path or a query is refused.
        let refused = !named && kid.is_some_and(|kid| !plain(kid));
        self.keys.iter().filter(move |key| {
            let by_name = match (kid, key.kid()) {
                (None, _) => true,
                (Some(_), None) => !named && !refused,
                (Some(kid), Some(name)) => kid == name,
            };
            by_name && key.signs_with(&head.alg)
        })
    }

    #[cfg(test)]
    pub(crate) fn cached(&self) -> usize {
        self.cache.borrow().len()
    }
}

/// The token in a field, unless the field holds a credential of another kind.
fn token(value: &[u8], needs_scheme: bool) -> Option<&[u8]> {
    let value = value.trim_ascii();
    match value.split_at_checked("bearer".len()) {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case(b"bearer")
                && rest.first().is_none_or(|byte| *byte == b' ') =>
        {
            Some(rest.trim_ascii())
        }
        _ => (!needs_scheme && !value.is_empty()).then_some(value),
    }
}

fn plain(kid: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+".contains(&byte);
    kid.len() <= LONGEST_KID && !kid.contains("..") && kid.bytes().all(plain)
}

/// The JOSE header: what of it counts, and what must not be there. A member given twice is an error.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    #[serde(default)]
    jku: Present,
    #[serde(default)]
    jwk: Present,
    #[serde(default)]
    x5u: Present,
    #[serde(default)]
    x5c: Present,
    #[serde(default)]
    crit: Present,
}

impl Head {
    fn check(&self) -> Result<(), &'static str> {
        if self.jku.0 || self.jwk.0 || self.x5u.0 || self.x5c.0 {
            return Err("The token brings a key of its own, or the address of one.");
        }
        if self.crit.0 {
            return Err("The token demands an extension that is not supported.");
        }
        Ok(())
    }
}

/// Whether a member is there, whatever its value: `null` counts.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}
