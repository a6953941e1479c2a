//! The claims that a session keeps, and those that the userinfo endpoint of this filter shows.

use super::{
    super::{
        Config, NamedValue,
        fault::{At, Faults, Faulty},
    },
    bounds::{limit_entries, resolve_each},
    text,
};
use crate::{
    claims::{ClaimPath, LEFT_OUT},
    provider::Provider,
    provisioning::{ATTRIBUTES, Provisioning},
    rules::Rules,
};

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

/// The claims that a session keeps.
pub(super) struct KeptClaims {
    pub(super) names: Vec<String>,
    /// Whether it keeps the attributes that the app gives its users.
    pub(super) attributes: bool,
}

/// The claims that a session must keep: for the outputs, for rules and for renewals. `email_verified` is among them, without
/// which an address does not count.
#[inline(never)]
pub(super) fn kept_claims(
    outputs: [&[NamedValue]; 2],
    userinfo: &[String],
    rules: &Rules,
    providers: &[Provider],
    provisioning: Option<&Provisioning>,
) -> KeptClaims {
    let mut names = vec!["email_verified".to_owned()];
    for values in outputs {
        each_path(values, &mut |path| keep(path.name(), &mut names));
    }
    userinfo.iter().for_each(|claim| keep(claim, &mut names));
    each_condition_claim(rules, providers, &mut |name| keep(name, &mut names));
    if providers.iter().any(Provider::asks_userinfo) {
        // A renewal without an ID token needs the distributed claims of the first one.
        LEFT_OUT.iter().for_each(|name| keep(name, &mut names));
    }
    if providers.iter().any(Provider::has_many_tenants) {
        // A renewal must be of the same tenant.
        keep("iss", &mut names);
    }
    let mut attributes = false;
    if let Some(provisioning) = provisioning {
        // `attributes` is the app's, not a claim of this name from the provider.
        attributes = names.iter().any(|name| name == ATTRIBUTES);
        names.retain(|name| name != ATTRIBUTES);
        provisioning.endpoint.claims.iter().for_each(|name| keep(name, &mut names));
    }
    KeptClaims { names, attributes }
}

/// Calls `with` for the name of each claim in conditions of rules and providers.
pub(super) fn each_condition_claim(rules: &Rules, providers: &[Provider], with: &mut dyn FnMut(&str)) {
    rules.each_claim(with);
    providers.iter().filter_map(|provider| provider.allow.as_ref()).for_each(|allow| allow.each_claim(with));
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
    each_condition_claim(&config.rules, &config.providers, &mut |name| keep(name, &mut asked));
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
