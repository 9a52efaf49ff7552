//! A plugin that holds is a barrier: the streaming plugins before it finish first, those behind it see what it made.

use super::{HOLD, STREAM, probe, route, start, upstream};
use crate::harness::http::send;
use crate::harness::{Gateway, Origin, get};

/// What `h` may hold.
const LIMIT: usize = 64 << 10;

/// An upstream that answers with the body of the request.
fn echo() -> Origin {
    Origin::answering(|_, body| answer(body))
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A route for each chain, at the path of its names. `h`, `r` and `k` hold, but `h` and `r` no more than [`LIMIT`], and
/// `r` only reads.
fn gateway(origin: &Origin, chains: &[&str]) -> Gateway {
    let limited = "body_limit = \"64KiB\"\nbody_overflow = \"skip\"";
    let mut tables = vec![
        probe("a", STREAM, ""),
        probe("b", STREAM, ""),
        probe("c", STREAM, ""),
        probe("h", HOLD, limited),
        probe("r", HOLD, limited).replace(", tail = \"<r>\"", ""),
        probe("k", HOLD, ""),
        upstream("origin", origin.address),
    ];
    for chain in chains {
        let name = chain.replace(' ', "");
        let path = format!("/{name}");
        tables.push(route(&name, &path, chain, "upstream = \"origin\""));
    }
    start(&tables)
}

/// Letters that differ at every offset that a buffer could confuse.
fn letters(length: usize) -> String {
    let letter = |at: usize| char::from(b'a' + u8::try_from((at + at / 251) % 26).unwrap());
    (0..length).map(letter).collect()
}

#[track_caller]
fn assert_same(found: &str, expected: &str, what: &str) {
    let end = |text: &str| text[text.len().saturating_sub(40)..].to_owned();
    assert!(
        found == expected,
        "{what}: {} bytes that end in {:?}, not {} that end in {:?}",
        found.len(),
        end(found),
        expected.len(),
        end(expected)
    );
}

/// A body on its way through chains to an upstream that echoes it.
struct Passing<'a> {
    gateway: &'a Gateway,
    origin: &'a Origin,
    body: String,
}

impl Passing<'_> {
    /// The upstream gets the body with `up` behind it, the client gets that with `down` behind it.
    #[track_caller]
    fn ends_in(&self, chain: &str, up: &str, down: &str) {
        let (public, path) = (self.gateway.listener("public"), format!("/{chain}"));
        let got = send(public, "POST", &path, &[], self.body.as_bytes());
        assert_eq!(got.status, 200, "{chain}: {}", got.text());
        let seen = self.origin.seen().pop().unwrap();
        let (head, sent) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("POST {path} ")), "{head}");
        let up = format!("{}{up}", self.body);
        assert_same(sent, &up, &format!("{chain}, up"));
        let down = format!("{up}{down}");
        assert_same(&got.text(), &down, &format!("{chain}, down"));
    }
}

fn passing<'a>(gateway: &'a Gateway, origin: &'a Origin, length: usize) -> Passing<'a> {
    let body = letters(length);
    Passing {
        gateway,
        origin,
        body,
    }
}

#[test]
fn a_body_passes_streaming_and_holding_plugins_in_the_order_of_the_chain() {
    let origin = echo();
    let gateway = gateway(&origin, &["a h b", "h a k b"]);
    for length in [4, LIMIT / 2] {
        let body = passing(&gateway, &origin, length);
        body.ends_in("ahb", "<a><h><b>", "<b><h><a>");
        body.ends_in("hakb", "<h><a><k><b>", "<b><k><a><h>");
    }
}

#[test]
fn a_body_over_the_limit_of_a_holder_passes_whole_and_without_it() {
    let origin = echo();
    let gateway = gateway(&origin, &["a h b", "h", "h b", "a h", "a h b k c"]);
    let body = passing(&gateway, &origin, 5 * LIMIT);
    body.ends_in("ahb", "<a><b>", "<b><a>");
    body.ends_in("h", "", "");
    body.ends_in("hb", "<b>", "<b>");
    body.ends_in("ah", "<a>", "<a>");
    body.ends_in("ahbkc", "<a><b><k><c>", "<c><k><b><a>");
}

#[test]
fn a_held_body_over_the_limit_of_a_later_holder_passes_whole_and_without_that_one() {
    let origin = echo();
    let gateway = gateway(&origin, &["k h", "h k", "k a h", "h a k"]);
    let body = passing(&gateway, &origin, 5 * LIMIT);
    body.ends_in("hk", "<k>", "<k>");
    body.ends_in("hak", "<a><k>", "<k><a>");
    body.ends_in("kh", "<k>", "<k>");
    body.ends_in("kah", "<k><a>", "<a><k>");
}

#[test]
fn streaming_plugins_behind_a_holder_that_a_held_body_skipped_see_it() {
    let origin = echo();
    let gateway = gateway(&origin, &["k a r b", "b r a k"]);
    let body = passing(&gateway, &origin, 5 * LIMIT);
    body.ends_in("karb", "<k><a><b>", "<b><a><k>");
    body.ends_in("brak", "<b><a><k>", "<k><a><b>");
}

#[test]
fn a_request_body_that_a_plugin_makes_too_large_with_its_last_bytes_passes_whole() {
    let origin = echo();
    let gateway = gateway(&origin, &["a h", "a h b"]);
    let body = passing(&gateway, &origin, LIMIT);
    body.ends_in("ah", "<a>", "<a>");
    body.ends_in("ahb", "<a><b>", "<b><a>");
}

#[test]
fn a_response_body_that_a_plugin_makes_too_large_with_its_last_bytes_passes_whole() {
    let body = letters(LIMIT);
    let made = answer(body.as_bytes());
    let origin = Origin::answering(move |_, _| made.clone());
    let gateway = gateway(&origin, &["h b", "a h b"]);
    for (path, tail) in [("/hb", "<b>"), ("/ahb", "<b><a>")] {
        let got = get(gateway.listener("public"), path, &[]);
        assert_same(&got.text(), &format!("{body}{tail}"), path);
    }
}
