//! A request with a session: the session is kept up, and the request passes if the rules admit its user.

use std::{rc::Rc, time::Duration};

use crate::{
    http::HeaderEdit,
    rules::{Cause, NotAdmitted, Refusal, RuledRequest, TokensDiffer, UpstreamToken},
    session::open::{FreshSession, Upkeep},
};

use super::{
    answer::{self, Offer, caller::Caller},
    authorize::{
        LateCookies, forward,
        permit::{Permit, SignedIn},
    },
    context::Env,
    event::failure::Failure,
    executor::Gate,
    not_admitted::refuse,
    session::{
        self,
        renew::{self, RenewalDecision},
    },
    sign_in,
    upstream_token::{self, Lookup},
    with_session::without_session,
};

/// A session younger than this has what its sign-in brought.
const NEW_SESSION: Duration = Duration::from_secs(60);

/// Keeps the session up, and lets the request pass if the rules admit its user.
pub(super) fn admit_session(ruled: RuledRequest, session: FreshSession, env: &mut Env<'_>) -> Gate {
    let lifetimes = &env.config.session.lifetimes;
    match session.upkeep(lifetimes, env.now_near(session.next_change(lifetimes))) {
        Upkeep::None => admit(ruled, session, Vec::new(), env),
        Upkeep::Write => {
            let cookies = session::write_again(&session, ruled.request(), env);
            admit(ruled, session, cookies, env)
        }
        Upkeep::Refresh => {
            let decision = renew::decide(ruled.request(), session, env);
            after_renewal(ruled, decision, env)
        }
    }
}

fn after_renewal(ruled: RuledRequest, decision: RenewalDecision, env: &mut Env<'_>) -> Gate {
    match decision {
        RenewalDecision::Continue(session, cookies) => admit(ruled, session, cookies, env),
        RenewalDecision::Ended => without_session(ruled, env),
        RenewalDecision::Wait(renewing) => Gate::flow(move |cx| async move {
            let caller = Caller::of(ruled.request());
            let gate = match renew::continue_after_wait(ruled.request(), renewing, &cx).await {
                Ok(decision) => cx.with(|env| after_renewal(ruled, decision, env)),
                Err(bug) => Err(bug),
            };
            Gate::settle_or_refuse(gate, &caller, &cx).await
        }),
    }
}

/// Lets the request pass as this user, if the rules admit that; the app's answer brings the browser these cookies.
fn admit(ruled: RuledRequest, session: FreshSession, cookies: Vec<String>, env: &mut Env<'_>) -> Gate {
    admit_with(ruled, session, None, cookies, env)
}

/// [`admit`], with the header that an exchange has made for the request.
#[inline(never)]
fn admit_with(
    ruled: RuledRequest,
    session: FreshSession,
    exchanged: Option<HeaderEdit>,
    cookies: Vec<String>,
    env: &mut Env<'_>,
) -> Gate {
    let Some(provider) = env.config.provider(session.session().provider()) else {
        return answer::refuse(Failure::SignInRequired, &Caller::of(ruled.request()), Offer::default(), env).into();
    };
    let late = LateCookies::new(&cookies, &session);
    let principal = SignedIn { session, provider };
    let NotAdmitted { ruled, principal, refusal } = match ruled
        .admit(principal, provider.allow.as_ref(), |at| env.now_near(at))
    {
        Ok(admitted) => {
            let found = match (admitted.ruled().verdict().upstream_token(), exchanged) {
                (Ok(None), _) => return forward(Permit::session(admitted, None), late, env).into(),
                (Ok(Some(_)), Some(token)) => Some(Lookup::Ready(token)),
                (Ok(Some(wanted)), None) => find_token(wanted, &admitted.principal().session, env),
                (Err(TokensDiffer), _) => Some(Lookup::Failed(Failure::TokensDiffer)),
            };
            match found {
                Some(Lookup::Ready(token)) => return forward(Permit::session(admitted, Some(token)), late, env).into(),
                Some(Lookup::Needed(key)) => {
                    let (ruled, SignedIn { session, .. }) = admitted.into_parts();
                    return Gate::flow(move |cx| async move {
                        let token = upstream_token::exchange(key, &cx).await;
                        let gate = cx.with(|env| after_exchange(ruled, session, token, cookies, env));
                        Gate::settle_apart(gate, &cx).await
                    });
                }
                Some(Lookup::Failed(failure)) => {
                    let reply = refuse(admitted.ruled(), admitted.principal().session.session(), failure, env);
                    return answer::with_cookies(reply, cookies).into();
                }
                // The session began before the rule, or its token has expired.
                None => {
                    let (ruled, principal) = admitted.into_parts();
                    let rule = ruled.verdict().rule().map(str::to_owned);
                    NotAdmitted { ruled, principal, refusal: Refusal { rule, cause: Cause::Unknown } }
                }
            }
        }
        Err(refused) => *refused,
    };
    // Where the rules admit everyone, this user passes too, without the identity.
    let ruled = match ruled.admit_anyone() {
        Ok(admitted) => return forward(Permit::open(admitted), late, env).into(),
        Err(ruled) => ruled,
    };
    if matches!(refusal.cause, Cause::StepUp(_) | Cause::Unknown) {
        let sign_in = sign_in::begin_for_more(ruled, provider.id, refusal, env);
        return Gate::flow(move |cx| async move {
            let reply = sign_in.settle(&cx).await;
            let lines = late.map(|late| cx.with(|env| late.lines(env)).unwrap_or_default());
            answer::with_cookies(reply, lines.unwrap_or_default()).into()
        });
    }
    answer::with_cookies(refuse(&ruled, principal.session.session(), refusal.into(), env), cookies).into()
}

/// Looks for the token that goes to the app, made of the session's access token; `None` where a new sign-in brings one.
fn find_token(wanted: &Rc<UpstreamToken>, session: &FreshSession, env: &Env<'_>) -> Option<Lookup> {
    let session = session.session();
    let Some((token, ends)) = session.access_token_with_expiry() else {
        // Another sign-in would lead here again.
        let is_new = session.is_younger_than(NEW_SESSION, env.now());
        return is_new.then_some(Lookup::Failed(Failure::NoAccessToken));
    };
    (env.now_near(ends) < ends).then(|| upstream_token::find(wanted, Some(session.provider()), token.expose(), env))
}

/// Decides anew after an exchange: the session may have ended meanwhile, or been ended.
fn after_exchange(
    ruled: RuledRequest,
    session: FreshSession,
    token: Result<HeaderEdit, Failure>,
    cookies: Vec<String>,
    env: &mut Env<'_>,
) -> Gate {
    env.revocations.look(env.platform);
    if env.is_ended(&session) || !session.session().is_fresh(&env.config.session.lifetimes, env.now()) {
        return without_session(ruled, env);
    }
    match token {
        Ok(token) => admit_with(ruled, session, Some(token), cookies, env),
        Err(failure) => {
            let reply = refuse(&ruled, session.session(), failure, env);
            answer::with_cookies(reply, cookies).into()
        }
    }
}
