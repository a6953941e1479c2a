//! Glewlwyd, a provider in C, beside the one that the other scenarios use.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use wasm_tests::{
    clock::Clock,
    envoy::{Envoy, Setup},
    glewlwyd::Glewlwyd,
    upstream::Upstream,
    user_agent::UserAgent,
    world::{SESSION_KEY, assert_signed_in},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Glewlwyd, and Envoy with the filter for it, under this origin.
fn started(setup: Setup) -> (Glewlwyd, Envoy, String) {
    let origin = setup.external_url();
    let glewlwyd = Glewlwyd::start(&origin);
    let envoy = Envoy::start(setup.configuration(json!({
        "external_url": origin,
        "cluster": "idp",
        "providers": [glewlwyd.provider()],
        "session": {"keys": [SESSION_KEY], "lifetime_seconds": 864_000},
    })));
    (glewlwyd, envoy, origin)
}

#[test]
fn glewlwyd_refreshes_without_id_token_or_new_refresh_token() {
    let glewlwyd = Glewlwyd::start("http://app.localhost:1");
    let callback = "http://app.localhost:1/oauth2/callback";
    let provider = glewlwyd.provider();
    let query = encoded(&[
        ("client_id", provider["client_id"].as_str().expect("text")),
        ("response_type", "code"),
        ("redirect_uri", callback),
        ("scope", "openid email"),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let back = glewlwyd.sign_in(&UserAgent::default(), &format!("{}/auth?{query}", glewlwyd.issuer()));
    let code = wasm_tests::world::parameter(&back, "code");
    let token = |fields: &[(&str, &str)]| -> Value {
        let secret = provider["client_secret"].as_str().expect("text");
        let answer = minreq::post(format!("{}/token", glewlwyd.issuer()))
            .with_header("authorization", format!("Basic {}", STANDARD.encode(format!("app:{secret}"))))
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_body(encoded(fields))
            .send()
            .expect("an answer");
        serde_json::from_slice(answer.as_bytes()).expect("JSON")
    };
    let first = token(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", callback),
        ("code_verifier", VERIFIER),
    ]);
    assert!(first["id_token"].is_string() && first["token_type"] == "bearer", "{first}");
    for _ in 0..2 {
        let refresh_token = first["refresh_token"].as_str().expect("a refresh token");
        let again = token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]);
        assert!(again["access_token"].is_string(), "{again}");
        assert_eq!((again.get("id_token"), again.get("refresh_token")), (None, None), "{again}");
    }
}

#[test]
fn a_glewlwyd_session_keeps_its_claims_until_the_sign_out() {
    let app = Upstream::start();
    let clock = Clock::new();
    let (glewlwyd, envoy, origin) = started(Setup::new(app.port()).clock(&clock));
    let browser = UserAgent::default();
    let page = format!("{origin}/page");
    let asked = browser.get(&page).location().expect("a sign-in");
    assert_signed_in(&browser.get(&glewlwyd.sign_in(&browser, &asked)), &page);
    let renewed = || envoy.metric("renewed");
    for round in 1..=3 {
        // Beyond the hour that its access tokens are good.
        clock.set(round * 4000);
        assert_eq!(browser.get(&page).text(), "hello from the app", "{round}: {}", envoy.log());
        assert_eq!(renewed(), round as u64, "{}", envoy.log());
        assert_eq!(app.last().headers.text("x-forwarded-email").as_deref(), Some("alice@example.com"));
    }
    let out = browser.get(&format!("{origin}/oauth2/sign_out"));
    assert_eq!(out.code().as_deref(), Some("signed_out"), "{out:?}");
    let before = app.count();
    assert_eq!(browser.get(&page).status, 302);
    assert_eq!(app.count(), before);
}
