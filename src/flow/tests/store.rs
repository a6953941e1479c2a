//! Sessions in a store: of any size, ended in every process at once, and refused with 503 while the store is down.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::{event::Event, *},
    world::{Outcome, World},
};
use crate::time::UnixTime;

/// The headers of a back-channel logout request (Back-Channel Logout 1.0, 2.5).
const LOGOUT: [(&str, &str); 3] = [
    (":method", "POST"),
    (":path", "/oauth2/backchannel_logout"),
    ("content-type", "application/x-www-form-urlencoded"),
];

fn world_with(more: Value) -> World {
    let mut store = json!({ "cluster": "webdis" });
    store.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    World::ready_with(&[
        ("session", json!({ "store": store, "idle_timeout_seconds": 3600 })),
        ("allow_on_headers_stop_iteration", json!(true)),
        ("sign_out", json!({ "back_channel": true })),
    ])
}

fn world() -> World {
    world_with(json!({}))
}

fn user(outcome: &Outcome) -> &str {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(name, value)| (name == "x-forwarded-user").then_some(value)).unwrap()
}

/// Another process with the same configuration, a copy of the store, and the browser's cookies.
fn another_process(of: &World) -> World {
    let mut world = world();
    world.now = of.now;
    world.settle();
    world.redis = of.redis.clone();
    world.jar = of.jar.clone();
    world
}

#[track_caller]
fn assert_no_token_was_used_twice(world: &World) {
    let refused = world.events.iter().filter(|event| matches!(event, Event::NotRenewed(..))).count();
    assert_eq!(refused, 0, "a used refresh token was used again: many providers end everything then");
}

#[test]
fn a_stored_session_is_encrypted_and_its_cookie_is_a_small_reference() {
    let mut world = world();
    let groups: Vec<_> = (0..700).map(|group| format!("{:x}", Sha256::digest([(group % 251) as u8]))).collect();
    world.provider.claims = Box::new(move |claims| drop(claims.insert("groups".to_owned(), json!(groups))));
    world.sign_in("/");
    let cookies = world.session_cookies();
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].1.len() < 400, "{}", cookies[0].1.len());
    assert_eq!(world.redis.len(), 1);
    for (key, value) in &world.redis {
        assert!(key.starts_with("vestibule:s:"), "{key}");
        for word in ["alice", "example.com", "refresh"] {
            assert!(!value.contains(word) && !key.contains(word));
        }
    }
    assert_eq!(user(&world.visit("/")), "alice");
    let mut other = another_process(&world);
    assert_eq!(user(&other.visit("/")), "alice");
}

#[test]
fn a_missing_or_forged_store_entry_is_no_session() {
    let mut world = world();
    world.sign_in("/");
    let (key, good) = world.redis.pop_first().unwrap();
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    world.provider.claims = Box::new(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    let alices = std::mem::take(&mut world.jar);
    world.sign_in("/");
    let bobs = world.redis.values().next().unwrap().clone();
    world.jar = alices;
    let shorter = good.replacen(":A", ":", 1);
    assert_ne!(shorter, good);
    for bad in ["", "1", "null", "AAAA", &shorter, &bobs] {
        world.redis.insert(key.clone(), bad.to_owned());
        assert_eq!(world.visit("/").code(), (302, "sign_in_started"), "{bad:.20}");
    }
    world.redis.insert(key, good);
    assert_eq!(user(&world.visit("/")), "alice");
}

#[test]
fn an_unreadable_revocation_in_the_store_still_ends_the_session() {
    let mut world = world();
    world.sign_in("/");
    world.advance(1);
    let mut other = another_process(&world);
    assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    world.settle();
    let ends: Vec<_> = world.redis.keys().filter(|key| key.contains(":e:")).cloned().collect();
    assert_eq!(ends.len(), 1);
    for odd in ["", "soon", "-1", "99999999999999999999999"] {
        other.redis.insert(ends[0].clone(), odd.to_owned());
        assert_eq!(other.visit("/").code(), (302, "sign_in_started"), "{odd}");
    }
}

#[test]
fn while_the_store_is_down_requests_get_503_and_cookies_are_kept() {
    let mut world = world();
    world.sign_in("/");
    world.redis_up = false;
    assert_eq!(world.visit("/").code(), (503, "store_unavailable"));
    let fetch = [(":method", "GET"), (":path", "/api"), ("sec-fetch-mode", "cors")];
    assert_eq!(world.send(&fetch).code(), (503, "store_unavailable"));
    assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (503, "store_unavailable"));
    assert_eq!(world.send(&[(":method", "GET"), (":path", "/oauth2/userinfo")]).code(), (503, "store_unavailable"));
    assert!(world.has_session());
    // A public path needs no session.
    assert!(matches!(world.visit("/public/a"), Outcome::Forwarded { .. }));
    let jar = std::mem::take(&mut world.jar);
    let reply = world.visit("/new").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (503, "store_unavailable"));
    assert!(!world.has_session());
    world.jar = jar;
    world.redis_up = true;
    assert_eq!(user(&world.visit("/")), "alice");
}

#[test]
fn unauthenticated_requests_and_public_paths_do_not_read_the_store() {
    let mut world = world();
    world.visit("/public/a");
    world.visit("/private");
    world.jar.insert("__Host-vestibule".to_owned(), "AAAA".repeat(30));
    world.visit("/private");
    assert_eq!(world.redis_asked, 0);
}

#[test]
fn a_sign_out_ends_the_session_in_every_process() {
    let mut world = world();
    world.sign_in("/");
    let mut other = another_process(&world);
    let copy = world.jar.clone();
    assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    assert!(world.redis.keys().all(|key| !key.contains(":s:")) && world.jar.is_empty());
    other.redis = world.redis.clone();
    other.jar = copy;
    assert_eq!(other.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn a_session_written_after_a_sign_out_stays_ended() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    let copy = world.jar.clone();
    world.advance(700);
    // One process refreshes the session, the user signs out at another, and then the tokens arrive.
    assert!(matches!(world.visit("/"), Outcome::Held(_)));
    let mut other = another_process(&world);
    assert_eq!(other.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    other.settle();
    world.redis = other.redis.clone();
    world.settle();
    world.settle();
    let mut third = another_process(&world);
    for world in [&mut world, &mut third] {
        world.jar = copy.clone();
        assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    }
}

#[test]
fn a_renewed_session_lost_by_the_store_is_saved_by_the_next_request() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    let before = world.redis.clone();
    world.advance(700);
    assert!(matches!(world.visit("/"), Outcome::Held(_)));
    world.settle();
    world.redis = before;
    assert_eq!(user(&world.visit("/")), "alice");
    world.settle();
    // Another process finds the renewed session in the store and does not ask the provider.
    let mut other = another_process(&world);
    assert_eq!(user(&other.visit("/")), "alice");
    assert_eq!(other.provider.asked.get("/token"), None);
}

#[test]
fn a_logout_token_ends_sessions_in_every_process() {
    for without in ["sid", "sub", "nothing"] {
        let mut world = world();
        world.sign_in("/");
        world.advance(1);
        let mut other = another_process(&world);
        let token =
            world.provider.logout_token(world.now, |_, claims| drop(claims.as_object_mut().unwrap().remove(without)));
        world.body = Ok(format!("logout_token={token}").into_bytes());
        assert_eq!(world.send_more(&LOGOUT).code(), (200, "logged_out"), "{without}");
        other.redis = world.redis.clone();
        // The clock of the other process is one second ahead.
        let cookie = other.jar.clone();
        other.advance(1);
        assert_eq!(other.visit("/").code(), (302, "sign_in_started"), "{without}");
        // A new sign-in is accepted, in this process in the same second, in the other one two seconds later.
        world.sign_in("/");
        assert_eq!(user(&world.visit("/")), "alice", "{without}");
        other.jar = cookie;
        other.advance(2);
        other.sign_in("/");
        assert_eq!(user(&other.visit("/")), "alice", "{without}");
    }
}

#[test]
fn front_channel_logouts_write_to_the_store_at_a_limited_rate() {
    let mut world = World::ready_with(&[
        ("session", json!({ "store": { "cluster": "webdis" } })),
        ("sign_out", json!({ "front_channel": true })),
    ]);
    let frame = |world: &mut World, number: u32| {
        world.visit(&format!("/oauth2/frontchannel_logout?iss=https%3A%2F%2Fidp.example.com&sid={number}")).code()
    };
    for number in 0..120 {
        assert_eq!(frame(&mut world, number), (200, "logged_out"));
    }
    assert_eq!((frame(&mut world, 120), world.redis.len()), ((503, "busy"), 120));
    world.sign_in("/");
    assert_eq!(user(&world.visit("/")), "alice");
    world.advance(60);
    assert_eq!(frame(&mut world, 121), (200, "logged_out"));
}

#[test]
fn a_logout_token_that_the_store_refused_can_be_sent_again() {
    let mut world = world();
    world.sign_in("/");
    world.redis_up = false;
    let token = world.provider.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    assert_eq!(world.send_more(&LOGOUT).code(), (503, "store_unavailable"));
    // The provider sends the same token again: the failed attempt must not count as its use.
    let mut other = another_process(&world);
    world.redis_up = true;
    for _ in 0..2 {
        world.body = Ok(format!("logout_token={token}").into_bytes());
        assert_eq!(world.send_more(&LOGOUT).code(), (200, "logged_out"));
    }
    other.redis = world.redis.clone();
    assert_eq!(other.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn a_renewed_session_is_stored_and_renewed_by_no_other_process() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(700);
    let mut other = another_process(&world);
    let held = world.visit("/");
    // The lease first, then the tokens, then the store.
    let Outcome::Held(waiter) = held else { panic!("{held:?}") };
    world.settle();
    let outcome = world.resume(waiter);
    assert_eq!(user(&outcome), "alice");
    assert_eq!(world.provider.asked["/token"], 2);
    world.settle();
    let old = std::mem::replace(&mut other.redis, world.redis.clone());
    // The session that another process finds in the store needs no renewal.
    assert!(matches!(other.visit("/"), Outcome::Forwarded { cookies, .. } if cookies.is_empty()));
    assert_eq!(other.provider.asked.get("/token"), None);
    // A process that asks at the same moment does not get the lease.
    let mut third = another_process(&world);
    third.redis = old;
    third.redis.extend(world.redis.iter().filter(|(key, _)| key.contains(":l:")).map(|(k, v)| (k.clone(), v.clone())));
    let Outcome::Held(waiter) = third.visit("/") else { panic!() };
    third.settle();
    assert_eq!(user(&third.resume(waiter)), "alice");
    assert_eq!(third.provider.asked.get("/token"), None);
}

#[test]
fn a_session_that_was_ended_while_it_was_renewed_stays_ended() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(700);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    // Meanwhile a sign-out at another process removes the session from the store.
    world.redis.clear();
    world.settle();
    drop(waiter);
    assert!(world.redis.keys().all(|key| !key.contains(":s:")), "{:?}", world.redis.keys());
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn the_idle_timeout_slides_in_the_store_alone() {
    let mut world = world();
    world.sign_in("/");
    let cookie = world.session_cookies();
    for _ in 0..4 {
        world.advance(3599);
        world.settle();
        assert_eq!(user(&world.visit("/")), "alice");
        world.settle();
    }
    assert_eq!(world.session_cookies(), cookie);
    world.advance(3600);
    world.settle();
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn a_worker_caches_a_stored_session_for_cache_seconds() {
    let mut world = world_with(json!({ "cache_seconds": 10 }));
    world.sign_in("/");
    let before = world.redis_asked;
    for _ in 0..5 {
        assert_eq!(user(&world.visit("/")), "alice");
    }
    assert_eq!(world.redis_asked, before + 1);
    world.redis_up = false;
    world.advance(9);
    assert_eq!(user(&world.visit("/")), "alice");
    world.advance(1);
    assert_eq!(world.visit("/").code(), (503, "store_unavailable"));
}

#[test]
fn a_malformed_gateway_response_admits_no_request() {
    let malformed = "the gateway's answer is malformed";
    for (status, body, said) in [
        (200, "{}", malformed),
        (200, "{\"MGET\":null}", malformed),
        (200, "{\"MGET\":[]}", malformed),
        (200, "{\"MGET\":{}}", malformed),
        (200, "{\"MGET\":[null]}", malformed),
        (200, "{\"MGET\":[null,null,null,null,null]}", malformed),
        (200, "{\"MGET\":[false,\"NOAUTH Authentication required.\"]}", "Redis refused the command"),
        (200, "<html>", malformed),
        (200, "", malformed),
        (403, "{\"MGET\":[null]}", "the gateway answered 403"),
        (500, "{\"MGET\":[null]}", "the gateway answered 500"),
        (503, "", "the gateway has no Redis, or Envoy could not reach it"),
        (504, "upstream request timeout", "the gateway did not answer in time"),
    ] {
        let mut world = world();
        world.sign_in("/");
        let request = [(":method", "GET"), (":path", "/"), ("sec-fetch-mode", "navigate")];
        let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let lines = request.into_iter().chain([("cookie", cookies.as_str())]);
        let request = crate::http::Request::new(lines.map(|(name, value)| (name, value.as_bytes())));
        let Step::Wait(pending) = world.start(request.clone()) else { panic!() };
        let answer = Ok(crate::http::CalloutResponse::new(status, body.as_bytes().to_vec()));
        pending.take_calls().remove(0).answer(answer);
        let step = world.decide(|_| pending.resume());
        let outcome = world.perform(step, &request);
        assert_eq!(outcome.code(), (503, "store_unavailable"), "{status} {body}");
        let told = world.events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_failed_store_write_does_not_reuse_the_old_refresh_token() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(480);
    assert!(matches!(world.visit("/"), Outcome::Held(_)));
    // The lease, then the tokens; then the store is down for a moment, and the user's next request reaches another
    // process.
    let mut calls = world.drive();
    while let Some(fetch) = calls.pop() {
        let is_token = fetch.request().path == "/token";
        world.answer(fetch);
        world.redis_up = !is_token;
        calls.extend(world.drive());
    }
    assert!(world.events.iter().any(|event| matches!(event, Event::NotStored(_))));
    world.redis_up = true;
    world.advance(60);
    world.settle();
    // The lease has expired.
    world.redis.retain(|key, _| !key.contains(":l:"));
    let mut other = another_process(&world);
    other.provider.refreshes = true;
    other.provider.refresh_tokens = world.provider.refresh_tokens.clone();
    let outcome = other.visit("/");
    other.settle();
    other.settle();
    assert!(!matches!(outcome, Outcome::Replied(_)));
    assert_no_token_was_used_twice(&other);
}

#[test]
fn a_late_idle_write_does_not_overwrite_a_renewed_session() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    // One process extends the idle timeout in the last second before the renewal is due; its write is under way.
    world.advance(479);
    assert_eq!(user(&world.visit("/")), "alice");
    let late: Vec<_> = world.drive();
    assert_eq!(late.len(), 1);
    // Meanwhile another one renews the session.
    let mut other = another_process(&world);
    other.provider.refreshes = true;
    other.provider.refresh_tokens = world.provider.refresh_tokens.clone();
    other.provider.refresh_response = Some(Box::new(|mut body| {
        body["refresh_token"] = json!("refresh-2");
        super::world::ok(&body)
    }));
    other.advance(1);
    let Outcome::Held(waiter) = other.visit("/") else { panic!() };
    other.settle();
    assert_eq!(user(&other.resume(waiter)), "alice");
    other.settle();
    // Now the write arrives.
    world.redis = other.redis.clone();
    late.into_iter().for_each(|fetch| world.answer(fetch));
    // A minute later, after the lease, a third process reads the session from the store and asks the provider.
    world.redis.retain(|key, _| !key.contains(":l:"));
    let mut third = another_process(&world);
    third.advance(61);
    third.provider.refresh_tokens = vec!["refresh-2".to_owned()];
    drop(third.visit("/"));
    third.settle();
    third.settle();
    assert_no_token_was_used_twice(&third);
}

#[test]
fn a_request_waits_for_a_stored_renewal_only_until_its_deadline() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(700);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    // The lease is taken and the stored session is unchanged; the provider does not answer.
    for _ in ["the lease", "the session"] {
        world.drive().into_iter().for_each(|fetch| world.answer(fetch));
    }
    let calls = world.drive();
    assert!(calls.iter().any(|call| call.request().path == "/token"));
    world.advance(5);
    let request = [(":method", "GET"), (":path", "/"), ("sec-fetch-mode", "navigate")];
    let request = crate::http::Request::new(request.map(|(name, value)| (name, value.as_bytes())));
    let step = world.decide(|_| waiter.resume());
    assert_eq!(user(&world.perform(step, &request)), "alice");
}

#[test]
fn a_held_request_does_not_idle_out_while_it_waits() {
    let mut world = world_with(json!({}));
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(3599);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    world.advance(1);
    world.settle();
    world.settle();
    let outcome = world.resume(waiter);
    assert!(matches!(outcome, Outcome::Forwarded { .. }), "{:?}", outcome.code());
}

/// Sends a request whose client leaves before the answer to its first write to the store. The write itself arrives.
fn leaves(world: &mut World, headers: &[(&str, &str)], body: Option<Vec<u8>>) {
    let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let lines = headers.iter().copied().chain([("cookie", cookies.as_str())]);
    let request = crate::http::Request::new(lines.map(|(name, value)| (name, value.as_bytes())));
    let request = request.with_more_following(body.is_some());
    let mut step = world.start(request.clone());
    loop {
        step = match step {
            Step::Wait(pending) if pending.wants_body() => {
                pending.give_body(Ok(body.clone().unwrap()));
                world.decide(|_| pending.resume())
            }
            Step::Wait(pending) => {
                let call = pending.take_calls().remove(0);
                let result = world.answer_call(call.request());
                if !call.request().path.starts_with("/MGET/") {
                    break;
                }
                call.answer(result);
                world.decide(|_| pending.resume())
            }
            other => panic!("{other:?}"),
        };
    }
    world.settle();
    world.settle();
}

#[test]
fn a_logout_of_a_disconnected_provider_ends_the_session_everywhere() {
    let mut world = world();
    world.sign_in("/");
    let mut other = another_process(&world);
    let token = world.provider.logout_token(world.now, |_, _| ());
    leaves(&mut world, &LOGOUT, Some(format!("logout_token={token}").into_bytes()));
    other.redis = world.redis.clone();
    assert_eq!(other.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn a_sign_out_of_a_disconnected_client_revokes_the_refresh_token() {
    let mut document = super::world::document();
    document["session"]["store"] = json!({ "cluster": "webdis" });
    document["sign_out"] = json!({ "revoke": true });
    let mut world = World::with(&document);
    world.settle();
    world.provider.refreshes = true;
    world.sign_in("/");
    let sign_out = [(":method", "POST"), (":path", "/oauth2/sign_out"), ("sec-fetch-site", "same-origin")];
    leaves(&mut world, &sign_out, None);
    assert!(world.redis.keys().all(|key| !key.contains(":s:")));
    assert_eq!(world.provider.refresh_tokens, [""; 0]);
}

#[test]
fn a_cached_session_renewed_by_another_process_is_not_renewed_again() {
    let mut world = world_with(json!({ "cache_seconds": 60 }));
    world.provider.refreshes = true;
    world.sign_in("/");
    for seconds in [400, 79] {
        world.advance(seconds);
        assert_eq!(user(&world.visit("/")), "alice");
        world.settle();
    }
    // A second later the renewal is due, and another process renews the session.
    let mut other = another_process(&world);
    other.provider.refreshes = true;
    other.provider.refresh_tokens = vec!["refresh-1".to_owned()];
    other.provider.refresh_response = Some(Box::new(|mut body| {
        body["refresh_token"] = json!("refresh-2");
        super::world::ok(&body)
    }));
    other.advance(1);
    let Outcome::Held(waiter) = other.visit("/") else { panic!() };
    other.settle();
    assert_eq!(user(&other.resume(waiter)), "alice");
    other.settle();
    world.redis = other.redis.clone();
    world.provider.refresh_tokens = vec!["refresh-2".to_owned()];
    // This process uses the session in its cache, for longer than the lease of the other process (45 seconds).
    for seconds in [5, 20, 20, 2] {
        world.advance(seconds);
        if world.now.as_secs() - other.now.as_secs() > 45 {
            world.redis.retain(|key, _| !key.contains(":l:"));
        }
        drop(world.visit("/"));
        world.settle();
    }
    assert_no_token_was_used_twice(&world);
}

#[test]
fn a_sign_in_at_another_replica_just_after_a_logout_is_valid() {
    let mut world = world();
    world.sign_in("/");
    let token = world.provider.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    assert_eq!(world.send_more(&LOGOUT).code(), (200, "logged_out"));
    // A provider that authenticates the user by other means (Kerberos, a passkey) signs them in again at once.
    let mut other = another_process(&world);
    other.jar.clear();
    let mut answers = Vec::new();
    for _ in 0..4 {
        match other.visit("/") {
            Outcome::Forwarded { .. } => return,
            outcome => {
                let reply = outcome.reply();
                answers.push(reply.code);
                if reply.code == "sign_in_started" {
                    let callback = other.signs_in(&reply);
                    answers.push(other.visit(&callback).code().1);
                }
            }
        }
    }
    panic!("{answers:?}");
}

/// Posts a logout token with these changes to this process.
fn logs_out(world: &mut World, change: impl Fn(&mut Value, &mut Value)) -> (u16, &'static str) {
    let token = world.provider.logout_token(world.now, change);
    world.body = Ok(format!("logout_token={token}").into_bytes());
    world.send_more(&LOGOUT).code()
}

#[test]
fn a_retried_revocation_does_not_replace_a_later_one() {
    let mut world = world();
    // The store does not take an end; the write is retried.
    world.redis_up = false;
    assert_eq!(logs_out(&mut world, |_, _| ()), (503, "store_unavailable"));
    world.settle();
    // Meanwhile the user signs in at another Envoy, which reaches the store, and the provider ends that session.
    let mut other = another_process(&world);
    other.advance(60);
    other.sign_in("/");
    let cookie = other.jar.clone();
    other.advance(60);
    assert_eq!(logs_out(&mut other, |_, _| ()), (200, "logged_out"));
    other.settle();
    let mut third = another_process(&other);
    third.jar = cookie.clone();
    assert_eq!(third.visit("/").code(), (302, "sign_in_started"));
    // Then the first one reaches the store again.
    world.redis = other.redis.clone();
    world.redis_up = true;
    world.advance(121);
    world.settle();
    let mut third = another_process(&world);
    third.jar = cookie;
    assert_eq!(third.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn a_renewal_lost_by_the_store_ends_no_session() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    let before = world.redis.clone();
    world.advance(500);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    world.settle();
    assert_eq!(user(&world.resume(waiter)), "alice");
    world.settle();
    // A Redis replica without that write takes over, and the next request comes when the next renewal is due.
    world.redis = before;
    world.advance(500);
    world.settle();
    let outcome = world.visit("/");
    let Outcome::Held(waiter) = outcome else { panic!("{outcome:?}") };
    world.settle();
    let outcome = world.resume(waiter);
    assert!(matches!(outcome, Outcome::Forwarded { .. }), "{:?}", outcome.code());
}

#[test]
fn a_late_session_write_does_not_idle_out_an_active_user() {
    let mut world = world();
    world.sign_in("/");
    world.advance(400);
    assert_eq!(user(&world.visit("/")), "alice");
    world.redis_up = false;
    world.settle();
    let mut other = another_process(&world);
    // For 590 seconds this Envoy does not reach the store, and the user's requests reach another one.
    for _ in 0..59 {
        other.advance(10);
        other.settle();
        assert_eq!(user(&other.visit("/")), "alice");
        other.settle();
    }
    world.redis = other.redis.clone();
    world.advance(590);
    world.redis_up = true;
    world.settle();
    // The next request comes within the idle timeout of an hour after the last one.
    let mut third = another_process(&world);
    third.advance(3600 - 590);
    third.settle();
    assert_eq!(user(&third.visit("/")), "alice");
}

#[test]
fn a_waiting_request_is_refused_when_its_session_ends_in_the_store() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(500);
    let Outcome::Held(waiter) = world.visit("/") else { panic!() };
    // Meanwhile the user signs out at another Envoy.
    let mut other = another_process(&world);
    assert_eq!(other.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    other.settle();
    world.redis = other.redis.clone();
    world.settle();
    assert_eq!(world.provider.asked["/token"], 1);
    let outcome = world.resume(waiter);
    assert!(!matches!(outcome, Outcome::Forwarded { .. }), "{outcome:?}");
}

#[test]
fn requests_during_a_renewal_read_the_store_instead_of_the_cache() {
    let mut world = world_with(json!({ "cache_seconds": 60 }));
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(478);
    // From here on the session is in the cache; the renewal is due at 480 seconds.
    assert_eq!(user(&world.visit("/")), "alice");
    world.settle();
    world.advance(10);
    let Outcome::Held(_waiter) = world.visit("/") else { panic!() };
    // The lease is taken, and the session is being loaded.
    world.drive().into_iter().for_each(|call| world.answer(call));
    let load = world.drive();
    assert!(load.len() == 1 && load[0].request().path.starts_with("/MGET/"), "{load:?}");
    // Meanwhile the user signs out at another Envoy.
    let mut other = another_process(&world);
    assert_eq!(other.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    other.settle();
    world.redis = other.redis.clone();
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn front_channel_logouts_do_not_evict_pending_store_writes() {
    let mut world = World::ready_with(&[
        ("session", json!({ "store": { "cluster": "webdis" } })),
        ("sign_out", json!({ "front_channel": true })),
    ]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(500);
    let Outcome::Held(_) = world.visit("/") else { panic!() };
    // The lease, then the tokens; then the store is down for some minutes.
    let mut calls = world.drive();
    while let Some(fetch) = calls.pop() {
        let is_token = fetch.request().path == "/token";
        world.answer(fetch);
        world.redis_up &= !is_token;
        calls.extend(if world.redis_up { world.drive() } else { Vec::new() });
    }
    assert_eq!(world.provider.asked["/token"], 2);
    world.jar.clear();
    for number in 0..400 {
        let path = format!("/oauth2/frontchannel_logout?iss=https%3A%2F%2Fidp.example.com&sid={number}");
        drop(world.visit(&path));
        world.advance(1);
        for fetch in world.drive() {
            world.answer(fetch);
        }
    }
    world.redis_up = true;
    for _ in 0..8 {
        world.advance(1);
        world.settle();
    }
    let sessions: Vec<_> = world.redis.iter().filter(|(key, _)| key.contains(":s:")).map(|(_, value)| value).collect();
    assert!(sessions.iter().all(|value| value.starts_with("1.")), "the renewed session was not written any more");
}

#[test]
fn a_lease_lasts_as_long_as_its_callouts_may_take() {
    let mut document = super::world::document();
    document["session"]["store"] = json!({ "cluster": "webdis", "timeout_ms": 10_000 });
    document["providers"][0]["timeout_ms"] = json!(30_000);
    let mut world = World::with(&document);
    world.settle();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(500);
    let Outcome::Held(_) = world.visit("/") else { panic!() };
    // The store takes nine seconds for the lease, and nine for the session.
    let lifetime = |request: &crate::http::CalloutRequest| {
        let is_lease = request.path.contains("/NX/EX/");
        is_lease.then(|| request.path.rsplit('/').next().unwrap().parse::<u64>().unwrap())
    };
    let mut lease = 0;
    for wanted in ["the lease", "the session"] {
        let mut calls = world.drive();
        assert_eq!(calls.len(), 1, "{wanted}");
        let call = calls.remove(0);
        lease = lease.max(lifetime(call.request()).unwrap_or(0));
        let result = world.answer_call(call.request());
        world.advance(9);
        world.answer_with(call, result);
    }
    // The provider takes the refresh token, and its answer is still on its way.
    let calls = world.drive();
    assert!(calls.iter().any(|call| call.request().path == "/token"));
    world.advance(28);
    // A request with the same session reaches another Envoy.
    let mut other = another_process(&world);
    if lease <= 9 + 9 + 28 {
        other.redis.retain(|key, _| !key.contains(":l:"));
    }
    drop(other.visit("/"));
    other.settle();
    assert_eq!(other.provider.asked.get("/token"), None, "the refresh token was used a second time");
}

#[test]
fn a_resent_logout_token_ends_no_newer_session() {
    let mut world = world();
    world.sign_in("/");
    let token = world.provider.logout_token(world.now, |_, _| ());
    let body = format!("logout_token={token}").into_bytes();
    // The provider does not wait for the answer. The session ends and the token counts as used all the same.
    leaves(&mut world, &LOGOUT, Some(body.clone()));
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    world.advance(30);
    world.sign_in("/");
    assert_eq!(user(&world.visit("/")), "alice");
    // Then the provider sends the same token again, because it got no answer.
    world.advance(30);
    world.body = Ok(body);
    assert_eq!(world.send_more(&LOGOUT).code(), (200, "logged_out"));
    assert_eq!(user(&world.visit("/")), "alice");
}

#[test]
fn a_late_renewal_write_does_not_replace_a_newer_renewal() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(500);
    let mut other = another_process(&world);
    assert!(matches!(world.visit("/"), Outcome::Held(_)));
    // The lease, the session, the tokens; then this Envoy does not reach the store for some minutes.
    let mut calls = world.drive();
    while let Some(fetch) = calls.pop() {
        let is_token = fetch.request().path == "/token";
        world.answer(fetch);
        world.redis_up &= !is_token;
        calls.extend(if world.redis_up { world.drive() } else { Vec::new() });
    }
    world.settle();
    // After the lease another Envoy renews the session too. This provider accepts a refresh token twice within its
    // leeway, and the token that it issued last is valid.
    other.redis = world.redis.clone();
    other.redis.retain(|key, _| !key.contains(":l:"));
    other.provider.refresh_tokens = vec!["refresh-1".to_owned()];
    other.provider.refresh_response = Some(Box::new(|mut body| {
        body["refresh_token"] = json!("refresh-last");
        super::world::ok(&body)
    }));
    other.advance(60);
    let Outcome::Held(waiter) = other.visit("/") else { panic!() };
    other.settle();
    assert_eq!(user(&other.resume(waiter)), "alice");
    other.settle();
    // Then the first one reaches the store again.
    world.redis = other.redis.clone();
    world.redis_up = true;
    world.advance(120);
    world.settle();
    let mut third = another_process(&world);
    third.provider.refresh_tokens = vec!["refresh-last".to_owned()];
    third.advance(500);
    let Outcome::Held(_) = third.visit("/") else { panic!() };
    third.settle();
    let refused = third.events.iter().filter(|event| matches!(event, Event::NotRenewed(..))).count();
    assert_eq!((refused, third.provider.asked.get("/token")), (0, Some(&1)));
}

#[test]
fn an_acknowledged_logout_has_ended_the_session_in_every_process() {
    type Change = fn(&mut Value, &mut Value);
    let by_sid: Change = |_, _| ();
    let by_subject: Change = |_, claims| drop(claims.as_object_mut().unwrap().remove("sid"));
    let logout = |world: &mut World, jti: &str, change: Change| {
        let token = world.provider.logout_token(world.now, |header, claims| {
            claims["jti"] = json!(jti);
            change(header, claims);
        });
        world.body = Ok(format!("logout_token={token}").into_bytes());
        assert_eq!(world.send_more(&LOGOUT).code(), (200, "logged_out"));
    };
    // All within a second; the clock of the other process differs by up to two seconds.
    for (first, second) in [(by_sid, by_sid), (by_subject, by_sid), (by_sid, by_subject)] {
        for ahead in [-2, -1, 0, 1, 2] {
            let mut one = world();
            one.advance(1000);
            one.sign_in("/");
            logout(&mut one, "first", first);
            one.settle();
            assert_eq!(one.visit("/").code(), (302, "sign_in_started"));
            let mut other = another_process(&one);
            other.now = UnixTime::from_secs(one.now.as_secs().saturating_add_signed(ahead));
            other.jar.clear();
            other.sign_in("/");
            assert_eq!(user(&other.visit("/")), "alice", "{ahead}");
            one.redis = other.redis.clone();
            one.jar = other.jar.clone();
            assert_eq!(user(&one.visit("/")), "alice", "{ahead}");
            logout(&mut one, "second", second);
            one.settle();
            assert_eq!(one.visit("/").code(), (302, "sign_in_started"), "{ahead}");
            other.redis = one.redis.clone();
            assert_eq!(other.visit("/").code(), (302, "sign_in_started"), "{ahead}");
            other.sign_in("/");
            assert_eq!(user(&other.visit("/")), "alice", "{ahead}");
        }
    }
}

#[test]
fn a_late_revocation_write_ends_no_newer_session() {
    let mut world = world();
    world.sign_in("/");
    let token = world.provider.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    assert_eq!(world.send_more(&LOGOUT).code(), (200, "logged_out"));
    world.sign_in("/");
    // The background write of the end comes only now.
    world.settle();
    assert_eq!(user(&world.visit("/")), "alice");
}
