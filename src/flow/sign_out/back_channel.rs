//! Back-Channel Logout 1.0: the provider posts a logout token.

use crate::{
    claims::IssuerId,
    config::Config,
    http::{LocalReply, Request, parameter},
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::logout_token::{LogoutToken, LogoutTokenError},
    secret::RawLogoutToken,
    shared::lease::Asker,
};

use super::super::{
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    body::is_form,
    context::{Env, RequestContext},
    event::{Event, failure::Failure},
    executor::Gate,
    keys::verify_with_keys,
    limits::hold_from,
};
use super::signed_message::{SignedMessage, revocations};

/// Decides a request for the back-channel logout path.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller { kind: Kind::Program, ..Caller::of(request) };
    let failure = if !env.config.sign_out.back_channel {
        Failure::ReservedPath
    } else if request.method() != "POST" {
        Failure::LogoutMethod("POST")
    } else if !is_form(request) || request.ends_with_headers() {
        Failure::LogoutMalformed
    } else {
        return Gate::flow(move |cx| log_out(caller, cx));
    };
    answer::refuse(failure, &caller, Offer::default(), env).into()
}

async fn log_out(mut caller: Caller, cx: RequestContext) -> LocalReply {
    match end_sessions(&mut caller, &cx).await {
        Ok(()) => answer::empty(200, "logged_out"),
        Err(failure) => cx.refuse(failure, &caller, Offer::default()),
    }
}

/// Ends the sessions that the logout token names.
async fn end_sessions(caller: &mut Caller, cx: &RequestContext) -> Result<(), Failure> {
    let body = cx.body().await?;
    let raw = RawLogoutToken::new(parameter(&body, "logout_token").ok_or(Failure::LogoutMalformed)?);
    let provider = claimed_provider(&raw, cx.config())?;
    caller.issuer = Some(provider);
    let verify_now = |env: &Env<'_>| verify_logout_token(&raw, provider, env);
    let token = verify_with_keys(provider, Asker::Unauthenticated, hold_from(cx.now()), cx, verify_now).await?;
    let (message, revocations, event) = cx.with(|env| {
        let message = SignedMessage::new("jti", provider, &token.id, token.expires, env);
        let revocations = revocations(provider, token.subject.as_deref(), token.sid.as_deref(), env);
        (message, revocations, Event::LoggedOut(env.issuers.name(provider), Some(token.id)))
    })?;
    message.end_once(revocations, event, cx).await
}

/// The provider that the token says it is of.
fn claimed_provider(token: &RawLogoutToken, config: &Config) -> Result<IssuerId, Failure> {
    let unverified = UnverifiedJws::parse(token.expose()).map_err(|_| Failure::LogoutMalformed)?;
    let issuer = unverified.claimed_issuer().ok_or(Failure::LogoutMalformed)?;
    let known = config.providers.iter().find(|provider| provider.issuer().expected().may_be(&issuer));
    let other = LogoutTokenError::Claim(ClaimError::IssuerMismatch);
    known.map(|provider| provider.id).ok_or(Failure::LogoutToken(other))
}

fn verify_logout_token(raw: &RawLogoutToken, provider: IssuerId, env: &Env<'_>) -> Result<LogoutToken, Failure> {
    let known = env.issuers.ready(provider, env.now()).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose()).map_err(|_| Failure::LogoutMalformed)?;
    let algorithms = &known.provider.algorithms();
    let token = verify(&unverified, &known.keys, algorithms, Origin::Request(env.now()), env.platform)
        .map_err(Failure::LogoutTokenSignature)?;
    known.provider.check_logout_token(token, env.now(), env.config.leeway).map_err(Failure::LogoutToken)
}
