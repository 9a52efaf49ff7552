//! What plugins share of the state: a flood of one takes nothing from another, and both bounds of the store hold.

use crate::harness::{Configuration, Gateway, get};

/// Two plugins that are one guest, `limit` and `flood`, each on a route of its name; `state` are lines of `[state]`.
fn configuration(state: &str) -> Configuration {
    plugins(state, &["limit", "flood"])
}

fn plugins(state: &str, names: &[&str]) -> Configuration {
    let config = Configuration::new().workers(2);
    let config = config.with(&format!("[state]\n{state}"));
    names.iter().fold(config, |config, name| {
        // Thousands of calls into the host, and values to copy, on a machine with other work.
        let plugin = "cpu = '5s'\ntimeout = '20s'\ngrants = { state = true }";
        config
            .plugin(name, "guest_flood", plugin)
            .chain(name, &format!("/{name}"), &[name], "")
    })
}

/// What a plugin answers to a query.
fn ask(gateway: &Gateway, plugin: &str, query: &str) -> String {
    let path = format!("/{plugin}?{query}");
    let answer = get(gateway.listener("public"), &path, &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// Takes once from each of so many limits of the plugin; what remains of them.
fn take(gateway: &Gateway, plugin: &str, count: usize) -> Vec<String> {
    let take = |nth| ask(gateway, plugin, &format!("take=client-{nth}"));
    (0..count).map(take).collect()
}

fn held(gateway: &Gateway, what: &str, plugin: &str) -> f64 {
    gateway.metric(&format!("gateway_state_{what}{{plugin=\"{plugin}\"}}"))
}

#[test]
fn a_plugin_that_floods_the_state_takes_no_counter_and_no_value_of_another() {
    let gateway = Gateway::start(&configuration("max_entries = 4_000"));
    assert_eq!(take(&gateway, "limit", 50), ["999"; 50]);
    assert_eq!(ask(&gateway, "limit", "keep=mine&bytes=7"), "Ok(())");
    for query in ["acquire=2000", "set=2000&bytes=1"] {
        for _ in 0..10 {
            assert_eq!(ask(&gateway, "flood", query), "done");
        }
    }
    assert_eq!(take(&gateway, "limit", 50), ["998"; 50]);
    assert_eq!(ask(&gateway, "limit", "look=mine"), "Some(7)");
    assert_eq!(held(&gateway, "entries", "limit"), 51.0);
    assert_eq!(held(&gateway, "evictions_total", "limit"), 0.0);
    // What the other one does not use is lent.
    assert_eq!(held(&gateway, "entries", "flood"), 3_949.0);
    assert_eq!(held(&gateway, "evictions_total", "flood"), 36_051.0);
}

#[test]
fn that_a_plugin_is_evicted_for_being_over_its_share_is_said_once() {
    let gateway = Gateway::start(&configuration("max_entries = 1_000"));
    for _ in 0..5 {
        ask(&gateway, "flood", "acquire=2000");
    }
    let said = "the state is full and the plugin has more than its share of it";
    let line = gateway.wait_for(said);
    for part in ["WARN", "plugin=\"flood\"", "share_entries=500"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let text = gateway.text();
    assert_eq!(text.matches(said).count(), 1, "{text}");
}

#[test]
fn large_values_do_not_grow_the_memory_beyond_the_bound_in_bytes() {
    const BOUND: u64 = 32 << 20;
    let gateway = Gateway::start(&configuration("max_bytes = '32MiB'"));
    assert_eq!(take(&gateway, "limit", 20), ["999"; 20]);
    let before = gateway.allocated();
    for _ in 0..100 {
        assert_eq!(ask(&gateway, "flood", "set=8&bytes=1048576"), "done");
    }
    let grown = gateway.allocated().saturating_sub(before);
    // 800 MiB went in. A worker has an instance and a copy or two under way, and of large values that were freed the
    // allocator keeps as much again for a while, the longer the busier the machine is.
    let most = 4 * BOUND;
    assert!(grown < most, "{} MiB more", grown >> 20);
    let bytes = held(&gateway, "bytes", "flood");
    assert!((28e6..=BOUND as f64).contains(&bytes), "{bytes} bytes");
    assert_eq!(take(&gateway, "limit", 20), ["998"; 20]);
}

#[test]
fn small_entries_take_no_more_memory_than_they_count() {
    const BOUND: u64 = 32 << 20;
    let gateway = Gateway::start(&configuration("max_bytes = '32MiB'"));
    assert_eq!(take(&gateway, "limit", 20), ["999"; 20]);
    let before = gateway.allocated();
    for query in ["acquire=10000", "set=10000&bytes=1"] {
        for _ in 0..20 {
            assert_eq!(ask(&gateway, "flood", query), "done");
        }
    }
    let grown = gateway.allocated().saturating_sub(before);
    // Two instances of the plugin are in it.
    let most = BOUND + (12 << 20);
    assert!(grown < most, "{} MiB more", grown >> 20);
    let bytes = held(&gateway, "bytes", "flood");
    assert!((32e6..=BOUND as f64).contains(&bytes), "{bytes} bytes");
    assert_eq!(take(&gateway, "limit", 20), ["998"; 20]);
}

#[test]
fn a_value_over_the_share_is_refused_and_nothing_makes_way_for_it() {
    let gateway = Gateway::start(&configuration("max_bytes = '1MiB'"));
    let keep = |bytes: usize| ask(&gateway, "flood", &format!("keep=value&bytes={bytes}"));
    assert_eq!(keep(500_000), "Ok(())");
    for bytes in [525_000, 1_000_000, 1_100_000] {
        assert_eq!(keep(bytes), "Err(TooLarge)");
    }
    assert_eq!(ask(&gateway, "flood", "look=value"), "Some(500000)");
    assert_eq!(held(&gateway, "evictions_total", "flood"), 0.0);
}

#[test]
fn a_reload_shrinks_the_state_and_keeps_the_counters_of_plugins_within_their_share() {
    let gateway = Gateway::start(&configuration("max_entries = 100_000"));
    assert_eq!(take(&gateway, "limit", 50), ["999"; 50]);
    for _ in 0..10 {
        ask(&gateway, "flood", "acquire=2000");
    }
    assert_eq!(held(&gateway, "entries", "flood"), 20_000.0);
    gateway.configure(&configuration("max_entries = 200"));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(held(&gateway, "entries", "limit"), 50.0);
    assert_eq!(held(&gateway, "entries", "flood"), 150.0);
    assert_eq!(take(&gateway, "limit", 50), ["998"; 50]);
    gateway.configure(&configuration("max_bytes = '64KiB'"));
    assert_eq!(gateway.post("/reload").status, 200);
    let bytes = held(&gateway, "bytes", "limit") + held(&gateway, "bytes", "flood");
    assert!((1.0..=65_536.0).contains(&bytes), "{bytes} bytes");
    assert_eq!(take(&gateway, "limit", 50), ["997"; 50]);
}

#[test]
fn shares_follow_the_plugins_of_a_reload_and_those_that_stay_keep_their_counters() {
    let state = "max_entries = 200";
    let gateway = Gateway::start(&configuration(state));
    assert_eq!(take(&gateway, "limit", 50), ["999"; 50]);
    ask(&gateway, "flood", "acquire=2000");
    // It has half of the state, then a quarter; what left has none.
    gateway.configure(&plugins(state, &["limit", "new", "newer", "newest"]));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(held(&gateway, "entries", "flood"), 150.0);
    assert_eq!(take(&gateway, "new", 50), ["999"; 50]);
    assert_eq!(held(&gateway, "entries", "flood"), 100.0);
    for _ in 0..5 {
        ask(&gateway, "newest", "acquire=2000");
    }
    assert_eq!(held(&gateway, "entries", "flood"), 0.0);
    assert_eq!(held(&gateway, "entries", "newest"), 100.0);
    assert_eq!(take(&gateway, "limit", 50), ["998"; 50]);
    assert_eq!(take(&gateway, "new", 50), ["998"; 50]);
}
