//! The settings that the `type` of a provider decides.

use crate::{jose::Algorithm, oidc::Issuer, provider::Protocol};

/// The resolved settings of one type.
pub(super) struct Typed {
    pub(super) issuer: Issuer,
    pub(super) scopes: Vec<String>,
    /// The access tokens that API clients may bring.
    pub(super) access_tokens: Option<AccessTokens>,
    pub(super) protocol: Protocol,
}

/// The access tokens of a provider that API clients may bring.
pub(super) struct AccessTokens {
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
}
