//! An API gateway whose policies are sandboxed WebAssembly components.

pub mod config;
pub mod plugin;
pub mod proxy;
pub mod route;
pub mod snapshot;
pub mod state;
pub mod telemetry;
pub mod upstream;
