//! The refresh grant (RFC 6749, 6) and the revocation endpoint (RFC 7009).

use serde_json::{Value, json};

use super::{
    State,
    grant::{By, client_form, refuse, tokens},
    terms::{RefreshTokens, Rotation},
};
use crate::http1::{Request, response, single};

/// The refresh requests so far, by their outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshes {
    /// All requests with this grant.
    pub asked: usize,
    /// Those that were answered with tokens.
    pub granted: usize,
    /// Those that were refused with `invalid_grant`. The answers of a [`super::Fault`] count in `asked` only.
    pub refused: usize,
    /// Those of the refused with a token that had been used before.
    pub reused: usize,
}

/// A refresh token that was given out.
pub(super) struct RefreshToken {
    sign_in: usize,
    used: bool,
    revoked: bool,
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

/// A token answer with the refresh token that belongs into it.
pub(super) fn with_refresh_token(state: &mut State, sign_in: usize, by: By, mut answer: Value) -> Value {
    let wanted = match state.terms.refresh_tokens {
        RefreshTokens::Always => true,
        RefreshTokens::Never => false,
        RefreshTokens::OfflineAccess => state.sign_ins[sign_in].scope.split(' ').any(|scope| scope == "offline_access"),
    };
    let new = by == By::Code || matches!(state.terms.rotation, Rotation::Rotating | Rotation::RotatingOrEnding);
    if wanted && new {
        let token = state.secret("refresh-token");
        state.refresh_tokens.insert(token.clone(), RefreshToken { sign_in, used: false, revoked: false });
        answer["refresh_token"] = json!(token);
    } else if by == By::Refresh && state.terms.rotation == Rotation::Repeated {
        answer["refresh_token"] = json!(state.presented);
    }
    answer
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
