//! Sealing: XChaCha20-Poly1305 under keys that HKDF-SHA256 (RFC 5869) derives from each configured key, one for each
//! purpose. A sealed value is bound to its purpose, its label (such as the cookie's name) and the deployment's context,
//! so it cannot replace another. A value that does not open counts as absent; callers do not learn the reason.
//!
//! Layout: version (1 byte), key id (4), `aead_nonce` (24), ciphertext with tag. In text: base64url without padding,
//! with `.` for a `-` that follows another: firewalls take `--` for an SQL comment, and `..` for a path traversal, also
//! in cookies.

use std::{fmt, sync::Arc};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use chacha20poly1305::{AeadInPlace, Key, KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use memchr::{memchr, memchr_iter};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::platform::{NoRandomness, Platform};

/// The longest sealed text that is opened: 20 KiB, the size of all cookies of a session.
pub const MAX_SEALED_TEXT: usize = 20 * 1024;

/// The largest sealed bytes that are opened: 1 MiB.
pub const MAX_SEALED_BYTES: usize = 1024 * 1024;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// A configured key: 32 bytes.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; 32]>);

/// The text is no session key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionKeyError {
    /// Of the right length, but the same byte throughout.
    #[error("32 random bytes, and those of this key are all equal; `openssl rand -base64 32` makes one")]
    EqualBytes,
    /// In no encoding 32 bytes.
    #[error("32 random bytes as base64, base64url or hex; `openssl rand -base64 32` makes one")]
    Malformed,
}

impl SessionKey {
    /// Parses a key: base64 or base64url, padded or not, or 64 hex digits. Surrounding white space, as from a file, is
    /// trimmed.
    ///
    /// # Errors
    /// [`SessionKeyError`]
    pub fn parse(text: &str) -> Result<Self, SessionKeyError> {
        let text = text.trim_ascii();
        let bytes = match text.len() {
            64 => from_hex(text),
            43 => from_base64(text, &BASE64_STANDARD_NO_PAD).or_else(|| from_base64(text, &BASE64_URL_SAFE_NO_PAD)),
            44 => from_base64(text, &BASE64_STANDARD).or_else(|| from_base64(text, &BASE64_URL_SAFE)),
            _ => None,
        };
        let mut key = Self(Zeroizing::new([0; 32]));
        let bytes = bytes.filter(|bytes| bytes.len() == key.0.len()).ok_or(SessionKeyError::Malformed)?;
        if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
            return Err(SessionKeyError::EqualBytes);
        }
        key.0.copy_from_slice(&bytes);
        Ok(key)
    }

    /// Whether both are the same key, in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey([redacted])")
    }
}

/// The kind of a sealed value; each has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A pending sign-in: the cookie that binds it to its browser.
    PendingSignIn,
    /// An authorization response that the browser posted.
    PostedResponse,
    /// The reference to a stored session.
    Reference,
    /// A session in cookies.
    Session,
    /// A provider document that the workers of a process share.
    SharedDocument,
    /// The `state` parameter of an authorization request, or of a logout request.
    State,
    /// A session in a store.
    StoredSession,
    /// The number of recent sign-ins in a row.
    LoginLoop,
}

impl Purpose {
    const ALL: [Self; 8] = [
        Self::PendingSignIn,
        Self::PostedResponse,
        Self::Reference,
        Self::Session,
        Self::SharedDocument,
        Self::State,
        Self::StoredSession,
        Self::LoginLoop,
    ];

    /// The label of the key derivation; a change makes all earlier sealed values unreadable.
    const fn name(self) -> &'static [u8] {
        match self {
            Self::PendingSignIn => b"pending sign-in",
            Self::PostedResponse => b"posted response",
            Self::Reference => b"reference",
            Self::Session => b"session",
            Self::SharedDocument => b"shared document",
            Self::State => b"state",
            Self::StoredSession => b"stored session",
            Self::LoginLoop => b"trail",
        }
    }
}

/// Why a value was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no randomness for the `aead_nonce`.
    #[error("{0}")]
    NoRandomness(#[from] NoRandomness),
    /// The value is larger than its place: the cookies, the store, or [`MAX_SEALED_BYTES`].
    #[error("the session takes {size} bytes, and there is room for {budget}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The size of the place in bytes.
        budget: usize,
    },
}

/// Seals with the first key, and opens with all of them.
#[derive(Clone)]
pub struct Sealer {
    inner: Arc<Inner>,
}

struct Inner {
    sealing: DerivedKeys,
    retired: Vec<DerivedKeys>,
    context: String,
}

/// The id and the ciphers derived from one key.
struct DerivedKeys {
    id: [u8; KEY_ID_LEN],
    ciphers: [XChaCha20Poly1305; Purpose::ALL.len()],
}

impl Sealer {
    /// A sealer, or `None` without keys. `context` is bound into every sealed value; [`context_of`] joins several
    /// parts.
    pub fn new(ring: Vec<SessionKey>, context: &str) -> Option<Self> {
        let mut keys = ring.iter().filter_map(DerivedKeys::derive);
        let sealing = keys.next()?;
        let retired: Vec<_> = keys.collect();
        // A key that fails to derive must not be dropped silently.
        (retired.len() + 1 == ring.len())
            .then(|| Self { inner: Arc::new(Inner { sealing, retired, context: context.to_owned() }) })
    }

    /// Seals into text that fits a cookie or a URL as it is.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn seal(
        &self,
        purpose: Purpose,
        label: &str,
        plaintext: &[u8],
        platform: &dyn Platform,
    ) -> Result<String, SealError> {
        Ok(base64_simd::URL_SAFE_NO_PAD
            .encode_to_string(self.seal_bytes(purpose, label, plaintext, platform)?)
            .replace("--", "-."))
    }

    /// Opens what [`Self::seal`] made for this purpose and label.
    pub fn open(&self, purpose: Purpose, label: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.len() > MAX_SEALED_TEXT {
            return None;
        }
        self.open_bytes(purpose, label, &decode(sealed)?)
    }

    /// Whether a retired key sealed this text, by the key id in it.
    pub fn has_retired_key(&self, sealed: &[u8]) -> bool {
        // Eight letters are six bytes: the version, and the id of the key.
        let start = sealed.get(..8).and_then(decode).unwrap_or_default();
        start.get(1..=KEY_ID_LEN) != Some(&self.inner.sealing.id)
    }

    /// Seals into bytes.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn seal_bytes(
        &self,
        purpose: Purpose,
        label: &str,
        plaintext: &[u8],
        platform: &dyn Platform,
    ) -> Result<Vec<u8>, SealError> {
        let size = HEADER_LEN.saturating_add(plaintext.len()).saturating_add(TAG_LEN);
        let too_large = SealError::TooLarge { size, budget: MAX_SEALED_BYTES };
        if size > MAX_SEALED_BYTES {
            return Err(too_large);
        }
        let keys = &self.inner.sealing;
        let mut aead_nonce = [0; NONCE_LEN];
        platform.random(&mut aead_nonce)?;

        // Room for the tag: a growing vector would leave a copy of the plaintext behind.
        let mut text = Vec::with_capacity(plaintext.len() + TAG_LEN);
        text.extend_from_slice(plaintext);
        keys.cipher(purpose)
            .encrypt_in_place(XNonce::from_slice(&aead_nonce), &self.associated_data(purpose, label), &mut text)
            .map_err(|_| too_large)?;

        let mut sealed = Vec::with_capacity(HEADER_LEN + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&keys.id);
        sealed.extend_from_slice(&aead_nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`Self::seal_bytes`] made for this purpose and label.
    pub fn open_bytes(&self, purpose: Purpose, label: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.len() > MAX_SEALED_BYTES {
            return None;
        }
        let (&[VERSION], rest) = sealed.split_first_chunk::<1>()? else { return None };
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LEN>()?;
        let (aead_nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>()?;

        let associated_data = self.associated_data(purpose, label);
        self.keys().filter(|keys| keys.id == *id).find_map(|keys| {
            let mut text = Zeroizing::new(ciphertext.to_vec());
            keys.cipher(purpose)
                .decrypt_in_place(XNonce::from_slice(aead_nonce), &associated_data, &mut *text)
                .is_ok()
                .then_some(text)
        })
    }

    fn keys(&self) -> impl Iterator<Item = &DerivedKeys> {
        std::iter::once(&self.inner.sealing).chain(&self.inner.retired)
    }

    /// Each part after its length: no byte can move to a neighbouring part (CVE-2023-35941).
    fn associated_data(&self, purpose: Purpose, label: &str) -> Vec<u8> {
        let parts = [purpose.name(), label.as_bytes(), self.inner.context.as_bytes()];
        let mut data = Vec::with_capacity(1 + parts.iter().map(|part| size_of::<u64>() + part.len()).sum::<usize>());
        data.push(VERSION);
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

impl DerivedKeys {
    /// `None` never happens: HKDF only refuses lengths far above these.
    fn derive(key: &SessionKey) -> Option<Self> {
        let hkdf = Hkdf::<Sha256>::new(Some(b"vestibule session key"), key.0.as_slice());
        let mut id = [0; KEY_ID_LEN];
        hkdf.expand(b"key id", &mut id).ok()?;
        let cipher = |purpose: Purpose| {
            let mut derived = Zeroizing::new([0; 32]);
            hkdf.expand_multi_info(&[b"seal ", purpose.name()], derived.as_mut_slice()).ok()?;
            Some(XChaCha20Poly1305::new(Key::from_slice(derived.as_slice())))
        };
        let [pending, posted, reference, session, document, state, stored, login_loop] = Purpose::ALL.map(cipher);
        let ciphers = [pending?, posted?, reference?, session?, document?, state?, stored?, login_loop?];
        Some(Self { id, ciphers })
    }

    const fn cipher(&self, purpose: Purpose) -> &XChaCha20Poly1305 {
        let [pending, posted, reference, session, document, state, stored, login_loop] = &self.ciphers;
        match purpose {
            Purpose::PendingSignIn => pending,
            Purpose::PostedResponse => posted,
            Purpose::Reference => reference,
            Purpose::Session => session,
            Purpose::SharedDocument => document,
            Purpose::State => state,
            Purpose::StoredSession => stored,
            Purpose::LoginLoop => login_loop,
        }
    }
}

/// The length of the sealed text for a plaintext of this length.
pub const fn sealed_len(plaintext: usize) -> usize {
    let bytes = HEADER_LEN.saturating_add(plaintext).saturating_add(TAG_LEN);
    bytes.saturating_mul(4).div_ceil(3)
}

/// Joins the parts of a context unambiguously.
pub fn context_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().map(|part| format!("{}:{part},", part.len())).collect()
}

/// Decodes base64url, plain or as [`Sealer::seal`] writes it. No other spelling of a seal is accepted.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if memchr(b'.', text).is_none() {
        return base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok();
    }
    let mut dashed = text.to_vec();
    for next in memchr_iter(b'-', text).filter_map(|dash| dash.checked_add(1)) {
        match dashed.get_mut(next) {
            Some(dot) if *dot == b'.' => *dot = b'-',
            Some(b'-') => return None,
            _ => {}
        }
    }
    // A `.` elsewhere is still there, and no letter of base64url.
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(dashed).ok()
}

fn from_base64(text: &str, engine: &impl Engine) -> Option<Zeroizing<Vec<u8>>> {
    engine.decode(text).ok().map(Zeroizing::new)
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    base16ct::mixed::decode_vec(text).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
