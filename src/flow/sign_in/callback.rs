//! The authorization response: state, issuer and browser are checked before the code is redeemed, and the identity before
//! there is a session.

use std::time::Duration;

use crate::{
    claims::IssuerId,
    http::{LocalReply, Request},
    oidc::{
        authorization::{AuthorizationError, AuthorizationResponse},
        client::CallContext,
        dpop::ProofServer,
        id_token::Occasion,
    },
    page::{Action, text::Text},
    platform::ClientAddress,
    provider::{
        identification::{Granted, Identification, Step},
        identity::Identity,
    },
    provisioning::ProvisioningError,
    secret::AuthorizationCode,
    session::{
        cookie::{self, Found},
        open::FreshSession,
        pending::{PendingSignIn, State},
    },
    time::Deadline,
};

use super::{
    super::{
        answer::{self, Offer, Redirect, caller::Caller},
        context::{Env, RequestContext},
        event::{Event, Operation, Restart, failure::Failure},
        executor::Gate,
        keys::{open_userinfo, verify_id_token},
        limits::{MIN_PATIENCE, Slot},
        memory::issuers::Ready,
    },
    begin,
    callback_request::CallbackRequest,
    complete::complete,
    form_post,
    request::{FIRST_ATTEMPT, OwnSession, SignInRequest},
    single_use,
    start_url::{Wishes, again_url, start_with},
};

/// Slots to redeem codes that only sign-ins older than [`IMMEDIATE`] may take.
const RESERVED_FOR_INTERACTIVE: usize = 16;
/// A sign-in this fast had no input of a user: single sign-on, or a flood.
const IMMEDIATE: Duration = Duration::from_secs(1);

/// Decides a request for the redirect URI of this provider.
pub(in crate::flow) fn arrive(
    provider: IssuerId,
    request: Request,
    session: Option<FreshSession>,
    env: &mut Env<'_>,
) -> Gate<LocalReply> {
    let config = env.config;
    let posted_back = config.provider(provider).filter(|provider| provider.relying_party.request_form.is_posted_back);
    if let ("POST", Some(provider)) = (request.method(), posted_back) {
        return form_post::relay(&request, provider, env);
    }
    let caller = Caller::of(&request).of_issuer(provider).for_operation(Operation::SignIn);
    let (response, state) = match authorization_response(provider, &request, env) {
        Ok(parsed) => parsed,
        Err(failure) => return answer::refuse(failure, &caller, Offer::home(env.origin()), env).into(),
    };
    let Some(pending) = pending(&request, &state, env) else {
        return begin_again(request, state, session.as_ref(), Restart::NotPending, env);
    };
    Gate::flow(move |cx| redeem(CallbackRequest { request, caller, session, pending, state }, response, cx))
}

fn authorization_response(
    provider: IssuerId,
    request: &Request,
    env: &Env<'_>,
) -> Result<(AuthorizationResponse, State), Failure> {
    if request.method() != "GET" {
        return Err(Failure::CallbackMethod);
    }
    let known = env.config.provider(provider).ok_or(Failure::Unreachable("a callback of no provider"))?;
    let response = form_post::response(request, known, env)?;
    let state = State::open(response.state(), &env.config.session.sealer, env.config.return_targets());
    // The response to a sign-in of one host is redeemed at no other.
    let state = state.filter(|state| env.site.id() == Some(&state.site)).ok_or(Failure::CallbackState)?;
    // RFC 9700, 4.4.2: otherwise the code of one provider would be sent to another.
    if state.provider != provider {
        return Err(AuthorizationError::WrongIssuer.into());
    }
    Ok((response, state))
}

/// The sign-in of this `state`, if this very browser began it and it has not taken too long.
fn pending(request: &Request, state: &State, env: &Env<'_>) -> Option<PendingSignIn> {
    let settings = &env.config.session;
    let name = PendingSignIn::cookie_name(&state.id, &settings.pending_prefix);
    let Found::One(value) = cookie::find(request.lines("cookie"), &name) else { return None };
    PendingSignIn::open(&name, value, &settings.sealer, env.config.return_targets())
        .filter(|pending| !pending.state.is_expired(env.now(), settings.sign_in_timeout))
}

/// Begins the sign-in again without using the code: the `state` is ours, but the browser has no such sign-in any more (back
/// button, bookmark, another browser, a cookie that had to go), or the provider asked for it. A browser with a session goes
/// on with that.
fn begin_again(
    request: Request,
    state: State,
    session: Option<&FreshSession>,
    why: Restart,
    env: &mut Env<'_>,
) -> Gate<LocalReply> {
    // After a refusal only a session of another tab counts, begun meanwhile: the one that was not enough before would lead
    // here again, round and round.
    let counts =
        |session: &&FreshSession| why == Restart::NotPending || session.session().has_begun_since(state.started);
    if session.filter(counts).is_some() {
        let location = state.return_to.location(env.origin());
        return answer::redirect(Redirect::SeeOther, "already_signed_in", location, Vec::new()).into();
    }
    // A `state` of long ago says nothing about a loop.
    let attempt = if state.is_expired(env.now(), env.config.session.sign_in_timeout) { 0 } else { state.attempt };
    env.events.push(Event::SignInRestarted(why));
    let step_up = state.step_up.and_then(|id| env.config.rules.step_up(id));
    let sign_in = SignInRequest {
        wishes: Wishes::step_up(step_up),
        attempt: attempt.saturating_add(1),
        providers: vec![state.provider],
        session: OwnSession::of(session),
        ..SignInRequest::to(state.return_to)
    };
    begin(request, sign_in, env)
}

/// Redeems the code, and signs in.
async fn redeem(callback: CallbackRequest, response: AuthorizationResponse, cx: RequestContext) -> LocalReply {
    let again = || again_url(&callback.pending.state.return_to, cx.origin(), cx.config());
    let provider = match cx.provider(callback.pending.state.provider).await {
        Ok(provider) => provider,
        Err(failure) => return cx.refuse(failure, &callback.caller, Offer::again(again(), Vec::new())),
    };
    match accept(&callback, response, &provider, &cx) {
        Ok(Accepted::Code(sign_in)) => match sign_in.finish(&callback, &provider, &cx).await {
            Ok(reply) => reply,
            Err(failure) => {
                let offer = offer_after(&failure, &callback, &cx);
                cx.refuse(failure, &callback.caller, offer)
            }
        },
        Ok(Accepted::Again(why)) => begin_sign_in_again(callback, why, &cx).await,
        // The code is not used, so the browser may come back with it.
        Err(Failure::Busy) => cx.refuse(Failure::Busy, &callback.caller, Offer::again(again(), Vec::new())),
        Err(failure) => cx.refuse(failure, &callback.caller, callback.offer(&cx)),
    }
}

/// The way on after a failed sign-in. The provider would send back the same user, whom the app refuses.
fn offer_after(failure: &Failure, callback: &CallbackRequest, cx: &RequestContext) -> Offer {
    let offer = callback.offer(cx);
    if !matches!(failure, Failure::Provisioning(ProvisioningError::Refused(_))) {
        return offer;
    }
    let state = &callback.pending.state;
    let wishes = Wishes::another_account();
    let href = cx.with(|env| start_with(&wishes, state.return_to.as_str(), &[state.provider], env));
    let action = href.ok().map(|href| Action::link(Text::AnotherAccount, href));
    Offer { action, ..offer }
}

async fn begin_sign_in_again(callback: CallbackRequest, why: Restart, cx: &RequestContext) -> LocalReply {
    let is_refused = why != Restart::NotPending;
    let cookies = if is_refused { vec![callback.delete_pending(cx)] } else { Vec::new() };
    let CallbackRequest { request, caller, session, pending, .. } = callback;
    let begun = cx.with(|env| {
        // It may have ended while the provider was waited for.
        let session = session.filter(|session| !env.is_ended(session));
        begin_again(request, pending.state, session.as_ref(), why, env)
    });
    match begun {
        Ok(gate) => answer::with_cookies(gate.settle(cx).await, cookies),
        Err(bug) => cx.refuse(bug, &caller, Offer::default()),
    }
}

/// The result of an authorization response.
enum Accepted {
    Again(Restart),
    Code(Redeeming),
}

/// A code that is being redeemed.
struct Redeeming {
    code: AuthorizationCode,
    /// Given back when the sign-in ends, with or without a session.
    _slot: Slot,
}

/// Accepts a response for one sign-in, once (RFC 9207, RFC 9700).
fn accept(
    callback: &CallbackRequest,
    response: AuthorizationResponse,
    provider: &Ready,
    cx: &RequestContext,
) -> Result<Accepted, Failure> {
    let CallbackRequest { pending, state, .. } = callback;
    // It may have expired while the provider was waited for.
    if pending.state.is_expired(cx.now(), cx.config().session.sign_in_timeout) {
        return Ok(Accepted::Again(Restart::NotPending));
    }
    let matched = pending.matches(state).ok_or(Failure::CallbackState)?;
    let code = match provider.provider.accept(response, &matched, &provider.metadata)? {
        Ok(code) => code,
        Err(refused) if pending.state.attempt == FIRST_ATTEMPT && provider.provider.may_succeed_again(&refused) => {
            let name = provider.provider.issuer().as_str().to_owned();
            return Ok(Accepted::Again(Restart::Refused(name, refused)));
        }
        Err(refused) => return Err(Failure::Provider(refused)),
    };
    cx.with(|env| {
        // A client can make up any number of codes: their cost is bounded, and the real one is not used up.
        let kept = if env.now().since(pending.state.started) > IMMEDIATE { 0 } else { RESERVED_FOR_INTERACTIVE };
        let slot =
            env.limits.redeeming.take(ClientAddress::of(env.platform.client_address()), kept).ok_or(Failure::Busy)?;
        if !single_use::claim(&pending.state, env) {
            return Ok(Accepted::Again(Restart::NotPending));
        }
        Ok(Accepted::Code(Redeeming { code, _slot: slot }))
    })?
}

impl Redeeming {
    /// Redeems the code (RFC 6749, 4.1.3), learns the identity and begins the session.
    async fn finish(
        self,
        callback: &CallbackRequest,
        provider: &Ready,
        cx: &RequestContext,
    ) -> Result<LocalReply, Failure> {
        let redirect_uri = cx.config().redirect_uri(cx.origin(), &provider.provider);
        let Self { code, _slot } = self;
        let pending = &callback.pending;
        let Ready { provider: known, metadata, .. } = provider;
        let grant =
            |context: CallContext<'_>| known.code_grant(metadata, &code, &pending.verifier, &redirect_uri, context);
        // A call that was not taken has not left, so the code is as good as before.
        let deadline = Deadline::after(provider.provider.timeout().max(MIN_PATIENCE), cx.now());
        let answer = cx.call_as_client(provider, deadline, &grant).await?;
        let (identity, granted) = identify(known.identification(answer)?, provider, pending, cx).await?;
        complete(callback, *identity, granted, cx).await
    }
}

/// Learns the identity, as the provider's protocol does.
async fn identify(
    mut identification: Identification,
    known: &Ready,
    pending: &PendingSignIn,
    cx: &RequestContext,
) -> Result<(Box<Identity>, Granted), Failure> {
    loop {
        identification = match identification.next(&known.provider, &known.metadata) {
            Step::Call(call) => {
                let request = |context: CallContext<'_>| call.request(&known.provider, context);
                let at_once = Deadline::immediate(cx.now());
                let answer = cx.call_with_proof(&known.provider, ProofServer::Resource, at_once, &request).await?;
                call.answered(open_userinfo(&known.provider, answer, cx).await?)?
            }
            Step::Known(identity, granted) => return Ok((identity, granted)),
            Step::VerifyIdToken(step) => {
                let occasion = Occasion::SignIn(&pending.nonce);
                let id_token =
                    verify_id_token(known.provider.id, step.id_token(), step.access_token(), occasion, cx).await?;
                step.verified(id_token)
            }
        };
    }
}
