//! Everything a scenario needs, started by one call: the issuers, the app, Envoy with the filter between them. What holds
//! after every scenario is checked when its world is dropped.

mod expect;
mod fleet;
mod parameters;

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use serde_json::{Value, json};
use url::Url;

pub use crate::cookies::{DOMAIN_COOKIE, LOGIN_LOOP_COOKIE, PENDING_COOKIE, SESSION_COOKIE, is_session_cookie};
use crate::{
    clock::Clock,
    cookies::is_our_cookie,
    envoy::{Envoy, READY, Setup},
    http1::{Answering, Connection, Response},
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    process::{until, until_everywhere},
    upstream::{MARK, Upstream},
    user_agent::{Exchange, Outgoing, Transcript, UserAgent, connect},
};
pub use expect::{
    SignIn, access, assert_page, assert_refused, assert_sign_in, assert_sign_in_at, assert_signed_in,
    assert_unauthenticated, callback_at_once, deleted_cookies, kept_cookies, seen_as, signed_in_at_once,
};
use fleet::Replica;
pub use parameters::{Parameters, add_parameter, changed, parameter, parameters, set_parameter};

/// The session key; no log and no reply may hold it.
pub const SESSION_KEY: &str = "Y2FuYXJ5LXNlc3Npb24ta2V5LW9mLTMyLWJ5dGVzISE=";
/// Where the issuer pushes its security events.
pub const SECURITY_EVENTS: &str = "/oauth2/events";
/// Where the issuer sends its logout tokens.
pub const BACK_CHANNEL_LOGOUT: &str = "/oauth2/backchannel_logout";
/// A path that needs no sign-in.
pub const PUBLIC: &str = "/public/page";
/// The product in the `User-Agent` of every call of the filter.
pub const USER_AGENT: &str = "vestibule/";
/// So many connections miss a given one of two workers once in a thousand times.
const EVERY_WORKER: usize = 10;

/// The issuer, the app and Envoy between them.
pub struct World {
    /// Envoy with the filter.
    pub envoy: Envoy,
    /// The provider.
    pub issuer: Issuer,
    /// Another issuer, absent from the usual configuration.
    pub partners: Issuer,
    /// The app.
    pub upstream: Upstream,
    others: Vec<Replica>,
    /// The ports of Envoys that were removed.
    gone: Vec<u16>,
    clock: Clock,
    setup: Setup,
    transcript: Transcript,
    browsers: Mutex<Vec<UserAgent>>,
}

impl World {
    /// The usual configuration: everything under `/public` is public, everything else requires a session.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// The usual configuration with some changes.
    pub fn with(change: impl FnOnce(&mut Value)) -> Self {
        Self::around(Issuer::start(), |setup| change(&mut setup.configuration))
    }

    /// With this issuer, and changes to all of Envoy's set-up.
    pub fn around(issuer: Issuer, change: impl FnOnce(&mut Setup)) -> Self {
        Self::among(issuer, Issuer::another(), change)
    }

    /// With these issuers, and changes to all of Envoy's set-up.
    pub fn among(issuer: Issuer, partners: Issuer, change: impl FnOnce(&mut Setup)) -> Self {
        let upstream = Upstream::start();
        let clock = Clock::new();
        let mut setup = Setup::new(upstream.port()).clock(&clock);
        setup.configuration = document(setup.port, &issuer.url());
        change(&mut setup);
        let envoy = Envoy::start(setup.clone());
        let (transcript, browsers) = (Transcript::default(), Mutex::default());
        let (others, gone) = (Vec::new(), Vec::new());
        Self { envoy, issuer, partners, upstream, others, gone, clock, setup, transcript, browsers }
    }

    /// Moves the clock of Envoy and the issuers on by this many seconds. Timers do not notice.
    pub fn advance(&self, seconds: i64) {
        self.set_clock(self.clock.seconds() + seconds);
    }

    /// Stops Envoy's clock, which [`Self::advance`] alone moves from now on: holds and caches end when the scenario
    /// says so. Timers go on all the same.
    pub fn stop_clock(&self) {
        self.clock.stop();
    }

    /// Lets Envoy's clock go on.
    pub fn let_clock_go_on(&self) {
        self.clock.go_on();
    }

    /// Puts the clock of Envoy and the issuers this many seconds ahead of the machine's.
    pub fn set_clock(&self, seconds: i64) {
        self.clock.set(seconds);
        self.issuer.set_clock(seconds);
        self.partners.set_clock(seconds);
    }

    /// Ends Envoy and starts another on the same port, with a changed configuration; every Envoy, if there are several.
    pub fn restart(&mut self, change: impl Fn(&mut Value)) {
        for number in 0..self.envoys().count() {
            self.restart_one(number, &change);
        }
    }

    /// Replaces the configuration of the first Envoy while it serves; its set-up says that it can be.
    ///
    /// # Panics
    /// When Envoy refuses the new one.
    pub fn reload(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.setup.configuration);
        assert!(self.envoy.reload(&self.setup), "{}", self.log());
    }

    /// The external URL, with this path and query.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.envoy.port())
    }

    /// A new browser.
    pub fn browser(&self) -> UserAgent {
        let browser = UserAgent::new(&self.transcript);
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner).push(browser.clone());
        browser
    }

    /// A new browser that has signed in, with the value of its session cookie; of the first, if there are several.
    pub fn signed_in(&self) -> (UserAgent, String) {
        let browser = self.browser();
        let callback = self.callback_url(&browser, "/");
        assert_signed_in(&browser.get(&callback), &self.url("/"));
        let session = browser.session_cookies().swap_remove(0).value;
        (browser, String::from_utf8(session).expect("a cookie of ASCII"))
    }

    /// Sends a logout token to the Envoy of this number, as a provider does.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn deliver_logout(&self, number: usize, token: &str) -> Response {
        let provider = UserAgent::new(&self.transcript);
        let url = self.url_at(number, BACK_CHANNEL_LOGOUT);
        provider.send(&url, &logout_request(token)).expect("an answer to the logout token")
    }

    /// The answer of this Envoy to a security event that the provider pushes.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn push_event(&self, number: usize, token: &str) -> Response {
        let provider = UserAgent::new(&self.transcript);
        let push = Outgoing::new("POST", SECURITY_EVENTS)
            .header("content-type", "application/secevent+jwt")
            .header("accept", "application/json")
            .body(token.as_bytes());
        provider.send(&self.url_at(number, SECURITY_EVENTS), &push).expect("an answer to the security event")
    }

    /// Asks for a path without a session, and checks that it begins a sign-in.
    #[track_caller]
    pub fn begin(&self, browser: &UserAgent, path: &str) -> SignIn {
        assert_sign_in(&browser.get(&self.url(path)), self)
    }

    /// Asks for a path, signs in at the provider, and returns the callback URL that the browser is sent to.
    #[track_caller]
    pub fn callback_url(&self, browser: &UserAgent, path: &str) -> String {
        let sign_in = self.begin(browser, path);
        self.answer(browser, &sign_in)
    }

    /// A sign-in of a new browser with changed callback parameters: the browser, and the answer to the callback.
    #[track_caller]
    pub fn callback_with(&self, change: impl FnOnce(&mut Parameters)) -> (UserAgent, Response) {
        let browser = self.browser();
        let callback = self.callback_url(&browser, "/page");
        let response = browser.get(&changed(&callback, change));
        (browser, response)
    }

    /// Signs in at the provider, and returns the callback URL that the browser is sent to.
    #[track_caller]
    pub fn answer(&self, browser: &UserAgent, sign_in: &SignIn) -> String {
        let response = browser.get(&sign_in.url);
        let location = response.location();
        location.unwrap_or_else(|| panic!("the issuer does not take {}: {}", sign_in.url, response.text()))
    }

    /// Envoy's log since it serves; of several, one after the other.
    pub fn log(&self) -> String {
        let serving = |log: String| log[log.find("starting main dispatch loop").unwrap_or(0)..].to_owned();
        self.envoys().map(|envoy| serving(envoy.log())).collect()
    }

    /// A metric of ours, summed over every Envoy.
    pub fn metric(&self, name: &str) -> u64 {
        self.envoys().map(|envoy| envoy.metric(name)).sum()
    }

    /// Waits until every worker has the metadata of its providers.
    pub fn until_ready(&self) {
        until_everywhere("metadata of the issuer", || {
            self.browser().get(&self.url("/oauth2/health")).text().contains(READY)
        });
    }

    /// Checks that the session of this browser is over in every worker, and that the app sees none of its requests.
    #[track_caller]
    pub fn assert_ended(&self, browser: &UserAgent, what: &str) {
        let before = self.upstream.count();
        for _ in 0..EVERY_WORKER {
            assert_unauthenticated(&browser.fetch(&self.url("/api")), what);
        }
        for _ in 0..EVERY_WORKER {
            assert_sign_in(&browser.get(&self.url("/page")), self);
        }
        self.upstream.assert_saw_nothing_since(before, what);
    }

    /// Checks that every worker still lets a public request pass and begins a sign-in.
    #[track_caller]
    pub fn assert_serves(&self) {
        let visitor = UserAgent::new(&self.transcript);
        for at in (0..self.envoys().count()).flat_map(|number| [number; EVERY_WORKER]) {
            let response = visitor.get(&self.url_at(at, PUBLIC));
            assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", self.log());
        }
    }

    /// Sends bytes that may get no answer. [`Self::check`] shows later that none passed the filter and every worker lives.
    #[track_caller]
    pub fn send(&self, send: &Outgoing) -> Option<Response> {
        UserAgent::new(&self.transcript).send(&self.url("/"), send).ok()
    }

    /// Sends these one after the other on one connection, so that one worker answers them all.
    ///
    /// # Panics
    /// When one has no answer.
    #[track_caller]
    pub fn in_a_row(&self, requests: &[Outgoing]) -> Vec<Response> {
        let url = Url::parse(&self.url("/")).expect("a URL");
        let mut connection = connect(&url).expect("a connection");
        let mut answer = |send: &Outgoing| {
            connection.send(&send.bytes(url.authority())).expect("a request that is taken");
            let answer = connection.read_response(Answering::Other);
            let response = answer.unwrap_or_else(|error| panic!("no answer to {send:?}: {error}"));
            let exchange = Exchange::of(send, self.envoy.port(), Some(response.clone()));
            self.transcript.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
            response
        };
        requests.iter().map(&mut answer).collect()
    }

    /// A connection that has sent this request, or the beginning of one.
    ///
    /// # Panics
    /// When the connection is refused.
    #[track_caller]
    pub fn begun(&self, send: &Outgoing) -> Connection {
        let url = Url::parse(&self.url("/")).expect("a URL");
        let mut connection = connect(&url).expect("a connection");
        connection.send(&send.bytes(url.authority())).expect("a head that is taken");
        connection
    }

    /// The number of requests that the first Envoy has not answered yet.
    pub fn held(&self) -> u64 {
        self.envoy.stats("http.front.downstream_rq_active")
    }

    /// Waits until there are this many.
    pub fn until_held(&self, count: u64) {
        until("requests that are held", || (self.held() == count).then_some(()));
    }

    /// The answer on a connection that has sent a request.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn read(&self, mut connection: Connection) -> Response {
        let response = connection.read_response(Answering::Other).expect("an answer");
        let (port, request) = (self.envoy.port(), "on a connection of its own".to_owned());
        let exchange = Exchange { port, request, is_framed: false, response: Some(response.clone()) };
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        response
    }

    /// Checks what holds after every scenario: live workers, no secret in logs or answers, no request past the filter.
    ///
    /// # Panics
    /// With the first thing that does not.
    pub fn check(&self) {
        self.assert_serves();
        let log = self.log();
        for word in ["panicked", " failed: ", "Function: proxy_on", "Uncaught", "critical"] {
            assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
        }
        let access_log: String = self.envoys().map(Envoy::access_log).collect();
        let transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let secrets = self.secrets();
        let cookies = self.cookie_values();
        for secret in secrets.iter().chain(&cookies) {
            for text in [&log, &access_log] {
                assert!(!text.contains(secret.as_str()), "{secret} stands in Envoy's log:\n{text}");
            }
        }
        let session = &self.setup.configuration["session"];
        let attributes = expect::Attributes {
            same_site: session["same_site"].as_str().unwrap_or("lax"),
            domain: session["cookie_domain"].as_str(),
        };
        let mut from_app = 0;
        let ports: Vec<u16> = self.envoys().map(Envoy::port).chain(self.gone.iter().copied()).collect();
        for exchange in transcript.iter().filter(|exchange| ports.contains(&exchange.port)) {
            let Some(response) = &exchange.response else { continue };
            if response.headers.has(MARK) {
                from_app += 1;
                expect::assert_our_cookies(response, attributes);
                continue;
            }
            if response.code().is_some() {
                expect::assert_our_reply(exchange, attributes);
            }
            expect::assert_holds_no_secret(exchange, &secrets, &[&self.issuer, &self.partners]);
        }
        let seen = self.upstream.count();
        // No client sees an answer to a redirect that Envoy follows itself.
        let manager = &self.setup.connection_manager;
        let follows = manager.values().any(|field| field.to_string().contains("internal_redirect_policy"));
        assert!(
            seen == from_app || follows && seen > from_app,
            "the app saw more than it answered:\n{:#?}",
            self.upstream.seen()
        );
        for browser in self.browsers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            assert_eq!(browser.jar().refused(), [], "a browser does not keep these");
        }
    }

    /// The secrets of the filter and the issuers.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = [self.issuer.secrets(), self.partners.secrets()].concat();
        secrets.push(SESSION_KEY.to_owned());
        secrets.push("canary-client-secret".to_owned());
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }

    /// The values of every cookie of ours that went out.
    fn cookie_values(&self) -> Vec<String> {
        let transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = |line: String| {
            let (name, rest) = line.split_once('=')?;
            let value = rest.split(';').next().unwrap_or_default();
            (is_our_cookie(name) && !value.is_empty()).then(|| value.to_owned())
        };
        transcript
            .iter()
            .filter_map(|exchange| exchange.response.as_ref())
            .flat_map(Response::set_cookies)
            .filter_map(ours)
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.check();
        }
    }
}

/// The request of a provider that delivers a logout token.
pub fn logout_request(token: &str) -> Outgoing {
    Outgoing::new("POST", BACK_CHANNEL_LOGOUT)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"))
}

/// The usual configuration document.
pub fn document(port: u16, issuer: &str) -> Value {
    json!({
        "external_url": format!("http://127.0.0.1:{port}"),
        "cluster": "idp",
        "providers": [{
            "issuer": issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            // Longer than a busy machine keeps an issuer of the tests from its answer.
            "timeout_ms": 10_000,
        }],
        "session": {"keys": [SESSION_KEY]},
        // For the access log.
        "filter_state": {"user": true},
        "rules": [{"prefix": "/public", "access": "public"}],
    })
}
