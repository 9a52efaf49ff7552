//! Bodies that decode to more than they may.

use bytes::Bytes;

use super::encode::{self, coded};
use super::{ALL, Coding, CodingFault, Codings, Decoder, Limits, TEXT, noise, of};
use crate::message::coding::GRACE;

/// How many bytes a body decodes to, in how many steps, and the fault that ends it.
fn run(codings: &Codings, body: Vec<u8>, limits: Limits) -> (u64, usize, Option<CodingFault>) {
    let mut decoder = Decoder::new(codings, limits);
    let mut piece = Bytes::from(body);
    let (mut bytes, mut steps) = (0, 0);
    loop {
        steps += 1;
        match decoder.decode(&mut piece) {
            Ok(Some(decoded)) => {
                assert!(decoded.len() <= limits.step);
                bytes += decoded.len() as u64;
            }
            Ok(None) => return (bytes, steps, decoder.finish().err()),
            Err(fault) => return (bytes, steps, Some(fault)),
        }
    }
}

#[test]
fn a_bomb_ends_at_the_proportion_after_a_grace() {
    let zeros = vec![0; 10 << 20];
    for coding in ALL {
        let bomb = coded(coding, &zeros);
        assert!(bomb.len() < 12 << 10, "{coding}: {}", bomb.len());
        let most = GRACE.max(100 * bomb.len() as u64);
        let (bytes, _, fault) = run(&of(&[coding]), bomb, Limits::new(u64::MAX));
        assert_eq!(fault, Some(CodingFault::Ratio), "{coding}");
        assert!(bytes <= most, "{coding}: {bytes}");
    }
}

#[test]
fn a_body_ends_at_the_limit_of_its_output() {
    for coding in ALL {
        for length in [0, 1, 1000, 300_000] {
            let bytes = noise(length);
            for (limit, fault) in [
                (length as u64 + 1, None),
                (length as u64, None),
                (
                    (length as u64).saturating_sub(1),
                    Some(CodingFault::TooLarge),
                ),
            ] {
                if length == 0 && fault.is_some() {
                    continue;
                }
                let body = coded(coding, &bytes);
                let (bytes, _, ended) = run(&of(&[coding]), body, Limits::new(limit));
                assert_eq!(ended, fault, "{coding}, {length} of {limit}");
                assert!(bytes <= limit);
            }
        }
    }
}

#[test]
fn what_compresses_well_is_no_bomb() {
    // Below the grace whatever the proportion, above it within the proportion.
    let small = vec![0; 1 << 20];
    let large = [noise(200_000), vec![0; 15 << 20]].concat();
    for coding in ALL {
        for bytes in [&small, &large] {
            let (decoded, _, fault) =
                run(&of(&[coding]), coded(coding, bytes), Limits::new(u64::MAX));
            assert_eq!((decoded, fault), (bytes.len() as u64, None), "{coding}");
        }
    }
}

#[test]
fn a_bomb_between_two_codings_ends_there() {
    // A thousand times nothing: what the outer coding makes is large, and the inner one makes nothing of it.
    let nothing = encode::gzip(b"").repeat(500_000);
    for outer in ALL {
        let bomb = coded(outer, &nothing);
        let (bytes, steps, fault) = run(&of(&[Coding::Gzip, outer]), bomb, Limits::new(100));
        assert_eq!((bytes, fault), (0, Some(CodingFault::Ratio)), "{outer}");
        assert!(steps < 200_000, "{outer}: {steps}");
    }
    let bomb = ALL
        .iter()
        .fold(vec![0; 64 << 20], |body, coding| coded(*coding, &body));
    let (bytes, _, fault) = run(&of(&ALL), bomb, Limits::new(u64::MAX));
    assert_eq!(fault, Some(CodingFault::Ratio));
    assert!(bytes <= GRACE, "{bytes}");
}

#[test]
fn a_window_is_bounded() {
    let bytes = TEXT.repeat(1_000);
    let limits = Limits {
        ratio: u32::MAX,
        ..Limits::new(u64::MAX)
    };
    for (coding, body, says) in [
        (Coding::Zstd, encode::zstd_window(&bytes, 23), None),
        (
            Coding::Zstd,
            encode::zstd_window(&bytes, 24),
            Some("Frame requires too much memory for decoding"),
        ),
        (
            Coding::Brotli,
            encode::brotli_window(&bytes, 22, false),
            None,
        ),
        (
            Coding::Brotli,
            encode::brotli_window(&bytes, 23, false),
            Some("its window is larger than 4 MiB"),
        ),
        (
            Coding::Brotli,
            encode::brotli_window(&bytes, 26, true),
            Some("its data is invalid"),
        ),
    ] {
        let (_, _, fault) = run(&of(&[coding]), body, limits);
        assert_eq!(fault, says.map(|why| CodingFault::Broken(coding, why)));
    }
}

#[test]
fn a_step_may_be_as_small_as_one_byte() {
    let limits = Limits {
        step: 1,
        ..Limits::new(u64::MAX)
    };
    for (coding, body) in super::forms() {
        let (bytes, _, fault) = run(&of(&[coding]), body, limits);
        assert_eq!((bytes, fault), (TEXT.len() as u64, None), "{coding}");
    }
}
