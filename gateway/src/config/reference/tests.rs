//! The reference is what the readers say, and what it says is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tempfile::TempDir;

use super::super::description::Shape;
use super::super::load;
use super::{Paths, describe, items, key, page, schema, values};

const GOOD: &str = include_str!("../../../../tests/config/good.toml");
const BROKEN: &str = include_str!("../../../../tests/config/broken.txt");
const QUICKSTART: &str = include_str!("../../../../config/gateway.toml");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every example of the page, in its order.
fn examples(paths: &Paths) -> String {
    let page = page::page(paths);
    let blocks = page.split("```toml\n").skip(1);
    let blocks: Vec<_> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    blocks.join("\n")
}

/// Why the schema refuses a file, if it does.
fn refused(text: &str) -> Option<String> {
    let file: Json = toml::from_str(text).unwrap();
    fault(schema::schema(&describe()), &file)
}

fn fault(schema: Json, value: &Json) -> Option<String> {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    let url = "file:///gateway.schema.json";
    compiler.add_resource(url, schema).unwrap();
    let index = match compiler.compile(url, &mut schemas) {
        Ok(index) => index,
        Err(error) => panic!("{error:#}"),
    };
    let checked = schemas.validate(value, index);
    checked.err().map(|error| error.to_string())
}

#[test]
fn the_committed_reference_is_what_the_readers_say() {
    let paths = describe();
    let schema = serde_json::to_string_pretty(&schema::schema(&paths)).unwrap();
    let written = [
        ("docs/configuration.md", page::page(&paths)),
        ("config/gateway.schema.json", format!("{schema}\n")),
    ];
    for (name, text) in written {
        let path = repository().join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, text).unwrap();
            continue;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{name} is stale: `BLESS=1 cargo test --release -p gateway --lib reference` writes it anew"
        );
    }
}

#[test]
fn every_key_has_words_and_every_word_has_a_key() {
    for (path, table) in describe() {
        let is_table =
            path.is_empty() || table.forms.iter().any(|(shape, _)| *shape == Shape::Table);
        assert_eq!(table.words.is_some(), is_table, "the words of `{path}`");
        let said = table.words.map_or(&[][..], |words| words.keys);
        let said: BTreeSet<_> = said.iter().map(|(name, _)| *name).collect();
        let asked: BTreeSet<_> = table.keys.iter().map(|key| key.name).collect();
        assert_eq!(asked, said, "the keys of `{path}`, and those with words");
    }
}

#[test]
fn every_key_takes_something_and_its_default() {
    let paths = describe();
    let definitions = &schema::schema(&paths)["definitions"];
    for (path, table) in &paths {
        for of in &table.keys {
            let inner = key(path, of.name);
            let forms = paths.get(&inner).map_or(0, |at| at.forms.len());
            assert!(forms > 0, "no reader says what `{inner}` is");
            let Some(default) = &of.default else { continue };
            let mut schema = schema::property(&paths, path, of);
            schema["definitions"] = definitions.clone();
            assert_eq!(fault(schema, default), None, "the default of `{inner}`");
        }
    }
}

#[test]
fn every_key_stands_in_an_example() {
    let paths = describe();
    let file: Json = toml::from_str(&examples(&paths)).unwrap();
    let mut seen = BTreeSet::new();
    collect(&paths, "", &file, &mut seen);
    for table in paths.values() {
        let Some(words) = table.words else { continue };
        for (name, _) in words.keys {
            assert!(
                seen.contains(&(words.about, *name)),
                "no example has `{name}` of: {}",
                words.about
            );
        }
    }
}

/// Every key that a file has, with the words of its table.
fn collect(paths: &Paths, path: &str, value: &Json, seen: &mut BTreeSet<(&str, &str)>) {
    let Some(described) = paths.get(path) else {
        return;
    };
    match value {
        Json::Array(list) => {
            for item in list {
                collect(paths, &items(path), item, seen);
            }
        }
        Json::Object(fields) => {
            let is_map = described
                .forms
                .iter()
                .any(|(shape, _)| *shape == Shape::Map);
            for (name, value) in fields {
                if is_map {
                    collect(paths, &values(path), value, seen);
                } else if let Some(of) = described.keys.iter().find(|key| key.name == name) {
                    let about = described.words.map_or("", |words| words.about);
                    seen.insert((about, of.name));
                    collect(paths, &key(path, name), value, seen);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_examples_together_are_a_sound_configuration() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let names = vec!["example.com".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    write("cert.pem", &certified.cert.pem());
    write("ca.pem", &certified.cert.pem());
    write("key.pem", &certified.signing_key.serialize_pem());
    write("secret.txt", "secret\n");
    write("sorry.html", "<p>Sorry\n");
    for plugin in ["auth.wasm", "limit.wasm", "transform.wasm"] {
        write(plugin, "");
    }
    fs::create_dir(directory.path().join("routes")).unwrap();
    write("routes/more.toml", "");
    let examples = examples(&describe());
    write("gateway.toml", &examples);
    if let Err(errors) = load(&directory.path().join("gateway.toml")) {
        panic!("{errors}");
    }
    assert_eq!(refused(&examples), None);
}

#[test]
fn the_schema_takes_what_the_loader_takes() {
    assert_eq!(refused(QUICKSTART), None);
    assert_eq!(refused(GOOD), None);
    for zero in [
        "\"0s\"",
        "\"0\"",
        "0",
        "\"${GRACE}\"",
        "{ file = \"grace\" }",
    ] {
        let text = format!("[server]\ngrace = {zero}");
        assert_eq!(refused(&text), None, "{text}");
    }
    for text in [
        "[server]\nworkers = \"${WORKERS}\"",
        "[server]\naccess_log = { sample = { file = \"sample\" } }",
        "[plugins.a]\npath = \"a.wasm\"\ngrants = { state = \"${STATE:-true}\" }",
    ] {
        assert_eq!(refused(text), None, "{text}");
    }
    let first = QUICKSTART.lines().next();
    assert_eq!(first, Some("#:schema ./gateway.schema.json"));
}

#[test]
fn the_schema_refuses_what_is_wrong_in_itself() {
    for text in [
        "colour = 1",
        "[server]\nwrokers = 1",
        "[server]\nworkers = \"2\"",
        "[server]\nworkers = 1025",
        "[server]\ngrace = \"5 s\"",
        "[server]\ngrace = 5",
        "[server]\naccess_log = { sample = 1.5 }",
        "[server]\ncompile_cache = true",
        "[server]\ntracing = {}",
        "[admin]\ntoken = \"without an address\"",
        "[state]\nbackend = \"redis\"",
        "[secrets]\nkey = 1",
        "[secrets]\nkey = { fiel = \"a\" }",
        "[[listeners]]\naddress = \"127.0.0.1:80\"",
        "[[listeners]]\nname = \"a\"\naddress = \"127.0.0.1:80\"\nprotocols = [\"h3\"]",
        "[plugins.a]\npath = \"a.wasm\"\ncpu = \"0ms\"",
        "[plugins.a]\npath = \"a.wasm\"\nmemory = \"16MB\"",
        "[plugins.a]\npath = \"a.wasm\"\nconfig = 1",
        "[upstreams.a]\nendpoints = [{ adress = \"127.0.0.1:80\" }]",
        "[[routes]]\nname = \"a\"\nmatch = { path = { prefix = \"/\" } }",
        "[[routes]]\nname = \"a\"\nplugins = [{ nmae = \"b\" }]",
        "include = \"routes.toml\"",
    ] {
        assert!(refused(text).is_some(), "{text}");
    }
}

/// What the loader says is unknown or missing, or to come, the schema refuses.
#[test]
fn the_schema_refuses_the_keys_that_the_loader_refuses() {
    let mut cases = 0;
    for case in BROKEN.split("\n## ") {
        let (text, faults): (Vec<_>, Vec<_>) = case
            .lines()
            .skip(1)
            .partition(|line| !line.starts_with("=> "));
        let words = [
            ": unknown key",
            ": is missing; add",
            "is not in this version yet",
        ];
        let is_of_keys = |fault: &&str| words.iter().any(|word| fault.contains(word));
        let text = text.join("\n");
        if faults.iter().any(is_of_keys) && toml::from_str::<Json>(&text).is_ok() {
            cases += 1;
            assert!(refused(&text).is_some(), "{case}");
        }
    }
    assert!(cases > 20, "{cases}");
}
