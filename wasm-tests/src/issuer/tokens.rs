//! The tokens of a sign-in, as its code and its refreshes are answered with them (RFC 6749, 5.1).

use serde_json::{Value, json};

use super::{
    State, json_response,
    sign_in::{By, RefreshToken},
    terms::{RefreshTokens, Rotation},
    token,
};

/// New tokens for a sign-in.
pub(super) fn tokens(state: &mut State, sign_in: usize, by: By) -> Vec<u8> {
    let access_token = state.secret("access-token");
    state.access_tokens.push((access_token.clone(), sign_in));
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "scope": state.sign_ins[sign_in].scope,
    });
    let expires_in = if by == By::Code { &state.terms.expires_in } else { &state.terms.refresh_expires_in };
    if let Some(value) = expires_in {
        answer["expires_in"] = value.clone();
    }
    if by == By::Code || state.terms.refresh_id_token {
        let id_token = token::issue(state, sign_in, by, &access_token);
        state.secrets.push(id_token.clone());
        state.id_tokens.push(id_token.clone());
        answer["id_token"] = json!(id_token);
    }
    json_response(200, &with_refresh_token(state, sign_in, by, answer))
}

/// A token answer with the refresh token that belongs into it.
fn with_refresh_token(state: &mut State, sign_in: usize, by: By, mut answer: Value) -> Value {
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
