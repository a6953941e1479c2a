//! Issuers whose access tokens are taken from programs, beside the providers that people sign in at.

use std::time::Duration;

use super::{Clusters, Endpoint, Issuer, PlainHttp};
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
    /// Its `iss`, byte by byte.
    pub issuer: String,
    /// Where its keys are from.
    pub keys: KeySource,
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
    /// Names what workers may share about it.
    pub fn fingerprint(&self) -> HalfDigest {
        let from = match &self.keys {
            KeySource::JwksUri(endpoint) => endpoint.url().as_str(),
            KeySource::Discovered(_) | KeySource::Fixed(_) | KeySource::Provider => "",
        };
        half_digest("keys", &[self.issuer.as_bytes(), from.as_bytes()])
    }
}

/// Where keys are from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Its metadata says where.
    Discovered(Issuer),
    /// They are configured.
    Fixed(Jwks),
    /// They are there.
    JwksUri(Endpoint),
    /// It is a provider that people sign in at: what is known of it is known.
    Provider,
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
