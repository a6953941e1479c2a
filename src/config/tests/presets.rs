use serde_json::{Value, json};

use super::{example, faults, settings};
use crate::{
    claims::Outcome,
    config::preset,
    provider::{Protocol, Provider},
};

/// The example with this provider, and a client there.
fn with(provider: &Value) -> Value {
    let mut document = example();
    let mut provider = provider.clone();
    provider["client_id"] = json!("my-client");
    if provider["preset"] == "apple" {
        provider["client_key"] = json!({"private_key": key()});
        document["allow_on_headers_stop_iteration"] = json!(true);
    } else {
        provider["client_secret"] = json!({"env": "OIDC_CLIENT_SECRET"});
    }
    document["providers"] = json!([provider]);
    document
}

/// A private key on P-256 that signs nothing but tests.
fn key() -> String {
    let keys: Value = serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap();
    keys[1].to_string()
}

fn provider(given: &Value) -> Provider {
    settings(&with(given)).providers.remove(0)
}

/// A value for each variable of this preset that has to have one, or for all.
fn values(file: &Value, all: bool) -> Value {
    let value = |variable: &Value| match variable["kind"].as_str().unwrap() {
        _ if variable["starts_with"] == "{region}_" => "a-1_Pool",
        "domain" => "example.com",
        "host" => "login.example.com",
        "segment" => "a-1",
        "tenant" => "00000000-0000-0000-0000-00000000000a",
        "url" => "https://login.example.com/base/",
        other => panic!("{other}"),
    };
    let variables = file["variables"].as_object();
    let variables = variables.into_iter().flatten().filter(|(_, variable)| all || variable["optional"] != true);
    variables.map(|(name, variable)| (name.clone(), json!(value(variable)))).collect()
}

#[test]
fn every_preset_with_its_variables_is_a_valid_provider() {
    for name in preset::NAMES {
        let file: Value = serde_json::from_str(preset::file(name)).unwrap();
        let known = ["needs_secret", "provider", "variables", "variants"];
        assert!(file.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{name}");
        for (variable, about) in file["variables"].as_object().into_iter().flatten() {
            assert!(!about["what"].as_str().unwrap().is_empty(), "{name} {variable}");
            let settings = [&file["provider"], &file["variants"]].map(Value::to_string).concat();
            assert!(settings.contains(&format!("{{{variable}}}")), "{name} {variable}");
        }
        for all in [false, true] {
            let config = settings(&with(&json!({"preset": name, "with": values(&file, all)})));
            assert_eq!(config.warnings, [""; 0], "{name}");
            let provider = &config.providers[0];
            assert_eq!(json!(provider.title), file["provider"]["title"]);
            let shown = format!("{provider:?}");
            let has_value = |variable: &String| !shown.contains(&format!("{{{variable}}}")) && !shown.contains("%7B");
            assert!(file["variables"].as_object().into_iter().flatten().all(|(name, _)| has_value(name)), "{name}");
        }
    }
}

#[test]
fn the_page_on_providers_shows_every_preset() {
    let page = include_str!("../../../envoy/docs/providers.md");
    for name in preset::NAMES {
        assert!(page.contains(&format!("preset: {name}")), "{name}");
    }
}

#[test]
fn preset_variables_are_substituted_into_the_issuer_url() {
    let issuer = |given: Value| provider(&given).issuer().as_str().to_owned();
    for (given, expected) in [
        (json!({"preset": "google"}), "https://accounts.google.com"),
        (json!({"preset": "gitlab"}), "https://gitlab.com"),
        (json!({"preset": "gitlab", "with": {"url": "https://git.example.com/"}}), "https://git.example.com"),
        (
            json!({"preset": "keycloak", "with": {"url": "https://id.example.com/auth", "realm": "r"}}),
            "https://id.example.com/auth/realms/r",
        ),
        (json!({"preset": "auth0", "with": {"domain": "example.eu.auth0.com"}}), "https://example.eu.auth0.com/"),
        (json!({"preset": "okta", "with": {"domain": "a.okta.com"}}), "https://a.okta.com/oauth2/default"),
    ] {
        assert_eq!(issuer(given), expected);
    }
}

#[test]
fn warns_of_email_conditions_where_the_provider_omits_email_verified() {
    let warnings = |provider: Value, allow: Value| {
        let mut document = with(&provider);
        document["rules"] = json!([{"prefix": "/", "access": "required", "allow": allow}]);
        settings(&document).warnings
    };
    let domains = || json!({"allowed_domains": ["example.com"]});
    let tenant = json!({"tenant": "organizations"});
    let said = warnings(json!({"preset": "microsoft", "with": tenant}), domains());
    assert!(
        said.iter()
            .any(|line| line
                .starts_with("allow: \"Microsoft\" never says `email_verified`, so a condition on an address")),
        "{said:?}"
    );
    let is_named = |said: &[String]| said.iter().any(|line| line.contains("never says `email_verified`"));
    assert!(is_named(&warnings(json!({"preset": "facebook"}), domains())));
    assert!(!is_named(&warnings(json!({"preset": "facebook", "email_is_verified": true}), domains())));
    assert!(!is_named(&warnings(json!({"preset": "google"}), domains())));
    assert!(!is_named(&warnings(json!({"preset": "microsoft", "with": tenant}), json!({"groups": ["a"]}))));
    assert!(!is_named(&warnings(
        json!({"preset": "microsoft", "with": tenant, "says_email_verified": true}),
        domains()
    )));
}

#[test]
fn the_microsoft_tenant_is_a_guid_common_or_organizations() {
    let with = |tenant: &str| with(&json!({"preset": "microsoft", "with": {"tenant": tenant}}));
    for tenant in ["contoso.onmicrosoft.com", "consumers", "Common", "00000000-0000-0000-0000-00000000000", ""] {
        assert!(
            faults(&with(tenant)).starts_with("providers[0].with.tenant: expected the ID of your tenant"),
            "{tenant}"
        );
    }
    let upper = settings(&with("0000000A-0000-0000-0000-00000000000B")).providers.remove(0);
    assert_eq!(upper.issuer().as_str(), "https://login.microsoftonline.com/0000000a-0000-0000-0000-00000000000b/v2.0");
}

#[test]
fn microsoft_has_an_issuer_for_every_tenant() {
    for (tenant, issuer, metadata) in [
        (
            "00000000-0000-0000-0000-000000000000",
            "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
            "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0/.well-known/openid-configuration",
        ),
        (
            "common",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
        ),
        (
            "organizations",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
        ),
    ] {
        let provider = provider(&json!({"preset": "microsoft", "with": {"tenant": tenant}}));
        assert_eq!(provider.issuer().as_str(), issuer);
        assert_eq!(provider.discovery().unwrap().url().as_str(), metadata);
    }
}

#[test]
fn a_google_domain_is_requested_and_enforced() {
    let google = |more: Value| {
        let mut given = json!({"preset": "google", "with": {"hd": "Example.com"}});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        provider(&given)
    };
    let of = |domain: &str| json!({"hd": domain, "email": "a@example.com", "email_verified": true, "groups": ["a"]});
    let admits = |provider: &Provider, claims: &Value| {
        provider.allow.as_ref().unwrap().outcome(claims.as_object().unwrap()) == Outcome::Yes
    };
    let (alone, with_groups) = (google(json!({})), google(json!({"allow": {"groups": ["a"]}})));
    for provider in [&alone, &with_groups] {
        assert!(provider.relying_party.authorization_params.contains(&("hd".to_owned(), "example.com".to_owned())));
        assert_eq!(provider.relying_party.authorization_params.len(), 3);
        assert!(admits(provider, &of("example.com")));
        for other in [of("example.org"), of("sub.example.com"), of(""), json!({"email": "a@example.com"})] {
            assert!(!admits(provider, &other), "{other}");
        }
    }
    assert!(!admits(&with_groups, &json!({"hd": "example.com", "groups": ["b"]})), "both conditions count");
    assert!(provider(&json!({"preset": "google"})).allow.is_none());
    let own = google(json!({"allow": {"claims": {"hd": ["example.com", "example.org"]}}}));
    assert!(admits(&own, &of("example.org")), "the operator's own condition wins");
}

#[test]
fn explicit_settings_override_a_preset_and_maps_are_merged() {
    let google = provider(&json!({
        "preset": "google", "title": "Work", "scopes": ["email"], "authorization_params": {"prompt": "login", "hd": "example.com"},
    }));
    assert_eq!(
        (google.title.as_str(), &google.relying_party.scopes[..]),
        ("Work", &["openid".to_owned(), "email".to_owned()][..])
    );
    let mut params = google.relying_party.authorization_params;
    params.sort();
    let pairs: Vec<_> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("access_type", "offline"), ("hd", "example.com"), ("prompt", "login")]);
    let Protocol::OAuth2(facebook) =
        provider(&json!({"preset": "facebook", "with": {"version": "v99.0"}, "claims": {"sub": "token_for_business"}}))
            .protocol
    else {
        panic!("another protocol")
    };
    let claims: Vec<_> =
        facebook.questions.userinfo.claims.iter().map(|(name, path)| (name.as_str(), path.text())).collect();
    assert_eq!(claims, [("sub", "token_for_business".to_owned()), ("picture", "/picture/data/url".to_owned())]);
    assert_eq!(facebook.metadata.authorization_endpoint.url().path(), "/v99.0/dialog/oauth");
}

#[test]
fn a_preset_that_requires_a_client_secret_reports_a_missing_one() {
    let without_secret = |given: &Value| {
        let mut document = with(given);
        document["providers"][0].as_object_mut().unwrap().remove("client_secret");
        document
    };
    for (preset, title) in
        [("google", "Google"), ("facebook", "Facebook"), ("simplelogin", "SimpleLogin"), ("workos", "WorkOS")]
    {
        let mut given = json!({"preset": preset});
        if preset == "workos" {
            given["with"] = json!({"domain": "example.authkit.app"});
        }
        let expected = format!(
            "providers[0].client_secret: missing; expected the client secret that {title} gave you: it requires one"
        );
        assert_eq!(faults(&without_secret(&given)), expected);
        given["token_endpoint_auth_method"] = json!("injected");
        assert_eq!(settings(&without_secret(&given)).providers.len(), 1, "{preset}");
    }
    assert_eq!(
        faults(&without_secret(&json!({"preset": "github"}))),
        "providers[0].client_secret: missing; expected the client secret that GitHub gave you"
    );
    // Their public clients have none.
    for given in [
        json!({"preset": "gitlab"}),
        json!({"preset": "okta", "with": {"domain": "example.okta.com"}}),
        json!({"preset": "google", "token_endpoint_auth_method": "none"}),
        json!({"preset": "google", "client_key": {"private_key": key()}}),
    ] {
        assert_eq!(settings(&without_secret(&given)).providers.len(), 1, "{given}");
    }
}

#[test]
fn an_unknown_preset_or_missing_preset_variable_is_reported() {
    for (given, expected) in [
        (
            json!({"preset": "googel"}),
            "providers[0].preset: expected one of apple, auth0, authentik, cognito, dex, facebook, github, gitlab, google, keycloak, microsoft, okta, simplelogin, workos, zitadel, got \"googel\"; did you mean `google`?",
        ),
        (
            json!({"preset": "Google"}),
            "providers[0].preset: expected one of apple, auth0, authentik, cognito, dex, facebook, github, gitlab, google, keycloak, microsoft, okta, simplelogin, workos, zitadel, got \"Google\"; did you mean `google`?",
        ),
        (
            json!({"preset": "azure"}),
            "providers[0].preset: expected one of apple, auth0, authentik, cognito, dex, facebook, github, gitlab, google, keycloak, microsoft, okta, simplelogin, workos, zitadel, got \"azure\"",
        ),
        (
            json!({"preset": "apple", "with": {"team_id": "TEAM"}}),
            "providers[0].with.key_id: missing; expected the ID of the key for Sign in with Apple, such as ABC123DEFG",
        ),
        (
            json!({"preset": "microsoft"}),
            "providers[0].with.tenant: missing; expected the ID of your tenant, a GUID, or common or organizations for every tenant",
        ),
        (
            json!({"preset": "microsoft", "with": {"tenant": "a/b"}}),
            "providers[0].with.tenant: expected the ID of your tenant, a GUID, or common or organizations for every tenant, got \"a/b\"",
        ),
        (
            json!({"preset": "okta", "with": {"domain": "https://a.okta.com"}}),
            "providers[0].with.domain: expected the domain of your organization, such as example.okta.com, got \"https://a.okta.com\"",
        ),
        (
            json!({"preset": "keycloak", "with": {"url": "id.example.com", "realm": ".."}}),
            "providers[0].with.realm: expected the name of the realm, got \"..\"\nproviders[0].with.url: expected the URL of Keycloak without its realm, such as https://keycloak.example.com, got \"id.example.com\"",
        ),
        (
            json!({"preset": "keycloak", "with": {"url": "https://id.example.com/realms/shop", "realm": "shop"}}),
            "providers[0].with.url: expected the URL of Keycloak without its realm, such as https://keycloak.example.com, got \"https://id.example.com/realms/shop\"",
        ),
        (
            json!({"preset": "keycloak", "realm": "shop", "with": {"url": "https://id.example.com"}}),
            "providers[0].realm: unknown field; did you mean `with: {realm: ...}`?\nproviders[0].with.realm: missing; expected the name of the realm",
        ),
        (
            json!({"preset": "authentik", "with": {"url": "https://id.example.com/application/o/shop/", "application": "shop"}}),
            "providers[0].with.url: expected the URL of authentik without its application, such as https://authentik.example.com, got \"https://id.example.com/application/o/shop/\"",
        ),
        (
            json!({"preset": "cognito", "with": {"region": "eu-west-1_AbCdEfGhI", "user_pool": "unknown_A"}}),
            "providers[0].with.region: expected the region, such as eu-west-1",
        ),
        (
            json!({"preset": "cognito", "with": {"region": "us-east-1", "user_pool": "eu-west-1_AbC"}}),
            "providers[0].with.user_pool: expected the ID of the user pool, which begins with its region, such as eu-west-1_AbCdEfGhI, got \"eu-west-1_AbC\"",
        ),
        (
            json!({"preset": "cognito", "with": {"region": "us-east-1", "user_pool_id": "us-east-1_AbC"}}),
            "providers[0].with.user_pool: missing; expected the ID of the user pool, which begins with its region, such as eu-west-1_AbCdEfGhI\nproviders[0].with.user_pool_id: unknown field; did you mean `user_pool`?",
        ),
        (
            json!({"preset": "gitlab", "with": {"host": "git.example.com"}}),
            "providers[0].with.host: unknown field; expected url",
        ),
        (
            json!({"preset": "facebook", "with": {"tenant": "x"}}),
            "providers[0].with.tenant: unknown field; expected version",
        ),
        (
            json!({"preset": "github", "with": {"tenant": "x"}}),
            "providers[0].with.tenant: unknown field; this preset has no variables",
        ),
        (
            json!({"preset": "google", "with": {"hd": "https://example.com"}}),
            "providers[0].with.hd: expected the domain of your Google Workspace, such as example.com, got \"https://example.com\"",
        ),
        (
            json!({"preset": "google", "with": {"hd": "*"}}),
            "providers[0].with.hd: expected the domain of your Google Workspace, such as example.com, got \"*\"",
        ),
        (json!({"preset": 7, "issuer": "https://a.example"}), "providers[0].preset: expected a string, got a number"),
        (json!({"preset": "google", "with": ["x"]}), "providers[0].with: expected an object, got a list"),
        (
            json!({"with": {"tenant": "x"}, "issuer": "https://a.example"}),
            "providers[0].with: expected nothing; it is for a preset",
        ),
    ] {
        assert_eq!(faults(&with(&given)), expected, "{given}");
    }
}

#[test]
fn warns_of_a_provider_that_cannot_satisfy_a_rule() {
    let warnings = |provider: Value, more: Value| {
        let mut document = with(&provider);
        document["rules"] = json!([{"prefix": "/", "access": "required"}]);
        document["rules"][0].as_object_mut().unwrap().extend(more["rule"].as_object().unwrap().clone());
        settings(&document).warnings
    };
    let step_up = || json!({"rule": {"step_up": {"acr_values": ["phr"]}}});
    let of = |provider: Value, more: Value| warnings(provider, more).concat();
    assert!(of(json!({"preset": "github"}), step_up()).starts_with("step_up: \"GitHub\" has no ID tokens"));
    assert!(of(json!({"preset": "facebook"}), step_up()).starts_with("step_up: \"Facebook\" has no ID tokens"));
    assert_eq!(of(json!({"preset": "google"}), step_up()), "");
    assert_eq!(of(json!({"preset": "github"}), json!({"rule": {}})), "");

    let key: Value =
        serde_json::from_str::<Vec<Value>>(include_str!("../../jose/testdata/private_keys.json")).unwrap()[1].clone();
    let bound = json!({"preset": "google", "dpop_key": key.to_string()});
    let forwards = json!({"rule": {"authorization": "access_token"}});
    assert!(
        of(bound.clone(), forwards).starts_with("authorization: the access tokens of \"Google\" are bound to dpop_key")
    );
    assert_eq!(of(bound, json!({"rule": {}})), "");
}
