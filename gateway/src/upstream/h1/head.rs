//! The head of a response (RFC 9112, sections 4 to 6).

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::message::head::is_sound;

/// The longest head, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The most fields of one head.
pub(super) const MAX_FIELDS: usize = 128;

/// The head of a response.
#[derive(Debug)]
pub(in crate::upstream) struct Head {
    pub(in crate::upstream) status: StatusCode,
    pub(in crate::upstream) headers: HeaderMap,
    pub(in crate::upstream) framing: Framing,
    /// Whether the connection may carry another exchange.
    pub(in crate::upstream) keep_alive: bool,
}

/// How the end of a body is found (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// In the chunks.
    Chunked,
    /// With the connection.
    Close,
}

/// Room in a map beyond what came. The server side uses the map of a response again for the next request of the
/// client, and that one gets the fields which tell the upstream who asks.
const SPARE_FIELDS: usize = 6;

/// Why there is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum HeadError {
    #[error("the head of the response is not HTTP: {0}")]
    Malformed(httparse::Error),
    #[error(
        "what came is HTTP/2, as servers of gRPC speak it: write `protocol = \"h2\"` for the upstream"
    )]
    Http2,
    #[error("what came is TLS: give the upstream `tls`, or the port that is in clear text")]
    Tls,
    #[error("the status of the response is none from 100 to 599")]
    Status,
    #[error("the response has more than {MAX_FIELDS} fields")]
    Fields,
    #[error("the head of the response is larger than {MAX_BYTES} bytes")]
    Bytes,
    #[error("the response has a Content-Length that is no single number")]
    ContentLength,
    #[error(
        "the response has a Transfer-Encoding other than `chunked`, or together with Content-Length"
    )]
    TransferEncoding,
}

/// What a server says that speaks another protocol: SETTINGS or GOAWAY of HTTP/2 (RFC 9113, section 6), or an alert or a
/// handshake of TLS.
#[cold]
fn other_protocol(input: &[u8]) -> Option<HeadError> {
    match input {
        [0, 0, _, 4 | 7, ..] => Some(HeadError::Http2),
        [0x15 | 0x16, 3, ..] => Some(HeadError::Tls),
        _ => None,
    }
}

/// Reads a head at the start of `input`: the head and its length, or none if more must come first.
pub(in crate::upstream) fn parse(
    input: &Bytes,
    method: &Method,
) -> Result<Option<(Head, usize)>, HeadError> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        input,
        &mut fields,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_BYTES => length,
        Ok(httparse::Status::Partial) if input.len() <= MAX_BYTES => return Ok(None),
        Ok(_) => return Err(HeadError::Bytes),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::Fields),
        Err(error) => return Err(other_protocol(input).unwrap_or(HeadError::Malformed(error))),
    };
    let malformed = |error| move |_| HeadError::Malformed(error);
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.ok().filter(|status| is_sound(*status));
    let status = status.ok_or(HeadError::Status)?;
    let mut headers = HeaderMap::with_capacity(response.headers.len() + SPARE_FIELDS);
    let mut has = Has::default();
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| HeadError::Malformed(httparse::Error::HeaderName))?;
        // A slice of the one copy of the head, not a copy of its own.
        let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value))
            .map_err(malformed(httparse::Error::HeaderValue))?;
        has.transfer_encoding |= name == TRANSFER_ENCODING;
        has.connection |= name == CONNECTION;
        headers.append(name, value);
    }
    let http_11 = response.version == Some(1);
    let framing = framing(&headers, has, status, method, http_11)?;
    let keep_alive = framing != Framing::Close && keeps_alive(&headers, has, http_11);
    let head = Head {
        status,
        headers,
        framing,
        keep_alive,
    };
    Ok(Some((head, length)))
}

/// Fields that few answers have: each is looked up only where it came.
#[derive(Debug, Clone, Copy, Default)]
struct Has {
    transfer_encoding: bool,
    connection: bool,
}

fn framing(
    headers: &HeaderMap,
    has: Has,
    status: StatusCode,
    method: &Method,
    http_11: bool,
) -> Result<Framing, HeadError> {
    let length = content_length(headers)?;
    let chunked = has.transfer_encoding && transfer_encoding(headers)?;
    if chunked && (length.is_some() || !http_11) {
        return Err(HeadError::TransferEncoding);
    }
    let bodiless = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(match length {
        _ if bodiless => Framing::Length(0),
        Some(length) => Framing::Length(length),
        None if chunked => Framing::Chunked,
        None => Framing::Close,
    })
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.as_bytes();
    if values.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::ContentLength);
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .map(Some)
        .ok_or(HeadError::ContentLength)
}

/// Whether the body is chunked.
fn transfer_encoding(headers: &HeaderMap) -> Result<bool, HeadError> {
    let Some(value) = headers.get(TRANSFER_ENCODING) else {
        return Ok(false);
    };
    let is_twice = headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_some();
    if is_twice || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(HeadError::TransferEncoding);
    }
    Ok(true)
}

/// RFC 9112, section 9.3.
fn keeps_alive(headers: &HeaderMap, has: Has, http_11: bool) -> bool {
    if !has.connection {
        return http_11;
    }
    let asks = |wanted: &[u8]| {
        headers.get_all(CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|byte| *byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted))
        })
    };
    if http_11 {
        !asks(b"close")
    } else {
        asks(b"keep-alive")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &'static str, method: Method) -> Result<Option<(Head, usize)>, HeadError> {
        parse(&Bytes::from_static(input.as_bytes()), &method)
    }

    #[test]
    fn the_end_of_a_body_is_where_rfc_9112_says() {
        use Framing::{Chunked, Close, Length};
        for (input, method, framing, keep_alive) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Method::GET,
                Length(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Method::HEAD,
                Length(0),
                true,
            ),
            ("HTTP/1.1 204 No\r\n\r\n", Method::GET, Length(0), true),
            (
                "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n",
                Method::GET,
                Length(0),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Method::GET,
                Chunked,
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Method::GET, Close, false),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n",
                Method::GET,
                Length(5),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                Method::GET,
                Length(5),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
                Method::GET,
                Length(5),
                true,
            ),
        ] {
            let (head, length) = read(input, method).unwrap().unwrap();
            assert_eq!(
                (head.framing, head.keep_alive, length),
                (framing, keep_alive, input.len()),
                "{input:?}"
            );
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for (input, expected) in [
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                HeadError::ContentLength,
            ),
            ("Content-Length: 5, 5\r\n", HeadError::ContentLength),
            ("Content-Length: +5\r\n", HeadError::ContentLength),
            ("Content-Length: \r\n", HeadError::ContentLength),
            (
                "Content-Length: 99999999999999999999\r\n",
                HeadError::ContentLength,
            ),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: xchunked\r\n",
                HeadError::TransferEncoding,
            ),
        ] {
            let input = Bytes::from(format!("HTTP/1.1 200 OK\r\n{input}\r\n"));
            assert_eq!(
                parse(&input, &Method::GET).unwrap_err(),
                expected,
                "{input:?}"
            );
        }
        let old = read(
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Method::GET,
        );
        assert_eq!(old.unwrap_err(), HeadError::TransferEncoding);
    }

    #[test]
    fn garbage_and_excess_are_refused_and_a_part_is_waited_for() {
        assert!(
            read("HTTP/1.1 200 OK\r\nContent-Le", Method::GET)
                .unwrap()
                .is_none()
        );
        for input in [
            "garbage\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        ] {
            assert!(
                matches!(read(input, Method::GET), Err(HeadError::Malformed(_))),
                "{input:?}"
            );
        }
        for status in ["000", "099", "600", "999"] {
            let input = Bytes::from(format!("HTTP/1.1 {status} Odd\r\n\r\n"));
            let refused = parse(&input, &Method::GET).unwrap_err();
            assert_eq!(refused, HeadError::Status, "{status}");
        }
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(MAX_FIELDS + 1)
        );
        assert_eq!(
            parse(&Bytes::from(many), &Method::GET).unwrap_err(),
            HeadError::Fields
        );
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_BYTES));
        assert_eq!(
            parse(&Bytes::from(long), &Method::GET).unwrap_err(),
            HeadError::Bytes
        );
    }
}
