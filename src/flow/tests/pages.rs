//! The pages: their language, the look of the site, and what a refused user may know.

use serde_json::{Value, json};

use super::{
    super::*,
    world::{APP, ISSUER, Outcome, PARTNERS, World, document, header},
};

fn text(reply: &LocalReply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

fn visit_in(world: &mut World, target: &str, language: &str) -> LocalReply {
    let headers = [
        (":method", "GET"),
        (":path", target),
        ("sec-fetch-mode", "navigate"),
        ("accept", "text/html"),
        ("accept-language", language),
    ];
    world.send(&headers).reply()
}

/// A world with a signed-in user with these claims, under a rule with these conditions.
fn refused(allow: Value, claims: Value) -> World {
    let rules = json!([
        { "path": "/public/*", "access": "public" },
        { "access": "required", "allow": allow },
    ]);
    let mut world = World::ready_with(&[("rules", rules)]);
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    world.provider.claims = Box::new(move |token| {
        for (name, value) in &claims {
            token.insert(name.clone(), value.clone());
        }
    });
    world.sign_in("/oauth2/start?rd=/");
    world
}

#[test]
fn the_refusal_page_states_the_kind_of_condition_without_names() {
    let verified = json!({ "email": "alice@other.example", "email_verified": true });
    let unverified = json!({ "email": "alice@secret.example", "email_verified": false });
    let table = [
        (json!({ "groups": ["secret"] }), verified.clone(), "certain groups or roles"),
        (json!({ "claims": { "/realm_access/roles": ["secret"] } }), verified.clone(), "certain groups or roles"),
        (json!({ "allowed_domains": ["secret.example"] }), verified.clone(), "certain email addresses"),
        (json!({ "emails": ["bob@secret.example"] }), verified.clone(), "certain email addresses"),
        (json!({ "allowed_domains": ["secret.example"] }), unverified, "did not confirm your email address"),
        (json!({ "claims": { "team": ["secret"] } }), verified.clone(), "not among those that may open"),
        (json!({ "claims": { "cognito:groups": ["secret"] } }), verified.clone(), "certain groups or roles"),
        (json!({ "claims": { "controle": ["secret"] } }), verified.clone(), "not among those that may open"),
        // The first kind that fails is enough.
        (json!({ "allowed_domains": ["other.example"], "groups": ["secret"] }), verified, "certain groups or roles"),
    ];
    for (allow, claims, expected) in table {
        let mut world = refused(allow.clone(), claims);
        let page = world.visit("/page").reply();
        assert_eq!((page.status, page.code), (403, "not_allowed"), "{allow}");
        assert!(text(&page).contains(expected), "{allow}: {}", text(&page));
        let said = text(&page).replace("alice@secret.example", "");
        assert!(!said.contains("secret"), "{allow}: {said}");
        assert!(text(&page).contains("href=\"/oauth2/sign_out\""), "{allow}");
        assert!(matches!(world.visit("/public/x"), Outcome::Forwarded { .. }), "{allow}");
    }
}

#[test]
fn pages_use_the_browsers_language_and_json_is_english() {
    let mut world = refused(json!({ "groups": ["nobody"] }), json!({}));
    for (language, tag, title) in [
        ("de-CH,de;q=0.9,en;q=0.5", "de", "Sie dürfen diese Seite nicht öffnen"),
        ("ja,en;q=0.5", "ja", "このページを開く権限がありません"),
        ("nl", "en", "You may not open this page"),
    ] {
        let page = visit_in(&mut world, "/page", language);
        assert_eq!((page.status, header(&page, "content-language")), (403, Some(tag)));
        assert!(text(&page).contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")), "{}", text(&page));
        assert!(text(&page).contains(&format!("<h1>{title}</h1>")), "{}", text(&page));
    }
    let program = [(":method", "GET"), (":path", "/page"), ("sec-fetch-mode", "cors"), ("accept-language", "de")];
    let reply = world.send(&program).reply();
    assert_eq!((reply.status, header(&reply, "content-language")), (403, None));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"], "You may not open this page");
}

#[test]
fn a_user_name_with_markup_is_escaped_in_pages() {
    let name = "<b>\u{202e}eve\u{7}\n</b>\u{2069}\u{2067}";
    let mut world = refused(json!({ "groups": ["nobody"] }), json!({ "email": name }));
    let page = world.visit("/page").reply();
    // Escaped, without control characters and those of direction, which could end the marks around it.
    let shown = "as \u{2068}&#60;b&#62;eve&#60;/b&#62;\u{2069}.";
    assert!(text(&page).contains(shown), "{}", text(&page));
}

#[test]
fn the_refusal_page_of_a_negated_condition_names_no_groups() {
    let mut world = refused(json!({ "not": { "claims": { "groups": ["banned"] } } }), json!({ "groups": ["banned"] }));
    let page = world.visit("/page").reply();
    assert_eq!((page.status, page.code), (403, "not_allowed"));
    assert!(text(&page).contains("not among those that may open"), "{}", text(&page));
    assert!(!text(&page).contains("groups"), "{}", text(&page));
    assert!(matches!(world.visit("/public/x"), Outcome::Forwarded { .. }));
}

/// A page of another site around it could have its user click the link.
#[test]
fn a_refusal_in_a_frame_does_not_offer_to_sign_out() {
    let mut world = refused(json!({ "groups": ["nobody"] }), json!({ "email": "alice@example.com" }));
    let frame = [
        (":method", "GET"),
        (":path", "/page"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-site", "same-site"),
        ("accept", "text/html"),
    ];
    let page = world.send(&frame).reply();
    assert_eq!((page.status, page.code), (403, "not_allowed"));
    assert!(text(&page).contains("Use another account") && !text(&page).contains("sign_out"), "{}", text(&page));
    assert!(text(&world.visit("/page").reply()).contains("href=\"/oauth2/sign_out\""));
    assert!(matches!(world.visit("/public/x"), Outcome::Forwarded { .. }));
}

#[test]
fn page_settings_appear_escaped_on_every_page() {
    let pages = json!({
        "name": "A <b> & \"C\"", "accent_color": "#0a7d4f", "support_url": "https://help.example.com/?a=1&b=\"2",
        "text": "Line <1>\nline 2", "language": "fr",
    });
    let mut world = World::ready_with(&[("pages", pages)]);
    for (path, status) in [("/oauth2/nothing", 404), ("/oauth2/callback", 400), ("/oauth2/signed_out", 200)] {
        let page = world.visit(path).reply();
        assert_eq!((page.status, header(&page, "content-language")), (status, Some("fr")), "{path}");
        let html = text(&page);
        for part in [
            "<span>A &#60;b&#62; &#38; &#34;C&#34;</span>",
            "· A &#60;b&#62; &#38; &#34;C&#34;</title>",
            "href=\"https://help.example.com/?a=1&#38;b=&#34;2\"",
            "Line &#60;1&#62;\nline 2",
            "--accent: #0a7d4f; --on-accent: #fff",
            "Obtenir de l’aide",
        ] {
            assert!(html.contains(part), "{path}: {part} in {html}");
        }
        // Only what went wrong has a code.
        assert_eq!(html.contains("<code>"), status >= 400, "{path}");
        assert!(!header(&page, "content-security-policy").unwrap().contains("img-src"), "{path}");
    }
}

#[test]
fn the_page_of_an_unavailable_provider_offers_the_others() {
    let providers = json!([
        { "issuer": ISSUER, "client_id": "client", "client_secret": "secret" },
        { "issuer": PARTNERS, "client_id": "client", "client_secret": "secret", "name": "partners" },
    ]);
    let mut document = document();
    document["providers"] = providers;
    let mut world = World::with(&document);
    world.provider.up = false;
    let Outcome::Held(waiter) = world.visit("/oauth2/start?rd=/page&provider=default") else { panic!("not held") };
    world.settle();
    world.advance(5);
    let reply = world.resume(waiter).reply();
    assert_eq!((reply.status, reply.code), (503, "provider_not_ready"));
    let link = format!("href=\"{APP}/oauth2/start?rd=%2Fpage\"");
    assert!(text(&reply).contains(&link) && text(&reply).contains("Sign in another way"), "{}", text(&reply));
}
