//! The configuration: one limit flat in the table, or several under `limits`.

use std::time::Duration;

use gateway_plugin_sdk::limiter::{Algorithm, Quota};
use gateway_plugin_sdk::{ConfigDuration, ConfigError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::headers::Fields;
use crate::key::{Key, OnMissingKey, Source};
use crate::limit::Limit;

const DEFAULT_NAME: &str = "default";
/// The gateway counts windows in milliseconds of 32 bits.
const LONGEST_WINDOW: Duration = Duration::from_millis(u32::MAX as u64);

/// The plugin's `config` table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Several limits, all of which must allow a request. Instead of the keys of one limit in this table.
    limits: Option<Vec<LimitConfig>>,
    /// The name of the limit, which clients see; `default` by default.
    name: Option<String>,
    /// How use is counted; `token_bucket` by default.
    algorithm: Option<AlgorithmName>,
    /// How many per window.
    limit: Option<u32>,
    /// The window, `"1s"` to `"49d"`.
    window: Option<ConfigDuration>,
    /// The depth of the bucket; 0, the default, stands for `limit`.
    burst: Option<u32>,
    /// What is counted together; `client_address` by default.
    key: Option<KeyConfig>,
    /// What one request takes; 1 by default.
    cost: Option<u32>,
    /// The fields that tell clients where they stand; both kinds by default, none by `[]`.
    #[serde(default = "both")]
    headers: Vec<HeaderKind>,
    /// The status of a refusal; 429 by default.
    #[serde(default = "too_many_requests")]
    status: u16,
    /// What counts a request that has no value for the key; `client_address` by default.
    #[serde(default)]
    on_missing_key: OnMissingKey,
    /// Whether requests pass (`open`, the default) while the counters cannot be reached.
    #[serde(default)]
    on_store_error: OnStoreError,
    /// Whether every route counts for itself (`route`, the default), or limits of one name count together (`global`).
    #[serde(default)]
    scope: Scope,
}

/// One of several limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitConfig {
    /// Its name, which clients see; needed where there are several.
    name: Option<String>,
    /// How use is counted; `token_bucket` by default.
    algorithm: Option<AlgorithmName>,
    /// How many per window.
    limit: Option<u32>,
    /// The window, `"1s"` to `"49d"`.
    window: Option<ConfigDuration>,
    /// The depth of the bucket; 0, the default, stands for `limit`.
    burst: Option<u32>,
    /// What is counted together; `client_address` by default.
    key: Option<KeyConfig>,
    /// What one request takes; 1 by default.
    cost: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AlgorithmName {
    #[default]
    TokenBucket,
    SlidingWindow,
    FixedWindow,
}

/// One source or several combined.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum KeyConfig {
    One(String),
    Combined(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HeaderKind {
    Ietf,
    X,
}

/// What happens while the counters cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnStoreError {
    #[default]
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    #[default]
    Route,
    Global,
}

fn both() -> Vec<HeaderKind> {
    vec![HeaderKind::Ietf, HeaderKind::X]
}

const fn too_many_requests() -> u16 {
    429
}

/// The configuration after every check.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Vec<Limit>,
    pub(crate) fields: Fields,
    pub(crate) status: u16,
    pub(crate) on_missing_key: OnMissingKey,
    pub(crate) on_store_error: OnStoreError,
}

impl Config {
    /// Checks everything.
    ///
    /// # Errors
    /// Every fault, with its key.
    pub(crate) fn check(self) -> Result<Settings, Vec<ConfigError>> {
        let mut faults = Vec::new();
        if !(400..=599).contains(&self.status) {
            faults.push(ConfigError::new(
                "status",
                format!("is {}; a refusal has a status from 400 to 599", self.status),
            ));
        }
        let (ietf, x) = (
            self.headers.contains(&HeaderKind::Ietf),
            self.headers.contains(&HeaderKind::X),
        );
        let (status, scope) = (self.status, self.scope);
        let (on_missing_key, on_store_error) = (self.on_missing_key, self.on_store_error);
        let limits = self.limits(&mut faults);
        let limits: Vec<Limit> = limits
            .into_iter()
            .filter_map(|(path, limit)| limit.check(&path, scope, &mut faults))
            .collect();
        for (index, limit) in limits.iter().enumerate() {
            if limits[..index].iter().any(|other| other.name == limit.name) {
                faults.push(ConfigError::new(
                    format!("limits[{index}].name"),
                    format!(
                        "is `{}` a second time; each limit needs a name of its own",
                        limit.name
                    ),
                ));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Settings {
            fields: Fields::new(&limits, ietf, x),
            limits,
            status,
            on_missing_key,
            on_store_error,
        })
    }

    /// The limits, each with the path of its table.
    fn limits(self, faults: &mut Vec<ConfigError>) -> Vec<(String, LimitConfig)> {
        let flat = [
            ("name", self.name.is_some()),
            ("algorithm", self.algorithm.is_some()),
            ("limit", self.limit.is_some()),
            ("window", self.window.is_some()),
            ("burst", self.burst.is_some()),
            ("key", self.key.is_some()),
            ("cost", self.cost.is_some()),
        ];
        let Some(limits) = self.limits else {
            let limit = LimitConfig {
                name: self.name,
                algorithm: self.algorithm,
                limit: self.limit,
                window: self.window,
                burst: self.burst,
                key: self.key,
                cost: self.cost,
            };
            return vec![(String::new(), limit)];
        };
        for (key, given) in flat {
            if given {
                faults.push(ConfigError::new(
                    key,
                    "stands beside `limits`; write it into one of its tables",
                ));
            }
        }
        if limits.is_empty() {
            faults.push(ConfigError::new(
                "limits",
                "is empty; give at least one limit",
            ));
        }
        limits
            .into_iter()
            .enumerate()
            .map(|(index, limit)| (format!("limits[{index}]."), limit))
            .collect()
    }
}

impl LimitConfig {
    fn check(self, path: &str, scope: Scope, faults: &mut Vec<ConfigError>) -> Option<Limit> {
        let before = faults.len();
        let mut fault = |key: &str, message: String| {
            faults.push(ConfigError::new(format!("{path}{key}"), message));
        };
        let algorithm = match self.algorithm.unwrap_or_default() {
            AlgorithmName::TokenBucket => Algorithm::TokenBucket,
            AlgorithmName::SlidingWindow => Algorithm::SlidingWindow,
            AlgorithmName::FixedWindow => Algorithm::FixedWindow,
        };
        match self.limit {
            None => fault("limit", "is missing; say how many per window".to_owned()),
            Some(0) => fault("limit", "is 0; the least is 1".to_owned()),
            Some(_) => {}
        }
        let window = self.window.map(|span| span.0);
        match window {
            None => fault(
                "window",
                "is missing; give a duration, as in `\"1s\"`".to_owned(),
            ),
            Some(window) if window.is_zero() || window > LONGEST_WINDOW => {
                fault(
                    "window",
                    "is out of range; from `\"1ms\"` to `\"49d\"`".to_owned(),
                );
            }
            Some(_) => {}
        }
        let burst = self.burst.unwrap_or(0);
        if burst > 0 && algorithm != Algorithm::TokenBucket {
            fault(
                "burst",
                "is only for `algorithm = \"token_bucket\"`".to_owned(),
            );
        }
        let name = self.name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            fault(
                "name",
                "is no name; up to 64 of letters, digits, `-`, `_` and `.`".to_owned(),
            );
        }
        let sources = sources(self.key, &mut fault);
        let quota = Quota::new(
            algorithm,
            self.limit.unwrap_or(1),
            window.unwrap_or_default(),
        )
        .burst(burst);
        let cost = self.cost.unwrap_or(1);
        let key = Key::new(&name, quota, scope == Scope::Route, sources);
        let limit = Limit {
            name,
            quota,
            cost,
            key,
        };
        if cost == 0 || cost > limit.capacity() {
            fault(
                "cost",
                format!(
                    "is {cost}; from 1 to what the limit allows at once, {}",
                    limit.capacity()
                ),
            );
        }
        (faults.len() == before).then_some(limit)
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn sources(key: Option<KeyConfig>, fault: &mut impl FnMut(&str, String)) -> Vec<Source> {
    let texts = match key {
        None => return vec![Source::ClientAddress],
        Some(KeyConfig::One(text)) => vec![text],
        Some(KeyConfig::Combined(texts)) => texts,
    };
    if texts.is_empty() || texts.len() > 4 {
        fault("key", "combines from 1 to 4 values".to_owned());
    }
    let mut sources = Vec::with_capacity(texts.len());
    for text in texts {
        match Source::parse(&text) {
            Some(source) => sources.push(source),
            None => fault(
                "key",
                format!(
                    "is `{text}`; expected `client_address`, `route`, `header:NAME` or `attribute:NAME`"
                ),
            ),
        }
    }
    sources
}
