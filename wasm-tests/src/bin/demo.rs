//! `make demo`: the filter in the real Envoy, before an app that has no sign-in, with a real provider beside it.

use std::env;
use std::fs;
use std::panic;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use wasm_tests::envoy::get;
use wasm_tests::ports;
use wasm_tests::process::Running;
use wasm_tests::provider::{Provider, client};
use wasm_tests::tools::{self, progress};

/// Where the parts listen, and the environment variables that put them elsewhere.
struct Ports {
    front: u16,
    app: u16,
    admin: u16,
    issuer: u16,
}

const FRONT: (&str, u16) = ("VESTIBULE_DEMO_PORT", 8000);
const APP: (&str, u16) = ("VESTIBULE_DEMO_APP_PORT", 8001);
const ADMIN: (&str, u16) = ("VESTIBULE_DEMO_ADMIN_PORT", 8002);
const ISSUER: (&str, u16) = ("VESTIBULE_DEMO_ISSUER_PORT", 9000);

/// Where `envoy/demo.yaml` expects the module, from the root of the repository.
const MODULE: &str = "target/wasm32-wasip1/release/vestibule.wasm";

fn main() -> ExitCode {
    // The harness panics on failure. Here the reader is a user of the demo.
    panic::set_hook(Box::new(|info| eprintln!("{}", info.payload_as_str().unwrap_or("failed"))));
    match run() {
        Ok(never) => match never {},
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<std::convert::Infallible, String> {
    let ports = Ports::choose()?;
    // `make demo` has built it.
    if std::env::var_os("VESTIBULE_WASM").is_none() {
        progress("building the filter (a minute or two the first time)");
    }
    let module = tools::module();
    let folder = tools::local().join("demo");
    let mut app = start_app(&ports)?;
    progress("starting the OpenID provider");
    let external_url = format!("http://localhost:{}", ports.front);
    let provider = Provider::start_on(ports.issuer, &[client("demo", "demo-secret", &external_url)]);
    progress("starting Envoy");
    let mut envoy = Command::new(tools::envoy());
    envoy.arg("-c").arg(ports.envoy_file(&module)?).args(["--disable-hot-restart", "--concurrency", "2"]);
    let mut envoy = Running::start(envoy.current_dir(tools::root()), &folder.join("envoy.log"));
    let ready = envoy.until("ready Envoy", || get(ports.admin, "/ready").filter(|(status, _)| *status == 200));
    ready.map_err(|reason| format!("Envoy {reason}"))?;
    println!("{}", ports.what_to_try());
    loop {
        for (name, part) in [("Datasette", &mut app), ("Envoy", &mut envoy)] {
            if let Some(code) = part.exited() {
                return Err(format!("{name} ended with code {code}:\n{}", part.log()));
            }
        }
        if get(ports.issuer, "/.well-known/openid-configuration").is_none() {
            return Err(format!("the provider has ended:\n{}", provider.log()));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Datasette from PyPI on two small databases made now.
fn start_app(ports: &Ports) -> Result<Running, String> {
    let venv = tools::python("datasette", "Datasette, the app", "requirements-demo.txt");
    let (files, folder) = (tools::root().join("wasm-tests/demo"), tools::local().join("demo"));
    progress("starting Datasette");
    let made = Command::new(venv.join("bin/python")).arg(files.join("sample_data.py")).arg(&folder).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(format!("cannot make the sample data in {}", folder.display()));
    }
    let mut command = Command::new(venv.join("bin/datasette"));
    command.args(["serve", "open.db", "team.db", "--host", "127.0.0.1", "--port", &ports.app.to_string()]);
    command.arg("--metadata").arg(files.join("datasette.yml")).current_dir(&folder);
    let mut app = Running::start(&command, &folder.join("datasette.log"));
    let ready = app.until("ready Datasette", || get(ports.app, "/-/versions.json"));
    ready.map_err(|reason| format!("Datasette {reason}"))?;
    Ok(app)
}

impl Ports {
    /// The ports asked for, if all of them are free.
    fn choose() -> Result<Self, String> {
        let mut taken = String::new();
        let mut choose = |(variable, default): (&str, u16)| {
            let port = match env::var(variable) {
                Ok(text) => text.parse().map_err(|_| format!("{variable}={text} is not a port")),
                Err(_) => Ok(default),
            }?;
            if !ports::is_free(port) {
                taken += &format!("Port {port} is taken. End what listens there, or choose another: {variable}=PORT\n");
            }
            Ok::<u16, String>(port)
        };
        let ports = Self { front: choose(FRONT)?, app: choose(APP)?, admin: choose(ADMIN)?, issuer: choose(ISSUER)? };
        if taken.is_empty() { Ok(ports) } else { Err(taken.trim_end().to_owned()) }
    }

    /// `envoy/demo.yaml`, or a copy of it if the ports or the module lie elsewhere.
    fn envoy_file(&self, module: &std::path::Path) -> Result<PathBuf, String> {
        let original = tools::root().join("envoy/demo.yaml");
        let text = fs::read_to_string(&original).map_err(|error| format!("{}: {error}", original.display()))?;
        let mut changed = text.clone();
        if tools::root().join(MODULE) != module {
            changed = changed.replace(MODULE, &module.display().to_string());
        }
        // By way of a letter, so that two ports can change places.
        let asked = [(FRONT.1, self.front), (APP.1, self.app), (ADMIN.1, self.admin), (ISSUER.1, self.issuer)];
        for mark in ["port_value: ", "http://localhost:", "http://127.0.0.1:"] {
            for (default, _) in asked {
                changed = changed.replace(&format!("{mark}{default}"), &format!("{mark}@{default}"));
            }
            for (default, port) in asked {
                changed = changed.replace(&format!("{mark}@{default}"), &format!("{mark}{port}"));
            }
        }
        if changed == text {
            return Ok(original);
        }
        let copy = tools::local().join("demo/envoy.yaml");
        fs::write(&copy, changed).map_err(|error| format!("{}: {error}", copy.display()))?;
        Ok(copy)
    }

    fn what_to_try(&self) -> String {
        let Self { front, admin, .. } = self;
        format!(
            r#"
Vestibule stands before Datasette, an app without any sign-in of its own.

  Open   http://localhost:{front}/  (not in Safari: it keeps the session's cookie by https only, even at localhost)
  Users  alice with alice-password
         bob with bob-password

Datasette greets you by name in the corner (not on its public pages, where the filter tells it nothing). The provider
remembers who you are until you sign out, so try bob then, or in a private window. A deep link comes back to its page:
         http://localhost:{front}/team/on_call?name=Alice+Example

Its public API needs no sign-in, and a program without a session gets 401:
         curl -s  'http://localhost:{front}/open/opening_hours.json?_shape=array'
         curl -si 'http://localhost:{front}/team/on_call.json'

  Sign out       http://localhost:{front}/oauth2/sign_out
  Configuration  envoy/demo.yaml
  Counters       curl -s 'http://127.0.0.1:{admin}/stats?filter=vestibule'
  Logs           .local/demo/envoy.log

Ctrl-C ends everything."#
        )
    }
}
