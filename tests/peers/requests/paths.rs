//! Request lines and hosts: paths, queries, methods, spellings of a host.

use super::{Dice, Request, edge};

/// Beginnings that routes match, and one that none but the last does.
const PREFIXES: &[&str] = &[
    "", "/exact", "/api", "/api/v2", "/users", "/img", "/old", "/ws", "/other", "/%61pi",
];

/// Segments that mean nothing.
const PLAIN: &[&str] = &[
    "a", "v2", "1.png", "x.php", "orders", "exact", "api", "~b-_.c",
];

/// Segments of which some server makes something else.
const SPECIAL: &[&[u8]] = &[
    b".",
    b"..",
    b"...",
    b"%2e",
    b"%2E%2e",
    b".%2e",
    b"",
    b"%2F",
    b"a%2Fb",
    b"a%2fb",
    b"%2f..",
    b"..%2f",
    b"a%5Cb",
    b"a\\b",
    b"..\\",
    b"a;b=1",
    b";",
    b"..;",
    b"..;x=1",
    b".;x",
    b"a%3Bb",
    b"%7E",
    b"%41%62",
    b"%c3%a4",
    b"\xc3\xa4",
    b"\xff",
    b"%ff",
    b"%C0%AF",
    b"%00",
    b"%0d%0a",
    b"%09",
    b"%20",
    b"+",
    b"%2B",
    b"%25",
    b"%252e%252e",
    b"%252f",
    b"%zz",
    b"%",
    b"%4",
    b"%u0041",
    b"\"",
    b"%22",
    b"<",
    b">",
    b"{x}",
    b"%7Bx%7D",
    b"|",
    b"^",
    b"`",
    b"*",
    b"a:b",
    b"@",
    b"'",
    b"(a)",
    b",",
    b"$&=",
    b"!",
    b"[x]",
    b"%5B",
    b"%3F",
    b"%23",
    b"a.",
    b".a",
    b"%61pi",
    b"\x01",
    b"\x7f",
    b"API",
];

/// What may follow a path.
const QUERIES: &[&[u8]] = &[
    b"",
    b"",
    b"?",
    b"?a=b",
    b"?a=%2F..",
    b"?x=/../&y=//",
    b"?a?b",
    b"?a=b;c=d",
    b"?%zz",
    b"?\xc3\xa4",
    b"?a=\"",
    b"?{}|^`",
    b"?a=+%20",
    b"?=&&",
    b"?a#b",
    b"#",
    b"#f",
];

/// Each of these is a host that some server spells otherwise.
const HOSTS: &[&[u8]] = &[
    b"only.example",
    b"ONLY.Example",
    b"only.example.",
    b"ONLY.EXAMPLE.:80",
    b"only.example:80",
    b"only.example:443",
    b"only.example:8080",
    b"only.example:",
    b"only.example:99999",
    b"only.example:x",
    b"only.example:080",
    b"only.example..",
    b".only.example",
    b"only..example",
    b"a.only.example",
    b"a.wild.example",
    b"a.b.wild.example",
    b"wild.example",
    b".wild.example",
    b"A.Wild.Example:80",
    b"awild.example",
    b"[::1]",
    b"[::1]:80",
    b"[::1]:8080",
    b"[0:0::1]",
    b"[2001:DB8::A]",
    b"[::ffff:1.2.3.4]",
    b"[::1",
    b"::1",
    b"[v1.x]",
    b"127.0.0.1",
    b"127.1",
    b"0x7f.1",
    b"only.example,other",
    b"only.example/x",
    b"user@only.example",
    b"on ly.example",
    b"only_.example",
    b"-only.example",
    b"",
    b"\xc3\xa4.example",
    b"%6fnly.example",
    b"only.example\\x",
    b"only.example?x",
    b"a&b",
    b"a'b",
    b"only.example#x",
    b"xn--4ca.example",
    b"only.example\t",
    b"*",
    b"*.wild.example",
    b"localhost",
];

/// Request lines other than a plain GET, each with a host where it is no part of them.
const LINES: &[&str] = &[
    "HEAD /api/a HTTP/1.1",
    "PUT /api/a HTTP/1.1",
    "PATCH /api/a HTTP/1.1",
    "POST /api/a HTTP/1.1",
    "DELETE /api/a HTTP/1.1",
    "OPTIONS /api/a HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "TRACE /api/a HTTP/1.1",
    "CONNECT only.example:443 HTTP/1.1",
    "CONNECT /api/a HTTP/1.1",
    "QUERY /api/a HTTP/1.1",
    "PROPFIND /api/a HTTP/1.1",
    "get /api/a HTTP/1.1",
    "Get /api/a HTTP/1.1",
    "FOO /api/a HTTP/1.1",
    "X-FOO /api/a HTTP/1.1",
    "F_O /api/a HTTP/1.1",
    "F(O /api/a HTTP/1.1",
    "F@O /api/a HTTP/1.1",
    "LINK /api/a HTTP/1.1",
    "PURGE /api/a HTTP/1.1",
    "SUBSCRIBE /api/a HTTP/1.1",
    "GET * HTTP/1.1",
    "GET api/a HTTP/1.1",
    "GET ?a HTTP/1.1",
    "GET  /api/a HTTP/1.1",
    "GET /api/a  HTTP/1.1",
    "GET /api/a b HTTP/1.1",
    "GET\t/api/a HTTP/1.1",
    "GET /api/a http/1.1",
    "GET /api/a HTTP/1.2",
    "GET /api/a HTTP/2.0",
    "GET /api/a HTTP/01.1",
    "GET /api/a HTTQ/1.1",
    "GET http://only.example/x HTTP/1.1",
    "GET HTTP://ONLY.example:80/x HTTP/1.1",
    "GET http://only.example HTTP/1.1",
    "GET http://only.example?a HTTP/1.1",
    "GET http://only.example/a/../b HTTP/1.1",
    "GET http://other.example/x HTTP/1.1",
    "GET https://only.example/x HTTP/1.1",
    "GET ftp://only.example/x HTTP/1.1",
    "GET http://u:p@only.example/x HTTP/1.1",
    "GET http:///x HTTP/1.1",
    "GET http:/only.example/x HTTP/1.1",
    "GET //only.example/x HTTP/1.1",
];

/// Heads whose host is missing, double or old.
const BARE: &[&str] = &[
    "GET /api/a HTTP/1.1\r\n",
    "GET /api/a HTTP/1.0\r\n",
    "GET /api/a HTTP/1.0\r\nhost: only.example\r\n",
    "GET http://only.example/x HTTP/1.0\r\n",
    "GET http://only.example/x HTTP/1.1\r\n",
    "GET /api/a HTTP/1.1\r\nhost: only.example\r\nhost: only.example\r\n",
    "GET /api/a HTTP/1.1\r\nhost: only.example\r\nhost: other.example\r\n",
    "GET /api/a HTTP/1.1\r\nhost: other.example\r\nx: y\r\nHOST: only.example\r\n",
    "GET /api/a\r\n",
];

pub(super) fn requests(dice: &mut Dice) -> Vec<Request> {
    let mut heads = Vec::new();
    for special in SPECIAL {
        for prefix in ["/api", "/old"] {
            let path = [prefix.as_bytes(), b"/", special, b"/b"].concat();
            heads.push(get(&path, b"peers.example"));
        }
    }
    for prefix in PREFIXES {
        for query in QUERIES {
            heads.push(get(&[prefix.as_bytes(), query].concat(), b"peers.example"));
        }
        for end in [
            "/",
            "//",
            "/a",
            "x",
            "/.",
            "/..",
            "/v2",
            "/1.png",
            "/x.php",
            "/7/orders",
            "/7/orders/",
        ] {
            heads.push(get(format!("{prefix}{end}").as_bytes(), b"peers.example"));
        }
    }
    heads.extend((0..150).map(|_| get(&mixed(dice), b"peers.example")));
    for host in HOSTS {
        heads.push(get(b"/x", host));
    }
    let lines = LINES.iter();
    heads.extend(lines.map(|line| format!("{line}\r\nhost: only.example\r\n").into_bytes()));
    heads.extend(BARE.iter().map(|head| head.as_bytes().to_vec()));
    edge(heads)
}

fn get(target: &[u8], host: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n"].concat()
}

/// A path of up to four segments behind a prefix.
fn mixed(dice: &mut Dice) -> Vec<u8> {
    let mut path = dice.pick(PREFIXES).as_bytes().to_vec();
    for _ in 0..1 + dice.roll(4) {
        path.extend(dice.pick(&["/", "/", "/", "/", "//"]).as_bytes());
        match dice.roll(3) {
            0 => path.extend(dice.pick(SPECIAL)),
            _ => path.extend(dice.pick(PLAIN).as_bytes()),
        }
    }
    path.extend(dice.pick(&["", "", "/"]).as_bytes());
    path.extend(dice.pick(QUERIES));
    path
}
