//! Units and newtypes of the configuration.

use std::fmt;
use std::time::Duration;

use super::reason::Reason;

/// A secret: its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A unit: how it is written, how many of the smallest it is, and what people write instead.
type Unit = (&'static str, u64, &'static [&'static str]);

const DURATIONS: [Unit; 4] = [
    (
        "ms",
        1,
        &["msec", "msecs", "millis", "millisecond", "milliseconds"],
    ),
    ("s", 1_000, &["sec", "secs", "second", "seconds"]),
    ("m", 60_000, &["min", "mins", "minute", "minutes"]),
    ("h", 3_600_000, &["hr", "hrs", "hour", "hours"]),
];

const SIZES: [Unit; 4] = [
    ("B", 1, &["b", "byte", "bytes"]),
    ("KiB", 1 << 10, &["k", "kb", "kib", "ki"]),
    ("MiB", 1 << 20, &["m", "mb", "mib", "mi"]),
    ("GiB", 1 << 30, &["g", "gb", "gib", "gi"]),
];

/// A duration as plugins and files write it, if it is one.
pub(crate) fn parsed_duration(text: &str) -> Option<Duration> {
    duration(text).ok()
}

/// A duration such as `250ms`, `10s`, `5m` or `1h`.
///
/// # Errors
/// What would be right.
pub(super) fn duration(text: &str) -> Result<Duration, Reason> {
    number(
        text,
        &DURATIONS,
        "s",
        "a duration such as \"10s\"",
        "\"250ms\", \"10s\", \"5m\" or \"1h\"",
    )
    .map(Duration::from_millis)
}

/// A size such as `512B`, `64KiB`, `10MiB` or `1GiB`, in bytes.
///
/// # Errors
/// What would be right.
pub(super) fn size(text: &str) -> Result<u64, Reason> {
    number(
        text,
        &SIZES,
        "B",
        "a size such as \"10MiB\"",
        "\"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
    )
}

/// What a duration matches, zero included or not: the grammar of [`duration`], as a regular expression.
#[cfg(test)]
pub(super) fn duration_pattern(zero: bool) -> String {
    pattern(&DURATIONS, zero)
}

/// As [`duration_pattern`], for [`size`].
#[cfg(test)]
pub(super) fn size_pattern(zero: bool) -> String {
    pattern(&SIZES, zero)
}

#[cfg(test)]
fn pattern(units: &[Unit], zero: bool) -> String {
    let names: Vec<_> = units.iter().map(|(name, ..)| *name).collect();
    let names = names.join("|");
    match zero {
        true => format!("^([0-9]+({names})|0+)$"),
        false => format!("^0*[1-9][0-9]*({names})$"),
    }
}

/// A number of the smallest unit. One without a unit is told the usual; one that may not be shown, what could stand there.
fn number(
    text: &str,
    units: &[Unit],
    usual: &str,
    another: &str,
    examples: &str,
) -> Result<u64, Reason> {
    let write = |right: String| (format!("; write \"{right}\""), format!("; write {another}"));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    if count.is_empty() {
        return Err(Reason::own(format!(
            "write a whole number and a unit, such as {examples}"
        )));
    }
    if unit.is_empty() {
        return if count.bytes().all(|digit| digit == b'0') {
            Ok(0)
        } else {
            let (shown, hidden) = write(format!("{count}{usual}"));
            Err(Reason::from("needs a unit").either(shown, hidden))
        };
    }
    if let Some((_, factor, _)) = units.iter().find(|(name, ..)| *name == unit) {
        let count: Option<u64> = count.parse().ok();
        return count
            .and_then(|count| count.checked_mul(*factor))
            .ok_or_else(|| "is too large".into());
    }
    let bare = unit.trim().to_ascii_lowercase();
    let meant = units.iter().find(|(name, _, aliases)| {
        name.eq_ignore_ascii_case(&bare) || aliases.contains(&bare.as_str())
    });
    let names: Vec<_> = units.iter().map(|(name, ..)| *name).collect();
    let names = super::suggest::list(&names, "and");
    Err(match meant {
        Some((name, ..)) => {
            let (shown, hidden) = write(format!("{count}{name}"));
            Reason::own(format!("the units are {names}")).either(shown, hidden)
        }
        None if unit.starts_with('.') => Reason::own(format!(
            "write a whole number and a smaller unit, such as {examples}"
        )),
        None => Reason::own(format!(
            "the units are {names}; write for example {examples}"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T: fmt::Debug>(parsed: Result<T, Reason>) -> String {
        parsed.unwrap_err().told(false)
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(wrong(duration("10")), "needs a unit; write \"10s\"");
        assert!(wrong(duration("10sec")).ends_with("write \"10s\""));
        assert!(wrong(duration("10 s")).ends_with("write \"10s\""));
        assert!(duration("1.5s").is_err());
        assert!(duration("-1s").is_err());
        assert!(duration("99999999999999999999h").is_err());
        assert!(duration("9999999999999999h").is_err());
    }

    #[test]
    fn sizes_count_in_powers_of_two() {
        assert_eq!(size("512B"), Ok(512));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert!(wrong(size("10MB")).ends_with("write \"10MiB\""));
        assert!(wrong(size("10k")).ends_with("write \"10KiB\""));
        assert_eq!(wrong(size("10")), "needs a unit; write \"10B\"");
        assert_eq!(
            size("10").unwrap_err().told(true),
            "needs a unit; write a size such as \"10MiB\""
        );
        assert!(size("ten").is_err());
        assert!(size("").is_err());
    }
}
