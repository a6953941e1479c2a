//! The session of a request: found, kept up, written and ended.

pub(super) mod renew;
pub(super) mod renewal;
pub(super) mod revocation;
pub(super) mod store;

use crate::{
    http::Request,
    session::{
        CookieWriter, SealError, Session,
        chunks::Present,
        cookie::SameSite,
        open::{FreshSession, RevocationKeys},
        store::Reference,
    },
    shared::denylist::DenylistError,
};

use super::{
    answer::caller::is_sent_by_other_site,
    context::{Env, TaskContext},
    event::{Event, failure::Failure},
    memory::revocations::{By, Revocation},
};

/// The session of a request, or the reference that it can be loaded by.
pub(super) enum Found {
    /// The session, if there is a good one.
    Known(Option<FreshSession>),
    /// The store must be asked.
    Stored(Reference),
}

/// Finds the session of this request.
pub(super) fn find(request: &Request, env: &mut Env<'_>) -> Found {
    let settings = &env.config.session;
    // Without the attribute, the cookie comes with requests that another site forges.
    if settings.cookies.same_site() != SameSite::Lax && is_sent_by_other_site(request, env.origin().as_str()) {
        return Found::Known(None);
    }
    let Some(store) = &settings.store else {
        let opened = env.sessions.open(request, &settings.sealer, env.platform);
        return Found::Known(opened.and_then(|opened| {
            let now = env.now_near(opened.next_change(&settings.lifetimes));
            accepted(opened.fresh(&settings.lifetimes, now)?, env)
        }));
    };
    match Reference::read(request, &settings.cookies, &settings.sealer, env.now()) {
        None => Found::Known(None),
        Some(reference) => match env.stored.find(&reference, store.cache, env.now()).cloned() {
            Some(session) => Found::Known(accepted(session, env)),
            None => Found::Stored(reference),
        },
    }
}

/// Loads the session of this reference from the store.
///
/// # Errors
/// [`Failure::Store`]
pub(super) async fn load(reference: Reference, cx: &TaskContext) -> Result<Option<FreshSession>, Failure> {
    let settings = &cx.config().session;
    let Some(store) = &settings.store else { return Ok(None) };
    let session = store::load(store, &reference, cx).await?;
    let session = session
        .and_then(|session| FreshSession::stored(session, reference.has_retired_key, &settings.lifetimes, cx.now()));
    cx.with(|env| {
        let session = session?;
        env.stored.keep(&reference, &session, store.cache, env.now());
        accepted(session, env)
    })
}

/// The session, if it counts at this site, its provider is still configured and nothing has ended it.
#[inline(never)]
fn accepted(session: FreshSession, env: &mut Env<'_>) -> Option<FreshSession> {
    // An app that gets hold of a session's cookie cannot use it at the other hosts.
    if env.session_site() != Some(session.session().site()) {
        return None;
    }
    // Only its provider can say what a session may do.
    env.config.provider(session.session().provider())?;
    if env.is_ended(&session) {
        return None;
    }
    if session.take_first_use() {
        remember_sid(session.session(), &|| *session.revocation_keys(), env);
    }
    Some(session)
}

/// Remembers the provider's name of this session, for its front-channel logout.
fn remember_sid(session: &Session, keys: &dyn Fn() -> RevocationKeys, env: &Env<'_>) {
    env.revocations.remember_sid(session, keys, &env.config.session.lifetimes, env.now(), env.platform);
}

/// Lets a new session begin after everything that would end it.
pub(super) fn begin_after_ends(session: &mut Session, env: &mut Env<'_>) {
    env.revocations.begin_after(session, env.platform);
    remember_sid(session, &|| RevocationKeys::of(session), env);
}

/// Writes a session again, as seen now; the cookies go to the browser that sent this request.
pub(super) fn write_again(fresh: &FreshSession, request: &Request, env: &mut Env<'_>) -> Vec<String> {
    let session = fresh.session().seen_at(env.now());
    if env.config.session.store.is_none() {
        return cookies_of(&session, request, env);
    }
    store::save_soon(&session, env);
    // The cookie of a stored session stays as it is, unless an old key sealed it.
    if fresh.has_retired_key() { reference_to(&session, env).into_iter().collect() } else { Vec::new() }
}

/// The cookie that refers to a stored session.
///
/// # Errors
/// [`SealError`]
pub(super) fn reference_to(session: &Session, env: &Env<'_>) -> Result<String, SealError> {
    let settings = &env.config.session;
    Reference::cookie(session, &settings.cookies, &settings.sealer, env.now(), env.platform)
}

/// The cookies of a session for the browser that sent this request. A session that cannot be written now is good all the
/// same: the next request tries again.
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
    let to = CookieWriter {
        cookies: &settings.cookies,
        present,
        lifetimes: &settings.lifetimes,
        sealer: &settings.sealer,
        now: env.now(),
    };
    let sealed = session.seal(&to, env.platform)?;
    env.events.extend(sealed.left_out.into_iter().map(Event::LeftOut));
    Ok(sealed.cookies)
}

/// Ends one session, for all workers and in the store.
pub(super) fn end(session: &Session, by: By, env: &mut Env<'_>) {
    let revocation = Revocation::of_session(session, &env.config.session.lifetimes);
    // Where too many other workers write at once, this one at least knows it, and the browser has lost its cookie.
    let _ = end_here(&revocation, by, env);
    store::end_soon(&revocation, |_| {}, env);
}

/// Ends these sessions, in this process alone.
///
/// # Errors
/// [`DenylistError`]: the other workers do not know it.
pub(super) fn end_here(revocation: &Revocation, by: By, env: &mut Env<'_>) -> Result<(), DenylistError> {
    env.stored.clear();
    env.revocations.end(revocation, by, env.now(), env.platform)
}
