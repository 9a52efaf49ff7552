//! `telemetry`: log lines and metrics of a plugin, bounded.

use crate::plugin::failure::kept;
use crate::plugin::host::bindings::gateway::plugin::telemetry::Level;
use crate::plugin::host::guest::Guest;
use crate::telemetry::metrics::Unfit;

/// The longest text of a line, bytes: all that a call may log.
const LINE: usize = 16 << 10;

impl Guest {
    pub(super) fn log(
        &mut self,
        level: Level,
        message: String,
        fields: &[(String, String)],
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if !enabled(level) {
            return Ok(());
        }
        let length = fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2)
            .sum::<usize>();
        if self.budget.log_line(message.len() + length) && !self.shared.volume.is_spent() {
            self.write(level, &message, fields);
        }
        if matches!(level, Level::Error) {
            self.last_words = Some(kept(message));
        }
        Ok(())
    }

    pub(super) fn count(
        &mut self,
        name: &str,
        mut labels: Vec<(String, String)>,
        by: u64,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if let Err(unfit) = self.shared.metrics.count(name, &mut labels, by) {
            self.warn_unfit(name, unfit);
        }
        Ok(())
    }

    pub(super) fn observe(
        &mut self,
        name: &str,
        mut labels: Vec<(String, String)>,
        value: f64,
    ) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        if let Err(unfit) = self.shared.metrics.observe(name, &mut labels, value) {
            self.warn_unfit(name, unfit);
        }
        Ok(())
    }
}

impl Guest {
    /// Tells the operator that a metric of the plugin will be missed.
    fn warn_unfit(&self, name: &str, unfit: Unfit) {
        if let Some(suppressed) = self.shared.denials.pass() {
            let name = self.shown(name);
            tracing::warn!(
                plugin = &*self.shared.plugin.name,
                route = self.route_name().unwrap_or(""),
                suppressed,
                "metric {name} is not published: {unfit}"
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
        let words = &self.shared.words;
        let message = words.line(message, LINE);
        let field = |(name, value): &(String, String)| {
            let name = match is_word(name) {
                true => words.line(name, LINE),
                false => words.quoted(name, LINE),
            };
            format!("{name}={}", words.quoted(value, LINE))
        };
        let fields: Vec<_> = fields.iter().map(field).collect();
        let fields = fields.join(" ");
        if !self.shared.volume.take(route, message.len() + fields.len()) {
            return;
        }
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

/// Whether the name of a field stands for itself. Another, with a blank or `=`, could pass for several fields.
fn is_word(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
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
