//! How users sign out.

use super::{
    super::{
        SignOutSettings,
        fault::{At, Faults, Faulty},
        raw,
    },
    return_targets::return_to,
    sign_in::Bodies,
};
use crate::provider::Provider;

#[inline(never)]
pub(super) fn sign_out(
    raw: raw::SignOut,
    at: &At<'_>,
    bodies: Bodies,
    providers: &[Provider],
    refreshes: bool,
    faults: &mut Faults,
) -> Result<SignOutSettings, Faulty> {
    let back_channel = bodies.required_by(raw.back_channel, &at.key("back_channel"), faults);
    let return_to = return_to(raw.return_to.unwrap_or_default(), &at.key("return_to"), faults);
    let is_misread = faults.any_within(at) || faults.any_within(&At::Root.key("session").key("refresh"));
    let settings = SignOutSettings {
        at_provider: raw.at_provider.unwrap_or(true),
        return_to: return_to?,
        revoke: raw.revoke.unwrap_or(false),
        back_channel: back_channel?,
        front_channel: raw.front_channel.unwrap_or(false),
        security_events: providers.iter().any(|provider| provider.transmitter.is_some()),
    };
    if !is_misread {
        refuse_ineffective_settings(&settings, providers, refreshes, faults);
    }
    Ok(settings)
}

/// Refuses settings that another setting makes ineffective: the operator relies on them.
fn refuse_ineffective_settings(
    sign_out: &SignOutSettings,
    providers: &[Provider],
    refreshes: bool,
    faults: &mut Faults,
) {
    let (at_sign_out, at_providers) = (At::Root.key("sign_out"), At::Root.key("providers"));
    if sign_out.revoke && !refreshes {
        let expected = "false, because session.refresh is false: there is no refresh token to revoke";
        faults.wrong(&at_sign_out.key("revoke"), expected);
    }
    for (place, provider) in providers.iter().enumerate() {
        let at = at_providers.index(place);
        let [end_session, revocation] = provider.configured_sign_out();
        if !sign_out.revoke && revocation.is_some() {
            let expected = "no URL, because nothing is revoked without sign_out.revoke: true";
            faults.wrong(&at.key("revocation_endpoint"), expected);
        }
        if !sign_out.at_provider && end_session.is_some() {
            faults.wrong(&at.key("end_session_endpoint"), "no URL, because sign_out.at_provider is false");
        }
    }
    if providers.is_empty() {
        return;
    }
    let speak_openid = providers.iter().any(|provider| provider.openid().is_some());
    let may_revoke = speak_openid || providers.iter().any(|provider| provider.configured_sign_out()[1].is_some());
    let settings = [
        (sign_out.back_channel && !speak_openid, "back_channel", "a provider of `type: oidc`"),
        (sign_out.front_channel && !speak_openid, "front_channel", "a provider of `type: oidc`"),
        (sign_out.revoke && !may_revoke, "revoke", "a provider with a revocation_endpoint"),
    ];
    for (_, field, needed) in settings.into_iter().filter(|(is_ineffective, ..)| *is_ineffective) {
        faults.wrong(&at_sign_out.key(field), format!("false, because it needs {needed}, and there is none"));
    }
}
