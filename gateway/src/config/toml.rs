//! The effective configuration as one TOML file, with the origin of each value behind it. Where nothing in it is hidden,
//! it loads to the same configuration.

use serde_json::{Map, Value as Json};

use super::model::Config;
use super::origins::Origins;
use super::tree;

impl Config {
    /// The effective configuration as TOML: what [`Config::masked`] shows, each line with its origin.
    pub fn to_toml(&self) -> String {
        let mut toml = Toml {
            origins: &self.origins,
            text: String::new(),
        };
        if let Json::Object(sections) = &self.masked {
            toml.fields(&Place::default(), sections);
        }
        toml.text
    }
}

/// A table: as its header names it, and as its origins are known.
#[derive(Debug, Default)]
struct Place {
    header: String,
    key: String,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        Self {
            header: join(&self.header, name),
            key: tree::join(&self.key, name),
        }
    }
}

struct Toml<'a> {
    origins: &'a Origins,
    text: String,
}

impl Toml<'_> {
    /// What is no table stands before those that are.
    fn fields(&mut self, place: &Place, fields: &Map<String, Json>) {
        // `to` beside `regex` stands for a match: nothing is filled in there.
        let names_groups = |name: &str| name == "to" && fields.contains_key("regex");
        for (name, value) in fields {
            if value.is_null() || is_table(value) {
                continue;
            }
            let written = match value {
                Json::String(text) if names_groups(name) => quoted(text),
                value => self.value(&place.below(name).key, value),
            };
            let origin = self.origin(&place.below(name).key, value);
            let name = join("", name);
            self.text
                .push_str(&format!("{name} = {written} # {origin}\n"));
        }
        for (name, value) in fields {
            self.table(&place.below(name), value);
        }
    }

    fn table(&mut self, place: &Place, value: &Json) {
        let header = &place.header;
        match value {
            // Some tables may not even be empty.
            Json::Object(fields) if fields.is_empty() && !self.origins.has(&place.key) => {}
            Json::Object(fields) => {
                self.text.push_str(&format!("\n[{header}]\n"));
                self.fields(place, fields);
            }
            Json::Array(items) if is_table(value) => {
                for (index, item) in items.iter().enumerate() {
                    self.text.push_str(&format!("\n[[{header}]]\n"));
                    if let Json::Object(fields) = item {
                        let place = Place {
                            header: header.clone(),
                            key: format!("{}[{index}]", place.key),
                        };
                        self.fields(&place, fields);
                    }
                }
            }
            _ => {}
        }
    }

    /// A value within a line; a list whose items come from several places has a line for each.
    fn value(&self, key: &str, value: &Json) -> String {
        match value {
            Json::Array(items) if self.all_origins(key, value).len() > 1 => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    let key = format!("{key}[{index}]");
                    format!("    {}, # {}\n", inline(item), self.origin(&key, item))
                });
                format!("[\n{}]", items.collect::<String>())
            }
            value => inline(value),
        }
    }

    /// Where a value comes from, and what is hidden of it.
    fn origin(&self, key: &str, value: &Json) -> String {
        let origins = self.all_origins(key, value).join("; ");
        match has_hidden(value) {
            true => format!("hidden; {origins}"),
            false => origins,
        }
    }

    /// All places that something in a value comes from, each once.
    fn all_origins(&self, key: &str, value: &Json) -> Vec<String> {
        if !self.origins.has(key) {
            return vec![self.origins.told(key)];
        }
        let mut all = Vec::new();
        self.collect(key, value, &mut all);
        all
    }

    fn collect(&self, key: &str, value: &Json, all: &mut Vec<String>) {
        match value {
            Json::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(&format!("{key}[{index}]"), item, all);
                }
            }
            Json::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    self.collect(&tree::join(key, name), value, all);
                }
            }
            _ => {
                let told = self.origins.told(key);
                if !all.contains(&told) {
                    all.push(told);
                }
            }
        }
    }
}

/// Whether a value stands under a header of its own.
fn is_table(value: &Json) -> bool {
    match value {
        Json::Object(_) => true,
        Json::Array(items) => !items.is_empty() && items.iter().all(Json::is_object),
        _ => false,
    }
}

fn has_hidden(value: &Json) -> bool {
    match value {
        Json::String(text) => text == "***",
        Json::Array(items) => items.iter().any(has_hidden),
        Json::Object(fields) => fields.values().any(has_hidden),
        _ => false,
    }
}

fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(&text.replace("${", "$${")),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(fields) => {
            let names_groups = |name: &str| name == "to" && fields.contains_key("regex");
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<_> = fields
                .map(|(name, value)| match value {
                    Json::String(text) if names_groups(name) => {
                        format!("{} = {}", join("", name), quoted(text))
                    }
                    value => format!("{} = {}", join("", name), inline(value)),
                })
                .collect();
            match fields.is_empty() {
                true => "{}".to_owned(),
                false => format!("{{ {} }}", fields.join(", ")),
            }
        }
        other => other.to_string(),
    }
}

/// A basic string: what JSON escapes, TOML reads, but for one character.
fn quoted(text: &str) -> String {
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A dotted key.
fn join(before: &str, name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let name = match !name.is_empty() && name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    };
    match before {
        "" => name,
        before => format!("{before}.{name}"),
    }
}
