//! The items of an array, and of the arrays in it, in one reading: opened one inside the other, a document of arrays in arrays
//! would be read once for each of them.

/// The items of an array that is JSON: what `value` makes of each value that is no array, and `array` of the items of one that is.
/// What `value` makes nothing of is none of them: it may not pass a filter.
pub(super) fn items<T>(
    text: &str,
    value: impl Fn(&str) -> Option<T>,
    array: impl Fn(Vec<T>) -> T,
) -> Vec<T> {
    let mut reader = Reader {
        text,
        at: 1,
        value,
        array,
    };
    reader.items()
}

struct Reader<'a, V, A> {
    text: &'a str,
    at: usize,
    value: V,
    array: A,
}

impl<T, V, A> Reader<'_, V, A>
where
    V: Fn(&str) -> Option<T>,
    A: Fn(Vec<T>) -> T,
{
    /// Up to the end of the array whose bracket was read.
    fn items(&mut self) -> Vec<T> {
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
                    let below = self.items();
                    items.push((self.array)(below));
                }
                _ => items.extend(self.value()),
            }
        }
        // There may be as many arrays as half the bytes of a document, of an item each.
        items.shrink_to_fit();
        items
    }

    /// A value that is no array.
    fn value(&mut self) -> Option<T> {
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
        (self.value)(self.text.get(from..self.at)?.trim_ascii_end())
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
        let read = |text| items(text, |text| Some(text.to_owned()), |items| items.join(";"));
        let array = r#"[ 1 ,"a,]\"",{"b":[1,"]}"]} , [] , [[ {"c" : 1}, "\\" ],2],-1.50e2,null ]"#;
        let expected = [
            "1",
            r#""a,]\"""#,
            r#"{"b":[1,"]}"]}"#,
            "",
            r#"{"c" : 1};"\\";2"#,
            "-1.50e2",
            "null",
        ];
        assert_eq!(read(array), expected);
        for empty in ["[]", "[ \n]"] {
            assert!(read(empty).is_empty());
        }
    }
}
