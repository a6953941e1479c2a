//! Files of `envoy/` in the real Envoy, before a real provider: a copy with addresses and secrets put in does what the file
//! says. Only the file says anything of the filter and of Envoy here.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use wasm_tests::{
    browser::{place, text, walk},
    envoy::{Envoy, Setup},
    github::emulator::{self, Emulator},
    http1::Request,
    issuer::Answer,
    process::{Scratch, until},
    provider::{Provider, Settings, client},
    sample::{InUse, Sample, add_user, assert_passes},
    site::{ALICE, CLIENT_SECRET, Site},
    store::Store,
    upstream::{MARK, Upstream},
    user_agent::{Outgoing, UserAgent},
    user_directory::{REFUSAL, SECRET, UserDirectory},
    world::SESSION_KEY,
};

const BOB: (&str, &str) = ("bob", "bob-password");
const CAROL: (&str, &str) = ("carol", "carol-password");
const DAVE: (&str, &str) = ("dave", "dave-password");

/// The public path of most files.
const PUBLIC: &str = "/evaluate/v1/x";
const NO_SESSION: (u16, Option<&str>) = (401, Some("sign_in_required"));
const OTHERS: (u16, Option<&str>) = (403, Some("not_allowed"));
const SENT_TO_SIGN_IN: (u16, Option<&str>) = (302, Some("sign_in_started"));

fn texts<const N: usize>(texts: [&str; N]) -> [Option<String>; N] {
    texts.map(|text| Some(text.to_owned()))
}

/// The filter cannot see TLS: these lines of the file make Envoy check that it talks to the provider.
#[test]
fn a_provider_with_an_untrusted_certificate_is_not_used() {
    type Change = fn(&mut Sample);
    let of_another_name: Change = |sample| {
        sample.trust_the_doors();
        sample.put("http://localhost:", "http://other.localhost:");
    };
    let cases: [(Change, &str); 2] = [(|_| {}, "fail_verify_error"), (of_another_name, "fail_verify_san")];
    for (change, why) in cases {
        let site = InUse::start_with("minimal.yaml", "https://accounts.google.com", PUBLIC, |_, sample| change(sample));
        let refused = (503, Some("provider_not_ready"));
        site.assert_refused(&UserAgent::default(), Outgoing::navigation("/page"), refused);
        assert_eq!(site.provider.seen("/.well-known/openid-configuration"), 0, "{why}");
        assert!(site.envoy.stats(&format!("cluster.idp.ssl.{why}")) > 0, "{why}: {}", site.envoy.log());
    }
}

#[test]
fn the_minimal_sample_signs_users_in_and_out() {
    let site = InUse::start("minimal.yaml", "https://accounts.google.com", PUBLIC, |_, _| {});
    site.assert_refused(&UserAgent::default(), Outgoing::fetch("/page"), NO_SESSION);
    let alice = site.signed_in(ALICE, "/page?a=b");
    assert_eq!(site.app.last().target, "/page?a=b");
    let received = site.received_headers(&alice, Outgoing::fetch("/page"), ["x-forwarded-user", "x-forwarded-email"]);
    assert_eq!(received, texts(["alice", "alice@example.com"]));
    let (_, out) = site.sign_out(&alice, &site.url("/oauth2/sign_out"));
    assert_eq!(out.code().as_deref(), Some("signed_out"), "{out:?}");
    site.assert_refused(&alice, Outgoing::fetch("/page"), NO_SESSION);
}

/// Writes Envoy's file of the client secret, and renames it into place as Envoy wants it.
fn write_secret(file: &Path, secret: &str) {
    let credential = STANDARD.encode(format!("my-client:{secret}"));
    let resource = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "client-secret",
        "generic_secret": {"secret": {"inline_string": format!("Basic {credential}")}},
    });
    let new = file.with_extension("new");
    fs::write(&new, json!({"resources": [resource]}).to_string()).expect("the target folder can be written");
    fs::rename(new, file).expect("the target folder can be written");
}

#[test]
fn envoy_adds_the_client_secret_and_follows_its_file() {
    let scratch = Scratch::new("client-secret");
    let file = scratch.file("client-secret.yaml");
    write_secret(&file, "of-yesterday");
    let site = InUse::start("injected-secret.yaml", "https://idp.example.com", PUBLIC, |_, sample| {
        sample.put("/etc/envoy/client-secret.yaml", file.to_str().expect("a path in UTF-8"));
    });
    let refused = site.assert_sign_in_refused(ALICE, "/page", (502, Some("token_endpoint_refused")));
    assert!(site.envoy.log().contains("the provider refused: invalid_client"), "{}", site.envoy.log());
    write_secret(&file, CLIENT_SECRET);
    until("a secret that Envoy has read again", || {
        let (_, page) = refused.follow(&site.url("/page")).pop().expect("a page");
        (page.status == 200 && page.headers.has(MARK)).then_some(())
    });
    assert!(!site.envoy.log().contains(CLIENT_SECRET));
}

#[test]
fn the_areas_sample_admits_the_users_of_each_rule() {
    let site = InUse::start("areas.yaml", "https://idp.example.com", PUBLIC, |plan, _| {
        add_user(&mut plan.provider.users, CAROL, &[]);
        add_user(&mut plan.provider.users, DAVE, &[]);
        plan.provider.users["dave"]["claims"]["email"] = json!("dave@example.net");
    });
    let visitor = UserAgent::default();
    site.assert_refused(&visitor, Outgoing::navigation("/api/x"), NO_SESSION);
    site.assert_refused(&visitor, Outgoing::navigation("/staff"), SENT_TO_SIGN_IN);
    for (user, admin, api) in [(ALICE, true, true), (BOB, false, true), (CAROL, false, false)] {
        let browser = site.signed_in(user, "/staff");
        for (path, passes) in [("/admin", admin), ("/admin/x", admin), ("/api/x", api)] {
            if passes {
                assert_passes(&browser.fetch(&site.url(path)), &site.envoy);
            } else {
                site.assert_refused(&browser, Outgoing::fetch(path), OTHERS);
            }
        }
        site.assert_refused(&browser, Outgoing::fetch("/metrics"), (403, Some("denied")));
    }
    site.assert_sign_in_refused(DAVE, "/staff", OTHERS);
}

/// The providers of staff and of partners. Of the partners, carol is in the group that the file requires, and dave is not.
fn two_providers() -> (InUse, Provider) {
    let mut partners = None;
    let site = InUse::start("providers.yaml", "https://login.example.com", "/docs/x", |plan, sample| {
        let secret = "canary-secret-of-the-partners";
        let mut client = client("my-client-at-partners", secret, &plan.origin);
        client["redirect_uris"] = json!([format!("{}/oauth2/callback/partners", plan.origin)]);
        let mut users = json!({});
        add_user(&mut users, CAROL, &["project-x", "admins"]);
        add_user(&mut users, DAVE, &["admins"]);
        // On another host than the first one: browsers keep cookies by that.
        let mut settings = Settings { clients: vec![client], users, ..Settings::default() };
        sample.provider("https://partners.example.org", &mut settings);
        sample.secret("PARTNERS_CLIENT_SECRET", secret);
        partners = Some(Provider::with(&settings));
    });
    (site, partners.expect("it was started"))
}

#[test]
fn the_several_providers_sample_admits_users_by_rules_and_routes() {
    const NAMES: [&str; 2] = ["x-forwarded-user", "x-forwarded-issuer"];
    let (site, partners) = two_providers();
    let visitor = UserAgent::default();
    // People choose, but where the route or the rule names one.
    let page = site.assert_refused(&visitor, Outgoing::navigation("/page"), NO_SESSION).text();
    assert!(page.contains(">Staff</a>") && page.contains(">Partners</a>"), "{page}");
    for path in ["/admin/x", "/intranet"] {
        let begun = site.assert_refused(&visitor, Outgoing::navigation(path), SENT_TO_SIGN_IN);
        assert!(begun.location().is_some_and(|to| to.starts_with(site.provider.issuer())), "{begun:?}");
    }
    let forged = Outgoing::fetch("/docs/x").header("x-forwarded-user", "mallory");
    site.assert_refused(&visitor, forged, (400, Some("reserved_header")));

    let alice = site.signed_in(ALICE, "/oauth2/start?rd=/page&provider=default");
    for path in ["/page", "/intranet", "/admin/x"] {
        let received = site.received_headers(&alice, Outgoing::fetch(path), NAMES);
        assert_eq!(received, texts(["alice", site.provider.issuer()]), "{path}");
    }
    assert_eq!(site.received_headers(&alice, Outgoing::fetch("/docs/x"), NAMES), [None, None]);
    let bob = site.signed_in(BOB, "/intranet");
    let carol = site.signed_in(CAROL, "/oauth2/start?rd=/page&provider=partners");
    assert_eq!(site.received_headers(&carol, Outgoing::fetch("/page"), NAMES), texts(["carol", partners.issuer()]));
    // That her provider calls her an admin makes her none here.
    const OTHER_PROVIDER: (u16, Option<&str>) = (403, Some("other_provider"));
    for (browser, path, refusal) in
        [(&bob, "/admin/x", OTHERS), (&carol, "/admin/x", OTHER_PROVIDER), (&carol, "/intranet", OTHER_PROVIDER)]
    {
        site.assert_refused(browser, Outgoing::fetch(path), refusal);
    }
    site.assert_sign_in_refused(DAVE, "/oauth2/start?rd=/page&provider=partners", OTHERS);
}

#[test]
fn the_github_sample_admits_members_and_the_admin_team() {
    let app = Upstream::start();
    let setup = Setup::new(app.port()).workers(1);
    let emulator = Emulator::start(&setup.external_url());
    let mut sample = Sample::of("github.yaml", &setup);
    sample.trust_the_doors();
    let github = format!("http://localhost:{}", sample.door(emulator.port()));
    sample.put(
        "- type: github",
        &format!("- github_url: {github}\n{0}github_api_url: {github}\n{0}type: github", " ".repeat(22)),
    );
    sample.put("Iv1.0123456789abcdef", emulator::CLIENT_ID);
    sample.secret("GITHUB_SECRET", emulator::CLIENT_SECRET);
    let envoy = Envoy::start(Setup { sample: Some(sample), ..setup.clone() });
    let url = |path: &str| format!("{}{path}", setup.external_url());
    let access = |browser: &UserAgent, path: &str| {
        let before = app.count();
        let response = browser.fetch(&url(path));
        if response.headers.has(MARK) {
            return "passed".to_owned();
        }
        app.assert_saw_nothing_since(before, path);
        assert_passes(&UserAgent::default().fetch(&url(PUBLIC)), &envoy);
        response.code().unwrap_or_default()
    };
    for (login, page, admin) in [
        ("octocat", "passed", "passed"),
        ("hubot", "passed", "not_allowed"),
        ("outsider", "not_allowed", "not_allowed"),
    ] {
        let browser = UserAgent::default();
        assert_eq!(access(&browser, "/page"), "sign_in_required");
        let (_, end) = Emulator::sign_in(&browser, login, &url("/page?a=1"));
        assert_eq!(end.headers.has(MARK), page == "passed", "{login}: {end:?}\n{}\n{}", envoy.log(), emulator.log());
        let met = [access(&browser, "/page"), access(&browser, "/admin")];
        assert_eq!(met, [page, admin], "{login}");
        let named = |seen: &Request| seen.headers.text("x-forwarded-preferred-username").as_deref() == Some(login);
        assert_eq!(app.seen().iter().any(named), page == "passed", "{login}");
    }
    let log = envoy.log();
    for word in ["panicked", "Function: proxy_on", emulator::CLIENT_SECRET, SESSION_KEY] {
        assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
    }
}

#[test]
fn the_chain_sample_lets_envoys_filters_decide_by_the_forwarded_token() {
    /// A filter behind ours has refused: the answer has none of our codes.
    const BEHIND: (u16, Option<&str>) = (403, None);
    let site = InUse::start("chain.yaml", "https://login.example.com", PUBLIC, |plan, _| {
        add_user(&mut plan.provider.users, CAROL, &["staff"]);
        plan.provider.always_refresh_tokens = true;
    });
    let visitor = UserAgent::default();
    site.assert_refused(&visitor, Outgoing::navigation("/page"), SENT_TO_SIGN_IN);
    let (alice, carol) = (site.signed_in(ALICE, "/admin/x"), site.signed_in(CAROL, "/page"));
    let handed_on = |browser: &UserAgent, path: &str| {
        let [authorization] = site.received_headers(browser, Outgoing::fetch(path), ["authorization"]);
        authorization.unwrap_or_else(|| panic!("no token at {path}"))
    };
    assert_eq!(handed_on(&alice, "/page"), handed_on(&alice, "/admin/x"));
    assert_ne!(handed_on(&alice, "/page"), handed_on(&carol, "/page"));
    // His address is not verified, so the app does not receive it.
    let bob = site.assert_sign_in_refused(BOB, "/page", BEHIND);
    let admins = handed_on(&alice, "/page");
    for (browser, path) in [(&carol, "/admin"), (&carol, "/ADMIN/x"), (&carol, "/x/../admin"), (&bob, "/page")] {
        let in_query = format!("{path}?access_token={}", &admins["Bearer ".len()..]);
        for send in [
            Outgoing::fetch(path),
            Outgoing::fetch(in_query),
            Outgoing::fetch(path).header("wasm.email", "bob@example.com"),
        ] {
            site.assert_refused(browser, send, BEHIND);
        }
    }
    let public = Outgoing::fetch(PUBLIC).header("authorization", admins);
    assert_eq!(site.received_headers(&visitor, public, ["authorization"]), [None]);
}

#[test]
fn the_spa_sample_keeps_fragments_and_forms() {
    let site = InUse::start("spa.yaml", "https://login.example.com", "/assets/app.js", |_, _| {});
    let items = "/api/items";
    for send in [Outgoing::fetch(items), Outgoing::fetch(items).method("POST").body("{}")] {
        let refused = site.assert_refused(&UserAgent::default(), send, NO_SESSION);
        let told: Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!(told["sign_in_url"], site.url("/oauth2/start"), "{refused:?}");
    }
    site.assert_refused(&UserAgent::default(), Outgoing::navigation(items), NO_SESSION);
    let (user, password) = ALICE;
    let form = "<form method=post action=/save><input name=note value='a b'><button>Save</button></form>";
    let form: String = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
    // The script that the comment at the top of the file describes.
    let back: String = url::form_urlencoded::byte_serialize(site.url("/app?a=b#/item/8").as_bytes()).collect();
    let steps = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/app?a=b#/item/7")]),
            json!(["until", site.provider.issuer()]),
            json!(["sign_in", user, password]),
            json!(["fetch", site.url("/oauth2/userinfo")]),
            json!(["open", site.url(&format!("/assets/form?html={form}"))]),
            json!(["forget", "app.localhost"]),
            json!(["click", "button"]),
            json!(["click", "a"]),
            json!(["click", "button"]),
            json!(["forget", "app.localhost"]),
            json!(["open", site.url(&format!("/oauth2/start?rd={back}"))]),
        ],
    );
    let [_, _, arrived, known, .., sent, _, returned] = &steps;
    assert_eq!(place(arrived), site.url("/app?a=b#/item/7"), "{arrived:#}\n{}", site.envoy.log());
    let info: Value = serde_json::from_str(text(&known["answer"], "text")).expect("JSON");
    assert_eq!(info["claims"], json!({"sub": "alice", "name": "Alice Example", "email": "alice@example.com"}));
    assert_eq!((place(sent), text(sent, "text")), (site.url("/save"), "hello from the app"), "{sent:#}");
    assert_eq!(place(returned), site.url("/app?a=b#/item/8"), "{returned:#}");
    let posts: Vec<_> = site.app.seen().into_iter().filter(|request| request.method == "POST").collect();
    let [post] = &posts[..] else { panic!("{posts:#?}") };
    assert_eq!(post.form(), [("note".to_owned(), "a b".to_owned())]);
    assert_eq!(post.headers.text("x-forwarded-user").as_deref(), Some("alice"));
}

#[test]
fn the_stored_sample_ends_sessions_by_logout_tokens() {
    let store = Store::start();
    let site = InUse::start("stored.yaml", "https://idp.example.com", PUBLIC, |plan, sample| {
        sample.put("port_value: 7379", &format!("port_value: {}", store.port()));
        let client = &mut plan.provider.clients[0];
        client["backchannel_logout_uri"] = json!(format!("{}/oauth2/backchannel_logout", plan.origin));
        client["backchannel_logout_session_required"] = json!(true);
        plan.provider.always_refresh_tokens = true;
    });
    site.assert_refused(&UserAgent::default(), Outgoing::fetch("/page"), NO_SESSION);
    let alice = site.signed_in(ALICE, "/page");
    assert_eq!(store.count(), 1);
    let end = format!("{}/session/end", site.provider.issuer());
    let (at, _) = Site::sign_out(&site, &alice, &end);
    assert!(at.starts_with(&end), "{at}");
    assert_eq!(site.provider.seen("backchannel.success"), 1, "{}\n{}", site.provider.log(), site.envoy.log());
    site.assert_refused(&alice, Outgoing::fetch("/page"), NO_SESSION);
}

#[test]
fn the_provisioning_sample_creates_and_refuses_users() {
    let directory = UserDirectory::start();
    let site = InUse::start("provisioning.yaml", "https://accounts.google.com", PUBLIC, |_, sample| {
        sample.put("port_value: 3001", &format!("port_value: {}", directory.port()));
        sample.secret("PROVISIONING_SECRET", SECRET);
    });
    let alice = site.signed_in(ALICE, "/page");
    let received = site.received_headers(&alice, Outgoing::fetch("/page"), ["x-forwarded-user", "x-forwarded-plan"]);
    assert_eq!(received, texts(["7", "free"]));
    site.assert_refused(&alice, Outgoing::fetch("/reports"), OTHERS);
    let asked = directory.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["claims"]["email"], json!("alice@example.com"));
    directory.misbehave(Answer::json(403, json!({"message": REFUSAL}).to_string()));
    site.assert_sign_in_refused(BOB, "/page", (403, Some("provisioning_refused")));
    assert_eq!(directory.users(), ["alice"]);
}

/// The provider supports no token exchange, so a rule that requires one refuses every request.
#[test]
fn the_upstream_tokens_sample_forwards_the_tokens_of_its_rules() {
    let issuer = "https://keycloak.example.com/realms/acme";
    let site = InUse::start("upstream-tokens.yaml", issuer, PUBLIC, |_, _| {});
    let alice = site.signed_in(ALICE, "/page");
    let [token] = site.received_headers(&alice, Outgoing::fetch("/legacy"), ["x-forwarded-access-token"]);
    assert!(token.is_some_and(|token| token.len() > 20), "{}", site.envoy.log());
    let forged =
        Outgoing::fetch("/page").header("x-orders-token", "forged").header("x-forwarded-access-token", "forged");
    let received = site.received_headers(&alice, forged, ["x-orders-token", "x-forwarded-access-token"]);
    assert_eq!(received, [None, None]);
    site.assert_refused(&alice, Outgoing::fetch("/orders/1"), (502, Some("upstream_token_refused")));
    assert!(site.envoy.log().contains("unsupported_grant_type"), "{}", site.envoy.log());
}
