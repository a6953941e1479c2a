//! Sessions are renewed with their refresh tokens: ahead of time where somebody is active, in place, and once for all
//! requests of all workers of this process.
//!
//! Most providers take a refresh token once, and some end everything when it comes twice. So whoever finds a session
//! due writes a lease into the store that workers share, makes the call for the worker and not for the request (a
//! client that leaves takes nothing along), and leaves the outcome where the lease was. Whoever else brings the old
//! cookie finds it there: the renewed session, which it gets as its cookie too, so that no order of answers leaves a
//! browser with a dead one; or a refusal; or a pause, because the provider is in trouble. None of that ends a session
//! that is still good.

mod outcome;

use std::{cell::Cell, time::Duration};

use crate::{
    config::Config,
    http::{CalloutRequest, Request},
    jose::{claims::ClaimError, jws::UnverifiedJws, verify::verify},
    oidc::{
        ProviderId,
        error::OAuthError,
        id_token::{self, IdTokenError, Occasion, VerifiedIdToken},
        revocation as revocation_endpoint,
        token::{self, TokenEndpointError, TokenResponse},
    },
    platform::Platform,
    secret::RefreshToken,
    session::{
        HalfDigest, Renewal, Session,
        open::{FreshSession, Marks, Upkeep},
        store::{Reference, Store},
    },
    time::UnixTime,
};

use super::{
    CalloutResult, Env, Step,
    background::{ExpectBackground, Fetch},
    event::Event,
    failure::Failure,
    lease::{Asker, is_ahead},
    request::{MAX_HELD, MAX_HOLD, Waiter},
    revocation::{self, By},
    signed_in, store,
    verification::{When, verified},
};
use outcome::{Found, Outcome, Place, Places, Versions};

/// How long a refusal is nothing: another process may have been faster, and its cookie is on the way to the browser.
const GRACE: Duration = Duration::from_secs(30);
/// The time of a refusal that counts at once.
const AT_ONCE: UnixTime = UnixTime::from_secs(0);
/// How long nobody asks again after the provider was in trouble.
const PAUSE: Duration = Duration::from_secs(15);
/// How long another process has to renew a session before this one looks again.
const OTHERS: Duration = Duration::from_secs(2);
/// How long a lease in the store is good: longer than a call to the provider, with a key to wait for.
const LEASE: Duration = Duration::from_secs(45);
/// How many renewals one old cookie is followed through. No browser brings an older one.
const MAX_CHAIN: usize = 16;
/// How long tokens wait for the key that signed them.
const MAX_WAIT_FOR_KEYS: Duration = MAX_HOLD;

/// The renewals that this worker makes.
#[derive(Debug)]
pub struct Renewals {
    places: Places,
    queued: Vec<Session>,
    /// Those whose lease this process has, and which may have been renewed before it had.
    stale: Vec<Session>,
    /// Those that no other process is renewing.
    leased: Vec<Session>,
    in_hand: Vec<InHand>,
    /// Refresh tokens of sessions that have ended.
    unwanted: Vec<(ProviderId, RefreshToken)>,
}

/// Tokens that came, and wait for the key that signed them.
#[derive(Debug)]
struct InHand {
    session: Box<Session>,
    tokens: TokenResponse,
    until: UnixTime,
    keys_version: u64,
}

/// A session is being renewed.
#[derive(Debug)]
pub struct ExpectRenewal {
    session: Box<Session>,
    asked: Asked,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The store: the right to renew it.
    Lease,
    /// The store: the session, as somebody else may have renewed it before.
    Session,
    /// The provider: tokens.
    Tokens,
}

impl Renewals {
    /// None is under way.
    pub fn new(config: &Config, platform: &dyn Platform) -> Self {
        let places = Places::new(config, platform);
        Self {
            places,
            queued: Vec::new(),
            stale: Vec::new(),
            leased: Vec::new(),
            in_hand: Vec::new(),
            unwanted: Vec::new(),
        }
    }

    /// Whether a call waits to be made.
    pub fn are_queued(&self) -> bool {
        let Self { queued, stale, leased, unwanted, .. } = self;
        !(queued.is_empty() && stale.is_empty() && leased.is_empty() && unwanted.is_empty())
    }
}

/// Whether a request may be held until a renewal is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    MayWait,
    None,
}

/// Decides a request whose session is due: it passes with the renewed session, with the one it has, or waits. `Err`
/// gives the request back: the session is over.
pub(super) fn attend(
    request: Request,
    mut fresh: FreshSession,
    patience: Patience,
    env: &mut Env<'_>,
) -> Result<Step, Request> {
    let (mut followed, mut is_left) = (0, false);
    loop {
        let digest = fresh.session().grant_digest();
        let is_over = fresh.session().is_token_over(env.now);
        let (found, place) = env.renewals.places.find(&digest, env.now, env.platform);
        let waits = match found {
            Found::Own(Outcome::Renewed(session)) => {
                let Some(next) = FreshSession::renewed(*session, &env.config.session.lifetimes, env.now) else { break };
                (fresh, followed) = (next, followed + 1);
                if followed == MAX_CHAIN {
                    return Err(request);
                }
                if fresh.upkeep(&env.config.session.lifetimes, env.now) == Upkeep::Refresh { continue } else { break }
            }
            Found::Own(Outcome::Refused(at)) => {
                if is_refusal_final(&fresh, at, env.now) {
                    env.revocations.look(env.platform);
                    // Another worker may have said so already.
                    if !signed_in::is_ended(&fresh, env) {
                        env.events.push(Event::SessionRefused(fresh.session().subject().to_owned()));
                        revocation::end(fresh.marks().session, By::Refusal, env);
                    }
                    return Err(request);
                }
                false
            }
            Found::Own(Outcome::Failed(until)) if is_ahead(until, env.now) => {
                is_left = true;
                false
            }
            Found::Own(Outcome::Elsewhere(until)) if is_ahead(until, env.now) => false,
            // Who is first waits for the cookie; whoever comes while the session is good need not.
            Found::Own(Outcome::Leased(until)) if is_ahead(until, env.now) => is_over,
            Found::OthersLease => false,
            Found::Nothing | Found::Own(_) if env.providers.ready(fresh.session().provider(), env.now).is_none() => {
                is_left = true;
                false
            }
            Found::Nothing | Found::Own(Outcome::Elsewhere(_) | Outcome::Failed(_) | Outcome::Leased(_)) => {
                match patience {
                    Patience::MayWait => begin(&fresh, &place, env) || is_over,
                    Patience::None => false,
                }
            }
        };
        // Of a body that it hands over Envoy keeps only so much, and refuses the request where it is longer.
        let can_wait = request.is_whole() || !env.config.bodies_while_held;
        if waits && can_wait && patience == Patience::MayWait && env.load.held < MAX_HELD {
            return Ok(Waiter::for_renewal(request, fresh, Awaited::new(digest), env));
        }
        break;
    }
    let has_news = followed > 0;
    let cookies = match env.config.session.store {
        // The cookie refers to the session, whatever it says by now. Where the store still has the old one, what this
        // process wrote is lost, or on its way.
        Some(_) if has_news => {
            store::save_soon(fresh.session(), env);
            Vec::new()
        }
        None if has_news => signed_in::cookies_of(fresh.session(), &request, env),
        // Nobody renews it for now, but somebody is there: the idle timeout must not end it.
        _ if is_left && fresh.wants_writing(&env.config.session.lifetimes, env.now) => {
            signed_in::write_again(&fresh, &request, env)
        }
        _ => Vec::new(),
    };
    Ok(signed_in::forward(&request, fresh, cookies, env))
}

/// A renewal that a request waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    digest: HalfDigest,
    /// What its places were when they were last looked at: a hundred requests that look all the time only see that nothing
    /// has changed.
    seen: Cell<Versions>,
}

impl Awaited {
    fn new(digest: HalfDigest) -> Self {
        Self { digest, seen: Cell::new([None; 2]) }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self, env: &Env<'_>) -> bool {
        let versions = env.renewals.places.versions(&self.digest, env.platform);
        if self.seen.replace(versions) == versions {
            return false;
        }
        let (found, _) = env.renewals.places.find(&self.digest, env.now, env.platform);
        !matches!(found, Found::Own(Outcome::Leased(until)) if is_ahead(until, env.now))
    }
}

fn is_refusal_final(fresh: &FreshSession, at: UnixTime, now: UnixTime) -> bool {
    let is_over = fresh.session().is_token_over(now);
    at == AT_ONCE || is_over && at.plus(GRACE) <= now
}

/// Begins to renew it, unless somebody else does or there is no provider to ask.
fn begin(fresh: &FreshSession, place: &Place, env: &mut Env<'_>) -> bool {
    let session = fresh.session();
    let Some(known) = env.providers.ready(session.provider(), env.now) else { return false };
    // One second more than the call may take, one for the rounding of the clock, and time for a key.
    let until = env.now.plus(known.provider.timeout).plus(MAX_WAIT_FOR_KEYS).plus(Duration::from_secs(2));
    let (digest, lease) = (session.grant_digest(), Outcome::Leased(until));
    let is_ours = env.renewals.places.write(place, &digest, &lease, env.now, env.platform).is_ok();
    if is_ours {
        // A request made it; it is no idle session, however long the provider takes.
        env.renewals.queued.push(session.seen_at(env.now));
    }
    is_ours
}

/// The calls to make now, and tokens whose key may be there by now.
pub(super) fn poll(env: &mut Env<'_>) -> Vec<Fetch> {
    for in_hand in std::mem::take(&mut env.renewals.in_hand) {
        verify_in_hand(in_hand, env);
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
                let request = store.lease(&session.grant_digest(), LEASE);
                fetch(session, Asked::Lease, request)
            }));
        }
        None => env.renewals.leased.extend(queued),
    }
    for (provider, token) in std::mem::take(&mut env.renewals.unwanted) {
        let request = revocation_of(provider, &token, env);
        fetches.extend(request.map(|request| Fetch { expect: ExpectBackground::Revocation, request }));
    }
    for session in std::mem::take(&mut env.renewals.leased) {
        let request = env.providers.ready(session.provider(), env.now).and_then(|known| {
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

fn fetch(session: Session, asked: Asked, request: CalloutRequest) -> Fetch {
    Fetch { expect: ExpectBackground::Renewal(ExpectRenewal { session: Box::new(session), asked }), request }
}

/// What was asked for has come, or not.
pub(super) fn answered(expect: ExpectRenewal, result: CalloutResult, env: &mut Env<'_>) {
    let ExpectRenewal { session, asked } = expect;
    match asked {
        Asked::Lease => return leased(session, result, env),
        Asked::Session => return loaded(session, result, env),
        Asked::Tokens => {}
    }
    match TokenResponse::read(result) {
        Ok(tokens) => {
            let provider = session.provider();
            let until = env.now.plus(MAX_WAIT_FOR_KEYS);
            let keys_version = env.providers.keys_version(provider);
            verify_tokens(InHand { session, tokens, until, keys_version }, When::First, env);
        }
        Err(error) => {
            let outcome = match error {
                TokenEndpointError::Refused(OAuthError::InvalidGrant) => Outcome::Refused(env.now),
                // Our credentials, or the provider's trouble: no fault of this session.
                _ => Outcome::Failed(env.now.plus(PAUSE)),
            };
            env.events.push(Event::NotRenewed(error.into()));
            settle(&session, &outcome, env);
        }
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
    let outcome = match Store::loaded(result, &Reference::of(&session), &env.config.session.sealer) {
        Ok(Some(stored)) if stored.grant_digest() == session.grant_digest() => {
            return env.renewals.leased.push(*session);
        }
        Ok(Some(stored)) => Outcome::Renewed(Box::new(stored)),
        // It has ended, which whoever asks for it next will find.
        Ok(None) => Outcome::Elsewhere(env.now.plus(OTHERS)),
        Err(error) => {
            env.events.push(Event::NotStored(error));
            Outcome::Elsewhere(env.now.plus(PAUSE))
        }
    };
    settle(&session, &outcome, env);
}

fn verify_in_hand(in_hand: InHand, env: &mut Env<'_>) {
    let provider = in_hand.session.provider();
    let has_news = env.providers.keys_version(provider) != in_hand.keys_version;
    let may_wait = !in_hand.until.is_over(MAX_WAIT_FOR_KEYS, env.now);
    if has_news || !may_wait || !env.providers.wants_keys(provider, env.now) {
        verify_tokens(in_hand, When::Later { may_wait }, env);
    } else {
        env.renewals.in_hand.push(in_hand);
    }
}

fn verify_tokens(mut in_hand: InHand, when: When, env: &mut Env<'_>) {
    let provider = in_hand.session.provider();
    match verified(provider, Asker::Provider, when, env, |env| id_token(&in_hand, env)) {
        Some(outcome) => finish(in_hand, outcome, env),
        None => {
            in_hand.keys_version = env.providers.keys_version(provider);
            env.renewals.in_hand.push(in_hand);
        }
    }
}

/// OIDC Core 12.2: an ID token need not come, but one that does must continue the session.
fn id_token(in_hand: &InHand, env: &Env<'_>) -> Result<Option<VerifiedIdToken>, Failure> {
    let InHand { session, tokens, .. } = in_hand;
    let Some(raw) = &tokens.id_token else { return Ok(None) };
    let known = env.providers.ready(session.provider(), env.now).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose())?;
    let token = verify(&unverified, known.keys, &known.provider.algorithms, env.platform)?;
    let expected = id_token::Expected {
        provider: known.provider,
        occasion: Occasion::Refresh(session.subject(), session.authentication()),
        access_token: &tokens.access_token,
        now: env.now,
        leeway: env.config.leeway,
    };
    Ok(Some(id_token::check(token, &expected)?))
}

fn finish(in_hand: InHand, outcome: Result<Option<VerifiedIdToken>, Failure>, env: &mut Env<'_>) {
    let InHand { session, tokens, .. } = in_hand;
    let outcome = match outcome {
        // Somebody signed out meanwhile: their sign-out could not know this token.
        _ if is_over(&session, env) => {
            env.renewals.unwanted.extend(tokens.refresh_token.map(|token| (session.provider(), token)));
            Outcome::Refused(AT_ONCE)
        }
        Ok(verified) => {
            let until_exp = verified.as_ref().map(|token| token.claims().expires_at().since(env.now));
            let renewed = session.renewed(Renewal {
                id_token: verified.as_ref().zip(tokens.id_token.clone()),
                kept: &mut env.config.kept_claims.iter().map(String::as_str),
                refresh_token: tokens.refresh_token,
                life: tokens.expires_in.or(until_exp),
                now: env.now,
            });
            env.events.push(Event::Renewed);
            store::save_soon(&renewed, env);
            Outcome::Renewed(Box::new(renewed))
        }
        Err(failure) => {
            let contradicts = contradicts(&failure);
            env.events.push(Event::NotRenewed(failure));
            if contradicts {
                // Another person, issuer or client: whatever this is, it does not continue the session, which ends now.
                revocation::end(session.digest(), By::Refusal, env);
                env.renewals.unwanted.extend(tokens.refresh_token.map(|token| (session.provider(), token)));
                Outcome::Refused(AT_ONCE)
            } else if let Some(token) = tokens.refresh_token {
                // The provider may take the old token no more, so the session goes on with the new one, and tries again.
                let kept = session.with_refresh_token(token);
                settle(&kept, &Outcome::Failed(env.now.plus(PAUSE)), env);
                store::save_soon(&kept, env);
                Outcome::Renewed(Box::new(kept))
            } else {
                Outcome::Failed(env.now.plus(PAUSE))
            }
        }
    };
    settle(&session, &outcome, env);
}

fn is_over(session: &Session, env: &mut Env<'_>) -> bool {
    env.revocations.look(env.platform);
    revocation::is_ended(session, &Marks::of(session), env)
}

/// Somebody has signed out: the refresh token that their session has by now, whatever its cookie says, is not wanted any
/// more.
pub(super) fn give_up(session: &Session, env: &mut Env<'_>) {
    let mut latest = session.clone();
    for _ in 0..MAX_CHAIN {
        let (found, _) = env.renewals.places.find(&latest.grant_digest(), env.now, env.platform);
        let Found::Own(Outcome::Renewed(next)) = found else { break };
        latest = *next;
    }
    let token = latest.refresh_token().map(|token| (latest.provider(), token.clone()));
    env.renewals.unwanted.extend(token);
}

/// The call that revokes a refresh token (RFC 7009), where that is wanted and can be done.
fn revocation_of(provider: ProviderId, token: &RefreshToken, env: &Env<'_>) -> Option<CalloutRequest> {
    let known = env.providers.ready(provider, env.now).filter(|_| env.config.sign_out.revoke)?;
    let endpoint = known.metadata.revocation_endpoint.as_ref()?;
    Some(revocation_endpoint::request(known.provider, known.metadata, endpoint, token))
}

/// A token is revoked, or not (RFC 7009, 2.2): 200, whether it was good or not.
pub(super) fn revoked(result: CalloutResult, env: &mut Env<'_>) {
    let status = result.map(|response| response.status).ok();
    if status != Some(200) {
        env.events.push(Event::NotRevoked(status));
    }
}

fn contradicts(failure: &Failure) -> bool {
    let Failure::IdToken(error) = failure else { return false };
    match error {
        IdTokenError::AuthenticationTime
        | IdTokenError::AuthorizedParty
        | IdTokenError::Nonce
        | IdTokenError::OtherSubject
        | IdTokenError::Subject
        | IdTokenError::Type => true,
        IdTokenError::Claim(error) => matches!(
            error,
            ClaimError::IssuerMissing
                | ClaimError::IssuerMismatch
                | ClaimError::AudienceMissing
                | ClaimError::AudienceMalformed
                | ClaimError::AudienceMismatch
                | ClaimError::AudienceUntrusted
        ),
        IdTokenError::AccessTokenHash => false,
    }
}

fn settle(session: &Session, outcome: &Outcome, env: &mut Env<'_>) {
    env.renewals.places.settle(&session.grant_digest(), outcome, env.now, env.platform);
}
