//! Whatever cookies a browser brings or loses, it ends at its page or at one that says why not: never in a circle.

use serde_json::json;
use wasm_tests::{
    http1::Response,
    issuer::Endpoint,
    user_agent::UserAgent,
    world::{
        LOGIN_LOOP_COOKIE, PENDING_COOKIE, SESSION_COOKIE, World, assert_page, assert_sign_in, assert_signed_in,
        assert_unauthenticated, deleted_cookies,
    },
};

/// Another 32 bytes.
const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=";

fn tokens(world: &World) -> usize {
    world.issuer.requests(Endpoint::Token).len()
}

/// Completes a sign-in whose session the browser then throws away.
#[track_caller]
fn in_vain(world: &World, browser: &UserAgent) {
    let callback = world.callback_url(browser, "/page");
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
    browser.jar().remove(SESSION_COOKIE);
}

#[test]
fn after_three_sign_ins_without_a_session_a_page_names_the_reason() {
    let world = World::start();
    let browser = world.browser();
    for _ in 0..3 {
        in_vain(&world, &browser);
    }
    let (before, redeemed) = (world.upstream.count(), tokens(&world));
    assert_unauthenticated(&browser.fetch(&world.url("/api")), "a program");
    let page = browser.get(&world.url("/page"));
    assert_page(&page, &[400], "a loop");
    assert_eq!(page.code().as_deref(), Some("sign_in_loop"));
    for word in ["cookies", "3 sign-ins", "Try again"] {
        assert!(page.text().contains(word) || world.log().contains(word), "{word}: {}", page.text());
    }
    assert_eq!(deleted_cookies(&page), [LOGIN_LOOP_COOKIE]);
    world.upstream.assert_saw_nothing_since(before, "a loop");
    assert_eq!((tokens(&world), world.metric("refused_sign_in_loop")), (redeemed, 1));
    // "Try again" is a new start, and with a cookie that is kept it works.
    let steps = browser.follow(&world.url("/page"));
    assert_eq!((steps.len(), steps.last().expect("a page").1.status), (4, 200));

    // Slow sign-ins are no loop, and neither are repeated sign-outs.
    let browser = world.browser();
    for _ in 0..5 {
        in_vain(&world, &browser);
        world.advance(25);
    }
    for _ in 0..5 {
        assert_eq!(browser.follow(&world.url("/page")).last().expect("a page").1.status, 200);
        browser.get(&world.url("/oauth2/sign_out"));
    }
    // Nor who opens many pages at once while the session is good.
    for _ in 0..5 {
        let callback = browser.get(&world.url("/oauth2/start?rd=/page")).location().expect("a sign-in");
        let callback = browser.get(&callback).location().expect("a way back");
        assert_signed_in(&browser.get(&callback), &world.url("/page"));
    }
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}

#[test]
fn stale_foreign_and_malformed_session_cookies_are_replaced() {
    let other = World::start();
    let foreign = other.signed_in().1;
    let mut world = World::with(|document| document["session"]["lifetime_seconds"] = json!(3600));
    let old_key = world.signed_in().1;
    world.restart(|document| document["session"]["keys"] = json!([NEW_KEY]));
    let stale = world.signed_in().1;
    world.advance(3700);
    let cut = stale[..stale.len() / 2].to_owned();
    for (what, value) in [
        ("of another provider with the same key", foreign),
        ("of an old key", old_key),
        ("over", stale),
        ("cut", cut),
        ("empty", String::new()),
        ("nonsense", "%%% {} \"x\"".to_owned()),
        ("many parts", "5.AAAA".to_owned()),
        ("long", "A".repeat(3900)),
    ] {
        let browser = world.browser();
        let names = ["", "-1", "-2", "-4", "-t", "-p-AAAAAAAAAAAAAAAAAAAAAA"];
        for name in names {
            let line = format!("{SESSION_COOKIE}{name}={value}; Secure; Path=/");
            browser.jar().take("127.0.0.1", "/", line.as_bytes());
        }
        let before = world.upstream.count();
        assert_unauthenticated(&browser.fetch(&world.url("/api")), what);
        world.upstream.assert_saw_nothing_since(before, what);
        let steps = browser.follow(&world.url("/page"));
        let (url, page) = steps.last().expect("a page");
        assert_eq!((url.as_str(), page.status, steps.len()), (&*world.url("/page"), 200, 4), "{what}: {steps:#?}");
        // What is left is one good session and the count of sign-ins.
        let mut left = browser.cookie_names(&world.url("/"));
        left.sort();
        assert_eq!(left, [SESSION_COOKIE, LOGIN_LOOP_COOKIE], "{what}");
        for _ in 0..4 {
            assert_eq!(browser.get(&world.url("/page")).status, 200, "{what}");
        }
    }
}

#[test]
fn late_repeated_and_cookieless_callbacks_lead_to_the_page() {
    let world = World::start();
    let page = world.url("/page?q");
    let arrives = |browser: &UserAgent, callback: &str, what: &str| {
        let steps = browser.follow(callback);
        let (url, response) = steps.last().expect("a page");
        assert_eq!((url.as_str(), response.status), (&*page, 200), "{what}: {steps:#?}\n{}", world.log());
        steps
    };
    // C-07 and C-08: the cookie of the sign-in is gone, without and with a session.
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page?q");
    browser.jar().clear();
    let redeemed = tokens(&world);
    assert_sign_in(&browser.get(&callback), &world);
    assert_eq!(tokens(&world), redeemed, "a code without its cookie is not redeemed");
    arrives(&browser, &callback, "C-07");
    let redeemed = tokens(&world);
    assert_eq!(arrives(&browser, &callback, "C-08").len(), 2);
    assert_eq!(tokens(&world), redeemed);

    // C-09: it is there, and too old. A browser would have thrown it away by then.
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page?q");
    world.advance(1801);
    let redeemed = tokens(&world);
    assert_sign_in(&browser.get(&callback), &world);
    assert_eq!(tokens(&world), redeemed);
    arrives(&browser, &world.url("/page?q"), "C-09");

    // C-10: again and again without any cookie.
    let mut next = world.url("/page?q");
    let before = world.upstream.count();
    let mut steps = 0;
    let last: Response = loop {
        let response = world.browser().get(&next);
        steps += 1;
        assert!(steps < 16, "a loop");
        match response.location() {
            Some(location) => next = location,
            None => break response,
        }
    };
    assert_page(&last, &[400], "C-10");
    assert_eq!(last.code().as_deref(), Some("sign_in_loop"));
    world.upstream.assert_saw_nothing_since(before, "C-10");

    // C-11 and C-12: once more after it worked, and twice at the same moment.
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page?q");
    let before = tokens(&world);
    let target = callback.strip_prefix(&world.url("")).expect("our own").to_owned();
    let twice = vec![(callback.clone(), wasm_tests::user_agent::Outgoing::navigation(&target)); 2];
    for response in browser.at_once(&twice) {
        assert!(matches!(response.status, 302 | 303), "{response:?}");
    }
    assert!(tokens(&world) <= before + 1, "C-12");
    assert!(!browser.session_cookies().is_empty(), "C-12");
    assert_eq!(arrives(&browser, &callback, "C-11").len(), 2);
    assert!(tokens(&world) <= before + 1, "C-11");

    // Twenty tabs that were all sent to sign in, and come back one after the other.
    let browser = world.browser();
    let callbacks: Vec<String> = (0..20).map(|_| world.callback_url(&browser, "/page?q")).collect();
    for callback in callbacks.iter().rev() {
        arrives(&browser, callback, "twenty tabs");
    }
    let pending = browser.cookie_names(&page).iter().filter(|name| name.starts_with(PENDING_COOKIE)).count();
    assert!(pending <= 5, "{pending}");
}
