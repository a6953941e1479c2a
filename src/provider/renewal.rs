//! The refresh grant, and the questions about the user at a renewal, by protocol.

use std::time::Duration;

use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    oidc::{
        client::{AuthenticationError, CallContext},
        provider_metadata::ProviderMetadata,
        token::{self, TokenEndpointError, TokenResponse},
    },
    provisioning::Provisioning,
    secret::{AccessToken, RefreshToken},
};

use super::{
    Protocol, Provider,
    github::UserInquiry,
    inquiry::{Inquiry, OpenIdInquiry},
};

impl Provider {
    /// Redeems a refresh token.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn refresh_grant(
        &self,
        metadata: &ProviderMetadata,
        token: &RefreshToken,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        token::refresh_grant(&self.relying_party, metadata, token, context)
    }

    /// Reads the answer to [`Self::refresh_grant`].
    ///
    /// # Errors
    /// [`TokenEndpointError`]
    pub fn refreshed(
        &self,
        response: Result<CalloutResponse, CalloutError>,
    ) -> Result<TokenResponse, TokenEndpointError> {
        let wanted = self.relying_party.token_type();
        let tokens = match &self.protocol {
            // An ID token that comes all the same is not what identifies the user.
            Protocol::OAuth2(_) => {
                TokenResponse::read_leniently(response, wanted).map(|tokens| TokenResponse { id_token: None, ..tokens })
            }
            Protocol::GitHub(_) | Protocol::Oidc(_) => TokenResponse::read(response, wanted),
        };
        tokens.map_err(|error| error.for_client(&self.relying_party))
    }

    /// How long the calls of a renewal may take.
    pub fn time_to_renew(&self, metadata: &ProviderMetadata) -> Duration {
        let questions = match &self.protocol {
            Protocol::OAuth2(server) => server.questions.count(),
            Protocol::GitHub(_) | Protocol::Oidc(_) => usize::from(metadata.userinfo_endpoint.is_some()),
        };
        let token_calls = if self.may_send_secret_otherwise() { 2 } else { 1 };
        let calls = u32::try_from(questions).unwrap_or(u32::MAX).saturating_add(token_calls);
        // Each may be refused once for the nonce of its proof.
        let calls = if self.relying_party.proof_key.is_some() { calls.saturating_mul(2) } else { calls };
        let for_app = self.provisioning.as_ref().map(Provisioning::time_to_renew).unwrap_or_default();
        self.timeout().saturating_mul(calls).saturating_add(for_app)
    }

    /// The questions about the user of an access token, who must be this subject. `None` if the ID token has all claims.
    pub fn inquiry(&self, metadata: &ProviderMetadata, token: &AccessToken, subject: &str) -> Option<Box<dyn Inquiry>> {
        match &self.protocol {
            Protocol::GitHub(github) => Some(Box::new(UserInquiry::of(token.clone(), (**github).clone()))),
            Protocol::OAuth2(server) => Some(server.questions.about(token.clone())),
            Protocol::Oidc(_) => {
                let endpoint = metadata.userinfo_endpoint.clone()?;
                Some(Box::new(OpenIdInquiry { endpoint, token: token.clone(), subject: subject.to_owned() }))
            }
        }
    }
}
