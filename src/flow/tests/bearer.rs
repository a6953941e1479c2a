//! Bearer tokens of API clients.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::event::Reason,
    keys::all_slots,
    world::{Outcome, START, World, header},
};

const TOKEN: &str = "vst_0123456789abcdef0123456789abcdef";

fn digest(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A world that accepts static tokens and access tokens of the provider.
fn world() -> World {
    world_where(&json!(null))
}

/// [`world`] with these conditions of the provider (`allow`); null for none.
fn world_where(allow: &Value) -> World {
    let mut provider = json!({
        "issuer": super::world::ISSUER, "client_id": "client", "client_secret": "secret",
        "access_token_audiences": ["https://api.example.com"],
    });
    if !allow.is_null() {
        provider["allow"] = allow.clone();
    }
    let listed = json!([
        { "name": "ci", "sha256": digest(TOKEN), "claims": { "groups": ["machines"], "scp": ["read", "write"] } },
        { "name": "old", "sha256": digest("old-token"), "expires_at": START + 100 },
    ]);
    let rules = json!([
        { "path": "/public/*", "access": "public" },
        { "path": "/optional", "access": "optional" },
        { "path": "/api/write", "access": "bearer", "scopes": ["read", "write"] },
        { "path": "/api/machines", "access": "bearer", "allow": { "groups": ["machines"] }, "name": "machines" },
        { "path": "/api/*", "access": "bearer" },
        { "path": "/closed", "access": "deny" },
    ]);
    World::ready_with(&[("providers", json!([provider])), ("static_tokens", listed), ("rules", rules)])
}

fn send(world: &mut World, path: &str, authorization: &[&str]) -> Outcome {
    let mut headers = vec![(":method", "GET"), (":path", path)];
    headers.extend(authorization.iter().map(|line| ("authorization", *line)));
    world.send(&headers)
}

fn with(world: &mut World, path: &str, token: &str) -> Outcome {
    send(world, path, &[&format!("Bearer {token}")])
}

#[track_caller]
fn user(outcome: &Outcome) -> &str {
    let Outcome::Forwarded { headers, reason: Reason::Bearer, .. } = outcome else { panic!("{outcome:?}") };
    let users: Vec<_> = headers.iter().filter(|(name, _)| name == "x-forwarded-user").collect();
    let [(_, user)] = users[..] else { panic!("{headers:?}") };
    user
}

#[track_caller]
fn assert_refused(world: &mut World, outcome: Outcome, status: u16, code: &str, challenge: Option<&str>) {
    let reply = outcome.reply();
    assert_eq!((reply.status, reply.code), (status, code));
    let expected = challenge.map(|rest| format!("Bearer realm=\"https://app.example.com\"{rest}"));
    assert_eq!(header(&reply, "www-authenticate"), expected.as_deref());
    assert_eq!(header(&reply, "location"), None);
    // The worker still serves requests.
    assert_eq!(user(&with(world, "/api/x", TOKEN)), "ci");
}

/// An access token of the provider.
fn access_token(world: &World, change: impl Fn(&mut Value, &mut Value)) -> String {
    let mut claims = json!({
        "iss": super::world::ISSUER, "aud": ["https://api.example.com", "other"], "sub": "robot", "client_id": "robot",
        "iat": world.now.as_secs(), "exp": world.now.as_secs() + 300, "scope": "read write",
    });
    let mut header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": world.provider.kid });
    change(&mut header, &mut claims);
    world.provider.signed(&header, &claims)
}

#[test]
fn a_static_token_passes_with_its_name_as_subject_and_its_claims() {
    let mut world = world();
    for path in ["/api/x", "/api/write", "/api/machines", "/page", "/optional"] {
        assert_eq!(user(&with(&mut world, path, TOKEN)), "ci", "{path}");
    }
    // The scheme is case-insensitive (RFC 9110, 11.1).
    assert_eq!(user(&send(&mut world, "/api/x", &[&format!("bEARER  {TOKEN} ")])), "ci");
    assert_eq!(user(&with(&mut world, "/api/x", "old-token")), "old");
    world.advance(100);
    let late = with(&mut world, "/api/x", "old-token");
    assert!(world.events.iter().any(|event| event.to_string().contains("\"old\" has expired")), "{:?}", world.events);
    assert_refused(&mut world, late, 401, "invalid_token", Some(", error=\"invalid_token\""));
}

#[test]
fn an_access_token_of_the_provider_passes_as_its_subject() {
    let mut world = world();
    for typ in [json!("at+jwt"), json!("AT+JWT"), json!("application/at+jwt"), json!("JWT"), Value::Null] {
        let token = access_token(&world, |header, _| header["typ"] = typ.clone());
        assert_eq!(user(&with(&mut world, "/api/write", &token)), "robot", "{typ}");
    }
    // Access tokens of Auth0, Okta and Entra ID, without a `typ` of their own: one of these claims marks them.
    for name in ["scope", "scp", "cid", "appid", "azpacr", "client_id"] {
        let token = access_token(&world, |header, claims| {
            header["typ"] = json!("JWT");
            claims.as_object_mut().unwrap().retain(|name, _| !["client_id", "scope"].contains(&name.as_str()));
            claims[name] = json!("x");
        });
        assert_eq!(user(&with(&mut world, "/page", &token)), "robot", "{name}");
    }
    let token = access_token(&world, |_, claims| claims["aud"] = json!("https://api.example.com"));
    assert_eq!(user(&with(&mut world, "/page", &token)), "robot");
    // The token is cached after its first use, and expires all the same.
    assert_eq!(user(&with(&mut world, "/page", &token)), "robot");
    world.advance(359);
    assert_eq!(user(&with(&mut world, "/page", &token)), "robot");
    world.advance(1);
    let over = with(&mut world, "/page", &token);
    assert_refused(&mut world, over, 401, "invalid_token", Some(", error=\"invalid_token\""));
}

#[test]
fn an_invalid_access_token_is_refused() {
    type Change = fn(&mut Value, &mut Value);
    let cases: [(&str, Change); 28] = [
        ("another issuer", |_, claims| claims["iss"] = json!("https://evil.example")),
        ("another audience", |_, claims| claims["aud"] = json!("other")),
        ("the client", |_, claims| claims["aud"] = json!("client")),
        ("no audience", |_, claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("over", |_, claims| claims["exp"] = json!(1)),
        ("without an end", |_, claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("not valid yet", |_, claims| claims["nbf"] = json!(4_000_000_000_u64)),
        ("from the future", |_, claims| claims["iat"] = json!(4_000_000_000_u64)),
        ("nobody's", |_, claims| drop(claims.as_object_mut().unwrap().remove("sub"))),
        ("of an empty subject", |_, claims| claims["sub"] = json!("")),
        ("of a subject that splits lines", |_, claims| claims["sub"] = json!("robot\nGET / 200 alice")),
        ("of a subject with spaces", |_, claims| claims["sub"] = json!("alice ")),
        ("of a long subject", |_, claims| claims["sub"] = json!("a".repeat(256))),
        ("of a subject that is none", |_, claims| claims["sub"] = json!(["alice"])),
        ("without a word that it is an access token", |header, claims| {
            header["typ"] = json!("JWT");
            claims.as_object_mut().unwrap().retain(|name, _| !["client_id", "scope"].contains(&name.as_str()));
        }),
        ("for our client too, and nothing says that it is an access token", |header, claims| {
            header["typ"] = json!("JWT");
            claims["aud"] = json!(["client", "https://api.example.com"]);
        }),
        ("bound to a key", |_, claims| claims["cnf"] = json!({ "jkt": "x" })),
        ("an ID token by its nonce", |_, claims| claims["nonce"] = json!("n")),
        ("an ID token by its at_hash", |_, claims| claims["at_hash"] = json!("x")),
        ("an ID token by Keycloak's typ", |_, claims| claims["typ"] = json!("ID")),
        ("a refresh token by Keycloak's typ", |_, claims| claims["typ"] = json!("Refresh")),
        ("a logout token", |_, claims| claims["events"] = json!({})),
        ("a logout token by its typ", |header, _| header["typ"] = json!("logout+jwt")),
        ("a DPoP proof", |header, _| header["typ"] = json!("dpop+jwt")),
        ("not signed", |header, _| header["alg"] = json!("none")),
        ("signed with a secret", |header, _| header["alg"] = json!("HS256")),
        ("with a critical extension", |header, _| header["crit"] = json!(["x"])),
        ("of another algorithm", |header, _| header["alg"] = json!("ES384")),
    ];
    for (what, change) in cases {
        let mut world = world();
        let token = access_token(&world, change);
        let outcome = with(&mut world, "/api/x", &token);
        let outcome = world.then(outcome);
        assert!(matches!(outcome, Outcome::Replied(_)), "{what}: {outcome:?}");
        assert_refused(&mut world, outcome, 401, "invalid_token", Some(", error=\"invalid_token\""));
    }
    let mut world = world();
    let good = access_token(&world, |_, _| ());
    for bad in [
        format!("{good}x"),
        good.strip_suffix(|_| true).unwrap().to_owned(),
        "x".to_owned(),
        "a.b.c".to_owned(),
        TOKEN.to_uppercase(),
    ] {
        let outcome = with(&mut world, "/api/x", &bad);
        assert_refused(&mut world, outcome, 401, "invalid_token", Some(", error=\"invalid_token\""));
    }
}

#[test]
fn an_access_token_that_also_names_our_client_passes_by_its_type() {
    let mut world = world();
    for (header_typ, typ) in [("at+jwt", Value::Null), ("JWT", json!("Bearer"))] {
        let token = access_token(&world, |header, claims| {
            header["typ"] = json!(header_typ);
            claims["aud"] = json!(["client", "https://api.example.com"]);
            if !typ.is_null() {
                claims["typ"] = typ.clone();
            }
        });
        assert_eq!(user(&with(&mut world, "/api/x", &token)), "robot", "{header_typ} {typ}");
    }
}

#[test]
fn a_cached_token_expires_when_its_keys_are_no_longer_trusted() {
    let mut world = world();
    let token = access_token(&world, |_, claims| claims["exp"] = json!(START + 1_000_000));
    assert_eq!(user(&with(&mut world, "/api/x", &token)), "robot");
    world.provider.up = false;
    world.advance(24 * 60 * 60 - 1);
    assert_eq!(user(&with(&mut world, "/api/x", &token)), "robot");
    world.advance(1);
    let Outcome::Held(waiter) = with(&mut world, "/api/x", &token) else { panic!("not held") };
    world.advance(5);
    let outcome = world.resume(waiter);
    assert_refused(&mut world, outcome, 503, "provider_not_ready", None);
}

#[test]
fn a_cached_token_is_compared_by_all_of_its_bytes() {
    let mut world = world();
    for sub in 0..600 {
        let token = access_token(&world, |_, claims| claims["sub"] = json!(format!("robot-{sub}")));
        assert_eq!(user(&with(&mut world, "/api/x", &token)), format!("robot-{sub}"));
        // The same signature below other claims.
        let outcome = with(&mut world, "/api/x", &token.replacen(".e", ".f", 1));
        assert!(matches!(outcome, Outcome::Replied(_)), "{outcome:?}");
    }
}

#[test]
fn conditions_of_a_provider_apply_to_its_bearer_tokens() {
    let mut world = world_where(&json!({ "groups": ["staff"] }));
    let stranger = access_token(&world, |_, _| ());
    let staff = access_token(&world, |_, claims| claims["groups"] = json!(["staff"]));
    for _ in 0..2 {
        let outcome = with(&mut world, "/page", &stranger);
        assert_refused(&mut world, outcome, 403, "not_allowed", None);
        assert_eq!(user(&with(&mut world, "/page", &staff)), "robot");
    }
    // On an optional path the token passes without identity, as a session of that user does.
    let anybody = with(&mut world, "/optional", &stranger);
    let Outcome::Forwarded { reason: Reason::Public, headers, .. } = anybody else { panic!("{anybody:?}") };
    assert!(headers.iter().all(|(name, _)| !name.starts_with("x-forwarded-")), "{headers:?}");
}

#[test]
fn debug_output_and_events_contain_no_bearer_token() {
    let mut world = world();
    let token = access_token(&world, |header, _| header["kid"] = json!("made-up"));
    let held = with(&mut world, "/api/x", &token);
    let Outcome::Held(waiter) = held else { panic!("{held:?}") };
    world.advance(10);
    let outcome = world.resume(waiter);
    let printed = format!("{outcome:?} {:?}", world.events);
    assert!(token.split('.').all(|part| !printed.contains(part)), "{printed}");
    let outcome = with(&mut world, "/api/x", TOKEN);
    assert!(matches!(outcome, Outcome::Forwarded { .. }));
    let outcome = with(&mut world, "/page", "unknown-token");
    let lines: Vec<_> = world.events.iter().map(ToString::to_string).collect();
    let printed = format!("{outcome:?} {lines:?} {:?}", world.config.static_tokens);
    for secret in [TOKEN, "unknown-token", &digest(TOKEN)] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn an_ambiguous_authorization_header_is_refused() {
    let mut world = world();
    let good = format!("Bearer {TOKEN}");
    let long = format!("Bearer {}", "a".repeat(16 * 1024 + 1));
    let cases: [&[&str]; 7] = [
        &[&good, &good],
        &[&good, "Basic YTpi"],
        &["Bearer "],
        &["Bearer a b"],
        &["Bearer a,b"],
        &["Bearer \u{e9}"],
        &[&long],
    ];
    for lines in cases {
        let outcome = send(&mut world, "/api/x", lines);
        assert_refused(&mut world, outcome, 400, "bearer_malformed", Some(", error=\"invalid_request\""));
    }
}

#[test]
fn an_invalid_bearer_token_is_refused_despite_a_session_cookie() {
    let mut world = world();
    world.sign_in("/");
    let outcome = with(&mut world, "/page", "unknown");
    assert_refused(&mut world, outcome, 401, "invalid_token", Some(", error=\"invalid_token\""));
    // A good token takes precedence over the cookie, and a public path checks neither.
    assert_eq!(user(&with(&mut world, "/page", TOKEN)), "ci");
    let public = with(&mut world, "/public/x", "unknown");
    assert!(matches!(public, Outcome::Forwarded { reason: Reason::Public, .. }));
}

#[test]
fn a_bearer_path_accepts_no_session_cookie() {
    let mut world = world();
    world.sign_in("/");
    let page = world.visit("/api/x");
    assert_refused(&mut world, page, 401, "token_required", Some(""));
    assert!(matches!(world.visit("/page"), Outcome::Forwarded { reason: Reason::Session, .. }));
}

#[test]
fn a_bearer_token_must_satisfy_the_scopes_and_conditions_of_a_rule() {
    let mut world = world();
    let reader = access_token(&world, |_, claims| claims["scope"] = json!("read writer"));
    let outcome = with(&mut world, "/api/write", &reader);
    let wanted = ", error=\"insufficient_scope\", scope=\"read write\"";
    assert_refused(&mut world, outcome, 403, "insufficient_scope", Some(wanted));
    assert_eq!(user(&with(&mut world, "/api/x", &reader)), "robot");
    for scp in [json!("read write"), json!(["write", "read"])] {
        let token = access_token(&world, |_, claims| {
            claims.as_object_mut().unwrap().remove("scope");
            claims["scp"] = scp.clone();
        });
        assert_eq!(user(&with(&mut world, "/api/write", &token)), "robot", "{scp}");
    }
    let outcome = with(&mut world, "/api/machines", &reader);
    assert_refused(&mut world, outcome, 403, "not_allowed", None);
    assert!(world.events.iter().any(|event| event.to_string().contains("\"machines\"")), "{:?}", world.events);
    let machine = access_token(&world, |_, claims| claims["groups"] = json!(["machines"]));
    assert_eq!(user(&with(&mut world, "/api/machines", &machine)), "robot");
    let closed = with(&mut world, "/closed", TOKEN);
    assert_refused(&mut world, closed, 403, "denied", None);
}

#[test]
fn a_rotated_key_is_fetched_and_an_unknown_key_waits_only_in_a_slot() {
    let mut world = world();
    let token = access_token(&world, |_, _| ());
    assert_eq!(user(&with(&mut world, "/api/x", &token)), "robot");
    world.advance(1);
    world.provider.rotate();
    let new = access_token(&world, |_, _| ());
    let held = with(&mut world, "/api/x", &new);
    let Outcome::Held(waiter) = held else { panic!("{held:?}") };
    assert_eq!(world.limits().unauthenticated.taken(), 1);
    world.settle();
    assert_eq!(user(&world.resume(waiter)), "robot");
    // Tokens of a removed key are refused, even cached ones.
    let outcome = with(&mut world, "/api/x", &token);
    match outcome {
        Outcome::Held(waiter) => {
            world.advance(5);
            let outcome = world.resume(waiter);
            assert_refused(&mut world, outcome, 401, "invalid_token", Some(", error=\"invalid_token\""));
        }
        outcome => assert_refused(&mut world, outcome, 401, "invalid_token", Some(", error=\"invalid_token\"")),
    }
    world.advance(60);
    let slots = all_slots(&mut world);
    let made_up = access_token(&world, |header, _| header["kid"] = json!("made-up"));
    let outcome = with(&mut world, "/api/x", &made_up);
    assert_refused(&mut world, outcome, 503, "busy", None);
    drop(slots);
}

#[test]
fn bearer_tokens_are_refused_by_default() {
    let mut world = World::ready();
    let reply = with(&mut world, "/page", TOKEN).reply();
    assert_eq!((reply.status, reply.code), (401, "bearer_not_accepted"));
}
