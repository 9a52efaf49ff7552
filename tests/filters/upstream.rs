//! An upstream that does what it is asked, where it is polite, and everything else where it is not.

use std::io::{Read, Write};

use crate::harness::Origin;

use super::SECRET;

/// What it has.
pub(super) const PATHS: &[&str] = &[
    "/polite",
    "/polite",
    "/polite",
    "/chunked",
    "/gzip",
    "/br",
    "/zstd",
    "/deflate",
    "/twice",
    "/bom",
    "/snappy",
    "/broken-gzip",
    "/cut-gzip",
    "/not-json",
    "/html",
    "/no-type",
    "/two-types",
    "/partial",
    "/parts",
    "/events",
];

pub(super) fn start() -> Origin {
    Origin::answering(|head, _| {
        let path = head.split([' ', '?']).nth(1).unwrap_or_default();
        let answer = answer(path.trim_start_matches("/x"), head);
        let is_head = head.starts_with("HEAD ");
        answer.bytes(is_head)
    })
}

/// A field of a request, in lower case.
fn field(head: &str, name: &str) -> Option<String> {
    let head = head.to_ascii_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
    Some(line.trim().to_owned())
}

struct Made {
    status: &'static str,
    fields: Vec<String>,
    body: Vec<u8>,
    chunked: bool,
}

impl Made {
    fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: "200 OK",
            fields: vec![format!("content-type: {content_type}")],
            body: body.into(),
            chunked: false,
        }
    }

    fn with(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    fn coded(mut self, coding: &str) -> Self {
        self.body = encode(coding, &self.body);
        self.with(&format!("content-encoding: {coding}"))
    }

    fn bytes(self, is_head: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for field in &self.fields {
            head.push_str(&format!("{field}\r\n"));
        }
        if self.chunked {
            let mut bytes =
                format!("{head}trailer: content-length\r\ntransfer-encoding: chunked\r\n\r\n")
                    .into_bytes();
            for piece in self.body.chunks(7).filter(|_| !is_head) {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            if !is_head {
                bytes.extend(format!("0\r\nrepr-digest: {SECRET}\r\n\r\n").bytes());
            }
            return bytes;
        }
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", self.body.len()).into_bytes();
        if !is_head {
            bytes.extend(self.body);
        }
        bytes
    }
}

fn json() -> Vec<u8> {
    format!(r#"{{"secret":"{SECRET}","kept":"here"}}"#).into_bytes()
}

fn answer(path: &str, head: &str) -> Made {
    let plain = || Made::new("application/json", json());
    match path {
        "/chunked" => Made {
            chunked: true,
            ..plain()
        },
        "/gzip" | "/br" | "/zstd" | "/deflate" => plain().coded(&path[1..]),
        "/twice" => {
            let mut made = plain();
            made.body = encode("gzip", &encode("br", &made.body));
            made.with("content-encoding: br, gzip")
        }
        "/bom" => Made::new("application/json", [&b"\xef\xbb\xbf"[..], &json()].concat()),
        "/snappy" => plain().with("content-encoding: snappy"),
        "/broken-gzip" => plain().with("content-encoding: gzip"),
        "/cut-gzip" => {
            let mut made = plain().coded("gzip");
            made.body.truncate(made.body.len() - 9);
            made
        }
        "/not-json" => Made::new("application/json", format!("{{\"secret\":\"{SECRET}\"")),
        "/html" => Made::new("text/html", json()),
        "/no-type" => Made {
            fields: Vec::new(),
            ..plain()
        },
        "/two-types" => plain().with("content-type: text/plain"),
        "/partial" => Made {
            status: "206 Partial Content",
            ..plain()
        }
        .with("content-range: bytes 0-9/10"),
        "/parts" => {
            let parts =
                format!("--b\r\ncontent-type: application/json\r\n\r\n{SECRET}\r\n--b--\r\n");
            Made {
                status: "206 Partial Content",
                ..Made::new("multipart/byteranges; boundary=b", parts)
            }
        }
        "/events" => Made::new("text/event-stream", "data: one\n\n"),
        "/image" => negotiated(Made::new("image/png", vec![7; 1000]), head),
        _ => negotiated(plain(), head),
    }
}

/// As RFC 9110 has it: validators, ranges and codings.
fn negotiated(made: Made, head: &str) -> Made {
    let accepts = field(head, "accept").unwrap_or_default();
    let made = match accepts.starts_with("text/html") {
        true => Made::new("text/html", made.body),
        false => made,
    };
    let made = made
        .with("etag: \"v1\"")
        .with("accept-ranges: bytes")
        .with("content-md5: x")
        .with("digest: x")
        .with("content-digest: x")
        .with("repr-digest: x");
    if field(head, "if-none-match").is_some_and(|tags| tags.contains("\"v1\"")) {
        return Made {
            status: "304 Not Modified",
            body: Vec::new(),
            ..made
        };
    }
    let may_range = field(head, "if-range").is_none_or(|tag| tag == "\"v1\"");
    if let Some(range) = field(head, "range").filter(|_| may_range) {
        return ranged(made, &range);
    }
    let codings = field(head, "accept-encoding").unwrap_or_else(|| "*".to_owned());
    let coding = ["gzip", "br", "zstd", "deflate"]
        .into_iter()
        .find(|coding| codings.contains(coding));
    match coding {
        Some(coding) => made.coded(coding),
        None if codings.contains('*') => made.coded("gzip"),
        None => made,
    }
}

fn ranged(made: Made, range: &str) -> Made {
    let length = made.body.len();
    let Some(spec) = range.strip_prefix("bytes=") else {
        return made;
    };
    if spec.contains(',') {
        let mut parts = b"--b\r\ncontent-type: application/json\r\n\r\n".to_vec();
        parts.extend(&made.body);
        parts.extend(b"\r\n--b--\r\n");
        return Made {
            status: "206 Partial Content",
            ..Made::new("multipart/byteranges; boundary=b", parts)
        };
    }
    let (from, to) = spec.split_once('-').unwrap_or_default();
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), to) => (from, to.map_or(length, |to| to + 1).min(length)),
        (Err(_), Ok(last)) => (length.saturating_sub(last), length),
        _ => return made,
    };
    if from >= to {
        let made = Made {
            status: "416 Range Not Satisfiable",
            ..made
        };
        return made.with(&format!("content-range: bytes */{length}"));
    }
    let body = made.body[from..to].to_vec();
    let made = Made {
        status: "206 Partial Content",
        body,
        ..made
    };
    made.with(&format!("content-range: bytes {from}-{}/{length}", to - 1))
}

pub(super) fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding.to_ascii_lowercase().as_str() {
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut coded = Vec::new();
            brotli::BrotliCompress(
                &mut &body[..],
                &mut coded,
                &brotli::enc::BrotliEncoderParams::default(),
            )
            .unwrap();
            coded
        }
        "zstd" => {
            let mut coded = vec![0; zstd_safe::compress_bound(body.len())];
            let length = zstd_safe::compress(&mut coded[..], body, 3).unwrap();
            coded.truncate(length);
            coded
        }
        _ => body.to_vec(),
    }
}

/// What a client makes of it; nothing where it cannot.
pub(super) fn decode(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // What is broken is read as far as it goes.
    match coding.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => drop(flate2::read::MultiGzDecoder::new(body).read_to_end(&mut out)),
        "deflate" => drop(flate2::read::ZlibDecoder::new(body).read_to_end(&mut out)),
        "br" => drop(brotli::BrotliDecompress(&mut &body[..], &mut out)),
        "zstd" => {
            out.resize(1 << 20, 0);
            let length = zstd_safe::decompress(&mut out[..], body).unwrap_or(0);
            out.truncate(length);
        }
        _ => out.extend_from_slice(body),
    }
    out
}
