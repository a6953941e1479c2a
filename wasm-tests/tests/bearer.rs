//! Bearer tokens of API clients (RFC 6750): static tokens and access tokens pass, and every other token is refused.

use serde_json::json;
use wasm_tests::{
    api_client::{
        API, OLD_STATIC_TOKEN, STATIC_TOKEN, accept_tokens, assert_invalid_token, assert_invalid_token_at_once,
        assert_passes, assert_refused, digest, with_token, world,
    },
    issuer::{IdToken, Issuer, Signing},
    keys::Algorithm,
    process::{until, until_everywhere},
    upstream::MARK,
    user_agent::Outgoing,
    world::{PUBLIC, SESSION_COOKIE, World, assert_refused as assert_refused_as, assert_sign_in, seen_as},
};

#[test]
fn static_tokens_and_access_tokens_pass_on_every_kind_of_path() {
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
        assert_passes(&world, &forged(with_token(path, STATIC_TOKEN)), "ci");
        let seen = world.upstream.last();
        assert_eq!(seen.headers.all("x-forwarded-groups"), [b"machines"], "{path}");
        assert!(!seen.headers.has("x-forwarded-email") && !seen.headers.has("x_forwarded_email"), "{seen:?}");
        // The app receives the header unchanged.
        assert_eq!(seen.headers.text("authorization"), Some(format!("Bearer {STATIC_TOKEN}")));

        assert_passes(&world, &forged(with_token(path, &access)), "robot");
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
    // A public path ignores the token; a session passes where no rule requires a token.
    world.send(&with_token(PUBLIC, "nonsense")).expect("an answer");
    assert!(!world.upstream.last().headers.has("x-forwarded-user"));
    let (browser, session) = world.signed_in();
    assert!(browser.get(&world.url("/page")).headers.has(MARK));
    // The token decides the user, not the session cookie beside it, which the app does not receive.
    assert_passes(
        &world,
        &with_token("/page", STATIC_TOKEN).header("cookie", format!("{SESSION_COOKIE}={session}; a=1")),
        "ci",
    );
    assert_eq!(world.upstream.last().headers.all("cookie"), [b"a=1"]);
    for line in ["bearer ", "BEARER ", "bEaReR    "] {
        assert_passes(
            &world,
            &Outgoing::new("GET", "/api/x").header("authorization", format!("{line}{STATIC_TOKEN}")),
            "ci",
        );
    }
    let body = "x".repeat(300_000);
    assert_passes(&world, &with_token("/api/x", &access).method("POST").body(&body), "robot");
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
    assert!(!log.contains(STATIC_TOKEN) && !world.log().contains(STATIC_TOKEN));
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
            assert_passes(&world, &with_token("/api/write", &token), algorithm.name());
        }
        let spoilt = |token: &mut IdToken| {
            sign(token);
            token.finish = |compact| compact.replacen(".ey", ".ez", 1);
        };
        assert_invalid_token(&world, &world.issuer.access_token(API, spoilt));
    }
}

#[test]
fn an_invalid_bearer_token_is_refused_as_rfc_6750_requires() {
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
        ("expired", |token| token.set("exp", token.issued_at() - 61)),
        ("without an expiry", |token| token.remove("exp")),
        ("not valid yet", |token| token.set("nbf", token.issued_at() + 600)),
        ("issued in the future", |token| token.set("iat", token.issued_at() + 600)),
        ("without a subject", |token| token.remove("sub")),
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
        assert_invalid_token(&world, &world.issuer.access_token(API, change));
    }
    let good = world.issuer.access_token(API, |_| {});
    for token in [&STATIC_TOKEN.to_uppercase(), &STATIC_TOKEN[1..], "x", "a.b.c", OLD_STATIC_TOKEN, &format!("{good}=")]
    {
        assert_invalid_token(&world, token);
    }
    // What a browser sends, HEAD and optional paths included, is answered alike.
    assert_invalid_token(&world, "unknown");
    let invalid = Some(", error=\"invalid_token\"");
    let page = Outgoing::navigation("/page").header("authorization", "Bearer unknown");
    assert_refused(&world, &page, 401, "invalid_token", invalid);
    assert_refused(&world, &with_token("/optional/x", "unknown"), 401, "invalid_token", invalid);

    let reader = world.issuer.access_token(API, |token| token.set("scope", "read write:all"));
    let wanted = Some(", error=\"insufficient_scope\", scope=\"write read\"");
    assert_refused(&world, &with_token("/api/write", &reader), 403, "insufficient_scope", wanted);
    assert_refused(&world, &with_token("/api/machines", &reader), 403, "not_allowed", None);
    assert_refused(&world, &with_token("/closed", STATIC_TOKEN), 403, "denied", None);
    assert_refused(&world, &Outgoing::navigation("/api/x"), 401, "token_required", Some(""));
    let (_, session) = world.signed_in();
    let cookie = format!("{SESSION_COOKIE}={session}");
    let of_session = Outgoing::navigation("/api/x").header("cookie", &cookie);
    assert_refused(&world, &of_session, 401, "token_required", Some(""));
    assert_refused(&world, &with_token("/page", "unknown").header("cookie", &cookie), 401, "invalid_token", invalid);
    assert_passes(&world, &with_token("/api/x", &reader), "robot");
    assert!(
        world.log().contains("\"old\" has expired") && world.log().contains("it is no access token"),
        "{}",
        world.log()
    );
    let refused = world.metric("refused_invalid_token");
    assert!(refused >= 30, "{refused}");
}

#[test]
fn tokens_of_a_kind_that_is_not_configured_are_refused() {
    let world = World::start();
    let access = world.issuer.access_token(API, |_| {});
    for token in [STATIC_TOKEN, &access] {
        let response = world.send(&with_token("/page", token)).expect("an answer");
        assert_eq!((response.status, response.code().as_deref()), (401, Some("bearer_not_accepted")), "{response:?}");
        assert!(world.send(&with_token(PUBLIC, token)).expect("an answer").headers.has(MARK));
    }
    drop(world);
    let world = World::with(|document| {
        accept_tokens(document);
        document["providers"][0].as_object_mut().expect("a provider").remove("access_token_audiences");
    });
    world.until_ready();
    assert_passes(&world, &with_token("/page", STATIC_TOKEN), "ci");
    assert_invalid_token(&world, &world.issuer.access_token(API, |_| {}));
    assert!(world.upstream.seen().iter().all(|request| request.headers.text("authorization") != Some(access.clone())));
}

#[test]
fn tokens_expire_and_end_with_the_configuration_that_accepted_them() {
    let mut world = World::around(Issuer::start(), |setup| {
        setup.reloads = true;
        accept_tokens(&mut setup.configuration);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
        setup.configuration["static_tokens"][1]["expires_at"] = json!(now + 300);
    });
    world.until_ready();
    let access = world.issuer.access_token(API, |_| {});
    for _ in 0..6 {
        assert_passes(&world, &with_token("/api/x", &access), "robot");
        assert_passes(&world, &with_token("/api/x", OLD_STATIC_TOKEN), "old");
    }
    world.advance(301);
    assert_invalid_token(&world, OLD_STATIC_TOKEN);
    assert_passes(&world, &with_token("/api/x", &access), "robot");
    // 600 seconds, and 60 by which clocks may differ.
    world.advance(360);
    for _ in 0..6 {
        assert_invalid_token(&world, &access);
    }
    let access = world.issuer.access_token(API, |_| {});
    for _ in 0..6 {
        assert_passes(&world, &with_token("/api/x", &access), "robot");
    }
    world.reload(|document| {
        document["providers"][0]["access_token_audiences"] = json!(["https://other.example.com"]);
        document["static_tokens"][0]["sha256"] = json!(digest("another-token"));
        document["static_tokens"][0]["name"] = json!("cd");
    });
    until_everywhere("the new configuration", || {
        world.send(&with_token("/api/x", "another-token")).is_some_and(|response| response.status == 200)
    });
    for token in [&access, STATIC_TOKEN] {
        let before = world.upstream.count();
        for _ in 0..6 {
            assert_invalid_token_at_once(&world, token);
        }
        world.upstream.assert_saw_nothing_since(before, token);
    }
    assert_passes(&world, &with_token("/api/x", "another-token"), "cd");
}

#[test]
fn bearer_tokens_work_with_grpc_preflights_and_reserved_paths() {
    let world = world();
    let grpc = |token: &str| {
        let call = with_token("/api/Service/Method", token).method("POST").header("content-type", "application/grpc");
        call.header("te", "trailers").body("\0\0\0\0\0")
    };
    let refused = world.send(&grpc("unknown")).expect("an answer");
    assert_eq!((refused.status, refused.headers.text("grpc-status").as_deref()), (200, Some("16")), "{refused:?}");
    world.upstream.assert_saw_nothing();
    assert_passes(&world, &grpc(STATIC_TOKEN), "ci");
    // A preflight carries no credentials (Fetch, CORS-preflight), so a request with a token is not a preflight.
    let preflight = Outgoing::new("OPTIONS", "/api/x")
        .header("origin", "http://a.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    assert!(world.send(&preflight).expect("an answer").headers.has(MARK));
    assert!(!world.upstream.last().headers.has("x-forwarded-user"));
    let preflight_with = |token: &str| preflight.clone().header("authorization", format!("Bearer {token}"));
    assert_refused(&world, &preflight_with("unknown"), 401, "invalid_token", Some(", error=\"invalid_token\""));
    assert_passes(&world, &preflight_with(STATIC_TOKEN), "ci");
    // A token is no session: none of the paths of a session takes it.
    let before = world.upstream.count();
    let userinfo = world.send(&with_token("/oauth2/userinfo", STATIC_TOKEN)).expect("an answer");
    assert_eq!((userinfo.status, userinfo.code().as_deref()), (401, Some("sign_in_required")), "{userinfo:?}");
    for path in ["/oauth2/callback?code=x&state=y", "/oauth2/backchannel_logout", "/oauth2/health", "/oauth2/nothing"] {
        let response = world.send(&with_token(path, STATIC_TOKEN)).expect("an answer");
        assert!(response.code().is_some() && response.set_cookies().is_empty(), "{path}: {response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, "reserved paths");
}

#[test]
fn an_apps_own_bearer_tokens_pass_with_a_session() {
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        accept_tokens(&mut setup.configuration);
        let rules = setup.configuration["rules"].as_array_mut().expect("rules");
        rules.insert(0, json!({"prefix": "/own", "access": "required", "authorization": "app"}));
    });
    let (alice, _) = world.signed_in();
    let visitor = world.browser();
    let own = "Bearer the-app-s-own";
    for line in [own, "bearer eyJhbGciOiJub25lIn0.e30.", "Token abc", &format!("Bearer {STATIC_TOKEN}")] {
        let send = Outgoing::fetch("/own/data").header("authorization", line);
        assert_eq!(seen_as(&world, &send, &alice).as_deref(), Some("alice"), "{line}");
        assert_eq!(world.upstream.last().headers.all("authorization"), [line.as_bytes()], "{line}");
        // Without a session not even a token that is good elsewhere lets it pass.
        assert_refused_as(&world, &send, &visitor, (401, "sign_in_required"));
        let page = Outgoing::navigation("/own/data").header("authorization", line);
        let before = world.upstream.count();
        assert_sign_in(&visitor.visit(&world.url("/own/data"), page), &world);
        world.upstream.assert_saw_nothing_since(before, line);
    }
    // On all other paths a token is checked, with or without a cookie.
    assert_refused_as(&world, &Outgoing::fetch("/data").header("authorization", own), &alice, (401, "invalid_token"));
    let api = Outgoing::fetch("/api/x").header("authorization", own);
    assert_refused_as(&world, &api, &alice, (401, "invalid_token"));
    let api = Outgoing::fetch("/api/x").header("authorization", format!("Bearer {STATIC_TOKEN}"));
    assert_eq!(seen_as(&world, &api, &visitor).as_deref(), Some("ci"));
}
