//! Malformed and oversized requests over HTTP/2, frame by frame, with an upstream that remembers every byte it got.

mod bodies;
mod frames;
mod heads;
mod left_out;
mod logged;

use std::net::SocketAddr;

use crate::harness::frames::get_fields;
use crate::harness::tls::Certificate;
use crate::harness::{Configuration, Gateway};

/// A gateway before one upstream, with limits that a test reaches in no time, but for the time of a head: a machine may
/// stand still in the middle of one. What is broken passes the access log too.
pub(crate) fn gateway(upstream: SocketAddr) -> Gateway {
    gateway_with(upstream, "20s")
}

/// The same with a time for a head.
fn gateway_with(upstream: SocketAddr, head: &str) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    Certificate::new(&["a"]).write(directory.path(), "a");
    let limits = format!(
        "limits = {{ header_bytes = '8KiB', header_count = 30, body = '1MiB', header_timeout = '{head}', body_idle = '1s', idle = '20s', h2_streams = 50 }}"
    );
    let certificates = "tls = { certificates = [{ cert = 'a.pem', key = 'a.key' }] }";
    let timeouts = r#"timeouts = { connect = "20s", first_byte = "20s", idle = "20s" }"#;
    let config = Configuration::new()
        .access_log()
        .public(&limits)
        .listener("secure", &format!("{limits}\n{certificates}"))
        .upstream_with("origin", upstream, timeouts)
        .route("here", "/here", "respond = { status = 200, body = 'here' }")
        .route("all", "/**", "upstream = 'origin'");
    Gateway::start_in(directory, &config, &[])
}

type Fields = Vec<(&'static str, &'static str)>;

fn without(name: &str) -> Fields {
    let mut fields = get_fields("/");
    fields.retain(|(each, _)| *each != name);
    fields
}

fn replacing(name: &'static str, value: &'static str) -> Fields {
    let mut fields = without(name);
    fields.push((name, value));
    fields
}
