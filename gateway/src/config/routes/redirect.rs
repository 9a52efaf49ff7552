//! `routes.redirect`.

use http::StatusCode;

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{Redirect, RedirectValue, is_behind_path};
use super::super::reason::Reason;
use super::super::suggest;
use super::super::table::{Default, Table};
use super::super::template::Template;
use crate::message::path;

static WORDS: Words = Words {
    about: "An answer that sends the client elsewhere.",
    keys: &[
        ("status", "301, 302, 303, 307 or 308."),
        (
            "to",
            "Where to: a URL, or a path on the same host. `{path}`, `{query}` and `{host}` stand for those of the \
             request, `{hostname}` for the host without its port, `{?query}` for the query with its question mark. \
             `{query}` has its place behind a `?`; where the request has none, neither that `?` nor the `&` that would \
             join it to the rest is sent. What fills a hole is never filled again. A location with a dot segment or \
             `//` in its path is never sent: it is a fault, or a 500 where it depends on the request.",
        ),
    ],
    example: "",
};

/// The answer that sends the client elsewhere.
pub(super) fn redirect(table: &mut Table<'_>) -> Option<Redirect> {
    table.words(&WORDS);
    let status = table.or("status", Default::Integer(308), |item| {
        let number = item.integer(100..=599)?;
        if ![301, 302, 303, 307, 308].contains(&number) {
            let reason = Reason::repeating(
                "{} is no redirect; write 301, 302, 303, 307 or 308",
                [&number],
            );
            item.fault(item.told(&reason));
            return None;
        }
        StatusCode::from_u16(u16::try_from(number).ok()?).ok()
    });
    let to = table.required("to", "to = \"https://example.com{path}\"", location)?;
    let (to, written) = to;
    Some(Redirect {
        to,
        written,
        status,
    })
}

fn location(item: &Item<'_>) -> Option<(Template<RedirectValue>, String)> {
    let text = item.text_as("a URL such as \"https://example.com{path}\", or a path")?;
    let quoted = item.quoted();
    let absolute = text.starts_with("https://") || text.starts_with("http://");
    if !absolute && (!text.starts_with('/') && !text.starts_with("{path}")) {
        item.fault(format!(
            "{quoted} is no place to go; write a URL with http:// or https://, or a path with `/` first"
        ));
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        item.fault(format!(
            "{quoted} can be no URL: white space and what is not ASCII has to be percent-encoded"
        ));
        return None;
    }
    let template = Template::or_faults(Template::parse_with(text, redirect_value), item)?;
    match probe(&template) {
        Ok(()) => {
            let shown = match item.is_outside() {
                true => "***",
                false => text,
            };
            Some((template, shown.to_owned()))
        }
        Err(reason) => {
            item.fault(format!("{quoted}: {}", item.told(&reason)));
            None
        }
    }
}

/// Whether the location can be one at all: it is, for a request that is as plain as can be.
fn probe(to: &Template<RedirectValue>) -> Result<(), Reason> {
    let mut misplaced = None;
    to.write(&mut Vec::new(), b"", |before, value| {
        let is_behind_path = is_behind_path(before);
        let (stands_in, fault) = match value {
            RedirectValue::Host | RedirectValue::Hostname => ("host", None),
            RedirectValue::Path if before.ends_with(b"/") && !is_behind_path => {
                let fault = "`{path}` begins with a `/` of its own; leave out the one before it";
                ("/path", Some(fault))
            }
            RedirectValue::Path => ("/path", None),
            RedirectValue::Query if is_behind_path => ("query", None),
            RedirectValue::Query => {
                let fault = "`{query}` comes without its `?`; write `{?query}`, behind the path";
                ("query", Some(fault))
            }
            RedirectValue::MarkedQuery if is_behind_path => {
                let fault = "`{?query}` brings a `?` of its own; write `{query}` behind another, as in `?a=1&{query}`";
                ("query", Some(fault))
            }
            RedirectValue::MarkedQuery => ("?query", None),
        };
        misplaced = misplaced.or(fault);
        before.extend_from_slice(stands_in.as_bytes());
        true
    });
    if let Some(fault) = misplaced {
        return Err(fault.into());
    }
    let location = to.location(b"host", "/path", "query");
    if location.starts_with(b"//") {
        return Err("`//` leads to another host; write its scheme, too".into());
    }
    path::of_location(&location).map_err(|unfit| Reason::own(unfit.to_string()))
}

fn redirect_value(name: &str) -> Result<RedirectValue, Reason> {
    match name {
        "path" => Ok(RedirectValue::Path),
        "query" => Ok(RedirectValue::Query),
        "?query" => Ok(RedirectValue::MarkedQuery),
        "host" => Ok(RedirectValue::Host),
        "hostname" => Ok(RedirectValue::Hostname),
        _ => {
            let names = ["path", "query", "?query", "host", "hostname"];
            let remedy = suggest::remedy(name, names, "there are");
            let reason = Reason::repeating("has `{{}}`, which stands for nothing here", [&name]);
            Err(reason.and(remedy))
        }
    }
}
