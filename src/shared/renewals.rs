//! What became of renewals, for all workers of the process: a place for each session, in the store that they share,
//! sealed. A lease stands there first, then what came of it.

use zeroize::Zeroizing;

use crate::{
    digest::HalfDigest,
    platform::{Conflict, Platform},
    session::{
        Session,
        seal::{Purpose, Sealer},
    },
    shared::lease::is_ahead,
    time::UnixTime,
};

/// How many outcomes a process keeps. A session has two places among them and takes the one that was written longer ago:
/// so two sessions that meet in a place push each other out only where both of both are in use within seconds.
const PLACES: u16 = 2048;

/// The largest session that is kept: more than fits into cookies.
const MAX_SESSION: usize = 32 * 1024;

/// What became of the renewal of a session.
#[derive(Debug, Clone)]
pub enum Outcome {
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
pub enum Found {
    /// Nothing that counts.
    Nothing,
    /// Another session's renewal is under way.
    OthersLease,
    /// Its own.
    Own(Outcome),
}

/// One place, as it was when it was looked at.
#[derive(Debug)]
pub struct Place {
    key: String,
    version: Option<u32>,
}

/// What has changed in a session's places, and what not.
pub type Versions = [Option<u32>; 2];

/// Where they stand.
#[derive(Debug)]
pub struct Outcomes {
    prefix: String,
    sealer: Sealer,
}

impl Outcomes {
    /// Makes sure that there are all of them, for this app.
    pub fn new(app: &str, sealer: &Sealer, platform: &dyn Platform) -> Self {
        let outcomes = Self { prefix: format!("vestibule.{app}.renewed"), sealer: sealer.clone() };
        (0..PLACES).for_each(|number| platform.shared_create(&outcomes.key(number), &[]));
        outcomes
    }

    fn key(&self, number: u16) -> String {
        format!("{}.{number}", self.prefix)
    }

    /// What is known of this session's renewal, and the place where it stands, or may stand.
    pub fn find(&self, digest: &HalfDigest, now: UnixTime, platform: &dyn Platform) -> (Found, Place) {
        let [one, other] = self.numbers(digest).map(|number| {
            let key = self.key(number);
            let shared = platform.shared_get(&key);
            // Whatever cannot be opened was written by somebody without our key: as if it were not there.
            let bytes = self.sealer.open_bytes(Purpose::SharedDocument, &key, &shared.bytes);
            let record = bytes.as_ref().and_then(|bytes| Record::read(bytes));
            let (found, age) = record.map_or((Found::Nothing, 0), |record| record.seen_by(digest, now, platform));
            (age, found, Place { key, version: shared.version })
        });
        let is_others = matches!(other.1, Found::Own(_)) || !matches!(one.1, Found::Own(_)) && other.0 < one.0;
        let (_, found, place) = if is_others { other } else { one };
        (found, place)
    }

    /// The marks of what stands in this session's places; they change with whatever is written there.
    pub fn versions(&self, digest: &HalfDigest, platform: &dyn Platform) -> Versions {
        self.numbers(digest).map(|number| platform.shared_get(&self.key(number)).version)
    }

    fn numbers(&self, digest: &HalfDigest) -> [u16; 2] {
        let [a, b, c, d, ..] = *digest;
        [[a, b], [c, d]].map(|bytes| u16::from_le_bytes(bytes) % PLACES)
    }

    /// Writes an outcome into its place, unless somebody was faster.
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
        let bytes = write_outcome(digest, outcome, now, platform);
        let sealed = self.sealer.seal_bytes(Purpose::SharedDocument, &place.key, &bytes, platform);
        platform.shared_set(&place.key, &sealed.map_err(|_| Conflict)?, place.version)
    }

    /// Leaves the outcome where the lease was, whatever stands there by now.
    pub fn settle(&self, digest: &HalfDigest, outcome: &Outcome, now: UnixTime, platform: &dyn Platform) {
        let (_, place) = self.find(digest, now, platform);
        let _ = self.write(&Place { version: None, ..place }, digest, outcome, now, platform);
    }
}

/// An outcome as it stands in a place: which it is, whose, when it was written, what it says of time, and a session.
struct Record<'a> {
    tag: u8,
    of: HalfDigest,
    at: u64,
    time: UnixTime,
    session: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (of, rest) = rest.split_first_chunk::<16>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (time, session) = rest.split_first_chunk::<8>()?;
        let (at, time) = (u64::from_le_bytes(*at), UnixTime::from_secs(u64::from_le_bytes(*time)));
        Some(Self { tag: *tag, of: *of, at, time, session })
    }

    /// What it is for this session, and when it was written: a lease that somebody holds is given up last.
    fn seen_by(&self, digest: &HalfDigest, now: UnixTime, platform: &dyn Platform) -> (Found, u64) {
        if self.of == *digest {
            (self.outcome(platform).map_or(Found::Nothing, Found::Own), self.at)
        } else if self.tag == LEASED && is_ahead(self.time, now) {
            (Found::OthersLease, u64::MAX)
        } else {
            (Found::Nothing, self.at)
        }
    }

    fn outcome(&self, platform: &dyn Platform) -> Option<Outcome> {
        match self.tag {
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
    let session = if let Outcome::Renewed(session) = outcome { Some(session.to_bytes(platform)) } else { None };
    let (tag, time) = match outcome {
        Outcome::Leased(until) => (LEASED, *until),
        Outcome::Failed(until) => (FAILED, *until),
        Outcome::Refused(at) => (REFUSED, *at),
        Outcome::Elsewhere(until) => (ELSEWHERE, *until),
        // It is in the store, from where whoever asks for it next gets it.
        Outcome::Renewed(_) if session.as_ref().is_some_and(|bytes| bytes.len() > MAX_SESSION) => (ELSEWHERE, now),
        Outcome::Renewed(_) => (RENEWED, UnixTime::default()),
    };
    let session = session.filter(|_| tag == RENEWED);
    let mut bytes = Zeroizing::new(vec![tag]);
    bytes.extend_from_slice(digest);
    bytes.extend_from_slice(&now.as_secs().to_le_bytes());
    bytes.extend_from_slice(&time.as_secs().to_le_bytes());
    bytes.extend_from_slice(session.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        flow::tests::world::{TestPlatform, document},
    };

    const NOW: u64 = 1_800_000_000;

    struct Process {
        outcomes: Outcomes,
        platform: TestPlatform,
    }

    impl Process {
        fn new() -> Self {
            let config = Config::parse(document().to_string().as_bytes(), &|_| None).unwrap();
            let platform = TestPlatform::default();
            Self { outcomes: Outcomes::new(&config.fingerprint, &config.session.sealer, &platform), platform }
        }

        fn leaves(&self, digest: HalfDigest, outcome: &Outcome, second: u64) {
            self.outcomes.settle(&digest, outcome, UnixTime::from_secs(NOW + second), &self.platform);
        }

        fn finds(&self, digest: HalfDigest) -> Found {
            self.outcomes.find(&digest, UnixTime::from_secs(NOW + 5), &self.platform).0
        }
    }

    /// One of the sessions that have the same two places.
    fn named(name: u8) -> HalfDigest {
        let mut digest = [7; 16];
        digest[2] = 8;
        digest[15] = name;
        digest
    }

    fn failed() -> Outcome {
        Outcome::Failed(UnixTime::from_secs(NOW + 60))
    }

    #[test]
    fn of_two_places_the_one_goes_that_was_written_longer_ago() {
        let process = Process::new();
        for (second, name) in [1, 2, 3].into_iter().enumerate() {
            assert!(matches!(process.finds(named(name)), Found::Nothing));
            process.leaves(named(name), &failed(), u64::try_from(second).unwrap());
        }
        assert!(matches!(process.finds(named(1)), Found::Nothing));
        assert!(matches!(process.finds(named(2)), Found::Own(Outcome::Failed(_))));
        assert!(matches!(process.finds(named(3)), Found::Own(Outcome::Failed(_))));
        // What a session has left is written over by itself, wherever it stands.
        process.leaves(named(2), &Outcome::Refused(UnixTime::from_secs(NOW)), 4);
        assert!(matches!(process.finds(named(2)), Found::Own(Outcome::Refused(_))));
        assert!(matches!(process.finds(named(3)), Found::Own(Outcome::Failed(_))));
    }

    #[test]
    fn a_lease_that_somebody_holds_is_not_taken_away() {
        let lease = Outcome::Leased(UnixTime::from_secs(NOW + 10));
        let process = Process::new();
        process.leaves(named(1), &lease, 0);
        process.leaves(named(2), &failed(), 1);
        process.leaves(named(3), &lease, 2);
        assert!(matches!(process.finds(named(1)), Found::Own(Outcome::Leased(_))));
        assert!(matches!(process.finds(named(2)), Found::OthersLease));
        assert!(matches!(process.finds(named(3)), Found::Own(Outcome::Leased(_))));
    }

    #[test]
    fn sessions_that_are_renewed_at_the_same_time_do_not_meet() {
        let process = Process::new();
        let sessions: Vec<_> = (0..100_u8).map(|number| crate::digest::half_digest("test", &[&[number]])).collect();
        sessions.iter().for_each(|digest| process.leaves(*digest, &failed(), 0));
        assert!(sessions.iter().all(|digest| matches!(process.finds(*digest), Found::Own(_))));
    }
}
