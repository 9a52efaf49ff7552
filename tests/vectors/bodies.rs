//! Bodies of every shape, the same ones at every run: for the plugins natively, and for the gateway as a whole.

/// A body.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// What is peculiar about it.
    pub(crate) shape: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// It is JSON (RFC 8259), and says so.
    pub(crate) is_sound: bool,
    /// It is nested as deep as its size allows.
    pub(crate) is_deep: bool,
}

const JSON: &str = "application/json";

/// With the array around them as deep as a part of `aggregate` may be, and half so.
const DEEP: (&str, &str) = (
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[{\"secret\":1}]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
);

/// What repeats in a document, with what stands around it.
const WIDE: [(&str, &str, &str, &str); 17] = [
    ("numbers of a digit", "[", "1", "]"),
    ("empty arrays", "[", "[]", "]"),
    ("empty objects", "[", "{}", "]"),
    (
        "records",
        "{\"items\":[",
        r#"{"id":7,"secret":"x","a":{"b":[1,{"c":2}]}}"#,
        "]}",
    ),
    ("one name again and again", "{", "\"secret\":1", "}"),
    ("one name with objects", "{", "\"a\":{\"b\":1}", "}"),
    (
        "nested one name",
        "[",
        "{\"a\":[{\"b\":{}},{\"b\":2}]}",
        "]",
    ),
    ("one field", "[", r#"{"a":1}"#, "]"),
    ("arrays thirty deep", "[", DEEP.1, "]"),
    ("arrays sixty deep", "[", DEEP.0, "]"),
    (
        "long numbers",
        "[",
        "123456789012345678901234567890.000000000001e-300",
        "]",
    ),
    ("numbers beyond any type", "[", "1e999999", "]"),
    ("escapes", "[", r#""\u0061\n\"\\\/\ud83d\ude00""#, "]"),
    (
        "names with escapes",
        "{",
        r#""\u0073ecret":1,"\u00e9\t":2"#,
        "}",
    ),
    ("white space", "[ ", " \t\r\n 1 \t\r\n ", " ]"),
    ("half a surrogate pair", "[", r#""\ud800""#, "]"),
    (
        "a name of half a surrogate pair",
        "{",
        r#""\udc00":{"secret":1}"#,
        "}",
    ),
];

/// Bodies of the largest size that fits: every shape once.
pub(crate) fn largest(size: usize) -> Vec<Sample> {
    (0..SHAPES).map(|shape| sample(shape, size, 7)).collect()
}

/// So many bodies, up to a size; small ones are as frequent as large ones.
pub(crate) fn some(count: usize, size: usize) -> impl Iterator<Item = Sample> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let bits = size.ilog2();
    (0..count).map(move |index| {
        let upto = 1 << random.below(bits as usize + 1);
        let size = random.below(upto).min(size);
        sample(index % SHAPES, size, random.next())
    })
}

const SHAPES: usize = WIDE.len() + 14;

fn sample(index: usize, size: usize, seed: u64) -> Sample {
    let mut random = Random(seed | 1);
    let sound = |shape, body: Vec<u8>| Sample {
        shape,
        content_type: JSON,
        body,
        is_sound: true,
        is_deep: false,
    };
    let deep = |shape, body| Sample {
        is_deep: true,
        ..sound(shape, body)
    };
    let broken = |shape, body: Vec<u8>| Sample {
        shape,
        content_type: JSON,
        body,
        is_sound: false,
        is_deep: false,
    };
    let filled = |open: &str, byte: u8, close: &str| {
        let fill = size.saturating_sub(open.len() + close.len());
        [open.as_bytes(), &vec![byte; fill], close.as_bytes()].concat()
    };
    match index.checked_sub(WIDE.len()) {
        None => {
            let (shape, open, item, close) = WIDE[index];
            sound(shape, repeated(open, item, close, size))
        }
        Some(0) => deep("arrays in arrays", nested("[", "", "]", size)),
        Some(1) => deep("objects in objects", nested("{\"a\":", "1", "}", size)),
        Some(2) => deep(
            "both in turns",
            nested("[{\"a\":", "{\"secret\":1}", "}]", size),
        ),
        Some(3) => sound("one long string", filled("\"", b'x', "\"")),
        Some(4) => sound("one long name", filled("{\"", b'n', "\":1}")),
        Some(5) => sound("one long number", filled("1", b'0', "")),
        Some(6) => sound("many names", names(size)),
        Some(7) => sound("anything", anything(size, &mut random)),
        Some(8) => {
            let mut cut = anything(size, &mut random);
            cut.truncate(random.below(cut.len()));
            broken("cut short", cut)
        }
        Some(9) => {
            let mut spoiled = anything(size, &mut random);
            let at = random.below(spoiled.len());
            spoiled[at] = 0xff;
            broken("no UTF-8", spoiled)
        }
        Some(10) => broken("nothing but zeros", vec![0; size]),
        Some(11) => broken("not closed", filled("[", b'[', "")),
        Some(12) => Sample {
            shape: "UTF-16",
            content_type: "application/json; charset=utf-16le",
            body: anything(size / 2, &mut random)
                .iter()
                .flat_map(|byte| [*byte, 0])
                .collect(),
            is_sound: false,
            is_deep: false,
        },
        Some(_) => Sample {
            shape: "Latin-1",
            content_type: "text/json; charset=iso-8859-1",
            body: filled("\"", 0xe9, "\""),
            is_sound: false,
            is_deep: false,
        },
    }
}

fn repeated(open: &str, item: &str, close: &str, size: usize) -> Vec<u8> {
    let room = size.saturating_sub(open.len() + close.len());
    let count = (room + 1) / (item.len() + 1);
    let items = vec![item; count].join(",");
    format!("{open}{items}{close}").into_bytes()
}

fn nested(open: &str, inner: &str, close: &str, size: usize) -> Vec<u8> {
    let depth = size.saturating_sub(inner.len()) / (open.len() + close.len());
    let depth = depth.max(1);
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}

fn names(size: usize) -> Vec<u8> {
    let mut body = b"{\"secret\":0".to_vec();
    for index in 0.. {
        let member = format!(",\"n{index}\":{index}");
        if body.len() + member.len() + 1 > size {
            break;
        }
        body.extend_from_slice(member.as_bytes());
    }
    body.push(b'}');
    body
}

/// A document of all kinds of values, not deep.
fn anything(size: usize, random: &mut Random) -> Vec<u8> {
    let mut body = b"[0".to_vec();
    loop {
        let end = body.len();
        body.push(b',');
        value(&mut body, random, 6);
        if body.len() >= size {
            body.truncate(end);
            break;
        }
    }
    body.push(b']');
    body
}

fn value(body: &mut Vec<u8>, random: &mut Random, deeper: usize) {
    const SCALARS: [&str; 10] = [
        "null",
        "true",
        "-0.5e+3",
        "0",
        "\"\"",
        "\"a,b]}\"",
        r#""\\\"""#,
        "\"\u{e9}\u{1f600}\"",
        "1e-400",
        "[ ]",
    ];
    const NAMES: [&str; 6] = ["a", "b", "secret", "items", "old", ""];
    match random.below(if deeper == 0 { 1 } else { 3 }) {
        0 => body.extend_from_slice(SCALARS[random.below(SCALARS.len())].as_bytes()),
        1 => {
            body.push(b'[');
            for index in 0..random.below(4) {
                if index > 0 {
                    body.extend_from_slice(b", ");
                }
                value(body, random, deeper - 1);
            }
            body.push(b']');
        }
        _ => {
            body.push(b'{');
            for index in 0..random.below(5) {
                let comma = if index > 0 { "," } else { "" };
                let name = NAMES[random.below(NAMES.len())];
                body.extend_from_slice(format!("{comma}\"{name}\":").as_bytes());
                value(body, random, deeper - 1);
            }
            body.push(b'}');
        }
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below this; 0 of 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }
}
