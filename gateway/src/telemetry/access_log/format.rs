//! How a line looks.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use super::line::Line;
use crate::config::{LogField, LogTemplate, LogValue};
use crate::message::target::Target;
use crate::message::text::json as escaped_json;

/// One JSON object. Durations are seconds.
pub(super) fn json(to: &mut Vec<u8>, line: &Line<'_>) {
    let mut object = Object { to, first: true };
    object.raw(
        "time",
        format_args!("\"{}\"", humantime::format_rfc3339_millis(line.time)),
    );
    object.text("id", line.id);
    object.raw("client", format_args!("\"{}\"", line.client));
    object.text("method", line.method);
    object.text("host", line.host);
    object.text("path", line.path);
    object.text("protocol", protocol(line));
    object.text("scheme", scheme(line));
    match line.status {
        Some(status) => object.raw("status", format_args!("{status}")),
        None => object.raw("status", format_args!("null")),
    }
    object.raw("bytes_in", format_args!("{}", line.bytes_in));
    object.raw("bytes_out", format_args!("{}", line.bytes_out));
    object.raw(
        "duration",
        format_args!("{:.6}", line.duration.as_secs_f64()),
    );
    if let Some(time) = line.upstream_time {
        object.raw("upstream_time", format_args!("{:.6}", time.as_secs_f64()));
    }
    match line.endpoint {
        None => {}
        Some(Target::Tcp(address)) => object.raw("endpoint", format_args!("\"{address}\"")),
        // A path may have anything in it.
        Some(unix) => object.text("endpoint", &unix.to_string()),
    }
    if line.attempts > 1 {
        object.raw("attempts", format_args!("{}", line.attempts));
    }
    object.text("route", line.route);
    if let Some(arm) = line.arm {
        object.text("arm", arm);
    }
    if let Some(error) = line.error {
        object.text("error", error.name());
    }
    if let Some(cause) = line.fallback {
        object.raw("fallback", format_args!("\"{cause}\""));
    }
    if let Some(status) = line.grpc_status {
        object.raw("grpc_status", format_args!("{status}"));
    }
    object.raw("complete", format_args!("{}", line.finished));
    if let Some(agent) = line.user_agent {
        object.text("user_agent", &String::from_utf8_lossy(agent));
    }
    if let Some(referer) = line.referer {
        object.text("referer", &String::from_utf8_lossy(referer));
    }
    object.inner("attributes", line.attributes);
    object.inner("tags", line.tags);
    to.extend_from_slice(b"}\n");
}

struct Object<'a> {
    to: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        if self.to.last() != Some(&b'{') || !self.first {
            self.to.push(if self.first { b'{' } else { b',' });
        }
        self.first = false;
        quoted(self.to, key);
        self.to.push(b':');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        quoted(self.to, value);
    }

    /// An object of its own, unless it is empty.
    fn inner(&mut self, key: &str, values: &[(Box<str>, Box<str>)]) {
        if values.is_empty() {
            return;
        }
        self.key(key);
        self.to.push(b'{');
        let mut inner = Object {
            to: self.to,
            first: true,
        };
        for (name, value) in values {
            inner.text(name, value);
        }
        inner.to.push(b'}');
    }

    fn raw(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        // Writing to a vector does not fail.
        let _infallible = self.to.write_fmt(value);
    }
}

/// A JSON string. Whoever made it, nothing of it moves a cursor, turns letters around or hides among them.
fn quoted(to: &mut Vec<u8>, text: &str) {
    // All at once, for the vector unit: nearly every text is free of what JSON escapes.
    let is_free = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |free, byte| free & is_free(byte)) {
        to.reserve(text.len() + 2);
        to.push(b'"');
        to.extend_from_slice(text.as_bytes());
        return to.push(b'"');
    }
    // A string is always JSON.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    to.extend_from_slice(escaped_json(quoted).as_bytes());
}

/// The combined format of Apache and nginx. Quotes, backslashes and control characters are escaped as `\xHH`.
pub(super) fn combined(to: &mut Vec<u8>, line: &Line<'_>) {
    let _infallible = write!(to, "{} - - [", line.client);
    common_time(to, line.time);
    let _infallible = write!(to, "] \"{} ", line.method);
    escaped(to, line.path.as_bytes());
    let _infallible = write!(
        to,
        " {}\" {} {} \"",
        protocol(line),
        line.status.unwrap_or(0),
        line.bytes_out
    );
    escaped(to, line.referer.unwrap_or(b"-"));
    to.extend_from_slice(b"\" \"");
    escaped(to, line.user_agent.unwrap_or(b"-"));
    to.extend_from_slice(b"\"\n");
}

/// The time of the common log format: `24/Nov/2026:19:11:24 +0000`.
fn common_time(to: &mut Vec<u8>, time: SystemTime) {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    // `2026-11-24T19:11:24Z`, from which the parts are taken.
    let mut iso = [b'0'; 20];
    let _fits = write!(&mut iso[..], "{}", humantime::format_rfc3339_seconds(time));
    let month = usize::from((iso[5] & 0xf) * 10 + (iso[6] & 0xf)).clamp(1, 12) - 1;
    for part in [
        &iso[8..10],
        b"/",
        &MONTHS[month * 3..][..3],
        b"/",
        &iso[..4],
        b":",
        &iso[11..19],
        b" +0000",
    ] {
        to.extend_from_slice(part);
    }
}

fn escaped(to: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                let _infallible = write!(to, "\\x{byte:02X}");
            }
            _ => to.push(*byte),
        }
    }
}

fn scheme(line: &Line<'_>) -> &'static str {
    if line.secure { "https" } else { "http" }
}

fn protocol(line: &Line<'_>) -> &'static str {
    match line.protocol {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// A line of one's own. Values are escaped as in a combined line; `-` stands for what there is not.
pub(super) fn template(to: &mut Vec<u8>, template: &LogTemplate, line: &Line<'_>) {
    template.write(to, b"-", |to, value| match value {
        LogValue::Field(name) => field(to, *name, line),
        LogValue::Attribute(name) => text(to, value_of(line.attributes, name)),
        LogValue::Tag(name) => text(to, value_of(line.tags, name)),
    });
    to.push(b'\n');
}

/// Writes a field, or says that there is none.
fn field(to: &mut Vec<u8>, name: LogField, line: &Line<'_>) -> bool {
    match name {
        LogField::Time => plain(to, Some(humantime::format_rfc3339_millis(line.time))),
        LogField::Client => plain(to, Some(line.client)),
        LogField::Status => plain(to, line.status),
        LogField::BytesIn => plain(to, Some(line.bytes_in)),
        LogField::BytesOut => plain(to, Some(line.bytes_out)),
        LogField::DurationMs => milliseconds(to, Some(line.duration)),
        LogField::UpstreamMs => milliseconds(to, line.upstream_time),
        LogField::Attempts => plain(to, Some(line.attempts).filter(|attempts| *attempts > 1)),
        LogField::Fallback => plain(to, line.fallback),
        LogField::GrpcStatus => plain(to, line.grpc_status),
        LogField::Endpoint => match line.endpoint {
            Some(unix @ Target::Unix(_)) => text(to, Some(unix.to_string().as_bytes())),
            address => plain(to, address),
        },
        LogField::Complete => plain(to, Some(line.finished)),
        LogField::UserAgent => text(to, line.user_agent),
        LogField::Referer => text(to, line.referer),
        LogField::Id => text(to, Some(line.id.as_bytes())),
        LogField::Method => text(to, Some(line.method.as_bytes())),
        LogField::Path => text(to, Some(line.path.as_bytes())),
        LogField::Host => text(to, Some(line.host.as_bytes())),
        LogField::Protocol => text(to, Some(protocol(line).as_bytes())),
        LogField::Scheme => text(to, Some(scheme(line).as_bytes())),
        LogField::Route => text(to, Some(line.route.as_bytes())),
        LogField::Arm => text(to, line.arm.map(str::as_bytes)),
        LogField::Error => text(to, line.error.map(|error| error.name().as_bytes())),
    }
}

fn value_of<'a>(values: &'a [(Box<str>, Box<str>)], name: &str) -> Option<&'a [u8]> {
    let mut values = values.iter();
    let found = values.find(|(key, _)| **key == *name);
    found.map(|(_, value)| value.as_bytes())
}

fn text(to: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    value.map(|value| escaped(to, value)).is_some()
}

/// What cannot have anything in it to escape.
fn plain(to: &mut Vec<u8>, value: Option<impl fmt::Display>) -> bool {
    // Writing to a vector does not fail.
    value.map(|value| write!(to, "{value}")).is_some()
}

fn milliseconds(to: &mut Vec<u8>, time: Option<Duration>) -> bool {
    let number = time.map(|time| time.as_secs_f64() * 1e3);
    match number {
        Some(number) => plain(to, Some(format_args!("{number:.3}"))),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::message::text::is_plain;

    fn with_line(write: impl Fn(&mut Vec<u8>, &Line<'_>)) -> String {
        let attributes = [
            ("auth.subject".into(), "a\nb".into()),
            ("a\":1,\"\u{202e}\n".into(), "\u{7f}\u{2028}".into()),
        ];
        let tags = [("team".into(), "shop \"a\"".into())];
        let endpoint = Target::Unix(Path::new("/run/a \"b\".sock").into());
        let line = Line {
            time: UNIX_EPOCH + Duration::from_secs(1_795_547_484),
            id: "7",
            client: "10.0.0.1".parse().unwrap(),
            method: "GET",
            path: "/x?q=\"1\"",
            host: "h",
            protocol: http::Version::HTTP_11,
            secure: false,
            status: Some(200),
            bytes_in: 1,
            bytes_out: 2,
            duration: Duration::from_micros(1500),
            upstream_time: None,
            endpoint: Some(&endpoint),
            attempts: 0,
            route: "r",
            arm: None,
            error: None,
            fallback: None,
            grpc_status: None,
            finished: true,
            user_agent: Some(b"a\"b\xff\xc2\x9b"),
            referer: Some(b"https://h/\"x"),
            attributes: &attributes,
            tags: &tags,
            failures_only: false,
        };
        let mut to = Vec::new();
        write(&mut to, &line);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_json_line_is_json_whatever_the_client_sent() {
        let text = with_line(json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["path"], "/x?q=\"1\"");
        assert_eq!(value["time"], "2026-11-24T19:11:24.000Z");
        assert_eq!(value["referer"], "https://h/\"x");
        assert_eq!(value["status"], 200);
        assert_eq!(value["attributes"]["auth.subject"], "a\nb");
        assert_eq!(value["tags"]["team"], "shop \"a\"");
        assert_eq!(value["endpoint"], "unix:/run/a \"b\".sock");
        let strange = &value["attributes"]["a\":1,\"\u{202e}\n"];
        assert_eq!(strange, "\u{7f}\u{2028}");
        assert!(text.trim_end().chars().all(is_plain), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn a_quote_cannot_end_a_field_of_a_combined_line() {
        let text = with_line(combined);
        assert!(
            text.contains(
                r#""GET /x?q=\x221\x22 HTTP/1.1" 200 2 "https://h/\x22x" "a\x22b\xFF\xC2\x9B""#
            ),
            "{text}"
        );
    }

    #[test]
    fn a_combined_line_has_the_time_of_the_common_log_format() {
        let text = with_line(combined);
        assert!(
            text.starts_with("10.0.0.1 - - [24/Nov/2026:19:11:24 +0000] \"GET"),
            "{text}"
        );
        let mut january = Vec::new();
        common_time(&mut january, UNIX_EPOCH);
        assert_eq!(january, b"01/Jan/1970:00:00:00 +0000");
    }

    #[test]
    fn a_template_writes_its_fields_escaped() {
        let parsed = LogTemplate::parse(
            "{time} {client} {status} {duration_ms}ms {upstream_ms} {path} {attribute.auth.subject} {tag.team} {tag.none} {{{error|none}}} {endpoint}",
        )
        .unwrap();
        assert_eq!(
            with_line(|to, line| template(to, &parsed, line)),
            "2026-11-24T19:11:24.000Z 10.0.0.1 200 1.500ms - /x?q=\\x221\\x22 a\\x0Ab shop \\x22a\\x22 - {none} unix:/run/a \\x22b\\x22.sock\n"
        );
    }
}
