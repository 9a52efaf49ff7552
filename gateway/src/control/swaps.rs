//! How swaps of plugins went.

use std::collections::HashMap;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde_json::{Value, json};

/// How each plugin's last swap went.
#[derive(Debug, Default)]
pub(super) struct Swaps(Mutex<HashMap<String, Swap>>);

#[derive(Debug)]
struct Swap {
    at: SystemTime,
    error: Option<String>,
}

impl Swaps {
    /// Keeps the outcome of a swap.
    pub(super) fn note(&self, plugin: &str, outcome: Result<(), String>) {
        let swap = Swap {
            at: SystemTime::now(),
            error: outcome.err(),
        };
        self.0.lock().insert(plugin.to_owned(), swap);
    }

    pub(super) fn last(&self, plugin: &str) -> Value {
        match self.0.lock().get(plugin) {
            None => Value::Null,
            Some(swap) => json!({
                "at": humantime::format_rfc3339_millis(swap.at).to_string(),
                "outcome": if swap.error.is_none() { "done" } else { "refused" },
                "error": swap.error,
            }),
        }
    }
}
