//! How a line looks.

use std::io::Write as _;
use std::time::Duration;

use super::Line;

/// One JSON object. Durations are seconds.
pub(super) fn json(to: &mut Vec<u8>, line: &Line<'_>) {
    let mut object = Object { to, first: true };
    object.text(
        "time",
        &humantime::format_rfc3339_millis(line.time).to_string(),
    );
    object.text("id", line.id);
    object.raw("client", format_args!("\"{}\"", line.client));
    object.text("method", line.method);
    object.text("host", line.host);
    object.text("path", line.path);
    object.text("protocol", protocol(line));
    object.text("scheme", if line.secure { "https" } else { "http" });
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
    if let Some(endpoint) = line.endpoint {
        object.raw("endpoint", format_args!("\"{endpoint}\""));
    }
    object.text("route", line.route);
    if let Some(error) = line.error {
        object.text("error", error);
    }
    object.raw("complete", format_args!("{}", line.finished));
    if let Some(agent) = line.user_agent {
        object.text("user_agent", &String::from_utf8_lossy(agent));
    }
    if !line.attributes.is_empty() {
        object.key("attributes");
        object.to.push(b'{');
        let mut inner = Object {
            to: object.to,
            first: true,
        };
        for (name, value) in line.attributes {
            inner.text(name, value);
        }
        inner.to.push(b'}');
    }
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

    fn raw(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        // Writing to a vector does not fail.
        let _infallible = self.to.write_fmt(value);
    }
}

/// A JSON string.
fn quoted(to: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail, and a string is always JSON.
    let _infallible = serde_json::to_writer(to, text);
}

/// The combined format of Apache and nginx. Quotes, backslashes and control characters are escaped as `\xHH`.
pub(super) fn combined(to: &mut Vec<u8>, line: &Line<'_>) {
    let time = humantime::format_rfc3339_seconds(line.time);
    let _infallible = write!(to, "{} - - [{time}] \"{} ", line.client, line.method);
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

fn protocol(line: &Line<'_>) -> &'static str {
    match line.protocol {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// A line of one's own: text with `{field}` in it.
#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Field(&'static str),
    Attribute(String),
}

const FIELDS: [&str; 19] = [
    "time",
    "id",
    "client",
    "method",
    "path",
    "host",
    "protocol",
    "scheme",
    "status",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream_ms",
    "endpoint",
    "route",
    "error",
    "complete",
    "user_agent",
    "referer",
];

impl Template {
    /// Takes a template apart.
    ///
    /// # Errors
    /// Names the field that there is not.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or("a `{` of the template has no `}`")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(
                match (
                    FIELDS.iter().find(|field| **field == name),
                    name.strip_prefix("attribute."),
                ) {
                    (Some(field), _) => Piece::Field(field),
                    (None, Some(attribute)) => Piece::Attribute(attribute.to_owned()),
                    (None, None) => {
                        return Err(format!(
                            "`{{{name}}}` is no field; there are {} and attribute.NAME",
                            FIELDS.join(", ")
                        ));
                    }
                },
            );
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    pub(super) fn write(&self, to: &mut Vec<u8>, line: &Line<'_>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => to.extend_from_slice(text.as_bytes()),
                Piece::Field(name) => field(to, name, line),
                Piece::Attribute(name) => {
                    let value = line
                        .attributes
                        .iter()
                        .find(|(key, _)| **key == **name)
                        .map_or("-", |(_, value)| value);
                    escaped(to, value.as_bytes());
                }
            }
        }
        to.push(b'\n');
    }
}

fn field(to: &mut Vec<u8>, name: &str, line: &Line<'_>) {
    let millis = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let value = match name {
        "time" => humantime::format_rfc3339_millis(line.time).to_string(),
        "id" => line.id.to_owned(),
        "client" => line.client.to_string(),
        "method" => line.method.to_owned(),
        "path" => line.path.to_owned(),
        "host" => line.host.to_owned(),
        "protocol" => protocol(line).to_owned(),
        "scheme" => if line.secure { "https" } else { "http" }.to_owned(),
        "status" => or_none(line.status.map(|status| status.to_string())),
        "bytes_in" => line.bytes_in.to_string(),
        "bytes_out" => line.bytes_out.to_string(),
        "duration_ms" => millis(line.duration),
        "upstream_ms" => or_none(line.upstream_time.map(millis)),
        "endpoint" => or_none(line.endpoint.map(|endpoint| endpoint.to_string())),
        "route" => line.route.to_owned(),
        "error" => line.error.unwrap_or("-").to_owned(),
        "complete" => line.finished.to_string(),
        "user_agent" => return escaped(to, line.user_agent.unwrap_or(b"-")),
        _ => return escaped(to, line.referer.unwrap_or(b"-")),
    };
    escaped(to, value.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn with_line(write: impl Fn(&mut Vec<u8>, &Line<'_>)) -> String {
        let attributes = [("auth.subject".into(), "a\nb".into())];
        let line = Line {
            time: UNIX_EPOCH,
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
            endpoint: None,
            route: "r",
            error: None,
            finished: true,
            user_agent: Some(b"a\"b\xff"),
            referer: None,
            attributes: &attributes,
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
        assert_eq!(value["status"], 200);
        assert_eq!(value["attributes"]["auth.subject"], "a\nb");
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn a_quote_cannot_end_a_field_of_a_combined_line() {
        let text = with_line(combined);
        assert!(
            text.contains(r#""GET /x?q=\x221\x22 HTTP/1.1" 200 2 "-" "a\x22b\xFF""#),
            "{text}"
        );
    }

    #[test]
    fn a_template_writes_its_fields_and_refuses_unknown_ones() {
        let template =
            Template::parse("{client} {status} {duration_ms}ms {attribute.auth.subject}").unwrap();
        assert_eq!(
            with_line(|to, line| template.write(to, line)),
            "10.0.0.1 200 1.500ms a\\x0Ab\n"
        );
        assert!(Template::parse("{nope}").unwrap_err().contains("`{nope}`"));
    }
}
