//! Sessions outlive a restart, and a change of keys for as long as the old key stays in the ring.

use serde_json::json;
use wasm_tests::world::{SESSION_KEY, World};

/// Another 32 bytes.
const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=";

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

    // Whoever came by meanwhile has a session that the new key sealed; only who did not has to sign in again.
    world.restart(|document| document["session"]["keys"] = json!([NEW_KEY]));
    world.begin(&away, "/page");
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert_eq!(under_way.get(&world.url("/page")).status, 200);
}
