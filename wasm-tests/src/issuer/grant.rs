//! The authorization endpoint and the token endpoint.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use url::Url;

use super::{CLIENT_ID, CLIENT_SECRET, Fault, State, json_response, token};
use crate::{
    http1::{Request, form, response, single},
    keys::{base64url, sha256},
};

/// What a code stands for.
pub(super) struct Grant {
    redirect_uri: String,
    challenge: String,
    pub(super) nonce: Option<String>,
    scope: String,
    redeemed: bool,
}

/// Signs the user in at once and sends the browser back (RFC 6749, 4.1.2, and RFC 9207).
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
    let code = state.secret("code");
    let grant =
        Grant { redirect_uri: redirect_uri.clone(), challenge, nonce: parameter("nonce"), scope, redeemed: false };
    state.grants.insert(code.clone(), grant);

    let mut answer = vec![("code".to_owned(), code)];
    answer.extend(parameter("state").map(|state| ("state".to_owned(), state)));
    answer.push(("iss".to_owned(), state.url.clone()));
    for fault in &state.faults {
        if let Fault::Response(change) = fault {
            change(&mut answer);
        }
    }
    let Ok(mut back) = Url::parse(&redirect_uri) else { return response(400, &[], b"redirect_uri is no URL") };
    back.query_pairs_mut().extend_pairs(answer);
    response(302, &[("location", back.as_str()), ("cache-control", "no-store")], b"")
}

/// Redeems a code (RFC 6749, 4.1.3, and RFC 7636, 4.6).
pub(super) fn token(state: &mut State, request: &Request) -> Vec<u8> {
    let refuse = |status, error: &str| json_response(status, &json!({"error": error}));
    if request.method != "POST"
        || request.headers.text("content-type").as_deref().map(|value| value.split(';').next().unwrap_or_default())
            != Some("application/x-www-form-urlencoded")
    {
        return refuse(400, "invalid_request");
    }
    let form = request.form();
    if !authenticated(request, &form) {
        return refuse(401, "invalid_client");
    }
    let parameter = |name: &str| single(&form, name).unwrap_or_default();
    if parameter("grant_type") != "authorization_code" {
        return refuse(400, "unsupported_grant_type");
    }
    let verifier = parameter("code_verifier");
    state.secrets.push(verifier.to_owned());
    let code = parameter("code");
    let Some(grant) = state.grants.get_mut(code) else { return refuse(400, "invalid_grant") };
    let valid = !grant.redeemed
        && grant.redirect_uri == parameter("redirect_uri")
        && (43..=128).contains(&verifier.len())
        && grant.challenge == base64url(&sha256(verifier.as_bytes()));
    if !valid {
        return refuse(400, "invalid_grant");
    }
    grant.redeemed = true;
    let (nonce, scope) = (grant.nonce.clone(), grant.scope.clone());
    let access_token = state.secret("access-token");
    let id_token = token::issue(state, nonce.as_deref(), &access_token);
    state.secrets.push(id_token.clone());
    json_response(
        200,
        &json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": id_token,
            "scope": scope,
        }),
    )
}

fn authenticated(request: &Request, form: &[(String, String)]) -> bool {
    let posted = single(form, "client_secret");
    match request.headers.text("authorization") {
        Some(authorization) => posted.is_none() && basic(&authorization).is_some(),
        None => single(form, "client_id") == Some(CLIENT_ID) && posted.is_none_or(|secret| secret == CLIENT_SECRET),
    }
}

fn basic(authorization: &str) -> Option<()> {
    let decoded = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let decode = |text: &str| form(format!("x={text}").as_bytes()).pop().map(|(_, value)| value);
    let plain = |text: &str| !text.contains(['&', '=', ' ', '/', ':']);
    (plain(id) && plain(secret) && decode(id)? == CLIENT_ID && decode(secret)? == CLIENT_SECRET).then_some(())
}

impl State {
    /// A new value that must stay between the issuer and the filter.
    fn secret(&mut self, what: &str) -> String {
        let mut bytes = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).expect("randomness");
        let secret = format!("canary-{what}-{}", base64url(&bytes));
        self.secrets.push(secret.clone());
        secret
    }
}
