//! The admin listener as an endpoint: whom its address or the permissions of its socket keep out comes by a route.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::model::{Admin, Upstream};
use crate::config::sections::Sections;

/// Warns of upstreams that lead to the admin listener of this configuration, where it asks for no token.
pub(in crate::config) fn warn(
    sections: &Sections<'_>,
    upstreams: &IndexMap<Arc<str>, Upstream>,
    admin: Option<&Admin>,
) {
    let Some(admin) = admin.filter(|it| it.token.is_none() && it.read_token.is_none()) else {
        return;
    };
    let own = admin.address.to_string();
    for upstream in sections.given("upstreams") {
        for (name, leads) in upstreams {
            let mut targets = leads.endpoints.iter().map(|it| it.target.to_string());
            let Some(item) = upstream.field(name).filter(|_| targets.any(|it| it == own)) else {
                continue;
            };
            let (at, key) = item.place_of("endpoints");
            let message = format!(
                "{own} is the admin listener of this gateway, which asks for no token: clients could administer it; name \
                 another endpoint, or set `admin.token`"
            );
            item.scope.warn(at, &key, message);
        }
    }
}
