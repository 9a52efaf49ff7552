//! The path of a unix socket, as it stands behind `unix:`.

use std::path::PathBuf;

use super::item::Item;
use super::reason::Reason;

/// The longest path of a unix socket: the kernel has room for so many bytes and a NUL (unix(7)).
const LONGEST: usize = 107;

/// What stands before a path.
pub(super) const SCHEME: &str = "unix:";

/// The path, made absolute: `text` is what stands behind `unix:`, `right` an example of such a value. Spellings that differ by
/// `.` and doubled slashes become one.
pub(super) fn socket_path(item: &Item<'_>, text: &str, right: &str) -> Option<PathBuf> {
    let wrong = |why: &str| {
        let quoted = item.quoted();
        item.fault(format!("{quoted} {why}; write for example \"{right}\""));
        None
    };
    if text.is_empty() {
        return wrong("has no path");
    }
    if text.starts_with("//") {
        return wrong("is a URL, and a path stands right behind `unix:`");
    }
    if text.starts_with('@') {
        return wrong("is an abstract socket, which has no permissions");
    }
    if text.contains('\0') {
        return wrong("has a NUL in it");
    }
    if text.chars().any(char::is_control) {
        return wrong("has control characters in it");
    }
    let path = item.scope.resolve(item.node.at, text);
    if text.ends_with('/') || path.file_name().is_none() {
        return wrong("is the path of a directory");
    }
    let length = path.as_os_str().len();
    if length > LONGEST {
        item.fault(format!(
            "{} has {length} bytes from `/` on, and the path of a socket has at most {LONGEST}; choose a shorter one",
            item.quoted()
        ));
        return None;
    }
    if !item.is_fit(text) {
        return None;
    }
    // What is printed may be read from another place.
    if let Some(path) = path.to_str().filter(|_| item.file().is_none()) {
        let shown = format!("{SCHEME}{path}");
        item.scope.may_show(item.node.at, &item.key, shown.into());
    }
    Some(path)
}

/// Whether `unix:` stands before a path, or alone, with capitals in it, which is a fault then.
pub(super) fn is_in_capitals(item: &Item<'_>, text: &str) -> bool {
    let Some((scheme, path)) = text.split_at_checked(SCHEME.len()) else {
        return false;
    };
    let is_in_capitals = scheme != SCHEME && scheme.eq_ignore_ascii_case(SCHEME);
    if is_in_capitals {
        let right = Reason::repeating("write \"unix:{}\"", [&path]);
        let (quoted, right) = (item.quoted(), item.told(&right));
        item.fault(format!("{quoted} has `unix:` in capitals; {right}"));
    }
    is_in_capitals
}

/// Whether a text is meant as a socket and does not begin with `unix:`, which is a fault then.
pub(super) fn is_misspelt(item: &Item<'_>, text: &str) -> bool {
    if is_in_capitals(item, text) {
        return true;
    }
    let is_bare = text.starts_with(['/', '.']) || text.ends_with(".sock") && !text.contains(':');
    if is_bare {
        let quoted = item.quoted();
        item.fault(format!("{quoted} is a path; write \"unix:\" before it"));
    }
    is_bare
}
