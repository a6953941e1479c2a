//! Client authentication (RFC 6749, 2.3) at the token, revocation and introspection endpoints.

pub mod assertion;

use std::{rc::Rc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::{Serializer, byte_serialize};

use self::assertion::{AssertionKey, ClientAssertion};
use super::{Clusters, Endpoint};
use crate::{
    http::CalloutRequest,
    platform::{NoRandomness, Platform, SignError},
    secret::ClientSecret,
    time::UnixTime,
};

/// The shortest key of HS256, in bytes: the size of its hash.
pub const MIN_HS256_KEY: usize = 32;

/// How we authenticate. Method and secret cannot disagree.
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    /// `client_secret_jwt` or `private_key_jwt` (RFC 7523, 2.2).
    Assertion(Rc<ClientAssertion>),
    /// `client_secret_basic` (RFC 6749, 2.3.1).
    Basic(ClientSecret),
    /// Envoy adds the credentials to the call: its credential injector stands in the filters of the cluster.
    Injected,
    /// No secret: a public client, protected by PKCE alone.
    None,
    /// `client_secret_post`.
    Post(ClientSecret),
    /// The certificate that Envoy shows (RFC 8705): `tls_client_auth` or `self_signed_tls_client_auth`.
    Tls,
    /// A secret without a method: `client_secret_basic`, unless the metadata only offers `client_secret_post`.
    Unspecified(ClientSecret),
}

impl ClientAuthentication {
    /// Whether it signs with a secret that is shorter than HS256 wants it (RFC 7518, 3.2).
    pub fn has_short_key(&self) -> bool {
        match self {
            Self::Assertion(assertion) => match &assertion.key {
                AssertionKey::Private(_) => false,
                AssertionKey::Secret(secret) => secret.expose().len() < MIN_HS256_KEY,
            },
            Self::Basic(_) | Self::Injected | Self::None | Self::Post(_) | Self::Tls | Self::Unspecified(_) => false,
        }
    }

    /// The settings to compare if a server refuses the client.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Assertion(assertion) => match assertion.key {
                AssertionKey::Private(_) => {
                    "compare client_id, client_key and client_assertion with the registration of the client, which needs the public key"
                }
                AssertionKey::Secret(_) => {
                    "compare client_id, client_secret and client_assertion with the registration of the client"
                }
            },
            Self::Basic(_) | Self::Post(_) => {
                "compare client_id, client_secret and token_endpoint_auth_method with the registration of the client"
            }
            Self::Injected => {
                "compare client_id and the secret of the cluster's credential injector with the registration of the client"
            }
            Self::None => {
                "no client_secret is configured; compare client_id and the kind of client with its registration"
            }
            Self::Tls => {
                "compare client_id and the certificate that the cluster shows with the registration of the client"
            }
            Self::Unspecified(_) => "compare client_id and client_secret with the registration of the client",
        }
    }
}

/// Why a call cannot be authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The platform gives no randomness.
    #[error("{0}")]
    NoRandomness(#[from] NoRandomness),
    /// Nothing is signed.
    #[error("{0}")]
    NotSigned(#[from] SignError),
}

/// The time, the host and the answers before, for one call.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// Now.
    pub now: UnixTime,
    /// Randomness and signatures.
    pub platform: &'a dyn Platform,
    /// Whether a secret without a configured method is sent by the other method than the metadata suggest.
    pub other_method: bool,
    /// The nonce that the server has given for DPoP proofs.
    pub proof_nonce: Option<&'a str>,
}

impl<'a> CallContext<'a> {
    /// No nonce, and the method that the metadata suggest.
    pub const fn new(now: UnixTime, platform: &'a dyn Platform) -> Self {
        Self { now, platform, other_method: false, proof_nonce: None }
    }
}

/// A client at an endpoint, and how the endpoint is reached.
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    /// The issuer identifier of the authorization server.
    pub(super) issuer: &'a str,
    /// Its token endpoint, where it is known.
    pub(super) token_endpoint: Option<&'a Endpoint>,
    pub(super) authentication: &'a ClientAuthentication,
    pub(super) clusters: &'a Clusters,
    pub(super) timeout: Duration,
}

/// A form under construction.
struct FormRequest<'a> {
    endpoint: &'a Endpoint,
    headers: Vec<(&'static str, String)>,
    /// Whether `client_id` is among the parameters already.
    names_client: bool,
    form: Serializer<'static, String>,
}

impl Client<'_> {
    /// A form for this endpoint, authenticated.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub(super) fn post(
        &self,
        endpoint: &Endpoint,
        pairs: &[(&str, &str)],
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        let mut request = FormRequest {
            endpoint,
            headers: vec![
                ("accept", "application/json".to_owned()),
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ],
            names_client: pairs.iter().any(|(name, _)| *name == "client_id"),
            form: Serializer::new(String::new()),
        };
        request.form.extend_pairs(pairs);
        self.authenticate(&mut request, context)?;
        Ok(CalloutRequest {
            cluster: self.clusters.reaching(endpoint).clone(),
            method: "POST",
            authority: request.endpoint.authority(),
            path: request.endpoint.path_and_query(),
            headers: request.headers,
            body: request.form.finish().into_bytes(),
            timeout: self.timeout,
        })
    }

    /// Adds the client's credentials.
    fn authenticate(&self, request: &mut FormRequest<'_>, context: CallContext<'_>) -> Result<(), AuthenticationError> {
        // RFC 6749, 4.1.3; RFC 8705, 2: a client that sends no credentials, or sends them in the body, sends its ID.
        let sends_id = !matches!(
            self.authentication,
            ClientAuthentication::Basic(_) | ClientAuthentication::Injected | ClientAuthentication::Unspecified(_)
        );
        if sends_id && !request.names_client {
            request.form.append_pair("client_id", self.id);
        }
        match self.authentication {
            ClientAuthentication::Assertion(assertion) => {
                let signed = assertion.sign(self, context)?;
                request.form.extend_pairs(assertion.pairs(&signed));
            }
            ClientAuthentication::Basic(secret) | ClientAuthentication::Unspecified(secret) => {
                request.headers.push(("authorization", basic(self.id, secret)));
            }
            ClientAuthentication::Post(secret) => {
                request.form.append_pair("client_secret", secret.expose());
            }
            ClientAuthentication::Injected | ClientAuthentication::None | ClientAuthentication::Tls => {}
        }
        Ok(())
    }
}

// RFC 6749, 2.3.1: both parts are form-urlencoded before they are joined, so a colon or a percent sign survives.
fn basic(client_id: &str, secret: &ClientSecret) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose()))))
}

#[cfg(test)]
mod tests;
