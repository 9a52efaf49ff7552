//! The head of a request as HTTP/2 has it.

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Uri};

use crate::message::body::is_expected;
use crate::message::depth::DEPTH;
use crate::message::fields::is_written_last;
use crate::message::headers;
use crate::upstream::error::SendError;
use crate::upstream::h1::Message;

/// What a field counts on top of its bytes.
const FIELD: usize = 32;

/// The head of a request whose body has this length, if it is known. Host becomes `:authority`, and framing is HTTP/2's
/// (RFC 9113, 8.2.2 and 8.3.1). Methods that usually carry a body announce an empty one (RFC 9110, section 8.6).
pub(super) fn request(
    message: Message<'_>,
    tls: bool,
    length: Option<u64>,
) -> Result<Request<()>, SendError> {
    let authority = message.host.map_or(&b""[..], HeaderValue::as_bytes);
    let uri = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query(message.path.clone())
        .build();
    let uri = match uri {
        Ok(uri) => uri,
        Err(error) => {
            let why = format!("the request has no URL: {error}");
            return Err(SendError::protocol(why));
        }
    };
    let mut request = Request::new(());
    *request.method_mut() = message.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = message.headers.clone();
    headers::remove_where(request.headers_mut(), is_written_last);
    if let Some(mark) = message.mark {
        request.headers_mut().insert(&DEPTH, mark.clone());
    }
    if let Some(length) = length
        && (length > 0 || is_expected(message.method))
    {
        let length = HeaderValue::from(length);
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    Ok(request)
}

/// The size of a list of fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113, section 6.5.2).
pub(super) fn length(request: &Request<()>) -> u64 {
    let uri = request.uri();
    let pseudo = [
        (7, request.method().as_str().len()),
        (7, uri.scheme_str().map_or(0, str::len)),
        (10, uri.authority().map_or(0, |it| it.as_str().len())),
        (5, uri.path_and_query().map_or(0, |it| it.as_str().len())),
    ];
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| (name.as_str().len(), value.len()));
    let all = pseudo.into_iter().chain(fields);
    all.map(|(name, value)| (name + value + FIELD) as u64).sum()
}
