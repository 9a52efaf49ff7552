//! The trait that a plugin implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::stream::AsItComes;
use crate::{ConfigError, Flow, Phases, Request, Response, Result, Stream, Wants};

/// A policy under one configuration.
///
/// The gateway keeps many instances of a component and configures each once per distinct configuration, so a
/// field of `self` is neither shared by all requests nor private to one: what must be shared goes into
/// [`state`](crate::state), what belongs to one exchange into its attributes, and what belongs to a body that passes chunk
/// by chunk into its [`Stream`]. Bytes of one client that stand in a field of `self` are the next client's. An instance ends with its memory, as a
/// whole: a plugin is never dropped there.
pub trait Plugin: Sized + 'static {
    /// The plugin's `config` table. `#[serde(deny_unknown_fields)]` turns a misspelt key into an error;
    /// [`NoConfig`](crate::NoConfig) is for a plugin without settings.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks a configuration and prepares everything that a request should not have to.
    ///
    /// # Errors
    /// Every fault of the configuration, each with its key: the gateway refuses the configuration and shows them.
    fn configure(config: Self::Config) -> Result<Self, Vec<ConfigError>>;

    /// What this configuration wants and needs. Asked once, after `configure`; a set of [`Phases`] alone does.
    fn wants(&self) -> Wants {
        Phases::REQUEST.into()
    }

    /// The head of the request is there, and with [`Phases::REQUEST_BODY`] its body.
    ///
    /// # Errors
    /// The plugin's own failure; its `on_error` in the configuration decides what the client gets.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn on_request(&self, request: &mut Request) -> Result {
        Ok(Flow::Next)
    }

    /// The head of the response is there, and with [`Phases::RESPONSE_BODY`] its body. The request can be read,
    /// as it went upstream.
    ///
    /// # Errors
    /// As for `on_request`.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn on_response(&self, request: &Request, response: &mut Response) -> Result {
        Ok(Flow::Next)
    }

    /// The body of a request begins to pass, where [`Phases::REQUEST_STREAM`] was asked for: makes what it passes
    /// through. Called after `on_request`, and the last that sees the request: what the stream must know of it goes in
    /// there.
    ///
    /// # Errors
    /// As for `on_request`.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn request_stream(&self, request: &Request) -> Result<Box<dyn Stream>> {
        Ok(Box::new(AsItComes))
    }

    /// The body of a response begins to pass, where [`Phases::RESPONSE_STREAM`] was asked for. Called after
    /// `on_response`.
    ///
    /// # Errors
    /// As for `on_request`.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn response_stream(&self, request: &Request, response: &Response) -> Result<Box<dyn Stream>> {
        Ok(Box::new(AsItComes))
    }

    /// The exchange is over and on record (access log, metrics, span); nothing can be changed any more, no attribute
    /// either. Without a response, it was aborted before one came.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn on_complete(&self, request: &Request, response: Option<&Response>) {}
}
