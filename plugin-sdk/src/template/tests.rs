//! What a text with holes becomes.

use serde_json::{Value, json};

use super::*;

fn named(hole: &Source) -> Option<Vec<u8>> {
    match hole {
        Source::Path(name) if name != "none" => Some(name.clone().into_bytes()),
        Source::Header(_) => Some(b"a/../b?c".to_vec()),
        Source::Query(_) => Some(b"..".to_vec()),
        _ => None,
    }
}

fn bytes(text: &str) -> Result<String, Unfilled> {
    let bytes = Template::parse(text).unwrap().bytes(named)?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn a_text_is_taken_apart_as_the_vectors_say() {
    let vectors = include_str!("../../../tests/vectors/templates.txt").lines();
    for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
        let (text, pieces) = (values.next().unwrap(), values.next().unwrap());
        let text = text.unwrap();
        let parsed = Template::parse_with(text.as_str().unwrap(), |_| Ok(()));
        let apart = parsed.map_or(Value::Null, |template| {
            let pieces = template.pieces.iter().map(|piece| match piece {
                Piece::Text(text) => json!(text),
                Piece::Hole { text, default, .. } => match default {
                    Some(default) => json!([text, default]),
                    None => json!([text]),
                },
            });
            pieces.collect()
        });
        assert_eq!(apart, pieces.unwrap(), "{text}");
    }
}

#[test]
fn holes_are_filled_and_the_rest_stays() {
    assert_eq!(bytes("a {path.id}, {{x}}").unwrap(), "a id, {x}");
    assert_eq!(bytes("").unwrap(), "");
}

#[test]
fn a_hole_without_a_value_takes_its_default_or_is_named() {
    assert_eq!(bytes("{path.none|seven}").unwrap(), "seven");
    assert_eq!(bytes("{path.none|}").unwrap(), "");
    assert_eq!(
        bytes("x{path.none}").unwrap_err().to_string(),
        "{path.none} has no value"
    );
}

fn filled(hole: &Source) -> Option<Fill> {
    match hole {
        Source::Attribute(name) => Some(Fill::Escaped(name.clone().into_bytes())),
        Source::Client => Some(Fill::Text(Vec::new())),
        _ => named(hole).map(Fill::Text),
    }
}

#[test]
fn what_fills_a_path_stays_one_segment() {
    let path = |text: &str| Template::parse(text).unwrap().path(filled);
    assert_eq!(path("/u/{path.a/b?c}/x").unwrap(), "/u/a%2Fb%3Fc/x");
    assert_eq!(
        path("/u/{header.h}/x"),
        Err(Unfilled::Astray("/u/a%2F..%2Fb%3Fc/x".to_owned()))
    );
    assert_eq!(
        path("/u/{query.q}/x"),
        Err(Unfilled::Astray("/u/../x".to_owned()))
    );
    assert_eq!(path("/u?q={query.q}").unwrap(), "/u?q=..");
    assert_eq!(path("/%2e{path.-}/..{query.q}").unwrap(), "/%2e-/....");
    for astray in ["u", "/u/{path.none|.}.", "//{path.id}", "/u/%2e%2E", "/u/%"] {
        let unfilled = path(astray);
        assert!(
            matches!(unfilled, Err(Unfilled::Astray(_))),
            "{astray}: {unfilled:?}"
        );
    }
}

#[test]
fn an_empty_value_takes_no_segment_away() {
    let path = |text: &str| Template::parse(text).unwrap().path(filled);
    let none = Unfilled::NoValue("client".to_owned());
    assert_eq!(path("/u/{client}"), Err(none));
    assert_eq!(path("/u/{client|all}").unwrap(), "/u/all");
    assert_eq!(path("/u?q={client}").unwrap(), "/u?q=");
}

#[test]
fn the_escapes_of_a_parameter_stay() {
    let template = Template::parse("/ab/{attribute.%E9 é}?{attribute.%25}{header.h}").unwrap();
    assert_eq!(
        template.path(filled).unwrap(),
        "/ab/%E9%20%C3%A9?%25a%2F..%2Fb%3Fc"
    );
    assert_eq!(
        template.query_value(filled).unwrap(),
        "%2Fab%2F%E9%20%C3%A9%3F%25a%2F..%2Fb%3Fc"
    );
}

#[test]
fn a_text_without_holes_is_constant() {
    assert_eq!(Template::parse("{{a}}").unwrap().constant(), Some("{a}"));
    assert_eq!(Template::parse("").unwrap().constant(), Some(""));
    assert_eq!(Template::parse("{id}").unwrap().constant(), None);
}

#[test]
fn a_lone_brace_and_an_unknown_source_are_refused() {
    for text in [
        "{id",
        "id}",
        "{",
        "{nothing}",
        "{path.}",
        "{path}",
        "{cookie.x}",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
}
