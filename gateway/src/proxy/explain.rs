//! What becomes of a request, told without sending it: by the judges that the request itself would meet.
//!
//! Plugins do not run: what they change or answer is not known here, and the explanation says so.

mod asked;
mod copies;
mod refused;
mod shown;

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{HOST, VIA};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use serde::Serialize;

use super::admit;
use super::normalise::{self, Refusal, Target};
use crate::config::{self, Config, HostRewrite, Listener};
use crate::message::fields;
use crate::message::headers::{self, Identity};
use crate::message::names::UnusualNames;
use crate::message::path::EncodedSlashes;
use crate::route::links::{self, Explained};
use crate::route::{self, Decision, Moment, Router, Split, Subject, Unmet, rewrite};
use crate::server::tls;
use crate::upstream::Message;

pub use asked::Asked;
pub use copies::Copies;
pub use refused::Refused;

/// Stands for the `x-request-id` that each request gets.
const ANY_ID: HeaderValue = HeaderValue::from_static("(one for each request)");

/// What becomes of it.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The listener.
    pub listener: String,
    /// The client's address, trusted proxies looked through.
    pub client: IpAddr,
    /// As routes see it; none where it cannot be read.
    pub request: Option<Normalised>,
    /// Why it goes no further.
    pub refused: Option<Refused>,
    /// The route that takes it.
    pub route: Option<Chosen>,
    /// The routes before that one whose host and path match, the nearest first.
    pub nearer: Vec<Nearer>,
}

/// A request as routes see it.
#[derive(Debug, Serialize)]
pub struct Normalised {
    /// The method.
    pub method: String,
    /// As the client sees it: `http` or `https`.
    pub scheme: &'static str,
    /// Host and port.
    pub host: String,
    /// Path and query.
    pub path: String,
}

/// A route that a request does not take.
#[derive(Debug, Serialize)]
pub struct Nearer {
    /// Its name.
    pub route: String,
    /// `file:line`.
    pub place: String,
    /// The first predicate that fails.
    pub because: String,
}

/// The route that takes the request, and what it does.
#[derive(Debug, Serialize)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// The parameters of host and path.
    pub parameters: Vec<(String, String)>,
    /// The arm of its split that takes the request; none where it has none, or the arms take turns.
    pub arm: Option<Taken>,
    /// The plugins, in order.
    pub chain: Vec<Explained>,
    /// Where it goes if no plugin answers or leads elsewhere.
    pub target: Goes,
}

/// An arm of a split.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// Why the request goes there.
    pub because: &'static str,
}

/// What one arm of a split gets.
#[derive(Debug, Serialize)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// Its weight, of those of all arms together.
    pub weight: u32,
    /// Where its requests go.
    pub target: Goes,
}

/// Where a request goes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goes {
    /// To an upstream, with this head: as it leaves if no plugin edits it.
    Upstream {
        /// Its name.
        upstream: String,
        /// Its endpoints.
        endpoints: Vec<String>,
        /// The head, a line each.
        request: Vec<String>,
        /// Where copies of it go.
        copies: Vec<Copies>,
    },
    /// The gateway answers.
    Answer {
        /// `respond` or `redirect`.
        by: &'static str,
        /// The status.
        status: u16,
    },
    /// To one of the arms of a split, as they take turns by weight.
    Turns(Vec<Share>),
    /// Nowhere: where no plugin answers, 404.
    Plugins,
    /// Nowhere: what the route makes of the request may not leave.
    Refused(Refused),
}

/// Says what becomes of a request.
pub fn explain<R: AsRef<config::Route>>(
    config: &Config,
    router: &Router<R>,
    asked: Asked,
) -> Explanation {
    let listener = &config.listeners[asked.listener];
    let mut headers = asked.headers;
    if let (None, Some(authority)) = (headers.get(HOST), asked.uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    headers::join_cookies(&mut headers);
    let secure = listener.tls.is_some();
    let identity = headers::client(&headers, asked.peer, secure, listener.believed());
    let mut explanation = Explanation {
        listener: listener.name.to_string(),
        client: identity.address,
        request: None,
        refused: None,
        route: None,
        nearer: Vec::new(),
    };
    let path = asked.uri.path_and_query().cloned();
    let uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let method = asked.method;
    let target = normalise::target(&method, &uri, &headers, Version::HTTP_11, identity.secure);
    let admitted = target.and_then(|target| {
        let mut request = Request {
            method,
            target,
            headers,
            identity,
            peer: asked.peer,
        };
        explanation.request = Some(request.normalised());
        request.admit(listener)?;
        Ok(request)
    });
    match admitted {
        Ok(request) => request.route(config, router, asked.listener, &mut explanation),
        Err(refusal) => explanation.refused = Some(refusal.into()),
    }
    explanation
}

/// A request whose target is sound.
struct Request {
    method: Method,
    target: Target,
    headers: HeaderMap,
    identity: Identity,
    peer: IpAddr,
}

impl Request {
    fn normalised(&self) -> Normalised {
        Normalised {
            method: self.method.to_string(),
            scheme: match self.identity.secure {
                true => "https",
                false => "http",
            },
            host: text(&self.target.authority).into_owned(),
            path: self.target.path.to_string(),
        }
    }

    /// As `proxy::admit`: what does not pass goes, and what tells who asks comes.
    fn admit(&mut self, listener: &Listener) -> Result<(), Refusal> {
        if self.headers.len() > listener.limits.header_count {
            return Err(admit::TOO_MANY_FIELDS);
        }
        let seen = headers::strip_request(&mut self.headers);
        if seen.unusual && listener.unusual_names != UnusualNames::Keep {
            if listener.unusual_names == UnusualNames::Refuse {
                return Err(admit::UNUSUAL_NAME);
            }
            headers::remove_where(&mut self.headers, |name| !fields::is_usual(name.as_str()));
        }
        let (fields, identity) = (&mut self.headers, &self.identity);
        match identity.trusted {
            true => headers::keep_believed(fields, self.peer, identity, listener.believed()),
            false => headers::forget_client(fields),
        }
        headers::end(fields);
        let peer = HeaderValue::try_from(self.peer.to_canonical().to_string());
        let peer = peer.expect("an address is a field value");
        let (secure, from) = (listener.tls.is_some(), listener.client_from);
        headers::forward(
            fields,
            &peer,
            secure,
            &self.target.authority,
            identity,
            from,
        );
        if let Some(via) = &listener.via {
            fields.append(VIA, via.value(Version::HTTP_11));
        }
        fields.insert(&headers::X_REQUEST_ID, ANY_ID);
        let authority = text(&self.target.authority);
        let host = headers::host_of(&authority);
        let covers = |certificate: &config::Certificate| {
            let mut names = certificate.names.iter();
            names.any(|name| tls::name_covers(name, &host))
        };
        match &listener.tls {
            Some(tls) if !tls.certificates.iter().any(covers) => Err(admit::MISDIRECTED),
            _ => Ok(()),
        }
    }

    fn route<R: AsRef<config::Route>>(
        self,
        config: &Config,
        router: &Router<R>,
        listener: usize,
        explanation: &mut Explanation,
    ) {
        let authority = text(&self.target.authority);
        let host = headers::host_of(&authority);
        let path = &self.target.path;
        let moment = Moment::default();
        let subject = Subject {
            listener,
            host: &host,
            path: path.path(),
            query: path.query().unwrap_or_default(),
            method: &self.method,
            headers: &self.headers,
            client: self.identity.address,
            moment: &moment,
            params: &[],
        };
        for candidate in router.candidates(subject) {
            let route: &config::Route = (**candidate.route).as_ref();
            let Some(because) = misses(config, route, subject) else {
                match self.target.has_slash
                    && route.overrides.encoded_slashes != EncodedSlashes::Keep
                {
                    true => explanation.refused = Some(Refused::encoded_slash()),
                    false => explanation.route = Some(self.chosen(config, route, subject)),
                }
                return;
            };
            explanation.nearer.push(Nearer {
                route: route.name.to_string(),
                place: route.place.clone(),
                because,
            });
        }
        explanation.refused = Some(match self.target.has_slash {
            true => Refused::encoded_slash(),
            false => Refused {
                status: StatusCode::NOT_FOUND.as_u16(),
                reason: "no route matches this request".to_owned(),
            },
        });
    }

    fn chosen(&self, config: &Config, route: &config::Route, subject: Subject<'_>) -> Chosen {
        let parameters = route::params(&route.matcher, subject.host, subject.path);
        let params = &parameters;
        let subject = Subject { params, ..subject };
        let arm = arm(route, subject);
        let own = arm.as_ref().map(|(arm, _)| route.for_arm(arm));
        let in_force = own.as_ref().unwrap_or(route);
        Chosen {
            name: route.name.to_string(),
            place: route.place.clone(),
            chain: links::explain(&in_force.plugins, subject),
            target: self.goes(config, in_force),
            arm: arm.map(|(arm, because)| Taken {
                name: arm.name.to_string(),
                because,
            }),
            parameters: parameters
                .into_iter()
                .map(|(name, value)| (name.to_string(), value))
                .collect(),
        }
    }

    fn goes(&self, config: &Config, route: &config::Route) -> Goes {
        let upstream = match &route.target {
            config::Target::Upstream(upstream) => upstream,
            config::Target::Respond(respond) => {
                let status = respond.status.as_u16();
                return Goes::Answer {
                    by: "respond",
                    status,
                };
            }
            config::Target::Redirect(redirect) => {
                let status = redirect.status.as_u16();
                return Goes::Answer {
                    by: "redirect",
                    status,
                };
            }
            config::Target::Split(split) => {
                let share = |arm: &config::Arm| Share {
                    name: arm.name.to_string(),
                    weight: arm.weight,
                    target: self.goes(config, &route.for_arm(arm)),
                };
                return Goes::Turns(split.arms.iter().map(share).collect());
            }
            config::Target::Plugins => return Goes::Plugins,
        };
        let (name, upstream) = config
            .upstreams
            .get_index(upstream.0)
            .expect("the loader resolved every name");
        let path = match rewrite::path(
            &route.rewrite.path,
            &self.target.path,
            route.overrides.encoded_slashes,
        ) {
            Ok(path) => path,
            Err(astray) => {
                return Goes::Refused(Refused {
                    status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
                    reason: astray.to_string(),
                });
            }
        };
        let endpoints = upstream.endpoints.iter();
        let endpoints: Vec<_> = endpoints.map(|it| it.target.to_string()).collect();
        let own =
            HeaderValue::try_from(endpoints.join(" or ")).expect("addresses are a field value");
        let path = path.as_ref().unwrap_or(&self.target.path);
        let message = Message::new(&self.method, path, &self.headers);
        let host = match &route.rewrite.host {
            HostRewrite::Upstream => &own,
            HostRewrite::Preserve => &self.target.authority,
            HostRewrite::Name(name) => name,
        };
        let head = message.head(host);
        Goes::Upstream {
            upstream: name.to_string(),
            request: head.lines().map(str::to_owned).collect(),
            copies: copies::of(config, route),
            endpoints,
        }
    }
}

/// Why a route whose host and path match does not take a request; none where it does.
fn misses(config: &Config, route: &config::Route, subject: Subject<'_>) -> Option<String> {
    if !route.listeners.is_empty() && !route.listeners.contains(&subject.listener) {
        let names = route
            .listeners
            .iter()
            .map(|index| &*config.listeners[*index].name);
        return Some(format!(
            "it serves on {} alone",
            names.collect::<Vec<_>>().join(" and ")
        ));
    }
    Unmet::first_of_route(&route.matcher, subject).map(|unmet| unmet.to_string())
}

/// The arm of a split that a request goes to whenever it comes, and why.
fn arm<'a>(
    route: &'a config::Route,
    subject: Subject<'_>,
) -> Option<(&'a config::Arm, &'static str)> {
    let config::Target::Split(split) = &route.target else {
        return None;
    };
    match Split::new(&route.name, split.clone(), 1).decide(subject) {
        Decision::Override(arm) => Some((&split.arms[arm], "its `match` holds")),
        Decision::Key(arm) => Some((&split.arms[arm], "`split_on` leads this client there")),
        Decision::Turn => None,
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
