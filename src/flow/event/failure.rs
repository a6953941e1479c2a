//! Every reason to refuse a request, with its line of the log. `table` says what else belongs to each: status, code, counter,
//! level and texts.

mod table;

use std::rc::Rc;

use crate::{
    claims::{AuthenticationClaims, Finding, StepUp, Unmet},
    jose::{claims::ClaimError, jws::JwsError, verify::VerifyError},
    oidc::{
        access_token::AccessTokenError, authorization::AuthorizationError, client::AuthenticationError,
        error::ErrorResponse, id_token::IdTokenError, introspection::IntrospectionError,
        logout_token::LogoutTokenError, pushed::PushError, security_event::SecurityEventError,
        token::TokenEndpointError, token_exchange::NoExchange, userinfo::UserinfoError,
    },
    platform::{NoRandomness, SignError},
    provisioning::ProvisioningError,
    quoted::Quoted,
    rules::{Cause, Refusal, RouteError},
    session::{SealError, store::StoreError},
};

/// The reason why a request did not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It has a bearer token, and none is accepted.
    #[error(
        "it carries a bearer token, and none is accepted here; if it is the app's own, set `authorization: app` in the rule"
    )]
    Bearer,
    /// The static token with this name has expired.
    #[error("the static token {0:?} has expired")]
    BearerExpired(String),
    /// The introspection response says that the token is not active (RFC 7662, 2.2).
    #[error("its issuer says that the token is not active")]
    BearerInactive,
    /// An `Authorization` header that cannot be read.
    #[error("its Authorization header is malformed")]
    BearerMalformed,
    /// The claims of the access token are refused.
    #[error("the access token is refused: {0}")]
    BearerRefused(AccessTokenError),
    /// The signature of the access token is refused.
    #[error("the access token is refused: {0}")]
    BearerSignature(VerifyError),
    /// A token that is neither a static one nor of a known issuer.
    #[error(
        "its bearer token is neither a static token nor of a known issuer; if it is the app's own, set `authorization: app` in the rule"
    )]
    BearerUnknown,
    /// Envoy did not hand over the body.
    #[error("the body did not come in time; is allow_on_headers_stop_iteration true beside failure_policy?")]
    BodyMissing,
    /// The body is longer than it may be.
    #[error("the body is too long")]
    BodyTooLong,
    /// A limit of this worker is reached.
    #[error("this worker has reached the limit of requests of this kind")]
    Busy,
    /// An authorization response that is malformed or comes from another issuer.
    #[error("{0}")]
    Callback(#[from] AuthorizationError),
    /// A callback with another method than its response mode has.
    #[error("the callback takes GET only, or POST where the provider has response_mode: form_post")]
    CallbackMethod,
    /// The `state` was not sealed with our keys.
    #[error("its state is not one of ours")]
    CallbackState,
    /// Nothing is signed with the client's key.
    #[error("{0}")]
    ClientKey(SignError),
    /// A request for the module of scripts with another method than GET.
    #[error("client.js takes GET only")]
    ClientScriptMethod,
    /// The rule with this name denies all requests.
    #[error("rule {} denies all requests", rule(.0))]
    Denied(Option<String>),
    /// The provider left out the claims that decide, in favour of this rule's conditions or its own.
    #[error("the provider left out claims that decide (too many groups?) by rule {}", rule(.0))]
    GroupsLeftOut(Option<String>),
    /// The host did not take the changes to the request.
    #[error("the host did not take the changed request headers")]
    HeadersRefused,
    /// The value of this header or key of filter state is too long, and its `too_long` is `refuse`.
    #[error("the value of {0:?} is too long, and its `too_long` is `refuse`; have the provider send fewer values")]
    IdentityTooLong(String),
    /// The claims of the ID token are refused.
    #[error("the ID token is refused: {0}{advice}", advice = if is_of_another_issuer(.0) { WRITE_AS_ISSUER } else { "" })]
    IdToken(#[from] IdTokenError),
    /// The ID token is no compact JWS.
    #[error("the ID token is refused: {0}")]
    IdTokenMalformed(JwsError),
    /// The introspection endpoint gave no usable answer.
    #[error("{0}")]
    Introspection(#[from] IntrospectionError),
    /// The token lacks one of these scopes, which the rules want.
    #[error("its token lacks a scope of {0:?}")]
    InsufficientScope(String),
    /// A logout request of the provider lacks a parameter.
    #[error("it has no readable logout_token in a form, or no sid and our iss in its query")]
    LogoutMalformed,
    /// A logout request of the provider has another method than this one.
    #[error("this kind of logout takes {0} only")]
    LogoutMethod(&'static str),
    /// The claims of the logout token are refused.
    #[error("the logout token is refused: {0}")]
    LogoutToken(LogoutTokenError),
    /// The signature of the logout token is refused.
    #[error("the logout token is refused: {0}")]
    LogoutTokenSignature(VerifyError),
    /// The host gave no randomness.
    #[error("the platform gives no randomness")]
    NoRandomness,
    /// The conditions of this rule, or of the provider, do not admit the user or client.
    #[error("the user or client may not pass by rule {}{}", rule(.0), .2.iter().map(|finding| format!("; {finding}")).collect::<String>())]
    NotAllowed(Option<String>, Unmet, Vec<Finding>),
    /// The session of this sign-in has no access token for the app.
    #[error(
        "the sign-in brought no access token for the app (upstream_token): the provider gave none, or one that is too long or does not fit into a header"
    )]
    NoAccessToken,
    /// The token of an API client cannot become the token for the app.
    #[error(
        "its token cannot become the token for the app (upstream_token): it is a static one, or its issuer is none of `providers`"
    )]
    NotExchangeable,
    /// A token is to be exchanged as a client that does not authenticate.
    #[error(
        "the client of its provider does not authenticate, and so exchanges no token (upstream_token): give it a client_secret or client_key"
    )]
    PublicClientExchange,
    /// The session cannot be written into cookies.
    #[error("{0}")]
    NotWritten(#[from] SealError),
    /// The rule with this name takes sessions and tokens of other providers only.
    #[error("rule {} takes sessions and tokens of other providers only", rule(.0))]
    OtherProvider(Option<String>),
    /// The provider's metadata or keys are not known (yet).
    #[error("the provider's metadata or keys are not known yet")]
    ProviderNotReady,
    /// The authorization response is an error (RFC 6749, 4.1.2.1).
    #[error("the authorization response, which came through the browser, says {0}")]
    Provider(ErrorResponse),
    /// The app refuses the user, or gave no usable answer about them.
    #[error("{0}")]
    Provisioning(#[from] ProvisioningError),
    /// The authorization request could not be pushed.
    #[error("{0}")]
    Push(#[from] PushError),
    /// It has a header that only we may set, and by which Envoy may have chosen its route.
    #[error("it has the header {0:?}, which only this filter sets, and its route may have been chosen by that")]
    ReservedHeader(String),
    /// Nothing is at this path under our prefix.
    #[error("nothing is at this reserved path, or the setting that puts something there is off")]
    ReservedPath,
    /// Its route, with this name, does not name one policy.
    #[error("its route{} {}", named(.0), .1)]
    Route(Option<String>, RouteError),
    /// The signature of the ID token is refused.
    #[error("the ID token is refused: {0}")]
    IdTokenSignature(VerifyError),
    /// The claims of the security event token are refused.
    #[error("the security event token is refused: {0}")]
    SecurityEvent(SecurityEventError),
    /// The body is no security event token.
    #[error("its body is no security event token of application/secevent+jwt")]
    SecurityEventMalformed,
    /// The signature of the security event token is refused.
    #[error("the security event token is refused: {0}")]
    SecurityEventSignature(VerifyError),
    /// This many sign-ins in a row brought no session that is enough.
    #[error(
        "there were {0} sign-ins in a row, and none brought a session with all that the rules ask for: their cookies never came back, or \
             another configuration answers the callback"
    )]
    SignInLoop(u8),
    /// It has no session.
    #[error("it has no session")]
    SignInRequired,
    /// Sign-out with a method that is neither GET nor POST, or posted from another site.
    #[error("sign-out was asked for in a way that is not taken")]
    SignOutMethod,
    /// The sign-in that a rule demanded brought no better authentication.
    #[error(
        "the provider was asked for {0}, and the session has acr {acr} and auth_time {time}; compare acr_values_supported in its metadata",
        acr = .1.acr().map_or_else(|| "none".to_owned(), |acr| Quoted::new(acr).to_string()),
        time = .1.time().map_or_else(|| "none".to_owned(), |time| time.to_string())
    )]
    StepUpRefused(Rc<StepUp>, AuthenticationClaims),
    /// The authentication of a session or token is too weak or too old for this rule.
    #[error("rule {} asks for {}, and its session or token does not meet it", rule(.0), .1)]
    StepUpRequired(Option<String>, Rc<StepUp>),
    /// The session store failed.
    #[error("session.store: {0}")]
    Store(#[from] StoreError),
    /// The rule takes bearer tokens only, and it has none.
    #[error("it has no bearer token, and the rule takes nothing else")]
    TokenRequired,
    /// The token endpoint gave no usable answer.
    #[error("{0}")]
    TokenEndpoint(#[from] TokenEndpointError),
    /// The rules that the request may mean ask for different tokens for the app.
    #[error("parsers may take it for different rules, which ask for different tokens for the app (upstream_token)")]
    TokensDiffer,
    /// A state that the code never reaches: a bug of this filter.
    #[error("a bug of this filter: {0}")]
    Unreachable(&'static str),
    /// The provider gave no token in exchange for that of a user or client.
    #[error("there is no token for the app (upstream_token): {0}")]
    UpstreamToken(#[from] NoExchange),
    /// The userinfo endpoint gave no usable answer.
    #[error("{0}")]
    UserinfoEndpoint(#[from] UserinfoError),
    /// The signature of a signed answer of the userinfo endpoint is refused.
    #[error("the signed userinfo response is refused: {0}")]
    UserinfoSignature(VerifyError),
    /// A request for userinfo with another method than GET.
    #[error("userinfo takes GET only")]
    UserinfoMethod,
}

impl From<NoRandomness> for Failure {
    fn from(NoRandomness: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl From<AuthenticationError> for Failure {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::NoRandomness(error) => error.into(),
            AuthenticationError::NotSigned(error) => Self::ClientKey(error),
        }
    }
}

/// A principal that the rules do not admit.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let rule = refusal.rule;
        match refusal.cause {
            Cause::LeftOut => Self::GroupsLeftOut(rule),
            Cause::Denied => Self::Denied(rule),
            Cause::NotAllowed(unmet, findings) => Self::NotAllowed(rule, unmet, findings),
            Cause::OtherProvider => Self::OtherProvider(rule),
            Cause::StepUp(step_up) => Self::StepUpRequired(rule, step_up),
            Cause::Unknown => Self::SignInRequired,
        }
    }
}

/// The advice where a signed ID token names another issuer than the configured one.
const WRITE_AS_ISSUER: &str = "; write exactly that as issuer, if it is the one you mean";

fn is_of_another_issuer(error: &IdTokenError) -> bool {
    matches!(error, IdTokenError::Claim(error) if matches!(error, ClaimError::IssuerMismatch(_)))
}

/// A rule as a line of the log names it.
fn rule(name: &Option<String>) -> String {
    name.as_ref().map_or_else(|| "(no name)".to_owned(), |name| format!("{name:?}"))
}

/// A route as a line of the log names it.
fn named(route: &Option<String>) -> String {
    route.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default()
}

impl Failure {
    /// The error code for a transmitter of security events (RFC 8935, 2.4).
    pub(in crate::flow) const fn security_event_code(&self) -> Option<&'static str> {
        match self {
            Self::SecurityEvent(SecurityEventError::Claim(
                ClaimError::IssuerMissing | ClaimError::IssuerMismatch(_),
            )) => Some("invalid_issuer"),
            Self::SecurityEvent(SecurityEventError::Claim(
                ClaimError::AudienceMissing
                | ClaimError::AudienceMalformed
                | ClaimError::AudienceMismatch
                | ClaimError::AudienceUntrusted,
            )) => Some("invalid_audience"),
            Self::SecurityEvent(_)
            | Self::SecurityEventMalformed
            | Self::SecurityEventSignature(VerifyError::BadPayload(_)) => Some("invalid_request"),
            Self::SecurityEventSignature(_) if self.status() == 400 => Some("invalid_key"),
            _ => None,
        }
    }

    /// Whether the same request may succeed in a few seconds.
    pub const fn is_transient(&self) -> bool {
        self.status() == 503
    }
}
