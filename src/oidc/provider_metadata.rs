//! The metadata of a provider, read from its document or configured (OpenID Connect Discovery 1.0, section 3).

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{
    ConfiguredEndpoints, Endpoint, OpenIdProvider, RelyingParty,
    client::{AuthenticationError, CallContext, Client, ClientAuthentication},
    discovery::{DiscoveryError, UnusableEndpoint, discovered, discovered_by, document_of, mtls_aliases},
};
use crate::{http::CalloutRequest, jose::members::Members};

/// The `prompt` that asks for another account (OIDC Core 3.1.2.1).
const SELECT_ACCOUNT: &str = "select_account";

/// The metadata of a provider that is used, with configured endpoints in place of discovered ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// `authorization_endpoint`
    pub authorization_endpoint: Endpoint,
    /// `token_endpoint`
    pub token_endpoint: Endpoint,
    /// `jwks_uri`; `None` for a provider that signs nothing.
    pub jwks_uri: Option<Endpoint>,
    /// `end_session_endpoint` (RP-Initiated Logout 2.1).
    pub end_session_endpoint: Option<Endpoint>,
    /// `revocation_endpoint` (RFC 8414, 2).
    pub revocation_endpoint: Option<Endpoint>,
    /// `userinfo_endpoint` (OIDC Core 5.3), where it is to be asked.
    pub userinfo_endpoint: Option<Endpoint>,
    /// `pushed_authorization_request_endpoint` (RFC 9126, 5), where requests are pushed.
    pub pushed_request_endpoint: Option<Endpoint>,
    /// `require_signed_request_object` (RFC 9101, 10.5).
    pub requires_signed_request: bool,
    /// Whether each authorization response carries `iss` (RFC 9207, 3); if so, one without it is refused.
    pub iss_parameter: bool,
    /// The `prompt` that asks for another account.
    pub account_prompt: &'static str,
    /// `acr_values_supported`, where the provider lists them (Discovery 3).
    pub acr_values: Option<Value>,
    /// Whether `client_secret_basic` is missing from the offered methods while `client_secret_post` is there.
    pub post_only: bool,
    /// Unusable endpoints that a sign-in does not need.
    pub left_out: Vec<UnusableEndpoint>,
}

impl ProviderMetadata {
    /// The metadata of an OpenID provider that these endpoints make up; `None` where one is missing.
    pub fn configured(endpoints: &ConfiguredEndpoints, userinfo: bool) -> Option<Self> {
        let ConfiguredEndpoints {
            authorization,
            token,
            jwks,
            end_session,
            revocation,
            userinfo: userinfo_endpoint,
            pushed_request: pushed_request_endpoint,
        } = endpoints.clone();
        if userinfo && userinfo_endpoint.is_none() {
            return None;
        }
        Some(Self {
            jwks_uri: Some(jwks?),
            end_session_endpoint: end_session,
            revocation_endpoint: revocation,
            userinfo_endpoint,
            pushed_request_endpoint,
            ..Self::of(authorization?, token?)
        })
    }

    /// Metadata with these endpoints alone.
    pub fn of(authorization_endpoint: Endpoint, token_endpoint: Endpoint) -> Self {
        Self {
            authorization_endpoint,
            token_endpoint,
            jwks_uri: None,
            end_session_endpoint: None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            pushed_request_endpoint: None,
            requires_signed_request: false,
            iss_parameter: false,
            account_prompt: SELECT_ACCOUNT,
            acr_values: None,
            post_only: false,
            left_out: Vec::new(),
        }
    }

    /// Reads a metadata document of this provider.
    ///
    /// # Errors
    /// [`DiscoveryError`]
    pub fn parse(
        relying_party: &RelyingParty,
        provider: &OpenIdProvider,
        document: &[u8],
    ) -> Result<Self, DiscoveryError> {
        let document = document_of(relying_party.issuer.as_str(), document)?;
        let members = Members::of(&document);
        let plain_http = discovered_by(&relying_party.issuer, relying_party.plain_http);
        let aliases = mtls_aliases(members, &relying_party.authentication);
        let endpoint = |name: &'static str, configured: &Option<Endpoint>| {
            // Browsers show no certificate.
            let is_for_browsers = matches!(name, "authorization_endpoint" | "end_session_endpoint");
            let has_alias = |aliases: &Members<'_>| !is_for_browsers && aliases.get(name).is_some();
            let members = aliases.filter(has_alias).unwrap_or(members);
            configured.clone().map_or_else(|| discovered(members, name, plain_http), Ok)
        };
        let is_true = |name: &str| members.get(name).is_some_and(|said| *said == true || said == "true");
        let is_pushed = relying_party.request_form.is_pushed;
        let is_pushed = is_pushed.unwrap_or_else(|| is_true("require_pushed_authorization_requests"));
        let request_form = &relying_party.request_form;
        let requires_signed_request = is_true("require_signed_request_object");
        if requires_signed_request && request_form.key.is_none() && request_form.is_signed != Some(false) {
            return Err(DiscoveryError::WantsSignedRequests);
        }
        let mut left_out = Vec::new();
        // An endpoint that only sign-out needs must not prevent sign-ins.
        let mut optional_endpoint = |name, configured| match endpoint(name, configured) {
            Err(DiscoveryError::BadEndpoint(unusable)) => {
                left_out.push(unusable);
                None
            }
            outcome => outcome.ok(),
        };
        Ok(Self {
            end_session_endpoint: optional_endpoint("end_session_endpoint", &provider.endpoints.end_session),
            revocation_endpoint: optional_endpoint("revocation_endpoint", &provider.endpoints.revocation),
            authorization_endpoint: endpoint("authorization_endpoint", &provider.endpoints.authorization)?,
            token_endpoint: endpoint("token_endpoint", &provider.endpoints.token)?,
            jwks_uri: Some(endpoint("jwks_uri", &provider.endpoints.jwks)?),
            userinfo_endpoint: if provider.userinfo {
                Some(endpoint("userinfo_endpoint", &provider.endpoints.userinfo)?)
            } else {
                None
            },
            pushed_request_endpoint: if is_pushed {
                Some(endpoint("pushed_authorization_request_endpoint", &provider.endpoints.pushed_request)?)
            } else {
                None
            },
            requires_signed_request,
            // The text counts too: it is stricter, as a response without the parameter is then refused.
            iss_parameter: is_true("authorization_response_iss_parameter_supported"),
            account_prompt: account_prompt(members),
            acr_values: members.get("acr_values_supported").cloned(),
            post_only: post_only(members),
            left_out,
        })
    }

    /// A form for an endpoint of the provider, authenticated by the configured method or by one that the provider offers.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub(super) fn post(
        &self,
        endpoint: &Endpoint,
        pairs: &[(&str, &str)],
        relying_party: &RelyingParty,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        let RelyingParty { client_id: id, clusters, timeout, .. } = relying_party;
        let authentication = &self.authentication(relying_party, context.other_method);
        let issuer = relying_party.issuer.as_str();
        let token_endpoint = Some(&self.token_endpoint);
        Client { id, issuer, token_endpoint, authentication, clusters, timeout: *timeout }
            .post(endpoint, pairs, context)
    }

    /// The name of the method by which a secret without a configured one is sent.
    pub const fn secret_method(&self, other_method: bool) -> &'static str {
        if self.post_only == other_method { "client_secret_basic" } else { "client_secret_post" }
    }

    fn authentication(&self, relying_party: &RelyingParty, other_method: bool) -> ClientAuthentication {
        match &relying_party.authentication {
            ClientAuthentication::Unspecified(secret) if self.post_only != other_method => {
                ClientAuthentication::Post(secret.clone())
            }
            ClientAuthentication::Unspecified(secret) => ClientAuthentication::Basic(secret.clone()),
            configured => configured.clone(),
        }
    }
}

// Discovery 3: without the member, client_secret_basic is what the provider takes.
fn post_only(members: Members<'_>) -> bool {
    let Some(methods) = members.list("token_endpoint_auth_methods_supported") else { return false };
    let offers = |name: &str| methods.iter().any(|method| method.as_str() == Some(name));
    offers("client_secret_post") && !offers("client_secret_basic")
}

// Initiating User Registration 1.0, 4: a provider that lists its prompts may refuse others, and must take `login`.
fn account_prompt(members: Members<'_>) -> &'static str {
    let listed = members.list("prompt_values_supported");
    if listed.is_none_or(|prompts| prompts.iter().any(|prompt| prompt == SELECT_ACCOUNT)) {
        SELECT_ACCOUNT
    } else {
        "login"
    }
}
