//! The endpoints of the admin listener.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::control::{Control, Missing, Turn};
use super::guard::{Denied, Guard, Rights};
use crate::message::text;

type Answer = Response<Full<Bytes>>;

const INDEX: &str = "\
GET  /                                     this list
GET  /livez                                200 while the process runs
GET  /readyz                               200 while the gateway takes traffic, else 503
GET  /metrics                              metrics, in the OpenMetrics text format
GET  /plugins                              plugins in force
GET  /config                               configuration in force, its secrets masked
GET  /routes                               routes in force
GET  /upstreams                            upstreams in force, and how their endpoints stand
GET  /upstreams/{name}                     one upstream
GET  /log                                  what the log lets through
PUT  /log                                  has it let through something else, until the next reload
POST /explain                              which route takes a request, and what becomes of it
POST /reload                               reload the configuration
POST /plugins/{name}/reload                reload one plugin from its file
POST /upstreams/{name}/{endpoint}/drain    send an endpoint no new requests
POST /upstreams/{name}/{endpoint}/restore  send it requests again
";

/// The most bytes of a body that is read.
const DESCRIPTION: usize = 64 * 1024;

/// How long one may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

#[derive(Debug)]
enum Endpoint {
    Index,
    Live,
    Ready,
    Metrics,
    Plugins,
    Config,
    Routes,
    Upstreams,
    Upstream(String),
    Turn(String, String, Turn),
    Log,
    Explain,
    Reload,
    ReloadPlugin(String),
}

/// Answers a request. A body is read where it is asked for: a description to be explained, and a filter of the log.
pub(super) async fn answer<
    B: Body<Error: std::error::Error + Send + Sync + 'static>,
    C: Control,
>(
    request: Request<B>,
    guard: &Guard,
    control: Arc<C>,
) -> Answer {
    let endpoint = Endpoint::of(request.uri().path());
    // Probes carry no credentials, and learn one bit.
    let rights = match endpoint {
        Some(Endpoint::Live | Endpoint::Ready) => Rights::Read,
        _ => match guard.check(&request) {
            Ok(rights) => rights,
            Err(denied) => return deny(&denied),
        },
    };
    let Some(endpoint) = endpoint else {
        return problem(StatusCode::NOT_FOUND, "no such endpoint; GET / lists them");
    };
    let allowed = endpoint.allowed();
    if !allowed.contains(request.method()) {
        let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
        let names = names.join(", ");
        let detail = format!("this endpoint takes {names}, not {}", request.method());
        let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, &detail);
        if let Ok(names) = HeaderValue::try_from(names) {
            answer.headers_mut().insert(ALLOW, names);
        }
        return answer;
    }
    if rights == Rights::Read && endpoint.changes(request.method()) {
        return read_only(guard);
    }
    match endpoint {
        Endpoint::Explain => read(request, |body| control.explain(body)).await,
        Endpoint::Log if request.method() == Method::PUT => {
            read(request, |body| control.set_log(body)).await
        }
        other => other.run(control).await,
    }
}

/// Reads the body, and answers what is made of it.
async fn read<B: Body<Error: std::error::Error + Send + Sync + 'static>>(
    request: Request<B>,
    make: impl FnOnce(&[u8]) -> Result<Value, String>,
) -> Answer {
    let body = request.into_body();
    let read = Limited::new(body, DESCRIPTION).collect();
    let Ok(read) = tokio::time::timeout(PATIENCE, read).await else {
        return problem(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        );
    };
    let made = match read {
        Ok(read) => make(&read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let most = DESCRIPTION >> 10;
            let detail = format!("the body is larger than {most} KiB, the most that is read");
            return problem(StatusCode::PAYLOAD_TOO_LARGE, &detail);
        }
        Err(error) => Err(format!("the body cannot be read: {error}")),
    };
    match made {
        Ok(made) => pretty(StatusCode::OK, JSON, &made),
        Err(fault) => problem(StatusCode::BAD_REQUEST, &fault),
    }
}

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Index,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/plugins" => Self::Plugins,
            "/config" => Self::Config,
            "/routes" => Self::Routes,
            "/upstreams" => Self::Upstreams,
            "/log" => Self::Log,
            "/explain" => Self::Explain,
            "/reload" => Self::Reload,
            _ => match path.strip_prefix("/upstreams/") {
                Some(rest) => Self::of_upstream(rest)?,
                None => {
                    let name = path.strip_prefix("/plugins/")?.strip_suffix("/reload")?;
                    Self::ReloadPlugin(decoded(name)?)
                }
            },
        })
    }

    /// What stands behind `/upstreams/`. A `/` of a name is encoded.
    fn of_upstream(rest: &str) -> Option<Self> {
        let mut segments = rest.split('/');
        let name = decoded(segments.next()?)?;
        let turn = match (segments.next(), segments.next(), segments.next()) {
            (None, ..) => return Some(Self::Upstream(name)),
            (Some(endpoint), Some("drain"), None) => (endpoint, Turn::Drain),
            (Some(endpoint), Some("restore"), None) => (endpoint, Turn::Restore),
            _ => return None,
        };
        Some(Self::Turn(name, decoded(turn.0)?, turn.1))
    }

    /// Whether a request with this method changes something.
    fn changes(&self, method: &Method) -> bool {
        match self {
            Self::Log => *method == Method::PUT,
            _ => matches!(self, Self::Reload | Self::ReloadPlugin(_) | Self::Turn(..)),
        }
    }

    fn allowed(&self) -> &'static [Method] {
        match self {
            Self::Explain | Self::Reload | Self::ReloadPlugin(_) | Self::Turn(..) => {
                &[Method::POST]
            }
            Self::Log => &[Method::GET, Method::HEAD, Method::PUT],
            _ => &[Method::GET, Method::HEAD],
        }
    }

    async fn run<C: Control>(self, control: Arc<C>) -> Answer {
        match self {
            Self::Index => reply(StatusCode::OK, TEXT, INDEX),
            Self::Live => reply(StatusCode::OK, TEXT, "ok\n"),
            Self::Ready if control.ready() => reply(StatusCode::OK, TEXT, "ready\n"),
            Self::Ready => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
            Self::Metrics => reply(StatusCode::OK, METRICS, control.metrics()),
            Self::Plugins => pretty(StatusCode::OK, JSON, &control.plugins()),
            Self::Config => pretty(StatusCode::OK, JSON, &control.config()),
            Self::Routes => pretty(StatusCode::OK, JSON, &control.routes()),
            Self::Log => pretty(StatusCode::OK, JSON, &control.log()),
            Self::Upstreams => pretty(StatusCode::OK, JSON, &control.upstreams()),
            Self::Upstream(name) => match control.upstream(&name) {
                Some(upstream) => pretty(StatusCode::OK, JSON, &upstream),
                None => missing(Missing::Upstream, &name, ""),
            },
            Self::Turn(name, endpoint, turn) => match control.turn(&name, &endpoint, turn) {
                Ok(turned) => pretty(StatusCode::OK, JSON, &turned),
                Err(what) => missing(what, &name, &endpoint),
            },
            // It has a body, and its own way.
            Self::Explain => problem(StatusCode::BAD_REQUEST, "send what to explain"),
            Self::Reload => outcome(
                to_end(async move { Some(control.reload().await) }).await,
                "",
            ),
            Self::ReloadPlugin(name) => {
                let asked = name.clone();
                outcome(
                    to_end(async move { control.reload_plugin(&asked).await }).await,
                    &name,
                )
            }
        }
    }
}

/// A name that is one segment of a path.
fn decoded(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}

fn missing(what: Missing, upstream: &str, endpoint: &str) -> Answer {
    let detail = match what {
        Missing::Upstream => {
            format!("no upstream is named \"{upstream}\"; GET /upstreams lists them")
        }
        Missing::Endpoint => format!(
            "the upstream \"{upstream}\" has no endpoint \"{endpoint}\"; GET /upstreams lists them"
        ),
    };
    problem(StatusCode::NOT_FOUND, &detail)
}

type Outcome = Option<Result<Value, Value>>;

/// Runs a reload to its end even if the client goes away in the middle. None: it panicked.
async fn to_end(reload: impl Future<Output = Outcome> + Send + 'static) -> Option<Outcome> {
    tokio::spawn(reload)
        .await
        .inspect_err(|error| tracing::error!(%error, "admin: a reload did not end"))
        .ok()
}

fn outcome(outcome: Option<Outcome>, plugin: &str) -> Answer {
    match outcome {
        Some(Some(Ok(done))) => pretty(StatusCode::OK, JSON, &done),
        Some(Some(Err(reasons))) => pretty(StatusCode::CONFLICT, JSON, &reasons),
        Some(None) => problem(
            StatusCode::NOT_FOUND,
            &format!("no plugin is named \"{plugin}\"; GET /plugins lists them"),
        ),
        None => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the reload did not end; see the log",
        ),
    }
}

fn deny(denied: &Denied) -> Answer {
    match denied {
        Denied::Token => {
            let mut answer = problem(
                StatusCode::UNAUTHORIZED,
                "send the admin token as Authorization: Bearer",
            );
            let challenge = HeaderValue::from_static("Bearer realm=\"gateway admin\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            answer
        }
        Denied::Host => problem(
            StatusCode::FORBIDDEN,
            "without admin.token, Host must be localhost or a loopback address",
        ),
        Denied::Origin => problem(
            StatusCode::FORBIDDEN,
            "without admin.token, a request that may change something must not carry Origin",
        ),
    }
}

/// The answer to who may read and wants to change something (RFC 6750, section 3.1).
fn read_only(guard: &Guard) -> Answer {
    let detail = match guard.has_writers() {
        true => "admin.read_token is for reading; what changes something needs admin.token",
        false => {
            "admin.read_token is for reading, and there is no admin.token, with which something could be changed"
        }
    };
    let mut answer = problem(StatusCode::FORBIDDEN, detail);
    let challenge = "Bearer realm=\"gateway admin\", error=\"insufficient_scope\"";
    let challenge = HeaderValue::from_static(challenge);
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or_default();
    pretty(
        status,
        PROBLEM,
        &json!({ "title": title, "status": status.as_u16(), "detail": detail }),
    )
}

fn pretty(status: StatusCode, kind: &'static str, value: &Value) -> Answer {
    // Names and texts in it may be of others.
    reply(status, kind, text::json(format!("{value:#}\n")))
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let fields: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    answer
        .headers_mut()
        .extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}
