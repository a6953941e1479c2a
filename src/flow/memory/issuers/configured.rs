//! An issuer as configured, and the kinds of its metadata.

use std::rc::Rc;

use crate::{
    claims::IssuerId,
    digest::HalfDigest,
    http::CalloutRequest,
    oidc::{
        Endpoint, Issuer,
        discovery::{self, DiscoveryError},
        provider_metadata::ProviderMetadata,
        security_event::Transmitter,
        token_issuer::TokenIssuer,
    },
    provider::Provider,
};

/// The configuration of an issuer.
#[derive(Debug)]
pub(super) enum Configured {
    Provider(Rc<Provider>),
    TokenIssuer(Box<TokenIssuer>),
    Transmitter(Rc<Transmitter>),
}

impl Configured {
    pub(super) fn id(&self) -> IssuerId {
        match self {
            Self::Provider(provider) => provider.id,
            Self::TokenIssuer(issuer) => issuer.id,
            Self::Transmitter(transmitter) => transmitter.id,
        }
    }

    /// The issuer identifier.
    pub(super) fn issuer(&self) -> &str {
        match self {
            Self::Provider(provider) => provider.issuer().as_str(),
            Self::TokenIssuer(issuer) => &issuer.issuer,
            Self::Transmitter(transmitter) => transmitter.name(),
        }
    }

    /// The URL of its metadata; `None` where it needs none.
    pub(super) fn metadata_endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Provider(provider) => provider.discovery(),
            Self::TokenIssuer(issuer) => issuer.discovered().map(Issuer::discovery),
            Self::Transmitter(_) => None,
        }
    }

    /// A GET of one of its documents.
    pub(super) fn get(&self, endpoint: &Endpoint) -> CalloutRequest {
        match self {
            Self::Provider(provider) => provider.get(endpoint),
            Self::TokenIssuer(issuer) => discovery::get(endpoint, &issuer.clusters, issuer.timeout),
            Self::Transmitter(transmitter) => discovery::get(endpoint, &transmitter.clusters, transmitter.timeout),
        }
    }

    /// Reads its metadata document.
    pub(super) fn read_metadata(&self, document: &[u8]) -> Result<Metadata, DiscoveryError> {
        match self {
            Self::Provider(provider) => provider.read_metadata(document).map(Metadata::Provider),
            Self::TokenIssuer(issuer) => discovery::endpoint_of(issuer, document).map(Metadata::TokenIssuer),
            // Its metadata are not fetched.
            Self::Transmitter(_) => Err(DiscoveryError::Missing("jwks_uri")),
        }
    }

    /// A digest of its settings, which names the documents that workers share.
    pub(super) fn fingerprint(&self) -> HalfDigest {
        match self {
            Self::Provider(provider) => provider.fingerprint(),
            Self::TokenIssuer(issuer) => issuer.fingerprint(),
            Self::Transmitter(transmitter) => transmitter.fingerprint(),
        }
    }
}

/// The metadata of a provider or of another issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Metadata {
    /// Of a provider.
    Provider(Rc<ProviderMetadata>),
    /// Of another issuer: its `jwks_uri` or its introspection endpoint.
    TokenIssuer(Endpoint),
}

impl Metadata {
    /// `jwks_uri`
    pub(super) fn jwks_uri(&self) -> Option<&Endpoint> {
        match self {
            Self::Provider(metadata) => metadata.jwks_uri.as_ref(),
            Self::TokenIssuer(jwks_uri) => Some(jwks_uri),
        }
    }
}
