//! Providers, and the issuers of tokens that programs bring.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Allow, Entries, Secret,
};

/// An OpenID provider, or GitHub, and who we are there. What is not given here is discovered.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("if" = serde_json::json!({"properties": {"type": {"const": "github"}}, "required": ["type"]})),
    extend("else" = serde_json::json!({"required": ["issuer"]}))
))]
pub(in crate::config) struct Provider {
    /// By what rules name it, and links to `/oauth2/start?provider=`: letters, digits, `-`, `_` and `.`. A provider with a
    /// name has a redirect URI of its own to register: `/oauth2/callback/NAME` below the external URL. One may be without a
    /// name: rules name it `default`, and its redirect URI is `/oauth2/callback`.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_NAME)))]
    pub(in crate::config) name: Option<String>,
    /// What people read where they choose a provider. By default its name, or its host.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME)))]
    pub(in crate::config) title: Option<String>,
    /// What it speaks.
    #[cfg_attr(test, schemars(extend("default" = "oidc")))]
    pub(in crate::config) r#type: Option<ProviderType>,
    /// The issuer identifier, exactly as the provider's metadata has it. An `https` URL; `http` only for `localhost`,
    /// `*.localhost` and loopback addresses. Required, but not for `type: github`.
    pub(in crate::config) issuer: Option<String>,
    /// Where the pages of a GitHub Enterprise Server are, such as `https://github.example.com`. For `type: github`.
    #[cfg_attr(test, schemars(extend("default" = limits::GITHUB_URL)))]
    pub(in crate::config) github_url: Option<String>,
    /// Where its API is. By default `/api/v3` below `github_url`, or `https://api.github.com` without one.
    pub(in crate::config) github_api_url: Option<String>,
    /// The client ID that the provider gave us: printable ASCII.
    #[cfg_attr(test, schemars(required))]
    pub(in crate::config) client_id: Option<String>,
    /// The client secret that the provider gave us; none for a public client.
    pub(in crate::config) client_secret: Option<Secret>,
    /// How the client secret is sent. By default `none` without a secret; with one, `client_secret_basic`, unless the
    /// provider only offers `client_secret_post`.
    pub(in crate::config) token_endpoint_auth_method: Option<AuthMethod>,
    /// The scopes to ask for; `openid` is always added. Those of GitHub follow from the claims that are used.
    #[cfg_attr(test, schemars(extend("default" = limits::SCOPES)))]
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request, such as `prompt` or `hd`.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, String>>"))]
    pub(in crate::config) authorization_params: Option<Entries>,
    /// The URL of the authorization endpoint, instead of the discovered one.
    pub(in crate::config) authorization_endpoint: Option<String>,
    /// The URL of the token endpoint, instead of the discovered one.
    pub(in crate::config) token_endpoint: Option<String>,
    /// The URL of the provider's keys, instead of the discovered one.
    pub(in crate::config) jwks_uri: Option<String>,
    /// The URL of the provider's sign-out, instead of the discovered one. For `sign_out.at_provider`.
    pub(in crate::config) end_session_endpoint: Option<String>,
    /// The URL where refresh tokens are revoked, instead of the discovered one. For `sign_out.revoke`.
    pub(in crate::config) revocation_endpoint: Option<String>,
    /// Whether the userinfo endpoint is asked for claims that the ID token does not have, at each sign-in and renewal. The
    /// answer must be plain JSON, about the same `sub`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) userinfo: Option<bool>,
    /// The URL of the userinfo endpoint, instead of the discovered one. For `userinfo`.
    pub(in crate::config) userinfo_endpoint: Option<String>,
    /// The signature algorithms that an ID token, or a logout token, may use. By default every asymmetric one that is known.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("items" = limits::one_of(&limits::algorithm_names())),
        extend("default" = limits::algorithm_names())
    ))]
    pub(in crate::config) id_token_signing_algs: Option<Vec<String>>,
    /// Audiences that an ID token may name beside our client ID. By default none.
    pub(in crate::config) trusted_audiences: Option<Vec<String>>,
    /// For whom access tokens of this provider may be (`aud`) that programs bring: JWTs (RFC 9068) signed by its keys. By
    /// default none are taken. The client ID cannot be among them: an ID token would then pass for an access token.
    pub(in crate::config) access_token_audiences: Option<Vec<String>>,
    /// Who may pass of those who have signed in at this provider, or bring a token of its, whatever a rule says beside. By
    /// default all of them.
    pub(in crate::config) allow: Option<Allow>,
    /// How many milliseconds a call to the provider may take.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown()))]
    pub(in crate::config) timeout_ms: Option<u64>,
}

fields!(Provider {
    name,
    title,
    r#type,
    issuer,
    github_url,
    github_api_url,
    client_id,
    client_secret,
    token_endpoint_auth_method,
    scopes,
    authorization_params,
    authorization_endpoint,
    token_endpoint,
    jwks_uri,
    end_session_endpoint,
    revocation_endpoint,
    userinfo,
    userinfo_endpoint,
    id_token_signing_algs,
    trusted_audiences,
    access_token_audiences,
    allow,
    timeout_ms,
});

/// An issuer whose tokens programs may bring. Its keys are discovered, unless one of `jwks_uri`, `jwks` and `public_keys`
/// says where they are or what they are, or `introspection` has it asked instead.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct TokenIssuer {
    /// What its tokens say as `iss`, exactly. A URL where its keys are discovered.
    #[cfg_attr(test, schemars(required))]
    pub(in crate::config) issuer: Option<String>,
    /// For whom a token must be: one of these is in its `aud`. Required, but not with `introspection`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) audiences: Option<Vec<String>>,
    /// What its tokens are.
    #[cfg_attr(test, schemars(extend("default" = "access_token")))]
    pub(in crate::config) kind: Option<TokenKind>,
    /// The URL of its keys, as a JWK Set.
    pub(in crate::config) jwks_uri: Option<String>,
    /// Its keys: a JWK Set (RFC 7517, 5) as JSON text.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(in crate::config) jwks: Option<JsonText>,
    /// Its keys: public keys in PEM (`-----BEGIN PUBLIC KEY-----`). Whatever a token says as `kid`, each may have signed it.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_PUBLIC_KEYS)))]
    pub(in crate::config) public_keys: Option<Vec<String>>,
    /// It is asked about its tokens, and about every token that does not say whose it is: opaque ones. One issuer can be.
    pub(in crate::config) introspection: Option<Introspection>,
    /// The signature algorithms that its tokens may use. By default every asymmetric one that is known.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("items" = limits::one_of(&limits::algorithm_names())),
        extend("default" = limits::algorithm_names())
    ))]
    pub(in crate::config) signing_algs: Option<Vec<String>>,
    /// Who may pass of those who bring a token of its, whatever a rule says beside. By default all of them.
    pub(in crate::config) allow: Option<Allow>,
    /// How many milliseconds a call to it may take.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown()))]
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
    allow,
    timeout_ms,
});

/// JSON, as text.
pub(in crate::config) struct JsonText(pub(in crate::config) String);

/// Who is asked about tokens that cannot be read (RFC 7662), and who we are there.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Introspection {
    /// The URL of the introspection endpoint, instead of the discovered one.
    pub(in crate::config) endpoint: Option<String>,
    /// The client ID to ask with: printable ASCII.
    #[cfg_attr(test, schemars(required))]
    pub(in crate::config) client_id: Option<String>,
    /// Its client secret.
    #[cfg_attr(test, schemars(required))]
    pub(in crate::config) client_secret: Option<Secret>,
    /// How the client secret is sent. By default `client_secret_basic`.
    pub(in crate::config) token_endpoint_auth_method: Option<AuthMethod>,
    /// How many seconds an answer counts, good or bad, if the token does not end before: for so long a token passes that was
    /// revoked. With 0 every request asks.
    #[cfg_attr(test, schemars(transform = limits::INTROSPECTION_CACHE_SECONDS.shown()))]
    pub(in crate::config) cache_seconds: Option<u64>,
}

fields!(Introspection { endpoint, client_id, client_secret, token_endpoint_auth_method, cache_seconds });

/// What an issuer's tokens are.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum TokenKind {
    /// Access tokens (RFC 9068): what could be an ID token is refused.
    AccessToken,
    /// Whatever it signs for these audiences, unless it says that it is another kind of token.
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

/// What a provider speaks.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum ProviderType {
    /// OpenID Connect.
    Oidc,
    /// GitHub's own OAuth, which has no ID tokens: who it is comes from its API.
    Github,
}

impl Shape for ProviderType {
    fn read(place: Place<'_>) -> Self {
        if place.word(&["oidc", "github"]) == "github" { Self::Github } else { Self::Oidc }
    }
}

/// How we authenticate at the token endpoint.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum AuthMethod {
    /// In the `Authorization` header.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
    /// Not at all: a public client.
    None,
}

impl Shape for AuthMethod {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["client_secret_basic", "client_secret_post", "none"]) {
            "client_secret_post" => Self::ClientSecretPost,
            "none" => Self::None,
            _ => Self::ClientSecretBasic,
        }
    }
}
