//! The revocation endpoint: a refresh token that is not needed any more is revoked (RFC 7009).

use super::{
    Endpoint, RelyingParty,
    client::{AuthenticationError, CallContext},
    error::UnexpectedStatus,
    provider_metadata::ProviderMetadata,
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    secret::RefreshToken,
};

/// Why a token is not revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// The provider's metadata or keys are not known.
    #[error("its metadata or keys are not known yet")]
    NotReady,
    /// Not 200.
    #[error("{}", .0.at("the revocation endpoint"))]
    Status(UnexpectedStatus),
}

impl RevocationError {
    /// Whether the same request may succeed later (2.2.1).
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Callout(_) | Self::NotReady => true,
            Self::Status(unexpected) => unexpected.is_temporary,
        }
    }
}

/// Reads the response (2.2): 200, for an invalid token too.
///
/// # Errors
/// [`RevocationError`]
pub fn read(response: Result<CalloutResponse, CalloutError>) -> Result<(), RevocationError> {
    let response = response?;
    if response.status == 200 { Ok(()) } else { Err(RevocationError::Status(UnexpectedStatus::of(&response))) }
}

/// Revokes a refresh token (2.1), and with it, at most providers, the access tokens of its grant.
///
/// # Errors
/// [`AuthenticationError`]
pub fn request(
    relying_party: &RelyingParty,
    metadata: &ProviderMetadata,
    endpoint: &Endpoint,
    token: &RefreshToken,
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let form = [("token", token.expose()), ("token_type_hint", "refresh_token")];
    metadata.post(endpoint, &form, relying_party, context)
}
