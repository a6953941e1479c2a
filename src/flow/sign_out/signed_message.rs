//! Messages that a provider signs to end sessions, logout tokens and security event tokens. Each counts once.

use std::time::Duration;

use crate::{
    claims::IssuerId,
    digest::half_digest,
    session::open::RevocationKeys,
    shared::denylist::{DenylistError, Entry, Eviction, SharedDenylist},
    time::UnixTime,
};

use super::super::{
    context::{Env, RequestContext},
    event::{Event, failure::Failure},
    memory::revocations::{By, Revocation},
    session,
};

/// Messages that are remembered, so that none counts twice.
const CAPACITY: usize = 1024;
/// Upper bound of the time for which one is remembered: the age of a security event token, and a clock that is ahead.
const MAX_REMEMBERED: Duration = Duration::from_secs(25 * 60 * 60);

/// A message that ends sessions.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignedMessage(Entry);

impl SignedMessage {
    /// The message of this kind, provider and `jti`, which is refused after `expires` and the leeway.
    pub(super) fn new(kind: &str, provider: IssuerId, id: &str, expires: UnixTime, env: &Env<'_>) -> Self {
        let keep = expires.plus(env.config.leeway.span()).since(env.now()).min(MAX_REMEMBERED);
        Self(Entry::now(half_digest(kind, &[provider.as_bytes(), id.as_bytes()]), env.now(), keep))
    }

    /// Ends these sessions. The answer comes once every Envoy can know it: where that fails the provider is told to try again, and
    /// the message still counts as new then. One that is sent again says nothing new: were it to count again, it would end a
    /// session begun since.
    pub(super) async fn end_once(
        self,
        revocations: Vec<Revocation>,
        event: Event,
        cx: &RequestContext,
    ) -> Result<(), Failure> {
        let is_new = cx.with(|env| {
            if self.is_used(env) {
                return Ok(false);
            }
            env.events.push(event);
            for revocation in &revocations {
                match session::end_here(revocation, By::Provider, env) {
                    // The list has no room, but the store takes it.
                    Err(DenylistError::Full) if env.config.session.store.is_some() => {}
                    Err(_) => return Err(Failure::Busy),
                    Ok(()) => {}
                }
                // Should the provider not wait for the answer, it is done all the same.
                session::store::end_soon(revocation, move |env| self.remember(env), env);
            }
            Ok(true)
        })??;
        if !is_new {
            return Ok(());
        }
        if let Some(store) = &cx.config().session.store {
            session::store::end(store, &revocations, cx).await?;
        }
        cx.with(|env| self.remember(env))
    }

    /// Remembers a message whose sessions are ended.
    fn remember(self, env: &mut Env<'_>) {
        // In doubt it counts again: a user who is signed out too often signs in again.
        let _ = used_messages(&key(env)).claim(self.0, env.now(), env.platform);
    }

    fn is_used(self, env: &Env<'_>) -> bool {
        let used = used_messages(&key(env)).entries(env.platform).list;
        used.iter().any(|entry| entry.digest == self.0.digest)
    }
}

/// The sessions of a subject, a `sid` or both (Back-Channel Logout 1.0, 2.4): with a `sid`, those with this `sid`, and those of its
/// subject without a `sid`; without a `sid`, all sessions of its subject.
pub(super) fn revocations(
    provider: IssuerId,
    subject: Option<&str>,
    sid: Option<&str>,
    env: &Env<'_>,
) -> Vec<Revocation> {
    let subject = subject.map(|subject| RevocationKeys::of_subject(provider, subject));
    let of = |mark, owner| Revocation::of(mark, owner, &env.config.session.lifetimes, env.now());
    match sid {
        Some(sid) => {
            let sid = RevocationKeys::of_sid(provider, sid);
            let owner = subject.or_else(|| env.revocations.subject_of(&sid, env.now(), env.platform));
            let nameless = subject.as_ref().map(RevocationKeys::of_subject_without_sid);
            [Some(sid), nameless].into_iter().flatten().map(|mark| of(mark, owner)).collect()
        }
        None => subject.map(|mark| of(mark, subject)).into_iter().collect(),
    }
}

fn key(env: &Env<'_>) -> String {
    format!("vestibule.{}.logout_tokens_heard", env.config.fingerprint)
}

const fn used_messages(key: &str) -> SharedDenylist<'_> {
    SharedDenylist { key, capacity: CAPACITY, eviction: Eviction::Oldest }
}
