//! Programs in Go, built from the modules that a sum file of ours pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{local, once, progress, root, run};

/// What a build needs.
const NEEDS: &str =
    "Go (https://go.dev/dl, the version in its go.mod or newer), a way to the Go module proxy, and room on the disk";

/// Dex.
///
/// # Panics
/// If it cannot be built, saying what is lacking.
#[must_use]
pub fn dex() -> PathBuf {
    let (folder, program) = (root().join("wasm-tests/dex"), local().join("dex/dex"));
    once("dex", "Dex, which takes some minutes", &folder.join("go.sum"), || {
        build(&folder, None, &program, "github.com/dexidp/dex/cmd/dex");
    });
    program
}

/// Envoy Gateway.
///
/// # Panics
/// If it cannot be built, saying what is lacking.
#[must_use]
pub fn envoy_gateway() -> PathBuf {
    let (folder, program) = (root().join("wasm-tests/mesh/envoy-gateway"), local().join("envoy-gateway/envoy-gateway"));
    once("envoy-gateway", "Envoy Gateway, which takes some minutes", &folder.join("go.sum"), || {
        build(&folder, None, &program, "github.com/envoyproxy/gateway/cmd/envoy-gateway");
    });
    program
}

/// The programs of Istio.
#[derive(Debug, Clone)]
pub struct Istio {
    /// The control plane, istiod.
    pub pilot_discovery: PathBuf,
    /// What starts Envoy in a pod and fetches modules for it.
    pub pilot_agent: PathBuf,
    /// The template of Envoy's bootstrap.
    pub bootstrap: PathBuf,
}

/// A file of Istio, a text in it, and the text in its place.
type Patch = (&'static str, &'static str, &'static str);

/// Without Kubernetes, istiod ends at its start and leaves each `WasmPlugin` out. The agent keeps modules in a folder of the pod's
/// file system; here it is below the folder in which it runs.
const PATCHES: [Patch; 3] = [
    (
        "pilot/pkg/serviceregistry/serviceentry/controller.go",
        "multiclusterController.ConfigCluster().Namespaces()",
        "krt.NewStaticCollection[*v1.Namespace](nil, nil)",
    ),
    ("pkg/istio-agent/xds_proxy.go", "constants.IstioDataDir", "\".\"+constants.IstioDataDir"),
    (
        "pilot/pkg/bootstrap/configcontroller.go",
        "s.ConfigStores = append(s.ConfigStores, configController)\n\t} else {",
        "s.ConfigStores = append(s.ConfigStores, configController, \
         extensions.NewController(configController, s.XDSServer, args.KrtDebugger))\n\t} else {",
    ),
];

/// Istio, with [`PATCHES`].
///
/// # Panics
/// If it cannot be built, saying what is lacking.
#[must_use]
pub fn istio() -> Istio {
    const MODULE: &str = "istio.io/istio";
    let (folder, home) = (root().join("wasm-tests/mesh/istio"), local().join("istio"));
    let program = |name: &str| home.join(name);
    let istio = Istio {
        pilot_discovery: program("pilot-discovery"),
        pilot_agent: program("pilot-agent"),
        bootstrap: program("envoy_bootstrap.json"),
    };
    once("istio", "Istio, which takes some minutes", &folder.join("go.sum"), || {
        let _ = fs::remove_dir_all(&home);
        let source = home.join("source");
        fs::create_dir_all(&home).expect("the .local folder can be written");
        run(Command::new("go").args(["mod", "download", MODULE]).current_dir(&folder), NEEDS);
        let found = Command::new("go").args(["list", "-m", "-f", "{{.Dir}}", MODULE]).current_dir(&folder).output();
        let found = String::from_utf8(found.expect("go runs").stdout).expect("a path in UTF-8");
        run(Command::new("cp").args(["-r", found.trim()]).arg(&source), "room on the disk");
        run(Command::new("chmod").args(["-R", "u+w"]).arg(&source), "a file system with permissions");
        for (file, there, here) in PATCHES {
            patch(&source.join(file), there, here);
        }
        let modules = home.join("go.mod");
        let pinned = fs::read_to_string(folder.join("go.mod")).expect("a file of the repository");
        fs::write(&modules, format!("{pinned}\nreplace {MODULE} => {}\n", source.display()))
            .expect("the .local folder can be written");
        fs::copy(folder.join("go.sum"), home.join("go.sum")).expect("the .local folder can be written");
        for (program, package) in [(&istio.pilot_discovery, "pilot-discovery"), (&istio.pilot_agent, "pilot-agent")] {
            progress(&format!("building {package}"));
            build(&folder, Some(&modules), program, &format!("{MODULE}/pilot/cmd/{package}"));
        }
        fs::copy(source.join("tools/packaging/common/envoy_bootstrap.json"), &istio.bootstrap)
            .expect("the template of Envoy's bootstrap");
        let _ = fs::remove_dir_all(&source);
    });
    istio
}

/// Builds one program of the modules in `folder`, or of those in another go.mod.
fn build(folder: &Path, modules: Option<&Path>, program: &Path, package: &str) {
    let mut go = Command::new("go");
    // Without cgo no C compiler is needed. Symbols would make the programs a third larger.
    go.args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o"]).arg(program);
    if let Some(modules) = modules {
        go.arg(format!("-modfile={}", modules.display()));
    }
    run(go.arg(package).env("CGO_ENABLED", "0").current_dir(folder), NEEDS);
}

fn patch(file: &Path, there: &str, here: &str) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    assert_eq!(text.matches(there).count(), 1, "{there:?} does not stand once in {}", file.display());
    fs::write(file, text.replace(there, here)).expect("the .local folder can be written");
}
