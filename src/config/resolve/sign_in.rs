//! How users sign in, and the bodies of requests that Envoy holds.

use super::super::{
    SignInSettings,
    fault::{At, Faults, Faulty},
    raw,
};

/// `allow_on_headers_stop_iteration`: whether Envoy passes the bodies of held requests to the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bodies(pub(super) bool);

impl Bodies {
    /// The value of a setting that requires bodies; a fault if it is on without them.
    pub(super) fn required_by(self, wanted: Option<bool>, at: &At<'_>, faults: &mut Faults) -> Result<bool, Faulty> {
        if wanted == Some(true) && !self.0 {
            let expected = "false, or `allow_on_headers_stop_iteration: true` both here, at the top, and beside \
                            `failure_policy` in Envoy's configuration of the filter: without it no body can be read";
            return Err(faults.wrong(at, expected));
        }
        Ok(wanted.unwrap_or(false))
    }
}

#[inline(never)]
pub(super) fn sign_in(
    raw: raw::SignIn,
    at: &At<'_>,
    bodies: Bodies,
    faults: &mut Faults,
) -> Result<SignInSettings, Faulty> {
    let keep_forms = bodies.required_by(raw.keep_forms, &at.key("keep_forms"), faults);
    Ok(SignInSettings { keep_fragment: raw.keep_fragment.unwrap_or(false), keep_forms: keep_forms? })
}
