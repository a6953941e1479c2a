//! Programs bring tokens of issuers that nobody signs in at, wherever their keys are from.

use std::thread;

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Answer, CLIENT_ID, Endpoint, Fault, Gate, IdToken, Issuer, Signing},
    keys::Algorithm,
    process::{until, until_everywhere},
    upstream::MARK,
    user_agent::Outgoing,
    world::{World, assert_page, assert_program_refused, assert_sign_in},
};

/// For whom their tokens are.
const API: &str = "https://api.example.com";

/// Where keys may be from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    Discovered,
    AtJwksUri,
    Inline,
    /// All but one: it takes four.
    Pem,
    /// That one, for Ed25519.
    OnePem,
}

impl Keys {
    const ALL: [Self; 4] = [Self::Discovered, Self::AtJwksUri, Self::Inline, Self::Pem];

    /// The element of `token_issuers`.
    fn entry(self, issuer: &Issuer) -> Value {
        let mut entry = json!({"issuer": issuer.url(), "audiences": [API], "timeout_ms": 10_000});
        match self {
            Self::Discovered => {}
            Self::AtJwksUri => entry["jwks_uri"] = json!(format!("{}{}", issuer.url(), Endpoint::Jwks.path())),
            Self::Inline => entry["jwks"] = json!(issuer.jwks().to_string()),
            Self::Pem => entry["public_keys"] = json!(issuer.pems()[..4]),
            Self::OnePem => entry["public_keys"] = json!(issuer.pems()[4..]),
        }
        entry
    }

    /// Which of its documents are needed.
    const fn fetched(self) -> [usize; 2] {
        match self {
            Self::Discovered => [1, 1],
            Self::AtJwksUri => [0, 1],
            Self::Inline | Self::Pem | Self::OnePem => [0, 0],
        }
    }

    /// Whether what is signed with this algorithm can be verified.
    fn verify(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Discovered | Self::AtJwksUri | Self::Inline => true,
            Self::Pem => algorithm != Algorithm::EdDsa,
            Self::OnePem => algorithm == Algorithm::EdDsa,
        }
    }
}

fn rules() -> Value {
    json!([
        {"prefix": "/public", "access": "public"},
        {"path": "/staff/*", "access": "required", "providers": ["default"]},
        {"path": "/write/*", "access": "bearer", "scopes": ["write"]},
        {"path": "/handed/*", "access": "bearer", "authorization": "access_token"},
        {"path": "/api/*", "access": "bearer"},
    ])
}

/// With the partners as an issuer of tokens whose keys are from there.
fn world(keys: Keys, change: impl FnOnce(&mut Value)) -> World {
    let world = world_of(Issuer::another(), keys, change);
    world.until_ready();
    world
}

fn world_of(partners: Issuer, keys: Keys, change: impl FnOnce(&mut Value)) -> World {
    let entry = keys.entry(&partners);
    World::among(Issuer::start(), partners, |setup| {
        let document = &mut setup.configuration;
        document["token_issuers"] = json!([entry]);
        document["rules"] = rules();
        document["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
        change(document);
    })
}

fn with(path: &str, token: &str) -> Outgoing {
    Outgoing::new("GET", path).header("authorization", format!("Bearer {token}"))
}

#[track_caller]
fn send(world: &World, path: &str, token: &str) -> Response {
    world.send(&with(path, token)).expect("an answer")
}

/// Checks that both workers let it pass, and tell the app whose word it is.
#[track_caller]
fn assert_passes(world: &World, path: &str, token: &str, user: &str) {
    for _ in 0..6 {
        let response = send(world, path, token);
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
        let seen = world.upstream.last().headers;
        assert_eq!(
            (seen.text("x-forwarded-user").as_deref(), seen.text("x-issuer")),
            (Some(user), Some(world.partners.url()))
        );
    }
}

/// Checks that it is refused, and that the same worker goes on to let a good one pass.
#[track_caller]
fn assert_refused(world: &World, path: &str, token: &str, expected: (u16, &str), what: &str) {
    let before = world.upstream.count();
    let good = world.partners.access_token(API, |_| {});
    let answers = world.in_a_row(&[with(path, token), with("/api/x", &good)]);
    let [refused, passed] = &answers[..] else { panic!("not two answers") };
    assert_eq!((refused.status, refused.code().as_deref()), (expected.0, Some(expected.1)), "{what}: {refused:?}");
    assert_eq!((refused.location(), refused.set_cookies()), (None, vec![]), "{what}");
    assert!(passed.status == 200 && passed.headers.has(MARK), "{what}: {passed:?}\n{}", world.log());
    world.upstream.assert_saw_nothing_since(before + 1, what);
}

/// Checks that nobody lets it pass, where no other is good either.
#[track_caller]
fn assert_bad(world: &World, token: &str, what: &str) {
    let before = world.upstream.count();
    for _ in 0..6 {
        let response = send(world, "/api/x", token);
        assert_eq!((response.status, response.code().as_deref()), (401, Some("invalid_token")), "{what}: {response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, what);
}

/// How often its metadata and its keys were asked for.
fn fetched(issuer: &Issuer) -> [usize; 2] {
    [Endpoint::Discovery, Endpoint::Jwks].map(|endpoint| issuer.requests(endpoint).len())
}

#[test]
fn tokens_of_every_algorithm_pass_wherever_the_keys_are_from() {
    for keys in [&Keys::ALL[..], &[Keys::OnePem]].concat() {
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
        let world = world_of(partners, keys, |_| {});
        world.until_ready();
        for algorithm in Algorithm::ALL {
            let sign = |token: &mut IdToken| {
                token.signing = Signing::Published(algorithm);
                token.set("sub", algorithm.name());
            };
            let token = world.partners.access_token(API, sign);
            if !keys.verify(algorithm) {
                assert_bad(&world, &token, "of a key that is not there");
                continue;
            }
            assert_passes(&world, "/write/x", &token, algorithm.name());
            let spoilt = world.partners.access_token(API, |token| {
                sign(token);
                token.finish = |compact| compact.replacen(".ey", ".ez", 1);
            });
            assert_bad(&world, &spoilt, algorithm.name());
        }
        // One fetch for both workers, of what is needed, and nothing more of it.
        assert_eq!(fetched(&world.partners), keys.fetched(), "{keys:?}");
        assert_eq!(world.partners.all_requests().len(), keys.fetched().iter().sum::<usize>(), "{keys:?}");
    }
}

#[test]
fn every_other_token_is_refused_wherever_the_keys_are_from() {
    for keys in Keys::ALL {
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
            ("over", |token| token.set("exp", token.issued_at() - 61)),
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
        // And where a rule names a provider, the others are nobody.
        let good = world.partners.access_token(API, |_| {});
        assert_refused(&world, "/staff/x", &good, (403, "not_allowed"), "not a provider's");
        let reader = world.partners.access_token(API, |token| token.set("scope", "read"));
        assert_refused(&world, "/write/x", &reader, (403, "insufficient_scope"), "without the scope");
        assert_eq!(send(&world, "/staff/x", &world.issuer.access_token(API, |_| {})).status, 200);
        // An ID token as somebody got it by signing in is none for programs, here or there.
        world.signed_in();
        let id_token = world.issuer.id_tokens().pop().expect("an ID token");
        assert_refused(&world, "/api/x", &id_token, (401, "invalid_token"), "an ID token");
    }
}

#[test]
fn keys_change_under_load_with_one_fetch_and_everybody_passes() {
    for keys in [Keys::Discovered, Keys::AtJwksUri] {
        let world = world(keys, |_| {});
        let many =
            |count: usize| -> Vec<String> { (0..count).map(|_| world.partners.access_token(API, |_| {})).collect() };
        // All at once; the keys come when so many are held, or one too many.
        let burst = |tokens: &[String], waiting: usize| {
            let gate = Gate::default();
            world.partners.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Behind(gate.clone())));
            let requests: Vec<_> =
                tokens.iter().map(|token| (world.url("/write/x"), with("/write/x", token))).collect();
            let (busy, seen) = (world.metric("refused_busy"), world.upstream.count() + tokens.len() - waiting);
            thread::scope(|scope| {
                let answers = scope.spawn(|| world.browser().at_once(&requests));
                let decided = || world.held() + world.metric("refused_busy") - busy;
                let all_came = || world.upstream.count() == seen && decided() == waiting as u64;
                until("the last of them", || all_came().then_some(()));
                gate.open();
                world.partners.behave();
                answers.join().expect("answers")
            })
        };
        let old = many(30);
        // Keys of the very second in which they were fetched could still be those from before.
        world.advance(2);
        world.partners.next_p256(true);
        // As many of the new key as one worker holds, so that it does not matter which worker they come to.
        for answer in burst(&[old, many(16)].concat(), 16) {
            assert_eq!((answer.status, answer.headers.has(MARK)), (200, true), "{answer:?}");
        }
        assert_eq!(fetched(&world.partners), [keys.fetched()[0], 2], "one at the start, and one for the new key");

        // Those that are too many for both are told to come again, and then pass.
        world.advance(61);
        world.partners.next_p256(true);
        let new = many(60);
        let answers = burst(&new, new.len());
        let passed = answers.iter().filter(|answer| answer.status == 200).count();
        let busy = answers.iter().filter(|answer| answer.code().as_deref() == Some("busy")).count();
        assert!(passed + busy == new.len() && passed >= 16, "{answers:#?}");
        assert_eq!(fetched(&world.partners), [keys.fetched()[0], 3], "one more for the newer key");
        let answers = world.in_a_row(&new.iter().map(|token| with("/write/x", token)).collect::<Vec<_>>());
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
    }
    // Keys that are configured are those, whatever the issuer does.
    for keys in [Keys::Inline, Keys::Pem] {
        let world = world(keys, |_| {});
        let good = world.partners.access_token(API, |_| {});
        world.partners.next_p256(false);
        assert_bad(&world, &world.partners.access_token(API, |_| {}), "a key that is not configured");
        assert_passes(&world, "/api/x", &good, "robot");
        assert_eq!(fetched(&world.partners), [0, 0]);
    }
}

#[test]
fn an_issuer_that_is_down_keeps_nobody_else_waiting_and_comes_back() {
    for keys in [Keys::Discovered, Keys::AtJwksUri] {
        let mut partners = Issuer::another();
        partners.down();
        let mut world =
            world_of(partners, keys, |document| document["providers"][0]["access_token_audiences"] = json!([API]));
        let token = world.partners.access_token(API, |_| {});
        until_everywhere("the provider", || world.browser().get(&world.url("/page")).location().is_some());
        // What waits does so by the clock.
        world.stop_clock();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| send(&world, "/api/x", &token));
            world.until_held(1);
            // People sign in, and tokens of others pass, as if nothing were.
            world.signed_in();
            assert_eq!(send(&world, "/api/x", &world.issuer.access_token(API, |_| {})).status, 200);
            assert_program_refused(&world.browser().fetch(&world.url("/page")), "no session");
            world.until_held(1);
            world.advance(5);
            let refused = waiting.join().expect("an answer");
            assert_eq!((refused.status, refused.code().as_deref()), (503, Some("provider_not_ready")), "{refused:?}");
            assert!(refused.headers.has("retry-after"), "{refused:?}");
        });
        world.let_clock_go_on();
        let others =
            world.upstream.seen().iter().all(|seen| seen.headers.text("x-issuer") != Some(world.partners.url()));
        assert!(others, "{:#?}", world.upstream.seen());
        world.partners.up();
        until_everywhere("a token that passes", || send(&world, "/api/x", &token).status == 200);
        assert_passes(&world, "/api/x", &token, "robot");
        // Its keys are kept while it is away again.
        world.partners.down();
        assert_passes(&world, "/api/x", &world.partners.access_token(API, |_| {}), "robot");
    }
    // Configured keys need nobody.
    for keys in [Keys::Inline, Keys::Pem] {
        let partners = Issuer::another();
        let entry = keys.entry(&partners);
        let mut world = World::among(Issuer::start(), partners, |setup| {
            setup.configuration["token_issuers"] = json!([entry]);
            setup.configuration["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
        });
        world.partners.down();
        world.issuer.down();
        world.restart(|_| {});
        assert_passes(&world, "/page", &world.partners.access_token(API, |_| {}), "robot");
    }
}

#[test]
fn a_token_in_a_cookie_counts_where_there_is_nothing_better() {
    let world = world(Keys::Discovered, |document| document["token_cookie"] = json!("token"));
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
    // What is above it, twice there, or no token at all, is refused, and never another is tried.
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
    // A person whose token is over is shown a way in; a session counts before the cookie.
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
fn an_issuer_that_people_sign_in_at_too_takes_no_id_token_from_programs() {
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
    assert_bad(&world, &id_token, "an ID token for the API too");
    let good = world.issuer.access_token(API, |_| {});
    assert_eq!(send(&world, "/page", &good).status, 200);
}
