//! Writes sessions into cookies or for a store, and reads them.

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
    /// Tokens left out because of the size.
    pub left_out: Vec<OptionalToken>,
}

/// Settings for writing a session's cookies.
#[derive(Debug, Clone, Copy)]
pub struct CookieWriter<'a> {
    /// The names of the cookies.
    pub cookies: &'a SessionCookies,
    /// The session cookies that the browser has.
    pub present: Present,
    /// The lifetimes of sessions.
    pub lifetimes: &'a Lifetimes,
    /// The sealer.
    pub sealer: &'a Sealer,
    /// The current time.
    pub now: UnixTime,
}

/// Tokens that are left out of a session that is too large: the ID token first, the refresh token last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalToken {
    /// The access token: the app does not receive it.
    AccessToken,
    /// The ID token: the app does not receive it, and the provider may ask the user to confirm the sign-out.
    IdToken,
    /// The refresh token: the session is not renewed.
    RefreshToken,
}

impl Session {
    /// Seals the session for its cookies, without tokens that do not fit ([`OptionalToken`]). A cookie that the browser
    /// would drop is never made: it would cause a redirect loop.
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

    /// Encodes the session for another seal.
    pub fn to_bytes(&self, platform: &dyn Platform) -> Zeroizing<Vec<u8>> {
        sealed::encode(self, platform)
    }

    /// Decodes the bytes of [`Self::to_bytes`]. Only authenticated bytes may come here.
    pub fn from_bytes(bytes: &[u8], platform: &dyn Platform) -> Option<Self> {
        sealed::decode(bytes, platform)
    }
}
