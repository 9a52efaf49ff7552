//! The JSON Schema, for editors: of draft 7, which all of them know.

use serde_json::{Map, Value as Json, json};

use super::super::description::{Key, Shape};
use super::super::units;
use super::{Paths, items, key, values};

/// A string that the environment fills in: it may become anything.
const FROM_ENVIRONMENT: &str = r"\$\{";

/// The schema of a file.
pub(super) fn schema(paths: &Paths) -> Json {
    let mut schema = table(paths, "");
    let about = paths[""].words.map(|words| words.about);
    let head = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gateway.toml",
        "description": about,
        "definitions": {
            "environment": {
                "description": "`${NAME}` or `${NAME:-default}`, out of the environment.",
                "type": "string",
                "pattern": FROM_ENVIRONMENT,
            },
            "file": {
                "description": "The text of a file, without the line end at its end.",
                "type": "object",
                "properties": {
                    "file": {
                        "description": "The file, relative to the one that names it.",
                        "type": "string",
                        "minLength": 1,
                    },
                },
                "required": ["file"],
                "additionalProperties": false,
            },
        },
    });
    merge(&mut schema, head);
    schema
}

/// A table with known keys.
fn table(paths: &Paths, path: &str) -> Json {
    let keys = paths.get(path).map_or(&[][..], |table| &table.keys);
    let properties: Map<_, _> = keys
        .iter()
        .map(|key| (key.name.to_owned(), property(paths, path, key)))
        .collect();
    let required: Vec<_> = keys.iter().filter(|key| key.is_required).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.iter().map(|key| key.name).collect();
    }
    schema
}

/// The value of a key, with its words.
pub(super) fn property(paths: &Paths, table: &str, of: &Key) -> Json {
    let words = paths[table].words.map_or(&[][..], |words| words.keys);
    let words = words.iter().find(|(name, _)| *name == of.name);
    let mut notes = json!({});
    if let Some((_, words)) = words {
        notes["description"] = Json::from(*words);
    }
    if let Some(default) = &of.default {
        notes["default"] = default.clone();
    }
    let mut schema = value(paths, &key(table, of.name));
    // Editors that complete a key look at the first alternative, not at what is around it.
    if let Some(first) = schema.pointer_mut("/anyOf/0") {
        merge(first, notes.clone());
    }
    merge(&mut schema, notes);
    schema
}

/// Whatever may stand at a path.
fn value(paths: &Paths, path: &str) -> Json {
    let mut alternatives = Vec::new();
    let forms = paths.get(path).into_iter().flat_map(|at| &at.forms);
    for alternative in forms.flat_map(|(shape, _)| alternatives_of(paths, path, shape)) {
        if !alternatives.contains(&alternative) {
            alternatives.push(alternative);
        }
    }
    if alternatives.contains(&json!({ "type": "string" })) {
        alternatives.retain(|alternative| *alternative != environment());
    }
    match alternatives.len() {
        1 => alternatives.remove(0),
        _ => json!({ "anyOf": alternatives }),
    }
}

fn alternatives_of(paths: &Paths, path: &str, shape: &Shape) -> Vec<Json> {
    // Wherever a string may stand, a file may.
    let or_file = |string: Json| vec![string, json!({ "$ref": "#/definitions/file" })];
    // What has no text of its own may come from outside as one.
    let or_outside = |value: Json| {
        let mut all = vec![value];
        all.extend(or_file(environment()));
        all
    };
    let pattern = |pattern: String| {
        let pattern = format!("{pattern}|{FROM_ENVIRONMENT}");
        or_file(json!({ "type": "string", "pattern": pattern }))
    };
    let number_too = |zero: bool, mut alternatives: Vec<Json>| {
        alternatives.extend(zero.then(|| json!({ "const": 0 })));
        alternatives
    };
    match shape {
        Shape::Text => or_file(json!({ "type": "string" })),
        Shape::Name => or_file(json!({ "type": "string", "minLength": 1 })),
        Shape::Words(words) => or_outside(json!({ "enum": words })),
        Shape::Bool => or_outside(json!({ "type": "boolean" })),
        Shape::False => or_outside(json!({ "const": false })),
        Shape::Integer(low, high) => {
            or_outside(json!({ "type": "integer", "minimum": low, "maximum": high }))
        }
        Shape::Share => or_outside(json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        Shape::Duration { zero } => number_too(*zero, pattern(units::duration_pattern(*zero))),
        Shape::Size { zero } => number_too(*zero, pattern(units::size_pattern(*zero))),
        Shape::List => vec![json!({ "type": "array", "items": value(paths, &items(path)) })],
        Shape::Map => vec![json!({
            "type": "object",
            "additionalProperties": value(paths, &values(path)),
        })],
        Shape::Table => vec![table(paths, path)],
        Shape::Open => vec![json!({ "type": "object" })],
    }
}

fn environment() -> Json {
    json!({ "$ref": "#/definitions/environment" })
}

/// Adds what a schema does not say yet.
fn merge(schema: &mut Json, more: Json) {
    if let (Json::Object(schema), Json::Object(more)) = (schema, more) {
        for (key, value) in more {
            schema.entry(key).or_insert(value);
        }
    }
}
