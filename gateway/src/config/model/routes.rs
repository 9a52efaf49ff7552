//! `[[routes]]`: what a route does with what it matches.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::answer_rewrite::AnswerRewrite;
use super::answers::{Errors, Fallback, Respond};
use super::client_key::ClientKey;
use super::conditions::When;
use super::matcher::{Match, Predicates};
use super::mirror::Mirror;
use super::overrides::Overrides;
use super::redirect::Redirect;
use super::retry::Retry;
use super::upstream::UpstreamId;
use crate::config::{Regex, Written};

/// `[[routes]]`.
#[derive(Debug, Clone)]
pub struct Route {
    /// Unique name.
    pub name: Arc<str>,
    /// Listeners it serves on, by index into [`Config::listeners`](crate::config::Config::listeners); empty: all.
    pub listeners: Vec<usize>,
    /// When it matches.
    pub matcher: Match,
    /// The chain: the configuration-wide plugins it did not skip, then its own.
    pub plugins: Vec<RoutePlugin>,
    /// Where it goes.
    pub target: Target,
    /// What changes on the way there.
    pub rewrite: Rewrite,
    /// Time for the whole exchange up to the last byte of the response; `None`: no limit.
    pub timeout: Option<Duration>,
    /// What it says in the place of its listener, its upstream and the server.
    pub overrides: Overrides,
    /// What is sent again, and how often.
    pub retry: Option<Arc<Retry>>,
    /// What stands for its failures: its own pages, then those of the whole file.
    pub errors: Errors,
    /// What answers where the upstream does not.
    pub fallback: Option<Box<Fallback>>,
    /// Where copies of its requests go; no two to the same upstream.
    pub mirrors: Vec<Mirror>,
    /// Where it stands in the files (`file:line`), for messages.
    pub place: String,
}

impl AsRef<Self> for Route {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// One plugin of a route's chain.
#[derive(Debug, Clone)]
pub struct RoutePlugin {
    /// Its name in [`Config::plugins`](crate::config::Config::plugins).
    pub plugin: Arc<str>,
    /// The configuration in force here: the route's own, else the plugin's default.
    pub config: serde_json::Value,
    /// When it has its turn; `None`: always.
    pub when: Option<Arc<When>>,
    /// Where it stands, for messages.
    pub place: Written,
}

impl Route {
    /// Whether it serves on a listener, by its index.
    pub fn serves_on(&self, listener: usize) -> bool {
        self.listeners.is_empty() || self.listeners.contains(&listener)
    }
}

impl RoutePlugin {
    /// The configuration as it may be shown.
    pub fn masked(&self) -> serde_json::Value {
        self.place.mask(&self.config)
    }
}

/// Where a route goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// `upstream = "name"`.
    Upstream(UpstreamId),
    /// `respond = { .. }`.
    Respond(Respond),
    /// `redirect = { .. }`.
    Redirect(Redirect),
    /// `split = [..]`: to one of several upstreams.
    Split(Split),
    /// Plugins alone: 404 if none of them answers.
    Plugins,
}

/// `routes.split` and `routes.split_on`.
#[derive(Debug, Clone)]
pub struct Split {
    /// Two or more. Not every weight is 0.
    pub arms: Vec<Arm>,
    /// What keeps a client on its arm; `None`: requests take turns.
    pub on: Option<ClientKey>,
}

/// One arm of a split.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Unique in its route: what the access log and metrics call it.
    pub name: Arc<str>,
    /// Where its requests go.
    pub upstream: UpstreamId,
    /// Its part of the sum of all weights; 0: only what its override takes.
    pub weight: u32,
    /// The override: a request for which it holds goes here, whatever the weights.
    pub matcher: Option<Predicates>,
    /// Its own plugins, which stand behind those of the route.
    pub plugins: Vec<RoutePlugin>,
    /// What changes on the way; `None`: what the route says.
    pub rewrite: Option<Rewrite>,
}

/// `routes.rewrite`.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    /// The path.
    pub path: PathRewrite,
    /// The `Host` that goes upstream.
    pub host: HostRewrite,
    /// What changes of the upstream's answer, if anything does.
    pub answer: Option<Box<AnswerRewrite>>,
}

/// How the path changes; applied after the request phases.
#[derive(Debug, Clone, Default)]
pub enum PathRewrite {
    /// Not at all.
    #[default]
    Keep,
    /// `strip_prefix = "/api"`; left as it is where the path has another beginning. `prefix` may come with it.
    Strip {
        /// What goes.
        strip: String,
        /// What comes in its place (may be empty).
        prefix: String,
    },
    /// `strip_segments = 2`, perhaps with `prefix`.
    Segments {
        /// How many go, of those there are.
        count: usize,
        /// What comes in their place (may be empty).
        prefix: String,
    },
    /// `regex = { .. }`: the path (not the query) with every match replaced.
    Regex {
        /// What is looked for.
        regex: Regex,
        /// What stands for it, `$1` being a group.
        to: String,
    },
}

/// `rewrite.host`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostRewrite {
    /// The endpoint's address.
    #[default]
    Upstream,
    /// As the client sent it.
    Preserve,
    /// This name.
    Name(HeaderValue),
}
