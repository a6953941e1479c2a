//! The users of an app, and the endpoint by which the filter asks about them (`provisioning`). It misbehaves on request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    http1::{Connection, Outcome, Request, Server, response},
    issuer::Answer,
};

/// The secret that it shares with the filter; no log and no reply may hold it.
pub const SECRET: &str = "canary-provisioning-secret";
/// The name of the cluster that reaches it.
pub const CLUSTER: &str = "users";
/// What it says to users whom it does not know.
pub const REFUSAL: &str = "Ask Ann for an account.";

/// The running endpoint. Dropping it closes its port.
pub struct UserDirectory {
    state: Arc<Mutex<State>>,
    server: Server,
}

#[derive(Default)]
struct State {
    /// The plan of each user, by issuer and subject.
    plans: BTreeMap<(String, String), String>,
    answer: Option<Answer>,
    asked: Vec<Value>,
}

impl UserDirectory {
    /// Starts on a free port, without users.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        let server = Server::start(0, move |request, connection| serve(&served, &request, connection));
        Self { state, server }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// The setting by which the filter asks it.
    #[must_use]
    pub fn settings(&self) -> Value {
        json!({
            "endpoint": "http://app.internal/users/sign-in",
            "cluster": CLUSTER,
            "secret": SECRET,
            "timeout_ms": 2000,
        })
    }

    /// Adds a user, or changes their plan.
    pub fn add(&self, issuer: &str, subject: &str, plan: &str) {
        self.state().plans.insert((issuer.to_owned(), subject.to_owned()), plan.to_owned());
    }

    /// Removes all users of this subject.
    pub fn remove(&self, subject: &str) {
        self.state().plans.retain(|(_, known), _| known != subject);
    }

    /// The subjects of its users.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        self.state().plans.keys().map(|(_, subject)| subject.clone()).collect()
    }

    /// Answers this from now on.
    pub fn misbehave(&self, answer: Answer) {
        self.state().answer = Some(answer);
    }

    /// Answers as it should again.
    pub fn behave(&self) {
        self.state().answer = None;
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, request: &Request, connection: &mut Connection) -> Outcome {
    let header = |name: &str| request.headers.text(name).unwrap_or_default();
    let is_ours = header("authorization") == format!("Bearer {SECRET}")
        && header("content-type") == "application/json"
        && (request.method.as_str(), request.target.as_str()) == ("POST", "/users/sign-in");
    let Some(asked) = serde_json::from_slice::<Value>(&request.body).ok().filter(|_| is_ours) else {
        let _ = connection.send(&response(401, &[], b""));
        return Outcome::Close;
    };
    let answer = {
        let mut state = lock(state);
        state.asked.push(asked.clone());
        state.answer.clone()
    };
    let proper = || proper(&mut lock(state), &asked);
    match answer {
        Some(answer) => answer.give(proper, connection),
        None if connection.send(&proper()).is_ok() => Outcome::KeepAlive,
        None => Outcome::Close,
    }
}

/// Creates a user who is missing, if that is allowed.
fn proper(state: &mut State, asked: &Value) -> Vec<u8> {
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let user = (text("iss"), text("sub"));
    let is_known = state.plans.contains_key(&user);
    let may_be_created = text("registration") == "allowed" && text("event") == "sign_in";
    if !is_known && !may_be_created {
        return answer(403, &json!({"message": REFUSAL}));
    }
    let plan = state.plans.entry(user).or_insert_with(|| "free".to_owned()).clone();
    answer(if is_known { 200 } else { 201 }, &json!({"attributes": {"plan": plan, "id": 7}}))
}

fn answer(status: u16, body: &Value) -> Vec<u8> {
    response(status, &[("content-type", "application/json")], body.to_string().as_bytes())
}
