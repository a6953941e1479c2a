//! Provisioning in the real Envoy: the app creates users, refuses them and says what they may do; and what happens where its
//! answer is slow, wrong or hostile.

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Answer, Issuer, RefreshTokens},
    oauth2_server::{Dialect, OAuth2Server},
    renewal::{DUE, LIFETIME},
    upstream::MARK,
    user_agent::UserAgent,
    user_directory::{CLUSTER, REFUSAL, SECRET, UserDirectory},
    world::{SESSION_COOKIE, World, access, assert_page, assert_signed_in, signed_in_at_once},
};

fn world_with(directory: &UserDirectory, change: impl FnOnce(&mut Value)) -> World {
    let issuer = Issuer::start();
    issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        terms.expires_in = Some(json!(LIFETIME));
        terms.refresh_expires_in = Some(json!(LIFETIME));
    });
    World::around(issuer, |setup| {
        setup.workers = 1;
        setup.clusters.push((CLUSTER.to_owned(), directory.port()));
        let configuration = &mut setup.configuration;
        configuration["provisioning"] = directory.settings();
        configuration["identity_headers"] = json!({
            "X-User": "sub", "X-Plan": "/attributes/plan", "X-Id": {"template": "user-{/attributes/id}"},
        });
        configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/pro", "access": "required", "allow": {"claims": {"/attributes/plan": ["pro"]}}},
        ]);
        change(configuration);
    })
}

fn world(directory: &UserDirectory) -> World {
    world_with(directory, |_| {})
}

/// The answer to the callback of a new browser.
fn sign_in(world: &World) -> (UserAgent, Response) {
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/pro");
    let response = browser.get(&callback);
    (browser, response)
}

/// Checks that this sign-in ended in a page with this status and code, that the app saw nothing and keeps nothing of it, and
/// that the same worker signs in the next user.
#[track_caller]
fn assert_no_session(world: &World, status: u16, code: &str, what: &str) -> Response {
    let before = world.upstream.count();
    let (browser, response) = sign_in(world);
    assert_page(&response, &[status], what);
    assert_eq!(response.code().as_deref(), Some(code), "{what}: {response:?}\n{}", world.log());
    assert!(browser.session_cookies().is_empty(), "{what}");
    let cookies = response.set_cookies();
    assert!(!cookies.iter().any(|line| line.starts_with(&format!("{SESSION_COOKIE}="))), "{what}: {cookies:?}");
    assert_eq!(access(world, &browser, "/pro"), "sign_in_started", "{what}");
    world.upstream.assert_saw_nothing_since(before, what);
    world.assert_serves();
    response
}

#[track_caller]
fn header(world: &World, browser: &UserAgent, name: &str) -> Option<String> {
    let response = browser.get(&world.url("/page"));
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
    world.upstream.last().headers.text(name)
}

#[test]
fn the_first_sign_in_creates_the_user_and_attributes_are_in_headers_and_rules() {
    let directory = UserDirectory::start();
    let world = world(&directory);
    let (browser, _) = world.signed_in();
    assert_eq!(directory.users(), ["alice"]);
    assert_eq!(header(&world, &browser, "x-plan").as_deref(), Some("free"));
    assert_eq!(header(&world, &browser, "x-id").as_deref(), Some("user-7"));
    let before = world.upstream.count();
    assert_eq!(access(&world, &browser, "/pro"), "not_allowed");
    world.upstream.assert_saw_nothing_since(before, "the plan is free");

    let asked = &directory.asked()[0];
    assert_eq!((&asked["event"], &asked["registration"]), (&json!("sign_in"), &json!("allowed")));
    assert_eq!((&asked["iss"], &asked["sub"]), (&json!(world.issuer.url()), &json!("alice")));
    assert_eq!(asked["claims"]["email"], json!("alice@example.com"));
    assert!(!asked.to_string().contains("eyJ") && !asked.to_string().contains("canary"), "{asked}");

    directory.add(&world.issuer.url(), "alice", "pro");
    assert_eq!(access(&world, &signed_in_at_once(&world), "/pro"), "passed");
    // Requests of a session do not ask.
    assert_eq!(directory.asked().len(), 2);
    assert!(!world.log().contains(SECRET));
}

#[test]
fn unknown_users_are_refused_without_registration() {
    let directory = UserDirectory::start();
    let world = world_with(&directory, |document| document["providers"][0]["registration"] = json!("refused"));
    let response = assert_no_session(&world, 403, "provisioning_refused", "an unknown user");
    let page = response.text();
    assert!(page.contains(REFUSAL) && page.contains("Use another account"), "{page}");
    assert!(directory.users().is_empty());
    assert!(world.log().contains(REFUSAL), "{}", world.log());
    assert_eq!(world.metric("refused_provisioning_refused"), 1);

    directory.add(&world.issuer.url(), "alice", "pro");
    assert_eq!(access(&world, &signed_in_at_once(&world), "/pro"), "passed");
    // The same subject of another issuer is another user.
    directory.remove("alice");
    directory.add("https://other.example", "alice", "pro");
    assert_no_session(&world, 403, "provisioning_refused", "another issuer");
}

#[test]
fn a_renewal_updates_attributes_and_ends_a_removed_users_session() {
    let directory = UserDirectory::start();
    let world = world(&directory);
    directory.add(&world.issuer.url(), "alice", "pro");
    let (browser, _) = world.signed_in();
    assert_eq!(access(&world, &browser, "/pro"), "passed");
    directory.add(&world.issuer.url(), "alice", "free");
    world.advance(DUE);
    assert_eq!(header(&world, &browser, "x-plan").as_deref(), Some("free"));
    assert_eq!(directory.asked()[1]["event"], json!("renewal"));
    assert_eq!(directory.asked()[1]["claims"], directory.asked()[0]["claims"]);

    // Trouble ends nothing, and the app is asked again.
    for answer in [Answer::status(500), Answer::json(200, "<html>"), Answer::status(403), Answer::ResetBeforeHeaders] {
        directory.misbehave(answer);
        let asked = directory.asked().len();
        world.advance(DUE);
        assert_eq!(header(&world, &browser, "x-plan").as_deref(), Some("free"), "{}", world.log());
        directory.behave();
        world.advance(16);
        assert_eq!(header(&world, &browser, "x-plan").as_deref(), Some("free"));
        assert_eq!(directory.asked().len(), asked + 2);
    }

    directory.remove("alice");
    world.advance(DUE);
    world.assert_ended(&browser, "the app has removed the user");
    // A new sign-in would create the user again; that is for the app to decide.
    directory.misbehave(Answer::json(403, json!({"message": "Your account is closed."}).to_string()));
    let page = assert_no_session(&world, 403, "provisioning_refused", "a closed account");
    assert!(page.text().contains("Your account is closed."));
}

#[test]
fn an_invalid_provisioning_response_creates_no_session() {
    let directory = UserDirectory::start();
    let world = world(&directory);
    let attributes = |attributes: &str| Answer::json(200, format!(r#"{{"attributes":{attributes}}}"#));
    for (what, answer, status, code) in [
        ("a page", Answer::status(200), 502, "provisioning_malformed"),
        ("an empty object", Answer::json(200, "{}"), 502, "provisioning_malformed"),
        ("a list of attributes", attributes("[]"), 502, "provisioning_malformed"),
        ("null", attributes("null"), 502, "provisioning_malformed"),
        ("two answers", Answer::json(200, r#"{"attributes":{},"attributes":{}}"#), 502, "provisioning_malformed"),
        ("bytes", Answer::json(200, vec![0xff, 0xfe, 0x00]), 502, "provisioning_malformed"),
        ("nested", Answer::nested(100_000), 502, "provisioning_malformed"),
        ("100 KiB", Answer::huge(100 * 1024), 502, "provisioning_malformed"),
        ("2 MB", Answer::huge(2 * 1024 * 1024), 502, "provisioning_malformed"),
        ("202", Answer::json(202, r#"{"attributes":{}}"#), 502, "provisioning_malformed"),
        ("400", Answer::status(400), 502, "provisioning_malformed"),
        ("403 of a gateway", Answer::status(403), 502, "provisioning_malformed"),
        ("404", Answer::status(404), 502, "provisioning_malformed"),
        ("429", Answer::status(429), 503, "provisioning_unavailable"),
        ("500", Answer::json(500, r#"{"attributes":{}}"#), 503, "provisioning_unavailable"),
        ("silence", Answer::Hang, 503, "provisioning_unavailable"),
        ("silence after the head", Answer::StallAfterHeaders, 503, "provisioning_unavailable"),
        ("a reset", Answer::ResetBeforeHeaders, 503, "provisioning_unavailable"),
        ("a reset in the body", Answer::ResetMidBody, 503, "provisioning_unavailable"),
        ("not HTTP", Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()), 503, "provisioning_unavailable"),
    ] {
        directory.misbehave(answer);
        assert_no_session(&world, status, code, what);
    }
    directory.misbehave(Answer::Redirect(format!("http://127.0.0.1:{}/elsewhere", directory.port())));
    let asked = directory.asked().len();
    assert_no_session(&world, 502, "provisioning_malformed", "a redirect");
    assert_eq!(directory.asked().len(), asked + 1, "it is not followed");
    directory.behave();
    assert_eq!(header(&world, &signed_in_at_once(&world), "x-plan").as_deref(), Some("free"));
    assert!(!world.log().contains(SECRET));
}

#[test]
fn an_unavailable_provisioning_endpoint_creates_no_session() {
    let directory = UserDirectory::start();
    let world = world_with(&directory, |document| document["provisioning"]["cluster"] = json!("closed"));
    // Envoy has no cluster of this name, so the call never leaves.
    assert_no_session(&world, 503, "provisioning_unavailable", "no cluster");
    assert!(directory.asked().is_empty());
    assert!(world.log().contains("Envoy has no cluster \"closed\"; "), "{}", world.log());

    let directory = UserDirectory::start();
    let world = self::world(&directory);
    drop(directory);
    assert_no_session(&world, 503, "provisioning_unavailable", "nothing listens");
}

#[test]
fn a_message_is_shown_as_text() {
    let directory = UserDirectory::start();
    let world = world(&directory);
    for (message, shown) in [
        ("<script>alert(1)</script>", "&#60;script&#62;alert(1)&#60;/script&#62;"),
        ("</p></main><img src=x onerror=alert(1)>", "&#60;/p&#62;&#60;/main&#62;&#60;img src=x onerror=alert(1)&#62;"),
        ("{{ 7*7 }} &amp; \"quoted\"", "{{ 7*7 }} &#38;amp; &#34;quoted&#34;"),
        ("a\r\nSet-Cookie: b=c\u{0}\u{202e}d", "a  Set-Cookie: b=c  d"),
        ("", "this site does not let you in"),
    ] {
        directory.misbehave(Answer::json(403, json!({"message": message}).to_string()));
        let response = assert_no_session(&world, 403, "provisioning_refused", message);
        let page = response.text();
        assert!(page.contains(shown), "{message:?}: {page}");
        assert!(!page.contains("<script") && !page.contains("<img"), "{message:?}: {page}");
        let policy = response.headers.text("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert!(response.set_cookies().iter().all(|line| line.contains("Max-Age=0")), "{response:?}");
    }
    directory.misbehave(Answer::json(403, json!({"message": "long ".repeat(1000)}).to_string()));
    let page = assert_no_session(&world, 403, "provisioning_refused", "a long message").text();
    assert_eq!(page.matches("long ").count(), 99, "{page}");
    let of_message: Vec<_> =
        world.log().lines().filter(|line| line.contains("Set-Cookie: b=c")).map(str::to_owned).collect();
    assert_eq!(of_message.len(), 1, "one line, with nothing of its own: {of_message:?}");
}

#[test]
fn users_of_an_oauth2_provider_are_provisioned() {
    let server = OAuth2Server::start(Dialect {
        refreshes: true,
        user: json!({"sub": 4711, "name": "Alice A.", "attributes": {"plan": "pro"}}),
        ..Dialect::default()
    });
    let directory = UserDirectory::start();
    let world = world_with(&directory, |document| document["providers"] = json!([server.provider()]));
    let browser = signed_in_at_once(&world);
    let asked = &directory.asked()[0];
    assert_eq!((&asked["sub"], &asked["claims"]), (&json!("4711"), &json!({"name": "Alice A."})));
    // What the server says under this name is not what the app says.
    assert_eq!(header(&world, &browser, "x-plan").as_deref(), Some("free"));
    assert_eq!(access(&world, &browser, "/pro"), "not_allowed");
    directory.remove("4711");
    world.advance(LIFETIME - 15);
    assert_eq!(access(&world, &browser, "/page"), "sign_in_started");
}

#[test]
fn a_slow_provisioning_endpoint_delays_only_its_own_sign_in() {
    let directory = UserDirectory::start();
    let world = world(&directory);
    directory.misbehave(Answer::Late(std::time::Duration::from_millis(700)));
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| browser.get(&callback));
        world.until_held(1);
        // The same worker serves everyone else meanwhile.
        world.assert_serves();
        assert_signed_in(&held.join().expect("an answer"), &world.url("/page"));
    });
    assert_eq!(header(&world, &browser, "x-plan").as_deref(), Some("free"));
}
