//! What the browser carries: sealed cookies, and nothing it could read or change.

pub mod cookie;
pub mod pending;
pub mod return_to;
pub mod seal;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    http::Request,
    oidc::{ProviderId, id_token::VerifiedIdToken},
    platform::{NoRandomness, Platform},
    time::UnixTime,
};
use cookie::Found;
use seal::{Purpose, Sealer};

/// Who is signed in, and until when. It is made from a verified ID token and lives in a sealed cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names this session: new at every sign-in, so that none can be planted (session fixation).
    id: [u8; 16],
    provider: ProviderId,
    subject: String,
    claims: Map<String, Value>,
    expires: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    i: [u8; 16],
    p: u8,
    s: String,
    c: Map<String, Value>,
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
        expires: UnixTime,
        platform: &dyn Platform,
    ) -> Result<Self, NoRandomness> {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        let mut claims = Map::new();
        for name in kept.filter(|name| *name != "sub") {
            claims.extend(id_token.claims().get(name).map(|value| (name.to_owned(), value.clone())));
        }
        Ok(Self { id, provider, subject: id_token.subject().to_owned(), claims, expires })
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
            e: self.expires.as_secs(),
        };
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default());
        sealer.seal(Purpose::Session, name, &bytes, platform)
    }

    fn open(name: &str, value: &[u8], sealer: &Sealer) -> Option<Self> {
        let bytes = sealer.open(Purpose::Session, name, value)?;
        let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
        Some(Self {
            id: sealed.i,
            provider: ProviderId::new(sealed.p),
            subject: sealed.s,
            claims: sealed.c,
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

/// A session that the browser brought, that we sealed, and whose time is not over. Only [`fresh`] makes one.
#[derive(Debug)]
pub struct FreshSession(Session);

impl FreshSession {
    /// The session.
    pub const fn session(&self) -> &Session {
        &self.0
    }
}

/// The session of this request, if it brought a good one. A cookie that is expired, foreign, altered or there twice
/// is no session, and nobody is told which.
pub fn fresh(request: &Request, name: &str, sealer: &Sealer, now: UnixTime) -> Option<FreshSession> {
    let Found::One(value) = cookie::find(request.lines("cookie"), name) else { return None };
    let session = Session::open(name, value, sealer)?;
    (now < session.expires).then_some(FreshSession(session))
}

/// The name of the session cookie.
pub fn cookie_name(base: &str) -> String {
    format!("__Host-{base}")
}

/// The span for which browsers keep a cookie at most (RFC 6265bis): 400 days.
pub const MAX_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
