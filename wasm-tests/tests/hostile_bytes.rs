//! Bytes that no honest client sends: the worker lives, the app sees nothing, and no request is redirected elsewhere.

use serde_json::json;
use url::Url;
use wasm_tests::{
    api_client::{STATIC_TOKEN, assert_invalid_token, assert_passes, assert_refused, with_token, world},
    http1::Answering,
    issuer::Issuer,
    keys::base64url,
    upstream::MARK,
    user_agent::{Outgoing, connect},
    world::{SESSION_COOKIE, World, assert_signed_in},
};

/// Every header that decides anything, and some that do not.
const HEADERS: [&str; 26] = [
    "accept",
    "access-control-request-method",
    "access-control-request-headers",
    "authorization",
    "content-type",
    "cookie",
    "forwarded",
    "if-none-match",
    "origin",
    "proxy-authorization",
    "purpose",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-purpose",
    "te",
    "traceparent",
    "user-agent",
    "x-envoy-original-path",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-user",
    "x-request-id",
    "x-requested-with",
];
const VALUES: [&[u8]; 7] = [
    b"\xff\xfe\xfd",
    b"\x80",
    b"",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\",\"x\":\"\x1b[31m",
    b"text/html\xff, Bearer \xff, navigate\xff",
];

#[test]
fn hostile_header_values_crash_no_worker_and_grant_no_access() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let session = format!("{SESSION_COOKIE}={session}");
    for name in HEADERS {
        for value in VALUES {
            let what = format!("{name}: {}", String::from_utf8_lossy(value));
            for request in [
                Outgoing::navigation("/page").without(name).header(name, value),
                Outgoing::navigation("/page").header(name, value).header(name, value),
                Outgoing::fetch("/page").without(name).header(name, value),
                Outgoing::new("OPTIONS", "/page").header(name, value),
                Outgoing::navigation("/oauth2/callback?code=x&state=y").without(name).header(name, value),
                Outgoing::navigation("/oauth2/sign_out").without(name).header(name, value),
            ] {
                let before = world.upstream.count();
                let response = world.send(&request);
                let status = response.as_ref().map_or(0, |response| response.status);
                assert!(matches!(status, 0 | 200 | 302 | 303 | 400 | 401 | 405 | 431), "{what}: {response:?}");
                assert!(!response.is_some_and(|response| response.headers.has(MARK)), "{what}");
                world.upstream.assert_saw_nothing_since(before, &what);
            }
            if name == "authorization" || name == "cookie" {
                continue;
            }
            // With a session the same bytes pass, unless Envoy itself refuses them.
            let request = Outgoing::navigation("/page").without(name).header(name, value).header("cookie", &session);
            let response = world.send(&request);
            let status = response.as_ref().map_or(0, |response| response.status);
            assert!(matches!(status, 0 | 200 | 400), "{what}: {response:?}");
            if status == 200 && matches!(name, "user-agent" | "if-none-match") {
                assert_eq!(world.upstream.last().headers.all(name), [value], "{what}");
            }
        }
    }
}

#[test]
fn request_lines_of_any_kind_are_refused_or_protected() {
    let world = World::start();
    for line in [
        &b"GET /\xff\xfe HTTP/1.1"[..],
        b"GET /page\x00 HTTP/1.1",
        b"G\x00T /page HTTP/1.1",
        b"get /page HTTP/1.1",
        b"TRACE /page HTTP/1.1",
        b"CONNECT 127.0.0.1:80 HTTP/1.1",
        b"CONNECT /page HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET /page HTTP/1.0",
        b"GET /page HTTP/0.9",
        b"GET /page",
        b"GET http://evil.example/page HTTP/1.1",
        b"GET http://[::1]:99999/page HTTP/1.1",
        b"GET //evil.example/page HTTP/1.1",
        b"GET /page?\xff%ff%00 HTTP/1.1",
        b"PROPFIND /page HTTP/1.1",
        b"\xff\xff\xff\xff",
        b"PRI * HTTP/2.0",
    ] {
        let url = Url::parse(&world.url("/")).expect("a URL");
        let mut connection = connect(&url).expect("a connection");
        let bytes =
            [line, b"\r\nhost: x\r\naccept: text/html\r\nsec-fetch-mode: navigate\r\nconnection: close\r\n\r\n"]
                .concat();
        let _ = connection.send(&bytes);
        if let Ok(response) = connection.read_response(Answering::Other) {
            let what = String::from_utf8_lossy(line).into_owned();
            assert!(matches!(response.status, 302 | 400 | 401 | 404 | 405 | 426 | 501), "{what}: {response:?}");
        }
        world.upstream.assert_saw_nothing();
    }
    let long = format!("/page?{}", "x".repeat(50_000));
    let response = world.send(&Outgoing::navigation(&long)).expect("an answer");
    assert!(matches!(response.status, 302 | 400 | 414), "{}", response.status);
    let method = "M".repeat(1024);
    world.send(&Outgoing::navigation("/page").method(&method));
    let many = (0..90).fold(Outgoing::navigation("/page"), |request, at| request.header(format!("x-{at}"), "y"));
    assert_eq!(world.send(&many).expect("an answer").status, 302);
    world.upstream.assert_saw_nothing();
}

#[test]
fn pipelined_requests_are_decided_separately() {
    let world = World::start();
    let url = Url::parse(&world.url("/")).expect("a URL");
    let public = Outgoing::fetch("/public/x").header("x-forwarded-user", "mallory").bytes("x");
    let protected = Outgoing::fetch("/page").bytes("x");
    // No more than two: Envoy closes a connection after the second when it answered that itself.
    for (requests, expected) in
        [([&public, &protected], [(200, true), (401, false)]), ([&protected, &public], [(401, false), (200, true)])]
    {
        let mut connection = connect(&url).expect("a connection");
        connection.send(&[requests[0].as_slice(), requests[1]].concat()).expect("a connection");
        let statuses = [(); 2].map(|()| {
            let response = connection.read_response(Answering::Other).expect("an answer");
            (response.status, response.headers.has(MARK))
        });
        assert_eq!(statuses, expected);
    }
    assert!(world.upstream.seen().iter().all(|request| request.path() == "/public/x"));

    // Two lengths that disagree must not smuggle a second request past the decision.
    for head in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length: 0\r\ncontent-length: 44",
        "transfer-encoding : chunked",
    ] {
        let mut connection = connect(&url).expect("a connection");
        let smuggled = format!(
            "POST /public/x HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        let _ = connection.send(smuggled.as_bytes());
        let _ = connection.read_response(Answering::Other);
    }
    assert!(world.upstream.seen().iter().all(|request| request.path() == "/public/x"), "{:?}", world.upstream.seen());
    // These connections were not of a browser of this world, so its books are put straight here.
    let seen = world.upstream.count();
    assert!(seen >= 2);
    world.upstream.forget();
}

#[test]
fn the_return_target_stays_on_the_filters_origin() {
    let world = World::around(Issuer::start(), |setup| {
        for (field, value) in [
            ("normalize_path", json!(false)),
            ("merge_slashes", json!(false)),
            ("path_with_escaped_slashes_action", json!("KEEP_UNCHANGED")),
        ] {
            setup.connection_manager.insert(field.to_owned(), value);
        }
    });
    for target in [
        "//evil.example/",
        "///evil.example/",
        "////evil.example",
        "/\\evil.example/",
        "/\\/evil.example/",
        "/./\\evil.example",
        "/../\\evil.example",
        "/%09/evil.example",
        "/%0a/evil.example",
        "/%0d%0aset-cookie:evil=1",
        "/%5cevil.example",
        "/%2f/evil.example",
        "/%2e/%2fevil.example",
        "/.evil.example",
        "/@evil.example",
        "/:80/evil.example",
        "/?//evil.example",
        "/?x=http://evil.example",
        "/http://evil.example",
        "/;@evil.example",
        "/%00//evil.example",
        "/%e2%80%ae",
        "/a//b/../c?x=%0d%0a&y=%ff",
        "/oauth2x//evil",
    ] {
        let browser = world.browser();
        let response = browser.visit(&world.url("/"), Outgoing::navigation(target));
        if response.status == 400 || response.status == 404 {
            continue;
        }
        let sign_in = wasm_tests::world::assert_sign_in(&response, &world);
        let arrived = browser.get(&world.answer(&browser, &sign_in));
        assert_eq!(arrived.status, 303, "{target}: {arrived:?}");
        let location = arrived.location().expect("a Location");
        assert!(location.starts_with(&format!("{}/", world.url(""))), "{target}: {location}");
        let parsed = Url::parse(&location).expect("a URL");
        assert_eq!(parsed.origin(), Url::parse(&world.url("/")).expect("a URL").origin(), "{target}: {location}");
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{target}: {location}");
        assert!(!arrived.headers.text("set-cookie").unwrap_or_default().contains("evil"), "{target}");
    }
    // A target that is fine comes back byte for byte, however odd.
    for target in ["/a%20b?c=%2F%2f&d=%C3%BC&e=a+b&=&&f", "/page?", "/x?redirect=http://evil.example/%0a"] {
        let browser = world.browser();
        let arrived = browser.get(&world.callback_url(&browser, target));
        assert_signed_in(&arrived, &world.url(target));
    }
}

#[test]
fn hostile_bytes_in_authorization_are_refused_and_harm_no_worker() {
    let world = world();
    let line = |value: &[u8]| Outgoing::new("GET", "/api/x").header("authorization", value);
    let malformed = Some(", error=\"invalid_request\"");
    let long = [b"Bearer ".as_slice(), &[b'a'; 16 * 1024 + 1]].concat();
    let dots = [b"Bearer ".as_slice(), &[b'.'; 10_000]].concat();
    for value in [
        b"Bearer a b".as_slice(),
        b"Bearer a,b",
        b"Bearer a\tb",
        b"Bearer \xff\xfe",
        b"Bearer \"a\"",
        b"Bearer a;b",
        b"Bearer \xc3\xa9",
        b"Bearer  , ",
        b"Bearer realm=\"x\"",
        b"Bearer",
        b"Bearer ",
        b"Bearerx y",
        b"xBearer y",
        b"Basic YTpi, Bearer x",
        &long,
    ] {
        assert_refused(&world, &line(value), 400, "bearer_malformed", malformed);
    }
    for value in
        [dots.as_slice(), b"Bearer ..", b"Bearer ====", b"Bearer e30.e30.", b"Bearer e30.e30.e30", b"Bearer ~._-+/"]
    {
        assert_refused(&world, &line(value), 401, "invalid_token", Some(", error=\"invalid_token\""));
    }
    // Deep and wide JSON in a token's parts.
    for json in
        ["[".repeat(4000), format!("{{\"alg\":\"ES256\",\"a\":{}", "{\"a\":".repeat(900)), "{\"alg\":1}".to_owned()]
    {
        let part = base64url(json.as_bytes());
        assert_invalid_token(&world, &format!("{part}.{part}.AAAA"));
    }
    assert_refused(&world, &line(b"Bearer\tx"), 401, "invalid_token", Some(", error=\"invalid_token\""));
    // A line that does not name Bearer holds no bearer token.
    for value in [b"Basic YTpi".as_slice(), b"DPoP x", b"Digest username=forbearer", b""] {
        assert_refused(&world, &line(value), 401, "token_required", Some(""));
        let page = Outgoing::new("GET", "/page").header("authorization", value);
        let before = world.upstream.count();
        let refused = world.send(&page).expect("an answer");
        assert_eq!((refused.status, refused.code().as_deref()), (401, Some("sign_in_required")), "{refused:?}");
        world.upstream.assert_saw_nothing_since(before, "no token");
    }
    // Two lines, folded lines, and other bytes that Envoy may refuse by itself: the app sees nothing, and the worker lives.
    let good = format!("Bearer {STATIC_TOKEN}");
    let before = world.upstream.count();
    for request in [
        line(good.as_bytes()).header("authorization", &good),
        line(good.as_bytes()).header("Authorization", "Bearer other"),
        line(good.as_bytes()).header("authorization", "Basic YTpi"),
        line(b"Basic YTpi").header("authorization", &good),
        line(format!("Bearer\r\n {STATIC_TOKEN} x").as_bytes()),
        line(format!("Bearer {STATIC_TOKEN}\r\n x").as_bytes()),
        line(format!("Bearer {STATIC_TOKEN}\0").as_bytes()),
        line(format!("Bearer {STATIC_TOKEN}\rx").as_bytes()),
        line(format!("{good}\x7f").as_bytes()),
        Outgoing::new("GET", "/api/x").header("authorization ", &good),
        Outgoing::new("GET", "/api/x").header("proxy-authorization", &good),
        Outgoing::new("GET", "/api/x").header("x-authorization", &good),
        Outgoing::new("GET", format!("/api/x?access_token={STATIC_TOKEN}")),
        Outgoing::form("/api/x", &[("access_token", STATIC_TOKEN)]),
        Outgoing::new("GET", "/api/x")
            .header("cookie", format!("access_token={STATIC_TOKEN}; authorization=Bearer {STATIC_TOKEN}")),
    ] {
        if let Some(response) = world.send(&request) {
            assert!((400..500).contains(&response.status), "{request:?}: {response:?}");
        }
        world.upstream.assert_saw_nothing_since(before, "no valid token");
    }
    world.assert_serves();
    assert_passes(&world, &with_token("/api/x", STATIC_TOKEN), "ci");
    assert!(!world.log().contains(STATIC_TOKEN));
}
