//! One head under way: its size, and the fields that say how the body behind it is framed.

/// What a head, the trailer of a body and the line before a chunk may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: usize,
    pub(super) fields: usize,
}

/// What is known of the head under way.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) bytes: usize,
    pub(super) lines: usize,
    pub(super) length: Option<u64>,
    pub(super) transfer_encoding: bool,
    pub(super) upgrade: bool,
    /// The length cannot be read: hyper refuses the request.
    pub(super) broken: bool,
}

impl Head {
    /// Looks at one field line for what frames the message.
    pub(super) fn field(&mut self, line: &[u8]) {
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length") {
                    match parse_length(value) {
                        Some(length) => self.length = Some(length),
                        None => self.broken = true,
                    }
                }
            }
            Some(b't' | b'T') => {
                self.transfer_encoding |= value_of(line, b"transfer-encoding").is_some();
            }
            Some(b'u' | b'U') => self.upgrade |= value_of(line, b"upgrade").is_some(),
            _ => {}
        }
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (have, value) = line.split_at_checked(name.len())?;
    if !have.eq_ignore_ascii_case(name) {
        return None;
    }
    Some(value.strip_prefix(b":")?.trim_ascii())
}

fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        length.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
