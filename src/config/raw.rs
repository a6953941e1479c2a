//! The document as it is written: names and JSON types. The text on each field is the reference that the JSON Schema
//! (`envoy/config.schema.json`) shows to users. What the values mean is decided in [`resolve`](super::resolve).

use zeroize::Zeroizing;

#[cfg(test)]
use super::resolve::limits;
use super::shape::{Members, Place, Shape, fields};

/// Vestibule's configuration: sign-in with OpenID Connect for an app behind Envoy.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Document {
    /// The origin under which browsers reach the app, such as `https://app.example.com`: scheme, host, and port if it
    /// is not the scheme's own. `http` only for `localhost`, `*.localhost` and loopback addresses.
    #[cfg_attr(test, schemars(required))]
    pub(super) external_url: Option<String>,
    /// The Envoy cluster that reaches the provider. One dynamic forward proxy cluster reaches them all.
    #[cfg_attr(test, schemars(required, length(min = 1)))]
    pub(super) cluster: Option<String>,
    /// Hosts of providers that another cluster reaches: `host`, or `host:port` where the port is not the scheme's own,
    /// to the name of the cluster.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, String>>"))]
    pub(super) clusters: Option<Entries>,
    /// The OpenID providers, or GitHub, that people sign in at. Where there are several, people choose one of them on a page,
    /// unless a rule's `providers` leaves one only. Two of them may call two people by the same `sub`: tell the app `iss` as
    /// well, in `identity_headers`.
    #[cfg_attr(test, schemars(required, length(min = 1, max = limits::MAX_PROVIDERS)))]
    pub(super) providers: Option<Vec<Provider>>,
    /// How sessions are kept.
    #[cfg_attr(test, schemars(required))]
    pub(super) session: Option<Session>,
    /// Who gets what: the first rule that matches a request decides. What no rule matches needs a session.
    pub(super) rules: Option<Vec<Rule>>,
    /// What rules and routes can name: who may pass, by names of letters, digits, `-`, `_` and `.`.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, Policy>>"))]
    pub(super) policies: Option<Policies>,
    /// Whether the metadata of a route (`filter_metadata`, key `vestibule`: `{policy: NAME}`) says which policy counts there,
    /// in place of every rule that is not `locked`. Costs each request two host calls, and none may send identity headers.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) route_metadata: Option<bool>,
    /// Issuers whose tokens (JWTs) programs may bring, beside the providers with `access_token_audiences`.
    #[cfg_attr(test, schemars(length(max = limits::MAX_TOKEN_ISSUERS)))]
    pub(super) token_issuers: Option<Vec<TokenIssuer>>,
    /// The name of a cookie in which a token may be too, where a request has no `Authorization: Bearer` and no session.
    /// Browsers send cookies on behalf of other sites: whatever sets this one should set `SameSite`.
    pub(super) token_cookie: Option<String>,
    /// Tokens of programs, each known by its SHA-256 digest. A program sends its token as `Authorization: Bearer`.
    pub(super) static_tokens: Option<Vec<StaticToken>>,
    /// What the app is told in which header of whoever has signed in or brings a token. What clients send under these names
    /// is removed. What is given here replaces the default.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, ClaimText>>",
        extend("default" = limits::object(&limits::IDENTITY_HEADERS))
    ))]
    pub(super) identity_headers: Option<Entries<ClaimText>>,
    /// What the app gets in `Authorization`, unless a rule says otherwise.
    #[cfg_attr(test, schemars(extend("default" = "keep")))]
    pub(super) authorization: Option<Authorization>,
    /// What Envoy's other filters and its logs are told.
    pub(super) filter_state: Option<FilterState>,
    /// What the paths of our own begin with: callback, sign-out and the others.
    #[cfg_attr(test, schemars(extend("default" = limits::PREFIX)))]
    pub(super) prefix: Option<String>,
    /// How many seconds the clocks of the provider and of this machine may disagree.
    #[cfg_attr(test, schemars(transform = limits::CLOCK_LEEWAY_SECONDS.shown()))]
    pub(super) clock_leeway_seconds: Option<u64>,
    /// Options of the sign-in.
    pub(super) sign_in: Option<SignIn>,
    /// What signing out does, and who else may end sessions.
    pub(super) sign_out: Option<SignOut>,
    /// The claims that `/oauth2/userinfo` tells scripts of the app about whoever is signed in, from the top level of the
    /// ID token or of `providers[].userinfo`; `sub` is always among them. By default those of `identity_headers`, without
    /// those that a JSON Pointer looks into.
    pub(super) userinfo_claims: Option<Vec<String>>,
    /// Says that the field of this name is `true` in Envoy's own configuration of this filter, beside `failure_policy`:
    /// Envoy then hands over bodies while a request is held. `sign_out.back_channel` and `sign_in.keep_forms` need that.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) allow_on_headers_stop_iteration: Option<bool>,
    /// What makes the sign-in weaker. Each use is logged at start.
    pub(super) danger: Option<Danger>,
}

fields!(Document {
    external_url,
    cluster,
    clusters,
    providers,
    session,
    rules,
    policies,
    route_metadata,
    token_issuers,
    token_cookie,
    static_tokens,
    identity_headers,
    authorization,
    filter_state,
    prefix,
    clock_leeway_seconds,
    sign_in,
    sign_out,
    userinfo_claims,
    allow_on_headers_stop_iteration,
    danger,
});

/// An OpenID provider, or GitHub, and who we are there. What is not given here is discovered.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("if" = serde_json::json!({"properties": {"type": {"const": "github"}}, "required": ["type"]})),
    extend("else" = serde_json::json!({"required": ["issuer"]}))
))]
pub(super) struct Provider {
    /// By what rules name it, and links to `/oauth2/start?provider=`: letters, digits, `-`, `_` and `.`. A provider with a
    /// name has a redirect URI of its own to register: `/oauth2/callback/NAME` below the external URL. One may be without a
    /// name: rules name it `default`, and its redirect URI is `/oauth2/callback`.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_NAME)))]
    pub(super) name: Option<String>,
    /// What people read where they choose a provider. By default its name, or its host.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME)))]
    pub(super) title: Option<String>,
    /// What it speaks.
    #[cfg_attr(test, schemars(extend("default" = "oidc")))]
    pub(super) r#type: Option<ProviderType>,
    /// The issuer identifier, exactly as the provider's metadata has it. An `https` URL; `http` only for `localhost`,
    /// `*.localhost` and loopback addresses. Required, but not for `type: github`.
    pub(super) issuer: Option<String>,
    /// Where the pages of a GitHub Enterprise Server are, such as `https://github.example.com`. For `type: github`.
    #[cfg_attr(test, schemars(extend("default" = limits::GITHUB_URL)))]
    pub(super) github_url: Option<String>,
    /// Where its API is. By default `/api/v3` below `github_url`, or `https://api.github.com` without one.
    pub(super) github_api_url: Option<String>,
    /// The client ID that the provider gave us: printable ASCII.
    #[cfg_attr(test, schemars(required))]
    pub(super) client_id: Option<String>,
    /// The client secret that the provider gave us; none for a public client.
    pub(super) client_secret: Option<Secret>,
    /// How the client secret is sent. By default `none` without a secret; with one, `client_secret_basic`, unless the
    /// provider only offers `client_secret_post`.
    pub(super) token_endpoint_auth_method: Option<AuthMethod>,
    /// The scopes to ask for; `openid` is always added. Those of GitHub follow from the claims that are used.
    #[cfg_attr(test, schemars(extend("default" = limits::SCOPES)))]
    pub(super) scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request, such as `prompt` or `hd`.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, String>>"))]
    pub(super) authorization_params: Option<Entries>,
    /// The URL of the authorization endpoint, instead of the discovered one.
    pub(super) authorization_endpoint: Option<String>,
    /// The URL of the token endpoint, instead of the discovered one.
    pub(super) token_endpoint: Option<String>,
    /// The URL of the provider's keys, instead of the discovered one.
    pub(super) jwks_uri: Option<String>,
    /// The URL of the provider's sign-out, instead of the discovered one. For `sign_out.at_provider`.
    pub(super) end_session_endpoint: Option<String>,
    /// The URL where refresh tokens are revoked, instead of the discovered one. For `sign_out.revoke`.
    pub(super) revocation_endpoint: Option<String>,
    /// Whether the userinfo endpoint is asked for claims that the ID token does not have, at each sign-in and renewal. The
    /// answer must be plain JSON, about the same `sub`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) userinfo: Option<bool>,
    /// The URL of the userinfo endpoint, instead of the discovered one. For `userinfo`.
    pub(super) userinfo_endpoint: Option<String>,
    /// The signature algorithms that an ID token, or a logout token, may use. By default every asymmetric one that is known.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("items" = limits::one_of(&limits::algorithm_names())),
        extend("default" = limits::algorithm_names())
    ))]
    pub(super) id_token_signing_algs: Option<Vec<String>>,
    /// Audiences that an ID token may name beside our client ID. By default none.
    pub(super) trusted_audiences: Option<Vec<String>>,
    /// For whom access tokens of this provider may be (`aud`) that programs bring: JWTs (RFC 9068) signed by its keys. By
    /// default none are taken. The client ID cannot be among them: an ID token would then pass for an access token.
    pub(super) access_token_audiences: Option<Vec<String>>,
    /// Who may pass of those who have signed in at this provider, or bring a token of its, whatever a rule says beside. By
    /// default all of them.
    pub(super) allow: Option<Allow>,
    /// How many milliseconds a call to the provider may take.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown()))]
    pub(super) timeout_ms: Option<u64>,
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
pub(super) struct TokenIssuer {
    /// What its tokens say as `iss`, exactly. A URL where its keys are discovered.
    #[cfg_attr(test, schemars(required))]
    pub(super) issuer: Option<String>,
    /// For whom a token must be: one of these is in its `aud`. Required, but not with `introspection`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) audiences: Option<Vec<String>>,
    /// What its tokens are.
    #[cfg_attr(test, schemars(extend("default" = "access_token")))]
    pub(super) kind: Option<TokenKind>,
    /// The URL of its keys, as a JWK Set.
    pub(super) jwks_uri: Option<String>,
    /// Its keys: a JWK Set (RFC 7517, 5) as JSON text.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) jwks: Option<JsonText>,
    /// Its keys: public keys in PEM (`-----BEGIN PUBLIC KEY-----`). Whatever a token says as `kid`, each may have signed it.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_PUBLIC_KEYS)))]
    pub(super) public_keys: Option<Vec<String>>,
    /// It is asked about its tokens, and about every token that does not say whose it is: opaque ones. One issuer can be.
    pub(super) introspection: Option<Introspection>,
    /// The signature algorithms that its tokens may use. By default every asymmetric one that is known.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("items" = limits::one_of(&limits::algorithm_names())),
        extend("default" = limits::algorithm_names())
    ))]
    pub(super) signing_algs: Option<Vec<String>>,
    /// Who may pass of those who bring a token of its, whatever a rule says beside. By default all of them.
    pub(super) allow: Option<Allow>,
    /// How many milliseconds a call to it may take.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown()))]
    pub(super) timeout_ms: Option<u64>,
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
pub(super) struct JsonText(pub(super) String);

/// Who is asked about tokens that cannot be read (RFC 7662), and who we are there.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Introspection {
    /// The URL of the introspection endpoint, instead of the discovered one.
    pub(super) endpoint: Option<String>,
    /// The client ID to ask with: printable ASCII.
    #[cfg_attr(test, schemars(required))]
    pub(super) client_id: Option<String>,
    /// Its client secret.
    #[cfg_attr(test, schemars(required))]
    pub(super) client_secret: Option<Secret>,
    /// How the client secret is sent. By default `client_secret_basic`.
    pub(super) token_endpoint_auth_method: Option<AuthMethod>,
    /// How many seconds an answer counts, good or bad, if the token does not end before: for so long a token passes that was
    /// revoked. With 0 every request asks.
    #[cfg_attr(test, schemars(transform = limits::INTROSPECTION_CACHE_SECONDS.shown()))]
    pub(super) cache_seconds: Option<u64>,
}

fields!(Introspection { endpoint, client_id, client_secret, token_endpoint_auth_method, cache_seconds });

/// What an issuer's tokens are.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(super) enum TokenKind {
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
pub(super) enum ProviderType {
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
pub(super) enum AuthMethod {
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

/// How sessions and pending sign-ins are kept.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Session {
    /// The keys that seal the cookies, 32 random bytes each as base64, base64url or hex (`openssl rand -base64 32`).
    /// The first seals, all open: to change the key, put a new one first and keep the old one for one lifetime.
    #[cfg_attr(test, schemars(required, length(min = 1, max = limits::MAX_KEYS)))]
    pub(super) keys: Option<Vec<Secret>>,
    /// How many seconds a session lasts at most.
    #[cfg_attr(test, schemars(transform = limits::LIFETIME_SECONDS.shown()))]
    pub(super) lifetime_seconds: Option<u64>,
    /// How many seconds a session lasts from one request to the next, so that nobody stays signed in who has left. By
    /// default only `lifetime_seconds` counts, which it may not exceed. Its end moves in steps of a tenth.
    #[cfg_attr(test, schemars(range(min = limits::IDLE_TIMEOUT_SECONDS.min, max = limits::IDLE_TIMEOUT_SECONDS.max)))]
    pub(super) idle_timeout_seconds: Option<u64>,
    /// Whether a session is renewed with the refresh token, if the provider gives one, before its access token is over:
    /// the provider can then change what is known of somebody, or end the session. Most providers give one for the
    /// scope `offline_access`.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(super) refresh: Option<bool>,
    /// Keeps sessions in Redis, behind an HTTP gateway (Webdis), and only a reference in the cookie: of any size, and ended
    /// at once in every Envoy that uses the same store and keys. Without it they live in cookies.
    pub(super) store: Option<Store>,
    /// How many seconds a sign-in may take, from the first page to the way back.
    #[cfg_attr(test, schemars(transform = limits::SIGN_IN_TIMEOUT_SECONDS.shown()))]
    pub(super) sign_in_timeout_seconds: Option<u64>,
    /// What the names of our cookies begin with, after `__Host-`.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_COOKIE_NAME),
        extend("default" = limits::COOKIE_NAME)
    ))]
    pub(super) cookie_name: Option<String>,
}

fields!(Session { keys, lifetime_seconds, idle_timeout_seconds, refresh, store, sign_in_timeout_seconds, cookie_name });

/// Options of the sign-in.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct SignIn {
    /// Whether the part of a URL behind `#`, which browsers do not send, survives the sign-in: a page with a script of a
    /// few lines takes the place of the redirect.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) keep_fragment: Option<bool>,
    /// Whether a form that somebody posts on this site without a session is kept by their browser over the sign-in,
    /// and sent again once they confirm. Needs `allow_on_headers_stop_iteration`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) keep_forms: Option<bool>,
}

fields!(SignIn { keep_fragment, keep_forms });

/// What signing out does, and who else may end sessions.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct SignOut {
    /// Whether signing out here also signs out at the provider, where it has an `end_session_endpoint`. Register
    /// `/oauth2/signed_out` below the external URL as post-logout redirect URI.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(super) at_provider: Option<bool>,
    /// Where `/oauth2/sign_out?rd=` may lead beside this site: whole URLs, or beginnings of URLs that end in `/`.
    pub(super) return_to: Option<Vec<String>>,
    /// Whether the refresh token is revoked (RFC 7009), where the provider has a `revocation_endpoint`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) revoke: Option<bool>,
    /// Whether the provider may end sessions by posting a logout token to `/oauth2/backchannel_logout` (OpenID Connect
    /// Back-Channel Logout). Needs `allow_on_headers_stop_iteration`. Without `session.store` it counts in the Envoy that
    /// got the token.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) back_channel: Option<bool>,
    /// Whether the provider may end sessions by loading `/oauth2/frontchannel_logout` with `iss` and `sid` in a frame
    /// (OpenID Connect Front-Channel Logout). Without `session.store` it counts in the Envoy that got the request.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) front_channel: Option<bool>,
}

fields!(SignOut { at_provider, return_to, revoke, back_channel, front_channel });

/// A store of sessions: Redis behind Webdis.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Store {
    /// The Envoy cluster that reaches Webdis.
    #[cfg_attr(test, schemars(required, length(min = 1)))]
    pub(super) cluster: Option<String>,
    /// The `Host` that Webdis is asked under: `host`, or `host:port`.
    #[cfg_attr(test, schemars(extend("default" = limits::STORE_AUTHORITY)))]
    pub(super) authority: Option<String>,
    /// The whole value of the `Authorization` header, where Webdis wants one, such as `Basic dXNlcjpwYXNz`.
    pub(super) authorization: Option<Secret>,
    /// What the keys in Redis begin with: letters, digits, `-`, `_` and `:`. Apps that share a Redis need one each, or what
    /// ends sessions of one ends those of the others.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_STORE_PREFIX),
        extend("default" = limits::STORE_PREFIX)
    ))]
    pub(super) key_prefix: Option<String>,
    /// How many milliseconds a call to Webdis may take.
    #[cfg_attr(test, schemars(transform = limits::STORE_TIMEOUT_MS.shown()))]
    pub(super) timeout_ms: Option<u64>,
    /// How many seconds a worker may go on with a session that it has read. With 0 every request asks, and whatever ends
    /// a session ends it at once.
    #[cfg_attr(test, schemars(transform = limits::STORE_CACHE_SECONDS.shown()))]
    pub(super) cache_seconds: Option<u64>,
}

fields!(Store { cluster, authority, authorization, key_prefix, timeout_ms, cache_seconds });

/// One rule. It matches a request that fits all the conditions it has.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("anyOf" = [{"required": ["access"]}, {"required": ["policy"]}])
))]
pub(super) struct Rule {
    /// A name for people.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME)))]
    pub(super) name: Option<String>,
    /// One path, or many by wildcards: `*` within a segment, `**` across segments; at the end both stand for everything
    /// below. At most one of `path`, `prefix` and `regex`.
    pub(super) path: Option<String>,
    /// A path and everything below it, by whole segments: `/api` is not the prefix of `/apis`.
    pub(super) prefix: Option<String>,
    /// A regular expression for the whole path.
    pub(super) regex: Option<String>,
    /// HTTP methods, in capitals. By default every method.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) methods: Option<Vec<String>>,
    /// Host names, or `*.` and a domain. By default every host.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) hosts: Option<Vec<String>>,
    /// Headers by name, each with its whole value, or `*` for any. A client can send whatever it wants.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, String>>"))]
    pub(super) headers: Option<Entries>,
    /// Whether it holds whatever policy a route names: a request there must satisfy both. For `route_metadata`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) locked: Option<bool>,
    /// The policy that says the rest, by its name.
    pub(super) policy: Option<String>,
    /// What it says itself, if it names no policy.
    #[cfg_attr(test, schemars(flatten))]
    pub(super) says: Option<Policy>,
}

/// What a rule or a policy says.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Policy {
    /// Who may pass. It must be there, unless a rule names a policy.
    pub(super) access: Option<Access>,
    /// How a request is answered that needs a session and has none.
    #[cfg_attr(test, schemars(extend("default" = "auto")))]
    pub(super) unauthenticated: Option<Unauthenticated>,
    /// Who may pass of those who have signed in or bring a token. By default all of them.
    pub(super) allow: Option<Allow>,
    /// The scopes that a token must have, all of them (`scope` or `scp`). A session needs none.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) scopes: Option<Vec<String>>,
    /// Names of providers: only who has signed in at one of them may pass, or brings a token of its. By default it does
    /// not matter whose.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) providers: Option<Vec<String>>,
    /// What the app gets in `Authorization`. By default what `authorization` at the top says.
    pub(super) authorization: Option<Authorization>,
}

fields!(Policy { access, unauthenticated, allow, scopes, providers, authorization } as says in
    Rule { name, path, prefix, regex, methods, hosts, headers, locked, policy });

/// What the app gets in `Authorization`.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(super) enum Authorization {
    /// What the client sent, if it may pass with that.
    Keep,
    /// Nothing.
    Strip,
    /// `Bearer` and the access token of the session, or the one that a program brought; nothing where there is none that is
    /// good.
    AccessToken,
    /// `Bearer` and the ID token of the session; nothing where there is none that is good.
    IdToken,
}

impl Shape for Authorization {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["keep", "strip", "access_token", "id_token"]) {
            "strip" => Self::Strip,
            "access_token" => Self::AccessToken,
            "id_token" => Self::IdToken,
            _ => Self::Keep,
        }
    }
}

/// What Envoy's other filters and its logs are told of a request that passes: RBAC, rate limits, access logs.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct FilterState {
    /// What stands under which key: `tenant` is read as `%FILTER_STATE(wasm.tenant:PLAIN)%`. Letters, digits, `-`, `_` and
    /// `.`; `vestibule_` begins our own.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, ClaimText>>",
        extend("maxProperties" = limits::MAX_FILTER_STATE)
    ))]
    pub(super) claims: Option<Entries<ClaimText>>,
    /// Whether `wasm.vestibule_rule` is the name of the rule that decides, where it is one rule and has a name.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) rule: Option<bool>,
}

fields!(FilterState { claims, rule });

/// A text made of claims. Where one of them is missing there is none.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub(super) enum ClaimText {
    /// The name of a claim, or a JSON Pointer such as `/realm_access/roles`.
    Claim(String),
    /// More than that.
    Made(MadeText),
}

/// A claim, or claims within a text, and how it is written.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct MadeText {
    /// The name of a claim, or a JSON Pointer such as `/realm_access/roles`. Either this or `template`.
    pub(super) claim: Option<String>,
    /// A text in ASCII with claims in it, such as `{email}` or `{/realm_access/roles}`; `{{` is a brace.
    pub(super) template: Option<String>,
    /// The character that joins the items of lists. An item that has it is left out.
    #[cfg_attr(test, schemars(length(min = 1, max = 1), extend("default" = limits::SEPARATOR)))]
    pub(super) separator: Option<String>,
    /// How it is written.
    #[cfg_attr(test, schemars(extend("default" = "utf8")))]
    pub(super) encoding: Option<Encoding>,
}

fields!(MadeText { claim, template, separator, encoding });

/// How a text is written.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "lowercase"))]
pub(super) enum Encoding {
    /// As it is, in UTF-8.
    Utf8,
    /// Each claim, and each item of a list, with `%XX` for all but letters, digits, `-`, `.`, `_` and `~`.
    Percent,
    /// The whole text as base64url.
    Base64Url,
}

impl Shape for Encoding {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["utf8", "percent", "base64url"]) {
            "percent" => Self::Percent,
            "base64url" => Self::Base64Url,
            _ => Self::Utf8,
        }
    }
}

/// Who may pass.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(super) enum Access {
    /// Anybody, without a session.
    Public,
    /// Whoever has signed in.
    Required,
    /// Anybody; the app is told who it is where somebody has signed in.
    Optional,
    /// Programs that bring a token; a session is not enough.
    Bearer,
    /// Nobody.
    Deny,
}

impl Shape for Access {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["public", "required", "optional", "bearer", "deny"]) {
            "public" => Self::Public,
            "required" => Self::Required,
            "optional" => Self::Optional,
            "bearer" => Self::Bearer,
            _ => Self::Deny,
        }
    }
}

/// How a request is answered that needs a session and has none.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(super) enum Unauthenticated {
    /// A page that a browser opens is sent to sign in; scripts, forms and everything else get 401.
    Auto,
    /// Every GET is sent to sign in, but no upgrade and no prefetch.
    Redirect,
    /// Nobody is sent to sign in: 401.
    #[cfg_attr(test, schemars(rename = "401", transform = text_or_number))]
    Unauthorized,
}

/// YAML reads 401 as a number.
#[cfg(test)]
fn text_or_number(schema: &mut schemars::Schema) {
    schema.remove("type");
    schema.remove("const");
    schema.insert("enum".into(), serde_json::json!(["401", 401]));
}

impl Shape for Unauthenticated {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["auto", "redirect", "401"]) {
            "auto" => Self::Auto,
            "redirect" => Self::Redirect,
            _ => Self::Unauthorized,
        }
    }
}

/// Conditions on whoever has signed in. All that are given must hold; of a list, one element is enough.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Allow {
    /// Email addresses, in any case of letters. Like the next two, only an address counts whose `email_verified` is true.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) emails: Option<Vec<String>>,
    /// Regular expressions for whole email addresses.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) email_matches: Option<Vec<String>>,
    /// Domains of email addresses, such as `example.com`, which is not its subdomains.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) allowed_domains: Option<Vec<String>>,
    /// Values of the claim `groups`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) groups: Option<Vec<String>>,
    /// Values of the claim `roles`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) roles: Option<Vec<String>>,
    /// Values of other claims: a claim's name, or a JSON Pointer such as `/realm_access/roles`, to a list of strings,
    /// numbers and booleans. The claim must be one of them, or a list with one of them.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, Vec<Scalar>>>"))]
    pub(super) claims: Option<Lists>,
    /// Further conditions, of which all must hold.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) all: Option<Vec<Allow>>,
    /// Further conditions, of which one must hold.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) any: Option<Vec<Allow>>,
    /// Conditions that must not all hold.
    pub(super) not: Option<Box<Allow>>,
}

fields!(Allow { emails, email_matches, allowed_domains, groups, roles, claims, all, any, not });

/// What makes the sign-in weaker.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Danger {
    /// Take plain `http` URLs of providers on any host: whoever is on the way can then read secrets and sign in as
    /// anybody.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) plain_http_providers: Option<bool>,
}

fields!(Danger { plain_http_providers });

/// A secret: the text itself, or the environment variable that holds it. Envoy passes on only the variables that are
/// listed under `vm_config.environment_variables`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged, deny_unknown_fields))]
pub(super) enum Secret {
    /// The environment variable that holds it.
    Environment {
        /// The variable's name.
        env: String,
    },
    /// The secret itself. Whoever sees the configuration sees it.
    Inline(#[cfg_attr(test, schemars(with = "String"))] Zeroizing<String>),
}

/// A token of a program.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct StaticToken {
    /// Who brings it: the claim `sub`.
    #[cfg_attr(test, schemars(required, length(min = 1, max = limits::MAX_RULE_NAME)))]
    pub(super) name: Option<String>,
    /// The SHA-256 digest of the token, in hex (`printf %s "$TOKEN" | sha256sum`). The token itself is 32 random bytes or
    /// more: whoever sees the digest must not be able to guess it.
    #[cfg_attr(test, schemars(required))]
    pub(super) sha256: Option<String>,
    /// What is claimed of whoever brings it, such as `groups` or `scp`: lists of strings, numbers and booleans.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, Vec<Scalar>>>"))]
    pub(super) claims: Option<Lists>,
    /// When it ends, in seconds since 1970 (`date -d 2030-01-31 +%s`). By default it does not.
    #[cfg_attr(test, schemars(range(min = limits::EXPIRES_AT.min, max = limits::EXPIRES_AT.max)))]
    pub(super) expires_at: Option<u64>,
}

fields!(StaticToken { name, sha256, claims, expires_at });

/// A value of a claim.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub(super) enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

/// The members of an object whose keys are the user's own, in the order of the document.
pub(super) struct Entries<T = String>(pub(super) Vec<(String, T)>);

/// Lists of values by names of the user's own.
pub(super) type Lists = Entries<Vec<Scalar>>;

/// Policies by names of the user's own.
pub(super) type Policies = Entries<Policy>;

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
