//! Conversions of oauth2-proxy's configurations, each as a reader sees it.

use proptest::prelude::*;

use super::*;
use crate::{ConvertOptions, convert};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/convert");
/// The files of each configuration, and whether nothing is missing from its conversion.
const CASES: [(&str, &[&str], bool); 11] = [
    ("alpha", &["alpha.yaml", "alpha.flags"], true),
    ("chart", &["chart.yaml"], true),
    ("closed", &["closed.cfg"], false),
    ("entra", &["entra.env"], false),
    ("github", &["github.yaml"], true),
    ("gitlab", &["gitlab.cfg"], true),
    ("google", &["google.cfg"], true),
    ("keycloak", &["keycloak.cfg"], true),
    ("oauth2", &["oauth2.cfg"], false),
    ("portal", &["portal.cfg"], true),
    ("routes", &["routes.cfg"], false),
];

fn converted(files: &[&str]) -> crate::Conversion {
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap()).collect();
    let files: Vec<_> = files.iter().copied().zip(texts.iter().map(String::as_str)).collect();
    convert(&files, &ConvertOptions::default()).unwrap()
}

fn of(text: &str) -> crate::Conversion {
    convert(&[("oauth2-proxy.cfg", text)], &ConvertOptions::default()).unwrap()
}

/// A configuration to which an option is added.
const OIDC: &str = "provider = 'oidc'\noidc_issuer_url = 'https://login.example.com'\nclient_id = 'app'\nclient_secret = 'hidden'\n\
                    cookie_secret = 'hidden'\nredirect_url = 'https://app.example.com/oauth2/callback'\n";

#[test]
fn each_oauth2_proxy_configuration_becomes_a_valid_document() {
    for (name, files, is_complete) in CASES {
        let conversion = converted(files);
        let seen = format!("{}---\n{}", conversion.document, conversion.notes);
        let file = format!("{FOLDER}/{name}.out");
        if std::env::var_os("UPDATE_REPORTS").is_some() {
            std::fs::write(&file, &seen).unwrap();
        }
        assert_eq!(seen, std::fs::read_to_string(&file).unwrap(), "{name}");
        assert_eq!(conversion.is_complete, is_complete, "{name}: {}", conversion.notes);
        let report = without_secrets("document.yaml", &conversion.document);
        assert!(report.is_valid, "{name}: {}\n{}", report.text, conversion.document);
        for secret in ["cookies", "entra", "gitlab", "google", "keycloak", "nextcloud", "the-provider"] {
            assert!(!seen.contains(&format!("of-{secret}")), "{name} shows the secret of {secret}");
        }
    }
}

#[test]
fn an_access_restriction_is_converted_or_the_app_is_closed() {
    let everybody = "email_domains = ['*']\n";
    for (options, restriction) in [
        ("email_domains = ['example.com']", Some("allowed_domains: [example.com]")),
        ("email_domains = ['.example.com', 'example.org']", Some(r"[^@]+@([^@.]+\\.)+example\\.com")),
        ("email_domains = ['example.com']\noidc_email_claim = 'mail'", None),
        ("authenticated_emails_file = '/etc/emails'", None),
        ("", None),
        ("email_domains = ['*']\nallowed_groups = ['a', 'b']", Some("groups: [a, b]")),
        ("email_domains = ['*']\nallowed_groups = ['a']\noidc_groups_claim = 'x.y'", Some("{/x/y: [a]}")),
        ("email_domains = ['*']\nallowed_roles = ['a']", Some("roles: [a]")),
        ("email_domains = ['*']\nentra_id_allowed_tenants = ['t']", Some("claims: {tid: [t]}")),
        ("email_domains = ['example.com']\nallowed_groups = 'a,b'", Some("groups: [a, b]")),
    ] {
        let conversion = of(&format!("{OIDC}{options}\n"));
        let document = &conversion.document;
        match restriction {
            Some(restriction) => assert!(
                conversion.is_complete && document.contains(restriction),
                "{options}: {document}{}",
                conversion.notes
            ),
            None => {
                assert!(!conversion.is_complete, "{options}: {}", conversion.notes);
                assert!(
                    document.ends_with("\nrules:\n- {access: deny}\n") && document.starts_with("# NOT COMPLETE"),
                    "{document}"
                );
            }
        }
    }
    for (provider, option) in [
        ("github", "github_repo = 'a/b'"),
        ("github", "github_team = 'admins'"),
        ("gitlab", "gitlab_projects = ['a/b']"),
    ] {
        let text = format!("provider = '{provider}'\nclient_id = 'a'\nclient_secret = 'b'\n{everybody}{option}\n");
        assert!(of(&text).document.ends_with("- {access: deny}\n"), "{option}");
    }
    // What may be one, and is not known.
    for option in ["a_new_option = 1", "alpha_config = 'a.yaml'", "bitbucket_team = 'a'"] {
        let conversion = of(&format!("{OIDC}{everybody}{option}\n"));
        assert!(!conversion.is_complete && conversion.document.ends_with("- {access: deny}\n"), "{option}");
    }
    let manifest =
        "kind: Pod\nenv:\n- {name: OAUTH2_PROXY_ALLOWED_GROUPS, valueFrom: {secretKeyRef: {name: a, key: b}}}\n";
    let cfg = format!("{OIDC}{everybody}");
    let conversion = convert(&[("pod.yaml", manifest), ("a.cfg", cfg.as_str())], &ConvertOptions::default()).unwrap();
    assert!(conversion.document.ends_with("- {access: deny}\n"), "{conversion:?}");
}

/// Nothing is left out in silence: an option is in the document, or a note names it with its line.
#[test]
fn an_option_that_is_not_converted_is_reported_with_its_line() {
    for option in [
        "skip_auth_routes = ['!=^/a']",
        "signature_key = 'a'",
        "cookie_samesite = 'strict'",
        "a_new_option = 1",
        "alpha_config = 'a.yaml'",
    ] {
        let conversion = of(&format!("{OIDC}email_domains = ['*']\n{option}\n"));
        let name = option.split(' ').next().unwrap();
        let told = format!("oauth2-proxy.cfg:8: NOT CONVERTED: {name}: ");
        assert!(!conversion.is_complete && conversion.notes.contains(&told), "{option}: {}", conversion.notes);
    }
}

#[test]
fn flags_override_variables_and_variables_override_files() {
    let cfg = format!("{OIDC}email_domains = ['file.example']\n");
    let files = [
        ("a.flags", "--email-domain=flag.example\n--email-domain=other.example"),
        ("b.cfg", cfg.as_str()),
        ("c.env", "OAUTH2_PROXY_EMAIL_DOMAINS=variable.example"),
    ];
    let document = |files: &[(&str, &str)]| convert(files, &ConvertOptions::default()).unwrap().document;
    assert!(document(&files).contains("allowed_domains: [flag.example, other.example]"));
    assert!(document(&files[1..]).contains("allowed_domains: [variable.example]"));
}

#[test]
fn an_unreadable_option_is_reported_with_its_line() {
    let said = |name: &str, text: &str| convert(&[(name, text)], &ConvertOptions::default()).unwrap_err().to_string();
    assert!(
        said("a.cfg", "client_id = 'a'\nx = {\n").starts_with("a.cfg:2: "),
        "{}",
        said("a.cfg", "client_id = 'a'\nx = {\n")
    );
    assert_eq!(said("a.cfg", "a = [[1]]"), "a.cfg:1: expected a list of texts");
    assert!(said("a.yaml", "a: 1").starts_with("a.yaml:1: no options of oauth2-proxy"));
    assert_eq!(
        said("a.cfg", "provider = 'oidc'\nclient_id = 'a'"),
        "a.cfg:1: the provider \"oidc\" needs oidc_issuer_url"
    );
    assert!(said("a.cfg", "provider = 'linkedin'").contains("\"linkedin\" has no counterpart"));
    assert_eq!(said("a.cfg", "provider = 'google'"), "there is no client_id");
}

/// Without an option, what oauth2-proxy does without it; with one that is wrong, what the filter does without a setting.
#[test]
fn the_session_lifetime_is_converted_from_cookie_expire() {
    for (option, lifetime, is_complete) in [
        ("", Some(604_800), true),
        ("cookie_expire = '90m'", Some(5400), true),
        ("cookie_expire = '1h30m10s500ms'", Some(5410), true),
        ("cookie_expire = '1s'", Some(60), true),
        ("cookie_expire = '1.5h'", None, false),
        ("cookie_expire = '0'", None, true),
    ] {
        let conversion = of(&format!("{OIDC}email_domains = ['*']\n{option}\n"));
        let written = conversion.document.lines().find_map(|line| line.trim().strip_prefix("lifetime_seconds: "));
        assert_eq!(written.map(str::to_owned), lifetime.map(|seconds: u32| seconds.to_string()), "{option}");
        assert_eq!(conversion.notes.contains("default of seven days"), option.is_empty(), "{option}");
        assert_eq!(conversion.is_complete, is_complete, "{option}: {}", conversion.notes);
    }
}

#[test]
fn the_external_url_comes_from_redirect_url_or_the_command_line() {
    let text = OIDC.replace("redirect_url = 'https://app.example.com/oauth2/callback'\n", "email_domains = ['*']\n");
    let without = of(&text);
    assert!(!without.is_complete && without.notes.contains("give it with --external-url"), "{}", without.notes);
    let options =
        ConvertOptions { external_url: Some("https://wiki.example.com".to_owned()), cluster: Some("login".to_owned()) };
    let with = convert(&[("a.cfg", text.as_str())], &options).unwrap();
    assert!(
        with.is_complete && with.document.starts_with("external_url: https://wiki.example.com\ncluster: login\n"),
        "{with:?}"
    );
}

#[test]
fn the_migration_page_shows_the_output_of_the_converter() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/migrating.md")).unwrap();
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
        rest.split("```").next().unwrap()
    };
    let conversion = of(block("toml"));
    assert_eq!((block("yaml"), block("text")), (conversion.document.as_str(), conversion.notes.as_str()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_options_are_converted_without_a_panic(name in "(a.cfg|a.yaml|a.flags)", lines in prop::collection::vec(
        "(--|OAUTH2_PROXY_|- |)(email[-_]domains?|skip-auth-routes?|cookie_expire|providers?|args|cookie_samesite|oidc_issuer_url)( = |=|: |)\\PC{0,12}", 0..6,
    )) {
        let text = lines.join("\n");
        drop(convert(&[(name.as_str(), text.as_str()), ("b.cfg", OIDC)], &ConvertOptions::default()));
    }

    /// Whatever paths are opened, the last rule asks for a session, and the filter takes the document.
    #[test]
    fn any_skip_auth_regex_gives_a_valid_document_closed_by_default(expression in "[\\^]?/[a-z|()\\[\\].*$\\\\]{0,10}") {
        let conversion = of(&format!("{OIDC}email_domains = ['*']\nskip_auth_regex = ['{expression}']\n"));
        prop_assert!(without_secrets("a.yaml", &conversion.document).is_valid, "{}", conversion.document);
        let is_closed_at_last = conversion.document.ends_with("- {access: required}\n");
        prop_assert!(is_closed_at_last, "{}", conversion.document);
    }
}
