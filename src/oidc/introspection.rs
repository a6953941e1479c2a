//! The introspection endpoint: the issuer of a token says whether it is active, and its claims (RFC 7662).

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Endpoint,
    access_token::AccessTokenError,
    client::{AuthenticationError, CallContext, Client},
    error::UnexpectedStatus,
    id_token::is_usable_subject,
    token_issuer::{Introspection, TokenIssuer},
};
use crate::{
    claims::{Claim, Claims, IssuerId},
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{
        claims::{self, Audience},
        json::{self, JsonError},
        members::Members,
    },
    secret::RawBearerToken,
    time::{Leeway, UnixTime},
};

/// A token that its issuer calls active. Only [`read`] makes one.
pub struct ActiveToken {
    claims: Map<String, Value>,
    issuer: IssuerId,
    speaks_as: IssuerId,
    ends: Option<UnixTime>,
}

/// Why there is no answer about a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// Not a JSON object with a truth value `active`.
    #[error("the answer of the introspection endpoint is not as RFC 7662 has it")]
    Malformed,
    /// Not a JSON object.
    #[error("the answer of the introspection endpoint is {0}")]
    NotJson(#[from] JsonError),
    /// Not 200.
    #[error("{}", .0.at("the introspection endpoint"))]
    Status(UnexpectedStatus),
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// The token is active, and for us.
    Active(ActiveToken),
    /// It is not active: unknown, expired, revoked, or not for us to know.
    Inactive,
    /// It is active, but not for us.
    Refused(AccessTokenError),
}

/// Asks about a token (2.1).
///
/// # Errors
/// [`AuthenticationError`]
pub fn request(
    issuer: &TokenIssuer,
    introspection: &Introspection,
    endpoint: &Endpoint,
    token: &RawBearerToken,
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let client = Client {
        id: &introspection.client_id,
        issuer: &issuer.issuer,
        token_endpoint: None,
        authentication: &introspection.authentication,
        clusters: &issuer.clusters,
        timeout: issuer.timeout,
    };
    client.post(endpoint, &[("token", token.expose()), ("token_type_hint", "access_token")], context)
}

/// Reads the answer of an issuer about one of its tokens.
///
/// # Errors
/// [`IntrospectionError`]
pub fn read(
    response: Result<CalloutResponse, CalloutError>,
    issuer: &TokenIssuer,
    now: UnixTime,
    leeway: Leeway,
) -> Result<Answer, IntrospectionError> {
    let response = response?;
    if response.status != 200 {
        return Err(IntrospectionError::Status(UnexpectedStatus::of(&response)));
    }
    let claims = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
    match claims.get("active") {
        Some(Value::Bool(true)) => Ok(check(claims, issuer, now, leeway).map_or_else(Answer::Refused, Answer::Active)),
        Some(Value::Bool(false)) => Ok(Answer::Inactive),
        _ => Err(IntrospectionError::Malformed),
    }
}

fn check(
    mut claims: Map<String, Value>,
    issuer: &TokenIssuer,
    now: UnixTime,
    leeway: Leeway,
) -> Result<ActiveToken, AccessTokenError> {
    let audience = Audience::OneOf(&issuer.audiences);
    let expected = claims::Expected { issuer: claims::ExpectedIssuer::Exactly(&issuer.issuer), audience, now, leeway };
    let ends = claims::check_introspection_response(&claims, &expected)?;
    // A refresh token is active too: Keycloak and Hydra name the kind of the token.
    let is_other = |name: &str, known: [&str; 2]| {
        let said = Members::of(&claims).get(name);
        said.is_some_and(|said| !said.as_str().is_some_and(|said| known.iter().any(|it| said.eq_ignore_ascii_case(it))))
    };
    if is_other("typ", ["bearer", "at+jwt"]) || is_other("token_use", ["access_token", "access"]) {
        return Err(AccessTokenError::Kind);
    }
    let is_bound = claims.get("cnf").is_some_and(|cnf| !cnf.is_null());
    if is_bound || is_other("token_type", ["bearer", "access_token"]) {
        return Err(AccessTokenError::Bound);
    }
    // An answer need not name the issuer.
    claims.insert("iss".to_owned(), issuer.issuer.as_str().into());
    issuer.object_keys.replace_objects(&mut claims);
    let token = ActiveToken { claims, issuer: issuer.id, speaks_as: issuer.speaks_as, ends };
    if token.subject().is_empty() { Err(AccessTokenError::Subject) } else { Ok(token) }
}

impl ActiveToken {
    /// `sub`, or the client ID of an API client that acts for itself.
    pub fn subject(&self) -> &str {
        let said = |name: &str| self.claims.get(name).filter(|value| !value.is_null());
        // An unusable `sub` is none: the token must not pass for one of the client itself.
        let subject = said("sub").or_else(|| said("client_id")).and_then(Value::as_str);
        subject.filter(|text| is_usable_subject(text)).unwrap_or_default()
    }

    /// The issuer that was asked.
    pub const fn source(&self) -> IssuerId {
        self.issuer
    }

    /// Its expiry, where the answer names one.
    pub const fn ends(&self) -> Option<UnixTime> {
        self.ends
    }
}

impl Claims for ActiveToken {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        match name {
            "sub" => Some(Claim::Text(self.subject())),
            name => self.claims.get(name).map(Claim::Json),
        }
    }

    fn issuer(&self) -> Option<IssuerId> {
        Some(self.speaks_as)
    }
}

/// Shows no claim: they are personal data.
impl fmt::Debug for ActiveToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveToken").finish_non_exhaustive()
    }
}
