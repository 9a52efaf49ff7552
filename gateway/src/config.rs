//! The one loader: from `gateway.toml` to a typed [`Config`], or every mistake at once.

mod model;
mod units;

pub use model::*;
pub use units::Secret;
