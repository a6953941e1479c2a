//! Renewal of sessions: each refresh token is used once, and no user is signed out whom the provider still accepts.

use serde_json::{Map, Value, json};

use super::{
    super::event::Event,
    world::{Outcome, World, document, ok},
};

/// A signed-in user. The access token lasts ten minutes and is renewed two minutes before its end.
fn signed_in() -> World {
    // One method of sending the secret: a refusal is not asked about twice.
    let mut providers = document()["providers"].clone();
    providers[0]["token_endpoint_auth_method"] = json!("client_secret_basic");
    let mut world = World::ready_with(&[("providers", providers)]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world
}

fn user(outcome: &Outcome) -> &str {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(name, value)| (name == "x-forwarded-user").then_some(value)).unwrap()
}

fn email(outcome: &Outcome) -> Option<&str> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(name, value)| (name == "x-forwarded-email").then_some(value.as_str()))
}

fn cookies(outcome: &Outcome) -> usize {
    let Outcome::Forwarded { cookies, .. } = outcome else { panic!("{outcome:?}") };
    cookies.len()
}

fn refreshes(world: &World) -> usize {
    world.provider.asked["/token"] - 1
}

#[test]
fn a_session_is_not_renewed_early() {
    let mut world = signed_in();
    world.advance(479);
    assert_eq!(cookies(&world.visit("/")), 0);
    assert_eq!(refreshes(&world), 0);
}

#[test]
fn a_due_renewal_holds_the_request_until_the_new_cookie() {
    let mut world = signed_in();
    let before = world.session_cookies();
    world.advance(480);
    world.provider.claims = Box::new(|claims| drop(claims.insert("email".to_owned(), json!("new@example.com"))));
    let post = [(":method", "POST"), (":path", "/save"), ("content-type", "application/json")];
    let held = world.send(&post);
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    let outcome = world.then(held);
    // The renewal brings new claims.
    assert_eq!((user(&outcome), email(&outcome), cookies(&outcome)), ("alice", Some("new@example.com"), 1));
    assert_ne!(world.session_cookies(), before);
    assert_eq!(refreshes(&world), 1);
    // A request with the new cookie renews nothing.
    let next = world.visit("/");
    assert_eq!((email(&next), cookies(&next)), (Some("new@example.com"), 0));
}

#[test]
fn a_request_with_a_body_is_not_held_for_a_renewal() {
    let mut world = World::ready_with(&[("allow_on_headers_stop_iteration", json!(true))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(700);
    let post = [(":method", "POST"), (":path", "/save"), ("content-type", "application/json")];
    assert_eq!(cookies(&world.send_more(&post)), 0);
    // The refresh is under way all the same, and the next request gets its cookie.
    assert!(matches!(world.send(&post), Outcome::Held(_)));
    world.settle();
    assert_eq!((cookies(&world.send_more(&post)), refreshes(&world)), (1, 1));
}

#[test]
fn requests_during_a_renewal_pass_with_the_old_session() {
    let mut world = signed_in();
    world.advance(480);
    let first = world.visit("/one");
    assert!(matches!(first, Outcome::Held(_)));
    let old = world.jar.clone();
    for worker in [0, 1] {
        world.worker = worker;
        assert_eq!(cookies(&world.visit("/two")), 0, "worker {worker}");
    }
    world.worker = 0;
    assert_eq!(cookies(&world.then(first)), 1);
    // Requests that left the browser before it had the new cookie, on both workers.
    for worker in [0, 1] {
        world.worker = worker;
        world.jar = old.clone();
        let late = world.visit("/late");
        assert_eq!((user(&late), cookies(&late)), ("alice", 1), "worker {worker}");
    }
    assert_eq!(refreshes(&world), 1);
}

#[test]
fn forty_requests_after_the_expiry_of_the_token_cause_one_refresh() {
    let mut world = signed_in();
    world.advance(700);
    let old = world.jar.clone();
    let mut held = Vec::new();
    for request in 0..40 {
        world.worker = request % 2;
        let outcome = world.visit("/");
        assert!(matches!(outcome, Outcome::Held(_)), "{request}: {outcome:?}");
        held.push((world.worker, outcome));
    }
    for (worker, outcome) in held {
        world.worker = worker;
        world.jar = old.clone();
        let outcome = world.then(outcome);
        assert_eq!((user(&outcome), cookies(&outcome)), ("alice", 1));
    }
    assert_eq!(refreshes(&world), 1);
}

#[test]
fn a_renewal_completes_after_its_client_has_disconnected() {
    let mut world = signed_in();
    world.advance(480);
    drop(world.visit("/gone"));
    world.settle();
    let outcome = world.visit("/back");
    assert_eq!((user(&outcome), cookies(&outcome), refreshes(&world)), ("alice", 1, 1));
    world.advance(480);
    let outcome = world.visit("/later");
    let outcome = world.then(outcome);
    assert_eq!((cookies(&outcome), refreshes(&world)), (1, 2));
}

#[test]
fn an_old_cookie_resolves_to_the_session_of_the_latest_renewal() {
    let mut world = signed_in();
    let oldest = world.jar.clone();
    for _ in 0..3 {
        world.advance(480);
        let outcome = world.visit("/");
        assert_eq!(cookies(&world.then(outcome)), 1);
    }
    world.jar = oldest;
    let outcome = world.visit("/");
    assert_eq!((user(&outcome), cookies(&outcome), refreshes(&world)), ("alice", 1, 3));
}

#[test]
fn a_refresh_token_used_by_another_process_keeps_the_session() {
    let mut world = signed_in();
    // Another process has used the refresh token.
    world.provider.refresh_tokens.clear();
    world.advance(480);
    let before = world.session_cookies();
    let outcome = world.visit("/");
    let outcome = world.then(outcome);
    assert_eq!((user(&outcome), cookies(&outcome)), ("alice", 0));
    for _ in 0..3 {
        assert_eq!(cookies(&world.visit("/")), 0);
    }
    assert_eq!((refreshes(&world), world.session_cookies()), (1, before));
}

#[test]
fn a_refused_renewal_ends_the_session_after_a_grace_period() {
    let mut world = signed_in();
    world.provider.refresh_tokens.clear();
    world.advance(700);
    let outcome = world.visit("/");
    // The answer of another process, with the new cookie, may be on its way.
    assert_eq!(user(&world.then(outcome)), "alice");
    world.advance(29);
    assert_eq!(user(&world.visit("/")), "alice");
    world.advance(1);
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    let fetch = [(":method", "GET"), (":path", "/api"), ("sec-fetch-mode", "cors")];
    assert_eq!(world.send(&fetch).code(), (401, "sign_in_required"));
    assert_eq!(refreshes(&world), 1);
    // The other worker refuses the session too, and the event is logged once.
    world.worker = 1;
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    assert_eq!(world.events.iter().filter(|event| matches!(event, Event::SessionRefused(..))).count(), 1);
    // A new sign-in is accepted.
    world.worker = 0;
    world.sign_in("/");
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
}

#[test]
fn a_failing_provider_ends_no_session_and_renewals_back_off() {
    for trouble in [
        Err(crate::http::CalloutError::NoResponse),
        Err(crate::http::CalloutError::Dispatch),
        Ok(crate::http::CalloutResponse::new(503, Vec::new())),
        Ok(crate::http::CalloutResponse::new(400, br#"{"error":"invalid_client"}"#.to_vec())),
        Ok(crate::http::CalloutResponse::new(401, br#"{"error":"invalid_client"}"#.to_vec())),
        Ok(crate::http::CalloutResponse::new(200, b"<html>".to_vec())),
    ] {
        let mut world = signed_in();
        let what = format!("{trouble:?}");
        world.provider.refresh_response = Some(Box::new(move |_| trouble.clone()));
        world.advance(700);
        let outcome = world.visit("/");
        assert_eq!(user(&world.then(outcome)), "alice", "{what}");
        for _ in 0..14 {
            world.advance(1);
            assert_eq!((user(&world.visit("/")), refreshes(&world)), ("alice", 1), "{what}");
        }
        world.advance(1);
        let outcome = world.visit("/");
        assert_eq!((user(&world.then(outcome)), refreshes(&world)), ("alice", 2), "{what}");
    }
}

#[test]
fn a_provider_outage_does_not_idle_out_an_active_session() {
    let mut world = World::ready_with(&[("session", json!({ "idle_timeout_seconds": 3600 }))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.provider.up = false;
    for minute in (10..240).step_by(10) {
        world.advance(600);
        let outcome = world.visit("/");
        assert_eq!(user(&world.then(outcome)), "alice", "{minute}");
    }
}

#[test]
fn a_new_worker_renews_with_the_shared_metadata() {
    let mut world = World::new();
    world.provider.refreshes = true;
    for _ in 0..4 {
        for fetch in world.drive() {
            world.answer(fetch);
        }
    }
    world.sign_in("/");
    world.advance(480);
    world.worker = 1;
    let held = world.visit("/");
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    let outcome = world.then(held);
    assert_eq!((cookies(&outcome), refreshes(&world)), (1, 1));
}

#[test]
fn a_request_waits_for_a_renewal_only_until_its_deadline() {
    let mut world = signed_in();
    world.advance(700);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    let calls = world.drive();
    assert!(calls.iter().any(|call| call.request().path == "/token"));
    let waiter = world.waits_on(waiter);
    world.advance(5);
    assert_eq!(user(&world.resume(waiter)), "alice");
}

#[test]
fn a_refresh_response_of_each_usual_form_renews_the_session() {
    type Change = fn(&mut Map<String, Value>);
    let cases: [(&str, Change); 11] = [
        ("no ID token", |body| drop(body.shift_remove("id_token"))),
        ("an empty ID token", |body| drop(body.insert("id_token".to_owned(), json!("")))),
        ("an empty refresh token", |body| drop(body.insert("refresh_token".to_owned(), json!("")))),
        ("an empty lifetime", |body| drop(body.insert("expires_in".to_owned(), json!("")))),
        ("no new refresh token", |body| drop(body.shift_remove("refresh_token"))),
        ("null for a refresh token", |body| drop(body.insert("refresh_token".to_owned(), Value::Null))),
        ("no lifetime", |body| drop(body.shift_remove("expires_in"))),
        ("a lifetime of zero", |body| drop(body.insert("expires_in".to_owned(), json!(0)))),
        ("a negative lifetime", |body| drop(body.insert("expires_in".to_owned(), json!(-5)))),
        ("a lifetime of ages", |body| drop(body.insert("expires_in".to_owned(), json!(1e18)))),
        ("a lifetime as text", |body| drop(body.insert("expires_in".to_owned(), json!("3600")))),
    ];
    for (what, change) in cases {
        let mut world = signed_in();
        world.provider.refresh_response = Some(Box::new(move |mut body| {
            change(body.as_object_mut().unwrap());
            ok(&body)
        }));
        world.advance(480);
        let outcome = world.visit("/");
        let outcome = world.then(outcome);
        assert_eq!((user(&outcome), email(&outcome)), ("alice", Some("alice@example.com")), "{what}");
        assert_eq!(cookies(&outcome), 1, "{what}");
        for _ in 0..20 {
            assert_eq!(cookies(&world.visit("/")), 0, "{what}: no storm");
        }
        assert_eq!(refreshes(&world), 1, "{what}");
    }
}

#[test]
fn a_refreshed_id_token_with_other_claims_ends_the_session() {
    type Change = fn(&mut Map<String, Value>);
    let cases: [(&str, Change); 6] = [
        ("refresh-token-invalid-sub", |c| drop(c.insert("sub".to_owned(), json!("bob")))),
        ("refresh-token-invalid-issuer", |c| drop(c.insert("iss".to_owned(), json!("https://evil.example")))),
        ("other aud", |c| drop(c.insert("aud".to_owned(), json!("other")))),
        ("other azp", |c| drop(c.insert("azp".to_owned(), json!("other")))),
        ("other nonce", |c| drop(c.insert("nonce".to_owned(), json!("other")))),
        ("no sub", |c| drop(c.shift_remove("sub"))),
    ];
    for (what, change) in cases {
        let mut world = World::ready();
        world.provider.refreshes = true;
        world.sign_in("/");
        world.provider.claims = Box::new(change);
        world.advance(480);
        let held = world.visit("/");
        let outcome = world.then(held);
        assert_eq!(outcome.code(), (302, "sign_in_started"), "{what}");
        // The other worker has not been driven since, and refuses the session too.
        world.worker = 1;
        assert_eq!(world.visit("/").code(), (302, "sign_in_started"), "{what}");
        let told = world.events.iter().filter(|event| matches!(event, Event::SessionRefused(..))).count();
        assert_eq!(told, 0, "{what}");
    }
}

#[test]
fn a_refreshed_id_token_may_repeat_nonce_and_auth_time() {
    let mut world = World::ready();
    world.provider.refreshes = true;
    let nonce = std::rc::Rc::new(std::cell::RefCell::new(json!(null)));
    let kept = nonce.clone();
    world.provider.claims = Box::new(move |c| {
        c.insert("auth_time".to_owned(), json!(1_799_999_000.25));
        match c.get("nonce") {
            Some(said) => drop(kept.replace(said.clone())),
            None => drop(c.insert("nonce".to_owned(), kept.borrow().clone())),
        }
    });
    world.sign_in("/");
    assert!(nonce.borrow().is_string());
    world.advance(480);
    let held = world.visit("/");
    assert_eq!(cookies(&world.then(held)), 1);
}

#[test]
fn an_invalid_refreshed_id_token_keeps_the_new_refresh_token() {
    let mut world = signed_in();
    world.provider.refresh_response = Some(Box::new(|mut body| {
        body["id_token"] = json!("a.b.c");
        ok(&body)
    }));
    world.advance(700);
    let held = world.visit("/");
    let outcome = world.then(held);
    assert_eq!((user(&outcome), cookies(&outcome), refreshes(&world)), ("alice", 1, 1));
    // No refresh at once; the next one uses the new refresh token, because the earlier one is used up.
    assert_eq!(cookies(&world.visit("/")), 0);
    world.settle();
    assert_eq!(refreshes(&world), 1);
    world.advance(20);
    world.provider.refresh_response = None;
    let held = world.visit("/");
    let outcome = world.then(held);
    assert_eq!((user(&outcome), cookies(&outcome), refreshes(&world)), ("alice", 1, 2));
    world.advance(60);
    assert_eq!((user(&world.visit("/")), refreshes(&world)), ("alice", 2));
}

#[test]
fn a_key_that_was_rotated_before_the_refresh_is_fetched_and_nothing_is_lost() {
    let mut world = signed_in();
    world.provider.rotate();
    world.advance(480);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    for fetch in world.drive() {
        world.answer(fetch);
    }
    let waiter = world.waits_on(waiter);
    world.settle();
    let outcome = world.resume(waiter);
    assert_eq!((user(&outcome), cookies(&outcome), refreshes(&world)), ("alice", 1, 1));
}

#[test]
fn a_renewal_drops_claims_that_the_provider_no_longer_sends() {
    let mut world = signed_in();
    world.provider.claims = Box::new(|claims| drop(claims.shift_remove("email")));
    world.advance(480);
    let held = world.visit("/");
    assert_eq!(email(&world.then(held)), None);
}

#[test]
fn two_users_never_get_each_others_session() {
    let mut world = signed_in();
    let alice = std::mem::take(&mut world.jar);
    world.provider.claims = Box::new(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    world.sign_in("/");
    let bob = world.jar.clone();
    world.advance(700);
    world.jar = alice.clone();
    let held = world.visit("/");
    // The test provider issues the claims of one user at a time: from here on, those of alice.
    world.provider.claims = Box::new(|_| ());
    assert_eq!(user(&world.then(held)), "alice");
    world.provider.claims = Box::new(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    world.jar = bob;
    let held = world.visit("/");
    assert_eq!(user(&world.then(held)), "bob");
    world.jar = alice;
    assert_eq!(user(&world.visit("/")), "alice");
}

#[test]
fn session_refresh_false_disables_renewal() {
    let mut world = World::ready_with(&[("session", json!({ "refresh": false }))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(7200);
    assert_eq!(user(&world.visit("/")), "alice");
    assert_eq!(refreshes(&world), 0);
}

#[test]
fn a_forged_renewal_outcome_in_shared_data_is_ignored() {
    let mut world = signed_in();
    world.advance(480);
    use crate::platform::Platform;
    for place in 0..256 {
        let key = format!("vestibule.{}.renewed.{place}", world.config.fingerprint);
        world
            .platform
            .shared_set(&key, b"\x04forged by a filter of the same vm_id, as long as a lease would be", None)
            .unwrap();
    }
    let held = world.visit("/");
    let outcome = world.then(held);
    assert_eq!((user(&outcome), cookies(&outcome), refreshes(&world)), ("alice", 1, 1));
}

#[test]
fn an_old_cookie_cannot_outlive_a_refused_renewal() {
    let mut world = signed_in();
    let oldest = world.jar.clone();
    for _ in 0..4 {
        world.advance(480);
        let outcome = world.visit("/");
        assert_eq!(cookies(&world.then(outcome)), 1);
    }
    // The account is closed: the newest cookie ends with its access token, and the oldest must not outlive it.
    world.provider.refresh_tokens.clear();
    for _ in 0..20 {
        world.advance(600);
        world.jar = oldest.clone();
        let outcome = world.visit("/");
        if !matches!(world.then(outcome), Outcome::Forwarded { .. }) {
            return;
        }
    }
    panic!("{} refreshes in 200 minutes, and nobody was ever asked whether the session goes on", refreshes(&world));
}

#[test]
fn a_held_request_does_not_idle_out_during_its_renewal() {
    let mut world = World::ready_with(&[("session", json!({ "idle_timeout_seconds": 600 }))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(599);
    let post = [(":method", "POST"), (":path", "/save"), ("content-type", "application/json")];
    let held = world.send(&post);
    assert!(matches!(held, Outcome::Held(_)));
    // The provider takes two seconds.
    let fetch = world.drive().pop().unwrap();
    world.advance(2);
    world.answer(fetch);
    let outcome = world.then(held);
    assert!(matches!(outcome, Outcome::Forwarded { .. }), "{:?}", outcome.code());
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
}

#[test]
fn a_refused_refresh_ends_the_session_when_its_access_token_expires() {
    for (status, error, is_no) in [
        (400, "invalid_request", true),
        (400, "unauthorized_client", true),
        (400, "invalid_scope", true),
        (400, "access_denied", true),
        (401, "invalid_token", true),
        (400, "session_expired", true),
        (403, "invalid_grant", true),
        // Errors about this client, or failures of the provider, end no session.
        (400, "invalid_client", false),
        (401, "invalid_client", false),
        (400, "unsupported_grant_type", false),
        (400, "server_error", false),
        (400, "temporarily_unavailable", false),
        (400, "Bad Request", false),
        (403, "access_denied", false),
        (404, "not_found", false),
        (429, "slow_down", false),
        (500, "invalid_request", false),
    ] {
        let mut world = signed_in();
        world.provider.refresh_response = Some(Box::new(move |_| {
            Ok(crate::http::CalloutResponse::new(status, json!({ "error": error }).to_string().into_bytes()))
        }));
        world.advance(480);
        let held = world.visit("/");
        assert_eq!(user(&world.then(held)), "alice", "{error}: its access token is good");
        world.advance(119);
        let outcome = world.visit("/");
        assert_eq!(user(&world.then(outcome)), "alice", "{error}");
        world.advance(1);
        let outcome = world.visit("/");
        match world.then(outcome) {
            Outcome::Forwarded { .. } => assert!(!is_no, "{status} {error}"),
            outcome => assert_eq!((outcome.code(), is_no), ((302, "sign_in_started"), true), "{status} {error}"),
        }
        let ended = world.events.iter().filter(|event| matches!(event, Event::SessionRefused(..))).count();
        assert_eq!(ended, usize::from(is_no), "{status} {error}");
    }
}
