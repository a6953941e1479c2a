//! A sign-in starts only for a request that can finish one; every other request is refused with a code that says so.

use wasm_tests::{
    http1::Response,
    upstream::MARK,
    user_agent::Outgoing,
    world::{SESSION_COOKIE, World, assert_page, assert_refused, assert_sign_in, assert_unauthenticated},
};

fn bare(target: &str) -> Outgoing {
    Outgoing::new("GET", target)
}

fn navigation() -> Outgoing {
    Outgoing::navigation("/page")
}

#[track_caller]
fn ask(world: &World, request: &Outgoing, what: &str) -> Response {
    let response = world.send(request).unwrap_or_else(|| panic!("{what}: no answer"));
    world.upstream.assert_saw_nothing();
    response
}

#[test]
fn navigations_are_sent_to_sign_in() {
    let world = World::start();
    let mode = |mode: &str| navigation().without("sec-fetch-mode").header("sec-fetch-mode", mode);
    for (what, request) in [
        ("a browser of today", navigation()),
        ("a browser without Sec-Fetch", bare("/page").header("accept", "text/html,*/*;q=0.8")),
        ("a service worker that passes it on", mode("same-origin")),
        ("a conditional request", navigation().header("if-none-match", "\"x\"").header("range", "bytes=0-1")),
        ("HEAD", navigation().method("HEAD")),
    ] {
        assert_sign_in(&ask(&world, &request, what), &world);
    }
}

#[test]
fn requests_that_cannot_sign_in_get_401_and_no_cookie() {
    let world = World::start();
    let mode = |mode: &str| navigation().without("sec-fetch-mode").header("sec-fetch-mode", mode);
    for (what, request) in [
        ("fetch", Outgoing::fetch("/page")),
        ("XHR", bare("/page").header("x-requested-with", "XMLHttpRequest").header("accept", "text/html")),
        ("curl", bare("/page").header("accept", "*/*")),
        ("no Accept", bare("/page")),
        ("JSON", bare("/page").header("accept", "application/json")),
        ("cors", mode("cors")),
        ("no-cors", mode("no-cors")),
        ("same-origin", Outgoing::fetch("/page").without("sec-fetch-mode").header("sec-fetch-mode", "same-origin")),
        ("an unknown mode", mode("\u{fc}")),
        ("two modes", navigation().header("sec-fetch-mode", "cors")),
        ("prefetch", navigation().header("sec-purpose", "prefetch")),
        ("prerender", navigation().header("sec-purpose", "prefetch;prerender")),
        ("old prefetch", navigation().header("purpose", "prefetch")),
        (
            "POST of a script",
            Outgoing::fetch("/page").method("POST").header("content-type", "application/json").body("{}"),
        ),
        ("PUT", Outgoing::fetch("/page").method("PUT").body("x")),
        ("DELETE", Outgoing::fetch("/page").method("DELETE")),
        ("PROPFIND", Outgoing::fetch("/page").method("PROPFIND")),
        ("OPTIONS", Outgoing::fetch("/page").method("OPTIONS")),
        ("OPTIONS with Origin only", Outgoing::fetch("/page").method("OPTIONS").header("origin", "http://a.example")),
        ("event stream", bare("/page").header("accept", "text/event-stream")),
        (
            "gRPC-web",
            bare("/s/M").method("POST").header("content-type", "application/grpc-web+proto").body("\0\0\0\0\0"),
        ),
        ("Connect", bare("/s/M").method("POST").header("content-type", "application/connect+json").body("{}")),
        ("bearer token", Outgoing::fetch("/page").header("authorization", "Bearer anything")),
        ("bearer token of a browser", navigation().header("authorization", "bearer anything")),
        ("bearer token after a tab", Outgoing::fetch("/page").header("authorization", "Bearer\tforged.jwt.token")),
        ("bearer token after another scheme", Outgoing::fetch("/page").header("authorization", "Basic YQ==, Bearer x")),
        ("empty bearer token", Outgoing::fetch("/page").header("authorization", "Bearer ")),
        ("token in the query", Outgoing::fetch("/page?access_token=anything&token=anything")),
    ] {
        let response = ask(&world, &request, what);
        if what == "bearer token of a browser" {
            assert_eq!((response.status, response.set_cookies().len(), response.location()), (401, 0, None), "{what}");
            continue;
        }
        if request.headers.iter().any(|(_, value)| value.starts_with(b"application/grpc")) {
            assert_eq!((response.set_cookies().len(), response.location()), (0, None), "{what}: {response:?}");
            continue;
        }
        assert_unauthenticated(&response, what);
        let body: serde_json::Value =
            serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{what}: {response:?}"));
        assert!(body["error"].is_string(), "{what}: {body}");
        assert_eq!(body["code"].as_str(), response.code().as_deref(), "{what}");
    }
}

#[test]
fn a_frame_gets_a_page_that_links_to_the_top_level() {
    let world = World::start();
    let browser = world.browser();
    for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
        let frame = navigation().without("sec-fetch-dest").header("sec-fetch-dest", dest);
        let response = assert_refused(&world, &frame, &browser, (401, "sign_in_required"));
        assert_page(&response, &[401], dest);
        assert!(response.text().contains("target=\"_top\""), "{dest}: {response:?}");
    }
    assert_sign_in(&browser.get(&world.url("/oauth2/start?rd=%2Fpage&session=keep")), &world);
}

#[test]
fn a_page_under_another_host_is_redirected_and_signs_in_once() {
    let world = World::start();
    let www = |target: &str| Outgoing::navigation(target).header("host", "www.app.example");
    let moved = |target: &str| {
        let response = ask(&world, &www(target), target);
        assert_eq!((response.status, response.code().as_deref()), (302, Some("other_host")), "{response:?}");
        assert_eq!(response.set_cookies(), [""; 0]);
        response.location().expect("a place")
    };
    let browser = world.browser();
    let steps = browser.follow(&moved("/page?a=b"));
    assert_eq!(steps.last().map(|(url, page)| (url.as_str(), page.status)), Some((&*world.url("/page?a=b"), 200)));
    let seen = world.upstream.count();
    let response = browser.get(&world.send(&www("/other")).and_then(|response| response.location()).expect("a place"));
    assert_eq!((response.status, response.location()), (303, Some(world.url("/other"))), "{response:?}");
    world.upstream.assert_saw_nothing_since(seen, "only the way there");

    // Behind a proxy that rewrites the host of every request, each redirect happens once.
    let browser = world.browser();
    let through = |target: &str| browser.visit(&world.url(target), www(target));
    let target = |response: &Response| {
        let location = response.location().expect("a place");
        location.strip_prefix(&world.url("")).expect("a target").to_owned()
    };
    let began = through(&target(&through("/page")));
    let callback = world.answer(&browser, &assert_sign_in(&began, &world));
    let back = through(callback.strip_prefix(&world.url("")).expect("a target"));
    assert_eq!((back.status, target(&back)), (303, "/page".to_owned()), "{back:?}");
    for page in ["/page", "/other"] {
        assert_eq!(through(page).status, 200, "{page}");
    }
}

#[test]
fn an_unauthenticated_form_gets_a_page_and_is_not_delivered() {
    let world = World::start();
    for body in [b"a=1".to_vec(), Vec::new(), vec![b'x'; 300_000]] {
        let form = navigation()
            .method("POST")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", "http://127.0.0.1")
            .body(&body);
        let response = ask(&world, &form, "a form");
        assert_page(&response, &[401], "a form");
        assert_eq!(response.set_cookies(), [""; 0]);
    }
    let waiting = navigation().method("POST").header("expect", "100-continue").body("a=1");
    assert_page(&ask(&world, &waiting, "100-continue"), &[401], "100-continue");
    let chunked = Outgoing {
        body: b"3\r\na=1\r\n0\r\n\r\n".to_vec(),
        ..navigation().method("POST").header("transfer-encoding", "chunked")
    };
    assert_page(&ask(&world, &chunked, "chunked"), &[401], "chunked");
}

#[test]
fn an_unauthenticated_grpc_call_gets_a_grpc_status() {
    let world = World::start();
    let call = bare("/package.Service/Method")
        .method("POST")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body("\0\0\0\0\0");
    let response = ask(&world, &call, "gRPC");
    assert_eq!((response.status, response.headers.text("grpc-status").as_deref()), (200, Some("16")), "{response:?}");
    assert_eq!((response.set_cookies().len(), response.location()), (0, None));
}

#[test]
fn a_websocket_needs_a_session_too() {
    let world = World::start();
    let upgrade = bare("/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_unauthenticated(&ask(&world, &upgrade, "no session"), "no session");
    let expired = upgrade.clone().header("cookie", format!("{SESSION_COOKIE}=nonsense"));
    assert_unauthenticated(&ask(&world, &expired, "a bad session"), "a bad session");

    let (_, session) = world.signed_in();
    let response = world.send(&upgrade.header("cookie", format!("{SESSION_COOKIE}={session}"))).expect("an answer");
    assert_eq!((response.status, response.headers.has(MARK)), (101, true), "{response:?}");
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"alice"]);
}

#[test]
fn the_connection_header_of_an_upgrade_removes_no_identity_header() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let upgrade = |connection: &str| {
        bare("/socket")
            .header("connection", connection)
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("cookie", format!("{SESSION_COOKIE}={session}"))
    };
    let nominated = upgrade("Upgrade, X-Forwarded-User");
    for (what, request, expected) in [
        ("as browsers send it", upgrade("keep-alive, Upgrade"), "keep-alive, Upgrade"),
        ("one option", nominated.clone(), "Upgrade"),
        ("two lines", upgrade("Upgrade").header("connection", "x-forwarded-groups"), "Upgrade"),
        ("another spelling", upgrade("X_Forwarded_User,cookie, upgrade"), "upgrade"),
        (
            "what else names headers",
            nominated
                .header("keep-alive", "X-Forwarded-User")
                .header("proxy-connection", "X-Forwarded-User")
                .header("te", "X-Forwarded-User"),
            "Upgrade",
        ),
    ] {
        let response = world.send(&request).unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(response.status, 101, "{what}: {response:?}");
        let seen = world.upstream.last();
        assert_eq!(seen.headers.all("connection"), [expected.as_bytes()], "{what}: {seen:?}");
        assert_eq!(seen.headers.all("x-forwarded-user"), [b"alice"], "{what}");
        // TE is forwarded, because it lists transfer codings and no header names (RFC 9110, 10.1.4).
        for name in ["keep-alive", "proxy-connection"] {
            assert!(!seen.headers.has(name), "{what}: {seen:?}");
        }
    }
    // Envoy itself takes them out of everything else.
    let request = navigation().header("cookie", format!("{SESSION_COOKIE}={session}"));
    world.send(&request.header("connection", "X-Forwarded-User")).expect("an answer");
    let seen = world.upstream.last();
    assert_eq!((seen.headers.has("connection"), seen.headers.has("x-forwarded-user")), (false, true), "{seen:?}");
}

#[test]
fn a_true_preflight_passes_without_identity_and_nothing_else_does() {
    let world = World::start();
    let preflight = || {
        bare("/api")
            .method("OPTIONS")
            .header("origin", "http://a.example")
            .header("access-control-request-method", "PUT")
    };
    for (what, request) in [
        ("GET", preflight().method("GET")),
        ("POST", preflight().method("POST").body("x")),
        ("no Origin", preflight().without("origin")),
        ("no requested method", preflight().without("access-control-request-method")),
        // Browsers send none of these in a preflight, and an app would act on each.
        ("a body", preflight().header("content-type", "application/json").body("{}")),
        ("a body of no type", preflight().body("x")),
        ("an upgrade", preflight().header("connection", "upgrade").header("upgrade", "websocket")),
        ("credentials", preflight().header("authorization", "Basic YTpi")),
        ("another method", preflight().header("x-http-method-override", "DELETE")),
        ("another method, as CGI reads it", preflight().header("X_HTTP_Method_Override", "DELETE")),
    ] {
        assert_unauthenticated(&ask(&world, &request, what), what);
    }
    let (_, session) = world.signed_in();
    let forged = preflight()
        .header("cookie", format!("{SESSION_COOKIE}={session}; other=1"))
        .header("x-forwarded-user", "mallory");
    for request in [preflight(), forged] {
        let response = world.send(&request).expect("an answer");
        assert_eq!((response.status, response.set_cookies().len()), (200, 0), "{response:?}");
        let seen = world.upstream.last();
        assert_eq!(seen.headers.all("origin"), [b"http://a.example"]);
        assert!(!seen.headers.has("x-forwarded-user"), "{seen:?}");
        assert!(!seen.headers.text("cookie").unwrap_or_default().contains(SESSION_COOKIE), "{seen:?}");
    }
}

#[test]
fn with_a_session_every_method_passes_with_its_body() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    let body: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let response = browser.visit(&world.url("/api"), Outgoing::fetch("/api").method(method).body(&body));
        assert_eq!(response.status, 200, "{method}");
        let seen = world.upstream.last();
        assert!(seen.method == method && seen.body == body, "{method}: {} bytes arrived", seen.body.len());
    }
    assert_eq!(browser.visit(&world.url("/api"), Outgoing::fetch("/api").method("HEAD")).status, 200);
    assert_eq!(browser.fetch(&world.url("/api")).status, 200);
}
