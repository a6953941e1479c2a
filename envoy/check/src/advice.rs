//! Advice on mistakes that the filter itself cannot explain: names of other proxies, values in the wrong form, texts in place of
//! secrets.

use vestibule::config::{Fault, Path, Problem, Segment};

use crate::{environment::Variables, tree::Node};

/// Names that are usual elsewhere, and the setting here.
const OTHER_NAMES: [(&[&str], &str); 15] = [
    (
        &["callback_path", "callback_uri", "callback_url", "redirect_uri", "redirect_uris", "redirect_url"],
        "the callback is /oauth2/callback of external_url; `prefix` replaces /oauth2",
    ),
    (&["cookie_secret", "encryption_key", "hmac_secret", "secret_key"], "`session: {keys: ...}` seals the cookies"),
    (&["cookie_expire", "lifetime", "max_age", "session_lifetime", "ttl"], "it is `session: {lifetime_seconds: ...}`"),
    (&["authority", "discovery_url", "issuer_url", "oidc_issuer_url", "url"], "the provider's address is its `issuer`"),
    (
        &["allowed_groups", "allowed_roles"],
        "it is `allow: {groups: ...}` or `allow: {roles: ...}`, of a provider or a rule",
    ),
    (
        &["allowed_emails", "email_domain"],
        "it is `allow: {emails: ...}` or `allow: {allowed_domains: ...}`, of a provider or a rule",
    ),
    (
        &[
            "allow_paths",
            "exclude",
            "excluded_paths",
            "public_paths",
            "skip_auth",
            "skip_auth_regex",
            "skip_auth_routes",
        ],
        "a rule with `access: public` names public paths",
    ),
    (&["log_level", "debug"], "Envoy's log level decides, of its component `wasm`"),
    (&["backend", "upstream", "upstreams"], "Envoy's routes and clusters say where the app is"),
    (&["ca", "ca_cert", "insecure_skip_verify", "tls"], "TLS to the provider is set in its Envoy cluster"),
    (&["deny_action", "error_status", "unauthorized"], "it is `unauthenticated: 401`"),
    (&["logins", "orgs", "teams"], "it is a claim: `claims: {NAME: [...]}`"),
    (&["owner", "owners", "user", "users"], "it is `emails`, or a claim: `claims: {sub: [...]}`"),
    (&["redis", "redis_url"], "`session: {store: {cluster: ...}}` names the cluster of Webdis, which reaches Redis"),
    (&["code_challenge_method", "pkce"], "every sign-in has a PKCE challenge"),
];

/// Names of providers, and the preset of each.
const OTHER_PRESETS: [(&[&str], &str); 4] = [
    (&["aad", "azure", "azuread", "entra", "entra-id", "entraid", "ms"], "did you mean `microsoft`?"),
    (&["amazon", "aws"], "did you mean `cognito`?"),
    (&["gsuite", "workspace"], "did you mean `google`?"),
    (&["custom", "generic", "oidc", "openid"], "leave it out, and set `issuer`"),
];

/// Names of kinds of access, and what they are here.
const OTHER_ACCESS: [(&[&str], &str); 5] = [
    (&["anonymous", "anyone", "everyone", "open", "skip"], "did you mean `public`?"),
    (&["api", "jwt", "token"], "did you mean `bearer`?"),
    (&["authenticated", "authenticate", "auth", "login", "private", "protected", "user"], "did you mean `required`?"),
    (&["block", "denied", "forbid", "forbidden", "reject"], "did you mean `deny`?"),
    (&["none", "off"], "`public` lets everybody pass, `deny` nobody"),
];

/// Settings that are objects, and one as it is written.
const OBJECTS: [(&[&str], &str); 9] = [
    (&["allow"], "such as {groups: [...]}; a list of ways to pass is {any: [...]}"),
    (&["claims"], "such as {NAME: CLAIM}, or {CLAIM: [...]} under `allow`"),
    (&["exchange"], "such as {audience: NAME}"),
    (&["filter_state"], "such as {user: true}"),
    (&["provisioning"], "such as {endpoint: URL, cluster: NAME}"),
    (&["session"], "such as {keys: [...]}, without a hyphen"),
    (&["store"], "such as {cluster: NAME}"),
    (&["upstream_token"], "such as {header: NAME}"),
    (&["with"], "such as {realm: NAME}"),
];

/// The message of this fault, with advice on the usual cause.
pub(crate) fn message(fault: &Fault, root: &Node, variables: &Variables<'_>) -> String {
    let message = fault.problem.to_string();
    let name = fault.path.segments().iter().rev().find_map(|segment| match segment {
        Segment::Key(name) => Some(name.as_str()),
        Segment::Index(_) => None,
    });
    let name = name.unwrap_or_default();
    let more = match &fault.problem {
        Problem::UnknownField { hint } if hint.starts_with("expected") => {
            let is_in_store =
                fault.path.segments().iter().any(|segment| matches!(segment, Segment::Key(key) if key == "store"));
            let name = if is_in_store && name == "url" { "redis_url" } else { name };
            return known(name, &OTHER_NAMES)
                .map_or(message, |advice| format!("unknown field; {}", advice.replace("NAME", name)));
        }
        Problem::Type { expected, got } => {
            let text = root.value_at(&fault.path).and_then(Node::text).unwrap_or_default();
            form(expected, got, name, text).map(str::to_owned)
        }
        Problem::Value { .. } => {
            let node = root.value_at(&fault.path);
            match (name, node.and_then(Node::text)) {
                ("preset", Some(text)) => known(&text.to_ascii_lowercase(), &OTHER_PRESETS).map(str::to_owned),
                ("access", Some(text)) => known(&text.to_ascii_lowercase(), &OTHER_ACCESS).map(str::to_owned),
                (_, Some(text)) if is_domain_of_addresses(&fault.path) => domain(text),
                ("type", Some("facebook" | "gitlab" | "google" | "keycloak" | "microsoft" | "okta")) => {
                    Some("`preset` is for well-known providers".to_owned())
                }
                ("keys", _) if message.contains("as base64") => node.and_then(|node| key_length(node, variables)),
                _ => None,
            }
        }
        _ => None,
    };
    match more {
        Some(more) => format!("{message}; {more}"),
        None => message,
    }
}

/// Whether a value is one of `allowed_domains`.
fn is_domain_of_addresses(path: &Path) -> bool {
    path.segments().iter().any(|segment| matches!(segment, Segment::Key(key) if key == "allowed_domains"))
}

/// How to write what is no domain.
fn domain(text: &str) -> Option<String> {
    if let Some(domain) = text.strip_prefix('@') {
        return Some(format!("write {domain}"));
    }
    if let Some(domain) = text.strip_prefix("*.") {
        let expression = domain.replace('.', r"\.");
        return Some(format!(r"for the domains below it: `email_matches: ['[^@]+@([^@.]+\.)+{expression}']`"));
    }
    text.contains('@').then(|| "`emails` takes addresses".to_owned())
}

fn known(name: &str, table: &[(&[&str], &'static str)]) -> Option<&'static str> {
    table.iter().find(|(names, _)| names.contains(&name)).map(|(_, advice)| *advice)
}

/// How to write a value of the type that is expected.
fn form(expected: &str, got: &str, name: &str, text: &str) -> Option<&'static str> {
    match (expected, got) {
        ("a list", "a string") if text.contains([' ', ',']) => Some("put it in brackets, with commas between"),
        ("a list", "a string") => Some("put it in brackets"),
        ("an object", _) => known(name, &OBJECTS),
        ("a list", "an object") => Some("put it in brackets"),
        ("a string", "a number" | "a boolean") => Some("put it in quotes"),
        ("a whole number", "a string") if name.ends_with("_seconds") => Some("in seconds, without a unit or quotes"),
        ("a whole number", "a string") if name.ends_with("_ms") => Some("in milliseconds, without a unit or quotes"),
        _ => None,
    }
}

/// What is wrong with the length of a session key.
fn key_length(node: &Node, variables: &Variables<'_>) -> Option<String> {
    let variable = node.get("env").and_then(Node::text);
    let text = match variable {
        Some(name) => variables.get(name)?,
        None => node.text()?.to_owned(),
    };
    if variable.is_none() && is_reference(&text) {
        return Some("{env: NAME} takes it from the environment".to_owned());
    }
    let length = text.len();
    let (form, bytes) = if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        ("hex", length / 2)
    } else {
        ("base64", text.trim_end_matches('=').len().saturating_mul(3) / 4)
    };
    Some(format!("the {length} characters here are {bytes} bytes as {form}"))
}

/// Whether a text looks like the name of a variable, or like a reference to one that nothing replaces.
pub(crate) fn is_reference(text: &str) -> bool {
    let is_name =
        |text: &str| text.contains('_') && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    text.starts_with('$') || text.starts_with("{{") || text.starts_with("{env") || is_name(text)
}
