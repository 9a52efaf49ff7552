//! Durations as the gateway's own configuration writes them, and as the host counts them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

const EXPECTED: &str = "a duration is a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), as in `\"250ms\"` or `\"10s\"`";

/// A duration in a plugin's configuration: a whole number and its unit, `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"1d"`.
///
/// ```
/// use std::time::Duration;
/// use gateway_plugin_sdk::ConfigDuration;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Config {
///     window: ConfigDuration,
///     grace: Option<ConfigDuration>,
/// }
///
/// let config: Config = serde_json::from_str(r#"{ "window": "250ms" }"#).unwrap();
/// assert_eq!(config.window.0, Duration::from_millis(250));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(transparent, extend("pattern" = "^[0-9]+(ms|s|m|h|d)$"))]
pub struct ConfigDuration(#[schemars(with = "String")] pub Duration);

impl<'de> Deserialize<'de> for ConfigDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format_args!("`{text}` is no duration; {EXPECTED}")))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Whole milliseconds as the host counts them: what is shorter than one is one, what is longer than 49 days is 49
/// days.
pub(crate) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_make_a_duration() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                parse(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_rounded_up_and_saturates() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1_500)), 2);
        assert_eq!(milliseconds(Duration::from_secs(100 * 86_400)), u32::MAX);
    }
}
