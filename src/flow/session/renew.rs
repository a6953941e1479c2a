//! A request whose session is due for renewal: it continues with the renewed session or with the one it has, or waits.

use std::cell::Cell;

use crate::{
    digest::HalfDigest,
    http::Request,
    session::open::{FreshSession, Upkeep},
    shared::{
        lease::is_ahead,
        renewals::{Found, Outcome, Versions},
    },
    time::{Deadline, UnixTime},
};

use super::{
    super::{
        answer::caller::request_id,
        context::{Env, RequestContext},
        event::{Event, failure::Failure},
        limits::{Counted, hold_from},
        memory::revocations::By,
    },
    cookies_of, end, renewal,
    revocation::MAX_CHAIN,
    store, write_again,
};

/// The time within which a refusal may be another process's doing: that one was faster, and its cookie is on the way to the
/// browser.
const GRACE: std::time::Duration = std::time::Duration::from_secs(30);

/// The decision about a request whose session is due for renewal.
pub(in crate::flow) enum RenewalDecision {
    /// The request continues with this session; the app's answer brings the browser these cookies.
    Continue(FreshSession, Vec<String>),
    /// The session has ended.
    Ended,
    /// The request waits for the renewal.
    Wait(Renewing),
}

/// A renewal that a request waits for.
#[derive(Debug)]
pub(in crate::flow) struct Renewing {
    session: FreshSession,
    grant: HalfDigest,
    deadline: Deadline,
    _held: Counted,
}

/// Decides whether a request continues with its session or waits for the renewal, which begins where none is under way.
pub(in crate::flow) fn decide(request: &Request, session: FreshSession, env: &mut Env<'_>) -> RenewalDecision {
    // With `allow_on_headers_stop_iteration`, Envoy buffers the body of a held request and refuses one over its buffer limit.
    let can_wait = request.ends_with_headers() || !env.config.bodies_while_held;
    let waiting = if can_wait { Waiting::Allowed } else { Waiting::Impossible };
    decide_by_outcome(request, session, waiting, env)
}

/// Waits for the renewal, and decides by the session there is by then.
///
/// # Errors
/// [`Failure::Unreachable`]
pub(in crate::flow) async fn continue_after_wait(
    request: &Request,
    renewing: Renewing,
    cx: &RequestContext,
) -> Result<RenewalDecision, Failure> {
    let Renewing { session, grant, deadline, _held } = renewing;
    // Requests that wait look often: most looks only find that nothing has changed.
    let seen: Cell<Versions> = Cell::new([None; 2]);
    let is_over = |env: &mut Env<'_>| {
        let versions = env.renewals.versions(&grant, env.platform);
        if seen.replace(versions) == versions {
            return None;
        }
        let (found, _) = env.renewals.find(&grant, env.now(), env.platform);
        let is_leased = matches!(found, Found::Own(Outcome::Leased(until)) if is_ahead(until, env.now()));
        (!is_leased).then_some(())
    };
    let _ = cx.until(deadline, is_over).await?;
    cx.with(|env| {
        if env.is_ended(&session) {
            RenewalDecision::Ended
        } else {
            decide_by_outcome(request, session, Waiting::Done, env)
        }
    })
}

/// Whether a request may wait for the renewal of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// It may wait.
    Allowed,
    /// It has waited; it begins no renewal either.
    Done,
    /// It has a body that Envoy may refuse while the request is held.
    Impossible,
}

/// Decides by the outcome of the renewal; begins one where none is under way.
fn decide_by_outcome(
    request: &Request,
    mut fresh: FreshSession,
    waiting: Waiting,
    env: &mut Env<'_>,
) -> RenewalDecision {
    let (mut followed, mut is_deferred) = (0, false);
    loop {
        let grant = fresh.session().grant_digest();
        let is_over = fresh.session().is_access_token_expired(env.now());
        let (found, place) = env.renewals.find(&grant, env.now(), env.platform);
        let should_wait = match found {
            Found::Own(Outcome::Renewed(session)) => {
                let Some(next) = FreshSession::renewed(*session, &env.config.session.lifetimes, env.now()) else {
                    break;
                };
                (fresh, followed) = (next, followed + 1);
                if followed == MAX_CHAIN || env.is_ended(&fresh) {
                    return RenewalDecision::Ended;
                }
                if fresh.upkeep(&env.config.session.lifetimes, env.now()) == Upkeep::Refresh { continue } else { break }
            }
            Found::Own(Outcome::Refused(at)) => {
                if is_refusal_final(&fresh, at, env.now()) {
                    end_refused(&fresh, request, env);
                    return RenewalDecision::Ended;
                }
                false
            }
            Found::Own(Outcome::Failed(until)) if is_ahead(until, env.now()) => {
                is_deferred = true;
                false
            }
            Found::Own(Outcome::Elsewhere(until)) if is_ahead(until, env.now()) => false,
            // Another request renews it: this one waits only if its session is over.
            Found::Own(Outcome::Leased(until)) if is_ahead(until, env.now()) => is_over,
            Found::OthersLease => false,
            Found::Nothing | Found::Own(_) if env.issuers.ready(fresh.session().provider(), env.now()).is_none() => {
                is_deferred = true;
                false
            }
            Found::Nothing | Found::Own(Outcome::Elsewhere(_) | Outcome::Failed(_) | Outcome::Leased(_)) => {
                waiting != Waiting::Done
                    && (renewal::begin(fresh.session(), request_id(request), &place, env) || is_over)
            }
        };
        if should_wait
            && waiting == Waiting::Allowed
            && let Some(held) = env.limits.held.take()
        {
            let deadline = hold_from(env.now());
            return RenewalDecision::Wait(Renewing { session: fresh, grant, deadline, _held: held });
        }
        break;
    }
    let was_renewed = followed > 0;
    let cookies = match env.config.session.store {
        // The cookie refers to the session as it is by now. Where the store still has the old one, what this process wrote is
        // lost or on its way.
        Some(_) if was_renewed => {
            store::save_soon(fresh.session(), env);
            Vec::new()
        }
        None if was_renewed => cookies_of(fresh.session(), request, env),
        // It is not renewed for now, but it is in use: the idle timeout must not end it.
        _ if is_deferred && fresh.must_be_written(&env.config.session.lifetimes, env.now()) => {
            write_again(&fresh, request, env)
        }
        _ => Vec::new(),
    };
    RenewalDecision::Continue(fresh, cookies)
}

fn is_refusal_final(fresh: &FreshSession, at: UnixTime, now: UnixTime) -> bool {
    let is_over = fresh.session().is_access_token_expired(now);
    at == renewal::REFUSED_FINALLY || is_over && at.plus(GRACE) <= now
}

/// Ends a session whose renewal was refused, unless another worker has ended it.
fn end_refused(fresh: &FreshSession, request: &Request, env: &mut Env<'_>) {
    env.revocations.look(env.platform);
    if !env.is_ended(fresh) {
        env.events.push(Event::SessionRefused(env.event_context(fresh.session(), request_id(request))));
        end(fresh.session(), By::Refusal, env);
    }
}
