//! Routes that are split: which arm a request gets, and what an arm has of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tokio::net::TcpStream;

use crate::harness::client::{Client, run};
use crate::harness::gateway::cache;
use crate::harness::{Configuration, Gateway, Origin, config, get};
use crate::streams::gone;

/// An origin that answers with its name, the path it was asked for and the fields that plugins add.
fn origin(name: &'static str) -> Origin {
    Origin::forgetting(move |head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let order = head
            .lines()
            .filter_map(|line| line.strip_prefix("x-order: "));
        let order: Vec<_> = order.collect();
        let body = format!("{name} {path} {}", order.join("+"));
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    })
}

struct Versions {
    v1: Origin,
    v2: Origin,
}

impl Versions {
    fn start() -> Self {
        Self {
            v1: origin("v1"),
            v2: origin("v2"),
        }
    }

    /// Two workers before both, with the route `checkout` at `/**`.
    fn split(&self, lines: &str) -> Configuration {
        Configuration::new()
            .workers(2)
            .upstream("v1", self.v1.address)
            .upstream("v2", self.v2.address)
            .route("checkout", "/**", lines)
    }
}

/// The upstream that answered.
fn side(body: &str) -> String {
    body.split(' ').next().unwrap_or_default().to_owned()
}

/// What each of these requests gets, over connections that are kept.
fn ask(
    public: SocketAddr,
    connections: usize,
    requests: impl IntoIterator<Item = Vec<(String, String)>>,
) -> Vec<String> {
    run(async {
        let host = public.to_string();
        let mut clients = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(public).await.unwrap();
            clients.push(Client::new(stream, false, "http").await);
        }
        let mut sides = Vec::new();
        for (index, fields) in requests.into_iter().enumerate() {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let client = &mut clients[index % connections];
            let answer = client.get(&host, "/x", &fields).await;
            assert_eq!(answer.status(), 200);
            sides.push(side(std::str::from_utf8(answer.body()).unwrap()));
        }
        sides
    })
}

fn count(sides: &[String], name: &str) -> usize {
    sides.iter().filter(|side| *side == name).count()
}

/// The side of each of many clients, by their cookie.
fn sides_of_clients(public: SocketAddr) -> Vec<String> {
    let cookie = |client| vec![("cookie".to_owned(), format!("uid=user-{client}"))];
    ask(public, 1, (0..800).map(cookie))
}

#[test]
fn requests_take_turns_by_weight_on_every_worker() {
    let versions = Versions::start();
    let split = "split = [{ upstream = 'v1', weight = 95 }, { upstream = 'v2', weight = 5 }]";
    let gateway = Gateway::start(&versions.split(split));
    let sides = ask(
        gateway.listener("public"),
        8,
        (0..4_000).map(|_| Vec::new()),
    );
    // 200, and what the turns of two workers may be off.
    let canary = count(&sides, "v2");
    assert!((190..=210).contains(&canary), "{canary}");
    let counted = |arm: &str| {
        let labels = format!("{{route=\"checkout\",arm=\"{arm}\",status=\"200\"}}");
        gateway.metric(&format!("gateway_arm_requests_total{labels}"))
    };
    assert_eq!(
        (counted("v1"), counted("v2")),
        ((4_000 - canary) as f64, canary as f64)
    );
    let all = gateway.metric("gateway_requests_total{route=\"checkout\",status=\"200\"}");
    assert_eq!(all, 4_000.0);
    let durations = "gateway_arm_request_duration_seconds_count{route=\"checkout\",arm=\"v2\"}";
    assert_eq!(gateway.metric(durations), canary as f64);
}

#[test]
fn a_client_stays_on_its_side_over_restarts_and_only_those_move_that_must() {
    let versions = Versions::start();
    let weighed = |v1: u32, v2: u32| {
        let split = format!(
            "split = [{{ upstream = 'v1', weight = {v1} }}, {{ upstream = 'v2', weight = {v2} }}]\nsplit_on = 'cookie:uid'"
        );
        versions.split(&split)
    };
    let gateway = Gateway::start(&weighed(95, 5));
    let first = sides_of_clients(gateway.listener("public"));
    assert!(
        (20..=60).contains(&count(&first, "v2")),
        "{}",
        count(&first, "v2")
    );
    drop(gateway);
    let gateway = Gateway::start(&weighed(95, 5));
    let public = gateway.listener("public");
    assert_eq!(sides_of_clients(public), first, "after a restart");
    let mut before = first.clone();
    for (version, (v1, v2)) in (2..).zip([(90, 10), (50, 50), (0, 1), (95, 5)]) {
        gateway.configure(&weighed(v1, v2));
        gateway.wait_for_all(&[
            "configuration reloaded",
            &format!("config_version={version}"),
        ]);
        let after = sides_of_clients(public);
        let pairs = before.iter().zip(&after);
        let moved = pairs.filter(|(before, after)| before != after).count();
        let must = count(&before, "v2").abs_diff(count(&after, "v2"));
        assert_eq!(moved, must, "to {v1} and {v2}");
        assert!(moved > 0, "to {v1} and {v2}");
        before = after;
    }
    assert_eq!(before, first, "back again");
}

#[test]
fn an_override_goes_before_weights_and_keys_and_the_first_that_holds_wins() {
    let versions = Versions::start();
    let split = r#"
split = [
  { upstream = "v1" },
  { upstream = "v2", weight = 0, match = { headers = { x-canary = "1" } } },
  { name = "tried", upstream = "v2", weight = 0, match = { methods = ["GET"], query = { try = { present = true } } }, rewrite = { prefix = "/tried" } },
]
split_on = "header:x-user"
"#;
    let gateway = Gateway::start(&versions.split(split));
    let public = gateway.listener("public");
    let text = |path: &str, fields: &[(&str, &str)]| get(public, path, fields).text();
    let canary = ("x-canary", "1");
    for user in 0..20 {
        let user = format!("user-{user}");
        let user = ("x-user", user.as_str());
        assert_eq!(text("/a", &[user]), "v1 /a ");
        assert_eq!(text("/a", &[user, canary]), "v2 /a ");
        assert_eq!(text("/a?try", &[user]), "v2 /tried/a?try ");
        assert_eq!(text("/a?try", &[user, canary]), "v2 /a?try ");
    }
    assert_eq!(text("/a", &[("x-canary", "2")]), "v1 /a ");
}

#[test]
fn an_arm_has_the_plugins_and_the_rewrite_of_the_route_unless_it_has_its_own() {
    let versions = Versions::start();
    let sets = |order: &str| {
        format!(
            "{{ name = 'transform', config = {{ request = {{ add_headers = {{ x-order = '{order}' }} }} }} }}"
        )
    };
    let (route, arm) = (sets("route"), sets("arm"));
    let split = format!(
        r#"
plugins = [{route}]
rewrite = {{ prefix = "/of-route" }}
split = [
  {{ upstream = "v1" }},
  {{ name = "other", upstream = "v2", weight = 0, match = {{ headers = {{ x-canary = "1" }} }}, plugins = [{arm}], rewrite = {{ prefix = "/of-arm" }} }},
]
"#
    );
    let config = versions.split(&split).access_log();
    let gateway = Gateway::start(&config.plugin("transform", "transform", ""));
    let public = gateway.listener("public");
    let plain = get(public, "/a", &[]);
    assert_eq!(plain.text(), "v1 /of-route/a route");
    let other = get(public, "/b", &[("x-canary", "1")]);
    assert_eq!(other.text(), "v2 /of-arm/b route+arm");
    for (path, arm) in [("/a", "v1"), ("/b", "other")] {
        let path = format!("\"path\":\"{path}\"");
        gateway.wait_for_all(&[
            &path,
            "\"route\":\"checkout\"",
            &format!("\"arm\":\"{arm}\""),
        ]);
    }
    let routes = get(gateway.admin(), "/routes", &[]).json();
    let arms = &routes["routes"][0]["target"]["split"];
    assert_eq!(arms[1]["name"], "other");
    assert_eq!(arms[1]["upstream"], "v2");
    assert_eq!(arms[1]["plugins"][0], "transform");
    assert_eq!(arms[0]["weight"], 1);
}

#[test]
fn what_is_not_split_has_no_arm_in_log_and_metrics() {
    let versions = Versions::start();
    let gateway = Gateway::start(&versions.split("upstream = 'v1'").access_log());
    assert_eq!(get(gateway.listener("public"), "/plain", &[]).status, 200);
    let line = gateway.wait_for("\"path\":\"/plain\"");
    assert!(!line.contains("\"arm\""), "{line}");
    let metrics = get(gateway.admin(), "/metrics", &[]).text();
    assert!(
        !metrics.contains("gateway_arm_requests_total{"),
        "{metrics}"
    );
}

#[test]
fn an_arm_that_fails_is_counted_as_its_own() {
    let v1 = origin("v1");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let split = "split = [{ upstream = 'v1', weight = 1 }, { upstream = 'v2', weight = 0, match = { query = { new = { present = true } } } }]";
    let config = Configuration::new()
        .upstream("v1", v1.address)
        .upstream("v2", address)
        .route("checkout", "/**", split);
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/a", &[]).status, 200);
    assert_eq!(get(public, "/a?new", &[]).status, 502);
    let of = |arm: &str, status: u16| {
        let labels = format!("route=\"checkout\",arm=\"{arm}\",status=\"{status}\"");
        gateway.metric(&format!("gateway_arm_requests_total{{{labels}}}"))
    };
    assert_eq!(
        (of("v1", 200), of("v2", 502), of("v1", 502)),
        (1.0, 1.0, 0.0)
    );
}

#[test]
fn an_arm_whose_fallback_answers_is_told_apart_from_one_that_is_well() {
    let v1 = origin("v1");
    let split = "split = [{ upstream = 'v1', weight = 1 }, { upstream = 'v2', weight = 0, match = { query = { new = { present = true } } } }]";
    let config = Configuration::new()
        .upstream("v1", v1.address)
        .upstream("v2", gone())
        .route(
            "checkout",
            "/**",
            &format!("{split}\nfallback = {{ upstream = 'v1' }}"),
        );
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/a", &[]).text(), "v1 /a ");
    assert_eq!(get(public, "/a?new", &[]).text(), "v1 /a?new ");
    let of = |arm: &str, status: &str| {
        let labels = format!("route=\"checkout\",arm=\"{arm}\",status=\"{status}\"");
        gateway.metric(&format!("gateway_arm_requests_total{{{labels}}}"))
    };
    let (well, dead, as_well) = (of("v1", "200"), of("v2", "fallback"), of("v2", "200"));
    assert_eq!((well, dead, as_well), (1.0, 1.0, 0.0));
    let all = gateway.metric("gateway_requests_total{route=\"checkout\",status=\"200\"}");
    assert_eq!(all, 2.0);
}

#[test]
fn what_a_plugin_refuses_of_an_arm_is_named_with_its_line_whatever_else_is_wrong() {
    let split = r#"split = [
  { upstream = "v1" },
  { upstream = "v2", plugins = [{ name = "transform", config = {
    request = { set_hedaers = { a = "b" } } } }] },
]"#;
    for (more, others) in [
        ("", 0),
        ("\nsplit_on = 'cookies:uid'", 1),
        ("\nupstream = 'v1'", 1),
    ] {
        let versions = Versions::start();
        let config = versions.split(&format!("{split}{more}"));
        let config = config.plugin("transform", "transform", "");
        let directory = tempfile::tempdir().unwrap();
        let file = config::write(&config, directory.path());
        let said = check(&file);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 1 + others, "{said}");
        let text = std::fs::read_to_string(&file).unwrap();
        let line = 1 + text
            .lines()
            .position(|line| line.contains("set_hedaers"))
            .unwrap();
        let place = format!(
            "gateway.toml:{line}: routes[0].split[1].plugins[0].config: plugin \"transform\": request"
        );
        assert!(
            lines.iter().any(|line| line.contains(&place)),
            "{place}\n{said}"
        );
    }
}

#[test]
fn an_explanation_names_the_arm_and_why_and_what_leaves_for_it() {
    let versions = Versions::start();
    let split = r#"
split = [
  { upstream = "v1", weight = 95 },
  { upstream = "v2", weight = 5, match = { headers = { x-canary = "1" } }, rewrite = { prefix = "/new" } },
]
split_on = "cookie:uid"
"#;
    let directory = tempfile::tempdir().unwrap();
    let file = config::write(&versions.split(split), directory.path());
    let explain = |fields: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(["explain", "--config"]).arg(&file);
        command.arg("GET http://a/x");
        for field in fields {
            command.args(["-H", field]);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let canary = explain(&["x-canary: 1", "cookie: uid=alice"]);
    assert!(
        canary.contains("\narm v2, since its `match` holds\n"),
        "{canary}"
    );
    assert!(canary.contains("\nupstream v2 "), "{canary}");
    assert!(canary.contains("\n  GET /new/x HTTP/1.1\n"), "{canary}");
    for (uid, arm, path) in [("alice", "v1", "/x"), ("user-34", "v2", "/new/x")] {
        let said = explain(&[&format!("cookie: uid={uid}")]);
        let because =
            format!("\narm {arm}, since `split_on` leads this client there\nupstream {arm} ");
        assert!(said.contains(&because), "{said}");
        assert!(
            said.contains(&format!("\n  GET {path} HTTP/1.1\n")),
            "{said}"
        );
    }
    let turn = explain(&[]);
    for part in [
        "\narm v1, 95 of 100 in turn\nupstream v1 ",
        "\narm v2, 5 of 100 in turn\nupstream v2 ",
        "\n  GET /new/x HTTP/1.1\n",
    ] {
        assert!(turn.contains(part), "{part}: {turn}");
    }
}

/// What `check` says on stderr.
fn check(file: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(["check", "--config"]).arg(file);
    let output = command.env("XDG_CACHE_HOME", cache()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    String::from_utf8(output.stderr).unwrap()
}

/// config/examples/canary.toml, as docs/canary.md shows it.
#[test]
fn the_example_of_a_canary_and_of_an_ab_test_does_what_its_page_says() {
    let versions = Versions::start();
    let addresses = [("V1", versions.v1.address), ("V2", versions.v2.address)];
    let gateway = Gateway::example("canary", &addresses);
    let public = gateway.listener("public");
    let text = |fields: &[(&str, &str)]| get(public, "/checkout/1", fields).text();
    assert_eq!(text(&[("x-canary", "1")]), "v2 /checkout/1 ");
    assert_eq!(text(&[("cookie", "uid=alice")]), "v1 /checkout/1 ");
    assert_eq!(
        text(&[("cookie", "uid=alice"), ("x-canary", "1")]),
        "v2 /checkout/1 "
    );
    assert_eq!(text(&[("cookie", "uid=user-34")]), "v2 /checkout/1 ");
    gateway.wait_for("GET /checkout/1 200 route=checkout arm=v2");
    let mut without = BTreeMap::<_, usize>::new();
    for _ in 0..100 {
        *without.entry(side(&text(&[]))).or_default() += 1;
    }
    assert!(without["v1"] > 80 && without["v2"] < 20, "{without:?}");
    for (uid, variant, path) in [("alice", "a", "/search"), ("dave", "b", "/beta/search")] {
        let answer = get(public, "/search", &[("cookie", &format!("uid={uid}"))]);
        assert_eq!(answer.header("x-variant"), Some(variant), "{uid}");
        assert_eq!(answer.text(), format!("v1 {path} "), "{uid}");
    }
}
