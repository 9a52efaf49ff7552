//! Tokens that must never pass, and their neighbours that must.

use std::time::Duration;

use gateway_plugin_sdk::test::Harness;
use p256::ecdsa::signature::Signer;
use serde_json::{Value, json};

use super::sign::{self, NOW, SECRET, hmac, hs256, token};
use super::{auth, bearer, claims, jwt, passes, refusal};
use crate::Auth;

fn keys(keys: Value) -> Harness<Auth> {
    auth(json!({ "schemes": ["jwt"], "jwt": { "keys": keys } }))
}

fn admits(auth: &Harness<Auth>, token: &str) -> bool {
    passes(auth, &mut bearer(token))
}

/// Whether the token is answered with 401 and called invalid.
#[track_caller]
fn refuses(auth: &Harness<Auth>, token: &str) {
    let answer = refusal(auth, &mut bearer(token));
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.value("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
}

/// A token of the HMAC key with `more` in its header.
fn with_head(more: Value) -> String {
    let mut head = json!({ "alg": "HS256" });
    let Value::Object(more) = more else {
        panic!("no object")
    };
    head.as_object_mut().unwrap().extend(more);
    token(&head, &claims(json!({})), hmac(SECRET.as_bytes()))
}

#[test]
fn each_algorithm_verifies_its_own_tokens_and_no_changed_ones() {
    type Signer = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Value, Signer); 4] = [
        ("HS256", json!({ "secret": SECRET }), |signed| {
            hmac(SECRET.as_bytes())(signed)
        }),
        (
            "RS256",
            json!({ "public_key": sign::rs256_public() }),
            sign::rs256,
        ),
        (
            "ES256",
            json!({ "public_key": sign::es256_public() }),
            sign::es256,
        ),
        (
            "EdDSA",
            json!({ "public_key": sign::eddsa_public() }),
            sign::eddsa,
        ),
    ];
    for (algorithm, mut key, signer) in cases {
        key["algorithm"] = json!(algorithm);
        let auth = keys(json!([key]));
        let head = json!({ "alg": algorithm });
        let good = token(&head, &claims(json!({})), signer);
        let other = token(&head, &claims(json!({ "sub": "mallory" })), signer);
        assert!(admits(&auth, &good), "{algorithm}");
        let (_, signature) = good.rsplit_once('.').unwrap();
        let (signed, _) = other.rsplit_once('.').unwrap();
        refuses(&auth, &format!("{signed}.{signature}"));
        refuses(&auth, &format!("{signed}."));
        refuses(&auth, &token(&head, &claims(json!({})), |_| vec![0; 64]));
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    let auth = auth(jwt(json!({})));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let head = json!({ "alg": alg });
        refuses(&auth, &token(&head, &claims(json!({})), |_| Vec::new()));
        refuses(
            &auth,
            &token(&head, &claims(json!({})), hmac(SECRET.as_bytes())),
        );
    }
    refuses(
        &auth,
        &token(&json!({}), &claims(json!({})), hmac(SECRET.as_bytes())),
    );
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let public = sign::rs256_public();
    let rsa = json!({ "kid": "rsa", "algorithm": "RS256", "public_key": public });
    let shared = json!({ "kid": "shared", "algorithm": "HS256", "secret": SECRET });
    let der = public
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect::<String>();
    for keys in [json!([rsa]), json!([rsa, shared])] {
        let auth = super::auth(json!({ "schemes": ["jwt"], "jwt": { "keys": keys } }));
        for head in [
            json!({ "alg": "HS256" }),
            json!({ "alg": "HS256", "kid": "rsa" }),
        ] {
            for secret in [public.as_str(), public.trim(), &der] {
                let forged = token(&head, &claims(json!({})), hmac(secret.as_bytes()));
                refuses(&auth, &forged);
            }
        }
    }
}

#[test]
fn the_algorithm_is_the_keys_even_when_the_signature_would_hold() {
    let auth = auth(jwt(json!({})));
    for alg in ["HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"] {
        refuses(&auth, &with_head(json!({ "alg": alg })));
    }
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let unnamed = auth(jwt(json!({})));
    for kid in [
        "../../../dev/null",
        "/etc/passwd",
        "..\\..\\windows",
        "file:///dev/null",
        "https://evil.example/key",
        "' OR 1=1 --",
        "",
    ] {
        if !kid.is_empty() {
            refuses(&unnamed, &with_head(json!({ "kid": kid })));
        }
        let named = keys(json!([{ "kid": "a", "algorithm": "HS256", "secret": SECRET }]));
        refuses(&named, &with_head(json!({ "kid": kid })));
    }
    refuses(&unnamed, &with_head(json!({ "kid": 7 })));
    refuses(&unnamed, &with_head(json!({ "kid": "k".repeat(257) })));
    assert!(admits(&unnamed, &with_head(json!({ "kid": "2026-11" }))));
}

#[test]
fn a_kid_selects_its_key() {
    let auth = keys(json!([
        { "kid": "a", "algorithm": "HS256", "secret": "a".repeat(32) },
        { "kid": "b", "algorithm": "HS256", "secret": SECRET },
    ]));
    assert!(admits(&auth, &with_head(json!({ "kid": "b" }))));
    assert!(admits(&auth, &with_head(json!({}))));
    refuses(&auth, &with_head(json!({ "kid": "a" })));
    refuses(&auth, &with_head(json!({ "kid": "c" })));
}

#[test]
fn a_token_that_brings_a_key_or_an_extension_is_refused() {
    let auth = auth(jwt(json!({})));
    for name in ["jku", "x5u", "jwk", "x5c", "crit"] {
        for value in [
            json!("https://evil.example/keys"),
            json!({ "kty": "oct", "k": "AA" }),
            json!(["exp"]),
            json!([]),
            json!(null),
        ] {
            refuses(&auth, &with_head(json!({ name: value })));
        }
    }
}

#[test]
fn a_token_signed_by_the_key_that_it_brings_is_refused() {
    let public = sign::es256_public();
    let other = p256::ecdsa::SigningKey::from_slice(&[8; 32]).unwrap();
    let sign = |signed: &[u8]| {
        let signature: p256::ecdsa::Signature = other.sign(signed);
        signature.to_bytes().to_vec()
    };
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" });
    let auth = keys(json!([{ "kid": "a", "algorithm": "ES256", "public_key": public }]));
    for (name, value) in [
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
    ] {
        for kid in [json!("a"), json!("mine")] {
            let head = json!({ "alg": "ES256", "kid": kid, name: value });
            refuses(&auth, &token(&head, &claims(json!({})), sign));
        }
    }
}

#[test]
fn exp_and_nbf_are_numbers_and_exp_is_there() {
    let auth = auth(jwt(json!({})));
    refuses(
        &auth,
        &hs256(&claims(json!({ "exp": (NOW + 60).to_string() }))),
    );
    refuses(&auth, &hs256(&claims(json!({ "exp": null }))));
    refuses(&auth, &hs256(&claims(json!({ "exp": true }))));
    refuses(&auth, &hs256(&claims(json!({ "exp": [NOW + 60] }))));
    refuses(&auth, &hs256(&claims(json!({ "nbf": "0" }))));
    refuses(&auth, &hs256(&claims(json!({ "nbf": null }))));
    refuses(&auth, &hs256(&json!({ "sub": "alice" })));
}

#[test]
fn a_token_without_exp_passes_where_that_is_allowed() {
    let auth = auth(jwt(json!({ "require_exp": false })));
    assert!(admits(&auth, &hs256(&json!({ "sub": "alice" }))));
    refuses(&auth, &hs256(&json!({ "sub": "alice", "exp": NOW })));
    refuses(&auth, &hs256(&json!({ "sub": "alice", "exp": "never" })));
}

#[test]
fn a_token_is_valid_from_nbf_until_before_exp() {
    let auth = auth(jwt(json!({})));
    refuses(&auth, &hs256(&claims(json!({ "exp": NOW }))));
    refuses(&auth, &hs256(&claims(json!({ "exp": NOW - 3600 }))));
    refuses(&auth, &hs256(&claims(json!({ "nbf": NOW + 1 }))));
    assert!(admits(
        &auth,
        &hs256(&claims(json!({ "exp": NOW + 1, "nbf": NOW })))
    ));
}

#[test]
fn the_leeway_is_for_both_ends() {
    let auth = auth(jwt(json!({ "leeway": "5s" })));
    let token = hs256(&claims(json!({ "exp": NOW + 10, "nbf": NOW + 5 })));
    assert!(admits(&auth, &token));
    refuses(&auth, &hs256(&claims(json!({ "nbf": NOW + 6 }))));
    auth.advance(Duration::from_millis(14_999));
    assert!(admits(&auth, &token));
    auth.advance(Duration::from_millis(1));
    refuses(&auth, &token);
}

#[test]
fn a_token_over_8_kib_is_refused() {
    let auth = auth(jwt(json!({})));
    // A field of the header and a claim are padded together: base64 alone does not reach every length.
    let of_length = |wanted: usize| {
        let padded = |head: usize, claim: usize| {
            let head = json!({ "alg": "HS256", "pad": "x".repeat(head) });
            let claims = claims(json!({ "pad": "x".repeat(claim) }));
            token(&head, &claims, hmac(SECRET.as_bytes()))
        };
        let claim = (wanted - padded(0, 0).len()) / 4 * 3 - 3;
        let mut pads = (0..9).flat_map(|head| (0..9).map(move |more| (head, claim + more)));
        let token = pads.find_map(|(head, claim)| {
            Some(padded(head, claim)).filter(|token| token.len() == wanted)
        });
        token.expect("some padding makes the length")
    };
    assert!(admits(&auth, &of_length(8 * 1024)));
    refuses(&auth, &of_length(8 * 1024 + 1));
    refuses(&auth, &of_length(60 * 1024));
}

#[test]
fn issuer_and_audience_must_match() {
    let auth = auth(jwt(
        json!({ "issuer": "https://idp", "audience": ["a", "b"] }),
    ));
    let with = |iss: Value, aud: Value| hs256(&claims(json!({ "iss": iss, "aud": aud })));
    assert!(admits(&auth, &with(json!("https://idp"), json!("b"))));
    assert!(admits(
        &auth,
        &with(json!("https://idp"), json!(["x", "a"]))
    ));
    refuses(&auth, &with(json!("https://idp/"), json!("a")));
    refuses(&auth, &with(json!("https://idp"), json!("c")));
    refuses(&auth, &with(json!("https://idp"), json!([])));
    refuses(&auth, &hs256(&claims(json!({}))));
}

#[test]
fn what_is_no_compact_token_is_refused() {
    let auth = auth(jwt(json!({})));
    let good = hs256(&claims(json!({})));
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        &format!("{good}="),
        &format!("{good}."),
        &format!("{good}.x"),
        &good.replacen('.', "..", 1),
    ] {
        refuses(&auth, bad);
    }
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    refuses(&auth, &with_head(json!({ "alg": deep })));
    let array = token(
        &json!({ "alg": "HS256" }),
        &json!([]),
        hmac(SECRET.as_bytes()),
    );
    refuses(&auth, &array);
}

#[test]
fn a_token_nested_deeper_than_64_is_refused_in_its_head_and_in_its_claims() {
    let auth = auth(jwt(json!({})));
    // The document itself is the first level.
    let nested = |depth: usize| {
        let array = "[".repeat(depth - 1) + &"]".repeat(depth - 1);
        serde_json::from_str::<Value>(&array).unwrap()
    };
    for with in [
        |deep: Value| with_head(json!({ "x": deep })),
        |deep: Value| hs256(&claims(json!({ "x": deep }))),
    ] {
        assert!(admits(&auth, &with(nested(64))));
        refuses(&auth, &with(nested(65)));
    }
}
