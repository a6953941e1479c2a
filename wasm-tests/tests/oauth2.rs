//! Servers that speak OAuth 2.0 alone, in the real Envoy: with an emulator that others have made, and with servers of several
//! dialects.

use serde_json::{Value, json};
use wasm_tests::{
    github::emulator::{self, Emulator},
    issuer::{Answer, Issuer},
    oauth2_server::{Dialect, LIFETIME, OAuth2Server},
    upstream::MARK,
    world::{World, access, assert_page, assert_signed_in, callback_at_once, parameters, signed_in_at_once},
};

/// One worker before this provider; the usual issuer runs, and is not asked.
fn world_with(provider: Value, change: impl FnOnce(&mut Value)) -> World {
    World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = provider;
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/mail", "access": "required", "allow": {"allowed_domains": ["example.com"]}},
            {"prefix": "/staff", "access": "required", "allow": {"groups": ["staff"]}},
            {"prefix": "/open", "access": "required", "allow": {"not": {"groups": ["banned"]}}},
        ]);
        change(&mut setup.configuration);
    })
}

/// The value of this header at the app, of the last request.
fn seen(world: &World, name: &str) -> Option<String> {
    world.upstream.last().headers.text(name)
}

fn assert_logs_no_token(world: &World, server: &OAuth2Server) {
    let log = world.log();
    assert!(!log.contains("canary-"), "{log}");
    assert!(server.tokens().iter().all(|token| !log.contains(token)), "{log}");
}

/// Numbered users below another member, tokens as a form without a type, refresh tokens, and addresses at an endpoint of
/// their own: what servers have that were written before OpenID Connect.
fn custom() -> OAuth2Server {
    OAuth2Server::start(Dialect {
        form: true,
        without_type: true,
        refreshes: true,
        user: json!({"data": {"id": 4711, "full_name": "Alice A."}, "groups": ["staff"]}),
        emails: json!([
            {"address": "private@example.org", "primary": false, "confirmed": true},
            {"address": "alice@example.com", "primary": true, "confirmed": true},
        ]),
        ..Dialect::default()
    })
}

fn custom_provider(server: &OAuth2Server) -> Value {
    let mut provider = server.provider();
    provider["scopes"] = json!(["one", "two"]);
    provider["claims"] = json!({"sub": "/data/id", "name": "/data/full_name"});
    provider["further_userinfo"] = json!([{
        "endpoint": server.url("/emails"),
        "select": {"primary": true},
        "claims": {"email": "address", "email_verified": "confirmed"},
    }]);
    provider["revocation_endpoint"] = json!(server.url("/revoke"));
    provider["end_session_endpoint"] = json!(server.url("/logout"));
    provider
}

fn custom_world(server: &OAuth2Server) -> World {
    world_with(custom_provider(server), |configuration| {
        configuration["session"]["lifetime_seconds"] = json!(86_400);
        configuration["session"]["refresh"] = json!(true);
        configuration["sign_out"] = json!({"at_provider": true, "revoke": true});
        configuration["identity_headers"] = json!({
            "X-User": "sub", "X-Name": "name", "X-Email": "email", "X-Groups": "groups", "X-Issuer": "iss",
        });
    })
}

#[test]
fn a_custom_server_signs_in_renews_and_signs_out() {
    let server = custom();
    let world = custom_world(&server);
    let browser = world.browser();
    let begun = browser.get(&world.url("/mail?a=1"));
    let query = parameters(&begun.location().expect("a redirect"));
    let said = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((said("scope"), said("nonce"), said("code_challenge_method")), (Some("one two"), None, Some("S256")));
    let health = browser.fetch(&world.url("/oauth2/health"));
    assert!(health.text().contains("ready"), "{health:?}");
    let callback = browser.get(&begun.location().expect("a redirect")).location().expect("a way back");
    assert_signed_in(&browser.get(&callback), &world.url("/mail?a=1"));
    for path in ["/mail", "/staff", "/open"] {
        assert_eq!(access(&world, &browser, path), "passed", "{path}\n{}", world.log());
    }
    assert_eq!(seen(&world, "x-user").as_deref(), Some("4711"));
    assert_eq!(seen(&world, "x-name").as_deref(), Some("Alice A."));
    assert_eq!(seen(&world, "x-email").as_deref(), Some("alice@example.com"));
    assert_eq!(seen(&world, "x-issuer"), Some(server.url("/authorize")));

    // Renewed in time, with the claims of then.
    server.speak(|dialect| dialect.user["groups"] = json!(["banned"]));
    world.advance(LIFETIME - 15);
    assert_eq!(access(&world, &browser, "/page"), "passed", "{}", world.log());
    assert_eq!(seen(&world, "x-groups").as_deref(), Some("banned"));
    assert_eq!(access(&world, &browser, "/open"), "not_allowed");
    assert_eq!((server.requests("/me").len(), server.requests("/emails").len()), (2, 2));

    let out = browser.get(&world.url("/oauth2/sign_out"));
    let location = out.location().expect("a way to the provider");
    assert!(location.starts_with(&server.url("/logout?")), "{location}");
    assert_eq!(access(&world, &browser, "/page"), "sign_in_started");
    assert_eq!(server.refresh_tokens(), 0, "the refresh token is revoked");
    assert!(world.issuer.all_requests().is_empty());
    assert_logs_no_token(&world, &server);
}

#[test]
fn a_renewal_that_names_another_user_ends_the_session() {
    let server = custom();
    let world = custom_world(&server);
    let browser = signed_in_at_once(&world);
    server.speak(|dialect| dialect.user["data"]["id"] = json!(4712));
    world.advance(LIFETIME - 15);
    assert_eq!(access(&world, &browser, "/page"), "sign_in_started");
    server.speak(|dialect| dialect.user["data"]["id"] = json!(4711));
    assert_eq!(access(&world, &signed_in_at_once(&world), "/staff"), "passed");
}

#[test]
fn a_failing_oauth2_server_ends_no_session_at_renewal() {
    let server = custom();
    let world = custom_world(&server);
    for path in ["/token", "/me", "/emails"] {
        let browser = signed_in_at_once(&world);
        server.misbehave(path, Answer::status(503));
        world.advance(LIFETIME - 15);
        assert_eq!(access(&world, &browser, "/staff"), "passed", "{path}");
        server.behave();
        world.advance(20);
        assert_eq!(access(&world, &browser, "/staff"), "passed", "{path}");
    }
}

/// As Facebook's documentation has it: `GET /me?fields=id,name,email,picture` with a nested picture, errors as objects, and no
/// word on whether an address is verified (<https://developers.facebook.com/docs/graph-api/reference/user/>).
#[test]
fn nested_claims_and_a_token_in_the_query_work_as_for_facebook() {
    let server = OAuth2Server::start(Dialect {
        token_in_query: true,
        user: json!({
            "id": "10158", "name": "Alice", "email": "alice@example.com",
            "picture": {"data": {"height": 50, "is_silhouette": false, "url": "https://cdn.example/p?a=1&b=2"}},
        }),
        ..Dialect::default()
    });
    let mut provider = server.provider();
    provider["userinfo_endpoint"] = json!(server.url("/me?fields=id,name,email,picture"));
    provider["userinfo_token"] = json!("query");
    provider["token_endpoint_auth_method"] = json!("client_secret_post");
    provider["claims"] = json!({"sub": "id", "picture": "/picture/data/url"});
    let headers = json!({"X-User": "sub", "X-Email": "email", "X-Picture": "picture"});
    for (is_verified, expected) in [(true, "passed"), (false, "not_allowed")] {
        provider["email_is_verified"] = json!(is_verified);
        let world = world_with(provider.clone(), |configuration| configuration["identity_headers"] = headers.clone());
        let browser = signed_in_at_once(&world);
        assert_eq!(access(&world, &browser, "/mail"), expected);
        assert_eq!(access(&world, &browser, "/open"), "passed");
        assert_eq!(seen(&world, "x-user").as_deref(), Some("10158"));
        assert_eq!(seen(&world, "x-picture").as_deref(), Some("https://cdn.example/p?a=1&b=2"));
        assert_logs_no_token(&world, &server);
    }
}

#[test]
fn malformed_and_missing_responses_create_no_session() {
    let server = custom();
    let world = custom_world(&server);
    let form = |body: &str| Answer::Body {
        status: 200,
        content_type: "application/x-www-form-urlencoded",
        body: body.as_bytes().to_vec(),
    };
    let (token, user, emails) = ("/token", "/me", "/emails");
    for (path, answer, status, code) in [
        (token, form("error=invalid_grant&error_description=canary-x"), 400, "token_endpoint_invalid_grant"),
        (token, Answer::json(401, r#"{"error":"invalid_client"}"#), 502, "token_endpoint_refused"),
        (token, form("access_token=canary-a&access_token=canary-b"), 502, "token_endpoint_malformed"),
        (token, form("access_token=canary-a&token_type=mac"), 502, "token_endpoint_malformed"),
        (token, Answer::json(200, "<script>"), 502, "token_endpoint_malformed"),
        (token, Answer::huge(300 * 1024), 502, "token_endpoint_malformed"),
        (token, Answer::Hang, 503, "token_endpoint_unavailable"),
        (user, Answer::Edited(|body| body["data"]["id"] = json!(null)), 502, "userinfo_endpoint_malformed"),
        (user, Answer::Edited(|body| body["data"]["id"] = json!("a\r\nX-User: b")), 502, "userinfo_endpoint_malformed"),
        (user, Answer::json(200, r#"{"data":{"id":1},"data":{"id":2}}"#), 502, "userinfo_endpoint_malformed"),
        (
            user,
            Answer::json(200, r#"{"error":{"message":"canary-m"},"data":{"id":1}}"#),
            502,
            "userinfo_endpoint_malformed",
        ),
        (user, Answer::nested(100_000), 502, "userinfo_endpoint_malformed"),
        (user, Answer::status(401), 502, "userinfo_endpoint_malformed"),
        (user, Answer::ResetBeforeHeaders, 503, "userinfo_endpoint_unavailable"),
        (emails, Answer::status(404), 502, "userinfo_endpoint_malformed"),
        (emails, Answer::json(200, "<html>"), 502, "userinfo_endpoint_malformed"),
        (emails, Answer::Hang, 503, "userinfo_endpoint_unavailable"),
    ] {
        let browser = world.browser();
        let callback = callback_at_once(&world, &browser, "/staff");
        server.misbehave(path, answer);
        let before = world.upstream.count();
        let response = browser.get(&callback);
        server.behave();
        assert_page(&response, &[status], path);
        assert_eq!(response.code().as_deref(), Some(code), "{path} {response:?}");
        world.upstream.assert_saw_nothing_since(before, path);
        world.assert_serves();
    }
    assert_eq!(access(&world, &signed_in_at_once(&world), "/staff"), "passed");
}

#[test]
fn github_works_as_a_generic_oauth2_provider() {
    let mut emulator = None;
    let world = World::around(Issuer::start(), |setup| {
        let started = Emulator::start(&format!("http://127.0.0.1:{}", setup.port));
        setup.workers = 1;
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/mail", "access": "required", "allow": {"allowed_domains": ["example.com"]}},
        ]);
        setup.configuration["providers"][0] = json!({
            "type": "oauth2",
            "client_id": emulator::CLIENT_ID,
            "client_secret": emulator::CLIENT_SECRET,
            "token_endpoint_auth_method": "client_secret_post",
            "authorization_endpoint": format!("{}/login/oauth/authorize", started.url()),
            "token_endpoint": format!("{}/login/oauth/access_token", started.url()),
            "userinfo_endpoint": format!("{}/user", started.url()),
            "scopes": ["user:email"],
            "claims": {"sub": "id", "preferred_username": "login"},
            "further_userinfo": [{
                "endpoint": format!("{}/user/emails", started.url()),
                "select": {"primary": true, "verified": true},
                "claims": {"email": "email", "email_verified": "verified"},
            }],
        });
        emulator = Some(started);
    });
    let emulator = emulator.expect("it was started");
    let octocat = world.browser();
    let (_, page) = Emulator::sign_in(&octocat, "octocat", &world.url("/mail?a=1"));
    assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{page:?}\n{}\n{}", world.log(), emulator.log());
    assert_eq!(seen(&world, "x-forwarded-preferred-username").as_deref(), Some("octocat"));
    assert_eq!(seen(&world, "x-forwarded-email").as_deref(), Some("octocat@example.com"));
    let before = world.upstream.count();
    let outsider = world.browser();
    let (_, page) = Emulator::sign_in(&outsider, "outsider", &world.url("/mail"));
    assert_eq!((page.status, page.code().as_deref()), (403, Some("not_allowed")), "{page:?}");
    world.upstream.assert_saw_nothing_since(before, "another domain");
}
