//! The gateway, from outside: one binary for all integration tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod access_log;
mod aggregate;
mod answers;
mod arms;
mod bad_http2;
mod bad_input;
mod balance;
mod bodies;
mod breaker;
mod budgets;
mod check;
mod coming_from_nginx;
mod compile;
mod composition;
mod conditions;
mod config;
mod connections;
mod contract;
mod corpora;
mod deadline;
mod departures;
mod drain;
mod error_pages;
mod explain;
mod fallback;
mod fields;
mod files;
mod filters;
mod floods;
mod forwarded;
mod framing;
mod grants;
mod grpc;
mod grpc_calls;
mod harness;
mod hops;
mod hostile;
mod hosts;
mod house;
mod idle;
mod instances;
mod instructions;
mod isolation;
mod linger;
mod logs;
mod loops;
mod many_routes;
mod mirror;
mod path_parameters;
mod paths;
mod peers;
mod poisoning;
mod pool;
mod predicates;
mod quickstart;
mod redirects;
mod refusals;
mod reload;
mod retries;
mod rewriting;
mod route_limits;
mod routes;
mod secrets;
mod seen;
mod shapes;
mod stalled;
mod starts;
mod state;
mod streams;
mod sub_requests;
mod swap;
mod timeouts;
mod tls;
mod tunnels;
mod upstream_h2;
mod upstream_tls;
mod upstreams;
mod watching;
mod wit;
