//! The session of a request, and a request without one.

use crate::{http::Request, rules::RuledRequest, session::open::FreshSession};

use super::{
    answer::caller::Caller,
    authorize::{bearer_token, forward, internal_redirect, permit::Permit},
    bearer::{self, Carrier},
    context::Env,
    event::omission::Omission,
    executor::Gate,
    session::{self, Found},
    sign_in,
};

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
        Gate::settle_or_refuse(gate, &caller, &cx).await
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

/// Reports a request that may have lost its credentials in an internal redirect: the log names the missing setting.
pub(super) fn report_lost_redirect(request: &Request, env: &mut Env<'_>) {
    if !env.config.internal_redirects && internal_redirect::is_claimed(request) {
        env.omissions.report(Omission::InternalRedirect, env.events);
    }
}
