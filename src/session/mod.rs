//! What the browser carries: sealed cookies, and nothing it could read or change.

pub mod cookie;
pub mod open;
pub mod pending;
pub mod return_to;
pub mod seal;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    oidc::{ProviderId, id_token::VerifiedIdToken},
    platform::{NoRandomness, Platform},
    time::{Leeway, UnixTime},
};
use seal::{Purpose, Sealer};

/// Who is signed in, and until when. It is made from a verified ID token and lives in a sealed cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names this session: new at every sign-in, so that none can be planted (session fixation).
    id: [u8; 16],
    provider: ProviderId,
    subject: String,
    claims: Map<String, Value>,
    begun: UnixTime,
    expires: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    i: [u8; 16],
    p: u8,
    s: String,
    c: Map<String, Value>,
    b: u64,
    e: u64,
}

impl Session {
    /// The session of the person whose ID token this is. Only the claims in `kept` are carried along.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn begin<'a>(
        provider: ProviderId,
        id_token: &VerifiedIdToken,
        kept: impl Iterator<Item = &'a str>,
        lifetime: (UnixTime, Duration),
        platform: &dyn Platform,
    ) -> Result<Self, NoRandomness> {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        let mut claims = Map::new();
        for name in kept.filter(|name| *name != "sub") {
            claims.extend(id_token.claims().get(name).map(|value| (name.to_owned(), value.clone())));
        }
        let (begun, span) = lifetime;
        Ok(Self { id, provider, subject: id_token.subject().to_owned(), claims, begun, expires: begun.plus(span) })
    }

    /// Who it is, as the provider numbers them.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// A claim that was kept; `sub` always is.
    pub fn claim(&self, name: &str) -> Option<Claim<'_>> {
        if name == "sub" { Some(Claim::Text(&self.subject)) } else { self.claims.get(name).map(Claim::Json) }
    }

    /// Seals the session as the value of the cookie `name`.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn seal(&self, name: &str, sealer: &Sealer, platform: &dyn Platform) -> Result<String, NoRandomness> {
        let sealed = Sealed {
            i: self.id,
            p: u8::try_from(self.provider.index()).unwrap_or(u8::MAX),
            s: self.subject.clone(),
            c: self.claims.clone(),
            b: self.begun.as_secs(),
            e: self.expires.as_secs(),
        };
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default());
        sealer.seal(Purpose::Session, name, &bytes, platform)
    }

    /// Whether its time has begun and is not over. A clock that was set back must not bring ended sessions to life, so
    /// one from farther ahead than clocks may differ does not count.
    fn is_fresh(&self, now: UnixTime) -> bool {
        self.begun <= now.plus(Duration::from_secs(Leeway::MAX_SECS)) && now < self.expires
    }

    fn open(name: &str, value: &[u8], sealer: &Sealer) -> Option<Self> {
        let bytes = sealer.open(Purpose::Session, name, value)?;
        let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
        Some(Self {
            id: sealed.i,
            provider: ProviderId::new(sealed.p),
            subject: sealed.s,
            claims: sealed.c,
            begun: UnixTime::from_secs(sealed.b),
            expires: UnixTime::from_secs(sealed.e),
        })
    }
}

/// A claim of a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim<'a> {
    /// Plain text.
    Text(&'a str),
    /// As the ID token had it.
    Json(&'a Value),
}

/// The name of the session cookie.
pub fn cookie_name(base: &str) -> String {
    format!("__Host-{base}")
}
