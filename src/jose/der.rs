//! DER (X.690): keys (RFC 5280, 4.1; RFC 5958) are written for Envoy and read from the configuration, ECDSA signatures are
//! written and read. The general crates for it would add some 15 KB.

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;
/// The tags of the optional fields of an ECPrivateKey (RFC 5915, 3).
pub(super) const PARAMETERS: u8 = 0xa0;
pub(super) const PUBLIC_POINT: u8 = 0xa1;

/// An element: tag, length, and these parts as its content.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = without_zeros(&length);
    let mut out = vec![tag];
    // 8.1.3: a length below 128 is one byte; a longer one follows the number of its bytes.
    if content.len() >= 0x80 {
        out.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
    }
    out.extend_from_slice(length);
    out.extend_from_slice(&content);
    out
}

/// An INTEGER that is not negative. No digits are zero.
pub(super) fn integer(digits: &[u8]) -> Vec<u8> {
    let digits = without_zeros(digits);
    // 8.3: the shortest form, and the top bit is the sign.
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits])
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, &[bytes])
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

/// The public key of an ECPrivateKey (RFC 5915, 3).
pub(super) fn public_point(point: &[u8]) -> Vec<u8> {
    element(PUBLIC_POINT, &[&element(BIT_STRING, &[&[0], point])])
}

/// SubjectPublicKeyInfo of an encoded AlgorithmIdentifier and a key.
pub(super) fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    // The first byte counts the unused bits of the last.
    sequence(&[algorithm, &element(BIT_STRING, &[&[0], key])])
}

/// Takes the element with this tag off the beginning and returns its content.
pub(super) fn read<'a>(tag: u8, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(2)?;
    let (length, rest) = match *head {
        [found, length @ 0..=0x7f] if found == tag => (usize::from(length), rest),
        [found, 0x81] if found == tag => (usize::from(*rest.first()?), rest.get(1..)?),
        [found, 0x82] if found == tag => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    *bytes = after;
    Some(content)
}

/// Digits, most significant first, without the zeros in front.
pub(super) fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.get(zeros..).unwrap_or_default()
}
