//! The userinfo endpoint (OIDC Core 5.3).

use serde_json::Value;

use super::{State, json_response};
use crate::http1::{Request, response};

/// The claims of the user of an access token.
pub(super) fn answer(state: &State, request: &Request) -> Vec<u8> {
    let authorization = request.headers.text("authorization").unwrap_or_default();
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    match state.access_tokens.iter().find(|(known, _)| known == token) {
        Some((_, sign_in)) => json_response(200, &Value::Object(state.claims_of(*sign_in))),
        None => response(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], b""),
    }
}
