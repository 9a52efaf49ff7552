//! Runs a plugin natively, against an exchange in memory: the same code, without the sandbox.
//!
//! [`configure`] makes a [`Harness`], which calls the phases of the plugin as the gateway would: only those that it
//! asks for. An [`Exchange`] is set up as a builder and read afterwards. Fields that are the gateway's own are denied
//! here too. Grants are not checked ([`Harness::wants`] says what is needed), and
//! [`ResponseTypes`](crate::ResponseTypes) are not applied: a body is there, whatever its type. The harness's clock stands still until [`Harness::advance`] moves it.
//!
//! ```
//! # use gateway_plugin_sdk::prelude::*;
//! # struct Counted;
//! # impl Plugin for Counted {
//! #     type Config = NoConfig;
//! #     fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
//! #     fn on_request(&self, request: &mut Request) -> Result {
//! #         let visits = state::increment("visits", 1, Some(std::time::Duration::from_secs(60)))?;
//! #         request.set_header("x-visits", visits.to_string())?;
//! #         Ok(Flow::Next)
//! #     }
//! # }
//! use gateway_plugin_sdk::test::{self, Exchange};
//! use std::time::Duration;
//!
//! let counted = test::configure::<Counted>(()).unwrap();
//! counted.on_request(&mut Exchange::get("/")).unwrap();
//! counted.advance(Duration::from_secs(61));
//! let mut exchange = Exchange::get("/");
//! counted.on_request(&mut exchange).unwrap();
//! assert_eq!(exchange.request_header("x-visits").as_deref(), Some("1"));
//! ```

mod exchange;
mod harness;
mod passing;
#[cfg(test)]
mod tests;

pub use crate::host::memory::world::LogLine;
pub use exchange::Exchange;
pub use harness::{Gateway, Harness, configure};
pub use passing::Passing;
