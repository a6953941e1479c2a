//! How a client authenticates to a provider or an introspection endpoint.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Secret,
};

/// The client authentication at the token endpoint.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum AuthMethod {
    /// The client secret in the `Authorization` header (RFC 6749, 2.3.1).
    ClientSecretBasic,
    /// An assertion signed with the client secret by HS256 (OIDC Core 9).
    ClientSecretJwt,
    /// The client secret in the body.
    ClientSecretPost,
    /// Envoy's credential injector, in the filters of the cluster, adds the credentials.
    Injected,
    /// None: a public client.
    None,
    /// An assertion signed with `client_key` (RFC 7523).
    PrivateKeyJwt,
    /// The self-signed client certificate of the cluster (RFC 8705, 2.2).
    SelfSignedTlsClientAuth,
    /// The client certificate of the cluster (RFC 8705, 2.1).
    TlsClientAuth,
}

impl AuthMethod {
    const ALL: [Self; 8] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::ClientSecretJwt,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::SelfSignedTlsClientAuth,
        Self::Injected,
        Self::None,
    ];

    pub(in crate::config) const fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::ClientSecretPost => "client_secret_post",
            Self::Injected => "injected",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::TlsClientAuth => "tls_client_auth",
        }
    }
}

impl Shape for AuthMethod {
    fn read(place: Place<'_>) -> Self {
        let word = place.word(&Self::ALL.map(Self::name));
        Self::ALL.into_iter().find(|method| method.name() == word).unwrap_or(Self::ClientSecretBasic)
    }
}

/// A private key of the client.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct ClientKey {
    /// The key: PKCS #8 in PEM (`-----BEGIN PRIVATE KEY-----`, with `\n` in place of line breaks if a variable cannot have
    /// these), or a JWK. RSA with 2048 bits or more, EC on P-256, P-384 or P-521, or Ed25519.
    #[cfg_attr(test, schemars(required, extend("examples" = [{"env": "OIDC_CLIENT_KEY"}])))]
    pub(in crate::config) private_key: Option<Secret>,
    /// The key's ID at the provider. By default the one in the JWK, or none.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_TEXT), extend("examples" = ["key-of-2026"])))]
    pub(in crate::config) kid: Option<String>,
    /// The signature algorithm of the client's assertions and signed requests. By default the one in the JWK, or RS256,
    /// ES256, ES384, ES512 or EdDSA, according to the key. `PS256` is not available: Envoy does not sign with it.
    #[cfg_attr(test, schemars(extend("enum" = limits::SIGNING_NAMES), extend("examples" = ["ES256"])))]
    pub(in crate::config) alg: Option<String>,
}

fields!(ClientKey { private_key, kid, alg });

/// The content of the client's assertions.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct ClientAssertion {
    /// `aud`: `issuer` for the issuer identifier, `token_endpoint` for the URL of the token endpoint, or
    /// another absolute URI.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_TEXT), extend("default" = "issuer"),
        extend("examples" = ["token_endpoint"])
    ))]
    pub(in crate::config) audience: Option<String>,
    /// `iss`. By default the client ID.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_TEXT), extend("examples" = ["my-client"])))]
    pub(in crate::config) issuer: Option<String>,
    /// The parameter of the token request that carries the assertions.
    #[cfg_attr(test, schemars(extend("default" = "client_assertion")))]
    pub(in crate::config) sent_as: Option<SentAs>,
}

fields!(ClientAssertion { audience, issuer, sent_as });

/// The parameter that carries an assertion.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum SentAs {
    /// `client_assertion` (RFC 7523).
    ClientAssertion,
    /// `client_secret`, as Apple requires.
    ClientSecret,
}

impl Shape for SentAs {
    fn read(place: Place<'_>) -> Self {
        if place.word(&["client_assertion", "client_secret"]) == "client_secret" {
            Self::ClientSecret
        } else {
            Self::ClientAssertion
        }
    }
}
