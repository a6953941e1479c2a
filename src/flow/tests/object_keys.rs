//! Claims that are objects and count as the list of their keys (`object_keys`), whichever way they come.

use serde_json::{Value, json};

use super::world::{ISSUER, Outcome, PARTNERS, World, ok};

const ROLES: &str = "urn:zitadel:iam:org:project:roles";

/// Roles as ZITADEL has them: each with the organisations that grant it.
fn roles(names: &[&str]) -> Value {
    let of = |name: &&str| ((*name).to_owned(), json!({"2001": "org.example"}));
    Value::Object(names.iter().map(of).collect())
}

/// A world whose `/admin` wants the role `admin`, and whose `/open` wants that the role `banned` is missing. `object_keys` is a
/// setting of the provider and of an issuer that is asked about opaque tokens.
fn world_with(object_keys: bool, userinfo: bool) -> World {
    let mut provider = json!({
        "issuer": ISSUER, "client_id": "client", "client_secret": "secret", "userinfo": userinfo,
        "access_token_audiences": ["https://api.example.com"],
    });
    let mut issuer = json!({"issuer": PARTNERS, "introspection": {"client_id": "gate", "client_secret": "secret"}});
    if object_keys {
        provider["object_keys"] = json!([ROLES]);
        issuer["object_keys"] = json!([ROLES]);
    }
    World::ready_with(&[
        ("providers", json!([provider])),
        ("token_issuers", json!([issuer])),
        (
            "rules",
            json!([
                {"prefix": "/admin", "access": "required", "allow": {"claims": {(ROLES): ["admin"]}}},
                {"prefix": "/open", "access": "required", "allow": {"not": {"claims": {(ROLES): ["banned"]}}}},
            ]),
        ),
        ("identity_headers", json!({"X-Forwarded-User": "sub", "X-Forwarded-Roles": ROLES})),
    ])
}

fn id_token_says(world: &mut World, claims: Value) {
    world.provider.claims = Box::new(move |token| token.extend(claims.as_object().unwrap().clone()));
}

#[track_caller]
fn header(outcome: &Outcome) -> Option<&str> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(name, value)| (name == "x-forwarded-roles").then_some(value.as_str()))
}

/// An access token of the provider with these roles.
fn access_token(world: &World, names: &[&str]) -> String {
    let now = world.now.as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": "https://api.example.com", "sub": "robot", "client_id": "robot", "iat": now, "exp": now + 300,
        (ROLES): roles(names),
    });
    world.provider.signed(&json!({"alg": "ES256", "kid": "one", "typ": "at+jwt"}), &claims)
}

fn bring(world: &mut World, path: &str, token: &str) -> Outcome {
    world.send(&[(":method", "GET"), (":path", path), ("authorization", &format!("Bearer {token}"))])
}

#[test]
fn object_keys_apply_to_id_tokens_and_userinfo() {
    for userinfo in [false, true] {
        let mut world = world_with(true, userinfo);
        world.provider.refreshes = true;
        let say = |world: &mut World, names: &[&str]| {
            let claims = json!({"sub": "alice", (ROLES): roles(names)});
            if userinfo {
                world.provider.userinfo = Box::new(move || ok(&claims));
            } else {
                id_token_says(world, claims);
            }
        };
        say(&mut world, &["admin", "editor"]);
        world.sign_in("/");
        assert_eq!(header(&world.visit("/admin")), Some("admin,editor"), "{userinfo}");
        let known = world.send(&[(":method", "GET"), (":path", "/oauth2/userinfo")]).reply();
        let known: Value = serde_json::from_slice(&known.body).unwrap();
        assert_eq!(known["claims"][ROLES], json!(["admin", "editor"]), "{userinfo}");

        say(&mut world, &["banned", "editor"]);
        world.advance(480);
        let held = world.visit("/");
        let renewed = world.then(held);
        assert_eq!(header(&renewed), Some("banned,editor"), "{userinfo}");
        assert_eq!(world.visit("/admin").code(), (403, "not_allowed"), "{userinfo}");
        assert_eq!(world.visit("/open").code(), (403, "not_allowed"), "{userinfo}");
        assert_eq!(header(&world.visit("/")), Some("banned,editor"), "{userinfo}");
    }
}

#[test]
fn without_object_keys_an_object_claim_matches_no_condition() {
    let mut world = world_with(false, false);
    id_token_says(&mut world, json!({(ROLES): roles(&["admin"])}));
    world.sign_in("/");
    assert_eq!(header(&world.visit("/")), None);
    assert_eq!(world.visit("/admin").code(), (403, "not_allowed"));
}

#[test]
fn a_session_from_before_object_keys_signs_in_again_if_needed() {
    let mut world = world_with(false, false);
    id_token_says(&mut world, json!({(ROLES): roles(&["banned"])}));
    world.sign_in("/");
    // No condition can use an object, and `not` holds.
    assert!(matches!(world.visit("/open"), Outcome::Forwarded { .. }));
    world.config = world_with(true, false).config;
    world.replace_workers();
    world.settle();
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
    assert_eq!(world.visit("/open").code(), (302, "sign_in_started"));
    world.sign_in_again();
    assert_eq!(world.visit("/open").code(), (403, "not_allowed"));
    assert_eq!(header(&world.visit("/")), Some("banned"));
}

#[test]
fn object_keys_apply_to_signed_access_tokens() {
    let mut world = world_with(true, false);
    let (admin, banned) = (access_token(&world, &["admin"]), access_token(&world, &["banned", "reader"]));
    assert_eq!(header(&bring(&mut world, "/admin", &admin)), Some("admin"));
    assert_eq!(bring(&mut world, "/admin", &banned).code(), (403, "not_allowed"));
    assert_eq!(bring(&mut world, "/open", &banned).code(), (403, "not_allowed"));
    assert_eq!(header(&bring(&mut world, "/", &banned)), Some("banned,reader"));
}

#[test]
fn object_keys_apply_to_introspection_responses() {
    let mut world = world_with(true, false);
    world.partners.introspection = Box::new(|_, token| {
        let names: &[&str] = if token == "opaque" { &["admin"] } else { &["banned"] };
        ok(&json!({"active": true, "sub": "robot", (ROLES): roles(names)}))
    });
    assert_eq!(header(&bring(&mut world, "/admin", "opaque")), Some("admin"));
    assert_eq!(bring(&mut world, "/admin", "another").code(), (403, "not_allowed"));
    assert_eq!(bring(&mut world, "/open", "another").code(), (403, "not_allowed"));
    assert_eq!(header(&bring(&mut world, "/", "another")), Some("banned"));
}

#[test]
fn object_keys_of_a_provider_apply_to_its_token_issuer() {
    let provider = json!({"issuer": ISSUER, "client_id": "client", "client_secret": "secret", "object_keys": [ROLES]});
    let mut world = World::ready_with(&[
        ("providers", json!([provider])),
        ("token_issuers", json!([{"issuer": ISSUER, "audiences": ["https://api.example.com"]}])),
        ("identity_headers", json!({"X-Forwarded-Roles": ROLES})),
        ("rules", json!([{"prefix": "/admin", "access": "bearer", "allow": {"claims": {(ROLES): ["admin"]}}}])),
    ]);
    let (admin, reader) = (access_token(&world, &["admin"]), access_token(&world, &["reader"]));
    assert_eq!(header(&bring(&mut world, "/admin", &admin)), Some("admin"));
    assert_eq!(bring(&mut world, "/admin", &reader).code(), (403, "not_allowed"));
}
