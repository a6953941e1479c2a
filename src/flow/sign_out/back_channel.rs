//! Back-Channel Logout 1.0: the provider posts a logout token.

use std::time::Duration;

use crate::{
    claims::IssuerId,
    config::Config,
    digest::half_digest,
    http::{LocalReply, Request, parameter},
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::logout_token::{LogoutToken, LogoutTokenError},
    quoted::Quoted,
    secret::RawLogoutToken,
    session::open::RevocationKeys,
    shared::{
        denylist::{DenylistError, Entry, Eviction, SharedDenylist},
        lease::Asker,
    },
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
    memory::revocations::{By, Revocation},
    session,
};

/// Logout tokens that are remembered, so that none counts twice.
const CAPACITY: usize = 1024;
/// Upper bound of the time for which one is remembered.
const MAX_REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

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

/// Ends the sessions that the logout token names. The answer comes once every Envoy can know it: where that fails the provider
/// is told to try again, and the token still counts as new then.
async fn end_sessions(caller: &mut Caller, cx: &RequestContext) -> Result<(), Failure> {
    let body = cx.body().await?;
    let raw = RawLogoutToken::new(parameter(&body, "logout_token").ok_or(Failure::LogoutMalformed)?);
    let provider = claimed_provider(&raw, cx.config())?;
    caller.issuer = Some(provider);
    let verify_now = |env: &Env<'_>| verify_logout_token(&raw, provider, env);
    let token = verify_with_keys(provider, Asker::Unauthenticated, hold_from(cx.now()), cx, verify_now).await?;
    let revocations = cx.with(|env| {
        let used = used_token(provider, &token, env);
        if is_used(&used, env) {
            return Ok(None);
        }
        let revocations = revocations(provider, &token, env);
        env.events.push(Event::LoggedOut(env.issuers.name(provider), Some(token.id.clone())));
        for revocation in &revocations {
            match session::end_here(revocation, By::Provider, env) {
                // The list has no room, but the store takes it.
                Err(DenylistError::Full) if env.config.session.store.is_some() => {}
                Err(_) => return Err(Failure::Busy),
                Ok(()) => {}
            }
            // Should the provider not wait for the answer, it is done all the same.
            session::store::end_soon(revocation, move |env| remember(used, env), env);
        }
        Ok(Some((revocations, used)))
    })??;
    // A token that is sent again says nothing new: were it to count again, it would end a session begun since.
    let Some((revocations, used)) = revocations else { return Ok(()) };
    if let Some(store) = &cx.config().session.store {
        session::store::end(store, &revocations, cx).await?;
    }
    cx.with(|env| remember(used, env))
}

/// The provider that the token says it is of.
fn claimed_provider(token: &RawLogoutToken, config: &Config) -> Result<IssuerId, Failure> {
    let unverified = UnverifiedJws::parse(token.expose()).map_err(|_| Failure::LogoutMalformed)?;
    let issuer = unverified.claimed_issuer().ok_or(Failure::LogoutMalformed)?;
    let known = config.provider_of_issuer(&issuer);
    let other = || LogoutTokenError::Claim(ClaimError::IssuerMismatch(Quoted::new(&issuer)));
    known.map(|provider| provider.id).ok_or_else(|| Failure::LogoutToken(other()))
}

fn verify_logout_token(raw: &RawLogoutToken, provider: IssuerId, env: &Env<'_>) -> Result<LogoutToken, Failure> {
    let known = env.issuers.ready(provider, env.now()).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose()).map_err(|_| Failure::LogoutMalformed)?;
    let algorithms = &known.provider.algorithms();
    let token = verify(&unverified, &known.keys, algorithms, Origin::Request(env.now()), env.platform)
        .map_err(Failure::LogoutTokenSignature)?;
    known.provider.check_logout_token(token, env.now(), env.config.leeway).map_err(Failure::LogoutToken)
}

/// The sessions that a token ends (2.4): with a `sid`, those with this `sid`, and those of its subject without a
/// `sid`; without a `sid`, all sessions of its subject.
fn revocations(provider: IssuerId, token: &LogoutToken, env: &Env<'_>) -> Vec<Revocation> {
    let subject = token.subject.as_deref().map(|subject| RevocationKeys::of_subject(provider, subject));
    let of = |mark, owner| Revocation::of(mark, owner, &env.config.session.lifetimes, env.now());
    match &token.sid {
        Some(sid) => {
            let sid = RevocationKeys::of_sid(provider, sid);
            let owner = subject.or_else(|| env.revocations.subject_of(&sid, env.now(), env.platform));
            let nameless = subject.as_ref().map(RevocationKeys::of_subject_without_sid);
            [Some(sid), nameless].into_iter().flatten().map(|mark| of(mark, owner)).collect()
        }
        None => subject.map(|mark| of(mark, subject)).into_iter().collect(),
    }
}

/// Remembers a token whose sessions are ended.
fn remember(used: Entry, env: &mut Env<'_>) {
    // In doubt it counts again: a user who is signed out too often signs in again.
    let _ = used_tokens(&key(env)).claim(used, env.now(), env.platform);
}

fn used_token(provider: IssuerId, token: &LogoutToken, env: &Env<'_>) -> Entry {
    let keep = token.expires.plus(env.config.leeway.span()).since(env.now()).min(MAX_REMEMBERED);
    Entry::now(half_digest("jti", &[provider.as_bytes(), token.id.as_bytes()]), env.now(), keep)
}

fn is_used(token: &Entry, env: &Env<'_>) -> bool {
    let used = used_tokens(&key(env)).entries(env.platform).list;
    used.iter().any(|entry| entry.digest == token.digest)
}

fn key(env: &Env<'_>) -> String {
    format!("vestibule.{}.logout_tokens_heard", env.config.fingerprint)
}

const fn used_tokens(key: &str) -> SharedDenylist<'_> {
    SharedDenylist { key, capacity: CAPACITY, eviction: Eviction::Oldest }
}
