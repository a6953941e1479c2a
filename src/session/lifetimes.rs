//! How long sessions last, when they are to be renewed, and when to be written again.

use std::time::Duration;

use super::Session;
use crate::{
    digest::HalfDigest,
    secret::RefreshToken,
    time::{Leeway, UnixTime},
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

/// How long before its end an access token is renewed, as a part of its life.
const AHEAD: u32 = 5;
/// Upper bound of the time by which a token is renewed before its end.
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// The shortest life of an access token that is renewed before its end.
pub const MIN_TOKEN_LIFE: Duration = Duration::from_secs(5);
/// A shorter one counts as good for this long, so that not every request becomes a refresh.
const ASSUMED_SHORT_LIFE: Duration = Duration::from_secs(30);
/// The life of a token for which the provider names none.
pub(super) const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The idle timeout slides in steps of this part of it: not every answer sets a cookie.
const IDLE_STEP: u32 = 10;

/// How far the clocks of Envoys that share keys may be apart: ends by another process are compared by clock.
const SKEW: Duration = Duration::from_secs(2);

/// The lists in which a process keeps ends, one for each kind of cause.
pub const END_LISTS: usize = 5;

/// The ends that were issued before a session began. They do not end it; every later one of its subject or `sid` does. The
/// order is that of the numbers; clocks decide only about an end that another process has issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierEnds {
    /// The process that issued them.
    pub process: HalfDigest,
    /// The number of the last one in each of its lists.
    pub numbers: [u64; END_LISTS],
    /// The last ends of the subject and of the `sid` in the store; zero where there is none.
    pub stored: [UnixTime; 2],
}

impl EarlierEnds {
    pub(super) fn encode(&self) -> Vec<u8> {
        let numbers = self.numbers.into_iter().chain(self.stored.map(UnixTime::as_secs)).map(Number);
        wire::write(&[Bytes(&self.process)].into_iter().chain(numbers).collect::<Vec<_>>()).to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [process, a, b, c, d, e, subject, sid] = wire::read(bytes)?;
        Some(Self {
            process: process.bytes()?.try_into().ok()?,
            numbers: [a.number()?, b.number()?, c.number()?, d.number()?, e.number()?],
            stored: [UnixTime::from_secs(subject.number()?), UnixTime::from_secs(sid.number()?)],
        })
    }
}

/// The sessions that an end is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOf {
    /// Those of a subject.
    Subject = 0,
    /// Those of one session at the provider.
    Sid = 1,
}

/// An end of all sessions of a subject, or of a `sid`, that have begun by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// When it was issued.
    pub at: UnixTime,
    /// Its number in its list.
    pub number: u64,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// From the sign-in, whatever happens.
    pub absolute: Duration,
    /// From one request to the next.
    pub idle: Option<Duration>,
    /// Whether refresh tokens are used.
    pub refresh: bool,
}

/// What renews a session: a refresh token, and how long the access token that came with it is good.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(super) refresh_token: RefreshToken,
    pub(super) granted: UnixTime,
    pub(super) expires: UnixTime,
    /// When it is renewed; worked out once, and asked with every request.
    due: UnixTime,
}

impl Grant {
    /// A grant of now.
    pub fn new(refresh_token: RefreshToken, life: Option<Duration>, now: UnixTime) -> Self {
        let life = life.unwrap_or(DEFAULT_TOKEN_LIFE);
        let life = if life < MIN_TOKEN_LIFE { ASSUMED_SHORT_LIFE } else { life };
        Self::from_to(refresh_token, now, now.plus(life))
    }

    pub(super) fn from_to(refresh_token: RefreshToken, granted: UnixTime, expires: UnixTime) -> Self {
        let ahead = expires.since(granted).checked_div(AHEAD).unwrap_or_default().min(MAX_AHEAD);
        Self { refresh_token, granted, expires, due: expires.minus(ahead) }
    }

    /// The same grant with another refresh token.
    pub(super) fn with(self, refresh_token: RefreshToken) -> Self {
        Self { refresh_token, ..self }
    }
}

impl Session {
    /// Lets it begin after these ends.
    pub fn begin_after(&mut self, ends: EarlierEnds) {
        self.earlier_ends = Some(ends);
    }

    /// Lets it begin after the ends of its subject and its `sid` in the store.
    pub fn begin_after_stored(&mut self, stored: [UnixTime; 2]) {
        if let Some(ends) = &mut self.earlier_ends {
            ends.stored = stored;
        }
    }

    /// Whether this end of its subject or `sid` ends it. `list` is the list that has the end, and `process` our own process.
    pub fn is_ended_by(&self, end: End, of: EndOf, list: usize, process: &HalfDigest) -> bool {
        let Some(earlier) = &self.earlier_ends else { return self.had_begun(end.at) };
        if earlier.process == *process {
            return earlier.numbers.get(list).is_none_or(|number| *number < end.number);
        }
        earlier.stored.get(of as usize).is_none_or(|stored| *stored < end.at) && self.had_begun(end.at)
    }

    /// Whether it is ended by the ends of its subject and its `sid` in the store.
    pub fn is_ended_in_store(&self, ends: [Option<UnixTime>; 2]) -> bool {
        let Some(earlier) = &self.earlier_ends else { return ends.into_iter().flatten().any(|at| self.had_begun(at)) };
        ends.into_iter().zip(earlier.stored).any(|(end, stored)| end.is_some_and(|at| stored < at))
    }

    /// Whether it had begun by then, by a clock that may go a little differently.
    fn had_begun(&self, by: UnixTime) -> bool {
        self.begun <= by.plus(SKEW)
    }

    /// Whether it was begun then or later.
    pub fn has_begun_since(&self, moment: UnixTime) -> bool {
        moment <= self.begun
    }

    /// The latest moment of its end, however much it is used.
    pub fn ends_at_latest(&self, lifetimes: &Lifetimes) -> UnixTime {
        self.ends.min(self.begun.plus(lifetimes.absolute))
    }

    /// Whether the access token is over.
    pub fn is_token_over(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.expires <= now)
    }

    /// When it ends, if nothing happens until then.
    pub fn ends(&self, lifetimes: &Lifetimes) -> UnixTime {
        let absolute = self.ends_at_latest(lifetimes);
        lifetimes.idle.map_or(absolute, |idle| absolute.min(self.seen.plus(idle)))
    }

    /// Whether its time has begun and is not over. A clock that was set back must not bring ended sessions to life, so
    /// one from farther ahead than clocks may differ does not count.
    pub(super) fn is_fresh(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        let ahead = Duration::from_secs(Leeway::MAX_SECS);
        self.begun <= now.plus(ahead) && self.seen <= now.plus(ahead) && now < self.ends(lifetimes)
    }

    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.due <= now)
    }

    pub(super) fn idle_end_is_due(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        let step = lifetimes.idle.and_then(|idle| idle.checked_div(IDLE_STEP));
        step.is_some_and(|step| self.seen.plus(step.max(Duration::from_secs(1))) <= now)
    }
}
