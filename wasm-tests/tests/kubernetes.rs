//! Service accounts of Kubernetes: their tokens, and the API server's keys, which it shows to accounts alone.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use wasm_tests::{
    api_client::{API, with_token},
    http1::{Outcome, Response, Server, response},
    issuer::{Endpoint, IdToken, Issuer, Signing},
    keys::Algorithm,
    ports,
    process::{Scratch, until},
    upstream::MARK,
    world::World,
};

fn configure(document: &mut Value, issuer: &str, jwks_uri: &str) {
    document["token_issuers"] = json!([{
        "issuer": issuer, "audiences": [API], "kind": "kubernetes_service_account", "jwks_uri": jwks_uri,
    }]);
    document["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"path": "/pods/*", "access": "bearer", "allow": {"claims": {
            "/kubernetes.io/namespace": ["shop"], "/kubernetes.io/serviceaccount/name": ["cart", "checkout"],
        }}},
        {"path": "/api/*", "access": "bearer"},
    ]);
}

#[track_caller]
fn send(world: &World, path: &str, token: &str) -> Response {
    world.send(&with_token(path, token)).expect("an answer")
}

/// A token as the kubelet projects it into a pod: RS256, no `typ`, and these claims (Kubernetes 1.32).
fn pod_token(issuer: &Issuer, change: impl FnOnce(&mut IdToken)) -> String {
    let jwks = issuer.jwks();
    let kid =
        jwks["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["kty"] == "RSA")).expect("a key")["kid"]
            .clone();
    issuer.access_token(API, |token| {
        let now = token.issued_at();
        token.signing = Signing::Published(Algorithm::Rs256);
        token.raw_header = Some(json!({"alg": "RS256", "kid": kid}).to_string());
        let Value::Object(claims) = json!({
            "aud": [API],
            "exp": now + 3607,
            "iat": now,
            "iss": token.text("iss"),
            "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
            "kubernetes.io": {
                "namespace": "shop",
                "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
                "pod": {"name": "cart-5d9c7f6b8-x2x7k", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
                "serviceaccount": {"name": "cart", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
                "warnafter": now + 3607,
            },
            "nbf": now,
            "sub": "system:serviceaccount:shop:cart",
        }) else {
            unreachable!("it is an object")
        };
        token.claims = claims;
        change(token);
    })
}

#[test]
fn service_accounts_pass_by_namespace_and_name() {
    let partners = Issuer::another();
    let (url, jwks_uri) = (partners.url(), format!("{}{}", partners.url(), Endpoint::Jwks.path()));
    let world = World::among(Issuer::start(), partners, |setup| configure(&mut setup.configuration, &url, &jwks_uri));
    let token = |change: fn(&mut IdToken)| pod_token(&world.partners, change);
    let cart = token(|_| {});
    let passes = |path: &str, token: &str, user: &str| {
        for _ in 0..6 {
            let response = send(&world, path, token);
            assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
            assert_eq!(world.upstream.last().headers.text("x-forwarded-user").as_deref(), Some(user));
        }
    };
    let refused = |path: &str, token: &str, expected: (u16, &str)| {
        let before = world.upstream.count();
        let answers = world.in_a_row(&[with_token(path, token), with_token("/pods/x", &cart)]);
        assert_eq!(
            (answers[0].status, answers[0].code().as_deref()),
            (expected.0, Some(expected.1)),
            "{:?}",
            answers[0]
        );
        assert_eq!(answers[1].status, 200);
        world.upstream.assert_saw_nothing_since(before + 1, path);
    };
    passes("/pods/x", &cart, "system:serviceaccount:shop:cart");
    let other_name = token(|token| {
        token.claims["kubernetes.io"]["serviceaccount"]["name"] = json!("default");
        token.set("sub", "system:serviceaccount:shop:default");
    });
    let other_namespace = token(|token| {
        token.claims["kubernetes.io"]["namespace"] = json!("default");
        token.set("sub", "system:serviceaccount:default:cart");
    });
    for other in [&other_name, &other_namespace] {
        refused("/pods/x", other, (403, "not_allowed"));
    }
    passes("/api/x", &other_name, "system:serviceaccount:shop:default");
    // For the API server, from a Secret (without audience), and with two contradicting subjects.
    type Change = fn(&mut IdToken);
    let odd: [Change; 8] = [
        |token| token.set("aud", json!(["https://kubernetes.default.svc.cluster.local"])),
        |token| token.remove("aud"),
        |token| token.set("exp", token.issued_at() - 61),
        |token| token.set("sub", "system:serviceaccount:shop:checkout"),
        |token| token.set("sub", "alice"),
        |token| token.claims["kubernetes.io"] = json!("shop"),
        |token| token.claims["kubernetes.io"]["namespace"] = json!("shop:cart"),
        |token| token.remove("kubernetes.io"),
    ];
    for change in odd {
        refused("/pods/x", &token(change), (401, "invalid_token"));
    }
    // A token of the same keys that is not a service account token is refused.
    refused("/api/x", &world.partners.access_token(API, |_| {}), (401, "invalid_token"));
    assert_eq!(world.partners.all_requests().len(), 1);
}

/// An API server that shows its keys for this token of a pod, and records the tokens of its requests.
struct ApiServer {
    _server: Server,
    port: u16,
    asked_with: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    fn start(jwks: String, takes: &'static [&'static str]) -> Self {
        let asked_with = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked_with);
        let server = Server::start(ports::free(), move |request, connection| {
            let authorization = request.headers.text("authorization").unwrap_or_default();
            let known = authorization.strip_prefix("Bearer ").is_some_and(|token| takes.contains(&token));
            seen.lock().expect("no thread panicked").push(authorization);
            let answer = match request.path() {
                "/openid/v1/jwks" if known => {
                    response(200, &[("content-type", "application/jwk-set+json")], jwks.as_bytes())
                }
                _ => response(403, &[("content-type", "application/json")], b"{\"kind\":\"Status\",\"code\":403}"),
            };
            if connection.send(&answer).is_ok() { Outcome::KeepAlive } else { Outcome::Close }
        });
        Self { port: server.address().port(), _server: server, asked_with }
    }

    fn asked_with(&self) -> Vec<String> {
        self.asked_with.lock().expect("no thread panicked").clone()
    }
}

/// A folder with a pod's own token, kept as the kubelet keeps it: a link to a folder that is replaced as a whole.
struct Projected {
    folder: PathBuf,
    _scratch: Scratch,
}

impl Projected {
    fn new(token: &str) -> Self {
        let scratch = Scratch::new("projected");
        let projected = Self { folder: scratch.file("serviceaccount"), _scratch: scratch };
        fs::create_dir(&projected.folder).expect("the target folder can be written");
        projected.replace(token);
        symlink("..data/token", projected.token()).expect("a link");
        projected
    }

    fn token(&self) -> PathBuf {
        self.folder.join("token")
    }

    fn replace(&self, token: &str) {
        let (version, next) = (self.folder.join(format!("..{token}")), self.folder.join("..data_tmp"));
        fs::create_dir(&version).expect("a folder");
        fs::write(version.join("token"), token).expect("a file");
        symlink(version.file_name().expect("a name"), &next).expect("a link");
        fs::rename(next, self.folder.join("..data")).expect("a link that can be moved");
    }
}

/// The cluster of `envoy/kubernetes.yaml` without its TLS, to this port, which sends the token in this file.
fn cluster(port: u16, secret: &Path) -> Value {
    let filter =
        |name: &str, config: Value| json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config});
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({
        "name": "kubernetes",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "kubernetes", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": [
                filter("credential_injector", json!({
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
                    "overwrite": true,
                    "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                        "header_value_prefix": "Bearer ",
                        "credential": {"name": "token", "sds_config": {"path_config_source": {"path": secret}}},
                    }},
                })),
                filter("upstream_codec", json!({
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
                })),
            ],
        }},
    })
}

#[test]
fn envoy_sends_the_pods_token_to_the_api_server_and_reloads_it() {
    let partners = Issuer::another();
    let server = ApiServer::start(partners.jwks().to_string(), &["canary-first-of-pod", "canary-second-of-pod"]);
    let (projected, scratch) = (Projected::new("canary-first-of-pod"), Scratch::new("sds"));
    let secret = scratch.file("kubernetes-token.json");
    let resource = json!({"resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "token", "generic_secret": {"secret": {"filename": projected.token()}},
    }]});
    fs::write(&secret, resource.to_string()).expect("the target folder can be written");
    let (issuer, authority) = (partners.url(), format!("127.0.0.1:{}", server.port));
    let jwks_uri = format!("http://{authority}/openid/v1/jwks");
    let world = World::among(Issuer::start(), partners, |setup| {
        setup.whole_clusters.push(cluster(server.port, &secret));
        setup.configuration["clusters"] = json!({authority: "kubernetes"});
        configure(&mut setup.configuration, &issuer, &jwks_uri);
    });
    let cart = pod_token(&world.partners, |_| {});
    let passes = || send(&world, "/pods/x", &cart).status == 200;
    until("keys", || passes().then_some(()));
    assert_eq!(server.asked_with(), ["Bearer canary-first-of-pod"]);

    // The kubelet replaces the token; the next time keys are fetched Envoy brings the new one.
    projected.replace("canary-second-of-pod");
    let comes_back = || {
        let before = server.asked_with().len();
        world.advance(660);
        until("the next fetch", || (server.asked_with().len() > before).then_some(()));
        server.asked_with().last().is_some_and(|authorization| authorization == "Bearer canary-second-of-pod")
    };
    until("the new token", || comes_back().then_some(()));
    let other = pod_token(&world.partners, |_| {});
    assert_eq!(send(&world, "/pods/x", &other).status, 200);
    // The token stays with Envoy: neither the app nor a log has it.
    assert!(!world.log().contains("of-pod"), "{}", world.log());
    assert!(world.upstream.seen().iter().all(|seen| !seen.digest().contains("of-pod")));
}

#[test]
fn without_a_token_that_the_api_server_accepts_every_request_is_refused_and_the_log_says_why() {
    let partners = Issuer::another();
    let server = ApiServer::start(partners.jwks().to_string(), &[]);
    let (issuer, jwks_uri) = (partners.url(), format!("http://127.0.0.1:{}/openid/v1/jwks", server.port));
    let world =
        World::among(Issuer::start(), partners, |setup| configure(&mut setup.configuration, &issuer, &jwks_uri));
    let refused = send(&world, "/pods/x", &pod_token(&world.partners, |_| {}));
    assert_eq!((refused.status, refused.code().as_deref()), (503, Some("provider_not_ready")), "{refused:?}");
    assert!(world.log().contains("403"), "{}", world.log());
    world.upstream.assert_saw_nothing();
    // Sign-ins of users still work.
    world.signed_in();
}
