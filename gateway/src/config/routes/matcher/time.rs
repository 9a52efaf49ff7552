//! `after` and `before`.

use std::time::{Duration, SystemTime};

use toml::value::{Datetime, Offset};

use super::super::super::item::Item;
use super::super::super::reason::Reason;
use super::super::super::table::Table;
use super::super::super::tree::Value;

/// `after` and `before`.
pub(super) fn window(table: &mut Table<'_>) -> (Option<SystemTime>, Option<SystemTime>) {
    let after = table.optional("after", time);
    let before = table.optional("before", time);
    if let (Some(after), Some(before)) = (after, before)
        && before <= after
    {
        table.fault_between(
            &["after", "before"],
            "is not later than `after`, so that nothing matches",
        );
    }
    (after, before)
}

/// A time of RFC 3339, as text or as TOML has it.
fn time(item: &Item<'_>) -> Option<SystemTime> {
    let expected = "a time such as \"2026-01-01T00:00:00Z\"";
    let text = match &item.node.value {
        Value::Datetime(text) => text,
        _ => item.text_as(expected)?,
    };
    let unfit = |reason: Reason| {
        let reason = item.told(&reason);
        item.fault(format!("{} {reason}", item.quoted()));
    };
    parse(text).map_err(unfit).ok()
}

fn parse(text: &str) -> Result<SystemTime, Reason> {
    let unknown = || Reason::from("is no time; write one such as \"2026-01-01T00:00:00Z\"");
    let time: Datetime = text.parse().map_err(|_| unknown())?;
    let (Some(date), Some(clock)) = (time.date, time.time) else {
        return Err(match time.date {
            Some(_) => Reason::repeating("has no time of day; write \"{}T00:00:00Z\"", [&text]),
            None => Reason::repeating("has no date; write \"2026-01-01T{}Z\"", [&text]),
        });
    };
    let offset = match time.offset {
        Some(Offset::Z) => 0,
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        None => {
            return Err(Reason::repeating(
                "has no offset from UTC; write \"{}Z\", or the offset in place of the `Z`, such as `+02:00`",
                [&text],
            ));
        }
    };
    let minutes = i64::from(clock.hour) * 60 + i64::from(clock.minute) - offset;
    let days = days(date.year.into(), date.month.into(), date.day.into());
    let second = clock.second.unwrap_or_default();
    let seconds = (days * 24 * 60 + minutes) * 60 + i64::from(second);
    let nanos = Duration::from_nanos(clock.nanosecond.unwrap_or_default().into());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(whole),
        false => SystemTime::UNIX_EPOCH.checked_add(whole),
    };
    time.and_then(|time| time.checked_add(nanos))
        .ok_or_else(unknown)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by counting years from March on, so that a leap day is a
/// year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From 0000-03-01 to 1970-01-01.
    365 * year + leap_days + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_what_it_says_in_utc() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:01Z", 951_827_401),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2026-01-01T00:00:00Z", 1_767_225_600),
            ("2026-01-01T02:00:00+02:00", 1_767_225_600),
            ("2025-12-31T18:30:00-05:30", 1_767_225_600),
            ("2100-12-31t23:59:59z", 4_133_980_799),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(parse(text), Ok(time), "{text}");
        }
        let early = parse("1969-12-31T23:59:59.5Z").unwrap();
        let half = Duration::from_millis(500);
        assert_eq!(early, SystemTime::UNIX_EPOCH.checked_sub(half).unwrap());
    }

    #[test]
    fn what_is_no_whole_time_is_refused_with_what_is_missing() {
        for (text, reason) in [
            (
                "x",
                "is no time; write one such as \"2026-01-01T00:00:00Z\"",
            ),
            (
                "2026-13-01T00:00:00Z",
                "is no time; write one such as \"2026-01-01T00:00:00Z\"",
            ),
            (
                "2026-01-01",
                "has no time of day; write \"2026-01-01T00:00:00Z\"",
            ),
            ("10:00:00", "has no date; write \"2026-01-01T10:00:00Z\""),
        ] {
            assert_eq!(parse(text).unwrap_err().told(false), reason, "{text}");
        }
        let local = parse("2026-01-01T10:00:00").unwrap_err().told(false);
        assert!(
            local.contains("write \"2026-01-01T10:00:00Z\", or"),
            "{local}"
        );
    }
}
