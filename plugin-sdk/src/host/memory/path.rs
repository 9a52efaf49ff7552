//! Paths that the gateway refuses, from a client and from a plugin.

/// Whether a path has dot segments, also encoded ones or with parameters, or hides a separator or a NUL: what the
/// gateway refuses from a client it refuses from a plugin too.
pub(super) fn is_treacherous(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let path = path.to_ascii_lowercase();
    ["%2f", "%5c", "%00", "\\"]
        .iter()
        .any(|hidden| path.contains(hidden))
        || has_dot_segment(&path)
}

/// Whether a segment is `.` or `..`, however it is written, also behind a separator that only some see as one.
pub(super) fn has_dot_segment(path_and_query: &str) -> bool {
    // The gateway sends no fragment, and looks at the path before it.
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    })
}
