//! Where things stand in a JSON text that was checked.

/// The first value at a path: names of members, numbers of items.
pub(super) fn find<'a>(mut text: &'a [u8], path: &[String]) -> Option<&'a [u8]> {
    for name in path {
        text = match text[0] {
            b'{' => member(text, name)?,
            b'[' => item(text, name.parse().ok()?)?,
            _ => return None,
        };
    }
    Some(text)
}

fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut at = skip_space(object, 1);
    while object[at] != b'}' {
        let end = end_of_string(object, at);
        let is_it = is_name(&object[at..end], name);
        at = skip_space(object, skip_space(object, end) + 1);
        let end = end_of_value(object, at);
        if is_it {
            return Some(&object[at..end]);
        }
        at = past_comma(object, end);
    }
    None
}

fn item(array: &[u8], index: usize) -> Option<&[u8]> {
    let mut at = skip_space(array, 1);
    let mut passed = 0;
    while array[at] != b']' {
        let end = end_of_value(array, at);
        if passed == index {
            return Some(&array[at..end]);
        }
        passed += 1;
        at = past_comma(array, end);
    }
    None
}

fn past_comma(text: &[u8], at: usize) -> usize {
    let at = skip_space(text, at);
    match text[at] {
        b',' => skip_space(text, at + 1),
        _ => at,
    }
}

pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Behind the string that begins here.
pub(super) fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            // Never in a text that was checked.
            None => return text.len(),
        }
    }
}

/// Behind the value that begins here.
pub(super) fn end_of_value(text: &[u8], start: usize) -> usize {
    match text[start] {
        b'"' => return end_of_string(text, start),
        b'{' | b'[' => {}
        _ => {
            let end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            let length = text[start..].iter().position(end);
            return length.map_or(text.len(), |length| start + length);
        }
    }
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Whether a string of the text, in quotes, is this name. One with half a surrogate pair is none.
pub(super) fn is_name(quoted: &[u8], name: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    if !inner.contains(&b'\\') {
        return inner == name.as_bytes();
    }
    serde_json::from_slice::<String>(quoted).is_ok_and(|read| read == name)
}
