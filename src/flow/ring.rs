//! A bounded list of digests that all workers of one process share: what was used up, ended or seen, since when, and
//! until when it must be remembered. The oldest go first when it is full.

use std::time::Duration;

use crate::{
    digest::HalfDigest,
    platform::{Conflict, Platform},
    time::UnixTime,
};

/// Bytes of an entry: a digest, then two moments (seconds, little-endian).
const ENTRY: usize = 32;
/// How often a write is tried again when other workers write too.
const TRIES: usize = 64;

/// Something that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// What.
    pub(super) digest: HalfDigest,
    /// When it happened.
    pub(super) at: UnixTime,
    /// When it may be forgotten.
    pub(super) forget_at: UnixTime,
}

impl Entry {
    /// Something that happens now, to be remembered for this long.
    pub(super) fn now(digest: HalfDigest, now: UnixTime, keep: Duration) -> Self {
        Self { digest, at: now, forget_at: now.plus(keep).plus(Duration::from_secs(1)) }
    }

    fn read(bytes: &[u8; ENTRY]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<16>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let time = |bytes: [u8; 8]| UnixTime::from_secs(u64::from_le_bytes(bytes));
        Some(Self { digest: *digest, at: time(*at), forget_at: time(*rest.first_chunk()?) })
    }

    fn write(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let parts = [&self.digest[..], &self.at.as_secs().to_le_bytes(), &self.forget_at.as_secs().to_le_bytes()];
        bytes.iter_mut().zip(parts.concat()).for_each(|(slot, byte)| *slot = byte);
        bytes
    }
}

/// The list of this key, which remembers so many at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring<'a> {
    pub(super) key: &'a str,
    pub(super) capacity: usize,
}

impl Ring<'_> {
    /// All that is remembered.
    pub(super) fn entries(self, platform: &dyn Platform) -> Vec<Entry> {
        read(&platform.shared_get(self.key).bytes).collect()
    }

    /// Adds what is not there yet; `Ok(false)` where it was.
    ///
    /// # Errors
    /// [`Conflict`] where too many others wrote at once: nobody knows then.
    pub(super) fn claim(self, entry: Entry, now: UnixTime, platform: &dyn Platform) -> Result<bool, Conflict> {
        self.write(now, platform, |entries| {
            let is_new = !entries.iter().any(|known| known.digest == entry.digest);
            if is_new {
                entries.push(entry);
            }
            is_new
        })
    }

    /// Adds it; of two of the same, what is later counts.
    ///
    /// # Errors
    /// [`Conflict`] where too many others wrote at once.
    pub(super) fn put(self, entry: Entry, now: UnixTime, platform: &dyn Platform) -> Result<(), Conflict> {
        let put = |entries: &mut Vec<Entry>| {
            let mut latest = entry;
            entries.retain(|known| {
                if known.digest == entry.digest {
                    // A clock that was set back meanwhile takes nothing back.
                    latest.at = latest.at.max(known.at);
                    latest.forget_at = latest.forget_at.max(known.forget_at);
                }
                known.digest != entry.digest
            });
            entries.push(latest);
            true
        };
        self.write(now, platform, put).map(drop)
    }

    fn write(
        self,
        now: UnixTime,
        platform: &dyn Platform,
        change: impl Fn(&mut Vec<Entry>) -> bool,
    ) -> Result<bool, Conflict> {
        for _ in 0..TRIES {
            let shared = platform.shared_get(self.key);
            let mut entries: Vec<Entry> = read(&shared.bytes).filter(|entry| entry.forget_at > now).collect();
            if !change(&mut entries) {
                return Ok(false);
            }
            let surplus = entries.len().saturating_sub(self.capacity);
            let bytes: Vec<u8> = entries.iter().skip(surplus).flat_map(Entry::write).collect();
            if platform.shared_set(self.key, &bytes, shared.version).is_ok() {
                return Ok(true);
            }
        }
        Err(Conflict)
    }
}

fn read(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.as_chunks::<ENTRY>().0.iter().filter_map(Entry::read)
}
