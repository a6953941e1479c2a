//! Rules look at the normalised path only, and a path that could be read in two ways is protected.

use serde_json::{Value, json};
use wasm_tests::{
    issuer::Issuer,
    upstream::MARK,
    user_agent::Outgoing,
    world::{World, assert_unauthenticated},
};

/// Envoy as it is without any hardening: the filter sees the path as the client wrote it.
fn plain_envoy(rules: Value) -> World {
    World::around(Issuer::start(), |setup| {
        setup.configuration["rules"] = rules;
        for (field, value) in [
            ("normalize_path", json!(false)),
            ("merge_slashes", json!(false)),
            ("path_with_escaped_slashes_action", json!("KEEP_UNCHANGED")),
        ] {
            setup.connection_manager.insert(field.to_owned(), value);
        }
    })
}

#[track_caller]
fn assert_public(world: &World, request: &Outgoing, what: &str) {
    let response = world.send(request).unwrap_or_else(|| panic!("{what}: no answer"));
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{what}: {response:?}");
}

#[track_caller]
fn assert_protected(world: &World, request: &Outgoing, what: &str) {
    let before = world.upstream.count();
    if let Some(response) = world.send(request) {
        let status = response.status;
        assert!(matches!(status, 302 | 400 | 401 | 404), "{what}: {response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, what);
}

#[test]
fn a_public_prefix_matches_whole_segments_and_no_dot_segments() {
    let world = plain_envoy(json!([{"prefix": "/public", "access": "public"}]));
    for path in
        ["/public", "/public/", "/public/x", "/public/x?y=/../", "/public?x", "/public/a.b/c..d", "/public/a%20b"]
    {
        assert_public(&world, &Outgoing::navigation(path), path);
    }
    for path in [
        "/",
        "/publicity",
        "/PUBLIC/x",
        "/public.html",
        "/admin?path=/public/x",
        "/admin?/public",
        "/admin;/public/x",
        "/public/../admin",
        "/public/..",
        "/public/./../admin",
        "/public/x/../../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2e/admin",
        "/public/.%2e/admin",
        "/public/%252e%252e/admin",
        "/public/..%2fadmin",
        "/public/..%5cadmin",
        "/public%2f..%2fadmin",
        "/public\\..\\admin",
        "/public/..\\admin",
        "/public/..;/admin",
        "/public/..;x=1/admin",
        "//public/x",
        "/public//../admin",
        "/./public/x",
        "/x/../public/x",
        "/%70ublic/x",
        "/public%00/x",
        "/public/%00/../../admin",
        "/public/x%23/../../admin",
        "/admin#/public/x",
        "/admin%23/public/x",
        "/admin%3f/public/x",
        "http://127.0.0.1/admin",
        "*",
        "public/x",
    ] {
        assert_protected(&world, &Outgoing::navigation(path), path);
        assert_protected(&world, &Outgoing::fetch(path), path);
        assert_protected(&world, &Outgoing::fetch(path).method("POST").body("a=1"), path);
    }
}

#[test]
fn the_query_and_path_headers_do_not_affect_rules() {
    let world = World::with(|document| {
        document["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"regex": "/r/[0-9]+/view", "access": "public"},
            {"path": "/evaluate/*/flag", "access": "public"},
        ]);
    });
    for path in ["/r/7/view", "/r/7/view?x", "/evaluate/v1/flag"] {
        assert_public(&world, &Outgoing::fetch(path), path);
    }
    for path in [
        "/x/r/7/view",
        "/r/7/view/x",
        "/r/7/viewx",
        "/r/x/view",
        "/admin?/r/7/view",
        "/evaluate/v1",
        "/evaluate/v1/a/flag",
        "/evaluate/v1x",
        "/evaluateXv1/flag",
        "/evaluate/v1/flag/x",
    ] {
        assert_protected(&world, &Outgoing::fetch(path), path);
    }
    for (name, value) in [
        ("x-forwarded-uri", "/public/x"),
        ("x-original-url", "/public/x"),
        ("x-rewrite-url", "/public/x"),
        ("x-envoy-original-path", "/public/x"),
        ("x-forwarded-prefix", "/public"),
        ("x-forwarded-host", "127.0.0.1"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-http-method-override", "OPTIONS"),
        ("user-agent", "GoogleHC/1.0"),
        ("user-agent", "kube-probe/1.30"),
    ] {
        assert_protected(&world, &Outgoing::fetch("/admin").header(name, value), name);
    }
}

#[test]
fn methods_and_hosts_narrow_a_rule_and_the_first_match_wins() {
    let world = World::with(|document| {
        document["rules"] = json!([
            {"path": "/public/secret", "access": "required"},
            {"prefix": "/public", "access": "public"},
            {"path": "/submit", "methods": ["GET"], "access": "public"},
            {"prefix": "/open", "hosts": ["open.example.com", "*.wild.example.com"], "access": "public"},
        ]);
    });
    assert_protected(&world, &Outgoing::fetch("/public/secret"), "the first match");
    assert_public(&world, &Outgoing::fetch("/public/secrets"), "the second rule");
    assert_public(&world, &Outgoing::fetch("/submit"), "GET");
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get", "Get"] {
        assert_protected(&world, &Outgoing::fetch("/submit").method(method), method);
    }
    for host in ["open.example.com", "OPEN.example.com", "a.wild.example.com"] {
        assert_public(&world, &Outgoing::fetch("/open/x").header("host", host), host);
    }
    for host in [
        "other.example.com",
        "xopen.example.com",
        "open.example.com.evil.example",
        "openxexample.com",
        "wild.example.com",
        "awild.example.com",
        "a.wild.example.com.evil.example",
    ] {
        assert_protected(&world, &Outgoing::fetch("/open/x").header("host", host), host);
    }
    let two_hosts = Outgoing::fetch("/open/x").header("host", "evil.example").header("host", "open.example.com");
    assert_protected(&world, &two_hosts, "two hosts");
    assert_unauthenticated(&world.browser().fetch(&world.url("/open/x")), "another host");
}

#[test]
fn a_host_that_envoy_may_route_elsewhere_is_not_public() {
    let world = World::with(|document| {
        document["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"hosts": ["public.example.com"], "prefix": "/", "access": "public"},
        ]);
    });
    let at = |host: &str| Outgoing::navigation("/secret").header("host", host);
    let port = world.envoy.port();
    for host in ["public.example.com", "PUBLIC.example.com", &format!("public.example.com:{port}")] {
        assert_public(&world, &at(host), host);
    }
    for host in [
        "public.example.com:1",
        "public.example.com:443",
        "public.example.com.",
        "public.example.com.:1",
        "evil.example",
    ] {
        assert_protected(&world, &at(host), host);
    }
}
