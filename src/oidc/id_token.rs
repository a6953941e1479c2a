//! ID tokens for this client and this sign-in (OIDC Core 2 and 3.1.3.7).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::{
    claims::auth_time,
    digest::{HalfDigest, half_digest},
    jose::{
        Algorithm,
        claims::{self, Audience, ClaimError, VerifiedClaims},
        members::Members,
        verify::VerifiedJws,
    },
    secret::{AccessToken, Nonce},
    time::{Leeway, UnixTime},
};

use super::RelyingParty;

/// The longest subject (OIDC Core 2: 255 ASCII characters).
pub const MAX_SUBJECT: usize = 255;

/// An ID token that passed every check; only [`check`] makes one.
#[derive(Debug)]
pub struct VerifiedIdToken {
    claims: VerifiedClaims,
}

impl VerifiedIdToken {
    /// `sub`
    pub fn subject(&self) -> &str {
        self.claims.text("sub").unwrap_or_default()
    }

    /// Its claims.
    pub const fn claims(&self) -> &VerifiedClaims {
        &self.claims
    }

    /// Its claims, without the token.
    pub fn into_claims(self) -> Map<String, Value> {
        self.claims.into_claims()
    }
}

/// Why a signed token is not an ID token for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// `at_hash` is not the hash of the access token beside it.
    #[error("its at_hash does not fit the access token")]
    AccessTokenHash,
    /// `azp` is missing beside several audiences, or names another client.
    #[error("its azp is not us")]
    AuthorizedParty,
    /// A claim every signed token must get right.
    #[error("{0}")]
    Claim(#[from] ClaimError),
    /// The nonce of another authorization request, or none.
    #[error("its nonce is not the one of this sign-in")]
    Nonce,
    /// Another subject than that of the session.
    #[error("its sub is not the one of the session")]
    OtherSubject,
    /// No usable subject.
    #[error("its sub is missing or unusable")]
    Subject,
    /// A token of another kind, by its `typ` (RFC 8725, 3.11).
    #[error("its typ says that it is something else")]
    Type,
}

/// The values that an ID token is checked against (3.1.3.7).
#[derive(Debug)]
pub struct Expected<'a> {
    /// The provider's issuer and our client ID.
    pub relying_party: &'a RelyingParty,
    /// Audiences that it may name beside us.
    pub trusted_audiences: &'a [String],
    /// Why it was issued.
    pub occasion: Occasion<'a>,
    /// The access token that came with it.
    pub access_token: &'a AccessToken,
    /// Now.
    pub now: UnixTime,
    /// The accepted difference of clocks.
    pub leeway: Leeway,
}

/// Why an ID token was issued.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    /// A refresh of the session of this subject, which must continue what the first ID token began (OIDC Core 12.2).
    Refresh(&'a str, &'a Authentication),
    /// A sign-in with this nonce.
    SignIn(&'a Nonce),
}

/// The claims of the first ID token about the authentication, which no later one may contradict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authentication {
    /// Half a digest of the nonce.
    pub nonce: [u8; 16],
    /// `auth_time`, in seconds.
    pub time: Option<u64>,
    /// `sid`: the provider's name for its own session (OIDC Back-Channel Logout 2.1).
    pub sid: Option<String>,
}

impl Authentication {
    /// Those of the first ID token.
    pub fn of(id_token: &VerifiedIdToken) -> Self {
        let claims = id_token.claims();
        Self {
            nonce: nonce_digest(claims.text("nonce").unwrap_or_default()),
            time: claims.get("auth_time").and_then(auth_time),
            sid: claims.text("sid").filter(|sid| (1..=MAX_SUBJECT).contains(&sid.len())).map(str::to_owned),
        }
    }

    /// OIDC Core 12.2: no nonce, or the first one. Its `auth_time` should be that of the sign-in too; some providers write the time
    /// of the refresh, which counts for nothing: a session keeps the first one.
    fn is_continued_by(&self, claims: &VerifiedClaims) -> Result<(), IdTokenError> {
        let same_nonce = |nonce: &str| bool::from(nonce_digest(nonce).ct_eq(&self.nonce));
        let nonce = Members::of(claims.all()).get("nonce");
        if nonce.is_some_and(|nonce| !nonce.as_str().is_some_and(same_nonce)) {
            return Err(IdTokenError::Nonce);
        }
        Ok(())
    }
}

fn nonce_digest(nonce: &str) -> HalfDigest {
    half_digest("nonce", &[nonce.as_bytes()])
}

/// Checks a token with a good signature.
///
/// # Errors
/// [`IdTokenError`] names the first check that failed.
pub fn check(token: VerifiedJws, expected: &Expected<'_>) -> Result<VerifiedIdToken, IdTokenError> {
    // RFC 8725, 3.11: an access token (at+jwt) or a logout token (logout+jwt) is not an ID token.
    if token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(IdTokenError::Type);
    }
    let algorithm = token.algorithm();
    let client_id = expected.relying_party.client_id.as_str();
    // 3.1.3.7 (2), (3), (9), (10): iss, aud, exp, iat
    let claims = claims::check(
        token,
        &claims::Expected {
            issuer: expected.relying_party.issuer.expected(),
            audience: Audience::Client(client_id, expected.trusted_audiences),
            now: expected.now,
            leeway: expected.leeway,
        },
    )?;
    // 3.1.3.7 (4), (5)
    match claims.get("azp") {
        Some(azp) if azp.as_str() != Some(client_id) => return Err(IdTokenError::AuthorizedParty),
        None if claims.audiences().len() > 1 => return Err(IdTokenError::AuthorizedParty),
        Some(_) | None => {}
    }
    match expected.occasion {
        // 3.1.3.7 (11)
        Occasion::SignIn(nonce) => {
            if !claims.text("nonce").is_some_and(|said| nonce.matches(said)) {
                return Err(IdTokenError::Nonce);
            }
        }
        Occasion::Refresh(subject, first) => {
            if claims.text("sub") != Some(subject) {
                return Err(IdTokenError::OtherSubject);
            }
            first.is_continued_by(&claims)?;
        }
    }
    // 3.1.3.8
    if claims
        .get("at_hash")
        .is_some_and(|hash| !hash.as_str().is_some_and(|hash| hash_fits(hash, algorithm, expected.access_token)))
    {
        return Err(IdTokenError::AccessTokenHash);
    }
    if !claims.text("sub").is_some_and(is_usable_subject) {
        return Err(IdTokenError::Subject);
    }
    Ok(VerifiedIdToken { claims })
}

/// A subject ends up in a header and in logs: control characters would split it, spaces at an end be cut off.
pub fn is_usable_subject(sub: &str) -> bool {
    (1..=MAX_SUBJECT).contains(&sub.len()) && !sub.contains(char::is_control) && sub.trim() == sub
}

// 3.1.3.6: the left half of the hash that the token's own algorithm uses; SHA-512 for EdDSA with Ed25519.
fn hash_fits(at_hash: &str, algorithm: Algorithm, access_token: &AccessToken) -> bool {
    let token = access_token.expose().as_bytes();
    let digest = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => Sha256::digest(token).to_vec(),
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => Sha384::digest(token).to_vec(),
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::EdDsa => Sha512::digest(token).to_vec(),
    };
    let half = digest.get(..digest.len() / 2).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(half).as_bytes().ct_eq(at_hash.as_bytes()).into()
}
