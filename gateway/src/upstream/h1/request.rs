//! The head of a request as bytes (RFC 9112, section 3).

use http::header::{CONNECTION, CONTENT_LENGTH, TE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body as _;

use crate::message::body::{Outgoing, is_expected};
use crate::message::depth::DEPTH;
use crate::message::fields::is_written_last;
use crate::message::interim::Interim;

/// A request without its body.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target in origin form.
    pub path: &'a PathAndQuery,
    /// Goes out as Host, whatever `headers` has; none for the endpoint's own.
    pub host: Option<&'a HeaderValue>,
    /// The other fields. Framing fields in it are not sent: the body says how it is framed.
    pub headers: &'a HeaderMap,
    /// Tells a gateway how deep the request stands: [`DEPTH`].
    pub mark: Option<&'a HeaderValue>,
    /// The protocol to switch to (RFC 9110, section 7.8).
    pub upgrade: Option<&'a HeaderValue>,
    /// Takes informational responses; none where no client can.
    pub interim: Option<&'a Interim>,
}

/// How the length of a request body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Not at all, but where the message announces none itself: there is none, and the method leads the upstream to
    /// expect none.
    None,
    /// Content-Length.
    Known(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

impl<'a> Message<'a> {
    /// A message of an exchange that stands in no gateway yet, switches no protocol, and goes to the endpoint's own Host.
    pub fn new(method: &'a Method, path: &'a PathAndQuery, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            path,
            host: None,
            headers,
            mark: None,
            upgrade: None,
            interim: None,
        }
    }

    /// The message as it goes to an endpoint of this authority.
    pub(in crate::upstream) fn to(self, authority: &'a HeaderValue) -> Self {
        let host = self.host.or(Some(authority));
        Self { host, ..self }
    }

    /// Whether `body`, which has begun, is one that the method gives no meaning: an upstream may leave it unread and take
    /// it for the next request (RFC 9110, section 9.3.1).
    pub(in crate::upstream) fn has_unexpected_body(&self, body: &Outgoing) -> bool {
        !matches!(body, Outgoing::Empty) && !is_expected(self.method)
    }

    /// How this message announces `body`. Methods that usually carry a body announce an empty one
    /// (RFC 9110, section 8.6).
    pub(super) fn length(&self, body: &Outgoing) -> Length {
        match body.size_hint().exact() {
            None => Length::Chunked,
            Some(0) if !is_expected(self.method) => Length::None,
            Some(length) => Length::Known(length),
        }
    }

    /// The head as it goes to an endpoint of this authority over a kept connection, without a body.
    pub fn head(&self, authority: &HeaderValue) -> String {
        let mut head = Vec::new();
        let none = Outgoing::Empty;
        self.to(authority)
            .write(self.length(&none), false, &mut head);
        String::from_utf8_lossy(&head).trim_end().to_owned()
    }

    /// Writes the head; `last`: the upstream is told that no other request follows on the connection.
    pub(super) fn write(&self, length: Length, last: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.path.as_str().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(self.host.map_or(b"", HeaderValue::as_bytes));
        out.extend_from_slice(b"\r\n");
        let (mut te, mut announced) = (false, false);
        for (name, value) in self.headers {
            if is_written_last(name) {
                announced |= *name == CONTENT_LENGTH;
                continue;
            }
            te |= *name == TE;
            field(out, name.as_str(), value);
        }
        if let Some(mark) = self.mark {
            field(out, DEPTH.as_str(), mark);
        }
        match length {
            Length::None if announced => out.extend_from_slice(b"content-length: 0\r\n"),
            Length::None => {}
            Length::Known(length) => {
                out.extend_from_slice(b"content-length: ");
                decimal(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        // A server that is told to close may not switch, so it is told only where it might read a body as a request.
        let bodiless = matches!(length, Length::None | Length::Known(0));
        let closes = last && !(bodiless && self.upgrade.is_some());
        if closes || te || self.upgrade.is_some() {
            self.write_connection(closes, te, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The fields of the connection, and Connection, which names them (RFC 9110, sections 7.6.1 and 10.1.4).
    #[cold]
    fn write_connection(&self, closes: bool, te: bool, out: &mut Vec<u8>) {
        let options = [
            ("close", closes),
            ("upgrade", self.upgrade.is_some()),
            ("te", te),
        ];
        let options = options.into_iter().filter(|(_, is_said)| *is_said);
        let options: Vec<_> = options.map(|(option, _)| option).collect();
        out.extend_from_slice(CONNECTION.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(options.join(", ").as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(protocols) = self.upgrade {
            field(out, UPGRADE.as_str(), protocols);
        }
    }
}

/// One field line.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(method: Method, fields: &[(&'static str, &'static str)], body: &Outgoing) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let (path, host) = (
            PathAndQuery::from_static("/a?b"),
            HeaderValue::from_static("origin"),
        );
        let message = Message::new(&method, &path, &headers).to(&host);
        let mut out = Vec::new();
        message.write(message.length(body), false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_gateway_alone_says_who_is_asked_and_how_long_the_body_is() {
        let sent = [
            ("host", "evil"),
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        let expected =
            "POST /a?b HTTP/1.1\r\nhost: origin\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(
            written(
                Method::POST,
                &sent,
                &Outgoing::Full(Bytes::from_static(b"abc"))
            ),
            expected
        );
    }

    #[test]
    fn connection_names_every_field_of_the_connection() {
        let mut headers = HeaderMap::new();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let upgrade = HeaderValue::from_static("a, b");
        let path = PathAndQuery::from_static("/");
        let mut message = Message::new(&Method::POST, &path, &headers);
        for (length, last, upgrade, expected) in [
            (Length::None, false, None, "connection: te\r\n"),
            (Length::None, true, None, "connection: close, te\r\n"),
            (
                Length::None,
                true,
                Some(&upgrade),
                "connection: upgrade, te\r\nupgrade: a, b\r\n",
            ),
            (
                Length::Chunked,
                true,
                Some(&upgrade),
                "connection: close, upgrade, te\r\nupgrade: a, b\r\n",
            ),
        ] {
            message.upgrade = upgrade;
            let mut out = Vec::new();
            message.write(length, last, &mut out);
            let head = String::from_utf8(out).unwrap();
            assert!(head.ends_with(&format!("{expected}\r\n")), "{head}");
            assert!(head.contains("\r\nte: trailers\r\n"), "{head}");
        }
    }

    #[test]
    fn an_empty_body_is_announced_where_one_is_expected() {
        for (method, fields, announced) in [
            (Method::GET, &[][..], false),
            (Method::GET, &[("content-length", "0")][..], true),
            (Method::DELETE, &[][..], false),
            (Method::POST, &[][..], true),
            (Method::PUT, &[][..], true),
            (Method::QUERY, &[][..], true),
        ] {
            let head = written(method.clone(), fields, &Outgoing::Empty);
            assert_eq!(
                head.contains("content-length: 0\r\n"),
                announced,
                "{method} {fields:?}: {head}"
            );
        }
    }

    #[test]
    fn a_body_that_an_upstream_may_leave_unread_is_one_of_any_method_but_four() {
        for (method, reads) in [
            ("POST", true),
            ("PUT", true),
            ("PATCH", true),
            ("QUERY", true),
            ("GET", false),
            ("HEAD", false),
            ("DELETE", false),
            ("OPTIONS", false),
            ("PROPFIND", false),
            ("post", false),
        ] {
            let (sent, path) = (
                Method::from_bytes(method.as_bytes()),
                PathAndQuery::from_static("/"),
            );
            let (sent, headers) = (sent.unwrap(), HeaderMap::new());
            let message = Message::new(&sent, &path, &headers);
            let full = Outgoing::Full(Bytes::from_static(b"abc"));
            assert_eq!(message.has_unexpected_body(&full), !reads, "{method}");
            assert!(!message.has_unexpected_body(&Outgoing::Empty), "{method}");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 4096, u64::MAX] {
            let mut out = Vec::new();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
