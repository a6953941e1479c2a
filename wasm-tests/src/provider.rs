//! The certified `oidc-provider` as a child process: a real OpenID provider with a few users.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Running, Scratch};
use crate::tools;

/// A running provider. Dropping it ends it.
#[derive(Debug)]
pub struct Provider {
    running: Running,
    issuer: String,
    control: String,
    _scratch: Scratch,
}

impl Provider {
    /// Starts the provider on a free port, with these clients (see [`client`]) and the users of [`users`].
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start(clients: &[Value]) -> Self {
        Self::start_on(0, clients)
    }

    /// Like [`Self::start`], on this port.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start_on(port: u16, clients: &[Value]) -> Self {
        let scratch = Scratch::new("provider");
        let settings = scratch.file("settings.json");
        let json = json!({"port": port, "clients": clients, "users": users()});
        fs::write(&settings, json.to_string()).expect("the target folder can be written");
        let mut command = Command::new("node");
        command.arg(tools::provider().join("provider.mjs")).arg(settings);
        let mut running = Running::start(&command, &scratch.file("log"));
        let log = scratch.file("log");
        let ready = running.until("ready provider", || {
            let said = crate::process::read_text(&log);
            said.lines().find_map(|line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object))
        });
        let ready = ready.unwrap_or_else(|reason| panic!("the provider {reason}"));
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Self { running, issuer: text("issuer"), control: text("control"), _scratch: scratch }
    }

    /// The issuer, which is also where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Everything the provider has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// New keys at once; the old ones are no longer published.
    pub fn rotate_keys(&self) {
        self.control("/rotate");
    }

    /// New keys that sign from now on; the old ones stay published.
    pub fn add_keys(&self) {
        self.control("/add-key");
    }

    /// Publishes only the newest keys.
    pub fn retire_keys(&self) {
        self.control("/retire-keys");
    }

    /// How often this path was asked for.
    #[must_use]
    pub fn seen(&self, path: &str) -> u64 {
        self.control("/seen")[path].as_u64().unwrap_or(0)
    }

    fn control(&self, action: &str) -> Value {
        let answer = minreq::post(format!("{}{action}", self.control)).with_timeout(10).send();
        let answer = answer.unwrap_or_else(|error| panic!("no provider any more: {error}\n{}", self.log()));
        serde_json::from_slice(answer.as_bytes()).expect("the control port answers in JSON")
    }
}

/// A confidential client of the app at this origin, with `client_secret_basic`. Change its fields for other kinds:
/// `token_endpoint_auth_method`, `id_token_signed_response_alg`, ...
#[must_use]
pub fn client(id: &str, secret: &str, external_url: &str) -> Value {
    json!({
        "client_id": id,
        "client_secret": secret,
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": [format!("{external_url}/oauth2/callback")],
        "post_logout_redirect_uris": [format!("{external_url}/")],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    })
}

/// Everybody who can sign in: alice with `alice-password`, bob with `bob-password`.
#[must_use]
pub fn users() -> Value {
    json!({
        "alice": {"password": "alice-password", "claims": {
            "name": "Alice Example", "email": "alice@example.com", "email_verified": true, "groups": ["admins", "staff"],
        }},
        "bob": {"password": "bob-password", "claims": {
            "name": "Bob Example", "email": "bob@example.org", "email_verified": false, "groups": ["staff"],
        }},
    })
}
