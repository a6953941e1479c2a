//! Authorization in the real Envoy: which requests each rule lets pass, how the others are refused, and that a refused
//! request reaches no app and harms no worker.

use serde_json::{Value, json};
use wasm_tests::{
    browser::{place, text, walk},
    issuer::{Issuer, RefreshTokens},
    provider::many_groups,
    site::{ALICE, BIG, Site},
    user_agent::{Outgoing, UserAgent},
    world::{SESSION_COOKIE, World, assert_page, assert_refused, assert_sign_in, kept_cookies, seen_as},
};

const BOB: (&str, &str) = ("bob", "bob-password");

/// One worker, so that the request after a refusal comes to the worker that refused.
fn world(rules: Value) -> World {
    World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.configuration["rules"] = rules;
    })
}

fn modes() -> Value {
    json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/news", "access": "optional"},
        {"name": "closed", "regex": "/(metrics|debug)(/.*)?", "access": "deny"},
        {"name": "probe", "path": "/probe", "headers": {"x-probe": "yes"}, "access": "public"},
        {"prefix": "/api", "access": "required", "unauthenticated": 401},
        {"prefix": "/old", "access": "required", "unauthenticated": "redirect"},
    ])
}

fn areas() -> Value {
    json!([
        {"prefix": "/public", "access": "public"},
        {"path": "/evaluate/v1/*", "access": "public"},
        {"name": "admins", "prefix": "/admin", "access": "required", "allow": {"groups": ["admins"]}},
        {"name": "staff", "access": "required", "allow": {
            "any": [{"groups": ["staff", "admins"]}, {"allowed_domains": ["staff.example"]}],
        }},
    ])
}

#[test]
fn each_access_mode_decides_every_kind_of_request() {
    let world = world(modes());
    let visitor = || world.browser();
    let (user, _) = world.signed_in();
    for path in ["/public/x", "/news/x"] {
        for send in [Outgoing::navigation(path), Outgoing::fetch(path), Outgoing::fetch(path).method("POST").body("a")]
        {
            let forged = send.clone().header("x-forwarded-user", "mallory").header("X_Forwarded_User", "mallory");
            assert_eq!(seen_as(&world, &forged, &visitor()), None, "{path}");
            let expected = path.starts_with("/news").then_some("alice".to_owned());
            assert_eq!(seen_as(&world, &send, &user), expected, "{path}");
        }
    }
    for path in ["/api/x", "/old/x", "/other"] {
        assert_eq!(seen_as(&world, &Outgoing::fetch(path), &user).as_deref(), Some("alice"), "{path}");
    }
    for browser in [visitor(), user.clone()] {
        for path in ["/metrics", "/metrics/", "/debug/pprof?x=/public/"] {
            let page = assert_refused(&world, &Outgoing::navigation(path), &browser, (403, "denied"));
            assert_page(&page, &[403], path);
            let script = assert_refused(&world, &Outgoing::fetch(path), &browser, (403, "denied"));
            let body: Value = serde_json::from_slice(&script.body).expect("JSON");
            assert_eq!(body["code"], "denied");
            let preflight = Outgoing::new("OPTIONS", path)
                .header("origin", "https://a.example")
                .header("access-control-request-method", "PUT");
            assert_refused(&world, &preflight, &browser, (403, "denied"));
            let bearer = Outgoing::fetch(path).header("authorization", "Bearer x");
            assert_refused(&world, &bearer, &browser, (403, "denied"));
            let head = Outgoing::navigation(path).method("HEAD");
            assert_refused(&world, &head, &browser, (403, "denied"));
            let grpc = Outgoing::new("POST", path).header("content-type", "application/grpc").header("te", "trailers");
            let response = browser.visit(&world.url(path), grpc);
            // As gRPC says it: PERMISSION_DENIED.
            assert_eq!((response.status, response.headers.text("grpc-status").as_deref()), (200, Some("7")));
        }
    }
    assert!(world.log().contains(r#"rule "closed" denies all requests"#), "{}", world.log());
    assert!(world.metric("refused_denied") >= 30);

    let page = assert_refused(&world, &Outgoing::navigation("/api/x"), &visitor(), (401, "sign_in_required"));
    assert_page(&page, &[401], "a page without a redirect to sign in");
    assert_refused(&world, &Outgoing::fetch("/api/x"), &visitor(), (401, "sign_in_required"));
    assert_sign_in(&visitor().get(&world.url("/other")), &world);
    assert_refused(&world, &Outgoing::fetch("/other"), &visitor(), (401, "sign_in_required"));
    assert_sign_in(&visitor().fetch(&world.url("/old/x")), &world);
    let post = Outgoing::fetch("/old/x").method("POST").body("a=b");
    assert_refused(&world, &post, &visitor(), (401, "sign_in_required"));
    for path in ["/news/x", "/api/x", "/old/x"] {
        let bearer = Outgoing::fetch(path).header("authorization", "Bearer x");
        assert_refused(&world, &bearer, &user, (401, "bearer_not_accepted"));
    }
}

#[test]
fn a_header_rule_matches_only_an_unambiguous_header() {
    let world = world(modes());
    let probe = || Outgoing::fetch("/probe");
    assert_eq!(seen_as(&world, &probe().header("X-Probe", "yes"), &world.browser()), None);
    for send in [
        probe(),
        probe().header("x-probe", "no"),
        probe().header("x-probe", "yes, no"),
        probe().header("x-probe", "yes").header("x-probe", "yes"),
        probe().header("x_probe", "yes"),
        Outgoing::fetch("/probe/x").header("x-probe", "yes"),
    ] {
        assert_refused(&world, &send, &world.browser(), (401, "sign_in_required"));
    }
}

#[test]
fn conditions_admit_staff_and_admins_by_their_claims() {
    let world = world(areas());
    let person = |claims: Value| {
        world.issuer.sign_in_as(claims);
        world.signed_in().0
    };
    let verified = |email: &str, is_verified: bool| json!({"sub": "x", "email": email, "email_verified": is_verified});
    let people: [(&str, Value, bool, bool); 9] = [
        ("an admin", json!({"sub": "x", "groups": ["admins"]}), true, true),
        ("of the staff", json!({"sub": "x", "groups": ["other", "staff"]}), false, true),
        ("one group as text", json!({"sub": "x", "groups": "admins"}), true, true),
        (
            "something like it",
            json!({"sub": "x", "groups": ["admin", "Admins", "admins,staff", ["admins"]]}),
            false,
            false,
        ),
        ("without any claim of a rule", json!({"sub": "x"}), false, false),
        ("by domain", verified("a@staff.example", true), false, true),
        ("unverified", verified("a@staff.example", false), false, false),
        ("of another domain", verified("a@staff.example.evil.example", true), false, false),
        ("two domains", verified("a@evil.example@staff.example", true), false, false),
    ];
    for (who, claims, is_admin, is_staff) in people {
        let browser = person(claims);
        let session = browser.session_cookies();
        for (path, may_pass) in [("/admin", is_admin), ("/admin/x?y", is_admin), ("/x", is_staff)] {
            for send in [Outgoing::navigation(path), Outgoing::fetch(path), Outgoing::fetch(path).method("DELETE")] {
                if may_pass {
                    assert_eq!(seen_as(&world, &send, &browser).as_deref(), Some("x"), "{who} {path}");
                } else {
                    let response = assert_refused(&world, &send, &browser, (403, "not_allowed"));
                    // Neither signed out, nor sent away.
                    assert_eq!((response.set_cookies(), response.location()), (Vec::<String>::new(), None), "{who}");
                }
            }
        }
        assert_eq!(seen_as(&world, &Outgoing::fetch("/evaluate/v1/boolean"), &browser), None, "{who}");
        assert_eq!(browser.session_cookies().len(), session.len());
        // A path that may be any of these is held to all of them.
        let odd = Outgoing::fetch("/evaluate/v1/admin;x");
        if is_admin {
            assert_eq!(seen_as(&world, &odd, &browser).as_deref(), Some("x"), "{who}");
        } else {
            assert_refused(&world, &odd, &browser, (403, "not_allowed"));
        }
    }
    for (rule, log) in [("admins", world.log()), ("staff", world.log())] {
        assert!(log.contains(&format!("the user or client may not pass by rule {rule:?}")), "{log}");
    }

    let left_out = json!({"sub": "x", "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://g.example"}}});
    for overage in [left_out, json!({"sub": "x", "hasgroups": true})] {
        let browser = person(overage);
        assert_refused(&world, &Outgoing::navigation("/admin"), &browser, (403, "groups_left_out"));
        assert_refused(&world, &Outgoing::fetch("/x"), &browser, (403, "groups_left_out"));
    }
}

#[test]
fn a_claim_removed_by_a_renewal_no_longer_admits_the_user() {
    let world = world(areas());
    world.issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        terms.expires_in = Some(json!(60));
    });
    world.issuer.sign_in_as(json!({"sub": "x", "groups": ["admins"]}));
    let (browser, _) = world.signed_in();
    assert_eq!(seen_as(&world, &Outgoing::fetch("/admin"), &browser).as_deref(), Some("x"));
    world.issuer.sign_in_as(json!({"sub": "x", "groups": ["staff"]}));
    world.advance(61);
    // The script that is refused brings the browser its new session.
    let refused = assert_refused(&world, &Outgoing::fetch("/admin"), &browser, (403, "not_allowed"));
    assert_eq!(kept_cookies(&refused), [SESSION_COOKIE]);
    browser.fetch(&world.url("/x"));
    assert_refused(&world, &Outgoing::navigation("/admin"), &browser, (403, "not_allowed"));
    assert_eq!(seen_as(&world, &Outgoing::fetch("/x"), &browser).as_deref(), Some("x"));
    assert_eq!(world.metric("renewed"), 1);
}

#[test]
fn the_log_names_ineffective_rules_at_start() {
    let world = world(json!([
        {"prefix": "/public", "access": "public"},
        {"name": "late", "path": "/public/admin/*", "access": "deny"},
        {"name": "forged", "headers": {"x-internal": "*"}, "access": "public"},
    ]));
    let log = world.envoy.log();
    for expected in [
        "rules[1] (late) can never match: rules[0] comes first and matches all that it does",
        "rules[2] (forged) makes everything public to any client that sends these headers",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    // And so they are.
    assert_eq!(seen_as(&world, &Outgoing::fetch("/public/admin/x"), &world.browser()), None);
    assert_eq!(seen_as(&world, &Outgoing::fetch("/x").header("x-internal", "1"), &world.browser()), None);
}

#[test]
fn a_route_can_disable_the_filter() {
    const OFF: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        let to_app = json!({"cluster": "app"});
        let off = json!({"vestibule": {"@type": OFF, "disabled": true}});
        setup.connection_manager.insert(
            "route_config".to_owned(),
            json!({"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": [
                {"match": {"prefix": "/healthz"}, "route": to_app, "typed_per_filter_config": off},
                {"match": {"prefix": "/"}, "route": to_app},
            ]}]}),
        );
    });
    for send in [Outgoing::navigation("/healthz"), Outgoing::fetch("/healthz").method("POST").body("a")] {
        // The filter does not run there, so that forged headers are not removed.
        let forged = send.header("x-forwarded-user", "mallory");
        assert_eq!(seen_as(&world, &forged, &world.browser()).as_deref(), Some("mallory"));
    }
    assert_refused(&world, &Outgoing::fetch("/other"), &world.browser(), (401, "sign_in_required"));
    assert_sign_in(&world.browser().get(&world.url("/other")), &world);
    let (browser, _) = world.signed_in();
    assert_eq!(seen_as(&world, &Outgoing::fetch("/other"), &browser).as_deref(), Some("alice"));
}

fn site() -> Site {
    Site::with(|plan| plan.setup.configuration["rules"] = areas())
}

#[test]
fn a_refused_user_signs_in_with_another_account() {
    let site = site();
    let target = "/admin/users?page=2&q=a%20b";
    let [_, staff, script, refused, again, asked, arrived] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/staff")]),
            json!(["sign_in", BOB.0, BOB.1]),
            json!(["fetch", site.url("/admin/api"), {"headers": {"accept": "application/json"}}]),
            json!(["open", site.url(target)]),
            json!(["reload"]),
            json!(["click", "a.button"]),
            json!(["sign_in", ALICE.0, ALICE.1]),
        ],
    );
    for seen in [&refused, &again] {
        assert_eq!((place(seen), text(seen, "title")), (site.url(target), "You may not open this page"), "{seen:#}");
        let page = text(seen, "text");
        assert!(page.contains("Use another account") && page.contains("not_allowed"), "{seen:#}");
        assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    }
    // A page, not a way to the provider and back.
    assert_eq!(again["navigations"].as_array().map(Vec::len), Some(1), "{again:#}");
    assert_eq!(script["answer"]["status"], 403, "{script:#}");
    assert!(text(&script["answer"], "text").contains("not_allowed"), "{script:#}");

    // The provider knows bob, and asks all the same.
    assert_eq!(text(&asked, "origin"), site.provider.issuer(), "{asked:#}");
    assert_eq!((place(&arrived), text(&arrived, "text")), (site.url(target), "hello from the app"), "{arrived:#}");
    assert_eq!(text(&staff, "text"), "hello from the app", "{staff:#}");
    let seen = site.app.seen();
    let pages = seen.iter().filter(|request| !request.target.contains("favicon"));
    let user = |name: &str| Some(name.to_owned());
    assert_eq!(
        pages.map(|page| (page.target.as_str(), page.headers.text("x-forwarded-user"))).collect::<Vec<_>>(),
        [("/staff", user("bob")), (target, user("alice"))]
    );
}

#[test]
fn a_user_in_four_hundred_groups_may_pass_by_any_of_them() {
    let groups = many_groups();
    let site = Site::with(|plan| {
        plan.setup.configuration["rules"] = json!([
            {"path": "/last", "access": "required", "allow": {"groups": [groups[399]]}},
            {"path": "/none", "access": "required", "allow": {"groups": [&groups[0][1..]]}},
        ]);
    });
    let browser = UserAgent::default();
    let (url, page) = site.sign_in_as(BIG, &browser, "/last");
    assert_eq!((url, page.status), (site.url("/last"), 200), "{page:?}\n{}", site.envoy.log());
    let refused = browser.get(&site.url("/none"));
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("not_allowed")));
    assert_eq!(site.app.last().target, "/last");
}
