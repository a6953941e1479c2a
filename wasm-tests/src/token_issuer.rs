//! Token issuers: issuers of access tokens at which no user signs in.

use serde_json::{Value, json};

use crate::{
    api_client::{API, with_token},
    http1::Response,
    issuer::{Endpoint, Issuer},
    keys::Algorithm,
    upstream::MARK,
    world::World,
};

/// Where the keys of a token issuer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Its metadata names them.
    Discovered,
    /// The configuration names the URL of the JWKS document.
    AtJwksUri,
    /// The configuration holds the JWKS document.
    Inline,
    /// The configuration holds PEM keys: all but that for Ed25519, as it takes four.
    Pem,
    /// The configuration holds the PEM key for Ed25519.
    OnePem,
}

impl KeySource {
    /// Every source but [`Self::OnePem`].
    pub const ALL: [Self; 4] = [Self::Discovered, Self::AtJwksUri, Self::Inline, Self::Pem];

    /// The element of `token_issuers` for this issuer.
    pub fn entry(self, issuer: &Issuer) -> Value {
        let mut entry = json!({"issuer": issuer.url(), "audiences": [API], "timeout_ms": 10_000});
        match self {
            Self::Discovered => {}
            Self::AtJwksUri => entry["jwks_uri"] = json!(format!("{}{}", issuer.url(), Endpoint::Jwks.path())),
            Self::Inline => entry["jwks"] = json!(issuer.jwks().to_string()),
            Self::Pem => entry["public_keys"] = json!(issuer.pems()[..4]),
            Self::OnePem => entry["public_keys"] = json!(issuer.pems()[4..]),
        }
        entry
    }

    /// The number of fetches of metadata and of keys that it takes.
    pub const fn fetches(self) -> [usize; 2] {
        match self {
            Self::Discovered => [1, 1],
            Self::AtJwksUri => [0, 1],
            Self::Inline | Self::Pem | Self::OnePem => [0, 0],
        }
    }

    /// Whether a signature with this algorithm can be verified.
    pub fn verify(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Discovered | Self::AtJwksUri | Self::Inline => true,
            Self::Pem => algorithm != Algorithm::EdDsa,
            Self::OnePem => algorithm == Algorithm::EdDsa,
        }
    }
}

/// A world with the partners as a token issuer, and keys from this source.
pub fn world(keys: KeySource, change: impl FnOnce(&mut Value)) -> World {
    let world = world_with_issuer(Issuer::another(), keys, change);
    world.until_ready();
    world
}

/// The same with this issuer, which may be down.
pub fn world_with_issuer(partners: Issuer, keys: KeySource, change: impl FnOnce(&mut Value)) -> World {
    let entry = keys.entry(&partners);
    World::among(Issuer::start(), partners, |setup| {
        let document = &mut setup.configuration;
        document["token_issuers"] = json!([entry]);
        document["rules"] = rules();
        document["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
        change(document);
    })
}

fn rules() -> Value {
    json!([
        {"prefix": "/public", "access": "public"},
        {"path": "/staff/*", "access": "required", "providers": ["default"]},
        {"path": "/write/*", "access": "bearer", "scopes": ["write"]},
        {"path": "/handed/*", "access": "bearer", "authorization": "access_token"},
        {"path": "/api/*", "access": "bearer"},
    ])
}

/// The answer to a request with this bearer token.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn send(world: &World, path: &str, token: &str) -> Response {
    world.send(&with_token(path, token)).expect("an answer")
}

/// Checks that both workers let a token pass, and that the app receives this user of the partners.
///
/// # Panics
/// When one of them does not.
#[track_caller]
pub fn assert_passes(world: &World, path: &str, token: &str, user: &str) {
    for _ in 0..6 {
        let response = send(world, path, token);
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
        let seen = world.upstream.last().headers;
        assert_eq!(
            (seen.text("x-forwarded-user").as_deref(), seen.text("x-issuer")),
            (Some(user), Some(world.partners.url()))
        );
    }
}

/// Checks that both workers refuse a token as invalid, also where no other token passes.
///
/// # Panics
/// When one of them does not.
#[track_caller]
pub fn assert_invalid(world: &World, token: &str, what: &str) {
    let before = world.upstream.count();
    for _ in 0..6 {
        let response = send(world, "/api/x", token);
        assert_eq!((response.status, response.code().as_deref()), (401, Some("invalid_token")), "{what}: {response:?}");
    }
    world.upstream.assert_saw_nothing_since(before, what);
}

/// The number of fetches of the metadata and of the keys of an issuer so far.
pub fn fetches(issuer: &Issuer) -> [usize; 2] {
    [Endpoint::Discovery, Endpoint::Jwks].map(|endpoint| issuer.requests(endpoint).len())
}
