//! The token endpoint: redeems an authorization code or a refresh token (RFC 6749, 4.1.3, 5 and 6; OIDC Core 3.1.3
//! and 12).

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    RelyingParty,
    client::{AuthenticationError, CallContext},
    error::{self, ErrorResponse, OAuthError, UnexpectedStatus},
    provider_metadata::ProviderMetadata,
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{
        json::{self, JsonError},
        members::{BadMember, Members},
    },
    secret::{AccessToken, AuthorizationCode, PkceVerifier, RawIdToken, RefreshToken},
};

/// Upper bound of a refresh token, in bytes: a longer one fits into no session.
const MAX_TOKEN: usize = 64 * 1024;

/// A token response, not verified.
#[derive(Debug, Clone)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: AccessToken,
    /// The ID token; many providers send none with a refresh (OIDC Core 12.2).
    pub id_token: Option<RawIdToken>,
    /// The refresh token; after a refresh, the new one.
    pub refresh_token: Option<RefreshToken>,
    /// `expires_in`, where it is readable.
    pub expires_in: Option<Duration>,
}

/// Why there is no token response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenEndpointError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// A token that is bound to a key, although we have none.
    #[error(
        "the access token is bound to a key (DPoP), and there is no dpop_key: set one, or have the provider issue bearer tokens to this client"
    )]
    UnexpectedDpopToken,
    /// A member is missing or of another kind than the specification says.
    #[error("the token response has no usable {0}")]
    Malformed(&'static str),
    /// Not a JSON object as it must be.
    #[error("the token response is {0}")]
    NotJson(#[from] JsonError),
    /// A bearer token, although it should be bound to our key (RFC 9449, 5).
    #[error(
        "the access token is not bound to dpop_key: the provider does not know DPoP, or not for this client; remove dpop_key then"
    )]
    UnexpectedBearerToken,
    /// The provider refused with an error of OAuth.
    #[error("the provider refused: {0}")]
    Refused(ErrorResponse),
    /// A status without an error of OAuth.
    #[error("{}", .0.at("the token endpoint"))]
    Status(UnexpectedStatus),
}

impl TokenEndpointError {
    /// The same error with advice for this client.
    #[must_use]
    pub fn for_client(self, relying_party: &RelyingParty) -> Self {
        match self {
            Self::Refused(refused) => Self::Refused(refused.for_client(relying_party)),
            Self::Callout(_)
            | Self::Malformed(_)
            | Self::NotJson(_)
            | Self::Status(_)
            | Self::UnexpectedBearerToken
            | Self::UnexpectedDpopToken => self,
        }
    }
}

impl From<BadMember> for TokenEndpointError {
    fn from(BadMember(name): BadMember) -> Self {
        Self::Malformed(name)
    }
}

/// The type of access tokens (RFC 6749, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// RFC 6750
    Bearer,
    /// RFC 9449
    Dpop,
}

impl TokenType {
    /// The name in `token_type` and in the header `Authorization`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// Whether this `token_type` is it, in any case of letters (RFC 6749, 5.1).
    const fn is(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.name())
    }
}

impl RelyingParty {
    /// The type of the access tokens that it uses.
    pub const fn token_type(&self) -> TokenType {
        if self.proof_key.is_some() { TokenType::Dpop } else { TokenType::Bearer }
    }
}

/// Redeems a code. The call is never repeated, but for a nonce or another client authentication: a code is good once.
///
/// # Errors
/// [`AuthenticationError`]
pub fn code_grant(
    relying_party: &RelyingParty,
    metadata: &ProviderMetadata,
    code: &AuthorizationCode,
    verifier: &PkceVerifier,
    redirect_uri: &str,
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.expose()),
    ];
    grant(relying_party, metadata, &form, context)
}

/// Redeems a refresh token. The call is never repeated: the provider may have taken the token back already. No scope is
/// sent, which means the same as before (RFC 6749, 6).
///
/// # Errors
/// [`AuthenticationError`]
pub fn refresh_grant(
    relying_party: &RelyingParty,
    metadata: &ProviderMetadata,
    token: &RefreshToken,
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
    grant(relying_party, metadata, &form, context)
}

fn grant(
    relying_party: &RelyingParty,
    metadata: &ProviderMetadata,
    form: &[(&str, &str)],
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let endpoint = &metadata.token_endpoint;
    let mut request = metadata.post(endpoint, form, relying_party, context)?;
    if let Some(key) = &relying_party.proof_key {
        key.prove(&mut request, endpoint, None, context)?;
    }
    Ok(request)
}

/// The error of OAuth in this answer, if it is one: also under status 200, and in a form.
pub fn refusal_code(response: &CalloutResponse) -> Option<OAuthError> {
    if response.status != 200 {
        return error::refusal(response).ok().map(|refused| refused.error);
    }
    let body = json::response_object(&response.body, MAX_CALLOUT_BODY).ok().or_else(|| form(&response.body))?;
    ErrorResponse::read(Members::of(&body)).map(|refused| refused.error)
}

/// Whether a server refuses the client itself, before it looks at the grant (RFC 6749, 5.2).
pub fn refuses_client(response: &Result<CalloutResponse, CalloutError>) -> bool {
    let code = response.as_ref().ok().and_then(refusal_code);
    matches!(code, Some(OAuthError::InvalidClient | OAuthError::IncorrectClientCredentials))
}

/// Whether a server has accepted the client: it answers with 200 and no error, or with one about the grant (RFC 6749, 5.2) or the
/// proof.
pub fn accepts_client(response: &Result<CalloutResponse, CalloutError>) -> bool {
    let Ok(response) = response else { return false };
    match refusal_code(response) {
        None => matches!(response.status, 200 | 201),
        Some(code) => matches!(
            code,
            OAuthError::BadVerificationCode
                | OAuthError::InvalidDpopProof
                | OAuthError::InvalidGrant
                | OAuthError::UseDpopNonce
        ),
    }
}

impl TokenResponse {
    /// Reads a token response with a token of this type.
    ///
    /// # Errors
    /// [`TokenEndpointError`]
    pub fn read(
        response: Result<CalloutResponse, CalloutError>,
        wanted: TokenType,
    ) -> Result<Self, TokenEndpointError> {
        Self::of(&body(response)?, None, wanted)
    }

    /// Reads a token response of a server that knows OAuth 2.0 in its own way: it may be a form, as in drafts of RFC 6749, and
    /// its tokens are bearer tokens unless it says otherwise.
    ///
    /// # Errors
    /// [`TokenEndpointError`]
    pub fn read_leniently(
        response: Result<CalloutResponse, CalloutError>,
        wanted: TokenType,
    ) -> Result<Self, TokenEndpointError> {
        let response = successful(response)?;
        let body = match json::response_object(&response.body, MAX_CALLOUT_BODY) {
            Err(JsonError::Malformed) => form(&response.body).ok_or(JsonError::Malformed)?,
            body => body?,
        };
        Self::of(&body, Some(TokenType::Bearer.name()), wanted)
    }

    /// The tokens in this body; `default_type` is their type where it has none.
    pub(super) fn of(
        body: &Map<String, Value>,
        default_type: Option<&str>,
        wanted: TokenType,
    ) -> Result<Self, TokenEndpointError> {
        let members = Members::of(body);
        // GitHub, and others that do not know 400, refuse with status 200.
        if let Some(error) = ErrorResponse::read(members) {
            return Err(TokenEndpointError::Refused(error));
        }
        // RFC 6749, 7.1: a token of an unknown type must not be used.
        let token_type = members.optional("token_type")?.or(default_type);
        match (wanted, token_type.ok_or(TokenEndpointError::Malformed("token_type"))?) {
            (_, found) if wanted.is(found) => {}
            (TokenType::Bearer, found) if TokenType::Dpop.is(found) => {
                return Err(TokenEndpointError::UnexpectedDpopToken);
            }
            (TokenType::Dpop, found) if TokenType::Bearer.is(found) => {
                return Err(TokenEndpointError::UnexpectedBearerToken);
            }
            _ => return Err(TokenEndpointError::Malformed("token_type")),
        }
        Ok(Self {
            access_token: AccessToken::new(members.required("access_token")?),
            id_token: members.optional("id_token")?.map(RawIdToken::new),
            refresh_token: members
                .optional("refresh_token")?
                .filter(|token| token.len() <= MAX_TOKEN)
                .map(RefreshToken::new),
            expires_in: members.seconds("expires_in").map(Duration::from_secs),
        })
    }

    /// Reads the answer to a code grant, which must bring an ID token (OIDC Core 3.1.3.3).
    ///
    /// # Errors
    /// [`TokenEndpointError`] says why there is none.
    pub fn read_for_code(
        response: Result<CalloutResponse, CalloutError>,
        wanted: TokenType,
    ) -> Result<(Self, RawIdToken), TokenEndpointError> {
        let mut tokens = Self::read(response, wanted)?;
        let id_token = tokens.id_token.take().ok_or(TokenEndpointError::Malformed("id_token"))?;
        Ok((tokens, id_token))
    }
}

/// The JSON of a response that is no refusal.
pub(super) fn body(response: Result<CalloutResponse, CalloutError>) -> Result<Map<String, Value>, TokenEndpointError> {
    Ok(json::response_object(&successful(response)?.body, MAX_CALLOUT_BODY)?)
}

fn successful(response: Result<CalloutResponse, CalloutError>) -> Result<CalloutResponse, TokenEndpointError> {
    let response = response?;
    if response.status == 200 {
        return Ok(response);
    }
    Err(error::refusal(&response).map_or_else(TokenEndpointError::Status, TokenEndpointError::Refused))
}

/// The members of a form; `None` where it has none with a value, or one twice.
fn form(body: &[u8]) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
        if members.insert(name.into_owned(), value.into_owned().into()).is_some() {
            return None;
        }
    }
    (!members.is_empty()).then_some(members)
}

#[cfg(test)]
mod tests;
