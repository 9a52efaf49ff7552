//! The binary: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::allocator::keep_pages_small();
    gateway::cli::main()
}
