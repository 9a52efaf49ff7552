//! Where a request goes, and what the gateway answers itself.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::behaves::{self, Behaves};
use super::copies::{self, Copies};
use crate::config::{self, Config, HostRewrite};
use crate::error::Error;
use crate::message::headers::Identity;
use crate::message::path::Unfit;
use crate::message::peer::Address;
use crate::proxy::fill::Values;
use crate::proxy::normalise::{Refusal, Target};
use crate::proxy::redirect::location_of;
use crate::proxy::respond::filled;
use crate::route::rewrite;
use crate::upstream::Message;

/// Stands for the `x-request-id` that each request gets.
pub(super) static ANY_ID: HeaderValue = HeaderValue::from_static("(one for each request)");

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
        /// How it is spread, repeated and held back.
        #[serde(flatten)]
        behaves: Behaves,
        /// Where copies of it go.
        copies: Vec<Copies>,
    },
    /// The gateway answers.
    Answer {
        /// `respond` or `redirect`.
        by: &'static str,
        /// The status.
        status: u16,
        /// The fields that the route has for it, a line each.
        fields: Vec<String>,
    },
    /// To one of the arms of a split, as they take turns by weight.
    Turns(Vec<Share>),
    /// Nowhere: where no plugin answers, 404.
    Plugins,
    /// Nowhere: what the route makes of the request may not leave.
    Refused(Refused),
}

/// An answer of the gateway's own for a request that it refuses.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// Its status.
    pub status: u16,
    /// Why.
    pub reason: String,
}

/// A request whose target is sound.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) identity: Identity,
    pub(super) peer: Address,
    /// `content-length`.
    pub(super) announced: Option<u64>,
}

/// The parameters of a route, by name.
type Params = [(Arc<str>, String)];

impl Request {
    /// Where it goes by a route, or by an arm of its own.
    pub(super) fn goes(&self, config: &Config, route: &config::Route, params: &Params) -> Goes {
        let answered = match &route.target {
            config::Target::Upstream(upstream) => return self.sent(config, route, *upstream),
            config::Target::Split(split) => {
                let share = |arm: &config::Arm| Share {
                    name: arm.name.to_string(),
                    weight: arm.weight,
                    target: self.goes(config, &route.for_arm(arm), params),
                };
                return Goes::Turns(split.arms.iter().map(share).collect());
            }
            config::Target::Plugins => return Goes::Plugins,
            config::Target::Respond(configured) => {
                let answer = filled(configured, self.values(params));
                answer.map(|answer| ("respond", configured.status, answer.head.headers))
            }
            config::Target::Redirect(configured) => {
                let location = location_of(configured, self.values(params), self.identity.secure);
                let headers = location.map(|to| HeaderMap::from_iter([(LOCATION, to)]));
                headers.map(|headers| ("redirect", configured.status, headers))
            }
        };
        match answered {
            Ok((by, status, headers)) => Goes::Answer {
                by,
                status: status.as_u16(),
                fields: headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", text(value)))
                    .collect(),
            },
            Err(error) => Goes::Refused(Refused::by(route, &error)),
        }
    }

    /// What fills the holes of an answer.
    fn values<'a>(&'a self, params: &'a Params) -> Values<'a> {
        Values {
            params,
            authority: &self.target.authority,
            method: &self.method,
            path: &self.target.path,
            address: self.identity.address,
            id: &ANY_ID,
            fields: &self.headers,
        }
    }

    fn sent(&self, config: &Config, route: &config::Route, upstream: config::UpstreamId) -> Goes {
        let (name, upstream) = config
            .upstreams
            .get_index(upstream.0)
            .expect("the loader resolved every name");
        let (rule, rules) = (&route.rewrite.path, route.overrides.paths);
        let path = match rewrite::path(rule, &self.target.path, rules) {
            Ok(path) => path,
            Err(astray) => {
                let error = Error::BadRewrite(astray.to_string());
                return Goes::Refused(Refused::by(route, &error));
            }
        };
        let own = HeaderValue::try_from(upstream.hosts()).expect("hosts are a field value");
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
            behaves: behaves::of(config, route, upstream, &self.method),
            copies: copies::of(config, route),
            endpoints: upstream.places(),
        }
    }
}

impl Refused {
    /// By a failure behind a route, whose `errors` may have another status for it.
    fn by(route: &config::Route, error: &Error) -> Self {
        let failed = error.status();
        let page = route.errors.page(failed);
        let status = page.and_then(|page| page.status).unwrap_or(failed);
        Self {
            status: status.as_u16(),
            reason: error.to_string(),
        }
    }
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST.as_u16(),
            reason: unfit.reason().to_owned(),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status.as_u16(),
            reason: refusal.reason.to_owned(),
        }
    }
}

pub(super) fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
