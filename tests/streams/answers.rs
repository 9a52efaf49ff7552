//! Which plugins see the body of an answer, whoever made it.

use super::{STREAM, assert_logged_once, gone, probe, route, start, upstream};
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Gateway, Origin, get};

/// Sees the response alone, whole.
const HOLD_RESPONSE: &str = r#""response", "response-body""#;

fn ask(gateway: &Gateway, path: &str) -> Answer {
    get(gateway.listener("public"), path, &[])
}

/// An upstream that answers `up`.
fn up() -> Origin {
    Origin::answering(|_, _| b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup".to_vec())
}

/// The body of an answer of the gateway itself: a problem document, and what plugins added behind it.
#[track_caller]
fn added(answer: &Answer) -> String {
    let text = answer.text();
    let (problem, added) = text.split_once('}').unwrap_or_else(|| panic!("{text}"));
    let problem: serde_json::Value = serde_json::from_str(&format!("{problem}}}")).unwrap();
    assert_eq!(problem["status"], answer.status, "{text}");
    added.to_owned()
}

#[test]
fn every_answer_passes_the_streaming_plugins_once_whoever_made_it() {
    let origin = up();
    let respond = "respond = { status = 200, body = \"made\" }";
    let redirect = "redirect = { to = \"https://elsewhere.test/\" }";
    let gateway = start(&[
        probe("s", STREAM, ""),
        probe("p", r#""request""#, ""),
        upstream("origin", origin.address),
        upstream("gone", gone()),
        route("up", "/up", "s", "upstream = \"origin\""),
        route("made", "/made", "s", respond),
        route("moved", "/moved", "s", redirect),
        route("gone", "/gone", "s", "upstream = \"gone\""),
        route("plugins", "/probe/**", "s p", ""),
    ]);
    for (path, status, body) in [
        ("/up", 200, "up<s>"),
        ("/made", 200, "made<s>"),
        ("/moved", 308, "<s>"),
        (
            "/probe/method",
            200,
            r#"{"function":"method","saw":"GET"}<s>"#,
        ),
    ] {
        let answer = ask(&gateway, path);
        let found = (answer.status, answer.text());
        assert_eq!(found, (status, body.to_owned()), "{path}");
    }
    for (path, status) in [("/gone", 502), ("/probe/next", 404), ("/probe/fail", 500)] {
        let answer = ask(&gateway, path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(added(&answer), "<s>", "{path}");
    }
}

#[test]
fn an_answer_of_a_plugin_is_not_seen_by_those_behind_it() {
    let gateway = start(&[
        probe("s", STREAM, ""),
        probe("h", HOLD_RESPONSE, ""),
        probe("p", r#""request""#, ""),
        probe("t", STREAM, ""),
        probe("u", HOLD_RESPONSE, ""),
        route("plugins", "/probe/**", "s h p t u", ""),
    ]);
    let text = ask(&gateway, "/probe/method").text();
    assert_eq!(text, r#"{"function":"method","saw":"GET"}<h><s>"#);
}

#[test]
fn the_answer_that_says_that_the_deadline_passed_passes_streaming_plugins_whole() {
    let silent = Recorder::start();
    let gateway = start(&[
        probe("s", STREAM, ""),
        upstream("origin", silent.address),
        route(
            "late",
            "/late",
            "s",
            "upstream = \"origin\"\ntimeout = \"300ms\"",
        ),
    ]);
    let answer = ask(&gateway, "/late");
    assert_eq!(answer.status, 504);
    assert_eq!(added(&answer), "<s>");
    let late = ["\"error\":\"deadline\"", "\"complete\":true"];
    assert_logged_once(&gateway, "/late", &late);
}

#[test]
fn after_a_failure_in_a_request_phase_only_the_plugins_before_it_see_the_500() {
    let origin = up();
    let failing = format!(r#""request", {HOLD_RESPONSE}, {STREAM}"#);
    let gateway = start(&[
        probe("s", STREAM, ""),
        probe("h", HOLD_RESPONSE, ""),
        probe("f", &failing, ""),
        probe("t", STREAM, ""),
        probe("u", HOLD_RESPONSE, ""),
        upstream("origin", origin.address),
        route("chain", "/probe/**", "s h f t u", "upstream = \"origin\""),
    ]);
    let whole = ask(&gateway, "/probe/next");
    assert_eq!(whole.text(), "up<u><t><f><f><h><s>");
    let answer = ask(&gateway, "/probe/fail");
    assert_eq!(answer.status, 500);
    assert_eq!(added(&answer), "<h><s>");
    assert_eq!(origin.seen().len(), 1, "{:?}", origin.seen());
}

#[test]
fn after_a_failure_in_a_response_phase_only_the_plugins_before_it_see_the_500() {
    let origin = up();
    let gateway = start(&[
        probe("s", STREAM, ""),
        probe("f", HOLD_RESPONSE, ""),
        probe("t", STREAM, ""),
        upstream("origin", origin.address),
        route("chain", "/probe/**", "s f t", "upstream = \"origin\""),
    ]);
    assert_eq!(ask(&gateway, "/probe/next").text(), "up<t><f><s>");
    let answer = ask(&gateway, "/probe/response/fail");
    assert_eq!(answer.status, 500);
    assert_eq!(added(&answer), "<s>");
}

#[test]
fn what_is_answered_for_a_body_that_cannot_be_held_is_seen_once_by_each_plugin() {
    let large = up();
    // In small letters, the connection would stay open.
    let cut = Origin::answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab".to_vec());
    let gateway = start(&[
        probe("s", STREAM, ""),
        probe("h", HOLD_RESPONSE, "body_limit = \"1B\""),
        probe("k", HOLD_RESPONSE, ""),
        probe("r", r#""response""#, ""),
        upstream("large", large.address),
        upstream("cut", cut.address),
        route("large", "/large", "s h k", "upstream = \"large\""),
        route("cut", "/probe/**", "s k r", "upstream = \"cut\""),
    ]);
    // `k` has seen the body that `h` refuses.
    let answer = ask(&gateway, "/large");
    assert_eq!((answer.status, added(&answer).as_str()), (502, "<s>"));
    let whole = "\"complete\":true";
    let error = "\"error\":\"response_too_large\"";
    assert_logged_once(&gateway, "/large", &[error, whole]);
    // `r` has seen the head whose body breaks before `k` has it.
    let path = "/probe/response/append-response-header";
    let answer = ask(&gateway, path);
    let appended = answer.headers.iter().filter(|(name, _)| name == "x-probe");
    assert_eq!(
        (answer.status, appended.count()),
        (502, 2),
        "{:?}",
        answer.headers
    );
    assert_eq!(added(&answer), "<k><s>");
    let error = "\"error\":\"response_broken\"";
    assert_logged_once(&gateway, path, &[error, whole]);
}
