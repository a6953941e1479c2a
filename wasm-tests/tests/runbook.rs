//! The runbooks of `envoy/docs/operations.md`, followed with two Envoys that are restarted one after the other: no session ends.

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::RefreshTokens,
    upstream::MARK,
    user_agent::UserAgent,
    world::{SESSION_KEY, World, assert_page, assert_signed_in, deleted_cookies},
};

/// Another 32 bytes.
const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=";
const NEW_SECRET: &str = "canary-new-secret:/+%& =";

fn fleet() -> World {
    let mut world = World::start();
    world.add_envoy();
    world
}

#[track_caller]
fn assert_served(response: &Response, what: &str) {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{what}: {response:?}");
    assert_eq!(deleted_cookies(response), [""; 0], "{what}");
}

/// Checks that this browser is signed in, whichever Envoy and worker it gets to.
#[track_caller]
fn assert_in(world: &World, browser: &UserAgent, what: &str) {
    for number in [0, 1, 1, 0, 0, 1] {
        assert_served(&world.through(browser, number).get(&world.url("/page")), what);
    }
}

/// Signs in at both Envoys: what one begins the other ends.
#[track_caller]
fn sign_in_across(world: &World, what: &str) -> Vec<UserAgent> {
    let sign_in = |first: usize| {
        let browser = world.browser();
        let begun = world.through(&browser, first).get(&world.url("/page")).location();
        let callback = browser.get(&begun.expect("a sign-in")).location().expect("a way back");
        assert_signed_in(&world.through(&browser, 1 - first).get(&callback), &world.url("/page"));
        assert_in(world, &browser, what);
        browser
    };
    [0, 1].map(sign_in).to_vec()
}

#[test]
fn a_session_key_rotation_in_three_steps_ends_no_active_session() {
    let mut world = fleet();
    let mut browsers = vec![world.signed_in().0];
    // A session that is not used while both keys are there ends: the old key stays for one lifetime.
    let (away, _) = world.signed_in();
    for (what, keys) in [
        ("the new key second", json!([SESSION_KEY, NEW_KEY])),
        ("the new key first", json!([NEW_KEY, SESSION_KEY])),
        ("the old key gone", json!([NEW_KEY])),
    ] {
        for number in [0, 1] {
            let what = format!("{what}, Envoy {number}");
            // A sign-in is pending while an Envoy is restarted.
            let under_way = world.browser();
            let callback = world.callback_url(&under_way, "/page");
            let keys: Value = keys.clone();
            world.restart_one(number, |document| document["session"]["keys"] = keys);
            if !what.starts_with("the old key gone") {
                assert_signed_in(&under_way.get(&callback), &world.url("/page"));
            } else {
                assert_eq!(under_way.follow(&callback).last().expect("a page").1.status, 200, "{what}");
            }
            browsers.push(under_way);
            for browser in &browsers {
                assert_in(&world, browser, &what);
            }
            browsers.extend(sign_in_across(&world, &what));
        }
    }
    world.begin(&away, "/page");
    for browser in &browsers {
        assert_in(&world, browser, "in the end");
    }
}

#[test]
fn a_new_client_secret_ends_no_session() {
    let mut world = fleet();
    world.issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        (terms.expires_in, terms.refresh_expires_in) = (Some(json!(100)), Some(json!(100)));
    });
    let browsers: Vec<_> = (0..3).map(|_| world.signed_in().0).collect();
    world.issuer.change_client_secret(NEW_SECRET);
    world.advance(110);
    for browser in &browsers {
        assert_in(&world, browser, "the old secret");
    }
    assert_eq!(world.issuer.refreshes().granted, 0);
    assert!(world.log().contains("invalid_client"), "{}", world.log());
    // Only new sign-ins fail until the operator has updated the secret.
    let newcomer = world.browser();
    let callback = world.callback_url(&newcomer, "/page");
    assert_page(&newcomer.get(&callback), &[502], "a sign-in with the old secret");
    for number in [0, 1] {
        world.restart_one(number, |document| document["providers"][0]["client_secret"] = json!(NEW_SECRET));
        for browser in &browsers {
            assert_in(&world, browser, "one after the other");
        }
        let newcomer = world.browser();
        let steps = world.through(&newcomer, number).follow(&world.url("/page"));
        assert_served(&steps.last().expect("a page").1, "a sign-in with the new secret");
    }
    world.advance(110);
    for browser in &browsers {
        assert_in(&world, browser, "the new secret");
    }
    assert!(world.issuer.refreshes().granted >= browsers.len(), "{:?}", world.issuer.refreshes());
    assert_eq!(world.metric("session_refused"), 0);
}
