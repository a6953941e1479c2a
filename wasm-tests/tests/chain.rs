//! Envoy's own filters behind ours: `jwt_authn` verifies the token that we hand on, `rbac` decides by its claims and by
//! our filter state, and routes tell the app what stands there. Istio makes this chain of a WasmPlugin in the phase
//! AUTHN, a RequestAuthentication and an AuthorizationPolicy.

use serde_json::{Value, json};
use url::Url;
use wasm_tests::{
    http1::Response,
    issuer::{CLIENT_ID, Endpoint, IdToken, Issuer, RefreshTokens},
    keys::sha256,
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{PUBLIC, World, assert_sign_in, assert_signed_in},
};

const API: &str = "https://api.example.com";
const LISTED: &str = "vst_canary-0123456789abcdef0123456789abcdef";

/// Tokens of the issuer for this audience, verified by Envoy.
fn provider(issuer: &Issuer, audience: &str) -> Value {
    json!({
        "issuer": issuer.url(),
        "audiences": [audience],
        "remote_jwks": {
            "http_uri": {"uri": format!("{}{}", issuer.url(), Endpoint::Jwks.path()), "cluster": "jwks", "timeout": "10s"},
            "cache_duration": {"seconds": 600},
        },
        "forward": true,
        // The token is not read from the query, which the client controls.
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "payload_in_metadata": "claims",
    })
}

fn jwt_authn(issuer: &Issuer) -> Value {
    let needs = |prefix: &str, name: &str| json!({"match": {"prefix": prefix}, "requires": {"provider_name": name}});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"people": provider(issuer, CLIENT_ID), "programs": provider(issuer, API)},
            "rules": [{"match": {"prefix": "/public"}}, needs("/api", "programs"), needs("/", "people")],
        },
    })
}

fn rbac() -> Value {
    let claim = |name: &str, value: &str| {
        json!({"metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "claims"}, {"key": name}],
            "value": {"or_match": {"value_matchers": [
                {"string_match": {"exact": value}},
                {"list_match": {"one_of": {"string_match": {"exact": value}}}},
            ]}},
        }})
    };
    let state = |key: &str, value: &str| json!({"filter_state": {"key": key, "string_match": {"exact": value}}});
    let policy = |prefix: &str, principal: Value| {
        let path = json!({"url_path": {"path": {"prefix": prefix}}});
        json!({"permissions": [path], "principals": [principal]})
    };
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {
                "public": policy("/public", json!({"any": true})),
                "people": policy("/people", json!({"any": true})),
                "admins": policy("/admin", claim("groups", "admins")),
                "tenant": policy("/tenant", state("wasm.tenant", "acme")),
                "rule": policy("/ruled", state("wasm.vestibule_rule", "ruled")),
                "programs": policy("/api", claim("client_id", "robot")),
            }},
        },
    })
}

fn world() -> World {
    let issuer = Issuer::start();
    let behind = vec![jwt_authn(&issuer), rbac()];
    let port = Url::parse(&issuer.url()).expect("a URL").port().expect("a port");
    let digest: String = sha256(LISTED.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let world = World::around(issuer, |setup| {
        setup.clusters.push(("jwks".to_owned(), port));
        setup.filters_behind = behind;
        let seen = |name: &str, key: &str| {
            let value = format!("%FILTER_STATE({key}:PLAIN)%");
            json!({"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
        };
        let routes = json!({"virtual_hosts": [{
            "name": "app",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
            "request_headers_to_add": [seen("x-tenant", "wasm.tenant"), seen("x-rule", "wasm.vestibule_rule")],
        }]});
        setup.connection_manager.insert("route_config".to_owned(), routes);
        let document = &mut setup.configuration;
        document["authorization"] = json!("id_token");
        document["filter_state"] = json!({"claims": {"tenant": "/org/id"}, "rule": true});
        document["providers"][0]["access_token_audiences"] = json!([API]);
        document["static_tokens"] = json!([{"name": "ci", "sha256": digest}]);
        document["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/api", "access": "bearer", "authorization": "access_token"},
            {"name": "ruled", "prefix": "/ruled", "access": "required"},
        ]);
    });
    world.until_ready();
    world
}

/// A browser with a session of a user of this tenant and these groups.
fn sign_in_with(world: &World, tenant: &str, groups: &[&str]) -> UserAgent {
    world.issuer.sign_in_as(json!({"sub": "alice", "org": {"id": tenant}, "groups": groups}));
    world.signed_in().0
}

#[track_caller]
fn assert_passes(world: &World, response: &Response, token: &str) {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
    let authorization = format!("Bearer {token}");
    assert_eq!(world.upstream.last().headers.all("authorization"), [authorization.as_bytes()]);
}

/// Checks that a filter behind ours has refused it, and that the next request is served.
#[track_caller]
fn assert_refused_behind(world: &World, response: &Response, status: u16, before: usize) {
    assert_eq!((response.status, response.code()), (status, None), "{response:?}\n{}", world.log());
    world.upstream.assert_saw_nothing_since(before, "refused behind us");
    world.assert_serves();
}

fn newest(tokens: Vec<String>) -> String {
    tokens.last().expect("a token").clone()
}

#[test]
fn envoys_filters_decide_by_forwarded_tokens_and_filter_state() {
    let world = world();
    let admin = sign_in_with(&world, "acme", &["staff", "admins"]);
    let token = newest(world.issuer.id_tokens());
    for path in ["/people", "/admin", "/tenant", "/ruled"] {
        assert_passes(&world, &admin.get(&world.url(path)), &token);
        assert_eq!(world.upstream.last().headers.all("x-tenant"), [b"acme"], "{path}");
        let rule = (path == "/ruled").then(|| "ruled".to_owned());
        assert_eq!(world.upstream.last().headers.text("x-rule"), rule, "{path}");
    }
    let other = sign_in_with(&world, "other", &["staff"]);
    let token = newest(world.issuer.id_tokens());
    assert_passes(&world, &other.get(&world.url("/people")), &token);
    for path in ["/admin", "/tenant", "/nowhere"] {
        let before = world.upstream.count();
        assert_refused_behind(&world, &other.get(&world.url(path)), 403, before);
    }
    // The session of the first user is unchanged.
    assert_eq!(admin.get(&world.url("/admin")).status, 200);
}

#[test]
fn a_client_cannot_forge_a_session_with_tokens_or_headers() {
    let world = world();
    let visitor = world.browser();
    let foreign = newest({
        sign_in_with(&world, "acme", &["admins"]);
        world.issuer.id_tokens()
    });
    let before = world.upstream.count();
    for path in ["/people", "/admin", "/tenant"] {
        assert_sign_in(&visitor.get(&world.url(path)), &world);
        // The session's token is no token for programs.
        let with_id_token = Outgoing::new("GET", path).header("authorization", format!("Bearer {foreign}"));
        let response = world.send(&with_id_token).expect("an answer");
        assert_eq!((response.status, response.code().as_deref()), (401, Some("invalid_token")), "{response:?}");
        let forged = Outgoing::new("GET", path).header("authorization", "Basic bWU6bWU=").header("wasm.tenant", "acme");
        assert_eq!(world.send(&forged).expect("an answer").status, 401);
        let in_query = Outgoing::new("GET", format!("{path}?access_token={foreign}"));
        assert_eq!(world.send(&in_query).expect("an answer").status, 401);
    }
    world.upstream.assert_saw_nothing_since(before, "no session");
    // A session beside it: its own token counts, whatever stands in the header or in the query.
    let other = sign_in_with(&world, "other", &["staff"]);
    let own = newest(world.issuer.id_tokens());
    let send = |path: &str| {
        let send =
            Outgoing::navigation(path).header("authorization", "Basic bWU6bWU=").header("authorization", "Basic x");
        other.visit(&world.url(path), send)
    };
    assert_passes(&world, &send("/people"), &own);
    // Naming Authorization in the Connection header does not remove it (RFC 9110, 7.6.1).
    let named = Outgoing::navigation("/people").header("connection", "close, authorization");
    assert_passes(&world, &other.visit(&world.url("/people"), named), &own);
    assert_passes(&world, &send(&format!("/people?access_token={foreign}")), &own);
    let before = world.upstream.count();
    assert_refused_behind(&world, &send(&format!("/admin?access_token={foreign}")), 403, before);
    // On a public path the app sees no token and no filter state.
    let public = Outgoing::new("GET", PUBLIC).header("authorization", format!("Bearer {foreign}"));
    assert_eq!(world.send(&public).expect("an answer").status, 200);
    let seen = world.upstream.last();
    assert!(!seen.headers.has("authorization") && !seen.headers.has("x-tenant"), "{seen:?}");
}

#[test]
fn envoy_receives_access_tokens_but_no_static_tokens() {
    let world = world();
    let with = |path: &str, token: &str| {
        let request = Outgoing::new("GET", path).header("authorization", format!("Bearer {token}"));
        world.send(&request).expect("an answer")
    };
    let token = world.issuer.access_token(API, |token: &mut IdToken| token.set("org", json!({"id": "acme"})));
    assert_passes(&world, &with("/api/x", &token), &token);
    assert_eq!(world.upstream.last().headers.all("x-tenant"), [b"acme"]);
    let other = world.issuer.access_token(API, |token: &mut IdToken| token.set("client_id", "other"));
    for (path, token, status) in [("/api/x", other.as_str(), 403), ("/api/x", LISTED, 401), ("/people", &token, 401)] {
        let before = world.upstream.count();
        assert_refused_behind(&world, &with(path, token), status, before);
    }
}

#[test]
fn an_expired_token_is_not_forwarded_and_a_renewed_one_is() {
    for renews in [true, false] {
        let world = world();
        let refresh_tokens = if renews { RefreshTokens::Always } else { RefreshTokens::Never };
        world.issuer.terms(|terms| terms.refresh_tokens = refresh_tokens);
        let browser = sign_in_with(&world, "acme", &["admins"]);
        let first = newest(world.issuer.id_tokens());
        world.advance(3570);
        let response = browser.get(&world.url("/admin"));
        let token = newest(world.issuer.id_tokens());
        assert_eq!(token != first, renews);
        assert_passes(&world, &response, &token);
        world.advance(100);
        let before = world.upstream.count();
        let response = browser.get(&world.url("/admin"));
        if renews {
            assert_passes(&world, &response, &token);
        } else {
            assert_refused_behind(&world, &response, 401, before);
            assert_eq!(response.text(), "Jwt is missing");
        }
        // A new sign-in has a new one.
        let callback =
            world.answer(&browser, &assert_sign_in(&browser.get(&world.url("/oauth2/start?rd=/admin")), &world));
        assert_signed_in(&browser.get(&callback), &world.url("/admin"));
        assert_passes(&world, &browser.get(&world.url("/admin")), &newest(world.issuer.id_tokens()));
    }
}
