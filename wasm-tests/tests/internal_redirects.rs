//! Routes of the real Envoy with an `internal_redirect_policy`: Envoy follows the app's redirect itself, and runs the filter
//! again on what went upstream.

use serde_json::{Value, json};
use wasm_tests::{
    envoy::Setup,
    http1::Response,
    issuer::Issuer,
    keys::sha256,
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{World, assert_refused, assert_sign_in, seen_as},
};

const LISTED: &str = "vst_canary-0123456789abcdef0123456789abcdef";

fn set_up(setup: &mut Setup) {
    setup.workers = 1;
    let digest: String = sha256(LISTED.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    setup.configuration["internal_redirects"] = json!(true);
    setup.configuration["static_tokens"] = json!([{"name": "ci", "sha256": digest}]);
    setup.configuration["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/owners", "access": "required", "allow": {"groups": ["owners"]}},
        {"prefix": "/token", "access": "required", "authorization": "access_token"},
        {"prefix": "/bare", "access": "required", "authorization": "strip"},
    ]);
    setup.connection_manager.insert("route_config".to_owned(), routes(Vec::new()));
}

fn routes(mut routes: Vec<Value>) -> Value {
    routes.push(route("/", Value::Null));
    json!({"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]})
}

/// A route whose redirects Envoy follows, up to three in a row.
fn route(prefix: &str, metadata: Value) -> Value {
    let policy = json!({"max_internal_redirects": 3, "redirect_response_codes": [302, 307]});
    let mut route =
        json!({"match": {"prefix": prefix}, "route": {"cluster": "app", "internal_redirect_policy": policy}});
    if !metadata.is_null() {
        route["metadata"] = json!({"filter_metadata": {"vestibule": metadata}});
    }
    route
}

fn world() -> World {
    World::around(Issuer::start(), set_up)
}

/// A path whose answer redirects to `next`.
fn hop(world: &World, path: &str, next: &str, status: u16) -> String {
    let location = format!("location:{}", world.url(next));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("status", &status.to_string())
        .append_pair("header", &location)
        .finish();
    format!("{path}?{query}")
}

/// The path, user and `Authorization` that the app saw in each pass of a request.
fn seen(world: &World, before: usize) -> Vec<(String, Option<String>, Option<String>)> {
    let requests = world.upstream.seen();
    let passes = requests[before..].iter().map(|request| {
        let cookies = request.headers.all("cookie").concat();
        assert!(!String::from_utf8_lossy(&cookies).contains("__Host-vestibule"), "{request:?}");
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        (path, request.headers.text("x-forwarded-user"), request.headers.text("authorization"))
    });
    passes.collect()
}

fn send(world: &World, browser: &UserAgent, send: Outgoing) -> Response {
    let target = String::from_utf8_lossy(&send.target).into_owned();
    browser.visit(&world.url(&target), send)
}

#[track_caller]
fn assert_app_answered(response: &Response) {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}");
}

#[test]
fn each_pass_of_an_internal_redirect_has_the_session_and_its_own_rule() {
    let world = world();
    let (alice, _) = world.signed_in();
    let before = world.upstream.count();
    let last = hop(&world, "/public/b", "/c", 302);
    let first = hop(&world, "/a", &last, 302);
    let response = send(&world, &alice, Outgoing::navigation(first).header("cookie", "theirs=1"));
    assert_app_answered(&response);
    let as_alice = Some("alice".to_owned());
    assert_eq!(
        seen(&world, before),
        [
            ("/a".into(), as_alice.clone(), None),
            ("/public/b".into(), None, None),
            ("/c".into(), as_alice.clone(), None)
        ]
    );
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user").len(), 1);
    let cookies: Vec<u8> = world.upstream.last().headers.all("cookie").concat();
    assert!(String::from_utf8_lossy(&cookies).contains("theirs=1"), "{cookies:?}");

    // A user who may open the first path needs permission for the second one, too.
    let before = world.upstream.count();
    let response = send(&world, &alice, Outgoing::navigation(hop(&world, "/a", "/owners/x", 302)));
    assert_eq!((response.status, response.code().as_deref()), (403, Some("not_allowed")), "{response:?}");
    assert_eq!(seen(&world, before).len(), 1);
    assert_eq!(seen_as(&world, &Outgoing::navigation("/next"), &alice), as_alice);

    // Without a session: the first is public, the second is not.
    let before = world.upstream.count();
    let visitor = world.browser();
    assert_sign_in(&send(&world, &visitor, Outgoing::navigation(hop(&world, "/public/a", "/b", 302))), &world);
    assert_eq!(seen(&world, before), [("/public/a".into(), None, None)]);
    world.assert_serves();
}

#[test]
fn posts_and_forwarded_tokens_pass_an_internal_redirect() {
    let world = world();
    let (alice, _) = world.signed_in();
    let before = world.upstream.count();
    let post = Outgoing::fetch(hop(&world, "/a", "/b", 307)).method("POST").body("name=value");
    assert_app_answered(&send(&world, &alice, post));
    assert_eq!(seen(&world, before).len(), 2);
    let last = world.upstream.last();
    assert_eq!((last.method.as_str(), last.headers.text("x-forwarded-user")), ("POST", Some("alice".into())));
    assert_eq!(last.body, b"name=value");

    // A token that we hand on is not taken for the client's in the next pass.
    let before = world.upstream.count();
    let through = hop(&world, "/bare/b", "/c", 302);
    let response = send(&world, &alice, Outgoing::navigation(hop(&world, "/token/a", &through, 302)));
    assert_app_answered(&response);
    let passes = seen(&world, before);
    let tokens: Vec<_> = passes.iter().map(|(_, user, token)| (user.as_deref(), token.is_some())).collect();
    assert_eq!(tokens, [(Some("alice"), true), (Some("alice"), false), (Some("alice"), false)], "{passes:?}");

    // A program's own is its own in each.
    let before = world.upstream.count();
    let bearer =
        Outgoing::new("GET", hop(&world, "/bare/a", "/b", 302)).header("authorization", format!("Bearer {LISTED}"));
    assert_app_answered(&send(&world, &world.browser(), bearer));
    let passes = seen(&world, before);
    let of_ci = Some("ci".to_owned());
    assert_eq!(passes[0], ("/bare/a".into(), of_ci.clone(), None));
    assert_eq!(passes[1], ("/b".into(), of_ci, Some(format!("Bearer {LISTED}"))));
    world.assert_serves();
}

#[test]
fn a_client_cannot_forge_an_internal_redirect() {
    let world = World::around(Issuer::start(), |setup| {
        set_up(setup);
        // Envoy then takes the header from any client.
        setup.connection_manager.insert("use_remote_address".to_owned(), json!(false));
    });
    let visitor = world.browser();
    for name in ["x-forwarded-user", "vestibule_credentials", "wasm.vestibule_credentials"] {
        let forged = Outgoing::fetch("/a").header("x-envoy-original-url", world.url("/")).header(name, "alice");
        assert_refused(&world, &forged, &visitor, (401, "sign_in_required"));
    }
    let (alice, _) = world.signed_in();
    let claimed = Outgoing::navigation("/a").header("x-envoy-original-url", world.url("/"));
    assert_eq!(seen_as(&world, &claimed, &alice).as_deref(), Some("alice"));
    // A real redirect of such a request, too.
    let claimed = Outgoing::navigation(hop(&world, "/a", "/b", 302)).header("x-envoy-original-url", "x");
    assert_eq!(seen_as(&world, &claimed, &alice).as_deref(), Some("alice"));
    world.assert_serves();
}

#[test]
fn route_policies_decide_each_pass_of_an_internal_redirect() {
    let world = World::around(Issuer::start(), |setup| {
        set_up(setup);
        setup.configuration["policies"] = json!({
            "people": {"access": "required"},
            "open": {"access": "public"},
            "closed": {"access": "deny"},
        });
        setup.configuration["route_metadata"] = json!(true);
        let named = |prefix: &str, policy: &str| route(prefix, json!({"policy": policy}));
        let all = vec![named("/people", "people"), named("/open", "open"), named("/closed", "closed")];
        setup.connection_manager.insert("route_config".to_owned(), routes(all));
    });
    let (alice, _) = world.signed_in();
    let before = world.upstream.count();
    let through = hop(&world, "/open/b", "/people/c", 302);
    assert_app_answered(&send(&world, &alice, Outgoing::navigation(hop(&world, "/people/a", &through, 302))));
    let users: Vec<_> = seen(&world, before).into_iter().map(|(_, user, _)| user).collect();
    assert_eq!(users, [Some("alice".to_owned()), None, Some("alice".to_owned())]);

    let before = world.upstream.count();
    let response = send(&world, &alice, Outgoing::navigation(hop(&world, "/people/a", "/closed/b", 302)));
    assert_eq!((response.status, response.code().as_deref()), (403, Some("denied")), "{response:?}");
    assert_eq!(seen(&world, before).len(), 1);
    assert_refused(
        &world,
        &Outgoing::fetch("/people/a").header("x-forwarded-user", "a"),
        &alice,
        (400, "reserved_header"),
    );
    world.assert_serves();
}

#[test]
fn a_second_pass_without_internal_redirects_logs_the_setting() {
    let world = World::around(Issuer::start(), |setup| {
        set_up(setup);
        setup.configuration["internal_redirects"] = json!(false);
    });
    let (alice, _) = world.signed_in();
    let before = world.upstream.count();
    for _ in 0..2 {
        assert_sign_in(&send(&world, &alice, Outgoing::navigation(hop(&world, "/a", "/b", 302))), &world);
    }
    assert_eq!(seen(&world, before).len(), 2);
    assert_eq!(world.log().matches("set `internal_redirects: true`").count(), 1, "{}", world.log());
    assert_eq!(world.metric("left_out_redirects"), 2);
    world.assert_serves();
}
