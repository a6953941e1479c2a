//! Security events that the provider pushes end sessions; each refusal leaves the session as it is.

use serde_json::json;
use wasm_tests::{
    issuer::{Endpoint, IdToken, Issuer, Signing},
    keys::Algorithm,
    logout::assert_passes,
    security_events::{SESSION_REVOKED, accept_events, assert_refused, assert_taken, revoked},
    user_agent::{Outgoing, UserAgent},
    world::{SECURITY_EVENTS, World, assert_unauthenticated},
};

fn world() -> World {
    World::around(Issuer::start(), |setup| {
        accept_events(setup, json!({}));
        setup.configuration["providers"][0]["id_token_signing_algs"] = json!(["RS256"]);
    })
}

#[test]
fn a_revoked_session_ends_in_every_worker_and_for_its_user_alone() {
    let world = world();
    let (browser, session) = world.signed_in();
    let (other, _) = world.signed_in();
    world.issuer.sign_in_as(json!({"sub": "bob"}));
    let (bob, _) = world.signed_in();
    world.advance(1);
    let before = world.upstream.count();
    let event = revoked(&world.issuer, "alice", |_| {});
    assert_taken(&world.push_event(0, &event), "the base case");
    world.upstream.assert_saw_nothing_since(before, "a security event");
    world.assert_ended(&browser, "revoked");
    world.assert_ended(&other, "revoked");
    let copy = Outgoing::fetch("/api").header("cookie", format!("__Host-vestibule={session}"));
    assert_unauthenticated(&world.send(&copy).expect("an answer"), "a copy");
    assert_passes(&world, &bob, "another user");
    assert_eq!(world.metric("security_events"), 1);

    // A new sign-in is good, and the token that is sent again ends it not.
    world.issuer.sign_in_as(json!({"sub": "alice"}));
    world.advance(1);
    let (browser, _) = world.signed_in();
    world.advance(1);
    for _ in 0..4 {
        assert_taken(&world.push_event(0, &event), "again");
    }
    assert_passes(&world, &browser, "again");

    // One session by its `sid`; signed with a key that is fetched now.
    let sid = world.issuer.sids().pop().expect("a session");
    let (second, _) = world.signed_in();
    world.issuer.rotate();
    let event = revoked(&world.issuer, "alice", |token| {
        token.set(
            "sub_id",
            json!({
                "format": "complex",
                "session": {"format": "opaque", "id": sid},
                "user": {"format": "iss_sub", "iss": token.text("iss"), "sub": "alice"},
            }),
        );
    });
    assert_taken(&world.push_event(0, &event), "one session");
    world.assert_ended(&browser, "one session");
    assert_passes(&world, &second, "the other session");

    // Events that end nothing are taken.
    for (what, events, sub_id) in [
        ("verification", "ssf/event-type/verification", json!({"format": "opaque", "id": "alice"})),
        ("an address", "caep/event-type/session-revoked", json!({"format": "email", "email": "alice@example.com"})),
    ] {
        let event = revoked(&world.issuer, "alice", |token| {
            token.set("events", json!({format!("https://schemas.openid.net/secevent/{events}"): {}}));
            token.set("sub_id", sub_id);
        });
        assert_taken(&world.push_event(0, &event), what);
        assert_passes(&world, &second, what);
    }
    assert_eq!(world.metric("left_out_security_events"), 2);
}

#[test]
fn an_invalid_token_ends_no_session() {
    let world = world();
    let (browser, _) = world.signed_in();
    type Change = fn(&mut IdToken);
    let cases: [(&str, &str, Change); 18] = [
        ("alg none", "invalid_request", |token| token.signing = Signing::None),
        ("another alg", "invalid_key", |token| token.signing = Signing::Published(Algorithm::Es256)),
        ("a client secret for a key", "invalid_request", |token| {
            token.signing = Signing::Hmac(b"canary-client-secret:/+%& =".to_vec());
        }),
        ("another key", "invalid_key", |token| token.signing = Signing::Unpublished),
        ("another iss", "invalid_issuer", |token| token.set("iss", "https://evil.example")),
        ("iss with a slash", "invalid_issuer", |token| token.set("iss", format!("{}/", token.text("iss")))),
        ("no iss", "invalid_request", |token| token.remove("iss")),
        ("another aud", "invalid_audience", |token| token.set("aud", "another-client")),
        ("no aud", "invalid_audience", |token| token.remove("aud")),
        ("no iat", "invalid_request", |token| token.remove("iat")),
        ("a day old", "invalid_request", |token| token.set("iat", token.issued_at() - 24 * 60 * 60)),
        ("issued in the future", "invalid_request", |token| token.set("iat", token.issued_at() + 600)),
        ("no jti", "invalid_request", |token| token.remove("jti")),
        ("no events", "invalid_request", |token| token.remove("events")),
        ("an event that is no object", "invalid_request", |token| token.set("events", json!({SESSION_REVOKED: true}))),
        ("a logout token", "invalid_request", |token| {
            token.header.insert("typ".to_owned(), json!("logout+jwt"));
        }),
        ("claims twice", "invalid_request", |token| token.raw_claims = Some(token.with_members("\"jti\":\"other\""))),
        ("cut short", "invalid_key", |token| token.finish = |compact| compact[..compact.len() - 10].to_owned()),
    ];
    for (what, err, change) in cases {
        let before = world.upstream.count();
        assert_refused(&world.push_event(0, &revoked(&world.issuer, "alice", change)), err, what);
        world.upstream.assert_saw_nothing_since(before, what);
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
    }
    let id_token = world.issuer.id_tokens().swap_remove(0);
    assert_refused(&world.push_event(0, &id_token), "invalid_request", "an ID token");
    // The right token, in another form than RFC 8935 has it.
    let event = revoked(&world.issuer, "alice", |_| {});
    let provider = UserAgent::default();
    for (what, push, status) in [
        ("a form", Outgoing::form(SECURITY_EVENTS, &[("token", &event)]), 400),
        ("JSON", Outgoing::new("POST", SECURITY_EVENTS).header("content-type", "application/json").body(&event), 400),
        ("GET", Outgoing::new("GET", SECURITY_EVENTS), 405),
    ] {
        let response = provider.send(&world.url_at(0, SECURITY_EVENTS), &push).expect("an answer");
        assert_eq!(response.status, status, "{what}: {response:?}");
    }
    assert_passes(&world, &browser, "another form");
    assert_eq!(world.metric("security_events"), 0);
    assert_taken(&world.push_event(0, &event), "the same token as it must be");
    world.assert_ended(&browser, "the same token as it must be");
}

#[test]
fn a_separate_transmitter_ends_sessions_of_its_provider() {
    let partners = Issuer::another();
    let own = json!({
        "issuer": partners.url(), "audience": "stream", "jwks_uri": format!("{}{}", partners.url(), Endpoint::Jwks.path()),
    });
    let world = World::among(Issuer::start(), partners, |setup| accept_events(setup, own));
    world.until_ready();
    let (browser, _) = world.signed_in();
    let partners = &world.partners;
    let to_stream = |token: &mut IdToken| token.set("aud", "stream");
    let by_provider = revoked(&world.issuer, "alice", |token| {
        token.set("iss", partners.url());
        to_stream(token);
    });
    for (what, event, err) in [
        ("the provider itself", revoked(&world.issuer, "alice", to_stream), "invalid_issuer"),
        ("signed by the provider", by_provider, "invalid_key"),
        ("for the client", revoked(partners, "alice", |_| {}), "invalid_audience"),
    ] {
        let before = world.upstream.count();
        assert_refused(&world.push_event(0, &event), err, what);
        world.upstream.assert_saw_nothing_since(before, what);
        assert_passes(&world, &browser, what);
    }
    assert_taken(&world.push_event(0, &revoked(partners, "alice", to_stream)), "the transmitter");
    world.assert_ended(&browser, "the transmitter");
}

#[test]
fn security_events_have_no_endpoint_unless_configured() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    let response = world.push_event(0, &revoked(&world.issuer, "alice", |_| {}));
    assert_eq!((response.status, response.code().as_deref()), (404, Some("reserved_path")));
    assert_passes(&world, &browser, "the setting is off");
}
