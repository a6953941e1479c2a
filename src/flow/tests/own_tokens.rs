//! Apps that read `Authorization` themselves (`authorization: app`): the header holds no credential for us, and the session
//! decides.

use serde_json::{Value, json};

use super::{
    super::event::Reason,
    world::{Outcome, STATIC_TOKEN, World, access_tokens, static_tokens},
};
use crate::http::{Request, RouteMetadata};

fn world(more: &[(&str, Value)]) -> World {
    let mut changes = vec![
        access_tokens(),
        static_tokens(),
        (
            "rules",
            json!([
                { "path": "/own/*", "access": "required", "authorization": "app" },
                { "path": "/news/*", "access": "optional", "authorization": "app" },
                { "path": "/open/*", "access": "public", "authorization": "app" },
            ]),
        ),
    ];
    changes.extend(more.iter().cloned());
    World::ready_with(&changes)
}

/// Values of the header: the app's own tokens, valid and invalid ones of ours, other schemes, several lines.
fn lines(world: &World) -> Vec<Vec<String>> {
    let access_token = format!("Bearer {}", world.access_token());
    let texts: [&[&str]; 8] = [
        &["Bearer the-app-s-own"],
        &["Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"],
        &["Bearer "],
        &["bearer a b c"],
        &["Token abc"],
        &["Bearer one", "Basic bWU6bWU="],
        &["Bearer vst_0123456789abcdef0123456789abcdef"],
        &[&access_token],
    ];
    texts.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect()).to_vec()
}

fn send(world: &mut World, path: &str, lines: &[String], mode: &str) -> Outcome {
    let mut headers = vec![(":method", "GET"), (":path", path), ("sec-fetch-mode", mode), ("accept", "text/html")];
    headers.extend(lines.iter().map(|line| ("authorization", line.as_str())));
    world.send(&headers)
}

/// The reason why it passed, the user, and the `Authorization` that the app got.
#[track_caller]
fn passed(outcome: &Outcome) -> (Reason, Option<&str>, Vec<String>) {
    let Outcome::Forwarded { reason, headers, .. } = outcome else { panic!("{outcome:?}") };
    let authorization = headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.clone());
    let user = headers.iter().find(|(name, _)| name == "x-forwarded-user").map(|(_, value)| value.as_str());
    (*reason, user, authorization.collect())
}

#[test]
fn authorization_app_forwards_the_clients_header_with_a_session() {
    let mut world = world(&[]);
    world.sign_in("/");
    for lines in lines(&world) {
        for path in ["/own/x", "/news/x"] {
            let outcome = send(&mut world, path, &lines, "cors");
            assert_eq!(passed(&outcome), (Reason::Session, Some("alice"), lines.clone()), "{path}");
        }
        let outcome = send(&mut world, "/open/x", &lines, "cors");
        assert_eq!(passed(&outcome), (Reason::Public, None, lines.clone()));
    }
}

#[test]
fn authorization_app_accepts_no_token_in_place_of_a_session() {
    let mut world = world(&[]);
    for lines in lines(&world) {
        assert_eq!(send(&mut world, "/own/x", &lines, "cors").code(), (401, "sign_in_required"), "{lines:?}");
        assert_eq!(send(&mut world, "/own/x", &lines, "navigate").code(), (302, "sign_in_started"), "{lines:?}");
        let outcome = send(&mut world, "/news/x", &lines, "cors");
        assert_eq!(passed(&outcome), (Reason::Public, None, lines.clone()));
    }
    // A session that has ended is none.
    world.sign_in("/");
    world.advance(8 * 3600);
    assert_eq!(
        send(&mut world, "/own/x", &[format!("Bearer {STATIC_TOKEN}")], "cors").code(),
        (401, "sign_in_required")
    );
}

#[test]
fn an_ambiguous_path_verifies_tokens_unless_all_rules_say_app() {
    let mut world = world(&[]);
    world.sign_in("/");
    let own = ["Bearer the-app-s-own".to_owned()];
    for path in ["/", "/own/../x", "/own/%2e%2e/x", "/own//x/../../y", "/own/..;/x"] {
        assert_eq!(send(&mut world, path, &own, "cors").code(), (401, "invalid_token"), "{path}");
    }
    // A malformed token does not pass there either: the app could take it for one of ours.
    let outcome = send(&mut world, "/own/../x", &["Token abc".to_owned()], "cors");
    assert_eq!(passed(&outcome), (Reason::Session, Some("alice"), Vec::new()));
    let outcome = send(&mut world, "/own/../x", &[format!("Bearer {STATIC_TOKEN}")], "cors");
    assert_eq!(passed(&outcome), (Reason::Bearer, Some("ci"), Vec::new()));
}

#[test]
fn authorization_app_as_default_applies_to_rules_without_the_setting() {
    let rules = json!([{ "path": "/machines/*", "access": "bearer", "authorization": "keep" }]);
    let mut world = world(&[("authorization", json!("app")), ("rules", rules)]);
    let own = ["Bearer the-app-s-own".to_owned()];
    assert_eq!(send(&mut world, "/", &[format!("Bearer {STATIC_TOKEN}")], "cors").code(), (401, "sign_in_required"));
    world.sign_in("/");
    assert_eq!(passed(&send(&mut world, "/", &own, "cors")), (Reason::Session, Some("alice"), own.to_vec()));
    assert_eq!(send(&mut world, "/machines/x", &own, "cors").code(), (401, "invalid_token"));
    assert_eq!(send(&mut world, "/x/../y", &own, "cors").code(), (401, "invalid_token"));
    // Where every rule that may be meant leaves it to the app, an ambiguous path does too.
    let rules = json!([{ "path": "/own/*", "access": "required", "authorization": "app" }]);
    let mut world = self::world(&[("authorization", json!("app")), ("rules", rules)]);
    world.sign_in("/");
    assert_eq!(passed(&send(&mut world, "/own/../x", &own, "cors")), (Reason::Session, Some("alice"), own.to_vec()));
}

#[test]
fn authorization_app_applies_in_a_route_policy() {
    let policies = json!({
        "own": { "access": "required", "authorization": "app" },
        "machines": { "access": "bearer" },
    });
    let mut world = world(&[("policies", policies), ("route_metadata", json!(true)), ("rules", json!([]))]);
    world.sign_in("/");
    let mut on = |policy: &str, path: &str| {
        let cookies = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let headers = [
            (":method", "GET"),
            (":path", path),
            (":authority", "app.example.com"),
            ("cookie", cookies.as_str()),
            ("authorization", "Bearer the-app-s-own"),
        ];
        let request = Request::new(headers.map(|(name, value)| (name, value.as_bytes())));
        let request = request.with_route(RouteMetadata::Policy(policy.to_owned()));
        let step = world.start(request.clone());
        world.perform(step, &request)
    };
    assert_eq!(passed(&on("own", "/x")).2, ["Bearer the-app-s-own"]);
    assert_eq!(on("machines", "/x").code(), (401, "invalid_token"));
    // Another policy may be meant.
    assert_eq!(on("own", "/x/../y").code(), (401, "invalid_token"));
}

#[test]
fn authorization_app_still_verifies_the_token_cookie() {
    let mut world = world(&[("token_cookie", json!("token"))]);
    let own = ["Bearer the-app-s-own".to_owned()];
    world.jar.insert("token".to_owned(), STATIC_TOKEN.to_owned());
    let outcome = send(&mut world, "/own/x", &own, "cors");
    assert_eq!(passed(&outcome), (Reason::Bearer, Some("ci"), own.to_vec()));
    // An invalid one is refused, except where a session is optional.
    world.jar.insert("token".to_owned(), "forged".to_owned());
    assert_eq!(send(&mut world, "/own/x", &own, "cors").code(), (401, "invalid_token"));
    assert_eq!(passed(&send(&mut world, "/news/x", &own, "cors")), (Reason::Public, None, own.to_vec()));
    world.jar.remove("token");
    world.sign_in("/");
    world.jar.insert("token".to_owned(), "forged".to_owned());
    assert_eq!(passed(&send(&mut world, "/own/x", &own, "cors")), (Reason::Session, Some("alice"), own.to_vec()));
}
