//! Authentication by a signed assertion: `private_key_jwt` and `client_secret_jwt` (RFC 7523; OIDC Core 9), and client secrets
//! that are such assertions themselves, which Apple asks for.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::{AuthenticationError, CallContext, Client};
use crate::{
    jose::sign::{SigningKey, sign_with_secret},
    secret::ClientSecret,
};

/// How long an assertion is good. Each is used once, at once; the rest is for clocks that differ.
const LIFETIME_SECONDS: u64 = 120;
/// `client_assertion_type` (RFC 7523, 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How assertions are made and sent.
#[derive(Debug)]
pub struct ClientAssertion {
    /// The key that signs them.
    pub key: AssertionKey,
    /// `iss`; `None` means the client ID.
    pub issuer: Option<String>,
    /// `aud`
    pub audience: Audience,
    /// Where they are sent.
    pub sent_as: SentAs,
}

/// The key that signs assertions.
#[derive(Debug)]
pub enum AssertionKey {
    /// `private_key_jwt`
    Private(Rc<SigningKey>),
    /// `client_secret_jwt`, by HS256.
    Secret(ClientSecret),
}

/// `aud` of an assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// The issuer identifier of the authorization server.
    Issuer,
    /// This text.
    Text(String),
    /// The URL of its token endpoint.
    TokenEndpoint,
}

/// The parameters of an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAs {
    /// `client_assertion` and `client_assertion_type`.
    Assertion,
    /// `client_secret`
    Secret,
}

impl ClientAssertion {
    /// An assertion of this client (RFC 7523, 3).
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub(super) fn sign(&self, client: &Client<'_>, context: CallContext<'_>) -> Result<String, AuthenticationError> {
        let mut jti = [0; 16];
        context.platform.random(&mut jti)?;
        let now = context.now.as_secs();
        let audience = match &self.audience {
            Audience::Text(text) => text,
            Audience::TokenEndpoint => client.token_endpoint.map_or(client.issuer, |endpoint| endpoint.url().as_str()),
            Audience::Issuer => client.issuer,
        };
        let claims = json!({
            "iss": self.issuer.as_deref().unwrap_or(client.id),
            "sub": client.id,
            "aud": audience,
            "jti": URL_SAFE_NO_PAD.encode(jti),
            "iat": now,
            "exp": now.saturating_add(LIFETIME_SECONDS),
        });
        match &self.key {
            AssertionKey::Private(key) => Ok(key.sign("JWT", &claims, context.platform)?),
            AssertionKey::Secret(secret) => Ok(sign_with_secret(secret.expose(), &claims)),
        }
    }

    /// The parameters that carry this assertion.
    pub(super) fn pairs<'a>(&self, assertion: &'a str) -> Vec<(&'static str, &'a str)> {
        match self.sent_as {
            SentAs::Assertion => vec![("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)],
            SentAs::Secret => vec![("client_secret", assertion)],
        }
    }
}
