//! Claims that a session did not keep: it is unknown whether they are absent, so no condition on them holds, with `not`
//! or without, until a new sign-in.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::{
        event::{Event, Reason},
        *,
    },
    world::{APP, Outcome, World, location, ok},
};
use crate::{
    http::{Request, RouteMetadata},
    session::seal::Purpose,
    wire::{self, Field},
};

/// A rule that requires these conditions at `/`.
fn rules(allow: &Value) -> (&'static str, Value) {
    ("rules", json!([{ "path": "/", "access": "required", "allow": allow }]))
}

fn not(allow: &Value) -> Value {
    json!({ "not": allow })
}

/// A change to the claims of a token.
type Change = Box<dyn Fn(&mut Map<String, Value>)>;

fn claiming(claims: Value) -> Change {
    Box::new(move |token| {
        for (name, value) in claims.as_object().unwrap() {
            token.shift_remove(name);
            token.extend((!value.is_null()).then(|| (name.clone(), value.clone())));
        }
    })
}

/// Another filter at this origin with the same key, or the same one with another configuration.
fn reconfigure(world: &mut World, changes: &[(&str, Value)]) {
    let other = World::ready_with(changes);
    (world.config, world.workers, world.platform) = (other.config, other.workers, other.platform);
    world.settle();
}

/// Rewrites the browser's session in the format of the previous version, without absent claims.
fn as_sealed_before(world: &mut World) {
    const COOKIE: &str = "__Host-vestibule";
    let settings = &world.config.session;
    let label = settings.cookies.label(1);
    let bytes = settings.sealer.open(Purpose::Session, &label, world.jar[COOKIE].as_bytes()).unwrap();
    let fields: [Field<'_>; 21] = wire::read(&bytes).unwrap();
    let bytes = wire::write(&fields.map(|field| field.0.unwrap_or(wire::Value::Number(0))));
    let text = settings.sealer.seal(Purpose::Session, &label, &bytes, &world.platform).unwrap();
    world.jar.insert(COOKIE.to_owned(), text);
}

fn passes(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. })
}

fn fetch(world: &mut World) -> (u16, &'static str) {
    world.send(&[(":method", "GET"), (":path", "/"), ("sec-fetch-mode", "cors")]).code()
}

/// The session is not enough: scripts get 401, and a page is sent to sign in once.
#[track_caller]
fn signs_in_once(world: &mut World, then: Option<(u16, &'static str)>) {
    assert_eq!(fetch(world), (401, "sign_in_required"));
    let reply = world.visit("/").reply();
    assert_eq!((reply.status, reply.code), (302, "sign_in_started"));
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    match then {
        None => assert!(passes(&world.visit("/"))),
        Some(refused) => assert_eq!((world.visit("/").code(), fetch(world)), (refused, refused)),
    }
}

/// Conditions on claims that no default header carries, and claims that fulfil them.
fn conditions() -> [(Value, Value); 8] {
    let banned = json!({ "claims": { "status": ["banned"] } });
    let nested = json!({ "claims": { "/realm_access/roles": ["x"] } });
    [
        (banned.clone(), json!({ "status": "banned" })),
        (not(&banned), json!({ "status": null })),
        (not(&not(&banned)), json!({ "status": ["banned"] })),
        (nested.clone(), json!({ "realm_access": { "roles": ["x"] } })),
        (not(&nested), json!({ "realm_access": null })),
        (json!({ "all": [{ "groups": ["staff"] }, not(&banned)] }), json!({ "status": "fine" })),
        (json!({ "any": [{ "groups": ["others"] }, banned] }), json!({ "status": "banned" })),
        (not(&json!({ "all": [{ "groups": ["staff"] }, banned] })), json!({ "status": null })),
    ]
}

#[test]
fn a_condition_on_a_claim_that_was_not_kept_starts_a_new_sign_in() {
    for (allow, holds) in conditions() {
        for stored in [json!({}), json!({ "store": { "cluster": "webdis" } })] {
            let session = ("session", stored);
            let mut world = World::ready_with(&[rules(&json!({ "groups": ["staff"] })), session.clone()]);
            world.sign_in("/");
            reconfigure(&mut world, &[rules(&allow), session]);
            // First with claims that fulfil the condition, then with others.
            world.provider.claims = claiming(holds.clone());
            let before = world.jar.clone();
            signs_in_once(&mut world, None);
            world.jar = before;
            let fails = allow["not"]["claims"].is_object() || allow["all"].is_array() || allow["not"]["all"].is_array();
            let other =
                if fails { json!({ "status": "banned", "realm_access": { "roles": ["x"] } }) } else { json!({}) };
            world.provider.claims = claiming(other);
            signs_in_once(&mut world, Some((403, "not_allowed")));
        }
    }
}

#[test]
fn a_condition_decided_by_other_claims_needs_no_new_sign_in() {
    for (allow, may_pass) in [
        (json!({ "any": [{ "groups": ["staff"] }, { "roles": ["x"] }] }), true),
        (json!({ "all": [{ "groups": ["others"] }, { "roles": ["x"] }] }), false),
        (not(&json!({ "all": [{ "groups": ["others"] }, { "roles": ["x"] }] })), true),
        (not(&json!({ "any": [{ "groups": ["staff"] }, { "roles": ["x"] }] })), false),
    ] {
        let mut world = World::ready();
        world.sign_in("/");
        reconfigure(&mut world, &[rules(&allow)]);
        let outcome = world.visit("/");
        assert!(if may_pass { passes(&outcome) } else { outcome.code() == (403, "not_allowed") }, "{allow}");
    }
}

#[test]
fn a_session_of_the_previous_version_does_not_satisfy_an_absent_claim() {
    let allow = json!({ "groups": ["staff"] });
    for (allow, is_enough) in
        [(allow.clone(), true), (not(&json!({ "groups": ["x"] })), true), (not(&json!({ "roles": ["x"] })), false)]
    {
        let mut world = World::ready_with(&[rules(&allow)]);
        world.sign_in("/");
        assert!(passes(&world.visit("/")));
        as_sealed_before(&mut world);
        if is_enough {
            assert!(passes(&world.visit("/")), "{allow}");
        } else {
            signs_in_once(&mut world, None);
        }
    }
}

#[test]
fn a_session_of_a_filter_that_requests_less_needs_a_new_sign_in() {
    // The one asks for less: fewer claims, fewer scopes, no userinfo.
    let ban = rules(&not(&json!({ "claims": { "status": ["banned"] } })));
    let provider = |change: Value| {
        let mut document = super::world::document();
        document["providers"][0].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ("providers", document["providers"].clone())
    };
    let (plain, keeps) = (provider(json!({})), ("userinfo_claims", json!(["status"])));
    for (here, there) in [
        (vec![rules(&json!({ "groups": ["staff"] }))], vec![ban.clone()]),
        // It keeps the claim, but not what tells whether the provider left it out.
        (vec![keeps], vec![ban.clone()]),
        (vec![ban.clone(), plain.clone()], vec![ban.clone(), provider(json!({ "scopes": ["openid", "status"] }))]),
        (vec![ban.clone(), plain.clone()], vec![ban.clone(), provider(json!({ "userinfo": true }))]),
        (
            vec![ban.clone(), plain],
            vec![
                ban.clone(),
                provider(json!({ "authorization_params": { "claims": "{\"id_token\":{\"status\":null}}" } })),
            ],
        ),
    ] {
        let mut world = World::ready_with(&here);
        world.sign_in("/");
        reconfigure(&mut world, &there);
        world.provider.userinfo = Box::new(|| ok(&json!({ "sub": "alice", "status": "banned" })));
        world.provider.claims = claiming(json!({ "status": "banned" }));
        signs_in_once(&mut world, Some((403, "not_allowed")));
    }
}

#[test]
fn missing_claims_of_email_and_provider_conditions_need_a_sign_in() {
    let mut document = super::world::document();
    document["providers"][0]["allow"] = not(&json!({ "roles": ["guest"] }));
    let by_provider = ("providers", document["providers"].clone());
    let headers = ("identity_headers", json!({ "X-User": "sub" }));
    let claims = ("userinfo_claims", json!(["sub"]));
    for there in [
        by_provider,
        rules(&json!({ "emails": ["alice@example.com"] })),
        rules(&json!({ "allowed_domains": ["example.com"] })),
        rules(&not(&json!({ "emails": ["bob@example.com"] }))),
        rules(&json!({ "email_matches": ["alice@.*"] })),
    ] {
        let mut world = World::ready_with(&[headers.clone(), claims.clone()]);
        world.sign_in("/");
        reconfigure(&mut world, &[there, headers.clone(), claims.clone()]);
        signs_in_once(&mut world, None);
    }
}

#[test]
fn a_route_policy_requests_a_new_sign_in_for_its_missing_claims() {
    let policies = |allow: Value| {
        [("policies", json!({ "members": { "access": "required", "allow": allow } })), ("route_metadata", json!(true))]
    };
    let mut world = World::ready_with(&policies(json!({ "groups": ["staff"] })));
    world.sign_in("/");
    reconfigure(&mut world, &policies(not(&json!({ "roles": ["guest"] }))));
    let mut visit = || {
        let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers =
            [(":method", "GET"), (":path", "/x"), (":authority", "app.example.com"), ("cookie", &cookies.join("; "))];
        let request = Request::new(headers.map(|(name, value)| (name, value.as_bytes())));
        let request = request.with_route(RouteMetadata::Policy("members".to_owned()));
        let step = world.start(request.clone());
        world.perform(step, &request)
    };
    assert_eq!(visit().code(), (401, "sign_in_required"));
}

#[test]
fn a_renewal_keeps_newly_configured_claims() {
    for (has_id_token, status, expected) in [
        (true, json!(null), None),
        (true, json!("banned"), Some((403, "not_allowed"))),
        (false, json!(null), Some((302, "sign_in_started"))),
    ] {
        let mut world = World::ready();
        world.provider.refreshes = true;
        world.sign_in("/");
        reconfigure(&mut world, &[rules(&not(&json!({ "claims": { "status": ["banned"] } })))]);
        world.provider.claims = claiming(json!({ "status": status }));
        if !has_id_token {
            world.provider.refresh_response = Some(Box::new(|mut body| {
                body.as_object_mut().unwrap().shift_remove("id_token");
                ok(&body)
            }));
        }
        world.advance(480);
        let held = world.visit("/");
        let outcome = world.then(held);
        match expected {
            None => assert!(passes(&outcome)),
            Some(code) => assert_eq!(outcome.code(), code),
        }
    }
}

#[test]
fn a_missing_claim_is_not_decided_by_userinfo_without_an_id_token() {
    let mut document = super::world::document();
    document["providers"][0]["userinfo"] = json!(true);
    let providers = ("providers", document["providers"].clone());
    let ban = rules(&not(&json!({ "claims": { "status": ["banned"] } })));
    let mut world = World::ready_with(std::slice::from_ref(&providers));
    world.provider.refreshes = true;
    world.provider.userinfo = Box::new(|| ok(&json!({ "sub": "alice", "status": "fine" })));
    // The ID token's value counts, and the session has not kept it.
    world.provider.claims = claiming(json!({ "status": "banned" }));
    world.sign_in("/");
    reconfigure(&mut world, &[providers, ban]);
    world.provider.refresh_response = Some(Box::new(|mut body| {
        body.as_object_mut().unwrap().shift_remove("id_token");
        ok(&body)
    }));
    world.advance(480);
    let held = world.visit("/");
    assert_eq!(world.then(held).code(), (302, "sign_in_started"));
    signs_in_once(&mut world, Some((403, "not_allowed")));
}

#[test]
fn sign_ins_for_a_missing_claim_do_not_loop_between_configurations() {
    let changes =
        |allow: Value, keep_fragment: bool| [rules(&allow), ("sign_in", json!({ "keep_fragment": keep_fragment }))];
    for keep_fragment in [false, true] {
        let here = changes(not(&json!({ "roles": ["x"] })), keep_fragment);
        let there = changes(json!({ "groups": ["staff"] }), keep_fragment);
        let mut world = World::ready_with(&there);
        world.sign_in("/oauth2/start?rd=/");
        for _ in 0..2 {
            reconfigure(&mut world, &here);
            let mut reply = world.visit("/").reply();
            if keep_fragment {
                assert_eq!((reply.status, reply.code), (401, "sign_in_required"));
                reply = world.visit("/oauth2/start?rd=/").reply();
            }
            assert_eq!(reply.code, "sign_in_started");
            reconfigure(&mut world, &there);
            let callback = world.signs_in(&reply);
            assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
        }
        reconfigure(&mut world, &here);
        assert_eq!(world.visit("/").code(), (400, "sign_in_loop"), "{keep_fragment}");
        // A user may try again.
        signs_in_once_more(&mut world, keep_fragment);
    }
}

fn signs_in_once_more(world: &mut World, keep_fragment: bool) {
    let mut reply = world.visit("/").reply();
    if keep_fragment {
        reply = world.visit("/oauth2/start?rd=/").reply();
    }
    assert!(location(&reply).starts_with("https://idp.example.com/"));
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    assert!(passes(&world.visit("/")));
}

#[test]
fn a_bearer_token_lacks_no_claims_and_needs_no_sign_in() {
    let mut world = World::ready_with(&[
        ("static_tokens", json!([{ "name": "robot", "sha256": format!("{:x}", Sha256::digest("t0ken")) }])),
        rules(&not(&json!({ "roles": ["guest"] }))),
    ]);
    let outcome = world.send(&[(":method", "GET"), (":path", "/"), ("authorization", "Bearer t0ken")]);
    assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Bearer, .. }), "{outcome:?}");
}

/// The last line of the log about a refusal.
fn refusal(world: &World) -> String {
    let refused = world.events.iter().rev().find(|event| matches!(event, Event::Refused { .. }));
    refused.map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_refusal_names_the_claim_with_an_unusable_value() {
    const ID_TOKEN: &str = "is absent from the ID token (userinfo was not asked)";
    let groups = || json!({ "groups": ["admins", "staff-x"] });
    let odd = |shape: &str| format!("; the claim \"groups\" is {shape}, not one of the condition's values");
    let cases = [
        (groups(), json!({ "groups": null }), format!("; the claim \"groups\" {ID_TOKEN}")),
        (groups(), json!({ "groups": { "admins": {} } }), odd("an object")),
        (groups(), json!({ "groups": 7 }), odd("a number")),
        (groups(), json!({ "groups": true }), odd("true or false")),
        (groups(), json!({ "groups": [["admins"], ["staff-x"]] }), odd("a list of lists, objects or null")),
        (groups(), json!({ "groups": [{ "name": "admins" }] }), odd("a list of lists, objects or null")),
        (groups(), json!({ "groups": [] }), odd("an empty list")),
        (groups(), json!({ "groups": [1, 2] }), odd("a list")),
        (groups(), json!({ "groups": "[admins, staff-x]" }), odd("a string with a serialized list or object")),
        (groups(), json!({ "groups": "[\"admins\"]" }), odd("a string with a serialized list or object")),
        (groups(), json!({ "groups": "admins,staff-x" }), odd("a text")),
        // Another value is not logged: it is no fault of the provider's.
        (groups(), json!({ "groups": ["others"] }), String::new()),
        (groups(), json!({ "groups": "others" }), String::new()),
        (not(&json!({ "groups": ["staff"] })), json!({}), String::new()),
        (json!({ "claims": { "level": [3] } }), json!({ "level": "3" }), odd("a text").replace("groups", "level")),
        (
            json!({ "any": [{ "roles": ["x"] }, { "claims": { "/realm_access/roles": ["x"] } }] }),
            json!({ "realm_access": {} }),
            format!("; the claim \"roles\" {ID_TOKEN}; the claim \"/realm_access/roles\" {ID_TOKEN}"),
        ),
        (
            json!({ "emails": ["alice@example.com"] }),
            json!({ "email_verified": null }),
            format!("; the claim \"email_verified\" {ID_TOKEN}"),
        ),
        (
            not(&json!({ "allowed_domains": ["example.org"] })),
            json!({ "email_verified": false }),
            "; the claim \"email_verified\" is not true, so the address does not count".to_owned(),
        ),
        (
            json!({ "allowed_domains": ["example.com"] }),
            json!({ "email": null }),
            format!("; the claim \"email\" {ID_TOKEN}"),
        ),
    ];
    for (allow, claims, said) in cases {
        let mut world = World::ready_with(&[rules(&allow)]);
        world.provider.claims = claiming(claims.clone());
        world.sign_in("/");
        assert_eq!(world.visit("/").code(), (403, "not_allowed"), "{claims}");
        let expected = format!(
            "refused a request (not_allowed): the user or client may not pass by rule (no name){said}; issuer \
             https://idp.example.com; request -"
        );
        assert_eq!(refusal(&world), expected, "{claims}");
    }
}

#[test]
fn a_refusal_names_the_sources_that_lack_the_claim() {
    let mut document = super::world::document();
    document["providers"][0]["userinfo"] = json!(true);
    document["providers"][0]["access_token_audiences"] = json!(["https://api.example.com"]);
    let token = ("static_tokens", json!([{ "name": "robot", "sha256": format!("{:x}", Sha256::digest("t0ken")) }]));
    let mut world =
        World::ready_with(&[("providers", document["providers"].clone()), rules(&json!({ "roles": ["x"] })), token]);
    world.provider.userinfo = Box::new(|| ok(&json!({ "sub": "alice" })));
    world.sign_in("/");
    assert_eq!(world.visit("/").code(), (403, "not_allowed"));
    assert!(refusal(&world).contains("\"roles\" is absent from the ID token and userinfo;"), "{}", refusal(&world));
    let access_token = world.access_token();
    for (token, place) in [("t0ken", "the entry of static_tokens"), (&*access_token, "the access token")] {
        let headers = [(":method", "GET"), (":path", "/"), ("authorization", &*format!("Bearer {token}"))];
        assert_eq!(world.send(&headers).code(), (403, "not_allowed"));
        assert!(refusal(&world).contains(&format!("is absent from {place};")), "{}", refusal(&world));
    }
}

/// The log lines about values that are left out, and the number of omissions.
fn left_out(world: &World) -> (Vec<String>, usize) {
    let events = world.events.iter().filter(|event| event.counter() == "vestibule_left_out_identity");
    let news = events.clone().filter(|event| event.level() == event::Level::Warn).map(ToString::to_string);
    (news.collect(), events.count())
}

fn header<'a>(outcome: &'a Outcome, name: &str) -> Option<&'a str> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().find_map(|(found, value)| (found == name).then_some(value.as_str()))
}

#[test]
fn a_value_that_is_left_out_is_logged_once_for_each_user() {
    let groups: Vec<_> = (0..300).map(|group| format!("/departments/engineering-{group:03}")).collect();
    for (claims, said) in [
        (
            json!({ "groups": groups }),
            "left the value out of the header \"x-forwarded-groups\" of \"alice\": the claim \"groups\" takes 8699 bytes, and \
             7168 may go out; have the provider send fewer values, or see `too_long`",
        ),
        (
            json!({ "groups": { "a": 1 } }),
            "left the value out of the header \"x-forwarded-groups\" of \"alice\": the claim \"groups\" is an object, and must be a string, a number, a boolean or a list of these",
        ),
        (
            json!({ "groups": ["a,b", "c"] }),
            "left items out of the header \"x-forwarded-groups\" of \"alice\": the claim \"groups\" has items with the separator \
             in them; another `separator`, or `encoding: percent`, tells them apart",
        ),
        (
            json!({ "email_verified": false }),
            "left the value out of the header \"x-forwarded-email\" of \"alice\": the claim \"email\" is not verified according to the claim \"email_verified\"",
        ),
        (
            json!({ "email": "al\nice@example.com" }),
            "left the value out of the header \"x-forwarded-email\" of \"alice\": the claim \"email\" has control characters or \
             spaces at an end",
        ),
    ] {
        let mut world = World::ready();
        world.provider.claims = claiming(claims);
        world.sign_in("/");
        for _ in 0..3 {
            assert!(passes(&world.visit("/")));
        }
        assert_eq!(left_out(&world), (vec![said.to_owned()], 1));
        // Another session of the same user is counted, and not said again.
        world.jar.clear();
        world.advance(1);
        world.sign_in("/");
        assert!(passes(&world.visit("/")));
        assert_eq!(left_out(&world), (vec![said.to_owned()], 2));
    }
    // An absent, empty or null claim is no omission of ours.
    let mut world = World::ready();
    world.provider.claims = claiming(json!({ "groups": [], "preferred_username": "" }));
    world.sign_in("/");
    assert!(passes(&world.visit("/")));
    assert_eq!(left_out(&world), (vec![], 0));
}

#[test]
fn too_long_decides_whether_a_header_is_cut_or_refuses_the_request() {
    let groups: Vec<_> = (0..300).map(|group| format!("/departments/engineering-{group:03}")).collect();
    let told = |too_long: &str| {
        [
            ("identity_headers", json!({ "X-User": "sub", "X-Groups": { "claim": "groups", "too_long": too_long } })),
            ("filter_state", json!({ "claims": { "groups": { "claim": "groups", "too_long": too_long } } })),
            (
                "rules",
                json!([{ "path": "/public", "access": "public" }, { "path": "/optional", "access": "optional" }]),
            ),
        ]
    };
    let signed_in = |too_long: &str, groups: &[String]| {
        let mut world = World::ready_with(&told(too_long));
        world.provider.claims = claiming(json!({ "groups": groups }));
        world.sign_in("/oauth2/start?rd=/");
        world
    };
    let mut world = signed_in("cut", &groups);
    let outcome = world.visit("/");
    assert_eq!(header(&outcome, "x-groups").unwrap(), groups[..247].join(","));
    let Outcome::Forwarded { state, .. } = &outcome else { panic!() };
    assert_eq!(state[0], ("groups".to_owned(), groups[..141].join(",")));
    assert_eq!(left_out(&world).1, 2);
    assert!(left_out(&world).0[0].starts_with("left the last items out of the header \"x-groups\" of \"alice\""));

    let mut world = signed_in("refuse", &groups);
    for _ in 0..2 {
        for path in ["/", "/optional"] {
            assert_eq!(world.visit(path).code(), (500, "identity_too_long"), "{path}");
        }
    }
    assert_eq!(fetch(&mut world), (500, "identity_too_long"));
    assert!(refusal(&world).contains("the value of \"groups\" is too long"), "{}", refusal(&world));
    assert!(matches!(world.visit("/public"), Outcome::Forwarded { reason: Reason::Public, .. }));
    // A user with fewer groups passes.
    let mut world = signed_in("refuse", &groups[..100]);
    assert_eq!(header(&world.visit("/"), "x-groups").unwrap(), groups[..100].join(","));
}

#[test]
fn verified_email_only_withholds_addresses_that_are_not_verified() {
    for (setting, verified, is_told) in [
        (None, json!(null), true),
        (Some(false), json!(null), true),
        (Some(true), json!(null), false),
        (Some(true), json!(false), false),
        (Some(true), json!(true), true),
    ] {
        let mut changes = vec![("filter_state", json!({ "claims": { "mail": { "template": "mailto:{email}" } } }))];
        changes.extend(setting.map(|setting| ("verified_email_only", json!(setting))));
        let mut world = World::ready_with(&changes);
        world.provider.claims = claiming(json!({ "email_verified": verified }));
        world.sign_in("/");
        let outcome = world.visit("/");
        let Outcome::Forwarded { state, .. } = &outcome else { panic!() };
        assert_eq!((header(&outcome, "x-forwarded-email").is_some(), state.len()), (is_told, usize::from(is_told)));
    }
}

#[test]
fn a_provider_error_during_a_sign_in_for_claims_is_retried_once() {
    let mut world = World::ready_with(&[rules(&json!({ "groups": ["staff"] }))]);
    world.sign_in("/");
    world.advance(1);
    reconfigure(&mut world, &[rules(&not(&json!({ "claims": { "status": ["banned"] } })))]);
    let refused = |callback: String| callback.replace("code=code", "error=temporarily_unavailable");
    let first = world.visit("/").reply();
    let callback = refused(world.signs_in(&first));
    let second = world.visit(&callback).reply();
    // The present session does not satisfy the rule, so the browser is not sent back to the page.
    assert_eq!((second.status, second.code), (302, "sign_in_started"));
    let callback = refused(world.signs_in(&second));
    assert_eq!(world.visit(&callback).code(), (503, "provider_unavailable"));
    assert!(world.has_session());
}

#[test]
fn a_frame_with_an_insufficient_session_links_to_a_new_sign_in() {
    let mut world = World::ready_with(&[rules(&json!({ "groups": ["staff"] }))]);
    world.sign_in("/");
    reconfigure(&mut world, &[rules(&not(&json!({ "claims": { "status": ["banned"] } })))]);
    let mut headers = vec![(":method", "GET"), (":path", "/"), ("accept", "text/html")];
    let fetch = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("sec-fetch-site", "same-origin")];
    headers.extend(fetch);
    let page = world.send(&headers).reply();
    let page = String::from_utf8(page.body).unwrap();
    let href = page.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().replace("&#38;", "&");
    let start = href.strip_prefix(APP).unwrap();
    // The session that it has would only lead back to the page.
    let reply = world.visit(start).reply();
    assert_eq!((reply.status, reply.code), (302, "sign_in_started"), "{start}");
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    assert!(passes(&world.send(&headers)));
}

#[test]
fn a_sign_in_for_claims_does_not_restore_a_session_that_has_ended() {
    let idle = ("session", json!({ "idle_timeout_seconds": 600 }));
    let mut world = World::ready_with(std::slice::from_ref(&idle));
    world.provider.claims = claiming(json!({ "department": "sales" }));
    world.sign_in("/");
    let other = World::ready_with(&[idle, rules(&json!({ "claims": { "department": ["sales"] } }))]);
    world.config = other.config;
    // Envoy has restarted and has no metadata of the provider.
    world.restart();
    world.advance(300);
    let Outcome::Held(waits) = world.visit("/") else { panic!("the provider is not known yet") };
    assert!(world.has_session());
    let signs_out = world.opens("/oauth2/sign_out", "same-origin");
    world.settle();
    let Outcome::Held(signs_out) = signs_out else { panic!("the provider is not known yet") };
    assert_eq!(world.resume(signs_out).code(), (303, "signed_out"));
    assert!(!world.has_session());
    assert_eq!(world.resume(waits).code(), (302, "sign_in_started"));
    assert!(!world.has_session(), "it was brought back");
}
