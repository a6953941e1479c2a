//! Logouts by the provider, for the scenarios about back-channel and front-channel logout.

use serde_json::json;

use crate::{envoy::Setup, http1::Response, issuer::Issuer, user_agent::UserAgent, world::World};

/// Accepts back-channel and front-channel logout, in an Envoy that lets filters read bodies while headers are held.
pub fn accept_logouts(setup: &mut Setup) {
    setup.bodies_while_headers_are_held = true;
    configure_logout(setup);
}

/// The same configuration of the filter, in an Envoy that does not.
pub fn configure_logout(setup: &mut Setup) {
    setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
    setup.configuration["sign_out"] = json!({"back_channel": true, "front_channel": true});
    // A client that has registered RS256: a logout token with another algorithm must be refused.
    setup.configuration["providers"][0]["id_token_signing_algs"] = json!(["RS256"]);
}

/// A world that accepts back-channel and front-channel logout.
pub fn world() -> World {
    World::around(Issuer::start(), accept_logouts)
}

/// Checks that a logout was accepted.
///
/// # Panics
/// When it was not.
#[track_caller]
pub fn assert_logged_out(response: &Response, what: &str) {
    assert_eq!((response.status, response.code().as_deref()), (200, Some("logged_out")), "{what}: {response:?}");
    assert_eq!(response.headers.all("cache-control"), [b"no-store"], "{what}");
}

/// Checks that every worker lets this browser pass.
///
/// # Panics
/// When one does not.
#[track_caller]
pub fn assert_passes(world: &World, browser: &UserAgent, what: &str) {
    for _ in 0..4 {
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
    }
}
