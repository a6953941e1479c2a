//! Time in the core: whole seconds since the Unix epoch, always a parameter.

use std::time::Duration;

/// Seconds since 1970-01-01T00:00:00Z. Arithmetic saturates: no clock and no claim can make it wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The latest moment, which never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `seconds` after the epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The later moment `by` from here (whole seconds).
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_secs()))
    }

    /// The earlier moment `by` before this one (whole seconds).
    #[must_use]
    pub const fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_secs()))
    }

    /// The time since `earlier`; zero if it is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// A deadline that also ends when the clock is set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: UnixTime,
    span: Duration,
}

impl Deadline {
    /// The end of a wait of this span (whole seconds) that begins now.
    pub const fn after(span: Duration, now: UnixTime) -> Self {
        Self { at: now.plus(span), span }
    }

    /// A deadline that passes at once.
    pub const fn immediate(now: UnixTime) -> Self {
        Self::after(Duration::ZERO, now)
    }

    /// The moment at which it passes.
    pub const fn end(self) -> UnixTime {
        self.at
    }

    /// Whether it has passed. It has also passed if it is farther away than its span, after the clock was set back.
    pub fn has_passed(self, now: UnixTime) -> bool {
        self.at <= now || now.plus(self.span) < self.at
    }
}

/// The tolerated difference between two clocks: 0 to 300 seconds, 60 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leeway(Duration);

impl Leeway {
    /// The largest configurable leeway, in seconds.
    pub const MAX_SECS: u64 = 300;

    /// A leeway in seconds, or `None` above [`Self::MAX_SECS`].
    pub const fn from_secs(seconds: u64) -> Option<Self> {
        if seconds <= Self::MAX_SECS { Some(Self(Duration::from_secs(seconds))) } else { None }
    }

    /// The leeway as a duration.
    pub const fn span(self) -> Duration {
        self.0
    }
}

impl Default for Leeway {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}
