//! One document of a provider, whichever it is: fetched by one worker, shared sealed with the others, refreshed, kept
//! while it is good.

use std::{fmt, time::Duration};

use crate::{
    digest::{HalfDigest, half_digest, hex},
    http::MAX_CALLOUT_BODY,
    platform::Platform,
    session::seal::{Purpose, Sealer},
    time::UnixTime,
};

use super::lease::{Demand, KeyRequest};

/// How long a document is trusted while its provider cannot be reached.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long somebody may wait for newer keys before the wish is forgotten.
const KEY_REQUEST_LIFE: Duration = Duration::from_secs(10);

/// A document of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// Its JWK Set.
    Keys,
    /// Its metadata.
    Metadata,
}

impl DocumentKind {
    const fn refresh_after(self) -> Duration {
        match self {
            Self::Keys => Duration::from_secs(10 * 60),
            Self::Metadata => Duration::from_secs(60 * 60),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Metadata => "metadata",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A document as this worker has it.
#[derive(Debug)]
pub struct Document<T> {
    pub key: String,
    pub value: Option<T>,
    /// Counts what was installed, so that a waiter can tell newer from older.
    pub version: u64,
    fetched: UnixTime,
    due: UnixTime,
    seen: Option<u32>,
    pub in_flight: bool,
    /// The wish for a newer one, and since when there is one.
    pub requested: Option<(UnixTime, KeyRequest)>,
    /// The digest of the document that the value was read from.
    digest: Option<HalfDigest>,
}

impl<T> Document<T> {
    /// Nothing is known of it yet. `of` names the issuer and where its documents are, `app` the filter's own app: another
    /// app in this process could not open what is shared, and must not use up its fetches.
    pub fn new(app: &str, of: &HalfDigest, kind: DocumentKind) -> Self {
        Self {
            key: format!("vestibule.{app}.{}.{}", hex(of), kind.name()),
            value: None,
            version: 0,
            fetched: UnixTime::default(),
            due: UnixTime::default(),
            seen: None,
            in_flight: false,
            requested: None,
            digest: None,
        }
    }

    pub fn usable(&self, now: UnixTime) -> Option<&T> {
        self.value.as_ref().filter(|_| now < self.fetched.plus(USABLE))
    }

    /// Takes over a document that was fetched at that moment, and returns whether it differs from the one before. An equal
    /// one changes only its age: what was verified with it stays verified.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn install<E>(
        &mut self,
        document: &[u8],
        fetched: UnixTime,
        due: UnixTime,
        read: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<bool, E> {
        let digest = Some(half_digest("document", &[document]));
        let is_other = self.digest != digest;
        if is_other {
            self.value = Some(read(document)?);
            self.digest = digest;
            self.version = self.version.wrapping_add(1);
        }
        self.fetched = fetched;
        self.due = due;
        Ok(is_other)
    }

    /// The wish for a newer one that counts.
    pub fn key_request(&self, now: UnixTime) -> Option<KeyRequest> {
        self.requested.filter(|(since, _)| now < since.plus(KEY_REQUEST_LIFE)).map(|(_, request)| request)
    }

    pub fn has_key_request(&self, now: UnixTime) -> bool {
        self.key_request(now).is_some()
    }

    /// What another worker has shared since this one last looked: when it was fetched, and the document.
    pub fn news(&mut self, sealer: &Sealer, platform: &dyn Platform, now: UnixTime) -> Option<(UnixTime, Vec<u8>)> {
        let shared = platform.shared_get(&self.key);
        if shared.version == self.seen {
            return None;
        }
        self.seen = shared.version;
        // Whatever cannot be opened was written by somebody without our key: as if it were not there.
        let opened = sealer.open_bytes(Purpose::SharedDocument, &self.key, &shared.bytes)?;
        let (fetched, document) = opened.split_first_chunk::<8>()?;
        let fetched = UnixTime::from_secs(u64::from_le_bytes(*fetched));
        // Older than what is here: an old document put back, perhaps with a key that was withdrawn since. Where our own
        // is from the future, the clock was set back.
        let is_older = fetched < self.fetched && self.fetched <= now;
        (!is_older).then(|| (fetched, document.to_vec()))
    }

    pub fn share(&self, document: &[u8], fetched: UnixTime, sealer: &Sealer, platform: &dyn Platform) {
        let stamped = [&fetched.as_secs().to_le_bytes(), document].concat();
        if let Ok(sealed) = sealer.seal_bytes(Purpose::SharedDocument, &self.key, &stamped, platform) {
            // Without a version the write always succeeds; the newest document wins.
            let _ = platform.shared_set(&self.key, &sealed, None);
        }
    }

    /// Why it should be fetched now, if it should.
    pub fn demand(&self, now: UnixTime) -> Option<Demand> {
        if self.in_flight {
            None
        } else if let Some(request) = self.key_request(now) {
            Some(Demand::Keys(request))
        } else if self.value.is_none() || self.due <= now {
            Some(Demand::Due)
        } else {
            None
        }
    }

    /// The fetch is over, and with it the wish it was made for. One that was made while another fetch was under way
    /// stays: the answer may be from before what it wishes for.
    pub fn settle(&mut self, demand: Demand, started: UnixTime, succeeded: bool) -> &str {
        self.in_flight = false;
        let is_left = |since: UnixTime| since > started || demand == Demand::Due && since == started;
        self.requested = self.requested.filter(|(since, _)| succeeded && is_left(*since));
        &self.key
    }
}

/// When a document is refreshed: up to a tenth later than it must be, so that a fleet does not ask all at once.
pub fn due(kind: DocumentKind, fetched: UnixTime, platform: &dyn Platform) -> UnixTime {
    let mut byte = [0; 1];
    // Without randomness there is no jitter, and no harm.
    let _ = platform.random(&mut byte);
    let after = kind.refresh_after();
    fetched.plus(after).plus(after.mul_f64(f64::from(byte[0]) / 2560.0))
}

const _: () = assert!(MAX_CALLOUT_BODY <= 1 << 20, "a shared document must fit into a seal");
