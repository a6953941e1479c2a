//! Token introspection (RFC 7662).

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::{Step, event::Reason},
    world::{ISSUER, Outcome, PARTNERS, START, World, ok},
};
use crate::http::{CalloutError, CalloutResponse, Request};

const AUDIENCE: &str = "https://api.example.com";

/// The introspection response for a good token.
fn good() -> Value {
    json!({ "active": true, "sub": "robot", "client_id": "robots", "scope": "read", "aud": AUDIENCE,
        "iss": PARTNERS, "exp": START + 300, "iat": START, "token_type": "Bearer" })
}

fn world() -> World {
    world_with(&json!({ "client_id": "gate", "client_secret": "s3:cret" }), &json!({}))
}

fn world_with(introspection: &Value, more: &Value) -> World {
    let mut issuer = json!({ "issuer": PARTNERS, "audiences": [AUDIENCE], "introspection": introspection });
    issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let rules = json!([
        { "path": "/optional", "access": "optional" },
        { "path": "/write/*", "access": "bearer", "scopes": ["write"] },
        { "path": "/staff/*", "access": "required", "providers": ["default"] },
        { "path": "/api/*", "access": "bearer" },
    ]);
    let mut world = World::ready_with(&[("token_issuers", json!([issuer])), ("rules", rules)]);
    world.partners.introspection = Box::new(|_, token| match token {
        "opaque" => ok(&good()),
        _ => ok(&json!({ "active": false })),
    });
    world
}

fn bring(world: &mut World, path: &str, token: &str) -> Outcome {
    world.send(&[(":method", "GET"), (":path", path), ("authorization", &format!("Bearer {token}"))])
}

fn asked(world: &World) -> usize {
    world.partners.asked.get("/introspect").copied().unwrap_or_default()
}

#[track_caller]
fn assert_passes(outcome: &Outcome) {
    let Outcome::Forwarded { reason: Reason::Bearer, headers, .. } = outcome else { panic!("{outcome:?}") };
    assert!(headers.contains(&("x-forwarded-user".to_owned(), "robot".to_owned())), "{headers:?}");
}

#[test]
fn an_opaque_token_passes_while_introspection_reports_it_active() {
    let mut world = world();
    world.partners.introspection = Box::new(|request, token| {
        // RFC 6749, 2.3.1: client id and secret are form-encoded.
        let basic = ("authorization", "Basic Z2F0ZTpzMyUzQWNyZXQ=".to_owned());
        assert!(request.headers.contains(&basic), "{request:?}");
        ok(&if token == "opaque" { good() } else { json!({ "active": false }) })
    });
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    assert_passes(&bring(&mut world, "/page", "opaque"));
    assert_eq!((asked(&world), world.partners.asked.get("/jwks")), (1, None));
    assert_eq!(bring(&mut world, "/write/x", "opaque").code(), (403, "insufficient_scope"));
    assert_eq!(bring(&mut world, "/api/x", "unknown").code(), (401, "invalid_token"));
    assert_eq!(bring(&mut world, "/api/x", "unknown").code(), (401, "invalid_token"));
    assert_eq!(asked(&world), 2, "no is remembered, too");
    // After a minute the issuer is asked again; the token has been revoked.
    world.partners.introspection = Box::new(|_, _| ok(&json!({ "active": false })));
    world.advance(59);
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    world.advance(1);
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (401, "invalid_token"));
    // A sign-in needs no introspection.
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
}

#[test]
fn identity_headers_follow_the_latest_introspection_response() {
    let mut world = world();
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    world.partners.introspection = Box::new(|_, _| {
        let mut said = good();
        said["sub"] = json!("another");
        ok(&said)
    });
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    world.advance(60);
    for _ in 0..2 {
        let Outcome::Forwarded { headers, .. } = bring(&mut world, "/api/x", "opaque") else { panic!("it is good") };
        assert!(headers.contains(&("x-forwarded-user".to_owned(), "another".to_owned())), "{headers:?}");
    }
}

#[test]
fn an_introspection_response_is_cached_until_exp_or_cache_seconds() {
    let asks = json!({ "client_id": "gate", "client_secret": "s", "cache_seconds": 600 });
    let mut world = world_with(&asks, &json!({}));
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    world.advance(300 + 60);
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (401, "invalid_token"));
    let asks = json!({ "client_id": "gate", "client_secret": "s", "cache_seconds": 0 });
    let mut world = world_with(&asks, &json!({}));
    for count in 1..4 {
        assert_passes(&bring(&mut world, "/api/x", "opaque"));
        assert_eq!(asked(&world), count);
    }
    assert_eq!(bring(&mut world, "/api/x", "unknown").code(), (401, "invalid_token"));
    assert_eq!(bring(&mut world, "/api/x", "unknown").code(), (401, "invalid_token"));
    assert_eq!(asked(&world), 5);
}

#[test]
fn an_introspection_response_with_an_invalid_claim_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, bool); 30] = [
        ("no exp", |said| drop(said.as_object_mut().unwrap().shift_remove("exp")), true),
        ("no iss", |said| drop(said.as_object_mut().unwrap().shift_remove("iss")), true),
        ("null", |said| said["nbf"] = Value::Null, true),
        ("an empty iss", |said| said["iss"] = json!(""), true),
        ("an empty type", |said| said["token_type"] = json!(""), true),
        ("a type of null", |said| said["typ"] = Value::Null, true),
        ("an empty exp", |said| said["exp"] = json!(""), true),
        ("not bound", |said| said["cnf"] = Value::Null, true),
        ("bound to something", |said| said["cnf"] = json!(""), false),
        ("an empty audience", |said| said["aud"] = json!(""), false),
        ("another type's name", |said| said["token_type"] = json!("access_token"), true),
        (
            "a program's own",
            |said| {
                said.as_object_mut().unwrap().shift_remove("sub");
                said["client_id"] = json!("robot");
            },
            true,
        ),
        ("somebody whose sub is no text", |said| said["sub"] = json!(7), false),
        ("somebody whose sub would be cut", |said| said["sub"] = json!("robots "), false),
        ("somebody without a name", |said| said["sub"] = json!(""), false),
        ("several audiences", |said| said["aud"] = json!(["a", AUDIENCE]), true),
        ("over", |said| said["exp"] = json!(START - 61), false),
        ("exp as text", |said| said["exp"] = json!("2030"), false),
        ("not yet", |said| said["nbf"] = json!(START + 61), false),
        ("from the future", |said| said["iat"] = json!(START + 61), false),
        ("of another issuer", |said| said["iss"] = json!(ISSUER), false),
        ("for others", |said| said["aud"] = json!("others"), false),
        ("for nobody", |said| drop(said.as_object_mut().unwrap().shift_remove("aud")), false),
        ("bound to a key", |said| said["cnf"] = json!({ "jkt": "x" }), false),
        ("DPoP", |said| said["token_type"] = json!("DPoP"), false),
        ("a refresh token (Keycloak)", |said| said["typ"] = json!("Refresh"), false),
        ("a refresh token (Hydra)", |said| said["token_use"] = json!("refresh_token"), false),
        ("an ID token", |said| said["typ"] = json!("ID"), false),
        ("a type of another type", |said| said["token_type"] = json!(["Bearer"]), false),
        (
            "nobody's",
            |said| {
                said["sub"] = json!("");
                said["client_id"] = json!(7);
            },
            false,
        ),
    ];
    for (name, change, passes) in cases {
        let mut world = world();
        world.partners.introspection = Box::new(move |_, _| {
            let mut said = good();
            change(&mut said);
            ok(&said)
        });
        let outcome = bring(&mut world, "/api/x", "opaque");
        if passes {
            assert_passes(&outcome);
        } else {
            assert_eq!(outcome.code(), (401, "invalid_token"), "{name}");
        }
    }
}

#[test]
fn a_failing_introspection_endpoint_admits_no_token() {
    type Answer = fn() -> super::super::CalloutResult;
    let status = |status| Ok(CalloutResponse::new(status, b"{}".to_vec()));
    let _: super::super::CalloutResult = status(500);
    let cases: [(Answer, u16, &str); 9] = [
        (|| Ok(CalloutResponse::new(503, Vec::new())), 503, "introspection_unavailable"),
        (|| Ok(CalloutResponse::new(429, Vec::new())), 503, "introspection_unavailable"),
        (|| Err(CalloutError::NoResponse), 503, "introspection_unavailable"),
        (|| Ok(CalloutResponse::new(401, br#"{"active":true}"#.to_vec())), 502, "introspection_refused"),
        (|| Ok(CalloutResponse::new(302, Vec::new())), 502, "introspection_refused"),
        (|| Ok(CalloutResponse::new(200, b"active".to_vec())), 502, "introspection_refused"),
        (|| ok(&json!({})), 502, "introspection_refused"),
        (|| ok(&json!({ "active": "true" })), 502, "introspection_refused"),
        (|| ok(&json!({ "active": 1, "sub": "robot" })), 502, "introspection_refused"),
    ];
    for (answer, status, code) in cases {
        let mut world = world();
        world.partners.introspection = Box::new(move |_, _| answer());
        for path in ["/api/x", "/page", "/optional"] {
            assert_eq!(bring(&mut world, path, "opaque").code(), (status, code), "{path}");
        }
        // A failure is not cached: the next request asks again.
        world.partners.introspection = Box::new(|_, _| ok(&good()));
        assert_passes(&bring(&mut world, "/api/x", "opaque"));
        // A cached answer outlasts a failure for its time.
        world.partners.introspection = Box::new(move |_, _| answer());
        assert_passes(&bring(&mut world, "/api/x", "opaque"));
        world.advance(60);
        assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (status, code));
    }
}

#[test]
fn an_introspection_call_that_envoy_refuses_is_retried() {
    let mut world = world();
    world.partners.introspection = Box::new(|_, _| Err(CalloutError::Dispatch));
    let Outcome::Held(waiter) = bring(&mut world, "/api/x", "opaque") else { panic!("it waits") };
    assert_eq!(world.limits().unauthenticated.taken(), 1);
    world.partners.introspection = Box::new(|_, _| ok(&good()));
    assert_passes(&world.resume(waiter));
    world.partners.introspection = Box::new(|_, _| Err(CalloutError::Dispatch));
    let Outcome::Held(waiter) = bring(&mut world, "/api/x", "other") else { panic!("it waits") };
    world.advance(6);
    assert_eq!(world.resume(waiter).code(), (503, "introspection_unavailable"));
}

#[test]
fn an_opaque_token_waits_until_the_introspection_endpoint_is_known() {
    let asks = json!({ "client_id": "gate", "client_secret": "s" });
    let mut document = super::world::document();
    document["token_issuers"] = json!([{ "issuer": PARTNERS, "introspection": asks }]);
    let mut world = World::with(&document);
    world.partners.introspection = Box::new(|_, _| ok(&good()));
    let held = bring(&mut world, "/page", "opaque");
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    world.settle();
    let outcome = world.then(held);
    assert_passes(&outcome);
    // With a configured endpoint nothing is discovered, and the issuer need not be a URL.
    let asks = json!({ "client_id": "gate", "client_secret": "s", "endpoint": format!("{PARTNERS}/introspect") });
    document["token_issuers"] = json!([{ "issuer": "partners", "introspection": asks }]);
    let mut world = World::with(&document);
    world.settle();
    world.partners.introspection = Box::new(|_, _| ok(&json!({ "active": true, "sub": "robot" })));
    assert_passes(&bring(&mut world, "/page", "opaque"));
    assert_eq!(world.partners.asked.keys().collect::<Vec<_>>(), ["/introspect"]);
}

#[test]
fn a_worker_limits_concurrent_introspection_calls() {
    let mut world = world();
    let mut under_way = world.limits().introspecting.take_all_but(0);
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (503, "busy"));
    assert_eq!(asked(&world), 0);
    under_way.pop();
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    // A token with a cached answer needs no slot.
    let _last = world.limits().introspecting.take();
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
}

#[test]
fn unknown_tokens_do_not_use_the_slots_of_previously_valid_tokens() {
    let mut world = world();
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    let under_way = world.limits().introspecting.take_all_but(0);
    world.advance(60);
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    assert_eq!(asked(&world), 2, "its answer had run out");
    // The slots of such tokens are limited too, and leave room for new tokens.
    let again = world.limits().introspecting_again.take_all_but(0);
    world.advance(60);
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (503, "busy"));
    drop(under_way);
    assert_eq!(bring(&mut world, "/api/x", "made up").code(), (400, "bearer_malformed"));
    assert_eq!(bring(&mut world, "/api/x", "made-up").code(), (401, "invalid_token"));
    // A failure says nothing about the token.
    drop(again);
    let _under_way = world.limits().introspecting.take_all_but(0);
    world.partners.up = false;
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (503, "introspection_unavailable"));
    world.partners.up = true;
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
}

#[test]
fn a_revoked_token_loses_its_slot_for_previously_valid_tokens() {
    type Answer = fn() -> Value;
    let answers: [Answer; 2] = [
        || json!({ "active": false }),
        || {
            let mut said = good();
            said["aud"] = json!("others");
            said
        },
    ];
    for answer in answers {
        let mut world = world();
        assert_passes(&bring(&mut world, "/api/x", "opaque"));
        world.advance(60);
        world.partners.introspection = Box::new(move |_, _| ok(&answer()));
        assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (401, "invalid_token"));
        world.advance(60);
        let _under_way = world.limits().introspecting.take_all_but(0);
        assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (503, "busy"));
    }
    // After its own expiry, a token has no advantage over unknown ones.
    let mut world = world();
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    let _under_way = world.limits().introspecting.take_all_but(0);
    world.advance(300 + 60);
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (503, "busy"));
}

#[test]
fn an_introspection_call_takes_a_slot_by_the_tokens_history() {
    let mut world = world();
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    world.advance(60);
    for (token, counts) in [("opaque", (0, 1)), ("other", (1, 0))] {
        let bearer = format!("Bearer {token}");
        let headers = [(":method", "GET"), (":path", "/api/x"), ("authorization", &bearer)];
        let request = Request::new(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let step = world.start(request);
        let Step::Wait(_pending) = step else { panic!("{step:?}") };
        let limits = world.limits();
        assert_eq!((limits.introspecting.taken(), limits.introspecting_again.taken()), counts, "{token}");
    }
}

#[test]
fn a_jwt_of_an_introspection_issuer_is_introspected() {
    let asks = json!({ "client_id": "gate", "client_secret": "s" });
    let mut world = world_with(&asks, &json!({ "allow": { "claims": { "client_id": ["robots"] } } }));
    world.partners.introspection = Box::new(|_, _| ok(&good()));
    let claims = json!({ "iss": PARTNERS, "exp": 0 });
    let signed = world.partners.signed(&json!({ "alg": "ES256", "kid": "one" }), &claims);
    assert_passes(&bring(&mut world, "/api/x", &signed));
    world.partners.introspection = Box::new(|_, _| {
        let mut said = good();
        said["client_id"] = json!("others");
        ok(&said)
    });
    assert_eq!(bring(&mut world, "/api/x", "other").code(), (403, "not_allowed"));
    // The token issuer is not a provider at which users sign in.
    assert_eq!(bring(&mut world, "/staff/x", &signed).code(), (403, "other_provider"));
}

#[test]
fn introspected_tokens_of_a_provider_satisfy_its_provider_rules() {
    let asks = json!({ "client_id": "client", "client_secret": "secret" });
    let rules = json!([{ "path": "/staff/*", "access": "required", "providers": ["default"] }]);
    let issuer = json!({ "issuer": ISSUER, "introspection": asks });
    let mut world = World::ready_with(&[("token_issuers", json!([issuer])), ("rules", rules)]);
    world.provider.introspection = Box::new(|_, _| ok(&json!({ "active": true, "sub": "robot" })));
    assert_passes(&bring(&mut world, "/staff/x", "opaque"));
}

#[test]
fn provider_conditions_apply_to_introspected_tokens() {
    let allow = json!({ "claims": { "team": ["a"] } });
    for own in [json!(null), json!({ "claims": { "client_id": ["robots"] } })] {
        let mut document = super::world::document();
        document["providers"][0]["allow"] = allow.clone();
        let asks = json!({ "client_id": "client", "client_secret": "secret" });
        document["token_issuers"] = json!([{ "issuer": ISSUER, "introspection": asks }]);
        if !own.is_null() {
            document["token_issuers"][0]["allow"] = own;
        }
        let mut world = World::with(&document);
        world.settle();
        let said = |team: &str| json!({ "active": true, "sub": "robot", "client_id": "robots", "team": team });
        world.provider.introspection = Box::new(move |_, token| ok(&said(token)));
        assert_passes(&bring(&mut world, "/x", "a"));
        assert_eq!(bring(&mut world, "/x", "b").code(), (403, "not_allowed"));
    }
}

#[test]
fn the_cache_of_introspection_responses_is_bounded_in_size() {
    let mut world = world();
    let long = "x".repeat(200_000);
    world.partners.introspection = Box::new(move |_, _| {
        let mut said = good();
        said["groups"] = json!([long]);
        ok(&said)
    });
    for number in 0..10 {
        assert_passes(&bring(&mut world, "/api/x", &format!("opaque{number}")));
    }
    assert_passes(&bring(&mut world, "/api/x", "opaque9"));
    assert_eq!(asked(&world), 10);
    // Ten of them are more than a worker keeps, however short their tokens are.
    assert_passes(&bring(&mut world, "/api/x", "opaque0"));
    assert_eq!(asked(&world), 11);
}

#[test]
fn an_identity_header_can_name_the_issuer_of_an_introspected_token() {
    let asks = json!({ "client_id": "gate", "client_secret": "s" });
    let issuer = json!({ "issuer": PARTNERS, "introspection": asks });
    let headers = json!({ "X-User": { "template": "{iss}#{sub}" } });
    let mut world = World::ready_with(&[("token_issuers", json!([issuer])), ("identity_headers", headers)]);
    for said in [json!({}), json!({ "iss": null }), json!({ "iss": PARTNERS })] {
        world.partners.introspection = Box::new(move |_, _| {
            let mut answer = json!({ "active": true, "sub": "robot" });
            answer.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            ok(&answer)
        });
        world.advance(60);
        let Outcome::Forwarded { headers, .. } = bring(&mut world, "/x", "opaque") else { panic!() };
        assert!(headers.contains(&("x-user".to_owned(), format!("{PARTNERS}#robot"))), "{headers:?}");
    }
}

#[test]
fn a_clock_set_back_does_not_extend_cached_introspection_responses() {
    let mut world = world();
    world.advance(3600);
    world.partners.introspection = Box::new(|_, token| match token {
        "opaque" => ok(&json!({ "active": true, "sub": "robot", "aud": AUDIENCE })),
        _ => ok(&json!({ "active": false })),
    });
    assert_passes(&bring(&mut world, "/api/x", "opaque"));
    assert_eq!(bring(&mut world, "/api/x", "late").code(), (401, "invalid_token"));
    world.now = world.now.minus(Duration::from_secs(3000));
    world.partners.introspection = Box::new(|_, token| match token {
        "late" => ok(&json!({ "active": true, "sub": "robot", "aud": AUDIENCE })),
        _ => ok(&json!({ "active": false })),
    });
    // The first token has been revoked since, and the second one has been issued.
    assert_eq!(bring(&mut world, "/api/x", "opaque").code(), (401, "invalid_token"));
    assert_passes(&bring(&mut world, "/api/x", "late"));
}

#[test]
fn a_token_of_several_waiting_requests_is_introspected_once() {
    let asks = json!({ "client_id": "gate", "client_secret": "s" });
    let mut document = super::world::document();
    document["token_issuers"] = json!([{ "issuer": PARTNERS, "introspection": asks }]);
    let mut world = World::with(&document);
    let held: Vec<_> = (0..4).map(|_| bring(&mut world, "/page", "made-up")).collect();
    world.settle();
    for held in held {
        let outcome = world.then(held);
        assert_eq!(outcome.code(), (401, "invalid_token"));
    }
    assert_eq!(asked(&world), 1);
}

#[test]
fn the_introspecting_client_authenticates_by_the_configured_method() {
    let keys: Value = serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap();
    let key = json!({ "private_key": keys[1].to_string() });
    let cases = [
        (json!({ "client_key": key }), &["client_id=gate", "client_assertion=", "jwt-bearer"][..], None),
        (
            json!({ "client_secret": "s", "token_endpoint_auth_method": "client_secret_jwt" }),
            &["client_id=gate", "client_assertion="],
            None,
        ),
        (
            json!({ "client_secret": "s", "token_endpoint_auth_method": "client_secret_post" }),
            &["client_id=gate", "client_secret=s"],
            None,
        ),
        (json!({ "token_endpoint_auth_method": "tls_client_auth" }), &["client_id=gate"], None),
        (json!({ "token_endpoint_auth_method": "injected" }), &[], None),
        (json!({ "client_secret": "s" }), &[], Some("Basic Z2F0ZTpz")),
    ];
    for (mut settings, parts, basic) in cases {
        settings["client_id"] = json!("gate");
        let mut world = world_with(&settings, &json!({}));
        world.partners.introspection = Box::new(move |request, _| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            assert!(parts.iter().all(|part| form.contains(part)), "{form}");
            let header = request.headers.iter().find(|(name, _)| *name == "authorization");
            assert_eq!(header.map(|(_, value)| value.as_str()), basic, "{form}");
            assert_eq!(form.matches("client_").count() > 0, !parts.is_empty(), "{form}");
            ok(&good())
        });
        assert_passes(&bring(&mut world, "/api/x", "opaque"));
    }
}

#[test]
fn a_client_certificate_is_used_at_the_mtls_introspection_endpoint() {
    let settings = json!({ "client_id": "gate", "token_endpoint_auth_method": "tls_client_auth" });
    let mut issuer = json!({ "issuer": PARTNERS, "audiences": [AUDIENCE], "introspection": settings });
    for (method, expected) in [("tls_client_auth", "/introspect-by-tls"), ("injected", "/introspect")] {
        issuer["introspection"]["token_endpoint_auth_method"] = json!(method);
        let mut document = super::world::document();
        document["token_issuers"] = json!([issuer]);
        let mut world = World::with(&document);
        world.partners.metadata = Box::new(|metadata| {
            let alias = format!("{PARTNERS}/introspect-by-tls");
            metadata["mtls_endpoint_aliases"] = json!({ "introspection_endpoint": alias });
        });
        world.settle();
        world.partners.instead = Some(Box::new(move |request| {
            assert_eq!(request.path, expected);
            ok(&good())
        }));
        assert_passes(&bring(&mut world, "/api/x", "opaque"));
    }
}
