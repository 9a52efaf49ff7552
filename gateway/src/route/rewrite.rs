//! What changes of path and host on the way upstream.

use http::uri::PathAndQuery;

use crate::config::PathRewrite;

/// The path after its rewrite; none where it stays as it is, or where the result would be no path.
pub fn path(rewrite: &PathRewrite, from: &PathAndQuery) -> Option<PathAndQuery> {
    let path = match rewrite {
        PathRewrite::Keep => return None,
        PathRewrite::Strip { strip, prefix } => {
            let rest = from.path().strip_prefix(strip.as_str())?;
            // `/api` must not take its letters off `/apis`.
            if !rest.is_empty() && !rest.starts_with('/') && !strip.ends_with('/') {
                return None;
            }
            let slash = if rest.starts_with('/') || (rest.is_empty() && !prefix.is_empty()) {
                ""
            } else {
                "/"
            };
            format!("{}{slash}{rest}", prefix.trim_end_matches('/'))
        }
        PathRewrite::Regex { regex, to } => {
            regex.replace_all(from.path(), to.as_str()).into_owned()
        }
    };
    let full = match from.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    full.starts_with('/')
        .then(|| full.try_into().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(strip: &str, prefix: &str, from: &str) -> Option<String> {
        let rewrite = PathRewrite::Strip {
            strip: strip.into(),
            prefix: prefix.into(),
        };
        path(&rewrite, &from.parse().unwrap()).map(|path| path.to_string())
    }

    #[test]
    fn a_stripped_prefix_ends_at_a_segment() {
        assert_eq!(strip("/api", "", "/api/x?q=1").as_deref(), Some("/x?q=1"));
        assert_eq!(strip("/api", "", "/api").as_deref(), Some("/"));
        assert_eq!(strip("/api", "", "/apis"), None);
        assert_eq!(strip("/api", "/v2", "/api/x").as_deref(), Some("/v2/x"));
        assert_eq!(strip("/api", "/v2", "/api").as_deref(), Some("/v2"));
        assert_eq!(strip("", "/v2", "/x").as_deref(), Some("/v2/x"));
    }

    #[test]
    fn a_regex_rewrites_the_path_and_leaves_the_query() {
        let rewrite = PathRewrite::Regex {
            regex: regex::Regex::new("^/a/(.*)").unwrap(),
            to: "/b/$1".into(),
        };
        let to = path(&rewrite, &"/a/1?x=/a/2".parse().unwrap()).unwrap();
        assert_eq!(to.as_str(), "/b/1?x=/a/2");
    }
}
