//! Rules that demand a stronger or a more recent sign-in (RFC 9470): it is asked for, once, and nothing passes without it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::event::{Event, Level},
    world::{ISSUER, Outcome, World, access_tokens, header, location, query_of},
};
use crate::http::LocalReply;

/// `/strong` wants one of two classes, `/recent` a sign-in within ten minutes, `/both` the better class and that.
fn world_with(more: &[(&str, Value)]) -> World {
    let rule = |prefix: &str, step_up: Value| json!({ "name": prefix, "prefix": prefix, "access": "required", "step_up": step_up });
    let rules = json!([
        rule("/strong", json!({ "acr_values": ["phr", "mfa"] })),
        rule("/recent", json!({ "max_age_seconds": 600 })),
        rule("/both", json!({ "acr_values": ["phr"], "max_age_seconds": 600 })),
        { "path": "/staff", "access": "required", "allow": { "groups": ["nobody"] }, "step_up": { "acr_values": ["phr"] } },
    ]);
    let changes: Vec<_> = [("rules", rules)].into_iter().chain(more.iter().cloned()).collect();
    let mut world = World::ready_with(&changes);
    world.provider.refreshes = true;
    world
}

fn world() -> World {
    world_with(&[])
}

/// The provider's ID tokens say this of the authentication from now on.
fn authenticates(world: &mut World, acr: Option<&str>, seconds_ago: Option<u64>) {
    let acr = acr.map(str::to_owned);
    let time = seconds_ago.map(|ago| world.now.as_secs() - ago);
    world.provider.claims = Box::new(move |claims| {
        claims.extend(acr.iter().map(|acr| ("acr".to_owned(), json!(acr))));
        claims.extend(time.map(|time| ("auth_time".to_owned(), json!(time))));
    });
}

fn passes(world: &mut World, path: &str) -> bool {
    matches!(world.visit(path), Outcome::Forwarded { .. })
}

/// The redirect to the provider that a visit of this page leads to, and the parameters of its request.
#[track_caller]
fn asked(world: &mut World, path: &str) -> (LocalReply, BTreeMap<String, String>) {
    let reply = world.visit(path).reply();
    assert_eq!((reply.status, reply.code), (302, "sign_in_started"), "{path}");
    let parameters = query_of(location(&reply));
    (reply, parameters)
}

fn demand(parameters: &BTreeMap<String, String>) -> [Option<&str>; 2] {
    ["acr_values", "max_age"].map(|name| parameters.get(name).map(String::as_str))
}

#[test]
fn a_step_up_signs_in_again_and_returns_to_the_page() {
    for (path, acr, ago, wanted) in [
        ("/strong?a=1", Some("mfa"), None, [Some("phr mfa"), None]),
        ("/recent?a=1", None, Some(0), [None, Some("600")]),
        ("/both?a=1", Some("phr"), Some(5), [Some("phr"), Some("600")]),
    ] {
        let mut world = world();
        authenticates(&mut world, Some("pwd"), Some(3600));
        world.sign_in("/");
        let before = world.session_cookies();
        assert!(passes(&mut world, "/other"), "any sign-in is enough elsewhere");

        let (reply, parameters) = asked(&mut world, path);
        assert_eq!(demand(&parameters), wanted, "{path}");
        authenticates(&mut world, acr, ago);
        let callback = world.signs_in(&reply);
        let back = world.visit(&callback).reply();
        assert_eq!((back.code, location(&back)), ("signed_in", &*format!("https://app.example.com{path}")));
        assert_ne!(world.session_cookies(), before);
        assert!(passes(&mut world, path), "{path}");
    }
}

#[test]
fn a_first_sign_in_requests_the_step_up_and_is_not_repeated() {
    let mut world = world();
    world.provider.refreshes = false;
    let (reply, parameters) = asked(&mut world, "/both");
    assert_eq!(demand(&parameters), [Some("phr"), Some("600")]);
    authenticates(&mut world, Some("phr"), Some(0));
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    for path in ["/both", "/strong", "/recent", "/"] {
        assert!(passes(&mut world, path), "{path}");
    }
    // The minute of tolerated clock difference comes on top.
    world.advance(659);
    assert!(passes(&mut world, "/recent"));
    world.advance(1);
    let (_, parameters) = asked(&mut world, "/recent");
    assert_eq!(demand(&parameters), [None, Some("600")]);
    assert!(passes(&mut world, "/strong"), "it is strong all the same");
}

#[test]
fn an_unconfirmed_step_up_ends_with_a_page_and_no_loop() {
    for (path, acr, ago, told) in [
        ("/strong", Some("pwd"), Some(0), r#"for acr phr or mfa, and the session has acr "pwd" and auth_time 18000"#),
        ("/strong", None, None, "has acr none and auth_time none"),
        ("/recent", Some("phr"), None, "for auth_time at most 600 seconds ago, and the session has"),
        ("/recent", None, Some(660), "has acr none and auth_time 1799999340;"),
        ("/both", Some("mfa"), Some(0), "for acr phr, and auth_time at most 600 seconds ago"),
    ] {
        let mut world = world();
        authenticates(&mut world, acr, ago);
        let (reply, _) = asked(&mut world, path);
        let callback = world.signs_in(&reply);
        world.events.clear();
        let refused = world.visit(&callback).reply();
        assert_eq!((refused.status, refused.code), (403, "step_up_refused"), "{path}");
        let lines: Vec<_> = world.events.drain(..).map(|event| event.to_string()).collect();
        assert!(lines.iter().any(|line| line.contains(told)), "{told}: {lines:?}");
        // The user is signed in, for pages that ask for less, and may try again.
        assert!(world.has_session() && passes(&mut world, "/"));
        let page = String::from_utf8(refused.body).unwrap();
        let link = page.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
        let (reply, parameters) = asked(&mut world, link.trim_start_matches("https://app.example.com"));
        assert!(parameters.contains_key("acr_values") || parameters.contains_key("max_age"), "{parameters:?}");
        authenticates(&mut world, Some("phr"), Some(0));
        let callback = world.signs_in(&reply);
        assert_eq!(location(&world.visit(&callback).reply()), format!("https://app.example.com{path}"));
        assert!(passes(&mut world, path));
    }
}

#[test]
fn a_401_response_to_a_script_names_the_required_acr_and_max_age() {
    let mut world = world();
    authenticates(&mut world, Some("pwd"), Some(0));
    world.sign_in("/");
    let reply = world.send(&[(":method", "GET"), (":path", "/both"), ("sec-fetch-mode", "cors")]).reply();
    assert_eq!((reply.status, reply.code), (401, "insufficient_user_authentication"));
    assert_eq!(
        header(&reply, "www-authenticate"),
        Some(
            "Bearer realm=\"https://app.example.com\", error=\"insufficient_user_authentication\", acr_values=\"phr\", max_age=\"600\""
        )
    );
    let form =
        [(":method", "POST"), (":path", "/both"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(world.send(&form).code(), (401, "insufficient_user_authentication"));
    // Without a session the answer is as ever.
    world.jar.clear();
    let reply = world.send(&[(":method", "GET"), (":path", "/both"), ("sec-fetch-mode", "cors")]);
    assert_eq!(reply.code(), (401, "sign_in_required"));
}

#[test]
fn a_step_up_response_to_a_script_contains_the_sign_in_url() {
    let mut world = world();
    authenticates(&mut world, Some("pwd"), Some(3600));
    world.sign_in("/");
    for (path, wanted) in [("/strong/api", [Some("phr mfa"), None]), ("/recent/api", [None, Some("600")])] {
        let fetched = [(":method", "GET"), (":path", path), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
        let reply = world.send(&fetched).reply();
        assert_eq!((reply.status, reply.code), (401, "insufficient_user_authentication"), "{path}");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let mut url = url::Url::parse(body["sign_in_url"].as_str().unwrap()).unwrap();
        url.query_pairs_mut().append_pair("rd", "/page#part");
        let (_, parameters) = asked(&mut world, &format!("{}?{}", url.path(), url.query().unwrap()));
        assert_eq!(demand(&parameters), wanted, "{path}");
        assert!(passes(&mut world, "/page"), "{path}");
    }
}

#[test]
fn step_up_applies_to_access_tokens() {
    let mut world = world_with(&[access_tokens()]);
    for (claims, good) in [
        (json!({}), ["", ""]),
        (json!({ "acr": "mfa" }), ["/strong", ""]),
        (json!({ "acr": "phr", "auth_time": world.now.as_secs() - 10 }), ["/strong", "/recent"]),
        (json!({ "acr": ["phr"], "auth_time": "now" }), ["", ""]),
        (json!({ "acr": "PHR", "auth_time": world.now.as_secs() - 700 }), ["", ""]),
        (json!({ "acr": "phr mfa", "auth_time": -1 }), ["", ""]),
    ] {
        let token = world.access_token_with(&claims);
        for path in ["/strong", "/recent"] {
            let outcome =
                world.send(&[(":method", "GET"), (":path", path), ("authorization", &format!("Bearer {token}"))]);
            if good.contains(&path) {
                assert!(matches!(outcome, Outcome::Forwarded { .. }), "{path} {claims}: {outcome:?}");
            } else {
                let reply = outcome.reply();
                assert_eq!((reply.status, reply.code), (401, "insufficient_user_authentication"), "{path} {claims}");
                // A sign-in would not change the token.
                assert!(!String::from_utf8_lossy(&reply.body).contains("sign_in_url"), "{path} {claims}");
            }
        }
    }
}

#[test]
fn a_refused_user_is_not_asked_for_a_step_up() {
    let mut world = world();
    authenticates(&mut world, Some("pwd"), Some(0));
    world.sign_in("/");
    assert_eq!(world.visit("/staff").code(), (403, "not_allowed"));
}

#[test]
fn a_renewal_does_not_strengthen_acr_or_auth_time() {
    let mut world = world();
    authenticates(&mut world, Some("phr"), Some(0));
    world.sign_in("/");
    // Many ID tokens of a refresh are silent about it, and none may make an old sign-in new.
    for (acr, silent) in [(None, true), (Some("pwd"), false)] {
        authenticates(&mut world, acr, None);
        world.advance(500);
        let held = world.visit("/");
        assert!(matches!(world.then(held), Outcome::Forwarded { .. }));
        assert_eq!(passes(&mut world, "/strong"), silent, "{acr:?}");
    }
    let (_, parameters) = asked(&mut world, "/recent");
    assert_eq!(demand(&parameters), [None, Some("600")]);
}

#[test]
fn auth_time_of_a_refreshed_id_token_is_not_a_new_sign_in() {
    for first in [Some(0), None] {
        let mut world = world();
        authenticates(&mut world, None, first);
        world.sign_in("/");
        world.advance(500);
        authenticates(&mut world, None, Some(0));
        let held = world.visit("/");
        assert!(matches!(world.then(held), Outcome::Forwarded { .. }), "the session goes on all the same");
        world.advance(200);
        let (_, parameters) = asked(&mut world, "/recent");
        assert_eq!(demand(&parameters), [None, Some("600")], "{first:?}");
    }
}

/// A provider that writes milliseconds would otherwise have signed everybody in a moment ago, for ever.
#[test]
fn a_future_auth_time_is_not_recent() {
    for (ahead, good) in [(60, true), (61, false), (1_800_000_000 * 999, false)] {
        let mut world = world();
        let time = world.now.as_secs() + ahead;
        world.provider.claims = Box::new(move |claims| drop(claims.insert("auth_time".to_owned(), json!(time))));
        world.sign_in("/");
        assert_eq!(passes(&mut world, "/recent"), good, "{ahead}");
    }
}

#[test]
fn links_and_authorization_params_cannot_weaken_a_step_up() {
    let provider = json!([{
        "issuer": "https://idp.example.com", "client_id": "client", "client_secret": "secret",
        "authorization_params": { "acr_values": "pwd", "max_age": "86400", "ui_locales": "de" },
    }]);
    let sign_in = json!({ "pass_parameters": ["acr_values"] });
    let mut world = world_with(&[("providers", provider), ("sign_in", sign_in)]);
    let (_, parameters) = asked(&mut world, "/both");
    assert_eq!(demand(&parameters), [Some("phr"), Some("600")]);
    assert_eq!(parameters["ui_locales"], "de");
    // A `step_up` parameter that belongs to no rule is ignored.
    for made_up in ["00000000", "xyz", "-1", "", "123456789012"] {
        let (_, parameters) = asked(&mut world, &format!("/oauth2/start?rd=/both&step_up={made_up}&acr_values=low"));
        assert_eq!(demand(&parameters), [Some("pwd"), Some("86400")], "{made_up}");
    }
}

#[test]
fn a_plain_sign_in_does_not_satisfy_a_step_up() {
    let mut world = world();
    authenticates(&mut world, Some("pwd"), Some(0));
    // A link that leads around the rule.
    let reply = world.visit("/oauth2/start?rd=/strong").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
    let (_, parameters) = asked(&mut world, "/strong");
    assert_eq!(demand(&parameters), [Some("phr mfa"), None]);
}

#[test]
fn unsupported_acr_values_of_a_rule_are_logged_once() {
    let names = |listed: Value| {
        let mut document = super::world::document();
        let rule = |acr: &str| json!({ "prefix": format!("/{acr}"), "access": "required", "step_up": { "acr_values": [acr, "mfa"] } });
        document["rules"] = json!([
            rule("phr"),
            { "prefix": "/gold", "access": "required", "step_up": { "acr_values": ["gold"] } },
            { "prefix": "/recent", "access": "required", "step_up": { "max_age_seconds": 600 } },
        ]);
        let mut world = World::with(&document);
        world.provider.metadata = Box::new(move |metadata| metadata["acr_values_supported"] = listed.clone());
        world.settle();
        world.advance(2 * 24 * 3600);
        world.settle();
        let is_it = |event: &&Event| event.counter() == "vestibule_unknown_acr_values" && event.level() == Level::Warn;
        world.events.iter().filter(is_it).map(Event::to_string).collect::<Vec<_>>()
    };
    let gold = [format!(
        "a rule asks {ISSUER} for acr gold, and acr_values_supported in its metadata has none of these values: its users may never \
         pass; compare them"
    )];
    assert_eq!(names(json!(["mfa", "pwd"])), gold);
    assert_eq!(names(json!(["mfa", "gold", 1, null])), [""; 0]);
    assert_eq!(names(json!([])).len(), 2);
    for unreadable in [Value::Null, json!("gold"), json!({}), json!(1)] {
        assert_eq!(names(unreadable), [""; 0]);
    }
}
