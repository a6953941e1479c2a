//! Access tokens that are JWTs (RFC 9068), as programs bring them (RFC 6750).

use serde_json::Value;

use super::{Provider, id_token::is_usable_subject};
use crate::{
    claims::{Claim, Claims},
    jose::{
        claims::{self, Audience, ClaimError, VerifiedClaims},
        verify::VerifiedJws,
    },
    time::{Leeway, UnixTime},
};

/// Claims of which an access token has one, of whichever provider, and an ID token none.
const OF_ACCESS_TOKENS: [&str; 6] = ["appid", "azpacr", "cid", "client_id", "scope", "scp"];
/// Claims that an ID token or a logout token has and no access token.
const OF_OTHER_TOKENS: [&str; 5] = ["at_hash", "c_hash", "events", "nonce", "s_hash"];

/// An access token that passed every check; only [`check`] makes one.
#[derive(Debug)]
pub struct VerifiedAccessToken(VerifiedClaims);

/// Why a signed token is no access token for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    /// It can be used with a proof only (RFC 9449, RFC 8705), and none is checked here.
    #[error("it is bound to a key (cnf), which is not supported")]
    Bound,
    /// A claim every signed token must get right.
    #[error("{0}")]
    Claim(#[from] ClaimError),
    /// Another kind of token (RFC 8725, 3.12).
    #[error("it is no access token")]
    Kind,
    /// No subject.
    #[error("its sub is missing or unusable")]
    Subject,
}

/// Checks a token whose signature is good: from this provider, for one of `audiences`.
///
/// # Errors
/// [`AccessTokenError`] names the first check that failed.
pub fn check(
    token: VerifiedJws,
    provider: &Provider,
    now: UnixTime,
    leeway: Leeway,
) -> Result<VerifiedAccessToken, AccessTokenError> {
    // RFC 9068, 4 wants `at+jwt`; many providers say `JWT`, or nothing. Whatever says that it is something else is.
    let is_one =
        |typ: &str| ["at+jwt", "application/at+jwt", "jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known));
    if token.typ().is_some_and(|typ| !is_one(typ)) {
        return Err(AccessTokenError::Kind);
    }
    let is_typed = token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt"));
    let audience = Audience::OneOf(&provider.access_token_audiences);
    let expected = claims::Expected { issuer: provider.issuer.as_str(), audience, now, leeway };
    let claims = claims::check(token, &expected)?;
    // Keycloak says in the payload what it is.
    let said = claims.get("typ").map(|typ| typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("bearer")));
    // What does not say what it is may be an ID token: it must look like an access token, and not be for our client too.
    let looks_like_one = OF_ACCESS_TOKENS.iter().any(|name| claims.get(name).is_some())
        && !claims.audiences().contains(&provider.client_id);
    let may_be_other = !said.unwrap_or(is_typed || looks_like_one);
    if may_be_other || OF_OTHER_TOKENS.iter().any(|name| claims.get(name).is_some()) {
        return Err(AccessTokenError::Kind);
    }
    if claims.get("cnf").is_some() {
        return Err(AccessTokenError::Bound);
    }
    if !claims.text("sub").is_some_and(is_usable_subject) {
        return Err(AccessTokenError::Subject);
    }
    Ok(VerifiedAccessToken(claims))
}

impl VerifiedAccessToken {
    /// Whose it is, or which program's.
    pub fn subject(&self) -> &str {
        self.0.text("sub").unwrap_or_default()
    }

    /// When it ends.
    pub const fn expires_at(&self) -> UnixTime {
        self.0.expires_at()
    }
}

impl Claims for VerifiedAccessToken {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        self.0.get(name).map(Claim::Json)
    }
}

/// Whether these claims hold this scope: `scope`, a list parted by spaces (RFC 9068, 2.2.3), or `scp`, which is a list
/// too, in either form.
pub fn has_scope(claims: &dyn Claims, scope: &str) -> bool {
    ["scope", "scp"].iter().filter_map(|name| claims.claim(name)).any(|claim| match claim {
        Claim::Text(list) => list.split(' ').any(|known| known == scope),
        Claim::Json(Value::String(list)) => list.split(' ').any(|known| known == scope),
        Claim::Json(Value::Array(list)) => list.iter().any(|known| known == scope),
        Claim::Json(_) => false,
    })
}
