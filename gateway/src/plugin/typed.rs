//! Numbers and booleans of a plugin's configuration that come from outside of the files. There they are text; what
//! they are meant to be, the schema of the plugin says.

use serde_json::{Number, Value};

use crate::config::Given;

/// The most parts of a schema that are looked at for one value: a schema may go round in circles.
const STEPS: usize = 256;

/// A configuration in which text that came from outside is a number or a boolean where the schema takes no text. What
/// is no such number or boolean stays: the plugin says what is wrong with it.
pub(super) fn fit(config: &Value, given: &[Given], schema: &Value) -> Value {
    let mut config = config.clone();
    for given in given {
        let Some(value) = config.pointer_mut(&given.pointer) else {
            continue;
        };
        let Some(text) = value.as_str() else { continue };
        if let Some(fitting) = Kinds::at(schema, &given.pointer).read(text.trim()) {
            *value = fitting;
        }
    }
    config
}

/// What a schema takes at some place.
#[derive(Debug, Default, Clone, Copy)]
struct Kinds {
    /// Text, or anything that is not named here.
    other: bool,
    boolean: bool,
    integer: bool,
    number: bool,
}

impl Kinds {
    fn at(schema: &Value, pointer: &str) -> Self {
        let mut walk = Walk {
            root: schema,
            left: STEPS,
        };
        let mut here = walk.open(vec![schema]);
        for segment in pointer.split('/').skip(1) {
            let key = segment.replace("~1", "/").replace("~0", "~");
            let below = here
                .iter()
                .copied()
                .filter_map(|schema| below(schema, &key));
            here = walk.open(below.collect());
        }
        let mut kinds = Self {
            other: here.is_empty() || walk.left == 0,
            ..Self::default()
        };
        here.iter().for_each(|schema| kinds.add(schema));
        kinds
    }

    fn add(&mut self, schema: &Value) {
        let types = match schema.get("type") {
            Some(Value::Array(types)) => types.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        self.other |= types.is_empty();
        for kind in types {
            match kind.as_str() {
                Some("boolean") => self.boolean = true,
                Some("integer") => self.integer = true,
                Some("number") => self.number = true,
                // Nothing that stands in a file is null.
                Some("null" | "array" | "object") => {}
                _ => self.other = true,
            }
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        if self.other {
            return None;
        }
        let boolean = || text.parse().ok().map(Value::Bool);
        let integer = || {
            let signed = text.parse::<i64>().map(Number::from);
            let number = signed.or_else(|_| text.parse::<u64>().map(Number::from));
            number.ok().map(Value::Number)
        };
        let number = || Number::from_f64(text.parse().ok()?).map(Value::Number);
        let read = self.boolean.then(boolean).flatten();
        let read = read.or_else(|| (self.integer || self.number).then(integer).flatten());
        read.or_else(|| self.number.then(number).flatten())
    }
}

/// The schema of what is below a key or an index.
fn below<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let property = schema.get("properties").and_then(|all| all.get(key));
    let item = || {
        let index: usize = key.parse().ok()?;
        let first = schema.get("prefixItems").and_then(|items| items.get(index));
        first.or_else(|| schema.get("items"))
    };
    let other = || schema.get("additionalProperties");
    property.or_else(item).or_else(other)
}

/// A walk over a schema, which ends.
struct Walk<'a> {
    root: &'a Value,
    left: usize,
}

impl<'a> Walk<'a> {
    /// What schemas refer to and choose from, in the place of those that say nothing else.
    fn open(&mut self, mut schemas: Vec<&'a Value>) -> Vec<&'a Value> {
        let mut found = Vec::new();
        while let Some(schema) = schemas.pop() {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let referred = schema.get("$ref").and_then(Value::as_str);
            let referred = referred.and_then(|name| self.root.pointer(name.strip_prefix('#')?));
            let choices = ["anyOf", "oneOf", "allOf"].map(|key| schema.get(key));
            let choices = choices.into_iter().flatten().filter_map(Value::as_array);
            let mut others: Vec<_> = referred.into_iter().chain(choices.flatten()).collect();
            if others.is_empty() || schema.get("type").is_some() {
                found.push(schema);
            }
            schemas.append(&mut others);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fitted(schema: &Value, value: &str) -> Value {
        let given = Given::new("/a/0/b~1c", Vec::new());
        let config = json!({ "a": [{ "b/c": value, "d": value }] });
        let item = json!({ "properties": { "b/c": schema } });
        let schema = json!({
            "properties": { "a": { "type": "array", "items": { "$ref": "#/$defs/Item" } } },
            "$defs": { "Item": item, "Round": { "anyOf": [{ "$ref": "#/$defs/Round" }, { "$ref": "#/$defs/Round" }] }, "Count": { "type": "integer" } },
        });
        let fitted = fit(&config, &[given], &schema);
        assert_eq!(fitted["a"][0]["d"], value, "what stands in the file stays");
        fitted["a"][0]["b/c"].clone()
    }

    #[test]
    fn text_from_outside_is_what_the_schema_takes() {
        for (schema, text, value) in [
            (json!({ "type": "integer" }), "42", json!(42)),
            (
                json!({ "type": "integer" }),
                "18446744073709551615",
                json!(u64::MAX),
            ),
            (json!({ "type": "number" }), "-0.5", json!(-0.5)),
            (json!({ "type": "number" }), "7", json!(7)),
            (json!({ "type": "boolean" }), " true\n", json!(true)),
            (json!({ "type": ["integer", "null"] }), "42", json!(42)),
            (
                json!({ "anyOf": [{ "$ref": "#/$defs/Count" }, { "type": "null" }] }),
                "42",
                json!(42),
            ),
            (
                json!({ "allOf": [{ "$ref": "#/$defs/Count" }], "default": 1 }),
                "42",
                json!(42),
            ),
        ] {
            assert_eq!(fitted(&schema, text), value, "{schema}");
        }
    }

    #[test]
    fn text_stays_text_where_the_schema_takes_text_or_does_not_say() {
        for schema in [
            json!({ "type": "string" }),
            json!({ "type": ["string", "integer"] }),
            json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
            json!({}),
            json!(true),
            json!({ "$ref": "#/$defs/Nowhere" }),
            json!({ "$ref": "#/$defs/Round" }),
            json!({ "enum": ["42"] }),
        ] {
            assert_eq!(fitted(&schema, "42"), "42", "{schema}");
        }
        assert_eq!(fitted(&json!({ "type": "integer" }), "4 2"), "4 2");
        assert_eq!(fitted(&json!({ "type": "number" }), "NaN"), "NaN");
        let none = fit(&json!({ "a": "42" }), &[], &json!({}));
        assert_eq!(none, json!({ "a": "42" }));
    }
}
