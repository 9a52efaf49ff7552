//! What stands for a match of a regular expression: `$1`, `${name}`, `$$`.
//!
//! The plugin `transform` has the rule a second time: `tests/vectors/replacements.txt` holds both to it.

use super::super::reason::Reason;
use super::super::regex::Regex;

/// Checks that what stands for a match (`$1`, `${name}`, `$$`) names groups that are there.
///
/// # Errors
/// The group that is not there.
pub(super) fn check(regex: &Regex, to: &str) -> Result<(), Reason> {
    let mut fault = escaped_group(regex, to);
    with_groups(to, |name, is_braced| {
        fault = fault.take().or_else(|| group(regex, name, is_braced).err());
        ""
    });
    fault.map_or(Ok(()), Err)
}

/// A group that is written as where `${name}` reads the environment.
fn escaped_group(regex: &Regex, to: &str) -> Option<Reason> {
    let mut rest = to;
    while let Some((_, behind)) = rest.split_once('$') {
        rest = behind;
        if let Some(text) = rest.strip_prefix('$') {
            rest = text;
            let braced = text.strip_prefix('{').and_then(|text| text.split_once('}'));
            if let Some((name, _)) = braced.filter(|(name, _)| group(regex, name, true).is_ok()) {
                return Some(Reason::repeating(
                    "`$${{}}` is the text `${{}}`; write `${{}}` for the group",
                    [&name, &name, &name],
                ));
            }
        }
    }
    None
}

/// What stands for a match, with these texts for its groups; `group` gets the name of each, and whether it has braces.
pub(super) fn with_groups<'a>(to: &str, mut group: impl FnMut(&str, bool) -> &'a str) -> String {
    let mut text = String::new();
    let mut rest = to;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let braced = rest
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            rest.split_at(rest.bytes().take_while(is_name).count())
        });
        text.push_str(group(name, braced.is_some()));
        rest = after;
    }
    text.push_str(rest);
    text
}

fn group(regex: &Regex, name: &str, is_braced: bool) -> Result<(), Reason> {
    if name.is_empty() {
        return Err("a `$` names a group, such as `$1`; write `$$` for itself".into());
    }
    let there = match name.parse::<usize>() {
        Ok(index) => index < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|group| group == name),
    };
    if there {
        return Ok(());
    }
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let (number, tail) = name.split_at(digits);
    Err(if !is_braced && digits > 0 && !tail.is_empty() {
        Reason::repeating(
            "`${}` reads as the group `{}`, which is not there; write `${{}}{}`",
            [&name, &name, &number, &tail],
        )
    } else {
        let groups = regex.captures_len() - 1;
        let environment = match is_braced {
            true => ", and `${..}` beside `regex` never reads the environment",
            false => "",
        };
        Reason::repeating("there is no group `{}`", [&name])
            .and(format!("; the expression has {groups}{environment}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_a_replacement_exist() {
        let vectors = include_str!("../../../../tests/vectors/replacements.txt").lines();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let values = serde_json::Deserializer::from_str(line).into_iter::<serde_json::Value>();
            let values: Vec<_> = values.map(Result::unwrap).collect();
            let regex = Regex::new(values[0].as_str().unwrap()).unwrap();
            let checked = check(&regex, values[1].as_str().unwrap());
            assert_eq!(checked.is_ok(), values[2] == true, "{line}");
        }
    }

    #[test]
    fn a_group_with_letters_behind_its_number_is_written_with_braces() {
        let regex = Regex::new("^/a/(.*)").unwrap();
        let reason = check(&regex, "/$1a").unwrap_err();
        assert!(reason.told(false).contains("`${1}a`"));
    }
}
