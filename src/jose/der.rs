//! The little DER (X.690) that there is: keys as SubjectPublicKeyInfo (RFC 5280, 4.1), ECDSA signatures as a sequence. What is
//! written is for Envoy's signature check, what is read is the operator's own; the general crates for it are some 15 KB.

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const SEQUENCE: u8 = 0x30;

/// One element: tag, length, and what these parts hold.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = without_zeros(&length);
    let mut out = vec![tag];
    // 8.1.3: a length below 128 stands for itself; before a longer one stands how many bytes it has.
    if content.len() >= 0x80 {
        out.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
    }
    out.extend_from_slice(length);
    out.extend_from_slice(&content);
    out
}

/// A number that is not negative. It is zero where there are no digits.
pub(super) fn integer(digits: &[u8]) -> Vec<u8> {
    let digits = without_zeros(digits);
    // 8.3: as short as can be, and the top bit is the sign.
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits])
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

/// SubjectPublicKeyInfo: the algorithm, already encoded, and the key.
pub(super) fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    // No bit of the last byte is unused.
    sequence(&[algorithm, &element(BIT_STRING, &[&[0], key])])
}

/// What the element at the beginning holds, if it has this tag; `bytes` is then what follows it.
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
