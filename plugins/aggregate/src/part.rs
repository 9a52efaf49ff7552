//! One part, checked: the request that it makes and what is taken from the answer.

use std::time::Duration;

use gateway_plugin_sdk::json::Node;
use gateway_plugin_sdk::template::{Fill, Source, Template, Unfilled};
use gateway_plugin_sdk::{ConfigError, Request, fields, upstream};

use crate::config::{BodySource, NO_TIME, PartConfig};
use crate::fields::{Fields, path};

/// A checked part.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) upstream: String,
    pub(crate) required: bool,
    pub(crate) pass_status: bool,
    pub(crate) fallback: Option<Node>,
    pub(crate) fields: Fields,
    pub(crate) into: Option<Vec<String>>,
    pub(crate) timeout: Option<Duration>,
    /// Whether another part refers to its body.
    pub(crate) is_needed: bool,
    /// The fields of the client's request to pass on, in lower case.
    pub(crate) passed: Vec<String>,
    /// Whether it takes the body of the client's request.
    pub(crate) takes_body: bool,
    method: String,
    path: Template<Hole>,
    host: Option<Template<Hole>>,
    set_headers: Vec<(String, Template<Hole>)>,
}

/// What a template of a part is filled with.
#[derive(Clone, Debug)]
pub(crate) enum Hole {
    /// A fact of the exchange.
    Exchange(Source),
    /// A field of another part's body.
    Body { part: usize, path: Vec<String> },
}

/// What parts pass on of the client's request.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The fields, if a part passes any on.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// The body, if a part takes it.
    pub(crate) body: Vec<u8>,
}

impl Sent {
    /// One call for all parts, and one for the body.
    pub(crate) fn of(client: &Request, parts: &[Part]) -> Self {
        let passes = parts.iter().any(|part| !part.passed.is_empty());
        let takes_body = parts.iter().any(|part| part.takes_body);
        let headers = if passes { client.headers() } else { Vec::new() };
        let body = if takes_body { client.body() } else { None };
        Self {
            headers,
            body: body.unwrap_or_default(),
        }
    }
}

/// The bodies of the parts so far, by index.
pub(crate) type Bodies = [Option<Node>];

/// Checks every part; none if one is at fault.
pub(crate) fn check(configs: &[PartConfig], faults: &mut Vec<ConfigError>) -> Option<Vec<Part>> {
    if configs.is_empty() {
        faults.push(ConfigError::new(
            "parts",
            "is empty; at least one part is wanted",
        ));
    }
    let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        parts.extend(Part::check(index, config, &names, faults));
    }
    if parts.len() < configs.len() {
        return None;
    }
    let needed: Vec<usize> = parts.iter().flat_map(Part::needs).collect();
    for index in needed {
        parts[index].is_needed = true;
    }
    Some(parts)
}

/// Gives each part of a group the place that it did not say.
pub(crate) fn placed(mut parts: Vec<Part>, group: bool) -> Vec<Part> {
    for part in parts.iter_mut().filter(|part| group && part.into.is_none()) {
        part.into = Some(vec![part.name.clone()]);
    }
    parts
}

impl Part {
    fn check(
        index: usize,
        config: &PartConfig,
        names: &[&str],
        faults: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let at = format!("parts[{index}]");
        let key = |field: &str| format!("{at}.{field}");
        let before = faults.len();
        check_names(&at, index, config, names, faults);
        let mut template = |key: String, text: &str| {
            Template::parse_with(text, |hole| Hole::parse(hole, names))
                .map_err(|fault| faults.push(ConfigError::new(key, fault)))
                .ok()
        };
        let target = template(key("path"), &config.path);
        let mut set_headers = Vec::new();
        for (name, text) in &config.set_headers {
            let value = template(key(&format!("set_headers.{name}")), text);
            set_headers.extend(value.map(|value| (name.to_ascii_lowercase(), value)));
        }
        let host = config.host.as_ref();
        let host = host.and_then(|text| template(key("host"), text));
        let path_fault = target.as_ref().and_then(well_formed);
        faults.extend(path_fault.map(|fault| ConfigError::new(key("path"), fault)));
        let host_fault = host.as_ref().and_then(no_host);
        faults.extend(host_fault.map(|fault| ConfigError::new(key("host"), fault)));
        let timeout = config.timeout.map(|timeout| timeout.0);
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            faults.push(ConfigError::new(key("timeout"), NO_TIME));
        }
        let into = config.into.as_ref();
        let into = into.and_then(|dotted| path(&key("into"), dotted, faults));
        let fields = Fields::check(&at, config, faults);
        let target = target.filter(|_| faults.len() == before)?;
        Some(Self {
            name: config.name.clone(),
            upstream: config.upstream.clone(),
            required: config.required,
            pass_status: config.pass_status,
            fallback: config.fallback.as_ref().map(Node::from_value),
            fields,
            into,
            timeout,
            is_needed: false,
            passed: passed(config),
            takes_body: config.body == Some(BodySource::Client),
            method: config.method().to_owned(),
            path: target,
            host,
            set_headers,
        })
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        let headers = self.set_headers.iter().map(|(_, value)| value);
        let templates = headers.chain(&self.host).chain([&self.path]);
        templates.flat_map(Template::holes)
    }

    /// The parts that it refers to, by index.
    pub(crate) fn needs(&self) -> impl Iterator<Item = usize> {
        self.holes().filter_map(|hole| match hole {
            Hole::Exchange(_) => None,
            Hole::Body { part, .. } => Some(*part),
        })
    }

    /// The fields of the client's request that it reads.
    pub(crate) fn fields_read(&self) -> impl Iterator<Item = &str> {
        let filled = self.holes().filter_map(|hole| match hole {
            Hole::Exchange(source) => source.field(),
            Hole::Body { .. } => None,
        });
        self.passed.iter().map(String::as_str).chain(filled)
    }

    /// Whether it can be asked for, as far as the parts are `known` that it refers to.
    ///
    /// # Errors
    /// If its path or its host can never be filled.
    pub(crate) fn foresee(
        &self,
        client: &Request,
        bodies: &mut Bodies,
        known: impl Fn(usize) -> bool,
    ) -> Result<(), Unfilled> {
        let to_come = |hole: &Hole| matches!(hole, Hole::Body { part, .. } if !known(*part));
        let any = || b"x".to_vec();
        self.path.path(|hole| match to_come(hole) {
            true => Some(Fill::Text(any())),
            false => hole.read_to_encode(client, bodies),
        })?;
        if let Some(host) = &self.host {
            host.bytes(|hole| match to_come(hole) {
                true => Some(any()),
                false => hole.read(client, bodies),
            })?;
        }
        Ok(())
    }

    /// The request that it makes.
    ///
    /// # Errors
    /// If its path or its host cannot be filled. A header that cannot is left out.
    pub(crate) fn request(
        &self,
        client: &Request,
        sent: &Sent,
        bodies: &mut Bodies,
    ) -> Result<upstream::Request, Unfilled> {
        let path = self.path.path(|hole| hole.read_to_encode(client, bodies))?;
        let mut request = upstream::Request::new(&self.method, self.upstream.as_str(), path);
        if let Some(host) = &self.host {
            let host = host.bytes(|hole| hole.read(client, bodies))?;
            request.host = Some(String::from_utf8_lossy(&host).into_owned());
        }
        if self.takes_body {
            request.body.clone_from(&sent.body);
        }
        let set = |name: &str| self.set_headers.iter().any(|(n, _)| n == name);
        for (name, value) in &sent.headers {
            if self.passed.contains(name) && !set(name) {
                request.headers.push((name.clone(), value.clone()));
            }
        }
        for (name, template) in &self.set_headers {
            if let Ok(value) = template.bytes(|hole| hole.read(client, bodies)) {
                request.headers.push((name.clone(), value));
            }
        }
        Ok(request)
    }
}

impl Hole {
    fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("parts.") else {
            return Source::parse(text).map(Self::Exchange).map_err(|fault| {
                format!("{fault}; `{{parts.NAME.body.FIELD}}` is a field of another part")
            });
        };
        let (name, field) = rest.split_once(".body.").ok_or_else(|| {
            format!("`{{{text}}}` is no field of a part; `{{parts.NAME.body.FIELD}}` is one")
        })?;
        let part = names.iter().position(|n| *n == name).ok_or_else(|| {
            format!(
                "`{{{text}}}` names no part; there are `{}`",
                names.join("`, `")
            )
        })?;
        let path = gateway_plugin_sdk::json::path(field)
            .ok_or_else(|| format!("`{field}` in `{{{text}}}` is no dotted path"))?;
        Ok(Self::Body { part, path })
    }

    fn read(&self, client: &Request, bodies: &mut Bodies) -> Option<Vec<u8>> {
        match self {
            Self::Exchange(source) => source.read(client),
            Self::Body { part, path } => {
                let body = bodies.get_mut(*part)?.as_mut()?;
                body.get(path)?.scalar().map(String::into_bytes)
            }
        }
    }

    fn read_to_encode(&self, client: &Request, bodies: &mut Bodies) -> Option<Fill> {
        match self {
            Self::Exchange(source) => source.read_to_encode(client),
            Self::Body { .. } => self.read(client, bodies).map(Fill::Text),
        }
    }
}

fn check_names(
    at: &str,
    index: usize,
    config: &PartConfig,
    names: &[&str],
    faults: &mut Vec<ConfigError>,
) {
    let mut fault = |key: String, message: String| {
        faults.push(ConfigError::new(format!("{at}.{key}"), message));
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = &config.name;
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(word) {
        let message = format!("`{name}` is no name; letters, digits, `-` and `_` make one");
        fault("name".to_owned(), message);
    }
    if names[..index].contains(&name.as_str()) {
        fault(
            "name".to_owned(),
            format!("`{name}` is the name of an earlier part"),
        );
    }
    if config.upstream.is_empty() {
        fault(
            "upstream".to_owned(),
            "is empty; the name of an upstream is wanted".to_owned(),
        );
    }
    let method = config.method();
    if !fields::is_token(method) {
        let message = format!("`{method}` is no method; `GET` is one");
        fault("method".to_owned(), message);
    }
    if let Some(message) = config.body_fault() {
        fault("body".to_owned(), message);
    }
    for (index, name) in config.headers.iter().enumerate() {
        if let Some(message) = unsendable(name) {
            fault(format!("headers[{index}]"), message);
        }
    }
    for (name, value) in &config.set_headers {
        if let Some(message) = unsendable(name) {
            fault(format!("set_headers.{name}"), message);
        } else if fields::forbidden_byte(value.as_bytes()).is_some() {
            let message = "has a control character, which may not stand in a field value";
            fault(format!("set_headers.{name}"), message.to_owned());
        }
    }
}

/// The fields of the client's request to pass on, in lower case: the type of a body that is passed on is one.
fn passed(config: &PartConfig) -> Vec<String> {
    let names = config.headers.iter().map(|name| name.to_ascii_lowercase());
    let mut names: Vec<_> = names.collect();
    let kind = "content-type";
    if config.body.is_some() && !names.iter().any(|name| name == kind) {
        names.push(kind.to_owned());
    }
    names
}

/// What is wrong with a host, as far as it is written (RFC 9110, section 7.2).
fn no_host(host: &Template<Hole>) -> Option<String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if host.constant() == Some("") {
        return Some("is empty; leave it out for the endpoint's own".to_owned());
    }
    let odd = host.literals().find(|text| !text.bytes().all(sound));
    odd.map(|text| format!("`{text}` is no part of a host; `api.example:8080` is one"))
}

/// Why a field cannot be sent by a plugin: no name (RFC 9110, section 5.1), or the gateway's own.
fn unsendable(name: &str) -> Option<String> {
    if fields::is_reserved(name) {
        Some(format!("`{name}` is the gateway's own in a sub-request"))
    } else if !fields::is_token(name) {
        Some(format!("`{name}` is no field name"))
    } else {
        None
    }
}

/// What is wrong with a path.
fn well_formed(path: &Template<Hole>) -> Option<String> {
    let wrong = |byte: u8| !byte.is_ascii_graphic() || byte == b'#';
    let mut literals = path.literals();
    if !literals.next().is_some_and(|text| text.starts_with('/')) {
        return Some("is no path; it begins with `/`".to_owned());
    }
    if let Some(byte) = path.literals().flat_map(str::bytes).find(|b| wrong(*b)) {
        return Some(format!(
            "has the byte {byte:#04x}, which a path has percent-encoded"
        ));
    }
    path.path(|_| Some(Fill::Text(b"x".to_vec())))
        .err()
        .map(|e| e.to_string())
}
