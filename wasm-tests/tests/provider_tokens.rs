//! Access tokens of the real provider: JWTs, which the filter verifies, and opaque tokens, which it asks the introspection
//! endpoint about (RFC 7662).

use std::thread;

use serde_json::{Value, json};
use wasm_tests::{
    api_client::{API, STATIC_TOKEN, accept_tokens, with_token},
    clock::Clock,
    http1::Response,
    keys,
    process::until_everywhere,
    provider::{CODE_CHALLENGE, client, code_grant},
    site::{ALICE, Site},
    upstream::MARK,
    user_agent::UserAgent,
    world::parameter,
};

const ROBOT: (&str, &str) = ("robot", "canary-of-the-robot");
const GATE: (&str, &str) = ("gate", "canary: of the gate");

/// A site with this clock, which introspects tokens as a client of its own and caches the responses for this long.
fn site(clock: &Clock, cache_seconds: u64) -> Site {
    site_where(clock, cache_seconds, |_, _| {})
}

/// [`site`] with this change of the client that introspects, at the provider and in the filter.
fn site_where(clock: &Clock, cache_seconds: u64, change: impl FnOnce(&mut Value, &mut Value)) -> Site {
    let site = Site::with(|plan| {
        plan.setup.clock = Some(clock.clone());
        let program = |(id, secret): (&str, &str), method: &str| {
            json!({
                "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"], "redirect_uris": [],
                "response_types": [], "token_endpoint_auth_method": method, "scope": "email groups",
            })
        };
        let mut gate = program(GATE, "client_secret_basic");
        let mut settings = json!({"client_id": GATE.0, "client_secret": GATE.1, "cache_seconds": cache_seconds});
        change(&mut gate, &mut settings);
        plan.provider.clients.extend([program(ROBOT, "client_secret_post"), gate]);
        let configuration = &mut plan.setup.configuration;
        configuration["token_issuers"] = json!([{
            "issuer": format!("http://127.0.0.1:{}", plan.provider.port), "introspection": settings,
        }]);
        configuration["identity_headers"] = json!({"x-forwarded-user": "sub", "x-client": "client_id"});
        configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"path": "/groups", "access": "bearer", "scopes": ["groups"]},
            {"path": "/staff", "access": "required", "providers": ["default"]},
            {"path": "/others", "access": "bearer", "allow": {"claims": {"client_id": ["others"]}}},
        ]);
    });
    site.until_ready();
    site
}

/// An opaque token of the robot's.
fn token(site: &Site, scope: &str) -> String {
    let token = site.provider.client_credentials_token(ROBOT.0, ROBOT.1, scope);
    assert!(!token.contains('.'), "it is opaque: {token}");
    token
}

fn send(site: &Site, path: &str, token: &str) -> Response {
    UserAgent::default().send(&site.url(path), &with_token(path, token)).expect("an answer")
}

#[track_caller]
fn assert_passes(site: &Site, path: &str, token: &str) {
    let response = send(site, path, token);
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", site.envoy.log());
    let seen = site.app.last();
    // The provider names no subject for a program that acts for itself.
    assert_eq!(
        (seen.headers.text("x-forwarded-user").as_deref(), seen.headers.text("x-client").as_deref()),
        (Some(ROBOT.0), Some(ROBOT.0))
    );
}

#[track_caller]
fn assert_refused(site: &Site, path: &str, token: &str, expected: (u16, &str)) {
    let before = site.app.count();
    let response = send(site, path, token);
    assert_eq!((response.status, response.code().as_deref()), (expected.0, Some(expected.1)), "{response:?}");
    site.app.assert_saw_nothing_since(before, expected.1);
    // The worker still serves.
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200);
}

fn introspections(site: &Site) -> u64 {
    site.provider.seen("/token/introspection")
}

#[test]
fn the_introspection_response_decides_on_opaque_tokens() {
    let site = site(&Clock::new(), 60);
    let good = token(&site, "groups");
    for path in ["/groups", "/page", "/staff"] {
        assert_passes(&site, path, &good);
    }
    assert_refused(&site, "/others", &good, (403, "not_allowed"));
    assert_refused(&site, "/groups", &token(&site, "email"), (403, "insufficient_scope"));
    assert_refused(&site, "/groups", "made-up", (401, "invalid_token"));
    // Each worker asks once about each token, active or not.
    let before = introspections(&site);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(send(&site, "/groups", &good).status, 200);
                    assert_eq!(send(&site, "/groups", "made-up").status, 401);
                }
            });
        }
    });
    // Concurrent requests share no introspection call: until the first response is cached, each of the eight threads
    // causes at most one call per worker and token.
    assert!(introspections(&site) - before <= 32, "{} of 160 were asked about", introspections(&site) - before);
    let log = site.envoy.log() + &site.envoy.access_log();
    for secret in [good.as_str(), GATE.1, ROBOT.1, "made-up"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[test]
fn the_introspecting_client_authenticates_by_an_assertion() {
    let (key, clock) = (&keys::of_clients()[1], Clock::new());
    let by_key = site_where(&clock, 60, |gate, settings| {
        let mut public = key.clone();
        public.as_object_mut().expect("an object").remove("d");
        gate["token_endpoint_auth_method"] = json!("private_key_jwt");
        gate["jwks"] = json!({"keys": [public]});
        gate.as_object_mut().expect("an object").remove("client_secret");
        settings["client_key"] = json!({"private_key": key.to_string()});
        settings.as_object_mut().expect("an object").remove("client_secret");
    });
    let by_secret = site_where(&clock, 60, |gate, settings| {
        gate["token_endpoint_auth_method"] = json!("client_secret_jwt");
        settings["token_endpoint_auth_method"] = json!("client_secret_jwt");
    });
    for site in [by_key, by_secret] {
        assert_passes(&site, "/groups", &token(&site, "groups"));
        assert_refused(&site, "/groups", "made-up", (401, "invalid_token"));
        assert!(introspections(&site) >= 2, "{}", site.provider.log());
    }
}

#[test]
fn a_cached_introspection_response_expires_and_a_revoked_token_with_it() {
    let clock = Clock::new();
    let site = site(&clock, 60);
    let good = token(&site, "groups");
    clock.stop();
    // Each worker has its own cache.
    let everywhere = |what: &str, status: u16| {
        for _ in 0..24 {
            assert_eq!(send(&site, "/groups", &good).status, status, "{what}");
        }
    };
    everywhere("a good token", 200);
    site.provider.forget_everybody();
    clock.set(59);
    everywhere("cached", 200);
    clock.set(60);
    everywhere("no longer cached", 401);
    clock.go_on();
    assert_refused(&site, "/groups", &good, (401, "invalid_token"));
    assert_passes(&site, "/groups", &token(&site, "groups"));
}

#[test]
fn while_the_provider_is_down_opaque_tokens_are_refused_as_unavailable() {
    let site = site(&Clock::new(), 0);
    let good = token(&site, "groups");
    assert_passes(&site, "/groups", &good);
    site.provider.down();
    for path in ["/groups", "/page"] {
        assert_refused(&site, path, &good, (503, "introspection_unavailable"));
    }
    site.provider.up();
    until_everywhere("a provider that answers", || send(&site, "/groups", &good).status == 200);
    assert_passes(&site, "/groups", &good);
}

/// Asks the real provider for tokens, as a client that has its secret in the form.
fn token_response(site: &Site, client: &str, fields: &[(&str, &str)]) -> Value {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("client_id", client), ("client_secret", "canary-of-the-robot")]).extend_pairs(fields);
    let answer = minreq::post(format!("{}/token", site.provider.issuer()))
        .with_header("content-type", "application/x-www-form-urlencoded")
        .with_body(form.finish())
        .send()
        .expect("an answer");
    let body: Value = serde_json::from_slice(answer.as_bytes()).expect("JSON");
    assert_eq!(answer.status_code, 200, "{body}\n{}", site.provider.log());
    body
}

#[test]
fn access_tokens_of_api_clients_pass_and_id_tokens_of_users_do_not() {
    let site = Site::with(|plan| {
        let robot = json!({
            "client_id": "robot", "client_secret": "canary-of-the-robot", "grant_types": ["client_credentials"],
            "redirect_uris": [], "response_types": [], "token_endpoint_auth_method": "client_secret_post",
        });
        // The worst case: a client that has the audience of the access tokens as its identifier.
        let mut other = client(API, "canary-of-the-robot", &format!("{}/public", plan.origin));
        other["token_endpoint_auth_method"] = json!("client_secret_post");
        plan.provider.clients.extend([robot, other]);
        plan.provider.always_refresh_tokens = true;
        accept_tokens(&mut plan.setup.configuration);
    });
    let robot = |scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("resource", API), ("scope", scope)];
        token_response(&site, "robot", &fields)["access_token"].as_str().expect("a token").to_owned()
    };
    let send = |path: &str, token: &str| {
        UserAgent::default().send(&site.url(path), &with_token(path, token)).expect("an answer")
    };
    let passes = |path: &str, token: &str, user: &str| {
        let response = send(path, token);
        assert_eq!(response.status, 200, "{response:?}\n{}", site.envoy.log());
        assert_eq!(site.app.last().headers.all("x-forwarded-user"), [user.as_bytes()]);
    };
    let refused = |path: &str, token: &str, expected: (u16, &str)| {
        let before = site.app.count();
        let response = send(path, token);
        assert_eq!((response.status, response.code().as_deref()), (expected.0, Some(expected.1)), "{response:?}");
        site.app.assert_saw_nothing_since(before, expected.1);
    };
    let token = robot("read write");
    for path in ["/api/write", "/api/write", "/page", "/optional/x"] {
        passes(path, &token, "robot");
    }
    refused("/api/write", &robot("read"), (403, "insufficient_scope"));
    passes("/api/x", STATIC_TOKEN, "ci");

    let browser = UserAgent::default();
    let _ = site.sign_in_as(ALICE, &browser, "/page");
    let redirect_uri = site.url("/public/oauth2/callback");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", API),
            ("response_type", "code"),
            ("redirect_uri", &redirect_uri),
            ("scope", "openid email groups"),
            ("code_challenge", CODE_CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let (callback, _) =
        browser.follow(&format!("{}/auth?{query}", site.provider.issuer())).pop().expect("a first step");
    let code = parameter(&callback, "code");
    let fields = code_grant(&code, &redirect_uri);
    let first = token_response(&site, API, &fields);
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", first["refresh_token"].as_str().expect("a token"))];
    let second = token_response(&site, API, &refresh);
    for answer in [&first, &second] {
        refused("/api/x", answer["id_token"].as_str().expect("an ID token"), (401, "invalid_token"));
        // The same for its opaque access tokens and refresh tokens.
        refused("/api/x", answer["access_token"].as_str().expect("an access token"), (401, "invalid_token"));
        refused("/api/x", answer["refresh_token"].as_str().expect("a refresh token"), (401, "invalid_token"));
    }
    assert!(site.envoy.log().contains("it is no access token"), "{}", site.envoy.log());

    site.provider.add_keys();
    passes("/api/write", &robot("read write"), "robot");
    passes("/api/write", &token, "robot");
    site.provider.retire_keys();
    let page = browser.get(&site.url("/page"));
    assert_eq!(page.status, 200, "{page:?}");
}
