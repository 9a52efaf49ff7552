//! What `gateway explain` says is what happens.

mod answers;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use gateway::config::{self, Config};
use gateway::proxy::explain::{Asked, Explanation, Goes, explain};
use gateway::route::Router;
use serde_json::{Value as Json, json};

use crate::harness::http::{connect, read_answer, send};
use crate::harness::{Configuration, Gateway, Origin, config as harness};

/// Sets of routes, and requests for each of them.
const SETS: u64 = 50;
const REQUESTS: u64 = 200;

const HOSTS: [&str; 5] = [
    "",
    "'a.test'",
    "'*.test'",
    "'{t}.test'",
    "['a.test', 'b.test']",
];
const PATHS: [&str; 10] = [
    "'/**'",
    "'/a'",
    "'/a/**'",
    "'/a/b'",
    "'/a/{x}'",
    "'/{x}/b'",
    "'/{x}/**'",
    "['/a/b', '/b/a']",
    "{ regex = '^/a/[ab]$' }",
    "{ exact = '/b' }",
];
const PREDICATES: [&str; 10] = [
    "",
    "methods = ['GET']",
    "methods = ['POST', 'PUT']",
    "headers = { x-a = '1' }",
    "headers = { x-a = { not = '1' } }",
    "query = { q = { present = true } }",
    "cookies = { c = '1' }",
    "client = '127.0.0.0/8'",
    "client = '10.0.0.0/8'",
    "version = { header = 'x-a', at_least = '1.5' }",
];

/// A sequence that is the same in every run (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Up to twelve routes, each answering with its name.
fn routes(random: &mut Random) -> String {
    let mut text = String::new();
    for number in 0..1 + random.below(12) {
        let mut asked = vec![format!("path = {}", random.one(&PATHS))];
        match random.one(&HOSTS) {
            "" => {}
            host => asked.push(format!("host = {host}")),
        }
        match random.one(&PREDICATES) {
            "" => {}
            predicate => asked.push(predicate.to_owned()),
        }
        let asked = asked.join(", ");
        write!(text, "[[routes]]\nname = 'r{number}'\nmatch = {{ {asked} }}\nrespond = {{ body = 'r{number}' }}\n").unwrap();
    }
    text
}

/// A method and URL, and fields.
fn request(random: &mut Random) -> (String, Vec<String>) {
    let method = random.one(&["GET", "POST", "DELETE"]);
    let host = random.one(&["a.test", "b.test", "c.a.test", "other"]);
    let path = random.one(&[
        "/", "/a", "/a/b", "/a/c", "/b", "/b/a", "/c/b", "/a/b/c", "/a/../b", "/%61/b",
    ]);
    let query = random.one(&["", "?q=1", "?q", "?r=1"]);
    let mut fields = Vec::new();
    match random.one(&["", "1", "2", "1.4"]) {
        "" => {}
        value => fields.push(format!("x-a: {value}")),
    }
    match random.one(&["", "c=1", "b=2; c=1"]) {
        "" => {}
        value => fields.push(format!("cookie: {value}")),
    }
    (format!("{method} http://{host}{path}{query}"), fields)
}

fn explained(config: &Config, request: &str, fields: &[String]) -> Explanation {
    let router = Router::new(config.routes.iter().cloned().map(Arc::new).collect());
    let asked = Asked::read(config, request, fields, None, None);
    explain(config, &router, asked.unwrap())
}

#[test]
fn of_ten_thousand_requests_each_takes_the_route_that_is_explained() {
    let mut random = Random(7);
    let gateway = Gateway::start(&Configuration::new().with(&routes(&mut Random(1))));
    let mut taken = 0;
    for set in 0..SETS {
        // One in which nothing ties.
        let config = loop {
            let text = Configuration::new().with(&routes(&mut random));
            let file = harness::write(&text, gateway.directory.path());
            if let Ok(config) = config::load(&file) {
                break config;
            }
        };
        assert_eq!(
            gateway.post("/reload").status,
            200,
            "{set}: {}",
            gateway.text()
        );
        let mut stream = connect(gateway.listener("public"));
        for _ in 0..REQUESTS {
            let (request, fields) = request(&mut random);
            let said = explained(&config, &request, &fields);
            let said = said.route.map(|route| route.name.to_string());
            let (method, rest) = request.split_once(" http://").unwrap();
            let (host, path) = rest.split_at(rest.find('/').unwrap());
            let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n"
            )
            .unwrap();
            let answer = read_answer(&mut stream);
            let took = (answer.status == 200).then(|| answer.text());
            assert_eq!(
                said,
                took,
                "{request} {fields:?}\n{}",
                harness::numbered(&gateway.directory.path().join("gateway.toml"))
            );
            taken += u64::from(took.is_some());
        }
    }
    assert!(taken > SETS * REQUESTS / 4, "{taken}");
}

/// A shop behind a listener that trusts a proxy.
fn shop(origin: &Origin) -> Configuration {
    Configuration::new()
        .public("trusted_proxies = ['127.0.0.1']")
        .plugin(
            "guard",
            "transform",
            "config = { request = { set_headers = { x-token = 'hunter22' } } }",
        )
        .upstream("shop", origin.address)
        .with(
            r#"[[routes]]
name = "canary"
match = { path = "/shop/**", headers = { x-canary = "1" } }
upstream = "shop"
[[routes]]
name = "shop"
match = { host = "{tenant}.example.com", path = "/shop/{id}/**" }
plugins = [{ name = "guard", when = { methods = ["POST"] } }]
upstream = "shop"
rewrite = { strip_prefix = "/shop", host = "preserve" }
[[routes]]
name = "old"
match = { path = "/shop/old" }
redirect = { to = "https://shop.example.com/" }
"#,
        )
}

fn told(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command
        .arg("explain")
        .arg("--config")
        .arg(file)
        .args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_explanation_names_the_route_the_reasons_the_chain_and_what_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let file = harness::write(&shop(&origin), directory.path());
    let asked = [
        "GET http://a.example.com/shop/7/x?q=1",
        "-H",
        "x-user: alice",
    ];
    let output = told(&file, &asked);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let here = format!("{}/", directory.path().display());
    let said = text(&output.stdout).replace(&here, "");
    let numbered = text(std::fs::read(&file).unwrap().as_slice());
    let line = |of: &str| 1 + numbered.lines().position(|line| line.contains(of)).unwrap();
    let (shop, canary) = (line("name = \"shop\"") - 1, line("name = \"canary\"") - 1);
    let address = origin.address;
    let expected = [
        "GET http://a.example.com/shop/7/x?q=1".to_owned(),
        "  comes to the listener `public`, from 127.0.0.1".to_owned(),
        format!("route shop (gateway.toml:{shop})"),
        "  {tenant} is \"a\"".to_owned(),
        "  {id} is \"7\"".to_owned(),
        "chain".to_owned(),
        format!(
            "  1. guard (gateway.toml:{}: routes[1].plugins[0])",
            shop + 3
        ),
        "     config {\"request\":{\"set_headers\":{\"x-token\":\"***\"}}}".to_owned(),
        "     when { methods = [\"POST\"] }: does not hold: it is left out".to_owned(),
        format!("upstream shop ({address})"),
        "  GET /7/x?q=1 HTTP/1.1".to_owned(),
        "  host: a.example.com".to_owned(),
    ];
    assert!(said.starts_with(&expected.join("\n")), "{said}");
    assert!(
        said.contains("\n  x-user: alice\n  x-forwarded-for: 127.0.0.1\n"),
        "{said}"
    );
    assert!(!said.contains("canary") || canary > shop, "{said}");
    assert!(!said.contains("hunter22"), "{said}");
    let nearer = told(&file, &["http://b.test/shop/7", "-H", "x-canary: 2"]);
    let said = text(&nearer.stdout).replace(&here, "");
    let because = format!(
        "  canary (gateway.toml:{canary}): headers.x-canary: wanted \"1\", the request has \"2\""
    );
    assert!(
        said.contains("refused with 404: no route matches this request"),
        "{said}"
    );
    assert!(said.contains(&because), "{said}");
}

#[test]
fn the_head_that_is_explained_is_the_head_that_leaves() {
    let origin = Origin::start();
    let gateway = Gateway::start(&shop(&origin));
    let config = config::load(&gateway.directory.path().join("gateway.toml")).unwrap();
    let fields = [
        "x-user: alice",
        "connection: close, x-hop",
        "x-hop: 1",
        "x_odd: 1",
        "x-forwarded-for: 192.0.2.9",
        "te: trailers",
        "cookie: a=1",
        "cookie: b=2",
    ];
    let own: Vec<_> = fields.map(str::to_owned).into();
    let said = explained(&config, "GET http://A.example.com:80/shop/7/%61?q=1", &own);
    let Goes::Upstream { request, .. } = said.route.unwrap().target else {
        panic!("it goes to no upstream");
    };
    let mut stream = connect(gateway.listener("public"));
    let lines = fields.join("\r\n");
    write!(
        stream,
        "GET /shop/7/%61?q=1 HTTP/1.1\r\nhost: A.example.com:80\r\n{lines}\r\n\r\n"
    )
    .unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    let seen = origin.seen().remove(0);
    let without_id = |lines: Vec<&str>| -> Vec<String> {
        let lines = lines
            .into_iter()
            .filter(|line| !line.starts_with("x-request-id"));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    let seen = without_id(seen.trim_end().lines().collect());
    assert_eq!(
        without_id(request.iter().map(|line| &**line).collect()),
        seen
    );
}

#[test]
fn a_running_gateway_explains_by_what_is_in_force() {
    let origin = Origin::start();
    let gateway = Gateway::start(&shop(&origin));
    let ask = |body: &Json| {
        let headers = [("content-type", "application/json")];
        send(
            gateway.admin(),
            "POST",
            "/explain",
            &headers,
            body.to_string().as_bytes(),
        )
    };
    let answer = ask(
        &json!({ "request": "POST http://a.example.com/shop/7", "headers": { "x-user": "alice" }, "client": "192.0.2.7" }),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json();
    assert_eq!(said["route"]["name"], "shop");
    assert_eq!(said["route"]["chain"][0]["when"][1], "yes");
    assert_eq!(said["client"], "192.0.2.7");
    for (body, words) in [
        (json!({ "request": "a b c" }), "is no request"),
        (json!({ "request": "/x" }), "names no host"),
        (
            json!({ "request": "https://a.test/x" }),
            "no listener speaks https",
        ),
        (
            json!({ "request": "/x", "listener": "other" }),
            "no listener is named",
        ),
        (json!({ "url": "/x" }), "request"),
        (json!([]), "request"),
    ] {
        let answer = ask(&body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains(words), "{body}: {}", answer.text());
    }
}

#[test]
fn routes_are_listed_in_the_order_in_which_they_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let file = harness::write(&shop(&Origin::start()), directory.path());
    let list = |format: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command
            .args(["routes", "--format", format, "--config"])
            .arg(&file);
        text(&command.output().unwrap().stdout)
    };
    let json: Json = serde_json::from_str(&list("json")).unwrap();
    let names: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["shop", "old", "canary"]);
    assert_eq!(json[0]["hosts"], json!(["{tenant}.example.com"]));
    let text = list("text");
    assert!(
        text.contains("\n  path /shop/**; headers.x-canary: \"1\"\n  upstream shop\n"),
        "{text}"
    );
}

/// The words of a command as a shell has them, where quotation marks are `'` alone.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn the_page_shows_what_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/explain.md")).unwrap();
    let (_, shown) = page.split_once("```console\n").unwrap();
    let (shown, _) = shown.split_once("```\n").unwrap();
    let sessions: Vec<_> = shown.split("$ gateway ").skip(1).collect();
    assert_eq!(sessions.len(), 3);
    for session in sessions {
        let (line, expected) = session.split_once('\n').unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.current_dir(root.join("config/examples"));
        let output = command.args(words(line)).output().unwrap();
        assert_eq!(
            text(&output.stdout).trim_end(),
            expected.trim_end(),
            "{line}"
        );
    }
}
