//! Sessions that were ended from outside before their time: by the provider (back-channel and front-channel logout), by
//! a refusal to renew them, or by a sign-out in their own browser, of which somebody may have a copy of the cookie.
//!
//! A session in a cookie cannot be taken back, so what ended is remembered for all workers of the process, until the
//! longest session is over by itself: a bounded list, the oldest first to go. Other processes do not know of it; a
//! store of sessions does (`session.store`).

use std::{collections::HashMap, time::Duration};

use crate::{
    config::Config,
    digest::HalfDigest,
    platform::{Conflict, Platform},
    session::{Session, open::Marks},
    time::{Leeway, UnixTime},
};

use super::{
    Env,
    ring::{Entry, Ring},
    store,
};

/// How many ends are remembered, of each kind: 128 KiB.
const CAPACITY: usize = 4096;
/// How far ahead of now a mark may be that a new session begins after: it must still count as fresh then.
const MAX_AHEAD: Duration = Duration::from_secs(Leeway::MAX_SECS - 5);

/// Who ended a session. The lists are apart, so that many people who sign out do not push out what a provider ended, nor
/// does anybody who opens the front-channel path with names of their own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A browser, which says that the provider says so.
    Frame,
    /// Whoever it belongs to.
    Person,
    /// The provider.
    Provider,
    /// A refresh that the provider refused.
    Refusal,
}

/// What this worker knows of it.
#[derive(Debug)]
pub struct Revocations {
    lists: [List; 4],
}

#[derive(Debug)]
struct List {
    key: String,
    /// Written with every change: a few bytes to read for every request, where the list itself is long.
    changes: String,
    seen: Option<u32>,
    ended: HashMap<HalfDigest, UnixTime>,
}

impl Revocations {
    /// Nothing is known yet.
    pub fn new(config: &Config, platform: &dyn Platform) -> Self {
        let list = |name: &str| List::new(format!("vestibule.{}.{name}", config.fingerprint), platform);
        Self { lists: [list("framed"), list("signed_out"), list("ended"), list("refused")] }
    }

    /// Takes over what other workers have added.
    pub fn look(&mut self, platform: &dyn Platform) {
        self.lists.iter_mut().for_each(|list| list.look(platform));
    }

    /// Whether this session was ended.
    fn has(&self, session: &Session, marks: &Marks) -> bool {
        self.lists.iter().any(|list| list.has(session, marks))
    }

    fn of(&mut self, by: By) -> &mut List {
        let [frame, person, provider, refusal] = &mut self.lists;
        match by {
            By::Frame => frame,
            By::Person => person,
            By::Provider => provider,
            By::Refusal => refusal,
        }
    }
}

impl List {
    fn new(key: String, platform: &dyn Platform) -> Self {
        platform.shared_create(&key, &[]);
        Self { changes: format!("{key}.changes"), key, seen: None, ended: HashMap::new() }
    }

    fn look(&mut self, platform: &dyn Platform) {
        let version = platform.shared_get(&self.changes).version;
        if version == self.seen {
            return;
        }
        self.seen = version;
        let entries = self.ring().entries(platform);
        self.ended = entries.into_iter().map(|entry| (entry.digest, entry.at)).collect();
    }

    fn has(&self, session: &Session, marks: &Marks) -> bool {
        if self.ended.is_empty() {
            return false;
        }
        let Marks { session: itself, subject, sid } = marks;
        // Who signs in again afterwards has a new session.
        let is_ended = |mark| self.ended.get(mark).is_some_and(|at| session.had_begun(*at));
        self.ended.contains_key(itself) || is_ended(subject) || is_ended(sid)
    }

    fn add(
        &mut self,
        mark: HalfDigest,
        config: &Config,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<(), Conflict> {
        let at = self.ended.entry(mark).or_insert(now);
        *at = now.max(*at);
        let entry = Entry::now(mark, now, longest_life(config));
        self.ring().put(entry, now, platform)?;
        platform.shared_set(&self.changes, &[], None)
    }

    fn ring(&self) -> Ring<'_> {
        Ring { key: &self.key, capacity: CAPACITY }
    }
}

/// How long an end is remembered: a session may have begun by a clock that was a little ahead.
pub(super) fn longest_life(config: &Config) -> Duration {
    config.session.lifetimes.absolute.saturating_add(Duration::from_secs(Leeway::MAX_SECS))
}

/// Whether this session was ended before its time.
pub(super) fn is_ended(session: &Session, marks: &Marks, env: &mut Env<'_>) -> bool {
    // Where a provider can end sessions, it counts at once, for every worker; a sign-out counts at once in its own, and a
    // second later in the others.
    let sign_out = &env.config.sign_out;
    if sign_out.back_channel || sign_out.front_channel {
        env.revocations.of(By::Provider).look(env.platform);
    }
    if sign_out.front_channel {
        env.revocations.of(By::Frame).look(env.platform);
    }
    env.revocations.has(session, marks)
}

/// Lets a new session begin after everything that would end it: who signs in the second after they were signed out, or
/// while the clock is a little behind, is in.
pub(super) fn begin_after(session: &mut Session, env: &mut Env<'_>) {
    env.revocations.look(env.platform);
    let marks = Marks::of(session);
    let known =
        env.revocations.lists.iter().flat_map(|list| [marks.subject, marks.sid].map(|mark| list.ended.get(&mark)));
    begin_after_ends(session, known.flatten().copied(), env.now);
}

/// The same, for these ends.
pub(super) fn begin_after_ends(session: &mut Session, ends: impl Iterator<Item = UnixTime>, now: UnixTime) {
    // An end from far ahead is from before a clock was set back: nobody can tell what it means to this session.
    if let Some(last) = ends.filter(|at| *at <= now.plus(MAX_AHEAD)).max() {
        session.begin_after(last);
    }
}

/// Ends every session with this mark that has begun by now.
pub(super) fn end(mark: HalfDigest, by: By, env: &mut Env<'_>) {
    // Where too many others write at once, this worker knows it at least, for a while; and the browser has lost its cookie.
    let _ = end_here(mark, by, env);
    store::end_soon(&mark, None, env);
}

/// The same, in this process alone.
///
/// # Errors
/// [`Conflict`] where too many others write at once: the other workers do not know it.
pub(super) fn end_here(mark: HalfDigest, by: By, env: &mut Env<'_>) -> Result<(), Conflict> {
    store::forget(env);
    env.revocations.of(by).add(mark, env.config, env.now, env.platform)
}
