//! Signatures, checked by the host or here ([`has_signed`]), and the choice of the key (RFC 7515, 5.2 and appendix D).

use std::fmt;

use serde_json::{Map, Value};

use super::{Algorithm, json::JsonError, jwk::KeyError, jwks::Jwks, jws::UnverifiedJws, public_key::PublicKey};
use crate::{platform::Platform, quoted::Quoted, time::UnixTime};

/// Why a token's signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The issuer's configuration does not allow this algorithm.
    #[error("its signature algorithm {} is not among the configured ones", .0.name())]
    AlgorithmNotAllowed(Algorithm),
    /// The signature is right, and the payload is not a JSON object.
    #[error("its payload is {0}")]
    BadPayload(JsonError),
    /// The key with the token's `kid` did not make the signature.
    #[error("its signature is wrong ({0})")]
    BadSignature(SoughtKey),
    /// The key with the token's `kid` is not for its algorithm.
    #[error("its key is not for its algorithm ({0})")]
    KeyMismatch(SoughtKey),
    /// The token has no `kid`, and no key of the set made its signature; one of a newer set may have.
    #[error("no key of the set made its signature ({0})")]
    NamelessKey(SoughtKey),
    /// Too many signatures are wrong at the moment to try every key.
    #[error("its signature was not checked with every key, because too many are wrong at the moment")]
    Throttled,
    /// No key of the set has the token's `kid`, or none is for its algorithm where it has no `kid`; a newer set may have one.
    #[error("it is signed by an unknown key ({0})")]
    UnknownKey(SoughtKey),
}

/// The key that a token names, and the key set that was searched for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtKey {
    kid: Option<Quoted>,
    algorithm: Algorithm,
    /// The URL of the key set; `None` where the keys are configured.
    url: Option<Quoted>,
    /// The reason why the set's key with this `kid` is left out, if it is.
    left_out: Option<KeyError>,
}

impl SoughtKey {
    fn of(token: &UnverifiedJws<'_>, keys: &Jwks) -> Self {
        let kid = token.kid();
        Self {
            kid: kid.map(Quoted::new),
            algorithm: token.algorithm(),
            url: keys.url().cloned(),
            left_out: kid.and_then(|kid| keys.reason_left_out(kid)),
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

/// A token with a right signature. Made by [`verify`] only.
pub struct VerifiedJws {
    algorithm: Algorithm,
    payload: Map<String, Value>,
    typ: Option<String>,
    key_issuer: Option<String>,
}

impl VerifiedJws {
    /// The issuer whose tokens the key signs, where the key set says it of each key.
    pub(super) fn key_issuer(&self) -> Option<&str> {
        self.key_issuer.as_deref()
    }

    /// `alg` of the header.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `typ` of the header, the kind of the token (RFC 8725, 3.11).
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

/// Shows no claim: they are personal data.
impl fmt::Debug for VerifiedJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJws")
            .field("algorithm", &self.algorithm)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

/// The origin of a token, which decides how many keys are tried on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A request at this time. The token may be forged to cost time.
    Request(UnixTime),
    /// The provider's token endpoint.
    TokenEndpoint,
}

/// Checks a token's signature with the issuer's keys. The caller decides which algorithms are allowed, not the token (RFC
/// 8725, 3.1).
///
/// # Errors
/// [`VerifyError`]; after all but [`VerifyError::AlgorithmNotAllowed`], [`VerifyError::BadPayload`] and
/// [`VerifyError::Throttled`] newer keys may help.
pub fn verify(
    token: &UnverifiedJws<'_>,
    keys: &Jwks,
    allowed: &[Algorithm],
    origin: Origin,
    platform: &dyn Platform,
) -> Result<VerifiedJws, VerifyError> {
    let algorithm = token.algorithm();
    if !allowed.contains(&algorithm) {
        return Err(VerifyError::AlgorithmNotAllowed(algorithm));
    }
    let candidates = keys.candidates(token.kid(), algorithm);
    if candidates.is_empty() {
        let is_known = token.kid().is_some_and(|kid| keys.has_kid(kid));
        let sought = SoughtKey::of(token, keys);
        return Err(if is_known { VerifyError::KeyMismatch(sought) } else { VerifyError::UnknownKey(sought) });
    }
    let tried = match origin {
        Origin::Request(now) if keys.has_failed_often(now) => {
            keys.likely_signer(&candidates, algorithm).into_iter().collect()
        }
        Origin::Request(_) | Origin::TokenEndpoint => candidates.clone(),
    };
    let signer = tried.iter().find(|key| has_signed(algorithm, &key.key, token.signed(), token.signature(), platform));
    let Some(signer) = signer else {
        if let Origin::Request(now) = origin {
            keys.count_failed(tried.len(), now);
        }
        if tried.len() < candidates.len() {
            return Err(VerifyError::Throttled);
        }
        let sought = SoughtKey::of(token, keys);
        let has_kid = token.kid().is_some();
        return Err(if has_kid { VerifyError::BadSignature(sought) } else { VerifyError::NamelessKey(sought) });
    };
    signer.record_signature(algorithm);
    let payload = token.payload().map_err(VerifyError::BadPayload)?;
    let key_issuer = signer.issuer.clone();
    Ok(VerifiedJws { algorithm, payload, typ: token.typ().map(str::to_owned), key_issuer })
}

/// Whether this key made this signature. RS* and ES* are checked by the host, tens of times faster than by any code in the
/// module. A host that offers no check (`None`) accepts no ES*; RS* is then checked here, as PS* and EdDSA always are.
fn has_signed(algorithm: Algorithm, key: &PublicKey, text: &[u8], signature: &[u8], platform: &dyn Platform) -> bool {
    let hash = algorithm.hash();
    match (algorithm, key) {
        (Algorithm::EdDsa, PublicKey::Ed25519(key)) => ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()),
        (Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512, PublicKey::Ec(key)) => {
            let signature = key.curve().to_der(signature);
            signature.is_some_and(|der| platform.verify_signature(hash, key.spki(), &der, text).unwrap_or(false))
        }
        (Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512, PublicKey::Rsa(key)) => {
            key.has_signed_pss(hash, text, signature)
        }
        // RFC 8017, 8.2.2: exactly as long as the modulus. Not every host checks that.
        (Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512, PublicKey::Rsa(key))
            if signature.len() == key.size() =>
        {
            platform
                .verify_signature(hash, key.spki(), signature, text)
                .unwrap_or_else(|| key.has_signed_pkcs1(hash, text, signature))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
