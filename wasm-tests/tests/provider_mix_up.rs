//! Mix-up of two providers (RFC 9700, 4.4): a response, a token or a logout of one never counts as one of the other.

use serde_json::json;
use wasm_tests::{
    issuer::{Answer, Fault, RefreshTokens, Signing},
    process::until,
    two_providers::{CALLBACK, ProviderName, assert_passes, begin, signed_in, token_requests, world, world_with},
    user_agent::UserAgent,
    world::{assert_page, assert_signed_in, assert_unauthenticated, changed, parameter},
};

#[test]
fn a_response_of_one_provider_is_refused_at_the_callback_of_the_other() {
    let world = world();
    let before = world.upstream.count();
    for at in ProviderName::BOTH {
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
        // Other spellings name no provider.
        for name in ["default", "nobody", "Partners", "partners/", "", "partners%2F", "partners%00"] {
            let other = callback.replacen(at.callback(), &format!("{CALLBACK}/{name}"), 1);
            let response = browser.get(&other);
            assert!(matches!(response.status, 400 | 404) && response.location().is_none(), "{other}: {response:?}");
        }
        assert_eq!(token_requests(&world), [0, 0]);

        // The answer names the other one (RFC 9207), with a code of its own or of the other.
        let own = begin(&world, &browser, at, "/page");
        let others = begin(&world, &browser, at.other(), "/page");
        let (own, others) = (world.answer(&browser, &own), world.answer(&browser, &others));
        let query = |url: &str, name: &str| parameter(url, name);
        let with = |name: &'static str, value: String| {
            changed(&own, |parameters| {
                parameters.iter_mut().filter(|(known, _)| known == name).for_each(|(_, old)| old.clone_from(&value));
            })
        };
        refused(&browser, &with("iss", query(&others, "iss")), "callback_wrong_issuer");
        let own = begin(&world, &browser, at, "/page");
        let own = world.answer(&browser, &own);
        let with_others_state = changed(&own, |parameters| {
            let state = query(&others, "state");
            parameters.iter_mut().filter(|(name, _)| name == "state").for_each(|(_, old)| old.clone_from(&state));
        });
        refused(&browser, &with_others_state, "callback_wrong_issuer");
        assert_eq!(token_requests(&world), [0, 0]);
        assert!(browser.session_cookies().is_empty());
    }
    world.upstream.assert_saw_nothing_since(before, "a mix-up");

    // A user who signs in at both in two tabs gets a session of each, one after the other.
    let browser = world.browser();
    let [staff, partners] = ProviderName::BOTH.map(|at| begin(&world, &browser, at, "/page"));
    let partners = world.answer(&browser, &partners);
    let staff = world.answer(&browser, &staff);
    assert_signed_in(&browser.get(&partners), &world.url("/page"));
    assert_passes(&world, &browser, "/partners/x", ProviderName::Partners);
    assert_signed_in(&browser.get(&staff), &world.url("/page"));
    assert_passes(&world, &browser, "/admin/x", ProviderName::Staff);
}

#[test]
fn a_token_of_one_provider_creates_no_session_of_the_other() {
    let world = world();
    // The partners' token endpoint names another issuer, or signs with a key that is not theirs.
    for (what, code, fault) in [
        ("another name", "id_token_refused", Fault::IdToken(|token| token.set("iss", "http://127.0.0.1:1"))),
        ("another key", "id_token_signature", Fault::IdToken(|token| token.signing = Signing::Unpublished)),
    ] {
        world.partners.misbehave(fault);
        let browser = world.browser();
        let begun = begin(&world, &browser, ProviderName::Partners, "/admin/x");
        let before = world.upstream.count();
        let response = browser.get(&world.answer(&browser, &begun));
        assert_page(&response, &[502], what);
        assert_eq!(response.code().as_deref(), Some(code), "{what}");
        world.upstream.assert_saw_nothing_since(before, what);
        world.partners.behave();
    }
    // Both call their user alice. To a rule that names a provider these are two users.
    let browser = signed_in(&world, ProviderName::Partners);
    assert_eq!(browser.get(&world.url("/admin/x")).status, 403);
}

#[test]
fn each_provider_ends_its_own_sessions_only() {
    let world = world_with(|document| {
        document["allow_on_headers_stop_iteration"] = json!(true);
        document["sign_out"] = json!({"back_channel": true, "front_channel": true});
    });
    for at in ProviderName::BOTH {
        let (own, others) = (signed_in(&world, at), signed_in(&world, at.other()));
        let sid = at.issuer(&world).sids().pop();
        world.advance(2);
        let before = world.upstream.count();
        // The other provider has no such session, and may not issue tokens in the name of this one.
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
            assert_unauthenticated(&own.fetch(&world.url("/page")), "logged out");
        }
        world.upstream.assert_saw_nothing_since(before, "logged out");
        assert_passes(&world, &others, "/page", at.other());

        // In a frame: the `sid` of one provider names no session of the other.
        let sid = at.other().issuer(&world).sids().pop().expect("a sign-in");
        let frame = |at: ProviderName| {
            world.url(&format!("/oauth2/frontchannel_logout?sid={sid}&iss={}", at.issuer(&world).url()))
        };
        assert_eq!(world.browser().get(&frame(at)).code().as_deref(), Some("logged_out"));
        assert_passes(&world, &others, "/page", at.other());
        assert_eq!(world.browser().get(&frame(at.other())).code().as_deref(), Some("logged_out"));
        assert_unauthenticated(&others.fetch(&world.url("/page")), "logged out in a frame");
        world.advance(2);
    }
}

#[test]
fn sessions_are_renewed_at_the_provider_of_their_sign_in() {
    let world = world();
    for at in ProviderName::BOTH {
        at.issuer(&world).terms(|terms| {
            terms.refresh_tokens = RefreshTokens::Always;
            (terms.expires_in, terms.refresh_expires_in) = (Some(json!(100)), Some(json!(100)));
        });
    }
    let both = ProviderName::BOTH.map(|at| (at, signed_in(&world, at)));
    world.partners.misbehave(Fault::Refresh(Answer::status(500)));
    world.advance(95);
    for (at, browser) in &both {
        assert_passes(&world, browser, "/page", *at);
    }
    assert_eq!((world.issuer.refreshes().asked, world.metric("renewed")), (1, 1));
    assert!(world.partners.refreshes().asked >= 1);
    // A refusal of one ends no session of the other.
    world.partners.behave();
    world.partners.revoke_all();
    world.advance(95);
    let [(_, staff), (_, partner)] = &both;
    assert_passes(&world, staff, "/admin/x", ProviderName::Staff);
    until("the end of the session", || (partner.fetch(&world.url("/page")).status == 401).then_some(()));
    assert_passes(&world, staff, "/admin/x", ProviderName::Staff);
}
