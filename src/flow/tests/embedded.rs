//! An app in frames of other sites: `session.same_site` and `session.partitioned`.

use serde_json::{Value, json};

use super::world::{Outcome, World, document};
use crate::flow::event::Reason;

fn world(same_site: &str, partitioned: bool, change: impl FnOnce(&mut Value)) -> World {
    let mut document = document();
    document["session"]["same_site"] = json!(same_site);
    document["session"]["partitioned"] = json!(partitioned);
    change(&mut document);
    let mut world = World::with(&document);
    world.settle();
    world
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// A request with these headers beside the path.
fn asks(world: &mut World, method: &str, headers: Headers<'_>) -> Outcome {
    let mut all = vec![(":method", method), (":path", "/panel"), ("accept", "text/html")];
    all.extend(headers);
    world.send(&all)
}

const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");
const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
const FRAME: (&str, &str) = ("sec-fetch-dest", "iframe");
const DOCUMENT: (&str, &str) = ("sec-fetch-dest", "document");

fn has_session(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. })
}

#[test]
fn only_page_loads_from_another_site_use_the_session() {
    for partitioned in [false, true] {
        let mut world = world("none", partitioned, |_| {});
        world.sign_in("/");
        for headers in [
            &[CROSS, NAVIGATE, FRAME][..],
            &[CROSS, NAVIGATE, DOCUMENT],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "websocket"), ("upgrade", "websocket")],
            &[("origin", "https://app.example.com")],
            &[],
        ] {
            assert!(has_session(&asks(&mut world, "GET", headers)), "{headers:?}");
        }
        assert!(has_session(&asks(&mut world, "POST", &[("sec-fetch-site", "same-origin"), NAVIGATE, FRAME])));
        for (method, headers) in [
            ("POST", &[CROSS, NAVIGATE, DOCUMENT][..]),
            ("POST", &[CROSS, NAVIGATE, FRAME]),
            ("GET", &[CROSS, ("sec-fetch-mode", "cors")]),
            ("GET", &[CROSS, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]),
            ("GET", &[CROSS]),
            ("GET", &[CROSS, NAVIGATE, NAVIGATE]),
            ("GET", &[CROSS, ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]),
            ("GET", &[CROSS, ("sec-fetch-mode", "websocket"), ("upgrade", "websocket")]),
            ("GET", &[CROSS, NAVIGATE, ("upgrade", "websocket")]),
            ("CONNECT", &[CROSS, NAVIGATE]),
            ("POST", &[("origin", "https://evil.example")]),
            ("POST", &[("origin", "null")]),
            ("GET", &[("origin", "https://evil.example"), ("upgrade", "websocket")]),
            ("GET", &[("origin", "https://app.example.com"), ("origin", "https://evil.example")]),
        ] {
            let outcome = asks(&mut world, method, headers);
            assert!(!has_session(&outcome), "{method} {headers:?}");
            assert!(matches!(outcome.reply().status, 302 | 401), "{method} {headers:?}");
        }
        assert!(world.has_session(), "the browser keeps it");
        assert!(has_session(&world.visit("/page")));
    }
}

#[test]
fn a_cross_site_frame_signs_in_if_it_can_keep_the_cookies() {
    let redirect = |document: &mut Value| {
        document["rules"] = json!([{ "access": "required", "unauthenticated": "redirect" }]);
    };
    let framed = [CROSS, NAVIGATE, FRAME];
    for (same_site, partitioned, is_redirected, expected) in [
        ("lax", false, false, "sign_in_required"),
        ("lax", false, true, "sign_in_required"),
        ("none", false, false, "sign_in_required"),
        ("none", false, true, "sign_in_started"),
        ("none", true, false, "sign_in_started"),
        ("none", true, true, "sign_in_started"),
    ] {
        let mut world = world(same_site, partitioned, |document| {
            if is_redirected {
                redirect(document)
            }
        });
        let reply = asks(&mut world, "GET", &framed).reply();
        assert_eq!(reply.code, expected, "{same_site} {partitioned} {is_redirected}");
        // A form of the frame begins nothing.
        assert_eq!(asks(&mut world, "POST", &framed).code(), (401, "sign_in_required"));
        if expected == "sign_in_started" {
            let callback = world.signs_in(&reply);
            let mut headers = vec![(":method", "GET"), (":path", callback.as_str()), ("accept", "text/html")];
            headers.extend(framed);
            assert_eq!(world.send(&headers).code(), (303, "signed_in"));
            assert!(has_session(&asks(&mut world, "GET", &framed)));
        }
    }
    // In a frame of the same site, the session of the whole window is there.
    let own = [("sec-fetch-site", "same-origin"), NAVIGATE, FRAME];
    assert_eq!(asks(&mut world("none", true, |_| {}), "GET", &own).code(), (401, "sign_in_required"));
}
