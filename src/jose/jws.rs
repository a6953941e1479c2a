//! The compact form (RFC 7515, 7.1): taken apart and checked for shape. jwt-compact carries the format; its validator
//! is not used, because it reads the claims before it checks the signature, and keeps the last of duplicate members.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_compact::{Empty, UntrustedToken};
use serde_json::{Map, Value};

use super::{
    Algorithm,
    json::{self, JsonError},
};

/// The longest token that is read.
pub const MAX_TOKEN: usize = 64 * 1024;
/// The longest header, in base64url: room for a certificate chain that we ignore.
const MAX_HEADER: usize = 16 * 1024;
/// The longest `kid`.
pub(super) const MAX_KID: usize = 512;

/// Header parameters that change what a token means. None is supported, so none may be there: critical extensions
/// (RFC 7515, 4.1.11), payloads that are not base64url (RFC 7797), compressed ones.
const MEANING: [&str; 3] = ["b64", "crit", "zip"];

/// Why a text is no token that could be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// `alg` is none of [`Algorithm`]: `none`, an HMAC, unknown, or spelled otherwise.
    #[error("an unknown signature algorithm")]
    Algorithm,
    /// `crit`, `b64` or `zip` in the header.
    #[error("a header that asks for an extension")]
    Extension,
    /// The header is not a JSON object with the members it must have.
    #[error("a malformed header")]
    Header,
    /// `kid` is longer than any key's.
    #[error("an overlong key id")]
    KeyId,
    /// Not three parts in base64url, as it must be written: no padding, no whitespace, no stray bits.
    #[error("not a signed token in compact form")]
    NotCompact,
    /// More bytes than we are ready to read.
    #[error("larger than {} bytes", MAX_TOKEN)]
    TooLarge,
}

/// A signed token whose signature nobody has checked. The payload cannot be read from here.
pub struct UnverifiedJws<'a> {
    algorithm: Algorithm,
    payload: &'a str,
    signed: &'a str,
    token: UntrustedToken<'a, Empty>,
}

impl<'a> UnverifiedJws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JwsError`]
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        if text.len() > MAX_TOKEN {
            return Err(JwsError::TooLarge);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::NotCompact)?;
        // A fourth dot is jwt-compact's to find. An empty payload is a detached one (RFC 7515, appendix F).
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(JwsError::NotCompact);
        }
        if header.len() > MAX_HEADER {
            return Err(JwsError::TooLarge);
        }
        let token = UntrustedToken::<Empty>::try_from(text).map_err(|error| match error {
            jwt_compact::ParseError::MalformedHeader(_) | jwt_compact::ParseError::UnsupportedContentType(_) => {
                JwsError::Header
            }
            _ => JwsError::NotCompact,
        })?;
        // What jwt-compact has no name for it has not looked at.
        let header = object(header, MAX_HEADER).map_err(|_| JwsError::Header)?;
        if MEANING.iter().any(|name| header.contains_key(*name)) {
            return Err(JwsError::Extension);
        }
        let algorithm = Algorithm::from_name(token.algorithm()).ok_or(JwsError::Algorithm)?;
        if token.header().key_id.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwsError::KeyId);
        }
        Ok(Self { algorithm, payload, signed, token })
    }

    /// `alg`: what the token claims to be signed with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid`: a hint which key to try, nothing more (RFC 8725, 3.10).
    pub fn kid(&self) -> Option<&str> {
        self.token.header().key_id.as_deref()
    }

    pub(super) fn typ(&self) -> Option<&str> {
        self.token.header().token_type.as_deref()
    }

    pub(super) fn signature(&self) -> &[u8] {
        self.token.signature_bytes()
    }

    pub(super) const fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// For [`super::verify`] alone, once the signature is right.
    pub(super) fn payload(&self) -> Result<Map<String, Value>, JsonError> {
        object(self.payload, MAX_TOKEN)
    }
}

fn object(part: &str, limit: usize) -> Result<Map<String, Value>, JsonError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JsonError::Malformed)?;
    json::parse_object(&bytes, limit)
}

/// Shows no claim and no signature: a token is a secret as long as somebody takes it.
impl fmt::Debug for UnverifiedJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
