//! What the admin listener asks of a running gateway.

use serde_json::Value;

use super::guard::Tokens;

/// Where an endpoint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Out of its upstream: it gets no new requests, and those under way end.
    Drain,
    /// Back.
    Restore,
}

/// What there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// An upstream of this name.
    Upstream,
    /// An endpoint of it with this address.
    Endpoint,
}

/// What the admin listener asks of a running gateway.
pub trait Control: Send + Sync + 'static {
    /// What `Authorization: Bearer` must carry now, if anything.
    fn tokens(&self) -> Tokens;

    /// Whether the gateway takes traffic: started, and not draining.
    fn ready(&self) -> bool;

    /// Every metric, in the OpenMetrics text format.
    fn metrics(&self) -> String;

    /// The plugins in force.
    fn plugins(&self) -> Value;

    /// The configuration in force, its secrets masked.
    fn config(&self) -> Value;

    /// The routes in force, in the order they are tried.
    fn routes(&self) -> Value;

    /// The upstreams in force, and how their endpoints stand.
    fn upstreams(&self) -> Value;

    /// One of them. None: there is no upstream of this name.
    fn upstream(&self, name: &str) -> Option<Value>;

    /// Takes an endpoint out of an upstream, or back; how it stands then, and how many take requests.
    ///
    /// # Errors
    /// What there is not.
    fn turn(&self, upstream: &str, endpoint: &str, turn: Turn) -> Result<Value, Missing>;

    /// What becomes of a request that this JSON describes, by what is in force.
    ///
    /// # Errors
    /// What is wrong with the description.
    fn explain(&self, asked: &[u8]) -> Result<Value, String>;

    /// What the log lets through, and where that is from.
    fn log(&self) -> Value;

    /// Has the log let through what this filter says, as text or in JSON, until the next reload; what is in force then.
    ///
    /// # Errors
    /// What is wrong with it.
    fn set_log(&self, asked: &[u8]) -> Result<Value, String>;

    /// Reloads the configuration.
    ///
    /// # Errors
    /// Why it was refused; the old configuration stays in force.
    fn reload(&self) -> impl Future<Output = Result<Value, Value>> + Send;

    /// Reloads one plugin from its file. None: there is no plugin of this name.
    ///
    /// # Errors
    /// Why it was refused; the old plugin stays in force.
    fn reload_plugin(
        &self,
        name: &str,
    ) -> impl Future<Output = Option<Result<Value, Value>>> + Send;
}
