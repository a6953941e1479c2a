//! The module for scripts of the app: what is served, and where a script's sign-in begins.

use serde_json::{Value, json};

use super::world::{APP, Outcome, PARTNERS, World, document, header};
use crate::{flow::event::Reason, http::LocalReply};

const SOURCE: &str = include_str!("../../../envoy/client.js");
const PATH: &str = "/oauth2/client.js";

fn asks(world: &mut World, method: &str, path: &str, headers: &[(&str, &str)]) -> LocalReply {
    let mut all = vec![(":method", method), (":path", path), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "script")];
    all.extend(headers);
    world.send(&all).reply()
}

fn is_forwarded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. })
}

#[test]
fn the_client_script_is_public_and_has_no_comments() {
    let mut world = World::ready();
    let reply = asks(&mut world, "GET", PATH, &[]);
    assert_eq!((reply.status, reply.code), (200, "client_script"));
    for (name, value) in [
        ("cache-control", "public, max-age=300"),
        ("content-type", "text/javascript; charset=utf-8"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(reply.headers.iter().filter(|(known, _)| *known == name).count(), 1, "{name}");
        assert_eq!(header(&reply, name), Some(value));
    }
    assert!(world.jar.is_empty() && header(&reply, "access-control-allow-origin").is_none(), "{reply:?}");
    let kept = SOURCE.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('/'));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    assert_eq!(String::from_utf8(reply.body).unwrap(), kept);
    assert!(kept.len() < 4_096 && !kept.contains("//") && !kept.contains("/*"), "{} bytes: {kept}", kept.len());

    // A session changes nothing.
    world.sign_in("/");
    assert_eq!(asks(&mut world, "GET", PATH, &[]).body, kept.as_bytes());
    assert_eq!(asks(&mut world, "HEAD", PATH, &[]).status, 200);
    assert_eq!(asks(&mut world, "GET", "/oauth2/client.js?v=1", &[]).status, 200);
}

#[test]
fn the_client_script_is_revalidated_by_its_etag() {
    let mut world = World::ready();
    let tag = header(&asks(&mut world, "GET", PATH, &[]), "etag").unwrap().to_owned();
    assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}")] {
        let reply = asks(&mut world, "GET", PATH, &[("if-none-match", &known)]);
        assert_eq!((reply.status, reply.body.len(), header(&reply, "etag")), (304, 0, Some(tag.as_str())), "{known}");
        assert_eq!(header(&reply, "cache-control"), Some("public, max-age=300"));
    }
    for other in ["\"0\"", "", tag.trim_matches('"')] {
        assert_eq!(asks(&mut world, "GET", PATH, &[("if-none-match", other)]).status, 200, "{other}");
    }
}

#[test]
fn the_client_script_is_served_to_get_at_its_exact_path_only() {
    let mut world = World::ready();
    world.sign_in("/");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let reply = asks(&mut world, method, PATH, &[]);
        assert_eq!((reply.status, reply.code, header(&reply, "allow")), (405, "client_script_method", Some("GET")));
        assert!(is_forwarded(&world.visit("/page")), "{method}");
    }
    for path in ["/oauth2/client.js/", "/oauth2/Client.js", "/oauth2/client.d.ts", "/oauth2//client.js"] {
        let outcome = world.visit(path);
        assert!(!matches!(&outcome, Outcome::Replied(reply) if reply.status == 200), "{path}: {outcome:?}");
    }
}

#[test]
fn the_client_script_is_served_below_the_configured_prefix() {
    let mut world = World::ready_with(&[("prefix", json!("/_auth"))]);
    assert_eq!(asks(&mut world, "GET", "/_auth/client.js", &[]).code, "client_script");
    assert_eq!(asks(&mut world, "GET", PATH, &[]).code, "sign_in_required");
}

/// The code and the `sign_in_url` of a script's request.
fn sign_in_url(world: &mut World, path: &str, headers: &[(&str, &str)]) -> (String, Option<String>) {
    let body: Value = serde_json::from_slice(&asks(world, "GET", path, headers).body).unwrap();
    (body["code"].as_str().unwrap().to_owned(), body["sign_in_url"].as_str().map(str::to_owned))
}

#[test]
fn a_401_response_to_a_script_contains_the_sign_in_url() {
    let mut document = document();
    document["providers"][0]["name"] = json!("staff");
    document["providers"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "issuer": PARTNERS, "name": "partners", "client_id": "client", "client_secret": "secret" }));
    document["rules"] = json!([
        { "prefix": "/partners", "access": "required", "providers": ["partners"] },
        { "prefix": "/payments", "access": "required", "step_up": { "max_age_seconds": 600 } },
        { "prefix": "/ci", "access": "bearer" },
    ]);
    let mut world = World::with(&document);
    world.settle();
    let start = format!("{APP}/oauth2/start");
    let required = |url: String| ("sign_in_required".to_owned(), Some(url));
    assert_eq!(sign_in_url(&mut world, "/api?rd=/evil", &[]), required(start.clone()));
    assert_eq!(sign_in_url(&mut world, "/partners/api", &[]), required(format!("{start}?provider=partners")));
    assert_eq!(sign_in_url(&mut world, "/oauth2/userinfo", &[]), required(start.clone()));
    assert_eq!(sign_in_url(&mut world, "/ci", &[]), ("token_required".to_owned(), None));
    let (code, url) = sign_in_url(&mut world, "/payments/api", &[]);
    let url = url.unwrap();
    assert!(code == "sign_in_required" && url.starts_with(&format!("{start}?step_up=")), "{code} {url}");
}
