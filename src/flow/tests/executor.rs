//! Flows as futures: how large they are, and what an answer or a drop does to them.

use serde_json::json;

use super::{
    super::{event::failure::Failure, *},
    world::{Outcome, World, access_tokens},
};

/// The largest size of a flow, in bytes: each waiting request holds one.
const MAX_SIZE: usize = 2048;

#[test]
fn the_future_of_a_flow_has_a_bounded_size() {
    let mut world = World::new();
    let mut held = vec![("a sign-in that waits for its provider", world.visit("/page"))];
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    world.provider.rotate();
    let callback = world.signs_in(&reply);
    held.push(("a callback that waits for newer keys", world.visit(&callback)));
    let mut world = World::ready();
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(480);
    held.push(("a session that waits for its renewal", world.visit("/")));
    let mut world = World::with(&{
        let mut document = super::world::document();
        let (name, value) = access_tokens();
        document[name] = value;
        document
    });
    let token = format!("Bearer {}", world.access_token());
    let request = [(":method", "GET"), (":path", "/api"), ("authorization", token.as_str())];
    held.push(("a bearer token that waits for the first keys", world.send(&request)));
    for (what, outcome) in held {
        let Outcome::Held(pending) = outcome else { panic!("{what}: {outcome:?}") };
        assert!(pending.size() <= MAX_SIZE, "{what}: {} bytes", pending.size());
    }
}

#[test]
fn a_nested_state_access_gives_500_and_no_panic() {
    let mut world = World::ready();
    let inner = world.decide(|worker| worker.with(|_| worker.with(|_| ())).unwrap());
    assert!(matches!(inner, Err(Failure::Unreachable(_))));
    let step = world.decide(|worker| {
        let mut step = None;
        worker.with(|_| step = Some(worker.headers_refused())).unwrap();
        step.unwrap()
    });
    assert_eq!((step.status, step.code), (500, "bug"));
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
}

#[test]
fn a_response_for_a_dropped_request_is_ignored() {
    let mut world = World::ready_with(&[("session", json!({ "store": { "cluster": "webdis" } }))]);
    world.sign_in("/");
    let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let lines = [(":method", "GET"), (":path", "/"), ("cookie", cookies.as_str())];
    let request = crate::http::Request::new(lines.map(|(name, value)| (name, value.as_bytes())));
    let Step::Wait(pending) = world.start(request) else { panic!("the store is asked") };
    let call = pending.take_calls().remove(0);
    drop(pending);
    let answer = world.answer_call(call.request());
    world.answer_with(call, answer);
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
}

#[test]
fn a_worker_is_freed_while_its_tasks_are_waiting() {
    let mut world = World::new();
    let calls = world.drive();
    assert!(!calls.is_empty(), "the provider's documents are fetched");
    let worker = Rc::downgrade(&world.workers[0]);
    world.workers[0].drop_tasks();
    drop((calls, world));
    assert!(worker.upgrade().is_none());
}
