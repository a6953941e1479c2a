//! An emulator of GitHub as a child process: pages, tokens and API of an independent project.

use std::{fs, process::Command};

use serde_json::json;

use crate::{
    html::Form,
    http1::Response,
    ports,
    process::{Running, Scratch, said_in_json},
    tools,
    user_agent::UserAgent,
};

/// The client there.
pub const CLIENT_ID: &str = "Iv1.tests";
/// Its secret.
pub const CLIENT_SECRET: &str = "canary-client-secret-at-the-emulator";

/// A running emulator. Dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    running: Running,
    port: u16,
    url: String,
    _scratch: Scratch,
}

impl Emulator {
    /// Starts on a free port, with the app at this origin as its client. In `my-org` are octocat, who is in its team
    /// `admins`, and hubot; outsider is in none.
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
                {"login": "hubot", "name": "Hu Bot", "email": "hubot@example.com"},
                {"login": "outsider", "name": "Out Sider", "email": "outsider@example.net"},
            ],
            "orgs": [{
                "login": "my-org", "name": "My Organization", "members": [{"login": "octocat"}, {"login": "hubot"}],
            }],
            "oauth_apps": [{
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "name": "The app",
                "redirect_uris": [format!("{origin}/oauth2/callback")],
            }],
        });
        let teams = json!({"octocat": [["my-org", "admins"]]});
        let given = json!({"port": port, "behind": ports::free(), "seed": seed, "teams": teams});
        fs::write(&settings, given.to_string()).expect("the target folder can be written");
        let mut command = Command::new("node");
        command.arg(tools::provider().join("github.mjs")).arg(settings);
        let mut running = Running::start(&command, &log);
        let ready = running.until("ready emulator", || said_in_json(&log));
        ready.unwrap_or_else(|reason| panic!("the emulator {reason}"));
        Self { running, port, url: format!("http://127.0.0.1:{port}"), _scratch: scratch }
    }

    /// Where its pages and its API are: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Asks for a page without a session and signs in with the button of this user. Returns where that ended.
    ///
    /// # Panics
    /// If there is no such button.
    #[must_use]
    #[track_caller]
    pub fn sign_in(browser: &UserAgent, login: &str, url: &str) -> (String, Response) {
        let (at, page) = browser.follow(url).pop().expect("a page");
        let mut form = Form::first(&page.text()).unwrap_or_else(|| panic!("no form at {at}: {page:?}"));
        form.fields.iter_mut().filter(|(name, _)| name == "login").for_each(|(_, value)| login.clone_into(value));
        let (to, send) = form.post(&at);
        let back = browser.visit(&to, send).location().expect("a way back");
        browser.follow(&back).pop().expect("an end")
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }
}
