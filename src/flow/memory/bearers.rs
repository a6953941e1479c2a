//! Access tokens that a worker has looked at, under its configuration: verified ones, and ones that their issuer refused.

use subtle::ConstantTimeEq;

use super::verified_bearer::VerifiedBearer;
use crate::{
    cache::Cache,
    time::{Deadline, UnixTime},
};

/// Access tokens of each kind that a worker remembers. One that is replaced is verified again.
const SLOTS: usize = 512;
/// Bytes of tokens and of their issuers' answers that a worker remembers; parsed, they take several times as much memory.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// SHA-256 of a token: no token itself is kept.
pub(in crate::flow) type Fingerprint = [u8; 32];

/// The reason why a remembered token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) enum Basis {
    /// Its issuer's answer, which counts until then.
    Answer(Deadline),
    /// The keys of this version: with others it is verified again.
    Keys(u64),
}

/// A token that is good.
#[derive(Debug)]
pub(in crate::flow) struct CheckedToken {
    /// Its client.
    pub(in crate::flow) bearer: VerifiedBearer,
    /// The reason why it is good.
    pub(in crate::flow) basis: Basis,
    /// The length of its issuer's answer.
    pub(in crate::flow) answered: usize,
}

/// The access tokens that a worker remembers.
#[derive(Debug)]
pub(in crate::flow) struct Bearers {
    verified: Cache<(Fingerprint, Basis, VerifiedBearer)>,
    /// Tokens that their issuer refused, and until when that counts. They have slots of their own: made-up tokens must not
    /// replace good ones.
    refused: Cache<(Fingerprint, Deadline)>,
}

impl Default for Bearers {
    fn default() -> Self {
        Self { verified: Cache::new(SLOTS, MAX_REMEMBERED), refused: Cache::new(SLOTS, 0) }
    }
}

impl Bearers {
    /// The verified token with this fingerprint, and the reason why it is good.
    pub(in crate::flow) fn find(&self, fingerprint: &Fingerprint) -> Option<(VerifiedBearer, Basis)> {
        let known = self.verified.find(hash(fingerprint), |(known, ..)| is_same(known, fingerprint));
        known.map(|(_, basis, bearer)| (bearer.clone(), *basis))
    }

    /// Remembers a verified token; `length` is that of the token and of its issuer's answer.
    pub(in crate::flow) fn remember(
        &mut self,
        fingerprint: Fingerprint,
        length: usize,
        basis: Basis,
        bearer: &VerifiedBearer,
    ) {
        self.verified.insert(hash(&fingerprint), (fingerprint, basis, bearer.clone()), length);
    }

    /// Forgets a token that is good no longer.
    pub(in crate::flow) fn forget(&mut self, fingerprint: &Fingerprint) {
        self.verified.remove(hash(fingerprint), |(known, ..)| is_same(known, fingerprint));
    }

    /// Whether the issuer has refused this token lately.
    pub(in crate::flow) fn is_refused(&self, fingerprint: &Fingerprint, now: UnixTime) -> bool {
        let known = self.refused.find(hash(fingerprint), |(known, _)| is_same(known, fingerprint));
        known.is_some_and(|(_, until)| !until.has_passed(now))
    }

    /// Remembers until then that the issuer refused this token.
    pub(in crate::flow) fn refuse(&mut self, fingerprint: Fingerprint, until: Deadline) {
        self.refused.insert(hash(&fingerprint), (fingerprint, until), 0);
    }
}

fn is_same(a: &Fingerprint, b: &Fingerprint) -> bool {
    a.ct_eq(b).into()
}

fn hash(fingerprint: &Fingerprint) -> u64 {
    let [first, second, ..] = *fingerprint;
    u16::from_le_bytes([first, second]).into()
}
