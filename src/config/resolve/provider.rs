//! Providers and the client registrations there.

use std::{cell::OnceCell, time::Duration};

use super::{
    super::{
        fault::{At, Faults, Faulty, Problem},
        raw::{self, AuthMethod},
        shape::one_of,
    },
    Environment, allow, bounded, github, limit_entries, limits, resolve_each, text,
};
use crate::{
    claims::IssuerId,
    jose::Algorithm,
    oidc::{
        Clusters, ConfiguredEndpoints, Endpoint, Issuer, OpenIdProvider, PlainHttp, RelyingParty,
        authorization::OWN_PARAMETERS,
        client::ClientAuthentication,
        token_issuer::{TokenIssuer, TokenKind, Validation},
    },
    provider::{DEFAULT_PROVIDER, Protocol, Provider},
    secret::ClientSecret,
};

/// Settings that affect every issuer.
#[derive(Clone, Copy)]
pub(super) struct IssuerContext<'a> {
    pub(super) clusters: Result<&'a Clusters, Faulty>,
    pub(super) plain_http: PlainHttp,
    pub(super) env: Environment<'a>,
}

/// The configured providers and token issuers.
pub(super) struct Known {
    pub(super) providers: Vec<Provider>,
    pub(super) token_issuers: Vec<TokenIssuer>,
}

pub(super) fn providers(
    raw: Option<Vec<raw::Provider>>,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<Known, Faulty> {
    let raw = faults.required(at, raw, "a list with at least one provider")?;
    if !(1..=limits::MAX_PROVIDERS).contains(&raw.len()) {
        return Err(faults.wrong(at, format!("1 to {} providers, got {}", limits::MAX_PROVIDERS, raw.len())));
    }
    let read = resolve_each(raw, at, faults, |raw, at, faults| provider(raw, at, context, faults))?;
    let mut known = Known { providers: Vec::new(), token_issuers: Vec::new() };
    let mut fault = None;
    for (place, (provider, tokens)) in read.into_iter().enumerate() {
        let at = at.index(place);
        if known.providers.iter().any(|other| other.name == provider.name) {
            let expected = "a name that no other provider has; one of them may be without";
            fault = Some(faults.wrong(&at.key("name"), expected));
        }
        if known.providers.iter().any(|other| other.issuer() == provider.issuer()) {
            fault = Some(faults.wrong(&at.key("issuer"), "each issuer once"));
        }
        if known.providers.iter().any(|other| other.title == provider.title) {
            fault = Some(faults.wrong(&at.key("title"), "a title that no other provider has: users choose by it"));
        }
        known.providers.push(provider);
        known.token_issuers.extend(tokens);
    }
    fault.map_or(Ok(known), Err)
}

/// A provider, and its token issuer if it has `access_token_audiences`.
fn provider(
    mut raw: raw::Provider,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<(Provider, Option<TokenIssuer>), Faulty> {
    let IssuerContext { clusters, plain_http, env } = context;
    let name = name(raw.name.take(), &at.key("name"), faults);
    let title = raw.title.take().map(|title| text::line(title, &at.key("title"), faults)).transpose();
    let is_github = matches!(raw.r#type, Some(raw::ProviderType::Github));
    let issuer = if is_github {
        github::web(&mut raw, at, plain_http, faults)
    } else {
        for (url, field) in [(&raw.github_url, "github_url"), (&raw.github_api_url, "github_api_url")] {
            if url.is_some() {
                faults.wrong(&at.key(field), "nothing; it applies only to `type: github`");
            }
        }
        let at = at.key("issuer");
        let issuer = issuer(raw.issuer, &at, plain_http, faults);
        if issuer.as_ref().is_ok_and(|issuer| issuer.discovery().authority() == "github.com") {
            faults.wrong(&at, "`type: github` in place of an issuer: GitHub does not speak OpenID Connect");
        }
        issuer
    };
    let github = match &issuer {
        Ok(web) if is_github => {
            github::github(web, raw.github_api_url, &at.key("github_api_url"), plain_http, faults).map(Some)
        }
        _ => Ok(None),
    };
    let client_id = client_id(raw.client_id, &at.key("client_id"), faults);
    let authentication = authentication(raw.token_endpoint_auth_method, raw.client_secret, at, env, faults);
    let scopes = scopes(raw.scopes, &at.key("scopes"), faults);
    let authorization_params =
        authorization_params(raw.authorization_params.unwrap_or_default(), &at.key("authorization_params"), faults);
    let mut endpoint = |url, field| endpoint(url, &at.key(field), plain_http, faults);
    let authorization = endpoint(raw.authorization_endpoint, "authorization_endpoint");
    let token = endpoint(raw.token_endpoint, "token_endpoint");
    let jwks = endpoint(raw.jwks_uri, "jwks_uri");
    let end_session = endpoint(raw.end_session_endpoint, "end_session_endpoint");
    let revocation = endpoint(raw.revocation_endpoint, "revocation_endpoint");
    let userinfo = endpoint(raw.userinfo_endpoint, "userinfo_endpoint");
    let asks_userinfo = raw.userinfo.unwrap_or(false);
    if matches!(userinfo, Ok(Some(_))) && !asks_userinfo && !faults.any_within(&at.key("userinfo")) {
        faults.wrong(&at.key("userinfo_endpoint"), "no URL, because it has no effect without userinfo: true");
    }
    let algorithms = algorithms(raw.id_token_signing_algs, &at.key("id_token_signing_algs"), faults);
    let trusted_audiences = audiences(raw.trusted_audiences, &at.key("trusted_audiences"), faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let own = raw.access_token_audiences.unwrap_or_default();
    let access_token_audiences = audiences(Some(own), &at.key("access_token_audiences"), faults);
    if let (Ok(audiences), Ok(client_id)) = (&access_token_audiences, &client_id)
        && audiences.contains(client_id)
    {
        let expected = "other audiences than the client ID, the audience of ID tokens";
        faults.wrong(&at.key("access_token_audiences"), expected);
    }
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let (issuer, client_id, name, allow, clusters) = (issuer?, client_id?, name?, allow?, clusters?.clone());
    let (algorithms, timeout) = (algorithms?, Duration::from_millis(timeout?));
    let id = IssuerId::of_provider(issuer.as_str(), &client_id);
    let audiences = access_token_audiences?;
    let tokens = (!audiences.is_empty()).then(|| TokenIssuer {
        id,
        speaks_as: id,
        issuer: issuer.as_str().to_owned(),
        validation: Validation::Provider,
        kind: TokenKind::AccessToken,
        audiences,
        client_id: Some(client_id.clone()),
        algorithms: algorithms.clone(),
        allow: allow.clone(),
        clusters: clusters.clone(),
        timeout,
        plain_http,
    });
    let settings = OpenIdProvider {
        endpoints: ConfiguredEndpoints {
            authorization: authorization?,
            token: token?,
            jwks: jwks?,
            end_session: end_session?,
            revocation: revocation?,
            userinfo: userinfo?,
        },
        algorithms,
        trusted_audiences: trusted_audiences?,
        userinfo: asks_userinfo,
    };
    let provider = Provider {
        id,
        title: title?.unwrap_or_else(|| title_of(&name, &issuer)),
        name,
        relying_party: RelyingParty {
            issuer,
            client_id,
            authentication: authentication?,
            scopes: scopes?,
            authorization_params: authorization_params?,
            claims_request: OnceCell::new(),
            clusters,
            timeout,
            plain_http,
        },
        protocol: match github? {
            Some(github) => Protocol::GitHub(Box::new(github)),
            None => Protocol::Oidc(Box::new(settings)),
        },
        allow,
    };
    Ok((provider, tokens))
}

/// The title of a provider without one: its name, or its host.
fn title_of(name: &str, issuer: &Issuer) -> String {
    let host = || issuer.discovery().authority();
    if name == DEFAULT_PROVIDER { host() } else { name.to_owned() }
}

/// The name is a part of URLs, so it must have one spelling only.
fn name(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let Some(name) = value else { return Ok(DEFAULT_PROVIDER.to_owned()) };
    if text::is_name(&name) && !matches!(name.as_str(), "." | "..") {
        return Ok(name);
    }
    Err(faults.wrong_value(at, format!("1 to {} letters, digits, `-`, `_` and `.`", limits::MAX_NAME), &name))
}

pub(super) fn issuer(
    value: Option<String>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Issuer, Faulty> {
    let value = faults.required(at, value, "the issuer's URL, such as https://accounts.google.com")?;
    text::url_text(&value, at, faults)?;
    if value.contains('?') {
        return Err(faults.wrong(at, "a URL without a query"));
    }
    Issuer::parse(&value, plain_http).map_err(|error| text::wrong_url(&value, error.to_string(), at, faults))
}

pub(super) fn endpoint(
    value: Option<String>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Option<Endpoint>, Faulty> {
    let Some(value) = value else { return Ok(None) };
    text::url_text(&value, at, faults)?;
    let endpoint = Endpoint::parse(&value, plain_http);
    endpoint.map(Some).map_err(|error| text::wrong_url(&value, error.to_string(), at, faults))
}

pub(super) fn client_id(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let value = faults.required(at, value, "the client ID that the provider gave you")?;
    if text::is_vschar(&value) && !value.starts_with("${") && (1..=limits::MAX_TEXT).contains(&value.len()) {
        return Ok(value);
    }
    // Not shown: it may be the secret in the wrong field.
    Err(faults.wrong(at, format!("1 to {} characters of printable ASCII, and no `${{NAME}}`", limits::MAX_TEXT)))
}

/// Validates method and secret together: no method without its secret, and no unused secret.
pub(super) fn authentication(
    method: Option<AuthMethod>,
    secret: Option<raw::Secret>,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientAuthentication, Faulty> {
    let at_secret = at.key("client_secret");
    let secret = secret.map(|secret| client_secret(secret, &at_secret, env, faults)).transpose();
    match (method, secret) {
        (_, Err(faulty)) => Err(faulty),
        (Some(AuthMethod::ClientSecretBasic), Ok(Some(secret))) => Ok(ClientAuthentication::Basic(secret)),
        (Some(AuthMethod::ClientSecretPost), Ok(Some(secret))) => Ok(ClientAuthentication::Post(secret)),
        (None, Ok(Some(secret))) => Ok(ClientAuthentication::Unspecified(secret)),
        (None | Some(AuthMethod::None), Ok(None)) => Ok(ClientAuthentication::None),
        (Some(AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost), Ok(None)) => {
            let expected = "a secret, because token_endpoint_auth_method sends one";
            Err(faults.add(&at_secret, Problem::Missing { expected: expected.into() }))
        }
        (Some(AuthMethod::None), Ok(Some(_))) => {
            Err(faults.wrong(&at_secret, "no secret, because token_endpoint_auth_method is none"))
        }
    }
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

fn scopes(value: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    let given = value.unwrap_or_else(|| limits::SCOPES.iter().map(|scope| (*scope).to_owned()).collect());
    limit_entries(given.len(), at, faults)?;
    let mut scopes = vec!["openid".to_owned()];
    for scope in resolve_each(given, at, faults, text::scope)? {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

fn authorization_params(
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

pub(super) fn algorithms(
    value: Option<Vec<String>>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<Algorithm>, Faulty> {
    let Some(names) = value else { return Ok(Algorithm::ALL.to_vec()) };
    limit_entries(names.len(), at, faults)?;
    if names.is_empty() {
        return Err(
            faults.wrong(at, "at least one algorithm; without this field every supported asymmetric one is accepted")
        );
    }
    resolve_each(names, at, faults, algorithm)
}

pub(super) fn audiences(value: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    let audiences = value.unwrap_or_default();
    limit_entries(audiences.len(), at, faults)?;
    resolve_each(audiences, at, faults, audience)
}

fn algorithm(name: String, at: &At<'_>, faults: &mut Faults) -> Result<Algorithm, Faulty> {
    let algorithm = Algorithm::from_name(&name);
    algorithm.ok_or_else(|| faults.wrong_value(at, one_of(&Algorithm::ALL.map(Algorithm::name)), &name))
}

fn audience(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if (1..=limits::MAX_TEXT).contains(&text.len()) && text != "*" {
        return Ok(text);
    }
    Err(faults.wrong(at, format!("1 to {} bytes, no wildcard", limits::MAX_TEXT)))
}
