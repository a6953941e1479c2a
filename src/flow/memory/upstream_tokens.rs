//! Tokens that a worker has got in exchange for those of users and clients, until they expire; the failures of the last moments, so
//! that one page with fifty images asks once; and the exchanges under way.

use std::rc::{Rc, Weak};

use crate::{
    claims::IssuerId,
    oidc::token_exchange::NoExchange,
    rules::UpstreamToken,
    secret::AccessToken,
    time::{Deadline, UnixTime},
};

/// Exchanges that a worker remembers. Beyond that, the ones that end first are made again.
const MAX_REMEMBERED: usize = 1024;
/// Bytes of their tokens.
const MAX_LENGTH: usize = 4 * 1024 * 1024;

/// The key of an exchange: the token of a user or client, its provider, and the requested token.
#[derive(Debug)]
pub(in crate::flow) struct ExchangeKey {
    /// The provider that issued the token.
    pub(in crate::flow) issuer: IssuerId,
    /// The token that is exchanged.
    pub(in crate::flow) subject: AccessToken,
    /// The token that is asked for.
    pub(in crate::flow) wanted: Rc<UpstreamToken>,
}

impl ExchangeKey {
    /// Whether it is the key of this exchange.
    fn is_of(&self, issuer: IssuerId, subject: &str, wanted: &Rc<UpstreamToken>) -> bool {
        self.issuer == issuer && Rc::ptr_eq(&self.wanted, wanted) && self.subject.matches(subject)
    }
}

/// The outcome of an exchange.
pub(in crate::flow) type Outcome = Result<AccessToken, NoExchange>;

/// The state of an exchange.
#[derive(Debug)]
enum Entry {
    /// Its outcome, which counts until then.
    Settled(Rc<ExchangeKey>, Outcome, Deadline),
    /// It is under way while its request lives.
    UnderWay(Weak<ExchangeKey>),
}

impl Entry {
    /// Its key; `None` where its request has left.
    fn key(&self) -> Option<Rc<ExchangeKey>> {
        match self {
            Self::Settled(key, ..) => Some(Rc::clone(key)),
            Self::UnderWay(key) => key.upgrade(),
        }
    }

    /// The bytes of its tokens.
    fn length(&self) -> usize {
        let Self::Settled(key, outcome, _) = self else { return 0 };
        let length = outcome.as_ref().map_or(0, |token| token.expose().len());
        key.subject.expose().len().saturating_add(length)
    }

    /// The end of its outcome; an exchange under way goes last.
    const fn end(&self) -> UnixTime {
        match self {
            Self::Settled(_, _, until) => until.end(),
            Self::UnderWay(_) => UnixTime::MAX,
        }
    }
}

/// The exchanges that a worker remembers.
#[derive(Debug, Default)]
pub(in crate::flow) struct UpstreamTokens {
    /// In the order of their hashes.
    entries: Vec<(u64, Entry)>,
}

impl UpstreamTokens {
    /// The outcome of this exchange, and how long it counts.
    pub(in crate::flow) fn find(
        &self,
        issuer: IssuerId,
        subject: &str,
        wanted: &Rc<UpstreamToken>,
    ) -> Option<(&Outcome, Deadline)> {
        match self.known(issuer, subject, wanted)? {
            Entry::Settled(_, outcome, until) => Some((outcome, *until)),
            Entry::UnderWay(_) => None,
        }
    }

    fn known(&self, issuer: IssuerId, subject: &str, wanted: &Rc<UpstreamToken>) -> Option<&Entry> {
        let hash = hash(subject, wanted);
        let first = self.entries.partition_point(|(known, _)| *known < hash);
        let mut alike = self.entries.iter().skip(first).take_while(|(known, _)| *known == hash);
        alike
            .find(|(_, entry)| entry.key().is_some_and(|key| key.is_of(issuer, subject, wanted)))
            .map(|(_, entry)| entry)
    }

    /// Begins an exchange, unless the same one is under way. It is over when it is settled, or dropped by its request.
    pub(in crate::flow) fn begin(&mut self, key: &Rc<ExchangeKey>) -> bool {
        let ExchangeKey { issuer, subject, wanted } = &**key;
        let is_idle = !matches!(self.known(*issuer, subject.expose(), wanted), Some(Entry::UnderWay(_)));
        if is_idle {
            self.insert(key, Entry::UnderWay(Rc::downgrade(key)));
        }
        is_idle
    }

    /// Remembers the outcome of an exchange until then.
    pub(in crate::flow) fn settle(&mut self, key: &Rc<ExchangeKey>, outcome: &Outcome, until: Deadline) {
        self.insert(key, Entry::Settled(Rc::clone(key), outcome.clone(), until));
    }

    /// Replaces the state of this exchange.
    fn insert(&mut self, key: &Rc<ExchangeKey>, entry: Entry) {
        let ExchangeKey { issuer, subject, wanted } = &**key;
        let hash = hash(subject.expose(), wanted);
        // Exchanges whose requests have left go, too.
        self.entries.retain(|(known_hash, known)| {
            known.key().is_some_and(|known| *known_hash != hash || !known.is_of(*issuer, subject.expose(), wanted))
        });
        let mut length: usize = self.entries.iter().map(|(_, known)| known.length()).sum();
        length = length.saturating_add(entry.length());
        while self.entries.len() >= MAX_REMEMBERED || length > MAX_LENGTH {
            let first = self.entries.iter().enumerate().min_by_key(|(_, (_, known))| known.end());
            let Some((place, (_, known))) = first else { return };
            length = length.saturating_sub(known.length());
            self.entries.remove(place);
        }
        let place = self.entries.partition_point(|(known, _)| *known < hash);
        self.entries.insert(place, (hash, entry));
    }
}

/// A hash of the requested token and of the last bytes of the token that is exchanged: these belong to its signature, or are random.
fn hash(subject: &str, wanted: &Rc<UpstreamToken>) -> u64 {
    let place = u64::try_from(Rc::as_ptr(wanted).addr()).unwrap_or_default();
    let mut sum = place >> 3;
    for byte in subject.bytes().rev().take(8) {
        sum = sum.wrapping_mul(31).wrapping_add(byte.into());
    }
    sum
}
