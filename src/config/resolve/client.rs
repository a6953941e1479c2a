//! The registration of a client at a provider or an introspection endpoint.

use std::rc::Rc;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw::{self, AuthMethod},
    },
    bounds::limit_entries,
    limits,
    text::{self, Environment},
};
use crate::{
    jose::{
        Algorithm,
        sign::{PrivateKeyError, SigningKey},
    },
    oidc::{
        authorization::OWN_PARAMETERS,
        client::{
            ClientAuthentication, MIN_HS256_KEY,
            assertion::{AssertionKey, Audience, ClientAssertion, SentAs},
        },
        dpop::ProofKey,
        token_issuer::TokenIssuer,
    },
    provider::Provider,
    secret::ClientSecret,
};

pub(super) fn client_id(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let value = faults.required(at, value, "the client ID that the provider gave you")?;
    if text::is_vschar(&value) && !value.starts_with("${") && (1..=limits::MAX_TEXT).contains(&value.len()) {
        return Ok(value);
    }
    // Not shown: it may be the secret in the wrong field.
    Err(faults.wrong(at, format!("1 to {} characters of printable ASCII, and no `${{NAME}}`", limits::MAX_TEXT)))
}

/// The settings by which a client authenticates.
pub(super) struct Credentials {
    pub(super) method: Option<AuthMethod>,
    pub(super) secret: Option<raw::Secret>,
    /// The resolved key, if one is configured.
    pub(super) key: Option<Result<Rc<SigningKey>, Faulty>>,
    /// Whether the key signs requests, with any method of authentication.
    pub(super) key_signs_requests: bool,
    pub(super) assertion: Option<raw::ClientAssertion>,
}

/// Validates method and credentials together: no method without its credentials, and none that are not used.
#[inline(never)]
pub(super) fn authentication(
    credentials: Credentials,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientAuthentication, Faulty> {
    let Credentials { method, secret, key, key_signs_requests, assertion } = credentials;
    let (method, secret) = match (method, secret) {
        (Some(method), secret) => (method, secret),
        (None, Some(secret)) => {
            let unused_key = key.is_some() && !key_signs_requests;
            return unspecified(secret, unused_key, assertion.is_some(), at, env, faults);
        }
        (None, None) if key.is_some() => (AuthMethod::PrivateKeyJwt, None),
        (None, None) => (AuthMethod::None, None),
    };
    let sends_secret =
        matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost | AuthMethod::ClientSecretJwt);
    let signs = matches!(method, AuthMethod::ClientSecretJwt | AuthMethod::PrivateKeyJwt);
    let is_key_wanted = key_signs_requests || matches!(method, AuthMethod::PrivateKeyJwt);
    let because = |name: &str| format!("nothing, because {name} has no use for it");
    let name = method.name();
    if secret.is_some() && !sends_secret {
        faults.wrong(&at.key("client_secret"), because(name));
    }
    if key.is_some() && !is_key_wanted {
        faults.wrong(&at.key("client_key"), because(name));
    }
    if assertion.is_some() && !signs {
        faults.wrong(&at.key("client_assertion"), because(name));
    }
    let secret = |faults: &mut Faults| {
        let expected = format!("the client secret, because token_endpoint_auth_method is {name}");
        required_secret(secret, expected, &at.key("client_secret"), env, faults)
    };
    Ok(match method {
        AuthMethod::ClientSecretBasic => ClientAuthentication::Basic(secret(faults)?),
        AuthMethod::ClientSecretPost => ClientAuthentication::Post(secret(faults)?),
        AuthMethod::ClientSecretJwt => {
            let key = secret(faults).map(AssertionKey::Secret);
            assertions(key, assertion, &at.key("client_assertion"), faults)?
        }
        AuthMethod::PrivateKeyJwt => {
            let expected = "the private key, because token_endpoint_auth_method is private_key_jwt";
            let key = faults.required(&at.key("client_key"), key, expected)?;
            assertions(key.map(AssertionKey::Private), assertion, &at.key("client_assertion"), faults)?
        }
        AuthMethod::Injected => ClientAuthentication::Injected,
        AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => ClientAuthentication::Tls,
        AuthMethod::None => ClientAuthentication::None,
    })
}

/// A secret without a method.
fn unspecified(
    secret: raw::Secret,
    unused_key: bool,
    unused_assertion: bool,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientAuthentication, Faulty> {
    if unused_key {
        faults.wrong(
            &at.key("client_key"),
            "either client_secret or client_key, or token_endpoint_auth_method says which",
        );
    }
    if unused_assertion {
        faults.wrong(
            &at.key("client_assertion"),
            "token_endpoint_auth_method: client_secret_jwt beside it, or client_key",
        );
    }
    client_secret(secret, &at.key("client_secret"), env, faults).map(ClientAuthentication::Unspecified)
}

/// The authentication at an introspection endpoint. RFC 7662, 2.1: without one, anyone could try tokens there.
#[inline(never)]
pub(super) fn at_introspection_endpoint(
    raw: &mut raw::Introspection,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientAuthentication, Faulty> {
    let (method, secret) = (raw.token_endpoint_auth_method, raw.client_secret.take());
    match method {
        None if secret.is_none() && raw.client_key.is_none() => {
            let expected = "a secret, or a client_key in its place: introspection requires client authentication";
            return faults.required(&at.key("client_secret"), None, expected);
        }
        Some(AuthMethod::None) => {
            let expected = "another method: introspection requires client authentication";
            return Err(faults.wrong_value(&at.key("token_endpoint_auth_method"), expected, AuthMethod::None.name()));
        }
        None | Some(_) => {}
    }
    let assertion = raw.client_assertion.take();
    if assertion.as_ref().is_some_and(|assertion| assertion.audience.as_deref() == Some("token_endpoint")) {
        let expected = "issuer or an absolute URI: the token endpoint of this issuer is not known";
        faults.wrong(&at.key("client_assertion").key("audience"), expected);
    }
    let key = raw.client_key.take().map(|key| signing_key(key, &at.key("client_key"), env, faults));
    let credentials = Credentials { method, secret, key, key_signs_requests: false, assertion };
    Ok(match authentication(credentials, at, env, faults)? {
        ClientAuthentication::Unspecified(secret) => ClientAuthentication::Basic(secret),
        specified => specified,
    })
}

fn required_secret(
    secret: Option<raw::Secret>,
    expected: String,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientSecret, Faulty> {
    client_secret(faults.required(at, secret, expected)?, at, env, faults)
}

/// The private key of a client.
#[inline(never)]
pub(super) fn signing_key(
    raw: raw::ClientKey,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Rc<SigningKey>, Faulty> {
    let (at_key, at_alg, at_kid) = (at.key("private_key"), at.key("alg"), at.key("kid"));
    let kid = raw.kid.map(|kid| text::parameter(kid, &at_kid, faults)).transpose();
    let algorithm = raw.alg.map(|name| signing_algorithm(&name, &at_alg, faults)).transpose();
    let key =
        faults.required(&at_key, raw.private_key, "the private key, whose public half is registered at the provider");
    let key = text::secret(key?, &at_key, env, faults)?;
    SigningKey::read(&key, algorithm?, kid?).map(Rc::new).map_err(|error| {
        let at = if matches!(error, PrivateKeyError::Algorithm(_)) { &at_alg } else { &at_key };
        faults.wrong(at, error.to_string())
    })
}

/// The key that tokens are bound to (RFC 9449).
pub(super) fn proof_key(
    raw: raw::Secret,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Rc<ProofKey>, Faulty> {
    let key = text::secret(raw, at, env, faults)?;
    let key = SigningKey::read(&key, None, None).map_err(|error| faults.wrong(at, error.to_string()))?;
    let expected = "a key with its public half, which each proof carries: openssl genpkey writes both";
    ProofKey::new(key).map(Rc::new).ok_or_else(|| faults.wrong(at, expected))
}

fn signing_algorithm(name: &str, at: &At<'_>, faults: &mut Faults) -> Result<Algorithm, Faulty> {
    let is_pss = matches!(Algorithm::from_name(name), Some(Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512));
    Algorithm::from_name(name).filter(|_| !is_pss).ok_or_else(|| {
        let expected = "an algorithm that Envoy signs by: RS256, RS384, RS512, ES256, ES384 or ES512; or EdDSA";
        faults.wrong_value(at, expected, name)
    })
}

/// The assertions of a client with this key.
fn assertions(
    key: Result<AssertionKey, Faulty>,
    raw: Option<raw::ClientAssertion>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<ClientAuthentication, Faulty> {
    let raw = raw.unwrap_or_default();
    let issuer = raw.issuer.map(|issuer| text::parameter(issuer, &at.key("issuer"), faults)).transpose();
    let audience = match raw.audience.as_deref() {
        None | Some("issuer") => Ok(Audience::Issuer),
        Some("token_endpoint") => Ok(Audience::TokenEndpoint),
        // A word that is neither of these would be refused by each provider.
        Some(other) if other.contains(':') && text::is_clean_url(other) => Ok(Audience::Text(other.to_owned())),
        Some(other) => Err(faults.wrong_value(&at.key("audience"), "issuer, token_endpoint or an absolute URI", other)),
    };
    let sent_as = match raw.sent_as {
        None | Some(raw::SentAs::ClientAssertion) => SentAs::Assertion,
        Some(raw::SentAs::ClientSecret) => SentAs::Secret,
    };
    let assertion = ClientAssertion { key: key?, issuer: issuer?, audience: audience?, sent_as };
    Ok(ClientAuthentication::Assertion(Rc::new(assertion)))
}

fn client_secret(
    secret: raw::Secret,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientSecret, Faulty> {
    let text = text::secret(secret, at, env, faults)?;
    if !text::is_vschar(&text) {
        // RFC 6749, Appendix A.2. A line break at the end comes from a file or `echo`, and providers refuse it.
        return Err(faults.wrong(at, "printable ASCII, and no line break at the end"));
    }
    Ok(ClientSecret::new(text.as_str()))
}

/// A warning for each client secret that is too short to sign assertions with.
pub(super) fn short_keys(providers: &[Provider], token_issuers: &[TokenIssuer]) -> Vec<String> {
    let of_providers = providers.iter().enumerate().map(|(place, provider)| {
        (format!("providers[{place}].client_secret"), Some(&provider.relying_party.authentication))
    });
    let of_issuers = token_issuers.iter().map(|issuer| {
        let asked = issuer.introspection().map(|settings| &settings.authentication);
        (format!("token_issuers: introspection.client_secret of {}", issuer.issuer), asked)
    });
    let is_short = |authentication: Option<&ClientAuthentication>| authentication.is_some_and(|it| it.has_short_key());
    let short = of_providers.chain(of_issuers).filter(|(_, authentication)| is_short(*authentication));
    let warning = |(place, _)| {
        format!(
            "{place}: shorter than {MIN_HS256_KEY} bytes, which client_secret_jwt needs (RFC 7518, 3.2): an attacker who sees an assertion \
             can guess the secret"
        )
    };
    short.map(warning).collect()
}

pub(super) fn authorization_params(
    entries: raw::Entries,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<(String, String)>, Faulty> {
    let entries = entries.0;
    limit_entries(entries.len(), at, faults)?;
    let mut fault = None;
    for (name, value) in &entries {
        let at = at.key(name);
        // Parameters that this filter sets, and the client secret, which would reach every browser.
        if OWN_PARAMETERS.contains(&name.as_str()) || name == "client_secret" {
            fault = Some(faults.wrong(&at, "another parameter: this one is set by the filter"));
        } else if name.is_empty() || name.len() > limits::MAX_TEXT || !text::is_vschar(name) {
            fault = Some(faults.wrong(&at, "the name of a parameter, printable ASCII, as the name of this field"));
        } else if value.len() > limits::MAX_TEXT {
            fault = Some(faults.wrong(&at, format!("at most {} bytes", limits::MAX_TEXT)));
        }
    }
    fault.map_or(Ok(entries), Err)
}
