//! What a plugin is given in confidence is in nothing that an operator reads, however the plugin words it; and what
//! it says has an end, and does nothing to a terminal.

use crate::harness::{Configuration, Gateway, get};

/// Out of the environment: with what escapes change, and of two lines.
const VALUE: &str = "pass\"wo\\rd \u{e9}\nsecond line";
const SHORT: &str = "s3k";
const SHARE: &str = "0.25";
const FILE: &str = "FILESECRET";
const FILLED: &str = "filled in";
const GRANTED: &str = "granted one";

/// A gateway whose plugin is told so. The file `value.txt` is beside the configuration.
fn start(words: &str) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("value.txt"), format!("{FILE}\n")).unwrap();
    let environment = [
        ("WORDS_VALUE", VALUE),
        ("WORDS_SHORT", SHORT),
        ("WORDS_SHARE", SHARE),
    ];
    Gateway::start_in(directory, &config(words), &environment)
}

fn config(words: &str) -> Configuration {
    let lines = format!(
        "grants = {{ secrets = ['granted'] }}\nbody_limit = '16MiB'\nmemory = '64MiB'\nconfig = {{ {words} }}"
    );
    Configuration::new()
        .secret("granted", GRANTED)
        .secret("filled", FILLED)
        .plugin("words", "guest_words", &lines)
        .chain("words", "/words/**", &["words"], "")
}

/// Has the plugin say it so; the line in which it does.
fn line(gateway: &Gateway, way: &str, marker: &str) -> String {
    get(gateway.listener("public"), &format!("/words/{way}"), &[]);
    gateway.wait_for(marker)
}

const WAYS: [(&str, &str); 8] = [
    ("log", "it says"),
    ("print", "it prints"),
    ("print", "it complains of"),
    ("quote", "it quotes"),
    ("json", "it writes"),
    ("fail", "it fails for"),
    ("panic", "it panics for"),
    ("ask", "it reads the secret"),
];

#[test]
fn no_words_of_a_plugin_show_what_it_was_given_in_confidence() {
    for (words, parts) in [
        (
            "text = '${WORDS_VALUE}'",
            &["pass", "wo\\", "second", "\\u{e9}"][..],
        ),
        ("text = { file = 'value.txt' }", &[FILE]),
        ("text = 'x ${secrets.filled} y'", &[FILLED]),
        ("secret = 'granted'", &[GRANTED]),
    ] {
        let gateway = start(words);
        for (way, marker) in WAYS {
            let line = line(&gateway, way, marker);
            assert!(line.contains("***"), "{words}, {way}: {line}");
        }
        let text = gateway.text();
        for part in parts {
            assert!(!text.contains(part), "{words}, {part}: {text}");
        }
    }
}

#[test]
fn words_that_repeat_a_short_value_are_not_shown_and_say_so() {
    let gateway = start("text = '${WORDS_SHORT}'");
    for way in ["log", "fail", "panic"] {
        let path = format!("/words/{way}");
        get(gateway.listener("public"), &path, &[]);
    }
    for parts in [
        ["gateway::plugin::log", "route=\"words\""],
        ["plugin failed", "kind=\"trap\""],
        ["plugin failed", "kind=\"refused\""],
    ] {
        let line = gateway.wait_for_all(&parts);
        assert!(line.contains("repeat a short value"), "{line}");
    }
    let text = gateway.text();
    assert!(!text.contains(SHORT), "{text}");
}

#[test]
fn a_refused_configuration_shows_no_value_in_answer_log_and_status() {
    let gateway = start("text = 'x'");
    for (words, shown) in [
        ("text = '${WORDS_VALUE}'", "does not take ***"),
        ("text = { file = 'value.txt' }", "does not take ***"),
        ("text = 'x-${secrets.filled}'", "does not take x-***"),
        ("text = '${secrets.granted}'", "does not take ***"),
        ("text = '${WORDS_SHORT}'", "text: (not shown: "),
        (
            "share = '${WORDS_VALUE}'",
            "share: invalid type: string \\\"***\\\", expected f64",
        ),
    ] {
        gateway.configure(&config(&format!("{words}, faults = 3")));
        let answer = gateway.post("/reload");
        assert_eq!(answer.status, 409, "{}", answer.text());
        let errors = answer.json()["errors"].clone();
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
        let status = get(gateway.admin(), "/plugins", &[]).text();
        let log = gateway.wait_for_all(&["is refused", shown.replace("\\\"", "\"").as_str()]);
        for text in [&answer.text(), &status] {
            assert!(text.contains(shown), "{words}: {text}");
        }
        for text in [answer.text(), status, log] {
            for secret in ["pass", "second", FILE, FILLED, GRANTED, SHORT] {
                assert!(!text.contains(secret), "{words}: {text}");
            }
        }
    }
}

#[test]
fn a_flood_of_faults_is_told_in_part_and_holds_nobody_up() {
    let gateway = start("text = 'x'");
    let reload = |words: &str| {
        gateway.configure(&config(words));
        // An answer is not waited for longer than twenty seconds.
        let answer = gateway.post("/reload");
        assert_eq!(answer.status, 409, "{}", answer.text());
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        errors
            .iter()
            .map(|error| error.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let told = reload("text = 'x', faults = 100000, numbered = true");
    assert_eq!(told.len(), 65);
    assert!(
        told[0].ends_with("text: does not take x (0)"),
        "{}",
        told[0]
    );
    assert!(told[64].ends_with("and 99936 more"), "{}", told[64]);
    assert_eq!(reload("text = 'x', faults = 100000").len(), 1);
    let long = "\u{e9}".repeat(4000);
    let told = reload(&format!("text = '{long}', faults = 1"));
    assert!(
        told[0].len() < 1500 && told[0].ends_with('…'),
        "{}",
        told[0]
    );
}

#[test]
fn what_a_plugin_says_does_nothing_to_a_terminal() {
    let unfit = "text = \"a\\u202Egpj.exe\\u200B\\u001B[2J\\nforged\"";
    let gateway = start(unfit);
    for (way, marker) in [
        ("log", "it says"),
        ("print", "it prints"),
        ("fail", "it fails for"),
    ] {
        let line = line(&gateway, way, marker);
        assert!(
            line.contains("a\\u{202e}gpj.exe\\u{200b}\\u{1b}[2J"),
            "{line}"
        );
    }
    gateway.configure(&config(&format!("{unfit}, faults = 1")));
    let answer = gateway.post("/reload").text();
    let status = get(gateway.admin(), "/plugins", &[]).text();
    for text in [answer, status, gateway.text()] {
        assert!(
            text.contains("a\\u{202e}") || text.contains("a\\\\u{202e}"),
            "{text}"
        );
        assert!(!text.contains(['\u{202e}', '\u{200b}', '\u{1b}']), "{text}");
    }
}

#[test]
fn a_plugin_gets_secrets_that_its_configuration_names_and_numbers_from_the_environment() {
    let gateway = start("text = 'Bearer ${secrets.filled}', share = '${WORDS_SHARE}'");
    let answer = get(gateway.listener("public"), "/words/tell", &[]);
    assert_eq!(answer.text(), "Bearer filled in Some(0.25)");
    let shown = get(gateway.admin(), "/config", &[]).json()["configuration"].clone();
    assert_eq!(shown["plugins"]["words"]["config"]["text"], "***");
    assert_eq!(shown["plugins"]["words"]["config"]["share"], "***");
}

#[test]
fn the_plugins_that_come_along_take_numbers_from_outside_and_show_no_secret() {
    let config = |lines: &str| {
        config("text = 'x'")
            .plugin("limit", "rate_limit", lines)
            .chain("limited", "/limited", &["limit"], "respond = {}")
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("value.txt"), FILE).unwrap();
    let environment = [("WORDS_LIMIT", "1"), ("WORDS_VALUE", VALUE)];
    let sound = config("config = { limit = '${WORDS_LIMIT}', window = '1h' }");
    let gateway = Gateway::start_in(directory, &sound, &environment);
    let status = || get(gateway.listener("public"), "/limited", &[]).status;
    assert_eq!((status(), status()), (200, 429));
    gateway.configure(&config(
        "config = { limit = '${WORDS_VALUE}', window = '1h', algorithm = { file = 'value.txt' } }",
    ));
    let answer = gateway.post("/reload");
    assert_eq!(answer.status, 409, "{}", answer.text());
    let text = answer.text();
    assert!(text.contains("unknown variant `***`"), "{text}");
    assert!(text.contains("invalid type: string \\\"***\\\""), "{text}");
    for shown in [text, gateway.text()] {
        assert!(
            !shown.contains(FILE) && !shown.contains("second line"),
            "{shown}"
        );
    }
}
