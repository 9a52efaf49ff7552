//! Components that no compiler makes, and components that fail before they are asked anything.

use std::path::Path;

use super::{acting, around, assert_host_is_sound, config};
use crate::harness::{Gateway, Origin, get};

/// Grows a table for as long as it may, then traps.
pub(super) const TABLE_BOMB: &str = "(loop $again
    (br_if $again (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
  unreachable";

/// Calls itself.
pub(super) const STACK_BOMB: &str = "(drop (call $on-request (local.get 0)))";

/// A component with `act` in its request phase and `more` among its core instances.
pub(crate) fn write(path: &Path, act: &str, more: &str) {
    let text = include_str!("bomb.wat");
    let bytes = wat::parse_str(text.replace("{act}", act).replace("{more}", more)).unwrap();
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A gateway whose plugin is such a component; it can be replaced while it runs.
pub(super) fn gateway(origin: &Origin, act: &str, plugin: &str) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("bomb.wasm"), act, "");
    let table = acting("none", plugin);
    let config = around(origin, origin.address).plugin_at("hostile", "{dir}/bomb.wasm", &table);
    let log = [("GATEWAY_LOG", "info,gateway::plugin=debug")];
    Gateway::start_in(directory, &config, &log)
}

/// Bombs of instances, tables and memories: `count` times what `of` declares.
pub(crate) fn many(count: usize, of: &str) -> String {
    let instances = "(core instance (instantiate $more))\n".repeat(count);
    format!("(core module $more {of})\n{instances}")
}

#[test]
fn a_bomb_of_instances_tables_or_memories_is_not_loaded_and_the_plugin_in_force_goes_on() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "", "");
    let public = gateway.listener("public");
    let path = gateway.directory.path().join("bomb.wasm");
    assert_eq!(
        get(public, "/hostile", &[]).status,
        200,
        "{}",
        gateway.text()
    );
    let bombs = [
        ("instances", many(2_000, "")),
        ("tables", many(12, "(table 10000 funcref)")),
        ("a large table", many(1, "(table 10000000 funcref)")),
        ("memories", many(6, "(memory 1)")),
        ("a large memory", many(1, "(memory 65536)")),
        (
            "a start that loops",
            many(1, "(func $f (loop $l (br $l))) (start $f)"),
        ),
        (
            "a start that traps",
            many(1, "(func $f unreachable) (start $f)"),
        ),
    ];
    for (name, more) in bombs {
        write(&path, "", &more);
        let answer = gateway.post("/plugins/hostile/reload");
        assert!(answer.status >= 400, "{name}: {}", answer.text());
        assert_eq!(get(public, "/hostile", &[]).status, 200, "{name}");
        assert_eq!(get(public, "/neighbour", &[]).status, 200, "{name}");
    }
    write(&path, "", "");
    let answer = gateway.post("/plugins/hostile/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_host_is_sound(&gateway);
}

#[test]
fn a_plugin_that_traps_in_configure_does_not_replace_the_one_in_force() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, "behave", ""));
    let public = gateway.listener("public");
    assert_eq!(get(public, "/hostile", &[]).status, 200);
    gateway.configure(&config(&origin, "panic-in-configure", ""));
    let answer = gateway.post("/reload");
    assert!(answer.status >= 400, "{}", answer.text());
    for part in [
        "told to panic in configure",
        "routes[0].plugins[0]",
        "hostile",
    ] {
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert_eq!(get(public, "/hostile", &[]).status, 200);
}
