//! The gateway beside a real nginx and a real HAProxy: the same routes, the same requests, and a table of all that
//! differs, with reasons.

mod outcome;
mod proxies;
mod requests;
mod table;
mod upstream;

use std::path::{Path, PathBuf};

use outcome::{Outcome, escaped};
use proxies::Proxy;
use requests::Request;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers")
}

/// What one request shows that is not the same here and there.
struct Difference {
    peer: &'static str,
    request: String,
    /// `what: here | there`.
    shown: String,
}

/// Every difference, in the order of the requests.
fn differences(requests: &[Request]) -> Vec<Difference> {
    let [here, nginx, haproxy] = std::thread::scope(|scope| {
        let start = [Proxy::gateway, Proxy::nginx, Proxy::haproxy];
        let asked = start.map(|start| scope.spawn(move || start().outcomes(requests)));
        asked.map(|asked| asked.join().unwrap())
    });
    let mut differences = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let listener = if request.inner { "inner" } else { "edge" };
        let request = format!("{listener} {}", escaped(&request.bytes));
        let mut compare = |peer, there: &Outcome| {
            let found = here[at].differences(there);
            differences.extend(found.into_iter().map(|shown| Difference {
                peer,
                request: request.clone(),
                shown,
            }));
        };
        compare("nginx", &nginx[at]);
        compare("haproxy", &haproxy[at]);
    }
    differences
}

impl Difference {
    /// What is shown here, and there.
    fn sides(&self) -> (&str, &str) {
        let sides = self.shown.split_once(": ").unwrap().1;
        sides.split_once(" | ").unwrap()
    }
}

#[test]
fn every_difference_to_nginx_and_haproxy_is_listed_with_its_reason() {
    let table = table::read();
    let requests = requests::all();
    assert!(requests.len() >= 300, "{}", requests.len());
    let found = differences(&requests);
    let mut examples = vec![Vec::new(); table.len()];
    let mut faults = String::new();
    for difference in &found {
        match table.iter().position(|entry| entry.is(difference)) {
            Some(at) => examples[at].push(difference),
            None => {
                let Difference {
                    peer,
                    request,
                    shown,
                } = difference;
                faults += &format!("{peer} {shown}\n    {}\n", request.replace('\n', "\n    "));
            }
        }
    }
    for (entry, examples) in table.iter().zip(&examples) {
        for peer in &entry.peers {
            if !examples.iter().any(|found| found.peer == peer) {
                faults += &format!("`{}` is listed, but {peer} shows none\n", entry.what);
            }
        }
    }
    assert!(faults.is_empty(), "not as differences.toml says:\n{faults}");
    let intro = std::fs::read_to_string(folder().join("intro.md")).unwrap();
    let intro = intro.replace("{requests}", &requests.len().to_string());
    let page = table::page(&table, &examples, &intro);
    let path = folder().join("../../docs/differences.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/differences.md is stale: BLESS=1 writes it anew"
    );
}
