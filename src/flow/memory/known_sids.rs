//! The sessions of providers (`sid`) that this process has seen lately, and the subject of each. A front-channel logout is
//! unauthenticated, so one with an unknown `sid` counts less (`By::Unauthenticated`).
//!
//! They are kept in many short lists, so that each is read and written in a few hundred bytes. One subject pushes out few
//! of the others: where a list is full, the oldest entry of the same subject goes first.

use crate::{
    config::Config,
    digest::HalfDigest,
    platform::Platform,
    session::{Session, open::RevocationKeys},
    shared::denylist::{Entry, Eviction, SharedDenylist},
    time::UnixTime,
};

/// Lists that the `sid`s are spread over.
const LISTS: u16 = 1024;
/// Entries of each list.
const CAPACITY: usize = 8;

/// The `sid`s that this process has seen.
#[derive(Debug)]
pub(in crate::flow) struct KnownSids {
    prefix: String,
    is_needed: bool,
}

impl KnownSids {
    /// None yet. Where no provider ends sessions, none are kept.
    pub(in crate::flow) fn new(config: &Config, platform: &dyn Platform) -> Self {
        let is_needed = config.sign_out.let_providers_end_sessions();
        let sids = Self { prefix: format!("vestibule.{}.sids", config.fingerprint), is_needed };
        if is_needed {
            (0..LISTS).for_each(|number| platform.shared_create(&sids.key(number), &[]));
        }
        sids
    }

    /// Remembers the `sid` of a valid session until this moment.
    pub(in crate::flow) fn add(
        &self,
        session: &Session,
        marks: &dyn Fn() -> RevocationKeys,
        until: UnixTime,
        now: UnixTime,
        platform: &dyn Platform,
    ) {
        if !self.is_needed || session.authentication().sid.is_none() {
            return;
        }
        let RevocationKeys { sid, subject, .. } = &marks();
        if self.find(sid, now, platform).is_some_and(|known| known.owner == Some(*subject) && known.forget_at >= until)
        {
            return;
        }
        let entry = Entry { digest: *sid, owner: Some(*subject), at: now, number: 0, forget_at: until };
        // An entry that could not be written is added when a worker opens the session next.
        let _ = list(&self.key_of(sid)).put(entry, now, platform);
    }

    /// The entry of this `sid`, with its subject and the moment at which it was first seen.
    pub(in crate::flow) fn find(&self, sid: &HalfDigest, now: UnixTime, platform: &dyn Platform) -> Option<Entry> {
        if !self.is_needed {
            return None;
        }
        let known = list(&self.key_of(sid)).entries(platform).list;
        known.into_iter().find(|known| known.digest == *sid && known.forget_at > now)
    }

    fn key_of(&self, sid: &HalfDigest) -> String {
        let [a, b, ..] = *sid;
        self.key(u16::from_le_bytes([a, b]) % LISTS)
    }

    fn key(&self, number: u16) -> String {
        format!("{}.{number}", self.prefix)
    }
}

const fn list(key: &str) -> SharedDenylist<'_> {
    SharedDenylist { key, capacity: CAPACITY, eviction: Eviction::SameOwner }
}
