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
use crate::{platform::Platform, quoted::Quoted, time::UnixTime};

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
    /// Too many signatures are wrong at the moment to try every key: one that was not tried may have made it.
    #[error("its signature was not checked with every key, because too many are wrong at the moment")]
    Throttled,
    /// The set has no key of this id, or none at all for a token without one: a newer set may.
    #[error("it is signed by an unknown key ({0})")]
    UnknownKey(SoughtKey),
}

/// The key that a token names, and the key set in which it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtKey {
    kid: Option<Quoted>,
    algorithm: Algorithm,
    /// The URL of the key set; `None` where the keys are configured.
    url: Option<Quoted>,
    /// Why the set's key with this `kid` is left out, if it is.
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

/// The origin of a token, which decides how many keys are tried on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A request at this moment: the token may be forged to cost time.
    Request(UnixTime),
    /// The provider's token endpoint.
    TokenEndpoint,
}

/// Checks a token's signature with the issuer's keys. The caller says which algorithms may be; the token does not
/// (RFC 8725, 3.1).
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
        let known = token.kid().is_some_and(|kid| keys.knows(kid));
        let sought = SoughtKey::of(token, keys);
        return Err(if known { VerifyError::KeyMismatch(sought) } else { VerifyError::UnknownKey(sought) });
    }
    let tried = match origin {
        Origin::Request(now) if keys.has_failed_often(now) => keys.likely(&candidates, algorithm).into_iter().collect(),
        Origin::Request(_) | Origin::TokenEndpoint => candidates.clone(),
    };
    let signer = tried.iter().find(|key| is_right(algorithm, &key.key, token.signature(), token.signed(), platform));
    let Some(signer) = signer else {
        if let Origin::Request(now) = origin {
            keys.count_failed(tried.len(), now);
        }
        if tried.len() < candidates.len() {
            return Err(VerifyError::Throttled);
        }
        let sought = SoughtKey::of(token, keys);
        let is_named = token.kid().is_some();
        return Err(if is_named { VerifyError::BadSignature(sought) } else { VerifyError::NamelessKey(sought) });
    };
    signer.has_signed_with(algorithm);
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

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    use serde_json::json;

    use super::*;
    use crate::platform::{Conflict, HashFunction, NoRandomness, SharedValue};

    /// A host that accepts each signature that begins with a one.
    struct Host;

    impl Platform for Host {
        fn random(&self, _: &mut [u8]) -> Result<(), NoRandomness> {
            Err(NoRandomness)
        }

        fn verify_signature(&self, _: HashFunction, _: &[u8], signature: &[u8], _: &[u8]) -> Option<bool> {
            Some(signature.starts_with(&[1]))
        }

        fn compress(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn decompress(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn shared_get(&self, _: &str) -> SharedValue {
            SharedValue { bytes: Vec::new(), version: None }
        }

        fn shared_set(&self, _: &str, _: &[u8], _: Option<u32>) -> Result<(), Conflict> {
            Err(Conflict)
        }
    }

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    /// Four RSA keys of 2048 bits with the members of `extra`.
    fn keys(extra: &Value) -> Jwks {
        let key = |number: u8| {
            let mut key = json!({
                "kty": "RSA", "e": "AQAB", "n": BASE64.encode([0xff - 2 * number; 256]), "kid": format!("key-{number}"),
            });
            key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            key
        };
        Jwks::parse(json!({ "keys": [key(0), key(1), key(2), key(3)] }).to_string().as_bytes()).unwrap()
    }

    fn verified(keys: &Jwks, header: &Value, first: u8, origin: Origin) -> Result<Algorithm, VerifyError> {
        let mut signature = [0; 256];
        signature[0] = first;
        let token = format!("{}.e30.{}", BASE64.encode(header.to_string()), BASE64.encode(signature));
        let token = UnverifiedJws::parse(&token).unwrap();
        verify(&token, keys, &Algorithm::ALL, origin, &Host).map(|token| token.algorithm())
    }

    #[test]
    fn a_forger_does_not_choose_an_algorithm_that_the_keys_are_not_used_with() {
        for extra in [json!({}), json!({ "alg": "RS256" })] {
            let keys = keys(&extra);
            let flood = |header: &Value| verified(&keys, header, 0, Origin::Request(NOW)).unwrap_err();
            assert_eq!(verified(&keys, &json!({ "alg": "RS256" }), 1, Origin::Request(NOW)), Ok(Algorithm::Rs256));
            for number in 0..8 {
                let error = flood(&json!({ "alg": "RS256" }));
                assert_eq!(matches!(error, VerifyError::NamelessKey(_)), number < 4, "{number}: {error}");
                assert_eq!(error == VerifyError::Throttled, number >= 4, "{number}: {error}");
            }
            // Not one trial, with a name or without.
            for algorithm in [Algorithm::Ps256, Algorithm::Ps512, Algorithm::Rs512] {
                let candidates = keys.candidates(None, algorithm);
                assert!(keys.likely(&candidates, algorithm).is_none(), "{algorithm:?}");
                let named = flood(&json!({ "alg": algorithm.name(), "kid": "key-2" }));
                assert!(matches!(named, VerifyError::Throttled | VerifyError::KeyMismatch(_)), "{named:?}");
            }
            // Good tokens pass: without a name by the key in use, by each with its name, and at the token endpoint.
            for origin in [Origin::Request(NOW), Origin::TokenEndpoint] {
                assert_eq!(verified(&keys, &json!({ "alg": "RS256" }), 1, origin), Ok(Algorithm::Rs256));
                for number in 0..4 {
                    let header = json!({ "alg": "RS256", "kid": format!("key-{number}") });
                    assert_eq!(verified(&keys, &header, 1, origin), Ok(Algorithm::Rs256));
                }
            }
            // Every key is tried on a token of the token endpoint, and a second later on others again.
            for origin in [Origin::TokenEndpoint, Origin::Request(NOW.plus(std::time::Duration::from_secs(1)))] {
                let wrong = verified(&keys, &json!({ "alg": "RS256" }), 0, origin);
                assert!(matches!(wrong, Err(VerifyError::NamelessKey(_))), "{wrong:?}");
            }
        }
    }
}
