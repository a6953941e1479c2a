//! Signed tokens in compact form (RFC 7515, 7.1), taken apart by jwt-compact: the form, the header and its thumbprints.
//!
//! The JSON of header and payload is read by [`super::json`] as well, because jwt-compact passes over unknown members, also
//! where one stands twice. The signature is checked by [`super::verify`], because jwt-compact's `Validator` reads the claims
//! before it checks the signature. The claims are read by [`super::claims`]: jwt-compact's `Claims` cuts off fractions,
//! takes a token in the very second it expires (RFC 7519, 4.1.4), and does not say which of the dates is malformed.

use std::{cell::Cell, fmt};

use base64_simd::URL_SAFE_NO_PAD;
use jwt_compact::{ParseError, UntrustedToken};
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
const EXTENSIONS: [&str; 3] = ["b64", "crit", "zip"];

/// Why a text is no signed token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// `alg` is none of [`Algorithm::ALL`], spelled exactly so.
    #[error("an unknown signature algorithm")]
    Algorithm,
    /// Five parts: a JWE (RFC 7516).
    #[error(
        "an encrypted token (JWE), which is not read; let the provider send this client signed ones (id_token_encrypted_response_alg)"
    )]
    Encrypted,
    /// `crit`, `b64` or `zip` in the header.
    #[error("a header that asks for an extension")]
    Extension,
    /// `alg` is missing, or a registered parameter is of another type.
    #[error("a malformed header")]
    Header,
    /// The header is not a JSON object, or an ambiguous one.
    #[error("a header that is {0}")]
    HeaderJson(#[from] JsonError),
    /// `kid` is longer than that of any key ([`MAX_KID`]).
    #[error("an overlong key id")]
    KeyId,
    /// Not three parts in base64url, without padding, white space and stray bits.
    #[error("not a signed token in compact form")]
    NotCompact,
    /// Longer than [`MAX_TOKEN`], or its header than [`MAX_HEADER`].
    #[error("larger than {} bytes", MAX_TOKEN)]
    TooLarge,
}

/// A signed token before its signature is checked.
pub struct UnverifiedJws<'a> {
    algorithm: Algorithm,
    payload: &'a str,
    /// The payload's members, where [`Self::claimed_issuer`] has read them.
    members: Cell<Option<Map<String, Value>>>,
    signed: &'a str,
    token: UntrustedToken<'a>,
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
        if text.bytes().filter(|byte| *byte == b'.').count() == 4 {
            return Err(JwsError::Encrypted);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::NotCompact)?;
        // To jwt-compact an empty part is a part. An empty payload is a detached one (RFC 7515, appendix F).
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(JwsError::NotCompact);
        }
        if header.len() > MAX_HEADER {
            return Err(JwsError::TooLarge);
        }
        let parameters = json::parse_object(&decode(header)?, MAX_HEADER)?;
        let token = UntrustedToken::new(text)?;
        if EXTENSIONS.iter().any(|name| parameters.contains_key(*name)) {
            return Err(JwsError::Extension);
        }
        let algorithm = Algorithm::from_name(token.algorithm()).ok_or(JwsError::Algorithm)?;
        if token.header().key_id.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwsError::KeyId);
        }
        Ok(Self { algorithm, payload, members: Cell::default(), signed, token })
    }

    /// `alg` of the header.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid` of the header: a hint which key to try, nothing more (RFC 8725, 3.10). An empty one names no key.
    pub fn kid(&self) -> Option<&str> {
        self.token.header().key_id.as_deref().filter(|kid| !kid.is_empty())
    }

    /// `iss`, which selects the keys to verify the token with. Nothing is proven about it.
    pub fn claimed_issuer(&self) -> Option<String> {
        let members = self.payload().ok()?;
        let issuer = members.get("iss").and_then(Value::as_str).map(str::to_owned);
        self.members.set(Some(members));
        issuer
    }

    pub(super) fn typ(&self) -> Option<&str> {
        self.token.header().token_type.as_deref()
    }

    pub(super) fn signature(&self) -> &[u8] {
        self.token.signature_bytes()
    }

    /// The signing input: header and payload as they came (RFC 7515, 5.2).
    pub(super) const fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// For [`super::verify`] alone, once the signature is right.
    pub(super) fn payload(&self) -> Result<Map<String, Value>, JsonError> {
        if let Some(members) = self.members.take() {
            return Ok(members);
        }
        let bytes = decode(self.payload).map_err(|_| JsonError::Malformed)?;
        json::parse_object(&bytes, MAX_TOKEN)
    }
}

/// A part in base64url, without padding and stray bits.
fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode_to_vec(part).map_err(|_| JwsError::NotCompact)
}

impl From<ParseError> for JwsError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::MalformedHeader(_) | ParseError::UnsupportedContentType(_) => Self::Header,
            _ => Self::NotCompact,
        }
    }
}

/// Shows no claim and no signature: a token is a secret while it is accepted.
impl fmt::Debug for UnverifiedJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and a payload of `{}`, then a signature of one byte.
    const GOOD: &str = "eyJhbGciOiJFUzI1NiJ9.e30.AA";

    #[test]
    fn a_jws_has_three_parts_in_canonical_base64url() {
        assert!(UnverifiedJws::parse(GOOD).is_ok());
        for bad in [
            "",
            "e30",
            "e30.e30",
            "eyJhbGciOiJFUzI1NiJ9..AA",
            "eyJhbGciOiJFUzI1NiJ9.e30.",
            "eyJhbGciOiJFUzI1NiJ9.e30.AA.AA",
            // Padding, white space, the standard alphabet.
            "eyJhbGciOiJFUzI1NiJ9.e30=.AA",
            "eyJhbGciOiJFUzI1NiJ9 .e30.AA",
            "eyJhbGciOiJFUzI1NiJ9\n.e30.AA",
            "eyJhbGciOiJFUzI1NiIsImtpZCI6Ij8/Pz8ifQ+.e30.AA",
            // Bits that no byte has.
            "eyJhbGciOiJFUzI1NiJ9.e30.AB",
        ] {
            assert_eq!(UnverifiedJws::parse(bad).err(), Some(JwsError::NotCompact), "{bad:?}");
        }
        for spelling in ["e31", "e30=", "e30 ", "e30\n"] {
            let text = format!("eyJhbGciOiJFUzI1NiJ9.{spelling}.AA");
            let read = UnverifiedJws::parse(&text).ok().and_then(|token| token.payload().ok());
            assert_eq!(read, None, "{spelling:?}");
        }
    }

    #[test]
    fn an_encrypted_token_is_reported_as_encrypted() {
        let error = UnverifiedJws::parse("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d").err();
        assert_eq!(error, Some(JwsError::Encrypted));
    }
}
