//! How long a session lasts: by its idle timeout, by its lifetime, by its tokens, by the keys that seal it; and what a
//! clock that jumps does to it.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Endpoint, RefreshTokens},
    user_agent::{Outgoing, UserAgent},
    world::{SESSION_COOKIE, SESSION_KEY, World, assert_unauthenticated, kept_cookies},
};

/// A session key other than [`SESSION_KEY`].
const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=";

/// Checks that a session is good, and returns the `Max-Age` of its cookie if it was written anew.
#[track_caller]
fn visit(world: &World, browser: &UserAgent) -> Option<i64> {
    let response = browser.get(&world.url("/page"));
    assert_eq!(response.status, 200, "{response:?}");
    let line = response.set_cookies().pop()?;
    assert_eq!(kept_cookies(&response), [SESSION_COOKIE]);
    assert_eq!(response.headers.all("cache-control"), [b"private, no-store"]);
    let age = line.split("; ").find_map(|attribute| attribute.strip_prefix("Max-Age="));
    Some(age.and_then(|age| age.parse().ok()).expect("a Max-Age"))
}

fn userinfo(world: &World, browser: &UserAgent) -> (Response, Value) {
    let response = browser.fetch(&world.url("/oauth2/userinfo"));
    let body = serde_json::from_slice(&response.body).expect("JSON");
    (response, body)
}

#[test]
fn an_idle_session_ends_by_idle_timeout_and_an_active_one_by_lifetime() {
    let world = World::with(|document| {
        document["session"]["idle_timeout_seconds"] = json!(600);
        document["session"]["lifetime_seconds"] = json!(3600);
    });
    // To the second: what is asked in between must not take time.
    world.stop_clock();
    let (left, _) = world.signed_in();
    let (used, _) = world.signed_in();
    // The end moves in steps of a tenth: a cookie a minute at most.
    world.advance(40);
    for _ in 0..6 {
        assert_eq!(visit(&world, &used), None);
    }
    world.advance(25);
    assert!(visit(&world, &used).is_some_and(|age| (595..=600).contains(&age)));
    for _ in 0..6 {
        assert_eq!(visit(&world, &used), None);
    }
    // A userinfo request does not count as use.
    world.advance(520);
    let (_, body) = userinfo(&world, &left);
    assert!(body["expires_in"].as_i64().is_some_and(|left| left < 20), "{body}");
    world.advance(30);
    world.assert_ended(&left, "idle");
    for _ in 0..4 {
        let age = visit(&world, &used).expect("a new end");
        assert!((595..=600).contains(&age), "{age}");
        world.advance(550);
    }
    // Towards the end of its life it has no ten minutes left, and then none.
    world.advance(550);
    let _ = userinfo(&world, &used);
    world.assert_ended(&used, "idle for longer than ten minutes");

    let (used, _) = world.signed_in();
    for _ in 0..6 {
        world.advance(550);
        assert!(visit(&world, &used).is_some());
    }
    world.advance(200);
    assert!(visit(&world, &used).is_some_and(|age| (60..=100).contains(&age)), "until the end of its life");
    world.advance(110);
    world.assert_ended(&used, "an hour");
    // Its expiry is sealed in it: a cookie that is kept for longer is refused.
    assert!(!used.session_cookies().is_empty());
}

#[test]
fn a_session_outlives_its_tokens_and_refreshes_do_not_make_it_longer() {
    let world = World::start();
    let (plain, _) = world.signed_in();
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let (renewed, _) = world.signed_in();
    for hour in 0..7 {
        world.advance(3600);
        assert_eq!(visit(&world, &plain), None, "{hour}");
        let age = visit(&world, &renewed).expect("a renewed session");
        assert!((age - (7 - hour) * 3600).abs() < 60, "{hour}: {age}");
    }
    world.advance(3500);
    assert_eq!(visit(&world, &plain), None);
    let (response, body) = userinfo(&world, &plain);
    assert_eq!(response.headers.all("cache-control"), [b"no-store"]);
    assert!(body["expires_in"].as_i64().is_some_and(|left| (1..=100).contains(&left)), "{body}");
    let refreshes = world.issuer.refreshes().asked;
    world.advance(101);
    for browser in [&plain, &renewed] {
        world.assert_ended(browser, "eight hours");
    }
    assert_eq!(world.issuer.refreshes().asked, refreshes, "what is over is not renewed");
}

#[test]
fn a_clock_jump_neither_revives_nor_permanently_ends_a_session() {
    let world = World::with(|document| document["session"]["idle_timeout_seconds"] = json!(1800));
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let (browser, session) = world.signed_in();
    let now = UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs().cast_signed();
    // The clock jumps by an hour in both directions. A session from the future is refused beyond the tolerated clock
    // difference.
    for (seconds, is_in) in [(-3600, false), (0, true), (-200, true), (3600, false), (-86_400, false), (0, true)] {
        world.set_clock(seconds);
        let before = world.upstream.count();
        for _ in 0..4 {
            let copy = Outgoing::fetch("/api").header("cookie", format!("{SESSION_COOKIE}={session}"));
            let status = world.send(&copy).expect("an answer").status;
            assert_eq!(status, if is_in { 200 } else { 401 }, "{seconds}");
        }
        if !is_in {
            world.upstream.assert_saw_nothing_since(before, "a clock that jumped");
        }
    }
    assert!(visit(&world, &browser).is_none());
    // T-09: a sign-in that was begun before a jump is begun again.
    let under_way = world.browser();
    let callback = world.callback_url(&under_way, "/page");
    world.set_clock(-3600);
    let (before, redeemed) = (world.upstream.count(), world.issuer.requests(Endpoint::Token).len());
    assert_ne!(under_way.get(&callback).status, 303);
    assert_eq!(world.issuer.requests(Endpoint::Token).len(), redeemed);
    // T-13: no clock at all.
    world.set_clock(-now);
    for _ in 0..4 {
        assert_unauthenticated(&browser.fetch(&world.url("/api")), "1970");
        assert_ne!(browser.get(&world.url("/page")).status, 200);
    }
    world.upstream.assert_saw_nothing_since(before, "1970");
    world.set_clock(0);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    // T-14: beyond what 32 bits hold, with and without a sign.
    for year in [2039, 2107] {
        world.set_clock((year - 1970) * 31_556_952 - now);
        assert_unauthenticated(&browser.fetch(&world.url("/api")), "long over");
        let late = world.browser();
        let steps = late.follow(&world.url("/page"));
        assert_eq!(steps.last().expect("a page").1.status, 200, "{year}: {steps:#?}\n{}", world.log());
        let (_, body) = userinfo(&world, &late);
        let ends = body["expires_at"].as_i64().expect("a time");
        assert_eq!(ends / 31_556_952 + 1970, year, "{body}");
        world.advance(3500);
        assert_ne!(late.get(&world.url("/page")).status, 200, "idle for longer than half an hour");
    }
}

#[test]
fn sessions_survive_a_restart_and_a_new_key_and_end_with_the_old_one() {
    let mut world = World::start();
    let (browser, _) = world.signed_in();
    let (away, _) = world.signed_in();
    let under_way = world.browser();
    let callback = world.callback_url(&under_way, "/page");

    world.restart(|document| document["session"]["keys"] = json!([NEW_KEY, SESSION_KEY]));
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    // A sign-in that was under way goes on: the restart was not the user's doing.
    assert_eq!(under_way.get(&callback).status, 303);
    assert_eq!(under_way.get(&world.url("/page")).status, 200);

    // A session that was used meanwhile is sealed with the new key; only the unused one ends.
    world.restart(|document| document["session"]["keys"] = json!([NEW_KEY]));
    world.begin(&away, "/page");
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert_eq!(under_way.get(&world.url("/page")).status, 200);
}
