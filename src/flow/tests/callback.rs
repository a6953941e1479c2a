//! Valid, malformed and forged callbacks. The numbers of the rows are those of the conformance and attack lists.

use std::time::Duration;

use serde_json::json;

use super::world::{APP, ISSUER, Outcome, World, header, location};
use crate::{
    http::{CalloutError, CalloutResponse},
    quoted::Quoted,
};

/// Begins a sign-in, changes its callback, and visits it.
fn tampered(change: impl Fn(&str) -> String) -> (World, (u16, &'static str)) {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = change(&world.signs_in(&reply));
    let code = world.visit(&callback).code();
    (world, code)
}

#[test]
fn a_malformed_or_foreign_callback_gets_a_page_and_redeems_no_code() {
    type Change = fn(&str) -> String;
    let cases: [(&str, Change, (u16, &str)); 16] = [
        ("C-01 no query", |_| "/oauth2/callback".to_owned(), (400, "callback_malformed")),
        ("C-02 no state", |_| "/oauth2/callback?code=x".to_owned(), (400, "callback_malformed")),
        ("C-03 empty state", |_| "/oauth2/callback?code=x&state=".to_owned(), (400, "callback_malformed")),
        ("C-03 state of percent signs", |_| "/oauth2/callback?code=x&state=%zz".to_owned(), (400, "callback_state")),
        ("C-03 state with NUL", |_| "/oauth2/callback?code=x&state=%00".to_owned(), (400, "callback_malformed")),
        ("C-04 state cut", |c| c.replace("&iss", "").replace("=code&state=", "=code&state=A"), (400, "callback_state")),
        ("C-06 two states", |c| format!("{c}&state=b"), (400, "callback_malformed")),
        ("C-06 two codes", |c| format!("{c}&code=b"), (400, "callback_malformed")),
        ("C-06 two issuers", |c| format!("{c}&iss=b"), (400, "callback_malformed")),
        ("C-15 another issuer", |c| c.replace("idp.example.com", "evil.example"), (400, "callback_wrong_issuer")),
        ("C-15 a slash more", |c| format!("{c}%2F"), (400, "callback_wrong_issuer")),
        (
            "C-15 no issuer though promised",
            |c| c.split("&iss").next().unwrap().to_owned(),
            (400, "callback_wrong_issuer"),
        ),
        ("C-17 declined", |c| c.replace("code=code", "error=access_denied"), (403, "access_denied")),
        ("C-18 trouble", |c| c.replace("code=code", "error=server_error"), (503, "provider_unavailable")),
        ("C-18 refusal", |c| c.replace("code=code", "error=invalid_scope"), (400, "provider_refused")),
        ("C-19 both", |c| format!("{c}&error=x"), (400, "callback_malformed")),
    ];
    for (name, change, expected) in cases {
        let (mut world, code) = tampered(change);
        assert_eq!(code, expected, "{name}");
        assert_eq!(world.provider.asked.get("/token"), None, "{name}");
        assert!(!world.has_session(), "{name}");
        assert_eq!(world.visit("/next").code(), (302, "sign_in_started"), "{name}");
    }
}

#[test]
fn an_expired_login_page_of_the_provider_restarts_the_sign_in() {
    // Errors of Keycloak, of Ory Hydra, and of a provider without a session that could have asked the user.
    let description = "&error_description=authentication_expired";
    for error in ["temporarily_unavailable", "request_unauthorized", "login_required", "interaction_required"] {
        let mut world = World::ready();
        let reply = world.visit("/page?a=1").reply();
        let callback = world.signs_in(&reply).replace("code=code", &format!("error={error}{description}"));
        let again = world.visit(&callback).reply();
        assert_eq!((again.status, again.code, world.pending()), (302, "sign_in_started", 1), "{error}");
        let logged = world.events.iter().any(|event| event.to_string().contains(&format!("answered {error} (")));
        assert!(logged, "{:?}", world.events);
        // The first response is used up, and its description is never repeated.
        assert!(!location(&again).contains("expired"));

        let callback = world.signs_in(&again);
        let arrived = world.visit(&callback).reply();
        assert_eq!((arrived.code, location(&arrived)), ("signed_in", "https://app.example.com/page?a=1"), "{error}");
        assert_eq!(world.provider.asked["/token"], 1, "{error}");
    }
}

#[test]
fn a_second_provider_error_ends_the_sign_in_with_a_page() {
    for (error, refusal) in [
        ("temporarily_unavailable", (503, "provider_unavailable")),
        ("request_unauthorized", (400, "provider_refused")),
        ("login_required", (400, "provider_refused")),
    ] {
        let mut world = World::ready();
        let first = world.visit("/page").reply();
        let error = format!("error={error}");
        let callback = world.signs_in(&first).replace("code=code", &error);
        let second = world.visit(&callback).reply();
        let callback = world.signs_in(&second).replace("code=code", &error);
        let page = world.visit(&callback).reply();
        assert_eq!((page.status, page.code, world.pending()), (refusal.0, refusal.1, 0), "{error}");
        assert!(String::from_utf8(page.body).unwrap().contains("href=\"https://app.example.com/page\""));
        // A new try of the user counts as a first sign-in.
        world.sign_in("/page");
    }
}

#[test]
fn a_permanent_provider_error_ends_with_a_page_at_once() {
    let silent = json!([{ "issuer": ISSUER, "client_id": "client", "client_secret": "secret",
        "authorization_params": { "prompt": "none" } }]);
    let cases = [
        (World::ready(), "server_error", (503, "provider_unavailable")),
        (World::ready(), "consent_required", (400, "provider_refused")),
        (World::ready_with(&[("providers", silent.clone())]), "login_required", (400, "provider_refused")),
        (World::ready_with(&[("providers", silent)]), "interaction_required", (400, "provider_refused")),
    ];
    for (mut world, error, refusal) in cases {
        let reply = world.visit("/page").reply();
        let callback = world.signs_in(&reply).replace("code=code", &format!("error={error}"));
        assert_eq!(world.visit(&callback).code(), refusal, "{error}");
    }
    // `iss` is checked on errors too (RFC 9207, 2.4): one of another issuer begins nothing.
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply).replace("code=code", "error=temporarily_unavailable");
    let callback = callback.replace("idp.example.com", "evil.example");
    assert_eq!(world.visit(&callback).code(), (400, "callback_wrong_issuer"));
}

#[test]
fn an_expired_login_page_leads_a_signed_in_browser_to_its_target() {
    let mut world = World::ready();
    let late = world.visit("/late").reply();
    world.sign_in("/first");
    let callback = world.signs_in(&late).replace("code=code", "error=temporarily_unavailable");
    let arrived = world.visit(&callback).reply();
    assert_eq!((arrived.code, location(&arrived)), ("already_signed_in", "https://app.example.com/late"));
    assert_eq!(world.pending(), 0);
}

#[test]
fn a_refusal_ends_its_sign_in_only() {
    let mut world = World::ready();
    let declined = world.visit("/declined").reply();
    let other = world.visit("/other").reply();
    let callback = world.signs_in(&declined).replace("code=code", "error=access_denied");
    let page = world.visit(&callback).reply();
    assert!(String::from_utf8(page.body).unwrap().contains("href=\"https://app.example.com/declined\""));
    assert_eq!(world.pending(), 1);
    let callback = world.signs_in(&other);
    assert_eq!(location(&world.visit(&callback).reply()), format!("{APP}/other"));
}

#[test]
fn an_error_description_is_never_shown() {
    let (_, code) = tampered(|c| format!("{}&error_description=%3Cscript%3E", c.replace("code=code", "error=%3Cb%3E")));
    assert_eq!(code, (400, "provider_refused"));
}

#[test]
fn the_state_of_another_browser_creates_no_session() {
    let mut victim = World::ready();
    victim.visit("/victim").reply();
    let kept = victim.jar.clone();
    // The attacker's own sign-in, at the same app with the same keys, brought to the victim's browser.
    let jar = std::mem::take(&mut victim.jar);
    let reply = victim.visit("/attacker").reply();
    let callback = victim.signs_in(&reply);
    victim.jar = jar;
    let reply = victim.visit(&callback).reply();
    assert_eq!(reply.code, "sign_in_started");
    assert_eq!(victim.provider.asked.get("/token"), None);
    assert!(kept.iter().all(|(name, value)| victim.jar.get(name) == Some(value)) && !victim.has_session());
}

#[test]
fn a_replayed_callback_leads_to_the_page_without_a_token_request() {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    world.visit(&callback).reply();
    let again = world.visit(&callback).reply();
    assert_eq!((again.status, location(&again)), (303, "https://app.example.com/page"));
    assert_eq!(world.provider.asked["/token"], 1);
}

#[test]
fn a_callback_sent_twice_at_once_redeems_its_code_once() {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let jar = world.jar.clone();
    world.visit(&callback).reply();
    // The second one left the browser before the first was answered, and reaches another worker.
    world.jar = jar;
    world.worker = 1;
    assert_eq!(world.visit(&callback).code(), (302, "sign_in_started"));
    assert_eq!(world.provider.asked["/token"], 1);
}

#[test]
fn a_callout_that_envoy_refuses_is_retried_for_a_limited_time() {
    let refuses = |world: &mut World| world.provider.token_response = Box::new(|_| Err(CalloutError::Dispatch));
    // Envoy resolves the host of the endpoint in the meantime.
    let mut world = World::ready();
    refuses(&mut world);
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("the call is tried again") };
    world.provider.token_response = Box::new(|body| super::world::ok(&body));
    assert_eq!(world.resume(waiter).code(), (303, "signed_in"));
    // The host is never resolved.
    world.jar.clear();
    refuses(&mut world);
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("the call is tried again") };
    world.advance(5);
    assert_eq!(world.resume(waiter).code(), (503, "token_endpoint_unavailable"));
    assert!(!world.has_session());
}

#[test]
fn the_log_names_a_cluster_that_envoy_does_not_have_and_the_page_does_not() {
    let mut world = World::ready();
    world.provider.token_response = Box::new(|_| Err(CalloutError::NoCluster(Quoted::new("outbound|443||idp"))));
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("the call is tried again") };
    world.advance(5);
    let reply = world.resume(waiter).reply();
    assert_eq!((reply.status, reply.code), (503, "token_endpoint_unavailable"));
    let lines: Vec<_> = world.events.iter().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("Envoy has no cluster \"outbound|443||idp\"; ")), "{lines:#?}");
    assert!(!String::from_utf8(reply.body).unwrap().contains("outbound"));
    world.provider.token_response = Box::new(|body| super::world::ok(&body));
    world.sign_in("/page");
}

#[test]
fn a_session_or_pending_cookie_is_accepted_only_under_its_own_name() {
    let mut world = World::ready();
    world.sign_in("/");
    let session = world.jar["__Host-vestibule"].clone();
    world.jar.clear();
    let reply = world.visit("/page").reply();
    let (name, pending) = world.jar.iter().next().map(|(name, value)| (name.clone(), value.clone())).unwrap();
    let callback = world.signs_in(&reply);
    world.jar.insert(name, session);
    assert_eq!(world.visit(&callback).code(), (302, "sign_in_started"));
    world.jar.clear();
    world.jar.insert("__Host-vestibule".to_owned(), pending);
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    assert_eq!(world.provider.asked["/token"], 1);
}

#[test]
fn only_the_exact_path_is_the_callback() {
    let mut world = World::ready();
    for (path, expected) in [
        ("/oauth2/callback/?code=a&state=b", (404, "reserved_path")),
        ("/oauth2/callbackx?code=a&state=b", (404, "reserved_path")),
        ("/oauth2/", (404, "reserved_path")),
        ("/oauth2", (404, "reserved_path")),
        ("/oauth2/callback%2f?code=a&state=b", (404, "reserved_path")),
        ("//oauth2/callback?code=a&state=b", (302, "sign_in_started")),
        ("/OAUTH2/callback?code=a&state=b", (302, "sign_in_started")),
        ("/x/../oauth2/callback?code=a&state=b", (302, "sign_in_started")),
        ("/oauth2x", (302, "sign_in_started")),
    ] {
        assert_eq!(world.visit(path).code(), expected, "{path}");
    }
}

#[test]
fn the_callback_accepts_only_get() {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let reply = world.send(&[(":method", "POST"), (":path", &callback), ("accept", "text/html")]).reply();
    assert_eq!((reply.status, header(&reply, "allow")), (405, Some("GET")));
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
}

#[test]
fn a_token_endpoint_failure_creates_no_session_and_gives_a_page() {
    type Answer = fn() -> Result<CalloutResponse, CalloutError>;
    let cases: [(&str, Answer, (u16, &str)); 13] = [
        ("F-04 broke off", || Err(CalloutError::NoResponse), (503, "token_endpoint_unavailable")),
        ("F-09 too large", || Err(CalloutError::TooLarge), (502, "token_endpoint_malformed")),
        ("F-02 timeout", || status(504, "upstream request timeout"), (503, "token_endpoint_unavailable")),
        ("F-05 code used", || status(400, r#"{"error":"invalid_grant"}"#), (400, "token_endpoint_invalid_grant")),
        ("F-05 wrong secret", || status(401, r#"{"error":"invalid_client"}"#), (502, "token_endpoint_refused")),
        ("F-05 new error", || status(400, r#"{"error":"<b>"}"#), (502, "token_endpoint_refused")),
        ("F-06 redirect", || status(302, ""), (502, "token_endpoint_malformed")),
        ("F-06 too many", || status(429, ""), (503, "token_endpoint_unavailable")),
        ("F-07 HTML", || status(200, "<html>"), (502, "token_endpoint_malformed")),
        ("F-07 null", || status(200, "null"), (502, "token_endpoint_malformed")),
        (
            "F-11 no ID token",
            || status(200, r#"{"access_token":"a","token_type":"Bearer"}"#),
            (502, "token_endpoint_malformed"),
        ),
        (
            "F-11 mac",
            || status(200, r#"{"access_token":"a","token_type":"mac","id_token":"a.b.c"}"#),
            (502, "token_endpoint_malformed"),
        ),
        (
            "F-13 members twice",
            || status(200, r#"{"access_token":"a","access_token":"b","token_type":"Bearer","id_token":"a.b.c"}"#),
            (502, "token_endpoint_malformed"),
        ),
    ];
    for (name, answer, expected) in cases {
        let mut world = World::ready();
        world.provider.token_response = Box::new(move |_| answer());
        let reply = world.visit("/page").reply();
        let callback = world.signs_in(&reply);
        let reply = world.visit(&callback).reply();
        assert_eq!((reply.status, reply.code), expected, "{name}");
        assert_eq!(header(&reply, "retry-after").is_some(), expected.0 == 503, "{name}");
        assert!(!world.has_session() && world.pending() == 0, "{name}");
        // The user can try again at once.
        world.provider.token_response = Box::new(|body| super::world::ok(&body));
        world.sign_in("/page");
    }
}

fn status(status: u16, body: &str) -> Result<CalloutResponse, CalloutError> {
    Ok(CalloutResponse::new(status, body.as_bytes().to_vec()))
}

#[test]
fn a_pending_sign_in_with_a_future_time_is_restarted() {
    let mut world = World::ready();
    world.advance(7200);
    let begun = world.now;
    let sent = world.visit("/page").reply();
    let callback = world.signs_in(&sent);
    // The clock is set back: by as much as clocks may differ, and by more.
    for (back, status) in [(7200, 302), (301, 302), (300, 303)] {
        world.now = begun.minus(Duration::from_secs(back));
        let jar = world.jar.clone();
        assert_eq!(world.visit(&callback).reply().status, status, "{back}");
        world.jar = jar;
    }
}

#[test]
fn a_sign_in_that_expires_while_waiting_ignores_a_signed_out_session() {
    let mut world = World::ready();
    let begun = world.visit("/page").reply();
    world.sign_in("/");
    let callback = world.signs_in(&begun);
    // Envoy has restarted and has no metadata of the provider.
    world.restart();
    let timeout = world.config.session.sign_in_timeout.as_secs();
    world.advance(timeout - 3);
    let Outcome::Held(waits) = world.visit(&callback) else { panic!("the provider is not known yet") };
    assert!(matches!(world.opens("/oauth2/sign_out", "same-origin"), Outcome::Held(_)));
    world.advance(4);
    world.settle();
    assert_eq!(world.resume(waits).code(), (302, "sign_in_started"));
}
