//! A browser, a provider and two workers, in memory: virtual clock, seeded randomness, a cookie jar with a browser's
//! rules. Tests read as a dialogue.

use std::{collections::BTreeMap, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64},
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePublicKey,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::super::{context::Env, event::Event, memory::revocations::MAX_ENDS, *};
use crate::{
    config::Config,
    digest::HalfDigest,
    http::{CalloutRequest, CalloutResponse, DPOP, Edits, HeaderEdit, Request},
    session::{cookie::SameSite, open::RevocationKeys},
    shared::{
        denylist::{Eviction, SharedDenylist},
        lease::{Asker, KeyRequest, Lack},
    },
    time::UnixTime,
};

pub(crate) use crate::platform::testing::TestPlatform;

pub(super) const APP: &str = "https://app.example.com";
pub(super) const ISSUER: &str = "https://idp.example.com";
/// Issuer of the second provider, in worlds that configure one.
pub(super) const PARTNERS: &str = "https://partners.example.com";
pub(super) const START: u64 = 1_800_000_000;
/// A static token, for worlds with [`static_tokens`].
pub(super) const STATIC_TOKEN: &str = "vst_0123456789abcdef0123456789abcdef";
/// The audience of [`World::access_token`].
const API: &str = "https://api.example.com";

/// The setting by which [`STATIC_TOKEN`] is accepted, with the name `ci`.
pub(super) fn static_tokens() -> (&'static str, Value) {
    ("static_tokens", json!([{ "name": "ci", "sha256": format!("{:x}", Sha256::digest(STATIC_TOKEN)) }]))
}

/// The setting by which [`World::access_token`] is accepted.
pub(super) fn access_tokens() -> (&'static str, Value) {
    let mut providers = document()["providers"].clone();
    providers[0]["access_token_audiences"] = json!([API]);
    ("providers", providers)
}

type Answering = dyn Fn(&CalloutRequest) -> CalloutResult;
type Intercepting = dyn Fn(&CalloutRequest) -> Option<CalloutResult>;
type Introspecting = dyn Fn(&CalloutRequest, &str) -> CalloutResult;
type Change = dyn Fn(&mut Map<String, Value>);

/// The result of a request, after the steps that the host has performed.
#[derive(Debug)]
pub(super) enum Outcome {
    Forwarded {
        reason: event::Reason,
        headers: Vec<(String, String)>,
        /// Filter state for other Envoy filters.
        state: Vec<(String, String)>,
        cookies: Vec<String>,
    },
    Replied(LocalReply),
    /// Waits for calls of the worker's background tasks: metadata, newer keys or a renewal.
    Held(Pending),
}

impl Outcome {
    pub(super) fn reply(self) -> LocalReply {
        match self {
            Self::Replied(reply) => reply,
            other => panic!("expected a reply, got {other:?}"),
        }
    }

    pub(super) fn code(self) -> (u16, &'static str) {
        let reply = self.reply();
        (reply.status, reply.code)
    }
}

/// A provider that signs with a key of its own and can be told to misbehave.
pub(super) struct TestProvider {
    issuer: &'static str,
    key: SigningKey,
    /// The `kid` of the key set and in the headers of tokens.
    pub(super) kid: Option<String>,
    pub(super) up: bool,
    pub(super) claims: Box<Change>,
    /// Changes the text of an ID token's payload.
    pub(super) payload: Box<dyn Fn(String) -> String>,
    pub(super) token_response: Box<dyn Fn(Value) -> CalloutResult>,
    /// How often each path was asked for.
    pub(super) asked: BTreeMap<String, usize>,
    nonce: String,
    pub(super) challenge: String,
    /// Whether token responses carry a refresh token, which is accepted once.
    pub(super) refreshes: bool,
    /// The refresh tokens that are still good.
    pub(super) refresh_tokens: Vec<String>,
    /// Number of refresh tokens issued.
    refreshed: usize,
    /// The key set it publishes instead of its own.
    pub(super) jwks: Option<CalloutResult>,
    /// Whether a byte order mark stands before each of its answers.
    pub(super) byte_order_mark: bool,
    /// Changes the metadata.
    pub(super) metadata: Box<dyn Fn(&mut Value)>,
    /// The response of the userinfo endpoint.
    pub(super) userinfo: Box<dyn Fn() -> CalloutResult>,
    /// Answers all requests in place of the provider.
    pub(super) instead: Option<Box<Answering>>,
    /// Answers a request in place of the provider, or leaves it to the provider.
    pub(super) before: Option<Box<Intercepting>>,
    /// The introspection response to this request for this token.
    pub(super) introspection: Box<Introspecting>,
    /// The response to a refresh, made from the usual body.
    pub(super) refresh_response: Option<Box<dyn Fn(Value) -> CalloutResult>>,
}

pub(super) fn ok(body: &Value) -> CalloutResult {
    Ok(CalloutResponse::new(200, body.to_string().into_bytes()))
}

impl TestProvider {
    fn new(issuer: &'static str) -> Self {
        Self {
            issuer,
            key: SigningKey::from_slice(&Sha256::digest(issuer)).unwrap(),
            kid: Some("one".to_owned()),
            up: true,
            claims: Box::new(|_| ()),
            payload: Box::new(|payload| payload),
            token_response: Box::new(|body| ok(&body)),
            asked: BTreeMap::new(),
            nonce: String::new(),
            challenge: String::new(),
            refreshes: false,
            refresh_tokens: Vec::new(),
            refreshed: 0,
            jwks: None,
            byte_order_mark: false,
            metadata: Box::new(|_| ()),
            userinfo: Box::new(|| panic!("nobody asks")),
            instead: None,
            before: None,
            introspection: Box::new(|_, _| ok(&json!({ "active": false }))),
            refresh_response: None,
        }
    }

    pub(super) fn rotate(&mut self) {
        self.key = SigningKey::from_slice(&[9; 32]).unwrap();
        self.kid = self.kid.is_some().then(|| "two".to_owned());
    }

    /// Replaces the key and keeps its `kid`.
    pub(super) fn replace_key(&mut self, number: u8) {
        self.key = SigningKey::from_slice(&[number; 32]).unwrap();
    }

    pub(super) fn answer(&mut self, request: &CalloutRequest, now: UnixTime) -> CalloutResult {
        let mut response = self.plain_answer(request, now)?;
        if self.byte_order_mark {
            response.body.splice(0..0, *b"\xef\xbb\xbf");
        }
        Ok(response)
    }

    fn plain_answer(&mut self, request: &CalloutRequest, now: UnixTime) -> CalloutResult {
        *self.asked.entry(request.path.clone()).or_default() += 1;
        if !self.up {
            return Ok(CalloutResponse::new(503, b"upstream connect error".to_vec()));
        }
        if let Some(instead) = &self.instead {
            return instead(request);
        }
        if let Some(answer) = self.before.as_ref().and_then(|before| before(request)) {
            return answer;
        }
        let issuer = self.issuer;
        assert_eq!(format!("https://{}", request.authority), issuer);
        match request.path.as_str() {
            "/.well-known/openid-configuration" => {
                let mut metadata = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize?tenant=t"),
                    "token_endpoint": format!("{issuer}/token"),
                    "jwks_uri": format!("{issuer}/jwks"),
                    "end_session_endpoint": format!("{issuer}/end"),
                    "revocation_endpoint": format!("{issuer}/revoke"),
                    "userinfo_endpoint": format!("{issuer}/userinfo"),
                    "introspection_endpoint": format!("{issuer}/introspect"),
                    "authorization_response_iss_parameter_supported": true,
                });
                (self.metadata)(&mut metadata);
                ok(&metadata)
            }
            "/jwks" => self.jwks.clone().unwrap_or_else(|| ok(&self.jwks())),
            "/token" => self.token(request, now),
            "/userinfo" => {
                let scheme = if request.headers.iter().any(|(name, _)| *name == DPOP) { "DPoP" } else { "Bearer" };
                let token = ("authorization", format!("{scheme} at"));
                assert!(request.method == "GET" && request.body.is_empty() && request.headers.contains(&token));
                (self.userinfo)()
            }
            "/introspect" => {
                let form = self.form(request);
                assert!(form["token_type_hint"] == "access_token" && request.method == "POST");
                (self.introspection)(request, &form["token"])
            }
            "/revoke" => {
                let token = self.form(request)["token"].clone();
                self.refresh_tokens.retain(|known| *known != token);
                Ok(CalloutResponse::new(200, Vec::new()))
            }
            path => panic!("nobody asked for {path}"),
        }
    }

    pub(super) fn jwks(&self) -> Value {
        let point = self.key.verifying_key().to_encoded_point(false);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig",
            "x": BASE64.encode(point.x().unwrap()), "y": BASE64.encode(point.y().unwrap()),
        }] })
    }

    /// The public key as PEM, as `openssl` writes it.
    pub(super) fn pem(&self) -> String {
        let der = p256::PublicKey::from(self.key.verifying_key()).to_public_key_der().unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_bytes()))
    }

    fn form(&self, request: &CalloutRequest) -> BTreeMap<String, String> {
        form_urlencoded::parse(&request.body).into_owned().collect()
    }

    fn token(&mut self, request: &CalloutRequest, now: UnixTime) -> CalloutResult {
        let form = self.form(request);
        let is_refresh = form["grant_type"] == "refresh_token";
        if is_refresh {
            let Some(place) = self.refresh_tokens.iter().position(|known| *known == form["refresh_token"]) else {
                return Ok(CalloutResponse::new(400, br#"{"error":"invalid_grant"}"#.to_vec()));
            };
            self.refresh_tokens.remove(place);
            // OIDC Core 12.2: a refreshed ID token has no nonce.
            self.nonce.clear();
        }
        let mut body =
            json!({ "access_token": "at", "token_type": "bEaReR", "id_token": self.id_token(now), "expires_in": 600 });
        if self.refreshes {
            self.refreshed += 1;
            let token = format!("refresh-{}", self.refreshed);
            self.refresh_tokens.push(token.clone());
            body["refresh_token"] = json!(token);
        }
        match &self.refresh_response {
            Some(respond) if is_refresh => respond(body),
            _ => (self.token_response)(body),
        }
    }

    /// A logout token issued at `now`; `change` edits its header and claims.
    pub(super) fn logout_token(&self, now: UnixTime, change: impl Fn(&mut Value, &mut Value)) -> String {
        let mut header = json!({ "alg": "ES256", "kid": self.kid, "typ": "logout+jwt" });
        let mut claims = json!({
            "iss": self.issuer, "aud": "client", "iat": now.as_secs(), "exp": now.as_secs() + 120,
            "jti": format!("logout-{}", now.as_secs()), "sub": "alice", "sid": "idp-session",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        change(&mut header, &mut claims);
        self.signed(&header, &claims)
    }

    pub(super) fn signed(&self, header: &Value, claims: &Value) -> String {
        self.signed_text(&header.to_string(), &claims.to_string())
    }

    fn signed_text(&self, header: &str, payload: &str) -> String {
        let text = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature: Signature = self.key.sign(text.as_bytes());
        format!("{text}.{}", BASE64.encode(signature.to_bytes()))
    }

    fn id_token(&self, now: UnixTime) -> String {
        let mut claims = json!({
            "iss": self.issuer, "aud": "client", "sub": "alice", "nonce": self.nonce, "sid": "idp-session",
            "iat": now.as_secs(), "exp": now.as_secs() + 300,
            "email": "alice@example.com", "email_verified": true, "groups": ["staff", "admins"],
        });
        if self.nonce.is_empty() {
            claims.as_object_mut().unwrap().shift_remove("nonce");
        }
        (self.claims)(claims.as_object_mut().unwrap());
        let header = json!({ "alg": "ES256", "kid": self.kid }).to_string();
        self.signed_text(&header, &(self.payload)(claims.to_string()))
    }
}

/// A browser, its providers, the workers and the session store.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) platform: TestPlatform,
    pub(super) workers: [Rc<Worker>; 2],
    /// The entries of the session store; `redis_up` is false while it is down.
    pub(super) redis: BTreeMap<String, String>,
    pub(super) redis_up: bool,
    /// How often the store was asked.
    pub(super) redis_asked: usize,
    pub(super) provider: TestProvider,
    pub(super) partners: TestProvider,
    pub(super) now: UnixTime,
    pub(super) jar: BTreeMap<String, String>,
    pub(super) events: Vec<Event>,
    /// Which worker the next request reaches.
    pub(super) worker: usize,
    /// The body of the next request, if its flow reads one.
    pub(super) body: Result<Vec<u8>, BodyError>,
    /// The host that requests name.
    pub(super) host: String,
}

pub(crate) fn document() -> Value {
    json!({
        "external_url": APP,
        "cluster": "idp",
        "providers": [{ "issuer": ISSUER, "client_id": "client", "client_secret": "secret" }],
        "session": { "keys": [BASE64.encode(Sha256::digest(b"key"))] },
        "rules": [{ "path": "/public/*", "access": "public" }],
    })
}

pub(super) fn workers(config: &Config, platform: &TestPlatform) -> [Rc<Worker>; 2] {
    [(); 2].map(|()| Worker::new(config.clone(), Box::new(platform.clone())))
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(&document())
    }

    pub(super) fn with(document: &Value) -> Self {
        let config = Config::parse(document.to_string().as_bytes(), &|_| None).unwrap();
        let platform = TestPlatform::of_a_process();
        let workers = workers(&config, &platform);
        let now = UnixTime::from_secs(START);
        Self {
            config,
            platform,
            workers,
            redis: BTreeMap::new(),
            redis_up: true,
            redis_asked: 0,
            provider: TestProvider::new(ISSUER),
            partners: TestProvider::new(PARTNERS),
            now,
            jar: BTreeMap::new(),
            events: Vec::new(),
            worker: 0,
            body: Err(BodyError::Missing),
            host: "app.example.com".to_owned(),
        }
    }

    /// Restarts Envoy: the shared data and the workers' memory are lost.
    pub(super) fn restart(&mut self) {
        self.platform = TestPlatform::of_a_process();
        self.workers = workers(&self.config, &self.platform);
    }

    /// Replaces the workers, as Envoy does with a new configuration or after a crash: the shared data stay.
    pub(super) fn replace_workers(&mut self) {
        self.workers = workers(&self.config, &self.platform);
    }

    /// An access token of the provider for the client `robot`.
    pub(super) fn access_token(&self) -> String {
        self.access_token_with(&json!({}))
    }

    /// An access token with further claims.
    pub(super) fn access_token_with(&self, more: &Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": API, "sub": "robot", "client_id": "robot",
            "iat": self.now.as_secs(), "exp": self.now.as_secs() + 300,
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.provider.signed(&json!({ "alg": "ES256", "kid": "one", "typ": "at+jwt" }), &claims)
    }

    /// The number of entries in a denylist of ended sessions.
    pub(super) fn ends(&self, list: &str) -> usize {
        self.end_digests(list).len()
    }

    /// The digests in a denylist of ended sessions.
    pub(super) fn end_digests(&self, list: &str) -> Vec<HalfDigest> {
        self.list_of_ends(list, |list| list.entries(&self.platform).list.iter().map(|entry| entry.digest).collect())
    }

    /// Fills a denylist of ended sessions with entries of this subject.
    pub(super) fn fill_ends(&self, list: &str, subject: &str) {
        let owner = RevocationKeys::of_subject(self.config.providers[0].id, subject);
        self.list_of_ends(list, |list| list.fill(owner, self.now, &self.platform));
    }

    fn list_of_ends<T>(&self, list: &str, with: impl FnOnce(SharedDenylist<'_>) -> T) -> T {
        let key = format!("vestibule.{}.ends.{list}", self.config.fingerprint);
        with(SharedDenylist { key: &key, capacity: MAX_ENDS, eviction: Eviction::LargestOwner })
    }

    /// [`World::ready`] with these settings added to the configuration.
    pub(super) fn ready_with(changes: &[(&str, Value)]) -> Self {
        let mut document = document();
        for (name, value) in changes {
            match (document.get_mut(name), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more.clone()),
                _ => document[*name] = value.clone(),
            }
        }
        let mut world = Self::with(&document);
        world.settle();
        world
    }

    /// A world after the workers' first fetch of provider metadata and keys.
    pub(super) fn ready() -> Self {
        let mut world = Self::new();
        world.settle();
        world
    }

    pub(super) fn advance(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// Changes the configuration; the workers keep what they know.
    pub(super) fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        let (config, platform) = (&self.config, &self.platform);
        self.workers =
            self.workers.each_ref().map(|worker| worker.reconfigured(config.clone(), Box::new(platform.clone())));
    }

    /// Runs `decision` at the current worker and the current time.
    pub(super) fn decide<R>(&mut self, decision: impl FnOnce(&Rc<Worker>) -> R) -> R {
        let worker = Rc::clone(&self.workers[self.worker]);
        // The last tick read the clock a second ago.
        worker.set_time(self.now.minus(Duration::from_secs(1)));
        self.platform.time.set(self.now);
        worker.begin_decision();
        let outcome = decision(&worker);
        worker.take_events(|event| self.events.push(event));
        outcome
    }

    /// Runs `decision` with the state of the current worker.
    pub(super) fn env<R>(&mut self, decision: impl FnOnce(&mut Env<'_>) -> R) -> R {
        self.decide(|worker| worker.with(decision).unwrap())
    }

    /// The limits of the current worker.
    pub(super) fn limits(&self) -> &limits::Limits {
        self.workers[self.worker].limits()
    }

    pub(super) fn start(&mut self, request: Request) -> Step {
        self.platform.request.replace(request.clone());
        let step = self.decide(|worker| worker.start(request));
        self.platform.request.take();
        step
    }

    /// Drives the current worker: the calls that its background tasks make now.
    pub(super) fn drive(&mut self) -> Vec<Call> {
        self.decide(Worker::drive)
    }

    /// Drives every worker and answers its calls, eight times over.
    pub(super) fn settle(&mut self) {
        for _ in 0..8 {
            for worker in 0..self.workers.len() {
                self.worker = worker;
                for call in self.drive() {
                    self.answer(call);
                }
            }
        }
        self.worker = 0;
    }

    /// Answers a call of the current worker as its provider or store does.
    pub(super) fn answer(&mut self, call: Call) {
        let result = self.answer_call(call.request());
        self.answer_with(call, result);
    }

    /// Answers a call of the current worker with this result.
    pub(super) fn answer_with(&mut self, call: Call, result: CalloutResult) {
        call.answer(result);
        self.decide(Worker::poll_tasks);
    }

    pub(super) fn answer_call(&mut self, request: &CalloutRequest) -> CalloutResult {
        if request.cluster.as_str() == "webdis" {
            self.webdis(request)
        } else if request.authority == "partners.example.com" {
            self.partners.answer(request, self.now)
        } else {
            self.provider.answer(request, self.now)
        }
    }

    /// The response of Webdis. Keys do not expire here; sessions still end, because each holds its own end.
    fn webdis(&mut self, request: &CalloutRequest) -> CalloutResult {
        self.redis_asked += 1;
        if !self.redis_up {
            return Ok(CalloutResponse::new(503, b"upstream connect error".to_vec()));
        }
        assert!(
            request.path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:/".contains(&byte)),
            "{request:?}"
        );
        let command = String::from_utf8(request.body.clone()).unwrap();
        let words: Vec<&str> = match request.path.as_str() {
            "/" => command.split('/').collect(),
            path => path.split('/').skip(1).collect(),
        };
        let state = |value: &str| {
            let (generation, seen) = value.split_once(':').unwrap().0.split_once('.').unwrap();
            (generation.parse::<u32>().unwrap(), seen.parse::<u64>().unwrap())
        };
        let answer = match words[..] {
            ["MGET", ref keys @ ..] => {
                json!({ "MGET": keys.iter().map(|key| self.redis.get(*key)).collect::<Vec<_>>() })
            }
            ["SETEX", key, seconds] => {
                assert!(seconds.parse::<u64>().unwrap() > 0);
                self.redis.insert(key.to_owned(), String::from_utf8(request.body.clone()).unwrap());
                json!({ "SETEX": [true, "OK"] })
            }
            ["DEL", key] => json!({ "DEL": u8::from(self.redis.remove(key).is_some()) }),
            // The effect of the Lua script; scenarios run the script itself in a real Redis.
            ["EVAL", _, "1", key, _, _, value, _] => match self.redis.get_mut(key) {
                Some(old) if state(old) <= state(value) => {
                    value.clone_into(old);
                    json!({ "EVAL": [true, "OK"] })
                }
                Some(_) => json!({ "EVAL": null }),
                None => json!({ "EVAL": 0 }),
            },
            ["EVAL", _, "1", key, at, _, step] => {
                let old = self.redis.get(key).and_then(|old| old.parse().ok()).unwrap_or(0_u64);
                let least = old + step.parse::<u64>().unwrap();
                self.redis.insert(key.to_owned(), least.max(at.parse().unwrap()).to_string());
                json!({ "EVAL": [true, "OK"] })
            }
            ["SET", key, value, "NX", "EX", _] => {
                let is_free = !self.redis.contains_key(key);
                self.redis.entry(key.to_owned()).or_insert_with(|| value.to_owned());
                if is_free { json!({ "SET": [true, "OK"] }) } else { json!({ "SET": null }) }
            }
            _ => panic!("{request:?}"),
        };
        ok(&answer)
    }

    /// Uses up the key requests that are granted, so that no unknown key causes a fetch for a while.
    pub(super) fn use_up_wishes(&mut self) {
        use Asker::{Provider, Unauthenticated};
        // The pause between fetches grows with each failure.
        for (asker, pause) in [(Unauthenticated, 2), (Unauthenticated, 3), (Provider, 5), (Provider, 9)] {
            let id = self.config.providers[0].id;
            let request = KeyRequest { asker, lack: Lack::Key };
            self.env(|env| env.issuers.ask_for_keys(id, request, env.platform, env.now(), env.events));
            for call in self.drive() {
                let down = Ok(CalloutResponse::new(503, Vec::new()));
                self.answer_with(call, down);
            }
            self.advance(pause);
        }
    }

    /// The worker fetches the keys although they are not due.
    pub(super) fn refresh_keys_of_worker(&mut self, worker: usize) {
        self.worker = worker;
        let id = self.config.providers[0].id;
        let request = KeyRequest { asker: Asker::Provider, lack: Lack::Key };
        assert!(self.env(|env| env.issuers.ask_for_keys(id, request, env.platform, env.now(), env.events)));
        for call in self.drive() {
            self.answer(call);
        }
    }

    /// A browser with the jar's cookies opens a page.
    pub(super) fn visit(&mut self, target: &str) -> Outcome {
        self.send(&[(":method", "GET"), (":path", target), ("sec-fetch-mode", "navigate"), ("accept", "text/html")])
    }

    /// A user opens a page; `site` is the value of `Sec-Fetch-Site`.
    pub(super) fn opens(&mut self, target: &str, site: &str) -> Outcome {
        let fetch = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", site)];
        let mut headers = vec![(":method", "GET"), (":path", target), ("accept", "text/html")];
        headers.extend(fetch);
        self.send(&headers)
    }

    /// A request with these headers and the jar's cookies, without a body.
    pub(super) fn send(&mut self, headers: &[(&str, &str)]) -> Outcome {
        self.send_with(headers, false)
    }

    /// [`World::send`] with a body.
    pub(super) fn send_more(&mut self, headers: &[(&str, &str)]) -> Outcome {
        self.send_with(headers, true)
    }

    fn send_with(&mut self, headers: &[(&str, &str)], more_follows: bool) -> Outcome {
        let pairs: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = pairs.join("; ");
        let (mut all, host) = (headers.to_vec(), self.host.clone());
        all.push((":authority", &host));
        all.extend((!cookies.is_empty()).then_some(("cookie", cookies.as_str())));
        let request = Request::new(all.into_iter().map(|(name, value)| (name, value.as_bytes())));
        let request = request.with_more_following(more_follows);
        let step = self.start(request.clone());
        self.perform(step, &request)
    }

    /// Performs a step as the glue would.
    pub(super) fn perform(&mut self, mut step: Step, request: &Request) -> Outcome {
        loop {
            step = match step {
                Step::Done(Decision::Forward(forward)) => {
                    let Forward { permit, edits, cookies } = forward;
                    let cookies = cookies.map(|late| self.decide(|worker| worker.late_cookies(late)));
                    let cookies = cookies.unwrap_or_default();
                    self.keep_cookies(cookies.iter().map(String::as_str));
                    let headers = edited(request, &edits);
                    let state = edits.state().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                    return Outcome::Forwarded { reason: permit.reason(), headers, state, cookies };
                }
                Step::Done(Decision::Reply(reply)) => {
                    self.check(&reply);
                    return Outcome::Replied(reply);
                }
                Step::Wait(pending) => {
                    let calls = pending.take_calls();
                    if calls.is_empty() && !pending.wants_body() {
                        return Outcome::Held(pending);
                    }
                    for call in calls {
                        let result = self.answer_call(call.request());
                        call.answer(result);
                    }
                    if pending.wants_body() {
                        pending.give_body(std::mem::replace(&mut self.body, Err(BodyError::Missing)));
                    }
                    self.decide(|_| pending.resume())
                }
            }
        }
    }

    /// Checks the headers of a reply, and keeps its cookies.
    fn check(&mut self, reply: &LocalReply) {
        for (name, value) in
            [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")]
        {
            let is_other = match name {
                "cache-control" => reply.code == "client_script",
                "referrer-policy" => reply.code == "sign_out_confirm",
                _ => false,
            };
            assert!(is_other || header(reply, name) == Some(value), "{name}: {reply:?}");
        }
        assert_eq!(reply.body.is_empty(), header(reply, "content-security-policy").is_none(), "{reply:?}");
        let lines = reply.headers.iter().filter(|(name, _)| *name == "set-cookie");
        self.keep_cookies(lines.map(|(_, line)| line.as_str()));
    }

    /// The result of a held request, after the calls of the current worker are answered.
    pub(super) fn then(&mut self, outcome: Outcome) -> Outcome {
        let Outcome::Held(pending) = outcome else { return outcome };
        // One answer may lead to the next call.
        loop {
            let calls = self.drive();
            if calls.is_empty() {
                break;
            }
            calls.into_iter().for_each(|call| self.answer(call));
        }
        let outcome = self.resume(pending);
        assert!(!matches!(outcome, Outcome::Held(_)), "it waits on");
        outcome
    }

    /// Resumes a held request once.
    pub(super) fn resume(&mut self, pending: Pending) -> Outcome {
        let step = self.decide(|_| pending.resume());
        self.perform(step, &Request::default())
    }

    /// Resumes a held request that must keep waiting.
    pub(super) fn waits_on(&mut self, pending: Pending) -> Pending {
        match self.resume(pending) {
            Outcome::Held(pending) => pending,
            outcome => panic!("it does not wait on: {outcome:?}"),
        }
    }

    // Stores cookies, and checks the rules of RFC 6265bis for `__Host-` cookies and the browsers' size limit.
    fn keep_cookies<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        for line in lines {
            assert!(line.len() <= 4096, "a browser drops a cookie of {} bytes", line.len());
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            // The session alone may be a cookie of a domain.
            let domain = self.config.session.cookies.domain().filter(|_| name.starts_with("__Secure-"));
            assert!(name.starts_with("__Host-") || domain.is_some(), "{line}");
            let (same_site, is_partitioned) = match self.config.session.cookies.same_site() {
                SameSite::Lax => ("SameSite=Lax", false),
                SameSite::None => ("SameSite=None", false),
                SameSite::Partitioned => ("SameSite=None", true),
            };
            assert_eq!(attributes.contains("; Partitioned"), is_partitioned, "{line}");
            for wanted in ["Path=/", "Secure", "HttpOnly", same_site] {
                assert!(attributes.split("; ").any(|attribute| attribute == wanted), "{line}");
            }
            let is_deleted = attributes.contains("Max-Age=0");
            let found = attributes.split("; ").find_map(|attribute| attribute.strip_prefix("Domain="));
            assert!(found == domain || found.is_none() && is_deleted, "{line}");
            if is_deleted {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Signs the user in at the provider. Returns path and query of the callback.
    pub(super) fn signs_in(&mut self, reply: &LocalReply) -> String {
        self.callback_url(reply).strip_prefix(APP).unwrap().to_owned()
    }

    /// Signs the user in at the provider. Returns the URL of the callback.
    pub(super) fn callback_url(&mut self, reply: &LocalReply) -> String {
        let (url, query) = (location(reply), query_of(location(reply)));
        let provider = if url.starts_with(PARTNERS) { &mut self.partners } else { &mut self.provider };
        provider.nonce = query["nonce"].clone();
        provider.challenge = query["code_challenge"].clone();
        let callback = &query["redirect_uri"];
        let iss: String = form_urlencoded::byte_serialize(provider.issuer.as_bytes()).collect();
        format!("{callback}?code=code&state={}&iss={iss}", query["state"])
    }

    /// Opens `target` without a session and completes the sign-in.
    pub(super) fn sign_in(&mut self, target: &str) {
        let reply = self.visit(target).reply();
        let callback = self.signs_in(&reply);
        assert_eq!(self.visit(&callback).code(), (303, "signed_in"));
    }

    /// Another sign-in, of a browser that is signed in.
    pub(super) fn sign_in_again(&mut self) {
        let reply = self.visit("/oauth2/start?rd=/").reply();
        let callback = self.signs_in(&reply);
        assert_eq!(self.visit(&callback).code(), (303, "signed_in"));
    }

    /// The cookies of the session, in the order of their names.
    pub(super) fn session_cookies(&self) -> Vec<(String, String)> {
        let is_its =
            |name: &str| name == "__Host-vestibule" || name.starts_with("__Host-vestibule-") && !name.contains("-p-");
        let own = self.jar.iter().filter(|(name, _)| is_its(name) && !name.ends_with("-t"));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub(super) fn has_session(&self) -> bool {
        self.jar.contains_key("__Host-vestibule")
    }

    pub(super) fn pending(&self) -> usize {
        self.jar.keys().filter(|name| name.starts_with("__Host-vestibule-p-")).count()
    }
}

pub(super) fn header<'a>(reply: &'a LocalReply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find_map(|(found, value)| (*found == name).then_some(value.as_str()))
}

pub(super) fn location(reply: &LocalReply) -> &str {
    header(reply, "location").unwrap_or_else(|| panic!("{} {} is no redirect", reply.status, reply.code))
}

pub(super) fn query_of(url: &str) -> BTreeMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn edited(request: &Request, edits: &Edits) -> Vec<(String, String)> {
    let mut headers: Vec<_> =
        request.headers().map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())).collect();
    for edit in edits.headers() {
        match edit {
            HeaderEdit::Add(name, value) => headers.push((name.clone(), String::from_utf8(value.clone()).unwrap())),
            HeaderEdit::Remove(name) => headers.retain(|(found, _)| found != name),
            HeaderEdit::Set(name, value) => {
                headers.retain(|(found, _)| found != name);
                headers.push((name.clone(), String::from_utf8(value.clone()).unwrap()));
            }
        }
    }
    headers
}
