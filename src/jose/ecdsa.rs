//! ECDSA (RFC 7518, 3.4): prepared here, decided by the host. Envoy checks the signature and that the key is a point of
//! its curve. The arithmetic to do so ourselves would be a quarter of the module, so only the native build has it, which
//! has no Envoy; in wasm, a host that does not check signatures accepts no `ES*`.

use super::{Algorithm, der};
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

    /// The order of its base point (FIPS 186-4, D.1.2), as long as a coordinate (RFC 7518, 6.2.1.2: always the full
    /// length).
    pub(super) const fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => {
                b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\
                \xf3\xb9\xca\xc2\xfc\x63\x25\x51"
            }
            Self::P384 => {
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
                \xc7\x63\x4d\x81\xf4\x37\x2d\xdf\x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\x19\x6a\xcc\xc5\x29\x73"
            }
            Self::P521 => {
                b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
                \xff\xff\xff\xff\xff\xff\xff\xff\xff\xfa\x51\x86\x87\x83\xbf\x2f\x96\x6b\x7f\xcc\x01\x48\xf7\x09\
                \xa5\xd0\x3b\xb5\xc9\xb8\x89\x9c\x47\xae\xbb\x6f\xb7\x1e\x91\x38\x64\x09"
            }
        }
    }

    /// A coordinate at its full length (RFC 7518, 6.2.1.2), from one with too few or too many leading zeros. `None` where it is
    /// empty or too large.
    pub(super) fn coordinate(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let digits = der::without_zeros(bytes);
        let missing = self.order().len().checked_sub(digits.len()).filter(|_| !bytes.is_empty())?;
        Some([&vec![0; missing], digits].concat())
    }

    /// AlgorithmIdentifier: id-ecPublicKey and the curve's own name (RFC 5480, 2.1.1).
    const fn identifier(self) -> &'static [u8] {
        match self {
            Self::P256 => b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
            Self::P384 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
            Self::P521 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        }
    }

    /// A signature comes as r and s at full length; the host wants a DER sequence. Every other length is refused, and so is
    /// zero, and what is not below the order: a check with r = s = 0 once said yes to everything (CVE-2022-21449).
    fn to_der(self, signature: &[u8]) -> Option<Vec<u8>> {
        let order = self.order();
        let (r, s) = signature.split_at_checked(order.len())?;
        let is_scalar = |number: &[u8]| number.iter().any(|byte| *byte != 0) && number < order;
        (s.len() == order.len() && is_scalar(r) && is_scalar(s))
            .then(|| der::sequence(&[&der::integer(r), &der::integer(s)]))
    }
}

impl EcKey {
    /// The key with these coordinates. In wasm it may be no point of the curve: then the host refuses it at every use.
    pub(super) fn new(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != curve.order().len() || y.len() != curve.order().len() {
            return None;
        }
        // An uncompressed point (SEC 1, 2.3.3).
        let spki = der::public_key(curve.identifier(), &[&[4], x, y].concat());
        let key = Self { curve, spki };
        arithmetic::is_point(&key).then_some(key)
    }

    /// As DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
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
    use p256::pkcs8::DecodePublicKey;

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

#[cfg(test)]
mod tests {
    use p256::{
        elliptic_curve::{Curve as _, bigint::Encoding, sec1::ToEncodedPoint},
        pkcs8::EncodePublicKey,
    };

    use super::*;

    macro_rules! agrees_with {
        ($crate_name:ident, $curve:ident, $named:expr) => {{
            let curve = $named;
            let length = curve.order().len();
            let order = $crate_name::$curve::ORDER.to_be_bytes();
            let (zeros, order) = order.split_at(order.len() - length);
            assert!(zeros.iter().all(|byte| *byte == 0));
            assert_eq!(curve.order(), order);

            let mut scalar = vec![0; length];
            scalar[length - 1] = 7;
            let key = $crate_name::SecretKey::from_slice(&scalar).unwrap().public_key();
            let point = key.to_encoded_point(false);
            let ours = EcKey::new(curve, point.x().unwrap(), point.y().unwrap()).unwrap();
            let crates = key.to_public_key_der().unwrap();
            assert_eq!(ours.spki, crates.as_bytes());
            assert!(EcKey::new(curve, point.y().unwrap(), point.x().unwrap()).is_none());
            assert!(EcKey::new(curve, &point.x().unwrap()[1..], point.y().unwrap()).is_none());

            let mut below = order.to_vec();
            *below.last_mut().unwrap() -= 1;
            let mut top = vec![0; length];
            top[length - 1] = 0x80;
            let full = vec![0xff; length];
            for (r, s, expected) in [
                (&scalar[..], &scalar[..], true),
                (&below, &top, true),
                (&top, &below, true),
                (&vec![0; length], &scalar, false),
                (&scalar, &vec![0; length], false),
                (order, &scalar, false),
                (&scalar, order, false),
                (&full, &scalar, false),
                (&scalar, &full, false),
                (&scalar[1..], &scalar, false),
                (&scalar, &scalar[1..], false),
                (&[], &[], false),
            ] {
                let signature = [r, s].concat();
                let crates = $crate_name::ecdsa::Signature::from_slice(&signature).ok();
                let crates = crates.map(|signature| signature.to_der().as_bytes().to_vec());
                assert_eq!(curve.to_der(&signature), crates, "{signature:02x?}");
                assert_eq!(crates.is_some(), expected, "{signature:02x?}");
            }
            let long = [scalar.as_slice(), &scalar, &[0]].concat();
            assert_eq!(curve.to_der(&long), None);
        }};
    }

    #[test]
    fn keys_and_signatures_are_written_as_the_crates_write_them() {
        agrees_with!(p256, NistP256, Curve::P256);
        agrees_with!(p384, NistP384, Curve::P384);
        agrees_with!(p521, NistP521, Curve::P521);
    }
}
