//! What the scripts of an app need: the user, the end of the session, and the sign-in URL if there is none.

use serde_json::{Value, json};
use url::Url;
use wasm_tests::{
    issuer::RefreshTokens,
    user_agent::Outgoing,
    world::{World, assert_signed_in, assert_unauthenticated},
};

const USERINFO: &str = "/oauth2/userinfo";
const CORPUS: &[u8] = include_bytes!("../../src/session/testdata/open_redirects.txt");

fn start(target: &[u8]) -> String {
    let target: String = url::form_urlencoded::byte_serialize(target).collect();
    format!("/oauth2/start?rd={target}")
}

#[test]
fn a_script_receives_the_user_and_no_secret() {
    let world = World::with(|document| document["userinfo_claims"] = json!(["email", "groups", "missing"]));
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let (browser, _) = world.signed_in();
    let before = world.upstream.count();
    let response = browser.fetch(&world.url(USERINFO));
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    let claims = json!({"sub": "alice", "email": "alice@example.com", "groups": ["staff", "admins"]});
    assert_eq!((response.status, &body["claims"]), (200, &claims), "{body}");
    assert_eq!(
        body.as_object().map(|body| body.keys().cloned().collect()),
        Some(vec!["claims".to_owned(), "expires_at".to_owned(), "expires_in".to_owned()])
    );
    assert!(body["expires_in"].as_i64().is_some_and(|left| (28_700..=28_800).contains(&left)), "{body}");
    for (name, value) in [("cache-control", Some("no-store")), ("content-type", Some("application/json"))] {
        assert_eq!(response.headers.text(name).as_deref(), value);
    }
    // No other origin may read it, and no cookie comes with it.
    assert!(
        !response.headers.has("access-control-allow-origin") && !response.headers.has("set-cookie"),
        "{response:?}"
    );
    // Asking in the background renews nothing, even when it is time.
    world.advance(3600);
    assert_eq!(browser.fetch(&world.url(USERINFO)).status, 200);
    assert_eq!(world.issuer.refreshes().asked, 0);
    let head = browser.visit(&world.url(USERINFO), Outgoing::fetch(USERINFO).method("HEAD"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let response = browser.visit(&world.url(USERINFO), Outgoing::fetch(USERINFO).method(method).body("a=b"));
        assert_eq!((response.status, response.headers.text("allow").as_deref()), (405, Some("GET")), "{method}");
    }
    world.upstream.assert_saw_nothing_since(before, "userinfo is ours");
}

#[test]
fn a_script_without_a_session_receives_the_sign_in_url() {
    let world = World::start();
    for (path, method) in [(USERINFO, "GET"), ("/api/items", "GET"), ("/api/items", "POST"), ("/oauth2/start", "GET")] {
        let (browser, before) = (world.browser(), world.upstream.count());
        let response = browser.visit(&world.url(path), Outgoing::fetch(path).method(method).body(""));
        assert_unauthenticated(&response, path);
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(body["code"], "sign_in_required", "{body}");
        assert_eq!(body["sign_in_url"], world.url("/oauth2/start"), "{body}");
        world.upstream.assert_saw_nothing_since(before, path);
        // As the script would: the page goes there, with the way back.
        let url = body["sign_in_url"].as_str().expect("text").replace("/oauth2/start", &start(b"/app?a=b&c#/item/7"));
        let steps = browser.follow(&url);
        let back = steps.iter().find(|(at, _)| at.contains("/oauth2/callback")).expect("a callback");
        assert_eq!(back.1.location(), Some(world.url("/app?a=b&c#/item/7")));
        assert_eq!(steps.last().expect("a page").1.status, 200);
        assert_eq!(world.upstream.last().target, "/app?a=b&c");
        assert_eq!(browser.fetch(&world.url(USERINFO)).status, 200);
    }
    // Only a page load of the user starts a sign-in.
    for request in [
        Outgoing::navigation("/oauth2/start").method("POST").body(""),
        Outgoing::navigation("/oauth2/start").header("sec-purpose", "prefetch"),
        Outgoing::fetch("/oauth2/start").header("upgrade", "websocket").header("connection", "upgrade"),
    ] {
        let response = world.send(&request).expect("an answer");
        assert_eq!((response.status, response.set_cookies().len()), (401, 0), "{response:?}");
    }
}

#[test]
fn no_rd_parameter_leads_to_another_origin() {
    let world = World::start();
    let own = Url::parse(&world.url("/")).expect("a URL");
    let lines = CORPUS.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let mut count = 0;
    let browser = world.browser();
    for line in lines {
        // As a script would write it, and as it stands there, if a URL can hold that.
        let raw = [b"/oauth2/start?rd=", line].concat();
        let can_be_raw = line.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
        for target in [Some(start(line).into_bytes()), can_be_raw.then_some(raw)].into_iter().flatten() {
            let what = String::from_utf8_lossy(&target).into_owned();
            let response = browser.visit(&world.url("/"), Outgoing::navigation(&target));
            let Some(asked) = response.location() else {
                assert_eq!(response.status, 400, "{what}: {response:?}");
                continue;
            };
            assert!(asked.starts_with(&world.issuer.url()), "{what}: {asked}");
            let callback = browser.get(&asked).location().expect("a way back");
            let response = browser.get(&callback);
            let to = response.location().expect("a way back");
            assert_signed_in(&response, &to);
            // What a browser makes of it.
            let at = own.join(&to).unwrap_or_else(|error| panic!("{what}: {to}: {error}"));
            assert_eq!(at.origin(), own.origin(), "{what}: {to}");
            assert!(to.starts_with(&world.url("/")), "{what}: {to}");
            assert!(
                !at.path().starts_with("/oauth2/") && to.bytes().all(|byte| byte.is_ascii_graphic()),
                "{what}: {to}"
            );
            count += 1;
        }
    }
    assert!(count > 250, "{count}");
    world.upstream.assert_saw_nothing();
}

#[test]
fn the_module_for_scripts_is_served_to_everybody() {
    let world = World::start();
    let path = "/oauth2/client.js";
    let as_script = |method: &str| Outgoing::fetch(path).method(method);
    let (signed_in, _) = world.signed_in();
    let before = world.upstream.count();
    for browser in [&world.browser(), &signed_in] {
        let module = browser.visit(&world.url(path), as_script("GET"));
        assert_eq!((module.status, module.code().as_deref()), (200, Some("client_script")), "{module:?}");
        assert_eq!(module.headers.text("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
        assert_eq!(module.headers.text("cross-origin-resource-policy").as_deref(), Some("same-origin"));
        assert!(module.text().contains("export const { user, signIn, signOut, fetchWithSignIn }"), "{module:?}");
        let head = browser.visit(&world.url(path), as_script("HEAD"));
        assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
        let tag = module.headers.text("etag").expect("a tag");
        let known = browser.visit(&world.url(path), as_script("GET").header("if-none-match", &tag));
        assert_eq!((known.status, known.body.len()), (304, 0), "{known:?}");
        assert_eq!(known.headers.text("etag"), Some(tag));
        for method in ["POST", "PUT", "DELETE"] {
            let refused = browser.visit(&world.url(path), as_script(method).body("a"));
            assert_eq!((refused.status, refused.headers.text("allow").as_deref()), (405, Some("GET")), "{refused:?}");
            assert_eq!(refused.code().as_deref(), Some("client_script_method"));
        }
    }
    world.upstream.assert_saw_nothing_since(before, "the module is ours");
    assert_eq!(signed_in.get(&world.url("/page")).status, 200);
}
