//! How long a session lasts: until nobody comes, or until its time is over, whatever becomes of the tokens.

use serde_json::json;
use wasm_tests::{
    user_agent::UserAgent,
    world::{World, assert_sign_in, is_session_cookie, kept_cookies},
};

#[track_caller]
fn assert_in(world: &World, browser: &UserAgent, what: &str) -> usize {
    let page = browser.get(&world.url("/page"));
    assert_eq!(page.status, 200, "{what}: {page:?}\n{}", world.log());
    let kept = kept_cookies(&page);
    assert!(kept.iter().all(|name| is_session_cookie(name)), "{what}: {kept:?}");
    kept.len()
}

#[track_caller]
fn assert_out(world: &World, browser: &UserAgent, what: &str) {
    let before = world.upstream.count();
    assert_sign_in(&browser.get(&world.url("/page")), world);
    world.upstream.assert_saw_nothing_since(before, what);
}

#[test]
fn a_session_outlives_its_id_token_and_ends_with_its_lifetime() {
    let world = World::start();
    world.issuer.terms(|terms| terms.id_token_seconds = 60);
    let (browser, _) = world.signed_in();
    for hour in 1..8 {
        world.advance(3600);
        assert_eq!(assert_in(&world, &browser, &format!("after {hour} hours")), 0);
    }
    world.advance(3590);
    assert_in(&world, &browser, "ten seconds before the end");
    world.advance(11);
    assert_out(&world, &browser, "after eight hours");
}

#[test]
fn who_stays_away_is_signed_out_and_who_comes_is_not_until_the_end() {
    let world = World::with(|document| {
        document["session"]["idle_timeout_seconds"] = json!(600);
        document["session"]["lifetime_seconds"] = json!(3600);
    });
    let (browser, _) = world.signed_in();
    world.advance(50);
    assert_eq!(assert_in(&world, &browser, "before a tenth"), 0);
    world.advance(15);
    assert_eq!(assert_in(&world, &browser, "after a tenth"), 1);
    assert_eq!(assert_in(&world, &browser, "right afterwards"), 0);
    let (away, _) = world.signed_in();
    for round in 0..5 {
        world.advance(590);
        assert_eq!(assert_in(&world, &browser, &format!("round {round}")), 1);
    }
    assert_out(&world, &away, "after ten minutes and more");
    world.advance(590);
    assert_out(&world, &browser, "after an hour, however busy");
}

#[test]
fn a_clock_that_jumps_harms_nobody_and_brings_no_session_back() {
    let world = World::with(|document| document["session"]["idle_timeout_seconds"] = json!(7200));
    let (browser, _) = world.signed_in();
    let year = 365 * 24 * 3600;
    for (what, offset) in
        [("an hour back", -3600), ("before 1970", -100 * year), ("2038", 12 * year), ("2106", 80 * year)]
    {
        world.set_clock(offset);
        let before = world.upstream.count();
        let page = browser.get(&world.url("/page"));
        assert!(matches!(page.status, 302 | 503), "{what}: {page:?}");
        world.upstream.assert_saw_nothing_since(before, what);
        world.assert_serves();
    }
    world.set_clock(0);
    // Within the few minutes that clocks may differ nothing happens at all.
    world.advance(-200);
    assert_in(&world, &browser, "200 seconds back");
}
