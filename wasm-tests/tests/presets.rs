//! Presets in the real Envoy, beside the sign-ins of the matrix.

use serde_json::json;
use wasm_tests::{
    api_client::{API, with_token},
    issuer::{Answer, CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, IdToken, Issuer, RefreshTokens, Spoil},
    upstream::MARK,
    world::{World, access, assert_refused, assert_signed_in, callback_at_once, parameter, signed_in_at_once},
};

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
fn the_microsoft_preset_accepts_every_tenant() {
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
    let world = World::around(issuer, |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = json!({
            "preset": "microsoft", "with": {"tenant": "common"},
            "issuer": format!("{url}/{{tenantid}}/v2.0"),
            "metadata_url": format!("{url}/.well-known/openid-configuration"),
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        });
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

/// ZITADEL's claims as its documentation has them (<https://zitadel.com/docs/apis/openidoauth/claims>): roles are the keys of an
/// object, in userinfo, and in access tokens that are JWTs.
#[test]
fn the_zitadel_preset_reads_roles_from_object_keys() {
    const ROLES: &str = "urn:zitadel:iam:org:project:roles";
    const OF_PROJECT: &str = "urn:zitadel:iam:org:project:177625515410653234:roles";
    let issuer = Issuer::start();
    issuer.terms(|terms| {
        terms.claims_at_userinfo = true;
        terms.refresh_tokens = RefreshTokens::Always;
    });
    let user = |roles: serde_json::Value| {
        json!({
            "sub": "alice", "email": "alice@example.com", "email_verified": true, (ROLES): roles.clone(), (OF_PROJECT): roles,
        })
    };
    let granted = json!({"2001": "org.example"});
    issuer.sign_in_as(user(json!({"admin": granted, "editor": granted})));
    let url = issuer.url();
    let world = World::around(issuer, |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = json!({
            "preset": "zitadel", "with": {"domain": "example.zitadel.cloud", "project": "177625515410653234"},
            "issuer": url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "access_token_audiences": [API],
        });
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/admin", "access": "required", "allow": {"claims": {(ROLES): ["admin"]}}},
            {"prefix": "/others", "access": "required", "allow": {"not": {"claims": {(OF_PROJECT): ["editor"]}}}},
        ]);
        setup.configuration["identity_headers"] = json!({
            "x-forwarded-user": "sub", "x-forwarded-roles": ROLES, "x-forwarded-project-roles": OF_PROJECT,
        });
    });
    let roles_seen = || {
        let seen = world.upstream.last().headers;
        assert_eq!(seen.text("x-forwarded-roles"), seen.text("x-forwarded-project-roles"));
        seen.text("x-forwarded-roles")
    };
    let browser = signed_in_at_once(&world);
    assert_eq!(access(&world, &browser, "/admin"), "passed");
    assert_eq!(roles_seen().as_deref(), Some("admin,editor"));
    assert_eq!(access(&world, &browser, "/others"), "not_allowed");
    let known: serde_json::Value = serde_json::from_str(&browser.fetch(&world.url("/oauth2/userinfo")).text()).unwrap();
    assert_eq!(known["claims"][ROLES], json!(["admin", "editor"]));

    // The renewal brings a role less.
    world.issuer.sign_in_as(user(json!({"editor": granted})));
    world.advance(3400);
    assert_eq!(access(&world, &browser, "/page"), "passed");
    assert_eq!(world.metric("renewed"), 1, "{}", world.log());
    assert_eq!(roles_seen().as_deref(), Some("editor"));
    assert_eq!(access(&world, &browser, "/admin"), "not_allowed");
    world.assert_serves();

    let token = |names: &[&str]| {
        let roles: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), granted.clone())).collect();
        world.issuer.access_token(API, |token| token.set(ROLES, roles.clone()))
    };
    let robot = world.browser();
    let passed = robot.visit(&world.url("/admin"), with_token("/admin", &token(&["admin", "robot"])));
    assert_eq!((passed.status, passed.headers.has(MARK)), (200, true), "{passed:?}\n{}", world.log());
    assert_eq!(world.upstream.last().headers.text("x-forwarded-roles").as_deref(), Some("admin,robot"));
    assert_refused(&world, &with_token("/admin", &token(&["robot"])), &robot, (403, "not_allowed"));
}

/// A domain of Google Workspace, as Google's documentation has it
/// (<https://developers.google.com/identity/openid-connect/openid-connect>): the parameter `hd` is a hint that a browser can take
/// away, and the claim `hd` is what counts.
#[test]
fn the_google_preset_enforces_its_domain() {
    let issuer = Issuer::start();
    let url = issuer.url();
    let world = World::around(issuer, |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = json!({
            "preset": "google", "with": {"hd": "example.com"}, "issuer": url, "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        });
    });
    let cases: [(Spoil, &str); 4] = [
        (|token| token.set("hd", "example.com"), "passed"),
        (|token| token.set("hd", "example.org"), "not_allowed"),
        (|token| token.set("hd", json!(["example.org"])), "not_allowed"),
        // A private account, also with an address of the domain.
        (|token| token.remove("hd"), "not_allowed"),
    ];
    for (spoil, expected) in cases {
        world.issuer.misbehave(Fault::IdToken(spoil));
        let browser = world.browser();
        let begun = browser.get(&world.url("/page")).location().expect("a redirect");
        assert_eq!(parameter(&begun, "hd"), "example.com");
        let callback = callback_at_once(&world, &browser, "/page");
        let before = world.upstream.count();
        assert_signed_in(&browser.get(&callback), &world.url("/page"));
        let page = browser.get(&world.url("/page"));
        if expected == "passed" {
            assert!(page.headers.has(MARK), "{page:?}\n{}", world.log());
        } else {
            assert_eq!((page.status, page.code().as_deref()), (403, Some(expected)), "{page:?}");
            world.upstream.assert_saw_nothing_since(before, "another domain");
            world.assert_serves();
        }
    }
}
