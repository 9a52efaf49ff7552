//! Plugins that misbehave: each is ended inside its budget, and only its own exchange notices.

mod budget;
pub(crate) mod component;
mod kinds;
mod neighbours;
mod rounds;
mod soak;

use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::frames::{CANCEL, Http2, RST_STREAM};
use crate::harness::{Configuration, Gateway, Origin, get};

/// A gateway with one worker and a plugin on `/hostile`. `plugin` are further lines of the plugin's table.
fn gateway(origin: &Origin, act: &str, plugin: &str) -> Gateway {
    let log = [("GATEWAY_LOG", "info,gateway::plugin=debug")];
    Gateway::start_with(&config(origin, act, plugin), &log)
}

fn config(origin: &Origin, act: &str, plugin: &str) -> Configuration {
    let plugin = acting(act, plugin);
    around(origin, origin.address).plugin("hostile", "guest_hostile", &plugin)
}

/// Everything but the plugin `hostile`: its route and one beside it, and upstreams and secrets of which it is granted
/// a part.
fn around(origin: &Origin, itself: SocketAddr) -> Configuration {
    let target = "upstream = 'origin'";
    Configuration::new()
        .secret("mine", "my s3cret")
        .secret("theirs", "their s3cret")
        .upstream("origin", origin.address)
        .upstream("secret", origin.address)
        .upstream("itself", itself)
        .chain("hostile", "/hostile", &["hostile"], target)
        .route("neighbour", "/neighbour", target)
}

/// The table of the guest that is told to act so.
fn acting(act: &str, more: &str) -> String {
    format!(
        r#"
grants = {{ upstreams = ["origin", "itself"], secrets = ["mine"], state = true }}
config = {{ act = "{act}" }}
{more}
"#
    )
}

/// The lines of so many failures, once they are all written; none is suppressed at the level that these tests log.
fn failures(gateway: &Gateway, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let text = gateway.text();
        let lines = text.lines().filter(|line| line.contains("plugin failed"));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        if lines.len() >= count {
            assert_eq!(lines.len(), count);
            return lines;
        }
        let patient = began.elapsed() < Duration::from_secs(20);
        assert!(
            patient,
            "{} of {count} lines\n{}",
            lines.len(),
            lines.join("\n")
        );
        std::thread::yield_now();
    }
}

/// No thread of the gateway itself panicked, in its own code or in a library's.
fn assert_host_is_sound(gateway: &Gateway) {
    let panicked = gateway.find(is_panic_of_the_host);
    assert_eq!(panicked, None, "{}", gateway.text());
}

/// A guest's panic stands in a line that names the plugin, or names the guest's source.
fn is_panic_of_the_host(line: &str) -> bool {
    line.contains("panicked at") && !line.contains("plugin=\"") && !line.contains("tests/guests/")
}

#[test]
fn a_panic_in_a_library_is_one_of_the_host_and_one_of_a_guest_is_not() {
    let thread = "thread 'worker-0' (7) panicked at";
    for place in [
        "gateway/src/proxy.rs:1:1:",
        "/registry/h2-0.4.20/src/lib.rs:1:1:",
    ] {
        assert!(is_panic_of_the_host(&format!("{thread} {place}")));
    }
    let guest = "panicked at tests/guests/hostile/src/lib.rs:1:1";
    assert!(!is_panic_of_the_host(guest));
    assert!(!is_panic_of_the_host(
        "plugin failed plugin=\"a\" panicked at /library/alloc.rs:1:1"
    ));
}

#[test]
fn with_on_error_open_the_plugin_is_skipped() {
    let origin = Origin::start();
    for act in [
        "loop",
        "panic",
        "panic-in-response",
        "panic-in-response-chunk",
        "sleep",
    ] {
        let gateway = gateway(&origin, act, "timeout = \"100ms\"\non_error = \"open\"");
        let answer = get(gateway.listener("public"), "/hostile", &[]);
        assert_eq!(answer.status, 200, "{act}: {}", answer.text());
        assert_eq!(answer.json()["path"], "/hostile");
        gateway.wait_for("plugin failed");
    }
}

#[test]
fn edits_of_what_is_the_gateways_or_breaks_the_message_are_not_made() {
    let origin = Origin::start();
    let requests = gateway(&origin, "bad-headers", "");
    let answer = get(requests.listener("public"), "/hostile", &[]);
    assert_eq!(answer.text(), "made: []", "{:?}", answer.headers);
    assert_denied(&requests, "reserved_field", "which is the gateway's own");
    let answers = gateway(&origin, "bad-answer", "");
    let answer = get(answers.listener("public"), "/hostile", &[]);
    assert_eq!(answer.text(), "made: []", "{:?}", answer.headers);
    // The answer stands without the fields that it must not have.
    for name in [
        ":path",
        "transfer-encoding",
        "keep-alive",
        "upgrade",
        "host",
        "x-fine",
        "b",
    ] {
        assert_eq!(answer.header(name), None, "{:?}", answer.headers);
    }
    assert_eq!(answer.header("content-length"), Some("8"));
}

#[test]
fn a_call_whose_client_goes_away_takes_its_instance_along() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::answering(move |head, _| {
        if head.starts_with("GET /wait") {
            // Until the test says so, and from then on at once.
            let _released = released.lock().unwrap().recv();
        }
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
    });
    let gateway = gateway(&origin, "wait", "timeout = \"60s\"");
    let instances = "gateway_plugin_instances{plugin=\"hostile\"}";
    let await_instances = |count: f64| {
        let began = Instant::now();
        while (gateway.metric(instances) - count).abs() > 0.5 {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{}",
                gateway.text()
            );
        }
    };
    await_instances(1.0);
    // Over HTTP/1, one that ends its side of the connection is still answered.
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/hostile");
    let began = Instant::now();
    while origin.seen().is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{}",
            gateway.text()
        );
    }
    client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    await_instances(0.0);
    drop(release);
    assert_eq!(get(gateway.listener("public"), "/hostile", &[]).status, 200);
    await_instances(1.0);
    assert_host_is_sound(&gateway);
}

#[test]
fn a_list_of_edits_that_is_none_ends_the_call_and_touches_nothing() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "bad-edits", "");
    let ask = |shape: &str| {
        let path = format!("/hostile?shape={shape}");
        get(gateway.listener("public"), &path, &[])
    };
    for (at, shape) in ["no-three", "no-kind", "short-name", "short-value", "huge"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(ask(shape).status, 500, "{shape}");
        failures(&gateway, at + 1);
        let answer = ask("no-text");
        assert_eq!((answer.status, &*answer.text()), (200, "Err(0)"), "{shape}");
    }
    assert_host_is_sound(&gateway);
}

#[test]
fn an_upstream_or_a_secret_that_is_not_granted_is_denied() {
    let origin = Origin::start();
    let upstream = gateway(&origin, "denied-upstream", "");
    let answer = get(upstream.listener("public"), "/hostile", &[]);
    assert_eq!(answer.text(), "Err(Denied)");
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    assert_denied(
        &upstream,
        "upstream",
        "add \"secret\" to `plugins.hostile.grants.upstreams`",
    );
    let secret = gateway(&origin, "denied-secret", "");
    let answer = get(secret.listener("public"), "/hostile", &[]);
    assert_eq!(answer.text(), "(Some(\"my s3cret\"), None)");
    let remedy = "add \"theirs\" to `plugins.hostile.grants.secrets`";
    assert_denied(&secret, "secret", remedy);
}

/// It was counted, and a line names plugin, route and cause.
#[track_caller]
fn assert_denied(gateway: &Gateway, kind: &str, cause: &str) {
    let parts = ["plugin=\"hostile\" route=\"hostile\"", "denied: ", cause];
    gateway.wait_for_all(&parts);
    let counted = format!("gateway_plugin_denied_total{{plugin=\"hostile\",kind=\"{kind}\"}}");
    assert!(gateway.metric(&counted) >= 1.0, "{counted}");
}

const NO_FIELDS: &str = r#"
[plugins.hostile.grants]
upstreams = ["origin"]
secrets = ["mine"]
state = true
request_headers = { write = [] }
response_headers = { write = [] }
"#;

#[test]
fn a_field_that_may_not_be_written_is_denied_with_the_key_that_grants_it() {
    let origin = Origin::start();
    let config = Configuration::new()
        .secret("mine", "my s3cret")
        .plugin("hostile", "guest_probe", NO_FIELDS)
        .upstream("origin", origin.address)
        .chain("hostile", "/probe/**", &["hostile"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for direction in ["request", "response"] {
        let path = format!("/probe/set-{direction}-header");
        assert_eq!(get(public, &path, &[]).status, 500);
        let key = format!("plugins.hostile.grants.{direction}_headers.write");
        let remedy = format!("add \"x-probe\" to `{key}`");
        assert_denied(&gateway, &format!("{direction}_field"), &remedy);
    }
}

#[test]
fn another_plugins_state_is_out_of_reach() {
    let origin = Origin::start();
    let config = config(&origin, "state", "")
        .plugin("one", "guest_hostile", &acting("state", ""))
        .chain("one", "/one", &["one"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let seen = |path: &str| get(gateway.listener("public"), path, &[]).text();
    let nothing = "[None, None, None, None, None, None, None]";
    assert_eq!(seen("/one"), nothing);
    assert_eq!(seen("/one"), nothing.replacen("None", "Some(\"one\")", 1));
    assert_eq!(
        seen("/hostile"),
        nothing,
        "what plugin `one` has is not `hostile`'s"
    );
    assert_eq!(seen("/one"), nothing.replacen("None", "Some(\"one\")", 1));
}

#[test]
fn sub_requests_to_the_gateway_itself_end_at_the_eighth() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "itself", "");
    let public = point_at_itself(&gateway, &origin);
    let answer = get(public, "/hostile", &[]);
    assert_eq!(answer.text(), "through ".repeat(8) + "LoopDetected");
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    assert_denied(&gateway, "depth", "deeper than 8");
    // What a client claims of its depth counts for nothing.
    let claimed = get(public, "/hostile", &[("x-gateway-depth", "9")]);
    assert_eq!(claimed.text(), answer.text());
    assert_eq!(get(public, "/neighbour", &[]).status, 200);
}

/// Makes the gateway its own upstream `itself`: its port is known once it runs.
fn point_at_itself(gateway: &Gateway, origin: &Origin) -> SocketAddr {
    let public = gateway.listener("public");
    let config = around(origin, public);
    gateway.configure(&config.plugin("hostile", "guest_hostile", &acting("itself", "")));
    let answer = gateway.post("/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.listener("public"), public, "the listener stayed");
    public
}

#[test]
fn a_flood_of_log_lines_is_bounded() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "log-flood", "");
    let _answer = get(gateway.listener("public"), "/hostile", &[]);
    let line = gateway.wait_for("the plugin logged more in one call than it may");
    assert!(line.contains("hostile"), "{line}");
    let text = gateway.text();
    let lines = text
        .lines()
        .filter(|line| line.contains("flood flood"))
        .count();
    assert!((1..=32).contains(&lines), "{lines} lines");
}

/// Of a size that may be handed over, and that no body may have.
#[test]
fn an_answer_of_a_plugin_is_bounded_as_a_body_that_it_sets() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "huge-answer", "cpu = '200ms'");
    let answer = get(gateway.listener("public"), "/hostile", &[]);
    assert_eq!(answer.status, 502);
    gateway.wait_for_all(&["plugin failed: a body of 2097152 bytes", "body_grown"]);
}
