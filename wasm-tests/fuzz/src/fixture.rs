//! A configuration, a host and a provider for all targets. The provider signs with a made-up scheme.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use vestibule::{
    claims::ObjectKeys,
    config::Config,
    http::{CalloutResponse, Request},
    jose::{
        Algorithm,
        jwks::Jwks,
        jws::UnverifiedJws,
        verify::{Origin, VerifiedJws, verify},
    },
    oidc::id_token,
    origin::SiteId,
    platform::{Conflict, HashFunction, NoRandomness, Platform, SharedValue, SignError},
    provider::{Provider, identity::Identity},
    secret::{AccessToken, Nonce, RawIdToken, RefreshToken},
    session::{Grant, KeptClaims, NewSession, Session, app_tokens::ForwardedTokens},
    time::UnixTime,
};

pub(crate) const APP: &str = "https://app.example.com";
pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const CLIENT: &str = "client";
pub(crate) const API: &str = "https://api.example.com";
/// Targets after a sign-in outside of [`APP`]: one URL, and a site with all its pages.
pub(crate) const LISTED: [&str; 2] = ["myapp://signed-in", "https://www.example.com/"];
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// The longest message that is decompressed.
const MAX_DECOMPRESSED: usize = 1024 * 1024;

thread_local! {
    static CONFIG: &'static Config = Box::leak(Box::new(parse_config()));
    static SESSION: &'static Session = Box::leak(Box::new(begin_session()));
    static KEYS: &'static Jwks = Box::leak(Box::new(parse_keys()));
}

/// The configuration of the targets that do not parse one.
pub(crate) fn config() -> &'static Config {
    CONFIG.with(|config| *config)
}

/// The provider of [`config`].
pub(crate) fn provider() -> &'static Provider {
    &config().providers[0]
}

fn parse_config() -> Config {
    let mut document = document();
    document["session"]["store"] = json!({ "cluster": "webdis" });
    document["allow_on_headers_stop_iteration"] = true.into();
    document["providers"][0]["security_events"] = json!({});
    parse(&document)
}

/// A configuration with sessions in cookies.
pub(crate) fn document() -> Value {
    json!({
        "external_url": APP,
        "cluster": "idp",
        "providers": [{
            "issuer": ISSUER, "client_id": CLIENT, "client_secret": "secret", "access_token_audiences": [API],
        }],
        "token_issuers": [{
            "issuer": "https://tokens.example.com", "audiences": [API],
            "introspection": { "client_id": "gate", "client_secret": "secret" },
        }],
        "session": { "keys": [URL_SAFE_NO_PAD.encode(Sha256::digest(b"key"))] },
        "sign_in": { "return_to": LISTED },
        "rules": [
            { "path": "/public/closed/**", "access": "required" },
            { "path": "/public/**", "access": "public" },
            { "path": "/public", "access": "public" },
            { "path": "/strong", "access": "required", "step_up": { "acr_values": ["phr"], "max_age_seconds": 600 } },
        ],
    })
}

pub(crate) fn parse(document: &Value) -> Config {
    Config::parse(document.to_string().as_bytes(), &|_| None).expect("the fixture is a good configuration")
}

type Versioned = (Vec<u8>, u32);

/// A host with a counter as its randomness, which accepts the signatures of [`sign`]. Clones are the workers of one
/// process.
#[derive(Clone, Default)]
pub(crate) struct Host {
    pub(crate) time: Rc<Cell<UnixTime>>,
    pub(crate) client: Rc<Cell<Option<IpAddr>>>,
    drawn: Rc<Cell<u64>>,
    shared: Rc<RefCell<HashMap<String, Versioned>>>,
}

impl Platform for Host {
    fn now(&self) -> UnixTime {
        self.time.get()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for chunk in bytes.chunks_mut(32) {
            self.drawn.set(self.drawn.get() + 1);
            let block = Sha256::digest(self.drawn.get().to_le_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }

    fn verify_signature(&self, _: HashFunction, _: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        Some(signature == signature_of(text))
    }

    fn sign(&self, _: HashFunction, _: &[u8], text: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(signature_of(text))
    }

    fn client_address(&self) -> Option<IpAddr> {
        self.client.get()
    }

    fn compress(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        Some(miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6))
    }

    fn decompress(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(bytes, MAX_DECOMPRESSED).ok()
    }

    fn shared_get(&self, key: &str) -> SharedValue {
        match self.shared.borrow().get(key) {
            Some((bytes, version)) => SharedValue { bytes: bytes.clone(), version: Some(*version) },
            None => SharedValue { bytes: Vec::new(), version: None },
        }
    }

    fn shared_set(&self, key: &str, bytes: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        let mut shared = self.shared.borrow_mut();
        let known = shared.get(key).map_or(0, |(_, known)| *known);
        if version.is_some_and(|version| version != known) {
            return Err(Conflict);
        }
        shared.insert(key.to_owned(), (bytes.to_vec(), known + 1));
        Ok(())
    }
}

/// A signature as long as the modulus of [`keys`].
fn signature_of(text: &[u8]) -> Vec<u8> {
    Sha256::digest(text).repeat(8)
}

/// A compact JWS over this header and payload, each JSON or not.
pub(crate) fn sign(header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(signature_of(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// One RSA key with an odd modulus of 2048 bits.
pub(crate) fn keys() -> &'static Jwks {
    KEYS.with(|keys| *keys)
}

/// [`keys`] as the provider publishes them.
pub(crate) fn key_set() -> Value {
    json!({ "keys": [{ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xc1; 256]), "e": "AQAB" }] })
}

fn parse_keys() -> Jwks {
    Jwks::parse(key_set().to_string().as_bytes()).expect("the fixture is a good key set")
}

/// A token with a good signature, and its claims. The header is before the first line break, the payload behind it.
pub(crate) fn verified(bytes: &[u8]) -> Option<(VerifiedJws, Map<String, Value>)> {
    let (header, payload) = parts(bytes);
    let token = sign(header, payload);
    let token = UnverifiedJws::parse(&token).ok()?;
    let verified = verify(&token, keys(), &Algorithm::ALL, Origin::TokenEndpoint, &Host::default()).ok()?;
    Some((verified, object(payload)?))
}

/// The bytes before and behind the first line break.
pub(crate) fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// A JSON object as serde_json reads it, after a byte order mark if there is one.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok()
}

/// Whether `aud`, as serde_json reads it, names this audience.
pub(crate) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match &claims["aud"] {
        Value::Array(audiences) => audiences.iter().any(|one| one == audience),
        one => one == audience,
    }
}

/// A response: its status is in the first two bytes, 200 where they are zero; its body is the rest.
pub(crate) fn response(bytes: &[u8]) -> CalloutResponse {
    let (status, body) = bytes.split_at_checked(2).unwrap_or_default();
    let status = status.try_into().map_or(0, u16::from_le_bytes);
    CalloutResponse::new(if status == 0 { 200 } else { status }, body.to_vec())
}

/// A request for this target.
pub(crate) fn request(target: &[u8]) -> Request {
    Request::new([(":method", &b"GET"[..]), (":authority", b"app.example.com"), (":path", target)])
}

/// Checks that an error for the log is one line of bounded length.
pub(crate) fn check_line(error: &dyn std::fmt::Display) {
    let line = error.to_string();
    assert!(line.len() <= MAX_LINE && !line.contains(char::is_control), "{line:?}");
}

/// The longest line for the log: four quoted texts of 200 characters, each escaped in up to 10 bytes, and words around.
const MAX_LINE: usize = 12 * 1024;

/// A session with a `sid`, a refresh token, an access token and an ID token.
pub(crate) fn session() -> &'static Session {
    SESSION.with(|session| *session)
}

fn begin_session() -> Session {
    let claims = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "248289761001", "nonce": "n", "iat": NOW.as_secs(),
        "exp": NOW.plus(Duration::from_secs(300)).as_secs(), "sid": "s", "auth_time": NOW.as_secs(),
        "email": "jane@example.com",
    });
    let (token, _) = verified(format!("{{\"alg\":\"RS256\"}}\n{claims}").as_bytes()).expect("it is signed");
    let (access_token, nonce) = (AccessToken::new("at"), Nonce::new("n"));
    let occasion = id_token::Occasion::SignIn(&nonce);
    let expected = provider().expected_id_token(occasion, &access_token, NOW, config().leeway);
    let identity = Identity::of(id_token::check(token, &expected).expect("it is a good ID token"), None);
    let forwarded_tokens = ForwardedTokens { access_token: true, id_token: true };
    let with = NewSession {
        site: SiteId::default(),
        provider: provider().id,
        claims_request: [0; 16],
        kept: KeptClaims { names: &["email".to_owned()], object_keys: ObjectKeys::NONE },
        now: NOW,
        lifetime: Duration::from_secs(3600),
        grant: Some(Grant::new(RefreshToken::new("rt"), None, NOW)),
        app_token: forwarded_tokens.access_token(&access_token, None, NOW),
        id_token: Some(RawIdToken::new("a.b.c")),
        id_token_ends: NOW.plus(Duration::from_secs(300)),
    };
    Session::begin(identity, with, &Host::default()).expect("there is randomness")
}
