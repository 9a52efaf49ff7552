//! Where copies of a request go.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::config::{self, Config, Mirror};

/// What a mirror of a route does.
#[derive(Debug, Serialize)]
pub struct Copies {
    /// Where copies go.
    pub upstream: String,
    /// Its endpoints.
    pub endpoints: Vec<String>,
    /// The share of requests that are copied.
    pub ratio: f64,
}

/// The copies of a route's requests.
pub(super) fn of(config: &Config, route: &config::Route) -> Vec<Copies> {
    let copies = |mirror: &Mirror| {
        let (name, upstream) = config.upstreams.get_index(mirror.upstream.0)?;
        Some(Copies {
            upstream: name.to_string(),
            endpoints: upstream.places(),
            ratio: mirror.ratio,
        })
    };
    route.mirrors.iter().filter_map(copies).collect()
}

impl Display for Copies {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            upstream,
            endpoints,
            ratio,
        } = self;
        let endpoints = endpoints.join(", ");
        write!(f, "mirror {upstream} ({endpoints}), ")?;
        match ratio {
            1.0 => writeln!(f, "all requests"),
            ratio => writeln!(f, "{ratio} of the requests"),
        }
    }
}
