//! Sign-in, in one tab and in many.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{
    super::event::Reason,
    world::{APP, Outcome, World, header, location, query_of},
};

#[test]
fn a_user_signs_in_and_returns_to_the_requested_page() {
    let mut world = World::ready();
    let reply = world.visit("/deep/link?a=1&b=%20x&next=//evil.example").reply();
    assert_eq!((reply.status, reply.code), (302, "sign_in_started"));
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    let query = query_of(location(&reply));
    assert!(location(&reply).starts_with("https://idp.example.com/authorize?tenant=t&"), "{}", location(&reply));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", "https://app.example.com/oauth2/callback"),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[name], value);
    }
    assert!(query["nonce"].len() >= 43 && query["code_challenge"].len() == 43);
    assert_eq!(world.pending(), 1);

    let callback = world.signs_in(&reply);
    let reply = world.visit(&callback).reply();
    assert_eq!((reply.status, reply.code), (303, "signed_in"));
    assert_eq!(location(&reply), format!("{APP}/deep/link?a=1&b=%20x&next=//evil.example"));
    assert_eq!(world.pending(), 0);

    let Outcome::Forwarded { reason: Reason::Session, headers, .. } = world.visit("/deep/link") else {
        panic!("a session lets the request pass")
    };
    assert!(headers.contains(&("x-forwarded-user".to_owned(), "alice".to_owned())), "{headers:?}");
}

#[test]
fn the_verifier_sent_to_the_token_endpoint_is_the_one_of_the_challenge() {
    let mut world = World::ready();
    let reply = world.visit("/").reply();
    let challenge = query_of(location(&reply))["code_challenge"].clone();
    world.provider.token_response = Box::new(|_| panic!("the request is looked at instead"));
    let callback = world.signs_in(&reply);
    let jar = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    let request = crate::http::Request::new([
        (":method", b"GET".as_slice()),
        (":path", callback.as_bytes()),
        ("cookie", jar.as_bytes()),
        ("accept", b"text/html"),
        ("authorization", b"Bearer of-the-client"),
    ]);
    let crate::flow::Step::Wait(pending) = world.start(request) else { panic!("the code is redeemed") };
    let call = pending.take_calls().remove(0);
    let request = call.request();
    let form: std::collections::BTreeMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])), challenge);
    assert_eq!(form["redirect_uri"], "https://app.example.com/oauth2/callback");
    assert_eq!(form["code"], "code");
    let authorization: Vec<_> = request.headers.iter().filter(|(name, _)| *name == "authorization").collect();
    assert_eq!(authorization, [&("authorization", "Basic Y2xpZW50OnNlY3JldA==".to_owned())]);
}

#[test]
fn ten_tabs_opened_at_once_all_arrive_at_their_own_page() {
    let mut world = World::ready();
    let replies: Vec<_> = (0..10).map(|tab| world.visit(&format!("/tab/{tab}")).reply()).collect();
    assert_eq!(world.pending(), 5);
    // The newest tab comes back first; the oldest ones, which lost their cookies, come last.
    for (tab, reply) in replies.iter().enumerate().rev() {
        let callback = world.signs_in(reply);
        let arrived = world.visit(&callback).reply();
        assert_eq!(location(&arrived), format!("{APP}/tab/{tab}"));
    }
    assert!(world.has_session());
}

#[test]
fn tabs_with_interleaved_callbacks_complete_their_sign_ins() {
    let mut world = World::ready();
    let mut open = |tab: u32| {
        world.advance(1);
        (tab, world.visit(&format!("/tab/{tab}")).reply())
    };
    let mut tabs: Vec<_> = (0..20).map(&mut open).collect();
    for round in 0..4 {
        tabs.retain_mut(|(tab, reply)| {
            let callback = world.signs_in(reply);
            world.advance(1);
            let next = world.visit(&callback).reply();
            if next.code == "sign_in_started" {
                *reply = next;
                return true;
            }
            assert_eq!(location(&next), format!("{APP}/tab/{tab}"), "round {round}");
            false
        });
    }
    assert!(tabs.is_empty(), "{} tabs never arrived", tabs.len());
    assert!(world.pending() <= 5, "{} sign-ins are left", world.pending());
}

#[test]
fn a_tab_without_its_pending_cookie_signs_in_again() {
    let mut world = World::ready();
    let first = world.visit("/first").reply();
    world.advance(1);
    for tab in 0..5 {
        world.visit(&format!("/tab/{tab}")).reply();
    }
    let callback = world.signs_in(&first);
    let again = world.visit(&callback).reply();
    assert_eq!((again.status, again.code), (302, "sign_in_started"));
    assert_eq!(world.provider.asked.get("/token"), None, "the code is not used");
    let callback = world.signs_in(&again);
    assert_eq!(location(&world.visit(&callback).reply()), format!("{APP}/first"));
}

#[test]
fn a_browser_without_cookies_gets_a_loop_page_after_three_rounds() {
    let mut world = World::ready();
    let mut reply = world.visit("/page").reply();
    for _ in 0..2 {
        world.jar.clear();
        let callback = world.signs_in(&reply);
        reply = world.visit(&callback).reply();
        assert_eq!(reply.code, "sign_in_started");
    }
    world.jar.clear();
    let callback = world.signs_in(&reply);
    let reply = world.visit(&callback).reply();
    assert_eq!((reply.status, reply.code), (400, "sign_in_loop"));
    assert_eq!(header(&reply, "location"), None);
}

#[test]
fn an_expired_sign_in_is_begun_again() {
    let mut world = World::ready();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    world.advance(1801);
    world.settle();
    assert_eq!(world.visit(&callback).code(), (302, "sign_in_started"));
    assert_eq!(world.provider.asked.get("/token"), None);
}

#[test]
fn a_session_ends_with_its_lifetime() {
    let mut world = World::ready();
    world.sign_in("/");
    world.advance(28_799);
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
    world.advance(1);
    world.settle();
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn signing_out_deletes_every_cookie_of_ours() {
    let mut world = World::ready();
    world.visit("/one").reply();
    world.sign_in("/");
    assert!(world.has_session() && world.pending() == 1);
    assert_eq!(world.opens("/oauth2/sign_out", "none").code(), (303, "signed_out"));
    assert!(world.jar.is_empty(), "{:?}", world.jar.keys());
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

#[test]
fn another_site_cannot_sign_a_user_out() {
    let mut world = World::ready();
    world.sign_in("/");
    let mut from = |method, header: (&'static str, &'static str)| {
        world.send(&[(":method", method), (":path", "/oauth2/sign_out"), ("accept", "text/html"), header]).code()
    };
    assert_eq!(from("GET", ("sec-fetch-site", "cross-site")), (200, "sign_out_confirm"));
    assert_eq!(from("GET", ("sec-fetch-dest", "image")), (200, "sign_out_confirm"));
    assert_eq!(from("GET", ("x-says", "nothing")), (200, "sign_out_confirm"));
    assert_eq!(from("GET", ("sec-purpose", "prefetch")), (200, "sign_out_confirm"));
    assert_eq!(from("POST", ("sec-fetch-site", "cross-site")), (405, "sign_out_method"));
    assert_eq!(from("POST", ("origin", "https://evil.example")), (405, "sign_out_method"));
    assert!(world.has_session());
    assert_eq!(
        world.send(&[(":method", "POST"), (":path", "/oauth2/sign_out"), ("sec-fetch-site", "same-origin")]).code(),
        (303, "signed_out")
    );
    assert!(!world.has_session());
}

#[test]
fn without_randomness_no_sign_in_starts() {
    let mut world = World::ready();
    world.platform.without_randomness.set(true);
    assert_eq!(world.visit("/").code(), (500, "no_randomness"));
    assert!(world.jar.is_empty());
    world.platform.without_randomness.set(false);
    assert_eq!(world.visit("/").code(), (302, "sign_in_started"));
}

/// Text that firewalls take for an SQL comment (OWASP CRS 942440, naxsi 1007) or a path traversal (naxsi 1200).
const REFUSED_BY_FIREWALLS: [&str; 2] = ["--", ".."];

#[test]
fn authorization_requests_and_cookies_match_no_firewall_rule() {
    let mut world = World::ready();
    let targets = [1, 400, 1000].map(|length| format!("/{}", "x".repeat(length - 1)));
    for target in targets.iter().cycle().take(10_000) {
        world.jar.clear();
        world.events.clear();
        let reply = world.visit(target).reply();
        let url = location(&reply);
        let cookie = header(&reply, "set-cookie").unwrap();
        for refused in REFUSED_BY_FIREWALLS {
            assert!(!url.contains(refused) && !cookie.contains(refused), "{refused} in {url} or {cookie}");
        }
        assert!(query_of(url)["state"].len() < 512, "{url}");
    }
}

#[test]
fn a_short_path_travels_in_state_and_a_longer_one_in_the_cookie_alone() {
    for (length, ends_in_another_browser) in [(250, true), (320, false), (1000, false), (2048, false)] {
        let mut world = World::ready();
        let target = format!("/{}", "x".repeat(length - 1));
        let reply = world.visit(&target).reply();
        let state = query_of(location(&reply))["state"].clone();
        assert!(state.len() < 512, "{length}: {}", state.len());
        let callback = world.signs_in(&reply);
        let own = std::mem::take(&mut world.jar);

        // Another browser has no cookie of this sign-in, and begins a new one for the target in `state`.
        let again = world.visit(&callback).reply();
        assert_eq!((again.status, again.code), (302, "sign_in_started"));
        let callback_there = world.signs_in(&again);
        let arrived = world.visit(&callback_there).reply();
        let expected = if ends_in_another_browser { &target } else { "/" };
        assert_eq!(location(&arrived), format!("{APP}{expected}"), "{length}");

        world.jar = own;
        world.signs_in(&reply);
        assert_eq!(location(&world.visit(&callback).reply()), format!("{APP}{target}"), "{length}");
    }
}
