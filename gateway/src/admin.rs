//! x
#![allow(missing_docs)]
use serde_json::Value;
use std::sync::Arc;
pub trait Control: Send + Sync + 'static {
    fn ready(&self) -> bool;
    fn metrics(&self) -> String;
    fn plugins(&self) -> Value;
    fn config(&self) -> Value;
    fn routes(&self) -> Value;
    fn reload(&self) -> impl Future<Output = Result<Value, Value>> + Send;
    fn reload_plugin(
        &self,
        name: &str,
    ) -> impl Future<Output = Option<Result<Value, Value>>> + Send;
}
pub async fn serve<C: Control>(
    _: tokio::net::TcpListener,
    _: Option<crate::config::Secret>,
    _: Arc<C>,
    _: tokio_util::sync::CancellationToken,
) {
}
