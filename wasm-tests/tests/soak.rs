//! Days of many users in half a minute: sign-ins, refreshes, sign-outs, and a provider that goes down and comes back.

use std::time::{Duration, Instant};

use serde_json::json;
use wasm_tests::{
    issuer::{Issuer, RefreshTokens},
    process::until,
    user_agent::{Outgoing, UserAgent},
    world::{World, assert_signed_in},
};

/// How long it goes on; what it does in that time depends on the machine.
const LONG: Duration = Duration::from_secs(25);
/// How many rounds there are at least, however long they take.
const FEWEST: usize = 8;

fn sign_in(world: &World) -> UserAgent {
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
    browser
}

#[test]
fn no_session_is_lost_while_the_provider_goes_down_and_comes_back() {
    let issuer = Issuer::start();
    issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        (terms.expires_in, terms.refresh_expires_in) = (Some(json!(300)), Some(json!(300)));
    });
    let mut world = World::around(issuer, |setup| {
        setup.configuration["session"]["lifetime_seconds"] = json!(30 * 24 * 3600);
    });
    let mut browsers: Vec<UserAgent> = (0..8).map(|_| sign_in(&world)).collect();
    let start = Instant::now();
    let (mut rounds, mut signed_out) = (0, 0);
    while start.elapsed() < LONG || rounds < FEWEST {
        rounds += 1;
        world.advance(400);
        let is_down = rounds % 4 == 3;
        if is_down {
            world.issuer.down();
        }
        for (at, browser) in browsers.iter().enumerate() {
            let requests: Vec<_> =
                (0..4).map(|tab| (world.url("/tab"), Outgoing::fetch(format!("/tab?{tab}")))).collect();
            for answer in browser.at_once(&requests) {
                assert_eq!(answer.status, 200, "round {rounds}, browser {at}: {answer:?}\n{}", world.log());
            }
        }
        if is_down {
            world.issuer.up();
            continue;
        }
        let leaving = browsers.swap_remove(rounds % browsers.len());
        let out = leaving.get(&world.url("/oauth2/sign_out"));
        assert_eq!(out.status, 303, "round {rounds}: {out:?}");
        signed_out += 1;
        browsers.push(sign_in(&world));
    }
    let refreshes = world.issuer.refreshes();
    assert!(refreshes.granted >= rounds && refreshes.refused == 0 && refreshes.reused == 0, "{refreshes:?}");
    assert_eq!(world.metric("signed_out"), signed_out);
    assert_eq!(world.metric("signed_in"), 8 + signed_out);
    assert_eq!(world.metric("renewed"), refreshes.granted as u64);
    assert_eq!(world.metric("session_refused"), 0);
    // No call is left behind.
    until("end of all calls", || (world.envoy.stats("cluster.idp.upstream_rq_active") == 0).then_some(()));
}
