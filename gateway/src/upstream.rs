//! Where requests go: named groups of endpoints, and the way to get a request there and its answer back.
//!
//! Nothing here knows of exchanges, plugins or workers: a [`Client`] belongs to a thread, whichever it is, and what
//! outlives a reload stands in the [`Registry`].

mod balance;
mod body;
mod breaker;
mod connect;
mod discovery;
mod endpoint;
mod error;
mod group;
mod h1;
mod h2;
mod health;
mod pool;
mod registry;
mod send;
#[cfg(test)]
mod tests;
mod times;
mod tls;
mod tunnel;

pub use balance::{Asked, Tried};
pub use body::ResponseBody;
pub use breaker::{BreakerState, Held, Pass};
pub use discovery::{Followed, Learned, Learnt};
pub use endpoint::{Endpoint, Fleet, Member, Members, Obstacle, Picked, Reason, Standing};
pub use error::SendError;
pub use group::{Again, Connections, Upstream};
pub use h1::Message;
#[cfg(any(test, feature = "fuzzing"))]
pub use h1::properties;
pub use health::Checks;
pub use pool::{Client, Open};
pub use registry::Registry;
pub use send::{FetchError, Order, Replayable, SubRequest, fetch, send};
pub use times::Times;
pub use tunnel::Tunnel;
