//! Authorization: access modes and conditions of rules, and the answers to refused requests.

use serde_json::{Map, Value, json};

use super::{
    super::{
        event::{Event, Reason},
        *,
    },
    world::{APP, Outcome, World, header, location, query_of},
};

type Change = Box<dyn Fn(&mut Map<String, Value>)>;

/// Sets these claims of an ID token; null removes a claim.
fn claiming(claims: Value) -> Change {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Box::new(move |token| {
        for (name, value) in &claims {
            if value.is_null() {
                token.shift_remove(name);
            } else {
                token.insert(name.clone(), value.clone());
            }
        }
    })
}

fn world(rules: Value) -> World {
    World::ready_with(&[("rules", rules)])
}

/// A world with a signed-in user in the groups `staff` and `admins`.
fn signed_in(rules: Value) -> World {
    let mut world = world(rules);
    world.sign_in("/oauth2/start?rd=/");
    world
}

fn fetch(target: &str) -> [(&str, &str); 3] {
    [(":method", "GET"), (":path", target), ("sec-fetch-mode", "cors")]
}

/// The user in `X-Forwarded-User` of a forwarded request.
fn user(outcome: &Outcome) -> Option<&str> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(name, value)| (name == "x-forwarded-user").then_some(value.as_str()))
}

fn reason(outcome: &Outcome) -> Reason {
    let Outcome::Forwarded { reason, .. } = outcome else { panic!("{outcome:?}") };
    *reason
}

fn page(reply: &LocalReply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

/// The lines of the log about refusals.
fn refusals(world: &World) -> Vec<String> {
    let refused = world.events.iter().filter(|event| matches!(event, Event::Refused { .. }));
    refused.map(ToString::to_string).collect()
}

fn modes() -> Value {
    json!([
        { "path": "/public/*", "access": "public" },
        { "path": "/news/*", "access": "optional" },
        { "name": "closed", "prefix": "/internal", "access": "deny" },
        { "path": "/api/*", "access": "required", "unauthenticated": "401" },
        { "path": "/old/*", "access": "required", "unauthenticated": "redirect" },
        { "access": "required" },
    ])
}

#[test]
fn each_access_mode_decides_requests_with_and_without_a_session() {
    let mut nobody = world(modes());
    for (path, page, program) in [
        ("/internal/x", (403, "denied"), (403, "denied")),
        ("/api/x", (401, "sign_in_required"), (401, "sign_in_required")),
        ("/old/x", (302, "sign_in_started"), (302, "sign_in_started")),
        ("/other", (302, "sign_in_started"), (401, "sign_in_required")),
    ] {
        nobody.jar.clear();
        assert_eq!(nobody.visit(path).code(), page, "{path}");
        assert_eq!(nobody.send(&fetch(path)).code(), program, "{path}");
    }
    let mut somebody = signed_in(modes());
    for (path, of_nobody, of_somebody) in [
        ("/public/x", Some(Reason::Public), (Reason::Public, None)),
        ("/news/x", Some(Reason::Public), (Reason::Session, Some("alice"))),
        ("/api/x", None, (Reason::Session, Some("alice"))),
        ("/old/x", None, (Reason::Session, Some("alice"))),
        ("/other", None, (Reason::Session, Some("alice"))),
    ] {
        for request in [fetch(path).as_slice(), &[(":method", "POST"), (":path", path)]] {
            if let Some(expected) = of_nobody {
                nobody.jar.clear();
                let seen = nobody.send(request);
                assert_eq!((reason(&seen), user(&seen)), (expected, None), "{path}");
            }
            let seen = somebody.send(request);
            assert_eq!((reason(&seen), user(&seen)), of_somebody, "{path}");
        }
    }
    assert_eq!(somebody.visit("/internal").code(), (403, "denied"));
}

#[test]
fn a_deny_rule_refuses_every_kind_of_request() {
    let mut world = signed_in(modes());
    let preflight =
        [("origin", "https://a.example"), ("access-control-request-method", "PUT"), ("x-request-id", "r-1")];
    let requests: [(&str, &[(&str, &str)]); 5] = [
        ("GET", &[("accept", "text/html")]),
        ("HEAD", &[("accept", "text/html")]),
        ("POST", &[("content-type", "application/json")]),
        ("OPTIONS", &preflight),
        ("GET", &[("authorization", "Bearer x")]),
    ];
    for (method, headers) in requests {
        let mut all = vec![(":method", method), (":path", "/internal/metrics")];
        all.extend(headers);
        let reply = world.send(&all).reply();
        assert_eq!((reply.status, reply.code), (403, "denied"), "{method}");
        assert!(reply.headers.iter().all(|(name, _)| !matches!(*name, "set-cookie" | "www-authenticate" | "location")));
    }
    let log = refusals(&world);
    assert_eq!(log[3], r#"refused a request (denied): rule "closed" denies all requests; request r-1"#);
    assert_eq!(world.provider.asked["/token"], 1);
}

#[test]
fn conditions_decide_by_the_claims_of_the_user() {
    let cases: [(&str, Value, Value, bool); 30] = [
        ("email", json!({ "emails": ["Alice@example.com"] }), json!({}), true),
        ("another email", json!({ "emails": ["bob@example.com"] }), json!({}), false),
        ("unverified email", json!({ "emails": ["alice@example.com"] }), json!({ "email_verified": false }), false),
        ("nobody vouches", json!({ "emails": ["alice@example.com"] }), json!({ "email_verified": null }), false),
        ("no email", json!({ "emails": ["alice@example.com"] }), json!({ "email": null }), false),
        ("expression", json!({ "email_matches": ["a.*@example\\.com"] }), json!({}), true),
        ("expression in another case", json!({ "email_matches": ["A.*@EXAMPLE\\.com"] }), json!({}), true),
        (
            "address in another case",
            json!({ "email_matches": ["alice@example\\.com"] }),
            json!({ "email": "ALICE@Example.COM" }),
            true,
        ),
        (
            "class in another case",
            json!({ "not": { "email_matches": ["[a-c]+@.*"] } }),
            json!({ "email": "ABBA@example.com" }),
            false,
        ),
        ("part of an expression", json!({ "email_matches": ["lice@example\\.com"] }), json!({}), false),
        ("domain", json!({ "allowed_domains": ["example.org", "example.com"] }), json!({}), true),
        ("subdomain", json!({ "allowed_domains": ["example.com"] }), json!({ "email": "a@b.example.com" }), false),
        ("two at", json!({ "allowed_domains": ["example.com"] }), json!({ "email": "a@evil@example.com" }), false),
        ("group", json!({ "groups": ["x", "admins"] }), json!({}), true),
        ("another group", json!({ "groups": ["admin"] }), json!({}), false),
        ("no groups", json!({ "groups": ["admins"] }), json!({ "groups": null }), false),
        ("one group as text", json!({ "groups": ["admins"] }), json!({ "groups": "admins" }), true),
        ("groups in a text", json!({ "groups": ["admins"] }), json!({ "groups": "staff,admins" }), false),
        ("role", json!({ "roles": ["admin"] }), json!({ "roles": ["admin"] }), true),
        ("no role", json!({ "roles": ["admin"] }), json!({}), false),
        ("number", json!({ "claims": { "level": [3] } }), json!({ "level": 3 }), true),
        ("number as text", json!({ "claims": { "level": [3] } }), json!({ "level": "3" }), false),
        ("truth", json!({ "claims": { "mfa": [true] } }), json!({ "mfa": true }), true),
        (
            "nested",
            json!({ "claims": { "/realm_access/roles": ["admin"] } }),
            json!({ "realm_access": { "roles": ["x", "admin"] } }),
            true,
        ),
        ("subject", json!({ "claims": { "sub": ["alice"] } }), json!({}), true),
        ("both", json!({ "groups": ["staff"], "roles": ["admin"] }), json!({}), false),
        ("any", json!({ "any": [{ "roles": ["admin"] }, { "groups": ["staff"] }] }), json!({}), true),
        ("all", json!({ "all": [{ "roles": ["admin"] }, { "groups": ["staff"] }] }), json!({}), false),
        ("not", json!({ "not": { "groups": ["admins"] } }), json!({}), false),
        ("and not", json!({ "groups": ["staff"], "not": { "groups": ["banned"] } }), json!({}), true),
    ];
    for (what, allow, claims, may_pass) in cases {
        let by_rule = ("rules", json!([{ "access": "required", "allow": allow }]));
        let mut document = super::world::document();
        document["providers"][0]["allow"] = allow;
        let by_provider = ("providers", document["providers"].clone());
        for setting in [by_rule, by_provider] {
            let mut world = World::ready_with(&[setting]);
            world.provider.claims = claiming(claims.clone());
            world.sign_in("/oauth2/start?rd=/");
            let outcome = world.visit("/x");
            if may_pass {
                assert_eq!(user(&outcome), Some("alice"), "{what}");
            } else {
                assert_eq!(outcome.code(), (403, "not_allowed"), "{what}");
            }
        }
    }
}

fn areas() -> Value {
    json!([
        { "path": "/evaluate/v1/*", "access": "public" },
        { "path": "/news/*", "access": "optional" },
        { "name": "admin area", "path": "/admin/*", "access": "required", "allow": { "groups": ["admins"] } },
        { "name": "staff", "access": "required", "allow": { "groups": ["staff"] } },
    ])
}

#[test]
fn a_user_must_satisfy_the_conditions_of_the_provider_and_the_rule() {
    let mut document = super::world::document();
    document["providers"][0]["allow"] = json!({ "allowed_domains": ["example.com"] });
    let mut world = World::ready_with(&[("rules", areas()), ("providers", document["providers"].clone())]);
    let mut sign_in_as = |claims: Value| {
        world.jar.clear();
        world.provider.claims = claiming(claims);
        world.sign_in("/oauth2/start?rd=/");
        ["/admin/x", "/x", "/news/x", "/evaluate/v1/x"].map(|path| match world.visit(path) {
            Outcome::Forwarded { reason: Reason::Session, .. } => "as somebody",
            Outcome::Forwarded { .. } => "as nobody",
            refused => refused.code().1,
        })
    };
    assert_eq!(sign_in_as(json!({})), ["as somebody", "as somebody", "as somebody", "as nobody"]);
    let staff = json!({ "groups": ["staff"] });
    assert_eq!(sign_in_as(staff), ["not_allowed", "as somebody", "as somebody", "as nobody"]);
    // A user whom the provider's conditions exclude passes optional and public paths without identity.
    let foreign = json!({ "email": "alice@other.example" });
    assert_eq!(sign_in_as(foreign), ["not_allowed", "not_allowed", "as nobody", "as nobody"]);
    let log = refusals(&world);
    assert_eq!(
        log,
        [
            r#"refused a request (not_allowed): the user or client may not pass by rule "admin area"; issuer https://idp.example.com; request -"#,
            "refused a request (not_allowed): the user or client may not pass by rule (no name); issuer https://idp.example.com; request -",
            "refused a request (not_allowed): the user or client may not pass by rule (no name); issuer https://idp.example.com; request -",
        ]
    );
}

#[test]
fn a_refused_user_gets_403_and_can_sign_in_with_another_account() {
    let mut world = world(areas());
    world.provider.claims = claiming(json!({ "groups": ["staff"] }));
    world.sign_in("/oauth2/start?rd=/");
    let session = world.session_cookies();
    let reply = world.visit("/admin/users?page=2&q=a%20b").reply();
    assert_eq!((reply.status, reply.code), (403, "not_allowed"));
    // The user is neither signed out nor sent to sign in, which would return the same user.
    assert_eq!((header(&reply, "location"), header(&reply, "www-authenticate")), (None, None));
    assert_eq!(world.session_cookies(), session);
    let link = format!("{APP}/oauth2/start?rd=%2Fadmin%2Fusers%3Fpage%3D2%26q%3Da%2520b&#38;prompt=select_account");
    assert!(page(&reply).contains(&format!("href=\"{link}\"")), "{}", page(&reply));
    assert!(page(&reply).contains("Use another account"));

    let program = world.send(&fetch("/admin/users")).reply();
    let body: Value = serde_json::from_slice(&program.body).unwrap();
    assert_eq!((program.status, &body["code"]), (403, &json!("not_allowed")));
    assert_eq!((&body["sign_in_url"], header(&program, "set-cookie")), (&Value::Null, None));

    // The provider lets the user choose an account, and another user comes back.
    let reply = world.visit("/oauth2/start?rd=%2Fadmin%2Fusers&prompt=select_account").reply();
    assert_eq!(query_of(location(&reply))["prompt"], "select_account");
    let callback = world.signs_in(&reply);
    world.provider.claims = claiming(json!({ "sub": "carol" }));
    let reply = world.visit(&callback).reply();
    assert_eq!((reply.status, location(&reply)), (303, "https://app.example.com/admin/users"));
    assert_eq!(user(&world.visit("/admin/users")), Some("carol"));
}

#[test]
fn a_provider_without_select_account_receives_prompt_login() {
    let mut document = super::world::document();
    document["providers"][0]["authorization_params"] = json!({ "prompt": "consent" });
    let mut world = World::with(&document);
    world.provider.metadata =
        Box::new(|metadata| metadata["prompt_values_supported"] = json!(["none", "login", "consent"]));
    world.settle();
    let mut prompt = |target: &str| query_of(location(&world.visit(target).reply()))["prompt"].clone();
    assert_eq!(prompt("/oauth2/start?rd=/&prompt=select_account"), "consent login");
    assert_eq!(prompt("/oauth2/start?rd=/"), "consent");
}

#[test]
fn a_start_link_can_set_no_prompt_but_select_account() {
    let mut world = world(areas());
    for query in ["prompt=none", "prompt=consent", "prompt=select_account&prompt=none", "prompt=select_account%20none"]
    {
        let reply = world.visit(&format!("/oauth2/start?rd=/&{query}")).reply();
        assert!(!query_of(location(&reply)).contains_key("prompt"), "{query}");
    }
}

#[test]
fn a_group_condition_refuses_a_user_with_omitted_groups() {
    for overage in
        [json!({ "groups": null, "hasgroups": true }), json!({ "groups": null, "_claim_names": { "groups": "src1" } })]
    {
        for allow in [json!({ "groups": ["admins"] }), json!({ "not": { "groups": ["banned"] } })] {
            let mut world = world(json!([{ "name": "by groups", "access": "required", "allow": allow }]));
            world.provider.claims = claiming(overage.clone());
            world.sign_in("/oauth2/start?rd=/");
            assert_eq!(world.visit("/").code(), (403, "groups_left_out"), "{overage} {allow}");
            assert_eq!(
                refusals(&world),
                [
                    "refused a request (groups_left_out): the provider left out claims that decide (too many groups?) by \
                  rule \"by groups\"; issuer https://idp.example.com; request -"
                ]
            );
        }
    }
}

#[test]
fn claims_read_only_by_rules_are_kept_and_not_disclosed() {
    let mut world = world(json!([
        { "path": "/a", "access": "required", "allow": { "claims": { "/realm_access/roles": ["admin"], "tier": [2] } } },
        { "path": "/b", "access": "required", "allow": { "claims": { "other": ["x"] } } },
    ]));
    world.provider.claims = claiming(json!({ "realm_access": { "roles": ["admin"] }, "tier": 2, "secret": "s" }));
    world.sign_in("/oauth2/start?rd=/");
    // The other worker has nothing but the cookie.
    world.worker = 1;
    let outcome = world.visit("/a");
    let Outcome::Forwarded { headers, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(headers.iter().all(|(_, value)| !value.contains("tier") && !value.contains("realm")), "{headers:?}");
    assert_eq!(world.visit("/b").code(), (403, "not_allowed"));
    let known = world.send(&fetch("/oauth2/userinfo")).reply();
    let known: Value = serde_json::from_slice(&known.body).unwrap();
    assert_eq!((&known["claims"]["tier"], &known["claims"]["sub"]), (&Value::Null, &json!("alice")));
}

#[test]
fn a_renewal_that_removes_a_group_revokes_access() {
    let mut world = world(areas());
    world.provider.refreshes = true;
    world.sign_in("/oauth2/start?rd=/");
    assert_eq!(user(&world.visit("/admin/x")), Some("alice"));
    world.provider.claims = claiming(json!({ "groups": ["staff"] }));
    world.advance(480);
    let old = world.session_cookies();
    // A script's request renews the session, is refused, and sets the new session cookie all the same.
    let held = world.send(&fetch("/admin/x"));
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    assert_eq!(world.then(held).code(), (403, "not_allowed"));
    assert_ne!(world.session_cookies(), old);
    assert_eq!(world.provider.asked["/token"], 2);
    for worker in [0, 1] {
        world.worker = worker;
        assert_eq!(world.visit("/admin/x").code(), (403, "not_allowed"));
        assert_eq!(user(&world.visit("/x")), Some("alice"));
    }
    // A renewal that gives the group back admits the user again.
    world.provider.claims = claiming(json!({}));
    world.advance(480);
    let held = world.visit("/admin/x");
    assert_eq!(user(&world.then(held)), Some("alice"));
}

#[test]
fn the_unauthenticated_setting_of_a_rule_chooses_the_response() {
    let mut world = world(modes());
    let html = ("accept", "text/html");
    type Headers = [(&'static str, &'static str)];
    let cases: [(&str, &str, &Headers, u16); 13] = [
        ("/api/x", "GET", &[html], 401),
        ("/api/x", "HEAD", &[html], 401),
        ("/api/x", "GET", &[], 401),
        ("/api/x", "POST", &[html], 401),
        ("/old/x", "GET", &[], 302),
        ("/old/x", "GET", &[("x-requested-with", "XMLHttpRequest")], 302),
        ("/old/x", "HEAD", &[html], 302),
        ("/old/x", "HEAD", &[], 401),
        ("/old/x", "POST", &[], 401),
        ("/old/x", "POST", &[html], 401),
        ("/old/x", "GET", &[("upgrade", "websocket"), ("connection", "upgrade")], 401),
        ("/old/x", "GET", &[html, ("sec-purpose", "prefetch")], 401),
        ("/old/x", "GET", &[html, ("authorization", "Bearer x")], 401),
    ];
    for (path, method, headers, status) in cases {
        world.jar.clear();
        let mut all = vec![(":method", method), (":path", path)];
        all.extend(headers);
        let reply = world.send(&all).reply();
        assert_eq!(reply.status, status, "{method} {path} {headers:?}");
        // Only the redirect of a GET sets the cookie of a sign-in.
        assert_eq!(header(&reply, "set-cookie").is_some(), status == 302 && method == "GET", "{method} {headers:?}");
    }
    let reply = world.visit("/api/x?y=1").reply();
    assert!(page(&reply).contains("href=\"https://app.example.com/oauth2/start?rd=%2Fapi%2Fx%3Fy%3D1\""));
}

#[test]
fn the_401_page_of_a_rule_contains_no_redirecting_script() {
    let mut world = World::ready_with(&[("rules", modes()), ("sign_in", json!({ "keep_fragment": true }))]);
    let quiet = world.visit("/api/x").reply();
    assert_eq!((quiet.status, page(&quiet).contains("<script")), (401, false), "{}", page(&quiet));
    let follows = world.visit("/old/x").reply();
    assert_eq!((follows.status, page(&follows).contains("<script")), (401, true));
}

#[test]
fn a_form_is_kept_with_each_unauthenticated_setting() {
    for answer in ["auto", "redirect", "401"] {
        let mut world = World::ready_with(&[
            ("rules", json!([{ "access": "required", "unauthenticated": answer }])),
            ("allow_on_headers_stop_iteration", json!(true)),
            ("sign_in", json!({ "keep_forms": true })),
        ]);
        world.body = Ok(b"a=b".to_vec());
        let reply = world.send_more(&[
            (":method", "POST"),
            (":path", "/save"),
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/x-www-form-urlencoded"),
        ]);
        let reply = reply.reply();
        assert_eq!(reply.status, 401, "{answer}");
        assert!(page(&reply).contains("this tab keeps it"), "{answer}: {}", page(&reply));
    }
}

#[test]
fn an_unaccepted_bearer_token_is_refused_on_optional_paths() {
    let mut world = signed_in(modes());
    let bearing = |path| [(":method", "GET"), (":path", path), ("authorization", "Bearer x")];
    assert_eq!(world.send(&bearing("/news/x")).code(), (401, "bearer_not_accepted"));
    assert_eq!(reason(&world.send(&bearing("/public/x"))), Reason::Public);
    // Other schemes than `Bearer` are left to the app.
    let basic = [(":method", "GET"), (":path", "/news/x"), ("authorization", "Basic YTpi")];
    let seen = world.send(&basic);
    assert_eq!((reason(&seen), user(&seen)), (Reason::Session, Some("alice")));
}

#[test]
fn a_forged_identity_is_ignored_on_optional_paths() {
    let mut world = world(modes());
    let forged =
        [(":method", "GET"), (":path", "/news/x"), ("x-forwarded-user", "alice"), ("cookie", "__Host-vestibule=x")];
    let seen = world.send(&forged);
    assert_eq!((reason(&seen), user(&seen)), (Reason::Public, None));
    let Outcome::Forwarded { headers, cookies, .. } = seen else { panic!() };
    assert!(headers.iter().all(|(name, _)| name != "cookie"), "{headers:?}");
    assert_eq!(cookies, [""; 0]);
}

#[test]
fn a_preflight_passes_except_where_a_rule_denies_all() {
    let mut world = world(modes());
    let preflight = |path| {
        [
            (":method", "OPTIONS"),
            (":path", path),
            ("origin", "https://a.example"),
            ("access-control-request-method", "PUT"),
        ]
    };
    for path in ["/api/x", "/old/x", "/news/x", "/other"] {
        assert_eq!(reason(&world.send(&preflight(path))), Reason::Preflight, "{path}");
    }
    assert_eq!(world.send(&preflight("/internal/x")).code(), (403, "denied"));
}

#[test]
fn an_ambiguous_path_must_satisfy_every_rule_that_may_apply() {
    let mut world = signed_in(areas());
    world.provider.claims = claiming(json!({ "groups": ["staff"] }));
    // This session still has both groups, from its sign-in.
    assert_eq!(user(&world.visit("/evaluate/v1/..;/admin/x")), Some("alice"));
    world.jar.clear();
    world.sign_in("/oauth2/start?rd=/");
    for path in ["/evaluate/v1/..;/admin/x", "//admin/x", "/admin%2fx", "/news/%2e%2e/x", "/x;y"] {
        assert_eq!(world.visit(path).code(), (403, "not_allowed"), "{path}");
    }
    let mut world = signed_in(modes());
    assert_eq!(world.visit("/public/..;/internal/x").code(), (403, "denied"));
}

#[test]
fn reserved_paths_are_open_to_refused_users() {
    let mut world = world(json!([{ "access": "required", "allow": { "groups": ["nobody"] } }]));
    world.sign_in("/oauth2/start?rd=/");
    assert_eq!(world.visit("/").code(), (403, "not_allowed"));
    assert_eq!(world.send(&fetch("/oauth2/userinfo")).code(), (200, "userinfo"));
    assert_eq!(world.opens("/oauth2/sign_out", "same-origin").reply().status, 303);
    assert!(!world.has_session());
    // A rule that denies everything does not close them either.
    let mut closed = self::world(json!([{ "access": "deny" }]));
    assert_eq!(closed.visit("/oauth2/health").code(), (200, "health"));
    assert_eq!(closed.visit("/oauth2/start?rd=/").code(), (302, "sign_in_started"));
}

#[test]
fn the_store_is_read_only_if_the_decision_depends_on_the_user() {
    let mut world = World::ready_with(&[
        ("session", json!({ "store": { "cluster": "webdis" } })),
        ("rules", {
            let mut rules = areas();
            rules.as_array_mut().unwrap().insert(0, json!({ "prefix": "/internal", "access": "deny" }));
            rules
        }),
    ]);
    world.provider.claims = claiming(json!({ "groups": ["staff"] }));
    world.sign_in("/oauth2/start?rd=/");
    assert_eq!(world.visit("/admin/x").code(), (403, "not_allowed"));
    assert_eq!(user(&world.visit("/x")), Some("alice"));
    assert_eq!(user(&world.visit("/news/x")), Some("alice"));
    let asked = world.redis_asked;
    assert_eq!(world.visit("/internal").code(), (403, "denied"));
    assert_eq!(reason(&world.visit("/evaluate/v1/x")), Reason::Public);
    assert_eq!(world.redis_asked, asked);
    // While the store is down, requests with a session cannot be decided; requests without one can.
    world.redis_up = false;
    for path in ["/admin/x", "/x", "/news/x"] {
        assert_eq!(world.visit(path).code(), (503, "store_unavailable"), "{path}");
    }
    world.jar.clear();
    assert_eq!(user(&world.visit("/news/x")), None);
}
