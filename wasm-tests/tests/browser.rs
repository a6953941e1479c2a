//! A user with a real browser, at the real provider.

use serde_json::{Value, json};
use wasm_tests::{
    browser::{Browser, Visit, names, place, text, walk, walk_without_cookies},
    http1::{Outcome, Server, response},
    site::{ALICE, Site},
    user_agent::UserAgent,
    world::{LOGIN_LOOP_COOKIE, SESSION_COOKIE, deleted_cookies},
};

const DEEP_LINK: &str = "/deep/link?a=1&b=%2F%20x&empty=&c=%C3%BC";

/// The statuses of the pages and redirects that led to this one.
fn statuses(seen: &Value) -> Vec<u64> {
    let navigations = seen["navigations"].as_array().expect("navigations");
    navigations.iter().filter_map(|navigation| navigation["status"].as_u64()).collect()
}

#[track_caller]
fn assert_at(seen: &Value, site: &Site, target: &str) {
    assert_eq!(place(seen), site.url(target), "{seen:#}\n{}", site.envoy.log());
    assert_eq!(text(seen, "text"), "hello from the app", "{seen:#}");
}

/// Whether the browser was at the provider on its way.
fn went_to_provider(seen: &Value, site: &Site) -> bool {
    let navigations = seen["navigations"].as_array().expect("navigations");
    navigations.iter().any(|navigation| text(navigation, "url").starts_with(site.provider.issuer()))
}

/// A page on another site that holds this HTML.
fn other_site(html: String) -> (Server, String) {
    let server = Server::start(0, move |_, connection| {
        let page = format!("<!doctype html><title>Elsewhere</title>{html}");
        match connection.send(&response(200, &[("content-type", "text/html")], page.as_bytes())) {
            Ok(()) => Outcome::KeepAlive,
            Err(_) => Outcome::Close,
        }
    });
    let url = format!("http://other.localhost:{}/", server.address().port());
    (server, url)
}

#[test]
fn a_user_signs_in_opens_tabs_and_signs_out() {
    let site = Site::start();
    let tabs: Vec<String> = (0..10).map(|tab| site.url(&format!("/tab/{tab}?q={tab}"))).collect();
    let seen = Visit {
        url: &site.url(DEEP_LINK),
        user: ALICE,
        second: Some(&site.url("/second?tab=1")),
        tabs: &tabs,
        sign_out: Some(&site.url("/oauth2/sign_out")),
    }
    .run();
    assert_eq!(text(&seen["asked_at"], "origin"), site.provider.issuer());
    assert_at(&seen["first"], &site, DEEP_LINK);
    assert_eq!(names(&seen["cookies"]), [SESSION_COOKIE, LOGIN_LOOP_COOKIE], "{seen:#}");
    let cookie = &seen["cookies"][0];
    assert_eq!(
        (&cookie["secure"], &cookie["httpOnly"], text(cookie, "sameSite"), text(cookie, "path")),
        (&json!(true), &json!(true), "Lax", "/"),
        "{cookie}"
    );

    let asked = site.app.seen().into_iter().find(|request| request.target == DEEP_LINK).expect("the deep link");
    for (name, value) in [
        ("x-forwarded-user", "alice"),
        ("x-forwarded-email", "alice@example.com"),
        ("x-forwarded-preferred-username", "alice"),
        ("x-forwarded-groups", "admins,staff"),
    ] {
        assert_eq!(asked.headers.all(name), [value.as_bytes()], "{name}");
    }
    assert!(site.app.seen().iter().all(|request| !request.headers.has("cookie")), "{:#?}", site.app.seen());

    assert_at(&seen["second"], &site, "/second?tab=1");
    assert_eq!(statuses(&seen["second"]), [200], "{seen:#}");
    for (tab, seen) in seen["tabs"].as_array().expect("tabs").iter().enumerate() {
        assert_at(seen, &site, &format!("/tab/{tab}?q={tab}"));
    }
    assert_eq!(text(&seen["signed_out"], "title"), "You are signed out");
    assert_eq!(names(&seen["signed_out"]["cookies"]), [""; 0], "{seen:#}");
}

#[test]
fn after_a_sign_out_a_page_asks_to_sign_in_again() {
    let site = Site::start();
    let (user, password) = ALICE;
    let [_, first, left_over, asked, out, again, back_in] = walk(
        &site.url("/"),
        [
            json!(["open", site.url(DEEP_LINK)]),
            json!(["sign_in", user, password]),
            json!(["reload"]),
            json!(["open", site.url("/oauth2/sign_out")]),
            json!(["sign_out"]),
            json!(["open", site.url(DEEP_LINK)]),
            json!(["sign_in", user, password]),
        ],
    );
    assert_at(&first, &site, DEEP_LINK);
    assert_eq!(statuses(&left_over), [200], "{left_over:#}");
    // The provider asks for confirmation. The session at the app has ended already.
    assert_eq!((text(&asked, "origin"), text(&asked, "title")), (site.provider.issuer(), "Sign out?"), "{asked:#}");
    assert_eq!(names(&asked["cookies"]), [""; 0], "{asked:#}");
    assert_eq!((text(&out, "title"), names(&out["cookies"])), ("You are signed out", vec![]), "{out:#}");
    assert_eq!(site.provider.seen("end_session.success"), 1);
    // The session at the provider has ended, too.
    assert_eq!((text(&again, "origin"), text(&again, "title")), (site.provider.issuer(), "Sign in"), "{again:#}");
    assert_at(&back_in, &site, DEEP_LINK);
}

#[test]
fn the_back_button_after_a_sign_in_shows_a_page() {
    let site = Site::start();
    let (user, password) = ALICE;
    let [_, _, arrived, form, forward, _, public, forward_to_form, app] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/public/start")]),
            json!(["open", site.url(DEEP_LINK)]),
            json!(["sign_in", user, password]),
            json!(["back"]),
            json!(["forward"]),
            json!(["back"]),
            json!(["back"]),
            json!(["forward"]),
            json!(["forward"]),
        ],
    );
    assert_at(&arrived, &site, DEEP_LINK);
    // The back button skips the filter's redirect and the callback: the only entry in between is the provider's form.
    for seen in [&form, &forward_to_form] {
        assert_eq!(text(seen, "origin"), site.provider.issuer(), "{seen:#}");
        assert!(statuses(seen).len() <= 1, "{seen:#}");
    }
    assert_at(&public, &site, "/public/start");
    for seen in [&forward, &app] {
        assert_at(seen, &site, DEEP_LINK);
        assert!(!went_to_provider(seen, &site), "{seen:#}");
    }

    // The callback that is opened again from the history leads to the page, too.
    let callback = arrived["navigations"].as_array().expect("navigations").iter();
    let callback =
        callback.map(|at| text(at, "url")).find(|url| url.contains("/oauth2/callback?")).expect("a callback");
    let [_, _, with_session, _, without] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/page")]),
            json!(["sign_in", user, password]),
            json!(["open", callback]),
            json!(["forget", "app.localhost"]),
            json!(["open", callback]),
        ],
    );
    assert_at(&with_session, &site, DEEP_LINK);
    assert!(!went_to_provider(&with_session, &site), "{with_session:#}");
    assert_at(&without, &site, DEEP_LINK);
}

#[test]
fn a_sign_out_from_another_site_needs_the_users_confirmation() {
    let site = Site::start();
    let (user, password) = ALICE;
    let out = site.url("/oauth2/sign_out");
    let (_server, elsewhere) = other_site(format!(
        "<img src='{out}'><iframe src='{out}'></iframe><a href='{out}'>link</a>\
         <form method='post' action='{out}'><button>form</button></form>"
    ));
    let [_, _, pictures, posted, still, _, asked, provider, done, after] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/page")]),
            json!(["sign_in", user, password]),
            json!(["open", elsewhere]),
            json!(["click", "button"]),
            json!(["open", site.url("/page")]),
            json!(["open", elsewhere]),
            json!(["click", "a"]),
            json!(["click", "button"]),
            json!(["sign_out"]),
            json!(["open", site.url("/page")]),
        ],
    );
    for seen in [&pictures, &posted, &still, &asked] {
        assert!(names(&seen["cookies"]).contains(&SESSION_COOKIE), "{seen:#}");
    }
    assert_eq!(text(&posted, "title"), "You are still signed in", "{posted:#}");
    assert_at(&still, &site, "/page");
    assert_eq!(statuses(&still), [200], "{still:#}");
    assert_eq!(text(&asked, "title"), "Sign out?", "{asked:#}");
    assert_eq!(text(&provider, "origin"), site.provider.issuer(), "{provider:#}");
    assert_eq!(text(&done, "title"), "You are signed out", "{done:#}");
    assert_eq!(names(&done["cookies"]), [""; 0], "{done:#}");
    for seen in [&asked, &done] {
        // Chromium may report the `frame-ancestors` refusal of the previous page late.
        let complaints = seen["complaints"].as_array().expect("complaints").iter();
        assert_eq!(complaints.filter(|said| !said.to_string().contains("frame-ancestors")).count(), 0, "{seen:#}");
    }
    assert!(went_to_provider(&after, &site), "{after:#}");
}

#[test]
fn a_user_in_a_frame_signs_in_at_the_top_level() {
    let site = Site::start();
    let (user, password) = ALICE;
    let frame = format!("<iframe src='{}'></iframe>", site.url("/panel?id=1"));
    let (_server, elsewhere) = other_site(frame.repeat(3));
    let own = site.public_page(&frame);
    let [framed, form, back, _, around, inside] = walk(
        &site.url("/"),
        [
            json!(["open", elsewhere]),
            json!(["frame", "a.button"]),
            json!(["sign_in", user, password]),
            json!(["forget", "app.localhost"]),
            json!(["open", own]),
            // The provider knows who it is.
            json!(["frame", "a.button"]),
        ],
    );
    // Neither there nor in a frame of the site has anything begun.
    for seen in [&framed, &around] {
        assert_eq!(names(&seen["cookies"]), [""; 0], "{seen:#}");
        assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    }
    assert!(!went_to_provider(&framed, &site), "{framed:#}");
    assert_eq!((text(&form, "origin"), text(&form, "title")), (site.provider.issuer(), "Sign in"), "{form:#}");
    assert_at(&back, &site, "/panel?id=1");
    assert_eq!(place(&inside), own, "{inside:#}\n{}", site.envoy.log());
    assert!(site.app.seen().iter().filter(|request| request.target == "/panel?id=1").count() >= 2);
}

#[test]
fn a_page_that_a_service_worker_fetches_is_sent_to_sign_in() {
    for options in ["", ", {cache: 'no-cache'}"] {
        let site = Site::start();
        let (user, password) = ALICE;
        let script = format!("addEventListener('fetch', (event) => event.respondWith(fetch(event.request{options})))");
        let script = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("script", &script)
            .append_pair("header", "service-worker-allowed:/")
            .finish();
        let page = format!(
            "<script>navigator.serviceWorker.register('/public/worker?{script}', {{scope: '/'}})\
             .then(() => navigator.serviceWorker.ready).then(() => document.body.append('ready'))</script>"
        );
        let [_, _, form, arrived] = walk(
            &site.url("/"),
            [
                json!(["open", site.public_page(&page)]),
                json!(["shows", "ready"]),
                json!(["open", site.url(DEEP_LINK)]),
                json!(["sign_in", user, password]),
            ],
        );
        assert_eq!(text(&form, "origin"), site.provider.issuer(), "{options}: {form:#}\n{}", site.envoy.log());
        assert_at(&arrived, &site, DEEP_LINK);
        // Firefox names this mode also for a page load that the worker passes on unchanged.
        let stays = options.is_empty() && Browser::chosen() != Browser::Firefox;
        let mode = if stays { "navigate" } else { "same-origin" };
        let asked = site.app.seen().into_iter().find(|request| request.target == DEEP_LINK).expect("the page");
        assert_eq!(asked.headers.text("sec-fetch-mode").as_deref(), Some(mode), "the worker passed the page on");
    }
}

#[test]
fn a_browser_without_cookies_gets_a_page_that_explains_it() {
    let site = Site::start();
    let (user, password) = ALICE;
    let [_, ended, reload] = walk_without_cookies(
        &site.url("/"),
        "app.localhost",
        [json!(["open", site.url(DEEP_LINK)]), json!(["sign_in", user, password]), json!(["reload"])],
    );
    for seen in [&ended, &reload] {
        assert_eq!(text(seen, "title"), "Your browser does not keep the sign-in", "{seen:#}");
        assert!(text(seen, "text").contains("sign_in_loop"), "{seen:#}");
        assert_eq!(names(&seen["cookies"]), [""; 0], "{seen:#}");
        assert!(statuses(seen).len() <= 15, "{seen:#}");
    }
    assert_eq!(site.provider.seen("/token"), 0);
    site.app.assert_saw_nothing();
}

#[test]
fn keys_that_the_provider_changes_between_two_sign_ins_are_followed() {
    type Change = fn(&Site);
    let rotate: Change = |site| site.provider.rotate_keys();
    let add: Change = |site| site.provider.add_keys();
    let retire: Change = |site| site.provider.retire_keys();
    for (what, changes) in [("all new", vec![rotate]), ("new ones first, then the old ones gone", vec![add, retire])] {
        let site = Site::start();
        let sign_in = || {
            let (url, page) = site.sign_in(&UserAgent::default(), DEEP_LINK);
            assert_eq!((url, page.status), (site.url(DEEP_LINK), 200), "{what}: {page:?}\n{}", site.envoy.log());
        };
        sign_in();
        for change in changes {
            change(&site);
            sign_in();
        }
        // The first keys, and the new ones once for both workers.
        assert_eq!(site.provider.seen("/jwks"), 2, "{what}");
    }
}

#[test]
fn every_algorithm_that_the_provider_signs_with_is_verified() {
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"] {
        let site = Site::with_client(|client| client["id_token_signed_response_alg"] = json!(algorithm));
        let browser = UserAgent::default();
        let (url, page) = site.sign_in(&browser, DEEP_LINK);
        assert_eq!((url, page.status), (site.url(DEEP_LINK), 200), "{algorithm}: {page:?}\n{}", site.envoy.log());
        assert_eq!(site.app.last().headers.all("x-forwarded-user"), [b"alice"], "{algorithm}");
        let out = browser.get(&site.url("/oauth2/sign_out"));
        assert_eq!(deleted_cookies(&out), [SESSION_COOKIE, LOGIN_LOOP_COOKIE], "{algorithm}");
    }
}
