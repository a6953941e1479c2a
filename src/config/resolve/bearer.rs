//! Static tokens, the token cookie, and audiences of bearer tokens.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{
    super::{
        SessionSettings,
        fault::{At, Faults, Faulty},
        raw,
    },
    allow,
    bounds::{bounded, limit_entries, resolve_each},
    limits, text,
};
use crate::{claims::StaticToken, oidc::token_issuer::TokenIssuer, time::UnixTime};

/// The first bytes of SHA-256 of the empty text, the result of hashing an unset variable.
const OF_NOTHING: [u8; 4] = [0xe3, 0xb0, 0xc4, 0x42];

/// Audiences of access tokens that providers issue to every client, or for services of their own.
const COMMON_AUDIENCES: [&str; 11] = [
    // Keycloak's own clients: the first is in nearly every token, the others in tokens of users with roles in them.
    "account",
    "broker",
    "realm-management",
    // Microsoft Graph: every client of Entra ID gets tokens for it.
    "00000003-0000-0000-c000-000000000000",
    "https://graph.microsoft.com",
    // Okta's default authorization server.
    "api://default",
    // The Kubernetes API server, the audience of every pod's token.
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local",
    "kubernetes.default.svc",
    // Cloud federations, for which many workloads have tokens.
    "api://AzureADTokenExchange",
    "sts.amazonaws.com",
];
/// Common audiences as paths below the issuer: the issuer itself, userinfo, Auth0's management API, and the audience
/// that IdentityServer adds to every token.
const COMMON_BELOW_ISSUER: [&str; 4] = ["", "/userinfo", "/api/v2", "/resources"];

/// Warns of audiences that tokens for other services also have (RFC 8725, 3.9): such tokens would be accepted here.
pub(super) fn common_audiences(issuers: &[TokenIssuer]) -> Vec<String> {
    let mut warnings = Vec::new();
    for issuer in issuers {
        let base = issuer.issuer.trim_end_matches('/');
        let below = |audience: &str| audience.strip_prefix(base).map(|rest| rest.trim_end_matches('/').to_owned());
        for audience in &issuer.audiences {
            let is_common = COMMON_AUDIENCES.contains(&audience.as_str())
                || below(audience).is_some_and(|rest| COMMON_BELOW_ISSUER.contains(&rest.as_str()));
            if is_common {
                warnings.push(format!(
                    "audiences: {audience:?} is also in access tokens of {:?} for other services, which would be accepted here; have the issuer add an audience of this app",
                    issuer.issuer
                ));
            }
        }
    }
    warnings
}

#[inline(never)]
pub(super) fn static_tokens(
    raw: Option<Vec<raw::StaticToken>>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<Rc<StaticToken>>, Faulty> {
    let raw = raw.unwrap_or_default();
    limit_entries(raw.len(), at, faults)?;
    let tokens = resolve_each(raw, at, faults, |raw, at, faults| static_token(raw, at, faults).map(Rc::new))?;
    for (place, token) in tokens.iter().enumerate() {
        if tokens.iter().take(place).any(|known| known.digest == token.digest) {
            return Err(faults.wrong(&at.index(place).key("sha256"), "each token once"));
        }
    }
    Ok(tokens)
}

fn static_token(raw: raw::StaticToken, at: &At<'_>, faults: &mut Faults) -> Result<StaticToken, Faulty> {
    let at_name = at.key("name");
    let name = faults
        .required(&at_name, raw.name, "a name for the client of the token")
        .and_then(|name| text::line(name, &at_name, faults));
    let digest = digest(raw.sha256, &at.key("sha256"), faults);
    let mut claims = Map::new();
    let mut fault = None;
    let at_claims = at.key("claims");
    for (name, values) in raw.claims.unwrap_or_default().0 {
        let at = at_claims.key(&name);
        if matches!(name.as_str(), "scopes" | "sub") {
            fault = Some(faults.wrong(&at, "another claim; `name` is the subject, and scopes are in `scp`"));
        }
        if let Err(faulty) = text::claim(&name, &at, faults) {
            fault = Some(faulty);
        }
        match allow::values(values, &at, faults) {
            Ok(values) => drop(claims.insert(name, Value::Array(values))),
            Err(faulty) => fault = Some(faulty),
        }
    }
    let at_end = at.key("expires_at");
    let mut end = |end| bounded(Some(end), limits::EXPIRES_AT, "seconds since 1970", &at_end, faults);
    let expires_at = raw.expires_at.map(|seconds| end(seconds).map(UnixTime::from_secs)).transpose();
    let token = StaticToken { name: name?, digest: digest?, claims, expires_at: expires_at? };
    fault.map_or(Ok(token), Err)
}

/// The digest of a token. A wrong value is not shown: it may be the token itself.
fn digest(text: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<[u8; 32], Faulty> {
    const EXPECTED: &str = "a SHA-256 digest of 64 hex digits";
    let text = faults.required(at, text, EXPECTED)?;
    let mut digest = [0; 32];
    let read = base16ct::mixed::decode(&text, &mut digest);
    if !read.is_ok_and(|bytes| bytes.len() == 32) {
        return Err(faults.wrong(at, EXPECTED));
    }
    if digest.starts_with(&OF_NOTHING) {
        return Err(faults.wrong(at, "the digest of a token; this is the digest of an empty text"));
    }
    Ok(digest)
}

/// The name of the token cookie, which is none of this filter's own.
#[inline(never)]
pub(super) fn token_cookie(
    name: Option<String>,
    session: &SessionSettings,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Option<String>, Faulty> {
    let ours = session.cookies.name();
    let is_ours = |name: &str| name.starts_with(ours) || session.has_cookie(name.as_bytes());
    match name {
        Some(name) if name.len() > limits::MAX_NAME || !text::is_token(&name) || is_ours(&name) => {
            let max = limits::MAX_NAME;
            let expected =
                format!("the name of a cookie, of at most {max} characters, that does not begin with {ours}");
            Err(faults.wrong_value(at, expected, &name))
        }
        name => Ok(name),
    }
}
