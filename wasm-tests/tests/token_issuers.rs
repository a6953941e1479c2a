//! Access tokens of token issuers, at which no user signs in: every source of keys, and tokens in a cookie.

use serde_json::json;
use wasm_tests::{
    api_client::{API, with_token},
    issuer::{Answer, CLIENT_ID, Endpoint, Fault, IdToken, Issuer, Signing},
    keys::Algorithm,
    token_issuer::{KeySource, assert_invalid, assert_passes, fetches, send, world, world_with_issuer},
    upstream::MARK,
    user_agent::Outgoing,
    world::{World, assert_page, assert_sign_in},
};

/// Checks that it is refused, and that the same worker goes on to let a good one pass.
#[track_caller]
fn assert_refused(world: &World, path: &str, token: &str, expected: (u16, &str), what: &str) {
    let before = world.upstream.count();
    let good = world.partners.access_token(API, |_| {});
    let answers = world.in_a_row(&[with_token(path, token), with_token("/api/x", &good)]);
    let [refused, passed] = &answers[..] else { panic!("not two answers") };
    assert_eq!((refused.status, refused.code().as_deref()), (expected.0, Some(expected.1)), "{what}: {refused:?}");
    assert_eq!((refused.location(), refused.set_cookies()), (None, vec![]), "{what}");
    assert!(passed.status == 200 && passed.headers.has(MARK), "{what}: {passed:?}\n{}", world.log());
    world.upstream.assert_saw_nothing_since(before + 1, what);
}

#[test]
fn tokens_of_every_algorithm_pass_wherever_the_keys_are_from() {
    for keys in [&KeySource::ALL[..], &[KeySource::OnePem]].concat() {
        let partners = Issuer::another();
        // What Kubernetes publishes of itself, and no more.
        partners.misbehave(Fault::Answer(
            Endpoint::Discovery,
            Answer::Edited(|metadata| {
                *metadata = json!({
                    "issuer": metadata["issuer"], "jwks_uri": metadata["jwks_uri"],
                    "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                });
            }),
        ));
        let world = world_with_issuer(partners, keys, |_| {});
        world.until_ready();
        for algorithm in Algorithm::ALL {
            let sign = |token: &mut IdToken| {
                token.signing = Signing::Published(algorithm);
                token.set("sub", algorithm.name());
            };
            let token = world.partners.access_token(API, sign);
            if !keys.verify(algorithm) {
                assert_invalid(&world, &token, "of a key that is not configured");
                continue;
            }
            assert_passes(&world, "/write/x", &token, algorithm.name());
            let spoilt = world.partners.access_token(API, |token| {
                sign(token);
                token.finish = |compact| compact.replacen(".ey", ".ez", 1);
            });
            assert_invalid(&world, &spoilt, algorithm.name());
        }
        // One fetch for both workers, of what is needed, and nothing more of it.
        assert_eq!(fetches(&world.partners), keys.fetches(), "{keys:?}");
        assert_eq!(world.partners.all_requests().len(), keys.fetches().iter().sum::<usize>(), "{keys:?}");
    }
}

#[test]
fn every_other_token_is_refused_wherever_the_keys_are_from() {
    for keys in KeySource::ALL {
        let world = world(keys, |document| document["providers"][0]["access_token_audiences"] = json!([API]));
        type Change = fn(&mut IdToken);
        let cases: [(&str, Change); 14] = [
            ("an ID token by its nonce", |token| token.set("nonce", "n")),
            ("an ID token by its hash", |token| token.set("at_hash", "x")),
            ("what may be an ID token", |token| {
                token.remove("scope");
                token.remove("client_id");
                token.header.insert("typ".to_owned(), json!("JWT"));
            }),
            ("a logout token", |token| token.set("events", json!({}))),
            ("another kind by its type", |token| drop(token.header.insert("typ".to_owned(), json!("logout+jwt")))),
            ("an unknown issuer", |token| token.set("iss", "https://evil.example")),
            ("an issuer spelt otherwise", |token| token.set("iss", format!("{}/", token.text("iss")))),
            ("two issuers", |token| token.set("iss", json!([token.text("iss"), "https://evil.example"]))),
            ("another audience", |token| token.set("aud", "https://other.example.com")),
            ("expired", |token| token.set("exp", token.issued_at() - 61)),
            ("not signed", |token| token.signing = Signing::None),
            ("signed with the public key", |token| {
                token.signing = Signing::Hmac(token.public.pem.clone().into_bytes())
            }),
            ("of a key that is not published", |token| token.signing = Signing::Unpublished),
            ("of a key in its own header", |token| {
                token.header.insert("jwk".to_owned(), serde_json::from_str(&token.public.jwk).expect("a key"));
                token.header.insert("jku".to_owned(), json!("https://evil.example/jwks"));
                token.signing = Signing::Unpublished;
            }),
        ];
        for (what, change) in cases {
            let token = world.partners.access_token(API, change);
            assert_refused(&world, "/api/x", &token, (401, "invalid_token"), what);
        }
        // Each signs for itself alone: the provider as the partners, and they as the provider.
        let (staff, partners) = (world.issuer.url(), world.partners.url());
        let forged = world.issuer.access_token(API, |token| token.set("iss", partners.as_str()));
        assert_refused(&world, "/api/x", &forged, (401, "invalid_token"), "the provider as the partners");
        let forged = world.partners.access_token(API, |token| token.set("iss", staff.as_str()));
        assert_refused(&world, "/staff/x", &forged, (401, "invalid_token"), "the partners as the provider");
        // A rule that names a provider refuses tokens of the others.
        let good = world.partners.access_token(API, |_| {});
        assert_refused(&world, "/staff/x", &good, (403, "other_provider"), "not a provider's");
        let reader = world.partners.access_token(API, |token| token.set("scope", "read"));
        assert_refused(&world, "/write/x", &reader, (403, "insufficient_scope"), "without the scope");
        assert_eq!(send(&world, "/staff/x", &world.issuer.access_token(API, |_| {})).status, 200);
        // The ID token of a sign-in is no access token.
        world.signed_in();
        let id_token = world.issuer.id_tokens().pop().expect("an ID token");
        assert_refused(&world, "/api/x", &id_token, (401, "invalid_token"), "an ID token");
    }
}

#[test]
fn the_token_cookie_is_used_without_header_or_session() {
    let world = world(KeySource::Discovered, |document| document["token_cookie"] = json!("token"));
    let good = world.partners.access_token(API, |_| {});
    let get = |path: &str, cookie: &str| Outgoing::new("GET", path).header("cookie", cookie);
    let send = |request: &Outgoing| world.send(request).expect("an answer");
    for path in ["/api/x", "/page"] {
        for _ in 0..4 {
            let response = send(&get(path, &format!("a=b; token={good}; c=d")));
            assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{path}: {response:?}");
            let seen = world.upstream.last().headers;
            assert_eq!(seen.text("x-forwarded-user").as_deref(), Some("robot"), "{path}");
        }
    }
    // An app that wants the token in the header gets it there, in place of what a client put beside the cookie.
    let send_beside = |path: &str| {
        let response = send(&get(path, &format!("token={good}")).header("authorization", "Basic YTpi"));
        assert_eq!(response.status, 200, "{path}: {response:?}");
        world.upstream.last().headers.text("authorization")
    };
    assert_eq!(send_beside("/api/x").as_deref(), Some("Basic YTpi"));
    assert_eq!(send_beside("/handed/x"), Some(format!("Bearer {good}")));
    // A header, a second cookie or a malformed one is decided by itself: no other token is tried after it.
    let bad = "Bearer bad";
    for (request, status, code) in [
        (get("/api/x", &format!("token={good}")).header("authorization", bad), 401, "invalid_token"),
        (get("/api/x", &format!("token={good}; token={good}")), 400, "bearer_malformed"),
        (get("/api/x", &format!("token={good}")).header("cookie", format!("token={good}")), 400, "bearer_malformed"),
        (get("/api/x", "token=a b"), 400, "bearer_malformed"),
        (get("/api/x", "token=\u{ff}"), 400, "bearer_malformed"),
        (get("/api/x", "token="), 401, "token_required"),
        (get("/api/x", &format!("Token={good}")), 401, "token_required"),
        (get(&format!("/api/x?token={good}&access_token={good}"), "a=b"), 401, "token_required"),
        (get("/page", "token=bad"), 401, "invalid_token"),
    ] {
        let before = world.upstream.count();
        let response = send(&request);
        assert_eq!((response.status, response.code().as_deref()), (status, Some(code)), "{request:?}: {response:?}");
        world.upstream.assert_saw_nothing_since(before, code);
    }
    // A user with an expired token in the cookie gets a page with a sign-in link; a session counts before that cookie.
    let browser = world.browser();
    browser.jar().take("127.0.0.1", "/", b"token=bad; Path=/");
    let page = browser.get(&world.url("/page"));
    assert_page(&page, &[401], "a token that is over");
    assert!(page.text().contains("/oauth2/start?rd=%2Fpage"), "{}", page.text());
    let begun = assert_sign_in(&browser.get(&world.url("/oauth2/start?rd=/page")), &world);
    assert_eq!(browser.get(&world.answer(&browser, &begun)).status, 303);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert_eq!(world.upstream.last().headers.text("x-forwarded-user").as_deref(), Some("alice"));
    let tokens_alone = browser.get(&world.url("/api/x"));
    assert_eq!(tokens_alone.code().as_deref(), Some("invalid_token"));
}

#[test]
fn an_id_token_is_refused_as_an_access_token() {
    let issuer = Issuer::start();
    let entry = json!({"issuer": issuer.url(), "audiences": [API, "https://other.example.com"], "kind": "jwt"});
    let world = World::around(issuer, |setup| {
        setup.configuration["token_issuers"] = json!([entry]);
        setup.configuration["providers"][0]["trusted_audiences"] = json!([API]);
    });
    world.until_ready();
    world.issuer.misbehave(Fault::IdToken(|token| {
        token.set("aud", json!([CLIENT_ID, API]));
        token.set("azp", CLIENT_ID);
    }));
    world.signed_in();
    let id_token = world.issuer.id_tokens().pop().expect("an ID token");
    assert_invalid(&world, &id_token, "an ID token for the API too");
    let good = world.issuer.access_token(API, |_| {});
    assert_eq!(send(&world, "/page", &good).status, 200);
}
