//! Endpoints that are found by the DNS: what it says of a name, and who comes and goes with it.

mod answer;
mod followed;
mod known;

pub use answer::Learnt;
pub(super) use followed::members;
pub use followed::{Followed, Learned};
pub(super) use known::Endpoints;
