//! Edits of the query.

use gateway_plugin_sdk::test::Exchange;
use serde_json::json;

use super::sent;

#[test]
fn the_query_is_removed_renamed_set_and_added_and_the_rest_keeps_its_bytes() {
    let config = json!({
        "remove_query": ["gone"],
        "rename_query": { "old": "new name" },
        "set_query": { "set": "a&b", "made": "{query.keep}" },
        "add_query": { "keep": ["1", "2"] },
    });
    let exchange = Exchange::get("/p?keep=%7e&gone=1&old=%41&go%6ee=2&set=0&flag&set=1");
    assert_eq!(
        sent(config, exchange).path_and_query(),
        "/p?keep=%7e&new%20name=%41&set=a%26b&flag&made=~&keep=1&keep=2"
    );
    let config = json!({ "remove_query": ["a"] });
    for (before, after) in [("/p?a=1", "/p"), ("/p?a=1&", "/p"), ("/p?&a=1&b", "/p?&b")] {
        let exchange = sent(config.clone(), Exchange::get(before));
        assert_eq!(exchange.path_and_query(), after);
    }
}

#[test]
fn edits_of_the_query_that_match_nothing_change_not_a_byte() {
    let config = json!({
        "remove_query": ["gone", "d%3D"],
        "rename_query": { "old": "new" },
        "set_query": { "none": "{query.none}" },
        "add_query": { "none": "{header.none}" },
        "path": { "strip_prefix": "/other" },
    });
    for target in [
        "/p?a=b+c&d=%7E&&e",
        "/p?",
        "/p?&&",
        "/p?=1&=&%zz&%GO%6e=%ff",
        "/p",
        "*",
    ] {
        let exchange = sent(config.clone(), Exchange::get(target));
        assert_eq!(exchange.path_and_query(), target);
    }
    let added = json!({ "add_query": { "x": "1" } });
    for (before, after) in [
        ("/p?a=b+c&&", "/p?a=b+c&&&x=1"),
        ("/p?", "/p?x=1"),
        ("/p", "/p?x=1"),
    ] {
        let exchange = sent(added.clone(), Exchange::get(before));
        assert_eq!(exchange.path_and_query(), after);
    }
}
