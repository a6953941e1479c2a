//! API clients: requests with bearer tokens, and checks of the answers.

use serde_json::{Value, json};

use crate::{http1::Response, keys::sha256, upstream::MARK, user_agent::Outgoing, world::World};

/// The audience of the access tokens.
pub const API: &str = "https://api.example.com";
/// A static token of the configuration.
pub const STATIC_TOKEN: &str = "vst_canary-0123456789abcdef0123456789abcdef";
/// Another one, which has expired.
pub const OLD_STATIC_TOKEN: &str = "over-for-long";

/// A world that accepts static tokens and access tokens.
pub fn world() -> World {
    let world = World::with(accept_tokens);
    world.until_ready();
    world
}

/// Accepts static tokens and access tokens, by rules of every kind.
pub fn accept_tokens(document: &mut Value) {
    document["providers"][0]["access_token_audiences"] = json!([API]);
    document["static_tokens"] = json!([
        {"name": "ci", "sha256": digest(STATIC_TOKEN), "claims": {"groups": ["machines"], "scp": ["read", "write"]}},
        {"name": "old", "sha256": digest(OLD_STATIC_TOKEN), "expires_at": 1_000_000_000},
    ]);
    document["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/optional", "access": "optional"},
        {"path": "/api/write", "access": "bearer", "scopes": ["write", "read"]},
        {"path": "/api/machines", "access": "bearer", "allow": {"groups": ["machines"]}, "name": "machines"},
        {"prefix": "/api", "access": "bearer"},
        {"path": "/closed", "access": "deny"},
    ]);
}

/// The SHA-256 of a static token, in hexadecimal as the configuration takes it.
pub fn digest(token: &str) -> String {
    sha256(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request with this bearer token.
pub fn with_token(path: &str, token: &str) -> Outgoing {
    Outgoing::new("GET", path).header("authorization", format!("Bearer {token}"))
}

/// Checks that a request passes, and that the app receives this user.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn assert_passes(world: &World, request: &Outgoing, user: &str) {
    let response = world.send(request).unwrap_or_else(|| panic!("no answer to {user}"));
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [user.as_bytes()]);
}

/// Checks that a request is refused with this status, code and challenge (RFC 6750, 3), and that a valid one on the same
/// connection, and so in the same worker, passes after it.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_refused(world: &World, request: &Outgoing, status: u16, code: &str, challenge: Option<&str>) {
    let before = world.upstream.count();
    let normal = with_token("/api/x", STATIC_TOKEN);
    // Envoy closes the connection after a 400; then every worker must pass it.
    let responses = if status == 400 {
        let mut responses = world.in_a_row(std::slice::from_ref(request));
        responses.extend((0..10).map(|_| world.send(&normal).expect("an answer")));
        responses
    } else {
        world.in_a_row(&[request.clone(), normal])
    };
    let (refused, passed) = responses.split_first().expect("an answer");
    assert_eq!((refused.status, refused.code().as_deref()), (status, Some(code)), "{refused:?}\n{}", world.log());
    let expected = challenge.map(|rest| format!("Bearer realm=\"{}\"{rest}", world.url("")));
    assert_eq!(refused.headers.text("www-authenticate"), expected, "{refused:?}");
    assert_eq!(refused.location(), None);
    assert_eq!(refused.set_cookies(), [""; 0]);
    assert_eq!(refused.headers.text("content-type").as_deref(), Some("application/json"), "{refused:?}");
    let has_passed = |response: &Response| response.status == 200 && response.headers.has(MARK);
    assert!(passed.iter().all(has_passed), "{passed:?}");
    world.upstream.assert_saw_nothing_since(before + passed.len(), code);
    assert!(world.upstream.seen().iter().skip(before).all(|seen| seen.headers.all("x-forwarded-user") == [b"ci"]));
}

/// Checks that a token is refused as invalid (RFC 6750, 3.1), and that a valid one passes after it.
#[track_caller]
pub fn assert_invalid_token(world: &World, token: &str) {
    assert_refused(world, &with_token("/api/x", token), 401, "invalid_token", Some(", error=\"invalid_token\""));
}

/// Checks that a token is refused as invalid by the worker that comes first.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_invalid_token_at_once(world: &World, token: &str) {
    let response = world.send(&with_token("/api/x", token)).expect("an answer");
    assert_eq!((response.status, response.code().as_deref()), (401, Some("invalid_token")), "{response:?}");
}
