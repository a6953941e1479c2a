//! Callbacks that cannot end in a session: error responses of the provider (RFC 6749, 4.1.2.1), and sign-ins whose cookie
//! is gone.

use wasm_tests::world::{
    Parameters, SESSION_COOKIE, World, add_parameter, assert_page, assert_sign_in, assert_signed_in, changed,
    deleted_cookies,
};

#[test]
fn a_callback_without_its_cookie_restarts_the_sign_in_a_few_times_and_never_loops() {
    let world = World::start();
    let browser = world.browser();
    let mut callback = world.callback_url(&browser, "/deep?x=1");
    let mut restarts = 0;
    let page = loop {
        browser.jar().clear();
        let response = browser.get(&callback);
        if response.status != 302 {
            break response;
        }
        restarts += 1;
        assert!(restarts <= 3, "it goes on for ever");
        callback = world.answer(&browser, &assert_sign_in(&response, &world));
    };
    assert_page(&page, &[400], "too many restarts");
    assert!(restarts >= 1);
    assert_eq!(world.issuer.token_requests(), 0);

    // One restart that works ends at the page that was asked for first.
    let callback = world.callback_url(&browser, "/deep?x=1");
    browser.jar().clear();
    let steps = browser.follow(&callback);
    let (url, response) = steps.last().expect("a last step");
    assert_eq!((url.as_str(), response.status), (world.url("/deep?x=1").as_str(), 200), "{steps:#?}");

    // With a session there is nothing to start again.
    let late = world.browser();
    let callback = world.callback_url(&late, "/late");
    let session = browser.jar().find("127.0.0.1", SESSION_COOKIE).cloned().expect("a session");
    late.jar().clear();
    late.jar().put(session);
    let response = late.get(&callback);
    assert_eq!((response.status, response.location()), (303, Some(world.url("/late"))));
}

#[test]
fn an_expired_page_of_the_provider_restarts_the_sign_in_once_and_then_ends_in_a_page() {
    let world = World::start();
    let expired = |all: &mut Parameters| {
        all.retain(|(name, _)| name != "code");
        add_parameter(all, "error", "temporarily_unavailable");
        add_parameter(all, "error_description", "authentication_expired");
    };
    let (browser, response) = world.callback_with(expired);
    let again = assert_sign_in(&response, &world);
    assert_eq!(deleted_cookies(&response).len(), 1, "{response:?}");
    assert_signed_in(&browser.get(&world.answer(&browser, &again)), &world.url("/page"));
    assert!(world.log().contains("began a sign-in again: "), "{}", world.log());

    let (browser, response) = world.callback_with(expired);
    let again = assert_sign_in(&response, &world);
    let before = world.upstream.count();
    let response = browser.get(&changed(&world.answer(&browser, &again), expired));
    assert_page(&response, &[503], "the second time");
    assert_eq!(response.code().as_deref(), Some("provider_unavailable"));
    world.upstream.assert_saw_nothing_since(before, "an error");
    // A new sign-in succeeds.
    let again = world.begin(&browser, "/page");
    assert_signed_in(&browser.get(&world.answer(&browser, &again)), &world.url("/page"));
}

#[test]
fn provider_errors_give_a_page_with_the_next_step() {
    let world = World::start();
    let error = |error: &'static str| {
        move |all: &mut Parameters| {
            all.retain(|(name, _)| name != "code");
            add_parameter(all, "error", error);
        }
    };
    for (name, status) in [
        ("access_denied", 403),
        ("server_error", 503),
        ("consent_required", 400),
        ("invalid_scope", 400),
        ("<script>alert(1)</script>", 400),
        ("", 400),
    ] {
        let (browser, response) = world.callback_with(error(name));
        assert_page(&response, &[status], name);
        // The sign-in is over: its cookie goes, and a new one can be started at once.
        if !name.is_empty() {
            assert_eq!(deleted_cookies(&response).len(), 1, "{name}: {response:?}");
        }
        world.begin(&browser, "/page");
    }
    let (_, without_iss) = world.callback_with(|all| {
        error("access_denied")(all);
        all.retain(|(name, _)| name != "iss")
    });
    assert_page(&without_iss, &[400, 403], "an error without its issuer");

    for text in [
        "<script>alert(1)</script>",
        "\"onmouseover=alert(1) x=\"",
        "</title><script>alert(1)</script>",
        "\r\nset-cookie: evil=1\r\n",
        "\u{202e}txt.exe",
        "{{7*7}}",
    ] {
        let (_, response) = world.callback_with(|all| {
            error("access_denied")(all);
            add_parameter(all, "error_description", text);
            add_parameter(all, "error_uri", "javascript:alert(1)");
        });
        assert_page(&response, &[403], text);
        let html = response.text();
        for evil in ["<script", "alert(1)\"", "javascript:", "\u{202e}", "\"onmouseover"] {
            assert!(!html.contains(evil), "{evil} stands in {html}");
        }
        assert!(!response.headers.text("set-cookie").unwrap_or_default().contains("evil"));
    }
    assert_eq!(world.issuer.token_requests(), 0);
}
