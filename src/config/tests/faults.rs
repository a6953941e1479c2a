use serde_json::{Value, json};

use super::{env, example, example_with, faults, parse_bytes};
use crate::config::Config;

/// Every case of `faults.txt`: pointer, value, report.
fn cases() -> Vec<(&'static str, Option<Value>, String)> {
    let text = include_str!("faults.txt");
    let blocks = text.split("\n\n").map(str::trim).filter(|block| block.starts_with('/'));
    blocks
        .map(|block| {
            let (mistake, report) = block.split_once('\n').unwrap();
            let report: Vec<_> = report.lines().map(str::trim).collect();
            match mistake.split_once(" = ") {
                Some((pointer, value)) => (pointer, Some(serde_json::from_str(value).unwrap()), report.join("\n")),
                None => (mistake, None, report.join("\n")),
            }
        })
        .collect()
}

#[test]
fn every_fault_names_its_place_and_the_expected_value() {
    let cases = cases();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let wrong: Vec<_> = cases
        .into_iter()
        .map(|(pointer, value, expected)| (pointer, faults(&example_with(pointer, value)), expected))
        .filter(|(_, said, expected)| said != expected)
        .map(|(pointer, said, expected)| format!("{pointer}\n  says {said}\n  not  {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_fault_of_a_static_token_shows_neither_token_nor_digest() {
    let mut seen = 0;
    for (pointer, value, _) in cases().into_iter().filter(|(pointer, ..)| *pointer == "/static_tokens") {
        let given = value.as_ref().and_then(|tokens| tokens.pointer("/0/sha256")?.as_str().map(str::to_owned));
        let report = faults(&example_with(pointer, value));
        for given in given.into_iter().filter(|given| given.len() > 1) {
            assert!(!report.to_lowercase().contains(&given.to_lowercase()), "{report}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} cases");
}

#[test]
fn a_jwk_that_does_not_permit_signing_is_reported_at_its_setting() {
    let keys: Vec<Value> = serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap();
    let report = |key: usize, name: &str, value: Value, alg: Option<&str>| {
        let mut jwk = keys[key].clone();
        jwk[name] = value;
        let mut document = example_with("/providers/0/client_secret", None);
        document["providers"][0]["client_key"] = json!({"private_key": jwk.to_string()});
        if let Some(alg) = alg {
            document["providers"][0]["client_key"]["alg"] = json!(alg);
        }
        faults(&document)
    };
    let of_rsa = "providers[0].client_key.private_key: expected a JWK whose `alg`, where it has one, is an algorithm that Envoy signs \
                  by with this key: RS256, RS384 or RS512";
    for alg in [json!("PS256"), json!("ES256"), json!("RSA-OAEP"), json!("rs256"), json!(7)] {
        assert_eq!(report(0, "alg", alg.clone(), None), of_rsa, "{alg}");
    }
    // The operator's own word counts.
    assert_eq!(
        report(0, "alg", json!("RS256"), Some("ES256")),
        "providers[0].client_key.alg: expected an algorithm of this key: RS256, RS384 or RS512"
    );
    let purpose = "providers[0].client_key.private_key: expected a JWK for signatures: `use`, where it has one, is `sig`, and `key_ops` \
                   has `sign`";
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!("sign")),
        ("key_ops", json!([])),
    ] {
        assert_eq!(report(1, name, value.clone(), None), purpose, "{name} {value}");
    }
}

#[test]
fn logo_email_domains_and_css_class_of_a_provider_are_bounded() {
    let logo = "x".repeat(8193);
    assert_eq!(
        faults(&example_with("/providers/0/logo", Some(json!(logo)))),
        "providers[0].logo: expected at most 8192 bytes"
    );
    let domains: Vec<_> = (0..101).map(|number| format!("a{number}.example")).collect();
    assert_eq!(
        faults(&example_with("/providers/0/email_domains", Some(json!(domains)))),
        "providers[0].email_domains: expected at most 100 entries, got 101"
    );
    let domain = format!("{}.example", "a".repeat(246));
    assert!(faults(&example_with("/providers/0/email_domains", Some(json!([domain])))).contains("email_domains[0]"));
    let class = "a".repeat(65);
    assert!(faults(&example_with("/providers/0/css_class", Some(json!(class)))).contains("css_class"));
}

#[test]
fn a_token_endpoint_method_with_a_secret_requires_client_secret() {
    let mut document = example_with("/providers/0/client_secret", None);
    document["providers"][0]["token_endpoint_auth_method"] = json!("client_secret_post");
    assert_eq!(
        faults(&document),
        "providers[0].client_secret: missing; expected the client secret, because token_endpoint_auth_method is client_secret_post"
    );
}

#[test]
fn authorization_app_is_refused_with_rules_that_read_bearer_tokens() {
    for (field, value) in [("access", json!("bearer")), ("scopes", json!(["read"]))] {
        let mut document = example_with("/authorization", Some(json!("app")));
        document["rules"] = json!([{ "path": "/api/*", "access": "required" }]);
        document["rules"][0][field] = value;
        assert_eq!(
            faults(&document),
            "rules[0].authorization: expected keep, strip or access_token for `access: bearer` or `scopes`; with `app` no token is read"
        );
    }
}

#[test]
fn security_events_without_jwks_uri_or_with_invalid_values_are_faults() {
    let mut document = example();
    document["allow_on_headers_stop_iteration"] = json!(true);
    document["providers"] = json!([
        { "issuer": "https://idp.example.com", "client_id": "a", "security_events": {} },
        {
            "name": "b", "issuer": "https://b.example.com", "client_id": "b",
            "security_events": { "issuer": "https://idp.example.com" },
        },
        { "name": "c", "type": "github", "client_id": "c", "client_secret": "s", "security_events": {} },
        {
            "name": "d", "issuer": "https://d.example.com", "client_id": "d",
            "security_events": { "issuer": "", "audience": "", "jwks_uri": "http://keys.example.com" },
        },
    ]);
    assert_eq!(
        faults(&document),
        "providers[2].security_events.jwks_uri: missing; expected the URL of the transmitter's keys, because the provider has none\n\
         providers[3].security_events.audience: expected 1 to 4096 bytes, no wildcard\n\
         providers[3].security_events.issuer: expected 1 to 4096 characters of printable ASCII, as tokens have it\n\
         providers[3].security_events.jwks_uri: expected an https URL (http only for localhost and loopback addresses), got \"http://keys.example.com\""
    );
    document["providers"].as_array_mut().unwrap().truncate(2);
    assert_eq!(faults(&document), "providers[1].security_events.issuer: expected each transmitter at one provider");
}

#[test]
fn ineffective_settings_are_refused() {
    let mut document = example();
    document["session"]["refresh"] = json!(false);
    document["sign_out"] = json!({ "revoke": true, "at_provider": false });
    document["providers"][0]["end_session_endpoint"] = json!("https://idp.example.com/end");
    assert_eq!(
        faults(&document),
        "providers[0].end_session_endpoint: expected no URL, because sign_out.at_provider is false\n\
         sign_out.revoke: expected false, because session.refresh is false: there is no refresh token to revoke"
    );
    document["session"]["refresh"] = json!("no");
    assert_eq!(faults(&document), "session.refresh: expected true or false, got a string");
}

#[test]
fn an_identity_header_cannot_be_a_header_with_another_meaning() {
    const TAKEN: &str = "expected a header that has no other use";
    for name in [
        "Authorization",
        "Content-Type",
        "Cookie",
        "Host",
        "Set_Cookie",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
        "X-Envoy-Original-Path",
        "X-Forwarded-For",
        "X-Request-Id",
        "x_request_id",
    ] {
        let document = example_with("/identity_headers", Some(json!({ name: "sub" })));
        assert_eq!(faults(&document), format!("identity_headers.{name}: {TAKEN}"));
    }
}

#[test]
fn a_malformed_prefix_is_refused() {
    for prefix in ["", "/", "oauth2", "/oauth2/", "/a//b", "/a/../b", "/.", "/a%62", "/a;b", "/ä", "/a?b"] {
        assert_eq!(
            faults(&example_with("/prefix", Some(json!(prefix)))),
            format!(
                "prefix: expected a path of at most 100 characters, such as /oauth2: letters, digits, `-`, `.`, `_` \
                 and `~` between slashes, no slash at the end, got {prefix:?}"
            )
        );
    }
}

#[test]
fn malformed_json_is_reported_with_its_position() {
    const NEITHER: &str = "configuration: expected a JSON object or a google.protobuf.Struct; as JSON: ";
    let cases = [
        ("", "configuration: missing; expected an object; nothing was configured".to_owned()),
        (" \n", "configuration: missing; expected an object; nothing was configured".to_owned()),
        ("[]", "configuration: expected an object, got a list".to_owned()),
        ("null", "configuration: expected an object, got null".to_owned()),
        ("cluster: idp", format!("{NEITHER}expected value at line 1 column 1")),
        ("{\n  \"cluster\": \"idp\",\n}", format!("{NEITHER}trailing comma at line 3 column 1")),
        ("{\n", format!("{NEITHER}EOF while parsing an object at line 2 column 0")),
        ("{} {}", format!("{NEITHER}trailing characters at line 1 column 4")),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_bytes(text.as_bytes()).err(), Some(expected), "{text:?}");
    }
    assert_eq!(
        parse_bytes(&vec![b'['; 1024 * 1024 + 1]).err().unwrap(),
        "configuration: expected at most 1048576 bytes"
    );
    assert_eq!(
        parse_bytes(&vec![b'['; 1024 * 1024]).err().unwrap(),
        format!("{NEITHER}recursion limit exceeded at line 1 column 128")
    );
}

#[test]
fn refuses_duplicate_fields() {
    let text = example().to_string();
    let twice = [
        (text.replacen('{', r#"{"cluster":"other","#, 1), "cluster: is duplicate; expected one"),
        (text.replace(r#""access""#, r#""access":"required","access""#), "rules[0].access: is duplicate; expected one"),
        (
            text.replacen('{', r#"{"identity_headers":{"X-A":"sub","X-A":"email"},"#, 1),
            "identity_headers.X-A: is duplicate; expected one",
        ),
    ];
    for (text, expected) in twice {
        assert_eq!(parse_bytes(text.as_bytes()).err().unwrap(), expected);
    }
}

#[test]
fn reports_ten_faults_at_once_in_the_order_of_their_paths() {
    let document = json!({
        "external_url": "https://app.example.com/shop",
        "providers": [{
            "issuer": 5,
            "client_id": "my-client",
            "client_secret": {"env": "NOT_SET"},
            "scopes": ["openid", "e mail"],
            "timeout_ms": 1,
        }],
        "session": {"keys": [{"env": "VESTIBULE_KEY"}], "lifetime": 5},
        "rules": [{"path": "/a", "access": "public"}, {"access": "public"}, {"path": "/b", "access": "open"}],
        "prefix": "oauth2",
    });
    insta::assert_snapshot!(faults(&document), @r#"
    cluster: missing; expected the name of the Envoy cluster that reaches the provider
    external_url: expected an origin without a path: https://app.example.com, got "https://app.example.com/shop"
    prefix: expected a path of at most 100 characters, such as /oauth2: letters, digits, `-`, `.`, `_` and `~` between slashes, no slash at the end, got "oauth2"
    providers[0].client_secret.env: the environment variable NOT_SET is not set; Envoy passes on only those under vm_config.environment_variables
    providers[0].issuer: expected a string, got a number
    providers[0].scopes[1]: expected one scope, without spaces, quotes or backslashes, got "e mail"
    providers[0].timeout_ms: expected 100 to 30000 milliseconds, got 1
    rules[1]: expected a condition: this would make everything public; write path: /** if that is intended
    rules[2].access: expected one of public, required, optional, bearer, deny, got "open"
    session.lifetime: unknown field; expected one of keys, lifetime_seconds, idle_timeout_seconds, refresh, store, sign_in_timeout_seconds, cookie_name, cookie_domain, same_site, partitioned
    "#);
}

#[test]
fn faults_can_be_enumerated_with_their_paths() {
    let errors = Config::parse(b"{}", &env).err().unwrap();
    let paths: Vec<_> = errors.faults().iter().map(|fault| fault.path.to_string()).collect();
    assert_eq!(paths, ["cluster", "external_url", "providers", "session"]);
}

#[test]
fn lists_have_at_most_one_hundred_entries() {
    let texts: Vec<_> = (0..101).map(|number| format!("a{number}")).collect();
    let map: Value = texts.iter().map(|text| (text.clone(), json!(text))).collect::<serde_json::Map<_, _>>().into();
    let lists: Value = texts.iter().map(|text| (text.clone(), json!([text]))).collect::<serde_json::Map<_, _>>().into();
    for (pointer, path, value) in [
        ("/clusters", "clusters", map.clone()),
        ("/identity_headers", "identity_headers", map.clone()),
        ("/providers/0/authorization_params", "providers[0].authorization_params", map.clone()),
        ("/providers/0/id_token_signing_algs", "providers[0].id_token_signing_algs", json!(texts)),
        ("/providers/0/scopes", "providers[0].scopes", json!(texts)),
        ("/providers/0/trusted_audiences", "providers[0].trusted_audiences", json!(texts)),
        (
            "/policies",
            "policies",
            texts
                .iter()
                .map(|name| (name.clone(), json!({"access": "deny"})))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        ),
        ("/rules/0/allow", "rules[0].allow.claims", json!({ "claims": lists })),
        ("/rules/0/allow", "rules[0].allow.groups", json!({ "groups": texts })),
        ("/rules/0/headers", "rules[0].headers", map),
        ("/rules/0/hosts", "rules[0].hosts", json!(texts)),
        ("/rules/0/methods", "rules[0].methods", json!(texts)),
    ] {
        let expected = format!("{path}: expected at most 100 entries, got 101");
        let mut document = example_with(pointer, Some(value));
        if pointer == "/rules/0/allow" {
            document["rules"][0]["access"] = json!("required");
        }
        assert_eq!(faults(&document), expected);
    }
}

#[test]
fn reports_at_most_two_hundred_faults() {
    let document = example_with("/rules", Some(json!(vec![0; 1000])));
    let said = faults(&document);
    assert_eq!(said.lines().count(), 201);
    assert!(said.ends_with("\nand more"), "{said}");
}
