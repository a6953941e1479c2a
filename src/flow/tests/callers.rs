//! Who is sent to sign in, and who is told that they must.

use super::{
    super::permit::Reason,
    world::{Outcome, World, header},
};
use crate::http::Request;

#[test]
fn only_a_navigation_is_sent_to_sign_in() {
    let html = ("accept", "text/html,application/xhtml+xml");
    type Headers = [(&'static str, &'static str)];
    let cases: [(&str, &str, &Headers, u16); 24] = [
        ("a page", "GET", &[("sec-fetch-mode", "navigate"), html], 302),
        ("M-03 HEAD of a page", "HEAD", &[("sec-fetch-mode", "navigate"), html], 302),
        ("M-16 an old browser", "GET", &[html], 302),
        ("M-16 a script", "GET", &[("accept", "*/*")], 401),
        ("M-16 nothing said", "GET", &[], 401),
        ("M-02 fetch", "GET", &[("sec-fetch-mode", "cors"), html], 401),
        ("M-15 a picture", "GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], 401),
        ("M-15 same origin", "GET", &[("sec-fetch-mode", "same-origin"), html], 401),
        ("H-07 said twice", "GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors"), html], 401),
        ("XHR", "GET", &[html, ("x-requested-with", "XMLHttpRequest")], 401),
        ("M-08 WebSocket", "GET", &[html, ("upgrade", "websocket"), ("connection", "upgrade")], 401),
        (
            "M-08 WebSocket, said by the browser",
            "GET",
            &[("sec-fetch-mode", "websocket"), ("upgrade", "websocket")],
            401,
        ),
        ("M-10 gRPC", "POST", &[("content-type", "application/grpc")], 401),
        ("M-11 gRPC-Web", "POST", &[("content-type", "application/grpc-web+proto"), html], 401),
        ("M-11 events", "GET", &[("accept", "text/event-stream")], 401),
        ("M-17 prefetch", "GET", &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch;prerender"), html], 401),
        ("M-17 an older prefetch", "GET", &[("purpose", "prefetch"), html], 401),
        ("M-01 a form", "POST", &[("sec-fetch-mode", "navigate"), html], 401),
        ("M-02 JSON", "POST", &[("content-type", "application/json")], 401),
        ("M-05 an odd method", "PROPFIND", &[html], 401),
        ("M-05 TRACE", "TRACE", &[html], 401),
        ("M-12 OPTIONS with an origin only", "OPTIONS", &[("origin", "https://a.example")], 401),
        ("M-12 OPTIONS without an origin", "OPTIONS", &[("access-control-request-method", "GET")], 401),
        ("a bearer token", "GET", &[html, ("authorization", "bEaReR abc")], 401),
    ];
    let mut world = World::ready();
    for (name, method, headers, status) in cases {
        world.jar.clear();
        let mut all = vec![(":method", method), (":path", "/page")];
        all.extend(headers);
        let reply = world.send(&all).reply();
        assert_eq!(reply.status, status, "{name}");
        assert_eq!(header(&reply, "set-cookie").is_some(), status == 302, "{name}");
        assert_eq!(header(&reply, "location").is_some(), status == 302, "{name}");
        assert_eq!(header(&reply, "cache-control"), Some("no-store"), "{name}");
    }
}

#[test]
fn a_program_gets_json_and_a_person_a_page() {
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
fn m_13_a_preflight_passes_without_identity_or_cookies() {
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
fn what_only_dresses_as_a_preflight_does_not_pass() {
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
    // A proxy in between may say which method it is, if that is the same.
    let mut with_original = preflight.to_vec();
    with_original.push(("x-original-method", "OPTIONS"));
    assert!(matches!(world.send(&with_original), Outcome::Forwarded { reason: Reason::Preflight, .. }));
    let with_body = request.followed_by_more(true);
    let step = world.env(|env| super::super::start(with_body.clone(), env));
    assert_eq!(world.perform(step, &with_body).code(), (401, "sign_in_required"));
}

#[test]
fn a_bearer_token_is_refused_whatever_cookie_stands_beside_it() {
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
fn an_upgrade_nominates_no_header() {
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
