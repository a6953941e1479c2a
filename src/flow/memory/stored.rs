//! Sessions of the store that a worker keeps for a short time (`session.store.cache_seconds`).

use std::{collections::HashMap, time::Duration};

use crate::{
    digest::HalfDigest,
    session::{Session, open::FreshSession, store::Reference},
    time::UnixTime,
};

/// Sessions that a worker keeps.
const MAX_SESSIONS: usize = 512;

/// The sessions of the store that this worker has loaded lately.
#[derive(Debug, Default)]
pub(in crate::flow) struct CachedSessions(HashMap<HalfDigest, (FreshSession, UnixTime)>);

impl CachedSessions {
    /// The session of this reference, kept for so long at most.
    pub(in crate::flow) fn find(&self, reference: &Reference, cache: Duration, now: UnixTime) -> Option<&FreshSession> {
        let (session, until) = self.0.get(reference.session_digest())?;
        // An end that is farther away was written before the clock was set back.
        (now < *until && *until <= now.plus(cache)).then_some(session)
    }

    /// Keeps the session of this reference for so long.
    pub(in crate::flow) fn keep(
        &mut self,
        reference: &Reference,
        session: &FreshSession,
        cache: Duration,
        now: UnixTime,
    ) {
        if cache.is_zero() {
            return;
        }
        if self.0.len() >= MAX_SESSIONS {
            self.0.clear();
        }
        self.0.insert(*reference.session_digest(), (session.clone(), now.plus(cache)));
    }

    /// Forgets this session.
    pub(in crate::flow) fn forget(&mut self, session: &Session) {
        self.0.remove(&session.digest());
    }

    /// Forgets all: which sessions an end concerns is not known.
    pub(in crate::flow) fn clear(&mut self) {
        self.0.clear();
    }
}
