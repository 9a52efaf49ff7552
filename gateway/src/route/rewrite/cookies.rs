//! The cookies that an answer sets, as the client sees this gateway.

use http::HeaderValue;

use crate::config::{CookieDomain, CookieRewrite};

/// A `Set-Cookie` with another Domain and Path (RFC 6265, section 4.1); none where it stays.
///
/// A Domain is replaced or taken away where the cookie has one, a Path where it has one. A cookie whose name begins with
/// `__Host-` keeps its path: with another than `/` no browser takes it.
pub fn cookie(rewrite: &CookieRewrite, value: &HeaderValue) -> Option<HeaderValue> {
    let mut pieces = value.as_bytes().split(|byte| *byte == b';');
    let pair = pieces.next().unwrap_or_default();
    let is_bound = is_prefixed(pair.trim_ascii_start(), b"__Host-");
    let (mut made, mut changed, mut is_secure) = (pair.to_vec(), false, false);
    for piece in pieces {
        let name = piece.split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        let new = if name.eq_ignore_ascii_case(b"domain") {
            rewrite.domain.as_ref().map(|domain| match domain {
                CookieDomain::None => None,
                CookieDomain::Name(name) => Some(("Domain", name)),
            })
        } else if name.eq_ignore_ascii_case(b"path") && !is_bound {
            rewrite.path.as_ref().map(|path| Some(("Path", path)))
        } else {
            is_secure |= name.eq_ignore_ascii_case(b"secure");
            None
        };
        match new {
            None => {
                made.push(b';');
                made.extend_from_slice(piece);
            }
            Some(new) => {
                changed = true;
                if let Some((name, value)) = new {
                    made.extend_from_slice(format!("; {name}={value}").as_bytes());
                }
            }
        }
    }
    if rewrite.secure && !is_secure {
        changed = true;
        made.extend_from_slice(b"; Secure");
    }
    changed
        .then(|| HeaderValue::from_bytes(&made).ok())
        .flatten()
}

fn is_prefixed(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_and_path_are_replaced_where_they_are_and_nothing_else_is() {
        let named = CookieRewrite {
            domain: Some(CookieDomain::Name("example.com".into())),
            path: Some("/shop".into()),
            secure: false,
        };
        let bare = CookieRewrite {
            domain: Some(CookieDomain::None),
            path: None,
            secure: true,
        };
        for (rewrite, from, to) in [
            (
                &named,
                "a=b; Domain=app.internal; Path=/; HttpOnly",
                "a=b; Domain=example.com; Path=/shop; HttpOnly",
            ),
            (
                &named,
                "a=\"b=c\";domain = .x ;PATH;SameSite=Lax",
                "a=\"b=c\"; Domain=example.com; Path=/shop;SameSite=Lax",
            ),
            (&named, "a=b; HttpOnly", "a=b; HttpOnly"),
            (&named, "path=/; domains=x", "path=/; domains=x"),
            (
                &named,
                "__Host-a=b; Path=/; Secure",
                "__Host-a=b; Path=/; Secure",
            ),
            (&bare, "a=b; Domain=x; Path=/y", "a=b; Path=/y; Secure"),
            (&bare, "a=b; secure; domain=x", "a=b; secure"),
            (&bare, "a=b; SECURE", "a=b; SECURE"),
        ] {
            let value = HeaderValue::from_str(from).unwrap();
            let made = cookie(rewrite, &value).unwrap_or(value);
            assert_eq!(made, to, "{from}");
        }
    }

    #[test]
    fn what_is_no_text_stays_what_it_is() {
        let rewrite = CookieRewrite {
            domain: Some(CookieDomain::Name("example.com".into())),
            path: None,
            secure: false,
        };
        let value = HeaderValue::from_bytes(b"a=\xff; Domain=x; Comment=\xfe").unwrap();
        let made = cookie(&rewrite, &value).unwrap();
        assert_eq!(made.as_bytes(), b"a=\xff; Domain=example.com; Comment=\xfe");
    }
}
