//! Providers as an independent project emulates them, as child processes.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    ports,
    process::{Running, Scratch, said_in_json},
    tools,
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
}
