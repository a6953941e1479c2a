//! The calls that a worker makes to renew sessions, and what their answers lead to.

use std::time::Duration;

use crate::{
    http::CalloutRequest,
    oidc::{
        error::OAuthError,
        revocation::{self as revocation_endpoint, RevocationError},
        token::{self, TokenEndpointError, TokenResponse},
        userinfo::Userinfo,
    },
    session::{
        Session,
        store::{Reference, Store},
    },
    shared::renewals::Outcome,
};

use super::{
    AT_ONCE, MAX_LATER, MAX_REVOKING, MAX_WAIT_FOR_KEYS, MIN_LEASE, OTHERS, PAUSE, Unwanted,
    tokens::{self, InHand, Verified, VerifiedTokens},
};
use crate::flow::{
    CalloutResult, Env,
    background::{ExpectBackground, Fetch},
    event::Event,
    failure::Failure,
    revocation::{self, By, Revocation},
    verification::When,
};

/// What a lease lasts longer than all that is done under it.
const SLACK: Duration = Duration::from_secs(5);

/// A session is being renewed.
#[derive(Debug)]
pub struct ExpectRenewal {
    session: Box<Session>,
    asked: Asked,
}

/// What was asked for.
#[derive(Debug)]
enum Asked {
    /// The store: the right to renew it.
    Lease,
    /// The store: the session, as somebody else may have renewed it before.
    Session,
    /// The provider: tokens.
    Tokens,
    /// The provider: what else is claimed of the subject of these.
    Userinfo(Box<VerifiedTokens>),
}

/// The calls to make now, and tokens whose key may be there by now.
pub(in crate::flow) fn poll(env: &mut Env<'_>) -> Vec<Fetch> {
    for in_hand in std::mem::take(&mut env.renewals.in_hand) {
        tokens::verify_in_hand(in_hand, env);
    }
    let mut fetches = Vec::new();
    let store = env.config.session.store.as_ref();
    let queued = std::mem::take(&mut env.renewals.queued);
    match store {
        Some(store) => {
            let stale = std::mem::take(&mut env.renewals.stale);
            fetches.extend(stale.into_iter().map(|session| {
                let request = store.load(&Reference::of(&session));
                fetch(session, Asked::Session, request)
            }));
            fetches.extend(queued.into_iter().map(|session| {
                let request = store.lease(&session.grant_digest(), lease(store, &session, env));
                fetch(session, Asked::Lease, request)
            }));
        }
        None => env.renewals.leased.extend(queued),
    }
    fetches.extend(revocations(env));
    for Verified { session, tokens } in std::mem::take(&mut env.renewals.verified) {
        match tokens.userinfo_request(&session, env) {
            Some(request) => fetches.push(fetch(*session, Asked::Userinfo(tokens), request)),
            None => tokens.conclude(&session, Err(Failure::ProviderNotReady), env),
        }
    }
    for session in std::mem::take(&mut env.renewals.leased) {
        let request = env.issuers.ready(session.provider(), env.now).and_then(|known| {
            let token = session.refresh_token()?;
            Some(token::refresh_grant(known.provider, known.metadata, token))
        });
        match request {
            Some(request) => fetches.push(fetch(session, Asked::Tokens, request)),
            None => settle(&session, &Outcome::Failed(env.now.plus(PAUSE)), env),
        }
    }
    fetches
}

/// How long nobody else may ask: until the session could be loaded, the provider have answered, a key have come and the
/// outcome be saved.
fn lease(store: &Store, session: &Session, env: &Env<'_>) -> Duration {
    let provider = env.issuers.ready(session.provider(), env.now).map(|known| known.time_to_renew());
    let calls = store.timeout.saturating_mul(3).saturating_add(provider.unwrap_or_default());
    calls.saturating_add(MAX_WAIT_FOR_KEYS).saturating_add(SLACK).max(MIN_LEASE)
}

fn fetch(session: Session, asked: Asked, request: CalloutRequest) -> Fetch {
    Fetch { expect: ExpectBackground::Renewal(ExpectRenewal { session: Box::new(session), asked }), request }
}

/// What was asked for has come, or not.
pub(in crate::flow) fn answered(expect: ExpectRenewal, result: CalloutResult, env: &mut Env<'_>) {
    let ExpectRenewal { session, asked } = expect;
    match asked {
        Asked::Lease => return leased(session, result, env),
        Asked::Session => return loaded(session, result, env),
        Asked::Userinfo(tokens) => {
            let userinfo = Userinfo::read(result, session.subject());
            return tokens.conclude(&session, userinfo.map(Some).map_err(Failure::from), env);
        }
        Asked::Tokens => {}
    }
    let status = result.as_ref().map(|response| response.status).ok();
    match TokenResponse::read(result) {
        Ok(tokens) => {
            let in_hand = InHand::new(session, tokens, env);
            tokens::verify_tokens(in_hand, When::First, env);
        }
        Err(error) => {
            let outcome = match &error {
                TokenEndpointError::Refused(refused) if refuses_session(refused.error, status) => {
                    Outcome::Refused(env.now)
                }
                // Our credentials, or the provider's trouble: no fault of this session.
                _ => Outcome::Failed(env.now.plus(PAUSE)),
            };
            env.events.push(Event::NotRenewed(env.issuers.name(session.provider()), error.into()));
            settle(&session, &outcome, env);
        }
    }
}

/// Whether a refused refresh ends the session (RFC 6749, 5.2): not where the code is about this client's configuration or the
/// provider's trouble. `unauthorized_client` ends it, because this client has lost the grant that it had; `invalid_scope`
/// too, because the refresh asks for no scope, so the granted ones are gone.
fn refuses_session(code: OAuthError, status: Option<u16>) -> bool {
    let is_refusal = matches!(status, Some(400 | 401));
    match code {
        OAuthError::InvalidGrant => true,
        OAuthError::ApplicationSuspended
        | OAuthError::IncorrectClientCredentials
        | OAuthError::InvalidClient
        | OAuthError::ServerError
        | OAuthError::TemporarilyUnavailable
        | OAuthError::UnsupportedGrantType => false,
        OAuthError::AccessDenied
        | OAuthError::AccountSelectionRequired
        | OAuthError::BadVerificationCode
        | OAuthError::ConsentRequired
        | OAuthError::InsufficientScope
        | OAuthError::InteractionRequired
        | OAuthError::InvalidRequest
        | OAuthError::InvalidScope
        | OAuthError::InvalidToken
        | OAuthError::LoginRequired
        | OAuthError::RedirectUriMismatch
        | OAuthError::RequestUnauthorized
        | OAuthError::UnauthorizedClient
        | OAuthError::Unknown
        | OAuthError::UnsupportedResponseType
        | OAuthError::UnsupportedTokenType => is_refusal,
    }
}

/// The store has said whether this process may renew the session. Whoever else has the lease writes the renewed session
/// into the store, where the next request finds it.
fn leased(session: Box<Session>, result: CalloutResult, env: &mut Env<'_>) {
    let pause = match Store::leased(result) {
        Ok(true) => return env.renewals.stale.push(*session),
        Ok(false) => OTHERS,
        Err(error) => {
            env.events.push(Event::NotStored(error));
            PAUSE
        }
    };
    env.store.forget(&session);
    settle(&session, &Outcome::Elsewhere(env.now.plus(pause)), env);
}

/// The store has said what the session is by now: with a refresh token that somebody else has used the provider must not
/// be asked.
fn loaded(session: Box<Session>, result: CalloutResult, env: &mut Env<'_>) {
    env.store.forget(&session);
    let outcome = match Store::loaded(result, &Reference::of(&session), &env.config.session.sealer, env.platform) {
        Ok(Some(stored)) if stored.is_newer_than(&session) => Outcome::Renewed(Box::new(stored)),
        // One that is older was put back: the store has lost what this process knows.
        Ok(Some(_)) => return env.renewals.leased.push(*session),
        // It has ended.
        Ok(None) => {
            let _ = revocation::end_here(&Revocation::of_session(&session, env), By::Refusal, env);
            Outcome::Refused(AT_ONCE)
        }
        Err(error) => {
            env.events.push(Event::NotStored(error));
            Outcome::Elsewhere(env.now.plus(PAUSE))
        }
    };
    settle(&session, &outcome, env);
}

/// The calls that revoke refresh tokens (RFC 7009), where that is wanted and can be done.
fn revocations(env: &mut Env<'_>) -> Vec<Fetch> {
    let mut unwanted = std::mem::take(&mut env.renewals.unwanted);
    if !env.config.sign_out.revoke {
        return Vec::new();
    }
    let now = env.now;
    unwanted.extend(env.renewals.later.extract_if(.., |(at, _)| at.is_over(PAUSE, now)).map(|(_, unwanted)| unwanted));
    let mut fetches = Vec::new();
    for unwanted in unwanted {
        let Some(known) = env.issuers.ready(unwanted.provider, now) else {
            put_off(unwanted, RevocationError::NotReady, env);
            continue;
        };
        if let Some(endpoint) = &known.metadata.revocation_endpoint {
            let request = revocation_endpoint::request(known.provider, known.metadata, endpoint, &unwanted.token);
            fetches.push(Fetch { expect: ExpectBackground::Revocation(unwanted), request });
        }
    }
    fetches
}

/// The provider has answered a revocation. A failure that may pass is retried.
pub(in crate::flow) fn revoked(unwanted: Unwanted, result: CalloutResult, env: &mut Env<'_>) {
    match revocation_endpoint::read(result) {
        Ok(()) => {}
        Err(error) if error.is_passing() => put_off(unwanted, error, env),
        Err(error) => env.events.push(Event::NotRevoked(env.issuers.name(unwanted.provider), error)),
    }
}

/// Retries a revocation every [`PAUSE`]. The first failure is logged, and the last.
fn put_off(unwanted: Unwanted, error: RevocationError, env: &mut Env<'_>) {
    let until = unwanted.until.unwrap_or(env.now.plus(MAX_REVOKING));
    let gives_up = until.is_over(MAX_REVOKING, env.now) || env.renewals.later.len() >= MAX_LATER;
    if gives_up || unwanted.until.is_none() {
        env.events.push(Event::NotRevoked(env.issuers.name(unwanted.provider), error));
    }
    if !gives_up {
        env.renewals.later.push((env.now.plus(PAUSE), Unwanted { until: Some(until), ..unwanted }));
    }
}

/// Leaves the outcome where the lease was.
pub(super) fn settle(session: &Session, outcome: &Outcome, env: &mut Env<'_>) {
    env.renewals.outcomes.settle(&session.grant_digest(), outcome, env.now, env.platform);
}
