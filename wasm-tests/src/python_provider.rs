//! OpenID providers in Python as child processes: Canaille, and one made of Django OAuth Toolkit, as Django projects have it. Each is
//! a program in a folder beside the sources of these tests, with a database of its own.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    envoy::get,
    keys, ports,
    process::{Running, Scratch},
    tools,
};

const CLIENT_ID: &str = "app";
const CLIENT_SECRET: &str = "canary-secret-at-the-python-provider";
/// The user: name and password.
pub const ALICE: (&str, &str) = ("alice", "alice-password");

/// A running provider. Dropping it ends it.
#[derive(Debug)]
pub struct PythonProvider {
    running: Running,
    issuer: String,
    buttons: Buttons,
    _scratch: Scratch,
}

/// What differs from one to the next.
struct Program<'a> {
    /// Its name in messages.
    name: &'static str,
    /// Its folder, and the name of its venv and requirements file.
    folder: &'static str,
    /// The path of its issuer.
    path: &'static str,
    /// The key that it signs with, as it reads it.
    key: &'a str,
    /// The buttons by which the user agrees to what a page asks.
    buttons: Buttons,
}

/// Names and values of buttons.
type Buttons = &'static [(&'static str, &'static str)];

impl PythonProvider {
    /// Canaille, with the app at this origin as its client and Alice as its user.
    ///
    /// # Panics
    /// If it does not come up, with its log.
    #[must_use]
    pub fn canaille(origin: &str) -> Self {
        let key = keys::of_clients().swap_remove(0).to_string();
        let buttons = &[("answer", "accept")];
        Self::start(origin, &Program { name: "Canaille", folder: "canaille", path: "", key: &key, buttons })
    }

    /// Django OAuth Toolkit, with the app at this origin as its client and Alice as its user.
    ///
    /// # Panics
    /// If it does not come up, with its log.
    #[must_use]
    pub fn django_oauth_toolkit(origin: &str) -> Self {
        let (key, buttons) = (include_str!("../keys/rsa-1.pem"), &[("allow", "Authorize"), ("allow", "Logout")]);
        Self::start(origin, &Program { name: "Django OAuth Toolkit", folder: "django", path: "/o", key, buttons })
    }

    fn start(origin: &str, program: &Program<'_>) -> Self {
        let &Program { name, folder, path, key, buttons } = program;
        let venv = tools::python(folder, name, &format!("requirements-{folder}.txt"));
        let (scratch, port) = (Scratch::new(folder), ports::free());
        let mut command = Command::new(venv.join("bin/python"));
        command.arg(tools::root().join("wasm-tests").join(folder).join("serve.py"));
        command.args([&port.to_string(), origin, CLIENT_ID, CLIENT_SECRET, ALICE.0, ALICE.1, key]);
        command.current_dir(scratch.file("."));
        let mut running = Running::start(&command, &scratch.file("log"));
        let metadata = format!("{path}/.well-known/openid-configuration");
        let ready = running.until(name, || get(port, &metadata).filter(|(status, _)| *status == 200));
        ready.unwrap_or_else(|reason| panic!("{reason}"));
        Self { running, issuer: format!("http://127.0.0.1:{port}{path}"), buttons, _scratch: scratch }
    }

    /// Its element of `providers` in the filter's configuration.
    #[must_use]
    pub fn provider(&self) -> Value {
        json!({
            "issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "scopes": ["openid", "email", "profile", "groups"],
        })
    }

    /// The buttons by which the user agrees to what a page asks: names and values.
    #[must_use]
    pub const fn buttons(&self) -> &'static [(&'static str, &'static str)] {
        self.buttons
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }
}
