//! Coded bodies, by the encoders that go with the decoders.

use std::io::Write as _;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys};

use super::super::Coding;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn bare_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
    brotli_window(bytes, 22, false)
}

pub(super) fn brotli_window(bytes: &[u8], window: i32, large: bool) -> Vec<u8> {
    let parameters = BrotliEncoderParams {
        quality: 5,
        lgwin: window,
        large_window: large,
        ..BrotliEncoderParams::default()
    };
    let mut encoder = CompressorWriter::with_params(Vec::new(), 4096, &parameters);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

/// With a checksum, as every other of these has one but br.
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd_window(bytes, 19)
}

/// The head does not say how long the content is, so the window stands in it.
pub(super) fn zstd_window(bytes: &[u8], window: u32) -> Vec<u8> {
    let mut encoder = CCtx::create();
    for parameter in [
        CParameter::WindowLog(window),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(true),
    ] {
        encoder.set_parameter(parameter).unwrap();
    }
    let mut coded = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    let (mut from, mut to) = (InBuffer::around(bytes), OutBuffer::around(&mut coded));
    // In two calls: it cannot know the end while it writes the head.
    encoder.compress_stream(&mut to, &mut from).unwrap();
    let end = zstd_sys::ZSTD_EndDirective::ZSTD_e_end;
    while encoder.compress_stream2(&mut to, &mut from, end).unwrap() != 0 {}
    coded
}

/// What a decoder skips (RFC 8878, section 3.1.2).
pub(super) fn zstd_skippable(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&0x184d_2a53_u32.to_le_bytes(), &length[..], bytes].concat()
}

pub(super) fn coded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => gzip(bytes),
        Coding::Deflate => zlib(bytes),
        Coding::Brotli => brotli(bytes),
        Coding::Zstd => zstd(bytes),
    }
}
