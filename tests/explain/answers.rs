//! What the gateway answers itself, explained: the answer is that one.

use gateway::config;
use gateway::proxy::explain::{Explanation, Goes};

use super::explained;
use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin};

const ROUTES: &str = r#"
[[routes]]
name = "answers"
match = { path = "/answers/{id}" }
respond = { status = 203, headers = { x-id = "{id}", x-user = "{header.x-user|nobody}", x-ask = "{method} {path}?{query}" }, body = "{id}" }
[[routes]]
name = "sends"
match = { path = "/sends/**" }
redirect = { to = "https://example.com{path}{?query}", status = 302 }
[[routes]]
name = "strips"
match = { path = "/strips/**" }
redirect = { strip_prefix = "/strips/a", prefix = "/b" }
[[routes]]
name = "back"
match = { path = "/back/**" }
redirect = { to = "{path}" }
[[routes]]
name = "rule"
match = { path = { regex = "^/rule-" } }
upstream = "app"
rewrite = { regex = "^/rule-(.*)", to = "/data/$1" }
[[routes]]
name = "page"
match = { path = { regex = "^/page-" } }
upstream = "app"
rewrite = { regex = "^/page-(.*)", to = "/data/$1" }
errors = { 500 = { status = 503 } }
[[routes]]
name = "small"
match = { path = "/small" }
limits = { body = "5B" }
upstream = "app"
[[routes]]
name = "kept"
match = { path = "/kept/**" }
upstream = "app"
path_parameters = "keep"
"#;

struct Bench {
    gateway: Gateway,
    config: config::Config,
    _app: Origin,
}

impl Bench {
    fn start() -> Self {
        let app = Origin::start();
        let config = Configuration::new()
            .public("limits = { body = '8B' }")
            .upstream("app", app.address)
            .with(ROUTES);
        let gateway = Gateway::start(&config);
        let config = config::load(&gateway.directory.path().join("gateway.toml")).unwrap();
        Self {
            gateway,
            config,
            _app: app,
        }
    }

    /// What is said of a request for a path; its answer is `status` and has these fields.
    #[track_caller]
    fn asked(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        status: u16,
        fields: &[String],
    ) -> Explanation {
        let sent = [("x-user", "alice")];
        let public = self.gateway.listener("public");
        let answer = send(public, method, path, &sent, body);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        for field in fields {
            let (name, value) = field.split_once(": ").unwrap();
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let mut said = vec!["x-user: alice".to_owned()];
        if !body.is_empty() {
            said.push(format!("content-length: {}", body.len()));
        }
        explained(
            &self.config,
            &format!("{method} http://{public}{path}"),
            &said,
        )
    }
}

#[test]
fn an_answer_of_the_gateway_has_its_status_and_fields_and_a_redirect_its_location() {
    let bench = Bench::start();
    for (path, status, expected) in [
        (
            "/answers/a%20b?c",
            203,
            vec![
                "x-id: a b".to_owned(),
                "x-user: alice".to_owned(),
                "x-ask: GET /answers/a%20b?c".to_owned(),
                "content-type: text/plain; charset=utf-8".to_owned(),
            ],
        ),
        (
            "/sends/x?y=1",
            302,
            vec!["location: https://example.com/sends/x?y=1".to_owned()],
        ),
        ("/strips/a/c?d", 308, vec!["location: /b/c?d".to_owned()]),
    ] {
        let said = bench.asked("GET", path, b"", status, &expected);
        let Goes::Answer {
            status: told,
            fields,
            ..
        } = said.route.unwrap().target
        else {
            panic!("{path} is answered here");
        };
        assert_eq!((told, fields), (status, expected), "{path}");
    }
}

#[test]
fn an_answer_that_cannot_be_made_has_the_status_of_the_failure() {
    let bench = Bench::start();
    for (path, status, reason) in [
        ("/strips/c", 404, "no plugin of this route answered"),
        ("/back/a", 500, "that is what the client asked for"),
        ("/rule-x", 200, ""),
        ("/rule-../x", 500, "a segment `.` or `..`"),
        // As the route's `errors` have it.
        ("/page-../x", 503, "a segment `.` or `..`"),
        ("/kept/..;x", 400, "parameters on a dot segment"),
        ("/rule-a;x", 400, "the path has a parameter"),
        ("/kept;x/a", 400, "the path has a parameter"),
        ("/nowhere;x", 400, "the path has a parameter"),
        ("/kept/a;x", 200, ""),
    ] {
        let said = bench.asked("GET", path, b"", status, &[]);
        let refused = said.refused.or(match said.route.map(|route| route.target) {
            Some(Goes::Refused(refused)) => Some(refused),
            _ => None,
        });
        let told = refused.as_ref().map_or(200, |refused| refused.status);
        assert_eq!(told, status, "{path}: {refused:?}");
        let why = refused.map_or(String::new(), |refused| refused.reason);
        assert!(why.contains(reason), "{path}: {why}");
    }
}

#[test]
fn the_length_of_a_body_is_compared_with_the_limit_in_force() {
    let bench = Bench::start();
    for (path, body, status) in [
        ("/small", &b"12345"[..], 200),
        ("/small", b"123456", 413),
        ("/kept/a", b"12345678", 200),
        ("/kept/a", b"123456789", 413),
    ] {
        let said = bench.asked("POST", path, body, status, &[]);
        let told = said.refused.as_ref().map_or(200, |refused| refused.status);
        assert_eq!(told, status, "{path} {}", body.len());
        let names_limit =
            |refused: &gateway::proxy::explain::Refused| refused.reason.contains("limits.body");
        assert!(said.refused.as_ref().is_none_or(names_limit));
    }
}

#[test]
fn a_fragment_is_said_to_be_dropped() {
    let bench = Bench::start();
    let said = explained(&bench.config, "http://a.test/sends/x#there?y", &[]);
    assert!(
        said.dropped
            .as_ref()
            .unwrap()
            .starts_with("`#there?y` stays with the client")
    );
    assert_eq!(said.request.as_ref().unwrap().path, "/sends/x");
    assert!(said.to_string().contains("\n  `#there?y` stays"), "{said}");
    let said = explained(&bench.config, "http://a.test/sends/x", &[]);
    assert_eq!(said.dropped, None);
}
