//! Paths that the gateway takes from a plugin. It has the rule itself (`message/path.rs`): `tests/vectors/paths.txt`
//! holds both to it.

/// The longest target.
const LONGEST: usize = u16::MAX as usize - 1;

/// Whether `set-path` takes it: no dot segment, however it is written, and nothing that hides a separator or a NUL.
pub(super) fn may_be_set(path_and_query: &str) -> bool {
    let graphic = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    path_and_query.bytes().all(graphic)
        && is_target(path_and_query)
        && !is_treacherous(path_and_query)
}

/// Whether a sub-request takes it: no dot segment, however it is written.
pub(super) fn may_be_asked(path_and_query: &str) -> bool {
    is_target(path_and_query) && !has_dot_segment(path_and_query)
}

/// The bytes that a target may have; a fragment is not sent.
fn is_target(path_and_query: &str) -> bool {
    let sent = path_and_query.split('#').next().unwrap_or_default();
    let (path, query) = sent.split_once('?').unwrap_or((sent, ""));
    let odd = |byte: u8| byte <= b' ' || byte == 0x7f || matches!(byte, b'<' | b'>');
    path.starts_with('/')
        && path_and_query.len() <= LONGEST
        && !path.bytes().any(|byte| odd(byte) || byte == b'`')
        && !query.bytes().any(|byte| odd(byte) || byte == b'"')
}

fn is_treacherous(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let path = path.to_ascii_lowercase();
    ["%2f", "%5c", "%00", "\\"]
        .iter()
        .any(|hidden| path.contains(hidden))
        || has_dot_segment(&path)
}

/// Whether a segment is `.` or `..`, however it is written, also behind a separator that only some see as one.
fn has_dot_segment(path_and_query: &str) -> bool {
    // The gateway sends no fragment, and looks at the path before it.
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_plugin_leaves_or_not_as_the_vectors_say() {
        let vectors = include_str!("../../../../tests/vectors/paths.txt").lines();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (set, rest) = line.split_once(' ').unwrap();
            let (asked, path) = rest.trim().split_once(' ').unwrap();
            let path: String = serde_json::from_str(path.trim()).unwrap();
            assert_eq!(may_be_set(&path), set == "yes", "set-path: {path:?}");
            assert_eq!(may_be_asked(&path), asked == "yes", "sub-request: {path:?}");
        }
    }
}
