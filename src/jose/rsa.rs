//! RSA with a public key (RFC 8017), by the `rsa` crate: PSS, which no host call offers, and PKCS#1 v1.5 for hosts that check
//! no signature. RUSTSEC-2023-0071, its timing side channel, concerns private keys only.

use std::ops::RangeInclusive;

use rsa::{
    BoxedUint, PublicKey,
    sha2::{Sha256, Sha384, Sha512},
    traits::PublicKeyParts,
};

use super::der;
use crate::platform::HashFunction;

/// Sizes of a modulus that are accepted, in bits. RFC 7518, 3.3 requires 2048 at least; the time grows with the square.
const MODULUS_BITS: RangeInclusive<usize> = 2048..=8192;
/// The longest modulus or exponent that is read, in bytes.
const MAX_NUMBER: usize = 1024;
/// AlgorithmIdentifier: rsaEncryption, NULL (RFC 3279, 2.3.1).
pub(super) const ALGORITHM: [u8; 15] = *b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A public key.
#[derive(Debug, Clone)]
pub(super) struct RsaKey {
    key: PublicKey,
    spki: Vec<u8>,
}

impl RsaKey {
    /// The key of this modulus and exponent, most significant byte first. `None` where the modulus is even or none of
    /// [`MODULUS_BITS`], or the exponent is even, 1, or above [`PublicKey::MAX_PUB_EXPONENT`]: it would only cost time.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (modulus, exponent) = (der::without_zeros(modulus), der::without_zeros(exponent));
        if modulus.len().max(exponent.len()) > MAX_NUMBER {
            return None;
        }
        let number = BoxedUint::from_be_slice_vartime;
        let key = PublicKey::new_with_size_limits(number(modulus), number(exponent), MODULUS_BITS).ok()?;
        let spki = der::public_key(&ALGORITHM, &der::sequence(&[&der::integer(modulus), &der::integer(exponent)]));
        Some(Self { key, spki })
    }

    /// The length of the modulus in bytes.
    pub(super) fn size(&self) -> usize {
        self.key.size()
    }

    /// As DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// RSASSA-PKCS1-v1_5 (8.2.2).
    pub(super) fn has_signed_pkcs1(&self, hash: HashFunction, text: &[u8], signature: &[u8]) -> bool {
        let outcome = match hash {
            HashFunction::Sha256 => self.key.pkcs1v15_verify::<Sha256>(text, signature),
            HashFunction::Sha384 => self.key.pkcs1v15_verify::<Sha384>(text, signature),
            HashFunction::Sha512 => self.key.pkcs1v15_verify::<Sha512>(text, signature),
        };
        outcome.is_ok()
    }

    /// RSASSA-PSS (8.1.2) with MGF1, all with one hash function and a salt as long as its digest (RFC 7518, 3.5).
    pub(super) fn has_signed_pss(&self, hash: HashFunction, text: &[u8], signature: &[u8]) -> bool {
        let outcome = match hash {
            HashFunction::Sha256 => self.key.pss_verify::<Sha256>(text, signature),
            HashFunction::Sha384 => self.key.pss_verify::<Sha384>(text, signature),
            HashFunction::Sha512 => self.key.pss_verify::<Sha512>(text, signature),
        };
        outcome.is_ok()
    }
}

#[cfg(test)]
mod tests;
