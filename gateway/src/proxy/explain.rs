//! What becomes of a request, told without sending it: by the judges that the request itself would meet.
//!
//! Plugins do not run: what they change or answer is not known here, and the explanation says so.

mod asked;
mod behaves;
mod copies;
mod goes;
mod shown;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, VIA};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
use serde::Serialize;

use super::admit;
use super::normalise::{self, Refusal};
use crate::config::{self, Config, Listener};
use crate::message::fields;
use crate::message::headers;
use crate::message::names::UnusualNames;
use crate::message::path::PathRules;
use crate::message::peer::Address;
use crate::route::links::{self, Explained};
use crate::route::{self, Decision, Moment, Router, Split, Subject, Unmet};
use crate::server::tls;

pub use asked::Asked;
pub use behaves::Behaves;
pub use copies::Copies;
use goes::{ANY_ID, Request, text};
pub use goes::{Goes, Refused, Share};

/// What becomes of it.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The listener.
    pub listener: String,
    /// The client's address, trusted proxies looked through.
    pub client: Address,
    /// As routes see it; none where it cannot be read.
    pub request: Option<Normalised>,
    /// What of it no server would get.
    pub dropped: Option<String>,
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
        dropped: asked.fragment.map(|fragment| {
            format!("`#{fragment}` stays with the client: a fragment is never sent (RFC 9110, section 4.2.5)")
        }),
        refused: None,
        route: None,
        nearer: Vec::new(),
    };
    let path = asked.uri.path_and_query().cloned();
    let uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let method = asked.method;
    let target = normalise::target(&method, &uri, &headers, Version::HTTP_11, identity.secure);
    let admitted = target.and_then(|target| {
        let announced = announced(&headers)?;
        let mut request = Request {
            method,
            target,
            headers,
            identity,
            peer: asked.peer,
            announced,
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

/// The size of the body that a request says it has.
fn announced(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(admit::AMBIGUOUS);
    }
    let digits = value.to_str().ok();
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let is_one = values.all(|other| other == value);
    let length = digits.filter(|_| is_one).and_then(|text| text.parse().ok());
    length.map(Some).ok_or(Refusal {
        status: StatusCode::BAD_REQUEST,
        reason: "Content-Length is no number",
    })
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
        let peer = headers::address_value(self.peer);
        let (secure, from) = (listener.tls.is_some(), listener.client_from);
        headers::forward(
            fields,
            peer.as_ref(),
            secure,
            &self.target.authority,
            identity,
            from,
        );
        if let Some(via) = &listener.via {
            fields.append(VIA, via.value(Version::HTTP_11));
        }
        fields.insert(headers::X_REQUEST_ID, ANY_ID.clone());
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
            let route: &config::Route = (**candidate).as_ref();
            let Some(because) = misses(config, route, subject) else {
                let taken = route.overrides.paths.take(self.target.special);
                let taken = taken.map_err(Refused::from);
                match taken.and_then(|()| self.fits(&config.listeners[listener], route)) {
                    Ok(()) => explanation.route = Some(self.chosen(config, route, subject)),
                    Err(refused) => explanation.refused = Some(refused),
                }
                return;
            };
            explanation.nearer.push(Nearer {
                route: route.name.to_string(),
                place: route.place.clone(),
                because,
            });
        }
        explanation.refused = Some(match PathRules::default().take(self.target.special) {
            Err(unfit) => unfit.into(),
            Ok(()) => Refused {
                status: StatusCode::NOT_FOUND.as_u16(),
                reason: "no route matches this request".to_owned(),
            },
        });
    }

    /// Whether the body that is announced is within the limit of the route, or of its listener.
    fn fits(&self, listener: &Listener, route: &config::Route) -> Result<(), Refused> {
        let limit = route.overrides.body.unwrap_or(listener.limits.body);
        match self.announced {
            Some(length) if limit != 0 && length > limit => Err(Refused {
                status: StatusCode::PAYLOAD_TOO_LARGE.as_u16(),
                reason: format!(
                    "the request body has {length} bytes, and `limits.body` of the route `{}` is {limit}",
                    route.name
                ),
            }),
            _ => Ok(()),
        }
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
            target: self.goes(config, in_force, &parameters),
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
