//! JWTs that we sign as a client: assertions (RFC 7523) and requests. The host signs with RSA and EC keys, in constant time;
//! we with Ed25519 keys and shared secrets.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub use super::private_key::PrivateKeyError;
use super::{Algorithm, private_key::PrivateKey};
use crate::platform::{Platform, SignError};

/// A private key that signs by one algorithm.
pub struct SigningKey {
    key: PrivateKey,
    algorithm: Algorithm,
    kid: Option<String>,
}

impl SigningKey {
    /// Reads a key, in PEM or as a JWK. By default its `kid` and its algorithm are those of the JWK, or the algorithm is the
    /// usual one for its kind.
    ///
    /// # Errors
    /// [`PrivateKeyError`] says what was expected instead.
    pub fn read(text: &str, algorithm: Option<Algorithm>, kid: Option<String>) -> Result<Self, PrivateKeyError> {
        let (key, notes) = PrivateKey::read(text)?;
        let (algorithms, names) = key.algorithms();
        let signs_by = |algorithm: &Algorithm| algorithms.contains(algorithm);
        let algorithm = match (algorithm, notes.algorithm) {
            (Some(configured), _) => Some(configured).filter(signs_by).ok_or(PrivateKeyError::Algorithm(names))?,
            (None, Some(noted)) => noted.ok().filter(signs_by).ok_or(PrivateKeyError::JwkAlgorithm(names))?,
            (None, None) => algorithms.first().copied().ok_or(PrivateKeyError::Algorithm(names))?,
        };
        Ok(Self { key, algorithm, kid: kid.or(notes.kid) })
    }

    /// The public half, as a JWK of the members that its thumbprint is made of (RFC 7638, 3.2). `None` where the key came without
    /// it.
    pub fn public_jwk(&self) -> Option<Value> {
        self.key.public_jwk()
    }

    /// A JWT of this type (`typ`) with these claims.
    ///
    /// # Errors
    /// [`SignError`]
    pub fn sign(&self, typ: &str, claims: &Value, platform: &dyn Platform) -> Result<String, SignError> {
        let kid = self.kid.as_deref().map(|kid| ("kid", kid.into()));
        self.sign_with_header(typ, kid, claims, platform)
    }

    /// A JWT of this type that carries this public half.
    ///
    /// # Errors
    /// [`SignError`]
    pub fn sign_with_jwk(
        &self,
        typ: &str,
        jwk: &Value,
        claims: &Value,
        platform: &dyn Platform,
    ) -> Result<String, SignError> {
        self.sign_with_header(typ, Some(("jwk", jwk.clone())), claims, platform)
    }

    fn sign_with_header(
        &self,
        typ: &str,
        key: Option<(&str, Value)>,
        claims: &Value,
        platform: &dyn Platform,
    ) -> Result<String, SignError> {
        let mut header = json!({ "alg": self.algorithm.name(), "typ": typ });
        if let (Some((name, key)), Some(members)) = (key, header.as_object_mut()) {
            members.insert(name.to_owned(), key);
        }
        let text = unsigned(&header, claims);
        let hash = self.algorithm.hash();
        let signature = match &self.key {
            PrivateKey::Ec(curve, pkcs8) => {
                let der = platform.sign(hash, pkcs8, text.as_bytes())?;
                curve.of_der(&der).ok_or(SignError::Refused)?
            }
            PrivateKey::Ed25519(seed) => {
                ed25519_dalek::SigningKey::from_bytes(seed).sign(text.as_bytes()).to_bytes().to_vec()
            }
            PrivateKey::Rsa(pkcs8) => platform.sign(hash, pkcs8, text.as_bytes())?,
        };
        Ok(signed(text, &signature))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A JWT with these claims that is signed by HS256 with a secret.
pub fn sign_with_secret(secret: &str, claims: &Value) -> String {
    let text = unsigned(&json!({ "alg": "HS256", "typ": "JWT" }), claims);
    // HMAC takes a key of any length, so this is never `None`.
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok();
    let mac = mac.map(|mac| mac.chain_update(text.as_bytes()).finalize().into_bytes());
    signed(text, &mac.unwrap_or_default())
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

fn signed(text: String, signature: &[u8]) -> String {
    text + "." + &URL_SAFE_NO_PAD.encode(signature)
}

#[cfg(test)]
mod tests;
