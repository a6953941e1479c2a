//! Sessions that requests bring. Opening one costs a decryption and a parse, so what was opened lately is remembered by
//! the cookie's very bytes, which were authentic then and are authentic now; its time is checked at every request.

use std::{cell::OnceCell, rc::Rc};

use subtle::ConstantTimeEq;

use super::{
    Session,
    cookie::{self, Found},
    seal::Sealer,
};
use crate::{
    http::{HeaderEdit, Request},
    time::UnixTime,
};

/// How many sessions a worker remembers. One that is pushed out is opened again.
const SLOTS: usize = 512;
/// The largest cookie that is remembered, so that memory stays within a megabyte or two.
const MAX_REMEMBERED: usize = 2048;

/// A session that the browser brought, that we sealed, and whose time is not over. Only [`OpenSessions::fresh`] makes one.
#[derive(Debug)]
pub struct FreshSession(Rc<Opened>);

#[derive(Debug)]
struct Opened {
    session: Session,
    identity: OnceCell<Rc<[HeaderEdit]>>,
}

impl FreshSession {
    /// The session.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// What tells the app who it is: made by `render` when it is first asked for.
    pub fn identity(&self, render: impl FnOnce(&Session) -> Vec<HeaderEdit>) -> Rc<[HeaderEdit]> {
        Rc::clone(self.0.identity.get_or_init(|| render(&self.0.session).into()))
    }
}

/// The sessions that one worker has opened lately, for one configuration.
#[derive(Debug)]
pub struct OpenSessions {
    name: String,
    slots: Vec<Option<Slot>>,
}

#[derive(Debug)]
struct Slot {
    value: Box<[u8]>,
    opened: Rc<Opened>,
}

impl OpenSessions {
    /// None yet, of the cookie of this name.
    pub fn new(name: String) -> Self {
        Self { name, slots: std::iter::repeat_with(|| None).take(SLOTS).collect() }
    }

    /// The session of this request, if it brought a good one. A cookie that is expired, foreign, altered or there twice
    /// is no session, and nobody is told which.
    pub fn fresh(&mut self, request: &Request, sealer: &Sealer, now: UnixTime) -> Option<FreshSession> {
        let Found::One(value) = cookie::find(request.lines("cookie"), &self.name) else { return None };
        let opened = self.open(value, sealer)?;
        opened.session.is_fresh(now).then_some(FreshSession(opened))
    }

    fn open(&mut self, value: &[u8], sealer: &Sealer) -> Option<Rc<Opened>> {
        let slot = self.slots.get_mut(place(value))?;
        if let Some(slot) = slot.as_ref().filter(|slot| is_same(&slot.value, value)) {
            return Some(Rc::clone(&slot.opened));
        }
        let session = Session::open(&self.name, value, sealer)?;
        let opened = Rc::new(Opened { session, identity: OnceCell::new() });
        if value.len() <= MAX_REMEMBERED {
            *slot = Some(Slot { value: value.into(), opened: Rc::clone(&opened) });
        }
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

/// The end of a sealed value is its authentication tag, as good as random; only what we sealed is ever stored.
fn place(value: &[u8]) -> usize {
    let tail = value.iter().rev().take(8);
    tail.fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % SLOTS
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
