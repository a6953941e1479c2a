//! Token exchange (RFC 8693): the provider gives an access token for another audience in exchange for that of a user or client; and
//! Microsoft's way of saying it, the on-behalf-of flow.

use std::{rc::Rc, time::Duration};

use super::{
    RelyingParty,
    client::{AuthenticationError, CallContext},
    error::{ErrorResponse, OAuthError, UnexpectedStatus},
    provider_metadata::ProviderMetadata,
    token::{self, TokenEndpointError, TokenResponse, TokenType},
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    jose::members::Members,
    secret::AccessToken,
};

/// The values of `issued_token_type` that access tokens have (RFC 8693, 3).
const ISSUED_TOKEN_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The token that a provider is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// How it is asked.
    pub grant: ExchangeGrant,
    /// `audience` (RFC 8693, 2.1): the name of the service that the token is for.
    pub audience: Option<String>,
    /// `resource` (RFC 8693, 2.1): the URI of that service.
    pub resource: Option<String>,
    /// `scope`
    pub scope: Option<String>,
}

/// The grant of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeGrant {
    /// Microsoft Entra ID's on-behalf-of flow.
    OnBehalfOf,
    /// RFC 8693
    TokenExchange,
}

/// A token that came in exchange.
#[derive(Debug, Clone)]
pub struct ExchangedToken {
    /// The token.
    pub token: AccessToken,
    /// Its lifetime, where it is known.
    pub expires_in: Option<Duration>,
}

/// Why no token came. Cheap to clone: each request that waited for it gets it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct NoExchange {
    /// The party at fault.
    pub fault: ExchangeFault,
    error: Rc<TokenEndpointError>,
}

/// The party at fault if no token came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeFault {
    /// The provider refuses this user or this token.
    SubjectRejected,
    /// It refuses this client or this request, or gives no usable answer.
    RequestRejected,
    /// The provider does not answer.
    Unavailable,
}

impl NoExchange {
    /// Another request's exchange takes too long.
    pub fn late() -> Self {
        let error = TokenEndpointError::Callout(CalloutError::NoResponse);
        Self { fault: ExchangeFault::Unavailable, error: Rc::new(error) }
    }

    /// The reason that this answer to this grant gives.
    pub fn new(error: TokenEndpointError, grant: ExchangeGrant) -> Self {
        let fault = match &error {
            TokenEndpointError::Callout(
                CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse,
            )
            | TokenEndpointError::Status(UnexpectedStatus { is_temporary: true, .. }) => ExchangeFault::Unavailable,
            TokenEndpointError::Refused(ErrorResponse { error, .. }) => match error {
                OAuthError::ServerError | OAuthError::TemporarilyUnavailable => ExchangeFault::Unavailable,
                // RFC 8693, 2.2.2: the code for a token that is not accepted.
                OAuthError::InvalidRequest if grant == ExchangeGrant::TokenExchange => ExchangeFault::SubjectRejected,
                OAuthError::AccessDenied
                | OAuthError::ConsentRequired
                | OAuthError::InteractionRequired
                | OAuthError::InvalidGrant
                | OAuthError::InvalidToken
                | OAuthError::LoginRequired => ExchangeFault::SubjectRejected,
                _ => ExchangeFault::RequestRejected,
            },
            TokenEndpointError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge)
            | TokenEndpointError::Malformed(_)
            | TokenEndpointError::NotJson(_)
            | TokenEndpointError::Status(_)
            | TokenEndpointError::UnexpectedBearerToken
            | TokenEndpointError::UnexpectedDpopToken => ExchangeFault::RequestRejected,
        };
        Self { fault, error: Rc::new(error) }
    }
}

/// Asks for a token in exchange for this one (RFC 8693, 2.1). No proof of possession goes with it (RFC 9449), so that the token is a
/// bearer token: the app has no key of ours.
///
/// # Errors
/// [`AuthenticationError`]
pub fn request(
    relying_party: &RelyingParty,
    metadata: &ProviderMetadata,
    subject: &AccessToken,
    exchange: &Exchange,
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let subject = subject.expose();
    let mut form = match exchange.grant {
        ExchangeGrant::OnBehalfOf => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", subject),
            ("requested_token_use", "on_behalf_of"),
        ],
        ExchangeGrant::TokenExchange => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ],
    };
    let wanted = [("audience", &exchange.audience), ("resource", &exchange.resource), ("scope", &exchange.scope)];
    form.extend(wanted.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    metadata.post(&metadata.token_endpoint, &form, relying_party, context)
}

/// Reads the answer (RFC 8693, 2.2.1). A refresh token that comes with it is not used.
///
/// # Errors
/// [`TokenEndpointError`]
pub fn read(response: Result<CalloutResponse, CalloutError>) -> Result<ExchangedToken, TokenEndpointError> {
    let body = token::body(response)?;
    let tokens = TokenResponse::of(&body, None, TokenType::Bearer)?;
    // A token of another type is not for services. Some servers leave the type out, which an access token has.
    let issued = Members::of(&body).optional("issued_token_type")?;
    if issued.is_some_and(|issued| !ISSUED_TOKEN_TYPES.contains(&issued)) {
        return Err(TokenEndpointError::Malformed("issued_token_type"));
    }
    Ok(ExchangedToken { token: tokens.access_token, expires_in: tokens.expires_in })
}
