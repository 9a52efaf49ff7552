//! The places that an answer names, as the client sees them.

use http::HeaderValue;

use super::{first_segments, stripped};
use crate::config::PathRewrite;

/// What a client calls the places that its upstream names in an answer.
#[derive(Debug)]
pub struct Public<'a> {
    /// What became of the path on the way upstream.
    pub rewrite: &'a PathRewrite,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// Host and port that the client asked for; empty where it named none.
    pub authority: &'a str,
    /// The path that it asked for.
    pub path: &'a str,
    /// Hosts, perhaps with a port, that stand for the upstream: those of its endpoints, and the `Host` that it got.
    pub upstream: Vec<&'a str>,
}

/// A URL of http, https or the scheme of the page that names it, in parts.
struct Url<'a> {
    /// Whether it is https; none where it names no scheme.
    secure: Option<bool>,
    authority: &'a str,
    /// Path, query and fragment.
    rest: &'a str,
}

impl Public<'_> {
    /// A `Location` or `Content-Location` (RFC 9110, sections 10.2.2 and 8.7); none where it stays: another host's, or a
    /// reference without a leading slash, which the client resolves against its own path.
    pub fn location(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = str::from_utf8(value.as_bytes()).ok()?;
        HeaderValue::from_bytes(self.reference(text)?.as_bytes()).ok()
    }

    /// A `Refresh`, whose URL stands behind `url=`.
    pub fn refresh(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = str::from_utf8(value.as_bytes()).ok()?;
        let is_here = |start: &usize| {
            let word = text.as_bytes().get(*start..start + 4);
            word.is_some_and(|word| word.eq_ignore_ascii_case(b"url="))
        };
        let (before, target) = text.split_at((0..text.len()).find(is_here)? + 4);
        let target = target.trim_start();
        let quote = target
            .chars()
            .next()
            .filter(|first| matches!(first, '"' | '\''));
        let open = quote.map_or(0, char::len_utf8);
        let (target, behind) = match quote.and_then(|quote| target[open..].find(quote)) {
            Some(end) => target[open..].split_at(end),
            None => (&target[open..], ""),
        };
        let quote = quote.map(String::from).unwrap_or_default();
        let made = self.reference(target)?;
        HeaderValue::from_bytes([before, &quote, &made, behind].concat().as_bytes()).ok()
    }

    fn reference(&self, text: &str) -> Option<String> {
        if let Some(url) = Url::parse(text) {
            return self.url(&url);
        }
        if !text.starts_with('/') {
            return None;
        }
        let (path, behind) = split_path(text);
        // Browsers drop tabs and resolve dot segments, after which it may lead elsewhere: it stays as it is.
        if text.bytes().any(|byte| byte.is_ascii_control()) || has_dots(path) {
            return None;
        }
        let made = self.path(path)?;
        // A reference that begins so names a host.
        let origin = match made.starts_with("//") || made.starts_with("/\\") {
            false => String::new(),
            true if self.authority.is_empty() => return None,
            true => self.origin(self.secure),
        };
        Some(origin + &made + behind)
    }

    fn url(&self, url: &Url<'_>) -> Option<String> {
        if self.authority.is_empty() {
            return None;
        }
        let secure = url.secure.unwrap_or(self.secure);
        let is = |name: &&str| is_same(url.authority, name, secure);
        if !self.upstream.iter().any(&is) {
            return None;
        }
        // The host that the client asked for may send it from http to https, but does not have to know of the latter.
        let is_public = is(&self.authority);
        let secure = self.secure || (is_public && secure);
        let origin = match url.secure {
            Some(_) => self.origin(secure),
            None => format!("//{}", self.authority),
        };
        let (path, behind) = split_path(url.rest);
        let asked = if path.is_empty() { "/" } else { path };
        let made = self.path(asked);
        Some(origin + made.as_deref().unwrap_or(path) + behind)
    }

    fn origin(&self, secure: bool) -> String {
        let scheme = if secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// The path by which a client asks for what the upstream calls so; none where the two are the same, and where that
    /// is not known.
    fn path(&self, path: &str) -> Option<String> {
        match self.rewrite {
            PathRewrite::Keep | PathRewrite::Regex { .. } => None,
            _ if self.path == "*" => None,
            PathRewrite::Strip { strip, prefix } => stripped(prefix, strip, path),
            PathRewrite::Segments { count, prefix } => {
                let gone = first_segments(self.path, *count);
                stripped(prefix, gone.trim_end_matches('/'), path)
            }
        }
    }
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (secure, behind) = match text.split_once(':') {
            Some((scheme, behind)) if scheme.eq_ignore_ascii_case("https") => (Some(true), behind),
            Some((scheme, behind)) if scheme.eq_ignore_ascii_case("http") => (Some(false), behind),
            _ => (None, text),
        };
        let behind = behind.strip_prefix("//")?;
        let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
        let (authority, rest) = behind.split_at(end);
        Some(Self {
            secure,
            authority,
            rest,
        })
    }
}

/// Whether a segment of a path is `.` or `..`, however it is written.
fn has_dots(path: &str) -> bool {
    let mut segments = path.split('/');
    segments.any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

/// A path, and the query and fragment behind it.
fn split_path(text: &str) -> (&str, &str) {
    text.split_at(text.find(['?', '#']).unwrap_or(text.len()))
}

/// Whether two authorities of the scheme mean the same host and port.
fn is_same(one: &str, other: &str, secure: bool) -> bool {
    let own = if secure { 443 } else { 80 };
    let parts = |authority: &str| {
        let at = authority.rfind(':').filter(|_| !authority.ends_with(']'));
        match at.map(|at| (at, authority[at + 1..].parse::<u16>())) {
            None => Some((authority.len(), own)),
            Some((at, Ok(port))) => Some((at, port)),
            Some((_, Err(_))) => None,
        }
    };
    let (Some((end, port)), Some((other_end, other_port))) = (parts(one), parts(other)) else {
        return false;
    };
    port == other_port && one[..end].eq_ignore_ascii_case(&other[..other_end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "10.0.0.1:9001";

    fn public<'a>(rewrite: &'a PathRewrite, secure: bool) -> Public<'a> {
        Public {
            rewrite,
            secure,
            authority: "shop.example",
            path: "/eu/shop/cart",
            upstream: vec![ENDPOINT, "shop.internal"],
        }
    }

    fn strip(strip: &str, prefix: &str) -> PathRewrite {
        PathRewrite::Strip {
            strip: strip.into(),
            prefix: prefix.into(),
        }
    }

    fn check(public: &Public<'_>, from: &str, to: &str) {
        let made = public.location(&HeaderValue::from_str(from).unwrap());
        let made = made.map_or(from.to_owned(), |made| made.to_str().unwrap().to_owned());
        assert_eq!(made, to, "{from}");
    }

    #[test]
    fn a_url_of_the_upstream_becomes_the_clients_and_every_other_stays() {
        let rewrite = strip("/api", "/v2");
        let public = public(&rewrite, true);
        for (from, to) in [
            (
                "http://10.0.0.1:9001/v2/a?b=/v2#c",
                "https://shop.example/api/a?b=/v2#c",
            ),
            ("HTTPS://10.0.0.1:9001/v2", "https://shop.example/api"),
            ("http://Shop.Internal:80/v2/", "https://shop.example/api/"),
            ("https://shop.internal:443/v2/", "https://shop.example/api/"),
            ("//shop.internal/v2/a", "//shop.example/api/a"),
            ("http://shop.internal", "https://shop.example"),
            ("http://shop.internal?a", "https://shop.example?a"),
            // Beside the prefix: no path of a client leads there.
            ("http://shop.internal/v2x", "https://shop.example/v2x"),
            ("/v2/a?b#c", "/api/a?b#c"),
            ("/v2", "/api"),
            ("/login", "/login"),
            // Another's.
            (
                "http://shop.internal:8080/v2",
                "http://shop.internal:8080/v2",
            ),
            ("http://me@shop.internal/v2", "http://me@shop.internal/v2"),
            (
                "http://shop.internal.evil.example/",
                "http://shop.internal.evil.example/",
            ),
            (
                "http://shop.internal\\@evil.example/",
                "http://shop.internal\\@evil.example/",
            ),
            (
                "https://elsewhere.example/v2",
                "https://elsewhere.example/v2",
            ),
            ("//elsewhere.example/v2", "//elsewhere.example/v2"),
            ("mailto:a@shop.internal", "mailto:a@shop.internal"),
            ("http:/v2/a", "http:/v2/a"),
            // Relative to what the client asked for.
            ("../v2/a", "../v2/a"),
            ("?page=2", "?page=2"),
            ("", ""),
        ] {
            check(&public, from, to);
        }
    }

    #[test]
    fn a_path_gets_back_what_was_taken_off_it() {
        let segments = |count, prefix: &str| PathRewrite::Segments {
            count,
            prefix: prefix.into(),
        };
        for (rewrite, from, to) in [
            (strip("/api", ""), "/a", "/api/a"),
            (strip("/api", ""), "/", "/api/"),
            (strip("", "/v2"), "/v2/a", "/a"),
            (strip("", "/v2"), "/v2", "/"),
            (segments(1, ""), "/a", "/eu/a"),
            (segments(2, ""), "/", "/eu/shop/"),
            (segments(2, "/v2"), "/v2/a?b", "/eu/shop/a?b"),
            (segments(9, ""), "/a", "/eu/shop/cart/a"),
            (PathRewrite::Keep, "/a", "/a"),
        ] {
            check(&public(&rewrite, false), from, to);
            let absolute = format!("http://{ENDPOINT}{from}");
            let expected = format!("http://shop.example{to}");
            check(&public(&rewrite, false), &absolute, &expected);
        }
    }

    #[test]
    fn no_path_becomes_a_host() {
        let rewrite = strip("", "/v2");
        for (from, to) in [
            ("/v2//evil.example/a", "http://shop.example//evil.example/a"),
            (
                "/v2/\\evil.example/a",
                "http://shop.example/\\evil.example/a",
            ),
        ] {
            check(&public(&rewrite, false), from, to);
            let nameless = Public {
                authority: "",
                ..public(&rewrite, false)
            };
            check(&nameless, from, from);
        }
    }

    #[test]
    fn the_host_that_a_client_asked_for_may_send_it_to_https() {
        let kept = Public {
            upstream: vec!["shop.example"],
            ..public(&PathRewrite::Keep, false)
        };
        check(&kept, "https://shop.example/a", "https://shop.example/a");
        check(&kept, "http://shop.example/a", "http://shop.example/a");
        let behind_tls = Public {
            secure: true,
            ..kept
        };
        check(
            &behind_tls,
            "http://shop.example/a",
            "https://shop.example/a",
        );
    }

    #[test]
    fn a_refresh_keeps_its_seconds_and_quotes() {
        let rewrite = strip("/api", "");
        let public = public(&rewrite, false);
        for (from, to) in [
            ("5; url=/a", Some("5; url=/api/a")),
            (
                "0;URL='http://10.0.0.1:9001/a'",
                Some("0;URL='http://shop.example/api/a'"),
            ),
            ("0; url=\"/a\"; x", Some("0; url=\"/api/a\"; x")),
            ("0; url='/a", Some("0; url='/api/a")),
            ("5", None),
            ("5; url=a", None),
            ("5; url=", None),
        ] {
            let made = public.refresh(&HeaderValue::from_str(from).unwrap());
            let made = made.as_ref().map(|made| made.to_str().unwrap());
            assert_eq!(made, to, "{from}");
        }
    }
}
