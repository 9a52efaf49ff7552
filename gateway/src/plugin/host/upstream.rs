//! `upstream`: sub-requests to the upstreams that the configuration grants.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use tokio_util::task::AbortOnDropHandle;

use crate::message::depth::MAX_DEPTH;
use crate::message::fields::is_own;
use crate::message::path;
use crate::plugin::host::bindings::gateway::plugin::types::{Header, Response};
use crate::plugin::host::bindings::gateway::plugin::upstream::{Error, Request};
use crate::plugin::host::guest::Guest;
use crate::upstream::{FetchError, SubRequest, fetch};

/// Sub-requests of one `send-all`.
const AT_ONCE: usize = 64;

type Fetch = AbortOnDropHandle<Result<http::Response<Bytes>, FetchError>>;

impl Guest {
    pub(super) async fn send(
        &mut self,
        request: Request,
    ) -> wasmtime::Result<Result<Response, Error>> {
        self.budget.host_call()?;
        let started = self.start(request);
        Ok(self.finish(started).await)
    }

    pub(super) async fn send_all(
        &mut self,
        requests: Vec<Request>,
    ) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        self.budget.host_call()?;
        let mut started = Vec::with_capacity(requests.len().min(AT_ONCE));
        for (index, request) in requests.into_iter().enumerate() {
            started.push(if index < AT_ONCE {
                self.start(request)
            } else {
                Err(Error::Protocol(format!(
                    "more than {AT_ONCE} requests at once"
                )))
            });
        }
        let mut answers = Vec::with_capacity(started.len());
        for started in started {
            answers.push(self.finish(started).await);
        }
        Ok(answers)
    }
}

impl Guest {
    /// Sets a sub-request going on this worker. It ends when its handle is dropped.
    fn start(&self, request: Request) -> Result<Fetch, Error> {
        let exchange = self.exchange.get().ok_or(Error::Denied)?;
        if !self
            .shared
            .plugin
            .grants
            .upstreams
            .iter()
            .any(|granted| **granted == *request.upstream)
        {
            let name = self.shown(&request.upstream);
            self.deny(
                "upstream",
                format_args!("it sends a sub-request to the upstream {name}"),
                format_args!("upstreams = [{name}]"),
            );
            return Err(Error::Denied);
        }
        let view = &exchange.view;
        let upstream = view
            .upstream_named(&request.upstream)
            .map(|id| view.upstream(id).clone())
            .ok_or(Error::UnknownUpstream)?;
        let latest = self.call_deadline();
        let deadline = request.timeout_ms.map_or(latest, |ms| {
            latest.min(Instant::now() + Duration::from_millis(ms.into()))
        });
        let sub = SubRequest {
            upstream,
            request: translate(request)?,
            depth: exchange.client.depth,
            body_limit: self.shared.plugin.body_limit,
            deadline,
            span: exchange.span.clone(),
        };
        // A fetch belongs to this worker, whose sockets no other thread may touch; the guest's call may move.
        let fetching = tokio::task::spawn_local(fetch(view.client.clone(), sub));
        Ok(AbortOnDropHandle::new(fetching))
    }

    async fn finish(&mut self, started: Result<Fetch, Error>) -> Result<Response, Error> {
        let fetched = match started?.await {
            Ok(fetched) => fetched,
            Err(error) => {
                let text = format!("the sub-request broke off: {error}");
                return Err(Error::Protocol(text));
            }
        };
        if let Err(FetchError::LoopDetected(upstream)) = &fetched {
            self.looped = true;
            let what = format_args!(
                "it sends a sub-request to the upstream {upstream:?} that goes in a circle of gateways, deeper than {MAX_DEPTH}"
            );
            self.forbid("depth", what);
        }
        let answer = answer(fetched?);
        self.budget.hold(answer.body.len());
        Ok(answer)
    }
}

fn answer(response: http::Response<Bytes>) -> Response {
    let (head, body) = response.into_parts();
    let headers = head
        .headers
        .iter()
        .filter(|(name, _)| !is_own(name.as_str()))
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        })
        .collect();
    Response {
        status: head.status.as_u16(),
        headers,
        body: body.into(),
    }
}

fn translate(request: Request) -> Result<http::Request<Bytes>, Error> {
    let malformed =
        |what: &str| Error::Protocol(format!("{what} of the sub-request is not well formed"));
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|_| malformed("the method"))?;
    if method == Method::CONNECT {
        return Err(Error::Protocol(
            "CONNECT is not for sub-requests".to_owned(),
        ));
    }
    let path = path::of_sub_request(request.path)
        .map_err(|unfit| Error::Protocol(format!("no sub-request goes there: {unfit}")))?;
    let mut out = http::Request::new(Bytes::from(request.body));
    *out.method_mut() = method;
    *out.uri_mut() = Uri::from(path);
    for Header { name, value } in request.headers {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed("a field name"))?;
        if is_own(name.as_str()) {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| malformed("a field value"))?;
        out.headers_mut()
            .try_append(name, value)
            .map_err(|_| malformed("the number of fields"))?;
    }
    Ok(out)
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Timeout => Self::Timeout,
            FetchError::Connect(text) => Self::Connect(text),
            FetchError::TooLarge => Self::BodyTooLarge,
            FetchError::Protocol(text) => Self::Protocol(text),
            FetchError::LoopDetected(_) => Self::LoopDetected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_sub_request_stays_where_the_plugin_put_it() {
        let ask = |path: &str| {
            translate(Request {
                upstream: "a".to_owned(),
                method: "GET".to_owned(),
                path: path.to_owned(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: None,
            })
        };
        assert_eq!(ask("/a%2Fb?c=../d").unwrap().uri(), "/a%2Fb?c=../d");
        assert!(matches!(ask("/users/..%2Fadmin"), Err(Error::Protocol(_))));
    }
}
