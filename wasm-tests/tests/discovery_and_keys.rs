//! Metadata and keys of the provider: fetched once per process, kept when the provider fails, renewed when it changes its
//! keys; and no request passes without a session while it is unknown.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Endpoint, Fault, IdToken, Issuer, Spoil},
    process::{until, until_everywhere},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{PUBLIC, USER_AGENT, World, assert_page, assert_sign_in, assert_signed_in, assert_unauthenticated},
};

/// For how many seconds a request is held at most.
const HOLD: i64 = 5;

/// Browsers whose sign-in is done at the provider, each with the callback it has yet to open.
fn at_the_provider(world: &World, browsers: usize) -> Vec<(UserAgent, String)> {
    let sign_in = |_| {
        let browser = world.browser();
        let callback = world.callback_url(&browser, "/page");
        (browser, callback)
    };
    (0..browsers).map(sign_in).collect()
}

fn sign_in(world: &World) -> Response {
    let browser = world.browser();
    browser.get(&world.callback_url(&browser, "/page"))
}

fn unknown_kid(token: &mut IdToken) {
    token.header.insert("kid".into(), json!("unknown-kid"));
}

/// Waits until sign-ins begin again.
fn until_ready(world: &World) {
    until_everywhere("sign-in that begins", || world.browser().get(&world.url("/page")).status == 302);
}

#[test]
fn while_the_provider_is_down_every_request_is_refused_and_then_it_recovers() {
    let mut issuer = Issuer::start();
    issuer.down();
    let mut world = World::around(issuer, |_| {});
    // Requests are held until a deadline, so the clock is stopped.
    world.stop_clock();
    thread::scope(|scope| {
        for _ in 0..12 {
            let world = &world;
            scope.spawn(move || assert_page(&world.browser().get(&world.url("/page")), &[503], "a visit"));
        }
        world.until_held(12);
        // Nothing of this waits for the provider.
        let browser = world.browser();
        assert_eq!(browser.get(&world.url(PUBLIC)).status, 200);
        assert_unauthenticated(&browser.fetch(&world.url("/page")), "a script");
        let form = Outgoing::navigation("/page").method("POST").body("a=1");
        assert_page(&browser.visit(&world.url("/page"), form), &[401], "a form");
        assert_eq!(browser.get(&world.url("/oauth2/health")).status, 200);
        // A client that leaves before the answer.
        drop(world.begun(&Outgoing::navigation("/page")));
        world.until_held(12);
        world.advance(HOLD - 1);
        world.assert_serves();
        world.until_held(12);
        world.advance(1);
    });
    world.let_clock_go_on();
    assert!(world.upstream.seen().iter().all(|request| request.path() == PUBLIC), "{:?}", world.upstream.seen());

    world.issuer.up();
    until_ready(&world);
    assert_signed_in(&sign_in(&world), &world.url("/page"));
}

#[test]
fn a_request_that_comes_first_is_held_and_then_sent_to_sign_in() {
    let issuer = Issuer::start();
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        issuer.misbehave(Fault::Answer(endpoint, Answer::Late(Duration::from_millis(600))));
    }
    let world = World::around(issuer, |_| {});
    world.stop_clock();
    let browsers: Vec<_> = (0..12).map(|_| world.browser()).collect();
    thread::scope(|scope| {
        for browser in &browsers {
            let world = &world;
            scope.spawn(move || assert_sign_in(&browser.get(&world.url("/page")), world));
        }
    });
    world.upstream.assert_saw_nothing();
    // Two workers and the main thread, and yet each document was fetched once.
    world.assert_serves();
    for _ in 0..10 {
        world.begin(&world.browser(), "/page");
    }
    assert_eq!(world.issuer.requests(Endpoint::Discovery).len(), 1);
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 1);
    for request in world.issuer.all_requests() {
        assert!(!request.headers.has("cookie") && !request.headers.has("authorization"), "{request:?}");
        assert!(request.headers.text("user-agent").is_some_and(|agent| agent.starts_with(USER_AGENT)), "{request:?}");
        assert_eq!(request.headers.text("host"), Some(world.issuer.url().replace("http://", "")));
    }
}

#[test]
fn metadata_and_keys_that_cannot_be_used_start_no_sign_in() {
    let faults: [(&str, Endpoint, Answer); 14] = [
        ("another issuer", Endpoint::Discovery, Answer::Edited(|body| body["issuer"] = json!("http://127.0.0.1:1"))),
        (
            "a slash at the end",
            Endpoint::Discovery,
            Answer::Edited(|body| {
                body["issuer"] = json!(format!("{}/", body["issuer"].as_str().unwrap_or_default()));
            }),
        ),
        (
            "no jwks_uri",
            Endpoint::Discovery,
            Answer::Edited(|body| {
                body.as_object_mut().expect("an object").remove("jwks_uri");
            }),
        ),
        (
            "a token endpoint without TLS",
            Endpoint::Discovery,
            Answer::Edited(|body| {
                body["token_endpoint"] = json!("http://idp.example/token");
            }),
        ),
        (
            "an authorization endpoint that is a script",
            Endpoint::Discovery,
            Answer::Edited(|body| {
                body["authorization_endpoint"] = json!("javascript:alert(1)");
            }),
        ),
        ("keys in a file", Endpoint::Discovery, Answer::Edited(|body| body["jwks_uri"] = json!("file:///etc/passwd"))),
        ("a page", Endpoint::Discovery, Answer::status(200)),
        ("500", Endpoint::Discovery, Answer::status(500)),
        ("an array", Endpoint::Discovery, Answer::json(200, "[]")),
        ("300 KiB", Endpoint::Discovery, Answer::huge(300 * 1024)),
        ("40 MiB", Endpoint::Discovery, Answer::huge(40 << 20)),
        ("nested", Endpoint::Jwks, Answer::nested(100_000)),
        ("no keys", Endpoint::Jwks, Answer::json(200, r#"{"error":"server_error"}"#)),
        ("a reset", Endpoint::Jwks, Answer::ResetMidBody),
    ];
    // A sign-in is held for its full time in each of these worlds, so they wait side by side.
    for some in faults.chunks(7) {
        thread::scope(|scope| {
            for (what, endpoint, answer) in some {
                scope.spawn(move || {
                    let issuer = Issuer::start();
                    issuer.misbehave(Fault::Answer(*endpoint, answer.clone()));
                    let world = World::around(issuer, |_| {});
                    assert_page(&world.browser().get(&world.url("/page")), &[503], what);
                    world.upstream.assert_saw_nothing();
                    assert!(world.issuer.requests(Endpoint::Authorization).is_empty(), "{what}");
                    world.issuer.behave();
                    until_ready(&world);
                });
            }
        });
    }
}

#[test]
fn redirected_documents_are_logged_and_a_byte_order_mark_is_skipped() {
    let issuer = Issuer::start();
    let moved = |status: u16| {
        let head =
            format!("HTTP/1.1 {status} Moved\r\nlocation: https://new.example/realm\r\ncontent-length: 0\r\n\r\n");
        Answer::Raw(head.into_bytes())
    };
    issuer.misbehave(Fault::Answer(Endpoint::Discovery, moved(301)));
    let world = World::around(issuer, |_| {});
    let told = |status: u16| {
        let text = format!(
            r#"the response is {status} with Location "https://new.example/realm", which is not followed: configure that issuer or address"#
        );
        until("the line of the log", || world.log().contains(&text).then_some(()));
    };
    told(301);
    world.issuer.behave();
    world.issuer.misbehave(Fault::Answer(Endpoint::Discovery, Answer::Marked));
    world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, moved(308)));
    told(308);
    world.upstream.assert_saw_nothing();
    world.issuer.behave();
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        world.issuer.misbehave(Fault::Answer(endpoint, Answer::Marked));
    }
    until_ready(&world);
    assert_signed_in(&sign_in(&world), &world.url("/page"));
}

#[test]
fn keys_of_unknown_types_and_broken_keys_are_skipped() {
    let issuer = Issuer::start();
    issuer.misbehave(Fault::Answer(
        Endpoint::Jwks,
        Answer::Edited(|body| {
            let keys = body["keys"].as_array_mut().expect("an array");
            for key in keys.iter_mut() {
                let key = key.as_object_mut().expect("an object");
                key.remove("kid");
                key.remove("alg");
            }
            let mut odd = vec![
                json!(null),
                json!(1),
                json!([]),
                json!({}),
                json!({"kty": 1}),
                json!({"kty": "XYZ", "kid": "rsa-first"}),
                json!({"kty": "oct", "k": "AAAA", "kid": "rsa-first"}),
                json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa-first"}),
                json!({"kty": "RSA", "n": "!", "e": "AQAB"}),
                json!({"kty": "RSA", "e": "AQAB"}),
                json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
                json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "p256"}),
                json!({"kty": "OKP", "crv": "X448", "x": "AAAA"}),
                json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            ];
            odd.append(keys);
            *keys = odd;
        }),
    ));
    let world = World::around(issuer, |_| {});
    let without_kid: Spoil = |token| token.without_kid = true;
    world.issuer.misbehave(Fault::IdToken(without_kid));
    assert_signed_in(&sign_in(&world), &world.url("/page"));
    let log = world.log();
    assert!(log.contains(r#"left the key "rsa-first" (kty "oct") out of the keys"#), "{log}");
    assert!(!log.contains("secp256k1") && !log.contains("X448"), "{log}");
}

#[test]
fn keys_rotated_during_a_sign_in_are_fetched_and_it_completes() {
    let world = World::start();
    assert_signed_in(&sign_in(&world), &world.url("/page"));
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 1);
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    world.issuer.rotate();
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 2);
    // Both workers have the new keys now, without another fetch.
    for _ in 0..10 {
        assert_signed_in(&sign_in(&world), &world.url("/page"));
    }
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 2);
}

#[test]
fn keys_replaced_under_the_same_kid_are_fetched_once() {
    const API: &str = "https://api.example.com";
    let world = World::with(|document| document["providers"][0]["access_token_audiences"] = json!([API]));
    assert_signed_in(&sign_in(&world), &world.url("/page"));
    world.issuer.replace_keys();
    for _ in 0..6 {
        assert_signed_in(&sign_in(&world), &world.url("/page"));
    }
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 2);
    world.advance(61);
    world.issuer.replace_keys();
    let bring = |token: &str| {
        let bearer = Outgoing::new("GET", "/page").header("authorization", format!("Bearer {token}"));
        world.send(&bearer).expect("an answer")
    };
    let token = || world.issuer.access_token(API, |_| {});
    let passed = bring(&token());
    assert!(passed.status == 200 && passed.headers.has(MARK), "{passed:?}");
    world.advance(61);
    let (before, seen) = (world.issuer.requests(Endpoint::Jwks).len(), world.upstream.count());
    for _ in 0..20 {
        let (one, other) = (token(), token());
        let forged = format!(
            "{}.{}",
            one.rsplit_once('.').expect("a signature").0,
            other.rsplit_once('.').expect("a signature").1
        );
        let refused = bring(&forged);
        assert_eq!((refused.status, refused.code().as_deref()), (401, Some("invalid_token")), "{refused:?}");
    }
    world.upstream.assert_saw_nothing_since(seen, "a forged token");
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), before + 1);
    assert_eq!(bring(&token()).status, 200);
    assert_signed_in(&sign_in(&world), &world.url("/page"));
}

#[test]
fn sign_ins_that_wait_for_keys_share_one_fetch() {
    let world = World::start();
    let waiting = at_the_provider(&world, 10);
    world.issuer.rotate();
    world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Late(Duration::from_millis(300))));
    thread::scope(|scope| {
        for (browser, callback) in &waiting {
            let world = &world;
            scope.spawn(move || assert_signed_in(&browser.get(callback), &world.url("/page")));
        }
    });
    let fetches = world.issuer.requests(Endpoint::Jwks).len();
    assert!(fetches <= 3, "{fetches} fetches");
}

#[test]
fn many_unknown_keys_cause_few_fetches_and_no_other_failures() {
    let world = World::start();
    assert_signed_in(&sign_in(&world), &world.url("/page"));
    let before = world.issuer.requests(Endpoint::Jwks).len();
    let begun = Instant::now();
    for _ in 0..25 {
        world.issuer.misbehave(Fault::IdToken(unknown_kid));
        assert_page(&sign_in(&world), &[400, 502, 503], "an unknown key");
        world.issuer.behave();
    }
    let fetches = world.issuer.requests(Endpoint::Jwks).len() - before;
    // Two are granted, and one more every half a minute.
    let granted = 2 + usize::try_from((begun.elapsed().as_secs() + 1) / 30).expect("a short while");
    assert!((1..=granted).contains(&fetches), "{fetches} fetches");
    assert_signed_in(&sign_in(&world), &world.url("/page"));
}

/// Changes the keys while twelve sign-ins are under way, of which both workers get some; all must end well, sooner than
/// a worker looks by itself at what the other one has.
fn rotate_under(world: &World) {
    let waiting = at_the_provider(world, 12);
    world.issuer.rotate();
    for (browser, callback) in &waiting {
        assert_signed_in(&browser.get(callback), &world.url("/page"));
    }
}

#[test]
fn keys_fetched_by_one_worker_serve_the_other_without_a_fetch() {
    let world = World::start();
    // The second time uses up what may be fetched for unknown keys.
    for _ in 0..2 {
        rotate_under(&world);
    }
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 3);
}

#[test]
fn keys_fetched_before_a_rotation_do_not_end_the_wait_of_a_worker() {
    let world = World::start();
    world.issuer.misbehave(Fault::IdToken(unknown_kid));
    assert_page(&sign_in(&world), &[400, 502, 503], "an unknown key");
    world.issuer.behave();
    rotate_under(&world);
}

#[test]
fn a_failed_key_fetch_keeps_the_last_valid_keys() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    for answer in [Answer::status(500), Answer::json(200, r#"{"keys":[]}"#), Answer::ResetBeforeHeaders] {
        world.issuer.misbehave(Fault::IdToken(unknown_kid));
        world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, answer.clone()));
        assert_page(&sign_in(&world), &[400, 502, 503], "an unknown key");
        world.issuer.behave();
        world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, answer));
        assert_signed_in(&sign_in(&world), &world.url("/page"));
        assert!(browser.get(&world.url("/page")).headers.has(MARK));
        world.issuer.behave();
    }
}

#[test]
fn a_host_is_called_through_the_cluster_configured_for_it() {
    let issuer = Issuer::start();
    let port = issuer.port();
    let world = World::around(issuer, |setup| {
        setup.clusters.push(("named".to_owned(), port));
        setup.configuration["cluster"] = json!("there-is-no-such-cluster");
        setup.configuration["clusters"] = json!({ format!("127.0.0.1:{port}"): "named" });
    });
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
}
