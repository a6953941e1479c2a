//! The claims that a session keeps, and those that the userinfo endpoint of this filter shows.

use super::{
    super::{
        NamedValue,
        fault::{At, Faults, Faulty},
    },
    each, few, text,
};
use crate::{claims::ClaimPath, oidc::Provider};

/// What scripts may know.
pub(super) fn userinfo_claims(
    claims: Option<Vec<String>>,
    headers: &Result<Vec<NamedValue>, Faulty>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<String>, Faulty> {
    let Some(claims) = claims else {
        let headers = headers.as_ref().map(Vec::as_slice).unwrap_or_default();
        // Of a claim of which the app gets a part scripts do not get the whole.
        let mut claims = Vec::new();
        each_path(headers, &mut |path| {
            if path.is_whole() {
                keep(path.name(), &mut claims);
            }
        });
        return Ok(claims);
    };
    few(claims.len(), at, faults)?;
    each(claims, at, faults, |claim, at, faults| text::claim(&claim, at, faults).map(|()| claim))
}

/// What a session must carry for them. An address counts only with what the provider says of it.
pub(super) fn kept_claims(headers: &[NamedValue], state: &[NamedValue], userinfo: &[String]) -> Vec<String> {
    let mut kept = vec!["email_verified".to_owned()];
    for values in [headers, state] {
        each_path(values, &mut |path| keep(path.name(), &mut kept));
    }
    userinfo.iter().for_each(|claim| keep(claim, &mut kept));
    kept
}

fn each_path(values: &[NamedValue], with: &mut dyn FnMut(&ClaimPath)) {
    values.iter().for_each(|known| known.value.each_path(with));
}

/// Keeps one more claim.
pub(super) fn keep(claim: &str, kept: &mut Vec<String>) {
    if !kept.iter().any(|known| known == claim) {
        kept.push(claim.to_owned());
    }
}

/// What to tell an operator whose app takes people of different providers for one: only `iss` and `sub` together name
/// somebody (OIDC Core 5.7), and an address is whatever a provider says it is.
pub(super) fn missing_issuer_header(providers: &[Provider], headers: &[NamedValue]) -> Option<String> {
    let mut tells_issuer = headers.is_empty();
    each_path(headers, &mut |path| tells_issuer |= path.name() == "iss");
    (providers.len() > 1 && !tells_issuer).then(|| {
        "identity_headers: none carries `iss`, so the app takes people of different providers for one who have the same sub or \
         email"
            .to_owned()
    })
}
