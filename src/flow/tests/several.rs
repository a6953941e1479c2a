//! Several providers.

use serde_json::{Value, json};

use super::{
    super::event::Reason,
    world::{APP, ISSUER, Outcome, PARTNERS, World, header, location, query_of},
};

fn providers() -> Value {
    json!([
        { "issuer": ISSUER, "client_id": "client", "client_secret": "secret", "title": "Staff" },
        { "issuer": PARTNERS, "client_id": "client", "client_secret": "secret", "name": "partners" },
    ])
}

fn rules() -> Value {
    json!([
        { "path": "/public/*", "access": "public" },
        { "path": "/admin/*", "access": "required", "providers": ["default"], "name": "staff alone" },
        { "path": "/partners/*", "access": "required", "providers": ["partners"] },
        { "path": "/both/*", "access": "required", "providers": ["partners", "default"] },
    ])
}

fn world() -> World {
    world_with(&[])
}

fn world_with(changes: &[(&str, Value)]) -> World {
    let mut all = vec![("providers", providers()), ("rules", rules())];
    all.extend_from_slice(changes);
    World::ready_with(&all)
}

fn sign_in_at(world: &mut World, provider: &str, target: &str) {
    let reply = world.visit(&format!("/oauth2/start?rd={target}&provider={provider}")).reply();
    let callback = world.signs_in(&reply);
    let reply = world.visit(&callback).reply();
    assert_eq!((reply.status, reply.code), (303, "signed_in"));
    assert_eq!(location(&reply), format!("{APP}{target}"));
}

#[track_caller]
fn assert_passes(world: &mut World, path: &str) {
    let outcome = world.visit(path);
    assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. }), "{path}: {outcome:?}");
}

/// The page's links.
fn links(page: &crate::http::LocalReply) -> Vec<String> {
    let html = String::from_utf8(page.body.clone()).unwrap();
    html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&")).collect()
}

#[test]
fn users_choose_a_provider_and_return_to_their_page() {
    for (name, issuer, callback) in
        [("default", ISSUER, "/oauth2/callback"), ("partners", PARTNERS, "/oauth2/callback/partners")]
    {
        let mut world = world();
        let page = world.visit("/page?a=b").reply();
        assert_eq!((page.status, page.code), (401, "sign_in_required"));
        assert!(world.pending() == 0 && String::from_utf8_lossy(&page.body).contains(">Staff</a>"));
        let links = links(&page);
        assert_eq!(links.len(), 2);
        let link = links.iter().find(|link| link.ends_with(&format!("&provider={name}"))).unwrap();
        let reply = world.visit(link.strip_prefix(APP).unwrap()).reply();
        assert!(location(&reply).starts_with(&format!("{issuer}/authorize?")), "{}", location(&reply));
        assert_eq!(query_of(location(&reply))["redirect_uri"], format!("{APP}{callback}"));
        let back = world.signs_in(&reply);
        let reply = world.visit(&back).reply();
        assert_eq!(location(&reply), format!("{APP}/page?a=b"));
        assert_passes(&mut world, "/page");
    }
}

#[test]
fn an_api_client_gets_the_start_url_and_no_provider_choice() {
    let mut world = world();
    let reply = world.send(&[(":method", "GET"), (":path", "/page"), ("accept", "application/json")]).reply();
    assert_eq!((reply.status, reply.code), (401, "sign_in_required"));
    assert!(String::from_utf8_lossy(&reply.body).contains("/oauth2/start"));
    for path in ["/oauth2/start?rd=/", "/oauth2/start?rd=/&provider=nobody", "/oauth2/start?provider="] {
        assert_eq!(links(&world.visit(path).reply()).len(), 2, "{path}");
    }
}

#[test]
fn a_rule_admits_only_users_of_its_providers() {
    let mut world = world();
    assert!(location(&world.visit("/admin/x").reply()).starts_with(ISSUER));
    assert!(location(&world.visit("/partners/x").reply()).starts_with(PARTNERS));
    assert_eq!(links(&world.visit("/both/x").reply()).len(), 2);
    world.jar.clear();

    sign_in_at(&mut world, "partners", "/both/x");
    for path in ["/both/x", "/partners/x", "/anything"] {
        assert_passes(&mut world, path);
    }
    let page = world.visit("/admin/x").reply();
    assert_eq!((page.status, page.code), (403, "other_provider"));
    let other = format!("{APP}/oauth2/start?rd=%2Fadmin%2Fx&provider=default&prompt=select_account");
    assert_eq!(links(&page), [other, "/oauth2/sign_out".to_owned()]);
    let page = String::from_utf8(page.body).unwrap();
    assert!(
        page.contains("as \u{2068}alice@example.com (partners)\u{2069}.")
            && page.contains("another sign-in service than yours"),
        "{page}"
    );
    assert!(world.events.iter().any(|event| event.to_string().contains("staff alone")), "{:?}", world.events);
    // A path to which either rule may apply must pass both.
    assert_eq!(world.visit("/admin/..%2fpartners/x").code(), (403, "other_provider"));
    sign_in_at(&mut world, "default", "/admin/x");
    assert_passes(&mut world, "/admin/x");
}

#[test]
fn a_response_of_one_provider_is_refused_at_the_callback_of_another() {
    let mut world = world();
    let reply = world.visit("/partners/x").reply();
    let callback = world.signs_in(&reply);
    let mixed_up = callback.replace("/callback/partners", "/callback");
    assert_eq!(world.visit(&mixed_up).code(), (400, "callback_wrong_issuer"));
    assert!(!world.has_session());
    let asked = |world: &World| [&world.provider, &world.partners].map(|one| one.asked.get("/token").copied());
    assert_eq!(asked(&world), [None, None]);
    // No other name has a callback path.
    for name in ["nobody", "default", "Partners", "partners/", ""] {
        let other = callback.replace("/callback/partners", &format!("/callback/{name}"));
        assert_eq!(world.visit(&other).code(), (404, "reserved_path"), "{name}");
    }
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
}

#[test]
fn a_logout_token_ends_only_sessions_of_its_provider() {
    let channels = json!({ "back_channel": true, "front_channel": true });
    let mut world = world_with(&[("sign_out", channels), ("allow_on_headers_stop_iteration", json!(true))]);
    sign_in_at(&mut world, "default", "/");
    let of_staff = std::mem::take(&mut world.jar);
    sign_in_at(&mut world, "partners", "/");
    world.advance(5);
    let token = world.partners.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    let of_partner = std::mem::replace(&mut world.jar, of_staff.clone());
    let posted = [
        (":method", "POST"),
        (":path", "/oauth2/backchannel_logout"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(world.send_more(&posted).code(), (200, "logged_out"));
    // Both providers use the `sub` alice and the `sid` idp-session.
    assert_passes(&mut world, "/admin/x");
    world.jar = of_partner;
    assert!(location(&world.visit("/partners/x").reply()).starts_with(PARTNERS));

    let frame = format!("/oauth2/frontchannel_logout?sid=idp-session&iss={PARTNERS}");
    assert_eq!(world.visit(&frame).code(), (200, "logged_out"));
    world.jar = of_staff;
    assert_passes(&mut world, "/admin/x");
    // A logout token of a third issuer is refused.
    let token = world.partners.logout_token(world.now, |_, claims| claims["iss"] = json!("https://evil.example"));
    world.body = Ok(format!("logout_token={token}").into_bytes());
    assert_eq!(world.send_more(&posted).code(), (400, "logout_refused"));
    assert_passes(&mut world, "/admin/x");
}

#[test]
fn a_sign_out_redirects_to_the_provider_of_the_session() {
    let mut world = world();
    let nobody = world.opens("/oauth2/sign_out", "none").reply();
    assert_eq!((nobody.status, nobody.code, header(&nobody, "location")), (200, "signed_out", None));
    for (name, issuer) in [("default", ISSUER), ("partners", PARTNERS)] {
        sign_in_at(&mut world, name, "/");
        let reply = world.opens("/oauth2/sign_out", "none").reply();
        assert!(location(&reply).starts_with(&format!("{issuer}/end?")), "{}", location(&reply));
        assert!(!world.has_session());
    }
}

#[test]
fn a_session_remains_valid_while_its_provider_is_configured() {
    let mut alone = World::ready();
    alone.sign_in("/");
    let mut world = world();
    world.jar = alone.jar;
    assert_passes(&mut world, "/admin/x");
    let mut turned = providers();
    turned.as_array_mut().unwrap().reverse();
    let mut other = world_with(&[("providers", turned)]);
    other.jar = world.jar;
    assert_passes(&mut other, "/admin/x");
    // Without its provider in the configuration, a session is not accepted.
    let mut left = World::ready_with(&[("providers", json!([providers()[1]]))]);
    left.jar = other.jar;
    assert!(location(&left.visit("/page").reply()).starts_with(PARTNERS));
    let reply = left.visit("/oauth2/userinfo").reply();
    assert_eq!(reply.status, 401);
    // Nor is a sign-in that was begun at that provider.
    let mut world = self::world();
    let begun = world.visit("/admin/x").reply();
    let callback = world.signs_in(&begun);
    left.jar = world.jar;
    assert_eq!(left.visit(&callback).code(), (404, "reserved_path"));
    assert!(!left.has_session());
}

#[test]
fn the_same_sub_at_another_provider_is_another_user() {
    let mut world = world();
    sign_in_at(&mut world, "default", "/");
    let before = world.jar.clone();
    sign_in_at(&mut world, "partners", "/partners/x");
    assert_passes(&mut world, "/partners/x");
    // The earlier session has ended, although both providers use the `sub` alice.
    world.jar = before;
    assert!(location(&world.visit("/admin/x").reply()).starts_with(ISSUER));
}

#[test]
fn log_lines_name_the_provider_of_the_user_or_failure() {
    let mut world = world();
    sign_in_at(&mut world, "partners", "/partners/x");
    assert_eq!(world.visit("/admin/x").code(), (403, "other_provider"));
    let reply = world.visit("/oauth2/start?rd=/&provider=default").reply();
    let callback = world.signs_in(&reply);
    world.provider.token_response = Box::new(|_| Err(crate::http::CalloutError::NoResponse));
    assert_eq!(world.visit(&callback).code(), (503, "token_endpoint_unavailable"));
    // This failure concerns no provider.
    assert_eq!(world.visit("/oauth2/nothing").code(), (404, "reserved_path"));
    let log: Vec<_> = world.events.iter().map(ToString::to_string).collect();
    let whose = |said: &str| {
        let line = log.iter().find(|line| line.contains(said)).unwrap_or_else(|| panic!("{said} is not in {log:#?}"));
        [ISSUER, PARTNERS].map(|issuer| line.contains(issuer))
    };
    assert_eq!(whose("\"alice\" signed in at"), [false, true]);
    assert_eq!(whose("(other_provider)"), [false, true]);
    assert_eq!(whose("(token_endpoint_unavailable)"), [true, false]);
    assert_eq!(whose("(reserved_path)"), [false, false]);
}
