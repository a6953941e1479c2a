//! An emulator of GitHub as a child process: pages, tokens and API of somebody else's making.

use std::{fs, process::Command};

use serde_json::json;

use crate::{
    ports,
    process::{Running, Scratch, said_in_json},
    tools,
};

/// The client there.
pub const CLIENT_ID: &str = "Iv1.tests";
/// Its secret.
pub const CLIENT_SECRET: &str = "canary-client-secret-at-the-emulator";

/// A running emulator. Dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    running: Running,
    url: String,
    _scratch: Scratch,
}

impl Emulator {
    /// Starts on a free port, with the app at this origin as its client; octocat is in `my-org`, and outsider in none.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start(origin: &str) -> Self {
        let scratch = Scratch::new("github");
        let (settings, log, port) = (scratch.file("settings.json"), scratch.file("log"), ports::free());
        let seed = json!({
            "users": [
                {"login": "octocat", "name": "The Octocat", "email": "octocat@example.com"},
                {"login": "outsider", "name": "Out Sider", "email": "outsider@example.net"},
            ],
            "orgs": [{"login": "my-org", "name": "My Organization", "members": [{"login": "octocat"}]}],
            "oauth_apps": [{
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "name": "The app",
                "redirect_uris": [format!("{origin}/oauth2/callback")],
            }],
        });
        fs::write(&settings, json!({"port": port, "seed": seed}).to_string())
            .expect("the target folder can be written");
        let mut command = Command::new("node");
        command.arg(tools::provider().join("github.mjs")).arg(settings);
        let mut running = Running::start(&command, &log);
        let ready = running.until("ready emulator", || said_in_json(&log));
        ready.unwrap_or_else(|reason| panic!("the emulator {reason}"));
        Self { running, url: format!("http://127.0.0.1:{port}"), _scratch: scratch }
    }

    /// Where its pages and its API are: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }
}
