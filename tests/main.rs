//! The gateway, from outside: one binary for all integration tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod access_log;
mod bad_http2;
mod bad_input;
mod bodies;
mod budgets;
mod config;
mod connections;
mod contract;
mod corpora;
mod deadline;
mod drain;
mod fields;
mod filters;
mod floods;
mod grants;
mod harness;
mod hostile;
mod house;
mod idle;
mod instances;
mod instructions;
mod isolation;
mod loops;
mod paths;
mod poisoning;
mod quickstart;
mod reload;
mod routes;
mod secrets;
mod seen;
mod shapes;
mod state;
mod streams;
mod swap;
mod timeouts;
mod tls;
mod tunnels;
mod upstreams;
mod wit;
