//! Signatures: Envoy's own check where it has one, which is tens of times faster than any code in here, and the Rust
//! crates for the rest.

use std::fmt;

use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey, traits::PublicKeyParts};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{
    Algorithm,
    json::JsonError,
    jwk::{Jwks, PublicKey},
    jws::UnverifiedJws,
};
use crate::platform::Platform;

/// Why a token's signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Signed with an algorithm that is not expected from this issuer.
    #[error("a signature algorithm that is not allowed")]
    AlgorithmNotAllowed,
    /// The signature is right, but what was signed is not a JSON object.
    #[error("the payload is {0}")]
    BadPayload(JsonError),
    /// None of the keys made this signature.
    #[error("a wrong signature")]
    BadSignature,
    /// The key of this id is not one for this algorithm.
    #[error("a key that is not for this algorithm")]
    KeyMismatch,
    /// The set has no key of this id, or none at all for a token without one: a newer set may.
    #[error("an unknown key")]
    UnknownKey,
}

/// A token whose signature is right. Only [`verify`] makes one.
pub struct VerifiedJws {
    algorithm: Algorithm,
    payload: Map<String, Value>,
    typ: Option<String>,
}

impl VerifiedJws {
    /// What it was signed with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `typ` of the header: what kind of token it says it is (RFC 8725, 3.11).
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    pub(super) const fn payload(&self) -> &Map<String, Value> {
        &self.payload
    }

    pub(super) fn into_parts(self) -> (Algorithm, Map<String, Value>, Option<String>) {
        (self.algorithm, self.payload, self.typ)
    }
}

/// Shows no claim: they are about a person.
impl fmt::Debug for VerifiedJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJws")
            .field("algorithm", &self.algorithm)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

/// Checks a token's signature with the issuer's keys. The caller says which algorithms may be; the token does not
/// (RFC 8725, 3.1).
///
/// # Errors
/// [`VerifyError`]; after [`VerifyError::UnknownKey`] fresher keys may help.
pub fn verify(
    token: &UnverifiedJws<'_>,
    keys: &Jwks,
    allowed: &[Algorithm],
    platform: &dyn Platform,
) -> Result<VerifiedJws, VerifyError> {
    let algorithm = token.algorithm();
    if !allowed.contains(&algorithm) {
        return Err(VerifyError::AlgorithmNotAllowed);
    }
    let mut candidates = keys.candidates(token.kid(), algorithm).peekable();
    if candidates.peek().is_none() {
        let known = token.kid().is_some_and(|kid| keys.knows(kid));
        return Err(if known { VerifyError::KeyMismatch } else { VerifyError::UnknownKey });
    }
    if !candidates.any(|key| is_right(algorithm, key, token.signature(), token.signed(), platform)) {
        return Err(VerifyError::BadSignature);
    }
    let payload = token.payload().map_err(VerifyError::BadPayload)?;
    Ok(VerifiedJws { algorithm, payload, typ: token.typ().map(str::to_owned) })
}

fn is_right(algorithm: Algorithm, key: &PublicKey, signature: &[u8], text: &[u8], platform: &dyn Platform) -> bool {
    match (algorithm, key) {
        (Algorithm::EdDsa, PublicKey::Ed25519(key)) => ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()),
        (_, PublicKey::Ec(key)) => key.has_signed(text, signature, platform),
        (_, PublicKey::Rsa { key, spki }) => {
            // RFC 8017, 8.1.2 and 8.2.2: exactly as long as the modulus. Not every host insists.
            signature.len() == key.size() && is_right_rsa(algorithm, key, spki, signature, text, platform)
        }
        _ => false,
    }
}

fn is_right_rsa(
    algorithm: Algorithm,
    key: &RsaPublicKey,
    spki: &[u8],
    signature: &[u8],
    text: &[u8],
    platform: &dyn Platform,
) -> bool {
    let host = || platform.verify_signature(algorithm.hash(), spki, signature, text);
    let pkcs1 = |scheme: Pkcs1v15Sign, hash: &[u8]| key.verify(scheme, hash, signature).is_ok();
    // RFC 7518, 3.5: the salt is as long as the hash, which is what `Pss::new` takes.
    let pss = |scheme: Pss, hash: &[u8]| key.verify(scheme, hash, signature).is_ok();
    match algorithm {
        Algorithm::Rs256 => host().unwrap_or_else(|| pkcs1(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text))),
        Algorithm::Rs384 => host().unwrap_or_else(|| pkcs1(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text))),
        Algorithm::Rs512 => host().unwrap_or_else(|| pkcs1(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text))),
        Algorithm::Ps256 => pss(Pss::new::<Sha256>(), &Sha256::digest(text)),
        Algorithm::Ps384 => pss(Pss::new::<Sha384>(), &Sha384::digest(text)),
        Algorithm::Ps512 => pss(Pss::new::<Sha512>(), &Sha512::digest(text)),
        _ => false,
    }
}
