//! A request with a session: the session is kept up, and the request passes if the rules admit its user.

use crate::{
    claims::IssuerId,
    http::LocalReply,
    page::Action,
    rules::{Cause, NotAdmitted, Refusal, RuledRequest},
    session::{
        open::{FreshSession, Upkeep},
        return_to::ReturnTo,
    },
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
    session::{
        self,
        renew::{self, RenewalDecision},
    },
    sign_in,
    with_session::without_session,
};

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
    let Some(provider) = env.config.provider(session.session().provider()) else {
        return answer::refuse(Failure::SignInRequired, &Caller::of(ruled.request()), Offer::default(), env).into();
    };
    let late = LateCookies::new(&cookies, &session);
    let principal = SignedIn { session, provider };
    let NotAdmitted { ruled, refusal } = match ruled.admit(principal, provider.allow.as_ref(), |at| env.now_near(at)) {
        Ok(admitted) => return forward(Permit::session(admitted), late, env).into(),
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
    answer::with_cookies(refuse(&ruled, provider.id, refusal, env), cookies).into()
}

/// Refuses a user whom the rules do not admit, and offers to select another account. A renewed session is written all the
/// same: its user may open other pages.
fn refuse(ruled: &RuledRequest, provider: IssuerId, refusal: Refusal, env: &mut Env<'_>) -> LocalReply {
    let request = ruled.request();
    let target = ReturnTo::parse(request.target(), &env.config.prefix);
    let providers = ruled.verdict().providers();
    let href = sign_in::start_with(&sign_in::Wishes::another_account(), target.as_str(), &providers, env);
    let action = Some(Action::Link { label: "Use another account", href });
    let caller = Caller::of(request).of_issuer(provider);
    answer::refuse(refusal.into(), &caller, Offer { action, cookies: Vec::new() }, env)
}
