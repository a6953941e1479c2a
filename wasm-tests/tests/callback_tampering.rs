//! Callbacks that were tampered with, forged, repeated or made for another browser or client.

use std::thread;

use serde_json::json;
use wasm_tests::{
    http1::{Response, single},
    issuer::{Answer, Endpoint, Fault, Issuer},
    user_agent::Outgoing,
    world::{
        Parameters, SESSION_COOKIE, World, add_parameter, assert_page, assert_sign_in, assert_signed_in, changed,
        kept_cookies, parameter, set_parameter,
    },
};

type Forge = fn(&str) -> String;
type Change = fn(&mut Parameters);

fn flip(state: &str, at: usize) -> String {
    let mut bytes = state.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

#[test]
fn a_callback_that_is_malformed_ends_in_a_page_and_redeems_nothing() {
    let world = World::start();
    let browser = world.browser();
    world.callback_url(&browser, "/page");
    for query in [
        "",
        "?",
        "?code=x",
        "?state=",
        "?state",
        "?&",
        "?=",
        "?code&state",
        "?%",
        "?code=x&state=%zz",
        "?code=x&state=%00",
        "?code=x&state=%ff%fe",
        "?code=&state=",
        "?error=",
        "?error=access_denied",
        "?code=x&state=a%20b",
    ] {
        let url = world.url(&format!("/oauth2/callback{query}"));
        let response = browser.visit(&url, Outgoing::navigation(format!("/oauth2/callback{query}")));
        assert_page(&response, &[400], query);
    }
    let changes: [(&str, Change); 9] = [
        ("no code", |all| all.retain(|(name, _)| name != "code")),
        ("no state", |all| all.retain(|(name, _)| name != "state")),
        ("two states", |all| {
            let state = all[1].1.clone();
            add_parameter(all, "state", state)
        }),
        ("another state first", |all| all.insert(0, ("state".into(), "x".into()))),
        ("another state last", |all| add_parameter(all, "state", "x")),
        ("two codes", |all| add_parameter(all, "code", "x")),
        ("two issuers", |all| {
            let iss = all[2].1.clone();
            add_parameter(all, "iss", iss)
        }),
        ("code and error", |all| add_parameter(all, "error", "access_denied")),
        ("two errors", |all| {
            all.retain(|(name, _)| name != "code");
            add_parameter(all, "error", "a");
            add_parameter(all, "error", "b")
        }),
    ];
    for (what, change) in changes {
        let (browser, response) = world.callback_with(change);
        assert_page(&response, &[400], what);
        assert!(!browser.cookie_names(&world.url("/")).contains(&SESSION_COOKIE.to_owned()), "{what}");
    }
    assert_eq!(world.issuer.token_requests(), 0);
    world.upstream.assert_saw_nothing();
}

#[test]
fn a_forged_state_is_refused() {
    let world = World::start();
    let changes: [(&str, Forge); 9] = [
        ("first character", |state| flip(state, 0)),
        ("a character in the middle", |state| flip(state, state.len() / 2)),
        ("last but one character", |state| flip(state, state.len() - 2)),
        ("cut", |state| state[..state.len() - 1].to_owned()),
        ("half", |state| state[..state.len() / 2].to_owned()),
        ("longer", |state| format!("{state}A")),
        ("padded", |state| format!("{state}=")),
        ("another alphabet", |state| format!("+/{state}")),
        ("8 KiB", |_| "A".repeat(8 * 1024)),
    ];
    for (what, change) in changes {
        let (_, response) = world.callback_with(|all| {
            let state = single(all, "state").expect("a state").to_owned();
            set_parameter(all, "state", change(&state));
        });
        assert_page(&response, &[400], what);
    }
    // Too long for Envoy, which answers itself.
    let (browser, _) = world.callback_with(|_| {});
    let huge = format!("/oauth2/callback?code=x&state={}", "A".repeat(64 * 1024));
    let answer = world.send(&Outgoing::navigation(huge));
    assert!(answer.is_none_or(|response| matches!(response.status, 400 | 414 | 431)));
    assert_eq!((world.issuer.token_requests(), browser.get(&world.url("/page")).status), (1, 200));
}

#[test]
fn a_sign_in_of_another_browser_is_never_taken_over() {
    let world = World::start();
    let attacker = world.browser();
    let trap = world.callback_url(&attacker, "/trap");

    // A victim with a pending sign-in of her own completes that one at most.
    let victim = world.browser();
    let own = world.callback_url(&victim, "/own");
    let response = victim.get(&trap);
    assert_sign_in(&response, &world);
    assert_eq!(world.issuer.token_requests(), 0);
    assert_signed_in(&victim.get(&own), &world.url("/own"));

    // A victim with a session keeps it.
    let session = victim.jar().find("127.0.0.1", SESSION_COOKIE).cloned();
    let response = victim.get(&trap);
    assert_eq!((response.status, response.location()), (303, Some(world.url("/trap"))), "{response:?}");
    assert_eq!(kept_cookies(&response), [""; 0]);
    assert_eq!(victim.jar().find("127.0.0.1", SESSION_COOKIE).cloned(), session);
    assert_eq!(world.issuer.token_requests(), 1);

    // The attacker's code under the victim's own state is a code like any other; PKCE makes the issuer refuse it.
    let code = parameter(&world.callback_url(&attacker, "/"), "code");
    let (_, response) = world.callback_with(|all| set_parameter(all, "code", code));
    assert_page(&response, &[400], "a code that was injected");
    world.upstream.assert_saw_nothing();
}

#[test]
fn the_iss_of_a_response_must_be_that_of_the_request() {
    let world = World::start();
    let changes: [(&str, Change); 5] = [
        ("another", |all| set_parameter(all, "iss", "http://other.example")),
        ("a slash at the end", |all| {
            let iss = format!("{}/", all[2].1);
            set_parameter(all, "iss", iss)
        }),
        ("upper case", |all| {
            let iss = all[2].1.to_uppercase();
            set_parameter(all, "iss", iss)
        }),
        ("empty", |all| set_parameter(all, "iss", "")),
        ("missing, though the metadata promises it", |all| all.retain(|(name, _)| name != "iss")),
    ];
    for (what, change) in changes {
        assert_page(&world.callback_with(change).1, &[400], what);
    }
    assert_eq!(world.issuer.token_requests(), 0);

    let issuer = Issuer::start();
    issuer.misbehave(Fault::Answer(
        Endpoint::Discovery,
        Answer::Edited(|metadata| {
            metadata.as_object_mut().expect("an object").remove("authorization_response_iss_parameter_supported");
        }),
    ));
    let world = World::around(issuer, |_| {});
    assert_signed_in(&world.callback_with(|_| {}).1, &world.url("/page"));
    assert_signed_in(&world.callback_with(|all| all.retain(|(name, _)| name != "iss")).1, &world.url("/page"));
    assert_page(
        &world.callback_with(|all| set_parameter(all, "iss", "http://other.example")).1,
        &[400],
        "another, unpromised",
    );
}

#[test]
fn unknown_parameters_are_ignored_and_the_code_is_passed_on_exactly() {
    let world = World::start();
    let (browser, response) = world.callback_with(|all| {
        for (name, value) in [
            ("access_token", "x"),
            ("id_token", "x"),
            ("redirect_uri", "http://evil.example/"),
            ("scope", "all"),
            ("client_id", "evil"),
            ("session_state", "s.t"),
            ("rd", "http://evil.example/"),
            ("", ""),
        ] {
            add_parameter(all, name, value);
        }
    });
    assert_signed_in(&response, &world.url("/page"));
    assert_eq!(browser.get(&world.url("/page")).status, 200);

    for code in ["a b+c", "a&b=c", "%2B%26%", "\u{fc}\u{1f600}", "code&code=x", "<>\"'", &"x".repeat(4000)] {
        let before = world.issuer.token_requests();
        let (_, response) = world.callback_with(|all| set_parameter(all, "code", code));
        assert_page(&response, &[400], code);
        // A code of odd bytes may be refused here already; if it is passed on, then whole and once.
        if let Some(request) = world.issuer.requests(Endpoint::Token).get(before) {
            assert_eq!(single(&request.form(), "code"), Some(code));
            assert_eq!(single(&request.form(), "grant_type"), Some("authorization_code"));
        }
    }
}

#[test]
fn only_the_exact_path_and_method_is_the_callback() {
    let world = World::start();
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    let query = callback.split_once('?').expect("a query").1.to_owned();
    for path in [
        "/oauth2/callback/",
        "/oauth2/callback/evil",
        "/oauth2/callbackx",
        "/oauth2/Callback",
        "/OAUTH2/callback",
        "/oauth2/callback;x=1",
        "/oauth2/callback%00",
        "/oauth2//callback/x",
        "/x/oauth2/callback",
        "/oauth2callback",
    ] {
        let target = format!("{path}?{query}");
        let response = browser.visit(&world.url("/"), Outgoing::navigation(&target));
        assert!(matches!(response.status, 302 | 400 | 404), "{path}: {response:?}");
        assert!(!kept_cookies(&response).contains(&SESSION_COOKIE.to_owned()), "{path}");
    }
    let target = format!("/oauth2/callback?{query}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let response = browser.visit(&world.url("/"), Outgoing::navigation(&target).method(method).body(""));
        assert!(matches!(response.status, 400 | 401 | 405), "{method}: {response:?}");
    }
    assert_eq!(world.issuer.token_requests(), 0);
    world.upstream.assert_saw_nothing();
    // The sign-in is still pending.
    let restarted = browser.get(&callback);
    assert!(matches!(restarted.status, 302 | 303), "{restarted:?}");
}

#[test]
fn a_sign_in_for_another_client_with_the_same_key_is_refused() {
    let world = World::start();
    let other = World::with(|document| document["providers"][0]["client_id"] = json!("another-client"));
    // Cookies ignore ports: the browser takes those of the one to the other.
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    let there = callback.replacen(&world.url(""), &other.url(""), 1);
    let response = other.send(
        &Outgoing::navigation(there.strip_prefix(&other.url("")).expect("a path"))
            .header("cookie", browser.jar().header("127.0.0.1", "/").expect("cookies")),
    );
    let response = response.expect("an answer");
    assert!(matches!(response.status, 302 | 400), "{response:?}");
    assert!(!kept_cookies(&response).contains(&SESSION_COOKIE.to_owned()));
    assert_eq!(other.issuer.token_requests(), 0);

    let (_, session) = world.signed_in();
    let request = Outgoing::fetch("/page").header("cookie", format!("{SESSION_COOKIE}={session}"));
    assert_eq!(other.send(&request).expect("an answer").status, 401);
    other.upstream.assert_saw_nothing();
}

#[test]
fn fifty_codes_for_one_sign_in_cause_one_token_request() {
    let world = World::start();
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    let cookies = browser.jar().header("127.0.0.1", "/").expect("the cookie of the sign-in");
    let responses: Vec<Response> = thread::scope(|scope| {
        let attempts: Vec<_> = (0..50)
            .map(|attempt| {
                let url = changed(&callback, |all| set_parameter(all, "code", format!("guess-{attempt}")));
                let target = url.strip_prefix(&world.url("")).expect("our own callback").to_owned();
                let request = Outgoing::navigation(target).header("cookie", &cookies);
                let world = &world;
                scope.spawn(move || world.send(&request).expect("an answer"))
            })
            .collect();
        attempts.into_iter().map(|attempt| attempt.join().expect("an answer")).collect()
    });
    assert_eq!(world.issuer.token_requests(), 1);
    // The provider refuses the one; for the others the sign-in was begun before and begins again.
    assert_eq!(responses.iter().filter(|response| response.status == 400).count(), 1, "{responses:#?}");
    for response in responses.iter().filter(|response| response.status != 400) {
        assert_sign_in(response, &world);
    }
    // The right code is refused by then, too.
    let target = callback.strip_prefix(&world.url("")).expect("our own callback");
    let late = world.send(&Outgoing::navigation(target).header("cookie", &cookies)).expect("an answer");
    assert_sign_in(&late, &world);
    assert_eq!(world.issuer.token_requests(), 1);
    world.upstream.assert_saw_nothing();
}
