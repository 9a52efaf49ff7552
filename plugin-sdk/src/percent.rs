//! Percent-encoding (RFC 3986, section 2.1), for what goes into a path or a query.

/// Appends `bytes` with everything but the unreserved characters escaped, so that they stay one segment of a path or
/// one value of a query whatever they hold.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
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
}
