//! Issuers whose access tokens are taken from programs, beside the providers that people sign in at.

use std::time::Duration;

use super::{Clusters, Endpoint, Issuer, PlainHttp, client::ClientAuthentication};
use crate::{
    claims::{Conditions, IssuerId},
    digest::{HalfDigest, half_digest},
    jose::{Algorithm, jwk::Jwks},
};

/// An issuer as configured: how its tokens are told, and with which keys they are verified.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    /// By what it is known.
    pub id: IssuerId,
    /// Whose word its tokens are: that of the provider with this issuer, if people sign in there.
    pub speaks_as: IssuerId,
    /// Its `iss`, byte by byte.
    pub issuer: String,
    /// How its tokens are told from others'.
    pub validation: Validation,
    /// What its tokens are.
    pub kind: TokenKind,
    /// For whom a token must be: one of these is in its `aud`.
    pub audiences: Vec<String>,
    /// The client whose ID tokens could be taken for access tokens, where people sign in there too.
    pub client_id: Option<String>,
    /// The signature algorithms it may use.
    pub algorithms: Vec<Algorithm>,
    /// Who may pass of those who bring one; `None` means all.
    pub allow: Option<Conditions>,
    /// How its hosts are reached.
    pub clusters: Clusters,
    /// How long a call to it may take.
    pub timeout: Duration,
    /// Whether its endpoints may be plain `http` off this machine.
    pub plain_http: PlainHttp,
}

impl TokenIssuer {
    /// Where it is asked about its tokens, if it is.
    pub const fn introspection(&self) -> Option<&Introspection> {
        if let Validation::Introspection(introspection) = &self.validation { Some(introspection) } else { None }
    }

    /// Whose metadata is to be read, if any is.
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

    /// Names what workers may share about it.
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
    /// By keys of which its metadata says where they are.
    Discovered(Issuer),
    /// By these keys.
    Fixed(Jwks),
    /// By asking about each (RFC 7662).
    Introspection(Box<Introspection>),
    /// By keys that are there.
    JwksUri(Endpoint),
    /// By the keys of a provider that people sign in at: what is known of it is known.
    Provider,
}

/// Where an issuer is asked about its tokens, and who we are there.
#[derive(Debug, Clone)]
pub struct Introspection {
    /// Where.
    pub endpoint: IntrospectionEndpoint,
    /// Our `client_id` there.
    pub client_id: String,
    /// How we authenticate.
    pub authentication: ClientAuthentication,
    /// How long an answer counts.
    pub cache: Duration,
}

/// Where an introspection endpoint is.
#[derive(Debug, Clone)]
pub enum IntrospectionEndpoint {
    /// There.
    Configured(Endpoint),
    /// Where the metadata says.
    Discovered(Issuer),
}

/// What tokens are, which decides how they are told from others that the same keys may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Access tokens (RFC 9068), by whatever tells them from ID tokens.
    AccessToken,
    /// Whatever the issuer signs, as long as it does not say that it is something else.
    Jwt,
    /// Service-account tokens of Kubernetes.
    ServiceAccount,
}
