//! What the log lets through: by `GATEWAY_LOG`, and for a while by the word of an operator.

use std::sync::OnceLock;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload::Handle;

use super::targets;

/// The variable that has it.
pub(super) const VARIABLE: &str = "GATEWAY_LOG";
pub(super) const DEFAULT: &str = "info";
/// The watch of files: at finer levels it logs what happens to them, which would feed on a log among them.
const WATCH: &str = "notify=info";

static IN_FORCE: OnceLock<InForce> = OnceLock::new();

/// The filter of the log that runs.
struct InForce {
    /// What a start or reload puts in force.
    configured: Filter,
    /// What an operator asked for since.
    asked: Mutex<Option<String>>,
    apply: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

/// A filter that was taken, and where it is from.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    text: String,
    from: &'static str,
}

impl Filter {
    /// That of the environment, and what is wrong with it: then it is the default.
    pub(super) fn configured(wanted: &str) -> (Self, Option<String>) {
        let default = || Self {
            text: DEFAULT.to_owned(),
            from: "default",
        };
        match wanted.trim() {
            "" => (default(), None),
            wanted => match parse(wanted) {
                Ok(_) => {
                    let (text, from) = (wanted.to_owned(), VARIABLE);
                    (Self { text, from }, None)
                }
                Err(fault) => (default(), Some(fault)),
            },
        }
    }

    /// What is said of it, though it is in force.
    pub(super) fn warnings(&self) -> Vec<String> {
        targets::warnings(&self.text)
    }

    pub(super) fn compiled(&self) -> EnvFilter {
        parse(&self.text).unwrap_or_default()
    }
}

/// The log runs by this filter, which `handle` replaces.
pub(super) fn begin<S: 'static>(configured: Filter, handle: Handle<EnvFilter, S>) {
    // The first log is the one that runs.
    let _running = IN_FORCE.set(InForce {
        configured,
        asked: Mutex::default(),
        apply: Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())),
    });
}

/// What the log lets through as JSON: `filter`, `from` where it is, what is in force `then`, after a reload or restart, and
/// `warnings` of targets that nothing logs by.
pub fn in_force() -> Value {
    let Some(in_force) = IN_FORCE.get() else {
        return Value::Null;
    };
    let Filter { text, from } = &in_force.configured;
    let asked = in_force.asked.lock();
    let (filter, from) = match &*asked {
        Some(asked) => (asked, "PUT /log"),
        None => (text, *from),
    };
    json!({ "filter": filter, "from": from, "then": text, "warnings": targets::warnings(filter) })
}

/// Has the log let through what `wanted` says, as `GATEWAY_LOG` would, until [`restore`].
///
/// # Errors
/// What is wrong with it; nothing has changed.
pub fn ask(wanted: &str) -> Result<(), String> {
    let wanted = wanted.trim();
    let expected = "expected such as \"info\" or \"warn,gateway::upstream=debug\"";
    if wanted.is_empty() {
        return Err(format!("a filter is empty: {expected}"));
    }
    let filter =
        parse(wanted).map_err(|fault| format!("{wanted:?} is no filter: {fault}; {expected}"))?;
    let in_force = IN_FORCE.get().ok_or("there is no log")?;
    let mut asked = in_force.asked.lock();
    // Whichever of the two filters lets a warning through.
    let told = tracing::enabled!(tracing::Level::WARN);
    let tell = || {
        tracing::warn!(
            filter = wanted,
            "the log has another filter until the next reload"
        )
    };
    if told {
        tell();
    }
    (in_force.apply)(filter)?;
    if !told {
        tell();
    }
    *asked = Some(wanted.to_owned());
    Ok(())
}

/// What an operator asked for is over.
pub fn restore() {
    let Some(in_force) = IN_FORCE.get() else {
        return;
    };
    if in_force.asked.lock().take().is_some() {
        let filter = &in_force.configured;
        match (in_force.apply)(filter.compiled()) {
            Ok(()) => tracing::info!(filter = filter.text, "the log has its filter again"),
            Err(error) => tracing::error!(error, "the log keeps its filter"),
        }
    }
}

/// A word alone that is no level would be the name of a crate, and a misspelt level a filter that lets nothing pass; so
/// would levels be that something else than a comma is between.
fn parse(wanted: &str) -> Result<EnvFilter, String> {
    let is_word = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut words = wanted.split(',').map(str::trim).filter(is_word);
    let is_sound = |word: &str| word == "gateway" || word.parse::<LevelFilter>().is_ok();
    if let Some(word) = words.find(|word| !is_sound(word)) {
        return Err(format!("{word:?} is no level"));
    }
    let has_other =
        |target: &&str| target.contains(|c: char| !c.is_alphanumeric() && !"_:-./".contains(c));
    if let Some(target) = wanted
        .split(',')
        .filter_map(targets::target)
        .find(has_other)
    {
        return Err(format!(
            "{target:?} is neither a level nor the name of a module"
        ));
    }
    // Not as regular expressions: what they are compiled to has no bound, and an operator may be somebody else's script.
    let builder = EnvFilter::builder().with_regex(false);
    let filter = builder.parse(wanted).map_err(|error| error.to_string())?;
    let watch = WATCH.parse().map_err(|error| format!("{WATCH}: {error}"))?;
    Ok(filter.add_directive(watch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_falls_back_to_info_and_says_so() {
        let compiled = |wanted: &str| {
            let (filter, fault) = Filter::configured(wanted);
            (filter.compiled().to_string(), fault)
        };
        let (bad, fault) = compiled("gateway=loud");
        assert_eq!(bad, "notify=info,info");
        assert!(fault.is_some());
        for misspelt in ["warm", "info,inf0", "JSON"] {
            let (bad, fault) = compiled(misspelt);
            assert_eq!(bad, "notify=info,info");
            assert!(fault.unwrap().ends_with("is no level"));
        }
        for separated in [
            "info;debug",
            "info gateway::proxy=debug",
            "gateway::proxy =debug",
        ] {
            let (bad, fault) = compiled(separated);
            assert_eq!(bad, "notify=info,info");
            assert!(
                fault
                    .unwrap()
                    .ends_with("neither a level nor the name of a module")
            );
        }
        assert!(compiled("warn, gateway").1.is_none());
        let (good, fault) = compiled("gateway=debug");
        assert_eq!(good, "gateway=debug,notify=info");
        assert!(fault.is_none());
        assert_eq!(compiled(" ").0, "notify=info,info");
    }

    #[test]
    fn a_filter_costs_no_more_than_its_text() {
        // As a regular expression it would be compiled to gigabytes.
        let hostile = format!("[{{a=(x|y)*x{}}}]=debug", "(x|y)".repeat(40));
        assert!(parse(&hostile).is_ok());
    }

    #[test]
    fn where_a_filter_is_from_is_known() {
        let from = |wanted: &str| Filter::configured(wanted).0.from;
        assert_eq!(from("debug"), "GATEWAY_LOG");
        assert_eq!((from(""), from("loud")), ("default", "default"));
    }
}
