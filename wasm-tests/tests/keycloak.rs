//! The filter with Keycloak as its provider. Needs a JDK and Maven: `make providers`.

use std::{thread::sleep, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wasm_tests::{
    clock::Clock,
    envoy::{Envoy, Setup},
    http1::Response,
    keycloak::{ACCESS_TOKEN_LIFESPAN, Keycloak, LEVELS, audience, audience_of_client, groups, roles_in_id_tokens},
    process::until,
    upstream::{MARK, Upstream},
    user_agent::{Outgoing, UserAgent},
    world::{SESSION_KEY, assert_signed_in},
};

const API: &str = "https://api.example.com";

/// An app behind the filter, with a client of its own at Keycloak.
struct Site {
    keycloak: &'static Keycloak,
    app: Upstream,
    envoy: Envoy,
    clock: Clock,
    origin: String,
}

impl Site {
    fn start(client_id: &str) -> Self {
        Self::with(client_id, |_| {}, |_| {})
    }

    /// With changes to the client and to the filter's configuration.
    fn with(client_id: &str, client: impl FnOnce(&mut Value), configuration: impl FnOnce(&mut Value)) -> Self {
        let keycloak = Keycloak::shared();
        let (app, clock) = (Upstream::start(), Clock::new());
        let setup = Setup { bodies_while_headers_are_held: true, ..Setup::new(app.port()).clock(&clock) };
        let origin = setup.external_url();
        let mut document = json!({
            "external_url": origin,
            "cluster": "idp",
            "allow_on_headers_stop_iteration": true,
            "providers": [keycloak.add_client(client_id, &origin, client)],
            "session": {"keys": [SESSION_KEY]},
        });
        configuration(&mut document);
        let envoy = Envoy::start(setup.configuration(document));
        Self { keycloak, app, envoy, clock, origin }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Signs this user in. Returns a browser that can open the page.
    fn signed_in(&self, user: &str) -> UserAgent {
        let browser = UserAgent::default();
        let page = self.url("/page");
        let back = self.keycloak.sign_in(&browser, &page, user).location().expect("a way back");
        assert_signed_in(&browser.get(&back), &page);
        self.assert_served(&browser);
        browser
    }

    #[track_caller]
    fn assert_served(&self, browser: &UserAgent) {
        let answer = browser.get(&self.url("/page"));
        assert!(answer.headers.has(MARK), "{answer:?}\n{}", self.envoy.log());
    }

    /// Opens a page that Keycloak asks for a password for, and sends that so many times. Returns where it ends.
    fn through_forms(&self, browser: &UserAgent, path: &str, forms: usize) -> (String, Response) {
        let (mut at, mut page) = browser.follow(&self.url(path)).pop().expect("a page");
        for _ in 0..forms {
            let answer = self.keycloak.post_form(browser, &at, &page.text(), "alice");
            (at, page) = match answer.location() {
                Some(next) => browser.follow(&next).pop().expect("a page"),
                None => (at, answer),
            };
        }
        (at, page)
    }

    #[track_caller]
    fn assert_at_app(&self, (at, page): &(String, Response), path: &str) {
        let log = self.envoy.log();
        assert!(*at == self.url(path) && page.headers.has(MARK), "{at} {page:?}\n{log}\n{}", self.keycloak.log());
    }

    /// Whether a page leads this browser to Keycloak.
    fn asks_to_sign_in(&self, browser: &UserAgent) -> bool {
        let location = browser.get(&self.url("/page")).location();
        location.is_some_and(|location| location.starts_with(&self.keycloak.issuer()))
    }

    fn received(&self, header: &str) -> Option<String> {
        self.app.last().headers.text(header)
    }

    fn metric(&self, name: &str) -> u64 {
        self.envoy.metric(name)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let log = self.envoy.log();
        for word in ["panicked", "Function: proxy_on", "canary-", SESSION_KEY] {
            assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
        }
    }
}

#[test]
fn the_app_receives_groups_and_roles_and_a_sign_out_ends_the_session_at_keycloak() {
    let site = Site::with(
        "headers",
        |client| client["protocolMappers"].as_array_mut().expect("mappers").push(roles_in_id_tokens()),
        |document| {
            document["identity_headers"] = json!({
                "X-Forwarded-User": "preferred_username", "X-Forwarded-Email": "email", "X-Forwarded-Groups": "groups",
                "X-Roles": "/realm_access/roles", "X-Name": "name",
            });
            document["rules"] =
                json!([{"access": "required", "allow": {"claims": {"/realm_access/roles": ["editor"]}}}]);
        },
    );
    let browser = site.signed_in("alice");
    for (header, value) in [
        ("x-forwarded-user", "alice"),
        ("x-forwarded-email", "alice@example.com"),
        ("x-forwarded-groups", "staff"),
        ("x-name", "Zo\u{eb} M\u{f6}ller"),
    ] {
        assert_eq!(site.received(header).as_deref(), Some(value), "{header}");
    }
    let roles = site.received("x-roles").expect("roles");
    assert!(roles.split(',').any(|role| role == "editor"), "{roles}");

    let steps = browser.follow(&site.url("/oauth2/sign_out"));
    let way: Vec<&str> = steps.iter().filter_map(|(url, _)| url.split('?').next()).collect();
    let end_session = format!("{}/protocol/openid-connect/logout", site.keycloak.issuer());
    assert_eq!(way, [site.url("/oauth2/sign_out"), end_session, site.url("/oauth2/signed_out")], "{steps:?}");
    // Keycloak would sign in without a form if it still had its session.
    let (at, page) = browser.follow(&site.url("/page")).pop().expect("a page");
    let _ = site.keycloak.post_form(&browser, &at, &page.text(), "alice");
}

#[test]
fn roles_only_in_access_tokens_satisfy_no_rule() {
    let site = Site::with(
        "plain",
        |_| {},
        |document| {
            document["rules"] = json!([
                {"prefix": "/editors", "access": "required", "allow": {"claims": {"/realm_access/roles": ["editor"]}}},
            ]);
        },
    );
    let browser = site.signed_in("alice");
    let before = site.app.count();
    let refused = browser.get(&site.url("/editors"));
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("not_allowed")), "{refused:?}");
    site.app.assert_saw_nothing_since(before, "/editors");
    let log = site.envoy.log();
    assert!(log.contains(r#"the claim "/realm_access/roles" is absent from the ID token"#), "{log}");
    site.assert_served(&browser);
}

#[test]
fn a_session_is_renewed_until_keycloak_ends_it() {
    let site = Site::start("renewal");
    let browser = site.signed_in("bob");
    // In the last fifth of the access token's life.
    site.clock.set(ACCESS_TOKEN_LIFESPAN - 5);
    site.assert_served(&browser);
    assert_eq!((site.metric("renewed"), site.metric("renewal_failed")), (1, 0), "{}", site.envoy.log());
    let user = site.keycloak.user_id("bob");
    site.keycloak.admin("POST", &format!("/users/{user}/logout"), &Value::Null);
    // Another replica may have been faster: a session that is refused goes on for half a minute.
    for lifespans in [2, 3] {
        site.clock.set(lifespans * ACCESS_TOKEN_LIFESPAN);
        browser.get(&site.url("/page"));
    }
    site.clock.set(4 * ACCESS_TOKEN_LIFESPAN);
    let before = site.app.count();
    assert!(site.asks_to_sign_in(&browser), "{}", site.envoy.log());
    assert_eq!(site.metric("session_refused"), 1, "{}", site.envoy.log());
    site.app.assert_saw_nothing_since(before, "a session that Keycloak ended");
    site.clock.set(0);
    site.assert_served(&site.signed_in("bob"));
}

#[test]
fn an_administrator_ends_a_users_sessions_over_the_back_channel() {
    let site = Site::with(
        "back-channel",
        |client| {
            let url = client["redirectUris"][0].as_str().expect("text").replace("callback", "backchannel_logout");
            client["attributes"]["backchannel.logout.url"] = json!(url);
            client["attributes"]["backchannel.logout.session.required"] = json!("true");
        },
        |document| document["sign_out"] = json!({"back_channel": true}),
    );
    let (carol, alice) = (site.signed_in("carol"), site.signed_in("alice"));
    let user = site.keycloak.user_id("carol");
    site.keycloak.admin("POST", &format!("/users/{user}/logout"), &Value::Null);
    until("end of the session", || site.asks_to_sign_in(&carol).then_some(()));
    assert_eq!(site.metric("logged_out"), 1, "{}\n{}", site.envoy.log(), site.keycloak.log());
    site.assert_served(&alice);
}

#[test]
fn a_service_account_calls_with_its_access_token() {
    let site = Site::with(
        "service",
        |client| {
            client["serviceAccountsEnabled"] = json!(true);
            client["directAccessGrantsEnabled"] = json!(true);
            client["protocolMappers"] = json!([audience(API)]);
        },
        |document| {
            document["providers"][0]["access_token_audiences"] = json!([API]);
            document["rules"] = json!([{"access": "bearer"}]);
        },
    );
    let _ = site.keycloak.add_client("lightweight", &site.origin, |client| {
        client["serviceAccountsEnabled"] = json!(true);
        client["attributes"]["client.use.lightweight.access.token.enabled"] = json!("true");
        client["protocolMappers"] = json!([audience(API)]);
    });
    let send = |token: &Value| {
        let token = token.as_str().expect("a token");
        let send = Outgoing::fetch("/api").header("authorization", format!("Bearer {token}"));
        UserAgent::default().visit(&site.url("/api"), send)
    };
    let own = [("grant_type", "client_credentials")];
    let answer = send(&site.keycloak.tokens("service", &own)["access_token"]);
    assert!(answer.headers.has(MARK), "{answer:?}\n{}", site.envoy.log());
    assert_eq!(site.received("x-forwarded-preferred-username").as_deref(), Some("service-account-service"));

    let before = site.app.count();
    let people = [
        ("grant_type", "password"),
        ("scope", "openid"),
        ("username", "alice"),
        ("password", "canary-password-at-keycloak"),
    ];
    let id_token = &site.keycloak.tokens("service", &people)["id_token"];
    // It has no `sub`.
    let lightweight = &site.keycloak.tokens("lightweight", &own)["access_token"];
    for token in [id_token, lightweight] {
        let answer = send(token);
        assert_eq!((answer.status, answer.code().as_deref()), (401, Some("invalid_token")), "{answer:?}");
    }
    site.app.assert_saw_nothing_since(before, "an ID token, and an access token without sub");
}

#[test]
fn three_hundred_groups_give_a_session_and_no_groups_header() {
    let names: Vec<String> = (0..300).map(|number| format!("group-{number:022}")).collect();
    let site = Site::with(
        "many-groups",
        |client| client["protocolMappers"] = json!([groups(&names)]),
        |document| document["rules"] = json!([{"access": "required", "allow": {"groups": [names[299]]}}]),
    );
    site.signed_in("alice");
    let received = ["x-forwarded-groups", "x-forwarded-email"].map(|header| site.received(header));
    assert_eq!(received, [None, Some("alice@example.com".to_owned())]);
    let log = site.envoy.log();
    assert!(log.contains(r#"left the value out of the header "x-forwarded-groups""#), "{log}");
}

#[test]
fn a_new_keycloak_key_is_fetched_at_its_first_signature() {
    let site = Site::start("rotation");
    let before = site.signed_in("alice");
    site.keycloak.admin(
        "POST",
        "/components",
        &json!({
            "name": "new", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"]},
        }),
    );
    let fetched = site.metric("keys_fetched");
    site.signed_in("alice");
    assert!(site.metric("keys_fetched") > fetched, "{}", site.envoy.log());
    site.assert_served(&before);
}

#[test]
fn a_keycloak_login_page_superseded_by_another_tab_completes() {
    let site = Site::start("tabs");
    let browser = UserAgent::default();
    let (at, page) = browser.follow(&site.url("/other")).pop().expect("a login page");
    let back = site.keycloak.sign_in(&browser, &site.url("/page"), "alice").location().expect("a way back");
    assert_signed_in(&browser.get(&back), &site.url("/page"));
    let back = site.keycloak.post_form(&browser, &at, &page.text(), "alice").location().expect("a way back");
    let (at, page) = browser.follow(&back).pop().expect("a page");
    assert!(page.headers.has(MARK) && at == site.url("/other"), "{at} {page:?}\n{}", site.envoy.log());
}

#[test]
fn a_rule_asks_keycloak_for_a_higher_level_of_authentication() {
    let site = Site::with(
        "levels",
        |client| {
            let flow = Keycloak::shared().add_flow_with_levels();
            client["authenticationFlowBindingOverrides"] = json!({"browser": flow});
        },
        |document| {
            document["identity_headers"] = json!({"X-Acr": "acr", "X-Forwarded-User": "preferred_username"});
            document["rules"] = json!([
                {"prefix": "/admin", "access": "required", "step_up": {"acr_values": [LEVELS[1]]}},
                {"prefix": "/vault", "access": "required", "step_up": {"acr_values": ["platinum"]}},
            ]);
        },
    );
    let browser = UserAgent::default();
    site.assert_at_app(&site.through_forms(&browser, "/page", 1), "/page");
    assert_eq!(site.received("x-acr").as_deref(), Some(LEVELS[0]));
    // The session at Keycloak is of the first level: the second form comes before the page.
    let before = site.app.count();
    let (at, form) = browser.follow(&site.url("/admin/users?page=2")).pop().expect("a form");
    assert!(at.starts_with(&site.keycloak.issuer()) && !form.headers.has(MARK), "{at} {form:?}");
    site.app.assert_saw_nothing_since(before, "a session of the first level");
    site.assert_at_app(&site.through_forms(&browser, "/admin/users?page=2", 1), "/admin/users?page=2");
    assert_eq!(site.received("x-acr").as_deref(), Some(LEVELS[1]));
    site.assert_at_app(&site.through_forms(&browser, "/admin/more", 0), "/admin/more");
    // A script gets 401 with the required authentication.
    let low = UserAgent::default();
    site.assert_at_app(&site.through_forms(&low, "/page", 1), "/page");
    let answer = low.visit(&site.url("/admin/x"), Outgoing::fetch("/admin/x"));
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (401, Some("insufficient_user_authentication")),
        "{answer:?}"
    );
    // A first sign-in goes through both forms.
    let first = UserAgent::default();
    site.assert_at_app(&site.through_forms(&first, "/admin", 2), "/admin");

    // A level that the realm does not know: a page, no loop, and a line in the log from the start on.
    let before = site.app.count();
    let (_, page) = site.through_forms(&low, "/vault", 0);
    assert_eq!((page.status, page.code().as_deref()), (403, Some("step_up_refused")), "{page:?}");
    site.app.assert_saw_nothing_since(before, "a level that nobody has");
    site.assert_served(&low);
    let log = site.envoy.log();
    let warned: Vec<_> =
        log.lines().filter(|line| line.contains("acr_values_supported in its metadata has none")).collect();
    assert!(!warned.is_empty() && warned.iter().all(|line| line.contains("for acr platinum")), "{warned:#?}");
}

#[test]
fn a_rule_asks_keycloak_for_a_recent_sign_in() {
    let site = Site::with(
        "recent",
        |_| {},
        |document| {
            document["clock_leeway_seconds"] = json!(0);
            document["rules"] =
                json!([{"prefix": "/payments", "access": "required", "step_up": {"max_age_seconds": 60}}]);
        },
    );
    let browser = site.signed_in("alice");
    site.assert_at_app(&site.through_forms(&browser, "/payments/1", 0), "/payments/1");
    // Keycloak goes by its own clock, which no scenario moves.
    sleep(Duration::from_secs(62));
    let before = site.app.count();
    let (at, form) = browser.follow(&site.url("/payments/2")).pop().expect("a form");
    assert!(at.starts_with(&site.keycloak.issuer()) && !form.headers.has(MARK), "{at} {form:?}");
    site.app.assert_saw_nothing_since(before, "a sign-in of a minute ago");
    site.assert_served(&browser);
    site.assert_at_app(&site.through_forms(&browser, "/payments/2", 1), "/payments/2");
}

/// The claims of a token that the app received in this header.
fn claims(site: &Site, header: &str) -> Value {
    let token = site.received(header).expect("a token");
    let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    serde_json::from_slice(&payload.expect("a JWT")).expect("JSON")
}

#[test]
fn keycloak_exchanges_tokens_for_each_service() {
    let site = Site::with(
        "exchange",
        |client| {
            for service in ["orders-api", "stock-api"] {
                let service = json!({"clientId": service, "standardFlowEnabled": false});
                Keycloak::shared().admin("POST", "/clients", &service);
            }
            client["serviceAccountsEnabled"] = json!(true);
            client["attributes"]["standard.token.exchange.enabled"] = json!("true");
            let mappers = client["protocolMappers"].as_array_mut().expect("mappers");
            mappers.extend([audience(API), audience_of_client("orders-api")]);
        },
        |document| {
            let token = |header: &str, audience: &str| json!({"header": header, "exchange": {"audience": audience}});
            document["providers"][0]["access_token_audiences"] = json!([API]);
            document["rules"] = json!([
                {"prefix": "/orders", "access": "required", "upstream_token": token("X-Orders-Token", "orders-api")},
                {"prefix": "/again", "access": "required", "upstream_token": token("X-Again", "orders-api")},
                {"prefix": "/stock", "access": "required", "upstream_token": token("X-Stock-Token", "stock-api")},
                {"prefix": "/gone", "access": "required", "upstream_token": token("X-Gone", "no-such-client")},
                {"prefix": "/own", "access": "required", "upstream_token": {"header": "X-Own"}},
            ]);
        },
    );
    let browser = site.signed_in("bob");
    for path in ["/orders/1", "/orders/2", "/own"] {
        let answer = browser.get(&site.url(path));
        assert!(answer.headers.has(MARK), "{answer:?}\n{}", site.envoy.log());
    }
    let own = claims(&site, "x-own");
    assert!(
        own["aud"].as_array().is_some_and(|aud| aud.contains(&json!("orders-api")) && aud.contains(&json!(API))),
        "{own}"
    );
    let _ = browser.get(&site.url("/orders/3"));
    let exchanged = claims(&site, "x-orders-token");
    assert_eq!((&exchanged["aud"], &exchanged["azp"]), (&json!("orders-api"), &json!("exchange")), "{exchanged}");
    assert_eq!((&exchanged["sub"], &exchanged["preferred_username"]), (&own["sub"], &json!("bob")));
    assert_ne!(exchanged["jti"], own["jti"]);

    let assert_refused = |path: &str, expected: (u16, &str), words: &str| {
        let before = site.app.count();
        let answer = browser.get(&site.url(path));
        assert_eq!((answer.status, answer.code().as_deref()), (expected.0, Some(expected.1)), "{}", site.envoy.log());
        site.app.assert_saw_nothing_since(before, path);
        assert!(site.envoy.log().contains(words), "{words}: {}", site.envoy.log());
        site.assert_served(&browser);
    };
    assert_refused("/stock/1", (403, "upstream_token_denied"), "Requested audience not available: stock-api");
    assert_refused("/gone/1", (502, "upstream_token_refused"), "invalid_client");

    // An API client of the same provider.
    let own = &site.keycloak.tokens("exchange", &[("grant_type", "client_credentials")])["access_token"];
    let own = own.as_str().expect("a token");
    let send = Outgoing::fetch("/orders/api").header("authorization", format!("Bearer {own}"));
    let answer = UserAgent::default().visit(&site.url("/orders/api"), send);
    assert!(answer.headers.has(MARK), "{answer:?}\n{}", site.envoy.log());
    assert_eq!(claims(&site, "x-orders-token")["aud"], json!("orders-api"));

    // A user whom an administrator signed out gets no exchanged token.
    let user = site.keycloak.user_id("bob");
    site.keycloak.admin("POST", &format!("/users/{user}/logout"), &Value::Null);
    assert_refused("/again/1", (403, "upstream_token_denied"), "upstream_token");
}
