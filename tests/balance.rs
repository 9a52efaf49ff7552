//! How the requests of an upstream are spread over its endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::gateway::PATIENCE;
use crate::harness::http::{connect, read_answer};
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};
use crate::streams::gone;

/// An origin that answers with its name.
fn named(name: &'static str) -> Origin {
    Origin::answering(move |_, _| {
        let length = name.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}").into_bytes()
    })
}

fn origins() -> [Origin; 4] {
    ["a", "b", "c", "d"].map(named)
}

/// One upstream at `/**`, of these endpoints and with these lines.
fn spread(endpoints: &[String], lines: &str) -> Configuration {
    let endpoints = endpoints.join(", ");
    Configuration::new()
        .with(&format!(
            "[upstreams.p]\nendpoints = [{endpoints}]\n{lines}"
        ))
        .route("all", "/**", "upstream = 'p'")
}

fn at(address: SocketAddr) -> String {
    format!("'{address}'")
}

fn addresses(origins: &[Origin]) -> Vec<String> {
    origins.iter().map(|origin| at(origin.address)).collect()
}

/// Asks over one connection, with a field in each request; who answers.
fn ask(public: SocketAddr, fields: impl IntoIterator<Item = String>) -> Vec<String> {
    ask_at(public, "/x?u=none", fields)
}

fn ask_at(public: SocketAddr, path: &str, fields: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut stream = connect(public);
    let mut answers = Vec::new();
    for field in fields {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answers.push(answer.text());
    }
    answers
}

fn users(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|user| format!("x-user: user-{user}"))
}

#[test]
fn turns_go_by_weight_and_each_worker_has_its_own() {
    let [a, b, c, _] = origins();
    let weighted = format!("{{ address = '{}', weight = 5 }}", a.address);
    let endpoints = [weighted, at(b.address), at(c.address)];
    let gateway = Gateway::start(&spread(&endpoints, ""));
    let turns = ask(
        gateway.listener("public"),
        (0..14).map(|n| format!("x: {n}")),
    );
    assert_eq!(turns.concat(), "aabacaaaabacaa");
}

#[test]
fn a_key_stays_where_it_is_when_another_endpoint_goes_in_every_gateway() {
    // So many that chance, which is in the ports, stays within the bounds: the standard deviation of a share is 17.
    const USERS: usize = 1_600;
    let origins = origins();
    let all = addresses(&origins);
    let lines = "balance = 'hash'\nhash_on = 'header:x-user'";
    let config = spread(&all, lines).workers(2);
    let (one, other) = (Gateway::start(&config), Gateway::start(&config));
    let before = ask(one.listener("public"), users(USERS));
    let shares = before.iter().fold(BTreeMap::new(), |mut shares, name| {
        *shares.entry(name.as_str()).or_insert(0) += 1;
        shares
    });
    assert!(
        shares.len() == 4 && shares.values().all(|share| (300..=500).contains(share)),
        "{shares:?}"
    );
    let reversed: Vec<_> = all.iter().rev().cloned().collect();
    other.configure(&spread(&reversed, lines).workers(2));
    other.wait_for("reloaded");
    assert_eq!(ask(other.listener("public"), users(USERS)), before);
    let left = [all[0].clone(), all[1].clone(), all[3].clone()];
    one.configure(&spread(&left, lines).workers(2));
    one.wait_for("reloaded");
    let after = ask(one.listener("public"), users(USERS));
    let mut moved = 0;
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || before == "c", "{before} to {after}");
        assert_ne!(after, "c");
        moved += usize::from(before != after);
    }
    assert!(moved <= USERS / 4 + USERS / 20, "{moved}");
}

/// `chain` runs before the upstream; each user is asked for three times with the field that `of` makes.
fn assert_keyed(lines: &str, more: &Configuration, of: impl Fn(usize) -> String) {
    let origins = origins();
    let endpoints = addresses(&origins).join(", ");
    let upstream = format!("[upstreams.p]\nendpoints = [{endpoints}]\nbalance = 'hash'\n{lines}");
    let gateway = Gateway::start(&more.clone().with(&upstream));
    let public = gateway.listener("public");
    let mut reached = BTreeSet::new();
    for user in 0..12 {
        let three = ask(public, (0..3).map(|_| of(user)));
        assert!(three.iter().all(|name| *name == three[0]), "{three:?}");
        reached.insert(three[0].clone());
    }
    assert!(reached.len() > 1, "{lines}: {reached:?}");
    // Without the key, by the address of the client.
    let without = ask(public, (0..8).map(|n| format!("x-other: {n}")));
    assert!(
        without.iter().all(|name| *name == without[0]),
        "{without:?}"
    );
}

#[test]
fn a_key_comes_from_a_field_a_cookie_the_address_or_a_plugin() {
    let plain = Configuration::new().route("all", "/**", "upstream = 'p'");
    assert_keyed("hash_on = 'header:x-user'", &plain, |user| {
        format!("x-user: {user}")
    });
    assert_keyed("hash_on = 'cookie:uid'", &plain, |user| {
        format!("cookie: a=b; uid={user}")
    });
    let trusting = plain.clone().public("trusted_proxies = ['127.0.0.0/8']");
    assert_keyed("", &trusting, |user| {
        format!("x-forwarded-for: 192.0.2.{user}")
    });
    let keys =
        (0..12).map(|user| format!("{{ key = 'the-key-of-{user:05}', subject = 'user-{user}' }}"));
    let keys: Vec<_> = keys.collect();
    let keys = keys.join(", ");
    let auth = format!("config = {{ schemes = ['api_key'], api_key = {{ keys = [{keys}] }} }}");
    let where_given =
        "plugins = [{ name = 'auth', when = { headers = { x-api-key = { present = true } } } }]";
    let keyed = Configuration::new().plugin("auth", "auth", &auth).route(
        "all",
        "/**",
        &format!("{where_given}\nupstream = 'p'"),
    );
    assert_keyed("hash_on = 'attribute:auth.subject'", &keyed, |user| {
        format!("x-api-key: the-key-of-{user:05}")
    });
}

#[test]
fn a_key_comes_from_the_query() {
    let origins = origins();
    let lines = "balance = 'hash'\nhash_on = 'query:u'";
    let gateway = Gateway::start(&spread(&addresses(&origins), lines));
    let public = gateway.listener("public");
    let reached = (0..12).map(|user| {
        let path = |page: usize| format!("/p/{page}?v=1&u=user%20{user}");
        let first = get(public, &path(1), &[]).text();
        assert_eq!(get(public, &path(2), &[]).text(), first);
        first
    });
    assert!(reached.collect::<BTreeSet<_>>().len() > 1);
}

#[test]
fn sub_requests_of_plugins_go_by_a_key_too() {
    let origins = origins();
    let endpoints = addresses(&origins).join(", ");
    let upstream = format!(
        "[upstreams.echo]\nendpoints = [{endpoints}]\nbalance = 'hash'\nhash_on = 'header:x-user'"
    );
    let config = Configuration::new()
        .public("trusted_proxies = ['127.0.0.0/8']")
        .secret("token", "s3cret")
        .plugin(
            "probe",
            "guest_probe",
            "grants = { upstreams = ['echo'], secrets = ['token'], state = true }",
        )
        .with(&upstream)
        .chain("probed", "/probe/**", &["probe"], "upstream = 'echo'");
    let gateway = Gateway::start(&config);
    let mut reached = BTreeSet::new();
    for client in 0..10 {
        let seen = || -> Vec<usize> { origins.iter().map(|it| it.seen().len()).collect() };
        let before = seen();
        // Two at once, without the field: by the address of the client.
        let from = [("x-forwarded-for", &*format!("192.0.2.{client}"))];
        let answer = get(gateway.listener("public"), "/probe/send-all", &from);
        assert_eq!(answer.status, 200, "{}", gateway.text());
        let after = seen();
        let got = after
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before);
        let got: Vec<_> = got.collect();
        assert_eq!(got.iter().max(), Some(&2), "{got:?}");
        reached.insert(got);
    }
    assert!(reached.len() > 1, "{reached:?}");
}

/// Two or more upstreams that hold what they get.
struct Holding<const N: usize>([Recorder; N]);

impl<const N: usize> Holding<N> {
    fn start() -> Self {
        Self(std::array::from_fn(|_| Recorder::start()))
    }

    fn endpoints(&self) -> Vec<String> {
        let recorders = self.0.iter();
        recorders.map(|recorder| at(recorder.address)).collect()
    }

    /// How many requests each got.
    fn held(&self) -> [usize; N] {
        self.0.each_ref().map(|recorder| recorder.counts().0)
    }

    /// Sends one more; who got it.
    fn hold(&self, public: SocketAddr, field: &str) -> (TcpStream, usize) {
        let before = self.held();
        let mut client = connect(public);
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let began = Instant::now();
        loop {
            let now = self.held();
            let grown = (0..N).find(|at| now[*at] > before[*at]);
            if let Some(at) = grown {
                self.0[at].head(now[at] - 1);
                return (client, at);
            }
            assert!(began.elapsed() < PATIENCE, "nobody got it");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn the_endpoint_with_less_to_do_gets_the_next_request() {
    let holding = Holding::<2>::start();
    let lines = "balance = 'least_request'";
    let gateway = Gateway::start(&spread(&holding.endpoints(), lines).workers(2));
    let public = gateway.listener("public");
    for _ in 0..6 {
        let (mut first, at) = holding.hold(public, "x: 1");
        let (mut second, other) = holding.hold(public, "x: 2");
        assert_ne!(at, other);
        // The one that has answered is free again.
        let last = holding.0[at].counts().0 - 1;
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        holding.0[at].send(last, answer);
        assert_eq!(read_answer(&mut first).status, 200);
        let (mut third, again) = holding.hold(public, "x: 3");
        assert_eq!(again, at);
        for (client, at) in [(&mut second, other), (&mut third, again)] {
            holding.0[at].send(holding.0[at].counts().0 - 1, answer);
            assert_eq!(read_answer(client).status, 200);
        }
    }
}

#[test]
fn a_key_that_everybody_has_fills_no_endpoint_beyond_a_quarter_over_its_share() {
    let holding = Holding::<4>::start();
    let lines = "balance = 'hash'\nhash_on = 'header:x-user'";
    let gateway = Gateway::start(&spread(&holding.endpoints(), lines));
    let public = gateway.listener("public");
    let mut clients = Vec::new();
    let mut by = Vec::new();
    for _ in 0..48 {
        let (client, at) = holding.hold(public, "x-user: hot");
        clients.push(client);
        by.push(at);
    }
    assert!(by[..8].iter().all(|at| *at == by[0]), "{by:?}");
    let held = holding.held();
    // 1.25 × 48 ÷ 4.
    assert_eq!(held.iter().max(), Some(&15), "{held:?}");
}

/// The cookie that an answer sets, as a client sends it.
fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.header("set-cookie")?;
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; Max-Age=3600; SameSite=Lax");
    Some(pair.to_owned())
}

#[test]
fn a_cookie_keeps_a_client_on_its_endpoint_until_that_is_gone() {
    let origins = origins();
    let all = addresses(&origins);
    let lines = "sticky = { cookie = 'gw', ttl = '1h' }";
    let config = spread(&all, lines).workers(2);
    let (gateway, fleet) = (Gateway::start(&config), Gateway::start(&config));
    let public = gateway.listener("public");
    let first = get(public, "/", &[]);
    let home = first.text();
    let kept = cookie(&first).unwrap();
    let port = origins.iter().map(|origin| origin.address.port());
    for port in port {
        assert!(!kept.contains(&port.to_string()), "{kept}");
    }
    for public in [public, fleet.listener("public")] {
        for _ in 0..6 {
            let again = get(public, "/", &[("cookie", &format!("a=b; {kept}"))]);
            assert_eq!((again.text(), cookie(&again)), (home.clone(), None));
        }
    }
    // The upstream sees it, as it sees all others.
    let at = |name: &str| ["a", "b", "c", "d"].iter().position(|it| *it == name);
    let seen = origins[at(&home).unwrap()].seen();
    assert!(seen[1].contains(&kept), "{}", seen[1]);
    let others: Vec<_> = (0..4).filter(|it| Some(*it) != at(&home)).collect();
    let left: Vec<_> = others.iter().map(|at| all[*at].clone()).collect();
    gateway.configure(&spread(&left, lines).workers(2));
    gateway.wait_for("reloaded");
    let moved = get(public, "/", &[("cookie", &kept)]);
    assert_ne!(moved.text(), home);
    let renewed = cookie(&moved).unwrap();
    assert_ne!(renewed, kept);
    let again = get(public, "/", &[("cookie", &renewed)]);
    assert_eq!((again.text(), cookie(&again)), (moved.text(), None));
}

#[test]
fn a_backup_gets_nothing_while_another_endpoint_takes_requests() {
    let [a, b, c, _] = origins();
    let backup = format!(
        "{{ address = '{}', weight = 100, backup = true }}",
        c.address
    );
    for balance in ["round_robin", "random", "least_request", "hash"] {
        let endpoints = [at(a.address), at(b.address), backup.clone()];
        let gateway = Gateway::start(&spread(&endpoints, &format!("balance = '{balance}'")));
        ask(gateway.listener("public"), users(40));
    }
    assert!(c.seen().is_empty());
    assert!(!a.seen().is_empty() && !b.seen().is_empty());
}

/// Checks that no endpoint which is gone passes.
const CHECKED: &str = "health = { kind = 'tcp', interval = '50ms', timeout = '20s' }";

/// Asks until the answer has this status.
fn wait_for_status(public: SocketAddr, path: &str, status: u16) -> Answer {
    let began = Instant::now();
    loop {
        let answer = get(public, path, &[]);
        if answer.status == status {
            return answer;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{} {}",
            answer.status,
            answer.text()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_backup_answers_where_no_other_endpoint_is_well() {
    let [a, _, _, _] = origins();
    let backup = format!("{{ address = '{}', backup = true }}", a.address);
    for lines in ["", "balance = 'hash'", "sticky = { cookie = 'gw' }"] {
        let gateway = Gateway::start(&spread(
            &[at(gone()), backup.clone()],
            &format!("{CHECKED}\n{lines}"),
        ));
        let answer = wait_for_status(gateway.listener("public"), "/", 200);
        assert_eq!(answer.text(), "a", "{lines}");
    }
}

#[test]
fn where_no_endpoint_takes_requests_503_says_why_and_a_fallback_answers() {
    let config = spread(&[at(gone())], CHECKED).access_log().route(
        "caught",
        "/caught",
        "upstream = 'p'\nfallback = { respond = { status = 203 }, on = ['connect'] }",
    );
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    wait_for_status(public, "/", 503);
    gateway.wait_for_all(&["the one endpoint takes no requests: it is unhealthy"]);
    gateway.wait_for_all(&["\"error\":\"no_endpoint\"", "\"status\":503"]);
    assert_eq!(get(public, "/caught", &[]).status, 203);
    gateway.wait_for("\"fallback\":\"no_endpoint\"");
    let failures = "gateway_upstream_failures_total{upstream=\"p\",kind=\"no_endpoint\"}";
    assert!(gateway.metric(failures) >= 2.0);
}

/// config/examples/balancing.toml, as docs/balancing.md shows it.
#[test]
fn the_example_of_balancing_does_what_its_page_says() {
    let origins = origins();
    let [a, b, c, d] = origins.each_ref().map(|origin| origin.address);
    let gateway = Gateway::example("balancing", &[("A", a), ("B", b), ("C", c), ("SPARE", d)]);
    let public = gateway.listener("public");
    // One connection is one worker, of which the second begins with the second endpoint.
    let turns = ask_at(public, "/catalog/1", (0..8).map(|n| format!("x: {n}"))).concat();
    assert!("abcaabcaabca".contains(&turns), "{turns}");
    for _ in 0..20 {
        assert_ne!(get(public, "/search?q=1", &[]).text(), "d");
    }
    let cart = |uid: &str| get(public, "/cart", &[("cookie", &format!("uid={uid}"))]).text();
    for uid in ["alice", "bob", "carol", "dave"] {
        assert_eq!(cart(uid), cart(uid), "{uid}");
    }
    let first = get(public, "/admin/", &[]);
    let set = first.header("set-cookie").unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert!(pair.starts_with("desk="), "{set}");
    assert_eq!(attributes, "Path=/; HttpOnly; Max-Age=28800; SameSite=Lax");
    for _ in 0..4 {
        let again = get(public, "/admin/", &[("cookie", pair)]);
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("set-cookie"), None);
    }
}
