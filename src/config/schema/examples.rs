//! The examples of the settings: each setting has one, and the filter accepts it.

use serde_json::{Value, json};

use super::reference::{Reference, Step, below, definition_of};
use crate::config::Config;

/// A type that gives none needs `extend("examples" = [...])`.
#[test]
fn each_setting_that_is_no_object_has_an_example() {
    let reference = Reference::new();
    for section in reference.sections() {
        for (name, property) in reference.properties(&section.definition) {
            let has_section = reference.objects_of(property).iter().any(|(steps, _)| !steps.contains(&Step::Name));
            let has_example =
                reference.example(property).is_some() || has_section || definition_of(property) == Some("Secret");
            assert!(has_example, "{} has no example", below(&section.places[0], name));
        }
    }
}

/// The other settings that an object at this place needs beside the tested one.
fn beside(place: &str) -> Value {
    match place {
        "rules[]" | "policies.NAME" => json!({"access": "required"}),
        "token_issuers[]" => {
            json!({"issuer": "https://machines.example.com", "audiences": ["https://api.example.com"]})
        }
        "rules[].upstream_token.exchange" | "policies.NAME.upstream_token.exchange" => json!({"audience": "orders"}),
        "static_tokens[]" => json!({"name": "a", "sha256": "3f1c".repeat(16)}),
        "identity_headers.NAME" => json!({"claim": "groups"}),
        "session.store" => json!({"cluster": "webdis"}),
        "provisioning" => json!({"endpoint": "http://app.internal/provisioning"}),
        "providers[].client_key" => json!({"private_key": {"env": "OIDC_CLIENT_KEY"}}),
        "providers[].further_userinfo[]" => json!({"endpoint": "https://api.example.com/a", "claims": {"a": "b"}}),
        "token_issuers[].introspection" => json!({"client_id": "gate", "client_secret": {"env": "OIDC_CLIENT_SECRET"}}),
        _ => json!({}),
    }
}

/// Settings elsewhere in the document without which this one has no effect, or null for those that it excludes.
fn context(setting: &str) -> Vec<(&'static str, &'static str, Value)> {
    let policies = ("", "policies", json!({"admins": {"access": "required"}}));
    let oauth2 = || {
        let url = json!("https://login.example.com/x");
        let endpoints = ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"];
        let endpoints = endpoints.map(|name| ("providers[]", name, url.clone()));
        endpoints.into_iter().chain([("providers[]", "type", json!("oauth2"))]).collect()
    };
    match setting {
        "providers[].claims"
        | "providers[].email_is_verified"
        | "providers[].further_userinfo[].claims"
        | "providers[].further_userinfo[].endpoint"
        | "providers[].further_userinfo[].select"
        | "providers[].userinfo_token" => oauth2(),
        "providers[].client_assertion.audience"
        | "providers[].client_assertion.issuer"
        | "providers[].client_assertion.sent_as" => {
            vec![("providers[]", "token_endpoint_auth_method", json!("client_secret_jwt"))]
        }
        "identity_headers.NAME.template" => vec![("identity_headers.NAME", "claim", Value::Null)],
        "providers[].discovery" => {
            let endpoints = ["authorization_endpoint", "jwks_uri", "token_endpoint"];
            endpoints.map(|name| ("providers[]", name, json!("https://login.example.com/x"))).to_vec()
        }
        "providers[].github_api_url" | "providers[].github_url" => {
            let server = json!("https://github.example.com");
            vec![
                ("providers[]", "type", json!("github")),
                ("providers[]", "issuer", Value::Null),
                ("providers[]", "github_url", server),
            ]
        }
        "providers[].provisioning" | "providers[].registration" => {
            vec![("", "provisioning", beside("provisioning"))]
        }
        "providers[].revocation_endpoint" => vec![("sign_out", "revoke", json!(true))],
        "providers[].type" => vec![("providers[]", "issuer", Value::Null)],
        "providers[].userinfo_endpoint" => vec![("providers[]", "userinfo", json!(true))],
        "providers[].with" => vec![("providers[]", "preset", json!("microsoft"))],
        "policies.NAME.providers" | "rules[].providers" => vec![("providers[]", "name", json!("partners"))],
        "route_metadata" => vec![policies],
        "rules[].access" => vec![("rules[]", "path", json!("/**"))],
        "rules[].locked" => vec![policies, ("", "route_metadata", json!(true))],
        "rules[].policy" => vec![policies, ("rules[]", "access", Value::Null)],
        "sign_in.external_url" => vec![("session", "cookie_domain", json!("example.com"))],
        "rules[].upstream_token.exchange.grant" => {
            vec![("rules[].upstream_token.exchange", "scopes", json!(["orders.read"]))]
        }
        "session.partitioned" => vec![("session", "same_site", json!("none"))],
        _ => Vec::new(),
    }
}

/// The value below this place, made where it is missing.
fn at<'a>(root: &'a mut Value, place: &str) -> &'a mut Value {
    let mut value = root;
    let mut walked = String::new();
    for step in place.split('.').filter(|step| !step.is_empty()) {
        walked = below(&walked, step);
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        value = &mut value[name];
        if is_list && value.is_null() {
            *value = json!([]);
        }
        if is_list {
            if value.get(0).is_none() {
                value.as_array_mut().unwrap().push(Value::Null);
            }
            value = &mut value[0];
        }
        if value.is_null() {
            *value = beside(&walked);
        }
    }
    value
}

/// Settings that need a private key, which no example has.
const EXCEPTIONS: [&str; 3] =
    ["providers[].client_key.alg", "providers[].client_key.kid", "providers[].signed_authorization_requests"];

#[test]
fn the_filter_accepts_each_example() {
    let reference = Reference::new();
    let mut refused = Vec::new();
    for section in reference.sections() {
        let place = &section.places[0];
        for (name, property) in reference.properties(&section.definition) {
            let Some(example) = reference.example(property) else { continue };
            let mut document = json!({
                "external_url": "https://app.example.com",
                "cluster": "idp",
                "providers": [{
                    "issuer": "https://login.example.com",
                    "client_id": "my-client",
                    "client_secret": {"env": "OIDC_CLIENT_SECRET"},
                }],
                "session": {"keys": [{"env": "VESTIBULE_KEY"}]},
                "allow_on_headers_stop_iteration": true,
            });
            // Only the name of the variable is the example's.
            if example.get("env").is_some() {
                continue;
            }
            for (place, name, value) in context(&below(place, name)) {
                let object = at(&mut document, place).as_object_mut().unwrap();
                if value.is_null() {
                    object.remove(name)
                } else {
                    object.insert(name.to_owned(), value)
                };
            }
            at(&mut document, place)[name] = example;
            let setting = below(place, name);
            let parsed = Config::parse(document.to_string().as_bytes(), &|_| Some("0123456789abcdef".repeat(4)));
            let said = parsed.err().map(|faults| faults.to_string());
            if said.is_some() != EXCEPTIONS.contains(&setting.as_str()) {
                refused.push(format!("{setting}: {}", said.as_deref().unwrap_or("accepted, and no exception")));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}
