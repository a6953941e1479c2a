//! Files of `envoy/` in the real Envoy, before a real provider: whoever copies one, and puts in addresses and secrets, has
//! what it says. Only the file says anything of the filter and of Envoy here.

use serde_json::{Value, json};
use wasm_tests::{
    chromium::{place, text, walk},
    envoy::{Envoy, Setup},
    github::emulator::{self, Emulator},
    http1::{Request, Response},
    ports,
    provider::{Provider, Settings, client},
    sample::Sample,
    site::{ALICE, CLIENT_SECRET, Plan, Site},
    upstream::{MARK, Upstream},
    user_agent::{Outgoing, UserAgent},
    world::SESSION_KEY,
};

const BOB: (&str, &str) = ("bob", "bob-password");
const CAROL: (&str, &str) = ("carol", "carol-password");
const DAVE: (&str, &str) = ("dave", "dave-password");
const PARTNERS_SECRET: &str = "canary-secret-of-the-partners";
const GATE_SECRET: &str = "canary-secret-of-the-gate";
const ROBOT_SECRET: &str = "canary-secret-of-the-robot";

fn url(provider: &Settings) -> String {
    format!("http://{}:{}", provider.host, provider.port)
}

/// A site that is what the file says, before the provider that it names so. One worker, so that whoever comes after a refusal
/// meets the one that refused.
fn site(file: &str, issuer: &str, change: impl FnOnce(&mut Plan, &mut Sample)) -> Site {
    Site::with(|plan| {
        plan.setup.workers = 1;
        let mut sample = Sample::of(file, &plan.setup);
        let listen = ports::free();
        plan.provider.host = "localhost";
        (plan.provider.port, plan.provider.listen) = (sample.door(listen), Some(listen));
        plan.provider.clients[0]["client_id"] = json!("my-client");
        sample.put(issuer, &url(&plan.provider));
        sample.secret("OIDC_CLIENT_SECRET", CLIENT_SECRET);
        change(plan, &mut sample);
        plan.setup.sample = Some(sample);
    })
}

fn trusting(file: &str, issuer: &str, change: impl FnOnce(&mut Plan, &mut Sample)) -> Site {
    site(file, issuer, |plan, sample| {
        sample.trust_the_doors();
        change(plan, sample);
    })
}

/// Somebody new at a provider, in these groups, with a verified address at example.com.
fn add_user(users: &mut Value, (name, password): (&str, &str), groups: &[&str]) {
    let claims = json!({"email": format!("{name}@example.com"), "email_verified": true, "groups": groups});
    users[name] = json!({"password": password, "claims": claims});
}

/// Checks that the app answers, and tells what it was told under these names.
#[track_caller]
fn told<const N: usize>(site: &Site, browser: &UserAgent, path: &str, names: [&str; N]) -> [Option<String>; N] {
    assert_passes(&browser.get(&site.url(path)), &site.envoy);
    names.map(|name| site.app.last().headers.text(name))
}

#[track_caller]
fn assert_passes(response: &Response, envoy: &Envoy) {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", envoy.log());
}

/// Checks that this is refused, by the filter with this code or by something behind it with none, that the app does not see
/// it, and that the worker lets the next one pass.
#[track_caller]
fn assert_refused(
    site: &Site,
    browser: &UserAgent,
    send: Outgoing,
    public: &str,
    expected: (u16, Option<&str>),
) -> Response {
    let what = String::from_utf8_lossy(&send.target).into_owned();
    let before = site.app.count();
    let response = browser.visit(&site.url(&what), send);
    let log = site.envoy.log();
    assert_eq!((response.status, response.code().as_deref()), expected, "{what}: {response:?}\n{log}");
    site.app.assert_saw_nothing_since(before, &what);
    assert_passes(&UserAgent::default().fetch(&site.url(public)), &site.envoy);
    response
}

fn signed_in(site: &Site, user: (&str, &str), path: &str) -> UserAgent {
    let browser = UserAgent::default();
    let (at, page) = site.sign_in_as(user, &browser, path);
    assert_passes(&page, &site.envoy);
    assert!(path.starts_with("/oauth2/") || at == site.url(path), "{at}");
    browser
}

fn texts<const N: usize>(texts: [&str; N]) -> [Option<String>; N] {
    texts.map(|text| Some(text.to_owned()))
}

#[test]
fn without_a_certificate_that_the_file_trusts_nobody_is_sent_to_the_provider() {
    let site = site("minimal.yaml", "https://accounts.google.com", |_, _| {});
    let page = Outgoing::navigation("/page");
    assert_refused(&site, &UserAgent::default(), page, "/evaluate/v1/x", (503, Some("provider_not_ready")));
    assert_eq!(site.provider.seen("/.well-known/openid-configuration"), 0);
}

#[test]
fn the_smallest_file_signs_people_in() {
    let site = trusting("minimal.yaml", "https://accounts.google.com", |_, _| {});
    let refused = (401, Some("sign_in_required"));
    assert_refused(&site, &UserAgent::default(), Outgoing::fetch("/page"), "/evaluate/v1/x", refused);
    let alice = signed_in(&site, ALICE, "/page?a=b");
    assert_eq!(
        told(&site, &alice, "/page", ["x-forwarded-user", "x-forwarded-email"]),
        texts(["alice", "alice@example.com"])
    );
    let (_, out) = site.sign_out(&alice, &site.url("/oauth2/sign_out"));
    assert_eq!(out.code().as_deref(), Some("signed_out"), "{out:?}");
    assert_refused(&site, &alice, Outgoing::fetch("/page"), "/evaluate/v1/x", refused);
}

#[test]
fn areas_are_for_those_whom_their_rules_name() {
    let site = trusting("areas.yaml", "https://idp.example.com", |plan, _| {
        add_user(&mut plan.provider.users, CAROL, &[]);
        add_user(&mut plan.provider.users, DAVE, &[]);
        plan.provider.users["dave"]["claims"]["email"] = json!("dave@example.net");
    });
    let refused = |browser: &UserAgent, send: Outgoing, expected| {
        assert_refused(&site, browser, send, "/evaluate/v1/x", expected);
    };
    let visitor = UserAgent::default();
    refused(&visitor, Outgoing::navigation("/api/x"), (401, Some("sign_in_required")));
    refused(&visitor, Outgoing::navigation("/staff"), (302, Some("sign_in_started")));
    let alice = signed_in(&site, ALICE, "/admin/x");
    let bob = signed_in(&site, BOB, "/staff");
    let carol = signed_in(&site, CAROL, "/staff");
    for (browser, admin, api) in [(&alice, true, true), (&bob, false, true), (&carol, false, false)] {
        for (path, passes) in [("/admin", admin), ("/api/x", api), ("/staff", true)] {
            match passes {
                true => assert_passes(&browser.fetch(&site.url(path)), &site.envoy),
                false => refused(browser, Outgoing::fetch(path), (403, Some("not_allowed"))),
            }
        }
        refused(browser, Outgoing::fetch("/metrics"), (403, Some("denied")));
    }
    let dave = UserAgent::default();
    let (_, page) = site.sign_in_as(DAVE, &dave, "/staff");
    assert_eq!((page.status, page.code().as_deref()), (403, Some("not_allowed")), "{page:?}");
}

/// Staff and partners, whose carol is in the groups that the file asks for and dave in none.
fn two_providers() -> (Site, Provider) {
    let mut partners = None;
    let site = trusting("providers.yaml", "https://login.example.com", |plan, sample| {
        let mut client = client("my-client-at-partners", PARTNERS_SECRET, &plan.origin);
        client["redirect_uris"] = json!([format!("{}/oauth2/callback/partners", plan.origin)]);
        let mut users = json!({});
        add_user(&mut users, CAROL, &["project-x", "admins"]);
        add_user(&mut users, DAVE, &["admins"]);
        let listen = ports::free();
        // Another host than the first one's: browsers keep cookies by that.
        let port = sample.door(listen);
        let settings = Settings { port, listen: Some(listen), clients: vec![client], users, ..Settings::default() };
        sample.put("https://partners.example.org", &url(&settings));
        sample.secret("PARTNERS_CLIENT_SECRET", PARTNERS_SECRET);
        partners = Some(Provider::with(&settings));
    });
    (site, partners.expect("it was started"))
}

#[test]
fn people_of_two_providers_come_in_where_rules_and_routes_let_them() {
    const PUBLIC: &str = "/docs/x";
    const NAMES: [&str; 2] = ["x-forwarded-user", "x-forwarded-issuer"];
    let (site, partners) = two_providers();
    let visitor = UserAgent::default();
    // People choose, but where the route or the rule names one.
    let page = assert_refused(&site, &visitor, Outgoing::navigation("/page"), PUBLIC, (401, Some("sign_in_required")));
    assert!(page.text().contains(">Staff</a>") && page.text().contains(">Partners</a>"), "{}", page.text());
    for path in ["/admin/x", "/intranet"] {
        let begun = assert_refused(&site, &visitor, Outgoing::navigation(path), PUBLIC, (302, Some("sign_in_started")));
        assert!(begun.location().is_some_and(|to| to.starts_with(site.provider.issuer())), "{begun:?}");
    }
    let forged = Outgoing::fetch(PUBLIC).header("x-forwarded-user", "mallory");
    assert_refused(&site, &visitor, forged, PUBLIC, (400, Some("reserved_header")));

    let alice = signed_in(&site, ALICE, "/oauth2/start?rd=/page&provider=default");
    for path in ["/page", "/intranet", "/admin/x"] {
        assert_eq!(told(&site, &alice, path, NAMES), texts(["alice", site.provider.issuer()]), "{path}");
    }
    assert_eq!(told(&site, &alice, PUBLIC, NAMES), [None, None]);
    let bob = signed_in(&site, BOB, "/intranet");
    let carol = signed_in(&site, CAROL, "/oauth2/start?rd=/page&provider=partners");
    assert_eq!(told(&site, &carol, "/page", NAMES), texts(["carol", partners.issuer()]));
    // What her provider calls her makes her no admin here.
    for (browser, path) in [(&bob, "/admin/x"), (&carol, "/admin/x"), (&carol, "/intranet")] {
        assert_refused(&site, browser, Outgoing::fetch(path), PUBLIC, (403, Some("not_allowed")));
    }
    let dave = UserAgent::default();
    let (_, page) = site.sign_in_as(DAVE, &dave, "/oauth2/start?rd=/page&provider=partners");
    assert_eq!((page.status, page.code().as_deref()), (403, Some("not_allowed")), "{page:?}");
}

#[test]
fn members_of_the_organisation_pass_and_its_team_where_the_admins_are() {
    let app = Upstream::start();
    let setup = Setup::new(app.port()).workers(1);
    let emulator = Emulator::start(&setup.external_url());
    let mut sample = Sample::of("github.yaml", &setup);
    sample.trust_the_doors();
    let github = format!("http://localhost:{}", sample.door(emulator.port()));
    let at = format!(
        "type: github\n                      github_url: {github}\n                      github_api_url: {github}"
    );
    sample.put("type: github", &at);
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
        assert_passes(&UserAgent::default().fetch(&url("/evaluate/v1/x")), &envoy);
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
        assert_eq!(
            (access(&browser, "/page"), access(&browser, "/admin")),
            (page.to_owned(), admin.to_owned()),
            "{login}"
        );
        let named = |seen: &Request| seen.headers.text("x-forwarded-preferred-username").as_deref() == Some(login);
        assert_eq!(app.seen().iter().any(named), page == "passed", "{login}");
    }
    let log = envoy.log();
    for word in ["panicked", "Function: proxy_on", emulator::CLIENT_SECRET, SESSION_KEY] {
        assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
    }
}

#[test]
fn opaque_tokens_count_beside_sessions() {
    const PUBLIC: &str = "/evaluate/v1/x";
    let site = trusting("introspection.yaml", "https://login.example.com", |plan, sample| {
        plan.provider.scopes = &["api", "pages"];
        let basic = "client_secret_basic";
        for (id, secret, method) in [("gate", GATE_SECRET, basic), ("robot", ROBOT_SECRET, "client_secret_post")] {
            plan.provider.clients.push(json!({
                "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"], "redirect_uris": [],
                "response_types": [], "token_endpoint_auth_method": method, "scope": "api email",
            }));
        }
        sample.secret("GATE_CLIENT_SECRET", GATE_SECRET);
    });
    let token = |scope| site.provider.token_of_program("robot", ROBOT_SECRET, scope);
    let bring = |path: &str, token: &str| Outgoing::fetch(path).header("authorization", format!("Bearer {token}"));
    const NAMES: [&str; 3] = ["x-forwarded-user", "x-forwarded-client", "x-forwarded-email"];
    let nobody = UserAgent::default();
    let good = token("api");
    assert_passes(&nobody.visit(&site.url("/api/x"), bring("/api/x", &good)), &site.envoy);
    assert_eq!(
        NAMES.map(|name| site.app.last().headers.text(name)),
        [Some("robot".to_owned()), Some("robot".to_owned()), None]
    );
    let alice = signed_in(&site, ALICE, "/page");
    let person = [Some("alice".to_owned()), None, Some("alice@example.com".to_owned())];
    assert_eq!(told(&site, &alice, "/page", NAMES), person);
    for (browser, send, expected) in [
        (&nobody, bring("/page", &good), (403, "insufficient_scope")),
        (&nobody, bring("/api/x", &token("email")), (403, "insufficient_scope")),
        (&nobody, bring("/api/x", "made-up"), (401, "invalid_token")),
        (&alice, bring("/page", "made-up"), (401, "invalid_token")),
        (&alice, Outgoing::fetch("/api/x"), (401, "token_required")),
        (&nobody, Outgoing::fetch("/page"), (401, "sign_in_required")),
    ] {
        assert_refused(&site, browser, send, PUBLIC, (expected.0, Some(expected.1)));
    }
    let log = site.envoy.log();
    for secret in [good.as_str(), GATE_SECRET, ROBOT_SECRET] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[test]
fn envoys_own_filters_decide_by_the_token_that_is_handed_on() {
    const PUBLIC: &str = "/evaluate/v1/x";
    let site = trusting("chain.yaml", "https://login.example.com", |plan, _| {
        add_user(&mut plan.provider.users, CAROL, &["staff"]);
        plan.provider.always_refresh_tokens = true;
    });
    let visitor = UserAgent::default();
    assert_refused(&site, &visitor, Outgoing::navigation("/page"), PUBLIC, (302, Some("sign_in_started")));
    let (alice, carol) = (signed_in(&site, ALICE, "/admin/x"), signed_in(&site, CAROL, "/page"));
    for (browser, path) in [(&alice, "/page"), (&alice, "/admin/x"), (&carol, "/page")] {
        let [token] = told(&site, browser, path, ["authorization"]);
        assert_eq!(token.map(|token| token.matches('.').count()), Some(2), "{path}");
    }
    // Whoever stands behind says no: the answer has none of our codes.
    let bob = UserAgent::default();
    let before = site.app.count();
    let (_, page) = site.sign_in_as(BOB, &bob, "/page");
    assert_eq!((page.status, page.code()), (403, None), "{page:?}\n{}", site.envoy.log());
    site.app.assert_saw_nothing_since(before, "an address that is not verified");
    let [token] = told(&site, &alice, "/page", ["authorization"]);
    let token = token.expect("a token");
    for (browser, path) in [(&carol, "/admin"), (&carol, "/ADMIN/x"), (&carol, "/x/../admin"), (&bob, "/page")] {
        let query = format!("{path}?access_token={}", &token["Bearer ".len()..]);
        for send in
            [Outgoing::fetch(path), Outgoing::fetch(query), Outgoing::fetch(path).header("wasm.email", "x@example.com")]
        {
            assert_refused(&site, browser, send, PUBLIC, (403, None));
        }
    }
    let public = Outgoing::fetch(PUBLIC).header("authorization", token);
    assert_passes(&visitor.visit(&site.url(PUBLIC), public), &site.envoy);
    assert!(!site.app.last().headers.has("authorization"));
}

#[test]
fn a_single_page_app_keeps_its_place_and_its_forms() {
    const PUBLIC: &str = "/assets/app.js";
    let site = trusting("spa.yaml", "https://login.example.com", |_, _| {});
    for send in [
        Outgoing::fetch("/api/items"),
        Outgoing::navigation("/api/items"),
        Outgoing::fetch("/api/items").method("POST").body("{}"),
    ] {
        let refused = assert_refused(&site, &UserAgent::default(), send, PUBLIC, (401, Some("sign_in_required")));
        let told: Option<Value> = serde_json::from_slice(&refused.body).ok();
        assert!(told.is_none_or(|told| told["sign_in_url"] == site.url("/oauth2/start")), "{refused:?}");
    }
    let (user, password) = ALICE;
    let form = "<form method=post action=/save><input name=note value='a b'><button>Save</button></form>";
    let form: String = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
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
        ],
    );
    let [_, _, arrived, known, .., sent] = &steps;
    assert_eq!(place(arrived), site.url("/app?a=b#/item/7"), "{arrived:#}\n{}", site.envoy.log());
    assert_eq!(known["answer"]["status"], 200, "{known:#}");
    assert_eq!((place(sent), text(sent, "text")), (site.url("/save"), "hello from the app"), "{sent:#}");
    let posts: Vec<_> = site.app.seen().into_iter().filter(|request| request.method == "POST").collect();
    let [post] = &posts[..] else { panic!("{posts:#?}") };
    assert_eq!(post.form(), [("note".to_owned(), "a b".to_owned())]);
    assert_eq!(post.headers.text("x-forwarded-user").as_deref(), Some("alice"));
}
