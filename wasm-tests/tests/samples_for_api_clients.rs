//! Files of `envoy/` for API clients beside users, in the real Envoy before a real provider. Only the file configures the
//! filter and Envoy here.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use wasm_tests::{
    http1::{Outcome, Server, response},
    issuer::{Issuer, Signing},
    keys::Algorithm,
    process::Scratch,
    sample::{InUse, Sample},
    site::ALICE,
    tools,
    user_agent::{Outgoing, UserAgent},
};

const PUBLIC: &str = "/evaluate/v1/x";

fn bring(path: &str, token: &str) -> Outgoing {
    Outgoing::fetch(path).header("authorization", format!("Bearer {token}"))
}

#[test]
fn the_introspection_sample_accepts_opaque_tokens_and_sessions() {
    const NAMES: [&str; 3] = ["x-forwarded-user", "x-forwarded-client", "x-forwarded-email"];
    let (gate, robot) = ("canary-secret-of-the-gate", "canary-secret-of-the-robot");
    let site = InUse::start("introspection.yaml", "https://login.example.com", PUBLIC, |plan, sample| {
        plan.provider.scopes = &["api", "pages"];
        for (id, secret, method) in [("gate", gate, "client_secret_basic"), ("robot", robot, "client_secret_post")] {
            plan.provider.clients.push(json!({
                "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"], "redirect_uris": [],
                "response_types": [], "token_endpoint_auth_method": method, "scope": "api email",
            }));
        }
        sample.secret("GATE_SECRET", gate);
    });
    let token = |scope| site.provider.client_credentials_token("robot", robot, scope);
    let (visitor, good) = (UserAgent::default(), token("api"));
    let received = site.received_headers(&visitor, bring("/api/x", &good), NAMES);
    assert_eq!(received.each_ref().map(Option::as_deref), [Some("robot"), Some("robot"), None]);
    let alice = site.signed_in(ALICE, "/page");
    let received = site.received_headers(&alice, Outgoing::fetch("/page"), NAMES);
    assert_eq!(received.each_ref().map(Option::as_deref), [Some("alice"), None, Some("alice@example.com")]);
    for (browser, send, (status, code)) in [
        (&visitor, bring("/page", &good), (403, "insufficient_scope")),
        (&visitor, bring("/api/x", &token("email")), (403, "insufficient_scope")),
        (&visitor, bring("/api/x", "made-up"), (401, "invalid_token")),
        (&alice, bring("/page", "made-up"), (401, "invalid_token")),
        (&alice, Outgoing::fetch("/api/x"), (401, "token_required")),
        (&visitor, Outgoing::fetch("/page"), (401, "sign_in_required")),
    ] {
        site.assert_refused(browser, send, (status, Some(code)));
    }
    let log = site.envoy.log();
    for secret in [good.as_str(), gate, robot] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

/// A token of this account of a cluster, for this audience, with the claims that the file speaks of.
fn pod_token(cluster: &Issuer, audience: &str, namespace: &str, name: &str) -> String {
    let jwks = cluster.jwks();
    let rsa = jwks["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["kty"] == "RSA"));
    let kid = &rsa.expect("a key")["kid"];
    cluster.access_token(audience, |token| {
        let now = token.issued_at();
        token.signing = Signing::Published(Algorithm::Rs256);
        token.raw_header = Some(json!({"alg": "RS256", "kid": kid}).to_string());
        let Value::Object(claims) = json!({
            "aud": [audience], "exp": now + 3607, "iat": now, "nbf": now,
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "14ee3fa4"}},
        }) else {
            unreachable!("it is an object")
        };
        token.claims = claims;
    })
}

#[test]
fn the_kubernetes_sample_admits_pods_and_users_to_their_paths() {
    // The API server shows its keys for Envoy's own token.
    let (cluster, scratch, asked_with) = (Issuer::start(), Scratch::new("pod"), Arc::new(Mutex::new(Vec::new())));
    let (jwks, seen) = (cluster.jwks().to_string(), Arc::clone(&asked_with));
    let api_server = Server::start(0, move |request, connection| {
        let token = request.headers.text("authorization").unwrap_or_default();
        let status = if token == "Bearer canary-of-envoys-pod" { 200 } else { 403 };
        seen.lock().expect("no thread panicked").push((request.path().to_owned(), token));
        let answer = response(status, &[("content-type", "application/jwk-set+json")], jwks.as_bytes());
        if connection.send(&answer).is_ok() { Outcome::KeepAlive } else { Outcome::Close }
    });
    let of_pod = "/var/run/secrets/kubernetes.io/serviceaccount";
    let beside =
        fs::read_to_string(tools::root().join("envoy/kubernetes-token.yaml")).expect("a file of the repository");
    let path = |name: &str| scratch.file(name).display().to_string();
    fs::write(scratch.file("token"), "canary-of-envoys-pod").expect("the target folder can be written");
    let beside = beside.replace(&format!("{of_pod}/token"), &path("token"));
    fs::write(scratch.file("kubernetes-token.yaml"), beside).expect("the target folder can be written");

    let site = InUse::start("kubernetes.yaml", "https://idp.example.com", "/oauth2/health", |_, sample| {
        let door = sample.door(api_server.address().port());
        sample.put("https://kubernetes.default.svc/openid", &format!("http://localhost:{door}/openid"));
        sample.put("{kubernetes.default.svc: kubernetes}", &format!("{{\"localhost:{door}\": kubernetes}}"));
        sample.put(
            "{address: kubernetes.default.svc, port_value: 443}",
            &format!("{{address: 127.0.0.1, port_value: {door}}}"),
        );
        sample.put(&format!("{of_pod}/ca.crt"), &Sample::certificate());
        sample.put("/etc/envoy/kubernetes-token.yaml", &path("kubernetes-token.yaml"));
    });
    let token = |namespace: &str, name: &str| pod_token(&cluster, &site.url(""), namespace, name);
    let (visitor, alice) = (UserAgent::default(), site.signed_in(ALICE, "/page"));
    let orders = "/api/orders/7";
    for name in ["cart", "checkout"] {
        let received = site.received_headers(&visitor, bring(orders, &token("shop", name)), ["x-forwarded-user"]);
        assert_eq!(received, [Some(format!("system:serviceaccount:shop:{name}"))]);
    }
    let for_api_server = pod_token(&cluster, "https://kubernetes.default.svc.cluster.local", "shop", "cart");
    for (browser, send, (status, code)) in [
        (&visitor, bring(orders, &token("shop", "default")), (403, "not_allowed")),
        (&visitor, bring(orders, &token("default", "cart")), (403, "not_allowed")),
        (&visitor, bring(orders, &for_api_server), (401, "invalid_token")),
        (&visitor, bring("/page", &token("shop", "cart")), (403, "other_provider")),
        (&alice, Outgoing::fetch(orders), (401, "token_required")),
        (&visitor, Outgoing::fetch("/page"), (401, "sign_in_required")),
    ] {
        site.assert_refused(browser, send, (status, Some(code)));
    }
    let asked_with = asked_with.lock().expect("no thread panicked").clone();
    assert_eq!(asked_with, [("/openid/v1/jwks".to_owned(), "Bearer canary-of-envoys-pod".to_owned())]);
    assert!(!site.envoy.log().contains("canary-of-envoys-pod"));
}
