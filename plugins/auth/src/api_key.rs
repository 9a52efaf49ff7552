//! API keys: a field of the request holds one of a list of keys.
//!
//! Only digests are kept, and a presented key is compared with all of them in constant time, so the time of an answer
//! tells nothing about how close a guess was or which key it is.

use std::collections::BTreeMap;
use std::rc::Rc;

use gateway_plugin_sdk::{ConfigError, Request};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::field::field_name;
use crate::outcome::{Identity, Outcome};

/// The table `api_key`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyConfig {
    /// The request field that holds the key; `x-api-key` by default.
    #[serde(default = "x_api_key")]
    header: String,
    /// The keys that are known.
    keys: Vec<KeyConfig>,
    /// Whether the field is removed before the request goes upstream; yes by default.
    #[serde(default = "yes")]
    hide: bool,
}

/// One key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyConfig {
    /// The key as clients send it.
    key: String,
    /// Who it belongs to: the attribute `auth.subject`.
    subject: String,
    /// More of the owner: the attributes `auth.claims.NAME`.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl std::fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyConfig")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

fn x_api_key() -> String {
    "x-api-key".to_owned()
}

const fn yes() -> bool {
    true
}

type Fingerprint = [u8; 32];

/// The keys that are known.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    header: String,
    hide: bool,
    keys: Vec<(Fingerprint, Rc<Identity>)>,
}

impl ApiKeyConfig {
    /// Checks the table; every fault goes to `faults`.
    pub(crate) fn check(self, faults: &mut Vec<ConfigError>) -> ApiKeys {
        let header = field_name(&self.header, "api_key.header", faults);
        if self.keys.is_empty() {
            faults.push(ConfigError::new(
                "api_key.keys",
                "is empty; give at least one key",
            ));
        }
        let mut keys: Vec<(Fingerprint, Rc<Identity>)> = Vec::with_capacity(self.keys.len());
        for (index, config) in self.keys.into_iter().enumerate() {
            let mut fault = |key: &str, message: &str| {
                faults.push(ConfigError::new(
                    format!("api_key.keys[{index}].{key}"),
                    message,
                ));
            };
            let fingerprint: Fingerprint = Sha256::digest(config.key.as_bytes()).into();
            if config.key.is_empty() {
                fault("key", "is empty");
            } else if keys.iter().any(|(other, _)| *other == fingerprint) {
                fault("key", "is given a second time");
            }
            if config.subject.is_empty() {
                fault("subject", "is empty; say whose key it is");
            }
            let attributes = config.attributes.into_iter();
            let identity = Identity {
                subject: Some(config.subject),
                attributes: attributes
                    .map(|(name, value)| (format!("auth.claims.{name}"), value))
                    .collect(),
                headers: Vec::new(),
            };
            keys.push((fingerprint, Rc::new(identity)));
        }
        ApiKeys {
            header,
            hide: self.hide,
            keys,
        }
    }
}

impl ApiKeys {
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The field that is not shown to the upstream.
    pub(crate) fn hidden(&self) -> Option<&str> {
        self.hide.then_some(self.header.as_str())
    }

    pub(crate) fn ask(&self, request: &Request) -> Outcome {
        let Some(key) = request.header(&self.header) else {
            return Outcome::Absent;
        };
        match self.owner(&key) {
            Some(identity) => Outcome::Admitted {
                identity: Rc::clone(identity),
                credential: key,
            },
            None => Outcome::Invalid("The API key is not known."),
        }
    }

    fn owner(&self, key: &[u8]) -> Option<&Rc<Identity>> {
        let presented: Fingerprint = Sha256::digest(key).into();
        let mut found = u32::MAX;
        for (index, (known, _)) in (0u32..).zip(&self.keys) {
            found.conditional_assign(&index, presented.ct_eq(known));
        }
        let (_, identity) = self.keys.get(usize::try_from(found).ok()?)?;
        Some(identity)
    }
}
