//! Percent-encoding (RFC 3986, section 2.1), for what goes into a path or a query.

/// Appends `bytes` with everything but the unreserved characters escaped, so that they stay one segment of a path or
/// one value of a query whatever they hold.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        encode_byte(byte, out);
    }
}

/// Appends `bytes` as [`encode`] does, but for the escapes in them: those stay.
pub fn encode_rest(bytes: &[u8], out: &mut Vec<u8>) {
    for (at, &byte) in bytes.iter().enumerate() {
        match bytes.get(at..at + 3) {
            // What is behind the `%` is unreserved.
            Some([b'%', high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(byte);
            }
            _ => encode_byte(byte, out),
        }
    }
}

fn encode_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
        out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_separates_survives_and_decoding_gives_it_back() {
        let mut out = Vec::new();
        encode("a/b?c=d&é +%~".as_bytes(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a%2Fb%3Fc%3Dd%26%C3%A9%20%2B%25~");
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        assert!(pairs.next().unwrap().0 == "a/b?c=d&é +%~");
    }

    #[test]
    fn escapes_stay_where_they_are_said_to_be_some() {
        let mut out = Vec::new();
        encode_rest("%E9 é/%25%2f%zz%4".as_bytes(), &mut out);
        assert_eq!(str::from_utf8(&out), Ok("%E9%20%C3%A9%2F%25%2f%25zz%254"));
    }
}
