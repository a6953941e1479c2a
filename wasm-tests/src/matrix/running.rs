//! The providers as they run: their settings in the filter's configuration, and their pages as a user fills them in.

use serde_json::{Value, json};
use url::Url;

use crate::{
    dex::{self, Dex},
    emulated::Emulated,
    github::emulator::{self, Emulator},
    glewlwyd::Glewlwyd,
    html::Form,
    http1::Response,
    issuer::{self, Issuer},
    keycloak::{self, Keycloak},
    oauth2_server::OAuth2Server,
    provider::Provider,
    python_provider::{self, PythonProvider},
    site::ALICE,
    user_agent::UserAgent,
};

/// The client at the emulators.
pub(super) const EMULATED_CLIENT: &str = "client-at-the-emulator";
/// Its secret there and at oidc-provider; no log may hold it.
pub(super) const SECRET: &str = "canary-client-secret-of-the-matrix";
/// The address of the user.
pub(super) const EMAIL: &str = "alice@example.com";

/// A provider that runs, or a server in its place.
pub trait RunningProvider {
    /// Its element of `providers` in the filter's configuration.
    fn provider(&self) -> Value;

    /// Everything it has logged.
    fn log(&self) -> String {
        String::new()
    }

    /// The fields that the user fills in: names and values.
    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// The buttons that the user presses on pages that have them: names and values.
    fn buttons(&self) -> &[(&'static str, &'static str)] {
        &[]
    }

    /// Whether it remembers a browser that has signed in.
    fn keeps_sessions(&self) -> bool {
        false
    }

    /// Fills in the last of these pages as a user does. Returns the URL that follows, if the page has a form.
    fn answer(&self, browser: &UserAgent, steps: &[(String, Response)]) -> Option<String> {
        let (at, page) = steps.last()?;
        let text = page.text();
        let mut form = Form::first(&text)?;
        let given = self.fields();
        for (name, value) in &mut form.fields {
            if let Some((_, given)) = given.iter().find(|(field, _)| field == name) {
                (*given).clone_into(value);
            }
        }
        if let Some((name, value)) =
            self.buttons().iter().find(|(_, value)| text.contains(&format!("value=\"{value}\"")))
        {
            form.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        // The button of oidc-provider's page that asks before a sign-out.
        if form.field("xsrf").is_some() && form.field("logout").is_none() {
            form.fields.push(("logout".to_owned(), "yes".to_owned()));
        }
        let (to, send) = form.post(at);
        let answer = browser.visit(&to, send);
        // A page whose script posts the response to the app (OAuth 2.0 Form Post Response Mode).
        let posted = || {
            let (to, send) = Form::first(&answer.text())?.post(&to);
            browser.visit(&to, send).location()
        };
        let next = answer.location().or_else(posted);
        let next = next.unwrap_or_else(|| panic!("{to} does not take the form: {answer:?}\n{}", self.log()));
        Some(Url::parse(&to).and_then(|to| to.join(&next)).expect("a URL").into())
    }
}

impl RunningProvider for Provider {
    fn provider(&self) -> Value {
        json!({
            "issuer": self.issuer(), "client_id": "matrix", "client_secret": SECRET,
            "scopes": ["openid", "email", "profile", "offline_access"],
            "authorization_params": {"prompt": "consent"},
        })
    }

    fn log(&self) -> String {
        Self::log(self)
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        vec![("login", ALICE.0), ("password", ALICE.1)]
    }

    fn keeps_sessions(&self) -> bool {
        true
    }
}

impl RunningProvider for Glewlwyd {
    fn provider(&self) -> Value {
        Self::provider(self)
    }

    fn log(&self) -> String {
        Self::log(self)
    }

    /// Its pages are scripts, which call its API.
    fn answer(&self, browser: &UserAgent, steps: &[(String, Response)]) -> Option<String> {
        let asked = format!("{}/auth?", self.issuer());
        let (authorization, _) = steps.iter().rfind(|(url, _)| url.starts_with(&asked))?;
        Some(self.sign_in(browser, authorization))
    }
}

impl RunningProvider for Dex {
    fn provider(&self) -> Value {
        Self::provider(self)
    }

    fn log(&self) -> String {
        Self::log(self)
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        vec![("login", dex::ALICE.0), ("password", dex::ALICE.1)]
    }
}

impl RunningProvider for PythonProvider {
    fn provider(&self) -> Value {
        Self::provider(self)
    }

    fn log(&self) -> String {
        Self::log(self)
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        let (name, password) = python_provider::ALICE;
        vec![("login", name), ("username", name), ("password", password)]
    }

    fn buttons(&self) -> &[(&'static str, &'static str)] {
        Self::buttons(self)
    }

    fn keeps_sessions(&self) -> bool {
        true
    }
}

/// The shared Keycloak with a client of the matrix.
pub(super) struct AtKeycloak(pub(super) &'static Keycloak, pub(super) Value);

impl RunningProvider for AtKeycloak {
    fn provider(&self) -> Value {
        self.1.clone()
    }

    fn log(&self) -> String {
        self.0.log()
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        vec![("username", "alice"), ("password", keycloak::PASSWORD)]
    }

    fn keeps_sessions(&self) -> bool {
        true
    }
}

/// An emulator, with the settings of the preset.
pub(super) struct WithPreset(pub(super) Emulated, pub(super) Value);

impl RunningProvider for WithPreset {
    fn provider(&self) -> Value {
        let mut provider = self.1.clone();
        provider["client_id"] = json!(EMULATED_CLIENT);
        if provider["client_key"].is_null() {
            provider["client_secret"] = json!(SECRET);
        }
        provider
    }

    fn log(&self) -> String {
        self.0.log()
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        vec![("email", EMAIL), ("user_ref", EMAIL)]
    }
}

impl RunningProvider for Emulator {
    fn provider(&self) -> Value {
        json!({
            "preset": "github", "client_id": emulator::CLIENT_ID, "client_secret": emulator::CLIENT_SECRET,
            "github_url": self.url(), "github_api_url": self.url(),
        })
    }

    fn log(&self) -> String {
        Self::log(self)
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        vec![("login", "octocat")]
    }
}

/// The issuer of the tests in place of a provider, with the settings of the preset.
pub(super) struct OwnIssuer(pub(super) Issuer, pub(super) Value);

impl RunningProvider for OwnIssuer {
    fn provider(&self) -> Value {
        let mut provider = self.1.clone();
        provider["client_id"] = json!(issuer::CLIENT_ID);
        provider["client_secret"] = json!(issuer::CLIENT_SECRET);
        // Kept here, so that the issuer runs.
        let _ = &self.0;
        provider
    }
}

/// A server for OAuth 2.0 without OpenID Connect in place of a provider, with the settings of the preset.
pub(super) struct OwnOAuth2Server(pub(super) OAuth2Server, pub(super) Value);

impl RunningProvider for OwnOAuth2Server {
    fn provider(&self) -> Value {
        let mut provider = self.1.clone();
        let own = self.0.provider();
        for field in ["client_id", "client_secret"] {
            provider[field] = own[field].clone();
        }
        provider
    }
}
