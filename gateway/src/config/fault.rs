//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

/// Every fault of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub Vec<Fault>);

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The key, such as `listeners[0].limits.body`; empty where there is none.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A place in the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Spot {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key.
    pub key: String,
}

impl Spot {
    /// A fault of what stands there.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        let Self { file, line, key } = self.clone();
        Fault {
            file,
            line,
            key,
            message: message.into(),
        }
    }
}

impl Fault {
    /// As JSON: `file`, `line`, `key` and `message`; of what no file and no line is told, null.
    pub fn json(&self) -> Json {
        let file = self.file.to_string_lossy();
        json!({
            "file": (!file.is_empty()).then_some(file),
            "line": (self.line > 0).then_some(self.line),
            "key": self.key,
            "message": self.message,
        })
    }

    /// A fault that no key of the files stands for.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Spot::default().fault(message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}:", self.file.display())?;
            space = " ";
            if self.line > 0 {
                write!(f, "{}:", self.line)?;
            }
        }
        if !self.key.is_empty() {
            write!(f, "{space}{}:", self.key)?;
            space = " ";
        }
        write!(f, "{space}{}", self.message)
    }
}

impl fmt::Display for Errors {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
