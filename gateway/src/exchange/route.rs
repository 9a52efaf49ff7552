//! A route in force.

use std::sync::Arc;

use super::decisions::Decisions;
use super::link::{Link, Place};
use crate::config::{self, When};
use crate::message::media::ResponseTypes;
use crate::message::phase::Phases;
use crate::route::{Split, Subject};
use crate::telemetry::log_gate::LogGate;
use crate::telemetry::metrics::{ArmMetrics, MirrorMetrics, RouteMetrics};

/// A route with everything it refers to resolved.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: Arc<config::Route>,
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
    /// Those with a `when`, in order, and what it asks.
    pub conditions: Vec<(Place, Arc<When>)>,
    /// Those that read a body, held or in chunks.
    pub body_readers: Vec<Link>,
    /// Those that see the bodies of responses, and which responses they mean.
    pub response_types: Vec<(Place, ResponseTypes)>,
    /// What that comes to where none of them is left out.
    response_bodies: ResponseBodies,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
    /// Protects the log from a flood of failures: clients cause as many as they like.
    pub failures: LogGate,
    /// Where copies of its requests go.
    pub mirrors: Vec<Mirror>,
    /// Of a split, what requests have in place of this route.
    pub arms: Option<Box<Arms>>,
    /// Which arm of a split this is.
    pub arm: Option<Arm>,
}

/// Where copies of requests go.
#[derive(Debug)]
pub struct Mirror {
    /// As configured.
    pub config: config::Mirror,
    /// Its counters.
    pub metrics: Arc<MirrorMetrics>,
    /// Protects the log: an upstream that fails all copies is worth a line now and then.
    pub failures: LogGate,
    /// The same of requests that are not copied, which clients cause.
    pub drops: LogGate,
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
        config: Arc<config::Route>,
        chain: &[Link],
        types: impl Fn(&Link) -> ResponseTypes,
        metrics: Arc<RouteMetrics>,
    ) -> Self {
        let of_response = chain.iter().filter(|link| link.phases.reads_response());
        let response_types: Vec<_> = of_response.map(|link| (link.place, types(link))).collect();
        let whens = config.plugins.iter().map(|plugin| plugin.when.clone());
        let conditions = whens
            .enumerate()
            .filter_map(|(at, when)| Some((Place(at), when?)));
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
            conditions: conditions.collect(),
            body_readers: links(Phases::reads_bodies),
            response_bodies: ResponseBodies::of(response_types.iter()),
            response_types,
            config,
            metrics,
            failures: LogGate::new(),
            mirrors: Vec::new(),
            arms: None,
            arm: None,
        }
    }

    /// The route as it is for this request, which matches it: the one arm of a split.
    #[inline]
    pub fn of_request<'a>(self: &'a Arc<Self>, subject: Subject<'_>) -> &'a Arc<Self> {
        match &self.arms {
            None => self,
            Some(arms) => &arms.routes[arms.split.choose(subject)],
        }
    }
}

impl Route {
    /// Whether plugins that are not left out see the bodies of responses.
    pub fn response_bodies(&self, decisions: Decisions) -> ResponseBodies {
        if decisions.keeps_all() {
            return self.response_bodies;
        }
        let types = self.response_types.iter();
        ResponseBodies::of(types.filter(|(place, _)| !decisions.leaves_out(*place)))
    }
}

impl ResponseBodies {
    fn of<'a>(types: impl Iterator<Item = &'a (Place, ResponseTypes)>) -> Self {
        let none = Self {
            read: false,
            exempt: true,
        };
        types.fold(none, |all, (_, types)| Self {
            read: true,
            exempt: all.exempt && types.exempts(),
        })
    }
}

impl AsRef<config::Route> for Route {
    fn as_ref(&self) -> &config::Route {
        &self.config
    }
}
