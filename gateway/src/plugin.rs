//! The plugin host: loads components, keeps instances of them, and calls their phases within a budget.
//!
//! [`load`] turns a file and its configurations into a [`Linked`], on the control thread. Each worker keeps a
//! [`Pool`] of its instances and calls phases through it. The exchange is lent to the instance's store for a call
//! and comes back from it whatever happened there; a [`Failure`] says what did.

mod admission;
mod apart;
mod artifact;
mod cache;
mod call;
mod compiled;
mod compiler;
mod components;
mod engine;
mod exports;
mod failure;
mod flow;
mod functions;
mod grants;
mod held;
mod host;
mod instance;
mod lately;
mod limits;
mod linked;
mod loader;
mod loan;
mod meter;
mod notice;
mod objection;
mod patience;
mod pool;
mod room;
mod shares;
mod ticker;
mod trailers;
mod turns;
mod typed;
mod wants;
mod within;
mod words;

pub use artifact::Artifact;
pub use compiler::compile;
pub use components::{Components, Unopened, Version};
pub use engine::{Engine, EngineError, Place};
pub use failure::{Failure, FailureKind};
pub use flow::{Answer, Flow};
pub use held::{Held, HeldInstances};
pub use host::Services;
pub use linked::{Linked, Metadata};
pub use loader::{load, on_own_thread, reload, warm};
pub use objection::LoadError;
pub use pool::Pool;
