//! Claims from the userinfo endpoint, in the real Envoy: of a real provider, and of one that misbehaves.

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Endpoint, Fault, Issuer, RefreshTokens},
    site::{ALICE, Site},
    upstream::MARK,
    user_agent::UserAgent,
    world::{PUBLIC, World, assert_page, assert_sign_in, assert_signed_in},
};

const BOB: (&str, &str) = ("bob", "bob-password");

/// Only admins pass at `/admin`, and only users who are not banned at `/open`.
fn rules() -> Value {
    json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/admin", "access": "required", "allow": {"groups": ["admins"]}},
        {"prefix": "/open", "access": "required", "allow": {"not": {"groups": ["banned"]}}},
    ])
}

/// One worker, and an issuer whose ID tokens name nothing but `sub`.
fn world() -> World {
    let issuer = Issuer::start();
    issuer.terms(|terms| {
        terms.claims_at_userinfo = true;
        terms.refresh_tokens = RefreshTokens::Always;
        terms.expires_in = Some(json!(100));
        terms.refresh_expires_in = Some(json!(100));
    });
    World::around(issuer, |setup| {
        setup.workers = 1;
        setup.configuration["rules"] = rules();
        setup.configuration["providers"][0]["userinfo"] = json!(true);
        // Longer than a busy machine keeps the issuer from its answer, and what its silence costs.
        setup.configuration["providers"][0]["timeout_ms"] = json!(4000);
    })
}

#[track_caller]
fn assert_not_allowed(world: &World, browser: &UserAgent, path: &str, code: &str) {
    let before = world.upstream.count();
    let response = browser.get(&world.url(path));
    assert_eq!((response.status, response.code().as_deref()), (403, Some(code)), "{response:?}");
    world.upstream.assert_saw_nothing_since(before, path);
    assert_eq!(world.browser().get(&world.url(PUBLIC)).status, 200);
}

#[track_caller]
fn seen(world: &World, browser: &UserAgent, path: &str, header: &str) -> Option<String> {
    let response = browser.get(&world.url(path));
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
    world.upstream.last().headers.text(header)
}

/// A sign-in during which the userinfo endpoint answers this.
fn sign_in(world: &World, answer: Answer) -> Response {
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/admin");
    world.issuer.misbehave(Fault::Answer(Endpoint::Userinfo, answer));
    let response = browser.get(&callback);
    world.issuer.behave();
    response
}

#[test]
fn the_real_provider_adds_claims_in_userinfo() {
    adds_claims(&json!({}));
}

#[test]
fn the_real_provider_adds_claims_in_signed_userinfo() {
    adds_claims(&json!({"userinfo_signed_response_alg": "ES256"}));
}

/// The real provider, where the client has these metadata too, adds claims in userinfo.
fn adds_claims(metadata: &Value) {
    let site = Site::with(|plan| {
        let client = plan.provider.clients[0].as_object_mut().expect("an object");
        client.extend(metadata.as_object().expect("an object").clone());
        plan.provider.claims_at_userinfo = true;
        plan.setup.configuration["rules"] = rules();
        plan.setup.configuration["providers"][0]["userinfo"] = json!(true);
    });
    let alice = UserAgent::default();
    let (_, page) = site.sign_in_as(ALICE, &alice, "/admin");
    assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{page:?}\n{}", site.envoy.log());
    let headers = site.app.last().headers;
    assert_eq!(headers.text("x-forwarded-user").as_deref(), Some("alice"));
    assert_eq!(headers.text("x-forwarded-email").as_deref(), Some("alice@example.com"));
    assert_eq!(headers.text("x-forwarded-groups").as_deref(), Some("admins,staff"));
    assert_eq!(site.provider.seen("/me"), 1);

    let bob = UserAgent::default();
    let before = site.app.count();
    let (_, page) = site.sign_in_as(BOB, &bob, "/admin");
    assert_eq!((page.status, page.code().as_deref()), (403, Some("not_allowed")));
    site.app.assert_saw_nothing_since(before, "bob is no admin");
    assert_eq!(site.provider.seen("/me"), 2);
}

#[test]
fn an_invalid_userinfo_response_creates_no_session() {
    let world = world();
    let elsewhere = Answer::Redirect(format!("{}/elsewhere", world.issuer.url()));
    let other = Answer::Edited(|body| body["sub"] = json!("mallory"));
    let jwt = Answer::Body { status: 200, content_type: "application/jwt", body: b"eyJhbGciOiJub25lIn0.e30.".to_vec() };
    for (what, answer, status, code) in [
        ("another subject", other, 502, "userinfo_endpoint_refused"),
        ("a JWT", jwt, 502, "userinfo_endpoint_malformed"),
        ("no sub", Answer::Edited(|body| body["sub"] = json!(null)), 502, "userinfo_endpoint_malformed"),
        ("a page", Answer::status(200), 502, "userinfo_endpoint_malformed"),
        ("nothing", Answer::json(200, ""), 502, "userinfo_endpoint_malformed"),
        ("two subs", Answer::json(200, r#"{"sub":"alice","sub":"alice"}"#), 502, "userinfo_endpoint_malformed"),
        ("bytes", Answer::json(200, vec![0xff, 0xfe, 0x00]), 502, "userinfo_endpoint_malformed"),
        ("nested", Answer::nested(100_000), 502, "userinfo_endpoint_malformed"),
        ("300 KiB", Answer::huge(300 * 1024), 502, "userinfo_endpoint_malformed"),
        ("a redirect", elsewhere, 502, "userinfo_endpoint_malformed"),
        ("401", Answer::status(401), 502, "userinfo_endpoint_malformed"),
        ("403", Answer::status(403), 502, "userinfo_endpoint_malformed"),
        ("429", Answer::status(429), 503, "userinfo_endpoint_unavailable"),
        ("500", Answer::status(500), 503, "userinfo_endpoint_unavailable"),
        ("silence", Answer::Hang, 503, "userinfo_endpoint_unavailable"),
        ("silence after the head", Answer::StallAfterHeaders, 503, "userinfo_endpoint_unavailable"),
        ("no end", Answer::ChunkedForever, 503, "userinfo_endpoint_unavailable"),
        ("a reset", Answer::ResetBeforeHeaders, 503, "userinfo_endpoint_unavailable"),
        ("a reset in the body", Answer::ResetMidBody, 503, "userinfo_endpoint_unavailable"),
        ("not HTTP", Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()), 503, "userinfo_endpoint_unavailable"),
    ] {
        let before = world.upstream.count();
        let response = sign_in(&world, answer);
        assert_page(&response, &[status], what);
        assert_eq!(response.code().as_deref(), Some(code), "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
        world.assert_serves();
    }
    assert!(world.issuer.all_requests().iter().all(|request| request.path() != "/elsewhere"));
    let told = "the userinfo response is no JWT that can be read: not a signed token in compact form";
    assert!(world.log().contains(told), "{}", world.log());
    let (browser, _) = world.signed_in();
    assert_eq!(seen(&world, &browser, "/admin", "x-forwarded-groups").as_deref(), Some("staff,admins"));
}

#[test]
fn a_nonconforming_userinfo_response_still_signs_in() {
    let world = world();
    for (what, answer) in [
        ("late, but in time", Answer::Late(Duration::from_millis(200))),
        ("claims of tokens", Answer::Edited(|body| body["iss"] = json!("https://evil.example"))),
        ("headers without a user", Answer::Headers(b"set-cookie: evil=1\r\nlocation: /\r\nx-odd: \xff\r\n".to_vec())),
    ] {
        let response = sign_in(&world, answer);
        assert_signed_in(&response, &world.url("/admin"));
        assert!(!response.headers.has("x-odd"), "{what}");
    }
    let asked = world.issuer.requests(Endpoint::Userinfo);
    let tokens = world.issuer.access_tokens();
    for (request, token) in asked.iter().zip(&tokens) {
        assert_eq!(request.headers.text("authorization"), Some(format!("Bearer {token}")));
        assert_eq!(
            (request.method.as_str(), request.headers.text("accept").as_deref()),
            ("GET", Some("application/json"))
        );
    }
    assert_eq!((asked.len(), tokens.len()), (3, 3));
}

#[test]
fn omitted_groups_of_the_id_token_are_not_replaced_by_userinfo() {
    let world = world();
    world.issuer.misbehave(Fault::IdToken(|token| token.set("_claim_names", json!({"groups": "src1"}))));
    let (browser, _) = world.signed_in();
    for path in ["/admin", "/open"] {
        assert_not_allowed(&world, &browser, path, "groups_left_out");
    }
}

#[test]
fn a_renewal_requests_userinfo_and_its_failure_ends_no_session() {
    let world = world();
    let (browser, _) = world.signed_in();
    assert_eq!(seen(&world, &browser, "/admin", "x-forwarded-groups").as_deref(), Some("staff,admins"));
    world.issuer.sign_in_as(json!({"sub": "alice", "groups": ["staff"]}));

    // While the endpoint does not answer, existing sessions pass.
    world.advance(110);
    world.issuer.misbehave(Fault::Answer(Endpoint::Userinfo, Answer::status(503)));
    let before = world.issuer.refreshes().asked;
    assert_eq!(seen(&world, &browser, "/admin", "x-forwarded-groups").as_deref(), Some("staff,admins"));
    assert_eq!(world.issuer.refreshes().asked, before + 1);
    world.issuer.behave();

    // Once it does, what was taken away is gone.
    world.advance(20);
    assert_not_allowed(&world, &browser, "/admin", "not_allowed");
    assert_eq!(seen(&world, &browser, "/open", "x-forwarded-groups").as_deref(), Some("staff"));
    assert_eq!((world.issuer.refreshes().reused, world.issuer.refreshes().refused), (0, 0));

    // Claims of another subject end it.
    world.advance(110);
    world.issuer.misbehave(Fault::Answer(Endpoint::Userinfo, Answer::Edited(|body| body["sub"] = json!("mallory"))));
    let before = world.upstream.count();
    assert_sign_in(&browser.get(&world.url("/open")), &world);
    world.upstream.assert_saw_nothing_since(before, "claims of another subject");
}
