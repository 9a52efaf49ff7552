//! What the admin listener asks of a running gateway.

use serde_json::Value;

use crate::config::Secret;

/// What the admin listener asks of a running gateway.
pub trait Control: Send + Sync + 'static {
    /// What `Authorization: Bearer` must carry now, if anything.
    fn token(&self) -> Option<Secret>;

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

    /// What becomes of a request that this JSON describes, by what is in force.
    ///
    /// # Errors
    /// What is wrong with the description.
    fn explain(&self, asked: &[u8]) -> Result<Value, String>;

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
