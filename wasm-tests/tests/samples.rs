//! Users copy the configurations in `envoy/`, in its pages and in the README: Envoy with the built filter has to accept them
//! as they are.

use std::fs;
use std::process::Command;

use vestibule_check::Options;
use wasm_tests::keys;
use wasm_tests::process::Scratch;
use wasm_tests::tools;

/// A private key that signs nothing but tests, on P-256.
fn private_key() -> String {
    keys::of_clients()[1].to_string()
}

/// A file of the repository.
fn text(file: &str) -> String {
    fs::read_to_string(tools::root().join(file)).expect("a file of the repository")
}

/// Whether `envoy --mode validate` accepts this text of a file, with the module in its place, and what it said.
fn accepts(file: &str, text: &str, module_in_file: &str) -> (bool, String) {
    let module = tools::module();
    let here = text.replace(module_in_file, module.to_str().expect("a path in UTF-8"));
    assert_ne!(here, text, "{file} does not name {module_in_file}");
    // The files beside the sample in use, and those in every pod.
    let beside = |file: &str| tools::root().join("envoy").join(file).to_str().expect("a path in UTF-8").to_owned();
    let here = here
        .replace("/etc/envoy/client-secret.yaml", &beside("client-secret.yaml"))
        .replace("/etc/envoy/kubernetes-token.yaml", &beside("kubernetes-token.yaml"))
        .replace("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", "/etc/ssl/certs/ca-certificates.crt");
    let scratch = Scratch::new("samples");
    fs::write(scratch.file(file), here).expect("the target folder can be written");
    let mut envoy = Command::new(tools::envoy());
    envoy.args(["--mode", "validate", "-c"]).arg(scratch.file(file));
    let value = |name: &str| if name.ends_with("_KEY") { private_key() } else { "secret".to_owned() };
    envoy.envs(variables(text).map(|name| (name, value(name))));
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
    let others = [
        "client-secret.yaml",
        "demo.yaml",
        "document.yaml",
        "envoy-gateway.yaml",
        "istio-envoyfilter.yaml",
        "istio.yaml",
        "kubernetes-token.yaml",
    ];
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

/// Settings that must not differ: path normalization, client address, failure policy, and the TLS peer of the provider.
#[test]
fn every_sample_has_the_safety_settings_of_the_minimal_one() {
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

/// The README or the index of the pages names each page, and "Copy a whole file" each sample.
#[test]
fn every_page_and_sample_is_linked() {
    let (readme, index) = (text("README.md"), text("envoy/docs/README.md"));
    for page in every_page().into_iter().filter(|page| !page.ends_with("README.md")) {
        let name = page.strip_prefix("envoy/docs/").expect("a page");
        assert!(readme.contains(&format!("]({page})")) || index.contains(&format!("]({name})")), "{page}");
    }
    let start = text("envoy/docs/getting-started.md");
    let others = ["demo.yaml", "document.yaml", "envoy-gateway.yaml", "istio-envoyfilter.yaml", "istio.yaml"];
    for file in files().into_iter().chain(others.map(str::to_owned)) {
        assert!(start.contains(&format!("](../{file})")), "{file}");
    }
}

/// The first lines of the filter and of the next one in `minimal.yaml`.
const FILTER: (&str, &str) = ("          - name: vestibule\n", "          - name: envoy.filters.http.router\n");
/// The lines before and after the filter's configuration there, and its indentation.
const BODY: (&str, &str, usize) = ("                  value:\n", "                vm_config:\n", 20);
/// The first route there.
const ROUTE: &str = "              - match: {prefix: /}\n";

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

/// The filter with this name and configuration. Fields that the configuration lacks come from `minimal.yaml`.
fn filter(minimal: &str, name: &str, document: &str) -> String {
    let (before, rest) = minimal.split_once(BODY.0).expect("the filter's configuration");
    let (body, after) = rest.split_once(BODY.1).expect("its end");
    let body: String = body.lines().map(|line| format!("{}\n", &line[BODY.2..])).collect();
    let given = fields(document);
    let left_out = fields(&body).into_iter().filter(|(name, _)| given.iter().all(|(given, _)| given != name));
    let whole: String = left_out.chain(given.clone()).map(|(_, text)| text).collect();
    let whole: String = whole.lines().map(|line| format!("{}{line}\n", " ".repeat(BODY.2))).collect();
    let before = before.replace("name: vestibule\n", &format!("name: {name:?}\n"));
    format!("{before}{}{whole}{}{after}", BODY.0, BODY.1)
}

/// The lines, each this far from the left.
fn indented(lines: &str, beside: &str) -> String {
    let indent = beside.len() - beside.trim_start().len();
    lines.lines().map(|line| format!("{}{line}\n", " ".repeat(indent))).collect()
}

/// Whether one Envoy takes all of these, each with a name for its log: configurations of the filter, HTTP filters of
/// Envoy's own and routes.
fn all_accepted(blocks: &[(String, String)]) -> (bool, String) {
    let minimal = text("envoy/minimal.yaml");
    let (before, rest) = minimal.split_once(FILTER.0).expect("the filter");
    let (usual, after) = rest.split_once(FILTER.1).expect("the router");
    let usual = format!("{}{usual}", FILTER.0);
    let (mut filters, mut routes) = (String::new(), String::new());
    for (name, block) in blocks {
        match block {
            route if route.starts_with("- match:") => routes.push_str(&indented(route, ROUTE)),
            own if own.starts_with("- name: envoy.") => filters.push_str(&indented(own, FILTER.0)),
            // A part of a list of rules.
            rules if rules.starts_with("- ") => filters.push_str(&filter(&usual, name, &format!("rules:\n{rules}"))),
            document => filters.push_str(&filter(&usual, name, document)),
        }
    }
    let mut names: Vec<&str> = variables(&filters).collect();
    names.sort_unstable();
    names.dedup();
    let filters = filters.replace("[OIDC_CLIENT_SECRET, VESTIBULE_KEY]", &format!("[{}]", names.join(", ")));
    let after = after.replace(ROUTE, &format!("{routes}{ROUTE}"));
    accepts("minimal.yaml", &format!("{before}{filters}{}{after}", FILTER.1), "/etc/envoy/vestibule.wasm")
}

/// Pages that show no YAML.
const WITHOUT_YAML: [&str; 7] = [
    "README.md",
    "architecture.md",
    "configuration.md",
    "operations.md",
    "security.md",
    "single-page-apps.md",
    "speed.md",
];

/// The pages of `envoy/docs`, and the README.
fn every_page() -> Vec<String> {
    let folder = fs::read_dir(tools::root().join("envoy/docs")).expect("the folder of pages");
    let names = folder.map(|entry| entry.expect("a file").file_name().into_string().expect("a name in UTF-8"));
    names.map(|name| format!("envoy/docs/{name}")).chain(["README.md".to_owned()]).collect()
}

/// Those that show YAML.
fn pages() -> Vec<String> {
    let without = WITHOUT_YAML.map(|name| format!("envoy/docs/{name}"));
    every_page().into_iter().filter(|page| !without.contains(page)).collect()
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

#[test]
fn the_filter_and_envoy_accept_the_yaml_of_the_pages() {
    let mut shown = Vec::new();
    for page in pages() {
        let blocks = blocks(&text(&page));
        assert!(!blocks.is_empty(), "{page} shows no YAML; is it among those without?");
        // The values that a reader fills in.
        let blocks = blocks.into_iter().map(|block| block.replace("3f1c…", &"3f1c".repeat(16)));
        shown.extend(blocks.enumerate().map(|(at, block)| (format!("{page}, block {}", at + 1), block)));
    }
    let (accepted, said) = all_accepted(&shown);
    assert!(accepted, "{said}");
}

#[test]
fn a_fault_in_a_sample_of_a_page_is_found_and_named() {
    let blocks = [("good", "prefix: /auth\n"), ("bad", "- {path: /x, acess: public}\n")];
    let (accepted, said) = all_accepted(&blocks.map(|(name, block)| (name.to_owned(), block.to_owned())));
    let is_named = said.contains("rules[0].acess: unknown field") && said.contains("Plugin bad failed to load");
    assert!(!accepted && is_named, "{said}");
}

#[test]
fn the_filter_accepts_the_document_alone() {
    let (accepted, said) = all_accepted(&[("document.yaml".to_owned(), text("envoy/document.yaml"))]);
    assert!(accepted, "{said}");
}

/// `make mesh` hands these files to their control planes.
#[test]
fn the_filter_accepts_the_control_plane_samples() {
    let parts = [
        ("envoy-gateway.yaml", "\n    config:\n", "---\n", 6),
        ("istio.yaml", "\n  pluginConfig:\n", "---\n", 4),
        ("istio-envoyfilter.yaml", "\n              value:\n", "            vm_config:\n", 16),
    ];
    let bodies = parts.map(|(file, before, after, indentation)| {
        let sample = text(&format!("envoy/{file}"));
        let (_, rest) = sample.split_once(before).expect("the filter's configuration");
        let (body, _) = rest.split_once(after).expect("its end");
        let body: String = body.lines().map(|line| format!("{}\n", &line[indentation..])).collect();
        (file.to_owned(), body)
    });
    let (accepted, said) = all_accepted(&bodies);
    assert!(accepted, "{said}");
}

/// Each program has its own idea of what a scalar of YAML is.
#[test]
fn vestibule_check_reports_the_same_faults_as_the_filter_in_envoy() {
    // The advice that `check` adds to the filter's message.
    const ADVICE: [&str; 2] = ["; put it in quotes", "; in milliseconds, without a unit or quotes"];
    let settings = [
        "client_id: my-client",
        "title: on",
        "timeout_ms: 1.5",
        "scopes: [y, No, 0x10, 010, 12345678901, 1e3, ~, 'on', \"7\", !!str 7, 2147483647, 2147483648]",
        "trusted_audiences: [.inf, -3, +3, 1_000, 0o7, -0x10, 08, 0, -2147483649, TRUE, truE, null, Null, nUll, ! 8]",
        "id_token_signing_algs:",
    ]
    .map(|line| format!("                      {line}\n"))
    .concat();
    let client = "                      client_id: my-client\n";
    let minimal = text("envoy/minimal.yaml");
    let mistaken = minimal.replace(client, &settings);
    assert_ne!(minimal, mistaken);
    let (accepted, said) = accepts("minimal.yaml", &mistaken, "/etc/envoy/vestibule.wasm");
    assert!(!accepted, "{said}");
    let lines = said.lines().filter_map(|line| line.split_once("wasm log vestibule vestibule: "));
    let in_envoy: Vec<_> = lines.map(|(_, line)| line.to_owned()).collect();
    let options = Options { without_secrets: true, ..Options::default() };
    let report = vestibule_check::check("minimal.yaml", &mistaken, &|_| None, &options);
    let places = report.text.lines().filter_map(|line| line.strip_prefix("minimal.yaml:")?.split_once(": "));
    let own = |line: &str| ADVICE.iter().find_map(|advice| line.strip_suffix(advice)).unwrap_or(line).to_owned();
    let mut checked: Vec<_> = places.filter(|(place, _)| place.contains(':')).map(|(_, line)| own(line)).collect();
    let mut expected = in_envoy.clone();
    checked.sort();
    expected.sort();
    assert_eq!(checked, expected);
    assert!(in_envoy.len() > 15, "{said}");
}
