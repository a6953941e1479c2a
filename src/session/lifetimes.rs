//! How long sessions last, when they are to be renewed, and when to be written again.

use std::time::Duration;

use super::Session;
use crate::{
    secret::RefreshToken,
    time::{Leeway, UnixTime},
};

/// How long before its end an access token is renewed, as a part of its life.
const AHEAD: u32 = 5;
/// And at most.
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// The shortest access token that is renewed before its end.
pub const MIN_TOKEN_LIFE: Duration = Duration::from_secs(5);
/// One that is shorter counts as good for this long, whatever the provider says: a token that is over at once must not
/// make every request a refresh.
const TOO_SHORT_COUNTS: Duration = Duration::from_secs(30);
/// How long it counts where nobody says.
pub(super) const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The idle timeout slides in steps of this part of it: not every answer sets a cookie.
const IDLE_STEP: u32 = 10;

/// How far the clocks of Envoys that share keys may be apart: what ends sessions that have begun is compared by them.
const SKEW: Duration = Duration::from_secs(2);

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
        let life = if life < MIN_TOKEN_LIFE { TOO_SHORT_COUNTS } else { life };
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
    /// Whether it had begun by then, by a clock that may go a little differently.
    pub fn had_begun(&self, by: UnixTime) -> bool {
        self.begun <= by.plus(SKEW)
    }

    /// Makes it one that begins after this moment, by every such clock.
    pub fn begin_after(&mut self, moment: UnixTime) {
        self.begun = self.begun.max(moment.plus(SKEW).plus(Duration::from_secs(1)));
    }

    /// Whether the access token is over.
    pub fn is_token_over(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.expires <= now)
    }

    /// When it ends, if nothing happens until then.
    pub fn ends(&self, lifetimes: &Lifetimes) -> UnixTime {
        let absolute = self.ends.min(self.begun.plus(lifetimes.absolute));
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

    pub(super) fn wants_to_slide(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        let step = lifetimes.idle.and_then(|idle| idle.checked_div(IDLE_STEP));
        step.is_some_and(|step| self.seen.plus(step.max(Duration::from_secs(1))) <= now)
    }
}
