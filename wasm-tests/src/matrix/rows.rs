//! The rows, and how each provider is started.

use serde_json::{Value, json};

use super::{
    Renewal, Row, SignOut, TestedWith,
    running::{AtKeycloak, EMAIL, EMULATED_CLIENT, OwnIssuer, OwnOAuth2Server, SECRET, WithPreset},
};
use crate::{
    dex::Dex,
    emulated::Emulated,
    github::emulator::Emulator,
    glewlwyd::Glewlwyd,
    issuer::{Issuer, RefreshTokens},
    keycloak::{ACCESS_TOKEN_LIFESPAN, Keycloak},
    keys,
    oauth2_server::{Dialect, LIFETIME, OAuth2Server},
    provider::{Provider, Settings, client},
    python_provider::PythonProvider,
};

/// In the last fifth of the life of an access token that is good for an hour.
const BEFORE_AN_HOUR: Renewal = Renewal::After(3400);

/// All rows, in the order of the page on providers.
pub static ROWS: [Row; 15] = [
    Row {
        provider: "Keycloak",
        settings: "keycloak",
        tested_with: TestedWith::ProductInProviders("26.7"),
        start: |origin| {
            let keycloak = Keycloak::shared();
            Box::new(AtKeycloak(keycloak, keycloak.add_client("matrix", origin, |_| {})))
        },
        sub: None,
        email: Some(EMAIL),
        email_counts: true,
        renewal: Renewal::After(ACCESS_TOKEN_LIFESPAN - 5),
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "Microsoft Entra ID",
        settings: "microsoft",
        tested_with: TestedWith::Emulator,
        start: |origin| {
            const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
            let seed =
                json!({"users": [{"email": EMAIL, "name": "Alice"}], "oauth_clients": [emulated_client(origin)]});
            let emulator = Emulated::start("microsoft", &seed);
            let issuer = emulator.url(&format!("/{TENANT}/v2.0"));
            Box::new(WithPreset(emulator, json!({"preset": "microsoft", "with": {"tenant": TENANT}, "issuer": issuer})))
        },
        sub: None,
        email: Some(EMAIL),
        email_counts: false,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "Google",
        settings: "google",
        tested_with: TestedWith::Emulator,
        start: |origin| {
            let user = json!({"email": EMAIL, "name": "Alice", "email_verified": true, "hd": "example.com"});
            let emulator =
                Emulated::start("google", &json!({"users": [user], "oauth_clients": [emulated_client(origin)]}));
            let issuer = emulator.url("");
            Box::new(WithPreset(emulator, json!({"preset": "google", "issuer": issuer})))
        },
        sub: None,
        email: Some(EMAIL),
        email_counts: true,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtApp,
    },
    // Apple posts its response, writes `email_verified` as text, and takes a client secret that is an assertion.
    Row {
        provider: "Apple",
        settings: "apple",
        tested_with: TestedWith::Emulator,
        start: |origin| {
            let (team, key) = ("1A2B3C4D5E", "ABC123DEFG");
            let client = json!({
                "client_id": EMULATED_CLIENT, "team_id": team, "key_id": key, "name": "The app",
                "redirect_uris": [format!("{origin}/oauth2/callback")],
            });
            let user = json!({"email": EMAIL, "name": "Alice"});
            let emulator = Emulated::start("apple", &json!({"users": [user], "oauth_clients": [client]}));
            let provider = json!({
                "preset": "apple", "with": {"team_id": team, "key_id": key}, "issuer": emulator.url(""),
                "client_key": {"private_key": keys::of_clients()[1].to_string()},
            });
            Box::new(WithPreset(emulator, provider))
        },
        sub: None,
        email: Some(EMAIL),
        email_counts: true,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtApp,
    },
    Row {
        provider: "Okta",
        settings: "okta",
        tested_with: TestedWith::Emulator,
        start: |origin| {
            let mut client = emulated_client(origin);
            client["auth_server_id"] = json!("default");
            let emulator = Emulated::start(
                "okta",
                &json!({
                    "users": [{"login": EMAIL, "email": EMAIL, "first_name": "Alice", "last_name": "A."}],
                    "groups": [{"name": "Everyone", "description": "All users", "type": "BUILT_IN", "okta_id": "00g"}],
                    "authorization_servers": [{"id": "default", "name": "default", "audiences": ["api://default"]}],
                    "oauth_clients": [client],
                }),
            );
            let issuer = emulator.url("/oauth2/default");
            Box::new(WithPreset(
                emulator,
                json!({"preset": "okta", "with": {"domain": "example.okta.com"}, "issuer": issuer}),
            ))
        },
        sub: None,
        email: Some(EMAIL),
        email_counts: true,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "GitLab",
        settings: "gitlab",
        tested_with: TestedWith::OwnServer("https://docs.gitlab.com/integration/openid_connect_provider"),
        start: |_| {
            let issuer = Issuer::start();
            issuer.terms(|terms| {
                terms.claims_at_userinfo = true;
                terms.refresh_tokens = RefreshTokens::Always;
                terms.advertises_end_session = false;
                terms.email_by_scope = true;
                terms.public_clients = false;
            });
            let url = issuer.url();
            Box::new(OwnIssuer(issuer, json!({"preset": "gitlab", "with": {"url": url}})))
        },
        sub: None,
        email: Some(EMAIL),
        email_counts: true,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtApp,
    },
    Row {
        provider: "Facebook",
        settings: "facebook",
        tested_with: TestedWith::OwnServer("https://developers.facebook.com/docs/graph-api/reference/user/"),
        start: |_| {
            let server = OAuth2Server::start(Dialect {
                user: json!({
                    "id": "10158", "name": "Alice", "email": EMAIL,
                    "picture": {"data": {"height": 50, "is_silhouette": false, "url": "https://cdn.example/p"}},
                }),
                email_by_scope: true,
                ..Dialect::default()
            });
            let provider = json!({
                "preset": "facebook",
                "authorization_endpoint": server.url("/authorize"),
                "token_endpoint": server.url("/token"),
                "userinfo_endpoint": server.url("/me?fields=id,name,email,picture"),
            });
            Box::new(OwnOAuth2Server(server, provider))
        },
        sub: Some("10158"),
        email: Some(EMAIL),
        email_counts: false,
        renewal: Renewal::NotOffered,
        sign_out: SignOut::AtApp,
    },
    Row {
        provider: "SimpleLogin",
        settings: "simplelogin",
        tested_with: TestedWith::OwnServer("https://docs.simplelogin.io/overview"),
        start: |_| {
            let server = OAuth2Server::start(Dialect {
                user: json!({
                    "avatar_url": "https://cdn.example/a", "client": "The app", "email": EMAIL, "email_verified": true,
                    "id": 1, "name": "Alice",
                }),
                ..Dialect::default()
            });
            let provider = json!({"preset": "simplelogin", "with": {"url": server.url("")}});
            Box::new(OwnOAuth2Server(server, provider))
        },
        sub: Some("1"),
        email: Some(EMAIL),
        email_counts: true,
        renewal: Renewal::NotOffered,
        sign_out: SignOut::AtApp,
    },
    Row {
        provider: "Dex",
        settings: "dex",
        tested_with: TestedWith::ProductInProviders("2.45"),
        start: |origin| Box::new(Dex::start(origin)),
        sub: None,
        email: Some(EMAIL),
        email_counts: true,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtApp,
    },
    Row {
        provider: "Glewlwyd",
        settings: "issuer",
        tested_with: TestedWith::Product("2.7"),
        start: |origin| Box::new(Glewlwyd::start(origin)),
        sub: None,
        email: Some(EMAIL),
        email_counts: false,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "Canaille",
        settings: "issuer",
        tested_with: TestedWith::Product("0.3"),
        start: |origin| Box::new(PythonProvider::canaille(origin)),
        sub: Some("alice"),
        email: Some(EMAIL),
        email_counts: false,
        // Its access tokens live for ten days, longer than the session here.
        renewal: Renewal::NotTested,
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "Django OAuth Toolkit",
        settings: "issuer",
        tested_with: TestedWith::Product("3.4"),
        start: |origin| Box::new(PythonProvider::django_oauth_toolkit(origin)),
        sub: None,
        email: Some(EMAIL),
        email_counts: false,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "oidc-provider (node)",
        settings: "issuer",
        tested_with: TestedWith::Product("9"),
        start: |origin| {
            let clients = vec![client("matrix", SECRET, origin)];
            Box::new(Provider::with(&Settings { clients, ..Settings::default() }))
        },
        sub: Some("alice"),
        email: Some(EMAIL),
        email_counts: true,
        renewal: BEFORE_AN_HOUR,
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "A server with OAuth 2.0 alone",
        settings: "type: oauth2",
        tested_with: TestedWith::OwnServer("https://www.rfc-editor.org/rfc/rfc6749"),
        start: |_| {
            let server = OAuth2Server::start(Dialect {
                form: true,
                without_type: true,
                refreshes: true,
                user: json!({"data": {"id": 4711, "full_name": "Alice A."}}),
                emails: json!([
                    {"address": "private@example.org", "primary": false, "confirmed": true},
                    {"address": EMAIL, "primary": true, "confirmed": true},
                ]),
                ..Dialect::default()
            });
            let mut provider = server.provider();
            provider["claims"] = json!({"sub": "/data/id", "name": "/data/full_name"});
            provider["further_userinfo"] = json!([{
                "endpoint": server.url("/emails"),
                "select": {"primary": true},
                "claims": {"email": "address", "email_verified": "confirmed"},
            }]);
            provider["end_session_endpoint"] = json!(server.url("/logout"));
            Box::new(OwnOAuth2Server(server, provider))
        },
        sub: Some("4711"),
        email: Some(EMAIL),
        email_counts: true,
        renewal: Renewal::After(LIFETIME - 15),
        sign_out: SignOut::AtBoth,
    },
    Row {
        provider: "GitHub",
        settings: "github",
        tested_with: TestedWith::Emulator,
        start: |origin| Box::new(Emulator::start(origin)),
        sub: None,
        email: Some("octocat@example.com"),
        email_counts: true,
        renewal: Renewal::NotOffered,
        sign_out: SignOut::AtApp,
    },
];

/// The app as a client of the emulators.
fn emulated_client(origin: &str) -> Value {
    json!({
        "client_id": EMULATED_CLIENT, "client_secret": SECRET, "name": "The app",
        // The server checks the post-logout redirect URI against this list, too.
        "redirect_uris": [format!("{origin}/oauth2/callback"), format!("{origin}/oauth2/signed_out")],
    })
}
