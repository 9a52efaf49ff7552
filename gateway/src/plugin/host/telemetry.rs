//! `telemetry`: log lines and metrics of a plugin, bounded.

use crate::plugin::host::bindings::gateway::plugin::telemetry::{Host, Level};
use crate::plugin::host::guest::Guest;
use crate::telemetry::metrics::Unfit;

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
        mut labels: Vec<(String, String)>,
        by: u64,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if let Err(unfit) = self.shared.metrics.count(&name, &mut labels, by) {
            self.warn_unfit(&name, unfit);
        }
        Ok(())
    }

    fn observe(
        &mut self,
        name: String,
        mut labels: Vec<(String, String)>,
        value: f64,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if let Err(unfit) = self.shared.metrics.observe(&name, &mut labels, value) {
            self.warn_unfit(&name, unfit);
        }
        Ok(())
    }
}

impl Guest {
    /// Tells the operator that a metric of the plugin will be missed.
    fn warn_unfit(&self, name: &str, unfit: Unfit) {
        if let Some(suppressed) = self.shared.denials.pass() {
            let name = &name[..name.floor_char_boundary(128)];
            tracing::warn!(
                plugin = &*self.shared.plugin.name,
                route = self.route_name().unwrap_or(""),
                suppressed,
                "metric {name:?} is not published: {unfit}"
            );
        }
    }

    fn write(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let plugin = &*self.shared.plugin.name;
        let route = self.route_name().unwrap_or("");
        let request = self
            .exchange
            .get()
            .and_then(|exchange| exchange.client.id.to_str().ok())
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
}
