//! The token endpoint, with its code grant.

use super::{
    State,
    client::{client_form, refuse},
    exchange, refresh,
    sign_in::{By, SignedIn},
    tokens::tokens,
};
use crate::{
    http1::{Request, single},
    keys::{base64url, random, sha256},
};

/// Answers a token request.
pub(super) fn answer(state: &mut State, request: &Request) -> Vec<u8> {
    let form = match client_form(state, request) {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    match single(&form, "grant_type") {
        Some("authorization_code") => redeem(state, &form),
        Some("refresh_token") => refresh::refresh(state, &form),
        Some(_) if exchange::is_exchange(request) => exchange::exchange(state, &form),
        _ => refuse(400, "unsupported_grant_type"),
    }
}

/// Redeems a code (RFC 6749, 4.1.3, and RFC 7636, 4.6).
fn redeem(state: &mut State, form: &[(String, String)]) -> Vec<u8> {
    let parameter = |name: &str| single(form, name).unwrap_or_default();
    let verifier = parameter("code_verifier");
    state.secrets.push(verifier.to_owned());
    let Some(grant) = state.grants.get_mut(parameter("code")) else { return refuse(400, "invalid_grant") };
    let valid = !grant.redeemed
        && grant.redirect_uri == parameter("redirect_uri")
        && (43..=128).contains(&verifier.len())
        && grant.challenge == base64url(&sha256(verifier.as_bytes()));
    if !valid {
        return refuse(400, "invalid_grant");
    }
    grant.redeemed = true;
    let (nonce, scope) = (grant.nonce.clone(), grant.scope.clone());
    let user = grant.user.clone().unwrap_or_else(|| state.user.clone());
    let (sid, auth_time) = (random(), state.now());
    state.sign_ins.push(SignedIn { sid, auth_time, nonce, scope, user, over: false, reused: false });
    tokens(state, state.sign_ins.len() - 1, By::Code)
}
