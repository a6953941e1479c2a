//! Public keys as `openssl` writes them: PEM (RFC 7468, 13) around SubjectPublicKeyInfo (RFC 5280, 4.1).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    der,
    ecdsa::{Curve, EcKey},
    public_key::PublicKey,
    rsa::RsaKey,
};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// SubjectPublicKeyInfo of an Ed25519 key, up to its 32 bytes (RFC 8410, 4).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// The key in a text that holds one key and nothing else.
pub(super) fn public_key(pem: &str) -> Option<PublicKey> {
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let digits: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let spki = STANDARD.decode(digits).ok()?;
    if let Some(key) = spki.strip_prefix(ED25519) {
        return PublicKey::ed25519(key);
    }
    rsa(&spki).map(PublicKey::Rsa).or_else(|| ec(&spki).map(PublicKey::Ec))
}

/// The key is encoded again and compared: of several encodings only DER's is accepted (X.690, 10).
fn rsa(spki: &[u8]) -> Option<RsaKey> {
    let mut whole = spki;
    let mut outer = der::read(der::SEQUENCE, &mut whole)?;
    der::read(der::SEQUENCE, &mut outer)?;
    let mut key = der::read(der::BIT_STRING, &mut outer)?.strip_prefix(&[0])?;
    let mut numbers = der::read(der::SEQUENCE, &mut key)?;
    let modulus = der::read(der::INTEGER, &mut numbers)?;
    let exponent = der::read(der::INTEGER, &mut numbers)?;
    RsaKey::new(modulus, exponent).filter(|key| key.spki() == spki)
}

/// SubjectPublicKeyInfo ends with the uncompressed point.
fn ec(spki: &[u8]) -> Option<EcKey> {
    Curve::ALL.into_iter().find_map(|curve| {
        let length = curve.order().len();
        let (rest, y) = spki.split_at_checked(spki.len().checked_sub(length)?)?;
        let (_, x) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        EcKey::new(curve, x, y).filter(|key| key.spki() == spki)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(file: &'static str) -> Vec<&'static str> {
        file.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn pem_public_keys_of_openssl_are_read_and_malformed_ones_refused() {
        let good = keys(include_str!("testdata/keys.pem"));
        let kinds: Vec<_> = good
            .iter()
            .map(|text| match public_key(text).unwrap() {
                PublicKey::Ec(key) => key.curve().algorithm().name(),
                PublicKey::Ed25519(_) => "EdDSA",
                PublicKey::Rsa(key) => ["RSA 2048", "RSA 4096"][usize::from(key.size() == 512)],
            })
            .collect();
        assert_eq!(kinds, ["ES256", "ES384", "ES512", "EdDSA", "RSA 2048", "RSA 4096"]);
        // secp256k1, a compressed point, X25519, Ed448, too short, and PKCS #1.
        let others = keys(include_str!("testdata/others.pem"));
        assert_eq!(others.len(), 6);
        for text in others {
            assert!(text.starts_with("-----BEGIN ") && public_key(text).is_none(), "{text}");
        }
        for text in [good[0].replace("PUBLIC", "PRIVATE"), good[0].repeat(2), format!("{} x", good[0]), String::new()] {
            assert!(public_key(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_altered_spki_header_is_no_key() {
        for text in keys(include_str!("testdata/keys.pem")) {
            let body = text.strip_prefix(BEGIN).unwrap().strip_suffix(END).unwrap().replace('\n', "");
            let spki = STANDARD.decode(body).unwrap();
            // In what stands before the key, every byte counts; and so does the length.
            for place in 0..12 {
                let mut other = spki.clone();
                other[place] ^= 1;
                let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(other));
                assert!(public_key(&pem).is_none(), "{place} of {text}");
            }
            for other in [&spki[..spki.len() - 1], &[&spki[..], &[0]].concat()] {
                assert!(public_key(&format!("{BEGIN}{}{END}", STANDARD.encode(other))).is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_pem_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = public_key(&format!("{BEGIN}{}{END}", STANDARD.encode(&bytes)));
            let _ = rsa(&bytes);
            let _ = ec(&bytes);
        }
    }
}
