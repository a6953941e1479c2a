//! Sign-out ends the session of this browser: by its own wish, and nobody else's.

use wasm_tests::{
    user_agent::Outgoing,
    world::{SESSION_COOKIE, TRAIL_COOKIE, World, assert_page, deleted_cookies},
};

const SIGN_OUT: &str = "/oauth2/sign_out";

#[test]
fn signing_out_leaves_no_cookie_of_ours_and_the_next_visit_signs_in_again() {
    let world = World::start();
    for method in ["GET", "POST"] {
        let (browser, _) = world.signed_in();
        let again = world.browser();
        world.begin(&again, "/page");
        // A sign-in that was never finished goes too.
        let pending = again.jar().cookies()[0].clone();
        browser.jar().put(pending);
        browser.jar().take("127.0.0.1", "/", b"app=1; Path=/");
        let request = Outgoing::navigation(SIGN_OUT)
            .method(method)
            .without("sec-fetch-site")
            .header("sec-fetch-site", "same-origin");
        let before = world.upstream.count();
        let response = browser.visit(&world.url(SIGN_OUT), if method == "POST" { request.body("") } else { request });
        assert_eq!((response.status, response.code().as_deref()), (303, Some("signed_out")), "{method}: {response:?}");
        assert!(deleted_cookies(&response).contains(&SESSION_COOKIE.to_owned()));
        assert_eq!(browser.cookie_names(&world.url("/")), ["app"], "{method}");
        world.upstream.assert_saw_nothing_since(before, method);
        world.begin(&browser, "/page");
    }
    // Without a session it is no error.
    let browser = world.browser();
    for what in ["without a session", "again"] {
        let steps = browser.follow(&world.url(SIGN_OUT));
        assert_page(&steps.last().expect("a page").1, &[200], what);
    }
}

#[test]
fn nobody_else_can_sign_a_browser_out() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    let from = |site: &str| Outgoing::navigation(SIGN_OUT).without("sec-fetch-site").header("sec-fetch-site", site);
    for (what, request) in [
        ("prefetch", Outgoing::navigation(SIGN_OUT).header("sec-purpose", "prefetch")),
        ("prerender", Outgoing::navigation(SIGN_OUT).header("sec-purpose", "prefetch;prerender")),
        ("a picture on another site", from("cross-site").without("sec-fetch-mode").header("sec-fetch-mode", "no-cors")),
        ("a form on another site", from("cross-site").method("POST").header("origin", "http://evil.example").body("")),
        (
            "a form of an old browser",
            Outgoing::new("POST", SIGN_OUT)
                .header("accept", "text/html")
                .header("origin", "http://evil.example")
                .body(""),
        ),
        (
            "a form from nowhere",
            Outgoing::new("POST", SIGN_OUT).header("accept", "text/html").header("origin", "null").body(""),
        ),
        ("DELETE", Outgoing::navigation(SIGN_OUT).method("DELETE")),
        ("PUT", Outgoing::navigation(SIGN_OUT).method("PUT").body("")),
    ] {
        let before = world.upstream.count();
        let response = browser.visit(&world.url(SIGN_OUT), request);
        assert_eq!(deleted_cookies(&response), [""; 0], "{what}: {response:?}");
        assert!(response.code().is_some(), "{what}: {response:?}");
        assert_eq!(browser.cookie_names(&world.url("/")), [SESSION_COOKIE, TRAIL_COOKIE], "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
    }
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}

#[test]
fn reserved_paths_that_mean_nothing_are_not_the_apps() {
    let world = World::with(|document| document["rules"] = serde_json::json!([{"prefix": "/", "access": "public"}]));
    let browser = world.browser();
    for path in ["/oauth2", "/oauth2/", "/oauth2/x", "/oauth2/callback/x", "/oauth2/sign_out/", "/oauth2/sign_in_now"] {
        let before = world.upstream.count();
        for request in
            [Outgoing::navigation(path), Outgoing::fetch(path), Outgoing::fetch(path).method("POST").body("")]
        {
            let response = browser.visit(&world.url(path), request);
            assert_eq!(response.status, 404, "{path}: {response:?}");
            assert!(response.code().is_some(), "{path}: {response:?}");
        }
        world.upstream.assert_saw_nothing_since(before, path);
    }
    for path in ["/oauth2x", "/oauth", "/x/oauth2/callback"] {
        assert_eq!(browser.get(&world.url(path)).text(), "hello from the app", "{path}");
    }
}
