//! Edits of a JSON body by dotted paths. What no edit names keeps its bytes.

use gateway_plugin_sdk::json;
use gateway_plugin_sdk::template::{Source, Template};
use gateway_plugin_sdk::{ConfigError, ResponseTypes};
use serde_json::Value;

use crate::config::{JsonConfig, Other};
use crate::document::{Document, Fault, Path};
use crate::names;

/// The edits in the order that they are made, and the bodies that they are for.
#[derive(Debug)]
pub(crate) struct BodyEdits {
    edits: Vec<Edit>,
    /// They are for bodies that clients write.
    is_of_clients: bool,
    /// What becomes of a body that is not JSON.
    pub(crate) other: Other,
    types: Vec<String>,
    passed: Vec<String>,
}

#[derive(Debug)]
enum Edit {
    Remove(Path),
    Rename {
        from: Path,
        to: Path,
    },
    /// A JSON text.
    Set(Path, String),
    Fill(Path, Template),
}

/// Whether a `content-type` says JSON (RFC 8259; RFC 6839, section 3.1).
pub(crate) fn is_json(content_type: Option<Vec<u8>>) -> bool {
    let Some(text) = content_type.and_then(|value| String::from_utf8(value).ok()) else {
        return false;
    };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    // JSON is UTF-8 (RFC 8259, section 8.1); what another server would read in another way is not what is edited here.
    let foreign = parts.any(|part| {
        let charset = part.strip_prefix("charset").map(str::trim_start);
        let charset = charset.and_then(|rest| rest.strip_prefix('='));
        charset.is_some_and(|name| {
            !matches!(name.trim().trim_matches('"'), "utf-8" | "utf8" | "us-ascii")
        })
    });
    !foreign && (essence == "application/json" || essence.ends_with("+json"))
}

impl BodyEdits {
    /// Checks the edits of the request.
    pub(crate) fn of_request(config: &JsonConfig, faults: &mut Vec<ConfigError>) -> Self {
        for (key, types) in [("types", &config.types), ("pass", &config.pass)] {
            if !types.is_empty() {
                let fault = "is for responses: a client chooses what it calls its body; `other` says what becomes of \
                             one that is not JSON";
                faults.push(ConfigError::new(format!("request.json.{key}"), fault));
            }
        }
        // Whoever wants to keep a body from these edits calls it something else.
        Self::check("request.json", config, Other::Refuse, faults)
    }

    /// Checks the edits of the response.
    pub(crate) fn of_response(config: &JsonConfig, faults: &mut Vec<ConfigError>) -> Self {
        for (key, types) in [("types", &config.types), ("pass", &config.pass)] {
            for (index, text) in types.iter().enumerate() {
                if !is_range(text) {
                    let fault = format!("`{text}` is no type; `text/json` and `text/*` are");
                    faults.push(ConfigError::new(
                        format!("response.json.{key}[{index}]"),
                        fault,
                    ));
                }
            }
        }
        let takes_out = !(config.remove.is_empty() && config.rename.is_empty());
        let other = if takes_out {
            Other::Refuse
        } else {
            Other::Pass
        };
        Self::check("response.json", config, other, faults)
    }

    fn check(
        table: &str,
        config: &JsonConfig,
        other: Other,
        faults: &mut Vec<ConfigError>,
    ) -> Self {
        let mut edits = Vec::new();
        for (index, dotted) in config.remove.iter().enumerate() {
            let key = format!("{table}.remove[{index}]");
            edits.extend(path(&key, dotted, faults).map(Edit::Remove));
        }
        for (from, to) in &config.rename {
            let key = format!("{table}.rename.{from}");
            let from = path(&key, from, faults);
            if let (Some(from), Some(to)) = (from, path(&key, to, faults)) {
                edits.push(Edit::Rename { from, to });
            }
        }
        for (dotted, value) in &config.set {
            let key = format!("{table}.set.{dotted}");
            if let Some(path) = path(&key, dotted, faults) {
                edits.extend(Edit::setting(path, value, &key, faults));
            }
        }
        Self {
            edits,
            is_of_clients: table.starts_with("request"),
            other: config.other.unwrap_or(other),
            types: config.types.clone(),
            passed: config.pass.clone(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The responses that they are for. What nobody reads as text passes, unless it is said otherwise.
    pub(crate) fn response_types(&self) -> ResponseTypes {
        let mut types = ResponseTypes::json().reading(&self.types);
        if self.other == Other::Refuse {
            types = types.passing(ResponseTypes::MEDIA).refusing_others();
        }
        types.passing(&self.passed)
    }

    /// What they are filled from.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &Source> {
        let templates = self.edits.iter().filter_map(|edit| match edit {
            Edit::Fill(_, template) => Some(template),
            Edit::Remove(_) | Edit::Rename { .. } | Edit::Set(..) => None,
        });
        templates.flat_map(Template::holes)
    }

    /// Edits a body; `read` fills templates. A template without a value removes its field.
    ///
    /// # Errors
    /// If it is not JSON, or its edited form is too large.
    pub(crate) fn edit(
        &self,
        body: &[u8],
        read: impl Fn(&Source) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Fault> {
        // A byte order mark is no JSON (RFC 8259, section 8.1) and no reason to let a body pass.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut document = match self.is_of_clients {
            true => Document::of_client(body)?,
            false => Document::parse(body)?,
        };
        let removed = self.edits.iter().filter_map(|edit| match edit {
            Edit::Remove(path) => Some(path),
            _ => None,
        });
        document.remove(removed)?;
        let mut set = Vec::new();
        for edit in &self.edits {
            match edit {
                Edit::Remove(_) => {}
                Edit::Rename { from, to } => document.rename(from, to)?,
                Edit::Set(path, value) => set.push((path, value.clone())),
                Edit::Fill(path, template) => match template.bytes(&read) {
                    Ok(bytes) => {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        set.push((path, Value::String(text).to_string()));
                    }
                    Err(_) => {
                        document.set(std::mem::take(&mut set))?;
                        document.remove([path])?;
                    }
                },
            }
        }
        document.set(set)?;
        Ok(document.into_text())
    }
}

impl Edit {
    /// A string may have templates; anything else is what it is.
    fn setting(
        path: Path,
        value: &Value,
        key: &str,
        faults: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let Value::String(text) = value else {
            return Some(Self::Set(path, value.to_string()));
        };
        let template = names::template(key, text, faults)?;
        let constant = template.constant().map(Value::from);
        Some(match constant {
            Some(value) => Self::Set(path, value.to_string()),
            None => Self::Fill(path, template),
        })
    }
}

/// Whether a text has the form of a media range (RFC 9110, section 12.5.1).
fn is_range(text: &str) -> bool {
    let name = |name: &str| {
        let name = name.strip_prefix('*').unwrap_or(name);
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| {
        !kind.is_empty() && !subtype.is_empty() && name(kind) && name(subtype)
    })
}

fn path(key: &str, dotted: &str, faults: &mut Vec<ConfigError>) -> Option<Path> {
    let path = json::path(dotted);
    if path.is_none() {
        let fault = format!(
            "`{dotted}` is no dotted path; names joined by dots are, at most {} of them",
            json::MAX_DEPTH
        );
        faults.push(ConfigError::new(key, fault));
    }
    path
}
