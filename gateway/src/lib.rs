//! An API gateway whose policies are sandboxed WebAssembly components.

pub mod config;
pub mod proxy;
pub mod server;
