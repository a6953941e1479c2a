//! The real Prometheus, which scrapes an Envoy's admin port and evaluates our alert rules.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    envoy::{Envoy, get},
    ports,
    process::{Running, Scratch, until},
    tools,
};

/// A running Prometheus. Dropping it ends it.
#[derive(Debug)]
pub struct Prometheus {
    running: Running,
    port: u16,
    _scratch: Scratch,
}

impl Prometheus {
    /// Starts it with this file of rules. It scrapes Envoy, and evaluates the rules, each second, and has done so once on return.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn watching(envoy: &Envoy, rules: &Path) -> Self {
        let (scratch, port) = (Scratch::new("prometheus"), ports::free());
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\nscrape_configs:\n- job_name: envoy\n  \
             metrics_path: /stats/prometheus\n  static_configs: [{{targets: [\"127.0.0.1:{}\"]}}]\n",
            envoy.admin_port(),
        );
        let file = scratch.file("prometheus.yml");
        fs::write(&file, settings).expect("the target folder can be written");
        let [program, _] = tools::prometheus();
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", scratch.file("data").display()));
        command.args([&format!("--web.listen-address=127.0.0.1:{port}"), "--log.level=warn"]);
        let mut running = Running::start(&command, &scratch.file("log"));
        let ready = running.until("ready Prometheus", || (get(port, "/-/ready")?.0 == 200).then_some(()));
        ready.unwrap_or_else(|reason| panic!("Prometheus {reason}"));
        let prometheus = Self { running, port, _scratch: scratch };
        // It finds its targets some seconds later.
        until("the first scrape", || prometheus.query("up == 1").first().map(drop));
        prometheus
    }

    /// The result of a query at this moment: series with their values.
    ///
    /// # Panics
    /// If it is no query, with what Prometheus says.
    #[must_use]
    #[track_caller]
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let mut query = String::new();
        for byte in expression.bytes() {
            let _ = write!(query, "%{byte:02x}");
        }
        let answer = self.data(&format!("query?query={query}"));
        let series = answer["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().and_then(|value| value.parse().ok());
        series.iter().filter_map(|series| Some((series["metric"].clone(), value(series)?))).collect()
    }

    /// The data that its API has at this path.
    ///
    /// # Panics
    /// If there are none, with what Prometheus says.
    #[must_use]
    #[track_caller]
    pub fn data(&self, path: &str) -> Value {
        let answer = get(self.port, &format!("/api/v1/{path}"));
        let (_, text) = answer.unwrap_or_else(|| panic!("Prometheus is gone: {}", self.running.log()));
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(answer["status"], "success", "{path}: {text}");
        answer["data"].clone()
    }
}

/// The result of promtool: whether it succeeded, and all that it said.
///
/// # Panics
/// If it cannot be run at all.
#[must_use]
pub fn promtool(arguments: &[&str], folder: &Path) -> (bool, String) {
    let [_, program] = tools::prometheus();
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
