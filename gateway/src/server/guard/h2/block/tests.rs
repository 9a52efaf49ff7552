use super::{Blocks, Kind};

/// Of lengths 5, 6 and so on, all characters that a target may have, in the order of their codes (RFC 7541, appendix B).
const CODES: [(u32, u32, &str); 11] = [
    (5, 0, "012aceiost"),
    (6, 0x14, " %-./3456789=A_bdfghlmnpru"),
    (7, 0x5c, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, 0xf8, "&*,;XZ"),
    (10, 0x3f8, "!\"()?"),
    (11, 0x7fa, "'+|"),
    (12, 0xffa, "#>"),
    (13, 0x1ff8, "\0$@[]~"),
    (14, 0x3ffc, "^}"),
    (15, 0x7ffc, "<`{"),
    (19, 0x7fff0, "\\"),
];

fn coded(text: &str) -> Vec<u8> {
    let mut bits = String::new();
    for character in text.chars() {
        let found = CODES.iter().find_map(|(length, first, all)| {
            let at = all.chars().position(|each| each == character)?;
            Some((*length as usize, first + at as u32))
        });
        let (length, code) = found.unwrap();
        bits.push_str(&format!("{code:0length$b}"));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let bytes = bits.as_bytes().chunks(8);
    bytes
        .map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

fn raw(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn huffman(text: &str) -> Vec<u8> {
    let coded = coded(text);
    [&[0x80 | u8::try_from(coded.len()).unwrap()], &coded[..]].concat()
}

fn read(blocks: &mut Blocks, block: &[u8]) -> Kind {
    blocks.frame(block, 1, Some(0));
    blocks.end()
}

fn kind(block: &[u8]) -> Kind {
    read(&mut Blocks::new(1000), block)
}

#[test]
fn a_fragment_in_a_path_is_found_however_it_is_written() {
    for (path, expected) in [
        ("/", Kind::Path),
        ("/a?b=c&d=%23", Kind::Path),
        ("/@me/(x)!?[1]>~", Kind::Path),
        ("/a#", Kind::Fragment),
        ("/@me?x#y", Kind::Fragment),
        ("#", Kind::Fragment),
    ] {
        for text in [raw, huffman] {
            for named in [
                vec![0x04],
                vec![0x05],
                vec![0x14],
                vec![0x44],
                [&[0x00][..], &raw(":path")].concat(),
                [&[0x40][..], &huffman(":path")].concat(),
            ] {
                let block = [named, text(path)].concat();
                assert_eq!(kind(&block), expected, "{path} {block:x?}");
            }
        }
    }
}

#[test]
fn a_hash_elsewhere_is_nothing() {
    for block in [
        [&[0x00][..], &raw("x"), &raw("#")].concat(),
        // user-agent.
        [&[0x7a][..], &huffman("a#b")].concat(),
        // :authority, which the gateway judges.
        [&[0x41][..], &raw("a#b")].concat(),
    ] {
        assert!(kind(&block) < Kind::Path, "{block:x?}");
    }
}

#[test]
fn hashes_are_found_among_all_codes() {
    let all: Vec<char> = CODES.iter().flat_map(|(.., all)| all.chars()).collect();
    let mut next = 1_u64;
    let mut random = || {
        next = next.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (next >> 33) as usize
    };
    let mut found = 0;
    for _ in 0..20_000 {
        let text: String = (0..random() % 24)
            .map(|_| all[random() % all.len()])
            .collect();
        let block = [&[0x04][..], &huffman(&text)].concat();
        let has_one = text.contains('#');
        found += usize::from(has_one);
        assert_eq!(kind(&block) == Kind::Fragment, has_one, "{text:?}");
    }
    assert!(found > 1_000);
}

#[test]
fn what_the_table_keeps_is_known_again() {
    let mut blocks = Blocks::new(1000);
    // :path: /#, x: #, :path: /, each added.
    let path = [&[0x44][..], &raw("/#")].concat();
    assert_eq!(read(&mut blocks, &path), Kind::Fragment);
    assert_eq!(read(&mut blocks, &[0x80 | 62]), Kind::Fragment);
    let other = [&[0x40][..], &raw("x"), &raw("#")].concat();
    assert_eq!(read(&mut blocks, &other), Kind::Plain);
    let good = [&[0x44][..], &huffman("/")].concat();
    assert_eq!(read(&mut blocks, &good), Kind::Path);
    for (index, expected) in [(62, Kind::Path), (63, Kind::Plain), (64, Kind::Fragment)] {
        assert_eq!(read(&mut blocks, &[0x80 | index]), expected);
        // Its name with another value, that is not added.
        let named = [&[0x0f, index - 15][..], &raw("/a#")].concat();
        let by_name = match expected {
            Kind::Plain => Kind::Plain,
            _ => Kind::Fragment,
        };
        assert_eq!(read(&mut blocks, &named), by_name);
        let good = [&[0x0f, index - 15][..], &raw("/a")].concat();
        assert!(read(&mut blocks, &good) <= Kind::Path);
    }
    // As many as there can be.
    for _ in 0..125 {
        read(&mut blocks, &other);
    }
    assert_eq!(read(&mut blocks, &[0xff, 189 - 127]), Kind::Fragment);
    // A size, and an index of nothing.
    assert_eq!(read(&mut blocks, &[0x3f, 0x00, 0x82]), Kind::Pseudo);
    assert_eq!(read(&mut blocks, &[0xff, 190 - 127]), Kind::Plain);
}

#[test]
fn pseudo_header_fields_are_known_by_their_names() {
    for block in [
        vec![0x82],
        vec![0x8e],
        [&[0x02][..], &raw("PUT")].concat(),
        [&[0x00][..], &raw(":x"), &raw("")].concat(),
        [&[0x00][..], &huffman(":authority"), &raw("")].concat(),
        [&[0x10][..], &huffman(":x"), &raw("")].concat(),
    ] {
        assert_eq!(kind(&block), Kind::Pseudo, "{block:x?}");
    }
    for block in [
        vec![0x8f],
        [&[0x00][..], &raw("x:y"), &raw(":path")].concat(),
        [&[0x00][..], &huffman("x"), &raw(":")].concat(),
        // Broken off.
        vec![0x04, 0x05, b'#'],
        vec![0x44],
        vec![0xff, 0xff, 0xff],
        vec![0x00, 0xff],
    ] {
        assert_eq!(kind(&block), Kind::Plain, "{block:x?}");
    }
}

#[test]
fn a_block_may_come_in_any_pieces() {
    let long = "x".repeat(100);
    let fields = [
        &[0x82, 0x00][..],
        &raw("name"),
        &raw(&long),
        &[0x44],
        &huffman("/a#b"),
        &[0x90],
    ]
    .concat();
    for at in 0..=fields.len() {
        let (one, two) = fields.split_at(at);
        // Padded, with a priority.
        let first = [&[3, 0, 0, 0, 0, 0][..], one, &[0, 0, 0]].concat();
        for cut in 0..=first.len() {
            let mut blocks = Blocks::new(1000);
            blocks.part(&first[..cut]);
            blocks.frame(&first[cut..], 1, Some(0x28));
            blocks.part(&two[..two.len() / 2]);
            blocks.frame(&two[two.len() / 2..], 1, None);
            assert_eq!(blocks.end(), Kind::Fragment);
            assert_eq!(read(&mut blocks, &[0x80 | 62]), Kind::Fragment);
        }
    }
}

/// What h2 reads otherwise than others do, or not at all.
#[test]
fn a_block_in_which_h2_loses_its_place_is_unsound() {
    let sound = [&[0x82, 0x00][..], &raw("x"), &raw("")].concat();
    let priority = |dependency: u8, block: &[u8]| [&[0, 0, 0, dependency, 9][..], block].concat();
    for (what, flags, payload, expected) in [
        ("sound", 0, sound.clone(), false),
        ("an empty value", 0, vec![0x10, 0x01, b'x', 0x00], false),
        ("an empty name", 0, vec![0x82, 0x00, 0x00, 0x01, b'x'], true),
        ("a coded one", 0, vec![0x40, 0x80, 0x00], true),
        ("a dependency", 0x20, priority(1, &sound), false),
        ("one on itself", 0x20, priority(3, &sound), true),
        (
            "padded",
            0x28,
            [&[0], &priority(3, &sound)[..]].concat(),
            true,
        ),
    ] {
        let mut blocks = Blocks::new(1000);
        blocks.frame(&payload, 3, Some(flags));
        assert_eq!(blocks.are_unsound(), expected, "{what}");
    }
    let mut blocks = Blocks::new(1000);
    blocks.frame(&[0x00, 0x7f, 0xff, 0xff, 0x7f], 1, Some(0));
    let frames = (0..100).take_while(|_| {
        blocks.frame(&[b'x'; 16 << 10], 1, None);
        !blocks.are_unsound()
    });
    assert!(frames.count() < 20, "what goes on has a bound");
}
