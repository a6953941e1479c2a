//! Tokens of a session that are forwarded to the app.

use std::time::Duration;

use super::{Session, lifetimes::DEFAULT_TOKEN_LIFE};
use crate::{
    secret::{AccessToken, RawIdToken},
    time::UnixTime,
};

/// The longest forwarded token; longer ones do not fit into a header.
const MAX_TOKEN: usize = 16 * 1024;

/// The kinds of tokens that any rule forwards to the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardedTokens {
    /// Whether access tokens are forwarded.
    pub access_token: bool,
    /// Whether ID tokens are forwarded.
    pub id_token: bool,
}

/// An access token to forward, and its expiry.
#[derive(Debug, Clone)]
pub struct AppToken {
    pub(super) token: AccessToken,
    pub(super) ends: UnixTime,
}

impl ForwardedTokens {
    /// The access token of a token response, if it is forwarded and is a `b64token` (RFC 6750, 2.1): other characters
    /// could change the header.
    pub fn access_token(self, token: &AccessToken, life: Option<Duration>, now: UnixTime) -> Option<AppToken> {
        let ends = now.plus(life.unwrap_or(DEFAULT_TOKEN_LIFE));
        (self.access_token && is_usable(token)).then(|| AppToken { token: token.clone(), ends })
    }

    /// The time after which a session is renewed: the access token's lifetime; the ID token's if the former is unknown;
    /// the shorter one if ID tokens are forwarded.
    pub fn renewal_lifetime(self, access_token: Option<Duration>, id_token: Option<Duration>) -> Option<Duration> {
        match (access_token, id_token) {
            (Some(access_token), Some(id_token)) if self.id_token => Some(access_token.min(id_token)),
            _ => access_token.or(id_token),
        }
    }
}

/// Whether this token can be forwarded: it fits into a header, and changes nothing else there.
pub fn is_usable(token: &AccessToken) -> bool {
    is_b64token(token.expose()) && token.expose().len() <= MAX_TOKEN
}

/// `b64token` of RFC 6750, 2.1.
pub fn is_b64token(text: &str) -> bool {
    let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    // Every request with a token runs it; a loop that does not end early becomes SIMD.
    text.bytes().fold(true, |is_token, byte| is_token & is_letter(byte))
}

impl Session {
    /// The access token for the app, until it expires.
    pub fn app_access_token(&self, now: UnixTime) -> Option<&AccessToken> {
        self.app_token.as_ref().filter(|kept| now < kept.ends).map(|kept| &kept.token)
    }

    /// The access token for the app, and its expiry.
    pub fn access_token_with_expiry(&self) -> Option<(&AccessToken, UnixTime)> {
        self.app_token.as_ref().map(|kept| (&kept.token, kept.ends))
    }

    /// The ID token for the app, until it expires.
    pub fn app_id_token(&self, now: UnixTime) -> Option<&RawIdToken> {
        self.id_token.as_ref().filter(|_| now < self.id_token_ends)
    }
}
