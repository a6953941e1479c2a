//! Metadata and keys of a provider: one worker fetches them for all, and good ones stay while the provider is down.

use serde_json::{Value, json};

use super::{
    super::event::Event,
    world::{ISSUER, Outcome, World, document, header, location},
};

fn asked(world: &World, path: &str) -> usize {
    world.provider.asked.get(path).copied().unwrap_or_default()
}

const METADATA: &str = "/.well-known/openid-configuration";

#[test]
fn one_worker_fetches_metadata_and_keys_for_all() {
    let mut world = World::ready();
    assert_eq!((asked(&world, METADATA), asked(&world, "/jwks")), (1, 1));
    for worker in 0..2 {
        world.worker = worker;
        assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    }
}

#[test]
fn missing_sign_out_endpoints_are_logged() {
    let mut world = World::new();
    world.provider.metadata = Box::new(|metadata| {
        metadata["end_session_endpoint"] = json!("http://idp.example.com/end");
        metadata.as_object_mut().unwrap().remove("revocation_endpoint");
    });
    world.settle();
    let told: Vec<_> = world.events.iter().map(ToString::to_string).collect();
    let (left_out, told) = told.split_first().unwrap();
    assert!(left_out.starts_with("left an endpoint out of the metadata"), "{left_out}");
    let expected =
        format!("read the metadata of {ISSUER}; no usable end_session_endpoint; no usable revocation_endpoint");
    assert_eq!(told, [expected, format!("read the keys of {ISSUER}")]);
}

#[test]
fn a_request_before_discovery_is_held_and_then_decided() {
    let mut world = World::new();
    let Outcome::Held(waiter) = world.visit("/page") else { panic!("nothing is known yet") };
    let waiter = world.waits_on(waiter);
    world.settle();
    assert_eq!(world.resume(waiter).code(), (302, "sign_in_started"));
}

#[test]
fn a_held_request_gets_503_at_its_deadline() {
    let mut world = World::new();
    world.provider.up = false;
    let Outcome::Held(waiter) = world.visit("/page") else { panic!("nothing is known yet") };
    world.settle();
    world.advance(5);
    let reply = world.resume(waiter).reply();
    assert_eq!((reply.status, reply.code, header(&reply, "retry-after")), (503, "provider_not_ready", Some("5")));
}

#[test]
fn the_number_of_held_requests_is_limited() {
    let mut world = World::new();
    let _held = world.limits().held.take_all_but(0);
    assert_eq!(world.visit("/page").code(), (503, "provider_not_ready"));
}

#[test]
fn a_request_that_needs_no_provider_is_not_held() {
    let mut world = World::new();
    assert!(matches!(world.visit("/public/x"), Outcome::Forwarded { .. }));
    let program = world.send(&[(":method", "GET"), (":path", "/x"), ("accept", "*/*")]);
    assert_eq!(program.code(), (401, "sign_in_required"));
    assert_eq!(world.visit("/oauth2/health").code(), (200, "health"));
}

#[test]
fn discovery_of_a_failing_provider_backs_off_and_recovers() {
    let mut world = World::new();
    world.provider.up = false;
    for _ in 0..60 {
        world.settle();
        world.advance(1);
    }
    let tries = asked(&world, METADATA);
    assert!((4..=9).contains(&tries), "{tries} tries in a minute");
    world.provider.up = true;
    for _ in 0..16 {
        world.settle();
        world.advance(1);
    }
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn valid_metadata_and_keys_are_kept_for_a_day_while_the_provider_is_down() {
    let mut world = World::ready();
    world.provider.up = false;
    for _ in 0..20 {
        world.advance(3600);
        world.settle();
    }
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
    assert!(world.events.iter().any(|event| matches!(event, Event::NotFetched { has_good: true, .. })));
    // But not for ever: a key that the provider took back must not be trusted after a day.
    world.advance(5 * 3600);
    world.settle();
    assert!(matches!(world.visit("/"), Outcome::Held(_)));
}

#[test]
fn documents_are_refreshed_in_the_background() {
    let mut world = World::ready();
    world.advance(11 * 60 + 1);
    world.settle();
    assert_eq!((asked(&world, METADATA), asked(&world, "/jwks")), (1, 2));
    world.advance(66 * 60);
    world.settle();
    assert_eq!((asked(&world, METADATA), asked(&world, "/jwks")), (2, 3));
}

#[test]
fn signing_key_rotation_just_before_signing_is_followed() {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    world.provider.rotate();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("the key is not known yet") };
    let waiter = world.waits_on(waiter);
    world.settle();
    assert_eq!(world.resume(waiter).code(), (303, "signed_in"));
    assert_eq!((asked(&world, "/jwks"), asked(&world, "/token")), (2, 1));
}

#[test]
fn keys_fetched_by_one_worker_are_used_by_the_others_at_once() {
    let mut world = World::ready();
    world.provider.rotate();
    // The first worker uses up the key requests of the process, for the new key and for an unknown one.
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("the key is not known yet") };
    let fetch = world.drive().remove(0);
    world.answer(fetch);
    assert_eq!(world.resume(waiter).code(), (303, "signed_in"));
    world.use_up_wishes();
    // The other worker has not been driven since.
    world.jar.clear();
    world.worker = 1;
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    assert_eq!(asked(&world, "/jwks"), 2);
}

#[test]
fn keys_loaded_by_one_request_resume_waiting_requests_without_a_fetch() {
    let mut world = World::ready();
    world.provider.rotate();
    let begun = ["/waits", "/later", "/fetches"].map(|path| world.visit(path).reply());
    let [waits, comes_later, fetches] = &begun;
    let arrives = |world: &mut World, begun: &_| {
        let callback = world.signs_in(begun);
        world.visit(&callback)
    };
    world.worker = 1;
    let Outcome::Held(waiter) = arrives(&mut world, waits) else { panic!("the key is not known yet") };
    world.worker = 0;
    assert!(matches!(arrives(&mut world, fetches), Outcome::Held(_)));
    let fetch = world.drive().remove(0);
    world.answer(fetch);
    // In the second worker, a request takes over the shared keys before the worker is driven.
    world.worker = 1;
    assert_eq!(arrives(&mut world, comes_later).code(), (303, "signed_in"));
    assert!(world.drive().is_empty());
    assert_eq!(world.resume(waiter).code(), (303, "signed_in"));
    assert_eq!(asked(&world, "/jwks"), 2);
}

#[test]
fn a_key_response_from_before_a_rotation_does_not_end_the_wait() {
    let mut world = World::ready();
    world.advance(12 * 60);
    // The answer to a refresh of the keys is from before the rotation.
    let refresh = world.drive().remove(0);
    let old = world.provider.answer(refresh.request(), world.now);
    world.provider.rotate();
    world.advance(1);
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("the key is not known yet") };
    world.answer_with(refresh, old);
    let Outcome::Held(waiter) = world.resume(waiter) else { panic!("the old keys are no answer") };
    world.settle();
    assert_eq!(world.resume(waiter).code(), (303, "signed_in"));
}

#[test]
fn shared_keys_from_before_a_rotation_do_not_end_the_wait() {
    let mut world = World::ready();
    let [_, fresh] = super::world::workers(&world.config, &world.platform);
    world.workers[1] = fresh;
    // The second worker has taken over the metadata and keys of the first.
    world.worker = 1;
    assert!(world.drive().is_empty());
    world.advance(1);
    // The first worker refreshes its keys just before the rotation; the second has not seen that.
    world.refresh_keys_of_worker(0);
    world.provider.rotate();
    world.worker = 1;
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let mut outcome = world.visit(&callback);
    for _ in 0..4 {
        let Outcome::Held(waiter) = outcome else { break };
        for fetch in world.drive() {
            world.answer(fetch);
        }
        outcome = world.resume(waiter);
    }
    assert_eq!(outcome.code(), (303, "signed_in"));
}

#[test]
fn a_rotated_key_without_kid_is_fetched() {
    let mut world = World::new();
    world.provider.kid = None;
    world.settle();
    let reply = world.visit("/page").reply();
    world.provider.rotate();
    let callback = world.signs_in(&reply);
    let Outcome::Held(waiter) = world.visit(&callback) else { panic!("no key fits yet") };
    world.settle();
    assert_eq!(world.resume(waiter).code(), (303, "signed_in"));
}

#[test]
fn an_unpublished_key_causes_a_limited_number_of_key_fetches() {
    let mut world = World::ready();
    world.provider.kid = Some("published".to_owned());
    world.provider.token_response = Box::new(|mut body| {
        // {"alg":"ES256","kid":"unknown"}
        body["id_token"] = json!("eyJhbGciOiJFUzI1NiIsImtpZCI6InVua25vd24ifQ.e30.".to_owned() + &"A".repeat(86));
        super::world::ok(&body)
    });
    for _ in 0..20 {
        let reply = world.visit("/page").reply();
        let callback = world.signs_in(&reply);
        match world.visit(&callback) {
            Outcome::Held(waiter) => {
                world.settle();
                assert_eq!(world.resume(waiter).code(), (502, "id_token_unknown_key"));
            }
            decided => assert_eq!(decided.code(), (502, "id_token_unknown_key")),
        }
    }
    assert_eq!(asked(&world, "/jwks"), 3, "the first, and two more");
    assert!(world.events.contains(&Event::UnknownKeyThrottled));
    world.advance(31);
    world.settle();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    assert!(matches!(world.visit(&callback), Outcome::Held(_)), "time gives a wish back");
}

#[test]
fn tampered_shared_data_is_ignored() {
    use crate::platform::Platform;
    let mut world = World::new();
    let fingerprint = base16ct::lower::encode_string(&world.config.providers[0].fingerprint());
    for kind in ["metadata", "keys"] {
        let key = format!("vestibule.{}.{fingerprint}.{kind}", world.config.fingerprint);
        world.platform.shared_set(&key, b"forged by another filter of the same VM id", None).unwrap();
        world.platform.shared_set(&format!("{key}.lease"), b"nonsense", None).unwrap();
    }
    world.settle();
    assert_eq!((asked(&world, METADATA), asked(&world, "/jwks")), (1, 1));
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

/// A provider whose endpoints the operator names.
fn by_hand(more: &Value) -> World {
    let mut document = document();
    for (field, path) in [("authorization_endpoint", "authorize"), ("token_endpoint", "token"), ("jwks_uri", "jwks")] {
        document["providers"][0][field] = json!(format!("{ISSUER}/{path}"));
    }
    for (field, value) in more.as_object().unwrap() {
        document["providers"][0][field] = value.clone();
    }
    World::with(&document)
}

#[test]
fn configured_endpoints_make_discovery_unnecessary() {
    for (discovery, asked) in [(json!(false), false), (json!(true), true)] {
        let mut world = by_hand(&json!({ "discovery": discovery }));
        world.provider.metadata = Box::new(|metadata| *metadata = json!("none"));
        world.settle();
        world.sign_in("/");
        assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
        assert_eq!(world.provider.asked.contains_key("/.well-known/openid-configuration"), asked, "{discovery}");
    }
}

#[test]
fn discovered_metadata_complete_configured_endpoints() {
    let mut world = by_hand(&json!({}));
    world.settle();
    world.sign_in("/");
    // The end-session endpoint is discovered.
    let reply = world.opens("/oauth2/sign_out", "same-origin").reply();
    assert!(location(&reply).starts_with(&format!("{ISSUER}/end?")), "{}", location(&reply));
}

/// A provider of many tenants, as Microsoft Entra ID is: its issuer has a place for the tenant. `change` comes before its documents
/// are read.
pub(super) fn of_many_tenants(settings: &[(&str, Value)], change: impl FnOnce(&mut World)) -> World {
    let template = format!("{ISSUER}/{{tenantid}}/v2.0");
    let mut document = document();
    document["providers"][0]["issuer"] = json!(template);
    document["providers"][0]["metadata_url"] = json!(format!("{ISSUER}{METADATA}"));
    for (field, value) in settings {
        document[*field] = value.clone();
    }
    let mut world = World::with(&document);
    world.provider.metadata = Box::new(move |metadata| {
        metadata["issuer"] = json!(template);
        metadata["authorization_response_iss_parameter_supported"] = json!(false);
    });
    change(&mut world);
    world.settle();
    world
}

/// Makes its ID tokens those of this tenant.
pub(super) fn issue_for(tenant: &'static str, world: &mut World) {
    world.provider.claims = Box::new(move |claims| {
        claims.insert("iss".to_owned(), json!(format!("{ISSUER}/{tenant}/v2.0")));
        claims.insert("tid".to_owned(), json!(tenant));
    });
}

/// The callback of a sign-in at it: such a provider sends no `iss` with the code.
pub(super) fn callback_of_a_tenant(world: &mut World) -> String {
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    callback.split_once("&iss=").unwrap().0.to_owned()
}

const TENANT_A: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const TENANT_B: &str = "00000000-6c67-4c5b-b112-36a304b66dad";

#[test]
fn a_multi_tenant_id_token_must_name_the_issuer_of_its_tid() {
    let tenants = format!("{ISSUER}/{TENANT_A}/v2.0");
    for (iss, tid, expected) in [
        (json!(tenants), json!(TENANT_A), (303, "signed_in")),
        (json!(tenants), json!(TENANT_B), (502, "id_token_refused")),
        (json!(tenants), Value::Null, (502, "id_token_refused")),
        (json!(tenants), json!([TENANT_A]), (502, "id_token_refused")),
        (json!(format!("{ISSUER}/common/v2.0")), json!("common"), (502, "id_token_refused")),
        (json!(format!("{ISSUER}/{{tenantid}}/v2.0")), json!("{tenantid}"), (502, "id_token_refused")),
        (json!(format!("{ISSUER}/{TENANT_A}/v2.0/")), json!(TENANT_A), (502, "id_token_refused")),
        (json!(format!("https://evil.example/{TENANT_A}/v2.0")), json!(TENANT_A), (502, "id_token_refused")),
        (
            json!(format!("{ISSUER}/{}/v2.0", TENANT_A.to_uppercase())),
            json!(TENANT_A.to_uppercase()),
            (502, "id_token_refused"),
        ),
    ] {
        let mut world = of_many_tenants(&[], |_| ());
        let (said, tenant) = (iss.clone(), tid.clone());
        world.provider.claims = Box::new(move |claims| {
            claims.insert("iss".to_owned(), said.clone());
            claims.insert("tid".to_owned(), tenant.clone());
        });
        let callback = callback_of_a_tenant(&mut world);
        assert_eq!(world.visit(&callback).code(), expected, "{iss} {tid}");
    }
}

#[test]
fn a_multi_tenant_authorization_response_must_name_a_tenant_issuer() {
    for (iss, is_right) in [
        (format!("{ISSUER}/{TENANT_A}/v2.0"), true),
        (format!("{ISSUER}/common/v2.0"), false),
        (format!("{ISSUER}/{{tenantid}}/v2.0"), false),
        (ISSUER.to_owned(), false),
        (format!("{ISSUER}/{TENANT_A}/../v2.0"), false),
    ] {
        let mut world = of_many_tenants(&[], |_| ());
        issue_for(TENANT_A, &mut world);
        let callback = callback_of_a_tenant(&mut world);
        let iss: String = form_urlencoded::byte_serialize(iss.as_bytes()).collect();
        let expected = if is_right { (303, "signed_in") } else { (400, "callback_wrong_issuer") };
        assert_eq!(world.visit(&format!("{callback}&iss={iss}")).code(), expected, "{iss}");
    }
}

/// Signs in as a user of tenant A, whose ID tokens come with refresh tokens.
fn signed_in_of_tenant_a(world: &mut World) {
    world.provider.refreshes = true;
    issue_for(TENANT_A, world);
    let callback = callback_of_a_tenant(world);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
}

#[test]
fn a_renewal_of_another_tenant_ends_the_session() {
    for (tenant, is_kept) in [(TENANT_A, true), (TENANT_B, false)] {
        let mut world = of_many_tenants(&[], |_| ());
        signed_in_of_tenant_a(&mut world);
        issue_for(tenant, &mut world);
        world.advance(480);
        let held = world.visit("/");
        let outcome = world.then(held);
        assert_eq!(matches!(outcome, Outcome::Forwarded { .. }), is_kept, "{outcome:?}");
    }
}

#[test]
fn a_key_of_one_tenant_verifies_no_token_of_another() {
    let template = format!("{ISSUER}/{{tenantid}}/v2.0");
    let of = |tenant: &str| format!("{ISSUER}/{tenant}/v2.0");
    for (key_issuer, expected) in [
        (json!(template), (303, "signed_in")),
        (json!(of(TENANT_A)), (303, "signed_in")),
        (json!(of(TENANT_B)), (502, "id_token_refused")),
        (json!("https://evil.example/{tenantid}/v2.0"), (502, "id_token_refused")),
    ] {
        let mut world = of_many_tenants(&[], |world| {
            let mut jwks = world.provider.jwks();
            jwks["keys"][0]["issuer"] = key_issuer.clone();
            world.provider.jwks = Some(super::world::ok(&jwks));
        });
        issue_for(TENANT_A, &mut world);
        let callback = callback_of_a_tenant(&mut world);
        assert_eq!(world.visit(&callback).code(), expected, "{key_issuer}");
    }
}
