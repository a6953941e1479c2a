//! Provider metadata (OpenID Connect Discovery 1.0, section 4).

use std::{fmt, rc::Rc, time::Duration};

use serde_json::{Map, Value};

use super::{
    Clusters, ConfiguredEndpoints, Endpoint, EndpointError, Issuer, OpenIdProvider, PlainHttp, RelyingParty,
    client::{AuthenticationError, CallContext, Client, ClientAuthentication},
    error::UnexpectedStatus,
    token_issuer::TokenIssuer,
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{
        json::{self, JsonError},
        jwk::JwksError,
        members::Members,
    },
    quoted::Quoted,
};

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

/// An endpoint in the metadata that is not a usable URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableEndpoint {
    /// The member.
    pub name: &'static str,
    /// Its value.
    url: Quoted,
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

/// The metadata of a provider or of another issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// Of a provider.
    Provider(Rc<ProviderMetadata>),
    /// Of another issuer: its `jwks_uri` or its introspection endpoint.
    TokenIssuer(Endpoint),
}

impl Metadata {
    /// `jwks_uri`
    pub fn jwks_uri(&self) -> Option<&Endpoint> {
        match self {
            Self::Provider(metadata) => metadata.jwks_uri.as_ref(),
            Self::TokenIssuer(jwks_uri) => Some(jwks_uri),
        }
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
    /// It takes signed requests alone, and there is no key to sign them with.
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
    /// The kind of the trouble, in a word for programs. It says nothing that the document said.
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
    /// [`DiscoveryError`] says what is wrong with it.
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

fn text<'a>(members: Members<'a>, name: &'static str) -> Result<&'a str, DiscoveryError> {
    members.required(name).map_err(|_| DiscoveryError::Missing(name))
}

/// The metadata of this issuer. Discovery 4.3: its `issuer` must be exactly this one.
fn document_of(issuer: &str, document: &[u8]) -> Result<Map<String, Value>, DiscoveryError> {
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
/// [`DiscoveryError`] says what is wrong with it.
pub fn endpoint_of(issuer: &TokenIssuer, document: &[u8]) -> Result<Endpoint, DiscoveryError> {
    let document = document_of(&issuer.issuer, document)?;
    let plain_http = issuer.discovered().map_or(PlainHttp::Never, |from| discovered_by(from, issuer.plain_http));
    let name = if issuer.introspection().is_some() { "introspection_endpoint" } else { "jwks_uri" };
    let members = Members::of(&document);
    let aliases = issuer.introspection().and_then(|asked| mtls_aliases(members, &asked.authentication));
    discovered(aliases.filter(|aliases| aliases.get(name).is_some()).unwrap_or(members), name, plain_http)
}

/// RFC 8705, 5: where a client shows its certificate may be another place.
fn mtls_aliases<'a>(members: Members<'a>, authentication: &ClientAuthentication) -> Option<Members<'a>> {
    let aliases = members.get("mtls_endpoint_aliases").and_then(Value::as_object).map(Members::of);
    aliases.filter(|_| matches!(authentication, ClientAuthentication::Tls))
}

/// Metadata fetched by TLS must not send our secret to a plain-text endpoint on this machine.
fn discovered_by(issuer: &Issuer, configured: PlainHttp) -> PlainHttp {
    match configured {
        PlainHttp::LoopbackOnly if issuer.discovery().url().scheme() == "https" => PlainHttp::Never,
        configured => configured,
    }
}

fn discovered(members: Members<'_>, name: &'static str, plain_http: PlainHttp) -> Result<Endpoint, DiscoveryError> {
    let url = text(members, name)?;
    Endpoint::parse(url, plain_http)
        .map_err(|error| DiscoveryError::BadEndpoint(UnusableEndpoint { name, url: Quoted::new(url), error }))
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oidc::testing::{ISSUER, openid_provider, relying_party};

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example.com/authorize",
            "token_endpoint": "https://login.example.com/token",
            "jwks_uri": "https://keys.example.com/jwks?v=1",
            "unknown": { "members": ["are", "ignored"] },
        })
    }

    fn parse(document: &Value) -> Result<ProviderMetadata, DiscoveryError> {
        ProviderMetadata::parse(&relying_party(), &openid_provider(), document.to_string().as_bytes())
    }

    #[test]
    fn somebody_is_asked_which_account_in_a_way_that_the_provider_takes() {
        let asked = |listed: Value| {
            let mut document = document();
            document["prompt_values_supported"] = listed;
            parse(&document).unwrap().account_prompt
        };
        assert_eq!(parse(&document()).unwrap().account_prompt, "select_account");
        assert_eq!(asked(json!(["none", "login", "select_account"])), "select_account");
        assert_eq!(asked(json!(["none", "login", "consent"])), "login");
        assert_eq!(asked(json!("login")), "login");
        assert_eq!(asked(json!("")), "select_account");
        assert_eq!(asked(json!(7)), "select_account");
    }

    #[test]
    fn the_metadata_is_asked_for_where_discovery_says() {
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

    #[test]
    fn endpoints_may_be_on_other_hosts() {
        let metadata = parse(&document()).unwrap();
        let jwks_uri = metadata.jwks_uri.unwrap();
        assert_eq!(jwks_uri.authority(), "keys.example.com");
        assert_eq!(jwks_uri.path_and_query(), "/jwks?v=1");
        assert!(!metadata.iss_parameter && !metadata.post_only);
    }

    #[test]
    fn a_document_that_could_be_anybodys_or_lead_anywhere_is_refused() {
        type Change = fn(&mut Value);
        let bad =
            |name, url, error| DiscoveryError::BadEndpoint(UnusableEndpoint { name, url: Quoted::new(url), error });
        let cases: [(&str, Change, DiscoveryError); 13] = [
            (
                "discovery-issuer-mismatch",
                |d| d["issuer"] = json!("https://evil.example"),
                DiscoveryError::IssuerMismatch(Quoted::new("https://evil.example")),
            ),
            (
                "a slash more",
                |d| d["issuer"] = json!(format!("{ISSUER}/")),
                DiscoveryError::IssuerMismatch(Quoted::new(&format!("{ISSUER}/"))),
            ),
            ("issuer is a list", |d| d["issuer"] = json!([ISSUER]), DiscoveryError::Missing("issuer")),
            ("no keys", |d| d["jwks_uri"] = Value::Null, DiscoveryError::Missing("jwks_uri")),
            ("empty", |d| d["token_endpoint"] = json!(""), DiscoveryError::Missing("token_endpoint")),
            ("a list of one", |d| d["jwks_uri"] = json!([d["jwks_uri"]]), DiscoveryError::Missing("jwks_uri")),
            (
                "J-17 plain http",
                |d| d["jwks_uri"] = json!("http://169.254.169.254/"),
                bad("jwks_uri", "http://169.254.169.254/", EndpointError::NotHttps),
            ),
            (
                "J-17 plain http on this machine",
                |d| d["token_endpoint"] = json!("http://127.0.0.1:9901/quitquitquit"),
                bad("token_endpoint", "http://127.0.0.1:9901/quitquitquit", EndpointError::NotHttps),
            ),
            (
                "J-17 a file",
                |d| d["jwks_uri"] = json!("file:///etc/passwd"),
                bad("jwks_uri", "file:///etc/passwd", EndpointError::NotAbsolute),
            ),
            (
                "another scheme",
                |d| d["token_endpoint"] = json!("gopher://login.example.com/"),
                bad("token_endpoint", "gopher://login.example.com/", EndpointError::NotHttps),
            ),
            (
                "J-17 user information",
                |d| d["token_endpoint"] = json!("https://a:b@login.example.com/"),
                bad("token_endpoint", "https://a:b@login.example.com/", EndpointError::UserInfo),
            ),
            (
                "javascript",
                |d| d["authorization_endpoint"] = json!("javascript:alert(1)"),
                bad("authorization_endpoint", "javascript:alert(1)", EndpointError::NotAbsolute),
            ),
            (
                "fragment",
                |d| d["authorization_endpoint"] = json!("https://login.example.com/#a"),
                bad("authorization_endpoint", "https://login.example.com/#a", EndpointError::Fragment),
            ),
        ];
        for (name, change, expected) in cases {
            let mut document = document();
            change(&mut document);
            assert_eq!(parse(&document), Err(expected), "{name}");
        }
    }

    #[test]
    fn a_plain_http_endpoint_is_named_with_its_url_and_the_remedy() {
        let mut document = document();
        document["token_endpoint"] = json!("http://idp.internal:8080/token");
        assert_eq!(
            parse(&document).unwrap_err().to_string(),
            r#"its token_endpoint "http://idp.internal:8080/token" is not an https URL (http only for localhost and loopback addresses); let the provider publish https URLs, or configure token_endpoint as https and the Envoy cluster that reaches it under clusters, or set danger.plain_http_providers"#
        );
    }

    #[test]
    fn the_text_true_asks_for_iss_as_the_truth_value_does() {
        for (said, expected) in [
            (json!(true), true),
            (json!("true"), true),
            (json!("false"), false),
            (json!(""), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            let mut document = document();
            document["authorization_response_iss_parameter_supported"] = said.clone();
            assert_eq!(parse(&document).unwrap().iss_parameter, expected, "{said}");
        }
    }

    #[test]
    fn what_sign_out_needs_is_left_out_where_it_cannot_be_used() {
        for (said, left_out) in [
            (json!("http://login.example.com/end"), true),
            (json!("javascript:alert(1)"), true),
            (json!(""), false),
            (Value::Null, false),
        ] {
            let mut document = document();
            document["end_session_endpoint"] = said.clone();
            let metadata = parse(&document).unwrap();
            assert!(metadata.end_session_endpoint.is_none());
            assert_eq!(!metadata.left_out.is_empty(), left_out, "{said}");
        }
    }

    #[test]
    fn configured_endpoints_win_and_need_not_be_discovered() {
        let mut provider = openid_provider();
        provider.endpoints.jwks = Endpoint::parse("https://other.example/keys", PlainHttp::LoopbackOnly).ok();
        let mut document = document();
        document["jwks_uri"] = json!("http://169.254.169.254/");
        let metadata = ProviderMetadata::parse(&relying_party(), &provider, document.to_string().as_bytes()).unwrap();
        assert_eq!(metadata.jwks_uri.unwrap().authority(), "other.example");
    }

    #[test]
    fn a_provider_that_takes_signed_requests_alone_needs_the_key_of_the_client() {
        let mut document = document();
        document["require_signed_request_object"] = json!(true);
        assert_eq!(parse(&document), Err(DiscoveryError::WantsSignedRequests));
        let mut client = relying_party();
        client.request_form.is_signed = Some(false);
        assert!(ProviderMetadata::parse(&client, &openid_provider(), document.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn a_certificate_is_shown_at_the_aliases_and_browsers_are_not_sent_there() {
        let mut document = document();
        document["mtls_endpoint_aliases"] = json!({
            "authorization_endpoint": "https://mtls.example.com/authorize", "token_endpoint": "https://mtls.example.com/token",
            "revocation_endpoint": null,
        });
        document["revocation_endpoint"] = json!("https://login.example.com/revoke");
        let mut client = relying_party();
        client.authentication = ClientAuthentication::Tls;
        let metadata = ProviderMetadata::parse(&client, &openid_provider(), document.to_string().as_bytes()).unwrap();
        let hosts = [&metadata.authorization_endpoint, &metadata.token_endpoint].map(Endpoint::authority);
        assert_eq!(hosts, ["login.example.com", "mtls.example.com"]);
        assert_eq!(metadata.revocation_endpoint.unwrap().authority(), "login.example.com");
        assert_eq!(parse(&document).unwrap().token_endpoint.authority(), "login.example.com");
    }

    #[test]
    fn client_secret_post_is_used_where_basic_is_not_offered() {
        for (offered, post) in [
            (json!(["client_secret_post"]), true),
            (json!(["client_secret_post", "client_secret_basic"]), false),
            (json!(["private_key_jwt"]), false),
            (json!("client_secret_post"), true),
            (json!(""), false),
            (Value::Null, false),
        ] {
            let mut document = document();
            document["token_endpoint_auth_methods_supported"] = offered.clone();
            let authentication = parse(&document).unwrap().authentication(&relying_party(), false);
            assert_eq!(matches!(authentication, ClientAuthentication::Post(_)), post, "{offered}");
        }
    }
}
