//! Sends a browser to the provider, with a sealed cookie of the pending sign-in. A sign-in starts only for a request that
//! can finish one; other requests are refused.

pub(super) mod callback;
pub(super) mod kept_form;

mod begun;
mod callback_request;
mod choice;
mod complete;
mod form_post;
mod push;
mod request;
mod single_use;
mod start_url;

pub(super) use start_url::{Wishes, start_url, start_with};

use crate::{
    claims::IssuerId,
    http::{LocalReply, Request, parameter},
    oidc::client::CallContext,
    page::{Action, Page, Script, text::Text},
    provider::Authorization,
    rules::{Cause, Refusal, RuledRequest, Unauthenticated},
    session::{
        chunks::Present,
        cookie::{SameSite, delete_cookie, set_cookie, with_prefix},
        login_loop_guard::{LoginLoopGuard, MAX_SIGN_INS},
        open::FreshSession,
        pending::{MAX_ATTEMPTS, MAX_PENDING, PendingSignIn},
        return_to::ReturnTo,
    },
};

use super::{
    answer::{
        self, Offer, Redirect,
        caller::{Caller, Kind, is_prefetch, return_target},
    },
    context::{Env, RequestContext},
    event::{Operation, failure::Failure},
    executor::Gate,
    memory::issuers::Ready,
};
use begun::BegunSignIn;
use request::{FIRST_ATTEMPT, OwnSession, SignInRequest};
use start_url::{KEEP_SESSION, again_url};

/// Upper bound of pending sign-ins where one is begun again: tabs that a browser restores at once.
const MAX_BEGUN_AGAIN: usize = 24;

/// How many pending sign-ins of one request are looked at; a browser that follows our answers never has so many.
const MAX_LOOKED_AT: usize = 32;

/// A request for the path that starts a sign-in, and comes back to `rd`.
pub(super) fn start(request: Request, session: Option<&FreshSession>, env: &mut Env<'_>) -> Gate<LocalReply> {
    let target = return_target(&request).unwrap_or_default();
    let return_to = ReturnTo::from_rd(&target, env.origin(), env.config.return_targets());
    let parameter = |name| request.query().and_then(|query| parameter(query, name));
    let wishes = Wishes::of(&request, env.config);
    let named = parameter("provider").unwrap_or_default();
    let providers = named.split(',').filter_map(|name| env.config.provider_named(name)).map(|provider| provider.id);
    let providers: Vec<_> = providers.collect();
    let of_session = parameter("session");
    let keeps_session = of_session.as_deref() == Some("keep");
    if Caller::of(&request).kind == Kind::Navigation {
        if !keeps_session && env.config.origins.find(request.authority()).is_none() {
            let href = start_with(&wishes, return_to.as_str(), &providers, env) + KEEP_SESSION;
            return go_to_own_host(&request, href, env).into();
        }
        let is_wanted = |id: IssuerId| providers.is_empty() || providers.contains(&id);
        if keeps_session
            && !wishes.selects_account
            && session.is_some_and(|session| is_wanted(session.session().provider()))
        {
            let location = return_to.location(env.origin());
            return answer::redirect(Redirect::SeeOther, "already_signed_in", location, Vec::new()).into();
        }
    }
    let session = OwnSession::of(session.filter(|_| of_session.as_deref() != Some("none")));
    begin(request, SignInRequest { wishes, providers, session, ..SignInRequest::to(return_to) }, env)
}

/// Begins a sign-in for a page, or says that one is needed.
pub(super) fn begin_for_page(ruled: RuledRequest, env: &mut Env<'_>) -> Gate<LocalReply> {
    let return_to = ReturnTo::parse(ruled.request().target(), &env.config.prefix);
    let verdict = ruled.verdict();
    let (answer, providers, wishes) =
        (verdict.unauthenticated(), verdict.providers(), Wishes::step_up(verdict.step_up()));
    let sign_in = SignInRequest { answer, providers, wishes, ..SignInRequest::to(return_to) };
    begin_with_fragment(ruled.into_request(), sign_in, env)
}

/// Begins another sign-in at this provider, for a request with a session that is not enough for the rules.
pub(super) fn begin_for_more(
    ruled: RuledRequest,
    provider: IssuerId,
    refusal: Refusal,
    env: &mut Env<'_>,
) -> Gate<LocalReply> {
    let return_to = ReturnTo::parse(ruled.request().target(), &env.config.prefix);
    let falls_short_of = match refusal.cause {
        Cause::StepUp(step_up) => Some((refusal.rule, step_up)),
        Cause::Denied | Cause::LeftOut | Cause::NotAllowed(..) | Cause::OtherProvider | Cause::Unknown => None,
    };
    let step_up = falls_short_of.as_ref().map(|(_, step_up)| step_up);
    let wishes = Wishes::step_up(step_up.or_else(|| ruled.verdict().step_up()));
    let sign_in = SignInRequest {
        answer: ruled.verdict().unauthenticated(),
        wishes,
        providers: vec![provider],
        session: OwnSession::NotEnough,
        falls_short_of,
        ..SignInRequest::to(return_to)
    };
    begin_with_fragment(ruled.into_request(), sign_in, env)
}

fn begin_with_fragment(request: Request, sign_in: SignInRequest, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller::of(&request);
    // The start path cannot tell that the session is not enough, so the loop must end here.
    let is_loop = sign_in.session == OwnSession::NotEnough && would_loop(&request, &sign_in, env);
    if caller.kind == Kind::Navigation && sign_in.answer != Unauthenticated::Unauthorized && !is_loop {
        // A request with a session came to our own host, even if a proxy wrote another `Host`: browsers send our cookies only there.
        let is_own_host =
            sign_in.session == OwnSession::NotEnough || env.config.origins.find(request.authority()).is_some();
        let href = sign_in.start_url(sign_in.return_to.as_str(), env) + if is_own_host { "" } else { KEEP_SESSION };
        if env.config.sign_in.keep_fragment && request.method() == "GET" {
            return follow_with_fragment(sign_in.failure(), &caller, href, env).into();
        }
        if !is_own_host {
            return go_to_own_host(&request, href, env).into();
        }
    }
    begin(request, sign_in, env)
}

/// Redirects a page load under another host to the start path under the first host of `external_url`, to which our cookies are
/// sent. With [`KEEP_SESSION`] that redirects to no host again, whatever `Host` says: a proxy may write the same one into
/// every request.
fn go_to_own_host(request: &Request, start: String, env: &Env<'_>) -> LocalReply {
    // Behind such a proxy our cookies do come along. A session that was not accepted here is deleted, or the start path
    // might accept it and send the browser back for ever. With several origins no such proxy is in front, and the cookies may
    // be those of a domain, which other hosts accept.
    let cookies = &env.config.session.cookies;
    let present = if env.config.origins.are_several() { Present::default() } else { cookies.present(request) };
    let deleted = cookies.delete_beyond(0, present);
    answer::redirect(Redirect::Found, "other_host", start, deleted)
}

/// Only the page knows the fragment of its URL: this page starts the sign-in and passes it on.
fn follow_with_fragment(failure: Failure, caller: &Caller, href: String, env: &mut Env<'_>) -> LocalReply {
    let mut page = Page::new(Text::SigningIn, &[Text::BeingSent]);
    page.action = Some(Action::link(Text::SignIn, href));
    page.script = Some(Script::FollowWithFragment);
    answer::refuse_with_page(failure, page, caller, env)
}

/// Begins a sign-in for this request, or says that one is needed.
fn begin(request: Request, sign_in: SignInRequest, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller::of(&request);
    match (sign_in.answer, caller.kind) {
        (_, Kind::Page) => return kept_form::begin(&request, caller, sign_in, env),
        (Unauthenticated::Unauthorized, Kind::Navigation) => {
            let href = sign_in.start_url(sign_in.return_to.as_str(), env);
            return answer::refuse(sign_in.failure(), &caller, Offer::sign_in(href), env).into();
        }
        (Unauthenticated::Auto | Unauthenticated::Redirect, Kind::Navigation) => {}
        (Unauthenticated::Redirect, Kind::Program) if could_follow(&request) => {}
        (Unauthenticated::Auto | Unauthenticated::Redirect, Kind::Frame)
            if could_follow(&request) && stays_in_frame(&request, sign_in.answer, env) => {}
        (_, Kind::Frame) => return leave_frame(&request, &caller, &sign_in, env).into(),
        (_, Kind::Program) => {
            let offer = Offer { sign_in_url: Some(sign_in.url_for_scripts(env)), ..Offer::default() };
            return answer::refuse(sign_in.failure(), &caller, offer, env).into();
        }
    }
    if let Some(location) = sign_in.central_start_url(env) {
        return answer::redirect(Redirect::Found, "sign_in_host", location, Vec::new()).into();
    }
    let caller = caller.for_operation(Operation::SignIn);
    let back = || again_url(&sign_in.return_to, env.origin(), env.config);
    if would_loop(&request, &sign_in, env) {
        let settings = &env.config.session;
        let forget = delete_cookie(&settings.login_loop_cookie, settings.cookies.same_site());
        let offer = Offer::again(back(), vec![forget]);
        return answer::refuse(Failure::SignInLoop(MAX_SIGN_INS), &caller, offer, env).into();
    }
    if sign_in.attempt > MAX_ATTEMPTS {
        let offer = Offer::again(back(), Vec::new());
        return answer::refuse(Failure::SignInLoop(MAX_ATTEMPTS), &caller, offer, env).into();
    }
    let candidates = choice::candidates(&sign_in.providers, env);
    let Some(provider) = choice::settled(&candidates, &sign_in.wishes) else {
        return choice::page(&candidates, &request, &caller.for_operation(Operation::Access), &sign_in, env).into();
    };
    match env.issuers.ready(provider.id, env.now()) {
        Some(provider) => redirect(&request, &provider, sign_in, env),
        None => {
            let provider = provider.id;
            Gate::flow(move |cx| redirect_when_ready(request, provider, sign_in, cx))
        }
    }
}

/// Begins a sign-in at a provider whose metadata and keys are not known yet.
async fn redirect_when_ready(
    request: Request,
    provider: IssuerId,
    sign_in: SignInRequest,
    cx: RequestContext,
) -> LocalReply {
    let caller = Caller::of(&request).of_issuer(provider).for_operation(Operation::SignIn);
    let return_to = sign_in.return_to.clone();
    let redirected = match cx.provider(provider).await {
        Ok(provider) => cx.with(|env| redirect(&request, &provider, sign_in, env)),
        Err(failure) => Err(failure),
    };
    match redirected {
        Ok(redirected) => redirected.settle(&cx).await,
        Err(failure) => {
            let target = ReturnTo::parse(request.target(), &cx.config().prefix);
            let secondary_links =
                cx.with(|env| choice::link(return_to.as_str(), env).into_iter().collect()).unwrap_or_default();
            let offer = Offer { secondary_links, ..Offer::again(target.location(cx.origin()), Vec::new()) };
            cx.refuse(failure, &caller, offer)
        }
    }
}

/// Answers a frame with a page whose link begins the sign-in in the whole window: providers may not be framed, and a frame
/// on another site keeps no cookies.
fn leave_frame(request: &Request, caller: &Caller, sign_in: &SignInRequest, env: &mut Env<'_>) -> LocalReply {
    // Back to the page that holds the frame, where it is one of ours.
    let origin = env.origin();
    let is_ours = |url: &&str| url.strip_prefix(origin.as_str()).is_some_and(|rest| rest.starts_with('/'));
    let framing = request.text("referer").filter(is_ours);
    let framing = framing.map(|url| ReturnTo::from_rd(url, origin, env.config.return_targets()));
    let return_to = framing.as_ref().unwrap_or(&sign_in.return_to);
    let failure = sign_in.failure();
    let texts = match (request.method(), &failure) {
        ("POST", _) => failure.words().texts,
        (_, Failure::StepUpRequired(..)) => &[Text::StrongerThanYours, Text::TakesWholeWindow],
        _ => &[Text::NotSignedIn, Text::TakesWholeWindow],
    };
    let mut page = Page::new(failure.words().title, texts);
    // A session that is not enough would lead back here.
    let keep = if sign_in.session == OwnSession::NotEnough { "" } else { KEEP_SESSION };
    let href = sign_in.start_url(return_to.as_str(), env) + keep;
    page.action = Some(Action::link(Text::SignIn, href));
    answer::refuse_with_page(failure, page, caller, env)
}

/// Whether a program or a frame can follow a redirect to a sign-in, and a user has asked for this request.
fn could_follow(request: &Request) -> bool {
    request.method() == "GET" && !request.has("upgrade") && !is_prefetch(request)
}

/// Whether a frame goes to the provider itself.
fn stays_in_frame(request: &Request, answer: Unauthenticated, env: &Env<'_>) -> bool {
    match (env.config.session.cookies.same_site(), request.single("sec-fetch-site")) {
        // The browser sends no cookie back.
        (SameSite::Lax, Some(b"cross-site")) => false,
        // The frame would not get the cookie of a sign-in in the whole window.
        (SameSite::Partitioned, Some(b"cross-site")) => true,
        _ => answer == Unauthenticated::Redirect,
    }
}

/// Whether several sign-ins in a row brought no session, or none with the claims that the rules ask for.
fn would_loop(request: &Request, sign_in: &SignInRequest, env: &Env<'_>) -> bool {
    let settings = &env.config.session;
    let guard = || LoginLoopGuard::read(request, &settings.login_loop_cookie, &settings.sealer, env.now());
    sign_in.session != OwnSession::Good && guard().is_some_and(LoginLoopGuard::would_loop)
}

/// Redirects to the authorization endpoint.
fn redirect(request: &Request, known: &Ready, sign_in: SignInRequest, env: &mut Env<'_>) -> Gate<LocalReply> {
    let metadata = &known.metadata;
    let caller = || Caller::of(request).for_operation(Operation::SignIn);
    match (begun(request, known, sign_in, env), metadata.pushed_request_endpoint.clone()) {
        (Ok(begun), None) => begun.redirect(metadata, env).into(),
        (Ok(begun), Some(endpoint)) => push::redirect(begun, endpoint, known.clone(), caller()),
        (Err(failure), _) => answer::refuse(failure, &caller(), Offer::default(), env).into(),
    }
}

fn begun(request: &Request, known: &Ready, sign_in: SignInRequest, env: &Env<'_>) -> Result<BegunSignIn, Failure> {
    let settings = &env.config.session;
    let Ready { provider, metadata, .. } = known;
    let again = again_url(&sign_in.return_to, env.origin(), env.config);
    let most = if sign_in.attempt == FIRST_ATTEMPT { MAX_PENDING } else { MAX_BEGUN_AGAIN };
    let step_up = sign_in.wishes.step_up.clone();
    let mut pending = PendingSignIn::begin(provider.id, sign_in.return_to, sign_in.attempt, env.now(), env.platform)?;
    pending.state.step_up = step_up.as_ref().map(|step_up| step_up.id());
    pending.state.site = env.site.id().cloned().unwrap_or_default();
    let name = PendingSignIn::cookie_name(&pending.state.id, &settings.pending_prefix);
    let with = Authorization {
        redirect_uri: &env.config.redirect_uri(env.origin(), provider),
        state: &pending.state_parameter(&settings.sealer, env.platform)?,
        nonce: &pending.nonce,
        verifier: &pending.verifier,
        other_account: sign_in.wishes.selects_account,
        demanded: &step_up.map(|step_up| step_up.parameters()).unwrap_or_default(),
        passed: &sign_in.wishes.parameters_for(provider),
    };
    let context = CallContext::new(env.now(), env.platform);
    let parameters = provider.authorization_parameters(metadata, &with, context)?;
    let sealed = pending.seal(&name, &settings.sealer, env.platform)?;
    let mut cookies = Vec::new();
    // A HEAD without `sec-fetch-mode` comes from no page load: it is answered like a GET, but begins nothing that could pile up.
    if request.method() == "GET" || request.has("sec-fetch-mode") {
        // A sign-in that begins again must not end the others, which may return at any moment and would end this one too.
        cookies = surplus(request, most, env);
        cookies.push(set_cookie(&name, &sealed, settings.sign_in_timeout, settings.cookies.same_site()));
    }
    Ok(BegunSignIn { parameters, cookies, again })
}

/// Deletes what must go so that one more pending sign-in makes `most`: the unreadable and expired first, then the oldest.
pub(super) fn surplus(request: &Request, most: usize, env: &Env<'_>) -> Vec<String> {
    let settings = &env.config.session;
    let mut gone = Vec::new();
    let mut kept = Vec::new();
    for (name, value) in with_prefix(request.lines("cookie"), &settings.pending_prefix).take(MAX_LOOKED_AT) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        match PendingSignIn::open(name, value, &settings.sealer, env.config.return_targets()) {
            Some(pending) if !pending.state.is_expired(env.now(), settings.sign_in_timeout) => {
                kept.push((pending.state.started, name));
            }
            Some(_) | None => gone.push(name),
        }
    }
    while kept.len() >= most {
        // Browsers send older cookies first (RFC 6265bis, 5.8.3), so the first of a second is its oldest.
        let oldest = kept.iter().enumerate().min_by_key(|(_, (started, _))| *started).map_or(0, |(place, _)| place);
        gone.push(kept.remove(oldest).1);
    }
    gone.into_iter().map(|name| delete_cookie(name, settings.cookies.same_site())).collect()
}
