//! What is known of the providers: metadata and keys. Each document is fetched by one worker for all workers of the
//! process, shared sealed, parsed once per worker, refreshed in the background, and kept when a refresh fails.

use std::time::Duration;

use crate::{
    config::Config,
    jose::jwk::Jwks,
    oidc::{
        Provider, ProviderId,
        discovery::{self, DiscoveryError, ProviderMetadata},
    },
    platform::Platform,
    session::seal::Sealer,
    time::UnixTime,
};

pub use super::document::DocumentKind;
use super::{
    CalloutResult,
    background::{ExpectBackground, Fetch},
    document::{Document, due},
    event::Event,
    lease::{self, Asker, Demand},
};

/// How often the shared store is looked at while something is missing.
const HURRY: Duration = Duration::from_millis(100);
/// How often otherwise.
const CALM: Duration = Duration::from_secs(1);

/// A document is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectDocument {
    provider: ProviderId,
    kind: DocumentKind,
    /// Why.
    demand: Demand,
    /// When it was asked for: what comes is at least as old, whenever it comes.
    started: UnixTime,
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

impl Ready<'_> {
    /// How long the calls of a renewal may take.
    pub fn time_to_renew(&self) -> Duration {
        let timeout = self.provider.timeout;
        if self.metadata.userinfo_endpoint.is_some() { timeout.saturating_add(timeout) } else { timeout }
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
        if let Some(github) = &provider.github {
            return Some(Ready { provider, metadata: &github.metadata, keys: Jwks::NONE });
        }
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

    /// Takes over what other workers know, where this one does not know enough: one that has only just begun need not
    /// wait for its next look around.
    pub fn catch_up(&mut self, platform: &dyn Platform, now: UnixTime) {
        for known in &mut self.known {
            if !known.is_complete(now) {
                known.take_news(&self.sealer, platform, now);
            }
        }
    }

    /// Takes over what other workers have shared since this one last looked. Whether there are other keys now.
    pub fn look(&mut self, id: ProviderId, platform: &dyn Platform, now: UnixTime) -> bool {
        self.known.get_mut(id.index()).is_some_and(|known| known.take_news(&self.sealer, platform, now))
    }

    /// Asks for newer keys, because a token names one that nobody here has. `false` when that was asked too often.
    pub fn ask_for_keys(
        &mut self,
        id: ProviderId,
        asker: Asker,
        platform: &dyn Platform,
        now: UnixTime,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(known) = self.known.get_mut(id.index()).filter(|known| known.has_documents()) else { return false };
        let wished_by = known.keys.wish(now);
        if wished_by == Some(asker) || wished_by == Some(Asker::Provider) {
            return true;
        }
        let is_granted = lease::grants_wish(&known.keys.key, asker, now, platform);
        if is_granted {
            known.keys.wished = Some((now, asker));
        } else if wished_by.is_none() {
            events.push(Event::UnknownKeyThrottled);
        }
        is_granted || wished_by.is_some()
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
        let outcome = discovery::body(result).and_then(|body| known.receive(expect, &body, &self.sealer, platform));
        let cluster = known.cluster_of(expect.kind).to_owned();
        let has_good = match expect.kind {
            DocumentKind::Keys => known.keys.usable(now).is_some(),
            DocumentKind::Metadata => known.metadata.usable(now).is_some(),
        };
        let key = match expect.kind {
            DocumentKind::Keys => known.keys.settle(expect.demand, expect.started, outcome.is_ok()),
            DocumentKind::Metadata => known.metadata.settle(expect.demand, expect.started, outcome.is_ok()),
        };
        lease::release(key, outcome.is_ok(), now, platform);
        events.push(match outcome {
            Ok(()) => Event::Fetched(expect.kind, issuer, known.lacks(expect.kind)),
            Err(error) => Event::NotFetched { kind: expect.kind, issuer, cluster, error, has_good },
        });
    }

    /// When to look again.
    pub fn next_poll(&self, now: UnixTime) -> Duration {
        let is_calm = |known: &Known| known.is_complete(now) && !known.keys.is_wished(now);
        if self.known.iter().all(is_calm) { CALM } else { HURRY }
    }
}

impl Known {
    /// Whether there is anything to fetch: of GitHub all is known from the start.
    const fn has_documents(&self) -> bool {
        self.provider.github.is_none()
    }

    fn is_complete(&self, now: UnixTime) -> bool {
        !self.has_documents() || self.metadata.usable(now).is_some() && self.keys.usable(now).is_some()
    }

    fn cluster_of(&self, kind: DocumentKind) -> &str {
        let Self { provider, metadata, .. } = self;
        let endpoint = match (kind, &metadata.value) {
            (DocumentKind::Keys, Some(ProviderMetadata { jwks_uri: Some(uri), .. })) => uri,
            _ => provider.issuer.discovery(),
        };
        provider.clusters.reaching(endpoint).as_str()
    }

    /// What signing out could use, and this document does not offer.
    fn lacks(&self, kind: DocumentKind) -> Vec<&'static str> {
        let Some(metadata) = self.metadata.value.as_ref().filter(|_| kind == DocumentKind::Metadata) else {
            return Vec::new();
        };
        let end_session = metadata.end_session_endpoint.is_none().then_some("end_session_endpoint");
        let revocation = metadata.revocation_endpoint.is_none().then_some("revocation_endpoint");
        [end_session, revocation].into_iter().flatten().collect()
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
            self.keys.wished = self.keys.wished.filter(|(since, _)| fetched <= *since);
            return true;
        }
        false
    }

    fn fetches(&mut self, id: ProviderId, platform: &dyn Platform, now: UnixTime) -> Vec<Fetch> {
        let hold = self.provider.timeout;
        let mut fetches = Vec::new();
        if !self.has_documents() {
            return fetches;
        }
        if let Some(demand) = self.metadata.demand(now)
            && lease::take(&self.metadata.key, demand, hold, now, platform)
        {
            self.metadata.in_flight = true;
            let expect = ExpectDocument { provider: id, kind: DocumentKind::Metadata, demand, started: now };
            fetches.push(Fetch {
                expect: ExpectBackground::Document(expect),
                request: discovery::request(&self.provider),
            });
        }
        if let Some(demand) = self.keys.demand(now)
            && let Some(jwks_uri) = self.metadata.usable(now).and_then(|metadata| metadata.jwks_uri.as_ref())
            && lease::take(&self.keys.key, demand, hold, now, platform)
        {
            self.keys.in_flight = true;
            let expect = ExpectDocument { provider: id, kind: DocumentKind::Keys, demand, started: now };
            fetches.push(Fetch {
                expect: ExpectBackground::Document(expect),
                request: discovery::get(&self.provider, jwks_uri),
            });
        }
        fetches
    }

    fn receive(
        &mut self,
        expect: ExpectDocument,
        body: &[u8],
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<(), DiscoveryError> {
        let ExpectDocument { kind, started, .. } = expect;
        let due = due(kind, started, platform);
        match kind {
            DocumentKind::Metadata => {
                self.metadata.install(ProviderMetadata::parse(&self.provider, body)?, started, due);
                self.metadata.share(body, started, sealer, platform);
            }
            DocumentKind::Keys => {
                self.keys.install(Jwks::parse(body)?, started, due);
                self.keys.share(body, started, sealer, platform);
            }
        }
        Ok(())
    }
}
