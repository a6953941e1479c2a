//! The claims that a session keeps, and those that the userinfo endpoint of this filter shows.

use super::{
    super::{
        Config, NamedValue,
        fault::{At, Faults, Faulty},
    },
    each_condition_claim, limit_entries, resolve_each, text,
};
use crate::{claims::ClaimPath, provider::Provider};

/// Claims that providers send where a scope asks for them.
const OF_SCOPES: [&str; 2] = ["email", "groups"];
/// The default header of groups.
const GROUPS_HEADER: &str = "x-forwarded-groups";

/// The claims that `/oauth2/userinfo` returns, by default the whole claims of the identity headers.
#[inline(never)]
pub(super) fn userinfo_claims(
    claims: Option<Vec<String>>,
    headers: &Result<Vec<NamedValue>, Faulty>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<String>, Faulty> {
    let Some(claims) = claims else {
        let headers = headers.as_ref().map(Vec::as_slice).unwrap_or_default();
        // If the app receives a part of a claim, scripts do not receive the whole.
        let mut claims = Vec::new();
        each_path(headers, &mut |path| {
            if path.is_whole() {
                keep(path.name(), &mut claims);
            }
        });
        return Ok(claims);
    };
    names(claims, at, faults)
}

/// A list of names of whole claims.
pub(super) fn names(claims: Vec<String>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    limit_entries(claims.len(), at, faults)?;
    resolve_each(claims, at, faults, |claim, at, faults| text::claim(&claim, at, faults).map(|()| claim))
}

/// The claims that a session must keep for these outputs, and `email_verified`, without which an address does not
/// count.
pub(super) fn kept_claims(headers: &[NamedValue], state: &[NamedValue], userinfo: &[String]) -> Vec<String> {
    let mut kept = vec!["email_verified".to_owned()];
    for values in [headers, state] {
        each_path(values, &mut |path| keep(path.name(), &mut kept));
    }
    userinfo.iter().for_each(|claim| keep(claim, &mut kept));
    kept
}

pub(super) fn each_path(values: &[NamedValue], with: &mut dyn FnMut(&ClaimPath)) {
    values.iter().for_each(|known| known.value.each_path(with));
}

/// Adds a claim unless it is already kept.
pub(super) fn keep(claim: &str, kept: &mut Vec<String>) {
    if !kept.iter().any(|known| known == claim) {
        kept.push(claim.to_owned());
    }
}

/// The claims of [`OF_SCOPES`] that headers, filter state or conditions ask for. Most providers have no groups, so the default
/// headers do not expect them.
pub(super) fn expected_claims(config: &Config, has_default_headers: bool) -> Vec<&'static str> {
    let mut asked = Vec::new();
    let headers = config.identity_headers.iter().filter(|header| !has_default_headers || header.name != GROUPS_HEADER);
    let values: Vec<_> = headers.chain(&config.filter_state.claims).cloned().collect();
    each_path(&values, &mut |path| keep(path.name(), &mut asked));
    each_condition_claim(config, &mut |name| keep(name, &mut asked));
    OF_SCOPES.into_iter().filter(|claim| asked.iter().any(|asked| asked == claim)).collect()
}

/// Warns if the app cannot tell users of different providers apart: only `iss` and `sub` together identify a user (OIDC
/// Core 5.7).
pub(super) fn missing_issuer_header(providers: &[Provider], headers: &[NamedValue]) -> Option<String> {
    let mut tells_issuer = headers.is_empty();
    each_path(headers, &mut |path| tells_issuer |= path.name() == "iss");
    (providers.len() > 1 && !tells_issuer).then(|| {
        "identity_headers: no header carries `iss`, so the app cannot tell apart users of different providers with the same sub or email"
            .to_owned()
    })
}
