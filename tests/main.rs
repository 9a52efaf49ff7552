//! The gateway, from outside: one binary for all integration tests.

mod config;
