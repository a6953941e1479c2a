//! A browser that is started again with all its tabs, whose session is over by then: every tab comes to its own page, and
//! what their sign-ins leave in the browser stays small.

use std::thread;

use serde_json::{Value, json};
use wasm_tests::{
    browser::{OtherTabs, names, place, tabs_at_once, text, walk},
    clock::Clock,
    process::until,
    site::{ALICE, Site},
    world::{LOGIN_LOOP_COOKIE, PENDING_COOKIE, SESSION_COOKIE},
};

const TABS: usize = 20;
/// Seconds for which a session is good here.
const LIFETIME: i64 = 600;
/// The longest `Cookie` header that is left of it.
const LONGEST: u64 = 4096;

fn tabs(site: &Site) -> Vec<String> {
    (0..TABS).map(|tab| site.url(&format!("/tab/{tab}?q={tab}&b=%2F"))).collect()
}

/// How long the `Cookie` header is that these make.
fn length(cookies: &Value) -> u64 {
    let length = |cookie: &Value| text(cookie, "name").len() as u64 + cookie["length"].as_u64().expect("a length");
    cookies.as_array().expect("cookies").iter().map(|cookie| length(cookie) + "=; ".len() as u64).sum()
}

/// Checks that every tab shows its own page of the app, requested with a session, and that at most `left_over` pending
/// sign-in cookies remain in the browser.
#[track_caller]
fn assert_arrived(site: &Site, shown: &Value, cookies: &Value, left_over: usize) {
    let urls = tabs(site);
    let shown = shown.as_array().expect("tabs");
    assert_eq!(shown.len(), urls.len());
    for (tab, url) in shown.iter().zip(&urls) {
        assert_eq!(place(tab), *url, "{tab:#}\n{}", site.envoy.log());
        assert_eq!(text(tab, "text"), "hello from the app", "{tab:#}");
    }
    let seen = site.app.seen();
    let pages: Vec<_> = seen.iter().filter(|request| request.path().starts_with("/tab/")).collect();
    assert_eq!(pages.len(), urls.len(), "{seen:#?}");
    for page in pages {
        assert_eq!(page.headers.all("x-forwarded-user"), [b"alice"], "{page:?}");
        assert!(!page.headers.has("cookie"), "{page:?}");
    }
    assert_eq!(site.envoy.metric("refused_sign_in_loop"), 0);
    let (pending, rest): (Vec<_>, Vec<_>) =
        names(cookies).into_iter().partition(|name| name.starts_with(PENDING_COOKIE));
    assert_eq!(rest, [SESSION_COOKIE, LOGIN_LOOP_COOKIE], "{cookies:#}");
    assert!(pending.len() <= left_over, "{pending:#?}");
    assert!(length(cookies) < LONGEST, "{cookies:#}");
}

/// A signed-in user loses the session by the step `lost`, then opens all tabs again.
fn restored(site: &Site, lost: Value) {
    let (user, password) = ALICE;
    let [.., restored] = walk(
        &site.url("/"),
        [json!(["open", site.url("/page")]), json!(["sign_in", user, password]), lost, json!(["tabs", tabs(site)])],
    );
    assert_arrived(site, &restored["tabs"], &restored["cookies"], 0);
}

#[test]
fn twenty_tabs_with_a_session_at_the_provider_arrive_without_their_session_cookie() {
    let site = Site::start();
    restored(&site, json!(["forget", "app.localhost"]));
}

#[test]
fn twenty_tabs_with_a_session_at_the_provider_arrive_after_their_session_has_expired() {
    let clock = Clock::new();
    let site = Site::with(|plan| {
        plan.setup.clock = Some(clock.clone());
        plan.setup.configuration["session"]["lifetime_seconds"] = json!(LIFETIME);
    });
    thread::scope(|scope| {
        // The browser is at this page while time passes.
        scope.spawn(|| {
            until("the last page of the day", || {
                let seen = site.app.seen();
                seen.iter().any(|request| request.path() == "/public/night").then(|| clock.set(LIFETIME + 60))
            });
            site.app.release();
        });
        restored(&site, json!(["open", site.url("/public/night?held")]));
    });
}

#[test]
fn twenty_tabs_arrive_once_the_user_has_signed_in_in_each() {
    let site = Site::start();
    let seen = tabs_at_once(&tabs(&site), ALICE, OtherTabs::Finished);
    assert_arrived(&site, &seen["arrived"], &seen["cookies"], 0);
}

#[test]
fn twenty_tabs_arrive_once_the_user_has_signed_in_in_one_and_opens_the_others_again() {
    let site = Site::start();
    let seen = tabs_at_once(&tabs(&site), ALICE, OtherTabs::OpenedAgain);
    // As many may be under way as may be begun one after the other.
    assert_arrived(&site, &seen["arrived"], &seen["cookies"], 5);
}
