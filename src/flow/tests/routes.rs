//! Routes that name their policy in metadata.

use serde_json::json;

use super::{
    super::{event::Reason, *},
    world::{Outcome, World},
};
use crate::http::{Request, RouteMetadata};

fn world() -> World {
    World::ready_with(&[
        (
            "rules",
            json!([
                { "path": "/public/*", "access": "public" },
                { "name": "owners", "path": "/owners/*", "policy": "owners", "locked": true },
            ]),
        ),
        (
            "policies",
            json!({
                "open": { "access": "public" },
                "people": { "access": "required" },
                "owners": { "access": "required", "allow": { "groups": ["owners"] } },
                "machines": { "access": "bearer" },
                "closed": { "access": "deny" },
            }),
        ),
        ("route_metadata", json!(true)),
    ])
}

fn named(name: &str) -> RouteMetadata {
    RouteMetadata::Policy(name.to_owned())
}

/// A script's request with these headers, on a route with this metadata.
fn on(world: &mut World, route: RouteMetadata, path: &str, headers: &[(&str, &str)]) -> Outcome {
    let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let mut all = vec![(":method", "GET"), (":path", path), (":authority", "app.example.com"), ("cookie", &cookies)];
    all.extend(headers);
    let request = Request::new(all.into_iter().map(|(name, value)| (name, value.as_bytes()))).with_route(route);
    let step = world.start(request.clone());
    world.perform(step, &request)
}

#[track_caller]
fn assert_passes(outcome: &Outcome, expected: Reason) {
    let Outcome::Forwarded { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(*reason, expected);
}

#[test]
fn a_route_policy_decides_with_and_without_a_session() {
    let mut world = world();
    let codes = |world: &mut World, path: &str| {
        let refused = ["people", "owners", "machines", "closed"];
        refused.map(|policy| on(world, named(policy), path, &[]).code())
    };
    assert_passes(&on(&mut world, named("open"), "/x", &[]), Reason::Public);
    let (sign_in, denied) = ((401, "sign_in_required"), (403, "denied"));
    assert_eq!(codes(&mut world, "/x"), [sign_in, sign_in, (401, "token_required"), denied]);
    assert_eq!(codes(&mut world, "/public/x"), [sign_in, sign_in, (401, "token_required"), denied]);
    // A public route does not open a path of a locked rule.
    assert_eq!(on(&mut world, named("open"), "/owners/x", &[]).code(), sign_in);
    world.sign_in("/oauth2/start?rd=/");
    assert_passes(&on(&mut world, named("people"), "/x", &[]), Reason::Session);
    assert_passes(&on(&mut world, RouteMetadata::Absent, "/x", &[]), Reason::Session);
    assert_eq!(on(&mut world, named("owners"), "/x", &[]).code(), (403, "not_allowed"));
    assert_eq!(on(&mut world, named("open"), "/owners/x", &[]).code(), (403, "not_allowed"));
    let log: Vec<_> = world.events.iter().map(ToString::to_string).collect();
    for rule in ["owners", "closed"] {
        assert!(log.iter().any(|line| line.contains(&format!("rule {rule:?}"))), "{rule}: {log:?}");
    }
}

#[test]
fn route_metadata_without_a_known_policy_refuses_and_is_logged() {
    let mut world = world();
    world.sign_in("/oauth2/start?rd=/");
    for (route, told) in [
        (named("opne"), r#"its route names "opne" in its metadata, which is not a policy"#),
        (named("a\nb"), r#"its route names "a\nb" in its metadata, which is not a policy"#),
        (RouteMetadata::Unreadable, "its route has other metadata under `vestibule` than one name: {policy: NAME}"),
    ] {
        for path in ["/public/x", "/x", "/owners/x", "/a//b"] {
            for headers in [&[][..], &[("authorization", "Bearer x")], &[("x-request-id", "r-1")]] {
                assert_eq!(
                    on(&mut world, route.clone(), path, headers).code(),
                    (500, "route_policy"),
                    "{route:?} {path}"
                );
            }
        }
        let event = world.events.last().unwrap();
        assert_eq!(event.level(), event::Level::Error);
        assert!(event.to_string().contains(told), "{event}");
        // Our own paths ignore the route's metadata.
        assert_eq!(on(&mut world, route, "/oauth2/userinfo", &[]).code(), (200, "userinfo"));
    }
}

#[test]
fn headers_of_other_systems_are_removed_on_a_route_with_a_policy() {
    let mut world = world();
    for name in ["x-forwarded-access-token", "remote_user", "x-webauth-user"] {
        let Outcome::Forwarded { headers, .. } = on(&mut world, named("open"), "/public/x", &[(name, "mallory")])
        else {
            panic!("{name} was refused")
        };
        assert!(headers.iter().all(|(_, value)| value != "mallory"), "{name}: {headers:?}");
    }
}

#[test]
fn a_client_sent_identity_header_is_refused_with_route_metadata() {
    let mut world = world();
    world.sign_in("/oauth2/start?rd=/");
    for name in ["x-forwarded-user", "x_forwarded_groups", "x-forwarded-email"] {
        for route in [named("open"), named("people"), RouteMetadata::Absent] {
            let outcome = on(&mut world, route, "/public/x", &[(name, "mallory")]);
            assert_eq!(outcome.code(), (400, "reserved_header"), "{name}");
        }
        assert!(world.events.last().unwrap().to_string().contains(name));
    }
    // Without `route_metadata` the header is removed, as usual.
    let mut world = World::ready();
    assert_passes(
        &on(&mut world, RouteMetadata::Absent, "/public/x", &[("x-forwarded-user", "mallory")]),
        Reason::Public,
    );
}

#[test]
fn a_held_request_is_decided_by_the_policy_of_its_route() {
    for (policy, expected) in [("people", Reason::Session), ("open", Reason::Public)] {
        let mut world = world();
        world.provider.refreshes = true;
        world.sign_in("/oauth2/start?rd=/");
        world.advance(480);
        let outcome = on(&mut world, named(policy), "/x", &[]);
        let outcome = if matches!(outcome, Outcome::Held(_)) { world.then(outcome) } else { outcome };
        assert_passes(&outcome, expected);
    }
    let mut world = world();
    world.provider.refreshes = true;
    world.sign_in("/oauth2/start?rd=/");
    world.advance(480);
    let held = on(&mut world, named("owners"), "/x", &[]);
    assert!(matches!(held, Outcome::Held(_)), "{held:?}");
    assert_eq!(world.then(held).code(), (403, "not_allowed"));
}

#[test]
fn a_response_of_a_route_chosen_after_the_decision_is_withheld() {
    let mut world = world();
    let reply = world.decide(|worker| worker.route_changed());
    assert_eq!((reply.status, reply.code), (500, "route_policy"));
    assert!(world.events.last().unwrap().to_string().contains("its route was chosen after"));
}
