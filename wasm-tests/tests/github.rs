//! GitHub in the real Envoy: with an emulator that others have made, and with a stub that misbehaves.

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::{
    github::{
        self, Github,
        emulator::{self, Emulator},
    },
    html::Form,
    issuer::{Answer, Issuer},
    upstream::MARK,
    user_agent::UserAgent,
    world::{World, access, assert_page, assert_signed_in, callback_at_once, parameter, parameters, signed_in_at_once},
};

/// Members of `my-org` pass at `/org`, users outside of `banned` at `/open`, and a verified address at `/mail`.
fn rules() -> Value {
    let only = |path: &str, allow: Value| json!({"prefix": path, "access": "required", "allow": allow});
    json!([
        {"prefix": "/public", "access": "public"},
        only("/org", json!({"claims": {"orgs": ["my-org"]}})),
        only("/team", json!({"claims": {"teams": ["my-org/core"]}})),
        only("/open", json!({"not": {"claims": {"orgs": ["banned"]}}})),
        only("/mail", json!({"allowed_domains": ["example.com"]})),
    ])
}

/// One worker before this provider; the usual issuer runs, and is not asked.
fn world_with(provider: Value, rules: Value) -> World {
    World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = provider;
        setup.configuration["rules"] = rules;
    })
}

fn world(github: &Github) -> World {
    let provider = json!({
        "type": "github",
        "client_id": github::CLIENT_ID,
        "client_secret": github::CLIENT_SECRET,
        "github_url": github.url(),
        // A host of its own, as at github.com: Envoy meets it with the first sign-in.
        "github_api_url": format!("{}{}", github.url().replace("127.0.0.1", "localhost"), github::API),
        // Longer than the stub may take on a busy machine, and short enough for the tests in which it does not respond.
        "timeout_ms": 4000,
    });
    world_with(provider, rules())
}

fn assert_logs_no_token(world: &World, github: &Github) {
    let log = world.log();
    for token in github.tokens() {
        assert!(!log.contains(&token), "{log}");
    }
    assert!(!log.contains("canary-"), "{log}");
}

#[test]
fn users_of_a_github_emulator_sign_in() {
    // It is started before the port of the filter is known, and wants to know where its app is.
    let mut emulator = None;
    let world = World::around(Issuer::start(), |setup| {
        let started = Emulator::start(&format!("http://127.0.0.1:{}", setup.port));
        setup.workers = 1;
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/org", "access": "required", "allow": {"claims": {"orgs": ["my-org"]}}},
        ]);
        setup.configuration["providers"][0] = json!({
            "type": "github",
            "client_id": emulator::CLIENT_ID,
            "client_secret": emulator::CLIENT_SECRET,
            "github_url": started.url(),
            "github_api_url": started.url(),
        });
        emulator = Some(started);
    });
    let emulator = emulator.expect("it was started");
    let octocat = world.browser();
    let (_, page) = Emulator::sign_in(&octocat, "octocat", &world.url("/org?a=1"));
    assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{page:?}\n{}\n{}", world.log(), emulator.log());
    let seen = world.upstream.last();
    assert_eq!(seen.headers.text("x-forwarded-preferred-username").as_deref(), Some("octocat"));
    assert_eq!(seen.headers.text("x-forwarded-email").as_deref(), Some("octocat@example.com"));
    assert!(seen.headers.text("x-forwarded-user").is_some_and(|user| user.parse::<u64>().is_ok()), "{seen:?}");

    let before = world.upstream.count();
    let outsider = world.browser();
    let (_, page) = Emulator::sign_in(&outsider, "outsider", &world.url("/org"));
    assert_eq!((page.status, page.code().as_deref()), (403, Some("not_allowed")), "{page:?}");
    world.upstream.assert_saw_nothing_since(before, "no member");

    // A code is good once, and the emulator says so with status 200.
    let callback = callback_of_emulator(&world, &outsider);
    let spent = format!("{}?code=spent&state={}", world.url("/oauth2/callback"), parameter(&callback, "state"));
    let refused = outsider.get(&spent);
    assert_page(&refused, &[400], "a code that is none");
    assert_eq!(refused.code().as_deref(), Some("token_endpoint_invalid_grant"));
}

fn callback_of_emulator(world: &World, browser: &UserAgent) -> String {
    let (at, page) = browser.follow(&world.url("/oauth2/start?rd=/org")).pop().expect("a page");
    let (to, send) = Form::first(&page.text()).expect("a form").post(&at);
    browser.visit(&to, send).location().expect("a way back")
}

#[test]
fn github_signs_in_at_once_and_sends_verified_claims() {
    let github = Github::start();
    let world = world(&github);
    let browser = world.browser();
    let begun = browser.get(&world.url("/org"));
    let query = parameters(&begun.location().expect("a redirect"));
    let said = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((said("scope"), said("nonce")), (Some("user:email read:org"), None));
    let health = browser.fetch(&world.url("/oauth2/health"));
    assert!(health.text().contains("ready"), "{health:?}");
    let callback = browser.get(&begun.location().expect("a redirect")).location().expect("a way back");
    assert_signed_in(&browser.get(&callback), &world.url("/org"));
    for path in ["/org", "/team", "/open", "/mail"] {
        assert_eq!(access(&world, &browser, path), "passed", "{path}");
    }
    let seen = world.upstream.last().headers;
    assert_eq!(seen.text("x-forwarded-user").as_deref(), Some("583231"));
    assert_eq!(seen.text("x-forwarded-preferred-username").as_deref(), Some("octocat"));
    assert_eq!(seen.text("x-forwarded-email").as_deref(), Some("octocat@example.com"));
    assert!(world.issuer.all_requests().is_empty());
    // Signing out is for here alone, and the session is over.
    let out = browser.get(&world.url("/oauth2/sign_out"));
    assert_eq!((out.status, out.code().as_deref()), (200, Some("signed_out")), "{out:?}");
    assert_eq!(access(&world, &browser, "/org"), "sign_in_started");
    assert_logs_no_token(&world, &github);
}

#[test]
fn a_github_session_lasts_its_lifetime_without_further_calls() {
    let github = Github::start();
    let world = world(&github);
    let browser = signed_in_at_once(&world);
    let asked = github.requests("/api/v3/user").len();
    github.set_orgs(Vec::new());
    world.advance(8 * 3600 - 60);
    // A user who has left the organization passes until the session expires: it cannot be renewed.
    assert_eq!(access(&world, &browser, "/org"), "passed");
    assert_eq!(github.requests("/api/v3/user").len(), asked);
    world.advance(120);
    assert_eq!(access(&world, &browser, "/org"), "sign_in_started");
    assert_eq!(access(&world, &signed_in_at_once(&world), "/org"), "not_allowed");
}

#[test]
fn organisations_beyond_the_last_page_read_satisfy_no_condition() {
    let github = Github::start();
    let world = world(&github);
    let many = |count: usize, last: &str| {
        let mut orgs: Vec<_> = (1..count).map(|at| format!("org-{at}")).collect();
        orgs.push(last.to_owned());
        orgs
    };
    for (orgs, pages, org, open) in [
        (many(250, "my-org"), 3, "passed", "passed"),
        (many(100, "other"), 2, "not_allowed", "passed"),
        (many(499, "banned"), 5, "not_allowed", "not_allowed"),
        (many(600, "my-org"), 5, "groups_left_out", "groups_left_out"),
    ] {
        let (what, before) = (orgs.len(), github.requests("/api/v3/user/orgs").len());
        github.set_orgs(orgs);
        let browser = signed_in_at_once(&world);
        assert_eq!(github.requests("/api/v3/user/orgs").len(), before + pages, "{what}");
        assert_eq!(access(&world, &browser, "/org"), org, "{what}");
        assert_eq!(access(&world, &browser, "/open"), open, "{what}");
    }
    github.withhold(Some("read:org"));
    let browser = signed_in_at_once(&world);
    for path in ["/org", "/open", "/team"] {
        assert_eq!(access(&world, &browser, path), "groups_left_out", "{path}");
    }
    assert_eq!(access(&world, &browser, "/mail"), "passed");
}

#[test]
fn only_a_primary_and_verified_github_address_is_used() {
    let github = Github::start();
    let world = world(&github);
    for (primary, verified, expected) in
        [(true, true, "passed"), (true, false, "not_allowed"), (false, true, "not_allowed")]
    {
        github.set_emails(json!([{"email": "octocat@example.com", "primary": primary, "verified": verified}]));
        let browser = signed_in_at_once(&world);
        assert_eq!(access(&world, &browser, "/mail"), expected, "{primary} {verified}");
        assert_eq!(access(&world, &browser, "/org"), "passed");
        assert_eq!(world.upstream.last().headers.has("x-forwarded-email"), expected == "passed");
    }
    github.withhold(Some("user:email"));
    let browser = signed_in_at_once(&world);
    assert_eq!(access(&world, &browser, "/mail"), "not_allowed");
}

#[test]
fn malformed_and_missing_responses_create_no_session() {
    let github = Github::start();
    let world = world(&github);
    let (token, user) = ("/login/oauth/access_token", "/api/v3/user");
    let (emails, orgs, teams) = ("/api/v3/user/emails", "/api/v3/user/orgs", "/api/v3/user/teams");
    let form = |body: &str| Answer::Body {
        status: 200,
        content_type: "application/x-www-form-urlencoded",
        body: body.as_bytes().to_vec(),
    };
    for (path, answer, status, code) in [
        (token, Answer::json(200, r#"{"error":"bad_verification_code"}"#), 400, "token_endpoint_invalid_grant"),
        (token, Answer::json(200, r#"{"error":"incorrect_client_credentials"}"#), 502, "token_endpoint_refused"),
        (token, form("access_token=gho_canary&scope=&token_type=bearer"), 502, "token_endpoint_malformed"),
        (token, Answer::status(500), 503, "token_endpoint_unavailable"),
        (token, Answer::Hang, 503, "token_endpoint_unavailable"),
        (user, Answer::Edited(|body| body["id"] = json!("583231")), 502, "userinfo_endpoint_malformed"),
        (user, Answer::Edited(|body| body["id"] = json!(null)), 502, "userinfo_endpoint_malformed"),
        (user, Answer::json(401, r#"{"message":"Bad credentials"}"#), 502, "userinfo_endpoint_malformed"),
        (user, Answer::status(403), 502, "userinfo_endpoint_malformed"),
        (user, Answer::status(429), 503, "userinfo_endpoint_unavailable"),
        (user, Answer::nested(100_000), 502, "userinfo_endpoint_malformed"),
        (user, Answer::huge(300 * 1024), 502, "userinfo_endpoint_malformed"),
        (user, Answer::ResetBeforeHeaders, 503, "userinfo_endpoint_unavailable"),
        (user, Answer::Hang, 503, "userinfo_endpoint_unavailable"),
        (emails, Answer::json(200, "{}"), 502, "userinfo_endpoint_malformed"),
        (emails, Answer::Edited(|body| body[1]["email"] = json!(["a"])), 502, "userinfo_endpoint_malformed"),
        (orgs, Answer::json(200, r#"["my-org"]"#), 502, "userinfo_endpoint_malformed"),
        (orgs, Answer::status(500), 503, "userinfo_endpoint_unavailable"),
        (orgs, Answer::ResetMidBody, 503, "userinfo_endpoint_unavailable"),
        (teams, Answer::Edited(|body| body[0]["organization"] = json!(null)), 502, "userinfo_endpoint_malformed"),
    ] {
        let browser = world.browser();
        let callback = callback_at_once(&world, &browser, "/org");
        github.misbehave(path, answer);
        let before = world.upstream.count();
        let response = browser.get(&callback);
        github.behave();
        assert_page(&response, &[status], path);
        assert_eq!(response.code().as_deref(), Some(code), "{path} {response:?}");
        world.upstream.assert_saw_nothing_since(before, path);
        world.assert_serves();
    }
    assert_eq!(access(&world, &signed_in_at_once(&world), "/org"), "passed");
    github.misbehave(user, Answer::Late(Duration::from_millis(200)));
    assert_eq!(access(&world, &signed_in_at_once(&world), "/org"), "passed");
    assert_logs_no_token(&world, &github);
}
