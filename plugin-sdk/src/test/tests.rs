//! What the handles see and do in memory is what the WIT says.

mod services;

use super::{Exchange, configure};
use crate::prelude::*;

/// A plugin that runs one closure in every phase it asks for.
struct Once {
    phases: Phases,
    request: fn(&mut Request) -> Result,
    response: fn(&Request, &mut Response) -> Result,
}

thread_local! {
    static NEXT: std::cell::RefCell<Option<Once>> = const { std::cell::RefCell::new(None) };
}

impl Plugin for Once {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> {
        Ok(NEXT.take().expect("a test sets the plugin first"))
    }

    fn wants(&self) -> Wants {
        self.phases.into()
    }

    fn on_request(&self, request: &mut Request) -> Result {
        (self.request)(request)
    }

    fn on_response(&self, request: &Request, response: &mut Response) -> Result {
        (self.response)(request, response)
    }
}

fn plugin(
    phases: Phases,
    request: fn(&mut Request) -> Result,
    response: fn(&Request, &mut Response) -> Result,
) -> super::Harness<Once> {
    NEXT.set(Some(Once {
        phases,
        request,
        response,
    }));
    configure(()).unwrap()
}

fn on_request(phases: Phases, request: fn(&mut Request) -> Result) -> super::Harness<Once> {
    plugin(phases, request, |_, _| Ok(Flow::Next))
}

#[test]
fn the_gateways_own_fields_are_denied_and_broken_ones_refused() {
    let plugin = on_request(Phases::REQUEST, |request| {
        for name in [
            "Host",
            "content-length",
            "te",
            "trailer",
            "proxy-authorization",
            ":path",
        ] {
            assert_eq!(
                request.set_header(name, "x"),
                Err(HeaderError::Denied),
                "{name}"
            );
            assert_eq!(
                request.response().append_header(name, "x"),
                Err(HeaderError::Denied),
                "{name}"
            );
        }
        assert_eq!(
            request.set_header("a b", "x"),
            Err(HeaderError::InvalidName)
        );
        assert_eq!(
            request.set_header("a", "x\r\ny: z"),
            Err(HeaderError::InvalidValue)
        );
        let long = [b'a'; 64 * 1024 + 1];
        assert_eq!(
            request.set_header("a", long),
            Err(HeaderError::InvalidValue)
        );
        assert_eq!(request.set_method("GET /"), Err(HeaderError::InvalidName));
        assert_eq!(request.set_method("CONNECT"), Err(HeaderError::Denied));
        request.response().set_status(100);
        Ok(Flow::Next)
    });
    let mut exchange = Exchange::get("/").header("host", "a");
    plugin.on_request(&mut exchange).unwrap();
    assert_eq!(exchange.request_headers().len(), 1);
    assert_eq!(exchange.status(), None);
}

#[test]
fn a_path_that_the_gateway_would_refuse_is_refused_here() {
    let plugin = on_request(Phases::REQUEST, |request| {
        for path in [
            "no-slash",
            "/a b",
            "/a#b",
            "/../a",
            "/a/.",
            "/%2E%2e/a",
            "/a%2fb",
            "/..;x/a",
            "/a;v=1",
            "/a%3B",
            "/a%00",
        ] {
            let refused = request.set_path(path);
            assert_eq!(refused, Err(HeaderError::InvalidName), "{path}");
        }
        request.set_path("/.../a?b=../%2f;c")?;
        Ok(Flow::Next)
    });
    let mut exchange = Exchange::get("/");
    plugin.on_request(&mut exchange).unwrap();
    assert_eq!(exchange.path_and_query(), "/.../a?b=../%2f;c");
}

#[test]
fn edits_of_the_response_wait_for_it_whoever_makes_it() {
    let plugin = on_request(Phases::REQUEST, |request| {
        request.response().set_header("x-a", "set")?;
        request.response().remove_header("server")?;
        request.response().set_status(203);
        Ok(Flow::Next)
    });
    let mut exchange = Exchange::get("/");
    plugin.on_request(&mut exchange).unwrap();
    assert_eq!(exchange.response_header("x-a").as_deref(), Some("set"));
    exchange.respond(
        Answer::new(200)
            .header("server", "s")
            .header("x-a", "old")
            .header("x-a", "older"),
    );
    assert_eq!(exchange.status(), Some(203));
    assert_eq!(
        exchange.response_headers(),
        [("x-a".to_owned(), b"set".to_vec())]
    );
}

#[test]
fn a_value_that_is_not_utf8_is_bytes_and_no_text() {
    let plugin = on_request(Phases::REQUEST, |request| {
        assert_eq!(request.header("x-raw"), Some(vec![0xff]));
        assert_eq!(request.header_str("x-raw"), None);
        Ok(Flow::Next)
    });
    plugin
        .on_request(&mut Exchange::get("/").header("x-raw", [0xff]))
        .unwrap();
}

#[test]
fn a_body_that_was_not_asked_for_is_out_of_reach() {
    let blind = on_request(Phases::REQUEST, |request| {
        assert_eq!(request.body(), None);
        request.set_body("replaced");
        Ok(Flow::Next)
    });
    let mut exchange = Exchange::post("/").body("sent");
    blind.on_request(&mut exchange).unwrap();
    assert_eq!(exchange.request_body().as_deref(), Some(&b"sent"[..]));

    let seeing = on_request(Phases::REQUEST_BODY, |request| {
        let numbers: Vec<u8> = request.json()?;
        request.set_json(&numbers.len())?;
        Ok(Flow::Next)
    });
    let mut exchange = Exchange::post("/").body("[1,2,3]");
    seeing.on_request(&mut exchange).unwrap();
    assert_eq!(exchange.request_body().as_deref(), Some(&b"3"[..]));
}

#[test]
fn path_query_and_cookies_are_read_apart() {
    let plugin = on_request(Phases::REQUEST, |request| {
        assert_eq!(request.path(), "/a");
        assert_eq!(request.path_and_query(), "/a?q=x+y&q=2");
        assert_eq!(request.query_param("q").as_deref(), Some("x y"));
        assert_eq!(request.query().count(), 2);
        assert_eq!(request.path_param("name").as_deref(), Some("n"));
        assert_eq!(request.cookie("b").as_deref(), Some("2=3"));
        assert_eq!(request.cookies().len(), 2);
        assert!(request.client_ip().is_some());
        Ok(Flow::Next)
    });
    let mut exchange = Exchange::get("/a?q=x+y&q=2")
        .path_param("name", "n")
        .header("cookie", "a=1; b=2=3");
    plugin.on_request(&mut exchange).unwrap();
}

#[test]
fn a_phase_that_was_not_asked_for_is_not_called() {
    let plugin = plugin(
        Phases::RESPONSE,
        |_| Err("called".into()),
        |_, _| Ok(Answer::new(503).into()),
    );
    let mut exchange = Exchange::get("/");
    assert_eq!(plugin.on_request(&mut exchange).unwrap(), Flow::Next);
    exchange.respond(Answer::new(200));
    plugin.on_response(&mut exchange).unwrap();
    assert_eq!(exchange.status(), Some(503));
}

#[test]
fn outside_a_phase_everything_reads_empty_and_every_edit_is_denied() {
    let mut request = Request::in_hand();
    assert_eq!(request.method(), "");
    assert_eq!(request.header("a"), None);
    assert_eq!(request.set_header("a", "x"), Err(HeaderError::Denied));
    assert!(matches!(state::get("k"), Err(state::Error::Unavailable(_))));
}

#[test]
#[should_panic(expected = "a configuration that panics")]
fn a_panic_in_configure_reaches_the_test_with_its_message() {
    #[derive(Debug)]
    struct Panics;
    impl Plugin for Panics {
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> {
            panic!("a configuration that panics");
        }
    }
    configure::<Panics>(()).unwrap();
}

#[test]
fn what_is_left_behind_when_the_exchange_is_over_is_not_kept() {
    struct Marks;
    impl Stream for Marks {
        fn chunk(&mut self, request: &Request, chunk: Vec<u8>) -> Result<Vec<u8>> {
            request.set_attribute("chunk", "seen");
            Ok(chunk)
        }
    }

    struct Late;
    impl Plugin for Late {
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<Self, Vec<ConfigError>> {
            Ok(Self)
        }

        fn wants(&self) -> Wants {
            (Phases::COMPLETE | Phases::RESPONSE_STREAM).into()
        }

        fn response_stream(&self, _: &Request, _: &Response) -> Result<Box<dyn Stream>> {
            Ok(Box::new(Marks))
        }

        fn on_complete(&self, request: &Request, _: Option<&Response>) {
            request.set_attribute("late", "x");
        }
    }
    let plugin = configure::<Late>(()).unwrap();
    let mut exchange = Exchange::get("/").response(Answer::new(200));
    let mut body = plugin.response_stream(&mut exchange).unwrap().unwrap();
    assert_eq!(body.chunk("a").unwrap(), b"a");
    assert_eq!(body.end().unwrap(), Ending::default());
    plugin.on_complete(&mut exchange);
    assert_eq!(exchange.attribute_value("chunk").as_deref(), Some("seen"));
    assert_eq!(exchange.attribute_value("late"), None);
}
