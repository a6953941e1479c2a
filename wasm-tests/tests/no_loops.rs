//! Nobody is sent in circles: not where a cookie does not come back, nor with one that means nothing any more.

use serde_json::json;
use wasm_tests::{
    user_agent::{Outgoing, UserAgent},
    world::{SESSION_COOKIE, World, assert_page, assert_program_refused, assert_signed_in},
};

#[test]
fn three_sign_ins_in_a_minute_that_bring_no_session_end_on_a_page() {
    let world = World::start();
    let browser = world.browser();
    for _ in 0..3 {
        let callback = world.callback_url(&browser, "/page");
        assert_signed_in(&browser.get(&callback), &world.url("/page"));
        // What a browser does with a cookie that it finds too large, or a proxy with one that it does not know.
        browser.jar().remove(SESSION_COOKIE);
    }
    let page = browser.get(&world.url("/page"));
    assert_page(&page, &[400], "the fourth");
    assert_eq!(page.code().as_deref(), Some("sign_in_loop"));
    assert!(page.text().contains("Allow cookies"), "{}", page.text());
    assert_program_refused(&browser.visit(&world.url("/api"), Outgoing::fetch("/api")), "a script meanwhile");
    world.upstream.assert_saw_nothing();
    // "Try again" is a new start, and with cookies that come back all is well.
    let callback = world.callback_url(&browser, "/page");
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}

#[test]
fn a_cookie_that_means_nothing_any_more_is_replaced_by_the_sign_in_it_leads_to() {
    let mut world = World::start();
    let (_, of_old_key) = world.signed_in();
    world.restart(|document| document["session"]["keys"] = json!(["bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE="]));
    let (_, good) = world.signed_in();
    let altered: String = good.chars().rev().collect();
    let values =
        [of_old_key, altered, "x".to_owned(), "2.x".to_owned(), "5.".to_owned(), "A".repeat(4000), "%00".to_owned()];
    for value in values {
        let browser = UserAgent::clone(&world.browser());
        for name in [SESSION_COOKIE, "__Host-vestibule-1", "__Host-vestibule-3", "__Host-vestibule-t"] {
            browser.jar().take("127.0.0.1", "/", format!("{name}={value}; Secure; Path=/").as_bytes());
        }
        browser.jar().take("127.0.0.1", "/", b"app=1; Path=/");
        let what = format!("{value:.40}");
        let before = world.upstream.count();
        assert_program_refused(&browser.visit(&world.url("/api"), Outgoing::fetch("/api")), &what);
        let callback = world.callback_url(&browser, "/page");
        world.upstream.assert_saw_nothing_since(before, &what);
        assert_signed_in(&browser.get(&callback), &world.url("/page"));
        assert_eq!(browser.session_cookies().len(), 1, "{what}: {:?}", browser.cookie_names(&world.url("/")));
        assert_eq!(browser.get(&world.url("/page")).status, 200, "{what}");
        assert_eq!(world.upstream.last().headers.all("cookie"), [b"app=1"], "{what}");
    }
}
