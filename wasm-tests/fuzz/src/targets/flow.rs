//! The whole flow: two workers of one process, a provider, an app that is asked about users and a browser, driven by requests,
//! answers and time. A request goes upstream only with a session, token or public path that the model knows.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    time::Duration,
};

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::{Value, json};
use url::Url;
use vestibule::{
    flow::{BodyError, Call, CalloutResult, Decision, Forward, Pending, Step, Worker, event::Reason},
    http::{CalloutError, CalloutRequest, CalloutResponse, HeaderEdit, LocalReply, Request},
    provisioning,
    time::UnixTime,
};

use crate::{
    fixture::{API, APP, CLIENT, Host, ISSUER, NOW, check_line, document, key_set, parse, sign},
    targets::{return_to, rule_path},
};

/// The hosts in browsers: the first alone, or each with a place of its own. The last one is none of ours.
const HOSTS: [&str; 5] =
    ["app.example.com", "two.example.com", "pr-7.preview.example.com", "auth.example.com", "other.example.com"];
/// The host of all sign-ins, where there is one.
const SIGN_IN_HOST: &str = HOSTS[3];
/// The lifetime of a session.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Rounds of answers to a waiting request before its client leaves.
const PATIENCE: usize = 12;
/// Clients inside and outside of the network for which [`OFFICE`] is public, and one without an address.
const CLIENTS: [Option<IpAddr>; 3] =
    [None, Some(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))), Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))];
/// The path of the rule with a network.
const OFFICE: &str = "/office";
/// The path of the rule that has requests carry a token in [`TOKEN_HEADER`], and no other.
const ORDERS: &str = "/orders";
const TOKEN_HEADER: &str = "x-orders-token";
const PATHS: [&str; 18] = [
    "/strong",
    "/",
    OFFICE,
    "/public/a",
    "/public/closed/a",
    "/oauth2/callback",
    "/oauth2/start?rd=/a",
    "/oauth2/start?rd=myapp%3A%2F%2Fsigned-in",
    "/oauth2/start?session=keep&rd=https%3A%2F%2Fwww.example.com%2Fa",
    "/oauth2/sign_out",
    "/oauth2/signed_out",
    "/oauth2/userinfo",
    "/oauth2/backchannel_logout",
    "/oauth2/frontchannel_logout?iss=https://idp.example.com&sid=s",
    "/oauth2/form",
    "/oauth2/events",
    "/oauth2",
    ORDERS,
];
const HEADERS: [(&str, &str); 16] = [
    ("accept", "text/html"),
    ("accept", "application/json"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-dest", "iframe"),
    ("origin", APP),
    ("origin", "https://evil.example"),
    ("access-control-request-method", "POST"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "application/secevent+jwt"),
    ("authorization", "Bearer x"),
    ("x-requested-with", "XMLHttpRequest"),
    (TOKEN_HEADER, "<forged>"),
];

pub(crate) fn run(bytes: &[u8]) {
    let mut world = World::new(bytes.first().copied().unwrap_or_default());
    let mut input = Unstructured::new(bytes);
    while !input.is_empty() && world.act(&mut input).is_ok() {}
}

/// How far a session reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The only host.
    App,
    /// Its own host, one of several.
    Host,
    /// All hosts below a domain, with one host for all sign-ins.
    Domain,
}

/// A session's cookie that was handed out.
#[derive(Clone)]
struct Handed {
    value: String,
    /// The time of the sign-in or refresh.
    written: UnixTime,
    /// The host at which it counts; `None` for all of ours.
    host: Option<&'static str>,
}

/// A callback to which the provider would send the browser.
#[derive(Clone)]
struct Callback {
    target: String,
    /// The nonce of its sign-in.
    nonce: String,
    /// The host of its redirect URI.
    host: String,
}

struct World {
    reach: Reach,
    /// Whether the app is shown in frames of other sites.
    is_embedded: bool,
    workers: [Rc<Worker>; 2],
    host: Host,
    now: UnixTime,
    jar: BTreeMap<String, String>,
    sessions: Vec<Handed>,
    /// Values of the session cookie that a sign-out or a logout has ended, and the worker that ended them.
    ended: Vec<(String, usize)>,
    callbacks: Vec<Callback>,
    /// Whether an ID token for a refresh, or one with the right nonce, was issued since the last request began.
    is_identified: bool,
    /// Whether the app has admitted a user since.
    is_admitted: bool,
    /// The nonce of the last callback, for the token endpoint.
    nonce: String,
}

impl World {
    fn new(choice: u8) -> Self {
        let is_embedded = choice % 2 == 1;
        let reach = [Reach::App, Reach::Host, Reach::App, Reach::Domain][usize::from(choice >> 6)];
        let mut document = document();
        if reach != Reach::App {
            document["external_url"] = json!([APP, "https://two.example.com", "https://*.preview.example.com"]);
        }
        if reach == Reach::Domain {
            document["session"]["cookie_domain"] = "example.com".into();
            document["sign_in"]["external_url"] = format!("https://{SIGN_IN_HOST}").into();
        }
        if is_embedded {
            document["session"]["same_site"] = "none".into();
            document["session"]["partitioned"] = true.into();
        }
        document["session"]["lifetime_seconds"] = LIFETIME.as_secs().into();
        document["session"]["refresh"] = true.into();
        document["allow_on_headers_stop_iteration"] = true.into();
        document["provisioning"] = json!({ "endpoint": "http://app.internal/provision", "secret": "hush" });
        document["userinfo_claims"] = json!(["attributes"]);
        document["token_issuers"] = json!([]);
        document["providers"][0]["security_events"] = json!({});
        document["sign_out"] = json!({ "back_channel": true, "front_channel": true, "revoke": true });
        if let Some(rules) = document["rules"].as_array_mut() {
            rules.push(json!({ "path": OFFICE, "networks": ["10.0.0.0/8"], "access": "public" }));
            let token = json!({ "header": TOKEN_HEADER, "value": "<{token}>", "exchange": { "audience": "orders" } });
            rules.push(json!({ "path": ORDERS, "access": "required", "upstream_token": token }));
        }
        let (config, host) = (parse(&document), Host::default());
        Self {
            reach,
            is_embedded,
            workers: std::array::from_fn(|_| Worker::new(config.clone(), Box::new(host.clone()))),
            host,
            now: NOW,
            jar: BTreeMap::new(),
            sessions: Vec::new(),
            ended: Vec::new(),
            callbacks: Vec::new(),
            is_identified: false,
            is_admitted: false,
            nonce: String::new(),
        }
    }

    fn act(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match u8::arbitrary(input)? % 8 {
            0 => self.now = self.now.plus(Duration::from_secs(u16::arbitrary(input)?.into())),
            1 => {
                let worker = usize::from(bool::arbitrary(input)?);
                self.drive(worker, input)?;
            }
            2 => {
                // A cookie of this browser under the name of another.
                let (from, to) =
                    (input.choose_index(self.jar.len().max(1))?, input.choose_index(self.jar.len().max(1))?);
                if let (Some(value), Some(slot)) = (self.jar.values().nth(from).cloned(), self.jar.values_mut().nth(to))
                {
                    *slot = value;
                }
            }
            3 => drop(self.jar.pop_first()),
            _ => self.request(input)?,
        }
        Ok(())
    }

    /// The hosts that a request may name.
    fn hosts(&self) -> &'static [&'static str] {
        if self.reach == Reach::App { &HOSTS[..1] } else { &HOSTS }
    }

    /// Whether this host is one of the app.
    fn is_ours(&self, host: &str) -> bool {
        match self.reach {
            Reach::App => host == HOSTS[0],
            Reach::Host => HOSTS[..3].contains(&host),
            Reach::Domain => HOSTS[..4].contains(&host),
        }
    }

    fn request(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let mut called_back_at = None;
        let target = match u8::arbitrary(input)? % 4 {
            0 | 1 => (*input.choose(&PATHS)?).to_owned(),
            2 if !self.callbacks.is_empty() => {
                let callback = input.choose(&self.callbacks)?.clone();
                self.nonce = callback.nonce;
                called_back_at = Some(callback.host);
                callback.target
            }
            _ => <&str>::arbitrary(input)?.to_owned(),
        };
        let method = *input.choose(&["GET", "GET", "GET", "POST", "OPTIONS", "HEAD"])?;
        let host = match self.hosts() {
            [only] => *only,
            hosts => *input.choose(hosts)?,
        };
        let mut headers = vec![(":method", method), (":authority", host), (":path", target.as_str())];
        for _ in 0..input.int_in_range(0..=3)? {
            headers.push(*input.choose(&HEADERS)?);
        }
        let token = format!("Bearer {}", self.access_token());
        let has_token = u8::arbitrary(input)? % 8 == 0;
        headers.extend(has_token.then_some(("authorization", token.as_str())));
        let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut cookies = cookies.join("; ");
        if u8::arbitrary(input)? % 8 == 0 {
            // An earlier session cookie, or a made-up one.
            let old = if self.sessions.is_empty() { "" } else { input.choose(&self.sessions)?.value.as_str() };
            let value = if bool::arbitrary(input)? { old } else { <&str>::arbitrary(input)? };
            cookies = format!("{}={value}", self.session_name());
        }
        headers.push(("cookie", &cookies));
        let request = Request::new(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let request = request.with_more_following(method == "POST");

        (self.is_identified, self.is_admitted) = (false, false);
        self.host.client.set(*input.choose(&CLIENTS)?);
        let worker = usize::from(bool::arbitrary(input)?);
        self.begin(worker);
        let step = self.workers[worker].start(request);
        let Some(decision) = self.perform(worker, step, input)? else { return Ok(()) };
        let lines = match decision {
            Decision::Reply(reply) => {
                let lines = self.check_reply(&reply);
                if matches!(reply.code, "logged_out" | "security_event") {
                    self.ended.extend(self.sessions.iter().map(|handed| (handed.value.clone(), worker)));
                } else if reply.code == "signed_out" && lines.iter().any(|line| self.session_of(line) == Some("")) {
                    let value = self.session_of(&cookies).map(str::to_owned);
                    self.ended.extend(value.map(|value| (value, worker)));
                }
                assert!(
                    reply.code != "signed_in" || called_back_at.as_deref() == Some(host),
                    "a callback of another host"
                );
                lines
            }
            Decision::Forward(forward) => {
                match forward.permit.reason() {
                    Reason::Public if target.split('?').next() == Some(OFFICE) => {
                        assert_eq!(self.host.client.get(), CLIENTS[1], "the client is not in the network");
                    }
                    Reason::Public => rule_path::check_public(target.as_bytes()),
                    Reason::Session => {
                        let has = |wanted: (&str, &str)| headers.contains(&wanted);
                        let is_forged = has(("sec-fetch-site", "cross-site"))
                            && (method == "POST" || has(("sec-fetch-mode", "cors")));
                        assert!(!self.is_embedded || !is_forged, "another site used the session");
                        self.check_session(&cookies, host, worker);
                    }
                    Reason::Bearer => assert!(has_token, "no token was sent"),
                    Reason::Preflight => {
                        assert!(method == "OPTIONS" && headers.iter().any(|(name, _)| *name == "origin"))
                    }
                }
                self.check_token(&target, &headers, &forward);
                forward.cookies.map(|cookies| self.workers[worker].late_cookies(cookies)).unwrap_or_default()
            }
        };
        self.keep(&lines, &cookies, host);
        Ok(())
    }

    /// Performs a step as the host would; `None` where the client leaves before it is decided.
    fn perform(&mut self, worker: usize, mut step: Step, input: &mut Unstructured<'_>) -> Result<Option<Decision>> {
        for _ in 0..PATIENCE {
            let pending = match step {
                Step::Done(decision) => {
                    self.check_events(worker);
                    return Ok(Some(decision));
                }
                Step::Wait(pending) => pending,
            };
            let calls = pending.take_calls();
            if calls.is_empty() && !pending.wants_body() {
                self.drive(worker, input)?;
                self.now = self.now.plus(Duration::from_secs(1));
            }
            self.answer(calls, input)?;
            if pending.wants_body() {
                pending.give_body(self.body(input)?);
            }
            step = self.resume(worker, pending);
        }
        Ok(None)
    }

    /// A decision of this worker begins. Its last tick read the clock a second ago.
    fn begin(&self, worker: usize) {
        self.workers[worker].set_time(self.now.minus(Duration::from_secs(1)));
        self.host.time.set(self.now);
        self.workers[worker].begin_decision();
    }

    fn resume(&self, worker: usize, pending: Pending) -> Step {
        self.begin(worker);
        pending.resume()
    }

    fn drive(&mut self, worker: usize, input: &mut Unstructured<'_>) -> Result<()> {
        self.begin(worker);
        let calls = self.workers[worker].drive();
        self.answer(calls, input)?;
        let calls = self.workers[worker].drive();
        self.answer(calls, input)?;
        self.check_events(worker);
        Ok(())
    }

    fn answer(&mut self, calls: Vec<Call>, input: &mut Unstructured<'_>) -> Result<()> {
        for call in calls {
            // Mostly the proper answer of the provider.
            let result = match u8::arbitrary(input).unwrap_or_default() {
                0xff => Err(CalloutError::NoResponse),
                0xfe => Err(CalloutError::Dispatch),
                0xfd => Ok(CalloutResponse::new(u16::arbitrary(input)?, Vec::new())),
                0xf8..=0xfc => Ok(CalloutResponse::new(200, <&[u8]>::arbitrary(input)?.to_vec())),
                choice => self.provider(call.request(), choice),
            };
            if call.request().path == "/provision" {
                self.is_admitted |= self.is_identified && provisioning::read(result.clone()).is_ok();
            }
            call.answer(result);
        }
        Ok(())
    }

    fn provider(&mut self, request: &CalloutRequest, choice: u8) -> CalloutResult {
        let body = match request.path.as_str() {
            "/provision" => return self.app(),
            "/.well-known/openid-configuration" => json!({
                "issuer": ISSUER,
                "authorization_endpoint": format!("{ISSUER}/authorize"),
                "token_endpoint": format!("{ISSUER}/token"),
                "jwks_uri": format!("{ISSUER}/jwks"),
                "end_session_endpoint": format!("{ISSUER}/end"),
                "revocation_endpoint": format!("{ISSUER}/revoke"),
            }),
            "/jwks" => key_set(),
            "/token" if request.body.windows(13).any(|part| part == b"subject_token") => {
                // Some tokens would change the header.
                let token = ["exchanged", "a\r\nb", "a b", "\u{e4}"][usize::from(choice.min(0xf7) / 0x40)];
                let token_type = ["Bearer", "bearer", "N_A"][usize::from(choice % 3)];
                json!({ "access_token": token, "token_type": token_type, "expires_in": choice })
            }
            "/token" => {
                let is_refresh = request.body.windows(13).any(|part| part == b"refresh_token");
                // One choice in eight is an ID token with the nonce of another sign-in.
                let is_right = choice % 8 != 7;
                let nonce = if is_right { self.nonce.as_str() } else { "another" };
                let mut claims = json!({
                    "iss": ISSUER, "aud": CLIENT, "sub": "u", "sid": "s", "iat": self.now.as_secs(),
                    "exp": self.now.plus(Duration::from_secs(300)).as_secs(),
                });
                if !is_refresh {
                    claims["nonce"] = nonce.into();
                }
                self.is_identified |= is_right || is_refresh;
                let refresh_token = if choice.is_multiple_of(3) { Value::Null } else { "rt".into() };
                json!({
                    "access_token": "at", "token_type": "Bearer", "expires_in": 60, "refresh_token": refresh_token,
                    "id_token": sign(br#"{"alg":"RS256"}"#, claims.to_string().as_bytes()),
                })
            }
            _ => json!({}),
        };
        Ok(CalloutResponse::new(200, body.to_string().into_bytes()))
    }

    /// Mostly admits. The time decides, so that inputs of before lead where they led.
    fn app(&self) -> CalloutResult {
        let (status, body) = match self.now.as_secs() % 32 {
            29 => (403, json!({ "message": "<no>\r\n" })),
            30 => (503, json!({})),
            31 => (200, json!([])),
            plan => (200, json!({ "attributes": { "plan": plan } })),
        };
        Ok(CalloutResponse::new(status, body.to_string().into_bytes()))
    }

    fn body(&self, input: &mut Unstructured<'_>) -> Result<std::result::Result<Vec<u8>, BodyError>> {
        Ok(match u8::arbitrary(input)? % 4 {
            0 => Err(BodyError::Missing),
            1 => Ok(<&[u8]>::arbitrary(input)?.to_vec()),
            2 => {
                // The same token twice is one that ends nothing new.
                let claims = json!({
                    "iss": ISSUER, "aud": CLIENT, "iat": self.now.as_secs(),
                    "jti": format!("{}-{}", self.now.as_secs(), self.sessions.len()),
                    "sub_id": { "format": "iss_sub", "iss": ISSUER, "sub": "u" },
                    "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} },
                });
                Ok(sign(br#"{"alg":"RS256","typ":"secevent+jwt"}"#, claims.to_string().as_bytes()).into_bytes())
            }
            _ => {
                let claims = json!({
                    "iss": ISSUER, "aud": CLIENT, "sub": "u", "sid": "s", "iat": self.now.as_secs(), "jti": "j",
                    "exp": self.now.plus(Duration::from_secs(60)).as_secs(),
                    "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
                });
                let token = sign(br#"{"alg":"RS256","typ":"logout+jwt"}"#, claims.to_string().as_bytes());
                Ok(format!("logout_token={token}").into_bytes())
            }
        })
    }

    fn access_token(&self) -> String {
        let claims = json!({
            "iss": ISSUER, "aud": API, "sub": "robot", "client_id": "robot", "iat": self.now.as_secs(),
            "exp": self.now.plus(Duration::from_secs(300)).as_secs(),
        });
        sign(br#"{"alg":"RS256","typ":"at+jwt"}"#, claims.to_string().as_bytes())
    }

    /// Checks that the app gets a token where the rule says so, from the provider alone, and none elsewhere.
    fn check_token(&self, target: &str, sent: &[(&str, &str)], forward: &Forward) {
        let edits = &forward.edits.own;
        let set: Vec<_> = edits
            .iter()
            .filter_map(|edit| match edit {
                HeaderEdit::Set(name, value) if name == TOKEN_HEADER => Some(value.as_slice()),
                _ => None,
            })
            .collect();
        let is_removed = edits.iter().any(|edit| matches!(edit, HeaderEdit::Remove(name) if name == TOKEN_HEADER));
        assert!(is_removed || !sent.iter().any(|(name, _)| *name == TOKEN_HEADER), "a client's token passed");
        let needs_token =
            target.split('?').next() == Some(ORDERS) && !matches!(forward.permit.reason(), Reason::Preflight);
        assert!(set == [b"<exchanged>".as_slice()] || set.is_empty() && !needs_token, "{target}: {set:?}");
    }

    /// Checks that the browser sent a session that was handed out for this host, has not expired, and was not ended at this worker.
    fn check_session(&self, cookies: &str, host: &str, worker: usize) {
        let value = self.session_of(cookies).expect("a session's cookie was brought");
        let handed = self.handed(value).expect("the session was handed out");
        assert!(self.now < handed.written.plus(LIFETIME), "the session is over");
        assert!(self.is_ours(host) && handed.host.is_none_or(|at| at == host), "the session is for another host");
        assert!(!self.ended.contains(&(value.to_owned(), worker)), "the session was ended");
    }

    fn check_reply(&mut self, reply: &LocalReply) -> Vec<String> {
        let values = |name| reply.headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value);
        assert!(reply.headers.iter().all(|(_, value)| !value.contains(['\r', '\n', '\0'])));
        assert_ne!(reply.code, "bug");
        for location in values("location") {
            let url = Url::parse(location).expect("Location is absolute");
            let origin = url.origin().ascii_serialization();
            let is_ours = origin.strip_prefix("https://").is_some_and(|host| self.is_ours(host));
            assert!(is_ours || origin == ISSUER || return_to::is_listed(location), "{location}");
            let parameter =
                |name| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
            if let (Some(state), Some(nonce)) = (parameter("state"), parameter("nonce")) {
                let redirect_uri = parameter("redirect_uri").expect("the provider is told the redirect URI");
                let host = redirect_uri.strip_suffix("/oauth2/callback").and_then(|uri| uri.strip_prefix("https://"));
                let host = host.filter(|host| self.is_ours(host)).expect("the redirect URI is ours").to_owned();
                assert!(self.reach != Reach::Domain || host == SIGN_IN_HOST, "a sign-in at {host}");
                self.callbacks.push(Callback { target: format!("/oauth2/callback?code=c&state={state}"), nonce, host });
            }
        }
        values("set-cookie").cloned().collect()
    }

    /// Keeps cookies as a browser does.
    fn keep(&mut self, lines: &[String], sent: &str, host: &'static str) {
        for line in lines {
            let (pair, attributes) = line.split_once(';').expect("a cookie has attributes");
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
                continue;
            }
            if name == self.session_name() {
                // A session begins with an ID token and the word of the app, or continues an earlier one.
                let begun = self.session_of(sent).and_then(|sent| self.handed(sent));
                assert!(
                    self.is_admitted || begun.is_some(),
                    "a session without an ID token, or one that the app has not admitted"
                );
                let written = if self.is_admitted { self.now } else { begun.map_or(self.now, |begun| begun.written) };
                let host = (self.reach != Reach::Domain).then_some(host);
                self.sessions.push(Handed { value: value.to_owned(), written, host });
            }
            self.jar.insert(name.to_owned(), value.to_owned());
        }
    }

    fn check_events(&self, worker: usize) {
        self.workers[worker].take_events(|event| check_line(&event));
    }

    /// The name of the session's cookie.
    const fn session_name(&self) -> &'static str {
        if matches!(self.reach, Reach::Domain) { "__Secure-vestibule.example.com" } else { "__Host-vestibule" }
    }

    /// The value of the session's cookie in a `Cookie` or `Set-Cookie` line.
    fn session_of<'a>(&self, cookies: &'a str) -> Option<&'a str> {
        cookies.split("; ").find_map(|pair| pair.strip_prefix(self.session_name())?.strip_prefix('='))
    }

    fn handed(&self, value: &str) -> Option<&Handed> {
        self.sessions.iter().find(|handed| handed.value == value)
    }
}
