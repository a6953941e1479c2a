//! Tokens that a session hands on to the app.

use std::time::Duration;

use super::{Session, lifetimes::DEFAULT_TOKEN_LIFE};
use crate::{
    secret::{AccessToken, RawIdToken},
    time::UnixTime,
};

/// The longest token that is handed on; what is longer fits into no header.
const MAX_TOKEN: usize = 16 * 1024;

/// Which tokens apps want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardedTokens {
    /// Access tokens.
    pub access_token: bool,
    /// ID tokens.
    pub id_token: bool,
}

/// An access token for the app.
#[derive(Debug, Clone)]
pub struct AppToken {
    pub(super) token: AccessToken,
    pub(super) ends: UnixTime,
}

impl ForwardedTokens {
    /// The access token of an answer that came now, if apps want one and it can stand in a header (RFC 6750, 2.1): what
    /// else a provider sends would be something else there.
    pub fn access_token(self, token: &AccessToken, life: Option<Duration>, now: UnixTime) -> Option<AppToken> {
        let is_usable = is_b64token(token.expose()) && token.expose().len() <= MAX_TOKEN;
        let ends = now.plus(life.unwrap_or(DEFAULT_TOKEN_LIFE));
        (self.access_token && is_usable).then(|| AppToken { token: token.clone(), ends })
    }

    /// After how long a session is renewed that was given an access token and an ID token that last so long: the ID
    /// token's end counts where nobody says the other, or where apps want it too.
    pub fn life(self, access_token: Option<Duration>, id_token: Option<Duration>) -> Option<Duration> {
        match (access_token, id_token) {
            (Some(access_token), Some(id_token)) if self.id_token => Some(access_token.min(id_token)),
            _ => access_token.or(id_token),
        }
    }
}

/// `b64token` of RFC 6750, 2.1.
pub fn is_b64token(text: &str) -> bool {
    // A plain loop: every request with a token comes through here.
    for byte in text.as_bytes() {
        if !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=') {
            return false;
        }
    }
    true
}

impl Session {
    /// The access token for the app, while it is good.
    pub fn app_access_token(&self, now: UnixTime) -> Option<&AccessToken> {
        self.app_token.as_ref().filter(|kept| now < kept.ends).map(|kept| &kept.token)
    }

    /// The ID token for the app, while it is good.
    pub fn app_id_token(&self, now: UnixTime) -> Option<&RawIdToken> {
        self.id_token.as_ref().filter(|_| now < self.id_token_ends)
    }
}
