//! The end of a session: `end_session_endpoint` (OIDC RP-Initiated Logout 1.0), and logout tokens (OIDC Back-Channel
//! Logout 1.0).

use serde_json::{Map, Value, json};
use url::Url;

use super::{
    CLIENT_ID, IdToken, State,
    terms::LogoutState,
    token::{self, blank},
};
use crate::{
    http1::{Request, response, single},
    keys::random,
};

/// The member of `events` that makes a token a logout token.
pub const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Seconds from `iat` to `exp` of a logout token.
const LOGOUT_TOKEN_SECONDS: i64 = 120;

/// Signs the browser out at once and sends it back.
pub(super) fn end_session(state: &mut State, request: &Request) -> Vec<u8> {
    let parameters = if request.method == "POST" { request.form() } else { request.query() };
    let parameter = |name: &str| single(&parameters, name);
    let refuse = |why: &str| response(400, &[("content-type", "text/plain")], why.as_bytes());
    if let Some(hint) = parameter("id_token_hint")
        && !state.id_tokens.iter().any(|issued| issued == hint)
    {
        return refuse("id_token_hint was not issued here");
    }
    if parameter("client_id").is_some_and(|id| id != CLIENT_ID) {
        return refuse("unknown client_id");
    }
    let Some(target) = parameter("post_logout_redirect_uri") else {
        return response(200, &[("content-type", "text/html")], b"<!doctype html><h1>Signed out at the provider</h1>");
    };
    if parameter("id_token_hint").or(parameter("client_id")).is_none() {
        return refuse("post_logout_redirect_uri of an unknown client");
    }
    let Ok(mut back) = Url::parse(target) else { return refuse("post_logout_redirect_uri is no URL") };
    let allowed = match &state.terms.post_logout_redirect_uris {
        Some(list) => list.iter().any(|registered| registered == target),
        None => state.origins.contains(&back.origin().ascii_serialization()),
    };
    if !allowed {
        return refuse("post_logout_redirect_uri is not registered");
    }
    let answer = match &state.terms.logout_state {
        LogoutState::AsGiven => parameter("state"),
        LogoutState::Missing => None,
        LogoutState::Other(other) => Some(other.as_str()),
    };
    if let Some(answer) = answer {
        back.query_pairs_mut().append_pair("state", answer);
    }
    response(302, &[("location", back.as_str()), ("cache-control", "no-store")], b"")
}

/// The logout token for this user's session, changed at the end.
pub(super) fn token(
    state: &mut State,
    sub: Option<&str>,
    sid: Option<&str>,
    change: impl FnOnce(&mut IdToken),
) -> String {
    let now = state.now();
    let mut claims = Map::new();
    for (name, value) in [
        ("iss", json!(state.url)),
        ("aud", json!(CLIENT_ID)),
        ("iat", json!(now)),
        ("exp", json!(now + LOGOUT_TOKEN_SECONDS)),
        ("jti", json!(random())),
        ("events", json!({LOGOUT_EVENT: {}})),
    ] {
        claims.insert(name.to_owned(), value);
    }
    for (name, value) in [("sub", sub), ("sid", sid)] {
        if let Some(value) = value {
            claims.insert(name.to_owned(), Value::from(value));
        }
    }
    let mut logout = blank(state, claims);
    logout.header.insert("typ".to_owned(), json!("logout+jwt"));
    change(&mut logout);
    let compact = token::finished(state, &logout);
    state.secrets.push(compact.clone());
    compact
}
