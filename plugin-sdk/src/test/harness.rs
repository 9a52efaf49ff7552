//! A configured plugin and the gateway around it, in memory.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::exchange::Exchange;
use super::passing::Passing;
use crate::host::memory::scene::Scene;
use crate::host::memory::world::{LogLine, World, series};
use crate::{
    Answer, ConfigError, Flow, Phases, Plugin, Request, Response, Result, Stream, Wants, config,
    host, upstream,
};

/// Configures a plugin in a gateway that has nothing to grant. `()` is no configuration.
///
/// # Errors
/// The faults of the configuration, as the gateway would show them.
pub fn configure<P: Plugin>(config: impl Serialize) -> Result<Harness<P>, Vec<ConfigError>> {
    Gateway::new().configure(config)
}

/// What a plugin finds already when it is configured: secrets, upstreams, the time of day.
pub struct Gateway {
    world: World,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("now", &self.world.now)
            .finish_non_exhaustive()
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// One without secrets and upstreams, at the present time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            world: World::new(SystemTime::now()),
        }
    }

    /// The time of day that the clock starts at.
    #[must_use]
    pub fn now(self, now: SystemTime) -> Self {
        self.world.now.set(now);
        self
    }

    /// A secret that is granted.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.world.secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// An upstream for sub-requests, and how it answers.
    #[must_use]
    pub fn upstream(
        mut self,
        name: &str,
        answers: impl Fn(&upstream::Request) -> Result<Answer, upstream::Error> + 'static,
    ) -> Self {
        self.world
            .upstreams
            .insert(name.to_owned(), Rc::new(answers));
        self
    }

    /// Configures a plugin in this gateway.
    ///
    /// # Errors
    /// The faults of the configuration.
    ///
    /// # Panics
    /// If `config` has no form in JSON.
    pub fn configure<P: Plugin>(
        self,
        config: impl Serialize,
    ) -> Result<Harness<P>, Vec<ConfigError>> {
        let config = serde_json::to_string(&config).expect("the configuration has a form in JSON");
        let scene = Scene {
            world: Rc::new(self.world),
            exchange: None,
        };
        let plugin = host::enter(scene.clone(), || {
            config::parse(&config).and_then(P::configure)
        })?;
        let wants = host::enter(scene.clone(), || plugin.wants());
        Ok(Harness {
            plugin,
            wants,
            world: scene.world,
        })
    }
}

/// A configured plugin. A phase that it did not ask for is not called, as in the gateway.
pub struct Harness<P> {
    plugin: P,
    wants: Wants,
    world: Rc<World>,
}

impl<P> fmt::Debug for Harness<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("wants", &self.wants)
            .finish_non_exhaustive()
    }
}

/// The phases.
impl<P: Plugin> Harness<P> {
    /// Runs `on_request`. An answer becomes the exchange's response.
    ///
    /// # Errors
    /// The plugin's own failure.
    pub fn on_request(&self, exchange: &mut Exchange) -> Result {
        if !(self.asks_for(Phases::REQUEST) || self.asks_for(Phases::REQUEST_BODY)) {
            return Ok(Flow::Next);
        }
        let flow = self.run(exchange, false, || {
            self.plugin.on_request(&mut Request::in_hand())
        })?;
        if let Flow::Respond(answer) = &flow {
            exchange.respond(answer.clone());
        }
        Ok(flow)
    }

    /// Runs `on_response`. An answer replaces the exchange's response.
    ///
    /// # Errors
    /// The plugin's own failure.
    ///
    /// # Panics
    /// If the exchange has no response: see [`Exchange::response`] and [`Exchange::respond`].
    pub fn on_response(&self, exchange: &mut Exchange) -> Result {
        assert!(
            exchange.facts.borrow().response.is_some(),
            "the exchange has no response; give it one first"
        );
        if !(self.asks_for(Phases::RESPONSE) || self.asks_for(Phases::RESPONSE_BODY)) {
            return Ok(Flow::Next);
        }
        exchange.facts.borrow_mut().sent = true;
        let flow = self.run(exchange, false, || {
            self.plugin
                .on_response(&Request::in_hand(), &mut Response::in_hand())
        })?;
        if let Flow::Respond(answer) = &flow {
            exchange.facts.borrow_mut().response = Some(answer.clone());
        }
        Ok(flow)
    }

    /// The body of the request begins to pass. `None` where the plugin does not ask for it.
    ///
    /// # Errors
    /// The plugin's own failure.
    pub fn request_stream<'a>(&'a self, exchange: &'a mut Exchange) -> Result<Option<Passing<'a>>> {
        self.stream(exchange, Phases::REQUEST_STREAM, || {
            self.plugin.request_stream(&Request::in_hand())
        })
    }

    /// The body of the response begins to pass. `None` where the plugin does not ask for it.
    ///
    /// # Errors
    /// The plugin's own failure.
    pub fn response_stream<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> Result<Option<Passing<'a>>> {
        self.stream(exchange, Phases::RESPONSE_STREAM, || {
            self.plugin
                .response_stream(&Request::in_hand(), &Response::in_hand())
        })
    }

    fn stream<'a>(
        &'a self,
        exchange: &'a Exchange,
        phase: Phases,
        open: impl FnOnce() -> Result<Box<dyn Stream>>,
    ) -> Result<Option<Passing<'a>>> {
        if !self.asks_for(phase) {
            return Ok(None);
        }
        let stream = self.run(exchange, true, open)?;
        let seen = (phase == Phases::RESPONSE_STREAM).then_some(exchange);
        let world = &self.world;
        Ok(Some(Passing {
            stream,
            seen,
            world,
        }))
    }

    /// Runs `on_complete`.
    pub fn on_complete(&self, exchange: &mut Exchange) {
        if self.asks_for(Phases::COMPLETE) {
            exchange.facts.borrow_mut().over = true;
            self.run(exchange, true, || {
                let response = host::status().map(|_| Response::in_hand());
                self.plugin
                    .on_complete(&Request::in_hand(), response.as_ref());
            });
        }
    }

    fn asks_for(&self, phases: Phases) -> bool {
        self.wants.phases.contains(phases)
    }

    fn run<T>(&self, exchange: &Exchange, frozen: bool, phase: impl FnOnce() -> T) -> T {
        {
            let mut facts = exchange.facts.borrow_mut();
            facts.phases = self.wants.phases;
            facts.frozen = frozen;
        }
        let scene = Scene {
            world: Rc::clone(&self.world),
            exchange: Some(Rc::clone(&exchange.facts)),
        };
        host::enter(scene, phase)
    }
}

/// The gateway around it.
impl<P> Harness<P> {
    /// The plugin itself.
    #[must_use]
    pub fn plugin(&self) -> &P {
        &self.plugin
    }

    /// What it wants and needs.
    #[must_use]
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// Moves the clock: for the limiter, for values that expire, and for [`clock::now`](crate::clock::now).
    pub fn advance(&self, by: Duration) {
        self.world.now.set(self.world.now.get() + by);
    }

    /// Cuts the plugin off from its state and the limiter, or connects it again: while it is cut off, every call of
    /// them ends in [`state::Error::Unavailable`](crate::state::Error::Unavailable).
    pub fn lose_store(&self, lost: bool) {
        self.world.store_is_lost.set(lost);
    }

    /// Every line logged so far.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.world.logs.borrow().clone()
    }

    /// What was counted under this name and exactly these labels.
    #[must_use]
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.world
            .counters
            .borrow()
            .get(&series(name, labels))
            .copied()
            .unwrap_or_default()
    }

    /// What was observed under this name and exactly these labels, in order.
    #[must_use]
    pub fn observations(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        self.world
            .observations
            .borrow()
            .get(&series(name, labels))
            .cloned()
            .unwrap_or_default()
    }

    /// A value of the plugin's state, unless it has expired.
    #[must_use]
    pub fn state(&self, key: &str) -> Option<Vec<u8>> {
        self.world
            .store
            .borrow()
            .get(self.world.milliseconds(), key)
            .ok()
            .flatten()
    }

    /// Puts a value into the plugin's state.
    ///
    /// # Panics
    /// If key or value are larger than the gateway takes.
    pub fn set_state(&self, key: &str, value: impl AsRef<[u8]>) {
        let now = self.world.milliseconds();
        self.world
            .store
            .borrow_mut()
            .set(now, key, value.as_ref(), None)
            .expect("key and value are not too large");
    }
}
