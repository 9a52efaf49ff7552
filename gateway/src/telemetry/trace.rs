//! x
/// x
pub fn init() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
}
