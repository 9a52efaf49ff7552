//! Which paths pass: what a client's becomes, and whether one that was made here may leave.
//!
//! Whatever two servers could read differently is refused instead of being guessed at. The SDK has the rule for plugins
//! a second time: `tests/vectors/paths.txt` holds both to it.

mod form;
mod leaving;
mod parameter;
mod rules;

pub use form::{Form, from_client};
pub use leaving::{of_location, of_sub_request, of_sub_request_host, rewritten, set_by_plugin};
pub use parameter::parameter;
pub use rules::{EncodedSlashes, PathParameters, PathRules, Special, Unfit};

use bytes::BytesMut;

const NO_SLASH: Unfit = Unfit("the path does not begin with a slash");
const ODD: Unfit = Unfit("the path has bytes that no path may have");
const DOTS: Unfit = Unfit("the path has a segment `.` or `..`");

/// The most that a log shows of a path or of a rule that made it, in bytes.
const SHOWN: usize = 200;

/// The beginning of a path or of a rule that made it, as a log shows it.
pub fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

/// Whether a path is read in one way only: no escapes, no parameters, no backslash, no dot or empty segment. One pass,
/// and most paths need no other.
fn is_plain(path: &[u8]) -> bool {
    let mut slash = false;
    for byte in path {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'/' | b'.' if slash => return false,
            _ => slash = *byte == b'/',
        }
    }
    true
}

/// A path without the escapes that it needs not have.
struct Decoded {
    bytes: BytesMut,
    /// What is in it that not every route keeps.
    special: Special,
}

/// Decodes the escapes of unreserved characters and refuses the ambiguous ones, but for those of slashes and semicolons.
fn decode(path: &[u8]) -> Result<Decoded, Unfit> {
    let mut out = BytesMut::with_capacity(path.len() + 1);
    let mut special = Special::default();
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        match byte {
            b'\\' => return Err(Unfit("the path has a backslash")),
            b';' => {
                refuse_parameters(path, at, 0)?;
                special.parameter = true;
            }
            b'%' => {
                let decoded = escape(path, at)?;
                if decoded == b';' {
                    // Of no name at all it is text.
                    refuse_parameters(path, at, 1)?;
                }
                at += 3;
                match decoded {
                    b'\\' => return Err(Unfit("the path has %5C")),
                    0 => return Err(Unfit("the path has %00")),
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        out.extend_from_slice(&[decoded]);
                    }
                    _ => {
                        const HEX: &[u8; 16] = b"0123456789ABCDEF";
                        special.slash |= decoded == b'/';
                        special.parameter |= decoded == b';';
                        let (high, low) = (usize::from(decoded >> 4), usize::from(decoded & 15));
                        out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
                    }
                }
                continue;
            }
            _ => {}
        }
        out.extend_from_slice(&[*byte]);
        at += 1;
    }
    // Only now, since the digits behind `%25` may have been escapes themselves.
    if is_encoded_twice(&out) {
        return Err(Unfit("the path is encoded twice"));
    }
    Ok(Decoded {
        bytes: out,
        special,
    })
}

/// `/..;x/` is a parent directory to some servers and a name to others, `/.;/` and `/;/` likewise. Refuses a name of
/// `least` dots up to two.
fn refuse_parameters(path: &[u8], at: usize, least: usize) -> Result<(), Unfit> {
    let start = memchr::memrchr(b'/', &path[..at]).map_or(0, |slash| slash + 1);
    let mut name = &path[start..at];
    let mut dots = 0;
    while let [rest @ .., b'.'] | [rest @ .., b'%', b'2', b'e' | b'E'] = name {
        name = rest;
        dots += 1;
    }
    if name.is_empty() && (least..=2).contains(&dots) {
        Err(Unfit("the path has parameters on a dot segment"))
    } else {
        Ok(())
    }
}

/// The byte that the escape at `at` stands for.
fn escape(path: &[u8], at: usize) -> Result<u8, Unfit> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match (path.get(at), digit(at + 1), digit(at + 2)) {
        (Some(b'%'), Some(high), Some(low)) => {
            Ok(u8::try_from(high * 16 + low).unwrap_or_default())
        }
        _ => Err(Unfit("the path has a broken escape")),
    }
}

/// Whether two hex digits stand behind `%25`: to a server that decodes again they are an escape.
fn is_encoded_twice(path: &[u8]) -> bool {
    path.windows(5).any(|window| match window {
        [b'%', b'2', b'5', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    })
}
