//! An app in a frame of another site: whether its session comes along, in a real browser, and what other sites can do with it.

use std::thread;

use serde_json::json;
use wasm_tests::{
    browser::{Browser, text, walk, walk_with_third_party_cookies},
    envoy::{Envoy, Setup},
    http1::{Outcome, Request, Server, response},
    issuer::{Answer, Endpoint, Fault, Issuer},
    logout::accept_logouts,
    process::until,
    site::{ALICE, Site},
    upstream::Upstream,
    user_agent::Outgoing,
    world::{SESSION_COOKIE, World, assert_refused, assert_unauthenticated, document},
};

/// A page on another site with a frame that shows this URL.
fn other_site(framed: &str) -> (Server, String) {
    let page = format!("<!doctype html><title>Elsewhere</title><iframe src='{framed}'></iframe>");
    let server = Server::start(0, move |_, connection| {
        let sent = connection.send(&response(200, &[("content-type", "text/html")], page.as_bytes()));
        if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
    });
    let url = format!("http://other.localhost:{}/", server.address().port());
    (server, url)
}

/// The users that the app was told of with requests for this target.
fn users(seen: &[Request], target: &str) -> Vec<String> {
    let asked = seen.iter().filter(|request| request.target == target);
    asked.map(|request| request.headers.text("x-forwarded-user").unwrap_or_default()).collect()
}

#[test]
fn same_site_none_gives_cross_site_frames_the_session() {
    let (user, password) = ALICE;
    for (same_site, shown) in [("none", "hello from the app"), ("lax", "Sign in")] {
        let site = Site::with(|plan| plan.setup.configuration["session"]["same_site"] = json!(same_site));
        let (_server, elsewhere) = other_site(&site.url("/panel"));
        let [_, _, _, framed, _, again] = walk_with_third_party_cookies(
            &site.url("/"),
            true,
            [
                json!(["open", site.url("/page")]),
                json!(["sign_in", user, password]),
                json!(["open", elsewhere]),
                json!(["framed", shown]),
                json!(["reload"]),
                json!(["framed", shown]),
            ],
        );
        for seen in [&framed, &again] {
            assert_eq!(text(seen, "title"), "Elsewhere", "{seen:#}");
            assert_eq!(seen["complaints"], json!([]), "{seen:#}");
        }
        let users = users(&site.app.seen(), "/panel");
        assert_eq!(users, if same_site == "none" { vec!["alice"; 2] } else { vec![] }, "{}", site.envoy.log());
    }
}

#[test]
fn partitioned_cookies_sign_in_within_the_frame_where_third_party_cookies_are_blocked() {
    let partitioned = [("same_site", json!("none")), ("partitioned", json!(true))];
    let is_kept = Browser::chosen() != Browser::WebKit;
    let with_partition = if is_kept { "hello from the app" } else { "Your browser does not keep the sign-in" };
    for (session, shown) in [(&partitioned[..], with_partition), (&partitioned[..1], "Sign in"), (&[], "Sign in")] {
        // A provider that asks the user nothing.
        let (issuer, app) = (Issuer::start(), Upstream::start());
        let mut setup = Setup::new(app.port());
        let home = setup.external_url();
        setup.configuration = document(setup.port, &issuer.url());
        setup.configuration["external_url"] = json!(home);
        for (field, value) in session {
            setup.configuration["session"][field] = value.clone();
        }
        let envoy = Envoy::start(setup);
        let (_server, elsewhere) = other_site(&format!("{home}/panel"));
        let (_third, another) = other_site(&format!("{home}/panel"));
        let another = another.replace("other.localhost", "third.localhost");
        let steps = walk_with_third_party_cookies(
            &home,
            false,
            [
                json!(["open", elsewhere]),
                json!(["framed", shown]),
                json!(["reload"]),
                json!(["framed", shown]),
                json!(["open", another]),
                json!(["framed", shown]),
            ],
        );
        let users = users(&app.seen(), "/panel");
        let sign_ins = issuer.requests(Endpoint::Authorization).len();
        if session.len() == 2 && !is_kept {
            assert_eq!(users, [""; 0], "{steps:#?}\n{}", envoy.log());
        } else if session.len() == 2 {
            assert_eq!((users, sign_ins), (vec!["alice".to_owned(); 3], 2), "{steps:#?}\n{}", envoy.log());
        } else {
            assert_eq!((users, sign_ins), (vec![], 0), "{steps:#?}\n{}", envoy.log());
        }
    }
}

#[test]
fn a_frame_on_a_page_of_the_provider_ends_the_session() {
    let world = World::around(Issuer::start(), |setup| {
        accept_logouts(setup);
        setup.configuration["external_url"] = json!(setup.external_url());
    });
    let home = format!("{}://app.localhost:{}", Browser::chosen().scheme(), world.envoy.port());
    let (issuer, upstream) = (&world.issuer, &world.upstream);
    let [_, _, _, told, after] = thread::scope(|scope| {
        // The browser is at this page while the provider's learns which session it ends.
        scope.spawn(|| {
            let sid = until("a sign-in", || issuer.sids().pop());
            let of_session =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs([("iss", issuer.url()), ("sid", sid)]).finish();
            let body = format!(
                "<!doctype html><title>Signed out</title><body>\
                 <iframe src='{home}/oauth2/frontchannel_logout?{of_session}' onload='document.body.append(\"told\")'></iframe>"
            );
            let answer = Answer::Body { status: 200, content_type: "text/html", body: body.into_bytes() };
            issuer.misbehave(Fault::Answer(Endpoint::EndSession, answer));
            upstream.release();
        });
        walk(
            &home,
            [
                json!(["open", format!("{home}/page")]),
                json!(["open", format!("{home}/public/between?held")]),
                json!(["open", format!("{}/session/end", issuer.url())]),
                json!(["shows", "told"]),
                json!(["open", format!("{home}/page")]),
            ],
        )
    });
    assert_eq!(told["complaints"], json!([]), "{told:#}");
    assert_eq!(text(&after, "text"), "hello from the app", "{after:#}");
    assert_eq!(issuer.requests(Endpoint::Authorization).len(), 2, "{after:#}\n{}", world.log());
    assert_eq!(users(&upstream.seen(), "/page"), ["alice"; 2], "{}", world.log());
    upstream.forget();
}

#[test]
fn another_site_can_use_the_session_only_for_page_loads() {
    for partitioned in [false, true] {
        let world = World::with(|document| {
            document["session"]["same_site"] = json!("none");
            document["session"]["partitioned"] = json!(partitioned);
        });
        let (browser, session) = world.signed_in();
        let cookie = format!("{SESSION_COOKIE}={session}");
        let passes = |send: Outgoing| {
            let send = send.header("cookie", &cookie);
            let response = world.send(&send).expect("an answer");
            assert_eq!(response.status, 200, "{send:?}: {response:?}\n{}", world.log());
            assert_eq!(world.upstream.last().headers.text("x-forwarded-user").as_deref(), Some("alice"), "{send:?}");
        };
        let from = |send: Outgoing, site: &str| send.without("sec-fetch-site").header("sec-fetch-site", site);
        let framed = |send: Outgoing| send.without("sec-fetch-dest").header("sec-fetch-dest", "iframe");
        passes(framed(from(Outgoing::navigation("/panel"), "cross-site")));
        passes(from(Outgoing::navigation("/page"), "cross-site"));
        passes(framed(Outgoing::form("/form", &[("a", "b")])));
        passes(from(Outgoing::form("/form", &[("a", "b")]), "same-site"));
        passes(Outgoing::fetch("/api").method("POST"));

        let socket = Outgoing::new("GET", "/socket")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
        let scripts = [
            from(Outgoing::fetch("/api"), "cross-site"),
            from(Outgoing::fetch("/api").method("POST"), "cross-site"),
            from(Outgoing::fetch("/api").method("DELETE"), "cross-site").header("origin", "https://evil.example"),
            Outgoing::new("POST", "/api").header("origin", "https://evil.example"),
            Outgoing::new("POST", "/api").header("origin", "null"),
            Outgoing::new("GET", "/api").header("origin", "https://evil.example").header("accept", "text/event-stream"),
            Outgoing::new("POST", "/api")
                .header("sec-fetch-site", "cross-site")
                .header("sec-fetch-site", "same-origin"),
            socket.clone().header("origin", "https://evil.example"),
            socket.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "websocket"),
        ];
        for send in scripts {
            let before = world.upstream.count();
            let response = world.send(&send.clone().header("cookie", &cookie)).expect("an answer");
            assert_unauthenticated(&response, &format!("{send:?}"));
            world.upstream.assert_saw_nothing_since(before, "a request of another site");
        }
        for form in [from(Outgoing::form("/form", &[("a", "b")]), "cross-site")] {
            for form in [framed(form.clone()), form] {
                let before = world.upstream.count();
                let response = world.send(&form.clone().header("cookie", &cookie)).expect("an answer");
                assert_eq!(response.status, 401, "{form:?}: {response:?}");
                world.upstream.assert_saw_nothing_since(before, "a form of another site");
            }
        }
        // It is not signed out either.
        let out = from(Outgoing::form("/oauth2/sign_out", &[]), "cross-site");
        assert_refused(&world, &out, &browser, (405, "sign_out_method"));
        passes(Outgoing::fetch("/api"));
        // Every cookie goes with the attributes that it came with.
        let out = browser.get(&world.url("/oauth2/sign_out"));
        assert!(!out.set_cookies().is_empty(), "{out:?}");
        for line in out.set_cookies() {
            assert_eq!(line.contains("; SameSite=None; Partitioned;"), partitioned, "{line}");
        }
    }
}
