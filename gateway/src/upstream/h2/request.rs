//! The head of a request as HTTP/2 has it.

use http::{HeaderValue, Request, Uri};
use http_body::Body as _;

use super::upload::Upload;
use crate::message::depth::DEPTH;
use crate::message::fields::is_written_last;
use crate::message::headers;
use crate::upstream::error::SendError;
use crate::upstream::h1::Message;

/// What a field counts on top of its bytes.
const FIELD: usize = 32;

/// The request as hyper sends it. Host becomes `:authority`, and framing is HTTP/2's (RFC 9113, 8.2.2 and 8.3.1).
pub(super) fn request(
    message: Message<'_>,
    tls: bool,
    body: Upload,
) -> Result<Request<Upload>, SendError> {
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
            return Err(SendError::protocol(why).with(Some(body.into_body())));
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = message.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = message.headers.clone();
    headers::remove_where(request.headers_mut(), is_written_last);
    if let Some(mark) = message.mark {
        request.headers_mut().insert(&DEPTH, mark.clone());
    }
    Ok(request)
}

/// The size of a list of fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113, section 6.5.2).
pub(super) fn length(request: &Request<Upload>) -> u64 {
    let uri = request.uri();
    let pseudo = [
        (7, request.method().as_str().len()),
        (7, uri.scheme_str().map_or(0, str::len)),
        (10, uri.authority().map_or(0, |it| it.as_str().len())),
        (5, uri.path_and_query().map_or(0, |it| it.as_str().len())),
    ];
    // Which hyper writes, with 20 digits at most.
    let content_length = Some((14, 20)).filter(|_| !request.body().is_end_stream());
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| (name.as_str().len(), value.len()));
    let all = pseudo.into_iter().chain(content_length).chain(fields);
    all.map(|(name, value)| (name + value + FIELD) as u64).sum()
}
