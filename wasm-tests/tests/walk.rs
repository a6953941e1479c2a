//! The steps of a walk in the real browser, on the provider's pages and the app's.

use serde_json::json;
use wasm_tests::{
    browser::{place, walk},
    site::{ALICE, Site},
};

fn page(site: &Site, html: &str) -> String {
    let mut url = url::Url::parse(&site.url("/public/page")).expect("a URL");
    url.query_pairs_mut().append_pair("html", html);
    url.into()
}

#[test]
fn the_test_browser_opens_twenty_tabs_at_once() {
    let site = Site::start();
    let tabs: Vec<String> = (0..20).map(|tab| site.url(&format!("/tab/{tab}?q={tab}"))).collect();
    let (user, password) = ALICE;
    let [_, _, _, restored] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/page")]),
            json!(["sign_in", user, password]),
            json!(["forget", "app.localhost"]),
            json!(["tabs", tabs]),
        ],
    );
    let shown: Vec<String> = restored["tabs"].as_array().expect("tabs").iter().map(place).collect();
    assert_eq!(shown, tabs, "{restored:#}\n{}", site.envoy.log());
    assert_eq!(place(&restored), site.url("/page"));
}

#[test]
fn the_test_browser_fills_in_forms_and_sees_fragments() {
    let site = Site::start();
    let form = page(
        &site,
        "<form method=post action='/public/take?a=1'><textarea name=text></textarea><input name=name><button>Go</button></form>",
    );
    let [fragment, _, _, _, taken, asked] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/public/page?a=1#part-2")]),
            json!(["open", form]),
            json!(["fill", "textarea", "line\n<&>\u{fc}"]),
            json!(["fill", "input", "value"]),
            json!(["click", "button"]),
            json!(["fetch", "/private", {"method": "POST", "body": "x"}]),
        ],
    );
    assert_eq!(place(&fragment), site.url("/public/page?a=1#part-2"));
    assert_eq!(place(&taken), site.url("/public/take?a=1"));
    let sent = site.app.seen().into_iter().find(|request| request.method == "POST").expect("the form");
    assert_eq!(sent.form(), [("text", "line\r\n<&>\u{fc}"), ("name", "value")].map(|(a, b)| (a.into(), b.into())));
    assert_eq!(asked["answer"]["status"], 401, "{asked:#}");
}

#[test]
fn the_test_browser_runs_scripts_and_confirms_a_sign_out() {
    let bye = "/public/bye";
    let site = Site::with(|plan| {
        plan.provider.clients[0]["post_logout_redirect_uris"] = json!([format!("{}{bye}", plan.origin)]);
    });
    let (user, password) = ALICE;
    let mut end = url::Url::parse(&format!("{}/session/end", site.provider.issuer())).expect("a URL");
    end.query_pairs_mut().extend_pairs([
        ("client_id", "site"),
        ("post_logout_redirect_uri", &site.url(bye)),
        ("state", "s"),
    ]);
    let script = page(&site, &format!("<script>location.href = '{}'</script>", site.url("/public/there#part")));
    let [_, led, _, signed_in, asked, out, form] = walk(
        &site.url("/"),
        [
            json!(["open", script]),
            json!(["until", site.url("/public/there")]),
            json!(["open", site.url("/page")]),
            json!(["sign_in", user, password]),
            json!(["open", end.as_str()]),
            json!(["sign_out"]),
            json!(["open", format!("{}/auth?{}", site.provider.issuer(), authorization(&site))]),
        ],
    );
    assert_eq!(place(&led), site.url("/public/there#part"));
    assert_eq!(place(&signed_in), site.url("/page"));
    assert_eq!((&asked["title"], &asked["complaints"]), (&json!("Sign out?"), &json!([])), "{asked:#}");
    assert_eq!(place(&out), site.url("/public/bye?state=s"), "{out:#}");
    assert_eq!(form["title"], "Sign in", "{form:#}");
}

/// An authorization request, by which one sees whether the provider still knows the person.
fn authorization(site: &Site) -> String {
    let callback = site.url("/oauth2/callback");
    let pairs = [
        ("client_id", "site"),
        ("response_type", "code"),
        ("scope", "openid"),
        ("redirect_uri", &callback),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
