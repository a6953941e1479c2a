//! Tokens that requests carry to the app (`upstream_token`): the access token itself, or one that came in exchange (RFC 8693).

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};

use super::{
    super::{Step, event::failure::Failure},
    world::{ISSUER, Outcome, PARTNERS, STATIC_TOKEN, World, access_tokens, header, location, ok, static_tokens},
};
use crate::{
    http::{CalloutError, CalloutResponse, Request, RouteMetadata},
    oidc::{
        token::TokenEndpointError,
        token_exchange::{ExchangeGrant, NoExchange},
    },
};

type Form = BTreeMap<String, String>;
type Answering = dyn Fn(&Form) -> Result<CalloutResponse, CalloutError>;

/// The exchanges that a provider was asked for, and its answers.
#[derive(Clone)]
struct Exchanges {
    asked: Rc<RefCell<Vec<Form>>>,
    answer: Rc<RefCell<Box<Answering>>>,
}

impl Exchanges {
    /// Takes over the exchanges of this world's provider. The token that it gives names its audience and the token that it is for.
    fn of(world: &mut World) -> Self {
        let exchanges = Self { asked: Rc::default(), answer: Rc::new(RefCell::new(Box::new(given))) };
        let own = exchanges.clone();
        world.provider.before = Some(Box::new(move |request| {
            let form: Form = form_urlencoded::parse(&request.body).into_owned().collect();
            let is_exchange =
                request.path == "/token" && (form.contains_key("subject_token") || form.contains_key("assertion"));
            is_exchange.then(|| {
                own.asked.borrow_mut().push(form.clone());
                (own.answer.borrow())(&form)
            })
        }));
        exchanges
    }

    fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    fn answer(&self, answer: impl Fn(&Form) -> Result<CalloutResponse, CalloutError> + 'static) {
        *self.answer.borrow_mut() = Box::new(answer);
    }

    fn refuse(&self, status: u16, body: &'static str) {
        self.answer(move |_| Ok(CalloutResponse::new(status, body.as_bytes().to_vec())));
    }
}

fn body(form: &Form) -> Value {
    let part = |name: &str| form.get(name).map(|value| value.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let token = format!("{}.for.{}", part("subject_token").unwrap_or_default(), part("audience").unwrap_or_default());
    json!({
        "access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer",
        "expires_in": 300,
    })
}

fn given(form: &Form) -> Result<CalloutResponse, CalloutError> {
    ok(&body(form))
}

fn rules() -> Value {
    let exchange = |audience: &str| json!({"header": "X-Access-Token", "exchange": {"audience": audience}});
    json!([
        {"path": "/public/*", "access": "public"},
        {"path": "/optional", "access": "optional"},
        {"name": "orders", "path": "/orders/*", "access": "required", "upstream_token": exchange("orders")},
        {"name": "stock", "path": "/stock/*", "access": "required", "upstream_token": exchange("stock")},
        {"path": "/own/*", "access": "required", "upstream_token": {"header": "X-Own", "value": "token={token};v=1"}},
        {"path": "/bearer/*", "access": "required", "upstream_token": {"exchange": {"audience": "orders"}}},
    ])
}

fn world() -> (World, Exchanges) {
    world_with(&[])
}

fn world_with(more: &[(&str, Value)]) -> (World, Exchanges) {
    let mut changes = vec![access_tokens(), static_tokens(), ("rules", rules())];
    changes.extend(more.iter().cloned());
    let mut world = World::ready_with(&changes);
    let exchanges = Exchanges::of(&mut world);
    (world, exchanges)
}

fn signed_in() -> (World, Exchanges) {
    let (mut world, exchanges) = world();
    world.sign_in("/");
    (world, exchanges)
}

/// The lines of a header that the app gets.
#[track_caller]
fn received(outcome: &Outcome, name: &str) -> Vec<String> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
}

#[track_caller]
fn get(world: &mut World, path: &str) -> Vec<String> {
    let outcome = world.visit(path);
    received(&world.then(outcome), "x-access-token")
}

fn bring(world: &mut World, path: &str, token: &str) -> Outcome {
    let outcome = world.send(&[(":method", "GET"), (":path", path), ("authorization", &format!("Bearer {token}"))]);
    world.then(outcome)
}

/// Nothing passes, and the same worker serves the same session elsewhere.
#[track_caller]
fn assert_refused(world: &mut World, path: &str, status: u16, code: &str) {
    let outcome = world.visit(path);
    let outcome = world.then(outcome);
    assert_eq!(outcome.code(), (status, code));
    assert!(matches!(world.visit("/page"), Outcome::Forwarded { .. }));
}

#[test]
fn a_token_is_exchanged_once_for_each_rule_and_session() {
    let (mut world, exchanges) = signed_in();
    for _ in 0..3 {
        assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
        assert_eq!(get(&mut world, "/stock/1"), ["at.for.stock"]);
    }
    assert_eq!(exchanges.count(), 2);
    let asked = exchanges.asked.borrow()[0].clone();
    let expected = [
        ("audience", "orders"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", "at"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    assert_eq!(asked, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    // Other pages have no token, and need none.
    assert_eq!(get(&mut world, "/page"), [""; 0]);
    assert_eq!(exchanges.count(), 2);
    // Another worker asks for itself.
    world.worker = 1;
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    assert_eq!(exchanges.count(), 3);
}

#[test]
fn the_access_token_can_be_sent_in_any_header_and_format() {
    let (mut world, exchanges) = signed_in();
    let outcome = world.visit("/own/x");
    assert_eq!(received(&outcome, "x-own"), ["token=at;v=1"]);
    assert_eq!(received(&outcome, "authorization"), [""; 0]);
    let token = world.access_token();
    let outcome = bring(&mut world, "/own/x", &token);
    assert_eq!(received(&outcome, "x-own"), [format!("token={token};v=1")]);
    assert_eq!(exchanges.count(), 0);
}

#[test]
fn an_exchanged_token_can_take_the_place_of_the_clients_credentials() {
    let (mut world, _) = signed_in();
    let outcome = world.send(&[(":method", "GET"), (":path", "/bearer/x"), ("authorization", "Basic x")]);
    let outcome = world.then(outcome);
    assert_eq!(received(&outcome, "authorization"), ["Bearer at.for.orders"]);
    let token = world.access_token();
    let outcome = bring(&mut world, "/bearer/x", &token);
    let lines = received(&outcome, "authorization");
    assert!(
        matches!(&lines[..], [line] if line.starts_with("Bearer ey") && line.ends_with(".for.orders")),
        "{lines:?}"
    );
}

#[test]
fn a_client_cannot_send_the_upstream_token_header() {
    let (mut world, _) = world();
    world.sign_in("/");
    for path in ["/public/x", "/optional", "/page", "/own/x"] {
        for name in ["x-access-token", "X-Access-Token", "x_access_token"] {
            let outcome = world.send(&[(":method", "GET"), (":path", path), (name, "forged"), ("x-other", "kept")]);
            let Outcome::Forwarded { headers, .. } = world.then(outcome) else { panic!("{path}") };
            assert!(!headers.iter().any(|(_, value)| value == "forged"), "{path} {name}: {headers:?}");
            assert!(headers.contains(&("x-other".to_owned(), "kept".to_owned())));
        }
    }
    let outcome = world.send(&[(":method", "GET"), (":path", "/orders/x"), ("x-access-token", "forged")]);
    assert_eq!(received(&world.then(outcome), "x-access-token"), ["at.for.orders"]);
    // Trailers are no way around it.
    let trailers = Request::new([("x-access-token", b"forged".as_slice())]);
    assert_eq!(super::super::trailer_edits(&trailers, &world.config).len(), 1);
}

#[test]
fn a_token_is_exchanged_anew_before_it_expires() {
    // The answer's lifetime, and the seconds for which it is kept.
    for (life, kept) in [
        (json!(300), 270),
        (json!(60), 48),
        (json!(5), 4),
        (Value::Null, 48),
        (json!("soon"), 48),
        (json!(0), 0),
        (json!(-1), 0),
        (json!(1e300), 3570),
    ] {
        let (mut world, exchanges) = world_with(&[("session", {
            let mut session = super::world::document()["session"].clone();
            session["refresh"] = json!(false);
            session
        })]);
        world.provider.token_response = Box::new(|mut body| {
            body["expires_in"] = json!(100_000);
            ok(&body)
        });
        world.sign_in("/");
        let own = life.clone();
        exchanges.answer(move |form| {
            let mut body = body(form);
            body["expires_in"] = own.clone();
            ok(&body)
        });
        assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"], "{life}");
        if kept > 0 {
            world.advance(kept - 1);
            assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"], "{life}");
            assert_eq!(exchanges.count(), 1, "{life}");
            world.advance(1);
        }
        assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"], "{life}");
        assert_eq!(exchanges.count(), 2, "{life}");
    }
}

#[test]
fn a_refused_exchange_refuses_the_request() {
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_request"}"#, (403, "upstream_token_denied")),
        (400, r#"{"error":"invalid_grant"}"#, (403, "upstream_token_denied")),
        (400, r#"{"error":"interaction_required"}"#, (403, "upstream_token_denied")),
        (403, r#"{"error":"access_denied"}"#, (403, "upstream_token_denied")),
        (400, r#"{"error":"temporarily_unavailable"}"#, (503, "upstream_token_unavailable")),
        (200, r#"{"error":"server_error"}"#, (503, "upstream_token_unavailable")),
        (400, r#"{"error":"invalid_target"}"#, (502, "upstream_token_refused")),
        (400, r#"{"error":"invalid_scope"}"#, (502, "upstream_token_refused")),
        (401, r#"{"error":"invalid_client"}"#, (502, "upstream_token_refused")),
        (400, r#"{"error":"unsupported_grant_type"}"#, (502, "upstream_token_refused")),
        (200, r#"{"error":"invalid_target"}"#, (502, "upstream_token_refused")),
        (404, "nothing", (502, "upstream_token_refused")),
        (302, "", (502, "upstream_token_refused")),
        (503, "", (503, "upstream_token_unavailable")),
        (429, "", (503, "upstream_token_unavailable")),
        (500, r#"{"error":"server_error"}"#, (503, "upstream_token_unavailable")),
    ] {
        let (mut world, exchanges) = signed_in();
        exchanges.refuse(status, body);
        assert_refused(&mut world, "/orders/1", expected.0, expected.1);
        // A failed exchange is cached for a short time, so that the images of a page do not repeat it.
        let asked = exchanges.count();
        assert_refused(&mut world, "/orders/2", expected.0, expected.1);
        assert_eq!(exchanges.count(), asked, "{body}");
        exchanges.answer(given);
        assert_eq!(get(&mut world, "/stock/1"), ["at.for.stock"]);
        world.advance(2);
        assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    }
}

#[test]
fn a_user_with_a_refused_token_is_offered_another_sign_in() {
    let (mut world, exchanges) = signed_in();
    exchanges.refuse(400, r#"{"error":"invalid_request","error_description":"Invalid token"}"#);
    let outcome = world.visit("/orders/1?a=b");
    let reply = world.then(outcome).reply();
    let page = String::from_utf8(reply.body).unwrap();
    assert!(page.contains("/oauth2/start?rd=") && page.contains("Use another account"), "{page}");
    assert!(world.events.iter().any(|event| event.to_string().contains(r#"invalid_request ("Invalid token")"#)));
    // A script cannot follow a link.
    let outcome = world.send(&[(":method", "GET"), (":path", "/orders/2"), ("sec-fetch-mode", "cors")]);
    assert_eq!(world.then(outcome).code(), (403, "upstream_token_denied"));
}

#[test]
fn a_hostile_answer_gives_no_token() {
    let with = |name: &'static str, value: Value| -> Box<Answering> {
        Box::new(move |form| {
            let mut body = body(form);
            body[name] = value.clone();
            ok(&body)
        })
    };
    let raw = |bytes: Vec<u8>| -> Box<Answering> { Box::new(move |_| Ok(CalloutResponse::new(200, bytes.clone()))) };
    let cases: Vec<(&str, Box<Answering>)> = vec![
        ("a line break", with("access_token", json!("a\r\nx-forwarded-user: root"))),
        ("a NUL", with("access_token", json!("a\0b"))),
        ("a space", with("access_token", json!("a b"))),
        ("no ASCII", with("access_token", json!("\u{e4}"))),
        ("an empty token", with("access_token", json!(""))),
        ("no token", with("access_token", Value::Null)),
        ("a number", with("access_token", json!(1))),
        ("a token of 17 KiB", with("access_token", json!("a".repeat(17 * 1024)))),
        ("no type", with("token_type", Value::Null)),
        ("N_A", with("token_type", json!("N_A"))),
        ("a bound token", with("token_type", json!("DPoP"))),
        ("mac", with("token_type", json!("mac"))),
        ("a refresh token", with("issued_token_type", json!("urn:ietf:params:oauth:token-type:refresh_token"))),
        ("an ID token", with("issued_token_type", json!("urn:ietf:params:oauth:token-type:id_token"))),
        ("a type that is no text", with("issued_token_type", json!(["urn:ietf:params:oauth:token-type:access_token"]))),
        ("an error beside a token", with("error", json!("invalid_target"))),
        ("a page", raw(b"<html>".to_vec())),
        ("a form", raw(b"access_token=a&token_type=bearer".to_vec())),
        ("a list", raw(b"[]".to_vec())),
        ("two tokens", raw(br#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#.to_vec())),
        ("a megabyte", raw(vec![b' '; 1024 * 1024])),
        ("nothing", raw(Vec::new())),
        ("too large for Envoy", Box::new(|_| Err(CalloutError::TooLarge))),
    ];
    for (what, answer) in cases {
        let (mut world, exchanges) = signed_in();
        *exchanges.answer.borrow_mut() = answer;
        let outcome = world.visit("/orders/1");
        let outcome = world.then(outcome);
        assert_eq!(outcome.code(), (502, "upstream_token_refused"), "{what}");
        assert!(matches!(world.visit("/page"), Outcome::Forwarded { .. }), "{what}");
    }
    let (mut world, exchanges) = signed_in();
    *exchanges.answer.borrow_mut() = with("issued_token_type", json!("urn:ietf:params:oauth:token-type:jwt"));
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    *exchanges.answer.borrow_mut() = with("issued_token_type", Value::Null);
    assert_eq!(get(&mut world, "/stock/1"), ["at.for.stock"]);
}

#[test]
fn a_provider_that_does_not_answer_lets_nothing_pass() {
    let (mut world, exchanges) = signed_in();
    exchanges.answer(|_| Err(CalloutError::NoResponse));
    assert_refused(&mut world, "/orders/1", 503, "upstream_token_unavailable");
}

fn page(path: &str, cookies: &str) -> Request {
    let lines = [(":method", "GET"), (":path", path), (":authority", "app.example.com"), ("cookie", cookies)];
    Request::new(lines.map(|(name, value)| (name, value.as_bytes())))
}

fn cookies(world: &World) -> String {
    world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn waits(step: Step) -> super::super::Pending {
    match step {
        Step::Wait(pending) => pending,
        Step::Done(decision) => panic!("{decision:?}"),
    }
}

#[test]
fn concurrent_requests_share_an_exchange_even_if_the_first_leaves() {
    let (mut world, exchanges) = signed_in();
    let request = page("/orders/1", &cookies(&world));
    let first = waits(world.start(request.clone()));
    let mut calls = first.take_calls();
    let second = waits(world.start(request.clone()));
    let third = waits(world.start(request.clone()));
    assert!(second.take_calls().is_empty() && third.take_calls().is_empty());
    assert!(second.size() < 2048, "{}", second.size());
    // What is for another audience does not wait.
    assert_eq!(get(&mut world, "/stock/1"), ["at.for.stock"]);
    assert_eq!(exchanges.count(), 1);
    // The first client leaves before the answer comes; the next one asks.
    drop((first, calls.pop()));
    let Step::Wait(second) = world.decide(|_| second.resume()) else { panic!("it asks") };
    let third = waits(world.decide(|_| third.resume()));
    let call = second.take_calls().pop().unwrap();
    assert!(third.take_calls().is_empty());
    let result = world.answer_call(call.request());
    call.answer(result);
    for pending in [second, third] {
        let step = world.decide(|_| pending.resume());
        assert_eq!(received(&world.perform(step, &request), "x-access-token"), ["at.for.orders"]);
    }
    assert_eq!(exchanges.count(), 2);
}

#[test]
fn a_shared_exchange_is_awaited_only_until_the_requests_deadline() {
    let (mut world, exchanges) = signed_in();
    let request = page("/orders/1", &cookies(&world));
    let first = waits(world.start(request.clone()));
    let call = first.take_calls().pop().unwrap();
    let second = waits(world.start(request.clone()));
    world.advance(4);
    let second = waits(world.decide(|_| second.resume()));
    world.advance(1);
    let step = world.decide(|_| second.resume());
    assert_eq!(world.perform(step, &request).code(), (503, "upstream_token_unavailable"));
    // That says nothing about the exchange: a third request waits for it, and all go on with its outcome.
    let third = waits(world.start(request.clone()));
    assert!(third.take_calls().is_empty());
    let result = world.answer_call(call.request());
    call.answer(result);
    for pending in [first, third] {
        let step = world.decide(|_| pending.resume());
        assert_eq!(received(&world.perform(step, &request), "x-access-token"), ["at.for.orders"]);
    }
    assert_eq!(get(&mut world, "/orders/2"), ["at.for.orders"]);
    assert_eq!(exchanges.count(), 1);
}

#[test]
fn a_worker_limits_concurrent_exchanges() {
    let (mut world, exchanges) = signed_in();
    let taken = world.limits().exchanging.take_all_but(0);
    assert_refused(&mut world, "/orders/1", 503, "busy");
    assert_eq!(exchanges.count(), 0);
    drop(taken);
    // Requests that wait for one exchange keep no other from being made.
    let request = page("/orders/1", &cookies(&world));
    let first = waits(world.start(request.clone()));
    let taken = world.limits().awaiting_exchange.take_all_but(0);
    assert_refused(&mut world, "/orders/1", 503, "busy");
    assert_eq!(get(&mut world, "/stock/1"), ["at.for.stock"]);
    drop((taken, first));
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    assert_eq!((world.limits().exchanging.taken(), world.limits().awaiting_exchange.taken()), (0, 0));
}

#[test]
fn a_session_that_ends_during_its_exchange_does_not_pass() {
    let (mut world, _) = signed_in();
    let request = page("/orders/1", &cookies(&world));
    let pending = waits(world.start(request.clone()));
    let call = pending.take_calls().pop().unwrap();
    assert_eq!(world.opens("/oauth2/sign_out", "none").reply().status, 303);
    let result = world.answer_call(call.request());
    call.answer(result);
    let step = world.decide(|_| pending.resume());
    assert_eq!(world.perform(step, &request).code(), (401, "sign_in_required"));
    // Nor later, with the old cookie: the token is still kept, and out of reach.
    let step = world.start(request.clone());
    assert_eq!(world.perform(step, &request).code(), (401, "sign_in_required"));
}

#[test]
fn the_token_of_each_user_is_exchanged_separately() {
    let (mut world, exchanges) = signed_in();
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    world.jar.clear();
    world.provider.token_response = Box::new(|mut body| {
        body["access_token"] = json!("bobs");
        ok(&body)
    });
    world.provider.claims = Box::new(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    world.sign_in("/");
    assert_eq!(get(&mut world, "/orders/1"), ["bobs.for.orders"]);
    assert_eq!(exchanges.count(), 2);
}

#[test]
fn a_renewed_session_exchanges_its_new_token() {
    let (mut world, exchanges) = world();
    world.provider.refreshes = true;
    world.provider.refresh_response = Some(Box::new(|mut body| {
        body["access_token"] = json!("new");
        ok(&body)
    }));
    world.sign_in("/");
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    world.advance(500);
    assert_eq!(get(&mut world, "/orders/1"), ["new.for.orders"]);
    assert_eq!(exchanges.count(), 2);
}

#[test]
fn a_session_without_a_good_access_token_signs_in_again() {
    let (mut world, exchanges) = signed_in();
    world.advance(600);
    let reply = world.visit("/orders/1").reply();
    assert_eq!((reply.status, reply.code), (302, "sign_in_started"));
    assert!(location(&reply).starts_with(ISSUER));
    assert!(matches!(world.visit("/page"), Outcome::Forwarded { .. }));
    let outcome = world.send(&[(":method", "GET"), (":path", "/orders/2"), ("sec-fetch-mode", "cors")]);
    assert_eq!(outcome.code(), (401, "sign_in_required"));
    assert_eq!(exchanges.count(), 0);
    world.sign_in_again();
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
}

#[test]
fn an_access_token_that_is_no_valid_header_value_gives_a_page() {
    let (mut world, exchanges) = world();
    world.provider.token_response = Box::new(|mut body| {
        body["access_token"] = json!("a b");
        ok(&body)
    });
    world.sign_in("/orders/1");
    assert_refused(&mut world, "/orders/1", 502, "no_access_token");
    assert!(matches!(world.visit("/page"), Outcome::Forwarded { .. }));
    // Later, another sign-in may bring one.
    world.advance(60);
    assert_eq!(world.visit("/orders/1").code(), (302, "sign_in_started"));
    assert_eq!(exchanges.count(), 0);
}

#[test]
fn a_request_refused_by_a_rule_causes_no_exchange() {
    let token = json!({"exchange": {"audience": "orders"}});
    let rule =
        json!([{"path": "/staff/*", "access": "required", "allow": {"groups": ["nobody"]}, "upstream_token": token}]);
    let (mut world, exchanges) = world_with(&[("rules", rule)]);
    world.sign_in("/");
    assert_refused(&mut world, "/staff/x", 403, "not_allowed");
    let token = world.access_token();
    assert_eq!(bring(&mut world, "/staff/1", &token).code(), (403, "not_allowed"));
    world.jar.clear();
    assert_eq!(world.visit("/staff/x").code(), (302, "sign_in_started"));
    assert_eq!(exchanges.count(), 0);
}

#[test]
fn an_ambiguous_path_with_different_upstream_tokens_is_refused() {
    let (mut world, exchanges) = signed_in();
    for path in ["/orders/../stock/x", "/orders//x", "/orders/%2e%2e/x", "/orders;/x"] {
        assert_refused(&mut world, path, 400, "upstream_token_ambiguous");
    }
    let token = world.access_token();
    assert_eq!(bring(&mut world, "/orders;/x", &token).code(), (400, "upstream_token_ambiguous"));
    assert_eq!(exchanges.count(), 0);
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
}

#[test]
fn the_upstream_token_replaces_the_clients_authorization_header() {
    let (mut world, _) = signed_in();
    let forged = ("authorization", "Token forged");
    for (method, path) in [("GET", "/bearer/x;y"), ("GET", "/bearer/;x"), ("TRACE", "/bearer/x"), ("GET", "/bearer//x")]
    {
        let outcome = world.send(&[(":method", method), (":path", path), forged, ("sec-fetch-mode", "cors")]);
        let outcome = world.then(outcome);
        if let Outcome::Forwarded { .. } = outcome {
            assert_eq!(received(&outcome, "authorization"), ["Bearer at.for.orders"], "{method} {path}");
        } else {
            assert_eq!(outcome.code(), (400, "upstream_token_ambiguous"), "{method} {path}");
        }
    }
}

#[test]
fn a_route_policy_sets_the_upstream_token_under_a_locked_rule() {
    let token = json!({"header": "X-Access-Token", "exchange": {"audience": "orders"}});
    let (mut world, exchanges) = world_with(&[
        ("rules", json!([{"prefix": "/", "access": "required", "locked": true}])),
        ("policies", json!({"orders": {"access": "required", "upstream_token": token}})),
        ("route_metadata", json!(true)),
    ]);
    world.sign_in("/");
    let request = page("/page", &cookies(&world)).with_route(RouteMetadata::Policy("orders".to_owned()));
    let step = world.start(request.clone());
    assert_eq!(received(&world.perform(step, &request), "x-access-token"), ["at.for.orders"]);
    assert_eq!(exchanges.count(), 1);
}

#[test]
fn a_session_whose_lifetime_ends_during_its_exchange_does_not_pass() {
    let (mut world, _) = world_with(&[("session", json!({"lifetime_seconds": 60}))]);
    world.sign_in("/");
    world.advance(58);
    let request = page("/orders/1", &cookies(&world));
    let pending = waits(world.start(request.clone()));
    let call = pending.take_calls().pop().unwrap();
    world.advance(2);
    let result = world.answer_call(call.request());
    call.answer(result);
    let step = world.decide(|_| pending.resume());
    assert_eq!(world.perform(step, &request).code(), (401, "sign_in_required"));
}

#[test]
fn tokens_of_api_clients_are_exchanged_where_their_issuer_is_a_provider() {
    let (mut world, exchanges) = world();
    let token = world.access_token();
    for _ in 0..2 {
        let lines = received(&bring(&mut world, "/orders/1", &token), "x-access-token");
        assert!(matches!(&lines[..], [line] if line.starts_with("ey") && line.ends_with(".for.orders")), "{lines:?}");
    }
    assert_eq!(exchanges.count(), 1);
    assert_eq!(exchanges.asked.borrow()[0]["subject_token"], token);
    // A static token means nothing to the provider.
    for path in ["/orders/1", "/own/1"] {
        assert_eq!(bring(&mut world, path, STATIC_TOKEN).code(), (403, "token_not_exchangeable"));
    }
    assert!(matches!(bring(&mut world, "/page", STATIC_TOKEN), Outcome::Forwarded { .. }));
    assert_eq!(exchanges.count(), 1);
    exchanges.refuse(400, r#"{"error":"invalid_request"}"#);
    assert_eq!(bring(&mut world, "/stock/1", &token).code(), (403, "upstream_token_denied"));
}

#[test]
fn an_introspected_token_of_the_provider_is_exchanged_and_one_of_another_issuer_is_not() {
    let issuer = |issuer: &str| {
        json!({"issuer": issuer, "audiences": ["https://api.example.com"],
            "introspection": {"client_id": "gate", "client_secret": "s", "endpoint": format!("{issuer}/introspect")}})
    };
    for (whose, is_exchanged) in [(ISSUER, true), (PARTNERS, false)] {
        let provider = json!({"issuer": ISSUER, "client_id": "client", "client_secret": "secret"});
        let (mut world, exchanges) =
            world_with(&[("providers", json!([provider])), ("token_issuers", json!([issuer(whose)]))]);
        for known in [&mut world.provider, &mut world.partners] {
            known.introspection = Box::new(|_, _| {
                ok(&json!({"active": true, "sub": "robot", "client_id": "robots", "aud": "https://api.example.com"}))
            });
        }
        let outcome = bring(&mut world, "/orders/1", "opaque");
        if is_exchanged {
            assert_eq!(received(&outcome, "x-access-token"), ["opaque.for.orders"]);
        } else {
            assert_eq!(outcome.code(), (403, "token_not_exchangeable"));
        }
        assert_eq!(exchanges.count(), usize::from(is_exchanged));
        // The token itself needs no exchange.
        assert_eq!(received(&bring(&mut world, "/own/1", "opaque"), "x-own"), ["token=opaque;v=1"]);
    }
}

#[test]
fn a_public_client_makes_no_exchange() {
    let provider = json!({"issuer": ISSUER, "client_id": "client", "token_endpoint_auth_method": "none"});
    let (mut world, exchanges) = world_with(&[("providers", json!([provider]))]);
    assert!(
        world.config.warnings.iter().any(|line| line.starts_with("upstream_token: ")),
        "{:?}",
        world.config.warnings
    );
    world.sign_in("/");
    assert_refused(&mut world, "/orders/1", 502, "upstream_token_refused");
    assert_eq!(exchanges.count(), 0);
}

#[test]
fn on_behalf_of_sends_microsofts_parameters() {
    let token = json!({"exchange": {"grant": "on_behalf_of", "scopes": ["api://orders/.default"]}});
    let rules = json!([{"path": "/orders/*", "access": "required", "upstream_token": token}]);
    let (mut world, exchanges) = world_with(&[("rules", rules)]);
    world.sign_in("/");
    exchanges.answer(|_| {
        ok(&json!({"access_token": "obo", "token_type": "Bearer", "expires_in": 3599, "refresh_token": "r"}))
    });
    let outcome = world.visit("/orders/1");
    assert_eq!(received(&world.then(outcome), "authorization"), ["Bearer obo"]);
    let asked = exchanges.asked.borrow()[0].clone();
    let expected = [
        ("assertion", "at"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("requested_token_use", "on_behalf_of"),
        ("scope", "api://orders/.default"),
    ];
    assert_eq!(asked, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    // There, this code is about the request: no sign-in mends it.
    exchanges.refuse(400, r#"{"error":"invalid_request"}"#);
    world.advance(3600);
    world.sign_in_again();
    assert_refused(&mut world, "/orders/2", 502, "upstream_token_refused");
}

#[test]
fn an_exchange_sends_no_dpop_proof() {
    let keys: Vec<Value> = serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap();
    let key = keys.iter().find(|key| key["kty"] == "EC" && key["crv"] == "P-256").unwrap();
    let provider = json!({"issuer": ISSUER, "client_id": "client", "client_secret": "secret",
        "dpop_key": key.to_string()});
    let (mut world, exchanges) = world_with(&[("providers", json!([provider]))]);
    world.provider.token_response = Box::new(|mut body| {
        body["token_type"] = json!("DPoP");
        ok(&body)
    });
    world.sign_in("/");
    assert_eq!(get(&mut world, "/orders/1"), ["at.for.orders"]);
    assert_eq!(exchanges.count(), 1);
}

#[test]
fn an_exchange_failure_is_reported_without_the_token() {
    let error = TokenEndpointError::Malformed("access_token");
    let failure = Failure::UpstreamToken(NoExchange::new(error, ExchangeGrant::TokenExchange));
    assert_eq!(
        failure.to_string(),
        "there is no token for the app (upstream_token): the token response has no usable access_token"
    );
    let (mut world, exchanges) = signed_in();
    exchanges.refuse(502, "");
    let outcome = world.visit("/orders/1");
    let reply = world.then(outcome).reply();
    assert_eq!(header(&reply, "retry-after"), Some("5"));
    exchanges.answer(|_| ok(&json!({"access_token": "secret of the exchange\n", "token_type": "Bearer"})));
    let outcome = world.visit("/stock/1");
    let reply = world.then(outcome).reply();
    let said = String::from_utf8(reply.body).unwrap();
    let said: String = world.events.iter().map(ToString::to_string).chain([said]).collect();
    assert!(!said.contains("secret of the exchange") && said.contains("upstream_token_refused"), "{said}");
}
