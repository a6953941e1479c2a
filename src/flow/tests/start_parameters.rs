//! Parameters of the start path that go into the authorization request.

use serde_json::{Value, json};

use super::world::{World, document, location, query_of};

fn world(passed: &Value, change: impl FnOnce(&mut Value)) -> World {
    let mut document = document();
    document["sign_in"] = json!({ "pass_parameters": passed });
    change(&mut document);
    let mut world = World::with(&document);
    world.settle();
    world
}

/// The value of this parameter of the authorization request that this start leads to.
fn asked(world: &mut World, start: &str, name: &str) -> Option<String> {
    let reply = world.visit(&format!("/oauth2/start?rd=/&{start}")).reply();
    assert_eq!(reply.code, "sign_in_started", "{start}");
    query_of(location(&reply)).get(name).cloned()
}

#[test]
fn only_listed_start_parameters_reach_the_provider() {
    let mut world = world(&json!(["login_hint", "ui_locales"]), |_| {});
    assert_eq!(asked(&mut world, "login_hint=a%2Bb%40example.com", "login_hint").as_deref(), Some("a+b@example.com"));
    assert_eq!(asked(&mut world, "ui_locales=de%20fr", "ui_locales").as_deref(), Some("de fr"));
    assert_eq!(asked(&mut world, "domain_hint=example.com", "domain_hint"), None);
    assert_eq!(asked(&mut world, "login_hint=", "login_hint"), None);
    assert_eq!(asked(&mut world, "login_hint=a&login_hint=b", "login_hint"), None);
    assert_eq!(asked(&mut world, "login_hint=a%0d%0ab", "login_hint"), None);
    assert_eq!(asked(&mut world, &format!("login_hint={}", "a".repeat(513)), "login_hint"), None);
    assert_eq!(
        asked(&mut world, "redirect_uri=https%3A%2F%2Fevil.example%2F", "redirect_uri").as_deref(),
        Some("https://app.example.com/oauth2/callback")
    );
}

#[test]
fn configured_authorization_params_override_start_parameters() {
    let mut world = world(&json!(["login_hint", "hd", "prompt"]), |document| {
        document["providers"][0]["authorization_params"] = json!({ "hd": "example.com", "prompt": "consent" });
    });
    assert_eq!(asked(&mut world, "hd=evil.example", "hd").as_deref(), Some("example.com"));
    assert_eq!(asked(&mut world, "prompt=login", "prompt").as_deref(), Some("consent login"));
    assert_eq!(asked(&mut world, "prompt=login%20consent", "prompt").as_deref(), Some("login consent"));
    assert_eq!(asked(&mut world, "prompt=select_account", "prompt").as_deref(), Some("consent select_account"));
    for refused in ["none", "login%20none", "create", "login%20", ""] {
        assert_eq!(asked(&mut world, &format!("prompt={refused}"), "prompt").as_deref(), Some("consent"), "{refused}");
    }
}

#[test]
fn start_parameters_cannot_override_the_query_of_the_endpoint() {
    let mut world = world(&json!(["domain_hint"]), |document| {
        document["providers"][0]["authorization_endpoint"] =
            json!("https://idp.example.com/authorize?domain_hint=corp.example");
    });
    assert_eq!(asked(&mut world, "domain_hint=evil.example", "domain_hint").as_deref(), Some("corp.example"));
}

#[test]
fn provider_choice_and_host_redirect_keep_the_start_parameters() {
    let mut world = world(&json!(["login_hint"]), |document| {
        document["providers"] = json!([
            document["providers"][0],
            { "name": "partners", "issuer": "https://partners.example.com", "client_id": "client", "client_secret": "secret" },
        ]);
    });
    let page = world.visit("/oauth2/start?rd=/a&login_hint=a%26b").reply();
    assert_eq!((page.status, page.code), (401, "sign_in_required"));
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("provider=partners&#38;login_hint=a%26b"), "{page}");
    world.host = "other.example.com".to_owned();
    let reply = world.visit("/oauth2/start?rd=/a&provider=partners&login_hint=a%26b").reply();
    assert_eq!(reply.code, "other_host");
    assert_eq!(
        location(&reply),
        "https://app.example.com/oauth2/start?rd=%2Fa&provider=partners&login_hint=a%26b&session=keep"
    );
}
