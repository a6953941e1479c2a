//! Lifetimes of sessions: expiry, renewal, idle timeout and revocation.

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

/// An access token is renewed this fraction of its lifetime before its end.
const AHEAD: u32 = 5;
/// Upper bound of the time by which a token is renewed before its end.
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// The shortest life of an access token that is renewed before its end.
pub const MIN_TOKEN_LIFE: Duration = Duration::from_secs(5);
/// The assumed lifetime of shorter tokens, so that not every request refreshes.
const ASSUMED_SHORT_LIFE: Duration = Duration::from_secs(30);
/// The assumed lifetime of a token without `expires_in`.
pub(super) const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The idle timeout is extended in steps of this fraction, so that not every response sets a cookie.
const IDLE_STEP: u32 = 10;

/// The tolerated clock difference of Envoys that share keys: ends of another process are compared by clock.
const SKEW: Duration = Duration::from_secs(2);

/// The lists of ends in a process, one for each kind of cause.
pub const END_LISTS: usize = 5;

/// The ends issued before a session began. They do not end it; each later one of its subject or `sid` does. Ends of the
/// same process are ordered by number, ends of other processes by clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierEnds {
    /// The issuing process.
    pub process: HalfDigest,
    /// The last number in each of its lists.
    pub numbers: [u64; END_LISTS],
    /// The last ends of subject and `sid` in the store; zero if none.
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

/// The scope of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOf {
    /// All sessions of a subject.
    Subject = 0,
    /// All sessions of a `sid` at the provider.
    Sid = 1,
}

/// An end of all sessions of a subject or `sid` that began before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The time of issue.
    pub at: UnixTime,
    /// Its number in its list.
    pub number: u64,
}

/// The configured lifetimes of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// The absolute lifetime, from the sign-in.
    pub absolute: Duration,
    /// The idle timeout.
    pub idle: Option<Duration>,
    /// Whether refresh tokens are used.
    pub refresh: bool,
}

/// A refresh token, and the lifetime of the access token issued with it.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(super) refresh_token: RefreshToken,
    pub(super) granted: UnixTime,
    pub(super) expires: UnixTime,
    /// The time of renewal, computed once because every request reads it.
    due: UnixTime,
}

impl Grant {
    /// A grant issued now.
    pub fn new(refresh_token: RefreshToken, life: Option<Duration>, now: UnixTime) -> Self {
        let life = life.unwrap_or(DEFAULT_TOKEN_LIFE);
        let life = if life < MIN_TOKEN_LIFE { ASSUMED_SHORT_LIFE } else { life };
        Self::from_to(refresh_token, now, now.plus(life))
    }

    pub(super) fn from_to(refresh_token: RefreshToken, granted: UnixTime, expires: UnixTime) -> Self {
        let ahead = expires.since(granted).checked_div(AHEAD).unwrap_or_default().min(MAX_AHEAD);
        Self { refresh_token, granted, expires, due: expires.minus(ahead) }
    }

    pub(super) fn with(self, refresh_token: RefreshToken) -> Self {
        Self { refresh_token, ..self }
    }
}

impl Session {
    /// Records the ends issued before it began.
    pub fn begin_after(&mut self, ends: EarlierEnds) {
        self.earlier_ends = Some(ends);
    }

    /// Records the ends of its subject and `sid` in the store.
    pub fn begin_after_stored(&mut self, stored: [UnixTime; 2]) {
        if let Some(ends) = &mut self.earlier_ends {
            ends.stored = stored;
        }
    }

    /// Whether this end of its subject or `sid` ends it. `list` is the list of the end, and `process` is this process.
    pub fn is_ended_by(&self, end: End, of: EndOf, list: usize, process: &HalfDigest) -> bool {
        let Some(earlier) = &self.earlier_ends else { return self.had_begun(end.at) };
        if earlier.process == *process {
            return earlier.numbers.get(list).is_none_or(|number| *number < end.number);
        }
        earlier.stored.get(of as usize).is_none_or(|stored| *stored < end.at) && self.had_begun(end.at)
    }

    /// Whether an end of its subject or `sid` in the store ends it.
    pub fn is_ended_in_store(&self, ends: [Option<UnixTime>; 2]) -> bool {
        let Some(earlier) = &self.earlier_ends else { return ends.into_iter().flatten().any(|at| self.had_begun(at)) };
        ends.into_iter().zip(earlier.stored).any(|(end, stored)| end.is_some_and(|at| stored < at))
    }

    /// Whether it began by then, within [`SKEW`].
    fn had_begun(&self, by: UnixTime) -> bool {
        self.begun <= by.plus(SKEW)
    }

    /// Whether it began at this moment or later.
    pub fn has_begun_since(&self, moment: UnixTime) -> bool {
        moment <= self.begun
    }

    /// The absolute end.
    pub fn ends_at_latest(&self, lifetimes: &Lifetimes) -> UnixTime {
        self.ends.min(self.begun.plus(lifetimes.absolute))
    }

    /// Whether the access token has expired.
    pub fn is_access_token_expired(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.expires <= now)
    }

    /// The end without further requests: the absolute end, or the idle timeout.
    pub fn ends(&self, lifetimes: &Lifetimes) -> UnixTime {
        let absolute = self.ends_at_latest(lifetimes);
        lifetimes.idle.map_or(absolute, |idle| absolute.min(self.seen.plus(idle)))
    }

    /// Whether it has begun and not ended. A session from farther in the future than the tolerated clock difference is
    /// refused: a clock that was set back must not revive ended sessions.
    pub fn is_fresh(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        let ahead = Duration::from_secs(Leeway::MAX_SECS);
        self.begun <= now.plus(ahead) && self.seen <= now.plus(ahead) && now < self.ends(lifetimes)
    }

    /// The first moment at which it ends, or its token or its idle timeout is due.
    pub(super) fn next_change(&self, lifetimes: &Lifetimes) -> UnixTime {
        let due = self.grant.as_ref().filter(|_| lifetimes.refresh).map(|grant| grant.due);
        let idle_step = self.idle_step(lifetimes);
        due.into_iter().chain(idle_step).fold(self.ends(lifetimes), UnixTime::min)
    }

    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.due <= now)
    }

    pub(super) fn idle_end_is_due(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        self.idle_step(lifetimes).is_some_and(|due| due <= now)
    }

    /// When its idle timeout is extended.
    fn idle_step(&self, lifetimes: &Lifetimes) -> Option<UnixTime> {
        let step = lifetimes.idle.and_then(|idle| idle.checked_div(IDLE_STEP))?;
        Some(self.seen.plus(step.max(Duration::from_secs(1))))
    }
}
