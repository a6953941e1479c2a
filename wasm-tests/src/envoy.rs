//! The real Envoy with the built filter: its configuration, start and end, and the data of its admin port.

mod bootstrap;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

pub use bootstrap::{ConfigurationAs, Setup};

use crate::process::{self, Running, Scratch};
use crate::tools;
use crate::usage;

/// Longer than a worker of the filter keeps its counts to itself, which is a second.
const LONGER_THAN_A_TICK: Duration = Duration::from_millis(1300);

/// A running Envoy. Dropping it ends it.
#[derive(Debug)]
pub struct Envoy {
    running: Running,
    scratch: Scratch,
    port: u16,
    admin_port: u16,
}

/// What `/oauth2/health` says once all providers and issuers are known to a worker.
pub const READY: &str = r#""provider":"ready""#;

impl Envoy {
    /// Starts Envoy and returns once its listener serves.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        Self::try_start(setup).unwrap_or_else(|reason| panic!("Envoy {reason}"))
    }

    /// Like [`Self::start`], for a configuration that may be refused.
    ///
    /// # Errors
    /// Why it did not come up, with the end of its log.
    pub fn try_start(setup: Setup) -> Result<Self, String> {
        let scratch = Scratch::new("envoy");
        let admin_address = scratch.file("admin");
        let mut command = command(&setup, &scratch);
        command.arg("--admin-address-path").arg(&admin_address);
        let mut running = Running::start(&command, &scratch.file("log"));
        let admin_port = running.until("admin port", || {
            let address = process::read_text(&admin_address);
            address.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
        })?;
        running.until("ready Envoy", || (get(admin_port, "/ready")?.0 == 200).then_some(()))?;
        let bound = format!("127.0.0.1:{}", setup.port);
        running.until("listener", || get(admin_port, "/listeners")?.1.contains(&bound).then_some(()))?;
        Ok(Self { running, scratch, port: setup.port, admin_port })
    }

    /// Whether `envoy --mode validate` accepts this, and everything it said.
    ///
    /// # Panics
    /// If Envoy cannot be run at all.
    #[must_use]
    pub fn validate(setup: &Setup) -> (bool, String) {
        let scratch = Scratch::new("validate");
        let output = command(setup, &scratch).args(["--mode", "validate"]).output().expect("Envoy runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The port on 127.0.0.1 where the filter stands before the app.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port on 127.0.0.1 of Envoy's admin interface.
    #[must_use]
    pub const fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Everything Envoy has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// Everything in the access log so far: method, path without its query (a callback's has the code), status, details
    /// and user, one request a line. Envoy writes it out some 50 ms late: poll.
    #[must_use]
    pub fn access_log(&self) -> String {
        process::read_text(&self.access_log_file())
    }

    /// The value of a counter or gauge, 0 if there is none of this name.
    #[must_use]
    pub fn stats(&self, name: &str) -> u64 {
        let lines = self.admin("/stats");
        let value = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// A counter of the filter, once every worker has reported its events.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        thread::sleep(LONGER_THAN_A_TICK);
        self.stats(&format!("wasmcustom.vestibule_{name}"))
    }

    /// Waits until every worker of the filter knows its providers.
    pub fn until_ready(&self) {
        let is_ready = || get(self.port, "/oauth2/health").is_some_and(|(_, text)| text.contains(READY));
        process::until_everywhere("metadata of the providers", is_ready);
    }

    /// The answer of the admin interface on `path`.
    ///
    /// # Panics
    /// If it does not answer, which means that Envoy has crashed.
    #[must_use]
    pub fn admin(&self, path: &str) -> String {
        match get(self.admin_port, path) {
            Some((_, body)) => body,
            None => panic!("Envoy's admin port is gone:\n{}", self.log()),
        }
    }

    /// Replaces the configuration of the listener while it serves, as a control plane does. `setup` is the set-up of
    /// [`Self::start`], with [`Setup::reloads`], and with changes to the filter or the connection manager. Returns
    /// whether Envoy has taken it; it may also refuse it. Requests that are under way go on under the old one.
    ///
    /// # Panics
    /// If Envoy does neither.
    pub fn reload(&self, setup: &Setup) -> bool {
        let counts = || {
            ["listener_in_place_updated", "lds.update_rejected"]
                .map(|name| self.stats(&format!("listener_manager.{name}")))
        };
        let before = counts();
        write_listeners(setup, &self.scratch);
        let [taken, _] = process::until("reload", || Some(counts()).filter(|counts| *counts != before));
        taken > before[0]
    }

    /// Whether Envoy still runs.
    pub fn is_alive(&mut self) -> bool {
        self.running.exited().is_none()
    }

    /// The id of its process.
    ///
    /// # Panics
    /// If Envoy has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        usage::find("envoy", &self.configuration_file().display().to_string())
    }

    /// Ends Envoy, as dropping it does.
    pub fn stop(self) {
        drop(self);
    }

    /// The bootstrap it was started with.
    #[must_use]
    pub fn configuration_file(&self) -> PathBuf {
        self.scratch.file("envoy.json")
    }

    fn access_log_file(&self) -> PathBuf {
        access_log_file(&self.scratch)
    }
}

fn access_log_file(scratch: &Scratch) -> PathBuf {
    scratch.file("access.log")
}

/// Envoy reads the file again when another one is moved to its place.
fn write_listeners(setup: &Setup, scratch: &Scratch) {
    let next = scratch.file("listeners.next.json");
    fs::write(&next, setup.listeners(&access_log_file(scratch)).to_string()).expect("the target folder can be written");
    fs::rename(next, listeners_file(scratch)).expect("a file just written can be moved");
}

fn listeners_file(scratch: &Scratch) -> PathBuf {
    scratch.file("listeners.json")
}

/// Envoy's command line for this setup, with its files in `scratch`.
fn command(setup: &Setup, scratch: &Scratch) -> Command {
    let mut command = Command::new(tools::envoy());
    let (file, text) = match &setup.sample {
        None => {
            let bootstrap: Value = setup.bootstrap(&access_log_file(scratch), &listeners_file(scratch));
            (scratch.file("envoy.json"), bootstrap.to_string())
        }
        Some(sample) => {
            command.args(["--config-yaml", &sample.beside().to_string()]);
            command.envs(sample.variables().iter().cloned());
            (scratch.file("envoy.yaml"), sample.text().to_owned())
        }
    };
    if setup.reloads {
        write_listeners(setup, scratch);
    }
    fs::write(&file, text).expect("the target folder can be written");
    command.arg("-c").arg(file).arg("--disable-hot-restart");
    command.args(["--concurrency", &setup.workers.to_string(), "--file-flush-interval-msec", "50"]);
    command.args(["--log-level", "info", "--component-log-level", "wasm:debug"]);
    command.args(["--drain-time-s", &setup.drain_seconds.to_string()]);
    if let Some(clock) = &setup.clock {
        clock.rule(&mut command);
    }
    command
}

/// A GET on a loopback port: status and body, if there is an answer.
#[must_use]
pub fn get(port: u16, path: &str) -> Option<(i32, String)> {
    let response = minreq::get(format!("http://127.0.0.1:{port}{path}")).with_timeout(10).send().ok()?;
    Some((response.status_code, String::from_utf8_lossy(response.as_bytes()).into_owned()))
}
