//! The items of an array, and of the arrays in it, in one reading: opened one inside the other, a document of arrays in arrays
//! would be read once for each of them.

use serde_json::value::RawValue;

use super::{Inner, Node};

/// The items of an array that is JSON. What cannot be read as a value is none of them: it may not pass a filter.
pub(super) fn items(array: &str) -> Vec<Node> {
    let mut reader = Reader { text: array, at: 1 };
    reader.items()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// Up to the end of the array whose bracket was read.
    fn items(&mut self) -> Vec<Node> {
        let mut items = Vec::new();
        while let Some(byte) = self.byte() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    break;
                }
                b'[' => {
                    self.at += 1;
                    items.push(Node(Inner::Array(self.items())));
                }
                _ => items.extend(self.value()),
            }
        }
        items
    }

    /// A value that is no array, as it stands.
    fn value(&mut self) -> Option<Node> {
        let from = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.byte() {
            match byte {
                b',' | b']' if depth == 0 => break,
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
        let value = self.text.get(from..self.at)?.trim_ascii_end();
        let raw = RawValue::from_string(value.to_owned()).ok()?;
        Some(Node(Inner::Raw(raw)))
    }

    /// Up to the end of the string that begins here.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += 1;
            match byte {
                b'"' => return,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::items;

    #[test]
    fn items_are_what_stands_between_commas_whatever_is_in_them() {
        let array = r#"[ 1 ,"a,]\"",{"b":[1,"]}"]} , [] , [[ {"c" : 1}, "\\" ],2],-1.50e2,null ]"#;
        let found: Vec<_> = items(array)
            .iter()
            .map(|item| String::from_utf8(item.to_vec()).unwrap())
            .collect();
        let expected = [
            "1",
            r#""a,]\"""#,
            r#"{"b":[1,"]}"]}"#,
            "[]",
            r#"[[{"c" : 1},"\\"],2]"#,
            "-1.50e2",
            "null",
        ];
        assert_eq!(found, expected);
        for empty in ["[]", "[ \n]"] {
            assert!(items(empty).is_empty());
        }
    }
}
