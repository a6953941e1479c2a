//! How sessions are written, for the browser's cookies or for a store, and read again.

use zeroize::Zeroizing;

use super::{
    Session,
    chunks::{JoinedCookies, Present, SessionCookies},
    lifetimes::Lifetimes,
    seal::{Purpose, SealError, Sealer, sealed_len},
    sealed,
};
use crate::{platform::Platform, time::UnixTime};

/// A session sealed for its browser.
#[derive(Debug)]
pub struct SealedSession {
    /// The `Set-Cookie` lines.
    pub cookies: Vec<String>,
    /// What had to be left out so that it fits.
    pub left_out: Vec<OptionalToken>,
}

/// How sessions are written into cookies.
#[derive(Debug, Clone, Copy)]
pub struct CookieWriter<'a> {
    /// The cookies.
    pub cookies: &'a SessionCookies,
    /// Which of them this browser has.
    pub present: Present,
    /// How long sessions last.
    pub lifetimes: &'a Lifetimes,
    /// Seals.
    pub sealer: &'a Sealer,
    /// Now.
    pub now: UnixTime,
}

/// What a session can do without: the ID token is left out first, the refresh token last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalToken {
    /// The access token, which the app then does not get.
    AccessToken,
    /// The ID token, which the app then does not get either; the provider's sign-out asks the person.
    IdToken,
    /// The refresh token: the session then lasts its time without being renewed.
    RefreshToken,
}

impl Session {
    /// Seals the session for its cookies. What does not fit is first made smaller (see [`OptionalToken`]); a cookie that
    /// the browser would drop is never made: that would be a loop.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn seal(&self, to: &CookieWriter<'_>, platform: &dyn Platform) -> Result<SealedSession, SealError> {
        let mut session = self.clone();
        let mut left_out = Vec::new();
        let max_age = self.ends(to.lifetimes).since(to.now);
        loop {
            let bytes = sealed::encode(&session, platform);
            let size = sealed_len(bytes.len());
            if let Some(count) = to.cookies.count_for(size, max_age) {
                let text = to.sealer.seal(Purpose::Session, &to.cookies.label(count), &bytes, platform)?;
                return Ok(SealedSession { cookies: to.cookies.set(&text, count, max_age, to.present), left_out });
            }
            if session.id_token.take().is_some() {
                left_out.push(OptionalToken::IdToken);
            } else if session.app_token.take().is_some() {
                left_out.push(OptionalToken::AccessToken);
            } else if session.grant.take().is_some() {
                left_out.push(OptionalToken::RefreshToken);
            } else {
                return Err(SealError::TooLarge { size, budget: to.cookies.budget(max_age) });
            }
        }
    }

    pub(super) fn open(
        cookies: &SessionCookies,
        joined: &JoinedCookies<'_>,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Option<Self> {
        let bytes = sealer.open(Purpose::Session, &cookies.label(joined.count), &joined.text)?;
        sealed::decode(&bytes, platform)
    }

    /// Writes the session for somebody who seals it otherwise.
    pub fn to_bytes(&self, platform: &dyn Platform) -> Zeroizing<Vec<u8>> {
        sealed::encode(self, platform)
    }

    /// Reads what [`Self::to_bytes`] wrote; only what we sealed ourselves may come here.
    pub fn from_bytes(bytes: &[u8], platform: &dyn Platform) -> Option<Self> {
        sealed::decode(bytes, platform)
    }
}
