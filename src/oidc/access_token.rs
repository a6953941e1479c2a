//! Access tokens that are JWTs (RFC 9068), sent by API clients (RFC 6750).

use std::fmt;

use serde_json::{Map, Value};

use super::{
    id_token::is_usable_subject,
    token_issuer::{TokenIssuer, TokenKind},
};
use crate::{
    claims::{Claim, Claims, IssuerId},
    jose::{
        claims::{self, Audience, ClaimError, VerifiedClaims},
        verify::VerifiedJws,
    },
    time::{Leeway, UnixTime},
};

/// Claims that mark an access token: of each provider it has one, and an ID token none.
const OF_ACCESS_TOKENS: [&str; 6] = ["appid", "azpacr", "cid", "client_id", "scope", "scp"];
/// Claims that an ID token or a logout token has and no access token.
const OF_OTHER_TOKENS: [&str; 5] = ["at_hash", "c_hash", "events", "nonce", "s_hash"];

/// An access token that passed every check; only [`check`] makes one.
pub struct VerifiedAccessToken {
    claims: Map<String, Value>,
    expires_at: UnixTime,
    issuer: IssuerId,
    speaks_as: IssuerId,
}

/// Why a signed token is not an access token for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    /// It can be used with a proof only (RFC 9449, RFC 8705), which is not supported.
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

/// Checks a token with a good signature: from this issuer, for one of its audiences, and of its kind.
///
/// # Errors
/// [`AccessTokenError`] names the first check that failed.
pub fn check(
    token: VerifiedJws,
    issuer: &TokenIssuer,
    now: UnixTime,
    leeway: Leeway,
) -> Result<VerifiedAccessToken, AccessTokenError> {
    // RFC 9068, 4 requires `at+jwt`; many issuers write `JWT`, or no `typ`. Any other `typ` is another kind.
    let is_one =
        |typ: &str| ["at+jwt", "application/at+jwt", "jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known));
    if token.typ().is_some_and(|typ| !is_one(typ)) {
        return Err(AccessTokenError::Kind);
    }
    let is_typed = token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt"));
    let audience = Audience::OneOf(&issuer.audiences);
    let expected = claims::Expected { issuer: claims::ExpectedIssuer::Exactly(&issuer.issuer), audience, now, leeway };
    let claims = claims::check(token, &expected)?;
    let is_of_kind = match issuer.kind {
        TokenKind::AccessToken => is_access_token(&claims, is_typed, issuer.client_id.as_deref()),
        TokenKind::Jwt => true,
        TokenKind::ServiceAccount => is_service_account(&claims),
    };
    if !is_of_kind || OF_OTHER_TOKENS.iter().any(|name| claims.get(name).is_some()) {
        return Err(AccessTokenError::Kind);
    }
    if claims.get("cnf").is_some() {
        return Err(AccessTokenError::Bound);
    }
    if !claims.text("sub").is_some_and(is_usable_subject) {
        return Err(AccessTokenError::Subject);
    }
    let expires_at = claims.expires_at();
    let mut claims = claims.into_claims();
    issuer.object_keys.replace_objects(&mut claims);
    Ok(VerifiedAccessToken { claims, expires_at, issuer: issuer.id, speaks_as: issuer.speaks_as })
}

fn is_access_token(claims: &VerifiedClaims, is_typed: bool, client_id: Option<&str>) -> bool {
    // Keycloak names the kind in the payload.
    let said = claims.get("typ").map(|typ| typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("bearer")));
    // A token that does not name its kind may be an ID token: it must have a claim of access tokens, and another audience
    // than our client.
    let is_for_client = client_id.is_some_and(|client| claims.audiences().iter().any(|audience| audience == client));
    let looks_like_one = OF_ACCESS_TOKENS.iter().any(|name| claims.get(name).is_some()) && !is_for_client;
    said.unwrap_or(is_typed || looks_like_one)
}

/// Whether `sub` and `kubernetes.io` name the same service account.
fn is_service_account(claims: &VerifiedClaims) -> bool {
    let of_kubernetes = claims.get("kubernetes.io");
    let text = |pointer: &str| of_kubernetes?.pointer(pointer)?.as_str();
    let (Some(namespace), Some(name)) = (text("/namespace"), text("/serviceaccount/name")) else { return false };
    claims.text("sub").is_some_and(|sub| sub == format!("system:serviceaccount:{namespace}:{name}"))
}

impl VerifiedAccessToken {
    /// `sub`, a user or a client.
    pub fn subject(&self) -> &str {
        self.claims.get("sub").and_then(Value::as_str).unwrap_or_default()
    }

    /// The issuer whose keys signed it.
    pub const fn source(&self) -> IssuerId {
        self.issuer
    }

    /// `exp`
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

impl Claims for VerifiedAccessToken {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        self.claims.get(name).map(Claim::Json)
    }

    fn issuer(&self) -> Option<IssuerId> {
        Some(self.speaks_as)
    }
}

/// Shows no claim: they are personal data.
impl fmt::Debug for VerifiedAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedAccessToken").finish_non_exhaustive()
    }
}

/// Whether these claims have this scope: in `scope`, separated by spaces (RFC 9068, 2.2.3), or in `scp`, a list in either
/// form.
pub fn has_scope(claims: &dyn Claims, scope: &str) -> bool {
    ["scope", "scp"].iter().filter_map(|name| claims.claim(name)).any(|claim| match claim {
        Claim::Text(list) => list.split(' ').any(|known| known == scope),
        Claim::Json(Value::String(list)) => list.split(' ').any(|known| known == scope),
        Claim::Json(Value::Array(list)) => list.iter().any(|known| known == scope),
        Claim::Json(_) => false,
    })
}
