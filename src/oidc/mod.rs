//! OAuth 2.0 and OpenID Connect as their endpoints: each file builds one request and reads its response.
//!
//! Specifications: RFC 6749 (OAuth 2.0), RFC 7009 (revocation), RFC 7636 (PKCE), RFC 8417 (security event tokens), RFC 9101 (signed requests), RFC 9126
//! (pushed requests), RFC 9207 (`iss`), RFC 9449 (DPoP), OpenID Connect Core, Discovery, RP-Initiated Logout, Back-Channel Logout and Front-Channel Logout, all 1.0.

pub mod access_token;
pub mod authorization;
pub mod client;
pub mod discovery;
pub mod dpop;
pub mod end_session;
pub mod error;
pub mod id_token;
pub mod introspection;
pub mod logout_token;
pub mod pkce;
pub mod provider_metadata;
pub mod pushed;
pub mod revocation;
pub mod security_event;
pub mod token;
pub mod token_exchange;
pub mod token_issuer;
pub mod userinfo;

#[cfg(test)]
pub(crate) mod testing;

use std::{cell::OnceCell, fmt, rc::Rc, time::Duration};

use url::{Host, Url};

use crate::{
    digest::{HalfDigest, half_digest},
    http::{Cluster, parse_url},
    jose::{
        Algorithm,
        claims::{ExpectedIssuer, TENANT},
        sign::SigningKey,
    },
};
use client::ClientAuthentication;
use dpop::ProofKey;
use provider_metadata::ProviderMetadata;

/// A URL that secrets or browsers are sent to: absolute, `https`, without user information or fragment. Plain `http` only
/// to this machine, or where the operator allows it under `danger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// The hosts to which plain `http` is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// All hosts, by a setting under `danger`.
    Allowed,
    /// `localhost`, `*.localhost` and loopback addresses.
    LoopbackOnly,
    /// No host.
    Never,
}

/// Why a URL cannot be an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The address of the metadata instead of the issuer.
    #[error("the issuer itself, without /.well-known/openid-configuration")]
    Document,
    /// A fragment.
    #[error("a URL without a fragment")]
    Fragment,
    /// Not an absolute URL with a host.
    #[error("an absolute URL, such as https://idp.example.com/path")]
    NotAbsolute,
    /// Not `https`.
    #[error("an https URL (http only for localhost and loopback addresses)")]
    NotHttps,
    /// User name or password in the URL.
    #[error("a URL without user name and password")]
    UserInfo,
}

impl Endpoint {
    /// Reads a provider's URL.
    ///
    /// # Errors
    /// [`EndpointError`] says what was expected instead.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, EndpointError> {
        let url = parse_url(text).ok_or(EndpointError::NotAbsolute)?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(EndpointError::NotAbsolute);
        }
        let plain_is_fine = match plain_http {
            PlainHttp::Allowed => true,
            PlainHttp::LoopbackOnly => is_loopback(&url),
            PlainHttp::Never => false,
        };
        if !(url.scheme() == "https" || url.scheme() == "http" && plain_is_fine) {
            return Err(EndpointError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        Ok(Self { url })
    }

    /// The URL.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The value of `:authority`: the host, and the port where it is not the scheme's default.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The same URL with this parameter in its query.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: &str) -> Self {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair(name, value);
        Self { url }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The value of `:path`: path and query.
    pub fn path_and_query(&self) -> String {
        self.url.query().map_or_else(|| self.url.path().to_owned(), |query| format!("{}?{query}", self.url.path()))
    }
}

/// Whether the URL's host is this machine by name or address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An issuer identifier. Issuers are compared byte by byte (OIDC Core 3.1.3.7 (2)), so the text is kept as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    authority: String,
    discovery: Endpoint,
}

/// The path of the metadata below the issuer (Discovery 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

impl Issuer {
    /// Reads an issuer: an [`Endpoint`] without a query (Discovery 2).
    ///
    /// # Errors
    /// [`EndpointError`] says what was expected instead.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, EndpointError> {
        if text.contains('?') {
            return Err(EndpointError::NotAbsolute);
        }
        if text.contains("/.well-known/") {
            return Err(EndpointError::Document);
        }
        Endpoint::parse(text, plain_http)?;
        // Discovery 4.1: any terminating slash goes before the well-known suffix is added.
        let base = text.strip_suffix('/').unwrap_or(text);
        let discovery = Endpoint::parse(&format!("{base}{WELL_KNOWN}"), plain_http)?;
        Ok(Self { text: text.to_owned(), authority: discovery.authority(), discovery })
    }

    /// The same issuer, with its metadata at this URL.
    #[must_use]
    pub fn with_metadata_at(self, discovery: Endpoint) -> Self {
        Self { discovery, ..self }
    }

    /// The issuer of tokens: this one, or one of its tenants where the identifier has a place for them.
    pub fn expected(&self) -> ExpectedIssuer<'_> {
        if self.text.contains(TENANT) {
            ExpectedIssuer::OfTenant(&self.text)
        } else {
            ExpectedIssuer::Exactly(&self.text)
        }
    }

    /// The identifier as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host, and the port where it is not the scheme's default.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL of its metadata (Discovery 4).
    pub const fn discovery(&self) -> &Endpoint {
        &self.discovery
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The Envoy clusters that reach the provider's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    default: Cluster,
    by_authority: Vec<(String, Cluster)>,
}

impl Clusters {
    /// `default` for each `:authority` that `by_authority` does not name.
    pub const fn new(default: Cluster, by_authority: Vec<(String, Cluster)>) -> Self {
        Self { default, by_authority }
    }

    /// The cluster of all hosts that have none of their own.
    pub const fn default_cluster(&self) -> &Cluster {
        &self.default
    }

    /// The clusters of single hosts, by `:authority`.
    pub fn by_authority(&self) -> &[(String, Cluster)] {
        &self.by_authority
    }

    /// The cluster that reaches this endpoint.
    pub fn reaching(&self, endpoint: &Endpoint) -> &Cluster {
        let authority = endpoint.authority();
        self.by_authority
            .iter()
            .find_map(|(known, cluster)| (*known == authority).then_some(cluster))
            .unwrap_or(&self.default)
    }
}

/// Endpoints that the configuration names itself; they win over discovered ones.
#[derive(Debug, Clone, Default)]
pub struct ConfiguredEndpoints {
    /// `authorization_endpoint`
    pub authorization: Option<Endpoint>,
    /// `token_endpoint`
    pub token: Option<Endpoint>,
    /// `jwks_uri`
    pub jwks: Option<Endpoint>,
    /// `end_session_endpoint`
    pub end_session: Option<Endpoint>,
    /// `revocation_endpoint`
    pub revocation: Option<Endpoint>,
    /// `userinfo_endpoint`
    pub userinfo: Option<Endpoint>,
    /// `pushed_authorization_request_endpoint`
    pub pushed_request: Option<Endpoint>,
}

/// Our registration at a provider, as an OAuth 2.0 client.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    /// The issuer identifier, or the URL that stands for it.
    pub issuer: Issuer,
    /// Our `client_id`.
    pub client_id: String,
    /// How we authenticate.
    pub authentication: ClientAuthentication,
    /// The key that tokens are bound to (RFC 9449); `None` means bearer tokens.
    pub proof_key: Option<Rc<ProofKey>>,
    /// The scopes of authorization requests.
    pub scopes: Vec<String>,
    /// Further parameters of authorization requests; none of ours.
    pub authorization_params: Vec<(String, String)>,
    /// The form of authorization requests and their responses.
    pub request_form: RequestForm,
    /// The cached value of [`Self::claims_request`].
    pub claims_request: OnceCell<HalfDigest>,
    /// How the provider's hosts are reached.
    pub clusters: Clusters,
    /// The timeout of a call.
    pub timeout: Duration,
    /// Whether its endpoints may be plain `http` off this machine.
    pub plain_http: PlainHttp,
}

/// The form of authorization requests and their responses.
#[derive(Debug, Clone, Default)]
pub struct RequestForm {
    /// Whether the response comes as a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    pub is_posted_back: bool,
    /// Whether requests are pushed (RFC 9126); `None` means where the provider takes no others.
    pub is_pushed: Option<bool>,
    /// Whether requests are signed (RFC 9101); `None` means where the provider takes no others.
    pub is_signed: Option<bool>,
    /// The key that signs them.
    pub key: Option<Rc<SigningKey>>,
}

impl RelyingParty {
    /// A digest of the scopes and parameters of the authorization request, by which the provider decides which claims it sends.
    pub fn claims_request(&self) -> HalfDigest {
        *self.claims_request.get_or_init(|| {
            let scopes = self.scopes.join(" ");
            let params = self.authorization_params.iter().flat_map(|(name, value)| [name, value]);
            let parts: Vec<_> = [&scopes].into_iter().chain(params).map(String::as_bytes).collect();
            half_digest("claims request", &parts)
        })
    }
}

/// The settings of a provider that speaks OpenID Connect.
#[derive(Debug, Clone)]
pub struct OpenIdProvider {
    /// Endpoints that win over discovery.
    pub endpoints: ConfiguredEndpoints,
    /// The signature algorithms of ID tokens and logout tokens.
    pub algorithms: Vec<Algorithm>,
    /// Audiences that an ID token may name beside us.
    pub trusted_audiences: Vec<String>,
    /// Whether its userinfo endpoint is asked for further claims.
    pub userinfo: bool,
    /// Whether its metadata are fetched.
    pub discovers: bool,
    /// The metadata of the configured endpoints, if these are enough for a sign-in: used until a document is fetched.
    pub configured: Option<Rc<ProviderMetadata>>,
}
