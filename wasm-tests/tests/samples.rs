//! The configurations in `envoy/` are what people copy: Envoy with the built filter has to accept them as they are.

use std::fs;
use std::process::Command;

use wasm_tests::process::Scratch;
use wasm_tests::tools;

/// Whether `envoy --mode validate` accepts the file with the module in its place, and what it said.
fn validate(file: &str, module_in_file: &str) -> (bool, String) {
    let text = fs::read_to_string(tools::root().join("envoy").join(file)).expect("the sample");
    let module = tools::module();
    let here = text.replace(module_in_file, module.to_str().expect("a path in UTF-8"));
    assert_ne!(here, text, "{file} does not name {module_in_file}");
    // What lies beside it where it is used, and what is in every pod.
    let beside = tools::root().join("envoy/kubernetes-token.yaml");
    let here = here
        .replace("/etc/envoy/kubernetes-token.yaml", beside.to_str().expect("a path in UTF-8"))
        .replace("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", "/etc/ssl/certs/ca-certificates.crt");
    let scratch = Scratch::new("samples");
    fs::write(scratch.file(file), here).expect("the target folder can be written");
    let mut envoy = Command::new(tools::envoy());
    envoy.args(["--mode", "validate", "-c"]).arg(scratch.file(file));
    envoy.env("OIDC_CLIENT_SECRET", "secret").env("VESTIBULE_KEY", "0123456789abcdef".repeat(4));
    let output = envoy.output().expect("Envoy runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn envoy_accepts_the_demo() {
    let (accepted, said) = validate("demo.yaml", "target/wasm32-wasip1/release/vestibule.wasm");
    assert!(accepted, "{said}");
}

#[test]
fn envoy_accepts_the_minimal_configuration() {
    let (accepted, said) = validate("minimal.yaml", "/etc/envoy/vestibule.wasm");
    assert!(accepted, "{said}");
}

#[test]
fn envoy_accepts_the_configuration_with_a_store() {
    let (accepted, said) = validate("stored.yaml", "/etc/envoy/vestibule.wasm");
    assert!(accepted, "{said}");
}

#[test]
fn envoy_accepts_the_configuration_with_areas() {
    let (accepted, said) = validate("areas.yaml", "/etc/envoy/vestibule.wasm");
    assert!(accepted, "{said}");
    // None of its rules is one to be warned of.
    assert!(!said.contains("rules["), "{said}");
}

#[test]
fn envoy_accepts_the_configuration_for_kubernetes() {
    let (accepted, said) = validate("kubernetes.yaml", "/etc/envoy/vestibule.wasm");
    assert!(accepted, "{said}");
    assert!(!said.contains("wasm log vestibule"), "{said}");
}
