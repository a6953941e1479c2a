//! Dex as a child process: a provider in Go that many clusters have in front of another one. It keeps its state in memory
//! and has users of its own.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    envoy::get,
    ports,
    process::{Running, Scratch},
    tools,
};

const CLIENT_ID: &str = "app";
const CLIENT_SECRET: &str = "canary-secret-at-dex";
/// The address and password of the user.
pub const ALICE: (&str, &str) = ("alice@example.com", "password");
/// The bcrypt digest of that password, as Dex's documentation has it (<https://dexidp.io/docs/connectors/local/>).
const DIGEST: &str = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W";

/// A running Dex. Dropping it ends it.
#[derive(Debug)]
pub struct Dex {
    running: Running,
    issuer: String,
    _scratch: Scratch,
}

impl Dex {
    /// Starts on a free port, with the app at this origin as its client and Alice as its user.
    ///
    /// # Panics
    /// If it does not come up, with its log.
    #[must_use]
    pub fn start(origin: &str) -> Self {
        let program = tools::dex();
        let scratch = Scratch::new("dex");
        let (settings, port) = (scratch.file("settings.json"), ports::free());
        let issuer = format!("http://127.0.0.1:{port}/dex");
        fs::write(&settings, configuration(&issuer, port, origin).to_string())
            .expect("the target folder can be written");
        let mut command = Command::new(program);
        command.arg("serve").arg(settings);
        let mut running = Running::start(&command, &scratch.file("log"));
        let ready = running.until("ready Dex", || {
            get(port, "/dex/.well-known/openid-configuration").filter(|(status, _)| *status == 200)
        });
        ready.unwrap_or_else(|reason| panic!("Dex {reason}"));
        Self { running, issuer, _scratch: scratch }
    }

    /// Its element of `providers` in the filter's configuration.
    #[must_use]
    pub fn provider(&self) -> Value {
        json!({
            "preset": "dex", "with": {"url": self.issuer}, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        })
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }
}

/// JSON, which is YAML too.
fn configuration(issuer: &str, port: u16, origin: &str) -> Value {
    json!({
        "issuer": issuer,
        "storage": {"type": "memory"},
        "web": {"http": format!("127.0.0.1:{port}")},
        "expiry": {"idTokens": "1h"},
        "enablePasswordDB": true,
        "staticPasswords": [{
            "email": ALICE.0, "hash": DIGEST, "username": "alice", "name": "Alice Example", "userID": "4711",
            "groups": ["staff"],
        }],
        "staticClients": [{
            "id": CLIENT_ID, "secret": CLIENT_SECRET, "name": "The app",
            "redirectURIs": [format!("{origin}/oauth2/callback")],
        }],
    })
}
