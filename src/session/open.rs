//! Sessions that requests bring. Opening one costs a decryption and a parse, so a worker remembers opened sessions by the
//! bytes of their cookies, which stay authentic; a session's time is checked at every request.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use subtle::ConstantTimeEq;

use super::{
    Lifetimes, Session,
    chunks::{Brought, SessionCookies},
    seal::Sealer,
};
use crate::{
    cache::Cache,
    claims::IssuerId,
    digest::{HalfDigest, half_digest},
    http::{Identity, Request},
    platform::Platform,
    time::UnixTime,
};

/// Sessions that a worker remembers. One that is replaced is opened again.
const SLOTS: usize = 512;
/// Bytes of cookies that a worker remembers; with one more, all sessions are opened again.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// A session of the browser that we sealed and that has not expired. Only this module makes one.
#[derive(Debug, Clone)]
pub struct FreshSession(Rc<Opened>);

#[derive(Debug)]
struct Opened {
    session: Session,
    marks: Marks,
    /// Whether another key than the first sealed it.
    is_of_old_key: bool,
    identity: OnceCell<Rc<Identity>>,
    is_in_use: Cell<bool>,
}

/// By what a session can be ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// The session itself.
    pub session: HalfDigest,
    /// Everybody of this subject at this provider.
    pub subject: HalfDigest,
    /// The provider's own session; where it has no name, all such sessions of this subject.
    pub sid: HalfDigest,
}

impl Marks {
    /// The mark of a subject of this provider's.
    pub fn of_subject(provider: IssuerId, subject: &str) -> HalfDigest {
        half_digest("sub", &[provider.as_bytes(), subject.as_bytes()])
    }

    /// The mark of a session of this provider's own.
    pub fn of_sid(provider: IssuerId, sid: &str) -> HalfDigest {
        half_digest("sid", &[provider.as_bytes(), sid.as_bytes()])
    }

    /// The mark of the sessions of a subject (by its mark) without a `sid` in their ID token.
    pub fn of_nameless(subject: &HalfDigest) -> HalfDigest {
        half_digest("nameless", &[subject])
    }

    /// The marks of a session.
    pub fn of(session: &Session) -> Self {
        let provider = session.provider();
        let subject = Self::of_subject(provider, session.subject());
        let sid = session.authentication().sid.as_deref();
        let sid = sid.map_or_else(|| Self::of_nameless(&subject), |sid| Self::of_sid(provider, sid));
        Self { session: session.digest(), subject, sid }
    }
}

/// The upkeep of a session before its request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing.
    None,
    /// Its access token is over, or soon will be.
    Refresh,
    /// It must be written: the idle timeout slides, or an old key sealed it.
    Write,
}

impl FreshSession {
    /// One that did not come in a cookie, but from where this process keeps what a refresh brought.
    pub fn renewed(session: Session, lifetimes: &Lifetimes, now: UnixTime) -> Option<Self> {
        Self::stored(session, false, lifetimes, now)
    }

    /// One that the store had for the reference in a cookie, which an old key may have sealed.
    pub fn stored(session: Session, is_of_old_key: bool, lifetimes: &Lifetimes, now: UnixTime) -> Option<Self> {
        session.is_fresh(lifetimes, now).then(|| Self(Rc::new(Opened::new(session, is_of_old_key))))
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Whether another key than the first sealed it.
    pub fn is_of_old_key(&self) -> bool {
        self.0.is_of_old_key
    }

    /// By what it can be ended from outside.
    pub fn marks(&self) -> &Marks {
        &self.0.marks
    }

    /// `true` the first time that this is called since the session was opened.
    pub fn begins_use(&self) -> bool {
        !self.0.is_in_use.replace(true)
    }

    /// Its upkeep. Where it is refreshed, it is not written as well: two answers must not race.
    pub fn upkeep(&self, lifetimes: &Lifetimes, now: UnixTime) -> Upkeep {
        if lifetimes.refresh && self.session().is_due(now) {
            Upkeep::Refresh
        } else if self.wants_writing(lifetimes, now) {
            Upkeep::Write
        } else {
            Upkeep::None
        }
    }

    /// Whether it must be written, whether or not it is to be refreshed as well.
    pub fn wants_writing(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        self.0.is_of_old_key || self.session().wants_to_slide(lifetimes, now)
    }

    /// Its identity for the app, made by `render` at first use.
    pub fn identity(&self, render: impl FnOnce(&Session) -> Identity) -> Rc<Identity> {
        Rc::clone(self.0.identity.get_or_init(|| render(&self.0.session).into()))
    }
}

impl Opened {
    fn new(session: Session, is_of_old_key: bool) -> Self {
        Self {
            marks: Marks::of(&session),
            session,
            is_of_old_key,
            identity: OnceCell::new(),
            is_in_use: Cell::new(false),
        }
    }
}

/// The sessions that one worker has opened lately, for one configuration.
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
    /// None yet, of these cookies.
    pub fn new(cookies: SessionCookies) -> Self {
        Self { cookies, opened: Cache::new(SLOTS, MAX_REMEMBERED) }
    }

    /// The session of this request, if it brought a good one. A cookie that is expired, foreign, altered or there twice
    /// is no session, without a reason.
    pub fn fresh(
        &mut self,
        request: &Request,
        sealer: &Sealer,
        lifetimes: &Lifetimes,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Option<FreshSession> {
        let brought = self.cookies.read(request)?;
        let opened = self.open(&brought, sealer, platform)?;
        opened.session.is_fresh(lifetimes, now).then_some(FreshSession(opened))
    }

    fn open(&mut self, brought: &Brought<'_>, sealer: &Sealer, platform: &dyn Platform) -> Option<Rc<Opened>> {
        let text = &*brought.text;
        let hash = hash(text);
        let is_it = |known: &OpenedText| known.count == brought.count && is_same(&known.text, text);
        if let Some(known) = self.opened.find(hash, is_it) {
            return Some(Rc::clone(&known.session));
        }
        let session = Session::open(&self.cookies, brought, sealer, platform)?;
        let opened = Rc::new(Opened::new(session, sealer.is_of_old_key(text)));
        let known = OpenedText { text: text.into(), count: brought.count, session: Rc::clone(&opened) };
        self.opened.insert(hash, known, text.len());
        Some(opened)
    }
}

/// Compares in a time that does not tell how far a forged cookie is right. Eight bytes at a time: `subtle` alone takes
/// each byte by itself, which costs as much as the rest of the request.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let difference =
        a_words.iter().zip(b_words).fold(0, |sum, (a, b)| sum | (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)));
    let rest = a_rest.iter().zip(b_rest).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && bool::from((difference | u64::from(rest)).ct_eq(&0))
}

/// The end of a sealed value is its authentication tag, as good as random; only values that we sealed are kept.
fn hash(value: &[u8]) -> u64 {
    value.iter().rev().take(8).fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn only_the_very_same_bytes_are_the_same() {
        let value: Vec<u8> = (0..21).collect();
        assert!(is_same(&value, &value) && is_same(b"", b""));
        for place in 0..value.len() {
            let mut other = value.clone();
            other[place] ^= 0x80;
            assert!(!is_same(&value, &other), "{place}");
        }
        for length in 0..value.len() {
            assert!(!is_same(&value, &value[..length]) && !is_same(&value[..length], &value), "{length}");
        }
    }
}
