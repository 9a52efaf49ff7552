//! Where requests go: named groups of endpoints, and the way to get a request there and its answer back.
//!
//! Nothing here knows of exchanges, plugins or workers: a [`Client`] belongs to a thread, whichever it is, and what
//! outlives a reload stands in the [`Registry`].

mod admission;
mod answer;
mod asked;
mod body;
mod breaker;
mod budget;
mod checks;
mod connect;
mod drains;
mod endpoint;
mod error;
mod failures;
mod fetch;
mod fleet;
mod followed;
mod force;
mod group;
mod h1;
mod h2;
mod hash;
mod held;
mod known;
mod learn;
mod learner;
mod listed;
mod member;
mod members;
mod outcome;
mod outlier;
mod pass;
mod pick;
mod places;
mod pool;
mod probe;
mod registry;
mod replay;
mod send;
mod shifts;
mod silence;
mod slots;
mod spread;
mod standing;
mod sticky;
mod tally;
#[cfg(test)]
mod tests;
mod timer;
mod times;
mod tls;
mod tunnel;
mod turn;
mod unix;
mod way;
mod window;

pub use answer::Learnt;
pub use asked::Asked;
pub use body::ResponseBody;
pub use checks::Checks;
pub use endpoint::{Endpoint, Picked};
pub use error::SendError;
pub use fetch::{FetchError, SubRequest, fetch};
pub use fleet::Fleet;
pub use followed::{Followed, Learned};
pub use group::{Again, Connections, Upstream};
pub use h1::Message;
#[cfg(any(test, feature = "fuzzing"))]
pub use h1::properties;
pub use held::{BreakerState, Held};
pub use members::{Member, Members};
pub use pass::Pass;
pub use pick::Tried;
pub use places::Open;
pub use pool::Client;
pub use registry::Registry;
pub use replay::Replayable;
pub use send::{Order, send};
pub use standing::{Obstacle, Reason, Standing};
pub use times::Times;
pub use tunnel::Tunnel;
