//! A whole response: what a plugin answers by itself.

use serde::Serialize;

/// A response that the plugin makes: status, header fields, body. The gateway adds the framing.
///
/// ```
/// use gateway_plugin_sdk::Answer;
///
/// let answer = Answer::new(403).header("cache-control", "no-store").problem("Forbidden", "Not on the list.");
/// assert_eq!(answer.value("content-type"), Some("application/problem+json"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code, 200 to 599.
    pub status: u16,
    /// The header fields in order: lower-case name, value.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// RFC 9457, section 3.1. Without a type of its own a problem is `about:blank`, which may be left out.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Answer {
    /// An empty answer with this status code.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header field and keeps those of the same name. The gateway leaves out a field that is
    /// [its own](crate::fields::is_reserved).
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body as it is, without a content type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a body of plain text in UTF-8.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.content("text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// Sets a body of JSON.
    ///
    /// # Panics
    /// If the value has no form in JSON: a map whose keys are not strings, or a `Serialize` that fails.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.content(
            "application/json",
            serde_json::to_vec(value).expect("the value has a form in JSON"),
        )
    }

    /// Sets a body of `application/problem+json` (RFC 9457): `title` names the kind of problem, `detail` explains
    /// this occurrence to the client.
    #[must_use]
    pub fn problem(self, title: &str, detail: &str) -> Self {
        let problem = Problem {
            title,
            status: self.status,
            detail,
        };
        let body =
            serde_json::to_vec(&problem).expect("two strings and a number have a form in JSON");
        self.content("application/problem+json", body)
    }

    /// The first header field of that name, if it is UTF-8.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    fn content(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.headers.retain(|(name, _)| name != "content-type");
        self.body = body;
        self.header("content-type", content_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_carries_title_status_and_detail() {
        let answer = Answer::new(429).problem("Too Many Requests", "Wait \"a\" second.");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "title": "Too Many Requests", "status": 429, "detail": "Wait \"a\" second." })
        );
    }

    #[test]
    fn the_last_body_decides_the_content_type() {
        let answer = Answer::new(200).text("a").json(&[1, 2]);
        assert_eq!(
            answer.headers,
            [("content-type".to_owned(), b"application/json".to_vec())]
        );
        assert_eq!(answer.body, b"[1,2]");
    }
}
