//! The configurations in `envoy/`, in its pages and in the README are what people copy: Envoy with the built filter has to accept them as
//! they are.

use std::fs;
use std::process::Command;

use wasm_tests::process::Scratch;
use wasm_tests::tools;

/// A file of the repository.
fn text(file: &str) -> String {
    fs::read_to_string(tools::root().join(file)).expect("a file of the repository")
}

/// Whether `envoy --mode validate` accepts this text of a file, with the module in its place, and what it said.
fn accepts(file: &str, text: &str, module_in_file: &str) -> (bool, String) {
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
    envoy.envs(variables(text).map(|name| (name, "secret")));
    envoy.env("VESTIBULE_KEY", "0123456789abcdef".repeat(4));
    let output = envoy.output().expect("Envoy runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The variables that a text names.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("{env: ").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

#[test]
fn envoy_accepts_the_demo() {
    let (accepted, said) =
        accepts("demo.yaml", &text("envoy/demo.yaml"), "target/wasm32-wasip1/release/vestibule.wasm");
    assert!(accepted, "{said}");
}

/// The files for Envoy alone.
fn files() -> Vec<String> {
    let folder = fs::read_dir(tools::root().join("envoy")).expect("the folder of samples");
    let names = folder.map(|entry| entry.expect("a file").file_name().into_string().expect("a name in UTF-8"));
    let others = ["demo.yaml", "istio.yaml", "kubernetes-token.yaml"];
    names.filter(|name| name.ends_with(".yaml") && !others.contains(&name.as_str())).collect()
}

#[test]
fn envoy_accepts_every_file_and_warns_of_nothing_in_it() {
    for file in files() {
        let (accepted, said) = accepts(&file, &text(&format!("envoy/{file}")), "/etc/envoy/vestibule.wasm");
        assert!(accepted, "{file}: {said}");
        for warning in ["wasm log vestibule", "Deprecated"] {
            assert!(!said.contains(warning), "{file}: {said}");
        }
    }
}

/// What must not differ: how paths are read, whose address counts, what a crash does, and whom Envoy believes to be the provider.
#[test]
fn every_file_has_what_the_smallest_says_of_safety() {
    let minimal = text("envoy/minimal.yaml");
    let line = |part: &str| {
        let mut found = minimal.lines().filter(|line| line.contains(part));
        found.next().unwrap_or_else(|| panic!("{part} does not stand in minimal.yaml"))
    };
    for file in files() {
        let whole = text(&format!("envoy/{file}"));
        for part in [
            "normalize_path: ",
            "merge_slashes: ",
            "path_with_escaped_slashes_action: ",
            "use_remote_address: ",
            "xff_num_trusted_hops: ",
            "failure_policy: ",
            "vm_id: ",
            "inline_string: ",
            "trusted_ca: ",
            "auto_sni: ",
        ] {
            let line = line(part);
            assert!(whole.lines().any(|found| found == line), "{file} lacks: {line}");
        }
        assert_eq!(
            whole.contains("                allow_on_headers_stop_iteration: true # "),
            whole.contains("                    allow_on_headers_stop_iteration: true\n"),
            "{file}"
        );
    }
}

#[test]
fn the_readme_names_every_file() {
    let readme = text("README.md");
    let files = files().into_iter().chain(["demo.yaml", "istio.yaml"].map(str::to_owned));
    for file in files.map(|name| format!("envoy/{name}")).chain(pages()).filter(|file| file != "README.md") {
        assert!(readme.contains(&format!("]({file})")), "{file}");
    }
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
    let names = variables(document).filter(|name| !["OIDC_CLIENT_SECRET", "VESTIBULE_KEY"].contains(name));
    let listed: String = names.map(|name| format!("{name}, ")).collect();
    let after = after.replace("host_env_keys: [", &format!("host_env_keys: [{listed}"));
    let (start, end) = (BODY.0, BODY.1);
    accepts("minimal.yaml", &format!("{before}{start}{whole}{end}{after}"), "/etc/envoy/vestibule.wasm")
}

/// README and the pages of `envoy/docs`.
fn pages() -> Vec<String> {
    let folder = fs::read_dir(tools::root().join("envoy/docs")).expect("the folder of pages");
    let names = folder.map(|entry| entry.expect("a file").file_name().into_string().expect("a name in UTF-8"));
    names.map(|name| format!("envoy/docs/{name}")).chain(["README.md".to_owned()]).collect()
}

/// The YAML that a page shows, also in lists.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("```yaml").filter(|indent| indent.trim().is_empty()) else { continue };
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push(block.map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line))).collect());
    }
    blocks
}

/// Whether Envoy takes HTTP filters or routes, each in the list of `minimal.yaml` before what is there.
fn envoy_accepts(elements: &str) -> (bool, String) {
    let first = if elements.starts_with("- match:") { "- match: {prefix: /}\n" } else { "- name: vestibule\n" };
    let minimal = text("envoy/minimal.yaml");
    let (before, after) = minimal.split_once(first).expect("the first of the list");
    let indent = before.rsplit('\n').next().expect("a line");
    let elements: String = elements.lines().map(|line| format!("{line}\n{indent}")).collect();
    accepts("minimal.yaml", &format!("{before}{elements}{first}{after}"), "/etc/envoy/vestibule.wasm")
}

#[test]
fn the_filter_and_envoy_accept_what_the_pages_show() {
    for page in pages() {
        let blocks = blocks(&text(&page));
        for block in &blocks {
            let of_envoy = ["- match:", "- name: envoy."].iter().any(|start| block.starts_with(start));
            let (accepted, said) = if of_envoy {
                envoy_accepts(block)
            } else {
                // What a reader puts in; and a part of a list of rules.
                let block = block.replace("3f1c…", &"3f1c".repeat(16));
                filter_accepts(&if block.starts_with("- ") { format!("rules:\n{block}") } else { block })
            };
            assert!(accepted, "{page}: {block}\n{said}");
        }
        assert!(blocks.len() > 5, "{page}: {} blocks", blocks.len());
    }
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
