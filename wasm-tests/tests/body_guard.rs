//! Bodies move only with a permit, also where an operator lets filters see them while the headers are held
//! (`allow_on_headers_stop_iteration`): there, Continue from a body callback would release the whole request.

use std::time::Duration;

use wasm_tests::{
    http1::{Answering, Response},
    issuer::{Answer, Endpoint, Fault, Issuer},
    process::until,
    user_agent::Outgoing,
    world::{World, assert_page, assert_unauthenticated},
};

/// With and without the option.
const BOTH: [bool; 2] = [false, true];
/// Envoy's limit for a body that it keeps for a filter is 1 MiB.
const LARGE: usize = 3 * 1024 * 1024;
const CHUNKS: [&[u8]; 4] =
    [b"5\r\nfirst\r\n", b"6;x=y\r\nsecond\r\n", b"0\r\n", b"x-trailer: 1\r\nx-forwarded-user: mallory\r\n\r\n"];

fn world(option: bool, issuer: Issuer) -> World {
    World::around(issuer, |setup| setup.bodies_while_headers_are_held = option)
}

fn chunked(request: Outgoing) -> Outgoing {
    request.header("transfer-encoding", "chunked")
}

/// Sends the head, and the pieces once `held` says so; then reads the answer, if there is one.
fn in_pieces(world: &World, head: &Outgoing, pieces: &[&[u8]], held: impl FnOnce()) -> Option<Response> {
    let mut connection = world.begun(head);
    held();
    for piece in pieces {
        // Each piece must arrive separately. After a refusal the connection may be closed.
        if connection.send(piece).is_err() || connection.has_more(Duration::from_millis(20)) {
            break;
        }
    }
    connection.read_response(Answering::Other).ok()
}

#[test]
fn without_a_session_no_byte_of_a_body_reaches_the_app() {
    for option in BOTH {
        let world = world(option, Issuer::start());
        // The provider is known now.
        world.begin(&world.browser(), "/page");
        let post = || Outgoing::fetch("/api").method("POST");
        let trailing = Outgoing { body: CHUNKS.concat(), ..chunked(post()) };
        for (what, request) in [
            ("small", post().body("a=1")),
            ("empty", post().body("")),
            ("chunked", trailing),
            ("GET", Outgoing::fetch("/api").body("a=1")),
            ("waiting to be asked", post().header("expect", "100-continue").body("a=1")),
        ] {
            let response = world.send(&request).unwrap_or_else(|| panic!("{what}: no answer"));
            assert_unauthenticated(&response, &format!("{what}, {option}"));
            world.upstream.assert_saw_nothing();
        }
        for (what, pieces) in [("in pieces", &CHUNKS[..]), ("never ended", &CHUNKS[..1])] {
            let response = in_pieces(&world, &chunked(post()), pieces, || {}).expect("an answer");
            assert_unauthenticated(&response, &format!("{what}, {option}"));
            world.upstream.assert_saw_nothing();
        }
        // A client that goes on sending may see the connection closed before it has read the answer.
        let response = world.send(&post().body(vec![b'x'; LARGE]));
        assert!(response.is_none_or(|response| matches!(response.status, 401 | 413)), "large, {option}");
        world.upstream.assert_saw_nothing();

        let form = Outgoing::navigation("/form").method("POST").body("a=1");
        assert_page(&world.send(&form).expect("an answer"), &[401], "a form");
        world.upstream.assert_saw_nothing();
    }
}

#[test]
fn while_the_provider_is_not_known_yet_no_byte_of_a_body_reaches_the_app() {
    for option in BOTH {
        let issuer = Issuer::start();
        issuer.misbehave(Fault::Answer(Endpoint::Discovery, Answer::Late(Duration::from_secs(1))));
        let world = world(option, issuer);
        // A visit waits for the provider with its body, a form does not.
        let visit = chunked(Outgoing::navigation("/page"));
        let asked = || {
            until("request for the metadata", || {
                (!world.issuer.requests(Endpoint::Discovery).is_empty()).then_some(())
            });
        };
        let response = in_pieces(&world, &visit, &CHUNKS, asked).expect("an answer");
        assert!(matches!(response.status, 302 | 503), "{option}: {response:?}");
        world.upstream.assert_saw_nothing();
    }
    for option in BOTH {
        let mut issuer = Issuer::start();
        issuer.down();
        let world = world(option, issuer);
        let form = chunked(Outgoing::navigation("/form").method("POST"));
        let response = in_pieces(&world, &form, &CHUNKS, || {}).expect("an answer");
        assert_page(&response, &[401], "a form");
        let script = Outgoing::fetch("/api").method("POST").body(vec![b'x'; 100_000]);
        assert_unauthenticated(&world.send(&script).expect("an answer"), "a script");
        let held = world.send(&Outgoing::navigation("/page").body("a=1")).expect("an answer");
        assert_page(&held, &[503], "a visit with a body");
        world.upstream.assert_saw_nothing();
    }
}

#[test]
fn a_callback_with_a_body_does_not_reach_the_app() {
    for option in BOTH {
        let world = world(option, Issuer::start());
        let browser = world.browser();
        let callback = world.callback_url(&browser, "/page");
        world.issuer.misbehave(Fault::Answer(Endpoint::Token, Answer::Late(Duration::from_millis(300))));
        let target = callback.strip_prefix(&world.url("")).expect("our own callback");
        let cookies = browser.jar().header("127.0.0.1", "/").expect("the cookie of the sign-in");
        let arrival = chunked(Outgoing::navigation(target)).header("cookie", cookies);
        let asked = || {
            until("request for tokens", || (!world.issuer.requests(Endpoint::Token).is_empty()).then_some(()));
        };
        let response = in_pieces(&world, &arrival, &CHUNKS, asked).expect("an answer");
        assert_eq!((response.status, response.location()), (303, Some(world.url("/page"))), "{option}");
        world.upstream.assert_saw_nothing();
    }
}

#[test]
fn with_a_session_a_body_arrives_whole() {
    for option in BOTH {
        let world = world(option, Issuer::start());
        let (browser, _) = world.signed_in();
        let large: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
        let post = |path: &str| Outgoing::fetch(path).method("POST");
        let trailing = Outgoing { body: CHUNKS.concat(), ..chunked(post("/api")) };
        for (what, request, body) in [
            ("small", post("/api").body("a=1"), b"a=1".to_vec()),
            ("empty", post("/api").body(""), Vec::new()),
            ("chunked", trailing, b"firstsecond".to_vec()),
            ("large", post("/api").body(&large), large.clone()),
            ("public", post("/public/api").body(&large), large.clone()),
            ("waiting to be asked", post("/api").header("expect", "100-continue").body("a=1"), b"a=1".to_vec()),
        ] {
            let before = world.upstream.count();
            let response = browser.visit(&world.url("/api"), request);
            assert_eq!((response.status, world.upstream.count()), (200, before + 1), "{what}, {option}: {response:?}");
            let seen = world.upstream.last();
            assert!(seen.body == body, "{what}, {option}: {} bytes arrived", seen.body.len());
        }
    }
}
