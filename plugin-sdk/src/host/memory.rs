//! Outside the sandbox: the exchange and the gateway that a test set up for this thread. Outside a phase everything
//! reads as empty and every edit is denied, as the WIT has it.

mod exchange;
pub(crate) mod facts;
pub(crate) mod scene;
mod services;
mod store;
mod telemetry;
pub(crate) mod world;

pub(crate) use exchange::*;
pub(crate) use scene::enter;
pub(crate) use services::*;
pub(crate) use telemetry::*;
