//! Issuers whose tokens programs may bring.

use std::time::Duration;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    allow, bounded, each, limits,
    provider::{Around, Known, algorithms, audiences, authentication, client_id, endpoint, issuer},
    text,
};
use crate::{
    claims::{Conditions, IssuerId},
    jose::jwk::Jwks,
    oidc::{
        Endpoint, Issuer, PlainHttp,
        client::ClientAuthentication,
        token_issuer::{Introspection, IntrospectionEndpoint, TokenIssuer, TokenKind, Validation},
    },
};

/// The issuers of this list, beside the providers.
pub(super) fn token_issuers(
    raw: Option<Vec<raw::TokenIssuer>>,
    known: Option<&Known>,
    at: &At<'_>,
    around: Around<'_>,
    faults: &mut Faults,
) -> Result<Vec<TokenIssuer>, Faulty> {
    let raw = raw.unwrap_or_default();
    if raw.len() > limits::MAX_TOKEN_ISSUERS {
        return Err(faults.wrong(at, format!("at most {} issuers, got {}", limits::MAX_TOKEN_ISSUERS, raw.len())));
    }
    let mut read = each(raw, at, faults, |raw, at, faults| token_issuer(raw, at, around, faults))?;
    let mut fault = None;
    // Of a token that does not say whose it is, one issuer can be asked.
    let mut asked = read.iter().enumerate().filter(|(_, issuer)| issuer.introspection().is_some()).skip(1);
    if let Some((place, _)) = asked.next() {
        fault = Some(faults.wrong(&at.index(place).key("introspection"), "nothing; one issuer can be asked"));
    }
    for place in 0..read.len() {
        let (before, rest) = read.split_at_mut(place);
        let Some(issuer) = rest.first_mut() else { break };
        let of_providers = known.map(|known| known.token_issuers.as_slice()).unwrap_or_default();
        if of_providers.iter().chain(&*before).any(|other| other.issuer == issuer.issuer) {
            let expected = "each issuer once; what is taken of a provider, its access_token_audiences say";
            fault = Some(faults.wrong(&at.index(place).key("issuer"), expected));
        }
        let mut providers = known.into_iter().flat_map(|known| &known.providers);
        let Some(provider) = providers.find(|provider| provider.issuer().as_str() == issuer.issuer) else { continue };
        // ID tokens are for the client: they may not pass for what programs bring.
        if issuer.audiences.contains(&provider.relying_party.client_id) {
            let expected =
                "other audiences than the client ID of the provider with this issuer, for which ID tokens are";
            fault = Some(faults.wrong(&at.index(place).key("audiences"), expected));
        }
        // What is said of its people holds for every token of its.
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
    around: Around<'_>,
    faults: &mut Faults,
) -> Result<TokenIssuer, Faulty> {
    const EXPECTED: &str = "at least one audience that its tokens are for";
    let at_audiences = at.key("audiences");
    let is_asked = raw.introspection.is_some();
    // Who is asked may well say only of tokens for us that they are good, and not for whom.
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
            faults.wrong(&at.key(field), "nothing; with `introspection` nothing is read out of a token itself");
        }
    }
    // Of what is to be discovered, the issuer says where.
    let has_endpoint = raw.introspection.as_ref().is_some_and(|asked| asked.endpoint.is_some());
    let is_discovered = !has_endpoint && sources.iter().take(3).all(|is_given| !is_given);
    let name = if is_discovered {
        issuer(raw.issuer, &at.key("issuer"), around.plain_http, faults).map(Name::Url)
    } else {
        plain_name(raw.issuer, &at.key("issuer"), faults).map(Name::Plain)
    };
    let given = match raw.introspection {
        Some(raw) => introspection(raw, &at.key("introspection"), around, faults).map(Given::Introspection),
        None => keys(raw.jwks_uri, raw.jwks, raw.public_keys, at, around.plain_http, faults),
    };
    let kind = match raw.kind {
        None | Some(raw::TokenKind::AccessToken) => TokenKind::AccessToken,
        Some(raw::TokenKind::Jwt) => TokenKind::Jwt,
        Some(raw::TokenKind::KubernetesServiceAccount) => TokenKind::ServiceAccount,
    };
    let algorithms = algorithms(raw.signing_algs, &at.key("signing_algs"), faults);
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let (given, name) = (given?, name?);
    let text = name.as_str().to_owned();
    let id = IssuerId::of_tokens(&text);
    let validation = given.at(name).ok_or_else(|| faults.wrong(&at.key("issuer"), "a URL"))?;
    Ok(TokenIssuer {
        id,
        speaks_as: id,
        issuer: text,
        validation,
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

/// How tokens are validated, as far as the document says.
enum Given {
    /// By keys that are there, or these ones.
    Keys(Validation),
    /// By asking.
    Introspection(Asked),
    /// By keys that are discovered.
    Nothing,
}

/// Who is asked, but perhaps not where.
struct Asked {
    endpoint: Option<Endpoint>,
    client_id: String,
    authentication: ClientAuthentication,
    cache: Duration,
}

/// What an issuer is called.
enum Name {
    /// Nothing but that.
    Plain(String),
    /// Where its metadata is, too.
    Url(Issuer),
}

impl Name {
    fn as_str(&self) -> &str {
        match self {
            Self::Plain(name) => name,
            Self::Url(issuer) => issuer.as_str(),
        }
    }
}

impl Given {
    /// How the tokens of this issuer are validated; `None` where something would have to be discovered of a plain name.
    fn at(self, name: Name) -> Option<Validation> {
        match (self, name) {
            (Self::Keys(validation), _) => Some(validation),
            (Self::Nothing, Name::Url(issuer)) => Some(Validation::Discovered(issuer)),
            (Self::Nothing, Name::Plain(_)) => None,
            (Self::Introspection(asked), name) => {
                let Asked { endpoint, client_id, authentication, cache } = asked;
                let endpoint = match (endpoint, name) {
                    (Some(endpoint), _) => IntrospectionEndpoint::Configured(endpoint),
                    (None, Name::Url(issuer)) => IntrospectionEndpoint::Discovered(issuer),
                    (None, Name::Plain(_)) => return None,
                };
                let introspection = Introspection { endpoint, client_id, authentication, cache };
                Some(Validation::Introspection(Box::new(introspection)))
            }
        }
    }
}

fn introspection(
    raw: raw::Introspection,
    at: &At<'_>,
    around: Around<'_>,
    faults: &mut Faults,
) -> Result<Asked, Faulty> {
    let endpoint = endpoint(raw.endpoint, &at.key("endpoint"), around.plain_http, faults);
    let client_id = client_id(raw.client_id, &at.key("client_id"), faults);
    let method = raw.token_endpoint_auth_method.filter(|method| !matches!(method, raw::AuthMethod::None));
    if method.is_none() && raw.token_endpoint_auth_method.is_some() {
        faults.wrong(&at.key("token_endpoint_auth_method"), "another method: whoever asks must say who they are");
    }
    let authentication = authentication(method, raw.client_secret, at, around.env, faults);
    if let Ok(ClientAuthentication::None) = authentication {
        // RFC 7662, 2.1
        faults.wrong(&at.key("client_secret"), "a secret: whoever asks about tokens must say who they are");
    }
    let at_cache = at.key("cache_seconds");
    let cache = bounded(raw.cache_seconds, limits::INTROSPECTION_CACHE_SECONDS, "seconds", &at_cache, faults);
    Ok(Asked {
        endpoint: endpoint?,
        client_id: client_id?,
        authentication: authentication?,
        cache: Duration::from_secs(cache?),
    })
}

/// What the document says of keys.
fn keys(
    jwks_uri: Option<String>,
    jwks: Option<raw::JsonText>,
    public_keys: Option<Vec<String>>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Given, Faulty> {
    let at_jwks_uri = at.key("jwks_uri");
    if let Some(endpoint) = endpoint(jwks_uri, &at_jwks_uri, plain_http, faults)? {
        return Ok(Given::Keys(Validation::JwksUri(endpoint)));
    }
    if let Some(raw::JsonText(jwks)) = jwks {
        let keys = Jwks::parse(jwks.as_bytes());
        let keys = keys.map_err(|error| faults.wrong(&at.key("jwks"), format!("a JWK Set as JSON text, but {error}")));
        return keys.map(|keys| Given::Keys(Validation::Fixed(keys)));
    }
    let Some(texts) = public_keys else { return Ok(Given::Nothing) };
    let at = at.key("public_keys");
    if !(1..=limits::MAX_PUBLIC_KEYS).contains(&texts.len()) {
        return Err(faults.wrong(&at, format!("1 to {} keys, got {}", limits::MAX_PUBLIC_KEYS, texts.len())));
    }
    let keys = Jwks::of_pem(&texts).map_err(|place| {
        let expected = "one public key in PEM that begins with -----BEGIN PUBLIC KEY-----, with line breaks (a `\\n` only \
                        within double quotes): RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519";
        faults.wrong(&at.index(place), expected)
    });
    keys.map(|keys| Given::Keys(Validation::Fixed(keys)))
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

/// What tokens say as `iss`, where nothing is discovered.
fn plain_name(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let name = faults.required(at, value, "what its tokens say as iss")?;
    if (1..=limits::MAX_TEXT).contains(&name.len()) && text::is_vschar(&name) && !name.contains("/.well-known/") {
        return Ok(name);
    }
    Err(faults.wrong(at, format!("1 to {} characters of printable ASCII, as tokens have it", limits::MAX_TEXT)))
}
