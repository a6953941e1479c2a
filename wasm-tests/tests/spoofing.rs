//! Identity headers come from the filter only: no client and no claim can forge one.

use serde_json::{Value, json};
use wasm_tests::{
    api_client::API,
    http1::Request,
    user_agent::Outgoing,
    world::{PUBLIC, SESSION_COOKIE, World},
};

const NAMES: [&str; 4] =
    ["x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-groups"];

/// The lines that any app could read as this header: CGI, WSGI and PHP fold `_` and `-`, some servers `.` too.
fn read_as<'a>(request: &'a Request, name: &str) -> Vec<&'a [u8]> {
    let fold = |name: &str| name.to_ascii_lowercase().replace(['_', '.', ' '], "-");
    request.headers.0.iter().filter(|(found, _)| fold(found) == name).map(|(_, value)| value.as_slice()).collect()
}

type Lines = Vec<(String, Vec<u8>)>;

fn spoofs() -> Vec<(&'static str, Lines)> {
    let one = |name: &str, value: &[u8]| vec![(name.to_owned(), value.to_vec())];
    vec![
        ("as it is", one("x-forwarded-user", b"mallory")),
        ("upper case", one("X-FORWARDED-USER", b"mallory")),
        ("odd case", one("x-Forwarded-uSeR", b"mallory")),
        ("underscores", one("X_Forwarded_User", b"mallory")),
        ("one underscore", one("x-forwarded_user", b"mallory")),
        ("dots", one("X.Forwarded.User", b"mallory")),
        ("a list", one("x-forwarded-groups", b"admins, root")),
        ("empty", one("x-forwarded-email", b"")),
        ("no text", one("x-forwarded-email", b"\xff\xfe")),
        ("long", one("x-forwarded-user", &[b'a'; 30_000])),
        ("fifty times", (0..50).map(|_| ("x-forwarded-user".to_owned(), b"mallory".to_vec())).collect()),
        (
            "every name in every form",
            NAMES
                .iter()
                .flat_map(|name| [(*name).to_owned(), name.replace('-', "_")])
                .map(|name| (name, b"x".to_vec()))
                .collect(),
        ),
        (
            "hop by hop",
            vec![
                ("connection".to_owned(), b"close, x-forwarded-user".to_vec()),
                ("x-forwarded-user".to_owned(), b"mallory".to_vec()),
            ],
        ),
    ]
}

fn with(request: Outgoing, lines: &[(String, Vec<u8>)]) -> Outgoing {
    lines.iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[test]
fn identity_headers_of_a_client_reach_no_app_on_any_path() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let cookie = format!("{SESSION_COOKIE}={session}");
    for (what, lines) in spoofs() {
        let preflight = Outgoing::new("OPTIONS", "/page")
            .header("origin", "http://evil.example")
            .header("access-control-request-method", "POST");
        for (path, request, signed_in) in [
            ("public", Outgoing::navigation(PUBLIC), false),
            // Public paths do not look at the session: there are no identity headers there.
            ("public with a session", Outgoing::navigation(PUBLIC).header("cookie", &cookie), false),
            ("preflight", preflight, false),
            ("signed in", Outgoing::navigation("/page").header("cookie", &cookie), true),
            ("signed in, fetch", Outgoing::fetch("/page").header("cookie", &cookie), true),
        ] {
            let before = world.upstream.count();
            let response = world.send(&with(request, &lines)).unwrap_or_else(|| panic!("{path}, {what}: no answer"));
            assert_eq!((response.status, world.upstream.count()), (200, before + 1), "{path}, {what}: {response:?}");
            let seen = world.upstream.last();
            for name in NAMES {
                let expected: Vec<&[u8]> = match name {
                    _ if !signed_in => vec![],
                    "x-forwarded-user" => vec![b"alice"],
                    "x-forwarded-email" => vec![b"alice@example.com"],
                    "x-forwarded-preferred-username" => vec![b"alice.example"],
                    _ => vec![b"staff,admins"],
                };
                assert_eq!(read_as(&seen, name), expected, "{path}, {what}: {seen:?}");
            }
        }
        let before = world.upstream.count();
        let refused = world.send(&with(Outgoing::fetch("/page"), &lines)).expect("an answer");
        assert_eq!(refused.status, 401, "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
    }
}

#[test]
fn configured_headers_are_stripped_and_set_like_the_usual_ones() {
    let world = World::with(|document| {
        document["identity_headers"] = json!({"X-Auth-Subject": "sub", "x-auth-verified": "email_verified"});
    });
    let (_, session) = world.signed_in();
    let request = Outgoing::navigation("/page")
        .header("cookie", format!("{SESSION_COOKIE}={session}"))
        .header("X_Auth_Subject", "mallory")
        .header("x-auth-subject", "mallory")
        .header("x-forwarded-user", "mallory");
    world.send(&request).expect("an answer");
    let seen = world.upstream.last();
    assert_eq!(read_as(&seen, "x-auth-subject"), [b"alice"]);
    assert_eq!(read_as(&seen, "x-auth-verified"), [b"true"]);
    // It is not configured, but an app may look for it all the same.
    assert!(read_as(&seen, "x-forwarded-user").is_empty(), "{seen:?}");
}

/// Headers by which other systems tell an app who the user is, in any spelling.
const OF_OTHER_SYSTEMS: [&str; 12] = [
    "X-Forwarded-Access-Token",
    "x_forwarded_access_token",
    "X-Auth-Request-Email",
    "Remote-User",
    "REMOTE_USER",
    "X-Remote-Group",
    "X-WEBAUTH-USER",
    "x-authentik-username",
    "X-MS-CLIENT-PRINCIPAL",
    "x-amzn-oidc-data",
    "Cf-Access-Jwt-Assertion",
    "OIDC_CLAIM_sub",
];

/// The requests of each kind of path, of a client that claims to be someone by the headers of other systems.
fn claiming(world: &World, cookie: &str) -> Vec<(&'static str, Outgoing)> {
    let token = world.issuer.access_token(API, |_| {});
    let bearer = format!("Bearer {token}");
    let claims =
        |request: Outgoing| OF_OTHER_SYSTEMS.iter().fold(request, |request, name| request.header(name, "mallory"));
    [
        ("public", Outgoing::navigation(PUBLIC)),
        ("optional", Outgoing::navigation("/optional")),
        ("optional with a session", Outgoing::navigation("/optional").header("cookie", cookie)),
        ("required", Outgoing::navigation("/page").header("cookie", cookie)),
        ("bearer", Outgoing::fetch("/machines").header("authorization", &bearer)),
    ]
    .map(|(what, request)| (what, claims(request)))
    .into()
}

fn world_of_every_access(change: impl FnOnce(&mut Value)) -> World {
    World::with(|document| {
        document["providers"][0]["access_token_audiences"] = json!([API]);
        document["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/optional", "access": "optional"},
            {"prefix": "/machines", "access": "bearer"},
        ]);
        change(document);
    })
}

#[test]
fn headers_of_other_systems_reach_no_app_on_any_path() {
    let world = world_of_every_access(|_| {});
    let (_, session) = world.signed_in();
    for (what, request) in claiming(&world, &format!("{SESSION_COOKIE}={session}")) {
        let before = world.upstream.count();
        let response = world.send(&request.header("X-Forwarded-Access-Tokens", "kept")).expect("an answer");
        assert_eq!((response.status, world.upstream.count()), (200, before + 1), "{what}: {response:?}");
        let seen = world.upstream.last();
        assert!(seen.headers.0.iter().all(|(_, value)| value != b"mallory"), "{what}: {seen:?}");
        assert_eq!(read_as(&seen, "x-forwarded-access-tokens"), [b"kept"], "{what}: {seen:?}");
    }
    // Without a session they open nothing, and the same worker serves the next request.
    let before = world.upstream.count();
    let refused = world.send(&Outgoing::fetch("/page").header("Remote-User", "mallory")).expect("an answer");
    assert_eq!(refused.status, 401);
    world.upstream.assert_saw_nothing_since(before, "a claim is no session");
    world.assert_serves();
}

#[test]
fn headers_of_other_systems_pass_without_strip_request_headers() {
    let world = world_of_every_access(|document| document["strip_request_headers"] = json!([]));
    let (_, session) = world.signed_in();
    for (what, request) in claiming(&world, &format!("{SESSION_COOKIE}={session}")) {
        let response = world.send(&request.header("x-forwarded-user", "mallory")).expect("an answer");
        assert_eq!(response.status, 200, "{what}: {response:?}");
        let seen = world.upstream.last();
        let passed = seen.headers.0.iter().filter(|(_, value)| value == b"mallory").count();
        assert_eq!(passed, OF_OTHER_SYSTEMS.len(), "{what}: {seen:?}");
    }
    let world = World::with(|document| document["identity_headers"] = json!({"Remote-User": "sub"}));
    let (browser, _) = world.signed_in();
    let request = Outgoing::navigation("/page").header("Remote_User", "mallory").header("Remote-User", "mallory");
    assert_eq!(browser.visit(&world.url("/page"), request).status, 200);
    assert_eq!(read_as(&world.upstream.last(), "remote-user"), [b"alice"]);
}

#[test]
fn non_ascii_and_nested_claims_reach_the_app_as_configured() {
    let world = World::with(|document| {
        document["identity_headers"] = json!({
            "x-plain": {"template": "{name} <{email}>"},
            "x-percent": {"template": "{name} <{email}>", "encoding": "percent"},
            "x-base64url": {"claim": "name", "encoding": "base64url"},
            "x-roles": {"claim": "/realm_access/roles", "separator": "|"},
            "x-whole": {"template": "{name} {missing}"},
        });
    });
    world.issuer.sign_in_as(json!({
        "sub": "zoë", "name": "Zoë, Zürich", "email": "zoe@example.com",
        "realm_access": {"roles": ["a,b", "c|d", "é"]},
    }));
    let (browser, _) = world.signed_in();
    let request = Outgoing::navigation("/page").header("x_whole", "mallory").header("x-roles", "mallory");
    assert_eq!(browser.visit(&world.url("/page"), request).status, 200);
    let seen = world.upstream.last();
    for (name, value) in [
        ("x-plain", "Zoë, Zürich <zoe@example.com>"),
        ("x-percent", "Zo%C3%AB%2C%20Z%C3%BCrich <zoe%40example.com>"),
        ("x-base64url", "Wm_DqywgWsO8cmljaA"),
        ("x-roles", "a,b|é"),
    ] {
        assert_eq!(read_as(&seen, name), [value.as_bytes()], "{name}");
    }
    assert!(read_as(&seen, "x-whole").is_empty(), "{seen:?}");
}

#[test]
fn claims_cannot_inject_headers_or_values() {
    let world = World::start();
    let odd = [
        json!("a@b.example\r\nx-evil: 1"),
        json!("a@b.example\nx-evil: 1"),
        json!("a@b.example\u{0}"),
        json!("\u{1b}[31m"),
        json!(""),
        json!(null),
        json!({"a": 1}),
        json!(["x", "y\r\nx-evil: 1", "a,b", 7, null]),
        json!("x".repeat(20_000)),
        json!(17),
        json!("Zoë, Zürich"),
    ];
    for claim in odd {
        world.issuer.sign_in_as(json!({
            "sub": "carol",
            "email": claim,
            "preferred_username": claim,
            "groups": claim,
        }));
        let browser = world.browser();
        let callback = world.callback_url(&browser, "/page");
        let arrived = browser.get(&callback);
        // A claim may be too large for a cookie; then there is a page, and no session.
        if arrived.status != 303 {
            assert!(arrived.code().is_some() && arrived.status >= 400, "{claim}: {arrived:?}");
            continue;
        }
        let request = Outgoing::navigation("/page").header("x-forwarded-email", "mallory@example.com");
        assert_eq!(browser.visit(&world.url("/page"), request).status, 200, "{claim}");
        let seen = world.upstream.last();
        assert!(!seen.headers.has("x-evil"), "{claim}: {seen:?}");
        assert_eq!(read_as(&seen, "x-forwarded-user"), [b"carol"], "{claim}");
        for name in NAMES {
            let lines = read_as(&seen, name);
            assert!(lines.len() <= 1, "{claim}: {seen:?}");
            for line in lines {
                assert!(line.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f), "{claim}: {seen:?}");
                assert!(!line.windows(7).any(|part| part == b"mallory"), "{claim}: {seen:?}");
            }
        }
    }
}

#[test]
fn forwarding_headers_of_a_client_are_not_trusted() {
    let world = World::start();
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "444"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-client-cert", "By=spiffe://x"),
        ("referer", "http://evil.example/\",\"x\":\""),
    ] {
        let request = Outgoing::navigation("/page").header(name, value);
        // The authorization request and its redirect_uri are the configured ones, whatever is said here.
        wasm_tests::world::assert_sign_in(&world.send(&request).expect("an answer"), &world);
    }
    let elsewhere = world.send(&Outgoing::navigation("/page").header("host", "evil.example")).expect("an answer");
    assert_eq!(elsewhere.location(), Some(world.url("/oauth2/start?rd=%2Fpage&session=keep")), "{elsewhere:?}");
    world.upstream.assert_saw_nothing();
}

#[test]
fn response_headers_of_the_app_are_not_trusted() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    let response = browser
        .get(&world.url("/page?header=vestibule-code:signed_in&header=x-forwarded-user:mallory&set-cookie=a%3D1"));
    assert_eq!((response.status, response.set_cookies()), (200, vec!["a=1".to_owned()]));
    browser.get(&world.url("/page"));
    assert_eq!(read_as(&world.upstream.last(), "x-forwarded-user"), [b"alice"]);
}
