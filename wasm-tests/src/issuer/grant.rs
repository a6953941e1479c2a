//! The authorization endpoint, and the token endpoint with its code grant.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use url::Url;

use super::{CLIENT_ID, Fault, State, exchange, json_response, refresh, token};
use crate::{
    http1::{Request, form, response, single},
    keys::{base64url, sha256},
};

/// The sign-in that a code was issued for.
pub(super) struct Grant {
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
    scope: String,
    /// The user who was named at the authorization endpoint.
    user: Option<Map<String, Value>>,
    redeemed: bool,
}

/// A sign-in: the code that was redeemed, and every refresh since.
pub(super) struct SignedIn {
    pub(super) sid: String,
    pub(super) auth_time: i64,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) user: Map<String, Value>,
    /// Whether its refresh tokens are no longer valid.
    pub(super) over: bool,
    /// Whether a refresh token of it came twice.
    pub(super) reused: bool,
}

impl SignedIn {
    pub(super) fn sub(&self) -> Option<&str> {
        self.user.get("sub").and_then(Value::as_str)
    }
}

/// The grant of a token request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Code,
    Refresh,
}

/// Signs the user in at once and sends the browser back (RFC 6749, 4.1.2, and RFC 9207): the one whom `login_hint` names (OIDC
/// Core 3.1.2.1), or the one who is set.
pub(super) fn authorize(state: &mut State, request: &Request) -> Vec<u8> {
    let query = request.query();
    let parameter = |name: &str| single(&query, name).map(str::to_owned);
    let wanted = [("response_type", "code"), ("client_id", CLIENT_ID), ("code_challenge_method", "S256")];
    for (name, value) in wanted {
        if parameter(name).as_deref() != Some(value) {
            return response(400, &[], format!("{name} is not {value}").as_bytes());
        }
    }
    let (Some(redirect_uri), Some(challenge), Some(scope)) =
        (parameter("redirect_uri"), parameter("code_challenge"), parameter("scope"))
    else {
        return response(400, &[], b"redirect_uri, code_challenge or scope is missing");
    };
    let Ok(mut back) = Url::parse(&redirect_uri) else { return response(400, &[], b"redirect_uri is no URL") };
    state.origins.insert(back.origin().ascii_serialization());
    let code = state.secret("code");
    let user = parameter("login_hint").map(|sub| named(&sub));
    let grant = Grant { redirect_uri, challenge, nonce: parameter("nonce"), scope, user, redeemed: false };
    state.grants.insert(code.clone(), grant);

    let mut answer = vec![("code".to_owned(), code)];
    answer.extend(parameter("state").map(|state| ("state".to_owned(), state)));
    answer.push(("iss".to_owned(), state.url.clone()));
    for fault in &state.faults {
        if let Fault::Response(change) = fault {
            change(&mut answer);
        }
    }
    back.query_pairs_mut().extend_pairs(answer);
    response(302, &[("location", back.as_str()), ("cache-control", "no-store")], b"")
}

/// The claims of a user of this name.
fn named(sub: &str) -> Map<String, Value> {
    [("sub", json!(sub)), ("email", json!(format!("{sub}@example.com"))), ("groups", json!(["staff"]))]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// Answers a grant.
pub(super) fn token(state: &mut State, request: &Request) -> Vec<u8> {
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
    json_response(200, &refresh::with_refresh_token(state, sign_in, by, answer))
}

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

/// 128 bits as text.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).expect("randomness");
    base64url(&bytes)
}

impl State {
    /// A new value that must stay between the issuer and the filter.
    pub(super) fn secret(&mut self, what: &str) -> String {
        let secret = format!("canary-{what}-{}", random());
        self.secrets.push(secret.clone());
        secret
    }
}
