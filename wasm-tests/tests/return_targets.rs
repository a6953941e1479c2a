//! Targets after a sign-in that the operator lists: an app of a phone and another site. No other leaves this site.

use serde_json::json;
use wasm_tests::{
    user_agent::UserAgent,
    world::{SESSION_COOKIE, World, access, assert_sign_in, assert_signed_in, changed, kept_cookies},
};

const APP: &str = "myapp://signed-in";

fn world() -> World {
    World::with(|document| {
        document["sign_in"] = json!({"return_to": [APP, "https://www.example.com/"]});
        document["sign_out"] = json!({"return_to": ["myapp://signed-out"], "at_provider": false});
    })
}

fn start(world: &World, target: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("rd", target)
        .append_pair("session", "keep")
        .finish();
    world.url(&format!("/oauth2/start?{query}"))
}

/// Begins a sign-in for this target, and returns the callback URL.
fn callback(world: &World, browser: &UserAgent, target: &str) -> String {
    let sign_in = assert_sign_in(&browser.get(&start(world, target)), world);
    assert!(sign_in.state.len() < 512, "{}", sign_in.state);
    world.answer(browser, &sign_in)
}

#[test]
fn a_sign_in_redirects_to_a_listed_app_or_site_without_secrets() {
    let world = world();
    for target in [APP, "https://www.example.com/welcome?from=app#top"] {
        let browser = world.browser();
        let back = browser.get(&callback(&world, &browser, target));
        assert_signed_in(&back, target);
        assert!(kept_cookies(&back).iter().any(|name| name == SESSION_COOKIE));
        assert_eq!(back.headers.text("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(access(&world, &browser, "/page"), "passed");
        let again = browser.get(&start(&world, target));
        assert_eq!((again.status, again.code().as_deref()), (303, Some("already_signed_in")), "{again:?}");
        assert_eq!(again.location().as_deref(), Some(target));
        let out = browser.get(&world.url("/oauth2/sign_out?rd=myapp%3A%2F%2Fsigned-out"));
        assert_eq!(out.location().as_deref(), Some("myapp://signed-out"), "{out:?}");
    }
}

#[test]
fn a_restarted_or_refused_sign_in_keeps_the_return_target() {
    let world = world();
    let browser = world.browser();
    let lost = callback(&world, &browser, APP);
    // In another browser, the sign-in begins again by what `state` says.
    let other = world.browser();
    let sign_in = assert_sign_in(&other.get(&lost), &world);
    assert_signed_in(&other.get(&world.answer(&other, &sign_in)), APP);
    // The page of a refusal leads to the start path, and not into the app.
    let before = world.upstream.count();
    let refused = changed(&callback(&world, &browser, APP), |parameters| {
        parameters.retain(|(name, _)| name != "code");
        parameters.push(("error".to_owned(), "access_denied".to_owned()));
    });
    let page = browser.get(&refused);
    assert_eq!((page.status, page.code().as_deref()), (403, Some("access_denied")), "{page:?}");
    assert!(page.text().contains("/oauth2/start?rd=myapp%3A%2F%2Fsigned-in\""), "{}", page.text());
    world.upstream.assert_saw_nothing_since(before, "a refused sign-in");
    world.assert_serves();
}

#[test]
fn an_unlisted_target_is_replaced_by_the_root() {
    let world = world();
    for target in [
        "myapp://signed-in/more",
        "myapp://signed-in?code=x",
        "myapp://evil",
        "otherapp://signed-in",
        "javascript:alert(1)",
        "javascript://www.example.com/%0aalert(1)",
        "data:text/html,x",
        "intent://signed-in#Intent;scheme=myapp;end",
        "https://www.example.com.evil.example/",
        "https://www.example.com@evil.example/",
        "http://www.example.com/",
        "//www.example.com/",
    ] {
        let browser = world.browser();
        assert_signed_in(&browser.get(&callback(&world, &browser, target)), &world.url("/"));
        let again = browser.get(&start(&world, target));
        assert_eq!(again.location().as_deref(), Some(&*world.url("/")), "{target}");
    }
}
