//! `routes.redirect`.

use http::StatusCode;

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{Redirect, RedirectValue};
use super::super::suggest;
use super::super::table::{Default, Table};
use super::super::template::Template;

static WORDS: Words = Words {
    about: "An answer that sends the client elsewhere.",
    keys: &[
        ("status", "301, 302, 303, 307 or 308."),
        (
            "to",
            "Where to. `{path}`, `{query}` and `{host}` stand for those of the request.",
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
            item.fault(format!(
                "{number} is no redirect; write 301, 302, 303, 307 or 308"
            ));
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
    Some((template, text.to_owned()))
}

fn redirect_value(name: &str) -> Result<RedirectValue, String> {
    match name {
        "path" => Ok(RedirectValue::Path),
        "query" => Ok(RedirectValue::Query),
        "host" => Ok(RedirectValue::Host),
        _ => {
            let remedy = suggest::remedy(name, ["path", "query", "host"], "there are");
            Err(format!(
                "has `{{{name}}}`, which stands for nothing here{remedy}"
            ))
        }
    }
}
