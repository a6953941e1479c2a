//! Sessions are renewed in place and once, whoever asks at the same moment, whatever the provider does, and nobody who is
//! signed in notices.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Endpoint, Fault, IdToken, Issuer, RefreshTokens, Rotation, Signing},
    process::until,
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{
        SESSION_COOKIE, World, assert_program_refused, assert_sign_in, deleted_cookies, is_session_cookie, kept_cookies,
    },
};

/// Seconds for which an access token is good here. It is renewed in the last fifth of them.
const LIFE: i64 = 100;
/// Within that fifth.
const AHEAD: i64 = 85;
/// After its end.
const OVER: i64 = 110;
/// Long enough for every request of a test to come while a refresh is under way.
const LATE: Answer = Answer::Late(Duration::from_millis(400));
const LARGE: usize = 5 * 1024 * 1024;

/// A world whose issuer gives refresh tokens, and access tokens that are over soon.
fn world() -> World {
    let world = World::with(|document| document["session"]["lifetime_seconds"] = json!(86_400));
    short_lived(&world);
    world
}

fn short_lived(world: &World) {
    world.issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        terms.expires_in = Some(json!(LIFE));
        terms.refresh_expires_in = Some(json!(LIFE));
    });
}

fn asked(world: &World) -> usize {
    world.issuer.refreshes().asked
}

/// Checks that the app has answered, and says whether the session's cookie came with that.
#[track_caller]
fn served(response: &Response, what: &str) -> bool {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{what}: {response:?}");
    assert_eq!(deleted_cookies(response), [""; 0], "{what}");
    let kept = kept_cookies(response);
    assert!(kept.iter().all(|name| is_session_cookie(name)), "{what}: {kept:?}");
    !kept.is_empty()
}

#[track_caller]
fn visit(world: &World, browser: &UserAgent, what: &str) -> bool {
    served(&browser.get(&world.url("/page")), what)
}

/// Checks that this browser's session is over, in every worker, and that the app hears nothing of it.
#[track_caller]
fn assert_ended(world: &World, browser: &UserAgent, what: &str) {
    let before = world.upstream.count();
    for _ in 0..6 {
        assert_sign_in(&browser.get(&world.url("/page")), world);
        assert_program_refused(&browser.fetch(&world.url("/api")), what);
    }
    world.upstream.assert_saw_nothing_since(before, what);
}

#[test]
fn a_session_is_renewed_ahead_of_time_with_what_the_provider_says_by_then() {
    let world = world();
    let (browser, first) = world.signed_in();
    world.advance(AHEAD - 20);
    assert!(!visit(&world, &browser, "it is good for a while yet"));
    assert_eq!(asked(&world), 0);
    world.issuer.sign_in_as(json!({"sub": "alice", "email": "new@example.com"}));
    world.advance(20);
    assert!(visit(&world, &browser, "it is due"), "{}", world.log());
    assert_eq!(world.upstream.last().headers.all("x-forwarded-email"), [b"new@example.com"]);
    assert!(!world.upstream.last().headers.has("x-forwarded-groups"), "the provider says no more of that");
    assert_ne!(browser.session_cookies()[0].value, first.into_bytes());
    for _ in 0..6 {
        assert!(!visit(&world, &browser, "and good again, in both workers"));
    }
    assert_eq!((asked(&world), world.metric("renewed")), (1, 1));

    // Long after the token's end it is renewed as well: by then nobody waits for less than the new session.
    world.advance(5000);
    assert!(visit(&world, &browser, "late"));
    assert_eq!(asked(&world), 2);
    // The provider's keys, and what it says of itself, may have changed meanwhile too.
    world.issuer.rotate();
    let keys = world.issuer.requests(Endpoint::Jwks).len();
    world.advance(OVER);
    assert!(visit(&world, &browser, "signed with a key that nobody has seen"));
    assert!(world.issuer.requests(Endpoint::Jwks).len() > keys);
    assert_eq!(asked(&world), 3);
}

#[test]
fn forty_requests_at_the_end_of_the_token_are_one_refresh_and_forty_answers() {
    let world = world();
    let (browser, first) = world.signed_in();
    world.issuer.misbehave(Fault::Refresh(LATE));
    for (round, seconds) in [(1, OVER), (2, AHEAD), (3, OVER)] {
        world.advance(seconds);
        let requests: Vec<_> = (0..40)
            .map(|at| {
                let path = format!("/page/{at}");
                (world.url(&path), if at % 2 == 0 { Outgoing::navigation(&path) } else { Outgoing::fetch(&path) })
            })
            .collect();
        let responses = browser.at_once(&requests);
        let renewed = responses.iter().filter(|response| served(response, "at once")).count();
        // Ahead of the end only who came first has to wait.
        assert!(if seconds == OVER { renewed == 40 } else { renewed >= 1 }, "{round}: {renewed}");
        assert_eq!(asked(&world), round, "{:?}", world.issuer.refreshes());
        for _ in 0..6 {
            assert!(!visit(&world, &browser, "with the cookie that came last"));
        }
    }
    // A request that left the browser three refreshes ago.
    let late = Outgoing::fetch("/late").header("cookie", format!("{SESSION_COOKIE}={first}"));
    assert!(served(&world.browser().visit(&world.url("/late"), late), "late"));
    assert_eq!(asked(&world), 3);
}

#[test]
fn two_envoys_ask_once_each_at_most_and_nobody_is_logged_out() {
    let world = World::fleet(2);
    short_lived(&world);
    world.issuer.misbehave(Fault::Refresh(LATE));
    for (rotation, ahead) in [
        (Rotation::Rotating, OVER),
        (Rotation::Rotating, AHEAD),
        (Rotation::RotatingOrEnding, OVER),
        (Rotation::RotatingOrEnding, AHEAD),
    ] {
        let what = format!("{rotation:?}, {ahead}");
        world.issuer.terms(|terms| terms.rotation = rotation);
        let (browser, _) = world.signed_in();
        let before = world.issuer.refreshes();
        world.advance(ahead);
        let requests: Vec<_> =
            (0..40).map(|at| (world.url_at(at % 2, "/page"), Outgoing::navigation("/page"))).collect();
        let responses = browser.at_once(&requests);
        let renewed = responses.iter().filter(|response| served(response, &what)).count();
        assert!(renewed >= 1, "{what}");
        let after = world.issuer.refreshes();
        assert!(after.asked - before.asked <= 2, "{what}: {before:?} {after:?}");
        assert_eq!(after.granted - before.granted, 1, "{what}");
        // Half a minute later, too: the Envoy that lost knows that another may have won.
        for seconds in [0, 20, 15] {
            world.advance(seconds);
            for number in [0, 1] {
                for _ in 0..3 {
                    let response = world.through(&browser, number).get(&world.url("/page"));
                    assert!(!served(&response, &what), "{what}");
                }
            }
        }
        assert_eq!(world.issuer.refreshes(), after, "{what}");
    }
}

#[test]
fn a_body_arrives_whole_and_once_while_its_session_is_renewed() {
    for option in [false, true] {
        let world = World::around(Issuer::start(), |setup| {
            setup.bodies_while_headers_are_held = option;
            setup.configuration["allow_on_headers_stop_iteration"] = json!(option);
        });
        short_lived(&world);
        let (browser, _) = world.signed_in();
        world.issuer.misbehave(Fault::Refresh(LATE));
        let body: Vec<u8> = (0..LARGE).map(|at| (at / 7 % 251) as u8).collect();
        let mut renewed = 0;
        for (round, method, chunked, seconds) in
            [(1, "POST", false, AHEAD), (2, "PUT", false, OVER), (3, "POST", true, OVER), (4, "PATCH", true, AHEAD)]
        {
            let what = format!("{method}, chunked: {chunked}, option: {option}");
            world.advance(seconds);
            let request = Outgoing::fetch("/upload").method(method);
            let request = if chunked {
                let mut request = request.header("transfer-encoding", "chunked");
                for piece in body.chunks(64 * 1024) {
                    request.body.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()));
                    request.body.extend(b"\r\n");
                }
                request.body.extend(b"0\r\n\r\n");
                request
            } else {
                request.body(&body)
            };
            let before = world.upstream.count();
            renewed += usize::from(served(&browser.visit(&world.url("/upload"), request), &what));
            assert_eq!(world.upstream.count(), before + 1, "{what}");
            let seen = world.upstream.last();
            assert_eq!(
                (seen.method.as_str(), seen.digest()),
                (method, Outgoing::new("", "").body(&body).digest()),
                "{what}"
            );
            // At the latest with the next request the new cookie is there.
            until("the end of the refresh", || (world.metric("renewed") == round).then_some(()));
            visit(&world, &browser, &what);
            assert!(!visit(&world, &browser, &what), "{what}");
            assert_eq!(asked(&world) as u64, round, "{what}");
        }
        // Where Envoy hands over bodies, it would keep one of this size for nobody: those requests do not wait.
        assert_eq!(renewed, if option { 0 } else { 4 }, "{option}");
    }
}

#[test]
fn the_new_cookie_stands_beside_the_apps_own_and_no_cache_keeps_the_answer() {
    let world = world();
    let (browser, _) = world.signed_in();
    let theirs = ["app=1; Path=/; HttpOnly", "odd=\"a b\"; path=/x; SameSite=none; secure", "app=2"];
    let mut query = form_urlencoded(&theirs.map(|line| ("set-cookie", line)));
    query.push_str(&form_urlencoded(&[
        ("cache-control", "public, max-age=600"),
        ("cdn-cache-control", "max-age=600"),
        ("expires", "Thu, 01 Dec 2044 16:00:00 GMT"),
        ("header", "surrogate-control:max-age=600"),
        ("etag", "\"v1\""),
        ("header", "vary:accept"),
        ("header", "x-odd:a, b"),
    ]));
    let socket = Outgoing::new("GET", "")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (what, request, more, status) in [
        ("a page", Outgoing::navigation(""), "", 200),
        ("not modified", Outgoing::navigation("").header("if-none-match", "\"v1\""), "status=304", 304),
        ("HEAD", Outgoing::fetch("").method("HEAD"), "", 200),
        ("no content", Outgoing::fetch("").method("DELETE"), "status=204", 204),
        ("in chunks", Outgoing::fetch(""), "chunks=3&late=50", 200),
        ("an error", Outgoing::fetch(""), "status=503", 503),
        ("a socket", socket, "", 101),
    ] {
        let answer = |renewed: bool| {
            let target = format!("/page?{query}{more}");
            let request = Outgoing { target: target.clone().into_bytes(), ..request.clone() };
            let response = browser.visit(&world.url(&target), request);
            assert_eq!((response.status, response.headers.has(MARK)), (status, true), "{what}: {response:?}");
            let (ours, others): (Vec<_>, Vec<_>) =
                response.set_cookies().into_iter().partition(|line| line.starts_with(SESSION_COOKIE));
            assert_eq!(ours.len(), usize::from(renewed), "{what}: {response:?}");
            // The app's socket answers with nothing of its own.
            assert_eq!(others, if status == 101 { vec![] } else { theirs.to_vec() }, "{what}");
            response
        };
        let usual = answer(false);
        world.advance(AHEAD);
        let with_cookie = answer(true);
        assert_eq!(with_cookie.headers.all("cache-control"), [b"private, no-store"], "{what}: {with_cookie:?}");
        for name in ["expires", "cdn-cache-control", "surrogate-control"] {
            assert_eq!(usual.headers.has(name), status != 101, "{what}");
            assert!(!with_cookie.headers.has(name), "{what}: {name}");
        }
        let rest = |response: &Response| {
            let mut rest = response.headers.0.clone();
            rest.retain(|(name, _)| {
                !["set-cookie", "cache-control", "cdn-cache-control", "expires", "surrogate-control", "date"]
                    .contains(&name.as_str())
                    && !name.starts_with("x-envoy")
            });
            (rest, response.body.clone())
        };
        assert_eq!(rest(&usual), rest(&with_cookie), "{what}");
    }
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish() + "&"
}

#[test]
fn a_refresh_whose_client_has_gone_still_counts() {
    let world = world();
    let (browser, session) = world.signed_in();
    for (round, seconds) in [(1, AHEAD), (2, OVER)] {
        world.issuer.misbehave(Fault::Refresh(LATE));
        world.advance(seconds);
        let before = world.upstream.count();
        let value = browser.session_cookies()[0].value.clone();
        let request = Outgoing::navigation("/gone").header("cookie", [b"__Host-vestibule=", &value[..]].concat());
        let connection = world.begun(&request);
        until("a refresh", || (asked(&world) == round).then_some(()));
        connection.reset();
        until("its end", || (world.metric("renewed") == round as u64).then_some(()));
        world.upstream.assert_saw_nothing_since(before, "the client was gone before");
        world.issuer.behave();
        assert!(visit(&world, &browser, "the next request gets the cookie"));
        assert!(!visit(&world, &browser, "once"));
        assert_eq!(asked(&world), round);
    }
    assert_ne!(browser.session_cookies()[0].value, session.into_bytes());
}

#[test]
fn a_refusal_is_nothing_at_first_and_ends_the_session_half_a_minute_after_its_token() {
    let world = world();
    let (browser, session) = world.signed_in();
    // What another process would have done: the token is used up, and the cookie is on its way.
    world.issuer.revoke_all();
    // Half a minute, and not a second more.
    world.stop_clock();
    world.advance(AHEAD);
    let requests = vec![(world.url("/page"), Outgoing::navigation("/page")); 20];
    for response in browser.at_once(&requests) {
        assert!(!served(&response, "a lost race"));
    }
    assert_eq!((asked(&world), world.issuer.refreshes().refused), (1, 1));
    world.advance(OVER - AHEAD);
    for _ in 0..6 {
        assert!(!visit(&world, &browser, "the token is just over"));
    }
    assert_eq!(browser.session_cookies()[0].value, session.as_bytes());
    assert_eq!(asked(&world), 1);
    world.advance(30);
    assert_ended(&world, &browser, "refused");
    assert_eq!((asked(&world), world.metric("session_refused")), (1, 1));
    assert!(world.log().contains("ended the session of \"alice\""), "{}", world.log());
    // Whoever signs in again is in, and only with the old cookie nobody is.
    let steps = browser.follow(&world.url("/page"));
    assert!(!served(&steps.last().expect("a page").1, "signed in again"));
    let old = Outgoing::fetch("/api").header("cookie", format!("{SESSION_COOKIE}={session}"));
    assert_program_refused(&world.send(&old).expect("an answer"), "the old cookie");
}

#[test]
fn a_provider_in_trouble_ends_nothing_and_is_not_asked_all_the_time() {
    let mut world = World::with(|document| {
        document["session"]["lifetime_seconds"] = json!(86_400);
        // What the issuer's silence costs.
        document["providers"][0]["timeout_ms"] = json!(4000);
    });
    short_lived(&world);
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
        world.advance(OVER);
        let before = asked(&world);
        for _ in 0..8 {
            assert!(!visit(&world, &browser, what), "{what}");
        }
        assert_eq!(asked(&world) - before, usize::from(trouble.is_some()), "{what}: asked all the time");
        if trouble.is_none() {
            // F-29: an hour of it is no other than a moment.
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
fn a_refresh_may_answer_as_providers_do() {
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
        world.advance(OVER);
        let before = asked(&world);
        assert!(visit(&world, &browser, what), "{what}");
        for _ in 0..10 {
            assert!(!visit(&world, &browser, what), "{what}: one refresh after the other");
        }
        assert_eq!(asked(&world), before + 1, "{what}");
    }
    for rotation in [Rotation::Kept, Rotation::Repeated, Rotation::Rotating] {
        for id_token in [true, false] {
            for nonce in [true, false] {
                let what = format!("{rotation:?}, ID token: {id_token}, nonce: {nonce}");
                world.issuer.terms(|terms| {
                    terms.refresh_expires_in = Some(json!(LIFE));
                    (terms.rotation, terms.refresh_id_token, terms.refresh_nonce) = (rotation, id_token, nonce);
                });
                let (browser, _) = world.signed_in();
                for _ in 0..2 {
                    world.advance(OVER);
                    assert!(visit(&world, &browser, &what), "{what}");
                    let seen = world.upstream.last();
                    assert_eq!(seen.headers.all("x-forwarded-email"), [b"alice@example.com"], "{what}");
                }
            }
        }
    }
}

#[test]
fn an_id_token_that_does_not_continue_the_session_ends_it_at_once() {
    let world = world();
    type Change = fn(&mut IdToken);
    let cases: [(&str, Change); 9] = [
        ("refresh-token-invalid-issuer", |token| token.set("iss", "https://evil.example")),
        ("refresh-token-invalid-sub", |token| token.set("sub", "mallory")),
        ("no sub", |token| token.remove("sub")),
        ("another aud", |token| token.set("aud", "another-client")),
        ("one aud more", |token| token.set("aud", json!([token.text("aud"), "another-client"]))),
        ("another azp", |token| token.set("azp", "another-client")),
        ("another nonce", |token| token.set("nonce", "another")),
        ("another auth_time", |token| token.set("auth_time", 1)),
        ("an access token", |token| drop(token.header.insert("typ".to_owned(), json!("at+jwt")))),
    ];
    for (what, change) in cases {
        let (browser, _) = world.signed_in();
        let (other, _) = world.signed_in();
        world.issuer.misbehave(Fault::RefreshIdToken(change));
        world.advance(AHEAD);
        assert_ended(&world, &browser, what);
        world.issuer.behave();
        assert!(visit(&world, &other, "another session of the same person"), "{what}");
        let steps = browser.follow(&world.url("/page"));
        assert!(!served(&steps.last().expect("a page").1, "signed in again"));
    }
    // One that nobody can verify says nothing about anybody: the session goes on as it is.
    for (what, change) in [
        ("unsigned", (|token| token.signing = Signing::None) as Change),
        ("signed by another key", |token| token.signing = Signing::Unpublished),
        ("over", |token| token.set("exp", token.issued_at() - 500)),
        ("for another access token", |token| token.set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let (browser, _) = world.signed_in();
        world.issuer.misbehave(Fault::RefreshIdToken(change));
        world.advance(AHEAD);
        // But for the refresh token that came beside it.
        let renewed = (0..6).filter(|_| visit(&world, &browser, what)).count();
        assert_eq!(renewed, 1, "{what}");
        world.issuer.behave();
    }
}

#[test]
fn two_users_at_the_same_moment_get_a_session_each_and_never_the_others() {
    let world = world();
    let users = ["alice", "bob"].map(|name| {
        world.issuer.sign_in_as(json!({"sub": name, "email": format!("{name}@example.com"), "email_verified": true}));
        (name, world.signed_in().0)
    });
    world.issuer.misbehave(Fault::Refresh(LATE));
    for (round, seconds) in [(1, OVER), (2, AHEAD)] {
        world.advance(seconds);
        thread::scope(|scope| {
            for (name, browser) in &users {
                let world = &world;
                scope.spawn(move || {
                    let path = format!("/{name}");
                    let requests = vec![(world.url(&path), Outgoing::fetch(&path)); 25];
                    for response in browser.at_once(&requests) {
                        served(&response, name);
                    }
                });
            }
        });
        for (name, browser) in &users {
            served(&browser.get(&world.url(&format!("/{name}"))), name);
        }
        let refreshes = world.issuer.refreshes();
        assert_eq!((refreshes.asked, refreshes.granted), (2 * round, 2 * round), "{refreshes:?}");
    }
    for request in world.upstream.seen() {
        let name = request.path().trim_start_matches('/');
        assert_eq!(request.headers.text("x-forwarded-user").as_deref(), Some(name), "{request:?}");
        let email = format!("{name}@example.com");
        assert_eq!(request.headers.text("x-forwarded-email"), Some(email), "{request:?}");
    }
}
