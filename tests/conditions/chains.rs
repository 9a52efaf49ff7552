//! `[chains]`: chains by name.

use super::{is_marked, marks};
use crate::harness::{Configuration, Gateway, Origin, get};

/// A link of `transform` that adds its name to what the upstream gets.
fn adds(name: &str) -> String {
    format!(
        "{{ name = 'mark', config = {{ request = {{ add_headers = {{ x-by = '{name}' }} }} }} }}"
    )
}

fn by(origin: &Origin) -> Vec<String> {
    let seen = origin.seen().pop().unwrap();
    let fields = seen.lines().filter_map(|line| line.strip_prefix("x-by: "));
    fields.map(str::to_owned).collect()
}

#[test]
fn a_chain_stands_for_its_plugins_wherever_it_is_named() {
    let origin = Origin::start();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(adds);
    let top = format!(
        "chain = [{{ chain = 'first' }}, 'late']\n[chains]\nouter = [{b}, {{ chain = 'inner' }}]\ninner = [{c}]\nfirst = [{a}]"
    );
    let config = Configuration::new()
        .plugin("mark", "transform", "")
        .plugin(
            "late",
            "transform",
            "config = { request = { add_headers = { x-by = 'late' } } }",
        )
        .upstream("echo", origin.address)
        .route("none", "/none", "upstream = 'echo'")
        .route(
            "named",
            "/named",
            &format!("plugins = [{{ chain = 'outer' }}, {d}]\nupstream = 'echo'"),
        )
        .route(
            "skips",
            "/skips",
            "plugins = { skip = ['mark'], then = [{ chain = 'inner' }] }\nupstream = 'echo'",
        );
    let gateway = Gateway::start(&format!("{top}\n{config}"));
    for (path, expected) in [
        ("/none", &["a", "late"][..]),
        ("/named", &["a", "late", "b", "c", "d"]),
        ("/skips", &["late", "c"]),
    ] {
        assert_eq!(get(gateway.listener("public"), path, &[]).status, 200);
        assert_eq!(by(&origin), expected, "{path}");
    }
}

#[test]
fn the_when_of_a_plugin_holds_in_the_chain_that_it_stands_in() {
    let origin = Origin::start();
    let link = marks("{ headers = { x-a = '1' } }");
    let top = format!("chain = [{{ chain = 'marked' }}]\n[chains]\nmarked = [{link}]");
    let config = Configuration::new()
        .plugin("mark", "transform", "")
        .upstream("echo", origin.address)
        .route("all", "/**", "upstream = 'echo'");
    let gateway = Gateway::start(&format!("{top}\n{config}"));
    let public = gateway.listener("public");
    assert!(is_marked(&get(public, "/", &[("x-a", "1")])));
    assert!(!is_marked(&get(public, "/", &[])));
}
