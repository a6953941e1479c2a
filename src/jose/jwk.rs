//! One key in a set (RFC 7517, 4), and the reasons why one is left out.

#[cfg(test)]
mod tests;

use std::cell::Cell;

use serde_json::Value;

use super::{
    Algorithm,
    ecdsa::{Curve, EcKey},
    jws::MAX_KID,
    members::{BadMember, Members},
    public_key::PublicKey,
    rsa::RsaKey,
};

/// Usable keys that are kept of a set, and keys left out that are remembered.
pub(super) const MAX_KEYS: usize = 100;

/// Members that only a private or symmetric key has (RFC 7518, 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// Why a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `alg` is no supported signature algorithm.
    #[error("its alg is not supported")]
    Algorithm,
    /// Its coordinates are no point of its curve, or a point of small order.
    #[error("its coordinates are no usable point of its curve")]
    Point,
    /// `kid` is longer than [`MAX_KID`].
    #[error("its kid is longer than {MAX_KID} bytes")]
    KeyId,
    /// `kty` or `crv` is not supported.
    #[error("its kty and crv are not supported")]
    Kind,
    /// A member is missing or of another type.
    #[error("its {0} is missing or malformed")]
    Malformed(&'static str),
    /// `alg` belongs to another kind of key.
    #[error("its alg is not one for its kty and crv")]
    Mismatch,
    /// Not an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// It has a private or symmetric part.
    #[error("it is published with its private or symmetric part, so anybody can sign with it")]
    Private,
    /// Its modulus or exponent is not secure, or too large.
    #[error("its modulus must be odd and of 2048 to 8192 bits, and its exponent odd and of 2 to 33 bits")]
    Rsa,
    /// It comes after [`MAX_KEYS`] usable keys.
    #[error("it comes after {MAX_KEYS} usable keys")]
    Surplus,
    /// `use` or `key_ops` excludes signatures.
    #[error("it is not for signatures, by its use or key_ops")]
    Use,
}

impl KeyError {
    /// Whether sound key sets have such keys too: for encryption, or of a kind that is not supported.
    pub const fn is_expected(self) -> bool {
        matches!(self, Self::Algorithm | Self::Kind | Self::Use)
    }
}

impl From<BadMember> for KeyError {
    fn from(BadMember(name): BadMember) -> Self {
        Self::Malformed(name)
    }
}

/// One key of a set.
#[derive(Debug, Clone)]
pub(super) struct Jwk {
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key: PublicKey,
    pub(super) kid: Option<String>,
    /// The issuer of the tokens that it signs, in a set that several issuers share (Microsoft's `issuer`).
    pub(super) issuer: Option<String>,
    /// The algorithm of the last token whose signature this key verified.
    pub(super) signed_with: Cell<Option<Algorithm>>,
}

impl Jwk {
    pub(super) fn read(key: &Value) -> Result<Self, KeyError> {
        let members = Members::of(key.as_object().ok_or(KeyError::NotAnObject)?);
        if PRIVATE_MEMBERS.iter().any(|name| members.get(name).is_some()) {
            return Err(KeyError::Private);
        }
        if !may_verify(members) {
            return Err(KeyError::Use);
        }
        let algorithm = match members.optional("alg")? {
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyError::Algorithm)?),
            None => None,
        };
        let key = public_key(members)?;
        if algorithm.is_some_and(|algorithm| !key.fits(algorithm)) {
            return Err(KeyError::Mismatch);
        }
        let kid = members.label("kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(KeyError::KeyId);
        }
        let issuer = members.optional("issuer")?.map(str::to_owned);
        Ok(Self { algorithm, key, kid: kid.map(Into::into), issuer, signed_with: Cell::new(None) })
    }

    /// A key without an id, `alg` and issuer.
    pub(super) const fn nameless(key: PublicKey) -> Self {
        Self { algorithm: None, key, kid: None, issuer: None, signed_with: Cell::new(None) }
    }

    /// Records that the key verified a token with this algorithm.
    pub(super) fn record_signature(&self, algorithm: Algorithm) {
        self.signed_with.set(Some(algorithm));
    }

    /// Whether the key may verify this algorithm (RFC 8725, 3.1): its own `alg`, or else one for its kind.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.key.fits(algorithm)
    }
}

fn public_key(members: Members<'_>) -> Result<PublicKey, KeyError> {
    match (members.required("kty")?, members.optional("crv")?) {
        ("RSA", _) => RsaKey::new(&members.bytes("n")?, &members.bytes("e")?).map(PublicKey::Rsa).ok_or(KeyError::Rsa),
        ("EC", Some(curve)) => {
            let curve = Curve::from_name(curve).ok_or(KeyError::Kind)?;
            let coordinate = |name| curve.coordinate(&members.bytes(name)?).ok_or(KeyError::Malformed(name));
            EcKey::new(curve, &coordinate("x")?, &coordinate("y")?).map(PublicKey::Ec).ok_or(KeyError::Point)
        }
        ("OKP", Some("Ed25519")) => PublicKey::ed25519(&members.bytes("x")?).ok_or(KeyError::Point),
        _ => Err(KeyError::Kind),
    }
}

/// Whether `use` and `key_ops` allow verification (RFC 7517, 4.2 and 4.3).
fn may_verify(members: Members<'_>) -> bool {
    let use_fits = members.get("use").is_none_or(|value| value == "sig");
    let operations_fit = members.get("key_ops").is_none_or(|_| {
        members.list("key_ops").is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    });
    use_fits && operations_fit
}
