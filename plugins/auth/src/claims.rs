//! What a token says once its signature held: when it is valid, for whom, and what of it is told onwards.

use std::borrow::Cow;
use std::rc::Rc;

use gateway_plugin_sdk::{fields, json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::outcome::Identity;

/// A value or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a value or a list of values")]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// A value that a claim must have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a text, a whole number or a truth value"
)]
pub(crate) enum Required {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// What is demanded of claims, and where they go.
#[derive(Debug)]
pub(crate) struct ClaimRules {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<Vec<String>>,
    /// In seconds.
    pub(crate) leeway: f64,
    pub(crate) require_exp: bool,
    /// Claims, each with the values that will do.
    pub(crate) required: Vec<(String, Vec<Required>)>,
    /// Request fields and claims.
    pub(crate) to_headers: Vec<(String, String)>,
    /// Attributes and claims.
    pub(crate) to_attributes: Vec<(String, String)>,
}

/// A token whose signature, issuer and audience are right.
#[derive(Debug)]
pub(crate) struct Verified {
    /// In seconds since 1970.
    exp: Option<f64>,
    nbf: Option<f64>,
    /// Whether every required claim is there.
    pub(crate) sufficient: bool,
    pub(crate) identity: Rc<Identity>,
}

impl Verified {
    /// Whether it is valid at `now`, in seconds since 1970, with clocks `leeway` seconds apart.
    pub(crate) fn check_time(&self, now: f64, leeway: f64) -> Result<(), &'static str> {
        if self.exp.is_some_and(|exp| now >= exp + leeway) {
            return Err("The token has expired.");
        }
        if self.nbf.is_some_and(|nbf| now + leeway < nbf) {
            return Err("The token is not valid yet.");
        }
        Ok(())
    }
}

impl ClaimRules {
    /// Reads the payload of a token whose signature held.
    pub(crate) fn read(&self, payload: &[u8]) -> Result<Verified, &'static str> {
        let claims: Map<String, Value> =
            json::read(payload).map_err(|_| "The token's claims are no JSON object.")?;
        let exp = date(&claims, "exp")?;
        let nbf = date(&claims, "nbf")?;
        if exp.is_none() && self.require_exp {
            return Err("The token never expires, which is not allowed here.");
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err("The token is from another issuer.");
        }
        if let Some(audience) = &self.audience
            && !audience.iter().any(|name| is_for(&claims, name))
        {
            return Err("The token is for another audience.");
        }
        Ok(Verified {
            exp,
            nbf,
            sufficient: self.required.iter().all(|(name, values)| {
                find(&claims, name).is_some_and(|claim| satisfies(name, claim, values))
            }),
            identity: Rc::new(self.identity(&claims)?),
        })
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, &'static str> {
        let subject = match claims.get("sub") {
            None => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err("The token's `sub` is no text."),
        };
        let pick = |names: &[(String, String)]| -> Vec<(String, String)> {
            let found = names.iter().filter_map(|(target, claim)| {
                Some((target.clone(), text(find(claims, claim)?)?.into_owned()))
            });
            found.collect()
        };
        let headers = pick(&self.to_headers);
        if headers
            .iter()
            .any(|(_, value)| fields::forbidden_byte(value.as_bytes()).is_some())
        {
            return Err("A claim that becomes a header field has a control character.");
        }
        Ok(Identity {
            subject,
            attributes: pick(&self.to_attributes),
            headers,
        })
    }
}

/// A `NumericDate` (RFC 7519, section 2); a text that looks like one is none.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, &'static str> {
    let Some(claim) = claims.get(name) else {
        return Ok(None);
    };
    match claim.as_f64() {
        Some(seconds) => Ok(Some(seconds)),
        None => Err("The token's `exp` or `nbf` is no number."),
    }
}

fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(name)) => name == audience,
        Some(Value::Array(names)) => names.iter().any(|name| name.as_str() == Some(audience)),
        _ => false,
    }
}

/// The claim of that name, or else the one at that dotted path.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(name) {
        return Some(claim);
    }
    let mut parts = name.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.as_object()?.get(part))
}

fn satisfies(name: &str, claim: &Value, values: &[Required]) -> bool {
    match claim {
        Value::Array(items) => items.iter().any(|item| equals_any(item, values)),
        // RFC 8693, section 4.2: a scope is a text of words.
        Value::String(words) if name == "scope" || name == "scp" => values.iter().any(|value| {
            matches!(value, Required::Text(wanted) if words.split(' ').any(|word| word == wanted))
        }),
        _ => equals_any(claim, values),
    }
}

fn equals_any(claim: &Value, values: &[Required]) -> bool {
    values.iter().any(|value| match value {
        Required::Text(wanted) => claim.as_str() == Some(wanted),
        Required::Number(wanted) => claim.as_i64() == Some(*wanted),
        Required::Flag(wanted) => claim.as_bool() == Some(*wanted),
    })
}

/// A claim as one line of text: lists of texts with commas between, objects as JSON.
fn text(claim: &Value) -> Option<Cow<'_, str>> {
    match claim {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(text).collect();
            Some(items.join(",").into())
        }
        other => Some(other.to_string().into()),
    }
}
