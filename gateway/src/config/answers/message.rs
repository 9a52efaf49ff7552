//! Fields and body of an answer.

use http::header::{CONTENT_TYPE, DATE, HeaderName};
use http::{HeaderValue, StatusCode};

use super::holes::Holes;
use crate::config::item::Item;
use crate::config::model::{AnswerBody, AnswerValue, Escapes, FieldText};
use crate::config::template::Template;
use crate::message::fields;

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Header fields by name.
pub(super) type Fields = Vec<(HeaderName, FieldText)>;

/// The header fields of an answer.
pub(super) fn headers(item: &Item<'_>, holes: Holes<'_>) -> Fields {
    let expected = "a table such as { content-type = \"application/json\" }";
    let mut headers = Fields::new();
    for (entry, item) in item.fields(expected).unwrap_or_default() {
        let name = HeaderName::try_from(entry.key.as_str());
        let reason = match &name {
            Err(_) => Some(format!("`{}` is no field name", entry.key)),
            // A date that was configured would be the same for every answer.
            Ok(name) if fields::is_own(name.as_str()) || *name == DATE => {
                Some(format!("`{name}` is the gateway's own; leave it out"))
            }
            Ok(name) if headers.iter().any(|(other, _)| other == name) => Some(format!(
                "`{name}` is given twice: the case of a field name does not count"
            )),
            Ok(_) => None,
        };
        if let Some(reason) = reason {
            item.scope.fault(entry.at, &item.key, reason);
            continue;
        }
        if let (Ok(name), Some(value)) = (name, field(&item, holes)) {
            if name == CONTENT_TYPE && matches!(value, FieldText::Filled(_)) {
                item.fault(
                    "says how the values in the body are escaped, so it cannot be one itself; write the type",
                );
            }
            headers.push((name, value));
        }
    }
    headers
}

fn field(item: &Item<'_>, holes: Holes<'_>) -> Option<FieldText> {
    let text = item.text()?;
    let template = Template::parse_with(text, |name| holes.wanted(name));
    let template = Template::or_faults(template, item)?;
    let Ok(value) = HeaderValue::from_str(text) else {
        item.fault(format!(
            "{} can be no value of a field: it has control characters",
            item.quoted()
        ));
        return None;
    };
    Some(match template.constant() {
        // The same without the braces that stand for braces.
        Some(fixed) => FieldText::Fixed(HeaderValue::from_maybe_shared(fixed).unwrap_or(value)),
        None => FieldText::Filled(template),
    })
}

/// The body of an answer. Its type decides what becomes of values; where the fields say none, the text does.
pub(super) fn body(
    text: &str,
    is_html: bool,
    holes: Holes<'_>,
    headers: &mut Fields,
) -> AnswerBody {
    let template = Template::with_braces(text, |name| holes.value(name));
    let given = headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
    let escapes = match given {
        Some((_, FieldText::Fixed(value))) => Escapes::of(value.to_str().unwrap_or_default()),
        Some((_, FieldText::Filled(_))) => Escapes::Json,
        None => {
            let media_type = media_type(text, is_html, &template);
            if !text.is_empty() {
                let value = FieldText::Fixed(HeaderValue::from_static(media_type));
                headers.push((CONTENT_TYPE, value));
            }
            Escapes::of(media_type)
        }
    };
    AnswerBody {
        text: template,
        escapes,
    }
}

/// What a text is.
fn media_type(text: &str, is_html: bool, template: &Template<AnswerValue>) -> &'static str {
    if is_html || begins_as_html(text) {
        return HTML;
    }
    // With digits in its holes, which are sound in a string and without one.
    let mut probe = Vec::new();
    template.write(&mut probe, b"", |to, _| {
        to.push(b'0');
        true
    });
    let is_json = matches!(probe.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(&probe).is_ok();
    if is_json { JSON } else { PLAIN }
}

/// Whether a text is a document of HTML: its root or its doctype stands before everything but a byte order mark, white
/// space and comments (HTML, section 13.1).
fn begins_as_html(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(comment) = rest.strip_prefix("<!--") {
        let Some((_, behind)) = comment.split_once("-->") else {
            return false;
        };
        rest = behind.trim_start();
    }
    ["<!doctype html", "<html"].into_iter().any(|with| {
        let (start, behind) = rest.split_at_checked(with.len()).unwrap_or_default();
        let is_whole = !behind.starts_with(|c: char| c.is_ascii_alphanumeric());
        start.eq_ignore_ascii_case(with) && is_whole
    })
}

/// The status of an answer from here.
pub(super) fn status(item: &Item<'_>) -> Option<StatusCode> {
    let number = item.integer(200..=599)?;
    StatusCode::from_u16(u16::try_from(number).ok()?).ok()
}

/// Whether an answer with this status has no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
pub(super) fn is_bodiless(status: StatusCode) -> bool {
    [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::NOT_MODIFIED,
    ]
    .contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_it_is() {
        let holes = Holes {
            params: &[],
            of_failure: true,
        };
        for (text, is_html, kind) in [
            (r#"{"status":{status},"why":"{reason}"}"#, false, JSON),
            (" [1]", false, JSON),
            ("42", false, PLAIN),
            ("{reason}", false, PLAIN),
            ("<!DOCTYPE html><p>", false, HTML),
            ("<HTML>", false, HTML),
            ("\u{feff}\n <html lang=en>", false, HTML),
            ("<!-- a --> \n<!-- b -->\n<!doctype HTML>", false, HTML),
            ("<!-- <html>", false, PLAIN),
            ("<!-- a --><p>", false, PLAIN),
            ("<htmlx>", false, PLAIN),
            ("<html", false, HTML),
            ("<p>", false, PLAIN),
            ("<p>", true, HTML),
            ("{\"a\":", false, PLAIN),
            ("\u{e9}", false, PLAIN),
        ] {
            let mut headers = Fields::new();
            body(text, is_html, holes, &mut headers);
            let (name, FieldText::Fixed(value)) = &headers[0] else {
                panic!("{text}");
            };
            assert_eq!((name, value.to_str().unwrap()), (&CONTENT_TYPE, kind));
        }
    }
}
