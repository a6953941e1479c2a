//! How many sign-ins of one browser were completed in a row, lately: where the session's cookie does not come back from
//! them (it is blocked, or the page is opened by another address), the next one would not help either.

use std::time::Duration;

use super::{
    cookie::{self, Found, set_cookie},
    seal::{Purpose, SealError, Sealer},
};
use crate::{http::Request, platform::Platform, time::UnixTime};

/// How long a sign-in counts.
const WINDOW: Duration = Duration::from_secs(60);
/// How many may bring no session.
pub const MAX_IN_VAIN: u8 = 3;

/// The sign-ins lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trail {
    count: u8,
    since: UnixTime,
}

impl Trail {
    /// What the browser brought, if it is of the last minute.
    pub fn read(request: &Request, name: &str, sealer: &Sealer, now: UnixTime) -> Option<Self> {
        let Found::One(value) = cookie::find(request.lines("cookie"), name) else { return None };
        let bytes = sealer.open(Purpose::Trail, name, value)?;
        let (count, since) = bytes.split_first()?;
        let since = UnixTime::from_secs(u64::from_le_bytes(*since.first_chunk()?));
        (since <= now && now < since.plus(WINDOW)).then_some(Self { count: *count, since })
    }

    /// With one more.
    pub fn and_one(before: Option<Self>, now: UnixTime) -> Self {
        let before = before.unwrap_or(Self { count: 0, since: now });
        Self { count: before.count.saturating_add(1), ..before }
    }

    /// Whether another sign-in would be in vain, too: this is only asked where there is no session.
    pub const fn is_loop(self) -> bool {
        self.count >= MAX_IN_VAIN
    }

    /// The cookie.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn cookie(self, name: &str, sealer: &Sealer, platform: &dyn Platform) -> Result<String, SealError> {
        let bytes = [&[self.count][..], &self.since.as_secs().to_le_bytes()].concat();
        Ok(set_cookie(name, &sealer.seal(Purpose::Trail, name, &bytes, platform)?, WINDOW))
    }
}
