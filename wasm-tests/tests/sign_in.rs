//! From nothing to a browser that is signed in, and what each party sees on the way.

use std::{thread, time::Duration};

use serde_json::json;
use wasm_tests::{
    http1::single,
    issuer::{Answer, CLIENT_ID, CLIENT_SECRET, Endpoint, Fault},
    keys::{base64url, sha256},
    user_agent::Outgoing,
    world::{LOGIN_LOOP_COOKIE, PENDING_COOKIE, SESSION_COOKIE, World, assert_sign_in, assert_signed_in, parameter},
};

const DEEP_LINK: &str = "/deep/link?a=1&b=%2F%20x&empty=&c=%C3%BC";

#[test]
fn a_browser_signs_in_and_returns_to_the_requested_page() {
    let world = World::start();
    let browser = world.browser();
    let sign_in = world.begin(&browser, DEEP_LINK);
    world.upstream.assert_saw_nothing();
    assert_eq!(browser.cookie_names(&world.url("/")), std::slice::from_ref(&sign_in.cookie));

    let callback = world.answer(&browser, &sign_in);
    assert_eq!(parameter(&callback, "state"), sign_in.state);
    // What a client sends along must not reach the provider.
    let target = callback.strip_prefix(&world.url("")).expect("our own callback");
    let arrival = Outgoing::navigation(target)
        .header("authorization", "Basic canary-of-the-browser")
        .header("x-forwarded-for", "192.0.2.7")
        .header("cookie", "canary=of-the-browser");
    assert_signed_in(&browser.visit(&callback, arrival), &world.url(DEEP_LINK));
    world.upstream.assert_saw_nothing();
    assert_eq!(browser.cookie_names(&world.url("/")), [SESSION_COOKIE, LOGIN_LOOP_COOKIE]);

    let [redeemed] = &world.issuer.requests(Endpoint::Token)[..] else { panic!("one request at the token endpoint") };
    let form = redeemed.form();
    let verifier = single(&form, "code_verifier").expect("a verifier");
    assert_eq!(base64url(&sha256(verifier.as_bytes())), parameter(&sign_in.url, "code_challenge"));
    assert_eq!(single(&form, "redirect_uri"), Some(world.url("/oauth2/callback").as_str()));
    assert_eq!(single(&form, "client_secret"), None);
    assert_eq!(redeemed.target, "/token");
    assert!(!format!("{:?}", world.issuer.all_requests()).contains("of-the-browser"));
    assert!(!redeemed.headers.has("cookie") && !redeemed.headers.has("x-forwarded-for"), "{redeemed:?}");

    let page = browser.get(&world.url(DEEP_LINK));
    assert_eq!((page.status, page.text().as_str()), (200, "hello from the app"));
    assert_eq!(page.set_cookies(), [""; 0]);
    let seen = world.upstream.last();
    assert_eq!(seen.target, DEEP_LINK);
    for (name, value) in [
        ("x-forwarded-user", "alice"),
        ("x-forwarded-email", "alice@example.com"),
        ("x-forwarded-preferred-username", "alice.example"),
        ("x-forwarded-groups", "staff,admins"),
    ] {
        assert_eq!(seen.headers.all(name), [value.as_bytes()], "{name}");
    }
    assert!(!seen.headers.has("cookie"), "{seen:?}");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn the_app_receives_all_other_cookies_unchanged() {
    let world = World::start();
    let (_, session) = world.signed_in();
    let ours = format!("{SESSION_COOKIE}={session}");
    let pending = format!("{PENDING_COOKIE}AAAAAAAAAAAAAAAAAAAAAA=x");
    let cases: [(Vec<String>, Vec<&[u8]>); 6] = [
        (vec![format!("a=1; {ours}; b=\"x y\"")], vec![b"a=1; b=\"x y\""]),
        (vec![format!("{ours}; a=1,2;b=;c; d==")], vec![b"a=1,2;b=;c; d=="]),
        (vec![format!("a=1; {pending}; {ours}")], vec![b"a=1"]),
        (vec!["a=1".into(), ours.clone(), "b=2; a=3".into()], vec![b"a=1", b"b=2; a=3"]),
        (
            vec![format!("x{SESSION_COOKIE}=1; {SESSION_COOKIE}2=2; {ours}")],
            vec![b"x__Host-vestibule=1; __Host-vestibule2=2"],
        ),
        (vec![format!("{ours}; {pending}")], vec![]),
    ];
    for (index, (lines, expected)) in cases.into_iter().enumerate() {
        let request = lines.iter().fold(Outgoing::navigation("/page"), |request, line| request.header("Cookie", line));
        let response = world.send(&request).expect("an answer");
        assert_eq!(response.status, 200, "case {index}: {response:?}");
        assert_eq!(world.upstream.last().headers.all("cookie"), expected, "case {index}");
    }
    // Without a session too: public paths get the same treatment, and bytes that are no text stay as they are.
    let odd = [b"odd=\xff\xfe; ".as_slice(), ours.as_bytes(), b"; z=1"].concat();
    let response = world.send(&Outgoing::navigation("/public/page").header("cookie", odd)).expect("an answer");
    assert_eq!(response.status, 200);
    assert_eq!(world.upstream.last().headers.all("cookie"), [b"odd=\xff\xfe; z=1"]);
}

#[test]
fn a_code_is_redeemed_once_and_a_repeated_callback_leads_to_the_page() {
    let world = World::start();
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
    for _ in 0..3 {
        let again = browser.get(&callback);
        assert_eq!((again.status, again.location()), (303, Some(world.url("/page"))), "{again:?}");
    }
    assert_eq!(world.issuer.requests(Endpoint::Token).len(), 1);

    // The same callback twice at once: the code is redeemed once, and one of the two makes the session.
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    world.issuer.misbehave(Fault::Answer(Endpoint::Token, Answer::Late(Duration::from_millis(200))));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| browser.get(&callback).status)).collect();
        both.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert_eq!(world.issuer.requests(Endpoint::Token).len(), 2, "{statuses:?}");
    assert!(statuses.contains(&303) && statuses.iter().all(|status| matches!(status, 302 | 303)), "{statuses:?}");
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}

#[test]
fn the_client_authenticates_as_configured() {
    let post =
        World::with(|document| document["providers"][0]["token_endpoint_auth_method"] = json!("client_secret_post"));
    post.signed_in();
    let request = &post.issuer.requests(Endpoint::Token)[0];
    assert_eq!(single(&request.form(), "client_secret"), Some(CLIENT_SECRET));
    assert!(!request.headers.has("authorization"));

    let public = World::with(|document| {
        let provider = document["providers"][0].as_object_mut().expect("an object");
        provider.remove("client_secret");
        provider.insert("token_endpoint_auth_method".into(), json!("none"));
    });
    public.signed_in();
    let request = &public.issuer.requests(Endpoint::Token)[0];
    assert_eq!(single(&request.form(), "client_id"), Some(CLIENT_ID));
    assert_eq!(single(&request.form(), "client_secret"), None);
}

#[test]
fn the_authorization_request_has_configured_scopes_and_parameters() {
    let world = World::with(|document| {
        document["providers"][0]["scopes"] = json!(["email", "offline_access"]);
        document["providers"][0]["authorization_params"] = json!({"prompt": "select_account", "hd": "a&b=c"});
    });
    let browser = world.browser();
    let sign_in = world.begin(&browser, "/page?scope=all&redirect_uri=http://evil.example/&client_id=evil&prompt=none");
    let mut scopes: Vec<_> = parameter(&sign_in.url, "scope").split(' ').map(str::to_owned).collect();
    scopes.sort();
    assert_eq!(scopes, ["email", "offline_access", "openid"]);
    assert_eq!(parameter(&sign_in.url, "prompt"), "select_account");
    assert_eq!(parameter(&sign_in.url, "hd"), "a&b=c");
}

#[test]
fn urls_and_cookies_of_a_sign_in_match_no_firewall_rule() {
    let world = World::start();
    let is_clean = |text: &str| !text.contains("--") && !text.contains("..");
    for number in 0..100 {
        let path = format!("/{number}/{}", "x".repeat(number * 10));
        let browser = world.browser();
        let sign_in = world.begin(&browser, &path);
        assert!(is_clean(&sign_in.url) && sign_in.state.len() < 512, "{}", sign_in.url);
        let cookies = browser.jar().header("127.0.0.1", "/").expect("the sign-in's cookie");
        assert!(is_clean(&String::from_utf8_lossy(&cookies)), "{cookies:?}");
        if number % 10 == 0 {
            assert_signed_in(&browser.get(&world.answer(&browser, &sign_in)), &world.url(&path));
            let session = browser.session_cookies().swap_remove(0);
            assert!(is_clean(&String::from_utf8_lossy(&session.value)), "{session:?}");
        }
    }
    // A browser that does not have the sign-in still arrives at a short path.
    let sign_in = world.begin(&world.browser(), DEEP_LINK);
    let other = world.browser();
    let again = world.answer(&other, &sign_in);
    let response = other.get(&again);
    let sign_in = assert_sign_in(&response, &world);
    assert_signed_in(&other.get(&world.answer(&other, &sign_in)), &world.url(DEEP_LINK));
}
