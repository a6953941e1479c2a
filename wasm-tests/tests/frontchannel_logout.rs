//! Front-channel logout: a frame on a page of the provider ends the session that it names.

use wasm_tests::{
    http1::Response,
    issuer::Endpoint,
    logout::{assert_logged_out, assert_passes, world},
    user_agent::Outgoing,
    world::World,
};

const FRONT_CHANNEL_LOGOUT: &str = "/oauth2/frontchannel_logout";

/// The answer to a frame on the provider's page, which brings no cookie.
fn frame(world: &World, iss: &str, sid: &str) -> Response {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs([("iss", iss), ("sid", sid)]).finish();
    let target = format!("{FRONT_CHANNEL_LOGOUT}?{query}");
    let request = Outgoing::navigation(&target).without("sec-fetch-dest").without("sec-fetch-site");
    let request = request.header("sec-fetch-dest", "iframe").header("sec-fetch-site", "cross-site");
    world.send(&request).expect("an answer")
}

#[test]
fn forged_front_channel_logouts_undo_and_prevent_no_logout() {
    let world = world();
    world.stop_clock();
    let issuer = world.issuer.url();
    let (browser, _) = world.signed_in();
    assert_logged_out(&frame(&world, &issuer, &world.issuer.sids().swap_remove(0)), "a frame");
    let (other, _) = world.signed_in();
    let before = world.upstream.count();
    let statuses: Vec<_> = (0..300).map(|number| frame(&world, &issuer, &format!("made-up-{number}")).status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    world.upstream.assert_saw_nothing_since(before, "frames");
    world.assert_ended(&browser, "after the flood");
    assert_passes(&world, &other, "after the flood");
    assert_logged_out(&frame(&world, &issuer, &world.issuer.sids().pop().expect("a session")), "a frame");
    world.assert_ended(&other, "after the flood");
}

#[test]
fn a_front_channel_logout_ends_the_session_with_its_sid() {
    let world = world();
    let (browser, _) = world.signed_in();
    let sid = world.issuer.sids().swap_remove(0);
    let frame = |iss: &str, sid: &str| frame(&world, iss, sid);
    let issuer = world.issuer.url();
    for (iss, sid) in [("https://evil.example", &*sid), (&issuer, ""), (&format!("{issuer}/"), &sid)] {
        let response = frame(iss, sid);
        assert_eq!(response.status, 400, "{iss} {sid}: {response:?}");
    }
    assert_passes(&world, &browser, "frames of another issuer");
    let response = frame(&issuer, &sid);
    assert_logged_out(&response, "a frame");
    let policy = response.headers.text("content-security-policy").unwrap_or_default();
    assert!(policy.contains(&format!("frame-ancestors {issuer};")), "{policy}");
    assert!(!response.headers.has("x-frame-options"), "{response:?}");
    world.assert_ended(&browser, "a frame");
}

#[test]
fn logout_channels_have_no_endpoint_unless_configured() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    assert_eq!(world.deliver_logout(0, &world.issuer.logout_token(|_| {})).status, 404);
    let sid = world.issuer.sids().swap_remove(0);
    let frame = format!("{FRONT_CHANNEL_LOGOUT}?iss={}&sid={sid}", world.issuer.url());
    assert_eq!(world.browser().get(&world.url(&frame)).status, 404);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert_eq!(world.issuer.requests(Endpoint::EndSession).len(), 0);
}
