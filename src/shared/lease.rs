//! Who fetches: one worker of the process at a time takes a lease in the shared store, by compare-and-swap. The lease
//! also remembers failures, so that a provider in trouble is asked less and less often, and how often keys were asked
//! for because of a token nobody could check, so that an attacker's tokens do not become a flood at the provider.

use std::time::Duration;

use crate::{platform::Platform, time::UnixTime};

/// How many wishes are granted at once: the last is kept for unknown keys, as a rotation just before signing needs one at
/// any time.
const BURST: u32 = 2;
/// How long it takes until one more is granted.
const REFILL: Duration = Duration::from_secs(30);
/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How often a write is tried again when another worker was faster.
const TRIES: usize = 4;

/// Why somebody wants the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The document is missing or due.
    Due,
    /// A token may be signed by a newer key.
    Keys(KeyRequest),
}

/// A wish for newer keys, for the sake of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRequest {
    /// Where the token came from.
    pub asker: Asker,
    /// Why the known keys do not verify it.
    pub lack: Lack,
}

impl KeyRequest {
    /// Whether a fetch for this wish serves the other as well.
    pub fn covers(self, other: Self) -> bool {
        let is_asker = self.asker == other.asker && (self.lack == Lack::Key || self.lack == other.lack);
        is_asker || self.asker == Asker::Provider && other.asker == Asker::Unauthenticated
    }

    /// Whether keys that were fetched in the second of this wish may be from before the rotation that it asks for. A wrong
    /// signature that may be forged is not worth another fetch.
    pub fn needs_later_second(self) -> bool {
        self.lack == Lack::Key || self.asker == Asker::Provider
    }

    /// Wishes that must be left for this one to be granted.
    const fn needs(self) -> u32 {
        match self.lack {
            Lack::Key => 1,
            Lack::Signature => BURST,
        }
    }
}

/// Why the known keys do not verify a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The set has no key that may have signed it.
    Key,
    /// The key that it names did not sign it: the token is forged, or the provider has replaced the key under its `kid`. This
    /// is granted once in an interval, and never takes the last request.
    Signature,
}

/// Where such a token came from. What strangers ask for must not keep a sign-in from what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Anybody: it may be made up.
    Unauthenticated,
    /// The provider's token endpoint.
    Provider,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    until: UnixTime,
    failures: u32,
    /// How many are left, of those for strangers too.
    provider: u32,
    unauthenticated: u32,
    refilled: UnixTime,
}

impl Default for Lease {
    fn default() -> Self {
        let (until, refilled) = (UnixTime::default(), UnixTime::default());
        Self { until, failures: 0, provider: BURST, unauthenticated: BURST, refilled }
    }
}

impl Lease {
    const SIZE: usize = 28;

    fn read(bytes: &[u8]) -> Self {
        let long = |at: usize| bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        let short = |at: usize| bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        match (long(0), short(8), short(12), short(16), long(20)) {
            (Some(until), Some(failures), Some(provider), Some(unauthenticated), Some(refilled))
                if bytes.len() == Self::SIZE =>
            {
                let (until, refilled) = (UnixTime::from_secs(until), UnixTime::from_secs(refilled));
                Self { until, failures, provider, unauthenticated, refilled }
            }
            _ => Self::default(),
        }
    }

    fn left_for(&mut self, asker: Asker) -> &mut u32 {
        match asker {
            Asker::Unauthenticated => &mut self.unauthenticated,
            Asker::Provider => &mut self.provider,
        }
    }

    fn write(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::SIZE);
        bytes.extend_from_slice(&self.until.as_secs().to_le_bytes());
        bytes.extend_from_slice(&self.failures.to_le_bytes());
        bytes.extend_from_slice(&self.provider.to_le_bytes());
        bytes.extend_from_slice(&self.unauthenticated.to_le_bytes());
        bytes.extend_from_slice(&self.refilled.as_secs().to_le_bytes());
        bytes
    }

    /// The wishes that time has given back. A clock that was set back gives all of them back.
    fn refill(mut self, now: UnixTime) -> Self {
        let back = now.since(self.refilled).as_secs() / REFILL.as_secs();
        if back > 0 || self.refilled > now {
            let back = u32::try_from(back).unwrap_or(BURST);
            for asker in [Asker::Unauthenticated, Asker::Provider] {
                let left = self.left_for(asker);
                *left = left.saturating_add(back).min(BURST);
            }
            self.refilled = now;
        }
        self
    }

    /// Whether somebody holds it, or a failure asks for a pause.
    fn is_held(self, now: UnixTime) -> bool {
        is_ahead(self.until, now)
    }
}

/// Whether the end of a lease is still to come. One far ahead was written by a clock that has been set back since.
pub fn is_ahead(until: UnixTime, now: UnixTime) -> bool {
    now < until && until < now.plus(Duration::from_secs(120))
}

fn lease_key(document: &str) -> String {
    format!("{document}.lease")
}

/// Makes sure that the lease exists.
pub fn create(document: &str, platform: &dyn Platform) {
    platform.shared_create(&lease_key(document), &Lease::default().write());
}

/// Whether a fetch for an unknown key is under way, or would be granted now. Taking the lease is what uses one up.
pub fn grants_key_request(document: &str, request: KeyRequest, now: UnixTime, platform: &dyn Platform) -> bool {
    let mut lease = Lease::read(&platform.shared_get(&lease_key(document)).bytes).refill(now);
    *lease.left_for(request.asker) >= request.needs() || lease.is_held(now)
}

/// Takes the lease, for one call that takes at most `hold`. `false` when somebody else has it or is to pause.
pub fn take(document: &str, demand: Demand, hold: Duration, now: UnixTime, platform: &dyn Platform) -> bool {
    let key = lease_key(document);
    let shared = platform.shared_get(&key);
    let mut lease = Lease::read(&shared.bytes).refill(now);
    if lease.is_held(now) {
        return false;
    }
    if let Demand::Keys(request) = demand {
        let left = lease.left_for(request.asker);
        if *left < request.needs() {
            return false;
        }
        *left = left.saturating_sub(1);
    }
    // One second more than the call may take, and one for the rounding of the clock.
    lease.until = now.plus(hold).plus(Duration::from_secs(2));
    platform.shared_set(&key, &lease.write(), shared.version).is_ok()
}

/// Gives the lease back; after a failure nobody may take it for a while.
pub fn release(document: &str, succeeded: bool, now: UnixTime, platform: &dyn Platform) {
    let key = lease_key(document);
    for _ in 0..TRIES {
        let shared = platform.shared_get(&key);
        let mut lease = Lease::read(&shared.bytes);
        if succeeded {
            lease.failures = 0;
            lease.until = now;
        } else {
            let pause = Duration::from_secs(1 << lease.failures.min(4)).min(MAX_PAUSE);
            lease.failures = lease.failures.saturating_add(1);
            lease.until = now.plus(pause);
        }
        if platform.shared_set(&key, &lease.write(), shared.version).is_ok() {
            return;
        }
    }
}
