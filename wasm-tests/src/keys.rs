//! The keys that the issuer signs with, in every format.

use base64::{Engine, engine::general_purpose};
use p521::{ecdsa::signature::Signer, pkcs8::DecodePrivateKey};
use ring::{
    digest, hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use serde_json::{Value, json};

/// Private keys as JWKs that sign nothing but tests: RSA, P-256, P-384, P-521 and Ed25519.
///
/// # Panics
/// When the file is no JSON.
#[must_use]
pub fn of_clients() -> Vec<Value> {
    serde_json::from_str(include_str!("../../src/jose/testdata/private_keys.json")).expect("JSON")
}

/// Base64url without padding, as JOSE wants it.
pub fn base64url(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// 128 random bits as text.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).expect("randomness");
    base64url(&bytes)
}

/// Decodes [`base64url`].
///
/// # Panics
/// When it is no base64url.
pub fn from_base64url(text: &str) -> Vec<u8> {
    general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// A signature algorithm of JOSE with a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519
    EdDsa,
    /// P-256
    Es256,
    /// P-384
    Es384,
    /// P-521
    Es512,
    /// RSASSA-PSS
    Ps256,
    /// RSASSA-PSS
    Ps384,
    /// RSASSA-PSS
    Ps512,
    /// RSASSA-PKCS1-v1_5
    Rs256,
    /// RSASSA-PKCS1-v1_5
    Rs384,
    /// RSASSA-PKCS1-v1_5
    Rs512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// Its name in a header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }
}

/// A key pair.
pub enum SigningKey {
    /// Ed25519
    Ed25519(Ed25519KeyPair),
    /// P-256
    P256(EcdsaKeyPair),
    /// P-384
    P384(EcdsaKeyPair),
    /// P-521
    P521(Box<p521::ecdsa::SigningKey>),
    /// RSA, 2048 bits
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// One of the two RSA keys kept as files: making one takes seconds.
    pub fn rsa(which: Rsa) -> Self {
        let pem = match which {
            Rsa::First => include_str!("../keys/rsa-1.pem"),
            Rsa::Second => include_str!("../keys/rsa-2.pem"),
        };
        Self::Rsa(RsaKeyPair::from_pkcs8(&der(pem)).expect("an RSA key"))
    }

    /// A new P-256 key.
    pub fn p256() -> Self {
        Self::P256(ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    /// A new P-384 key.
    pub fn p384() -> Self {
        Self::P384(ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    /// The P-521 key kept as a file.
    pub fn p521() -> Self {
        let key = p521::SecretKey::from_pkcs8_der(&der(include_str!("../keys/p521.pem"))).expect("a P-521 key");
        Self::P521(Box::new(p521::ecdsa::SigningKey::from_bytes(&key.to_bytes()).expect("a P-521 key")))
    }

    /// A new Ed25519 key.
    pub fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("the key just made"))
    }

    /// The algorithm it signs with by default.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
            Self::P384(_) => Algorithm::Es384,
            Self::P521(_) => Algorithm::Es512,
            Self::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Signs. Only an RSA key has a choice of algorithm.
    pub fn sign(&self, algorithm: Algorithm, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(key) => key.sign(text).as_ref().to_vec(),
            Self::P256(key) | Self::P384(key) => key.sign(&random, text).expect("randomness").as_ref().to_vec(),
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = key.sign(text);
                signature.to_bytes().to_vec()
            }
            Self::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut bytes = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, text, &mut bytes).expect("randomness");
                bytes
            }
        }
    }

    /// The public key as a JWK, without `kid` and `alg`.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key().as_ref())}),
            Self::P256(key) => curve_jwk("P-256", key.public_key().as_ref()),
            Self::P384(key) => curve_jwk("P-384", key.public_key().as_ref()),
            Self::P521(key) => {
                let point = p521::ecdsa::VerifyingKey::from(&**key).to_encoded_point(false);
                curve_jwk("P-521", point.as_bytes())
            }
            Self::Rsa(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": base64url(&public.n), "e": base64url(&public.e)})
            }
        }
    }

    /// The public key in PEM: SubjectPublicKeyInfo (RFC 5280, 4.1).
    pub fn pem(&self) -> String {
        let text = general_purpose::STANDARD.encode(self.spki());
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for line in text.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    /// The AlgorithmIdentifier (RFC 3279, RFC 5480, RFC 8410), then the key as a bit string.
    fn spki(&self) -> Vec<u8> {
        const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        let (algorithm, key) = match self {
            Self::Ed25519(key) => (vec![0x06, 0x03, 0x2b, 0x65, 0x70], key.public_key().as_ref().to_vec()),
            Self::P256(key) => {
                let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
                ([EC, &curve].concat(), key.public_key().as_ref().to_vec())
            }
            Self::P384(key) => {
                ([EC, &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]].concat(), key.public_key().as_ref().to_vec())
            }
            Self::P521(key) => {
                let point = p521::ecdsa::VerifyingKey::from(&**key).to_encoded_point(false);
                ([EC, &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]].concat(), point.as_bytes().to_vec())
            }
            Self::Rsa(key) => {
                let algorithm = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
                (algorithm.to_vec(), key.public().as_ref().to_vec())
            }
        };
        tagged(0x30, &[tagged(0x30, &algorithm), tagged(0x03, &[&[0], &key[..]].concat())].concat())
    }

    /// The public RSA key in the forms that a careless verifier would take for a shared secret.
    pub fn public_forms(&self) -> PublicForms {
        let Self::Rsa(key) = self else { panic!("only an RSA key has these forms") };
        let (pem, spki) = (self.pem(), self.spki());
        PublicForms { pem, pkcs1: key.public().as_ref().to_vec(), spki, jwk: self.jwk().to_string() }
    }
}

/// The RSA keys kept as files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rsa {
    /// The keys that the issuer starts with.
    First,
    /// A key that is not published yet.
    Second,
}

/// A public RSA key in its usual formats.
#[derive(Debug, Clone)]
pub struct PublicForms {
    /// SubjectPublicKeyInfo in PEM.
    pub pem: String,
    /// RSAPublicKey, DER.
    pub pkcs1: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// The JWK as text.
    pub jwk: String,
}

/// HMAC with SHA-256.
pub fn hmac_sha256(secret: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
}

fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("randomness");
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("the key just made")
}

fn curve_jwk(curve: &str, point: &[u8]) -> Value {
    // SEC 1, 2.3.3: an uncompressed point is 04, x, y.
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)})
}

/// A DER element, with its length in the shortest form.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let [long, short] = u16::try_from(content.len()).expect("a short structure").to_be_bytes();
    let head = match (long, short) {
        (0, ..0x80) => vec![tag, short],
        (0, _) => vec![tag, 0x81, short],
        _ => vec![tag, 0x82, long, short],
    };
    [head, content.to_vec()].concat()
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    general_purpose::STANDARD.decode(body).expect("a PEM file")
}

#[cfg(test)]
pub(crate) mod tests {
    use p521::ecdsa::signature::Verifier;
    use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};

    use super::*;

    /// Whether a signature is valid under the public key of this JWK.
    pub(crate) fn holds(jwk: &Value, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        let part = |name: &str| from_base64url(jwk[name].as_str().unwrap());
        let point = || [vec![4], part("x"), part("y")].concat();
        let rsa =
            |padding| RsaPublicKeyComponents { n: part("n"), e: part("e") }.verify(padding, text, signature).is_ok();
        match algorithm {
            Algorithm::EdDsa => UnparsedPublicKey::new(&signature::ED25519, part("x")).verify(text, signature).is_ok(),
            Algorithm::Es256 => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point()).verify(text, signature).is_ok()
            }
            Algorithm::Es384 => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point()).verify(text, signature).is_ok()
            }
            Algorithm::Es512 => p521::ecdsa::VerifyingKey::from_sec1_bytes(&point())
                .unwrap()
                .verify(text, &p521::ecdsa::Signature::from_slice(signature).unwrap())
                .is_ok(),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        }
    }

    #[test]
    fn a_signature_of_each_test_key_verifies_with_its_jwk() {
        let rsa = || SigningKey::rsa(Rsa::First);
        for (key, algorithm) in [
            (SigningKey::ed25519(), Algorithm::EdDsa),
            (SigningKey::p256(), Algorithm::Es256),
            (SigningKey::p384(), Algorithm::Es384),
            (SigningKey::p521(), Algorithm::Es512),
            (rsa(), Algorithm::Ps256),
            (rsa(), Algorithm::Ps384),
            (rsa(), Algorithm::Ps512),
            (rsa(), Algorithm::Rs256),
            (rsa(), Algorithm::Rs384),
            (rsa(), Algorithm::Rs512),
        ] {
            let signature = key.sign(algorithm, b"text");
            assert!(holds(&key.jwk(), algorithm, b"text", &signature), "{algorithm:?}");
            assert!(!holds(&key.jwk(), algorithm, b"other", &signature), "{algorithm:?}");
        }
    }

    #[test]
    fn public_keys_are_encoded_as_openssl_encodes_them() {
        let forms = SigningKey::rsa(Rsa::First).public_forms();
        assert_eq!(forms.pem, include_str!("../keys/rsa-1.pub.pem"));
        assert_eq!(SigningKey::p521().pem(), include_str!("../keys/p521.pub.pem"));
    }
}
