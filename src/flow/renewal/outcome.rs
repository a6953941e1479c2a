//! What became of renewals, for all workers of the process: a place for each session, in the store that they share,
//! sealed. A lease stands there first, then what came of it.

use zeroize::Zeroizing;

use crate::{
    config::Config,
    flow::lease::is_ahead,
    platform::{Conflict, Platform},
    session::{
        HalfDigest, Session,
        seal::{Purpose, Sealer},
    },
    time::UnixTime,
};

/// How many outcomes a process keeps; two sessions that meet in one place take turns.
const PLACES: usize = 256;

/// What became of the renewal of a session.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Somebody is at it, until then at most.
    Leased(UnixTime),
    /// Another process is at it, or nobody can tell; not again before then.
    Elsewhere(UnixTime),
    /// The provider was in trouble; not again before then.
    Failed(UnixTime),
    /// The provider said no, then.
    Refused(UnixTime),
    /// Done.
    Renewed(Box<Session>),
}

/// What stands in a session's place.
pub(super) enum Found {
    /// Nothing that counts.
    Nothing,
    /// Another session's renewal is under way.
    OthersLease,
    /// Its own.
    Own(Outcome),
}

/// Where they stand.
#[derive(Debug)]
pub(super) struct Places {
    prefix: String,
    sealer: Sealer,
}

impl Places {
    /// Makes sure that there are all of them.
    pub(super) fn new(config: &Config, platform: &dyn Platform) -> Self {
        let prefix = format!("vestibule.{}.renewed", config.fingerprint);
        (0..PLACES).for_each(|place| platform.shared_create(&format!("{prefix}.{place}"), &[]));
        Self { prefix, sealer: config.session.sealer.clone() }
    }

    fn key(&self, digest: &HalfDigest) -> String {
        let [first, second, ..] = digest;
        let place = usize::from(u16::from_le_bytes([*first, *second])) % PLACES;
        format!("{}.{place}", self.prefix)
    }

    /// What is known of this session's renewal, and the mark of this version.
    pub(super) fn read(&self, digest: &HalfDigest, now: UnixTime, platform: &dyn Platform) -> (Found, Option<u32>) {
        let key = self.key(digest);
        let shared = platform.shared_get(&key);
        // Whatever cannot be opened was written by somebody without our key: as if it were not there.
        let found = self
            .sealer
            .open_bytes(Purpose::SharedDocument, &key, &shared.bytes)
            .and_then(|bytes| read_outcome(&bytes))
            .map_or(Found::Nothing, |(of, outcome)| match outcome {
                outcome if of == *digest => Found::Own(outcome),
                Outcome::Leased(until) if is_ahead(until, now) => Found::OthersLease,
                _ => Found::Nothing,
            });
        (found, shared.version)
    }

    pub(super) fn write(
        &self,
        digest: &HalfDigest,
        outcome: &Outcome,
        version: Option<u32>,
        platform: &dyn Platform,
    ) -> Result<(), Conflict> {
        let key = self.key(digest);
        let bytes = write_outcome(digest, outcome);
        let sealed = self.sealer.seal_bytes(Purpose::SharedDocument, &key, &bytes, platform).map_err(|_| Conflict)?;
        platform.shared_set(&key, &sealed, version)
    }
}

fn write_outcome(digest: &HalfDigest, outcome: &Outcome) -> Zeroizing<Vec<u8>> {
    let (tag, time, session) = match outcome {
        Outcome::Leased(until) => (1, *until, None),
        Outcome::Failed(until) => (2, *until, None),
        Outcome::Refused(at) => (3, *at, None),
        Outcome::Elsewhere(until) => (5, *until, None),
        Outcome::Renewed(session) => (4, UnixTime::default(), Some(session.to_bytes())),
    };
    let mut bytes = Zeroizing::new(vec![tag]);
    bytes.extend_from_slice(digest);
    bytes.extend_from_slice(&time.as_secs().to_le_bytes());
    bytes.extend_from_slice(session.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default());
    bytes
}

fn read_outcome(bytes: &[u8]) -> Option<(HalfDigest, Outcome)> {
    let (tag, rest) = bytes.split_first()?;
    let (digest, rest) = rest.split_first_chunk::<16>()?;
    let (time, session) = rest.split_first_chunk::<8>()?;
    let time = UnixTime::from_secs(u64::from_le_bytes(*time));
    let outcome = match tag {
        1 => Outcome::Leased(time),
        2 => Outcome::Failed(time),
        3 => Outcome::Refused(time),
        4 => Outcome::Renewed(Box::new(Session::from_bytes(session)?)),
        5 => Outcome::Elsewhere(time),
        _ => return None,
    };
    Some((*digest, outcome))
}
