//! Key sets (RFC 7517). What cannot be used is skipped and the rest works: providers publish encryption keys and
//! curves nobody knows beside the key that signs.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    Algorithm,
    ecdsa::{Curve, EcKey},
    json::{self, JsonError},
    jws::MAX_KID,
    pem,
    rsa::RsaKey,
};

/// The largest key set that is read.
pub const MAX_JWKS: usize = 256 * 1024;
/// How many usable keys of a set are kept.
const MAX_KEYS: usize = 100;
/// How many keys are tried on one token: each may cost milliseconds.
const MAX_TRIED: usize = 4;

/// Members that only a private or symmetric key has (RFC 7518, 6). Who publishes them has no secret left.
const PRIVATE: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// Why a document is no key set to verify with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not a JSON object, or too large a one.
    #[error("the key set is {0}")]
    Json(#[from] JsonError),
    /// No array `keys`.
    #[error("the key set has no array \"keys\"")]
    NoKeys,
    /// `keys` holds nothing that could verify a token.
    #[error("the key set has no usable key")]
    NoUsableKey,
}

/// The usable keys of one issuer.
#[derive(Debug, Clone)]
pub struct Jwks {
    keys: Vec<Jwk>,
    /// Whether no key has a name: whatever a token says, any of them may have signed it.
    is_nameless: bool,
}

#[derive(Debug, Clone)]
struct Jwk {
    algorithm: Option<Algorithm>,
    key: PublicKey,
    kid: Option<String>,
}

/// A key.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    Ec(EcKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(RsaKey),
}

impl Jwks {
    /// The keys of somebody who signs nothing.
    pub const NONE: &Self = &Self { keys: Vec::new(), is_nameless: false };

    /// Reads a key set.
    ///
    /// # Errors
    /// [`JwksError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        let document = json::parse_object(bytes, MAX_JWKS)?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        let keys: Vec<Jwk> = keys.iter().filter_map(|key| Jwk::read(key.as_object()?)).take(MAX_KEYS).collect();
        if keys.is_empty() { Err(JwksError::NoUsableKey) } else { Ok(Self { keys, is_nameless: false }) }
    }

    /// A set of public keys in PEM, which have no names.
    ///
    /// # Errors
    /// The place of the first text that is no such key.
    pub fn of_pem(texts: &[String]) -> Result<Self, usize> {
        let key = |(place, text): (usize, &String)| {
            let key = pem::public_key(text).ok_or(place)?;
            Ok(Jwk { algorithm: None, key, kid: None })
        };
        let keys = texts.iter().enumerate().map(key).collect::<Result<_, usize>>()?;
        Ok(Self { keys, is_nameless: true })
    }

    /// Whether a usable key has this id.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys to try on a token. Several may share a `kid`, or the token may name none (OIDC Core 10.1).
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &PublicKey> {
        self.keys
            .iter()
            .filter(move |key| self.is_nameless || kid.is_none() || key.kid.as_deref() == kid)
            .filter(move |key| key.fits(algorithm))
            .map(|key| &key.key)
            .take(MAX_TRIED)
    }
}

impl Jwk {
    /// The key, or nothing where it is not one that verifies.
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let members = Members(members);
        if PRIVATE.iter().any(|name| members.get(name).is_some()) || !members.may_verify() {
            return None;
        }
        let kid = members.optional_text("kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return None;
        }
        let algorithm = match members.optional_text("alg")? {
            Some(name) => Some(Algorithm::from_name(name)?),
            None => None,
        };
        let key = PublicKey::read(members)?;
        if algorithm.is_some_and(|algorithm| !key.fits(algorithm)) {
            return None;
        }
        Some(Self { algorithm, key, kid: kid.map(str::to_owned) })
    }

    /// RFC 8725, 3.1: a key is used with its own algorithm, and never with another kind.
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.key.fits(algorithm)
    }
}

impl PublicKey {
    fn read(members: Members<'_>) -> Option<Self> {
        match (members.text("kty")?, members.text("crv")) {
            ("RSA", _) => RsaKey::new(&members.bytes("n")?, &members.bytes("e")?).map(Self::Rsa),
            ("EC", Some(curve)) => {
                EcKey::new(Curve::from_name(curve)?, &members.bytes("x")?, &members.bytes("y")?).map(Self::Ec)
            }
            ("OKP", Some("Ed25519")) => Self::ed25519(&members.bytes("x")?),
            _ => None,
        }
    }

    pub(super) fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::try_from(bytes).ok()?;
        // A point of small order verifies signatures that nobody made.
        (!key.is_weak()).then_some(Self::Ed25519(key))
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Ec(key) => algorithm == key.curve().algorithm(),
            Self::Ed25519(_) => matches!(algorithm, EdDsa),
            Self::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
        }
    }
}

/// A key's members. `null` is as good as absent: some providers write out every member they know.
#[derive(Clone, Copy)]
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    /// `None` where the member is there, and is not text.
    #[allow(clippy::option_option, reason = "absent is fine, of another type is not")]
    fn optional_text(self, name: &str) -> Option<Option<&'a str>> {
        self.get(name).map_or(Some(None), |value| value.as_str().map(Some))
    }

    /// RFC 7517, 4.2 and 4.3: what is for encryption or for signing does not verify.
    fn may_verify(self) -> bool {
        let use_fits = self.get("use").is_none_or(|value| value == "sig");
        let operations_fit = self.get("key_ops").is_none_or(|value| {
            value.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        });
        use_fits && operations_fit
    }

    fn bytes(self, name: &str) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.text(name)?).ok()
    }
}
