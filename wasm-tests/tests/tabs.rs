//! Ten tabs at once: every one arrives at its own page.

use std::thread;

use wasm_tests::{
    http1::Response,
    user_agent::UserAgent,
    world::{LOGIN_LOOP_COOKIE, PENDING_COOKIE, SESSION_COOKIE, World, deleted_cookies},
};

/// An order that is neither first-come nor last-come.
const ORDER: [usize; 10] = [6, 2, 9, 0, 4, 8, 1, 7, 3, 5];

fn pending(browser: &UserAgent, world: &World) -> usize {
    browser.cookie_names(&world.url("/")).iter().filter(|name| name.starts_with(PENDING_COOKIE)).count()
}

fn assert_arrived(steps: &[(String, Response)], url: &str) {
    let (last, response) = steps.last().expect("a first step");
    assert_eq!((last.as_str(), response.status), (url, 200), "{steps:#?}");
}

#[test]
fn ten_tabs_opened_one_after_another_all_arrive_at_their_own_page() {
    let world = World::start();
    let browser = world.browser();
    let mut callbacks = Vec::new();
    for tab in 0..10 {
        let response = browser.get(&world.url(&format!("/tab/{tab}?q={tab}")));
        let sign_in = wasm_tests::world::assert_sign_in(&response, &world);
        assert!(pending(&browser, &world) <= 5, "{:?}", browser.cookie_names(&world.url("/")));
        // The newest is never the one that has to go.
        assert!(!deleted_cookies(&response).contains(&sign_in.cookie));
        callbacks.push(world.answer(&browser, &sign_in));
    }
    world.upstream.assert_saw_nothing();
    for tab in ORDER {
        assert_arrived(&browser.follow(&callbacks[tab]), &world.url(&format!("/tab/{tab}?q={tab}")));
    }
    assert!(browser.cookie_names(&world.url("/")).contains(&SESSION_COOKIE.to_owned()));
    assert_eq!(world.upstream.count(), 10);
}

#[test]
fn ten_tabs_opened_at_the_same_moment_all_arrive_at_their_own_page() {
    let world = World::start();
    let browser = world.browser();
    thread::scope(|scope| {
        for tab in 0..10 {
            let (browser, world) = (browser.clone(), &world);
            scope.spawn(move || {
                let url = world.url(&format!("/tab/{tab}"));
                assert_arrived(&browser.follow(&url), &url);
            });
        }
    });
    // Whatever is left over is cleared away by the next sign-in. How many sign-ins there were depends on who was first:
    // three or more in a row would be a loop.
    browser.jar().remove(SESSION_COOKIE);
    browser.jar().remove(LOGIN_LOOP_COOKIE);
    world.begin(&browser, "/one/more");
    assert!(pending(&browser, &world) <= 5, "{:?}", browser.cookie_names(&world.url("/")));
}

#[test]
fn an_account_switch_in_a_second_tab_replaces_the_whole_identity() {
    let world = World::start();
    let browser = world.browser();
    let (first, second) = (world.callback_url(&browser, "/first"), world.callback_url(&browser, "/second"));
    browser.get(&first);
    browser.get(&world.url("/first"));
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"alice"]);

    world.issuer.sign_in_as(serde_json::json!({"sub": "bob"}));
    browser.get(&second);
    browser.get(&world.url("/second"));
    let seen = world.upstream.last();
    assert_eq!(seen.headers.all("x-forwarded-user"), [b"bob"]);
    for name in ["x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-groups"] {
        assert!(!seen.headers.has(name), "{name} is still Alice's: {seen:?}");
    }
}

#[test]
fn tabs_with_interleaved_steps_all_arrive_at_their_own_page() {
    for count in [6, 20] {
        let world = World::start();
        let browser = world.browser();
        let urls: Vec<String> = (0..count).map(|tab| world.url(&format!("/tab/{tab}?q={tab}"))).collect();
        let mut under_way = urls.clone();
        // As where the provider takes its time: each tab takes one step, then each the next one.
        while under_way.iter().zip(&urls).any(|(at, url)| at != url) || world.upstream.count() == 0 {
            for at in &mut under_way {
                let response = browser.get(at);
                match response.location() {
                    Some(next) => *at = next,
                    None => assert_eq!((response.status, urls.contains(at)), (200, true), "{count} tabs: {response:?}"),
                }
            }
        }
        assert_eq!(under_way, urls);
        assert_eq!(pending(&browser, &world), 0, "{:?}", browser.cookie_names(&world.url("/")));
    }
}
