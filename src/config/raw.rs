//! The document as it is written: names and JSON types. The text on each field is the reference that the JSON Schema
//! (`envoy/config.schema.json`) shows to users. What the values mean is decided in [`resolve`](super::resolve).

mod issuers;
mod rules;
mod session;
mod identity;

use zeroize::Zeroizing;

#[cfg(test)]
use super::resolve::limits;
use super::shape::{Place, Shape, fields};
pub(super) use issuers::{AuthMethod, Introspection, JsonText, Provider, ProviderType, TokenIssuer, TokenKind};
pub(super) use rules::{Access, Allow, Policy, Rule, StaticToken, Unauthenticated};
pub(super) use session::{Session, SignIn, SignOut, Store};
pub(super) use identity::{Authorization, ClaimText, Encoding, FilterState, FormattedClaims, TooLong};

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
    /// Whether `email` goes into headers and filter state only where the claim `email_verified` is true. By default also where
    /// that claim is missing, as at providers that know only addresses of their own.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) verified_email_only: Option<bool>,
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
    /// Whether some route of Envoy's has an `internal_redirect_policy`. Requests then keep their session and their token over
    /// such redirects, which costs each of them some microseconds.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) internal_redirects: Option<bool>,
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
    verified_email_only,
    authorization,
    filter_state,
    prefix,
    clock_leeway_seconds,
    sign_in,
    sign_out,
    userinfo_claims,
    allow_on_headers_stop_iteration,
    internal_redirects,
    danger,
});

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
