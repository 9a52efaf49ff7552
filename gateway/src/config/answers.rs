//! What the gateway answers itself, wherever it may be said: `respond`, `errors`, `fallback`.

mod errors;
mod fallback;
mod holes;
mod message;
mod outcomes;
mod respond;

pub(super) use errors::errors;
pub(super) use fallback::fallback;
pub(super) use outcomes::outcomes;
pub(super) use respond::respond;
