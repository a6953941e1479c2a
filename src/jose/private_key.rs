//! Private keys of a client, as operators have them: PKCS #8 (RFC 5958) in PEM, or a JWK (RFC 7517). The host signs with them,
//! and takes PKCS #8; with Ed25519 keys we sign ourselves.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    Algorithm, der,
    ecdsa::{Curve, EcKey},
    json,
    members::Members,
    rsa,
};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// AlgorithmIdentifier of Ed25519 (RFC 8410, 3).
const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
/// The version of PKCS #8, and of RSAPrivateKey with two primes: 0.
const VERSION: &[u8] = b"\x02\x01\x00";
/// The longest key that is read, in bytes.
const MAX_KEY: usize = 8 * 1024;

/// A private key.
pub(super) enum PrivateKey {
    /// As PKCS #8.
    Ec(Curve, Zeroizing<Vec<u8>>),
    /// Its seed (RFC 8032, 5.1.5).
    Ed25519(Zeroizing<[u8; 32]>),
    /// As PKCS #8.
    Rsa(Zeroizing<Vec<u8>>),
}

/// Why a text is refused as a private key; each message says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// It cannot sign by this algorithm.
    #[error("an algorithm of this key: {0}")]
    Algorithm(&'static str),
    /// It needs a passphrase.
    #[error("a key without a passphrase (openssl pkcs8 -topk8 -nocrypt -in KEY removes it)")]
    Encrypted,
    /// PEM of another kind.
    #[error("a key in PKCS #8, -----BEGIN PRIVATE KEY----- (openssl pkcs8 -topk8 -nocrypt -in KEY writes it)")]
    Format,
    /// The `alg` of the JWK is not an algorithm that the key signs by.
    #[error("a JWK whose `alg`, where it has one, is an algorithm that Envoy signs by with this key: {0}")]
    JwkAlgorithm(&'static str),
    /// The JWK is not for signatures.
    #[error("a JWK for signatures: `use`, where it has one, is `sig`, and `key_ops` has `sign`")]
    JwkUse,
    /// No key at all.
    #[error(
        "a private key in PEM (-----BEGIN PRIVATE KEY-----, with its line breaks or with \\n in their place) or as a JWK"
    )]
    NoKey,
    /// The key itself cannot be used.
    #[error("a whole private key: RSA with 2048 bits or more, EC on P-256, P-384 or P-521, or Ed25519")]
    Kind,
    /// The public half.
    #[error("the private key, not the public one")]
    Public,
}

impl PrivateKey {
    /// Reads a key, and what its JWK says of it.
    pub(super) fn read(text: &str) -> Result<(Self, KeyNotes), PrivateKeyError> {
        let text = text.trim();
        if text.len() > MAX_KEY {
            return Err(PrivateKeyError::NoKey);
        }
        if text.starts_with('{') {
            return of_jwk(text);
        }
        // A variable of the environment often has `\n` in place of its line breaks.
        let text = Zeroizing::new(text.replace("\\n", "\n"));
        of_pem(text.trim()).map(|key| (key, KeyNotes::default()))
    }

    /// The algorithms that it signs by; the first is the usual one.
    pub(super) const fn algorithms(&self) -> (&'static [Algorithm], &'static str) {
        match self {
            Self::Ec(Curve::P256, _) => (&[Algorithm::Es256], "ES256"),
            Self::Ec(Curve::P384, _) => (&[Algorithm::Es384], "ES384"),
            Self::Ec(Curve::P521, _) => (&[Algorithm::Es512], "ES512"),
            Self::Ed25519(_) => (&[Algorithm::EdDsa], "EdDSA"),
            Self::Rsa(_) => (&[Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512], "RS256, RS384 or RS512"),
        }
    }

    /// The public half, as a JWK of the members that its thumbprint is made of (RFC 7638, 3.2), in their order. `None` where an
    /// EC key came without it.
    pub(super) fn public_jwk(&self) -> Option<Value> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec(curve, pkcs8) => {
                let [x, y] = public_point(*curve, pkcs8)?;
                Some(json!({ "crv": curve.name(), "kty": "EC", "x": text(x), "y": text(y) }))
            }
            Self::Ed25519(seed) => {
                let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
                Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": text(public.as_bytes()) }))
            }
            Self::Rsa(pkcs8) => {
                let [_, modulus, exponent, ..] = rsa_numbers(inner_key(pkcs8)?)[..] else { return None };
                let [n, e] = [modulus, exponent].map(|number| text(der::without_zeros(number)));
                Some(json!({ "e": e, "kty": "RSA", "n": n }))
            }
        }
    }
}

/// The ID and the algorithm that a JWK gives its key.
#[derive(Default)]
pub(super) struct KeyNotes {
    pub(super) kid: Option<String>,
    /// The algorithm that it names; an `Err` where we know none of that name.
    pub(super) algorithm: Option<Result<Algorithm, UnknownAlgorithm>>,
}

/// A name of no algorithm that we know.
#[derive(Clone, Copy)]
pub(super) struct UnknownAlgorithm;

fn of_pem(pem: &str) -> Result<PrivateKey, PrivateKeyError> {
    // Tools write other things before and after it: attributes, parameters, a certificate.
    let Some(body) = pem.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body) else {
        let has = |label: &str| pem.contains(&format!("-----BEGIN {label}-----"));
        return Err(if has("ENCRYPTED PRIVATE KEY") {
            PrivateKeyError::Encrypted
        } else if ["EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "DSA PRIVATE KEY"].into_iter().any(has) {
            PrivateKeyError::Format
        } else if ["CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY"].into_iter().any(has) {
            PrivateKeyError::Public
        } else {
            PrivateKeyError::NoKey
        });
    };
    let digits: Zeroizing<Vec<u8>> = Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let der = STANDARD.decode(&*digits).map(Zeroizing::new).map_err(|_| PrivateKeyError::NoKey)?;
    of_pkcs8(der).ok_or(PrivateKeyError::Kind)
}

/// RFC 5958, 2: version, algorithm and key; attributes may follow.
fn of_pkcs8(der: Zeroizing<Vec<u8>>) -> Option<PrivateKey> {
    let mut whole = &der[..];
    let mut fields = der::read(der::SEQUENCE, &mut whole).filter(|_| whole.is_empty())?;
    der::read(der::INTEGER, &mut fields)?;
    let after_version = fields;
    der::read(der::SEQUENCE, &mut fields)?;
    let identifier = after_version.get(..after_version.len() - fields.len())?;
    let key = der::read(der::OCTET_STRING, &mut fields)?;
    if identifier == ED25519 {
        let mut key = key;
        let seed = der::read(der::OCTET_STRING, &mut key)?.try_into().ok()?;
        return Some(PrivateKey::Ed25519(Zeroizing::new(seed)));
    }
    if identifier == rsa::ALGORITHM {
        return is_rsa(key).then_some(PrivateKey::Rsa(der));
    }
    let curve = Curve::ALL.into_iter().find(|curve| curve.identifier() == identifier)?;
    let mut inner = key;
    let mut fields = der::read(der::SEQUENCE, &mut inner)?;
    der::read(der::INTEGER, &mut fields)?;
    let scalar = der::read(der::OCTET_STRING, &mut fields)?;
    curve.is_scalar(scalar).then(|| PrivateKey::Ec(curve, der.clone()))
}

/// The key in PKCS #8 that was read or written here.
fn inner_key(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut whole = pkcs8;
    let mut fields = der::read(der::SEQUENCE, &mut whole)?;
    der::read(der::INTEGER, &mut fields)?;
    der::read(der::SEQUENCE, &mut fields)?;
    der::read(der::OCTET_STRING, &mut fields)
}

/// The coordinates of the public half of an EC key (RFC 5915, 3), an uncompressed point (SEC 1, 2.3.3).
fn public_point(curve: Curve, pkcs8: &[u8]) -> Option<[&[u8]; 2]> {
    let mut inner = inner_key(pkcs8)?;
    let mut fields = der::read(der::SEQUENCE, &mut inner)?;
    der::read(der::INTEGER, &mut fields)?;
    der::read(der::OCTET_STRING, &mut fields)?;
    let _ = der::read(der::PARAMETERS, &mut fields);
    let mut bits = der::read(der::PUBLIC_POINT, &mut fields)?;
    let point = der::read(der::BIT_STRING, &mut bits)?.strip_prefix(&[0, 4])?;
    let (x, y) = point.split_at_checked(curve.order().len())?;
    EcKey::new(curve, x, y).map(|_| [x, y])
}

/// The numbers of an RSAPrivateKey (RFC 8017, A.1.2), its version first.
fn rsa_numbers(key: &[u8]) -> Vec<&[u8]> {
    let mut whole = key;
    let mut fields = der::read(der::SEQUENCE, &mut whole).unwrap_or_default();
    std::iter::from_fn(|| der::read(der::INTEGER, &mut fields)).collect()
}

/// Whether it is an RSAPrivateKey with all its numbers.
fn is_rsa(key: &[u8]) -> bool {
    let numbers = rsa_numbers(key);
    let [_, modulus, exponent, ..] = numbers[..] else { return false };
    numbers.len() == 9 && rsa::RsaKey::new(modulus, exponent).is_some()
}

fn of_jwk(text: &str) -> Result<(PrivateKey, KeyNotes), PrivateKeyError> {
    let jwk = json::response_object(text.as_bytes(), MAX_KEY).map_err(|_| PrivateKeyError::NoKey)?;
    let members = Members::of(&jwk);
    if members.get("d").is_none() {
        let is_set = members.get("keys").is_some();
        return Err(if is_set { PrivateKeyError::NoKey } else { PrivateKeyError::Public });
    }
    let key = key_of_jwk(&jwk).ok_or(PrivateKeyError::Kind)?;
    if !may_sign(members) {
        return Err(PrivateKeyError::JwkUse);
    }
    let algorithm = members.get("alg").map(|name| {
        let name = name.as_str();
        name.and_then(Algorithm::from_name).ok_or(UnknownAlgorithm)
    });
    let kid = members.optional("kid").ok().flatten().map(str::to_owned);
    Ok((key, KeyNotes { kid, algorithm }))
}

/// RFC 7517, 4.2 and 4.3.
fn may_sign(members: Members<'_>) -> bool {
    let signs = |operations: &Value| operations.as_array().is_some_and(|all| all.iter().any(|one| one == "sign"));
    members.get("use").is_none_or(|purpose| purpose == "sig") && members.get("key_ops").is_none_or(signs)
}

/// RFC 7518, 6.2.2 and 6.3.2; RFC 8037, 2.
fn key_of_jwk(jwk: &Map<String, Value>) -> Option<PrivateKey> {
    let members = Members::of(jwk);
    let bytes = |name| members.bytes(name).map(Zeroizing::new).ok();
    match members.required("kty").ok()? {
        "EC" => {
            let curve = Curve::from_name(members.required("crv").ok()?)?;
            let scalar = Zeroizing::new(curve.coordinate(&bytes("d")?)?);
            // ECPrivateKey (RFC 5915, 3); its curve is the one of the AlgorithmIdentifier.
            let octets = Zeroizing::new(der::octets(&scalar));
            // The host refuses a public half that is not that of the private one.
            let coordinate = |name| bytes(name).and_then(|digits| curve.coordinate(&digits));
            let point = coordinate("x").zip(coordinate("y"));
            let point = point.map(|(x, y)| der::public_point(&[&[4], &x[..], &y].concat())).unwrap_or_default();
            let key = Zeroizing::new(der::sequence(&[b"\x02\x01\x01", &octets, &point]));
            let is_scalar = curve.is_scalar(&scalar);
            is_scalar.then(|| PrivateKey::Ec(curve, pkcs8(curve.identifier(), &key)))
        }
        "OKP" if members.required("crv") == Ok("Ed25519") => {
            Some(PrivateKey::Ed25519(Zeroizing::new(bytes("d")?[..].try_into().ok()?)))
        }
        "RSA" => {
            let number = |name| bytes(name).map(|digits| Zeroizing::new(der::integer(&digits)));
            let numbers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(number);
            let [Some(n), Some(e), Some(d), Some(p), Some(q), Some(dp), Some(dq), Some(qi)] = &numbers else {
                return None;
            };
            let key = Zeroizing::new(der::sequence(&[VERSION, n, e, d, p, q, dp, dq, qi]));
            is_rsa(&key).then(|| PrivateKey::Rsa(pkcs8(&rsa::ALGORITHM, &key)))
        }
        _ => None,
    }
}

fn pkcs8(identifier: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = Zeroizing::new(der::octets(key));
    Zeroizing::new(der::sequence(&[VERSION, identifier, &key]))
}

#[cfg(test)]
mod tests;
