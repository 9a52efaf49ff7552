//! What `check` warns of between two routes: one hides the other, or nothing but their names ranks them.

use std::fs;

use super::{check, completed, directory, stderr};

/// What is said of a configuration with these routes, all of it warnings. Each is the line of `match` and what else it
/// has; its names are `a`, `b` and so on.
#[track_caller]
fn warned(routes: &[&str]) -> Vec<String> {
    let mut text =
        String::from("[plugins.auth]\npath = \"a.wasm\"\n[plugins.log]\npath = \"a.wasm\"\n");
    for (index, lines) in routes.iter().enumerate() {
        let name = match routes.len() {
            ..=26 => char::from(b'a' + u8::try_from(index).unwrap()).to_string(),
            _ => format!("r{index}"),
        };
        text += &format!("[[routes]]\nname = \"{name}\"\nrespond = {{}}\nmatch = {lines}\n");
    }
    let directory = directory();
    fs::write(directory.path().join("gateway.toml"), completed(&text)).unwrap();
    let output = check(directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    let lines = said.lines();
    let lines = lines.filter(|line| line.contains(": routes["));
    lines
        .filter_map(|line| line.strip_prefix("warning: gateway.toml:"))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn assert_warned(routes: &[&str], expected: &[&str]) {
    assert_eq!(warned(routes), expected, "{routes:?}");
}

#[test]
fn routes_that_something_tells_apart_are_no_tie() {
    for routes in [
        // Both match /a/b: at the first segment literal text goes before a parameter.
        &[r#"{ path = "/a/{x}" }"#, r#"{ path = "/{y}/b" }"#][..],
        &[r#"{ path = "/a/{x}" }"#, r#"{ path = "/b/{x}" }"#],
        &[
            r#"{ path = "/a/{x}" }"#,
            r#"{ path = "/a/{x}/**" }"#,
            r#"{ path = "/a/**" }"#,
        ],
        &[
            r#"{ host = "a.com" }"#,
            r#"{ host = "b.com" }"#,
            r#"{ host = "*.com" }"#,
            "{}",
        ],
        &[
            r#"{ path = "/a", methods = ["GET"] }"#,
            r#"{ path = "/a", methods = ["POST"] }"#,
        ],
        // One value is the first that decides.
        &[
            r#"{ path = "/a", headers = { x-a = "1" } }"#,
            r#"{ path = "/a", headers = { x-a = "2" } }"#,
            r#"{ path = "/a", headers = { x-a = { present = false } } }"#,
        ],
        &[
            r#"{ path = "/a", headers = { x-a = { regex = "^1" } } }"#,
            r#"{ path = "/a", headers = { x-a = "2" } }"#,
        ],
        &[
            r#"{ path = "/a", query = { a = { regex = "1" } } }"#,
            r#"{ path = "/a", query = { a = { present = false } } }"#,
        ],
        // Kinds of predicates rank where their number does not.
        &[
            r#"{ path = "/a", methods = ["GET"] }"#,
            r#"{ path = "/a", headers = { x-a = "1" } }"#,
            r#"{ path = "/a", query = { a = "1" } }"#,
        ],
        &[
            r#"{ path = "/a", headers = { x-a = "1", x-b = "1" } }"#,
            r#"{ path = "/a", headers = { x-a = "1" } }"#,
        ],
        // Expressions that begin or end apart, and one for a single path that another does not match.
        &[
            r#"{ path = { regex = "^/a/x[0-9]" } }"#,
            r#"{ path = { regex = "^/a/y[0-9]" } }"#,
        ],
        &[
            r#"{ path = { regex = '\.css$' } }"#,
            r#"{ path = { regex = '\.js$' } }"#,
        ],
        &[
            r#"{ path = { regex = "^/a/[0-9]$" } }"#,
            r#"{ path = { regex = "^/a/x$" } }"#,
        ],
        &[
            r#"{ path = { regex = "^/a/[0-9]/x" } }"#,
            r#"{ path = { regex = "^/a/" } }"#,
            r#"{ path = { regex = "^/a/b/[0-9]" } }"#,
        ][1..],
    ] {
        assert_warned(routes, &[]);
    }
}

#[test]
fn what_expressions_leave_open_is_a_warning_and_says_which_route_is_taken() {
    assert_warned(
        &[
            r#"{ path = { regex = "^/a/[0-9]+" } }"#,
            r#"{ path = { regex = "^/a/[0-9a-f]+" } }"#,
        ],
        &[
            "9: routes[1]: `b` may match what `a` in gateway.toml:5 matches, as far as their regular expressions tell; `a` is taken then, whose name sorts first; set `match.priority` to say which is meant",
        ],
    );
    assert_warned(
        &[
            r#"{ path = "/a", headers = { x-a = { regex = "1" } } }"#,
            r#"{ path = "/a", headers = { x-a = { regex = "2" } } }"#,
            r#"{ path = "/b", headers = { x-a = { regex = "2" } } }"#,
        ],
        &[
            "9: routes[1]: `b` may match what `a` in gateway.toml:5 matches, as far as their regular expressions tell; `a` is taken then, whose name sorts first; set `match.priority` to say which is meant",
        ],
    );
}

#[test]
fn a_route_that_is_never_reached_is_named_with_the_one_that_is() {
    let dead = |line: u32, index: usize, own: &str, other: &str, at: u32| {
        format!(
            "{line}: routes[{index}]: `{own}` can never be reached: `{other}` in gateway.toml:{at} goes before it and matches all that it matches; remove `{own}`, narrow `{other}`, or set `match.priority`"
        )
    };
    for (routes, expected) in [
        (
            [
                r#"{ path = "/a/{x}" }"#,
                r#"{ path = "/**", priority = 1 }"#,
            ],
            dead(5, 0, "a", "b", 9),
        ),
        // An expression goes before a parameter.
        (
            [
                r#"{ path = "/a/{x}/c" }"#,
                r#"{ path = { regex = "^/a/" } }"#,
            ],
            dead(5, 0, "a", "b", 9),
        ),
        (
            [
                r#"{ path = "/a/b", headers = { x-a = { present = true } }, priority = 1 }"#,
                r#"{ path = "/a/b", headers = { x-a = "1", x-b = "1" }, methods = ["GET"] }"#,
            ],
            dead(9, 1, "b", "a", 5),
        ),
        (
            [
                r#"{ host = ["a.example.com", "*.b.example.com"], path = "/a" }"#,
                r#"{ host = "*.example.com", path = { regex = "a" }, priority = 1 }"#,
            ],
            dead(5, 0, "a", "b", 9),
        ),
    ] {
        assert_warned(&routes, &[&expected]);
    }
    // Something is left for each of these.
    for routes in [
        [
            r#"{ path = "/a/**" }"#,
            r#"{ path = "/a/{x}", priority = 1 }"#,
        ],
        [
            r#"{ path = "/a/{x}/**" }"#,
            r#"{ path = { regex = "^/a/[0-9]" } }"#,
        ],
        [
            r#"{ host = ["a.com", "b.com"], path = "/a" }"#,
            r#"{ host = "a.com", priority = 1, path = "/a" }"#,
        ],
    ] {
        assert_warned(&routes, &[]);
    }
}

#[test]
fn a_route_that_only_its_priority_puts_before_a_narrower_one_is_named() {
    assert_warned(
        &[
            r#"{ path = "/a/b" }"#,
            r#"{ path = "/a/**", methods = ["GET"], priority = 1 }"#,
        ],
        &[
            "9: routes[1]: the `match.priority` of `b` puts it before `a` in gateway.toml:5, which is narrower; lower it, narrow `b`, or raise that of the other",
        ],
    );
    assert_warned(
        &[
            r#"{ path = "/a/b", methods = ["POST"] }"#,
            r#"{ path = "/a/**", methods = ["GET"], priority = 1 }"#,
        ],
        &[],
    );
}

#[test]
fn a_route_that_hides_many_is_named_once_with_the_first_of_them_and_their_number() {
    let narrow: Vec<String> = (0..9)
        .map(|at| format!(r#"{{ path = "/a/{at}" }}"#))
        .collect();
    let mut routes: Vec<&str> = narrow.iter().map(String::as_str).collect();
    routes.push(r#"{ priority = 1 }"#);
    assert_warned(
        &routes,
        &[
            "41: routes[9]: `j` goes before `a` in gateway.toml:5, `b` in gateway.toml:9, `c` in gateway.toml:13 and 6 more, which can never be reached: it matches all that they match; remove them, narrow `j`, or set their `match.priority`",
        ],
    );
    routes[9] = r#"{ methods = ["GET"], priority = 1 }"#;
    assert_warned(
        &routes,
        &[
            "41: routes[9]: the `match.priority` of `j` puts it before `a` in gateway.toml:5, `b` in gateway.toml:9, `c` in gateway.toml:13 and 6 more, which are narrower; lower it, narrow `j`, or raise those of the others",
        ],
    );
    assert_warned(
        &[routes[0], routes[1], routes[9]],
        &[
            "13: routes[2]: the `match.priority` of `c` puts it before `a` in gateway.toml:5 and `b` in gateway.toml:9, which are narrower; lower it, narrow `c`, or raise those of the others",
        ],
    );
}

/// `match` and the plugins of a route.
fn with(plugins: &str, matcher: &str) -> String {
    format!("{matcher}\nplugins = {plugins}")
}

#[track_caller]
fn assert_bypass(routes: [(&str, &str); 2], expected: &[&str]) {
    let routes = routes.map(|(plugins, matcher)| with(plugins, matcher));
    assert_warned(&routes.each_ref().map(String::as_str), expected);
}

#[test]
fn a_host_that_takes_a_path_past_the_plugins_meant_for_it_is_named() {
    let admin = (r#"["auth", "log"]"#, r#"{ path = "/admin/**" }"#);
    let bypassed = |lacking: &str| {
        format!(
            "10: routes[1]: `b` takes on its hosts what matches `a` in gateway.toml:5 (without {lacking}), since a host ranks before a path: plugins of those chains are passed by; add the same here, or set `match.priority` there"
        )
    };
    for wide in [
        r#"{ host = "api.example.com" }"#,
        r#"{ host = "*.example.com", path = "/{area}/**" }"#,
        r#"{ host = "api.example.com", path = { regex = "^/" } }"#,
        r#"{ host = "api.example.com", path = "/admin/**", methods = ["GET"] }"#,
    ] {
        assert_bypass([admin, ("[]", wide)], &[&bypassed("`auth`, `log`")]);
        assert_bypass([admin, (r#"["auth"]"#, wide)], &[&bypassed("`log`")]);
        // The same plugins, in whatever order, and another one.
        assert_bypass([admin, (r#"["log", "auth"]"#, wide)], &[]);
    }
    // Another configuration is another policy.
    let configured = (
        r#"[{ name = "log", config = { trap = false } }, "auth"]"#,
        r#"{ host = "a.com" }"#,
    );
    assert_bypass([admin, configured], &[&bypassed("`log`")]);
    // What is wide itself is meant to be taken by more specific ones; so is what ranks above.
    let any = (r#"["auth"]"#, r#"{ path = "/**" }"#);
    assert_bypass([any, ("[]", r#"{ host = "a.com" }"#)], &[]);
    let first = (r#"["auth"]"#, r#"{ path = "/admin/**", priority = 1 }"#);
    assert_bypass([first, ("[]", r#"{ host = "a.com" }"#)], &[]);
    assert_bypass(
        [admin, ("[]", r#"{ host = "a.com", path = "/admin/x" }"#)],
        &[],
    );
}

#[test]
fn a_path_that_is_guarded_on_the_host_by_a_route_of_its_own_is_not_bypassed() {
    let routes = [
        with(r#"["auth"]"#, r#"{ path = "/admin/**" }"#),
        with("[]", r#"{ host = "api.example.com" }"#),
        with(
            r#"["auth"]"#,
            r#"{ host = "*.example.com", path = "/admin/**" }"#,
        ),
        with(
            r#"["auth"]"#,
            r#"{ host = "api.example.com", path = "/admin/**" }"#,
        ),
    ];
    let routes = routes.each_ref().map(String::as_str);
    assert_warned(&routes, &[]);
    // A wildcard is behind the exact host, so that both are passed by there.
    let said = warned(&routes[..3]).join("\n");
    let both = "`a` in gateway.toml:5 (without `auth`) and `c` in gateway.toml:15 (without `auth`)";
    assert!(said.contains(both), "{said}");
}

#[test]
fn routes_that_are_too_many_to_compare_are_said_to_be_and_loaded_all_the_same() {
    let alike = (0..3_000).map(|at| {
        let (high, low) = (at / 256, at % 256);
        format!(r#"{{ path = "/a", client = ["10.0.{high}.{low}/32"] }}"#)
    });
    let alike: Vec<String> = alike.collect();
    let alike: Vec<&str> = alike.iter().map(String::as_str).collect();
    assert_warned(
        &alike,
        &[
            "5: routes[0]: there are too many routes like `r0` to compare each with each, so that ties and hidden routes among them may go unnamed; tell them apart by host, path or exact values",
        ],
    );
    // A thousand of them are compared.
    assert_warned(&alike[..1_000], &[]);
}
