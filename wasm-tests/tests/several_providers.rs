//! Several providers: people choose, rules name them, and what one says is never taken for the word of another.

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{Answer, CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, Issuer, RefreshTokens},
    process::{until, until_everywhere},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{
        SESSION_COOKIE, SignIn, World, assert_page, assert_program_refused, assert_sign_in_at, assert_signed_in,
        kept_cookies,
    },
};

const CALLBACK: &str = "/oauth2/callback";
const CALLBACK_OF_PARTNERS: &str = "/oauth2/callback/partners";

/// Somebody's provider, as a scenario speaks of it: by its name in the configuration.
#[derive(Clone, Copy)]
enum At {
    Staff,
    Partners,
}

impl At {
    const BOTH: [Self; 2] = [Self::Staff, Self::Partners];

    const fn name(self) -> &'static str {
        match self {
            Self::Staff => "default",
            Self::Partners => "partners",
        }
    }

    const fn callback(self) -> &'static str {
        match self {
            Self::Staff => CALLBACK,
            Self::Partners => CALLBACK_OF_PARTNERS,
        }
    }

    const fn issuer(self, world: &World) -> &Issuer {
        match self {
            Self::Staff => &world.issuer,
            Self::Partners => &world.partners,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Staff => Self::Partners,
            Self::Partners => Self::Staff,
        }
    }
}

fn add_partners(document: &mut Value, issuer: &str) {
    let partners = json!({
        "name": "partners", "title": "Partners & friends",
        "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "timeout_ms": 10_000,
    });
    document["providers"].as_array_mut().expect("providers").push(partners);
}

fn configure(document: &mut Value, partners: &str) {
    document["providers"][0]["title"] = json!("Staff");
    add_partners(document, partners);
    document["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
    document["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/admin", "access": "required", "providers": ["default"], "name": "staff alone"},
        {"prefix": "/partners", "access": "required", "providers": ["partners"]},
        {"prefix": "/api", "access": "required", "unauthenticated": "401", "providers": ["partners"]},
    ]);
}

fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut Value)) -> World {
    let partners = Issuer::another();
    let url = partners.url();
    World::among(Issuer::start(), partners, |setup| {
        setup.bodies_while_headers_are_held = true;
        setup.reloads = true;
        configure(&mut setup.configuration, &url);
        change(&mut setup.configuration);
    })
}

/// The links of a page.
fn links(page: &Response) -> Vec<String> {
    page.text()
        .split("href=\"")
        .skip(1)
        .map(|rest| rest[..rest.find('"').expect("its end")].replace("&#38;", "&"))
        .collect()
}

/// Begins a sign-in at one of them by the link for it.
#[track_caller]
fn begin(world: &World, browser: &UserAgent, at: At, path: &str) -> SignIn {
    let start = world.url(&format!("/oauth2/start?rd={path}&provider={}", at.name()));
    assert_sign_in_at(&browser.get(&start), world, at.issuer(world), at.callback())
}

#[track_caller]
fn sign_in(world: &World, browser: &UserAgent, at: At, path: &str) {
    let begun = begin(world, browser, at, path);
    assert_signed_in(&browser.get(&world.answer(browser, &begun)), &world.url(path));
}

fn signed_in(world: &World, at: At) -> UserAgent {
    let browser = world.browser();
    sign_in(world, &browser, at, "/");
    browser
}

/// Checks that both workers let this browser pass, and tell the app whose word it is.
#[track_caller]
fn assert_passes(world: &World, browser: &UserAgent, path: &str, at: At) {
    for _ in 0..6 {
        let response = browser.get(&world.url(path));
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
        assert_eq!(world.upstream.last().headers.text("x-issuer"), Some(at.issuer(world).url()));
    }
}

/// How often the token endpoints were asked: of staff, and of the partners.
fn redeemed(world: &World) -> [usize; 2] {
    At::BOTH.map(|at| at.issuer(world).requests(Endpoint::Token).len())
}

#[test]
fn people_choose_where_to_sign_in_and_come_back_to_their_page() {
    let world = world();
    for at in At::BOTH {
        let browser = world.browser();
        let page = browser.get(&world.url("/page?a=b&c=%2F"));
        assert_page(&page, &[401], "the chooser");
        assert_eq!(page.code().as_deref(), Some("sign_in_required"));
        assert!(
            page.text().contains(">Staff</a>") && page.text().contains(">Partners &#38; friends</a>"),
            "{}",
            page.text()
        );
        let links = links(&page);
        let [staff, partners] = &links[..] else { panic!("not two links: {links:?}") };
        let link = match at {
            At::Staff => staff,
            At::Partners => partners,
        };
        let begun = assert_sign_in_at(&browser.get(link), &world, at.issuer(&world), at.callback());
        let callback = world.answer(&browser, &begun);
        assert!(callback.starts_with(&format!("{}?", world.url(at.callback()))), "{callback}");
        let before = redeemed(&world);
        assert_signed_in(&browser.get(&callback), &world.url("/page?a=b&c=%2F"));
        let asked: usize = redeemed(&world).iter().sum::<usize>() - before.iter().sum::<usize>();
        assert_eq!((asked, at.issuer(&world).requests(Endpoint::Token).len()), (1, 1));
        assert_passes(&world, &browser, "/page?a=b&c=%2F", at);
    }
    // A program cannot choose, and a page that sends a form is told the same.
    let before = world.upstream.count();
    for send in [
        Outgoing::fetch("/page"),
        Outgoing::new("GET", "/page"),
        Outgoing::navigation("/page").header("upgrade", "websocket"),
    ] {
        assert_program_refused(&world.send(&send).expect("an answer"), "a program");
    }
    let posted = world.browser().visit(&world.url("/page"), Outgoing::form("/page", &[("a", "b")]));
    assert_page(&posted, &[401], "a form");
    // Nor does a link that names nobody choose for anybody.
    for query in
        ["", "&provider=", "&provider=nobody", "&provider=Partners", "&provider=%00", "&provider=default,partners"]
    {
        let page = world.browser().get(&world.url(&format!("/oauth2/start?rd=/page{query}")));
        assert_page(&page, &[401], query);
        assert_eq!(links(&page).len(), 2, "{query}");
    }
    let hostile = "/oauth2/start?rd=%22%3E%3Cscript%3E&provider=%22%3E%3Cscript%3E&prompt=select_account";
    let page = world.browser().get(&world.url(hostile));
    assert!(
        !page.text().contains("<script") && links(&page).iter().all(|link| link.ends_with("&prompt=select_account"))
    );
    world.upstream.assert_saw_nothing_since(before, "nobody chose");
}

#[test]
fn what_one_provider_says_is_never_taken_for_the_word_of_the_other() {
    let world = world();
    let before = world.upstream.count();
    for at in At::BOTH {
        let browser = world.browser();
        let begun = begin(&world, &browser, at, "/page");
        let callback = world.answer(&browser, &begun);
        let refused = |browser: &UserAgent, url: &str, code: &str| {
            let response = browser.get(url);
            assert_page(&response, &[400, 404], code);
            assert_eq!(response.code().as_deref(), Some(code), "{url}");
        };
        // RFC 9700, 4.4: the code of one at the callback of the other.
        let mixed_up = callback.replacen(&format!("{}?", at.callback()), &format!("{}?", at.other().callback()), 1);
        refused(&browser, &mixed_up, "callback_wrong_issuer");
        // Other spellings are nobody's.
        for name in ["default", "nobody", "Partners", "partners/", "", "partners%2F", "partners%00"] {
            let other = callback.replacen(at.callback(), &format!("{CALLBACK}/{name}"), 1);
            let response = browser.get(&other);
            assert!(matches!(response.status, 400 | 404) && response.location().is_none(), "{other}: {response:?}");
        }
        assert_eq!(redeemed(&world), [0, 0]);

        // The answer names the other one (RFC 9207), with a code of its own or of the other.
        let own = begin(&world, &browser, at, "/page");
        let others = begin(&world, &browser, at.other(), "/page");
        let (own, others) = (world.answer(&browser, &own), world.answer(&browser, &others));
        let query = |url: &str, name: &str| wasm_tests::world::parameter(url, name);
        let with = |name: &'static str, value: String| {
            wasm_tests::world::changed(&own, |parameters| {
                parameters.iter_mut().filter(|(known, _)| known == name).for_each(|(_, old)| old.clone_from(&value));
            })
        };
        refused(&browser, &with("iss", query(&others, "iss")), "callback_wrong_issuer");
        let own = begin(&world, &browser, at, "/page");
        let own = world.answer(&browser, &own);
        let with_others_state = wasm_tests::world::changed(&own, |parameters| {
            let state = query(&others, "state");
            parameters.iter_mut().filter(|(name, _)| name == "state").for_each(|(_, old)| old.clone_from(&state));
        });
        refused(&browser, &with_others_state, "callback_wrong_issuer");
        assert_eq!(redeemed(&world), [0, 0]);
        assert!(browser.session_cookies().is_empty());
    }
    world.upstream.assert_saw_nothing_since(before, "a mix-up");

    // Whoever is at both at once in two tabs ends with the answers of each.
    let browser = world.browser();
    let [staff, partners] = At::BOTH.map(|at| begin(&world, &browser, at, "/page"));
    let partners = world.answer(&browser, &partners);
    let staff = world.answer(&browser, &staff);
    assert_signed_in(&browser.get(&partners), &world.url("/page"));
    assert_passes(&world, &browser, "/partners/x", At::Partners);
    assert_signed_in(&browser.get(&staff), &world.url("/page"));
    assert_passes(&world, &browser, "/admin/x", At::Staff);
}

#[test]
fn a_token_of_one_provider_makes_no_session_of_the_other() {
    let world = world();
    // The partners' token endpoint names another issuer, or signs with a key that is not theirs.
    for (what, code, fault) in [
        ("another name", "id_token_refused", Fault::IdToken(|token| token.set("iss", "http://127.0.0.1:1"))),
        (
            "another key",
            "id_token_signature",
            Fault::IdToken(|token| token.signing = wasm_tests::issuer::Signing::Unpublished),
        ),
    ] {
        world.partners.misbehave(fault);
        let browser = world.browser();
        let begun = begin(&world, &browser, At::Partners, "/admin/x");
        let before = world.upstream.count();
        let response = browser.get(&world.answer(&browser, &begun));
        assert_page(&response, &[502], what);
        assert_eq!(response.code().as_deref(), Some(code), "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
        world.partners.behave();
    }
    // Both call their person alice. To rules that name a provider these are two.
    let browser = signed_in(&world, At::Partners);
    assert_eq!(browser.get(&world.url("/admin/x")).status, 403);
}

#[test]
fn a_rule_sends_people_to_its_provider_and_lets_nobody_elses_pass() {
    let world = world();
    for (path, at) in [("/admin/x", At::Staff), ("/partners/x", At::Partners)] {
        assert_sign_in_at(&world.browser().get(&world.url(path)), &world, at.issuer(&world), at.callback());
    }
    let page = world.browser().get(&world.url("/api/x"));
    assert_page(&page, &[401], "a rule that sends nobody");
    assert_eq!(links(&page), [world.url("/oauth2/start?rd=%2Fapi%2Fx&provider=partners")]);

    let browser = signed_in(&world, At::Partners);
    for path in ["/partners/x", "/api/x", "/page"] {
        assert_passes(&world, &browser, path, At::Partners);
    }
    let before = world.upstream.count();
    for _ in 0..4 {
        let page = browser.get(&world.url("/admin/x?a=b"));
        assert_page(&page, &[403], "somebody else's");
        assert_eq!(page.code().as_deref(), Some("not_allowed"));
        let link = world.url("/oauth2/start?rd=%2Fadmin%2Fx%3Fa%3Db&provider=default&prompt=select_account");
        assert_eq!(links(&page), [link]);
        assert_eq!(browser.fetch(&world.url("/admin/x")).status, 403);
    }
    world.upstream.assert_saw_nothing_since(before, "somebody else's");
    assert!(world.log().contains("staff alone"), "{}", world.log());
    // The link leads to the right one, and asks for another account there.
    let [link] = &links(&browser.get(&world.url("/admin/x")))[..] else { panic!("no link") };
    let begun = assert_sign_in_at(&browser.get(link), &world, &world.issuer, CALLBACK);
    assert_eq!(wasm_tests::world::parameter(&begun.url, "prompt"), "select_account");
    assert_signed_in(&browser.get(&world.answer(&browser, &begun)), &world.url("/admin/x"));
    assert_passes(&world, &browser, "/admin/x", At::Staff);
    assert_eq!(browser.get(&world.url("/partners/x")).status, 403);
}

#[test]
fn each_provider_ends_its_own_sessions_and_no_others() {
    let world = world_with(|document| {
        document["allow_on_headers_stop_iteration"] = json!(true);
        document["sign_out"] = json!({"back_channel": true, "front_channel": true});
    });
    for at in At::BOTH {
        let (own, others) = (signed_in(&world, at), signed_in(&world, at.other()));
        let sid = at.issuer(&world).sids().pop();
        world.advance(2);
        let before = world.upstream.count();
        // The other one knows no such session, and may not speak for this one.
        let of_other = at.other().issuer(&world);
        let token = of_other.logout_token_for(None, sid.as_deref(), |_| {});
        assert_eq!(world.deliver_logout(0, &token).code().as_deref(), Some("logged_out"));
        let own_url = at.issuer(&world).url();
        let token = of_other.logout_token_for(Some("alice"), None, |token| token.set("iss", own_url.as_str()));
        assert_eq!(world.deliver_logout(0, &token).status, 400);
        world.upstream.assert_saw_nothing_since(before, "logout tokens");
        assert_passes(&world, &own, "/page", at);

        let token = at.issuer(&world).logout_token_for(Some("alice"), None, |_| {});
        assert_eq!(world.deliver_logout(0, &token).code().as_deref(), Some("logged_out"));
        let before = world.upstream.count();
        for _ in 0..8 {
            assert_program_refused(&own.fetch(&world.url("/page")), "logged out");
        }
        world.upstream.assert_saw_nothing_since(before, "logged out");
        assert_passes(&world, &others, "/page", at.other());

        // In a frame: the session's name at one provider is none at the other.
        let sid = at.other().issuer(&world).sids().pop().expect("a sign-in");
        let frame =
            |at: At| world.url(&format!("/oauth2/frontchannel_logout?sid={sid}&iss={}", at.issuer(&world).url()));
        assert_eq!(world.browser().get(&frame(at)).code().as_deref(), Some("logged_out"));
        assert_passes(&world, &others, "/page", at.other());
        assert_eq!(world.browser().get(&frame(at.other())).code().as_deref(), Some("logged_out"));
        assert_program_refused(&others.fetch(&world.url("/page")), "logged out in a frame");
        world.advance(2);
    }
}

#[test]
fn signing_out_leads_to_the_provider_of_the_session() {
    let world = world();
    // Where a worker does not know the provider yet, people are signed out here alone.
    world.until_ready();
    for at in At::BOTH {
        let browser = signed_in(&world, at);
        let out = browser.get(&world.url("/oauth2/sign_out?rd=/public/bye"));
        let to = out.location().expect("the provider's sign-out");
        assert!(to.starts_with(&format!("{}{}?", at.issuer(&world).url(), Endpoint::EndSession.path())), "{to}");
        // It takes the hint as its own token, and sends the browser back.
        let back = browser.get(&to).location().expect("the way back");
        assert_eq!(browser.get(&back).location(), Some(world.url("/public/bye")), "{back}");
        let page = browser.get(&world.url("/page"));
        assert_eq!(links(&page).len(), 2);
        assert_eq!(
            at.other().issuer(&world).requests(Endpoint::EndSession).len(),
            usize::from(matches!(at, At::Partners))
        );
    }
    // Whoever is signed in nowhere is sent nowhere.
    let out = world.browser().get(&world.url("/oauth2/sign_out"));
    assert_eq!((out.status, out.location()), (200, None), "{out:?}");
}

#[test]
fn a_provider_that_is_down_keeps_nobody_from_the_other() {
    let partners = Issuer::another();
    let url = partners.url();
    let mut world = World::among(Issuer::start(), partners, |setup| configure(&mut setup.configuration, &url));
    let there = signed_in(&world, At::Partners);
    let half_way = world.browser();
    let begun = begin(&world, &half_way, At::Partners, "/page");
    let callback = world.answer(&half_way, &begun);
    world.partners.down();
    // It has not been known since a restart.
    world.restart(|_| {});
    let browser = world.browser();
    assert_eq!(links(&browser.get(&world.url("/page"))).len(), 2);
    sign_in(&world, &browser, At::Staff, "/page");
    assert_passes(&world, &browser, "/admin/x", At::Staff);
    // Whoever is signed in there does not notice, and sign-ins there say when to come again.
    assert_passes(&world, &there, "/partners/x", At::Partners);
    let before = world.upstream.count();
    for url in [world.url("/oauth2/start?rd=/page&provider=partners"), world.url("/partners/x"), callback] {
        // A browser of the scenarios gives up after a minute.
        assert_page(&half_way.get(&url), &[503], &url);
    }
    world.upstream.assert_saw_nothing_since(before, "a provider that is down");
    assert!(world.browser().get(&world.url("/oauth2/health")).text().contains("waiting"));

    world.partners.up();
    until_everywhere("the provider", || world.browser().get(&world.url("/partners/x")).location().is_some());
    sign_in(&world, &half_way, At::Partners, "/page");
    assert_passes(&world, &half_way, "/partners/x", At::Partners);
    assert!(world.browser().get(&world.url("/oauth2/health")).text().contains("ready"));
}

#[test]
fn sessions_are_renewed_where_they_began() {
    let world = world();
    for at in At::BOTH {
        at.issuer(&world).terms(|terms| {
            terms.refresh_tokens = RefreshTokens::Always;
            (terms.expires_in, terms.refresh_expires_in) = (Some(json!(100)), Some(json!(100)));
        });
    }
    let both = At::BOTH.map(|at| (at, signed_in(&world, at)));
    world.partners.misbehave(Fault::Refresh(Answer::status(500)));
    world.advance(95);
    for (at, browser) in &both {
        assert_passes(&world, browser, "/page", *at);
    }
    assert_eq!((world.issuer.refreshes().asked, world.metric("renewed")), (1, 1));
    assert!(world.partners.refreshes().asked >= 1);
    // What the one refuses ends nothing at the other.
    world.partners.behave();
    world.partners.revoke_all();
    world.advance(95);
    let [(_, staff), (_, partner)] = &both;
    assert_passes(&world, staff, "/admin/x", At::Staff);
    until("the end of the session", || (partner.fetch(&world.url("/page")).status == 401).then_some(()));
    assert_passes(&world, staff, "/admin/x", At::Staff);
}

#[test]
fn providers_come_and_go_and_sessions_of_the_others_stay() {
    let partners = Issuer::another();
    let url = partners.url();
    let mut world = World::among(Issuer::start(), partners, |setup| {
        setup.reloads = true;
        setup.configuration["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
    });
    let (alone, cookie) = world.signed_in();
    // While it serves, another one is added; and it may come first.
    world.reload(|document| add_partners(document, &url));
    until_everywhere("both providers", || links(&world.browser().get(&world.url("/page"))).len() == 2);
    assert_passes(&world, &alone, "/page", At::Staff);
    let partner = signed_in(&world, At::Partners);
    world.restart(|document| document["providers"].as_array_mut().expect("providers").reverse());
    assert_passes(&world, &alone, "/page", At::Staff);
    assert_passes(&world, &partner, "/page", At::Partners);
    assert_eq!(alone.session_cookies()[0].value, cookie.as_bytes(), "nobody's cookie had to change");

    // One that is taken away takes its sessions with it, and what was begun there.
    let browser = world.browser();
    let begun = begin(&world, &browser, At::Staff, "/page");
    let callback = world.answer(&browser, &begun);
    world.restart(|document| drop(document["providers"].as_array_mut().expect("providers").pop()));
    assert_passes(&world, &partner, "/page", At::Partners);
    let before = world.upstream.count();
    for _ in 0..4 {
        assert_program_refused(&alone.fetch(&world.url("/page")), "a provider that is gone");
        assert_eq!(alone.fetch(&world.url("/oauth2/userinfo")).status, 401);
    }
    assert_sign_in_at(&alone.get(&world.url("/page")), &world, &world.partners, CALLBACK_OF_PARTNERS);
    assert_page(&browser.get(&callback), &[404], "a callback of a provider that is gone");
    world.upstream.assert_saw_nothing_since(before, "a provider that is gone");
    // Nobody's cookie is thrown away for it: where it is back, so are its people.
    let stays = Outgoing::navigation("/page").header("cookie", format!("{SESSION_COOKIE}={cookie}"));
    let refused = world.send(&stays).expect("an answer");
    assert!(kept_cookies(&refused).iter().all(|name| name != SESSION_COOKIE), "{refused:?}");
}

#[test]
fn a_sign_in_that_one_envoy_begins_another_ends() {
    let mut world = world();
    let second = world.add_envoy();
    for at in At::BOTH {
        let browser = world.browser();
        let begun = begin(&world, &browser, at, "/page");
        let callback = world.answer(&browser, &begun);
        let there = world.through(&browser, second);
        assert_signed_in(&there.get(&callback), &world.url("/page"));
        assert_passes(&world, &browser, "/page", at);
        assert!(there.get(&world.url("/page")).headers.has(MARK));
    }
    // One that is not as far with its configuration lets nobody in whom it does not know, and ends nobody's session.
    world.restart_one(second, |document| {
        document["providers"] = json!([document["providers"][0]]);
        document["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    });
    let browser = world.browser();
    sign_in(&world, &browser, At::Partners, "/page");
    let before = world.upstream.count();
    let there = world.through(&browser, second);
    assert_program_refused(&there.fetch(&world.url("/page")), "an Envoy that does not know the provider");
    world.upstream.assert_saw_nothing_since(before, "an Envoy that does not know the provider");
    assert_passes(&world, &browser, "/page", At::Partners);
}
