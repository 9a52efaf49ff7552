//! `upstream`: sub-requests to the upstreams that the configuration grants.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio_util::task::AbortOnDropHandle;

use super::under_way::{Ended, Fetch};
use crate::exchange;
use crate::message::depth::MAX_DEPTH;
use crate::message::fields::is_own;
use crate::message::headers::X_REQUEST_ID;
use crate::message::path::{self, PathParameters};
use crate::plugin::host::bindings::gateway::plugin::types::{Header, Response};
use crate::plugin::host::bindings::gateway::plugin::upstream::{Error, Request};
use crate::plugin::host::guest::Guest;
use crate::upstream::{Asked, FetchError, SubRequest, fetch};

/// Sub-requests of one `send-all` or `start-all`.
const AT_ONCE: usize = 64;

/// W3C Trace Context.
static TRACE: [HeaderName; 2] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

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
        let started = self.start_each(requests);
        let mut answers = Vec::with_capacity(started.len());
        for started in started {
            answers.push(self.finish(started).await);
        }
        Ok(answers)
    }

    pub(super) fn start_all(&mut self, requests: Vec<Request>) -> wasmtime::Result<()> {
        self.budget.host_call()?;
        self.under_way.give_up();
        let started = self.start_each(requests);
        self.under_way.keep(started);
        Ok(())
    }

    pub(super) async fn next_answer(
        &mut self,
    ) -> wasmtime::Result<Option<(u32, Result<Response, Error>)>> {
        self.budget.host_call()?;
        let Some((place, ended)) = self.under_way.next().await else {
            return Ok(None);
        };
        // A list of a guest has 32 bits.
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Ok(Some((place, self.conclude(ended))))
    }
}

impl Guest {
    /// Sets as many sub-requests going as there may be at once.
    fn start_each(&self, requests: Vec<Request>) -> Vec<Result<Fetch, Error>> {
        let too_many = || Error::Protocol(format!("more than {AT_ONCE} requests at once"));
        let requests = requests.into_iter().enumerate();
        requests
            .map(|(index, request)| match index < AT_ONCE {
                true => self.start(request),
                false => Err(too_many()),
            })
            .collect()
    }

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
                "upstreams",
                Some(&name),
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
        let parameters = exchange.route.config.overrides.paths.parameters;
        let mut request = translate(request, parameters)?;
        relate(request.headers_mut(), exchange);
        let asked = || Asked {
            headers: request.headers(),
            query: request.uri().query().unwrap_or_default(),
            client: exchange.client.address,
        };
        let key = upstream.key(asked, |name| exchange.attributes.get(name));
        let sub = SubRequest {
            upstream,
            key,
            request,
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
        let ended = match started {
            Ok(fetch) => Ok(fetch.await),
            Err(error) => Err(error),
        };
        self.conclude(ended)
    }

    /// The answer to a sub-request that ended, or was never sent.
    fn conclude(&mut self, ended: Result<Ended, Error>) -> Result<Response, Error> {
        let fetched = match ended? {
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

/// Has a sub-request say which exchange it is made for: by its id, and by the trace that it is part of. What the plugin
/// says itself stays.
fn relate(fields: &mut HeaderMap, exchange: &exchange::Parts) {
    // Where there is no room for them, the plugin's own fields come first.
    if !fields.contains_key(X_REQUEST_ID) {
        let _full = fields.try_append(X_REQUEST_ID, exchange.client.id.clone());
    }
    if TRACE.iter().any(|name| fields.contains_key(name)) {
        return;
    }
    for name in &TRACE {
        for value in exchange.request.headers.get_all(name) {
            let _full = fields.try_append(name, value.clone());
        }
    }
}

fn translate(request: Request, parameters: PathParameters) -> Result<http::Request<Bytes>, Error> {
    let malformed =
        |what: &str| Error::Protocol(format!("{what} of the sub-request is not well formed"));
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|_| malformed("the method"))?;
    if method == Method::CONNECT {
        return Err(Error::Protocol(
            "CONNECT is not for sub-requests".to_owned(),
        ));
    }
    let path = path::of_sub_request(request.path, parameters)
        .map_err(|unfit| Error::Protocol(format!("no sub-request goes there: {unfit}")))?;
    let mut out = http::Request::new(Bytes::from(request.body));
    *out.method_mut() = method;
    *out.uri_mut() = Uri::from(path);
    if let Some(host) = &request.host {
        let host = path::of_sub_request_host(host).map_err(|_| malformed("the host"))?;
        out.headers_mut().insert(HOST, host);
    }
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
            FetchError::Timeout | FetchError::ConnectTimeout(_) => Self::Timeout,
            FetchError::Connect(text) | FetchError::NoEndpoint(text) => Self::Connect(text),
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
            let request = Request {
                upstream: "a".to_owned(),
                method: "GET".to_owned(),
                path: path.to_owned(),
                host: None,
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: None,
            };
            translate(request, PathParameters::Refuse)
        };
        assert_eq!(ask("/a%2Fb?c=../d").unwrap().uri(), "/a%2Fb?c=../d");
        assert!(matches!(ask("/users/..%2Fadmin"), Err(Error::Protocol(_))));
    }

    #[test]
    fn the_host_of_a_sub_request_is_one_and_comes_from_its_own_field_alone() {
        let ask = |host: &str| {
            let request = Request {
                upstream: "a".to_owned(),
                method: "GET".to_owned(),
                path: "/".to_owned(),
                host: Some(host.to_owned()),
                headers: vec![Header {
                    name: "host".to_owned(),
                    value: b"other".to_vec(),
                }],
                body: Vec::new(),
                timeout_ms: None,
            };
            translate(request, PathParameters::Refuse)
        };
        for host in ["a.example", "a.example:81", "[::1]:81"] {
            assert_eq!(ask(host).unwrap().headers()[HOST], host);
        }
        for odd in ["", "a b", "me@a", "a/b", "a\r\nx: y", "a:99999999"] {
            assert!(matches!(ask(odd), Err(Error::Protocol(_))), "{odd}");
        }
    }
}
