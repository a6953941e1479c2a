//! Renewal of sessions (RFC 6749, 6): one refresh for all requests of a session, in place, without the user noticing.

use std::{thread, time::Duration};

use serde_json::json;
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Endpoint, Fault, Issuer, Rotation},
    process::until,
    renewal::{DUE, EXPIRED, assert_served, give_short_lived_tokens, refresh_requests, visit, world},
    upstream::MARK,
    user_agent::Outgoing,
    world::{SESSION_COOKIE, World},
};

/// Long enough for every request of a test to come while a refresh is under way.
const LATE: Answer = Answer::Late(Duration::from_millis(400));
const LARGE: usize = 5 * 1024 * 1024;

#[test]
fn a_session_is_renewed_before_the_token_expires_with_the_current_claims() {
    let world = world();
    let (browser, first) = world.signed_in();
    world.advance(DUE - 20);
    assert!(!visit(&world, &browser, "it is good for a while yet"));
    assert_eq!(refresh_requests(&world), 0);
    world.issuer.sign_in_as(json!({"sub": "alice", "email": "new@example.com"}));
    world.advance(20);
    assert!(visit(&world, &browser, "it is due"), "{}", world.log());
    assert_eq!(world.upstream.last().headers.all("x-forwarded-email"), [b"new@example.com"]);
    assert!(!world.upstream.last().headers.has("x-forwarded-groups"), "the provider says no more of that");
    assert_ne!(browser.session_cookies()[0].value, first.into_bytes());
    for _ in 0..6 {
        assert!(!visit(&world, &browser, "and good again, in both workers"));
    }
    assert_eq!((refresh_requests(&world), world.metric("renewed")), (1, 1));

    // Long after the token's expiry it is renewed as well; then every request waits for the new session.
    world.advance(5000);
    assert!(visit(&world, &browser, "late"));
    assert_eq!(refresh_requests(&world), 2);
    // The provider's keys and metadata may have changed meanwhile.
    world.issuer.rotate();
    let keys = world.issuer.requests(Endpoint::Jwks).len();
    world.advance(EXPIRED);
    assert!(visit(&world, &browser, "signed with a new key"));
    assert!(world.issuer.requests(Endpoint::Jwks).len() > keys);
    assert_eq!(refresh_requests(&world), 3);
}

#[test]
fn forty_requests_at_the_expiry_of_the_token_cause_one_refresh() {
    let world = world();
    let (browser, first) = world.signed_in();
    world.issuer.misbehave(Fault::Refresh(LATE));
    for (round, seconds) in [(1, EXPIRED), (2, DUE), (3, EXPIRED)] {
        world.advance(seconds);
        let requests: Vec<_> = (0..40)
            .map(|at| {
                let path = format!("/page/{at}");
                (world.url(&path), if at % 2 == 0 { Outgoing::navigation(&path) } else { Outgoing::fetch(&path) })
            })
            .collect();
        let responses = browser.at_once(&requests);
        let renewed = responses.iter().filter(|response| assert_served(response, "at once")).count();
        // Before the expiry only the first request waits.
        assert!(if seconds == EXPIRED { renewed == 40 } else { renewed >= 1 }, "{round}: {renewed}");
        assert_eq!(refresh_requests(&world), round, "{:?}", world.issuer.refreshes());
        for _ in 0..6 {
            assert!(!visit(&world, &browser, "with the cookie that came last"));
        }
    }
    // A request that left the browser three refreshes ago.
    let late = Outgoing::fetch("/late").header("cookie", format!("{SESSION_COOKIE}={first}"));
    assert!(assert_served(&world.browser().visit(&world.url("/late"), late), "late"));
    assert_eq!(refresh_requests(&world), 3);
}

#[test]
fn two_envoys_refresh_at_most_once_each_without_ending_the_session() {
    let world = World::fleet(2);
    give_short_lived_tokens(&world);
    world.issuer.misbehave(Fault::Refresh(LATE));
    for (rotation, ahead) in [
        (Rotation::Rotating, EXPIRED),
        (Rotation::Rotating, DUE),
        (Rotation::RotatingOrEnding, EXPIRED),
        (Rotation::RotatingOrEnding, DUE),
    ] {
        let what = format!("{rotation:?}, {ahead}");
        world.issuer.terms(|terms| terms.rotation = rotation);
        let (browser, _) = world.signed_in();
        let before = world.issuer.refreshes();
        world.advance(ahead);
        let requests: Vec<_> =
            (0..40).map(|at| (world.url_at(at % 2, "/page"), Outgoing::navigation("/page"))).collect();
        let responses = browser.at_once(&requests);
        let renewed = responses.iter().filter(|response| assert_served(response, &what)).count();
        assert!(renewed >= 1, "{what}");
        let after = world.issuer.refreshes();
        assert!(after.asked - before.asked <= 2, "{what}: {before:?} {after:?}");
        assert_eq!(after.granted - before.granted, 1, "{what}");
        // Half a minute later, too: the Envoy that was refused knows that another may have refreshed.
        for seconds in [0, 20, 15] {
            world.advance(seconds);
            for number in [0, 1] {
                for _ in 0..3 {
                    let response = world.through(&browser, number).get(&world.url("/page"));
                    assert!(!assert_served(&response, &what), "{what}");
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
        give_short_lived_tokens(&world);
        let (browser, _) = world.signed_in();
        world.issuer.misbehave(Fault::Refresh(LATE));
        let body: Vec<u8> = (0..LARGE).map(|at| (at / 7 % 251) as u8).collect();
        let mut renewed = 0;
        for (round, method, chunked, seconds) in
            [(1, "POST", false, DUE), (2, "PUT", false, EXPIRED), (3, "POST", true, EXPIRED), (4, "PATCH", true, DUE)]
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
            renewed += usize::from(assert_served(&browser.visit(&world.url("/upload"), request), &what));
            assert_eq!(world.upstream.count(), before + 1, "{what}");
            let seen = world.upstream.last();
            assert_eq!(
                (seen.method.as_str(), seen.digest()),
                (method, Outgoing::new("", "").body(&body).digest()),
                "{what}"
            );
            // The new cookie is set by the next request at the latest.
            until("the end of the refresh", || (world.metric("renewed") == round).then_some(()));
            visit(&world, &browser, &what);
            assert!(!visit(&world, &browser, &what), "{what}");
            assert_eq!(refresh_requests(&world) as u64, round, "{what}");
        }
        // Where Envoy hands bodies to filters, it does not keep one of this size: such a request does not wait.
        assert_eq!(renewed, if option { 0 } else { 4 }, "{option}");
    }
}

#[test]
fn a_renewed_cookie_keeps_the_apps_cookies_and_prevents_caching() {
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
        world.advance(DUE);
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
fn a_renewal_completes_after_its_client_has_disconnected() {
    let world = world();
    let (browser, session) = world.signed_in();
    for (round, seconds) in [(1, DUE), (2, EXPIRED)] {
        world.issuer.misbehave(Fault::Refresh(LATE));
        world.advance(seconds);
        let before = world.upstream.count();
        let value = browser.session_cookies()[0].value.clone();
        let request = Outgoing::navigation("/gone").header("cookie", [b"__Host-vestibule=", &value[..]].concat());
        let connection = world.begun(&request);
        until("a refresh", || (refresh_requests(&world) == round).then_some(()));
        connection.reset();
        until("its end", || (world.metric("renewed") == round as u64).then_some(()));
        world.upstream.assert_saw_nothing_since(before, "the client was gone before");
        world.issuer.behave();
        assert!(visit(&world, &browser, "the next request gets the cookie"));
        assert!(!visit(&world, &browser, "once"));
        assert_eq!(refresh_requests(&world), round);
    }
    assert_ne!(browser.session_cookies()[0].value, session.into_bytes());
}

#[test]
fn concurrent_renewals_of_two_users_keep_their_claims_apart() {
    let world = world();
    let users = ["alice", "bob"].map(|name| {
        world.issuer.sign_in_as(json!({"sub": name, "email": format!("{name}@example.com"), "email_verified": true}));
        (name, world.signed_in().0)
    });
    world.issuer.misbehave(Fault::Refresh(LATE));
    for (round, seconds) in [(1, EXPIRED), (2, DUE)] {
        world.advance(seconds);
        thread::scope(|scope| {
            for (name, browser) in &users {
                let world = &world;
                scope.spawn(move || {
                    let path = format!("/{name}");
                    let requests = vec![(world.url(&path), Outgoing::fetch(&path)); 25];
                    for response in browser.at_once(&requests) {
                        assert_served(&response, name);
                    }
                });
            }
        });
        for (name, browser) in &users {
            assert_served(&browser.get(&world.url(&format!("/{name}"))), name);
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
