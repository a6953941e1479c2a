//! Signatures: Envoy's own check where it has one, which is tens of times faster than any code in here, and our own means
//! for the rest.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Algorithm,
    json::JsonError,
    jwk::{Jwks, KeyError, PublicKey},
    jws::UnverifiedJws,
    rsa::RsaKey,
};
use crate::{platform::Platform, quoted::Quoted};

/// Why a token's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Signed with an algorithm that is not expected from this issuer.
    #[error("its signature algorithm {} is not among the configured ones", .0.name())]
    AlgorithmNotAllowed(Algorithm),
    /// The signature is right, but what was signed is not a JSON object.
    #[error("its payload is {0}")]
    BadPayload(JsonError),
    /// The key of this id did not make this signature.
    #[error("its signature is wrong ({0})")]
    BadSignature(SoughtKey),
    /// The key of this id is not one for this algorithm.
    #[error("its key is not for its algorithm ({0})")]
    KeyMismatch(SoughtKey),
    /// None of the keys made this signature, and the token does not say which one did: one of a newer set may have.
    #[error("no key of the set made its signature ({0})")]
    NamelessKey(SoughtKey),
    /// The set has no key of this id, or none at all for a token without one: a newer set may.
    #[error("it is signed by an unknown key ({0})")]
    UnknownKey(SoughtKey),
}

/// The key that a token wants, and where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtKey {
    kid: Option<Quoted>,
    algorithm: Algorithm,
    /// URL of the key set; nothing where the keys are configured.
    url: Option<Quoted>,
    /// Why the set's key of this id is left out.
    left_out: Option<KeyError>,
}

impl SoughtKey {
    fn of(token: &UnverifiedJws<'_>, keys: &Jwks) -> Self {
        let kid = token.kid();
        Self {
            kid: kid.map(Quoted::new),
            algorithm: token.algorithm(),
            url: keys.url().cloned(),
            left_out: kid.and_then(|kid| keys.why_left_out(kid)),
        }
    }
}

impl fmt::Display for SoughtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "kid {kid}")?,
            None => f.write_str("no kid")?,
        }
        write!(f, ", alg {}", self.algorithm.name())?;
        match &self.url {
            Some(url) => write!(f, ", key set {url}")?,
            None => f.write_str(", configured keys")?,
        }
        self.left_out.map_or(Ok(()), |error| write!(f, "; the set's key of this kid is left out: {error}"))
    }
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
        return Err(VerifyError::AlgorithmNotAllowed(algorithm));
    }
    let mut candidates = keys.candidates(token.kid(), algorithm).peekable();
    if candidates.peek().is_none() {
        let known = token.kid().is_some_and(|kid| keys.knows(kid));
        let sought = SoughtKey::of(token, keys);
        return Err(if known { VerifyError::KeyMismatch(sought) } else { VerifyError::UnknownKey(sought) });
    }
    if !candidates.any(|key| is_right(algorithm, key, token.signature(), token.signed(), platform)) {
        let sought = SoughtKey::of(token, keys);
        let is_named = token.kid().is_some();
        return Err(if is_named { VerifyError::BadSignature(sought) } else { VerifyError::NamelessKey(sought) });
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
