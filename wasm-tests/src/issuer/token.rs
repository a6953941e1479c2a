//! Valid and faulty ID tokens.

use ring::digest;
use serde_json::{Map, Value, json};

use super::{CLIENT_ID, Fault, State, sign_in::By};
use crate::keys::{Algorithm, PublicForms, Rsa, SigningKey, base64url, hmac_sha256, random};

/// How an ID token is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// HMAC with this secret; `alg` is HS256.
    Hmac(Vec<u8>),
    /// Not at all: the third part is empty and `alg` is none.
    None,
    /// With the published key for this algorithm.
    Published(Algorithm),
    /// With an RSA key that is not in the set, under the `kid` of the one that is.
    Unpublished,
}

/// An ID token on its way out.
#[derive(Debug, Clone)]
pub struct IdToken {
    /// The members of the header. `alg` and `kid` are those of the key unless they are set here.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// Replaces the claims by this text, which a JSON writer may be unable to write.
    pub raw_claims: Option<String>,
    /// Puts this text in place of the header.
    pub raw_header: Option<String>,
    /// Whether `kid` is left out.
    pub without_kid: bool,
    /// How it is signed.
    pub signing: Signing,
    /// Changes the compact form at the end.
    pub finish: fn(String) -> String,
    /// The issuer's public RSA key.
    pub public: PublicForms,
}

impl IdToken {
    /// Sets a claim.
    pub fn set(&mut self, claim: &str, value: impl Into<Value>) {
        self.claims.insert(claim.to_owned(), value.into());
    }

    /// Leaves a claim out.
    pub fn remove(&mut self, claim: &str) {
        self.claims.shift_remove(claim);
    }

    /// The claim as text.
    pub fn text(&self, claim: &str) -> String {
        self.claims[claim].as_str().expect("a claim that is text").to_owned()
    }

    /// The time it was issued at.
    pub fn issued_at(&self) -> i64 {
        self.claims["iat"].as_i64().expect("a number")
    }

    /// The claims as JSON text, with further members at the end.
    pub fn with_members(&self, members: &str) -> String {
        let mut claims = self.claims.clone();
        // A null is filled in later.
        claims.retain(|_, value| !value.is_null());
        let text = Value::Object(claims).to_string();
        format!("{},{members}}}", text.trim_end_matches('}'))
    }
}

/// Makes the ID token for this sign-in, with every fault that is asked for.
pub(super) fn issue(state: &State, sign_in: usize, by: By, access_token: &str) -> String {
    let now = state.now();
    let mut claims = state.claims_of(sign_in);
    claims.retain(|name, _| name == "sub" || !state.terms.claims_at_userinfo);
    let sign_in = &state.sign_ins[sign_in];
    for (name, value) in [
        ("iss", json!(state.url)),
        ("aud", json!(CLIENT_ID)),
        ("iat", json!(now)),
        ("exp", json!(now + state.terms.id_token_seconds)),
        ("auth_time", json!(sign_in.auth_time)),
        ("sid", json!(sign_in.sid)),
        // Filled in below for the algorithm that signs in the end, unless a fault removes or replaces it.
        ("at_hash", Value::Null),
    ] {
        claims.insert(name.to_owned(), value);
    }
    if let Some(nonce) = &sign_in.nonce
        && (by == By::Code || state.terms.refresh_nonce)
    {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    let mut token = blank(state, claims);
    for fault in &state.faults {
        match fault {
            Fault::IdToken(change) => change(&mut token),
            Fault::RefreshIdToken(change) if by == By::Refresh => change(&mut token),
            _ => {}
        }
    }
    if token.claims.get("at_hash") == Some(&Value::Null) {
        token.set("at_hash", at_hash(&token.signing, access_token));
    }
    finished(state, &token)
}

/// An access token of an API client for this audience (RFC 9068), changed at the end.
pub(super) fn access(state: &mut State, audience: &str, change: impl FnOnce(&mut IdToken)) -> String {
    let now = state.now();
    let mut claims = Map::new();
    for (name, value) in [
        ("iss", json!(state.url)),
        ("aud", json!(audience)),
        ("sub", json!("robot")),
        ("client_id", json!("robot")),
        ("iat", json!(now)),
        ("exp", json!(now + 600)),
        ("jti", json!(random())),
        ("scope", json!("read write")),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let mut token = blank(state, claims);
    token.header.insert("typ".to_owned(), json!("at+jwt"));
    token.signing = Signing::Published(Algorithm::Es256);
    change(&mut token);
    let compact = finished(state, &token);
    state.secrets.push(compact.clone());
    compact
}

/// A token with these claims, signed as by default.
pub(super) fn blank(state: &State, claims: Map<String, Value>) -> IdToken {
    IdToken {
        header: Map::new(),
        claims,
        raw_claims: None,
        raw_header: None,
        without_kid: false,
        signing: Signing::Published(Algorithm::Rs256),
        finish: |compact| compact,
        public: state.key_for(Algorithm::Rs256).key.public_forms(),
    }
}

/// The compact form, changed at the end.
pub(super) fn finished(state: &State, token: &IdToken) -> String {
    (token.finish)(compact(state, token))
}

/// OIDC Core 3.1.3.6: the left half of the hash that the signature algorithm uses; SHA-512 for Ed25519.
fn at_hash(signing: &Signing, access_token: &str) -> String {
    let hash = match signing {
        Signing::Published(Algorithm::Es384) => &digest::SHA384,
        Signing::Published(Algorithm::Es512 | Algorithm::EdDsa | Algorithm::Rs512) => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let hash = digest::digest(hash, access_token.as_bytes());
    base64url(&hash.as_ref()[..hash.as_ref().len() / 2])
}

fn compact(state: &State, token: &IdToken) -> String {
    let (algorithm, kid) = match &token.signing {
        Signing::Hmac(_) => ("HS256", state.key_for(Algorithm::Rs256).kid),
        Signing::None => ("none", state.key_for(Algorithm::Rs256).kid),
        Signing::Published(algorithm) => (algorithm.name(), state.key_for(*algorithm).kid),
        Signing::Unpublished => ("RS256", state.key_for(Algorithm::Rs256).kid),
    };
    let mut header = Map::new();
    header.insert("alg".to_owned(), json!(algorithm));
    header.insert("typ".to_owned(), json!("JWT"));
    if !token.without_kid {
        header.insert("kid".to_owned(), json!(kid));
    }
    header.extend(token.header.clone());

    let header = token.raw_header.clone().unwrap_or_else(|| Value::Object(header).to_string());
    let claims = token.raw_claims.clone().unwrap_or_else(|| Value::Object(token.claims.clone()).to_string());
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = match &token.signing {
        Signing::Hmac(secret) => hmac_sha256(secret, signed.as_bytes()),
        Signing::None => Vec::new(),
        Signing::Published(algorithm) => state.key_for(*algorithm).key.sign(*algorithm, signed.as_bytes()),
        Signing::Unpublished => {
            // The one of the two that is not in the set now.
            let first = state.rotations % 2 == 1;
            SigningKey::rsa(if first { Rsa::First } else { Rsa::Second }).sign(Algorithm::Rs256, signed.as_bytes())
        }
    };
    format!("{signed}.{}", base64url(&signature))
}
