//! How users sign in, and the bodies of requests that Envoy holds.

use super::{
    super::{
        SignInSettings,
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::resolve_each,
    limits,
    return_targets::return_to,
    text,
};
use crate::{oidc::authorization::OWN_PARAMETERS, origin::Origins};

/// `allow_on_headers_stop_iteration`: whether Envoy passes the bodies of held requests to the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bodies(pub(super) bool);

impl Bodies {
    /// The value of a setting that requires bodies; a fault if it is on without them.
    pub(super) fn required_by(self, wanted: Option<bool>, at: &At<'_>, faults: &mut Faults) -> Result<bool, Faulty> {
        self.require(wanted.unwrap_or(false), "false", at, faults)
    }

    /// Whether responses are posted; a fault if they are without bodies.
    pub(super) fn required_by_form_post(self, wanted: bool, at: &At<'_>, faults: &mut Faults) -> Result<bool, Faulty> {
        self.require(wanted, "query", at, faults)
    }

    /// Checks that bodies can be read, where security events are taken.
    pub(super) fn required_by_security_events(self, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
        self.require(true, "nothing", at, faults).map(|_| ())
    }

    fn require(self, wanted: bool, otherwise: &str, at: &At<'_>, faults: &mut Faults) -> Result<bool, Faulty> {
        if wanted && !self.0 {
            let expected = format!(
                "{otherwise}, or `allow_on_headers_stop_iteration: true` both here, at the top, and beside \
                 `failure_policy` in Envoy's configuration of the filter: without it no body can be read"
            );
            return Err(faults.wrong(at, expected));
        }
        Ok(wanted)
    }
}

#[inline(never)]
pub(super) fn sign_in(
    raw: raw::SignIn,
    at: &At<'_>,
    bodies: Bodies,
    origins: Option<&Origins>,
    faults: &mut Faults,
) -> Result<SignInSettings, Faulty> {
    let keep_forms = bodies.required_by(raw.keep_forms, &at.key("keep_forms"), faults);
    let pass_parameters = pass_parameters(raw.pass_parameters.unwrap_or_default(), &at.key("pass_parameters"), faults);
    let return_to = return_to(raw.return_to.unwrap_or_default(), &at.key("return_to"), faults);
    for (place, url) in return_to.iter().flatten().enumerate() {
        if origins.is_some_and(|origins| origins.split(url).is_some()) {
            faults.wrong_value(
                &at.key("return_to").index(place),
                "no URL of this site, whose paths need not be listed",
                url,
            );
        }
    }
    Ok(SignInSettings {
        pass_parameters: pass_parameters?,
        return_to: return_to?,
        keep_fragment: raw.keep_fragment.unwrap_or(false),
        keep_forms: keep_forms?,
    })
}

/// Parameters that the start path or the authorization request has for itself cannot be passed on.
fn pass_parameters(names: Vec<String>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    const OF_START: [&str; 4] = ["rd", "provider", "session", "step_up"];
    if names.len() > limits::MAX_PASSED {
        return Err(faults.wrong(at, format!("at most {} names, got {}", limits::MAX_PASSED, names.len())));
    }
    let mut known = Vec::new();
    resolve_each(names, at, faults, |name, at, faults| {
        if known.contains(&name) {
            return Err(faults.wrong_value(at, "each parameter once", &name));
        }
        known.push(name.clone());
        if OWN_PARAMETERS.contains(&name.as_str()) || OF_START.contains(&name.as_str()) || name == "client_secret" {
            return Err(faults.wrong_value(at, "another parameter: this one is set by the filter", &name));
        }
        if name.is_empty() || name.len() > limits::MAX_NAME || !text::is_nqchar(&name) {
            return Err(faults.wrong_value(at, "the name of a parameter, such as login_hint", &name));
        }
        Ok(name)
    })
}
