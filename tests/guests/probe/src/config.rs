//! What the probe is told, and what it refuses.

use gateway_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the probe is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The upstream of sub-requests and of `set-upstream`.
    #[serde(default = "echo")]
    pub(crate) upstream: String,
    /// The secret to ask for.
    #[serde(default = "token")]
    pub(crate) secret: String,
    /// The phases to ask for, by the names of the WIT; `request` and `response` by default.
    #[serde(default)]
    phases: Vec<Phase>,
    /// What the bodies that it sees end in, where it leaves them as they are otherwise.
    #[serde(default)]
    pub(crate) tail: Option<String>,
    /// How many bytes of a body that streams it keeps back until more come.
    #[serde(default)]
    pub(crate) keeps: usize,
    /// Whether it keeps them where the next exchange finds them, as a careless plugin does.
    #[serde(default)]
    pub(crate) careless: bool,
    /// The types of responses whose bodies it reads.
    #[serde(default)]
    types: Vec<String>,
    /// Those that pass by it.
    #[serde(default)]
    passes: Vec<String>,
    /// Whether it fails on others.
    #[serde(default)]
    refuses_others: bool,
    /// Fields of the request that it says it reads.
    #[serde(default)]
    reads: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    Request,
    RequestBody,
    Response,
    ResponseBody,
    RequestStream,
    ResponseStream,
    Complete,
}

fn echo() -> String {
    "echo".to_owned()
}

fn token() -> String {
    "token".to_owned()
}

impl Config {
    /// Every fault, with its key.
    pub(crate) fn faults(&self) -> Vec<ConfigError> {
        let mut faults = Vec::new();
        for (key, value) in [("upstream", &self.upstream), ("secret", &self.secret)] {
            if value.is_empty() {
                faults.push(ConfigError::new(key, "is empty; a name is wanted"));
            }
        }
        faults
    }

    /// What is asked for.
    pub(crate) fn wants(&self) -> Wants {
        let mut wants = Wants::from(self.phases());
        if !self.types.is_empty() {
            wants.types = ResponseTypes::only(&self.types).passing(&self.passes);
        }
        if self.refuses_others {
            wants.types = wants.types.refusing_others();
        }
        let fields = self.reads.iter();
        fields.fold(wants, |wants, name| wants.reads_field(name))
    }

    fn phases(&self) -> Phases {
        if self.phases.is_empty() {
            return Phases::REQUEST | Phases::RESPONSE;
        }
        self.phases.iter().fold(Phases::NONE, |all, phase| {
            all | match phase {
                Phase::Request => Phases::REQUEST,
                Phase::RequestBody => Phases::REQUEST_BODY,
                Phase::Response => Phases::RESPONSE,
                Phase::ResponseBody => Phases::RESPONSE_BODY,
                Phase::RequestStream => Phases::REQUEST_STREAM,
                Phase::ResponseStream => Phases::RESPONSE_STREAM,
                Phase::Complete => Phases::COMPLETE,
            }
        })
    }
}
