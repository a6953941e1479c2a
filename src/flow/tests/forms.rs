//! Forms posted without a session, kept fragments, return targets, and the limit of sign-ins that bring no session.

use serde_json::json;

use super::{
    super::*,
    world::{ISSUER, PARTNERS, World, header, location, query_of},
};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn world() -> World {
    World::ready_with(&[("allow_on_headers_stop_iteration", json!(true)), ("sign_in", json!({ "keep_forms": true }))])
}

fn post(world: &mut World, path: &str, from: (&str, &str), body: &str) -> LocalReply {
    world.body = Ok(body.as_bytes().to_vec());
    let all =
        [(":method", "POST"), (":path", path), ("accept", "text/html"), ("sec-fetch-mode", "navigate"), FORM, from];
    world.send_more(&all).reply()
}

fn html(reply: &LocalReply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

#[test]
fn a_posted_form_is_returned_in_the_sign_in_page() {
    let mut world = world();
    let from_here = ("sec-fetch-site", "same-origin");
    let reply = post(&mut world, "/save?draft=1", from_here, "text=a+%22b%22%0D%0Ac&text=%3Cscript%3E&empty=");
    assert_eq!((reply.status, reply.code), (401, "sign_in_required"));
    let page = html(&reply);
    for part in [
        "action=\"/save?draft=1\"",
        "name=\"text\" value=\"a &#34;b&#34;\r\nc\"",
        "name=\"text\" value=\"&#60;script&#62;\"",
        "name=\"empty\" value=\"\"",
        "href=\"https://app.example.com/oauth2/start?rd=%2Foauth2%2Fform\"",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(header(&reply, "content-security-policy").unwrap().contains("script-src 'sha256-"));

    // The sign-in leads to the page that sends the form again.
    let start = world.visit("/oauth2/start?rd=%2Foauth2%2Fform").reply();
    let callback = world.signs_in(&start);
    let back = world.visit(&callback).reply();
    assert_eq!(location(&back), "https://app.example.com/oauth2/form");
    assert_eq!(world.visit("/oauth2/form").code(), (200, "form"));
}

#[test]
fn only_a_same_origin_form_is_kept() {
    let mut world = world();
    let body = "amount=1000";
    for from in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("x-nothing", "said"),
    ] {
        let page = html(&post(&mut world, "/pay", from, body));
        assert!(!page.contains("amount"), "{from:?}: {page}");
    }
    assert!(html(&post(&mut world, "/pay", ("origin", "https://app.example.com"), body)).contains("amount"));
    // Forms for our own paths are never kept.
    let own = post(&mut world, "/oauth2/sign_in", ("sec-fetch-site", "same-origin"), body);
    assert_eq!((own.status, html(&own).contains("amount")), (404, false));
}

#[test]
fn without_keep_forms_no_body_is_read() {
    let mut world = World::ready();
    let reply = post(&mut world, "/save", ("sec-fetch-site", "same-origin"), "a=b");
    assert!(world.body.is_ok());
    assert_eq!((reply.status, html(&reply).contains("name=\"a\"")), (401, false));
    assert_eq!(world.visit("/oauth2/form").code(), (404, "reserved_path"));
}

#[test]
fn the_page_says_that_an_empty_or_large_form_is_not_kept() {
    let mut world = world();
    let from_here = ("sec-fetch-site", "same-origin");
    let many: String = (0..501).map(|field| format!("f{field}=x&")).collect();
    for body in ["", &many] {
        let page = html(&post(&mut world, "/save", from_here, body));
        assert!(page.contains("was not delivered") && !page.contains("this tab keeps it"), "{page}");
    }
}

#[test]
fn a_kept_form_leads_to_the_provider_of_its_rule() {
    let provider = |issuer, name| json!({ "issuer": issuer, "client_id": "c", "client_secret": "s", "name": name });
    let mut world = World::ready_with(&[
        ("allow_on_headers_stop_iteration", json!(true)),
        ("sign_in", json!({ "keep_forms": true })),
        ("providers", json!([provider(ISSUER, "staff"), provider(PARTNERS, "partners")])),
        ("rules", json!([{ "path": "/partners/*", "access": "required", "providers": ["partners"] }])),
    ]);
    let from_here = ("sec-fetch-site", "same-origin");
    let kept = post(&mut world, "/partners/save", from_here, "a=b");
    let link = "start?rd=%2Foauth2%2Fform&#38;provider=partners\"";
    assert!(html(&kept).contains("name=\"a\"") && html(&kept).contains(link), "{}", html(&kept));
    // A form that is not kept leads to the same provider. Without a provider in the rule, users choose.
    let lost = post(&mut world, "/partners/save", ("sec-fetch-site", "cross-site"), "a=b");
    assert!(html(&lost).contains("start?rd=%2F&#38;provider=partners\""), "{}", html(&lost));
    let start = world.visit("/oauth2/start?rd=%2Foauth2%2Fform&provider=partners").reply();
    assert!(location(&start).starts_with(PARTNERS));
    let anywhere = post(&mut world, "/save", from_here, "a=b");
    assert!(html(&anywhere).contains("start?rd=%2Foauth2%2Fform\""), "{}", html(&anywhere));
}

#[test]
fn keep_fragment_returns_the_fragment_after_sign_in() {
    let mut world = World::ready_with(&[("sign_in", json!({ "keep_fragment": true }))]);
    let page = world.visit("/app?a=b&c").reply();
    assert_eq!((page.status, page.code), (401, "sign_in_required"));
    let link = "https://app.example.com/oauth2/start?rd=%2Fapp%3Fa%3Db%26c";
    assert!(html(&page).contains(&format!("href=\"{link}\"")), "{}", html(&page));
    assert!(world.jar.is_empty());

    // The start URL that the page's script makes, with the fragment.
    let start = world.visit("/oauth2/start?rd=%2Fapp%3Fa%3Db%26c%23%2Fitem%2F7").reply();
    let callback = world.signs_in(&start);
    let back = world.visit(&callback).reply();
    assert_eq!(location(&back), "https://app.example.com/app?a=b&c#/item/7");
}

#[test]
fn the_rd_parameter_leads_only_to_this_origin() {
    let mut world = World::ready();
    for (asked, to) in [
        ("/page%3Fa%3Db", "/page?a=b"),
        ("https%3A%2F%2Fapp.example.com%2Fpage", "/page"),
        ("%2Fpage%23fragment", "/page#fragment"),
        ("https%3A%2F%2Fapp.example.com.evil.example%2F", "/"),
        ("https%3A%2F%2Fapp.example.com%40evil.example%2F", "/"),
        ("https%3A%2F%2Fevil.example", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%2F%5Cevil.example", "/\\evil.example"),
        ("https%3A%2F%2Fapp.example.com%2F%2Fevil.example", "/"),
        ("javascript%3Aalert(1)", "/"),
        ("%2Foauth2%2Fsign_out", "/"),
        ("%2Foauth2%2Fcallback%3Fcode%3Dx", "/"),
        ("%2Fa%0D%0Aset-cookie%3Ax", "/"),
        ("%2Fa%23%0D%0Aset-cookie%3Ax", "/a"),
        ("", "/"),
    ] {
        let start = world.visit(&format!("/oauth2/start?rd={asked}")).reply();
        assert!(query_of(location(&start)).contains_key("state"), "{asked}");
        let callback = world.signs_in(&start);
        let back = world.visit(&callback).reply();
        assert_eq!(location(&back), format!("https://app.example.com{to}"), "{asked}");
    }
    // A script gets 401 and begins no sign-in.
    let fetch = [(":method", "GET"), (":path", "/oauth2/start?rd=/"), ("sec-fetch-mode", "cors")];
    assert_eq!(world.send(&fetch).code(), (401, "sign_in_required"));
}

#[test]
fn three_sign_ins_in_a_minute_without_a_session_end_with_a_loop_page() {
    let mut world = World::ready();
    for _ in 0..3 {
        world.sign_in("/page");
        // The browser drops the session cookie and keeps smaller ones.
        world.jar.remove("__Host-vestibule");
    }
    let page = world.visit("/page").reply();
    assert_eq!((page.status, page.code), (400, "sign_in_loop"));
    assert!(html(&page).contains("Allow cookies"));
    // "Try again" starts the count anew.
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
}

#[test]
fn slow_sign_ins_are_not_a_login_loop() {
    let mut world = World::ready();
    for _ in 0..6 {
        world.sign_in("/page");
        world.jar.remove("__Host-vestibule");
        world.advance(21);
    }
    world.sign_in("/page");
    // Sign-ins after a sign-out are not counted.
    for _ in 0..5 {
        world.opens("/oauth2/sign_out", "none").reply();
        world.sign_in("/page");
    }
}

#[test]
fn a_malformed_login_loop_cookie_is_ignored() {
    let mut world = World::ready();
    for value in ["", "x", "9.9", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        world.jar.insert("__Host-vestibule-t".to_owned(), value.to_owned());
        assert_eq!(world.visit("/page").code(), (302, "sign_in_started"), "{value}");
    }
}
