//! Which paths may leave for an upstream. The gateway has the rule itself (`message/path/leaving.rs`):
//! `tests/vectors/paths.txt` holds both to it.

/// The longest target.
const LONGEST: usize = u16::MAX as usize - 1;

/// Whether [`Request::set_path`](crate::Request::set_path) takes this path and query on every route; one that keeps
/// escaped slashes or parameters takes those too. Besides what holds for a sub-request, nothing in it is encoded twice,
/// hides a separator or [has a parameter](has_parameter).
pub fn may_be_set(target: &str) -> bool {
    let decoded_once = |segment: &[u8]| {
        let seen = see_through(segment);
        seen.is_some_and(|seen| !seen.is_twice && !seen.bytes.iter().any(is_separator))
    };
    may_be_asked(target) && segments(target).all(decoded_once) && !has_parameter(target)
}

/// Whether a segment of the path has a `;`, however often it is escaped. Some servers cut off what stands from there on, so
/// that only routes with `path_parameters = "keep"` let a plugin set or ask for such a path.
pub fn has_parameter(target: &str) -> bool {
    let has = |segment: &[u8]| see_through(segment).is_some_and(|seen| seen.bytes.contains(&b';'));
    segments(target).any(has)
}

/// Whether a sub-request takes this path and query: no segment of it, nor a part of one behind an escaped separator, is `.`, `..` or
/// empty, however often it is escaped. One that [has a parameter](has_parameter) is for routes that keep those.
pub fn may_be_asked(target: &str) -> bool {
    is_target(target) && segments(target).all(stays)
}

/// The bytes that a target may have; a fragment is not sent.
fn is_target(target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let odd = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'<' | b'>' | b'#');
    path.starts_with('/')
        && target.len() <= LONGEST
        && !path.bytes().any(|byte| odd(byte) || byte == b'`')
        && !query.bytes().any(|byte| odd(byte) || byte == b'"')
}

/// The segments of the path, but for an empty one at the end.
fn segments(target: &str) -> impl Iterator<Item = &[u8]> {
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix('/').unwrap_or(path);
    let all = path.strip_suffix('/').unwrap_or(path).split('/');
    // Of `/` nothing is left.
    all.map(str::as_bytes).skip(usize::from(path.is_empty()))
}

fn stays(segment: &[u8]) -> bool {
    let Some(seen) = see_through(segment) else {
        return false;
    };
    let is_sound = |part: &[u8]| {
        let name = part.split(|byte| *byte == b';').next().unwrap_or_default();
        !part.is_empty() && !matches!(name, b"." | b"..")
    };
    !segment.contains(&b'\\')
        && !seen.bytes.contains(&0)
        && seen.bytes.split(is_separator).all(is_sound)
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// What a server sees that decodes as long as there is something to decode.
struct Seen {
    bytes: Vec<u8>,
    /// It decoded more than once.
    is_twice: bool,
}

/// None where an escape is broken, or parameters stand on an empty name.
fn see_through(segment: &[u8]) -> Option<Seen> {
    let mut seen = Seen {
        bytes: Vec::with_capacity(segment.len()),
        is_twice: false,
    };
    // Where the escapes of the segment itself end: a byte beyond one of them ends an escape that was not written.
    let mut end = 0;
    for (at, byte) in segment.iter().enumerate() {
        if *byte == b'%' {
            escape(segment.get(at..at + 3)?)?;
            end = at + 2;
        }
        // Before it some see a separator.
        if *byte == b';' && seen.bytes.last().is_none_or(is_separator) {
            return None;
        }
        seen.bytes.push(*byte);
        // Each byte may end an escape, and what that stands for may end another.
        let mut is_written = at == end && at >= 2;
        while let Some(start) = seen.bytes.len().checked_sub(3)
            && let Some(decoded) = escape(&seen.bytes[start..])
        {
            seen.is_twice |= !is_written;
            is_written = false;
            seen.bytes.truncate(start);
            seen.bytes.push(decoded);
        }
    }
    Some(seen)
}

/// The byte that an escape of three bytes stands for.
fn escape(three: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match three {
        [b'%', high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_plugin_leaves_or_not_as_the_vectors_say() {
        let vectors = include_str!("../../tests/vectors/paths.txt").lines();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let quote = line.find('"').unwrap();
            // What a route may keep, the host alone knows.
            let may: Vec<_> = line[..quote].split_whitespace().collect();
            let path: String = serde_json::from_str(&line[quote..]).unwrap();
            assert_eq!(may_be_set(&path), may[0] == "yes", "set-path: {path:?}");
            let asked = may_be_asked(&path).then(|| has_parameter(&path));
            let expected = match may[2] {
                "yes" => Some(false),
                ";" => Some(true),
                _ => None,
            };
            assert_eq!(asked, expected, "sub-request: {path:?}");
        }
    }
}
