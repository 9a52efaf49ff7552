//! The ground floor: what a plugin and the gateway tell each other, as plain data.
//!
//! The hosts take and return these types, and the author's functions above call the hosts. So nothing here calls a
//! host; the public paths of these types are re-exports, beside the functions that belong to them.

pub(crate) mod answer;
pub(crate) mod edit;
pub(crate) mod flow;
pub(crate) mod level;
pub(crate) mod phases;
pub(crate) mod quota;
pub(crate) mod state;
pub(crate) mod subrequest;
pub(crate) mod wants;
