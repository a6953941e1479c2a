//! Sessions in a real browser, at the real provider: what a user loses when one ends, and what is kept.

use serde_json::{Value, json};
use wasm_tests::{
    browser::{place, text, walk},
    http1::{Outcome, Server, response},
    site::{ALICE, Site},
    world::SESSION_COOKIE,
};

fn has_session(seen: &Value) -> bool {
    seen["cookies"].as_array().is_some_and(|cookies| cookies.iter().any(|cookie| cookie["name"] == SESSION_COOKIE))
}

#[track_caller]
fn assert_no_complaints(steps: &[Value]) {
    for seen in steps {
        assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    }
}

/// A page on another site that holds this HTML.
fn other_site(html: String) -> (Server, String) {
    let server = Server::start(0, move |_, connection| {
        let page = format!("<!doctype html><title>Elsewhere</title>{html}");
        let sent = connection.send(&response(200, &[("content-type", "text/html")], page.as_bytes()));
        if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
    });
    let url = format!("http://other.localhost:{}/", server.address().port());
    (server, url)
}

#[test]
fn the_back_button_after_a_sign_out_restores_no_session() {
    let site = Site::start();
    let (user, password) = ALICE;
    let page = site.url("/page?header=cache-control:no-store");
    let steps = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/public/start")]),
            json!(["open", page]),
            json!(["sign_in", user, password]),
            json!(["open", site.url("/oauth2/sign_out")]),
            json!(["sign_out"]),
            json!(["back"]),
            json!(["open", site.url("/public/start")]),
            json!(["fetch", "/api"]),
            json!(["open", page]),
            json!(["sign_in", user, password]),
        ],
    );
    let [_, _, arrived, asked, out, back, _, api, form, back_in] = &steps;
    assert_eq!(place(arrived), page, "{}", site.envoy.log());
    assert_eq!(place(out).split('?').next(), Some(&*site.url("/oauth2/signed_out")), "{out:#}");
    assert_eq!((text(out, "title"), api["answer"]["status"].as_u64()), ("You are signed out", Some(401)));
    assert_eq!((text(form, "origin"), text(form, "title")), (site.provider.issuer(), "Sign in"), "{form:#}");
    assert!([asked, back, form].iter().all(|seen| !has_session(seen)), "{form:#}");
    assert!(has_session(back_in), "{back_in:#}");
    assert_no_complaints(&steps);
}

#[test]
fn the_fragment_of_the_url_survives_the_sign_in() {
    let site = Site::with(|plan| plan.setup.configuration["sign_in"] = json!({"keep_fragment": true}));
    let (user, password) = ALICE;
    let target = "/app?a=b&c=%26#/item/7?x=1&y=%20\u{fc}'\"";
    let steps = walk(
        &site.url("/"),
        [
            json!(["open", site.url(target)]),
            json!(["until", site.provider.issuer()]),
            json!(["sign_in", user, password]),
            // The provider knows who it is, and the fragment is kept all the same.
            json!(["forget", "app.localhost"]),
            json!(["open", site.url("/other#part")]),
            // Its URL is that of the page which the script was on.
            json!(["shows", "hello from the app"]),
            json!(["open", site.url("/third#again")]),
        ],
    );
    let [_, form, arrived, _, _, other, third] = &steps;
    assert_eq!(text(form, "title"), "Sign in", "{form:#}");
    let expected = url::Url::parse(&site.url(target)).expect("a URL");
    assert_eq!(place(arrived), expected.as_str(), "{}", site.envoy.log());
    assert_eq!(text(arrived, "text"), "hello from the app");
    assert!(place(other).starts_with(&site.url("/other")), "{other:#}");
    // With a session there is nothing between the person and the page.
    assert_eq!(place(third), site.url("/third#again"));
    assert_eq!(third["navigations"].as_array().map(Vec::len), Some(1), "{third:#}");
    assert_no_complaints(&steps);
    let seen = site.app.seen();
    assert!(seen.iter().all(|request| request.headers.has("x-forwarded-user")), "{seen:#?}");
    let asked = seen.iter().find(|request| request.path() == "/app").expect("the page");
    assert_eq!(asked.target, "/app?a=b&c=%26");
}

/// The filter keeps forms that were posted without a session.
fn keeps_forms() -> Site {
    Site::with(|plan| {
        plan.setup.bodies_while_headers_are_held = true;
        plan.setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        plan.setup.configuration["sign_in"] = json!({"keep_forms": true});
    })
}

#[test]
fn a_form_that_was_posted_without_a_session_is_sent_again_after_confirmation() {
    let site = keeps_forms();
    let (user, password) = ALICE;
    let words = "\"quotes\" & 'more'\n<script>alert(1)</script>\n\n\u{e4}\u{f6}\u{fc} \u{1f600} + %20";
    // Names of fields that forms have members of.
    let odd = ["action", "hidden", "elements", "append", "submit", "method", "addEventListener", "id"];
    let inputs: String = odd.iter().map(|name| format!("<input type=hidden name={name} value='of {name}'>")).collect();
    let form = site.public_page(&format!(
        "<form method=post action='/save?draft=1&b=%2F'><textarea name=text></textarea>{inputs}\
             <input name=empty><input name=twice value=1><input name=twice value=2><button>Save</button></form>"
    ));
    let steps = walk(
        &site.url("/"),
        [
            json!(["open", form]),
            json!(["fill", "textarea", words]),
            json!(["click", "button"]),
            json!(["click", "a"]),
            json!(["sign_in", user, password]),
            json!(["click", "button"]),
            json!(["open", site.url("/oauth2/form")]),
            json!(["click", "p:not([hidden]) a"]),
        ],
    );
    let [_, _, kept, _, again, sent, none, home] = &steps;
    assert!(text(kept, "text").contains("this tab keeps it"), "{kept:#}");
    assert_eq!((place(again), text(again, "title")), (site.url("/oauth2/form"), "Send your form again?"), "{again:#}");
    assert!(text(again, "text").contains("/save?draft=1"), "{again:#}");
    assert_eq!((place(sent), text(sent, "text")), (site.url("/save?draft=1&b=%2F"), "hello from the app"), "{sent:#}");
    assert!(text(none, "text").contains("This tab has no form"), "{none:#}");
    assert_eq!(place(home), site.url("/"), "{home:#}");
    assert_no_complaints(&steps);

    let posts: Vec<_> = site.app.seen().into_iter().filter(|request| request.method == "POST").collect();
    let [post] = &posts[..] else { panic!("{posts:#?}") };
    let mut expected = vec![("text".to_owned(), words.replace('\n', "\r\n"))];
    expected.extend(odd.map(|name| (name.to_owned(), format!("of {name}"))));
    expected.extend(
        [("empty", ""), ("twice", "1"), ("twice", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    assert_eq!(post.form(), expected);
    assert_eq!(
        (post.target.as_str(), post.headers.text("x-forwarded-user").as_deref()),
        ("/save?draft=1&b=%2F", Some("alice"))
    );
}

#[test]
fn a_form_of_another_site_is_not_kept() {
    let site = keeps_forms();
    let (user, password) = ALICE;
    let (_server, elsewhere) = other_site(format!(
        "<form method=post action='{}'><input name=amount value=1000><button>Win</button></form>",
        site.url("/pay")
    ));
    let steps = walk(
        &site.url("/"),
        [
            json!(["open", elsewhere]),
            json!(["click", "button"]),
            json!(["click", "a"]),
            json!(["sign_in", user, password]),
            json!(["open", site.url("/oauth2/form")]),
        ],
    );
    let [_, refused, .., form] = &steps;
    assert_eq!(text(refused, "title"), "Please sign in", "{refused:#}");
    assert!(!text(refused, "text").contains("keeps it"), "{refused:#}");
    assert!(text(form, "text").contains("This tab has no form"), "{form:#}");
    assert_no_complaints(&steps);
    assert!(site.app.seen().iter().all(|request| request.method == "GET"), "{:#?}", site.app.seen());
}
