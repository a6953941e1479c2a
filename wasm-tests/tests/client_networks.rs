//! Rules for clients of some networks: the address is the one that Envoy determines, whatever a client says of itself.

use serde_json::{Value, json};
use wasm_tests::{
    issuer::Issuer,
    upstream::MARK,
    user_agent::Outgoing,
    world::{SESSION_COOKIE, World, assert_refused, assert_sign_in, assert_unauthenticated},
};

const OFFICE: &str = "/office/page";
const HERE: &str = "/here/page";
const CLOSED: &str = "/closed/page";

/// Envoy with these fields of its connection manager. `/office` is public for the clients of two networks, and `/here` for this
/// machine, to which `/closed` is closed.
fn world(manager: Value) -> World {
    World::around(Issuer::start(), |setup| {
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/office", "networks": ["10.0.0.0/8", "fd00::/8"], "access": "public"},
            {"prefix": "/here", "networks": ["127.0.0.0/8"], "access": "public"},
            {"prefix": "/closed", "networks": ["127.0.0.0/8"], "access": "deny"},
        ]);
        let fields = manager.as_object().expect("fields").clone();
        setup.connection_manager.extend(fields);
    })
}

fn from(target: &str, forwarded_for: &[&str]) -> Outgoing {
    forwarded_for.iter().fold(Outgoing::navigation(target), |send, value| send.header("x-forwarded-for", value))
}

#[track_caller]
fn assert_inside(world: &World, send: &Outgoing) {
    let response = world.send(send).expect("an answer");
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{send:?}: {response:?}\n{}", world.log());
    assert!(!world.upstream.last().headers.has("x-forwarded-user"));
}

/// The app sees nothing, the client is sent to sign in, and the same goes for a script.
#[track_caller]
fn assert_outside(world: &World, send: &Outgoing) {
    let before = world.upstream.count();
    let response = world.send(send).expect("an answer");
    assert_sign_in(&response, world);
    let script = send.clone().without("sec-fetch-mode").without("accept").header("sec-fetch-mode", "cors");
    assert_unauthenticated(&world.send(&script).expect("an answer"), "a script");
    world.upstream.assert_saw_nothing_since(before, "a client outside of the network");
    world.assert_serves();
}

#[test]
fn without_a_proxy_the_clients_address_is_that_of_its_connection() {
    let world = world(json!({"use_remote_address": true, "xff_num_trusted_hops": 0}));
    assert_inside(&world, &from(HERE, &[]));
    // What a client says of itself neither opens nor closes.
    for forwarded_for in [
        &["10.1.2.3"][..],
        &["10.1.2.3, 10.1.2.3"],
        &["10.1.2.3", "10.1.2.3"],
        &["::ffff:10.1.2.3"],
        &["fd00::1"],
        &["[fd00::1]:80"],
        &["127.0.0.1, 10.1.2.3"],
        &["nonsense"],
        &[""],
    ] {
        assert_outside(&world, &from(OFFICE, forwarded_for));
        assert_inside(&world, &from(HERE, forwarded_for));
        assert_refused(&world, &from(CLOSED, forwarded_for), &world.browser(), (403, "denied"));
    }
    for name in [
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-envoy-external-address",
        "x-envoy-internal",
        "x_forwarded_for",
    ] {
        assert_outside(&world, &Outgoing::navigation(OFFICE).header(name, "10.1.2.3"));
    }
    assert_outside(&world, &Outgoing::navigation(OFFICE).header("forwarded", "for=10.1.2.3"));
}

#[test]
fn behind_a_proxy_the_clients_address_is_the_one_the_proxy_saw() {
    let world = world(json!({"use_remote_address": true, "xff_num_trusted_hops": 1}));
    for inside in [
        &["10.1.2.3"][..],
        &["203.0.113.9, 10.1.2.3"],
        &["203.0.113.9", "10.1.2.3"],
        &["fd12::7"],
        &["::ffff:10.1.2.3"],
    ] {
        assert_inside(&world, &from(OFFICE, inside));
        assert_outside(&world, &from(HERE, inside));
    }
    for outside in [
        &["203.0.113.9"][..],
        &["10.1.2.3, 203.0.113.9"],
        &["10.1.2.3", "203.0.113.9"],
        &["10.1.2.3, 2001:db8::1"],
        &["11.0.0.0"],
        // Without an address of the proxy, the one that connects counts.
        &[],
        &["10.1.2.3, nonsense"],
        &["10.1.2.3,"],
    ] {
        assert_outside(&world, &from(OFFICE, outside));
    }
}

/// Envoy's default, for a listener that only other proxies reach: the page on networks warns of it.
#[test]
fn without_use_remote_address_a_client_can_forge_its_address() {
    let world = world(json!({"use_remote_address": false}));
    assert_inside(&world, &from(OFFICE, &["10.1.2.3"]));
    assert_outside(&world, &from(OFFICE, &["10.1.2.3, 203.0.113.9"]));
    assert_outside(&world, &from(OFFICE, &[]));
}

#[test]
fn a_public_network_forwards_no_identity() {
    let world = world(json!({"use_remote_address": true, "xff_num_trusted_hops": 1}));
    let (_, session) = world.signed_in();
    let with_session = |send: Outgoing| send.header("cookie", format!("{SESSION_COOKIE}={session}"));
    let spoofed = with_session(from(OFFICE, &["10.1.2.3"])).header("x-forwarded-user", "mallory");
    assert_inside(&world, &spoofed);
    assert!(!world.upstream.last().headers.has("cookie"), "our cookies stay here");
    // From elsewhere the same user comes in by the session.
    let response = world.send(&with_session(from(OFFICE, &["203.0.113.9"]))).expect("an answer");
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.upstream.last().headers.text("x-forwarded-user").as_deref(), Some("alice"));
}
