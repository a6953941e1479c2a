//! The transmitters of providers' security events.

use std::time::Duration;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    issuer::{IssuerContext, audience, endpoint, plain_name},
};
use crate::{
    claims::IssuerId,
    jose::Algorithm,
    oidc::{Clusters, Endpoint, security_event::Transmitter},
    provider::{Protocol, Provider},
};

/// The settings of a transmitter.
pub(super) struct SecurityEvents {
    issuer: Option<String>,
    audience: Option<String>,
    jwks_uri: Option<Endpoint>,
}

pub(super) fn resolve(
    raw: raw::SecurityEvents,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<SecurityEvents, Faulty> {
    let bodies = context.bodies.required_by_security_events(at, faults);
    let at_issuer = at.key("issuer");
    let issuer = raw.issuer.map(|issuer| plain_name(Some(issuer), &at_issuer, faults)).transpose();
    let audience = raw.audience.map(|text| audience(text, &at.key("audience"), faults)).transpose();
    let jwks_uri = endpoint(raw.jwks_uri, &at.key("jwks_uri"), context.plain_http, faults);
    bodies?;
    Ok(SecurityEvents { issuer: issuer?, audience: audience?, jwks_uri: jwks_uri? })
}

impl SecurityEvents {
    /// The transmitter of this provider; `None` where neither has keys.
    pub(super) fn transmitter(
        self,
        provider: IssuerId,
        client_id: &str,
        protocol: &Protocol,
        clusters: &Clusters,
        timeout: Duration,
    ) -> Option<Transmitter> {
        let (id, algorithms) = match (&self.jwks_uri, protocol) {
            (None, Protocol::Oidc(settings)) => (provider, settings.algorithms.clone()),
            (None, Protocol::GitHub(_) | Protocol::OAuth2(_)) => return None,
            (Some(_), _) => (provider.of_transmitter(), Algorithm::ALL.to_vec()),
        };
        Some(Transmitter {
            id,
            issuer: self.issuer,
            audiences: vec![self.audience.unwrap_or_else(|| client_id.to_owned())],
            jwks_uri: self.jwks_uri,
            algorithms,
            clusters: clusters.clone(),
            timeout,
        })
    }
}

/// A provider that signs nothing has no keys that a transmitter could have.
pub(super) fn without_keys(at: &At<'_>, faults: &mut Faults) -> Faulty {
    let missing: Result<(), _> =
        faults.required(&at.key("jwks_uri"), None, "the URL of the transmitter's keys, because the provider has none");
    missing.err().unwrap_or_else(|| faults.wrong(at, "keys"))
}

/// A token is known by its issuer alone.
pub(super) fn refuse_issuer_twice(
    provider: &Provider,
    before: &[Provider],
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<(), Faulty> {
    let Some(issuer) = issuer_of(provider) else { return Ok(()) };
    if !before.iter().any(|other| issuer_of(other) == Some(issuer)) {
        return Ok(());
    }
    Err(faults.wrong(&at.key("security_events").key("issuer"), "each transmitter at one provider"))
}

fn issuer_of(provider: &Provider) -> Option<&str> {
    let transmitter = provider.transmitter.as_ref()?;
    Some(transmitter.issuer.as_deref().unwrap_or_else(|| provider.issuer().as_str()))
}
