//! What a command prints, and with which code it exits.

use std::io::{self, Write};

use crate::config::Fault;

/// Exit codes, from sysexits.h where it has one.
pub(super) const USAGE: u8 = 64;
pub(super) const CONFIG: u8 = 78;
pub(super) const FAILURE: u8 = 1;

/// What a command prints, and its exit code.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) code: u8,
}

impl Printed {
    /// Prints it; its exit code.
    pub(super) fn print(self) -> anyhow::Result<u8> {
        io::stderr().write_all(self.err.as_bytes())?;
        io::stdout().write_all(self.out.as_bytes())?;
        Ok(self.code)
    }
}

/// A line for each.
pub(super) fn lines(before: &str, faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("{before}{fault}\n"));
    lines.collect()
}
