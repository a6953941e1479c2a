//! Sessions are renewed with their refresh tokens: ahead of time where somebody is active, in place, and once for all
//! requests of all workers of this process.
//!
//! Most providers take a refresh token once, and some end everything when it comes twice. So whoever finds a session
//! due writes a lease into the store that workers share, makes the call for the worker and not for the request (a
//! client that leaves takes nothing along), and leaves the outcome where the lease was. Whoever else brings the old
//! cookie finds it there: the renewed session, which it gets as its cookie too, so that no order of answers leaves a
//! browser with a dead one; or a refusal; or a pause, because the provider is in trouble. None of that ends a session
//! that is still good.

mod calls;
mod tokens;

pub use calls::ExpectRenewal;
pub(super) use calls::{answered, poll, revoked};

use std::{cell::Cell, time::Duration};

use crate::{
    claims::IssuerId,
    config::Config,
    digest::HalfDigest,
    http::Request,
    platform::Platform,
    rules::Verdict,
    secret::RefreshToken,
    session::{
        MIN_TOKEN_LIFE, Session,
        open::{FreshSession, Upkeep},
    },
    shared::{
        lease::is_ahead,
        renewals::{Found, Outcome, Outcomes, Place, Versions},
    },
    time::UnixTime,
};

use super::{
    Env, Step,
    event::Event,
    omission::Omission,
    request::{MAX_HELD, MAX_HOLD, Waiter},
    revocation::{self, By, Revocation},
    signed_in, store,
};
use tokens::{InHand, Verified};

/// How long a refusal is nothing: another process may have been faster, and its cookie is on the way to the browser.
const GRACE: Duration = Duration::from_secs(30);
/// The time of a refusal that counts at once.
const AT_ONCE: UnixTime = UnixTime::from_secs(0);
/// How long nobody asks again after the provider was in trouble.
const PAUSE: Duration = Duration::from_secs(15);
/// How long another process has to renew a session before this one looks again.
const OTHERS: Duration = Duration::from_secs(2);
/// How long a lease in the store is good at least.
const MIN_LEASE: Duration = Duration::from_secs(45);
/// A failed revocation is retried for this long.
const MAX_REVOKING: Duration = Duration::from_secs(3600);
/// Failed revocations that a worker retries.
const MAX_LATER: usize = 256;
/// How many renewals one old cookie is followed through. No browser brings an older one.
const MAX_CHAIN: usize = 16;
/// How long tokens wait for the key that signed them.
const MAX_WAIT_FOR_KEYS: Duration = MAX_HOLD;

/// The renewals that this worker makes.
#[derive(Debug)]
pub struct Renewals {
    outcomes: Outcomes,
    queued: Vec<Session>,
    /// Those whose lease this process has, and which may have been renewed before it had.
    stale: Vec<Session>,
    /// Those that no other process is renewing.
    leased: Vec<Session>,
    in_hand: Vec<InHand>,
    /// Those whose tokens are verified, and of whom the userinfo endpoint is to be asked.
    verified: Vec<Verified>,
    /// Refresh tokens of sessions that have ended.
    unwanted: Vec<Unwanted>,
    /// Those whose revocation failed, with the moment of the next try.
    later: Vec<(UnixTime, Unwanted)>,
}

/// A refresh token that is to be revoked.
#[derive(Debug, Clone)]
pub struct Unwanted {
    provider: IssuerId,
    token: RefreshToken,
    /// The end of its retries, once the first try has failed.
    until: Option<UnixTime>,
}

impl Renewals {
    /// None is under way.
    pub fn new(config: &Config, platform: &dyn Platform) -> Self {
        let outcomes = Outcomes::new(&config.fingerprint, &config.session.sealer, platform);
        Self {
            outcomes,
            queued: Vec::new(),
            stale: Vec::new(),
            leased: Vec::new(),
            in_hand: Vec::new(),
            verified: Vec::new(),
            unwanted: Vec::new(),
            later: Vec::new(),
        }
    }

    /// A refresh token is not wanted any more.
    pub(super) fn revoke(&mut self, provider: IssuerId, token: Option<RefreshToken>) {
        self.unwanted.extend(token.map(|token| Unwanted { provider, token, until: None }));
    }

    /// Whether a call waits to be made.
    pub fn are_queued(&self) -> bool {
        let Self { queued, stale, leased, verified, unwanted, .. } = self;
        let sessions = [queued, stale, leased].into_iter().all(Vec::is_empty);
        !(sessions && verified.is_empty() && unwanted.is_empty())
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
    verdict: &Verdict<'_>,
    patience: Patience,
    env: &mut Env<'_>,
) -> Result<Step, Request> {
    let (mut followed, mut is_left) = (0, false);
    loop {
        let digest = fresh.session().grant_digest();
        let is_over = fresh.session().is_token_over(env.now);
        let (found, place) = env.renewals.outcomes.find(&digest, env.now, env.platform);
        let waits = match found {
            Found::Own(Outcome::Renewed(session)) => {
                let Some(next) = FreshSession::renewed(*session, &env.config.session.lifetimes, env.now) else { break };
                (fresh, followed) = (next, followed + 1);
                if followed == MAX_CHAIN || signed_in::is_ended(&fresh, env) {
                    return Err(request);
                }
                if fresh.upkeep(&env.config.session.lifetimes, env.now) == Upkeep::Refresh { continue } else { break }
            }
            Found::Own(Outcome::Refused(at)) => {
                if is_refusal_final(&fresh, at, env.now) {
                    env.revocations.look(env.platform);
                    // Another worker may have said so already.
                    if !signed_in::is_ended(&fresh, env) {
                        let issuer = env.issuers.name(fresh.session().provider());
                        env.events.push(Event::SessionRefused(issuer, fresh.session().subject().to_owned()));
                        let revocation = Revocation::of_session(fresh.session(), env);
                        revocation::end(&revocation, By::Refusal, env);
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
            Found::Nothing | Found::Own(_) if env.issuers.ready(fresh.session().provider(), env.now).is_none() => {
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
    Ok(signed_in::forward(request, fresh, verdict, cookies, env))
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
        let versions = env.renewals.outcomes.versions(&self.digest, env.platform);
        if self.seen.replace(versions) == versions {
            return false;
        }
        let (found, _) = env.renewals.outcomes.find(&self.digest, env.now, env.platform);
        !matches!(found, Found::Own(Outcome::Leased(until)) if is_ahead(until, env.now))
    }
}

fn is_refusal_final(fresh: &FreshSession, at: UnixTime, now: UnixTime) -> bool {
    let is_over = fresh.session().is_token_over(now);
    at == AT_ONCE || is_over && at.plus(GRACE) <= now
}

/// Reports access tokens for the app that expire before they can be renewed.
pub(super) fn report_short_life(provider: IssuerId, life: Option<Duration>, env: &mut Env<'_>) {
    if let Some(life) = life.filter(|life| env.config.handed_on.access_token && *life < MIN_TOKEN_LIFE) {
        let omission = Omission::AccessToken { issuer: env.issuers.name(provider), seconds: life.as_secs() };
        env.omissions.report(omission, env.events);
    }
}

/// Begins to renew it, unless somebody else does or there is no provider to ask.
fn begin(fresh: &FreshSession, place: &Place, env: &mut Env<'_>) -> bool {
    let session = fresh.session();
    let Some(known) = env.issuers.ready(session.provider(), env.now) else { return false };
    // One second more than the calls may take, one for the rounding of the clock, and time for a key.
    let until = env.now.plus(known.time_to_renew()).plus(MAX_WAIT_FOR_KEYS).plus(Duration::from_secs(2));
    let (digest, lease) = (session.grant_digest(), Outcome::Leased(until));
    let is_ours = env.renewals.outcomes.write(place, &digest, &lease, env.now, env.platform).is_ok();
    if is_ours {
        // A request made it; it is no idle session, however long the provider takes.
        env.renewals.queued.push(session.seen_at(env.now));
    }
    is_ours
}

/// Somebody has signed out: the refresh token that their session has by now, whatever its cookie says, is not wanted any
/// more.
pub(super) fn give_up(session: &Session, env: &mut Env<'_>) {
    let mut latest = session.clone();
    for _ in 0..MAX_CHAIN {
        let (found, _) = env.renewals.outcomes.find(&latest.grant_digest(), env.now, env.platform);
        let Found::Own(Outcome::Renewed(next)) = found else { break };
        latest = *next;
    }
    env.renewals.revoke(latest.provider(), latest.refresh_token().cloned());
}
