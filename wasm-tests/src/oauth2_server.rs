//! A server that speaks OAuth 2.0 alone, in one of the dialects that servers of that kind have. It signs in its one user at
//! once, and misbehaves on request.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use url::{Url, form_urlencoded::Serializer};

use crate::{
    http1::{Connection, Outcome, Request, Server, response, single},
    issuer::Answer,
    keys::{base64url, random, sha256},
};

/// The client there.
pub const CLIENT_ID: &str = "oauth2-client";
/// Its secret; no log and no reply may hold it.
pub const CLIENT_SECRET: &str = "canary-client-secret-at-oauth2";
/// Lifetime of an access token, in seconds.
pub const LIFETIME: i64 = 100;

/// What differs from one server to the next.
#[derive(Debug, Clone, Default)]
pub struct Dialect {
    /// Answers of the token endpoint are forms.
    pub form: bool,
    /// They have no `token_type`.
    pub without_type: bool,
    /// They have a refresh token, which is good once.
    pub refreshes: bool,
    /// The access token is taken in the query alone.
    pub token_in_query: bool,
    /// The answer at `/me`.
    pub user: Value,
    /// `email` is in it for the scope of that name alone.
    pub email_by_scope: bool,
    /// The answer at `/emails`.
    pub emails: Value,
}

/// The running server. Dropping it closes its port.
pub struct OAuth2Server {
    state: Arc<Mutex<State>>,
    server: Server,
}

struct State {
    dialect: Dialect,
    answers: Vec<(String, Answer)>,
    requests: Vec<Request>,
    /// Codes, with the challenge and the redirect URI that they were asked with.
    codes: HashMap<String, (String, String)>,
    /// The scope of the last authorization request.
    scope: String,
    access_tokens: HashSet<String>,
    refresh_tokens: HashSet<String>,
}

impl OAuth2Server {
    /// Starts on a free port.
    #[must_use]
    pub fn start(dialect: Dialect) -> Self {
        let state = Arc::new(Mutex::new(State {
            dialect,
            answers: Vec::new(),
            requests: Vec::new(),
            codes: HashMap::new(),
            scope: String::new(),
            access_tokens: HashSet::new(),
            refresh_tokens: HashSet::new(),
        }));
        let served = Arc::clone(&state);
        let server = Server::start(0, move |request, connection| serve(&served, &request, connection));
        Self { state, server }
    }

    /// The URL of this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.address().port())
    }

    /// The settings of a client of this server.
    #[must_use]
    pub fn provider(&self) -> Value {
        json!({
            "type": "oauth2",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "authorization_endpoint": self.url("/authorize"),
            "token_endpoint": self.url("/token"),
            "userinfo_endpoint": self.url("/me"),
            "timeout_ms": 4000,
        })
    }

    /// Changes the dialect.
    pub fn speak(&self, change: impl FnOnce(&mut Dialect)) {
        change(&mut self.state().dialect);
    }

    /// Answers this at this path from now on.
    pub fn misbehave(&self, path: &str, answer: Answer) {
        self.state().answers.push((path.to_owned(), answer));
    }

    /// Answers everything as it should again.
    pub fn behave(&self) {
        self.state().answers.clear();
    }

    /// The requests to this path, in order.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.state().requests.iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// The tokens that are good.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        let state = self.state();
        state.access_tokens.iter().chain(&state.refresh_tokens).cloned().collect()
    }

    /// The number of refresh tokens that are good.
    #[must_use]
    pub fn refresh_tokens(&self) -> usize {
        self.state().refresh_tokens.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, request: &Request, connection: &mut Connection) -> Outcome {
    let answer = {
        let mut state = lock(state);
        state.requests.push(request.clone());
        state.answers.iter().find(|(path, _)| path == request.path()).map(|(_, answer)| answer.clone())
    };
    let proper = || proper(&mut lock(state), request);
    match answer {
        Some(answer) => answer.give(proper, connection),
        None if connection.send(&proper()).is_ok() => Outcome::KeepAlive,
        None => Outcome::Close,
    }
}

fn proper(state: &mut State, request: &Request) -> Vec<u8> {
    // Where SimpleLogin has its endpoints, too.
    let path = request.path();
    match path.strip_prefix("/oauth2").unwrap_or(path) {
        "/authorize" => authorize(state, request),
        "/token" => token(state, request),
        "/me" | "/userinfo" => resource(state, request, user(state)),
        "/emails" => resource(state, request, state.dialect.emails.clone()),
        "/revoke" if is_client(request) => {
            state.refresh_tokens.remove(single(&request.form(), "token").unwrap_or_default());
            response(200, &[], b"")
        }
        "/logout" => response(200, &[("content-type", "text/plain")], b"signed out there"),
        _ => answer(404, &json!({"error": "not_found"})),
    }
}

fn answer(status: u16, body: &Value) -> Vec<u8> {
    response(status, &[("content-type", "application/json")], body.to_string().as_bytes())
}

/// Sends the browser back with a code, as after consent.
fn authorize(state: &mut State, request: &Request) -> Vec<u8> {
    let query = request.query();
    let parameter = |name: &str| single(&query, name).unwrap_or_default();
    if parameter("client_id") != CLIENT_ID || parameter("response_type") != "code" {
        return response(400, &[], b"no such client");
    }
    let Ok(mut back) = Url::parse(parameter("redirect_uri")) else { return response(400, &[], b"no redirect_uri") };
    let code = format!("canary-code-{}", random());
    let asked = (parameter("code_challenge").to_owned(), parameter("redirect_uri").to_owned());
    state.codes.insert(code.clone(), asked);
    parameter("scope").clone_into(&mut state.scope);
    back.query_pairs_mut().extend_pairs([("code", code.as_str()), ("state", parameter("state"))]);
    response(302, &[("location", back.as_str())], b"")
}

/// Whether the client has authenticated by its secret (RFC 6749, 2.3.1).
fn is_client(request: &Request) -> bool {
    let form = request.form();
    let by_body =
        single(&form, "client_id") == Some(CLIENT_ID) && single(&form, "client_secret") == Some(CLIENT_SECRET);
    by_body || request.headers.text("authorization") == Some(basic())
}

fn basic() -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")))
}

/// Redeems a code or a refresh token.
fn token(state: &mut State, request: &Request) -> Vec<u8> {
    let form = request.form();
    let parameter = |name: &str| single(&form, name).unwrap_or_default();
    if !is_client(request) {
        return answer(401, &json!({"error": "invalid_client"}));
    }
    let is_granted = match parameter("grant_type") {
        "authorization_code" => state.codes.remove(parameter("code")).is_some_and(|(challenge, redirect_uri)| {
            challenge == base64url(&sha256(parameter("code_verifier").as_bytes()))
                && redirect_uri == parameter("redirect_uri")
        }),
        "refresh_token" => state.refresh_tokens.remove(parameter("refresh_token")),
        _ => false,
    };
    if !is_granted {
        return answer(400, &json!({"error": "invalid_grant", "error_description": "canary-description"}));
    }
    let access_token = format!("canary-at-{}", random());
    state.access_tokens.insert(access_token.clone());
    let mut tokens = vec![("access_token", access_token), ("expires_in", LIFETIME.to_string())];
    tokens.push(("scope", "one,two".to_owned()));
    if !state.dialect.without_type {
        tokens.push(("token_type", "bearer".to_owned()));
    }
    if state.dialect.refreshes {
        let refresh_token = format!("canary-rt-{}", random());
        state.refresh_tokens.insert(refresh_token.clone());
        tokens.push(("refresh_token", refresh_token));
    }
    if state.dialect.form {
        let form = Serializer::new(String::new()).extend_pairs(tokens).finish();
        return response(200, &[("content-type", "application/x-www-form-urlencoded")], form.as_bytes());
    }
    answer(200, &tokens.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// The user, as the scope has it.
fn user(state: &State) -> Value {
    let mut user = state.dialect.user.clone();
    if let Some(members) = user.as_object_mut()
        && state.dialect.email_by_scope
    {
        members.retain(|name, _| name != "email" || state.scope.split(' ').any(|scope| scope == "email"));
    }
    user
}

/// Responds with a protected resource if the access token is valid.
fn resource(state: &State, request: &Request, body: Value) -> Vec<u8> {
    let token = if state.dialect.token_in_query {
        single(&request.query(), "access_token").map(str::to_owned)
    } else {
        request.headers.text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned))
    };
    if token.is_some_and(|token| state.access_tokens.contains(&token)) {
        answer(200, &body)
    } else {
        answer(401, &json!({"error": {"message": "No access token", "type": "OAuthException", "code": 104}}))
    }
}
