//! Documents of issuers: how they are fetched, and why one cannot be used (OpenID Connect Discovery 1.0, section 4).

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use super::{
    Clusters, Endpoint, EndpointError, Issuer, PlainHttp, client::ClientAuthentication, error::UnexpectedStatus,
    token_issuer::TokenIssuer,
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{
        json::{self, JsonError},
        jwks::JwksError,
        members::Members,
    },
    quoted::Quoted,
};

/// An endpoint in the metadata that is not a usable URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableEndpoint {
    /// The member.
    pub name: &'static str,
    /// Its value.
    pub(super) url: Quoted,
    /// The reason.
    pub error: EndpointError,
}

impl fmt::Display for UnusableEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, error } = self;
        write!(f, "{name} {url} is not {error}")?;
        if *error == EndpointError::NotHttps {
            write!(
                f,
                "; let the provider publish https URLs, or configure {name} as https and the Envoy cluster that reaches \
                 it under clusters, or set danger.plain_http_providers"
            )?;
        }
        Ok(())
    }
}

/// Why a metadata document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// A required endpoint is not a usable URL.
    #[error("its {0}")]
    BadEndpoint(UnusableEndpoint),
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// The document of another issuer (Discovery 4.3).
    #[error("the provider calls itself {0}; write exactly that as issuer, if it is the one you mean")]
    IssuerMismatch(Quoted),
    /// No usable key set.
    #[error("{0}")]
    Keys(#[from] JwksError),
    /// Not a JSON object as it must be.
    #[error("it is {0}")]
    Malformed(#[from] JsonError),
    /// A member is missing, or no text.
    #[error("it has no usable {0}")]
    Missing(&'static str),
    /// No document is at its URL.
    #[error("{0}")]
    NotFound(Box<NotFound>),
    /// Not 200.
    #[error("{}", .0.at("the provider"))]
    Status(UnexpectedStatus),
    /// The provider accepts only signed requests, and no key is configured to sign them.
    #[error("the provider takes signed requests alone (require_signed_request_object); configure client_key")]
    WantsSignedRequests,
}

/// A URL without a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider answered {}{}: no document is at {url}; compare {compare}", .status.status, .status.said())]
pub struct NotFound {
    url: Quoted,
    status: UnexpectedStatus,
    /// The settings that the URL comes from.
    compare: &'static str,
}

impl DiscoveryError {
    /// The kind of error, as a word for programs. It has no text of the document in it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BadEndpoint(_) | Self::Missing(_) | Self::WantsSignedRequests => "unusable_metadata",
            Self::Callout(CalloutError::Dispatch) => "no_address",
            Self::Callout(CalloutError::NoCluster(_)) => "unknown_cluster",
            Self::Callout(CalloutError::NoResponse) => "no_answer",
            Self::Callout(CalloutError::Redirected { .. }) => "redirected",
            Self::Callout(CalloutError::TooLarge) => "too_large",
            Self::IssuerMismatch(_) => "other_issuer",
            Self::Keys(_) => "no_usable_keys",
            Self::Malformed(_) => "not_json",
            Self::NotFound(_) => "not_found",
            Self::Status(status) => status.word(),
        }
    }
}

/// A plain GET of a JSON document.
pub fn get(endpoint: &Endpoint, clusters: &Clusters, timeout: Duration) -> CalloutRequest {
    CalloutRequest {
        cluster: clusters.reaching(endpoint).clone(),
        method: "GET",
        authority: endpoint.authority(),
        path: endpoint.path_and_query(),
        headers: vec![("accept", "application/json".to_owned())],
        body: Vec::new(),
        timeout,
    }
}

/// The body of a response that must be 200. `compare` names the settings that the URL comes from.
///
/// # Errors
/// [`DiscoveryError::Callout`], [`DiscoveryError::NotFound`] or [`DiscoveryError::Status`].
pub fn body(
    response: Result<CalloutResponse, CalloutError>,
    endpoint: Option<&Endpoint>,
    compare: &'static str,
) -> Result<Vec<u8>, DiscoveryError> {
    let response = response?;
    if response.status == 200 {
        return Ok(response.body);
    }
    let status = UnexpectedStatus::of(&response);
    Err(match endpoint.filter(|_| status.may_mean_no_document()) {
        Some(endpoint) => {
            let url = Quoted::new(endpoint.url().as_str());
            DiscoveryError::NotFound(Box::new(NotFound { url, status, compare }))
        }
        None => DiscoveryError::Status(status),
    })
}

pub(super) fn text<'a>(members: Members<'a>, name: &'static str) -> Result<&'a str, DiscoveryError> {
    members.required(name).map_err(|_| DiscoveryError::Missing(name))
}

/// The metadata of this issuer. Discovery 4.3: its `issuer` must be exactly this one.
pub(super) fn document_of(issuer: &str, document: &[u8]) -> Result<Map<String, Value>, DiscoveryError> {
    let document = json::response_object(document, MAX_CALLOUT_BODY)?;
    let said = text(Members::of(&document), "issuer")?;
    if said != issuer {
        return Err(DiscoveryError::IssuerMismatch(Quoted::new(said)));
    }
    Ok(document)
}

/// The `jwks_uri` or the introspection endpoint of an issuer that users do not sign in at: no other metadata is needed.
///
/// # Errors
/// [`DiscoveryError`]
pub fn endpoint_of(issuer: &TokenIssuer, document: &[u8]) -> Result<Endpoint, DiscoveryError> {
    let document = document_of(&issuer.issuer, document)?;
    let plain_http = issuer.discovered().map_or(PlainHttp::Never, |from| discovered_by(from, issuer.plain_http));
    let name = if issuer.introspection().is_some() { "introspection_endpoint" } else { "jwks_uri" };
    let members = Members::of(&document);
    let aliases = issuer.introspection().and_then(|asked| mtls_aliases(members, &asked.authentication));
    discovered(aliases.filter(|aliases| aliases.get(name).is_some()).unwrap_or(members), name, plain_http)
}

/// The endpoints for clients that authenticate with a certificate (RFC 8705, 5).
pub(super) fn mtls_aliases<'a>(members: Members<'a>, authentication: &ClientAuthentication) -> Option<Members<'a>> {
    let aliases = members.get("mtls_endpoint_aliases").and_then(Value::as_object).map(Members::of);
    aliases.filter(|_| matches!(authentication, ClientAuthentication::Tls))
}

/// Metadata fetched by TLS must not send our secret to a plain-text endpoint on this machine.
pub(super) fn discovered_by(issuer: &Issuer, configured: PlainHttp) -> PlainHttp {
    match configured {
        PlainHttp::LoopbackOnly if issuer.discovery().url().scheme() == "https" => PlainHttp::Never,
        configured => configured,
    }
}

pub(super) fn discovered(
    members: Members<'_>,
    name: &'static str,
    plain_http: PlainHttp,
) -> Result<Endpoint, DiscoveryError> {
    let url = text(members, name)?;
    Endpoint::parse(url, plain_http)
        .map_err(|error| DiscoveryError::BadEndpoint(UnusableEndpoint { name, url: Quoted::new(url), error }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::testing::relying_party;

    #[test]
    fn the_metadata_is_requested_at_the_well_known_path() {
        for (issuer, path) in [
            ("https://a.example", "/.well-known/openid-configuration"),
            ("https://a.example/", "/.well-known/openid-configuration"),
            ("https://a.example/tenant/x", "/tenant/x/.well-known/openid-configuration"),
        ] {
            let mut client = relying_party();
            client.issuer = crate::oidc::Issuer::parse(issuer, client.plain_http).unwrap();
            let request = get(client.issuer.discovery(), &client.clusters, client.timeout);
            assert_eq!((request.authority.as_str(), request.path.as_str()), ("a.example", path));
        }
    }
}
