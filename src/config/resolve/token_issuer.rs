//! Issuers whose tokens programs may bring.

use std::time::Duration;

use super::{
    super::{
        fault::{Faults, Faulty, Path},
        raw,
    },
    allow, bounded, limits,
    provider::{Around, Known, algorithms, audiences, endpoint, issuer},
    text,
};
use crate::{
    claims::IssuerId,
    jose::jwk::Jwks,
    oidc::{
        PlainHttp,
        token_issuer::{KeySource, TokenIssuer, TokenKind},
    },
};

/// The issuers of this list, beside the providers.
pub(super) fn token_issuers(
    raw: Option<Vec<raw::TokenIssuer>>,
    known: Option<&Known>,
    at: &Path,
    around: Around<'_>,
    faults: &mut Faults,
) -> Result<Vec<TokenIssuer>, Faulty> {
    let raw = raw.unwrap_or_default();
    if raw.len() > limits::MAX_TOKEN_ISSUERS {
        return Err(faults.wrong(at, format!("at most {} issuers, got {}", limits::MAX_TOKEN_ISSUERS, raw.len())));
    }
    let read: Vec<_> =
        raw.into_iter().enumerate().map(|(place, raw)| token_issuer(raw, &at.index(place), around, faults)).collect();
    let mut read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut fault = None;
    for place in 0..read.len() {
        let (before, rest) = read.split_at_mut(place);
        let Some(issuer) = rest.first_mut() else { break };
        let of_providers = known.map(|known| known.token_issuers.as_slice()).unwrap_or_default();
        if of_providers.iter().chain(&*before).any(|other| other.issuer == issuer.issuer) {
            let expected = "each issuer once; what is taken of a provider, its access_token_audiences say";
            fault = Some(faults.wrong(&at.index(place).key("issuer"), expected));
        }
        let mut providers = known.into_iter().flat_map(|known| &known.providers);
        let Some(provider) = providers.find(|provider| provider.issuer.as_str() == issuer.issuer) else { continue };
        // ID tokens are for the client: they may not pass for what programs bring.
        if issuer.audiences.contains(&provider.client_id) {
            let expected =
                "other audiences than the client ID of the provider with this issuer, for which ID tokens are";
            fault = Some(faults.wrong(&at.index(place).key("audiences"), expected));
        }
        issuer.client_id = Some(provider.client_id.clone());
    }
    fault.map_or(Ok(read), Err)
}

fn token_issuer(
    raw: raw::TokenIssuer,
    at: &Path,
    around: Around<'_>,
    faults: &mut Faults,
) -> Result<TokenIssuer, Faulty> {
    let at_audiences = at.key("audiences");
    let audiences = faults
        .required(&at_audiences, raw.audiences, "at least one audience that its tokens are for")
        .and_then(|given| audiences(Some(given), &at_audiences, faults));
    if audiences.as_ref().is_ok_and(Vec::is_empty) {
        faults.wrong(&at_audiences, "at least one audience that its tokens are for");
    }
    let sources = [raw.jwks_uri.is_some(), raw.jwks.is_some(), raw.public_keys.is_some()];
    if sources.iter().filter(|is_given| **is_given).count() > 1 {
        faults.wrong(at, "at most one of jwks_uri, jwks and public_keys");
    }
    let keys = keys(raw.jwks_uri, raw.jwks, raw.public_keys, at, around.plain_http, faults);
    let (name, keys) = issuer_and_keys(raw.issuer, keys, &at.key("issuer"), around.plain_http, faults)?;
    let kind = match raw.kind {
        None | Some(raw::TokenKind::AccessToken) => TokenKind::AccessToken,
        Some(raw::TokenKind::Jwt) => TokenKind::Jwt,
        Some(raw::TokenKind::KubernetesServiceAccount) => TokenKind::ServiceAccount,
    };
    let algorithms = algorithms(raw.signing_algs, &at.key("signing_algs"), faults);
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    Ok(TokenIssuer {
        id: IssuerId::of_tokens(&name),
        issuer: name,
        keys,
        kind,
        audiences: audiences?,
        client_id: None,
        algorithms: algorithms?,
        allow: allow?,
        clusters: around.clusters?.clone(),
        timeout: Duration::from_millis(timeout?),
        plain_http: around.plain_http,
    })
}

/// What the configuration says of keys; `None` leaves them to discovery.
fn keys(
    jwks_uri: Option<String>,
    jwks: Option<String>,
    public_keys: Option<Vec<String>>,
    at: &Path,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Option<KeySource>, Faulty> {
    let at_jwks_uri = at.key("jwks_uri");
    if let Some(endpoint) = endpoint(jwks_uri, &at_jwks_uri, plain_http, faults)? {
        return Ok(Some(KeySource::JwksUri(endpoint)));
    }
    if let Some(jwks) = jwks {
        let keys = Jwks::parse(jwks.as_bytes());
        let keys = keys.map_err(|error| faults.wrong(&at.key("jwks"), format!("a JWK Set as JSON text, but {error}")));
        return keys.map(|keys| Some(KeySource::Fixed(keys)));
    }
    let Some(texts) = public_keys else { return Ok(None) };
    let at = at.key("public_keys");
    if !(1..=limits::MAX_PUBLIC_KEYS).contains(&texts.len()) {
        return Err(faults.wrong(&at, format!("1 to {} keys, got {}", limits::MAX_PUBLIC_KEYS, texts.len())));
    }
    let keys = Jwks::of_pem(&texts).map_err(|place| {
        let expected = "a public key in PEM that begins with -----BEGIN PUBLIC KEY-----: RSA of 2048 bits or more, P-256, \
                        P-384, P-521 or Ed25519";
        faults.wrong(&at.index(place), expected)
    });
    keys.map(|keys| Some(KeySource::Fixed(keys)))
}

/// An issuer whose keys are discovered is a URL; of any other the name is all that counts.
fn issuer_and_keys(
    value: Option<String>,
    keys: Result<Option<KeySource>, Faulty>,
    at: &Path,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<(String, KeySource), Faulty> {
    let keys = match keys {
        Ok(None) => {
            let issuer = issuer(value, at, plain_http, faults)?;
            return Ok((issuer.as_str().to_owned(), KeySource::Discovered(issuer)));
        }
        Ok(Some(keys)) => Ok(keys),
        Err(faulty) => Err(faulty),
    };
    let name = faults.required(at, value, "what its tokens say as iss")?;
    if !(1..=limits::MAX_TEXT).contains(&name.len()) || !text::is_vschar(&name) {
        return Err(faults.wrong(at, format!("1 to {} characters of printable ASCII", limits::MAX_TEXT)));
    }
    Ok((name, keys?))
}
