//! The compact form (RFC 7515, 7.1): taken apart and checked for shape. jwt-compact knows what a header is; its reader of
//! whole tokens is not used, because it keeps the last of duplicate members, nor its validator, because it reads the
//! claims before it checks the signature.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_compact::{Header, Thumbprint};
use serde::{
    Deserialize,
    de::value::{Error, StrDeserializer},
};
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
/// Header parameters that are texts wherever they are there: `alg`, `cty` and those of [`Header`].
const TEXTS: [&str; 8] = ["alg", "cty", "jku", "kid", "typ", "x5t", "x5t#S256", "x5u"];

/// Why a text is no token that could be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// `alg` is none of [`Algorithm`]: `none`, an HMAC, unknown, or spelled otherwise.
    #[error("an unknown signature algorithm")]
    Algorithm,
    /// `crit`, `b64` or `zip` in the header.
    #[error("a header that asks for an extension")]
    Extension,
    /// The header does not have the members it must have.
    #[error("a malformed header")]
    Header,
    /// The header is not a JSON object, or an ambiguous one.
    #[error("a header that is {0}")]
    HeaderJson(#[from] JsonError),
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
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signed: &'a str,
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
        // A further dot is not base64url. An empty payload is a detached one (RFC 7515, appendix F).
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(JwsError::NotCompact);
        }
        if header.len() > MAX_HEADER {
            return Err(JwsError::TooLarge);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::NotCompact);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let parameters = json::parse_object(&header, MAX_HEADER)?;
        let (algorithm, header) = read_header(&parameters).ok_or(JwsError::Header)?;
        if MEANING.iter().any(|name| parameters.contains_key(*name)) {
            return Err(JwsError::Extension);
        }
        let algorithm = Algorithm::from_name(algorithm).ok_or(JwsError::Algorithm)?;
        if header.key_id.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwsError::KeyId);
        }
        Ok(Self { algorithm, header, payload, signature, signed })
    }

    /// `alg`: what the token claims to be signed with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid`: a hint which key to try, nothing more (RFC 8725, 3.10).
    pub fn kid(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    /// `iss`, by which one finds whose keys to verify it with. Whoever wrote it may have made it up.
    pub fn claimed_issuer(&self) -> Option<String> {
        match self.payload().ok()?.remove("iss")? {
            Value::String(issuer) => Some(issuer),
            _ => None,
        }
    }

    pub(super) fn typ(&self) -> Option<&str> {
        self.header.token_type.as_deref()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub(super) const fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// For [`super::verify`] alone, once the signature is right.
    pub(super) fn payload(&self) -> Result<Map<String, Value>, JsonError> {
        json::parse_object(&self.payload, MAX_TOKEN)
    }
}

/// `alg`, and what jwt-compact calls a header, if it is one of a JSON payload.
fn read_header(parameters: &Map<String, Value>) -> Option<(&str, Header)> {
    let is_text = |name: &&str| parameters.get(*name).is_none_or(|value| value.is_string() || value.is_null());
    let text = |name| parameters.get(name).and_then(Value::as_str);
    if !TEXTS.iter().all(is_text) || text("cty").is_some_and(|cty| !cty.eq_ignore_ascii_case("json")) {
        return None;
    }
    let mut header = Header::empty();
    header.certificate_sha1_thumbprint = text("x5t").map(thumbprint).transpose().ok()?;
    header.certificate_thumbprint = text("x5t#S256").map(thumbprint).transpose().ok()?;
    // An empty `kid` names no key.
    header.key_id = text("kid").filter(|kid| !kid.is_empty()).map(str::to_owned);
    header.token_type = text("typ").map(str::to_owned);
    Some((text("alg")?, header))
}

fn thumbprint<const N: usize>(text: &str) -> Result<Thumbprint<N>, Error> {
    Thumbprint::deserialize(StrDeserializer::new(text))
}

/// Shows no claim and no signature: a token is a secret as long as somebody takes it.
impl fmt::Debug for UnverifiedJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
