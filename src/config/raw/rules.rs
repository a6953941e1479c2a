//! Rules, and what they say of who may pass.

#[cfg(test)]
use super::{super::resolve::limits, Scalar};
use super::{
    super::shape::{Members, Place, Shape, fields},
    Authorization, Entries, Lists,
};

/// One rule. It matches a request that fits all the conditions it has.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(
    deny_unknown_fields,
    extend("anyOf" = [{"required": ["access"]}, {"required": ["policy"]}])
))]
pub(in crate::config) struct Rule {
    /// A name for people.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME)))]
    pub(in crate::config) name: Option<String>,
    /// One path, or many by wildcards: `*` within a segment, `**` across segments; at the end both stand for everything
    /// below. At most one of `path`, `prefix` and `regex`.
    pub(in crate::config) path: Option<String>,
    /// A path and everything below it, by whole segments: `/api` is not the prefix of `/apis`.
    pub(in crate::config) prefix: Option<String>,
    /// A regular expression for the whole path.
    pub(in crate::config) regex: Option<String>,
    /// HTTP methods, in capitals. By default every method.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) methods: Option<Vec<String>>,
    /// Host names, or `*.` and a domain. By default every host.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) hosts: Option<Vec<String>>,
    /// Headers by name, each with its whole value, or `*` for any. A client can send whatever it wants.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, String>>"))]
    pub(in crate::config) headers: Option<Entries>,
    /// Whether it holds whatever policy a route names: a request there must satisfy both. For `route_metadata`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) locked: Option<bool>,
    /// The policy that says the rest, by its name.
    pub(in crate::config) policy: Option<String>,
    /// What it says itself, if it names no policy.
    #[cfg_attr(test, schemars(flatten))]
    pub(in crate::config) own_policy: Option<Policy>,
}

/// What a rule or a policy says.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Policy {
    /// Who may pass. It must be there, unless a rule names a policy.
    pub(in crate::config) access: Option<Access>,
    /// How a request is answered that needs a session and has none.
    #[cfg_attr(test, schemars(extend("default" = "auto")))]
    pub(in crate::config) unauthenticated: Option<Unauthenticated>,
    /// Who may pass of those who have signed in or bring a token. By default all of them.
    pub(in crate::config) allow: Option<Allow>,
    /// The scopes that a token must have, all of them (`scope` or `scp`). A session needs none.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// Names of providers: only who has signed in at one of them may pass, or brings a token of its. By default it does
    /// not matter whose.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) providers: Option<Vec<String>>,
    /// What the app gets in `Authorization`. By default what `authorization` at the top says.
    pub(in crate::config) authorization: Option<Authorization>,
}

fields!(Policy { access, unauthenticated, allow, scopes, providers, authorization } as own_policy in
    Rule { name, path, prefix, regex, methods, hosts, headers, locked, policy });

/// Who may pass.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum Access {
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
pub(in crate::config) enum Unauthenticated {
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
pub(in crate::config) struct Allow {
    /// Email addresses, in any case of letters. Like the next two, only an address counts whose `email_verified` is true.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) emails: Option<Vec<String>>,
    /// Regular expressions for whole email addresses, in any case of letters.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) email_matches: Option<Vec<String>>,
    /// Domains of email addresses, such as `example.com`, which is not its subdomains.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) allowed_domains: Option<Vec<String>>,
    /// Values of the claim `groups`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) groups: Option<Vec<String>>,
    /// Values of the claim `roles`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) roles: Option<Vec<String>>,
    /// Values of other claims: a claim's name, or a JSON Pointer such as `/realm_access/roles`, to a list of strings,
    /// numbers and booleans. The claim must be one of them, or a list with one of them.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, Vec<Scalar>>>"))]
    pub(in crate::config) claims: Option<Lists>,
    /// Further conditions, of which all must hold.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) all: Option<Vec<Allow>>,
    /// Further conditions, of which one must hold.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(in crate::config) any: Option<Vec<Allow>>,
    /// Conditions that must not all hold.
    pub(in crate::config) not: Option<Box<Allow>>,
}

fields!(Allow { emails, email_matches, allowed_domains, groups, roles, claims, all, any, not });

/// A token of a program.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct StaticToken {
    /// Who brings it: the claim `sub`.
    #[cfg_attr(test, schemars(required, length(min = 1, max = limits::MAX_RULE_NAME)))]
    pub(in crate::config) name: Option<String>,
    /// The SHA-256 digest of the token, in hex (`printf %s "$TOKEN" | sha256sum`). The token itself is 32 random bytes or
    /// more: whoever sees the digest must not be able to guess it.
    #[cfg_attr(test, schemars(required))]
    pub(in crate::config) sha256: Option<String>,
    /// What is claimed of whoever brings it, such as `groups` or `scp`: lists of strings, numbers and booleans.
    #[cfg_attr(test, schemars(with = "Option<std::collections::BTreeMap<String, Vec<Scalar>>>"))]
    pub(in crate::config) claims: Option<Lists>,
    /// When it ends, in seconds since 1970 (`date -d 2030-01-31 +%s`). By default it does not.
    #[cfg_attr(test, schemars(range(min = limits::EXPIRES_AT.min, max = limits::EXPIRES_AT.max)))]
    pub(in crate::config) expires_at: Option<u64>,
}

fields!(StaticToken { name, sha256, claims, expires_at });
