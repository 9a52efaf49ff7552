//! The binary: an allocator and the command line.

use std::process::ExitCode;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_pages_small();
    gateway::cli::main()
}

/// The allocator asks for huge pages, and what a worker or a plugin's instance needs is small: 16 of 48 MiB at rest
/// were the rest of such pages, for no request served faster.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    {
        // A kernel that does not know of it has none to spare.
        let _unknown = rustix::thread::disable_transparent_huge_pages(true);
    }
}
