//! The field Date (RFC 9110, section 6.6.1), which a server with a clock sends.

use std::cell::RefCell;
use std::time::SystemTime;

use http::HeaderValue;

thread_local! {
    /// The second that it was made for, since the epoch.
    static MADE: RefCell<(u64, HeaderValue)> =
        const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
}

/// Its value now. It is made once a second.
pub(super) fn now() -> HeaderValue {
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH);
    let second = second.map_or(0, |since| since.as_secs());
    MADE.with_borrow_mut(|(made, value)| {
        if *made != second {
            // Of letters, digits, commas, colons and spaces.
            if let Ok(fresh) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
                (*made, *value) = (second, fresh);
            }
        }
        value.clone()
    })
}
