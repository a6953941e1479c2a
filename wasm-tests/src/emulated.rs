//! Providers as an independent project emulates them, as child processes.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    html::Form,
    http1::Response,
    ports,
    process::{Running, Scratch, said_in_json},
    tools,
    user_agent::UserAgent,
};

/// A running emulator. Dropping it ends it.
#[derive(Debug)]
pub struct Emulated {
    running: Running,
    port: u16,
    _scratch: Scratch,
}

impl Emulated {
    /// Starts this service on a free port, with these users and clients.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start(service: &str, seed: &Value) -> Self {
        let scratch = Scratch::new(service);
        let (settings, log, port) = (scratch.file("settings.json"), scratch.file("log"), ports::free());
        let given = json!({"service": service, "port": port, "seed": seed});
        fs::write(&settings, given.to_string()).expect("the target folder can be written");
        let mut command = Command::new("node");
        command.arg(tools::provider().join("emulated.mjs")).arg(settings);
        let mut running = Running::start(&command, &log);
        let ready = running.until("ready emulator", || said_in_json(&log));
        ready.unwrap_or_else(|reason| panic!("the emulator of {service} {reason}"));
        Self { running, port, _scratch: scratch }
    }

    /// Where it is, as it calls itself.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// Asks for a page without a session and presses the button of this user on the page that asks who it is; the first one
    /// where users have no address. Returns where that ended.
    ///
    /// # Panics
    /// If there is no such button.
    #[must_use]
    #[track_caller]
    pub fn sign_in(browser: &UserAgent, email: &str, url: &str) -> (String, Response) {
        press_button(browser, "email", email, url)
    }
}

/// Asks for a page without a session and presses the button of the user with this value in this field. Returns where that
/// ended.
#[track_caller]
pub(crate) fn press_button(browser: &UserAgent, field: &str, user: &str, url: &str) -> (String, Response) {
    let (at, page) = browser.follow(url).pop().expect("a page");
    let mut form = Form::first(&page.text()).unwrap_or_else(|| panic!("no form at {at}: {page:?}"));
    form.fields.iter_mut().filter(|(name, _)| name == field).for_each(|(_, value)| user.clone_into(value));
    let (to, send) = form.post(&at);
    let answer = browser.visit(&to, send);
    let back = answer.location().unwrap_or_else(|| {
        // A form that the page's script posts (OAuth 2.0 Form Post Response Mode).
        let form = Form::first(&answer.text()).unwrap_or_else(|| panic!("no way back: {answer:?}"));
        let (to, send) = form.post(&to);
        let answer = browser.visit(&to, send);
        answer.location().unwrap_or_else(|| panic!("the form is not taken: {answer:?}"))
    });
    browser.follow(&back).pop().expect("an end")
}
