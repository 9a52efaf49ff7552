//! What became of a request, in one form for all proxies, and in what two of them differ.
//!
//! The form: names of fields are in lower case, those of one name are one list, in the order of the names; bytes that are
//! not ASCII are escaped. The order of fields with different names does not matter (RFC 9110, section 5.3).

use std::collections::BTreeMap;

use super::upstream::Arrival;

/// What became of one request.
pub(super) struct Outcome {
    status: u16,
    arrived: Vec<Arrived>,
}

/// What an upstream saw.
struct Arrived {
    route: &'static str,
    method: String,
    target: String,
    version: String,
    fields: BTreeMap<String, String>,
    body: String,
    trailers: String,
}

impl Outcome {
    pub(super) fn new(status: u16, arrived: Vec<Arrival>) -> Self {
        let arrived = arrived.into_iter().map(Arrived::new).collect();
        Self { status, arrived }
    }

    /// The status, or which upstream made the answer.
    fn answer(&self) -> String {
        let routes: Vec<_> = self.arrived.iter().map(|each| each.route).collect();
        match self.status {
            200 if !routes.is_empty() => routes.join(" and "),
            status if routes.is_empty() => status.to_string(),
            status => format!("{status} of {}", routes.join(" and ")),
        }
    }

    /// Every difference, as `what: here | there`.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, here: &str, there: &str| {
            if here != there {
                differences.push(format!("{what}: {here} | {there}"));
            }
        };
        compare("answer", &self.answer(), &other.answer());
        if let ([here], [there]) = (&*self.arrived, &*other.arrived) {
            compare("method", &here.method, &there.method);
            compare("target", &here.target, &there.target);
            compare("version", &here.version, &there.version);
            compare("body", &here.body, &there.body);
            compare("trailers", &here.trailers, &there.trailers);
            let mut names: Vec<_> = here.fields.keys().chain(there.fields.keys()).collect();
            names.sort();
            names.dedup();
            let value = |seen: &Arrived, name| match seen.fields.get(name) {
                Some(value) => format!("`{value}`"),
                None => "none".to_owned(),
            };
            for name in names {
                compare(
                    &format!("field {name}"),
                    &value(here, name),
                    &value(there, name),
                );
            }
        }
        differences
    }
}

impl Arrived {
    fn new((route, bytes): Arrival) -> Self {
        let text = escaped(&bytes);
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let (line, lines) = head.split_once('\n').unwrap_or((head, ""));
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (target, version) = rest.rsplit_once(' ').unwrap_or((rest, ""));
        let fields = fields(lines);
        let is_chunked = fields.get("transfer-encoding");
        let (body, trailers) = match is_chunked {
            Some(_) => unchunked(body),
            None => (body.to_owned(), ""),
        };
        Self {
            route,
            method: method.to_owned(),
            target: target.to_owned(),
            version: version.to_owned(),
            fields,
            body,
            trailers: trailers.trim().to_owned(),
        }
    }
}

/// Names and values. What differs from run to run has a word in its place.
fn fields(lines: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::<String, String>::new();
    for line in lines.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        let made = value.len() == 32 && name == "x-request-id";
        let value = match value.split_once(':') {
            _ if made => "an id",
            Some(("127.0.0.1", _)) => "the endpoint",
            _ => value,
        };
        match fields.get_mut(&name) {
            Some(list) => *list = format!("{list}, {value}"),
            None => drop(fields.insert(name, value.to_owned())),
        }
    }
    fields
}

/// A chunked body as one, and the lines of its trailers.
fn unchunked(mut rest: &str) -> (String, &str) {
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once('\n') {
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            return (body, behind);
        }
        body += behind.get(..size).unwrap_or(behind);
        rest = behind.get(size + 1..).unwrap_or_default();
    }
    (body, "")
}

/// Bytes as ASCII text: CR LF is a line feed, and what no terminal shows is `\xNN`.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'\r', [b'\n', behind @ ..]) => {
                rest = behind;
                text.push('\n');
            }
            (b' '..=b'~', _) => text.push(char::from(*first)),
            (byte, _) => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
