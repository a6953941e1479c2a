//! GitHub: the user's claims come from its API, and no condition holds on data that the API did not return.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};

use super::{
    super::*,
    world::{Outcome, World, document, location, ok, query_of},
};
use crate::http::CalloutError;

/// Responses by the end of host and path, in place of those of `usual`.
type Answers = Vec<(&'static str, CalloutResult)>;

fn status(status: u16) -> CalloutResult {
    Ok(crate::http::CalloutResponse::new(status, br#"{"message":"no"}"#.to_vec()))
}

fn configured(rules: Value) -> Value {
    let mut document = document();
    document["providers"] = json!([{ "type": "github", "client_id": "client", "client_secret": "secret" }]);
    document["clusters"] = json!({ "api.github.com": "github-api" });
    document["rules"] = rules;
    document
}

/// Members of `my-org` pass at `/org`, members of its team `core` at `/team`, users outside `banned` at `/open`, and
/// addresses of `example.com` at `/mail`.
fn rules() -> Value {
    let only = |path: &str, allow: Value| json!({ "prefix": path, "access": "required", "allow": allow });
    json!([
        only("/org", json!({ "claims": { "orgs": ["my-org"] } })),
        only("/team", json!({ "claims": { "teams": ["my-org/core"] } })),
        only("/open", json!({ "not": { "claims": { "orgs": ["banned"] } } })),
        only("/mail", json!({ "allowed_domains": ["example.com"] })),
    ])
}

/// A world with GitHub as its provider, and these responses.
fn world_with(document: &Value, answers: Answers) -> World {
    let mut world = World::with(document);
    world.provider.instead = Some(Box::new(move |request| {
        let at = format!("{}{}", request.authority, request.path);
        if let Some((_, answer)) = answers.iter().find(|(path, _)| at.ends_with(path)) {
            return answer.clone();
        }
        usual(request, &at)
    }));
    world
}

fn usual(request: &crate::http::CalloutRequest, at: &str) -> CalloutResult {
    let header = |name: &str| request.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
    if at == "github.com/login/oauth/access_token" {
        let form: BTreeMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
        assert_eq!(
            (request.method, request.cluster.as_str(), header("accept")),
            ("POST", "idp", Some("application/json"))
        );
        assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("client", "secret"));
        assert_eq!(
            (form["redirect_uri"].as_str(), form["code"].as_str()),
            ("https://app.example.com/oauth2/callback", "code")
        );
        assert!(form["code_verifier"].len() >= 43);
        return ok(&json!({ "access_token": "gho_x", "scope": "read:org,user:email", "token_type": "bearer" }));
    }
    assert_eq!((request.method, request.cluster.as_str()), ("GET", "github-api"));
    assert_eq!(header("authorization"), Some("Bearer gho_x"));
    assert!(request.all_headers().any(|(name, value)| name == "user-agent" && value.starts_with("vestibule/")));
    match at.strip_prefix("api.github.com").unwrap() {
        "/user" => ok(&json!({
            "id": 583_231, "login": "octocat", "name": "The Octocat", "email": "shown@example.com", "sub": "1",
            "orgs": ["my-org"], "email_verified": true,
        })),
        "/user/emails?per_page=100&page=1" => ok(&json!([
            { "email": "second@example.com", "primary": false, "verified": true, "visibility": null },
            { "email": "octocat@example.com", "primary": true, "verified": true, "visibility": "public" },
        ])),
        "/user/orgs?per_page=100&page=1" => ok(&json!([{ "login": "my-org", "id": 1 }, { "login": "other", "id": 2 }])),
        "/user/teams?per_page=50&page=1" => ok(&json!([{ "slug": "core", "organization": { "login": "my-org" } }])),
        path => panic!("nobody should ask for {path}"),
    }
}

/// Path and query of the callback, after the user's consent.
fn callback(world: &mut World) -> String {
    let query = query_of(location(&world.visit("/").reply()));
    format!("/oauth2/callback?code=code&state={}", query["state"])
}

fn signed_in(rules: Value, answers: Answers) -> World {
    let mut world = world_with(&configured(rules), answers);
    let callback = callback(&mut world);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    world
}

fn access(world: &mut World, path: &str) -> &'static str {
    match world.visit(path) {
        Outcome::Forwarded { .. } => "passed",
        other => other.code().1,
    }
}

fn headers(outcome: Outcome) -> BTreeMap<String, String> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.into_iter().filter(|(name, _)| name.starts_with("x-")).collect()
}

#[test]
fn github_needs_no_discovery_and_gets_only_the_needed_scopes() {
    let none = json!({ "X-Forwarded-User": "sub" });
    for (rules, identity_headers, scope, asked) in [
        (json!([]), Some(none.clone()), "", vec!["/user"]),
        (json!([]), None, "user:email", vec!["/user", "/user/emails"]),
        (rules(), Some(none), "user:email read:org", vec!["/user", "/user/emails", "/user/orgs", "/user/teams"]),
        (json!([]), Some(json!({ "X-Orgs": "orgs" })), "read:org", vec!["/user", "/user/orgs"]),
    ] {
        let mut document = configured(rules);
        if let Some(headers) = identity_headers {
            document["identity_headers"] = headers;
        }
        let mut world = world_with(&document, Vec::new());
        assert!(world.drive().is_empty());
        let health = world.visit("/oauth2/health").reply();
        assert!(String::from_utf8(health.body).unwrap().contains("ready"));
        let reply = world.visit("/").reply();
        let url = location(&reply);
        assert!(url.starts_with("https://github.com/login/oauth/authorize?"), "{url}");
        let query = query_of(url);
        assert_eq!(query.get("scope").map_or("", String::as_str), scope);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(!query.contains_key("nonce"));
        let callback = format!("/oauth2/callback?code=code&state={}", query["state"]);
        assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
        let paths = world.provider.asked.keys().filter(|path| !path.starts_with("/login/"));
        assert_eq!(paths.map(|path| path.split('?').next().unwrap()).collect::<Vec<_>>(), asked);
        assert!(world.drive().is_empty());
    }
}

#[test]
fn the_app_receives_the_github_user_id_login_and_verified_address() {
    let mut world = signed_in(rules(), Vec::new());
    let seen = headers(world.visit("/org"));
    let expected = [
        ("x-forwarded-email", "octocat@example.com"),
        ("x-forwarded-preferred-username", "octocat"),
        ("x-forwarded-user", "583231"),
    ];
    assert_eq!(seen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
    for path in ["/team", "/open", "/mail"] {
        assert_eq!(access(&mut world, path), "passed", "{path}");
    }
}

#[test]
fn github_responses_may_have_empty_strings_or_a_byte_order_mark() {
    let emails = "/user/emails?per_page=100&page=1";
    let marked = |body: &str| Ok(crate::http::CalloutResponse::new(200, format!("\u{feff}{body}").into_bytes()));
    for (answers, expected) in [
        (vec![("/user", ok(&json!({ "id": 583_231, "login": "", "name": "" })))], Some("octocat@example.com")),
        (vec![("/user", ok(&json!({ "id": 583_231, "login": null })))], Some("octocat@example.com")),
        (vec![(emails, ok(&json!([{ "email": "", "primary": true, "verified": true }])))], None),
        (vec![("/user", marked(r#"{"id":583231}"#)), (emails, marked("[]"))], None),
    ] {
        let is_nameless = answers.iter().any(|(path, _)| *path == "/user");
        let mut world = signed_in(json!([]), answers);
        let seen = headers(world.visit("/"));
        assert_eq!(seen["x-forwarded-user"], "583231");
        assert_eq!(seen.get("x-forwarded-email").map(String::as_str), expected, "{seen:?}");
        assert_eq!(seen.contains_key("x-forwarded-preferred-username"), !is_nameless, "{seen:?}");
    }
}

/// User numbers of GitHub and of a GitHub Enterprise Server collide; `iss` tells them apart.
#[test]
fn an_identity_header_can_name_the_issuer_of_a_github_user_id() {
    for (url, expected) in
        [(None, "https://github.com#583231"), (Some("https://git.example.com"), "https://git.example.com#583231")]
    {
        let mut document = configured(json!([]));
        document["identity_headers"] = json!({ "X-User": { "template": "{iss}#{sub}" } });
        if let Some(url) = url {
            document["providers"][0]["github_url"] = json!(url);
        }
        let mut world = World::with(&document);
        world.provider.instead = Some(Box::new(|request| {
            let tokens = json!({ "access_token": "gho_x", "token_type": "bearer" });
            ok(&if request.path.ends_with("/user") { json!({ "id": 583_231, "iss": "x" }) } else { tokens })
        }));
        let callback = callback(&mut world);
        assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
        assert_eq!(headers(world.visit("/")).get("x-user").map(String::as_str), Some(expected));
    }
}

#[test]
fn only_a_primary_and_verified_github_address_is_used() {
    let email =
        |primary: bool, verified: bool| json!({ "email": "o@example.com", "primary": primary, "verified": verified });
    for (emails, expected) in [
        (ok(&json!([email(true, true)])), "passed"),
        (ok(&json!([email(true, false)])), "not_allowed"),
        (ok(&json!([email(false, true)])), "not_allowed"),
        (ok(&json!([email(false, true), email(true, false)])), "not_allowed"),
        (ok(&json!([{ "email": "o@example.com", "primary": "true", "verified": 1 }])), "not_allowed"),
        (ok(&json!([{ "email": "o@example.com" }])), "not_allowed"),
        (ok(&json!([])), "not_allowed"),
        // The scope was not granted.
        (status(404), "not_allowed"),
        (status(403), "not_allowed"),
    ] {
        let mut world = signed_in(rules(), vec![("/user/emails?per_page=100&page=1", emails.clone())]);
        assert_eq!(access(&mut world, "/mail"), expected, "{emails:?}");
        assert_eq!(headers(world.visit("/org")).contains_key("x-forwarded-email"), expected == "passed", "{emails:?}");
    }
}

/// A full page of organisations that no rule names.
fn full_page() -> Vec<Value> {
    (0..100).map(|number| json!({ "login": format!("org-{number}") })).collect()
}

#[test]
fn organisations_beyond_the_last_page_read_are_treated_as_omitted() {
    let page = |last: &str| ok(&json!([{ "login": last }]));
    let full = || ok(&full_page().into());
    let pages = [
        "/user/orgs?per_page=100&page=1",
        "/user/orgs?per_page=100&page=2",
        "/user/orgs?per_page=100&page=3",
        "/user/orgs?per_page=100&page=4",
        "/user/orgs?per_page=100&page=5",
    ];
    let [first, second, third, fourth, fifth] = pages;
    let mut with_mine = full_page();
    with_mine[7] = json!({ "login": "my-org" });
    for (answers, org, open) in [
        (vec![(first, page("my-org"))], "passed", "passed"),
        (vec![(first, page("My-Org"))], "not_allowed", "passed"),
        (vec![(first, page("banned"))], "not_allowed", "not_allowed"),
        (vec![(first, full()), (second, page("my-org"))], "passed", "passed"),
        (vec![(first, full()), (second, ok(&json!([])))], "not_allowed", "passed"),
        (
            vec![(first, full()), (second, full()), (third, full()), (fourth, full()), (fifth, page("banned"))],
            "not_allowed",
            "not_allowed",
        ),
        // After five full pages the list may be incomplete, so no condition on organisations holds.
        (
            vec![
                (first, ok(&with_mine.clone().into())),
                (second, full()),
                (third, full()),
                (fourth, full()),
                (fifth, full()),
            ],
            "groups_left_out",
            "groups_left_out",
        ),
        // The scope was not granted, or an organisation wants single sign-on.
        (vec![(first, status(403))], "groups_left_out", "groups_left_out"),
        (vec![(first, full()), (second, status(404))], "groups_left_out", "groups_left_out"),
    ] {
        let what: Vec<_> = answers.iter().map(|(path, _)| *path).collect();
        let mut world = signed_in(rules(), answers.clone());
        assert_eq!((access(&mut world, "/org"), access(&mut world, "/open")), (org, open), "{what:?}");
    }
}

#[test]
fn teams_are_named_with_their_organisation() {
    let team = |slug: &str, organization: &str| json!({ "slug": slug, "organization": { "login": organization } });
    let teams = "/user/teams?per_page=50&page=1";
    for (answer, expected) in [
        (ok(&json!([team("core", "my-org")])), "passed"),
        (ok(&json!([team("core", "other-org")])), "not_allowed"),
        (ok(&json!([team("my-org/core", "")])), "not_allowed"),
        (ok(&json!([])), "not_allowed"),
        (status(403), "groups_left_out"),
    ] {
        let mut world = signed_in(rules(), vec![(teams, answer.clone())]);
        assert_eq!(access(&mut world, "/team"), expected, "{answer:?}");
    }
}

#[test]
fn an_invalid_provider_response_creates_no_session() {
    let token = "github.com/login/oauth/access_token";
    let (user, orgs, emails) = ("/user", "/user/orgs?per_page=100&page=1", "/user/emails?per_page=100&page=1");
    let body = |body: &str| Ok(crate::http::CalloutResponse::new(200, body.as_bytes().to_vec()));
    let error = |code: &str| ok(&json!({ "error": code, "error_description": "canary", "error_uri": "https://docs" }));
    for (path, answer, expected) in [
        (token, error("bad_verification_code"), (400, "token_endpoint_invalid_grant")),
        (token, error("incorrect_client_credentials"), (502, "token_endpoint_refused")),
        (token, error("redirect_uri_mismatch"), (502, "token_endpoint_refused")),
        (token, error("<script>"), (502, "token_endpoint_refused")),
        (token, body("access_token=gho_x&scope=&token_type=bearer"), (502, "token_endpoint_malformed")),
        (token, ok(&json!({ "token_type": "bearer" })), (502, "token_endpoint_malformed")),
        (token, status(500), (503, "token_endpoint_unavailable")),
        (token, status(404), (502, "token_endpoint_malformed")),
        (user, Err(CalloutError::NoResponse), (503, "userinfo_endpoint_unavailable")),
        (user, status(503), (503, "userinfo_endpoint_unavailable")),
        (user, status(429), (503, "userinfo_endpoint_unavailable")),
        (user, status(401), (502, "userinfo_endpoint_malformed")),
        (user, status(403), (502, "userinfo_endpoint_malformed")),
        (user, status(304), (502, "userinfo_endpoint_malformed")),
        (user, body("<html>"), (502, "userinfo_endpoint_malformed")),
        (user, ok(&json!([{ "id": 1 }])), (502, "userinfo_endpoint_malformed")),
        (user, ok(&json!({ "login": "octocat" })), (502, "userinfo_endpoint_malformed")),
        (user, ok(&json!({ "id": "583231" })), (502, "userinfo_endpoint_malformed")),
        (user, ok(&json!({ "id": 0 })), (502, "userinfo_endpoint_malformed")),
        (user, ok(&json!({ "id": -1 })), (502, "userinfo_endpoint_malformed")),
        (user, ok(&json!({ "id": 1.5 })), (502, "userinfo_endpoint_malformed")),
        (user, body(r#"{"id":1,"id":2}"#), (502, "userinfo_endpoint_malformed")),
        (orgs, Err(CalloutError::TooLarge), (502, "userinfo_endpoint_malformed")),
        (orgs, status(500), (503, "userinfo_endpoint_unavailable")),
        (orgs, ok(&json!({ "login": "my-org" })), (502, "userinfo_endpoint_malformed")),
        (orgs, ok(&json!(["my-org"])), (502, "userinfo_endpoint_malformed")),
        (orgs, ok(&json!([{ "login": ["my-org"] }])), (502, "userinfo_endpoint_malformed")),
        (emails, ok(&json!([{ "email": 1, "primary": true, "verified": true }])), (502, "userinfo_endpoint_malformed")),
        (emails, Err(CalloutError::Dispatch), (503, "userinfo_endpoint_unavailable")),
    ] {
        let spoilt = Rc::new(std::cell::Cell::new(true));
        let mut world = world_with(&configured(rules()), Vec::new());
        let (is_spoilt, given) = (Rc::clone(&spoilt), answer.clone());
        world.provider.instead = Some(Box::new(move |request| {
            let at = format!("{}{}", request.authority, request.path);
            if is_spoilt.get() && at.ends_with(path) { given.clone() } else { usual(request, &at) }
        }));
        let first = callback(&mut world);
        assert_eq!(world.visit(&first).code(), expected, "{path} {answer:?}");
        assert!(!world.has_session() && world.pending() == 0, "{path} {answer:?}");
        assert!(world.events.iter().all(|event| !event.to_string().contains("gho_x")));
        spoilt.set(false);
        let second = callback(&mut world);
        assert_eq!(world.visit(&second).code(), (303, "signed_in"), "{path} {answer:?}");
    }
}

#[test]
fn an_answer_of_another_provider_is_refused() {
    let mut world = world_with(&configured(rules()), Vec::new());
    let callback = callback(&mut world);
    let mixed = format!("{callback}&iss=https%3A%2F%2Fidp.example.com");
    assert_eq!(world.visit(&mixed).code(), (400, "callback_wrong_issuer"));
    assert!(world.provider.asked.is_empty());
}

#[test]
fn a_github_session_lasts_its_lifetime_without_renewal() {
    let mut world = signed_in(rules(), Vec::new());
    let asked = world.provider.asked.clone();
    world.advance(8 * 3600 - 1);
    assert_eq!(access(&mut world, "/org"), "passed");
    world.settle();
    assert_eq!(world.provider.asked, asked);
    world.advance(1);
    assert_eq!(access(&mut world, "/org"), "sign_in_started");
}

#[test]
fn a_sign_out_of_a_github_session_ends_it_locally() {
    let mut world = signed_in(rules(), Vec::new());
    let reply = world.opens("/oauth2/sign_out", "same-origin").reply();
    assert_eq!((reply.status, reply.code), (200, "signed_out"));
    assert!(!world.has_session());
}

#[test]
fn github_enterprise_is_called_at_its_own_host() {
    let mut document = configured(rules());
    document["providers"][0]["github_url"] = json!("https://git.example.com/");
    document["clusters"] = json!({});
    let mut world = World::with(&document);
    world.provider.instead = Some(Box::new(|request| {
        assert_eq!(request.authority, "git.example.com");
        match request.path.as_str() {
            "/login/oauth/access_token" => ok(&json!({ "access_token": "gho_x", "token_type": "bearer" })),
            "/api/v3/user" => ok(&json!({ "id": 2, "login": "a" })),
            path if path.starts_with("/api/v3/user/") => ok(&json!([])),
            path => panic!("{path}"),
        }
    }));
    let reply = world.visit("/").reply();
    assert!(location(&reply).starts_with("https://git.example.com/login/oauth/authorize?"));
    let callback = format!("/oauth2/callback?code=code&state={}", query_of(location(&reply))["state"]);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    assert_eq!(headers(world.visit("/open"))["x-forwarded-user"], "2");
}
