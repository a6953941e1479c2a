//! A site that is opened under another host than that of `external_url`.

use serde_json::json;

use super::world::{APP, Outcome, PARTNERS, World, document, header, location};
use crate::flow::event::Reason;

const WWW: &str = "www.app.example.com";

/// Opens a page under this host, in a browser with cookies for the configured host only.
fn at(world: &mut World, host: &str, target: &str) -> Outcome {
    let jar = std::mem::take(&mut world.jar);
    let outcome = rewritten(world, host, target);
    world.jar.extend(jar);
    outcome
}

/// A page is opened behind a proxy that writes this host into every request.
fn rewritten(world: &mut World, host: &str, target: &str) -> Outcome {
    world.host = host.to_owned();
    let outcome = world.opens(target, "none");
    world.host = "app.example.com".to_owned();
    outcome
}

/// Path and query of the redirect from another host to the configured one.
fn hop(outcome: Outcome) -> String {
    let reply = outcome.reply();
    assert_eq!((reply.status, reply.code), (302, "other_host"));
    location(&reply).strip_prefix(APP).unwrap().to_owned()
}

#[test]
fn a_page_under_another_host_is_redirected_and_signs_in_once() {
    let mut world = World::ready();
    let start = hop(at(&mut world, WWW, "/page?a=b"));
    assert_eq!(start, "/oauth2/start?rd=%2Fpage%3Fa%3Db&session=keep");
    assert!(world.jar.is_empty());
    let reply = world.visit(&start).reply();
    assert_eq!((reply.code, world.pending()), ("sign_in_started", 1));
    let callback = world.signs_in(&reply);
    assert_eq!(location(&world.visit(&callback).reply()), format!("{APP}/page?a=b"));
    // No further page goes through the provider.
    let start = hop(at(&mut world, WWW, "/other"));
    let back = world.visit(&start).reply();
    assert_eq!((back.status, back.code, location(&back)), (303, "already_signed_in", "https://app.example.com/other"));
    assert!(header(&back, "set-cookie").is_none());
    assert!(matches!(world.visit("/other"), Outcome::Forwarded { reason: Reason::Session, .. }));
}

#[test]
fn a_sign_in_behind_a_proxy_that_rewrites_the_host_completes() {
    for changes in [vec![], vec![("sign_in", json!({ "keep_fragment": true }))]] {
        let mut world = World::ready_with(&changes);
        let inner = "app.internal:8080";
        let start = if changes.is_empty() {
            hop(rewritten(&mut world, inner, "/page"))
        } else {
            let page = rewritten(&mut world, inner, "/page").reply();
            let start = "/oauth2/start?rd=%2Fpage&session=keep";
            assert!(String::from_utf8_lossy(&page.body).contains(&start.replace('&', "&#38;")));
            start.to_owned()
        };
        let reply = rewritten(&mut world, inner, &start).reply();
        assert_eq!((reply.status, reply.code), (302, "sign_in_started"));
        let callback = world.signs_in(&reply);
        let back = rewritten(&mut world, inner, &callback).reply();
        assert_eq!(location(&back), format!("{APP}/page"));
        for target in ["/page", "/other"] {
            let outcome = rewritten(&mut world, inner, target);
            assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. }), "{outcome:?}");
        }
        // An expired session is not kept: that would be a redirect loop.
        world.advance(9 * 3600);
        rewritten(&mut world, inner, "/page").reply();
        assert_eq!(rewritten(&mut world, inner, &start).code(), (302, "sign_in_started"));
    }
}

#[test]
fn a_browser_without_cookies_behind_a_rewriting_proxy_gets_a_loop_page() {
    let mut world = World::ready();
    let mut target = "/page".to_owned();
    for _ in 0..12 {
        world.jar.clear();
        let reply = rewritten(&mut world, "app.internal", &target).reply();
        if reply.code == "sign_in_loop" {
            return;
        }
        target = match reply.code {
            "sign_in_started" => world.signs_in(&reply),
            _ => location(&reply).strip_prefix(APP).unwrap().to_owned(),
        };
    }
    panic!("a redirect loop");
}

#[test]
fn a_redirect_to_the_configured_host_deletes_an_expired_session() {
    let mut world = World::ready();
    world.sign_in("/");
    world.advance(9 * 3600);
    let reply = rewritten(&mut world, WWW, "/page").reply();
    assert_eq!(reply.code, "other_host");
    assert!(!world.has_session());
}

#[test]
fn the_host_is_compared_without_case_and_port() {
    let mut world = World::ready();
    for host in
        ["app.example.com", "APP.Example.COM", "app.example.com:443", "app.example.com:8443", "app.example.com:"]
    {
        assert_eq!(at(&mut world, host, "/page").code(), (302, "sign_in_started"), "{host}");
    }
    // A browser keeps another jar for each of these.
    for host in
        ["app.example.com.", "app.example.com.:443", "example.com", "127.0.0.1", "[::1]:443", "x@app.example.com"]
    {
        hop(at(&mut world, host, "/page"));
    }
    let mut at_port = World::ready_with(&[("external_url", json!("https://app.example.com:8443"))]);
    assert_eq!(at(&mut at_port, "app.example.com", "/page").code(), (302, "sign_in_started"));
}

#[test]
fn a_start_request_under_another_host_is_redirected() {
    let mut world = World::ready();
    world.sign_in("/");
    let start = hop(at(&mut world, WWW, "/oauth2/start?rd=/page&prompt=select_account"));
    assert_eq!(start, "/oauth2/start?rd=%2Fpage&prompt=select_account&session=keep");
    // Another account is asked for, so no session is kept.
    assert_eq!(world.visit(&start).code(), (302, "sign_in_started"));
    let start = "/oauth2/start?rd=/page&provider=default&session=keep";
    assert_eq!(world.visit(start).code(), (303, "already_signed_in"));
    // Without `session=keep` a start always begins a sign-in.
    assert_eq!(world.visit("/oauth2/start?rd=/page").code(), (302, "sign_in_started"));
}

#[test]
fn only_page_loads_are_redirected_and_host_rules_still_apply() {
    let mut world = World::ready_with(&[(
        "rules",
        json!([
            { "hosts": [WWW], "path": "/open/*", "access": "public" },
            { "hosts": [WWW], "path": "/closed/*", "access": "deny" },
            { "hosts": [WWW], "path": "/quiet/*", "access": "required", "unauthenticated": "401" },
        ]),
    )]);
    let script = |world: &mut World, path| {
        world.host = WWW.to_owned();
        world.send(&[(":method", "GET"), (":path", path), ("sec-fetch-mode", "cors")])
    };
    assert_eq!(script(&mut world, "/api").code(), (401, "sign_in_required"));
    assert!(matches!(at(&mut world, WWW, "/open/x"), Outcome::Forwarded { reason: Reason::Public, .. }));
    assert_eq!(at(&mut world, WWW, "/closed/x").code(), (403, "denied"));
    assert_eq!(at(&mut world, WWW, "/quiet/x").code(), (401, "sign_in_required"));
    hop(at(&mut world, WWW, "/x"));
    assert_eq!(world.visit("/open/x").code(), (302, "sign_in_started"));
}

#[test]
fn session_keep_keeps_only_a_session_of_an_admitted_provider() {
    let partners = json!({ "name": "partners", "issuer": PARTNERS, "client_id": "client", "client_secret": "secret" });
    let mut providers = document()["providers"].clone();
    providers.as_array_mut().unwrap().push(partners);
    let mut world = World::ready_with(&[("providers", providers)]);
    world.sign_in("/oauth2/start?rd=/&provider=default");
    let keep = |world: &mut World, named: &str| world.visit(&format!("/oauth2/start?rd=/{named}&session=keep")).code();
    assert_eq!(keep(&mut world, ""), (303, "already_signed_in"));
    assert_eq!(keep(&mut world, "&provider=partners,default"), (303, "already_signed_in"));
    assert_eq!(keep(&mut world, "&provider=partners"), (302, "sign_in_started"));
    // A choice of provider comes after the redirect to the configured host.
    world.jar.clear();
    let start = hop(at(&mut world, WWW, "/page"));
    assert_eq!(world.visit(&start).code(), (401, "sign_in_required"));
}
