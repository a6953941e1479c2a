//! The provider ends sessions behind the browser's back, by the names of the OpenID conformance tests, and in a frame.

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::{
    envoy::{Envoy, Setup},
    http1::{Connection, Response},
    issuer::{Endpoint, IdToken, Issuer, LOGOUT_EVENT, Signing},
    keys::Algorithm,
    site::Site,
    user_agent::{Outgoing, UserAgent},
    world::{BACK_CHANNEL_LOGOUT, World, assert_program_refused, assert_sign_in, document},
};

const FRONT_CHANNEL_LOGOUT: &str = "/oauth2/frontchannel_logout";
/// The longest body that is read.
const LONGEST: usize = 64 * 1024;

fn configure(setup: &mut Setup) {
    setup.bodies_while_headers_are_held = true;
    declare(setup);
}

fn declare(setup: &mut Setup) {
    setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
    setup.configuration["sign_out"] = json!({"back_channel": true, "front_channel": true});
    // A client that has registered RS256: other keys of the provider are not for its tokens.
    setup.configuration["providers"][0]["id_token_signing_algs"] = json!(["RS256"]);
}

fn world() -> World {
    World::around(Issuer::start(), configure)
}

#[track_caller]
fn assert_heard(response: &Response, what: &str) {
    assert_eq!((response.status, response.code().as_deref()), (200, Some("logged_out")), "{what}: {response:?}");
    assert_eq!(response.headers.all("cache-control"), [b"no-store"], "{what}");
}

/// Checks that every worker knows that this session is over, with no time to lose.
#[track_caller]
fn assert_out(world: &World, browser: &UserAgent, what: &str) {
    let before = world.upstream.count();
    for _ in 0..8 {
        assert_program_refused(&browser.fetch(&world.url("/api")), what);
    }
    assert_sign_in(&browser.get(&world.url("/page")), world);
    world.upstream.assert_saw_nothing_since(before, what);
}

#[track_caller]
fn assert_in(world: &World, browser: &UserAgent, what: &str) {
    for _ in 0..4 {
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
    }
}

#[test]
fn rp_backchannel_rpinitlogout() {
    let world = world();
    let (browser, session) = world.signed_in();
    let (other, _) = world.signed_in();
    let sid = world.issuer.sids().swap_remove(0);
    let before = world.upstream.count();
    let token = world.issuer.logout_token_for(Some("alice"), Some(&sid), |token| token.set("extra", "unknown"));
    assert_heard(&world.deliver_logout(0, &token), "the base case");
    world.upstream.assert_saw_nothing_since(before, "a logout token");
    assert_out(&world, &browser, "logged out");
    // A copy of the cookie is worth no more than the cookie.
    let copy = Outgoing::fetch("/api").header("cookie", format!("__Host-vestibule={session}"));
    assert_program_refused(&world.send(&copy).expect("an answer"), "a copy");
    assert_in(&world, &other, "another session of the same person");
    let steps = browser.follow(&world.url("/page"));
    assert_eq!(steps.last().expect("a page").1.status, 200, "whoever signs in again is in");
    assert_eq!(world.metric("logged_out"), 1);

    // The sid alone, and the subject alone: one session, and all of them.
    let sid = world.issuer.sids().swap_remove(1);
    let token = world.issuer.logout_token_for(None, Some(&sid), |_| {});
    assert_heard(&world.deliver_logout(0, &token), "sid only");
    assert_out(&world, &other, "sid only");
    assert_in(&world, &browser, "of another sid");
    other.follow(&world.url("/page"));
    world.issuer.sign_in_as(json!({"sub": "bob"}));
    let (bob, _) = world.signed_in();
    world.advance(1);
    let token = world.issuer.logout_token_for(Some("alice"), None, |_| {});
    assert_heard(&world.deliver_logout(0, &token), "sub only");
    assert_out(&world, &browser, "sub only");
    assert_out(&world, &other, "sub only");
    assert_in(&world, &bob, "somebody else");

    // Sent again it was heard before, and ends nothing that began since.
    world.issuer.sign_in_as(json!({"sub": "alice"}));
    world.advance(1);
    let (browser, _) = world.signed_in();
    world.advance(1);
    for _ in 0..4 {
        assert_heard(&world.deliver_logout(0, &token), "again");
    }
    assert_in(&world, &browser, "again");
    // Signed with a key that nobody here has seen yet.
    world.issuer.rotate();
    assert_heard(&world.deliver_logout(0, &world.issuer.logout_token(|_| {})), "a new key");
    assert_out(&world, &browser, "a new key");
    // Nobody whose session it was, and nobody at all.
    let token = world.issuer.logout_token_for(Some("nobody"), Some("none"), |_| {});
    assert_heard(&world.deliver_logout(0, &token), "unknown");
    assert_in(&world, &bob, "unknown");
}

#[test]
fn a_token_that_is_not_one_ends_nothing() {
    let world = world();
    let (browser, _) = world.signed_in();
    type Change = fn(&mut IdToken);
    let cases: [(&str, Change); 27] = [
        ("alg-none", |token| token.signing = Signing::None),
        ("wrong-alg", |token| token.signing = Signing::Published(Algorithm::Es256)),
        ("a client secret for a key", |token| token.signing = Signing::Hmac(b"canary-client-secret:/+%& =".to_vec())),
        ("another key", |token| token.signing = Signing::Unpublished),
        ("wrong-iss", |token| token.set("iss", "https://evil.example")),
        ("iss with a slash", |token| token.set("iss", format!("{}/", token.text("iss")))),
        ("no iss", |token| token.remove("iss")),
        ("wrong-aud", |token| token.set("aud", "another-client")),
        ("one aud more", |token| token.set("aud", json!([token.text("aud"), "another-client"]))),
        ("no aud", |token| token.remove("aud")),
        ("no-event", |token| token.remove("events")),
        ("wrong-event", |token| token.set("events", json!({"http://schemas.openid.net/event/other": {}}))),
        ("an event that is no object", |token| token.set("events", json!({LOGOUT_EVENT: true}))),
        ("events in a list", |token| token.set("events", json!([LOGOUT_EVENT]))),
        ("with-nonce", |token| token.set("nonce", "any")),
        ("no iat", |token| token.remove("iat")),
        ("no exp, and issued longer ago than clocks may differ", |token| {
            token.remove("exp");
            token.set("iat", token.issued_at() - 600);
        }),
        ("over", |token| token.set("exp", token.issued_at() - 61)),
        ("from the future", |token| token.set("iat", token.issued_at() + 600)),
        ("no jti", |token| token.remove("jti")),
        ("a jti that is no text", |token| token.set("jti", 7)),
        ("neither sub nor sid", |token| {
            token.remove("sub");
            token.remove("sid");
        }),
        ("a sid that is no text", |token| token.set("sid", json!(["x"]))),
        ("an empty sub", |token| token.set("sub", "")),
        ("an access token", |token| drop(token.header.insert("typ".to_owned(), json!("at+jwt")))),
        ("claims twice", |token| token.raw_claims = Some(token.with_members("\"sub\":\"alice\""))),
        ("cut short", |token| token.finish = |compact| compact[..compact.len() - 10].to_owned()),
    ];
    for (what, change) in cases {
        let before = world.upstream.count();
        let response = world.deliver_logout(0, &world.issuer.logout_token(change));
        assert_eq!(response.status, 400, "{what}: {response:?}");
        assert_eq!(response.headers.all("cache-control"), [b"no-store"], "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
    }
    // An ID token of the very session is none either.
    let id_token = world.issuer.id_tokens().swap_remove(0);
    assert_eq!(world.deliver_logout(0, &id_token).status, 400);
    assert_in(&world, &browser, "an ID token");
    assert_eq!(world.metric("logged_out"), 0);
}

#[test]
fn only_a_form_with_one_token_is_read_and_no_more_than_64_kib_of_it() {
    let world = world();
    let (browser, _) = world.signed_in();
    let form = |body: String| {
        Outgoing::new("POST", BACK_CHANNEL_LOGOUT)
            .header("content-type", "application/x-www-form-urlencoded;charset=UTF-8")
            .body(body)
    };
    let token = world.issuer.logout_token(|_| {});
    let other = form(String::new()).without("content-type").header("content-type", "application/json");
    for (what, request, status) in [
        ("nothing", form(String::new()), 400),
        ("no value", form("logout_token".to_owned()), 400),
        ("an empty one", form("logout_token=".to_owned()), 400),
        ("another name", form(format!("token={token}")), 400),
        ("two", form(format!("logout_token={token}&logout_token={token}")), 400),
        ("rubbish", form("%".repeat(LONGEST)), 400),
        ("bytes", Outgoing { body: vec![0xff; 100], ..form("x".repeat(100)) }, 400),
        ("one byte too many", form(format!("logout_token={token}&x=")).padded(LONGEST + 1), 413),
        ("3 MiB", form(format!("logout_token={token}&x=")).padded(3 << 20), 413),
        ("JSON", other.without("content-length").body(format!("{{\"logout_token\":\"{token}\"}}")), 400),
        ("GET", form(String::new()).method("GET"), 405),
        ("PUT", form(format!("logout_token={token}")).method("PUT"), 405),
        ("in the query", Outgoing::new("GET", format!("{BACK_CHANNEL_LOGOUT}?logout_token={token}")), 405),
        ("a path below", Outgoing { target: b"/oauth2/backchannel_logout/x".to_vec(), ..form("x=y".to_owned()) }, 404),
    ] {
        let before = world.upstream.count();
        // Whoever goes on sending may find the connection closed before the answer is read.
        match world.send(&request) {
            Some(response) => assert_eq!(response.status, status, "{what}: {response:?}"),
            None => assert_eq!(status, 413, "{what}: no answer"),
        }
        world.upstream.assert_saw_nothing_since(before, what);
    }
    assert_in(&world, &browser, "none of these");
    let longest = world.send(&form(format!("logout_token={token}&x=")).padded(LONGEST)).expect("an answer");
    assert_heard(&longest, "64 KiB");
    assert_out(&world, &browser, "64 KiB");
}

trait Padded {
    fn padded(self, length: usize) -> Self;
}

impl Padded for Outgoing {
    /// With a body of this length.
    fn padded(self, length: usize) -> Self {
        let mut body = self.body.clone();
        body.resize(length, b'x');
        self.without("content-length").body(body)
    }
}

/// Lets time pass until there is an answer.
fn answer_in_the_end(world: &World, mut connection: Connection) -> Response {
    while !connection.has_more(Duration::from_millis(200)) {
        world.advance(3);
    }
    world.read(connection)
}

#[test]
fn a_body_may_come_in_small_pieces_and_one_that_never_ends_is_answered() {
    let world = world();
    let head =
        || Outgoing::new("POST", BACK_CHANNEL_LOGOUT).header("content-type", "application/x-www-form-urlencoded");
    let (browser, _) = world.signed_in();
    let body = format!("logout_token={}", world.issuer.logout_token(|_| {}));
    // A body is waited for by the clock.
    world.stop_clock();
    let mut connection = world.begun(&head().header("transfer-encoding", "chunked"));
    for piece in body.as_bytes().chunks(40) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        connection.send(&chunk).expect("a chunk that is taken");
        assert!(!connection.has_more(Duration::from_millis(1)), "an answer before the end");
    }
    connection.send(b"0\r\nx-trailer: 1\r\n\r\n").expect("the end");
    assert_heard(&world.read(connection), "in pieces");
    assert_out(&world, &browser, "in pieces");
    let before = world.upstream.count();

    for (what, head, rest) in [
        ("a length and less", head().header("content-length", "2000"), body.as_bytes()),
        ("no byte of it", head().header("content-length", "2000"), &b""[..]),
        ("a chunk and no end", head().header("transfer-encoding", "chunked"), b"5\r\nlogou\r\n"),
    ] {
        let mut connection = world.begun(&head);
        connection.send(rest).expect("a part that is taken");
        let response = answer_in_the_end(&world, connection);
        assert_eq!((response.status, response.code().as_deref()), (503, Some("body_missing")), "{what}: {response:?}");
    }
    // Whoever leaves meanwhile leaves nothing behind.
    for _ in 0..20 {
        let mut connection = world.begun(&head().header("content-length", "2000"));
        connection.send(body.as_bytes()).expect("a part that is taken");
        connection.reset();
    }
    // More than is read, without an end: the answer does not wait for that.
    let mut connection = world.begun(&head().header("transfer-encoding", "chunked"));
    let chunk = [&b"1000\r\n"[..], &[b'x'; 0x1000], b"\r\n"].concat();
    for sent in 0..15 {
        connection.send(&chunk).expect("a chunk that is taken");
        assert!(!connection.has_more(Duration::from_millis(1)), "an answer after {sent} chunks of 4 KiB");
    }
    // With these it is more; the answer may come before the last of them.
    for _ in 0..3 {
        let _ = connection.send(&chunk);
    }
    let response = world.read(connection);
    assert_eq!(response.status, 413, "{response:?}");
    world.upstream.assert_saw_nothing_since(before, "bodies that do not end");
}

#[test]
fn where_envoy_does_not_hand_over_bodies_that_is_said_and_nothing_slips_through() {
    let world = World::around(Issuer::start(), declare);
    let (browser, _) = world.signed_in();
    let token = world.issuer.logout_token(|_| {});
    let before = world.upstream.count();
    let form = Outgoing::new("POST", BACK_CHANNEL_LOGOUT)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"));
    let response = answer_in_the_end(&world, world.begun(&form));
    assert_eq!((response.status, response.code().as_deref()), (503, Some("body_missing")), "{response:?}");
    assert!(world.log().contains("body_missing"), "{}", world.log());
    for request in [
        Outgoing::fetch("/api").method("POST").body("a=1"),
        Outgoing::fetch("/api").method("POST").body(vec![b'x'; 500_000]),
        form.clone().method("PATCH"),
    ] {
        let response = world.send(&request).expect("an answer");
        assert!(matches!(response.status, 401 | 405), "{response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, "nobody is signed in");
    let response = browser.visit(&world.url("/api"), Outgoing::fetch("/api").method("POST").body("a=1"));
    assert_eq!((response.status, world.upstream.last().body), (200, b"a=1".to_vec()));
}

#[test]
fn an_operator_who_does_not_declare_it_is_told_where() {
    let setup = Setup::new(1);
    let mut configuration = document(setup.port, "http://127.0.0.1:1");
    configuration["sign_out"] = json!({"back_channel": true});
    let setup = Setup { bodies_while_headers_are_held: true, ..setup.configuration(configuration) };
    let (accepted, said) = Envoy::validate(&setup);
    assert!(!accepted);
    for part in ["sign_out.back_channel: ", "allow_on_headers_stop_iteration: true", "failure_policy"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[test]
fn the_envoy_that_got_the_token_knows_and_the_others_do_not() {
    let mut world = world();
    let second = world.add_envoy();
    let (browser, _) = world.signed_in();
    let elsewhere = world.through(&browser, second);
    assert_heard(&world.deliver_logout(second, &world.issuer.logout_token(|_| {})), "at the second");
    for _ in 0..4 {
        assert_program_refused(&elsewhere.fetch(&world.url("/api")), "where the token came");
    }
    // Without a store of sessions, which `session.store` is for, that is all.
    assert_eq!(browser.fetch(&world.url("/api")).status, 200);
}

#[test]
fn a_logout_within_the_second_of_a_sign_in_has_ended_the_session() {
    let world = world();
    world.stop_clock();
    for what in ["first", "second", "third"] {
        let (browser, _) = world.signed_in();
        assert_in(&world, &browser, what);
        let sid = world.issuer.sids().pop().expect("a session");
        let token = world.issuer.logout_token_for(Some("alice"), Some(&sid), |_| {});
        assert_heard(&world.deliver_logout(0, &token), what);
        assert_out(&world, &browser, what);
        let token = world.issuer.logout_token_for(Some("alice"), None, |_| {});
        browser.follow(&world.url("/page"));
        assert_in(&world, &browser, what);
        assert_heard(&world.deliver_logout(0, &token), what);
        assert_out(&world, &browser, what);
    }
}

/// The answer to a frame on the provider's page, which brings no cookie.
fn frame(world: &World, iss: &str, sid: &str) -> Response {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs([("iss", iss), ("sid", sid)]).finish();
    let target = format!("{FRONT_CHANNEL_LOGOUT}?{query}");
    let request = Outgoing::navigation(&target).without("sec-fetch-dest").without("sec-fetch-site");
    let request = request.header("sec-fetch-dest", "iframe").header("sec-fetch-site", "cross-site");
    world.send(&request).expect("an answer")
}

#[test]
fn made_up_frames_bring_no_session_back_and_keep_no_logout_out() {
    let world = world();
    world.stop_clock();
    let issuer = world.issuer.url();
    let (browser, _) = world.signed_in();
    assert_heard(&frame(&world, &issuer, &world.issuer.sids().swap_remove(0)), "a frame");
    let (other, _) = world.signed_in();
    let before = world.upstream.count();
    let statuses: Vec<_> = (0..300).map(|number| frame(&world, &issuer, &format!("made-up-{number}")).status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    world.upstream.assert_saw_nothing_since(before, "frames");
    assert_out(&world, &browser, "after the flood");
    assert_in(&world, &other, "after the flood");
    assert_heard(&frame(&world, &issuer, &world.issuer.sids().pop().expect("a session")), "a frame");
    assert_out(&world, &other, "after the flood");
}

#[test]
fn a_frame_of_the_provider_ends_the_session_that_it_names() {
    let world = world();
    let (browser, _) = world.signed_in();
    let sid = world.issuer.sids().swap_remove(0);
    let frame = |iss: &str, sid: &str| frame(&world, iss, sid);
    let issuer = world.issuer.url();
    for (iss, sid) in [("https://evil.example", &*sid), (&issuer, ""), (&format!("{issuer}/"), &sid)] {
        let response = frame(iss, sid);
        assert_eq!(response.status, 400, "{iss} {sid}: {response:?}");
    }
    assert_in(&world, &browser, "frames of somebody else");
    let response = frame(&issuer, &sid);
    assert_heard(&response, "a frame");
    let policy = response.headers.text("content-security-policy").unwrap_or_default();
    assert!(policy.contains(&format!("frame-ancestors {issuer};")), "{policy}");
    assert!(!response.headers.has("x-frame-options"), "{response:?}");
    assert_out(&world, &browser, "a frame");
}

#[test]
fn without_the_setting_neither_channel_is_there() {
    let world = World::start();
    let (browser, _) = world.signed_in();
    assert_eq!(world.deliver_logout(0, &world.issuer.logout_token(|_| {})).status, 404);
    let sid = world.issuer.sids().swap_remove(0);
    let frame = format!("{FRONT_CHANNEL_LOGOUT}?iss={}&sid={sid}", world.issuer.url());
    assert_eq!(world.browser().get(&world.url(&frame)).status, 404);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert_eq!(world.issuer.requests(Endpoint::EndSession).len(), 0);
}

#[test]
fn signing_out_at_the_real_provider_ends_the_session_at_the_app() {
    for with_sid in [true, false] {
        let site = Site::with(|plan| {
            configure(&mut plan.setup);
            let client: &mut Value = &mut plan.provider.clients[0];
            client["backchannel_logout_uri"] = json!(format!("{}{BACK_CHANNEL_LOGOUT}", plan.origin));
            client["backchannel_logout_session_required"] = json!(with_sid);
        });
        let browser = UserAgent::default();
        let (url, page) = site.sign_in(&browser, "/page");
        assert_eq!((url, page.status), (site.url("/page"), 200), "{}", site.envoy.log());
        let before = site.app.count();
        let end = format!("{}/session/end", site.provider.issuer());
        let (at, _) = site.sign_out(&browser, &end);
        assert!(at.starts_with(&end), "{at}");
        let events = ["backchannel.success", "backchannel.error"].map(|event| site.provider.seen(event));
        assert_eq!(events, [1, 0], "{with_sid}: {}\n{}", site.provider.log(), site.envoy.log());
        for _ in 0..6 {
            assert_eq!(browser.fetch(&site.url("/api")).status, 401, "{with_sid}");
        }
        site.app.assert_saw_nothing_since(before, "signed out at the provider");
        assert_eq!(site.envoy.stats("wasmcustom.vestibule_logged_out"), 1);
    }
}
