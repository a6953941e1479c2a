//! One issuer: a provider that users sign in at, an issuer of bearer tokens, or a transmitter of security events.

use std::{rc::Rc, time::Duration};

use crate::{
    claims::IssuerId,
    http::{CalloutError, CalloutRequest, CalloutResponse},
    jose::jwks::{Jwks, JwksError, LeftOutKey},
    oidc::{
        Endpoint,
        discovery::{self, DiscoveryError},
        dpop::ProofServer,
        provider_metadata::ProviderMetadata,
        token_issuer::{IntrospectionEndpoint, Validation},
    },
    platform::Platform,
    provider::Provider,
    rules::Rules,
    session::seal::Sealer,
    shared::{
        document::{Document, DocumentKind, due},
        lease::{self, Demand, KeyRequest},
    },
    time::UnixTime,
};

use super::{
    super::super::event::omission::Omission,
    configured::{Configured, Metadata},
};

/// A document to fetch.
#[derive(Debug)]
pub(in crate::flow) struct Fetch {
    /// The call.
    pub(in crate::flow) request: CalloutRequest,
    /// The document that its answer holds.
    pub(in crate::flow) document: FetchedDocument,
}

/// A document that is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) struct FetchedDocument {
    pub(super) issuer: IssuerId,
    pub(super) kind: DocumentKind,
    /// The reason for the fetch.
    demand: Demand,
    /// When it was asked for: the document is at least as new as this.
    started: UnixTime,
}

/// A configured provider with its metadata and keys. Flows keep it while they wait.
#[derive(Debug, Clone)]
pub(in crate::flow) struct Ready {
    /// The configured provider.
    pub(in crate::flow) provider: Rc<Provider>,
    /// Its metadata.
    pub(in crate::flow) metadata: Rc<ProviderMetadata>,
    /// Its keys.
    pub(in crate::flow) keys: Rc<Jwks>,
}

impl Ready {
    /// How long the calls of a renewal may take.
    pub(in crate::flow) fn time_to_renew(&self) -> Duration {
        self.provider.time_to_renew(&self.metadata)
    }
}

/// One issuer and its documents.
#[derive(Debug)]
pub(super) struct IssuerState {
    pub(super) configured: Configured,
    metadata: Document<Metadata>,
    pub(super) keys: Document<Rc<Jwks>>,
    no_keys: Rc<Jwks>,
    /// When this worker last looked at what others have shared.
    looked: UnixTime,
    /// New keys came since `poll` last ran; flows that wait for keys try them first.
    pub(super) has_other_keys: bool,
    /// It takes the secret by the other method than its metadata suggest.
    pub(super) takes_other_method: bool,
    /// The nonces for DPoP proofs to its authorization server and its resource server.
    pub(super) proof_nonces: ProofNonces,
    /// The error of the last fetch, as a word ([`DiscoveryError::word`]).
    pub(super) trouble: Option<&'static str>,
}

/// The nonces for DPoP proofs, by server.
#[derive(Debug, Default)]
pub(super) struct ProofNonces {
    authorization: Option<String>,
    resource: Option<String>,
}

impl ProofNonces {
    /// The nonce of this server.
    pub(super) const fn of(&mut self, server: ProofServer) -> &mut Option<String> {
        match server {
            ProofServer::Authorization => &mut self.authorization,
            ProofServer::Resource => &mut self.resource,
        }
    }
}

/// The source of an issuer's keys.
enum KeysFrom<'a> {
    /// The configuration.
    Configuration(&'a Jwks),
    /// This `jwks_uri`, where it is known.
    Fetched(Option<&'a Endpoint>),
}

impl IssuerState {
    pub(super) fn new(configured: Configured, app: &str, platform: &dyn Platform) -> Self {
        let fingerprint = configured.fingerprint();
        let metadata = Document::new(app, &fingerprint, DocumentKind::Metadata);
        let keys = Document::new(app, &fingerprint, DocumentKind::Keys);
        lease::create(&metadata.key, platform);
        lease::create(&keys.key, platform);
        Self {
            configured,
            metadata,
            keys,
            no_keys: Rc::new(Jwks::none()),
            looked: UnixTime::default(),
            has_other_keys: false,
            takes_other_method: false,
            proof_nonces: ProofNonces::default(),
            trouble: None,
        }
    }

    /// All that a sign-in needs.
    pub(super) fn ready(&self, now: UnixTime) -> Option<Ready> {
        let Configured::Provider(provider) = &self.configured else { return None };
        let metadata = self.metadata_of(provider, now)?;
        let keys = if metadata.jwks_uri.is_some() { self.keys.usable(now)? } else { &self.no_keys };
        Some(Ready { provider: Rc::clone(provider), metadata: Rc::clone(metadata), keys: Rc::clone(keys) })
    }

    /// The metadata of this provider: fetched or configured.
    fn metadata_of<'a>(&'a self, provider: &'a Provider, now: UnixTime) -> Option<&'a Rc<ProviderMetadata>> {
        match self.metadata.usable(now) {
            Some(Metadata::Provider(metadata)) => Some(metadata),
            Some(Metadata::TokenIssuer(_)) | None => provider.configured_metadata(),
        }
    }

    /// The keys to verify tokens with.
    pub(super) fn keys(&self, now: UnixTime) -> Option<&Jwks> {
        match self.keys_from(now) {
            KeysFrom::Configuration(keys) => Some(keys),
            KeysFrom::Fetched(_) => self.keys.usable(now).map(|keys| &**keys),
        }
    }

    /// Whether its keys never change.
    pub(super) fn has_fixed_keys(&self, now: UnixTime) -> bool {
        matches!(self.keys_from(now), KeysFrom::Configuration(_))
    }

    fn keys_from(&self, now: UnixTime) -> KeysFrom<'_> {
        let discovered = || self.metadata.usable(now).and_then(Metadata::jwks_uri);
        match &self.configured {
            Configured::Provider(provider) => match self.metadata_of(provider, now) {
                // It signs nothing.
                Some(metadata) if metadata.jwks_uri.is_none() => KeysFrom::Configuration(&self.no_keys),
                metadata => KeysFrom::Fetched(metadata.and_then(|metadata| metadata.jwks_uri.as_ref())),
            },
            Configured::TokenIssuer(issuer) => match &issuer.validation {
                Validation::Discovered(_) => KeysFrom::Fetched(discovered()),
                Validation::Fixed(keys) => KeysFrom::Configuration(keys),
                // It is asked about each token instead.
                Validation::Introspection(_) => KeysFrom::Configuration(&self.no_keys),
                Validation::JwksUri(endpoint) => KeysFrom::Fetched(Some(endpoint)),
                Validation::Provider => KeysFrom::Fetched(None),
            },
            Configured::Transmitter(transmitter) => KeysFrom::Fetched(transmitter.jwks_uri.as_ref()),
        }
    }

    /// Whether nothing is missing.
    pub(super) fn is_ready(&self, now: UnixTime) -> bool {
        let has_metadata = match &self.configured {
            Configured::Provider(provider) => self.metadata_of(provider, now).is_some(),
            Configured::TokenIssuer(issuer) => issuer.discovered().is_none() || self.metadata.usable(now).is_some(),
            Configured::Transmitter(_) => true,
        };
        has_metadata && self.keys(now).is_some()
    }

    /// Until when the documents that are known are trusted.
    pub(super) fn trusted_until(&self) -> UnixTime {
        self.metadata.trusted_until().min(self.keys.trusted_until())
    }

    fn jwks_uri(&self, now: UnixTime) -> Option<&Endpoint> {
        match self.keys_from(now) {
            KeysFrom::Configuration(_) => None,
            KeysFrom::Fetched(from) => from,
        }
    }

    /// Where it is asked about its tokens.
    pub(super) fn introspection_endpoint(&self, now: UnixTime) -> Option<&Endpoint> {
        let Configured::TokenIssuer(issuer) = &self.configured else { return None };
        match (&issuer.introspection()?.endpoint, self.metadata.usable(now)) {
            (IntrospectionEndpoint::Configured(endpoint), _) => Some(endpoint),
            (IntrospectionEndpoint::Discovered(_), Some(Metadata::TokenIssuer(endpoint))) => Some(endpoint),
            (IntrospectionEndpoint::Discovered(_), _) => None,
        }
    }

    fn endpoint_of(&self, kind: DocumentKind, now: UnixTime) -> Option<&Endpoint> {
        match kind {
            DocumentKind::Keys => self.jwks_uri(now),
            DocumentKind::Metadata => self.configured.metadata_endpoint(),
        }
    }

    /// The cluster that reaches a document.
    pub(super) fn cluster_of(&self, kind: DocumentKind, now: UnixTime) -> String {
        let endpoint = self.endpoint_of(kind, now);
        endpoint.map(|endpoint| self.configured.get(endpoint).cluster.as_str().to_owned()).unwrap_or_default()
    }

    /// The content of a document.
    pub(super) fn body_of(
        &self,
        kind: DocumentKind,
        response: Result<CalloutResponse, CalloutError>,
        now: UnixTime,
    ) -> Result<Vec<u8>, DiscoveryError> {
        let compare = match kind {
            DocumentKind::Keys => "jwks_uri, which the configuration or the metadata name",
            DocumentKind::Metadata => "issuer (server, path, tenant, realm), or metadata_url",
        };
        discovery::body(response, self.endpoint_of(kind, now), compare)
    }

    /// Takes over a key set that was fetched at that moment, and returns whether it differs from the one before.
    fn install_keys(
        &mut self,
        document: &[u8],
        fetched: UnixTime,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<bool, JwksError> {
        let url = self.jwks_uri(now).map(|endpoint| endpoint.url().as_str().to_owned());
        self.keys.install(document, fetched, due(DocumentKind::Keys, fetched, platform), |document| {
            let keys = Jwks::parse(document)?;
            Ok(Rc::new(match &url {
                Some(url) => keys.fetched_from(url),
                None => keys,
            }))
        })
    }

    /// Parts of this document that had to be left out, and demands of the rules that it does not list, for the log.
    pub(super) fn omitted(&self, kind: DocumentKind, rules: &Rules) -> Vec<Omission> {
        let issuer = || self.configured.issuer().to_owned();
        match kind {
            DocumentKind::Keys => {
                let keys = self.keys.value.as_ref().and_then(|keys| keys.url().map(|url| (keys, url)));
                let Some((keys, url)) = keys else { return Vec::new() };
                let omission =
                    |key: &LeftOutKey| Omission::Key { issuer: issuer(), url: url.clone(), key: key.clone() };
                keys.left_out().map(omission).collect()
            }
            DocumentKind::Metadata => {
                let Some(Metadata::Provider(metadata)) = &self.metadata.value else { return Vec::new() };
                let left_out = metadata.left_out.iter().cloned();
                let mut omitted: Vec<_> =
                    left_out.map(|endpoint| Omission::Endpoint { issuer: issuer(), endpoint }).collect();
                if let Some(listed) = &metadata.acr_values {
                    for step_up in rules.step_ups_beyond(self.configured.id(), listed) {
                        omitted.push(Omission::AcrValues { issuer: issuer(), step_up });
                    }
                }
                omitted
            }
        }
    }

    /// The endpoints for signing out that this document lacks.
    pub(super) fn lacks(&self, kind: DocumentKind) -> Vec<&'static str> {
        let (DocumentKind::Metadata, Some(Metadata::Provider(metadata))) = (kind, &self.metadata.value) else {
            return Vec::new();
        };
        let end_session = metadata.end_session_endpoint.is_none().then_some("end_session_endpoint");
        let revocation = metadata.revocation_endpoint.is_none().then_some("revocation_endpoint");
        [end_session, revocation].into_iter().flatten().collect()
    }

    /// Takes over what other workers have shared, once a second at most: an issuer that is down must not make every request
    /// dearer.
    pub(super) fn catch_up(&mut self, sealer: &Sealer, platform: &dyn Platform, now: UnixTime) {
        if self.looked != now {
            self.take_news(sealer, platform, now);
        }
    }

    /// Takes over what other workers have shared. Whether there are other keys now.
    pub(super) fn take_news(&mut self, sealer: &Sealer, platform: &dyn Platform, now: UnixTime) -> bool {
        self.looked = now;
        if let Some((fetched, document)) = self.metadata.news(sealer, platform, now) {
            let due = due(DocumentKind::Metadata, fetched, platform);
            // A worker shares only documents that it could read, so this one can be read too.
            let _ = self.metadata.install(&document, fetched, due, |document| self.configured.read_metadata(document));
        }
        if let Some((fetched, document)) = self.keys.news(sealer, platform, now)
            && let Ok(are_other) = self.install_keys(&document, fetched, now, platform)
        {
            // Keys of the same second may still be those from before a rotation.
            let is_left = |(since, request): &(UnixTime, KeyRequest)| {
                fetched < *since || fetched == *since && request.needs_later_second()
            };
            self.keys.requested = self.keys.requested.filter(is_left);
            self.has_other_keys |= are_other;
            return are_other;
        }
        false
    }

    pub(super) fn fetches(&mut self, platform: &dyn Platform, now: UnixTime) -> Vec<Fetch> {
        let issuer = self.configured.id();
        let fetch = |kind, demand, request: CalloutRequest| Fetch {
            document: FetchedDocument { issuer, kind, demand, started: now },
            request,
        };
        let mut fetches = Vec::new();
        if let Some(demand) = self.metadata.demand(now)
            && let Some(request) = self.configured.metadata_endpoint().map(|endpoint| self.configured.get(endpoint))
            && lease::take(&self.metadata.key, demand, request.timeout, now, platform)
        {
            self.metadata.in_flight = true;
            fetches.push(fetch(DocumentKind::Metadata, demand, request));
        }
        if let Some(demand) = self.keys.demand(now)
            && let Some(request) = self.jwks_uri(now).map(|endpoint| self.configured.get(endpoint))
            && lease::take(&self.keys.key, demand, request.timeout, now, platform)
        {
            self.keys.in_flight = true;
            fetches.push(fetch(DocumentKind::Keys, demand, request));
        }
        fetches
    }

    pub(super) fn receive(
        &mut self,
        fetched: FetchedDocument,
        body: &[u8],
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<(), DiscoveryError> {
        let FetchedDocument { kind, started, .. } = fetched;
        let due = due(kind, started, platform);
        match kind {
            DocumentKind::Metadata => {
                self.metadata.install(body, started, due, |document| self.configured.read_metadata(document))?;
                self.metadata.share(body, started, sealer, platform);
            }
            DocumentKind::Keys => {
                self.install_keys(body, started, started, platform)?;
                self.keys.share(body, started, sealer, platform);
            }
        }
        Ok(())
    }

    /// Whether there is a good document of this kind.
    pub(super) fn has(&self, kind: DocumentKind, now: UnixTime) -> bool {
        match kind {
            DocumentKind::Keys => self.keys.usable(now).is_some(),
            DocumentKind::Metadata => self.metadata.usable(now).is_some(),
        }
    }

    /// Ends a fetch. Returns the document's key in the shared data.
    pub(super) fn settle(&mut self, document: FetchedDocument, succeeded: bool) -> &str {
        match document.kind {
            DocumentKind::Keys => self.keys.settle(document.demand, document.started, succeeded),
            DocumentKind::Metadata => self.metadata.settle(document.demand, document.started, succeeded),
        }
    }
}
