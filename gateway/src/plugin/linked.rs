//! A plugin that is loaded: what all its instances have in common.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use super::compiled::Compiled;
use super::engine::Engine;
use super::exports::Exports;
use super::failure::{Failure, FailureKind};
use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::host::{Resolved, Shared};
use super::objection::Objection;
use super::patience::Patience;
use super::room::Room;
use super::words::Words;
use crate::config::{self, Fault, OnError, Spot};
use crate::exchange::FilterId;
use crate::message::media::ResponseTypes;
use crate::message::phase::{Phase, Phases};

/// The longest name and version of a plugin, bytes.
const NAME: usize = 128;
/// The longest description, bytes.
const DESCRIPTION: usize = 1 << 10;
/// The longest schema, bytes.
const SCHEMA: usize = 1 << 20;

/// One loaded version of one plugin, with every configuration of it that the routes use.
pub struct Linked {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// As configured.
    pub config: Arc<config::Plugin>,
    /// The hash of the file it was loaded from.
    pub sha256: [u8; 32],
    /// Who the plugin says it is.
    pub metadata: Metadata,
    pub(super) warnings: Vec<Objection>,
    pub(super) filters: Vec<Filter>,
    pub(super) engine: Arc<Engine>,
    /// Keeps the machine code known to the engine, so that loading the same bytes again is free.
    pub(super) _compiled: Arc<Compiled>,
    pub(super) resolved: Resolved,
    pub(super) exports: Arc<Exports>,
    pub(super) patience: Patience,
    pub(super) shared: Arc<Shared>,
    /// The memory of an instance that has its configurations, bytes.
    pub(super) footprint: usize,
    /// What it has of the memory of all plugins.
    pub(super) room: Room,
    /// Living instances, over all workers.
    pub(super) living: AtomicUsize,
    /// The same of all versions together.
    pub(super) living_of_all: Arc<AtomicUsize>,
}

/// One configuration of a plugin.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) config: serde_json::Value,
    pub(super) json: String,
    pub(super) phases: Phases,
    pub(super) types: ResponseTypes,
}

impl Linked {
    /// What a configuration asks for. A filter that it was not loaded with asks for no phase.
    pub fn phases(&self, filter: FilterId) -> Phases {
        let found = self.filters.get(filter.0);
        found.map_or(Phases::default(), |filter| filter.phases)
    }

    /// Which responses a configuration means; all, of one that it was not loaded with.
    pub fn response_types(&self, filter: FilterId) -> &ResponseTypes {
        static ALL: LazyLock<ResponseTypes> = LazyLock::new(ResponseTypes::default);
        let found = self.filters.get(filter.0);
        found.map_or(&ALL, |filter| &filter.types)
    }

    /// The filter of a configuration, if it was loaded with it.
    pub fn filter_for(&self, config: &serde_json::Value) -> Option<FilterId> {
        let mut filters = self.filters.iter();
        filters
            .position(|filter| filter.config == *config)
            .map(FilterId)
    }

    /// What the operator should know of it.
    pub fn warned(&self) -> impl Iterator<Item = Fault> {
        let warnings = self.warnings.iter();
        warnings.map(|warning| warning.in_files(&self.name, &|_| Spot::default()))
    }

    /// How many distinct configurations it was loaded with.
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// Whether an exchange goes on without it where it fails.
    pub(super) fn may_be_skipped(&self) -> bool {
        self.config.on_error == OnError::Open
    }

    /// The version the plugin gives itself.
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// Living instances, over all workers.
    pub fn instances(&self) -> usize {
        self.living.load(Ordering::Relaxed)
    }

    /// What its instances have of `server.plugin_memory` with what calls under way may still grow by, and how much of it
    /// is guaranteed to the plugin; bytes, over all versions.
    pub fn memory(&self) -> serde_json::Value {
        let (reserved, guaranteed) = self.room.reserved();
        serde_json::json!({ "reserved": reserved, "guaranteed": guaranteed })
    }

    /// How often its slow calls had to wait for their share of a worker, and how many wait now, over all versions.
    pub fn throttled(&self) -> serde_json::Value {
        let metrics = &self.shared.metrics;
        serde_json::json!({
            "calls": metrics.throttled_calls(),
            "waiting": metrics.waiting_calls(),
        })
    }

    /// A body is larger than the plugin may hold, and passes it by as `body_overflow` has it.
    pub fn skips_body(&self, route: &str, phase: Phase) {
        let limit = self.config.body_limit;
        let why = format!(
            "a body over `body_limit` ({limit} bytes) passes by: `body_overflow` is \"skip\""
        );
        self.report(
            route,
            phase.name(),
            &Failure::new(FailureKind::BodyOverflow, why),
        );
    }

    /// A body that the plugin must read cannot be read.
    pub fn cannot_read(&self, route: &str, mut why: String) -> Failure {
        if self.may_be_skipped() {
            why.push_str("; `on_error` is \"open\": it passes as it is");
        }
        let failure = Failure::new(FailureKind::Unreadable, why);
        self.report(route, Phase::Response.name(), &failure);
        failure
    }

    pub(super) fn filter_json(&self, filter: FilterId) -> &str {
        let found = self.filters.get(filter.0);
        found.map_or("{}", |filter| &filter.json)
    }

    /// One failure is one count and one line of the log; where there are too many lines, the rest is
    /// logged at level debug.
    pub(super) fn report(&self, route: &str, phase: &'static str, failure: &Failure) {
        let kind = failure.kind.name();
        self.shared.metrics.failure(route, kind);
        let words = &self.shared.words;
        if let Some(suppressed) = self.shared.gate.pass() {
            macro_rules! told {
                ($level:ident) => {
                    tracing::$level!(
                        plugin = &*self.name,
                        plugin_version = self.version(),
                        route,
                        phase,
                        kind,
                        suppressed,
                        "plugin failed: {}",
                        failure.told(words)
                    )
                };
            }
            match failure.is_of_others() {
                true => told!(warn),
                false => told!(error),
            }
        } else {
            tracing::debug!(
                plugin = &*self.name,
                route,
                phase,
                kind,
                "plugin failed: {}",
                failure.told(words)
            );
        }
    }
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("name", &self.name)
            .field("version", &self.metadata.version)
            .field("filters", &self.filters.len())
            .finish_non_exhaustive()
    }
}

/// Who a plugin says it is.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// A JSON Schema of its configuration; null where it has none.
    pub config_schema: serde_json::Value,
}

impl Metadata {
    /// As an operator may read it.
    pub(super) fn from_wit(metadata: wit::Metadata, words: &Words) -> Self {
        let schema = Some(&metadata.config_schema).filter(|schema| schema.len() <= SCHEMA);
        let schema = schema.and_then(|schema| serde_json::from_str(schema).ok());
        Self {
            name: words.line(&metadata.name, NAME),
            version: words.line(&metadata.version, NAME),
            description: words.line(&metadata.description, DESCRIPTION),
            config_schema: schema.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_lines_of_bounded_length_and_a_schema_is_json() {
        let text = "\u{202e}a\n".repeat(1 << 20);
        let wit = |schema: &str| wit::Metadata {
            name: text.clone(),
            version: "1.0 granted".to_owned(),
            description: text.clone(),
            config_schema: schema.to_owned(),
        };
        let words = Words::hiding(["granted"]);
        let shown = Metadata::from_wit(wit("{\"type\": \"object\"}"), &words);
        for text in [&shown.name, &shown.description] {
            assert!(text.starts_with("\\u{202e}a\\n\\u{202e}") && text.ends_with('…'));
            assert!(text.len() < 8 * DESCRIPTION, "{}", text.len());
        }
        assert_eq!(shown.version, "1.0 ***");
        assert_eq!(shown.config_schema["type"], "object");
        assert!(Metadata::from_wit(wit("{"), &words).config_schema.is_null());
    }
}
