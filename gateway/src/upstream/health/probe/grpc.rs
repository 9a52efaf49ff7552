//! `grpc.health.v1.Health/Check`: one message each way, whose one field each is all that is read and written of
//! Protocol Buffers here.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;

/// Before each message: whether it is compressed, and its length (4 bytes).
const PREFIX: usize = 5;

/// What a server may say of itself (`HealthCheckResponse.ServingStatus`).
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

/// How the value of a field is written.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// `HealthCheckRequest { service = 1 }`, as it is sent.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | LENGTH as u8);
        let mut length = service.len();
        while length > 0x7f {
            message.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut sent = BytesMut::with_capacity(PREFIX + message.len());
    sent.put_u8(0);
    sent.put_u32(u32::try_from(message.len()).unwrap_or_default());
    sent.put(message);
    sent.freeze()
}

/// Whether a server serves, by the trailers and the message of its answer.
pub(super) fn verdict(trailers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let field = |name| {
        let value = trailers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match field("grpc-status").as_deref() {
        Some("0") => {}
        Some(status) => {
            let message = field("grpc-message").unwrap_or_default();
            return Err(format!("it answered grpc-status {status} {message:?}"));
        }
        None => return Err("it answered without grpc-status".to_owned()),
    }
    let message = match body.split_at_checked(PREFIX) {
        Some(([0, length @ ..], message)) if is(length, message.len()) => message,
        _ => return Err("its answer is no one message of gRPC".to_owned()),
    };
    let status = status(message).ok_or("its answer is no HealthCheckResponse")?;
    if status == SERVING {
        return Ok(());
    }
    let name = usize::try_from(status).ok();
    let name = name.and_then(|status| STATUSES.get(status));
    Err(format!("it is {}", name.unwrap_or(&"of no known status")))
}

fn is(length: &[u8], bytes: usize) -> bool {
    let length = length.try_into().map(u32::from_be_bytes);
    length.is_ok_and(|length| usize::try_from(length) == Ok(bytes))
}

/// `HealthCheckResponse { status = 1 }`; none for what is no such message. Other fields are skipped, as those of later
/// versions have to be.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, VARINT) => status = varint(&mut message)?,
            (_, VARINT) => drop(varint(&mut message)?),
            (_, FIXED64) => message = message.get(8..)?,
            (_, FIXED32) => message = message.get(4..)?,
            (_, LENGTH) => {
                let length = varint(&mut message)?;
                message = message.get(usize::try_from(length).ok()?..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_question_is_one_message_with_the_service_if_there_is_one() {
        assert_eq!(question(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(question("ab"), &b"\0\0\0\0\x04\x0a\x02ab"[..]);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 308);
    }

    #[test]
    fn only_an_answer_that_is_whole_and_says_serving_is_one() {
        let told = |status: Option<&'static str>, body: &[u8]| {
            let mut trailers = HeaderMap::new();
            if let Some(status) = status {
                trailers.insert("grpc-status", HeaderValue::from_static(status));
            }
            verdict(&trailers, body)
        };
        let ok = Some("0");
        assert_eq!(told(ok, b"\0\0\0\0\x02\x08\x01"), Ok(()));
        // An unknown field of each kind before it.
        let later = b"\0\0\0\0\x17\x10\x96\x01\x19abcdefgh\x25abcd\x32\x02hi\x08\x01";
        assert_eq!(later.len(), 5 + 0x17);
        assert_eq!(told(ok, later), Ok(()));
        for (status, body, why) in [
            (ok, &b"\0\0\0\0\x02\x08\x02"[..], "NOT_SERVING"),
            (ok, b"\0\0\0\0\0", "UNKNOWN"),
            (ok, b"\0\0\0\0\x02\x08\x09", "no known status"),
            (ok, b"", "no one message"),
            (ok, b"\x01\0\0\0\x02\x08\x01", "no one message"),
            (ok, b"\0\0\0\0\x03\x08\x01", "no one message"),
            (ok, b"\0\0\0\0\x01\x08", "no HealthCheckResponse"),
            (ok, b"\0\0\0\0\x02\x32\x7f", "no HealthCheckResponse"),
            (ok, b"\0\0\0\0\x01\x0b", "no HealthCheckResponse"),
            (Some("5"), b"\0\0\0\0\x02\x08\x01", "grpc-status 5"),
            (None, b"\0\0\0\0\x02\x08\x01", "without grpc-status"),
        ] {
            let told = told(status, body).unwrap_err();
            assert!(told.contains(why), "{body:?}: {told}");
        }
    }
}
