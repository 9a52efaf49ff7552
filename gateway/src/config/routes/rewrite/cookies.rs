//! `routes.rewrite.cookies`.

use super::super::super::description::Words;
use super::super::super::item::Item;
use super::super::super::model::{CookieDomain, CookieRewrite};
use super::super::super::patterns;
use super::super::super::reason::Reason;
use super::super::super::table::{Default, Table};

static WORDS: Words = Words {
    about: "What changes of each `Set-Cookie` of the upstream's answer.",
    keys: &[
        (
            "domain",
            "What stands for its `Domain`, where it has one. `false` takes it away: the cookie is then the host's alone.",
        ),
        (
            "path",
            "What stands for its `Path`, where it has one. A cookie `__Host-..` keeps its own.",
        ),
        ("secure", "Whether each gets `Secure`, if it has it not."),
    ],
    example: "",
};

/// What changes of cookies.
pub(super) fn cookies(table: &mut Table<'_>) -> CookieRewrite {
    table.words(&WORDS);
    let cookies = CookieRewrite {
        domain: table.optional("domain", domain),
        path: table.optional("path", path),
        secure: table.or("secure", Default::Bool(false), |item| item.bool()),
    };
    if !(table.has("domain") || table.has("path") || table.has("secure")) {
        table.fault_here("changes nothing; write `domain`, `path` or `secure`");
    }
    cookies
}

fn domain(item: &Item<'_>) -> Option<CookieDomain> {
    if item.is_false() {
        return Some(CookieDomain::None);
    }
    let name = item.text_as("a domain such as \"example.com\", or false for none")?;
    let sound = match name.strip_prefix('.') {
        Some(rest) => Err(Reason::repeating(
            "write \"{}\": a cookie is for the domain and all below it",
            [&rest],
        )),
        None => patterns::labels(name),
    };
    match sound {
        Ok(()) => Some(CookieDomain::Name(name.to_ascii_lowercase())),
        Err(reason) => {
            let (value, reason) = (item.quoted(), item.told(&reason));
            item.fault(format!("{value} is no domain of a cookie: {reason}"));
            None
        }
    }
}

/// RFC 6265, section 4.1.1.
fn path(item: &Item<'_>) -> Option<String> {
    let text = item.text_as("a path such as \"/\"")?;
    let reason = match text.chars().find(|c| !c.is_ascii_graphic() || *c == ';') {
        _ if !text.starts_with('/') => "it starts with `/`".into(),
        Some(odd) => Reason::repeating("it cannot have {}", [&format!("{odd:?}")]),
        None => return Some(text.to_owned()),
    };
    let (value, reason) = (item.quoted(), item.told(&reason));
    item.fault(format!("{value} is no path of a cookie: {reason}"));
    None
}
