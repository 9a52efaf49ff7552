//! What routing looks at.

use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method};

use crate::message::peer::Address;

/// What routing looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Index of the listener.
    pub listener: usize,
    /// Host without port, lower case.
    pub host: &'a str,
    /// The normalised path.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The client, behind trusted proxies.
    pub client: Address,
    /// When it came.
    pub moment: &'a Moment,
    /// The parameters of host and path; none where the route is still to be found.
    pub params: &'a [(Arc<str>, String)],
}

/// A time that is read when it is asked for, once: of two routes of which one ends when the other begins, a request takes
/// one.
#[derive(Debug, Default)]
pub struct Moment(Cell<Option<SystemTime>>);

impl Moment {
    /// The moment; the first that asks makes it now.
    pub fn time(&self) -> SystemTime {
        let time = self.0.get().unwrap_or_else(SystemTime::now);
        self.0.set(Some(time));
        time
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self(Cell::new(Some(time)))
    }
}
