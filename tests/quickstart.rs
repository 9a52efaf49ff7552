//! Every line of the quickstart, with config/gateway.toml itself.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Gateway, get};

/// The quickstart on ports of its own. The demo services' port must be known before, so it is one that was free.
fn quickstart() -> Gateway {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let demo = free.local_addr().unwrap().to_string();
    drop(free);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/gateway.toml");
    let environment = [
        ("GATEWAY_PUBLIC", "127.0.0.1:0"),
        ("GATEWAY_ADMIN", "127.0.0.1:0"),
        ("GATEWAY_DEMO", demo.as_str()),
    ];
    Gateway::start_file(&file, &environment, tempfile::tempdir().unwrap())
}

const KEY: (&str, &str) = ("x-api-key", "demo");

#[test]
fn without_a_key_the_answer_is_401_as_json() {
    let gateway = quickstart();
    let answer = get(gateway.listener("public"), "/products/1", &[]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["status"], 401);
    assert!(answer.header("content-type").unwrap().contains("json"));
}

#[test]
fn with_the_key_the_product_comes_with_the_plugins_headers() {
    let gateway = quickstart();
    let answer = get(gateway.listener("public"), "/products/1", &[KEY]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
    assert_eq!(answer.json()["name"], "widget");
    assert_eq!(answer.json()["id"], "1");
    assert_eq!(answer.header("x-served-by"), Some("gateway"));
    assert!(
        answer.header("x-ratelimit-remaining").is_some(),
        "{:?}",
        answer.headers
    );
    assert!(answer.header("ratelimit").is_some(), "{:?}", answer.headers);
}

#[test]
fn the_shop_is_one_json_of_three_services() {
    let gateway = quickstart();
    let answer = get(gateway.listener("public"), "/shop/1", &[KEY]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
    let shop = answer.json();
    assert_eq!(shop["product"]["name"], "widget");
    assert_eq!(shop["reviews"][0]["stars"], 5);
    assert_eq!(shop["inventory"]["stock"], 42);
}

#[test]
fn the_sixth_request_of_a_second_is_429_with_retry_after() {
    let gateway = quickstart();
    let public = gateway.listener("public");
    // A window of the clock may end between two of the six; it cannot in two rounds that follow each other.
    for round in 0..3 {
        let answers: Vec<_> = (0..6).map(|_| get(public, "/limited", &[KEY])).collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        if statuses == [200, 200, 200, 200, 200, 429] {
            assert!(
                answers[5]
                    .header("retry-after")
                    .unwrap()
                    .parse::<u32>()
                    .unwrap()
                    >= 1
            );
            return;
        }
        assert!(round < 2, "{statuses:?}\n{}", gateway.text());
        std::thread::sleep(Duration::from_millis(1_100));
    }
}

#[test]
fn the_operator_sees_health_plugins_metrics_and_a_masked_configuration() {
    let gateway = quickstart();
    let admin = gateway.admin();
    assert_eq!(get(admin, "/livez", &[]).status, 200);
    assert_eq!(get(admin, "/readyz", &[]).status, 200);
    let _answer = get(gateway.listener("public"), "/products/1", &[KEY]);
    let plugins = get(admin, "/plugins", &[]).json();
    assert_eq!(plugins["plugins"].as_array().unwrap().len(), 4);
    let config = get(admin, "/config", &[]).text();
    assert!(
        !config.contains("\"key\": \"demo\"") && config.contains("***"),
        "the api key shows: {config}"
    );
    gateway.wait_for("\"route\":\"products\"");
    let metrics = get(admin, "/metrics", &[]).text();
    for line in [
        r#"gateway_requests_total{route="products",status="200"} 1"#,
        r#"gateway_plugin_phase_duration_seconds_count{plugin="auth",phase="request"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
}
