//! `server.access_log.format`: templates of `{field}` and text, taken apart once.

use super::reason::Reason;
use super::suggest;
use super::template::Template;

/// A line of one's own.
pub type LogTemplate = Template<LogValue>;

/// What stands in a hole of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogValue {
    /// `{field}`
    Field(LogField),
    /// `{attribute.NAME}`: what a plugin left under this name.
    Attribute(String),
    /// `{tag.NAME}`: what the route says under this name.
    Tag(String),
}

/// What a template can write of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as in the template")]
pub enum LogField {
    Time,
    Id,
    Client,
    Method,
    Path,
    Host,
    Protocol,
    Scheme,
    Status,
    BytesIn,
    BytesOut,
    DurationMs,
    UpstreamMs,
    Endpoint,
    Attempts,
    Route,
    Arm,
    Error,
    Fallback,
    GrpcStatus,
    Complete,
    UserAgent,
    Referer,
}

const FIELDS: [(&str, LogField); 23] = [
    ("time", LogField::Time),
    ("id", LogField::Id),
    ("client", LogField::Client),
    ("method", LogField::Method),
    ("path", LogField::Path),
    ("host", LogField::Host),
    ("protocol", LogField::Protocol),
    ("scheme", LogField::Scheme),
    ("status", LogField::Status),
    ("bytes_in", LogField::BytesIn),
    ("bytes_out", LogField::BytesOut),
    ("duration_ms", LogField::DurationMs),
    ("upstream_ms", LogField::UpstreamMs),
    ("endpoint", LogField::Endpoint),
    ("attempts", LogField::Attempts),
    ("route", LogField::Route),
    ("arm", LogField::Arm),
    ("error", LogField::Error),
    ("fallback", LogField::Fallback),
    ("grpc_status", LogField::GrpcStatus),
    ("complete", LogField::Complete),
    ("user_agent", LogField::UserAgent),
    ("referer", LogField::Referer),
];

impl LogTemplate {
    /// Takes a template apart, or says what is wrong with each of its fields.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Reason>> {
        Self::parse_with(text, value)
    }
}

fn value(name: &str) -> Result<LogValue, Reason> {
    if let Some((_, field)) = FIELDS.iter().find(|(field, _)| *field == name) {
        return Ok(LogValue::Field(*field));
    }
    match name.split_once('.') {
        Some(("attribute", attribute)) if !attribute.is_empty() => {
            Ok(LogValue::Attribute(attribute.to_owned()))
        }
        Some(("tag", tag)) if !tag.is_empty() => Ok(LogValue::Tag(tag.to_owned())),
        _ => {
            let names = FIELDS.iter().map(|(name, _)| *name);
            let names: Vec<_> = names.chain(["attribute.NAME", "tag.NAME"]).collect();
            let remedy = suggest::remedy(name, names.iter().copied(), "there are");
            let reason = Reason::repeating("has the field `{{}}`, which there is not", [&name]);
            Err(reason.and(remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_there_is_not_is_named() {
        let faults = LogTemplate::parse("{stauts} {client} {nope} {attribute.}").unwrap_err();
        let faults: Vec<_> = faults.iter().map(|fault| fault.told(false)).collect();
        assert_eq!(faults.len(), 3);
        assert!(
            faults[0].contains("did you mean `status`?"),
            "{}",
            faults[0]
        );
        assert!(faults[1].contains("`{nope}`"), "{}", faults[1]);
        for broken in ["{a", "a}", "{method} }{"] {
            assert!(LogTemplate::parse(broken).is_err(), "{broken}");
        }
        for sound in [
            "{client} \"{status}\" {attribute.auth.subject}!",
            "{{{error|-}}}",
        ] {
            assert!(LogTemplate::parse(sound).is_ok(), "{sound}");
        }
    }
}
