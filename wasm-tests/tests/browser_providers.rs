//! A user with a real browser, who chooses between two real providers.

use serde_json::{Value, json};
use wasm_tests::{
    chromium::{names, place, text, walk},
    provider::{Provider, Settings, client},
    site::{ALICE, Site},
    world::{LOGIN_LOOP_COOKIE, SESSION_COOKIE},
};

const PAGE: &str = "/page?a=b&c=%2F#part";
/// A page for staff alone.
const ROW: &str = "/admin/x?a=b&provider=partners#row/7?x=1&y=%26";
/// The link of the second provider on the page where people choose.
const SECOND: &str = "li:nth-child(2) a";

/// A site with a second provider, for the same people.
fn site() -> (Site, Provider) {
    let mut partners = None;
    let site = Site::with(|plan| {
        let mut client = client("site-of-partners", "canary-secret-of-the-partners", &plan.origin);
        client["redirect_uris"] = json!([format!("{}/oauth2/callback/partners", plan.origin)]);
        let settings = Settings { host: "localhost", clients: vec![client], ..Settings::default() };
        let provider = Provider::with(&settings);
        let document = &mut plan.setup.configuration;
        document["providers"][0]["title"] = json!("Staff");
        document["providers"].as_array_mut().expect("providers").push(json!({
            "name": "partners",
            "title": "Partners",
            "issuer": provider.issuer(),
            "client_id": "site-of-partners",
            "client_secret": "canary-secret-of-the-partners",
        }));
        document["sign_in"] = json!({"keep_fragment": true});
        document["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
        document["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/admin", "access": "required", "providers": ["default"]},
        ]);
        partners = Some(provider);
    });
    (site, partners.expect("a provider"))
}

#[track_caller]
fn assert_chooser(seen: &Value, site: &Site) {
    assert_eq!((text(seen, "origin"), text(seen, "title")), (site.url("").as_str(), "Sign in"), "{seen:#}");
    for part in ["Choose how you want to sign in.", "Staff", "Partners", "sign_in_required"] {
        assert!(text(seen, "text").contains(part), "{part}: {seen:#}");
    }
    assert_eq!(seen["complaints"], json!([]), "{seen:#}");
}

#[test]
fn a_user_chooses_a_provider_and_later_the_other() {
    let (site, partners) = site();
    let (user, password) = ALICE;
    let [_, chosen, form, page, refused, form_of_staff, admin, asked, out, again, _, _, fragment] = walk(
        &site.url("/"),
        [
            json!(["open", site.url(PAGE)]),
            json!(["until", site.url("/oauth2/start")]),
            json!(["click", SECOND]),
            json!(["sign_in", user, password]),
            json!(["open", site.url("/admin/x")]),
            json!(["click", ".button"]),
            json!(["sign_in", user, password]),
            json!(["open", site.url("/oauth2/sign_out")]),
            json!(["sign_out"]),
            json!(["open", site.url("/oauth2/start?rd=/page")]),
            json!(["open", site.url(ROW)]),
            json!(["until", site.provider.issuer()]),
            json!(["sign_in", user, password]),
        ],
    );
    assert_chooser(&chosen, &site);
    assert_eq!(names(&chosen["cookies"]), [""; 0], "nothing has begun");
    assert_eq!(text(&form, "origin"), partners.issuer(), "{form:#}");
    assert_eq!(place(&page), site.url(PAGE), "{page:#}\n{}", site.envoy.log());
    let mut kept = names(&page["cookies"]);
    kept.sort_unstable();
    assert_eq!(kept, [SESSION_COOKIE, LOGIN_LOOP_COOKIE]);
    let issuer_of = |target: &str| {
        let seen = site.app.seen().into_iter().rfind(|request| request.target == target);
        seen.and_then(|request| request.headers.text("x-issuer"))
    };
    assert_eq!(issuer_of("/page?a=b&c=%2F").as_deref(), Some(partners.issuer()));

    // What is for staff alone says so, and leads to their provider.
    assert_eq!(text(&refused, "title"), "You may not open this page", "{refused:#}");
    assert_eq!(issuer_of("/admin/x").as_deref(), Some(site.provider.issuer()));
    assert_eq!(text(&form_of_staff, "origin"), site.provider.issuer(), "{form_of_staff:#}");
    assert_eq!(place(&admin), site.url("/admin/x"), "{admin:#}");

    // The sign-out is that of the provider where the session is from.
    assert_eq!((text(&asked, "origin"), text(&asked, "title")), (site.provider.issuer(), "Sign out?"), "{asked:#}");
    assert_eq!((text(&out, "title"), names(&out["cookies"])), ("You are signed out", vec![]), "{out:#}");
    assert_eq!([site.provider.seen("/token"), partners.seen("/token")], [2, 1]);
    assert_eq!([site.provider.seen("end_session.success"), partners.seen("end_session.success")], [1, 0]);
    assert_chooser(&again, &site);
    assert_eq!(place(&fragment), site.url(ROW), "{fragment:#}");
}
