//! Client authentication (RFC 6749, 2.3) at the token, revocation and introspection endpoints.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::{Serializer, byte_serialize};

use super::{Clusters, Endpoint};
use crate::{
    http::CalloutRequest,
    platform::{NoRandomness, Platform},
    secret::ClientSecret,
    time::UnixTime,
};

/// How we authenticate. Method and secret cannot disagree.
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    /// `client_secret_basic` (RFC 6749, 2.3.1).
    Basic(ClientSecret),
    /// No secret: a public client, protected by PKCE alone.
    None,
    /// `client_secret_post`.
    Post(ClientSecret),
    /// A secret without a method: `client_secret_basic`, unless the metadata only offers `client_secret_post`.
    Unspecified(ClientSecret),
}

/// Time and randomness for the authentication of one call.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// Now.
    pub now: UnixTime,
    /// The source of randomness.
    pub platform: &'a dyn Platform,
    /// Whether a secret without a configured method is sent by the other method than the metadata suggest.
    pub other_method: bool,
}

/// A client at an endpoint, and how the endpoint is reached.
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) authentication: &'a ClientAuthentication,
    pub(super) clusters: &'a Clusters,
    pub(super) timeout: Duration,
}

/// A form under construction.
struct FormRequest<'a> {
    endpoint: &'a Endpoint,
    headers: Vec<(&'static str, String)>,
    form: Serializer<'static, String>,
}

impl Client<'_> {
    /// A form for this endpoint, authenticated.
    ///
    /// # Errors
    /// [`NoRandomness`] where the authentication needs it.
    pub(super) fn post(
        &self,
        endpoint: &Endpoint,
        pairs: &[(&str, &str)],
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, NoRandomness> {
        let mut request = FormRequest {
            endpoint,
            headers: vec![
                ("accept", "application/json".to_owned()),
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ],
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

    /// Adds the client's credentials. A method that signs (RFC 7523) takes the issuer identifier as audience, at every
    /// endpoint, and time and randomness from the context.
    fn authenticate(&self, request: &mut FormRequest<'_>, _context: CallContext<'_>) -> Result<(), NoRandomness> {
        match self.authentication {
            ClientAuthentication::Basic(secret) | ClientAuthentication::Unspecified(secret) => {
                request.headers.push(("authorization", basic(self.id, secret)));
            }
            ClientAuthentication::Post(secret) => {
                request.form.append_pair("client_id", self.id);
                request.form.append_pair("client_secret", secret.expose());
            }
            // RFC 6749, 4.1.3: a client that does not authenticate sends its ID.
            ClientAuthentication::None => {
                request.form.append_pair("client_id", self.id);
            }
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
