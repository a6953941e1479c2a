//! The same filter for clients that speak HTTP/2, as most browsers do once there is TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use wasm_tests::{
    api_client::{API, STATIC_TOKEN, accept_tokens, with_token},
    http1::Response,
    http2::{PROTOCOL, TRAILERS},
    issuer::Issuer,
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{PENDING_COOKIE, SESSION_COOKIE, World, assert_signed_in, assert_unauthenticated},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Entries of HPACK's static table (RFC 7541, appendix A).
const GET: u8 = 0x80 | 2;
const ROOT: u8 = 0x80 | 4;
const HTTP: u8 = 0x80 | 6;

/// A world whose Envoy takes WebSockets over HTTP/2, and a browser that speaks it there.
fn world() -> (World, UserAgent) {
    let world = World::around(Issuer::start(), |setup| {
        setup.connection_manager.insert("http2_protocol_options".into(), json!({"allow_connect": true}));
    });
    let browser = world.browser().over_http2(world.envoy.port());
    (world, browser)
}

#[test]
fn a_browser_signs_in_over_http2() {
    let (world, browser) = world();
    // A worker that has no metadata yet does not redirect a sign-out to the provider.
    world.until_ready();
    let sign_in = world.begin(&browser, "/deep/link?a=1&b=%2F");
    let callback = world.answer(&browser, &sign_in);
    assert_signed_in(&browser.get(&callback), &world.url("/deep/link?a=1&b=%2F"));
    world.upstream.assert_saw_nothing();

    let page = browser.get(&world.url("/deep/link?a=1&b=%2F"));
    assert_eq!((page.status, page.text().as_str()), (200, "hello from the app"));
    let seen = world.upstream.last();
    assert_eq!(seen.target, "/deep/link?a=1&b=%2F");
    assert_eq!(seen.headers.all("x-forwarded-user"), [b"alice"]);
    assert!(!seen.headers.has("cookie"), "{seen:?}");

    let body: Vec<u8> = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
    let response = browser.visit(&world.url("/api"), Outgoing::fetch("/api").method("POST").body(&body));
    assert_eq!((response.status, world.upstream.last().body == body), (200, true), "{response:?}");
    assert_eq!(browser.get(&world.url("/oauth2/sign_out")).status, 303);
    assert_eq!(browser.cookie_names(&world.url("/")), [""; 0]);
    let before = world.upstream.count();
    let response = browser.visit(&world.url("/api"), Outgoing::fetch("/api").method("POST").body(&body));
    assert_unauthenticated(&response, "after the sign-out");
    world.upstream.assert_saw_nothing_since(before, "after the sign-out");
}

#[test]
fn split_http2_cookie_headers_are_read_and_ours_removed() {
    let (world, browser) = world();
    let (_, session) = world.signed_in();
    let ours = format!("{SESSION_COOKIE}={session}");
    let pending = format!("{PENDING_COOKIE}AAAAAAAAAAAAAAAAAAAAAA=x");
    let cases: [(&str, Vec<&str>, &str); 5] = [
        ("first", vec![&ours, "a=1", "b=2"], "a=1; b=2"),
        ("last", vec!["a=1", "b=\"x y\"", &ours], "a=1; b=\"x y\""),
        ("between", vec!["a=1", &pending, &ours, "a=2"], "a=1; a=2"),
        (
            "names like ours",
            vec!["x__Host-vestibule=1", &ours, "__Host-vestibule2=2"],
            "x__Host-vestibule=1; __Host-vestibule2=2",
        ),
        ("alone", vec![&ours], ""),
    ];
    for (what, crumbs, expected) in cases {
        let request = crumbs.iter().fold(Outgoing::fetch("/page"), |request, crumb| request.header("cookie", crumb));
        let response = browser.send(&world.url("/page"), &request).expect("an answer");
        assert_eq!(response.status, 200, "{what}: {response:?}");
        let seen = world.upstream.last();
        assert_eq!(seen.headers.text("cookie").unwrap_or_default(), expected, "{what}");
        assert_eq!(seen.headers.all("x-forwarded-user"), [b"alice"], "{what}");
    }
    // A duplicate session cookie is refused, and identity headers come from the filter only.
    let before = world.upstream.count();
    let request = Outgoing::fetch("/page").header("cookie", &ours).header("cookie", format!("{SESSION_COOKIE}=x"));
    assert_unauthenticated(&browser.send(&world.url("/page"), &request).expect("an answer"), "two sessions");
    world.upstream.assert_saw_nothing_since(before, "two sessions");
    let request = Outgoing::fetch("/public/page").header("x-forwarded-user", "mallory").header("cookie", &pending);
    assert_eq!(browser.send(&world.url("/public/page"), &request).expect("an answer").status, 200);
    let seen = world.upstream.last();
    assert!(!seen.headers.has("x-forwarded-user") && !seen.headers.has("cookie"), "{seen:?}");
}

#[test]
fn connect_passes_only_as_a_websocket_with_a_session() {
    let (world, browser) = world();
    let (_, session) = world.signed_in();
    let connect = |protocol: &str| Outgoing::new("CONNECT", "/socket").header(PROTOCOL, protocol);
    let websocket = || connect("websocket").header("sec-websocket-version", "13");
    let with_session = |request: Outgoing| request.header("cookie", format!("{SESSION_COOKIE}={session}"));
    let response = browser.send(&world.url("/socket"), &websocket()).expect("an answer");
    assert_unauthenticated(&response, "a WebSocket without a session");
    for (what, request) in [
        ("CONNECT", Outgoing::new("CONNECT", "")),
        ("CONNECT with a session", with_session(Outgoing::new("CONNECT", ""))),
        ("UDP", connect("connect-udp")),
        ("an unknown protocol", connect("x")),
        ("an unknown protocol, with a session", with_session(connect("x"))),
    ] {
        if let Ok(response) = browser.send(&world.url("/socket"), &request) {
            assert!(response.status >= 400, "{what}: {response:?}");
        }
        world.upstream.assert_saw_nothing();
    }
    let response = browser.send(&world.url("/socket"), &with_session(websocket())).expect("an answer");
    assert_eq!((response.status, world.upstream.count()), (200, 1), "{response:?}");
    assert_eq!(world.upstream.last().headers.text("upgrade").as_deref(), Some("websocket"));
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"alice"]);
}

#[test]
fn requests_without_mandatory_pseudo_headers_do_no_harm() {
    let (world, _) = world();
    let authority = literal(1, format!("127.0.0.1:{}", world.envoy.port()).as_bytes());
    let path = |path: &[u8]| literal(4, path);
    let page = path(b"/page");
    for (what, fields) in [
        ("no path", vec![vec![GET, HTTP], authority.clone()]),
        ("nothing at all", vec![]),
        ("only a method", vec![vec![GET]]),
        ("an empty path", vec![vec![GET, HTTP], authority.clone(), path(b"")]),
        ("a path without its slash", vec![vec![GET, HTTP], authority.clone(), path(b"page")]),
        ("two paths", vec![vec![GET, HTTP, ROOT], authority.clone(), page.clone()]),
        ("no authority", vec![vec![GET, HTTP], page.clone()]),
        ("no method", vec![vec![HTTP], authority.clone(), page.clone()]),
        ("an unknown method", vec![literal(2, b"\xff"), vec![HTTP], authority.clone(), page.clone()]),
        ("a path of odd bytes", vec![vec![GET, HTTP], authority.clone(), path(b"/public/\xff\x00\r\n")]),
        ("a path after the headers", vec![vec![GET, HTTP], authority.clone(), literal(58, b"x"), page]),
    ] {
        let block = fields.concat();
        let length = u8::try_from(block.len()).expect("a short request");
        // One HEADERS frame that ends its stream.
        let frame = [&[0, 0, length, 1, 5, 0, 0, 0, 1], &block[..]].concat();
        let mut stream = TcpStream::connect(("127.0.0.1", world.envoy.port())).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
        stream.write_all(&[PREFACE, &SETTINGS, &frame].concat()).expect("a connection that is open");
        // Envoy may answer, end the stream or the connection: whatever comes, the app is left alone.
        let mut answer = [0; 4096];
        while matches!(stream.read(&mut answer), Ok(length) if length > 0) {}
        assert!(world.upstream.count() == 0, "{what}: the app saw {:#?}", world.upstream.seen());
    }
}

/// A header field whose name is this entry of the static table, its value spelled out.
fn literal(name: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short value");
    // RFC 7541, 6.2.2: without indexing the name's entry has four bits, then more in a byte of its own.
    let name = if name < 15 { vec![name] } else { vec![15, name - 15] };
    [&name[..], &[length], value].concat()
}

#[test]
fn a_permitted_request_that_ends_in_empty_trailers_arrives() {
    let (world, browser) = world();
    let send = |path: &str| {
        let post = Outgoing::fetch(path).method("POST").body("a body").header(TRAILERS, "");
        browser.visit(&world.url(path), post)
    };
    let response = send("/public/page");
    assert_eq!((response.status, world.upstream.last().body.as_slice()), (200, b"a body".as_slice()), "{response:?}");
    let before = world.upstream.count();
    assert_eq!(send("/page").status, 401);
    world.upstream.assert_saw_nothing_since(before, "no session");
}

#[test]
fn bearer_tokens_work_over_http2_and_for_websockets() {
    let world = World::around(Issuer::start(), |setup| {
        accept_tokens(&mut setup.configuration);
        setup.connection_manager.insert("http2_protocol_options".into(), json!({"allow_connect": true}));
    });
    world.until_ready();
    let http2 = world.browser().over_http2(world.envoy.port());
    let access = world.issuer.access_token(API, |_| {});
    let send = |request: &Outgoing| -> Response { http2.send(&world.url("/api/x"), request).expect("an answer") };
    for (token, user) in [(STATIC_TOKEN, "ci"), (&access, "robot")] {
        assert_eq!(send(&with_token("/api/x", token)).status, 200);
        assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [user.as_bytes()]);
    }
    let upgrade = |request: Outgoing| {
        request
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let connect = |token: &str| {
        let request = Outgoing::new("CONNECT", "/api/socket").header(PROTOCOL, "websocket");
        request.header("sec-websocket-version", "13").header("authorization", format!("Bearer {token}"))
    };
    let before = world.upstream.count();
    for (what, response, status) in [
        ("an unknown token", send(&with_token("/api/x", "unknown")), 401),
        (
            "two lines",
            send(&with_token("/api/x", STATIC_TOKEN).header("authorization", format!("Bearer {STATIC_TOKEN}"))),
            400,
        ),
        ("two kinds", send(&with_token("/api/x", STATIC_TOKEN).header("authorization", "Basic YTpi")), 400),
        ("a WebSocket", world.send(&upgrade(with_token("/api/socket", "unknown"))).expect("an answer"), 401),
        (
            "a WebSocket without a token",
            world.send(&upgrade(Outgoing::new("GET", "/api/socket"))).expect("an answer"),
            401,
        ),
        ("a WebSocket over HTTP/2", send(&connect("unknown")), 401),
    ] {
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert!(response.headers.text("www-authenticate").is_some_and(|value| value.starts_with("Bearer ")), "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
    }
    let response = world.send(&upgrade(with_token("/api/socket", &access))).expect("an answer");
    assert_eq!((response.status, response.headers.has(MARK)), (101, true), "{response:?}");
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"robot"]);
    assert_eq!(send(&connect(STATIC_TOKEN)).status, 200);
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"ci"]);
}
