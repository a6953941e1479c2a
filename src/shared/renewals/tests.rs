use super::*;
use crate::{
    flow::tests::world::TestPlatform,
    session::seal::{Purpose, SessionKey},
};

const NOW: u64 = 1_800_000_000;

struct Process {
    outcomes: Outcomes,
    platform: TestPlatform,
}

impl Process {
    fn new() -> Self {
        let key = SessionKey::parse("9f0c1e6d7a5b4c3d2e1f00112233445566778899aabbccddeeff0123456789ab").unwrap();
        let sealer = Sealer::new(vec![key], "app").unwrap();
        let platform = TestPlatform::default();
        Self { outcomes: Outcomes::new("app", &sealer, &platform), platform }
    }

    fn leaves(&self, digest: HalfDigest, outcome: &Outcome, second: u64) {
        self.outcomes.settle(&digest, outcome, UnixTime::from_secs(NOW + second), &self.platform);
    }

    fn finds(&self, digest: HalfDigest) -> Found {
        self.outcomes.find(&digest, UnixTime::from_secs(NOW + 5), &self.platform).0
    }
}

/// The digest of one of the sessions that share the same two places.
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
fn the_older_of_two_renewal_slots_is_replaced() {
    let process = Process::new();
    for (second, name) in [1, 2, 3].into_iter().enumerate() {
        assert!(matches!(process.finds(named(name)), Found::Nothing));
        process.leaves(named(name), &failed(), u64::try_from(second).unwrap());
    }
    assert!(matches!(process.finds(named(1)), Found::Nothing));
    assert!(matches!(process.finds(named(2)), Found::Own(Outcome::Failed(_))));
    assert!(matches!(process.finds(named(3)), Found::Own(Outcome::Failed(_))));
    // A session's outcome replaces its own earlier one, in either place.
    process.leaves(named(2), &Outcome::Refused(UnixTime::from_secs(NOW)), 4);
    assert!(matches!(process.finds(named(2)), Found::Own(Outcome::Refused(_))));
    assert!(matches!(process.finds(named(3)), Found::Own(Outcome::Failed(_))));
}

#[test]
fn a_held_lease_is_not_replaced() {
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
fn concurrent_renewals_of_many_sessions_do_not_collide() {
    let process = Process::new();
    let sessions: Vec<_> = (0..100_u8).map(|number| crate::digest::half_digest("test", &[&[number]])).collect();
    sessions.iter().for_each(|digest| process.leaves(*digest, &failed(), 0));
    assert!(sessions.iter().all(|digest| matches!(process.finds(*digest), Found::Own(_))));
}

#[test]
fn leases_are_compatible_with_the_first_release() {
    let process = Process::new();
    let Outcomes { sealer, .. } = &process.outcomes;
    let until = UnixTime::from_secs(NOW + 10);
    let key = process.outcomes.key(process.outcomes.numbers(&named(1))[0]);
    let record = [&[LEASED][..], &named(1), &NOW.to_le_bytes(), &(NOW + 10).to_le_bytes()].concat();
    let sealed = sealer.seal_bytes(Purpose::SharedDocument, &key, &record, &process.platform).unwrap();
    process.platform.shared_set(&key, &sealed, None).unwrap();
    assert!(matches!(process.finds(named(1)), Found::Own(Outcome::Leased(ends)) if ends == until));
    process.leaves(named(1), &Outcome::Leased(until), 0);
    let written = process.platform.shared_get(&key).bytes;
    assert_eq!(*sealer.open_bytes(Purpose::SharedDocument, &key, &written).unwrap(), record);
}
