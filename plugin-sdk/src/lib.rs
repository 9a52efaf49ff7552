//! Write a policy of the gateway as a sandboxed WebAssembly component.
//!
//! A plugin is a struct with a configuration, an implementation of [`Plugin`], and one line that exports it:
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// The response field to set.
//!     header: String,
//! }
//!
//! struct Hello {
//!     config: Config,
//! }
//!
//! impl Plugin for Hello {
//!     type Config = Config;
//!
//!     fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
//!         if config.header.is_empty() {
//!             return Err(vec![ConfigError::new("header", "is empty; name a response field")]);
//!         }
//!         Ok(Self { config })
//!     }
//!
//!     fn on_request(&self, request: &mut Request) -> Result {
//!         if request.header("authorization").is_none() {
//!             return Ok(Answer::new(401)
//!                 .header("www-authenticate", "Bearer")
//!                 .problem("Unauthorized", "The request carries no credentials.")
//!                 .into());
//!         }
//!         request.response().set_header(&self.config.header, "hello")?;
//!         Ok(Flow::Next)
//!     }
//! }
//!
//! export!(Hello);
//!
//! // In `#[cfg(test)]`, the same plugin runs natively against an exchange in memory:
//! use gateway_plugin_sdk::test::{self, Exchange};
//! use serde_json::json;
//!
//! let hello = test::configure::<Hello>(json!({ "header": "x-greeting" })).unwrap();
//!
//! let mut anonymous = Exchange::get("/books/7");
//! let Ok(Flow::Respond(answer)) = hello.on_request(&mut anonymous) else { panic!("not answered") };
//! assert_eq!(answer.status, 401);
//!
//! let mut known = Exchange::get("/books/7").header("authorization", "Bearer x");
//! assert_eq!(hello.on_request(&mut known).unwrap(), Flow::Next);
//! assert_eq!(known.response_header("x-greeting").as_deref(), Some("hello"));
//!
//! let faults = test::configure::<Hello>(json!({ "heder": "x" })).unwrap_err();
//! assert_eq!(faults[0].key, "heder");
//! ```
//!
//! # The crate of a plugin
//!
//! ```toml
//! [package]
//! name = "hello"                  # name, version and description become the plugin's metadata
//! version = "1.0.0"
//! description = "Greets who is known"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib", "rlib"] # the component, and a library for tests
//!
//! [dependencies]
//! gateway-plugin-sdk = { path = "../../plugin-sdk" }
//! serde = { version = "1", features = ["derive"] }
//! schemars = "1"                  # the schema of the configuration
//!
//! [dev-dependencies]
//! serde_json = "1"                # configurations in tests
//!
//! [profile.plugin]                # in the Cargo.toml of the workspace, if the crate is in one
//! inherits = "release"
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! strip = "debuginfo"
//! ```
//!
//! ```sh
//! rustup target add wasm32-wasip2                                # once
//! cargo test                                                     # native, without a sandbox
//! cargo build --profile plugin --target wasm32-wasip2            # target/wasm32-wasip2/plugin/hello.wasm
//! gateway check --config gateway.toml                            # compiles it and tries its configuration
//! ```
//!
//! On any other target than WebAssembly [`export!`] generates nothing, so the crate is an ordinary library there. In
//! the gateway's configuration a plugin has a name, its file, what it may touch, and a place on routes:
//!
//! ```toml
//! [plugins.hello]
//! path = "hello.wasm"
//! config = { header = "x-greeting" }
//! grants = { upstreams = ["reviews"], secrets = ["key"], state = true }
//!
//! [[routes]]
//! name = "books"
//! match = { path = "/books/{id}" }
//! plugins = ["hello"]
//! upstream = "books"
//! ```
//!
//! Header fields are granted unless `grants` narrows them; upstreams, secrets and state only by name. What a plugin
//! answers by itself is its own message: `response_headers.write` does not bind its fields.
//!
//! # The configuration
//!
//! `Config` is read by serde. What it refuses is shown with its key, and so is what `configure` returns: as many
//! faults as there are, not the first. [`ConfigDuration`] reads `"250ms"`, [`fields`] checks names and values of header
//! fields, [`template::Template`] reads values with holes (`"Bearer {header.x-token}"`).
//!
//! # Phases
//!
//! [`Plugin::wants`] says which calls a configuration wants; the default is [`Phases::REQUEST`]. What is not
//! asked for is never called, and a body that no phase asked for never enters the sandbox. The edits of a phase take
//! effect when it succeeds.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//!
//! struct Stamp;
//!
//! impl Plugin for Stamp {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> {
//!         Ok(Self)
//!     }
//!
//!     fn wants(&self) -> Wants {
//!         (Phases::RESPONSE | Phases::COMPLETE).into()
//!     }
//!
//!     fn on_response(&self, request: &Request, response: &mut Response) -> Result {
//!         if response.status() == 404 {
//!             response.set_body(format!("nothing at {}\n", request.path()));
//!         }
//!         response.set_header("x-request-id", request.id())?;
//!         Ok(Flow::Next)
//!     }
//!
//!     fn on_complete(&self, request: &Request, response: Option<&Response>) {
//!         let status = response.map_or_else(|| "aborted".to_owned(), |r| r.status().to_string());
//!         metrics::count("exchanges", &[("status", &status)], 1);
//!         log::info!(route = request.route(), status = status; "done");
//!     }
//! }
//!
//! export!(Stamp);
//!
//! use gateway_plugin_sdk::test::{self, Exchange};
//!
//! let stamp = test::configure::<Stamp>(()).unwrap();
//! let mut exchange = Exchange::get("/").id("r-1").response(Answer::new(200));
//! stamp.on_response(&mut exchange).unwrap();
//! stamp.on_complete(&mut exchange);
//! assert_eq!(exchange.response_header("x-request-id").as_deref(), Some("r-1"));
//! assert_eq!(stamp.counter("exchanges", &[("status", "200")]), 1);
//! assert_eq!(stamp.logs()[0].field("status"), Some("200"));
//! ```
//!
//! # Bodies
//!
//! With [`Phases::REQUEST_BODY`] the body is held before `on_request`, up to the plugin's `body_limit` (1 MiB unless
//! configured), and with [`Phases::RESPONSE_BODY`] before `on_response`; they imply the phase. [`Request::json`] and
//! [`Request::set_json`] go through a type of yours, [`json::Node`] edits a document of any shape without touching the
//! rest of it. What comes coded is decoded before. [`ResponseTypes`] says which responses are meant, by their type:
//! events, images and downloads need not wait for a plugin that reads JSON.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, Serialize)]
//! struct Order {
//!     item: String,
//!     coupon: Option<String>,
//! }
//!
//! struct Coupons;
//!
//! impl Plugin for Coupons {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> {
//!         Ok(Self)
//!     }
//!
//!     fn wants(&self) -> Wants {
//!         Phases::REQUEST_BODY.into()
//!     }
//!
//!     fn on_request(&self, request: &mut Request) -> Result {
//!         // The client's mistake is an answer; `?` would make it a failure of the plugin.
//!         let Ok(mut order) = request.json::<Order>() else {
//!             return Ok(Answer::new(400).problem("Bad Request", "The body is no order.").into());
//!         };
//!         order.coupon = request.cookie("coupon");
//!         request.set_json(&order)?;
//!         Ok(Flow::Next)
//!     }
//! }
//!
//! export!(Coupons);
//!
//! use gateway_plugin_sdk::test::{self, Exchange};
//!
//! let coupons = test::configure::<Coupons>(()).unwrap();
//! let mut exchange = Exchange::post("/orders").header("cookie", "coupon=spring").body(r#"{ "item": "tea" }"#);
//! assert_eq!(coupons.on_request(&mut exchange).unwrap(), Flow::Next);
//! assert_eq!(exchange.request_body().unwrap(), br#"{"item":"tea","coupon":"spring"}"#);
//! ```
//!
//! # Streams
//!
//! A body may also pass chunk by chunk: with [`Phases::RESPONSE_STREAM`], [`Plugin::response_stream`] makes a [`Stream`]
//! for each exchange. What must be remembered between two chunks stands in there. A field of `self` is no place for it:
//! the same plugin serves another client next, and a body that breaks off has no last chunk.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//!
//! /// Hides a word, also where two chunks share it.
//! struct Hide;
//!
//! impl Plugin for Hide {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> {
//!         Ok(Self)
//!     }
//!
//!     fn wants(&self) -> Wants {
//!         let text = ResponseTypes::only(["text/*"]).passing(ResponseTypes::MEDIA);
//!         // What hides a word lets no type pass that it does not read.
//!         Wants::from(Phases::RESPONSE_STREAM).response_types(text.refusing_others())
//!     }
//!
//!     fn response_stream(&self, _: &Request, _: &Response) -> Result<Box<dyn Stream>> {
//!         Ok(Box::new(Hidden { kept: Vec::new() }))
//!     }
//! }
//!
//! struct Hidden {
//!     /// The beginning of what may become the word.
//!     kept: Vec<u8>,
//! }
//!
//! const WORD: &[u8] = b"secret";
//!
//! impl Stream for Hidden {
//!     fn chunk(&mut self, _: &Request, chunk: Vec<u8>) -> Result<Vec<u8>> {
//!         let mut text = std::mem::take(&mut self.kept);
//!         text.extend(chunk);
//!         while let Some(at) = text.windows(WORD.len()).position(|window| window == WORD) {
//!             text.splice(at..at + WORD.len(), *b"***");
//!         }
//!         let begun = (1..WORD.len()).rev().find(|length| text.ends_with(&WORD[..*length]));
//!         self.kept = text.split_off(text.len() - begun.unwrap_or(0));
//!         Ok(text)
//!     }
//!
//!     fn end(&mut self, _: &Request, trailers: Trailers) -> Result<Ending> {
//!         Ok(Ending::from(trailers).chunk(std::mem::take(&mut self.kept)))
//!     }
//! }
//!
//! export!(Hide);
//!
//! use gateway_plugin_sdk::test::{self, Exchange};
//!
//! let hide = test::configure::<Hide>(()).unwrap();
//! let mut exchange = Exchange::get("/").response(Answer::new(200));
//! let mut body = hide.response_stream(&mut exchange).unwrap().unwrap();
//! assert_eq!(body.chunk("a sec").unwrap(), b"a ");
//! assert_eq!(body.chunk("ret, a sec").unwrap(), b"***, a ");
//! assert_eq!(body.end().unwrap().chunk, b"sec");
//!
//! // One that breaks off is dropped, and the next begins anew.
//! let mut body = hide.response_stream(&mut exchange).unwrap().unwrap();
//! body.chunk("sec").unwrap();
//! drop(body);
//! let mut body = hide.response_stream(&mut exchange).unwrap().unwrap();
//! assert_eq!(body.chunk("ret").unwrap(), b"ret");
//! ```
//!
//! # Beyond the exchange
//!
//! [`upstream`] sends sub-requests, [`state`] keeps values that every worker sees, [`limiter`] counts in one
//! atomic step, [`secrets`] reads what the configuration grants, [`log`] and [`metrics`] tell the operators.
//! A component imports only the interfaces whose functions it calls; the configuration must grant `upstream`, `state` and
//! `secrets`. What a configuration needs by name it says in [`Wants`]: a grant that is missing is then a fault of `gateway
//! check`, and not of a request. A field that is not granted reads as if it were not there.
//!
//! ```
//! use std::time::Duration;
//! use gateway_plugin_sdk::prelude::*;
//! # struct Shop;
//! # impl Plugin for Shop {
//! #     type Config = NoConfig;
//! #     fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
//!
//! fn on_request(&self, request: &mut Request) -> Result {
//!     let quota = Quota::token_bucket(100, Duration::from_secs(60)).burst(20);
//!     let decision = limiter::acquire(&request.client_address(), quota, 1)?;
//!     if !decision.allowed {
//!         return Ok(Answer::new(429).problem("Too Many Requests", "Slow down.").into());
//!     }
//!     let review = upstream::Request::get("reviews", "/r/1")
//!         .header("accept", "application/json")
//!         .timeout(Duration::from_millis(200))
//!         .send()?;
//!     if let Some(stars) = review.header_str("x-stars") {
//!         request.set_header("x-stars", stars)?;
//!     }
//!     Ok(Flow::Next)
//! }
//! # }
//! # let shop = gateway_plugin_sdk::test::configure::<Shop>(()).unwrap();
//! # let mut exchange = gateway_plugin_sdk::test::Exchange::get("/")
//! #     .upstream("reviews", |_| Ok(Answer::new(200).header("x-stars", "5")));
//! # assert_eq!(shop.on_request(&mut exchange).unwrap(), Flow::Next);
//! # assert_eq!(exchange.request_header("x-stars").as_deref(), Some("5"));
//! ```
//!
//! # Memory
//!
//! In a component, this crate's allocator serves: lists of free blocks for what a phase makes and drops, several times as
//! fast as the one of the target. The feature `allocator`, on by default, is what a plugin with one of its own leaves out.
//!
//! # When it goes wrong
//!
//! `Err` from a phase is the plugin's own failure: it is logged with its message, the instance lives on, and the
//! plugin's `on_error` decides what the client gets: `closed` an error, `open` what there would be without the plugin.
//! A panic is a trap: message, file, line and column are logged before it, and the instance is thrown away. In
//! `configure` it is a fault of the configuration, with that message: the gateway does not start, or keeps the one it
//! has. So is one that takes too long: a call has the guest time of `cpu` and must end within `timeout`.

#[cfg(any(target_arch = "wasm32", test))]
mod alloc;
pub mod clock;
mod config;
mod duration;
mod export;
pub mod fields;
mod host;
pub mod json;
pub mod limiter;
pub mod path;
pub mod percent;
mod plugin;
mod query;
mod request;
mod response;
pub mod secrets;
pub mod state;
mod stream;
mod telemetry;
pub mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;
mod types;
pub mod upstream;

pub use config::{ConfigError, NoConfig};
pub use duration::ConfigDuration;
pub use plugin::Plugin;
pub use query::Query;
pub use request::{Request, ResponseEdits};
pub use response::Response;
pub use stream::{Ending, Stream, Trailers};
pub use telemetry::{log, metrics};
pub use types::answer::Answer;
pub use types::edit::{Edit, EditError, EditKind, HeaderError};
pub use types::flow::{Error, Flow, Result};
pub use types::level::Level;
pub use types::phases::Phases;
pub use types::wants::{Needs, ResponseTypes, Wants};

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: alloc::Lists = alloc::Lists::new();

/// What nearly every plugin uses.
pub mod prelude {
    pub use crate::limiter::Quota;
    pub use crate::{
        Answer, ConfigDuration, ConfigError, Edit, Ending, Error, Flow, HeaderError, Level,
        NoConfig, Phases, Plugin, Request, Response, ResponseTypes, Result, Stream, Trailers,
        Wants, clock, export, limiter, log, metrics, secrets, state, upstream,
    };
}

/// Its plugin compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// What [`export!`] expands to; not part of the API.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use crate::export::{Component, Identity};
    #[cfg(target_arch = "wasm32")]
    pub use crate::host::bindings;
}
