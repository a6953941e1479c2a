//! Key sets (RFC 7517). A key that cannot be used is left out: providers publish encryption keys and unsupported curves
//! beside the key that signs.

use std::{cell::Cell, fmt};

use serde_json::{Map, Value};

use super::{
    Algorithm,
    ecdsa::{Curve, EcKey},
    json::{self, JsonError},
    jws::MAX_KID,
    members::{BadMember, Members},
    pem,
    rsa::RsaKey,
};
use crate::{quoted::Quoted, time::UnixTime};

/// The largest key set that is read, in bytes.
pub const MAX_JWKS: usize = 256 * 1024;
/// Usable keys that are kept of a set, and keys left out that are remembered.
const MAX_KEYS: usize = 100;
/// Keys that are tried on one token: each may cost milliseconds.
const MAX_TRIED: usize = 4;
/// Failed trials of a key set in one second after which a token that may be forged is tried with one key only.
const MAX_FAILED_TRIALS: usize = 16;
/// Keys that [`JwksError::NoUsableKey`] names.
const MAX_NAMED: usize = 4;

/// Members that only a private or symmetric key has (RFC 7518, 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// Why a document is no usable key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not a JSON object of at most [`MAX_JWKS`] bytes.
    #[error("the key set is {0}")]
    Json(#[from] JsonError),
    /// No array `keys`.
    #[error("the key set has no array \"keys\"")]
    NoKeys,
    /// Every key of `keys` is left out.
    #[error("the key set has no usable key{}", named(.0))]
    NoUsableKey(Vec<LeftOutKey>),
}

fn named(left_out: &[LeftOutKey]) -> String {
    let mut text: String =
        left_out.iter().take(MAX_NAMED).map(|key| format!("; {key} is left out: {}", key.error)).collect();
    if left_out.len() > MAX_NAMED {
        text.push_str("; and others");
    }
    text
}

/// Why a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `alg` is no supported signature algorithm.
    #[error("its alg is not supported")]
    Algorithm,
    /// Its coordinates are no point of its curve, or a point of small order.
    #[error("its coordinates are no usable point of its curve")]
    Point,
    /// `kid` is longer than [`MAX_KID`].
    #[error("its kid is longer than {MAX_KID} bytes")]
    KeyId,
    /// `kty` or `crv` is not supported.
    #[error("its kty and crv are not supported")]
    Kind,
    /// A member is missing or of another type.
    #[error("its {0} is missing or malformed")]
    Malformed(&'static str),
    /// `alg` belongs to another kind of key.
    #[error("its alg is not one for its kty and crv")]
    Mismatch,
    /// Not an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// It has a private or symmetric part.
    #[error("it is published with its private or symmetric part, so anybody can sign with it")]
    Private,
    /// Its modulus or exponent is not secure, or too large.
    #[error("its modulus must be odd and of 2048 to 8192 bits, and its exponent odd and of 2 to 33 bits")]
    Rsa,
    /// It comes after [`MAX_KEYS`] usable keys.
    #[error("it comes after {MAX_KEYS} usable keys")]
    Surplus,
    /// `use` or `key_ops` excludes signatures.
    #[error("it is not for signatures, by its use or key_ops")]
    Use,
}

impl KeyError {
    /// Whether sound key sets have such keys too: for encryption, or of a kind that is not supported.
    pub const fn is_expected(self) -> bool {
        matches!(self, Self::Algorithm | Self::Kind | Self::Use)
    }
}

impl From<BadMember> for KeyError {
    fn from(BadMember(name): BadMember) -> Self {
        Self::Malformed(name)
    }
}

/// A key that is left out, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutKey {
    kid: Option<Quoted>,
    description: Vec<(&'static str, Quoted)>,
    /// The reason.
    pub error: KeyError,
}

impl LeftOutKey {
    fn new(key: &Value, error: KeyError) -> Self {
        let empty = Map::new();
        let members = Members::of(key.as_object().unwrap_or(&empty));
        let quoted = |name| members.label(name).ok().flatten().map(|text| Quoted::new(&text));
        let description = ["kty", "crv", "alg", "use"].into_iter().filter_map(|name| Some((name, quoted(name)?)));
        Self { kid: quoted("kid"), description: description.collect(), error }
    }
}

impl fmt::Display for LeftOutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "the key {kid}")?,
            None => f.write_str("a key without kid")?,
        }
        let mut separator = " (";
        for (name, value) in &self.description {
            write!(f, "{separator}{name} {value}")?;
            separator = ", ";
        }
        if self.description.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// The usable keys of one issuer.
#[derive(Debug, Clone)]
pub struct Jwks {
    keys: Vec<Jwk>,
    /// The keys have no ids (PEM), so that a token's `kid` selects none of them.
    ignores_kid: bool,
    left_out: Vec<LeftOutKey>,
    url: Option<Quoted>,
    /// The last second with failed trials, and the number of them.
    failed: Cell<(UnixTime, usize)>,
    /// Counts the calls of [`Self::likely_signer`], so that keys take turns.
    turn: Cell<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Jwk {
    algorithm: Option<Algorithm>,
    pub(super) key: PublicKey,
    kid: Option<String>,
    /// The issuer of the tokens that it signs, in a set that several issuers share (Microsoft's `issuer`).
    pub(super) issuer: Option<String>,
    /// The algorithm of the last token whose signature this key verified.
    signed_with: Cell<Option<Algorithm>>,
}

/// A public key.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    Ec(EcKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(RsaKey),
}

impl Jwks {
    /// The keys of an issuer that signs nothing.
    pub const fn none() -> Self {
        Self {
            keys: Vec::new(),
            ignores_kid: false,
            left_out: Vec::new(),
            url: None,
            failed: Cell::new((UnixTime::from_secs(0), 0)),
            turn: Cell::new(0),
        }
    }

    /// Reads a key set.
    ///
    /// # Errors
    /// [`JwksError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        let document = json::response_object(bytes, MAX_JWKS)?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        let mut set = Self::none();
        for key in keys {
            match Jwk::read(key) {
                Ok(jwk) if set.keys.len() < MAX_KEYS => set.keys.push(jwk),
                outcome => {
                    let error = outcome.err().unwrap_or(KeyError::Surplus);
                    set.left_out.push(LeftOutKey::new(key, error));
                }
            }
            set.left_out.truncate(MAX_KEYS);
        }
        if set.keys.is_empty() { Err(JwksError::NoUsableKey(set.left_out)) } else { Ok(set) }
    }

    /// A set of public keys in PEM, which have no ids.
    ///
    /// # Errors
    /// The index of the first text that is no public key.
    pub fn of_pem(texts: &[String]) -> Result<Self, usize> {
        let key = |(index, text): (usize, &String)| {
            let key = pem::public_key(text).ok_or(index)?;
            Ok(Jwk { algorithm: None, key, kid: None, issuer: None, signed_with: Cell::new(None) })
        };
        let keys = texts.iter().enumerate().map(key).collect::<Result<_, usize>>()?;
        Ok(Self { keys, ignores_kid: true, ..Self::none() })
    }

    /// The set with the URL that it was fetched from.
    #[must_use]
    pub fn fetched_from(self, url: &str) -> Self {
        Self { url: Some(Quoted::new(url)), ..self }
    }

    /// The URL of the key set; `None` where the keys are configured.
    pub const fn url(&self) -> Option<&Quoted> {
        self.url.as_ref()
    }

    /// The reason why the key with this `kid` is left out, if it is.
    pub(super) fn reason_left_out(&self, kid: &str) -> Option<KeyError> {
        let kid = Some(Quoted::new(kid));
        self.left_out.iter().find(|key| key.kid == kid).map(|key| key.error)
    }

    /// The keys that are left out for other reasons than [`KeyError::is_expected`].
    pub fn left_out(&self) -> impl Iterator<Item = &LeftOutKey> {
        self.left_out.iter().filter(|key| !key.error.is_expected())
    }

    /// Whether a usable key has this `kid`.
    pub fn has_kid(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys to try on a token. Several may share a `kid`, or the token may name none (OIDC Core 10.1).
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&Jwk> {
        self.keys
            .iter()
            .filter(|key| self.ignores_kid || kid.is_none() || key.kid.as_deref() == kid)
            .filter(|key| key.fits(algorithm))
            .take(MAX_TRIED)
            .collect()
    }

    /// Whether [`MAX_FAILED_TRIALS`] are reached in this second: a trial may cost milliseconds, and a forger chooses the
    /// algorithm.
    pub(super) fn has_failed_often(&self, now: UnixTime) -> bool {
        let (second, failed) = self.failed.get();
        second == now && failed >= MAX_FAILED_TRIALS
    }

    /// Counts failed trials.
    pub(super) fn count_failed(&self, trials: usize, now: UnixTime) {
        let (second, failed) = self.failed.get();
        let before = if second == now { failed } else { 0 };
        self.failed.set((now, before.saturating_add(trials)));
    }

    /// The one candidate that is tried while many trials fail. Keys that verified a token with this algorithm take turns, or
    /// all candidates where none did. `None` where the keys of this kind are known to be used with other algorithms only
    /// (RFC 8725, 3.1: one key is used with one algorithm).
    pub(super) fn likely_signer<'a>(&self, candidates: &[&'a Jwk], algorithm: Algorithm) -> Option<&'a Jwk> {
        let of_its_kind = self.keys.iter().filter(|key| key.key.fits(algorithm));
        let mut in_use = of_its_kind.filter_map(|key| key.algorithm.or(key.signed_with.get())).peekable();
        if in_use.peek().is_some() && !in_use.any(|used| used == algorithm) {
            return None;
        }
        let (proven, others): (Vec<_>, Vec<_>) =
            candidates.iter().partition(|key| key.signed_with.get() == Some(algorithm));
        let among = if proven.is_empty() { others } else { proven };
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        among.get(turn.checked_rem(among.len())?).copied()
    }
}

impl Jwk {
    fn read(key: &Value) -> Result<Self, KeyError> {
        let members = Members::of(key.as_object().ok_or(KeyError::NotAnObject)?);
        if PRIVATE_MEMBERS.iter().any(|name| members.get(name).is_some()) {
            return Err(KeyError::Private);
        }
        if !may_verify(members) {
            return Err(KeyError::Use);
        }
        let algorithm = match members.optional("alg")? {
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyError::Algorithm)?),
            None => None,
        };
        let key = PublicKey::read(members)?;
        if algorithm.is_some_and(|algorithm| !key.fits(algorithm)) {
            return Err(KeyError::Mismatch);
        }
        let kid = members.label("kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(KeyError::KeyId);
        }
        let issuer = members.optional("issuer")?.map(str::to_owned);
        Ok(Self { algorithm, key, kid: kid.map(Into::into), issuer, signed_with: Cell::new(None) })
    }

    /// Records that the key verified a token with this algorithm.
    pub(super) fn record_signature(&self, algorithm: Algorithm) {
        self.signed_with.set(Some(algorithm));
    }

    /// Whether the key may verify this algorithm (RFC 8725, 3.1): its own `alg`, or else one for its kind.
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.key.fits(algorithm)
    }
}

impl PublicKey {
    fn read(members: Members<'_>) -> Result<Self, KeyError> {
        match (members.required("kty")?, members.optional("crv")?) {
            ("RSA", _) => RsaKey::new(&members.bytes("n")?, &members.bytes("e")?).map(Self::Rsa).ok_or(KeyError::Rsa),
            ("EC", Some(curve)) => {
                let curve = Curve::from_name(curve).ok_or(KeyError::Kind)?;
                let coordinate = |name| curve.coordinate(&members.bytes(name)?).ok_or(KeyError::Malformed(name));
                EcKey::new(curve, &coordinate("x")?, &coordinate("y")?).map(Self::Ec).ok_or(KeyError::Point)
            }
            ("OKP", Some("Ed25519")) => Self::ed25519(&members.bytes("x")?).ok_or(KeyError::Point),
            _ => Err(KeyError::Kind),
        }
    }

    pub(super) fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::try_from(bytes).ok()?;
        // With a point of small order, a signature can be made without a private key.
        (!key.is_weak()).then_some(Self::Ed25519(key))
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Ec(key) => algorithm == key.curve().algorithm(),
            Self::Ed25519(_) => matches!(algorithm, EdDsa),
            Self::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
        }
    }
}

/// Whether `use` and `key_ops` allow verification (RFC 7517, 4.2 and 4.3).
fn may_verify(members: Members<'_>) -> bool {
    let use_fits = members.get("use").is_none_or(|value| value == "sig");
    let operations_fit = members.get("key_ops").is_none_or(|_| {
        members.list("key_ops").is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    });
    use_fits && operations_fit
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
    };
    use p256::elliptic_curve::sec1::ToEncodedPoint;
    use serde_json::json;

    use super::*;

    fn read(key: &Value) -> Result<PublicKey, KeyError> {
        Jwk::read(key).map(|jwk| jwk.key)
    }

    fn spki(key: &Value) -> Result<Vec<u8>, KeyError> {
        read(key).map(|key| match key {
            PublicKey::Ec(key) => key.spki().to_vec(),
            PublicKey::Rsa(key) => key.spki().to_vec(),
            PublicKey::Ed25519(key) => key.to_bytes().to_vec(),
        })
    }

    /// The point of a small scalar.
    fn point(crv: &str, scalar: u16) -> [Vec<u8>; 2] {
        macro_rules! point {
            ($crate_name:ident, $length:literal) => {{
                let mut bytes = [0; $length];
                bytes[$length - 2..].copy_from_slice(&scalar.to_be_bytes());
                let point = $crate_name::SecretKey::from_slice(&bytes).unwrap().public_key().to_encoded_point(false);
                [point.x().unwrap().to_vec(), point.y().unwrap().to_vec()]
            }};
        }
        match crv {
            "P-256" => point!(p256, 32),
            "P-384" => point!(p384, 48),
            _ => point!(p521, 66),
        }
    }

    fn ec(crv: &str, x: &[u8], y: &[u8]) -> Value {
        json!({ "kty": "EC", "crv": crv, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
    }

    #[test]
    fn a_coordinate_without_its_leading_zeros_or_with_more_of_them_is_the_same() {
        // Scalars whose point has a leading zero in x, and in y.
        for (crv, in_x, in_y) in [("P-256", 379, 43), ("P-384", 197, 176), ("P-521", 1, 2)] {
            for (scalar, place) in [(in_x, 0), (in_y, 1)] {
                let full = point(crv, scalar);
                assert_eq!(full[place][0], 0, "{crv} {scalar}");
                let expected = spki(&ec(crv, &full[0], &full[1])).unwrap();
                let mut short = full.clone();
                short[place].remove(0);
                assert_eq!(spki(&ec(crv, &short[0], &short[1])).as_ref(), Ok(&expected), "{crv} {scalar}");
                for zeros in [1, 2, 40] {
                    let mut long = full.clone();
                    long[place].splice(0..0, vec![0; zeros]);
                    assert_eq!(spki(&ec(crv, &long[0], &long[1])).as_ref(), Ok(&expected), "{crv} {scalar} {zeros}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_a_curve_is_no_coordinate_of_it() {
        for crv in ["P-256", "P-384", "P-521"] {
            let [x, y] = point(crv, 5);
            let mut large = y.clone();
            large.insert(0, 1);
            let mut cut = x.clone();
            cut.pop();
            for (x, y, expected) in [
                (&x, &large, KeyError::Malformed("y")),
                (&large, &y, KeyError::Malformed("x")),
                (&Vec::new(), &y, KeyError::Malformed("x")),
                (&vec![0; x.len()], &vec![0; x.len()], KeyError::Point),
                (&cut, &y, KeyError::Point),
                (&y, &x, KeyError::Point),
            ] {
                assert_eq!(read(&ec(crv, x, y)).unwrap_err(), expected, "{crv}");
            }
        }
    }

    #[test]
    fn bytes_are_read_however_they_are_spelled() {
        // Bytes that both alphabets spell with their own signs.
        let modulus: Vec<u8> = [0xfb, 0xff].into_iter().cycle().take(256).collect();
        let rsa = |n: String, e: &str| json!({ "kty": "RSA", "n": n, "e": e });
        let expected = spki(&rsa(URL_SAFE_NO_PAD.encode(&modulus), "AQAB")).unwrap();
        let zeros = [vec![0; 3], modulus.clone()].concat();
        for (n, e) in [
            (URL_SAFE.encode(&modulus), "AQAB"),
            (STANDARD.encode(&modulus), "AQAB"),
            (URL_SAFE_NO_PAD.encode(&zeros), "AAEAAQ"),
            (STANDARD.encode(&zeros), "AAEAAQ=="),
        ] {
            assert_eq!(spki(&rsa(n, e)).as_ref(), Ok(&expected));
        }
        for odd in [" AQAB", "AQAB\n", "AQ AB", "AQAB====", "AR=", "A", "AQAB.", "ÄQAB"] {
            let key = rsa(URL_SAFE_NO_PAD.encode(&modulus), odd);
            assert_eq!(read(&key).unwrap_err(), KeyError::Malformed("e"), "{odd:?}");
        }
    }

    #[test]
    fn why_a_key_is_left_out_is_known() {
        let [x, y] = point("P-256", 5);
        let key = |change: &dyn Fn(&mut Value)| {
            let mut key = ec("P-256", &x, &y);
            change(&mut key);
            read(&key).err()
        };
        let set = |name: &str, value: Value| key(&|key| key[name] = value.clone());
        for (name, value, expected) in [
            ("kid", json!("a"), None),
            ("kid", json!(7), None),
            ("kid", json!(""), None),
            ("kid", Value::Null, None),
            ("kid", json!(1.5), Some(KeyError::Malformed("kid"))),
            ("kid", json!(["a"]), Some(KeyError::Malformed("kid"))),
            ("kid", json!("x".repeat(MAX_KID + 1)), Some(KeyError::KeyId)),
            ("use", json!("sig"), None),
            ("use", json!(""), None),
            ("use", json!("enc"), Some(KeyError::Use)),
            ("use", json!(["sig"]), Some(KeyError::Use)),
            ("key_ops", json!(["verify"]), None),
            ("key_ops", json!("verify"), None),
            ("key_ops", json!(["sign"]), Some(KeyError::Use)),
            ("key_ops", json!([]), Some(KeyError::Use)),
            ("alg", json!("ES256"), None),
            ("alg", json!(""), None),
            ("alg", json!("ES384"), Some(KeyError::Mismatch)),
            ("alg", json!("ES256K"), Some(KeyError::Algorithm)),
            ("alg", json!("none"), Some(KeyError::Algorithm)),
            ("alg", json!(256), Some(KeyError::Malformed("alg"))),
            ("kty", json!("ec"), Some(KeyError::Kind)),
            ("kty", json!(""), Some(KeyError::Malformed("kty"))),
            ("crv", json!("secp256k1"), Some(KeyError::Kind)),
            ("d", json!("AQ"), Some(KeyError::Private)),
            ("k", json!(1), Some(KeyError::Private)),
            ("d", Value::Null, None),
        ] {
            assert_eq!(set(name, value.clone()), expected, "{name} {value}");
        }
        assert_eq!(read(&json!([])).unwrap_err(), KeyError::NotAnObject);
        let small = json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" });
        assert_eq!(read(&small).unwrap_err(), KeyError::Rsa);
    }

    #[test]
    fn more_keys_than_are_kept_are_left_out() {
        let [x, y] = point("P-256", 5);
        let keys = vec![ec("P-256", &x, &y); MAX_KEYS + 2];
        let set = Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        assert_eq!((set.keys.len(), set.left_out().count()), (MAX_KEYS, 2));
        assert!(set.left_out().all(|key| key.error == KeyError::Surplus));
        let many = json!({ "keys": vec![json!({}); 10 * MAX_KEYS] }).to_string();
        let Err(JwksError::NoUsableKey(left_out)) = Jwks::parse(many.as_bytes()) else { panic!("no key is usable") };
        assert_eq!(left_out.len(), MAX_KEYS);
    }
}
