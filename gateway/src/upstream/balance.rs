//! Which endpoint a request goes to: by turns, at random, by what it carries, or to the one that has the least to do.

mod asked;
pub(super) mod hash;
mod pick;
mod spread;
mod sticky;
mod turn;

pub use asked::Asked;
pub use pick::Tried;
pub(super) use spread::Spread;
pub(super) use turn::Turn;
