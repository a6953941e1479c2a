//! Revocation and RP-Initiated Logout, by protocol.

use crate::{
    http::CalloutRequest,
    oidc::{
        Endpoint,
        client::{AuthenticationError, CallContext},
        end_session::LogoutRequest,
        provider_metadata::ProviderMetadata,
        revocation,
    },
    secret::{RawIdToken, RefreshToken},
};

use super::{Protocol, Provider, oauth2::OAuth2};

impl Provider {
    /// The configured endpoints of RP-initiated logout and of revocation.
    pub fn configured_sign_out(&self) -> [Option<&Endpoint>; 2] {
        match &self.protocol {
            Protocol::GitHub(_) => [None; 2],
            Protocol::OAuth2(OAuth2 { metadata, .. }) => {
                [metadata.end_session_endpoint.as_ref(), metadata.revocation_endpoint.as_ref()]
            }
            Protocol::Oidc(settings) => {
                [settings.endpoints.end_session.as_ref(), settings.endpoints.revocation.as_ref()]
            }
        }
    }

    /// Revokes a refresh token. `None` where the provider revokes none.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn revocation(
        &self,
        metadata: &ProviderMetadata,
        token: &RefreshToken,
        context: CallContext<'_>,
    ) -> Option<Result<CalloutRequest, AuthenticationError>> {
        let endpoint = metadata.revocation_endpoint.as_ref()?;
        Some(revocation::request(&self.relying_party, metadata, endpoint, token, context))
    }

    /// The URL at which the user signs out of the provider, where it has one.
    pub fn logout_url(
        &self,
        metadata: &ProviderMetadata,
        id_token_hint: Option<&RawIdToken>,
        post_logout_redirect_uri: &str,
        state: Option<&str>,
    ) -> Option<String> {
        let endpoint = metadata.end_session_endpoint.as_ref()?;
        let relying_party = &self.relying_party;
        Some(LogoutRequest { relying_party, endpoint, id_token_hint, post_logout_redirect_uri, state }.url())
    }
}
