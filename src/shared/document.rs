//! A document of a provider: fetched by one worker, shared sealed with the others, refreshed, and kept while it is good.

use std::{fmt, time::Duration};

use zeroize::Zeroizing;

use crate::{
    digest::{HalfDigest, half_digest},
    http::MAX_CALLOUT_BODY,
    platform::Platform,
    record,
    session::seal::{MAX_SEALED_BYTES, Sealer},
    time::UnixTime,
};

use super::{
    lease::{Demand, KeyRequest},
    sealed,
};

/// How long a document is trusted while its provider cannot be reached.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// A request for newer keys is forgotten after this time.
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
    /// The key of the shared store; the document's lease is named after it.
    pub key: String,
    /// The parsed document.
    pub value: Option<T>,
    /// Counts the values, so that a waiter can tell newer from older.
    pub version: u64,
    fetched: UnixTime,
    due: UnixTime,
    seen: Option<u32>,
    /// Whether this worker is fetching it.
    pub in_flight: bool,
    /// The request for newer keys, and when it was made.
    pub requested: Option<(UnixTime, KeyRequest)>,
    /// The digest of the document that the value was read from.
    digest: Option<HalfDigest>,
}

impl<T> Document<T> {
    /// A document that is not fetched yet. `of` names the issuer and where its documents are, `app` the filter's own app:
    /// another app in this process could not open what is shared, and must not use up its fetches.
    pub fn new(app: &str, of: &HalfDigest, kind: DocumentKind) -> Self {
        Self {
            key: format!("vestibule.{app}.{}.{}", base16ct::lower::encode_string(of), kind.name()),
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

    /// The value, unless it is too old to be trusted.
    pub fn usable(&self, now: UnixTime) -> Option<&T> {
        self.value.as_ref().filter(|_| now < self.trusted_until())
    }

    /// The end of the trust in the value; that of no value never comes.
    pub fn trusted_until(&self) -> UnixTime {
        if self.value.is_some() { self.fetched.plus(USABLE) } else { UnixTime::MAX }
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

    /// The request for newer keys that counts.
    pub fn key_request(&self, now: UnixTime) -> Option<KeyRequest> {
        self.requested.filter(|(since, _)| now < since.plus(KEY_REQUEST_LIFE)).map(|(_, request)| request)
    }

    /// Whether there is such a request.
    pub fn has_key_request(&self, now: UnixTime) -> bool {
        self.key_request(now).is_some()
    }

    /// The document that another worker has shared since this one last looked, and when it was fetched.
    pub fn news(&mut self, sealer: &Sealer, platform: &dyn Platform, now: UnixTime) -> Option<(UnixTime, Vec<u8>)> {
        let shared = platform.shared_get(&self.key);
        if shared.version == self.seen {
            return None;
        }
        self.seen = shared.version;
        let opened = sealed::open(&self.label(), &shared, sealer)?;
        let SharedDocument { fetched, document } = SharedDocument::read(&opened)?;
        // An older document was put back, perhaps with a key that was withdrawn since. Where our own is from the future,
        // the clock was set back.
        let is_older = fetched < self.fetched && self.fetched <= now;
        (!is_older).then(|| (fetched, document.to_vec()))
    }

    /// Documents of the first release have no version byte, and another label: each version fetches its own.
    fn label(&self) -> String {
        format!("{} record", self.key)
    }

    /// Shares a document that was fetched at that moment.
    pub fn share(&self, document: &[u8], fetched: UnixTime, sealer: &Sealer, platform: &dyn Platform) {
        let record = SharedDocument { fetched, document }.write();
        // Without a version the write always succeeds; the newest document wins.
        let _ = sealed::set(&self.key, &self.label(), &record, None, sealer, platform);
    }

    /// The reason to fetch it now, if there is one.
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

    /// The fetch is over, and with it the key request it was made for. One that was made while another fetch was under way
    /// stays: the answer may be from before the rotation.
    pub fn settle(&mut self, demand: Demand, started: UnixTime, succeeded: bool) -> &str {
        self.in_flight = false;
        let is_left = |since: UnixTime| since > started || demand == Demand::Due && since == started;
        self.requested = self.requested.filter(|(since, _)| succeeded && is_left(*since));
        &self.key
    }
}

/// A document in the shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedDocument<'a> {
    /// When it was fetched.
    pub fetched: UnixTime,
    /// As the provider sent it.
    pub document: &'a [u8],
}

impl<'a> SharedDocument<'a> {
    const VERSION: u8 = 1;

    /// Reads what [`Self::write`] wrote.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = record::read(Self::VERSION, bytes, MAX_SEALED_BYTES)?;
        Some(Self { fetched: fields.time()?, document: fields.rest() })
    }

    /// Writes the record.
    pub fn write(self) -> Zeroizing<Vec<u8>> {
        record::write(Self::VERSION, &[&self.fetched.as_secs().to_le_bytes(), self.document])
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

const _: () = assert!(MAX_CALLOUT_BODY < MAX_SEALED_BYTES - 64, "a shared document must fit into a seal");
