//! The file of a unix socket: made with its mode, replaced where it was left behind, refused where it is in use.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use super::{config, get, mode_of, said, socket_of, text};
use crate::harness::config as harness;
use crate::harness::{Configuration, Gateway, Origin};

const CHECK: [&str; 3] = ["check", "--config", "gateway.toml"];

/// A gateway that answers by itself, with this address of its listener `local`.
fn at(address: &str) -> Configuration {
    Configuration::new()
        .with(&format!(
            "[[listeners]]\nname = 'local'\naddress = '{address}'"
        ))
        .route("all", "/**", "respond = { status = 204 }")
}

#[test]
fn a_socket_has_its_mode_and_goes_with_the_process() {
    for (lines, mode) in [("", 0o600), ("mode = '0666'", 0o666)] {
        let origin = Origin::start();
        let gateway = Gateway::start(&config(&origin, lines));
        let socket = socket_of(&gateway);
        assert_eq!(mode_of(&socket), mode);
        let said = format!("address=unix:{}", socket.display());
        gateway.wait_for_all(&[" listening ", "listener=local", &said]);
        assert_eq!(get(&socket, "/", &[]).status, 200);
        gateway.signal("TERM");
        gateway.wait_for("drained");
        let directory = gateway.ended_in();
        assert!(!directory.path().join("public.sock").exists());
    }
}

#[test]
fn the_socket_of_a_gateway_that_was_killed_is_replaced() {
    let first = Gateway::start(&at("unix:public.sock"));
    first.signal("KILL");
    let directory = first.ended_in();
    assert!(directory.path().join("public.sock").exists(), "left behind");
    let checked = said(directory.path(), &CHECK);
    assert!(checked.status.success(), "{}", text(&checked));
    let second = Gateway::start_in(directory, &at("unix:public.sock"), &[]);
    assert_eq!(get(&socket_of(&second), "/", &[]).status, 204);
}

#[test]
fn a_socket_in_use_refuses_a_second_start_and_stays_with_the_first() {
    let first = Gateway::start(&at("unix:public.sock"));
    let socket = socket_of(&first);
    let address = format!("unix:{}", socket.display());
    let second = Gateway::launch(&at(&address), &[]);
    let said_first = format!("gateway.toml:13: listeners[1].address: cannot listen on {address}");
    second.wait_for_all(&[&said_first, "a process listens there"]);
    assert_eq!(second.ended().code(), Some(1));
    let checked = text(&said(first.directory.path(), &CHECK));
    let warned = format!("listeners[1].address: {address} is in use: by a gateway that runs");
    assert!(checked.contains(&warned), "{checked}");
    assert_eq!(get(&socket, "/", &[]).status, 204);
    // One that fails otherwise leaves nothing behind.
    let directory = tempfile::tempdir().unwrap();
    let left = directory.path().join("left.sock");
    let both = at(&format!("unix:{}", left.display())).with(&format!(
        "[[listeners]]\nname = 'taken'\naddress = '{address}'"
    ));
    let third = Gateway::launch(&both, &[]);
    third.wait_for("a process listens there");
    assert_eq!(third.ended().code(), Some(1));
    assert!(!left.exists());
    assert_eq!(get(&socket, "/", &[]).status, 204);
}

#[test]
fn what_cannot_be_listened_on_is_refused_alike_by_check_and_run() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "kept").unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    symlink("elsewhere", directory.path().join("link")).unwrap();
    let place = directory.path().display();
    for (name, why) in [
        (
            "file",
            "there is a file, which is left alone; remove it, or choose another path".to_owned(),
        ),
        (
            "directory",
            "there is a directory, which is left alone; remove it, or choose another path"
                .to_owned(),
        ),
        (
            "link",
            "there is a symbolic link, which is left alone; remove it, or choose another path"
                .to_owned(),
        ),
        (
            "none/public.sock",
            format!("there is no directory {place}/none; make it, or choose another path"),
        ),
    ] {
        let config = at(&format!("unix:{name}"));
        harness::write(&config, directory.path());
        let fault = format!(
            "gateway.toml:13: listeners[1].address: cannot listen on unix:{place}/{name}: {why}"
        );
        let checked = said(directory.path(), &CHECK);
        assert_eq!(checked.status.code(), Some(78), "{}", text(&checked));
        assert!(
            text(&checked).contains(&fault),
            "{fault}\n{}",
            text(&checked)
        );
        let run = said(directory.path(), &["run", "--config", "gateway.toml"]);
        assert_eq!(run.status.code(), Some(1), "{}", text(&run));
        assert!(text(&run).contains(&fault), "{fault}\n{}", text(&run));
    }
    assert_eq!(
        fs::read_to_string(directory.path().join("file")).unwrap(),
        "kept"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
}

/// What a start and a check say beside faults of the files: all of it in one run.
#[test]
fn faults_of_files_do_not_hide_those_of_sockets_from_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let config = at("unix:none/public.sock")
        .server("wrokers = 1")
        .admin("address = 'unix:none/admin.sock'")
        .with(&format!(
            "[[listeners]]\nname = 'taken'\naddress = '{taken}'"
        ));
    harness::write(&config, directory.path());
    let checked = said(directory.path(), &CHECK);
    let run = said(directory.path(), &["run", "--config", "gateway.toml"]);
    for output in [&checked, &run] {
        assert_eq!(output.status.code(), Some(78), "{}", text(output));
        for fault in [
            "server.wrokers: unknown key",
            "listeners[1].address: cannot listen on unix:",
            "admin.address: cannot listen on unix:",
        ] {
            assert!(text(output).contains(fault), "{fault}\n{}", text(output));
        }
    }
    // Which may be the gateway that runs, as far as a check goes.
    let fault = format!("listeners[2].address: {taken} is in use");
    assert!(text(&run).contains(&fault), "{fault}\n{}", text(&run));
}

#[test]
fn one_socket_is_one_however_its_path_is_written() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("run")).unwrap();
    symlink("run", directory.path().join("link")).unwrap();
    for (first, second) in [("run", "link"), ("link", "run"), ("run", "run/../link")] {
        let config = at(&format!("unix:{first}/a.sock")).with(&format!(
            "[[listeners]]\nname = 'again'\naddress = 'unix:{second}/a.sock'"
        ));
        harness::write(&config, directory.path());
        let checked = text(&said(directory.path(), &CHECK));
        assert!(
            checked.contains("a.sock` is taken by the listener `local` already"),
            "{checked}"
        );
    }
}
