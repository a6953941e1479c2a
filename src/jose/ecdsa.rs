//! ECDSA (RFC 7518, 3.4) for the host's signature check, which takes keys and signatures in DER. The module has no
//! arithmetic to check ECDSA itself, which would be a quarter of its size.

use crypto_bigint::{
    BoxedUint, Odd,
    modular::{BoxedMontyForm, BoxedMontyParams},
};

use super::{Algorithm, der};

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
    pub(super) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The curve of this name (RFC 7518, 6.2.1.1).
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
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

    /// The prime of its field (SP 800-186, 3.2.1).
    const fn prime(self) -> &'static [u8] {
        match self {
            Self::P256 => {
                b"\xff\xff\xff\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\
                \xff\xff\xff\xff\xff\xff\xff\xff"
            }
            Self::P384 => {
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
                \xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"
            }
            Self::P521 => {
                b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
                \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
                \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
            }
        }
    }

    /// The constant b of its equation.
    const fn constant(self) -> &'static [u8] {
        match self {
            Self::P256 => {
                b"\x5a\xc6\x35\xd8\xaa\x3a\x93\xe7\xb3\xeb\xbd\x55\x76\x98\x86\xbc\x65\x1d\x06\xb0\xcc\x53\xb0\xf6\
                \x3b\xce\x3c\x3e\x27\xd2\x60\x4b"
            }
            Self::P384 => {
                b"\xb3\x31\x2f\xa7\xe2\x3e\xe7\xe4\x98\x8e\x05\x6b\xe3\xf8\x2d\x19\x18\x1d\x9c\x6e\xfe\x81\x41\x12\
                \x03\x14\x08\x8f\x50\x13\x87\x5a\xc6\x56\x39\x8d\x8a\x2e\xd1\x9d\x2a\x85\xc8\xed\xd3\xec\x2a\xef"
            }
            Self::P521 => {
                b"\x00\x51\x95\x3e\xb9\x61\x8e\x1c\x9a\x1f\x92\x9a\x21\xa0\xb6\x85\x40\xee\xa2\xda\x72\x5b\x99\xb3\
                \x15\xf3\xb8\xb4\x89\x91\x8e\xf1\x09\xe1\x56\x19\x39\x51\xec\x7e\x93\x7b\x16\x52\xc0\xbd\x3b\xb1\
                \xbf\x07\x35\x73\xdf\x88\x3d\x2c\x34\xf1\xef\x45\x1f\xd4\x6b\x50\x3f\x00"
            }
        }
    }

    /// Whether y² = x³ - 3x + b in its field: an operator learns from the log that a published key is damaged. No signature
    /// counts by this check alone, so it need not run in constant time.
    fn has_point(self, x: &[u8], y: &[u8]) -> Option<bool> {
        let bits = u32::try_from(self.order().len()).ok()? * u8::BITS;
        let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).ok();
        let prime = number(self.prime())?;
        let field = BoxedMontyParams::new_vartime(Odd::new(prime.clone()).into_option()?);
        let element = |bytes| number(bytes).filter(|number| *number < prime).map(|it| BoxedMontyForm::new(it, &field));
        let (x, y, b) = (element(x)?, element(y)?, element(self.constant())?);
        let triple = &x + &x + &x;
        Some(y.square() == x.square() * &x - triple + b)
    }

    /// A coordinate at its full length (RFC 7518, 6.2.1.2), from one with too few or too many leading zeros. `None` where it is
    /// empty or too large.
    pub(super) fn coordinate(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let digits = der::without_zeros(bytes);
        let missing = self.order().len().checked_sub(digits.len()).filter(|_| !bytes.is_empty())?;
        Some([&vec![0; missing], digits].concat())
    }

    /// AlgorithmIdentifier: id-ecPublicKey and the curve's own name (RFC 5480, 2.1.1).
    pub(super) const fn identifier(self) -> &'static [u8] {
        match self {
            Self::P256 => b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
            Self::P384 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
            Self::P521 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        }
    }

    /// The DER sequence of a JWS signature, which is r and s at full length. Any other length is refused, and so are zero and
    /// numbers not below the order: a check with r = s = 0 once accepted everything (CVE-2022-21449).
    pub(super) fn to_der(self, signature: &[u8]) -> Option<Vec<u8>> {
        let (r, s) = signature.split_at_checked(self.order().len())?;
        (self.is_scalar(r) && self.is_scalar(s)).then(|| der::sequence(&[&der::integer(r), &der::integer(s)]))
    }

    /// A JWS signature, of the DER sequence that the host makes.
    pub(super) fn of_der(self, signature: &[u8]) -> Option<Vec<u8>> {
        let mut whole = signature;
        let mut numbers = der::read(der::SEQUENCE, &mut whole)?;
        let r = self.coordinate(der::read(der::INTEGER, &mut numbers)?)?;
        let s = self.coordinate(der::read(der::INTEGER, &mut numbers)?)?;
        Some([r, s].concat())
    }

    /// Whether it is a number of full length between zero and the order.
    pub(super) fn is_scalar(self, number: &[u8]) -> bool {
        let order = self.order();
        number.len() == order.len() && number.iter().any(|byte| *byte != 0) && number < order
    }
}

impl EcKey {
    /// The key with these coordinates, if they are a point of the curve.
    pub(super) fn new(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != curve.order().len() || y.len() != curve.order().len() || !curve.has_point(x, y)? {
            return None;
        }
        // An uncompressed point (SEC 1, 2.3.3).
        let spki = der::public_key(curve.identifier(), &[&[4], x, y].concat());
        Some(Self { curve, spki })
    }

    /// As DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(super) const fn curve(&self) -> Curve {
        self.curve
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
    fn ecdsa_keys_and_signatures_are_encoded_as_the_crates_encode_them() {
        agrees_with!(p256, NistP256, Curve::P256);
        agrees_with!(p384, NistP384, Curve::P384);
        agrees_with!(p521, NistP521, Curve::P521);
    }
}
