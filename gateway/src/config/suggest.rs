//! "Did you mean", lists for messages, and wildcards of file names.

/// The candidate that is nearest to `word`, if one is near enough to be meant.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_ascii_lowercase().replace('-', "_");
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let longer = lower.len().max(other.len());
            (distance, longer, candidate)
        })
        .filter(|(distance, longer, _)| distance * 3 <= *longer)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// "; did you mean `x`?", or else what there is.
pub(super) fn remedy<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
    otherwise: &str,
) -> String {
    if let Some(meant) = closest(word, candidates.clone()) {
        return format!("; did you mean `{meant}`?");
    }
    let all: Vec<_> = candidates.into_iter().collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("; {otherwise} {}", list(&all, "and"))
    }
}

/// "`a`, `b` and `c`"
pub(super) fn list(words: &[&str], last: &str) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., tail] => format!("{} {last} {tail}", head.join(", ")),
    }
}

/// Whether a pattern of `*` and `?` means a file of this name: hidden files only where it begins with the dot itself.
pub(crate) fn file_name_matches(pattern: &str, name: &str) -> bool {
    (!name.starts_with('.') || pattern.starts_with('.'))
        && wildcard(pattern.as_bytes(), name.as_bytes())
}

/// Whether a name matches a pattern of `*` (any run) and `?` (any one byte).
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            wildcard(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, tail)| wildcard(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => wildcard(rest, tail),
        (Some((byte, rest)), Some((first, tail))) => byte == first && wildcard(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let keys = ["memory", "timeout", "cpu"];
        assert_eq!(closest("memmory", keys), Some("memory"));
        assert_eq!(closest("time-out", keys), Some("timeout"));
        assert_eq!(closest("CPU", keys), Some("cpu"));
        assert_eq!(closest("wasm", keys), None);
    }

    #[test]
    fn wildcards_match_whole_names() {
        assert!(wildcard(b"*.toml", b"a.toml"));
        assert!(wildcard(b"a?c*", b"abcd"));
        assert!(!wildcard(b"*.toml", b"a.toml.bak"));
        assert!(!file_name_matches("*.toml", ".a.toml"));
        assert!(file_name_matches(".*.toml", ".a.toml"));
    }
}
