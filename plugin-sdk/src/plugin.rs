//! The trait that a plugin implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{ConfigError, Flow, Phases, Request, Response, Result};

/// A policy under one configuration.
///
/// The gateway keeps many instances of a component and configures each once per distinct configuration, so a
/// field of `self` is neither shared by all requests nor private to one: what must be shared goes into
/// [`state`](crate::state), what belongs to one exchange into its attributes. An instance ends with its memory, as a
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

    /// The calls that this configuration wants. Asked once, after `configure`.
    fn phases(&self) -> Phases {
        Phases::REQUEST
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

    /// A chunk of the request body came; returns what goes upstream in its place. `last` comes once, with the last
    /// chunk or with an empty one.
    ///
    /// # Errors
    /// As for `on_request`; the exchange is aborted.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn on_request_chunk(&self, request: &Request, chunk: Vec<u8>, last: bool) -> Result<Vec<u8>> {
        Ok(chunk)
    }

    /// A chunk of the response body came; returns what goes to the client in its place.
    ///
    /// # Errors
    /// As for `on_request_chunk`.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn on_response_chunk(
        &self,
        request: &Request,
        response: &Response,
        chunk: Vec<u8>,
        last: bool,
    ) -> Result<Vec<u8>> {
        Ok(chunk)
    }

    /// The exchange is over; nothing can be changed any more. Without a response, it was aborted before one came.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn on_complete(&self, request: &Request, response: Option<&Response>) {}
}
