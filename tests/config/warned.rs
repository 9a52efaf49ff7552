//! Configurations that are sound and had better be looked at: which warnings there are, and where. `warned.txt` is
//! written as `broken.txt` is, with whole configurations.

use super::{check_with, directory, refused, stderr};

const WARNED: &str = include_str!("warned.txt");

#[test]
fn every_suspicious_file_is_warned_about_in_exactly_these_words() {
    let cases = refused::cases(WARNED);
    assert!(cases.len() >= 10, "{}", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let directory = directory();
        for (path, text) in &case.files {
            std::fs::write(directory.path().join(path), text).unwrap();
        }
        let lines = |before: &str| -> String {
            let expected = case.expected.iter();
            expected.map(|line| format!("{before}{line}\n")).collect()
        };
        let strict = if case.expected.is_empty() { 0 } else { 78 };
        for (options, expected, code) in [
            (&[][..], lines("warning: "), 0),
            (&["--strict"], lines(""), strict),
        ] {
            let output = check_with(directory.path(), options);
            let here = format!("{}/", directory.path().display());
            let got = stderr(&output).replace(&here, "");
            if got != expected || output.status.code() != Some(code) {
                let code = output.status.code();
                wrong.push_str(&format!(
                    "## {} {options:?} (exit {code:?})\nexpected:\n{expected}got:\n{got}\n",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
