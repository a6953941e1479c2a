//! A site that is configured by a file of `envoy/`, before a real provider.

use std::ops::Deref;

use serde_json::{Value, json};

use super::Sample;
use crate::{
    envoy::Envoy,
    http1::Response,
    ports,
    provider::Settings,
    site::{CLIENT_SECRET, Plan, Site},
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
};

/// The site. It has one worker, so that the request after a refusal comes to the worker that refused.
pub struct InUse {
    site: Site,
    public: &'static str,
}

impl Deref for InUse {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl InUse {
    /// Starts the file, which names this issuer and makes this path public.
    #[must_use]
    pub fn start(file: &str, issuer: &str, public: &'static str, change: impl FnOnce(&mut Plan, &mut Sample)) -> Self {
        Self::start_with(file, issuer, public, |plan, sample| {
            sample.trust_the_doors();
            change(plan, sample);
        })
    }

    /// Like [`Self::start`], but no certificate of a TLS proxy is trusted unless `change` adds it.
    #[must_use]
    pub fn start_with(
        file: &str,
        issuer: &str,
        public: &'static str,
        change: impl FnOnce(&mut Plan, &mut Sample),
    ) -> Self {
        let site = Site::with(|plan| {
            plan.setup.workers = 1;
            let mut sample = Sample::of(file, &plan.setup);
            plan.provider.host = "localhost";
            sample.provider(issuer, &mut plan.provider);
            plan.provider.clients[0]["client_id"] = json!("my-client");
            if sample.names("OIDC_CLIENT_SECRET") {
                sample.secret("OIDC_CLIENT_SECRET", CLIENT_SECRET);
            }
            change(plan, &mut sample);
            plan.setup.sample = Some(sample);
        });
        Self { site, public }
    }

    /// A browser that has signed in as this user on the way to this page, and sees the page.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    #[track_caller]
    pub fn signed_in(&self, user: (&str, &str), path: &str) -> UserAgent {
        let browser = UserAgent::default();
        let (_, page) = self.sign_in_as(user, &browser, path);
        assert_passes(&page, &self.envoy);
        browser
    }

    /// The values of these headers that the app receives with a request, which must reach it.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn received_headers<const N: usize>(
        &self,
        browser: &UserAgent,
        send: Outgoing,
        names: [&str; N],
    ) -> [Option<String>; N] {
        let what = String::from_utf8_lossy(&send.target).into_owned();
        assert_passes(&browser.visit(&self.url(&what), send), &self.envoy);
        names.map(|name| self.app.last().headers.text(name))
    }

    /// Checks that a request is refused, by the filter with this code or by something behind it without a code, that
    /// the app does not see it, and that the worker serves the next one.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn assert_refused(&self, browser: &UserAgent, send: Outgoing, expected: (u16, Option<&str>)) -> Response {
        let what = String::from_utf8_lossy(&send.target).into_owned();
        let before = self.app.count();
        let response = browser.visit(&self.url(&what), send);
        let log = self.envoy.log();
        assert_eq!((response.status, response.code().as_deref()), expected, "{what}: {response:?}\n{log}");
        self.app.assert_saw_nothing_since(before, &what);
        let next = UserAgent::default().fetch(&self.url(self.public));
        assert_eq!(next.status, 200, "after {what}: {next:?}");
        response
    }

    /// Checks that this user signs in at the provider and is refused at this page.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn assert_sign_in_refused(&self, user: (&str, &str), path: &str, expected: (u16, Option<&str>)) -> UserAgent {
        let (browser, before) = (UserAgent::default(), self.app.count());
        let (_, page) = self.sign_in_as(user, &browser, path);
        assert_eq!((page.status, page.code().as_deref()), expected, "{page:?}\n{}", self.envoy.log());
        self.app.assert_saw_nothing_since(before, path);
        browser
    }
}

/// Checks that the app has answered.
///
/// # Panics
/// When it has not.
#[track_caller]
pub fn assert_passes(response: &Response, envoy: &Envoy) {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", envoy.log());
}

/// Adds a user in these groups, with a verified address at example.com.
pub fn add_user(users: &mut Value, (name, password): (&str, &str), groups: &[&str]) {
    let claims = json!({"email": format!("{name}@example.com"), "email_verified": true, "groups": groups});
    users[name] = json!({"password": password, "claims": claims});
}

impl Sample {
    /// Puts a provider, which is about to start, behind a door and in place of this issuer.
    #[track_caller]
    pub fn provider(&mut self, issuer: &str, settings: &mut Settings) {
        let listen = ports::free();
        (settings.port, settings.listen) = (self.door(listen), Some(listen));
        self.put(issuer, &format!("http://{}:{}", settings.host, settings.port));
    }
}
