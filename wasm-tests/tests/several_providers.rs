//! Several providers: users choose one, rules name one, and each may go down, come or go without the other.

use serde_json::json;
use wasm_tests::{
    issuer::{Endpoint, Issuer},
    process::until_everywhere,
    two_providers::{
        CALLBACK, CALLBACK_OF_PARTNERS, ProviderName, add_partners, assert_passes, begin, configure, links, sign_in,
        signed_in, token_requests, world, world_with,
    },
    upstream::MARK,
    user_agent::Outgoing,
    world::{
        SESSION_COOKIE, World, assert_page, assert_sign_in_at, assert_signed_in, assert_unauthenticated, kept_cookies,
        parameter,
    },
};

#[test]
fn users_choose_a_provider_and_come_back_to_their_page() {
    let world = world();
    for at in ProviderName::BOTH {
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
            ProviderName::Staff => staff,
            ProviderName::Partners => partners,
        };
        let begun = assert_sign_in_at(&browser.get(link), &world, at.issuer(&world), at.callback());
        let callback = world.answer(&browser, &begun);
        assert!(callback.starts_with(&format!("{}?", world.url(at.callback()))), "{callback}");
        let before = token_requests(&world);
        assert_signed_in(&browser.get(&callback), &world.url("/page?a=b&c=%2F"));
        let asked: usize = token_requests(&world).iter().sum::<usize>() - before.iter().sum::<usize>();
        assert_eq!((asked, at.issuer(&world).requests(Endpoint::Token).len()), (1, 1));
        assert_passes(&world, &browser, "/page?a=b&c=%2F", at);
    }
    // A script cannot choose, and a posted form is refused as well.
    let before = world.upstream.count();
    for send in [
        Outgoing::fetch("/page"),
        Outgoing::new("GET", "/page"),
        Outgoing::navigation("/page").header("upgrade", "websocket"),
    ] {
        assert_unauthenticated(&world.send(&send).expect("an answer"), "a program");
    }
    let posted = world.browser().visit(&world.url("/page"), Outgoing::form("/page", &[("a", "b")]));
    assert_page(&posted, &[401], "a form");
    // A link that names no provider shows the choice again.
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
    world.upstream.assert_saw_nothing_since(before, "no provider was chosen");
}

#[test]
fn a_link_passes_login_hint_if_configured() {
    let world = world_with(|configuration| configuration["sign_in"] = json!({"pass_parameters": ["login_hint"]}));
    let hinted = "/oauth2/start?rd=/page&login_hint=alice%2Bb%40example.com&domain_hint=x";
    let browser = world.browser();
    let page = browser.get(&world.url(hinted));
    let links = links(&page);
    assert_eq!(links.len(), 2, "{page:?}");
    let begun = assert_sign_in_at(&browser.get(&links[0]), &world, &world.issuer, CALLBACK);
    assert_eq!(parameter(&begun.url, "login_hint"), "alice+b@example.com");
    assert!(!begun.url.contains("domain_hint"), "{}", begun.url);
    assert_signed_in(&browser.get(&world.answer(&browser, &begun)), &world.url("/page"));
    // Not from the page itself: its query is the app's.
    let page = world.browser().get(&world.url("/page?login_hint=mallory"));
    assert!(!page.text().contains("&#38;login_hint"), "{page:?}");
}

#[test]
fn a_rule_sends_users_to_its_provider_and_refuses_sessions_of_the_other() {
    let world = world();
    for (path, at) in [("/admin/x", ProviderName::Staff), ("/partners/x", ProviderName::Partners)] {
        assert_sign_in_at(&world.browser().get(&world.url(path)), &world, at.issuer(&world), at.callback());
    }
    let page = world.browser().get(&world.url("/api/x"));
    assert_page(&page, &[401], "a rule without a redirect");
    assert_eq!(links(&page), [world.url("/oauth2/start?rd=%2Fapi%2Fx&provider=partners")]);

    let browser = signed_in(&world, ProviderName::Partners);
    for path in ["/partners/x", "/api/x", "/page"] {
        assert_passes(&world, &browser, path, ProviderName::Partners);
    }
    let before = world.upstream.count();
    for _ in 0..4 {
        let page = browser.get(&world.url("/admin/x?a=b"));
        assert_page(&page, &[403], "a session of the other provider");
        assert_eq!(page.code().as_deref(), Some("other_provider"));
        let link = world.url("/oauth2/start?rd=%2Fadmin%2Fx%3Fa%3Db&provider=default&prompt=select_account");
        assert_eq!(links(&page), [link, "/oauth2/sign_out".to_owned()]);
        assert_eq!(browser.fetch(&world.url("/admin/x")).status, 403);
    }
    world.upstream.assert_saw_nothing_since(before, "a session of the other provider");
    assert!(world.log().contains("staff alone"), "{}", world.log());
    // The link leads to the right one, and asks for another account there.
    let [link, _sign_out] = &links(&browser.get(&world.url("/admin/x")))[..] else { panic!("no link") };
    let begun = assert_sign_in_at(&browser.get(link), &world, &world.issuer, CALLBACK);
    assert_eq!(parameter(&begun.url, "prompt"), "select_account");
    assert_signed_in(&browser.get(&world.answer(&browser, &begun)), &world.url("/admin/x"));
    assert_passes(&world, &browser, "/admin/x", ProviderName::Staff);
    assert_eq!(browser.get(&world.url("/partners/x")).status, 403);
}

#[test]
fn a_sign_out_redirects_to_the_provider_of_the_session() {
    let world = world();
    // A worker that has no metadata yet does not redirect a sign-out to the provider.
    world.until_ready();
    for at in ProviderName::BOTH {
        let browser = signed_in(&world, at);
        let out = browser.get(&world.url("/oauth2/sign_out?rd=/public/bye"));
        let to = out.location().expect("the provider's sign-out");
        assert!(to.starts_with(&format!("{}{}?", at.issuer(&world).url(), Endpoint::EndSession.path())), "{to}");
        // It accepts the ID token hint, and sends the browser back.
        let back = browser.get(&to).location().expect("the way back");
        assert_eq!(browser.get(&back).location(), Some(world.url("/public/bye")), "{back}");
        let page = browser.get(&world.url("/page"));
        assert_eq!(links(&page).len(), 2);
        assert_eq!(
            at.other().issuer(&world).requests(Endpoint::EndSession).len(),
            usize::from(matches!(at, ProviderName::Partners))
        );
    }
    // Without a session there is no redirect.
    let out = world.browser().get(&world.url("/oauth2/sign_out"));
    assert_eq!((out.status, out.location()), (200, None), "{out:?}");
}

#[test]
fn a_provider_that_is_down_does_not_affect_the_other() {
    let partners = Issuer::another();
    let url = partners.url();
    let mut world = World::among(Issuer::start(), partners, |setup| configure(&mut setup.configuration, &url));
    let there = signed_in(&world, ProviderName::Partners);
    let half_way = world.browser();
    let begun = begin(&world, &half_way, ProviderName::Partners, "/page");
    let callback = world.answer(&half_way, &begun);
    world.partners.down();
    // It has not been known since a restart.
    world.restart(|_| {});
    let browser = world.browser();
    assert_eq!(links(&browser.get(&world.url("/page"))).len(), 2);
    sign_in(&world, &browser, ProviderName::Staff, "/page");
    assert_passes(&world, &browser, "/admin/x", ProviderName::Staff);
    // Its sessions pass, and sign-ins there are answered with Retry-After.
    assert_passes(&world, &there, "/partners/x", ProviderName::Partners);
    let before = world.upstream.count();
    for url in [world.url("/oauth2/start?rd=/page&provider=partners"), world.url("/partners/x"), callback] {
        // A browser of the scenarios gives up after a minute.
        assert_page(&half_way.get(&url), &[503], &url);
    }
    world.upstream.assert_saw_nothing_since(before, "a provider that is down");
    assert!(world.browser().get(&world.url("/oauth2/health")).text().contains("waiting"));

    world.partners.up();
    until_everywhere("the provider", || world.browser().get(&world.url("/partners/x")).location().is_some());
    sign_in(&world, &half_way, ProviderName::Partners, "/page");
    assert_passes(&world, &half_way, "/partners/x", ProviderName::Partners);
    assert!(world.browser().get(&world.url("/oauth2/health")).text().contains("ready"));
}

#[test]
fn providers_are_added_and_removed_and_sessions_of_the_others_stay() {
    let partners = Issuer::another();
    let url = partners.url();
    let mut world = World::among(Issuer::start(), partners, |setup| {
        setup.reloads = true;
        setup.configuration["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
    });
    let (alone, cookie) = world.signed_in();
    // Another one is added at run time, and it may come first.
    world.reload(|document| add_partners(document, &url));
    until_everywhere("both providers", || links(&world.browser().get(&world.url("/page"))).len() == 2);
    assert_passes(&world, &alone, "/page", ProviderName::Staff);
    let partner = signed_in(&world, ProviderName::Partners);
    world.restart(|document| document["providers"].as_array_mut().expect("providers").reverse());
    assert_passes(&world, &alone, "/page", ProviderName::Staff);
    assert_passes(&world, &partner, "/page", ProviderName::Partners);
    assert_eq!(alone.session_cookies()[0].value, cookie.as_bytes(), "the cookie is the same");

    // The sessions of a removed provider end, and its pending sign-ins.
    let browser = world.browser();
    let begun = begin(&world, &browser, ProviderName::Staff, "/page");
    let callback = world.answer(&browser, &begun);
    world.restart(|document| drop(document["providers"].as_array_mut().expect("providers").pop()));
    assert_passes(&world, &partner, "/page", ProviderName::Partners);
    let before = world.upstream.count();
    for _ in 0..4 {
        assert_unauthenticated(&alone.fetch(&world.url("/page")), "a provider that is gone");
        assert_eq!(alone.fetch(&world.url("/oauth2/userinfo")).status, 401);
    }
    assert_sign_in_at(&alone.get(&world.url("/page")), &world, &world.partners, CALLBACK_OF_PARTNERS);
    assert_page(&browser.get(&callback), &[404], "a callback of a provider that is gone");
    world.upstream.assert_saw_nothing_since(before, "a provider that is gone");
    // Their cookies are not deleted: they pass again once the provider is back.
    let stays = Outgoing::navigation("/page").header("cookie", format!("{SESSION_COOKIE}={cookie}"));
    let refused = world.send(&stays).expect("an answer");
    assert!(kept_cookies(&refused).iter().all(|name| name != SESSION_COOKIE), "{refused:?}");
}

#[test]
fn a_sign_in_started_at_one_envoy_completes_at_another() {
    let mut world = world();
    let second = world.add_envoy();
    for at in ProviderName::BOTH {
        let browser = world.browser();
        let begun = begin(&world, &browser, at, "/page");
        let callback = world.answer(&browser, &begun);
        let there = world.through(&browser, second);
        assert_signed_in(&there.get(&callback), &world.url("/page"));
        assert_passes(&world, &browser, "/page", at);
        assert!(there.get(&world.url("/page")).headers.has(MARK));
    }
    // An Envoy whose configuration lacks the provider refuses its sessions, and ends none.
    world.restart_one(second, |document| {
        document["providers"] = json!([document["providers"][0]]);
        document["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    });
    let browser = world.browser();
    sign_in(&world, &browser, ProviderName::Partners, "/page");
    let before = world.upstream.count();
    let there = world.through(&browser, second);
    assert_unauthenticated(&there.fetch(&world.url("/page")), "an Envoy that does not know the provider");
    world.upstream.assert_saw_nothing_since(before, "an Envoy that does not know the provider");
    assert_passes(&world, &browser, "/page", ProviderName::Partners);
}
