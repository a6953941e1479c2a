//! Issuers of bearer tokens that API clients send.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::{
        document::Node,
        shape::{Place, Shape, fields},
    },
    Allow, AuthMethod, ClientAssertion, ClientKey, Secret,
};

/// An issuer of bearer tokens that API clients may send. Its keys are discovered, unless `jwks_uri`, `jwks` or
/// `public_keys` gives them, or `introspection` replaces them.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct TokenIssuer {
    /// The exact `iss` of its tokens. A URL if its keys are discovered.
    #[cfg_attr(test, schemars(required, extend("examples" = ["https://machines.example.com"])))]
    pub(in crate::config) issuer: Option<String>,
    /// Accepted audiences: the `aud` of a token must contain one of them. Required, except with `introspection`.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["https://api.example.com"]])))]
    pub(in crate::config) audiences: Option<Vec<String>>,
    /// The kind of its tokens. A token that declares another type is refused.
    #[cfg_attr(test, schemars(extend("default" = "access_token")))]
    pub(in crate::config) kind: Option<TokenKind>,
    /// The URL of its JWK Set, instead of the discovered one. At most one of `jwks_uri`, `jwks`, `public_keys` and `introspection`.
    #[cfg_attr(test, schemars(extend("examples" = ["https://machines.example.com/keys"])))]
    pub(in crate::config) jwks_uri: Option<String>,
    /// Its keys as a JWK Set (RFC 7517, 5) in JSON text.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("examples" = [r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#])))]
    pub(in crate::config) jwks: Option<JsonText>,
    /// Its keys as public keys in PEM (`-----BEGIN PUBLIC KEY-----`). Each of them is tried, regardless of a token's `kid`.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_PUBLIC_KEYS),
        extend("examples" = [["-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExDr83G9BnzTQVUdxkTV+pNvQ/SIT\nqWLKW+Y2NCcUpufEIsYsnRSqyumZbdfzkvTu1E+IhmiTXv/HuZWxeJg84Q==\n-----END PUBLIC KEY-----\n"]])
    ))]
    pub(in crate::config) public_keys: Option<Vec<String>>,
    /// Validates tokens at the issuer's introspection endpoint (RFC 7662), including every opaque token. Only one
    /// issuer can have this setting.
    pub(in crate::config) introspection: Option<Introspection>,
    /// The accepted signature algorithms of its tokens. By default every supported asymmetric algorithm.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("items" = limits::one_of(&limits::algorithm_names())),
        extend("default" = limits::algorithm_names()),
        extend("examples" = [["RS256", "ES256"]])
    ))]
    pub(in crate::config) signing_algs: Option<Vec<String>>,
    /// Claims whose value is an object, which the filter replaces by the list of its keys: `{"admin": {...}, "editor":
    /// {...}}` by `["admin", "editor"]`, without keys that have an empty value (`null`, `false`, `0`, `""`, `"false"`,
    /// `[]`, `{}`). Each is the name of a claim, or a JSON Pointer (RFC 6901) such as `/my_app/roles`. Those of the
    /// provider with this issuer apply too. By default none.
    #[cfg_attr(test, schemars(length(max = limits::MAX_ENTRIES), extend("examples" = [["/my_app/roles"]])))]
    pub(in crate::config) object_keys: Option<Vec<String>>,
    /// Conditions on its tokens, in addition to those of a rule. By default all are allowed.
    pub(in crate::config) allow: Option<Allow>,
    /// The timeout of a request to the issuer, in milliseconds.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown(), extend("examples" = [2000])))]
    pub(in crate::config) timeout_ms: Option<u64>,
}

fields!(TokenIssuer {
    issuer,
    audiences,
    kind,
    jwks_uri,
    jwks,
    public_keys,
    introspection,
    signing_algs,
    object_keys,
    allow,
    timeout_ms,
});

/// JSON in a string.
pub(in crate::config) struct JsonText(pub(in crate::config) String);

impl Shape for JsonText {
    fn read(mut place: Place<'_>) -> Self {
        if let Node::Object(_) = place.node() {
            place.misfit("JSON as text, in quotes");
        }
        Self(String::read(place))
    }
}

/// Token introspection (RFC 7662), and the client credentials for it.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Introspection {
    /// The URL of the introspection endpoint, instead of the discovered one.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/introspect"])))]
    pub(in crate::config) endpoint: Option<String>,
    /// The client ID at the introspection endpoint: printable ASCII.
    #[cfg_attr(test, schemars(required, extend("examples" = ["gate"])))]
    pub(in crate::config) client_id: Option<String>,
    /// The client secret at the introspection endpoint. The client must authenticate: with a secret, a `client_key`, or a
    /// method that needs neither.
    #[cfg_attr(test, schemars(extend("examples" = [{"env": "GATE_SECRET"}])))]
    pub(in crate::config) client_secret: Option<Secret>,
    /// How the client authenticates, by any method except `none`. By default `client_secret_basic`, or `private_key_jwt` with a `client_key`.
    pub(in crate::config) token_endpoint_auth_method: Option<AuthMethod>,
    /// The client's private key, for `private_key_jwt`; its public half is registered at the issuer.
    pub(in crate::config) client_key: Option<ClientKey>,
    /// The content of the assertions of `private_key_jwt` and `client_secret_jwt` (RFC 7523), if the issuer requires other
    /// than the usual content. The audience `token_endpoint` is not accepted here.
    pub(in crate::config) client_assertion: Option<ClientAssertion>,
    /// How many seconds an answer is cached, positive or negative, but no longer than the token is valid: a revoked token
    /// may pass for this time. With 0 every request is introspected.
    #[cfg_attr(test, schemars(transform = limits::INTROSPECTION_CACHE_SECONDS.shown(), extend("examples" = [10])))]
    pub(in crate::config) cache_seconds: Option<u64>,
}

fields!(Introspection {
    endpoint,
    client_id,
    client_secret,
    token_endpoint_auth_method,
    client_key,
    client_assertion,
    cache_seconds,
});

/// The kind of an issuer's tokens.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum TokenKind {
    /// Access tokens (RFC 9068): tokens that could be ID tokens are refused.
    AccessToken,
    /// Any JWT that it signs for these audiences, unless its `typ` names another kind of token.
    Jwt,
    /// Service-account tokens of Kubernetes.
    KubernetesServiceAccount,
}

impl Shape for TokenKind {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["access_token", "jwt", "kubernetes_service_account"]) {
            "jwt" => Self::Jwt,
            "kubernetes_service_account" => Self::KubernetesServiceAccount,
            _ => Self::AccessToken,
        }
    }
}
