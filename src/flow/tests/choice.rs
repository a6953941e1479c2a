//! The page where users choose a provider: its order, logos and classes, and the field for an email address.

use serde_json::{Value, json};

use super::world::{APP, ISSUER, PARTNERS, World, document, header, location, query_of};
use crate::http::LocalReply;

const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"></svg>"#;

fn world_with(change: impl FnOnce(&mut Value)) -> World {
    let mut document = document();
    document["providers"] = json!([
        { "issuer": ISSUER, "client_id": "client", "client_secret": "secret", "title": "Staff", "email_domains": ["Example.com", "example.org"] },
        { "issuer": PARTNERS, "client_id": "client", "client_secret": "secret", "name": "partners", "email_domains": ["partner.example"] },
        { "type": "github", "client_id": "client", "client_secret": "secret", "name": "club" },
    ]);
    document["rules"] = json!([
        { "path": "/turned/*", "access": "required", "providers": ["club", "partners"] },
        { "path": "/club/*", "access": "required", "providers": ["club", "default"] },
    ]);
    change(&mut document);
    let mut world = World::with(&document);
    world.settle();
    world
}

fn world() -> World {
    world_with(|_| {})
}

fn html(page: &LocalReply) -> String {
    String::from_utf8(page.body.clone()).unwrap()
}

/// The titles of the links, in order.
fn titles(page: &LocalReply) -> Vec<String> {
    let html = html(page);
    let links = html.split("<li><a ").skip(1).filter_map(|rest| rest.split_once("</a>"));
    links.map(|(link, _)| link.rsplit('>').next().unwrap().to_owned()).collect()
}

/// The target of the form, where a browser sends it with this address.
fn submitted(page: &LocalReply, address: &str) -> String {
    let html = html(page);
    let form = html.split_once("<form class=\"address\" action=\"").unwrap().1.split_once("</form>").unwrap().0;
    let (action, rest) = form.split_once('"').unwrap();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for field in rest.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, field) = field.split_once("\" value=\"").unwrap();
        query.append_pair(name, &field.split('"').next().unwrap().replace("&#38;", "&"));
    }
    query.append_pair("login_hint", address);
    format!("{}?{}", action.strip_prefix(APP).unwrap(), query.finish())
}

fn assert_asks(page: &LocalReply, text: &str) {
    assert_eq!((page.status, page.code), (401, "sign_in_required"));
    assert!(html(page).contains(text), "{}", html(page));
}

const UNKNOWN: &str = "No sign-in is set up for this address. Choose one below.";
const ENTER: &str = "Enter your email address, or choose how you want to sign in.";

#[test]
fn the_choice_page_lists_providers_in_configured_order() {
    let mut world = world();
    assert_eq!(titles(&world.visit("/page").reply()), ["Staff", "partners", "club"]);
    // Whatever the order in a rule or a link.
    assert_eq!(titles(&world.visit("/turned/x").reply()), ["partners", "club"]);
    let reply = world.visit("/oauth2/start?rd=/&provider=club,partners,default").reply();
    assert_eq!(titles(&reply), ["Staff", "partners", "club"]);
    let mut turned = world_with(|document| document["providers"].as_array_mut().unwrap().reverse());
    assert_eq!(titles(&turned.visit("/page").reply()), ["club", "partners", "Staff"]);
    assert_eq!(titles(&turned.visit("/turned/x").reply()), ["club", "partners"]);
}

#[test]
fn the_logo_and_css_class_appear_only_on_the_link_of_their_provider() {
    let mut world = world_with(|document| {
        document["providers"][1]["logo"] = json!(SVG);
        document["providers"][1]["css_class"] = json!("of-partners");
    });
    let page = world.visit("/page").reply();
    let shown = html(&page);
    assert_eq!((shown.matches("<img ").count(), shown.matches("<svg").count()), (1, 0));
    let image = "<img src=\"data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciPjwvc3ZnPg==\" \
                 alt=\"\" width=\"28\" height=\"28\">partners</a>";
    assert!(shown.contains(image), "{shown}");
    assert_eq!((shown.matches("class=\"button of-partners\"").count(), shown.matches("of-partners").count()), (1, 1));
    assert!(header(&page, "content-security-policy").unwrap().ends_with("; img-src data:"));
    // Pages without a logo load no image.
    for path in ["/club/x", "/oauth2/nothing"] {
        let page = world.visit(path).reply();
        assert!(!header(&page, "content-security-policy").unwrap().contains("img-src"), "{path}");
    }
}

#[test]
fn the_address_form_selects_the_provider_and_keeps_the_target() {
    let mut world = world();
    let page = world.visit("/page?a=b&c=%22%3E").reply();
    assert_asks(&page, ENTER);
    // The form is answered with a redirect, which `form-action` would stop in some browsers.
    assert!(!header(&page, "content-security-policy").unwrap().contains("form-action"));
    for (address, issuer) in [
        ("alice@example.com", ISSUER),
        ("alice@EXAMPLE.com", ISSUER),
        ("alice+b@example.org", ISSUER),
        ("bob@partner.example", PARTNERS),
    ] {
        world.jar.clear();
        let reply = world.visit(&submitted(&page, address)).reply();
        assert!(location(&reply).starts_with(&format!("{issuer}/authorize?")), "{address}: {reply:?}");
        assert_eq!(query_of(location(&reply))["login_hint"], address);
        let back = world.signs_in(&reply);
        assert_eq!(location(&world.visit(&back).reply()), format!("{APP}/page?a=b&c=%22%3E"));
    }
    let log: Vec<_> = world.events.iter().map(|event| format!("{event} {event:?}")).collect();
    assert!(!log.iter().any(|line| line.contains("alice+b") || line.contains("bob@")), "{log:#?}");
}

#[test]
fn an_unknown_address_is_asked_for_again_and_not_echoed() {
    let mut world = world();
    let page = world.visit("/page?a=b").reply();
    for address in [
        "alice@other.example",
        "alice@sub.example.com",
        "alice@notexample.com",
        "alice@example.com.",
        "\"><script>alert(1)</script>@x",
        "x' autofocus onfocus=alert(1)@x",
    ] {
        let again = world.visit(&submitted(&page, address)).reply();
        assert_asks(&again, UNKNOWN);
        let shown = html(&again);
        assert!(shown.contains("aria-invalid=\"true\" aria-describedby=\"unknown\""), "{shown}");
        assert!(!shown.contains("alice") && !shown.contains("alert(1)") && !shown.contains("<script"), "{shown}");
        // The way back is kept, and the links send the address to nobody.
        assert!(!shown.contains("login_hint="), "{shown}");
        let reply = world.visit(&submitted(&again, "bob@partner.example")).reply();
        let back = world.signs_in(&reply);
        assert_eq!(location(&world.visit(&back).reply()), format!("{APP}/page?a=b"));
        world.jar.clear();
    }
    let log: Vec<_> = world.events.iter().map(|event| format!("{event} {event:?}")).collect();
    assert!(!log.iter().any(|line| line.contains("other.example") || line.contains("alert(1)")), "{log:#?}");
}

/// An app may send a user name (OIDC Core 3.1.2.1).
#[test]
fn a_login_hint_without_an_address_is_not_reported_as_unknown() {
    let mut world = world();
    for hint in
        ["alice", "corp\\alice", "alice@", "@example.com", "example.com", "alice@other.example@example.com", "+49 30 1"]
    {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("login_hint", hint).finish();
        let page = world.visit(&format!("/oauth2/start?rd=/&{query}")).reply();
        assert_asks(&page, ENTER);
        assert!(!html(&page).contains("aria-invalid") && !html(&page).contains("alice"), "{hint}");
    }
}

#[test]
fn a_malformed_login_hint_is_ignored() {
    let mut world = world();
    for hint in [
        "",
        "a%00@example.com",
        "a%0d%0aset-cookie:x=y@example.com",
        "a%ff@example.com",
        "%F0%9F@example.com",
        "a%40example.com&login_hint=b%40partner.example",
        &format!("{}%40example.com", "a".repeat(501)),
    ] {
        let reply = world.visit(&format!("/oauth2/start?rd=/&login_hint={hint}")).reply();
        assert_asks(&reply, ENTER);
        assert_eq!(header(&reply, "set-cookie"), None, "{hint}");
    }
    let longest = format!("{}@example.com", "a".repeat(500));
    let reply = world.visit(&format!("/oauth2/start?rd=/&login_hint={longest}")).reply();
    assert_eq!(query_of(location(&reply))["login_hint"], longest);
    // The query of a page is the app's, and a bad way back is the start page.
    assert_asks(&world.visit("/page?login_hint=alice@example.com").reply(), ENTER);
    for rd in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let page = world.visit(&format!("/oauth2/start?rd={rd}&login_hint=zoe@nowhere.example")).reply();
        assert!(!html(&page).contains("\"https://evil") && !html(&page).contains("javascript:"), "{}", html(&page));
        let reply = world.visit(&submitted(&page, "alice@example.com")).reply();
        let back = world.signs_in(&reply);
        let reply = world.visit(&back).reply();
        assert!(location(&reply).starts_with(&format!("{APP}/")), "{}", location(&reply));
        world.jar.clear();
    }
}

#[test]
fn an_address_selects_only_providers_of_the_rule() {
    let mut world = world();
    let page = world.visit("/turned/x").reply();
    assert_asks(&page, ENTER);
    let again = world.visit(&submitted(&page, "alice@example.com")).reply();
    assert_asks(&again, UNKNOWN);
    assert_eq!(titles(&again), ["partners", "club"]);
    let reply = world.visit(&submitted(&again, "bob@partner.example")).reply();
    assert!(location(&reply).starts_with(PARTNERS));
    // A link for one provider leads there, and takes only an address of its domains along.
    for (provider, hint) in [("default", Some("alice@example.com")), ("partners", None)] {
        let start = format!("/oauth2/start?rd=/&provider={provider}&login_hint=alice@example.com");
        let reply = world.visit(&start).reply();
        assert_eq!(query_of(location(&reply)).get("login_hint").map(String::as_str), hint, "{provider}");
    }
}

#[test]
fn the_choice_page_has_no_form_without_email_domains() {
    let mut world = world_with(|document| {
        for provider in [0, 1] {
            document["providers"][provider].as_object_mut().unwrap().remove("email_domains");
        }
    });
    let page = world.visit("/oauth2/start?rd=/&login_hint=alice@example.com").reply();
    assert_asks(&page, "Choose how you want to sign in.");
    assert!(!html(&page).contains("<form") && !html(&page).contains("login_hint"), "{}", html(&page));
    assert!(header(&page, "content-security-policy").unwrap().contains("form-action 'none'"));
    // With one provider there is nothing to choose, and its domains change nothing.
    let mut alone = world_with(|document| {
        let mut first = document["providers"][0].clone();
        first["email_domains"] = json!(["example.com"]);
        document["providers"] = json!([first]);
        document["rules"] = json!([{ "access": "required" }]);
    });
    let reply = alone.visit("/oauth2/start?rd=/&login_hint=alice@example.com").reply();
    assert_eq!(query_of(location(&reply)).get("login_hint"), None);
}

#[test]
fn the_address_form_keeps_the_other_start_parameters() {
    let mut world = world_with(|document| {
        document["sign_in"] = json!({ "pass_parameters": ["login_hint", "ui_locales"] });
    });
    let page =
        world.visit("/oauth2/start?rd=/a&prompt=select_account&ui_locales=de%20fr&login_hint=zoe@nowhere.example");
    let page = page.reply();
    assert_asks(&page, UNKNOWN);
    // Listed, the hint goes to whichever provider is chosen, as ever.
    assert!(html(&page).contains("provider=club&#38;prompt=select_account&#38;login_hint=zoe%40nowhere.example"));
    let reply = world.visit(&submitted(&page, "bob@partner.example")).reply();
    let asked = query_of(location(&reply));
    assert_eq!(asked["login_hint"], "bob@partner.example");
    assert_eq!((asked["ui_locales"].as_str(), asked["prompt"].as_str()), ("de fr", "select_account"));
    // To our own host first.
    world.host = "other.example.com".to_owned();
    let reply = self::world().visit("/oauth2/start?rd=/a&login_hint=alice%40example.com").reply();
    assert!(location(&reply).starts_with(ISSUER));
    let mut elsewhere = self::world();
    elsewhere.host = "other.example.com".to_owned();
    let reply = elsewhere.visit("/oauth2/start?rd=/a&login_hint=alice%40example.com").reply();
    let own_host = "https://app.example.com/oauth2/start?rd=%2Fa&login_hint=alice%40example.com&session=keep";
    assert_eq!((reply.code, location(&reply)), ("other_host", own_host));
}

#[test]
fn a_configured_login_hint_overrides_that_of_a_link() {
    let mut world = world_with(|document| {
        document["providers"][0]["authorization_params"] = json!({ "login_hint": "front-desk" });
    });
    let reply = world.visit("/oauth2/start?rd=/&login_hint=alice@example.com").reply();
    assert!(location(&reply).starts_with(ISSUER));
    assert_eq!(query_of(location(&reply))["login_hint"], "front-desk");
}

#[test]
fn the_choice_page_in_a_frame_has_no_form() {
    let mut world = world_with(|document| {
        document["rules"] = json!([{ "access": "required", "unauthenticated": "redirect" }]);
    });
    let headers = [
        (":method", "GET"),
        (":path", "/page"),
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-site", "same-origin"),
    ];
    let page = world.send(&headers).reply();
    assert_asks(&page, "Choose how you want to sign in.");
    let shown = html(&page);
    assert_eq!((shown.matches("<form").count(), shown.matches("target=\"_top\"").count()), (0, 3), "{shown}");
    assert!(header(&page, "content-security-policy").unwrap().contains("form-action 'none'"));
}

#[test]
fn an_api_client_gets_no_address_form_and_a_login_hint_no_session() {
    let mut world = world();
    for path in ["/page", "/oauth2/start?login_hint=alice@example.com"] {
        let reply = world.send(&[(":method", "GET"), (":path", path), ("accept", "application/json")]).reply();
        assert_eq!((reply.status, reply.code), (401, "sign_in_required"));
        assert!(!String::from_utf8_lossy(&reply.body).contains("alice"));
    }
    assert!(!world.has_session());
}
