//! Issuers of tokens for API clients, beside the providers at which users sign in.

use serde_json::{Value, json};

use super::{
    super::event::Reason,
    world::{ISSUER, Outcome, PARTNERS, World, header, location},
};

const AUDIENCE: &str = "https://api.example.com";

fn rules() -> Value {
    json!([
        { "path": "/public/*", "access": "public" },
        { "path": "/optional", "access": "optional" },
        { "path": "/pods/*", "access": "bearer", "allow": { "claims": {
            "/kubernetes.io/namespace": ["shop"], "/kubernetes.io/serviceaccount/name": ["cart", "checkout"],
        } } },
        { "path": "/staff/*", "access": "required", "providers": ["default"] },
        { "path": "/api/*", "access": "bearer" },
    ])
}

fn world_with(issuer: &Value) -> World {
    world_and(issuer, &[])
}

fn world_and(issuer: &Value, changes: &[(&str, Value)]) -> World {
    let mut all = vec![("token_issuers", json!([issuer])), ("rules", rules())];
    all.extend_from_slice(changes);
    World::ready_with(&all)
}

/// The same issuer with each source of keys: discovery, JWKS URL, configured JWKS, and PEM.
fn sources() -> [Value; 4] {
    let world = World::new();
    [
        json!({ "issuer": PARTNERS, "audiences": [AUDIENCE] }),
        json!({ "issuer": PARTNERS, "audiences": [AUDIENCE], "jwks_uri": format!("{PARTNERS}/jwks") }),
        json!({ "issuer": PARTNERS, "audiences": [AUDIENCE], "jwks": world.partners.jwks().to_string() }),
        json!({ "issuer": PARTNERS, "audiences": [AUDIENCE], "public_keys": [world.partners.pem()] }),
    ]
}

/// An access token of the partners; `change` edits its header and claims.
fn token(world: &World, change: impl Fn(&mut Value, &mut Value)) -> String {
    let mut claims = json!({
        "iss": PARTNERS, "aud": AUDIENCE, "sub": "robot", "scope": "read",
        "iat": world.now.as_secs(), "exp": world.now.as_secs() + 300,
    });
    let mut header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": world.partners.kid });
    change(&mut header, &mut claims);
    world.partners.signed(&header, &claims)
}

fn bring(world: &mut World, path: &str, token: &str) -> Outcome {
    world.send(&[(":method", "GET"), (":path", path), ("authorization", &format!("Bearer {token}"))])
}

#[track_caller]
fn assert_passes(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Bearer, .. }), "{outcome:?}");
}

#[test]
fn keys_are_discovered_or_fetched_or_configured() {
    for issuer in sources() {
        let mut world = world_with(&issuer);
        let good = token(&world, |_, _| ());
        assert_passes(&bring(&mut world, "/api/x", &good));
        // Only the documents that lead to the keys are fetched.
        let expected: &[&str] = match (issuer.get("jwks_uri"), issuer.get("jwks").or(issuer.get("public_keys"))) {
            (None, None) => &["/.well-known/openid-configuration", "/jwks"],
            (Some(_), _) => &["/jwks"],
            (None, Some(_)) => &[],
        };
        assert_eq!(world.partners.asked.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{issuer}");
        // One fetch per document serves both workers.
        assert!(world.partners.asked.values().all(|count| *count == 1), "{:?}", world.partners.asked);

        // Tokens with another key, issuer, audience or type, or without a signature.
        let of_provider = world.provider.signed(
            &json!({ "alg": "ES256", "typ": "at+jwt", "kid": "one" }),
            &json!({ "iss": PARTNERS, "aud": AUDIENCE, "sub": "x", "scope": "a", "iat": world.now.as_secs(), "exp": world.now.as_secs() + 9 }),
        );
        let others = [
            of_provider,
            token(&world, |_, claims| claims["iss"] = json!(ISSUER)),
            token(&world, |_, claims| claims["iss"] = json!(format!("{PARTNERS}/"))),
            token(&world, |_, claims| claims["iss"] = json!([PARTNERS])),
            token(&world, |_, claims| claims["aud"] = json!("client")),
            token(&world, |_, claims| claims["nonce"] = json!("of an ID token")),
            token(&world, |header, _| header["typ"] = json!("logout+jwt")),
            token(&world, |header, _| header["alg"] = json!("none")),
            good.rsplit_once('.').unwrap().0.to_owned() + ".",
        ];
        for other in others {
            let outcome = bring(&mut world, "/api/x", &other);
            assert_eq!(world.then(outcome).code(), (401, "invalid_token"), "{other}");
        }
        assert_passes(&bring(&mut world, "/api/x", &good));
    }
}

#[test]
fn an_unavailable_token_issuer_does_not_delay_sign_ins() {
    let mut world = World::with(&{
        let mut document = super::world::document();
        document["token_issuers"] = json!([sources()[0]]);
        document
    });
    world.partners.up = false;
    world.settle();
    let good = token(&world, |_, _| ());
    let held = bring(&mut world, "/page", &good);
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    world.advance(6);
    let Outcome::Held(waiter) = held else { return };
    assert_eq!(world.resume(waiter).code(), (503, "provider_not_ready"));
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
    world.partners.up = true;
    world.advance(20);
    world.settle();
    let good = token(&world, |_, _| ());
    assert_passes(&bring(&mut world, "/page", &good));
}

#[test]
fn rotated_keys_of_a_token_issuer_are_fetched_unless_configured() {
    for (place, issuer) in sources().into_iter().enumerate() {
        let mut world = world_with(&issuer);
        world.partners.rotate();
        let new = token(&world, |_, _| ());
        let outcome = bring(&mut world, "/api/x", &new);
        match place {
            0 | 1 => {
                let outcome = world.then(outcome);
                assert_passes(&outcome);
            }
            _ => assert_eq!(outcome.code(), (401, "invalid_token"), "{issuer}"),
        }
    }
}

#[test]
fn a_token_without_typ_is_accepted_only_if_configured() {
    let mut issuer = sources()[3].clone();
    issuer["issuer"] = json!("ci");
    let plain = |world: &World| {
        token(world, |header, claims| {
            claims["iss"] = json!("ci");
            claims.as_object_mut().unwrap().shift_remove("scope");
            header.as_object_mut().unwrap().shift_remove("typ");
            header["kid"] = json!("whatever");
        })
    };
    let mut world = world_with(&issuer);
    let text = plain(&world);
    assert_eq!(bring(&mut world, "/api/x", &text).code(), (401, "invalid_token"));
    issuer["kind"] = json!("jwt");
    let mut world = world_with(&issuer);
    assert_passes(&bring(&mut world, "/api/x", &text));
    let id_token = token(&world, |_, claims| {
        claims["iss"] = json!("ci");
        claims["nonce"] = json!("n");
    });
    assert_eq!(bring(&mut world, "/api/x", &id_token).code(), (401, "invalid_token"));
}

/// A projected token, as Kubernetes 1.30 writes it.
fn pod(world: &World, change: impl Fn(&mut Value)) -> String {
    token(world, |header, claims| {
        header.as_object_mut().unwrap().shift_remove("typ");
        *claims = json!({
            "aud": [AUDIENCE], "exp": world.now.as_secs() + 3607, "iat": world.now.as_secs(), "iss": PARTNERS,
            "jti": "6f2c", "kubernetes.io": {
                "namespace": "shop", "node": { "name": "node-1", "uid": "a" },
                "pod": { "name": "cart-5d9", "uid": "b" }, "serviceaccount": { "name": "cart", "uid": "c" },
            },
            "nbf": world.now.as_secs(), "sub": "system:serviceaccount:shop:cart",
        });
        change(claims);
    })
}

#[test]
fn kubernetes_service_accounts_are_admitted_by_namespace_and_name() {
    let mut issuer = sources()[1].clone();
    issuer["kind"] = json!("kubernetes_service_account");
    let mut world = world_with(&issuer);
    let cart = pod(&world, |_| ());
    assert_passes(&bring(&mut world, "/pods/x", &cart));
    let named = |namespace: &str, name: &str| {
        let sub = format!("system:serviceaccount:{namespace}:{name}");
        let (namespace, name) = (json!(namespace), json!(name));
        pod(&world, move |claims| {
            claims["kubernetes.io"]["namespace"] = namespace.clone();
            claims["kubernetes.io"]["serviceaccount"]["name"] = name.clone();
            claims["sub"] = json!(sub);
        })
    };
    let (other_namespace, other_name) = (named("default", "cart"), named("shop", "other"));
    for other in [other_namespace, other_name] {
        assert_eq!(bring(&mut world, "/pods/x", &other).code(), (403, "not_allowed"));
        assert_passes(&bring(&mut world, "/api/x", &other));
    }
    type Change = fn(&mut Value);
    let odd: [Change; 4] = [
        |claims| claims["sub"] = json!("system:serviceaccount:shop:other"),
        |claims| claims["sub"] = json!("alice"),
        |claims| claims["kubernetes.io"] = json!("shop"),
        |claims| claims["kubernetes.io"]["serviceaccount"] = json!({ "uid": "c" }),
    ];
    for change in odd {
        let odd = pod(&world, change);
        assert_eq!(bring(&mut world, "/api/x", &odd).code(), (401, "invalid_token"));
    }
    // An access token of the same issuer is not a service account token.
    let other = token(&world, |_, _| ());
    assert_eq!(bring(&mut world, "/api/x", &other).code(), (401, "invalid_token"));
}

#[test]
fn conditions_of_a_token_issuer_apply_in_addition_to_the_rules() {
    let mut issuer = sources()[0].clone();
    issuer["allow"] = json!({ "claims": { "team": ["a"] } });
    let mut world = world_with(&issuer);
    let (a, b) = (token(&world, |_, c| c["team"] = json!("a")), token(&world, |_, c| c["team"] = json!("b")));
    assert_passes(&bring(&mut world, "/api/x", &a));
    assert_eq!(bring(&mut world, "/api/x", &b).code(), (403, "not_allowed"));
    assert_eq!(bring(&mut world, "/staff/x", &a).code(), (403, "other_provider"));
}

#[test]
fn a_token_of_the_token_cookie_is_forwarded_as_authorization() {
    let settings = [("token_cookie", json!("token")), ("authorization", json!("access_token"))];
    let mut world = world_and(&sources()[0], &settings);
    let good = token(&world, |_, _| ());
    let cookie = format!("token={good}");
    for forged in [None, Some("Basic YTpi")] {
        let mut headers = vec![(":method", "GET"), (":path", "/api/x"), ("cookie", cookie.as_str())];
        headers.extend(forged.map(|value| ("authorization", value)));
        let outcome = world.send(&headers);
        assert_passes(&outcome);
        let Outcome::Forwarded { headers, .. } = outcome else { return };
        let sent: Vec<_> = headers.iter().filter(|(name, _)| name == "authorization").collect();
        assert_eq!(sent, [&("authorization".to_owned(), format!("Bearer {good}"))]);
    }
}

#[test]
fn the_token_cookie_is_used_without_header_or_session() {
    let mut world = world_and(&sources()[0], &[("token_cookie", json!("token"))]);
    let good = token(&world, |_, _| ());
    let get = |world: &mut World, path: &str, more: &[(&str, &str)]| {
        let mut headers = vec![(":method", "GET"), (":path", path)];
        headers.extend_from_slice(more);
        world.send(&headers)
    };
    let cookie = |token: &str| format!("a=b; token={token}; c=d");
    assert_passes(&get(&mut world, "/api/x", &[("cookie", &cookie(&good))]));
    assert_passes(&get(&mut world, "/page", &[("cookie", &cookie(&good))]));
    // The header takes precedence; a cookie that is repeated or malformed is refused.
    let both = [("cookie", cookie(&good)), ("authorization", "Bearer bad".to_owned())];
    let both = both.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(get(&mut world, "/api/x", &both).code(), (401, "invalid_token"));
    let twice = format!("token={good}; token={good}");
    assert_eq!(get(&mut world, "/api/x", &[("cookie", &twice)]).code(), (400, "bearer_malformed"));
    assert_eq!(get(&mut world, "/api/x", &[("cookie", "token=a b")]).code(), (400, "bearer_malformed"));
    assert_eq!(get(&mut world, "/api/x", &[("cookie", "token=")]).code(), (401, "token_required"));
    // Never from a query.
    assert_eq!(get(&mut world, &format!("/api/x?access_token={good}"), &[]).code(), (401, "token_required"));
    // A page load with an invalid token gets a page with a sign-in link, and a session takes precedence over the token.
    let page = [("cookie", "token=bad"), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];
    let reply = get(&mut world, "/page", &page).reply();
    assert_eq!((reply.status, header(&reply, "content-type")), (401, Some("text/html; charset=utf-8")));
    assert!(String::from_utf8_lossy(&reply.body).contains("/oauth2/start?rd=%2Fpage"));
    world.sign_in("/page");
    let outcome = get(&mut world, "/page", &[("cookie", "token=bad")]);
    assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. }), "{outcome:?}");
    // On an optional path an invalid cookie is ignored, but an invalid header is refused.
    world.jar.clear();
    for cookie in ["token=bad", "token=a b", twice.as_str()] {
        let outcome = get(&mut world, "/optional", &[("cookie", cookie)]);
        assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Public, .. }), "{outcome:?}");
    }
    assert_eq!(bring(&mut world, "/optional", "bad").code(), (401, "invalid_token"));
    // Without `token_cookie` it is a cookie like any other.
    let mut world = world_with(&sources()[0]);
    assert_eq!(get(&mut world, "/api/x", &[("cookie", &cookie(&good))]).code(), (401, "token_required"));
    assert!(location(&world.visit("/page").reply()).starts_with(ISSUER));
}
