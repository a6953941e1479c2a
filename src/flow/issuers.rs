//! What is known of the issuers: metadata and keys. Each document is fetched by one worker for all workers of the
//! process, shared sealed, parsed once per worker, refreshed in the background, and kept when a refresh fails.

mod known;

use std::time::Duration;

use crate::{
    claims::IssuerId,
    config::Config,
    jose::jwk::Jwks,
    oidc::{
        Endpoint, Provider,
        discovery::{self, ProviderMetadata},
        token_issuer::Validation,
    },
    platform::Platform,
    session::seal::Sealer,
    shared::lease::{self, Demand, KeyRequest, Lack},
    time::UnixTime,
};

use super::{CalloutResult, background::Fetch, event::Event, omission::Omissions};
pub use crate::shared::document::DocumentKind;
use known::{Known, Whose};

/// How often the shared store is looked at while something is missing.
const HURRY: Duration = Duration::from_millis(100);
/// How often otherwise.
const CALM: Duration = Duration::from_secs(1);

/// A document is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectDocument {
    issuer: IssuerId,
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

impl Ready<'_> {
    /// How long the calls of a renewal may take.
    pub fn time_to_renew(&self) -> Duration {
        let timeout = self.provider.timeout;
        if self.metadata.userinfo_endpoint.is_some() { timeout.saturating_add(timeout) } else { timeout }
    }
}

/// What this worker knows of every issuer.
#[derive(Debug)]
pub struct Issuers {
    sealer: Sealer,
    known: Vec<Known>,
}

impl Issuers {
    /// Nothing is known yet.
    pub fn new(config: &Config, platform: &dyn Platform) -> Self {
        let providers = config.providers.iter().map(|provider| Whose::Provider(Box::new(provider.clone())));
        let others = config.token_issuers.iter().filter(|issuer| !matches!(issuer.validation, Validation::Provider));
        let others = others.map(|issuer| Whose::TokenIssuer(Box::new(issuer.clone())));
        let known = providers.chain(others).map(|whose| Known::new(whose, &config.fingerprint, platform)).collect();
        Self { sealer: config.session.sealer.clone(), known }
    }

    fn known(&self, id: IssuerId) -> Option<&Known> {
        self.known.iter().find(|known| known.whose.id() == id)
    }

    /// It, and what opens the documents that workers share.
    fn known_mut(&mut self, id: IssuerId) -> Option<(&mut Known, &Sealer)> {
        let Self { sealer, known } = self;
        known.iter_mut().find(|known| known.whose.id() == id).map(|known| (known, &*sealer))
    }

    /// What an issuer calls itself.
    pub fn name(&self, id: IssuerId) -> String {
        self.known(id).map(|known| known.whose.issuer().to_owned()).unwrap_or_default()
    }

    /// The provider, where enough is known of it to sign somebody in.
    pub fn ready(&self, id: IssuerId, now: UnixTime) -> Option<Ready<'_>> {
        self.known(id)?.ready(now)
    }

    /// The keys of an issuer, where they are known.
    pub fn keys(&self, id: IssuerId, now: UnixTime) -> Option<&Jwks> {
        self.known(id)?.keys(now)
    }

    /// Where an issuer is asked about its tokens, where that is known.
    pub fn introspection_endpoint(&self, id: IssuerId, now: UnixTime) -> Option<&Endpoint> {
        self.known(id)?.introspection_endpoint(now)
    }

    /// Whether all is known that its tokens, or sign-ins there, need.
    pub fn is_ready(&self, id: IssuerId, now: UnixTime) -> bool {
        self.known(id).is_some_and(|known| known.is_ready(now))
    }

    /// Whether that holds for all of them.
    pub fn are_ready(&self, now: UnixTime) -> bool {
        self.known.iter().all(|known| known.is_ready(now))
    }

    /// Counts the key sets that this worker has had.
    pub fn keys_version(&self, id: IssuerId) -> u64 {
        self.known(id).map_or(0, |known| known.keys.version)
    }

    /// Whether newer keys are on their way, or wished for.
    pub fn wants_keys(&self, id: IssuerId, now: UnixTime) -> bool {
        self.known(id).is_some_and(|known| known.keys.in_flight || known.keys.has_key_request(now))
    }

    /// Takes over what other workers know, where this one does not know enough: one that has only just begun need not
    /// wait for its next look around.
    pub fn catch_up(&mut self, platform: &dyn Platform, now: UnixTime) {
        for known in &mut self.known {
            known.catch_up(&self.sealer, platform, now);
        }
    }

    /// Takes over what other workers have shared since this one last looked. Whether there are other keys now.
    pub fn look(&mut self, id: IssuerId, platform: &dyn Platform, now: UnixTime) -> bool {
        self.known_mut(id).is_some_and(|(known, sealer)| known.take_news(sealer, platform, now))
    }

    /// Asks for newer keys, because those that are known do not verify a token. `false` when that was asked too often.
    pub fn ask_for_keys(
        &mut self,
        id: IssuerId,
        request: KeyRequest,
        platform: &dyn Platform,
        now: UnixTime,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some((known, _)) = self.known_mut(id).filter(|(known, _)| !known.has_fixed_keys(now)) else { return false };
        let requested = known.keys.key_request(now);
        if requested.is_some_and(|requested| requested.covers(request)) {
            return true;
        }
        let is_granted = lease::grants_key_request(&known.keys.key, request, now, platform);
        if is_granted {
            known.keys.requested = Some((now, request));
        } else if requested.is_none() && request.lack == Lack::Key {
            events.push(Event::UnknownKeyThrottled);
        }
        is_granted || requested.is_some()
    }

    /// A token that waited for newer keys was signed by one of them.
    pub fn wish_came_true(&mut self, id: IssuerId) {
        if let Some((known, _)) = self.known_mut(id) {
            known.keys.requested = None;
        }
    }

    /// Looks at what other workers have shared, and says what this one must fetch.
    pub fn poll(&mut self, platform: &dyn Platform, now: UnixTime) -> Vec<Fetch> {
        let mut fetches = Vec::new();
        for known in &mut self.known {
            known.take_news(&self.sealer, platform, now);
            // News, of a request's too, may be what was wished for: whoever waits looks at them first.
            if std::mem::take(&mut known.has_other_keys) && known.keys.has_key_request(now) {
                continue;
            }
            fetches.extend(known.fetches(platform, now));
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
        omissions: &mut Omissions,
        events: &mut Vec<Event>,
    ) {
        let Some((known, sealer)) = self.known_mut(expect.issuer) else { return };
        let issuer = known.whose.issuer().to_owned();
        let cluster = known.cluster_of(expect.kind, now);
        let outcome = discovery::body(result).and_then(|body| known.receive(expect, &body, sealer, platform));
        let has_good = known.has(expect.kind, now);
        lease::release(known.settle(expect, outcome.is_ok()), outcome.is_ok(), now, platform);
        let event = match outcome {
            Ok(()) => {
                for omission in known.omitted(expect.kind) {
                    omissions.report(omission, events);
                }
                Event::Fetched(expect.kind, issuer, known.lacks(expect.kind))
            }
            Err(error) => Event::NotFetched { kind: expect.kind, issuer, cluster, error, has_good },
        };
        events.push(event);
    }

    /// When to look again.
    pub fn next_poll(&self, now: UnixTime) -> Duration {
        let is_calm = |known: &Known| known.is_ready(now) && !known.keys.has_key_request(now);
        if self.known.iter().all(is_calm) { CALM } else { HURRY }
    }
}
