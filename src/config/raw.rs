//! The document as written: field names and JSON types. The text on each field is the reference that the JSON Schema
//! (`envoy/config.schema.json`) shows to users. [`resolve`](super::resolve) gives the values their meaning.

mod client;
mod identity;
mod pages;
mod provider;
mod provisioning;
mod rules;
mod session;
mod token_issuer;
mod values;

#[cfg(test)]
use super::resolve::limits;
use super::{
    document::Node,
    shape::{Place, Shape, fields},
};
pub(super) use client::{AuthMethod, ClientAssertion, ClientKey, SentAs};
pub(super) use identity::{AuditLog, Authorization, ClaimText, Encoding, FilterState, TooLong};
pub(super) use pages::Pages;
pub(super) use provider::{FurtherUserinfo, Provider, ProviderType, ResponseMode, SecurityEvents, TokenPlace};
pub(super) use provisioning::{Provisioning, Registration};
pub(super) use rules::{
    Access, Allow, Exchange, ExchangeGrant, Policy, Rule, StaticToken, StepUp, Unauthenticated, UpstreamToken,
};
pub(super) use session::{SameSite, Session, SignIn, SignOut, Store};
pub(super) use token_issuer::{Introspection, JsonText, TokenIssuer, TokenKind};
pub(super) use values::{Entries, Lists, Scalar, Secret};

/// Vestibule's configuration: sign-in with OpenID Connect for an app behind Envoy.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Document {
    /// The origin at which browsers reach the app, such as `https://app.example.com`: scheme, host, and the port unless it
    /// is the scheme's default. `http` only for `localhost`, `*.localhost` and loopback addresses. Or a list of origins
    /// with different hosts, and of patterns such as `https://*.preview.example.com`, where `*` stands for one label of
    /// letters, digits and `-`. Page loads under other hosts are redirected to the first origin.
    #[cfg_attr(test, schemars(required, extend("examples" = ["https://app.example.com"])))]
    pub(super) external_url: Option<ExternalUrl>,
    /// The name of the Envoy cluster for requests to the providers. One dynamic forward proxy cluster serves all of them.
    /// The cluster configures TLS.
    #[cfg_attr(test, schemars(required, length(min = 1), extend("examples" = ["idp"])))]
    pub(super) cluster: Option<String>,
    /// Other clusters for single hosts of providers. The key is `host`, or `host:port` if the port is not the scheme's
    /// default; the value is the name of the cluster.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, String>>",
        extend("examples" = [{"www.googleapis.com": "google-apis"}])
    ))]
    pub(super) clusters: Option<Entries>,
    /// The OpenID providers, or GitHub, at which users sign in. With several providers, users choose one on a page,
    /// unless `providers` of a rule leaves only one. Two providers may use the same `sub` for different users: pass
    /// `iss` to the app as well, in `identity_headers`.
    #[cfg_attr(test, schemars(required, length(min = 1, max = limits::MAX_PROVIDERS)))]
    pub(super) providers: Option<Vec<Provider>>,
    /// The keys of the session cookies, and how long sessions last and where they are kept.
    #[cfg_attr(test, schemars(required))]
    pub(super) session: Option<Session>,
    /// Access rules: the first rule that matches a request decides. A request that no rule matches needs a session.
    pub(super) rules: Option<Vec<Rule>>,
    /// Named policies for rules and routes. Names consist of letters, digits, `-`, `_` and `.`.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, Policy>>",
        extend("examples" = [{"admins": {"access": "required", "allow": {"groups": ["admins"]}}}])
    ))]
    pub(super) policies: Option<Policies>,
    /// Whether the metadata of a route (`filter_metadata`, key `vestibule`: `{policy: NAME}`) selects a policy in place
    /// of every rule that is not `locked`. Costs two host calls per request. A request that contains an identity header
    /// is then refused.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) route_metadata: Option<bool>,
    /// Issuers of bearer tokens (JWTs) that API clients may send, in addition to providers with
    /// `access_token_audiences`.
    #[cfg_attr(test, schemars(length(max = limits::MAX_TOKEN_ISSUERS)))]
    pub(super) token_issuers: Option<Vec<TokenIssuer>>,
    /// The name of a cookie that may carry a bearer token, for requests without `Authorization: Bearer` and without a
    /// session. Browsers send cookies with cross-site requests: set this cookie with `SameSite`.
    #[cfg_attr(test, schemars(extend("examples" = ["api_token"])))]
    pub(super) token_cookie: Option<String>,
    /// Static bearer tokens of API clients, each listed by its SHA-256 digest. Clients send them as `Authorization:
    /// Bearer`.
    pub(super) static_tokens: Option<Vec<StaticToken>>,
    /// Request headers that carry claims of the signed-in user, or of the bearer token, to the app. Headers of these
    /// names are removed from client requests. A value here replaces the whole default.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, ClaimText>>",
        extend("default" = limits::object(&limits::IDENTITY_HEADERS)),
        extend("examples" = [{"X-User": "sub", "X-Issuer": "iss"}])
    ))]
    pub(super) identity_headers: Option<Entries<ClaimText>>,
    /// Request headers by which other systems identify the user to an app. The filter removes them from client requests on
    /// every path, and from trailers, in any letter case and with any character in place of `-`; headers of these names
    /// that the filter sets remain. A name may end in `*`, and `default` means this list: `X-Forwarded-User`, `-Email`,
    /// `-Groups`, `-Preferred-Username` and `-Access-Token`, `X-Auth-Request-*` (oauth2-proxy); `Remote-User`, `-Email`,
    /// `-Groups`, `-Name` and `-Role`, `X-Remote-*`; `X-Auth-Email`, `-Groups`, `-Roles`, `-Subject`, `-Userid` and
    /// `-Username` (Gatekeeper); `X-WEBAUTH-*`; `X-authentik-*`; `X-Vouch-*`; `X-Pomerium-*`; `X-MS-CLIENT-PRINCIPAL*` and
    /// `X-MS-TOKEN-*` (Azure); `X-Amzn-Oidc-*`; `X-Goog-Authenticated-User-*` and `X-Goog-IAP-JWT-Assertion`;
    /// `Cf-Access-Authenticated-User-Email` and `Cf-Access-Jwt-Assertion`; `Tailscale-User-*`; `OIDC_*` (mod_auth_openidc).
    /// With `[]` only `identity_headers` are removed.
    #[cfg_attr(test, schemars(
        length(max = limits::MAX_ENTRIES), extend("default" = ["default"]),
        extend("examples" = [["default", "X-My-User"]])
    ))]
    pub(super) strip_request_headers: Option<Vec<String>>,
    /// Whether `email` goes into headers and filter state only if the claim `email_verified` is true. By default also
    /// if that claim is missing, as with providers that issue only addresses of their own.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) verified_email_only: Option<bool>,
    /// The `Authorization` header that the app receives, unless a rule sets it.
    #[cfg_attr(test, schemars(extend("default" = "keep")))]
    pub(super) authorization: Option<Authorization>,
    /// Values for other Envoy filters and for access logs. By default there are none.
    pub(super) filter_state: Option<FilterState>,
    /// The audit log: one line of JSON for each sign-in, refusal, refresh and sign-out, at level `info` of Envoy's log
    /// after the word `audit`, and in `wasm.vestibule_audit` for access logs.
    #[cfg_attr(test, schemars(extend("default" = "none"), extend("examples" = ["without_subject"])))]
    pub(super) audit_log: Option<AuditLog>,
    /// The prefix of this filter's own paths, such as `/oauth2/callback` and `/oauth2/sign_out`: it begins with a slash, does not end in one
    /// and has at most 100 bytes. Rules do not apply below it.
    #[cfg_attr(test, schemars(extend("default" = limits::PREFIX), extend("examples" = ["/auth"])))]
    pub(super) prefix: Option<String>,
    /// The tolerated difference, in seconds, between the clocks of the provider and of this machine.
    #[cfg_attr(test, schemars(transform = limits::CLOCK_LEEWAY_SECONDS.shown(), extend("examples" = [30])))]
    pub(super) clock_leeway_seconds: Option<u64>,
    /// Sign-in settings: what is kept over a sign-in, and which parameters and targets `/oauth2/start` accepts.
    pub(super) sign_in: Option<SignIn>,
    /// Sign-out settings: what signing out does, and which requests of the provider end sessions.
    pub(super) sign_out: Option<SignOut>,
    /// The claims of the signed-in user that `/oauth2/userinfo` returns to scripts of the app, from the top level of
    /// the ID token or of `providers[].userinfo`; `sub` is always included. By default those of `identity_headers`,
    /// except those that a JSON Pointer selects from.
    #[cfg_attr(test, schemars(extend("examples" = [["name", "email", "picture"]])))]
    pub(super) userinfo_claims: Option<Vec<String>>,
    /// Declares that the field of this name is `true` in Envoy's own configuration of this filter, beside
    /// `failure_policy`: Envoy then passes request bodies to the filter while a request is held. Required for
    /// `sign_out.back_channel`, `providers[].security_events` and `sign_in.keep_forms`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) allow_on_headers_stop_iteration: Option<bool>,
    /// Whether any Envoy route has an `internal_redirect_policy`. Requests then keep their session and their token
    /// across such redirects, which costs each request some microseconds.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) internal_redirects: Option<bool>,
    /// An endpoint of the app that the filter calls for each user before the session begins, and at each renewal. The
    /// endpoint may create the user, add attributes for headers and rules (the claim `attributes`), or refuse. Without its
    /// answer nobody signs in. By default there is none.
    pub(super) provisioning: Option<Provisioning>,
    /// The look of the filter's own pages, such as the choice of a provider, a refusal or a sign-out. A page has the
    /// language that the browser prefers: English, German, French, Spanish, Portuguese, Japanese or Chinese.
    pub(super) pages: Option<Pages>,
    /// Settings that weaken the sign-in. Each use is logged at start.
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
    strip_request_headers,
    verified_email_only,
    authorization,
    filter_state,
    audit_log,
    prefix,
    clock_leeway_seconds,
    sign_in,
    sign_out,
    userinfo_claims,
    allow_on_headers_stop_iteration,
    internal_redirects,
    provisioning,
    pages,
    danger,
});

/// Policies by free names.
pub(super) type Policies = Entries<Policy>;

/// The origins of the app.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub(super) enum ExternalUrl {
    /// One origin.
    One(String),
    /// Origins and patterns.
    Several(#[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_ENTRIES)))] Vec<String>),
}

impl Shape for ExternalUrl {
    fn read(mut place: Place<'_>) -> Self {
        match place.node() {
            Node::List(_) => return Self::Several(Vec::read(place)),
            Node::Text(text) => return Self::One(text.to_string()),
            _ => place.misfit("a string or a list"),
        }
        Self::One(String::new())
    }
}

/// Settings that weaken the sign-in.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Danger {
    /// Accept plain `http` URLs of providers on any host: an attacker on the network path can then read secrets and
    /// sign in as any user.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) plain_http_providers: Option<bool>,
}

fields!(Danger { plain_http_providers });
