//! The state of the issuer: keys, codes, tokens, sign-ins.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use super::{
    Answer, CLIENT_SECRET, Endpoint, Exchanged, Fault, Terms,
    refresh::Refreshes,
    sign_in::{Grant, RefreshToken, SignedIn},
};
use crate::{
    http1::Request,
    keys::{Algorithm, Rsa, SigningKey, random},
};

/// A key in the issuer's set.
#[derive(Clone)]
pub(super) struct PublishedKey {
    pub(super) kid: String,
    pub(super) key: Arc<SigningKey>,
}

impl PublishedKey {
    pub(super) fn new(kid: &str, key: SigningKey) -> Self {
        Self { kid: kid.to_owned(), key: Arc::new(key) }
    }

    fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        if !matches!(*self.key, SigningKey::Rsa(_)) {
            jwk["alg"] = json!(self.key.algorithm().name());
        }
        jwk
    }
}

pub(super) struct State {
    pub(super) url: String,
    pub(super) faults: Vec<Fault>,
    pub(super) requests: Vec<(Option<Endpoint>, Request)>,
    pub(super) terms: Terms,
    pub(super) client_secret: String,
    /// Seconds by which its clock is ahead of the machine's.
    pub(super) clock: i64,
    pub(super) grants: HashMap<String, Grant>,
    /// The origins of the redirect URIs.
    pub(super) origins: BTreeSet<String>,
    pub(super) sign_ins: Vec<SignedIn>,
    /// Every access token, and the sign-in it is for.
    pub(super) access_tokens: Vec<(String, usize)>,
    /// The access tokens of API clients.
    pub(super) client_tokens: Vec<String>,
    /// The token exchanges that were asked for.
    pub(super) exchanges: usize,
    pub(super) exchanged: Vec<Exchanged>,
    pub(super) id_tokens: Vec<String>,
    pub(super) refresh_tokens: HashMap<String, RefreshToken>,
    /// The refresh token of the refresh that is being answered.
    pub(super) presented: String,
    pub(super) refreshes: Refreshes,
    pub(super) revoked: Vec<String>,
    pub(super) secrets: Vec<String>,
    pub(super) user: Map<String, Value>,
    pub(super) keys: Vec<PublishedKey>,
    pub(super) rotations: usize,
}

impl State {
    pub(super) fn new() -> Self {
        let keys = vec![
            PublishedKey::new("rsa-first", SigningKey::rsa(Rsa::First)),
            PublishedKey::new("p256", SigningKey::p256()),
            PublishedKey::new("p384", SigningKey::p384()),
            PublishedKey::new("p521", SigningKey::p521()),
            PublishedKey::new("ed25519", SigningKey::ed25519()),
        ];
        Self {
            url: String::new(),
            faults: Vec::new(),
            requests: Vec::new(),
            terms: Terms::default(),
            client_secret: CLIENT_SECRET.to_owned(),
            clock: 0,
            grants: HashMap::new(),
            origins: BTreeSet::new(),
            sign_ins: Vec::new(),
            access_tokens: Vec::new(),
            client_tokens: Vec::new(),
            exchanges: 0,
            exchanged: Vec::new(),
            id_tokens: Vec::new(),
            refresh_tokens: HashMap::new(),
            presented: String::new(),
            refreshes: Refreshes::default(),
            revoked: Vec::new(),
            secrets: vec![CLIENT_SECRET.to_owned()],
            user: alice(),
            keys,
            rotations: 0,
        }
    }

    /// A new value that must stay between the issuer and the filter.
    pub(super) fn secret(&mut self, what: &str) -> String {
        let secret = format!("canary-{what}-{}", random());
        self.secrets.push(secret.clone());
        secret
    }

    pub(super) fn answer_at(&self, endpoint: Endpoint, refreshes: bool, exchanges: bool) -> Option<Answer> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Answer(at, answer) if *at == endpoint => Some(answer.clone()),
            Fault::Exchange(answer) if exchanges => Some(answer.clone()),
            Fault::Refresh(answer) if refreshes => Some(answer.clone()),
            _ => None,
        })
    }

    /// Seconds since 1970 by its clock.
    pub(super) fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        now.cast_signed() + self.clock
    }

    /// The first published key for this algorithm.
    pub(super) fn key_for(&self, algorithm: Algorithm) -> PublishedKey {
        let fits = |key: &SigningKey| match algorithm {
            Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => key.algorithm() == algorithm,
            _ => matches!(key, SigningKey::Rsa(_)),
        };
        self.keys.iter().find(|published| fits(&published.key)).expect("a key of every kind").clone()
    }

    pub(super) fn metadata(&self) -> Value {
        let url = &self.url;
        let mut metadata = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}{}", Endpoint::Authorization.path()),
            "token_endpoint": format!("{url}{}", Endpoint::Token.path()),
            "jwks_uri": format!("{url}{}", Endpoint::Jwks.path()),
            "userinfo_endpoint": format!("{url}{}", Endpoint::Userinfo.path()),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "scopes_supported": ["openid", "offline_access", "email", "profile", "groups"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "authorization_response_iss_parameter_supported": true,
            "frontchannel_logout_supported": false,
        });
        let terms = &self.terms;
        for (name, endpoint, advertised) in [
            ("end_session_endpoint", Endpoint::EndSession, terms.advertises_end_session),
            ("revocation_endpoint", Endpoint::Revocation, terms.advertises_revocation),
        ] {
            if advertised {
                metadata[name] = json!(format!("{url}{}", endpoint.path()));
            }
        }
        for name in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
            metadata[name] = json!(terms.advertises_back_channel_logout);
        }
        metadata
    }

    /// The claims of the user who signed in. New claims of the same `sub` count from the next refresh on; a sign-in of another
    /// user changes nothing.
    pub(super) fn claims_of(&self, sign_in: usize) -> Map<String, Value> {
        let sign_in = &self.sign_ins[sign_in];
        let same = self.user.get("sub") == sign_in.user.get("sub");
        let mut claims = if same { &self.user } else { &sign_in.user }.clone();
        if self.terms.email_by_scope && !sign_in.scope.split(' ').any(|scope| scope == "email") {
            claims.retain(|name, _| !matches!(name.as_str(), "email" | "email_verified"));
        }
        claims
    }

    pub(super) fn jwks(&self) -> Value {
        json!({"keys": self.keys.iter().map(PublishedKey::jwk).collect::<Vec<_>>()})
    }
}

/// The user that signs in by default.
fn alice() -> Map<String, Value> {
    let Value::Object(claims) = json!({
        "sub": "alice",
        "email": "alice@example.com",
        "email_verified": true,
        "name": "Alice Example",
        "preferred_username": "alice.example",
        "groups": ["staff", "admins"],
    }) else {
        unreachable!("it is an object")
    };
    claims
}
