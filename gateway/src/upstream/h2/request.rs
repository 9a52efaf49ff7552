//! The head of a request as HTTP/2 has it.

use http::{HeaderValue, Request, Uri};

use super::upload::Upload;
use crate::message::depth::DEPTH;
use crate::message::fields::is_written_last;
use crate::message::headers;
use crate::upstream::error::SendError;
use crate::upstream::h1::Message;

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
