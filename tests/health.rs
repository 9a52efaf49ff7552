//! Endpoints are asked whether they are well, and get requests as long as they are.

mod checks;
pub(crate) mod endpoint;
pub(crate) mod grpc;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::Gateway;
use crate::harness::gateway::PATIENCE;

/// Waits until something is so.
pub(crate) fn until(gateway: &Gateway, what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(
            began.elapsed() < PATIENCE,
            "{what}: never\n{}",
            gateway.text()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this keeps requests from an endpoint of `shop`.
pub(crate) fn obstacle(gateway: &Gateway, endpoint: SocketAddr, obstacle: &str) -> bool {
    let series = format!(
        "gateway_endpoint_obstacle{{upstream=\"shop\",endpoint=\"{endpoint}\",obstacle=\"{obstacle}\"}}"
    );
    gateway.metric(&series) > 0.0
}
