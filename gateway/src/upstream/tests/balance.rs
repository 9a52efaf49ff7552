//! How requests are spread: shares, keys and cookies, over many requests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::config::{ClientKey, HashOn, SameSite, Sticky};

const KEYS: u64 = 100_000;

/// An endpoint of a test.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub(super) port: u16,
    pub(super) weight: u16,
    pub(super) backup: bool,
}

impl Spec {
    pub(super) fn of(port: u16) -> Self {
        Self {
            port,
            weight: 1,
            backup: false,
        }
    }
}

pub(super) fn specified(
    balance: Balance,
    sticky: Option<Sticky>,
    endpoints: &[Spec],
) -> Arc<Upstream> {
    let endpoints = endpoints.iter().map(|spec| config::Endpoint {
        target: target(&format!("[::1]:{}", spec.port)),
        weight: spec.weight,
        backup: spec.backup,
    });
    let config = config::Upstream {
        endpoints: endpoints.collect(),
        balance,
        sticky: sticky.map(Box::new),
        ..configured("test", &[])
    };
    registered(&Registry::default(), &config, &Metrics::new(1))
}

/// Ports with their weights.
pub(super) fn spread(balance: Balance, endpoints: &[(u16, u16)]) -> Arc<Upstream> {
    let specs = endpoints.iter().map(|(port, weight)| Spec {
        weight: *weight,
        ..Spec::of(*port)
    });
    specified(balance, None, &specs.collect::<Vec<_>>())
}

fn hash() -> Balance {
    Balance::Hash(HashOn::Client(ClientKey::Header(HeaderName::from_static(
        "x-user",
    ))))
}

pub(super) fn all() -> [Balance; 4] {
    [
        Balance::RoundRobin,
        Balance::Random,
        Balance::LeastRequest,
        hash(),
    ]
}

pub(super) fn port(picked: &Picked) -> u16 {
    picked.target.tcp().unwrap().port()
}

/// Where so many requests without a key go, one after the other.
pub(super) fn ports(upstream: &Upstream, client: &Client, count: usize) -> Vec<u16> {
    let pick = || port(&upstream.pick(client, None, &Tried::default()).unwrap());
    (0..count).map(|_| pick()).collect()
}

fn shares(ports: &[u16]) -> BTreeMap<u16, usize> {
    let mut shares = BTreeMap::new();
    for port in ports {
        *shares.entry(*port).or_default() += 1;
    }
    shares
}

fn asking<T>(fields: &[(&str, &str)], query: &str, ask: impl FnOnce(Asked<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(name, HeaderValue::try_from(*value).unwrap());
    }
    ask(Asked {
        headers: &headers,
        query,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
    })
}

/// The key of a request of this user.
fn key_of(upstream: &Upstream, user: &str) -> Option<u64> {
    asking(&[("x-user", user)], "", |asked| {
        upstream.key(move || asked, |_| None)
    })
}

/// The endpoint of each of many users.
fn sides(endpoints: &[(u16, u16)]) -> Vec<u16> {
    let (upstream, client) = (spread(hash(), endpoints), Client::default());
    let side = |user: u64| {
        let key = key_of(&upstream, &format!("user-{user}"));
        port(&upstream.pick(&client, key, &Tried::default()).unwrap())
    };
    (0..KEYS).map(side).collect()
}

#[test]
fn turns_are_smooth_and_by_weight_as_those_of_nginx() {
    let upstream = spread(Balance::RoundRobin, &[(1, 5), (2, 1), (3, 1)]);
    let client = Client::default();
    assert_eq!(ports(&upstream, &client, 7), [1, 1, 2, 1, 3, 1, 1]);
    assert_eq!(ports(&upstream, &client, 7), [1, 1, 2, 1, 3, 1, 1]);
    // Each worker has turns of its own.
    assert_eq!(ports(&upstream, &Client::default(), 3), [1, 1, 2]);
}

#[test]
fn of_those_that_are_left_each_keeps_its_share_of_the_turns() {
    let client = Client::default();
    for endpoints in [&[(1, 1), (2, 1), (3, 1)][..], &[(1, 2), (2, 7), (3, 2)]] {
        let upstream = spread(Balance::RoundRobin, endpoints);
        endpoint(&upstream, 1)
            .standing
            .block(Obstacle::Unhealthy, "");
        let shares = shares(&ports(&upstream, &client, 100));
        assert_eq!(shares, BTreeMap::from([(1, 50), (3, 50)]), "{endpoints:?}");
    }
}

#[test]
fn a_reload_that_changes_weights_does_not_make_up_for_the_turns_before() {
    let registry = Registry::default();
    let client = Client::default();
    let of = |weights: [u16; 2]| {
        let endpoints = [1, 2].map(|port| target(&format!("[::1]:{port}")));
        let endpoints = endpoints.into_iter().zip(weights);
        let endpoints = endpoints.map(|(target, weight)| config::Endpoint {
            weight,
            ..target.into()
        });
        let config = config::Upstream {
            endpoints: endpoints.collect(),
            ..configured("test", &[])
        };
        registered(&registry, &config, &Metrics::new(1))
    };
    ports(&of([65_535, 1]), &client, 1_000);
    let after = shares(&ports(&of([1, 2]), &client, 30));
    assert_eq!(after, BTreeMap::from([(1, 10), (2, 20)]));
}

#[test]
fn random_and_least_requests_keep_to_the_weights_where_nothing_is_under_way() {
    for balance in [Balance::Random, Balance::LeastRequest] {
        let upstream = spread(balance.clone(), &[(1, 1), (2, 2), (3, 5)]);
        let shares = shares(&ports(&upstream, &Client::default(), 40_000));
        for (port, weight) in [(1, 1), (2, 2), (3, 5)] {
            let expected = 40_000 * weight / 8;
            let off = shares[&port].abs_diff(expected);
            assert!(off < 800, "{balance:?} {port}: {}", shares[&port]);
        }
    }
}

#[test]
fn of_two_endpoints_the_one_with_less_under_way_for_its_weight_is_picked() {
    let upstream = spread(Balance::LeastRequest, &[(1, 1), (2, 3)]);
    let client = Client::default();
    let held: Vec<_> = (0..400)
        .map(|_| upstream.pick(&client, None, &Tried::default()).unwrap())
        .collect();
    let ports: Vec<_> = held.iter().map(port).collect();
    let shares = shares(&ports);
    assert!(shares[&1].abs_diff(100) <= 1, "{shares:?}");
}

#[test]
fn two_choices_keep_a_slow_endpoint_from_filling_up() {
    let upstream = spread(Balance::LeastRequest, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let client = Client::default();
    // The first endpoint answers nothing, the others at once.
    let held: Vec<_> = (0..1_000)
        .map(|_| upstream.pick(&client, None, &Tried::default()).unwrap())
        .filter(|picked| port(picked) == 1)
        .collect();
    assert!(held.len() <= 2, "{}", held.len());
}

#[test]
fn keys_keep_to_the_weights_within_one_per_cent() {
    for weights in [&[(1, 1), (2, 1), (3, 1)][..], &[(1, 1), (2, 2), (3, 5)]] {
        let total: u16 = weights.iter().map(|(_, weight)| weight).sum();
        let shares = shares(&sides(weights));
        for (port, weight) in weights {
            let share = f64::from(*weight) / f64::from(total);
            let off = (shares[port] as f64 / KEYS as f64 - share).abs();
            assert!(off < 0.01, "{port} of {weights:?}: off by {off}");
        }
    }
}

#[test]
fn an_endpoint_that_goes_moves_its_own_keys_and_no_others() {
    let all: Vec<_> = (1..=10).map(|port| (port, 1)).collect();
    let weighted: Vec<_> = (1..=10).map(|port| (port, port)).collect();
    for endpoints in [all, weighted] {
        let before = sides(&endpoints);
        let left: Vec<_> = endpoints.iter().copied().filter(|it| it.0 != 5).collect();
        let after = sides(&left);
        let pairs = before.iter().zip(&after);
        let moved = pairs.filter(|(before, after)| before != after).count();
        let its_own = before.iter().filter(|port| **port == 5).count();
        assert_eq!(moved, its_own);
        assert!(moved as f64 / KEYS as f64 <= 0.1 + 0.05, "{moved}");
        // To all of the others, and to each by its weight.
        let got: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(before, _)| **before == 5)
            .map(|(_, after)| *after)
            .collect();
        let weights: u16 = left.iter().map(|(_, weight)| weight).sum();
        for (port, weight) in left {
            let share = f64::from(weight) / f64::from(weights);
            let off = (shares(&got)[&port] as f64 / got.len() as f64 - share).abs();
            assert!(off < 0.03, "{port}: {off}");
        }
    }
}

/// What this gateway says, every other one of the fleet says, and the next version too.
#[test]
fn the_endpoints_of_keys_are_those_of_every_gateway() {
    let even = sides(&[(1, 1), (2, 1), (3, 1)]);
    assert_eq!(even[..16], EVEN);
    // Nor does the order of the endpoints count.
    assert_eq!(sides(&[(3, 1), (1, 1), (2, 1)])[..16], EVEN);
    assert_eq!(sides(&[(1, 1), (2, 9)])[..16], WEIGHTED);
}

/// As another program than this one works them out.
const EVEN: [u16; 16] = [2, 1, 1, 3, 3, 2, 3, 2, 2, 1, 1, 2, 3, 2, 2, 1];
const WEIGHTED: [u16; 16] = [2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2];

#[test]
fn a_key_whose_endpoint_is_loaded_goes_to_the_next_of_its_order() {
    let endpoints: Vec<_> = (1..=4).map(|port| (port, 1)).collect();
    let (upstream, client) = (spread(hash(), &endpoints), Client::default());
    let key = key_of(&upstream, "hot");
    let pick = || upstream.pick(&client, key, &Tried::default()).unwrap();
    let home = port(&pick());
    let mut held: Vec<_> = (0..8).map(|_| pick()).collect();
    assert!(held.iter().all(|picked| port(picked) == home));
    held.extend((0..392).map(|_| pick()));
    let ports: Vec<_> = held.iter().map(port).collect();
    let most = shares(&ports);
    // 1.25 times the share of each.
    assert!(most.values().all(|held| *held <= 125), "{most:?}");
    assert_eq!(most[&home], 125, "{most:?}");
    held.clear();
    assert_eq!(port(&pick()), home);
}

#[test]
fn the_key_is_what_hash_on_names_or_else_the_address_of_the_client() {
    let of = |on: HashOn, fields: &[(&str, &str)], query: &str| {
        let upstream = spread(Balance::Hash(on), &[(1, 1), (2, 1)]);
        asking(fields, query, |asked| {
            let subject = |name: &str| (name == "auth.subject").then_some("alice");
            upstream.key(move || asked, subject)
        })
        .unwrap()
    };
    let header = || HashOn::Client(ClientKey::Header(HeaderName::from_static("x-user")));
    let cookie = || HashOn::Client(ClientKey::Cookie("uid".to_owned()));
    let alice = of(header(), &[("x-user", "alice")], "");
    assert_eq!(of(cookie(), &[("cookie", "a=b; uid=alice")], ""), alice);
    let query = HashOn::Client(ClientKey::Query("u".to_owned()));
    assert_eq!(of(query, &[], "u=alice&u=bob"), alice);
    assert_eq!(of(HashOn::Attribute("auth.subject".into()), &[], ""), alice);
    let address = of(HashOn::Client(ClientKey::ClientAddress), &[], "");
    for (on, fields) in [
        (header(), &[][..]),
        (header(), &[("x-user", "")]),
        (cookie(), &[("cookie", "uid=")]),
        (HashOn::Attribute("auth.tier".into()), &[("x-user", "a")]),
    ] {
        assert_eq!(of(on, fields, ""), address);
    }
    let upstream = spread(Balance::RoundRobin, &[(1, 1)]);
    let none = asking(&[("cookie", "gw=1")], "", |it| {
        upstream.key(move || it, |_| None)
    });
    assert_eq!(none, None);
}

fn sticky() -> Sticky {
    Sticky {
        cookie: "gw".to_owned(),
        ttl: None,
        secure: None,
        same_site: SameSite::Lax,
    }
}

/// A request with this cookie: the endpoint, and the cookie that it gets.
fn ask(upstream: &Upstream, client: &Client, cookie: &str) -> (u16, Option<String>) {
    let key = asking(&[(COOKIE.as_str(), cookie)], "", |asked| {
        upstream.key(move || asked, |_| None)
    });
    let picked = upstream.pick(client, key, &Tried::default()).unwrap();
    let set = upstream.set_cookie(&picked, key, false);
    (
        port(&picked),
        set.map(|set| set.to_str().unwrap().to_owned()),
    )
}

/// The cookie as the client sends it.
fn sent(set: &str) -> &str {
    set.split(';').next().unwrap()
}

#[test]
fn a_cookie_keeps_a_client_on_its_endpoint_and_is_set_once() {
    for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequest] {
        let upstream = specified(balance, Some(sticky()), &[1, 2, 3].map(Spec::of));
        let client = Client::default();
        for _ in 0..6 {
            let (home, set) = ask(&upstream, &client, "a=b");
            let set = set.unwrap();
            for _ in 0..6 {
                assert_eq!(ask(&upstream, &client, sent(&set)), (home, None));
            }
        }
    }
}

#[test]
fn a_cookie_leads_to_no_endpoint_that_takes_no_requests_and_is_set_anew() {
    let upstream = specified(Balance::RoundRobin, Some(sticky()), &[1, 2].map(Spec::of));
    let client = Client::default();
    let (home, set) = ask(&upstream, &client, "");
    let set = set.unwrap();
    let at = usize::from(home - 1);
    for obstacle in Obstacle::ALL {
        endpoint(&upstream, at).standing.block(obstacle, "");
        let (other, renewed) = ask(&upstream, &client, sent(&set));
        assert_ne!(other, home);
        let renewed = renewed.unwrap();
        assert_ne!(sent(&renewed), sent(&set));
        assert_eq!(ask(&upstream, &client, sent(&renewed)), (other, None));
        endpoint(&upstream, at).standing.clear(obstacle);
    }
    for odd in [
        "gw=",
        "gw=+123456789012345",
        "gw=zzzzzzzzzzzzzzzz",
        "gw=0000000000000000",
        "gw=00000000000000001",
    ] {
        assert!(ask(&upstream, &client, odd).1.is_some(), "{odd}");
    }
}

#[test]
fn a_cookie_that_names_a_backup_counts_only_while_backups_are_asked() {
    let specs = [
        Spec::of(1),
        Spec {
            backup: true,
            ..Spec::of(2)
        },
    ];
    let upstream = specified(Balance::RoundRobin, Some(sticky()), &specs);
    let client = Client::default();
    first(&upstream).standing.block(Obstacle::Unhealthy, "");
    let (port, set) = ask(&upstream, &client, "");
    assert_eq!(port, 2);
    first(&upstream).standing.clear(Obstacle::Unhealthy);
    let (port, renewed) = ask(&upstream, &client, sent(&set.unwrap()));
    assert_eq!((port, renewed.is_some()), (1, true));
}

#[test]
fn the_cookie_is_the_same_in_every_gateway_and_has_its_attributes() {
    let set = |sticky: Sticky, secure: bool| {
        let upstream = specified(Balance::RoundRobin, Some(sticky), &[Spec::of(1)]);
        let picked = upstream.pick(&Client::default(), None, &Tried::default());
        let set = upstream.set_cookie(&picked.unwrap(), None, secure);
        set.unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(
        set(sticky(), false),
        format!("gw={TOKEN}; Path=/; HttpOnly; SameSite=Lax")
    );
    assert_eq!(
        set(sticky(), true),
        format!("gw={TOKEN}; Path=/; HttpOnly; Secure; SameSite=Lax")
    );
    let kept = Sticky {
        ttl: Some(Duration::from_secs(3_600)),
        secure: Some(true),
        same_site: SameSite::None,
        ..sticky()
    };
    assert_eq!(
        set(kept, false),
        format!("gw={TOKEN}; Path=/; HttpOnly; Max-Age=3600; Secure; SameSite=None")
    );
}

const TOKEN: &str = "1700eba1cbe69694";
