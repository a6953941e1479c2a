//! Providers that users sign in at.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Allow, AuthMethod, ClientAssertion, ClientKey, Entries, Registration, Scalar, Secret,
};

/// An OpenID provider, GitHub, or a server that supports OAuth 2.0 only, and the client registration there. Missing
/// settings of an OpenID provider are discovered.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("if" = serde_json::json!({"anyOf": [
        {"properties": {"type": {"enum": ["github", "oauth2"]}}, "required": ["type"]},
        {"required": ["preset"]},
    ]})),
    extend("else" = serde_json::json!({"required": ["issuer"]}))
))]
pub(in crate::config) struct Provider {
    /// The provider's name in rules and in `/oauth2/start?provider=`: letters, digits, `-`, `_` and `.`. A provider
    /// with a name has its own redirect URI to register: `/oauth2/callback/NAME` below the external URL. One provider
    /// may have no name: rules call it `default`, and its redirect URI is `/oauth2/callback`.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_NAME), extend("examples" = ["partners"])))]
    pub(in crate::config) name: Option<String>,
    /// The label on the page where users choose a provider. By default the provider's name, or its host.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME), extend("examples" = ["Partners"])))]
    pub(in crate::config) title: Option<String>,
    /// The image beside the title on that page: an SVG as text, with its `xmlns`, or a `data:` URL in base64 of
    /// `image/svg+xml`, `image/png`, `image/webp`, `image/gif` or `image/jpeg`. By default there is none.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_LOGO),
        extend("examples" = ["data:image/png;base64,iVBORw0KGgo="])
    ))]
    pub(in crate::config) logo: Option<String>,
    /// A CSS class of the provider's link on that page, for tools that rewrite or test the page: the page's own style does
    /// not use it.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_NAME), regex(pattern = "^[a-zA-Z][a-zA-Z0-9_-]*$"),
        extend("examples" = ["partners"])
    ))]
    pub(in crate::config) css_class: Option<String>,
    /// The domains of email addresses whose users sign in here, each at one provider only: `example.com`, not its
    /// subdomains. The page then has a field for the address, which selects the provider by its domain; so does
    /// `/oauth2/start?login_hint=`. This setting admits no user: use `allow`.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_ENTRIES), extend("examples" = [["example.com"]])))]
    pub(in crate::config) email_domains: Option<Vec<String>>,
    /// The name of a known provider. Each missing setting, and each missing entry of a map, comes from the preset.
    #[cfg_attr(test, schemars(extend("enum" = super::super::preset::NAMES), extend("examples" = ["google"])))]
    pub(in crate::config) preset: Option<String>,
    /// The values that the preset requires, such as `tenant` or `domain`.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, String>>",
        extend("examples" = [{"tenant": "00000000-0000-0000-0000-000000000000"}])
    ))]
    pub(in crate::config) with: Option<Entries>,
    /// The protocol of the provider.
    #[cfg_attr(test, schemars(extend("default" = "oidc")))]
    pub(in crate::config) r#type: Option<ProviderType>,
    /// The issuer identifier, exactly as in the provider's metadata. An `https` URL; `http` only for `localhost`,
    /// `*.localhost` and loopback addresses. Required for `type: oidc`. For `type: oauth2` the `iss` of authorization
    /// responses (RFC 9207), if the server sends one; by default the URL of the authorization endpoint.
    #[cfg_attr(test, schemars(extend("examples" = ["https://accounts.google.com"])))]
    pub(in crate::config) issuer: Option<String>,
    /// The URL of a GitHub Enterprise Server, such as `https://github.example.com`. For `type: github`.
    #[cfg_attr(test, schemars(
        extend("default" = limits::GITHUB_URL),
        extend("examples" = ["https://github.example.com"])
    ))]
    pub(in crate::config) github_url: Option<String>,
    /// The URL of the GitHub API. By default `/api/v3` below `github_url`, or `https://api.github.com` without one.
    #[cfg_attr(test, schemars(extend("examples" = ["https://github.example.com/api/v3"])))]
    pub(in crate::config) github_api_url: Option<String>,
    /// The client ID registered at the provider: printable ASCII.
    #[cfg_attr(test, schemars(required, extend("examples" = ["my-client"])))]
    pub(in crate::config) client_id: Option<String>,
    /// The client secret registered at the provider; absent for a public client.
    #[cfg_attr(test, schemars(extend("examples" = [{"env": "OIDC_CLIENT_SECRET"}])))]
    pub(in crate::config) client_secret: Option<Secret>,
    /// How the client authenticates. By default `private_key_jwt` with a `client_key`, and `none` without a secret; with
    /// one, `client_secret_basic`, unless the provider offers only `client_secret_post`. If the provider refuses that, the
    /// filter tries the other method once, and keeps it if it works.
    pub(in crate::config) token_endpoint_auth_method: Option<AuthMethod>,
    /// The client's private key; its public half is registered at the provider. For `private_key_jwt` and
    /// `signed_authorization_requests`.
    pub(in crate::config) client_key: Option<ClientKey>,
    /// The content of the assertions of `private_key_jwt` and `client_secret_jwt` (RFC 7523), if the provider requires
    /// other than the usual content.
    pub(in crate::config) client_assertion: Option<ClientAssertion>,
    /// A private key to which the provider binds its tokens (DPoP, RFC 9449): PKCS #8 in PEM or a JWK, as in
    /// `client_key.private_key`, with the public half. Each call with an access token, and each token request, then has a
    /// proof signed with this key, and a token that is not bound to the key is refused. By default tokens are bearer
    /// tokens.
    #[cfg_attr(test, schemars(extend("examples" = [{"env": "OIDC_DPOP_KEY"}])))]
    pub(in crate::config) dpop_key: Option<Secret>,
    /// The requested scopes. For `type: oidc`, `openid` is always added; for `type: oauth2` there are none by default. For
    /// GitHub, they follow from the claims in use.
    #[cfg_attr(test, schemars(
        extend("default" = limits::SCOPES),
        extend("examples" = [["openid", "email", "profile", "offline_access"]])
    ))]
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// Additional parameters of the authorization request, such as `prompt` or `hd`.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, String>>",
        extend("examples" = [{"prompt": "consent", "access_type": "offline"}])
    ))]
    pub(in crate::config) authorization_params: Option<Entries>,
    /// How the provider returns the authorization response: in the query of a redirect, or as a form that the browser
    /// posts, so that no URL has the authorization code. `form_post` requires `allow_on_headers_stop_iteration`.
    #[cfg_attr(test, schemars(extend("default" = "query")))]
    pub(in crate::config) response_mode: Option<ResponseMode>,
    /// Whether the filter pushes the authorization request to the provider (RFC 9126) before the browser goes there. By
    /// default if the provider accepts no other requests, and with `pushed_authorization_request_endpoint`.
    pub(in crate::config) pushed_authorization_requests: Option<bool>,
    /// The URL of the pushed authorization request endpoint, instead of the discovered one.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/par"])))]
    pub(in crate::config) pushed_authorization_request_endpoint: Option<String>,
    /// Whether the authorization request is signed with `client_key` (RFC 9101). By default with a `client_key` if the
    /// provider accepts no other requests.
    pub(in crate::config) signed_authorization_requests: Option<bool>,
    /// The URL of the provider's metadata, if it is not `/.well-known/openid-configuration` below the issuer. The `issuer`
    /// may then contain `{tenantid}`, if that of the metadata does: tokens of every tenant are accepted, and their `tid`
    /// must be in their `iss`. For `type: oidc`.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/metadata.json"])))]
    pub(in crate::config) metadata_url: Option<String>,
    /// Whether the provider's metadata are fetched (`/.well-known/openid-configuration` below the issuer). With false,
    /// configure all endpoints here. If the configured endpoints are enough for a sign-in, no request waits for metadata in
    /// either case. For `type: oidc`.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) discovery: Option<bool>,
    /// The URL of the authorization endpoint, instead of the discovered one.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/authorize"])))]
    pub(in crate::config) authorization_endpoint: Option<String>,
    /// The URL of the token endpoint, instead of the discovered one.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/token"])))]
    pub(in crate::config) token_endpoint: Option<String>,
    /// The URL of the provider's JWK Set, instead of the discovered one.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/keys"])))]
    pub(in crate::config) jwks_uri: Option<String>,
    /// The URL of the end-session endpoint, instead of the discovered one. For `sign_out.at_provider`.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/logout"])))]
    pub(in crate::config) end_session_endpoint: Option<String>,
    /// The URL of the revocation endpoint, instead of the discovered one. For `sign_out.revoke`.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/revoke"])))]
    pub(in crate::config) revocation_endpoint: Option<String>,
    /// Whether the filter requests claims that the ID token lacks from the userinfo endpoint, at each sign-in and renewal.
    /// The response must have the same `sub`: JSON, or a JWT that the provider has signed for this client.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) userinfo: Option<bool>,
    /// The URL of the userinfo endpoint, instead of the discovered one. For `userinfo`, and for `type: oauth2`, where the
    /// response is the user's identity.
    #[cfg_attr(test, schemars(extend("examples" = ["https://login.example.com/userinfo"])))]
    pub(in crate::config) userinfo_endpoint: Option<String>,
    /// The places of claims in the userinfo response: the name of a member, or a JSON Pointer (RFC 6901) such as
    /// `/picture/data/url`. `sub` must be text or a whole number that the server never gives to another user. The other
    /// members of the response are claims under their own names. For `type: oauth2`.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, String>>",
        extend("examples" = [{"sub": "id", "email": "/contact/email"}])
    ))]
    pub(in crate::config) claims: Option<Entries>,
    /// Endpoints with additional claims, which the filter calls after the userinfo endpoint with the same access token. For
    /// `type: oauth2`.
    #[cfg_attr(test, schemars(length(max = limits::MAX_FURTHER_USERINFO)))]
    pub(in crate::config) further_userinfo: Option<Vec<FurtherUserinfo>>,
    /// How the access token is sent to the userinfo endpoints. For `type: oauth2`.
    #[cfg_attr(test, schemars(extend("default" = "header")))]
    pub(in crate::config) userinfo_token: Option<TokenPlace>,
    /// Claims whose value is an object, which the filter replaces by the list of its keys: `{"admin": {...}, "editor":
    /// {...}}` by `["admin", "editor"]`, without keys that have an empty value (`null`, `false`, `0`, `""`, `"false"`,
    /// `[]`, `{}`). Each is the name of a claim, or a JSON Pointer (RFC 6901) such as `/my_app/roles`. For claims of the ID
    /// token, of the userinfo endpoint and of access tokens. No other setting may point into such an object. By default
    /// none; `[]` removes those of a preset.
    #[cfg_attr(test, schemars(length(max = limits::MAX_ENTRIES), extend("examples" = [["/my_app/roles"]])))]
    pub(in crate::config) object_keys: Option<Vec<String>>,
    /// Whether the server verifies each email address before it shows it. `email_verified` is then true if the response has
    /// none. For `type: oauth2`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) email_is_verified: Option<bool>,
    /// Whether the provider ever sends `email_verified: true`. With false, a warning at start names conditions on
    /// addresses, because none of its users can pass them. Presets of such providers set it to false.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) says_email_verified: Option<bool>,
    /// The accepted signature algorithms of ID tokens and logout tokens. By default every supported asymmetric
    /// algorithm.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("items" = limits::one_of(&limits::algorithm_names())),
        extend("default" = limits::algorithm_names()),
        extend("examples" = [["RS256"]])
    ))]
    pub(in crate::config) id_token_signing_algs: Option<Vec<String>>,
    /// Audiences that an ID token may contain in addition to the client ID. By default none.
    #[cfg_attr(test, schemars(extend("examples" = [["https://api.example.com"]])))]
    pub(in crate::config) trusted_audiences: Option<Vec<String>>,
    /// Accepted audiences (`aud`) of access tokens of this provider that API clients send: JWTs (RFC 9068) signed with
    /// its keys. By default none are accepted. The client ID must not be listed: an ID token would then pass as an
    /// access token.
    #[cfg_attr(test, schemars(extend("examples" = [["https://api.example.com"]])))]
    pub(in crate::config) access_token_audiences: Option<Vec<String>>,
    /// Conditions on users who signed in at this provider, and on its tokens, in addition to those of a rule. By
    /// default all are allowed.
    pub(in crate::config) allow: Option<Allow>,
    /// Accepts security event tokens (RFC 8417) that the provider pushes to `/oauth2/events` (RFC 8935): if a session, an
    /// account or a credential is revoked, the sessions of the user end. Use `{}` if the provider signs them with the keys,
    /// and the issuer, of its ID tokens. Requires `allow_on_headers_stop_iteration`. By default none are accepted.
    pub(in crate::config) security_events: Option<SecurityEvents>,
    /// Whether the top-level `provisioning` applies to users of this provider.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) provisioning: Option<bool>,
    /// Whether the app may create users of this provider, in place of `provisioning.registration`.
    pub(in crate::config) registration: Option<Registration>,
    /// The timeout of a request to the provider, in milliseconds.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown(), extend("examples" = [2000])))]
    pub(in crate::config) timeout_ms: Option<u64>,
}

fields!(Provider {
    name,
    title,
    logo,
    css_class,
    email_domains,
    preset,
    with,
    r#type,
    issuer,
    github_url,
    github_api_url,
    client_id,
    client_secret,
    token_endpoint_auth_method,
    client_key,
    client_assertion,
    dpop_key,
    scopes,
    authorization_params,
    response_mode,
    pushed_authorization_requests,
    pushed_authorization_request_endpoint,
    signed_authorization_requests,
    metadata_url,
    discovery,
    authorization_endpoint,
    token_endpoint,
    jwks_uri,
    end_session_endpoint,
    revocation_endpoint,
    userinfo,
    userinfo_endpoint,
    claims,
    further_userinfo,
    userinfo_token,
    object_keys,
    email_is_verified,
    says_email_verified,
    id_token_signing_algs,
    trusted_audiences,
    access_token_audiences,
    allow,
    security_events,
    provisioning,
    registration,
    timeout_ms,
});

/// The transmitter of a provider's security events.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct SecurityEvents {
    /// The exact `iss` of its tokens. By default the issuer of the provider.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_TEXT),
        extend("examples" = ["https://events.example.com"])
    ))]
    pub(in crate::config) issuer: Option<String>,
    /// The `aud` of its tokens, or one of its values. By default the client ID.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_TEXT),
        extend("examples" = ["https://app.example.com/oauth2/events"])
    ))]
    pub(in crate::config) audience: Option<String>,
    /// The URL of the transmitter's JWK Set. By default the provider's; required if the provider has none.
    #[cfg_attr(test, schemars(extend("examples" = ["https://events.example.com/keys"])))]
    pub(in crate::config) jwks_uri: Option<String>,
}

fields!(SecurityEvents { issuer, audience, jwks_uri });

/// How the provider returns the authorization response.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum ResponseMode {
    /// In the query of a redirect (OAuth 2.0 Multiple Response Types 2.1).
    Query,
    /// As a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

impl Shape for ResponseMode {
    fn read(place: Place<'_>) -> Self {
        if place.word(&["query", "form_post"]) == "form_post" { Self::FormPost } else { Self::Query }
    }
}

/// An endpoint with additional claims.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct FurtherUserinfo {
    /// The URL of the endpoint. The filter calls it with the access token of the sign-in.
    #[cfg_attr(test, schemars(required, extend("examples" = ["https://api.example.com/emails"])))]
    pub(in crate::config) endpoint: Option<String>,
    /// If the response is a list, the filter reads the first element with these members, such as `primary: true`.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, super::Scalar>>",
        extend("examples" = [{"primary": true}])
    ))]
    pub(in crate::config) select: Option<Entries<Scalar>>,
    /// The claims to read, with the place of each: the name of a member, or a JSON Pointer.
    #[cfg_attr(test, schemars(
        required, with = "Option<std::collections::BTreeMap<String, String>>",
        extend("examples" = [{"email": "email", "email_verified": "verified"}])
    ))]
    pub(in crate::config) claims: Option<Entries>,
}

fields!(FurtherUserinfo { endpoint, select, claims });

/// How an access token is sent.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum TokenPlace {
    /// In the header `Authorization` (RFC 6750, 2.1).
    Header,
    /// In the parameter `access_token` (RFC 6750, 2.3), for servers that accept it only there: URLs are logged.
    Query,
}

impl Shape for TokenPlace {
    fn read(place: Place<'_>) -> Self {
        if place.word(&["header", "query"]) == "query" { Self::Query } else { Self::Header }
    }
}

/// The protocol of a provider.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum ProviderType {
    /// OpenID Connect.
    Oidc,
    /// GitHub's own OAuth, without ID tokens: the identity comes from its API.
    Github,
    /// OAuth 2.0 only (RFC 6749), without discovery and ID tokens: the identity comes from the userinfo endpoint.
    Oauth2,
}

impl Shape for ProviderType {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["oidc", "github", "oauth2"]) {
            "github" => Self::Github,
            "oauth2" => Self::Oauth2,
            _ => Self::Oidc,
        }
    }
}
