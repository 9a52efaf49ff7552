//! Header fields: those of a connection, of proxies, of framing, and those that are not well formed.

use super::{Dice, Request, edge};

/// Each of these is a field, or some, that belong together.
const FIELDS: &[&[u8]] = &[
    b"connection: x-foo\r\nx-foo: 1",
    b"connection: X-Foo, x-bar\r\nx-foo: 1\r\nx-bar: 2\r\nx-baz: 3",
    b"connection: keep-alive, host",
    b"connection: authorization\r\nauthorization: Basic eDp5",
    b"connection: x-forwarded-for\r\nx-forwarded-for: 192.0.2.1",
    b"connection: ,,x-foo,\r\nx-foo: 1",
    b"connection: x-foo\r\nconnection: x-bar\r\nx-foo: 1\r\nx-bar: 2",
    b"connection: cookie\r\ncookie: a=b",
    b"keep-alive: timeout=5",
    b"proxy-connection: keep-alive",
    b"proxy-authorization: Basic eDp5",
    b"proxy-authenticate: Basic",
    b"proxy: http://192.0.2.1/",
    b"te: trailers",
    b"te: trailers\r\nconnection: te",
    b"te: gzip, trailers\r\nconnection: te",
    b"te: gzip",
    b"trailer: x-foo",
    b"upgrade: websocket",
    b"upgrade: websocket\r\nconnection: upgrade",
    b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk",
    b"http2-settings: AAMAAABk",
    b"expect: 100-continue",
    b"expect: 100-continue\r\ncontent-length: 0",
    b"expect: 200-ok",
    b"via: 1.1 first",
    b"via: 1.1 first\r\nvia: 1.0 second",
    b"max-forwards: 0",
    b"max-forwards: 5",
    b"x-forwarded-for: 192.0.2.1",
    b"x-forwarded-for: 192.0.2.1, 192.0.2.2",
    b"x-forwarded-for: unknown",
    b"x-forwarded-for: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2",
    b"x-forwarded-for:",
    b"x-forwarded-for: 192.0.2.1,",
    b"X-FORWARDED-FOR: 192.0.2.1",
    b"x_forwarded_for: 192.0.2.1",
    b"x-forwarded-for: [2001:db8::1]:80",
    b"x-forwarded-proto: https",
    b"x-forwarded-proto: HTTPS",
    b"x-forwarded-proto: https, http",
    b"x-forwarded-proto: gopher",
    b"x-forwarded-host: inner.example",
    b"x-forwarded-host: a, b",
    b"x-forwarded-port: 443",
    b"x-forwarded-server: inner",
    b"x-forwarded-prefix: /x",
    b"x-real-ip: 192.0.2.1",
    b"forwarded: for=192.0.2.1",
    b"forwarded: for=192.0.2.1;proto=https;host=inner.example",
    b"forwarded: for=\"[2001:db8::1]\"",
    b"forwarded: for=_x, for=192.0.2.1\r\nx-forwarded-for: 192.0.2.9",
    b"client-ip: 192.0.2.1",
    b"true-client-ip: 192.0.2.1",
    b"x-gateway-depth: 3",
    b"x-request-id: abc",
    b"x_user: 1",
    b"x.user: 1",
    b"x-user!: 1",
    b"x-user: 1\r\nx_user: 2",
    b"x-foo: a\r\nx-foo: b",
    b"x-foo:",
    b"x-foo:a",
    b"x-foo:  a  b  ",
    b"x-foo:\ta\t",
    b"x-foo: \xc3\xa4",
    b"x-foo: \xff",
    b"x-foo: a\x01b",
    b"x-foo: a\x00b",
    b"x-foo: a\x7fb",
    b"x-foo: a\rb",
    b"x-foo: a\r\n b",
    b" x-foo: a",
    b"x-foo : a",
    b"x-foo",
    b": a",
    b"x foo: a",
    b"x(foo: a",
    b"x\xc3\xa4: a",
    b"cookie: a=b\r\ncookie: c=d",
    b"cookie: a=b; c=d",
    b"accept-encoding: gzip, br",
    b"range: bytes=0-1",
    b"if-none-match: \"x\"",
    b"authorization: Bearer x",
    b"authorization: Basic eDp5\r\nauthorization: Basic eDp6",
    b"date: x",
    b"age: 1",
    b"pragma: no-cache",
    b"early-data: 1",
    b"origin: https://a.example",
    b"content-type: text/plain",
    b"content-encoding: gzip",
    b"x-http-method-override: DELETE",
    b"x-original-url: /admin",
    b"x-rewrite-url: /admin",
    b"x-accel-redirect: /x",
    b"referer: http://a.example/\"<>",
    b"user-agent: \"x\"",
    b"accept: */*\r\naccept: text/html",
    b"transfer-encoding: identity",
    b"content-length: 0",
    b"content-length: 0\r\ncontent-length: 0",
    b"content-length: 0, 0",
    b"content-length: 0\r\ncontent-length: 1",
    b"content-length: +0",
    b"content-length: -1",
    b"content-length: 0x0",
    b"content-length: 00",
    b"content-length:",
    b"content-length: 99999999999999999999",
    b"content-length: 0 0",
];

/// A body and how it is framed, behind `POST /api/a`.
const FRAMED: &[&str] = &[
    "content-length: 3\r\n\r\nabc",
    "content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "content-length: 3, 3\r\n\r\nabc",
    "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "content-length: 03\r\n\r\nabc",
    "content-length: 3 \r\n\r\nabc",
    "content-length: 3;\r\n\r\nabc",
    "content-length : 3\r\n\r\nabc",
    "expect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
    "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n03\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-end: 1\r\n\r\n",
    "transfer-encoding: chunked\r\ntrailer: x-end\r\nte: trailers\r\n\r\n3\r\nabc\r\n0\r\nx-end: 1\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\nzz\r\n",
    "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: identity, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: \x0bchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: \"chunked\"\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer_encoding: chunked\r\ncontent-length: 3\r\n\r\nabc",
];

pub(super) fn requests(dice: &mut Dice) -> Vec<Request> {
    let mut heads: Vec<_> = FIELDS.iter().map(|field| head("/x", &[field])).collect();
    for field in FIELDS.iter().filter(|field| field.starts_with(b"upgrade")) {
        heads.push(head("/ws/a", &[field]));
    }
    let pairs = (0..80).map(|_| head("/x", &[dice.pick(FIELDS), dice.pick(FIELDS)]));
    heads.extend(pairs);
    let mut requests = edge(heads);
    let inner = FIELDS.iter().filter(|field| {
        let name = field.to_ascii_lowercase();
        [&b"x-f"[..], b"forw", b"x-re", b"via", b"x_fo"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    let inner: Vec<_> = inner.copied().collect();
    let mut heads: Vec<_> = inner.iter().map(|field| head("/x", &[field])).collect();
    heads.extend((0..40).map(|_| head("/x", &[dice.pick(&inner), dice.pick(&inner)])));
    requests.extend(edge(heads).into_iter().map(|request| Request {
        inner: true,
        ..request
    }));
    requests.extend(FRAMED.iter().map(|rest| {
        let head = "POST /api/a HTTP/1.1\r\nhost: peers.example\r\nconnection: close\r\n";
        Request {
            bytes: [head.as_bytes(), rest.as_bytes()].concat(),
            inner: false,
        }
    }));
    requests
}

fn head(path: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: peers.example\r\n").into_bytes();
    for field in fields {
        head.extend(*field);
        head.extend(b"\r\n");
    }
    head
}
