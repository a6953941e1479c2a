use proptest::prelude::*;

use super::{ALONE, file, report, without_secrets};

fn seconds(mut work: impl FnMut()) -> u64 {
    // The one clock of this crate: no file may hold it up.
    #[allow(clippy::disallowed_methods)]
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_secs()
}

#[test]
fn deep_nesting_is_a_fault() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        format!("{}1", "a:\n ".repeat(2)),
        (0..10_000).map(|depth| format!("{}a:\n", " ".repeat(depth % 400))).collect(),
        format!("external_url: {}{}", "[".repeat(99), "]".repeat(99)),
        format!("external_url: {}{}", "[".repeat(150), "]".repeat(150)),
        format!("{{\"external_url\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000)),
    ] {
        assert!(!report("a.yaml", &text).is_valid);
        assert!(!report("a.json", &text).is_valid);
    }
    // Each alias is one level deeper than the last.
    let chain: String = (1..2_000).map(|number| format!("a{number}: &a{number} [*a{}]\n", number - 1)).collect();
    let report = report("a.yaml", &format!("external_url: x\na0: &a0 [1]\n{chain}"));
    assert!(report.text.contains("nested too deeply"), "{}", report.text);
}

#[test]
fn yaml_alias_expansion_is_limited() {
    let mut text = "external_url: x\na0: &a0 lol\n".to_owned();
    for number in 1..30 {
        let aliases = vec![format!("*a{}", number - 1); 10].join(", ");
        text.push_str(&format!("a{number}: &a{number} [{aliases}]\n"));
    }
    let took = seconds(|| {
        let report = report("a.yaml", &text);
        assert!(report.text.contains("the aliases of this file stand for too much"), "{}", report.text);
    });
    assert!(took < 20, "{took} s");
    let itself = report("a.yaml", "external_url: &a [*a]\n");
    assert!(!itself.is_valid, "{}", itself.text);
}

#[test]
fn unsupported_yaml_scalars_are_faults() {
    for value in [
        "1e999",
        "-1e999",
        ".inf",
        ".nan",
        "0x7fffffffffffffffff",
        "99999999999999999999999",
        "0o9",
        "!!binary x",
        "\"\\uD800\"",
        "\u{feff}",
    ] {
        for text in [
            ALONE.replace("client_id: my-client", &format!("client_id: my-client\n  timeout_ms: {value}")),
            file("minimal.yaml").replace(
                "client_id: my-client",
                &format!("client_id: my-client\n                      timeout_ms: {value}"),
            ),
        ] {
            assert!(!report("a.yaml", &text).is_valid, "{value}");
        }
    }
    let long = format!("external_url: {}\n", "x".repeat(17 * 1024 * 1024));
    assert_eq!(report("a.yaml", &long).text, "a.yaml:1:1: larger than 16 MiB\n");
}

#[test]
fn a_report_contains_no_control_characters_of_the_file() {
    for text in [
        "kind: WasmPlugin\nmetadata: {name: \"\\e[2J\\r\\n\"}\nspec: {pluginConfig: {\"\\e]0;x\\a\": 1, external_url: \"\\e[1m\"}}\n".to_owned(),
        ALONE.replace("my-client", "\"\\e[2J\"").replace("name: admins", "name: \"\\e[2J\""),
        ALONE.replace("cluster: idp", "cluster: \"\\x9b\""),
        "\"\u{7f}\": \u{9b}".to_owned(),
    ] {
        let report = without_secrets("a.yaml", &text).text;
        assert!(!report.contains(|letter: char| letter.is_control() && letter != '\n'), "{report:?}");
    }
}

/// A sample with some of its characters replaced.
fn damaged() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["minimal.yaml", "istio.yaml", "gateway.yaml", "alone.yaml", "stored.yaml"]);
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,&*!|>'\"#%@ \\n\\t\\-?a0é]{0,3}"), 1..6);
    (names, edits).prop_map(|(name, edits)| {
        let mut letters: Vec<String> = file(name).chars().map(String::from).collect();
        for (place, text) in edits {
            let place = place.index(letters.len());
            letters[place] = text;
        }
        letters.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_damaged_file_is_read_without_a_panic(text in damaged()) {
        without_secrets("a.yaml", &text);
        report("a.json", &text);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "[\\[\\]{}:,&*!|>'\"#%@ \\n\\t\\-?~a0<é\\\\.]{0,80}") {
        report("a.yaml", &format!("external_url: x\n{text}"));
        report("a.json", &text);
        without_secrets("a.yaml", &text);
    }
}
