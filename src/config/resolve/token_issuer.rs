//! Issuers of bearer tokens.

use std::time::Duration;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    allow,
    bounds::{bounded, resolve_each},
    client::{at_introspection_endpoint, client_id},
    issuer::{IssuerContext, algorithms, audiences, endpoint, issuer, plain_name},
    limits,
    object_keys::object_keys,
    provider::ResolvedIssuers,
};
use crate::{
    claims::{Conditions, IssuerId},
    jose::jwks::Jwks,
    oidc::{
        Endpoint, Issuer, PlainHttp,
        client::ClientAuthentication,
        token_issuer::{Introspection, IntrospectionEndpoint, TokenIssuer, TokenKind, Validation},
    },
};

/// The issuers of this list, in addition to `resolved`.
#[inline(never)]
pub(super) fn token_issuers(
    raw: Option<Vec<raw::TokenIssuer>>,
    resolved: Option<&ResolvedIssuers>,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<Vec<TokenIssuer>, Faulty> {
    let raw = raw.unwrap_or_default();
    if raw.len() > limits::MAX_TOKEN_ISSUERS {
        return Err(faults.wrong(at, format!("at most {} issuers, got {}", limits::MAX_TOKEN_ISSUERS, raw.len())));
    }
    let mut read = resolve_each(raw, at, faults, |raw, at, faults| token_issuer(raw, at, context, faults))?;
    let mut fault = None;
    // An opaque token names no issuer, so only one issuer can introspect it.
    let mut asked = read.iter().enumerate().filter(|(_, issuer)| issuer.introspection().is_some()).skip(1);
    if let Some((place, _)) = asked.next() {
        fault = Some(
            faults.wrong(&at.index(place).key("introspection"), "nothing; only one issuer can have introspection"),
        );
    }
    for place in 0..read.len() {
        let (before, rest) = read.split_at_mut(place);
        let Some(issuer) = rest.first_mut() else { break };
        let of_providers = resolved.map(|resolved| resolved.token_issuers.as_slice()).unwrap_or_default();
        if of_providers.iter().chain(&*before).any(|other| other.issuer == issuer.issuer) {
            let expected = "each issuer once; for tokens of a provider set its access_token_audiences";
            fault = Some(faults.wrong(&at.index(place).key("issuer"), expected));
        }
        let mut providers = resolved.into_iter().flat_map(|resolved| &resolved.providers);
        let Some(provider) = providers.find(|provider| provider.issuer().as_str() == issuer.issuer) else { continue };
        // ID tokens have the client ID as audience: they must not pass as bearer tokens.
        if issuer.audiences.contains(&provider.relying_party.client_id) {
            let expected =
                "other audiences than the client ID of the provider with this issuer, the audience of ID tokens";
            fault = Some(faults.wrong(&at.index(place).key("audiences"), expected));
        }
        issuer.object_keys.extend(&provider.object_keys);
        // The provider's conditions apply to all of its tokens.
        if let Some(of_people) = provider.allow.clone() {
            issuer.allow.get_or_insert(Conditions(Vec::new())).0.extend(of_people.0);
        }
        issuer.client_id = Some(provider.relying_party.client_id.clone());
        issuer.speaks_as = provider.id;
    }
    fault.map_or(Ok(read), Err)
}

fn token_issuer(
    raw: raw::TokenIssuer,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<TokenIssuer, Faulty> {
    const EXPECTED: &str = "at least one audience of its tokens";
    let at_audiences = at.key("audiences");
    let is_asked = raw.introspection.is_some();
    // An introspection endpoint may answer only for tokens of its client, without `aud`.
    let given =
        if is_asked { Ok(raw.audiences) } else { faults.required(&at_audiences, raw.audiences, EXPECTED).map(Some) };
    let audiences = given.and_then(|given| match given {
        Some(list) if list.is_empty() => Err(faults.wrong(&at_audiences, EXPECTED)),
        given => audiences(given, &at_audiences, faults),
    });
    let sources = [raw.jwks_uri.is_some(), raw.jwks.is_some(), raw.public_keys.is_some(), is_asked];
    if sources.iter().filter(|is_given| **is_given).count() > 1 {
        faults.wrong(at, "at most one of jwks_uri, jwks, public_keys and introspection");
    }
    for (is_given, field) in [(raw.kind.is_some(), "kind"), (raw.signing_algs.is_some(), "signing_algs")] {
        if is_given && is_asked {
            faults.wrong(&at.key(field), "nothing; with `introspection` the token itself is not read");
        }
    }
    // Discovery requires the issuer to be a URL.
    let has_endpoint = raw.introspection.as_ref().is_some_and(|asked| asked.endpoint.is_some());
    let is_discovered = !has_endpoint && sources.iter().take(3).all(|is_given| !is_given);
    let name = if is_discovered {
        issuer(raw.issuer, &at.key("issuer"), context.plain_http, faults).map(IssuerName::Url)
    } else {
        plain_name(raw.issuer, &at.key("issuer"), faults).map(IssuerName::Plain)
    };
    let given = match raw.introspection {
        Some(raw) => {
            introspection(raw, &at.key("introspection"), context, faults).map(ConfiguredValidation::Introspection)
        }
        None => keys(raw.jwks_uri, raw.jwks, raw.public_keys, at, context.plain_http, faults),
    };
    let kind = match raw.kind {
        None | Some(raw::TokenKind::AccessToken) => TokenKind::AccessToken,
        Some(raw::TokenKind::Jwt) => TokenKind::Jwt,
        Some(raw::TokenKind::KubernetesServiceAccount) => TokenKind::ServiceAccount,
    };
    let algorithms = algorithms(raw.signing_algs, &at.key("signing_algs"), faults);
    let object_keys = object_keys(raw.object_keys, &at.key("object_keys"), faults);
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let (given, name) = (given?, name?);
    let text = name.as_str().to_owned();
    let id = IssuerId::of_token_issuer(&text);
    let validation = given.into_validation(name).ok_or_else(|| faults.wrong(&at.key("issuer"), "a URL"))?;
    Ok(TokenIssuer {
        id,
        speaks_as: id,
        issuer: text,
        validation,
        kind,
        audiences: audiences?,
        client_id: None,
        algorithms: algorithms?,
        object_keys: object_keys?,
        allow: allow?,
        clusters: context.clusters?.clone(),
        timeout: Duration::from_millis(timeout?),
        plain_http: context.plain_http,
    })
}

enum ConfiguredValidation {
    /// By configured keys, or a configured `jwks_uri`.
    Keys(Validation),
    /// By introspection (RFC 7662).
    Introspection(IntrospectionClient),
    /// By discovered keys.
    Nothing,
}

/// The introspection client; without an endpoint, that one is discovered.
struct IntrospectionClient {
    endpoint: Option<Endpoint>,
    client_id: String,
    authentication: ClientAuthentication,
    cache: Duration,
}

enum IssuerName {
    /// Any text; nothing is discovered.
    Plain(String),
    /// An issuer URL with discovery.
    Url(Issuer),
}

impl IssuerName {
    fn as_str(&self) -> &str {
        match self {
            Self::Plain(name) => name,
            Self::Url(issuer) => issuer.as_str(),
        }
    }
}

impl ConfiguredValidation {
    /// The validation of this issuer's tokens; `None` if discovery requires a URL.
    fn into_validation(self, name: IssuerName) -> Option<Validation> {
        match (self, name) {
            (Self::Keys(validation), _) => Some(validation),
            (Self::Nothing, IssuerName::Url(issuer)) => Some(Validation::Discovered(issuer)),
            (Self::Nothing, IssuerName::Plain(_)) => None,
            (Self::Introspection(asked), name) => {
                let IntrospectionClient { endpoint, client_id, authentication, cache } = asked;
                let endpoint = match (endpoint, name) {
                    (Some(endpoint), _) => IntrospectionEndpoint::Configured(endpoint),
                    (None, IssuerName::Url(issuer)) => IntrospectionEndpoint::Discovered(issuer),
                    (None, IssuerName::Plain(_)) => return None,
                };
                let introspection = Introspection { endpoint, client_id, authentication, cache };
                Some(Validation::Introspection(Box::new(introspection)))
            }
        }
    }
}

fn introspection(
    mut raw: raw::Introspection,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<IntrospectionClient, Faulty> {
    let endpoint = endpoint(raw.endpoint.take(), &at.key("endpoint"), context.plain_http, faults);
    let client_id = client_id(raw.client_id.take(), &at.key("client_id"), faults);
    let authentication = at_introspection_endpoint(&mut raw, at, context.env, faults);
    let at_cache = at.key("cache_seconds");
    let cache = bounded(raw.cache_seconds, limits::INTROSPECTION_CACHE_SECONDS, "seconds", &at_cache, faults);
    Ok(IntrospectionClient {
        endpoint: endpoint?,
        client_id: client_id?,
        authentication: authentication?,
        cache: Duration::from_secs(cache?),
    })
}

fn keys(
    jwks_uri: Option<String>,
    jwks: Option<raw::JsonText>,
    public_keys: Option<Vec<String>>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<ConfiguredValidation, Faulty> {
    let at_jwks_uri = at.key("jwks_uri");
    if let Some(endpoint) = endpoint(jwks_uri, &at_jwks_uri, plain_http, faults)? {
        return Ok(ConfiguredValidation::Keys(Validation::JwksUri(endpoint)));
    }
    if let Some(raw::JsonText(jwks)) = jwks {
        let keys = Jwks::parse(jwks.as_bytes());
        let keys = keys.map_err(|error| faults.wrong(&at.key("jwks"), format!("a JWK Set as JSON text, but {error}")));
        return keys.map(|keys| ConfiguredValidation::Keys(Validation::Fixed(keys)));
    }
    let Some(texts) = public_keys else { return Ok(ConfiguredValidation::Nothing) };
    let at = at.key("public_keys");
    if !(1..=limits::MAX_PUBLIC_KEYS).contains(&texts.len()) {
        return Err(faults.wrong(&at, format!("1 to {} keys, got {}", limits::MAX_PUBLIC_KEYS, texts.len())));
    }
    let keys = Jwks::of_pem(&texts).map_err(|place| {
        let expected = "one public key in PEM that begins with -----BEGIN PUBLIC KEY-----, with line breaks (a `\\n` only \
                        within double quotes): RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519";
        faults.wrong(&at.index(place), expected)
    });
    keys.map(|keys| ConfiguredValidation::Keys(Validation::Fixed(keys)))
}

/// Warns of configured keys that cannot verify a token.
pub(super) fn left_out_keys(issuers: &[TokenIssuer]) -> Vec<String> {
    let mut warnings = Vec::new();
    for issuer in issuers {
        if let Validation::Fixed(keys) = &issuer.validation {
            let name = &issuer.issuer;
            warnings.extend(
                keys.left_out().map(|key| format!("{key} is left out of the configured keys of {name}: {}", key.error)),
            );
        }
    }
    warnings
}
