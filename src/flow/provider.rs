//! What is known of the providers: metadata and keys. Each document is fetched by one worker for all workers of the
//! process, shared sealed, parsed once per worker, refreshed in the background, and kept when a refresh fails.

use std::{fmt, time::Duration};

use crate::{
    config::Config,
    http::{CalloutRequest, MAX_CALLOUT_BODY},
    jose::jwk::Jwks,
    oidc::{
        Provider, ProviderId,
        discovery::{self, DiscoveryError, ProviderMetadata},
    },
    platform::Platform,
    session::seal::{Purpose, Sealer},
    time::UnixTime,
};

use super::{
    CalloutResult,
    event::Event,
    lease::{self, Demand},
};

/// How long a document is trusted while its provider cannot be reached.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long somebody may wait for newer keys before the wish is forgotten.
const WISH: Duration = Duration::from_secs(10);
/// How often the shared store is looked at while something is missing.
const HURRY: Duration = Duration::from_millis(100);
/// How often otherwise.
const CALM: Duration = Duration::from_secs(1);

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

/// A call that must be made, and what its result is for.
#[derive(Debug)]
pub struct Fetch {
    /// Hand the result back with this.
    pub expect: ExpectDocument,
    /// The call.
    pub request: CalloutRequest,
}

/// A document is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectDocument {
    provider: ProviderId,
    kind: DocumentKind,
}

/// A provider that sign-ins can use.
#[derive(Debug, Clone, Copy)]
pub struct Ready<'a> {
    /// As configured.
    pub provider: &'a Provider,
    /// Its metadata.
    pub metadata: &'a ProviderMetadata,
    /// Its keys.
    pub keys: &'a Jwks,
}

/// What this worker knows of every provider.
#[derive(Debug)]
pub struct Providers {
    sealer: Sealer,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    provider: Provider,
    metadata: Document<ProviderMetadata>,
    keys: Document<Jwks>,
}

/// A document as this worker has it.
#[derive(Debug)]
struct Document<T> {
    key: String,
    value: Option<T>,
    /// Counts what was installed, so that a waiter can tell newer from older.
    version: u64,
    fetched: UnixTime,
    due: UnixTime,
    seen: Option<u32>,
    in_flight: bool,
    /// Since when a newer one is wished for.
    wished: Option<UnixTime>,
}

impl<T> Document<T> {
    fn new(fingerprint: &str, index: usize, kind: DocumentKind) -> Self {
        Self {
            key: format!("vestibule.{fingerprint}.{index}.{}", kind.name()),
            value: None,
            version: 0,
            fetched: UnixTime::default(),
            due: UnixTime::default(),
            seen: None,
            in_flight: false,
            wished: None,
        }
    }

    fn usable(&self, now: UnixTime) -> Option<&T> {
        self.value.as_ref().filter(|_| now < self.fetched.plus(USABLE))
    }

    fn install(&mut self, value: T, fetched: UnixTime, due: UnixTime) {
        self.value = Some(value);
        self.version = self.version.wrapping_add(1);
        self.fetched = fetched;
        self.due = due;
    }

    fn is_wished(&self, now: UnixTime) -> bool {
        self.wished.is_some_and(|since| now < since.plus(WISH))
    }

    /// What another worker has shared since this one last looked: when it was fetched, and the document.
    fn news(&mut self, sealer: &Sealer, platform: &dyn Platform, now: UnixTime) -> Option<(UnixTime, Vec<u8>)> {
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

    fn share(&self, document: &[u8], now: UnixTime, sealer: &Sealer, platform: &dyn Platform) {
        let stamped = [&now.as_secs().to_le_bytes(), document].concat();
        if let Ok(sealed) = sealer.seal_bytes(Purpose::SharedDocument, &self.key, &stamped, platform) {
            // Without a version the write always succeeds; the newest document wins.
            let _ = platform.shared_set(&self.key, &sealed, None);
        }
    }

    /// Why it should be fetched now, if it should.
    fn demand(&self, now: UnixTime) -> Option<Demand> {
        if self.in_flight {
            None
        } else if self.is_wished(now) {
            Some(Demand::Wish)
        } else if self.value.is_none() || self.due <= now {
            Some(Demand::Due)
        } else {
            None
        }
    }
}

impl Providers {
    /// Nothing is known yet.
    pub fn new(config: &Config, platform: &dyn Platform) -> Self {
        let known: Vec<_> = config
            .providers
            .iter()
            .enumerate()
            .map(|(index, provider)| Known {
                provider: provider.clone(),
                metadata: Document::new(&config.fingerprint, index, DocumentKind::Metadata),
                keys: Document::new(&config.fingerprint, index, DocumentKind::Keys),
            })
            .collect();
        for provider in &known {
            lease::create(&provider.metadata.key, platform);
            lease::create(&provider.keys.key, platform);
        }
        Self { sealer: config.session.sealer.clone(), known }
    }

    /// Every provider, in the configured order.
    pub fn ids(&self) -> impl Iterator<Item = ProviderId> + use<> {
        (0..u8::try_from(self.known.len()).unwrap_or(u8::MAX)).map(ProviderId::new)
    }

    /// The provider, where enough is known of it to sign somebody in.
    pub fn ready(&self, id: ProviderId, now: UnixTime) -> Option<Ready<'_>> {
        let Known { provider, metadata, keys } = self.known.get(id.index())?;
        Some(Ready { provider, metadata: metadata.usable(now)?, keys: keys.usable(now)? })
    }

    /// Counts the key sets that this worker has had.
    pub fn keys_version(&self, id: ProviderId) -> u64 {
        self.known.get(id.index()).map_or(0, |known| known.keys.version)
    }

    /// Whether newer keys are on their way, or wished for.
    pub fn wants_keys(&self, id: ProviderId, now: UnixTime) -> bool {
        self.known.get(id.index()).is_some_and(|known| known.keys.in_flight || known.keys.is_wished(now))
    }

    /// Takes over what other workers have shared since this one last looked. Whether there are other keys now.
    pub fn look(&mut self, id: ProviderId, platform: &dyn Platform, now: UnixTime) -> bool {
        self.known.get_mut(id.index()).is_some_and(|known| known.take_news(&self.sealer, platform, now))
    }

    /// Asks for newer keys, because a token names one that nobody here has. `false` when that was asked too often.
    pub fn ask_for_keys(
        &mut self,
        id: ProviderId,
        platform: &dyn Platform,
        now: UnixTime,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(known) = self.known.get_mut(id.index()) else { return false };
        if !known.keys.is_wished(now) {
            if !lease::grants_wish(&known.keys.key, now, platform) {
                events.push(Event::UnknownKeyThrottled);
                return false;
            }
            known.keys.wished = Some(now);
        }
        true
    }

    /// A token that waited for newer keys was signed by one of them.
    pub fn wish_came_true(&mut self, id: ProviderId) {
        if let Some(known) = self.known.get_mut(id.index()) {
            known.keys.wished = None;
        }
    }

    /// Looks at what other workers have shared, and says what this one must fetch.
    pub fn poll(&mut self, platform: &dyn Platform, now: UnixTime) -> Vec<Fetch> {
        let mut fetches = Vec::new();
        for (index, known) in self.known.iter_mut().enumerate() {
            // News may be what was wished for: whoever waits looks at them first.
            let has_other_keys = known.take_news(&self.sealer, platform, now);
            if has_other_keys && known.keys.is_wished(now) {
                continue;
            }
            let provider = ProviderId::new(u8::try_from(index).unwrap_or(u8::MAX));
            fetches.extend(known.fetches(provider, platform, now));
        }
        fetches
    }

    /// A document came, or did not.
    pub fn fetched(
        &mut self,
        expect: ExpectDocument,
        result: CalloutResult,
        platform: &dyn Platform,
        now: UnixTime,
        events: &mut Vec<Event>,
    ) {
        let Some(known) = self.known.get_mut(expect.provider.index()) else { return };
        let issuer = known.provider.issuer.to_string();
        let outcome =
            discovery::body(result).and_then(|body| known.receive(expect.kind, &body, &self.sealer, platform, now));
        let cluster = known.cluster_of(expect.kind).to_owned();
        let has_good = match expect.kind {
            DocumentKind::Keys => known.keys.usable(now).is_some(),
            DocumentKind::Metadata => known.metadata.usable(now).is_some(),
        };
        let key = match expect.kind {
            DocumentKind::Keys => known.keys.settle(),
            DocumentKind::Metadata => known.metadata.settle(),
        };
        lease::release(key, outcome.is_ok(), now, platform);
        events.push(match outcome {
            Ok(()) => Event::Fetched(expect.kind, issuer),
            Err(error) => Event::NotFetched { kind: expect.kind, issuer, cluster, error, has_good },
        });
    }

    /// When to look again.
    pub fn next_poll(&self, now: UnixTime) -> Duration {
        let is_calm = |known: &Known| {
            known.metadata.usable(now).is_some() && known.keys.usable(now).is_some() && !known.keys.is_wished(now)
        };
        if self.known.iter().all(is_calm) { CALM } else { HURRY }
    }
}

impl<T> Document<T> {
    /// The fetch is over, and with it every wish for it.
    fn settle(&mut self) -> &str {
        self.in_flight = false;
        self.wished = None;
        &self.key
    }
}

impl Known {
    fn cluster_of(&self, kind: DocumentKind) -> &str {
        let Self { provider, metadata, .. } = self;
        let endpoint = match (kind, &metadata.value) {
            (DocumentKind::Keys, Some(metadata)) => &metadata.jwks_uri,
            _ => provider.issuer.discovery(),
        };
        provider.clusters.reaching(endpoint).as_str()
    }

    /// Takes over what other workers have shared. Whether there are other keys now.
    fn take_news(&mut self, sealer: &Sealer, platform: &dyn Platform, now: UnixTime) -> bool {
        if let Some((fetched, document)) = self.metadata.news(sealer, platform, now)
            && let Ok(value) = ProviderMetadata::parse(&self.provider, &document)
        {
            self.metadata.install(value, fetched, due(DocumentKind::Metadata, fetched, platform));
        }
        if let Some((fetched, document)) = self.keys.news(sealer, platform, now)
            && let Ok(value) = Jwks::parse(&document)
        {
            self.keys.install(value, fetched, due(DocumentKind::Keys, fetched, platform));
            // Keys of the same second may still be those from before a rotation.
            self.keys.wished = self.keys.wished.filter(|since| fetched <= *since);
            return true;
        }
        false
    }

    fn fetches(&mut self, id: ProviderId, platform: &dyn Platform, now: UnixTime) -> Vec<Fetch> {
        let hold = self.provider.timeout;
        let mut fetches = Vec::new();
        if let Some(demand) = self.metadata.demand(now)
            && lease::take(&self.metadata.key, demand, hold, now, platform)
        {
            self.metadata.in_flight = true;
            let expect = ExpectDocument { provider: id, kind: DocumentKind::Metadata };
            fetches.push(Fetch { expect, request: discovery::request(&self.provider) });
        }
        if let Some(demand) = self.keys.demand(now)
            && let Some(metadata) = self.metadata.usable(now)
            && lease::take(&self.keys.key, demand, hold, now, platform)
        {
            self.keys.in_flight = true;
            let expect = ExpectDocument { provider: id, kind: DocumentKind::Keys };
            fetches.push(Fetch { expect, request: discovery::get(&self.provider, &metadata.jwks_uri) });
        }
        fetches
    }

    fn receive(
        &mut self,
        kind: DocumentKind,
        body: &[u8],
        sealer: &Sealer,
        platform: &dyn Platform,
        now: UnixTime,
    ) -> Result<(), DiscoveryError> {
        let due = due(kind, now, platform);
        match kind {
            DocumentKind::Metadata => {
                self.metadata.install(ProviderMetadata::parse(&self.provider, body)?, now, due);
                self.metadata.share(body, now, sealer, platform);
            }
            DocumentKind::Keys => {
                self.keys.install(Jwks::parse(body)?, now, due);
                self.keys.share(body, now, sealer, platform);
            }
        }
        Ok(())
    }
}

/// When a document is refreshed: up to a tenth later than it must be, so that a fleet does not ask all at once.
fn due(kind: DocumentKind, fetched: UnixTime, platform: &dyn Platform) -> UnixTime {
    let mut byte = [0; 1];
    // Without randomness there is no jitter, and no harm.
    let _ = platform.random(&mut byte);
    let after = kind.refresh_after();
    fetched.plus(after).plus(after.mul_f64(f64::from(byte[0]) / 2560.0))
}

const _: () = assert!(MAX_CALLOUT_BODY <= 1 << 20, "a shared document must fit into a seal");
