//! The real provider, driven by hand: what the scenarios require of it.

use std::sync::{Arc, Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use wasm_tests::{
    html::Form,
    http1::{Outcome, Request, Response, Server, response},
    provider::{CODE_CHALLENGE, Provider, Settings, client, code_grant, many_groups},
    site::{ALICE, BIG, Site},
    user_agent::{Outgoing, UserAgent},
    world::parameter,
};

/// An app that takes note of every request and answers with nothing.
struct App {
    server: Server,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl App {
    fn start() -> Self {
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let recorder = Arc::clone(&seen);
        let server = Server::start(0, move |request, connection| {
            recorder.lock().expect("no thread panicked").push(request);
            if connection.send(&response(200, &[], b"")).is_ok() { Outcome::KeepAlive } else { Outcome::Close }
        });
        Self { server, seen }
    }

    fn url(&self) -> String {
        format!("http://app.localhost:{}", self.server.address().port())
    }

    fn seen(&self, path: &str) -> Vec<Request> {
        self.seen.lock().expect("no thread panicked").iter().filter(|seen| seen.path() == path).cloned().collect()
    }
}

fn provider(app: &App, change: impl FnOnce(&mut Settings)) -> Provider {
    let mut settings = Settings { clients: vec![client("app", "secret", &app.url())], ..Settings::default() };
    settings.clients[0]["backchannel_logout_uri"] = json!(format!("{}/oauth2/backchannel_logout", app.url()));
    settings.clients[0]["backchannel_logout_session_required"] = json!(true);
    change(&mut settings);
    Provider::with(&settings)
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Asks for a code: the provider's form, or the redirect back if it knows the browser.
fn authorize(provider: &Provider, app: &App, browser: &UserAgent, more: &[(&str, &str)]) -> (String, Response) {
    let callback = format!("{}/oauth2/callback", app.url());
    let mut query = vec![
        ("client_id", "app"),
        ("response_type", "code"),
        ("redirect_uri", &callback),
        ("code_challenge", CODE_CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    query.extend(more);
    let url = format!("{}/auth?{}", provider.issuer(), encoded(&query));
    browser.follow(&url).pop().expect("a first step")
}

fn token(provider: &Provider, fields: &[(&str, &str)]) -> (i32, Value) {
    let answer = minreq::post(format!("{}/token", provider.issuer()))
        .with_header("authorization", format!("Basic {}", STANDARD.encode("app:secret")))
        .with_header("content-type", "application/x-www-form-urlencoded")
        .with_body(encoded(fields))
        .send()
        .expect("an answer");
    (answer.status_code, serde_json::from_slice(answer.as_bytes()).expect("JSON"))
}

/// Signs in with the form, and redeems the code.
fn sign_in(
    provider: &Provider,
    app: &App,
    browser: &UserAgent,
    (user, password): (&str, &str),
    more: &[(&str, &str)],
) -> Value {
    let (at, page) = authorize(provider, app, browser, more);
    let fields = [("login", user), ("password", password)];
    let answer = browser.visit(&at, Outgoing::form(url::Url::parse(&at).expect("a URL").path(), &fields));
    let next = answer.location().unwrap_or_else(|| panic!("{page:?} {answer:?}\n{}", provider.log()));
    let (callback, _) = browser.follow(&next).pop().expect("a first step");
    let redirect_uri = format!("{}/oauth2/callback", app.url());
    let code = parameter(&callback, "code");
    let fields = code_grant(&code, &redirect_uri);
    let (status, tokens) = token(provider, &fields);
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn refresh(provider: &Provider, tokens: &Value) -> (i32, Value) {
    let refresh_token = tokens["refresh_token"].as_str().unwrap_or_else(|| panic!("no refresh token in {tokens}"));
    token(provider, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
}

fn claims(tokens: &Value) -> Value {
    let part = tokens["id_token"].as_str().and_then(|token| token.split('.').nth(1)).expect("an ID token");
    serde_json::from_slice(&wasm_tests::keys::from_base64url(part)).expect("JSON")
}

#[test]
fn the_real_provider_refreshes_until_the_grant_is_revoked() {
    let app = App::start();
    let provider = provider(&app, |settings| settings.ttl = json!({"AccessToken": 5, "IdToken": 7}));
    let browser = UserAgent::default();
    // OIDC Core 11: this provider holds to it that offline access needs a prompt for consent.
    let without = sign_in(&provider, &app, &browser, ALICE, &[("scope", "openid offline_access")]);
    assert_eq!(without.get("refresh_token"), None);
    let first = sign_in(
        &provider,
        &app,
        &UserAgent::default(),
        ALICE,
        &[("scope", "openid offline_access"), ("prompt", "consent")],
    );
    assert_eq!(first["expires_in"], 5);
    let life = |claims: &Value| claims["exp"].as_i64().expect("a number") - claims["iat"].as_i64().expect("a number");
    assert_eq!(life(&claims(&first)), 7);
    let (status, second) = refresh(&provider, &first);
    assert_eq!((status, claims(&second)["sub"].as_str()), (200, Some("alice")));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    provider.revoke_grants();
    let (status, refused) = refresh(&provider, &second);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    // The session at the provider is kept.
    let (at, _) = authorize(&provider, &app, &browser, &[("scope", "openid")]);
    assert!(at.starts_with(&app.url()), "{at}");
}

#[test]
fn the_real_provider_can_issue_refresh_tokens_without_rotation() {
    let app = App::start();
    let provider = provider(&app, |settings| {
        settings.rotate_refresh_tokens = false;
        settings.always_refresh_tokens = true;
    });
    let tokens = sign_in(&provider, &app, &UserAgent::default(), BIG, &[("scope", "openid groups")]);
    assert_eq!(claims(&tokens)["groups"], json!(many_groups()));
    for _ in 0..2 {
        let (status, again) = refresh(&provider, &tokens);
        assert_eq!((status, &again["refresh_token"]), (200, &tokens["refresh_token"]));
    }
}

#[test]
fn the_real_provider_restarts_with_or_without_its_state() {
    let app = App::start();
    let provider = provider(&app, |settings| settings.always_refresh_tokens = true);
    let browser = UserAgent::default();
    let tokens = sign_in(&provider, &app, &browser, ALICE, &[("scope", "openid")]);
    provider.down();
    assert!(minreq::get(provider.issuer()).send().is_err());
    provider.up();
    let (status, tokens) = refresh(&provider, &tokens);
    assert_eq!(status, 200, "{tokens}");
    let (at, _) = authorize(&provider, &app, &browser, &[("scope", "openid")]);
    assert!(at.starts_with(&app.url()), "{at}");
    provider.down();
    provider.forget_everybody();
    provider.up();
    assert_eq!(refresh(&provider, &tokens).0, 400);
    let (at, page) = authorize(&provider, &app, &browser, &[("scope", "openid")]);
    assert!(at.starts_with(provider.issuer()) && page.text().contains("name=\"password\""), "{at} {page:?}");
}

#[test]
fn the_real_provider_confirms_a_sign_out_and_sends_a_logout_token() {
    let app = App::start();
    let provider = provider(&app, |_| {});
    let browser = UserAgent::default();
    let tokens = sign_in(&provider, &app, &browser, ALICE, &[("scope", "openid")]);
    let back = format!("{}/oauth2/signed_out", app.url());
    let query = encoded(&[
        ("id_token_hint", tokens["id_token"].as_str().expect("an ID token")),
        ("post_logout_redirect_uri", &back),
        ("state", "s"),
    ]);
    let url = format!("{}/session/end?{query}", provider.issuer());
    let page = browser.get(&url);
    assert!(page.text().contains("<title>Sign out?</title>"), "{page:?}");
    let mut form = Form::first(&page.text()).expect("a form");
    assert!(form.field("xsrf").is_some_and(|xsrf| !xsrf.is_empty()), "{form:?}");
    form.fields.push(("logout".to_owned(), "yes".to_owned()));
    let (to, send) = form.post(&url);
    assert_eq!(browser.visit(&to, send).location(), Some(format!("{back}?state=s")));

    let logout = app.seen("/oauth2/backchannel_logout");
    let [logout] = &logout[..] else { panic!("{logout:?}\n{}", provider.log()) };
    let token = logout.form().remove(0);
    assert_eq!(token.0, "logout_token");
    let said = claims(&json!({"id_token": token.1}));
    assert_eq!((said["sid"].is_string(), &said["sub"]), (true, &json!("alice")));
    assert_eq!(logout.headers.text("host"), Some(app.url().replace("http://", "")));
    assert_eq!((provider.seen("backchannel.success"), provider.seen("end_session.success")), (1, 1));
    let (at, _) = authorize(&provider, &app, &browser, &[("scope", "openid")]);
    assert!(at.starts_with(provider.issuer()), "{at}");
}

#[test]
fn the_user_agent_confirms_a_provider_sign_out_without_scripts() {
    let site = Site::with(|plan| {
        plan.provider.clients[0]["post_logout_redirect_uris"] = json!([format!("{}/public/bye", plan.origin)]);
    });
    let browser = UserAgent::default();
    let (at, _) = site.sign_in_as(ALICE, &browser, "/page");
    assert_eq!(at, site.url("/page"));
    let query = encoded(&[("client_id", "site"), ("post_logout_redirect_uri", &site.url("/public/bye"))]);
    let end = format!("{}/session/end?{query}", site.provider.issuer());
    // The second time the provider does not know the browser any more, and its form sends itself.
    for _ in 0..2 {
        let (at, page) = site.sign_out(&browser, &end);
        assert_eq!((at, page.status), (site.url("/public/bye"), 200), "{page:?}\n{}", site.provider.log());
    }
    assert_eq!(site.provider.seen("end_session.success"), 2);
}
