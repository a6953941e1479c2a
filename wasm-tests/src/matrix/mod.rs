//! The matrix of providers: for each row the same complete sign-in of a user through the real Envoy. The page on providers
//! has the table of these rows.

mod rows;
mod running;

use serde_json::{Value, json};

use crate::{
    clock::Clock,
    envoy::{Envoy, Setup},
    http1::Response,
    upstream::{MARK, Upstream},
    user_agent::UserAgent,
    world::{PUBLIC, SESSION_KEY},
};
pub use rows::ROWS;
pub use running::RunningProvider;

/// A page that a rule opens to users with an email address at example.com.
pub const MAIL: &str = "/mail";
/// The most pages of a provider on the way to the app.
const MAX_PAGES: usize = 5;

/// A provider of the matrix.
pub struct Row {
    /// The provider: the heading of its section in `envoy/docs/providers.md`.
    pub provider: &'static str,
    /// The preset, or the field that names a provider without one.
    pub settings: &'static str,
    /// The server that it is tested with.
    pub tested_with: TestedWith,
    /// Starts it for the app at this origin.
    start: fn(&str) -> Box<dyn RunningProvider>,
    /// The user's `sub`, where the provider does not draw it at random.
    sub: Option<&'static str>,
    /// The email address that the app receives.
    email: Option<&'static str>,
    /// Whether the provider says that it has verified the address, so that conditions on addresses hold.
    email_counts: bool,
    /// Whether and when a session is renewed.
    renewal: Renewal,
    /// The sessions that a sign-out ends.
    sign_out: SignOut,
}

/// The server that a provider is tested with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestedWith {
    /// The provider itself, in this version.
    Product(&'static str),
    /// The provider itself, in `make providers` alone.
    ProductInProviders(&'static str),
    /// An emulator of an independent project.
    Emulator,
    /// A server of ours that answers as this page of the provider's documentation says.
    OwnServer(&'static str),
}

/// Whether a session is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    /// After this many seconds, in the last fifth of the access token's life.
    After(i64),
    /// Never: the provider offers none.
    NotOffered,
    /// Not tested: the server in its place does not renew.
    NotTested,
}

/// The sessions that a sign-out ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignOut {
    /// The one at the app and the one at the provider.
    AtBoth,
    /// The one at the app.
    AtApp,
}

impl Row {
    /// Its line in the table on the page on providers.
    #[must_use]
    pub fn line(&self) -> String {
        let anchor: String = self.provider.to_lowercase().replace(' ', "-");
        let anchor: String = anchor.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
        let tested_with = match self.tested_with {
            TestedWith::Product(version) => format!("the product, {version}"),
            TestedWith::ProductInProviders(version) => format!("the product, {version} (`make providers`)"),
            TestedWith::Emulator => "an emulator".to_owned(),
            TestedWith::OwnServer(documentation) => {
                format!("a server of ours, by the provider's [documentation]({documentation})")
            }
        };
        let renewal = match self.renewal {
            Renewal::After(_) => "yes",
            Renewal::NotOffered => "not offered",
            Renewal::NotTested => "not tested",
        };
        let sign_out = match self.sign_out {
            SignOut::AtBoth => "app and provider",
            SignOut::AtApp => "app",
        };
        let email = match (self.email, self.email_counts) {
            (Some(_), true) => "verified",
            (Some(_), false) => "not verified",
            (None, _) => "none",
        };
        format!(
            "| [{}](#{anchor}) | `{}` | {tested_with} | {email} | {renewal} | {sign_out} |",
            self.provider, self.settings
        )
    }
}

/// Runs the row with this name: sign-in from a page, identity at the app, renewal, sign-out.
///
/// # Panics
/// If one of the steps goes wrong.
pub fn run(provider: &str) {
    let row = named(provider);
    let bed = TestBed::start(row);
    let browser = UserAgent::default();
    bed.sign_in(&browser);
    bed.assert_identity(row);
    bed.assert_address(row, &browser);
    bed.renew(row, &browser);
    bed.sign_out(row, &browser);
    bed.assert_log();
}

/// The page that a mistake in the configuration ends in.
#[derive(Debug)]
pub struct Outcome {
    /// Its URL.
    pub at: String,
    /// The page.
    pub page: Response,
    /// The lines of Envoy's log since the change of the configuration.
    pub log: String,
}

/// A provider of the matrix, with Envoy before the app. The filter's configuration gets one mistake after the other.
pub struct Mistakes(TestBed);

impl Mistakes {
    /// Starts the provider of this row, without a mistake.
    #[must_use]
    pub fn at(provider: &str) -> Self {
        Self(TestBed::start(named(provider)))
    }

    /// Opens a page with a mistake in this row's element of `providers`. The app sees nothing of it, and
    /// the worker then serves a public page.
    ///
    /// # Panics
    /// If the app sees something, or the public page is not served.
    #[must_use]
    pub fn open(&self, page: &str, mistake: impl FnOnce(&mut Value)) -> Outcome {
        let Self(bed) = self;
        let (log, seen) = (bed.envoy.log().len(), bed.app.count());
        assert!(bed.reload(mistake), "{}", bed.logs());
        let (at, page) = bed.walk(&UserAgent::default(), &bed.url(page)).pop().expect("a step");
        bed.app.assert_saw_nothing_since(seen, "a mistake in the configuration");
        bed.assert_serves();
        Outcome { at, page, log: bed.envoy.log().split_off(log) }
    }

    /// Makes a mistake in this row's element of `providers`, which Envoy refuses, and returns the log. The worker keeps its configuration.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn refused(&self, mistake: impl FnOnce(&mut Value)) -> String {
        let Self(bed) = self;
        let log = bed.envoy.log().len();
        assert!(!bed.reload(mistake), "{}", bed.logs());
        bed.assert_serves();
        bed.envoy.log().split_off(log)
    }
}

fn named(provider: &str) -> &'static Row {
    ROWS.iter().find(|row| row.provider == provider).expect("a row with this name")
}

fn configuration(setup: &Setup, running: &dyn RunningProvider, change: impl FnOnce(&mut Value)) -> Value {
    let mut provider = running.provider();
    // Longer than a busy machine keeps a provider from its answer.
    provider["timeout_ms"] = json!(10_000);
    change(&mut provider);
    json!({
        "external_url": setup.external_url(),
        "cluster": "idp",
        "allow_on_headers_stop_iteration": true,
        "providers": [provider],
        "session": {"keys": [SESSION_KEY], "lifetime_seconds": 86_400},
        "rules": [
            {"prefix": "/mail", "access": "required", "allow": {"allowed_domains": ["example.com"]}},
            {"prefix": "/public", "access": "public"},
        ],
    })
}

/// The app behind the filter, with one provider.
struct TestBed {
    running: Box<dyn RunningProvider>,
    app: Upstream,
    envoy: Envoy,
    clock: Clock,
    origin: String,
    setup: Setup,
}

impl TestBed {
    fn start(row: &Row) -> Self {
        let (app, clock) = (Upstream::start(), Clock::new());
        let mut setup = Setup::new(app.port()).clock(&clock).workers(1);
        setup.bodies_while_headers_are_held = true;
        setup.reloads = true;
        let origin = setup.external_url();
        let running = (row.start)(&origin);
        let configuration = configuration(&setup, &*running, |_| {});
        let setup = setup.configuration(configuration);
        Self { running, app, envoy: Envoy::start(setup.clone()), clock, origin, setup }
    }

    /// Changes the provider in the configuration; `false` where Envoy refuses that.
    fn reload(&self, change: impl FnOnce(&mut Value)) -> bool {
        let configuration = configuration(&self.setup, &*self.running, change);
        self.envoy.reload(&self.setup.clone().configuration(configuration))
    }

    /// A public page is served, and the log is as it should be.
    fn assert_serves(&self) {
        let public = UserAgent::default().get(&self.url(PUBLIC));
        assert!(public.headers.has(MARK), "{public:?}\n{}", self.logs());
        self.assert_log();
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn logs(&self) -> String {
        format!("{}\n{}", self.envoy.log(), self.running.log())
    }

    /// Opens a URL, and fills in the provider's pages as a user does. Returns each step, the last one at the app.
    #[track_caller]
    fn walk(&self, browser: &UserAgent, url: &str) -> Vec<(String, Response)> {
        let mut steps = browser.follow(url);
        for _ in 0..MAX_PAGES {
            let (at, _) = steps.last().expect("a step");
            if at.starts_with(&self.origin) {
                return steps;
            }
            let Some(next) = self.running.answer(browser, &steps) else { return steps };
            steps.extend(browser.follow(&next));
        }
        panic!("no way back to the app: {:#?}\n{}", steps.last(), self.logs());
    }

    /// A page without a session leads to the provider, and back to the page.
    fn sign_in(&self, browser: &UserAgent) {
        let page = self.url("/page?a=1");
        let mut steps = self.walk(browser, &page);
        assert_eq!(steps[0].1.code().as_deref(), Some("sign_in_started"), "{steps:#?}\n{}", self.logs());
        let (at, response) = steps.pop().expect("a step");
        assert_eq!((at, response.headers.has(MARK)), (page, true), "{response:?}\n{}", self.logs());
        assert_eq!(self.app.count(), 1, "the app saw one request, that of the user");
    }

    fn assert_identity(&self, row: &Row) {
        let seen = self.app.last().headers;
        let sub = seen.text("x-forwarded-user");
        assert!(sub.as_ref().is_some_and(|sub| !sub.is_empty()), "{seen:?}");
        if row.sub.is_some() {
            assert_eq!(sub.as_deref(), row.sub);
        }
        assert_eq!(seen.text("x-forwarded-email").as_deref(), row.email);
    }

    /// A rule on addresses lets the user pass if the provider has verified the address.
    fn assert_address(&self, row: &Row, browser: &UserAgent) {
        let before = self.app.count();
        let answer = browser.get(&self.url(MAIL));
        if row.email_counts {
            assert!(answer.headers.has(MARK), "{answer:?}\n{}", self.logs());
        } else {
            assert_eq!((answer.status, answer.code().as_deref()), (403, Some("not_allowed")), "{answer:?}");
            self.app.assert_saw_nothing_since(before, "an address that is not verified");
        }
    }

    /// Near the end of the access token the session is renewed, and the user is not asked.
    fn renew(&self, row: &Row, browser: &UserAgent) {
        let Renewal::After(seconds) = row.renewal else { return };
        let before = self.app.last().headers;
        self.clock.set(seconds);
        let answer = browser.get(&self.url("/page"));
        assert!(answer.headers.has(MARK), "{answer:?}\n{}", self.logs());
        let counts = ["renewed", "renewal_failed"].map(|name| self.envoy.metric(name));
        assert_eq!(counts, [1, 0], "{}", self.logs());
        let after = self.app.last().headers;
        for header in ["x-forwarded-user", "x-forwarded-email"] {
            assert_eq!(before.text(header), after.text(header), "{header}");
        }
    }

    /// After a sign-out the app sees nothing, and the next page leads to the provider; to its form, if it has ended its
    /// session too.
    fn sign_out(&self, row: &Row, browser: &UserAgent) {
        let steps = self.walk(browser, &self.url("/oauth2/sign_out"));
        let (first, last) = (&steps[0].1, steps.last().expect("a step"));
        match row.sign_out {
            SignOut::AtBoth => {
                let to = first.location().unwrap_or_else(|| panic!("{first:?}\n{}", self.logs()));
                assert!(!to.starts_with(&self.origin), "{to}");
            }
            SignOut::AtApp => assert_eq!((first.status, first.code().as_deref()), (200, Some("signed_out"))),
        }
        assert!(last.1.status < 400, "{steps:#?}\n{}", self.logs());
        let before = self.app.count();
        let again = browser.get(&self.url("/page"));
        assert_eq!((again.status, again.code().as_deref()), (302, Some("sign_in_started")), "{again:?}");
        self.app.assert_saw_nothing_since(before, "signed out");
        let to = again.location().expect("a way to the provider");
        assert!(!to.starts_with(&self.origin), "{to}");
        if row.sign_out == SignOut::AtBoth && self.running.keeps_sessions() {
            let (at, page) = browser.follow(&to).pop().expect("a page");
            assert!(!at.starts_with(&self.origin), "the provider signs in without a word: {at} {page:?}");
            self.app.assert_saw_nothing_since(before, "signed out at the provider");
        }
    }

    fn assert_log(&self) {
        let log = self.envoy.log();
        for word in ["panicked", "Function: proxy_on", "canary-", SESSION_KEY] {
            assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
        }
    }
}
