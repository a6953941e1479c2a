//! Tokens that are bound to our key (RFC 9449): the proofs of the calls, the nonces of servers, and tokens of the wrong kind.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::world::{ISSUER, Outcome, World, location, query_of};
use crate::{
    http::{CalloutRequest, CalloutResponse, DPOP},
    jose::{
        Algorithm,
        jwks::Jwks,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::testing::TestPlatform,
};

/// The key that tokens are bound to.
fn key() -> Value {
    let keys: Vec<Value> = serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap();
    keys[1].clone()
}

fn world(changes: Value) -> World {
    let mut provider = json!({
        "issuer": ISSUER, "client_id": "client", "client_secret": "secret", "token_endpoint_auth_method": "client_secret_basic",
        "userinfo": true, "dpop_key": key().to_string(),
    });
    provider.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    provider.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let mut world = World::ready_with(&[("providers", json!([provider]))]);
    world.provider.refreshes = true;
    world.provider.userinfo = Box::new(|| Ok(CalloutResponse::new(200, br#"{"sub":"alice"}"#.to_vec())));
    world.provider.token_response = Box::new(|body| token(body, "DPoP"));
    world
}

fn token(mut body: Value, token_type: &str) -> Result<CalloutResponse, crate::http::CalloutError> {
    body["token_type"] = json!(token_type);
    super::world::ok(&body)
}

/// The claims of the proof of this call, whose signature is that of our key.
fn proof(request: &CalloutRequest) -> Value {
    let (_, proof) = request.headers.iter().find(|(name, _)| *name == DPOP).expect("a proof");
    let token = UnverifiedJws::parse(proof).unwrap();
    let mut public = key();
    public.as_object_mut().unwrap().shift_remove("d");
    let keys = Jwks::parse(json!({ "keys": [public] }).to_string().as_bytes()).unwrap();
    let platform = TestPlatform::default();
    let verified = verify(&token, &keys, &Algorithm::ALL, Origin::TokenEndpoint, &platform).unwrap();
    assert_eq!(verified.typ(), Some("dpop+jwt"));
    let claims = proof.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// Servers that want a proof with their nonce, and note the claims of each.
#[derive(Default)]
struct Nonces {
    /// By path: each new number is a new nonce.
    current: BTreeMap<String, u32>,
    seen: Vec<(String, Value)>,
}

/// Has the provider's two servers want nonces of their own.
fn want_nonces(world: &mut World) -> Rc<RefCell<Nonces>> {
    let nonces = Rc::new(RefCell::new(Nonces::default()));
    let noted = Rc::clone(&nonces);
    world.provider.before = Some(Box::new(move |request| {
        if !matches!(request.path.as_str(), "/token" | "/userinfo") {
            return None;
        }
        let claims = proof(request);
        let mut nonces = noted.borrow_mut();
        let current = nonces.current.entry(request.path.clone()).or_insert(1);
        let current = format!("nonce-{current}-of-{}", request.path.trim_start_matches('/'));
        nonces.seen.push((request.path.clone(), claims.clone()));
        if claims["nonce"] == *current {
            return None;
        }
        let (status, body) = match request.path.as_str() {
            "/token" => (400, r#"{"error":"use_dpop_nonce"}"#),
            _ => (401, ""),
        };
        let refused = CalloutResponse::new(status, body.as_bytes().to_vec());
        Some(Ok(CalloutResponse { dpop_nonce: Some(current), ..refused }))
    }));
    nonces
}

#[test]
fn each_call_carries_a_proof_with_the_nonce_of_its_server() {
    let mut world = world(json!({}));
    let nonces = want_nonces(&mut world);
    let reply = world.visit("/").reply();
    // RFC 9449, 10: the code is bound to the key too.
    let thumbprint = query_of(location(&reply))["dpop_jkt"].clone();
    assert_eq!(thumbprint.len(), 43);
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));

    let paths = |nonces: &Nonces| nonces.seen.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&nonces.borrow()), ["/token", "/token", "/userinfo", "/userinfo"]);
    for (path, claims) in &nonces.borrow().seen {
        assert_eq!(claims["htu"], format!("{ISSUER}{path}"));
        assert_eq!(claims["htm"], if path == "/token" { "POST" } else { "GET" });
        assert_eq!(claims.get("ath").is_some(), path == "/userinfo");
    }
    let mut numbers: Vec<_> = nonces.borrow().seen.iter().map(|(_, claims)| claims["jti"].to_string()).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 4, "each proof is for one call");

    // The nonces are known now, until the server takes others.
    nonces.borrow_mut().seen.clear();
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(world.then(held), Outcome::Forwarded { .. }));
    assert_eq!(paths(&nonces.borrow()), ["/token", "/userinfo"]);
    nonces.borrow_mut().current.insert("/token".to_owned(), 2);
    nonces.borrow_mut().seen.clear();
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(world.then(held), Outcome::Forwarded { .. }));
    assert_eq!(paths(&nonces.borrow()), ["/token", "/token", "/userinfo"]);
}

#[test]
fn a_request_for_a_dpop_nonce_is_followed_once() {
    let mut world = world(json!({}));
    let calls = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&calls);
    world.provider.before = Some(Box::new(move |request| {
        (request.path == "/token").then(|| {
            *counted.borrow_mut() += 1;
            let nonce = format!("nonce-{}", counted.borrow());
            let refused = CalloutResponse::new(400, br#"{"error":"use_dpop_nonce"}"#.to_vec());
            Ok(CalloutResponse { dpop_nonce: Some(nonce), ..refused })
        })
    }));
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (502, "token_endpoint_refused"));
    assert_eq!(*calls.borrow(), 2);
    assert!(!world.has_session());
    let lines: Vec<_> = world.events.drain(..).map(|event| event.to_string()).collect();
    let told = "the provider refused: use_dpop_nonce; compare the algorithm of dpop_key with";
    assert!(lines.iter().any(|line| line.contains(told)), "{lines:?}");
    world.provider.before = None;
    world.sign_in("/");
}

#[test]
fn a_token_type_that_differs_from_the_dpop_setting_creates_no_session() {
    for (changes, token_type, told) in [
        (json!({}), "Bearer", "the access token is not bound to dpop_key"),
        (json!({ "dpop_key": null }), "DPoP", "the access token is bound to a key (DPoP), and there is no dpop_key"),
    ] {
        let mut world = world(changes);
        world.provider.token_response = Box::new(move |body| token(body, token_type));
        let reply = world.visit("/").reply();
        let callback = world.signs_in(&reply);
        assert_eq!(world.visit(&callback).code(), (502, "access_token_type"));
        assert!(!world.has_session() && !world.provider.asked.contains_key("/userinfo"));
        let lines: Vec<_> = world.events.drain(..).map(|event| event.to_string()).collect();
        assert!(lines.iter().any(|line| line.contains(told)), "{lines:?}");
        let other = if token_type == "Bearer" { "DPoP" } else { "Bearer" };
        world.provider.token_response = Box::new(move |body| token(body, other));
        world.sign_in("/");
    }
}

#[test]
fn a_refused_dpop_proof_does_not_end_the_session() {
    for error in ["invalid_dpop_proof", "use_dpop_nonce"] {
        let mut world = world(json!({}));
        world.sign_in("/");
        world.provider.refresh_response =
            Some(Box::new(move |_| Ok(CalloutResponse::new(400, json!({ "error": error }).to_string().into_bytes()))));
        world.advance(480);
        let held = world.visit("/");
        assert!(matches!(world.then(held), Outcome::Forwarded { .. }), "{error}");
        world.advance(60);
        let held = world.visit("/");
        assert!(matches!(world.then(held), Outcome::Forwarded { .. }), "{error}");
    }
}
