//! Refresh responses: which ones renew a session, which ones leave it as it is, and which ones end it (OpenID Connect
//! Core, 12.2).

use serde_json::{Value, json};
use wasm_tests::{
    issuer::{Answer, Fault, IdToken, Rotation, Signing},
    process::until,
    renewal::{DUE, EXPIRED, LIFETIME, assert_served, give_short_lived_tokens, refresh_requests, visit, world},
    user_agent::Outgoing,
    world::{SESSION_COOKIE, World, assert_unauthenticated},
};

#[test]
fn a_refused_refresh_ends_the_session_half_a_minute_after_the_token_expires() {
    let world = world();
    let (browser, session) = world.signed_in();
    // As if another Envoy had used the refresh token, and its new cookie were on the way.
    world.issuer.revoke_all();
    // Half a minute, and not a second more.
    world.stop_clock();
    world.advance(DUE);
    let requests = vec![(world.url("/page"), Outgoing::navigation("/page")); 20];
    for response in browser.at_once(&requests) {
        assert!(!assert_served(&response, "a lost race"));
    }
    assert_eq!((refresh_requests(&world), world.issuer.refreshes().refused), (1, 1));
    world.advance(EXPIRED - DUE);
    for _ in 0..6 {
        assert!(!visit(&world, &browser, "the token is just over"));
    }
    assert_eq!(browser.session_cookies()[0].value, session.as_bytes());
    assert_eq!(refresh_requests(&world), 1);
    world.advance(30);
    world.assert_ended(&browser, "refused");
    assert_eq!((refresh_requests(&world), world.metric("session_refused")), (1, 1));
    assert!(world.log().contains("ended the session of \"alice\""), "{}", world.log());
    // A new sign-in is accepted, and the old cookie is not.
    let steps = browser.follow(&world.url("/page"));
    assert!(!assert_served(&steps.last().expect("a page").1, "signed in again"));
    let old = Outgoing::fetch("/api").header("cookie", format!("{SESSION_COOKIE}={session}"));
    assert_unauthenticated(&world.send(&old).expect("an answer"), "the old cookie");
}

#[test]
fn a_failing_provider_ends_no_session_and_is_not_asked_again_by_each_request() {
    let mut world = World::with(|document| {
        document["session"]["lifetime_seconds"] = json!(86_400);
        // The time that a request to a silent issuer takes.
        document["providers"][0]["timeout_ms"] = json!(4000);
        // A client that is refused is not tried by another method.
        document["providers"][0]["token_endpoint_auth_method"] = json!("client_secret_basic");
    });
    give_short_lived_tokens(&world);
    let error = |status, error| Answer::json(status, json!({ "error": error }).to_string());
    for (what, trouble) in [
        ("down", None),
        ("503", Some(Answer::status(503))),
        ("429", Some(Answer::status(429))),
        ("a page", Some(Answer::status(200))),
        ("an error in a page", Some(Answer::status(400))),
        ("no answer", Some(Answer::Hang)),
        ("half an answer", Some(Answer::ResetMidBody)),
        ("no end", Some(Answer::StallAfterHeaders)),
        ("invalid_client", Some(error(401, "invalid_client"))),
        ("temporarily_unavailable", Some(error(400, "temporarily_unavailable"))),
        ("too long", Some(Answer::huge(300 * 1024))),
        ("no access token", Some(Answer::Edited(|body| body["access_token"] = Value::Null))),
        ("an ID token that is none", Some(Answer::Edited(|body| body["id_token"] = json!("a.b.c")))),
    ] {
        world.issuer.terms(|terms| terms.rotation = Rotation::Kept);
        let (browser, _) = world.signed_in();
        match &trouble {
            Some(answer) => world.issuer.misbehave(Fault::Refresh(answer.clone())),
            None => world.issuer.down(),
        }
        world.advance(EXPIRED);
        let before = refresh_requests(&world);
        for _ in 0..8 {
            assert!(!visit(&world, &browser, what), "{what}");
        }
        assert_eq!(refresh_requests(&world) - before, usize::from(trouble.is_some()), "{what}: asked all the time");
        if trouble.is_none() {
            // An hour of it changes nothing.
            for _ in 0..6 {
                world.advance(600);
                assert!(!visit(&world, &browser, what), "{what}");
            }
            world.issuer.up();
        }
        world.issuer.behave();
        world.advance(20);
        // Where it was down, Envoy first has to find that it is back.
        until("a renewed session", || visit(&world, &browser, what).then_some(()));
        assert!(!visit(&world, &browser, what), "{what}");
    }
    assert_eq!(world.metric("session_refused"), 0);
}

#[test]
fn refresh_responses_of_every_usual_form_renew_the_session() {
    let world = world();
    let lives = [
        ("no lifetime", None),
        ("null", Some(json!(null))),
        ("zero", Some(json!(0))),
        ("below zero", Some(json!(-5))),
        ("ages", Some(json!(1e18))),
        ("text", Some(json!("3600"))),
        ("other text", Some(json!("soon"))),
        ("a fraction", Some(json!(3600.5))),
        ("a list", Some(json!([3600]))),
    ];
    for (what, life) in lives {
        let (browser, _) = world.signed_in();
        world.issuer.terms(|terms| terms.refresh_expires_in = life);
        world.advance(EXPIRED);
        let before = refresh_requests(&world);
        assert!(visit(&world, &browser, what), "{what}");
        for _ in 0..10 {
            assert!(!visit(&world, &browser, what), "{what}: one refresh after the other");
        }
        assert_eq!(refresh_requests(&world), before + 1, "{what}");
    }
    for rotation in [Rotation::Kept, Rotation::Repeated, Rotation::Rotating] {
        for id_token in [true, false] {
            for nonce in [true, false] {
                let what = format!("{rotation:?}, ID token: {id_token}, nonce: {nonce}");
                world.issuer.terms(|terms| {
                    terms.refresh_expires_in = Some(json!(LIFETIME));
                    (terms.rotation, terms.refresh_id_token, terms.refresh_nonce) = (rotation, id_token, nonce);
                });
                let (browser, _) = world.signed_in();
                for _ in 0..2 {
                    world.advance(EXPIRED);
                    assert!(visit(&world, &browser, &what), "{what}");
                    let seen = world.upstream.last();
                    assert_eq!(seen.headers.all("x-forwarded-email"), [b"alice@example.com"], "{what}");
                }
            }
        }
    }
}

#[test]
fn a_refreshed_id_token_with_other_claims_ends_the_session_at_once() {
    let world = world();
    type Change = fn(&mut IdToken);
    let cases: [(&str, Change); 8] = [
        ("refresh-token-invalid-issuer", |token| token.set("iss", "https://evil.example")),
        ("refresh-token-invalid-sub", |token| token.set("sub", "mallory")),
        ("no sub", |token| token.remove("sub")),
        ("another aud", |token| token.set("aud", "another-client")),
        ("one aud more", |token| token.set("aud", json!([token.text("aud"), "another-client"]))),
        ("another azp", |token| token.set("azp", "another-client")),
        ("another nonce", |token| token.set("nonce", "another")),
        ("an access token", |token| drop(token.header.insert("typ".to_owned(), json!("at+jwt")))),
    ];
    for (what, change) in cases {
        let (browser, _) = world.signed_in();
        let (other, _) = world.signed_in();
        world.issuer.misbehave(Fault::RefreshIdToken(change));
        world.advance(DUE);
        world.assert_ended(&browser, what);
        world.issuer.behave();
        assert!(visit(&world, &other, "another session of the same person"), "{what}");
        let steps = browser.follow(&world.url("/page"));
        assert!(!assert_served(&steps.last().expect("a page").1, "signed in again"));
    }
    // An ID token that cannot be verified changes nothing: the session goes on as it is.
    for (what, change) in [
        ("unsigned", (|token| token.signing = Signing::None) as Change),
        ("signed by another key", |token| token.signing = Signing::Unpublished),
        ("expired", |token| token.set("exp", token.issued_at() - 500)),
        ("for another access token", |token| token.set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let (browser, _) = world.signed_in();
        world.issuer.misbehave(Fault::RefreshIdToken(change));
        world.advance(DUE);
        // The cookie is set for the refresh token that came beside it.
        let renewed = (0..6).filter(|_| visit(&world, &browser, what)).count();
        assert_eq!(renewed, 1, "{what}");
        world.issuer.behave();
    }
}
