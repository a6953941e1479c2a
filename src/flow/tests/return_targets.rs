//! Targets of `/oauth2/start?rd=` outside of our origin: `sign_in.return_to`.

use serde_json::{Value, json};

use super::world::{APP, ISSUER, World, document, header, location, query_of};

const TARGET: &str = "myapp://signed-in";
const START: &str = "/oauth2/start?rd=myapp%3A%2F%2Fsigned-in";

fn world(change: impl FnOnce(&mut Value)) -> World {
    let mut document = document();
    document["sign_in"] = json!({ "return_to": [TARGET, "https://www.example.com/"] });
    change(&mut document);
    let mut world = World::with(&document);
    world.settle();
    world
}

#[test]
fn a_sign_in_redirects_to_a_listed_target_without_secrets() {
    let www = "https://www.example.com/a?b=c#d";
    for (start, target) in [(START, TARGET), ("/oauth2/start?rd=https%3A%2F%2Fwww.example.com%2Fa%3Fb%3Dc%23d", www)] {
        let mut world = world(|_| {});
        let reply = world.visit(start).reply();
        assert_eq!((reply.status, reply.code), (302, "sign_in_started"));
        let request = query_of(location(&reply));
        assert!(request["state"].len() < 512, "{request:?}");
        let callback = world.signs_in(&reply);
        let back = world.visit(&callback).reply();
        assert_eq!((back.status, back.code, location(&back)), (303, "signed_in", target));
        assert_eq!(header(&back, "referrer-policy"), Some("no-referrer"));
        // With the session, the start path leads there at once if the app asks so, and the callback that is opened again too.
        for again in [format!("{start}&session=keep"), callback] {
            let reply = world.visit(&again).reply();
            assert_eq!((reply.status, reply.code, location(&reply)), (303, "already_signed_in", target), "{again}");
        }
        assert_eq!(world.visit(start).code(), (302, "sign_in_started"));
    }
}

#[test]
fn an_unlisted_target_is_replaced_by_the_root() {
    for asked in [
        "myapp%3A%2F%2Fsigned-in%2Fx",
        "myapp%3A%2F%2Fevil",
        "javascript%3Aalert%281%29",
        "javascript%3A%2F%2Fwww.example.com%2F%250aalert%281%29",
        "data%3Atext%2Fhtml%2Cx",
        "https%3A%2F%2Fwww.example.com.evil.example%2F",
        "https%3A%2F%2Fwww.example.com%40evil.example%2F",
        "myapp%3A%2F%2Fsigned-in&rd=myapp%3A%2F%2Fsigned-in",
    ] {
        let mut world = world(|_| {});
        let reply = world.visit(&format!("/oauth2/start?rd={asked}")).reply();
        let callback = world.signs_in(&reply);
        assert_eq!(location(&world.visit(&callback).reply()), format!("{APP}/"), "{asked}");
        let reply = world.visit(&format!("/oauth2/start?session=keep&rd={asked}")).reply();
        assert_eq!((reply.code, location(&reply)), ("already_signed_in", &*format!("{APP}/")), "{asked}");
    }
}

#[test]
fn a_return_target_survives_provider_choice_host_redirect_and_restart() {
    let mut world = world(|document| {
        document["providers"] = json!([
            document["providers"][0],
            { "name": "partners", "issuer": "https://partners.example.com", "client_id": "client", "client_secret": "secret" },
        ]);
        document["sign_in"]["keep_fragment"] = json!(true);
    });
    let page = world.visit(START).reply();
    assert_eq!((page.status, page.code), (401, "sign_in_required"));
    let page = String::from_utf8(page.body).unwrap();
    let chosen = format!("{START}&provider=default");
    assert!(page.contains(&chosen.replace('&', "&#38;")), "{page}");
    // No page has the target itself, and none with a script follows to it.
    assert!(!page.contains("myapp:") && !page.contains("<script"), "{page}");

    world.host = "www.app.example.com".to_owned();
    let reply = world.visit(&chosen).reply();
    assert_eq!((reply.code, location(&reply)), ("other_host", &*format!("{APP}{chosen}&session=keep")));
    world.host = "app.example.com".to_owned();

    let reply = world.visit(&chosen).reply();
    let callback = world.signs_in(&reply);
    // The cookie is gone: another sign-in begins by what `state` says.
    world.jar.clear();
    let reply = world.visit(&callback).reply();
    assert_eq!((reply.status, reply.code), (302, "sign_in_started"));
    let callback = world.signs_in(&reply);
    assert_eq!(location(&world.visit(&callback).reply()), TARGET);
}

#[test]
fn a_step_up_started_by_a_link_keeps_the_return_target() {
    let mut world = world(|document| {
        document["rules"] = json!([{ "path": "/pay", "access": "required", "step_up": { "acr_values": ["mfa"] } }]);
    });
    let reply = world.visit("/pay").reply();
    let named = world.config.rules.step_ups().next().unwrap().id().to_string();
    assert_eq!(query_of(location(&reply))["acr_values"], "mfa");
    let start = format!("{START}&step_up={named}");
    let reply = world.visit(&start).reply();
    assert_eq!(query_of(location(&reply))["acr_values"], "mfa");
    // The provider does not confirm it: the link of the page tries again for the same target.
    let callback = world.signs_in(&reply);
    let page = world.visit(&callback).reply();
    assert_eq!((page.status, page.code), (403, "step_up_refused"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("rd=myapp%3A%2F%2Fsigned-in") && !html.contains("myapp:"), "{html}");
    world.provider.claims = Box::new(|claims| drop(claims.insert("acr".to_owned(), json!("mfa"))));
    let reply = world.visit(&start).reply();
    let callback = world.signs_in(&reply);
    assert_eq!(location(&world.visit(&callback).reply()), TARGET);
}

#[test]
fn a_failed_sign_in_links_to_the_start_path_and_not_to_the_target() {
    let mut world = world(|_| {});
    let reply = world.visit(START).reply();
    let state = query_of(location(&reply))["state"].clone();
    let iss: String = form_urlencoded::byte_serialize(ISSUER.as_bytes()).collect();
    let page = world.visit(&format!("/oauth2/callback?error=access_denied&state={state}&iss={iss}")).reply();
    assert_eq!(page.code, "access_denied");
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains(&format!("href=\"{APP}{START}\"")), "{html}");
}
