//! A route in force, and the links of its chain of plugins.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config;
use crate::message::media::ResponseTypes;
use crate::message::phase::Phases;
use crate::route::{Split, Subject};
use crate::telemetry::log_gate::LogGate;
use crate::telemetry::metrics::{ArmMetrics, RouteMetrics};

/// A plugin of a snapshot, in the order of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginId(pub usize);

/// One of the configurations that a plugin was loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterId(pub usize);

/// A place in the chain of a route, in the order of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub usize);

/// One plugin of a chain.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Where it stands in the chain.
    pub place: Place,
    /// The plugin.
    pub plugin: PluginId,
    /// Which of the plugin's configurations.
    pub filter: FilterId,
    /// What that configuration asks for.
    pub phases: Phases,
}

/// A route with everything it refers to resolved.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: config::Route,
    /// How many plugins its chain has.
    pub links: usize,
    /// Those with a request phase, in order.
    pub on_request: Vec<Link>,
    /// Those with a response phase, in reverse order.
    pub on_response: Vec<Link>,
    /// Those that see the request's chunks, in order.
    pub request_stream: Vec<Link>,
    /// Those that see the response's chunks, in reverse order.
    pub response_stream: Vec<Link>,
    /// Those with a complete phase, in order.
    pub on_complete: Vec<Link>,
    /// Whether one of them reads a body, held or in chunks.
    pub reads_bodies: bool,
    /// Which responses are meant by those that see their bodies.
    pub response_types: Vec<ResponseTypes>,
    /// What that comes to.
    pub response_bodies: ResponseBodies,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
    /// Protects the log from a flood of failures: clients cause as many as they like.
    pub failures: LogGate,
    /// Of a split, what requests have in place of this route.
    pub arms: Option<Box<Arms>>,
    /// Which arm of a split this is.
    pub arm: Option<Arm>,
}

/// The arms of a split.
#[derive(Debug)]
pub struct Arms {
    /// The choice between them.
    pub split: Split,
    /// Each as a route of its own, with the name and the counters of the one that is split.
    pub routes: Vec<Arc<Route>>,
}

/// An arm of a split.
#[derive(Debug)]
pub struct Arm {
    /// Its name.
    pub name: Arc<str>,
    /// Its counters.
    pub metrics: Arc<ArmMetrics>,
}

/// Whether plugins of a route see the bodies of responses.
#[derive(Debug, Clone, Copy)]
pub struct ResponseBodies {
    /// One does.
    pub read: bool,
    /// There are types that pass by all of them.
    pub exempt: bool,
}

impl Route {
    /// A route with this chain; `types` says which responses a link means.
    pub fn new(
        config: config::Route,
        chain: &[Link],
        types: impl Fn(&Link) -> ResponseTypes,
        metrics: Arc<RouteMetrics>,
    ) -> Self {
        let of_response = chain.iter().filter(|link| link.phases.reads_response());
        let response_types: Vec<_> = of_response.map(types).collect();
        let of_requests = chain.iter().any(|link| link.phases.reads_request());
        let response_bodies = ResponseBodies {
            read: !response_types.is_empty(),
            exempt: response_types.iter().all(ResponseTypes::exempts),
        };
        let links = |wanted: fn(Phases) -> bool| -> Vec<Link> {
            let wanted = chain.iter().filter(|link| wanted(link.phases));
            wanted.copied().collect()
        };
        let reversed =
            |wanted: fn(Phases) -> bool| -> Vec<Link> { links(wanted).into_iter().rev().collect() };
        Self {
            name: config.name.clone(),
            links: chain.len(),
            on_request: links(Phases::request),
            on_response: reversed(Phases::response),
            request_stream: links(Phases::request_stream),
            response_stream: reversed(Phases::response_stream),
            on_complete: links(Phases::complete),
            reads_bodies: of_requests || response_bodies.read,
            response_types,
            response_bodies,
            config,
            metrics,
            failures: LogGate::new(),
            arms: None,
            arm: None,
        }
    }

    /// The route as it is for this request, which matches it: the one arm of a split.
    #[inline]
    pub fn of_request<'a>(
        self: &'a Arc<Self>,
        subject: Subject<'_>,
        client: IpAddr,
    ) -> &'a Arc<Self> {
        match &self.arms {
            None => self,
            Some(arms) => &arms.routes[arms.split.choose(subject, client)],
        }
    }
}

impl AsRef<config::Route> for Route {
    fn as_ref(&self) -> &config::Route {
        &self.config
    }
}
