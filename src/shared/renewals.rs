//! Outcomes of renewals in the shared store, sealed: each session has two places there. A lease stands in one of them
//! first, then the outcome.
//!
//! The layout and the label, which is the key, are those of the first release: while one version of the module replaces
//! another, the workers of both see each other's leases and outcomes, and no refresh token is redeemed twice. The kind of an
//! outcome stands where other records have a version byte: another layout takes other kinds.

use zeroize::Zeroizing;

use crate::{
    digest::HalfDigest,
    platform::{Conflict, Platform},
    record::{self, Fields},
    session::{Session, seal::Sealer},
    time::UnixTime,
};

use super::{lease::is_ahead, sealed};

/// Outcomes that a process keeps. A session has two places among them and takes the one that was written longer ago: two
/// sessions push each other out only where both share both places and are renewed within seconds.
const PLACES: u16 = 2048;

/// The largest session that is kept: more than fits into cookies.
const MAX_SESSION: usize = 32 * 1024;

/// The outcome of a session's renewal.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A worker of this process renews the session, until then at most.
    Leased(UnixTime),
    /// Another process renews it, or that is unknown; not again before then.
    Elsewhere(UnixTime),
    /// The provider failed; not again before then.
    Failed(UnixTime),
    /// The provider refused, at this moment.
    Refused(UnixTime),
    /// The renewed session.
    Renewed(Box<Session>),
}

/// The content of a session's place.
#[derive(Debug)]
pub enum Found {
    /// No outcome of this session.
    Nothing,
    /// Another session's renewal is under way.
    OthersLease,
    /// The outcome of this session.
    Own(Outcome),
}

/// A place, and its version when it was read.
#[derive(Debug)]
pub struct Place {
    key: String,
    version: Option<u32>,
}

/// The versions of a session's places: they change with every write.
pub type Versions = [Option<u32>; 2];

/// The places of all outcomes.
#[derive(Debug)]
pub struct Outcomes {
    prefix: String,
    sealer: Sealer,
}

impl Outcomes {
    /// The places of this app, which are created where they are missing.
    pub fn new(app: &str, sealer: &Sealer, platform: &dyn Platform) -> Self {
        let outcomes = Self { prefix: format!("vestibule.{app}.renewed"), sealer: sealer.clone() };
        (0..PLACES).for_each(|number| platform.shared_create(&outcomes.key(number), &[]));
        outcomes
    }

    fn key(&self, number: u16) -> String {
        format!("{}.{number}", self.prefix)
    }

    /// The outcome of this session's renewal, and the place where it stands, or may be written.
    pub fn find(&self, digest: &HalfDigest, now: UnixTime, platform: &dyn Platform) -> (Found, Place) {
        let [one, other] = self.numbers(digest).map(|number| {
            let key = self.key(number);
            let shared = platform.shared_get(&key);
            let bytes = sealed::open(&key, &shared, &self.sealer);
            let record = bytes.as_ref().and_then(|bytes| Record::read(bytes));
            let (found, age) = record.map_or((Found::Nothing, 0), |record| record.seen_by(digest, now, platform));
            (age, found, Place { key, version: shared.version })
        });
        let is_others = matches!(other.1, Found::Own(_)) || !matches!(one.1, Found::Own(_)) && other.0 < one.0;
        let (_, found, place) = if is_others { other } else { one };
        (found, place)
    }

    /// The versions of this session's places.
    pub fn versions(&self, digest: &HalfDigest, platform: &dyn Platform) -> Versions {
        self.numbers(digest).map(|number| platform.shared_get(&self.key(number)).version)
    }

    fn numbers(&self, digest: &HalfDigest) -> [u16; 2] {
        let [a, b, c, d, ..] = *digest;
        [[a, b], [c, d]].map(|bytes| u16::from_le_bytes(bytes) % PLACES)
    }

    /// Writes an outcome into its place, unless another worker was faster.
    ///
    /// # Errors
    /// [`Conflict`]
    pub fn write(
        &self,
        place: &Place,
        digest: &HalfDigest,
        outcome: &Outcome,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<(), Conflict> {
        let record = write_outcome(digest, outcome, now, platform);
        sealed::set(&place.key, &place.key, &record, place.version, &self.sealer, platform)
    }

    /// Replaces the session's lease by the outcome.
    pub fn settle(&self, digest: &HalfDigest, outcome: &Outcome, now: UnixTime, platform: &dyn Platform) {
        let (_, place) = self.find(digest, now, platform);
        let _ = self.write(&Place { version: None, ..place }, digest, outcome, now, platform);
    }
}

/// An outcome in the shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The kind of outcome.
    kind: u8,
    /// The session's grant digest.
    of: HalfDigest,
    written: UnixTime,
    /// The moment that the outcome names.
    time: UnixTime,
    /// The renewed session.
    session: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads what [`Self::write`] wrote.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::unversioned(bytes);
        Some(Self {
            kind: fields.byte()?,
            of: fields.array()?,
            written: fields.time()?,
            time: fields.time()?,
            session: fields.rest(),
        })
    }

    /// Writes the record.
    pub fn write(self) -> Zeroizing<Vec<u8>> {
        let (written, time) = (self.written.as_secs().to_le_bytes(), self.time.as_secs().to_le_bytes());
        record::write(self.kind, &[&self.of, &written, &time, self.session])
    }

    /// The meaning of the record for this session, and when it was written: another session's lease is overwritten last.
    fn seen_by(&self, digest: &HalfDigest, now: UnixTime, platform: &dyn Platform) -> (Found, u64) {
        if self.of == *digest {
            (self.outcome(platform).map_or(Found::Nothing, Found::Own), self.written.as_secs())
        } else if self.kind == LEASED && is_ahead(self.time, now) {
            (Found::OthersLease, u64::MAX)
        } else {
            (Found::Nothing, self.written.as_secs())
        }
    }

    fn outcome(&self, platform: &dyn Platform) -> Option<Outcome> {
        match self.kind {
            LEASED => Some(Outcome::Leased(self.time)),
            FAILED => Some(Outcome::Failed(self.time)),
            REFUSED => Some(Outcome::Refused(self.time)),
            RENEWED => Some(Outcome::Renewed(Box::new(Session::from_bytes(self.session, platform)?))),
            ELSEWHERE => Some(Outcome::Elsewhere(self.time)),
            _ => None,
        }
    }
}

const LEASED: u8 = 1;
const FAILED: u8 = 2;
const REFUSED: u8 = 3;
const RENEWED: u8 = 4;
const ELSEWHERE: u8 = 5;

fn write_outcome(digest: &HalfDigest, outcome: &Outcome, now: UnixTime, platform: &dyn Platform) -> Zeroizing<Vec<u8>> {
    let write = |kind, time, session: &[u8]| Record { kind, of: *digest, written: now, time, session }.write();
    match outcome {
        Outcome::Leased(until) => write(LEASED, *until, &[]),
        Outcome::Failed(until) => write(FAILED, *until, &[]),
        Outcome::Refused(at) => write(REFUSED, *at, &[]),
        Outcome::Elsewhere(until) => write(ELSEWHERE, *until, &[]),
        Outcome::Renewed(session) => match session.to_bytes(platform) {
            // It is in the session store, from where other workers load it.
            bytes if bytes.len() > MAX_SESSION => write(ELSEWHERE, now, &[]),
            bytes => write(RENEWED, UnixTime::default(), &bytes),
        },
    }
}

#[cfg(test)]
mod tests;
