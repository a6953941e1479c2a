//! Answers to requests without a session, by the kind of caller: a redirect to the provider, a page or JSON.

use serde_json::json;

use super::{
    super::event::Reason,
    world::{APP, Outcome, World, header, location, query_of},
};
use crate::http::{LocalReply, Request};

/// How a request without a session is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// A page in a frame, with a link that opens at the top.
    Frame,
    /// JSON.
    Json,
    /// A page.
    Page,
    /// A redirect to the provider, and a cookie.
    SignIn,
    /// The redirect alone.
    SignInWithoutCookie,
}

/// `Accept` of page loads: Chromium 156, Firefox 145, Safari 26, a browser of 2012.
const CHROMIUM: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
                        application/signed-exchange;v=b3;q=0.7";
const FIREFOX: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const OLD: &str = "text/html, application/xhtml+xml, */*";

/// Header values of a browser's request: Sec-Fetch-Site, -Mode, -Dest, and Accept. Empty ones are not sent.
type Fetched = [&'static str; 4];

#[rustfmt::skip]
const BROWSERS: [(&str, Fetched, Answer); 44] = [
    ("Chromium: typed", ["none", "navigate", "document", CHROMIUM], Answer::SignIn),
    ("Firefox, Safari: a link elsewhere", ["cross-site", "navigate", "document", FIREFOX], Answer::SignIn),
    ("a redirect to another name of the site", ["same-site", "navigate", "document", FIREFOX], Answer::SignIn),
    ("before Sec-Fetch-Dest", ["none", "navigate", "", FIREFOX], Answer::SignIn),
    ("before Sec-Fetch", ["", "", "", OLD], Answer::SignIn),
    ("a proxy that leaves one out", ["", "", "document", FIREFOX], Answer::SignIn),
    ("a proxy that leaves the others out", ["", "navigate", "", "*/*"], Answer::SignIn),
    ("Chromium: a link with `download`", ["same-origin", "navigate", "empty", ""], Answer::SignIn),
    // A service worker: fetch(event.request), fetch(event.request, {...}), new Request(event.request, {...}).
    ("worker, as it came", ["same-origin", "navigate", "empty", CHROMIUM], Answer::SignIn),
    ("worker, as it came, Firefox", ["same-origin", "navigate", "document", FIREFOX], Answer::SignIn),
    ("worker, changed", ["same-origin", "same-origin", "empty", CHROMIUM], Answer::SignIn),
    ("worker, changed, Firefox", ["same-origin", "same-origin", "empty", FIREFOX], Answer::SignIn),
    ("worker, changed, destination kept", ["same-origin", "same-origin", "document", FIREFOX], Answer::SignIn),
    ("worker, changed, no destination", ["same-origin", "same-origin", "", FIREFOX], Answer::SignIn),
    // fetch(event.request.url): a redirect to another origin would fail.
    ("worker, its URL alone", ["same-origin", "cors", "empty", "*/*"], Answer::Json),
    ("worker, its URL and headers", ["same-origin", "cors", "empty", CHROMIUM], Answer::Json),
    ("iframe", ["cross-site", "navigate", "iframe", CHROMIUM], Answer::Frame),
    ("iframe of the site's own", ["same-origin", "navigate", "iframe", FIREFOX], Answer::Frame),
    ("frame", ["same-origin", "navigate", "frame", FIREFOX], Answer::Frame),
    ("embed", ["same-site", "navigate", "embed", CHROMIUM], Answer::Frame),
    ("object", ["cross-site", "navigate", "object", CHROMIUM], Answer::Frame),
    ("fencedframe", ["cross-site", "navigate", "fencedframe", CHROMIUM], Answer::Frame),
    ("iframe, through a worker", ["same-origin", "same-origin", "iframe", FIREFOX], Answer::Frame),
    ("iframe, a proxy that leaves the mode out", ["cross-site", "", "iframe", FIREFOX], Answer::Frame),
    ("fetch", ["same-origin", "cors", "empty", "*/*"], Answer::Json),
    ("fetch of HTML", ["same-origin", "cors", "empty", "text/html, application/xhtml+xml"], Answer::Json),
    ("fetch, same-origin", ["same-origin", "same-origin", "empty", "*/*"], Answer::Json),
    ("fetch of HTML, same-origin", ["same-origin", "same-origin", "empty", "text/html"], Answer::Json),
    ("EventSource", ["same-origin", "cors", "empty", "text/event-stream"], Answer::Json),
    ("sendBeacon", ["same-origin", "no-cors", "empty", "*/*"], Answer::Json),
    ("link rel=prefetch", ["same-origin", "no-cors", "empty", CHROMIUM], Answer::Json),
    ("module script", ["same-origin", "cors", "script", "*/*"], Answer::Json),
    ("worker script", ["same-origin", "same-origin", "worker", "*/*"], Answer::Json),
    ("service worker script", ["same-origin", "same-origin", "serviceworker", FIREFOX], Answer::Json),
    ("style sheet", ["same-origin", "no-cors", "style", "text/css,*/*;q=0.1"], Answer::Json),
    ("favicon", ["same-origin", "no-cors", "image", "image/avif,image/webp,image/*,*/*;q=0.8"], Answer::Json),
    ("SVG in a page that asks for HTML too", ["same-origin", "no-cors", "image", FIREFOX], Answer::Json),
    ("favicon before Sec-Fetch", ["", "", "", "image/png,image/*;q=0.8,*/*;q=0.5"], Answer::Json),
    ("web manifest", ["same-origin", "cors", "manifest", "*/*"], Answer::Json),
    ("video", ["same-origin", "no-cors", "video", "*/*"], Answer::Json),
    ("WebSocket", ["same-origin", "websocket", "websocket", FIREFOX], Answer::Json),
    ("a mode that nobody knows", ["same-origin", "navigation", "document", FIREFOX], Answer::Json),
    ("a destination that nobody knows", ["same-origin", "navigate", "fence", FIREFOX], Answer::Json),
    ("curl", ["", "", "", "*/*"], Answer::Json),
];

type Headers = &'static [(&'static str, &'static str)];

/// Other requests: method, and all headers.
#[rustfmt::skip]
const OTHERS: [(&str, &str, Headers, Answer); 34] = [
    ("M-16 nothing said", "GET", &[], Answer::Json),
    ("navigation preload of a worker", "GET", &[NAVIGATE, ("sec-fetch-dest", "empty"), ("service-worker-navigation-preload", "true"), HTML], Answer::SignIn),
    ("M-03 HEAD of a browser", "HEAD", &[("sec-fetch-mode", "navigate"), HTML], Answer::SignIn),
    ("mail scanner, HEAD", "HEAD", &[HTML], Answer::SignInWithoutCookie),
    ("mail scanner, HEAD of anything", "HEAD", &[("accept", "*/*")], Answer::Json),
    ("H-07 mode twice", "GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors"), HTML], Answer::Json),
    ("H-07 destination twice", "GET", &[NAVIGATE, ("sec-fetch-dest", "document"), ("sec-fetch-dest", "iframe"), HTML], Answer::Json),
    ("XHR", "GET", &[HTML, ("x-requested-with", "XMLHttpRequest")], Answer::Json),
    ("XHR, same-origin", "GET", &[HTML, ("sec-fetch-mode", "same-origin"), ("x-requested-with", "a")], Answer::Json),
    ("M-08 WebSocket", "GET", &[HTML, ("upgrade", "websocket"), ("connection", "upgrade")], Answer::Json),
    ("M-10 gRPC", "POST", &[("content-type", "application/grpc")], Answer::Json),
    ("M-11 gRPC-Web", "POST", &[("content-type", "application/grpc-web+proto"), HTML], Answer::Json),
    ("M-17 Chromium prefetches", "GET", &[NAVIGATE, DOCUMENT, ("sec-purpose", "prefetch"), HTML], Answer::Json),
    ("M-17 by its proxy", "GET", &[NAVIGATE, DOCUMENT, ("sec-purpose", "prefetch;anonymous-client-ip"), HTML], Answer::Json),
    ("M-17 Chromium prerenders", "GET", &[NAVIGATE, DOCUMENT, ("sec-purpose", "prefetch;prerender"), HTML], Answer::Json),
    ("M-17 Chromium before 2022", "GET", &[NAVIGATE, ("purpose", "prefetch"), HTML], Answer::Json),
    ("M-17 Firefox", "GET", &[("x-moz", "prefetch"), HTML], Answer::Json),
    ("M-17 Safari's preview", "GET", &[("x-purpose", "preview"), HTML], Answer::Json),
    ("M-17 in a frame", "GET", &[NAVIGATE, ("sec-fetch-dest", "iframe"), ("sec-purpose", "prefetch"), HTML], Answer::Json),
    ("M-01 a form", "POST", &[NAVIGATE, DOCUMENT, HTML], Answer::Page),
    ("a form through a worker", "POST", &[NAVIGATE, ("sec-fetch-dest", "empty"), HTML], Answer::Page),
    ("a form in a frame", "POST", &[NAVIGATE, ("sec-fetch-dest", "iframe"), HTML], Answer::Frame),
    ("M-02 JSON", "POST", &[("content-type", "application/json")], Answer::Json),
    ("M-05 TRACE", "TRACE", &[HTML], Answer::Json),
    ("DELETE", "DELETE", &[HTML], Answer::Json),
    ("M-12 OPTIONS with an origin only", "OPTIONS", &[("origin", "https://a.example")], Answer::Json),
    ("M-12 OPTIONS without an origin", "OPTIONS", &[("access-control-request-method", "GET")], Answer::Json),
    ("Explorer looks at a folder", "PROPFIND", &[MINI_REDIRECTOR, ("depth", "0"), ("translate", "f")], Answer::Json),
    ("Explorer looks at a server", "OPTIONS", &[MINI_REDIRECTOR, ("translate", "f")], Answer::Json),
    ("Word looks at a server", "OPTIONS", &[("user-agent", "Microsoft Office Protocol Discovery")], Answer::Json),
    ("Word looks at a document", "HEAD", &[("user-agent", "Microsoft Office Existence Discovery")], Answer::Json),
    ("Word opens a document", "GET", &[("user-agent", "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"), ("accept", "*/*")], Answer::Json),
    ("WebDAV that accepts HTML", "PROPFIND", &[HTML, ("depth", "1")], Answer::Json),
    ("a bearer token", "GET", &[HTML, ("authorization", "bEaReR abc")], Answer::Json),
];

const HTML: (&str, &str) = ("accept", FIREFOX);
const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
const DOCUMENT: (&str, &str) = ("sec-fetch-dest", "document");
const MINI_REDIRECTOR: (&str, &str) = ("user-agent", "Microsoft-WebDAV-MiniRedir/10.0.22631");

#[test]
fn only_page_loads_are_redirected_to_sign_in() {
    let mut world = World::ready();
    let mut wrong = Vec::new();
    let mut check = |name: &str, all: &[(&str, &str)], expected: Answer| {
        world.jar.clear();
        let reply = world.send(all).reply();
        let has = |name: &str| header(&reply, name).is_some();
        let found = match (reply.status, header(&reply, "content-type")) {
            (302, _) if has("set-cookie") => Answer::SignIn,
            (302, _) => Answer::SignInWithoutCookie,
            (401, Some("application/json")) => Answer::Json,
            (401, Some(_)) if String::from_utf8_lossy(&reply.body).contains("target=\"_top\"") => Answer::Frame,
            (401, Some(_)) => Answer::Page,
            other => panic!("{name}: {other:?}"),
        };
        if found != expected || (reply.status == 401 && (has("set-cookie") || has("location"))) {
            wrong.push(format!("{name}: {found:?}"));
        }
    };
    for (name, fetched, expected) in BROWSERS {
        let mut all = vec![(":method", "GET"), (":path", "/page")];
        let names = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "accept"];
        all.extend(names.into_iter().zip(fetched).filter(|(_, value)| !value.is_empty()));
        check(name, &all, expected);
    }
    for (name, method, headers, expected) in OTHERS {
        let mut all = vec![(":method", method), (":path", "/page")];
        all.extend(headers);
        check(name, &all, expected);
    }
    assert_eq!(wrong, [""; 0]);
}

/// A browser's request for a page in a frame.
fn framed(world: &mut World, target: &str, site: &str, more: &[(&str, &str)]) -> Outcome {
    let mut all = vec![(":method", "GET"), (":path", target), NAVIGATE, ("sec-fetch-dest", "iframe"), HTML];
    all.push(("sec-fetch-site", site));
    all.extend(more);
    world.send(&all)
}

/// The target of a page's only link.
fn link(reply: &LocalReply) -> String {
    let page = String::from_utf8(reply.body.clone()).unwrap();
    let (_, rest) = page.split_once("href=\"").unwrap_or_else(|| panic!("no link: {page}"));
    let (href, after) = rest.split_once('"').unwrap();
    assert!(!after.contains("href="), "{page}");
    href.replace("&#38;", "&")
}

#[test]
fn a_frame_gets_a_page_with_a_sign_in_link_for_the_top_level() {
    let mut world = World::ready();
    for site in ["cross-site", "same-site", "same-origin"] {
        for path in ["/panel?id=1", "/oauth2/start?rd=/panel%3Fid%3D1"] {
            let reply = framed(&mut world, path, site, &[("referer", "https://elsewhere.example/")]).reply();
            assert_eq!((reply.status, reply.code), (401, "sign_in_required"));
            let policy = header(&reply, "content-security-policy").unwrap();
            assert!(!policy.contains("frame-ancestors") && policy.starts_with("default-src 'none';"), "{policy}");
            assert_eq!(link(&reply), format!("{APP}/oauth2/start?rd=%2Fpanel%3Fid%3D1&session=keep"));
            assert!(world.jar.is_empty());
        }
    }
    // The link, opened at the top, begins a sign-in.
    let start = world.opens("/oauth2/start?rd=%2Fpanel%3Fid%3D1&session=keep", "cross-site").reply();
    assert_eq!((start.status, start.code, world.pending()), (302, "sign_in_started", 1));
    let callback = world.signs_in(&start);
    assert_eq!(location(&world.visit(&callback).reply()), format!("{APP}/panel?id=1"));
    // With a session, the same link leads back to the page.
    let kept = world.opens("/oauth2/start?rd=%2Fpanel%3Fid%3D1&session=keep", "cross-site").reply();
    assert_eq!(
        (kept.code, location(&kept), world.pending()),
        ("already_signed_in", "https://app.example.com/panel?id=1", 0)
    );
    assert!(matches!(
        framed(&mut world, "/panel", "same-origin", &[]),
        Outcome::Forwarded { reason: Reason::Session, .. }
    ));
    assert!(matches!(
        framed(&mut world, "/public/x", "cross-site", &[]),
        Outcome::Forwarded { reason: Reason::Public, .. }
    ));
}

#[test]
fn a_same_origin_frame_links_back_to_its_embedding_page() {
    let mut world = World::ready();
    let back = |world: &mut World, referer: &str| {
        let reply = framed(world, "/panel", "same-origin", &[("referer", referer)]).reply();
        query_of(&link(&reply))["rd"].clone()
    };
    assert_eq!(back(&mut world, "https://app.example.com/board?a=b"), "/board?a=b");
    assert_eq!(back(&mut world, "https://app.example.com/"), "/");
    for others in ["https://app.example.com", "https://app.example.com.evil.example/x", "/board", "", "//evil.example/"]
    {
        assert_eq!(back(&mut world, others), "/panel", "{others}");
    }
}

#[test]
fn a_refusal_in_a_frame_shows_and_its_link_opens_at_the_top() {
    let rules = json!([{ "path": "/admin", "access": "required", "allow": { "groups": ["owners"] } }, { "path": "/closed", "access": "deny" }]);
    let mut world = World::ready_with(&[("rules", rules)]);
    world.sign_in("/");
    for (path, code) in [("/admin", "not_allowed"), ("/closed", "denied")] {
        let reply = framed(&mut world, path, "same-origin", &[]).reply();
        assert_eq!((reply.status, reply.code), (403, code));
        assert!(!header(&reply, "content-security-policy").unwrap().contains("frame-ancestors"));
        // The same page at the top may still not be framed.
        let at_the_top = world.visit(path).reply();
        assert!(header(&at_the_top, "content-security-policy").unwrap().contains("frame-ancestors 'none'"));
        assert!(!String::from_utf8_lossy(&at_the_top.body).contains("_top"));
    }
    // A page with more than a link may not be framed.
    let confirmation = framed(&mut world, "/oauth2/sign_out", "cross-site", &[]).reply();
    assert_eq!(confirmation.code, "sign_out_confirm");
    assert!(header(&confirmation, "content-security-policy").unwrap().contains("frame-ancestors 'none'"));
}

#[test]
fn unauthenticated_redirect_signs_in_same_site_frames() {
    let rules = json!([{ "path": "/*", "access": "required", "unauthenticated": "redirect" }]);
    let mut world = World::ready_with(&[("rules", rules)]);
    for (site, code) in [("same-origin", 302), ("same-site", 302), ("cross-site", 401)] {
        assert_eq!(framed(&mut world, "/panel", site, &[]).reply().status, code, "{site}");
    }
}

#[test]
fn an_api_client_gets_json_and_a_browser_gets_a_page() {
    let mut world = World::ready();
    let program = world.send(&[(":method", "GET"), (":path", "/api"), ("x-request-id", "r-1")]).reply();
    let body: serde_json::Value = serde_json::from_slice(&program.body).unwrap();
    assert_eq!((&body["code"], &body["request_id"]), (&"sign_in_required".into(), &"r-1".into()));
    assert_eq!(header(&program, "www-authenticate"), Some("Bearer realm=\"https://app.example.com\""));

    let person =
        world.send(&[(":method", "POST"), (":path", "/form"), ("accept", "text/html"), ("x-request-id", "<b>")]);
    let person = person.reply();
    let page = String::from_utf8(person.body.clone()).unwrap();
    assert!(page.contains("What you sent was not delivered.") && page.contains("sign_in_required"));
    assert!(!page.contains("<b>"), "{page}");
    assert!(header(&person, "content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'sha256-"));
}

#[test]
fn a_preflight_passes_without_identity_or_cookies() {
    let mut world = World::ready();
    world.sign_in("/");
    let outcome = world.send(&[
        (":method", "OPTIONS"),
        (":path", "/api"),
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
        ("x-forwarded-user", "mallory"),
    ]);
    let Outcome::Forwarded { reason: Reason::Preflight, headers, .. } = outcome else { panic!("{outcome:?}") };
    assert!(headers.iter().all(|(name, _)| name != "x-forwarded-user" && name != "cookie"), "{headers:?}");
    assert!(headers.iter().any(|(name, _)| name == "origin"));
}

#[test]
fn an_imitated_preflight_does_not_pass() {
    let mut world = World::ready();
    for extra in [
        ("upgrade", "websocket"),
        ("authorization", "Basic YTpi"),
        ("content-type", "application/json"),
        ("Content_Type", "application/json"),
        ("transfer-encoding", "chunked"),
        ("origin", "https://b.example"),
        ("x-http-method-override", "GET"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("x.http.method.override", "DELETE"),
        ("x-http-method_override", "delete"),
        ("x-http-method", "PUT"),
        ("x-method-override", "PUT"),
        ("x-method", "PUT"),
        ("method", "PUT"),
        ("_method", "PUT"),
        ("x-original-method", "PUT"),
        ("x-http-override", "PUT"),
        ("access_control_request_method", "PUT"),
        ("x-http-method-override", "OPTIONS, DELETE"),
    ] {
        let preflight = [
            (":method", "OPTIONS"),
            (":path", "/api"),
            ("origin", "https://a.example"),
            ("access-control-request-method", "PUT"),
            extra,
        ];
        assert_eq!(world.send(&preflight).code(), (401, "sign_in_required"), "{extra:?}");
    }
    let preflight =
        [(":method", "OPTIONS"), (":path", "/api"), ("origin", "a"), ("access-control-request-method", "PUT")];
    let request = Request::new(preflight.iter().map(|(name, value)| (*name, value.as_bytes())));
    // A proxy may repeat the same method in `X-Original-Method`.
    let mut with_original = preflight.to_vec();
    with_original.push(("x-original-method", "OPTIONS"));
    assert!(matches!(world.send(&with_original), Outcome::Forwarded { reason: Reason::Preflight, .. }));
    let with_body = request.with_more_following(true);
    let step = world.start(with_body.clone());
    assert_eq!(world.perform(step, &with_body).code(), (401, "sign_in_required"));
}

#[test]
fn an_unaccepted_bearer_token_is_refused_despite_a_session_cookie() {
    let mut world = World::ready();
    world.sign_in("/");
    for token in [
        "Bearer x",
        "Bearer\tx.y.z",
        "bearer \t x",
        "Bearer",
        "Bearer,x",
        "Bearer:x",
        "BearerX",
        "Bearer\u{a0}x",
        "Bearer\u{b}x",
        " Bearer x",
        "\"Bearer x\"",
        "Basic YTpi, Bearer x",
        "Token x;bearer x",
        // Many apps search for `Bearer\s(\S+)`, which finds these too.
        "XBearer x",
        "Token1bearer\tx",
        "xBearer\u{a0}x",
    ] {
        let mut send = |path| world.send(&[(":method", "GET"), (":path", path), ("authorization", token)]);
        assert_eq!(send("/api").code(), (401, "bearer_not_accepted"), "{token:?}");
        assert!(matches!(send("/public/x"), Outcome::Forwarded { reason: Reason::Public, .. }), "{token:?}");
    }
    for other in ["Basic YmVhcmVyOmJlYXJlcg==", "Basic xBearerx", "Digest username=forbearer", "Negotiate YQ=="] {
        let outcome = world.send(&[(":method", "GET"), (":path", "/api"), ("authorization", other)]);
        assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. }), "{other}");
    }
}

#[test]
fn the_connection_header_of_an_upgrade_cannot_name_other_headers() {
    let mut world = World::ready();
    world.sign_in("/");
    for (lines, upstream) in [
        (vec!["Upgrade"], vec!["Upgrade"]),
        (vec!["keep-alive, Upgrade"], vec!["keep-alive, Upgrade"]),
        (vec!["Upgrade, X-Forwarded-User"], vec!["Upgrade"]),
        (vec!["x-forwarded-user,\tcookie ,upgrade"], vec!["upgrade"]),
        (vec!["Upgrade", "Authorization"], vec!["Upgrade"]),
        (vec!["close, X_Forwarded_User, Upgrade"], vec!["close, Upgrade"]),
        (vec!["X-Forwarded-Groups"], vec![]),
    ] {
        for (path, reason) in [("/socket", Reason::Session), ("/public/socket", Reason::Public)] {
            let mut all = vec![(":method", "GET"), (":path", path), ("upgrade", "websocket")];
            all.extend(lines.iter().map(|line| ("connection", *line)));
            let Outcome::Forwarded { reason: found, headers, .. } = world.send(&all) else { panic!("{lines:?}") };
            let options = headers.iter().filter(|(name, _)| name == "connection").map(|(_, value)| value.as_str());
            assert_eq!((found, options.collect::<Vec<_>>()), (reason, upstream.clone()), "{lines:?}");
        }
    }
}
