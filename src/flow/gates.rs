//! The gates that a request passes, in order. What can be settled at once is settled here; the rest waits in a flow.

use crate::http::{LocalReply, Request};

use super::{
    admit::admit_session,
    answer::{
        self, Offer,
        caller::{Caller, Kind, is_preflight},
    },
    authorize::{bearer_token, forward, internal_redirect, permit::Permit},
    bearer::{self, Carrier},
    context::Env,
    event::failure::Failure,
    executor::Gate,
    reserved::Reserved,
    with_session::{report_lost_redirect, with_session, without_session},
};

/// Decides a request.
pub(super) fn decide(request: Request, env: &mut Env<'_>) -> Gate {
    env.issuers.catch_up(env.clock, env.platform);
    // Reserved paths come first, so that no rule can put the callback out of reach or let it through to the app.
    if let Some(reserved) = Reserved::of(request.target(), env.config) {
        return reserved.decide(request, env);
    }
    // Removing this header makes Envoy choose the route again, so the policy read here may not be that of the final route.
    if env.config.rules.have_policies()
        && let Some(name) = internal_redirect::claimed_identity(&request, &env.config.stripped_headers).first()
    {
        let failure = Failure::ReservedHeader((*name).to_owned());
        report_lost_redirect(&request, env);
        return refuse(failure, &request, env).into();
    }
    let ruled = match env.config.rules.evaluate(request, &|| env.platform.client_address()) {
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
    let ruled = match ruled.admit_preflight(is_preflight) {
        Ok(admitted) => return forward(Permit::preflight(admitted), None, env).into(),
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

fn refuse(failure: Failure, request: &Request, env: &mut Env<'_>) -> LocalReply {
    answer::refuse(failure, &Caller::of(request), Offer::default(), env)
}
