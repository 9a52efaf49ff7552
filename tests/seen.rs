//! What an operator sees: the log, the metrics and the files that are watched.

use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get};

#[test]
fn an_answer_with_a_status_that_is_none_is_a_failure_with_a_line_and_a_count() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    let answer = get(gateway.listener("public"), "/probe/no-status", &[]);
    assert_eq!(answer.status, 500, "{}", answer.text());
    let line = gateway.wait_for("plugin failed");
    for part in ["status 1000", "route=\"probed\"", "phase=\"request\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let counted = r#"gateway_plugin_failures_total{plugin="probe",route="probed",kind="refused"}"#;
    assert_eq!(gateway.metric(counted), 1.0);
}

#[test]
fn what_a_plugin_prints_is_whole_lines_with_its_name_and_the_route() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    assert_eq!(
        get(gateway.listener("public"), "/probe/print", &[]).status,
        200
    );
    for text in ["a line of its own", "in 2 pieces"] {
        let line = gateway.wait_for(text);
        for part in ["plugin=\"probe\"", "route=\"probed\""] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}

#[test]
fn a_body_over_the_limit_cannot_be_set_either() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    let answer = get(
        gateway.listener("public"),
        "/probe/response/large-body",
        &[],
    );
    assert_eq!(answer.status, 502, "{}", answer.text());
    let line = gateway.wait_for("plugin failed");
    assert!(
        line.contains("a body of 1048577 bytes was set; `body_limit` allows 1048576"),
        "{line}"
    );
}

#[test]
fn a_metric_that_would_spoil_the_scrape_is_refused_and_said() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    assert_eq!(
        get(gateway.listener("public"), "/probe/unfit-metric", &[]).status,
        200
    );
    let line = gateway.wait_for("is not published");
    assert!(
        line.contains("\"unfit\"") && line.contains("route=\"probed\""),
        "{line}"
    );
    let text = get(gateway.admin(), "/metrics", &[]).text();
    assert!(!text.contains("gateway_custom_unfit"), "{text}");
    let dropped = r#"gateway_plugin_series_dropped_total{plugin="probe"}"#;
    assert_eq!(gateway.metric(dropped), 2.0);
}

#[test]
fn metrics_of_plugins_clash_with_none_and_stay_numbers() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    for _ in 0..3 {
        let answer = get(gateway.listener("public"), "/probe/clash", &[]);
        assert_eq!(answer.status, 200);
    }
    let page = get(gateway.admin(), "/metrics", &[]).text();
    let types: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let mut names: Vec<_> = types
        .iter()
        .filter_map(|kind| kind.split(' ').next())
        .collect();
    let own: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("gateway_custom_"))
        .collect();
    let published = ["clash", "grown", "grown_full"].map(|name| format!("gateway_custom_{name}"));
    assert_eq!(own, published.iter().collect::<Vec<_>>());
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
    }
    let clashes = r#"gateway_custom_clash_total{plugin="probe"}"#;
    assert_eq!(gateway.metric(clashes), 3.0);
    let full = r#"gateway_custom_grown_full_total{plugin="probe"}"#;
    assert_eq!(gateway.metric(full), u64::MAX as f64);
    let label = r#"gateway_custom_grown_sum{plugin="probe",at="a\\\"\n} 1"}"#;
    assert_eq!(gateway.metric(label), f64::MAX);
    gateway.wait_for_all(&[
        "is not published",
        "\"clash_sum\"",
        "does not end with `_total`",
    ]);
}

#[test]
fn names_that_a_plugin_gives_to_fields_stand_for_nothing_else() {
    let origin = Origin::start();
    let config = Configuration::new().access_log().probed(origin.address, "");
    let gateway = Gateway::start(&config);
    let answer = get(gateway.listener("public"), "/probe/clash", &[]);
    assert_eq!(answer.status, 200);
    gateway.wait_for_all(&[
        "it names fields",
        r#"fields="a=\"1\" plugin"="x" sound.name="y" ""="z""#,
        "plugin=\"probe\"",
    ]);
    let line = gateway.wait_for("\"path\":\"/probe/clash\"");
    assert!(!line.contains('\u{202e}'), "{line}");
    let logged: serde_json::Value = serde_json::from_str(&line).unwrap();
    let odd = &logged["attributes"]["odd\":1,\"\n\u{202e}"];
    assert_eq!(odd, "a\u{202e}\"", "{line}");
}

#[test]
fn open_connections_and_the_memory_of_plugins_are_told() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    let open = r#"gateway_connections{listener="public"}"#;
    let connection = std::net::TcpStream::connect(gateway.listener("public")).unwrap();
    wait(|| gateway.metric(open) == 1.0);
    drop(connection);
    wait(|| gateway.metric(open) == 0.0);
    let memory = gateway.metric(r#"gateway_plugin_memory_bytes{plugin="probe"}"#);
    let instances = gateway.metric(r#"gateway_plugin_instances{plugin="probe"}"#);
    assert!(
        instances >= 1.0 && memory >= instances * 65_536.0,
        "{instances} instances, {memory} bytes"
    );
}

/// Asks until it is so.
fn wait(so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed().as_secs() < 20, "it never came to be");
        std::thread::yield_now();
    }
}

/// A gateway whose routes are in files of their own, one of them there.
fn including() -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("routes")).unwrap();
    std::fs::write(directory.path().join("routes/one.toml"), route("one")).unwrap();
    let config = format!("include = ['routes/*.toml']\n{}", Configuration::new());
    Gateway::start_in(directory, &config, &[])
}

fn route(name: &str) -> String {
    format!(
        "[[routes]]\nname = \"{name}\"\nmatch = {{ path = \"/{name}\" }}\nrespond = {{ body = \"{name}\" }}\n"
    )
}

#[test]
fn a_new_file_that_an_include_matches_is_taken_and_one_that_goes_is_let_go() {
    let gateway = including();
    let public = gateway.listener("public");
    let two = gateway.directory.path().join("routes/two.toml");
    assert_eq!(get(public, "/two", &[]).status, 404);
    std::fs::write(&two, route("two")).unwrap();
    wait(|| get(public, "/two", &[]).status == 200);
    std::fs::remove_file(&two).unwrap();
    wait(|| get(public, "/two", &[]).status == 404);
    assert_eq!(get(public, "/one", &[]).status, 200);
}

#[test]
fn the_remedy_of_a_file_that_only_the_refused_configuration_reads_is_seen() {
    let gateway = including();
    let public = gateway.listener("public");
    let at = |name: &str| gateway.directory.path().join(name);
    std::fs::write(at("more.toml"), "[[").unwrap();
    let text = std::fs::read_to_string(at("gateway.toml")).unwrap();
    let text = text.replace("'routes/*.toml'", "'routes/*.toml', 'more.toml'");
    std::fs::write(at("gateway.toml"), text).unwrap();
    gateway.wait_for("the old one stays");
    assert_eq!(get(public, "/one", &[]).status, 200);
    std::fs::write(at("more.toml"), route("more")).unwrap();
    wait(|| get(public, "/more", &[]).status == 200);
}

#[test]
fn every_phase_has_a_span_in_that_of_its_exchange_for_who_asks_and_none_for_who_does_not() {
    let origin = Origin::start();
    let phases = r#"config = { upstream = "echo", secret = "token", phases = ["request", "response", "request-stream", "response-stream", "complete"] }"#;
    let traced = [("GATEWAY_LOG", "info,gateway::trace=debug")];
    let gateway = Gateway::probe_with(&origin, phases, &traced);
    let public = gateway.listener("public");
    let answer = send(public, "POST", "/probe/print", &[], b"some bytes");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.header("x-request-id").unwrap();
    let exchange =
        format!(r#"exchange{{id="{id}" method=POST path="/probe/print" route="probed"}}"#);
    let phases = ["request", "response", "request_chunk", "response_chunk"];
    for phase in phases {
        let span = format!(r#"{exchange}:phase{{plugin="probe" phase="{phase}"}}: "#);
        gateway.wait_for_all(&[&span, "gateway::trace: close time.busy="]);
    }
    let upstream = format!(
        r#"{exchange}:upstream{{upstream="echo" endpoint={}}}: "#,
        origin.address
    );
    gateway.wait_for_all(&[&upstream, "gateway::trace: close time.busy="]);
    gateway.wait_for(&format!("{exchange}: gateway::trace: close"));
    // That of the exchange does not last until what comes after it is done.
    let completing = format!(r#"complete{{id="{id}" route="probed"}}:phase{{plugin="probe""#);
    gateway.wait_for_all(&[&completing, "gateway::trace: close time.busy="]);
    // What the plugin prints stands in the span of its phase.
    gateway.wait_for_all(&["a line of its own", &exchange, "phase=\"request\""]);

    let silent = Gateway::probe(&origin, "");
    assert_eq!(
        get(silent.listener("public"), "/probe/print", &[]).status,
        200
    );
    let printed = silent.wait_for("a line of its own");
    assert!(!printed.contains("exchange{"), "{printed}");
}
