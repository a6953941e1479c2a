//! Tokens for the app (`upstream_token`) in the real Envoy: what the app receives, when the provider is asked, and what happens where
//! its answer is slow, wrong or hostile.

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Fault, Gate, Issuer},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{SESSION_COOKIE, World, access, assert_page, assert_unauthenticated},
};

const API: &str = "https://api.example.com";
const HEADER: &str = "x-access-token";

fn rules() -> Value {
    let exchange = |audience: &str| json!({"header": HEADER, "exchange": {"audience": audience}});
    json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/optional", "access": "optional"},
        {"prefix": "/orders", "access": "required", "upstream_token": exchange("orders")},
        {"prefix": "/stock", "access": "required", "upstream_token": exchange("stock")},
        {"prefix": "/nobody", "access": "required", "upstream_token": exchange("nobody")},
        {"prefix": "/own", "access": "required", "upstream_token": {"header": "X-Own", "value": "token={token};v=1"}},
        {"prefix": "/bearer", "access": "required", "upstream_token": {"exchange": {"audience": "orders"}}},
    ])
}

fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut Value)) -> World {
    World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        let document = &mut setup.configuration;
        document["providers"][0]["access_token_audiences"] = json!([API]);
        document["rules"] = rules();
        change(document);
    })
}

/// The header that the app receives with a page of this browser.
#[track_caller]
fn received(world: &World, browser: &UserAgent, path: &str, header: &str) -> Option<String> {
    let response = browser.get(&world.url(path));
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
    world.upstream.last().headers.text(header)
}

/// Checks that a page gets this refusal, that the app sees nothing of it, and that the same worker serves the same session.
#[track_caller]
fn assert_refused(world: &World, browser: &UserAgent, path: &str, expected: (u16, &str), what: &str) -> Response {
    let before = world.upstream.count();
    let response = browser.get(&world.url(path));
    assert_page(&response, &[expected.0], what);
    assert_eq!(response.code().as_deref(), Some(expected.1), "{what}: {response:?}\n{}", world.log());
    world.upstream.assert_saw_nothing_since(before, what);
    assert_eq!(access(world, browser, "/page"), "passed", "{what}");
    response
}

/// A failure counts for two seconds.
fn forget_failures(world: &World) {
    world.advance(3);
}

#[test]
fn each_rule_has_its_own_token_that_is_exchanged_once() {
    let world = world();
    let (browser, _) = world.signed_in();
    let orders = received(&world, &browser, "/orders/1", HEADER).expect("a token");
    let stock = received(&world, &browser, "/stock/1", HEADER).expect("a token");
    for _ in 0..3 {
        assert_eq!(received(&world, &browser, "/orders/2", HEADER).as_ref(), Some(&orders));
        assert_eq!(received(&world, &browser, "/stock/2", HEADER).as_ref(), Some(&stock));
    }
    let exchanged = world.issuer.exchanged();
    let given: Vec<_> = exchanged.iter().map(|it| (it.token.as_str(), it.audience.as_str())).collect();
    assert_eq!(given, [(orders.as_str(), "orders"), (stock.as_str(), "stock")]);
    assert!(exchanged.iter().all(|it| it.subject == world.issuer.access_tokens()[0]));
    // Another user has another one.
    world.issuer.sign_in_as(json!({"sub": "bob"}));
    let (bob, _) = world.signed_in();
    assert_ne!(received(&world, &bob, "/orders/1", HEADER).expect("a token"), orders);
    assert_eq!(received(&world, &browser, "/orders/1", HEADER).as_ref(), Some(&orders));
    // What asks for none has none.
    assert_eq!(received(&world, &browser, "/page", HEADER), None);
    assert_eq!(world.issuer.exchanges(), 3);
}

#[test]
fn the_access_token_can_be_sent_in_any_header_and_format() {
    let world = world();
    let (browser, _) = world.signed_in();
    let own = received(&world, &browser, "/own/1", "x-own");
    assert_eq!(own, Some(format!("token={};v=1", world.issuer.access_tokens()[0])));
    let bearer = received(&world, &browser, "/bearer/1", "authorization");
    assert_eq!(bearer, Some(format!("Bearer {}", world.issuer.exchanged()[0].token)));
}

#[test]
fn a_client_cannot_send_the_upstream_token_header() {
    let world = world();
    let (browser, _) = world.signed_in();
    for path in ["/public/x", "/optional", "/page", "/orders/x", "/own/x", "/bearer/x"] {
        for name in [HEADER, "X-ACCESS-TOKEN", "X-Own"] {
            let response = browser.visit(&world.url(path), Outgoing::fetch(path).header(name, "forged"));
            assert!(response.headers.has(MARK), "{path}: {response:?}");
            let seen = world.upstream.last().headers;
            assert!(![HEADER, "x-own"].iter().any(|name| seen.text(name).is_some_and(|it| it.contains("forged"))));
        }
    }
    let visitor = world.browser();
    let response = visitor.visit(&world.url("/public/x"), Outgoing::fetch("/public/x").header(HEADER, "forged"));
    assert_eq!((response.status, world.upstream.last().headers.text(HEADER)), (200, None));
    // Only a session has a token to exchange.
    let before = world.upstream.count();
    let exchanges = world.issuer.exchanges();
    let send = Outgoing::fetch("/orders/x").header(HEADER, "forged");
    assert_unauthenticated(&visitor.visit(&world.url("/orders/x"), send), "no session");
    world.upstream.assert_saw_nothing_since(before, "no session");
    assert_eq!(world.issuer.exchanges(), exchanges);
}

#[test]
fn a_token_that_expires_is_exchanged_anew() {
    let world = world();
    let (browser, _) = world.signed_in();
    let first = received(&world, &browser, "/orders/1", HEADER);
    world.advance(200);
    assert_eq!(received(&world, &browser, "/orders/1", HEADER), first);
    world.advance(80);
    let second = received(&world, &browser, "/orders/1", HEADER);
    assert!(second.is_some() && second != first, "{second:?}");
    // Without a lifetime, for less than a minute.
    world.issuer.terms(|terms| terms.exchange_expires_in = None);
    let first = received(&world, &browser, "/stock/1", HEADER);
    world.advance(20);
    assert_eq!(received(&world, &browser, "/stock/1", HEADER), first);
    world.advance(40);
    assert_ne!(received(&world, &browser, "/stock/1", HEADER), first);
    assert_eq!(world.issuer.exchanges(), 4);
}

#[test]
fn a_refused_exchange_refuses_the_request() {
    let world = world();
    let (browser, _) = world.signed_in();
    let refused = (502, "upstream_token_refused");
    assert_refused(&world, &browser, "/nobody/1", refused, "another audience");
    assert!(world.log().contains("invalid_target"), "{}", world.log());
    // The user was signed out at the provider: the token is worth nothing there.
    world.issuer.revoke_all();
    let page = assert_refused(&world, &browser, "/orders/1", (403, "upstream_token_denied"), "a token that is over");
    assert!(page.text().contains("/oauth2/start?rd=%2Forders%2F1"), "{}", page.text());
    assert_eq!(world.metric("refused_upstream_token_denied"), 1);
    // A new sign-in brings another token.
    let (browser, _) = world.signed_in();
    assert!(received(&world, &browser, "/orders/1", HEADER).is_some());
    for (status, error, expected) in [
        (400, "invalid_grant", (403, "upstream_token_denied")),
        (403, "access_denied", (403, "upstream_token_denied")),
        (400, "unauthorized_client", refused),
        (400, "unsupported_grant_type", refused),
        (401, "invalid_client", refused),
        (503, "temporarily_unavailable", (503, "upstream_token_unavailable")),
    ] {
        let answer = Answer::json(status, json!({"error": error, "error_description": "no"}).to_string());
        world.issuer.misbehave(Fault::Exchange(answer));
        assert_refused(&world, &browser, "/stock/1", expected, error);
        world.issuer.behave();
        forget_failures(&world);
    }
    assert!(received(&world, &browser, "/stock/1", HEADER).is_some());
}

#[test]
fn a_hostile_answer_gives_no_token() {
    let world = world();
    let (browser, _) = world.signed_in();
    let with = |body: Value| Answer::json(200, body.to_string());
    let token = |token: &str| with(json!({"access_token": token, "token_type": "Bearer", "expires_in": 300}));
    let of_type = |kind: &str| with(json!({"access_token": "x", "token_type": kind}));
    let (refused, unavailable) = ((502, "upstream_token_refused"), (503, "upstream_token_unavailable"));
    for (what, answer, expected) in [
        ("a line break in the token", token("a\r\nx-forwarded-user: root"), refused),
        ("a NUL in the token", token("a\0b"), refused),
        ("an empty token", token(""), refused),
        ("a token of 20 KiB", token(&"x".repeat(20 * 1024)), refused),
        ("no token", with(json!({"token_type": "Bearer"})), refused),
        ("another type", of_type("N_A"), refused),
        ("a bound token", of_type("DPoP"), refused),
        ("no type", with(json!({"access_token": "x"})), refused),
        (
            "a refresh token",
            with(json!({
                "access_token": "x", "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
            })),
            refused,
        ),
        ("a page", Answer::status(200), refused),
        ("bytes", Answer::json(200, vec![0xff, 0xfe, 0x00]), refused),
        ("nested", Answer::nested(100_000), refused),
        ("2 MB", Answer::huge(2 * 1024 * 1024), refused),
        ("two tokens", Answer::json(200, r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#), refused),
        ("a redirect", Answer::Redirect("http://127.0.0.1:9/".to_owned()), refused),
        ("404", Answer::status(404), refused),
        ("500", Answer::status(500), unavailable),
        ("a reset", Answer::ResetBeforeHeaders, unavailable),
        ("a reset in the body", Answer::ResetMidBody, unavailable),
        ("not HTTP", Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()), unavailable),
    ] {
        world.issuer.misbehave(Fault::Exchange(answer));
        assert_refused(&world, &browser, "/orders/1", expected, what);
        world.issuer.behave();
        forget_failures(&world);
    }
    assert!(received(&world, &browser, "/orders/1", HEADER).is_some());
}

#[test]
fn requests_wait_for_a_slow_exchange_only_until_the_timeout() {
    let world = world_with(|document| document["providers"][0]["timeout_ms"] = json!(1500));
    let (browser, session) = world.signed_in();
    for answer in [Answer::Hang, Answer::StallAfterHeaders] {
        world.issuer.misbehave(Fault::Exchange(answer));
        assert_refused(&world, &browser, "/orders/1", (503, "upstream_token_unavailable"), "silence");
        world.issuer.behave();
        forget_failures(&world);
    }
    // Late is not never, and those who wait meanwhile share the answer.
    world.issuer.misbehave(Fault::Exchange(Answer::Late(Duration::from_millis(700))));
    let before = world.issuer.exchanges();
    let cookie = format!("{SESSION_COOKIE}={session}");
    let send = || Outgoing::fetch("/orders/1").header("cookie", cookie.clone());
    let waiting: Vec<_> = (0..5).map(|_| world.begun(&send())).collect();
    for connection in waiting {
        assert_eq!(world.read(connection).status, 200);
    }
    assert_eq!(world.issuer.exchanges(), before + 1);
}

#[test]
fn a_session_that_ends_during_its_exchange_does_not_pass() {
    let world = world();
    let (browser, session) = world.signed_in();
    let gate = Gate::default();
    world.issuer.misbehave(Fault::Exchange(Answer::Behind(gate.clone())));
    let cookie = format!("{SESSION_COOKIE}={session}");
    let before = world.upstream.count();
    let held = world.begun(&Outgoing::fetch("/orders/1").header("cookie", cookie.clone()));
    world.until_held(1);
    let _ = browser.get(&world.url("/oauth2/sign_out"));
    gate.open();
    let response = world.read(held);
    assert_eq!((response.status, response.code().as_deref()), (401, Some("sign_in_required")), "{response:?}");
    world.issuer.behave();
    // The token is there, and out of reach of the copied cookie.
    let copied = UserAgent::default();
    let send = Outgoing::fetch("/orders/1").header("cookie", cookie);
    assert_eq!(copied.visit(&world.url("/orders/1"), send).status, 401);
    world.upstream.assert_saw_nothing_since(before, "a session that ended");
    let (browser, _) = world.signed_in();
    assert!(received(&world, &browser, "/orders/1", HEADER).is_some());
}

#[test]
fn the_token_of_an_api_client_is_exchanged() {
    let world = world();
    let token = world.issuer.access_token(API, |_| {});
    let send = |path: &str, token: &str| {
        let send = Outgoing::fetch(path).header("authorization", format!("Bearer {token}"));
        world.browser().visit(&world.url(path), send)
    };
    for _ in 0..2 {
        let response = send("/orders/1", &token);
        assert!(response.headers.has(MARK), "{response:?}\n{}", world.log());
        let received = world.upstream.last().headers.text(HEADER);
        assert_eq!(received.as_ref(), Some(&world.issuer.exchanged()[0].token));
    }
    assert_eq!((world.issuer.exchanges(), &world.issuer.exchanged()[0].subject), (1, &token));
    let before = world.upstream.count();
    for (path, bearer, expected) in [
        ("/nobody/1", token.as_str(), (502, "upstream_token_refused")),
        ("/orders/1", "not-a-token", (401, "invalid_token")),
    ] {
        let response = send(path, bearer);
        assert_eq!((response.status, response.code().as_deref()), (expected.0, Some(expected.1)), "{response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, "refused tokens");
    assert!(send("/page", &token).headers.has(MARK));
}

#[test]
fn static_tokens_are_not_exchanged() {
    let world = world_with(|document| {
        // `printf %s canary-static-token-of-the-tests | sha256sum`
        let digest = "143302f4400745e5acc0781fb95d8f66b6cbce2c163d4b1bb93109663bac6cbd";
        document["static_tokens"] = json!([{"name": "ci", "sha256": digest}]);
    });
    let before = world.upstream.count();
    let bearer = || "Bearer canary-static-token-of-the-tests".to_owned();
    let send =
        |path: &str| world.browser().visit(&world.url(path), Outgoing::fetch(path).header("authorization", bearer()));
    for path in ["/orders/1", "/own/1"] {
        let response = send(path);
        assert_eq!(
            (response.status, response.code().as_deref()),
            (403, Some("token_not_exchangeable")),
            "{response:?}"
        );
    }
    world.upstream.assert_saw_nothing_since(before, "a static token");
    assert_eq!(world.issuer.exchanges(), 0);
    assert!(send("/page").headers.has(MARK));
}
