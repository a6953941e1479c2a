//! One worker of the process at a time fetches a document: the one that takes its lease in the shared store, by
//! compare-and-swap. The lease counts failures, so that a failing provider is asked less and less often. It also counts
//! fetches for tokens with an unknown key, so that an attacker's tokens do not become a flood at the provider.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{platform::Platform, record, time::UnixTime};

/// Key requests that are granted at once. The last is kept for unknown keys: a provider may rotate its keys just before it
/// signs.
const BURST: u32 = 2;
/// One more key request is granted after this time.
const REFILL: Duration = Duration::from_secs(30);
/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How often a write is tried again when another worker was faster.
const TRIES: usize = 4;

/// The reason for a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The document is missing or due.
    Due,
    /// A token may be signed by a newer key.
    Keys(KeyRequest),
}

/// A request for newer keys, because the known ones do not verify a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRequest {
    /// Where the token came from.
    pub asker: Asker,
    /// Why the known keys do not verify it.
    pub lack: Lack,
}

impl KeyRequest {
    /// Whether a fetch for this request serves the other as well.
    pub fn covers(self, other: Self) -> bool {
        let is_asker = self.asker == other.asker && (self.lack == Lack::Key || self.lack == other.lack);
        is_asker || self.asker == Asker::Provider && other.asker == Asker::Unauthenticated
    }

    /// Whether keys fetched in the second of this request do not settle it: they may be from before the rotation. A wrong
    /// signature on a token that may be forged is not worth another fetch.
    pub fn needs_later_second(self) -> bool {
        self.lack == Lack::Key || self.asker == Asker::Provider
    }

    /// Requests that must be left for this one to be granted.
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

/// The origin of such a token. Requests for unauthenticated tokens do not use up those that a sign-in needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A request brought it: it may be made up.
    Unauthenticated,
    /// The provider's token endpoint.
    Provider,
}

/// The state of a lease, as the workers share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    until: UnixTime,
    failures: u32,
    /// Key requests left for tokens of the provider's token endpoint.
    provider: u32,
    /// Key requests left for unauthenticated tokens.
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
    const VERSION: u8 = 1;
    const SIZE: usize = 29;

    /// Reads what [`Self::write`] wrote.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = record::read(Self::VERSION, bytes, Self::SIZE)?;
        let lease = Self {
            until: fields.time()?,
            failures: fields.u32()?,
            provider: fields.u32()?,
            unauthenticated: fields.u32()?,
            refilled: fields.time()?,
        };
        fields.end()?;
        Some(lease)
    }

    /// Writes the record.
    pub fn write(self) -> Zeroizing<Vec<u8>> {
        let fields: [&[u8]; 5] = [
            &self.until.as_secs().to_le_bytes(),
            &self.failures.to_le_bytes(),
            &self.provider.to_le_bytes(),
            &self.unauthenticated.to_le_bytes(),
            &self.refilled.as_secs().to_le_bytes(),
        ];
        record::write(Self::VERSION, &fields)
    }

    fn left_for(&mut self, asker: Asker) -> &mut u32 {
        match asker {
            Asker::Unauthenticated => &mut self.unauthenticated,
            Asker::Provider => &mut self.provider,
        }
    }

    /// Adds the key requests that time has given back. A clock that was set back gives all of them back.
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

    /// Whether a worker holds it, or a failure asks for a pause.
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

/// Whether this request for keys may still be served: it would be granted, or the lease is held, by a fetch or by a pause
/// after failures. Only taking the lease uses up a request.
pub fn grants_key_request(document: &str, request: KeyRequest, now: UnixTime, platform: &dyn Platform) -> bool {
    let mut lease = Lease::read(&platform.shared_get(&lease_key(document)).bytes).unwrap_or_default().refill(now);
    *lease.left_for(request.asker) >= request.needs() || lease.is_held(now)
}

/// Takes the lease, for one call that takes at most `hold`. `false` when another worker has it, or a pause is on.
pub fn take(document: &str, demand: Demand, hold: Duration, now: UnixTime, platform: &dyn Platform) -> bool {
    let key = lease_key(document);
    let shared = platform.shared_get(&key);
    let mut lease = Lease::read(&shared.bytes).unwrap_or_default().refill(now);
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

/// Gives the lease back; after a failure no worker can take it for a while.
pub fn release(document: &str, succeeded: bool, now: UnixTime, platform: &dyn Platform) {
    let key = lease_key(document);
    for _ in 0..TRIES {
        let shared = platform.shared_get(&key);
        let mut lease = Lease::read(&shared.bytes).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_of_another_version_is_treated_as_free() {
        let lease = Lease { failures: 3, provider: 1, until: UnixTime::from_secs(9), ..Lease::default() };
        let bytes = lease.write();
        assert_eq!((Lease::read(&bytes), bytes.len()), (Some(lease), Lease::SIZE));
        // Those of the first release have no version byte.
        assert_eq!((Lease::read(&bytes[1..]), Lease::read(&[]), Lease::read(&[0xff; Lease::SIZE])), (None, None, None));
    }
}
