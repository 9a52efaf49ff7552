//! Which endpoints are well: they are asked, and watched while they serve.

mod checks;
mod outlier;
mod probe;

pub use checks::Checks;
