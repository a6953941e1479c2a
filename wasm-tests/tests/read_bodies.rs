//! Bodies that the filter reads itself, of logout tokens and of kept forms: none goes upstream, each has a limit, and a
//! slow or endless one delays no other request.

use std::time::Duration;

use serde_json::json;
use wasm_tests::{
    http1::{Connection, Response},
    http2::TRAILERS,
    issuer::Issuer,
    logout::{self, assert_logged_out, assert_passes, configure_logout},
    process::until,
    store::Store,
    user_agent::{Outgoing, UserAgent},
    world::{BACK_CHANNEL_LOGOUT, World, assert_page, assert_unauthenticated, logout_request},
};

/// How many posts do not end.
const SLOW: usize = 300;
/// How many bodies one worker reads at once.
const READ_AT_ONCE: usize = 64;
/// The longest body that is read.
const LONGEST: usize = 64 * 1024;

/// One worker, so that the next request comes to the same; its Envoy passes trailers on over HTTP/1.1, too.
fn world() -> World {
    World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.bodies_while_headers_are_held = true;
        setup.connection_manager.insert("http_protocol_options".into(), json!({"enable_trailers": true}));
        setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        setup.configuration["sign_out"] = json!({"back_channel": true});
        setup.configuration["sign_in"] = json!({"keep_forms": true});
    })
}

/// A form that a page of the app posts.
fn form(text: &str) -> Outgoing {
    Outgoing::form("/save", &[("text", text)])
}

/// How a body can end in trailers.
#[derive(Debug, Clone, Copy)]
enum Trailing {
    Chunked,
    Http2(&'static str),
}

impl Trailing {
    const ALL: [Self; 3] = [Self::Chunked, Self::Http2("x-trailer: 1"), Self::Http2("")];

    fn send(self, world: &World, send: Outgoing) -> Response {
        let send = send.without("content-length");
        let browser = world.browser();
        let (browser, send) = match self {
            Self::Chunked => {
                let chunks = send
                    .body
                    .chunks(3000)
                    .map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
                let body = chunks.chain([b"0\r\nx-trailer: 1\r\n\r\n".to_vec()]).collect::<Vec<_>>().concat();
                (browser, Outgoing { body, ..send.header("transfer-encoding", "chunked") })
            }
            Self::Http2(trailer) => (browser.over_http2(world.envoy.port()), send.header(TRAILERS, trailer)),
        };
        browser.send(&world.url("/"), &send).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// Checks that the app has seen nothing, and that this browser is served.
#[track_caller]
fn assert_only_others_pass(world: &World, before: usize, browser: &UserAgent, what: &str) {
    world.upstream.assert_saw_nothing_since(before, what);
    assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
}

#[test]
fn a_logout_token_whose_body_ends_in_trailers_is_accepted() {
    let world = world();
    let (other, _) = world.signed_in();
    for trailing in Trailing::ALL {
        let what = format!("{trailing:?}");
        let (browser, _) = world.signed_in();
        let sid = world.issuer.sids().pop();
        let long = "x".repeat(LONGEST);
        for (what, body, status) in [
            ("nothing", String::new(), 400),
            ("rubbish", "%".repeat(5000), 400),
            ("one byte too many", long.clone() + "x", 413),
            ("64 KiB", long, 400),
        ] {
            let before = world.upstream.count();
            let response = trailing.send(&world, Outgoing { body: body.into(), ..logout_request("") });
            assert_eq!(response.status, status, "{what}, {trailing:?}: {response:?}");
            assert_only_others_pass(&world, before, &browser, what);
        }
        // Signed with a key that has to be fetched first; fetches are limited in number.
        world.advance(30);
        world.issuer.rotate();
        let before = world.upstream.count();
        let token = world.issuer.logout_token_for(Some("alice"), sid.as_deref(), |_| {});
        assert_logged_out(&trailing.send(&world, logout_request(&token)), &what);
        assert_unauthenticated(&browser.fetch(&world.url("/api")), &what);
        assert_only_others_pass(&world, before, &other, &what);
    }
}

/// With a store, the trailers of a request come while its session is being looked up.
#[test]
fn identity_trailers_of_a_client_do_not_reach_the_app() {
    let store = Store::start();
    for (with_store, bodies) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::around(Issuer::start(), |setup| {
            *setup = setup.clone().cluster("webdis", store.port());
            setup.bodies_while_headers_are_held = bodies;
            let document = &mut setup.configuration;
            document["allow_on_headers_stop_iteration"] = json!(bodies);
            if with_store {
                document["session"]["store"] = json!({"cluster": "webdis", "timeout_ms": 10_000});
            }
        });
        let (browser, _) = world.signed_in();
        let http2 = browser.over_http2(world.envoy.port());
        for (trailer, expected) in [
            ("x-harmless: 1", vec!["x-harmless: 1"]),
            ("x-forwarded-user: mallory", vec![]),
            ("authorization: Bearer mallory", vec![]),
        ] {
            // Without a length, so that there is an end to put trailers at.
            let post = Outgoing::fetch("/api").method("POST").header(TRAILERS, trailer);
            let post = Outgoing { body: b"abc".to_vec(), ..post };
            let answer = http2.visit(&world.url("/api"), post);
            let seen = world.upstream.last();
            assert_eq!((answer.status, &*seen.body), (200, b"abc".as_slice()), "{}", world.log());
            assert_eq!(seen.headers.text("x-forwarded-user").as_deref(), Some("alice"));
            assert_eq!(seen.trailers, expected, "store {with_store}, bodies {bodies}, {trailer}");
        }
    }
}

#[test]
fn a_form_whose_body_ends_in_trailers_is_kept() {
    let world = world();
    let (browser, _) = world.signed_in();
    let (long, longer) = ("x".repeat(LONGEST - "text=".len()), "y".repeat(LONGEST));
    for trailing in Trailing::ALL {
        for (text, is_kept) in [("what was typed", true), (&long, true), (&longer, false)] {
            let what = format!("{trailing:?}, {} bytes", text.len());
            let before = world.upstream.count();
            let response = trailing.send(&world, form(text));
            assert_page(&response, &[401], &what);
            assert_eq!(response.text().contains(text), is_kept, "{what}: {response:?}");
            assert_only_others_pass(&world, before, &browser, &what);
        }
    }
}

#[test]
fn unfinished_posts_delay_no_sign_in() {
    for (what, post) in [("logout tokens", logout_request("x")), ("forms", form("x"))] {
        let world = world();
        // The provider is known now.
        let (browser, _) = world.signed_in();
        let before = world.upstream.count();
        // A body is waited for by the clock.
        world.stop_clock();
        let slow = Outgoing { body: b"l".to_vec(), ..post.without("content-length").header("content-length", "100") };
        let posts: Vec<_> = (0..SLOW).map(|_| world.begun(&slow)).collect();
        // Every one of them is decided, or begun to be read.
        let decided = || world.held() + world.metric("refused_busy");
        until("the last slow post", || (decided() >= SLOW as u64).then_some(()));
        let (newcomer, _) = world.signed_in();
        assert_only_others_pass(&world, before, &newcomer, what);
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
        world.until_held(READ_AT_ONCE as u64);

        // The last answers may still be on their way.
        let (mut refused, mut open) = (Vec::new(), posts);
        until("answers to those that are too many", || {
            for mut post in std::mem::take(&mut open) {
                if post.has_more(Duration::from_millis(1)) { refused.push(post) } else { open.push(post) }
            }
            (refused.len() >= SLOW - READ_AT_ONCE).then_some(())
        });
        assert_eq!((refused.len(), open.len()), (SLOW - READ_AT_ONCE, READ_AT_ONCE), "{what}");
        for post in refused {
            let response = world.read(post);
            assert_eq!((response.status, response.code().as_deref()), (503, Some("busy")), "{what}: {response:?}");
        }
        // A client that leaves makes room for another.
        open.into_iter().for_each(Connection::reset);
        world.until_held(0);
        let token = world.issuer.logout_token_for(Some("unknown"), None, |_| {});
        assert_logged_out(&world.deliver_logout(0, &token), what);
        assert_eq!(browser.fetch(&world.url("/api")).status, 200, "{what}");
    }
}

#[test]
fn only_a_form_with_one_logout_token_of_at_most_64_kib_is_read() {
    let world = logout::world();
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
        // A client that goes on sending may see the connection closed before it has read the answer.
        match world.send(&request) {
            Some(response) => assert_eq!(response.status, status, "{what}: {response:?}"),
            None => assert_eq!(status, 413, "{what}: no answer"),
        }
        world.upstream.assert_saw_nothing_since(before, what);
    }
    assert_passes(&world, &browser, "none of these");
    let longest = world.send(&form(format!("logout_token={token}&x=")).padded(LONGEST)).expect("an answer");
    assert_logged_out(&longest, "64 KiB");
    world.assert_ended(&browser, "64 KiB");
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
    let world = logout::world();
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
    assert_logged_out(&world.read(connection), "in pieces");
    world.assert_ended(&browser, "in pieces");
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
    // A client that leaves frees what its request held.
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
fn withheld_bodies_are_logged_and_do_not_reach_the_app() {
    let world = World::around(Issuer::start(), configure_logout);
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
    world.upstream.assert_saw_nothing_since(before, "no session");
    let response = browser.visit(&world.url("/api"), Outgoing::fetch("/api").method("POST").body("a=1"));
    assert_eq!((response.status, world.upstream.last().body), (200, b"a=1".to_vec()));
}
