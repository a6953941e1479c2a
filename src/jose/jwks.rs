//! Key sets (RFC 7517, 5). A key that cannot be used is left out: providers publish encryption keys and unsupported curves
//! beside the key that signs.

use std::{cell::Cell, fmt};

use serde_json::{Map, Value};

use super::{
    Algorithm,
    json::{self, JsonError},
    jwk::{Jwk, KeyError, MAX_KEYS},
    members::Members,
    pem,
};
use crate::{quoted::Quoted, time::UnixTime};

/// The largest key set that is read, in bytes.
pub const MAX_JWKS: usize = 256 * 1024;
/// Keys that are tried on one token: each may cost milliseconds.
const MAX_TRIED: usize = 4;
/// Failed trials of a key set in one second after which a token that may be forged is tried with one key only.
const MAX_FAILED_TRIALS: usize = 16;
/// Keys that [`JwksError::NoUsableKey`] names.
const MAX_NAMED: usize = 4;

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
            Ok(Jwk::nameless(key))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn keys_beyond_the_limit_are_omitted() {
        let key: Value = serde_json::from_str(KEY).unwrap();
        let keys = vec![key; MAX_KEYS + 2];
        let set = Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        assert_eq!((set.keys.len(), set.left_out().count()), (MAX_KEYS, 2));
        assert!(set.left_out().all(|key| key.error == KeyError::Surplus));
        let many = json!({ "keys": vec![json!({}); 10 * MAX_KEYS] }).to_string();
        let Err(JwksError::NoUsableKey(left_out)) = Jwks::parse(many.as_bytes()) else { panic!("no key is usable") };
        assert_eq!(left_out.len(), MAX_KEYS);
    }
}
