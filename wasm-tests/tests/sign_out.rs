//! Sign-out ends the session of this browser, at its own request only; here, and at the provider.

use serde_json::json;
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Endpoint, Fault, Issuer, LogoutState, RefreshTokens},
    process::{until, until_everywhere},
    user_agent::{Outgoing, UserAgent},
    world::{
        LOGIN_LOOP_COOKIE, SESSION_COOKIE, World, assert_page, assert_unauthenticated, deleted_cookies, parameter,
        parameters,
    },
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
fn no_other_site_can_sign_a_browser_out() {
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
        assert_eq!(browser.cookie_names(&world.url("/")), [SESSION_COOKIE, LOGIN_LOOP_COOKIE], "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
    }
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}

#[test]
fn unknown_reserved_paths_get_404_and_do_not_reach_the_app() {
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

/// Signs out as a person does. Returns where that leads.
#[track_caller]
fn sign_out(world: &World, browser: &UserAgent, query: &str) -> Response {
    let before = world.upstream.count();
    let response = browser.get(&world.url(&format!("{SIGN_OUT}{query}")));
    assert_eq!(response.code().as_deref(), Some("signed_out"), "{response:?}");
    assert_eq!(browser.cookie_names(&world.url("/")), [""; 0]);
    world.upstream.assert_saw_nothing_since(before, "a sign-out");
    response
}

/// Checks that a response is the page that says that the user is signed out.
#[track_caller]
fn assert_signed_out_page(response: &Response, what: &str) {
    assert_page(response, &[200], what);
    assert_eq!(response.code().as_deref(), Some("signed_out"), "{what}: {response:?}");
}

#[test]
fn rp_initiated_logout_passes_the_conformance_cases() {
    let world = World::start();
    let registered = world.url("/oauth2/signed_out");
    world.issuer.terms(|terms| terms.post_logout_redirect_uris = Some(vec![registered.clone()]));
    for (what, state) in [
        ("rp-init-logout", LogoutState::AsGiven),
        ("rp-init-logout-other-state", LogoutState::Other("another".to_owned())),
        ("rp-init-logout-no-state", LogoutState::Missing),
        ("a made-up state", LogoutState::Other("<script>\"'&%".to_owned())),
    ] {
        world.issuer.terms(|terms| terms.logout_state = state.clone());
        let (browser, _) = world.signed_in();
        let location = sign_out(&world, &browser, "").location().expect("a redirect");
        assert!(location.starts_with(&format!("{}{}?", world.issuer.url(), Endpoint::EndSession.path())), "{location}");
        assert_eq!(parameter(&location, "client_id"), wasm_tests::issuer::CLIENT_ID, "{what}");
        assert_eq!(parameter(&location, "post_logout_redirect_uri"), registered, "{what}");
        assert_eq!(Some(parameter(&location, "id_token_hint")), world.issuer.id_tokens().pop(), "{what}");
        // The provider sees nothing of ours in it.
        assert!(!parameter(&location, "state").contains("oauth2"), "{what}");
        let steps = browser.follow(&location);
        let (back, page) = steps.last().expect("a page");
        assert!(back.starts_with(&registered), "{what}: {back}");
        assert_signed_out_page(page, what);
        assert!(!page.text().contains("<script>"), "{what}: {page:?}");
        assert_eq!(browser.cookie_names(&world.url("/")), [""; 0], "{what}");
        world.begin(&browser, "/page");
    }
    // With a place to go afterwards only our own state leads there.
    for (what, state, leads) in [
        ("our state", LogoutState::AsGiven, true),
        ("another", LogoutState::Other("another".to_owned()), false),
        ("none", LogoutState::Missing, false),
    ] {
        world.issuer.terms(|terms| terms.logout_state = state);
        let (browser, _) = world.signed_in();
        let location = sign_out(&world, &browser, "?rd=/public/bye%3Fa").location().expect("a redirect");
        let steps = browser.follow(&location);
        let (at, page) = steps.last().expect("a page");
        if leads {
            assert_eq!((at.as_str(), page.status), (&*world.url("/public/bye?a"), 200), "{what}");
        } else {
            assert_signed_out_page(page, what);
        }
    }
    // A browser without a session here may have one at the provider.
    let location = world.browser().get(&world.url(SIGN_OUT)).location().expect("a redirect");
    assert!(parameters(&location).iter().all(|(name, _)| name != "id_token_hint"), "{location}");
}

#[test]
fn a_sign_out_returns_to_a_listed_url_only() {
    let world = World::with(|document| {
        document["sign_out"] = json!({
            "at_provider": false,
            "return_to": ["https://www.example.com/", "https://shop.example.com/bye"],
        });
    });
    let own = world.url("");
    let here = |path: &str| Some(format!("{own}{path}"));
    for (asked, to) in [
        ("/bye", here("/bye")),
        ("/bye?a=b&c", here("/bye?a=b&c")),
        (&*format!("{own}/bye"), here("/bye")),
        ("https://www.example.com/any?q", Some("https://www.example.com/any?q".to_owned())),
        ("https://shop.example.com/bye", Some("https://shop.example.com/bye".to_owned())),
        ("https://shop.example.com/bye/more", None),
        ("https://www.example.com.evil.example/", None),
        ("https://www.example.com@evil.example/", None),
        ("https://www.example.com:444/", None),
        ("http://www.example.com/", None),
        ("//evil.example/", here("/")),
        ("javascript:alert(1)", None),
        (&*format!("{own}.evil.example/"), None),
        (&*format!("{own}@evil.example/"), None),
        ("/oauth2/sign_out", here("/")),
        ("", None),
    ] {
        let (browser, _) = world.signed_in();
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("rd", asked).finish();
        let response = sign_out(&world, &browser, &format!("?{query}"));
        assert_eq!(response.location(), to, "{asked}");
        if to.is_none() {
            assert_signed_out_page(&response, asked);
        }
    }
}

#[test]
fn without_a_sign_out_at_the_provider_a_page_warns_of_the_session_there() {
    let issuer = Issuer::start();
    issuer.terms(|terms| terms.advertises_end_session = false);
    let world = World::around(issuer, |_| {});
    let (browser, _) = world.signed_in();
    let response = sign_out(&world, &browser, "");
    assert_signed_out_page(&response, "no end_session_endpoint");
    assert!(response.text().contains("may still know you"), "{}", response.text());

    // With `at_provider: false` there is no sign-out at the provider either.
    let world = World::with(|document| document["sign_out"] = json!({"at_provider": false}));
    let (browser, _) = world.signed_in();
    assert_signed_out_page(&sign_out(&world, &browser, ""), "at_provider: false");
    assert_eq!(world.issuer.requests(Endpoint::EndSession).len(), 0);
}

#[test]
fn a_sign_out_after_a_restart_reaches_the_provider_or_warns() {
    let mut world = World::with(|document| document["sign_out"] = json!({"revoke": true}));
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let (browser, session) = world.signed_in();
    let (other, _) = world.signed_in();
    world.restart(|_| {});
    let location = sign_out(&world, &browser, "").location().expect("a redirect");
    assert!(location.starts_with(&format!("{}{}?", world.issuer.url(), Endpoint::EndSession.path())), "{location}");
    assert!(parameters(&location).iter().any(|(name, _)| name == "id_token_hint"), "{location}");
    until("the revocation", || (world.issuer.revoked().len() == 1).then_some(()));
    let copy = Outgoing::fetch("/api").header("cookie", format!("{SESSION_COOKIE}={session}"));
    until_everywhere("the end of the session", || world.send(&copy).is_some_and(|answer| answer.status == 401));

    world.issuer.down();
    world.restart(|_| {});
    let page = std::thread::scope(|scope| {
        let held = scope.spawn(|| sign_out(&world, &other, ""));
        world.until_held(1);
        world.advance(5);
        held.join().expect("an answer")
    });
    assert_signed_out_page(&page, "a provider that cannot be reached");
    assert!(page.text().contains("still signed in there"), "{}", page.text());
    assert_eq!((world.metric("provider_session_left"), world.issuer.revoked().len()), (1, 1));
    world.issuer.up();
    until("the revocation", || {
        world.advance(15);
        (world.issuer.revoked().len() == 2).then_some(())
    });
    // The page's button leads there by now.
    world.until_ready();
    let again = Outgoing::navigation(SIGN_OUT).without("sec-fetch-site").header("sec-fetch-site", "same-origin");
    let location = other.visit(&world.url(SIGN_OUT), again).location().expect("a redirect");
    assert!(location.starts_with(&format!("{}{}?", world.issuer.url(), Endpoint::EndSession.path())), "{location}");
}

#[test]
fn a_refresh_token_is_revoked_where_configured_and_the_sign_out_waits_for_a_limited_time() {
    let mut world = World::with(|document| document["sign_out"] = json!({"revoke": true}));
    world.until_ready();
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let (browser, _) = world.signed_in();
    sign_out(&world, &browser, "");
    until("the revocation", || (world.issuer.revoked().len() == 1).then_some(()));
    let asked = world.issuer.requests(Endpoint::Revocation).swap_remove(0);
    assert_eq!(asked.form()[1], ("token_type_hint".to_owned(), "refresh_token".to_owned()), "{:?}", asked.form());
    assert!(asked.headers.has("authorization") && !asked.headers.has("cookie"), "{asked:?}");

    for (what, trouble) in [
        ("503", Some(Answer::status(503))),
        ("a refusal", Some(Answer::json(400, "{\"error\":\"unsupported_token_type\"}"))),
        ("no answer", Some(Answer::Hang)),
        ("down", None),
    ] {
        let (browser, session) = world.signed_in();
        let trouble_is_down = trouble.is_none();
        match trouble {
            Some(answer) => world.issuer.misbehave(Fault::Answer(Endpoint::Revocation, answer)),
            None => world.issuer.down(),
        }
        let failed = world.metric("revocation_failed");
        assert!(sign_out(&world, &browser, "").location().is_some(), "{what}");
        until("the end of the revocation", || (world.metric("revocation_failed") == failed + 1).then_some(()));
        let copy = Outgoing::fetch("/api").header("cookie", format!("{SESSION_COOKIE}={session}"));
        until_everywhere("the end of the session", || {
            // What passes meanwhile has reached the app.
            world.send(&copy).is_some_and(|answer| answer.status == 401)
        });
        world.issuer.behave();
        if trouble_is_down {
            world.issuer.up();
        }
    }
    // Where the provider had trouble it is asked again; where it refused it is not.
    until("the revocations", || {
        world.advance(15);
        (world.issuer.revoked().len() == 4).then_some(())
    });

    // Without the setting nothing is revoked, and without a token there is nothing to.
    world.restart(|document| document["sign_out"] = json!({}));
    world.until_ready();
    let (browser, _) = world.signed_in();
    sign_out(&world, &browser, "");
    world.restart(|document| document["sign_out"] = json!({"revoke": true}));
    world.until_ready();
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Never);
    let (browser, _) = world.signed_in();
    sign_out(&world, &browser, "");
    assert_eq!(world.issuer.revoked().len(), 4);
}

#[test]
fn a_copied_session_cookie_is_refused_only_by_the_envoy_of_the_sign_out() {
    let world = World::fleet(2);
    let (browser, session) = world.signed_in();
    let other_device = world.signed_in().0;
    sign_out(&world, &browser, "");
    let copy = Outgoing::fetch("/api").header("cookie", format!("{SESSION_COOKIE}={session}"));
    // At once in the worker that signed out, and a moment later in the other one.
    until_everywhere("the end of the session", || world.send(&copy).is_some_and(|answer| answer.status == 401));
    for _ in 0..8 {
        assert_unauthenticated(&world.send(&copy).expect("an answer"), "a copy");
    }
    // Another session of the same person is another session; another Envoy knows nothing of it without a store.
    assert_eq!(other_device.get(&world.url("/page")).status, 200);
    let elsewhere = world.browser().visit(&world.url_at(1, "/api"), copy);
    assert_eq!(elsewhere.status, 200, "without a store the other Envoys do not know");
}

#[test]
fn a_response_after_the_sign_out_restores_no_session() {
    let mut world = World::with(|document| document["session"]["idle_timeout_seconds"] = json!(600));
    world.add_envoy();
    let (browser, _) = world.signed_in();
    world.advance(120);
    std::thread::scope(|scope| {
        // It lets the idle timeout slide, and the app takes its time.
        let slow = scope.spawn(|| browser.get(&world.url("/page?held")));
        until("the request at the app", || (world.upstream.count() > 0).then_some(()));
        let response = browser.visit(
            &world.url(SIGN_OUT),
            Outgoing::navigation(SIGN_OUT)
                .method("POST")
                .without("sec-fetch-site")
                .header("sec-fetch-site", "same-origin")
                .body(""),
        );
        assert_eq!(response.code().as_deref(), Some("signed_out"), "{response:?}");
        assert_eq!(browser.session_cookies(), []);
        world.upstream.release();
        assert_eq!(slow.join().expect("an answer").status, 200);
    });
    let statuses = [0, 1].map(|number| world.through(&browser, number).get(&world.url("/page")).status);
    assert_eq!((browser.session_cookies().len(), statuses), (0, [302, 302]));
}
