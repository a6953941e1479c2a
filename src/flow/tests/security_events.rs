//! Security events that the provider pushes (RFC 8935), with the error codes of its section 2.4.

use serde_json::{Value, json};

use super::{
    super::*,
    world::{ISSUER, Outcome, PARTNERS, World, header},
};

const PATH: &str = "/oauth2/events";
const TYPE: (&str, &str) = ("content-type", "application/secevent+jwt");
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const SECEVENT: &str = "https://schemas.openid.net/secevent/";

fn world_with(security_events: &Value) -> World {
    let mut provider = super::world::document()["providers"][0].clone();
    provider["security_events"] = security_events.clone();
    World::ready_with(&[("allow_on_headers_stop_iteration", json!(true)), ("providers", json!([provider]))])
}

fn world() -> World {
    world_with(&json!({}))
}

fn post(world: &mut World, body: &str) -> LocalReply {
    world.body = Ok(body.as_bytes().to_vec());
    let jar = std::mem::take(&mut world.jar);
    let reply = world.send_more(&[(":method", "POST"), (":path", PATH), TYPE]).reply();
    world.jar = jar;
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    reply
}

/// A token of this event about alice.
fn token(world: &World, change: impl Fn(&mut Value, &mut Value)) -> String {
    world.provider.logout_token(world.now, |header, claims| {
        header["typ"] = json!("secevent+jwt");
        let members = claims.as_object_mut().unwrap();
        ["exp", "sub", "sid"].iter().for_each(|name| drop(members.shift_remove(*name)));
        claims["sub_id"] = json!({ "format": "iss_sub", "iss": ISSUER, "sub": "alice" });
        claims["events"] = json!({ REVOKED: {} });
        change(header, claims);
    })
}

fn push(world: &mut World, change: impl Fn(&mut Value, &mut Value)) -> (u16, &'static str) {
    let token = token(world, change);
    let reply = post(world, &token);
    (reply.status, reply.code)
}

const TAKEN: (u16, &str) = (202, "security_event");

fn is_in(world: &mut World) -> bool {
    matches!(world.visit("/"), Outcome::Forwarded { .. })
}

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().shift_remove(name);
}

#[test]
fn a_revoked_session_ends_in_every_worker() {
    let mut world = world();
    world.sign_in("/");
    world.advance(5);
    let event = token(&world, |_, _| ());
    let reply = post(&mut world, &event);
    assert_eq!((reply.status, reply.body.len()), (202, 0));
    for worker in [0, 1] {
        world.worker = worker;
        assert!(!is_in(&mut world), "worker {worker}");
    }
    world.worker = 0;
    world.sign_in("/");
    assert!(is_in(&mut world));
    // The same token says nothing new.
    world.advance(1);
    assert_eq!(post(&mut world, &event).status, 202);
    assert!(is_in(&mut world));
}

#[test]
fn revocation_events_end_the_sessions_of_their_subject() {
    for (event, ends) in [
        ("caep/event-type/session-revoked", true),
        ("caep/event-type/credential-change", true),
        ("risc/event-type/account-credential-change-required", true),
        ("risc/event-type/account-disabled", true),
        ("risc/event-type/account-purged", true),
        ("risc/event-type/credential-compromise", true),
        ("risc/event-type/sessions-revoked", true),
        ("oauth/event-type/tokens-revoked", true),
        ("risc/event-type/account-enabled", false),
        ("caep/event-type/device-compliance-change", false),
        ("ssf/event-type/verification", false),
    ] {
        let mut world = world();
        world.sign_in("/");
        let events = json!({ format!("{SECEVENT}{event}"): { "reason_admin": { "en": "x" } } });
        world.events.clear();
        assert_eq!(push(&mut world, |_, claims| claims["events"] = events.clone()), TAKEN, "{event}");
        let counted = |name: &str| world.events.iter().filter(|event| event.counter() == name).count();
        assert_eq!(counted("vestibule_security_events"), usize::from(ends), "{event}");
        assert_eq!(counted("vestibule_left_out_security_events"), usize::from(!ends), "{event}");
        assert_eq!(is_in(&mut world), !ends, "{event}");
    }
}

#[test]
fn each_standard_subject_identifier_format_is_read() {
    let in_event = |subject: Value| json!({ REVOKED: { "subject": subject } });
    for (what, sub_id, events, ends) in [
        ("iss_sub", json!({ "format": "iss_sub", "iss": ISSUER, "sub": "alice" }), json!({ REVOKED: {} }), true),
        ("opaque", json!({ "format": "opaque", "id": "alice" }), json!({ REVOKED: {} }), true),
        (
            "aliases",
            json!({ "format": "aliases", "identifiers": [
                { "format": "email", "email": "alice@example.com" }, { "format": "opaque", "id": "alice" },
            ] }),
            json!({ REVOKED: {} }),
            true,
        ),
        (
            "complex",
            json!({ "format": "complex", "user": { "format": "iss_sub", "iss": ISSUER, "sub": "alice" } }),
            json!({ REVOKED: {} }),
            true,
        ),
        ("CAEP drafts", Value::Null, in_event(json!({ "format": "iss_sub", "iss": ISSUER, "sub": "alice" })), true),
        ("RISC", Value::Null, in_event(json!({ "subject_type": "iss-sub", "iss": ISSUER, "sub": "alice" })), true),
        ("another user", json!({ "format": "opaque", "id": "bob" }), json!({ REVOKED: {} }), false),
        (
            "another issuer",
            json!({ "format": "iss_sub", "iss": PARTNERS, "sub": "alice" }),
            json!({ REVOKED: {} }),
            false,
        ),
        ("an address", json!({ "format": "email", "email": "alice@example.com" }), json!({ REVOKED: {} }), false),
        (
            "aliases in aliases",
            json!({ "format": "aliases", "identifiers": [
            { "format": "aliases", "identifiers": [{ "format": "opaque", "id": "alice" }] },
        ] }),
            json!({ REVOKED: {} }),
            false,
        ),
        ("no text", json!({ "format": "opaque", "id": 7 }), json!({ REVOKED: {} }), false),
        ("no format", json!({ "id": "alice" }), json!({ REVOKED: {} }), false),
    ] {
        let mut world = world();
        world.sign_in("/");
        let change = |_: &mut Value, claims: &mut Value| {
            claims["events"] = events.clone();
            if sub_id.is_null() { remove(claims, "sub_id") } else { claims["sub_id"] = sub_id.clone() }
        };
        assert_eq!(push(&mut world, change), TAKEN, "{what}");
        assert_eq!(is_in(&mut world), !ends, "{what}");
    }
    let mut world = world();
    world.sign_in("/");
    let by_sub = |_: &mut Value, claims: &mut Value| {
        remove(claims, "sub_id");
        claims["sub"] = json!("alice");
    };
    assert_eq!(push(&mut world, by_sub), TAKEN);
    assert!(!is_in(&mut world));
}

#[test]
fn an_event_for_an_unknown_session_ends_all_sessions_of_its_user() {
    let session = |sid: &'static str| {
        move |_: &mut Value, claims: &mut Value| {
            claims["sub_id"] = json!({
                "format": "complex",
                "session": { "format": "opaque", "id": sid },
                "user": { "format": "iss_sub", "iss": ISSUER, "sub": "alice" },
            });
        }
    };
    let mut world = world();
    world.sign_in("/");
    let first = std::mem::take(&mut world.jar);
    world.provider.claims = Box::new(|claims| drop(claims.insert("sid".to_owned(), json!("another"))));
    world.sign_in("/");
    let second = world.jar.clone();
    world.advance(1);
    assert_eq!(push(&mut world, session("idp-session")), TAKEN);
    assert!(is_in(&mut world), "the other session of alice");
    world.jar = first;
    assert!(!is_in(&mut world));
    world.advance(1);
    assert_eq!(push(&mut world, session("unknown")), TAKEN);
    world.jar = second;
    assert!(!is_in(&mut world));

    // Without a user the session is all there is. Other events are about the user.
    for (event, sid, ends) in [
        ("caep/event-type/session-revoked", "idp-session", true),
        ("caep/event-type/session-revoked", "unknown", false),
        ("caep/event-type/credential-change", "idp-session", false),
    ] {
        let mut world = self::world();
        world.sign_in("/");
        let change = |_: &mut Value, claims: &mut Value| {
            claims["sub_id"] = json!({ "format": "complex", "session": { "format": "opaque", "id": sid } });
            claims["events"] = json!({ format!("{SECEVENT}{event}"): {} });
        };
        assert_eq!(push(&mut world, change), TAKEN, "{event} {sid}");
        assert_eq!(is_in(&mut world), !ends, "{event} {sid}");
    }
}

#[test]
fn an_invalid_security_event_token_ends_no_session_and_gets_its_error() {
    type Change = fn(&mut Value, &mut Value);
    const DAY: u64 = 24 * 60 * 60;
    let cases: [(&str, &str, Change); 25] = [
        ("alg none", "invalid_request", |header, _| header["alg"] = json!("none")),
        ("alg of another kind of key", "invalid_key", |header, _| header["alg"] = json!("RS256")),
        ("alg of a secret", "invalid_request", |header, _| header["alg"] = json!("HS256")),
        ("an unknown key", "invalid_key", |header, _| header["kid"] = json!("other")),
        ("another iss", "invalid_issuer", |_, claims| claims["iss"] = json!("https://evil.example")),
        ("iss with a slash", "invalid_issuer", |_, claims| claims["iss"] = json!(format!("{ISSUER}/"))),
        ("no iss", "invalid_request", |_, claims| remove(claims, "iss")),
        ("another aud", "invalid_audience", |_, claims| claims["aud"] = json!("other")),
        ("no aud", "invalid_audience", |_, claims| remove(claims, "aud")),
        ("an aud that is no text", "invalid_audience", |_, claims| claims["aud"] = json!(7)),
        ("no iat", "invalid_request", |_, claims| remove(claims, "iat")),
        ("a day old", "invalid_request", |_, claims| claims["iat"] = json!(claims["iat"].as_u64().unwrap() - DAY)),
        ("from the future", "invalid_request", |_, claims| claims["iat"] = json!(4_000_000_000_u64)),
        ("expired", "invalid_request", |_, claims| claims["exp"] = json!(1)),
        ("an exp that is text", "invalid_request", |_, claims| claims["exp"] = json!("4000000000")),
        ("no jti", "invalid_request", |_, claims| remove(claims, "jti")),
        ("a jti that is no text", "invalid_request", |_, claims| claims["jti"] = json!(7)),
        ("no events", "invalid_request", |_, claims| remove(claims, "events")),
        ("no event", "invalid_request", |_, claims| claims["events"] = json!({})),
        ("events in a list", "invalid_request", |_, claims| claims["events"] = json!([REVOKED])),
        ("an event that is no object", "invalid_request", |_, claims| claims["events"] = json!({ REVOKED: true })),
        ("too many events", "invalid_request", |_, claims| {
            let many = (0..17).map(|number| (format!("{REVOKED}{number}"), json!({})));
            claims["events"] = Value::Object(many.collect());
        }),
        ("an ID token by its typ", "invalid_request", |header, _| header["typ"] = json!("id+jwt")),
        ("a logout token by its typ", "invalid_request", |header, _| header["typ"] = json!("logout+jwt")),
        ("an access token", "invalid_request", |header, _| header["typ"] = json!("at+jwt")),
    ];
    for (what, code, change) in cases {
        let mut world = world();
        world.sign_in("/");
        world.use_up_wishes();
        let token = token(&world, change);
        let reply = post(&mut world, &token);
        assert_eq!((reply.status, reply.code), (400, "security_event_refused"), "{what}");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&body["err"], body["description"].is_string()), (&json!(code), true), "{what}");
        assert_eq!(header(&reply, "content-type"), Some("application/json"), "{what}");
        assert!(is_in(&mut world), "{what}");
        // The true token is taken all the same.
        assert_eq!(push(&mut world, |_, _| ()), TAKEN, "{what}");
        assert!(!is_in(&mut world), "{what}");
    }
}

#[test]
fn a_malformed_security_event_request_ends_no_session() {
    let mut world = world();
    world.sign_in("/");
    let event = token(&world, |_, _| ());
    for body in [String::new(), "a.b.c".to_owned(), format!("{event} {event}"), format!("\"{event}\"")] {
        let reply = post(&mut world, &body);
        assert_eq!((reply.status, reply.code, is_in(&mut world)), (400, "security_event_refused", true), "{body:.40}");
    }
    world.body = Ok(event.into_bytes());
    let path = (":path", PATH);
    for (content_type, code) in [("application/jwt", 400), ("application/x-www-form-urlencoded", 400)] {
        let reply = world.send_more(&[(":method", "POST"), path, ("content-type", content_type)]).reply();
        assert_eq!(reply.status, code, "{content_type}");
    }
    assert_eq!(world.send(&[(":method", "GET"), path, TYPE]).code(), (405, "logout_method"));
    world.body = Err(BodyError::Missing);
    assert_eq!(world.send_more(&[(":method", "POST"), path, TYPE]).code(), (503, "body_missing"));
    // A logout token is no security event token, and the reverse.
    let logout_token = world.provider.logout_token(world.now, |header, _| header["typ"] = json!("JWT"));
    assert_eq!(post(&mut world, &logout_token).status, 202, "its event is another one");
    assert!(is_in(&mut world));
    let mut other = World::ready();
    other.sign_in("/");
    let event = token(&other, |_, _| ());
    assert_eq!(post(&mut other, &event).code, "reserved_path");
    assert!(is_in(&mut other));
}

#[test]
fn a_transmitter_may_have_a_separate_issuer_audience_and_keys() {
    let own = json!({ "issuer": "urn:events", "audience": "stream", "jwks_uri": format!("{PARTNERS}/jwks") });
    let mut world = world_with(&own);
    world.sign_in("/");
    let event = |world: &World, change: &dyn Fn(&mut Value)| {
        world.partners.logout_token(world.now, |header, claims| {
            header["typ"] = json!("secevent+jwt");
            claims["iss"] = json!("urn:events");
            claims["aud"] = json!(["other", "stream"]);
            claims["sub_id"] = json!({ "format": "iss_sub", "iss": "urn:events", "sub": "alice" });
            claims["events"] = json!({ REVOKED: {} });
            change(claims);
        })
    };
    // The provider's own keys, issuer and audience are not those of the transmitter.
    let by_provider = token(&world, |_, claims| {
        claims["iss"] = json!("urn:events");
        claims["aud"] = json!("stream");
    });
    let of_client = event(&world, &|claims| claims["aud"] = json!("client"));
    let of_provider = event(&world, &|claims| claims["iss"] = json!(ISSUER));
    for refused in [of_client, of_provider] {
        assert_eq!(post(&mut world, &refused).code, "security_event_refused");
        assert!(is_in(&mut world));
    }
    world.body = Ok(by_provider.into_bytes());
    let Outcome::Held(waiter) = world.send_more(&[(":method", "POST"), (":path", PATH), TYPE]) else { panic!() };
    world.settle();
    assert_eq!(world.resume(waiter).code(), (400, "security_event_refused"));
    assert!(is_in(&mut world));
    let good = event(&world, &|_| ());
    assert_eq!(post(&mut world, &good).status, 202);
    assert!(!is_in(&mut world));
}

#[test]
fn a_key_that_was_rotated_just_before_is_fetched() {
    let mut world = world();
    world.sign_in("/");
    world.advance(1);
    world.provider.rotate();
    let event = token(&world, |_, _| ());
    world.body = Ok(event.into_bytes());
    let Outcome::Held(waiter) = world.send_more(&[(":method", "POST"), (":path", PATH), TYPE]) else { panic!() };
    world.settle();
    assert_eq!(world.resume(waiter).code(), TAKEN);
    assert!(!is_in(&mut world));
}
