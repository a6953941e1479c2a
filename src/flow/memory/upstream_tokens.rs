//! Tokens that a worker has got in exchange for those of users and clients, until they expire; the failures of the last moments, so
//! that one page with fifty images asks once; and the exchanges under way.

use std::rc::{Rc, Weak};

use crate::{
    cache::Cache, claims::IssuerId, oidc::token_exchange::NoExchange, rules::UpstreamToken, secret::AccessToken,
    time::Deadline,
};

/// Exchanges that a worker remembers. One that is replaced is made again.
const SLOTS: usize = 512;
/// Bytes of their tokens.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// What tells exchanges apart: the token of a user or client, its provider, and what is asked for.
#[derive(Debug)]
pub(in crate::flow) struct ExchangeKey {
    /// The provider that issued the token.
    pub(in crate::flow) issuer: IssuerId,
    /// The token that is exchanged.
    pub(in crate::flow) subject: AccessToken,
    /// The token that is asked for.
    pub(in crate::flow) wanted: Rc<UpstreamToken>,
}

/// The outcome of an exchange.
pub(in crate::flow) type Outcome = Result<AccessToken, NoExchange>;

/// What is known of an exchange.
#[derive(Debug)]
enum Entry {
    /// Its outcome, which counts until then.
    Settled(Rc<ExchangeKey>, Outcome, Deadline),
    /// It is under way while its request lives.
    UnderWay(Weak<ExchangeKey>),
}

/// The exchanges that a worker remembers.
#[derive(Debug)]
pub(in crate::flow) struct UpstreamTokens(Cache<Entry>);

impl Default for UpstreamTokens {
    fn default() -> Self {
        Self(Cache::new(SLOTS, MAX_REMEMBERED))
    }
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
        let matches = |exchange: &ExchangeKey| {
            exchange.issuer == issuer && Rc::ptr_eq(&exchange.wanted, wanted) && exchange.subject.matches(subject)
        };
        self.0.find(hash(subject, wanted), |known| match known {
            Entry::Settled(exchange, ..) => matches(exchange),
            Entry::UnderWay(exchange) => exchange.upgrade().is_some_and(|exchange| matches(&exchange)),
        })
    }

    /// Begins an exchange, unless the same one is under way. It is over when it is settled, or dropped by its request.
    pub(in crate::flow) fn begin(&mut self, key: &Rc<ExchangeKey>) -> bool {
        let ExchangeKey { issuer, subject, wanted } = &**key;
        let is_idle = !matches!(self.known(*issuer, subject.expose(), wanted), Some(Entry::UnderWay(_)));
        if is_idle {
            self.insert(key, Entry::UnderWay(Rc::downgrade(key)), 0);
        }
        is_idle
    }

    /// Remembers the outcome of an exchange until then.
    pub(in crate::flow) fn settle(&mut self, key: &Rc<ExchangeKey>, outcome: &Outcome, until: Deadline) {
        let length = outcome.as_ref().map_or(0, |token| token.expose().len());
        let length = key.subject.expose().len().saturating_add(length);
        self.insert(key, Entry::Settled(Rc::clone(key), outcome.clone(), until), length);
    }

    fn insert(&mut self, key: &ExchangeKey, entry: Entry, length: usize) {
        self.0.insert(hash(key.subject.expose(), &key.wanted), entry, length);
    }
}

/// A hash of the token's last bytes, which are of its signature or random, and of what is asked for.
fn hash(subject: &str, wanted: &Rc<UpstreamToken>) -> u64 {
    let place = u64::try_from(Rc::as_ptr(wanted).addr()).unwrap_or_default();
    let mut sum = place >> 3;
    for byte in subject.bytes().rev().take(8) {
        sum = sum.wrapping_mul(31).wrapping_add(byte.into());
    }
    sum
}
