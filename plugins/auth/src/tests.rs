//! Every option, against an exchange in memory. [`mod@tokens`] has the tokens that must never pass.

mod sign;
mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::{Exchange, Gateway, Harness};
use serde_json::{Value, json};

use crate::tests::sign::{NOW, SECRET, hs256};
use crate::{Auth, Scheme};

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn auth(config: Value) -> Harness<Auth> {
    Gateway::new().now(noon()).configure(config).unwrap()
}

/// The keys of all faults, sorted.
fn faults(config: Value) -> Vec<String> {
    let faults = Gateway::new().configure::<Auth>(config).unwrap_err();
    let mut keys: Vec<_> = faults.into_iter().map(|fault| fault.key).collect();
    keys.sort();
    keys
}

/// A table `jwt` with the one HMAC key and `more`.
fn jwt(more: Value) -> Value {
    let mut table = json!({ "keys": [{ "algorithm": "HS256", "secret": SECRET }] });
    let Value::Object(more) = more else {
        panic!("not a table")
    };
    table.as_object_mut().unwrap().extend(more);
    json!({ "schemes": ["jwt"], "jwt": table })
}

fn bearer(token: &str) -> Exchange {
    Exchange::get("/").header("authorization", format!("Bearer {token}"))
}

fn claims(more: Value) -> Value {
    let mut claims = json!({ "sub": "alice", "exp": NOW + 60 });
    let Value::Object(more) = more else {
        panic!("no object")
    };
    claims.as_object_mut().unwrap().extend(more);
    claims
}

fn passes(auth: &Harness<Auth>, exchange: &mut Exchange) -> bool {
    auth.on_request(exchange).unwrap() == Flow::Next
}

fn refusal(auth: &Harness<Auth>, exchange: &mut Exchange) -> Answer {
    match auth.on_request(exchange).unwrap() {
        Flow::Respond(answer) => answer,
        Flow::Next => panic!("the request passed"),
    }
}

fn challenges(answer: &Answer) -> Vec<&str> {
    let fields = answer.headers.iter();
    fields
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, value)| std::str::from_utf8(value).unwrap())
        .collect()
}

fn api_keys() -> Value {
    json!({ "schemes": ["api_key"], "api_key": { "keys": [
        { "key": "demo", "subject": "alice", "attributes": { "tier": "gold" } },
        { "key": "other", "subject": "bob" },
    ] } })
}

#[test]
fn an_api_key_tells_its_owner_and_does_not_go_upstream() {
    let auth = auth(api_keys());
    let mut exchange = Exchange::get("/").header("x-api-key", "demo");
    assert!(passes(&auth, &mut exchange));
    let attribute = |name| exchange.attribute_value(name);
    assert_eq!(attribute("auth.subject").as_deref(), Some("alice"));
    assert_eq!(attribute("auth.scheme").as_deref(), Some("api_key"));
    assert_eq!(attribute("auth.claims.tier").as_deref(), Some("gold"));
    assert_eq!(exchange.request_header("x-api-key"), None);

    let mut exchange = Exchange::get("/").header("x-api-key", "other");
    assert!(passes(&auth, &mut exchange));
    assert_eq!(
        exchange.attribute_value("auth.subject").as_deref(),
        Some("bob")
    );
}

#[test]
fn an_api_key_is_shown_to_the_upstream_if_it_is_not_to_be_hidden() {
    let mut config = api_keys();
    config["api_key"]["hide"] = json!(false);
    config["api_key"]["header"] = json!("X-Key");
    let mut exchange = Exchange::get("/").header("x-key", "demo");
    assert!(passes(&auth(config), &mut exchange));
    assert_eq!(exchange.request_header("x-key").as_deref(), Some("demo"));
}

#[test]
fn no_api_key_and_a_wrong_one_are_answered_with_401() {
    let auth = auth(api_keys());
    for exchange in [
        Exchange::get("/"),
        Exchange::get("/").header("x-api-key", ""),
        Exchange::get("/").header("x-api-key", "dem"),
        Exchange::get("/").header("x-api-key", "demo2"),
        Exchange::get("/").header("x-api-key", "Demo"),
    ] {
        let answer = refusal(&auth, &mut { exchange });
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.value("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(challenges(&answer), ["ApiKey header=\"x-api-key\""]);
    }
}

#[test]
fn the_first_scheme_that_admits_decides() {
    let mut config = jwt(json!({}));
    config["schemes"] = json!(["jwt", "api_key"]);
    config["api_key"] = api_keys()["api_key"].clone();
    let auth = auth(config);
    let token = hs256(&claims(json!({ "sub": "carol" })));

    let mut both = bearer(&token).header("x-api-key", "demo");
    assert!(passes(&auth, &mut both));
    assert_eq!(
        both.attribute_value("auth.subject").as_deref(),
        Some("carol")
    );
    assert_eq!(both.request_header("x-api-key"), None);

    let mut key = bearer("nonsense").header("x-api-key", "demo");
    assert!(passes(&auth, &mut key));
    assert_eq!(
        key.attribute_value("auth.scheme").as_deref(),
        Some("api_key")
    );

    let answer = refusal(&auth, &mut Exchange::get("/"));
    assert_eq!(
        challenges(&answer),
        ["Bearer", "ApiKey header=\"x-api-key\""]
    );
}

#[test]
fn a_credential_that_was_not_checked_does_not_go_upstream() {
    let mut config = jwt(json!({}));
    config["schemes"] = json!(["api_key", "jwt"]);
    config["api_key"] = api_keys()["api_key"].clone();
    config["api_key"]["hide"] = json!(false);
    let auth = auth(config);

    let mut exchange = bearer("forged").header("x-api-key", "demo");
    assert!(passes(&auth, &mut exchange));
    assert_eq!(exchange.request_header("authorization"), None);
    assert_eq!(
        exchange.request_header("x-api-key").as_deref(),
        Some("demo")
    );

    let token = hs256(&claims(json!({})));
    let mut exchange = bearer(&token)
        .header("authorization", "Bearer forged")
        .header("x-api-key", "guess");
    assert!(passes(&auth, &mut exchange));
    let sent = exchange.request_headers();
    let expected = format!("Bearer {token}").into_bytes();
    assert_eq!(sent, [("authorization".to_owned(), expected)]);
}

#[test]
fn only_a_token_that_was_presented_is_called_invalid() {
    let auth = auth(jwt(json!({})));
    let basic = Exchange::get("/").header("authorization", "Basic YTpi");
    for exchange in [Exchange::get("/"), basic] {
        let answer = refusal(&auth, &mut { exchange });
        assert_eq!(answer.status, 401);
        assert_eq!(challenges(&answer), ["Bearer"]);
    }
    let answer = refusal(&auth, &mut bearer("a.b.c"));
    assert_eq!(challenges(&answer), ["Bearer error=\"invalid_token\""]);
    assert_eq!(
        answer.value("content-type"),
        Some("application/problem+json")
    );
}

#[test]
fn claims_become_headers_and_attributes() {
    let auth = auth(jwt(json!({
        "claims_to_headers": { "X-User": "sub", "x-roles": "realm.roles", "x-none": "absent" },
        "claims_to_attributes": ["role", "level"],
    })));
    let token = hs256(&claims(
        json!({ "role": "admin", "level": 3, "realm": { "roles": ["a", "b"] } }),
    ));
    let mut exchange = bearer(&token)
        .header("x-user", "mallory")
        .header("x-none", "forged");
    assert!(passes(&auth, &mut exchange));
    assert_eq!(exchange.request_header("x-user").as_deref(), Some("alice"));
    assert_eq!(exchange.request_header("x-roles").as_deref(), Some("a,b"));
    assert_eq!(exchange.request_header("x-none"), None);
    let attribute = |name| exchange.attribute_value(name);
    assert_eq!(attribute("auth.subject").as_deref(), Some("alice"));
    assert_eq!(attribute("auth.scheme").as_deref(), Some("jwt"));
    assert_eq!(attribute("auth.claims.role").as_deref(), Some("admin"));
    assert_eq!(attribute("auth.claims.level").as_deref(), Some("3"));
}

#[test]
fn a_header_for_claims_never_passes_from_the_client_whichever_scheme_admits() {
    let mut config = jwt(json!({ "claims_to_headers": { "x-user": "sub" } }));
    config["schemes"] = json!(["api_key", "jwt"]);
    config["api_key"] = api_keys()["api_key"].clone();
    let mut exchange = Exchange::get("/")
        .header("x-api-key", "demo")
        .header("x-user", "mallory");
    assert!(passes(&auth(config), &mut exchange));
    assert_eq!(exchange.request_header("x-user"), None);
}

#[test]
fn a_claim_that_would_split_a_header_is_refused() {
    let auth = auth(jwt(json!({ "claims_to_headers": { "x-user": "sub" } })));
    let token = hs256(&claims(json!({ "sub": "a\r\nx-admin: 1" })));
    assert_eq!(refusal(&auth, &mut bearer(&token)).status, 401);
}

#[test]
fn a_required_claim_has_one_of_its_values_or_the_answer_is_403() {
    let auth = auth(jwt(
        json!({ "required_claims": { "role": ["admin", "owner"], "scope": "write" } }),
    ));
    for (more, enough) in [
        (json!({ "role": "admin", "scope": "write" }), true),
        (
            json!({ "role": ["x", "owner"], "scope": "read write" }),
            true,
        ),
        (json!({ "role": "admin", "scope": "read" }), false),
        (json!({ "role": "admin", "scope": "writer" }), false),
        (json!({ "role": "administrator", "scope": "write" }), false),
        (json!({ "scope": "write" }), false),
    ] {
        let mut exchange = bearer(&hs256(&claims(more.clone())));
        if enough {
            assert!(passes(&auth, &mut exchange), "{more}");
            continue;
        }
        let answer = refusal(&auth, &mut exchange);
        assert_eq!(answer.status, 403, "{more}");
        assert_eq!(challenges(&answer), ["Bearer error=\"insufficient_scope\""]);
    }
}

#[test]
fn a_token_may_stand_in_another_field_without_a_scheme() {
    let auth = auth(jwt(json!({ "header": "x-token" })));
    let token = hs256(&claims(json!({})));
    for value in [token.clone(), format!("bearer {token}")] {
        let mut exchange = Exchange::get("/").header("x-token", &value);
        assert!(passes(&auth, &mut exchange), "{value}");
    }
}

#[test]
fn a_known_token_expires_all_the_same_and_its_signature_still_counts() {
    let auth = auth(jwt(json!({})));
    let token = hs256(&claims(json!({})));
    assert!(passes(&auth, &mut bearer(&token)));
    assert!(passes(&auth, &mut bearer(&token)));
    assert_eq!(cached(&auth), 1);

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{flipped}{}", &signature[1..]);
    assert_eq!(refusal(&auth, &mut bearer(&forged)).status, 401);
    let cut = format!("{signed}.");
    assert_eq!(refusal(&auth, &mut bearer(&cut)).status, 401);

    auth.advance(Duration::from_secs(60));
    assert_eq!(refusal(&auth, &mut bearer(&token)).status, 401);
}

#[test]
fn the_cache_holds_two_generations_and_no_long_tokens() {
    let auth = auth(jwt(json!({})));
    for n in 0..1500 {
        assert!(passes(
            &auth,
            &mut bearer(&hs256(&claims(json!({ "jti": n }))))
        ));
        assert!(cached(&auth) <= 1024);
    }
    let before = cached(&auth);
    let long = hs256(&claims(json!({ "pad": "x".repeat(2048) })));
    assert!(passes(&auth, &mut bearer(&long)));
    assert_eq!(cached(&auth), before);
}

fn cached(auth: &Harness<Auth>) -> usize {
    let cached = auth
        .plugin()
        .schemes
        .iter()
        .map(|tried| match &tried.scheme {
            Scheme::Jwt(jwt) => jwt.cached(),
            Scheme::ApiKey(_) => 0,
        });
    cached.sum()
}

#[test]
fn every_fault_of_the_configuration_is_named_at_once() {
    assert_eq!(faults(json!({})), ["schemes"]);
    assert_eq!(faults(json!({ "schemes": [] })), ["schemes"]);
    assert_eq!(
        faults(json!({ "schemes": ["api_key", "jwt", "jwt"] })),
        ["schemes[0]", "schemes[1]", "schemes[2]"]
    );
    assert_eq!(
        faults(json!({
            "schemes": ["api_key", "jwt"],
            "api_key": { "header": "x key", "keys": [
                { "key": "", "subject": "" },
                { "key": "a", "subject": "a" },
                { "key": "a", "subject": "b" },
            ] },
            "jwt": {
                "keys": [
                    { "algorithm": "HS256" },
                    { "algorithm": "HS256", "secret": "short" },
                    { "algorithm": "RS256", "public_key": "no PEM" },
                    { "algorithm": "ES256", "secret": SECRET },
                    { "algorithm": "EdDSA", "public_key": sign::es256_public() },
                    { "kid": "", "algorithm": "HS256", "secret": SECRET },
                ],
                "audience": [],
                "required_claims": { "role": [] },
                "claims_to_headers": { "x user": "sub", "Host": "sub" },
            },
        })),
        [
            "api_key.header",
            "api_key.keys[0].key",
            "api_key.keys[0].subject",
            "api_key.keys[2].key",
            "jwt.audience",
            "jwt.claims_to_headers.Host",
            "jwt.claims_to_headers.x user",
            "jwt.keys[0].secret",
            "jwt.keys[1].secret",
            "jwt.keys[2].public_key",
            "jwt.keys[3].public_key",
            "jwt.keys[3].secret",
            "jwt.keys[4].public_key",
            "jwt.keys[5].kid",
            "jwt.required_claims.role",
        ]
    );
    assert_eq!(
        faults(
            json!({ "schemes": ["api_key", "jwt"], "api_key": { "keys": [] }, "jwt": { "keys": [] } })
        ),
        ["api_key.keys", "jwt.keys"]
    );
}

#[test]
fn an_unknown_key_is_an_error() {
    let mut config = jwt(json!({ "issuers": "x" }));
    config["shemes"] = json!(["jwt"]);
    assert_eq!(faults(config), ["jwt.issuers", "shemes"]);
    assert_eq!(faults(jwt(json!({ "leeway": "soon" }))), ["jwt.leeway"]);
}
