//! `errors`: what stands for the gateway's own words, at the top level or in a route.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::holes::Holes;
use super::message::{self, Fields};
use super::respond::bodiless;
use crate::config::description::Words;
use crate::config::item::{Form, Item};
use crate::config::model::{AnswerBody, ErrorPage, Errors, Failed};
use crate::config::table::Table;

/// The most bytes of a page: each exchange that fails sends one.
const LARGEST: usize = 64 << 10;

static WORDS: Words = Words {
    about: "What stands for an answer that the gateway makes itself, since it refuses or fails. One that is written as a \
            text is its body.",
    keys: &[
        (
            "status",
            "In the place of the failure's own, in the log and the metrics, too.",
        ),
        (
            "headers",
            "Header fields beside those of the failure (`retry-after`, `allow`), or in their place. Values stand in \
             them as in `respond`; a field that a value spoils is left out.",
        ),
        (
            "body",
            "The body. Beside the values that `respond` has there are `{status}` and `{reason}`, what a client is told \
             of the failure. Values are escaped, and the type is chosen, as in `respond`.",
        ),
        (
            "file",
            "The file of the body, at most 64 KiB, read when the configuration is. `.html` says that it is HTML.",
        ),
    ],
    example: "",
};

/// The pages, and how they are shown; `params` are those of the path.
pub(in crate::config) fn errors(item: &Item<'_>, params: &[Arc<str>]) -> (Errors, Json) {
    let expected = "a table such as { 502 = { body = \"..\" }, 5xx = { file = \"sorry.html\" } }";
    let (mut pages, mut shown) = (Vec::new(), Map::new());
    for (entry, item) in item.fields(expected).unwrap_or_default() {
        let failed = failed(&entry.key);
        if failed.is_none() && !item.is_probe() {
            let message = format!(
                "`{}` is no failure; write a status from 400 to 599, `4xx` or `5xx`",
                entry.key
            );
            item.scope.fault(entry.at, &item.key, message);
        }
        let (page, json) = page(&item, params);
        shown.insert(entry.key.clone(), json);
        pages.extend(failed.zip(page.map(Arc::new)));
    }
    (Errors::new(pages), Json::Object(shown))
}

/// A status of a failure, or a class of them.
pub(super) fn failed(text: &str) -> Option<Failed> {
    match text {
        "4xx" => Some(Failed::Class(4)),
        "5xx" => Some(Failed::Class(5)),
        _ => {
            let status = text.parse().ok().filter(|_| text.len() == 3);
            let status = status.filter(|status| (400..=599).contains(status));
            status.map(Failed::Status)
        }
    }
}

fn page(item: &Item<'_>, params: &[Arc<str>]) -> (Option<ErrorPage>, Json) {
    let holes = Holes {
        params,
        of_failure: true,
    };
    item.by_form(|form| match form {
        Form::Text => {
            let mut headers = Fields::new();
            let text = item.text_as("the body of the page");
            let is_html = item.file().is_some_and(is_html);
            let body = text.filter(|text| fits(item, text.len()));
            let body = body.map(|text| message::body(text, is_html, holes, &mut headers));
            let page = body.map(|body| ErrorPage {
                status: None,
                headers,
                body: Some(body),
            });
            (page, item.node.masked())
        }
        _ => {
            let expected = "a text, { body = \"..\" }, { file = \"..\" } or { status = 503 }";
            let read = item.table(expected, |table| page_table(table, holes));
            read.map_or((None, Json::Null), |(page, shown)| (page, shown))
        }
    })
}

fn page_table(table: &mut Table<'_>, holes: Holes<'_>) -> Option<ErrorPage> {
    table.words(&WORDS);
    let status = table.optional("status", message::status);
    let headers = table.item_unshown("headers");
    let mut headers = match headers {
        Some(item) => {
            table.show("headers", item.node.masked_by_name());
            message::headers(&item, holes)
        }
        None => Fields::new(),
    };
    let is_written = table.has("body") || table.has("file");
    let body = body(table, holes, &mut headers);
    let has_more = table.has("status") || table.has("headers");
    if !is_written && !has_more {
        table.fault_here(
            "changes nothing; add `body = \"..\"`, `file = \"..\"`, `status` or `headers`",
        );
        return None;
    }
    match status {
        Some(status) if message::is_bodiless(status) && is_written => {
            let key = if table.has("body") { "body" } else { "file" };
            table.fault(key, bodiless(status));
        }
        _ => {}
    }
    if is_written && body.is_none() {
        return None;
    }
    Some(ErrorPage {
        status,
        headers,
        body,
    })
}

fn body(table: &mut Table<'_>, holes: Holes<'_>, headers: &mut Fields) -> Option<AnswerBody> {
    let text = table.item("body");
    let file = table.item("file");
    if let (Some(text), Some(file)) = (&text, &file)
        && !text.is_probe()
    {
        file.fault("stands beside `body`; a page has one of them");
        return None;
    }
    let written = text.and_then(|item| {
        let is_html = item.file().is_some_and(is_html);
        let text = item.text()?.to_owned();
        fits(&item, text.len()).then_some((text, is_html))
    });
    let read = file.and_then(|item| {
        let path = item.path_as("the path of the page")?;
        let text = content(&item, &path)?;
        fits(&item, text.len()).then_some((text, is_html(&path)))
    });
    let (text, is_html) = written.or(read)?;
    Some(message::body(&text, is_html, holes, headers))
}

/// What is in a file, without the line end at its end, as everywhere else.
fn content(item: &Item<'_>, path: &Path) -> Option<String> {
    let read = item.scope.read_text(path);
    read.map_err(|error| item.fault(item.unreadable(&error)))
        .ok()
}

fn fits(item: &Item<'_>, bytes: usize) -> bool {
    let fits = bytes <= LARGEST;
    if !fits {
        item.fault(format!("has {bytes} bytes; a page has at most 64 KiB"));
    }
    fits
}

fn is_html(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        extension.eq_ignore_ascii_case("html") || extension.eq_ignore_ascii_case("htm")
    })
}
