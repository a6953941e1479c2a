//! What scripts of the app get: who is signed in, where to sign in, and never a redirect.

use serde_json::{Value, json};
use wasm_tests::{
    issuer::RefreshTokens,
    user_agent::Outgoing,
    world::{World, assert_program_refused, assert_sign_in, assert_signed_in, kept_cookies},
};

const USERINFO: &str = "/oauth2/userinfo";

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn userinfo_says_who_is_signed_in_and_nothing_that_is_secret() {
    let world = World::with(|document| {
        document["userinfo_claims"] = json!(["email", "groups", "nothing"]);
        document["session"]["idle_timeout_seconds"] = json!(600);
    });
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let nobody = world.browser().fetch(&world.url(USERINFO));
    assert_program_refused(&nobody, "nobody");
    assert_eq!(json_of(&nobody.text())["sign_in_url"], world.url("/oauth2/start"));
    let (browser, _) = world.signed_in();
    for request in [Outgoing::fetch(USERINFO), Outgoing::navigation(USERINFO)] {
        let answer = browser.visit(&world.url(USERINFO), request);
        assert_eq!((answer.status, answer.headers.text("cache-control").as_deref()), (200, Some("no-store")));
        let body = json_of(&answer.text());
        let claims = json!({"sub": "alice", "email": "alice@example.com", "groups": ["staff", "admins"]});
        assert_eq!(body["claims"], claims, "{body}");
        assert!(body["expires_in"].as_u64().is_some_and(|left| (500..=600).contains(&left)), "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(3), "{body}");
    }
    // It does not keep anybody signed in.
    for _ in 0..3 {
        world.advance(150);
        assert_eq!(kept_cookies(&browser.fetch(&world.url(USERINFO))), [""; 0]);
    }
    world.advance(151);
    assert_program_refused(&browser.fetch(&world.url(USERINFO)), "after the idle timeout");
    for method in ["POST", "PUT", "DELETE"] {
        let answer = browser.visit(&world.url(USERINFO), Outgoing::fetch(USERINFO).method(method).body(""));
        assert_eq!((answer.status, answer.code().as_deref()), (405, Some("userinfo_method")), "{method}");
    }
    world.upstream.assert_saw_nothing();
}

#[test]
fn a_sign_in_that_a_page_asks_for_comes_back_to_this_site_and_no_other() {
    let world = World::start();
    let browser = world.browser();
    for (asked, back) in [
        ("/page?a=1&b=%2F", "/page?a=1&b=%2F".to_owned()),
        (&world.url("/page"), "/page".to_owned()),
        ("/page#/item/7?x", "/page#/item/7?x".to_owned()),
    ] {
        let start =
            format!("/oauth2/start?rd={}", url::form_urlencoded::byte_serialize(asked.as_bytes()).collect::<String>());
        let sign_in = assert_sign_in(&browser.get(&world.url(&start)), &world);
        let callback = world.answer(&browser, &sign_in);
        assert_signed_in(&browser.get(&callback), &world.url(&back));
    }
    assert_program_refused(&world.browser().fetch(&world.url("/oauth2/start?rd=/page")), "a script");

    // Whatever an attacker asks for ends on this site.
    let attacks = include_str!("../../src/session/testdata/open_redirects.txt");
    let own = world.url("/");
    for attack in attacks.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).step_by(5) {
        let encoded: String = url::form_urlencoded::byte_serialize(attack.as_bytes()).collect();
        let browser = world.browser();
        let sign_in = assert_sign_in(&browser.get(&world.url(&format!("/oauth2/start?rd={encoded}"))), &world);
        let back = browser.get(&world.answer(&browser, &sign_in));
        let location = back.location().unwrap_or_default();
        assert!(location.starts_with(&own), "{attack}: {location}");
    }
    world.upstream.assert_saw_nothing();
}
