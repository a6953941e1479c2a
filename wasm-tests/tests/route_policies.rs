//! Route policies in the real Envoy: a route names a policy in its metadata, locked rules still apply, and a route can
//! disable the filter.

use serde_json::{Value, json};
use wasm_tests::{
    envoy::Setup,
    issuer::{Answer, Endpoint, Fault, Gate, Issuer},
    upstream::Upstream,
    user_agent::{Outgoing, UserAgent},
    world::{World, assert_page, assert_refused, assert_sign_in, seen_as},
};

fn policies() -> Value {
    json!({
        "open": {"access": "public"},
        "news": {"access": "optional"},
        "people": {"access": "required"},
        "admins": {"access": "required", "allow": {"groups": ["admins"]}},
    })
}

/// A route to the app for everything below this, with this under `vestibule` in its metadata.
fn route(prefix: &str, metadata: Value) -> Value {
    json!({
        "name": format!("route of {prefix}"),
        "match": {"prefix": prefix},
        "route": {"cluster": "app"},
        "metadata": {"filter_metadata": {"vestibule": metadata}},
    })
}

fn named(prefix: &str, policy: &str) -> Value {
    route(prefix, json!({"policy": policy}))
}

/// One worker, so that the request after a refusal comes to the worker that refused. Behind these routes comes one for
/// all else, without metadata.
fn world(issuer: Issuer, routes: Vec<Value>, clusters: &[(&str, u16)]) -> World {
    World::around(issuer, |setup| set_up(setup, routes, clusters))
}

fn set_up(setup: &mut Setup, mut routes: Vec<Value>, clusters: &[(&str, u16)]) {
    setup.workers = 1;
    setup.clusters.extend(clusters.iter().map(|(name, port)| ((*name).to_owned(), *port)));
    setup.configuration["policies"] = policies();
    setup.configuration["route_metadata"] = json!(true);
    setup.configuration["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"name": "owners", "prefix": "/owners", "access": "required", "allow": {"groups": ["owners"]}, "locked": true},
        {"name": "staff", "prefix": "/staff", "policy": "people"},
    ]);
    routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": "app"}}));
    // The filter sees the path as the client wrote it.
    setup.connection_manager.insert("normalize_path".to_owned(), json!(false));
    setup.connection_manager.insert("merge_slashes".to_owned(), json!(false));
    setup.connection_manager.insert("path_with_escaped_slashes_action".to_owned(), json!("KEEP_UNCHANGED"));
    let domains = ["127.0.0.1".to_owned(), format!("127.0.0.1:{}", setup.port)];
    let host = json!({"name": "app", "domains": domains, "routes": routes});
    setup.connection_manager.insert("route_config".to_owned(), json!({"virtual_hosts": [host]}));
}

fn with_groups(world: &World, groups: &[&str]) -> UserAgent {
    world.issuer.sign_in_as(json!({"sub": "x", "groups": groups}));
    world.signed_in().0
}

const NO_SESSION: (u16, &str) = (401, "sign_in_required");
const OTHERS: (u16, &str) = (403, "not_allowed");

#[test]
fn the_metadata_of_a_route_names_its_policy_and_locked_rules_hold_beside_it() {
    let routes = vec![
        named("/open", "open"),
        named("/news", "news"),
        named("/admin", "admins"),
        named("/public/admin", "admins"),
        named("/staff/open", "open"),
        named("/owners/open", "open"),
        named("/owners/admin", "admins"),
        json!({
            "match": {"prefix": "/foreign"}, "route": {"cluster": "app"},
            "metadata": {"filter_metadata": {"envoy.lb": {"policy": "open"}, "vestibule.other": {"policy": "open"}}},
        }),
    ];
    let world = world(Issuer::start(), routes, &[]);
    let visitor = world.browser();
    let (admin, owner) = (with_groups(&world, &["admins"]), with_groups(&world, &["owners"]));
    let both = with_groups(&world, &["admins", "owners"]);
    for send in [Outgoing::navigation, Outgoing::fetch] {
        assert_eq!(seen_as(&world, &send("/open/x"), &visitor), None);
        assert_eq!(seen_as(&world, &send("/news/x"), &admin).as_deref(), Some("x"));
        // In place of a rule, whether that allows more or less.
        assert_eq!(seen_as(&world, &send("/staff/open"), &visitor), None);
        for path in ["/admin/x", "/public/admin"] {
            assert_eq!(seen_as(&world, &send(path), &admin).as_deref(), Some("x"));
            assert_refused(&world, &send(path), &owner, OTHERS);
        }
        // And beside one that is locked.
        assert_eq!(seen_as(&world, &send("/owners/open"), &owner).as_deref(), Some("x"));
        assert_refused(&world, &send("/owners/open"), &admin, OTHERS);
        assert_eq!(seen_as(&world, &send("/owners/admin"), &both).as_deref(), Some("x"));
        assert_refused(&world, &send("/owners/admin"), &owner, OTHERS);
        assert_refused(&world, &send("/owners/admin"), &admin, OTHERS);
    }
    for path in ["/admin/x", "/public/admin", "/staff", "/owners/open", "/foreign", "/other"] {
        assert_refused(&world, &Outgoing::fetch(path), &visitor, NO_SESSION);
        assert_sign_in(&world.browser().get(&world.url(path)), &world);
    }
    for by in ["admins", "owners"] {
        assert!(world.log().contains(&format!("may not pass by rule {by:?}")), "{}", world.log());
    }
}

/// Envoy has found the route for the path as it is written; what the app finds may be another route's.
#[test]
fn an_ambiguous_path_must_satisfy_every_rule_and_route_policy() {
    let world = world(Issuer::start(), vec![named("/open", "open"), named("/admin", "admins")], &[]);
    let (admin, owner) = (with_groups(&world, &["admins"]), with_groups(&world, &["owners"]));
    let both = with_groups(&world, &["admins", "owners"]);
    for path in ["/open/../admin", "/open//x", "/open/..;/admin", "/open/%2e%2e/admin", "/open/..%2fowners/x"] {
        assert_refused(&world, &Outgoing::fetch(path), &world.browser(), NO_SESSION);
        assert_refused(&world, &Outgoing::fetch(path), &admin, OTHERS);
        assert_refused(&world, &Outgoing::fetch(path), &owner, OTHERS);
        assert_eq!(seen_as(&world, &Outgoing::fetch(path), &both).as_deref(), Some("x"));
    }
}

#[test]
fn an_ambiguous_host_must_satisfy_every_route_policy() {
    let world = World::around(Issuer::start(), |setup| {
        set_up(setup, Vec::new(), &[]);
        let host =
            |domain: &str, policy: &str| json!({"name": policy, "domains": [domain], "routes": [named("/", policy)]});
        let hosts = json!([host("admin.example.com", "admins"), host("*", "open")]);
        setup.connection_manager.insert("route_config".to_owned(), json!({"virtual_hosts": hosts}));
    });
    let visitor = world.browser();
    let at = |host: &str| Outgoing::fetch("/x").header("host", host);
    for host in ["127.0.0.1", "other.example.com"] {
        assert_eq!(seen_as(&world, &at(host), &visitor), None, "{host}");
    }
    // An app mostly takes all of these for one, and Envoy does not.
    for host in ["admin.example.com", "ADMIN.example.com", "admin.example.com:1", "admin.example.com."] {
        assert_refused(&world, &at(host), &visitor, NO_SESSION);
    }
}

#[test]
fn route_metadata_without_a_known_policy_refuses_every_request() {
    let odd = [
        json!({"policy": "opne"}),
        json!({"policy": ""}),
        json!({"policy": 5}),
        json!({"policy": true}),
        json!({"policy": null}),
        json!({"policy": ["open"]}),
        json!({"policy": {"open": "open"}}),
        json!({"polcy": "open"}),
        json!({"policy": "open", "locked": false}),
        json!({}),
    ];
    let paths: Vec<_> = (0..odd.len()).map(|number| format!("/public/{number}-odd")).collect();
    let routes = paths.iter().zip(odd).map(|(path, metadata)| route(path, metadata)).collect();
    let world = world(Issuer::start(), routes, &[]);
    let (user, _) = world.signed_in();
    for path in &paths {
        for browser in [world.browser(), user.clone()] {
            assert_refused(&world, &Outgoing::fetch(path), &browser, (500, "route_policy"));
            let post = Outgoing::fetch(path).method("POST").body("a");
            assert_refused(&world, &post, &browser, (500, "route_policy"));
            assert_page(&browser.get(&world.url(path)), &[500], path);
        }
        let log = world.log();
        assert!(log.contains(&format!("its route \"route of {path}\"")), "{log}");
    }
    assert!(world.log().contains(r#"names "opne" in its metadata, which is not a policy"#));
    assert!(world.metric("refused_route_policy") >= 60);
}

/// Envoy itself answers there; a refused request does not get that far.
#[test]
fn policies_apply_before_redirects_direct_responses_and_missing_routes() {
    let answer = |path: &str, policy: &str, answer: (&str, Value)| {
        let metadata = json!({"filter_metadata": {"vestibule": {"policy": policy}}});
        json!({"match": {"path": path}, answer.0: answer.1, "metadata": metadata})
    };
    let redirect = || ("redirect", json!({"path_redirect": "/elsewhere"}));
    let direct = || ("direct_response", json!({"status": 418}));
    let routes = vec![
        answer("/open/redirect", "open", redirect()),
        answer("/admin/redirect", "admins", redirect()),
        answer("/open/direct", "open", direct()),
        answer("/admin/direct", "admins", direct()),
        named("/oauth2", "admins"),
    ];
    let world = world(Issuer::start(), routes, &[]);
    let (user, visitor) = (with_groups(&world, &["owners"]), world.browser());
    for (path, status) in [("/open/redirect", 301), ("/open/direct", 418)] {
        assert_eq!(visitor.fetch(&world.url(path)).status, status);
    }
    for path in ["/admin/redirect", "/admin/direct"] {
        assert_refused(&world, &Outgoing::fetch(path), &visitor, NO_SESSION);
        assert_refused(&world, &Outgoing::fetch(path), &user, OTHERS);
    }
    // A request without a route is decided by the rules, and then answered by Envoy with 404.
    let lost = |path: &str| world.send(&Outgoing::fetch(path).header("host", "lost.example")).expect("an answer");
    assert_eq!((lost("/public/x").status, lost("/public/x").code()), (404, None));
    assert_eq!((lost("/admin/x").status, lost("/admin/x").code().as_deref()), (NO_SESSION.0, Some(NO_SESSION.1)));
    // Paths of our own are ours, whatever their route says.
    assert_eq!(user.fetch(&world.url("/oauth2/userinfo")).code().as_deref(), Some("userinfo"));
}

#[test]
fn a_held_request_is_decided_by_the_policy_of_its_route() {
    let (issuer, gate) = (Issuer::start(), Gate::default());
    issuer.misbehave(Fault::Answer(Endpoint::Discovery, Answer::Behind(gate.clone())));
    let world = world(issuer, vec![named("/open", "open"), named("/admin", "admins"), named("/bad", "x")], &[]);
    // Nothing is known yet: only one of these has to wait, for as long as time stands still.
    world.stop_clock();
    let waiting = world.begun(&Outgoing::navigation("/admin/x"));
    world.until_held(1);
    assert_eq!(seen_as(&world, &Outgoing::fetch("/open/x"), &world.browser()), None);
    assert_refused(&world, &Outgoing::fetch("/bad/x"), &world.browser(), (500, "route_policy"));
    world.until_held(1);
    gate.open();
    world.let_clock_go_on();
    assert_sign_in(&world.read(waiting), &world);
}

/// Envoy chooses the route anew once the filter has changed headers: no route answers without its own policy.
#[test]
fn headers_that_the_filter_changes_cannot_select_a_route_policy() {
    let other = Upstream::start();
    let with = |name: &str, route: Value| {
        let mut route = route;
        route["match"]["headers"] = json!([{"name": name, "present_match": true}]);
        route
    };
    let to_other = |prefix: &str, policy: &str| {
        let mut route = named(prefix, policy);
        route["route"]["cluster"] = json!("other");
        route
    };
    let routes = vec![
        // A header of the client would select a route that it must not open ...
        with("x-forwarded-user", named("/taken", "open")),
        to_other("/taken", "admins"),
        // ... a header that the filter sets would select a route that was not decided on ...
        with("x-forwarded-user", to_other("/set", "admins")),
        named("/set", "people"),
        // ... or to an answer of Envoy's own ...
        with("x-forwarded-user", {
            let metadata = json!({"filter_metadata": {"vestibule": {"policy": "admins"}}});
            json!({"match": {"prefix": "/direct"}, "direct_response": {"status": 200}, "metadata": metadata})
        }),
        named("/direct", "people"),
        // ... and so would a cookie that we take out.
        with("cookie", named("/cookie", "open")),
        to_other("/cookie", "admins"),
        // Where both say the same, nothing is wrong.
        with("x-forwarded-user", named("/same", "people")),
        named("/same", "people"),
    ];
    let world = world(Issuer::start(), routes, &[("other", other.port())]);
    let (user, visitor) = (world.signed_in().0, world.browser());
    for name in ["x-forwarded-user", "X-Forwarded-Groups", "x_forwarded_user"] {
        for path in ["/taken/x", "/public/x", "/other"] {
            for browser in [&visitor, &user] {
                let forged = Outgoing::fetch(path).header(name, "mallory");
                assert_refused(&world, &forged, browser, (400, "reserved_header"));
            }
        }
    }
    assert_refused(&world, &Outgoing::fetch("/taken/x"), &visitor, NO_SESSION);
    assert_eq!(other.count(), 0);

    assert_refused(&world, &Outgoing::fetch("/set/x"), &user, (500, "route_policy"));
    assert_refused(&world, &Outgoing::navigation("/set/x"), &user, (500, "route_policy"));
    assert_refused(&world, &Outgoing::fetch("/direct/x"), &user, (500, "route_policy"));
    let cookie = Outgoing::fetch("/cookie/x").header("cookie", "__Host-vestibule-t=1");
    assert_refused(&world, &cookie, &visitor, (500, "route_policy"));
    // It came to the app behind; what that said did not come out.
    assert_eq!(other.count(), 3);
    assert!(
        world.log().contains("was chosen after the request had passed on a route with other metadata"),
        "{}",
        world.log()
    );
    assert_eq!(seen_as(&world, &Outgoing::fetch("/same/x"), &user).as_deref(), Some("alice"));
}

#[test]
fn a_route_that_disables_the_filter_needs_no_policy() {
    const OFF: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
    let mut off = named("/healthz", "admins");
    off["typed_per_filter_config"] = json!({"vestibule": {"@type": OFF, "disabled": true}});
    let world = world(Issuer::start(), vec![off], &[]);
    let forged = Outgoing::fetch("/healthz").header("x-forwarded-user", "mallory");
    assert_eq!(seen_as(&world, &forged, &world.browser()).as_deref(), Some("mallory"));
    assert_refused(&world, &Outgoing::fetch("/other"), &world.browser(), NO_SESSION);
}

#[test]
fn identity_headers_removed_before_routing_select_no_route() {
    const EARLY: &str =
        "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
    let mut forged = named("/x", "open");
    forged["match"]["headers"] = json!([{"name": "x-forwarded-user", "present_match": true}]);
    let mutation = json!({"@type": EARLY, "mutations": [{"remove": "x-forwarded-user"}]});
    let early = json!([{"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": mutation}]);
    let world = World::around(Issuer::start(), |setup| {
        set_up(setup, vec![forged, named("/x", "people")], &[]);
        setup.connection_manager.insert("early_header_mutation_extensions".to_owned(), early);
    });
    let send = Outgoing::fetch("/x").header("x-forwarded-user", "mallory");
    assert_refused(&world, &send, &world.browser(), NO_SESSION);
    // Nor are they refused: there are none when the filter looks.
    let elsewhere = Outgoing::fetch("/other").header("x-forwarded-user", "mallory");
    assert_eq!(seen_as(&world, &elsewhere, &world.signed_in().0).as_deref(), Some("alice"));
}
