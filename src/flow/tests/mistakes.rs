//! Mistakes in the settings of a provider: the line of the log says what to change.

use serde_json::{Map, Value, json};

use super::{
    super::event::{Event, Level},
    world::{ISSUER, World, document, ok},
};
use crate::{
    http::{CalloutError, CalloutResponse},
    quoted::Quoted,
};

/// The lines of the log since the last call.
fn lines(world: &mut World) -> Vec<String> {
    let events = std::mem::take(&mut world.events);
    events.into_iter().filter(|event| event.level() != Level::Count).map(|event| event.to_string()).collect()
}

/// The document with another way to authenticate.
fn authenticating_by(settings: &Value) -> World {
    let mut providers = document()["providers"].clone();
    let provider = providers[0].as_object_mut().unwrap();
    provider.remove("client_secret");
    provider.extend(settings.as_object().unwrap().clone());
    World::ready_with(&[("providers", providers)])
}

/// Signs in, and returns the last line of the log; the app sees nothing, and the worker goes on.
fn refused(world: &mut World, expected: (u16, &'static str)) -> String {
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let outcome = world.visit(&callback);
    assert_eq!(world.then(outcome).code(), expected);
    assert!(!world.has_session());
    let line = lines(world).pop().unwrap();
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
    line
}

#[test]
fn invalid_client_is_logged_with_the_settings_to_compare() {
    let secret = "0123456789abcdef0123456789abcdef";
    let keys: Value = serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap();
    let registration = "with the registration of the client";
    for (settings, remedy) in [
        (json!({}), "no client_secret is configured; compare client_id and the kind of client with its registration"),
        (json!({"client_secret": secret}), "compare client_id and client_secret with the registration of the client"),
        (
            json!({"client_secret": secret, "token_endpoint_auth_method": "client_secret_post"}),
            "compare client_id, client_secret and token_endpoint_auth_method with the registration of the client",
        ),
        (
            json!({"client_secret": secret, "token_endpoint_auth_method": "client_secret_jwt"}),
            "compare client_id, client_secret and client_assertion with the registration of the client",
        ),
        (
            json!({"client_key": {"private_key": keys[4].to_string()}}),
            "compare client_id, client_key and client_assertion with the registration of the client, which needs the public key",
        ),
        (
            json!({"token_endpoint_auth_method": "injected"}),
            &format!("compare client_id and the secret of the cluster's credential injector {registration}"),
        ),
        (
            json!({"token_endpoint_auth_method": "tls_client_auth"}),
            &format!("compare client_id and the certificate that the cluster shows {registration}"),
        ),
    ] {
        let mut world = authenticating_by(&settings);
        for (status, code) in
            [(401, "invalid_client"), (200, "incorrect_client_credentials"), (400, "unauthorized_client")]
        {
            let body = json!({"error": code, "error_description": "Bad client"});
            let answer = CalloutResponse::new(status, body.to_string().into_bytes());
            world.provider.token_response = Box::new(move |_| Ok(answer.clone()));
            let line = refused(&mut world, (502, "token_endpoint_refused"));
            assert!(
                line.contains(&format!("the provider refused: {code} (\"Bad client\"); {remedy}; issuer ")),
                "{line}"
            );
        }
        // Another refusal is not about the client.
        world.provider.token_response =
            Box::new(|_| Ok(CalloutResponse::new(400, br#"{"error":"invalid_request"}"#.to_vec())));
        let line = refused(&mut world, (502, "token_endpoint_refused"));
        assert!(line.contains("refused: invalid_request; issuer "), "{line}");
    }
}

#[test]
fn the_alternative_auth_method_is_kept_only_if_it_is_accepted() {
    for (status, body, kept) in [
        (200, r#"{"error":"invalid_grant"}"#, true),
        (400, r#"{"error":"invalid_grant"}"#, true),
        (500, "<html>", false),
        (403, "<html>", false),
        (400, r#"{"error":"invalid_request"}"#, false),
        (400, r#"{"error":"unauthorized_client"}"#, false),
        (401, r#"{"error":"invalid_client"}"#, false),
    ] {
        let mut world = World::ready();
        world.provider.before = Some(Box::new(move |request| {
            let is_basic = request.headers.iter().any(|(name, _)| *name == "authorization");
            let (status, body) = if is_basic { (401, r#"{"error":"invalid_client"}"#) } else { (status, body) };
            (request.path == "/token").then(|| Ok(CalloutResponse::new(status, body.as_bytes().to_vec())))
        }));
        let reply = world.visit("/page").reply();
        let callback = world.signs_in(&reply);
        world.events.clear();
        let code = world.visit(&callback).code();
        let lines = lines(&mut world);
        let is_kept =
            lines.iter().any(|line| line.contains("as client_secret_post, because it refused the other method"));
        assert_eq!(is_kept, kept, "{status} {body}: {lines:?}");
        assert_eq!(code.1 == "token_endpoint_refused", !kept, "{status} {body}");
        if !kept {
            assert!(lines.iter().any(|line| line.contains("compare client_id and client_secret")), "{lines:?}");
        }
        assert!(!world.has_session());
    }
}

#[test]
fn invalid_scope_is_logged_with_the_scopes_setting() {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply).replace("code=code", "error=invalid_scope&error_description=no+groups");
    world.events.clear();
    assert_eq!(world.visit(&callback).code(), (400, "provider_refused"));
    let line = lines(&mut world).pop().unwrap();
    let told = r#"says invalid_scope ("no groups"); compare `scopes` with those that the client may ask for; issuer "#;
    assert!(line.contains(told), "{line}");
    world.sign_in("/page");
}

#[test]
fn a_wrong_issuer_of_an_id_token_is_quoted_in_the_log() {
    for (iss, quoted) in [
        (format!("{ISSUER}/"), format!("{:?}", format!("{ISSUER}/"))),
        ("https://idp.example.com/other\r\n".to_owned(), r#""https://idp.example.com/other\r\n""#.to_owned()),
        ("x".repeat(3000), format!("{:?}...", "x".repeat(200))),
    ] {
        let mut world = World::ready();
        world.provider.claims = Box::new(move |claims| drop(claims.insert("iss".to_owned(), json!(iss))));
        let line = refused(&mut world, (502, "id_token_refused"));
        let told =
            format!("iss is another issuer, {quoted}; write exactly that as issuer, if it is the one you mean; ");
        assert!(line.contains(&told), "{line}");
        world.provider.claims = Box::new(|_| ());
        world.sign_in("/page");
    }
}

/// What each worker says at `/oauth2/health`: the one that made the call knows why it failed.
fn troubles(world: &mut World) -> [Value; 2] {
    [0, 1].map(|worker| {
        world.worker = worker;
        let health: Value = serde_json::from_slice(&world.visit("/oauth2/health").reply().body).unwrap();
        health["providers"][0]["trouble"].clone()
    })
}

#[test]
fn missing_metadata_and_keys_are_logged_with_their_url() {
    for status in [404, 410, 400] {
        for document in ["metadata", "keys"] {
            let mut world = World::new();
            let answer = Ok(CalloutResponse::new(status, br#"{"error":"invalid_tenant"}"#.to_vec()));
            let (url, compare) = match document {
                "keys" => {
                    world.provider.jwks = Some(answer);
                    (format!("{ISSUER}/jwks"), "jwks_uri, which the configuration or the metadata name")
                }
                _ => {
                    world.provider.instead = Some(Box::new(move |_| answer.clone()));
                    let url = format!("{ISSUER}/.well-known/openid-configuration");
                    (url, "issuer (server, path, tenant, realm), or metadata_url")
                }
            };
            world.settle();
            let lines = lines(&mut world);
            let line =
                lines.iter().find(|line| line.contains(&format!("cannot use the {document} of {ISSUER}"))).unwrap();
            let told = format!(
                "the provider answered {status}, and says unknown_error \"invalid_tenant\": no document is at {url:?}; compare {compare}; "
            );
            assert!(line.contains(&told), "{line}");
            assert!(troubles(&mut world).contains(&json!("not_found")), "{document}");
            (world.provider.jwks, world.provider.instead) = (None, None);
            world.advance(60);
            world.settle();
            world.sign_in("/page");
        }
    }
}

#[test]
fn the_log_distinguishes_unknown_clusters_from_unreachable_ones() {
    for (error, told, word) in [
        (
            CalloutError::NoCluster(Quoted::new("idp")),
            "Envoy has no cluster \"idp\"; ADMIN/clusters lists them: Istio calls that of a ServiceEntry outbound|443||HOST, Envoy \
             Gateway that of an HTTPRoute httproute/NAMESPACE/NAME/rule/NUMBER; ",
            "unknown_cluster",
        ),
        (
            CalloutError::Dispatch,
            "Envoy did not start the request: the host name of its cluster does not resolve, no endpoint is healthy, or its circuit breaker is open; ",
            "no_address",
        ),
    ] {
        let mut world = World::new();
        world.provider.instead = Some(Box::new(move |_| Err(error.clone())));
        world.settle();
        let lines = lines(&mut world);
        assert!(lines.iter().any(|line| line.contains(told)), "{lines:#?}");
        assert!(troubles(&mut world).contains(&json!(word)), "{word}");
        world.provider.instead = None;
        world.advance(60);
        world.settle();
        world.sign_in("/page");
    }
}

/// The claims that the log calls absent, and how many sign-ins lacked one.
fn absent(world: &mut World) -> (Vec<String>, usize) {
    let of_kind = |event: &&Event| event.counter() == "vestibule_absent_claims";
    let count = world.events.iter().filter(of_kind).count();
    (lines(world).into_iter().filter(|line| line.contains(" brought no ")).collect(), count)
}

/// A token without address and groups.
fn without_both(claims: &mut Map<String, Value>) {
    for name in ["email", "groups"] {
        claims.insert(name.to_owned(), Value::Null);
    }
}

#[test]
fn a_missing_expected_claim_is_logged_once_per_worker() {
    let groups = json!([{"prefix": "/", "access": "required", "allow": {"groups": ["staff"]}}]);
    let mut world = World::ready_with(&[("rules", groups)]);
    world.provider.claims = Box::new(without_both);
    let told = |claim: &str| {
        format!(
            "a sign-in at {ISSUER} brought no `{claim}`, which identity_headers, filter_state or conditions ask for; add the scope that \
             brings it to `scopes`, or set `userinfo: true` if the userinfo endpoint has it"
        )
    };
    world.events.clear();
    world.sign_in("/page");
    assert_eq!(absent(&mut world), (vec![told("email"), told("groups")], 2));
    world.jar.clear();
    world.sign_in("/page");
    assert_eq!(absent(&mut world), (vec![], 2));
    (world.worker, world.jar) = (1, Default::default());
    world.sign_in("/page");
    assert_eq!(absent(&mut world), (vec![told("email"), told("groups")], 2));
    world.provider.claims = Box::new(|claims| {
        claims.insert("email".to_owned(), json!("alice@example.com"));
        claims.insert("groups".to_owned(), json!([]));
    });
    world.jar.clear();
    world.sign_in("/page");
    assert_eq!(absent(&mut world), (vec![], 0));
}

#[test]
fn a_claim_is_expected_if_a_header_or_condition_uses_it() {
    let absent_with = |changes: &[(&str, Value)]| {
        let mut world = World::ready_with(changes);
        world.provider.claims = Box::new(without_both);
        world.provider.userinfo = Box::new(|| ok(&json!({"sub": "alice", "email": ""})));
        world.events.clear();
        world.sign_in("/page");
        let (lines, _) = absent(&mut world);
        lines.iter().map(|line| line.split('`').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Most providers have no groups, and the default headers tell of them all the same.
    assert_eq!(absent_with(&[]), ["email"]);
    assert_eq!(absent_with(&[("identity_headers", json!({"x-user": "sub"}))]), [""; 0]);
    assert_eq!(absent_with(&[("identity_headers", json!({"x-groups": "groups"}))]), ["groups"]);
    let state = json!({"claims": {"com.example.groups": "groups"}});
    assert_eq!(absent_with(&[("filter_state", state)]), ["email", "groups"]);
    let mut providers = document()["providers"].clone();
    providers[0]["userinfo"] = json!(true);
    providers[0]["allow"] = json!({"groups": ["staff"]});
    assert_eq!(absent_with(&[("providers", providers)]), ["email", "groups"]);
}
