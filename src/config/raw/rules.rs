//! Rules and policies.

#[cfg(test)]
use super::{super::resolve::limits, Scalar};
use super::{
    super::shape::{Members, Place, Shape, fields},
    Authorization, Entries, Lists,
};

/// One rule. It matches requests that fulfil all its conditions.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("anyOf" = [{"required": ["access"]}, {"required": ["policy"]}])
))]
pub(in crate::config) struct Rule {
    /// The name of the rule in logs and in `filter_state.rule`.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME), extend("examples" = ["admins"])))]
    pub(in crate::config) name: Option<String>,
    /// A path, with wildcards for several: `*` within a segment, `**` across segments; at the end both match everything
    /// below. At most one of `path`, `prefix` and `regex`.
    #[cfg_attr(test, schemars(extend("examples" = ["/evaluate/v1/*"])))]
    pub(in crate::config) path: Option<String>,
    /// A path and everything below it, by whole segments: `/api` is not the prefix of `/apis`.
    #[cfg_attr(test, schemars(extend("examples" = ["/admin"])))]
    pub(in crate::config) prefix: Option<String>,
    /// A regular expression for the whole path, without look-around and back-references: `/admin` does not match `/admin/x`. At most 1024
    /// bytes.
    #[cfg_attr(test, schemars(extend("examples" = ["/v[0-9]+/status"])))]
    pub(in crate::config) regex: Option<String>,
    /// HTTP methods, in capitals. By default every method.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["GET", "HEAD"]])))]
    pub(in crate::config) methods: Option<Vec<String>>,
    /// Host names without a port, or `*.` and a domain for all its subdomains. By default every host.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["api.example.com", "*.example.org"]])))]
    pub(in crate::config) hosts: Option<Vec<String>>,
    /// Required headers by name, each with its whole value, or `*` for any. A client can send any header.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, String>>",
        extend("examples" = [{"x-api-version": "2"}])
    ))]
    pub(in crate::config) headers: Option<Entries>,
    /// IP addresses and networks of clients (`192.0.2.7`, `10.0.0.0/8`, `fd00::/8`), by the address that Envoy's connection
    /// manager determines. At the edge, set `use_remote_address: true` there: otherwise a client can claim any address. By
    /// default every client.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["10.0.0.0/8", "fd00::/8"]])))]
    pub(in crate::config) networks: Option<Vec<String>>,
    /// Whether the rule applies in addition to the policy that a route names: a request must satisfy both. For
    /// `route_metadata`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) locked: Option<bool>,
    /// The name of the policy that applies, in place of `access` and its settings.
    #[cfg_attr(test, schemars(extend("examples" = ["admins"])))]
    pub(in crate::config) policy: Option<String>,
    /// The rule's own policy, if it names none.
    #[cfg_attr(test, schemars(flatten))]
    pub(in crate::config) own_policy: Option<Policy>,
}

/// The settings that rules and policies share.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Policy {
    /// Who may pass. Required, unless a rule names a policy.
    pub(in crate::config) access: Option<Access>,
    /// The answer to a request that needs a session and has none.
    #[cfg_attr(test, schemars(extend("default" = "auto")))]
    pub(in crate::config) unauthenticated: Option<Unauthenticated>,
    /// Conditions on signed-in users and bearer tokens. By default all are allowed.
    pub(in crate::config) allow: Option<Allow>,
    /// Scopes that a bearer token must have, all of them (`scope` or `scp`). They do not apply to sessions.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["write"]])))]
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// Names of providers: only users who signed in at one of them, and tokens of one of them, may pass. By default any
    /// provider.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["partners"]])))]
    pub(in crate::config) providers: Option<Vec<String>>,
    /// The `Authorization` header that the app receives. By default the top-level `authorization`.
    pub(in crate::config) authorization: Option<Authorization>,
    /// How users must have authenticated. A session that does not satisfy this goes through a new sign-in in which the
    /// filter requests it from the provider; API clients get 401 `insufficient_user_authentication` (RFC 9470). By default
    /// any sign-in is enough.
    pub(in crate::config) step_up: Option<StepUp>,
    /// The token that the app receives for the services behind it: the access token of the session or API client, or a
    /// token for another audience, which the provider issues in exchange. By default none.
    pub(in crate::config) upstream_token: Option<UpstreamToken>,
}

fields!(Policy { access, unauthenticated, allow, scopes, providers, authorization, step_up, upstream_token } as own_policy in
    Rule { name, path, prefix, regex, methods, hosts, headers, networks, locked, policy });

/// How users must have authenticated. With both settings, both must hold.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("anyOf" = [{"required": ["acr_values"]}, {"required": ["max_age_seconds"]}])
))]
pub(in crate::config) struct StepUp {
    /// Accepted values of the claim `acr`, best first; the provider defines them. Its ID token must have one of them.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_ACR_VALUES), extend("examples" = [["phr", "mfa"]])))]
    pub(in crate::config) acr_values: Option<Vec<String>>,
    /// How many seconds ago the user may have authenticated, by the claim `auth_time`; `clock_leeway_seconds` is added.
    #[cfg_attr(test, schemars(
        range(min = limits::MAX_AGE_SECONDS.min, max = limits::MAX_AGE_SECONDS.max),
        extend("examples" = [600])
    ))]
    pub(in crate::config) max_age_seconds: Option<u64>,
}

fields!(StepUp { acr_values, max_age_seconds });

/// A token that the filter adds to requests to the app. A request without it does not reach the app.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct UpstreamToken {
    /// The header that carries the token. The filter removes a client's header of this name from every request, as for
    /// `identity_headers`; for `Authorization`, the setting `authorization` applies on other paths.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_TEXT),
        extend("default" = "Authorization", "examples" = ["X-Forwarded-Access-Token"])
    ))]
    pub(in crate::config) header: Option<String>,
    /// The value of that header: printable ASCII that contains `{token}` once. By default `Bearer {token}` in
    /// `Authorization`, and `{token}` in other headers.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_TEXT), extend("examples" = ["token {token}"])))]
    pub(in crate::config) value: Option<String>,
    /// The token that the provider issues in exchange. By default the app receives the access token itself.
    pub(in crate::config) exchange: Option<Exchange>,
}

fields!(UpstreamToken { header, value, exchange });

/// A token exchange. At least one of `audience`, `resource` and `scopes` is required. The new token is kept until it
/// expires, for an hour at most; for a minute if the provider does not state its lifetime.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("anyOf" = [{"required": ["audience"]}, {"required": ["resource"]}, {"required": ["scopes"]}])
))]
pub(in crate::config) struct Exchange {
    /// The grant of the token request.
    #[cfg_attr(test, schemars(extend("default" = "token_exchange")))]
    pub(in crate::config) grant: Option<ExchangeGrant>,
    /// The name of the service that the token is for, as the provider knows it (`audience`).
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_TEXT), extend("examples" = ["orders"])))]
    pub(in crate::config) audience: Option<String>,
    /// The URI of the service that the token is for (`resource`).
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_TEXT),
        extend("examples" = ["https://orders.example.com"])
    ))]
    pub(in crate::config) resource: Option<String>,
    /// The requested scopes. By default the provider decides.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["orders.read"]])))]
    pub(in crate::config) scopes: Option<Vec<String>>,
}

fields!(Exchange { grant, audience, resource, scopes });

/// The grant of an exchange.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum ExchangeGrant {
    /// Token exchange (RFC 8693).
    TokenExchange,
    /// Microsoft Entra ID's on-behalf-of flow, which requires `scopes`. The access token must be for this client itself.
    OnBehalfOf,
}

impl Shape for ExchangeGrant {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["token_exchange", "on_behalf_of"]) {
            "on_behalf_of" => Self::OnBehalfOf,
            _ => Self::TokenExchange,
        }
    }
}

/// Who may pass.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum Access {
    /// All requests, without a session.
    Public,
    /// Signed-in users, and API clients with an accepted bearer token.
    Required,
    /// All requests; the app receives the identity of signed-in users.
    Optional,
    /// API clients with a bearer token; a session is not enough.
    Bearer,
    /// No request.
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

/// The answer to a request that needs a session and has none.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum Unauthenticated {
    /// Page loads of browsers are redirected to sign in; scripts, forms and all other requests get 401.
    Auto,
    /// Every GET is redirected to sign in, except upgrades and prefetches.
    Redirect,
    /// No redirect: 401.
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

/// Conditions on claims. All given conditions must hold; one matching element of a list is enough.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Allow {
    /// Email addresses, case-insensitive. Here and in the next two fields, an address is accepted only if `email_verified`
    /// is true.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["alice@example.com"]])))]
    pub(in crate::config) emails: Option<Vec<String>>,
    /// Regular expressions for whole email addresses, case-insensitive.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["[^@]+@(eu|us)\\.example\\.com"]])))]
    pub(in crate::config) email_matches: Option<Vec<String>>,
    /// Domains of email addresses, such as `example.com`; subdomains are not included.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["example.com"]])))]
    pub(in crate::config) allowed_domains: Option<Vec<String>>,
    /// Values of the claim `groups`.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["admins", "owners"]])))]
    pub(in crate::config) groups: Option<Vec<String>>,
    /// Values of the claim `roles`.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = [["editor"]])))]
    pub(in crate::config) roles: Option<Vec<String>>,
    /// Values of other claims. The key is the name of a claim, or a JSON Pointer such as `/realm_access/roles`; the value
    /// is a list of strings, numbers and booleans. The claim must equal one of them, or be a list that contains one of
    /// them.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, Vec<Scalar>>>",
        extend("examples" = [{"/realm_access/roles": ["editor"]}])
    ))]
    pub(in crate::config) claims: Option<Lists>,
    /// Nested conditions, all of which must hold.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("examples" = [[{"groups": ["staff"]}, {"groups": ["on-call"]}]])
    ))]
    pub(in crate::config) all: Option<Vec<Allow>>,
    /// Nested conditions, one of which must hold.
    #[cfg_attr(test, schemars(
        length(min = 1),
        extend("examples" = [[{"groups": ["admins"]}, {"emails": ["alice@example.com"]}]])
    ))]
    pub(in crate::config) any: Option<Vec<Allow>>,
    /// Nested conditions that must not all hold.
    #[cfg_attr(test, schemars(extend("examples" = [{"emails": ["trainee@example.com"]}])))]
    pub(in crate::config) not: Option<Box<Allow>>,
}

fields!(Allow { emails, email_matches, allowed_domains, groups, roles, claims, all, any, not });

/// A static bearer token of an API client.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct StaticToken {
    /// The name of the client: the claim `sub`.
    #[cfg_attr(test, schemars(
        required, length(min = 1, max = limits::MAX_RULE_NAME),
        extend("examples" = ["nightly-import"])
    ))]
    pub(in crate::config) name: Option<String>,
    /// The SHA-256 digest of the token, in hex (`printf %s "$TOKEN" | sha256sum`). Use a token of at least 32 random
    /// bytes, which cannot be guessed from the digest.
    #[cfg_attr(test, schemars(
        required,
        extend("examples" = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    ))]
    pub(in crate::config) sha256: Option<String>,
    /// Claims of the client, such as `groups` or `scp`: lists of strings, numbers and booleans.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, Vec<Scalar>>>",
        extend("examples" = [{"groups": ["machines"], "scp": ["write"]}])
    ))]
    pub(in crate::config) claims: Option<Lists>,
    /// Expiry in seconds since 1970 (`date -d 2030-01-31 +%s`). By default the token does not expire.
    #[cfg_attr(test, schemars(
        range(min = limits::EXPIRES_AT.min, max = limits::EXPIRES_AT.max),
        extend("examples" = [1893456000])
    ))]
    pub(in crate::config) expires_at: Option<u64>,
}

fields!(StaticToken { name, sha256, claims, expires_at });
