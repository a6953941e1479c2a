//! Authentication of the client at the token and revocation endpoints (RFC 6749, 2.3).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{CLIENT_ID, State, json_response};
use crate::http1::{Request, form, single};

pub(super) fn refuse(status: u16, error: &str) -> Vec<u8> {
    json_response(status, &json!({"error": error}))
}

/// The form of a request that our client has authenticated.
pub(super) fn client_form(state: &State, request: &Request) -> Result<Vec<(String, String)>, Vec<u8>> {
    let kind = request.headers.text("content-type");
    let kind = kind.as_deref().and_then(|value| value.split(';').next());
    if request.method != "POST" || kind != Some("application/x-www-form-urlencoded") {
        return Err(refuse(400, "invalid_request"));
    }
    let form = request.form();
    let is_public = state.terms.public_clients && single(&form, "client_secret").is_none();
    let is_client = is_public && is_named(request, &form) || authenticated(request, &form, &state.client_secret);
    if is_client { Ok(form) } else { Err(refuse(401, "invalid_client")) }
}

/// Whether the form names our client, and nothing else does.
fn is_named(request: &Request, form: &[(String, String)]) -> bool {
    !request.headers.has("authorization") && single(form, "client_id") == Some(CLIENT_ID)
}

fn authenticated(request: &Request, form: &[(String, String)], expected: &str) -> bool {
    let posted = single(form, "client_secret");
    match request.headers.text("authorization") {
        Some(authorization) => posted.is_none() && basic(&authorization, expected).is_some(),
        None => is_named(request, form) && posted == Some(expected),
    }
}

fn basic(authorization: &str, expected: &str) -> Option<()> {
    let decoded = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let decode = |text: &str| form(format!("x={text}").as_bytes()).pop().map(|(_, value)| value);
    let plain = |text: &str| !text.contains(['&', '=', ' ', '/', ':']);
    (plain(id) && plain(secret) && decode(id)? == CLIENT_ID && decode(secret)? == expected).then_some(())
}
