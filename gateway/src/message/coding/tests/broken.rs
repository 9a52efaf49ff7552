//! Bodies that are not what their coding says.

use bytes::Bytes;

use super::encode::{self, coded};
use super::{ALL, Coding, CodingFault, Decoder, Limits, TEXT, decode, forms, of};

fn why(coding: Coding, body: &[u8]) -> &'static str {
    match decode(&of(&[coding]), &[body]) {
        Err(CodingFault::Broken(of, why)) => {
            assert_eq!(of, coding);
            why
        }
        other => panic!("{coding}: {other:?}"),
    }
}

#[test]
fn a_body_that_is_cut_short_is_broken() {
    for coding in ALL {
        let body = coded(coding, TEXT);
        for length in 1..body.len() {
            assert_eq!(why(coding, &body[..length]), "it is cut short", "{length}");
        }
    }
    let bare = encode::bare_deflate(TEXT);
    for length in 1..bare.len() {
        assert_eq!(why(Coding::Deflate, &bare[..length]), "it is cut short");
    }
    // The inner one, in an outer one that is whole.
    let cut = encode::zstd(&encode::gzip(TEXT)[..40]);
    let fault = CodingFault::Broken(Coding::Gzip, "it is cut short");
    assert_eq!(
        decode(&of(&[Coding::Gzip, Coding::Zstd]), &[&cut]),
        Err(fault)
    );
}

#[test]
fn bytes_after_the_end_are_a_fault() {
    for (coding, body) in forms() {
        for more in [
            &b"\0"[..],
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"GET / HTTP/1.1",
        ] {
            let both = [&body, more].concat();
            why(coding, &both);
            // In a piece of its own too.
            assert!(decode(&of(&[coding]), &[&body, more]).is_err(), "{coding}");
        }
    }
    let long = TEXT.repeat(3_000);
    for coding in ALL {
        let both = [&coded(coding, &long), &b"\0"[..]].concat();
        why(coding, &both);
    }
}

#[test]
fn a_wrong_checksum_or_length_is_a_fault() {
    let gzip = encode::gzip(TEXT);
    for from_the_end in 1..=8 {
        let mut body = gzip.clone();
        let at = body.len() - from_the_end;
        body[at] ^= 1;
        assert_eq!(why(Coding::Gzip, &body), "its checksum is wrong");
    }
    for (coding, mut body, says) in [
        (Coding::Deflate, encode::zlib(TEXT), "its checksum is wrong"),
        (
            Coding::Zstd,
            encode::zstd(TEXT),
            "Restored data doesn't match checksum",
        ),
    ] {
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(why(coding, &body), says);
    }
}

#[test]
fn a_changed_bit_is_a_fault_or_changes_nothing() {
    // Those with a checksum.
    for (coding, body) in forms() {
        if coding == Coding::Brotli || body == encode::bare_deflate(TEXT) {
            continue;
        }
        for bit in 0..body.len() * 8 {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // A frame that is skipped has no checksum, nor has what the head of a member says about a file.
            if let Ok(decoded) = decode(&of(&[coding]), &[&changed]) {
                assert_eq!(decoded, TEXT, "{coding}, bit {bit}");
            }
        }
    }
}

#[test]
fn what_is_no_coding_at_all_is_a_fault() {
    for garbage in [&b"<html>"[..], b"{\"a\":1}", &[0xff; 100], &[0; 100]] {
        for coding in ALL {
            why(coding, garbage);
        }
    }
    // One coding is not taken for another.
    for coding in ALL {
        for other in ALL.into_iter().filter(|other| *other != coding) {
            why(coding, &coded(other, TEXT));
        }
    }
}

#[test]
fn a_dictionary_is_not_to_be_had() {
    // RFC 1950, section 2.2: FDICT, and the checksum of the dictionary.
    assert_eq!(
        why(Coding::Deflate, &[0x78, 0x20, 0, 0, 0, 1, 3, 0]),
        "it needs a dictionary"
    );
    // RFC 8878, section 3.1.1.1: one byte that names a dictionary, and the size of the content.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x21, 9, 0, 1, 0, 0];
    assert_eq!(why(Coding::Zstd, &zstd), "Dictionary mismatch");
}

#[test]
fn a_fault_stays() {
    let mut decoder = Decoder::new(&of(&[Coding::Gzip]), Limits::new(100));
    let mut garbage = Bytes::from_static(b"garbage");
    let fault = decoder.decode(&mut garbage).unwrap_err();
    assert_eq!(fault.to_string(), "gzip: its head is invalid");
    let mut sound = Bytes::from(encode::gzip(b"sound"));
    assert_eq!(decoder.decode(&mut sound), Err(fault));
    assert_eq!(decoder.finish(), Err(fault));
}
