//! The filter between an app and the real provider, under an origin that browsers take for another site than the
//! provider's.

use std::thread;

use serde_json::{Value, json};
use url::Url;

use crate::{
    browser::text,
    envoy::{Envoy, READY, Setup},
    html::Form,
    http1::Response,
    ports,
    process::until_everywhere,
    provider::{Provider, Settings, client},
    upstream::{MARK, Upstream},
    user_agent::{Outgoing, UserAgent},
    world::SESSION_KEY,
};

const CLIENT_ID: &str = "site";
/// The secret of the app at the provider; no log may hold it.
pub const CLIENT_SECRET: &str = "canary-secret-of-the-site";

/// A user: name and password.
pub const ALICE: (&str, &str) = ("alice", "alice-password");
/// A user in 400 groups.
pub const BIG: (&str, &str) = ("big", "big-password");

/// A text as a value of a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The step of a walk in which Alice signs in with the provider's form.
#[must_use]
pub fn alice_signs_in() -> Value {
    let (user, password) = ALICE;
    json!(["sign_in", user, password])
}

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

/// The settings of a site.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The provider's settings; the app is its first client.
    pub provider: Settings,
    /// Envoy's, with the filter's configuration.
    pub setup: Setup,
    /// The external URL, without a slash at its end.
    pub origin: String,
}

impl Site {
    /// With a client of the usual kind.
    #[must_use]
    pub fn start() -> Self {
        Self::with_client(|_| {})
    }

    /// With changes to the metadata of the app's client at the provider. Everything under `/public` is public.
    #[must_use]
    pub fn with_client(change: impl FnOnce(&mut Value)) -> Self {
        Self::with(|plan| change(&mut plan.provider.clients[0]))
    }

    /// With the hosts `one` and `two` below `app.localhost`, which share sessions, and all sign-ins at `auth`.
    #[must_use]
    pub fn with_two_hosts() -> Self {
        Self::with(|plan| {
            let origin = |name: &str| plan.origin.replace("app.localhost", &format!("{name}.app.localhost"));
            let configuration = &mut plan.setup.configuration;
            configuration["external_url"] = json!([origin("one"), origin("two")]);
            configuration["session"]["cookie_domain"] = json!("app.localhost");
            configuration["sign_in"] = json!({"external_url": origin("auth")});
            let client = &mut plan.provider.clients[0];
            client["redirect_uris"] = json!([format!("{}/oauth2/callback", origin("auth"))]);
            client["post_logout_redirect_uris"] = json!([format!("{}/oauth2/signed_out", origin("auth"))]);
        })
    }

    /// With changes to any of it.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let app = Upstream::start();
        let setup = Setup::new(app.port());
        let origin = setup.external_url();
        let clients = vec![client(CLIENT_ID, CLIENT_SECRET, &origin)];
        // The filter's configuration names the provider's port before the provider has it.
        let provider = Settings { port: ports::free(), clients, ..Settings::default() };
        let configuration = json!({
            "external_url": origin,
            "cluster": "idp",
            "providers": [{
                "issuer": format!("http://127.0.0.1:{}", provider.port),
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "scopes": ["openid", "email", "profile", "groups"],
            }],
            "session": {"keys": [SESSION_KEY]},
            "rules": [{"prefix": "/public", "access": "public"}],
        });
        let mut plan = Plan { provider, setup: setup.configuration(configuration), origin: origin.clone() };
        change(&mut plan);
        let provider = Provider::with(&plan.provider);
        let envoy = Envoy::start(plan.setup);
        Self { provider, app, envoy, origin }
    }

    /// The external URL, with this path and query.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The URL of a public page of the app that holds this HTML.
    #[must_use]
    pub fn public_page(&self, html: &str) -> String {
        self.url(&format!("/public/page?html={}", encoded(html)))
    }

    /// # Panics
    /// If this step of a walk did not end at the provider.
    #[track_caller]
    pub fn assert_at_provider(&self, seen: &Value) {
        assert_eq!(text(seen, "origin"), self.provider.issuer(), "{seen:#}\n{}", self.envoy.log());
    }

    /// Waits until every worker has the metadata of its providers.
    pub fn until_ready(&self) {
        until_everywhere("a provider that is known", || {
            UserAgent::default().get(&self.url("/oauth2/health")).text().contains(READY)
        });
    }

    /// Asks for a page without a session and signs in with the provider's form. Returns where that ended.
    ///
    /// # Panics
    /// If there is no form.
    #[must_use]
    pub fn sign_in(&self, browser: &UserAgent, path: &str) -> (String, Response) {
        self.sign_in_as(ALICE, browser, path)
    }

    /// Like [`Self::sign_in`], as this user.
    ///
    /// # Panics
    /// If there is no form.
    #[must_use]
    pub fn sign_in_as(&self, user: (&str, &str), browser: &UserAgent, path: &str) -> (String, Response) {
        sign_in(browser, &self.url(path), user, &|| self.envoy.log())
    }

    /// Signs in from a page, which the app then serves. `what` is for the message where it does not.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    #[must_use]
    pub fn signs_in(&self, what: &str) -> UserAgent {
        let browser = UserAgent::default();
        let (at, page) = self.sign_in(&browser, "/page");
        let log = || format!("{what}: {at} {page:?}\n{}\n{}", self.envoy.log(), self.provider.log());
        assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{}", log());
        browser
    }

    /// Follows a sign-out, and confirms it on the provider's page if there is one. Returns where that ended.
    ///
    /// # Panics
    /// If the provider refuses the confirmation.
    #[must_use]
    pub fn sign_out(&self, browser: &UserAgent, url: &str) -> (String, Response) {
        let (at, page) = last(browser.follow(url));
        let Some(mut form) = Form::first(&page.text()).filter(|_| at.starts_with(self.provider.issuer())) else {
            return (at, page);
        };
        // Without a session, the form of the provider's page has the confirmation already, and a script sends it.
        if !form.fields.iter().any(|(name, _)| name == "logout") {
            form.fields.push(("logout".to_owned(), "yes".to_owned()));
        }
        let (to, send) = form.post(&at);
        let answer = browser.visit(&to, send);
        let next = answer.location().unwrap_or_else(|| panic!("the provider does not take the form: {answer:?}"));
        last(browser.follow(&next))
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

/// Asks for a page without a session and signs in with the form of the real provider. Returns where that ended.
///
/// # Panics
/// If there is no form, with the log.
#[must_use]
pub fn sign_in(
    browser: &UserAgent,
    url: &str,
    (user, password): (&str, &str),
    log: &dyn Fn() -> String,
) -> (String, Response) {
    let (form, page) = last(browser.follow(url));
    assert!(page.text().contains("name=\"password\""), "{form}: {page:?}\n{}", log());
    let send = Outgoing::form(Url::parse(&form).expect("a URL").path(), &[("login", user), ("password", password)]);
    let answer = browser.visit(&form, send);
    let next = answer.location().unwrap_or_else(|| panic!("the provider does not take the form: {answer:?}"));
    let next = Url::parse(&form).and_then(|form| form.join(&next)).expect("a Location that is a URL");
    last(browser.follow(next.as_str()))
}

fn last(mut steps: Vec<(String, Response)>) -> (String, Response) {
    steps.pop().expect("at least one step")
}
