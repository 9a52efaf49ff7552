//! `telemetry`: log lines and metrics of a plugin, bounded.

use crate::plugin::host::Guest;
use crate::plugin::host::bindings::gateway::plugin::telemetry::{Host, Level};

/// Labels of one metric.
const LABELS: usize = 8;
/// The longest name of a metric or label, and the longest value of a label.
const LABEL: usize = 128;

impl Host for Guest {
    fn log(
        &mut self,
        level: Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if !enabled(level) {
            return Ok(());
        }
        let length = fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2)
            .sum::<usize>();
        if self.budget.log_line(message.len() + length) {
            self.write(level, &message, &fields);
        }
        if matches!(level, Level::Error) {
            let end = message.floor_char_boundary(1024);
            self.last_words = Some(message[..end].to_owned());
        }
        Ok(())
    }

    fn count(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        by: u64,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if metric_is_sound(&name, &labels) {
            let shared = &self.shared;
            shared
                .services
                .metrics
                .plugin_count(&shared.plugin.name, &name, &labels, by);
        }
        Ok(())
    }

    fn observe(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        value: f64,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if value.is_finite() && metric_is_sound(&name, &labels) {
            let shared = &self.shared;
            shared
                .services
                .metrics
                .plugin_observe(&shared.plugin.name, &name, &labels, value);
        }
        Ok(())
    }
}

impl Guest {
    fn write(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let plugin = &*self.shared.plugin.name;
        let route = self.route_name().unwrap_or("");
        let request = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.id.to_str().ok())
            .unwrap_or("");
        let fields = Fields(fields);
        let message = Clean(message);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(target: "gateway::plugin::log", plugin, route, request, %fields, "{message}")
            };
        }
        match level {
            Level::Trace => line!(trace),
            Level::Debug => line!(debug),
            Level::Info => line!(info),
            Level::Warn => line!(warn),
            Level::Error => line!(error),
        }
    }
}

fn enabled(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(target: "gateway::plugin::log", tracing::Level::TRACE),
        Level::Debug => tracing::enabled!(target: "gateway::plugin::log", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "gateway::plugin::log", tracing::Level::INFO),
        // What a failure's message is made of is kept whether or not it is logged.
        Level::Warn | Level::Error => true,
    }
}

/// Whether a metric can be published: a name of letters, digits and `_`, and labels of bounded number and size.
fn metric_is_sound(name: &str, labels: &[(String, String)]) -> bool {
    let is_name = |name: &str| {
        name.len() <= LABEL
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    is_name(name)
        && labels.len() <= LABELS
        && labels
            .iter()
            .all(|(name, value)| is_name(name) && value.len() <= LABEL)
}

/// Text of a guest, fit for one line of a log.
struct Clean<'a>(&'a str);

impl std::fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut clean = self.0.split_inclusive(char::is_control);
        clean.try_for_each(|piece| match piece.chars().next_back() {
            Some(last) if last.is_control() => {
                f.write_str(&piece[..piece.len() - last.len_utf8()])?;
                write!(f, "{}", last.escape_default())
            }
            _ => f.write_str(piece),
        })
    }
}

struct Fields<'a>(&'a [(String, String)]);

impl std::fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}={value:?}", Clean(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_of_a_guest_stays_one_line() {
        let text = Clean("a\nforged line\r\0\u{1b}[31m").to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.starts_with("a\\nforged line"), "{text:?}");
    }

    #[test]
    fn a_metric_has_a_name_that_prometheus_takes() {
        assert!(metric_is_sound("calls", &[("status".into(), "200".into())]));
        assert!(!metric_is_sound("", &[]));
        assert!(!metric_is_sound("9", &[]));
        assert!(!metric_is_sound("a b", &[]));
        assert!(!metric_is_sound("a", &vec![("b".into(), "c".into()); 100]));
        assert!(!metric_is_sound("a", &[("b".into(), "c".repeat(1000))]));
    }
}
