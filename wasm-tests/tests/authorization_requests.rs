//! Authorization requests in other forms than a plain URL, and responses that the browser posts, with the real provider.

use serde_json::{Value, json};
use url::Url;
use wasm_tests::{
    browser::{place, text, walk},
    html::Form,
    http1::Response,
    keys,
    provider::CODE_CHALLENGE,
    site::{ALICE, Plan, Site},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{parameter, parameters},
};

/// A key that signs nothing but tests, on P-256.
fn key() -> Value {
    keys::of_clients().remove(1)
}

fn site(change: impl FnOnce(&mut Plan)) -> Site {
    let site = Site::with(|plan| {
        plan.setup.workers = 1;
        change(plan);
    });
    site.until_ready();
    site
}

/// The provider posts its responses.
fn form_post(plan: &mut Plan) {
    plan.setup.bodies_while_headers_are_held = true;
    plan.setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
    plan.setup.configuration["providers"][0]["response_mode"] = json!("form_post");
}

/// The provider takes pushed requests alone from this client.
fn pushed(plan: &mut Plan) {
    plan.provider.clients[0]["require_pushed_authorization_requests"] = json!(true);
    plan.setup.configuration["providers"][0]["pushed_authorization_requests"] = json!(true);
}

/// The provider takes signed requests alone from this client.
fn signed(plan: &mut Plan) {
    let mut public = key();
    public.as_object_mut().expect("an object").remove("d");
    let client = &mut plan.provider.clients[0];
    client["require_signed_request_object"] = json!(true);
    client["request_object_signing_alg"] = json!("ES256");
    client["jwks"] = json!({"keys": [public]});
    let provider = &mut plan.setup.configuration["providers"][0];
    provider["signed_authorization_requests"] = json!(true);
    provider["client_key"] = json!({"private_key": key().to_string()});
}

#[track_caller]
fn assert_app(site: &Site, (at, page): &(String, Response)) {
    let log = || format!("{at} {page:?}\n{}\n{}", site.envoy.log(), site.provider.log());
    assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{}", log());
    assert_eq!(site.app.last().headers.text("x-forwarded-user").as_deref(), Some("alice"), "{}", log());
}

/// The URL at the provider to which a page without a session leads.
fn authorization_url(site: &Site, browser: &UserAgent) -> String {
    browser.get(&site.url("/page")).location().expect("a redirect to the provider")
}

#[test]
fn a_pushed_request_puts_only_a_request_uri_in_the_url() {
    let site = site(pushed);
    let url = authorization_url(&site, &UserAgent::default());
    let names: Vec<_> = parameters(&url).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["client_id", "request_uri"], "{url}");
    assert_app(&site, &site.sign_in(&UserAgent::default(), "/page"));
    assert!(site.provider.seen("/request") >= 2);
}

#[test]
fn a_refused_pushed_request_gives_a_page_and_no_redirect() {
    let site = site(|plan| {
        pushed(plan);
        plan.provider.clients[0]["redirect_uris"] = json!(["https://other.example.com/callback"]);
    });
    let page = UserAgent::default().get(&site.url("/page"));
    assert_eq!((page.status, page.headers.text("vestibule-code").as_deref()), (502, Some("pushed_request_refused")));
    assert!(page.headers.all("set-cookie").is_empty(), "{page:?}");
    site.app.assert_saw_nothing();
    assert!(site.envoy.log().contains("the provider refused the pushed authorization request: invalid_re"));
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200);
    site.provider.down();
    let page = UserAgent::default().get(&site.url("/page"));
    assert_eq!(
        (page.status, page.headers.text("vestibule-code").as_deref()),
        (503, Some("pushed_request_unavailable"))
    );
}

#[test]
fn a_signed_request_contains_all_security_parameters() {
    let site = site(signed);
    let url = authorization_url(&site, &UserAgent::default());
    let names: Vec<_> = parameters(&url).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["response_type", "client_id", "scope", "request"], "{url}");
    assert_app(&site, &site.sign_in(&UserAgent::default(), "/page"));
    assert!(!site.envoy.log().contains(key()["d"].as_str().expect("a number")));
}

#[test]
fn a_browser_posts_the_response_of_a_request_that_is_pushed_and_signed() {
    let site = site(|plan| {
        form_post(plan);
        pushed(plan);
        signed(plan);
    });
    let (user, password) = ALICE;
    let page = "/page?a=b#part";
    let [_, form, arrived] = walk(
        &site.url("/"),
        [json!(["open", site.url(page)]), json!(["until", site.provider.issuer()]), json!(["sign_in", user, password])],
    );
    assert_eq!(text(&form, "origin"), site.provider.issuer(), "{form:#}");
    assert_eq!(place(&arrived), site.url("/page?a=b"), "{arrived:#}\n{}", site.envoy.log());
    assert_eq!(site.app.last().headers.text("x-forwarded-user").as_deref(), Some("alice"));
}

/// Signs in up to the form that the browser is to post to the callback.
fn response_form(site: &Site, browser: &UserAgent) -> (String, Form) {
    let (at, page) = site.sign_in(browser, "/page");
    let form = Form::first(&page.text()).unwrap_or_else(|| panic!("no form at {at}: {page:?}"));
    assert_eq!(form.action, site.url("/oauth2/callback"));
    (at, form)
}

fn post(browser: &UserAgent, form: &Form) -> Response {
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let to = Url::parse(&form.action).expect("a URL");
    let send = Outgoing::form(to.path(), &fields).without("sec-fetch-site").header("sec-fetch-site", "cross-site");
    browser.visit(&form.action, send)
}

#[test]
fn a_form_post_response_is_accepted_once_and_from_its_own_browser() {
    let site = site(form_post);
    let browser = UserAgent::default();
    let (_, form) = response_form(&site, &browser);
    let code = form.field("code").expect("a code").to_owned();
    let relayed = post(&browser, &form);
    assert_eq!(relayed.status, 303, "{relayed:?}");
    let sealed = relayed.location().expect("a redirect");
    assert!(sealed.starts_with(&site.url("/oauth2/callback?sealed_response=")) && !sealed.contains(&code), "{sealed}");

    // Another browser, which did not begin the sign-in, is sent to sign in itself.
    let stolen = UserAgent::default().get(&sealed);
    assert_eq!((stolen.status, stolen.headers.text("vestibule-code").as_deref()), (302, Some("sign_in_started")));
    // An altered sealed response is refused, too.
    let changed = browser.get(&format!("{sealed}A"));
    assert_eq!((changed.status, changed.headers.text("vestibule-code").as_deref()), (400, Some("callback_malformed")));
    site.app.assert_saw_nothing();

    let arrived = browser.follow(&sealed).pop().expect("a page");
    assert_app(&site, &arrived);
    assert_eq!(browser.get(&sealed).location().as_deref(), Some(site.url("/page").as_str()));
    assert!(!site.envoy.log().contains(&code));
}

#[test]
fn a_malformed_form_post_response_is_refused() {
    let site = site(form_post);
    let browser = UserAgent::default();
    let (_, form) = response_form(&site, &browser);
    let with = |change: &dyn Fn(&mut Form)| {
        let mut form = form.clone();
        change(&mut form);
        post(&browser, &form)
    };
    let twice = ("code".to_owned(), "b".to_owned());
    for (what, response) in [
        ("no state", with(&|form| form.fields.retain(|(name, _)| name != "state"))),
        ("two codes", with(&|form| form.fields.push(twice.clone()))),
        ("nothing", with(&|form| form.fields.clear())),
        ("a long code", with(&|form| form.fields = vec![("code".to_owned(), "x".repeat(15_000)), twice.clone()])),
        ("bytes", with(&|form| form.fields.push(("iss".to_owned(), "\0".to_owned())))),
    ] {
        let code = response.headers.text("vestibule-code");
        assert_eq!((response.status, code.as_deref()), (400, Some("callback_malformed")), "{what}: {response:?}");
    }
    let huge = with(&|form| form.fields.push(("x".to_owned(), "x".repeat(70_000))));
    assert_eq!(huge.status, 413, "{huge:?}");
    site.app.assert_saw_nothing();
    // The response itself is as good as before.
    let relayed = post(&browser, &form);
    assert_app(&site, &browser.follow(&relayed.location().expect("a redirect")).pop().expect("a page"));
}

#[test]
fn without_form_post_a_posted_callback_is_refused() {
    let site = site(|_| {});
    let browser = UserAgent::default();
    let state = parameter(&authorization_url(&site, &browser), "state");
    let fields = vec![("code".to_owned(), CODE_CHALLENGE.to_owned()), ("state".to_owned(), state)];
    let form = Form { action: site.url("/oauth2/callback"), method: "post".to_owned(), fields };
    let refused = post(&browser, &form);
    assert_eq!((refused.status, refused.headers.text("vestibule-code").as_deref()), (405, Some("callback_method")));
    site.app.assert_saw_nothing();
    assert_app(&site, &site.sign_in(&UserAgent::default(), "/page"));
}
