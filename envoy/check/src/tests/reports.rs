use super::*;
use crate::{Command, UsageError, variables_of_file};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/report.txt");

/// The first lines, up to the first that is empty.
fn findings(report: &Report) -> &str {
    report.text.split("\n\n").next().unwrap().trim_end()
}

/// The samples of the repository that hold a configuration.
fn samples() -> Vec<String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let others = ["client-secret.yaml", "kubernetes-token.yaml"];
    names.filter(|name| name.ends_with(".yaml") && !others.contains(&name.as_str())).collect()
}

#[test]
fn every_sample_is_valid_without_a_warning() {
    let samples = samples();
    assert!(samples.len() > 10, "{samples:?}");
    for name in samples.into_iter().chain(["gateway.yaml".to_owned(), "alone.yaml".to_owned()]) {
        let report = without_secrets(&name, &file(&name));
        assert!(report.is_valid, "{}", report.text);
        let said = findings(&report);
        assert!(said.lines().count() == 1 && said.ends_with(" is valid"), "{said}");
    }
}

#[test]
fn the_report_lists_the_effective_settings() {
    let questions = [("GET", "https://app.example.com/admin/users?id=1"), ("POST", "/staff")];
    let questions = questions.map(|(method, url)| Question::read(method, url).unwrap()).to_vec();
    let report = check("alone.yaml", ALONE, &|_| None, &Options { without_secrets: true, questions });
    if std::env::var_os("UPDATE_REPORTS").is_some() {
        std::fs::write(HERE, &report.text).unwrap();
    }
    assert_eq!(report.text, std::fs::read_to_string(HERE).unwrap());
}

#[test]
fn a_request_is_explained() {
    assert_eq!(
        explained("alone.yaml", ALONE, &[("GET", "/evaluate/v1/x")]),
        "GET app.example.com/evaluate/v1/x\n  decided by rules[0] (alone.yaml:13:3)\n    access: public: everybody, without a session\n  passes\n"
    );
    assert_eq!(
        explained("alone.yaml", ALONE, &[("GET", "https://app.example.com/oauth2/start?rd=/")]),
        "GET app.example.com/oauth2/start?rd=/\n  answered by the filter itself: /oauth2 is its own, and no rule applies\n"
    );
    assert_eq!(
        explained("alone.yaml", ALONE, &[("GET", "/internal/x")]),
        "GET app.example.com/internal/x\n  decided by rules[3] (alone.yaml:20:3)\n    access: deny: nobody\n  answer: 403\n"
    );
    let elsewhere = explained("alone.yaml", ALONE, &[("GET", "https://other.example.com/")]);
    assert!(
        elsewhere.ends_with("\n  not the host of external_url: sessions and sign-ins are at https://app.example.com\n"),
        "{elsewhere}"
    );
    // Programs differ on escaped slashes: all rules that may be meant hold.
    let several = explained("alone.yaml", ALONE, &[("GET", "/evaluate/v1/%2e%2e/admin")]);
    assert!(
        several.contains("so these hold together:\n  rules[0] (") && several.contains("\n  no rule: "),
        "{several}"
    );
    let text = file("providers.yaml");
    let passed = |name: &str| Some(if name.ends_with("KEY") { KEY } else { "secret" }.to_owned());
    let questions = vec![Question::read("GET", "/").unwrap(), Question::read("GET", "/admin").unwrap()];
    let report = check("providers.yaml", &text, &passed, &Options { questions, ..Options::default() }).text;
    assert!(report.contains("  sign-in at: Staff, Partners, chosen on a page\n"), "{report}");
    assert!(report.contains("  sign-in at: Staff\n"), "{report}");
    assert!(report.contains("a route that names a policy"), "{report}");
}

#[test]
fn a_question_is_a_method_and_a_url_or_path() {
    assert_eq!(Question::read("GET", "https://a.example?x=1#y"), Question::read("GET", "http://a.example/?x=1"));
    for (method, url) in
        [("GET", "app.example.com"), ("GET", ""), ("", "/"), ("GET", "/a b"), ("GET", "ftp://a/"), ("GET", "https:///")]
    {
        assert_eq!(Question::read(method, url), None, "{method} {url}");
    }
}

/// The bootstrap with the settings as JSON in a block of text.
fn with_json_text(json: &str) -> String {
    let minimal = file("minimal.yaml");
    let (before, rest) = minimal.split_once("Struct\n                  value:\n").unwrap();
    let (_, after) = rest.split_once("                vm_config:\n").unwrap();
    format!("{before}StringValue\n                  value: {json}\n                vm_config:\n{after}")
}

#[test]
fn faults_in_embedded_json_are_reported_at_their_line_of_the_file() {
    let block = "|\n                    {\n                      \"external_url\": \"https://app.example.com\",\n                      \"cluster\": \"idp\",\n                      \"providers\": [{\"isuer\": 1}]\n                    }";
    let report = report("envoy.yaml", &with_json_text(block));
    assert_eq!(
        findings(&report),
        "envoy.yaml:39:21: session: missing; expected an object with keys\n\
         envoy.yaml:42:37: providers[0].client_id: missing; expected the client ID that the provider gave you\n\
         envoy.yaml:42:37: providers[0].issuer: missing; expected the issuer's URL, such as https://accounts.google.com\n\
         envoy.yaml:42:38: providers[0].isuer: unknown field; did you mean `issuer`?\n\
         envoy.yaml: 4 faults"
    );
    for (json, place) in [
        ("'{\"cluster\": 1}'", "38:39"),
        // Escapes and folds move what follows, so the text's own place is named.
        ("\"{\\\"cluster\\\": 1}\"", "38:26"),
        (">-\n                    {\"a\":\n                    1, \"cluster\": 1}", "39:21"),
        ("|2\n\n                    {\"cluster\": 1}", "40:33"),
        ("|-\n                    {\"cluster\":\n\n                       1}", "41:24"),
    ] {
        let report = super::report("envoy.yaml", &with_json_text(json));
        assert!(
            report.text.contains(&format!("envoy.yaml:{place}: cluster: expected a string")),
            "{json}\n{}",
            report.text
        );
    }
    let broken =
        super::report("envoy.yaml", &with_json_text("|\n                    {\"cluster\": 1,\n                    }"));
    assert_eq!(
        broken.text,
        "envoy.yaml:40:21: configuration: expected JSON, because its type is StringValue: trailing comma; for YAML take the type google.protobuf.Struct, with no `|`\n"
    );
}

#[test]
fn json_files_are_read_with_places() {
    let report = super::report(
        "c.json",
        "{\n  \"cluster\": \"idp\",\n\t\"external_url\": \"\\u00e9\\ud83d\\ude00\", \"é\": 1e99\n}",
    );
    assert!(report.text.contains("c.json:3:18: external_url: expected"), "{}", report.text);
    assert!(report.text.contains("c.json:3:40: [\"é\"]: unknown field"), "{}", report.text);
    let broken = super::report("c.json", "{\n  \"cluster\": \"idp\",\n}");
    assert_eq!(broken.text, "c.json:3:1: trailing comma\n");
    // A bootstrap may be JSON as well.
    let json = format!(
        r#"{{"typed_config": {{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {{"name": "x", "configuration": {{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": {}}}}}}}}}"#,
        serde_json::Value::from("{\"cluster\": 1}")
    );
    let report = super::report("envoy.json", &json);
    assert!(report.text.contains(": cluster: expected a string, got a number; put it in quotes"), "{}", report.text);
}

#[test]
fn yaml_anchors_and_merges_are_read_as_kubernetes_and_envoy_read_them() {
    // Kubernetes merges.
    let merged = ALONE.replace(
        "- path: /evaluate/v1/*\n  access: public",
        "- &public {path: /evaluate/v1/*, access: public}\n- {<<: *public, path: /two}",
    );
    let report = without_secrets("a.yaml", &merged);
    assert!(report.is_valid, "{}", report.text);
    // Envoy does not, and leaves out keys with the tag `!ignore`.
    let minimal = file("minimal.yaml");
    let anchored = minimal
        .replace("static_resources:\n", "!ignore keys: &keys {keys: [{env: VESTIBULE_KEY}]}\nstatic_resources:\n")
        .replace("session:\n                      keys: [{env: VESTIBULE_KEY}]", "session: *keys");
    let report = without_secrets("a.yaml", &anchored);
    assert!(report.is_valid, "{}", report.text);
    let report = without_secrets("a.yaml", &anchored.replace("session: *keys", "session: {<<: *keys}"));
    assert!(report.text.contains("session[\"<<\"]: unknown field"), "{}", report.text);
}

#[test]
fn each_configuration_of_a_file_is_reported() {
    let two = format!("{}---\n{}", file("istio.yaml"), file("istio.yaml").replace("client_id: web", "client_id: 5"));
    let report = report("two.yaml", &two);
    assert!(!report.is_valid);
    assert!(report.text.starts_with("two.yaml: the WasmPlugin shop/vestibule is valid\n"), "{}", report.text);
    let line = two.lines().position(|line| line.ends_with("client_id: 5")).unwrap() + 1;
    let fault =
        format!("\ntwo.yaml:{line}:18: providers[0].client_id: expected a string, got a number; put it in quotes\n");
    assert!(report.text.contains(&fault), "{}", report.text);
}

#[test]
fn each_item_of_a_kubernetes_list_is_checked() {
    let istio = file("istio.yaml");
    let indented: String = istio
        .split("---\n")
        .map(|document| {
            let lines = document.lines().filter(|line| !line.starts_with('#')).enumerate();
            lines.map(|(place, line)| format!("{} {line}\n", if place == 0 { "-" } else { " " })).collect::<String>()
        })
        .collect();
    let report = without_secrets("list.yaml", &format!("apiVersion: v1\nkind: List\nitems:\n{indented}"));
    assert_eq!(findings(&report), "list.yaml: the WasmPlugin shop/vestibule is valid");
}

#[test]
fn the_configuration_in_an_istio_envoy_filter_is_checked() {
    let filter = "\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: v}
spec:
  configPatches:
  - patch:
      value:
        typed_config:
          '@type': type.googleapis.com/xds.type.v3.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          value:
            config:
              name: vestibule
              configuration: {'@type': type.googleapis.com/google.protobuf.Struct, value: {}}
";
    let report = report("filter.yaml", filter);
    assert!(report.text.contains("filter.yaml:14:91: external_url: missing"), "{}", report.text);
}

#[test]
fn a_file_without_a_configuration_is_a_fault() {
    for text in ["a: 1", "[]", "---\n---\n", "kind: WasmPlugins"] {
        let report = report("a.yaml", text);
        assert!(!report.is_valid && report.text.contains("no configuration of the filter"), "{text}: {}", report.text);
    }
    assert_eq!(report("a.yaml", " \n").text, "a.yaml:1:1: empty\n");
    let empty = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: a}\nspec: {}\n";
    assert_eq!(
        findings(&report("a.yaml", empty)),
        "a.yaml:1:1: configuration: missing; expected an object; nothing was configured; the settings stand under `pluginConfig`\na.yaml: 1 fault"
    );
}

#[test]
fn no_report_shows_a_secret() {
    const SECRET: &str = "kept-for-itself-and-nobody-else";
    let key = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e01";
    let keys: serde_json::Value =
        serde_json::from_str(include_str!("../../../../src/jose/testdata/private_keys.json")).unwrap();
    let private = keys[1].to_string();
    let number = keys[1]["d"].as_str().unwrap();
    let document = serde_json::json!({
        "external_url": "https://app.example.com",
        "cluster": "idp",
        "providers": [
            {"issuer": "https://a.example", "client_id": "a", "client_secret": SECRET},
            {"name": "b", "issuer": "https://b.example", "client_id": "b", "client_key": {"private_key": private}, "dpop_key": private},
        ],
        "token_issuers": [{"issuer": "https://c.example", "introspection": {"client_id": "c", "client_secret": SECRET}}],
        "session": {"keys": [key], "store": {"cluster": "webdis", "authorization": format!("Basic {SECRET}")}},
        "rules": [{"path": "/a", "access": "public"}],
    });
    let shown = |document: &serde_json::Value| explained_whole(&document.to_string());
    let report = shown(&document);
    assert!(report.is_valid, "{}", report.text);
    assert!(
        report.text.contains("client_secret: [not shown]") && report.text.contains("private_key: [not shown]"),
        "{}",
        report.text
    );
    let mut documents = vec![document.clone()];
    for (pointer, value) in [
        ("/providers/0/client_secret", serde_json::json!({"en": SECRET})),
        ("/providers/0/client_secret", serde_json::json!([SECRET])),
        ("/session/keys", serde_json::json!(SECRET)),
        ("/session/keys/0", serde_json::json!(format!("{key}{SECRET}"))),
        ("/session/store/authorization", serde_json::json!(SECRET)),
    ] {
        let mut wrong = document.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        documents.push(wrong);
    }
    for document in documents {
        let report = shown(&document).text;
        for secret in [SECRET, key, number] {
            assert!(!report.contains(secret), "{report}");
        }
    }
}

fn explained_whole(text: &str) -> Report {
    let questions = vec![Question::read("GET", "/").unwrap()];
    check("a.json", text, &variables, &Options { questions, ..Options::default() })
}

#[test]
fn variables_are_read_from_a_file() {
    let text = "# secrets\nA=1\n\nexport B=\"two words\"\nC='=='\nD=\n";
    let read: Vec<_> = ["A=1", "B=two words", "C===", "D="]
        .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .to_vec();
    assert_eq!(variables_of_file(text), Ok(read));
    assert_eq!(variables_of_file("A=1\nB"), Err(2));
}

#[test]
fn the_command_line_is_read() {
    let read = |line: &str| Command::read(line.split_whitespace().map(str::to_owned));
    let Ok(Command::Check(arguments)) = read("check --without-secrets --explain GET /a --env-file e a.yaml -") else {
        panic!()
    };
    assert_eq!(
        (arguments.files, arguments.env_file),
        (vec!["a.yaml".to_owned(), "-".to_owned()], Some("e".to_owned()))
    );
    assert!(arguments.options.without_secrets && arguments.options.questions == [Question::read("GET", "/a").unwrap()]);
    assert!(matches!(read(""), Ok(Command::Help)) && matches!(read("check -h"), Ok(Command::Help)));
    assert!(matches!(read("--version"), Ok(Command::Version)));
    for (line, message) in [
        ("chekc", "there is no command \"chekc\"; the commands are `check` and `convert`"),
        ("check", "which file?"),
        ("check --strict a", "there is no option --strict"),
        ("check a --env-file", "--env-file needs FILE"),
        ("check a --explain GET", "--explain needs METHOD and URL"),
        (
            "check a --explain GET app",
            "expected a method and a URL, such as GET https://app.example.com/, got \"GET\" \"app\"",
        ),
    ] {
        assert_eq!(read(line).err(), Some(UsageError(message.to_owned())), "{line}");
    }
}

#[test]
fn the_page_on_checking_shows_the_output_of_the_checker() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/checking.md")).unwrap();
    let blocks: Vec<_> = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let wrong =
        file("minimal.yaml").replace("cluster: idp\n                    p", "cluster: ipd\n                    p");
    let without_cluster = report("envoy.yaml", &wrong);
    let without_variable = report("envoy.yaml", &file("minimal.yaml").replace(", VESTIBULE_KEY]", "]"));
    let faults = [without_cluster, without_variable].map(|report| report.text.lines().next().unwrap().to_owned());
    assert_eq!(blocks[0].lines().collect::<Vec<_>>(), faults);
    let question = ("GET", "https://app.example.com/admin/users");
    assert_eq!(blocks[1], explained("envoy/areas.yaml", &file("areas.yaml"), &[question]));
}

/// The commands of this program that the pages show: they are calls that it takes.
#[test]
fn commands_in_the_pages_are_valid_command_lines() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let pages = std::fs::read_dir(format!("{root}/envoy/docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages
        .chain([format!("{root}/README.md").into()])
        .filter(|page| page.extension().is_some_and(|end| end == "md"));
    let texts: Vec<_> = pages.map(|page| std::fs::read_to_string(page).unwrap()).collect();
    let blocks =
        texts.iter().flat_map(|text| text.split("```sh\n").skip(1)).filter_map(|rest| rest.split("```").next());
    let calls: Vec<_> =
        blocks.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("cargo run -- ")).collect();
    assert!(calls.len() > 3, "{calls:?}");
    for call in calls {
        let command = Command::read(call.split(' ').map(str::to_owned));
        assert!(matches!(command, Ok(Command::Check(_) | Command::Convert(_))), "{call}: {command:?}");
    }
}
