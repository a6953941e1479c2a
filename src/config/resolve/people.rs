//! How people sign in and out, and what scripts may know of them.

use super::{
    super::{
        NamedValue, SignInSettings, SignOutSettings,
        fault::{At, Faults, Faulty},
        raw,
    },
    each, few, text,
};
use crate::{
    claims::ClaimPath,
    http::parse_url,
    provider::{Protocol, Provider},
};

/// Whether Envoy hands over bodies while headers are held, as the operator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bodies(pub(super) bool);

impl Bodies {
    /// A setting that needs them.
    fn needed_for(self, wanted: Option<bool>, at: &At<'_>, faults: &mut Faults) -> Result<bool, Faulty> {
        if wanted == Some(true) && !self.0 {
            let expected = "false, or `allow_on_headers_stop_iteration: true` both here, at the top, and beside \
                            `failure_policy` in Envoy's configuration of the filter: without it no body can be read";
            return Err(faults.wrong(at, expected));
        }
        Ok(wanted.unwrap_or(false))
    }
}

/// How people sign in.
pub(super) fn sign_in(
    raw: raw::SignIn,
    at: &At<'_>,
    bodies: Bodies,
    faults: &mut Faults,
) -> Result<SignInSettings, Faulty> {
    let keep_forms = bodies.needed_for(raw.keep_forms, &at.key("keep_forms"), faults);
    Ok(SignInSettings { keep_fragment: raw.keep_fragment.unwrap_or(false), keep_forms: keep_forms? })
}

/// How they sign out.
pub(super) fn sign_out(
    raw: raw::SignOut,
    at: &At<'_>,
    bodies: Bodies,
    faults: &mut Faults,
) -> Result<SignOutSettings, Faulty> {
    let back_channel = bodies.needed_for(raw.back_channel, &at.key("back_channel"), faults);
    let return_to = return_to(raw.return_to.unwrap_or_default(), &at.key("return_to"), faults);
    Ok(SignOutSettings {
        at_provider: raw.at_provider.unwrap_or(true),
        return_to: return_to?,
        revoke: raw.revoke.unwrap_or(false),
        back_channel: back_channel?,
        front_channel: raw.front_channel.unwrap_or(false),
    })
}

/// What another setting leaves without any effect is refused: whoever wrote it counts on it.
pub(super) fn in_vain(sign_out: &SignOutSettings, providers: &[Provider], refreshes: bool, faults: &mut Faults) {
    let (at_sign_out, at_providers) = (At::Root.key("sign_out"), At::Root.key("providers"));
    if sign_out.revoke && !refreshes {
        let expected = "false, because session.refresh is false: there is no refresh token to revoke";
        faults.wrong(&at_sign_out.key("revoke"), expected);
    }
    for (place, provider) in providers.iter().enumerate() {
        let at = at_providers.index(place);
        let Some(settings) = provider.openid() else { continue };
        if !sign_out.revoke && settings.endpoints.revocation.is_some() {
            let expected = "no URL, because nothing is revoked without sign_out.revoke: true";
            faults.wrong(&at.key("revocation_endpoint"), expected);
        }
        if !sign_out.at_provider && settings.endpoints.end_session.is_some() {
            faults.wrong(&at.key("end_session_endpoint"), "no URL, because sign_out.at_provider is false");
        }
    }
    if providers.iter().all(|provider| matches!(provider.protocol, Protocol::GitHub(_))) && !providers.is_empty() {
        let of_others = [
            (sign_out.back_channel, "back_channel"),
            (sign_out.front_channel, "front_channel"),
            (sign_out.revoke, "revoke"),
        ];
        for (is_on, field) in of_others {
            if is_on {
                faults.wrong(&at_sign_out.key(field), "false, because GitHub has nothing of the kind");
            }
        }
    }
}

/// What to tell an operator whose app takes people of different providers for one: only `iss` and `sub` together name
/// somebody (OIDC Core 5.7), and an address is whatever a provider says it is.
pub(super) fn mistakable(providers: &[Provider], headers: &[NamedValue]) -> Option<String> {
    let mut tells_issuer = headers.is_empty();
    each_path(headers, &mut |path| tells_issuer |= path.name() == "iss");
    (providers.len() > 1 && !tells_issuer).then(|| {
        "identity_headers: none carries `iss`, so the app takes people of different providers for one who have the same sub or \
         email"
            .to_owned()
    })
}

/// Targets are compared with these as texts, so each must be written as a browser would write it: `https://a.example`
/// without its slash would allow `https://a.example.evil.example/`.
fn return_to(urls: Vec<String>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    few(urls.len(), at, faults)?;
    each(urls, at, faults, target)
}

fn target(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    text::url_text(&text, at, faults)?;
    let url = parse_url(&text).filter(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !text.contains('*')
    });
    match url {
        Some(url) if url.as_str() == text => Ok(text),
        Some(url) => Err(text::wrong_url(&text, format!("{url}, as browsers write it"), at, faults)),
        None => {
            let expected = "an http or https URL without user name, query, fragment and wildcard (what ends in `/` stands \
                            for all below it, and paths of this site need not be listed)";
            Err(text::wrong_url(&text, expected, at, faults))
        }
    }
}

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
