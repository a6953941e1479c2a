//! Rules that demand a stronger or a more recent sign-in (RFC 9470), at the real provider and in the real Envoy.

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::Issuer,
    oauth2_server::{Dialect, OAuth2Server},
    site::{Plan, Site},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{World, signed_in_at_once},
};

fn rules() -> Value {
    json!([
        {"prefix": "/public", "access": "public"},
        {"name": "admin", "prefix": "/admin", "access": "required", "step_up": {"acr_values": ["phr", "mfa"]}},
        {"name": "payments", "prefix": "/payments", "access": "required", "step_up": {"max_age_seconds": 600}},
        {"name": "api", "prefix": "/api", "access": "bearer", "step_up": {"acr_values": ["phr"], "max_age_seconds": 60}},
    ])
}

/// A site whose users signed in an hour ago, unless they are asked for a recent sign-in.
fn site(acr_values: &'static [&'static str], change: impl FnOnce(&mut Plan)) -> Site {
    Site::with(|plan| {
        plan.setup.workers = 1;
        plan.provider.acr_values = acr_values;
        plan.provider.signed_in_ago = 3600;
        plan.setup.configuration["rules"] = rules();
        change(plan);
    })
}

#[track_caller]
fn assert_at_app(site: &Site, (at, page): &(String, Response), path: &str) {
    assert_eq!(
        (at, page.headers.has(MARK)),
        (&site.url(path), true),
        "{page:?}\n{}\n{}",
        site.envoy.log(),
        site.provider.log()
    );
}

/// The worker serves others as ever.
#[track_caller]
fn assert_serves(site: &Site) {
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200, "{}", site.envoy.log());
}

#[test]
fn a_step_up_signs_in_again_and_returns_to_the_page() {
    let site = site(&["mfa"], |_| {});
    let browser = UserAgent::default();
    assert_at_app(&site, &site.sign_in(&browser, "/page"), "/page");
    let before = site.app.count();
    // The provider knows the user, and asks again all the same.
    for path in ["/admin/users?page=2", "/payments/7"] {
        let (form, _) = browser.follow(&site.url(path)).pop().expect("a page");
        assert!(form.starts_with(site.provider.issuer()), "{form}");
        site.app.assert_saw_nothing_since(before, path);
    }
    assert_at_app(&site, &site.sign_in(&browser, "/admin/users?page=2"), "/admin/users?page=2");
    assert_at_app(&site, &site.sign_in(&browser, "/payments/7"), "/payments/7");
    // Both demands: the second sign-in was recent, and of no class that anybody asked for.
    assert_eq!(browser.get(&site.url("/payments/8")).status, 200);
    assert_eq!(site.app.last().headers.text("x-forwarded-user").as_deref(), Some("alice"));
    assert_serves(&site);
}

#[test]
fn a_first_sign_in_satisfies_the_step_up_at_once() {
    let site = site(&["phr", "mfa"], |_| {});
    let browser = UserAgent::default();
    assert_at_app(&site, &site.sign_in(&browser, "/admin"), "/admin");
    assert_eq!(browser.get(&site.url("/admin/more")).status, 200);
    assert_eq!(site.provider.seen("/token"), 1);
}

#[test]
fn a_provider_that_ignores_the_step_up_gives_a_page_and_no_loop() {
    let site = site(&[], |_| {});
    let browser = UserAgent::default();
    let (at, page) = site.sign_in(&browser, "/admin");
    assert!(at.starts_with(&site.url("/oauth2/callback")), "{at}");
    assert_eq!((page.status, page.code().as_deref()), (403, Some("step_up_refused")), "{page:?}");
    site.app.assert_saw_nothing();
    let log = site.envoy.log();
    assert!(log.contains("was asked for acr phr or mfa, and the session has acr none"), "{log}");
    // The session is valid for rules without a step-up. Another attempt needs a page load of the user and ends the same
    // way.
    assert_eq!(browser.get(&site.url("/page")).status, 200);
    let before = site.app.count();
    let (_, page) = browser.follow(&site.url("/admin")).pop().expect("a page");
    assert_eq!((page.status, page.code().as_deref()), (403, Some("step_up_refused")), "{page:?}");
    site.app.assert_saw_nothing_since(before, "a second try");
    assert_serves(&site);
}

#[test]
fn scripts_and_forms_get_the_step_up_requirements() {
    let site = site(&["phr"], |plan| {
        plan.setup.configuration["providers"][0]["access_token_audiences"] = json!(["https://api.example.com"]);
    });
    let browser = UserAgent::default();
    assert_at_app(&site, &site.sign_in(&browser, "/page"), "/page");
    let before = site.app.count();
    let script = Outgoing::fetch("/admin/data");
    let answer = browser.visit(&site.url("/admin/data"), script);
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (401, Some("insufficient_user_authentication")),
        "{answer:?}"
    );
    let told = answer.headers.text("www-authenticate").unwrap_or_default();
    assert!(told.ends_with(r#"error="insufficient_user_authentication", acr_values="phr mfa""#), "{told}");
    let form = Outgoing::form("/payments/pay", &[("amount", "1")]);
    let answer = browser.visit(&site.url("/payments/pay"), form);
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (401, Some("insufficient_user_authentication")),
        "{answer:?}"
    );
    site.app.assert_saw_nothing_since(before, "a script and a form");
    assert_serves(&site);
}

/// GitHub and other servers without ID tokens do not say how a user has signed in.
#[test]
fn a_provider_without_id_tokens_cannot_satisfy_a_step_up() {
    let server = OAuth2Server::start(Dialect { user: json!({"sub": "alice", "acr": "phr"}), ..Dialect::default() });
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = server.provider();
        setup.configuration["rules"] = rules();
    });
    let browser = signed_in_at_once(&world);
    let (_, page) = browser.follow(&world.url("/admin")).pop().expect("a page");
    assert_eq!((page.status, page.code().as_deref()), (403, Some("step_up_refused")), "{page:?}");
    world.upstream.assert_saw_nothing();
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}
