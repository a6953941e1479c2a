//! Cookies that were cut, flipped, swapped, repeated or made up are no session, and never more than that.

use wasm_tests::{
    http1::Response,
    user_agent::{Cookie, Outgoing},
    world::{PENDING_COOKIE, SESSION_COOKIE, World, assert_sign_in, assert_unauthenticated, kept_cookies},
};

fn with_cookies(lines: &[&[u8]]) -> Outgoing {
    lines.iter().fold(Outgoing::fetch("/page"), |request, line| request.header("cookie", line))
}

fn ask(world: &World, lines: &[&[u8]]) -> Response {
    world.send(&with_cookies(lines)).expect("an answer")
}

/// Headers that may differ between two answers to the same kind of request.
fn without_request_id(response: &Response) -> (u16, Vec<String>, Option<String>, Option<String>) {
    let mut names: Vec<String> = response.headers.0.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    (response.status, names, response.code(), body["error"].as_str().map(str::to_owned))
}

#[test]
fn an_altered_session_cookie_is_treated_as_absent() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let good = format!("{SESSION_COOKIE}={session}");
    assert_eq!(ask(&world, &[good.as_bytes()]).status, 200);
    let before = world.upstream.count();
    let expected = without_request_id(&ask(&world, &[]));
    let mut values: Vec<String> = (0..session.len())
        .step_by(1 + session.len() / 150)
        .chain([session.len() - 1])
        .map(|at| {
            let mut bytes = session.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).expect("ASCII")
        })
        .filter(|changed| *changed != session)
        .collect();
    values.extend(
        [
            "",
            "x",
            "A",
            "AAAA",
            "!",
            "null",
            "{}",
            r#"{"sub":"alice"}"#,
            "eyJzdWIiOiJhbGljZSJ9",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
            "deleted",
            "%00",
            "..",
            "1",
            "18446744073709551616",
        ]
        .map(str::to_owned),
    );
    values.extend([1, 4, 12, 16, session.len() / 2].map(|cut| session[..session.len() - cut].to_owned()));
    values.extend([
        format!("{session}A"),
        format!("{session}="),
        format!("A{session}"),
        format!("{session}{session}"),
        "A".repeat(session.len()),
        "A".repeat(20_000),
        format!("\"{session}"),
    ]);
    for value in &values {
        let response = ask(&world, &[format!("{SESSION_COOKIE}={value}").as_bytes()]);
        assert_unauthenticated(&response, value);
        assert_eq!(without_request_id(&response), expected, "{value}");
    }
    world.upstream.assert_saw_nothing_since(before, "changed cookies");
    // A navigation signs in again instead.
    let navigation = Outgoing::navigation("/page").header("cookie", format!("{SESSION_COOKIE}={}", values[0]));
    assert_sign_in(&world.send(&navigation).expect("an answer"), &world);
    assert_eq!(ask(&world, &[good.as_bytes()]).status, 200);
}

#[test]
fn a_cookie_is_accepted_only_under_its_own_name() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let browser = world.browser();
    let sign_in = world.begin(&browser, "/page");
    let pending = browser.jar().find("127.0.0.1", &sign_in.cookie).cloned().expect("a pending sign-in");
    let pending_value = String::from_utf8(pending.value.clone()).expect("ASCII");
    let before = world.upstream.count();
    for line in [
        format!("{SESSION_COOKIE}={pending_value}"),
        format!("{SESSION_COOKIE}={}", sign_in.state),
        format!("{SESSION_COOKIE}2={session}"),
        format!("x{SESSION_COOKIE}={session}"),
        format!("__host-vestibule={session}"),
        format!("__HOST-VESTIBULE={session}"),
        format!("__Host-vestibule-0={session}"),
        format!("vestibule={session}"),
        format!("__Secure-vestibule={session}"),
    ] {
        assert_unauthenticated(&ask(&world, &[line.as_bytes()]), &line);
    }
    world.upstream.assert_saw_nothing_since(before, "cookies under other names");

    // A session, or another sign-in, in place of the pending one: the code is not redeemed.
    let callback = world.answer(&browser, &sign_in);
    let other = world.browser();
    let other_sign_in = world.begin(&other, "/other");
    let other_value = other.jar().find("127.0.0.1", &other_sign_in.cookie).expect("a pending sign-in").value.clone();
    for value in [session.clone().into_bytes(), other_value, sign_in.state.clone().into_bytes()] {
        browser.jar().put(Cookie { value, ..pending.clone() });
        let response = browser.get(&callback);
        assert!(matches!(response.status, 302 | 400), "{response:?}");
        assert!(!kept_cookies(&response).contains(&SESSION_COOKIE.to_owned()), "{response:?}");
    }
    assert_eq!(world.issuer.requests(wasm_tests::issuer::Endpoint::Token).len(), 1);
}

#[test]
fn duplicate_session_cookies_are_decided_consistently() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let (good, bad) = (format!("{SESSION_COOKIE}={session}"), format!("{SESSION_COOKIE}=AAAA"));
    let halves = session.split_at(session.len() / 2);
    let mut seen = Vec::new();
    for lines in [
        vec![format!("{good}; {bad}")],
        vec![format!("{bad}; {good}")],
        vec![good.clone(), bad.clone()],
        vec![bad.clone(), good.clone()],
        vec![format!("{SESSION_COOKIE}={}; {SESSION_COOKIE}={}", halves.0, halves.1)],
        vec![format!("{SESSION_COOKIE}={}", halves.0), format!("{SESSION_COOKIE}={}", halves.1)],
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let statuses: Vec<u16> = (0..4).map(|_| ask(&world, &lines).status).collect();
        assert!(statuses.iter().all(|status| *status == statuses[0]), "{statuses:?}");
        seen.push(statuses[0]);
    }
    // A planted cookie may cost the session, but the order of lines decides as the order within a line does, and two
    // halves are never put together.
    assert_eq!((seen[0], seen[1]), (seen[2], seen[3]), "{seen:?}");
    assert_eq!((seen[4], seen[5]), (401, 401), "{seen:?}");
}

#[test]
fn malformed_cookies_do_not_hide_the_session_cookie() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let good = format!("{SESSION_COOKIE}={session}");
    let thousand = (0..1000).map(|at| format!("c{at}=v")).collect::<Vec<_>>().join("; ");
    let shapes: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b";".to_vec(),
        b"=".to_vec(),
        b";;;=;".to_vec(),
        b"name".to_vec(),
        b"name=".to_vec(),
        b"=value".to_vec(),
        b"a=\"x;y\"".to_vec(),
        b"a=1,b=2".to_vec(),
        b"\t a \t=\t1\t".to_vec(),
        b"\xff\xfe\x80=\xff".to_vec(),
        b"__Host-vestibule-p-\xff=1".to_vec(),
        b"__Host-vestibule-p-=1; __Host-vestibule-p-x=; __Host-vestibule-p-AAAA=AAAA".to_vec(),
        b";".repeat(40_000),
        b"a".repeat(40_000),
        b"=;".repeat(20_000),
        thousand.into_bytes(),
    ];
    for shape in &shapes {
        let what = String::from_utf8_lossy(&shape[..shape.len().min(60)]).into_owned();
        // Malformed cookies next to the session cookie do not affect it, on the same line or on another.
        let around = [good.as_bytes(), b"; ", shape].concat();
        for lines in [vec![shape.as_slice(), good.as_bytes()], vec![good.as_bytes(), shape], vec![&around]] {
            assert_eq!(ask(&world, &lines).status, 200, "{what}");
        }
        // Without one it starts a sign-in, or is refused, as always.
        assert_unauthenticated(&ask(&world, &[shape]), &what);
        let response = world.send(&Outgoing::navigation("/page").header("cookie", shape)).expect("an answer");
        assert_sign_in(&response, &world);
    }
}

#[test]
fn stale_pending_sign_in_cookies_are_deleted_and_no_others() {
    let world = World::start();
    let browser = world.browser();
    for at in 0..30 {
        browser.jar().take("127.0.0.1", "/", format!("{PENDING_COOKIE}{at:022}=junk; Secure; Path=/").as_bytes());
    }
    browser.jar().take("127.0.0.1", "/", b"app=1; Path=/");
    world.begin(&browser, "/page");
    let names = browser.cookie_names(&world.url("/"));
    assert!(names.iter().filter(|name| name.starts_with(PENDING_COOKIE)).count() <= 5, "{names:?}");
    assert!(names.contains(&"app".to_owned()), "{names:?}");
    assert_eq!(browser.follow(&world.url("/page")).last().expect("a page").1.status, 200);
}

#[test]
fn a_session_too_large_for_cookies_gives_a_page() {
    let world = World::start();
    for (length, fits) in [(100, true), (2000, true), (20_000, false), (100_000, false)] {
        world.issuer.sign_in_as(serde_json::json!({"sub": "dora", "groups": vec!["g".repeat(9); length / 10]}));
        let browser = world.browser();
        let response = browser.get(&world.callback_url(&browser, "/page"));
        if fits {
            assert_eq!(response.status, 303, "{length}: {response:?}");
            assert_eq!(browser.get(&world.url("/page")).status, 200, "{length}");
        } else if response.status == 303 {
            // It may be cut to what fits, but then it must be a session that works.
            assert_eq!(browser.get(&world.url("/page")).status, 200, "{length}");
        } else {
            wasm_tests::world::assert_page(&response, &[400, 500, 502], "too large");
        }
    }
}
