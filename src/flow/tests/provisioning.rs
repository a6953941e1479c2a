//! Provisioning: the app says who may sign in, and what it knows of them.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::{
    super::{event::Event, *},
    world::{ISSUER, Outcome, PARTNERS, World, header, ok},
};
use crate::http::{CalloutError, CalloutRequest, CalloutResponse};

/// The app's answer, and the requests that it has received.
struct App {
    answer: CalloutResult,
    asked: Vec<Value>,
}

type SharedApp = Rc<RefCell<App>>;

fn settings() -> Value {
    json!({ "endpoint": "http://app.internal/provision", "cluster": "app", "secret": "hush" })
}

fn rules() -> Value {
    let plan = |value: &str| json!({ "claims": { "/attributes/plan": [value] } });
    json!([
        { "path": "/public", "access": "public" },
        { "path": "/pro", "access": "required", "allow": plan("pro") },
        { "path": "/open", "access": "required", "allow": { "not": plan("banned") } },
    ])
}

/// A world with an app that answers this.
fn world_with(answer: CalloutResult, changes: &[(&str, Value)]) -> (World, SharedApp) {
    let headers = json!({ "X-User": "sub", "X-Plan": "/attributes/plan" });
    let mut all = vec![("provisioning", settings()), ("identity_headers", headers), ("rules", rules())];
    all.extend(changes.iter().cloned());
    let mut world = World::ready_with(&all);
    world.provider.refreshes = true;
    let app = Rc::new(RefCell::new(App { answer, asked: Vec::new() }));
    for provider in [&mut world.provider, &mut world.partners] {
        let app = Rc::clone(&app);
        provider.before = Some(Box::new(move |request| answer_of(&app, request)));
    }
    (world, app)
}

fn world(answer: CalloutResult) -> (World, SharedApp) {
    world_with(answer, &[])
}

fn answer_of(app: &SharedApp, request: &CalloutRequest) -> Option<CalloutResult> {
    if request.authority != "app.internal" {
        return None;
    }
    assert_eq!((request.method, request.path.as_str(), request.cluster.as_str()), ("POST", "/provision", "app"));
    assert!(request.headers.contains(&("authorization", "Bearer hush".to_owned())));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    for secret in ["refresh-", "eyJ", "\"at\""] {
        assert!(!body.to_string().contains(secret), "{body}");
    }
    app.borrow_mut().asked.push(body);
    Some(app.borrow().answer.clone())
}

fn plan(plan: &str) -> CalloutResult {
    ok(&json!({ "attributes": { "plan": plan } }))
}

fn status(status: u16, body: &str) -> CalloutResult {
    Ok(CalloutResponse::new(status, body.as_bytes().to_vec()))
}

fn refusal(message: &str) -> CalloutResult {
    status(403, &json!({ "message": message }).to_string())
}

/// The answer to the callback of a sign-in.
fn callback(world: &mut World) -> LocalReply {
    let reply = world.visit("/pro").reply();
    let callback = world.signs_in(&reply);
    world.visit(&callback).reply()
}

/// The header with the plan, of a page that everyone who is signed in may open.
#[track_caller]
fn plan_at(world: &mut World, path: &str) -> Option<String> {
    let held = world.visit(path);
    match world.then(held) {
        Outcome::Forwarded { headers, .. } => {
            headers.iter().find_map(|(name, value)| (name == "x-plan").then(|| value.clone()))
        }
        other => panic!("{other:?}"),
    }
}

/// The code of a refusal, or `passed`.
fn access(world: &mut World, path: &str) -> &'static str {
    let held = world.visit(path);
    match world.then(held) {
        Outcome::Forwarded { .. } => "passed",
        other => other.code().1,
    }
}

#[test]
fn attributes_of_the_provisioning_response_reach_headers_and_rules() {
    let (mut world, app) = world(plan("pro"));
    assert_eq!(callback(&mut world).code, "signed_in");
    assert_eq!(
        app.borrow().asked,
        [json!({
            "event": "sign_in", "provider": "default", "iss": ISSUER, "sub": "alice", "registration": "allowed",
            "claims": { "email": "alice@example.com", "email_verified": true, "groups": ["staff", "admins"] },
        })]
    );
    assert_eq!(plan_at(&mut world, "/pro").as_deref(), Some("pro"));
    assert_eq!(access(&mut world, "/open"), "passed");
    // No request but the sign-in asks.
    assert_eq!(app.borrow().asked.len(), 1);
}

#[test]
fn a_provisioning_response_without_attributes_admits_the_user() {
    for answer in [status(204, ""), status(200, ""), ok(&json!({ "attributes": {} }))] {
        let (mut world, _) = world(answer);
        assert_eq!(callback(&mut world).code, "signed_in");
        assert_eq!(access(&mut world, "/pro"), "not_allowed");
        assert_eq!(plan_at(&mut world, "/open"), None);
    }
}

#[test]
fn provisioned_attributes_and_provider_claims_do_not_mix() {
    let answer = ok(&json!({ "attributes": { "sub": "mallory", "groups": ["root"], "email": "m@evil.example" } }));
    let (mut world, _) = world_with(answer, &[("identity_headers", json!({ "X-User": "sub", "X-Groups": "groups" }))]);
    world.provider.claims = Box::new(|claims| drop(claims.insert("attributes".to_owned(), json!({ "plan": "pro" }))));
    assert_eq!(callback(&mut world).code, "signed_in");
    let Outcome::Forwarded { headers, .. } = world.visit("/open") else { panic!() };
    for (name, value) in [("x-user", "alice"), ("x-groups", "staff,admins")] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{headers:?}");
    }
    assert_eq!(access(&mut world, "/pro"), "not_allowed");
}

#[test]
fn a_refused_user_gets_the_message_as_text_and_keeps_nothing() {
    let (mut world, app) = world(refusal("<script>alert(1)</script>\r\nAsk \"Ann\""));
    world.config.sign_out.revoke = true;
    world.replace_workers();
    world.settle();
    let reply = callback(&mut world);
    assert_eq!((reply.status, reply.code), (403, "provisioning_refused"));
    let page = String::from_utf8(reply.body.clone()).unwrap();
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;  Ask &#34;Ann&#34;"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("Use another account") && page.contains("prompt=select_account"), "{page}");
    assert!(!header(&reply, "content-security-policy").unwrap().contains("script-src"));
    assert!(!world.has_session());
    assert_eq!(world.pending(), 0);
    // The refresh token is of no use any more.
    world.settle();
    assert_eq!(world.provider.refresh_tokens, [""; 0]);
    assert_eq!(access(&mut world, "/open"), "sign_in_started");
    let refused = |event: &Event| event.to_string().contains(r#"and says "<script>alert(1)</script>  Ask \"Ann\"""#);
    assert!(world.events.iter().any(refused), "{:?}", world.events);
    assert!(world.events.iter().all(|event| !matches!(event, Event::SignedIn(..))));

    app.borrow_mut().answer = refusal("");
    let page = String::from_utf8(callback(&mut world).body).unwrap();
    assert!(page.contains("this site does not let you in"), "{page}");
}

#[test]
fn a_failed_provisioning_request_creates_no_session() {
    let huge = format!(r#"{{"attributes":{{"a":"{}"}}}}"#, "a".repeat(100_000));
    let redirect =
        CalloutError::Redirected { status: 302, location: crate::quoted::Quoted::new("https://evil.example") };
    for (answer, expected) in [
        (Err(CalloutError::NoResponse), (503, "provisioning_unavailable")),
        (Err(CalloutError::Dispatch), (503, "provisioning_unavailable")),
        (status(500, ""), (503, "provisioning_unavailable")),
        (status(503, "upstream connect error"), (503, "provisioning_unavailable")),
        (status(504, "upstream request timeout"), (503, "provisioning_unavailable")),
        (status(429, ""), (503, "provisioning_unavailable")),
        (Err(CalloutError::TooLarge), (502, "provisioning_malformed")),
        (Err(redirect), (502, "provisioning_malformed")),
        (status(200, "<html>"), (502, "provisioning_malformed")),
        (status(200, &huge), (502, "provisioning_malformed")),
        (status(200, "{}"), (502, "provisioning_malformed")),
        (status(200, r#"{"attributes":[]}"#), (502, "provisioning_malformed")),
        (status(403, "RBAC: access denied"), (502, "provisioning_malformed")),
        (status(404, ""), (502, "provisioning_malformed")),
        (status(401, ""), (502, "provisioning_malformed")),
    ] {
        let what = format!("{answer:?}");
        let (mut world, app) = world(answer);
        let reply = world.visit("/open").reply();
        let callback = world.signs_in(&reply);
        let mut outcome = world.visit(&callback);
        // A call that Envoy does not take is made again for a while.
        for _ in 0..10 {
            let Outcome::Held(pending) = outcome else { break };
            world.advance(1);
            outcome = world.resume(pending);
        }
        assert_eq!(outcome.code(), expected, "{what}");
        assert!(!world.has_session(), "{what}");
        assert_eq!(access(&mut world, "/open"), "sign_in_started", "{what}");
        app.borrow_mut().answer = plan("pro");
        world.sign_in("/open");
        assert_eq!(plan_at(&mut world, "/pro").as_deref(), Some("pro"), "{what}");
    }
}

#[test]
fn a_renewal_provisions_again_and_updates_the_attributes() {
    let (mut world, app) = world(plan("pro"));
    world.sign_in("/");
    app.borrow_mut().answer = plan("banned");
    world.advance(480);
    assert_eq!(plan_at(&mut world, "/").as_deref(), Some("banned"));
    assert_eq!(access(&mut world, "/open"), "not_allowed");
    let asked = app.borrow().asked.clone();
    assert_eq!((asked.len(), &asked[1]["event"], &asked[1]["sub"]), (2, &json!("renewal"), &json!("alice")));
    assert_eq!(asked[1]["claims"], asked[0]["claims"]);
}

#[test]
fn a_renewal_that_the_app_refuses_ends_the_session() {
    let (mut world, app) = world(plan("pro"));
    world.sign_in("/");
    app.borrow_mut().answer = refusal("gone");
    world.advance(480);
    let before = world.session_cookies();
    assert_eq!(access(&mut world, "/open"), "sign_in_started");
    // Also for the other worker, and for the cookie of before.
    world.worker = 1;
    world.jar.extend(before);
    assert_eq!(access(&mut world, "/open"), "sign_in_started");
    let reply = callback(&mut world);
    assert_eq!((reply.status, reply.code), (403, "provisioning_refused"));
}

#[test]
fn a_provisioning_failure_at_renewal_keeps_the_session_and_is_retried() {
    for answer in [Err(CalloutError::NoResponse), status(500, ""), status(200, "<html>"), status(403, "denied")] {
        let what = format!("{answer:?}");
        let (mut world, app) = world(plan("pro"));
        world.sign_in("/");
        app.borrow_mut().answer = answer;
        world.advance(480);
        assert_eq!(plan_at(&mut world, "/pro").as_deref(), Some("pro"), "{what}");
        assert_eq!(plan_at(&mut world, "/pro").as_deref(), Some("pro"), "{what}");
        assert_eq!(app.borrow().asked.len(), 2, "{what}");
        app.borrow_mut().answer = plan("free");
        world.advance(15);
        assert_eq!(plan_at(&mut world, "/").as_deref(), Some("free"), "{what}");
        assert_eq!(access(&mut world, "/pro"), "not_allowed", "{what}");
    }
}

#[test]
fn renewals_without_provisioning_keep_the_attributes() {
    let mut provisioning = settings();
    provisioning["at_renewal"] = json!(false);
    let (mut world, app) = world_with(plan("pro"), &[("provisioning", provisioning)]);
    world.sign_in("/");
    app.borrow_mut().answer = refusal("gone");
    for _ in 0..3 {
        world.advance(480);
        assert_eq!(plan_at(&mut world, "/pro").as_deref(), Some("pro"));
    }
    assert_eq!((app.borrow().asked.len(), world.provider.asked["/token"]), (1, 4));
}

#[test]
fn provisioning_and_registration_are_set_per_provider() {
    let client = |name: &str, issuer: &str| json!({ "name": name, "issuer": issuer, "client_id": "client", "client_secret": "secret" });
    let mut providers = [client("staff", ISSUER), client("partners", PARTNERS)];
    providers[0]["provisioning"] = json!(false);
    providers[1]["registration"] = json!("refused");
    let (mut world, app) = world_with(plan("pro"), &[("providers", json!(providers))]);
    // Its own claim of this name does not count either.
    world.provider.claims = Box::new(|claims| drop(claims.insert("attributes".to_owned(), json!({ "plan": "pro" }))));
    let sign_in = |world: &mut World, provider: &str| {
        let reply = world.visit(&format!("/oauth2/start?rd=/&provider={provider}")).reply();
        let callback = world.signs_in(&reply);
        assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    };
    sign_in(&mut world, "staff");
    assert_eq!(app.borrow().asked.len(), 0);
    assert_eq!(access(&mut world, "/pro"), "not_allowed");
    assert_eq!(access(&mut world, "/open"), "passed");
    sign_in(&mut world, "partners");
    let asked = app.borrow().asked.clone();
    assert_eq!((&asked[0]["provider"], &asked[0]["iss"]), (&json!("partners"), &json!(PARTNERS)));
    assert_eq!(asked[0]["registration"], json!("refused"));
    assert_eq!(access(&mut world, "/pro"), "passed");
}

#[test]
fn a_session_from_before_provisioning_signs_in_again_if_needed() {
    let (mut world, app) = world(plan("pro"));
    let mut document = super::world::document();
    document["rules"] = rules();
    let provisioned = world.config.clone();
    let plain = crate::config::Config::parse(document.to_string().as_bytes(), &|_| None).unwrap();
    world.reconfigure(|config| *config = plain);
    // Then this provider's claim was as good as any.
    world.provider.claims = Box::new(|claims| drop(claims.insert("attributes".to_owned(), json!({ "plan": "pro" }))));
    world.sign_in("/");
    assert_eq!(access(&mut world, "/pro"), "passed");
    world.reconfigure(|config| *config = provisioned);
    assert_eq!(app.borrow().asked.len(), 0);
    assert_eq!(access(&mut world, "/"), "passed");
    for path in ["/pro", "/open"] {
        assert_eq!(access(&mut world, path), "sign_in_started", "{path}");
    }
    world.sign_in_again();
    assert_eq!(app.borrow().asked.len(), 1);
    for path in ["/pro", "/open"] {
        assert_eq!(access(&mut world, path), "passed", "{path}");
    }
}

#[test]
fn a_stored_session_has_its_attributes_in_every_worker() {
    let mut session = super::world::document()["session"].clone();
    session["store"] = json!({ "cluster": "webdis" });
    let (mut world, app) = world_with(plan("pro"), &[("session", session)]);
    world.sign_in("/");
    world.worker = 1;
    assert_eq!(plan_at(&mut world, "/pro").as_deref(), Some("pro"));
    app.borrow_mut().answer = refusal("gone");
    world.advance(480);
    let held = world.visit("/pro");
    assert!(!matches!(world.then(held), Outcome::Forwarded { .. }));
    world.settle();
    world.worker = 0;
    let mut outcome = world.visit("/pro");
    if matches!(outcome, Outcome::Held(_)) {
        outcome = world.then(outcome);
    }
    assert_eq!(outcome.code(), (302, "sign_in_started"));
}
