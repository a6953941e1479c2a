//! The runbooks of the README, walked: keys and client secrets change, and nobody is signed out.

use serde_json::json;
use wasm_tests::{
    issuer::{Answer, Fault, RefreshTokens},
    user_agent::UserAgent,
    world::{SESSION_KEY, World, assert_page, assert_signed_in},
};

/// Another 32 bytes.
const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=";

fn assert_in_everywhere(world: &World, browsers: &[UserAgent], what: &str) {
    for (at, browser) in browsers.iter().enumerate() {
        for number in [0, 1, 1, 0] {
            let page = world.through(browser, number).get(&world.url("/page"));
            assert_eq!(page.status, 200, "{what}: browser {at}, Envoy {number}: {page:?}\n{}", world.log());
        }
    }
}

#[test]
fn the_session_key_changes_one_envoy_after_the_other_and_nobody_is_signed_out() {
    let mut world = World::fleet(2);
    let mut browsers = vec![world.signed_in().0];
    for keys in [json!([SESSION_KEY, NEW_KEY]), json!([NEW_KEY, SESSION_KEY]), json!([NEW_KEY])] {
        for number in [0, 1] {
            world.restart_one(number, |document| document["session"]["keys"] = keys.clone());
            let what = format!("{number} with {} keys", keys.as_array().map_or(0, Vec::len));
            assert_in_everywhere(&world, &browsers, &what);
            // Who signs in in the midst of it, at one Envoy, is in at both.
            let newcomer = world.browser();
            let through = world.through(&newcomer, number);
            let callback = world.callback_url(&through, "/page");
            assert_signed_in(&through.get(&callback), &world.url("/page"));
            browsers.push(newcomer);
            assert_in_everywhere(&world, &browsers, &what);
        }
    }
}

#[test]
fn the_client_secret_changes_and_no_session_ends() {
    let world = World::start();
    world.issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        (terms.expires_in, terms.refresh_expires_in) = (Some(json!(100)), Some(json!(100)));
    });
    let (browser, _) = world.signed_in();
    // The provider has the new secret already, and this configuration does not.
    let refused = Answer::json(401, r#"{"error":"invalid_client"}"#);
    world.issuer.misbehave(Fault::Answer(wasm_tests::issuer::Endpoint::Token, refused));
    for round in 0..4 {
        world.advance(60);
        let page = browser.get(&world.url("/page"));
        assert_eq!(page.status, 200, "{round}: {page:?}\n{}", world.log());
    }
    let other = world.browser();
    let callback = world.callback_url(&other, "/page");
    assert_page(&other.get(&callback), &[502], "nobody can sign in meanwhile");
    // Now it does.
    world.issuer.behave();
    world.advance(60);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert_eq!(world.issuer.refreshes().granted, 1, "{:?}\n{}", world.issuer.refreshes(), world.log());
}
