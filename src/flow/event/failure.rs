//! Every way to say no, in one table: what the caller gets, what the log says, which counter moves. A new failure does
//! not compile until all of it is decided.

use std::rc::Rc;

use crate::{
    claims::{AuthenticationClaims, Finding, StepUp},
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
    /// A request for the module of scripts with another method than GET.
    #[error("client.js takes GET only")]
    ClientScriptMethod,
    /// Nothing is signed with the client's key.
    #[error("{0}")]
    ClientKey(SignError),
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
    #[error("the user or client may not pass by rule {}{}", rule(.0), .1.iter().map(|finding| format!("; {finding}")).collect::<String>())]
    NotAllowed(Option<String>, Vec<Finding>),
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
            Cause::NotAllowed(findings) => Self::NotAllowed(rule, findings),
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

/// The text of its page.
pub(in crate::flow) struct Words {
    pub(in crate::flow) title: &'static str,
    pub(in crate::flow) text: &'static str,
}

/// One row of the table.
struct Row {
    status: u16,
    code: &'static str,
    counter: &'static str,
    level: Level,
    words: Words,
}

macro_rules! row {
    ($status:literal, $code:literal, $level:ident, $title:literal, $text:literal) => {
        Row {
            status: $status,
            code: $code,
            counter: concat!("vestibule_refused_", $code),
            level: Level::$level,
            words: Words { title: $title, text: $text },
        }
    };
}

impl Failure {
    #[rustfmt::skip]
    const fn row(&self) -> Row {
        match self {
            Self::Bearer => row!(401, "bearer_not_accepted", Info, "This address takes no token",
                "Sign in with a browser instead."),
            Self::BearerMalformed => row!(400, "bearer_malformed", Info, "The token cannot be read",
                "Send one Authorization header with one Bearer token."),
            // Forged tokens come in numbers: this one is refused like any request beyond a limit.
            Self::BearerSignature(VerifyError::Throttled) | Self::LogoutTokenSignature(VerifyError::Throttled) | Self::SecurityEventSignature(VerifyError::Throttled) => row!(503, "busy", Info, "This site is very busy",
                "Please try again in a few seconds."),
            Self::BearerExpired(_) | Self::BearerInactive | Self::BearerRefused(_) | Self::BearerSignature(_) | Self::BearerUnknown => row!(401, "invalid_token", Info, "The token is not good here",
                "It is unknown, has expired, or is meant for another service."),
            Self::BodyMissing => row!(503, "body_missing", Error, "Something is wrong here",
                "This site cannot read what was sent. Please tell its operator the code below."),
            Self::BodyTooLong => row!(413, "body_too_long", Info, "This is too much",
                "What was sent is longer than is taken here."),
            Self::Busy => row!(503, "busy", Warn, "This site is very busy",
                "Please try again in a few seconds."),
            Self::Callback(AuthorizationError::Malformed) => row!(400, "callback_malformed", Info, "The sign-in did not work",
                "The answer of the sign-in service was incomplete. Please try again."),
            Self::Callback(AuthorizationError::WrongIssuer) => row!(400, "callback_wrong_issuer", Warn, "The sign-in did not work",
                "The answer came from another sign-in service than the one you were sent to. Please try again."),
            Self::CallbackMethod => row!(405, "callback_method", Info, "The sign-in did not work",
                "The answer of the sign-in service came in a way that is not taken here. Please try again."),
            Self::CallbackState => row!(400, "callback_state", Info, "The sign-in did not work",
                "This address belongs to a sign-in that is over or was not begun here. Please start again."),
            Self::ClientKey(_) => row!(500, "client_key", Error, "Something is wrong here",
                "This site cannot prove itself to the sign-in service. Please tell its operator the code below."),
            Self::HeadersRefused => row!(500, "headers_refused", Error, "Something is wrong here",
                "Your request could not be passed on. Please tell the operator of this site the code below."),
            Self::IdentityTooLong(_) => row!(500, "identity_too_long", Error, "Your account has too much data",
                "The data of your account that this site would receive, such as your groups, is too long. Please tell its operator the code below."),
            Self::IdToken(_) => row!(502, "id_token_refused", Warn, "The sign-in did not work",
                "The sign-in service vouched for you in a way that cannot be trusted. Please try again, or tell the operator of this site the code below."),
            Self::IdTokenMalformed(_) => row!(502, "id_token_malformed", Warn, "The sign-in did not work",
                "The sign-in service gave an answer that cannot be read. Please try again, or tell the operator of this site the code below."),
            Self::Denied(_) => row!(403, "denied", Info, "This address is closed",
                "No one can open it from here."),
            Self::GroupsLeftOut(_) => row!(403, "groups_left_out", Warn, "You may not open this page",
                "The sign-in service did not say which groups you are in, perhaps because you are in so many. Please tell the operator of this site the code below."),
            Self::InsufficientScope(_) => row!(403, "insufficient_scope", Info, "The token is not good enough",
                "It lacks a scope that this address needs."),
            Self::Introspection(error) => match error {
                IntrospectionError::Callout(CalloutError::Dispatch | CalloutError::NoCluster | CalloutError::NoResponse) | IntrospectionError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "introspection_unavailable", Warn,
                    "The token cannot be checked", "Its issuer does not answer. Please try again in a few seconds."),
                IntrospectionError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | IntrospectionError::Malformed | IntrospectionError::NotJson(_) | IntrospectionError::Status(_) => row!(502, "introspection_refused", Error,
                    "The token cannot be checked", "Its issuer does not answer this site's question. Please tell its operator the code below."),
            },
            Self::LogoutMalformed | Self::LogoutToken(_) | Self::LogoutTokenSignature(_) => row!(400, "logout_refused", Warn, "No session was ended",
                "The request to end a session is not one that can be trusted."),
            Self::LogoutMethod(_) => row!(405, "logout_method", Info, "No session was ended",
                "The request to end a session came in a way that is not taken here."),
            Self::NoRandomness | Self::NotWritten(SealError::NoRandomness(_)) => row!(500, "no_randomness", Error, "Something is wrong here",
                "This site cannot sign you in at the moment. Please tell its operator the code below."),
            Self::NotAllowed(..) => row!(403, "not_allowed", Info, "You may not open this page",
                "You are signed in, but this page is for others. If you have another account, you can use that."),
            Self::TokensDiffer => row!(400, "upstream_token_ambiguous", Info, "This address is ambiguous",
                "It can be read in several ways. Please use a link of this site."),
            Self::NoAccessToken => row!(502, "no_access_token", Error, "This page cannot be opened now",
                "The sign-in service gave this site no token that the page needs. Please tell its operator the code below."),
            Self::NotExchangeable => row!(403, "token_not_exchangeable", Info, "The token is not good here",
                "This address accepts only access tokens that its sign-in service can exchange for another one."),
            Self::NotWritten(SealError::TooLarge { .. }) => row!(500, "session_too_large", Error, "The session is too large",
                "What is known of you does not fit into this site's cookies. Please tell the operator of this site the code below."),
            Self::ProviderNotReady => row!(503, "provider_not_ready", Warn, "The sign-in service does not answer",
                "You cannot sign in at the moment. Please try again in a few seconds."),
            Self::Provider(ErrorResponse { error: OAuthError::AccessDenied, .. }) => row!(403, "access_denied", Info, "The sign-in was declined",
                "The sign-in service says that you or it declined. You can try again, perhaps with another account."),
            Self::Provider(ErrorResponse { error: OAuthError::ServerError | OAuthError::TemporarilyUnavailable, .. }) => row!(503, "provider_unavailable", Warn,
                "The sign-in service has a problem", "It could not sign you in just now. Please try again in a few seconds."),
            Self::Provider(_) => row!(400, "provider_refused", Warn, "The sign-in did not work",
                "The sign-in service refused to sign you in. Please try again, or tell the operator of this site the code below."),
            Self::Provisioning(error) => match error {
                ProvisioningError::Refused(_) => row!(403, "provisioning_refused", Info, "You may not sign in here",
                    "The sign-in service knows you, but this site does not let you in. If you have another account, you can use that."),
                ProvisioningError::Callout(CalloutError::Dispatch | CalloutError::NoCluster | CalloutError::NoResponse) | ProvisioningError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "provisioning_unavailable", Error,
                    "You cannot sign in at the moment", "This site could not look up your account. Please try again in a few seconds."),
                ProvisioningError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | ProvisioningError::Malformed | ProvisioningError::NoMessage | ProvisioningError::NotJson(_) | ProvisioningError::Status(_) => row!(502, "provisioning_malformed", Error,
                    "The sign-in did not work", "This site could not look up your account. Please tell its operator the code below."),
            },
            Self::ReservedHeader(_) => row!(400, "reserved_header", Info, "This request is not taken",
                "It says in a header who sends it, which only this site may do."),
            Self::ReservedPath => row!(404, "reserved_path", Info, "There is nothing here",
                "This address is reserved for signing in and out, but nothing is at it."),
            Self::Route(..) => row!(500, "route_policy", Error, "Something is wrong here",
                "This site does not say who may open this address. Please tell its operator the code below."),
            Self::IdTokenSignature(VerifyError::BadPayload(_)) => row!(502, "id_token_payload", Warn, "The sign-in did not work",
                "The sign-in service vouched for you in words that can be read in two ways, or not at all. Please tell the operator of this site the code below."),
            Self::IdTokenSignature(VerifyError::UnknownKey(_)) => row!(502, "id_token_unknown_key", Warn, "The sign-in did not work",
                "The sign-in service signed with a key that it does not publish. Please try again in a minute."),
            Self::IdTokenSignature(_) => row!(502, "id_token_signature", Warn, "The sign-in did not work",
                "The sign-in service vouched for you in a way that cannot be trusted. Please try again, or tell the operator of this site the code below."),
            Self::SecurityEvent(_) | Self::SecurityEventMalformed | Self::SecurityEventSignature(_) => row!(400, "security_event_refused", Warn, "No session was ended",
                "The security event token is not one that can be trusted."),
            Self::SignInLoop(_) => row!(400, "sign_in_loop", Warn, "Your browser does not keep the sign-in",
                "You were sent to sign in several times, and each time this site's cookie did not come back. Allow cookies for this site, open it by its usual https address, and try again."),
            Self::SignInRequired => row!(401, "sign_in_required", Count, "Please sign in",
                "You are not signed in, or your session is over. What you sent was not delivered."),
            Self::SignOutMethod => row!(405, "sign_out_method", Info, "You are still signed in",
                "The request to sign out came from somewhere else. Open the sign-out page on this site itself."),
            Self::Store(_) => row!(503, "store_unavailable", Error, "This site cannot look up who you are",
                "Nothing was lost: please try again in a few seconds."),
            Self::UserinfoSignature(_) | Self::UserinfoEndpoint(UserinfoError::OtherSubject | UserinfoError::SignedClaims(_) | UserinfoError::SignedType) => row!(502, "userinfo_endpoint_refused", Warn, "The sign-in did not work",
                "The sign-in service vouched for you in a way that cannot be trusted. Please try again, or tell the operator of this site the code below."),
            Self::UserinfoEndpoint(error) => match error {
                UserinfoError::Callout(CalloutError::Dispatch | CalloutError::NoCluster | CalloutError::NoResponse) | UserinfoError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "userinfo_endpoint_unavailable", Warn,
                    "The sign-in service does not answer", "It could not sign you in just now. Please try again in a few seconds."),
                UserinfoError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | UserinfoError::Malformed(_) | UserinfoError::NoSubject(_) | UserinfoError::NotJson(_) | UserinfoError::OtherSubject | UserinfoError::SignedClaims(_) | UserinfoError::SignedMalformed(_) | UserinfoError::SignedType | UserinfoError::Status(_) => row!(502, "userinfo_endpoint_malformed", Warn,
                    "The sign-in did not work", "The sign-in service gave an answer that cannot be read. Please try again, or tell the operator of this site the code below."),
            },
            Self::Unreachable(_) => row!(500, "bug", Error, "Something is wrong here",
                "This site has met a fault of its own. Please tell its operator the code below."),
            Self::StepUpRefused(..) => row!(403, "step_up_refused", Warn, "A stronger sign-in is needed",
                "You are signed in, but this page asks for a stronger or a more recent sign-in, and the sign-in service did not confirm one. You can try again, or tell the operator of this site the code below."),
            Self::StepUpRequired(..) => row!(401, "insufficient_user_authentication", Info, "A stronger sign-in is needed",
                "This page asks for a stronger or a more recent sign-in than yours. What you sent was not delivered."),
            Self::UpstreamToken(NoExchange { fault: ExchangeFault::SubjectRejected, .. }) => row!(403, "upstream_token_denied", Warn, "You may not open this page",
                "The sign-in service refused access to a service that this page needs. You can sign in again, with this account or another one."),
            Self::PublicClientExchange | Self::UpstreamToken(NoExchange { fault: ExchangeFault::RequestRejected, .. }) => row!(502, "upstream_token_refused", Error, "This page cannot be opened now",
                "The sign-in service does not give this site what the page needs. Please tell its operator the code below."),
            Self::UpstreamToken(NoExchange { fault: ExchangeFault::Unavailable, .. }) => row!(503, "upstream_token_unavailable", Warn, "The sign-in service does not answer",
                "This page needs something from it. Please try again in a few seconds."),
            Self::ClientScriptMethod => row!(405, "client_script_method", Info, "There is nothing to send here",
                "This address only has a script."),
            Self::UserinfoMethod => row!(405, "userinfo_method", Info, "There is nothing to send here",
                "This address only tells who is signed in."),
            Self::TokenRequired => row!(401, "token_required", Count, "This address is for programs",
                "Send a Bearer token in the Authorization header."),
            Self::Push(PushError::Callout(CalloutError::Dispatch | CalloutError::NoCluster | CalloutError::NoResponse) | PushError::Status(UnexpectedStatus { is_temporary: true, .. })) => row!(503, "pushed_request_unavailable", Warn,
                "The sign-in service does not answer", "It could not begin your sign-in just now. Please try again in a few seconds."),
            Self::Push(_) => row!(502, "pushed_request_refused", Error, "The sign-in did not work",
                "The sign-in service does not accept this site's request. Please tell its operator the code below."),
            Self::TokenEndpoint(error) => match error {
                TokenEndpointError::UnexpectedDpopToken | TokenEndpointError::UnexpectedBearerToken => row!(502, "access_token_type", Error, "The sign-in did not work",
                    "This site and the sign-in service do not agree on the kind of their tokens. Please tell its operator the code below."),
                TokenEndpointError::Callout(CalloutError::Dispatch | CalloutError::NoCluster | CalloutError::NoResponse) | TokenEndpointError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "token_endpoint_unavailable", Warn,
                    "The sign-in service does not answer", "It could not sign you in just now. Please try again in a few seconds."),
                TokenEndpointError::Refused(ErrorResponse { error: OAuthError::BadVerificationCode | OAuthError::InvalidGrant, .. }) => row!(400, "token_endpoint_invalid_grant", Info, "The sign-in did not work",
                    "The sign-in took too long or was used before. Please try again."),
                TokenEndpointError::Refused(_) => row!(502, "token_endpoint_refused", Error, "The sign-in did not work",
                    "The sign-in service does not accept this site. Please tell its operator the code below."),
                TokenEndpointError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | TokenEndpointError::Malformed(_) | TokenEndpointError::NotJson(_) | TokenEndpointError::Status(_) => row!(502, "token_endpoint_malformed", Warn,
                    "The sign-in did not work", "The sign-in service gave an answer that cannot be read. Please try again, or tell the operator of this site the code below."),
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

    pub(in crate::flow) const fn words(&self) -> Words {
        self.row().words
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
