//! The filter between an app and the real provider, under an origin that browsers take for another site than the
//! provider's.

use std::thread;

use serde_json::{Value, json};
use url::Url;

use crate::{
    envoy::{Envoy, Setup},
    http1::Response,
    provider::{Provider, client},
    upstream::Upstream,
    user_agent::{Outgoing, UserAgent},
    world::SESSION_KEY,
};

const CLIENT_ID: &str = "site";
const CLIENT_SECRET: &str = "canary-secret-of-the-site";

/// Somebody who can sign in: user name and password.
pub const ALICE: (&str, &str) = ("alice", "alice-password");

/// The real provider, the app, and Envoy with the filter between them.
pub struct Site {
    /// The provider.
    pub provider: Provider,
    /// The app.
    pub app: Upstream,
    /// Envoy with the filter.
    pub envoy: Envoy,
    origin: String,
}

impl Site {
    /// With a client of the usual kind.
    #[must_use]
    pub fn start() -> Self {
        Self::with_client(|_| {})
    }

    /// With a client whose metadata at the provider is changed. Everything under `/public` is public.
    #[must_use]
    pub fn with_client(change: impl FnOnce(&mut Value)) -> Self {
        let app = Upstream::start();
        let setup = Setup::new(app.port());
        let origin = setup.external_url();
        let mut client = client(CLIENT_ID, CLIENT_SECRET, &origin);
        change(&mut client);
        let provider = Provider::start(&[client]);
        let envoy = Envoy::start(setup.configuration(json!({
            "external_url": origin,
            "cluster": "idp",
            "providers": [{
                "issuer": provider.issuer(),
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "scopes": ["openid", "email", "profile", "groups"],
            }],
            "session": {"keys": [SESSION_KEY]},
            "rules": [{"prefix": "/public", "access": "public"}],
        })));
        Self { provider, app, envoy, origin }
    }

    /// The external URL, with this path and query.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Asks for a page without a session and signs in with the provider's form. Returns where that ended.
    ///
    /// # Panics
    /// If there is no form.
    #[must_use]
    pub fn sign_in(&self, browser: &UserAgent, path: &str) -> (String, Response) {
        let (form, page) = last(browser.follow(&self.url(path)));
        assert!(page.text().contains("name=\"password\""), "{form}: {page:?}\n{}", self.envoy.log());
        let (user, password) = ALICE;
        let send = Outgoing::navigation(Url::parse(&form).expect("a URL").path())
            .method("POST")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("login={user}&password={password}"));
        let answer = browser.visit(&form, send);
        let next = answer.location().unwrap_or_else(|| panic!("the provider does not take the form: {answer:?}"));
        let next = Url::parse(&form).and_then(|form| form.join(&next)).expect("a Location that is a URL");
        last(browser.follow(next.as_str()))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let log = self.envoy.log();
        for word in ["panicked", "Function: proxy_on", CLIENT_SECRET, SESSION_KEY] {
            assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
        }
    }
}

fn last(mut steps: Vec<(String, Response)>) -> (String, Response) {
    steps.pop().expect("at least one step")
}
