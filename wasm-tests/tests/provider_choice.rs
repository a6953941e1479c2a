//! The page where users choose a provider, in the real Envoy: logos, and the provider of an email address.

use serde_json::json;
use wasm_tests::{
    envoy::{ConfigurationAs, Envoy, Setup},
    html::Form,
    http1::Response,
    two_providers::{CALLBACK, CALLBACK_OF_PARTNERS, ProviderName, assert_passes, links, world_with},
    user_agent::UserAgent,
    world::{World, assert_page, assert_sign_in_at, assert_signed_in, document, parameter},
};

const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4"/></svg>"#;
const UNKNOWN: &str = "No sign-in is set up for this address. Choose one below.";
const ENTER: &str = "Enter your email address, or choose how you want to sign in.";

/// Both providers, each with a domain.
fn world() -> World {
    world_with(|configuration| {
        configuration["providers"][0]["email_domains"] = json!(["example.com", "Example.ORG"]);
        configuration["providers"][1]["email_domains"] = json!(["partner.example"]);
        configuration["providers"][1]["logo"] = json!(SVG);
        configuration["providers"][1]["css_class"] = json!("of-partners");
        let rules = configuration["rules"].as_array_mut().expect("rules");
        rules.push(json!({"prefix": "/both", "access": "required", "providers": ["partners", "default"]}));
    })
}

/// The URL that a browser without scripts asks for when this address is entered in the form of the page.
#[track_caller]
fn entered(page: &Response, address: &str) -> String {
    let form = Form::first(&page.text()).unwrap_or_else(|| panic!("no form: {}", page.text()));
    assert_eq!(form.method, "", "a GET");
    let mut url = url::Url::parse(&form.action).expect("the start path");
    for (name, value) in &form.fields {
        url.query_pairs_mut().append_pair(name, if name == "login_hint" { address } else { value });
    }
    url.into()
}

#[track_caller]
fn assert_asks(page: &Response, text: &str) {
    assert_page(page, &[401], text);
    assert!(page.text().contains(text), "{}", page.text());
}

#[test]
fn an_email_address_selects_its_provider_and_keeps_the_target() {
    let world = world();
    let cases = [
        ("carol@example.com", ProviderName::Staff),
        ("carol+b@EXAMPLE.org", ProviderName::Staff),
        ("bob@Partner.example", ProviderName::Partners),
    ];
    for (address, at) in cases {
        let browser = world.browser();
        let before = world.upstream.count();
        let page = browser.get(&world.url("/page?a=b&c=%2F"));
        assert_asks(&page, ENTER);
        let begun = assert_sign_in_at(&browser.get(&entered(&page, address)), &world, at.issuer(&world), at.callback());
        assert_eq!(parameter(&begun.url, "login_hint"), address);
        world.upstream.assert_saw_nothing_since(before, "a sign-in by address");
        // Later the log names the user, whom this issuer calls by the hint.
        assert!(!world.log().contains(address), "an address is in the log:\n{}", world.log());
        assert_signed_in(&browser.get(&world.answer(&browser, &begun)), &world.url("/page?a=b&c=%2F"));
        assert_passes(&world, &browser, "/page?a=b&c=%2F", at);
    }
}

#[test]
fn an_unknown_address_is_asked_for_again() {
    let world = world();
    let before = world.upstream.count();
    let page = world.browser().get(&world.url("/page?a=b"));
    for (address, told) in [
        ("zoe@nowhere.example", UNKNOWN),
        ("zoe@sub.example.com", UNKNOWN),
        ("zoe@example.com.evil.example", UNKNOWN),
        ("\"><script>alert(1)</script>@nowhere.example", UNKNOWN),
        ("zoe@example.com\u{202e}", UNKNOWN),
        // No addresses, as an app may send a user name.
        ("zoe@evil.example@example.com", ENTER),
        ("@example.com", ENTER),
        ("zoe", ENTER),
    ] {
        let browser = world.browser();
        let again = browser.get(&entered(&page, address));
        assert_asks(&again, told);
        assert!(!again.text().contains("zoe") && !again.text().contains("<script"), "{}", again.text());
        assert_eq!(browser.jar().cookies().len(), 0, "nothing has begun");
        // The links do not pass the address on, and both the links and the form return to the page.
        let begun = assert_sign_in_at(&browser.get(&links(&again)[1]), &world, &world.partners, CALLBACK_OF_PARTNERS);
        assert!(!begun.url.contains("login_hint"), "{}", begun.url);
        assert_sign_in_at(&browser.get(&entered(&again, "alice@example.com")), &world, &world.issuer, CALLBACK);
        world.upstream.assert_saw_nothing_since(before, address);
        assert!(!world.log().contains("nowhere.example") && !world.log().contains("zoe"), "{}", world.log());
    }
    world.assert_serves();
}

#[test]
fn a_malformed_login_hint_selects_no_provider() {
    let world = world();
    let before = world.upstream.count();
    for hint in [
        "a%00@example.com",
        "a%0d%0aset-cookie:x=y@example.com",
        "a%ff@example.com",
        "a\u{fffd}@example.com",
        "%c0%af@example.com",
        "alice@example.com&login_hint=bob@partner.example",
        "&login_hint=",
        &format!("{}@example.com", "a".repeat(501)),
        &"@".repeat(512),
        &"%40".repeat(4000),
    ] {
        let page = world.browser().get(&world.url(&format!("/oauth2/start?rd=/page&login_hint={hint}")));
        assert_page(&page, &[401], hint);
        assert!(!page.headers.has("set-cookie") && links(&page).len() == 2, "{hint}: {page:?}");
    }
    // The way back stays on this site.
    for rd in
        ["https://evil.example/", "//evil.example/", "/%5cevil.example", "javascript:alert(1)", "%22%3E%3Cscript%3E"]
    {
        let browser = world.browser();
        let page = browser.get(&world.url(&format!("/oauth2/start?rd={rd}&login_hint=zoe@nowhere.example")));
        assert_asks(&page, UNKNOWN);
        assert!(!page.text().contains("<script") && !page.text().contains("javascript:"), "{}", page.text());
        let begun =
            assert_sign_in_at(&browser.get(&entered(&page, "alice@example.com")), &world, &world.issuer, CALLBACK);
        let back = browser.get(&world.answer(&browser, &begun)).location().expect("the way back");
        assert!(back.starts_with(&world.url("/")), "{rd}: {back}");
    }
    world.upstream.assert_saw_nothing_since(before, "hostile addresses");
    world.assert_serves();
}

#[test]
fn the_choice_page_lists_the_rules_providers_in_configured_order() {
    let world = world();
    let page = world.browser().get(&world.url("/both/x"));
    let of_both = world.url("/oauth2/start?rd=%2Fboth%2Fx&provider=");
    assert_eq!(links(&page), [format!("{of_both}default"), format!("{of_both}partners")]);
    assert_eq!(
        Form::first(&page.text()).and_then(|form| form.field("provider").map(str::to_owned)).as_deref(),
        Some("partners,default")
    );
    let browser = world.browser();
    let start =
        |provider: &str, hint: &str| world.url(&format!("/oauth2/start?rd=/&provider={provider}&login_hint={hint}"));
    // The link names one provider, so the address selects none. It is passed on only to the provider of its domain.
    let begun = browser.get(&start("partners", "alice@example.com"));
    let begun = assert_sign_in_at(&begun, &world, &world.partners, CALLBACK_OF_PARTNERS);
    assert!(!begun.url.contains("login_hint"), "{}", begun.url);
    let begun =
        assert_sign_in_at(&browser.get(&start("default", "alice@example.com")), &world, &world.issuer, CALLBACK);
    assert_eq!(parameter(&begun.url, "login_hint"), "alice@example.com");
    let begun = browser.get(&start("default,partners", "bob@partner.example"));
    assert_sign_in_at(&begun, &world, &world.partners, CALLBACK_OF_PARTNERS);
}

#[test]
fn a_configured_login_hint_overrides_a_listed_one() {
    let world = world_with(|configuration| {
        configuration["providers"][0]["email_domains"] = json!(["example.com"]);
        configuration["providers"][0]["authorization_params"] = json!({"login_hint": "front-desk"});
        configuration["sign_in"] = json!({"pass_parameters": ["login_hint"]});
    });
    let browser = world.browser();
    let page = browser.get(&world.url("/page"));
    let begun = assert_sign_in_at(&browser.get(&entered(&page, "alice@example.com")), &world, &world.issuer, CALLBACK);
    assert_eq!(parameter(&begun.url, "login_hint"), "front-desk");
    let again = browser.get(&entered(&page, "bob@partner.example"));
    assert_asks(&again, UNKNOWN);
    let begun = assert_sign_in_at(&browser.get(&links(&again)[1]), &world, &world.partners, CALLBACK_OF_PARTNERS);
    assert_eq!(parameter(&begun.url, "login_hint"), "bob@partner.example");
}

#[test]
fn a_logo_is_an_image_that_the_csp_of_its_page_permits() {
    let world = world();
    let policy = |page: &Response| page.headers.text("content-security-policy").expect("a policy");
    let page = world.browser().get(&world.url("/page"));
    let text = page.text();
    assert!(text.contains("<img src=\"data:image/svg+xml;base64,") && !text.contains("<svg"), "{text}");
    assert!(text.contains("class=\"button of-partners\""), "{text}");
    assert!(policy(&page).contains("img-src data:"), "{}", policy(&page));
    let other = world.browser().get(&world.url("/oauth2/callback"));
    assert!(!policy(&other).contains("img-src") && policy(&other).contains("form-action 'none'"), "{}", policy(&other));
    // The largest page: sixteen providers, each with a logo as large as it may be.
    let large = world_with(|configuration| {
        let logo = SVG.replace("<circle", &format!("<!--{}--><circle", "x".repeat(8192 - SVG.len() - 7)));
        assert_eq!(logo.len(), 8192);
        let providers = configuration["providers"].as_array_mut().expect("providers");
        for number in 2..16 {
            let issuer = format!("http://127.0.0.1:{number}");
            providers.push(json!({"name": format!("club-{number}"), "issuer": issuer, "client_id": "x"}));
        }
        providers.iter_mut().for_each(|provider| provider["logo"] = json!(logo));
    });
    for _ in 0..8 {
        let page = UserAgent::default().get(&large.url("/page"));
        assert_page(&page, &[401], "sixteen logos");
        assert_eq!((page.text().matches("<img ").count(), page.text().ends_with("</html>\n")), (16, true));
    }
    large.upstream.assert_saw_nothing();
    world.upstream.assert_saw_nothing();
}

#[test]
fn invalid_provider_choice_settings_are_refused_with_their_path() {
    for form in [ConfigurationAs::Json, ConfigurationAs::Struct] {
        let setup = Setup::new(1).configuration_as(form);
        let mut configuration = document(setup.port, "https://idp.example.com");
        let one = &mut configuration["providers"][0];
        one["logo"] = json!("https://idp.example.com/logo.png");
        one["css_class"] = json!("two names");
        one["email_domains"] = json!(["example.com", "@example.org"]);
        let other = json!({
            "name": "b", "issuer": "https://b.example.com", "client_id": "b",
            "logo": "x".repeat(8193), "label": "B",
        });
        configuration["providers"].as_array_mut().expect("providers").push(other);
        let (accepted, said) = Envoy::validate(&setup.configuration(configuration));
        assert!(!accepted, "{form:?}: {said}");
        for fault in [
            "providers[0].logo: expected an SVG as text",
            "providers[0].css_class: expected one class name",
            "providers[0].email_domains[1]: expected a whole domain",
            "providers[1].logo: expected at most 8192 bytes",
            "providers[1].label: unknown field; did you mean `title`?",
        ] {
            assert!(said.contains(fault), "{form:?}: {fault} is not in:\n{said}");
        }
    }
    let setup = Setup::new(1);
    let mut configuration = document(setup.port, "https://idp.example.com");
    configuration["providers"][0]["email_domains"] = json!(["example.com"]);
    let other =
        json!({"name": "b", "issuer": "https://b.example.com", "client_id": "b", "email_domains": ["EXAMPLE.com"]});
    configuration["providers"].as_array_mut().expect("providers").push(other);
    let (accepted, said) = Envoy::validate(&setup.configuration(configuration));
    assert!(
        !accepted && said.contains("providers[1].email_domains[0]: expected a domain that is listed once"),
        "{said}"
    );
}
