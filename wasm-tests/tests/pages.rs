//! The pages of the filter: on a wide screen, in the dark, on a phone, and without a mouse.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};
use wasm_tests::{
    browser::{Browser, observe, screenshots, screenshots_behind},
    http1::{Outcome, Server, response},
    issuer::Issuer,
    process::Scratch,
    user_agent::UserAgent,
    world::World,
};

/// WCAG 2.2, 1.4.3, for text of any size.
const CONTRAST: f64 = 4.5;
/// WCAG 2.2, 2.5.5: the height of what a finger hits, in pixels.
const TARGET: f64 = 44.0;
const LOOKS: [&str; 4] = ["light", "dark", "phone", "narrow"];

/// The URL of a path of the site, under a host name that browsers take for this machine.
fn url_at(world: &World, path: &str) -> String {
    format!("{}://app.localhost:{}{path}", Browser::chosen().scheme(), world.envoy.port())
}

fn assert_readable(seen: &Value, title: &str, code: &str, control: (&str, &str)) {
    for look in LOOKS {
        let page = &seen[look];
        assert_eq!(page["title"], title, "{look}: {page:#}");
        assert!(page["text"].as_str().is_some_and(|text| text.contains(code)), "{look}: {page:#}");
        assert_eq!(page["complaints"], json!([]), "{look}: {page:#}");
        assert_eq!(page["violations"], json!([]), "{look}: {page:#}");
        assert_eq!(page["scrolls_sideways"], false, "{look}: {page:#}");
        assert_eq!((&page["focus"]["tag"], &page["focus"]["text"]), (&json!(control.0), &json!(control.1)), "{look}");
        // A narrow window of WebKitGTK is a popup, which is not in front here.
        if Browser::chosen() != Browser::WebKit || matches!(look, "light" | "dark") {
            assert_eq!(page["focus"]["outline"], "solid", "{look}: the focus is not visible");
        }
        let texts = page["texts"].as_array().expect("texts");
        assert!(texts.len() >= 2, "{look}: {page:#}");
        for text in texts {
            assert!(text["contrast"].as_f64().is_some_and(|contrast| contrast >= CONTRAST), "{look}: {text}");
        }
        for control in page["controls"].as_array().expect("controls") {
            let size = |side: &str| control[side].as_f64().unwrap_or_default();
            assert!(size("width") >= TARGET && size("height") >= TARGET, "{look}: {control}");
        }
    }
    // The style sheet was taken, and knows the dark.
    for property in ["background", "color"] {
        assert_ne!(seen["light"][property], seen["dark"][property], "{property}");
    }
}

#[test]
fn the_pages_of_the_filter_are_accessible() {
    // On this machine only, or kept for a review.
    let scratch = Scratch::new("pictures");
    let folder =
        |name: &str| env::var_os("VESTIBULE_PICTURES").map_or(scratch.file(name), |at| PathBuf::from(at).join(name));
    // On http only a host name that stays on this machine keeps the browser from leaving Sec-Fetch-Site out.
    let world = World::around(Issuer::start(), |setup| {
        setup.configuration["external_url"] = json!(setup.external_url());
        setup.configuration["sign_out"] = json!({"at_provider": false});
    });
    let url = |path: &str| url_at(&world, path);

    let error = screenshots(&url("/oauth2/callback"), None, &folder("error"));
    assert_readable(&error, "The sign-in did not work", "callback_malformed", ("A", "Try again"));

    let signed_out = screenshots(&url("/oauth2/sign_out"), None, &folder("signed_out"));
    assert_readable(&signed_out, "You are signed out", "session on this site is over", ("A", "Sign in again"));

    let link = format!("<!doctype html><title>Elsewhere</title><a href='{}'>sign out</a>", url("/oauth2/sign_out"));
    let server = Server::start(0, move |_, connection| {
        let sent = connection.send(&response(200, &[("content-type", "text/html")], link.as_bytes()));
        if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
    });
    let elsewhere = format!("http://other.localhost:{}/", server.address().port());
    let confirmation = screenshots_behind(&elsewhere, &folder("sign_out_confirmation"));
    assert_readable(&confirmation, "Sign out?", "sign in again to use this site", ("BUTTON", "Sign out"));
    // Only error pages show a code.
    for (page, has_code) in [(&error, true), (&signed_out, false), (&confirmation, false)] {
        assert_eq!(page["light"]["text"].as_str().expect("a text").contains("Code"), has_code, "{page:#}");
    }
}

/// Where a browser ends that keeps no cookie.
fn end_of_the_loop(world: &World, url: &str) -> String {
    let mut next = url.to_owned();
    for _ in 0..20 {
        let response = UserAgent::default().get(&next);
        let Some(location) = response.location() else {
            assert_eq!(response.code().as_deref(), Some("sign_in_loop"), "{response:?}\n{}", world.log());
            return next;
        };
        next = location;
    }
    panic!("a redirect loop");
}

#[test]
fn the_pages_around_a_session_are_accessible() {
    let scratch = Scratch::new("pictures");
    let world = World::around(Issuer::start(), |setup| {
        setup.bodies_while_headers_are_held = true;
        setup.configuration["external_url"] = json!(setup.external_url());
        setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        setup.configuration["sign_in"] = json!({"keep_forms": true, "keep_fragment": true});
        setup.configuration["identity_headers"] = json!({"x-name": "name"});
    });
    let url = |path: &str| url_at(&world, path);
    let pictures = |name: &str, mut arguments: Value| {
        let folder = env::var_os("VESTIBULE_PICTURES").map_or(scratch.file(name), |at| PathBuf::from(at).join(name));
        fs::create_dir_all(&folder).expect("the folder for pictures can be made");
        arguments["folder"] = json!(folder);
        observe("screenshot.mjs", arguments)
    };
    let form = "<form method=post action='/save'><input type=hidden name=a value=b><button>Save</button></form>";
    let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("html", form).finish();
    let form = url(&format!("/public/page?{form}"));

    let kept = pictures("form_kept", json!({"link": form}));
    assert_readable(&kept, "Please sign in", "this tab keeps it", ("A", "Sign in"));

    let frame = format!(
        "<style>body {{ margin: 0 }} iframe {{ width: 100vw; height: 95vh; border: 0 }}</style><iframe src='{}'></iframe>",
        url("/page")
    );
    let frame: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("html", &frame).finish();
    let framed = pictures("frame", json!({"url": url(&format!("/public/page?{frame}")), "frame": true}));
    assert_readable(&framed, "Please sign in", "takes the whole window", ("A", "Sign in"));

    let again = pictures("form_again", json!({"link": form, "then": url("/oauth2/form")}));
    assert_readable(&again, "Send your form again?", "/save", ("BUTTON", "Send it now"));

    let none = pictures("form_none", json!({"url": url("/oauth2/form")}));
    assert_readable(&none, "Send your form again?", "This tab has no form", ("A", "Continue"));

    // The drivers of the others need scripts.
    if Browser::chosen() == Browser::Chromium {
        let fragment = pictures("fragment", json!({"url": url("/page#part"), "scripts": false}));
        assert_readable(&fragment, "Signing in", "needs JavaScript", ("A", "Sign in"));
    }

    let at = end_of_the_loop(&world, &url("/oauth2/start?rd=/page"));
    let looping = pictures("sign_in_loop", json!({"url": at}));
    assert_readable(&looping, "Your browser does not keep the sign-in", "sign_in_loop", ("A", "Try again"));

    world.issuer.sign_in_as(json!({"sub": "dora", "name": wasm_tests::keys::base64url(&noise())}));
    let large = pictures("session_too_large", json!({"url": url("/oauth2/start?rd=/page")}));
    assert_readable(&large, "Your account has too much data", "session_too_large", ("A", "Try again"));
    // The requests of Chromium are in no transcript.
    world.upstream.forget();
}

#[test]
fn the_pages_of_refused_requests_are_accessible() {
    let scratch = Scratch::new("pictures");
    let world = World::around(Issuer::start(), |setup| {
        setup.configuration["external_url"] = json!(setup.external_url());
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/closed", "access": "deny"},
            {"access": "required", "allow": {"groups": ["nobody"]}},
        ]);
    });
    let url = |path: &str| url_at(&world, path);
    let pictures = |name: &str, path: &str| {
        let folder = env::var_os("VESTIBULE_PICTURES").map_or(scratch.file(name), |at| PathBuf::from(at).join(name));
        screenshots(&url(path), None, &folder)
    };
    let other = ("A", "Use another account");
    let not_allowed = pictures("not_allowed", "/admin/users");
    assert_readable(&not_allowed, "You may not open this page", "not_allowed", other);
    // The page names the user, the kind of condition and the possible actions, and no group.
    let said = not_allowed["light"]["text"].as_str().expect("a text");
    for part in ["signed in as \u{2068}alice@example.com\u{2069}.", "certain groups or roles", "Sign out"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("nobody"), "{said}");

    // 160 letters in one word.
    world.issuer.sign_in_as(json!({"sub": "x".repeat(160)}));
    let long = pictures("long_name", "/admin/users");
    assert_readable(&long, "You may not open this page", &format!("{}…", "x".repeat(80)), other);

    world.issuer.sign_in_as(json!({"sub": "zoe", "hasgroups": true}));
    let left_out = pictures("groups_left_out", "/admin/users");
    assert_readable(&left_out, "You may not open this page", "groups_left_out", other);

    let denied = pictures("denied", "/closed");
    for look in LOOKS {
        assert_eq!(denied[look]["title"], "This page is closed", "{denied:#}");
        assert_eq!(denied[look]["violations"], json!([]), "{denied:#}");
        assert_eq!(denied[look]["complaints"], json!([]), "{denied:#}");
        assert_eq!(denied[look]["scrolls_sideways"], false, "{denied:#}");
    }
    world.upstream.forget();
}

#[test]
fn the_page_with_the_choice_of_providers_is_accessible() {
    let scratch = Scratch::new("pictures");
    let partners = Issuer::another();
    let (url, id) = (partners.url(), wasm_tests::issuer::CLIENT_ID);
    let world = World::among(Issuer::start(), partners, |setup| {
        setup.configuration["external_url"] = json!(setup.external_url());
        setup.configuration["providers"][0]["title"] = json!("Staff of Example & Co. with the card of the company");
        let one = |name: &str, issuer: &str| json!({"name": name, "issuer": issuer, "client_id": id});
        let providers = setup.configuration["providers"].as_array_mut().expect("providers");
        providers.extend([one("partners", &url), one(&"a-name-without-a-space".repeat(2), "http://127.0.0.1:1")]);
    });
    let page = url_at(&world, "/page?a=b");
    let folder =
        env::var_os("VESTIBULE_PICTURES").map_or(scratch.file("choose"), |at| PathBuf::from(at).join("choose"));
    let choose = screenshots(&page, None, &folder);
    assert_readable(&choose, "Sign in", "partners", ("A", "Staff of Example & Co. with the card of the company"));
    world.upstream.forget();
}

/// A disc, with all that an image must not do here: run a script, and load something.
const SVG: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 8 8" onload="document.title='onload'"><style>circle { fill: #b3261e }</style><script>top.document.title = 'script'</script><image xlink:href="http://app.localhost:1/beacon.png" width="8" height="8"/><circle cx="4" cy="4" r="4"/></svg>"##;
/// A disc of 16 pixels.
const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAAMElEQVR42mNgoDYQy7/xHx+mSDNeQ4jVjNUQUjVjGDJqwLAwgOKERJWkTJXMRA4AAHSxleDuGkG5AAAAAElFTkSuQmCC";

#[test]
fn the_page_with_logos_and_a_field_for_the_address_is_accessible() {
    let scratch = Scratch::new("pictures");
    let partners = Issuer::another();
    let (url, id) = (partners.url(), wasm_tests::issuer::CLIENT_ID);
    let world = World::among(Issuer::start(), partners, |setup| {
        setup.configuration["external_url"] = json!(setup.external_url());
        let first = &mut setup.configuration["providers"][0];
        (first["title"], first["logo"]) = (json!("Staff of Example & Co. with the card of the company"), json!(SVG));
        first["email_domains"] = json!(["example.com"]);
        let one = |name: &str, issuer: &str| json!({"name": name, "issuer": issuer, "client_id": id});
        let providers = setup.configuration["providers"].as_array_mut().expect("providers");
        providers.extend([one("partners", &url), one(&"a-name-without-a-space".repeat(2), "http://127.0.0.1:1")]);
        (providers[1]["logo"], providers[1]["css_class"]) = (json!(PNG), json!("of-partners"));
        // As many as there may be.
        providers.extend((2..15).map(|port| one(&format!("club-{port}"), &format!("http://127.0.0.1:{port}"))));
    });
    let pictures = |name: &str, path: &str| {
        let folder = env::var_os("VESTIBULE_PICTURES").map_or(scratch.file(name), |at| PathBuf::from(at).join(name));
        screenshots(&url_at(&world, path), None, &folder)
    };
    let field = ("INPUT", "login_hint");
    let asked = pictures("choose_by_address", "/page?a=b");
    assert_readable(&asked, "Sign in", "Enter your email address, or choose", field);
    let unknown = pictures("unknown_address", "/oauth2/start?rd=/page&login_hint=zoe%40nowhere.example");
    assert_readable(&unknown, "Sign in", "No sign-in is set up for this address. Choose one below.", field);
    for look in LOOKS {
        for page in [&asked[look], &unknown[look]] {
            let logos: Vec<_> = page["images"].as_array().expect("images").iter().collect();
            let types: Vec<_> = logos.iter().map(|logo| logo["type"].as_str().unwrap_or_default()).collect();
            assert_eq!(types, ["data:image/svg+xml", "data:image/png"], "{look}");
            for logo in logos {
                assert!(logo["natural"].as_f64().is_some_and(|width| width > 0.0), "{look}: broken: {logo}");
                assert_eq!([&logo["width"], &logo["height"]], [28, 28], "{look}: {logo}");
                assert_eq!(logo["alt"], "", "{look}: it only repeats the title");
            }
            assert!(!page["text"].as_str().is_some_and(|text| text.contains("nowhere.example")), "{page:#}");
            // The field, its button, and sixteen providers.
            assert_eq!(page["controls"].as_array().map(Vec::len), Some(18), "{look}: {page:#}");
        }
    }
    world.upstream.forget();
}

/// The settings of `pages`, and the languages.
#[test]
fn the_pages_have_the_name_of_the_site_and_the_language_of_the_browser() {
    let scratch = Scratch::new("pictures");
    let world = World::around(Issuer::start(), |setup| {
        setup.configuration["external_url"] = json!(setup.external_url());
        setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"access": "required", "allow": {"groups": ["nobody"]}},
        ]);
        setup.configuration["pages"] = json!({
            "name": "Example <Wiki> & Co.", "logo": PNG, "accent_color": "#ffd400", "language": "pt",
            "support_url": "mailto:help@example.com?subject=a&body=b", "text": "New here?\nAsk your team lead.",
        });
    });
    let url = |path: &str| url_at(&world, path);
    let pictures = |name: &str, path: &str, language: &str| {
        let folder = env::var_os("VESTIBULE_PICTURES").map_or(scratch.file(name), |at| PathBuf::from(at).join(name));
        fs::create_dir_all(&folder).expect("the folder for pictures can be made");
        observe("screenshot.mjs", json!({"url": url(path), "folder": folder, "language": language}))
    };
    let languages = [
        ("en-GB", "en", "You may not open this page", "Use another account"),
        ("de-AT", "de", "Sie dürfen diese Seite nicht öffnen", "Anderes Konto benutzen"),
        ("fr-CA", "fr", "Vous ne pouvez pas ouvrir cette page", "Utiliser un autre compte"),
        ("es", "es", "No puede abrir esta página", "Usar otra cuenta"),
        ("ja-JP", "ja", "このページを開く権限がありません", "別のアカウントを使う"),
        ("zh-CN", "zh-Hans", "您无权打开此页面", "使用其他账号"),
        // Neither is ours: the operator's choice.
        ("nl-NL", "pt-BR", "Você não pode abrir esta página", "Usar outra conta"),
    ];
    // The language is no matter of the engine; how its letters look is.
    let of_all = |browser: &str| Browser::chosen() == Browser::Chromium || ["en-GB", "ja-JP"].contains(&browser);
    for (browser, tag, title, label) in languages.into_iter().filter(|(browser, ..)| of_all(browser)) {
        let page = pictures(&format!("brand-{tag}"), "/admin/users", browser);
        let title = format!("{title} · Example <Wiki> & Co.");
        assert_readable(&page, &title, "not_allowed", ("A", label));
        for look in LOOKS {
            let page = &page[look];
            assert_eq!((&page["language"], &page["direction"]), (&json!(tag), &json!("ltr")), "{look}");
            assert_eq!(page["images"][0]["natural"], 16, "{look}: {page:#}");
            // `innerText` of WebKit has a space for the line that it shows.
            let said = page["text"].as_str().expect("a text").replace('\n', " ");
            for part in ["Example <Wiki> & Co.", "alice@example.com", "New here? Ask your team lead."] {
                assert!(said.contains(part), "{look} {part}: {said}");
            }
        }
    }
    world.upstream.forget();
}

/// Bytes that do not get fewer.
fn noise() -> Vec<u8> {
    (0..700_u64).flat_map(|block| wasm_tests::keys::sha256(&block.to_le_bytes())).collect()
}
