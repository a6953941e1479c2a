//! Presets in the real Envoy: with emulators that others have made, and with servers like the real ones. The hosts of the
//! presets are on the internet, so that each scenario puts its own in their place.

use serde_json::{Value, json};
use wasm_tests::{
    emulated::Emulated,
    issuer::{Answer, CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, IdToken, Issuer, Spoil},
    oauth2_server::{self, Dialect, OAuth2Server},
    upstream::MARK,
    user_agent::UserAgent,
    world::{World, assert_signed_in, signed_in_at_once},
};

/// The client at the emulators.
const EMULATED_CLIENT: &str = "client-at-the-emulator";
/// Its secret.
const EMULATED_SECRET: &str = "canary-client-secret-at-the-emulator";

/// One worker before the provider that `provider` makes when it knows the origin of the app.
fn world_with(issuer: Issuer, provider: impl FnOnce(&str) -> Value) -> World {
    World::around(issuer, |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = provider(&format!("http://127.0.0.1:{}", setup.port));
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/mail", "access": "required", "allow": {"allowed_domains": ["example.com"]}},
        ]);
    })
}

/// A world before an emulator of this service, whose users and clients `seed` makes of the client.
fn emulated(
    service: &str,
    seed: impl FnOnce(Value) -> Value,
    provider: impl FnOnce(&Emulated) -> Value,
) -> (World, Emulated) {
    let mut started = None;
    let world = world_with(Issuer::start(), |origin| {
        let client = json!({
            "client_id": EMULATED_CLIENT, "client_secret": EMULATED_SECRET, "name": "The app",
            "redirect_uris": [format!("{origin}/oauth2/callback")],
        });
        let emulator = started.insert(Emulated::start(service, &seed(client)));
        let mut provider = provider(emulator);
        provider["preset"] = json!(service);
        provider["client_id"] = json!(EMULATED_CLIENT);
        provider["client_secret"] = json!(EMULATED_SECRET);
        provider
    });
    (world, started.expect("it was started"))
}

/// Signs in at the emulator, on the way to this page.
#[track_caller]
fn signed_in_at(emulator: &Emulated, world: &World, path: &str) -> UserAgent {
    let browser = world.browser();
    let (at, page) = Emulated::sign_in(&browser, "alice@example.com", &world.url(path));
    let log = || format!("{at}\n{page:?}\n{}\n{}", world.log(), emulator.log());
    assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{}", log());
    assert!(!world.log().contains("canary-"), "{}", world.log());
    browser
}

/// The value of this header at the app, of the last request.
fn seen(world: &World, name: &str) -> Option<String> {
    world.upstream.last().headers.text(name)
}

/// Lets the access token come near its end, which renews the session.
#[track_caller]
fn renew(world: &World, browser: &UserAgent) {
    world.advance(3400);
    assert_eq!(browser.get(&world.url("/page")).status, 200, "{}", world.log());
    assert_eq!(world.metric("renewed"), 1, "{}", world.log());
}

/// Signs out, and finds that the session is over.
#[track_caller]
fn sign_out(world: &World, browser: &UserAgent, at_provider: Option<&str>) {
    let out = browser.get(&world.url("/oauth2/sign_out"));
    match at_provider {
        Some(url) => assert!(out.location().is_some_and(|location| location.starts_with(url)), "{out:?}"),
        None => assert_eq!((out.status, out.code().as_deref()), (200, Some("signed_out")), "{out:?}"),
    }
    let before = world.upstream.count();
    let again = browser.get(&world.url("/page"));
    assert_eq!((again.status, again.code().as_deref()), (302, Some("sign_in_started")), "{again:?}");
    world.upstream.assert_saw_nothing_since(before, "signed out");
}

#[test]
fn google() {
    let seed = |client| {
        json!({
            "users": [{"email": "alice@example.com", "name": "Alice", "email_verified": true, "hd": "example.com"}],
            "oauth_clients": [client],
        })
    };
    let (world, emulator) = emulated("google", seed, |emulator| json!({"issuer": emulator.url("")}));
    let browser = signed_in_at(&emulator, &world, "/mail");
    assert_eq!(seen(&world, "x-forwarded-email").as_deref(), Some("alice@example.com"));
    // It offers client_secret_basic, and takes client_secret_post alone.
    assert!(world.log().contains("as client_secret_post, because it refused the other method"), "{}", world.log());
    sign_out(&world, &browser, None);
}

/// Apple posts its response, writes `email_verified` as text, and takes a client secret that is an assertion.
#[test]
fn apple() {
    let keys: Value = serde_json::from_str(include_str!("../../src/jose/testdata/private_keys.json")).expect("JSON");
    let mut started = None;
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.bodies_while_headers_are_held = true;
        let client = json!({
            "client_id": EMULATED_CLIENT, "team_id": "1A2B3C4D5E", "key_id": "ABC123DEFG", "name": "The app",
            "redirect_uris": [format!("http://127.0.0.1:{}/oauth2/callback", setup.port)],
        });
        let users = json!([{"email": "alice@example.com", "name": "Alice"}]);
        let emulator = started.insert(Emulated::start("apple", &json!({"users": users, "oauth_clients": [client]})));
        setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        setup.configuration["rules"] =
            json!([{"prefix": "/mail", "access": "required", "allow": {"allowed_domains": ["example.com"]}}]);
        setup.configuration["providers"][0] = json!({
            "preset": "apple", "with": {"team_id": "1A2B3C4D5E", "key_id": "ABC123DEFG"},
            "issuer": emulator.url(""), "client_id": EMULATED_CLIENT,
            "client_key": {"private_key": keys[1].to_string()},
        });
    });
    let emulator = started.expect("it was started");
    let browser = signed_in_at(&emulator, &world, "/mail");
    assert_eq!(seen(&world, "x-forwarded-email").as_deref(), Some("alice@example.com"));
    // A renewal by this emulator has an `auth_time` of its own, which OIDC Core 12.2 forbids.
    sign_out(&world, &browser, None);
}

#[test]
fn microsoft_with_one_tenant() {
    const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let seed = |client| {
        json!({
            "users": [{"email": "alice@example.com", "name": "Alice"}], "oauth_clients": [client],
        })
    };
    let (world, emulator) = emulated(
        "microsoft",
        seed,
        |emulator| json!({"with": {"tenant": TENANT}, "issuer": emulator.url(&format!("/{TENANT}/v2.0"))}),
    );
    let browser = signed_in_at(&emulator, &world, "/page");
    assert!(seen(&world, "x-forwarded-user").is_some());
    // It says nothing of whether an address is verified.
    let refused = browser.get(&world.url("/mail"));
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("not_allowed")), "{refused:?}");
    renew(&world, &browser);
    sign_out(&world, &browser, Some(&emulator.url("/oauth2/v2.0/logout")));
}

/// Makes a token one of a tenant: `iss` names one, `tid` another or the same.
fn of_tenant(token: &mut IdToken, iss: &str, tid: &str) {
    let issuer = token.claims["iss"].as_str().expect("an issuer").to_owned();
    token.set("iss", json!(format!("{issuer}/{iss}/v2.0")));
    token.set("tid", json!(tid));
}

/// Metadata and ID tokens as Microsoft's documentation has them for `common`
/// (<https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc>): a template in place of the issuer, which
/// the emulator does not have.
#[test]
fn microsoft_with_every_tenant() {
    let issuer = Issuer::start();
    let url = issuer.url();
    issuer.misbehave(Fault::Answer(
        Endpoint::Discovery,
        Answer::Edited(|metadata| {
            metadata["issuer"] =
                json!(format!("{}/{{tenantid}}/v2.0", metadata["issuer"].as_str().unwrap_or_default()));
            metadata["authorization_response_iss_parameter_supported"] = json!(false);
        }),
    ));
    let world = world_with(issuer, |_| {
        json!({
            "preset": "microsoft", "with": {"tenant": "common"},
            "issuer": format!("{url}/{{tenantid}}/v2.0"),
            "metadata_url": format!("{url}/.well-known/openid-configuration"),
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        })
    });
    const A: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    const B: &str = "00000000-6c67-4c5b-b112-36a304b66dad";
    let cases: [(Spoil, bool); 4] = [
        (|token| of_tenant(token, A, A), true),
        (|token| of_tenant(token, B, B), true),
        (|token| of_tenant(token, A, B), false),
        (|token| of_tenant(token, "common", "common"), false),
    ];
    for (spoil, is_good) in cases {
        let browser = world.browser();
        let begun = browser.get(&world.url("/page"));
        let back = browser.get(&begun.location().expect("a redirect")).location().expect("a way back");
        // Microsoft sends no `iss` with the code.
        let callback = back.split("&iss=").next().unwrap_or_default().to_owned();
        world.issuer.behave();
        world.issuer.misbehave(Fault::IdToken(spoil));
        let before = world.upstream.count();
        let answer = browser.get(&callback);
        if is_good {
            assert_signed_in(&answer, &world.url("/page"));
        } else {
            assert_eq!((answer.status, answer.code().as_deref()), (502, Some("id_token_refused")), "{answer:?}");
            world.upstream.assert_saw_nothing_since(before, "another tenant");
            world.assert_serves();
        }
    }
}

#[test]
fn okta_with_a_custom_authorization_server() {
    let seed = |mut client: Value| {
        client["auth_server_id"] = json!("default");
        json!({
            "users": [{"login": "alice@example.com", "email": "alice@example.com", "first_name": "Alice", "last_name": "A."}],
            "groups": [{"name": "Everyone", "description": "All users", "type": "BUILT_IN", "okta_id": "00g_everyone"}],
            "authorization_servers": [{"id": "default", "name": "default", "audiences": ["api://default"]}],
            "oauth_clients": [client],
        })
    };
    let (world, emulator) = emulated(
        "okta",
        seed,
        |emulator| json!({"with": {"domain": "example.okta.com"}, "issuer": emulator.url("/oauth2/default")}),
    );
    let browser = signed_in_at(&emulator, &world, "/page");
    assert!(seen(&world, "x-forwarded-user").is_some());
    // The emulator's ID token of a refresh has another `auth_time`, which OIDC Core 12.2 forbids, so it renews nothing.
    sign_out(&world, &browser, Some(&emulator.url("/oauth2/default/v1/logout")));
}

/// As GitLab's documentation has it: the ID token has little, userinfo has the rest
/// (<https://docs.gitlab.com/integration/openid_connect_provider>).
#[test]
fn gitlab_by_a_server_like_it() {
    let issuer = Issuer::start();
    let url = issuer.url();
    issuer.terms(|terms| terms.claims_at_userinfo = true);
    let world = world_with(
        issuer,
        |_| json!({"preset": "gitlab", "with": {"url": url}, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}),
    );
    let (browser, _) = world.signed_in();
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert!(seen(&world, "x-forwarded-groups").is_some_and(|groups| !groups.is_empty()), "{:?}", world.upstream.last());
}

/// Signs in at once, and opens a page of the app.
#[track_caller]
fn on_a_page(world: &World) -> UserAgent {
    let browser = signed_in_at_once(world);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert!(!world.log().contains("canary-"), "{}", world.log());
    browser
}

/// As SimpleLogin's documentation has it (<https://docs.simplelogin.io/overview>).
#[test]
fn simplelogin_by_a_server_like_it() {
    let server = OAuth2Server::start(Dialect {
        user: json!({
            "avatar_url": "https://cdn.example/a", "client": "The app", "email": "alice@example.com", "email_verified": true,
            "id": 1, "name": "Alice",
        }),
        ..Dialect::default()
    });
    let world = world_with(Issuer::start(), |_| {
        json!({
            "preset": "simplelogin", "with": {"url": server.url("")},
            "client_id": oauth2_server::CLIENT_ID, "client_secret": oauth2_server::CLIENT_SECRET,
        })
    });
    let browser = on_a_page(&world);
    assert_eq!(browser.get(&world.url("/mail")).status, 200);
    assert_eq!(seen(&world, "x-forwarded-user").as_deref(), Some("1"));
    sign_out(&world, &browser, None);
}

/// As Facebook's documentation has it (<https://developers.facebook.com/docs/graph-api/reference/user/>).
#[test]
fn facebook_by_a_server_like_it() {
    let server = OAuth2Server::start(Dialect {
        user: json!({
            "id": "10158", "name": "Alice", "email": "alice@example.com",
            "picture": {"data": {"height": 50, "is_silhouette": false, "url": "https://cdn.example/p"}},
        }),
        ..Dialect::default()
    });
    let world = world_with(Issuer::start(), |_| {
        json!({
            "preset": "facebook",
            "authorization_endpoint": server.url("/authorize"),
            "token_endpoint": server.url("/token"),
            "userinfo_endpoint": server.url("/me?fields=id,name,email,picture"),
            "client_id": oauth2_server::CLIENT_ID, "client_secret": oauth2_server::CLIENT_SECRET,
        })
    });
    let browser = on_a_page(&world);
    assert_eq!(seen(&world, "x-forwarded-user").as_deref(), Some("10158"));
    let refused = browser.get(&world.url("/mail"));
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("not_allowed")), "{refused:?}");
    sign_out(&world, &browser, None);
}
