//! Tokens that the real provider binds to a key of the filter (RFC 9449), in the real Envoy.

use serde_json::{Value, json};
use wasm_tests::{
    issuer::Issuer,
    keys::of_clients as keys,
    oauth2_server::{Dialect, OAuth2Server},
    site::{Plan, Site},
    user_agent::UserAgent,
    world::{World, callback_at_once},
};

/// A site whose provider gives this client bound tokens alone, and further claims to such a token at its userinfo endpoint.
fn site(dpop_key: Option<&Value>, change: impl FnOnce(&mut Plan)) -> Site {
    Site::with(|plan| {
        plan.setup.workers = 1;
        plan.provider.clients[0]["dpop_bound_access_tokens"] = json!(true);
        plan.provider.claims_at_userinfo = true;
        plan.provider.always_refresh_tokens = true;
        plan.provider.ttl = json!({"AccessToken": 6});
        let provider = &mut plan.setup.configuration["providers"][0];
        provider["userinfo"] = json!(true);
        if let Some(key) = dpop_key {
            provider["dpop_key"] = json!(key.to_string());
        }
        change(plan);
    })
}

#[track_caller]
fn signs_in(site: &Site, what: &str) -> UserAgent {
    let browser = site.signs_in(what);
    assert_eq!(
        site.app.last().headers.text("x-forwarded-email").as_deref(),
        Some("alice@example.com"),
        "{what}\n{}",
        site.envoy.log()
    );
    browser
}

#[test]
fn dpop_proofs_of_each_key_type_are_accepted_with_nonces() {
    let keys = keys();
    // RSA, P-256, P-384 and Ed25519; the provider knows no ES512 here.
    for (place, nonces) in [(1, true), (1, false), (0, true), (2, false), (4, true)] {
        let what = format!("{} {nonces}", keys[place]["kty"]);
        let site = site(Some(&keys[place]), |plan| plan.provider.proof_nonces = nonces);
        let browser = signs_in(&site, &what);
        // Each server refuses the first call for its nonce.
        let calls = ["/token", "/me"].map(|path| site.provider.seen(path));
        assert_eq!(calls, if nonces { [2, 2] } else { [1, 1] }, "{what}\n{}", site.provider.log());
        std::thread::sleep(std::time::Duration::from_secs(6));
        assert_eq!(browser.get(&site.url("/page")).status, 200, "{what}\n{}", site.envoy.log());
        let calls = ["/token", "/me"].map(|path| site.provider.seen(path));
        assert_eq!(calls, if nonces { [3, 3] } else { [2, 2] }, "{what}: the nonces are known");
        assert_eq!([site.envoy.metric("renewed"), site.envoy.metric("renewal_failed")], [1, 0], "{what}");
        let log = site.envoy.log();
        assert!(!log.contains(keys[place]["d"].as_str().expect("a private key")), "{log}");
    }
}

#[test]
fn a_client_without_the_key_gets_no_token() {
    let site = site(None, |_| {});
    let (_, page) = site.sign_in(&UserAgent::default(), "/page");
    assert_eq!((page.status, page.code().as_deref()), (400, Some("token_endpoint_invalid_grant")), "{page:?}");
    site.app.assert_saw_nothing();
    // This provider tells the client no more than that; its own log has the reason.
    let log = site.provider.log();
    assert!(log.contains("DPoP proof JWT not provided"), "{log}");
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200);
}

#[test]
fn a_bearer_token_is_refused_where_dpop_key_is_set() {
    let server = OAuth2Server::start(Dialect { user: json!({"sub": "alice"}), ..Dialect::default() });
    let mut provider = server.provider();
    provider["dpop_key"] = json!(keys()[1].to_string());
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = provider;
    });
    let browser = world.browser();
    let page = browser.get(&callback_at_once(&world, &browser, "/page"));
    assert_eq!((page.status, page.code().as_deref()), (502, Some("access_token_type")), "{page:?}");
    world.upstream.assert_saw_nothing();
    assert!(server.requests("/me").is_empty(), "the token is not used");
    let log = world.log();
    assert!(log.contains("the access token is not bound to dpop_key"), "{log}");
    assert_eq!(browser.get(&world.url("/public/x")).status, 200);
}
