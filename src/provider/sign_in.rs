//! Authorization requests, their responses, and the code grant, by protocol.

use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    oidc::{
        Endpoint,
        authorization::{AuthorizationError, AuthorizationRequest, AuthorizationResponse, Parameters, StateMatched},
        client::{AuthenticationError, CallContext, ClientAuthentication},
        error::ErrorResponse,
        provider_metadata::ProviderMetadata,
        pushed,
        token::{self, TokenEndpointError, TokenResponse},
    },
    secret::{AuthorizationCode, Nonce, PkceVerifier},
};

use super::{Protocol, Provider, github::UserInquiry, identification::Identification};

/// The parameters of one authorization request.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// Our callback.
    pub redirect_uri: &'a str,
    /// `state`
    pub state: &'a str,
    /// `nonce`, where an ID token will carry it.
    pub nonce: &'a Nonce,
    /// The PKCE verifier; its challenge is sent.
    pub verifier: &'a PkceVerifier,
    /// Whether the user is asked for another account.
    pub other_account: bool,
    /// Parameters that a rule demands; they replace those of the configuration and of the link.
    pub demanded: &'a [(String, String)],
    /// Parameters of the link that begins the sign-in, which the operator lets it set.
    pub passed: &'a [(String, String)],
}

impl Provider {
    /// The parameters of the authorization request.
    ///
    /// # Errors
    /// [`AuthenticationError`] where they are signed.
    pub fn authorization_parameters(
        &self,
        metadata: &ProviderMetadata,
        with: &Authorization<'_>,
        context: CallContext<'_>,
    ) -> Result<Parameters, AuthenticationError> {
        AuthorizationRequest {
            relying_party: &self.relying_party,
            metadata,
            redirect_uri: with.redirect_uri,
            state: with.state,
            nonce: self.openid().map(|_| with.nonce),
            verifier: with.verifier,
            prompt: with.other_account.then_some(metadata.account_prompt),
            demanded: with.demanded,
            passed: with.passed,
        }
        .parameters(context)
    }

    /// Pushes these parameters to this endpoint (RFC 9126).
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn push(
        &self,
        metadata: &ProviderMetadata,
        endpoint: &Endpoint,
        parameters: &[(String, String)],
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        pushed::request(&self.relying_party, metadata, endpoint, parameters, context)
    }

    /// The parameters that carry a pushed request (RFC 9126, 4).
    pub fn pushed_parameters(&self, request_uri: String) -> Parameters {
        let client_id = self.relying_party.client_id.clone();
        vec![("client_id".to_owned(), client_id), ("request_uri".to_owned(), request_uri)]
    }

    /// The code, or the error, of an authorization response whose `state` is that of a sign-in of this browser.
    ///
    /// # Errors
    /// [`AuthorizationError::WrongIssuer`]
    pub fn accept(
        &self,
        response: AuthorizationResponse,
        state: &StateMatched,
        metadata: &ProviderMetadata,
    ) -> Result<Result<AuthorizationCode, ErrorResponse>, AuthorizationError> {
        response.accept(state, &self.relying_party, metadata)
    }

    /// Whether the method of sending the secret is not configured, and known of the server only by what it says.
    pub const fn may_send_secret_otherwise(&self) -> bool {
        matches!(self.protocol, Protocol::OAuth2(_) | Protocol::Oidc(_))
            && matches!(self.relying_party.authentication, ClientAuthentication::Unspecified(_))
    }

    /// Whether a second authorization request may succeed after this error response.
    pub fn may_succeed_again(&self, response: &ErrorResponse) -> bool {
        self.relying_party.may_succeed_again(response)
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn code_grant(
        &self,
        metadata: &ProviderMetadata,
        code: &AuthorizationCode,
        verifier: &PkceVerifier,
        redirect_uri: &str,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        token::code_grant(&self.relying_party, metadata, code, verifier, redirect_uri, context)
    }

    /// Begins to learn the identity from the answer to [`Self::code_grant`].
    ///
    /// # Errors
    /// [`TokenEndpointError`]
    pub fn identification(
        &self,
        response: Result<CalloutResponse, CalloutError>,
    ) -> Result<Identification, TokenEndpointError> {
        let wanted = self.relying_party.token_type();
        let identification = match &self.protocol {
            Protocol::GitHub(github) => TokenResponse::read(response, wanted).map(|tokens| {
                // Its answers to a refresh are not known to continue a session, which lasts for its time.
                let tokens = TokenResponse { refresh_token: None, expires_in: None, ..tokens };
                let inquiry = Box::new(UserInquiry::of(tokens.access_token.clone(), (**github).clone()));
                Identification::by_answers(inquiry, self.issuer(), tokens)
            }),
            Protocol::OAuth2(server) => TokenResponse::read_leniently(response, wanted).map(|tokens| {
                let inquiry = server.questions.about(tokens.access_token.clone());
                Identification::by_answers(inquiry, self.issuer(), tokens)
            }),
            Protocol::Oidc(_) => Identification::by_id_token(response, wanted),
        };
        identification.map_err(|error| error.for_client(&self.relying_party))
    }
}
