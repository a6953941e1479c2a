//! The authorization request and its response (OIDC Core 3.1.2; RFC 6749, 4.1; RFC 9207).

use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{
    Endpoint, RelyingParty,
    client::{AuthenticationError, CallContext},
    error::{ErrorResponse, OAuthError},
    provider_metadata::ProviderMetadata,
};
use crate::{
    jose::sign::SigningKey,
    secret::{AuthorizationCode, Nonce, PkceVerifier},
};

/// The parameters of a request, by name.
pub type Parameters = Vec<(String, String)>;

/// How long a signed request is good. The browser carries it to the provider at once.
const REQUEST_LIFETIME_SECONDS: u64 = 300;
/// How far the provider's clock may be behind ours.
const CLOCK_DIFFERENCE_SECONDS: u64 = 60;

/// Our parameters: neither the configuration nor an endpoint's own query can set one.
pub const OWN_PARAMETERS: [&str; 12] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Upper bound of the query of a callback.
pub const MAX_QUERY: usize = 16 * 1024;

/// An authorization request with PKCE and `state`.
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// The client.
    pub relying_party: &'a RelyingParty,
    /// The provider's endpoints.
    pub metadata: &'a ProviderMetadata,
    /// Our callback.
    pub redirect_uri: &'a str,
    /// The `state`.
    pub state: &'a str,
    /// The `nonce`, where an ID token will carry it.
    pub nonce: Option<&'a Nonce>,
    /// The PKCE verifier; its challenge is sent.
    pub verifier: &'a PkceVerifier,
    /// A `prompt` beside the configured ones.
    pub prompt: Option<&'a str>,
    /// Parameters that a rule demands, in place of configured ones.
    pub demanded: &'a [(String, String)],
    /// Further parameters, where neither the filter nor the configuration sets them. A `prompt` of these counts like
    /// [`Self::prompt`].
    pub passed: &'a [(String, String)],
}

impl AuthorizationRequest<'_> {
    /// The parameters of the request.
    ///
    /// # Errors
    /// [`AuthenticationError`] where they are signed.
    pub fn parameters(&self, context: CallContext<'_>) -> Result<Parameters, AuthenticationError> {
        let form = &self.relying_party.request_form;
        let plain = self.plain_parameters();
        let is_signed = form.is_signed.unwrap_or(self.metadata.requires_signed_request);
        let Some(key) = form.key.as_ref().filter(|_| is_signed) else { return Ok(plain) };
        let request = self.sign(&plain, key, context)?;
        // OIDC Core 6.1: in a URL these stand beside the signed request too, as OAuth 2.0 asks for them. RFC 9126, 3: where it is
        // pushed it stands alone.
        let is_pushed = self.metadata.pushed_request_endpoint.is_some();
        let beside = if is_pushed { &["client_id"][..] } else { &["client_id", "response_type", "scope"] };
        let mut parameters: Parameters =
            plain.into_iter().filter(|(name, _)| beside.contains(&name.as_str())).collect();
        parameters.push(("request".to_owned(), request));
        Ok(parameters)
    }

    /// The parameters as a signed JWT (RFC 9101, 4; OIDC Core 6.1).
    fn sign(
        &self,
        parameters: &[(String, String)],
        key: &SigningKey,
        context: CallContext<'_>,
    ) -> Result<String, AuthenticationError> {
        let now = context.now.as_secs();
        let mut claims: Map<String, Value> =
            parameters.iter().map(|(name, value)| (name.clone(), claim(name, value))).collect();
        for (name, value) in [
            ("iss", self.relying_party.client_id.as_str().into()),
            ("aud", self.relying_party.issuer.as_str().into()),
            ("iat", now.into()),
            ("nbf", now.saturating_sub(CLOCK_DIFFERENCE_SECONDS).into()),
            ("exp", now.saturating_add(REQUEST_LIFETIME_SECONDS).into()),
        ] {
            claims.insert(name.to_owned(), value);
        }
        Ok(key.sign("oauth-authz-req+jwt", &claims.into(), context.platform)?)
    }

    fn plain_parameters(&self) -> Parameters {
        let passed =
            |wanted: &str| self.passed.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let prompt = self.prompt.or_else(|| passed("prompt"));
        let is_asked = |name: &str| name == "prompt" && prompt.is_some();
        let RelyingParty { client_id, scopes, authorization_params, request_form, proof_key, .. } = self.relying_party;
        let scope = scopes.join(" ");
        let challenge = self.verifier.challenge();
        let ours = [
            ("response_type", "code"),
            ("client_id", client_id.as_str()),
            ("redirect_uri", self.redirect_uri),
            ("state", self.state),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let ours = ours
            .into_iter()
            .chain(request_form.is_posted_back.then_some(("response_mode", "form_post")))
            .chain(proof_key.as_ref().map(|key| ("dpop_jkt", key.thumbprint())))
            .chain((!scope.is_empty()).then_some(("scope", scope.as_str())))
            .chain(self.nonce.map(|nonce| ("nonce", nonce.expose())));
        let has = |list: &[(String, String)], wanted: &str| list.iter().any(|(name, _)| name == wanted);
        let is_set = |wanted: &str| {
            let given = [authorization_params, self.demanded].into_iter().any(|list| has(list, wanted));
            let is_in_endpoint = || {
                let query = self.metadata.authorization_endpoint.url().query_pairs();
                query.into_iter().any(|(name, _)| name == wanted)
            };
            given || wanted == "prompt" || OWN_PARAMETERS.contains(&wanted) || is_in_endpoint()
        };
        let is_replaced = |name: &str| is_asked(name) || has(self.demanded, name);
        let configured = authorization_params.iter().filter(|(name, _)| !is_replaced(name));
        let passed = self.passed.iter().filter(|(name, _)| !is_set(name));
        let others = configured.chain(self.demanded).chain(passed).cloned();
        ours.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain(others)
            .chain(prompt.map(|prompt| ("prompt".to_owned(), self.prompt_with(prompt))))
            .collect()
    }

    /// This `prompt` with the configured ones: a list, in which `none` stands alone (OIDC Core 3.1.2.1).
    fn prompt_with(&self, prompt: &str) -> String {
        let configured = self.relying_party.authorization_params.iter().filter(|(name, _)| name == "prompt");
        let configured = configured.flat_map(|(_, value)| value.split(' ')).filter(|word| !word.is_empty());
        let is_other = |word: &&str| *word != "none" && prompt.split(' ').all(|asked| asked != *word);
        let others: Vec<&str> = configured.filter(is_other).collect();
        others.into_iter().chain([prompt]).collect::<Vec<_>>().join(" ")
    }
}

/// A parameter as a claim of a signed request: JSON stands there as what it is (OIDC Core 6.1; RFC 9101, 4).
fn claim(name: &str, value: &str) -> Value {
    let read = match name {
        "authorization_details" | "claims" => serde_json::from_str(value).ok(),
        "max_age" => value.parse::<u64>().ok().map(Value::from),
        _ => None,
    };
    read.unwrap_or_else(|| value.into())
}

/// The URL of an authorization request with these parameters.
pub fn url(endpoint: &Endpoint, parameters: &[(String, String)]) -> String {
    let mut url = endpoint.url().clone();
    url.set_query(None);
    // RFC 6749, 3.1: the endpoint's own query is kept, without our parameters.
    let is_ours =
        |name: &str| OWN_PARAMETERS.contains(&name) || parameters.iter().any(|(parameter, _)| parameter == name);
    url.query_pairs_mut()
        .extend_pairs(endpoint.url().query_pairs().filter(|(name, _)| !is_ours(name)))
        .extend_pairs(parameters);
    url.into()
}

impl RelyingParty {
    /// Whether a second authorization request may succeed after this error response: the provider's sign-in page had expired,
    /// or another tab has signed in meanwhile. Keycloak then answers `temporarily_unavailable`, Ory Hydra
    /// `request_unauthorized`. Not after `server_error`, which may follow a complete sign-in and would again.
    pub fn may_succeed_again(&self, response: &ErrorResponse) -> bool {
        // OIDC Core 3.1.2.6: with `prompt=none` the provider must not ask the user, and would answer the same.
        let forbids_prompts =
            |(name, value): &(String, String)| name == "prompt" && value.split(' ').any(|word| word == "none");
        match response.error {
            OAuthError::RequestUnauthorized | OAuthError::TemporarilyUnavailable => true,
            OAuthError::InteractionRequired | OAuthError::LoginRequired => {
                !self.authorization_params.iter().any(forbids_prompts)
            }
            _ => false,
        }
    }
}

/// Why an authorization response is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// Not exactly one `state`, and one of `code` and `error`.
    #[error("the authorization response is malformed")]
    Malformed,
    /// `iss` is missing where the provider always sends it, or names another issuer (RFC 9207, 2.4).
    #[error("the authorization response comes from another issuer")]
    WrongIssuer,
}

/// Proof that the `state` of a response is that of a sign-in which this browser began.
#[derive(Debug)]
pub struct StateMatched(());

impl StateMatched {
    /// Compares the `state` with the browser's cookie, in constant time.
    pub fn check(of_state: &[u8], of_browser: &[u8]) -> Option<Self> {
        bool::from(of_state.ct_eq(of_browser)).then_some(Self(()))
    }
}

/// An authorization response that is not checked yet.
#[derive(Debug)]
pub struct AuthorizationResponse {
    state: String,
    iss: Option<String>,
    outcome: Result<AuthorizationCode, ErrorResponse>,
}

impl AuthorizationResponse {
    /// Reads the query of a callback. Tokens in it are ignored. A parameter that comes twice is refused, because the
    /// provider and we could use different ones.
    ///
    /// # Errors
    /// [`AuthorizationError::Malformed`]
    pub fn parse(query: &[u8]) -> Result<Self, AuthorizationError> {
        if query.len() > MAX_QUERY {
            return Err(AuthorizationError::Malformed);
        }
        let (mut state, mut iss, mut code, mut error, mut description) = (None, None, None, None, None);
        for (name, value) in form_urlencoded::parse(query) {
            let slot = match name.as_ref() {
                "state" => &mut state,
                "iss" => &mut iss,
                "code" => &mut code,
                "error" => &mut error,
                // For the log alone.
                "error_description" => {
                    description = description.or(Some(value));
                    continue;
                }
                _ => continue,
            };
            // U+FFFD stands for bytes that were not UTF-8; no provider sends those or controls.
            if value.contains(|c: char| c.is_control() || c == '\u{FFFD}') {
                return Err(AuthorizationError::Malformed);
            }
            if slot.replace(value.into_owned()).is_some() {
                return Err(AuthorizationError::Malformed);
            }
        }
        // An empty parameter counts as absent (RFC 6749, 3.1).
        let [state, iss, code, error] = [state, iss, code, error].map(|value| value.filter(|text| !text.is_empty()));
        let outcome = match (code, error) {
            (Some(code), None) => Ok(AuthorizationCode::new(code)),
            (None, Some(error)) => Err(ErrorResponse::new(&error, description.as_deref())),
            (Some(_), Some(_)) | (None, None) => return Err(AuthorizationError::Malformed),
        };
        let state = state.ok_or(AuthorizationError::Malformed)?;
        Ok(Self { state, iss, outcome })
    }

    /// `state`
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The code or the error, where `iss` is the provider's.
    ///
    /// # Errors
    /// [`AuthorizationError::WrongIssuer`]
    pub fn accept(
        self,
        _state: &StateMatched,
        relying_party: &RelyingParty,
        metadata: &ProviderMetadata,
    ) -> Result<Result<AuthorizationCode, ErrorResponse>, AuthorizationError> {
        // RFC 9207, 2.4: simple string comparison, on error responses too.
        let expected = relying_party.issuer.expected();
        let right = self.iss.as_deref().map_or(!metadata.iss_parameter, |iss| expected.may_be(iss));
        if right { Ok(self.outcome) } else { Err(AuthorizationError::WrongIssuer) }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{
        oidc::{
            PlainHttp,
            testing::{TestPlatform, metadata, relying_party},
        },
        time::UnixTime,
    };

    fn url(endpoint: &str, params: &[(&str, &str)]) -> Vec<(String, String)> {
        asking(endpoint, params, None)
    }

    fn asking(endpoint: &str, params: &[(&str, &str)], prompt: Option<&str>) -> Vec<(String, String)> {
        let mut relying_party = relying_party();
        relying_party.authorization_params = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut metadata = metadata();
        metadata.authorization_endpoint = Endpoint::parse(endpoint, PlainHttp::LoopbackOnly).unwrap();
        let request = AuthorizationRequest {
            relying_party: &relying_party,
            metadata: &metadata,
            redirect_uri: "https://app.example.com/oauth2/callback",
            state: "the state",
            nonce: Some(&Nonce::new("the nonce")),
            verifier: &PkceVerifier::new("v"),
            prompt,
            demanded: &[],
            passed: &[],
        };
        let platform = TestPlatform::default();
        let context = CallContext::new(UnixTime::default(), &platform);
        let parameters = request.parameters(context).unwrap();
        let url = super::url(&metadata.authorization_endpoint, &parameters);
        Url::parse(&url).unwrap().query_pairs().into_owned().collect()
    }

    #[test]
    fn configured_parameters_cannot_duplicate_the_filters_own() {
        let own = "redirect_uri=https%3A%2F%2Fevil.example&state=x&nonce=y&client_id=z&code_challenge_method=plain";
        let pairs = url(&format!("https://idp.example.com/authorize?tenant=t&{own}"), &[("prompt", "login")]);
        let is_optional = |name: &str| name.starts_with("request") || matches!(name, "dpop_jkt" | "response_mode");
        for name in OWN_PARAMETERS.iter().filter(|name| !is_optional(name)) {
            assert_eq!(pairs.iter().filter(|(found, _)| found == name).count(), 1, "{name}");
        }
        assert!(pairs.contains(&("tenant".to_owned(), "t".to_owned())));
        assert!(pairs.contains(&("prompt".to_owned(), "login".to_owned())));
        assert!(pairs.contains(&("redirect_uri".to_owned(), "https://app.example.com/oauth2/callback".to_owned())));
    }

    #[test]
    fn a_requested_prompt_is_added_to_the_configured_one() {
        for (configured, expected) in [
            (None, "select_account"),
            (Some("consent"), "consent select_account"),
            (Some("select_account"), "select_account"),
            (Some("login  consent"), "login consent select_account"),
            (Some("none"), "select_account"),
        ] {
            let params: Vec<_> = configured.map(|value| ("prompt", value)).into_iter().collect();
            let pairs = asking("https://idp.example.com/authorize?prompt=login", &params, Some("select_account"));
            let prompts: Vec<_> = pairs.iter().filter(|(name, _)| name == "prompt").map(|(_, value)| value).collect();
            assert_eq!(prompts, [expected], "{configured:?}");
        }
    }

    #[test]
    fn a_signed_request_contains_json_parameters_as_json() {
        assert_eq!(claim("claims", r#"{"id_token":{"acr":null}}"#)["id_token"], serde_json::json!({ "acr": null }));
        assert_eq!(claim("max_age", "300"), 300);
        assert_eq!(claim("max_age", "soon"), "soon");
        assert_eq!(claim("state", "300"), "300");
    }

    #[test]
    fn parameters_with_special_characters_are_url_encoded() {
        let pairs = url("https://idp.example.com/authorize", &[("claims", "{\"a\": \"b&c=d#e\"}")]);
        assert!(pairs.contains(&("claims".to_owned(), "{\"a\": \"b&c=d#e\"}".to_owned())));
    }
}
