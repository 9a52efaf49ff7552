//! One answer of several services, and several faces of them: the examples `aggregation` and `bff`, and the pages that
//! walk through them.

use std::net::SocketAddr;
use std::path::Path;

use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Gateway, Origin, get};

const REVIEWS: &str =
    r#"{"average":4.5,"items":[{"stars":5,"text":"does what it says","author":"ann"}]}"#;

/// Three services.
struct Services {
    products: Origin,
    reviews: Origin,
    stock: Origin,
}

impl Services {
    fn start() -> Self {
        let products = Origin::answering(|head, _| match head.contains("/products/7") {
            true => json(
                "200 OK",
                r#"{"id":"7","name":"widget","sku":"w-7","price":9.99,"cost":3.10}"#,
            ),
            false => json("404 Not Found", r#"{"detail":"no such product"}"#),
        });
        let reviews = Origin::answering(|_, _| json("200 OK", REVIEWS));
        let stock = Origin::answering(|_, _| json("200 OK", r#"{"data":{"count":42}}"#));
        Self {
            products,
            reviews,
            stock,
        }
    }

    /// A gateway before them, some of them in another's place.
    fn behind(&self, example: &str, instead: &[(&str, SocketAddr)]) -> Gateway {
        let mut at = vec![
            ("PRODUCTS", self.products.address),
            ("REVIEWS", self.reviews.address),
            ("STOCK", self.stock.address),
        ];
        at.extend_from_slice(instead);
        Gateway::example(example, &at)
    }
}

fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + body).into_bytes()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where nothing listens.
fn nowhere() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    free.local_addr().unwrap()
}

/// A page and the example that it walks through.
struct Page {
    text: String,
    example: &'static str,
}

impl Page {
    /// The page, whose lines of TOML are the example's.
    fn of(name: &str, example: &'static str) -> Self {
        let text = read(&format!("docs/{name}.md"));
        let lines = read(&format!("config/examples/{example}.toml"));
        let blocks = text.split("```toml\n").skip(1);
        for block in blocks.map(|block| block.split("```").next().unwrap()) {
            assert!(lines.contains(block), "not in {example}.toml:\n{block}");
        }
        Self { text, example }
    }

    /// The page shows this body for this request.
    #[track_caller]
    fn shows(&self, asked: &str, answer: &Answer, status: u16) {
        let body = answer.text();
        assert_eq!(answer.status, status, "{body}");
        let shown = self.text.split("$ curl ").skip(1);
        let mut shown = shown.filter(|console| console.lines().next().unwrap().contains(asked));
        assert!(
            shown.any(|console| console.lines().any(|line| line == body)),
            "{}: the page shows no `{asked}` with {body}",
            self.example
        );
    }
}

#[test]
fn the_page_of_aggregation_shows_what_comes_back() {
    let page = Page::of("aggregation", "aggregation");
    let services = Services::start();
    let gateway = services.behind("aggregation", &[]);
    let public = gateway.listener("public");
    let fields = [("accept-language", "de"), ("cookie", "a=b")];
    let whole = get(public, "/pages/7", &fields);
    page.shows("/pages/7", &whole, 200);
    assert_eq!(whole.header("x-aggregate-complete"), Some("true"));
    let asked = services.products.seen().remove(0).to_ascii_lowercase();
    assert!(asked.contains("accept-language: de\r\n"), "{asked}");
    assert!(!asked.contains("cookie"), "{asked}");
    let asked = services.stock.seen().remove(0);
    assert!(asked.starts_with("GET /stock/w-7 "), "{asked}");
    page.shows("/pages/8", &get(public, "/pages/8", &[]), 404);
}

#[test]
fn the_page_of_aggregation_shows_what_becomes_of_failures() {
    let page = Page::of("aggregation", "aggregation");
    let services = Services::start();
    let broken = Origin::answering(|_, _| json("503 Service Unavailable", "{}"));
    let silent = Recorder::start();
    for (instead, complete, status) in [
        (("REVIEWS", broken.address), Some("false"), 200),
        (("STOCK", silent.address), Some("false"), 200),
        (("PRODUCTS", nowhere()), None, 502),
    ] {
        let gateway = services.behind("aggregation", &[instead]);
        let answer = get(gateway.listener("public"), "/pages/7", &[]);
        page.shows("/pages/7", &answer, status);
        assert_eq!(answer.header("x-aggregate-complete"), complete);
    }
    let gateway = services.behind("aggregation", &[("PRODUCTS", silent.address)]);
    let late = get(gateway.listener("public"), "/pages/7", &[]);
    assert_eq!(late.status, 504, "{}", late.text());
}

#[test]
fn a_phone_and_a_web_page_get_their_own_face_of_the_same_services() {
    let page = Page::of("backend-for-frontend", "bff");
    let services = Services::start();
    let gateway = services.behind("bff", &[]);
    let public = gateway.listener("public");
    let ask = |host: &str, path: &str, fields: &[(&str, &str)]| {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in fields {
            request += &format!("{name}: {value}\r\n");
        }
        crate::harness::raw(public, (request + "\r\n").as_bytes())
    };
    let web = ask("www.example.com", "/products/7", &[]);
    page.shows(
        "'host: www.example.com' http://127.0.0.1:8080/products/7",
        &web,
        200,
    );
    assert_eq!(web.header("x-face"), Some("web"));
    let stock = services.stock.seen().len();
    let phone = [("x-client", "mobile")];
    let by_host = ask("m.example.com", "/products/7", &[]);
    page.shows(
        "'host: m.example.com' http://127.0.0.1:8080/products/7",
        &by_host,
        200,
    );
    let by_path = ask("any.example", "/mobile/products/7", &[]);
    page.shows("/mobile/products/7", &by_path, 200);
    let by_field = ask("www.example.com", "/products/7", &phone);
    page.shows("x-client: mobile", &by_field, 200);
    for answer in [by_host, by_path, by_field] {
        assert_eq!(answer.header("x-face"), Some("mobile"));
        assert_eq!(answer.header("vary"), Some("x-client"));
    }
    assert_eq!(services.stock.seen().len(), stock, "a phone asks no stock");
    for (host, face) in [("www.example.com", "web"), ("m.example.com", "mobile")] {
        let reviews = ask(host, "/reviews?product=7", &[]);
        let asked = format!("'host: {host}' 'http://127.0.0.1:8080/reviews?product=7'");
        page.shows(&asked, &reviews, 200);
        assert_eq!(reviews.header("x-face"), Some(face));
    }
    let unknown = ask("m.example.com", "/products/8", &[]);
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_eq!(ask("any.example", "/products/7", &[]).status, 404);
}
