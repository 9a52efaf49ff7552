//! What tells one client from another, as text: `split_on` of routes, `hash_on` of upstreams.

use http::HeaderName;
use http::header::HOST;

use super::item::Item;
use super::model::ClientKey;
use super::reason::Reason;
use super::suggest;
use crate::message::fields;

/// Reads one that may come from these sources, such as `cookie:NAME`. Plugins leave attributes, which are no matter of a
/// client's: `attribute` says what becomes of `attribute:NAME`.
pub(super) fn read<T>(
    item: &Item<'_>,
    sources: &[&str],
    of_client: impl FnOnce(ClientKey) -> T,
    attribute: impl FnOnce(&str) -> Result<T, Reason>,
) -> Option<T> {
    let expected = suggest::list(sources, "or");
    let text = item.text_as(&expected)?;
    let fault = |reason: Reason| {
        item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
        None
    };
    match text.split_once(':') {
        None if text == "client_address" => Some(of_client(ClientKey::ClientAddress)),
        None if sources.contains(&&*format!("{text}:NAME")) => fault(Reason::repeating(
            "a name is missing; write `{}:NAME`",
            [&text],
        )),
        Some(("cookie" | "header" | "query", "")) => fault(Reason::repeating(
            "a name is missing; write for example \"{}uid\"",
            [&text],
        )),
        Some(("cookie", name)) if name.bytes().all(is_of_token) => {
            Some(of_client(ClientKey::Cookie(name.to_owned())))
        }
        Some(("cookie", _)) => fault("no cookie has such a name (RFC 6265, section 4.1.1)".into()),
        Some(("header", name)) => match HeaderName::try_from(name) {
            Ok(HOST) => fault("the host tells no client from another".into()),
            Ok(name) if never_arrives(name.as_str()) => {
                fault("the field is removed before routes are looked at".into())
            }
            Ok(name) => Some(of_client(ClientKey::Header(name))),
            Err(_) => fault("no field has such a name (RFC 9110, section 5.1)".into()),
        },
        Some(("query", name)) => Some(of_client(ClientKey::Query(name.to_owned()))),
        Some(("attribute", name)) => attribute(name).map_or_else(fault, Some),
        _ => {
            let kind = text.split(':').next().unwrap_or_default();
            let kinds = sources
                .iter()
                .map(|source| source.trim_end_matches(":NAME"));
            let meant = suggest::closest(kind, kinds);
            let remedy = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            item.fault(format!(
                "expected {expected}, found {}{remedy}",
                item.quoted()
            ));
            None
        }
    }
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a field is gone before a key is looked for.
fn never_arrives(name: &str) -> bool {
    fields::ends_here(name) || fields::of_connection(name).is_some()
}
