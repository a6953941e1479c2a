//! An OpenID provider in threads that signs in every user without a form, and misbehaves on request.

mod answer;
mod authorize;
mod client;
mod exchange;
mod logout;
mod refresh;
mod sign_in;
mod state;
mod terms;
mod token;
mod token_endpoint;
mod tokens;
mod userinfo;

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

pub use answer::{Answer, Gate};
pub use exchange::Exchanged;
pub use logout::LOGOUT_EVENT;
pub use refresh::Refreshes;
pub use terms::{LogoutState, RefreshTokens, Rotation, Terms};
pub use token::{IdToken, Signing};

use crate::{
    http1::{Connection, Outcome, Request, Server, response},
    keys::{Algorithm, PublicForms, Rsa, SigningKey},
};
use state::{PublishedKey, State};

/// The id of our client. The odd characters show whether Basic credentials are form-urlencoded (RFC 6749, 2.3.1).
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
    /// `/session/end`
    EndSession,
    /// `/jwks`
    Jwks,
    /// `/revoke`
    Revocation,
    /// `/token`
    Token,
    /// `/userinfo`
    Userinfo,
}

impl Endpoint {
    const ALL: [Self; 7] = [
        Self::Authorization,
        Self::Discovery,
        Self::EndSession,
        Self::Jwks,
        Self::Revocation,
        Self::Token,
        Self::Userinfo,
    ];

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Authorization => "/authorize",
            Self::Discovery => "/.well-known/openid-configuration",
            Self::EndSession => "/session/end",
            Self::Jwks => "/jwks",
            Self::Revocation => "/revoke",
            Self::Token => "/token",
            Self::Userinfo => "/userinfo",
        }
    }

    fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.path() == path)
    }
}

/// Changes an ID token on its way out.
pub type Spoil = fn(&mut IdToken);

/// A fault of the issuer, until [`Issuer::behave`].
#[derive(Debug, Clone)]
pub enum Fault {
    /// An endpoint answers something else.
    Answer(Endpoint, Answer),
    /// The token endpoint answers something else to a token exchange.
    Exchange(Answer),
    /// The ID token is changed before, or in place of, its signing.
    IdToken(Spoil),
    /// The token endpoint answers something else to a refresh; a code is redeemed as ever.
    Refresh(Answer),
    /// The ID token of a refresh is changed; that of a code is not.
    RefreshIdToken(Spoil),
    /// The parameters of the authorization response are changed.
    Response(fn(&mut Vec<(String, String)>)),
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
        let state = Arc::new(Mutex::new(State::new()));
        let mut issuer = Self { state, port: 0, server: None };
        issuer.up();
        issuer.state().url = format!("http://127.0.0.1:{}", issuer.port);
        issuer
    }

    /// Another one, with other keys for RSA and P-256.
    pub fn another() -> Self {
        let issuer = Self::start();
        issuer.rotate();
        issuer.next_p256(false);
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

    /// Adds a fault to those that are in force.
    pub fn misbehave(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Answers everything as it should again.
    pub fn behave(&self) {
        self.state().faults.clear();
    }

    /// Changes the terms from now on. Envoy reads the metadata at its start: terms in it must be set before.
    pub fn terms(&self, change: impl FnOnce(&mut Terms)) {
        change(&mut self.state().terms);
    }

    /// Replaces the secret of our client; the old one is no longer accepted.
    pub fn change_client_secret(&self, secret: &str) {
        let mut state = self.state();
        secret.clone_into(&mut state.client_secret);
        state.secrets.push(secret.to_owned());
    }

    /// Puts its clock this many seconds ahead of the machine's.
    pub fn set_clock(&self, seconds: i64) {
        self.state().clock = seconds;
    }

    /// Invalidates every refresh token that was issued so far.
    pub fn revoke_all(&self) {
        self.state().sign_ins.iter_mut().for_each(|sign_in| sign_in.over = true);
    }

    /// Signs in a user with these claims from now on. An existing session of the same `sub` gets them with its next
    /// refresh.
    pub fn sign_in_as(&self, claims: Value) {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        self.state().user = claims;
    }

    /// Replaces the RSA key by another with a new `kid`; the old one is removed from the set.
    pub fn rotate(&self) {
        let mut state = self.state();
        state.rotations += 1;
        let which = if state.rotations % 2 == 1 { Rsa::Second } else { Rsa::First };
        let kid = format!("rsa-rotated-{}", state.rotations);
        state.keys.retain(|published| !matches!(*published.key, SigningKey::Rsa(_)));
        state.keys.insert(0, PublishedKey::new(&kid, SigningKey::rsa(which)));
    }

    /// Signs with other RSA and P-256 keys under the names of those before.
    pub fn replace_keys(&self) {
        let mut state = self.state();
        state.rotations += 1;
        let which = if state.rotations % 2 == 1 { Rsa::Second } else { Rsa::First };
        for published in &mut state.keys {
            let key = match *published.key {
                SigningKey::Rsa(_) => SigningKey::rsa(which),
                SigningKey::P256(_) => SigningKey::p256(),
                _ => continue,
            };
            *published = PublishedKey::new(&published.kid, key);
        }
    }

    /// Signs access tokens with a new P-256 key from now on; the ones before stay in the set if they are to be kept.
    pub fn next_p256(&self, keep: bool) {
        let mut state = self.state();
        state.rotations += 2;
        let kid = format!("p256-{}", state.rotations);
        state.keys.retain(|published| keep || !matches!(*published.key, SigningKey::P256(_)));
        state.keys.insert(0, PublishedKey::new(&kid, SigningKey::p256()));
    }

    /// The public key it signs with, in every form.
    pub fn public_forms(&self) -> PublicForms {
        self.state().key_for(Algorithm::Rs256).key.public_forms()
    }

    /// Its keys as a JWK Set.
    pub fn jwks(&self) -> Value {
        self.state().jwks()
    }

    /// Its keys in PEM, in the order of the set.
    pub fn pems(&self) -> Vec<String> {
        self.state().keys.iter().map(|published| published.key.pem()).collect()
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

    /// Forgets the requests so far, and which values in them are secret: for runs that go on for long.
    pub fn forget(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.secrets.truncate(1);
    }

    /// The number of token requests so far.
    pub fn token_requests(&self) -> usize {
        self.requests(Endpoint::Token).len()
    }

    /// Every request to any endpoint.
    pub fn all_requests(&self) -> Vec<Request> {
        self.state().requests.iter().map(|(_, request)| request.clone()).collect()
    }

    /// Everything that was secret between the issuer and the filter so far: no log and no reply may hold it.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// How many refreshes were asked for, and what became of them.
    pub fn refreshes(&self) -> Refreshes {
        self.state().refreshes
    }

    /// How many token exchanges were asked for.
    pub fn exchanges(&self) -> usize {
        self.state().exchanges
    }

    /// Every token given in exchange, in order.
    pub fn exchanged(&self) -> Vec<Exchanged> {
        self.state().exchanged.clone()
    }

    /// Every access token given out, in order.
    pub fn access_tokens(&self) -> Vec<String> {
        self.state().access_tokens.iter().map(|(token, _)| token.clone()).collect()
    }

    /// Every ID token given out, in order.
    pub fn id_tokens(&self) -> Vec<String> {
        self.state().id_tokens.clone()
    }

    /// The tokens that were revoked, in order.
    pub fn revoked(&self) -> Vec<String> {
        self.state().revoked.clone()
    }

    /// The `sid` of every sign-in, in order.
    pub fn sids(&self) -> Vec<String> {
        self.state().sign_ins.iter().map(|sign_in| sign_in.sid.clone()).collect()
    }

    /// The `sid` of the last sign-in of this user.
    pub fn sid_of(&self, sub: &str) -> Option<String> {
        let state = self.state();
        state.sign_ins.iter().rfind(|sign_in| sign_in.sub() == Some(sub)).map(|sign_in| sign_in.sid.clone())
    }

    /// Whether a refresh token of this user came twice.
    pub fn was_reused(&self, sub: &str) -> bool {
        let state = self.state();
        state.sign_ins.iter().any(|sign_in| sign_in.sub() == Some(sub) && sign_in.reused)
    }

    /// An access token of an API client for this audience, changed at the end.
    pub fn access_token(&self, audience: &str, change: impl FnOnce(&mut IdToken)) -> String {
        let mut state = self.state();
        let token = token::access(&mut state, audience, change);
        state.client_tokens.push(token.clone());
        token
    }

    /// The logout token for the last sign-in, changed at the end.
    ///
    /// # Panics
    /// When there was no sign-in.
    pub fn logout_token(&self, change: impl FnOnce(&mut IdToken)) -> String {
        let mut state = self.state();
        let last = state.sign_ins.last().expect("a sign-in");
        let (sub, sid) = (last.sub().map(str::to_owned), last.sid.clone());
        logout::token(&mut state, sub.as_deref(), Some(&sid), change)
    }

    /// The logout token for a user, or for one session, or both, changed at the end.
    pub fn logout_token_for(&self, sub: Option<&str>, sid: Option<&str>, change: impl FnOnce(&mut IdToken)) -> String {
        logout::token(&mut self.state(), sub, sid, change)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
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
    let refreshes = endpoint == Endpoint::Token && refresh::is_refresh(&request);
    let exchanges = endpoint == Endpoint::Token && exchange::is_exchange(&request);
    let fault = {
        let mut state = lock(state);
        state.refreshes.asked += usize::from(refreshes);
        state.exchanges += usize::from(exchanges);
        state.answer_at(endpoint, refreshes, exchanges)
    };
    let proper = || {
        let mut state = lock(state);
        match endpoint {
            Endpoint::Authorization => authorize::authorize(&mut state, &request),
            Endpoint::Discovery => json_response(200, &state.metadata()),
            Endpoint::EndSession => logout::end_session(&mut state, &request),
            Endpoint::Jwks => json_response(200, &state.jwks()),
            Endpoint::Revocation => refresh::revoke(&mut state, &request),
            Endpoint::Token => token_endpoint::answer(&mut state, &request),
            Endpoint::Userinfo => userinfo::answer(&state, &request),
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
