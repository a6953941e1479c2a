//! The gates that a request passes, in order. What can be settled at once is settled here; the rest waits in a flow.

use crate::{
    http::{LocalReply, Request},
    rules::RuledRequest,
    session::open::FreshSession,
};

use super::{
    admit::admit_session,
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    authorize::{bearer_token, forward, identity_headers, internal_redirect, permit::Permit},
    bearer::{self, Carrier},
    context::Env,
    event::{failure::Failure, omission::Omission},
    executor::Gate,
    reserved::Reserved,
    session::{self, Found},
    sign_in,
};

/// Decides a request.
pub(super) fn decide(request: Request, env: &mut Env<'_>) -> Gate {
    env.issuers.catch_up(env.platform, env.now);
    // Reserved paths come first, so that no rule can put the callback out of reach or let it through to the app.
    if let Some(reserved) = Reserved::of(request.target(), env.config) {
        return reserved.decide(request, env);
    }
    // We take such a header out, and Envoy then chooses the route anew: the policy would be another route's.
    if env.config.rules.ask_routes()
        && let Some(name) = identity_headers::claimed(&request, &env.config.stripped_headers).first()
    {
        let failure = Failure::ReservedHeader((*name).to_owned());
        report_lost_redirect(&request, env);
        return refuse(failure, &request, env).into();
    }
    let ruled = match env.config.rules.rule_on(request) {
        Ok(ruled) => ruled,
        Err((error, request)) => return answer::misrouted(error, &Caller::of(&request), env).into(),
    };
    if let Some(refusal) = ruled.verdict().denial() {
        return refuse(Failure::Denied(refusal.rule), ruled.request(), env).into();
    }
    let ruled = match ruled.admit_public() {
        Ok(admitted) => return forward(Permit::open(admitted), None, env).into(),
        Err(ruled) => ruled,
    };
    let ruled = match Permit::preflight(ruled) {
        Ok(permit) => return forward(permit, None, env).into(),
        Err(ruled) => ruled,
    };
    if bearer_token::is_in_header(&ruled, env.config) {
        return bearer::decide(ruled, Carrier::Header, env);
    }
    if !ruled.verdict().takes_sessions() {
        if bearer_token::is_in_cookie(ruled.request(), env.config) {
            return bearer::decide(ruled, Carrier::Cookie, env);
        }
        let caller = Caller { kind: Kind::Program, ..Caller::of(ruled.request()) };
        return answer::refuse(Failure::TokenRequired, &caller, Offer::default(), env).into();
    }
    with_session(ruled, env, |ruled, session, env| match session {
        Some(session) => admit_session(ruled, session, env),
        None => without_session(ruled, env),
    })
}

/// Goes on with the session of this request, which the store may have to be asked for.
pub(super) fn with_session<R: AsRef<Request> + 'static>(
    request: R,
    env: &mut Env<'_>,
    then: impl FnOnce(R, Option<FreshSession>, &mut Env<'_>) -> Gate + 'static,
) -> Gate {
    let reference = match session::find(request.as_ref(), env) {
        Found::Known(session) => return then(request, session, env),
        Found::Stored(reference) => reference,
    };
    Gate::flow(move |cx| async move {
        let caller = Caller::of(request.as_ref());
        let gate = match session::load(reference, &cx).await {
            Ok(session) => cx.with(|env| then(request, session, env)),
            Err(failure) => Err(failure),
        };
        match gate {
            Ok(gate) => gate.settle(&cx).await,
            Err(failure) => cx.refuse(failure, &caller, Offer::default()).into(),
        }
    })
}

/// Decides a request without a session.
pub(super) fn without_session(ruled: RuledRequest, env: &mut Env<'_>) -> Gate {
    report_lost_redirect(ruled.request(), env);
    if bearer_token::is_in_cookie(ruled.request(), env.config) {
        return bearer::decide(ruled, Carrier::Cookie, env);
    }
    match ruled.admit_anyone() {
        Ok(admitted) => forward(Permit::open(admitted), None, env).into(),
        Err(ruled) => sign_in::begin_for_page(ruled, env).decision(),
    }
}

fn refuse(failure: Failure, request: &Request, env: &mut Env<'_>) -> LocalReply {
    answer::refuse(failure, &Caller::of(request), Offer::default(), env)
}

/// Reports a request that may have lost its credentials in an internal redirect: the log names the missing setting.
fn report_lost_redirect(request: &Request, env: &mut Env<'_>) {
    if !env.config.internal_redirects && internal_redirect::is_claimed(request) {
        env.omissions.report(Omission::InternalRedirect, env.events);
    }
}
