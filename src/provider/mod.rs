//! Providers that users sign in at. All that differs from one protocol to the next is here: how to authorize, redeem the code,
//! learn the identity, renew and sign out.
//!
//! A new protocol is a variant of [`Protocol`] with its settings, its arms in the files of this folder, and a stage of
//! [`identification`] where its identity does not come from an ID token.

pub mod github;
pub mod identification;
pub mod identity;
pub mod inquiry;
pub mod oauth2;

mod claims;
mod renewal;
mod sign_in;
mod sign_out;
mod signed_tokens;

use std::{rc::Rc, time::Duration};

use crate::{
    claims::{Conditions, IssuerId, ObjectKeys, email_domain},
    digest::{HalfDigest, half_digest},
    http::CalloutRequest,
    oidc::{
        ConfiguredEndpoints, Endpoint, Issuer, OpenIdProvider, RelyingParty,
        discovery::{self, DiscoveryError},
        provider_metadata::ProviderMetadata,
        security_event::Transmitter,
    },
    page::logo::Logo,
    provisioning::Provisioning,
};
use github::GitHub;
use oauth2::OAuth2;

pub use sign_in::Authorization;

/// The name of a provider that has none of its own.
pub const DEFAULT_PROVIDER: &str = "default";

/// A provider as configured.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its identifier in sessions.
    pub id: IssuerId,
    /// Its name in rules, links and its callback: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its name on the page where users choose a provider.
    pub title: String,
    /// Its logo on that page.
    pub logo: Option<Logo>,
    /// The class of its link on that page.
    pub css_class: Option<String>,
    /// The domains of the email addresses whose users sign in here, in lower case. They choose a provider and admit nobody.
    pub email_domains: Vec<String>,
    /// Our registration there.
    pub relying_party: RelyingParty,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// The claims that count as the list of their keys.
    pub object_keys: ObjectKeys,
    /// The users who may pass; `None` means all.
    pub allow: Option<Conditions>,
    /// Whether it ever says that an address is verified.
    pub says_email_verified: bool,
    /// The sender of its security events, where they are taken.
    pub transmitter: Option<Rc<Transmitter>>,
    /// How the app is asked about its users; `None` where the app provisions none, of any provider.
    pub provisioning: Option<Provisioning>,
}

/// The protocol of a provider, with the settings that only it has.
#[derive(Debug, Clone)]
pub enum Protocol {
    /// GitHub's OAuth 2.0, without ID tokens.
    GitHub(Box<GitHub>),
    /// OAuth 2.0 alone.
    OAuth2(OAuth2),
    /// OpenID Connect.
    Oidc(Box<OpenIdProvider>),
}

impl Provider {
    /// The issuer identifier, or the URL that stands for it.
    pub const fn issuer(&self) -> &Issuer {
        &self.relying_party.issuer
    }

    /// Whether users of this email address sign in here. The address is a hint, which any link may have.
    pub fn is_for_address(&self, address: &str) -> bool {
        let domain = email_domain(address);
        domain.is_some_and(|domain| self.email_domains.iter().any(|known| known.eq_ignore_ascii_case(domain)))
    }

    /// The timeout of a call.
    pub const fn timeout(&self) -> Duration {
        self.relying_party.timeout
    }

    /// A digest of issuer, client and endpoints, which names the documents that workers share.
    pub fn fingerprint(&self) -> HalfDigest {
        let none = ConfiguredEndpoints::default();
        let ConfiguredEndpoints { authorization, token, jwks, end_session, revocation, userinfo, pushed_request } =
            self.openid().map_or(&none, |settings| &settings.endpoints);
        let endpoints = [authorization, token, jwks, end_session, revocation, userinfo, pushed_request];
        let endpoints = endpoints.map(|endpoint| endpoint.as_ref().map_or("", |endpoint| endpoint.url().as_str()));
        let metadata_url = self.issuer().discovery().url().as_str();
        let parts: Vec<&[u8]> = [self.issuer().as_str(), &self.relying_party.client_id, metadata_url]
            .into_iter()
            .chain(endpoints)
            .map(str::as_bytes)
            .collect();
        half_digest("documents", &parts)
    }

    /// The URL of its metadata document, where it is fetched.
    pub fn discovery(&self) -> Option<&Endpoint> {
        self.openid().filter(|settings| settings.discovers).map(|_| self.issuer().discovery())
    }

    /// The configured metadata: all there are without discovery; with discovery, those used before the document is fetched.
    pub fn configured_metadata(&self) -> Option<&Rc<ProviderMetadata>> {
        match &self.protocol {
            Protocol::GitHub(github) => Some(&github.metadata),
            Protocol::OAuth2(server) => Some(&server.metadata),
            Protocol::Oidc(settings) => settings.configured.as_ref(),
        }
    }

    /// Reads its metadata document.
    ///
    /// # Errors
    /// [`DiscoveryError`]
    pub fn read_metadata(&self, document: &[u8]) -> Result<Rc<ProviderMetadata>, DiscoveryError> {
        match &self.protocol {
            Protocol::GitHub(github) => Ok(Rc::clone(&github.metadata)),
            Protocol::OAuth2(server) => Ok(Rc::clone(&server.metadata)),
            Protocol::Oidc(settings) => ProviderMetadata::parse(&self.relying_party, settings, document).map(Rc::new),
        }
    }

    /// A GET of one of its documents.
    pub fn get(&self, endpoint: &Endpoint) -> CalloutRequest {
        discovery::get(endpoint, &self.relying_party.clusters, self.timeout())
    }

    /// The settings of OpenID Connect, where the provider speaks it.
    pub const fn openid(&self) -> Option<&OpenIdProvider> {
        match &self.protocol {
            Protocol::GitHub(_) | Protocol::OAuth2(_) => None,
            Protocol::Oidc(settings) => Some(settings),
        }
    }
}
