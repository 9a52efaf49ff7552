//! Configurations that are refused, and what is said of them.

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::test::configure;
use serde_json::{Value, json};

use crate::RateLimit;

fn faults(config: Value) -> Vec<ConfigError> {
    configure::<RateLimit>(config).unwrap_err()
}

/// The keys of all faults, sorted.
fn keys(config: Value) -> Vec<String> {
    let mut keys: Vec<_> = faults(config).into_iter().map(|fault| fault.key).collect();
    keys.sort();
    keys
}

/// The message of the one fault, which is that of `key`.
#[track_caller]
fn message(key: &str, config: Value) -> String {
    let faults = faults(config);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].key, key);
    faults[0].message.clone()
}

#[test]
fn a_limit_needs_its_number_and_its_window() {
    assert_eq!(keys(json!({})), ["limit", "window"]);
    assert_eq!(keys(json!({ "limit": 5 })), ["window"]);
    assert_eq!(
        keys(json!({ "limits": [{ "name": "a" }] })),
        ["limits[0].limit", "limits[0].window"]
    );
}

#[test]
fn numbers_out_of_range_are_named() {
    for (key, value) in [
        ("limit", json!(0)),
        ("limit", json!(-1)),
        ("limit", json!(4_294_967_296_u64)),
        ("window", json!("0s")),
        ("window", json!("50d")),
        ("window", json!(10)),
        ("window", json!("1 minute")),
        ("cost", json!(0)),
        ("cost", json!(6)),
        ("burst", json!(-1)),
        ("status", json!(200)),
        ("status", json!(600)),
    ] {
        let mut config = json!({ "limit": 5, "window": "1s" });
        config[key] = value.clone();
        assert_eq!(keys(config), [key], "{value}");
    }
}

#[test]
fn a_cost_may_be_as_much_as_the_bucket_holds() {
    let with = |cost: u32| json!({ "limit": 5, "burst": 8, "window": "1s", "cost": cost });
    assert!(configure::<RateLimit>(with(8)).is_ok());
    assert!(message("cost", with(9)).contains("from 1 to what the limit allows at once, 8"));
}

#[test]
fn a_burst_is_only_for_the_bucket() {
    for algorithm in ["fixed_window", "sliding_window"] {
        let config = json!({ "algorithm": algorithm, "limit": 5, "window": "1s", "burst": 1 });
        assert!(message("burst", config).contains("token_bucket"));
    }
}

#[test]
fn a_key_is_one_to_four_known_sources() {
    let with = |key: Value| json!({ "limit": 5, "window": "1s", "key": key });
    for key in [
        json!("ip"),
        json!("cookie:a"),
        json!("header:"),
        json!("header:x y"),
        json!("attribute:"),
        json!([]),
        json!(["route", "route", "route", "route", "route"]),
        json!(7),
    ] {
        assert_eq!(keys(with(key.clone())), ["key"], "{key}");
    }
    assert!(message("key", with(json!("ip"))).contains("`client_address`"));
}

#[test]
fn choices_name_what_there_is_to_choose_from() {
    for (key, wrong, known) in [
        ("algorithm", "leaky_bucket", "token_bucket"),
        ("on_missing_key", "allow", "skip"),
        ("on_store_error", "fail", "closed"),
        ("scope", "host", "global"),
    ] {
        let mut config = json!({ "limit": 5, "window": "1s" });
        config[key] = json!(wrong);
        let message = message(key, config);
        assert!(
            message.contains(wrong) && message.contains(known),
            "{message}"
        );
    }
    let headers = json!({ "limit": 5, "window": "1s", "headers": ["draft"] });
    assert_eq!(keys(headers), ["headers[0]"]);
}

#[test]
fn several_limits_have_names_of_their_own() {
    let one = |name: &str| json!({ "name": name, "limit": 1, "window": "1s" });
    assert_eq!(
        keys(json!({ "limits": [one("a"), one("b"), one("a")] })),
        ["limits[2].name"]
    );
    let unnamed = json!({ "limit": 1, "window": "1s" });
    assert_eq!(
        keys(json!({ "limits": [unnamed.clone(), unnamed] })),
        ["limits[1].name"]
    );
    for name in ["", "a b", "a\"b", &"a".repeat(65)] {
        assert_eq!(
            keys(json!({ "limits": [one(name)] })),
            ["limits[0].name"],
            "{name}"
        );
    }
}

#[test]
fn one_limit_and_several_do_not_go_together() {
    let one = json!({ "limit": 1, "window": "1s" });
    assert_eq!(
        keys(json!({ "limits": [one], "limit": 5, "cost": 1 })),
        ["cost", "limit"]
    );
    assert_eq!(keys(json!({ "limits": [] })), ["limits"]);
}

#[test]
fn every_fault_is_reported_at_once_and_unknown_keys_are_faults() {
    assert_eq!(
        keys(json!({ "status": 200, "limits": [
            { "name": "a", "limit": 0, "window": "0s", "key": "ip", "cost": 0 },
            { "name": "a b", "algorithm": "fixed_window", "limit": 1, "window": "1s", "burst": 2 },
        ] })),
        [
            "limits[0].cost",
            "limits[0].key",
            "limits[0].limit",
            "limits[0].window",
            "limits[1].burst",
            "limits[1].name",
            "status",
        ]
    );
    assert_eq!(
        keys(json!({ "limt": 5, "limits": [{ "limit": 1, "window": "1s", "brst": 2 }] })),
        ["limits[0].brst", "limt"]
    );
}
