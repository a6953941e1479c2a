//! Logout tokens, by which the provider ends sessions (Back-Channel Logout 1.0, 2.4 and 2.6).

use serde_json::Value;

use super::RelyingParty;
use crate::{
    jose::{
        claims::{self, Audience, ClaimError},
        verify::VerifiedJws,
    },
    time::{Leeway, UnixTime},
};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The longest `sub`, `sid` or `jti` that is looked at.
const MAX_NAME: usize = 255;

/// A logout token that passed every check; only [`check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// `jti`
    pub id: String,
    /// `sub`: all its sessions end, unless there is a `sid`.
    pub subject: Option<String>,
    /// `sid`: the provider's session that ends.
    pub sid: Option<String>,
    /// Until this moment, plus the leeway, it could be replayed.
    pub expires: UnixTime,
}

/// Why a signed token is not a logout token for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// A claim every signed token must get right.
    #[error("{0}")]
    Claim(#[from] ClaimError),
    /// No event, or another one.
    #[error("its events do not say logout")]
    Event,
    /// No `jti`.
    #[error("its jti is missing or unusable")]
    Id,
    /// A nonce: this is an ID token (2.4).
    #[error("it has a nonce")]
    Nonce,
    /// Neither subject nor session, or not text.
    #[error("its sub and sid are missing or unusable")]
    Subject,
    /// A token of another kind, by its `typ`.
    #[error("its typ says that it is something else")]
    Type,
}

/// Checks a token with a good signature.
///
/// # Errors
/// [`LogoutTokenError`] names the first check that failed.
pub fn check(
    token: VerifiedJws,
    relying_party: &RelyingParty,
    trusted_audiences: &[String],
    now: UnixTime,
    leeway: Leeway,
) -> Result<LogoutToken, LogoutTokenError> {
    // 2.4: `logout+jwt` is recommended, and an access token or ID token under its own name is neither.
    let is_one = |typ: &str| typ.eq_ignore_ascii_case("logout+jwt") || typ.eq_ignore_ascii_case("JWT");
    if token.typ().is_some_and(|typ| !is_one(typ)) {
        return Err(LogoutTokenError::Type);
    }
    // 2.6 (4), (5): iss, aud, iat, exp as for an ID token; specifications before December 2023 have no exp
    let expected = claims::Expected {
        issuer: relying_party.issuer.expected(),
        audience: Audience::Client(&relying_party.client_id, trusted_audiences),
        now,
        leeway,
    };
    let claims = claims::check_recent(token, &expected)?;
    let name = |claim: &str, error: LogoutTokenError| match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(name)) if (1..=MAX_NAME).contains(&name.len()) => Ok(Some(name.clone())),
        Some(_) => Err(error),
    };
    // 2.6 (6)
    let (subject, sid) = (name("sub", LogoutTokenError::Subject)?, name("sid", LogoutTokenError::Subject)?);
    if subject.is_none() && sid.is_none() {
        return Err(LogoutTokenError::Subject);
    }
    // 2.6 (7)
    if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Event);
    }
    // 2.6 (8)
    if claims.get("nonce").is_some() {
        return Err(LogoutTokenError::Nonce);
    }
    let id = name("jti", LogoutTokenError::Id)?.ok_or(LogoutTokenError::Id)?;
    Ok(LogoutToken { id, subject, sid, expires: claims.expires_at() })
}
