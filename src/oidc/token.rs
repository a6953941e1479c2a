//! The token endpoint: redeems an authorization code (RFC 6749, 4.1.3 and 5; OIDC Core 3.1.3).

use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::{Serializer, byte_serialize};
use serde_json::{Map, Value};

use super::{ClientAuthentication, Provider, discovery::ProviderMetadata, error::OAuthError};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::json::{self, JsonError},
    secret::{AccessToken, AuthorizationCode, ClientSecret, PkceVerifier, RawIdToken},
};

/// What the token endpoint gave us, not verified.
#[derive(Debug, Clone)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: AccessToken,
    /// The ID token.
    pub id_token: RawIdToken,
}

/// Why the token endpoint gave us nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenEndpointError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// A member is missing or of another kind than the specification says.
    #[error("the token response has no usable {0}")]
    Malformed(&'static str),
    /// Not a JSON object as it must be.
    #[error("the token response is {0}")]
    NotJson(#[from] JsonError),
    /// The provider refused, and said why in OAuth's words.
    #[error("the provider refused: {}", .0.as_str())]
    Refused(OAuthError),
    /// A status that says nothing.
    #[error("the token endpoint answered {0}")]
    Status(u16),
}

/// Redeems a code. The call is never repeated: a code is good once.
pub fn code_grant(
    provider: &Provider,
    metadata: &ProviderMetadata,
    code: &AuthorizationCode,
    verifier: &PkceVerifier,
    redirect_uri: &str,
) -> CalloutRequest {
    let mut form = Serializer::new(String::new());
    form.extend_pairs([
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.expose()),
    ]);
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    match metadata.authentication(provider) {
        ClientAuthentication::Basic(secret) | ClientAuthentication::Unspecified(secret) => {
            headers.push(("authorization", basic(&provider.client_id, &secret)));
        }
        ClientAuthentication::Post(secret) => {
            form.append_pair("client_id", &provider.client_id);
            form.append_pair("client_secret", secret.expose());
        }
        // RFC 6749, 4.1.3: a client that does not authenticate names itself.
        ClientAuthentication::None => {
            form.append_pair("client_id", &provider.client_id);
        }
    }
    CalloutRequest {
        cluster: provider.clusters.reaching(&metadata.token_endpoint).clone(),
        method: "POST",
        authority: metadata.token_endpoint.authority(),
        path: metadata.token_endpoint.path_and_query(),
        headers,
        body: form.finish().into_bytes(),
        timeout: provider.timeout,
    }
}

// RFC 6749, 2.3.1: both parts are form-urlencoded before they are joined, so a colon or a percent sign survives.
fn basic(client_id: &str, secret: &ClientSecret) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose()))))
}

impl TokenResponse {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`TokenEndpointError`] says why there is none.
    pub fn read(response: Result<CalloutResponse, CalloutError>) -> Result<Self, TokenEndpointError> {
        let response = response?;
        if response.status != 200 {
            return Err(refusal(&response));
        }
        let body = json::parse_object(&response.body, MAX_CALLOUT_BODY)?;
        // RFC 6749, 5.1 and 7.1: the type is case-insensitive, and one we do not know is not ours to use.
        if !text(&body, "token_type")?.eq_ignore_ascii_case("bearer") {
            return Err(TokenEndpointError::Malformed("token_type"));
        }
        Ok(Self {
            access_token: AccessToken::new(text(&body, "access_token")?),
            id_token: RawIdToken::new(text(&body, "id_token")?),
        })
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, TokenEndpointError> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or(TokenEndpointError::Malformed(name))
}

// RFC 6749, 5.2: 400 or 401 with an error code. A 5xx is the provider's trouble, whatever it says.
fn refusal(response: &CalloutResponse) -> TokenEndpointError {
    let status = TokenEndpointError::Status(response.status);
    if !(400..500).contains(&response.status) {
        return status;
    }
    let Ok(body) = json::parse_object(&response.body, MAX_CALLOUT_BODY) else { return status };
    body.get("error")
        .and_then(Value::as_str)
        .map_or(status, |code| TokenEndpointError::Refused(OAuthError::from_code(code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::testing::{metadata, provider};

    fn grant(authentication: ClientAuthentication) -> CalloutRequest {
        let mut provider = provider();
        provider.client_id = "odd:id/%+".to_owned();
        provider.authentication = authentication;
        let (code, verifier) = (AuthorizationCode::new("c+d&e=f"), PkceVerifier::new("v"));
        code_grant(&provider, &metadata(), &code, &verifier, "https://app.example.com/oauth2/callback")
    }

    fn pairs(request: &CalloutRequest) -> Vec<(String, String)> {
        form_urlencoded::parse(&request.body).into_owned().collect()
    }

    fn has(request: &CalloutRequest, name: &str) -> bool {
        pairs(request).iter().any(|(found, _)| found == name)
    }

    #[test]
    fn basic_credentials_are_form_urlencoded_before_they_are_joined() {
        let request = grant(ClientAuthentication::Basic(ClientSecret::new("s p+a%c&e:~")));
        let authorization = request.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        let decoded = STANDARD.decode(authorization.1.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), "odd%3Aid%2F%25%2B:s+p%2Ba%25c%26e%3A%7E");
        assert!(!has(&request, "client_secret") && !has(&request, "client_id"));
        assert!(pairs(&request).contains(&("code".to_owned(), "c+d&e=f".to_owned())));
    }

    #[test]
    fn posted_credentials_are_in_the_body_alone() {
        let request = grant(ClientAuthentication::Post(ClientSecret::new("s&c")));
        assert!(pairs(&request).contains(&("client_secret".to_owned(), "s&c".to_owned())));
        assert!(request.headers.iter().all(|(name, _)| *name != "authorization"));
    }

    #[test]
    fn a_public_client_names_itself_and_sends_no_secret() {
        let request = grant(ClientAuthentication::None);
        assert!(has(&request, "client_id") && has(&request, "code_verifier") && !has(&request, "client_secret"));
        assert!(request.headers.iter().all(|(name, _)| *name != "authorization"));
    }

    #[test]
    fn only_codes_of_the_specifications_are_repeated() {
        let read = |body: &str| {
            TokenResponse::read(Ok(CalloutResponse { status: 400, body: body.as_bytes().to_vec() })).unwrap_err()
        };
        assert_eq!(read(r#"{"error":"invalid_client"}"#), TokenEndpointError::Refused(OAuthError::InvalidClient));
        let unknown = read(r#"{"error":"<script>","error_description":"the-secret"}"#);
        assert_eq!(unknown.to_string(), "the provider refused: unknown_error");
    }
}
