//! Sessions in a store (`session.store`). Where the store does not answer, a request is neither let in nor sent to sign in:
//! 503, until it does.

use std::time::Duration;

use crate::{
    claims::IssuerId,
    http::CalloutRequest,
    secret::RefreshToken,
    session::{
        Session,
        store::{Order, Reference, Store, StoreError, Updated},
    },
};

use super::{
    super::{
        context::{CalloutResult, Env, TaskContext},
        event::{Event, failure::Failure},
        memory::revocations::Revocation,
        retry::Retries,
    },
    revocation::revoke,
};

/// The time between two tries to write what the store did not take.
const PAUSE: Duration = Duration::from_secs(5);
/// How long that is tried. By then other processes have found the session as it was before.
const MAX_RETRYING: Duration = Duration::from_secs(600);

/// Loads a session.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn load(
    store: &Store,
    reference: &Reference,
    cx: &TaskContext,
) -> Result<Option<Session>, StoreError> {
    let answer = cx.call(store.load(reference)).await;
    Store::load_answer(answer, reference, &cx.config().session.sealer, cx.platform())
}

/// Saves a new session, as one that has begun after what another process has ended.
///
/// # Errors
/// [`Failure::Store`], [`Failure::NotWritten`]
pub(in crate::flow) async fn save(store: &Store, mut session: Session, cx: &TaskContext) -> Result<(), Failure> {
    let answer = cx.call(store.load(&Reference::of(&session))).await;
    session.begin_after_stored(Store::last_ends_answer(answer)?);
    let settings = &cx.config().session;
    let life = session.ends(&settings.lifetimes).since(cx.now());
    let answer = cx.call(store.save(&session, life, &settings.sealer, cx.platform())?).await;
    Ok(Store::save_answer(answer)?)
}

/// Deletes a session.
///
/// # Errors
/// [`Failure::Store`]
pub(in crate::flow) async fn delete(store: &Store, session: &Session, cx: &TaskContext) -> Result<(), Failure> {
    let answer = cx.call(store.delete(&session.digest())).await;
    Ok(Store::delete_answer(answer)?)
}

/// Ends the sessions of these revocations.
///
/// # Errors
/// [`Failure::Store`]
pub(in crate::flow) async fn end(store: &Store, revocations: &[Revocation], cx: &TaskContext) -> Result<(), Failure> {
    for revocation in revocations.iter().rev() {
        let life = revocation.until.since(cx.now());
        Store::end_answer(cx.call(store.end(&revocation.mark, life, cx.now(), Order::Last)).await)?;
    }
    Ok(())
}

/// Saves the session in the background; if that fails, the next request saves it.
pub(in crate::flow) fn save_soon(session: &Session, env: &mut Env<'_>) {
    let settings = &env.config.session;
    let Some(store) = &settings.store else { return };
    let life = session.ends(&settings.lifetimes).since(env.now());
    match store.update(session, life, &settings.sealer, env.platform) {
        Ok(request) => {
            env.stored.forget(session);
            let (provider, token) = (session.provider(), session.refresh_token().cloned());
            env.spawn(move |cx| write_session(request, provider, token, cx));
        }
        Err(error) => env.events.push(Event::NotWritten(error)),
    }
}

async fn write_session(
    request: CalloutRequest,
    provider: IssuerId,
    token: Option<RefreshToken>,
    cx: TaskContext,
) -> Result<(), Failure> {
    match write(request, Store::update_answer, &cx).await? {
        // The session is gone, and with it the use of its refresh token.
        Some(Updated::Gone) => cx.with(|env| revoke(provider, token, env)),
        Some(_) | None => Ok(()),
    }
}

/// Ends sessions in the store in the background, then calls `then`.
pub(in crate::flow) fn end_soon(revocation: &Revocation, then: impl FnOnce(&mut Env<'_>) + 'static, env: &mut Env<'_>) {
    let Some(store) = &env.config.session.store else { return };
    let request = store.end(&revocation.mark, revocation.until.since(env.now()), env.now(), Order::Repeated);
    env.spawn(move |cx| async move {
        if write(request, Store::end_answer, &cx).await?.is_some() {
            cx.with(then)?;
        }
        Ok(())
    });
}

/// Makes this write, and makes it again where the store does not take it: otherwise other processes go on with a refresh
/// token that is used, or with a session that has ended. `None` where it was given up.
async fn write<T>(
    request: CalloutRequest,
    read: fn(CalloutResult) -> Result<T, StoreError>,
    cx: &TaskContext,
) -> Result<Option<T>, Failure> {
    let retries = Retries { slots: &cx.limits().retried_writes, pause: PAUSE, longest: MAX_RETRYING };
    let attempt = async || Ok(read(cx.call(request.clone()).await));
    cx.retry(retries, attempt, |_| true, |error, env| env.events.push(Event::NotStored(error))).await
}
