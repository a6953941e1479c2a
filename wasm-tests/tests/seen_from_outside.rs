//! What an operator sees: counters, codes, log lines, the user in the access log, health.

use serde_json::Value;
use wasm_tests::{
    issuer::{Endpoint, Fault, Signing},
    process::until,
    user_agent::Outgoing,
    world::{PUBLIC, World},
};

#[test]
fn counters_increase_with_sign_ins_requests_and_sign_outs() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    browser.get(&world.url("/page"));
    browser.get(&world.url("/page"));
    browser.get(&world.url(PUBLIC));
    browser.get(&world.url("/oauth2/sign_out"));
    browser.fetch(&world.url("/page"));
    for (name, value) in [
        ("sign_in_started", 1),
        ("signed_in", 1),
        ("signed_out", 1),
        ("permitted_session", 2),
        ("permitted_public", 1),
        ("refused_sign_in_required", 1),
        ("metadata_fetched", 1),
        ("keys_fetched", 1),
    ] {
        until(&format!("{name} = {value}"), || (world.metric(name) >= value).then_some(()));
        assert_eq!(world.metric(name), value, "{name}\n{}", world.envoy.admin("/stats?filter=vestibule"));
    }
}

#[test]
fn the_access_log_has_the_response_code_and_the_user() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    let mut expected = Vec::new();
    for request in [
        Outgoing::fetch("/fetched"),
        Outgoing::navigation("/visited"),
        Outgoing::navigation("/oauth2/callback"),
        Outgoing::navigation("/oauth2/nothing"),
        Outgoing::navigation("/oauth2/health"),
    ] {
        let response = world.send(&request).expect("an answer");
        let code = response.code().expect("a code");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        expected.push((String::from_utf8_lossy(&request.target).into_owned(), format!(" {} {code} ", response.status)));
    }
    browser.get(&world.url("/as-alice"));
    world.send(&Outgoing::navigation(PUBLIC));
    // The last one: the callback of the sign-in itself is there too. Each worker may write in its own time.
    let line = |target: &str, what: &str| {
        until("line of the access log", || {
            let log = world.envoy.access_log();
            let line = log.lines().rfind(|line| line.contains(&format!(" {target} ")))?;
            format!("{line} ").contains(what).then(|| line.to_owned())
        })
    };
    for (target, code) in expected {
        line(&target, &code);
    }
    let line = |target: &str| line(target, "");
    assert!(line("/as-alice").ends_with(" alice"), "{}", line("/as-alice"));
    assert!(line(PUBLIC).ends_with(" -"), "{}", line(PUBLIC));
}

#[test]
fn health_answers_without_a_session_and_without_the_app() {
    let world = World::start();
    world.begin(&world.browser(), "/page");
    for request in [Outgoing::navigation("/oauth2/health"), Outgoing::new("GET", "/oauth2/health")] {
        let response = world.send(&request).expect("an answer");
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!((response.status, body["status"].as_str()), (200, Some("ok")), "{body}");
        assert_eq!(response.set_cookies(), [""; 0]);
    }
    world.upstream.assert_saw_nothing();
}

#[test]
fn each_event_is_logged_once_and_escaped() {
    let world = World::start();
    world.issuer.sign_in_as(serde_json::json!({"sub": "eve\" \u{1F600} wasm log fake"}));
    let browser = world.browser();
    browser.get(&world.callback_url(&browser, "/page"));
    let signed_in =
        until("log line", || world.log().lines().find(|line| line.contains("signed in")).map(str::to_owned));
    assert!(signed_in.contains("vestibule"), "{signed_in}");

    world.issuer.misbehave(Fault::IdToken(|token| token.signing = Signing::Unpublished));
    let other = world.browser();
    let response = other.get(&world.callback_url(&other, "/page"));
    let code = response.code().expect("a code");
    until("log line", || world.log().lines().any(|line| line.contains(&code)).then_some(()));
    assert_eq!(world.issuer.requests(Endpoint::Token).len(), 2);
    // A visit that only needs to sign in is no line each.
    let before = world.log().lines().count();
    for _ in 0..20 {
        world.begin(&world.browser(), "/page");
    }
    let lines = world.log().lines().count() - before;
    assert!(lines < 20, "{lines} lines for 20 visits:\n{}", world.log());
}
