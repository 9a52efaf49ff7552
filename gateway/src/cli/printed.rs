//! What a command prints, and its exit code.

use std::io::{self, Write};

use crate::config::Fault;

/// The exit code for a faulty configuration, as sysexits.h has it.
pub(super) const CONFIG: u8 = 78;

/// What a command prints, and its exit code.
#[derive(Debug)]
pub(super) struct Printed {
    /// For standard output.
    pub(super) out: String,
    /// For standard error.
    pub(super) err: String,
    /// How it exits.
    pub(super) code: u8,
}

impl Printed {
    /// Prints it. The exit code.
    pub(super) fn print(self) -> anyhow::Result<u8> {
        io::stderr().write_all(self.err.as_bytes())?;
        io::stdout().write_all(self.out.as_bytes())?;
        Ok(self.code)
    }
}

/// A line for each fault.
pub(super) fn lines(before: &str, faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("{before}{fault}\n"));
    lines.collect()
}
