//! Tokens for the app in `Authorization`, and filter state for other filters.

use serde_json::{Value, json};

use super::{
    super::{event::Event, *},
    world::{Outcome, STATIC_TOKEN, World, access_tokens, ok, static_tokens},
};
use crate::session::{OptionalToken, app_tokens::ForwardedTokens};

/// A world with this default of `authorization`, and rules for its values.
fn world(by_default: &str) -> World {
    world_with(by_default, &[])
}

fn world_with(by_default: &str, more: &[(&str, Value)]) -> World {
    let mut changes = vec![
        ("authorization", json!(by_default)),
        access_tokens(),
        static_tokens(),
        (
            "rules",
            json!([
                { "name": "public", "path": "/public/*", "access": "public" },
                { "path": "/optional", "access": "optional" },
                { "name": "kept", "path": "/kept/*", "access": "required", "authorization": "keep" },
                { "name": "stripped", "path": "/stripped/*", "access": "required", "authorization": "strip" },
                { "path": "/at/*", "access": "required", "authorization": "access_token" },
                { "path": "/id/*", "access": "required", "authorization": "id_token" },
            ]),
        ),
    ];
    changes.extend(more.iter().cloned());
    World::ready_with(&changes)
}

fn authorization(outcome: &Outcome) -> Vec<&str> {
    let Outcome::Forwarded { headers, .. } = outcome else { panic!("{outcome:?}") };
    headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.as_str()).collect()
}

/// The `Authorization` lines that the app gets from a request with these lines.
fn sent(world: &mut World, path: &str, lines: &[&str]) -> Vec<String> {
    let mut headers = vec![(":method", "GET"), (":path", path)];
    headers.extend(lines.iter().map(|line| ("authorization", *line)));
    let outcome = world.send(&headers);
    let outcome = world.then(outcome);
    authorization(&outcome).into_iter().map(str::to_owned).collect()
}

/// Sets the access token in the provider's token responses.
fn gives(world: &mut World, token: &'static str) {
    world.provider.token_response = Box::new(move |mut body| {
        body["access_token"] = json!(token);
        ok(&body)
    });
}

const FORGED: [&[&str]; 3] = [&[], &["Basic bWU6bWU="], &["Basic bWU6bWU=", "Basic eDp5"]];

#[test]
fn the_app_receives_the_sessions_token_in_place_of_the_clients() {
    let mut world = world("access_token");
    world.sign_in("/");
    for lines in FORGED {
        for path in ["/", "/at/x", "/optional"] {
            assert_eq!(sent(&mut world, path, lines), ["Bearer at"], "{path}");
        }
        assert_eq!(sent(&mut world, "/kept/x", lines), lines);
        for path in ["/stripped/x", "/public/x"] {
            assert_eq!(sent(&mut world, path, lines), [""; 0], "{path}");
        }
        let [id_token] = &sent(&mut world, "/id/x", lines)[..] else { panic!("{lines:?}") };
        assert!(id_token.starts_with("Bearer ey") && id_token.split('.').count() == 3, "{id_token}");
    }
}

#[test]
fn an_unauthenticated_clients_authorization_passes_only_with_keep() {
    let preflight = [
        (":method", "OPTIONS"),
        (":path", "/"),
        ("origin", "https://other.example.com"),
        ("access-control-request-method", "GET"),
    ];
    for (by_default, is_kept) in [("keep", true), ("strip", false), ("access_token", false), ("id_token", false)] {
        let mut world = world(by_default);
        for path in ["/public/x", "/optional"] {
            for lines in FORGED {
                let expected = if is_kept { lines } else { &[] };
                assert_eq!(sent(&mut world, path, lines), expected, "{by_default} {path}");
            }
        }
        // A bearer token on a public path is not checked.
        let forged = &["Bearer forged"];
        assert_eq!(sent(&mut world, "/public/x", forged), if is_kept { &forged[..] } else { &[] }, "{by_default}");
        assert_eq!(authorization(&world.send(&preflight)), [""; 0]);
    }
}

#[test]
fn an_api_clients_token_is_forwarded_only_where_configured() {
    for (by_default, access, listed) in
        [("keep", true, true), ("strip", false, false), ("access_token", true, false), ("id_token", false, false)]
    {
        let mut world = world(by_default);
        let token = world.access_token();
        for (token, is_kept) in [(token.as_str(), access), (STATIC_TOKEN, listed)] {
            let line = format!("Bearer {token}");
            for path in ["/", "/optional"] {
                let expected = if is_kept { vec![line.clone()] } else { vec![] };
                assert_eq!(sent(&mut world, path, &[&line]), expected, "{by_default} {path}");
            }
            assert_eq!(sent(&mut world, "/kept/x", &[&line]), [line], "{by_default}");
        }
    }
}

#[test]
fn no_token_is_forwarded_where_ambiguous_rules_differ() {
    let mut world = world("access_token");
    world.sign_in("/");
    for path in ["/at/../kept/x", "/at//x", "/at/%2e%2e/x", "/kept;/x"] {
        assert_eq!(sent(&mut world, path, &["Basic bWU6bWU="]), [""; 0], "{path}");
    }
    // Every rule that may apply says the same.
    let mut world = World::ready_with(&[
        ("authorization", json!("access_token")),
        ("rules", json!([{ "path": "/a/*", "access": "required" }, { "path": "/b/*", "access": "optional" }])),
    ]);
    world.sign_in("/");
    assert_eq!(sent(&mut world, "/a/../b/x", &[]), ["Bearer at"]);
}

#[test]
fn an_expired_access_token_is_never_forwarded() {
    let mut world = world("access_token");
    world.sign_in("/");
    world.advance(599);
    assert_eq!(sent(&mut world, "/", &["Basic x"]), ["Bearer at"]);
    world.advance(1);
    assert_eq!(sent(&mut world, "/", &["Basic x"]), [""; 0]);
    assert_eq!(sent(&mut world, "/", &[]), [""; 0]);
    // Nor with a refresh token, while the provider is down.
    let mut world = self::world("access_token");
    world.provider.refreshes = true;
    world.sign_in("/");
    world.provider.up = false;
    world.advance(500);
    assert_eq!(sent(&mut world, "/", &["Basic x"]), ["Bearer at"]);
    world.advance(100);
    assert_eq!(sent(&mut world, "/", &["Basic x"]), [""; 0]);
    // Nor with a lifetime of zero.
    let mut world = self::world("access_token");
    world.provider.token_response = Box::new(|mut body| {
        body["expires_in"] = json!(0);
        ok(&body)
    });
    world.sign_in("/");
    assert_eq!(sent(&mut world, "/", &["Basic x"]), [""; 0]);
}

/// A signed-in user with access tokens of this lifetime.
fn lasting(seconds: u64) -> World {
    let mut world = world("access_token");
    world.provider.refreshes = true;
    world.provider.token_response = Box::new(move |mut body| {
        body["expires_in"] = json!(seconds);
        ok(&body)
    });
    world.sign_in("/");
    world
}

#[test]
fn a_short_access_token_is_renewed_before_it_ends() {
    for seconds in [5, 10, 29, 31] {
        let mut world = lasting(seconds);
        for second in 0..100 {
            assert_eq!(sent(&mut world, "/", &[]), ["Bearer at"], "{seconds} at {second}");
            world.advance(1);
        }
        // After a pause without requests, too.
        world.advance(100);
        assert_eq!(sent(&mut world, "/", &[]), ["Bearer at"], "{seconds}");
        let refreshes = world.provider.asked["/token"] - 1;
        assert!(refreshes <= 100 / usize::try_from(seconds * 4 / 5).unwrap() + 1, "{seconds}: {refreshes}");
    }
}

#[test]
fn a_very_short_access_token_is_logged_once_and_not_renewed_repeatedly() {
    let is_its = |event: &&Event| event.counter() == "vestibule_short_access_tokens";
    for seconds in [0, 1, 4] {
        let mut world = lasting(seconds);
        for _ in 0..100 {
            let _ = sent(&mut world, "/", &["Basic x"]);
            world.advance(1);
        }
        assert!(world.provider.asked["/token"] <= 6, "{seconds}");
        let said: Vec<_> =
            world.events.iter().filter(is_its).filter(|event| event.level() == event::Level::Warn).collect();
        assert!(said.len() == 1 && said[0].to_string().contains(&format!("last {seconds} seconds")), "{said:?}");
    }
    assert!(lasting(5).events.iter().find(is_its).is_none());
}

#[test]
fn a_renewed_session_forwards_the_new_token() {
    let mut world = world("access_token");
    world.provider.refreshes = true;
    world.sign_in("/");
    let old = world.jar.clone();
    gives(&mut world, "at-2");
    world.advance(480);
    assert_eq!(sent(&mut world, "/", &[]), ["Bearer at-2"]);
    assert_eq!(sent(&mut world, "/", &[]), ["Bearer at-2"]);
    // The old cookie leads to the new token, too.
    world.jar = old;
    assert_eq!(sent(&mut world, "/", &[]), ["Bearer at-2"]);
    world.advance(599);
    assert_eq!(sent(&mut world, "/kept/x", &[]), [""; 0]);
}

#[test]
fn a_stored_session_forwards_its_token() {
    let mut world = world_with("access_token", &[("session", json!({ "store": { "cluster": "webdis" } }))]);
    world.sign_in("/");
    assert_eq!(sent(&mut world, "/", FORGED[1]), ["Bearer at"]);
    world.advance(600);
    assert_eq!(sent(&mut world, "/", FORGED[1]), [""; 0]);
}

#[test]
fn a_newly_configured_token_is_forwarded_after_the_next_renewal() {
    let more = [("sign_out", json!({ "at_provider": false }))];
    for (wanted, token) in [("access_token", "Bearer at"), ("id_token", "Bearer ey")] {
        let mut world = world_with("keep", &more);
        world.reconfigure(|config| config.forwarded_tokens = ForwardedTokens::default());
        world.provider.refreshes = true;
        world.sign_in("/");
        world.reconfigure(|config| *config = world_with(wanted, &more).config);
        assert_eq!(sent(&mut world, "/", FORGED[1]), [""; 0]);
        world.advance(480);
        assert!(sent(&mut world, "/", FORGED[1])[0].starts_with(token), "{wanted}");
    }
}

#[test]
fn a_forwarded_id_token_is_renewed_before_it_expires() {
    let mut world = world("id_token");
    world.provider.refreshes = true;
    world.sign_in("/");
    let before = sent(&mut world, "/", &[]);
    world.advance(239);
    assert_eq!(sent(&mut world, "/", &[]), before);
    world.advance(1);
    let renewed = sent(&mut world, "/", &[]);
    assert!(renewed.len() == 1 && renewed != before, "{renewed:?}");
    // Many providers send no ID token with a refresh: the previous one is sent until it expires.
    world.provider.refresh_response = Some(Box::new(|mut body| {
        body.as_object_mut().unwrap().shift_remove("id_token");
        ok(&body)
    }));
    world.advance(240);
    assert_eq!(sent(&mut world, "/", &[]), renewed);
    world.advance(60);
    assert_eq!(sent(&mut world, "/", &["Basic x"]), [""; 0]);
}

#[test]
fn a_session_keeps_tokens_only_if_a_setting_forwards_them() {
    let long = "x".repeat(5000);
    let cookies = |by_default: &str, more: &[(&str, Value)]| {
        let token = long.clone();
        let mut changes = vec![("rules", json!([])), ("sign_out", json!({ "at_provider": false }))];
        changes.extend(more.iter().cloned());
        let mut world = world_with(by_default, &changes);
        world.provider.token_response = Box::new(move |mut body| {
            body["access_token"] = json!(token);
            ok(&body)
        });
        world.sign_in("/");
        world.session_cookies().len()
    };
    for by_default in ["keep", "strip", "id_token"] {
        assert_eq!(cookies(by_default, &[]), 1, "{by_default}");
    }
    assert_eq!(cookies("access_token", &[]), 2);
    let rule = json!([{ "path": "/x", "access": "required", "authorization": "access_token" }]);
    assert_eq!(cookies("strip", &[("rules", rule)]), 2);
}

#[test]
fn a_token_that_is_no_valid_header_value_is_not_forwarded() {
    for token in ["a b", "a\r\nx-admin: 1", "é", "a,b", "\"a\"", &"x".repeat(16 * 1024 + 1)] {
        let mut world = world("access_token");
        let token = token.to_owned();
        world.provider.token_response = Box::new(move |mut body| {
            body["access_token"] = json!(token);
            ok(&body)
        });
        world.sign_in("/");
        assert_eq!(sent(&mut world, "/", &["Basic x"]), [""; 0]);
    }
}

#[test]
fn a_large_session_omits_the_id_token_first_then_the_access_token() {
    for (length, expected) in [
        (5000, &[][..]),
        (14_700, &[Event::LeftOut(OptionalToken::IdToken)]),
        (16_000, &[Event::LeftOut(OptionalToken::IdToken), Event::LeftOut(OptionalToken::AccessToken)]),
    ] {
        let mut world = world("access_token");
        world.provider.refreshes = true;
        world.provider.token_response = Box::new(move |mut body| {
            body["access_token"] = json!("x".repeat(length));
            ok(&body)
        });
        world.sign_in("/");
        let cut: Vec<_> = world.events.iter().filter(|event| matches!(event, Event::LeftOut(_))).cloned().collect();
        assert_eq!(cut, expected, "{length}");
        let is_there = sent(&mut world, "/", &["Basic x"]).len();
        assert_eq!(is_there, usize::from(expected.len() < 2), "{length}");
        // The rest of the session is kept, with its refresh token.
        world.advance(480);
        let held = world.visit("/");
        assert!(matches!(held, Outcome::Held(_)), "{length}");
    }
}

#[test]
fn filter_state_contains_the_claims_of_the_user_and_the_rule() {
    let state = json!({
        "claims": {
            "tenant": "/org/id",
            "who": { "template": "{sub}@{/org/id}", "encoding": "percent" },
            "groups": { "claim": "groups", "separator": "|" },
            "missing": "missing",
        },
        "rule": true,
    });
    let mut world = world_with("keep", &[("filter_state", state)]);
    world.provider.claims = Box::new(|claims| drop(claims.insert("org".into(), json!({ "id": "acme ü" }))));
    world.sign_in("/");
    let state = |world: &mut World, path: &str, line: &str| {
        let outcome = world.send(&[(":method", "GET"), (":path", path), ("authorization", line)]);
        let Outcome::Forwarded { state, .. } = outcome else { panic!("{outcome:?}") };
        state.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    let alice = ["tenant=acme ü", "who=alice@acme%20%C3%BC", "groups=staff|admins"];
    let by = |rule: &'static str| [&alice[..], &[rule]].concat();
    assert_eq!(state(&mut world, "/", "Basic x"), alice);
    assert_eq!(state(&mut world, "/kept/x", "Basic x"), by("vestibule_rule=kept"));
    assert_eq!(state(&mut world, "/stripped/x", "Basic x"), by("vestibule_rule=stripped"));
    // `vestibule_rule` is absent if the rule has no name, or if another rule may apply to the path.
    assert_eq!(state(&mut world, "/at/x", "Basic x"), alice);
    assert_eq!(state(&mut world, "/kept/../x", "Basic x"), alice);
    assert_eq!(state(&mut world, "/public/x", "Basic x"), ["vestibule_rule=public"]);
    let token = world.access_token();
    assert_eq!(state(&mut world, "/", &format!("Bearer {token}")), [""; 0]);
    // The subject of a session or token, where it is configured.
    let mut named = world_with("keep", &[("filter_state", json!({ "user": true }))]);
    named.sign_in("/");
    assert_eq!(state(&mut named, "/", "Basic x"), ["vestibule_user=alice"]);
    let token = named.access_token();
    let by_token = state(&mut named, "/", &format!("Bearer {token}"));
    assert!(matches!(&by_token[..], [user] if user.starts_with("vestibule_user=")), "{by_token:?}");
    assert_eq!(state(&mut named, "/public/x", "Basic x"), [""; 0]);
    // A new session has its own filter state, and a value over 4096 bytes is left out.
    world.provider.claims = Box::new(|claims| {
        claims.insert("org".into(), json!({ "id": "x".repeat(4096) }));
        claims.insert("groups".into(), json!("x".repeat(4097)));
    });
    world.sign_in_again();
    assert_eq!(state(&mut world, "/", "Basic x"), [format!("tenant={}", "x".repeat(4096))]);
}
