//! Every way to say no, in one table: what the caller gets, what the log says, which counter moves. A new failure does
//! not compile until all of it is decided.

use std::rc::Rc;

use crate::{
    claims::{AuthenticationClaims, Finding, StepUp, Unmet},
    http::CalloutError,
    jose::{claims::ClaimError, jws::JwsError, verify::VerifyError},
    oidc::{
        access_token::AccessTokenError,
        authorization::AuthorizationError,
        client::AuthenticationError,
        error::{ErrorResponse, OAuthError, UnexpectedStatus},
        id_token::IdTokenError,
        introspection::IntrospectionError,
        logout_token::LogoutTokenError,
        pushed::PushError,
        security_event::SecurityEventError,
        token::TokenEndpointError,
        token_exchange::{ExchangeFault, NoExchange},
        userinfo::UserinfoError,
    },
    page::text::{Language, Text},
    platform::{NoRandomness, SignError},
    provisioning::ProvisioningError,
    quoted::Quoted,
    rules::{Cause, Refusal, RouteError},
    session::{SealError, store::StoreError},
};

/// The level of an event in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Counted, not logged.
    Count,
    /// As expected.
    Info,
    /// An operator should look.
    Warn,
    /// A fault of the configuration or of this filter.
    Error,
}

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

/// The words of a failure.
#[derive(Debug)]
pub(in crate::flow) struct Words {
    /// The heading of its page.
    pub(in crate::flow) title: Text,
    /// The explanation on its page.
    pub(in crate::flow) texts: &'static [Text],
    /// What programs read, where it is not the heading.
    error: Option<&'static str>,
}

impl Words {
    /// The words for programs and their developers, in English.
    pub(in crate::flow) fn error(&self) -> &'static str {
        self.error.unwrap_or_else(|| Language::En.get(self.title))
    }
}

/// One row of the table.
struct Row {
    status: u16,
    code: &'static str,
    counter: &'static str,
    level: Level,
    words: Words,
}

/// Status, code, level, the heading and the explanation of the page, and the words for programs where the heading would not help them.
macro_rules! row {
    ($status:literal, $code:literal, $level:ident, $title:ident [$($text:ident)*]) => {
        row!(@ $status, $code, $level, $title [$($text)*], None)
    };
    ($status:literal, $code:literal, $level:ident, $title:ident [$($text:ident)*], $error:literal) => {
        row!(@ $status, $code, $level, $title [$($text)*], Some($error))
    };
    (@ $status:literal, $code:literal, $level:ident, $title:ident [$($text:ident)*], $error:expr) => {
        &Row {
            status: $status,
            code: $code,
            counter: concat!("vestibule_refused_", $code),
            level: Level::$level,
            words: Words { title: Text::$title, texts: &[$(Text::$text),*], error: $error },
        }
    };
}

impl Failure {
    #[rustfmt::skip]
    const fn row(&self) -> &'static Row {
        match self {
            Self::Bearer => row!(401, "bearer_not_accepted", Info, NotAccepted [TellOperator], "This address takes no bearer token"),
            Self::BearerMalformed => row!(400, "bearer_malformed", Info, NotAccepted [TellOperator], "The bearer token cannot be read"),
            // Forged tokens come in numbers: this one is refused like any request beyond a limit.
            Self::BearerSignature(VerifyError::Throttled) | Self::LogoutTokenSignature(VerifyError::Throttled) | Self::SecurityEventSignature(VerifyError::Throttled) => row!(503, "busy", Info, Busy [TryAgainSoon]),
            Self::BearerExpired(_) | Self::BearerInactive | Self::BearerRefused(_) | Self::BearerSignature(_) | Self::BearerUnknown => row!(401, "invalid_token", Info, NotAccepted [TellOperator], "The token is unknown, has expired, or is meant for another service"),
            Self::BodyMissing => row!(503, "body_missing", Error, SomethingWrong [OwnFault TellOperator]),
            Self::BodyTooLong => row!(413, "body_too_long", Info, NotAccepted [TooLong], "The body is longer than this address accepts"),
            Self::Busy => row!(503, "busy", Warn, Busy [TryAgainSoon]),
            Self::Callback(AuthorizationError::Malformed) => row!(400, "callback_malformed", Info, SignInFailed [AnswerIncomplete TryAgainPlease]),
            Self::Callback(AuthorizationError::WrongIssuer) => row!(400, "callback_wrong_issuer", Warn, SignInFailed [AnswerOfOtherService TryAgainPlease]),
            Self::CallbackMethod => row!(405, "callback_method", Info, SignInFailed [AnswerUnacceptable TryAgainPlease]),
            Self::CallbackState => row!(400, "callback_state", Info, SignInFailed [SignInOver TryAgainPlease]),
            Self::ClientKey(_) => row!(500, "client_key", Error, SomethingWrong [OwnFault TellOperator]),
            Self::HeadersRefused => row!(500, "headers_refused", Error, SomethingWrong [OwnFault TellOperator]),
            Self::IdentityTooLong(_) => row!(500, "identity_too_long", Error, TooMuchData [DataTooLong TellOperator]),
            Self::IdToken(_) => row!(502, "id_token_refused", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::IdTokenMalformed(_) => row!(502, "id_token_malformed", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::Denied(_) => row!(403, "denied", Info, Closed [OpenToNoOne]),
            Self::GroupsLeftOut(_) => row!(403, "groups_left_out", Warn, MayNotOpen [GroupsLeftOut TellOperator]),
            Self::InsufficientScope(_) => row!(403, "insufficient_scope", Info, NotAccepted [TellOperator], "The token lacks a scope that this address needs"),
            Self::Introspection(error) => match error {
                IntrospectionError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | IntrospectionError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "introspection_unavailable", Warn, NotAccepted [TryAgainSoon], "The token cannot be checked: its issuer does not answer"),
                IntrospectionError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | IntrospectionError::Malformed | IntrospectionError::NotJson(_) | IntrospectionError::Status(_) => row!(502, "introspection_refused", Error, NotAccepted [TellOperator], "The token cannot be checked: its issuer does not accept the question"),
            },
            Self::LogoutMalformed | Self::LogoutToken(_) | Self::LogoutTokenSignature(_) => row!(400, "logout_refused", Warn, NotAccepted [TellOperator], "No session was ended: the request cannot be trusted"),
            Self::LogoutMethod(_) => row!(405, "logout_method", Info, NotAccepted [TellOperator], "No session was ended: this method is not accepted here"),
            Self::NoRandomness | Self::NotWritten(SealError::NoRandomness(_)) => row!(500, "no_randomness", Error, SomethingWrong [OwnFault TellOperator]),
            Self::NotAllowed(_, Unmet::Account, _) => row!(403, "not_allowed", Info, MayNotOpen [NotAmongAccounts OtherAccount]),
            Self::NotAllowed(_, Unmet::Address, _) => row!(403, "not_allowed", Info, MayNotOpen [NotAmongAddresses OtherAccount]),
            Self::NotAllowed(_, Unmet::Groups, _) => row!(403, "not_allowed", Info, MayNotOpen [NotInGroups OtherAccount]),
            Self::NotAllowed(_, Unmet::VerifiedAddress, _) => row!(403, "not_allowed", Info, MayNotOpen [AddressNotVerified OtherAccount]),
            Self::OtherProvider(_) => row!(403, "other_provider", Info, MayNotOpen [OtherServiceNeeded]),
            Self::TokensDiffer => row!(400, "upstream_token_ambiguous", Info, NotAccepted [Ambiguous], "The address can be read in several ways"),
            Self::NoAccessToken => row!(502, "no_access_token", Error, CannotOpen [NothingForPage TellOperator]),
            Self::NotExchangeable => row!(403, "token_not_exchangeable", Info, NotAccepted [TellOperator], "The token cannot be exchanged for the one that this address needs"),
            Self::NotWritten(SealError::TooLarge { .. }) => row!(500, "session_too_large", Error, TooMuchData [DataTooLong TellOperator]),
            Self::ProviderNotReady => row!(503, "provider_not_ready", Warn, NoAnswer [NotJustNow TryAgainSoon]),
            Self::Provider(ErrorResponse { error: OAuthError::AccessDenied, .. }) => row!(403, "access_denied", Info, Declined [YouDeclined TryAgainPlease]),
            Self::Provider(ErrorResponse { error: OAuthError::ServerError | OAuthError::TemporarilyUnavailable, .. }) => row!(503, "provider_unavailable", Warn, ServiceProblem [NotJustNow TryAgainSoon]),
            Self::Provider(_) => row!(400, "provider_refused", Warn, SignInFailed [ServiceRefused TryAgainOrTell]),
            Self::Provisioning(error) => match error {
                ProvisioningError::Refused(_) => row!(403, "provisioning_refused", Info, MayNotSignIn [SiteDoesNotAdmit OtherAccount]),
                ProvisioningError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | ProvisioningError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "provisioning_unavailable", Error, SignInFailed [AccountLookupFailed TryAgainSoon]),
                ProvisioningError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | ProvisioningError::Malformed | ProvisioningError::NoMessage | ProvisioningError::NotJson(_) | ProvisioningError::Status(_) => row!(502, "provisioning_malformed", Error, SignInFailed [AccountLookupFailed TellOperator]),
            },
            Self::ReservedHeader(_) => row!(400, "reserved_header", Info, NotAccepted [TellOperator], "A header says who sends the request, which only this site may do"),
            Self::ReservedPath => row!(404, "reserved_path", Info, NothingHere [Reserved]),
            Self::Route(..) => row!(500, "route_policy", Error, SomethingWrong [OwnFault TellOperator]),
            Self::IdTokenSignature(VerifyError::BadPayload(_)) => row!(502, "id_token_payload", Warn, SignInFailed [AnswerUnacceptable TellOperator]),
            Self::IdTokenSignature(VerifyError::UnknownKey(_)) => row!(502, "id_token_unknown_key", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::IdTokenSignature(_) => row!(502, "id_token_signature", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::SecurityEvent(_) | Self::SecurityEventMalformed | Self::SecurityEventSignature(_) => row!(400, "security_event_refused", Warn, NotAccepted [TellOperator], "No session was ended: the security event token cannot be trusted"),
            Self::SignInLoop(_) => row!(400, "sign_in_loop", Warn, CookiesLost [CookieNeverCame AllowCookies]),
            Self::SignInRequired => row!(401, "sign_in_required", Count, PleaseSignIn [NotSignedIn NotDelivered]),
            Self::SignOutMethod => row!(405, "sign_out_method", Info, StillSignedIn [AskedElsewhere SignOutHere]),
            Self::Store(_) => row!(503, "store_unavailable", Error, CannotOpen [SessionLookupFailed TryAgainSoon]),
            Self::UserinfoSignature(_) | Self::UserinfoEndpoint(UserinfoError::OtherSubject | UserinfoError::SignedClaims(_) | UserinfoError::SignedType) => row!(502, "userinfo_endpoint_refused", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::UserinfoEndpoint(error) => match error {
                UserinfoError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | UserinfoError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "userinfo_endpoint_unavailable", Warn, NoAnswer [NotJustNow TryAgainSoon]),
                UserinfoError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | UserinfoError::Malformed(_) | UserinfoError::NoSubject(_) | UserinfoError::NotJson(_) | UserinfoError::OtherSubject | UserinfoError::SignedClaims(_) | UserinfoError::SignedMalformed(_) | UserinfoError::SignedType | UserinfoError::Status(_) => row!(502, "userinfo_endpoint_malformed", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            },
            Self::Unreachable(_) => row!(500, "bug", Error, SomethingWrong [OwnFault TellOperator]),
            Self::StepUpRefused(..) => row!(403, "step_up_refused", Warn, StrongerNeeded [StrongerNotConfirmed TryAgainOrTell]),
            Self::StepUpRequired(..) => row!(401, "insufficient_user_authentication", Info, StrongerNeeded [StrongerThanYours NotDelivered]),
            Self::UpstreamToken(NoExchange { fault: ExchangeFault::SubjectRejected, .. }) => row!(403, "upstream_token_denied", Warn, MayNotOpen [ServiceOfPageRefused OtherAccount]),
            Self::PublicClientExchange | Self::UpstreamToken(NoExchange { fault: ExchangeFault::RequestRejected, .. }) => row!(502, "upstream_token_refused", Error, CannotOpen [NothingForPage TellOperator]),
            Self::UpstreamToken(NoExchange { fault: ExchangeFault::Unavailable, .. }) => row!(503, "upstream_token_unavailable", Warn, NoAnswer [PageNeedsAnswer TryAgainSoon]),
            Self::ClientScriptMethod => row!(405, "client_script_method", Info, NotAccepted [ForPrograms], "This address only has a script"),
            Self::UserinfoMethod => row!(405, "userinfo_method", Info, NotAccepted [ForPrograms], "This address only tells who is signed in"),
            Self::TokenRequired => row!(401, "token_required", Count, NotAccepted [ForPrograms], "This address needs a bearer token"),
            Self::Push(PushError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | PushError::Status(UnexpectedStatus { is_temporary: true, .. })) => row!(503, "pushed_request_unavailable", Warn, NoAnswer [NotJustNow TryAgainSoon]),
            Self::Push(_) => row!(502, "pushed_request_refused", Error, SignInFailed [SiteNotAccepted TellOperator]),
            Self::TokenEndpoint(error) => match error {
                TokenEndpointError::UnexpectedDpopToken | TokenEndpointError::UnexpectedBearerToken => row!(502, "access_token_type", Error, SignInFailed [AnswerUnacceptable TellOperator]),
                TokenEndpointError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | TokenEndpointError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "token_endpoint_unavailable", Warn, NoAnswer [NotJustNow TryAgainSoon]),
                TokenEndpointError::Refused(ErrorResponse { error: OAuthError::BadVerificationCode | OAuthError::InvalidGrant, .. }) => row!(400, "token_endpoint_invalid_grant", Info, SignInFailed [SignInTooLate TryAgainPlease]),
                TokenEndpointError::Refused(_) => row!(502, "token_endpoint_refused", Error, SignInFailed [SiteNotAccepted TellOperator]),
                TokenEndpointError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | TokenEndpointError::Malformed(_) | TokenEndpointError::NotJson(_) | TokenEndpointError::Status(_) => row!(502, "token_endpoint_malformed", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            },
        }
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.row().status
    }

    /// The stable code: response header, response-code details, page and log.
    pub const fn code(&self) -> &'static str {
        self.row().code
    }

    /// The counter.
    pub const fn counter(&self) -> &'static str {
        self.row().counter
    }

    /// Its level in the log.
    pub const fn level(&self) -> Level {
        self.row().level
    }

    pub(in crate::flow) const fn words(&self) -> &'static Words {
        &self.row().words
    }

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

#[cfg(test)]
mod tests {
    const PAGE: &str = include_str!("../../../envoy/docs/troubleshooting.md");

    /// The status and code of each row of the table above.
    fn rows() -> Vec<(&'static str, &'static str)> {
        let rows = include_str!("failure.rs").split("row!(");
        let rows = rows.filter(|row| row.starts_with(|first: char| first.is_ascii_digit()));
        rows.filter_map(|row| Some((row.split(',').next()?, row.split('"').nth(1)?))).collect()
    }

    #[test]
    fn the_page_on_troubleshooting_has_one_entry_for_each_code_and_no_others() {
        let headings = PAGE.lines().filter_map(|line| line.strip_prefix("### "));
        let entries: Vec<_> = headings.flat_map(|heading| heading.split('`').skip(1).step_by(2)).collect();
        let rows = rows();
        assert!(rows.len() > 40, "{rows:?}");
        for (_, code) in &rows {
            assert!(entries.contains(code), "{code} has no entry");
        }
        for entry in entries {
            assert!(rows.iter().any(|(_, code)| *code == entry), "{entry} is no code");
        }
    }

    #[test]
    fn its_table_has_each_code_with_its_status_and_no_others() {
        let (_, table) = PAGE.split_once("## All codes").unwrap();
        let lines =
            table.lines().skip_while(|line| !line.starts_with("| [")).take_while(|line| line.starts_with("| ["));
        let mut shown: Vec<_> =
            lines.filter_map(|line| Some((line.split('|').nth(2)?.trim(), line.split('`').nth(1)?))).collect();
        let mut rows = rows();
        rows.sort_by_key(|(_, code)| *code);
        rows.dedup();
        shown.sort_by_key(|(_, code)| *code);
        assert_eq!(shown, rows);
    }
}
