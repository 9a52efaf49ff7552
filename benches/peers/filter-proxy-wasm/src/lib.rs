//! Four filters for Envoy in one module, chosen by the configuration: `auth`, `rate-limit`, `transform`, `empty`.
//!
//! They do a little less than the gateway's plugins of these names: a look-up in place of a verified token, a counter
//! in shared data, four header edits. The fourth is called and does nothing.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, Status};

const LIMIT: u64 = 1_000_000;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { work: Work::Empty }));
}}

/// One of the four, as configured.
#[derive(Clone)]
enum Work {
    Auth(Rc<HashMap<String, String>>),
    RateLimit,
    Transform,
    Empty,
}

struct Root {
    work: Work,
}

impl Context for Root {}

impl RootContext for Root {
    /// The configuration is the filter's name; for `auth`, the value of `Authorization` and its owner follow, each on
    /// a line of its own.
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        self.work = match lines.as_slice() {
            ["auth", credential, owner] => Work::Auth(Rc::new(HashMap::from([(
                (*credential).to_owned(),
                (*owner).to_owned(),
            )]))),
            ["rate-limit"] => Work::RateLimit,
            ["transform"] => Work::Transform,
            ["empty"] => Work::Empty,
            _ => return false,
        };
        true
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange {
            work: self.work.clone(),
            remaining: 0,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Exchange {
    work: Work,
    remaining: u64,
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        match &self.work {
            Work::Auth(owners) => {
                let credential = self.get_http_request_header("authorization");
                let Some(owner) = credential.and_then(|value| owners.get(&value)) else {
                    self.send_http_response(401, Vec::new(), None);
                    return Action::Pause;
                };
                self.set_http_request_header("x-user", Some(owner));
            }
            Work::RateLimit => {
                let Some(used) = self.count() else {
                    self.send_http_response(503, Vec::new(), None);
                    return Action::Pause;
                };
                if used > LIMIT {
                    self.send_http_response(429, Vec::new(), None);
                    return Action::Pause;
                }
                self.remaining = LIMIT - used;
            }
            Work::Transform => {
                self.set_http_request_header("x-from", Some("gateway"));
                self.set_http_request_header("x-api-key", None);
            }
            Work::Empty => {}
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        match &self.work {
            Work::RateLimit => {
                let remaining = self.remaining.to_string();
                self.set_http_response_header("x-ratelimit-remaining", Some(&remaining));
            }
            Work::Transform => self.set_http_response_header("x-served-by", Some("gateway")),
            Work::Auth(_) | Work::Empty => {}
        }
        Action::Continue
    }
}

impl Exchange {
    /// Counts one more request of its owner in this second; `None` if the store refuses.
    fn count(&self) -> Option<u64> {
        let owner = self.get_http_request_header("x-user").unwrap_or_default();
        let elapsed = self.get_current_time().duration_since(UNIX_EPOCH).ok()?;
        let second = elapsed.as_secs();
        loop {
            let (value, version) = self.get_shared_data(&owner);
            // Sixteen bytes: the second, and the count in it.
            let entry = value.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            let used = entry.map_or(1, |bytes| next(bytes, second));
            let mut entry = [0; 16];
            entry[..8].copy_from_slice(&second.to_le_bytes());
            entry[8..].copy_from_slice(&used.to_le_bytes());
            match self.set_shared_data(&owner, Some(&entry), version) {
                Ok(()) => return Some(used),
                Err(Status::CasMismatch) => {}
                Err(_) => return None,
            }
        }
    }
}

fn next(entry: [u8; 16], second: u64) -> u64 {
    let entry = u128::from_le_bytes(entry);
    let (then, count) = (entry as u64, (entry >> 64) as u64);
    if then == second { count + 1 } else { 1 }
}
