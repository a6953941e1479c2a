//! Sessions in requests. Opening one costs a decryption and a parse, so a worker caches opened sessions by the bytes of
//! their cookies; their lifetime is checked at every request.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use super::{
    Lifetimes, Session,
    chunks::{JoinedCookies, SessionCookies},
    seal::Sealer,
};
use crate::{
    cache::Cache,
    claims::IssuerId,
    digest::{HalfDigest, half_digest},
    http::{IdentityEdits, Request},
    platform::Platform,
    secret::is_same,
    time::UnixTime,
};

/// The most cached sessions of a worker.
const SLOTS: usize = 512;
/// The most cached bytes of cookies; beyond them the cache is cleared.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// A session that we sealed, which may be over.
#[derive(Debug)]
pub struct OpenedSession(Rc<Opened>);

/// A session that we sealed, within its lifetime. Only this module makes one.
#[derive(Debug, Clone)]
pub struct FreshSession(Rc<Opened>);

#[derive(Debug)]
struct Opened {
    session: Session,
    /// Computed at the first call: in most workers nothing is revoked.
    revocation_keys: OnceCell<RevocationKeys>,
    /// Whether a retired key sealed it.
    has_retired_key: bool,
    identity: OnceCell<Rc<IdentityEdits>>,
    is_in_use: Cell<bool>,
}

/// The digests under which a session can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationKeys {
    /// The session alone.
    pub session: HalfDigest,
    /// All sessions of its subject at its provider.
    pub subject: HalfDigest,
    /// All sessions of its `sid` at the provider; without a `sid`, those of its subject without a `sid`.
    pub sid: HalfDigest,
}

impl RevocationKeys {
    /// The key of a subject at this provider.
    pub fn of_subject(provider: IssuerId, subject: &str) -> HalfDigest {
        half_digest("sub", &[provider.as_bytes(), subject.as_bytes()])
    }

    /// The key of a `sid` at this provider.
    pub fn of_sid(provider: IssuerId, sid: &str) -> HalfDigest {
        half_digest("sid", &[provider.as_bytes(), sid.as_bytes()])
    }

    /// The key of a subject's sessions without `sid`, from the key of the subject.
    pub fn of_subject_without_sid(subject: &HalfDigest) -> HalfDigest {
        half_digest("nameless", &[subject])
    }

    /// The keys of a session.
    pub fn of(session: &Session) -> Self {
        let provider = session.provider();
        let subject = Self::of_subject(provider, session.subject());
        let sid = session.authentication().sid.as_deref();
        let sid = sid.map_or_else(|| Self::of_subject_without_sid(&subject), |sid| Self::of_sid(provider, sid));
        Self { session: session.digest(), subject, sid }
    }
}

/// The upkeep that a session needs before its request is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing.
    None,
    /// Refresh: the access token has expired, or soon will.
    Refresh,
    /// Write the cookie: the idle timeout is extended, or a retired key sealed it.
    Write,
}

impl OpenedSession {
    /// The first moment at which it is over, or must be refreshed or written.
    pub fn next_change(&self, lifetimes: &Lifetimes) -> UnixTime {
        self.0.session.next_change(lifetimes)
    }

    /// The session, if it is within its lifetime.
    pub fn fresh(self, lifetimes: &Lifetimes, now: UnixTime) -> Option<FreshSession> {
        self.0.session.is_fresh(lifetimes, now).then_some(FreshSession(self.0))
    }
}

impl FreshSession {
    /// A session from the process's renewals, not from a cookie.
    pub fn renewed(session: Session, lifetimes: &Lifetimes, now: UnixTime) -> Option<Self> {
        Self::stored(session, false, lifetimes, now)
    }

    /// A session from the store; a retired key may have sealed its reference.
    pub fn stored(session: Session, has_retired_key: bool, lifetimes: &Lifetimes, now: UnixTime) -> Option<Self> {
        session.is_fresh(lifetimes, now).then(|| Self(Rc::new(Opened::new(session, has_retired_key))))
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Whether a retired key sealed it.
    pub fn has_retired_key(&self) -> bool {
        self.0.has_retired_key
    }

    /// The keys under which it can be revoked.
    pub fn revocation_keys(&self) -> &RevocationKeys {
        self.0.revocation_keys.get_or_init(|| RevocationKeys::of(&self.0.session))
    }

    /// `true` for the first call since the session was opened.
    pub fn take_first_use(&self) -> bool {
        !self.0.is_in_use.replace(true)
    }

    /// The first moment at which it is over, or must be refreshed or written.
    pub fn next_change(&self, lifetimes: &Lifetimes) -> UnixTime {
        self.session().next_change(lifetimes)
    }

    /// The upkeep that it needs now. A refresh excludes a write: two responses must not race.
    pub fn upkeep(&self, lifetimes: &Lifetimes, now: UnixTime) -> Upkeep {
        if lifetimes.refresh && self.session().is_due(now) {
            Upkeep::Refresh
        } else if self.must_be_written(lifetimes, now) {
            Upkeep::Write
        } else {
            Upkeep::None
        }
    }

    /// Whether it must be written, independently of a refresh.
    pub fn must_be_written(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        self.0.has_retired_key || self.session().idle_end_is_due(lifetimes, now)
    }

    /// The edits that carry its identity, rendered at the first call.
    pub fn identity(&self, render: impl FnOnce(&Session) -> IdentityEdits) -> Rc<IdentityEdits> {
        Rc::clone(self.0.identity.get_or_init(|| render(&self.0.session).into()))
    }
}

impl Opened {
    fn new(session: Session, has_retired_key: bool) -> Self {
        Self {
            session,
            revocation_keys: OnceCell::new(),
            has_retired_key,
            identity: OnceCell::new(),
            is_in_use: Cell::new(false),
        }
    }
}

/// The sessions that a worker has opened, for one configuration.
#[derive(Debug)]
pub struct OpenSessions {
    cookies: SessionCookies,
    opened: Cache<OpenedText>,
}

#[derive(Debug)]
struct OpenedText {
    text: Box<[u8]>,
    count: usize,
    session: Rc<Opened>,
}

impl OpenSessions {
    /// An empty cache for these cookies.
    pub fn new(cookies: SessionCookies) -> Self {
        Self { cookies, opened: Cache::new(SLOTS, MAX_REMEMBERED) }
    }

    /// The session of this request, if we sealed one. A foreign, altered or duplicate cookie is no session; the caller
    /// does not learn the reason.
    pub fn open(&mut self, request: &Request, sealer: &Sealer, platform: &dyn Platform) -> Option<OpenedSession> {
        let joined = self.cookies.read(request)?;
        self.find_or_open(&joined, sealer, platform).map(OpenedSession)
    }

    fn find_or_open(
        &mut self,
        joined: &JoinedCookies<'_>,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Option<Rc<Opened>> {
        let text = &*joined.text;
        let hash = hash(text);
        let is_it = |known: &OpenedText| known.count == joined.count && is_same(&known.text, text);
        if let Some(known) = self.opened.find(hash, is_it) {
            return Some(Rc::clone(&known.session));
        }
        let session = Session::open(&self.cookies, joined, sealer, platform)?;
        let opened = Rc::new(Opened::new(session, sealer.has_retired_key(text)));
        let known = OpenedText { text: text.into(), count: joined.count, session: Rc::clone(&opened) };
        self.opened.insert(hash, known, text.len());
        Some(opened)
    }
}

/// A hash of the last bytes, which are the authentication tag; only values that we sealed are cached.
fn hash(value: &[u8]) -> u64 {
    value.iter().rev().take(8).fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
}
