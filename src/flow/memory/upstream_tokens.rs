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

/// An exchange: the token of a user or client, its provider, and what is asked for.
#[derive(Debug)]
pub(in crate::flow) struct Exchanged {
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
enum Known {
    /// Its outcome, which counts until then.
    Done(Rc<Exchanged>, Outcome, Deadline),
    /// It is under way while its request lives.
    UnderWay(Weak<Exchanged>),
}

/// The exchanges that a worker remembers.
#[derive(Debug)]
pub(in crate::flow) struct UpstreamTokens(Cache<Known>);

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
            Known::Done(_, outcome, until) => Some((outcome, *until)),
            Known::UnderWay(_) => None,
        }
    }

    fn known(&self, issuer: IssuerId, subject: &str, wanted: &Rc<UpstreamToken>) -> Option<&Known> {
        let is_it = |exchange: &Exchanged| {
            exchange.issuer == issuer && Rc::ptr_eq(&exchange.wanted, wanted) && exchange.subject.matches(subject)
        };
        self.0.find(hash(subject, wanted), |known| match known {
            Known::Done(exchange, ..) => is_it(exchange),
            Known::UnderWay(exchange) => exchange.upgrade().is_some_and(|exchange| is_it(&exchange)),
        })
    }

    /// Begins an exchange, unless the same one is under way. It is over when it is settled, or dropped by its request.
    pub(in crate::flow) fn begin(&mut self, exchange: &Rc<Exchanged>) -> bool {
        let Exchanged { issuer, subject, wanted } = &**exchange;
        let is_idle = !matches!(self.known(*issuer, subject.expose(), wanted), Some(Known::UnderWay(_)));
        if is_idle {
            self.insert(exchange, Known::UnderWay(Rc::downgrade(exchange)), 0);
        }
        is_idle
    }

    /// Remembers the outcome of an exchange until then.
    pub(in crate::flow) fn settle(&mut self, exchange: &Rc<Exchanged>, outcome: &Outcome, until: Deadline) {
        let length = outcome.as_ref().map_or(0, |token| token.expose().len());
        let length = exchange.subject.expose().len().saturating_add(length);
        self.insert(exchange, Known::Done(Rc::clone(exchange), outcome.clone(), until), length);
    }

    fn insert(&mut self, exchange: &Exchanged, known: Known, length: usize) {
        self.0.insert(hash(exchange.subject.expose(), &exchange.wanted), known, length);
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
