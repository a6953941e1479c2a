//! Claims from the userinfo endpoint: what they add to a session, and what they must not change.

use serde_json::{Value, json};

use super::{
    super::{event::Event, *},
    world::{ISSUER, Outcome, World, ok},
};
use crate::http::{CalloutError, CalloutResponse, Request};

/// A world that queries userinfo: `/admin` requires the group `admins`, `/open` excludes the group `banned`, and
/// `/mail` requires a verified address of `example.com`.
fn world() -> World {
    World::ready_with(&[
        (
            "providers",
            json!([{ "issuer": ISSUER, "client_id": "client", "client_secret": "secret", "userinfo": true }]),
        ),
        (
            "rules",
            json!([
                { "prefix": "/admin", "access": "required", "allow": { "groups": ["admins"] } },
                { "prefix": "/open", "access": "required", "allow": { "not": { "groups": ["banned"] } } },
                { "prefix": "/mail", "access": "required", "allow": { "allowed_domains": ["example.com"] } },
            ]),
        ),
    ])
}

/// Replaces `email`, `email_verified` and `groups` of the ID token by these claims.
fn id_token_says(world: &mut World, claims: Value) {
    world.provider.claims = Box::new(move |token| {
        for name in ["email", "email_verified", "groups"] {
            token.shift_remove(name);
        }
        token.extend(claims.as_object().unwrap().clone());
    });
}

fn userinfo_says(world: &mut World, claims: Value) {
    world.provider.userinfo = Box::new(move || ok(&claims));
}

/// A sign-in with these claims of the ID token and of userinfo, and the callback's status and code.
fn sign_in_with(id_token: Value, userinfo: Value) -> (World, (u16, &'static str)) {
    let mut world = world();
    id_token_says(&mut world, id_token);
    userinfo_says(&mut world, userinfo);
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let code = world.visit(&callback).code();
    (world, code)
}

/// The code of a refusal, or `passed`.
fn access(world: &mut World, path: &str) -> &'static str {
    match world.visit(path) {
        Outcome::Forwarded { .. } => "passed",
        other => other.code().1,
    }
}

fn header(outcome: &Outcome, wanted: &str) -> Option<String> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(name, value)| (name == wanted).then(|| value.clone()))
}

#[test]
fn userinfo_claims_supplement_those_of_the_id_token() {
    let userinfo = json!({
        "sub": "alice", "groups": ["admins"], "preferred_username": "al", "email": "a@example.com", "email_verified": true,
        "iss": "https://evil.example", "aud": "other", "nonce": "n", "exp": 1, "sid": "other", "auth_time": 5,
    });
    let (mut world, code) = sign_in_with(json!({ "preferred_username": "alice" }), userinfo);
    assert_eq!(code, (303, "signed_in"));
    let outcome = world.visit("/admin");
    assert_eq!(header(&outcome, "x-forwarded-user").as_deref(), Some("alice"));
    assert_eq!(header(&outcome, "x-forwarded-groups").as_deref(), Some("admins"));
    assert_eq!(header(&outcome, "x-forwarded-preferred-username").as_deref(), Some("alice"));
    assert_eq!(header(&outcome, "x-forwarded-email").as_deref(), Some("a@example.com"));
    assert_eq!(access(&mut world, "/mail"), "passed");
    assert_eq!(world.provider.asked["/userinfo"], 1);
}

#[test]
fn userinfo_is_not_requested_unless_configured() {
    let mut world = World::ready();
    world.sign_in("/");
    assert_eq!(world.provider.asked.get("/userinfo"), None);
}

#[test]
fn email_and_email_verified_must_have_the_same_source() {
    let verified = |email: &str| json!({ "sub": "alice", "email": email, "email_verified": true });
    for (id_token, userinfo, expected) in [
        (json!({}), verified("alice@example.com"), "passed"),
        (json!({}), json!({ "sub": "alice", "email": "alice@example.com" }), "not_allowed"),
        // An attacker who can change one of the two must not borrow the proof of the other.
        (json!({ "email": "mallory@example.com" }), verified("mallory@evil.example"), "not_allowed"),
        (json!({ "email_verified": true }), json!({ "sub": "alice", "email": "mallory@example.com" }), "not_allowed"),
        (json!({ "email": "a@evil.example", "email_verified": true }), verified("a@example.com"), "not_allowed"),
        (json!({ "email": "a@example.com", "email_verified": false }), verified("a@example.com"), "not_allowed"),
    ] {
        let (mut world, code) = sign_in_with(id_token.clone(), userinfo.clone());
        assert_eq!(code, (303, "signed_in"));
        assert_eq!(access(&mut world, "/mail"), expected, "{id_token} {userinfo}");
    }
}

#[test]
fn omitted_groups_of_one_source_are_not_replaced_by_the_other() {
    let names = json!({ "_claim_names": { "groups": "src1" } });
    let nameless = json!({ "sub": "alice", "_claim_names": { "groups": "src1" } });
    let groups = |group: &str| json!({ "sub": "alice", "groups": [group] });
    for (id_token, userinfo, admin, open) in [
        // Entra's overage: userinfo may have fewer groups than the user.
        (names.clone(), groups("admins"), "groups_left_out", "groups_left_out"),
        (json!({ "hasgroups": true }), groups("admins"), "groups_left_out", "groups_left_out"),
        (json!({}), nameless.clone(), "groups_left_out", "groups_left_out"),
        (json!({ "_claim_names": { "roles": "src1" } }), nameless, "groups_left_out", "groups_left_out"),
        (json!({}), groups("banned"), "not_allowed", "not_allowed"),
        (json!({}), groups("admins"), "passed", "passed"),
        (json!({ "groups": ["banned"] }), groups("admins"), "not_allowed", "not_allowed"),
    ] {
        let (mut world, _) = sign_in_with(id_token.clone(), userinfo.clone());
        let found = (access(&mut world, "/admin"), access(&mut world, "/open"));
        assert_eq!(found, (admin, open), "{id_token} {userinfo}");
    }
}

#[test]
fn an_invalid_userinfo_response_creates_no_session() {
    let status = |status| Ok(crate::http::CalloutResponse::new(status, br#"{"sub":"alice"}"#.to_vec()));
    let body = |body: &str| Ok(crate::http::CalloutResponse::new(200, body.as_bytes().to_vec()));
    for (answer, expected) in [
        (Err(CalloutError::NoResponse), (503, "userinfo_endpoint_unavailable")),
        (Err(CalloutError::Dispatch), (503, "userinfo_endpoint_unavailable")),
        (status(503), (503, "userinfo_endpoint_unavailable")),
        (status(429), (503, "userinfo_endpoint_unavailable")),
        (Err(CalloutError::TooLarge), (502, "userinfo_endpoint_malformed")),
        (status(401), (502, "userinfo_endpoint_malformed")),
        (status(204), (502, "userinfo_endpoint_malformed")),
        (status(302), (502, "userinfo_endpoint_malformed")),
        (body(""), (502, "userinfo_endpoint_malformed")),
        (body("[]"), (502, "userinfo_endpoint_malformed")),
        (body("{}"), (502, "userinfo_endpoint_malformed")),
        (body("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d"), (502, "userinfo_endpoint_malformed")),
        (body(r#"{"sub":"mallory","groups":["admins"]}"#), (502, "userinfo_endpoint_refused")),
    ] {
        let mut world = world();
        let given = answer.clone();
        world.provider.userinfo = Box::new(move || given.clone());
        let reply = world.visit("/page").reply();
        let callback = world.signs_in(&reply);
        assert_eq!(world.visit(&callback).code(), expected, "{answer:?}");
        // Nothing is kept: neither a session nor the sign-in.
        assert!(!world.has_session() && world.pending() == 0, "{answer:?}");
        // And the next sign-in works.
        userinfo_says(&mut world, json!({ "sub": "alice" }));
        world.sign_in("/page");
    }
}

#[test]
fn a_missing_userinfo_endpoint_is_logged_at_start() {
    let mut world = World::with(&{
        let mut document = super::world::document();
        document["providers"][0]["userinfo"] = json!(true);
        document
    });
    world.provider.metadata = Box::new(|metadata| {
        metadata.as_object_mut().unwrap().shift_remove("userinfo_endpoint");
    });
    world.settle();
    assert!(world.events.iter().any(|event| event.to_string().contains("it has no usable userinfo_endpoint")));
}

/// A user with a renewable session and with this group from the userinfo endpoint.
fn renewable(groups: &str) -> World {
    let mut world = world();
    world.provider.refreshes = true;
    id_token_says(&mut world, json!({}));
    userinfo_says(&mut world, json!({ "sub": "alice", "groups": [groups] }));
    world.sign_in("/");
    world
}

fn renew(world: &mut World, path: &str) -> Outcome {
    let outcome = world.visit(path);
    assert!(matches!(outcome, Outcome::Held(_)), "{outcome:?}");
    world.then(outcome)
}

#[test]
fn a_renewal_requests_userinfo_and_drops_removed_claims() {
    for sends_id_token in [true, false] {
        let mut world = renewable("admins");
        if !sends_id_token {
            world.provider.refresh_response = Some(Box::new(|mut body| {
                body.as_object_mut().unwrap().shift_remove("id_token");
                ok(&body)
            }));
        }
        assert_eq!(access(&mut world, "/admin"), "passed");
        world.advance(480);
        userinfo_says(&mut world, json!({ "sub": "alice", "preferred_username": "al" }));
        let outcome = renew(&mut world, "/");
        assert_eq!(header(&outcome, "x-forwarded-groups"), None, "{sends_id_token}");
        assert_eq!(header(&outcome, "x-forwarded-preferred-username").as_deref(), Some("al"));
        assert_eq!(access(&mut world, "/admin"), "not_allowed");
        // The next renewal brings the groups back.
        world.advance(480);
        userinfo_says(&mut world, json!({ "sub": "alice", "groups": ["admins"] }));
        assert!(matches!(renew(&mut world, "/admin"), Outcome::Forwarded { .. }));
        assert_eq!(world.provider.asked["/userinfo"], 3);
    }
}

#[test]
fn userinfo_at_a_renewal_does_not_override_the_first_id_token() {
    let mut world = world();
    world.provider.refreshes = true;
    id_token_says(&mut world, json!({ "email": "alice@evil.example", "_claim_names": { "groups": "src1" } }));
    userinfo_says(&mut world, json!({ "sub": "alice" }));
    world.sign_in("/");
    world.provider.refresh_response = Some(Box::new(|mut body| {
        body.as_object_mut().unwrap().shift_remove("id_token");
        ok(&body)
    }));
    let more = json!({ "sub": "alice", "groups": ["admins"], "email": "a@example.com", "email_verified": true });
    userinfo_says(&mut world, more);
    world.advance(480);
    renew(&mut world, "/");
    assert_eq!((access(&mut world, "/admin"), access(&mut world, "/mail")), ("groups_left_out", "not_allowed"));
}

#[test]
fn a_userinfo_failure_at_renewal_keeps_session_and_refresh_token() {
    for answer in [
        Err(CalloutError::NoResponse),
        Ok(crate::http::CalloutResponse::new(503, Vec::new())),
        Ok(crate::http::CalloutResponse::new(401, Vec::new())),
        Ok(crate::http::CalloutResponse::new(200, b"{}".to_vec())),
    ] {
        let mut world = renewable("admins");
        world.advance(700);
        let given = answer.clone();
        world.provider.userinfo = Box::new(move || given.clone());
        assert!(matches!(renew(&mut world, "/admin"), Outcome::Forwarded { .. }), "{answer:?}");
        assert_eq!(world.provider.asked["/token"], 2);
        // No renewal is tried for a while; the next one uses the refresh token of this one.
        assert_eq!(access(&mut world, "/admin"), "passed");
        world.advance(16);
        userinfo_says(&mut world, json!({ "sub": "alice", "groups": ["staff"] }));
        assert_eq!(renew(&mut world, "/admin").code().1, "not_allowed", "{answer:?}");
        assert_eq!(world.provider.asked["/token"], 3);
    }
}

#[test]
fn userinfo_of_another_subject_at_renewal_ends_the_session() {
    let mut world = renewable("admins");
    world.advance(480);
    userinfo_says(&mut world, json!({ "sub": "mallory", "groups": ["admins"] }));
    assert_eq!(renew(&mut world, "/admin").code(), (302, "sign_in_started"));
    assert!(world.events.iter().any(|event| matches!(event, Event::SessionRefused(..) | Event::NotRenewed(..))));
    // The session stays ended.
    assert_eq!(access(&mut world, "/admin"), "sign_in_started");
}

#[test]
fn a_sign_out_during_a_userinfo_request_ends_the_session() {
    let mut world = renewable("admins");
    world.advance(480);
    let old = world.jar.clone();
    let held = world.visit("/");
    // The refresh is answered; the userinfo endpoint is still to be asked.
    for fetch in world.drive() {
        world.answer(fetch);
    }
    world.jar = old.clone();
    assert_eq!(world.opens("/oauth2/sign_out", "same-origin").reply().status, 303);
    world.jar = old;
    assert_eq!(world.then(held).code(), (302, "sign_in_started"));
}

#[test]
fn a_sign_in_keeps_its_slot_until_the_last_response() {
    let mut world = world();
    userinfo_says(&mut world, json!({ "sub": "alice" }));
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let lines = [(":method", "GET"), (":path", callback.as_str()), ("cookie", cookies.as_str())];
    let request = Request::new(lines.into_iter().map(|(name, value)| (name, value.as_bytes())));
    let mut step = world.start(request);
    for path in ["/token", "/userinfo"] {
        let Step::Wait(pending) = step else { panic!("{step:?}") };
        let call = pending.take_calls().remove(0);
        assert_eq!((call.request().path.as_str(), world.limits().redeeming.taken()), (path, 1));
        let result = world.answer_call(call.request());
        call.answer(result);
        step = world.decide(|_| pending.resume());
    }
    assert!(matches!(step, Step::Done(Decision::Reply(_))), "{step:?}");
    assert_eq!(world.limits().redeeming.taken(), 0);
}

/// A sign-in whose userinfo answer is a JWT with these changes of its header and claims, and the callback's status and code.
fn sign_in_with_signed(change: impl Fn(&mut Value, &mut Value)) -> (World, (u16, &'static str)) {
    let mut world = world();
    id_token_says(&mut world, json!({}));
    let mut claims = json!({ "sub": "alice", "groups": ["admins"], "iss": ISSUER, "aud": "client" });
    let mut header = json!({ "alg": "ES256", "kid": "one" });
    change(&mut header, &mut claims);
    let answer = world.provider.signed(&header, &claims);
    world.provider.userinfo = Box::new(move || Ok(CalloutResponse::new(200, answer.clone().into_bytes())));
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let code = world.visit(&callback).code();
    (world, code)
}

#[test]
fn signed_userinfo_of_the_issuer_for_the_client_adds_its_claims() {
    type Change = fn(&mut Value, &mut Value);
    let good: [Change; 4] = [
        |_, _| {},
        |header, _| header["typ"] = json!("JWT"),
        |_, claims| claims["aud"] = json!(["client"]),
        |_, claims| claims["exp"] = json!(4_000_000_000_u64),
    ];
    for (place, change) in good.into_iter().enumerate() {
        let (mut world, code) = sign_in_with_signed(change);
        assert_eq!((code, access(&mut world, "/admin")), ((303, "signed_in"), "passed"), "{place}");
    }
}

#[test]
fn signed_userinfo_with_invalid_claims_creates_no_session() {
    type Change = fn(&mut Value, &mut Value);
    let refused = (502, "userinfo_endpoint_refused");
    let cases: [(&str, Change, (u16, &str)); 8] = [
        ("another issuer", |_, claims| claims["iss"] = json!("https://evil.example"), refused),
        ("no issuer", |_, claims| drop(claims.as_object_mut().unwrap().remove("iss")), refused),
        ("another client", |_, claims| claims["aud"] = json!("other"), refused),
        ("no audience", |_, claims| drop(claims.as_object_mut().unwrap().remove("aud")), refused),
        ("expired", |_, claims| claims["exp"] = json!(1), refused),
        ("another user", |_, claims| claims["sub"] = json!("bob"), refused),
        ("a logout token", |header, _| header["typ"] = json!("logout+jwt"), refused),
        ("no signature", |header, _| header["alg"] = json!("none"), (502, "userinfo_endpoint_malformed")),
    ];
    for (name, change, expected) in cases {
        let (mut world, code) = sign_in_with_signed(change);
        assert_eq!(code, expected, "{name}");
        assert!(!world.has_session(), "{name}");
        assert_eq!(access(&mut world, "/admin"), "sign_in_started", "{name}");
    }
}
