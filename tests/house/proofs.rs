//! Each check of the house fails on a made-up tree that breaks its rule, and only there.

use std::path::Path;

use super::{circles, floors, sizes, waits};

/// Three floors, of which the middle one has an exception.
const PLAN: &str = "\
| floor | rooms | what it is for |
|---|---|---|
| top | `lib`, `proxy` | serves |
| middle | `plugin`, `route` | decides |
| ground | `config` | reads |

| room | may import | reason |
|---|---|---|
| `plugin` | `route` | A plugin names its route. |

| files | reason |
|---|---|
";
const LIB: (&str, &str) = (
    "gateway/src/lib.rs",
    "mod config; mod plugin; mod proxy; mod route;",
);
const SOUND: [(&str, &str); 4] = [
    ("gateway/src/config.rs", "pub struct Config;"),
    (
        "gateway/src/plugin.rs",
        "use crate::route::Route;\nfn f(_: crate::config::Config) {}",
    ),
    (
        "gateway/src/route.rs",
        "use super::config;\npub struct Route;",
    ),
    (
        "gateway/src/proxy.rs",
        "use crate::{config::Config as C, plugin};",
    ),
];

#[test]
fn a_sound_tree_has_no_findings() {
    let tree = tree(&[]);
    assert_eq!(floors::check(tree.path()), [""; 0]);
    assert_eq!(circles::check(tree.path()), [""; 0]);
    assert_eq!(sizes::check(tree.path(), 450, 70), [""; 0]);
    assert_eq!(waits::check(tree.path()), [""; 0]);
}

#[test]
fn a_file_that_is_opened_and_a_line_that_is_printed_elsewhere_are_found() {
    let config = "fn f() {\n    std::fs::read(\"a\");\n    eprintln!(\"a\");\n}\n#[cfg(test)]\nmod tests { fn g() { fs::read(\"b\"); } }";
    let tree = tree(&[("gateway/src/config.rs", config)]);
    let findings = waits::check(tree.path());
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].starts_with("gateway/src/config.rs:2: `fs::read(`"));
    assert!(findings[1].starts_with("gateway/src/config.rs:3: `println!(`"));
}

#[test]
fn an_import_that_points_up_is_found_wherever_it_is_written() {
    let config = r#"
use crate::{route::Route, config::x};
pub(in crate::plugin) struct Config(Vec<super::plugin::P>);
pub use crate::proxy;
fn f() {
    tracing::info!(target: "a", x = ?crate::plugin::f(|| super::route::g()), "crate::proxy::text");
}
#[cfg(test)]
mod tests { use crate::proxy::X; }
impl Config { #[cfg(all(test, unix))] fn t() { crate::proxy::y() } }
mod inner { use super::super::proxy::z; use super::f; }
"#;
    let findings = [
        "2: `crate::route::Route` points up: from `config` (floor ground) to `route` (floor middle)",
        "3: `super::plugin::P` points up: from `config` (floor ground) to `plugin` (floor middle)",
        "4: `crate::proxy` points up: from `config` (floor ground) to `proxy` (floor top)",
        "6: `crate::plugin::f` points up: from `config` (floor ground) to `plugin` (floor middle)",
        "6: `super::route::g` points up: from `config` (floor ground) to `route` (floor middle)",
        "11: `super::super::proxy::z` points up: from `config` (floor ground) to `proxy` (floor top)",
    ];
    let findings = findings.map(|finding| format!("gateway/src/config.rs:{finding}"));
    let tree = tree(&[("gateway/src/config.rs", config)]);
    assert_eq!(floors::check(tree.path()), findings);
}

#[test]
fn an_import_on_the_same_floor_is_found_unless_it_has_a_reason() {
    let tree = tree(&[
        ("gateway/src/plugin.rs", ""),
        ("gateway/src/route.rs", "use crate::plugin::P;"),
    ]);
    let findings = [
        "gateway/src/route.rs:1: `crate::plugin::P` does not point down: \
         from `route` (floor middle) to `plugin` (floor middle)",
        "ARCHITECTURE.md lets `plugin` import `route`, but it does not",
    ];
    assert_eq!(floors::check(tree.path()), findings);
}

#[test]
fn a_room_without_a_floor_and_a_floor_without_its_room_are_found() {
    let twice = PLAN.replace("`config`", "`config`, `cellar`, `route`");
    let tree = tree(&[
        ("ARCHITECTURE.md", &twice),
        ("gateway/src/attic/box.rs", "use crate::proxy::X;"),
    ]);
    let findings = floors::check(tree.path());
    let expected = [
        "`route` stands on two floors: middle and ground",
        "`attic` stands on no floor of ARCHITECTURE.md",
        "`cellar` of floor ground is not in gateway/src",
    ];
    assert_eq!(findings[..3], expected);
}

#[test]
fn a_page_without_its_tables_is_found() {
    let tree = tree(&[("ARCHITECTURE.md", "# Architecture")]);
    let missing = "ARCHITECTURE.md has no table ";
    assert_eq!(
        floors::check(tree.path()),
        [format!("{missing}`floor | rooms | what it is for`")]
    );
    assert_eq!(
        circles::check(tree.path()),
        [format!("{missing}`files | reason`")]
    );
}

#[test]
fn a_circle_is_found_through_re_exports_renames_and_globs() {
    let tree = tree(&[
        // Both re-export: that alone is no import.
        (
            "gateway/src/route.rs",
            "mod a; mod b; pub use a::*; pub(crate) use b::B as Other;",
        ),
        (
            "gateway/src/route/a.rs",
            "\nuse super::Other;\npub struct A;",
        ),
        (
            "gateway/src/route/b.rs",
            "pub struct B; fn f(_: crate::proxy::Facade) {}",
        ),
        ("gateway/src/proxy.rs", "pub use crate::route::A as Facade;"),
    ]);
    let finding = "a circle of 2 files without a reason:\
        \n  gateway/src/route/a.rs:2 imports from gateway/src/route/b.rs\
        \n  gateway/src/route/b.rs:1 imports from gateway/src/route/a.rs";
    assert_eq!(circles::check(tree.path()), [finding]);
}

#[test]
fn a_circle_through_a_parent_and_its_child_is_found_in_every_crate() {
    let child = ("child.rs", "use super::parent;");
    for folder in ["plugin-sdk", "plugins/auth"] {
        let lib = format!("{folder}/src/lib.rs");
        let path = format!("{folder}/src/{}", child.0);
        let tree = tree(&[
            (&lib, "mod child;\npub fn parent() { child::f(); }"),
            (&path, child.1),
        ]);
        let finding = format!(
            "a circle of 2 files without a reason:\
             \n  {path}:1 imports from {lib}\n  {lib}:2 imports from {path}"
        );
        assert_eq!(circles::check(tree.path()), [finding]);
    }
}

#[test]
fn a_circle_in_tests_only_is_none() {
    let tree = tree(&[
        (
            "gateway/src/route.rs",
            "pub fn f() {} #[cfg(test)] mod tests; #[cfg(test)] use crate::proxy::g;",
        ),
        ("gateway/src/route/tests.rs", "use super::f;"),
        ("gateway/src/proxy.rs", "use crate::route::f; pub fn g() {}"),
    ]);
    assert_eq!(circles::check(tree.path()), [""; 0]);
}

#[test]
fn a_circle_with_a_reason_is_accepted_and_a_reason_without_a_circle_found() {
    let row = "| `gateway/src/plugin.rs`, `gateway/src/route.rs` | They are one. |\n";
    let plan = format!("{PLAN}{row}");
    let route = "use crate::plugin::P; pub struct Route;";
    let plugin = "use crate::route::Route; pub struct P;";
    let listed = tree(&[
        ("ARCHITECTURE.md", &plan),
        ("gateway/src/route.rs", route),
        ("gateway/src/plugin.rs", plugin),
    ]);
    assert_eq!(circles::check(listed.path()), [""; 0]);
    let open = tree(&[("ARCHITECTURE.md", &plan)]);
    let finding = "ARCHITECTURE.md lists a circle that no longer exists: \
        gateway/src/plugin.rs, gateway/src/route.rs";
    assert_eq!(circles::check(open.path()), [finding]);
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let text = r#"
fn four() {
    // Not counted.

    let a = "
        of two lines";
    fn inner() {} /* nor is this:
    */
}
struct S;
impl S {
    fn five() {
        /// Nor this.
        fn six() {
            1;
            "*/*";
            3;
            4;
        }
    }
}
"#;
    let tree = tree(&[("tests/long.rs", text), ("tests/target/x.rs", "not Rust")]);
    let findings = [
        "tests/long.rs: 21 lines",
        "tests/long.rs:12: `five` has 6 lines",
        "tests/long.rs:14: `six` has 4 lines",
    ];
    assert_eq!(sizes::check(tree.path(), 20, 3), findings);
}

/// A tree of the sound files, with these in their place or beside them.
fn tree(changed: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sound = [("ARCHITECTURE.md", PLAN), LIB].into_iter().chain(SOUND);
    for (path, text) in sound.chain(changed.iter().copied()) {
        write(&folder.path().join(path), text);
    }
    folder
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
