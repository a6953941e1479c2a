//! Programs bring tokens: who passes with which, how every other one is refused, and that nobody else notices.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    http2::PROTOCOL,
    issuer::{Answer, Endpoint, Fault, Gate, IdToken, Issuer, Signing},
    keys::{Algorithm, sha256},
    process::{until, until_everywhere},
    provider::client,
    site::{ALICE, Site},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{
        PUBLIC, SESSION_COOKIE, World, assert_refused as assert_refused_as, assert_sign_in, assert_signed_in,
        parameter, seen_as,
    },
};

/// For whom access tokens are.
const API: &str = "https://api.example.com";
/// A token that the operator has listed.
const LISTED: &str = "vst_canary-0123456789abcdef0123456789abcdef";

fn digest(token: &str) -> String {
    sha256(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes static tokens and access tokens from now on.
fn take_tokens(document: &mut Value) {
    document["providers"][0]["access_token_audiences"] = json!([API]);
    document["static_tokens"] = json!([
        {"name": "ci", "sha256": digest(LISTED), "claims": {"groups": ["machines"], "scp": ["read", "write"]}},
        {"name": "old", "sha256": digest("over-for-long"), "expires_at": 1_000_000_000},
    ]);
    document["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/optional", "access": "optional"},
        {"path": "/api/write", "access": "bearer", "scopes": ["write", "read"]},
        {"path": "/api/machines", "access": "bearer", "allow": {"groups": ["machines"]}, "name": "machines"},
        {"prefix": "/api", "access": "bearer"},
        {"path": "/closed", "access": "deny"},
    ]);
}

fn world() -> World {
    let world = World::with(take_tokens);
    world.until_ready();
    world
}

fn with(path: &str, token: &str) -> Outgoing {
    Outgoing::new("GET", path).header("authorization", format!("Bearer {token}"))
}

/// Sends what must pass, and checks whom the app sees.
#[track_caller]
fn assert_passes(world: &World, request: &Outgoing, user: &str) {
    let response = world.send(request).unwrap_or_else(|| panic!("no answer to {user}"));
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [user.as_bytes()]);
}

/// Sends what must be refused, and then, on the same connection and so to the same worker, what must pass.
#[track_caller]
fn assert_refused(world: &World, request: &Outgoing, status: u16, code: &str, challenge: Option<&str>) {
    let before = world.upstream.count();
    let normal = with("/api/x", LISTED);
    // Envoy closes the connection after a 400; then every worker must pass it.
    let responses = if status == 400 {
        let mut responses = world.in_a_row(std::slice::from_ref(request));
        responses.extend((0..10).map(|_| world.send(&normal).expect("an answer")));
        responses
    } else {
        world.in_a_row(&[request.clone(), normal])
    };
    let (refused, passed) = responses.split_first().expect("an answer");
    assert_eq!((refused.status, refused.code().as_deref()), (status, Some(code)), "{refused:?}\n{}", world.log());
    let expected = challenge.map(|rest| format!("Bearer realm=\"{}\"{rest}", world.url("")));
    assert_eq!(refused.headers.text("www-authenticate"), expected, "{refused:?}");
    assert_eq!(refused.location(), None);
    assert_eq!(refused.set_cookies(), [""; 0]);
    assert_eq!(refused.headers.text("content-type").as_deref(), Some("application/json"), "{refused:?}");
    let has_passed = |response: &Response| response.status == 200 && response.headers.has(MARK);
    assert!(passed.iter().all(has_passed), "{passed:?}");
    world.upstream.assert_saw_nothing_since(before + passed.len(), code);
    assert!(world.upstream.seen().iter().skip(before).all(|seen| seen.headers.all("x-forwarded-user") == [b"ci"]));
}

#[track_caller]
fn assert_bad_token(world: &World, token: &str) {
    assert_refused(world, &with("/api/x", token), 401, "invalid_token", Some(", error=\"invalid_token\""));
}

#[test]
fn listed_tokens_and_access_tokens_pass_wherever_a_session_would_and_where_none_would() {
    let world = world();
    let robot = |token: &mut IdToken| {
        token.set("email", "robot@example.com");
        token.set("preferred_username", "robot.one");
        token.set("groups", json!(["machines", "night"]));
    };
    let access = world.issuer.access_token(API, robot);
    for path in ["/api/x", "/api/write", "/api/machines", "/page", "/optional/x"] {
        let forged =
            |request: Outgoing| request.header("x-forwarded-user", "mallory").header("X_Forwarded_Email", "m@x");
        assert_passes(&world, &forged(with(path, LISTED)), "ci");
        let seen = world.upstream.last();
        assert_eq!(seen.headers.all("x-forwarded-groups"), [b"machines"], "{path}");
        assert!(!seen.headers.has("x-forwarded-email") && !seen.headers.has("x_forwarded_email"), "{seen:?}");
        // The header goes on to the app as it came.
        assert_eq!(seen.headers.text("authorization"), Some(format!("Bearer {LISTED}")));

        assert_passes(&world, &forged(with(path, &access)), "robot");
        let seen = world.upstream.last();
        for (name, value) in [
            ("x-forwarded-email", "robot@example.com"),
            ("x-forwarded-preferred-username", "robot.one"),
            ("x-forwarded-groups", "machines,night"),
            ("authorization", &format!("Bearer {access}")),
        ] {
            assert_eq!(seen.headers.all(name), [value.as_bytes()], "{path}");
        }
    }
    // Where everybody may pass nobody looks, and a session is as good as ever where no rule wants a token.
    world.send(&with(PUBLIC, "nonsense")).expect("an answer");
    assert!(!world.upstream.last().headers.has("x-forwarded-user"));
    let (browser, session) = world.signed_in();
    assert!(browser.get(&world.url("/page")).headers.has(MARK));
    // The token says who it is, not the cookie beside it, which the app does not get.
    assert_passes(&world, &with("/page", LISTED).header("cookie", format!("{SESSION_COOKIE}={session}; a=1")), "ci");
    assert_eq!(world.upstream.last().headers.all("cookie"), [b"a=1"]);
    for line in ["bearer ", "BEARER ", "bEaReR    "] {
        assert_passes(&world, &Outgoing::new("GET", "/api/x").header("authorization", format!("{line}{LISTED}")), "ci");
    }
    let body = "x".repeat(300_000);
    assert_passes(&world, &with("/api/x", &access).method("POST").body(&body), "robot");
    assert_eq!(world.upstream.last().body.len(), body.len());

    let log = until("access log", || {
        let log = world.envoy.access_log();
        log.contains("POST /api/x").then_some(log)
    });
    for line in ["GET /api/machines 200 via_upstream ci", "GET /api/machines 200 via_upstream robot"] {
        assert!(log.lines().any(|found| found == line), "{line} is not in {log}");
    }
    assert!(log.lines().any(|found| found == format!("GET {PUBLIC} 200 via_upstream -")), "{log}");
    assert!(world.metric("permitted_bearer") >= 15);
    assert!(!log.contains(LISTED) && !world.log().contains(LISTED));
}

#[test]
fn tokens_signed_with_every_algorithm_pass() {
    let world = world();
    for algorithm in Algorithm::ALL {
        let sign = |token: &mut IdToken| {
            token.signing = Signing::Published(algorithm);
            token.set("sub", algorithm.name());
        };
        let token = world.issuer.access_token(API, sign);
        // Twice for both workers: the second time it is known.
        for _ in 0..6 {
            assert_passes(&world, &with("/api/write", &token), algorithm.name());
        }
        let spoilt = |token: &mut IdToken| {
            sign(token);
            token.finish = |compact| compact.replacen(".ey", ".ez", 1);
        };
        assert_bad_token(&world, &world.issuer.access_token(API, spoilt));
    }
}

#[test]
fn every_other_token_is_refused_as_rfc_6750_says() {
    let world = world();
    type Change = fn(&mut IdToken);
    let cases: [(&str, Change); 23] = [
        ("another issuer", |token| token.set("iss", "https://evil.example")),
        ("another audience", |token| token.set("aud", "https://other.example.com")),
        ("our client", |token| token.set("aud", wasm_tests::issuer::CLIENT_ID)),
        ("our client too, untyped", |token| {
            token.set("aud", json!([API, wasm_tests::issuer::CLIENT_ID]));
            token.header.insert("typ".to_owned(), json!("JWT"));
        }),
        ("no audience", |token| token.remove("aud")),
        ("over", |token| token.set("exp", token.issued_at() - 61)),
        ("without an end", |token| token.remove("exp")),
        ("not valid yet", |token| token.set("nbf", token.issued_at() + 600)),
        ("of the future", |token| token.set("iat", token.issued_at() + 600)),
        ("nobody's", |token| token.remove("sub")),
        ("of a subject that forges log lines", |token| token.set("sub", "robot\nGET /api/x 200 via_upstream alice")),
        ("an ID token by its nonce", |token| token.set("nonce", "n")),
        ("an ID token by its hash", |token| token.set("at_hash", "x")),
        ("bound to a key", |token| token.set("cnf", json!({"jkt": "x"}))),
        ("a logout token", |token| token.set("events", json!({}))),
        ("a logout token by its type", |token| drop(token.header.insert("typ".to_owned(), json!("logout+jwt")))),
        ("not signed", |token| token.signing = Signing::None),
        ("signed with the public key", |token| token.signing = Signing::Hmac(token.public.pem.clone().into_bytes())),
        ("signed with the client secret", |token| {
            token.signing = Signing::Hmac(wasm_tests::issuer::CLIENT_SECRET.as_bytes().to_vec());
        }),
        ("of a key that is not published", |token| token.signing = Signing::Unpublished),
        ("critical", |token| drop(token.header.insert("crit".to_owned(), json!(["exp"])))),
        ("with two subjects", |token| token.raw_claims = Some(token.with_members(r#""sub":"mallory""#))),
        ("of a key in its own header", |token| {
            token.header.insert("jku".to_owned(), json!("https://evil.example/jwks"));
            token.signing = Signing::Unpublished;
        }),
    ];
    for (what, change) in cases {
        // Shown where it fails.
        println!("{what}");
        assert_bad_token(&world, &world.issuer.access_token(API, change));
    }
    let good = world.issuer.access_token(API, |_| {});
    for token in [&LISTED.to_uppercase(), &LISTED[1..], "x", "a.b.c", "over-for-long", &format!("{good}=")] {
        assert_bad_token(&world, token);
    }
    // What a browser sends, HEAD and optional paths included, is answered alike.
    assert_bad_token(&world, "unknown");
    let invalid = Some(", error=\"invalid_token\"");
    let page = Outgoing::navigation("/page").header("authorization", "Bearer unknown");
    assert_refused(&world, &page, 401, "invalid_token", invalid);
    assert_refused(&world, &with("/optional/x", "unknown"), 401, "invalid_token", invalid);

    let reader = world.issuer.access_token(API, |token| token.set("scope", "read write:all"));
    let wanted = Some(", error=\"insufficient_scope\", scope=\"write read\"");
    assert_refused(&world, &with("/api/write", &reader), 403, "insufficient_scope", wanted);
    assert_refused(&world, &with("/api/machines", &reader), 403, "not_allowed", None);
    assert_refused(&world, &with("/closed", LISTED), 403, "denied", None);
    assert_refused(&world, &Outgoing::navigation("/api/x"), 401, "token_required", Some(""));
    let (_, session) = world.signed_in();
    let cookie = format!("{SESSION_COOKIE}={session}");
    let of_session = Outgoing::navigation("/api/x").header("cookie", &cookie);
    assert_refused(&world, &of_session, 401, "token_required", Some(""));
    assert_refused(&world, &with("/page", "unknown").header("cookie", &cookie), 401, "invalid_token", invalid);
    assert_passes(&world, &with("/api/x", &reader), "robot");
    assert!(
        world.log().contains("\"old\" has expired") && world.log().contains("it is no access token"),
        "{}",
        world.log()
    );
    let refused = world.metric("refused_invalid_token");
    assert!(refused >= 30, "{refused}");
}

#[test]
fn where_no_token_is_taken_none_passes_and_where_one_kind_is_the_other_does_not() {
    let world = World::start();
    let access = world.issuer.access_token(API, |_| {});
    for token in [LISTED, &access] {
        let response = world.send(&with("/page", token)).expect("an answer");
        assert_eq!((response.status, response.code().as_deref()), (401, Some("bearer_not_accepted")), "{response:?}");
        assert!(world.send(&with(PUBLIC, token)).expect("an answer").headers.has(MARK));
    }
    drop(world);
    let world = World::with(|document| {
        take_tokens(document);
        document["providers"][0].as_object_mut().expect("a provider").remove("access_token_audiences");
    });
    world.until_ready();
    assert_passes(&world, &with("/page", LISTED), "ci");
    assert_bad_token(&world, &world.issuer.access_token(API, |_| {}));
    assert!(world.upstream.seen().iter().all(|request| request.headers.text("authorization") != Some(access.clone())));
}

#[test]
fn hostile_bytes_in_authorization_are_refused_and_hurt_nobody() {
    let world = world();
    let line = |value: &[u8]| Outgoing::new("GET", "/api/x").header("authorization", value);
    let malformed = Some(", error=\"invalid_request\"");
    let long = [b"Bearer ".as_slice(), &[b'a'; 16 * 1024 + 1]].concat();
    let dots = [b"Bearer ".as_slice(), &[b'.'; 10_000]].concat();
    for value in [
        b"Bearer a b".as_slice(),
        b"Bearer a,b",
        b"Bearer a\tb",
        b"Bearer \xff\xfe",
        b"Bearer \"a\"",
        b"Bearer a;b",
        b"Bearer \xc3\xa9",
        b"Bearer  , ",
        b"Bearer realm=\"x\"",
        b"Bearer",
        b"Bearer ",
        b"Bearerx y",
        b"xBearer y",
        b"Basic YTpi, Bearer x",
        &long,
    ] {
        assert_refused(&world, &line(value), 400, "bearer_malformed", malformed);
    }
    for value in
        [dots.as_slice(), b"Bearer ..", b"Bearer ====", b"Bearer e30.e30.", b"Bearer e30.e30.e30", b"Bearer ~._-+/"]
    {
        assert_refused(&world, &line(value), 401, "invalid_token", Some(", error=\"invalid_token\""));
    }
    // Deep and wide JSON in a token's parts.
    for json in
        ["[".repeat(4000), format!("{{\"alg\":\"ES256\",\"a\":{}", "{\"a\":".repeat(900)), "{\"alg\":1}".to_owned()]
    {
        let part = wasm_tests::keys::base64url(json.as_bytes());
        assert_bad_token(&world, &format!("{part}.{part}.AAAA"));
    }
    assert_refused(&world, &line(b"Bearer\tx"), 401, "invalid_token", Some(", error=\"invalid_token\""));
    // No token: a line that does not name Bearer is no bearer token to any reader.
    for value in [b"Basic YTpi".as_slice(), b"DPoP x", b"Digest username=forbearer", b""] {
        assert_refused(&world, &line(value), 401, "token_required", Some(""));
        let page = Outgoing::new("GET", "/page").header("authorization", value);
        let before = world.upstream.count();
        let refused = world.send(&page).expect("an answer");
        assert_eq!((refused.status, refused.code().as_deref()), (401, Some("sign_in_required")), "{refused:?}");
        world.upstream.assert_saw_nothing_since(before, "no token");
    }
    // Two lines, folded lines, and other bytes that Envoy may refuse by itself: the app sees nothing, and we live on.
    let good = format!("Bearer {LISTED}");
    let before = world.upstream.count();
    for request in [
        line(good.as_bytes()).header("authorization", &good),
        line(good.as_bytes()).header("Authorization", "Bearer other"),
        line(good.as_bytes()).header("authorization", "Basic YTpi"),
        line(b"Basic YTpi").header("authorization", &good),
        line(format!("Bearer\r\n {LISTED} x").as_bytes()),
        line(format!("Bearer {LISTED}\r\n x").as_bytes()),
        line(format!("Bearer {LISTED}\0").as_bytes()),
        line(format!("Bearer {LISTED}\rx").as_bytes()),
        line(format!("{good}\x7f").as_bytes()),
        Outgoing::new("GET", "/api/x").header("authorization ", &good),
        Outgoing::new("GET", "/api/x").header("proxy-authorization", &good),
        Outgoing::new("GET", "/api/x").header("x-authorization", &good),
        Outgoing::new("GET", format!("/api/x?access_token={LISTED}")),
        Outgoing::form("/api/x", &[("access_token", LISTED)]),
        Outgoing::new("GET", "/api/x")
            .header("cookie", format!("access_token={LISTED}; authorization=Bearer {LISTED}")),
    ] {
        if let Some(response) = world.send(&request) {
            assert!((400..500).contains(&response.status), "{request:?}: {response:?}");
        }
        world.upstream.assert_saw_nothing_since(before, "not one good token");
    }
    world.assert_serves();
    assert_passes(&world, &with("/api/x", LISTED), "ci");
    assert!(!world.log().contains(LISTED));
}

#[test]
fn keys_change_under_load_and_no_good_token_is_refused() {
    let world = world();
    let many = |count: usize| -> Vec<String> { (0..count).map(|_| world.issuer.access_token(API, |_| {})).collect() };
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let old = many(60);
    world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Late(Duration::from_millis(300))));
    // Keys of the very second in which they were fetched could still be those from before.
    world.advance(2);
    // Nobody is held for longer than five seconds: whoever still has no answer then is refused.
    let pass = |token: &String, what: &str| {
        let response = world.send(&with("/api/write", token)).expect("an answer");
        assert!(response.status == 200, "{what}: {response:?}");
        sent.fetch_add(1, Ordering::Relaxed);
    };
    // As often as there are old tokens, whatever else goes on.
    let load = || {
        let before = sent.load(Ordering::Relaxed);
        until("so many requests", || (sent.load(Ordering::Relaxed) >= before + 60).then_some(()));
    };
    thread::scope(|scope| {
        let clients: Vec<_> = old
            .chunks(15)
            .map(|tokens| {
                let (done, pass) = (&done, &pass);
                scope.spawn(move || {
                    for token in tokens.iter().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                        pass(token, "an old token");
                    }
                })
            })
            .collect();
        load();
        world.issuer.next_p256(true);
        let new = many(40);
        thread::scope(|inner| {
            for tokens in new.chunks(10) {
                let pass = &pass;
                inner.spawn(move || tokens.iter().for_each(|token| pass(token, "a new token")));
            }
        });
        load();
        done.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("a client"));
    });
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 2, "one at the start, and one for the new key");

    // Now the old keys are withdrawn. A token of theirs is good until the next keys are taken over, and then no more.
    world.advance(61);
    let withdrawn = many(1).remove(0);
    assert_passes(&world, &with("/api/x", &withdrawn), "robot");
    world.issuer.next_p256(false);
    assert_passes(&world, &with("/api/x", &withdrawn), "robot");
    assert_passes(&world, &with("/api/x", &many(1)[0]), "robot");
    // The other worker looks at what this one has once a second.
    until_everywhere("the end of the old keys", || {
        world.send(&with("/api/x", &withdrawn)).is_some_and(|answer| answer.status == 401)
    });
    for token in [&withdrawn, &old[0]] {
        assert_bad_token(&world, token);
    }
    for token in many(6) {
        assert_passes(&world, &with("/api/x", &token), "robot");
    }
}

#[test]
fn while_the_provider_is_down_access_tokens_wait_and_listed_ones_pass_at_once() {
    let mut issuer = Issuer::start();
    issuer.down();
    let mut world = World::around(issuer, |setup| take_tokens(&mut setup.configuration));
    let access = world.issuer.access_token(API, |_| {});
    // What waits does so by the clock.
    world.stop_clock();
    thread::scope(|scope| {
        for _ in 0..6 {
            let (world, access) = (&world, &access);
            scope.spawn(move || {
                let response = world.send(&with("/api/x", access)).expect("an answer");
                let told = (response.status, response.code(), response.headers.text("retry-after"));
                assert_eq!(told, (503, Some("provider_not_ready".to_owned()), Some("5".to_owned())), "{response:?}");
            });
        }
        world.until_held(6);
        for _ in 0..10 {
            assert_passes(&world, &with("/api/write", LISTED), "ci");
        }
        assert_bad_token_at_once(&world, "over-for-long");
        // Somebody who does not wait for the answer.
        drop(world.begun(&with("/api/x", &access)));
        world.until_held(6);
        world.advance(4);
        for _ in 0..10 {
            assert_passes(&world, &with("/api/write", LISTED), "ci");
        }
        world.until_held(6);
        world.advance(1);
    });
    world.let_clock_go_on();
    assert!(world.upstream.seen().iter().all(|request| request.path() == "/api/write"));
    world.issuer.up();
    until("an access token that passes", || {
        world.send(&with("/api/x", &access)).is_some_and(|response| response.status == 200).then_some(())
    });
    assert_passes(&world, &with("/api/write", &access), "robot");
    // It is remembered, and keys are kept, while the provider is away again.
    world.issuer.down();
    assert_passes(&world, &with("/api/write", &access), "robot");
    assert_passes(&world, &with("/api/write", &world.issuer.access_token(API, |_| {})), "robot");
}

#[track_caller]
fn assert_bad_token_at_once(world: &World, token: &str) {
    let response = world.send(&with("/api/x", token)).expect("an answer");
    assert_eq!((response.status, response.code().as_deref()), (401, Some("invalid_token")), "{response:?}");
}

#[test]
fn a_token_that_waits_passes_when_the_provider_comes_back() {
    let issuer = Issuer::start();
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        issuer.misbehave(Fault::Answer(endpoint, Answer::Late(Duration::from_millis(600))));
    }
    let world = World::around(issuer, |setup| take_tokens(&mut setup.configuration));
    world.stop_clock();
    let access = world.issuer.access_token(API, |_| {});
    let requests: Vec<_> = (0..12).map(|_| (world.url("/api/x"), with("/api/x", &access))).collect();
    for response in world.browser().at_once(&requests) {
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}");
    }
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 1);
}

#[test]
fn three_hundred_made_up_tokens_at_once_keep_nobody_from_signing_in() {
    let world = world();
    let gate = Gate::default();
    world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Behind(gate.clone())));
    let made_up = |number: usize| {
        let kid = json!(format!("made-up-{number}"));
        world.issuer.access_token(API, move |token| {
            token.header.insert("kid".to_owned(), kid);
            token.set("sub", "mallory");
        })
    };
    let tokens: Vec<_> = (0..300).map(made_up).collect();
    let at_the_provider: Vec<_> = (0..4)
        .map(|_| {
            let browser = world.browser();
            let callback = world.callback_url(&browser, "/page");
            (browser, callback)
        })
        .collect();
    let (known, before) = (world.issuer.access_token(API, |_| {}), world.issuer.requests(Endpoint::Jwks).len());
    // What waits does so by the clock.
    world.stop_clock();
    thread::scope(|scope| {
        let flood: Vec<_> = tokens
            .iter()
            .map(|token| {
                scope.spawn(|| world.send(&with("/api/x", token)).map(|answer| (answer.status, answer.code())))
            })
            .collect();
        // Every one of them waits for keys that do not come yet, or is one too many.
        let decided = || world.held() + world.metric("refused_busy");
        until("the last made-up token", || (decided() >= tokens.len() as u64).then_some(()));
        for (browser, callback) in &at_the_provider {
            assert_signed_in(&browser.get(callback), &world.url("/page"));
        }
        assert_sign_in(&world.browser().get(&world.url("/page")), &world);
        assert_passes(&world, &with("/api/x", LISTED), "ci");
        assert_passes(&world, &with("/api/x", &known), "robot");
        gate.open();
        world.let_clock_go_on();
        for one in flood {
            let answer = one.join().expect("a client").expect("an answer");
            let (invalid, busy) = ((401, Some("invalid_token".to_owned())), (503, Some("busy".to_owned())));
            assert!(answer == invalid || answer == busy, "{answer:?}");
        }
    });
    let fetches = world.issuer.requests(Endpoint::Jwks).len() - before;
    assert!((1..=2).contains(&fetches), "{fetches} fetches");
    assert!(
        !world
            .upstream
            .seen()
            .iter()
            .any(|request| request.headers.text("x-forwarded-user").as_deref() == Some("mallory"))
    );
    // Keys that changed meanwhile are still fetched for a sign-in.
    world.issuer.behave();
    world.issuer.rotate();
    world.signed_in();
}

#[test]
fn tokens_over_http2_and_for_websockets() {
    let world = World::around(Issuer::start(), |setup| {
        take_tokens(&mut setup.configuration);
        setup.connection_manager.insert("http2_protocol_options".into(), json!({"allow_connect": true}));
    });
    world.until_ready();
    let http2 = world.browser().over_http2(world.envoy.port());
    let access = world.issuer.access_token(API, |_| {});
    let send = |request: &Outgoing| -> Response { http2.send(&world.url("/api/x"), request).expect("an answer") };
    for (token, user) in [(LISTED, "ci"), (&access, "robot")] {
        assert_eq!(send(&with("/api/x", token)).status, 200);
        assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [user.as_bytes()]);
    }
    let upgrade = |request: Outgoing| {
        request
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let connect = |token: &str| {
        let request = Outgoing::new("CONNECT", "/api/socket").header(PROTOCOL, "websocket");
        request.header("sec-websocket-version", "13").header("authorization", format!("Bearer {token}"))
    };
    let before = world.upstream.count();
    for (what, response, status) in [
        ("an unknown token", send(&with("/api/x", "unknown")), 401),
        ("two lines", send(&with("/api/x", LISTED).header("authorization", format!("Bearer {LISTED}"))), 400),
        ("two kinds", send(&with("/api/x", LISTED).header("authorization", "Basic YTpi")), 400),
        ("a WebSocket", world.send(&upgrade(with("/api/socket", "unknown"))).expect("an answer"), 401),
        (
            "a WebSocket without a token",
            world.send(&upgrade(Outgoing::new("GET", "/api/socket"))).expect("an answer"),
            401,
        ),
        ("a WebSocket over HTTP/2", send(&connect("unknown")), 401),
    ] {
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert!(response.headers.text("www-authenticate").is_some_and(|value| value.starts_with("Bearer ")), "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
    }
    let response = world.send(&upgrade(with("/api/socket", &access))).expect("an answer");
    assert_eq!((response.status, response.headers.has(MARK)), (101, true), "{response:?}");
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"robot"]);
    assert_eq!(send(&connect(LISTED)).status, 200);
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"ci"]);
}

#[test]
fn tokens_end_by_the_clock_and_with_the_configuration_that_took_them() {
    let mut world = World::around(Issuer::start(), |setup| {
        setup.reloads = true;
        take_tokens(&mut setup.configuration);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
        setup.configuration["static_tokens"][1]["expires_at"] = json!(now + 300);
    });
    world.until_ready();
    let access = world.issuer.access_token(API, |_| {});
    for _ in 0..6 {
        assert_passes(&world, &with("/api/x", &access), "robot");
        assert_passes(&world, &with("/api/x", "over-for-long"), "old");
    }
    world.advance(301);
    assert_bad_token(&world, "over-for-long");
    assert_passes(&world, &with("/api/x", &access), "robot");
    // 600 seconds, and 60 by which clocks may differ.
    world.advance(360);
    for _ in 0..6 {
        assert_bad_token(&world, &access);
    }
    let access = world.issuer.access_token(API, |_| {});
    for _ in 0..6 {
        assert_passes(&world, &with("/api/x", &access), "robot");
    }
    world.reload(|document| {
        document["providers"][0]["access_token_audiences"] = json!(["https://other.example.com"]);
        document["static_tokens"][0]["sha256"] = json!(digest("another-token"));
        document["static_tokens"][0]["name"] = json!("cd");
    });
    until_everywhere("the new configuration", || {
        world.send(&with("/api/x", "another-token")).is_some_and(|response| response.status == 200)
    });
    for token in [&access, LISTED] {
        let before = world.upstream.count();
        for _ in 0..6 {
            assert_bad_token_at_once(&world, token);
        }
        world.upstream.assert_saw_nothing_since(before, token);
    }
    assert_passes(&world, &with("/api/x", "another-token"), "cd");
}

#[test]
fn grpc_preflights_and_reserved_paths_with_tokens() {
    let world = world();
    let grpc = |token: &str| {
        let call = with("/api/Service/Method", token).method("POST").header("content-type", "application/grpc");
        call.header("te", "trailers").body("\0\0\0\0\0")
    };
    let refused = world.send(&grpc("unknown")).expect("an answer");
    assert_eq!((refused.status, refused.headers.text("grpc-status").as_deref()), (200, Some("16")), "{refused:?}");
    world.upstream.assert_saw_nothing();
    assert_passes(&world, &grpc(LISTED), "ci");
    // A browser asks without credentials whether a script may send a token; whoever brings one is no such browser.
    let preflight = Outgoing::new("OPTIONS", "/api/x")
        .header("origin", "http://a.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    assert!(world.send(&preflight).expect("an answer").headers.has(MARK));
    assert!(!world.upstream.last().headers.has("x-forwarded-user"));
    let with_token = |token: &str| preflight.clone().header("authorization", format!("Bearer {token}"));
    assert_refused(&world, &with_token("unknown"), 401, "invalid_token", Some(", error=\"invalid_token\""));
    assert_passes(&world, &with_token(LISTED), "ci");
    // A token is no session: it asks for none, sees none and ends none.
    let before = world.upstream.count();
    let userinfo = world.send(&with("/oauth2/userinfo", LISTED)).expect("an answer");
    assert_eq!((userinfo.status, userinfo.code().as_deref()), (401, Some("sign_in_required")), "{userinfo:?}");
    for path in ["/oauth2/callback?code=x&state=y", "/oauth2/backchannel_logout", "/oauth2/health", "/oauth2/nothing"] {
        let response = world.send(&with(path, LISTED)).expect("an answer");
        assert!(response.code().is_some() && response.set_cookies().is_empty(), "{path}: {response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, "reserved paths");
}

/// Asks the real provider for tokens, as a client that has its secret in the form.
fn tokens(site: &Site, client: &str, fields: &[(&str, &str)]) -> Value {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("client_id", client), ("client_secret", "canary-of-the-robot")]).extend_pairs(fields);
    let answer = minreq::post(format!("{}/token", site.provider.issuer()))
        .with_header("content-type", "application/x-www-form-urlencoded")
        .with_body(form.finish())
        .send()
        .expect("an answer");
    let body: Value = serde_json::from_slice(answer.as_bytes()).expect("JSON");
    assert_eq!(answer.status_code, 200, "{body}\n{}", site.provider.log());
    body
}

#[test]
fn the_real_provider_gives_programs_tokens_that_pass_and_people_id_tokens_that_do_not() {
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let site = Site::with(|plan| {
        let robot = json!({
            "client_id": "robot", "client_secret": "canary-of-the-robot", "grant_types": ["client_credentials"],
            "redirect_uris": [], "response_types": [], "token_endpoint_auth_method": "client_secret_post",
        });
        // The worst case: a client whose ID tokens are for the very audience of the access tokens.
        let mut other = client(API, "canary-of-the-robot", &format!("{}/public", plan.origin));
        other["token_endpoint_auth_method"] = json!("client_secret_post");
        plan.provider.clients.extend([robot, other]);
        plan.provider.always_refresh_tokens = true;
        take_tokens(&mut plan.setup.configuration);
    });
    let robot = |scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("resource", API), ("scope", scope)];
        tokens(&site, "robot", &fields)["access_token"].as_str().expect("a token").to_owned()
    };
    let send =
        |path: &str, token: &str| UserAgent::default().send(&site.url(path), &with(path, token)).expect("an answer");
    let passes = |path: &str, token: &str, user: &str| {
        let response = send(path, token);
        assert_eq!(response.status, 200, "{response:?}\n{}", site.envoy.log());
        assert_eq!(site.app.last().headers.all("x-forwarded-user"), [user.as_bytes()]);
    };
    let refused = |path: &str, token: &str, told: (u16, &str)| {
        let before = site.app.count();
        let response = send(path, token);
        assert_eq!((response.status, response.code().as_deref()), (told.0, Some(told.1)), "{response:?}");
        site.app.assert_saw_nothing_since(before, told.1);
    };
    let token = robot("read write");
    for path in ["/api/write", "/api/write", "/page", "/optional/x"] {
        passes(path, &token, "robot");
    }
    refused("/api/write", &robot("read"), (403, "insufficient_scope"));
    passes("/api/x", LISTED, "ci");

    let browser = UserAgent::default();
    let _ = site.sign_in_as(ALICE, &browser, "/page");
    let redirect_uri = site.url("/public/oauth2/callback");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", API),
            ("response_type", "code"),
            ("redirect_uri", &redirect_uri),
            ("scope", "openid email groups"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let (callback, _) =
        browser.follow(&format!("{}/auth?{query}", site.provider.issuer())).pop().expect("a first step");
    let code = parameter(&callback, "code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let first = tokens(&site, API, &fields);
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", first["refresh_token"].as_str().expect("a token"))];
    let second = tokens(&site, API, &refresh);
    for answer in [&first, &second] {
        refused("/api/x", answer["id_token"].as_str().expect("an ID token"), (401, "invalid_token"));
        // Nor its opaque access tokens and refresh tokens.
        refused("/api/x", answer["access_token"].as_str().expect("an access token"), (401, "invalid_token"));
        refused("/api/x", answer["refresh_token"].as_str().expect("a refresh token"), (401, "invalid_token"));
    }
    assert!(site.envoy.log().contains("it is no access token"), "{}", site.envoy.log());

    site.provider.add_keys();
    passes("/api/write", &robot("read write"), "robot");
    passes("/api/write", &token, "robot");
    site.provider.retire_keys();
    let page = browser.get(&site.url("/page"));
    assert_eq!(page.status, 200, "{page:?}");
}

#[test]
fn an_app_with_its_own_bearer_tokens_stands_behind_a_session() {
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        take_tokens(&mut setup.configuration);
        let rules = setup.configuration["rules"].as_array_mut().expect("rules");
        rules.insert(0, json!({"prefix": "/own", "access": "required", "authorization": "app"}));
    });
    let (alice, _) = world.signed_in();
    let nobody = world.browser();
    let own = "Bearer the-app-s-own";
    for line in [own, "bearer eyJhbGciOiJub25lIn0.e30.", "Token abc", &format!("Bearer {LISTED}")] {
        let send = Outgoing::fetch("/own/data").header("authorization", line);
        assert_eq!(seen_as(&world, &send, &alice).as_deref(), Some("alice"), "{line}");
        assert_eq!(world.upstream.last().headers.all("authorization"), [line.as_bytes()], "{line}");
        // Without a session not even a token that is good elsewhere lets it pass.
        assert_refused_as(&world, &send, &nobody, (401, "sign_in_required"));
        let page = Outgoing::navigation("/own/data").header("authorization", line);
        let before = world.upstream.count();
        assert_sign_in(&nobody.visit(&world.url("/own/data"), page), &world);
        world.upstream.assert_saw_nothing_since(before, line);
    }
    // On all other paths a token is checked, with or without a cookie.
    assert_refused_as(&world, &Outgoing::fetch("/data").header("authorization", own), &alice, (401, "invalid_token"));
    let api = Outgoing::fetch("/api/x").header("authorization", own);
    assert_refused_as(&world, &api, &alice, (401, "invalid_token"));
    let api = Outgoing::fetch("/api/x").header("authorization", format!("Bearer {LISTED}"));
    assert_eq!(seen_as(&world, &api, &nobody).as_deref(), Some("ci"));
}
