//! HTTP/2 as a client, by h2: a connection to an endpoint carries many requests at once, in a task of its own. A worker
//! has one to an endpoint, and another only while those that are there carry as many as the endpoint allows.

mod body;
mod connection;
mod fate;
mod frames;
mod kept;
mod line;
mod opening;
mod request;
mod reserve;
mod state;
mod stream;
mod upload;
mod wire;

pub(super) use body::Body;
pub(super) use fate::{Fate, Unanswered};
pub(super) use line::Line;
pub(super) use reserve::{Reserved, reserve};
