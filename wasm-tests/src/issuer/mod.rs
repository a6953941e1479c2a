//! An OpenID provider in threads that signs everybody in at once, and misbehaves when told to.

mod answer;
mod grant;
mod token;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Map, Value, json};

pub use answer::Answer;
pub use token::{IdToken, Signing};

use crate::{
    http1::{Connection, Outcome, Request, Server, response},
    keys::{Algorithm, PublicForms, Rsa, SigningKey},
};
use grant::Grant;

/// Our client there. The odd characters show whether Basic credentials are form-urlencoded (RFC 6749, 2.3.1).
pub const CLIENT_ID: &str = "client:of/the+tests%";
/// Its secret; no log and no reply may hold it.
pub const CLIENT_SECRET: &str = "canary-client-secret:/+%& =";

/// The endpoints of the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/authorize`
    Authorization,
    /// `/.well-known/openid-configuration`
    Discovery,
    /// `/jwks`
    Jwks,
    /// `/token`
    Token,
}

impl Endpoint {
    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Authorization => "/authorize",
            Self::Discovery => "/.well-known/openid-configuration",
            Self::Jwks => "/jwks",
            Self::Token => "/token",
        }
    }

    fn at(path: &str) -> Option<Self> {
        [Self::Authorization, Self::Discovery, Self::Jwks, Self::Token].into_iter().find(|known| known.path() == path)
    }
}

/// Changes an ID token on its way out.
pub type Spoil = fn(&mut IdToken);

/// What the issuer does wrong, until [`Issuer::behave`].
#[derive(Debug, Clone)]
pub enum Fault {
    /// An endpoint answers something else.
    Answer(Endpoint, Answer),
    /// The ID token is changed before, or in place of, its signing.
    IdToken(Spoil),
    /// The parameters of the authorization response are changed.
    Response(fn(&mut Vec<(String, String)>)),
}

/// A key in the issuer's set.
#[derive(Clone)]
struct PublishedKey {
    kid: String,
    key: Arc<SigningKey>,
}

impl PublishedKey {
    fn new(kid: &str, key: SigningKey) -> Self {
        Self { kid: kid.to_owned(), key: Arc::new(key) }
    }

    fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        if !matches!(*self.key, SigningKey::Rsa(_)) {
            jwk["alg"] = json!(self.key.algorithm().name());
        }
        jwk
    }
}

struct State {
    url: String,
    faults: Vec<Fault>,
    requests: Vec<(Option<Endpoint>, Request)>,
    grants: HashMap<String, Grant>,
    secrets: Vec<String>,
    user: Map<String, Value>,
    keys: Vec<PublishedKey>,
    rotations: usize,
}

impl State {
    fn answer_at(&self, endpoint: Endpoint) -> Option<Answer> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Answer(at, answer) if *at == endpoint => Some(answer.clone()),
            _ => None,
        })
    }

    /// The first published key for this algorithm.
    fn key_for(&self, algorithm: Algorithm) -> PublishedKey {
        let fits = |key: &SigningKey| match algorithm {
            Algorithm::Ps256 | Algorithm::Rs256 | Algorithm::Rs512 => matches!(key, SigningKey::Rsa(_)),
            other => key.algorithm() == other,
        };
        self.keys.iter().find(|published| fits(&published.key)).expect("a key of every kind").clone()
    }

    fn metadata(&self) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}{}", Endpoint::Authorization.path()),
            "token_endpoint": format!("{url}{}", Endpoint::Token.path()),
            "jwks_uri": format!("{url}{}", Endpoint::Jwks.path()),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn jwks(&self) -> Value {
        json!({"keys": self.keys.iter().map(PublishedKey::jwk).collect::<Vec<_>>()})
    }
}

/// The running issuer. Dropping it closes its port.
pub struct Issuer {
    state: Arc<Mutex<State>>,
    port: u16,
    server: Option<Server>,
}

impl Issuer {
    /// Starts on a free port.
    pub fn start() -> Self {
        let keys = vec![
            PublishedKey::new("rsa-first", SigningKey::rsa(Rsa::First)),
            PublishedKey::new("p256", SigningKey::p256()),
            PublishedKey::new("p384", SigningKey::p384()),
            PublishedKey::new("p521", SigningKey::p521()),
            PublishedKey::new("ed25519", SigningKey::ed25519()),
        ];
        let state = Arc::new(Mutex::new(State {
            url: String::new(),
            faults: Vec::new(),
            requests: Vec::new(),
            grants: HashMap::new(),
            secrets: vec![CLIENT_SECRET.to_owned()],
            user: alice(),
            keys,
            rotations: 0,
        }));
        let mut issuer = Self { state, port: 0, server: None };
        issuer.up();
        issuer.state().url = format!("http://127.0.0.1:{}", issuer.port);
        issuer
    }

    /// Closes the port: connections are refused from now on.
    pub fn down(&mut self) {
        self.server = None;
    }

    /// Opens the port again.
    pub fn up(&mut self) {
        let state = Arc::clone(&self.state);
        let server = Server::start(self.port, move |request, connection| serve(&state, request, connection));
        self.port = server.address().port();
        self.server = Some(server);
    }

    /// The issuer identifier.
    pub fn url(&self) -> String {
        self.state().url.clone()
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Misbehaves from now on, beside whatever else it does wrong.
    pub fn misbehave(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Answers everything as it should again.
    pub fn behave(&self) {
        self.state().faults.clear();
    }

    /// Signs in a user with these claims from now on.
    pub fn sign_in_as(&self, claims: Value) {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        self.state().user = claims;
    }

    /// Replaces the RSA key by another with a `kid` nobody has seen; the old one is gone from the set.
    pub fn rotate(&self) {
        let mut state = self.state();
        state.rotations += 1;
        let which = if state.rotations % 2 == 1 { Rsa::Second } else { Rsa::First };
        let kid = format!("rsa-rotated-{}", state.rotations);
        state.keys.retain(|published| !matches!(*published.key, SigningKey::Rsa(_)));
        state.keys.insert(0, PublishedKey::new(&kid, SigningKey::rsa(which)));
    }

    /// The public key it signs with, in every form.
    pub fn public_forms(&self) -> PublicForms {
        self.state().key_for(Algorithm::Rs256).key.public_forms()
    }

    /// Every request to this endpoint, in order.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Request> {
        self.state()
            .requests
            .iter()
            .filter(|(at, _)| *at == Some(endpoint))
            .map(|(_, request)| request.clone())
            .collect()
    }

    /// Every request to anything.
    pub fn all_requests(&self) -> Vec<Request> {
        self.state().requests.iter().map(|(_, request)| request.clone()).collect()
    }

    /// Everything that was secret between the issuer and the filter so far: no log and no reply may hold it.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The user that signs in unless told otherwise.
fn alice() -> Map<String, Value> {
    let Value::Object(claims) = json!({
        "sub": "alice",
        "email": "alice@example.com",
        "email_verified": true,
        "name": "Alice Example",
        "preferred_username": "alice.example",
        "groups": ["staff", "admins"],
    }) else {
        unreachable!("it is an object")
    };
    claims
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, request: Request, connection: &mut Connection) -> Outcome {
    let endpoint = Endpoint::at(request.path());
    lock(state).requests.push((endpoint, request.clone()));
    let Some(endpoint) = endpoint else {
        return finish(connection.send(&response(404, &[], b"nothing here")));
    };
    let fault = lock(state).answer_at(endpoint);
    let proper = || {
        let mut state = lock(state);
        match endpoint {
            Endpoint::Authorization => grant::authorize(&mut state, &request),
            Endpoint::Discovery => json_response(200, &state.metadata()),
            Endpoint::Jwks => json_response(200, &state.jwks()),
            Endpoint::Token => grant::token(&mut state, &request),
        }
    };
    match fault {
        Some(answer) => answer.give(proper, connection),
        None => finish(connection.send(&proper())),
    }
}

fn json_response(status: u16, body: &Value) -> Vec<u8> {
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    response(status, &headers, body.to_string().as_bytes())
}

fn finish(sent: std::io::Result<()>) -> Outcome {
    if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
}

#[cfg(test)]
mod tests;
