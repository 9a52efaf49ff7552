//! `match.version`.

use super::{gateway, taken};

#[test]
fn a_version_is_compared_by_its_numbers() {
    let gateway = gateway(&[
        (
            "equal",
            "path = '/e', version = { header = 'x-v', equals = '1' }",
        ),
        (
            "least",
            "path = '/l', version = { header = 'x-v', at_least = '1.9' }",
        ),
        (
            "below",
            "path = '/b', version = { header = 'x-v', below = '1.10' }",
        ),
        (
            "range",
            "path = '/r', version = { header = 'x-v', at_least = '1.1', below = '2', default = '1.5' }",
        ),
        (
            "date",
            "path = '/d', version = { header = 'x-v', at_least = 2026-01-31 }",
        ),
    ]);
    for (path, version, holds) in [
        ("/e", "1", true),
        ("/e", "1.0.0", true),
        ("/e", "v1", true),
        ("/e", "1.0.1", false),
        ("/l", "1.9", true),
        ("/l", "1.10", true),
        ("/l", "2", true),
        ("/l", "1.8.99", false),
        ("/l", "", false),
        ("/l", "latest", false),
        ("/l", "9, 9", false),
        ("/l", "2026-01-31", false),
        ("/b", "1.9", true),
        ("/b", "1.10", false),
        ("/r", "1.1", true),
        ("/r", "1.99", true),
        ("/r", "2.0", false),
        ("/r", "new", false),
        ("/d", "2026-01-31", true),
        ("/d", "2026-02-01", true),
        ("/d", "2026-01-30", false),
        ("/d", "2026-02-01-preview", false),
        ("/d", "9999", false),
    ] {
        let got = taken(&gateway, path, &[("x-v", version)]);
        assert_eq!(got != "none", holds, "{path} {version}");
    }
    // Where there is none, the default is asked for.
    assert_eq!(taken(&gateway, "/r", &[]), "range");
    assert_eq!(taken(&gateway, "/l", &[]), "none");
    // The first of two counts.
    let two = [("x-v", "1.8"), ("x-v", "1.9")];
    assert_eq!(taken(&gateway, "/l", &two), "none");
}

#[test]
fn a_version_stands_in_a_header_the_query_the_path_or_a_media_type() {
    let gateway = gateway(&[
        (
            "query",
            "path = '/q', version = { query = 'api-version', equals = '2' }",
        ),
        (
            "path",
            "path = ['/{v}/orders', '/api/{v}/orders/**'], version = { path = 'v', at_least = '2' }",
        ),
        (
            "media",
            "path = '/m', version = { media_type = 'version', equals = '2' }",
        ),
    ]);
    for (path, expected) in [
        ("/q?api-version=2", "query"),
        ("/q?a=1&api%2Dversion=v2.0", "query"),
        ("/q?api-version=1&api-version=2", "none"),
        ("/q", "none"),
        ("/v2/orders", "path"),
        ("/2.1/orders", "path"),
        ("/v1/orders", "none"),
        ("/latest/orders", "none"),
        ("/api/v3/orders/7", "path"),
        ("/api/v1/orders/7", "none"),
        ("/api/orders/7", "none"),
    ] {
        assert_eq!(taken(&gateway, path, &[]), expected, "{path}");
    }
    for (accept, expected) in [
        ("application/vnd.shop+json; version=2", "media"),
        (
            "application/vnd.shop+json;Version=\"2\";q=0.5, */*;q=0.1",
            "media",
        ),
        ("application/vnd.shop.v2+json", "media"),
        ("text/html, application/vnd.shop.v2+json", "media"),
        (
            "application/vnd.shop.v1+json, application/vnd.shop.v2+json",
            "none",
        ),
        ("application/vnd.shop.v2+json;q=0", "none"),
        ("application/json", "none"),
    ] {
        assert_eq!(
            taken(&gateway, "/m", &[("accept", accept)]),
            expected,
            "{accept}"
        );
    }
}
