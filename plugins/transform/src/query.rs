//! Edits of the query. Parameters that no edit names keep their bytes.

use std::borrow::Cow;

use gateway_plugin_sdk::template::{Source, Template};
use gateway_plugin_sdk::{ConfigError, Request, percent};

use crate::config::QueryConfig;
use crate::names;

/// The edits in the order that they are made.
#[derive(Debug)]
pub(crate) struct QueryEdits(Vec<Edit>);

#[derive(Debug)]
enum Edit {
    Remove(String),
    Rename { from: String, to: String },
    Set(String, Template),
    Add(String, Template),
}

/// What stands between two `&` of a query: a parameter as it stands there, and its name decoded.
struct Parameter<'a> {
    /// None where nothing stands there, which no edit names.
    name: Option<String>,
    raw: Cow<'a, str>,
}

impl QueryEdits {
    /// Checks the edits of the query.
    pub(crate) fn check(config: QueryConfig<'_>, faults: &mut Vec<ConfigError>) -> Self {
        let mut edits: Vec<_> = config.remove.iter().cloned().map(Edit::Remove).collect();
        for (from, to) in config.rename {
            let (from, to) = (from.clone(), to.clone());
            edits.push(Edit::Rename { from, to });
        }
        for (name, text) in config.set {
            let key = format!("request.set_query.{name}");
            let value = names::template(&key, text, faults);
            edits.extend(value.map(|value| Edit::Set(name.clone(), value)));
        }
        for (name, values) in config.add {
            let key = format!("request.add_query.{name}");
            for text in values.iter() {
                let value = names::template(&key, text, faults);
                edits.extend(value.map(|value| Edit::Add(name.clone(), value)));
            }
        }
        Self(edits)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they are filled from.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &Source> {
        let templates = self.0.iter().filter_map(|edit| match edit {
            Edit::Set(_, template) | Edit::Add(_, template) => Some(template),
            Edit::Remove(_) | Edit::Rename { .. } => None,
        });
        templates.flat_map(Template::holes)
    }

    /// Edits `query` and puts it behind `path`, with its question mark. Where no edit finds anything to do, not a byte
    /// of it changes.
    pub(crate) fn apply(&self, query: Option<&str>, path: &mut String, request: &Request) {
        let written = query.filter(|query| !query.is_empty());
        let mut parameters: Vec<_> = written
            .into_iter()
            .flat_map(|query| query.split('&'))
            .map(Parameter::of)
            .collect();
        for edit in &self.0 {
            edit.apply(&mut parameters, request);
        }
        let raw: Vec<_> = parameters.iter().map(|parameter| &*parameter.raw).collect();
        let edited = raw.join("&");
        // A mark alone is kept where it came, and not left over.
        if !edited.is_empty() || query == Some("") {
            path.push('?');
            path.push_str(&edited);
        }
    }
}

impl Edit {
    fn apply(&self, parameters: &mut Vec<Parameter<'_>>, request: &Request) {
        match self {
            Self::Remove(name) => parameters.retain(|p| !p.is(name)),
            Self::Rename { from, to } => {
                for parameter in parameters.iter_mut().filter(|p| p.is(from)) {
                    let value = parameter.raw.split_once('=').map(|(_, value)| value);
                    let mut raw = encoded(to.as_bytes());
                    if let Some(value) = value {
                        raw.push('=');
                        raw.push_str(value);
                    }
                    parameter.raw = Cow::Owned(raw);
                    parameter.name = Some(to.clone());
                }
            }
            Self::Set(name, template) => {
                let at = parameters.iter().position(|p| p.is(name));
                parameters.retain(|p| !p.is(name));
                if let Some(parameter) = Parameter::made(name, template, request) {
                    parameters.insert(at.unwrap_or(parameters.len()), parameter);
                }
            }
            Self::Add(name, template) => {
                parameters.extend(Parameter::made(name, template, request));
            }
        }
    }
}

impl<'a> Parameter<'a> {
    fn of(pair: &'a str) -> Self {
        let decoded = form_urlencoded::parse(pair.as_bytes()).next();
        Self {
            name: decoded.map(|(name, _)| name.into_owned()),
            raw: Cow::Borrowed(pair),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// None if the template has no value.
    fn made(name: &str, template: &Template, request: &Request) -> Option<Self> {
        let value = template.query_value(|source| source.read_to_encode(request));
        let raw = encoded(name.as_bytes()) + "=" + &value.ok()?;
        Some(Self {
            name: Some(name.to_owned()),
            raw: Cow::Owned(raw),
        })
    }
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    percent::encode(bytes, &mut out);
    String::from_utf8(out).expect("percent-encoding is ASCII")
}
