//! Issuers whose access tokens API clients may send, beside the providers that users sign in at.

use std::time::Duration;

use super::{Clusters, Endpoint, Issuer, PlainHttp, client::ClientAuthentication};
use crate::{
    claims::{Conditions, IssuerId, ObjectKeys},
    digest::{HalfDigest, half_digest},
    jose::{Algorithm, jwks::Jwks},
};

/// An issuer as configured.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    /// Its identifier.
    pub id: IssuerId,
    /// The issuer that its claims count as: the provider with this issuer, where users sign in there.
    pub speaks_as: IssuerId,
    /// Its `iss`, byte by byte.
    pub issuer: String,
    /// How its tokens are validated.
    pub validation: Validation,
    /// The kind of its tokens.
    pub kind: TokenKind,
    /// The accepted audiences: `aud` has one of them.
    pub audiences: Vec<String>,
    /// Our client ID, where users sign in there too: an ID token must not pass for an access token.
    pub client_id: Option<String>,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The claims that count as the list of their keys.
    pub object_keys: ObjectKeys,
    /// Conditions on its tokens; `None` means all may pass.
    pub allow: Option<Conditions>,
    /// The Envoy clusters that reach its hosts.
    pub clusters: Clusters,
    /// The timeout of a call.
    pub timeout: Duration,
    /// Whether its endpoints may be plain `http` off this machine.
    pub plain_http: PlainHttp,
}

impl TokenIssuer {
    /// Its introspection settings, where its tokens are introspected.
    pub const fn introspection(&self) -> Option<&Introspection> {
        if let Validation::Introspection(introspection) = &self.validation { Some(introspection) } else { None }
    }

    /// The issuer whose metadata is read, where any is.
    pub fn discovered(&self) -> Option<&Issuer> {
        match &self.validation {
            Validation::Discovered(issuer) => Some(issuer),
            Validation::Introspection(introspection) => match &introspection.endpoint {
                IntrospectionEndpoint::Discovered(issuer) => Some(issuer),
                IntrospectionEndpoint::Configured(_) => None,
            },
            Validation::Fixed(_) | Validation::JwksUri(_) | Validation::Provider => None,
        }
    }

    /// A digest of issuer and endpoint, which names the documents that workers share.
    pub fn fingerprint(&self) -> HalfDigest {
        let from = match &self.validation {
            Validation::JwksUri(endpoint) => endpoint.url().as_str(),
            Validation::Introspection(_) => "introspection",
            Validation::Discovered(_) | Validation::Fixed(_) | Validation::Provider => "",
        };
        half_digest("keys", &[self.issuer.as_bytes(), from.as_bytes()])
    }
}

/// How tokens are validated.
#[derive(Debug, Clone)]
pub enum Validation {
    /// By the keys at the `jwks_uri` of its metadata.
    Discovered(Issuer),
    /// By configured keys.
    Fixed(Jwks),
    /// By introspection of each (RFC 7662).
    Introspection(Box<Introspection>),
    /// By the keys at this URL.
    JwksUri(Endpoint),
    /// By the keys of a provider that users sign in at.
    Provider,
}

/// The introspection endpoint, and our registration there.
#[derive(Debug, Clone)]
pub struct Introspection {
    /// The endpoint.
    pub endpoint: IntrospectionEndpoint,
    /// Our `client_id`.
    pub client_id: String,
    /// How we authenticate.
    pub authentication: ClientAuthentication,
    /// The time for which an answer counts.
    pub cache: Duration,
}

/// The URL of an introspection endpoint.
#[derive(Debug, Clone)]
pub enum IntrospectionEndpoint {
    /// A configured URL.
    Configured(Endpoint),
    /// The URL in the metadata of this issuer.
    Discovered(Issuer),
}

/// The kind of an issuer's tokens, which distinguishes them from others that the same keys may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Access tokens (RFC 9068), as far as they can be distinguished from ID tokens.
    AccessToken,
    /// All tokens that do not name another kind.
    Jwt,
    /// Service-account tokens of Kubernetes.
    ServiceAccount,
}
