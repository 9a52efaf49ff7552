//! A body that passes through a plugin.

use crate::{Request, Result};

/// A body of one exchange on its way through a plugin. What must be remembered from one chunk to the next stands here: the
/// plugin itself serves other exchanges before and after.
///
/// A body that breaks off ends without a call, and what stands here ends with the instance.
pub trait Stream {
    /// The next bytes; returns what goes on in their place, for now. In the body of a request, everything of `request`
    /// reads as empty: another phase may have the exchange at the same time.
    ///
    /// # Errors
    /// The plugin's own failure. Before anything was returned for a chunk, `on_error` decides; after that, the body
    /// breaks.
    fn chunk(&mut self, request: &Request, chunk: Vec<u8>) -> Result<Vec<u8>>;

    /// The body is over: returns what was kept back, and the trailers. It is not called for a body that breaks off.
    ///
    /// # Errors
    /// As for `chunk`.
    #[expect(
        unused_variables,
        reason = "a default that does nothing keeps the names for the documentation"
    )]
    fn end(&mut self, request: &Request, trailers: Trailers) -> Result<Ending> {
        Ok(trailers.into())
    }
}

/// The fields behind a body (RFC 9110, section 6.5), of which the grants show what may be read.
pub type Trailers = Vec<(String, Vec<u8>)>;

/// The end of a body: `Ending::from(trailers)` keeps nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The bytes that are still to go.
    pub chunk: Vec<u8>,
    /// The trailers that go on in place of those that came.
    pub trailers: Trailers,
}

impl From<Trailers> for Ending {
    fn from(trailers: Trailers) -> Self {
        Self {
            chunk: Vec::new(),
            trailers,
        }
    }
}

impl Ending {
    /// With these bytes before the end.
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Vec<u8>>) -> Self {
        self.chunk = chunk.into();
        self
    }
}

/// Passes a body on as it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsItComes;

impl Stream for AsItComes {
    fn chunk(&mut self, _: &Request, chunk: Vec<u8>) -> Result<Vec<u8>> {
        Ok(chunk)
    }
}
