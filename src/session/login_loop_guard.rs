//! The cookie of a browser's recent sign-ins in a row. Where the session's cookie does not come back from them (it is
//! blocked, or the page is opened by another address), the next sign-in would not help either: it would be a redirect loop.

use std::time::Duration;

use super::{
    cookie::{self, Found, set_cookie},
    seal::{Purpose, Sealer},
};
use crate::{
    http::Request,
    platform::{NoRandomness, Platform},
    record::{self, Fields},
    time::UnixTime,
};

/// Sign-ins older than this no longer count towards the limit.
const WINDOW: Duration = Duration::from_secs(60);
/// Sign-ins within the window that may bring no session.
pub const MAX_SIGN_INS: u8 = 3;

/// The number of recent sign-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLoopGuard {
    count: u8,
    since: UnixTime,
}

/// The name of its cookie, under this configured name.
pub fn login_loop_cookie(cookie_name: &str) -> String {
    format!("__Host-{cookie_name}-t")
}

impl LoginLoopGuard {
    const VERSION: u8 = 1;
    const SIZE: usize = 10;

    /// The guard that the browser sent, if it is not older than the window.
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
    pub fn and_one(before: Option<Self>, now: UnixTime) -> Self {
        let before = before.unwrap_or(Self { count: 0, since: now });
        Self { count: before.count.saturating_add(1), ..before }
    }

    /// Whether another sign-in would bring no session either, where the request has none.
    pub const fn would_loop(self) -> bool {
        self.count >= MAX_SIGN_INS
    }

    /// The `Set-Cookie` line.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn cookie(self, name: &str, sealer: &Sealer, platform: &dyn Platform) -> Result<String, NoRandomness> {
        let record = record::write(Self::VERSION, &[&[self.count], &self.since.as_secs().to_le_bytes()]);
        Ok(set_cookie(name, &sealer.seal(Purpose::LoginLoop, name, &record, platform)?, WINDOW))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow::tests::world::TestPlatform, session::seal::SessionKey};

    #[test]
    fn a_cookie_is_read_as_it_was_written_until_the_window_is_over() {
        let key = SessionKey::parse("9f0c1e6d7a5b4c3d2e1f00112233445566778899aabbccddeeff0123456789ab").unwrap();
        let (sealer, begun) = (Sealer::new(vec![key], "").unwrap(), UnixTime::from_secs(1_800_000_000));
        let guard = LoginLoopGuard::and_one(None, begun);
        let line = guard.cookie("c", &sealer, &TestPlatform::default()).unwrap();
        let request = Request::new([("cookie", line.split(';').next().unwrap().as_bytes())]);
        for (seconds, expected) in [(0, Some(guard)), (59, Some(guard)), (60, None)] {
            let now = begun.plus(Duration::from_secs(seconds));
            assert_eq!(LoginLoopGuard::read(&request, "c", &sealer, now), expected, "{seconds}");
        }
    }

    #[test]
    fn a_record_is_read_with_and_without_its_version() {
        let guard = Some(LoginLoopGuard { count: 2, since: UnixTime::from_secs(7) });
        assert_eq!(LoginLoopGuard::parse(&[1, 2, 7, 0, 0, 0, 0, 0, 0, 0]), guard);
        assert_eq!(LoginLoopGuard::parse(&[2, 7, 0, 0, 0, 0, 0, 0, 0]), guard);
        for other in [&[][..], &[2, 2, 7, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0], &[1; 8]] {
            assert_eq!(LoginLoopGuard::parse(other), None, "{other:?}");
        }
    }
}
