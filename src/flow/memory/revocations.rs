//! Sessions that were ended from outside before their time: by the provider (back-channel and front-channel logout), by
//! a refusal to renew them, or by a sign-out in their own browser, since its cookie may have been copied.
//!
//! A session in a cookie cannot be taken back, so what ended is remembered for all workers of the process, for as long
//! as it could live, in bounded lists. A flood of ends brings no other session back: in a full list the subject with the most
//! ends makes room, and unauthenticated ends stand in a list of their own, which takes nothing new once it is full. Other
//! processes do not know of them, unless there is a store of sessions (`session.store`).

use std::{collections::HashMap, time::Duration};

use crate::{
    config::{Config, SignOutSettings},
    digest::HalfDigest,
    platform::Platform,
    session::{END_LISTS, EarlierEnds, End, EndOf, Lifetimes, Session, open::RevocationKeys},
    shared::denylist::{DenylistError, Entry, Eviction, SharedDenylist},
    time::{Leeway, UnixTime},
};

use super::known_sids::KnownSids;

/// Ends that are remembered, of each kind. In a full list the subject with the most entries gives room: the older half of its
/// entries becomes one end of all its sessions that had begun by then.
pub(in crate::flow) const MAX_ENDS: usize = 4096;
/// Unauthenticated ends that are remembered.
const UNAUTHENTICATED: usize = 1024;
/// Unauthenticated ends that a worker writes in a minute.
const MAX_UNAUTHENTICATED: u32 = 120;

/// The cause of an end. Each has its own list, so that many sign-outs do not push out ends of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) enum By {
    /// A front-channel logout with a `sid` that this process has seen.
    Frame,
    /// The user, by signing out.
    Person,
    /// The provider.
    Provider,
    /// A renewal that ended the session: refused, contradicted, or gone from the store.
    Refusal,
    /// A front-channel logout with a `sid` that this process has not seen: it may be made up.
    Unauthenticated,
}

/// Sessions that end.
#[derive(Debug, Clone, Copy)]
pub(in crate::flow) struct Revocation {
    /// The sessions with this mark.
    pub(in crate::flow) mark: HalfDigest,
    /// The mark of their subject, where it is known.
    pub(in crate::flow) subject: Option<HalfDigest>,
    /// When the last of them is over by itself.
    pub(in crate::flow) until: UnixTime,
}

impl Revocation {
    /// All sessions with this mark that have begun by now, by a clock that may be a little ahead.
    pub(in crate::flow) fn of(
        mark: HalfDigest,
        subject: Option<HalfDigest>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Self {
        let life = lifetimes.absolute.saturating_add(Duration::from_secs(Leeway::MAX_SECS));
        Self { mark, subject, until: now.plus(life) }
    }

    /// One session.
    pub(in crate::flow) fn of_session(session: &Session, lifetimes: &Lifetimes) -> Self {
        let RevocationKeys { session: mark, subject, .. } = RevocationKeys::of(session);
        Self { mark, subject: Some(subject), until: session.ends_at_latest(lifetimes) }
    }
}

/// The ended sessions that this worker knows.
#[derive(Debug)]
pub(in crate::flow) struct Revocations {
    lists: [List; END_LISTS],
    sids: KnownSids,
    /// The key under which the workers share the name of this process.
    process_key: String,
    /// The random name of this process, which tells its ends from those of other processes.
    process: HalfDigest,
    /// The minute in which unauthenticated ends were last written, and how many.
    unauthenticated: (u64, u32),
}

#[derive(Debug)]
struct List {
    key: String,
    /// Written with every change: a few bytes to read for every request, where the list itself is long.
    changes: String,
    eviction: Eviction,
    seen: Option<u32>,
    /// The highest number that was given out.
    last: u64,
    ended: HashMap<HalfDigest, End>,
}

impl Revocations {
    /// The ends of sessions that the workers of this process know. Without it, a worker that begins later, with another configuration or
    /// after a crash, would accept copies of ended sessions until its first tick.
    pub(in crate::flow) fn new(config: &Config, platform: &dyn Platform) -> Self {
        let list = |name: &str, eviction| {
            List::new(format!("vestibule.{}.ends.{name}", config.fingerprint), eviction, platform)
        };
        let process_key = format!("vestibule.{}.ends.process", config.fingerprint);
        let mut process = HalfDigest::default();
        // Without randomness there are no sign-ins.
        let _ = platform.random(&mut process);
        platform.shared_create(&process_key, &process);
        let process = platform.shared_get(&process_key).bytes.try_into().unwrap_or(process);
        let mut revocations = Self {
            lists: [
                list("framed", Eviction::LargestOwner),
                list("signed_out", Eviction::LargestOwner),
                list("by_provider", Eviction::LargestOwner),
                list("refused", Eviction::LargestOwner),
                list("unauthenticated", Eviction::Never),
            ],
            sids: KnownSids::new(config, platform),
            process_key,
            process,
            unauthenticated: (0, 0),
        };
        revocations.look(platform);
        revocations
    }

    /// Takes over what other workers have added.
    pub(in crate::flow) fn look(&mut self, platform: &dyn Platform) {
        // Of workers that begin at the same time, the last one to write gives the name.
        if let Ok(process) = platform.shared_get(&self.process_key).bytes.try_into() {
            self.process = process;
        }
        self.lists.iter_mut().for_each(|list| list.look(platform));
    }

    /// Whether this session was ended.
    fn has(&self, session: &Session, marks: &dyn Fn() -> RevocationKeys) -> bool {
        self.lists.iter().enumerate().any(|(number, list)| list.has(session, marks, number, &self.process))
    }

    fn of(&mut self, by: By) -> &mut List {
        let [frame, person, provider, refusal, unauthenticated] = &mut self.lists;
        match by {
            By::Frame => frame,
            By::Person => person,
            By::Provider => provider,
            By::Refusal => refusal,
            By::Unauthenticated => unauthenticated,
        }
    }

    /// Whether one more unauthenticated end may be written.
    fn takes_unauthenticated(&mut self, now: UnixTime) -> bool {
        let minute = now.as_secs() / 60;
        let (before, count) = self.unauthenticated;
        let count = if before == minute { count.saturating_add(1) } else { 1 };
        self.unauthenticated = (minute, count);
        count <= MAX_UNAUTHENTICATED
    }
}

impl Revocations {
    /// Whether this session was ended before its time. Its marks are needed only where something was ended.
    pub(in crate::flow) fn is_ended(
        &mut self,
        session: &Session,
        marks: &dyn Fn() -> RevocationKeys,
        sign_out: &SignOutSettings,
        platform: &dyn Platform,
    ) -> bool {
        // Where a provider can end sessions, it counts at once, for every worker; a sign-out, and an unauthenticated end,
        // counts at once in its own, and within a second in the others, so that a flood does not slow down every request.
        if sign_out.let_providers_end_sessions() {
            self.of(By::Provider).look(platform);
        }
        if sign_out.front_channel {
            self.of(By::Frame).look(platform);
        }
        self.has(session, marks)
    }

    /// Lets a new session begin after everything that would end it: a sign-in in the second after a sign-out, or while the
    /// clock is a little behind, counts. Ends that are issued from now on end it, also within the same second.
    pub(in crate::flow) fn begin_after(&mut self, session: &mut Session, platform: &dyn Platform) {
        self.look(platform);
        let numbers = self.lists.each_ref().map(|list| list.last);
        session.begin_after(EarlierEnds { process: self.process, numbers, stored: [UnixTime::default(); 2] });
    }

    /// Remembers the `sid` of a session.
    pub(in crate::flow) fn remember_sid(
        &self,
        session: &Session,
        marks: &dyn Fn() -> RevocationKeys,
        lifetimes: &Lifetimes,
        now: UnixTime,
        platform: &dyn Platform,
    ) {
        self.sids.add(session, marks, session.ends_at_latest(lifetimes), now, platform);
    }

    /// The subject of this `sid`, where this process has seen it.
    pub(in crate::flow) fn subject_of(
        &self,
        sid: &HalfDigest,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Option<HalfDigest> {
        self.sids.find(sid, now, platform)?.owner
    }

    /// The subject of the `sid` of a front-channel logout, and how much its word counts. `None` where too many
    /// unauthenticated ones came in this minute.
    pub(in crate::flow) fn framed(
        &mut self,
        sid: &HalfDigest,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Option<(Option<HalfDigest>, By)> {
        let known = self.sids.find(sid, now, platform);
        let frames = self.of(By::Frame);
        frames.look(platform);
        let ended = frames.ended.get(sid).map(|end| end.at);
        // A repetition ends nothing new, so it counts as unauthenticated.
        let is_new = known.is_some_and(|known| ended.is_none_or(|at| at <= known.at));
        if !is_new && !self.takes_unauthenticated(now) {
            return None;
        }
        let by = if known.is_some() || ended.is_some() { By::Frame } else { By::Unauthenticated };
        Some((known.and_then(|known| known.owner), by))
    }

    /// Ends these sessions, in this process.
    ///
    /// # Errors
    /// [`DenylistError`]: the other workers do not know it.
    pub(in crate::flow) fn end(
        &mut self,
        revocation: &Revocation,
        by: By,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<(), DenylistError> {
        self.of(by).add(revocation, now, platform)
    }
}

impl List {
    fn new(key: String, eviction: Eviction, platform: &dyn Platform) -> Self {
        platform.shared_create(&key, &[]);
        Self { changes: format!("{key}.changes"), key, eviction, seen: None, last: 0, ended: HashMap::new() }
    }

    fn look(&mut self, platform: &dyn Platform) {
        let version = platform.shared_get(&self.changes).version;
        if version == self.seen {
            return;
        }
        self.seen = version;
        let entries = self.denylist().entries(platform);
        self.last = entries.last;
        self.ended =
            entries.list.into_iter().map(|Entry { digest, at, number, .. }| (digest, End { at, number })).collect();
    }

    fn has(&self, session: &Session, marks: &dyn Fn() -> RevocationKeys, number: usize, process: &HalfDigest) -> bool {
        if self.ended.is_empty() {
            return false;
        }
        let RevocationKeys { session: itself, subject, sid } = &marks();
        // Who signs in again afterwards has a new session.
        let is_ended =
            |mark, of| self.ended.get(mark).is_some_and(|end| session.is_ended_by(*end, of, number, process));
        self.ended.contains_key(itself) || is_ended(subject, EndOf::Subject) || is_ended(sid, EndOf::Sid)
    }

    fn add(&mut self, revocation: &Revocation, now: UnixTime, platform: &dyn Platform) -> Result<(), DenylistError> {
        let Revocation { mark, subject, until } = *revocation;
        let entry = Entry { digest: mark, owner: subject, at: now, number: 0, forget_at: until };
        let written = self.denylist().put(entry, now, platform);
        if written != Err(DenylistError::Full) {
            let number = written.unwrap_or(self.last.saturating_add(1));
            let known = self.ended.entry(mark).or_insert(End { at: now, number });
            *known = End { at: known.at.max(now), number: known.number.max(number) };
        }
        written?;
        let _ = platform.shared_set(&self.changes, &[], None);
        Ok(())
    }

    fn denylist(&self) -> SharedDenylist<'_> {
        let capacity = if self.eviction == Eviction::Never { UNAUTHENTICATED } else { MAX_ENDS };
        SharedDenylist { key: &self.key, capacity, eviction: self.eviction }
    }
}
