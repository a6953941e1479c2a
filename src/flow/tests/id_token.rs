//! ID tokens that a sign-in must refuse, with names from the OpenID conformance tests, and those that it must accept.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::world::{START, World};

type Change = fn(&mut Map<String, Value>);

fn with_claims(change: Change) -> (World, (u16, &'static str)) {
    let mut world = World::ready();
    world.provider.claims = Box::new(change);
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let code = world.visit(&callback).code();
    (world, code)
}

fn set(claims: &mut Map<String, Value>, name: &str, value: Value) {
    claims.insert(name.to_owned(), value);
}

#[test]
fn an_id_token_with_an_invalid_claim_is_refused() {
    let cases: [(&str, Change); 28] = [
        ("invalid-iss", |c| set(c, "iss", json!("https://idp.example.com/"))),
        ("missing-iss", |c| drop(c.remove("iss"))),
        ("missing-sub", |c| drop(c.remove("sub"))),
        ("empty sub", |c| set(c, "sub", json!(""))),
        ("sub is a number", |c| set(c, "sub", json!(7))),
        ("long sub", |c| set(c, "sub", json!("x".repeat(256)))),
        ("sub with a space at its end", |c| set(c, "sub", json!("alice\u{a0}"))),
        ("sub with control characters", |c| set(c, "sub", json!("alice\r\nx-admin: 1"))),
        ("invalid-aud", |c| set(c, "aud", json!("client1"))),
        ("missing-aud", |c| drop(c.remove("aud"))),
        ("empty aud", |c| set(c, "aud", json!([]))),
        ("invalid-secondary-aud", |c| set(c, "aud", json!(["client", "other"]))),
        ("missing-iat", |c| drop(c.remove("iat"))),
        ("iat in the future", |c| set(c, "iat", json!(START + 61))),
        ("iat is a string", |c| set(c, "iat", json!("1"))),
        ("missing-exp", |c| drop(c.remove("exp"))),
        ("expired-exp", |c| set(c, "exp", json!(START - 60))),
        ("exp is a string", |c| set(c, "exp", json!("9999999999"))),
        ("exp is null", |c| set(c, "exp", json!(null))),
        ("nbf in the future", |c| set(c, "nbf", json!(START + 61))),
        ("nonce-invalid", |c| set(c, "nonce", json!(format!("{}1", c["nonce"].as_str().unwrap())))),
        ("missing-nonce", |c| drop(c.remove("nonce"))),
        ("nonce is an array", |c| set(c, "nonce", json!([c["nonce"].clone()]))),
        ("azp is somebody else", |c| set(c, "azp", json!("other"))),
        ("invalid-athash", |c| set(c, "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"))),
        ("at_hash is a number", |c| set(c, "at_hash", json!(1))),
        ("aud nested", |c| set(c, "aud", json!([["client"]]))),
        ("aud is a number", |c| set(c, "aud", json!(1))),
    ];
    for (name, change) in cases {
        let (mut world, code) = with_claims(change);
        assert_eq!(code, (502, "id_token_refused"), "{name}");
        assert!(!world.has_session() && world.pending() == 0, "{name}");
        world.provider.claims = Box::new(|_| ());
        world.sign_in("/");
    }
}

#[test]
fn an_id_token_with_unusual_but_valid_claims_is_accepted() {
    let cases: [(&str, Change); 7] = [
        ("valid-aud-as-array", |c| set(c, "aud", json!(["client"]))),
        ("azp is us", |c| set(c, "azp", json!("client"))),
        ("at_hash is right", |c| set(c, "at_hash", json!(URL_SAFE_NO_PAD.encode(&Sha256::digest("at")[..16])))),
        ("fractional exp", |c| set(c, "exp", json!(START as f64 + 300.9))),
        ("just expired", |c| set(c, "exp", json!(START - 59))),
        ("iat a little ahead", |c| set(c, "iat", json!(START + 60))),
        ("auth_time is a float", |c| set(c, "auth_time", json!(1.5))),
    ];
    for (name, change) in cases {
        assert_eq!(with_claims(change).1, (303, "signed_in"), "{name}");
    }
}

#[test]
fn an_unsigned_or_malformed_id_token_is_refused() {
    for (name, token, expected) in [
        ("idtoken-sig-none", "eyJhbGciOiJub25lIn0.e30.", (502, "id_token_malformed")),
        ("not a token", "x", (502, "id_token_malformed")),
        ("HS256", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", (502, "id_token_malformed")),
    ] {
        let mut world = World::ready();
        world.provider.token_response = Box::new(move |mut body| {
            body["id_token"] = json!(token);
            super::world::ok(&body)
        });
        let reply = world.visit("/").reply();
        let callback = world.signs_in(&reply);
        assert_eq!(world.visit(&callback).code(), expected, "{name}");
        assert!(!world.has_session(), "{name}");
    }
}

#[test]
fn an_id_token_with_an_invalid_signature_is_refused() {
    let mut world = World::ready();
    world.provider.token_response = Box::new(|mut body| {
        let token = body["id_token"].as_str().unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let flipped: String = signature.chars().rev().collect();
        body["id_token"] = json!(format!("{text}.{flipped}"));
        super::world::ok(&body)
    });
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let code = world.visit(&callback).code();
    assert!(matches!(code, (502, "id_token_signature" | "id_token_malformed")), "{code:?}");
    assert!(!world.has_session());
}

#[test]
fn a_session_that_does_not_fit_into_its_cookies_is_a_page_and_no_loop() {
    // Digests do not compress.
    let group = |group: u32| URL_SAFE_NO_PAD.encode(Sha256::digest(group.to_le_bytes()));
    let mut world = World::ready();
    world.provider.claims = Box::new(move |c| set(c, "groups", (0..800).map(group).collect()));
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let code = world.visit(&callback).code();
    assert_eq!(code, (500, "session_too_large"));
    assert!(world.jar.is_empty());
}
