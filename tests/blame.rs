//! Whom the logs name where an upstream fails: the endpoint, whatever it did, and who failed before a retry saved it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::harness::faulty::{Fault, Faulty};
use crate::harness::gateway::PATIENCE;
use crate::harness::http::send;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::streams::gone;

const DEBUG: [(&str, &str); 1] = [("GATEWAY_LOG", "info,gateway::proxy=debug")];

fn named(endpoint: SocketAddr) -> String {
    format!("endpoint={endpoint}")
}

fn logged(endpoint: SocketAddr) -> String {
    format!("\"endpoint\":\"{endpoint}\"")
}

/// Asks and reads what comes, whole or not.
fn ask(public: SocketAddr, path: &str) {
    let mut client = TcpStream::connect(public).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        client,
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    // It may be reset.
    let _read = client.read_to_end(&mut Vec::new());
}

#[test]
fn a_failure_names_its_endpoint_in_the_log_and_in_the_access_log_whatever_it_is() {
    let faults = [
        ("reset", Fault::ResetInHead, "bad_gateway", ""),
        ("garbage", Fault::Garbage, "bad_gateway", ""),
        (
            "late",
            Fault::BlackHole,
            "upstream_timeout",
            "timeouts = { first_byte = '100ms' }",
        ),
        (
            "deadline",
            Fault::BlackHole,
            "deadline",
            "timeout = '100ms'",
        ),
        ("body", Fault::ResetInBody, "response_broken", ""),
    ];
    let origins = faults.map(|(_, fault, ..)| Faulty::start(fault));
    let slow = Recorder::start();
    let refused = gone();
    let mut config = Configuration::new()
        .access_log()
        .upstream("slow", slow.address)
        .route("slow", "/slow", "upstream = 'slow'\ntimeout = '200ms'")
        .upstream("refused", refused)
        .route("refused", "/refused", "upstream = 'refused'");
    let mut failures = vec![
        ("slow", slow.address, "deadline"),
        ("refused", refused, "connect"),
    ];
    for ((name, _, kind, lines), origin) in faults.iter().zip(&origins) {
        config = config.upstream(name, origin.address).route(
            name,
            &format!("/{name}"),
            &format!("upstream = '{name}'\n{lines}"),
        );
        failures.push((name, origin.address, kind));
    }
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for (name, endpoint, kind) in failures {
        let path = format!("/{name}");
        std::thread::scope(|scope| {
            scope.spawn(|| ask(public, &path));
            // Its head comes in time, its end does not.
            if name == "slow" {
                slow.head(0);
                slow.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
            }
        });
        let (route, kind_of) = (format!("route={name} "), format!("kind=\"{kind}\""));
        gateway.wait_for_all(&["WARN", &route, &kind_of, &named(endpoint)]);
        let (path, error) = (
            format!("\"path\":\"{path}\""),
            format!("\"error\":\"{kind}\""),
        );
        gateway.wait_for_all(&[&path, &error, &logged(endpoint)]);
    }
}

#[test]
fn a_client_that_leaves_before_the_answer_has_the_endpoint_in_its_line() {
    let slow = Recorder::start();
    let config = Configuration::new()
        .access_log()
        .upstream("slow", slow.address)
        .route("slow", "/**", "upstream = 'slow'");
    let gateway = Gateway::start(&config);
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    client
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    slow.head(0);
    drop(client);
    gateway.wait_for_all(&["\"status\":499", "client_closed", &logged(slow.address)]);
}

#[test]
fn a_flood_of_answers_that_break_off_is_bounded_in_the_log() {
    let broken = Faulty::start(Fault::ResetInBody);
    let config = Configuration::new()
        .access_log()
        .upstream("broken", broken.address)
        .route("broken", "/**", "upstream = 'broken'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for at in 0..60 {
        ask(public, &format!("/{at}"));
    }
    gateway.wait_for_all(&["\"path\":\"/59\"", "response_broken"]);
    let lines = gateway.text().matches("kind=\"response_broken\"").count();
    assert!(lines >= 1, "{}", gateway.text());
    // Ten of a second; a busy machine takes several.
    let seconds = gateway.text().matches("suppressed=").count() / 10 + 1;
    assert!(lines <= 10 * seconds, "{lines} in {seconds}");
}

#[test]
fn the_endpoint_of_a_line_is_the_one_whose_outcome_stands() {
    let busy = Origin::answering(|_, _| b"HTTP/1.1 503 S\r\ncontent-length: 0\r\n\r\n".to_vec());
    let (refused, other) = (gone(), gone());
    let config = Configuration::new()
        .access_log()
        .upstream_of("two", &[busy.address, refused], "")
        .upstream("busy", busy.address)
        .upstream("other", other)
        .route(
            "retried",
            "/retried",
            "upstream = 'two'\nretry = { attempts = 2, backoff = '1ms', budget = false }",
        )
        .route(
            "fallen",
            "/fallen",
            "upstream = 'busy'\nfallback = { upstream = 'other' }",
        );
    let gateway = Gateway::start_with(&config, &DEBUG);
    let public = gateway.listener("public");
    for _ in 0..2 {
        assert_eq!(get(public, "/retried", &[]).status, 503);
    }
    assert_eq!(get(public, "/fallen", &[]).status, 503);
    let fallen = logged(busy.address);
    gateway.wait_for_all(&["\"path\":\"/fallen\"", &fallen]);
    let by = named(other);
    gateway.wait_for_all(&["WARN", &by, "by the fallback, too"]);
    let text = gateway.text();
    for line in text
        .lines()
        .filter(|line| line.contains("\"path\":\"/retried\""))
    {
        assert!(line.contains(&logged(busy.address)), "{line}");
    }
}

#[test]
fn who_failed_before_a_retry_saved_a_request_and_what_prevented_one_is_said_at_debug_level() {
    let busy = Origin::answering(|_, _| b"HTTP/1.1 503 S\r\ncontent-length: 0\r\n\r\n".to_vec());
    let (refused, good) = (gone(), Origin::start());
    let retry = "retry = { attempts = 2, backoff = '1ms', budget = 0.01 }";
    let config = Configuration::new()
        .access_log()
        .upstream_of("saved", &[refused, good.address], "balance = 'round_robin'")
        .upstream("busy", busy.address)
        .route("saved", "/saved", &format!("upstream = 'saved'\n{retry}"))
        .route("busy", "/busy/**", &format!("upstream = 'busy'\n{retry}"));
    let gateway = Gateway::start_with(&config, &DEBUG);
    let public = gateway.listener("public");
    for _ in 0..2 {
        assert_eq!(get(public, "/saved", &[]).status, 200);
    }
    let first = named(refused);
    gateway.wait_for_all(&[
        "DEBUG",
        "route=saved",
        "attempt=1",
        &first,
        "refused",
        "it is sent again",
    ]);
    assert_eq!(get(public, "/busy/x", &[]).status, 503);
    let asked = named(busy.address);
    gateway.wait_for_all(&[
        "DEBUG",
        "route=busy",
        "attempt=1",
        &asked,
        "the answer is 503; it is sent again",
    ]);
    gateway.wait_for_all(&["attempt=2", &asked, "that was the last of its `attempts`"]);
    assert_eq!(send(public, "PUT", "/busy/x", &[], b"streamed").status, 503);
    gateway.wait_for_all(&[&asked, "it is not sent again: no plugin holds its body"]);
    assert_eq!(send(public, "POST", "/busy/x", &[], b"").status, 503);
    gateway.wait_for_all(&[
        &asked,
        "it is not sent again: its method is none of `methods`",
    ]);
    // Ten may always go again.
    for _ in 0..12 {
        assert_eq!(get(public, "/busy/x", &[]).status, 503);
    }
    gateway.wait_for_all(&[
        &asked,
        "it is not sent again: the `budget` of retries is spent",
    ]);
}
