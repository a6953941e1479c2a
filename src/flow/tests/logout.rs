//! Back-channel and front-channel logout, with names from the OpenID conformance tests.

use serde_json::{Value, json};

use super::{
    super::*,
    providers::{callback_of_a_tenant, issue_for, of_many_tenants},
    world::{ISSUER, Outcome, World, document, header},
};
use crate::{
    digest::half_digest,
    flow::memory::revocations::{By, MAX_ENDS, Revocation},
    time::UnixTime,
};

const CHANNEL: &str = "/oauth2/backchannel_logout";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded;charset=UTF-8");

fn world() -> World {
    World::ready_with(&[
        ("allow_on_headers_stop_iteration", json!(true)),
        ("sign_out", json!({ "back_channel": true, "front_channel": true })),
    ])
}

fn post(world: &mut World, body: &str) -> LocalReply {
    world.body = Ok(body.as_bytes().to_vec());
    // A request of the provider has no cookies of the browser.
    let jar = std::mem::take(&mut world.jar);
    let reply = world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM]).reply();
    world.jar = jar;
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    reply
}

fn logout(world: &mut World, change: impl Fn(&mut Value, &mut Value)) -> (u16, &'static str) {
    let token = world.provider.logout_token(world.now, change);
    let reply = post(world, &format!("logout_token={token}"));
    (reply.status, reply.code)
}

fn is_in(world: &mut World) -> bool {
    matches!(world.visit("/"), Outcome::Forwarded { .. })
}

/// Two providers may be of one issuer: one with all tenants, and one of them.
#[test]
fn a_logout_token_of_a_tenant_ends_sessions_of_the_exact_issuer_only() {
    let tenant = format!("{ISSUER}/11111111-1111-1111-1111-111111111111/v2.0");
    let mut document = document();
    let endpoints = |mut provider: Value| {
        for (name, path) in [("authorization_endpoint", "authorize"), ("token_endpoint", "token"), ("jwks_uri", "jwks")]
        {
            provider[name] = json!(format!("{ISSUER}/{path}"));
        }
        provider["client_secret"] = json!("secret");
        provider
    };
    document["providers"] = json!([
        endpoints(json!({
            "name": "all", "title": "All", "issuer": format!("{ISSUER}/{{tenantid}}/v2.0"), "client_id": "other",
            "metadata_url": format!("{ISSUER}/organizations/.well-known/openid-configuration"),
        })),
        endpoints(json!({"name": "one", "title": "One", "issuer": tenant, "client_id": "client", "discovery": false})),
    ]);
    let config = crate::config::Config::parse(document.to_string().as_bytes(), &|_| None).unwrap();
    let name = |issuer: &str| config.provider_of_issuer(issuer).map(|provider| provider.name.as_str());
    assert_eq!(name(&tenant), Some("one"));
    assert_eq!(name(&tenant.replace('1', "2")), Some("all"));
    assert_eq!(name("https://evil.example"), None);
}

#[test]
fn a_back_channel_logout_token_ends_the_session_everywhere() {
    let mut world = world();
    world.sign_in("/");
    world.advance(5);
    assert_eq!(logout(&mut world, |_, claims| claims["extra"] = json!("unknown")), (200, "logged_out"));
    for worker in [0, 1] {
        world.worker = worker;
        assert!(!is_in(&mut world), "worker {worker}");
    }
    // A new sign-in is accepted, even in the same second.
    world.worker = 0;
    world.sign_in("/");
    assert!(is_in(&mut world));
    world.settle();
    world.worker = 1;
    assert!(is_in(&mut world));
}

#[test]
fn a_session_without_sid_ends_with_any_logout_of_its_subject() {
    let without = |name: &'static str| {
        move |_: &mut Value, claims: &mut Value| drop(claims.as_object_mut().unwrap().remove(name))
    };
    let nothing = without("nothing");
    for (named, changes, is_left) in [
        // The ID token named no `sid`, so the session may belong to the one that ends at the provider.
        (false, &nothing as &dyn Fn(&mut Value, &mut Value), false),
        (false, &without("sid"), false),
        (false, &without("sub"), true),
        (true, &nothing, false),
        (true, &without("sid"), false),
        (true, &|_: &mut Value, claims: &mut Value| claims["sid"] = json!("another"), true),
    ] {
        let mut world = world();
        if !named {
            world.provider.claims = Box::new(|claims| drop(claims.remove("sid")));
        }
        world.sign_in("/");
        assert_eq!(logout(&mut world, changes), (200, "logged_out"));
        assert_eq!(is_in(&mut world), is_left, "{named}");
    }
}

#[test]
fn an_invalid_logout_token_is_refused_and_ends_no_session() {
    type Change = fn(&mut Value, &mut Value);
    let cases: [(&str, Change); 27] = [
        ("alg-none", |header, _| header["alg"] = json!("none")),
        ("wrong-alg", |header, _| header["alg"] = json!("RS256")),
        ("alg-hs256", |header, _| header["alg"] = json!("HS256")),
        ("wrong-iss", |_, claims| claims["iss"] = json!("https://evil.example")),
        ("wrong-aud", |_, claims| claims["aud"] = json!("other")),
        ("no-event", |_, claims| drop(claims.as_object_mut().unwrap().remove("events"))),
        ("wrong-event", |_, claims| claims["events"] = json!({ "http://schemas.openid.net/event/other": {} })),
        ("event-not-an-object", |_, claims| {
            claims["events"] = json!({ "http://schemas.openid.net/event/backchannel-logout": true });
        }),
        ("events-a-list", |_, claims| {
            claims["events"] = json!(["http://schemas.openid.net/event/backchannel-logout"]);
        }),
        ("with-nonce", |_, claims| claims["nonce"] = json!("n")),
        ("no iat", |_, claims| drop(claims.as_object_mut().unwrap().remove("iat"))),
        ("no exp and issued long ago", |_, claims| {
            claims.as_object_mut().unwrap().remove("exp");
            claims["iat"] = json!(claims["iat"].as_u64().unwrap() - 61);
        }),
        ("no exp and from the future", |_, claims| {
            claims.as_object_mut().unwrap().remove("exp");
            claims["iat"] = json!(claims["iat"].as_u64().unwrap() + 100);
        }),
        ("neither exp nor iat", |_, claims| {
            claims.as_object_mut().unwrap().remove("exp");
            claims.as_object_mut().unwrap().remove("iat");
        }),
        ("an exp that is null", |_, claims| claims["exp"] = Value::Null),
        ("an exp that is text", |_, claims| claims["exp"] = json!("4000000000")),
        ("a sid that is a number", |_, claims| claims["sid"] = json!(12_345)),
        ("expired", |_, claims| claims["exp"] = json!(1)),
        ("from the future", |_, claims| claims["iat"] = json!(4_000_000_000_u64)),
        ("no jti", |_, claims| drop(claims.as_object_mut().unwrap().remove("jti"))),
        ("a jti that is no text", |_, claims| claims["jti"] = json!(7)),
        ("neither sub nor sid", |_, claims| {
            let claims = claims.as_object_mut().unwrap();
            claims.remove("sub");
            claims.remove("sid");
        }),
        ("a sid that is no text", |_, claims| claims["sid"] = json!(["idp-session"])),
        ("an empty sub", |_, claims| claims["sub"] = json!("")),
        ("an access token", |header, _| header["typ"] = json!("at+jwt")),
        ("an ID token by its typ", |header, _| header["typ"] = json!("id+jwt")),
        ("a key that nobody has", |header, _| header["kid"] = json!("other")),
    ];
    for (what, change) in cases {
        let mut world = world();
        world.sign_in("/");
        world.use_up_wishes();
        assert_eq!(logout(&mut world, change), (400, "logout_refused"), "{what}");
        assert!(is_in(&mut world), "{what}");
    }
}

#[test]
fn slow_logout_bodies_do_not_delay_sign_ins() {
    let mut world = world();
    let mut reading = world.limits().reading.take_all_but(0);
    let reply = world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM]).reply();
    assert_eq!((reply.status, reply.code, header(&reply, "retry-after")), (503, "busy", Some("5")));
    world.sign_in("/");
    assert!(is_in(&mut world));
    // With a free slot the body is awaited, until another request needs the slot.
    reading.pop();
    world.body = Err(BodyError::Crowded);
    assert_eq!(world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM]).code(), (503, "busy"));
    assert_eq!(logout(&mut world, |_, _| ()), (200, "logged_out"));
    assert!(!is_in(&mut world));
}

#[test]
fn a_logout_token_is_refused_as_an_id_token() {
    let mut world = world();
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let logout_token = world.provider.logout_token(world.now, |header, _| header["typ"] = json!("JWT"));
    world.provider.token_response = Box::new(move |mut body| {
        body["id_token"] = json!(logout_token);
        super::world::ok(&body)
    });
    assert_eq!(world.visit(&callback).code(), (502, "id_token_refused"));
}

#[test]
fn a_logout_by_sid_ends_one_session_and_by_sub_all_of_the_user() {
    let mut world = world();
    world.sign_in("/");
    let first = std::mem::take(&mut world.jar);
    world.provider.claims = Box::new(|claims| drop(claims.insert("sid".to_owned(), json!("another"))));
    world.sign_in("/");
    let second = world.jar.clone();
    world.advance(1);
    assert_eq!(logout(&mut world, |_, _| ()), (200, "logged_out"));
    assert!(is_in(&mut world), "the other session of alice");
    world.jar = first;
    assert!(!is_in(&mut world));
    world.advance(1);
    assert_eq!(
        logout(&mut world, |_, claims| drop(claims.as_object_mut().unwrap().remove("sid"))),
        (200, "logged_out")
    );
    world.jar = second;
    assert!(!is_in(&mut world));
}

#[test]
fn a_replayed_logout_token_ends_no_newer_session() {
    let mut world = world();
    world.sign_in("/");
    world.advance(1);
    let token = world.provider.logout_token(world.now, |_, claims| drop(claims.as_object_mut().unwrap().remove("sid")));
    let body = format!("logout_token={token}");
    assert_eq!(post(&mut world, &body).status, 200);
    world.advance(1);
    world.sign_in("/");
    world.advance(1);
    assert_eq!(post(&mut world, &body).status, 200, "it was heard before, and that is what it wants to know");
    assert!(is_in(&mut world));
}

#[test]
fn a_logout_body_without_exactly_one_token_is_refused() {
    let mut world = world();
    world.sign_in("/");
    let token = world.provider.logout_token(world.now, |_, _| ());
    for body in [
        String::new(),
        "logout_token".to_owned(),
        "logout_token=".to_owned(),
        "logout_token=a.b.c".to_owned(),
        "token=x".to_owned(),
        format!("logout_token={token}&logout_token={token}"),
        format!("{{\"logout_token\":\"{token}\"}}"),
        "&".repeat(60_000),
        "%".repeat(60_000),
    ] {
        assert_eq!((post(&mut world, &body).status, is_in(&mut world)), (400, true), "{body:.80}");
    }
    let json = [(":method", "POST"), (":path", CHANNEL), ("content-type", "application/json")];
    assert_eq!(world.send_more(&json).code(), (400, "logout_refused"));
    let get = [(":method", "GET"), (":path", CHANNEL), ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(world.send(&get).code(), (405, "logout_method"));
}

#[test]
fn a_logout_body_that_envoy_withholds_is_reported_as_missing() {
    let mut world = world();
    assert_eq!(world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM]).code(), (503, "body_missing"));
}

#[test]
fn a_key_that_was_rotated_just_before_is_fetched() {
    let mut world = world();
    world.sign_in("/");
    world.advance(1);
    world.provider.rotate();
    let token = world.provider.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    let Outcome::Held(waiter) = world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM]) else { panic!() };
    world.settle();
    assert_eq!(world.resume(waiter).code(), (200, "logged_out"));
    assert!(!is_in(&mut world));
}

#[test]
fn logout_channels_have_no_endpoint_unless_configured() {
    let mut world = World::ready();
    assert_eq!(world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM]).code(), (404, "reserved_path"));
    assert_eq!(world.visit("/oauth2/frontchannel_logout?iss=x&sid=y").code(), (404, "reserved_path"));
}

#[test]
fn a_front_channel_logout_ends_the_session_with_its_sid() {
    let mut world = world();
    world.sign_in("/");
    world.advance(1);
    let path = "/oauth2/frontchannel_logout";
    for query in [
        "",
        "?sid=idp-session",
        "?iss=https%3A%2F%2Fidp.example.com",
        "?iss=https%3A%2F%2Fevil.example&sid=idp-session",
        "?iss=https%3A%2F%2Fidp.example.com&sid=",
        "?iss=https%3A%2F%2Fidp.example.com&sid=idp-session&sid=other",
    ] {
        assert_eq!(world.visit(&format!("{path}{query}")).code(), (400, "logout_refused"), "{query}");
        assert!(is_in(&mut world), "{query}");
    }
    let post = world.send(&[(":method", "POST"), (":path", path), ("accept", "text/html")]).reply();
    assert_eq!((post.code, header(&post, "allow")), ("logout_method", Some("GET")));
    let jar = std::mem::take(&mut world.jar);
    let frame = world.visit(&format!("{path}?iss=https%3A%2F%2Fidp.example.com&sid=idp-session")).reply();
    assert_eq!(frame.status, 200);
    let policy = header(&frame, "content-security-policy").unwrap();
    assert!(policy.contains(&format!("frame-ancestors {ISSUER};")), "{policy}");
    world.jar = jar;
    assert!(!is_in(&mut world));
}

const FRAME: &str = "/oauth2/frontchannel_logout?iss=https%3A%2F%2Fidp.example.com&sid=";

/// A frame on the provider's page, which brings no cookie.
fn frame(world: &mut World, sid: &str) -> (u16, &'static str) {
    let jar = std::mem::take(&mut world.jar);
    let code = world.visit(&format!("{FRAME}{sid}")).code();
    world.jar = jar;
    code
}

/// Frames with made-up `sid` values, until the list is full.
fn flood_with_frames(world: &mut World) {
    let mut taken = 0;
    for number in 0.. {
        let sid = format!("made-up-{number}");
        if frame(world, &sid) == (503, "busy") {
            // The limit per minute is reached.
            world.advance(60);
            if frame(world, &sid) == (503, "busy") {
                break;
            }
        }
        taken += 1;
    }
    assert!((1000..=1024).contains(&taken), "{taken}");
}

fn with_sid(world: &mut World, sid: &str) {
    let sid = json!(sid);
    world.provider.claims = Box::new(move |claims| drop(claims.insert("sid".to_owned(), sid.clone())));
}

#[test]
fn forged_front_channel_logouts_revive_no_ended_session() {
    let mut world = world();
    world.sign_in("/");
    // After the restart no worker knows the session's `sid`, as if it had begun at another Envoy.
    let jar = world.jar.clone();
    world.restart();
    world.settle();
    assert_eq!(frame(&mut world, "idp-session"), (200, "logged_out"));
    world.jar.clear();
    with_sid(&mut world, "second");
    world.sign_in("/");
    let known = world.jar.clone();
    assert_eq!(frame(&mut world, "second"), (200, "logged_out"));
    flood_with_frames(&mut world);
    for copy in [jar, known] {
        for worker in [0, 1] {
            world.settle();
            world.worker = worker;
            world.jar = copy.clone();
            assert_eq!(world.visit("/").code(), (302, "sign_in_started"), "worker {worker}");
        }
    }
    // A new session begins meanwhile, and a frame of the provider ends it at once in all workers.
    world.worker = 0;
    world.jar.clear();
    with_sid(&mut world, "third");
    world.sign_in("/");
    assert!(is_in(&mut world));
    assert_eq!(frame(&mut world, "third"), (200, "logged_out"));
    for worker in [0, 1] {
        world.worker = worker;
        assert!(!is_in(&mut world), "worker {worker}");
    }
}

#[test]
fn forged_front_channel_logouts_are_rate_limited_per_minute() {
    let mut world = world();
    world.sign_in("/");
    let taken = |world: &mut World, sid: fn(usize) -> String| {
        world.advance(60);
        (0..500).filter(|number| frame(world, &sid(*number)) == (200, "logged_out")).count()
    };
    assert_eq!(taken(&mut world, |number| format!("made-up-{number}")), 120);
    assert_eq!(taken(&mut world, |_| "made-up".to_owned()), 120);
    // The first frame ends a session, and does not count towards the limit.
    assert_eq!(taken(&mut world, |_| "idp-session".to_owned()), 121);
    assert!(!is_in(&mut world));
}

/// Mallory signs in `count` times, each time with a new `sid`, and `end` ends each session.
fn mallory_ends(world: &mut World, count: usize, end: impl Fn(&mut World, &str)) {
    for number in 0..count {
        let sid = format!("mallory-{number}");
        let claims = json!({ "sub": "mallory", "sid": sid });
        world.provider.claims = Box::new(move |all| all.extend(claims.as_object().unwrap().clone()));
        world.jar.clear();
        world.sign_in("/");
        end(world, &sid);
    }
}

/// Posts a logout token with this `sub` and `sid`.
fn ended_by_token(world: &mut World, sub: &str, sid: &str) {
    let told = logout(world, |_, claims| {
        claims["sub"] = json!(sub);
        claims["sid"] = json!(sid);
        claims["jti"] = json!(sid);
    });
    assert_eq!(told, (200, "logged_out"));
}

#[test]
fn many_logouts_of_one_user_revive_no_session_of_another_user() {
    type End = fn(&mut World, &str);
    let by_frame: End = |world, sid| assert_eq!(frame(world, sid), (200, "logged_out"));
    let by_token: End = |world, sid| ended_by_token(world, if sid == "idp-session" { "alice" } else { "mallory" }, sid);
    let by_sid_alone: End = |world, sid| {
        let told = logout(world, |_, claims| {
            claims.as_object_mut().unwrap().remove("sub");
            claims["sid"] = json!(sid);
            claims["jti"] = json!(sid);
        });
        assert_eq!(told, (200, "logged_out"));
    };
    let by_hand: End = |world, _| assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    let by_another: End = |world, _| {
        world.provider.claims = Box::new(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
        world.sign_in_again();
    };
    for (list, end) in [
        ("framed", by_frame),
        ("by_provider", by_token),
        ("by_provider", by_sid_alone),
        ("signed_out", by_hand),
        ("signed_out", by_another),
    ] {
        let mut world = world();
        world.sign_in("/");
        let copy = world.jar.clone();
        end(&mut world, "idp-session");
        world.fill_ends(list, "mallory");
        mallory_ends(&mut world, 5, end);
        assert!(world.ends(list) < MAX_ENDS, "{list}: {}", world.ends(list));
        world.jar = copy;
        assert!(!is_in(&mut world), "{list}");
    }
}

#[test]
fn frequent_sign_outs_end_the_users_other_sessions_only_if_list_is_full() {
    for is_full in [false, true] {
        sign_outs_of_one_person(is_full);
    }
}

fn sign_outs_of_one_person(is_full: bool) {
    let mut world = world();
    let sign_in = |world: &mut World, sid: &str| {
        let claims = json!({ "sub": "mallory", "sid": sid });
        world.provider.claims = Box::new(move |all| all.extend(claims.as_object().unwrap().clone()));
        world.jar.clear();
        world.sign_in("/");
        world.jar.clone()
    };
    let early = sign_in(&mut world, "early");
    let mut copies = Vec::new();
    let mut late = None;
    for number in 0..40 {
        world.advance(1);
        copies.push(sign_in(&mut world, &format!("number-{number}")));
        if is_full && number == 20 {
            world.fill_ends("signed_out", "mallory");
        }
        assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
        if number == 20 {
            late = Some(sign_in(&mut world, "late"));
        }
    }
    // In a full list the summary of the oldest ends covers the early session too, which was never signed out.
    let others = [(early, !is_full), (late.unwrap(), true)];
    for (copy, is_left) in copies.into_iter().map(|copy| (copy, false)).chain(others) {
        world.jar = copy;
        assert_eq!(is_in(&mut world), is_left);
    }
    sign_in(&mut world, "new");
    assert!(is_in(&mut world));
}

#[test]
fn sign_outs_of_one_user_leave_denylist_entries_for_other_users() {
    let mut world = world();
    let mark = |name: &str, number: usize| half_digest("session", &[format!("{name}-{number}").as_bytes()]);
    let end = |world: &mut World, name: &str, number: usize, by| {
        world.env(|env| {
            let subject = Some(half_digest("sub", &[name.as_bytes()]));
            let revocation = Revocation::of(mark(name, number), subject, &env.config.session.lifetimes, env.now());
            let _ = session::end_here(&revocation, by, env);
        });
    };
    for by in [By::Person, By::Refusal, By::Provider, By::Frame] {
        for number in 0..10 {
            end(&mut world, &format!("person-{number}"), 0, by);
        }
    }
    for list in ["signed_out", "refused", "by_provider", "framed"] {
        world.fill_ends(list, "mallory");
    }
    for (by, list) in
        [(By::Person, "signed_out"), (By::Refusal, "refused"), (By::Provider, "by_provider"), (By::Frame, "framed")]
    {
        for number in 10..20 {
            end(&mut world, &format!("person-{number}"), 0, by);
        }
        let known = world.end_digests(list);
        assert!((0..20).all(|number| known.contains(&mark(&format!("person-{number}"), 0))), "{list}");
        assert!(known.len() < MAX_ENDS, "{list}: {}", known.len());
    }
}

#[test]
fn a_denylist_entry_expires_with_the_lifetime_of_its_session() {
    let mut world = world();
    world.sign_in("/");
    world.advance(3600);
    world.opens("/oauth2/sign_out", "none");
    assert_eq!(world.ends("signed_out"), 1);
    world.advance(7 * 3600);
    world.sign_in("/");
    world.opens("/oauth2/sign_out", "none");
    assert_eq!(world.ends("signed_out"), 1);
}

#[test]
fn an_acknowledged_logout_ends_a_session_of_any_age() {
    type End = fn(&mut World, usize);
    let by_sid: End = |world, number| {
        let told = logout(world, |_, claims| claims["jti"] = json!(format!("sid-{number}")));
        assert_eq!(told, (200, "logged_out"));
    };
    let by_subject: End = |world, number| {
        let told = logout(world, |_, claims| {
            claims.as_object_mut().unwrap().remove("sid");
            claims["jti"] = json!(format!("sub-{number}"));
        });
        assert_eq!(told, (200, "logged_out"));
    };
    let by_frame: End = |world, _| assert_eq!(frame(world, "idp-session"), (200, "logged_out"));
    for (first, second) in
        [(by_sid, by_sid), (by_subject, by_subject), (by_sid, by_subject), (by_subject, by_sid), (by_frame, by_frame)]
    {
        // Seconds from the first logout to the sign-in, and from that to the second.
        for (until_sign_in, until_logout) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0), (0, -60), (1, -200)] {
            let mut world = world();
            world.advance(1000);
            world.sign_in("/");
            first(&mut world, 1);
            assert!(!is_in(&mut world));
            world.advance(until_sign_in);
            world.jar.clear();
            world.sign_in("/");
            assert!(is_in(&mut world), "{until_sign_in}");
            // A negative value sets the clock back.
            world.now = UnixTime::from_secs(world.now.as_secs().saturating_add_signed(until_logout));
            second(&mut world, 2);
            for worker in [0, 1] {
                world.worker = worker;
                assert!(!is_in(&mut world), "{until_sign_in} {until_logout} worker {worker}");
            }
            world.worker = 0;
            world.jar.clear();
            world.sign_in("/");
            assert!(is_in(&mut world), "{until_sign_in} {until_logout}");
        }
    }
}

#[test]
fn a_logout_at_another_envoy_tolerates_two_seconds_of_clock_skew() {
    for behind in [0, 1, 2] {
        let mut one = world();
        one.advance(1000);
        one.sign_in("/");
        assert_eq!(logout(&mut one, |_, _| ()), (200, "logged_out"));
        one.jar.clear();
        one.sign_in("/");
        assert!(is_in(&mut one));
        let mut other = world();
        other.jar = one.jar.clone();
        other.now = UnixTime::from_secs(one.now.as_secs() - behind);
        assert!(is_in(&mut other), "{behind}");
        assert_eq!(logout(&mut other, |_, _| ()), (200, "logged_out"));
        assert!(!is_in(&mut other), "{behind}");
    }
}

#[test]
fn a_logout_token_without_exp_is_accepted_for_the_leeway() {
    for (age, is_taken) in [(0, true), (59, true), (60, false)] {
        let mut world = world();
        world.advance(1000);
        world.sign_in("/");
        let token = world.provider.logout_token(world.now, |_, claims| {
            let claims = claims.as_object_mut().unwrap();
            claims.remove("exp");
            claims.remove("sub");
        });
        world.advance(age);
        let body = format!("logout_token={token}");
        assert_eq!(post(&mut world, &body).status, if is_taken { 200 } else { 400 }, "{age}");
        assert_eq!(is_in(&mut world), !is_taken, "{age}");
        // The token counts once for as long as it is valid.
        world.sign_in_again();
        assert_eq!(post(&mut world, &body).status, if is_taken { 200 } else { 400 }, "{age}");
        assert!(is_in(&mut world), "{age}");
        world.advance(60);
        assert_eq!(post(&mut world, &body).code, "logout_refused");
    }
}

/// Posts a logout token with an unknown `kid`, from one of 200 addresses.
fn made_up(world: &mut World, number: usize) -> Outcome {
    world.platform.client.set(u8::try_from(number % 200).unwrap());
    let token = world.provider.logout_token(world.now, |header, _| header["kid"] = json!(format!("kid-{number}")));
    world.body = Ok(format!("logout_token={token}").into_bytes());
    world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM])
}

#[test]
fn forged_logout_tokens_leave_slots_for_sign_ins() {
    let mut world = world();
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    // One fetch of the keys fails; no newer keys arrive until the next one.
    world.provider.up = false;
    let mut made = vec![made_up(&mut world, 0)];
    world.settle();
    world.provider.up = true;
    made.extend((1..=256).map(|number| made_up(&mut world, number)));
    assert_eq!(made.iter().filter(|outcome| matches!(outcome, Outcome::Held(_))).count(), 32);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
}

#[test]
fn forged_logout_tokens_do_not_use_up_the_key_fetch_of_a_sign_in() {
    let mut world = world();
    for number in 0..3 {
        drop(made_up(&mut world, number));
        world.settle();
    }
    world.advance(2);
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    world.provider.rotate();
    // The sign-in waits for the new key, as it does without such tokens.
    let outcome = world.visit(&callback);
    assert!(matches!(outcome, Outcome::Held(_)), "{:?}", outcome.code());
}

#[test]
fn a_second_logout_with_an_earlier_clock_revives_no_session() {
    let mut world = world();
    world.advance(100);
    world.sign_in("/");
    world.advance(10);
    assert_eq!(logout(&mut world, |_, _| ()), (200, "logged_out"));
    assert!(!is_in(&mut world));
    // The clock is corrected, by less than clocks may differ, and the provider ends sessions again.
    world.now = UnixTime::from_secs(world.now.as_secs() - 60);
    assert!(!is_in(&mut world));
    assert_eq!(logout(&mut world, |_, _| ()), (200, "logged_out"));
    assert!(!is_in(&mut world), "the session is back");
}

#[test]
fn many_refused_renewals_revive_no_session_that_the_provider_ended() {
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(5);
    assert_eq!(logout(&mut world, |_, _| ()), (200, "logged_out"));
    assert!(!is_in(&mut world));
    let jar = std::mem::take(&mut world.jar);
    // A user with 4100 sessions signs out at the provider, which then refuses to renew each of them. Each refusal ends
    // its session.
    for number in 0..4100 {
        let digest = half_digest("session", &[format!("{number}").as_bytes()]);
        world.env(|env| {
            let revocation = Revocation::of(digest, None, &env.config.session.lifetimes, env.now());
            let _ = session::end_here(&revocation, By::Refusal, env);
        });
    }
    world.jar = jar;
    assert!(!is_in(&mut world));
}

#[test]
fn a_logout_before_a_clock_correction_does_not_block_new_sign_ins() {
    let mut world = world();
    world.sign_in("/");
    world.advance(3600);
    assert_eq!(logout(&mut world, |_, _| ()), (200, "logged_out"));
    assert!(!is_in(&mut world));
    // The clock was ahead, by less than clocks may differ, and is corrected.
    world.now = UnixTime::from_secs(world.now.as_secs() - 280);
    world.settle();
    world.jar.clear();
    world.sign_in("/");
    assert!(is_in(&mut world));
}

#[test]
fn a_provider_of_many_tenants_ends_sessions_by_the_issuer_of_a_tenant() {
    const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let settings = [
        ("allow_on_headers_stop_iteration", json!(true)),
        ("sign_out", json!({ "back_channel": true, "front_channel": true })),
    ];
    let mut world = of_many_tenants(&settings, |_| ());
    issue_for(TENANT, &mut world);
    let callback = callback_of_a_tenant(&mut world);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    world.advance(5);
    // Without its `tid`, and of no tenant.
    let iss_alone = |_: &mut Value, claims: &mut Value| claims["iss"] = json!(format!("{ISSUER}/{TENANT}/v2.0"));
    assert_eq!(logout(&mut world, iss_alone).0, 400);
    assert_eq!(logout(&mut world, |_, _| ()).0, 400);
    assert!(is_in(&mut world));
    let good = |_: &mut Value, claims: &mut Value| {
        claims["iss"] = json!(format!("{ISSUER}/{TENANT}/v2.0"));
        claims["tid"] = json!(TENANT);
    };
    assert_eq!(logout(&mut world, good), (200, "logged_out"));
    assert!(!is_in(&mut world));
}
