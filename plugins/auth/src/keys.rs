//! The keys that sign tokens. The algorithm belongs to the key, never to the token: a token that names another one
//! is not verified with this key at all (RFC 8725, section 3.1).

use gateway_plugin_sdk::ConfigError;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::Sha256;

/// RFC 7518, section 3.2: a key for HS256 has at least as many bits as the hash.
const SHORTEST_SECRET: usize = 32;
/// RFC 7518, section 3.3.
const SMALLEST_RSA_BITS: u32 = 2048;

/// One of `jwt.keys`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyConfig {
    /// The key's name, which tokens give in `kid`. A key without one is tried for every token.
    kid: Option<String>,
    /// What the key signs with.
    algorithm: Algorithm,
    /// For HS256: the shared secret, at least 32 bytes.
    secret: Option<String>,
    /// For the others: the public key in PEM (`BEGIN PUBLIC KEY`).
    public_key: Option<String>,
}

impl std::fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyConfig")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Algorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// As tokens name it.
    const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key, ready to verify.
pub(crate) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    verifier: Verifier,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

enum Verifier {
    /// The state after the key went in, which a verification starts from.
    Hmac(Box<Hmac<Sha256>>),
    Rsa(Box<rsa::pkcs1v15::VerifyingKey<Sha256>>),
    Ecdsa(Box<p256::ecdsa::VerifyingKey>),
    EdDsa(Box<ed25519_dalek::VerifyingKey>),
}

impl KeyConfig {
    /// Checks the table at `path`; every fault goes to `faults`.
    pub(crate) fn check(self, path: &str, faults: &mut Vec<ConfigError>) -> Option<Key> {
        let before = faults.len();
        let mut fault = |key: &str, message: String| {
            faults.push(ConfigError::new(format!("{path}.{key}"), message));
        };
        if self.kid.as_deref() == Some("") {
            fault("kid", "is empty; leave it out".to_owned());
        }
        let symmetric = self.algorithm == Algorithm::Hs256;
        let (wanted, other) = if symmetric {
            (("secret", self.secret), ("public_key", self.public_key))
        } else {
            (("public_key", self.public_key), ("secret", self.secret))
        };
        let algorithm = self.algorithm.name();
        if other.1.is_some() {
            fault(
                other.0,
                format!("is nothing that {algorithm} uses; it takes `{}`", wanted.0),
            );
        }
        let verifier = match wanted.1 {
            None => {
                fault(wanted.0, format!("is missing; {algorithm} needs it"));
                None
            }
            Some(material) => match Verifier::new(self.algorithm, &material) {
                Ok(verifier) => Some(verifier),
                Err(message) => {
                    fault(wanted.0, message);
                    None
                }
            },
        };
        let verifier = verifier.filter(|_| faults.len() == before)?;
        Some(Key {
            kid: self.kid,
            algorithm: self.algorithm,
            verifier,
        })
    }
}

impl Key {
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether this is the algorithm that the token names.
    pub(crate) fn signs_with(&self, algorithm: &str) -> bool {
        self.algorithm.name() == algorithm
    }

    /// Whether the signature over `signed` is this key's.
    pub(crate) fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Verifier::Hmac(keyed) => {
                let mut mac = (**keyed).clone();
                mac.update(signed);
                mac.verify_slice(signature).is_ok()
            }
            Verifier::Rsa(key) => rsa::pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            Verifier::Ecdsa(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            // Strict: keys and signatures of small order, which fit many messages, are refused.
            Verifier::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
        }
    }
}

impl Verifier {
    fn new(algorithm: Algorithm, material: &str) -> Result<Self, String> {
        let bad = |kind: &str, error: &dyn std::fmt::Display| {
            format!("is no {kind} public key in PEM (`BEGIN PUBLIC KEY`): {error}")
        };
        match algorithm {
            Algorithm::Hs256 if material.len() < SHORTEST_SECRET => Err(format!(
                "is {} bytes; HS256 needs at least {SHORTEST_SECRET} (RFC 7518, section 3.2)",
                material.len()
            )),
            Algorithm::Hs256 => Hmac::new_from_slice(material.as_bytes())
                .map(|keyed| Self::Hmac(Box::new(keyed)))
                .map_err(|error| error.to_string()),
            Algorithm::Rs256 => {
                let key = rsa::PublicKey::from_public_key_pem(material.trim())
                    .map_err(|error| bad("RSA", &error))?;
                let bits = key.n().bit_width();
                if bits < SMALLEST_RSA_BITS {
                    return Err(format!(
                        "has {bits} bits; RS256 needs at least {SMALLEST_RSA_BITS} (RFC 7518, section 3.3)"
                    ));
                }
                Ok(Self::Rsa(Box::new(rsa::pkcs1v15::VerifyingKey::new(key))))
            }
            Algorithm::Es256 => p256::ecdsa::VerifyingKey::from_public_key_pem(material.trim())
                .map(|key| Self::Ecdsa(Box::new(key)))
                .map_err(|error| bad("P-256", &error)),
            Algorithm::EdDsa => ed25519_dalek::VerifyingKey::from_public_key_pem(material.trim())
                .map(|key| Self::EdDsa(Box::new(key)))
                .map_err(|error| bad("Ed25519", &error)),
        }
    }
}
