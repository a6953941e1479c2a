//! The refresh grant (RFC 6749, 6) and the revocation endpoint (RFC 7009).

use super::{
    State,
    client::{client_form, refuse},
    sign_in::By,
    terms::Rotation,
    tokens::tokens,
};
use crate::http1::{Request, response, single};

/// The refresh requests so far, by their outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshes {
    /// All requests with this grant.
    pub asked: usize,
    /// Requests that got tokens.
    pub granted: usize,
    /// Requests that were refused with `invalid_grant`. Responses of a [`super::Fault`] are counted in `asked` only.
    pub refused: usize,
    /// Refused requests whose refresh token had been used before.
    pub reused: usize,
}

/// Whether a request to the token endpoint is a refresh.
pub(super) fn is_refresh(request: &Request) -> bool {
    request.form().iter().any(|(name, value)| name == "grant_type" && value == "refresh_token")
}

/// Gives new tokens for a refresh token.
pub(super) fn refresh(state: &mut State, form: &[(String, String)]) -> Vec<u8> {
    let presented = single(form, "refresh_token").unwrap_or_default();
    let rotation = state.terms.rotation;
    let Some(token) = state.refresh_tokens.get_mut(presented) else { return refused(state) };
    let sign_in = token.sign_in;
    if token.used {
        state.refreshes.reused += 1;
        state.sign_ins[sign_in].reused = true;
        state.sign_ins[sign_in].over |= rotation == Rotation::RotatingOrEnding;
        return refused(state);
    }
    if token.revoked || state.sign_ins[sign_in].over {
        return refused(state);
    }
    if matches!(rotation, Rotation::Rotating | Rotation::RotatingOrEnding) {
        token.used = true;
    }
    state.presented = presented.to_owned();
    state.refreshes.granted += 1;
    tokens(state, sign_in, By::Refresh)
}

fn refused(state: &mut State) -> Vec<u8> {
    state.refreshes.refused += 1;
    refuse(400, "invalid_grant")
}

/// Revokes a token. The response to an unknown one is the same (RFC 7009, 2.2).
pub(super) fn revoke(state: &mut State, request: &Request) -> Vec<u8> {
    let form = match client_form(state, request) {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let Some(token) = single(&form, "token") else { return refuse(400, "invalid_request") };
    state.revoked.push(token.to_owned());
    if let Some(known) = state.refresh_tokens.get_mut(token) {
        known.revoked = true;
    }
    response(200, &[("cache-control", "no-store")], b"")
}
