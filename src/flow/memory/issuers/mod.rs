//! Metadata and keys of the issuers. Each document is fetched by one worker for all workers of the
//! process, shared sealed, parsed once per worker, refreshed in the background, and kept when a refresh fails.

mod configured;
mod issuer_state;

use std::{rc::Rc, time::Duration};

use crate::{
    claims::IssuerId,
    config::Config,
    http::{CalloutError, CalloutResponse},
    jose::jwks::Jwks,
    oidc::{Endpoint, discovery::DiscoveryError, dpop::ProofServer, token_issuer::Validation},
    platform::Platform,
    rules::Rules,
    session::seal::Sealer,
    shared::lease::{self, KeyRequest, Lack},
    time::UnixTime,
};

use super::{
    super::{clock::Clock, event::Event},
    omissions::Omissions,
};
use configured::Configured;
use issuer_state::IssuerState;
pub(in crate::flow) use issuer_state::{Fetch, FetchedDocument, Ready};

/// The time between two looks at the shared data while a document is missing.
const POLL_PENDING: Duration = Duration::from_millis(100);
/// The time between two looks otherwise.
const POLL_READY: Duration = Duration::from_secs(1);

/// Metadata and keys of every issuer.
#[derive(Debug)]
pub(in crate::flow) struct Issuers {
    sealer: Sealer,
    states: Vec<IssuerState>,
}

impl Issuers {
    /// Nothing is known yet.
    pub(in crate::flow) fn new(config: &Config, platform: &dyn Platform) -> Self {
        let providers = config.providers.iter().map(|provider| Configured::Provider(Rc::new(provider.clone())));
        let others = config.token_issuers.iter().filter(|issuer| !matches!(issuer.validation, Validation::Provider));
        let others = others.map(|issuer| Configured::TokenIssuer(Box::new(issuer.clone())));
        let transmitters = config.providers.iter().filter_map(|provider| provider.transmitter.clone());
        // A transmitter without keys signs with those of its provider.
        let transmitters = transmitters.filter(|transmitter| transmitter.jwks_uri.is_some());
        let states = providers
            .chain(others)
            .chain(transmitters.map(Configured::Transmitter))
            .map(|configured| IssuerState::new(configured, &config.fingerprint, platform))
            .collect();
        Self { sealer: config.session.sealer.clone(), states }
    }

    fn state(&self, id: IssuerId) -> Option<&IssuerState> {
        self.states.iter().find(|state| state.configured.id() == id)
    }

    /// The issuer, and the sealer of the documents that workers share.
    fn state_mut(&mut self, id: IssuerId) -> Option<(&mut IssuerState, &Sealer)> {
        let Self { sealer, states } = self;
        states.iter_mut().find(|state| state.configured.id() == id).map(|state| (state, &*sealer))
    }

    /// The issuer identifier.
    pub(in crate::flow) fn name(&self, id: IssuerId) -> String {
        self.state(id).map(|state| state.configured.issuer().to_owned()).unwrap_or_default()
    }

    /// The provider, where its metadata and keys are known.
    pub(in crate::flow) fn ready(&self, id: IssuerId, now: UnixTime) -> Option<Ready> {
        self.state(id)?.ready(now)
    }

    /// Whether this provider takes the secret by the other method than its metadata suggest.
    pub(in crate::flow) fn takes_other_method(&self, id: IssuerId) -> bool {
        self.state(id).is_some_and(|state| state.takes_other_method)
    }

    /// Remembers that.
    pub(in crate::flow) fn take_other_method(&mut self, id: IssuerId, takes_other_method: bool) {
        if let Some((state, _)) = self.state_mut(id) {
            state.takes_other_method = takes_other_method;
        }
    }

    /// The nonce that this server of the provider has given for DPoP proofs.
    pub(in crate::flow) fn proof_nonce(&mut self, id: IssuerId, server: ProofServer) -> Option<String> {
        self.state_mut(id)?.0.proof_nonces.of(server).clone()
    }

    /// Keeps the nonce for the next proofs to this server.
    pub(in crate::flow) fn keep_proof_nonce(&mut self, id: IssuerId, server: ProofServer, nonce: String) {
        if let Some((state, _)) = self.state_mut(id) {
            *state.proof_nonces.of(server) = Some(nonce);
        }
    }

    /// The keys of an issuer, where they are known.
    pub(in crate::flow) fn keys(&self, id: IssuerId, now: UnixTime) -> Option<&Jwks> {
        self.state(id)?.keys(now)
    }

    /// Until when the documents of an issuer that are known are trusted.
    pub(in crate::flow) fn trusted_until(&self, id: IssuerId) -> UnixTime {
        self.state(id).map_or(UnixTime::MAX, IssuerState::trusted_until)
    }

    /// The introspection endpoint of an issuer, where it is known.
    pub(in crate::flow) fn introspection_endpoint(&self, id: IssuerId, now: UnixTime) -> Option<&Endpoint> {
        self.state(id)?.introspection_endpoint(now)
    }

    /// Whether all metadata and keys that it needs are known.
    pub(in crate::flow) fn is_ready(&self, id: IssuerId, now: UnixTime) -> bool {
        self.state(id).is_some_and(|state| state.is_ready(now))
    }

    /// [`Self::is_ready`] for all issuers.
    pub(in crate::flow) fn are_ready(&self, now: UnixTime) -> bool {
        self.states.iter().all(|state| state.is_ready(now))
    }

    /// Whether the provider is ready, and what went wrong with the last fetch of its documents by this worker.
    pub(in crate::flow) fn health(&self, id: IssuerId, now: UnixTime) -> (bool, Option<&'static str>) {
        self.state(id).map_or((false, None), |state| (state.is_ready(now), state.trouble))
    }

    /// The version of its key set; each new key set has a higher one.
    pub(in crate::flow) fn keys_version(&self, id: IssuerId) -> u64 {
        self.state(id).map_or(0, |state| state.keys.version)
    }

    /// Whether newer keys are on their way, or asked for.
    pub(in crate::flow) fn wants_keys(&self, id: IssuerId, now: UnixTime) -> bool {
        self.state(id).is_some_and(|state| state.keys.in_flight || state.keys.has_key_request(now))
    }

    /// Takes over what other workers know, where this one does not know enough: one that has only just begun need not
    /// wait for its next look around.
    pub(in crate::flow) fn catch_up(&mut self, clock: &Clock, platform: &dyn Platform) {
        for state in &mut self.states {
            if !state.is_ready(clock.now_near(state.trusted_until(), platform)) {
                state.catch_up(&self.sealer, platform, clock.now(platform));
            }
        }
    }

    /// Takes over what other workers have shared since this one last looked. Whether there are other keys now.
    pub(in crate::flow) fn look(&mut self, id: IssuerId, platform: &dyn Platform, now: UnixTime) -> bool {
        self.state_mut(id).is_some_and(|(state, sealer)| state.take_news(sealer, platform, now))
    }

    /// Asks for newer keys, because those that are known do not verify a token. `false` when that was asked too often.
    pub(in crate::flow) fn ask_for_keys(
        &mut self,
        id: IssuerId,
        request: KeyRequest,
        platform: &dyn Platform,
        now: UnixTime,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some((state, _)) = self.state_mut(id).filter(|(state, _)| !state.has_fixed_keys(now)) else { return false };
        let requested = state.keys.key_request(now);
        if requested.is_some_and(|requested| requested.covers(request)) {
            return true;
        }
        let is_granted = lease::grants_key_request(&state.keys.key, request, now, platform);
        if is_granted {
            state.keys.requested = Some((now, request));
        } else if requested.is_none() && request.lack == Lack::Key {
            events.push(Event::UnknownKeyThrottled);
        }
        is_granted || requested.is_some()
    }

    /// Withdraws the request for newer keys: a token that waited for them was signed by one.
    pub(in crate::flow) fn withdraw_key_request(&mut self, id: IssuerId) {
        if let Some((state, _)) = self.state_mut(id) {
            state.keys.requested = None;
        }
    }

    /// Looks at what other workers have shared, and says what this one must fetch.
    pub(in crate::flow) fn poll(&mut self, platform: &dyn Platform, now: UnixTime) -> Vec<Fetch> {
        let mut fetches = Vec::new();
        for state in &mut self.states {
            state.take_news(&self.sealer, platform, now);
            // New keys, which a request may have taken over, may be the requested ones: those who wait try them first.
            if std::mem::take(&mut state.has_other_keys) && state.keys.has_key_request(now) {
                continue;
            }
            fetches.extend(state.fetches(platform, now));
        }
        fetches
    }

    /// Takes over the result of a fetch.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the worker's state")]
    pub(in crate::flow) fn fetched(
        &mut self,
        document: FetchedDocument,
        result: Result<CalloutResponse, CalloutError>,
        rules: &Rules,
        platform: &dyn Platform,
        now: UnixTime,
        omissions: &mut Omissions,
        events: &mut Vec<Event>,
    ) {
        let Some((state, sealer)) = self.state_mut(document.issuer) else { return };
        let issuer = state.configured.issuer().to_owned();
        let cluster = state.cluster_of(document.kind, now);
        let outcome =
            state.body_of(document.kind, result, now).and_then(|body| state.receive(document, &body, sealer, platform));
        state.trouble = outcome.as_ref().err().map(DiscoveryError::word);
        let has_good = state.has(document.kind, now);
        lease::release(state.settle(document, outcome.is_ok()), outcome.is_ok(), now, platform);
        let event = match outcome {
            Ok(()) => {
                for omission in state.omitted(document.kind, rules) {
                    omissions.report(omission, events);
                }
                Event::Fetched(document.kind, issuer, state.lacks(document.kind))
            }
            Err(error) => Event::NotFetched { kind: document.kind, issuer, cluster, error, has_good },
        };
        events.push(event);
    }

    /// The time until the next look.
    pub(in crate::flow) fn next_poll(&self, now: UnixTime) -> Duration {
        let is_calm = |state: &IssuerState| state.is_ready(now) && !state.keys.has_key_request(now);
        if self.states.iter().all(is_calm) { POLL_READY } else { POLL_PENDING }
    }
}
