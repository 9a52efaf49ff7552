//! What may wait for others: opening a file that they chose, and writing to a pipe that they read. Few files may.

use std::path::Path;

use super::source;

/// Calls, the files that may make them, and what the others use.
const RULES: [(&[&str], &[&str], &str); 2] = [
    (
        &[
            "File::open(",
            "fs::read(",
            "fs::read_to_string(",
            "OpenOptions::new(",
        ],
        &[
            "gateway/src/file.rs",
            // Its own files, in its own directory.
            "gateway/src/plugin/cache.rs",
            // The kernel's.
            "gateway/src/plugin/apart.rs",
            "gateway/src/telemetry/metrics/families.rs",
            "gateway/src/telemetry/outlet/sink.rs",
        ],
        "`file::read` is bounded and waits for nothing",
    ),
    (
        &["io::stdout()", "io::stderr()", "print!(", "println!("],
        &[
            // Of `check`, which a person waits for.
            "gateway/src/cli/printed.rs",
            // Of a compiler, which the gateway waits for.
            "gateway/src/plugin/compiler.rs",
            "gateway/src/telemetry/outlet/sink.rs",
            "gateway/src/telemetry/trace.rs",
        ],
        "logs go through `telemetry`, which waits for no reader",
    ),
];

/// Finds calls in code that is no test.
pub(super) fn check(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for file in source::crate_files(root, "gateway") {
        let (text, _) = source::read(root, &file.path);
        // Tests stand at the end of a file.
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in (1..).zip(code.lines()) {
            for (calls, allowed, instead) in RULES {
                let call = calls.iter().find(|call| line.contains(**call));
                if let Some(call) = call
                    && !allowed.contains(&file.path.as_str())
                {
                    findings.push(format!("{}:{number}: `{call}`: {instead}", file.path));
                }
            }
        }
    }
    findings
}
