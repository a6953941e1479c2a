//! Signatures: Envoy's own check where it has one, which is tens of times faster than any code in here, and our own means
//! for the rest.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Algorithm,
    json::JsonError,
    jwk::{Jwks, PublicKey},
    jws::UnverifiedJws,
    rsa::RsaKey,
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
    /// The key of this id did not make this signature.
    #[error("a wrong signature")]
    BadSignature,
    /// The key of this id is not one for this algorithm.
    #[error("a key that is not for this algorithm")]
    KeyMismatch,
    /// None of the keys made this signature, and the token does not say which one did: one of a newer set may have.
    #[error("a wrong signature, by a key without a name")]
    NamelessKey,
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
/// [`VerifyError`]; after [`VerifyError::NamelessKey`] and [`VerifyError::UnknownKey`] newer keys may help.
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
        return Err(if token.kid().is_some() { VerifyError::BadSignature } else { VerifyError::NamelessKey });
    }
    let payload = token.payload().map_err(VerifyError::BadPayload)?;
    Ok(VerifiedJws { algorithm, payload, typ: token.typ().map(str::to_owned) })
}

fn is_right(algorithm: Algorithm, key: &PublicKey, signature: &[u8], text: &[u8], platform: &dyn Platform) -> bool {
    match (algorithm, key) {
        (Algorithm::EdDsa, PublicKey::Ed25519(key)) => ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()),
        (_, PublicKey::Ec(key)) => key.has_signed(text, signature, platform),
        (_, PublicKey::Rsa(key)) => is_right_rsa(algorithm, key, signature, text, platform),
        _ => false,
    }
}

fn is_right_rsa(algorithm: Algorithm, key: &RsaKey, signature: &[u8], text: &[u8], platform: &dyn Platform) -> bool {
    let hash = algorithm.hash();
    match algorithm {
        // RFC 8017, 8.2.2: exactly as long as the modulus. Not every host insists.
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 if signature.len() == key.size() => platform
            .verify_signature(hash, key.spki(), signature, text)
            .unwrap_or_else(|| key.has_signed_pkcs1(hash, text, signature)),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => key.has_signed_pss(hash, text, signature),
        _ => false,
    }
}
