//! Back-channel logout: a logout token ends sessions, by the names of the OpenID conformance tests.

use serde_json::{Value, json};
use wasm_tests::{
    envoy::{Envoy, Setup},
    issuer::{IdToken, LOGOUT_EVENT, Signing},
    keys::Algorithm,
    logout::{accept_logouts, assert_logged_out, assert_passes, world},
    site::Site,
    user_agent::{Outgoing, UserAgent},
    world::{BACK_CHANNEL_LOGOUT, assert_unauthenticated, document},
};

#[test]
fn a_back_channel_logout_token_ends_the_session_everywhere() {
    let world = world();
    let (browser, session) = world.signed_in();
    let (other, _) = world.signed_in();
    let sid = world.issuer.sids().swap_remove(0);
    let before = world.upstream.count();
    let token = world.issuer.logout_token_for(Some("alice"), Some(&sid), |token| token.set("extra", "unknown"));
    assert_logged_out(&world.deliver_logout(0, &token), "the base case");
    world.upstream.assert_saw_nothing_since(before, "a logout token");
    world.assert_ended(&browser, "logged out");
    // A copy of the cookie is refused, too.
    let copy = Outgoing::fetch("/api").header("cookie", format!("__Host-vestibule={session}"));
    assert_unauthenticated(&world.send(&copy).expect("an answer"), "a copy");
    assert_passes(&world, &other, "another session of the same person");
    let steps = browser.follow(&world.url("/page"));
    assert_eq!(steps.last().expect("a page").1.status, 200, "a new sign-in");
    assert_eq!(world.metric("logged_out"), 1);

    // The sid alone, and the subject alone: one session, and all of them.
    let sid = world.issuer.sids().swap_remove(1);
    let token = world.issuer.logout_token_for(None, Some(&sid), |_| {});
    assert_logged_out(&world.deliver_logout(0, &token), "sid only");
    world.assert_ended(&other, "sid only");
    assert_passes(&world, &browser, "of another sid");
    other.follow(&world.url("/page"));
    world.issuer.sign_in_as(json!({"sub": "bob"}));
    let (bob, _) = world.signed_in();
    world.advance(1);
    let token = world.issuer.logout_token_for(Some("alice"), None, |_| {});
    assert_logged_out(&world.deliver_logout(0, &token), "sub only");
    world.assert_ended(&browser, "sub only");
    world.assert_ended(&other, "sub only");
    assert_passes(&world, &bob, "another user");

    // A repeated logout token ends no session that began since.
    world.issuer.sign_in_as(json!({"sub": "alice"}));
    world.advance(1);
    let (browser, _) = world.signed_in();
    world.advance(1);
    for _ in 0..4 {
        assert_logged_out(&world.deliver_logout(0, &token), "again");
    }
    assert_passes(&world, &browser, "again");
    // Signed with a key that is fetched now.
    world.issuer.rotate();
    assert_logged_out(&world.deliver_logout(0, &world.issuer.logout_token(|_| {})), "a new key");
    world.assert_ended(&browser, "a new key");
    // A logout of an unknown user and session.
    let token = world.issuer.logout_token_for(Some("unknown"), Some("unknown"), |_| {});
    assert_logged_out(&world.deliver_logout(0, &token), "unknown");
    assert_passes(&world, &bob, "unknown");
}

#[test]
fn an_invalid_logout_token_ends_no_session() {
    let world = world();
    let (browser, _) = world.signed_in();
    type Change = fn(&mut IdToken);
    let cases: [(&str, Change); 27] = [
        ("alg-none", |token| token.signing = Signing::None),
        ("wrong-alg", |token| token.signing = Signing::Published(Algorithm::Es256)),
        ("a client secret for a key", |token| token.signing = Signing::Hmac(b"canary-client-secret:/+%& =".to_vec())),
        ("another key", |token| token.signing = Signing::Unpublished),
        ("wrong-iss", |token| token.set("iss", "https://evil.example")),
        ("iss with a slash", |token| token.set("iss", format!("{}/", token.text("iss")))),
        ("no iss", |token| token.remove("iss")),
        ("wrong-aud", |token| token.set("aud", "another-client")),
        ("one aud more", |token| token.set("aud", json!([token.text("aud"), "another-client"]))),
        ("no aud", |token| token.remove("aud")),
        ("no-event", |token| token.remove("events")),
        ("wrong-event", |token| token.set("events", json!({"http://schemas.openid.net/event/other": {}}))),
        ("an event that is no object", |token| token.set("events", json!({LOGOUT_EVENT: true}))),
        ("events in a list", |token| token.set("events", json!([LOGOUT_EVENT]))),
        ("with-nonce", |token| token.set("nonce", "any")),
        ("no iat", |token| token.remove("iat")),
        ("no exp, and issued longer ago than clocks may differ", |token| {
            token.remove("exp");
            token.set("iat", token.issued_at() - 600);
        }),
        ("expired", |token| token.set("exp", token.issued_at() - 61)),
        ("issued in the future", |token| token.set("iat", token.issued_at() + 600)),
        ("no jti", |token| token.remove("jti")),
        ("a jti that is no text", |token| token.set("jti", 7)),
        ("neither sub nor sid", |token| {
            token.remove("sub");
            token.remove("sid");
        }),
        ("a sid that is no text", |token| token.set("sid", json!(["x"]))),
        ("an empty sub", |token| token.set("sub", "")),
        ("an access token", |token| drop(token.header.insert("typ".to_owned(), json!("at+jwt")))),
        ("claims twice", |token| token.raw_claims = Some(token.with_members("\"sub\":\"alice\""))),
        ("cut short", |token| token.finish = |compact| compact[..compact.len() - 10].to_owned()),
    ];
    for (what, change) in cases {
        let before = world.upstream.count();
        let response = world.deliver_logout(0, &world.issuer.logout_token(change));
        assert_eq!(response.status, 400, "{what}: {response:?}");
        assert_eq!(response.headers.all("cache-control"), [b"no-store"], "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
    }
    // An ID token of the session is no logout token.
    let id_token = world.issuer.id_tokens().swap_remove(0);
    assert_eq!(world.deliver_logout(0, &id_token).status, 400);
    assert_passes(&world, &browser, "an ID token");
    assert_eq!(world.metric("logged_out"), 0);
}

#[test]
fn a_configuration_that_does_not_declare_held_bodies_is_refused_with_the_setting() {
    let setup = Setup::new(1);
    let mut configuration = document(setup.port, "http://127.0.0.1:1");
    configuration["sign_out"] = json!({"back_channel": true});
    let setup = Setup { bodies_while_headers_are_held: true, ..setup.configuration(configuration) };
    let (accepted, said) = Envoy::validate(&setup);
    assert!(!accepted);
    for part in ["sign_out.back_channel: ", "allow_on_headers_stop_iteration: true", "failure_policy"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[test]
fn without_a_store_only_the_envoy_that_received_the_token_ends_the_session() {
    let mut world = world();
    let second = world.add_envoy();
    let (browser, _) = world.signed_in();
    let elsewhere = world.through(&browser, second);
    assert_logged_out(&world.deliver_logout(second, &world.issuer.logout_token(|_| {})), "at the second");
    for _ in 0..4 {
        assert_unauthenticated(&elsewhere.fetch(&world.url("/api")), "where the token came");
    }
    // The others end it with `session.store` only.
    assert_eq!(browser.fetch(&world.url("/api")).status, 200);
}

#[test]
fn a_logout_in_the_same_second_as_the_sign_in_ends_the_session() {
    let world = world();
    world.stop_clock();
    for what in ["first", "second", "third"] {
        let (browser, _) = world.signed_in();
        assert_passes(&world, &browser, what);
        let sid = world.issuer.sids().pop().expect("a session");
        let token = world.issuer.logout_token_for(Some("alice"), Some(&sid), |_| {});
        assert_logged_out(&world.deliver_logout(0, &token), what);
        world.assert_ended(&browser, what);
        let token = world.issuer.logout_token_for(Some("alice"), None, |_| {});
        browser.follow(&world.url("/page"));
        assert_passes(&world, &browser, what);
        assert_logged_out(&world.deliver_logout(0, &token), what);
        world.assert_ended(&browser, what);
    }
}

#[test]
fn signing_out_at_the_real_provider_ends_the_session_at_the_app() {
    for with_sid in [true, false] {
        let site = Site::with(|plan| {
            accept_logouts(&mut plan.setup);
            let client: &mut Value = &mut plan.provider.clients[0];
            client["backchannel_logout_uri"] = json!(format!("{}{BACK_CHANNEL_LOGOUT}", plan.origin));
            client["backchannel_logout_session_required"] = json!(with_sid);
        });
        let browser = UserAgent::default();
        let (url, page) = site.sign_in(&browser, "/page");
        assert_eq!((url, page.status), (site.url("/page"), 200), "{}", site.envoy.log());
        let before = site.app.count();
        let end = format!("{}/session/end", site.provider.issuer());
        let (at, _) = site.sign_out(&browser, &end);
        assert!(at.starts_with(&end), "{at}");
        let events = ["backchannel.success", "backchannel.error"].map(|event| site.provider.seen(event));
        assert_eq!(events, [1, 0], "{with_sid}: {}\n{}", site.provider.log(), site.envoy.log());
        for _ in 0..6 {
            assert_eq!(browser.fetch(&site.url("/api")).status, 401, "{with_sid}");
        }
        site.app.assert_saw_nothing_since(before, "signed out at the provider");
        assert_eq!(site.envoy.metric("logged_out"), 1);
    }
}
