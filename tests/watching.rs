//! Files that are watched: links on the way to them, however many, and no log that is written beside them.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::gateway::{PATIENCE, cache};
use crate::harness::{Configuration, Gateway, Origin, get, wasm};

/// A configuration whose one route answers `body`.
fn answering(body: &str) -> String {
    let respond = format!("respond = {{ body = '{body}' }}");
    Configuration::new()
        .route("all", "/**", &respond)
        .to_string()
}

fn answers(gateway: &Gateway, body: &str) {
    let began = Instant::now();
    loop {
        let answer = get(gateway.listener("public"), "/x", &[]).text();
        if answer == body {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{answer:?}:\n{}",
            gateway.text()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(directory: tempfile::TempDir, file: &str) -> Gateway {
    let file = directory.path().join(file);
    Gateway::start_file(&file, &[], directory)
}

/// Puts a link in the place of another in one step.
fn relink(link: &Path, target: &str) {
    let new = link.with_extension("tmp");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

#[test]
fn the_target_of_a_link_is_watched_however_many_links_lead_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::create_dir(at("between")).unwrap();
    fs::write(at("real/file.toml"), answering("one")).unwrap();
    symlink("../real/file.toml", at("between/link.toml")).unwrap();
    symlink("between/link.toml", at("gateway.toml")).unwrap();
    let real = at("real/file.toml");
    let other = at("real/other.toml");
    let between = at("between/link.toml");
    let gateway = start(directory, "gateway.toml");
    answers(&gateway, "one");
    fs::write(&real, answering("two")).unwrap();
    answers(&gateway, "two");
    fs::write(&other, answering("three")).unwrap();
    relink(&between, "../real/other.toml");
    answers(&gateway, "three");
    // What the link leads to now is watched.
    fs::write(&other, answering("four")).unwrap();
    answers(&gateway, "four");
}

#[test]
fn a_directory_link_that_is_swapped_brings_its_configuration_and_plugins() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let config = Configuration::new()
        .plugin_at("version", "version.wasm", "")
        .upstream("origin", origin.address)
        .chain("all", "/**", &["version"], "upstream = 'origin'");
    for (release, built) in [("1", "a"), ("2", "b"), ("3", "a")] {
        let release = at(&format!("releases/{release}"));
        fs::create_dir_all(&release).unwrap();
        fs::write(release.join("gateway.toml"), config.to_string()).unwrap();
        let built = wasm(&format!("guest_version_{built}"));
        fs::copy(built, release.join("version.wasm")).unwrap();
    }
    symlink("releases/1", at("current")).unwrap();
    let current = at("current");
    let gateway = start(directory, "current/gateway.toml");
    let version = || {
        let answer = get(gateway.listener("public"), "/x", &[]);
        answer.header("x-response-version").map(str::to_owned)
    };
    for (release, expected) in [("2", "2.0.0"), ("3", "1.0.0"), ("2", "2.0.0")] {
        relink(&current, &format!("releases/{release}"));
        let began = Instant::now();
        while version().as_deref() != Some(expected) {
            assert!(began.elapsed() < PATIENCE, "{release}:\n{}", gateway.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A volume as the kubelet makes and swaps it: `gateway.toml` leads to `..data/gateway.toml`, `..data` to a directory.
struct Volume(PathBuf);

impl Volume {
    fn make(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        symlink("..data/gateway.toml", at.join("gateway.toml")).unwrap();
        Self(at)
    }

    fn swap(&self, version: &str, text: &str) {
        let data = self.0.join("..data");
        let old = fs::read_link(&data).ok();
        fs::create_dir(self.0.join(version)).unwrap();
        fs::write(self.0.join(version).join("gateway.toml"), text).unwrap();
        symlink(version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), data).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(self.0.join(old)).unwrap();
        }
    }
}

#[test]
fn every_swap_of_a_kubernetes_volume_is_seen_through_a_link_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let volume = Volume::make(directory.path().join("volume"));
    volume.swap("..1", &answering("one"));
    symlink("volume/gateway.toml", directory.path().join("gateway.toml")).unwrap();
    let gateway = start(directory, "gateway.toml");
    answers(&gateway, "one");
    for (version, body) in [("..2", "two"), ("..3", "three"), ("..4", "four")] {
        volume.swap(version, &answering(body));
        answers(&gateway, body);
    }
}

#[test]
fn a_directory_that_is_replaced_as_a_whole_is_seen_and_watched_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (name, body) in [("conf", "one"), ("conf.new", "two")] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("gateway.toml"), answering(body)).unwrap();
    }
    let [conf, new, old] = ["conf", "conf.new", "conf.old"].map(at);
    let gateway = start(directory, "conf/gateway.toml");
    answers(&gateway, "one");
    fs::rename(&conf, old).unwrap();
    fs::rename(new, &conf).unwrap();
    answers(&gateway, "two");
    fs::write(conf.join("gateway.toml"), answering("three")).unwrap();
    answers(&gateway, "three");
}

#[test]
fn a_file_that_is_put_in_place_by_a_hard_link_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("gateway.toml"), answering("one")).unwrap();
    fs::write(at("other.toml"), answering("two")).unwrap();
    let (file, other) = (at("gateway.toml"), at("other.toml"));
    let gateway = start(directory, "gateway.toml");
    answers(&gateway, "one");
    fs::remove_file(&file).unwrap();
    fs::hard_link(&other, &file).unwrap();
    answers(&gateway, "two");
}

#[test]
fn a_log_beside_the_configuration_does_not_feed_the_watch_that_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let access_log = format!("format = 'json', path = '{}'", at("access.log").display());
    let text = answering("one").replace("format = \"off\"", &access_log);
    fs::write(at("gateway.toml"), text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["run", "--watch", "--config"])
        .arg(at("gateway.toml"))
        .env("XDG_CACHE_HOME", cache())
        .env("GATEWAY_LOG", "trace")
        .stdout(Stdio::null())
        .stderr(File::create(at("gateway.log")).unwrap())
        .spawn()
        .unwrap();
    let log = || fs::read_to_string(at("gateway.log")).unwrap();
    let began = Instant::now();
    while !log().contains(": ready ") && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A change that is none of the gateway's.
    fs::write(at("unrelated"), "x").unwrap();
    // What is fed by itself goes on for ever.
    let (began, mut still) = (Instant::now(), false);
    while !still && began.elapsed() < PATIENCE {
        let before = log().len();
        std::thread::sleep(Duration::from_millis(400));
        still = log().len() == before;
    }
    let text = log();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(text.contains(": ready "), "{text}");
    assert!(still, "{}", &text[text.len().saturating_sub(4096)..]);
}
