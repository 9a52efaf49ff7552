//! A reload opens, changes, renames and closes listeners on unix sockets, and no client of one notices.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::clients::Held;
use super::{connect, get, head, mode_of, socket_of};
use crate::harness::gateway::PATIENCE;
use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway};

/// With these listeners beside `public`: name, path and more lines.
fn with(listeners: &[(&str, &str, &str)]) -> Configuration {
    let config = Configuration::new().workers(2).route(
        "who",
        "/who",
        "respond = { body = 'you are {client}' }",
    );
    listeners
        .iter()
        .fold(config, |config, (name, path, lines)| {
            config.with(&format!(
                "[[listeners]]\nname = '{name}'\naddress = 'unix:{path}'\n{lines}"
            ))
        })
}

fn reload(gateway: &Gateway, config: &Configuration) {
    gateway.configure(config);
    let answer = gateway.post("/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_reload_opens_changes_and_closes_a_socket() {
    let gateway = Gateway::start(&with(&[]));
    let socket = socket_of(&gateway);
    reload(&gateway, &with(&[("local", "public.sock", "")]));
    assert_eq!(mode_of(&socket), 0o600);
    let mut open = connect(&socket);
    let mut ask = |fields: &[(&str, &str)]| {
        open.write_all(head("/who", fields).as_bytes()).unwrap();
        read_answer(&mut open).text()
    };
    assert_eq!(ask(&[]), "you are unix:");
    let file = |gateway: &Gateway| fs::symlink_metadata(socket_of(gateway)).unwrap().ino();
    let inode = file(&gateway);
    // The mode of the file that is there, and settings for connections to come.
    let trusted = "mode = '0660'\ntrusted_proxies = ['unix:']";
    reload(&gateway, &with(&[("local", "public.sock", trusted)]));
    assert_eq!((mode_of(&socket), file(&gateway)), (0o660, inode));
    let behind = [("x-forwarded-for", "192.0.2.7")];
    assert_eq!(ask(&behind), "you are unix:");
    assert_eq!(get(&socket, "/who", &behind).text(), "you are 192.0.2.7");
    // Another name for what is open.
    reload(&gateway, &with(&[("other", "public.sock", "")]));
    assert_eq!((mode_of(&socket), file(&gateway)), (0o600, inode));
    assert_eq!(get(&socket, "/who", &[]).text(), "you are unix:");
    assert!(gateway.metric("gateway_connections{listener=\"other\"}") >= 0.0);
    // A reload that is refused leaves it.
    gateway.configure(&with(&[("other", "none/public.sock", "")]));
    let refused = gateway.post("/reload");
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(
        refused.text().contains("there is no directory"),
        "{}",
        refused.text()
    );
    assert_eq!(get(&socket, "/who", &[]).status, 200);
    reload(&gateway, &with(&[]));
    crate::health::until(&gateway, "no file", || !socket.exists());
    // And it can come again.
    reload(
        &gateway,
        &with(&[("local", "public.sock", "mode = '0666'")]),
    );
    assert_eq!(get(&socket, "/who", &[]).status, 200);
    assert_eq!(mode_of(&socket), 0o666);
}

#[test]
fn a_reload_that_renames_or_closes_a_socket_loses_no_connection() {
    let held = Held::start();
    let config = |listeners: &[(&str, &str, &str)]| {
        with(listeners).upstream("held", held.origin.address).route(
            "all",
            "/**",
            "upstream = 'held'",
        )
    };
    let gateway = Gateway::start(&config(&[("one", "public.sock", "")]));
    let socket = socket_of(&gateway);
    let mut under_way = connect(&socket);
    under_way.write_all(head("/held", &[]).as_bytes()).unwrap();
    held.came();
    let closing = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (socket, closing) = (socket.clone(), closing.clone());
            std::thread::spawn(move || {
                loop {
                    let mut stream = match UnixStream::connect(&socket) {
                        Ok(stream) => stream,
                        Err(error) => {
                            assert!(closing.load(Ordering::SeqCst), "{error}");
                            return;
                        }
                    };
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let sent = stream.write_all(head("/", &[]).as_bytes());
                    let answer = read_answer(&mut stream);
                    assert_eq!(answer.status, 200, "{sent:?}");
                }
            })
        })
        .collect();
    for name in ["two", "three", "two"] {
        reload(&gateway, &config(&[(name, "public.sock", "")]));
    }
    closing.store(true, Ordering::SeqCst);
    reload(&gateway, &config(&[]));
    for client in clients {
        client.join().unwrap();
    }
    assert!(!socket.exists());
    held.open();
    assert_eq!(read_answer(&mut under_way).status, 200);
}

#[test]
fn two_listeners_take_each_others_sockets_in_one_reload() {
    let before = [
        ("a", "a.sock", "mode = '0600'"),
        ("b", "b.sock", "mode = '0660'"),
    ];
    let after = [
        ("a", "b.sock", "mode = '0600'"),
        ("b", "a.sock", "mode = '0660'"),
    ];
    let gateway = Gateway::start(&with(&before));
    let at = |name: &str| gateway.directory.path().join(name);
    reload(&gateway, &with(&after));
    assert_eq!(
        (mode_of(&at("a.sock")), mode_of(&at("b.sock"))),
        (0o660, 0o600)
    );
    for name in ["a.sock", "b.sock"] {
        assert_eq!(get(&at(name), "/who", &[]).status, 200, "{name}");
    }
}

#[test]
fn a_reload_knows_a_socket_by_another_way_to_write_its_path() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("run")).unwrap();
    std::os::unix::fs::symlink("run", directory.path().join("link")).unwrap();
    let config = |way: &str, mode: &str| {
        let admin = format!("address = 'unix:{way}/admin.sock'\nmode = '{mode}'");
        let mode = format!("mode = '{mode}'");
        let local = format!("{way}/a.sock");
        with(&[("local", &local, &mode)]).admin(&admin)
    };
    let gateway = Gateway::start_in(directory, &config("link", "0600"), &[]);
    let at = |name: &str| gateway.directory.path().join(name);
    let ask = || {
        let mut stream = connect(&at("run/admin.sock"));
        let head = "POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        read_answer(&mut stream)
    };
    for (way, mode, warnings) in [
        ("run", "0600", 0),
        ("run/../link", "0600", 0),
        // That of the admin listener needs a restart.
        ("run", "0660", 1),
    ] {
        gateway.configure(&config(way, mode));
        let answer = ask();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json()["warnings"].as_array().unwrap().len();
        assert_eq!(told, warnings, "{way} {mode}: {}", answer.text());
        assert_eq!(get(&at("run/a.sock"), "/who", &[]).status, 200);
    }
    assert_eq!(mode_of(&at("run/a.sock")), 0o660);
    // Its file goes with it, whatever became of the way by which it was made.
    fs::remove_file(at("link")).unwrap();
    gateway.signal("TERM");
    gateway.wait_for("drained");
    let directory = gateway.ended_in();
    assert!(!directory.path().join("run/a.sock").exists());
}

#[test]
fn a_reload_says_that_the_file_of_a_socket_is_gone_or_another() {
    let config = with(&[("local", "public.sock", "")]);
    let gateway = Gateway::start(&config);
    let socket = socket_of(&gateway);
    let told = || {
        let answer = gateway.post("/reload");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["warnings"].to_string()
    };
    assert_eq!(told(), "[]");
    fs::remove_file(&socket).unwrap();
    let place = "gateway.toml:17: listeners[1].address: something ";
    let path = socket.display();
    let removed = format!("{place}removed {path}, so that nobody can connect; restart");
    let replaced = format!("{place}replaced {path}, so that nobody can connect");
    let warnings = told();
    assert!(warnings.contains(&removed), "{warnings}");
    gateway.wait_for_all(&["WARN", &removed]);
    fs::write(&socket, "").unwrap();
    let warnings = told();
    assert!(warnings.contains(&replaced), "{warnings}");
    gateway.wait_for_all(&["WARN", &replaced]);
    assert_eq!(mode_of(&socket) & 0o400, 0o400, "it is not ours to change");
}
