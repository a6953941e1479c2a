//! The configurations in `envoy/` and in the README are what people copy: Envoy with the built filter has to accept them as
//! they are.

use std::fs;
use std::process::Command;

use wasm_tests::process::Scratch;
use wasm_tests::tools;

/// A file of the repository.
fn text(file: &str) -> String {
    fs::read_to_string(tools::root().join(file)).expect("a file of the repository")
}

/// Whether `envoy --mode validate` accepts the file with the module in its place, and what it said.
fn validate(file: &str, module_in_file: &str) -> (bool, String) {
    accepts(file, &text(&format!("envoy/{file}")), module_in_file, &[])
}

/// The same of a text, with these variables beside those of every sample.
fn accepts(file: &str, text: &str, module_in_file: &str, variables: &[&str]) -> (bool, String) {
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
    envoy.envs(variables.iter().map(|name| (name, "secret")));
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

/// The filter's configuration in `minimal.yaml`, and how far it stands from the left.
const BODY: (&str, &str, usize) = ("                  value:\n", "                vm_config:\n", 20);

/// A document's text by the fields at its top.
fn fields(document: &str) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in document.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(':') {
            Some((name, _)) if !line.starts_with([' ', '-']) => fields.push((name, format!("{line}\n"))),
            _ => fields.last_mut().expect("a field").1.push_str(&format!("{line}\n")),
        }
    }
    fields
}

/// Whether the filter takes this, where `minimal.yaml` has what it leaves out.
fn filter_accepts(document: &str) -> (bool, String) {
    let minimal = text("envoy/minimal.yaml");
    let (before, rest) = minimal.split_once(BODY.0).expect("the filter's configuration");
    let (body, after) = rest.split_once(BODY.1).expect("its end");
    let body: String = body.lines().map(|line| format!("{}\n", &line[BODY.2..])).collect();
    let given = fields(document);
    let left_out = fields(&body).into_iter().filter(|(name, _)| given.iter().all(|(given, _)| given != name));
    let whole: String = left_out.chain(given.clone()).map(|(_, text)| text).collect();
    let whole: String = whole.lines().map(|line| format!("{}{line}\n", " ".repeat(BODY.2))).collect();
    let names = document.split("{env: ").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let names: Vec<_> = names.filter(|name| !["OIDC_CLIENT_SECRET", "VESTIBULE_KEY"].contains(name)).collect();
    let listed: String = names.iter().map(|name| format!("{name}, ")).collect();
    let after = after.replace("host_env_keys: [", &format!("host_env_keys: [{listed}"));
    let (start, end) = (BODY.0, BODY.1);
    accepts("minimal.yaml", &format!("{before}{start}{whole}{end}{after}"), "/etc/envoy/vestibule.wasm", &names)
}

#[test]
fn the_filter_accepts_what_the_readme_shows() {
    let readme = text("README.md");
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    let mut seen = 0;
    // The others are Envoy's own.
    for block in blocks.filter(|block| !["@type", "filter_metadata"].iter().any(|own| block.contains(own))) {
        // What a reader puts in; and a part of a list of rules.
        let block = block.replace("3f1c…", &"3f1c".repeat(16));
        let block = if block.starts_with("- ") { format!("rules:\n{block}") } else { block };
        let (accepted, said) = filter_accepts(&block);
        assert!(accepted, "{block}\n{said}");
        seen += 1;
    }
    assert!(seen > 5, "{seen} blocks");
}

#[test]
fn the_filter_accepts_what_the_sample_for_istio_says() {
    let sample = text("envoy/istio.yaml");
    let (_, rest) = sample.split_once("\n  pluginConfig:\n").expect("the filter's configuration");
    let (body, _) = rest.split_once("---\n").expect("its end");
    let body: String = body.lines().map(|line| format!("{}\n", &line[4..])).collect();
    let (accepted, said) = filter_accepts(&body);
    assert!(accepted, "{said}");
}
