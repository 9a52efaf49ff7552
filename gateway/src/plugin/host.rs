//! What a guest finds when it calls the host: one file per interface of `wit/plugin.wit` for what its functions do, and
//! [`component`] for how their arguments come in and their answers go out.

pub(super) mod bindings;
mod component;
mod edits;
mod exchange;
mod fields;
mod guest;
mod limiter;
mod linker;
mod names;
mod output;
mod secrets;
mod state;
mod telemetry;
mod under_way;
mod upstream;
mod volume;
mod wasi;

pub(super) use exchange::answer_status;
pub use guest::Services;
pub(super) use guest::{Guest, Shared};
pub(super) use linker::{Resolved, resolve};
