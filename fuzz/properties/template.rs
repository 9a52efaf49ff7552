//! What holds for templates whatever an operator writes and a client sends.

use gateway_plugin_sdk::template::{Fill, Template};

/// A template, and after a zero byte what fills its holes in turn; `-` alone is no value.
///
/// # Panics
/// When what fills a hole of a path leaves its segment or value, or the text around the holes changes.
pub(crate) fn template(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0);
    let Ok(text) = str::from_utf8(parts.next().unwrap_or_default()) else {
        return;
    };
    let values: Vec<_> = parts.collect();
    check_literal(text);
    let mut count = 0;
    let parsed = Template::parse_with(text, |hole| {
        assert!(!hole.contains(['}', '|']), "{hole}");
        count += 1;
        Ok(count - 1)
    });
    // The known sources alone: stricter, otherwise the same.
    if let Ok(known) = Template::parse(text) {
        let any = parsed
            .as_ref()
            .expect("a template of sources is one of any holes");
        assert_eq!(known.holes().count(), any.holes().count());
        assert!(known.literals().eq(any.literals()));
    }
    let Ok(template) = parsed else {
        return;
    };
    assert!(template.holes().copied().eq(0..count));
    check_bytes(&template, &values, count);
    check_path(&template, &values);
}

/// With its braces doubled every text stands for itself.
fn check_literal(text: &str) {
    let doubled = text.replace('{', "{{").replace('}', "}}");
    let template = Template::parse(&doubled).expect("a text without holes is a template");
    assert_eq!(template.constant(), Some(text));
}

fn value(values: &[&[u8]], hole: usize) -> Option<Vec<u8>> {
    let value = values.get(hole % values.len().max(1))?;
    (*value != b"-").then(|| value.to_vec())
}

/// The text between the holes stays, in its order.
fn check_bytes(template: &Template<usize>, values: &[&[u8]], count: usize) {
    let Ok(filled) = template.bytes(|hole| value(values, *hole)) else {
        return;
    };
    let mut rest = filled.as_slice();
    for literal in template.literals().map(str::as_bytes) {
        let at = rest
            .windows(literal.len())
            .position(|window| window == literal);
        let at = at.expect("the text between the holes stays");
        rest = &rest[at + literal.len()..];
    }
    if let Some(constant) = template.constant() {
        assert_eq!((count, filled.as_slice()), (0, constant.as_bytes()));
    }
}

/// No hole adds a segment, a query or a fragment.
fn check_path(template: &Template<usize>, values: &[&[u8]]) {
    let Ok(path) = template.path(|hole| value(values, *hole).map(Fill::Text)) else {
        return;
    };
    for mark in ['/', '?', '#', '&', '=', '\\', ';', ' ', '\r', '\n'] {
        let written: usize = template
            .literals()
            .map(|text| text.matches(mark).count())
            .sum();
        assert_eq!(path.matches(mark).count(), written, "{mark:?} in {path:?}");
    }
    let segments = path.split('?').next().unwrap_or_default().split('/');
    let mut inner = segments.skip(1).peekable();
    while let Some(segment) = inner.next() {
        let is_last = inner.peek().is_none();
        assert!(is_last || !segment.is_empty(), "{path:?}");
        assert!(!matches!(segment, "." | ".."), "{path:?}");
    }
}
