//! Sessions in the real Redis, behind the real Webdis: of any size, ended in every Envoy at once, and 503 for as long as
//! the store does not answer.

use serde_json::{Value, json};
use wasm_tests::{
    issuer::{Endpoint, Issuer, RefreshTokens, Rotation},
    process::{until, until_everywhere},
    provider::many_groups,
    store::Store,
    user_agent::{Outgoing, UserAgent},
    world::{
        SESSION_COOKIE, SESSION_KEY, World, assert_page, assert_signed_in, assert_unauthenticated, deleted_cookies,
    },
};

/// Two Envoys with one store.
fn fleet(store: &Store, issuer: Issuer, more: Value) -> World {
    let port = store.port();
    let mut world = World::around(issuer, |setup| {
        *setup = setup.clone().cluster("webdis", port);
        setup.bodies_while_headers_are_held = true;
        let document = &mut setup.configuration;
        document["session"]["store"] = json!({"cluster": "webdis", "timeout_ms": 10_000});
        document["allow_on_headers_stop_iteration"] = json!(true);
        document["sign_out"] = json!({"back_channel": true});
        for (name, value) in more.as_object().expect("an object") {
            document[name] = value.clone();
        }
    });
    world.add_envoy();
    world
}

fn assert_is_in(world: &World, browser: &UserAgent, what: &str) {
    for number in [0, 1] {
        for _ in 0..4 {
            let page = world.through(browser, number).get(&world.url("/page"));
            assert_eq!(page.status, 200, "{what}, Envoy {number}: {page:?}\n{}", world.log());
        }
    }
}

fn assert_is_out(world: &World, browser: &UserAgent, what: &str) {
    let before = world.upstream.count();
    for number in [0, 1] {
        for _ in 0..4 {
            let browser = world.through(browser, number);
            assert_unauthenticated(&browser.visit(&world.url("/api"), Outgoing::fetch("/api")), what);
        }
    }
    world.upstream.assert_saw_nothing_since(before, what);
}

#[test]
fn a_session_of_any_size_is_one_small_cookie_and_is_known_to_every_envoy() {
    let store = Store::start();
    let world = fleet(&store, Issuer::start(), json!({}));
    let mut claims = json!({"sub": "alice", "email": "alice@example.com", "groups": many_groups()});
    claims["more"] = json!(many_groups());
    world.issuer.sign_in_as(claims);
    let (browser, cookie) = world.signed_in();
    assert!(cookie.len() < 400, "{}", cookie.len());
    assert_eq!(browser.session_cookies().len(), 1);
    assert_is_in(&world, &browser, "after the sign-in");
    let info = browser.fetch(&world.url("/oauth2/userinfo"));
    let info: Value = serde_json::from_str(&info.text()).expect("JSON");
    assert_eq!(info["claims"]["groups"], json!(many_groups()));

    // Redis holds nothing that could be read, and forgets it by itself.
    let keys = store.keys();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("vestibule:s:"), "{keys:?}");
    let value = store.value(&keys[0]).expect("a session");
    for secret in world.secrets().iter().map(String::as_str).chain(["alice"]) {
        assert!(!value.contains(secret), "{secret}");
    }
    assert!(store.seconds_left(&keys[0]).is_some_and(|left| (28_000..=28_800).contains(&left)));

    // A stored session is bound to its key: that of another user is refused.
    world.issuer.sign_in_as(json!({"sub": "bob"}));
    let (bob, _) = world.signed_in();
    let bobs = store.keys().into_iter().find(|key| *key != keys[0]).expect("bob's key");
    store.put(&keys[0], &store.value(&bobs).expect("bob's session"));
    assert_is_out(&world, &browser, "with bob's session under alice's key");
    assert_is_in(&world, &bob, "bob");
    store.put(&keys[0], &value);
    assert_is_in(&world, &browser, "with her own again");
    store.flush();
    assert_is_out(&world, &browser, "without it");
}

#[test]
fn a_sign_out_and_a_logout_end_the_session_in_every_envoy() {
    let store = Store::start();
    let world = fleet(&store, Issuer::start(), json!({}));
    let (browser, _) = world.signed_in();
    let thief = world.browser();
    *thief.jar() = browser.jar().clone();
    assert_is_in(&world, &thief, "a copy of the cookie");
    let out = browser.get(&world.url("/oauth2/sign_out"));
    assert_eq!((out.status, out.code().as_deref()), (303, Some("signed_out")), "{out:?}");
    assert!(deleted_cookies(&out).contains(&SESSION_COOKIE.to_owned()));
    assert_is_out(&world, &thief, "a copy of the cookie after the sign-out");
    assert!(store.keys().iter().all(|key| !key.starts_with("vestibule:s:")), "{:?}", store.keys());

    let (browser, _) = world.signed_in();
    assert_is_in(&world, &browser, "a new session");
    world.advance(1);
    let token = world.issuer.logout_token(|_| {});
    assert_eq!(world.deliver_logout(1, &token).status, 200);
    assert_is_out(&world, &browser, "after a logout token that the other Envoy got");
    world.advance(1);
    let callback = world.callback_url(&browser, "/");
    assert_signed_in(&browser.get(&callback), &world.url("/"));
    assert_is_in(&world, &browser, "signed in again");
}

#[test]
fn while_the_store_does_not_answer_every_request_is_refused_and_then_sessions_go_on() {
    let mut store = Store::start();
    let world = fleet(&store, Issuer::start(), json!({}));
    let (browser, _) = world.signed_in();
    assert_is_in(&world, &browser, "before");
    store.save();
    type Change = fn(&mut Store);
    let (no_redis, redis): (Change, Change) = (Store::stop_redis, Store::start_redis);
    let (no_webdis, webdis): (Change, Change) = (Store::stop_webdis, Store::start_webdis);
    for (what, stop, start) in [("without Redis", no_redis, redis), ("without Webdis", no_webdis, webdis)] {
        stop(&mut store);
        let before = world.upstream.count();
        for number in [0, 1] {
            let browser = world.through(&browser, number);
            for _ in 0..4 {
                assert_page(&browser.get(&world.url("/page")), &[503], what);
            }
            let refused = browser.visit(&world.url("/api"), Outgoing::fetch("/api").method("POST").body("x"));
            assert_eq!((refused.status, refused.code().as_deref()), (503, Some("store_unavailable")), "{what}");
            assert_page(&browser.get(&world.url("/oauth2/sign_out")), &[503], what);
        }
        // A sign-in whose session cannot be stored fails and leaves existing sessions unchanged.
        let other = world.browser();
        let callback = world.callback_url(&other, "/page");
        assert_page(&other.get(&callback), &[503], what);
        assert_eq!(other.session_cookies(), [], "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
        // What needs no session is as ever.
        world.assert_serves();
        start(&mut store);
        // Webdis finds Redis again connection by connection; the filter needs no telling.
        for number in [0, 1] {
            until_everywhere("a store that answers", || {
                world.through(&browser, number).get(&world.url("/page")).status == 200
            });
        }
        assert_is_in(&world, &browser, "afterwards");
    }
}

#[test]
fn one_envoy_renews_a_stored_session_for_all() {
    let store = Store::start();
    let issuer = Issuer::start();
    issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        // One that comes twice ends everything.
        terms.rotation = Rotation::RotatingOrEnding;
        (terms.expires_in, terms.refresh_expires_in) = (Some(json!(600)), Some(json!(600)));
    });
    let world = fleet(&store, issuer, json!({}));
    let (browser, cookie) = world.signed_in();
    for round in 1..=3 {
        world.advance(700);
        let requests: Vec<_> =
            (0..40).map(|at| (world.url("/page"), Outgoing::fetch(format!("/page?at={at}")))).collect();
        let (left, right) = requests.split_at(20);
        std::thread::scope(|scope| {
            for (number, requests) in [(0, left), (1, right)] {
                let (world, browser) = (&world, &browser);
                scope.spawn(move || {
                    for answer in world.through(browser, number).at_once(requests) {
                        assert_eq!(answer.status, 200, "{round}: {answer:?}\n{}", world.log());
                    }
                });
            }
        });
        assert_is_in(&world, &browser, "after the renewal");
        assert_eq!(world.issuer.refreshes().asked, round, "{}", world.log());
        assert_eq!(world.issuer.refreshes().refused, 0);
    }
    // The cookie says where the session is, and nothing of it.
    assert_eq!(browser.session_cookies()[0].value, cookie.into_bytes());
    assert_eq!(world.issuer.requests(Endpoint::Token).len(), 4);
}

#[test]
fn a_new_key_takes_over_and_no_session_ends() {
    const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=";
    let store = Store::start();
    let mut world = fleet(&store, Issuer::start(), json!({}));
    let (browser, _) = world.signed_in();
    let value = |store: &Store| store.value(&store.keys()[0]).expect("the session");
    let before = value(&store);
    world.restart(|document| document["session"]["keys"] = json!([SESSION_KEY, NEW_KEY]));
    assert_is_in(&world, &browser, "with both keys, the old one first");
    assert_eq!(value(&store), before);
    world.restart(|document| document["session"]["keys"] = json!([NEW_KEY, SESSION_KEY]));
    assert_is_in(&world, &browser, "with both keys, the new one first");
    until("the session under the new key", || (value(&store) != before).then_some(()));
    world.restart(|document| document["session"]["keys"] = json!([NEW_KEY]));
    assert_is_in(&world, &browser, "with the new key alone");
}

/// Where Envoy hands over bodies while the store is asked, it keeps only so much of them.
#[test]
fn an_upload_larger_than_envoys_buffer_is_refused() {
    let store = Store::start();
    for (limit, passes) in [(1 << 20, false), (8 << 20, true)] {
        let port = store.port();
        let world = World::around(Issuer::start(), |setup| {
            *setup = setup.clone().cluster("webdis", port);
            setup.bodies_while_headers_are_held = true;
            setup.buffer_limit = limit;
            setup.configuration["session"]["store"] = json!({"cluster": "webdis", "timeout_ms": 10_000});
            setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        });
        let (browser, _) = world.signed_in();
        let upload = |length| {
            let before = world.upstream.count();
            let post = Outgoing::fetch("/upload").method("POST").body(vec![b'x'; length]);
            (browser.visit(&world.url("/upload"), post).status, world.upstream.count() - before)
        };
        for _ in 0..4 {
            assert_eq!(upload(900 << 10), (200, 1), "{limit}: {}", world.log());
            assert_eq!(upload(5 << 20), if passes { (200, 1) } else { (413, 0) }, "{limit}: {}", world.log());
        }
    }
}
