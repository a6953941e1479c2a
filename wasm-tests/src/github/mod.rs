//! GitHub in threads, as far as signing in goes: it behaves as its documentation says, signs in every user at once, and
//! misbehaves on request.

mod api;
pub mod emulator;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use url::Url;

use crate::{
    http1::{Connection, Outcome, Request, Server, response, single},
    issuer::Answer,
    keys::{base64url, random, sha256},
};

/// The client there.
pub const CLIENT_ID: &str = "Iv1.canary";
/// Its secret; no log and no reply may hold it.
pub const CLIENT_SECRET: &str = "canary-client-secret-at-github";
/// Where its API is, as at an Enterprise Server.
pub const API: &str = "/api/v3";

/// The running stub. Dropping it closes its port.
pub struct Github {
    state: Arc<Mutex<State>>,
    server: Server,
}

struct State {
    answers: Vec<(String, Answer)>,
    requests: Vec<Request>,
    /// Codes with the challenge and the scope they were asked with.
    codes: HashMap<String, (String, String)>,
    /// Access tokens with their scope.
    tokens: Vec<(String, String)>,
    emails: Value,
    orgs: Vec<String>,
    teams: Vec<(String, String)>,
    /// A scope that users do not grant.
    withheld: Option<&'static str>,
}

impl Github {
    /// Starts on a free port. Octocat has a verified address, is in `my-org`, and in its team `core`.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            answers: Vec::new(),
            requests: Vec::new(),
            codes: HashMap::new(),
            tokens: Vec::new(),
            emails: json!([
                {"email": "second@example.com", "primary": false, "verified": true, "visibility": null},
                {"email": "octocat@example.com", "primary": true, "verified": true, "visibility": "private"},
            ]),
            orgs: vec!["my-org".to_owned()],
            teams: vec![("my-org".to_owned(), "core".to_owned())],
            withheld: None,
        }));
        let served = Arc::clone(&state);
        let server = Server::start(0, move |request, connection| serve(&served, &request, connection));
        Self { state, server }
    }

    /// Where its pages are; the API is below [`API`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.address().port())
    }

    /// Answers this at this path from now on, with or without a query.
    pub fn misbehave(&self, path: &str, answer: Answer) {
        self.state().answers.push((path.to_owned(), answer));
    }

    /// Answers everything as it should again.
    pub fn behave(&self) {
        self.state().answers.clear();
    }

    /// The e-mail addresses of the user.
    pub fn set_emails(&self, emails: Value) {
        self.state().emails = emails;
    }

    /// Their organisations.
    pub fn set_orgs(&self, orgs: Vec<String>) {
        self.state().orgs = orgs;
    }

    /// Sets a scope that users do not grant, although it is requested.
    pub fn withhold(&self, scope: Option<&'static str>) {
        self.state().withheld = scope;
    }

    /// The requests to this path, in order.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.state().requests.iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// Every access token given out.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.state().tokens.iter().map(|(token, _)| token.clone()).collect()
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
    let proper = || {
        let mut state = lock(state);
        match request.path() {
            "/login/oauth/authorize" => authorize(&mut state, request),
            "/login/oauth/access_token" => token(&mut state, request),
            path => path.strip_prefix(API).map_or_else(nothing, |path| api::answer(&state, path, request)),
        }
    };
    match answer {
        Some(answer) => answer.give(proper, connection),
        None if connection.send(&proper()).is_ok() => Outcome::KeepAlive,
        None => Outcome::Close,
    }
}

fn nothing() -> Vec<u8> {
    json_response(404, &json!({"message": "Not Found"}))
}

fn json_response(status: u16, body: &Value) -> Vec<u8> {
    response(status, &[("content-type", "application/json; charset=utf-8")], body.to_string().as_bytes())
}

/// Sends the browser back with a code, as after consent.
fn authorize(state: &mut State, request: &Request) -> Vec<u8> {
    let query = request.query();
    let parameter = |name: &str| single(&query, name).unwrap_or_default();
    if parameter("client_id") != CLIENT_ID || parameter("code_challenge_method") != "S256" {
        return response(404, &[], b"no such app");
    }
    let Ok(mut back) = Url::parse(parameter("redirect_uri")) else { return response(400, &[], b"no redirect_uri") };
    let code = format!("canary-code-{}", random());
    let granted: Vec<_> =
        parameter("scope").split(' ').filter(|scope| !scope.is_empty() && Some(*scope) != state.withheld).collect();
    state.codes.insert(code.clone(), (parameter("code_challenge").to_owned(), granted.join(",")));
    back.query_pairs_mut().extend_pairs([("code", code.as_str()), ("state", parameter("state"))]);
    response(302, &[("location", back.as_str())], b"")
}

/// Redeems a code. Errors have status 200, and all is a form unless JSON is asked for.
fn token(state: &mut State, request: &Request) -> Vec<u8> {
    let form = request.form();
    let parameter = |name: &str| single(&form, name).unwrap_or_default();
    let answer = if parameter("client_id") != CLIENT_ID || parameter("client_secret") != CLIENT_SECRET {
        json!({"error": "incorrect_client_credentials", "error_description": "canary-description"})
    } else if let Some((challenge, scope)) = state.codes.remove(parameter("code"))
        && challenge == base64url(&sha256(parameter("code_verifier").as_bytes()))
    {
        let token = format!("gho_canary{}", random());
        state.tokens.push((token.clone(), scope.clone()));
        json!({"access_token": token, "scope": scope, "token_type": "bearer"})
    } else {
        json!({"error": "bad_verification_code", "error_description": "canary-description"})
    };
    if request.headers.text("accept").as_deref() == Some("application/json") {
        return json_response(200, &answer);
    }
    let pairs = answer.as_object().expect("an object").iter().map(|(name, value)| (name, value.as_str().unwrap_or("")));
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    response(200, &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")], form.as_bytes())
}
