//! oauth2-proxy, which Envoy asks about each request: installed where Go is, and run.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wasm_tests::{
    envoy,
    issuer::Issuer,
    ports,
    process::{Running, Scratch},
    tools::{self, progress},
    usage,
};

use crate::filters;

const MODULE: &str = "github.com/oauth2-proxy/oauth2-proxy/v7";
const VERSION: &str = "v7.15.6";

/// The binary, or why there is none. Go checks the module against its database of checksums.
pub fn install() -> Result<PathBuf, String> {
    let folder = tools::local().join("oauth2-proxy").join(VERSION);
    let binary = folder.join("oauth2-proxy");
    if binary.is_file() {
        return Ok(binary);
    }
    let runs = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let missing = |what| format!("oauth2-proxy is left out: {what}");
    if !runs(Command::new("go").arg("version")) {
        return Err(missing("install Go (https://go.dev/dl, or apt: golang) to have it built here"));
    }
    progress(&format!("building oauth2-proxy {VERSION} (some minutes, once)"));
    if !runs(Command::new("go").env("GOBIN", &folder).args(["install", &format!("{MODULE}@{VERSION}")])) {
        return Err(missing(&format!("this failed: go install {MODULE}@{VERSION}")));
    }
    Ok(binary)
}

/// Name and version, for the tables.
pub fn name() -> String {
    format!("oauth2-proxy {VERSION}")
}

/// A running oauth2-proxy. Dropping it ends it.
pub struct Oauth2Proxy {
    /// Its port.
    pub port: u16,
    /// Its process.
    pub pid: u32,
    _running: Running,
    _scratch: Scratch,
}

impl Oauth2Proxy {
    /// Starts it, in one thread as an Envoy of one worker, for the Envoy on this port.
    pub fn start(binary: &Path, issuer: &Issuer, front: u16) -> Self {
        let (scratch, port) = (Scratch::new("oauth2-proxy"), ports::free());
        let mut command = Command::new(binary);
        command.args(filters::oauth2_proxy(issuer, front, port)).env("GOMAXPROCS", "1");
        let mut running = Running::start(&command, &scratch.file("log"));
        let is_ready = || (envoy::get(port, "/ping")?.0 == 200).then_some(());
        running.until("answer", is_ready).unwrap_or_else(|reason| panic!("oauth2-proxy {reason}"));
        let pid = usage::find("oauth2-proxy", &format!("--http-address=127.0.0.1:{port}"));
        Self { port, pid, _running: running, _scratch: scratch }
    }
}
