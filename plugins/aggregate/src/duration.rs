//! Durations as the gateway's configuration writes them.

use std::time::Duration;

use gateway_plugin_sdk::ConfigError;

/// `250ms`, `10s`, `5m`, more than nothing; or a fault at `key`.
pub(crate) fn check(key: &str, text: &str, faults: &mut Vec<ConfigError>) -> Option<Duration> {
    let duration = parse(text).filter(|duration| !duration.is_zero());
    if duration.is_none() {
        let fault = format!("`{text}` is no duration; `250ms`, `10s` and `5m` are");
        faults.push(ConfigError::new(key, fault));
    }
    duration
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u32 = text[..unit].parse().ok()?;
    let milliseconds = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    Some(Duration::from_millis(u64::from(count) * milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_duration_and_nothing_else_is() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse("5m"), Some(Duration::from_secs(300)));
        for text in ["", "s", "5", "5h", "-1s", "1.5s", "1 s", "99999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(check("deadline", "0s", &mut Vec::new()), None);
    }
}
