//! Signs tokens.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use p256::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value, json};
use sha2::Sha256;

/// The time of day in the tests, in seconds since 1970.
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";

static RSA: LazyLock<rsa::PrivateKey> =
    LazyLock::new(|| rsa::PrivateKey::new(&mut rand::rng(), 2048).unwrap());

/// Header and payload, signed by `sign`.
pub(super) fn token(head: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(head.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = encode(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

pub(super) fn hmac(secret: &[u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    move |signed| {
        mac.update(signed);
        mac.finalize().into_bytes().to_vec()
    }
}

pub(super) fn hs256(claims: &Value) -> String {
    let head = json!({ "alg": "HS256", "typ": "JWT" });
    token(&head, claims, hmac(SECRET.as_bytes()))
}

pub(super) fn rs256(signed: &[u8]) -> Vec<u8> {
    use p256::ecdsa::signature::SignatureEncoding;

    let key = rsa::pkcs1v15::SigningKey::<Sha256>::new(RSA.clone());
    key.sign(signed).to_vec()
}

pub(super) fn rs256_public() -> String {
    let key = RSA.to_public_key();
    key.to_public_key_pem(LineEnding::LF).unwrap()
}

fn es256_key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

pub(super) fn es256(signed: &[u8]) -> Vec<u8> {
    let signature: p256::ecdsa::Signature = es256_key().sign(signed);
    signature.to_bytes().to_vec()
}

pub(super) fn es256_public() -> String {
    let key = *es256_key().verifying_key();
    key.to_public_key_pem(LineEnding::LF).unwrap()
}

fn eddsa_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[7; 32])
}

pub(super) fn eddsa(signed: &[u8]) -> Vec<u8> {
    eddsa_key().sign(signed).to_bytes().to_vec()
}

pub(super) fn eddsa_public() -> String {
    let key = eddsa_key().verifying_key();
    key.to_public_key_pem(LineEnding::LF).unwrap()
}
