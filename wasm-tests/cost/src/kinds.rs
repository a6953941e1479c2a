//! The kinds of request whose cost is counted.

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use wasm_tests::{
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    store::Store,
    tools::progress,
    user_directory::{CLUSTER, UserDirectory},
};

use crate::{
    browser::{Browser, image, page_load},
    filter::{APP, Cost, Filter, Linked, Outcome},
    host::Host,
};

/// Requests before those that are counted: caches are filled and memory has grown.
const WARM_UP: u32 = 100;
const REQUESTS: u32 = 200;
/// Sessions in turn: far more than a worker keeps open.
const SESSIONS: u32 = 2_000;
/// The audience of the access tokens.
const API: &str = "https://api.example.com";

/// One line of the table.
pub struct Row {
    pub name: &'static str,
    pub requests: u32,
    pub cost: Cost,
}

/// The expected outcome.
#[derive(Clone, Copy)]
enum Expect {
    Forwarded,
    Replied(u16),
}

/// What the rows are measured with.
struct Bench<'a> {
    linked: &'a Linked,
    issuer: Issuer,
    rows: Vec<Row>,
}

pub fn all(linked: &Linked) -> Vec<Row> {
    let mut bench = Bench { linked, issuer: Issuer::start(), rows: Vec::new() };
    progress("requests with and without a session");
    bench.usual();
    progress("1,000 rules");
    bench.many_rules();
    progress("every optional setting");
    bench.every_setting();
    progress("a session store");
    bench.stored();
    progress("provisioning");
    bench.provisioned();
    progress("tokens for the app");
    bench.exchanged();
    progress("several hosts");
    bench.several_hosts();
    progress("rules with more to check");
    bench.guarded();
    progress("2,000 sessions");
    bench.many_sessions();
    bench.rows
}

impl Bench<'_> {
    fn usual(&mut self) {
        let mut filter = self.filter(&json!({}), &[]);
        let browser = Browser::signed_in(&mut filter, &self.issuer);
        self.row("public path", &mut filter, &page_load("/public/page"), Expect::Forwarded);
        self.session("session", &mut filter, &browser);
        self.session("session, 10 other cookies", &mut filter, &browser.with_other_cookies(10, 32));
        self.session("session, 40 other cookies", &mut filter, &browser.with_other_cookies(40, 32));
        let bearing = |token: &str| format!("Bearer {token}");
        let token = bearing(&self.issuer.access_token(API, |_| {}));
        let with = |token| [page_load("/page"), vec![("authorization", token)]].concat();
        self.row("access token seen before", &mut filter, &with(&token), Expect::Forwarded);
        let tokens: Vec<_> = (0..WARM_UP + REQUESTS).map(|_| bearing(&self.issuer.access_token(API, |_| {}))).collect();
        self.row_of("access token never seen", &mut filter, &mut |number| with(&tokens[number as usize]));
        let cookie = browser.cookie();
        let refused = [page_load("/staff/page"), vec![("cookie", &cookie)]].concat();
        self.row("session that a rule refuses", &mut filter, &refused, Expect::Replied(403));
        self.row("image without a session", &mut filter, &image("/page.png"), Expect::Replied(401));
        self.row("page without a session", &mut filter, &page_load("/page"), Expect::Replied(302));
        let cost = filter.measure(|filter| (0..REQUESTS).for_each(|_| filter.tick()));
        self.rows.push(Row { name: "tick", requests: REQUESTS, cost });
        self.sign_ins("sign-in, from its start to the session", &mut filter);
    }

    fn provisioned(&mut self) {
        let directory = UserDirectory::start();
        let settings = json!({
            "provisioning": directory.settings(),
            "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Plan": "/attributes/plan"},
        });
        let mut filter = self.filter(&settings, &[(CLUSTER, directory.port())]);
        let browser = Browser::signed_in(&mut filter, &self.issuer);
        self.session("session with attributes of the app", &mut filter, &browser);
        self.sign_ins("sign-in, with provisioning", &mut filter);
    }

    fn exchanged(&mut self) {
        let token = json!({"header": "X-Access-Token", "exchange": {"audience": "orders"}});
        let rules: Vec<_> =
            rules().into_iter().chain([json!({"path": "/*", "access": "required", "upstream_token": token})]).collect();
        let mut filter = self.filter(&json!({ "rules": rules }), &[]);
        let browser = Browser::signed_in(&mut filter, &self.issuer);
        let exchanges = self.issuer.exchanges();
        self.session("session with a token in exchange", &mut filter, &browser);
        assert_eq!(self.issuer.exchanges(), exchanges + 1, "it is exchanged once");
    }

    fn several_hosts(&mut self) {
        let others = (1..10).map(|number| format!("https://host-{number}.example.com"));
        let urls: Vec<_> = [format!("https://{APP}")].into_iter().chain(others).collect();
        let mut filter = self.filter(&json!({ "external_url": urls }), &[]);
        let browser = Browser::signed_in(&mut filter, &self.issuer);
        self.session("session, ten hosts", &mut filter, &browser);
    }

    fn guarded(&mut self) {
        let of = |name: &str, value: Value| {
            let mut rule = json!({"path": "/page", "access": "required"});
            rule[name] = value;
            rules().into_iter().chain([rule, json!({"path": "/*", "access": "deny"})]).collect::<Vec<_>>()
        };
        for (name, rules) in [
            ("session, rule for a network", of("networks", json!(["192.0.2.0/24"]))),
            ("session, rule with step_up", of("step_up", json!({"max_age_seconds": 86400}))),
        ] {
            let mut filter = self.filter(&json!({ "rules": rules }), &[]);
            let browser = Browser::signed_in(&mut filter, &self.issuer);
            self.session(name, &mut filter, &browser);
        }
    }

    fn sign_ins(&mut self, name: &'static str, filter: &mut Filter) {
        let cost = filter.measure(|filter| {
            for _ in 0..REQUESTS {
                Browser::signed_in(filter, &self.issuer);
            }
        });
        self.rows.push(Row { name, requests: REQUESTS, cost });
    }

    fn many_rules(&mut self) {
        let area = |number| json!({"prefix": format!("/area/{number}"), "access": "public"});
        let rules: Vec<_> = (0..1000).map(area).chain(rules()).collect();
        let mut filter = self.filter(&json!({ "rules": rules }), &[]);
        let browser = Browser::signed_in(&mut filter, &self.issuer);
        self.row("public path, 1,000 rules", &mut filter, &page_load("/public/page"), Expect::Forwarded);
        self.session("session, 1,000 rules", &mut filter, &browser);
    }

    fn every_setting(&mut self) {
        let settings = json!({
            "route_metadata": true,
            "policies": {"staff": {"access": "required", "allow": {"groups": ["staff"]}}},
            "identity_headers": {
                "X-Forwarded-User": "sub", "X-Forwarded-Email": "email", "X-Forwarded-Groups": "groups",
                "X-Forwarded-Preferred-Username": "preferred_username", "X-Issuer": "iss",
                "X-Name": {"template": "{name} <{email}>", "encoding": "percent"},
            },
            "filter_state": {"claims": {"email": "email"}, "rule": true},
            "authorization": "access_token",
            "token_cookie": "api_token",
            "userinfo_claims": ["email", "groups"],
            "internal_redirects": true,
            "allow_on_headers_stop_iteration": true,
            "sign_in": {"keep_fragment": true, "keep_forms": true},
            "sign_out": {"back_channel": true, "front_channel": true, "revoke": true},
            "session": {"keys": [key()], "idle_timeout_seconds": 3600},
        });
        let mut filter = self.filter(&settings, &[]);
        let browser = Browser::signed_in(&mut filter, &self.issuer);
        self.session("session, every optional setting", &mut filter, &browser);
    }

    fn stored(&mut self) {
        let store = Store::start();
        for (name, seconds) in [("session in Redis", 0), ("session in Redis, kept for a minute", 60)] {
            let session = json!({"keys": [key()], "store": {"cluster": "webdis", "cache_seconds": seconds}});
            let mut filter = self.filter(&json!({ "session": session }), &[("webdis", store.port())]);
            let browser = Browser::signed_in(&mut filter, &self.issuer);
            self.session(name, &mut filter, &browser);
        }
    }

    fn many_sessions(&mut self) {
        let mut filter = self.filter(&json!({}), &[]);
        let cookies: Vec<_> = (0..SESSIONS).map(|_| Browser::signed_in(&mut filter, &self.issuer).cookie()).collect();
        let send_all = |filter: &mut Filter| {
            for cookie in &cookies {
                let headers = [page_load("/page"), vec![("cookie", cookie)]].concat();
                expect(&filter.send(&headers), Expect::Forwarded);
            }
        };
        send_all(&mut filter);
        let cost = filter.measure(send_all);
        self.rows.push(Row { name: "2,000 sessions in turn", requests: SESSIONS, cost });
    }

    fn session(&mut self, name: &'static str, filter: &mut Filter, browser: &Browser) {
        let cookie = browser.cookie();
        self.row(name, filter, &[page_load("/page"), vec![("cookie", &cookie)]].concat(), Expect::Forwarded);
    }

    fn row(&mut self, name: &'static str, filter: &mut Filter, headers: &[(&str, &str)], outcome: Expect) {
        let run = |filter: &mut Filter, count| (0..count).for_each(|_| expect(&filter.send(headers), outcome));
        run(filter, WARM_UP);
        let cost = filter.measure(|filter| run(filter, REQUESTS));
        self.rows.push(Row { name, requests: REQUESTS, cost });
    }

    /// A row of requests that differ.
    fn row_of<'a>(
        &mut self,
        name: &'static str,
        filter: &mut Filter,
        headers: &mut dyn FnMut(u32) -> Vec<(&'static str, &'a str)>,
    ) {
        let mut run = |filter: &mut Filter, numbers: std::ops::Range<u32>| {
            numbers.for_each(|number| expect(&filter.send(&headers(number)), Expect::Forwarded));
        };
        run(filter, 0..WARM_UP);
        let cost = filter.measure(|filter| run(filter, WARM_UP..WARM_UP + REQUESTS));
        self.rows.push(Row { name, requests: REQUESTS, cost });
    }

    /// A filter with these settings in place of the usual ones, and clusters beside the provider's.
    fn filter(&self, settings: &Value, clusters: &[(&str, u16)]) -> Filter {
        let mut document = json!({
            "external_url": format!("https://{APP}"),
            "cluster": "idp",
            "providers": [{
                "issuer": self.issuer.url(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
                "access_token_audiences": [API],
            }],
            "session": {"keys": [key()]},
            "rules": rules(),
        });
        for (name, value) in settings.as_object().expect("an object") {
            document[name] = value.clone();
        }
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let clusters = [("idp", self.issuer.port())].into_iter().chain(clusters.iter().copied());
        let clusters = clusters.map(|(name, port)| (name.to_owned(), local(port)));
        let mut host = Host::default();
        host.set_clock();
        host.clusters = clusters.collect();
        host.properties.insert(b"source\0address".to_vec(), b"192.0.2.7:4711".to_vec());
        Filter::start(self.linked, host, &document)
    }
}

fn key() -> String {
    STANDARD.encode(b"a key to measure with, 32 bytes.")
}

/// Ten rules.
fn rules() -> Vec<Value> {
    let area = |number| json!({"path": format!("/app/{number}/*"), "access": "required"});
    let rest = [
        json!({"path": "/public/*", "access": "public"}),
        json!({"path": "/staff/*", "access": "required", "allow": {"groups": ["nobody"]}}),
    ];
    (0..8).map(area).chain(rest).collect()
}

fn expect(outcome: &Outcome, expected: Expect) {
    match (outcome, expected) {
        (Outcome::Forwarded, Expect::Forwarded) => {}
        (Outcome::Replied(response), Expect::Replied(status)) if response.status == status => {}
        (outcome, _) => panic!("{outcome:?}"),
    }
}
