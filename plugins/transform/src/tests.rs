//! Every option, against an exchange in memory.

mod paths;
mod query;
mod shapes;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::{self, Exchange, Harness};
use serde_json::{Value, json};

use crate::Transform;

fn transform(config: Value) -> Harness<Transform> {
    test::configure(config).unwrap()
}

/// The request of `exchange` as it goes upstream under `config`, which is that of the table `request`.
fn sent(config: Value, mut exchange: Exchange) -> Exchange {
    let transform = transform(json!({ "request": config }));
    assert_eq!(transform.on_request(&mut exchange).unwrap(), Flow::Next);
    exchange
}

/// `answer` as it goes to the client under `config`, which is that of the table `response`.
fn answered(config: Value, answer: Answer) -> Exchange {
    let transform = transform(json!({ "response": config }));
    let mut exchange = Exchange::get("/a?q=1").header("x-client", "me");
    transform.on_request(&mut exchange).unwrap();
    exchange.respond(answer);
    transform.on_response(&mut exchange).unwrap();
    exchange
}

fn values(fields: &[(String, Vec<u8>)], name: &str) -> Vec<String> {
    let named = fields.iter().filter(|(n, _)| n == name);
    named
        .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
        .collect()
}

fn faults(config: Value) -> Vec<String> {
    let faults = test::configure::<Transform>(config).unwrap_err();
    faults.into_iter().map(|fault| fault.key).collect()
}

#[test]
fn request_headers_are_removed_renamed_set_and_added_in_this_order() {
    let exchange = Exchange::get("/")
        .header("x-old", "1")
        .header("x-old", "2")
        .header("x-gone", "1")
        .header("x-set", "1")
        .header("x-set", "2");
    let exchange = sent(
        json!({
            "remove_headers": ["X-Gone"],
            "rename_headers": { "x-old": "x-new" },
            "set_headers": { "X-Set": "3" },
            "add_headers": { "x-set": ["4", "5"], "x-new": "6", "x-gone": "7" },
        }),
        exchange,
    );
    let fields = exchange.request_headers();
    assert_eq!(values(&fields, "x-old"), [""; 0]);
    assert_eq!(values(&fields, "x-new"), ["1", "2", "6"]);
    assert_eq!(values(&fields, "x-set"), ["3", "4", "5"]);
    assert_eq!(values(&fields, "x-gone"), ["7"]);
}

#[test]
fn a_header_is_added_if_absent_only_where_there_is_none() {
    let config = json!({ "add_headers_if_absent": { "x-a": ["1", "2"], "x-b": "1" } });
    let exchange = sent(config, Exchange::get("/").header("x-a", "0"));
    assert_eq!(values(&exchange.request_headers(), "x-a"), ["0"]);
    assert_eq!(values(&exchange.request_headers(), "x-b"), ["1"]);
}

#[test]
fn renaming_a_header_that_is_not_there_keeps_the_one_under_the_new_name() {
    let config = json!({ "rename_headers": { "x-old": "x-new" } });
    let exchange = sent(config, Exchange::get("/").header("x-new", "1"));
    assert_eq!(exchange.request_header("x-new").as_deref(), Some("1"));
}

#[test]
fn templates_are_filled_from_the_exchange() {
    let exchange = Exchange::get("/u/7?x=a%20b")
        .path_param("id", "7")
        .header("x-y", "why")
        .attribute("auth.subject", "ann");
    let config = json!({ "set_headers": {
        "x-all": "{path.id} {query.x} {header.x-y} {attribute.auth.subject} {id} {client} {host} {route} {{}}",
        "x-default": "{query.none|nothing}",
    } });
    let exchange = sent(config, exchange);
    assert_eq!(
        exchange.request_header("x-all").as_deref(),
        Some("7 a b why ann test 192.0.2.1 gateway.test test {}")
    );
    assert_eq!(
        exchange.request_header("x-default").as_deref(),
        Some("nothing")
    );
}

#[test]
fn a_template_without_a_value_removes_what_the_client_sent() {
    let config = json!({
        "set_headers": { "x-user": "{attribute.auth.subject}" },
        "add_headers": { "x-more": "{attribute.auth.subject}" },
    });
    let exchange = sent(config, Exchange::get("/").header("x-user", "forged"));
    assert_eq!(exchange.request_headers(), []);
}

#[test]
fn a_value_that_would_split_the_header_is_refused_with_400() {
    let transform = transform(json!({ "request": { "set_headers": { "x-q": "{query.q}" } } }));
    let mut exchange = Exchange::get("/?q=a%0d%0ax-admin:%201");
    let Flow::Respond(answer) = transform.on_request(&mut exchange).unwrap() else {
        panic!("not refused");
    };
    assert_eq!(answer.status, 400);
    assert_eq!(exchange.request_header("x-q"), None);
}

#[test]
fn the_method_is_replaced() {
    assert_eq!(
        sent(json!({ "method": "PUT" }), Exchange::post("/")).method(),
        "PUT"
    );
}

#[test]
fn a_json_request_is_edited_and_the_rest_keeps_its_bytes() {
    let config = json!({ "json": {
        "remove": ["a.c"],
        "rename": { "a.b": "a.d" },
        "set": { "who": "{header.x-who}", "n.m": [1], "gone": "{header.none}" },
    } });
    let exchange = Exchange::post("/")
        .header("content-type", "application/vnd.x+json; charset=utf-8")
        .header("x-who", "me \"too\"")
        .body(r#"{"z":1.00000000000000000000001,"a":{"b":1,"c":2},"gone":1}"#);
    let body = sent(config, exchange).request_body().unwrap();
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"z":1.00000000000000000000001,"a":{"d":1},"n":{"m":[1]},"who":"me \"too\""}"#
    );
}

#[test]
fn a_request_that_is_no_json_or_too_deep_is_refused_with_400_and_not_edited() {
    let config =
        json!({ "request": { "json": { "remove": ["a"] }, "set_headers": { "x-a": "1" } } });
    let transform = transform(config);
    for body in ["{", &"[".repeat(65), "{} {}"] {
        let mut exchange = Exchange::post("/")
            .header("content-type", "application/json")
            .body(body);
        let Flow::Respond(answer) = transform.on_request(&mut exchange).unwrap() else {
            panic!("not refused: {body}");
        };
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.value("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(exchange.request_header("x-a"), None);
    }
}

#[test]
fn a_request_of_another_type_is_refused_with_415_unless_it_may_pass_and_an_empty_one_passes() {
    let config = json!({ "json": { "set": { "a": 1 } } });
    let plain = || {
        Exchange::post("/")
            .header("content-type", "text/plain")
            .body("{}")
    };
    let refusing = transform(json!({ "request": config }));
    let flow = refusing.on_request(&mut plain()).unwrap();
    assert!(matches!(flow, Flow::Respond(answer) if answer.status == 415));
    let passing = json!({ "json": { "set": { "a": 1 }, "other": "pass" } });
    assert_eq!(sent(passing, plain()).request_body().unwrap(), b"{}");
    let exchange = Exchange::post("/").header("content-type", "application/json");
    assert_eq!(sent(config, exchange).request_body(), None);
}

#[test]
fn a_request_of_another_charset_is_refused_with_415() {
    let transform = transform(json!({ "request": { "json": { "remove": ["a"] } } }));
    let status = |kind: &str| {
        let body = br#"{"a":1,"b":2}"#.to_vec();
        let mut exchange = Exchange::post("/").header("content-type", kind).body(body);
        transform.on_request(&mut exchange).unwrap();
        exchange.status()
    };
    for kind in [
        "application/json; charset=iso-8859-1",
        "application/json;charset=\"UTF-16\"",
        "application/json; a=b; Charset = utf-16le",
        "application/x+json;charset=",
    ] {
        assert_eq!(status(kind), Some(415), "{kind}");
    }
    for kind in [
        "application/json; charset=UTF-8",
        "application/json; charset=\"us-ascii\"; a=b",
        "application/json; a=charset",
    ] {
        assert_eq!(status(kind), None, "{kind}");
    }
}

#[test]
fn response_headers_are_edited_in_the_same_order() {
    let answer = Answer::new(200)
        .header("x-old", "1")
        .header("server", "secret")
        .header("x-set", "1");
    let exchange = answered(
        json!({
            "remove_headers": ["server"],
            "rename_headers": { "x-old": "x-new" },
            "set_headers": { "x-set": "{header.x-client}" },
            "add_headers": { "x-set": "2" },
            "add_headers_if_absent": { "x-new": "3", "x-absent": "4" },
        }),
        answer,
    );
    let fields = exchange.response_headers();
    assert_eq!(values(&fields, "server"), [""; 0]);
    assert_eq!(values(&fields, "x-new"), ["1"]);
    assert_eq!(values(&fields, "x-set"), ["me", "2"]);
    assert_eq!(values(&fields, "x-absent"), ["4"]);
}

#[test]
fn constant_response_edits_wait_for_the_response_and_need_no_phase_of_it() {
    let config = json!({ "response": {
        "set_headers": { "x-a": "1" },
        "add_headers": { "vary": "x" },
        "remove_headers": ["server"],
        "status": 202,
    } });
    let transform = transform(config);
    assert_eq!(transform.wants().phases, Phases::REQUEST);
    let mut exchange = Exchange::get("/");
    transform.on_request(&mut exchange).unwrap();
    exchange.respond(Answer::new(200).header("vary", "y").header("server", "s"));
    assert_eq!(exchange.status(), Some(202));
    assert_eq!(exchange.response_header("x-a").as_deref(), Some("1"));
    assert_eq!(values(&exchange.response_headers(), "vary"), ["y", "x"]);
    assert_eq!(exchange.response_header("server"), None);
}

#[test]
fn the_status_is_replaced_with_edits_that_need_the_response() {
    let config = json!({ "status": 404, "rename_headers": { "a": "b" } });
    assert_eq!(answered(config, Answer::new(200)).status(), Some(404));
}

#[test]
fn a_byte_order_mark_is_no_reason_to_let_a_body_pass() {
    let exchange = Exchange::post("/")
        .header("content-type", "application/json")
        .body("\u{feff}{\"a\":1,\"b\":2}");
    let sent = sent(json!({ "json": { "remove": ["a"] } }), exchange);
    assert_eq!(sent.request_body().unwrap(), br#"{"b":2}"#);
}

#[test]
fn types_and_what_becomes_of_others_are_asked_for_by_what_is_edited() {
    let types = |json: Value| {
        transform(json!({ "response": { "json": json } }))
            .wants()
            .types
            .clone()
    };
    let json = ResponseTypes::json();
    let refusing = json.clone().passing(ResponseTypes::MEDIA).refusing_others();
    assert_eq!(types(json!({ "set": { "a": 1 } })), json);
    assert_eq!(types(json!({ "remove": ["a"] })), refusing);
    assert_eq!(types(json!({ "rename": { "a": "b" } })), refusing);
    assert_eq!(
        types(json!({ "set": { "a": 1 }, "other": "refuse" })),
        refusing
    );
    assert_eq!(types(json!({ "remove": ["a"], "other": "pass" })), json);
    let faults = test::configure::<Transform>(json!({
        "request": { "json": { "remove": ["a"], "types": ["text/json"] } },
        "response": { "json": { "remove": ["a"], "pass": ["html"] } },
    }));
    let keys: Vec<_> = faults
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.key)
        .collect();
    assert_eq!(keys, ["request.json.types", "response.json.pass[0]"]);
}

#[test]
fn a_json_response_is_edited_and_one_that_is_no_json_is_a_failure() {
    let config = json!({ "json": { "remove": ["items.secret"], "set": { "by": "{route}" } } });
    let exchange = answered(
        config.clone(),
        Answer::new(200).json(&json!({ "items": [{ "secret": 1, "id": 2 }] })),
    );
    assert_eq!(
        exchange.response_body().unwrap(),
        br#"{"items":[{"id":2}],"by":"test"}"#
    );

    let transform = transform(json!({ "response": config }));
    let answer = Answer::new(200)
        .header("content-type", "application/json")
        .body("<html>");
    let mut exchange = Exchange::get("/").response(answer);
    let failure = transform.on_response(&mut exchange).unwrap_err();
    let words = "the response says that it is JSON, and is not";
    assert!(failure.to_string().starts_with(words), "{failure}");
}

#[test]
fn a_response_value_that_would_split_the_header_is_left_out_with_a_warning() {
    let transform = transform(json!({ "response": { "set_headers": { "x-q": "{query.q}" } } }));
    let mut exchange = Exchange::get("/?q=%0d%0a").response(Answer::new(200));
    transform.on_response(&mut exchange).unwrap();
    assert_eq!(exchange.response_header("x-q"), None);
    assert_eq!(transform.logs()[0].field("field"), Some("x-q"));
}

#[test]
fn only_the_phases_that_the_edits_need_are_asked_for() {
    let phases = |config| transform(config).wants().phases;
    assert_eq!(phases(json!({})), Phases::NONE);
    assert_eq!(
        phases(json!({ "request": { "method": "PUT" } })),
        Phases::REQUEST
    );
    assert_eq!(
        phases(json!({ "request": { "json": { "remove": ["a"] } } })),
        Phases::REQUEST | Phases::REQUEST_BODY
    );
    assert_eq!(
        phases(json!({ "response": { "set_headers": { "a": "{id}" } } })),
        Phases::RESPONSE
    );
    assert_eq!(
        phases(json!({ "response": { "json": { "remove": ["a"] }, "set_headers": { "a": "b" } } })),
        Phases::RESPONSE | Phases::RESPONSE_BODY
    );
}

#[test]
fn every_fault_is_named_at_once_by_its_dotted_key() {
    let mut keys = faults(json!({
        "request": {
            "set_headers": { "x-a": "a\r\nb", "x-b": "{nothing}", "content-length": "1", "host": "h" },
            "add_headers": { "x c": "1" },
            "remove_headers": ["ok", "transfer-encoding"],
            "rename_headers": { "x": "connection" },
            "set_query": { "q": "{" },
            "method": "G T",
            "path": { "strip_prefix": "api", "prefix": "/a?b", "regex": "(", "to": "x" },
            "json": { "remove": ["a..b"], "set": { "a.b": "{x}" } },
        },
        "response": { "status": 199, "json": { "rename": { "a": "" } } },
    }));
    keys.sort();
    assert_eq!(
        keys,
        [
            "request.add_headers.x c",
            "request.json.remove[0]",
            "request.json.set.a.b",
            "request.method",
            "request.path.prefix",
            "request.path.regex",
            "request.path.strip_prefix",
            "request.remove_headers[1]",
            "request.rename_headers.x",
            "request.set_headers.content-length",
            "request.set_headers.host",
            "request.set_headers.x-a",
            "request.set_headers.x-b",
            "request.set_query.q",
            "response.json.rename.a",
            "response.status",
        ]
    );
}

#[test]
fn keys_that_do_not_go_together_are_faults() {
    let fault = |path: Value| faults(json!({ "request": { "path": path } }));
    assert_eq!(fault(json!({ "regex": "a" })), ["request.path.to"]);
    assert_eq!(fault(json!({ "to": "a" })), ["request.path.regex"]);
    assert_eq!(
        fault(json!({ "set": "/a", "prefix": "/b" })),
        ["request.path.set"]
    );
    assert_eq!(fault(json!({ "set": "/a?b" })), ["request.path.set"]);
    assert_eq!(
        fault(json!({ "regex": "a{1000}{1000}", "to": "" })),
        ["request.path.regex"]
    );
}

#[test]
fn an_unknown_key_is_refused() {
    assert_eq!(faults(json!({ "requst": {} })), ["requst"]);
    assert_eq!(
        faults(json!({ "request": { "set_header": {} }, "response": { "path": {} } })),
        ["request.set_header", "response.path"]
    );
    assert_eq!(
        faults(json!({ "request": { "json": { "sett": {} } } })),
        ["request.json.sett"]
    );
    let fault = &test::configure::<Transform>(json!({ "request": { "add_headers": { "a": 1 } } }))
        .unwrap_err()[0];
    assert_eq!(fault.key, "request.add_headers.a");
    assert!(
        fault.message.contains("a string or a list of strings"),
        "{fault}"
    );
}
