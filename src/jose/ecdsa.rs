//! ECDSA (RFC 7518, 3.4): prepared here, decided by the host. Envoy checks the signature and that the key is a point of
//! its curve. The arithmetic to do so ourselves would be a quarter of the module, so only the native build has it, which
//! has no Envoy; in wasm, a host that does not check signatures accepts no `ES*`.

use p256::elliptic_curve::ALGORITHM_OID;
use rsa::pkcs8::{
    AlgorithmIdentifierRef, AssociatedOid, SubjectPublicKeyInfoRef,
    der::{Encode, asn1::BitStringRef},
};

use super::Algorithm;
use crate::platform::Platform;

/// A curve that an algorithm of JWS goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

/// A key, as DER SubjectPublicKeyInfo.
#[derive(Debug, Clone)]
pub(super) struct EcKey {
    curve: Curve,
    spki: Vec<u8>,
}

/// Signatures come as r and s at full length. Reading one refuses every other length, zero, and what is not below the
/// order: a check with r = s = 0 once said yes to everything (CVE-2022-21449). The host wants a DER sequence.
macro_rules! to_der {
    ($curve:ident, $signature:expr) => {
        $curve::ecdsa::Signature::from_slice($signature).map(|signature| signature.to_der().as_bytes().to_vec())
    };
}

impl Curve {
    /// The curve of this name (RFC 7518, 6.2.1.1).
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    /// RFC 7518, 3.4: each curve goes with one hash function.
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }

    /// How many bytes a coordinate has (RFC 7518, 6.2.1.2: always the full length).
    const fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn to_der(self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256 => to_der!(p256, signature),
            Self::P384 => to_der!(p384, signature),
            Self::P521 => to_der!(p521, signature),
        }
        .ok()
    }
}

impl EcKey {
    /// The key with these coordinates. In wasm it may be no point of the curve: then the host refuses it at every use.
    pub(super) fn new(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != curve.length() || y.len() != curve.length() {
            return None;
        }
        let oid = match curve {
            Curve::P256 => p256::NistP256::OID,
            Curve::P384 => p384::NistP384::OID,
            Curve::P521 => p521::NistP521::OID,
        };
        // An uncompressed point (SEC 1, 2.3.3).
        let point = [&[4], x, y].concat();
        let spki = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: ALGORITHM_OID, parameters: Some((&oid).into()) },
            subject_public_key: BitStringRef::from_bytes(&point).ok()?,
        };
        let key = Self { curve, spki: spki.to_der().ok()? };
        arithmetic::is_point(&key).then_some(key)
    }

    pub(super) const fn curve(&self) -> Curve {
        self.curve
    }

    /// Whether it made this signature.
    pub(super) fn has_signed(&self, text: &[u8], signature: &[u8], platform: &dyn Platform) -> bool {
        let Some(signature) = self.curve.to_der(signature) else { return false };
        platform
            .verify_signature(self.curve.algorithm().hash(), &self.spki, &signature, text)
            .unwrap_or_else(|| arithmetic::has_signed(self, text, &signature))
    }
}

#[cfg(target_family = "wasm")]
mod arithmetic {
    use super::EcKey;

    pub(super) const fn is_point(_: &EcKey) -> bool {
        true
    }

    pub(super) const fn has_signed(_: &EcKey, _: &[u8], _: &[u8]) -> bool {
        false
    }
}

#[cfg(not(target_family = "wasm"))]
mod arithmetic {
    use rsa::pkcs8::DecodePublicKey;

    use super::{Curve, EcKey};

    pub(super) fn is_point(EcKey { curve, spki }: &EcKey) -> bool {
        match curve {
            Curve::P256 => p256::PublicKey::from_public_key_der(spki).is_ok(),
            Curve::P384 => p384::PublicKey::from_public_key_der(spki).is_ok(),
            Curve::P521 => p521::PublicKey::from_public_key_der(spki).is_ok(),
        }
    }

    macro_rules! has_signed {
        ($curve:ident, $spki:expr, $text:expr, $signature:expr) => {{
            use $curve::ecdsa::{Signature, VerifyingKey, signature::Verifier};
            let key = $curve::PublicKey::from_public_key_der($spki).ok();
            let key = key.and_then(|key| VerifyingKey::from_affine(*key.as_affine()).ok());
            let signature = Signature::from_der($signature).ok();
            key.zip(signature).is_some_and(|(key, signature)| key.verify($text, &signature).is_ok())
        }};
    }

    pub(super) fn has_signed(EcKey { curve, spki }: &EcKey, text: &[u8], signature: &[u8]) -> bool {
        match curve {
            Curve::P256 => has_signed!(p256, spki, text, signature),
            Curve::P384 => has_signed!(p384, spki, text, signature),
            Curve::P521 => has_signed!(p521, spki, text, signature),
        }
    }
}
