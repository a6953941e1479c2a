//! The provider's calls carry the trace of the request that they are made for; calls of the worker itself carry none.

use std::{cell::RefCell, rc::Rc};

use serde_json::json;

use super::world::{Outcome, World, access_tokens, document, ok};

const PARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
const STATE: (&str, &str) = ("tracestate", "vendor=1");
const BAGGAGE: (&str, &str) = ("baggage", "user=alice");

/// The calls of a world: the path, and the headers of a trace.
type Calls = Rc<RefCell<Vec<(String, Vec<(&'static str, String)>)>>>;

fn observe(world: &mut World) -> Calls {
    let calls = Calls::default();
    let noted = Rc::clone(&calls);
    world.provider.before = Some(Box::new(move |request| {
        let is_of_trace =
            |name: &str| name.starts_with("trace") || name.starts_with("x-b3") || name == "b3" || name == "baggage";
        let trace = request.headers.iter().filter(|(name, _)| is_of_trace(name)).cloned().collect();
        noted.borrow_mut().push((request.path.clone(), trace));
        None
    }));
    calls
}

fn opens(world: &mut World, target: &str, trace: &[(&str, &str)]) -> Outcome {
    let mut headers =
        vec![(":method", "GET"), (":path", target), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];
    headers.extend(trace);
    let outcome = world.send(&headers);
    world.then(outcome)
}

#[test]
fn the_calls_of_a_sign_in_and_a_refresh_are_part_of_the_trace() {
    let mut document = document();
    document["sign_out"] = json!({ "revoke": true });
    let mut world = World::with(&document);
    let calls = observe(&mut world);
    world.settle();
    assert!(calls.borrow().len() >= 2 && calls.borrow().iter().all(|(_, trace)| trace.is_empty()), "{calls:?}");
    calls.take();
    world.provider.refreshes = true;
    let expected = |path: &str| {
        let trace = [STATE, PARENT].map(|(name, value)| (name, value.to_owned())).to_vec();
        vec![(path.to_owned(), trace)]
    };

    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(opens(&mut world, &callback, &[PARENT, STATE, BAGGAGE]).code(), (303, "signed_in"));
    assert_eq!(calls.take(), expected("/token"));

    // Also from the task that renews the session, in which there is no request any more.
    world.advance(480);
    assert!(matches!(opens(&mut world, "/", &[PARENT, STATE, BAGGAGE]), Outcome::Forwarded { .. }));
    assert_eq!(calls.take(), expected("/token"));
    world.advance(480);
    assert!(matches!(opens(&mut world, "/", &[]), Outcome::Forwarded { .. }));
    // The keys are due, too.
    let (of_worker, of_request): (Vec<_>, Vec<_>) = calls.take().into_iter().partition(|(path, _)| path == "/jwks");
    assert_eq!(of_request, [("/token".to_owned(), Vec::new())]);
    assert!(of_worker.iter().all(|(_, trace)| trace.is_empty()), "{of_worker:?}");

    // The revocation of a sign-out goes on without its request.
    let sign_out = [PARENT, STATE, ("sec-fetch-dest", "document"), ("sec-fetch-site", "none")];
    opens(&mut world, "/oauth2/sign_out", &sign_out).reply();
    world.settle();
    assert_eq!(calls.take(), expected("/revoke"));
}

#[test]
fn a_malformed_trace_header_is_not_propagated() {
    let mut world = World::ready();
    let calls = observe(&mut world);
    for trace in [
        &[("traceparent", "00-x"), STATE][..],
        &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx: y")],
        &[("b3", "drop table")],
        &[BAGGAGE],
    ] {
        world.jar.clear();
        let reply = world.visit("/").reply();
        let callback = world.signs_in(&reply);
        assert_eq!(opens(&mut world, &callback, trace).code(), (303, "signed_in"));
        assert_eq!(calls.take(), [("/token".to_owned(), Vec::new())], "{trace:?}");
    }
}

#[test]
fn a_key_fetch_carries_no_trace_of_the_request_that_caused_it() {
    let mut world = World::ready_with(&[access_tokens()]);
    world.provider.introspection = Box::new(|_, _| ok(&json!({ "active": false })));
    world.provider.rotate();
    let calls = observe(&mut world);
    let token = world.access_token_with(&json!({}));
    let token = format!("Bearer {token}");
    let headers = [(":method", "GET"), (":path", "/"), ("authorization", token.as_str()), PARENT];
    let outcome = world.send(&headers);
    world.then(outcome);
    let calls = calls.take();
    assert!(calls.iter().all(|(path, trace)| path == "/jwks" && trace.is_empty()), "{calls:?}");
}
