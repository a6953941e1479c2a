//! Sends a browser to the provider, with a sealed cookie that remembers why. A sign-in starts only for a request that
//! can finish one; everything else is told that it needs a session.

use crate::{
    claims::IssuerId,
    http::{Request, parameter},
    oidc::{Provider, authorization::AuthorizationRequest},
    page::{Action, Page, Script},
    platform::NoRandomness,
    rules::{Answer, Verdict},
    session::{
        cookie::{delete_cookie, set_cookie, with_prefix},
        pending::{MAX_ATTEMPTS, MAX_PENDING, PendingSignIn},
        return_to::ReturnTo,
        trail::{MAX_IN_VAIN, Trail},
    },
};

use super::{
    Env, Step,
    caller::{Caller, Kind, is_prefetch},
    event::Event,
    failure::Failure,
    form,
    reply::{self, Offer, Redirect},
    request::Waiter,
    sign_out, signed_in,
};

/// A sign-in that nothing went before.
pub(super) const FIRST_ATTEMPT: u8 = 1;

/// Asks for a sign-in as somebody else, although the provider knows who it is (OIDC Core 3.1.2.1).
const SELECT_ACCOUNT: &str = "select_account";

/// How many may be pending where one is begun again: as many tabs as a browser may restore at once.
const MAX_BEGUN_AGAIN: usize = 24;

/// How many pending sign-ins of one request are looked at; a browser that follows our answers never has so many.
const MAX_LOOKED_AT: usize = 32;

/// What sign-in is to begin.
pub(super) struct Wish {
    /// Where it comes back to.
    pub(super) return_to: ReturnTo,
    /// How often it was begun by now.
    pub(super) attempt: u8,
    /// How a request is answered that cannot be sent to sign in.
    pub(super) answer: Answer,
    /// Whether somebody wants to come as somebody else.
    pub(super) is_somebody_else: bool,
    /// At whose sign-in page it may begin; empty means at any.
    pub(super) providers: Vec<IssuerId>,
    /// Whether a session is there that does not say enough.
    pub(super) is_for_more_claims: bool,
}

impl Wish {
    /// A first one.
    pub(super) fn to(return_to: ReturnTo) -> Self {
        Self {
            return_to,
            attempt: FIRST_ATTEMPT,
            answer: Answer::Auto,
            is_somebody_else: false,
            providers: Vec::new(),
            is_for_more_claims: false,
        }
    }
}

/// A request for the path that starts a sign-in, and comes back to `rd`.
pub(super) fn asked_for(request: Request, env: &mut Env<'_>) -> Step {
    let target = sign_out::asked_for(&request).unwrap_or_default();
    let return_to = ReturnTo::asked_for(&target, &env.config.origin, &env.config.prefix);
    let prompt = request.query().and_then(|query| parameter(query, "prompt"));
    let is_somebody_else = prompt.as_deref() == Some(SELECT_ACCOUNT);
    let named = request.query().and_then(|query| parameter(query, "provider")).unwrap_or_default();
    let providers = named.split(',').filter_map(|name| env.config.provider_named(name)).map(|provider| provider.id);
    let providers = providers.collect();
    begin(request, Wish { is_somebody_else, providers, ..Wish::to(return_to) }, env)
}

/// Begins a sign-in for a page, or says that one is needed.
pub(super) fn begin_for_page(request: Request, verdict: &Verdict<'_>, env: &mut Env<'_>) -> Step {
    let return_to = ReturnTo::parse(request.target(), &env.config.prefix);
    let wish = Wish { answer: verdict.answer(), providers: verdict.providers(), ..Wish::to(return_to) };
    begin_with_fragment(request, wish, env)
}

/// Begins another sign-in at this provider, for a request with a session that does not say what the rules ask.
pub(super) fn begin_again(request: Request, verdict: &Verdict<'_>, provider: IssuerId, env: &mut Env<'_>) -> Step {
    let return_to = ReturnTo::parse(request.target(), &env.config.prefix);
    let (answer, providers) = (verdict.answer(), vec![provider]);
    begin_with_fragment(request, Wish { answer, providers, is_for_more_claims: true, ..Wish::to(return_to) }, env)
}

fn begin_with_fragment(request: Request, wish: Wish, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(&request);
    let is_page = caller.kind == Kind::Navigation && request.method() == "GET";
    // What starts the sign-in cannot tell that the session is not enough, and would go on for ever.
    let is_loop = wish.is_for_more_claims && is_in_vain(&request, &wish, env);
    if env.config.sign_in.keep_fragment && is_page && wish.answer != Answer::Unauthorized && !is_loop {
        return follow_with_fragment(&caller, &wish.return_to, &wish.providers, env);
    }
    begin(request, wish, env)
}

/// What stands behind `#` in a URL only a page can know: this one starts the sign-in with it.
fn follow_with_fragment(caller: &Caller, return_to: &ReturnTo, providers: &[IssuerId], env: &mut Env<'_>) -> Step {
    let failure = Failure::SignInRequired;
    let text = "You are being sent to the sign-in service.";
    let mut page = Page::new("Signing in", text, failure.code());
    page.action = Some(Action::Link { label: "Sign in", href: start(return_to.as_str(), providers, env) });
    page.script = Some(Script::FollowWithFragment);
    reply::refuse_with(failure, page, caller, env)
}

/// Begins a sign-in for this request, or says that one is needed.
pub(super) fn begin(request: Request, wish: Wish, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(&request);
    match (wish.answer, caller.kind) {
        (_, Kind::Page) => return form::arrive(&request, caller, wish.providers, env),
        (Answer::Unauthorized, Kind::Navigation) => {
            let offer = Offer::sign_in(start(wish.return_to.as_str(), &wish.providers, env));
            return reply::refuse(Failure::SignInRequired, &caller, offer, env);
        }
        (Answer::Auto | Answer::Redirect, Kind::Navigation) => {}
        (Answer::Redirect, Kind::Program) if could_follow(&request) => {}
        (_, Kind::Program) => return reply::refuse(Failure::SignInRequired, &caller, Offer::default(), env),
    }
    let (return_to, attempt) = (&wish.return_to, wish.attempt);
    if is_in_vain(&request, &wish, env) {
        let settings = &env.config.session;
        let cookies = vec![delete_cookie(&settings.trail_cookie)];
        let offer = Offer::again(return_to.location(&env.config.origin), cookies);
        return reply::refuse(Failure::SignInLoop(MAX_IN_VAIN), &caller, offer, env);
    }
    if attempt > MAX_ATTEMPTS {
        let offer = Offer::again(return_to.location(&env.config.origin), Vec::new());
        return reply::refuse(Failure::SignInLoop(MAX_ATTEMPTS), &caller, offer, env);
    }
    let candidates = candidates(&wish.providers, env);
    let &[provider] = &candidates[..] else { return choose(&candidates, &request, &caller, &wish, env) };
    let provider = provider.id;
    if env.issuers.ready(provider, env.now).is_none() {
        return Waiter::for_provider(provider, request, env);
    }
    match redirect(&request, provider, wish, env) {
        Ok(step) => step,
        Err(NoRandomness) => reply::refuse(Failure::NoRandomness, &caller, Offer::default(), env),
    }
}

/// The providers at which a sign-in may begin.
fn candidates<'a>(among: &[IssuerId], env: &Env<'a>) -> Vec<&'a Provider> {
    let providers = &env.config.providers;
    let among: Vec<_> = providers.iter().filter(|provider| among.contains(&provider.id)).collect();
    if among.is_empty() { providers.iter().collect() } else { among }
}

/// Lets a person choose where to sign in. A program cannot.
fn choose(among: &[&Provider], request: &Request, caller: &Caller, wish: &Wish, env: &mut Env<'_>) -> Step {
    let failure = Failure::SignInRequired;
    if caller.kind == Kind::Program || request.method() != "GET" {
        return reply::refuse(failure, caller, Offer::default(), env);
    }
    let href = |provider: &Provider| {
        let href = start(wish.return_to.as_str(), &[provider.id], env);
        if wish.is_somebody_else { href + "&prompt=" + SELECT_ACCOUNT } else { href }
    };
    let choices = among.iter().map(|provider| (provider.title.clone(), href(provider))).collect();
    let mut page = Page::new("Sign in", "Choose how you want to sign in.", failure.code());
    page.action = Some(Action::Choice(choices));
    reply::refuse_with(failure, page, caller, env)
}

/// The URL that starts a sign-in, at one of these providers, and comes back to this target.
pub(super) fn start(target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", target);
    let named = providers.iter().filter_map(|id| Some(env.config.provider(*id)?.name.as_str()));
    let named = named.collect::<Vec<_>>().join(",");
    if !named.is_empty() {
        query.append_pair("provider", &named);
    }
    format!("{}?{}", env.config.start_uri(), query.finish())
}

/// Whether a program could follow a sign-in at all, and somebody has asked for what it fetches.
fn could_follow(request: &Request) -> bool {
    request.method() == "GET" && !request.has("upgrade") && !is_prefetch(request)
}

/// Whether sign-ins were completed again and again without a session to show for it, or without one that says enough.
fn is_in_vain(request: &Request, wish: &Wish, env: &mut Env<'_>) -> bool {
    let settings = &env.config.session;
    let trail = Trail::read(request, &settings.trail_cookie, &settings.sealer, env.now);
    trail.is_some_and(Trail::is_loop) && (wish.is_for_more_claims || signed_in::session(request, env).is_none())
}

fn redirect(request: &Request, id: IssuerId, wish: Wish, env: &mut Env<'_>) -> Result<Step, NoRandomness> {
    let settings = &env.config.session;
    let Some(known) = env.issuers.ready(id, env.now) else {
        let caller = Caller::of(request).of_issuer(id);
        return Ok(reply::refuse(Failure::ProviderNotReady, &caller, Offer::default(), env));
    };
    let most = if wish.attempt == FIRST_ATTEMPT { MAX_PENDING } else { MAX_BEGUN_AGAIN };
    let pending = PendingSignIn::begin(id, wish.return_to, wish.attempt, env.now, env.platform)?;
    let name = PendingSignIn::cookie_name(&pending.state.id, &settings.pending_prefix);
    let url = AuthorizationRequest {
        provider: known.provider,
        metadata: known.metadata,
        redirect_uri: &env.config.redirect_uri(known.provider),
        state: &pending.state_parameter(&settings.sealer, env.platform)?,
        nonce: known.provider.github.is_none().then_some(&pending.nonce),
        verifier: &pending.verifier,
        prompt: wish.is_somebody_else.then_some(known.metadata.account_prompt),
    }
    .url();
    let sealed = pending.seal(&name, &settings.sealer, env.platform)?;
    let mut cookies = Vec::new();
    // A HEAD that no browser sends for a person is answered like its GET, but begins nothing that could pile up.
    if request.method() == "GET" || request.has("sec-fetch-mode") {
        // One that is begun again must not end others that are on their way back: they would end it in their turn.
        cookies = surplus(request, most, env);
        cookies.push(set_cookie(&name, &sealed, settings.sign_in_timeout));
    }
    env.events.push(Event::SignInStarted);
    Ok(Step::Reply(reply::redirect(Redirect::Found, "sign_in_started", url, cookies)))
}

/// Deletes what must go so that one more pending sign-in makes `most`: the unreadable and expired first, then the oldest.
pub(super) fn surplus(request: &Request, most: usize, env: &Env<'_>) -> Vec<String> {
    let settings = &env.config.session;
    let mut gone = Vec::new();
    let mut kept = Vec::new();
    for (name, value) in with_prefix(request.lines("cookie"), &settings.pending_prefix).take(MAX_LOOKED_AT) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        match PendingSignIn::open(name, value, &settings.sealer, &env.config.prefix) {
            Some(pending) if !pending.state.is_expired(env.now, settings.sign_in_timeout) => {
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
    gone.into_iter().map(delete_cookie).collect()
}
