//! RSA with a public key (RFC 8017): PSS, which no host call offers, and PKCS#1 v1.5 for hosts that check no signature.
//!
//! It is here and not from the `rsa` crate for its size: that one brings arithmetic for private keys along, which is 20 KB of
//! what Envoy compiles at start. With a public key nothing is secret, so nothing has to take the same time; what has to
//! be right is tested against OpenSSL's signatures and against the crate.

use std::iter;

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::der;
use crate::platform::HashFunction;

/// The sizes that a modulus may have, in bits. RFC 7518, 3.3 wants 2048 at least.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The largest public exponent: a larger one would only cost time.
const MAX_EXPONENT: u64 = (1 << 33) - 1;
/// AlgorithmIdentifier: rsaEncryption, NULL (RFC 3279, 2.3.1).
const ALGORITHM: [u8; 15] = *b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A public key.
#[derive(Debug, Clone)]
pub(super) struct RsaKey {
    exponent: u64,
    modulus: Modulus,
    size: usize,
    spki: Vec<u8>,
}

impl RsaKey {
    /// The key of this modulus and exponent, most significant byte first.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (modulus, exponent) = (der::without_zeros(modulus), der::without_zeros(exponent));
        let spki = der::public_key(&ALGORITHM, &der::sequence(&[&der::integer(modulus), &der::integer(exponent)]));
        let exponent = exponent.iter().try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? | u64::from(*byte)))?;
        // An even exponent has no private one, and to the first power everybody can sign.
        if exponent % 2 == 0 || !(3..=MAX_EXPONENT).contains(&exponent) {
            return None;
        }
        let size = modulus.len();
        Some(Self { exponent, modulus: Modulus::new(modulus)?, size, spki })
    }

    /// How many bytes the modulus has.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// As DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// RSASSA-PKCS1-v1_5 (8.2.2). The encoding is made and compared, not read: nothing in it can be left unread.
    pub(super) fn has_signed_pkcs1(&self, hash: HashFunction, text: &[u8], signature: &[u8]) -> bool {
        // 9.2, notes: DigestInfo up to the digest.
        let info: &[u8] = match hash {
            HashFunction::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            HashFunction::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            HashFunction::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        };
        let end = [&[0], info, &digest(hash, &[text])].concat();
        // At least 2048 bits: there is always far more padding than the eight bytes it must have.
        let padding = self.size.saturating_sub(end.len()).saturating_sub(2);
        let expected = [&[0, 1], vec![0xff; padding].as_slice(), &end].concat();
        self.open(signature).is_some_and(|message| message == expected)
    }

    /// RSASSA-PSS (8.1.2) with MGF1, all with one hash function and a salt as long as its digest (RFC 7518, 3.5).
    pub(super) fn has_signed_pss(&self, hash: HashFunction, text: &[u8], signature: &[u8]) -> bool {
        self.open(signature).is_some_and(|message| self.is_pss(hash, text, &message).unwrap_or(false))
    }

    /// EMSA-PSS-VERIFY (9.1.2); the numbers are its steps. `None` where the message is too short.
    fn is_pss(&self, hash: HashFunction, text: &[u8], message: &[u8]) -> Option<bool> {
        // The encoding has one bit less than the modulus, and so perhaps one byte.
        let bits = self.modulus.bits.checked_sub(1)?;
        let (before, encoded) = message.split_at_checked(message.len().checked_sub(bits.div_ceil(8))?)?;
        // (2) (4)
        let text_digest = digest(hash, &[text]);
        let (encoded, trailer) = encoded.split_at_checked(encoded.len().checked_sub(1)?)?;
        // (5)
        let (masked, check) = encoded.split_at_checked(encoded.len().checked_sub(text_digest.len())?)?;
        // (6) Bits of the first byte that are beyond the encoding's.
        let beyond = !u8::try_from(0xff_usize >> (bits.div_ceil(8) * 8 - bits)).ok()?;
        let is_within = masked.first()? & beyond == 0;
        // (7) (8)
        let mut block: Vec<u8> = masked.iter().zip(mask(hash, check)).map(|(byte, mask)| byte ^ mask).collect();
        // (9)
        *block.first_mut()? &= !beyond;
        // (10)
        let (padding, salt) = block.split_at_checked(block.len().checked_sub(text_digest.len())?)?;
        let (one, zeros) = padding.split_last()?;
        let is_padded = *one == 1 && zeros.iter().all(|byte| *byte == 0);
        // (12) to (14)
        let is_this = digest(hash, &[&[0; 8], &text_digest, salt]) == check;
        Some(before.iter().all(|byte| *byte == 0) && trailer == [0xbc] && is_within && is_padded && is_this)
    }

    /// The message that was signed (5.2.2 and 8.1.2, 2): as long as the modulus. A signature of any other length, or that is no
    /// number below the modulus, is none.
    fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.len() != self.size {
            return None;
        }
        let message = self.modulus.power(signature, self.exponent)?;
        message.get(message.len().checked_sub(self.size)?..).map(<[u8]>::to_vec)
    }
}

fn digest(hash: HashFunction, parts: &[&[u8]]) -> Vec<u8> {
    let text = parts.concat();
    match hash {
        HashFunction::Sha256 => Sha256::digest(text).to_vec(),
        HashFunction::Sha384 => Sha384::digest(text).to_vec(),
        HashFunction::Sha512 => Sha512::digest(text).to_vec(),
    }
}

/// MGF1 (B.2.1), as long as it is read.
fn mask(hash: HashFunction, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| digest(hash, &[seed, &counter.to_be_bytes()]))
}

/// A number, least significant digit first. All that belong to one modulus have as many digits as it.
type Number = Vec<u32>;

/// An odd modulus. Its top digit is zero, so that the sum of two numbers below it always fits. What is multiplied is in
/// Montgomery's form: x stands for x·R, where R is the first power of the digits' base beyond the modulus.
#[derive(Debug, Clone)]
struct Modulus {
    bits: usize,
    number: Number,
    /// What the lowest digit gives -1 with, when multiplied.
    inverse: u32,
}

impl Modulus {
    /// `None` where it is even, or of a size that is none of [`BITS`].
    fn new(bytes: &[u8]) -> Option<Self> {
        let bits = (bytes.len() * 8).checked_sub(bytes.first()?.leading_zeros() as usize)?;
        let number = number(bytes, bytes.len().div_ceil(4) + 1);
        let lowest = *number.first()?;
        // Newton's method: each step doubles the number of right bits, and an odd number is its own inverse to three.
        let inverse =
            (0..4).fold(lowest, |inverse, _| inverse.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(inverse))));
        (lowest % 2 == 1 && BITS.contains(&bits)).then(|| Self { bits, number, inverse: inverse.wrapping_neg() })
    }

    /// base^exponent modulo this, most significant byte first; `None` for a base that is not below the modulus.
    fn power(&self, base: &[u8], exponent: u64) -> Option<Vec<u8>> {
        let length = self.number.len();
        let base = number(base, length);
        if !is_below(&base, &self.number) {
            return None;
        }
        // R modulo this, which stands for one: doubled from the highest power of two that is below.
        let mut one = vec![0; length];
        let top = self.bits.checked_sub(1)?;
        *one.get_mut(top / 32)? = 1 << (top % 32);
        for _ in top..length * 32 {
            one = self.doubled(one);
        }
        // R itself, as a power of two: with it, a number is brought into the form.
        let radix = self.power_of(&self.doubled(one.clone()), u64::try_from(length * 32).ok()?, &one);
        let power = self.power_of(&self.product(&base, &radix), exponent, &one);
        let plain = self.product(&power, &number(&[1], length));
        Some(plain.iter().rev().flat_map(|digit| digit.to_be_bytes()).collect())
    }

    /// Bit by bit from the top, all numbers in the form.
    fn power_of(&self, base: &Number, exponent: u64, one: &Number) -> Number {
        let bits = u64::BITS - exponent.leading_zeros();
        (0..bits).rev().fold(one.clone(), |power, bit| {
            let square = self.product(&power, &power);
            if exponent >> bit & 1 == 1 { self.product(&square, base) } else { square }
        })
    }

    /// a·b/R modulo this (Montgomery's reduction, a digit at a time).
    fn product(&self, a: &Number, b: &Number) -> Number {
        let length = self.number.len();
        let mut sum = vec![0; 2 * length];
        for (place, digit) in a.iter().enumerate() {
            add_multiple(sum.iter_mut().skip(place), b, *digit);
        }
        for place in 0..length {
            // The multiple that makes the lowest digit zero.
            let factor = sum.get(place).map_or(0, |lowest| lowest.wrapping_mul(self.inverse));
            add_multiple(sum.iter_mut().skip(place), &self.number, factor);
        }
        self.reduced(sum.split_off(length))
    }

    fn doubled(&self, number: Number) -> Number {
        let mut sum = number.clone();
        add_multiple(sum.iter_mut(), &number, 1);
        self.reduced(sum)
    }

    /// A number below twice the modulus, made one below it.
    fn reduced(&self, mut number: Number) -> Number {
        if !is_below(&number, &self.number) {
            let mut borrow = 0;
            for (digit, less) in number.iter_mut().zip(&self.number) {
                let difference = i64::from(*digit) - i64::from(*less) - borrow;
                borrow = i64::from(difference < 0);
                *digit = low(difference.cast_unsigned());
            }
        }
        number
    }
}

/// Bytes, most significant first, as a number of this many digits.
fn number(bytes: &[u8], length: usize) -> Number {
    let digits = bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |digit, byte| digit << 8 | u32::from(*byte)));
    digits.chain(iter::repeat(0)).take(length).collect()
}

fn is_below(a: &Number, b: &Number) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// Adds factor·number, and carries as far as it takes.
fn add_multiple<'a>(sum: impl Iterator<Item = &'a mut u32>, number: &Number, factor: u32) {
    let mut carry = 0;
    for (place, sum) in sum.enumerate() {
        let digit = number.get(place).copied();
        if digit.is_none() && carry == 0 {
            break;
        }
        // At most 2^64 - 1: three numbers of 32 bits each at their largest give exactly that.
        carry += u64::from(*sum) + u64::from(digit.unwrap_or_default()) * u64::from(factor);
        *sum = low(carry);
        carry >>= 32;
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn low(wide: u64) -> u32 {
    wide as u32
}

#[cfg(test)]
mod tests;
