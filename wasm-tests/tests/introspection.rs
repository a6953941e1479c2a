//! Opaque tokens of the real provider, which is asked about each.

use std::thread;

use serde_json::json;
use wasm_tests::{
    clock::Clock,
    http1::Response,
    process::until_everywhere,
    site::Site,
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
};

const ROBOT: (&str, &str) = ("robot", "canary-of-the-robot");
const GATE: (&str, &str) = ("gate", "canary: of the gate");

/// A site that goes by this clock, whose provider is asked about tokens by a client of its own, and that remembers so long
/// what it says.
fn site(clock: &Clock, cache_seconds: u64) -> Site {
    let site = Site::with(|plan| {
        plan.setup.clock = Some(clock.clone());
        let program = |(id, secret): (&str, &str), method: &str| {
            json!({
                "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"], "redirect_uris": [],
                "response_types": [], "token_endpoint_auth_method": method, "scope": "email groups",
            })
        };
        plan.provider.clients.extend([program(ROBOT, "client_secret_post"), program(GATE, "client_secret_basic")]);
        let configuration = &mut plan.setup.configuration;
        configuration["token_issuers"] = json!([{
            "issuer": format!("http://127.0.0.1:{}", plan.provider.port),
            "introspection": {"client_id": GATE.0, "client_secret": GATE.1, "cache_seconds": cache_seconds},
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
    let token = site.provider.token_of_program(ROBOT.0, ROBOT.1, scope);
    assert!(!token.contains('.'), "it is opaque: {token}");
    token
}

fn bring(site: &Site, path: &str, token: &str) -> Response {
    let send = Outgoing::new("GET", path).header("authorization", format!("Bearer {token}"));
    UserAgent::default().send(&site.url(path), &send).expect("an answer")
}

#[track_caller]
fn assert_passes(site: &Site, path: &str, token: &str) {
    let response = bring(site, path, token);
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", site.envoy.log());
    let seen = site.app.last();
    // The provider names no subject for a program that acts for itself.
    assert_eq!(
        (seen.headers.text("x-forwarded-user").as_deref(), seen.headers.text("x-client").as_deref()),
        (Some(ROBOT.0), Some(ROBOT.0))
    );
}

#[track_caller]
fn assert_refused(site: &Site, path: &str, token: &str, told: (u16, &str)) {
    let before = site.app.count();
    let response = bring(site, path, token);
    assert_eq!((response.status, response.code().as_deref()), (told.0, Some(told.1)), "{response:?}");
    site.app.assert_saw_nothing_since(before, told.1);
    // The worker serves on.
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200);
}

fn asked(site: &Site) -> u64 {
    site.provider.seen("/token/introspection")
}

#[test]
fn opaque_tokens_pass_by_what_the_provider_says_of_them() {
    let site = site(&Clock::new(), 60);
    let good = token(&site, "groups");
    for path in ["/groups", "/page", "/staff"] {
        assert_passes(&site, path, &good);
    }
    assert_refused(&site, "/others", &good, (403, "not_allowed"));
    assert_refused(&site, "/groups", &token(&site, "email"), (403, "insufficient_scope"));
    assert_refused(&site, "/groups", "made-up", (401, "invalid_token"));
    // Each worker asks once about each token, whatever becomes of it.
    let before = asked(&site);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(bring(&site, "/groups", &good).status, 200);
                    assert_eq!(bring(&site, "/groups", "made-up").status, 401);
                }
            });
        }
    });
    // Those that come at once are asked about at once: until a worker has its first answer, each of the eight has asked it
    // once about each of the two at most.
    assert!(asked(&site) - before <= 32, "{} of 160 were asked about", asked(&site) - before);
    let log = site.envoy.log() + &site.envoy.access_log();
    for secret in [good.as_str(), GATE.1, ROBOT.1, "made-up"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[test]
fn what_is_remembered_ends_and_a_revoked_token_with_it() {
    let clock = Clock::new();
    let site = site(&clock, 60);
    let good = token(&site, "groups");
    clock.stop();
    // Each worker remembers it by itself.
    let everywhere = |what: &str, status: u16| {
        for _ in 0..24 {
            assert_eq!(bring(&site, "/groups", &good).status, status, "{what}");
        }
    };
    everywhere("a good token", 200);
    site.provider.forget_everybody();
    clock.set(59);
    everywhere("what is remembered", 200);
    clock.set(60);
    everywhere("what is not remembered any more", 401);
    clock.go_on();
    assert_refused(&site, "/groups", &good, (401, "invalid_token"));
    assert_passes(&site, "/groups", &token(&site, "groups"));
}

#[test]
fn while_the_provider_is_down_nobody_passes_on_a_guess() {
    let site = site(&Clock::new(), 0);
    let good = token(&site, "groups");
    assert_passes(&site, "/groups", &good);
    site.provider.down();
    for path in ["/groups", "/page"] {
        assert_refused(&site, path, &good, (503, "introspection_unavailable"));
    }
    site.provider.up();
    until_everywhere("a provider that answers", || bring(&site, "/groups", &good).status == 200);
    assert_passes(&site, "/groups", &good);
}
