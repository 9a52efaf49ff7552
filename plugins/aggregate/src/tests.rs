//! Every option, against upstreams in memory.

mod configuration;
mod document;
mod requests;

use std::cell::RefCell;
use std::rc::Rc;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::{Exchange, Gateway, Harness};
use gateway_plugin_sdk::upstream;
use serde_json::{Value, json};

use crate::Aggregate;

type Seen = Rc<RefCell<Vec<upstream::Request>>>;

/// A gateway with an upstream `a` that answers `{"id":1,"name":"a"}`, `b` that answers `{"id":2,"tags":["b"]}`,
/// `echo` that answers the path it was asked for, and some that fail. What was asked is kept.
fn gateway() -> (Gateway, Seen) {
    let seen = Seen::default();
    let mut gateway = Gateway::new();
    let answers: [(&str, Result<Answer, upstream::Error>); 12] = [
        ("a", Ok(Answer::new(200).body(r#"{"id":1,"name":"a"}"#))),
        ("b", Ok(Answer::new(200).body(r#"{"id":2,"tags":["b"]}"#))),
        (
            "list",
            Ok(Answer::new(200).body(r#"[{"id":1,"x":1},{"id":2},3]"#)),
        ),
        (
            "nested",
            Ok(Answer::new(200)
                .body(r#"{"data":{"r":[{"s":5,"t":6}],"u":{"v":1,"w":2},"n":1.10}}"#)),
        ),
        ("html", Ok(Answer::new(200).body("<html>"))),
        ("404", Ok(Answer::new(404).body("{}"))),
        ("nothing", Ok(Answer::new(204))),
        ("mark", Ok(Answer::new(200).body("\u{feff}{\"id\":1}"))),
        (
            "half",
            Ok(Answer::new(200).body(r#"{"secret":1,"\ud800":2}"#)),
        ),
        ("slow", Err(upstream::Error::Timeout)),
        ("down", Err(upstream::Error::Connect("refused".to_owned()))),
        ("denied", Err(upstream::Error::Denied)),
    ];
    for (name, answer) in answers {
        let seen = Rc::clone(&seen);
        gateway = gateway.upstream(name, move |request| {
            seen.borrow_mut().push(request.clone());
            answer.clone()
        });
    }
    let echo = Rc::clone(&seen);
    let gateway = gateway.upstream("echo", move |request| {
        echo.borrow_mut().push(request.clone());
        Ok(Answer::new(200).json(&json!({ "path": request.path })))
    });
    (gateway, seen)
}

fn configured(config: Value) -> (Harness<Aggregate>, Seen) {
    let (gateway, seen) = gateway();
    (gateway.configure(config).unwrap(), seen)
}

fn answer_to(config: Value, mut exchange: Exchange) -> Answer {
    let (aggregate, _) = configured(config);
    match aggregate.on_request(&mut exchange).unwrap() {
        Flow::Respond(answer) => answer,
        Flow::Next => panic!("not answered"),
    }
}

fn answer(config: Value) -> Answer {
    answer_to(config, Exchange::get("/"))
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn part(name: &str, more: Value) -> Value {
    let mut part = json!({ "name": name, "upstream": name, "path": "/" });
    let Value::Object(more) = more else {
        panic!("no object")
    };
    part.as_object_mut().unwrap().extend(more);
    part
}
