//! Providers that users sign in at. All that differs from one protocol to the next is here: how to authorize, redeem the code,
//! learn the identity, renew and sign out.
//!
//! A new protocol is a variant of [`Protocol`] with its settings, its arms in this file, and a stage of [`identification`]
//! where its identity does not come from an ID token.

pub mod github;
pub mod identification;
pub mod identity;
pub mod inquiry;
pub mod oauth2;

use std::{rc::Rc, time::Duration};

use crate::{
    claims::{Conditions, IssuerId, ObjectKeys, email_domain},
    digest::{HalfDigest, half_digest},
    http::{CalloutError, CalloutRequest, CalloutResponse},
    jose::{Algorithm, claims::ExpectedIssuer, verify::VerifiedJws},
    oidc::{
        ConfiguredEndpoints, Endpoint, Issuer, OpenIdProvider, RelyingParty,
        authorization::{AuthorizationError, AuthorizationRequest, AuthorizationResponse, Parameters, StateMatched},
        client::{AuthenticationError, CallContext, ClientAuthentication},
        discovery::{self, DiscoveryError},
        end_session::LogoutRequest,
        error::ErrorResponse,
        id_token::{Expected, Occasion},
        logout_token::{self, LogoutToken, LogoutTokenError},
        provider_metadata::ProviderMetadata,
        pushed, revocation,
        security_event::Transmitter,
        token::{self, TokenEndpointError, TokenResponse},
        userinfo::{self, UserinfoError},
    },
    page::logo::Logo,
    provisioning::Provisioning,
    secret::{AccessToken, AuthorizationCode, Nonce, PkceVerifier, RawIdToken, RefreshToken},
    time::{Leeway, UnixTime},
};
use github::{GitHub, UserInquiry};
use identification::Identification;
use inquiry::{Inquiry, OpenIdInquiry};
use oauth2::OAuth2;

/// The name of a provider that has none of its own.
pub const DEFAULT_PROVIDER: &str = "default";

/// A provider as configured.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its identifier in sessions.
    pub id: IssuerId,
    /// Its name in rules, links and its callback: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its name on the page where users choose a provider.
    pub title: String,
    /// Its logo on that page.
    pub logo: Option<Logo>,
    /// The class of its link on that page.
    pub css_class: Option<String>,
    /// The domains of the email addresses whose users sign in here, in lower case. They choose a provider and admit nobody.
    pub email_domains: Vec<String>,
    /// Our registration there.
    pub relying_party: RelyingParty,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// The claims that count as the list of their keys.
    pub object_keys: ObjectKeys,
    /// The users who may pass; `None` means all.
    pub allow: Option<Conditions>,
    /// Whether it ever says that an address is verified.
    pub says_email_verified: bool,
    /// The sender of its security events, where they are taken.
    pub transmitter: Option<Rc<Transmitter>>,
    /// How the app is asked about its users; `None` where the app provisions none, of any provider.
    pub provisioning: Option<Provisioning>,
}

/// The protocol of a provider, with the settings that only it has.
#[derive(Debug, Clone)]
pub enum Protocol {
    /// GitHub's OAuth 2.0, without ID tokens.
    GitHub(Box<GitHub>),
    /// OAuth 2.0 alone.
    OAuth2(OAuth2),
    /// OpenID Connect.
    Oidc(Box<OpenIdProvider>),
}

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
    /// Parameters that a rule demands, whatever the configuration and the link say.
    pub demanded: &'a [(String, String)],
    /// Parameters of the link that begins the sign-in, which the operator lets it set.
    pub passed: &'a [(String, String)],
}

/// Who we are and where the provider is.
impl Provider {
    /// The issuer identifier, or the URL that stands for it.
    pub const fn issuer(&self) -> &Issuer {
        &self.relying_party.issuer
    }

    /// Whether users of this email address sign in here. The address is a hint that anybody may send.
    pub fn is_for_address(&self, address: &str) -> bool {
        let domain = email_domain(address);
        domain.is_some_and(|domain| self.email_domains.iter().any(|known| known.eq_ignore_ascii_case(domain)))
    }

    /// The timeout of a call.
    pub const fn timeout(&self) -> Duration {
        self.relying_party.timeout
    }

    /// A digest of issuer, client and endpoints, which names the documents that workers share.
    pub fn fingerprint(&self) -> HalfDigest {
        let none = ConfiguredEndpoints::default();
        let ConfiguredEndpoints { authorization, token, jwks, end_session, revocation, userinfo, pushed_request } =
            self.openid().map_or(&none, |settings| &settings.endpoints);
        let endpoints = [authorization, token, jwks, end_session, revocation, userinfo, pushed_request];
        let endpoints = endpoints.map(|endpoint| endpoint.as_ref().map_or("", |endpoint| endpoint.url().as_str()));
        let metadata_url = self.issuer().discovery().url().as_str();
        let parts: Vec<&[u8]> = [self.issuer().as_str(), &self.relying_party.client_id, metadata_url]
            .into_iter()
            .chain(endpoints)
            .map(str::as_bytes)
            .collect();
        half_digest("documents", &parts)
    }

    /// The URL of its metadata document, where it is fetched.
    pub fn discovery(&self) -> Option<&Endpoint> {
        self.openid().filter(|settings| settings.discovers).map(|_| self.issuer().discovery())
    }

    /// The metadata of which nothing need be fetched: all there are without discovery, and what is used before it.
    pub fn configured_metadata(&self) -> Option<&Rc<ProviderMetadata>> {
        match &self.protocol {
            Protocol::GitHub(github) => Some(&github.metadata),
            Protocol::OAuth2(server) => Some(&server.metadata),
            Protocol::Oidc(settings) => settings.configured.as_ref(),
        }
    }

    /// Reads its metadata document.
    ///
    /// # Errors
    /// [`DiscoveryError`]
    pub fn read_metadata(&self, document: &[u8]) -> Result<Rc<ProviderMetadata>, DiscoveryError> {
        match &self.protocol {
            Protocol::GitHub(github) => Ok(Rc::clone(&github.metadata)),
            Protocol::OAuth2(server) => Ok(Rc::clone(&server.metadata)),
            Protocol::Oidc(settings) => ProviderMetadata::parse(&self.relying_party, settings, document).map(Rc::new),
        }
    }

    /// A GET of one of its documents.
    pub fn get(&self, endpoint: &Endpoint) -> CalloutRequest {
        discovery::get(endpoint, &self.relying_party.clusters, self.timeout())
    }
}

/// The sign-in.
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

/// Tokens that the provider signs.
impl Provider {
    /// The algorithms that it may sign with: none where it signs nothing.
    pub fn algorithms(&self) -> &[Algorithm] {
        self.openid().map_or(&[], |settings| &settings.algorithms)
    }

    /// The values that an ID token is checked against (OIDC Core 3.1.3.7).
    pub fn expected_id_token<'a>(
        &'a self,
        occasion: Occasion<'a>,
        access_token: &'a AccessToken,
        now: UnixTime,
        leeway: Leeway,
    ) -> Expected<'a> {
        let (relying_party, trusted_audiences) = (&self.relying_party, self.trusted_audiences());
        Expected { relying_party, trusted_audiences, occasion, access_token, now, leeway }
    }

    /// Checks a logout token with a good signature (Back-Channel Logout 1.0, 2.6).
    ///
    /// # Errors
    /// [`LogoutTokenError`]
    pub fn check_logout_token(
        &self,
        token: VerifiedJws,
        now: UnixTime,
        leeway: Leeway,
    ) -> Result<LogoutToken, LogoutTokenError> {
        logout_token::check(token, &self.relying_party, self.trusted_audiences(), now, leeway)
    }

    /// The plain form of a signed answer of the userinfo endpoint, with a good signature (OIDC Core 5.3.2).
    ///
    /// # Errors
    /// [`UserinfoError`]
    pub fn open_userinfo(
        &self,
        token: VerifiedJws,
        now: UnixTime,
        leeway: Leeway,
    ) -> Result<CalloutResponse, UserinfoError> {
        userinfo::opened(token, &self.relying_party, self.trusted_audiences(), now, leeway)
    }

    fn trusted_audiences(&self) -> &[String] {
        self.openid().map_or(&[], |settings| &settings.trusted_audiences)
    }
}

/// Renewal and sign-out.
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

    /// Asks about the user of an access token, who is this subject. `None` where the ID token says all.
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

/// Claims.
impl Provider {
    /// Asks for these claims alone, where the protocol has scopes and calls for them.
    pub fn ask_for(&mut self, claims: &[String]) {
        match &mut self.protocol {
            Protocol::GitHub(github) => self.relying_party.scopes = github.ask_for(claims),
            Protocol::OAuth2(_) | Protocol::Oidc(_) => {}
        }
    }

    /// A digest of all by which the provider decides which claims it sends.
    pub fn claims_request(&self) -> HalfDigest {
        match &self.protocol {
            Protocol::OAuth2(server) => {
                let parts = [&self.relying_party.claims_request(), server.questions_digest()];
                half_digest("claims request", &parts.map(|part| &part[..]))
            }
            Protocol::GitHub(_) | Protocol::Oidc(_) => self.relying_party.claims_request(),
        }
    }

    /// Whether claims come from a userinfo endpoint.
    pub fn asks_userinfo(&self) -> bool {
        match &self.protocol {
            Protocol::GitHub(_) => false,
            Protocol::OAuth2(_) => true,
            Protocol::Oidc(settings) => settings.userinfo,
        }
    }

    /// The source of a session's claims, for the log; `userinfo` says whether the userinfo endpoint was asked.
    pub const fn claims_source(&self, userinfo: bool) -> &'static str {
        match (&self.protocol, userinfo) {
            (Protocol::GitHub(_), _) => "GitHub's API",
            (Protocol::OAuth2(_), _) => "userinfo",
            (Protocol::Oidc(_), true) => "the ID token and userinfo",
            (Protocol::Oidc(_), false) => "the ID token (userinfo was not asked)",
        }
    }

    /// The settings that bring a claim which it has not sent. `None` for GitHub, which is asked for what the rules want.
    pub const fn remedy_of_absent_claim(&self) -> Option<&'static str> {
        match &self.protocol {
            Protocol::GitHub(_) => None,
            Protocol::OAuth2(_) => Some("add the scope that brings it to `scopes`, or name its place in `claims`"),
            Protocol::Oidc(settings) if settings.userinfo => {
                Some("add the scope that brings it to `scopes`, or have the provider send it")
            }
            Protocol::Oidc(_) => Some(
                "add the scope that brings it to `scopes`, or set `userinfo: true` if the userinfo endpoint has it",
            ),
        }
    }

    /// Whether it is GitHub, which has claims of its own in place of `groups`.
    pub const fn is_github(&self) -> bool {
        matches!(self.protocol, Protocol::GitHub(_))
    }

    /// Whether an address of its users can count as verified.
    pub fn may_verify_email(&self) -> bool {
        self.says_email_verified
            || matches!(&self.protocol, Protocol::OAuth2(server) if server.questions.email_is_verified)
    }

    /// Whether its tokens name issuers of their own, one for each tenant.
    pub fn has_many_tenants(&self) -> bool {
        matches!(self.issuer().expected(), ExpectedIssuer::OfTenant(_))
    }

    /// Whether `email` may come without the provider's word that it is verified.
    pub fn may_send_unverified_email(&self) -> bool {
        match &self.protocol {
            Protocol::GitHub(_) => false,
            Protocol::OAuth2(server) => !server.questions.email_is_verified,
            Protocol::Oidc(_) => true,
        }
    }

    /// The settings of OpenID Connect, where the provider speaks it.
    pub const fn openid(&self) -> Option<&OpenIdProvider> {
        match &self.protocol {
            Protocol::GitHub(_) | Protocol::OAuth2(_) => None,
            Protocol::Oidc(settings) => Some(settings),
        }
    }
}
