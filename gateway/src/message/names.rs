//! Names of fields that not every server reads alike.
//!
//! A server in the manner of CGI (RFC 3875, section 4.1.18) makes a variable of each field: upper case, and `_` for `-`.
//! There `x_user` of a client is the field `x-user` that a plugin sets. A name is usual where it has letters, digits and
//! `-` alone: no other name becomes the same variable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use super::fields::is_usual;
use super::headers::remove_where;

/// What a client is told where a name of its request is refused.
pub const REFUSED: &str =
    "the name of a field has characters other than letters, digits and `-`, which is refused here";

/// Names of a listener that are said in the log.
const SAID: usize = 64;
/// Bytes of one of them that are.
const SAID_BYTES: usize = 64;

/// What becomes of fields with unusual names in the requests of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnusualNames {
    /// They are removed.
    #[default]
    Drop,
    /// They pass.
    Keep,
    /// The request is refused.
    Refuse,
}

/// The request has an unusual name, and is refused for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// What one connection does with unusual names.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What becomes of them.
    pub policy: UnusualNames,
    /// Where they are counted.
    pub met: Arc<Met>,
}

/// The fields with unusual names that one listener did not let pass.
#[derive(Debug, Default)]
pub struct Met {
    listener: Box<str>,
    count: AtomicU64,
    said: Mutex<Vec<Box<str>>>,
}

impl Rule {
    /// Removes what does not pass of the fields of a client's request, and counts it.
    ///
    /// An upstream that speaks HTTP/2 makes no variables, and names of gRPC may have `_` and `.`: once clients reach such
    /// upstreams, what is known of the route belongs here.
    ///
    /// # Errors
    /// Where the request is refused.
    #[cold]
    pub fn judge(&self, fields: &mut HeaderMap) -> Result<(), Refused> {
        let is_unusual = |name: &HeaderName| !is_usual(name.as_str());
        let unusual = || fields.keys().filter(|name| is_unusual(name));
        let outcome = match self.policy {
            UnusualNames::Keep => return Ok(()),
            UnusualNames::Drop => "dropped",
            UnusualNames::Refuse => "refused",
        };
        let count = unusual().map(|name| fields.get_all(name).iter().count());
        self.met.count(count.sum());
        unusual().for_each(|name| self.met.say(name.as_str(), outcome));
        if self.policy == UnusualNames::Refuse && unusual().next().is_some() {
            return Err(Refused);
        }
        remove_where(fields, is_unusual);
        Ok(())
    }
}

impl Met {
    /// Nothing met yet at the listener of this name.
    pub fn new(listener: &str) -> Self {
        Self {
            listener: listener.into(),
            ..Self::default()
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn count(&self, fields: usize) {
        self.count.fetch_add(fields as u64, Ordering::Relaxed);
    }

    /// Logs a name that was not logged before. Clients choose names: they are cut, and so many of them alone are kept.
    fn say(&self, name: &str, outcome: &str) {
        // Where another worker is about to say one, this name has its turn in a later request.
        let Some(mut said) = self.said.try_lock() else {
            return;
        };
        // Names are ASCII.
        let shown = &name[..name.len().min(SAID_BYTES)];
        if said.len() >= SAID || said.iter().any(|known| **known == *shown) {
            return;
        }
        said.push(shown.into());
        let listener = &*self.listener;
        tracing::warn!(
            listener,
            field = ?shown,
            "{outcome}: the name has characters other than letters, digits and `-`; `unusual_names` of the listener decides"
        );
        if said.len() == SAID {
            tracing::warn!(listener, "unusual_names: more names are not said");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_an_unusual_name_is_counted_and_removed() {
        let rule = Rule {
            policy: UnusualNames::Drop,
            met: Arc::default(),
        };
        let mut fields = HeaderMap::new();
        for name in ["x_user", "x_user", "x-user", "x.user"] {
            fields.append(name, "a".parse().unwrap());
        }
        assert_eq!(rule.judge(&mut fields), Ok(()));
        assert_eq!(fields.len(), 1);
        assert_eq!(rule.met.total(), 3);
    }
}
