//! Several hosts behind one filter: sessions of each host, or of a parent domain with one host for all sign-ins.

use serde_json::{Value, json};
use wasm_tests::{
    browser::{place, text, walk},
    http1::Response,
    issuer::Issuer,
    site::{ALICE, Site},
    upstream::MARK,
    user_agent::{Cookie, Outgoing, UserAgent},
    world::{DOMAIN_COOKIE, SESSION_COOKIE, World, assert_signed_in, assert_unauthenticated, parameter},
};

/// Hosts below `app.localhost` and a pattern, served by one worker.
fn world(change: impl FnOnce(&mut Value)) -> World {
    World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        let origin = |name: &str| format!("http://{name}.app.localhost:{}", setup.port);
        let hosts = json!([origin("one"), origin("two"), "https://*.preview.app.localhost"]);
        setup.configuration["external_url"] = hosts;
        change(&mut setup.configuration);
    })
}

fn with_domain() -> World {
    world(|document| document["session"]["cookie_domain"] = json!("app.localhost"))
}

fn with_sign_in_host() -> World {
    world(|document| {
        document["session"]["cookie_domain"] = json!("app.localhost");
        let auth = document["external_url"][0].as_str().expect("a URL").replace("one.", "auth.");
        document["sign_in"] = json!({"external_url": auth});
    })
}

/// A URL of this host below `app.localhost`.
fn at(world: &World, name: &str, path: &str) -> String {
    format!("http://{name}.app.localhost:{}{path}", world.envoy.port())
}

/// A page load with this `Host`.
fn page_under(host: &str) -> Outgoing {
    Outgoing::navigation("/page").header("host", host)
}

/// Begins a sign-in here and returns the callback URL.
#[track_caller]
fn callback(world: &World, browser: &UserAgent, url: &str) -> String {
    let begun = browser.get(url);
    assert_eq!((begun.status, begun.code().as_deref()), (302, Some("sign_in_started")), "{begun:?}\n{}", world.log());
    browser.get(&begun.location().expect("a redirect")).location().expect("a way back")
}

/// Signs in at this page, which the app then serves.
#[track_caller]
fn sign_in(world: &World, browser: &UserAgent, url: &str) {
    let callback = callback(world, browser, url);
    assert_signed_in(&browser.get(&callback), url);
    assert_passes(world, browser, url);
}

#[track_caller]
fn assert_passes(world: &World, browser: &UserAgent, url: &str) {
    let response = browser.get(url);
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{url}: {response:?}\n{}", world.log());
    assert!(!world.upstream.last().headers.text("cookie").unwrap_or_default().contains("vestibule"));
}

/// Checks that the filter answers this itself, that the app sees nothing, and that the worker serves the next request.
#[track_caller]
fn assert_answered(world: &World, ask: impl FnOnce() -> Response, expected: (u16, &str), what: &str) -> Response {
    let before = world.upstream.count();
    let response = ask();
    assert_eq!((response.status, response.code().as_deref()), (expected.0, Some(expected.1)), "{what}: {response:?}");
    world.upstream.assert_saw_nothing_since(before, what);
    world.assert_serves();
    response
}

/// The session cookies that one host has set, as another host would have them.
fn moved(browser: &UserAgent, from: &str, to: &str) -> Vec<Cookie> {
    let jar = browser.jar();
    let of_host = jar.cookies().iter().filter(|cookie| cookie.host == from);
    of_host.map(|cookie| Cookie { host: to.to_owned(), ..cookie.clone() }).collect()
}

#[test]
fn each_host_has_its_own_sign_ins_and_sessions() {
    let world = world(|_| {});
    let browser = world.browser();
    for name in ["one", "two"] {
        let page = at(&world, name, "/page?a=b");
        let begun = browser.get(&page);
        let redirect_uri = parameter(&begun.location().expect("a redirect"), "redirect_uri");
        assert_eq!(redirect_uri, at(&world, name, "/oauth2/callback"));
        sign_in(&world, &browser, &page);
    }
    // The provider is known, but no session of this host.
    assert_eq!(browser.session_cookies().len(), 2);
    let seen = world.upstream.last().headers.text("x-forwarded-user");
    assert_eq!(seen.as_deref(), Some("alice"));
}

#[test]
fn a_session_cookie_is_refused_at_another_host() {
    let world = world(|_| {});
    let browser = world.browser();
    sign_in(&world, &browser, &at(&world, "one", "/page"));
    for name in ["two", "pr-7.preview", "evil"] {
        let thief = world.browser();
        let host = format!("{name}.app.localhost");
        for cookie in moved(&browser, "one.app.localhost", &host) {
            thief.jar().put(cookie);
        }
        assert!(thief.cookie_names(&at(&world, name, "/")).contains(&SESSION_COOKIE.to_owned()));
        let before = world.upstream.count();
        assert_unauthenticated(&thief.fetch(&at(&world, name, "/api")), name);
        assert_unauthenticated(&thief.fetch(&at(&world, name, "/oauth2/userinfo")), name);
        world.upstream.assert_saw_nothing_since(before, name);
        let code = if name == "evil" { "other_host" } else { "sign_in_started" };
        assert_answered(&world, || thief.get(&at(&world, name, "/page")), (302, code), name);
    }
    assert_passes(&world, &browser, &at(&world, "one", "/page"));
}

#[test]
fn a_host_that_is_not_listed_is_sent_to_the_first() {
    let world = world(|_| {});
    let port = world.envoy.port();
    for host in [
        "evil.app.localhost",
        "evil.example.com",
        "app.localhost",
        "preview.app.localhost",
        "a.b.preview.app.localhost",
        "x_y.preview.app.localhost",
        "x.preview.app.localhost.evil.test",
        "x.preview.app.localhost.",
        "one.app.localhost.",
        "one.app.localhost.evil.test",
        "x@one.app.localhost",
        "one.app.localhost@evil.test",
        "one.app.localhost,two.app.localhost",
        "[::1]",
    ] {
        let response =
            assert_answered(&world, || world.send(&page_under(host)).expect("an answer"), (302, "other_host"), host);
        let start = at(&world, "one", "/oauth2/start?rd=%2Fpage&session=keep");
        assert_eq!(response.location(), Some(start), "{host}");
        assert_eq!(response.set_cookies(), [""; 0], "{host}");
    }
    for host in ["ONE.app.LOCALHOST", "one.app.localhost", &format!("one.app.localhost:{port}"), "one.app.localhost:81"]
    {
        let response = world.send(&page_under(host)).expect("an answer");
        let redirect_uri = parameter(&response.location().expect("a redirect"), "redirect_uri");
        assert_eq!(redirect_uri, at(&world, "one", "/oauth2/callback"), "{host}");
    }
    // What a client says of the host elsewhere selects nothing.
    let forged = page_under("two.app.localhost")
        .header("x-forwarded-host", "one.app.localhost")
        .header("forwarded", "host=one.app.localhost");
    let response = world.send(&forged).expect("an answer");
    let redirect_uri = parameter(&response.location().expect("a redirect"), "redirect_uri");
    assert_eq!(redirect_uri, at(&world, "two", "/oauth2/callback"));
}

#[test]
fn a_host_of_a_pattern_signs_in_under_its_own_name() {
    let world = world(|_| {});
    let browser = world.browser();
    // Nothing ends TLS in front of this Envoy.
    let plain = |url: &str, name: &str| url.replace(&format!("https://{name}.app.localhost"), &at(&world, name, ""));
    for (asked, name) in [("PR-7.Preview.App.Localhost", "pr-7.preview"), ("x.preview.app.localhost:8443", "x.preview")]
    {
        let response = world.send(&page_under(asked)).expect("an answer");
        let redirect_uri = parameter(&response.location().expect("a redirect"), "redirect_uri");
        assert_eq!(redirect_uri, format!("https://{name}.app.localhost/oauth2/callback"));
        let callback = plain(&callback(&world, &browser, &at(&world, name, "/page")), name);
        assert_signed_in(&browser.get(&callback), &format!("https://{name}.app.localhost/page"));
        assert_passes(&world, &browser, &at(&world, name, "/page"));
    }
}

#[test]
fn a_callback_at_another_host_is_refused_and_redeems_nothing() {
    for domain in [false, true] {
        let world = if domain { with_domain() } else { world(|_| {}) };
        let browser = world.browser();
        let callback = callback(&world, &browser, &at(&world, "one", "/page"));
        for name in ["two", "pr-7.preview", "evil"] {
            let host = format!("{name}.app.localhost");
            for cookie in moved(&browser, "one.app.localhost", &host) {
                browser.jar().put(cookie);
            }
            let elsewhere = callback.replace("one.app.localhost", &host);
            let response = assert_answered(&world, || browser.get(&elsewhere), (400, "callback_state"), name);
            assert_eq!(response.set_cookies(), [""; 0], "{name}");
        }
        assert_signed_in(&browser.get(&callback), &at(&world, "one", "/page"));
    }
}

#[test]
fn rd_leads_to_listed_hosts_and_no_others() {
    let world = world(|_| {});
    let browser = world.browser();
    sign_in(&world, &browser, &at(&world, "one", "/page"));
    let (two, home) = (at(&world, "two", "/x?y"), at(&world, "one", "/"));
    let port = world.envoy.port();
    for (rd, target) in [
        (two.clone(), two.clone()),
        ("https://pr-7.preview.app.localhost/x".to_owned(), "https://pr-7.preview.app.localhost/x".to_owned()),
        (format!("http://evil.app.localhost:{port}/"), home.clone()),
        ("https://a.b.preview.app.localhost/".to_owned(), home.clone()),
        ("https://x.preview.app.localhost.evil.test/".to_owned(), home.clone()),
        ("https://x.preview.app.localhost@evil.test/".to_owned(), home.clone()),
        (format!("http://two.app.localhost:{port}@evil.test/"), home.clone()),
        (format!("http://two.app.localhost:{port}\\@evil.test/"), home.clone()),
        ("http://two.app.localhost/".to_owned(), home.clone()),
        (format!("//two.app.localhost:{port}/"), home.clone()),
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("rd", &rd)
            .append_pair("session", "keep")
            .finish();
        let url = at(&world, "one", &format!("/oauth2/start?{query}"));
        let response = assert_answered(&world, || browser.get(&url), (303, "already_signed_in"), &rd);
        assert_eq!(response.location(), Some(target), "{rd}");
    }
}

#[test]
fn a_domain_session_is_valid_at_each_configured_host() {
    let world = with_domain();
    let browser = world.browser();
    sign_in(&world, &browser, &at(&world, "two", "/page"));
    assert_eq!(browser.session_cookies().iter().map(|cookie| &*cookie.name).collect::<Vec<_>>(), [DOMAIN_COOKIE]);
    for name in ["one", "two", "pr-7.preview"] {
        assert_passes(&world, &browser, &at(&world, name, "/page"));
    }
    // A host that is not listed gets the cookie too, and it counts for nothing there.
    let evil = at(&world, "evil", "/page");
    let response = assert_answered(&world, || browser.get(&evil), (302, "other_host"), "a host that is not listed");
    assert_eq!(response.set_cookies(), [""; 0]);
    assert_passes(&world, &browser, &at(&world, "one", "/page"));
    // A host signs out of all.
    let out = at(&world, "one", "/oauth2/sign_out");
    assert_answered(&world, || browser.get(&out), (303, "signed_out"), "sign-out");
    assert!(browser.session_cookies().is_empty());
    let page = at(&world, "two", "/page");
    assert_answered(&world, || browser.get(&page), (302, "sign_in_started"), "after the sign-out");
}

#[test]
fn a_cookie_planted_by_a_sibling_host_creates_no_session() {
    let world = with_sign_in_host();
    let browser = world.browser();
    // Of two cookies with one name, the filter cannot tell which one it set.
    let planted = |host: &str, path: &str| Cookie {
        host: host.to_owned(),
        name: DOMAIN_COOKIE.to_owned(),
        value: b"planted".to_vec(),
        path: path.to_owned(),
        secure: true,
        http_only: true,
        same_site: None,
        max_age: None,
    };
    browser.jar().put(planted("one.app.localhost", "/page"));
    let page = at(&world, "one", "/page");
    let before = world.upstream.count();
    let mut url = page.clone();
    let mut steps = 0;
    let last = loop {
        let response = browser.get(&url);
        match response.location() {
            Some(next) => url = next,
            None => break response,
        }
        steps += 1;
        assert!(steps < 40, "a redirect loop at {url}");
    };
    assert_eq!(last.code().as_deref(), Some("sign_in_loop"), "{last:?}");
    world.upstream.assert_saw_nothing_since(before, "a planted cookie");
    world.assert_serves();
    // At the other host the session is good.
    assert_passes(&world, &browser, &at(&world, "two", "/page"));
}

#[test]
fn a_central_sign_in_host_needs_one_redirect_uri() {
    let world = with_sign_in_host();
    let browser = world.browser();
    let page = at(&world, "two", "/page?a=b");
    let begun = assert_answered(&world, || browser.get(&page), (302, "sign_in_host"), "a page without a session");
    let callback = callback(&world, &browser, &begun.location().expect("a redirect"));
    assert!(callback.starts_with(&at(&world, "auth", "/oauth2/callback?")), "{callback}");
    assert_signed_in(&browser.get(&callback), &page);
    for name in ["two", "one", "auth", "pr-7.preview"] {
        assert_passes(&world, &browser, &at(&world, name, "/page"));
    }
    // The provider sends the browser back to the sign-in host, which sends it on to where it signed out.
    let out = browser.get(&at(&world, "one", "/oauth2/sign_out")).location().expect("a redirect");
    assert_eq!(parameter(&out, "post_logout_redirect_uri"), at(&world, "auth", "/oauth2/signed_out"));
    let back = browser.get(&out).location().expect("a way back");
    let home = browser.get(&back);
    assert_eq!(home.location(), Some(at(&world, "one", "/oauth2/signed_out")), "{home:?}");
    assert!(browser.session_cookies().is_empty());
}

#[test]
fn a_logout_token_ends_the_sessions_of_every_host() {
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.bodies_while_headers_are_held = true;
        let origin = |name: &str| format!("http://{name}.app.localhost:{}", setup.port);
        setup.configuration["external_url"] = json!([origin("one"), origin("two")]);
        setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        setup.configuration["sign_out"] = json!({"back_channel": true});
    });
    let browser = world.browser();
    for name in ["one", "two"] {
        sign_in(&world, &browser, &at(&world, name, "/page"));
    }
    let token = world.issuer.logout_token_for(Some("alice"), None, |_| {});
    let response = world.deliver_logout(0, &token);
    assert_eq!(response.status, 200, "{response:?}");
    for name in ["one", "two"] {
        let page = at(&world, name, "/page");
        assert_answered(&world, || browser.get(&page), (302, "sign_in_started"), name);
    }
}

#[test]
fn a_real_browser_signs_in_once_for_two_hosts() {
    let site = Site::with_two_hosts();
    let url = |name: &str, path: &str| site.url(path).replace("app.localhost", &format!("{name}.app.localhost"));
    let (user, password) = ALICE;
    let [_, first, second, _, out, after] = walk(
        &url("one", "/"),
        [
            json!(["open", url("one", "/page?a=b")]),
            json!(["sign_in", user, password]),
            json!(["open", url("two", "/other")]),
            json!(["open", url("two", "/oauth2/sign_out")]),
            json!(["sign_out"]),
            json!(["open", url("one", "/page")]),
        ],
    );
    let cookies = first["cookies"].as_array().expect("cookies");
    let of_domain = cookies.iter().find(|cookie| cookie["name"] == DOMAIN_COOKIE).expect("a cookie of the domain");
    assert_eq!(of_domain["domain"], ".app.localhost", "{first:#}");
    for (seen, expected) in [(&first, url("one", "/page?a=b")), (&second, url("two", "/other"))] {
        assert_eq!(place(seen), expected, "{seen:#}\n{}", site.envoy.log());
        assert_eq!(text(seen, "text"), "hello from the app", "{seen:#}");
    }
    assert_eq!(second["navigations"].as_array().expect("navigations").len(), 1, "{second:#}");
    assert_eq!(place(&out), url("two", "/oauth2/signed_out"), "{out:#}");
    assert_eq!(text(&after, "origin"), site.provider.issuer(), "{after:#}");
}
