//! A request to be explained, as people write one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;

use crate::config::{Config, ListenAddress, Listener};
use crate::message::peer::{Address, UNIX};

/// A request to be explained, as its client would send it over HTTP/1.1.
#[derive(Debug)]
pub struct Asked {
    /// The listener it comes to, by index into [`Config::listeners`].
    pub listener: usize,
    /// Who connects.
    pub peer: Address,
    /// The method.
    pub method: Method,
    /// A URL, or a path beside a Host field.
    pub uri: Uri,
    /// What stood behind a `#` of the URL.
    pub fragment: Option<String>,
    /// The fields.
    pub headers: HeaderMap,
}

impl Asked {
    /// Reads a request: a URL with its method before it, or `GET` is meant, and fields as `name: value`. It comes to the
    /// listener of that name, or the first that speaks the scheme of the URL, from `client`, or whoever may connect there:
    /// 127.0.0.1, or over a unix socket a client without an address.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn read(
        config: &Config,
        request: &str,
        fields: &[String],
        listener: Option<&str>,
        client: Option<&str>,
    ) -> Result<Self, String> {
        let (method, uri, fragment) = request_line(request)?;
        let listener = listening(config, listener, &uri)?;
        let peer = peer(&config.listeners[listener], client)?;
        let headers = fields.iter().map(|text| field(text));
        let headers: HeaderMap = headers.collect::<Result<_, _>>()?;
        if uri.authority().is_none() && !headers.contains_key(HOST) {
            return Err(format!(
                "{request:?} names no host; write a URL such as 'https://example.com/path', or a field Host"
            ));
        }
        Ok(Self {
            listener,
            peer,
            method,
            uri,
            fragment,
            headers,
        })
    }

    /// As [`Self::read`], of JSON: `request`, and if need be `headers`, `listener` and `client`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn from_json(config: &Config, json: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(json).map_err(|error| {
            format!("{error}; send JSON such as {{\"request\":\"GET https://example.com/\",\"headers\":{{\"x-user\":\"alice\"}}}}")
        })?;
        let fields = written
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        let fields: Vec<_> = fields.collect();
        Self::read(
            config,
            &written.request,
            &fields,
            written.listener.as_deref(),
            written.client.as_deref(),
        )
    }
}

/// As JSON: `{ "request": "GET https://..", "headers": { .. }, "listener": "..", "client": ".." }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    listener: Option<String>,
    client: Option<String>,
}

fn request_line(request: &str) -> Result<(Method, Uri, Option<String>), String> {
    let mut words = request.split_whitespace();
    let (method, url) = match (words.next(), words.next(), words.next()) {
        (Some(url), None, _) => ("GET", url),
        (Some(method), Some(url), None) => (method, url),
        _ => {
            return Err(format!(
                "{request:?} is no request; write one such as 'GET https://example.com/path'"
            ));
        }
    };
    let parsed = Method::from_bytes(method.as_bytes());
    let method = parsed.map_err(|_| format!("{method:?} is no method; write one such as GET"))?;
    let (before, fragment) = match url.split_once('#') {
        Some((before, fragment)) => (before, Some(fragment.to_owned())),
        None => (url, None),
    };
    let uri: Uri = before.parse().map_err(|error| {
        format!("{url:?} is no URL: {error}; write one such as 'https://example.com/path'")
    })?;
    let known = [None, Some(&Scheme::HTTP), Some(&Scheme::HTTPS)];
    match uri.path_and_query() {
        Some(_) if known.contains(&uri.scheme()) => Ok((method, uri, fragment)),
        _ => Err(format!(
            "{url:?} is neither a path nor a URL of http or https"
        )),
    }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    // It may be a credential.
    parsed.ok_or_else(|| {
        let name = text.split(':').next().unwrap_or_default();
        format!("the field {name:?} is none; write one such as 'x-user: alice'")
    })
}

/// Who connects to a listener.
fn peer(listener: &Listener, client: Option<&str>) -> Result<Address, String> {
    let (name, at) = (&listener.name, &listener.address);
    let local = match at {
        ListenAddress::Ip(_) => Address::from(IpAddr::from(Ipv4Addr::LOCALHOST)),
        ListenAddress::Unix(_) => Address::Unix,
    };
    let Some(text) = client else {
        return Ok(local);
    };
    let client = text.parse().map_err(|_| {
        format!("{text:?} is no address; write one such as 192.0.2.1, or `{UNIX}` for a listener on a unix socket")
    })?;
    match (local, client) {
        (Address::Ip(_), Address::Unix) => Err(format!(
            "`{name}` listens at {at}, where a client has an address; write one such as 192.0.2.1"
        )),
        (Address::Unix, Address::Ip(_)) => Err(format!(
            "`{name}` listens on a unix socket, where a client has no address; leave out the client, or say it by a field \
             such as 'x-forwarded-for: {client}'"
        )),
        _ => Ok(client),
    }
}

fn listening(config: &Config, name: Option<&str>, uri: &Uri) -> Result<usize, String> {
    let mut listeners = config.listeners.iter();
    if let Some(name) = name {
        let found = listeners.position(|listener| *listener.name == *name);
        return found.ok_or_else(|| {
            let names: Vec<_> = config
                .listeners
                .iter()
                .map(|listener| &*listener.name)
                .collect();
            format!(
                "no listener is named {name:?}; there is {}",
                names.join(" and ")
            )
        });
    }
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    let speaks = listeners.position(|listener| listener.tls.is_some() == secure);
    let scheme = if secure { "https" } else { "http" };
    match (speaks, uri.scheme()) {
        (Some(index), _) => Ok(index),
        (None, None) => Ok(0),
        (None, Some(_)) => Err(format!(
            "no listener speaks {scheme}; say by its name which one the request comes to"
        )),
    }
}
