//! The machine and the date of a measurement.

use std::{fs, process::Command, thread};

use crate::tools;

/// Machine, date and versions in one line.
#[must_use]
pub fn describe() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unnamed CPU", |(_, model)| model);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let date = said(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]));
    format!("{model}, {cores} cores, load {} before the run; {date}; Envoy {}", load(), envoy())
}

/// The processes that wanted to run in the last minute, on average. More than one before a run means that others disturb it.
#[must_use]
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The version of Envoy, without the commit.
fn envoy() -> String {
    let said = said(Command::new(tools::envoy()).arg("--version"));
    // <path>  version: <commit>/<version>/Clean/RELEASE/BoringSSL
    let version = said.rsplit_once(" version: ").and_then(|(_, version)| version.split('/').nth(1));
    version.unwrap_or("of unknown version").to_owned()
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
