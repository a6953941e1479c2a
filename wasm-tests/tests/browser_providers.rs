//! A user with a real browser, who chooses between two real providers, by a click or by an email address.

use serde_json::{Value, json};
use wasm_tests::{
    browser::{names, place, text, walk},
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
    site_with(|_| {})
}

fn site_with(change: impl FnOnce(&mut Value)) -> (Site, Provider) {
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
        change(document);
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

    // The page of a staff path refuses the user, and its link leads to the staff provider.
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

#[test]
fn a_user_without_a_mouse_signs_in_by_address() {
    let (site, partners) = site_with(|document| {
        document["providers"][0]["email_domains"] = json!(["example.com"]);
        document["providers"][1]["email_domains"] = json!(["partner.example"]);
        document["sign_in"] = json!({});
    });
    let (user, password) = ALICE;
    let press = |key: &str| json!(["press", key]);
    let steps = [
        json!(["open", site.url("/page?a=b&c=%2F")]),
        press("Tab"),
        json!(["type", "zoe@nowhere.example"]),
        json!(["enter"]),
        press("Tab"),
        json!(["type", "alice"]),
        press("Enter"),
        json!(["type", "@Partner.Example"]),
        press("Tab"),
        json!(["enter"]),
        json!(["type", user]),
        press("Tab"),
        json!(["type", password]),
        json!(["enter"]),
    ];
    let [asked, field, _, unknown, again, _, malformed, _, button, form, _, _, _, page] = walk(&site.url("/"), steps);
    assert_eq!((text(&asked, "title"), &asked["complaints"]), ("Sign in", &json!([])), "{asked:#}");
    assert!(text(&asked, "text").contains("Enter your email address, or choose"), "{asked:#}");
    let of_field = json!({"tag": "INPUT", "text": "login_hint", "outline": "solid"});
    assert_eq!([&field["focus"], &again["focus"]], [&of_field, &of_field]);
    assert!(text(&unknown, "text").contains("No sign-in is set up for this address. Choose one below."), "{unknown:#}");
    assert!(!text(&unknown, "text").contains("nowhere"), "{unknown:#}");
    assert_eq!(names(&unknown["cookies"]), [""; 0], "nothing has begun");
    // The browser's own validation refuses a malformed address.
    assert_eq!((place(&malformed), &malformed["focus"]), (place(&unknown), &of_field), "{malformed:#}");
    assert_eq!(button["focus"], json!({"tag": "BUTTON", "text": "Continue", "outline": "solid"}));
    assert_eq!((text(&form, "origin"), &form["complaints"]), (partners.issuer(), &json!([])), "{form:#}");
    let urls: Vec<_> =
        form["navigations"].as_array().expect("navigations").iter().map(|seen| text(seen, "url")).collect();
    assert!(
        urls.iter().any(|url| url.starts_with(partners.issuer()) && url.contains("login_hint=alice%40Partner.Example")),
        "{urls:?}"
    );
    assert_eq!(place(&page), site.url("/page?a=b&c=%2F"), "{page:#}\n{}", site.envoy.log());
    let seen = site.app.last();
    assert_eq!(seen.headers.text("x-issuer").as_deref(), Some(partners.issuer()));
    assert_eq!(seen.headers.text("x-forwarded-user").as_deref(), Some("alice"), "the provider says who it is");
    for address in ["nowhere", "artner.", "%40"] {
        assert!(!site.envoy.log().contains(address), "an address is in the log:\n{}", site.envoy.log());
    }
}

#[test]
fn a_user_without_a_mouse_chooses_after_an_unknown_address() {
    let (site, partners) = site_with(|document| {
        document["providers"][0]["email_domains"] = json!(["example.com"]);
        document["sign_in"] = json!({});
    });
    let press = || json!(["press", "Tab"]);
    let (user, password) = ALICE;
    let [unknown, _, _, first, second, form, page] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/oauth2/start?rd=%2Fpage%3Fa%3Db&login_hint=zoe%40nowhere.example")]),
            press(),
            press(),
            press(),
            press(),
            json!(["enter"]),
            json!(["sign_in", user, password]),
        ],
    );
    assert!(text(&unknown, "text").contains("No sign-in is set up"), "{unknown:#}");
    assert_eq!(first["focus"], json!({"tag": "A", "text": "Staff", "outline": "solid"}));
    assert_eq!(second["focus"], json!({"tag": "A", "text": "Partners", "outline": "solid"}));
    assert_eq!(text(&form, "origin"), partners.issuer(), "{form:#}");
    assert!(!form["navigations"].to_string().contains("login_hint"), "{form:#}");
    assert_eq!(place(&page), site.url("/page?a=b"), "{page:#}");
}
