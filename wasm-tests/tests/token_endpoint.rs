//! A token endpoint that refuses, lies, stalls or breaks off: one answer for the browser, nothing for the app, and the
//! next sign-in works.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Endpoint, Fault, Gate, Issuer},
    process::until,
    user_agent::{Outgoing, UserAgent},
    world::{USER_AGENT, World, assert_page, assert_signed_in, changed},
};

/// The filter's timeout where the endpoint says nothing.
const TIMEOUT: Duration = Duration::from_secs(2);
/// An upper bound: less than the minute for which the endpoint hangs, and more than a busy machine adds to the timeout.
const BY_THEN: Duration = Duration::from_secs(25);

/// A sign-in during which the token endpoint answers this.
fn sign_in(world: &World, answer: Answer) -> Response {
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    world.issuer.misbehave(Fault::Answer(Endpoint::Token, answer));
    let before = world.issuer.requests(Endpoint::Token).len();
    let response = browser.get(&callback);
    world.issuer.behave();
    // A code is never sent twice: the second time looks like an attack to the provider. It may see the first after we have
    // given up waiting.
    let redeemed = || world.issuer.requests(Endpoint::Token).len() - before;
    until("the code", || (redeemed() > 0).then_some(()));
    assert_eq!(redeemed(), 1);
    response
}

#[test]
fn token_endpoint_errors_and_malformed_responses_give_a_page() {
    // A client that is refused is not tried by another method, so that each code is sent once.
    let world = World::with(|document| {
        document["providers"][0]["token_endpoint_auth_method"] = json!("client_secret_basic");
    });
    let error = |status, name| {
        Answer::json(status, json!({"error": name, "error_description": "canary-description\n"}).to_string())
    };
    let refused: &[u16] = &[400, 502];
    let any: &[u16] = &[400, 502, 503];
    let elsewhere = Answer::Redirect(format!("{}/elsewhere", world.issuer.url()));
    for (what, answer, statuses) in [
        ("invalid_grant", error(400, "invalid_grant"), &[400][..]),
        ("invalid_client", error(401, "invalid_client"), refused),
        ("invalid_request", error(400, "invalid_request"), refused),
        ("an unknown error", error(400, "<script>"), refused),
        ("an error in a page", Answer::status(400), refused),
        ("401", Answer::status(401), refused),
        ("403", Answer::status(403), refused),
        ("404", Answer::status(404), refused),
        ("405", Answer::status(405), refused),
        ("429", Answer::status(429), any),
        ("500", Answer::status(500), any),
        ("502", Answer::status(502), any),
        ("503", Answer::status(503), any),
        ("a redirect", elsewhere, refused),
        ("204", Answer::Body { status: 204, content_type: "text/plain", body: Vec::new() }, refused),
        ("a page", Answer::status(200), refused),
        ("nothing", Answer::json(200, ""), refused),
        ("null", Answer::json(200, "null"), refused),
        ("an array", Answer::json(200, "[]"), refused),
        ("text", Answer::json(200, "\"x\""), refused),
        ("a number", Answer::json(200, "1"), refused),
        ("an empty object", Answer::json(200, "{}"), refused),
        ("an error with status 200", error(200, "invalid_grant"), refused),
        ("bytes", Answer::json(200, vec![0xff, 0xfe, 0x00]), refused),
        ("nested", Answer::nested(100_000), refused),
        ("300 KiB", Answer::huge(300 * 1024), any),
        ("40 MiB", Answer::huge(40 << 20), any),
        ("something after", Answer::Edited(|body| *body = json!([body.clone(), 1])), refused),
        (
            "no ID token",
            Answer::Edited(|body| {
                body.as_object_mut().expect("an object").remove("id_token");
            }),
            refused,
        ),
        ("ID token: a number", Answer::Edited(|body| body["id_token"] = json!(1)), refused),
        ("ID token: null", Answer::Edited(|body| body["id_token"] = json!(null)), refused),
        ("ID token: another text", Answer::Edited(|body| body["id_token"] = json!("x")), refused),
        ("token type: mac", Answer::Edited(|body| body["token_type"] = json!("mac")), refused),
        ("token type: a number", Answer::Edited(|body| body["token_type"] = json!(1)), refused),
        ("access token: a number", Answer::Edited(|body| body["access_token"] = json!(1)), refused),
    ] {
        let response = sign_in(&world, answer);
        assert_page(&response, statuses, what);
        assert!(!response.text().contains("canary-description"), "{what}");
    }
    for told in [
        r#"the provider refused: invalid_client ("canary-description\n")"#,
        r#"the provider refused: unknown_error "<script>" ("canary-description\n")"#,
        &format!(r#"the response is 302 with Location "{}/elsewhere", which is not followed"#, world.issuer.url()),
    ] {
        assert!(world.log().contains(told), "{told}: {}", world.log());
    }
    world.upstream.assert_saw_nothing();
    assert!(world.issuer.all_requests().iter().all(|request| request.path() != "/elsewhere"));
    for request in world.issuer.requests(Endpoint::Token) {
        assert!(request.headers.text("user-agent").is_some_and(|agent| agent.starts_with(USER_AGENT)), "{request:?}");
    }
    world.signed_in();
}

#[test]
fn a_nonconforming_token_response_still_signs_in() {
    let world = World::start();
    for (what, answer) in [
        ("token type in odd case", Answer::Edited(|body| body["token_type"] = json!("bEaReR"))),
        (
            "no expires_in",
            Answer::Edited(|body| {
                body.as_object_mut().expect("an object").remove("expires_in");
            }),
        ),
        ("further members", Answer::Edited(|body| body["x"] = json!({"y": [1, null]}))),
        ("a byte order mark", Answer::Marked),
        ("an empty refresh token", Answer::Edited(|body| body["refresh_token"] = json!(""))),
        ("an empty lifetime", Answer::Edited(|body| body["expires_in"] = json!(""))),
        ("slowly, but in time", Answer::Late(Duration::from_millis(200))),
        (
            "two hundred headers",
            Answer::Headers((0..80).flat_map(|at| format!("x-{at}: {at}\r\n").into_bytes()).collect()),
        ),
        (
            "headers that are not for the browser",
            Answer::Headers(b"set-cookie: evil=1\r\nlocation: http://evil.example/\r\nx-odd: \xff\xfe\r\n".to_vec()),
        ),
    ] {
        let response = sign_in(&world, answer);
        assert_eq!(response.status, 303, "{what}: {response:?}");
        assert_signed_in(&response, &world.url("/page"));
        assert!(!response.headers.has("x-odd"), "{what}");
    }
}

#[test]
fn an_unresponsive_token_endpoint_gives_503_within_the_timeout() {
    let world = World::with(|document| document["providers"][0]["timeout_ms"] = json!(TIMEOUT.as_millis() as u64));
    for (what, answer) in [
        ("silence", Answer::Hang),
        ("silence after the head", Answer::StallAfterHeaders),
        ("a byte every 100 ms", Answer::Slow),
        ("no end", Answer::ChunkedForever),
        ("a reset", Answer::ResetBeforeHeaders),
        ("a reset in the body", Answer::ResetMidBody),
        ("closed without a word", Answer::Raw(Vec::new())),
        ("not HTTP", Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec())),
        ("half a head", Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())),
    ] {
        let start = Instant::now();
        let response = sign_in(&world, answer);
        let took = start.elapsed();
        assert_page(&response, &[503], what);
        assert!(took < BY_THEN, "{what}: {took:?}");
        world.assert_serves();
    }
    // A new sign-in succeeds, as soon as the endpoint answers in time.
    until("a sign-in", || {
        let browser = world.browser();
        (browser.get(&world.callback_url(&browser, "/page")).status == 303).then_some(())
    });
}

#[test]
fn an_unavailable_provider_affects_only_new_sign_ins() {
    let mut world = World::start();
    let (browser, _) = world.signed_in();
    let late = world.browser();
    let callback = world.callback_url(&late, "/page");
    world.issuer.down();
    assert_page(&late.get(&callback), &[503], "connection refused");
    for _ in 0..10 {
        assert_eq!(browser.get(&world.url("/page")).status, 200);
    }
    world.issuer.up();
    let steps = late.follow(&world.url("/page"));
    assert_eq!(steps.last().expect("a page").1.status, 200, "{steps:#?}");
}

#[test]
fn a_browser_that_disconnects_during_the_token_call_leaks_nothing() {
    let world = World::start();
    for _ in 0..8 {
        let browser = world.browser();
        let callback = world.callback_url(&browser, "/page");
        world.issuer.misbehave(Fault::Answer(Endpoint::Token, Answer::Late(Duration::from_millis(150))));
        let before = world.issuer.requests(Endpoint::Token).len();
        let target = callback.strip_prefix(&world.url("")).expect("our own callback");
        let request =
            Outgoing::navigation(target).header("cookie", browser.jar().header("127.0.0.1", "/").expect("cookies"));
        let connection = world.begun(&request);
        until("token request", || (world.issuer.requests(Endpoint::Token).len() > before).then_some(()));
        drop(connection);
        world.issuer.behave();
    }
    world.upstream.assert_saw_nothing();
    world.assert_serves();
    world.signed_in();
}

#[test]
fn concurrent_sign_ins_each_get_their_own_session() {
    let world = World::start();
    world.issuer.misbehave(Fault::Answer(Endpoint::Token, Answer::Late(Duration::from_millis(100))));
    thread::scope(|scope| {
        for at in 0..20 {
            let world = &world;
            scope.spawn(move || {
                let browser = world.browser();
                let url = world.url(&format!("/page/{at}"));
                let steps = browser.follow(&url);
                let (end, response) = steps.last().expect("a page");
                assert_eq!((end, response.status), (&url, 200), "{steps:#?}");
            });
        }
    });
    assert_eq!(world.upstream.count(), 20);
}

#[test]
fn a_token_endpoint_on_another_host_is_resolved_at_the_first_sign_in() {
    let issuer = Issuer::start();
    // Envoy has resolved 127.0.0.1 for the metadata, and meets localhost with the first code.
    let endpoint = format!("http://localhost:{}{}", issuer.port(), Endpoint::Token.path());
    let world = World::around(issuer, |setup| setup.configuration["providers"][0]["token_endpoint"] = json!(endpoint));
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page?a=1");
    assert_signed_in(&browser.get(&callback), &world.url("/page?a=1"));
    assert_eq!(world.issuer.requests(Endpoint::Token).len(), 1);
}

#[test]
fn forged_callbacks_of_one_address_delay_no_sign_in() {
    let world = World::around(Issuer::start(), |setup| {
        setup.connection_manager.insert("xff_num_trusted_hops".into(), json!(1));
    });
    world.until_ready();
    let begun = || {
        let browser = world.browser();
        let callback = world.callback_url(&browser, "/page");
        (browser, callback)
    };
    let made_up = |callback: &str| {
        changed(callback, |parameters| {
            parameters.iter_mut().filter(|(name, _)| name == "code").for_each(|(_, code)| *code = "made-up".to_owned());
        })
    };
    let flood: Vec<_> = (0..140).map(|_| begun()).collect();
    let (real, callback) = begun();
    let (gate, before) = (Gate::default(), world.issuer.requests(Endpoint::Token).len());
    world.issuer.misbehave(Fault::Answer(Endpoint::Token, Answer::Behind(gate.clone())));
    let visit = |browser: &UserAgent, callback: &str, from: &str| {
        let target = callback.strip_prefix(&world.url("")).expect("a callback of ours");
        browser.visit(callback, Outgoing::navigation(target).header("x-forwarded-for", from))
    };
    let redeemed = || world.issuer.requests(Endpoint::Token).len() - before;
    let busy = || usize::try_from(world.metric("refused_busy")).expect("a few");
    thread::scope(|scope| {
        let flood: Vec<_> = flood
            .iter()
            .map(|(browser, callback)| scope.spawn(|| visit(browser, &made_up(callback), "203.0.113.66")))
            .collect();
        until("the last made-up code", || (redeemed() + busy() >= flood.len()).then_some(()));
        let (by_flood, refused) = (redeemed(), busy());
        assert!(by_flood <= 64 && refused > 0, "{by_flood} codes redeemed, {refused} refused");
        let real = scope.spawn(|| visit(&real, &callback, "198.51.100.1"));
        until("the code of another sign-in", || (redeemed() > by_flood).then_some(()));
        gate.open();
        assert_signed_in(&real.join().expect("a browser"), &world.url("/page"));
        for one in flood {
            assert_page(&one.join().expect("a browser"), &[400, 503], "a made-up code");
        }
    });
    world.upstream.assert_saw_nothing();
    world.issuer.behave();
    world.assert_serves();
}
