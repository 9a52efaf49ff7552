mod broken;
mod encode;
mod limits;
mod stream;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::{Coding, CodingFault, Codings, Decoder, Limits, UnknownCoding, codings};
use encode::coded;

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

const TEXT: &[u8] =
    b"It was the best of times, it was the worst of times, it was the age of wisdom, \
    it was the age of foolishness";

fn named(values: &[&str]) -> Result<Option<Codings>, UnknownCoding> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(CONTENT_ENCODING, value.parse().unwrap());
    }
    codings(&headers)
}

fn of(applied: &[Coding]) -> Codings {
    Codings(applied.to_vec())
}

/// What these pieces decode to, without a limit.
fn decode(codings: &Codings, pieces: &[&[u8]]) -> Result<Vec<u8>, CodingFault> {
    let limits = Limits {
        ratio: u32::MAX,
        ..Limits::new(u64::MAX)
    };
    let mut decoder = Decoder::new(codings, limits);
    let mut whole = Vec::new();
    for piece in pieces {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(bytes) = decoder.decode(&mut piece)? {
            assert!(bytes.len() <= limits.step);
            whole.extend_from_slice(&bytes);
        }
        assert!(piece.is_empty());
    }
    decoder.finish().map(|()| whole)
}

/// Bytes that hardly compress, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// Every form of a coding that senders use, of the same text.
fn forms() -> Vec<(Coding, Vec<u8>)> {
    let (one, two) = TEXT.split_at(40);
    vec![
        (Coding::Gzip, encode::gzip(TEXT)),
        (
            Coding::Gzip,
            [encode::gzip(one), encode::gzip(two)].concat(),
        ),
        (Coding::Deflate, encode::zlib(TEXT)),
        (Coding::Deflate, encode::bare_deflate(TEXT)),
        (Coding::Brotli, encode::brotli(TEXT)),
        (Coding::Zstd, encode::zstd(TEXT)),
        (
            Coding::Zstd,
            [encode::zstd(one), encode::zstd(two)].concat(),
        ),
        (
            Coding::Zstd,
            [
                encode::zstd_skippable(b"who reads this?"),
                encode::zstd(TEXT),
            ]
            .concat(),
        ),
    ]
}

#[test]
fn a_coding_is_known_by_its_names_in_any_case() {
    for (name, coding) in [
        ("gzip", Coding::Gzip),
        ("GZIP", Coding::Gzip),
        ("X-Gzip", Coding::Gzip),
        ("Deflate", Coding::Deflate),
        ("BR", Coding::Brotli),
        ("zStd", Coding::Zstd),
    ] {
        assert_eq!(named(&[name]), Ok(Some(of(&[coding]))), "{name}");
    }
}

#[test]
fn no_field_empty_members_and_identity_are_no_coding() {
    for none in [
        &[][..],
        &[""],
        &[" , ,, "],
        &["identity"],
        &["Identity", "", "identity,"],
    ] {
        assert_eq!(named(none), Ok(None), "{none:?}");
    }
}

#[test]
fn several_codings_are_one_list_over_several_fields_and_at_most_two() {
    let all = of(&[Coding::Gzip, Coding::Deflate]);
    assert_eq!(all.to_string(), "gzip, deflate");
    let fields = ["gzip,, ", "identity", ",\tdeflate"];
    assert_eq!(named(&fields), Ok(Some(all)));
    assert_eq!(
        named(&["gzip,br,identity,gzip"]),
        Err(UnknownCoding::TooMany)
    );
}

#[test]
fn a_few_bytes_of_brotli_cannot_ask_for_a_window_over_4_mib() {
    let limits = Limits::new(1 << 30);
    for (first, taken) in [(0xcf_u8, false), (0x8d, false), (0x0b, true), (0x06, true)] {
        let mut decoder = Decoder::new(&of(&[Coding::Brotli]), limits);
        let mut piece = Bytes::copy_from_slice(&[first]);
        let refused = decoder.decode(&mut piece).is_err();
        assert_eq!(refused, !taken, "{first:#x}");
    }
}

#[test]
fn all_bodies_together_have_so_much_room() {
    let zstd = of(&[Coding::Zstd]);
    let limits = Limits::new(1 << 30);
    let mut taken = Vec::new();
    while let Some(decoder) = Decoder::within_room(&zstd, limits) {
        taken.push(decoder);
        assert!(taken.len() <= 32, "no end");
    }
    taken.pop();
    assert!(Decoder::within_room(&zstd, limits).is_some());
}

#[test]
fn an_unknown_coding_is_told_by_its_name_which_is_escaped_and_bounded() {
    for (value, name) in [
        ("gzip, compress", "compress"),
        ("gzip;q=1", "gzip;q=1"),
        ("gzip br", "gzip br"),
        ("\"gzip\"", "\\\"gzip\\\""),
        ("gzip\u{e9}", "gzip\\xc3\\xa9"),
        ("dcz", "dcz"),
    ] {
        let error = named(&[value]).unwrap_err();
        assert_eq!(error, UnknownCoding::Name(name.into()));
        assert!(error.to_string().contains(name), "{error}");
    }
    let Err(UnknownCoding::Name(name)) = named(&[&"x".repeat(10_000)]) else {
        panic!("no such coding");
    };
    assert_eq!(name, format!("{}…", "x".repeat(40)));
}

#[test]
fn every_coding_gives_back_what_was_coded() {
    let long = TEXT.repeat(30_000);
    let noise = noise(300_000);
    for coding in ALL {
        for bytes in [&b""[..], b"x", TEXT, &long, &noise] {
            let decoded = decode(&of(&[coding]), &[&coded(coding, bytes)]).unwrap();
            assert!(decoded == bytes, "{coding}, {} bytes", bytes.len());
        }
    }
    for bytes in [&b""[..], b"x", TEXT, &long, &noise] {
        let bare = encode::bare_deflate(bytes);
        assert!(decode(&of(&[Coding::Deflate]), &[&bare]).unwrap() == bytes);
    }
}

#[test]
fn a_body_may_be_cut_anywhere() {
    for (coding, body) in forms() {
        let codings = of(&[coding]);
        for at in 0..=body.len() {
            let (head, tail) = body.split_at(at);
            assert_eq!(
                decode(&codings, &[head, b"", tail]),
                Ok(TEXT.into()),
                "{coding}, {at}"
            );
        }
        let bytes: Vec<_> = body.chunks(1).collect();
        assert_eq!(decode(&codings, &bytes), Ok(TEXT.into()), "{coding}");
    }
}

#[test]
fn what_goes_in_comes_out_before_the_next_piece() {
    // Stored blocks of deflate, each with its bytes: nothing waits for the end.
    let mut decoder = Decoder::new(&of(&[Coding::Deflate]), Limits::new(100));
    for word in ["one", "two"] {
        let length = u8::try_from(word.len()).unwrap();
        let block = [&[0, length, 0, !length, 0xff], word.as_bytes()].concat();
        let mut piece = Bytes::from(block);
        assert_eq!(decoder.decode(&mut piece), Ok(Some(word.into())));
        assert_eq!(decoder.decode(&mut piece), Ok(None));
    }
}

#[test]
fn codings_on_top_of_each_other_are_undone_in_reverse() {
    for first in ALL {
        for second in ALL {
            let body = coded(second, &coded(first, TEXT));
            let codings = of(&[first, second]);
            assert_eq!(decode(&codings, &[&body]), Ok(TEXT.into()));
            let bytes: Vec<_> = body.chunks(1).collect();
            assert_eq!(decode(&codings, &bytes), Ok(TEXT.into()));
            if first != second {
                assert!(decode(&of(&[second, first]), &[&body]).is_err());
            }
        }
    }
    let long = TEXT.repeat(3_000);
    let body = ALL
        .iter()
        .fold(long.clone(), |body, coding| coded(*coding, &body));
    assert!(decode(&of(&ALL), &[&body]).unwrap() == long);
}

#[test]
fn a_body_without_any_byte_is_sound() {
    for coding in ALL {
        assert_eq!(decode(&of(&[coding]), &[]), Ok(vec![]));
        assert_eq!(decode(&of(&[coding]), &[b"", b""]), Ok(vec![]));
    }
    assert_eq!(decode(&of(&ALL), &[]), Ok(vec![]));
}

#[test]
fn a_decoder_may_move_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<Decoder>();
}
