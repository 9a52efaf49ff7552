//! `respond`.

use std::sync::Arc;

use http::StatusCode;

use super::holes::Holes;
use super::message;
use crate::config::description::Words;
use crate::config::model::Respond;
use crate::config::table::{Default, Table};

static WORDS: Words = Words {
    about: "An answer of the gateway's own. In the values and the body, `{name}` stands for a parameter of the path, and \
            `{host}`, `{hostname}`, `{path}`, `{query}`, `{method}`, `{client}`, `{request_id}`, `{header.NAME}`, \
            `{query.NAME}` and `{cookie.NAME}` for those of the request; what is not there is empty.",
    keys: &[
        ("status", "The status."),
        (
            "headers",
            "Header fields, by name. A name between braces that stands for nothing is a fault, `{name|default}` has \
             a default, `{{` and `}}` stand for braces. A request whose values no field may have is refused with 400.",
        ),
        (
            "body",
            "The body. Braces around anything else are text, as in JSON. Values are escaped as its `content-type` \
             wants it: as in a string of JSON, as in HTML or XML, in plain text not at all. Unless that is given, it is \
             `application/json` for JSON, `text/html` for what begins as HTML, else `text/plain`.",
        ),
    ],
    example: "",
};

/// An answer of the gateway's own; `params` are those of the path.
pub(in crate::config) fn respond(table: &mut Table<'_>, params: &[Arc<str>]) -> Option<Respond> {
    table.words(&WORDS);
    let holes = Holes {
        params,
        of_failure: false,
    };
    let status = table.or("status", Default::Integer(200), message::status);
    let mut headers = match table.item_unshown("headers") {
        Some(item) => {
            table.show("headers", item.node.masked_by_name());
            message::headers(&item, holes)
        }
        None => Vec::new(),
    };
    let body = table.or("body", Default::Text(""), |item| {
        Some(item.text()?.to_owned())
    });
    if message::is_bodiless(status) && !body.is_empty() {
        table.fault("body", bodiless(status));
    }
    let body = message::body(&body, false, holes, &mut headers);
    Some(Respond {
        status,
        headers,
        body,
    })
}

/// What is said of a body that cannot go out.
pub(super) fn bodiless(status: StatusCode) -> String {
    let status = status.as_u16();
    format!("a response with {status} has no body; leave it out")
}
