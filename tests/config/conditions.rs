//! What is warned of in chains and conditions, and what they come to.

use std::fs;
use std::time::Duration;

use gateway::config;

use super::accepted::warned;
use super::{LISTENER, PLUGIN, UPSTREAM, directory};

fn text(top: &str, routes: &str) -> String {
    format!("{top}\n{LISTENER}{UPSTREAM}{PLUGIN}{routes}")
}

fn route(plugins: &str) -> String {
    format!("[[routes]]\nname = \"r\"\nplugins = {plugins}\nupstream = \"p\"\n")
}

#[test]
fn a_first_plugin_that_asks_for_attributes_is_warned_about_once_with_its_line() {
    let link = "{ name = \"a\", when = { attributes = { \"auth.subject\" = \"alice\" } } }";
    let said = "no plugin stands before this one in the chain, so that no attribute is set when it is decided; move the \
                plugin behind the one that sets it";
    let first = text("", &route(&format!("[\n{link}, \"a\"]")));
    let place = "gateway.toml:15: routes[0].plugins[0].when";
    assert_eq!(warned(&first), [format!("{place}: {said}")]);
    let not = link
        .replace("attributes", "not = { attributes")
        .replace("} } }", "} } } }");
    let negated = text("", &route(&format!("[{not}]")));
    assert_eq!(warned(&negated).len(), 1);
    let second = text("", &route(&format!("[\"a\", {link}]")));
    assert_eq!(warned(&second), [""; 0]);
    // The chain that every route starts with, by two routes and by its name.
    let others = "[[routes]]\nname = \"s\"\nmatch = { path = \"/s\" }\nupstream = \"p\"\n";
    let top = format!("chain = [{{ chain = \"c\" }}]\n[chains]\nc = [{link}]");
    let global = text(&top, &format!("{}{others}", route("[\"a\"]")));
    assert_eq!(
        warned(&global),
        [format!("gateway.toml:3: chains.c[0].when: {said}")]
    );
}

#[test]
fn chains_that_nothing_names_and_those_that_name_nothing_are_warned_about() {
    let top = "[chains]\nused = [\"a\", { chain = \"inner\" }]\ninner = []\nunused = [\"a\"]";
    let config = loaded(&text(top, &route("[{ chain = \"used\" }]")));
    let said = config.warnings.iter().map(ToString::to_string);
    let said: Vec<_> = said.filter(|said| said.contains(": chains.")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    for (said, expected) in said.iter().zip([
        "gateway.toml:3: chains.inner: is empty: no plugin runs where it is named",
        "gateway.toml:4: chains.unused: nothing names it, so that its plugins run nowhere; name it in a list of plugins, \
         { chain = \"..\" }, or remove it",
    ]) {
        assert!(said.ends_with(expected), "{said}");
    }
}

fn loaded(text: &str) -> config::Config {
    let directory = directory();
    let path = directory.path().join("gateway.toml");
    fs::write(&path, text).unwrap();
    config::load(&path).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_condition_is_shown_as_it_was_written_without_what_came_from_outside() {
    let when = "{ methods = [\"POST\"], headers = { x-a = \"${GATEWAY_TEST_UNSET:-hunter2}\" }, not = { attributes = { \"a.b\" = \
                { present = true } } } }";
    let plugins = format!("[\"a\", {{ name = \"a\", when = {when} }}]");
    let config = loaded(&text("", &route(&plugins)));
    let when = config.routes[0].plugins[1].when.as_ref().unwrap();
    let written = when.written.as_str();
    assert_eq!(
        written,
        "{ headers = { x-a = \"***\" }, methods = [\"POST\"], not = { attributes = { \"a.b\" = { present = true } } } }"
    );
    assert!(config.routes[0].plugins[0].when.is_none());
    let shown = &config.masked["routes"][0]["plugins"][1]["when"];
    assert_eq!(shown["headers"]["x-a"], "***");
}

#[test]
fn a_route_that_gives_a_key_has_nothing_of_the_defaults() {
    let routes = ["", "timeout = \"5s\"", "timeout = false"]
        .iter()
        .enumerate();
    let routes = routes.map(|(at, timeout)| {
        format!(
            "[[routes]]\nname = \"r{at}\"\nmatch = {{ path = \"/{at}\" }}\nupstream = \"p\"\n{timeout}\n"
        )
    });
    let routes: String = routes.collect();
    let timeouts = |top: &str| -> Vec<Option<Duration>> {
        let config = loaded(&text(top, &routes));
        config.routes.iter().map(|route| route.timeout).collect()
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let defaults = "[defaults]\ntimeout = \"15s\"";
    assert_eq!(timeouts(defaults), [seconds(15), seconds(5), None]);
    assert_eq!(timeouts(""), [None, seconds(5), None]);
}

#[test]
fn what_comes_from_the_defaults_says_so() {
    let routes = "[[routes]]\nname = \"r\"\nupstream = \"p\"\n";
    let config = loaded(&text("[defaults]\ntimeout = \"15s\"", routes));
    assert_eq!(config.masked["routes"][0]["timeout"], "15s");
    let told = config.origins.told("routes[0].timeout");
    assert!(told.ends_with("gateway.toml:2"), "{told}");
}
