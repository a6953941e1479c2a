//! Requests that bring a session: it is looked at, kept up, and the request goes upstream with it.

use crate::{
    claims::IssuerId,
    http::Request,
    page::Action,
    rules::{Cause, Refusal, Verdict},
    session::{
        SealError, Session, Writing,
        chunks::Present,
        open::{FreshSession, Upkeep},
        return_to::ReturnTo,
        store::Reference,
    },
};

use super::{
    Env, Step,
    caller::Caller,
    event::Event,
    failure::Failure,
    identity,
    permit::Permit,
    renewal::{self, Patience},
    reply::{self, Offer},
    revocation, sign_in, store,
};

/// The session of this request, if it brought a good one that nobody has ended.
pub(super) fn session(request: &Request, env: &mut Env<'_>) -> Option<FreshSession> {
    let settings = &env.config.session;
    let fresh = match settings.store {
        Some(_) => store::session(env)?,
        None => env.sessions.fresh(request, &settings.sealer, &settings.lifetimes, env.now, env.platform)?,
    };
    if !is_known(&fresh, env) || is_ended(&fresh, env) {
        return None;
    }
    revocation::note_sid(&fresh, env);
    Some(fresh)
}

/// Whether its provider is still one of ours: nobody else can say what its people may do.
fn is_known(fresh: &FreshSession, env: &Env<'_>) -> bool {
    env.config.provider(fresh.session().provider()).is_some()
}

/// Whether somebody has ended it.
pub(super) fn is_ended(fresh: &FreshSession, env: &mut Env<'_>) -> bool {
    revocation::is_ended(fresh.session(), fresh.marks(), env)
}

/// Lets a request with a session pass, and keeps the session up. `Err` gives the request back: nobody is signed in.
pub(super) fn pass(request: Request, verdict: &Verdict<'_>, env: &mut Env<'_>) -> Result<Step, Request> {
    let Some(fresh) = session(&request, env) else { return Err(request) };
    match fresh.upkeep(&env.config.session.lifetimes, env.now) {
        Upkeep::None => Ok(forward(request, fresh, verdict, Vec::new(), env)),
        Upkeep::Refresh => renewal::attend(request, fresh, verdict, Patience::MayWait, env),
        Upkeep::Write => {
            let cookies = write_again(&fresh, &request, env);
            Ok(forward(request, fresh, verdict, cookies, env))
        }
    }
}

/// Writes a session again, as seen now.
pub(super) fn write_again(fresh: &FreshSession, request: &Request, env: &mut Env<'_>) -> Vec<String> {
    let session = fresh.session().seen_at(env.now);
    match env.config.session.store {
        Some(_) => stored_again(&session, fresh, env),
        None => cookies_of(&session, request, env),
    }
}

/// Writes a stored session again; its cookie stays as it is, unless an old key sealed it.
fn stored_again(session: &Session, fresh: &FreshSession, env: &mut Env<'_>) -> Vec<String> {
    store::save_soon(session, env);
    if fresh.is_of_old_key() { reference_to(session, env).into_iter().collect() } else { Vec::new() }
}

/// The cookie that refers to a stored session.
///
/// # Errors
/// [`SealError`]
pub(super) fn reference_to(session: &Session, env: &Env<'_>) -> Result<String, SealError> {
    let settings = &env.config.session;
    Reference::cookie(session, &settings.cookies, &settings.sealer, env.now, env.platform)
}

/// The cookies of a session for the browser that sent this request. Where it cannot be written now, the next request
/// tries again; this one has a good session.
pub(super) fn cookies_of(session: &Session, request: &Request, env: &mut Env<'_>) -> Vec<String> {
    let present = env.config.session.cookies.present(request);
    write(session, present, env).unwrap_or_else(|error| {
        env.events.push(Event::NotWritten(error));
        Vec::new()
    })
}

/// The cookies of a session for a browser that has these.
///
/// # Errors
/// [`SealError`]
pub(super) fn write(session: &Session, present: Present, env: &mut Env<'_>) -> Result<Vec<String>, SealError> {
    let settings = &env.config.session;
    let to = Writing {
        cookies: &settings.cookies,
        present,
        lifetimes: &settings.lifetimes,
        sealer: &settings.sealer,
        now: env.now,
    };
    let sealed = session.seal(&to, env.platform)?;
    env.events.extend(sealed.left_out.into_iter().map(Event::LeftOut));
    Ok(sealed.cookies)
}

/// Cookies for the app's answer.
#[derive(Debug)]
pub struct LateCookies {
    lines: Vec<String>,
    session: FreshSession,
}

impl LateCookies {
    fn new(lines: &[String], session: &FreshSession) -> Option<Self> {
        (!lines.is_empty()).then(|| Self { lines: lines.to_vec(), session: session.clone() })
    }

    /// The `Set-Cookie` lines. An app may take its time: where the session has ended meanwhile, its cookies must not come
    /// back.
    pub fn lines(self, env: &mut Env<'_>) -> Vec<String> {
        env.revocations.look(env.platform);
        if is_ended(&self.session, env) { Vec::new() } else { self.lines }
    }
}

/// Upstream, as this person, if the rules let them pass; the answer brings the browser these cookies.
pub(super) fn forward(
    request: Request,
    fresh: FreshSession,
    verdict: &Verdict<'_>,
    cookies: Vec<String>,
    env: &mut Env<'_>,
) -> Step {
    let config = env.config;
    let Some(provider) = config.provider(fresh.session().provider()) else {
        return reply::refuse(Failure::SignInRequired, &Caller::of(&request), Offer::default(), env);
    };
    let late = LateCookies::new(&cookies, &fresh);
    let permit =
        match (verdict.admits(&fresh.session().claims_at(provider), provider.allow.as_ref()), verdict.optional()) {
            (Ok(admission), _) => Permit::session(fresh, &admission),
            // Everybody may pass here, and so may they, as nobody in particular.
            (Err(_), Some(proof)) => Permit::open(&proof),
            (Err(Refusal { cause: Cause::Unknown, .. }), None) => {
                return reply::with_cookies(sign_in::begin_again(request, verdict, provider.id, env), cookies);
            }
            (Err(refusal), None) => {
                let caller = Caller::of(&request).of_issuer(provider.id);
                return refuse(&request, &caller, refusal, &verdict.providers(), cookies, env);
            }
        };
    match identity::edits(&request, &permit, verdict, env) {
        Ok(edits) => {
            env.events.push(Event::Permitted(permit.reason()));
            Step::Forward { permit, edits, cookies: late }
        }
        Err(failure) => {
            let caller = Caller::of(&request).of_issuer(provider.id);
            reply::with_cookies(reply::refuse(failure, &caller, Offer::default(), env), cookies)
        }
    }
}

/// Says to somebody who is signed in that they may not pass, and how to come as somebody else.
fn refuse(
    request: &Request,
    caller: &Caller,
    refusal: Refusal<'_>,
    providers: &[IssuerId],
    cookies: Vec<String>,
    env: &mut Env<'_>,
) -> Step {
    let target = ReturnTo::parse(request.target(), &env.config.prefix);
    let href = sign_in::start(target.as_str(), providers, env) + "&prompt=select_account";
    let action = Some(Action::Link { label: "Use another account", href });
    let offer = Offer { action, cookies: Vec::new() };
    // Scripts get the cookies, too: whoever may not open this may open something else, with a session that was renewed.
    reply::with_cookies(reply::refuse(refusal.into(), caller, offer, env), cookies)
}
