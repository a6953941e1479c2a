//! A server that speaks OAuth 2.0 alone: the identity comes from its userinfo endpoint, at each sign-in and renewal.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use serde_json::{Value, json};

use super::{
    super::*,
    world::{Outcome, World, document, location, ok, query_of},
};
use crate::http::{CalloutRequest, CalloutResponse};

const TOKEN: &str = "auth.example.com/token";
const ME: &str = "api.example.com/me";
const EMAILS: &str = "api.example.com/emails";

/// A server whose answers can be changed.
type Answers = Rc<RefCell<BTreeMap<&'static str, CalloutResult>>>;

fn configured() -> Value {
    let mut document = document();
    document["providers"] = json!([{
        "type": "oauth2", "client_id": "client", "client_secret": "secret",
        "authorization_endpoint": "https://auth.example.com/authorize?realm=r",
        "token_endpoint": "https://auth.example.com/token",
        "userinfo_endpoint": "https://api.example.com/me",
        "scopes": ["read_user"],
        "claims": { "sub": "/user/id", "name": "/user/name" },
        "further_userinfo": [{
            "endpoint": "https://api.example.com/emails",
            "select": { "primary": true },
            "claims": { "email": "address", "email_verified": "confirmed" },
        }],
    }]);
    document["clusters"] = json!({ "api.example.com": "api" });
    document["session"]["refresh"] = json!(true);
    document["rules"] = json!([
        { "prefix": "/mail", "access": "required", "allow": { "allowed_domains": ["example.com"] } },
        { "prefix": "/open", "access": "required", "allow": { "not": { "claims": { "groups": ["banned"] } } } },
    ]);
    document
}

fn text(status: u16, body: &str) -> CalloutResult {
    Ok(CalloutResponse::new(status, body.as_bytes().to_vec()))
}

fn answers() -> Answers {
    Rc::new(RefCell::new(BTreeMap::from([
        (TOKEN, text(200, "access_token=at&refresh_token=rt&expires_in=600")),
        (ME, ok(&json!({ "user": { "id": 7, "name": "Alice" }, "groups": ["staff"] }))),
        (
            EMAILS,
            ok(&json!([
                { "address": "private@example.org", "primary": false, "confirmed": true },
                { "address": "alice@example.com", "primary": true, "confirmed": true },
            ])),
        ),
    ])))
}

fn usual(request: &CalloutRequest, answers: &Answers) -> CalloutResult {
    let at = format!("{}{}", request.authority, request.path);
    if at == TOKEN {
        assert_eq!((request.method, request.cluster.as_str()), ("POST", "idp"));
        let form: BTreeMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
        assert!(form["grant_type"] == "refresh_token" || form["code_verifier"].len() >= 43, "{form:?}");
    } else {
        assert_eq!((request.method, request.cluster.as_str()), ("GET", "api"));
        assert!(request.headers.contains(&("authorization", "Bearer at".to_owned())));
    }
    answers.borrow()[at.as_str()].clone()
}

fn world(document: &Value, answers: &Answers) -> World {
    let mut world = World::with(document);
    let answers = Rc::clone(answers);
    world.provider.instead = Some(Box::new(move |request| usual(request, &answers)));
    world
}

fn callback(world: &mut World) -> String {
    let reply = world.visit("/").reply();
    let url = location(&reply);
    assert!(url.starts_with("https://auth.example.com/authorize?realm=r&response_type=code&"), "{url}");
    let query = query_of(url);
    assert_eq!((query["scope"].as_str(), query["code_challenge_method"].as_str()), ("read_user", "S256"));
    assert!(!query.contains_key("nonce"));
    format!("/oauth2/callback?code=code&state={}", query["state"])
}

fn signed_in(answers: &Answers) -> World {
    let mut world = world(&configured(), answers);
    let callback = callback(&mut world);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    world
}

#[track_caller]
fn header(outcome: &Outcome, name: &str) -> Option<String> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(known, value)| (known == name).then(|| value.clone()))
}

#[test]
fn an_oauth2_provider_needs_no_discovery_and_its_responses_are_claims() {
    let mut world = signed_in(&answers());
    assert_eq!(world.provider.asked.keys().collect::<Vec<_>>(), ["/emails", "/me", "/token"]);
    let passed = world.visit("/mail");
    assert_eq!(header(&passed, "x-forwarded-user").as_deref(), Some("7"));
    assert_eq!(header(&passed, "x-forwarded-email").as_deref(), Some("alice@example.com"));
    assert_eq!(header(&passed, "x-forwarded-groups").as_deref(), Some("staff"));
    assert!(matches!(world.visit("/open"), Outcome::Forwarded { .. }));
}

#[test]
fn an_oauth2_renewal_reads_the_claims_again() {
    let answers = answers();
    let mut world = signed_in(&answers);
    answers.borrow_mut().insert(ME, ok(&json!({ "user": { "id": 7 }, "groups": ["banned"] })));
    answers.borrow_mut().insert(TOKEN, ok(&json!({ "access_token": "at", "id_token": "not.a.token" })));
    world.advance(480);
    let held = world.visit("/");
    let passed = world.then(held);
    assert_eq!(header(&passed, "x-forwarded-groups").as_deref(), Some("banned"));
    assert_eq!(world.visit("/open").code(), (403, "not_allowed"));
}

#[test]
fn a_renewal_that_names_another_user_ends_the_session() {
    let answers = answers();
    let mut world = signed_in(&answers);
    answers.borrow_mut().insert(ME, ok(&json!({ "user": { "id": 8 } })));
    world.advance(480);
    let held = world.visit("/");
    assert_eq!(world.then(held).code(), (302, "sign_in_started"));
}

#[test]
fn a_renewal_that_fails_at_any_endpoint_keeps_the_session() {
    for path in [TOKEN, ME, EMAILS] {
        let answers = answers();
        let mut world = signed_in(&answers);
        answers.borrow_mut().insert(path, text(503, "busy"));
        world.advance(480);
        let held = world.visit("/");
        let passed = world.then(held);
        assert_eq!(header(&passed, "x-forwarded-groups").as_deref(), Some("staff"), "{path}");
    }
}

#[test]
fn an_invalid_provider_response_creates_no_session() {
    for (path, answer, expected) in [
        (TOKEN, text(200, "error=invalid_grant"), (400, "token_endpoint_invalid_grant")),
        (TOKEN, ok(&json!({ "error": "invalid_client" })), (502, "token_endpoint_refused")),
        (TOKEN, text(200, "access_token=at&token_type=mac"), (502, "token_endpoint_malformed")),
        (TOKEN, text(200, "access_token=at&access_token=x"), (502, "token_endpoint_malformed")),
        (TOKEN, text(500, "access_token=at"), (503, "token_endpoint_unavailable")),
        (ME, ok(&json!({ "user": { "id": null } })), (502, "userinfo_endpoint_malformed")),
        (ME, ok(&json!({ "user": { "id": 7 }, "error": "invalid_token" })), (502, "userinfo_endpoint_malformed")),
        (ME, text(200, r#"{"user":{"id":7},"user":{"id":8}}"#), (502, "userinfo_endpoint_malformed")),
        (ME, text(401, ""), (502, "userinfo_endpoint_malformed")),
        (ME, text(503, ""), (503, "userinfo_endpoint_unavailable")),
        (EMAILS, text(404, ""), (502, "userinfo_endpoint_malformed")),
        (EMAILS, text(200, "<html>"), (502, "userinfo_endpoint_malformed")),
        (EMAILS, text(429, ""), (503, "userinfo_endpoint_unavailable")),
    ] {
        let answers = answers();
        let mut world = world(&configured(), &answers);
        let good = answers.borrow_mut().insert(path, answer.clone()).unwrap();
        let first = callback(&mut world);
        assert_eq!(world.visit(&first).code(), expected, "{path} {answer:?}");
        assert!(!world.has_session() && world.pending() == 0, "{path} {answer:?}");
        answers.borrow_mut().insert(path, good);
        let second = callback(&mut world);
        assert_eq!(world.visit(&second).code(), (303, "signed_in"), "{path} {answer:?}");
    }
}

#[test]
fn an_answer_of_another_issuer_is_refused() {
    let mut document = configured();
    for (issuer, iss, expected) in [
        (None, "https://idp.example.com", (400, "callback_wrong_issuer")),
        (Some("https://auth.example.com"), "https://idp.example.com", (400, "callback_wrong_issuer")),
        (Some("https://auth.example.com"), "https://auth.example.com", (303, "signed_in")),
    ] {
        if let Some(issuer) = issuer {
            document["providers"][0]["issuer"] = json!(issuer);
        }
        let mut world = world(&document, &answers());
        let callback = callback(&mut world);
        assert_eq!(world.visit(&format!("{callback}&iss={iss}")).code(), expected, "{issuer:?} {iss}");
    }
}

#[test]
fn a_changed_claim_mapping_keeps_a_session_that_has_the_claim() {
    // The session keeps the value of its sign-in until it is renewed. Only a claim that it lacks takes a new sign-in.
    let answers = answers();
    let mut world = signed_in(&answers);
    let mut document = configured();
    document["providers"][0]["claims"]["groups"] = json!("/user/groups");
    let other = self::world(&document, &answers);
    (world.config, world.workers, world.platform) = (other.config, other.workers, other.platform);
    answers.borrow_mut().insert(ME, ok(&json!({ "user": { "id": 7, "groups": ["banned"] } })));
    let passed = world.visit("/open");
    assert!(matches!(passed, Outcome::Forwarded { .. }), "the session has a claim of this name: {passed:?}");
}

#[test]
fn a_sign_out_ends_the_session_locally_and_at_the_oauth2_server() {
    let mut document = configured();
    document["providers"][0]["end_session_endpoint"] = json!("https://auth.example.com/logout");
    document["sign_out"] = json!({ "at_provider": true });
    let answers = answers();
    let mut world = world(&document, &answers);
    let callback = callback(&mut world);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    let reply = world.opens("/oauth2/sign_out", "same-origin").reply();
    let url = location(&reply);
    assert!(url.starts_with("https://auth.example.com/logout?"), "{url}");
    assert!(!query_of(url).contains_key("id_token_hint"));
    assert!(!world.has_session());
}

/// A server that takes the secret in this place alone, and how often it was asked for tokens.
fn takes_secret_in(place: &'static str, world: &mut World, answers: &Answers) -> Rc<Cell<usize>> {
    let (answers, asked) = (Rc::clone(answers), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&asked);
    world.provider.instead = Some(Box::new(move |request| {
        if request.path != "/token" {
            return usual(request, &answers);
        }
        counted.set(counted.get() + 1);
        let is_in_body = String::from_utf8(request.body.clone()).unwrap().contains("client_secret=secret");
        let is_in_header = request.headers.iter().any(|(name, _)| *name == "authorization");
        assert!(is_in_body != is_in_header, "the secret is sent once");
        let is_client = if place == "body" { is_in_body } else { is_in_header };
        if is_client { usual(request, &answers) } else { text(401, r#"{"error":"invalid_client"}"#) }
    }));
    asked
}

fn told(world: &World) -> Vec<String> {
    let changes = world.events.iter().filter(|event| matches!(event, event::Event::OtherMethod(..)));
    changes.map(ToString::to_string).collect()
}

#[test]
fn a_client_secret_refused_by_one_method_is_sent_by_the_other() {
    let answers = answers();
    let mut world = world(&configured(), &answers);
    let asked = takes_secret_in("body", &mut world, &answers);
    let first = callback(&mut world);
    assert_eq!((world.visit(&first).code(), asked.get()), ((303, "signed_in"), 2));
    assert_eq!(
        told(&world),
        [
            "sends the client secret of https://auth.example.com/authorize as client_secret_post, because it refused the other \
          method; set token_endpoint_auth_method to client_secret_post"
        ]
    );
    // Renewals and later sign-ins know it.
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(world.then(held), Outcome::Forwarded { .. }));
    assert_eq!((told(&world).len(), asked.get()), (1, 3));
    let asked = takes_secret_in("header", &mut world, &answers);
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(world.then(held), Outcome::Forwarded { .. }), "the server has changed its mind");
    assert_eq!((told(&world).len(), asked.get()), (2, 2));
}

#[test]
fn a_wrong_client_secret_is_sent_by_each_permitted_method_once() {
    for (method, expected) in [(None, 2), (Some("client_secret_basic"), 1)] {
        let answers = answers();
        let mut document = configured();
        if let Some(method) = method {
            document["providers"][0]["token_endpoint_auth_method"] = json!(method);
        }
        let mut world = world(&document, &answers);
        let asked = takes_secret_in("nowhere", &mut world, &answers);
        world.provider.instead = Some({
            let asked = Rc::clone(&asked);
            Box::new(move |_| {
                asked.set(asked.get() + 1);
                text(401, r#"{"error":"invalid_client"}"#)
            })
        });
        let first = callback(&mut world);
        assert_eq!((world.visit(&first).code(), asked.get()), ((502, "token_endpoint_refused"), expected));
        assert_eq!(told(&world), [""; 0]);
    }
}

#[test]
fn a_revoked_grant_ends_the_session_after_the_auth_method_changed() {
    let answers = answers();
    let mut world = world(&configured(), &answers);
    takes_secret_in("body", &mut world, &answers);
    let first = callback(&mut world);
    assert_eq!(world.visit(&first).code(), (303, "signed_in"));
    answers.borrow_mut().insert(TOKEN, text(400, r#"{"error":"invalid_grant"}"#));
    // Another worker, which does not know how the server takes the secret.
    world.worker = 1;
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(world.then(held), Outcome::Forwarded { .. }), "its access token is good");
    world.advance(120);
    let held = world.visit("/");
    assert_eq!(world.then(held).code(), (302, "sign_in_started"));
}

#[test]
fn a_user_deleted_at_the_provider_is_signed_out_at_the_renewal() {
    for (path, status) in [(ME, 401), (ME, 403), (ME, 404), (EMAILS, 403)] {
        let answers = answers();
        let mut world = signed_in(&answers);
        answers.borrow_mut().insert(path, text(status, "{}"));
        world.advance(480);
        let held = world.visit("/");
        assert_eq!(world.then(held).code(), (302, "sign_in_started"), "{path} {status}");
    }
}
