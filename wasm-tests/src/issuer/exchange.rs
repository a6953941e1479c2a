//! Token exchange (RFC 8693) at the token endpoint.

use serde_json::json;

use super::{State, client::refuse, json_response};
use crate::http1::{Request, single};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token that was given in exchange for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// The token.
    pub token: String,
    /// The audience that it is for.
    pub audience: String,
    /// The token that it was exchanged for.
    pub subject: String,
}

/// Whether a request to the token endpoint is an exchange.
pub(super) fn is_exchange(request: &Request) -> bool {
    request.form().iter().any(|(name, value)| name == "grant_type" && value == GRANT)
}

/// Gives a token for one of the audiences that the terms have, in exchange for an access token of a sign-in that goes on or of an
/// API client.
pub(super) fn exchange(state: &mut State, form: &[(String, String)]) -> Vec<u8> {
    let parameter = |name: &str| single(form, name).unwrap_or_default();
    let (subject, audience) = (parameter("subject_token"), parameter("audience"));
    let is_of_user = || {
        let known = state.access_tokens.iter().find(|(token, _)| token == subject);
        known.is_some_and(|(_, sign_in)| !state.sign_ins[*sign_in].over)
    };
    let is_known = state.client_tokens.iter().any(|token| token == subject) || is_of_user();
    if parameter("subject_token_type") != ACCESS_TOKEN || !is_known {
        // RFC 8693, 2.2.2.
        return refuse(400, "invalid_request");
    }
    if !state.terms.exchange_audiences.contains(&audience) {
        return refuse(400, "invalid_target");
    }
    let token = state.secret("exchanged");
    let exchanged = Exchanged { token: token.clone(), audience: audience.to_owned(), subject: subject.to_owned() };
    state.exchanged.push(exchanged);
    let mut answer = json!({"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"});
    if let Some(value) = &state.terms.exchange_expires_in {
        answer["expires_in"] = value.clone();
    }
    json_response(200, &answer)
}
