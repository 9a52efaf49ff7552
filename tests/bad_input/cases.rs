//! Requests that break a rule, and some that only look as if they did.

/// What it is, the bytes, and the status of the refusal. Limits: 4 KiB and 20 fields of a head, 1 KiB of a body.
pub(super) fn refused() -> Vec<(&'static str, String, u16)> {
    let many = "x: 1\r\n".repeat(30);
    let large = format!("x: {}\r\n", "a".repeat(5000));
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(5000));
    vec![
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".into(), 400),
        ("a Host that is no authority", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n".into(), 400),
        ("an absolute target that differs from Host", "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("Content-Length, then Transfer-Encoding", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("Transfer-Encoding, then Content-Length", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n".into(), 400),
        ("Transfer-Encoding twice", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("Transfer-Encoding not exactly chunked", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("xchunked", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("differing Content-Lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc".into(), 400),
        ("a listed Content-Length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc".into(), 400),
        ("a signed Content-Length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc".into(), 400),
        ("a folded field", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n".into(), 400),
        ("space before the colon", "GET / HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n".into(), 400),
        ("NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n".into(), 400),
        ("a bare CR", "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n".into(), 400),
        ("a line that ends with LF alone", "GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n".into(), 400),
        ("a request line that ends with LF alone", "GET / HTTP/1.1\nhost: a\r\n\r\n".into(), 400),
        ("a head that ends with LF alone", "GET / HTTP/1.1\r\nhost: a\r\n\n".into(), 400),
        ("NUL in an extension of a chunk", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a\0\r\na\r\n0\r\n\r\n".into(), 400),
        ("HTTP/1.0 with Transfer-Encoding", "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("raw non-ASCII in the target", "GET /ä HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("an encoded slash", "GET /a%2fb HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("an encoded backslash", "GET /a%5cb HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("an encoded NUL", "GET /a%00b HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("double encoding", "GET /a%252fb HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("a dot segment with a parameter", "GET /a/..;/b HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
        ("too many fields", format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), 431),
        ("too large a head", format!("GET / HTTP/1.1\r\nhost: a\r\n{large}\r\n"), 431),
        ("too long a target", long, 414),
        ("an announced body over the limit", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n".into(), 413),
    ]
}

/// What it is, requests that keep the connection open, and how many they are.
pub(super) type Served = (&'static str, String, usize);

/// Each is legal, or read the same by every reader, and each has blinded a guard somewhere.
pub(super) fn served() -> Vec<Served> {
    [bodies(), chunks(), heads(), upgrades()].concat()
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /p HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}")
}

fn bodies() -> Vec<Served> {
    let wide = " ".repeat(70);
    let close_names =
        "Content-Lengthy: 9\r\ntransfer-encodings: chunked\r\nupgrades: x\r\ncontent-length: 1";
    let heads = "GET / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n\r\n";
    let padded = post(&format!("Content-Length:{wide}5"), "hello");
    let behind = post(&format!("CONTENT-LENGTH:5{wide}"), "hello");
    let tabs = post("content-length:\t\t \t5\t", "hello");
    let twice = post("content-length: 2\r\ncontent-length: 2", "ab");
    let looks = post(&format!("content-length: {}", heads.len()), heads);
    vec![
        ("a padded length", padded, 1),
        ("a length with space behind", behind, 1),
        ("a length behind tabs", tabs, 1),
        ("names close to those of framing", post(close_names, "x"), 1),
        ("the same length twice", twice, 1),
        ("a body that looks like heads", looks, 1),
    ]
}

fn chunks() -> Vec<Served> {
    let wide = " ".repeat(70);
    let chunked = |body: &str| post("Transfer-Encoding: chunked", body);
    let padded = post(&format!("transfer-encoding:{wide}chunked"), "0\r\n\r\n");
    let sizes = "3\r\nabc\r\n00000A ;x=\"y\\\"\"\r\n0123456789\r\n1\t\r\nz\r\n0;z\r\n\r\n";
    let trailers = "1\r\na\r\n0\r\nT: v\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        ("a padded Transfer-Encoding", padded, 1),
        ("sizes of all kinds", chunked(sizes), 1),
        ("trailers", chunked(trailers), 1),
    ]
}

fn heads() -> Vec<Served> {
    let post = post("content-length: 1", "x");
    let empty_lines = format!("\r\n\r\n\r\n{post}\r\n\r\n");
    let http_1_0 = "GET /a HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n".to_owned();
    let preface = "PRI /a HTTP/1.1\r\nhost: a\r\n\r\n".to_owned();
    vec![
        ("empty lines before and behind", empty_lines, 1),
        ("HTTP/1.0 that stays", http_1_0, 1),
        ("a method like the preface of HTTP/2", preface, 1),
    ]
}

/// The upstream answers as if nothing had been asked.
fn upgrades() -> Vec<Served> {
    let get = "GET /a HTTP/1.1\r\nhost: a\r\n";
    let asks = "connection: upgrade\r\nupgrade: websocket\r\n";
    let h2c = "connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2";
    let refused = format!("{get}{asks}\r\n");
    let first = format!("{refused}{get}\r\n");
    let second = format!("{get}\r\n{refused}");
    vec![
        ("a refused upgrade", first, 2),
        ("a refused upgrade behind another request", second, 2),
        ("two refused upgrades", refused.repeat(2), 2),
        ("h2c with a body", post(h2c, "ab"), 1),
    ]
}
