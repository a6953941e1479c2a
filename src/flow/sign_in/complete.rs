//! The identity is known: the browser gets a session, and goes back to the page it came from.

use std::rc::Rc;

use serde_json::Value;

use crate::{
    claims::{AuthenticationClaims, Claim, Claims, is_left_out},
    http::LocalReply,
    provider::{Provider, identification::Granted, identity::Identity},
    provisioning::Occasion,
    session::{
        Grant, KeptClaims, NewSession, Session, login_loop_guard::LoginLoopGuard, open::FreshSession,
        pending::MAX_PENDING,
    },
};

use super::{
    super::{
        answer::{self, Offer, Redirect},
        context::{Env, RequestContext},
        event::{Event, Operation, failure::Failure, omission::Omission},
        memory::revocations::By,
        provisioning::provision,
        session,
    },
    callback_request::CallbackRequest,
    start_url::{Wishes, start_with},
    surplus,
};

/// Begins the session, and sends the browser back.
pub(super) async fn complete(
    callback: &CallbackRequest,
    identity: Identity,
    granted: Granted,
    cx: &RequestContext,
) -> Result<LocalReply, Failure> {
    let mut session = cx.with(|env| begin(callback, identity, granted, env))??;
    // No session is kept for a user whom the app refuses.
    if let Err(failure) = provision(&mut session, Occasion::SignIn, cx).await {
        cx.with(|env| session::revocation::revoke_latest(&session, env))?;
        return Err(failure);
    }
    let cookies = cx.with(|env| cookies(callback, &session, callback.delete_pending(cx), env))??;
    let (unmet, context) = cx.with(|env| {
        let context = env.event_context(&session, callback.caller.request_id.clone());
        (unmet_step_up(callback, &session, env), context)
    })?;
    if let Some(store) = &cx.config().session.store {
        session::store::save(store, session, cx).await?;
    }
    cx.with(|env| env.events.push(Event::SignedIn(context)))?;
    Ok(match unmet {
        None => {
            let location = callback.pending.state.return_to.location(cx.origin());
            answer::redirect(Redirect::SeeOther, "signed_in", location, cookies)
        }
        Some((failure, offer)) => {
            // The sign-in succeeded all the same.
            let caller = callback.caller.clone().for_operation(Operation::Access);
            answer::with_cookies(cx.refuse(failure, &caller, offer), cookies)
        }
    })
}

/// The refusal where a rule demanded more of this sign-in than it has brought: the page would send the browser to the provider
/// again, and so on.
fn unmet_step_up(callback: &CallbackRequest, session: &Session, env: &Env<'_>) -> Option<(Failure, Offer)> {
    let state = &callback.pending.state;
    let step_up = env.config.rules.step_up(state.step_up?)?;
    let claims = session.claims_for(env.config.provider(state.provider)?);
    if step_up.is_met_by(&claims, &|at| env.now_near(at)) {
        return None;
    }
    let href = start_with(&Wishes::step_up(Some(step_up)), state.return_to.as_str(), &[state.provider], env);
    let failure = Failure::StepUpRefused(Rc::clone(step_up), AuthenticationClaims::of(&claims));
    Some((failure, Offer::again(href, Vec::new())))
}

fn begin(
    callback: &CallbackRequest,
    identity: Identity,
    granted: Granted,
    env: &mut Env<'_>,
) -> Result<Session, Failure> {
    let provider = callback.pending.state.provider;
    let settings = &env.config.session;
    let known = env.issuers.ready(provider, env.now()).ok_or(Failure::ProviderNotReady)?;
    let refresh_token = granted.refresh_token.filter(|_| settings.lifetimes.refresh);
    let wants_hint = env.config.sign_out.at_provider && known.metadata.end_session_endpoint.is_some();
    let forwarded_tokens = env.config.forwarded_tokens;
    if refresh_token.is_some() {
        session::renewal::report_short_life(provider, granted.expires_in, env);
    }
    let (id_token, id_token_ends) = granted.id_token.unzip();
    let until_exp = id_token_ends.map(|ends| ends.since(env.now()));
    let life = forwarded_tokens.renewal_lifetime(granted.expires_in, until_exp);
    let with = NewSession {
        provider,
        claims_request: known.provider.claims_request(),
        kept: KeptClaims { names: &env.config.kept_claims, object_keys: &known.provider.object_keys },
        now: env.now(),
        lifetime: settings.lifetimes.absolute,
        grant: refresh_token.map(|token| Grant::new(token, life, env.now())),
        app_token: forwarded_tokens.access_token(&granted.access_token, granted.expires_in.or(until_exp), env.now()),
        id_token: id_token.filter(|_| wants_hint || forwarded_tokens.id_token),
        id_token_ends: id_token_ends.unwrap_or_default(),
        site: env.session_site().cloned().unwrap_or_default(),
    };
    let mut session = Session::begin(identity, with, env.platform)?;
    session::begin_after_ends(&mut session, env);
    report_absent_claims(&session, &known.provider, env);
    Ok(session)
}

/// Reports what headers, filter state or conditions ask for and the provider has not sent.
fn report_absent_claims(session: &Session, provider: &Provider, env: &mut Env<'_>) {
    let Some(remedy) = provider.remedy_of_absent_claim() else { return };
    let is_there = |claim: Claim<'_>| !matches!(claim, Claim::Json(Value::Null)) && claim != Claim::Json(&"".into());
    for &claim in &env.config.expected_claims {
        if !session.claim(claim).is_some_and(is_there) && !is_left_out(claim, session) {
            let issuer = env.issuers.name(session.provider());
            env.omissions.report(Omission::Claim { issuer, claim, remedy }, env.events);
        }
    }
}

fn cookies(
    callback: &CallbackRequest,
    session: &Session,
    delete_pending: String,
    env: &mut Env<'_>,
) -> Result<Vec<String>, Failure> {
    let CallbackRequest { request, session: before, .. } = callback;
    // An answer that is still on its way must not bring back the session of another user.
    let is_anothers = |before: &&FreshSession| {
        let before = before.session();
        before.subject() != session.subject() || before.provider() != session.provider()
    };
    if let Some(before) = before.as_ref().filter(is_anothers) {
        session::end(before.session(), By::Person, env);
    }
    let settings = &env.config.session;
    let guard = LoginLoopGuard::read(request, &settings.login_loop_cookie, &settings.sealer, env.now());
    let present = settings.cookies.present(request);
    // Tabs that were opened at once began their sign-ins without knowing of each other: those that are too many go.
    let mut cookies = surplus(request, MAX_PENDING, env);
    cookies.retain(|line| *line != delete_pending);
    cookies.push(delete_pending);
    match settings.store {
        Some(_) => {
            cookies.push(session::reference_to(session, env)?);
            cookies.extend(settings.cookies.delete_beyond(1, present));
        }
        None => cookies.extend(session::write(session, present, env)?),
    }
    let guard = LoginLoopGuard::add_sign_in(guard, env.now()).cookie(
        &settings.login_loop_cookie,
        settings.cookies.same_site(),
        &settings.sealer,
        env.platform,
    );
    cookies.push(guard?);
    Ok(cookies)
}
