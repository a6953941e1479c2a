//! Sign-out of the session and at the provider, and redirects to allowed targets only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{event::Event, *},
    world::{ISSUER, Outcome, World, header, location, query_of},
};
use crate::time::UnixTime;

fn sign_out(world: &mut World, target: &str) -> LocalReply {
    world.opens(&format!("/oauth2/sign_out{target}"), "none").reply()
}

/// Asserts that no worker accepts this copy of the cookies.
#[track_caller]
fn assert_is_out(world: &mut World, copy: &BTreeMap<String, String>) {
    for worker in [0, 1] {
        world.settle();
        world.worker = worker;
        world.jar = copy.clone();
        assert_eq!(world.visit("/").code(), (302, "sign_in_started"), "worker {worker}");
    }
}

#[test]
fn a_sign_out_redirects_to_the_end_session_endpoint() {
    let mut world = World::ready();
    world.sign_in("/");
    let reply = sign_out(&mut world, "");
    assert_eq!((reply.status, reply.code), (303, "signed_out"));
    assert!(world.jar.is_empty(), "{:?}", world.jar.keys());
    assert!(location(&reply).starts_with(&format!("{ISSUER}/end?")), "{}", location(&reply));
    let query = query_of(location(&reply));
    assert_eq!(query["client_id"], "client");
    assert_eq!(query["post_logout_redirect_uri"], "https://app.example.com/oauth2/signed_out");
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    let state = &query["state"];

    // With our state, another one or none, the page says that the user is signed out.
    for back in [format!("?state={state}"), "?state=other".to_owned(), String::new()] {
        assert_eq!(world.visit(&format!("/oauth2/signed_out{back}")).code(), (200, "signed_out"), "{back}");
    }
}

#[test]
fn a_sign_out_returns_only_to_listed_targets() {
    let list = json!({ "return_to": ["https://www.example.com/", "https://shop.example.com/bye"] });
    let mut world = World::ready_with(&[("sign_out", list)]);
    for (asked, to) in [
        ("/bye", Some("https://app.example.com/bye")),
        ("/bye%3Fa%3Db", Some("https://app.example.com/bye?a=b")),
        ("https://app.example.com/bye", Some("https://app.example.com/bye")),
        ("https://www.example.com/any?q#f", Some("https://www.example.com/any")),
        ("https://www.example.com", Some("https://www.example.com/")),
        ("https://shop.example.com/bye", Some("https://shop.example.com/bye")),
        ("https://shop.example.com/bye/more", None),
        ("https://shop.example.com/byebye", None),
        ("https://www.example.com.evil.example/", None),
        ("https://www.example.com@evil.example/", None),
        ("https://www.example.com:444/", None),
        ("http://www.example.com/", None),
        ("https://evil.example/", None),
        ("https:/\\evil.example", None),
        ("//evil.example/", Some("https://app.example.com/")),
        ("/%5Cevil.example/", Some("https://app.example.com/\\evil.example/")),
        ("javascript:alert(1)", None),
        ("https://app.example.com.evil.example/", None),
        ("", None),
    ] {
        world.sign_in("/");
        let reply = sign_out(&mut world, &format!("?rd={}", asked.replace('#', "%23")));
        let state = query_of(location(&reply))["state"].clone();
        let back = world.visit(&format!("/oauth2/signed_out?state={state}")).reply();
        let went = header(&back, "location").map(|to| to.split(['#']).next().unwrap().replace("?q", ""));
        assert_eq!(went.as_deref(), to, "{asked}");
    }
}

#[test]
fn a_duplicate_rd_parameter_is_ignored_at_sign_out() {
    let mut world = World::ready_with(&[("sign_out", json!({ "at_provider": false }))]);
    world.sign_in("/");
    let reply = sign_out(&mut world, "?rd=/a&rd=/b");
    assert_eq!((reply.status, reply.code), (200, "signed_out"));
}

#[test]
fn the_return_target_of_a_sign_out_expires_after_an_hour() {
    let mut world = World::ready();
    world.sign_in("/");
    let reply = sign_out(&mut world, "?rd=/bye");
    let state = query_of(location(&reply))["state"].clone();
    world.advance(3599);
    world.settle();
    assert_eq!(world.visit(&format!("/oauth2/signed_out?state={state}")).code(), (303, "signed_out"));
    // The state of a sign-out completes no sign-in, and the state of a sign-in leads nowhere after a sign-out.
    assert_eq!(world.visit(&format!("/oauth2/callback?code=x&state={state}")).code(), (400, "callback_state"));
    let sign_in = world.visit("/").reply();
    let other = query_of(location(&sign_in))["state"].clone();
    assert_eq!(world.visit(&format!("/oauth2/signed_out?state={other}")).code(), (200, "signed_out"));
    world.advance(1);
    assert_eq!(world.visit(&format!("/oauth2/signed_out?state={state}")).code(), (200, "signed_out"));
}

#[test]
fn a_copied_session_cookie_is_refused_after_the_sign_out() {
    let mut world = World::ready();
    world.sign_in("/");
    let copy = world.jar.clone();
    sign_out(&mut world, "");
    assert_is_out(&mut world, &copy);
}

#[test]
fn a_new_worker_refuses_signed_out_sessions_from_the_first_request() {
    let mut world = World::ready();
    world.sign_in("/");
    let copy = world.jar.clone();
    sign_out(&mut world, "");
    world.replace_workers();
    for worker in [0, 1] {
        world.worker = worker;
        world.jar = copy.clone();
        // No tick has come yet.
        let script = [(":method", "GET"), (":path", "/"), ("sec-fetch-mode", "cors")];
        assert_eq!(world.send(&script).code(), (401, "sign_in_required"), "worker {worker}");
    }
}

#[test]
fn a_sign_out_revokes_the_refresh_token_if_configured() {
    for (answers, what) in [(true, "revoked"), (false, "the provider is down")] {
        let mut world = World::ready_with(&[("sign_out", json!({ "revoke": true }))]);
        world.provider.refreshes = true;
        world.sign_in("/");
        assert_eq!(world.provider.refresh_tokens.len(), 1);
        world.provider.up = answers;
        let reply = sign_out(&mut world, "");
        assert_eq!((reply.status, reply.code), (303, "signed_out"), "{what}");
        assert!(world.jar.is_empty(), "{what}");
        world.settle();
        assert_eq!(world.provider.refresh_tokens.is_empty(), answers, "{what}");
        let failed = world.events.iter().filter(|event| matches!(event, Event::NotRevoked(..))).count();
        assert_eq!(failed, usize::from(!answers), "{what}");
    }
    // Without `sign_out.revoke` nothing is revoked.
    let mut world = World::ready();
    world.provider.refreshes = true;
    world.sign_in("/");
    sign_out(&mut world, "");
    assert_eq!(world.provider.asked.get("/revoke"), None);
}

#[test]
fn a_refresh_token_that_arrives_after_a_sign_out_is_revoked() {
    let mut world = World::ready_with(&[("sign_out", json!({ "revoke": true, "at_provider": false }))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(480);
    // The provider has given a new token, and its answer is on the way.
    let held = world.visit("/");
    assert!(matches!(held, Outcome::Held(_)));
    let fetch = world.drive().pop().unwrap();
    let late = world.provider.answer(fetch.request(), world.now);
    sign_out(&mut world, "");
    assert_eq!(world.provider.refresh_tokens.len(), 1);
    world.answer_with(fetch, late);
    world.settle();
    assert_eq!(world.provider.refresh_tokens, [""; 0]);
    // A sign-out with an old cookie revokes the newest refresh token of its session.
    world.sign_in("/");
    let old = world.jar.clone();
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(world.then(held), Outcome::Forwarded { .. }));
    world.jar = old;
    sign_out(&mut world, "");
    world.settle();
    assert_eq!(world.provider.refresh_tokens, [""; 0]);
}

#[test]
fn the_sign_out_confirmation_keeps_the_return_target() {
    let mut world = World::ready();
    world.sign_in("/");
    let page = world.opens("/oauth2/sign_out?rd=/bye%3Fa", "cross-site").reply();
    assert_eq!(page.code, "sign_out_confirm");
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("action=\"/oauth2/sign_out?rd=https%3A%2F%2Fapp.example.com%2Fbye%3Fa\""), "{html}");
    assert!(world.has_session());
}

#[test]
fn a_user_without_a_session_can_sign_out_at_the_provider() {
    let mut world = World::ready();
    let reply = sign_out(&mut world, "");
    let query = query_of(location(&reply));
    assert!(!query.contains_key("id_token_hint"), "{query:?}");
}

#[test]
fn a_new_worker_signs_out_with_the_shared_metadata() {
    let mut world = World::new();
    for _ in 0..4 {
        for fetch in world.drive() {
            world.answer(fetch);
        }
    }
    world.sign_in("/");
    world.worker = 1;
    let reply = sign_out(&mut world, "");
    assert!(location(&reply).starts_with(&format!("{ISSUER}/end?")), "{reply:?}");
}

/// A restarted Envoy, with a session from before the restart, and a copy of the session's cookies.
fn restarted(changes: &[(&str, Value)]) -> (World, BTreeMap<String, String>) {
    let mut world = World::ready_with(changes);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.restart();
    let copy = world.jar.clone();
    (world, copy)
}

#[test]
fn a_sign_out_waits_for_discovery() {
    let (mut world, copy) = restarted(&[]);
    let held = world.opens("/oauth2/sign_out?rd=/bye", "none");
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    // The session has ended already, even if the browser does not wait.
    let jar = std::mem::replace(&mut world.jar, copy.clone());
    assert!(matches!(world.visit("/"), Outcome::Held(_)));
    world.jar = jar;
    let reply = world.then(held).reply();
    assert!(location(&reply).starts_with(&format!("{ISSUER}/end?")), "{reply:?}");
    let query = query_of(location(&reply));
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    assert!(world.jar.is_empty());
    assert_is_out(&mut world, &copy);
    let back = world.visit(&format!("/oauth2/signed_out?state={}", query["state"])).reply();
    assert_eq!(location(&back), "https://app.example.com/bye");
}

#[test]
fn a_sign_out_with_an_unreachable_provider_warns_and_revokes_later() {
    let (mut world, copy) = restarted(&[("sign_out", json!({ "revoke": true }))]);
    world.provider.up = false;
    let Outcome::Held(waiter) = world.opens("/oauth2/sign_out?rd=/bye", "none") else { panic!() };
    world.settle();
    let waiter = world.waits_on(waiter);
    world.advance(5);
    let reply = world.resume(waiter).reply();
    assert_eq!((reply.status, reply.code), (200, "signed_out"));
    let page = String::from_utf8(reply.body).unwrap();
    assert!(page.contains("still signed in there"), "{page}");
    assert!(page.contains("href=\"/oauth2/sign_out?rd=https%3A%2F%2Fapp.example.com%2Fbye\""), "{page}");
    assert!(world.jar.is_empty());
    let count = |world: &World, counter| world.events.iter().filter(|event| event.counter() == counter).count();
    assert_eq!(count(&world, "vestibule_provider_session_left"), 1);
    assert_eq!(count(&world, "vestibule_revocation_failed"), 1);
    // The provider stays down for another minute.
    for _ in 0..4 {
        world.advance(15);
        world.settle();
    }
    assert_eq!(world.provider.refresh_tokens.len(), 1);
    world.provider.up = true;
    for _ in 0..2 {
        world.advance(15);
        world.settle();
    }
    assert_eq!(world.provider.refresh_tokens, [""; 0]);
    assert_eq!(count(&world, "vestibule_revocation_failed"), 1);
    assert_is_out(&mut world, &copy);
    // The link of the page now leads to the provider.
    world.jar.clear();
    let reply = world.opens("/oauth2/sign_out?rd=/bye", "same-origin").reply();
    assert!(location(&reply).starts_with(&format!("{ISSUER}/end?")), "{reply:?}");
}

#[test]
fn a_sign_out_warns_of_an_unreachable_provider_among_several() {
    let partners = json!([
        { "issuer": ISSUER, "client_id": "client", "client_secret": "secret" },
        { "name": "partners", "issuer": super::world::PARTNERS, "client_id": "client", "client_secret": "secret" },
    ]);
    let mut world = World::ready_with(&[("providers", partners)]);
    let reply = world.visit("/oauth2/start?provider=partners").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    world.restart();
    // Only the documents of the other provider can be fetched.
    world.partners.up = false;
    let Outcome::Held(waiter) = world.opens("/oauth2/sign_out", "none") else { panic!() };
    world.settle();
    let waiter = world.waits_on(waiter);
    world.advance(5);
    let page = String::from_utf8(world.resume(waiter).reply().body).unwrap();
    assert!(page.contains("still signed in there") && page.contains("href=\"/\""), "{page}");
    let told: Vec<_> = world.events.iter().filter(|event| matches!(event, Event::LeftAtProvider(_))).collect();
    assert!(told[0].to_string().contains(super::world::PARTNERS), "{told:?}");
}

#[test]
fn a_sign_out_is_not_held_without_need_or_without_a_slot() {
    let (mut world, _) = restarted(&[("sign_out", json!({ "at_provider": false }))]);
    assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (200, "signed_out"));
    assert_eq!(world.opens("/oauth2/sign_out?rd=/bye", "none").code(), (303, "signed_out"));
    let (mut world, copy) = restarted(&[]);
    let held = world.limits().held.take_all_but(0);
    let page = String::from_utf8(world.opens("/oauth2/sign_out", "none").reply().body).unwrap();
    assert!(page.contains("still signed in there"), "{page}");
    drop(held);
    assert_is_out(&mut world, &copy);
}

#[test]
fn a_failed_revocation_is_retried_for_an_hour_unless_refused() {
    for (status, again) in [(503, true), (500, true), (429, true), (400, false), (401, false)] {
        let mut world = World::ready_with(&[("sign_out", json!({ "revoke": true }))]);
        world.provider.refreshes = true;
        world.sign_in("/");
        world.provider.instead = Some(Box::new(move |_| Ok(crate::http::CalloutResponse::new(status, Vec::new()))));
        sign_out(&mut world, "");
        for _ in 0..300 {
            world.settle();
            world.advance(15);
        }
        let asked = world.provider.asked["/revoke"];
        assert!(if again { (200..=242).contains(&asked) } else { asked == 1 }, "{status}: {asked}");
        let told = world.events.iter().filter(|event| matches!(event, Event::NotRevoked(..))).count();
        assert_eq!(told, if again { 2 } else { 1 }, "{status}");
    }
}

#[test]
fn a_sign_out_completes_without_discovery() {
    let mut world = World::new();
    let Outcome::Held(waiter) = world.opens("/oauth2/sign_out", "none") else { panic!() };
    world.advance(5);
    let reply = world.resume(waiter).reply();
    assert_eq!((reply.status, reply.code), (200, "signed_out"));
}

#[test]
fn userinfo_returns_the_user_and_no_secret_while_the_session_lasts() {
    let mut world = World::ready_with(&[("userinfo_claims", json!(["email", "tenant"]))]);
    world.provider.refreshes = true;
    world.provider.claims = Box::new(|claims| drop(claims.insert("tenant".to_owned(), json!({ "id": 7 }))));
    let get = [(":method", "GET"), (":path", "/oauth2/userinfo"), ("sec-fetch-mode", "cors")];
    let nobody = world.send(&get).reply();
    assert_eq!((nobody.status, nobody.code), (401, "sign_in_required"));
    let body: Value = serde_json::from_slice(&nobody.body).unwrap();
    assert_eq!(body["sign_in_url"], "https://app.example.com/oauth2/start");

    world.sign_in("/");
    world.advance(60);
    let reply = world.send(&get).reply();
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    assert_eq!(header(&reply, "set-cookie"), None);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let claims = json!({ "sub": "alice", "email": "alice@example.com", "tenant": { "id": 7 } });
    assert_eq!(body["claims"], claims);
    assert_eq!(body["expires_in"], 28_740);
    for secret in ["refresh-1", "eyJ"] {
        assert!(!String::from_utf8_lossy(&reply.body).contains(secret), "{body}");
    }
    let post = world.send(&[(":method", "POST"), (":path", "/oauth2/userinfo")]);
    assert_eq!(post.code(), (405, "userinfo_method"));
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
}

#[test]
fn a_sign_out_is_kept_until_its_session_would_expire() {
    let mut world = World::ready();
    world.advance(1000);
    world.sign_in("/");
    let copy = world.jar.clone();
    let end = world.now.as_secs() + 8 * 3600;
    // The clock is corrected, by less than clocks may differ.
    world.now = UnixTime::from_secs(world.now.as_secs() - 200);
    sign_out(&mut world, "");
    // Almost a session lifetime later, another session is signed out.
    world.now = UnixTime::from_secs(end - 100);
    world.settle();
    world.sign_in("/");
    sign_out(&mut world, "");
    assert_is_out(&mut world, &copy);
}

#[test]
fn a_refresh_token_of_another_user_is_revoked() {
    let mut world = World::ready_with(&[("sign_out", json!({ "revoke": true }))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(480);
    let held = world.visit("/");
    // An ID token of another user does not continue the session, so the refresh token beside it is revoked.
    world.provider.claims = Box::new(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    assert_eq!(world.then(held).code(), (302, "sign_in_started"));
    world.settle();
    assert_eq!(world.provider.refresh_tokens, [""; 0]);
}

#[test]
fn a_refresh_token_issued_after_a_sign_out_at_another_envoy_is_revoked() {
    let mut document = super::world::document();
    document["session"]["store"] = json!({ "cluster": "webdis" });
    document["sign_out"] = json!({ "revoke": true });
    let world = || {
        let mut world = World::with(&document);
        world.settle();
        world.provider.refreshes = true;
        world
    };
    let mut one = world();
    one.sign_in("/");
    one.advance(500);
    assert!(matches!(one.visit("/"), Outcome::Held(_)));
    let mut calls = Vec::new();
    for _ in ["the lease", "the session", "the tokens"] {
        calls.drain(..).for_each(|call| one.answer(call));
        calls = one.drive();
    }
    assert_eq!(calls[0].request().path, "/token");
    // While the provider refreshes, the user signs out at another Envoy, which has the earlier refresh token.
    let mut other = world();
    (other.now, other.redis, other.jar) = (one.now, one.redis.clone(), one.jar.clone());
    assert_eq!(other.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    other.settle();
    assert_eq!(other.provider.asked["/revoke"], 1);
    one.redis = other.redis.clone();
    calls.into_iter().for_each(|call| one.answer(call));
    for _ in 0..3 {
        one.settle();
    }
    assert_eq!(one.provider.refresh_tokens, [""; 0]);
}
