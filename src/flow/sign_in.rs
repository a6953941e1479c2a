//! Sends a browser to the provider, with a sealed cookie that remembers why. A sign-in starts only for a request that
//! can finish one; everything else is told that it needs a session.

use crate::{
    claims::IssuerId,
    http::{Request, parameter},
    oidc::{Provider, authorization::AuthorizationRequest},
    page::{Action, Page, Script},
    rules::{Answer, Verdict},
    session::{
        SealError,
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

/// Appended to the URL of the start path, which then keeps a session that the browser has: the browser may come from another
/// host or from a frame, to which it does not send our cookies.
const KEEP_SESSION: &str = "&session=keep";

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
    /// Whether the browser has a session that lacks claims the rules ask for.
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
    let parameter = |name| request.query().and_then(|query| parameter(query, name));
    let is_somebody_else = parameter("prompt").as_deref() == Some(SELECT_ACCOUNT);
    let named = parameter("provider").unwrap_or_default();
    let providers = named.split(',').filter_map(|name| env.config.provider_named(name)).map(|provider| provider.id);
    let providers: Vec<_> = providers.collect();
    let keeps_session = parameter("session").as_deref() == Some("keep");
    if Caller::of(&request).kind == Kind::Navigation {
        if !keeps_session && !env.config.origin.matches_host(request.authority()) {
            let href = start_as(is_somebody_else, return_to.as_str(), &providers, env) + KEEP_SESSION;
            return go_to_own_host(&request, href, env);
        }
        let is_wanted = |id: IssuerId| providers.is_empty() || providers.contains(&id);
        if keeps_session
            && !is_somebody_else
            && signed_in::session(&request, env).is_some_and(|fresh| is_wanted(fresh.session().provider()))
        {
            let location = return_to.location(&env.config.origin);
            return Step::Reply(reply::redirect(Redirect::SeeOther, "already_signed_in", location, Vec::new()));
        }
    }
    begin(request, Wish { is_somebody_else, providers, ..Wish::to(return_to) }, env)
}

/// Begins a sign-in for a page, or says that one is needed.
pub(super) fn begin_for_page(request: Request, verdict: &Verdict<'_>, env: &mut Env<'_>) -> Step {
    let return_to = ReturnTo::parse(request.target(), &env.config.prefix);
    let wish = Wish { answer: verdict.answer(), providers: verdict.providers(), ..Wish::to(return_to) };
    begin_with_fragment(request, wish, env)
}

/// Begins another sign-in at this provider, for a request with a session that lacks claims the rules ask for.
pub(super) fn begin_again(request: Request, verdict: &Verdict<'_>, provider: IssuerId, env: &mut Env<'_>) -> Step {
    let return_to = ReturnTo::parse(request.target(), &env.config.prefix);
    let (answer, providers) = (verdict.answer(), vec![provider]);
    begin_with_fragment(request, Wish { answer, providers, is_for_more_claims: true, ..Wish::to(return_to) }, env)
}

fn begin_with_fragment(request: Request, wish: Wish, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(&request);
    // The start path cannot tell that the session lacks claims, so the loop must end here.
    let is_loop = wish.is_for_more_claims && is_in_vain(&request, &wish, env);
    if caller.kind == Kind::Navigation && wish.answer != Answer::Unauthorized && !is_loop {
        // A request with a session came to our own host, whatever `Host` a proxy wrote: cookies are sent nowhere else.
        let is_own_host = wish.is_for_more_claims || env.config.origin.matches_host(request.authority());
        let href = start(wish.return_to.as_str(), &wish.providers, env) + if is_own_host { "" } else { KEEP_SESSION };
        if env.config.sign_in.keep_fragment && request.method() == "GET" {
            return follow_with_fragment(&caller, href, env);
        }
        if !is_own_host {
            return go_to_own_host(&request, href, env);
        }
    }
    begin(request, wish, env)
}

/// Redirects a page load under another host to the start path under the host of `external_url`, to which our cookies are
/// sent. With [`KEEP_SESSION`] that redirects to no host again, whatever `Host` says: a proxy may write the same one into
/// every request.
fn go_to_own_host(request: &Request, start: String, env: &Env<'_>) -> Step {
    // Behind such a proxy our cookies do come along. A session that was not accepted here is deleted, or the start path
    // might accept it and send the browser back for ever.
    let cookies = &env.config.session.cookies;
    let deleted = cookies.delete_beyond(0, cookies.present(request));
    Step::Reply(reply::redirect(Redirect::Found, "other_host", start, deleted))
}

/// What stands behind `#` in a URL only a page can know: this one starts the sign-in with it.
fn follow_with_fragment(caller: &Caller, href: String, env: &mut Env<'_>) -> Step {
    let failure = Failure::SignInRequired;
    let text = "You are being sent to the sign-in service.";
    let mut page = Page::new("Signing in", text, failure.code());
    page.action = Some(Action::Link { label: "Sign in", href });
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
        // A frame on another site sends no cookie back.
        (Answer::Redirect, Kind::Frame)
            if could_follow(&request) && request.single("sec-fetch-site") != Some(b"cross-site") => {}
        (_, Kind::Frame) => return leave_frame(&request, &caller, &wish, env),
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
        Err(error) => reply::refuse(error.into(), &caller, Offer::default(), env),
    }
}

/// Answers a frame with a page whose link begins the sign-in in the whole window: providers may not be framed, and a frame
/// on another site keeps no cookies.
fn leave_frame(request: &Request, caller: &Caller, wish: &Wish, env: &mut Env<'_>) -> Step {
    // Back to the page that holds the frame, where it is one of ours.
    let origin = &env.config.origin;
    let is_ours = |url: &&str| url.strip_prefix(origin.as_str()).is_some_and(|rest| rest.starts_with('/'));
    let framing = request.text("referer").filter(is_ours);
    let framing = framing.map(|url| ReturnTo::asked_for(url, origin, &env.config.prefix));
    let return_to = framing.as_ref().unwrap_or(&wish.return_to);
    let failure = Failure::SignInRequired;
    let text = match request.method() {
        "POST" => failure.words().text,
        _ => "You are not signed in, or your session is over. The sign-in takes the whole window.",
    };
    let mut page = Page::new(failure.words().title, text, failure.code());
    // A session that is not enough would lead back here.
    let keep = if wish.is_for_more_claims { "" } else { KEEP_SESSION };
    let href = start_as(wish.is_somebody_else, return_to.as_str(), &wish.providers, env) + keep;
    page.action = Some(Action::Link { label: "Sign in", href });
    reply::refuse_with(failure, page, caller, env)
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
    let href = |provider: &Provider| start_as(wish.is_somebody_else, wish.return_to.as_str(), &[provider.id], env);
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

/// [`start`], and where another account is asked for, with the prompt that lets the user select one.
fn start_as(somebody_else: bool, target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    let href = start(target, providers, env);
    if somebody_else { href + "&prompt=" + SELECT_ACCOUNT } else { href }
}

/// Whether a program or a frame can follow a redirect to a sign-in, and a user has asked for this request.
fn could_follow(request: &Request) -> bool {
    request.method() == "GET" && !request.has("upgrade") && !is_prefetch(request)
}

/// Whether several sign-ins in a row brought no session, or none with the claims that the rules ask for.
fn is_in_vain(request: &Request, wish: &Wish, env: &mut Env<'_>) -> bool {
    let settings = &env.config.session;
    let trail = Trail::read(request, &settings.trail_cookie, &settings.sealer, env.now);
    trail.is_some_and(Trail::is_loop) && (wish.is_for_more_claims || signed_in::session(request, env).is_none())
}

fn redirect(request: &Request, id: IssuerId, wish: Wish, env: &mut Env<'_>) -> Result<Step, SealError> {
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
