//! The configuration: every fault is named at once, with its path and what belongs there, and `envoy --mode validate`
//! says so without starting anything.

use serde_json::{Value, json};
use wasm_tests::{
    envoy::{ConfigurationAs, Envoy, Setup},
    issuer::{CLIENT_SECRET, Issuer},
    world::{SESSION_KEY, World, document},
};

type Change = fn(&mut Value);

fn validate(form: ConfigurationAs, change: impl FnOnce(&mut Value)) -> (bool, String) {
    let setup = Setup::new(1).configuration_as(form);
    let mut configuration = document(setup.port, "https://idp.example.com");
    change(&mut configuration);
    Envoy::validate(&setup.configuration(configuration))
}

#[test]
fn every_fault_is_named_at_once_with_its_path_and_no_secret() {
    for form in [ConfigurationAs::Json, ConfigurationAs::Struct] {
        let (accepted, said) = validate(form, |document| {
            document["external_url"] = json!("https://app.example.com/path");
            document["clutser"] = json!("idp");
            document["providers"][0]["issuer"] = json!("http://idp.example.com");
            document["providers"][0]["timeout_ms"] = json!("soon");
            document["providers"][0]["client_secret"] = json!({"env": "NOBODY_SETS_THIS"});
            document["providers"][0]["id_token_signing_algs"] = json!(["RS256", "HS256", "none"]);
            document["session"]["keys"] = json!([SESSION_KEY, "canary-short-key"]);
            document["session"]["lifetime_seconds"] = json!(-1);
            document["rules"] = json!([
                {"prefix": "/public", "access": "public"},
                {"path": "/a", "prefix": "/b", "access": "public"},
                {"regex": "(", "access": "public"},
                {"prefix": "/x", "access": "open"},
            ]);
            document["identity_headers"] = json!({"x bad": "sub"});
            document["clock_leeway_seconds"] = json!(301);
        });
        assert!(!accepted, "{form:?}: {said}");
        for path in [
            "external_url",
            "clutser",
            "providers[0].issuer",
            "providers[0].timeout_ms",
            "providers[0].client_secret",
            "NOBODY_SETS_THIS",
            "providers[0].id_token_signing_algs",
            "session.keys[1]",
            "session.lifetime_seconds",
            "rules[1]",
            "rules[2].regex",
            "rules[3].access",
            "identity_headers",
            "clock_leeway_seconds",
        ] {
            assert!(said.contains(path), "{form:?}: {path} is not named in:\n{said}");
        }
        for secret in [SESSION_KEY, "canary-short-key", CLIENT_SECRET] {
            assert!(!said.contains(secret), "{form:?}: {secret} stands in:\n{said}");
        }
    }
}

#[test]
fn a_configuration_that_weakens_the_sign_in_is_refused() {
    let cases: [(&str, Change); 15] = [
        ("no keys", |document| document["session"]["keys"] = json!([])),
        ("no session", |document| {
            document.as_object_mut().expect("an object").remove("session");
        }),
        ("an empty key", |document| document["session"]["keys"] = json!([""])),
        ("a key that is too short", |document| document["session"]["keys"] = json!(["AAAA"])),
        ("no providers", |document| document["providers"] = json!([])),
        ("an empty client id", |document| document["providers"][0]["client_id"] = json!("")),
        ("an empty secret", |document| document["providers"][0]["client_secret"] = json!("")),
        ("null for a secret", |document| document["providers"][0]["client_secret"] = json!(null)),
        ("a secret that is not sent", |document| {
            document["providers"][0]["token_endpoint_auth_method"] = json!("none")
        }),
        ("a method without a secret", |document| {
            let provider = document["providers"][0].as_object_mut().expect("an object");
            provider.remove("client_secret");
            provider.insert("token_endpoint_auth_method".into(), json!("client_secret_basic"));
        }),
        ("our own parameters", |document| document["providers"][0]["authorization_params"] = json!({"state": "x"})),
        ("PKCE turned off", |document| {
            document["providers"][0]["authorization_params"] = json!({"code_challenge_method": "plain"});
        }),
        ("no cluster", |document| {
            document.as_object_mut().expect("an object").remove("cluster");
        }),
        ("plain http outside", |document| document["external_url"] = json!("http://app.example.com")),
        ("an array", |document| *document = json!([])),
    ];
    for (what, change) in cases {
        let (accepted, said) = validate(ConfigurationAs::Json, change);
        assert!(!accepted, "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
    let (accepted, said) = validate(ConfigurationAs::Json, |_| {});
    assert!(accepted, "{said}");
    let (accepted, said) = validate(ConfigurationAs::Struct, |_| {});
    assert!(accepted, "{said}");
}

#[test]
fn json_and_struct_configurations_read_secrets_from_the_environment() {
    for form in [ConfigurationAs::Json, ConfigurationAs::Struct] {
        let world = World::around(Issuer::start(), |setup| {
            setup.configuration_as = form;
            setup.configuration["providers"][0]["client_secret"] = json!({"env": "OIDC_CLIENT_SECRET"});
            setup.configuration["session"]["keys"] = json!([{"env": "VESTIBULE_KEY"}]);
            setup.variables.push(("OIDC_CLIENT_SECRET".into(), CLIENT_SECRET.into()));
            setup.variables.push(("VESTIBULE_KEY".into(), SESSION_KEY.into()));
        });
        let (browser, _) = world.signed_in();
        assert_eq!(browser.get(&world.url("/page")).status, 200, "{form:?}");
    }
}
