//! The cookie of a browser's recent consecutive sign-ins. If the session's cookie does not come back after them (it is
//! blocked, or the page has another address), another sign-in would be a redirect loop.

use std::time::Duration;

use super::{
    cookie::{self, Found, HOST_PREFIX, SameSite, set_cookie},
    seal::{Purpose, SealError, Sealer},
};
use crate::{
    http::Request,
    platform::Platform,
    record::{self, Fields},
    time::UnixTime,
};

/// Sign-ins older than this no longer count towards the limit.
const WINDOW: Duration = Duration::from_secs(60);
/// The most sign-ins without a session within the window.
pub const MAX_SIGN_INS: u8 = 3;

/// The number of recent sign-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLoopGuard {
    count: u8,
    since: UnixTime,
}

/// The name of its cookie.
pub fn login_loop_cookie(cookie_name: &str) -> String {
    format!("{HOST_PREFIX}{cookie_name}-t")
}

impl LoginLoopGuard {
    const VERSION: u8 = 1;
    const SIZE: usize = 10;

    /// The guard of the request, if it is within the window.
    pub fn read(request: &Request, name: &str, sealer: &Sealer, now: UnixTime) -> Option<Self> {
        let Found::One(value) = cookie::find(request.lines("cookie"), name) else { return None };
        let guard = Self::parse(&sealer.open(Purpose::LoginLoop, name, value)?)?;
        (guard.since <= now && now < guard.since.plus(WINDOW)).then_some(guard)
    }

    /// Reads the record; the first release wrote the same fields without a version byte.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let is_unversioned = bytes.len() == Self::SIZE.saturating_sub(1);
        let mut fields = match is_unversioned {
            true => Fields::unversioned(bytes),
            false => record::read(Self::VERSION, bytes, Self::SIZE)?,
        };
        let guard = Self { count: fields.byte()?, since: fields.time()? };
        fields.end()?;
        Some(guard)
    }

    /// The guard with one more sign-in.
    pub fn add_sign_in(before: Option<Self>, now: UnixTime) -> Self {
        let before = before.unwrap_or(Self { count: 0, since: now });
        Self { count: before.count.saturating_add(1), ..before }
    }

    /// Whether a request without a session would loop through another sign-in.
    pub const fn would_loop(self) -> bool {
        self.count >= MAX_SIGN_INS
    }

    /// The `Set-Cookie` line.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn cookie(
        self,
        name: &str,
        same_site: SameSite,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<String, SealError> {
        let record = record::write(Self::VERSION, &[&[self.count], &self.since.as_secs().to_le_bytes()]);
        Ok(set_cookie(name, &sealer.seal(Purpose::LoginLoop, name, &record, platform)?, WINDOW, same_site))
    }
}

#[cfg(test)]
mod tests;
