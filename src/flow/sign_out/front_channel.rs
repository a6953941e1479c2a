//! Front-Channel Logout 1.0: the provider's sign-out page loads our logout path in a frame. The request brings no cookie of
//! ours from another site; the `sid`, which only the provider and its clients know, says which session ends (section 2).

use crate::{
    claims::IssuerId,
    http::{LocalReply, Request, parameter},
    oidc::id_token::MAX_SUBJECT,
    page::{Page, text::Text},
    session::open::RevocationKeys,
    shared::denylist::DenylistError,
};

use super::super::{
    answer::{self, Offer, caller::Caller},
    context::Env,
    event::{Event, EventContext, Operation, failure::Failure},
    executor::Gate,
    memory::revocations::Revocation,
    session,
};

/// Decides a request for the front-channel logout path.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller::of(request).for_operation(Operation::SignOut);
    let revocation = match end_session(request, &caller, env) {
        Ok(revocation) => revocation,
        Err(failure) => return answer::refuse(failure, &caller, Offer::default(), env).into(),
    };
    let reply = answer::framed(200, "logged_out", &Page::new(Text::SignedOut, &[]), &caller, env);
    if env.config.session.store.is_none() {
        return reply.into();
    }
    Gate::flow(move |cx| async move {
        let Some(store) = &cx.config().session.store else { return reply };
        match session::store::end(store, &[revocation], &cx).await {
            Ok(()) => reply,
            Err(failure) => cx.refuse(failure, &caller, Offer::default()),
        }
    })
}

fn end_session(request: &Request, caller: &Caller, env: &mut Env<'_>) -> Result<Revocation, Failure> {
    if !env.config.sign_out.front_channel {
        return Err(Failure::ReservedPath);
    }
    if request.method() != "GET" {
        return Err(Failure::LogoutMethod("GET"));
    }
    let (provider, sid) = named_session(request, env).ok_or(Failure::LogoutMalformed)?;
    let sid = RevocationKeys::of_sid(provider, &sid);
    let (owner, by) = env.revocations.framed(&sid, env.now(), env.platform).ok_or(Failure::Busy)?;
    let (issuer, request_id) = (Some(env.issuers.name(provider)), caller.request_id.clone());
    env.events.push(Event::LoggedOut(Box::new(EventContext { issuer, request_id, ..EventContext::default() }), None));
    let revocation = Revocation::of(sid, owner, &env.config.session.lifetimes, env.now());
    match session::end_here(&revocation, by, env) {
        // The list has no room, but the store takes it.
        Err(DenylistError::Full) if env.config.session.store.is_some() => Ok(revocation),
        Err(_) => Err(Failure::Busy),
        Ok(()) => Ok(revocation),
    }
}

/// The provider and its session that the query names.
fn named_session(request: &Request, env: &Env<'_>) -> Option<(IssuerId, String)> {
    let query = request.query()?;
    let issuer = parameter(query, "iss")?;
    let provider = env.config.provider_of_issuer(&issuer)?;
    let sid = parameter(query, "sid").filter(|sid| (1..=MAX_SUBJECT).contains(&sid.len()))?;
    Some((provider.id, sid))
}
