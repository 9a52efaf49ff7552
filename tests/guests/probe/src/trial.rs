//! One edit that the query names, to try which fields the grants allow.

use gateway_plugin_sdk::prelude::*;
use serde_json::json;

use crate::shown::told;

/// One edit of the field `name` of the query, in the way that `by` names; on the request, or on the `of=response`.
pub(crate) struct Trial {
    name: String,
    by: String,
    of_response: bool,
}

impl Trial {
    pub(crate) fn read(request: &Request) -> Self {
        let query = |name| request.query_param(name).unwrap_or_default();
        Self {
            name: query("name"),
            by: query("by"),
            of_response: query("of") == "response",
        }
    }

    fn batch(&self) -> [Edit<'_>; 1] {
        [if self.of_response {
            Edit::set_response_header(&self.name, b"tried")
        } else {
            Edit::set_header(&self.name, b"tried")
        }]
    }

    pub(crate) fn on_request(&self, request: &mut Request) -> Result<(), HeaderError> {
        let name = &*self.name;
        if self.by == "batch" {
            return request.edit(&self.batch()).map_err(|error| error.why);
        }
        if self.of_response {
            let mut response = request.response();
            return match &*self.by {
                "append" => response.append_header(name, "tried"),
                "remove" => response.remove_header(name),
                _ => response.set_header(name, "tried"),
            };
        }
        match &*self.by {
            "append" => request.append_header(name, "tried"),
            "remove" => request.remove_header(name),
            _ => request.set_header(name, "tried"),
        }
    }

    pub(crate) fn on_response(&self, response: &mut Response) -> Result<(), HeaderError> {
        let name = &*self.name;
        match &*self.by {
            "append" => response.append_header(name, "tried"),
            "remove" => response.remove_header(name),
            "batch" => response.edit(&self.batch()).map_err(|error| error.why),
            _ => response.set_header(name, "tried"),
        }
    }

    /// An edit that was made shows where it belongs; one that was not is told.
    pub(crate) fn end(&self, function: &str, made: Result<(), HeaderError>) -> Flow {
        match made {
            Ok(()) => Flow::Next,
            Err(error) => told(function, json!(error.to_string())),
        }
    }
}
