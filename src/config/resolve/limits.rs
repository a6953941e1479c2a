//! Limits and defaults, which the resolver enforces and the JSON Schema shows.

/// The bounds and the default of a number.
#[derive(Clone, Copy)]
pub(in crate::config) struct Bounds {
    pub(in crate::config) min: u64,
    pub(in crate::config) max: u64,
    pub(in crate::config) default: u64,
}

pub(in crate::config) const CLOCK_LEEWAY_SECONDS: Bounds =
    Bounds { min: 0, max: crate::time::Leeway::MAX_SECS, default: 60 };
/// `session.lifetime_seconds`: up to 400 days, the longest that browsers keep a cookie.
pub(in crate::config) const LIFETIME_SECONDS: Bounds = Bounds { min: 60, max: 400 * 24 * 3600, default: 8 * 3600 };
/// `session.idle_timeout_seconds`; there is none unless it is given.
pub(in crate::config) const IDLE_TIMEOUT_SECONDS: Bounds = Bounds { min: 60, max: 400 * 24 * 3600, default: 0 };
/// `session.sign_in_timeout_seconds`
pub(in crate::config) const SIGN_IN_TIMEOUT_SECONDS: Bounds = Bounds { min: 60, max: 24 * 3600, default: 1800 };
/// `providers[].timeout_ms`
pub(in crate::config) const TIMEOUT_MS: Bounds = Bounds { min: 100, max: 30_000, default: 5000 };

/// `session.store.timeout_ms`
pub(in crate::config) const STORE_TIMEOUT_MS: Bounds = Bounds { min: 50, max: 10_000, default: 1000 };
/// `session.store.cache_seconds`
pub(in crate::config) const STORE_CACHE_SECONDS: Bounds = Bounds { min: 0, max: 60, default: 0 };
/// `token_issuers[].introspection.cache_seconds`
pub(in crate::config) const INTROSPECTION_CACHE_SECONDS: Bounds = Bounds { min: 0, max: 600, default: 60 };
/// `static_tokens[].expires_at`: ten digits, from 2001 to 2286. Refuses milliseconds, which would never expire.
pub(in crate::config) const EXPIRES_AT: Bounds = Bounds { min: 1_000_000_000, max: 9_999_999_999, default: 0 };
/// `step_up.max_age_seconds`: a minute, because a sign-in takes time; at most a year.
pub(in crate::config) const MAX_AGE_SECONDS: Bounds = Bounds { min: 60, max: 365 * 24 * 3600, default: 0 };
/// `step_up.acr_values`
pub(in crate::config) const MAX_ACR_VALUES: usize = 16;
pub(in crate::config) const MAX_ACR_VALUE: usize = 128;
/// `session.store.authority`
pub(in crate::config) const STORE_AUTHORITY: &str = "webdis";
/// `session.store.key_prefix`
pub(in crate::config) const STORE_PREFIX: &str = "vestibule:";
pub(in crate::config) const MAX_STORE_PREFIX: usize = 64;

pub(in crate::config) const PREFIX: &str = "/oauth2";
/// `session.cookie_name`
pub(in crate::config) const COOKIE_NAME: &str = "vestibule";
/// `providers[].scopes`
pub(in crate::config) const SCOPES: [&str; 3] = ["openid", "email", "profile"];
/// `providers[].github_url`
pub(in crate::config) const GITHUB_URL: &str = "https://github.com";
/// `providers[].github_api_url`
pub(in crate::config) const GITHUB_API_URL: &str = "https://api.github.com";
pub(in crate::config) const IDENTITY_HEADERS: [(&str, &str); 4] = [
    ("X-Forwarded-User", "sub"),
    ("X-Forwarded-Email", "email"),
    ("X-Forwarded-Preferred-Username", "preferred_username"),
    ("X-Forwarded-Groups", "groups"),
];

/// `strip_request_headers`, in lower case: headers in which well-known systems tell an app who the user is. Those that clients send by themselves
/// (`X-Auth-Token`, `CF-Access-Client-Id`) are not among them.
pub(in crate::config) const STRIPPED_HEADERS: &[&str] = &[
    // oauth2-proxy, and what Traefik and others take over from it
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-auth-request-*",
    // Web servers; Authelia and Pangolin; Kubernetes
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-role",
    "x-remote-*",
    // Gatekeeper (Louketo)
    "x-auth-email",
    "x-auth-groups",
    "x-auth-roles",
    "x-auth-subject",
    "x-auth-userid",
    "x-auth-username",
    // Grafana and Gitea; authentik; Vouch; Pomerium
    "x-webauth-*",
    "x-authentik-*",
    "x-vouch-*",
    "x-pomerium-*",
    // Azure App Service; the load balancer of AWS; Google's Identity-Aware Proxy; Cloudflare Access; Tailscale
    "x-ms-client-principal*",
    "x-ms-token-*",
    "x-amzn-oidc-*",
    "x-goog-authenticated-user-*",
    "x-goog-iap-jwt-assertion",
    "cf-access-authenticated-user-email",
    "cf-access-jwt-assertion",
    "tailscale-user-*",
    // mod_auth_openidc
    "oidc_*",
];
/// `provisioning.claims`
pub(in crate::config) const PROVISIONING_CLAIMS: [&str; 5] =
    ["email", "email_verified", "name", "preferred_username", "groups"];

pub(in crate::config) const SEPARATOR: char = ',';
/// The most entries of `filter_state.claims`: each costs a host call per request.
pub(in crate::config) const MAX_FILTER_STATE: usize = 16;
/// The most `session.keys`: each is tried on an unknown cookie.
pub(in crate::config) const MAX_KEYS: usize = 8;
pub(in crate::config) const MAX_COOKIE_NAME: usize = 40;
/// The longest `rules[].name`, and other text for display, in bytes.
pub(in crate::config) const MAX_RULE_NAME: usize = 100;
/// The longest `pages.text`, in bytes.
pub(in crate::config) const MAX_PAGE_TEXT: usize = 1000;
/// The longest domain name, in bytes (RFC 1035, 2.3.4).
pub(in crate::config) const MAX_DOMAIN: usize = 253;
/// The most `providers`: users choose one on a page.
pub(in crate::config) const MAX_PROVIDERS: usize = 16;
/// The most `sign_in.pass_parameters`.
pub(in crate::config) const MAX_PASSED: usize = 16;
/// The most `further_userinfo` of a provider: each is a call of every sign-in.
pub(in crate::config) const MAX_FURTHER_USERINFO: usize = 8;
pub(in crate::config) const MAX_TOKEN_ISSUERS: usize = 16;
/// The most `public_keys`: each is tried on a token of the issuer.
pub(in crate::config) const MAX_PUBLIC_KEYS: usize = 4;
/// The longest name of a provider or policy, which is a part of URLs and route metadata.
pub(in crate::config) const MAX_NAME: usize = 64;
pub(in crate::config) const MAX_PREFIX: usize = 100;
/// The most entries of a list or map, except rules.
pub(in crate::config) const MAX_ENTRIES: usize = 100;
/// The longest other text, in bytes: names, URLs, patterns, secrets.
pub(in crate::config) const MAX_TEXT: usize = 4096;

#[cfg(test)]
pub(in crate::config) use crate::page::logo::MAX_LOGO;
#[cfg(test)]
pub(in crate::config) use in_schema::{SIGNING_NAMES, algorithm_names, object, one_of};

#[cfg(test)]
mod in_schema {
    use schemars::Schema;
    use serde_json::{Map, Value, json};

    use super::Bounds;
    use crate::jose::Algorithm;

    impl Bounds {
        /// Writes the bounds into the schema of their field.
        pub(in crate::config) fn shown(self) -> impl FnMut(&mut Schema) {
            move |schema| {
                schema.insert("minimum".into(), self.min.into());
                schema.insert("maximum".into(), self.max.into());
                schema.insert("default".into(), self.default.into());
            }
        }
    }

    pub(in crate::config) fn object(entries: &[(&str, &str)]) -> Map<String, Value> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
    }

    pub(in crate::config) fn one_of(names: &[&str]) -> Value {
        json!({ "type": "string", "enum": names })
    }

    /// The algorithms that the client signs by.
    pub(in crate::config) const SIGNING_NAMES: [&str; 7] =
        ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"];

    pub(in crate::config) fn algorithm_names() -> Vec<&'static str> {
        Algorithm::ALL.map(Algorithm::name).to_vec()
    }
}
