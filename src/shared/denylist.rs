//! A bounded list of digests in the shared store: ended sessions, finished sign-ins, used logout tokens, known `sid`s. Each
//! entry has a moment, an expiry, and a number that is given out in the same write: a later entry has a higher number,
//! however coarse the clock is. [`Eviction`] says how a full list takes more.
//!
//! The layout has no version byte and is that of the first release: while one version of the module replaces another, the
//! workers of both read and write the same lists, and no ended session comes back. Another layout needs new keys, and
//! workers that read the old ones too.

use std::{collections::HashMap, time::Duration};

use crate::{digest::HalfDigest, platform::Platform, record::Fields, time::UnixTime};

/// The most entries that are read: the largest capacity of a list.
pub const MAX_ENTRIES: usize = 4096;
/// Bytes of an entry: digest, owner, moment, number, expiry.
const ENTRY: usize = 56;
/// The owner of an entry that has none.
const NO_OWNER: HalfDigest = [0; 16];
/// A write is tried this often when other workers write too.
const TRIES: usize = 64;

/// An entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The digest of a session, a sign-in, a logout token or a `sid`.
    pub digest: HalfDigest,
    /// The subject that can cause such entries, where it is known.
    pub owner: Option<HalfDigest>,
    /// When it happened.
    pub at: UnixTime,
    /// Its number, given by the list.
    pub number: u64,
    /// Its expiry.
    pub forget_at: UnixTime,
}

impl Entry {
    /// An entry of this moment, to be kept for this long.
    pub fn now(digest: HalfDigest, now: UnixTime, keep: Duration) -> Self {
        let forget_at = now.plus(keep).plus(Duration::from_secs(1));
        Self { digest, owner: None, at: now, number: 0, forget_at }
    }

    fn read(bytes: &[u8; ENTRY]) -> Option<Self> {
        let mut fields = Fields::unversioned(bytes);
        Some(Self {
            digest: fields.array()?,
            owner: fields.array().map(|owner| (owner != NO_OWNER).then_some(owner))?,
            at: fields.time()?,
            number: fields.u64()?,
            forget_at: fields.time()?,
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.digest);
        bytes.extend_from_slice(&self.owner.unwrap_or(NO_OWNER));
        for number in [self.at.as_secs(), self.number, self.forget_at.as_secs()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// The same entry with the later moments and the higher number of both: a clock that was set back undoes nothing.
    fn joined_with(self, other: &Self) -> Self {
        Self {
            at: self.at.max(other.at),
            number: self.number.max(other.number),
            forget_at: self.forget_at.max(other.forget_at),
            owner: self.owner.or(other.owner),
            ..self
        }
    }
}

/// The way room is made for a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// The older half of the entries of the owner with the most becomes one entry with the owner as its digest. Where no
    /// owner has more than two, the oldest entry goes.
    LargestOwner,
    /// The oldest goes.
    Oldest,
    /// The oldest of the same owner goes; where there is none, the oldest.
    SameOwner,
    /// No entry goes: a full list takes no new one.
    Never,
}

/// Why an entry was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DenylistError {
    /// Other workers wrote at every try.
    #[error("the shared value has changed too often")]
    Conflict,
    /// The list is full, and no entry may go.
    #[error("the list is full")]
    Full,
}

/// A list.
#[derive(Debug, Clone, Copy)]
pub struct SharedDenylist<'a> {
    /// Its key in the shared store.
    pub key: &'a str,
    /// The most entries, up to [`MAX_ENTRIES`].
    pub capacity: usize,
    /// How a full list takes more.
    pub eviction: Eviction,
}

/// The content of a list.
#[derive(Debug, Default)]
pub struct Entries {
    /// The highest number that was given out.
    pub last: u64,
    /// Oldest first.
    pub list: Vec<Entry>,
}

impl SharedDenylist<'_> {
    /// Its content.
    pub fn entries(self, platform: &dyn Platform) -> Entries {
        Entries::read(&platform.shared_get(self.key).bytes)
    }

    /// Adds an entry, unless there is one with its digest (`Ok(false)`).
    ///
    /// # Errors
    /// [`DenylistError`]; after a conflict it is not known whether there was one.
    pub fn claim(self, entry: Entry, now: UnixTime, platform: &dyn Platform) -> Result<bool, DenylistError> {
        let added = self.write(now, platform, |entries| {
            let is_new = !entries.list.iter().any(|known| known.digest == entry.digest);
            Ok(is_new.then(|| entries.list.push(entry)))
        })?;
        Ok(added.is_some())
    }

    /// Adds an entry, or replaces the one with the same digest. Returns its number.
    ///
    /// # Errors
    /// [`DenylistError`]
    pub fn put(self, entry: Entry, now: UnixTime, platform: &dyn Platform) -> Result<u64, DenylistError> {
        let added = self.write(now, platform, |entries| {
            let number = entries.last.saturating_add(1);
            entries.last = number;
            let before = entries.list.iter().find(|known| known.digest == entry.digest).copied();
            let mut entry = Entry { number, ..entry };
            match before {
                Some(before) => entry = entry.joined_with(&before),
                None => self.make_room(&entry, entries)?,
            }
            entries.list.retain(|known| known.digest != entry.digest);
            entries.list.push(entry);
            Ok(Some(number))
        })?;
        Ok(added.unwrap_or_default())
    }

    fn make_room(self, entry: &Entry, entries: &mut Entries) -> Result<(), DenylistError> {
        if entries.list.len() < self.capacity {
            return Ok(());
        }
        match self.eviction {
            Eviction::Never => return Err(DenylistError::Full),
            Eviction::LargestOwner => entries.summarize_largest(),
            Eviction::SameOwner if entry.owner.is_some() => {
                let own = entries.list.iter().position(|known| known.owner == entry.owner);
                own.map(|place| entries.list.remove(place));
            }
            Eviction::Oldest | Eviction::SameOwner => {}
        }
        Ok(())
    }

    /// Changes the list, unless `change` has nothing to do (`Ok(None)`).
    fn write<T>(
        self,
        now: UnixTime,
        platform: &dyn Platform,
        change: impl Fn(&mut Entries) -> Result<Option<T>, DenylistError>,
    ) -> Result<Option<T>, DenylistError> {
        for _ in 0..TRIES {
            let shared = platform.shared_get(self.key);
            let mut entries = Entries::read(&shared.bytes);
            entries.list.retain(|entry| entry.forget_at > now);
            let Some(changed) = change(&mut entries)? else { return Ok(None) };
            if platform.shared_set(self.key, &entries.write(self.capacity), shared.version).is_ok() {
                return Ok(Some(changed));
            }
        }
        Err(DenylistError::Conflict)
    }
}

impl Entries {
    /// Reads what [`Self::write`] wrote.
    pub fn read(bytes: &[u8]) -> Self {
        let mut fields = Fields::unversioned(bytes);
        let Some(last) = fields.u64() else { return Self::default() };
        let (entries, _) = fields.rest().as_chunks::<ENTRY>();
        let surplus = entries.len().saturating_sub(MAX_ENTRIES);
        Self { last, list: entries.iter().skip(surplus).filter_map(Entry::read).collect() }
    }

    /// Writes the list with its latest entries, `capacity` at most.
    pub fn write(&self, capacity: usize) -> Vec<u8> {
        let surplus = self.list.len().saturating_sub(capacity);
        let mut bytes = self.last.to_le_bytes().to_vec();
        self.list.iter().skip(surplus).for_each(|entry| entry.write(&mut bytes));
        bytes
    }

    /// Turns the older half of the entries of the owner with the most into one that is as late as the latest of them.
    fn summarize_largest(&mut self) {
        let mut counts: HashMap<HalfDigest, usize> = HashMap::new();
        for entry in &self.list {
            if let Some(owner) = entry.owner.filter(|owner| *owner != entry.digest) {
                let count = counts.entry(owner).or_default();
                *count = count.saturating_add(1);
            }
        }
        let largest = counts.into_iter().max_by_key(|(owner, count)| (*count, *owner));
        let Some((owner, count)) = largest.filter(|(_, count)| *count > 2) else { return };
        let mut left = count.div_ceil(2);
        let mut summary: Option<Entry> = None;
        self.list.retain(|entry| {
            let is_summary = entry.digest == owner;
            let goes = is_summary || left > 0 && entry.owner == Some(owner);
            if goes {
                left = left.saturating_sub(usize::from(!is_summary));
                let entry = Entry { digest: owner, ..*entry };
                summary = Some(summary.map_or(entry, |summary| entry.joined_with(&summary)));
            }
            !goes
        });
        self.list.extend(summary);
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl SharedDenylist<'_> {
    /// Fills the list with entries of this owner.
    pub fn fill(self, owner: HalfDigest, now: UnixTime, platform: &dyn Platform) {
        let shared = platform.shared_get(self.key);
        let mut entries = Entries::read(&shared.bytes);
        while entries.list.len() < self.capacity {
            entries.last += 1;
            let digest = crate::digest::half_digest("filler", &[&owner, &entries.last.to_le_bytes()]);
            let entry = Entry::now(digest, now, Duration::from_secs(3600));
            entries.list.push(Entry { owner: Some(owner), number: entries.last, ..entry });
        }
        platform.shared_set(self.key, &entries.write(self.capacity), shared.version).unwrap();
    }
}
